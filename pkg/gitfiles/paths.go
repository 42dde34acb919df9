// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitfiles

import (
	"encoding/base64"
	"io/fs"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-git/go-git/v5/plumbing"
)

// maxPath bounds a path, in bytes; it is what Linux allows.
const maxPath = 4096

// CleanPath checks the path of a file: relative to the root, without ".." and without anything that some
// file system takes for git's own folder. A slash in front is taken away.
func CleanPath(text string) (string, error) {
	name := strings.TrimPrefix(text, "/")
	switch {
	case name == "" || name == ".":
		return "", failure(ErrInvalid, "the path of the file is empty")
	case len(name) > maxPath:
		return "", failure(ErrInvalid, "the path of the file is longer than %d bytes", maxPath)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) || strings.Contains(name, `\`):
		return "", failure(ErrInvalid, "the path of the file is not UTF-8, or has a control character or a backslash")
	case !fs.ValidPath(name):
		return "", failure(ErrInvalid, "the path %q is not possible: it must be relative to the root of the repository, without an empty part, %q or %q", name, ".", "..")
	}
	for part := range strings.SplitSeq(name, "/") {
		if isGitFolder(part) {
			return "", failure(ErrInvalid, "the path %q leads into the folder of git itself", name)
		}
	}
	return name, nil
}

// CleanDir is CleanPath for a folder, with or without a slash at its end; the root is empty.
func CleanDir(text string) (string, error) {
	name := strings.TrimSuffix(strings.TrimPrefix(text, "/"), "/")
	if name == "" || name == "." {
		return "", nil
	}
	return CleanPath(name)
}

// isGitFolder tells if a file system takes a name for ".git": Windows ignores case, dots and spaces at the end
// and what is behind a colon, and has short names; macOS ignores case and some invisible characters.
func isGitFolder(part string) bool {
	visible := strings.Map(func(r rune) rune {
		switch {
		case r >= 0x200c && r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x206a && r <= 0x206f, r == 0xfeff:
			return -1
		}
		return unicode.ToLower(r)
	}, part)
	visible, _, _ = strings.Cut(visible, ":")
	visible = strings.TrimRight(visible, " .")
	return visible == ".git" || visible == "git~1"
}

// DecodePath reads the path of a file from an address: base64 in its URL-safe or its standard alphabet, with or
// without padding.
func DecodePath(encoded string) (string, error) {
	text := strings.NewReplacer("%2F", "/", "%2f", "/", " ", "+").Replace(encoded)
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	name, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return "", failure(ErrInvalid, "the name of the file in the address is not base64")
	}
	return CleanPath(string(name))
}

// checkBranch checks the name of a branch.
func checkBranch(name string) (plumbing.ReferenceName, error) {
	ref := plumbing.NewBranchReferenceName(name)
	if name == "" || len(name) > 1024 || strings.HasPrefix(name, "-") || !utf8.ValidString(name) || ref.Validate() != nil {
		return "", failure(ErrInvalid, "%q is not possible as the name of a branch", oneLine(name))
	}
	return ref, nil
}
