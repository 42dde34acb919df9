// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestAnswer: nothing is out before the disk has it, and nothing of an answer whose state is not on disk.
func TestAnswer(t *testing.T) {
	for reason, c := range map[string]struct {
		hold   bool
		fail   error
		body   string
		status int
	}{
		"a read":             {false, nil, "text", 201},
		"a change":           {true, nil, "text", 201},
		"a change, long":     {true, nil, strings.Repeat("x", 3*maxHeldAnswer), 201},
		"a read, no disk":    {false, errors.New("no disk"), "secret", 500},
		"a change, no disk":  {true, errors.New("no disk"), "secret", 500},
		"a change, no body":  {true, nil, "", 201},
		"long, but no disk":  {true, errors.New("no disk"), strings.Repeat("x", 3*maxHeldAnswer), 500},
		"nothing is written": {true, nil, "-", 200},
	} {
		w := httptest.NewRecorder()
		flushed := 0
		a := &answer{w: w, hold: c.hold, flush: func() error {
			flushed++
			if w.Body.Len() > 0 {
				t.Errorf("%s: text is out too early", reason)
			}
			return c.fail
		}}
		if c.body != "-" {
			a.Header().Set("Location", "/x")
			a.WriteHeader(http.StatusCreated)
			a.WriteHeader(http.StatusTeapot)
			for i := 0; i < len(c.body); i += 4096 {
				if n, err := a.Write([]byte(c.body[i:min(len(c.body), i+4096)])); err != nil || n == 0 {
					t.Errorf("%s: %v", reason, err)
				}
			}
			if c.hold && len(c.body) < maxHeldAnswer && flushed > 0 {
				t.Errorf("%s: the disk was waited for inside of the handler", reason)
			}
		}
		a.finish()
		a.finish()
		switch {
		case w.Code != c.status || flushed > 1:
			t.Errorf("%s: status %d, flushed %d times", reason, w.Code, flushed)
		case c.fail == nil && c.body != "-" && w.Body.String() != c.body:
			t.Errorf("%s: %d bytes, want %d", reason, w.Body.Len(), len(c.body))
		case c.fail != nil && (strings.Contains(w.Body.String(), "secret") || strings.Contains(w.Body.String(), "xxx") || w.Header().Get("Location") != ""):
			t.Errorf("%s: something is out", reason)
		}
	}
}
