// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/kube"
)

func TestMain(m *testing.M) {
	if code, was := Supervise(os.Args[1:]); was {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

func newProvider(t *testing.T, cfg Config) *Provider {
	t.Helper()
	if cfg.Root == "" {
		cfg.Root = t.TempDir()
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// buildOf is the build that asks for an agent.
func buildOf(job, id string) kube.Build {
	return kube.Build{ID: "of-" + id, Project: "team", Job: job, Number: 1}
}

func acquire(t *testing.T, p *Provider, job, id string) engine.Agent {
	t.Helper()
	a, err := p.ForBuild(buildOf(job, id)).Acquire(t.Context(), engine.AgentRequest{ID: id}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func shell(t *testing.T, a engine.Agent, id, script string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	code, err := a.Shell(t.Context(), engine.ShellRequest{ID: id, Script: "#!/bin/sh\n" + script, Dir: a.Workspace()}, &out, nil)
	if err != nil {
		t.Fatal(err)
	}
	return code, out.String()
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never came to pass: " + what)
		}
	}
}

func TestShell(t *testing.T) {
	t.Setenv("MINIJENKINS_TOKEN", "very secret")
	t.Setenv("OTHER", "secret")
	p := newProvider(t, Config{Env: map[string]string{"GIVEN": "yes", "LANG": "de_DE.UTF-8"}})
	a := acquire(t, p, "team/app", "b1")
	if want := filepath.Join(p.cfg.Root, "workspace/team/app"); a.Workspace() != want || a.Name() != "local-1" {
		t.Errorf("agent %s in %s, want local-1 in %s", a.Name(), a.Workspace(), want)
	}
	code, out := shell(t, a, "s1", "echo out; echo err >&2; exit 3")
	if code != 3 || out != "out\nerr\n" {
		t.Errorf("exit code %d, output %q", code, out)
	}
	if _, out := shell(t, a, "s1", "echo again"); out != "out\nerr\n" {
		t.Errorf("the same ID ran another script: %q", out)
	}
	var log, stdout bytes.Buffer
	code, err := a.Shell(t.Context(), engine.ShellRequest{ID: "s2", Script: "env", Dir: a.Workspace(), Env: map[string]string{"OF_BUILD": "1"}}, &log, &stdout)
	if err != nil || code != 0 || log.String() != "+ env\n" {
		t.Errorf("code %d, error %v, log %q", code, err, log.String())
	}
	var names []string
	for line := range strings.Lines(stdout.String()) {
		k, _, _ := strings.Cut(line, "=")
		names = append(names, k)
	}
	slices.Sort(names)
	for _, n := range []string{"GIVEN", "HOME", "LANG", "OF_BUILD", "PATH", "PWD"} {
		if !slices.Contains(names, n) {
			t.Errorf("steps do not have the variable %s: %v", n, names)
		}
	}
	for _, n := range []string{"MINIJENKINS_TOKEN", "OTHER"} {
		if slices.Contains(names, n) {
			t.Errorf("steps have the server's variable %s", n)
		}
	}
	if !strings.Contains(stdout.String(), "LANG=de_DE.UTF-8\n") {
		t.Errorf("the configured variable is not the one of the step: %s", stdout.String())
	}
}

func TestWorkspaces(t *testing.T) {
	p := newProvider(t, Config{Executors: 10})
	ws := func(a engine.Agent) string {
		rel, err := filepath.Rel(p.cfg.Root, a.Workspace())
		if err != nil {
			t.Fatal(err)
		}
		return rel
	}
	a, b, c := acquire(t, p, "app", "1"), acquire(t, p, "app", "2"), acquire(t, p, "app", "")
	other := acquire(t, p, "app2", "3")
	got := []string{ws(a), ws(b), ws(c), ws(other), c.Name(), other.Name()}
	if diff := cmp.Diff([]string{"workspace/app", "workspace/app@2", "workspace/app@3", "workspace/app2", "local-3", "local-4"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if again := acquire(t, p, "app", "2"); again != b {
		t.Error("the same request got another agent")
	}
	if err := a.WriteFile(t.Context(), a.Workspace()+"/kept", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.Release(t.Context()), a.Release(t.Context())); err != nil {
		t.Fatal(err)
	}
	next := acquire(t, p, "app", "4")
	if ws(next) != "workspace/app" || next.Name() != "local-1" {
		t.Errorf("the free folder and executor are not taken again: %s in %s", next.Name(), ws(next))
	}
	if _, err := os.Stat(next.Workspace() + "/kept"); err != nil {
		t.Errorf("the workspace did not stay: %v", err)
	}
	for job, want := range map[string]string{
		"../../etc": "workspace/etc", "a/../../../b": "workspace/b", "x\x00y": "workspace/x_y", "ä ö/日本": "workspace/ä ö/日本",
		strings.Repeat("n", 200) + "/" + strings.Repeat("m", 200): "workspace/" + strings.Repeat("n", 200) + "/" + strings.Repeat("m", 200),
	} {
		agent := acquire(t, p, job, "")
		if got := ws(agent); got != want {
			t.Errorf("job %q is in %q, want %q", job, got, want)
		}
		if err := agent.Release(t.Context()); err != nil {
			t.Error(err)
		}
	}
	for _, id := range []string{"../../x", "a b", strings.Repeat("i", 500), "ü"} {
		agent := acquire(t, p, "ids", id)
		if again := acquire(t, p, "ids", id); again != agent {
			t.Errorf("request %q got two agents", id)
		}
		if _, out := shell(t, agent, "s", "echo ok"); out != "ok\n" {
			t.Errorf("request %q: no steps: %q", id, out)
		}
		if err := agent.Release(t.Context()); err != nil {
			t.Error(err)
		}
	}
	// a was given back, the others are in use.
	if entries, err := os.ReadDir(p.agentDir("")); err != nil || len(entries) != 4 {
		t.Errorf("%d folders of agents are left, want 4 (%v)", len(entries), err)
	}
}

func TestExecutors(t *testing.T) {
	p := newProvider(t, Config{Executors: 2})
	first, second := acquire(t, p, "a", "1"), acquire(t, p, "b", "2")
	type answer struct {
		a   engine.Agent
		err error
	}
	var mu sync.Mutex
	var reasons []string
	ask := func(ctx context.Context, label, id string) chan answer {
		ch := make(chan answer, 1)
		go func() {
			a, err := p.ForBuild(kube.Build{Job: "c"}).Acquire(ctx, engine.AgentRequest{ID: id, Label: label}, func(r string) {
				mu.Lock()
				defer mu.Unlock()
				reasons = append(reasons, r)
			})
			ch <- answer{a, err}
		}()
		eventually(t, "it waits", func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return len(p.line) > 0 || len(ch) > 0
		})
		return ch
	}
	abort := errors.New("aborted")
	ctx, cancel := context.WithCancelCause(t.Context())
	third := ask(ctx, "", "3")
	cancel(abort)
	if got := <-third; !errors.Is(got.err, abort) {
		t.Errorf("an aborted wait ended with %v", got.err)
	}
	fourth := ask(t.Context(), "linux", "4")
	if err := second.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := <-fourth
	if got.err != nil || got.a.Name() != "local-2" {
		t.Fatalf("the one who waited got %v, %v", got.a, got.err)
	}
	if diff := cmp.Diff([]string{"Waiting for next available executor", "Waiting for next available executor on ‘linux’"}, reasons); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
	var names []string
	for _, i := range p.Agents() {
		names = append(names, fmt.Sprint(i.Name, i.Labels, i.Online))
	}
	if diff := cmp.Diff([]string{"local-1[local] true", "local-2[local] true"}, names); diff != "" {
		t.Errorf("agents (-want +got):\n%s", diff)
	}
	_ = first.Release(t.Context())
	_ = got.a.Release(t.Context())

	// Many at once never hold more than there are, and all get one in the end.
	var wg sync.WaitGroup
	held, most := 0, 0
	for i := range 50 {
		wg.Go(func() {
			a, err := p.ForBuild(kube.Build{Job: "many"}).Acquire(t.Context(), engine.AgentRequest{ID: "m" + strconv.Itoa(i)}, nil)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			held++
			most = max(most, held)
			mu.Unlock()
			mu.Lock()
			held--
			mu.Unlock()
			if err := a.Release(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if most > 2 || len(p.Agents()) != 0 {
		t.Errorf("%d agents at once with 2 executors; %d are left", most, len(p.Agents()))
	}
}

func TestLabels(t *testing.T) {
	cases := map[string]struct {
		reason string
		have   []string
		ask    string
		want   bool
	}{
		"any":             {reason: "agent any", have: []string{"linux"}, ask: "", want: true},
		"one of them":     {have: []string{"linux", "go"}, ask: "go", want: true},
		"expression":      {have: []string{"linux", "go"}, ask: "linux && !windows", want: true},
		"not there":       {have: []string{"linux"}, ask: "windows"},
		"own name":        {reason: "local is always there", have: []string{"linux"}, ask: "local", want: true},
		"everything":      {reason: "none configured: every label", ask: "dc-team.studio", want: true},
		"everything, bad": {reason: "an expression that cannot be read", ask: "a &&"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			b := newProvider(t, Config{Labels: tc.have}).ForBuild(kube.Build{Job: "j"})
			a, err := b.Acquire(t.Context(), engine.AgentRequest{Label: tc.ask}, nil)
			if got := b.HasLabel(tc.ask); got != tc.want || (err == nil) != tc.want {
				t.Errorf("%s: HasLabel %v, Acquire %v, want %v", tc.reason, got, err, tc.want)
			}
			if a != nil {
				_ = a.Release(t.Context())
			}
		})
	}
	for _, cfg := range []Config{{}, {Root: "relative"}, {Root: "/tmp/x", Executors: -1}, {Root: "/tmp/x", Labels: []string{"a b"}}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}

// alive tells if a process runs.
func alive(t *testing.T, pidFile string) bool {
	t.Helper()
	data, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && syscall.Kill(pid, 0) == nil && !strings.Contains(string(stat), ") Z ")
}

func TestAbortAndSuspend(t *testing.T) {
	script := "#!/bin/sh\ntrap 'echo ending; exit 7' TERM\necho $$ > pid\nsleep 1000 & echo $! > child\necho began\nwait\n"
	cases := map[string]struct {
		cause error
		lives bool
		out   string
	}{
		"abort":   {cause: &engine.AbortError{User: "u"}, out: "began\nending\n"},
		"suspend": {cause: engine.ErrSuspended, lives: true, out: "began\n"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, Config{})
			a := acquire(t, p, "job", "a")
			ctx, cancel := context.WithCancelCause(t.Context())
			r, w := io.Pipe()
			var out bytes.Buffer
			read := make(chan struct{})
			go func() {
				defer close(read)
				_, _ = io.Copy(writerFunc(func(b []byte) {
					if out.Write(b); strings.Contains(out.String(), "began") {
						cancel(tc.cause)
					}
				}), r)
			}()
			_, err := a.Shell(ctx, engine.ShellRequest{ID: "s", Script: script, Dir: a.Workspace()}, w, nil)
			_ = w.Close()
			<-read
			if !errors.Is(err, tc.cause) || out.String() != tc.out {
				t.Errorf("ended with %v, output %q; want %v, %q", err, out.String(), tc.cause, tc.out)
			}
			for _, f := range []string{"/pid", "/child"} {
				if tc.lives != alive(t, a.Workspace()+f) {
					t.Errorf("%s lives: %v", f, !tc.lives)
				}
			}
			if err := a.Release(t.Context()); err != nil {
				t.Error(err)
			}
			if alive(t, a.Workspace()+"/pid") || alive(t, a.Workspace()+"/child") {
				t.Error("a process is left behind the agent")
			}
		})
	}
}

// TestStopGoesOn: a script that the former process was stopping when it was killed is stopped by the next one, and what it
// writes until then is kept. What had not begun does not begin.
func TestStopGoesOn(t *testing.T) {
	root := t.TempDir()
	p := newProvider(t, Config{Root: root})
	a := acquire(t, p, "job", "a")
	req := engine.ShellRequest{ID: "s", Script: "#!/bin/sh\ntrap 'echo ending; exit 7' TERM\necho $$ > pid\nsleep 1000 &\necho began\nwait", Dir: a.Workspace()}
	suspended(t, a, req)
	p = newProvider(t, Config{Root: root, Running: func(string) bool { return true }})
	back, err := p.ForBuild(buildOf("job", "a")).(engine.AgentResumer).Resume(t.Context(), engine.AgentRequest{ID: "a"}, a.Name(), a.Workspace())
	if err != nil {
		t.Fatal(err)
	}
	ctx, abort := context.WithCancelCause(t.Context())
	cause := &engine.AbortError{User: "u"}
	abort(cause)
	var out bytes.Buffer
	if _, err := back.Shell(ctx, req, &out, nil); !errors.Is(err, cause) || out.String() != "began\nending\n" {
		t.Errorf("ended with %v, output %q", err, out.String())
	}
	if alive(t, a.Workspace()+"/pid") {
		t.Error("the script goes on")
	}
	req.ID = "new"
	req.Script = "echo x > started"
	if _, err := back.Shell(ctx, req, io.Discard, nil); !errors.Is(err, cause) {
		t.Errorf("ended with %v", err)
	}
	if _, err := os.Stat(a.Workspace() + "/started"); err == nil {
		t.Error("a script began although its build was aborted")
	}
	if err := back.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestAbortedClone: a clone that writes on after its abort keeps its workspace from other builds, and says nothing more.
func TestAbortedClone(t *testing.T) {
	p := newProvider(t, Config{Executors: 2, StopGrace: 50 * time.Millisecond})
	a := acquire(t, p, "job", "a")
	ctx, abort := context.WithCancelCause(t.Context())
	cause := &engine.AbortError{User: "u"}
	goOn := make(chan struct{})
	said := make(chan string, 100)
	// It is held where it says that it begins, which does not look at the context.
	_, err := a.Clone(ctx, engine.CloneRequest{URL: "http://127.0.0.1:1/x.git", Dir: a.Workspace()}, writerFunc(func(b []byte) {
		abort(cause)
		<-goOn
		said <- string(b)
	}))
	if !errors.Is(err, cause) {
		t.Fatalf("ended with %v", err)
	}
	if err := a.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := acquire(t, p, "job", "b")
	if b.Workspace() == a.Workspace() {
		t.Error("another build has the workspace while the clone writes to it")
	}
	close(goOn)
	eventually(t, "the executor is free", func() bool { return len(p.Agents()) == 1 })
	if c := acquire(t, p, "job", "c"); c.Workspace() != a.Workspace() {
		t.Errorf("the workspace is not free: %s", c.Workspace())
	}
	if n := len(said); n > 1 {
		t.Errorf("%d lines came after the end of the step", n-1)
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }

func TestReleaseEndsBackground(t *testing.T) {
	p := newProvider(t, Config{StopGrace: 300 * time.Millisecond})
	a := acquire(t, p, "job", "a")
	shell(t, a, "s", "(trap '' TERM; echo ready > stubborn; while :; do sleep 0.1; done) & echo $! > pid")
	eventually(t, "the child is ready", func() bool { _, err := os.Stat(a.Workspace() + "/stubborn"); return err == nil })
	if !alive(t, a.Workspace()+"/pid") {
		t.Fatal("a child in the background ended with its step")
	}
	if err := a.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if alive(t, a.Workspace()+"/pid") {
		t.Error("a child in the background outlived the agent")
	}
}

// suspended runs a script until it has written something and leaves it.
func suspended(t *testing.T, a engine.Agent, req engine.ShellRequest) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	if _, err := a.Shell(ctx, req, writerFunc(func([]byte) { cancel(engine.ErrSuspended) }), nil); !errors.Is(err, engine.ErrSuspended) {
		t.Fatalf("ended with %v", err)
	}
}

// TestNextProcess has another provider on the same folder, as after a kill of the server.
func TestNextProcess(t *testing.T) {
	root := t.TempDir()
	p := newProvider(t, Config{Root: root, Executors: 2})
	a, lost := acquire(t, p, "job", "kept"), acquire(t, p, "job", "lost")
	req := engine.ShellRequest{ID: "s", Script: "#!/bin/sh\nfor i in 1 2 3 4 5; do echo $i; sleep 0.1; done; echo $$ >> runs; exit 4", Dir: a.Workspace()}
	suspended(t, a, req)
	suspended(t, lost, engine.ShellRequest{ID: "s", Script: "#!/bin/sh\necho $$ > pid; echo began; sleep 1000", Dir: lost.Workspace()})
	if err := os.Mkdir(filepath.Join(root, "agents", "half-made"), 0o700); err != nil {
		t.Fatal(err)
	}

	p = newProvider(t, Config{Root: root, Executors: 2, Running: func(build string) bool { return build == "of-kept" }})
	build := p.ForBuild(buildOf("job", "kept"))
	wait, waitCancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer waitCancel()
	if _, err := build.Acquire(wait, engine.AgentRequest{ID: "third"}, nil); err == nil {
		t.Error("the agents of the former process hold no executors")
	}
	if err := p.Reap(t.Context()); err != nil {
		t.Fatal(err)
	}
	if alive(t, lost.Workspace()+"/pid") {
		t.Error("a step of a lost agent runs on")
	}
	back, err := build.(engine.AgentResumer).Resume(t.Context(), engine.AgentRequest{ID: "kept"}, a.Name(), a.Workspace())
	if err != nil || back.Name() != a.Name() || back.Workspace() != a.Workspace() {
		t.Fatalf("resumed %v, %v", back, err)
	}
	p.cfg.Running = func(string) bool { return false }
	if err := p.Reap(t.Context()); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	code, err := back.Shell(t.Context(), req, &out, nil)
	if err != nil || code != 4 || out.String() != "1\n2\n3\n4\n5\n" {
		t.Errorf("attached: code %d, %v, output %q", code, err, out.String())
	}
	if runs, _ := os.ReadFile(a.Workspace() + "/runs"); bytes.Count(runs, []byte("\n")) != 1 {
		t.Errorf("the script did not run once: %q", runs)
	}
	if err := back.Release(t.Context()); err != nil {
		t.Error(err)
	}
	gone, err := build.(engine.AgentResumer).Resume(t.Context(), engine.AgentRequest{ID: "lost"}, "local-2", lost.Workspace())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gone.Shell(t.Context(), req, io.Discard, nil); err == nil {
		t.Error("an agent that is gone runs steps")
	}
	if err := gone.Release(t.Context()); err != nil || len(p.Agents()) != 0 {
		t.Errorf("release of an agent that is gone: %v; left: %v", err, p.Agents())
	}
}

func TestFiles(t *testing.T) {
	p := newProvider(t, Config{})
	a := acquire(t, p, "job", "a")
	ctx, ws := t.Context(), a.Workspace()
	if err := a.WriteFile(ctx, ws+"/d/a.txt", []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := a.(engine.StreamWriter).WriteStream(ctx, ws+"/d/b.txt", 5, strings.NewReader("two")); err == nil {
		t.Error("a stream of another size was taken")
	}
	f, err := a.Open(ctx, ws+"/d/a.txt")
	if err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(f); err != nil || string(data) != "one" {
		t.Errorf("read %q, %v", data, err)
	}
	_ = f.Close()
	if _, err := a.Open(ctx, ws+"/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if err := syscall.Mkfifo(ws+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{ws, ws + "/fifo", "relative", ws + "/../x", "/dev/zero"} {
		if f, err := a.Open(ctx, name); err == nil {
			t.Errorf("%s was opened", name)
			_ = f.Close()
		}
	}
	if names, err := a.Glob(ctx, ws, "**/*.txt", ""); err != nil || !slices.Equal(names, []string{"d/a.txt"}) {
		t.Errorf("found %v, %v", names, err)
	}
	if _, err := a.Clone(ctx, engine.CloneRequest{URL: "file:///etc", Dir: ws + "/g"}, io.Discard); err == nil {
		t.Error("a file URL was cloned")
	}
	if err := a.RemoveAll(ctx, "/usr"); err == nil {
		t.Fatal("a folder of the system was deleted")
	}
	if err := a.RemoveAll(ctx, ws+"/d"); err != nil {
		t.Error(err)
	}
	done, cancel := context.WithCancelCause(ctx)
	cancel(engine.ErrSuspended)
	if err := a.WriteFile(done, ws+"/late", nil); !errors.Is(err, engine.ErrSuspended) {
		t.Errorf("after the end: %v", err)
	}
}

func TestSupervise(t *testing.T) {
	for _, args := range [][]string{nil, {"version"}, {"step"}, {"step", "supervise"}, {"step", "supervise", "a", "b", "c", "d"}, {"--listen", "supervise", "a", "b", "c"}} {
		if _, was := Supervise(args); was {
			t.Errorf("%q makes a supervisor", args)
		}
	}
}
