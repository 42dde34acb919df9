// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/pkg/jenkins/jenkinstest"
)

var update = flag.Bool("update", false, "write docs/jenkins-recordings.md")

const (
	tableFile = "../../docs/jenkins-recordings.md"
	// pinnedFile lists the parameters that the client sends and that no recording has in these very words.
	pinnedFile = "testdata/parameters.txt"
)

// pin is a Jenkins that knows one request: that of an exchange. After it, it answers from the later exchanges of the file.
type pin struct {
	e     *jenkinstest.Exchange
	later []*jenkinstest.Exchange
	// mutate changes the request before it is judged.
	mutate func(r *http.Request, body []byte) []byte

	hits    int
	refused string
	byRule  []string
	sent    *http.Request
	body    []byte
}

func (p *pin) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		_ = r.Body.Close()
	}
	// A client by password asks for a crumb first.
	aux := r.Method == http.MethodGet && r.URL.Path == "/crumbIssuer/api/json" && !strings.HasPrefix(p.e.Request.Path, "/crumbIssuer/")
	if p.hits == 0 && p.refused == "" && !aux {
		p.sent, p.body = r, body
		if p.mutate != nil {
			body = p.mutate(r, body)
		}
	}
	if !aux {
		resp, byRule, ok, err := p.e.Answer(r, string(body))
		if ok {
			p.hits++
			p.byRule = append(p.byRule, byRule...)
			return resp, err
		}
		if p.hits == 0 {
			p.refused = fmt.Sprintf("%s %s %q %.300s", r.Method, r.URL.RequestURI(), r.Header.Get("Content-Type"), body)
		}
	}
	for _, e := range p.later {
		if resp, _, ok, err := e.Answer(r, string(body)); ok && p.hits > 0 {
			return resp, err
		}
	}
	status, text := http.StatusTeapot, "not recorded"
	if aux {
		status, text = http.StatusOK, `{"crumb":"CRUMB","crumbRequestField":"Jenkins-Crumb"}`
	}
	return &http.Response{
		StatusCode: status, Request: r, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(text)),
	}, nil
}

// clientFor returns a client that logs in as the recording did.
func (p *pin) client() (*Client, error) {
	cfg := Config{URL: "http://jenkins.example", Transport: p, Timeout: 10 * time.Second}
	rq := p.e.Request
	creds := rq.Credentials
	switch {
	case rq.Headers["auth"] == "none":
	case creds == "":
		cfg.Username, cfg.Token = jenkinstest.User, jenkinstest.Token
	default:
		var secret string
		cfg.Username, secret, _ = strings.Cut(creds, ":")
		if secret == jenkinstest.Password {
			cfg.Password = secret
		} else {
			cfg.Token = secret
		}
	}
	c, err := New(cfg)
	if err == nil && cfg.Password != "" && rq.Method != http.MethodGet {
		// What the recording sent is what the client had got before.
		c.crumb = &crumb{}
		if v := rq.Headers["Jenkins-Crumb"]; v != "" {
			c.crumb = &crumb{field: "Jenkins-Crumb", value: v}
		}
	}
	return c, err
}

// play makes the recorded request by the operation. fits is false if the client forms another request; err then is nil.
func play(ctx context.Context, o operation, p *pin) (fits bool, err error) {
	path, rawQuery, _ := strings.Cut(p.e.Request.Path, "?")
	m := o.path.FindStringSubmatch(path)
	if m == nil || o.method != p.e.Request.Method {
		return false, nil
	}
	in := input{m: slices.Clone(m), e: p.e, body: p.e.Request.Body}
	in.query, _ = url.ParseQuery(rawQuery)
	in.form, _ = url.ParseQuery(rawQuery)
	if form, err := url.ParseQuery(in.body); err == nil && strings.Contains(p.e.Request.Headers["Content-Type"], "form") {
		for k, v := range form {
			in.form[k] = append(in.form[k], v...)
		}
	}
	c, err := p.client()
	if err != nil {
		return false, err
	}
	value, err := o.call(ctx, c, in)
	if p.hits == 0 {
		return false, nil
	}
	if want := wanted(o, p.e); !errors.Is(err, want) {
		return true, fmt.Errorf("err = %w, want %s", orNil(err), fmt.Sprint(want))
	}
	if err == nil && value != nil && p.e.Response.Body.JSON != nil {
		return true, sameValue(value, p.e.Response.Body.JSON)
	}
	return true, nil
}

func orNil(err error) error {
	if err == nil {
		return errors.New("nil")
	}
	return err
}

// special are exchanges whose status does not say what the call makes of it.
var special = map[string]error{
	"one: cancel again":                nil,         // 500, and the client asks why: it is cancelled already
	"artifact directory without slash": ErrNotFound, // 302 to a page
	"step log ?start=100000":           nil,         // 500, for an offset at which there is nothing yet
	// After a 403 the client renews its crumb, and gets the answer that was recorded with it.
	"sub: blue, wrong user proceeds": ErrInvalid,
	"sub: blue, wrong user aborts":   nil,
}

// wanted is the kind of error that a call must return for the recorded status.
func wanted(o operation, e *jenkinstest.Exchange) error {
	if want, ok := special[e.Name]; ok {
		return want
	}
	text := fmt.Sprint(e.Response.Headers["X-Error"]) + e.Response.Body.Text + e.Response.Body.ContainerMessage
	switch s := e.Response.Status; {
	case s == 0 || s == 503:
		return ErrUnavailable
	case s == 404 && o.gone:
		return nil
	case s == 400 && strings.Contains(text, "already exists"):
		return ErrConflict
	case s < 400:
		return nil
	default:
		return map[int]error{400: ErrInvalid, 401: ErrUnauthorized, 403: ErrForbidden, 404: ErrNotFound, 409: ErrConflict, 500: ErrInternal}[s]
	}
}

// sameValue compares what a call returned with the recorded JSON, as far as they have fields of the same name.
func sameValue(value, recorded any) error {
	doc, err := json.Marshal(value)
	if err != nil {
		return err
	}
	var got any
	if err := json.Unmarshal(doc, &got); err != nil {
		return err
	}
	compared := 0
	if err := same("", got, recorded, &compared); err != nil {
		return err
	}
	if list, ok := recorded.([]any); compared == 0 && (!ok || len(list) > 0) {
		return errors.New("nothing of the answer was compared")
	}
	return nil
}

func same(at string, got, want any, compared *int) error {
	switch g := got.(type) {
	case map[string]any:
		w, ok := want.(map[string]any)
		if !ok && want != nil {
			return fmt.Errorf("%s: %v, the answer has %v", at, got, want)
		}
		for k, v := range g {
			if wv, ok := w[k]; ok {
				if err := same(at+"."+k, v, wv, compared); err != nil {
					return err
				}
			}
		}
		if len(g) == 0 {
			*compared++
		}
		return nil
	case []any:
		w, _ := want.([]any)
		if len(g) != len(w) {
			return fmt.Errorf("%s: %d entries, the answer has %d", at, len(g), len(w))
		}
		*compared++
		for i := range g {
			if err := same(fmt.Sprintf("%s[%d]", at, i), g[i], w[i], compared); err != nil {
				return err
			}
		}
		return nil
	}
	*compared++
	g, w := fmt.Sprint(got), fmt.Sprint(want)
	switch {
	case g == w, want == nil && (g == "" || g == "0" || g == "false" || g == "<nil>"):
		return nil
	case strings.HasSuffix(at, ".type") && strings.HasPrefix(strings.ToLower(w), g):
		return nil // ParameterDefinition is left out
	case strings.HasSuffix(at, ".quietDownReason") && want == nil:
		return nil
	}
	gt, err1 := time.Parse(time.RFC3339Nano, g)
	wt, err2 := time.Parse(blueLayout, w)
	if err1 == nil && err2 == nil && gt.Equal(wt) {
		return nil
	}
	return fmt.Errorf("%s: %q, the answer has %q", at, g, w)
}

// exercised is an exchange that an operation makes.
type exercised struct {
	file  string
	op    operation
	e     *jenkinstest.Exchange
	later []*jenkinstest.Exchange
	pin   *pin
}

// replayAll plays all exchanges of all files. report gets every problem.
func replayAll(ctx context.Context, tb testing.TB, report func(format string, args ...any)) (all []exercised, reasons map[string]map[string]int, totals map[string]int) {
	tb.Helper()
	files, err := filepath.Glob(recordings + "*.json.gz")
	if err != nil || len(files) != 15 {
		tb.Fatalf("%d recordings, %v", len(files), err)
	}
	reasons, totals = map[string]map[string]int{}, map[string]int{}
	for _, f := range files {
		f = strings.TrimSuffix(f, ".gz")
		exchanges := jenkinstest.Load(tb, f)
		f = strings.TrimSuffix(filepath.Base(f), ".json")
		totals[f], reasons[f] = len(exchanges), map[string]int{}
		var before []*jenkinstest.Exchange
	next:
		for i, e := range exchanges {
			before = append([]*jenkinstest.Exchange{e}, before...)
			refused := "no call asks for this address"
			for _, o := range operations {
				p := &pin{e: e, later: slices.Concat(exchanges[i+1:], before[1:])}
				fits, err := play(ctx, o, p)
				if fits {
					if err != nil {
						report("%s: %q by %s: %v", f, e.Name, o.name, err)
					}
					all = append(all, exercised{file: f, op: o, e: e, later: p.later, pin: p})
					continue next
				}
				if p.refused != "" {
					refused = o.name + " forms " + p.refused
				}
			}
			reason := reasonFor(f, e)
			if reason == "" {
				report("%s: %q is not exercised and has no reason\n\t%s %s %q %.200s -> %d\n\t%s", f, e.Name, e.Request.Method, e.Request.Path,
					e.Request.Headers["Content-Type"], e.Request.Body, e.Response.Status, refused)
				reason = "NONE"
			}
			reasons[f][reason]++
		}
	}
	return all, reasons, totals
}

// TestRecordings holds the client to every recorded exchange: it makes the request, and understands the answer, or a rule says why it is not ours to send.
func TestRecordings(t *testing.T) {
	all, reasons, totals := replayAll(t.Context(), t, t.Errorf)
	pinned := map[string]bool{}
	for _, x := range all {
		for _, par := range x.pin.byRule {
			pinned[par] = true
		}
	}
	golden(t, pinnedFile, strings.Join(sortedKeys(pinned), "\n")+"\n")
	golden(t, tableFile, table(all, reasons, totals))
	for _, r := range rules {
		if !r.used {
			t.Errorf("the rule %q fits no exchange", r.reason)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// golden compares with a file, or writes it.
func golden(t *testing.T, file, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is stale, run: go test ./pkg/jenkins -run TestRecordings -update\n%s", file, diff)
	}
}

func table(all []exercised, reasons map[string]map[string]int, totals map[string]int) string {
	var b bytes.Buffer
	fmt.Fprint(&b, `# The client against the recordings of a real Jenkins

Written by `+"`go test ./pkg/jenkins -run TestRecordings -update`"+`; the test fails if this page is stale.

Each exchange that was recorded from Jenkins 2.541.2 is played to the client in pkg/jenkins: a call of the client must form the recorded request (method,
path, query, content type, body, login, crumb) and must understand the recorded answer. Where the client sends no such request, the reason is counted below.
`+"`TestMutation`"+` changes one byte in each part of each request that the client forms and checks that the replay refuses it.

| Recording | Exercised | Total | Not ours to send, and why |
|---|---:|---:|---|
`)
	done, calls := map[string]int{}, map[string]int{}
	for _, x := range all {
		done[x.file]++
		calls[x.op.name]++
	}
	sumDone, sumTotal := 0, 0
	for _, f := range sortedKeys(totals) {
		var why []string
		for _, r := range sortedKeys(reasons[f]) {
			why = append(why, fmt.Sprintf("%d %s", reasons[f][r], r))
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %s |\n", f, done[f], totals[f], strings.Join(why, "; "))
		sumDone, sumTotal = sumDone+done[f], sumTotal+totals[f]
	}
	fmt.Fprintf(&b, "| **all** | **%d** | **%d** | |\n\n## Exchanges by call\n\n| Call | Exchanges |\n|---|---:|\n", sumDone, sumTotal)
	for _, c := range sortedKeys(calls) {
		fmt.Fprintf(&b, "| %s | %d |\n", c, calls[c])
	}
	return b.String()
}
