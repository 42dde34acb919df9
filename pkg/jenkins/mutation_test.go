// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

// mutant is a change of one byte of a request.
type mutant struct {
	part string
	// apply changes the i-th byte that the part has, and returns the body; ok is false if there is no such byte.
	apply func(r *http.Request, body []byte, i int) (out []byte, ok bool)
}

// flip changes a byte into another one that may stand in the same place.
func flip(s string, i int) (string, bool) {
	if i >= len(s) {
		return s, false
	}
	b := []byte(s)
	switch c := b[i]; {
	case c >= 'a' && c < 'z', c >= 'A' && c < 'Z', c >= '0' && c < '9':
		b[i]++
	case c == '9':
		b[i] = '0'
	case c == 'z', c == 'Z':
		b[i]--
	default:
		b[i] = 'x'
	}
	return string(b), true
}

// setPath sets the address as it is sent. What url.URL cannot hold is no request, and so cannot leave the client.
func setPath(r *http.Request, path string) bool {
	u, err := r.URL.Parse(path)
	if err != nil || u.EscapedPath() == "" {
		return false
	}
	r.URL.Path, r.URL.RawPath = u.Path, u.RawPath
	return r.URL.EscapedPath() == path
}

var mutants = []mutant{
	{"method", func(r *http.Request, body []byte, i int) ([]byte, bool) {
		if i > 0 {
			return body, false
		}
		r.Method = map[string]string{http.MethodGet: http.MethodPost, http.MethodPost: http.MethodPut}[r.Method]
		return body, true
	}},
	{"path", func(r *http.Request, body []byte, i int) ([]byte, bool) {
		p, ok := flip(r.URL.EscapedPath(), i+1)
		return body, ok && setPath(r, p)
	}},
	{"query", func(r *http.Request, body []byte, i int) ([]byte, bool) {
		q, ok := flip(r.URL.RawQuery, i)
		r.URL.RawQuery = q
		return body, ok
	}},
	{"content type", func(r *http.Request, body []byte, i int) ([]byte, bool) {
		t, ok := flip(r.Header.Get("Content-Type"), i)
		r.Header.Set("Content-Type", t)
		return body, ok
	}},
	{"body", func(_ *http.Request, body []byte, i int) ([]byte, bool) {
		b, ok := flip(string(body), i)
		return []byte(b), ok
	}},
	{"login", func(r *http.Request, body []byte, i int) ([]byte, bool) {
		user, secret, ok := r.BasicAuth()
		if !ok {
			return body, false
		}
		secret, ok = flip(secret, i)
		r.SetBasicAuth(user, secret)
		return body, ok
	}},
	{"crumb", func(r *http.Request, body []byte, i int) ([]byte, bool) {
		v, ok := flip(r.Header.Get("Jenkins-Crumb"), i)
		if ok {
			r.Header.Set("Jenkins-Crumb", v)
		}
		return body, ok
	}},
}

// TestMutation changes one byte in each part of each request that the client forms, at the beginning, in the middle and at the end: the replay must refuse it.
// A parameter that a rule accepts in other words than the recording has is caught by the pinned list instead.
func TestMutation(t *testing.T) {
	data, err := os.ReadFile(pinnedFile)
	if err != nil {
		t.Fatal(err)
	}
	pinned := strings.Split(strings.TrimSpace(string(data)), "\n")
	all, _, _ := replayAll(t.Context(), t, func(string, ...any) {})
	made, caught, byPart := 0, 0, map[string]int{}
	for _, x := range all {
		control := &pin{e: x.e, later: x.later, mutate: func(_ *http.Request, body []byte) []byte { return body }}
		if fits, err := play(t.Context(), x.op, control); !fits || err != nil {
			t.Fatalf("%s: %q is refused unchanged: %v", x.file, x.e.Name, err)
		}
		for _, m := range mutants {
			sizes := map[string]int{
				"path": len(x.pin.sent.URL.EscapedPath()) - 1, "query": len(x.pin.sent.URL.RawQuery), "body": len(x.pin.body),
				"content type": len(x.pin.sent.Header.Get("Content-Type")),
			}
			n := sizes[m.part]
			places := []int{0}
			if n > 1 {
				places = slices.Compact([]int{0, n / 3, n / 2, n - 1})
			}
			for _, at := range places {
				applied := false
				p := &pin{e: x.e, mutate: func(r *http.Request, body []byte) []byte {
					out, ok := m.apply(r, body, at)
					applied = ok
					return out
				}}
				fits, _ := play(t.Context(), x.op, p)
				if !applied {
					continue
				}
				made++
				byPart[m.part]++
				accepted := fits && p.refused == ""
				for _, par := range p.byRule {
					if !slices.Contains(pinned, par) {
						accepted = false
					}
				}
				if !accepted {
					caught++
					continue
				}
				t.Errorf("%s: %q by %s: %s changed at %d and still answered: %s %s %q %.200s", x.file, x.e.Name, x.op.name, m.part, at,
					p.sent.Method, p.sent.URL.RequestURI(), p.sent.Header.Get("Content-Type"), p.body)
			}
		}
	}
	t.Logf("%d of %d mutants of %d requests were refused: %v", caught, made, len(all), byPart)
	if len(all) < 800 || made < 5*len(all) {
		t.Errorf("only %d mutants of %d requests", made, len(all))
	}
}
