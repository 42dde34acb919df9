// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds of what a writer holds back while another writer has begun a line.
const (
	maxHeld = 64 << 10
	maxWait = time.Second
)

// Log is the log of a build that runs. Its file holds the text and nothing else; beside it the
// index file has one line "OFFSET STEP" for each place where the text of another step begins. The
// index line is written before the text, so after a crash every byte has its step.
type Log struct {
	mu   sync.Mutex
	text *os.File
	idx  *os.File
	size int64
	secs []section
	// owner is the step of the last byte, midLine says that its line is not complete, since when.
	owner   string
	midLine bool
	since   time.Time
	held    map[string][]byte
	order   []string
	timer   *time.Timer
	err     error
	onError func(error)
}

// section is a piece of the text that belongs to one step.
type section struct {
	step     string
	from, to int64
}

// CreateLog opens the log of a build for writing and makes it if need be; what is there is kept.
// onError, if not nil, is called once when the disk fails.
func (s *Store) CreateLog(k BuildKey, onError func(error)) (*Log, error) {
	if err := s.root.MkdirAll(k.slash(), 0o700); err != nil {
		return nil, fmt.Errorf("make build folder: %w", err)
	}
	text, err := s.root.OpenFile(k.slash()+"/log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	idx, err := s.root.OpenFile(k.slash()+"/log.index", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open log index: %w", err), text.Close())
	}
	l := &Log{text: text, idx: idx, held: map[string][]byte{}, onError: onError}
	if l.size, err = text.Seek(0, io.SeekEnd); err == nil && l.size > 0 {
		l.secs, err = s.readIndex(k, l.size)
		if err == nil {
			// The tail may be half an index line and half a text line.
			_, err = idx.WriteString("\n")
			l.midLine = !endsWithNewline(s, k, l.size)
			if n := len(l.secs); n > 0 {
				l.owner = l.secs[n-1].step
			}
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read log: %w", err), text.Close(), idx.Close())
	}
	return l, nil
}

func endsWithNewline(s *Store, k BuildKey, size int64) bool {
	f, err := s.root.Open(k.slash() + "/log")
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	var b [1]byte
	_, err = f.ReadAt(b[:], size-1)
	return err == nil && b[0] == '\n'
}

// Writer returns a writer for the text of a step; an empty ID is the text of no step.
func (l *Log) Writer(step string) io.Writer { return logWriter{l, step} }

type logWriter struct {
	l    *Log
	step string
}

func (w logWriter) Write(p []byte) (int, error) {
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	if w.l.err != nil {
		return 0, w.l.err
	}
	w.l.write(w.step, p)
	if w.l.err != nil {
		return 0, w.l.err
	}
	return len(p), nil
}

// write appends, or holds back while another step's line is not complete.
func (l *Log) write(step string, p []byte) {
	if len(p) == 0 {
		return
	}
	if l.midLine && l.owner != step {
		if len(l.held[step]) == 0 {
			l.order = append(l.order, step)
		}
		l.held[step] = append(l.held[step], p...)
		if len(l.held[step]) > maxHeld || time.Since(l.since) > maxWait {
			l.breakLine()
		} else if l.timer == nil {
			l.timer = time.AfterFunc(maxWait, func() {
				l.mu.Lock()
				defer l.mu.Unlock()
				l.timer = nil
				if len(l.order) > 0 {
					l.breakLine()
				}
			})
		}
		return
	}
	l.append(step, p)
	l.release()
}

// breakLine ends the line that holds the others back.
func (l *Log) breakLine() {
	if l.midLine {
		l.append(l.owner, []byte("\n"))
	}
	l.release()
}

// release writes what was held, in the order in which it came, up to the next line without end.
func (l *Log) release() {
	for len(l.order) > 0 && !l.midLine {
		step := l.order[0]
		p := l.held[step]
		l.order = l.order[1:]
		delete(l.held, step)
		l.append(step, p)
	}
}

func (l *Log) append(step string, p []byte) {
	if l.err != nil {
		return
	}
	if n := len(l.secs); n == 0 || l.secs[n-1].step != step {
		if _, err := fmt.Fprintf(l.idx, "%d %s\n", l.size, step); err != nil {
			l.fail(err)
			return
		}
		l.secs = append(l.secs, section{step: step, from: l.size, to: l.size})
	}
	n, err := l.text.Write(p)
	l.size += int64(n)
	l.secs[len(l.secs)-1].to = l.size
	if err != nil {
		l.fail(err)
		return
	}
	l.owner = step
	if l.midLine = p[len(p)-1] != '\n'; l.midLine {
		l.since = time.Now()
	}
}

func (l *Log) fail(err error) {
	l.err = fmt.Errorf("write log: %w", err)
	if l.onError != nil {
		go l.onError(l.err)
	}
}

// EndStep ends the last line of a step, so that others need not wait for it.
func (l *Log) EndStep(step string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.midLine && l.owner == step && step != "" {
		l.breakLine()
	}
}

// Flush writes what is held back and ends the last line.
func (l *Log) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.err == nil && (len(l.order) > 0 || l.midLine) {
		l.breakLine()
	}
}

// Size is the number of bytes that can be read.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size
}

// Close flushes, brings the log to disk and closes it.
func (l *Log) Close() error {
	l.Flush()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer != nil {
		l.timer.Stop()
	}
	return errors.Join(l.err, l.text.Sync(), l.text.Close(), l.idx.Close())
}

// sections copies the pieces of the steps; nil selects all.
func (l *Log) sections(want func(string) bool) []section {
	l.mu.Lock()
	defer l.mu.Unlock()
	return pick(l.secs, want)
}

func pick(secs []section, want func(string) bool) []section {
	var out []section
	for _, s := range secs {
		if want(s.step) && s.to > s.from {
			out = append(out, s)
		}
	}
	return out
}

func (s *Store) readIndex(k BuildKey, size int64) ([]section, error) {
	data, err := s.root.ReadFile(k.slash() + "/log.index")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read log index: %w", err)
	}
	var secs []section
	sc := bufio.NewScanner(bytes.NewReader(data))
	for sc.Scan() {
		off, step, ok := strings.Cut(sc.Text(), " ")
		from, err := strconv.ParseInt(off, 10, 64)
		if !ok || err != nil || from > size {
			continue // half a line of a crash
		}
		if n := len(secs); n > 0 {
			secs[n-1].to = from
		}
		secs = append(secs, section{step: step, from: from, to: size})
	}
	return secs, sc.Err()
}

// Text is a readable log: the whole one or that of some steps.
type Text struct {
	f    *os.File
	secs []section
	size int64
}

// OpenLog opens the log of a build, as far as it is written. A build without a log has an empty one.
func (s *Store) OpenLog(k BuildKey) (*Text, error) {
	f, size, err := s.openText(k)
	if err != nil {
		return nil, err
	}
	return &Text{f: f, size: size, secs: []section{{from: 0, to: size}}}, nil
}

func (s *Store) openText(k BuildKey) (*os.File, int64, error) {
	f, err := s.root.Open(k.slash() + "/log")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("open log: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("stat log: %w", err), f.Close())
	}
	return f, st.Size(), nil
}

// OpenStepLog opens the log of the steps that want selects. live is the build's open log, nil if it
// has ended.
func (s *Store) OpenStepLog(k BuildKey, live *Log, want func(step string) bool) (*Text, error) {
	f, size, err := s.openText(k)
	if err != nil || f == nil {
		return &Text{}, err
	}
	var secs []section
	if live != nil {
		secs = live.sections(want)
	} else {
		if secs, err = s.readIndex(k, size); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		secs = pick(secs, want)
	}
	t := &Text{f: f, secs: secs}
	for _, sec := range secs {
		t.size += sec.to - sec.from
	}
	return t, nil
}

// Size is the number of bytes.
func (t *Text) Size() int64 { return t.size }

// From returns a reader that begins at an offset.
func (t *Text) From(off int64) io.Reader {
	var rs []io.Reader
	for _, s := range t.secs {
		n := s.to - s.from
		if off >= n {
			off -= n
			continue
		}
		rs = append(rs, io.NewSectionReader(t.f, s.from+off, n-off))
		off = 0
	}
	return io.MultiReader(rs...)
}

// Close closes the file.
func (t *Text) Close() error {
	if t.f == nil {
		return nil
	}
	return t.f.Close()
}

// LogTime is when the log was last written, zero if there is none.
func (s *Store) LogTime(k BuildKey) time.Time {
	st, err := s.root.Stat(k.slash() + "/log")
	if err != nil {
		return time.Time{}
	}
	return st.ModTime()
}
