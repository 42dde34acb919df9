// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strconv"

	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// consoleText sends the whole log with plain line ends.
func (s *Server) consoleText(c *call, k store.BuildKey) {
	t, err := s.store.OpenLog(k)
	if err != nil {
		fail500(c.w, c.r, "the log cannot be read")
		return
	}
	defer func() { _ = t.Close() }()
	c.w.Header().Set("Content-Type", typeText)
	c.w.WriteHeader(http.StatusOK)
	_, _ = io.Copy(c.w, t.From(0))
}

// progressiveText sends the log from an offset on. X-Text-Size is the next offset and X-More-Data is
// true while more will come. An offset behind the end begins again; a negative one gets nothing.
func (s *Server) progressiveText(c *call, k store.BuildKey) {
	if !c.form() {
		return
	}
	start, ok := parseStart(c.r.Form.Get("start"))
	if !ok {
		fail500(c.w, c.r, "start is not a number")
		return
	}
	// Whether it runs is asked before the size, so that the end is never missed.
	more := s.isBuilding(k)
	t, err := s.store.OpenLog(k)
	if err != nil {
		fail500(c.w, c.r, "the log cannot be read")
		return
	}
	defer func() { _ = t.Close() }()
	switch {
	case start < 0:
		start = t.Size()
	case start > t.Size():
		start = 0
	}
	sendText(c, t, start, more)
}

func parseStart(v string) (int64, bool) {
	if v == "" {
		return 0, true
	}
	n, err := strconv.ParseInt(v, 10, 64)
	return n, err == nil
}

func (s *Server) isBuilding(k store.BuildKey) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.runs[k] != nil
}

// sendText sends a log the way Jenkins sends progressive text: line ends become CRLF, while
// X-Text-Size counts the bytes of the log.
func sendText(c *call, t *store.Text, start int64, more bool) {
	h := c.w.Header()
	h.Set("Content-Type", typeText)
	h.Set("X-Text-Size", strconv.FormatInt(t.Size(), 10))
	if more {
		h.Set("X-More-Data", "true")
	}
	c.w.WriteHeader(http.StatusOK)
	if c.r.Method == http.MethodHead {
		return
	}
	out := bufio.NewWriterSize(c.w, 64<<10)
	if _, err := io.Copy(&crlf{w: out}, t.From(start)); err == nil {
		_ = out.Flush()
	}
}

// crlf turns line ends into CRLF.
type crlf struct {
	w    *bufio.Writer
	last byte
}

func (x *crlf) Write(p []byte) (int, error) {
	from := 0
	for i, b := range p {
		if b == '\n' && x.last != '\r' {
			if _, err := x.w.Write(p[from:i]); err != nil {
				return 0, err
			}
			if err := x.w.WriteByte('\r'); err != nil {
				return 0, err
			}
			from = i
		}
		x.last = b
	}
	if _, err := x.w.Write(p[from:]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// stepText opens the log of steps of a build that may run.
func (s *Server) stepText(k store.BuildKey, want func(string) bool) (*store.Text, error) {
	s.mu.RLock()
	r := s.runs[k]
	s.mu.RUnlock()
	var live *store.Log
	if r != nil {
		live = r.log
	}
	return s.store.OpenStepLog(k, live, want)
}

// blueLog sends a log as Blue Ocean does: from start, or the last thresholdInKB of it.
func (s *Server) blueLog(c *call, k store.BuildKey, want func(string) bool, more bool) {
	q := c.r.URL.Query()
	start, ok := parseStart(q.Get("start"))
	threshold, ok2 := parseStart(q.Get("thresholdInKB"))
	if !ok || !ok2 || start < 0 || threshold < 0 || threshold > 1<<40 {
		fail500(c.w, c.r, "start or thresholdInKB is not a number")
		return
	}
	var t *store.Text
	var err error
	if want == nil {
		t, err = s.store.OpenLog(k)
	} else {
		t, err = s.stepText(k, want)
	}
	if err != nil {
		fail500(c.w, c.r, "the log cannot be read")
		return
	}
	defer func() { _ = t.Close() }()
	if start > t.Size() {
		body, _ := json.Marshal(struct {
			Message string   `json:"message"`
			Code    int      `json:"code"`
			Errors  []string `json:"errors"`
		}{"Failed to get logText: Attempted to read past the end of the log", 500, []string{}})
		writePage(c.w, http.StatusInternalServerError, typeJSON, string(body))
		return
	}
	if !q.Has("start") && q.Has("thresholdInKB") {
		start = max(0, t.Size()-threshold*1024)
	}
	if q.Get("download") == "true" {
		c.w.Header().Set("Content-Disposition", "attachment; filename=log.txt")
	}
	sendText(c, t, start, more)
}
