// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package jenkinstest is a Jenkins for tests that answers what a real Jenkins answered.
//
// A recording is a JSON file {"scenario", "jenkins", "exchanges": [{"name", "request", "response"}]}. The server knows only the requests
// of its recordings: another one fails the test. So a client that is tested with it is tested against Jenkins' own words.
package jenkinstest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
)

// User, Token and Password are the credentials of the recordings.
const (
	User     = "admin"
	Token    = "TOKEN"
	Password = "PASSWORD"
)

// Exchange is a recorded request with its answer.
type Exchange struct {
	Name    string `json:"name"`
	Request struct {
		Method      string            `json:"method"`
		Path        string            `json:"path"`
		Headers     map[string]string `json:"headers"`
		Credentials string            `json:"credentials"`
		Body        string            `json:"body"`
	} `json:"request"`
	Response struct {
		Status  int               `json:"status"`
		Headers map[string]string `json:"headers"`
		Body    struct {
			JSON             any    `json:"json"`
			Text             string `json:"text"`
			ContainerMessage string `json:"container_message"`
		} `json:"body"`
	} `json:"response"`

	anyBody bool
}

// Server answers from recordings.
type Server struct {
	*httptest.Server

	t     testing.TB
	mu    sync.Mutex
	all   []*Exchange
	next  map[string]int
	calls []string
}

// Load reads recordings.
func Load(tb testing.TB, files ...string) []*Exchange {
	tb.Helper()
	var all []*Exchange
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			tb.Fatal(err)
		}
		var rec struct {
			Exchanges []*Exchange `json:"exchanges"`
		}
		if err := json.Unmarshal(data, &rec); err != nil {
			tb.Fatalf("%s: %v", f, err)
		}
		all = append(all, rec.Exchanges...)
	}
	return all
}

// Replay starts a server that answers from the files; it ends with the test. Where a request was recorded several times, the answers
// come in the recorded order and the last one stays.
func Replay(tb testing.TB, files ...string) *Server {
	tb.Helper()
	s := &Server{t: tb, all: Load(tb, files...), next: map[string]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	tb.Cleanup(s.Close)
	return s
}

// Use forgets all exchanges but those with one of the names.
func (s *Server) Use(names ...string) *Server {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var kept []*Exchange
	for _, n := range names {
		found := false
		for _, e := range s.all {
			if e.Name == n {
				kept, found = append(kept, e), true
			}
		}
		if !found {
			s.t.Fatalf("no exchange is named %q", n)
		}
	}
	s.all = kept
	return s
}

// AnyBody lets the exchanges with one of the names answer whatever the body says, where the answer does not depend on it.
func (s *Server) AnyBody(names ...string) *Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.all {
		for _, n := range names {
			if e.Name == n {
				e.anyBody = true
			}
		}
	}
	return s
}

// Exchange returns the first exchange of that name.
func (s *Server) Exchange(name string) *Exchange {
	s.t.Helper()
	for _, e := range s.all {
		if e.Name == name {
			return e
		}
	}
	s.t.Fatalf("no exchange is named %q", name)
	return nil
}

// Calls returns the names of the exchanges that were asked for, in order.
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.calls...)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Errorf("read the request: %v", err)
		return
	}
	if r.Header.Get("Accept") == "" {
		s.t.Errorf("%s %s has no Accept header", r.Method, r.URL)
	}
	e, tree := s.find(r, string(body))
	if e == nil {
		s.t.Errorf("Jenkins was not recorded with %s %s %s", r.Method, r.URL.RequestURI(), body)
		http.Error(w, "not recorded", http.StatusTeapot)
		return
	}
	if e.Response.Status == 0 {
		panic(http.ErrAbortHandler) // the connection was broken
	}
	for k, v := range e.Response.Headers {
		w.Header().Set(k, v)
	}
	w.WriteHeader(e.Response.Status)
	b := e.Response.Body
	text := b.Text
	if b.JSON != nil {
		doc, err := json.Marshal(project(b.JSON, tree))
		if err != nil {
			s.t.Error(err)
		}
		text = string(doc)
	} else if b.ContainerMessage != "" {
		text = "<html><body><h1>HTTP Status</h1><p>" + b.ContainerMessage + "</p></body></html>"
	}
	_, _ = io.WriteString(w, text)
}

// find returns the exchange that answers the request, and the tree to cut the answer to.
func (s *Server) find(r *http.Request, body string) (*Exchange, node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var fits []*Exchange
	var tree node
	for _, e := range s.all {
		if cut, ok := e.fits(r, body); ok {
			fits, tree = append(fits, e), cut
		}
	}
	if len(fits) == 0 {
		return nil, nil
	}
	key := r.Method + " " + r.URL.RequestURI() + " " + body
	i := min(s.next[key], len(fits)-1)
	s.next[key]++
	s.calls = append(s.calls, fits[i].Name)
	return fits[i], tree
}

func (e *Exchange) fits(r *http.Request, body string) (node, bool) {
	path, rawQuery, _ := strings.Cut(e.Request.Path, "?")
	if e.Request.Method != r.Method || path != r.URL.EscapedPath() || !e.fitsLogin(r) {
		return nil, false
	}
	want, err1 := url.ParseQuery(rawQuery)
	got, err2 := url.ParseQuery(r.URL.RawQuery)
	if err1 != nil || err2 != nil {
		return nil, false
	}
	wantTree, gotTree := parseTree(want.Get("tree")), parseTree(got.Get("tree"))
	want.Del("tree")
	got.Del("tree")
	if !reflect.DeepEqual(want, got) || !wantTree.covers(gotTree) {
		return nil, false
	}
	return gotTree, e.anyBody || sameBody(e.Request.Headers["Content-Type"], e.Request.Body, body)
}

func (e *Exchange) fitsLogin(r *http.Request) bool {
	user, secret, ok := r.BasicAuth()
	if e.Request.Headers["auth"] == "none" {
		return !ok
	}
	creds := e.Request.Credentials
	if creds == "" {
		creds = User + ":" + Token
	}
	if !ok || creds != user+":"+secret {
		return false
	}
	want := e.Request.Headers["Jenkins-Crumb"]
	return want == r.Header.Get("Jenkins-Crumb")
}

func sameBody(contentType, want, got string) bool {
	switch {
	case want == got:
		return true
	case strings.HasPrefix(contentType, "application/x-www-form-urlencoded"):
		w, err1 := url.ParseQuery(want)
		g, err2 := url.ParseQuery(got)
		return err1 == nil && err2 == nil && reflect.DeepEqual(w, g)
	case strings.HasPrefix(contentType, "application/json"):
		var w, g any
		return json.Unmarshal([]byte(want), &w) == nil && json.Unmarshal([]byte(got), &g) == nil && reflect.DeepEqual(w, g)
	}
	return false
}
