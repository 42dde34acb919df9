// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/pkg/agent/step"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
)

// recordFile is the file in the folder of an agent that says what it is; the folder of its steps is beside it.
const (
	recordFile = "agent.json"
	stepsDir   = "steps"
)

// record is what is kept of an agent in use, so that the next process finds it.
type record struct {
	Executor int `json:"executor"`
	// Workspace is absolute.
	Workspace string `json:"workspace"`
	// Build is the ID of the build.
	Build string `json:"build"`
}

// maxKey bounds the names of the agents' folders in bytes.
const maxKey = 120

// keyOf is the name of an agent's folder: the ID of the request if that can name one.
func keyOf(id string) string {
	switch {
	case id == "":
		return "new-" + strings.ToLower(rand.Text())
	case len(id) <= maxKey && step.CheckID(id) == nil:
		return "id-" + id
	}
	sum := sha256.Sum256([]byte(id))
	return "sha-" + hex.EncodeToString(sum[:])
}

// Acquire implements engine.AgentProvider.
func (b *buildAgents) Acquire(ctx context.Context, req engine.AgentRequest, waiting func(string)) (engine.Agent, error) {
	if err := b.check(req.Label); err != nil {
		return nil, err
	}
	key := keyOf(req.ID)
	if a := b.p.claim(key); a != nil {
		return a, nil
	}
	executor, err := b.p.takeExecutor(ctx, func() {
		if waiting == nil {
			return
		}
		if req.Label == "" {
			waiting("Waiting for next available executor")
		} else {
			waiting("Waiting for next available executor on ‘" + req.Label + "’")
		}
	})
	if err != nil {
		return nil, err
	}
	a, err := b.p.begin(key, record{Executor: executor, Workspace: b.workspace(), Build: b.build.ID})
	if err != nil {
		return nil, fmt.Errorf("make agent: %w", err)
	}
	return a, nil
}

// Resume implements engine.AgentResumer. The steps of an agent whose folder is gone fail.
func (b *buildAgents) Resume(_ context.Context, req engine.AgentRequest, name, workspace string) (engine.Agent, error) {
	if a := b.p.claim(keyOf(req.ID)); a != nil {
		return a, nil
	}
	return &localAgent{p: b.p, name: name, record: record{Workspace: workspace}, gone: true, claimed: true}, nil
}

// claim returns the agent of that key if there is one.
func (p *Provider) claim(key string) *localAgent {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.agents[key]
	if a != nil {
		a.claimed = true
	}
	return a
}

// takeExecutor waits for an executor and returns its number. It calls wait once if there is none at once.
func (p *Provider) takeExecutor(ctx context.Context, wait func()) (int, error) {
	p.mu.Lock()
	w := &waiter{granted: make(chan struct{})}
	p.line = append(p.line, w)
	p.grant()
	p.mu.Unlock()
	select {
	case <-w.granted:
		return w.executor, nil
	default:
	}
	wait()
	select {
	case <-w.granted:
		return w.executor, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.line, w); i >= 0 {
		p.line = slices.Delete(p.line, i, i+1)
	} else {
		p.giveBack(w.executor)
	}
	return 0, context.Cause(ctx)
}

// grant gives free executors to those who wait. p.mu is held.
func (p *Provider) grant() {
	for len(p.line) > 0 {
		n := p.freeExecutor()
		if n == 0 {
			return
		}
		w := p.line[0]
		p.line = p.line[1:]
		w.executor = n
		p.agents[placeholderKey(n)] = &localAgent{p: p, name: executorName(n), record: record{Executor: n}, claimed: true}
		close(w.granted)
	}
}

// placeholderKey stands for an executor that is taken and has no agent yet; it cannot be the name of a folder.
func placeholderKey(n int) string { return "/" + strconv.Itoa(n) }

// freeExecutor is the lowest free number, 0 if there is none. p.mu is held.
func (p *Provider) freeExecutor() int {
	if len(p.agents) >= p.cfg.Executors {
		return 0
	}
	used := make(map[int]bool, len(p.agents))
	for _, a := range p.agents {
		used[a.record.Executor] = true
	}
	for n := 1; ; n++ {
		if !used[n] {
			return n
		}
	}
}

// giveBack frees an executor that has no agent. p.mu is held.
func (p *Provider) giveBack(executor int) {
	delete(p.agents, placeholderKey(executor))
	p.grant()
}

// begin makes the agent for a taken executor, in the first folder of its job that is not in use.
func (p *Provider) begin(key string, r record) (*localAgent, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	job := r.Workspace
	for n := 2; p.inUse(r.Workspace); n++ {
		r.Workspace = job + "@" + strconv.Itoa(n)
	}
	a, err := p.create(key, r)
	if err != nil {
		p.giveBack(r.Executor)
		return nil, err
	}
	a.claimed = true
	delete(p.agents, placeholderKey(r.Executor))
	p.agents[key] = a
	return a, nil
}

func (p *Provider) inUse(workspace string) bool {
	for _, a := range p.agents {
		if a.record.Workspace == workspace {
			return true
		}
	}
	return false
}

// create writes the record, without which the next process takes the folder for one that never was.
func (p *Provider) create(key string, r record) (*localAgent, error) {
	if err := os.MkdirAll(r.Workspace, 0o755); err != nil { //nolint:gosec // G301: it is below a folder of mode 0700
		return nil, err
	}
	dir := p.agentDir(key)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	data, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	name := filepath.Join(dir, recordFile)
	if err := os.WriteFile(name+".tmp", data, 0o600); err != nil {
		return nil, err
	}
	if err := os.Rename(name+".tmp", name); err != nil {
		return nil, err
	}
	return p.newAgent(key, r)
}

func (p *Provider) newAgent(key string, r record) (*localAgent, error) {
	steps, err := step.Open(filepath.Join(p.agentDir(key), stepsDir))
	if err != nil {
		return nil, fmt.Errorf("local agents: %w", err)
	}
	return &localAgent{p: p, key: key, name: executorName(r.Executor), record: r, steps: steps}, nil
}

// workspace is the folder of the job. The job's name may not lead out of it.
func (b *buildAgents) workspace() string {
	name := path.Clean("/" + strings.ReplaceAll(b.build.Job, "\x00", "_"))
	return filepath.Join(b.p.cfg.Root, "workspace", filepath.FromSlash(name))
}
