// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package jenkinstest is a Jenkins for tests that answers what a real Jenkins answered.
//
// A recording is a JSON file {"scenario", "jenkins", "exchanges": [{"name", "request", "response"}]}. The server knows only the requests
// of its recordings: another one fails the test. So a client that is tested with it is tested against Jenkins' own words.
package jenkinstest

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
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
		Headers map[string]Values `json:"headers"`
		Body    struct {
			JSON             any    `json:"json"`
			Text             string `json:"text"`
			ContainerMessage string `json:"container_message"`
		} `json:"body"`
	} `json:"response"`

	anyBody bool
}

// Values are the values of a header: a string, or a list where the header came more than once.
type Values []string

// UnmarshalJSON implements json.Unmarshaler.
func (v *Values) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*v = Values{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(v))
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
		data, err := read(f)
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

// read reads a file; where there is only a compressed one (name.gz), that one.
func read(name string) ([]byte, error) {
	data, err := os.ReadFile(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return data, err
	}
	f, err := os.Open(name + ".gz")
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return io.ReadAll(z)
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

// Final forgets all but the last answer of each request: what a poll saw in the end.
func (s *Server) Final() *Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := func(e *Exchange) string { return e.Request.Method + " " + e.Request.Path + " " + e.Request.Body }
	last := map[string]*Exchange{}
	for _, e := range s.all {
		last[key(e)] = e
	}
	var kept []*Exchange
	for _, e := range s.all {
		if last[key(e)] == e {
			kept = append(kept, e)
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
	e.write(w, tree)
}

// write sends the recorded answer, cut to the tree.
func (e *Exchange) write(w http.ResponseWriter, tree node) {
	for k, v := range e.Response.Headers {
		w.Header()[http.CanonicalHeaderKey(k)] = v
	}
	w.WriteHeader(e.Response.Status)
	b := e.Response.Body
	text := b.Text
	if b.JSON != nil {
		doc, err := json.Marshal(project(b.JSON, tree))
		if err != nil {
			panic(err) // it was read from JSON
		}
		text = string(doc)
	} else if b.ContainerMessage != "" {
		text = "<html><body><h1>HTTP Status</h1><p>" + b.ContainerMessage + "</p></body></html>"
	}
	_, _ = io.WriteString(w, text)
}

// ErrBroken is what Answer returns where the connection broke in the recording.
var ErrBroken = errors.New("the connection broke")

// Answer returns what Jenkins answered to the request, or ok false if the exchange is another request than this one. byRule lists the parameters, as
// "name=value", that are not those of the recording, but by a documented rule of Jenkins would have had the same answer (see fitsParams).
func (e *Exchange) Answer(r *http.Request, body string) (resp *http.Response, byRule []string, ok bool, err error) {
	tree, byRule, ok := e.fits(r, body)
	if !ok {
		return nil, nil, false, nil
	}
	if e.Response.Status == 0 {
		return nil, byRule, true, ErrBroken
	}
	rec := httptest.NewRecorder()
	e.write(rec, tree)
	resp = rec.Result()
	resp.Request = r
	return resp, byRule, true, nil
}

// find returns the exchange that answers the request, and the tree to cut the answer to.
func (s *Server) find(r *http.Request, body string) (*Exchange, node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var fits []*Exchange
	var tree node
	for _, e := range s.all {
		if cut, _, ok := e.fits(r, body); ok {
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

func (e *Exchange) fits(r *http.Request, body string) (cut node, byRule []string, ok bool) {
	path, rawQuery, _ := strings.Cut(e.Request.Path, "?")
	if e.Request.Method != r.Method || path != r.URL.EscapedPath() || !e.fitsLogin(r) {
		return nil, nil, false
	}
	want, err1 := url.ParseQuery(rawQuery)
	got, err2 := url.ParseQuery(r.URL.RawQuery)
	if err1 != nil || err2 != nil {
		return nil, nil, false
	}
	if !e.anyBody {
		wantType, gotType := e.Request.Headers["Content-Type"], r.Header.Get("Content-Type")
		switch {
		case isForm(wantType, e.Request.Body) && isForm(gotType, body):
			// Jenkins reads the parameters of a form from its address and from its body alike.
			if !merge(want, e.Request.Body) || !merge(got, body) {
				return nil, nil, false
			}
		case !sameType(wantType, gotType), !sameBody(wantType, e.Request.Body, body):
			return nil, nil, false
		}
	}
	return e.fitsParams(path, want, got)
}

// isForm reports whether the body can be read as a form. Where there is no body, a form may do without the type.
func isForm(contentType, body string) bool {
	return contentType == formType || contentType == "" && body == ""
}

const formType = "application/x-www-form-urlencoded"

func merge(into url.Values, form string) bool {
	v, err := url.ParseQuery(form)
	for k, list := range v {
		into[k] = append(into[k], list...)
	}
	return err == nil
}

// sameType compares media types; UTF-8 is what Jenkins takes where no character set is named.
func sameType(want, got string) bool {
	w, wp, err1 := mime.ParseMediaType(want)
	g, gp, err2 := mime.ParseMediaType(got)
	if want == "" && got == "" {
		return true
	}
	for _, p := range []map[string]string{wp, gp} {
		for k, v := range p {
			if k != "charset" || !strings.EqualFold(v, "utf-8") {
				return false
			}
		}
	}
	return err1 == nil && err2 == nil && w == g
}

// fitsParams compares parameters. They must be equal, but for these rules: an answer with more fields than "tree" asks for is cut to it, and a refusal does not depend on it; a Blue Ocean
// list that was asked for without a limit and is shorter than the default limit of 100 is the same with a larger one; the delay of a start changes nothing in the
// answer to it; "json" is compared as JSON.
func (e *Exchange) fitsParams(path string, want, got url.Values) (cut node, byRule []string, ok bool) {
	note := func(name string) {
		byRule = append(byRule, name+"="+got.Get(name))
		want.Del(name)
		got.Del(name)
	}
	gotTree := parseTree(got.Get("tree"))
	if got.Get("tree") != want.Get("tree") {
		if len(got["tree"]) == 1 && e.refusal() {
			want.Del("tree")
		} else if len(got["tree"]) != 1 || !e.covers(parseTree(want.Get("tree")), gotTree) {
			return nil, nil, false
		}
		note("tree")
	}
	if list, isList := e.Response.Body.JSON.([]any); (isList || e.refusal()) && !want.Has("limit") && !want.Has("start") && len(list) < 100 && largeLimit(got["limit"]) &&
		(!got.Has("start") || got.Get("start") == "0") {
		note("limit")
		if got.Has("start") {
			note("start")
		}
	}
	if (strings.HasSuffix(path, "/build") || strings.HasSuffix(path, "/buildWithParameters")) && got.Get("delay") == "0sec" && want.Get("delay") != "0sec" {
		note("delay")
	}
	for _, name := range []string{"json"} {
		if want.Has(name) && got.Has(name) && sameBody("application/json", want.Get(name), got.Get(name)) {
			want.Del(name)
			got.Del(name)
		}
	}
	return gotTree, byRule, reflect.DeepEqual(want, got)
}

// refusal reports whether Jenkins refused the request whatever it asked for.
func (e *Exchange) refusal() bool {
	switch e.Response.Status {
	case 0, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusServiceUnavailable:
		return true
	}
	return false
}

// largeLimit reports whether the limit is a power of ten from the default limit on.
func largeLimit(values []string) bool {
	return len(values) == 1 && len(values[0]) >= 3 && strings.Trim(values[0][1:], "0") == "" && values[0][0] == '1'
}

// covers is node.covers, and leaves out the jobs of jobs where no job of the answer has any: Jenkins ignores names that an object does not have.
func (e *Exchange) covers(want, got node) bool {
	jobs := got["jobs"]
	if want == nil || jobs == nil || jobs.below["jobs"] == nil || want["jobs"] == nil || want["jobs"].below["jobs"] != nil {
		return want.covers(got)
	}
	doc, _ := e.Response.Body.JSON.(map[string]any)
	list, _ := doc["jobs"].([]any)
	for _, j := range list {
		if m, _ := j.(map[string]any); m["_class"] != "org.jenkinsci.plugins.workflow.job.WorkflowJob" {
			return false
		}
	}
	flat := node{}
	for k, v := range got {
		flat[k] = v
	}
	flat["jobs"] = &field{below: node{}, to: jobs.to, ranged: jobs.ranged}
	for k, v := range jobs.below {
		if k != "jobs" {
			flat["jobs"].below[k] = v
		}
	}
	return want.covers(flat)
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
	case strings.HasPrefix(contentType, "application/json"):
		var w, g any
		return json.Unmarshal([]byte(want), &w) == nil && json.Unmarshal([]byte(got), &g) == nil && reflect.DeepEqual(w, g)
	}
	return false
}
