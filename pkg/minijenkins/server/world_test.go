// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/kube"
)

// world is what outlives servers: agents with their steps and files.
type world struct {
	dir string
	mu  sync.Mutex
	// agents are those that live, by the ID of the request; made counts them by ID.
	agents map[string]string
	made   map[string]int
	steps  map[string]*worldStep
	// began counts the steps that began by their script.
	began map[string]int
	// over says that nothing begins any more.
	over bool
}

// worldStep is a script that runs or ran.
type worldStep struct {
	mu       sync.Mutex
	out      []byte
	stdout   []byte
	code     int
	over     bool
	progress *sync.Cond
	cmd      *exec.Cmd
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), agents: map[string]string{}, made: map[string]int{}, steps: map[string]*worldStep{}, began: map[string]int{}}
	t.Cleanup(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.over = true
		for _, st := range w.steps {
			_ = syscall.Kill(-st.cmd.Process.Pid, syscall.SIGKILL)
			st.mu.Lock()
			for !st.over {
				st.progress.Wait()
			}
			st.mu.Unlock()
		}
	})
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) touch(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(w.path(name), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w *world) living() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.agents)
}

// step begins the script of an ID once.
func (w *world) step(req engine.ShellRequest, separate bool) (*worldStep, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if st := w.steps[req.ID]; st != nil {
		return st, nil
	}
	if w.over {
		return nil, errors.New("the test is over")
	}
	st := &worldStep{}
	st.progress = sync.NewCond(&st.mu)
	cmd := exec.Command("/bin/sh", "-xe", "-c", req.Script)
	cmd.Dir, cmd.Env = req.Dir, append(os.Environ(), "WORLD="+w.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	for k, v := range req.Env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.Stderr = stepWriter{st, &st.out}
	cmd.Stdout = cmd.Stderr
	if separate {
		cmd.Stdout = stepWriter{st, &st.stdout}
	}
	if err := os.MkdirAll(req.Dir, 0o700); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	st.cmd = cmd
	w.steps[req.ID] = st
	w.began[req.Script]++
	go func() {
		_ = cmd.Wait()
		st.mu.Lock()
		defer st.mu.Unlock()
		st.over, st.code = true, cmd.ProcessState.ExitCode()
		st.progress.Broadcast()
	}()
	return st, nil
}

type stepWriter struct {
	st *worldStep
	to *[]byte
}

func (s stepWriter) Write(p []byte) (int, error) {
	s.st.mu.Lock()
	defer s.st.mu.Unlock()
	*s.to = append(*s.to, p...)
	s.st.progress.Broadcast()
	return len(p), nil
}

// attach passes the output on from its begin until the script ends or ctx does.
func (st *worldStep) attach(ctx context.Context, out, stdout io.Writer) (int, error) {
	defer context.AfterFunc(ctx, func() {
		st.mu.Lock()
		defer st.mu.Unlock()
		st.progress.Broadcast()
	})()
	sent := 0
	st.mu.Lock()
	defer st.mu.Unlock()
	for {
		if n := len(st.out); n > sent {
			p := bytes.Clone(st.out[sent:n])
			st.mu.Unlock()
			_, _ = out.Write(p)
			st.mu.Lock()
			sent = n
			continue
		}
		switch {
		case ctx.Err() != nil:
			if !errors.Is(context.Cause(ctx), engine.ErrSuspended) {
				_ = syscall.Kill(-st.cmd.Process.Pid, syscall.SIGKILL)
			}
			return 0, context.Cause(ctx)
		case st.over:
			if stdout != nil {
				_, _ = stdout.Write(st.stdout)
			}
			return st.code, nil
		}
		st.progress.Wait()
	}
}

// link is a server's way to the world. When it is cut the server is as good as dead: nothing of it gets there.
type link struct {
	*localAgents
	w    *world
	dead chan struct{}
	cut  func()
	// last counts what is on its way, so that nothing arrives after the cut.
	mu sync.RWMutex
}

func newLink(w *world, inner *localAgents) *link {
	l := &link{localAgents: inner, w: w, dead: make(chan struct{})}
	l.cut = sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		close(l.dead)
	})
	return l
}

// enter is the begin of a deed in the world; done is nil if the server is dead.
func (l *link) enter() (done func()) {
	l.mu.RLock()
	select {
	case <-l.dead:
		l.mu.RUnlock()
		return nil
	default:
		return l.mu.RUnlock
	}
}

func (l *link) ForBuild(b kube.Build) engine.AgentProvider { return &linkProvider{l, b} }

type linkProvider struct {
	l *link
	b kube.Build
}

func (p *linkProvider) HasLabel(string) bool { return true }

func (p *linkProvider) Acquire(ctx context.Context, req engine.AgentRequest, waiting func(string)) (engine.Agent, error) {
	if waiting != nil {
		waiting("the agent is made")
	}
	done := p.l.enter()
	if done == nil {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	defer done()
	ws := filepath.Join(p.l.w.dir, "workspace", filepath.FromSlash(p.b.Job))
	if err := os.MkdirAll(ws, 0o700); err != nil {
		return nil, err
	}
	w := p.l.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.agents[req.ID] == "" {
		w.made[req.ID]++
	}
	w.agents[req.ID] = "agent-" + req.ID
	return &linkAgent{localAgent: &localAgent{name: w.agents[req.ID], ws: ws}, l: p.l, id: req.ID}, nil
}

func (p *linkProvider) Resume(_ context.Context, req engine.AgentRequest, name, workspace string) (engine.Agent, error) {
	return &linkAgent{localAgent: &localAgent{name: name, ws: workspace}, l: p.l, id: req.ID}, nil
}

type linkAgent struct {
	*localAgent
	l  *link
	id string
}

func (a *linkAgent) Shell(ctx context.Context, req engine.ShellRequest, out, stdout io.Writer) (int, error) {
	done := a.l.enter()
	if done == nil {
		<-ctx.Done()
		return 0, context.Cause(ctx)
	}
	a.l.w.mu.Lock()
	lives := a.l.w.agents[a.id] != ""
	a.l.w.mu.Unlock()
	if !lives {
		done()
		return 0, fmt.Errorf("agent %s is gone", a.name)
	}
	st, err := a.l.w.step(req, stdout != nil)
	done()
	if err != nil {
		return 0, err
	}
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-a.l.dead:
			cancel(engine.ErrSuspended) // the script lives on, whatever the dead server wants
		case <-inner.Done():
		}
	}()
	code, err := st.attach(inner, out, stdout)
	select {
	case <-a.l.dead:
		<-ctx.Done()
		return 0, context.Cause(ctx)
	default:
		return code, err
	}
}

func (a *linkAgent) Release(ctx context.Context) error {
	done := a.l.enter()
	if done == nil {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	defer done()
	a.l.w.mu.Lock()
	defer a.l.w.mu.Unlock()
	delete(a.l.w.agents, a.id)
	return nil
}

// in has the agents of a harness in a world.
func (w *world) in(l **link) option {
	return func(c *Config, _ *Server) {
		if c == nil {
			return
		}
		inner := c.NewAgents
		c.NewAgents = func(d AgentDeps) (AgentSource, error) {
			a, err := inner(d)
			if err != nil {
				return nil, err
			}
			*l = newLink(w, a.(*localAgents))
			return *l, nil
		}
	}
}

// durableServer is a server with its link to a world.
type durableServer struct {
	*harness
	w    *world
	link *link
	opts []option
}

func newDurable(t *testing.T, w *world, dir string, opts ...option) *durableServer {
	t.Helper()
	d := &durableServer{w: w, opts: opts}
	d.harness = newHarness(t, dir, append([]option{withEngine, quiet(time.Minute), w.in(&d.link), func(c *Config, _ *Server) {
		if c != nil {
			c.InterruptTimeout = time.Second
		}
	}}, opts...)...)
	return d
}

// crash leaves of the server what kill -9 leaves, and starts another one on it.
func (d *durableServer) crash() *durableServer {
	d.t.Helper()
	to := filepath.Join(d.t.TempDir(), "state")
	d.eventually("a moment in which no file changes", func() bool {
		d.link.mu.Lock() // nothing gets into the world meanwhile
		defer d.link.mu.Unlock()
		files, err := stateFiles(filepath.Join(d.dir, "state"))
		if err != nil {
			return false
		}
		// A file that is read later than another must not know more.
		again, err := stateFiles(filepath.Join(d.dir, "state"))
		if err != nil || !maps.Equal(files, again) {
			return false
		}
		for name, text := range files {
			path := filepath.Join(to, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
				d.t.Fatal(err)
			}
		}
		select {
		case <-d.link.dead:
		default:
			close(d.link.dead)
		}
		return true
	})
	return newDurable(d.t, d.w, filepath.Dir(to), d.opts...)
}

// stateFiles reads all files of a folder by their path in it.
func stateFiles(dir string) (map[string]string, error) {
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		out[name] = string(data)
		return err
	})
	return out, err
}

// restart stops the server as SIGTERM does and starts another one.
func (d *durableServer) restart() *durableServer {
	d.t.Helper()
	begin := time.Now()
	if err := d.stop(); err != nil {
		d.t.Fatal(err)
	}
	if took := time.Since(begin); took > 50*time.Second {
		d.t.Errorf("the stop took %v", took)
	}
	return newDurable(d.t, d.w, d.dir, d.opts...)
}

func (d *durableServer) build(job string) {
	d.t.Helper()
	d.want(http.StatusCreated, "POST", "/job/f/job/"+job+"/build?delay=0", "", "")
}

func (d *durableServer) console(job string, n int) string {
	d.t.Helper()
	return d.get("/job/f/job/" + job + "/" + strconv.Itoa(n) + "/consoleText")
}

// says waits until a log has a text.
func (d *durableServer) says(job string, n int, text string) {
	d.t.Helper()
	d.eventually(job+" says "+text, func() bool {
		r := d.do("GET", "/job/f/job/"+job+"/"+strconv.Itoa(n)+"/consoleText", "", "")
		return r.StatusCode == http.StatusOK && strings.Contains(r.body, text)
	})
}

// waits is a script that goes on when a file is in the world.
func waits(name string) string {
	return "{ set +x; } 2>/dev/null; echo before-" + name + "; while [ ! -e $WORLD/" + name + " ]; do sleep 0.01; done; echo after-" + name
}
