// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bufio"
	"bytes"
	"cmp"
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
	// resumeWait is maxWait for the line that a crash cut: its step has to come to it again.
	resumeWait = 3 * time.Second
)

// What stands for a step in the index of a log.
const (
	// StepOnce is for lines that differ each time: when a log is resumed nothing of it is dropped.
	StepOnce = "!"
	// stepEnd is for the last lines of a build, see End.
	stepEnd = "="
	// breakMark begins what stands for the end that the log gave to a line of the step behind it.
	breakMark = "+"
)

// Log is the log of a build that runs. Its file holds the text and nothing else; beside it the
// index file has one line "OFFSET STEP" for each place where the text of another step begins. The
// index line is written before the text, so after a crash every byte has its step.
type Log struct {
	// syncMu is held while the files are brought to disk; it is taken before mu.
	syncMu sync.Mutex
	mu     sync.Mutex
	// settled is signalled when nothing is held back, or a line was broken for it.
	settled *sync.Cond
	// skip has how many bytes of each step are dropped because they are there from before a restart.
	skip map[string]int64
	// textDirty and idxDirty say that a file has more than is on disk for good.
	textDirty, idxDirty, closed bool
	// wait is maxWait, less in tests.
	wait time.Duration
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
	text, err := s.root.OpenFile(k.slash()+"/log", os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	l := &Log{text: text, held: map[string][]byte{}, skip: map[string]int64{}, onError: onError, wait: maxWait}
	l.settled = sync.NewCond(&l.mu)
	if err := l.reopen(s, k); err != nil {
		return nil, errors.Join(fmt.Errorf("read log: %w", err), text.Close())
	}
	if l.idx, err = s.root.OpenFile(k.slash()+"/log.index", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("open log index: %w", err), text.Close())
	}
	return l, nil
}

// reopen reads what is there. Its tail may be half an index line, one of which the text is missing, or half
// a text line.
func (l *Log) reopen(s *Store, k BuildKey) (err error) {
	if l.size, err = l.text.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	if l.secs, err = s.readIndex(k, l.size); err != nil {
		return err
	}
	l.secs = pick(l.secs, nil)
	if err := s.writeIndex(k, l.secs); err != nil || l.size == 0 {
		return err
	}
	var last [1]byte
	if _, err := l.text.ReadAt(last[:], l.size-1); err != nil {
		return err
	}
	if l.midLine = last[0] != '\n'; l.midLine {
		l.since = time.Now().Add(resumeWait - maxWait)
	}
	if n := len(l.secs); n > 0 {
		l.owner = l.secs[n-1].step
	}
	return nil
}

// Resume makes the log one of a build that does again what it did: of each step as many bytes are dropped
// as are there.
func (l *Log) Resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, sec := range l.secs {
		if sec.step != StepOnce && sec.step != stepEnd && !strings.HasPrefix(sec.step, breakMark) {
			l.skip[sec.step] += sec.to - sec.from
		}
	}
	if l.midLine && l.owner == StepOnce {
		l.breakLine() // its rest does not come again
	}
}

// Skip says that n bytes of a step, which are there from before, will not be written again.
func (l *Log) Skip(step string, n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.skip[step] = max(0, l.skip[step]-n)
}

// Ahead is how many bytes of a step are there from before and were neither written again nor skipped yet.
func (l *Log) Ahead(step string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.skip[step]
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
	if w.l.closed {
		return 0, fmt.Errorf("write log: %w", os.ErrClosed)
	}
	rest := p
	if w.step != StepOnce {
		if n := min(w.l.skip[w.step], int64(len(p))); n > 0 {
			w.l.skip[w.step] -= n
			rest = p[n:]
		}
	}
	w.l.write(w.step, rest)
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
		if len(l.held[step]) > maxHeld || time.Since(l.since) > l.wait {
			l.breakLine()
		} else if l.timer == nil {
			l.timer = time.AfterFunc(max(l.wait, l.wait-time.Since(l.since)), l.overdue)
		}
		return
	}
	l.append(step, p)
	l.release()
}

// overdue ends the wait for the end of a line.
func (l *Log) overdue() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer = nil; l.closed {
		return
	}
	if len(l.order) > 0 {
		l.breakLine()
	}
	if len(l.order) > 0 {
		l.timer = time.AfterFunc(l.wait, l.overdue)
	}
}

// breakLine ends the line that holds the others back. The line end is none of its step's bytes.
func (l *Log) breakLine() {
	if l.midLine {
		l.append(breakMark+l.owner, []byte("\n"))
	}
	l.release()
	l.settled.Broadcast()
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
	if len(l.order) == 0 {
		l.settled.Broadcast()
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
		l.idxDirty = true
		l.secs = append(l.secs, section{step: step, from: l.size, to: l.size})
	}
	l.textDirty = true
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
	for l.err == nil && (len(l.order) > 0 || l.midLine && l.owner != stepEnd) {
		l.breakLine()
	}
}

// End writes the last lines of a build. What a former process has written of the same text is not written again.
func (l *Log) End(text string) {
	l.Flush()
	l.mu.Lock()
	defer l.mu.Unlock()
	there := l.lastLines()
	if rest, ok := strings.CutPrefix(text, there); ok {
		text = rest
	} else if strings.HasSuffix(there, text) {
		text = ""
	} else if l.midLine {
		l.breakLine()
	}
	if text != "" && l.err == nil {
		l.append(stepEnd, []byte(text))
	}
}

// lastLines is the text of End that is there. It is empty if it cannot be read.
func (l *Log) lastLines() string {
	var out strings.Builder
	for _, sec := range l.secs {
		if strings.TrimPrefix(sec.step, breakMark) != stepEnd {
			continue
		}
		if _, err := io.Copy(&out, io.NewSectionReader(l.text, sec.from, sec.to-sec.from)); err != nil {
			return ""
		}
	}
	return out.String()
}

// LastLine is the last line that End has written, without its end; empty if it is not whole.
func (l *Log) LastLine() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text, whole := strings.CutSuffix(l.lastLines(), "\n")
	if !whole {
		return ""
	}
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// Sync brings all that was written to disk. While a line without its end holds others back it waits for a moment.
func (l *Log) Sync() error {
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	l.mu.Lock()
	if len(l.order) > 0 && l.err == nil && !l.closed {
		l.settled.Wait()
	}
	for len(l.order) > 0 && l.err == nil && !l.closed {
		l.breakLine()
	}
	if l.err != nil || l.closed {
		defer l.mu.Unlock()
		return cmp.Or(l.err, fmt.Errorf("sync log: %w", os.ErrClosed))
	}
	idx, text := l.idxDirty, l.textDirty
	l.idxDirty, l.textDirty = false, false
	l.mu.Unlock()
	var err error
	// A byte whose step is not known would be lost.
	if idx {
		err = fdatasync(l.idx)
	}
	if text && err == nil {
		err = fdatasync(l.text)
	}
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.fail(err)
		return l.err
	}
	return nil
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
	return l.shut()
}

// Suspend closes the log of a build that will go on: what is held back is dropped and no line is ended.
func (l *Log) Suspend() error {
	l.mu.Lock()
	clear(l.held)
	l.order = nil
	l.settled.Broadcast() // else Sync would wait for ever, and this for it
	l.mu.Unlock()
	return l.shut()
}

func (l *Log) shut() error {
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.err
	}
	l.closed = true
	l.settled.Broadcast()
	if l.timer != nil {
		l.timer.Stop()
	}
	return errors.Join(l.err, l.idx.Sync(), l.text.Sync(), l.text.Close(), l.idx.Close())
}

// sections copies the pieces of the steps; nil selects all.
func (l *Log) sections(want func(string) bool) []section {
	l.mu.Lock()
	defer l.mu.Unlock()
	return pick(l.secs, want)
}

// pick selects the pieces of steps that are not empty; the ends that the log gave to their lines are shown as theirs.
func pick(secs []section, want func(string) bool) []section {
	var out []section
	for _, s := range secs {
		if s.to > s.from && (want == nil || want(strings.TrimPrefix(s.step, breakMark))) {
			out = append(out, s)
		}
	}
	return out
}

// writeIndex replaces the index of a log.
func (s *Store) writeIndex(k BuildKey, secs []section) error {
	var b bytes.Buffer
	for _, sec := range secs {
		fmt.Fprintf(&b, "%d %s\n", sec.from, sec.step)
	}
	const part = "/log.index.part"
	f, err := s.root.OpenFile(k.slash()+part, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write log index: %w", err)
	}
	_, err = f.Write(b.Bytes())
	if len(secs) > 0 {
		err = errors.Join(err, f.Sync())
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = s.root.Rename(k.slash()+part, k.slash()+"/log.index")
	}
	if err != nil {
		return fmt.Errorf("write log index: %w", err)
	}
	return nil
}

func (s *Store) readIndex(k BuildKey, size int64) ([]section, error) {
	data, err := s.root.ReadFile(k.slash() + "/log.index")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
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
	if len(secs) > 0 && secs[0].from > 0 || len(secs) == 0 && size > 0 {
		to := size
		if len(secs) > 0 {
			to = secs[0].from
		}
		secs = append([]section{{step: StepOnce, to: to}}, secs...) // the index was lost
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
