// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package repourl

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOf(t *testing.T) {
	tests := map[string]struct {
		reason    string
		addresses []string
		want      Key
	}{
		"GitHub": {
			"all ways to write one address", []string{
				"https://github.com/Team/App.git", "https://github.com/team/app", "http://github.com/team/app/", "https://github.com:443/team/app.git",
				"https://user:pw@github.com/team/app.git", "git@github.com:team/app.git", "github.com:team/app", "ssh://git@github.com/team/app.git",
				"ssh://git@github.com:22/team/app.git", "git+ssh://git@github.com/team/app.git", "git://github.com/team/app.git", "HTTPS://GITHUB.COM/TEAM/APP.GIT",
				" https://github.com/team/app.git ", "https://github.com./team/app", "https://github.com//team///app", "git@github.com:/team/app.git",
			}, "github.com/team/app",
		},
		"enterprise":       {"", []string{"https://ghe.example.org/team/app.git", "git@ghe.example.org:team/app.git"}, "ghe.example.org/team/app"},
		"subgroups":        {"", []string{"https://gitlab.example.org/a/b/c/d.git", "git@gitlab.example.org:a/b/c/d.git"}, "gitlab.example.org/a/b/c/d"},
		"Gitea on a port":  {"the port tells servers of one host apart", []string{"http://gitea.example.org:3000/team/app.git", "https://gitea.example.org:3000/Team/app"}, "gitea.example.org:3000/team/app"},
		"SSH port":         {"", []string{"ssh://git@gitea.example.org:2222/team/app.git"}, "gitea.example.org:2222/team/app"},
		"Bitbucket Server": {"", []string{"https://bb.example.org/scm/PROJ/app.git", "https://dev@bb.example.org/scm/proj/app.git"}, "bb.example.org/scm/proj/app"},
		"Bitbucket SSH":    {"", []string{"ssh://git@bb.example.org:7999/PROJ/app.git", "ssh://git@bb.example.org:7999/proj/app.git"}, "bb.example.org:7999/proj/app"},
		"personal":         {"", []string{"https://bb.example.org/scm/~dev/app.git"}, "bb.example.org/scm/~dev/app"},
		"below a path":     {"", []string{"https://example.org/git/team/app.git"}, "example.org/git/team/app"},
		"unicode host":     {"both forms of a name", []string{"https://git.müller.example/team/app", "https://git.xn--mller-kva.example/team/app", "https://GIT.MÜLLER.example/team/app"}, "git.xn--mller-kva.example/team/app"},
		"unicode path":     {"encoded or not, composed or not", []string{"https://example.org/t%C3%A9am/app.git", "https://example.org/téam/app", "https://example.org/te\u0301am/app", "git@example.org:téam/app.git", "https://example.org/TÉAM/app"}, "example.org/téam/app"},
		"IPv6":             {"", []string{"http://[2001:DB8::1]/team/app", "git@[2001:db8::1]:team/app.git"}, "[2001:db8::1]/team/app"},
		"IPv6 port":        {"", []string{"http://[2001:db8::1]:3000/team/app.git"}, "[2001:db8::1]:3000/team/app"},
		"cluster name":     {"names of clusters may have what the DNS of the world has not", []string{"http://git_server.dev.svc:8080/a/b"}, "git_server.dev.svc:8080/a/b"},
		"file":             {"the case of a path on a disk counts", []string{"file:///srv/Repo.git"}, "file:/srv/Repo.git"},
		"only .git":        {"", []string{"https://example.org/.git"}, "example.org/.git"},
		"query":            {"", []string{"https://example.org/a/b.git?x=y#z"}, "example.org/a/b"},
		"nothing": {"", []string{
			"", " ", "app", "/srv/repo", "./a:b", "C:\\x", "https://", "https:///a/b", "https://example.org", "https://example.org/", "ftp://example.org/a/b", "javascript:alert(1)//x://",
			"https://example.org/%zz", "http://a b/c", "a\nb:c/d", "https://[::1/a", "file://host/x", "file:///", ":x", "host:", "[::1]x", "https://example.org/" + strings.Repeat("x", MaxURL), "git@host\x00:a",
		}, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			for _, address := range tc.addresses {
				if got := Of(address); got != tc.want {
					t.Errorf("%s: Of(%q) = %q, want %q", tc.reason, address, got, tc.want)
				}
			}
		})
	}
}

// TestDifferent: what is another repository has another key.
func TestDifferent(t *testing.T) {
	keys := []Key{}
	for _, address := range []string{
		"https://github.com/team/app", "https://github.com/team/app2", "https://github.com/team2/app", "https://github.com.evil.example/team/app", "https://ghe.example.org/team/app",
		"https://example.org:3000/team/app", "https://example.org:3001/team/app", "https://example.org/team/app", "https://example.org/scm/team/app", "https://example.org/team/app/sub",
		"https://example.org/team/app.github", "https://evil.example/github.com/team/app", "ssh://git@example.org:7999/team/app",
	} {
		keys = append(keys, Of(address))
	}
	slices.Sort(keys)
	if n := len(slices.Compact(slices.Clone(keys))); n != len(keys) {
		t.Errorf("%d keys of %d repositories: %v", n, len(keys), keys)
	}
}

func TestHosted(t *testing.T) {
	got := Hosted("https://Example.org:8443/bitbucket/", "scm/PROJ/app", "projects/PROJ/repos/app")
	want := []Key{"example.org:8443/bitbucket/scm/proj/app", "example.org:8443/bitbucket/projects/proj/repos/app"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := Hosted("https://github.com", "tëam/a?b%2e"); len(got) != 1 || got[0] != "github.com/tëam/a?b%2e" {
		t.Errorf("names are no parts of URLs: %q", got)
	}
	if got := Hosted("", "a/b"); got != nil {
		t.Errorf("%q", got)
	}
	for address, want := range map[string]string{"https://Git.example.org:443/x": "git.example.org", "http://example.org:3000": "example.org:3000", "": "", "nothing": ""} {
		if got := Host(address); got != want {
			t.Errorf("Host(%q) = %q, want %q", address, got, want)
		}
	}
	if Named("a/b", "C/d.git") != "server:a%2Fb/c/d" || Named("x", "/") != "" {
		t.Error("the name of a server must not run into the path")
	}
}

func FuzzOf(f *testing.F) {
	for _, seed := range []string{"https://github.com/a/b.git", "git@h:a/b", "ssh://x@[::1]:2/~a/b", "file:///x", "http://é/%2e%2e/a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		key := Of(address)
		if key == "" || strings.HasPrefix(string(key), "file:") {
			return
		}
		if strings.Contains(string(key), "//") || strings.Contains(string(key), "/../") || strings.ContainsAny(string(key), "\r\n") {
			t.Errorf("Of(%q) = %q", address, key)
		}
	})
}
