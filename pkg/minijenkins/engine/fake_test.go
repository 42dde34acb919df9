// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// fakeAgents hands out agents that run /bin/sh in a temporary folder.
type fakeAgents struct {
	t      testing.TB
	labels []string
	// delay holds Acquire back until it is closed, reporting reasons meanwhile.
	delay   chan struct{}
	reasons []string
	// fail is what Acquire answers.
	fail error
	// makeDirs has Clone make its folder.
	makeDirs bool
	// shell replaces Shell.
	shell func(ctx context.Context, req ShellRequest, out io.Writer) (int, error)

	mu       sync.Mutex
	acquired []AgentRequest
	released int
	ids      []string
	clones   []CloneRequest
}

func (f *fakeAgents) HasLabel(l string) bool {
	for _, x := range f.labels {
		if x == l {
			return true
		}
	}
	return false
}

func (f *fakeAgents) Acquire(ctx context.Context, req AgentRequest, waiting func(string)) (Agent, error) {
	f.mu.Lock()
	f.acquired = append(f.acquired, req)
	n := len(f.acquired)
	f.mu.Unlock()
	for _, r := range f.reasons {
		waiting(r)
	}
	if f.delay != nil {
		select {
		case <-f.delay:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if f.fail != nil {
		return nil, f.fail
	}
	return &localAgent{owner: f, name: "agent-" + strconv.Itoa(n), dir: f.t.TempDir()}, nil
}

type localAgent struct {
	owner *fakeAgents
	name  string
	dir   string
}

func (a *localAgent) Name() string      { return a.name }
func (a *localAgent) Workspace() string { return a.dir }

func (a *localAgent) Shell(ctx context.Context, req ShellRequest, out, stdout io.Writer) (int, error) {
	a.owner.mu.Lock()
	a.owner.ids = append(a.owner.ids, req.ID)
	a.owner.mu.Unlock()
	if a.owner.shell != nil {
		return a.owner.shell(ctx, req, out)
	}
	if err := os.MkdirAll(req.Dir, 0o755); err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-xe", "-c", req.Script)
	if strings.HasPrefix(req.Script, "#!") {
		cmd = exec.CommandContext(ctx, "/bin/sh", "-c", req.Script)
	}
	cmd.Dir = req.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 2 * time.Second
	cmd.Env = append(os.Environ(), "HOME="+a.dir)
	for k, v := range req.Env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.Stdout, cmd.Stderr = out, out
	if stdout != nil {
		cmd.Stdout = stdout
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}

func (a *localAgent) Open(_ context.Context, path string) (io.ReadCloser, error) {
	return os.Open(path)
}

func (a *localAgent) WriteFile(_ context.Context, path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o644)
}

func (a *localAgent) Glob(_ context.Context, dir, includes, excludes string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		for _, p := range strings.Split(includes, ",") {
			left := func(x string) bool { return matchAnt(strings.TrimSpace(x), rel) }
			if matchAnt(strings.TrimSpace(p), rel) && !slices.ContainsFunc(strings.Split(excludes, ","), left) {
				out = append(out, rel)
				return nil
			}
		}
		return nil
	})
	sort.Strings(out)
	return out, err
}

func (a *localAgent) Clone(_ context.Context, req CloneRequest, out io.Writer) (string, error) {
	a.owner.mu.Lock()
	a.owner.clones = append(a.owner.clones, req)
	a.owner.mu.Unlock()
	if strings.Contains(req.URL, "missing") {
		return "", errors.New("repository not found")
	}
	_, _ = io.WriteString(out, "Cloning with "+req.Password+"\n")
	if a.owner.makeDirs {
		if err := os.MkdirAll(req.Dir, 0o755); err != nil {
			return "", err
		}
	}
	return "0123456789abcdef", os.WriteFile(filepath.Join(req.Dir, "README"), []byte("hi"), 0o644)
}

func (a *localAgent) RemoveAll(_ context.Context, dir string) error { return os.RemoveAll(dir) }

func (a *localAgent) Release(context.Context) error {
	a.owner.mu.Lock()
	defer a.owner.mu.Unlock()
	a.owner.released++
	return nil
}

// memory keeps what a build reports.
type memory struct {
	mu          sync.Mutex
	order       []string
	nodes       map[string]Node
	stepOrder   []string
	steps       map[string]Step
	log         bytes.Buffer
	stepLogs    map[string]*bytes.Buffer
	description string
	displayName string
	// onLog is called with the log so far after each write.
	onLog func(string)
}

func newMemory() *memory {
	return &memory{nodes: map[string]Node{}, steps: map[string]Step{}, stepLogs: map[string]*bytes.Buffer{}}
}

func (m *memory) PutNode(n Node) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.nodes[n.ID]; !ok {
		m.order = append(m.order, n.ID)
	}
	m.nodes[n.ID] = n
}

func (m *memory) PutStep(s Step) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.steps[s.ID]; !ok {
		m.stepOrder = append(m.stepOrder, s.ID)
	}
	m.steps[s.ID] = s
}

type memoryLog struct {
	m  *memory
	id string
}

func (l memoryLog) Write(p []byte) (int, error) {
	l.m.mu.Lock()
	l.m.log.Write(p)
	if l.id != "" {
		if l.m.stepLogs[l.id] == nil {
			l.m.stepLogs[l.id] = &bytes.Buffer{}
		}
		l.m.stepLogs[l.id].Write(p)
	}
	text := l.m.log.String()
	l.m.mu.Unlock()
	if l.m.onLog != nil {
		l.m.onLog(text)
	}
	return len(p), nil
}

func (m *memory) Log(id string) io.Writer { return memoryLog{m, id} }

func (m *memory) SetDescription(s string) { m.description = s }
func (m *memory) SetDisplayName(s string) { m.displayName = s }

func (m *memory) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.String()
}

func (m *memory) node(name string) Node {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range m.nodes {
		if n.DisplayName == name {
			return n
		}
	}
	return Node{}
}

// memArtifacts keeps artifacts.
type memArtifacts map[string]string

func (a memArtifacts) Put(_ context.Context, path string, r io.Reader) error {
	b, err := io.ReadAll(r)
	a[path] = string(b)
	return err
}

// secrets is a CredentialSource.
type secrets map[string]Credential

func (s secrets) Credential(_ context.Context, id string) (Credential, bool, error) {
	if id == "broken" {
		return Credential{}, false, errors.New("store is down")
	}
	c, ok := s[id]
	return c, ok, nil
}

func mustParse(tb testing.TB, src string) *jenkinsfile.Pipeline {
	tb.Helper()
	p, err := jenkinsfile.Load(src)
	if err != nil {
		tb.Fatalf("parse: %v", err)
	}
	return p
}

// testRun is one build of a test.
type testRun struct {
	spec   RunSpec
	agents *fakeAgents
	mem    *memory
}

func newRun(tb testing.TB, src string) *testRun {
	tb.Helper()
	agents := &fakeAgents{t: tb, labels: []string{"linux"}}
	mem := newMemory()
	p := mustParse(tb, src)
	params, err := ResolveParams(p.Parameters(), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return &testRun{agents: agents, mem: mem, spec: RunSpec{Pipeline: p, Params: params, Agents: agents, Recorder: mem, Artifacts: memArtifacts{},
		Build: BuildInfo{JobName: "team/app", Number: 7, BuildURL: "http://jenkins.example/job/team/job/app/7/"}}}
}

func (r *testRun) run(ctx context.Context) (Result, error) { return Run(ctx, r.spec) }

// stages wraps steps in a pipeline of one stage.
func stages(steps string) string {
	return "pipeline { agent any\n stages { stage('s') { steps {\n" + steps + "\n} } } }"
}

// memStashes keeps stashes in memory.
type memStashes struct {
	mu   sync.Mutex
	kept map[string][]byte
	// fail is what Put answers after it has read some bytes.
	fail error
}

func (m *memStashes) Put(_ context.Context, name string, r io.Reader) error {
	if m.fail != nil {
		_, _ = io.CopyN(io.Discard, r, 1)
		return m.fail
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil {
		m.kept = map[string][]byte{}
	}
	m.kept[name] = data
	return nil
}

func (m *memStashes) Open(_ context.Context, name string) (Stash, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.kept[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return memStash{bytes.NewReader(data)}, nil
}

type memStash struct{ *bytes.Reader }

func (memStash) Close() error { return nil }
