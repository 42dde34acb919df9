// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/pkg/jenkins/jenkinstest"
)

func TestNewRefusesBadConfig(t *testing.T) {
	for reason, cfg := range map[string]Config{
		"no URL":                 {},
		"no host":                {URL: "/jenkins"},
		"other scheme":           {URL: "ftp://ci"},
		"credentials in the URL": {URL: "http://admin:hunter2@ci"},
		"query":                  {URL: "http://ci/?a=b"},
		"broken":                 {URL: "http://admin:hunter2@ci:port"},
		"colon in the user":      {URL: "http://ci", Username: "a:b"},
		"missing CA file":        {URL: "https://ci", CAFile: "testdata/nosuch.pem"},
		"CA file is no PEM":      {URL: "https://ci", CAFile: "client_test.go"},
	} {
		t.Run(reason, func(t *testing.T) {
			_, err := New(cfg)
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("err = %v, want ErrInvalid", err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error repeats the password: %v", err)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	c, _ := replay(t, "01-auth-and-crumb.json")
	got, err := c.Version(t.Context())
	if err != nil || got != "2.541.2" {
		t.Fatalf("Version = %q, %v", got, err)
	}
}

func TestPathPrefix(t *testing.T) {
	var paths []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.EscapedPath())
		w.Header().Set("X-Jenkins", "2")
		w.Header().Set("Location", "http://elsewhere/ci/jenkins/queue/item/7/")
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
		}
		_, _ = io.WriteString(w, "{}")
	}))
	defer srv.Close()
	c := client(t, Config{URL: srv.URL + "/ci/jenkins/"})
	if err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	id, err := c.StartBuild(t.Context(), "a", "b", StartRequest{})
	if err != nil || id != 7 {
		t.Fatalf("StartBuild = %d, %v", id, err)
	}
	if want := "[/ci/jenkins/api/json /ci/jenkins/job/a/job/b/build]"; fmt.Sprint(paths) != want {
		t.Errorf("paths = %v, want %s", paths, want)
	}
}

func TestPing(t *testing.T) {
	t.Run("anonymous is forbidden", func(t *testing.T) {
		srv := jenkinstest.Replay(t, recordings+"01-auth-and-crumb.json")
		err := client(t, Config{URL: srv.URL}).Ping(t.Context())
		var e *Error
		if !errors.Is(err, ErrForbidden) || !errors.As(err, &e) || e.Message != "Authentication required" {
			t.Fatalf("err = %v", err)
		}
	})
	t.Run("wrong token", func(t *testing.T) {
		srv := jenkinstest.Replay(t, recordings+"01-auth-and-crumb.json")
		err := client(t, Config{URL: srv.URL, Username: "admin", Token: "WRONG"}).Ping(t.Context())
		if !errors.Is(err, ErrUnauthorized) {
			t.Fatalf("err = %v", err)
		}
		if strings.Contains(err.Error(), "WRONG") {
			t.Errorf("the error repeats the token: %v", err)
		}
	})
	t.Run("restart: 503, then 401 for a valid token, then up", func(t *testing.T) {
		c, srv := replay(t, "15-restart.json")
		srv.Use("starting: root with token")
		seen := map[error]bool{}
		for range 10 {
			err := c.Ping(t.Context())
			if err == nil {
				break
			}
			for _, kind := range []error{ErrUnavailable, ErrUnauthorized, ErrForbidden, ErrInternal, ErrInvalid} {
				if errors.Is(err, kind) {
					seen[kind] = true
				}
			}
		}
		if diff := cmp.Diff(map[string]bool{"unavailable": true, "unauthorized": true}, kinds(seen)); diff != "" {
			t.Error(diff)
		}
		if err := c.Ping(t.Context()); err != nil {
			t.Fatalf("after the start: %v", err)
		}
	})
	t.Run("not Jenkins", func(t *testing.T) {
		c := handler(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
		if err := c.Ping(t.Context()); !errors.Is(err, ErrUnexpected) {
			t.Fatalf("err = %v", err)
		}
	})
	t.Run("login page of a proxy with status 200", func(t *testing.T) {
		c := handler(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<html><head><title>Sign in</title></head></html>")
		})
		err := c.Ping(t.Context())
		if !errors.Is(err, ErrUnexpected) || !strings.Contains(err.Error(), "Sign in") {
			t.Fatalf("err = %v", err)
		}
	})
	t.Run("not found, by what is not Jenkins", func(t *testing.T) {
		for contentType, want := range map[string]error{"text/html": ErrUnavailable, "text/plain": ErrUnavailable, "": ErrUnavailable, "application/json;charset=UTF-8": ErrNotFound} {
			c := handler(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", contentType)
				w.WriteHeader(http.StatusNotFound)
			})
			if err := c.Ping(t.Context()); !errors.Is(err, want) {
				t.Errorf("%q: err = %v, want %v", contentType, err, want)
			}
		}
	})
	t.Run("redirect to a login", func(t *testing.T) {
		c := handler(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/login?from=/api/json", http.StatusFound)
		})
		if err := c.Ping(t.Context()); !errors.Is(err, ErrUnauthorized) {
			t.Fatalf("err = %v", err)
		}
	})
	t.Run("redirect of a POST to a login elsewhere", func(t *testing.T) {
		for reason, to := range map[string]string{
			"another server":     "https://sso.example/auth?client_id=ci&redirect_uri=https%3A%2F%2Fci.example",
			"a path of a proxy":  "/oauth2/start?rd=%2Fjob%2Ff",
			"Jenkins' own login": "/login?from=%2Fjob%2Ff",
		} {
			c := handler(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) })
			if err := c.PutJob(t.Context(), "f", "j", []byte("<x/>")); !errors.Is(err, ErrUnauthorized) {
				t.Errorf("%s: nothing was written, and err = %v", reason, err)
			}
		}
	})
	t.Run("redirect to https", func(t *testing.T) {
		c := handler(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://ci.example/api/json", http.StatusMovedPermanently)
		})
		if err := c.Ping(t.Context()); !errors.Is(err, ErrUnexpected) || !strings.Contains(err.Error(), "URL") {
			t.Fatalf("err = %v", err)
		}
	})
}

// TestForeignPage: a page of a proxy with status 200 is no answer to anything.
func TestForeignPage(t *testing.T) {
	c := handler(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<html><body><div id='main'><h1>Back soon</h1></div></body></html>")
	})
	for op, call := range map[string]func() error{
		"GetJobConfig": func() error { _, err := c.GetJobConfig(t.Context(), "f", "j"); return err },
		"CheckCron":    func() error { _, err := c.CheckCron(t.Context(), "f", "j", "@daily"); return err },
		"CheckJobName": func() error { _, err := c.CheckJobName(t.Context(), "f", "j"); return err },
		"CheckScript":  func() error { _, err := c.CheckScript(t.Context(), "f", "j", "x"); return err },
		"GetRun":       func() error { _, err := c.GetRun(t.Context(), "f", "j", 1); return err },
		"Log":          func() error { _, _, _, err := c.Log(t.Context(), "f", "j", 1, 0); return err },
		"ReplayRun":    func() error { _, err := c.ReplayRun(t.Context(), "f", "j", 1); return err },
		"StartBuild":   func() error { _, err := c.StartBuild(t.Context(), "f", "j", StartRequest{}); return err },
	} {
		err := call()
		var e *Error
		// The status says that the call was sent, so that nobody takes it for refused.
		if !errors.Is(err, ErrUnexpected) || !errors.As(err, &e) || e.Status != http.StatusOK {
			t.Errorf("%s: %v", op, err)
		}
	}
}

func kinds(seen map[error]bool) map[string]bool {
	out := map[string]bool{}
	for k := range seen {
		out[k.Error()] = true
	}
	return out
}

func TestUnavailable(t *testing.T) {
	t.Run("connection refused", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		err = client(t, Config{URL: "http://" + l.Addr().String(), Username: "u", Token: "hunter2"}).Ping(t.Context())
		if !errors.Is(err, ErrUnavailable) {
			t.Fatalf("err = %v", err)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error repeats the token: %v", err)
		}
	})
	t.Run("broken connection", func(t *testing.T) {
		c := handler(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "{")
			panic(http.ErrAbortHandler)
		})
		if err := c.Ping(t.Context()); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("err = %v", err)
		}
	})
	t.Run("no answer within the timeout", func(t *testing.T) {
		release := make(chan struct{})
		srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-release:
			}
		}))
		defer srv.Close()
		defer close(release)
		c := client(t, Config{URL: srv.URL, Timeout: 50 * time.Millisecond})
		if err := c.Ping(t.Context()); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("err = %v", err)
		}
	})
	t.Run("a stream that stalls", func(t *testing.T) {
		release := make(chan struct{})
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Text-Size", "100")
			_, _ = io.WriteString(w, "first\n")
			w.(http.Flusher).Flush()
			<-release
		}))
		defer srv.Close()
		defer close(release)
		c := client(t, Config{URL: srv.URL, Timeout: time.Second})
		text, _, _, err := c.Log(t.Context(), "a", "b", 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = text.Close() }()
		got, err := io.ReadAll(text)
		if string(got) != "first\n" || !errors.Is(err, ErrUnavailable) {
			t.Fatalf("read %q, %v", got, err)
		}
	})
	t.Run("a slow reader is not a stalled stream", func(t *testing.T) {
		c := handler(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Text-Size", "6")
			_, _ = io.WriteString(w, "first\n")
		})
		c.cfg.Timeout = 500 * time.Millisecond
		text, _, _, err := c.Log(t.Context(), "a", "b", 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = text.Close() }()
		if _, err := io.ReadFull(text, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(800 * time.Millisecond) // the reader is busy: there is no condition to wait for
		if _, err := io.ReadAll(text); err != nil {
			t.Fatalf("err = %v", err)
		}
	})
	t.Run("cancelled by the caller", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := handler(t, func(http.ResponseWriter, *http.Request) { cancel() })
		err := c.Ping(ctx)
		if !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnavailable) {
			t.Fatalf("err = %v", err)
		}
	})
	t.Run("token and the crumb of a starting Jenkins", func(t *testing.T) {
		c, srv := replay(t, "15-restart.json")
		srv.Use("starting: POST build")
		_, err := c.do(t.Context(), call{op: "test", method: http.MethodPost, path: "/job/rec-15i/job/p/nosuch"})
		if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrForbidden) {
			t.Fatalf("err = %v", err)
		}
	})
}

func TestHugeBody(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Jenkins", "2")
		chunk := strings.Repeat(" ", 1<<16)
		for range 64 {
			if _, err := io.WriteString(w, chunk); err != nil {
				return
			}
		}
	}))
	defer srv.Close()
	c := client(t, Config{URL: srv.URL, MaxBody: 1 << 20})
	if err := c.Ping(t.Context()); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("err = %v", err)
	}
}

func TestErrorMessages(t *testing.T) {
	tests := map[string]struct {
		status              int
		xError, ctype, body string
		kind                error
		message             string
	}{
		"X-Error goes first":    {400, "‘a/b’ is an unsafe name", "text/html", "<p>other</p>", ErrInvalid, "‘a/b’ is an unsafe name"},
		"Blue Ocean JSON":       {404, "", "application/json", `{"message":"Run 9 not found","code":404,"errors":[]}`, ErrNotFound, "Run 9 not found"},
		"page of the container": {403, "", "text/html", "<html><head><title>T</title><style>x{}</style></head><body><h1>403</h1><p>dev lacks\n Job/Build</p></body>", ErrForbidden, "403 dev lacks Job/Build"},
		"only a title":          {500, "", "text/html", "<html><head><title>Oops</title></head></html>", ErrInternal, "Oops"},
		"plain text":            {409, "", "text/plain", "busy\r\nnow\x00", ErrConflict, "busy now"},
		"empty":                 {502, "", "", "", ErrUnavailable, ""},
		"taken name":            {400, "", "text/html", "<p>A job already exists with the name ‘p2’", ErrConflict, "A job already exists with the name ‘p2’"},
		"long":                  {500, "", "text/plain", strings.Repeat("ü", 500), ErrInternal, strings.Repeat("ü", 150) + "…"},
		"main part of a page": {400, "", "text/html", "<nav>menu</nav><!--\nstart of main content ⇒\n--><h1>Error</h1><p>bad name" +
			"<!--\n⇐ end of main content\n--><footer>Jenkins 2</footer>", ErrInvalid, "Error bad name"},
	}
	for reason, tc := range tests {
		t.Run(reason, func(t *testing.T) {
			c := handler(t, func(w http.ResponseWriter, _ *http.Request) {
				if tc.xError != "" {
					w.Header().Set("X-Error", tc.xError)
				}
				w.Header().Set("Content-Type", tc.ctype)
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.body)
			})
			_, err := c.GetJobConfig(t.Context(), "f", "j")
			var e *Error
			if !errors.As(err, &e) || !errors.Is(err, tc.kind) || e.Status != tc.status || e.Message != tc.message {
				t.Fatalf("err = %#v", err)
			}
			if strings.ContainsAny(err.Error(), "\r\n") || strings.Contains(err.Error(), "t0ken-secret") {
				t.Errorf("Error() = %q", err)
			}
		})
	}
}

func TestCrumbs(t *testing.T) {
	login := func(t *testing.T, url string) *Client {
		t.Helper()
		return client(t, Config{URL: url, Username: jenkinstest.User, Password: jenkinstest.Password})
	}
	t.Run("recorded", func(t *testing.T) {
		srv := jenkinstest.Replay(t, recordings+"01-auth-and-crumb.json").Use("crumb with password", "POST by password, crumb and its cookie")
		doc := srv.Exchange("POST by password, crumb and its cookie").Request.Body
		if err := login(t, srv.URL).createItem(t.Context(), "create", "", "rec-01h", []byte(doc)); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("recorded refusal is no endless loop", func(t *testing.T) {
		srv := jenkinstest.Replay(t, recordings+"01-auth-and-crumb.json").Use("crumb with password", "POST by password, wrong crumb")
		// Jenkins says the same to every crumb of a lost session.
		srv.Exchange("POST by password, wrong crumb").Request.Headers["Jenkins-Crumb"] = "CRUMB"
		doc := srv.Exchange("POST by password, wrong crumb").Request.Body
		err := login(t, srv.URL).createItem(t.Context(), "create", "", "rec-01h", []byte(doc))
		if !errors.Is(err, ErrForbidden) || !strings.Contains(err.Error(), "No valid crumb") {
			t.Fatalf("err = %v", err)
		}
		if n := len(srv.Calls()); n != 4 {
			t.Errorf("%d calls, want 2 crumbs and 2 posts: %v", n, srv.Calls())
		}
	})

	// server is a Jenkins with sessions: a crumb is good with its cookie only.
	server := func(t *testing.T, session *atomic.Int64, issued *atomic.Int64) *Client {
		t.Helper()
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id := fmt.Sprint(session.Load())
			if r.URL.Path == "/crumbIssuer/api/json" {
				issued.Add(1)
				http.SetCookie(w, &http.Cookie{Name: "JSESSIONID", Value: id, Path: "/"})
				_, _ = fmt.Fprintf(w, `{"crumb":"c%s","crumbRequestField":"Jenkins-Crumb"}`, id)
				return
			}
			cookie, err := r.Cookie("JSESSIONID")
			if err != nil || cookie.Value != id || r.Header.Get("Jenkins-Crumb") != "c"+id {
				http.Error(w, "No valid crumb was included in the request", http.StatusForbidden)
			}
		}))
		t.Cleanup(srv.Close)
		return login(t, srv.URL)
	}
	t.Run("one crumb for many calls", func(t *testing.T) {
		var session, issued atomic.Int64
		c := server(t, &session, &issued)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if err := c.StopBuild(t.Context(), "f", "j", 1); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := issued.Load(); n != 1 {
			t.Errorf("%d crumbs were fetched", n)
		}
	})
	t.Run("renewed after the session ended", func(t *testing.T) {
		var session, issued atomic.Int64
		c := server(t, &session, &issued)
		for range 3 {
			session.Add(1)
			if err := c.StopBuild(t.Context(), "f", "j", 1); err != nil {
				t.Fatal(err)
			}
		}
		if n := issued.Load(); n != 3 {
			t.Errorf("%d crumbs were fetched", n)
		}
	})
	t.Run("no crumb issuer", func(t *testing.T) {
		posts := 0
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				notFound(w, r)
				return
			}
			posts++
		}))
		defer srv.Close()
		c := login(t, srv.URL)
		for range 2 {
			if err := c.StopBuild(t.Context(), "f", "j", 1); err != nil {
				t.Fatal(err)
			}
		}
		if posts != 2 {
			t.Errorf("posts = %d", posts)
		}
	})
	t.Run("a token needs none", func(t *testing.T) {
		c := handler(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "crumb") {
				t.Error("a crumb was asked for")
			}
		})
		if err := c.StopBuild(t.Context(), "f", "j", 1); err != nil {
			t.Fatal(err)
		}
	})
}

func TestConnectionsAreReused(t *testing.T) {
	var opened atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("tree") == "" {
			w.Header().Set("X-Jenkins", "2")
			http.Error(w, strings.Repeat("x", 10000), http.StatusNotFound)
			return
		}
		w.Header().Set("X-Jenkins", "2")
		_, _ = io.WriteString(w, "{}")
	}))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	c := client(t, Config{URL: srv.URL})
	for range 50 {
		if err := c.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.DeleteJob(t.Context(), "a", "b"); err != nil {
			t.Fatal(err)
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections were opened for 100 calls", n)
	}
}

func TestPaths(t *testing.T) {
	long := strings.Repeat("n", 300)
	for reason, tc := range map[string]struct{ folder, job, classic, blue string }{
		"plain":          {"p", "j", "/job/p/job/j/3", "/pipelines/p/pipelines/j/runs/3/"},
		"nested folder":  {"a/b", "j", "/job/a/job/b/job/j/3", "/pipelines/a/pipelines/b/pipelines/j/runs/3/"},
		"branch":         {"p", BranchJob("mb", BranchJobName("feature/x")), "/job/p/job/mb/job/feature%252Fx/3", "/pipelines/p/pipelines/mb/branches/feature%252Fx/runs/3/"},
		"percent":        {"p", BranchJob("mb", BranchJobName("a%b")), "/job/p/job/mb/job/a%2525b/3", "/pipelines/p/pipelines/mb/branches/a%2525b/runs/3/"},
		"hash":           {"p", BranchJob("mb", BranchJobName("fix#1")), "/job/p/job/mb/job/fix%25231/3", "/pipelines/p/pipelines/mb/branches/fix%25231/runs/3/"},
		"unicode":        {"p", BranchJob("mb", BranchJobName("größe")), "/job/p/job/mb/job/gr%C3%B6%C3%9Fe/3", "/pipelines/p/pipelines/mb/branches/gr%C3%B6%C3%9Fe/runs/3/"},
		"space and tick": {"p q", "it's;?", "/job/p%20q/job/it%27s%3B%3F/3", "/pipelines/p%20q/pipelines/it%27s%3B%3F/runs/3/"},
		"300 characters": {"p", long, "/job/p/job/" + long + "/3", "/pipelines/p/pipelines/" + long + "/runs/3/"},
	} {
		t.Run(reason, func(t *testing.T) {
			if got, err := buildPath("t", tc.folder, tc.job, 3); err != nil || got != tc.classic {
				t.Errorf("classic = %s, %v, want %s", got, err, tc.classic)
			}
			got, err := bluePath("t", tc.folder, tc.job, 3)
			if err != nil || strings.TrimPrefix(got, "/blue/rest/organizations/jenkins") != tc.blue {
				t.Errorf("blue = %s, %v, want %s", got, err, tc.blue)
			}
		})
	}
	for reason, tc := range map[string]struct {
		folder, job string
		build       int64
	}{
		"empty folder":   {"", "j", 1},
		"empty job":      {"p", "", 1},
		"dots":           {"p", "../../manage", 1},
		"dot":            {"p", ".", 1},
		"leading slash":  {"/p", "j", 1},
		"trailing slash": {"p", "j/", 1},
		"line end":       {"p", "j\r\nX: y", 1},
		"NUL":            {"p", "j\x00", 1},
		"no UTF-8":       {"p", "j\xff", 1},
		"build 0":        {"p", "j", 0},
		"build -1":       {"p", "j", -1},
	} {
		t.Run(reason, func(t *testing.T) {
			if p, err := buildPath("t", tc.folder, tc.job, tc.build); !errors.Is(err, ErrInvalid) {
				t.Errorf("classic = %s, %v", p, err)
			}
			if p, err := bluePath("t", tc.folder, tc.job, tc.build); !errors.Is(err, ErrInvalid) {
				t.Errorf("blue = %s, %v", p, err)
			}
		})
	}
}
