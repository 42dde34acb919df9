// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package clone

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"
)

// progressEvery is the least time between two lines of a counter that the server rewrites in place.
const progressEvery = 2 * time.Second

// lineWriter turns a server's progress, which is meant for a terminal (counters end in CR), into lines
// for a log: what ends in LF is written, what ends in CR now and then.
type lineWriter struct {
	mu   sync.Mutex
	out  io.Writer
	buf  []byte
	last time.Time
}

const maxProgressLine = 512

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(w.buf, p...)
	for {
		i := bytes.IndexAny(w.buf, "\r\n")
		if i < 0 {
			break
		}
		line, end := w.buf[:i], w.buf[i]
		now := time.Now()
		if end == '\n' || now.Sub(w.last) >= progressEvery {
			w.line(line)
			w.last = now
		}
		w.buf = w.buf[i+1:]
	}
	if len(w.buf) > maxProgressLine {
		w.line(w.buf)
		w.buf = nil
	}
	return len(p), nil
}

func (w *lineWriter) line(b []byte) {
	// The text is the server's: nothing of it may control a terminal.
	s := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(strings.TrimSpace(string(b)), "?"))
	if s != "" {
		_, _ = io.WriteString(w.out, "remote: "+s+"\n")
	}
}
