// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package clone

import (
	"bytes"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/pkg/agent"
)

func TestCheckURL(t *testing.T) {
	good := map[string]struct{ url, kept, host, user string }{
		"https":        {"https://gitee.com/a/b.git", "https://gitee.com/a/b.git", "gitee.com", ""},
		"http port":    {"http://Git.Example:8080/a", "http://Git.Example:8080/a", "git.example", ""},
		"user":         {"https://org@dev.azure.com/org/p/_git/r", "https://dev.azure.com/org/p/_git/r", "dev.azure.com", "org"},
		"ssh":          {"ssh://git@h:2222/a/b.git", "ssh://git@h:2222/a/b.git", "h", "git"},
		"scp":          {"git@github.com:a/b.git", "git@github.com:a/b.git", "github.com", "git"},
		"scp absolute": {"git@h:/srv/a.git", "git@h:/srv/a.git", "h", "git"},
		"scp no user":  {"h.example:a/b", "h.example:a/b", "h.example", ""},
		"git":          {"git://h/a", "git://h/a", "h", ""},
		"upper scheme": {"HTTPS://h/a", "https://h/a", "h", ""},
		"unicode path": {"https://h/张三/项目.git", "https://h/%E5%BC%A0%E4%B8%89/%E9%A1%B9%E7%9B%AE.git", "h", ""},
	}
	for name, tc := range good {
		t.Run(name, func(t *testing.T) {
			r, err := parseURL(tc.url)
			if err != nil {
				t.Fatal(err)
			}
			if r.url != tc.kept || r.host != tc.host || r.user != tc.user {
				t.Errorf("got %+v, want %+v", r, tc)
			}
		})
	}
	bad := map[string]string{
		"empty": "", "file": "file:///etc", "path": "/etc/passwd", "relative": "../x", "ext": "ext::sh -c id", "ext no space": "ext::sh",
		"fd": "fd::17", "option": "-oProxyCommand=id", "option host": "ssh://-oProxyCommand=id/x", "option user": "-x@h:y", "option path": "h:-x",
		"option scp host": "git@-oX:y", "newline": "https://h/a\nb", "space": "https://h/a b", "NUL": "https://h/\x00", "no host": "https:///a",
		"no path": "https://h/", "password": "https://u:hunter2@h/a", "ssh password": "ssh://u:hunter2@h/a", "ftp": "ftp://h/a", "javascript": "javascript:alert(1)//x",
		"long": "https://h/" + strings.Repeat("a", 5000), "bad escape": "https://h/%zz", "windows": `C:\x`, "word": "hello", "fragment": "https://h/a#b",
	}
	for name, raw := range bad {
		t.Run("refuse "+name, func(t *testing.T) {
			err := CheckURL(raw)
			if err == nil {
				t.Fatalf("%q was accepted", raw)
			}
			if f := agent.AsFailure(err); f.Reason != "InvalidURL" || strings.Contains(f.Message, "hunter2") || strings.ContainsAny(f.Message, "\n\x00") {
				t.Errorf("got %+v", f)
			}
		})
	}
}

func TestSameRepository(t *testing.T) {
	cases := map[string]struct {
		a, b string
		same bool
	}{
		".git":      {"https://h/a/b", "https://H/a/b.git", true},
		"slash":     {"https://h/a/b/", "https://h/a/b", true},
		"user":      {"https://u@h/a/b", "https://h/a/b", true},
		"scp":       {"git@h:a/b.git", "git@h:a/b", true},
		"other":     {"https://h/a/b", "https://h/a/c", false},
		"other one": {"https://h/a/b", "https://g/a/b", false},
		"port":      {"https://h:1/a/b", "https://h/a/b", false},
		"scheme":    {"https://h/a/b", "git@h:a/b", false},
	}
	for name, tc := range cases {
		if got := sameRepository(tc.a, tc.b); got != tc.same {
			t.Errorf("%s: %q and %q: %v", name, tc.a, tc.b, got)
		}
	}
}

func TestCheckRef(t *testing.T) {
	for _, ref := range []string{"", "main", "feature/ü-1", "v1.0", "refs/pull/1/head", strings.Repeat("a", 40), "*/main", "release/2024.1"} {
		if err := CheckRef(ref); err != nil {
			t.Errorf("%q: %v", ref, err)
		}
	}
	for _, ref := range []string{"-x", "--upload-pack=x", "a..b", "a b", "a\nb", "a:b", "a^", "a~1", "@{-1}", "x.lock", "/x", strings.Repeat("a", 2000), "a\\b", "a?", "a["} {
		if err := CheckRef(ref); err == nil {
			t.Errorf("%q was accepted", ref)
		}
	}
}

func TestProgressLines(t *testing.T) {
	var out bytes.Buffer
	w := &lineWriter{out: &out}
	for _, p := range []string{"Counting: 1%\rCounting: 2%\rCoun", "ting: 100%, done.\n", "\x1b[31mred\n", strings.Repeat("x", 600)} {
		if n, err := w.Write([]byte(p)); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
	}
	want := "remote: Counting: 1%\nremote: Counting: 100%, done.\nremote: [31mred\nremote: " + strings.Repeat("x", 600) + "\n"
	if out.String() != want {
		t.Errorf("got %q", out.String())
	}
}

func TestBuiltInAuthorities(t *testing.T) {
	t.Setenv("SSL_CERT_FILE", "/no/such")
	t.Setenv("SSL_CERT_DIR", "/no/such")
	pool, err := rootCAs("")
	if err != nil {
		t.Fatal(err)
	}
	// The pool of the machine may be cached by the process; it must not be empty in any case.
	if len(pool.Subjects()) < 50 { //nolint:staticcheck // enough for a count
		t.Errorf("%d authorities", len(pool.Subjects())) //nolint:staticcheck // enough for a count
	}
	if _, err := rootCAs("/etc/passwd"); err == nil {
		t.Error("a file without certificates was accepted")
	}
}

func TestScrub(t *testing.T) {
	c := Credentials{Password: "p@ss w/rd"}
	got := scrub("get https://u:p%40ss@h/x?q=p%40ss+w%2Frd p@ss w/rd\nend", c)
	if strings.Contains(got, "p@ss") || strings.Contains(got, "p%40ss") || strings.Contains(got, "\n") {
		t.Errorf("got %q", got)
	}
}
