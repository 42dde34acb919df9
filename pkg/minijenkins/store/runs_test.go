// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
)

// said is one write of a step.
type said struct{ step, text string }

// logScript has whole lines, lines in pieces, empty lines and bytes that are no text.
var logScript = []said{
	{"", "Started by user x\n"}, {"", "[Pipeline] sh\n"}, {"12", "+ make\n"}, {"12", "one\ntwo\n"}, {"7", "é\xff\x00\n"},
	{"12", "half of a li"}, {"12", "ne\n\n"}, {"", "[Pipeline] }\n"}, {"7", "\n"}, {"12", "last\n"},
}

func logOf(t *testing.T, dir string, text, index []byte) *Store {
	t.Helper()
	s := open(t, dir)
	build := filepath.Join(dir, "builds", "1", "1")
	if err := os.MkdirAll(build, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(build, "log"), text, 0o600), os.WriteFile(filepath.Join(build, "log.index"), index, 0o600)); err != nil {
		t.Fatal(err)
	}
	return s
}

func readFiles(t *testing.T, dir string) (text, index []byte) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "builds", "1", "1", "log"))
	index, err2 := os.ReadFile(filepath.Join(dir, "builds", "1", "1", "log.index"))
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return text, index
}

// indexEnds are where the index has to end at least, and at most, if the text was cut at a byte.
func indexEnds(index []byte, cut int) (least, most int) {
	for _, line := range strings.SplitAfter(string(index), "\n") {
		var from int
		if _, err := fmt.Sscanf(line, "%d", &from); err != nil {
			break
		}
		if from < cut {
			least += len(line)
		}
		if from <= cut {
			most += len(line)
		}
	}
	return least, most
}

// TestLogResumeCut cuts the files of a log wherever a kill can, and lets the build write everything again.
func TestLogResumeCut(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	k := BuildKey{1, 1}
	say := func(l *Log) {
		for _, x := range logScript {
			write(t, l.Writer(x.step), x.text)
		}
		l.End("Finished: SUCCESS\n")
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	l, err := s.CreateLog(k, nil)
	if err != nil {
		t.Fatal(err)
	}
	say(l)
	text, index := readFiles(t, dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// One state folder serves all cases, as what is not of the log plays no part.
	s = open(t, dir)
	cases := 0
	for cut := range len(text) + 1 {
		least, most := indexEnds(index, cut)
		for end := least; end <= most; end++ {
			cases++
			build := filepath.Join(dir, "builds", "1", "1")
			if err := errors.Join(os.WriteFile(filepath.Join(build, "log"), text[:cut], 0o600), os.WriteFile(filepath.Join(build, "log.index"), index[:end], 0o600)); err != nil {
				t.Fatal(err)
			}
			l, err := s.CreateLog(k, nil)
			if err != nil {
				t.Fatal(err)
			}
			l.Resume()
			say(l)
			gotText, gotIndex := readFiles(t, dir)
			if d := cmp.Diff(string(text), string(gotText)); d != "" {
				t.Fatalf("text cut at %d, index at %d: %s", cut, end, d)
			}
			if d := cmp.Diff(string(index), string(gotIndex)); d != "" {
				t.Fatalf("text cut at %d, index at %d: %s", cut, end, d)
			}
		}
	}
	t.Logf("%d cuts", cases)
}

// FuzzLogResume has steps that write in another order after the restart, some of whose bytes the history counts,
// and lines that the log breaks: each step's text is always whole, and what was there is never touched.
func FuzzLogResume(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(seed, uint16(seed*37), uint16(seed*11))
	}
	f.Fuzz(func(t *testing.T, seed uint64, cutAt, indexAt uint16) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		steps := []string{"", "3", "31", "314"}
		want := map[string]string{}
		var script []said
		for range 5 + rnd.IntN(20) {
			x := said{steps[rnd.IntN(len(steps))], strings.Repeat("x", rnd.IntN(9)) + fmt.Sprint(len(script))}
			if rnd.IntN(4) > 0 {
				x.text += "\n"
			}
			script = append(script, x)
			want[x.step] += x.text
		}
		dir := t.TempDir()
		s := open(t, dir)
		k := BuildKey{1, 1}
		l, err := s.CreateLog(k, nil)
		if err != nil {
			t.Fatal(err)
		}
		l.wait = time.Millisecond
		for i, x := range script {
			write(t, l.Writer(x.step), x.text)
			if i%7 == 6 {
				if err := l.Sync(); err != nil { // it breaks lines
					t.Fatal(err)
				}
			}
		}
		l.mu.Lock()
		for len(l.order) > 0 {
			l.breakLine()
		}
		l.mu.Unlock()
		if err := l.Suspend(); err != nil {
			t.Fatal(err)
		}
		text, index := readFiles(t, dir)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		cut := int(cutAt) % (len(text) + 1)
		least, most := indexEnds(index, cut)
		end := least + int(indexAt)%(most-least+1)
		dir = t.TempDir()
		s = logOf(t, dir, text[:cut], index[:end])
		if l, err = s.CreateLog(k, nil); err != nil {
			t.Fatal(err)
		}
		l.Resume()
		// Of one step the history has counted what is there; the order between the steps is another.
		counted := steps[rnd.IntN(len(steps))]
		there := l.skip[counted]
		l.Skip(counted, there)
		rnd.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
		for _, step := range steps {
			rest := want[step]
			if step == counted {
				rest = rest[there:]
			}
			for len(rest) > 0 {
				n := 1 + rnd.IntN(len(rest))
				write(t, l.Writer(step), rest[:n])
				rest = rest[n:]
			}
		}
		write(t, l.Writer(StepOnce), "waits\n")
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		got, _ := readFiles(t, dir)
		if !strings.HasPrefix(string(got), string(text[:cut])) {
			t.Errorf("what was there has changed: %q is no start of %q", text[:cut], got)
		}
		for step, whole := range want {
			if d := cmp.Diff(whole, bytesOf(t, s, k, step)); d != "" {
				t.Errorf("step %q, cut at %d of %d: %s", step, cut, len(text), d)
			}
		}
	})
}

// bytesOf is what a step has written, without the line ends that the log gave it.
func bytesOf(t *testing.T, s *Store, k BuildKey, step string) string {
	t.Helper()
	f, size, err := s.openText(k)
	if err != nil {
		t.Fatal(err)
	}
	secs, err := s.readIndex(k, size)
	if err != nil {
		t.Fatal(err)
	}
	text := &Text{f: f, size: size}
	text.size = 0
	for _, sec := range secs {
		if sec.step == step {
			text.secs = append(text.secs, sec)
			text.size += sec.to - sec.from
		}
	}
	return readAll(t, text, nil)
}

// TestLogResumeTails: tails that a former process leaves, and what comes of them.
func TestLogResumeTails(t *testing.T) {
	for reason, c := range map[string]struct {
		text, index string
		again       []said
		end         string
		want        string
	}{
		"a line that differs each time gets its end":         {"!half", "0 !\n", []said{{"1", "a\n"}}, "", "!half\na\n"},
		"and is not dropped":                                 {"why\n", "0 !\n", []said{{StepOnce, "why\n"}}, "", "why\nwhy\n"},
		"a line that the log broke goes on behind the break": {"hel\nother\n", "0 1\n3 +1\n4 2\n", []said{{"1", "hello\n"}, {"2", "other\n"}}, "", "hel\nother\nlo\n"},
		"half a last line":                                   {"x\nFinished: SUC", "0 1\n2 =\n", []said{{"1", "x\n"}}, "Finished: SUCCESS\n", "x\nFinished: SUCCESS\n"},
		"another last line":                                  {"x\nFinished: SUC", "0 1\n2 =\n", []said{{"1", "x\n"}}, "Finished: FAILURE\n", "x\nFinished: SUC\nFinished: FAILURE\n"},
		"a lost index":                                       {"who knows\n", "", []said{{"1", "a\n"}}, "", "who knows\na\n"},
		"an index beyond the text":                           {"a\n", "0 1\n2 2\n9 3\n", []said{{"1", "a\nb\n"}, {"3", "ccccccccc\n"}}, "", "a\nb\nccccccccc\n"},
		"rubbish in the index":                               {"a\n", "0 1\nx y\n\n-5\n", []said{{"1", "a\nb\n"}}, "", "a\nb\n"},
		"a step that says less than before":                  {"abc\n", "0 1\n", []said{{"1", "ab"}, {"2", "x\n"}}, "", "abc\nx\n"},
	} {
		t.Run(reason, func(t *testing.T) {
			dir := t.TempDir()
			s := logOf(t, dir, []byte(c.text), []byte(c.index))
			l, err := s.CreateLog(BuildKey{1, 1}, nil)
			if err != nil {
				t.Fatal(err)
			}
			l.Resume()
			for _, x := range c.again {
				write(t, l.Writer(x.step), x.text)
			}
			if c.end != "" {
				l.End(c.end)
			}
			if got := l.LastLine(); got != strings.TrimSuffix(c.end, "\n") {
				t.Errorf("last line %q", got)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			got, index := readFiles(t, dir)
			if d := cmp.Diff(c.want, string(got)); d != "" {
				t.Error(d)
			}
			secs, err := s.readIndex(BuildKey{1, 1}, int64(len(got)))
			if err != nil || len(secs) == 0 || secs[0].from != 0 || strings.Contains(string(index), "\n\n") {
				t.Errorf("%v %v %q", secs, err, index)
			}
		})
	}
}

// TestLogSuspend: what is held back is not written, no line gets an end, and what comes later is refused quietly.
func TestLogSuspend(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	failed := make(chan error, 1)
	l, err := s.CreateLog(BuildKey{1, 1}, func(err error) { failed <- err })
	if err != nil {
		t.Fatal(err)
	}
	write(t, l.Writer("1"), "open")
	write(t, l.Writer("2"), "held\n")
	if err := l.Suspend(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Writer("1").Write([]byte("late\n")); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
	if err := l.Sync(); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
	if got, _ := readFiles(t, dir); string(got) != "open" {
		t.Errorf("%q", got)
	}
	select {
	case err := <-failed:
		t.Error(err)
	default:
	}
}

func event(n int) engine.Event {
	return engine.Event{Key: fmt.Sprintf("0.%d", n), Kind: "sh", Turn: uint64(n), Time: time.Unix(int64(n), 0).UTC(), Value: json.RawMessage(`{"n":1}`)}
}

// TestHistory: events are there after a crash in their order, each with the output that it counts.
func TestHistory(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	k := BuildKey{1, 1}
	l, err := s.CreateLog(k, nil)
	if err != nil {
		t.Fatal(err)
	}
	h, err := s.OpenHistory(k, l)
	if err != nil || len(h.Events()) != 0 {
		t.Fatal(h, err)
	}
	write(t, l.Writer("2"), "open line")
	write(t, l.Writer("1"), "held back\n")
	var want []engine.Event
	for n := range 20 {
		e := event(n)
		if n == 0 {
			e.Step, e.Output = "1", int64(len("held back\n"))
		}
		if err := h.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if got, _ := readFiles(t, dir); n == 0 && string(got) != "open line\nheld back\n" {
			t.Errorf("an event is there without its output: %q", got)
		}
		want = append(want, e)
	}
	other := BuildKey{1, 2}
	h2, err := s.OpenHistory(other, l)
	if err != nil || len(h2.Events()) != 0 {
		t.Fatal(h2, err)
	}
	if err := h2.Append(t.Context(), event(1)); err != nil {
		t.Fatal(err)
	}
	plan := &Plan{Script: "pipeline {}", Origin: "Obtained", SCM: &engine.SCM{URL: "u", Commit: "c"}, Stage: "s", Previous: engine.ResultFailure, Env: map[string]string{"A": "ü"}}
	answer := engine.Answer{User: "u", Values: []engine.ParamValue{{Name: "B", Value: true}, {Name: "P", Value: "s", Sensitive: true}}}
	if err := errors.Join(s.PutPlan(k, plan), s.PutInterrupt(k, 0, Interrupt{User: "u"}), s.PutInterrupt(k, 1, Interrupt{Reason: "r", Hard: true}),
		s.PutAnswer(k, "17", answer), s.PutDownstream(k, "x-1-1-0.4", 99), s.PutMilestone(1, PassedMilestone{Build: 1, Seq: 1, Ordinal: 4}), s.Flush()); err != nil {
		t.Fatal(err)
	}
	// A killed process: its files as they are.
	if err := l.Suspend(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if h, err = s.OpenHistory(k, nil); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, h.Events()); d != "" {
		t.Error(d)
	}
	if err := h.Append(t.Context(), event(20)); err != nil {
		t.Fatal(err)
	}
	if h, err = s.OpenHistory(k, nil); err != nil || len(h.Events()) != 21 || h.Events()[20].Key != "0.20" {
		t.Error(h.Events(), err)
	}
	rec, err := s.RunRecord(k)
	if err != nil {
		t.Fatal(err)
	}
	wantRec := &RunRecord{Plan: plan, Interrupts: []Interrupt{{User: "u"}, {Reason: "r", Hard: true}}, Answers: map[string]engine.Answer{"17": answer}, Downstream: map[string]int64{"x-1-1-0.4": 99}}
	if d := cmp.Diff(wantRec, rec); d != "" {
		t.Error(d)
	}
	// Its end leaves nothing of it, and all of the others.
	if err := s.EndBuild(&Build{Job: 1, Number: 1}); err != nil {
		t.Fatal(err)
	}
	if rec, err = s.RunRecord(k); err != nil || rec.Plan != nil || len(rec.Answers)+len(rec.Interrupts) != 0 {
		t.Errorf("%+v, %v", rec, err)
	}
	if h, err = s.OpenHistory(other, nil); err != nil || len(h.Events()) != 1 {
		t.Error(h.Events(), err)
	}
	if m, err := s.Milestones(1); err != nil || len(m) != 1 || m[0].Ordinal != 4 {
		t.Error(m, err)
	}
	if err := s.SweepRuns(func(k BuildKey) bool { return k == other }); err != nil {
		t.Fatal(err)
	}
	if m, err := s.Milestones(1); err != nil || len(m) != 0 {
		t.Error(m, err)
	}
	if h, err = s.OpenHistory(other, nil); err != nil || len(h.Events()) != 1 {
		t.Error(h.Events(), err)
	}
	if err := errors.Join(s.DeleteBuild(other), s.Flush()); err != nil {
		t.Fatal(err)
	}
	if h, err = s.OpenHistory(other, nil); err != nil || len(h.Events()) != 0 {
		t.Error(h.Events(), err)
	}
}

// TestHistoryBroken: a record that cannot be read is told, also one of a folder from before there were histories.
func TestHistoryBroken(t *testing.T) {
	s := open(t, t.TempDir())
	k := BuildKey{1, 1}
	if err := s.w.add(change{do: func(tx *bbolt.Tx) error {
		return errors.Join(tx.Bucket(bucketRuns).Put(k.run(runEvent, u64(0)...), []byte("{")), tx.Bucket(bucketRuns).Put(k.run(runPlan), []byte("[]")))
	}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.OpenHistory(k, nil); err == nil {
		t.Error("a broken event was read")
	}
	if _, err := s.RunRecord(k); err == nil {
		t.Error("a broken plan was read")
	}
}

// TestManyHistories: the events of many builds share transactions.
func TestManyHistories(t *testing.T) {
	const builds, events = 200, 10
	s := open(t, t.TempDir())
	var wg sync.WaitGroup
	begin := time.Now()
	for b := range builds {
		wg.Add(1)
		go func() {
			defer wg.Done()
			k := BuildKey{1, b + 1}
			l, err := s.CreateLog(k, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = l.Suspend() }()
			h, err := s.OpenHistory(k, l)
			if err != nil {
				t.Error(err)
				return
			}
			for n := range events {
				e := event(n)
				if n%2 == 0 {
					line := strings.Repeat("x", 500) + "\n"
					if _, err := l.Writer("1").Write([]byte(line)); err != nil {
						t.Error(err)
					}
					e.Output = int64(len(line))
				}
				if err := h.Append(t.Context(), e); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
	took := time.Since(begin)
	t.Logf("%d builds with %d events each, half of them with output: %v, %.1f ms an event of one build", builds, events, took.Round(time.Millisecond), took.Seconds()*1000/events)
	if took > 60*time.Second {
		t.Error("the events of many builds are slow")
	}
}

// TestLogSuspendDuringSync: a log may be suspended while Sync waits for the end of a line.
func TestLogSuspendDuringSync(t *testing.T) {
	s := open(t, t.TempDir())
	l, err := s.CreateLog(BuildKey{1, 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	write(t, l.Writer("1"), "half of a line")
	write(t, l.Writer("2"), "held back\n")
	synced := make(chan error, 1)
	go func() { synced <- l.Sync() }()
	for l.syncMu.TryLock() { // Sync has not begun
		l.syncMu.Unlock()
		time.Sleep(time.Millisecond)
	}
	time.Sleep(10 * time.Millisecond)
	suspended := make(chan error, 1)
	go func() { suspended <- l.Suspend() }()
	timeout := time.After(time.Minute)
	for range 2 {
		select {
		case <-synced:
		case err := <-suspended:
			if err != nil {
				t.Error(err)
			}
		case <-timeout:
			t.Fatal("Sync and Suspend wait for each other")
		}
	}
}

// TestBadNames: a name that the database never takes is refused, and does not hold up what comes behind it.
func TestBadNames(t *testing.T) {
	s := open(t, t.TempDir())
	for _, name := range []string{"", strings.Repeat("x", bbolt.MaxKeySize+1)} {
		if err := s.PutCloud(&Cloud{Name: name}); !errors.Is(err, ErrName) {
			t.Errorf("%d bytes: %v", len(name), err)
		}
	}
	if err := errors.Join(s.PutCloud(&Cloud{Name: "kubernetes"}), s.Flush()); err != nil {
		t.Error(err)
	}
}

// TestRunSecretsAtRest: what people typed and scripts read is not in the database as it is.
func TestRunSecretsAtRest(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	k := BuildKey{1, 1}
	l, err := s.CreateLog(k, nil)
	if err != nil {
		t.Fatal(err)
	}
	h, err := s.OpenHistory(k, l)
	if err != nil {
		t.Fatal(err)
	}
	const secret = "wortgeheimnis"
	value, _ := json.Marshal(secret)
	answer := engine.Answer{User: "u", Values: []engine.ParamValue{{Name: "P", Value: secret, Sensitive: true}}}
	if err := errors.Join(h.Append(t.Context(), engine.Event{Key: "0.1", Kind: "input", Turn: 1, Value: value}), s.PutAnswer(k, "7", answer), s.Flush()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "state.db"))
	if err != nil || strings.Contains(string(data), secret) {
		t.Error("the database tells the secret", err)
	}
	if info, err := os.Stat(filepath.Join(dir, "state.db")); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if h, err = s.OpenHistory(k, l); err != nil || len(h.Events()) != 1 || string(h.Events()[0].Value) != string(value) {
		t.Error(h.Events(), err)
	}
	rec, err := s.RunRecord(k)
	if err != nil || cmp.Diff(answer, rec.Answers["7"]) != "" {
		t.Error(rec, err)
	}
	// Another key: the build cannot go on, and the reason is told.
	s.aead = nil
	if err := os.WriteFile(filepath.Join(dir, credentialKeyFile), make([]byte, credentialKeySize), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.OpenHistory(k, l); !errors.Is(err, ErrKey) {
		t.Error(err)
	}
}
