// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/pkg/agent/clone"
	"github.com/slipway-dev/slipway/pkg/agent/files"
	"github.com/slipway-dev/slipway/pkg/agent/step"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
)

// stopSlack is how long the end of a step may take beyond the grace.
const stopSlack = 15 * time.Second

// localAgent is an executor that a build holds, with a workspace.
type localAgent struct {
	p         *Provider
	key, name string
	record    record
	steps     *step.Store
	// gone says that its folder is not there any more.
	gone bool
	// claimed says that a build of this process holds it. Provider.mu guards it.
	claimed bool
	release sync.Once
	// clones are those that write to the workspace.
	clones sync.WaitGroup
}

var (
	_ engine.Agent        = (*localAgent)(nil)
	_ engine.StreamWriter = (*localAgent)(nil)
)

// Name implements engine.Agent.
func (a *localAgent) Name() string { return a.name }

// Workspace implements engine.Agent.
func (a *localAgent) Workspace() string { return a.record.Workspace }

// Shell implements engine.Agent. The step is started once; a server that starts again attaches to it. With a ctx that has
// ended nothing is started, but a script that a former process was stopping is stopped, and what it writes until then kept.
func (a *localAgent) Shell(ctx context.Context, req engine.ShellRequest, out, stdout io.Writer) (int, error) {
	if err := a.usable(context.WithoutCancel(ctx)); err != nil {
		return 0, err
	}
	if errors.Is(context.Cause(ctx), engine.ErrSuspended) {
		return 0, engine.ErrSuspended
	}
	if ctx.Err() == nil {
		_, err := a.steps.Start(req.ID, &step.Request{Script: req.Script, Dir: req.Dir, Env: req.Env, Base: a.p.base,
			SeparateStdout: stdout != nil}, a.p.cfg.Executable)
		if err != nil {
			return 0, fmt.Errorf("start step on %s: %w", a.name, err)
		}
	}
	follow, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() {
		// What the script writes while it is stopped belongs to the log; following ends by itself then.
		if cause := context.Cause(ctx); errors.Is(cause, engine.ErrSuspended) || !a.stop(ctx, req.ID) {
			cancel(cause)
		}
	})()
	res, err := a.steps.Attach(follow, req.ID, out, step.AttachOptions{})
	if err == nil && stdout != nil {
		res, err = a.steps.Attach(follow, req.ID, stdout, step.AttachOptions{Stdout: true})
	}
	switch {
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case err != nil:
		return 0, fmt.Errorf("step on %s: %w", a.name, err)
	}
	return res.ExitCode, nil
}

// stop ends the script of an aborted build and tells if it has ended.
func (a *localAgent) stop(ctx context.Context, id string) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.p.cfg.StopGrace+stopSlack)
	defer cancel()
	_, err := a.steps.Stop(ctx, id, a.p.cfg.StopGrace)
	return err == nil
}

func (a *localAgent) usable(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if a.gone {
		return failf("Agent %s is gone", a.name)
	}
	return nil
}

// Open implements engine.Agent.
func (a *localAgent) Open(ctx context.Context, path string) (io.ReadCloser, error) {
	if err := a.usable(ctx); err != nil {
		return nil, err
	}
	path, err := files.CheckPath(path)
	if err != nil {
		return nil, fmt.Errorf("read file: %w", err)
	}
	// O_NONBLOCK: to open a FIFO must not wait for a writer.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("read file: %w", err)
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("read %s: it is not a regular file", path), err, f.Close())
	}
	return f, nil
}

// WriteFile implements engine.Agent.
func (a *localAgent) WriteFile(ctx context.Context, path string, content []byte) error {
	return a.WriteStream(ctx, path, int64(len(content)), bytes.NewReader(content))
}

// WriteStream implements engine.StreamWriter.
func (a *localAgent) WriteStream(ctx context.Context, path string, size int64, content io.Reader) error {
	if err := a.usable(ctx); err != nil {
		return err
	}
	return files.Write(path, content, size)
}

// Glob implements engine.Agent.
func (a *localAgent) Glob(ctx context.Context, dir, includes, excludes string) ([]string, error) {
	if err := a.usable(ctx); err != nil {
		return nil, err
	}
	return files.Glob(files.GlobOptions{Dir: dir, Includes: includes, Excludes: excludes})
}

// Clone implements engine.Agent.
func (a *localAgent) Clone(ctx context.Context, req engine.CloneRequest, out io.Writer) (string, error) {
	if err := a.usable(ctx); err != nil {
		return "", err
	}
	ended, progress := make(chan struct{}), &cutWriter{to: out}
	a.clones.Add(1)
	res, err := clone.Clone(ctx, clone.Options{URL: req.URL, Ref: req.Ref, Dir: req.Dir, Progress: progress, Build: true,
		Credentials: clone.Credentials{Username: req.Username, Password: req.Password}, Ended: func() { close(ended); a.clones.Done() }})
	if err != nil {
		waitFor(ended, a.p.cfg.StopGrace)
	}
	progress.cut.Store(true)
	switch {
	case err != nil && ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err != nil:
		return "", fmt.Errorf("clone on %s: %w", a.name, err)
	}
	return res.Commit, nil
}

// cutWriter passes on what is written until it is cut: the log of a step that is over gets no line of a clone that is still ending.
type cutWriter struct {
	to  io.Writer
	cut atomic.Bool
}

func (w *cutWriter) Write(p []byte) (int, error) {
	if w.cut.Load() {
		return len(p), nil
	}
	return w.to.Write(p)
}

// waitFor waits for the end of something, for so long at most, and tells if it has come.
func waitFor(ended <-chan struct{}, most time.Duration) bool {
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-ended:
		return true
	case <-t.C:
		return false
	}
}

// RemoveAll implements engine.Agent.
func (a *localAgent) RemoveAll(ctx context.Context, dir string) error {
	if err := a.usable(ctx); err != nil {
		return err
	}
	return files.Remove(dir)
}

// Release implements engine.Agent. What the build's scripts left running is ended, as Jenkins does; the
// workspace stays. A clone that was aborted and still writes keeps the executor and the workspace until it has ended.
func (a *localAgent) Release(ctx context.Context) (err error) {
	a.release.Do(func() {
		if a.gone {
			return
		}
		ctx, cancel := context.WithTimeout(ctx, a.p.cfg.StopGrace+stopSlack)
		defer cancel()
		if err = a.steps.StopAll(ctx, a.p.cfg.StopGrace); err == nil {
			err = os.RemoveAll(a.p.agentDir(a.key))
		}
		idle := make(chan struct{})
		go func() { a.clones.Wait(); close(idle) }()
		if waitFor(idle, a.p.cfg.StopGrace) {
			a.free()
			return
		}
		go func() { <-idle; a.free() }()
	})
	return err
}

// free gives the executor and the workspace back.
func (a *localAgent) free() {
	a.p.mu.Lock()
	defer a.p.mu.Unlock()
	delete(a.p.agents, a.key)
	a.p.grant()
}
