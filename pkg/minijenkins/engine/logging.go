// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"io"
	"sort"
	"strings"
	"sync"
	"time"
)

// maxLine is how much of a line without an end is held back.
const maxLine = 32 << 10

// lineWriter passes whole lines on, with secrets masked and, if asked, with a time in front.
type lineWriter struct {
	mu         sync.Mutex
	to         io.Writer
	masks      *masks
	timestamps bool
	partial    []byte
	// midLine is set if the last write ended inside of a line.
	midLine bool
	// id is the step, count how many bytes were written.
	id    string
	count int64
	// planned are lines that come once so many bytes were written.
	planned []plannedLine
}

type plannedLine struct {
	at   int64
	text string
}

// written is how many bytes have gone out, stepID the step that they belong to. There need not be a writer.
func (w *lineWriter) written() int64 {
	if w == nil {
		return 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

func (w *lineWriter) stepID() string {
	if w == nil {
		return ""
	}
	return w.id
}

// endLine ends what stands in the line.
func (w *lineWriter) endLine() {
	if w != nil {
		w.Close()
	}
}

// plan has a line written where a line ends, behind that many bytes.
func (w *lineWriter) plan(at int64, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.insert(at, text)
}

// insert is plan while w.mu is held.
func (w *lineWriter) insert(at int64, text string) {
	if at <= w.count && !w.midLine && len(w.planned) == 0 {
		w.put(w.stamp(text + "\n"))
		return
	}
	w.planned = append(w.planned, plannedLine{at, text})
}

// skipped says that n bytes behind begin are in the log already, with the lines that were planned among them.
func (w *lineWriter) skipped(begin, n int64) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count, w.planned = begin+n, nil
}

// Write takes output in any pieces. It reports all of p as written; a recorder that can not write
// has no way to stop a build through its log.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.partial = append(w.partial, p...)
	if i := bytes.LastIndexByte(w.partial, '\n'); i >= 0 {
		w.emit(w.partial[:i+1])
		w.partial = append(w.partial[:0], w.partial[i+1:]...)
	}
	if len(w.partial) > maxLine {
		w.emit(w.partial)
		w.partial = w.partial[:0]
	}
	return len(p), nil
}

// Close writes what is left, as a whole line.
func (w *lineWriter) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.partial) > 0 || w.midLine {
		w.emit(append(w.partial, '\n'))
		w.partial = nil
	}
	for _, p := range w.planned {
		w.put(w.stamp(p.text + "\n"))
	}
	w.planned = nil
}

func (w *lineWriter) emit(p []byte) {
	mid := w.midLine
	s := w.stamp(w.masks.apply(string(p)))
	for len(w.planned) > 0 && w.planned[0].at <= w.count+int64(len(s)) {
		head := max(w.planned[0].at-w.count, 0)
		for mid || head > 0 { // the end of a line at head or behind it
			if head > 0 && s[head-1] == '\n' {
				break
			}
			if head == int64(len(s)) {
				w.put(s)
				return
			}
			head++
		}
		w.put(s[:head])
		after := w.midLine
		w.midLine = false
		w.put(w.stamp(w.planned[0].text + "\n"))
		w.midLine, mid = after, false
		s, w.planned = s[head:], w.planned[1:]
	}
	w.put(s)
}

// stamp puts the time in front of lines if asked.
func (w *lineWriter) stamp(s string) string {
	if !w.timestamps {
		w.midLine = !strings.HasSuffix(s, "\n")
		return s
	}
	stamp := time.Now().UTC().Format("[2006-01-02T15:04:05.000Z] ")
	var b strings.Builder
	for _, line := range strings.SplitAfter(s, "\n") {
		if line == "" {
			continue
		}
		if !w.midLine {
			b.WriteString(stamp)
		}
		b.WriteString(line)
		w.midLine = !strings.HasSuffix(line, "\n")
	}
	return b.String()
}

func (w *lineWriter) put(s string) {
	if s == "" {
		return
	}
	w.count += int64(len(s))
	_, _ = io.WriteString(w.to, s)
}

// masks are the secrets that must not reach a log.
type masks struct {
	mu       sync.RWMutex
	values   map[string]bool
	replacer *strings.Replacer
}

// maskText is what stands for a secret.
const maskText = "****"

// add masks a secret and each of its lines.
func (m *masks) add(secret string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil {
		m.values = map[string]bool{}
	}
	for _, s := range append(strings.Split(secret, "\n"), secret) {
		if s = strings.TrimRight(s, "\r"); strings.TrimSpace(s) != "" {
			m.values[s] = true
		}
	}
	list := make([]string, 0, len(m.values))
	for s := range m.values {
		list = append(list, s)
	}
	// A longer secret may contain a shorter one.
	sort.Slice(list, func(i, j int) bool { return len(list[i]) > len(list[j]) })
	pairs := make([]string, 0, 2*len(list))
	for _, s := range list {
		pairs = append(pairs, s, maskText)
	}
	m.replacer = strings.NewReplacer(pairs...)
}

func (m *masks) apply(s string) string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.replacer == nil {
		return s
	}
	return m.replacer.Replace(s)
}

// spanText writes a duration as Jenkins does: its two greatest units.
func spanText(d time.Duration) string {
	type unit struct {
		size time.Duration
		name string
	}
	units := []unit{{24 * time.Hour, "day"}, {time.Hour, "hr"}, {time.Minute, "min"}, {time.Second, "sec"}}
	for i, u := range units {
		if d < u.size {
			continue
		}
		text := count(int(d/u.size), u.name)
		if i+1 < len(units) {
			next := units[i+1]
			text += " " + count(int(d%u.size/next.size), next.name)
		}
		return text
	}
	return count(int(d/time.Millisecond), "ms")
}

func count(n int, unit string) string {
	s := itoa(n) + " " + unit
	if unit == "day" && n != 1 {
		s += "s"
	}
	return s
}
