// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package scm

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var hostedProviders = []Provider{GitHub, GitLab, Gitea, BitbucketCloud, BitbucketServer}

func connect(t *testing.T, o Options) Client {
	t.Helper()
	c, err := NewFactory(true).Client(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// trial is a test with one provider: its fake server, and a client with a good credential.
type trial struct {
	*testing.T
	p Provider
	f *fake
	c Client
}

// each runs a test for every provider, with a token alone and with a name.
func each(t *testing.T, test func(t trial)) {
	t.Helper()
	for _, p := range hostedProviders {
		for kind, credential := range map[string]Credential{"token": {Token: goodToken}, "basic": {Username: "dev", Password: goodToken}} {
			t.Run(string(p)+"/"+kind, func(t *testing.T) {
				f := newFake(t)
				test(trial{t, p, f, connect(t, Options{Provider: p, Server: f.URL, Credential: credential})})
			})
		}
	}
}

func TestVerify(t *testing.T) {
	each(t, func(t trial) {
		c := t.c
		user, err := c.Verify(t.Context())
		if err != nil || user.Login != "dev" {
			t.Errorf("got %+v, %v", user, err)
		}
	})
}

func TestOrganizations(t *testing.T) {
	each(t, func(t trial) {
		p, c := t.p, t.c
		list, err := c.Organizations(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) != organizations+1 || !list[0].User {
			t.Fatalf("got %d, first %+v; want all of several pages, and the user first", len(list), list[0])
		}
		seen := map[string]bool{}
		for _, o := range list {
			seen[o.Name] = true
		}
		if len(seen) != organizations+1 {
			t.Errorf("%d different names of %d", len(seen), len(list))
		}
		if p == BitbucketServer && list[0].Name != "~dev" {
			t.Errorf("the user's own project is called %q", list[0].Name)
		}
		list, err = c.Organizations(t.Context(), false)
		if err != nil || len(list) != organizations || list[0].User {
			t.Errorf("without the user: %d, %v", len(list), err)
		}
	})
}

func TestRepositories(t *testing.T) {
	pages := map[string]struct {
		reason      string
		page        Page
		first, last string
		count       int
	}{
		"first":   {"", Page{Number: 1, Size: 20}, "repo-000", "repo-019", 20},
		"zero":    {"nothing given is the first page", Page{}, "repo-000", "repo-099", 100},
		"second":  {"", Page{Number: 2, Size: 100}, "repo-100", "repo-199", 100},
		"last":    {"", Page{Number: 3, Size: 100}, "repo-200", "repo-229", 30},
		"odd":     {"the size divides no page of the server", Page{Number: 3, Size: 70}, "repo-140", "repo-209", 70},
		"large":   {"a page of ours is several of the server's", Page{Number: 1, Size: 200}, "repo-000", "repo-199", 200},
		"beyond":  {"", Page{Number: 9, Size: 100}, "", "", 0},
		"too big": {"", Page{Number: 1, Size: 100_000}, "repo-000", "repo-229", 230},
	}
	each(t, func(t trial) {
		p, c := t.p, t.c
		for name, tc := range pages {
			list, err := c.Repositories(t.Context(), "team", tc.page)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			first, last := "", ""
			if len(list) > 0 {
				first, last = list[0].Name, list[len(list)-1].Name
			}
			if len(list) != tc.count || first != tc.first || last != tc.last {
				t.Errorf("%s: %d from %q to %q, want %d from %q to %q: %s", name, len(list), first, last, tc.count, tc.first, tc.last, tc.reason)
			}
			if len(list) > 0 && p != BitbucketServer && list[0].DefaultBranch != "main" {
				t.Errorf("%s: default branch %q", name, list[0].DefaultBranch)
			}
			if len(list) > 0 && (!strings.HasPrefix(list[0].CloneURL, "https://example.test/") || strings.Contains(list[0].CloneURL, "@") || !strings.HasPrefix(list[0].FullName, "team/")) {
				t.Errorf("%s: %+v", name, list[0])
			}
		}
		list, err := c.Repositories(t.Context(), "DEV", Page{})
		if p != BitbucketCloud && (err != nil || len(list) != 3) {
			t.Errorf("the user's own: %d, %v", len(list), err)
		}
		if _, err := c.Repositories(t.Context(), "nobody", Page{}); !errors.Is(err, NotFound) {
			t.Errorf("no such organization: %v", err)
		}
		for _, hostile := range []string{"../../user", "a?b=c", "team/../../x", "ünï", strings.Repeat("x", 300)} {
			if _, err := c.Repositories(t.Context(), hostile, Page{}); !errors.Is(err, NotFound) {
				t.Errorf("%q: %v", hostile, err)
			}
		}
		if _, err := c.Repositories(t.Context(), " / ", Page{}); !errors.Is(err, Invalid) {
			t.Errorf("empty: %v", err)
		}
	})
}

// TestServerGivesLess: a server may be configured to give fewer on a page than it is asked for.
func TestServerGivesLess(t *testing.T) {
	f := newFake(t)
	f.cap = 30
	c := connect(t, Options{Provider: Gitea, Server: f.URL, Credential: Credential{Token: goodToken}})
	for number, want := range map[int]string{1: "repo-000 100 repo-099", 2: "repo-100 100 repo-199", 3: "repo-200 30 repo-229"} {
		list, err := c.Repositories(t.Context(), "team", Page{Number: number, Size: 100})
		if err != nil || len(list) == 0 {
			t.Fatalf("page %d: %v", number, err)
		}
		if got := fmt.Sprintf("%s %d %s", list[0].Name, len(list), list[len(list)-1].Name); got != want {
			t.Errorf("page %d: %s, want %s", number, got, want)
		}
	}
	if list, err := c.Organizations(t.Context(), false); err != nil || len(list) != organizations {
		t.Errorf("%d organizations, %v", len(list), err)
	}
}

func TestGitLabGroupInGroup(t *testing.T) {
	f := newFake(t)
	c := connect(t, Options{Provider: GitLab, Server: f.URL + "/api/v4", Credential: Credential{Token: goodToken}})
	list, err := c.Repositories(t.Context(), "team/sub", Page{Size: 5})
	if err != nil || len(list) != 5 || list[0].FullName != "team/sub/repo-000" {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestFailures: each kind of failure is told from others, with what to do and without the credential.
func TestFailures(t *testing.T) {
	limit := func(code int, header map[string]string) func(*fake) {
		return func(f *fake) {
			f.limited = func(w http.ResponseWriter, _ *http.Request) {
				for name, value := range header {
					if name == "X-RateLimit-Reset" {
						value = strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
					}
					w.Header().Set(name, value)
				}
				reply(w, code, map[string]any{"message": "API rate limit exceeded for you"})
			}
		}
	}
	tests := map[string]struct {
		reason  string
		token   string
		change  func(*fake)
		want    Reason
		message string
		after   time.Duration
	}{
		"wrong":         {"", "wrong-token-0123456789", nil, BadCredential, "does not accept the credential", 0},
		"weak":          {"", weakToken, nil, NoRight, "scopes", 0},
		"limited":       {"GitHub says it with 403", goodToken, limit(403, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "in an hour"}), RateLimited, "try again in", time.Hour},
		"secondary":     {"and without a count", goodToken, limit(403, map[string]string{"Retry-After": "60"}), RateLimited, "try again in 1m0s", time.Minute},
		"too many":      {"others with 429", goodToken, limit(429, map[string]string{"Retry-After": "7"}), RateLimited, "7s", 7 * time.Second},
		"no time":       {"", goodToken, limit(429, nil), RateLimited, "try again later", 0},
		"hostile times": {"", goodToken, limit(429, map[string]string{"Retry-After": "99999999999999"}), RateLimited, "try again later", 0},
		"broken":        {"", goodToken, limit(500, nil), ServerError, "status 500", 0},
		"a page": {"", goodToken, func(f *fake) {
			f.limited = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>login</html>")) }
		}, ServerError, "kind of the server", 0},
		"null": {"what is taken for granted is not there", goodToken, func(f *fake) {
			f.limited = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`[null]`)) }
		}, ServerError, "kind of the server", 0},
		"cut": {"", goodToken, func(f *fake) {
			f.limited = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"login":"d`)) }
		}, ServerError, "kind of the server", 0},
		"redirect to it": {"", goodToken, func(f *fake) {
			f.limited = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }
		}, Refused, "redirects", 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			each(t, func(t trial) {
				p, f := t.p, t.f
				if tc.change != nil {
					tc.change(f)
				}
				c := connect(t.T, Options{Provider: p, Server: f.URL, Credential: Credential{Token: tc.token}})
				_, verifyErr := c.Verify(t.Context())
				_, listErr := c.Organizations(t.Context(), false)
				_, repositoriesErr := c.Repositories(t.Context(), "team", Page{})
				for i, err := range []error{verifyErr, listErr, repositoriesErr} {
					if p == BitbucketServer && i == 0 && tc.want == ServerError && (name == "a page" || name == "null" || name == "cut") {
						// The answer to who it is is text.
						if !errors.Is(err, ServerError) {
							t.Errorf("got %v", err)
						}
						continue
					}
					var e *Error
					if !errors.As(err, &e) || e.Reason != tc.want || !strings.Contains(e.Message, tc.message) {
						t.Fatalf("%s: got %v, want %s with %q", tc.reason, err, tc.want, tc.message)
					}
					if strings.Contains(err.Error(), tc.token) {
						t.Errorf("the message has the token: %s", err)
					}
					if d := e.RetryAfter - tc.after; d < -3*time.Second || d > 3*time.Second {
						t.Errorf("retry after %s, want %s", e.RetryAfter, tc.after)
					}
				}
			})
		})
	}
}

func TestNoCredential(t *testing.T) {
	each(t, func(t trial) {
		p, f := t.p, t.f
		_, err := connect(t.T, Options{Provider: p, Server: f.URL}).Verify(t.Context())
		if !errors.Is(err, BadCredential) {
			t.Errorf("got %v", err)
		}
	})
	f := newFake(t)
	_, err := connect(t, Options{Provider: BitbucketServer, Server: f.URL}).Organizations(t.Context(), true)
	if !errors.Is(err, BadCredential) {
		t.Errorf("Bitbucket Server answers nobody with an empty name: %v", err)
	}
}

func TestTLS(t *testing.T) {
	f := start(t, httptest.NewTLSServer)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw})
	plainServer := newFake(t)
	tests := map[string]struct {
		reason  string
		o       Options
		want    Reason
		message string
	}{
		"unknown":  {"", Options{Server: f.URL}, BadTLS, "authority"},
		"known":    {"", Options{Server: f.URL, CA: ca}, "", ""},
		"insecure": {"", Options{Server: f.URL, InsecureSkipTLS: true}, "", ""},
		"name":     {"httptest's certificate is not for localhost", Options{Server: strings.Replace(f.URL, "127.0.0.1", "localhost", 1), CA: ca}, BadTLS, "another name"},
		"no TLS":   {"", Options{Server: strings.Replace(plainServer.URL, "http:", "https:", 1)}, BadTLS, "does not speak TLS"},
		"no host":  {"", Options{Server: "https://nowhere.invalid"}, NoServer, "nowhere.invalid"},
		"no port":  {"", Options{Server: "http://127.0.0.1:1"}, NoServer, "cannot be reached"},
	}
	for name, tc := range tests {
		for _, p := range append([]Provider{Git}, hostedProviders...) {
			t.Run(name+"/"+string(p), func(t *testing.T) {
				tc.o.Provider, tc.o.Credential = p, Credential{Token: goodToken}
				_, err := connect(t, tc.o).Verify(t.Context())
				if p == Git && tc.want == "" {
					if !errors.Is(err, NotFound) { // the fake is no git server
						t.Errorf("got %v", err)
					}
					return
				}
				if tc.want == "" {
					if err != nil {
						t.Errorf("got %v", err)
					}
					return
				}
				if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.message) {
					t.Errorf("got %v, want %s with %q", err, tc.want, tc.message)
				}
			})
		}
	}
	if _, err := NewFactory(true).Client(Options{Provider: GitHub, CA: []byte("no certificate")}); !errors.Is(err, Invalid) {
		t.Errorf("a bad authority: %v", err)
	}
}

// TestLocalServers: without the flag, nothing that only this machine can reach is asked.
func TestLocalServers(t *testing.T) {
	f := newFake(t)
	for _, p := range append([]Provider{Git}, hostedProviders...) {
		c, err := NewFactory(false).Client(Options{Provider: p, Server: f.URL, Credential: Credential{Token: goodToken}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Verify(t.Context()); !errors.Is(err, Refused) || !strings.Contains(err.Error(), "--egress-allow-local") {
			t.Errorf("%s: %v", p, err)
		}
	}
	if len(f.asked) > 0 {
		t.Errorf("it was asked: %v", f.asked)
	}
}

// TestEndlessAnswers: a server that means ill cannot fill the memory, neither with one answer nor with many pages.
func TestEndlessAnswers(t *testing.T) {
	for name, item := range map[string]string{"many pages": `[{"login":"` + strings.Repeat("x", 1<<20) + `"}]`, "one page": `[{"login":"` + strings.Repeat("x", 32<<20) + `"}]`} {
		var sent atomic.Int64
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			page, _ := strconv.Atoi(r.URL.Query().Get("page"))
			w.Header().Set("Link", fmt.Sprintf(`<http://%s/?page=%d>; rel="next"`, r.Host, page+1))
			n, _ := io.WriteString(w, item)
			sent.Add(int64(n))
		}))
		c := connect(t, Options{Provider: GitHub, Server: server.URL, Credential: Credential{Token: goodToken}})
		if _, err := c.Organizations(t.Context(), false); !errors.Is(err, ServerError) {
			t.Errorf("%s: %v", name, err)
		}
		server.Close()
		if sent.Load() > 3*maxAnswers {
			t.Errorf("%s: it sent %d bytes", name, sent.Load())
		}
	}
}

// TestCredentialStays: a redirect does not take the credential to another server.
func TestCredentialStays(t *testing.T) {
	got := make(chan string, 10)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header.Get("Authorization")
		reply(w, 200, map[string]any{"login": "x"})
	}))
	defer other.Close()
	f := newFake(t)
	f.limited = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	}
	c := connect(t, Options{Provider: GitHub, Server: f.URL, Credential: Credential{Token: goodToken}})
	if _, err := c.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	if header := <-got; header != "" {
		t.Errorf("the other server got %q", header)
	}
}

func TestServerAddress(t *testing.T) {
	tests := map[string]struct {
		provider Provider
		server   string
		want     string
		reason   Reason
	}{
		"github":             {GitHub, "", "https://api.github.com", ""},
		"github page":        {GitHub, "https://github.com/", "https://api.github.com", ""},
		"github API":         {GitHub, "https://api.github.com", "https://api.github.com", ""},
		"enterprise":         {GitHub, "https://ghe.example.org", "https://ghe.example.org/api/v3", ""},
		"enterprise API":     {GitHub, "https://ghe.example.org/api/v3/", "https://ghe.example.org/api/v3", ""},
		"residency":          {GitHub, "https://octo.ghe.com", "https://api.octo.ghe.com", ""},
		"residency API":      {GitHub, "https://api.octo.ghe.com", "https://api.octo.ghe.com", ""},
		"gitlab below":       {GitLab, "https://example.org/gitlab/api/v4", "https://example.org/gitlab", ""},
		"gitlab":             {GitLab, "", "https://gitlab.com", ""},
		"gitea":              {Gitea, "http://gitea.example.org:3000/", "http://gitea.example.org:3000", ""},
		"cloud":              {BitbucketCloud, "https://bitbucket.org", "https://api.bitbucket.org", ""},
		"stash":              {BitbucketServer, "https://example.org/bitbucket/rest/api/1.0", "https://example.org/bitbucket", ""},
		"stash without":      {BitbucketServer, "", "", Invalid},
		"git without":        {Git, "", "", Invalid},
		"git over SSH":       {Git, "git@example.org:a/b.git", "", Unsupported},
		"SSH":                {Git, "ssh://git@example.org/a/b.git", "", Unsupported},
		"user":               {GitLab, "https://user:pw@example.org", "", Refused},
		"file":               {Git, "file:///etc", "", Refused},
		"no URL":             {GitHub, "example.org", "", Refused},
		"query and fragment": {Gitea, "https://example.org/?a=b#c", "https://example.org", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := serverOf(tc.provider, tc.server)
			if tc.reason != "" {
				if !errors.Is(err, tc.reason) || strings.Contains(err.Error(), "pw") {
					t.Errorf("got %v, want %s", err, tc.reason)
				}
				return
			}
			if err != nil || got.String() != tc.want {
				t.Errorf("got %v, %v; want %s", got, err, tc.want)
			}
		})
	}
	if p, err := ParseProvider("bitbucket-server"); p != BitbucketServer || err != nil {
		t.Errorf("%s %v", p, err)
	}
	if _, err := ParseProvider("cvs\n\x1b[31m"); err == nil || strings.ContainsAny(err.Error(), "\n\x1b") {
		t.Errorf("got %v", err)
	}
	c, err := NewFactory(false).Client(Options{Provider: BitbucketServer, Server: "https://bitbucket.org/"})
	if err != nil || c.(*hosted).provider != BitbucketCloud {
		t.Errorf("the console's address of Bitbucket Cloud: %v", err)
	}
}

func TestConnectionsAreShared(t *testing.T) {
	f := NewFactory(true)
	first, _ := f.shared(Options{Credential: Credential{Token: "a"}})
	second, _ := f.shared(Options{Credential: Credential{Token: "b"}})
	insecure, _ := f.shared(Options{InsecureSkipTLS: true})
	if first != second || first == insecure {
		t.Error("connections belong to a way to trust, not to a credential")
	}
}

func TestOneLine(t *testing.T) {
	if diff := cmp.Diff("a b �c", oneLine("a\n\tb\u202e \xffc\x00")); diff != "" {
		t.Error(diff)
	}
}
