// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitrepository

import (
	"time"

	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/slipway-dev/slipway/pkg/gitfiles"
)

// List is a page, in the envelope that consoles know: the usual one and what was asked for.
type List[T any] struct {
	// Items is the page, never null.
	Items []T `json:"items"`
	// TotalItems is how many there are on all pages.
	TotalItems int `json:"totalItems"`
	// Options are page and limit as they were understood.
	Options ListOptions `json:"options"`
}

// ListOptions say which page it is.
type ListOptions struct {
	// Page counts from 1.
	Page int `json:"page"`
	// Limit is how many items a page has.
	Limit int `json:"limit"`
}

// Signature says who did something, and when. Its names are those of consoles, in upper case.
type Signature struct {
	Name  string    `json:"Name"`
	Email string    `json:"Email"`
	When  time.Time `json:"When"`
}

// Commit is a commit. Its names are those of consoles, in upper case.
type Commit struct {
	// Hash names the commit, in 40 hexadecimal digits.
	Hash string `json:"Hash"`
	// Author wrote it, Committer put it where it is.
	Author    Signature `json:"Author"`
	Committer Signature `json:"Committer"`
	// MergeTag is the signed tag that a merge took.
	MergeTag string `json:"MergeTag"`
	// Message is the message.
	Message string `json:"Message"`
	// TreeHash names the files.
	TreeHash string `json:"TreeHash"`
	// ParentHashes name the commits before.
	ParentHashes []string `json:"ParentHashes"`
}

// CommitInfo is a commit in a list, or one that was made.
type CommitInfo struct {
	Commit *Commit `json:"commit"`
}

// BranchInfo is a branch.
type BranchInfo struct {
	// Ref is the full name, as refs/heads/main.
	Ref string `json:"ref"`
	// Name is the name, as main.
	Name string `json:"name"`
	// Commit is where it is.
	Commit *Commit `json:"commit"`
}

// FileInfo is a file or folder.
type FileInfo struct {
	// Data is the content, in base64; null if it was not asked for.
	Data []byte `json:"data"`
	// Name is the last part of the path; of a folder that is listed, the path.
	Name string `json:"name"`
	// Size is in bytes.
	Size int64 `json:"size"`
	// IsDir, IsBinary and IsSymlink say what it is.
	IsDir     bool `json:"isDir"`
	IsBinary  bool `json:"isBinary"`
	IsSymlink bool `json:"isSymlink"`
	// Commit is the last one that changed it, in lists that ask for it.
	Commit *Commit `json:"commit,omitempty"`
}

// NamedData is a file to be written.
type NamedData struct {
	// Name is the path in the repository.
	Name string `json:"name"`
	// Data is the content, in base64.
	Data []byte `json:"data,omitempty"`
}

// AddFilesBody asks for a commit of files.
type AddFilesBody struct {
	// Branch must be that of the address, if it is given.
	Branch string `json:"branch,omitempty"`
	// Files are written.
	Files []NamedData `json:"files"`
	// Message is the commit's.
	Message string `json:"message"`
	// Overwrite lets files be replaced.
	Overwrite bool `json:"overwrite,omitempty"`
	// Unpack takes the first file for a tar archive with gzip.
	Unpack bool `json:"unpack,omitempty"`
	// Uploaded takes the contents from what was uploaded before.
	Uploaded bool `json:"uploaded,omitempty"`
	// Commit is what the files were seen at; one that has changed since is a conflict.
	Commit string `json:"commit,omitempty"`
}

// CheckoutBody says where a new branch begins.
type CheckoutBody struct {
	// Branch must be that of the address, if it is given.
	Branch string `json:"branch,omitempty"`
	// From is a branch, tag or commit.
	From string `json:"from,omitempty"`
	// Force is taken for the sake of older clients; it changes nothing.
	Force bool `json:"force,omitempty"`
}

// Identity is who commits are by. Its names are those of git's configuration as consoles know it.
type Identity struct {
	Name  string `json:"Name"`
	Email string `json:"Email"`
}

// Config is the part of git's configuration that can be set.
type Config struct {
	// User is who commits are by, Author and Committer the same in the two roles. Where they differ Author
	// counts.
	User      Identity `json:"User"`
	Author    Identity `json:"Author"`
	Committer Identity `json:"Committer"`
}

// ConfigBody is the envelope of Config.
type ConfigBody struct {
	Config *Config `json:"config"`
}

// Empty is the answer of an action that has nothing to say.
type Empty struct{}

func signatureOf(s object.Signature) Signature {
	return Signature{Name: s.Name, Email: s.Email, When: s.When}
}

func commitOf(c *object.Commit) *Commit {
	if c == nil {
		return nil
	}
	parents := make([]string, 0, len(c.ParentHashes))
	for _, p := range c.ParentHashes {
		parents = append(parents, p.String())
	}
	return &Commit{
		Hash: c.Hash.String(), Author: signatureOf(c.Author), Committer: signatureOf(c.Committer), MergeTag: c.MergeTag,
		Message: c.Message, TreeHash: c.TreeHash.String(), ParentHashes: parents,
	}
}

func branchOf(b gitfiles.Branch) BranchInfo {
	return BranchInfo{Ref: b.Ref, Name: b.Name, Commit: commitOf(b.Commit)}
}

func fileOf(f gitfiles.File) FileInfo {
	return FileInfo{
		Data: f.Content, Name: f.Name, Size: f.Size, IsDir: f.Folder, IsBinary: f.Binary, IsSymlink: f.Link, Commit: commitOf(f.Commit),
	}
}
