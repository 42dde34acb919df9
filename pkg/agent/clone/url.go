// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package clone

import (
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/slipway-dev/slipway/pkg/agent"
)

const (
	maxURL = 4096
	maxRef = 1024
)

// scpLike is git's short form for SSH, [user@]host:path, where the path does not begin with "//".
var scpLike = regexp.MustCompile(`^(?:([A-Za-z0-9._-]+)@)?([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):([^/].*|/[^/].*)$`)

// remote is a checked repository URL.
type remote struct {
	// url is what is fetched from and what goes into .git/config: without any credential. The user
	// name stays in SSH URLs, where it is a part of the address.
	url    string
	scheme string
	host   string
	user   string
}

func badURL(format string, args ...any) error {
	return agent.Fail(agent.ExitUsage, "InvalidURL",
		format+"; expected a URL like https://host/owner/repository.git or git@host:owner/repository.git", args...)
}

// CheckURL tells if a repository URL can be cloned: http, https, ssh and git URLs and git's scp-like
// form. Local paths, file:// and remote helpers (ext::) are refused, because they would read the
// container's own files or run commands; so are passwords in the URL. The error is a *agent.Failure of
// reason InvalidURL that does not repeat the URL.
func CheckURL(raw string) error {
	_, err := parseURL(raw)
	return err
}

func parseURL(raw string) (remote, error) {
	switch {
	case raw == "":
		return remote{}, badURL("the repository URL is empty")
	case len(raw) > maxURL:
		return remote{}, badURL("the repository URL is longer than %d bytes", maxURL)
	case strings.HasPrefix(raw, "-"):
		return remote{}, badURL("the repository URL begins with '-'")
	case strings.ContainsFunc(raw, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }):
		return remote{}, badURL("the repository URL has white space or control characters")
	case !strings.Contains(raw, "://"):
		return parseSCP(raw)
	}
	u, err := url.Parse(raw)
	if err != nil {
		// The error of url.Parse repeats the URL with its password.
		return remote{}, badURL("the repository URL cannot be parsed")
	}
	r := remote{scheme: strings.ToLower(u.Scheme), host: strings.ToLower(u.Hostname()), user: u.User.Username()}
	if !slices.Contains([]string{"http", "https", "ssh", "git"}, r.scheme) {
		return remote{}, badURL("repository URLs of scheme %q are not allowed", agent.OneLine(u.Scheme))
	}
	if err := checkHost(r.host); err != nil {
		return remote{}, err
	}
	if _, ok := u.User.Password(); ok {
		return remote{}, badURL("the repository URL has a password in it: put it into a credential instead")
	}
	if strings.Trim(u.Path, "/") == "" || u.Fragment != "" {
		return remote{}, badURL("the repository URL names no repository on %s", r.host)
	}
	if strings.HasPrefix(r.user, "-") {
		return remote{}, badURL("the user name in the repository URL begins with '-'")
	}
	u.Scheme = r.scheme
	if r.scheme != "ssh" {
		u.User = nil
	}
	r.url = u.String()
	return r, nil
}

func parseSCP(raw string) (remote, error) {
	m := scpLike.FindStringSubmatch(raw)
	// Without a user name a host must look like one, or C:\dir and javascript:x would be hosts.
	if m == nil || strings.Contains(raw, "::") || m[1] == "" && !strings.Contains(m[2], ".") {
		return remote{}, badURL("the text is not a repository URL")
	}
	r := remote{url: raw, scheme: "ssh", user: m[1], host: strings.ToLower(m[2])}
	if strings.HasPrefix(m[1], "-") || strings.HasPrefix(m[3], "-") {
		return remote{}, badURL("a part of the repository URL begins with '-'")
	}
	return r, checkHost(r.host)
}

func checkHost(host string) error {
	if host == "" || strings.HasPrefix(host, "-") {
		return badURL("the repository URL has no valid host name")
	}
	return nil
}

// CheckRef refuses what cannot be the name of a branch, tag or commit. Empty is the remote's HEAD.
func CheckRef(ref string) error {
	bad := len(ref) > maxRef || strings.HasPrefix(ref, "-") || strings.Contains(ref, "..") ||
		strings.Contains(ref, "@{") || strings.HasSuffix(ref, ".lock") || strings.HasPrefix(ref, "/") ||
		strings.ContainsFunc(ref, func(r rune) bool {
			return unicode.IsControl(r) || strings.ContainsRune(" ~^:?[\\", r)
		})
	if bad {
		return agent.Fail(agent.ExitUsage, "InvalidRef", "the text is not the name of a branch, a tag or a commit")
	}
	return nil
}

// sameRepository compares two URLs as a person would: case of the host, a trailing slash, ".git" and
// the user name do not matter.
func sameRepository(a, b string) bool {
	ra, erra := parseURL(a)
	rb, errb := parseURL(b)
	if erra != nil || errb != nil {
		return a == b
	}
	return normal(ra) == normal(rb)
}

func normal(r remote) string {
	p := r.url
	if u, err := url.Parse(p); err == nil && u.Host != "" {
		p = strings.ToLower(u.Host) + "/" + u.Path
	} else if _, rest, ok := strings.Cut(p, ":"); ok {
		p = r.host + "/" + rest
	}
	return r.scheme + "://" + strings.TrimSuffix(path.Clean(p), ".git")
}
