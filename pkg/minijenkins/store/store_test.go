// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func readAll(t *testing.T, text *Text, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	b, err := io.ReadAll(text.From(0))
	if err != nil || int64(len(b)) != text.Size() {
		t.Fatalf("%d bytes of %d, %v", len(b), text.Size(), err)
	}
	return string(b)
}

func only(step string) func(string) bool { return func(s string) bool { return s == step } }

func write(t *testing.T, w io.Writer, s string) {
	t.Helper()
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
}

// TestLogLines shows that the text of steps mixes at line ends only, and that each step's text can
// be read alone, while it is written and after.
func TestLogLines(t *testing.T) {
	s := open(t, t.TempDir())
	k := BuildKey{1, 1}
	l, err := s.CreateLog(k, nil)
	if err != nil {
		t.Fatal(err)
	}
	l.wait = time.Hour // however slow the machine is
	a, b, c := l.Writer("a"), l.Writer("b"), l.Writer("")
	write(t, c, "start\n")
	write(t, a, "a1 be")
	write(t, b, "b1\nb2 be")
	write(t, c, "x\n")
	write(t, a, "gin\na2\n")
	write(t, b, "gin\n")
	write(t, a, "a3 without end")
	l.EndStep("a")
	write(t, b, "b3\n")
	text, err := s.OpenLog(k)
	got := readAll(t, text, err)
	for _, line := range []string{"start", "a1 begin", "a2", "a3 without end", "b1", "b2 begin", "b3", "x"} {
		if strings.Count("\n"+got, "\n"+line+"\n") != 1 {
			t.Errorf("line %q is not whole in %q", line, got)
		}
	}
	for range 2 {
		ta, err := s.OpenStepLog(k, l, only("a"))
		if d := cmp.Diff("a1 begin\na2\na3 without end\n", readAll(t, ta, err)); d != "" {
			t.Error(d)
		}
		tb, err := s.OpenStepLog(k, l, only("b"))
		if d := cmp.Diff("b1\nb2 begin\nb3\n", readAll(t, tb, err)); d != "" {
			t.Error(d)
		}
		if l != nil {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = nil // the second time the index file is read
		}
	}
	tb, err := s.OpenStepLog(k, nil, only("b"))
	if err != nil {
		t.Fatal(err)
	}
	defer tb.Close()
	rest, err := io.ReadAll(tb.From(5))
	if err != nil || string(rest) != " begin\nb3\n" {
		t.Errorf("from 5: %q, %v", rest, err)
	}
}

// TestLogDoesNotWait shows that a line without an end holds others back for a moment only.
func TestLogDoesNotWait(t *testing.T) {
	s := open(t, t.TempDir())
	l, err := s.CreateLog(BuildKey{1, 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	write(t, l.Writer("a"), "prompt> ")
	write(t, l.Writer("b"), "other\n")
	deadline := time.Now().Add(time.Minute)
	for l.Size() < int64(len("prompt> \nother\n")) {
		if time.Now().After(deadline) {
			t.Fatal("the other line does not come")
		}
		time.Sleep(10 * time.Millisecond)
	}
	write(t, l.Writer("a"), "again> ")
	write(t, l.Writer("b"), strings.Repeat("x", maxHeld+1)+"\n")
	text, err := s.OpenLog(BuildKey{1, 1})
	if got := readAll(t, text, err); !strings.HasPrefix(got, "prompt> \nother\nagain> \nxxx") {
		t.Errorf("%.60q", got)
	}
}

func TestLogManyWriters(t *testing.T) {
	s := open(t, t.TempDir())
	k := BuildKey{1, 1}
	l, err := s.CreateLog(k, nil)
	if err != nil {
		t.Fatal(err)
	}
	l.wait = time.Hour // however slow the machine is
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			out := l.Writer(fmt.Sprint(w))
			for i := range 300 {
				_, _ = fmt.Fprintf(out, "%d ", w)
				_, _ = fmt.Fprintf(out, "line %d\n", i)
			}
		}()
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for w := range 8 {
		var want strings.Builder
		for i := range 300 {
			fmt.Fprintf(&want, "%d line %d\n", w, i)
		}
		text, err := s.OpenStepLog(k, nil, only(fmt.Sprint(w)))
		if d := cmp.Diff(want.String(), readAll(t, text, err)); d != "" {
			t.Fatal(d)
		}
	}
}

func TestState(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := Open(dir); !errors.Is(err, ErrLocked) {
		t.Errorf("second open: %v", err)
	}
	it := &Item{Name: "größe", Kind: KindPipeline, Config: []byte("<x>\x00\xff"), NextBuild: 1}
	if err := s.AddItem(it); err != nil {
		t.Fatal(err)
	}
	q := &QueueItem{Job: it.ID, Entered: time.Unix(1, 5e6).UTC(), Params: []Param{{Name: "N", Type: "string", Value: "ü"}}}
	if err := s.AddQueueItem(q); err != nil {
		t.Fatal(err)
	}
	b := &Build{Job: it.ID, Number: 1, QueueID: q.ID, Building: true}
	q.Left, q.Number = time.Unix(2, 0).UTC(), 1
	it.NextBuild = 2
	if err := s.StartBuild(q, b, it); err != nil {
		t.Fatal(err)
	}
	for i, id := range []string{"10", "9"} {
		if err := errors.Join(s.PutNode(b.Key(), i, engine.Node{ID: id, DisplayName: "n" + id}), s.PutStep(b.Key(), i, engine.Step{ID: id, NodeID: id})); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PutArtifact(t.Context(), b.Key(), "a/b", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	instance := s.Instance()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if s.Instance() != instance {
		t.Error("the instance changed")
	}
	st, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	want := &State{Items: []*Item{it}, Builds: []*Build{b}, Queue: []*QueueItem{q}}
	if d := cmp.Diff(want, st); d != "" {
		t.Error(d)
	}
	nodes, steps, err := s.Graph(b.Key())
	if err != nil || len(nodes) != 2 || nodes[0].ID != "10" || len(steps) != 2 || steps[1].ID != "9" {
		t.Errorf("%v %v %v", nodes, steps, err)
	}
	if err := s.DeleteItems([]uint64{it.ID}); err != nil {
		t.Fatal(err)
	}
	if st, err = s.Load(); err != nil || len(st.Items)+len(st.Builds)+len(st.Queue) != 0 {
		t.Errorf("%+v, %v", st, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "builds", fmt.Sprint(it.ID))); !errors.Is(err, fs.ErrNotExist) {
		t.Error("files are left", err)
	}
	next := &Item{Name: "größe"}
	if err := s.AddItem(next); err != nil || next.ID == it.ID {
		t.Errorf("ID %d again, %v", next.ID, err)
	}
}

// TestDamaged: a database that is damaged or gone is an error that says so, and costs no build.
func TestDamaged(t *testing.T) {
	page := os.Getpagesize()
	zero := func(from, to int) func([]byte) []byte {
		return func(db []byte) []byte { clear(db[from*page : to*page]); return db }
	}
	for reason, c := range map[string]struct {
		damage func(db []byte) []byte
		err    error
	}{
		"missing":         {damage: func([]byte) []byte { return nil }, err: ErrDamaged},
		"empty":           {damage: func(db []byte) []byte { return db[:0] }, err: ErrDamaged},
		"both heads gone": {damage: zero(0, 2), err: ErrDamaged},
		"pages gone":      {damage: func(db []byte) []byte { clear(db[2*page:]); return db }, err: ErrDamaged},
		"one head gone":   {damage: zero(0, 1)},
		"whole":           {damage: func(db []byte) []byte { return db }},
	} {
		t.Run(reason, func(t *testing.T) {
			dir := t.TempDir()
			s, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			b := &Build{Job: 1, Number: 1}
			l, err := s.CreateLog(b.Key(), nil)
			if err != nil {
				t.Fatal(err)
			}
			l.End("Finished\n")
			if err := errors.Join(l.Close(), s.PutBuild(b), s.Close()); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, "state.db")
			db, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if db = c.damage(db); db == nil {
				err = os.Remove(file)
			} else {
				err = os.WriteFile(file, db, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			s, err = Open(dir)
			if err == nil {
				_, err = s.Load()
				err = errors.Join(err, s.Close())
			}
			if !errors.Is(err, c.err) {
				t.Errorf("error %v, want %v", err, c.err)
			}
			if _, err := os.Stat(filepath.Join(dir, "builds", "1", "1", "log")); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestArtifactPaths(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	k := BuildKey{1, 1}
	for _, bad := range []string{"", ".", "..", "../x", "/x", "a/../../x", "a//b", "a/", "a\x00b", `a\b`, "a/./b"} {
		if err := s.PutArtifact(t.Context(), k, bad, strings.NewReader("x")); !errors.Is(err, ErrBadPath) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := s.PutArtifact(t.Context(), k, "ok/größe x", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	// A link that leaves the folder is not followed, whoever made it.
	if err := os.Symlink("/etc", filepath.Join(dir, "builds", "1", "1", "artifacts", "link")); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"link/passwd", "../log", "nosuch"} {
		if f, err := s.OpenArtifact(k, bad); err == nil {
			_ = f.Close()
			t.Errorf("%q was opened", bad)
		}
	}
	list, err := s.Artifacts(k)
	if d := cmp.Diff([]Artifact{{Path: "ok/größe x", Size: 1}}, list); d != "" || err != nil {
		t.Error(d, err)
	}
	// A writer that fails leaves nothing.
	if err := s.PutArtifact(t.Context(), k, "half", io.MultiReader(strings.NewReader("x"), failing{})); err == nil {
		t.Error("half an artifact was stored")
	}
	entries, err := os.ReadDir(filepath.Join(dir, "builds", "1", "1"))
	if err != nil || len(entries) != 2 || entries[1].Name() != "fingerprints" {
		t.Error(entries, err)
	}
	if err := s.Sweep(func(BuildKey) bool { return false }, func(uint64) bool { return false }); err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(filepath.Join(dir, "builds")); len(entries) != 0 {
		t.Error(entries)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("the agent is gone") }

// TestFlush: changes are kept in order and in one transaction with what waits beside them, a disk that
// fails is told of at each Flush, and a closed store takes nothing.
func TestFlush(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	var wg sync.WaitGroup
	for range 50 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			it := &Item{Name: "x", Kind: KindPipeline}
			if err := s.AddItem(it); err != nil {
				t.Error(err)
				return
			}
			for n := 2; n <= 20; n++ {
				it.NextBuild = n
				if err := s.PutItem(it); err != nil {
					t.Error(err)
				}
			}
			if err := s.Flush(); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.PutItem(&Item{ID: 1}); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	s = open(t, dir)
	st, err := s.Load()
	if err != nil || len(st.Items) != 50 {
		t.Fatal(len(st.Items), err)
	}
	ids := map[uint64]bool{}
	for _, it := range st.Items {
		ids[it.ID] = true
		if it.NextBuild != 20 {
			t.Errorf("item %d has build %d", it.ID, it.NextBuild)
		}
	}
	if len(ids) != 50 {
		t.Error("an ID was given out twice")
	}
	next := &Item{Name: "y"}
	if err := s.AddItem(next); err != nil || ids[next.ID] {
		t.Errorf("ID %d again, %v", next.ID, err)
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.db.Close(); err != nil { // as a disk that fails
		t.Fatal(err)
	}
	if err := s.PutItem(next); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Flush(); err == nil {
			t.Error("what is not on disk is called written")
		}
	}
	if err := s.Close(); err == nil {
		t.Error("what was lost is not told")
	}
}
