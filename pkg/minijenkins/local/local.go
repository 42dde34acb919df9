// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package local gives builds of minijenkins agents without Kubernetes: the agents are executors of the machine
// that the server runs on, as those of Jenkins' built-in node. A build gets a folder, its steps run as processes
// of the server's user. So whoever may change a job, or the repository that a job reads, can do there what that
// user can, and read the server's own files and secrets: it is for laptops and for tests.
//
// Steps run by the protocol of slipway-agent (pkg/agent/step): each has a supervisor process in a session of its
// own, and its output and exit code are in files. So they go on when the server is killed, and a server that
// starts again finds them. The supervisor is the server's own binary; see Supervise. It needs Linux.
//
// Tests of other packages start a whole server with such agents by localtest.Start, in the package localtest
// below this one.
package local

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/pkg/agent/step"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/kube"
)

// DefaultExecutors is how many agents can be in use at once if nothing else is said.
const DefaultExecutors = 8

// nodeLabel is a label that every executor has.
const nodeLabel = "local"

// Config configures a Provider. Root is required.
type Config struct {
	// Root is an absolute folder: workspace/JOB below it are the workspaces, which stay from build to build,
	// and agents/ what is known of the agents in use. Only one Provider can use it at a time.
	Root string
	// Executors is how many agents can be in use at once; 0 means DefaultExecutors.
	Executors int
	// Labels are those of the agents, beside "local"; without any they have every label that is asked for.
	Labels []string
	// Env are variables of every step, beside or instead of PATH, HOME, USER and LANG, which are the
	// server's. Steps get no other variable of the server.
	Env map[string]string
	// Executable is a binary that calls Supervise; empty means the one that runs.
	Executable string
	// StopGrace is the time between TERM and KILL for a step that is stopped; 0 means 10 s.
	StopGrace time.Duration

	// Running is set by the server: it tells if the build of an ID runs, or will go on; nil means that none does.
	Running func(build string) bool
}

// Error is a failure to get an agent that the user can understand; it ends the build.
type Error struct{ Message string }

func (e *Error) Error() string { return e.Message }

func failf(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }

// Provider makes agents. It is safe for concurrent use.
type Provider struct {
	cfg  Config
	base []string

	mu sync.Mutex
	// agents are those that builds hold, and those of the former process that nobody has claimed yet, by the
	// name of their folder.
	agents map[string]*localAgent
	// line are those who wait for an executor, the first come first.
	line []*waiter
}

// waiter waits for an executor; granted is closed when it has one.
type waiter struct {
	granted  chan struct{}
	executor int
}

// gcPeriod is how often agents are looked for that no build needs any more.
const gcPeriod = time.Minute

// New makes a Provider. It finds the agents that a former process left.
func New(cfg Config) (*Provider, error) {
	if runtime.GOOS != "linux" {
		return nil, errors.New("local agents: they need Linux")
	}
	if !filepath.IsAbs(cfg.Root) {
		return nil, fmt.Errorf("local agents: the folder %q is not an absolute path", cfg.Root)
	}
	if cfg.Executors < 0 {
		return nil, fmt.Errorf("local agents: %d executors: must be at least 1", cfg.Executors)
	}
	for _, l := range cfg.Labels {
		if expr, err := kube.ParseLabel(l); err != nil || !expr.IsAtom() {
			return nil, fmt.Errorf("local agents: the label %q is not a single name", l)
		}
	}
	cfg.Executors = cmp.Or(cfg.Executors, DefaultExecutors)
	if cfg.Running == nil {
		cfg.Running = func(string) bool { return false }
	}
	cfg.StopGrace = cmp.Or(cfg.StopGrace, step.DefaultStopGrace)
	// It names the running binary also when its file was replaced.
	cfg.Executable = cmp.Or(cfg.Executable, "/proc/self/exe")
	p := &Provider{cfg: cfg, base: baseEnv(cfg.Env), agents: map[string]*localAgent{}}
	for _, dir := range []string{p.agentDir(""), filepath.Join(cfg.Root, "workspace")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("local agents: %w", err)
		}
	}
	return p, p.load()
}

// baseEnv is the environment of the steps before the build's own.
func baseEnv(more map[string]string) []string {
	env := map[string]string{
		"PATH": cmp.Or(os.Getenv("PATH"), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
		"LANG": cmp.Or(os.Getenv("LANG"), "C.UTF-8"),
	}
	for _, name := range []string{"HOME", "USER", "TMPDIR"} {
		if v := os.Getenv(name); v != "" {
			env[name] = v
		}
	}
	maps.Copy(env, more)
	out := make([]string, 0, len(env))
	for k, v := range env {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return out
}

func (p *Provider) agentDir(key string) string { return filepath.Join(p.cfg.Root, "agents", key) }

// load reads the agents of the former process.
func (p *Provider) load() error {
	entries, err := os.ReadDir(p.agentDir(""))
	if err != nil {
		return fmt.Errorf("local agents: %w", err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(p.agentDir(e.Name()), recordFile))
		var r record
		switch {
		case errors.Is(err, fs.ErrNotExist) || err == nil && json.Unmarshal(data, &r) != nil:
			// The process was killed while it made or deleted the agent; no step has begun.
			if err := os.RemoveAll(p.agentDir(e.Name())); err != nil {
				return fmt.Errorf("local agents: %w", err)
			}
		case err != nil:
			return fmt.Errorf("local agents: %w", err)
		default:
			a, err := p.newAgent(e.Name(), r)
			if err != nil {
				return err
			}
			p.agents[e.Name()] = a
		}
	}
	return nil
}

// Run ends the agents that no build needs any more, every minute until ctx ends.
func (p *Provider) Run(ctx context.Context) error {
	t := time.NewTicker(gcPeriod)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			if err := p.Reap(ctx); err != nil {
				klog.FromContext(ctx).Error(err, "agents cannot be ended")
			}
		}
	}
}

// Reap ends and deletes the agents of the former process whose builds do not go on.
func (p *Provider) Reap(ctx context.Context) error {
	p.mu.Lock()
	var left []*localAgent
	for _, a := range p.agents {
		if !a.claimed {
			left = append(left, a)
		}
	}
	p.mu.Unlock()
	var errs []error
	for _, a := range left {
		if p.cfg.Running(a.record.Build) || !p.abandon(a) {
			continue
		}
		klog.FromContext(ctx).Info("agent of a build that does not go on ended", "agent", a.Name(), "workspace", a.Workspace())
		errs = append(errs, a.Release(ctx))
	}
	return errors.Join(errs...)
}

// abandon tells if nobody has claimed the agent meanwhile; then nobody will.
func (p *Provider) abandon(a *localAgent) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a.claimed {
		return false
	}
	a.claimed = true
	return true
}

// Agents are the agents in use, by name.
func (p *Provider) Agents() []kube.AgentInfo {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]kube.AgentInfo, 0, len(p.agents))
	for _, a := range p.agents {
		out = append(out, kube.AgentInfo{Name: a.Name(), Labels: p.labels(), Online: true})
	}
	slices.SortFunc(out, func(a, b kube.AgentInfo) int {
		return cmp.Or(cmp.Compare(len(a.Name), len(b.Name)), strings.Compare(a.Name, b.Name))
	})
	return out
}

func (p *Provider) labels() []string { return append([]string{nodeLabel}, p.cfg.Labels...) }

// ForBuild makes the provider of one build.
func (p *Provider) ForBuild(b kube.Build) engine.AgentProvider { return &buildAgents{p: p, build: b} }

type buildAgents struct {
	p     *Provider
	build kube.Build
}

var (
	_ engine.AgentProvider = (*buildAgents)(nil)
	_ engine.AgentResumer  = (*buildAgents)(nil)
)

// HasLabel implements engine.AgentProvider.
func (b *buildAgents) HasLabel(label string) bool { return b.check(label) == nil }

// check says why nothing carries a label.
func (b *buildAgents) check(label string) error {
	if strings.TrimSpace(label) == "" {
		return nil
	}
	expr, err := kube.ParseLabel(label)
	if err != nil {
		return failf("The label ‘%s’ cannot be read: %v", label, err)
	}
	if len(b.p.cfg.Labels) > 0 && !expr.Match(b.p.labels()) {
		return failf("There are no nodes with the label ‘%s’. Labels that exist: %s.", label, strings.Join(b.p.labels(), ", "))
	}
	return nil
}

func executorName(n int) string { return nodeLabel + "-" + strconv.Itoa(n) }
