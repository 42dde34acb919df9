// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
)

const (
	// stopTimeout bounds the stop of a step: TERM, grace, KILL.
	stopTimeout = 45 * time.Second
	// maxBreaks is how many exec streams of one step may break in a row without a byte between.
	maxBreaks = 20
	// releaseTimeout bounds the deletion of a pod.
	releaseTimeout = time.Minute
)

// podAgent is an agent that is a pod.
type podAgent struct {
	p               *Provider
	name, container string
	workspace       string
	template        uint64
	changed         <-chan struct{}
	stopWatch       func()
	release         sync.Once
	lifeOnce        sync.Once
	dead            chan struct{}
	deadReason      error
	stopLife        context.CancelFunc
	// all says that all containers have to run; noShell that this one cannot run scripts.
	all, noShell bool
	// outer is the agent whose pod this container is of; nil for an agent itself.
	outer *podAgent
}

// Name implements engine.Agent.
func (a *podAgent) Name() string { return a.name }

// Workspace implements engine.Agent.
func (a *podAgent) Workspace() string { return a.workspace }

// watchLife looks for the pod's death from the first step on.
func (a *podAgent) watchLife(ctx context.Context) {
	a.lifeOnce.Do(func() {
		if a.outer != nil {
			a.outer.watchLife(ctx)
			a.dead = a.outer.dead
			return
		}
		a.dead = make(chan struct{})
		life, cancel := context.WithCancel(context.WithoutCancel(ctx))
		a.stopLife = cancel
		go func() {
			for {
				if err := a.alive(); err != nil {
					a.deadReason = err
					close(a.dead)
					return
				}
				select {
				case <-life.Done():
					return
				case <-a.changed:
				}
			}
		}()
	})
}

// alive returns why the pod cannot run steps any more; nil while it can.
func (a *podAgent) alive() error {
	return a.judge(a.p.pods.Get(a.name))
}

// ended is alive by the API server's own word. Who deletes a pod ends what runs in it, which may be noticed before the
// watch has told of the deletion.
func (a *podAgent) ended(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return a.judge(a.p.client.CoreV1().Pods(a.p.cfg.Namespace).Get(ctx, a.name, metav1.GetOptions{}))
}

// judge says what a pod that was read, or the failure to read it, means for steps.
func (a *podAgent) judge(pod *corev1.Pod, err error) error {
	if apierrors.IsNotFound(err) {
		return failf("Agent %s was deleted", a.name)
	}
	if err != nil {
		return nil //nolint:nilerr // nothing is known; it is read again after the next change
	}
	if st := describe(pod, a.container); st.fatal {
		return failf("Agent %s is gone: %s", a.name, st.reason)
	}
	return nil
}

// bound returns a context that ends when the pod dies as well.
func (a *podAgent) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	a.watchLife(ctx)
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		select {
		case <-a.dead:
			cancel(a.whyDead())
		case <-ctx.Done():
		case <-done:
		}
	}()
	return ctx, sync.OnceFunc(func() { close(done); cancel(nil) })
}

// whyDead is why the pod died.
func (a *podAgent) whyDead() error {
	if a.outer != nil {
		return a.outer.deadReason
	}
	return a.deadReason
}

// command runs a short subcommand, with the pod's death as the error if it dies.
func (a *podAgent) command(ctx context.Context, stdin io.Reader, stdout io.Writer, args ...string) (*tail, error) {
	if err := a.alive(); err != nil {
		return &tail{}, err
	}
	ctx, cancel := a.bound(ctx)
	defer cancel()
	end := time.Now().Add(a.p.cfg.StartTimeout)
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		t, err := a.agentCommand(ctx, stdin, stdout, args...)
		if unreachable(err) && time.Now().Add(wait).Before(end) && pause(ctx, wait) == nil {
			continue // nothing has come to the pod: a cluster that starts again costs no build
		}
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return t, cause
			}
			// A command that fails by itself says why; a step that was killed with all of its pod does not.
			var own *commandError
			if !errors.As(err, &own) || own.reason == "" || own.code == exitLost {
				if dead := a.ended(ctx); dead != nil {
					return t, dead
				}
			}
		}
		return t, err
	}
}

// unreachable tells if a command failed before it, or anything of its input, was sent.
func unreachable(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" || apierrors.IsServiceUnavailable(err)
}

// Shell implements engine.Agent. The step is started once, however often the stream breaks; its
// output is read from where the last stream ended.
func (a *podAgent) Shell(ctx context.Context, req engine.ShellRequest, out, stdout io.Writer) (int, error) {
	if a.noShell {
		return 0, &engine.StepError{Message: noShell}
	}
	body, err := json.Marshal(struct {
		Script         string            `json:"script"`
		Dir            string            `json:"dir"`
		Env            map[string]string `json:"env,omitempty"`
		SeparateStdout bool              `json:"separateStdout,omitempty"`
	}{req.Script, req.Dir, req.Env, stdout != nil})
	if err != nil {
		return 0, fmt.Errorf("encode step: %w", err)
	}
	// What has begun all the same, or before a restart, is stopped below, and what it writes until then is kept.
	if err := a.startStep(ctx, req.ID, body); err != nil && !a.mayStop(ctx) {
		return 0, err
	}
	follow, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	attached := make(chan struct{})
	defer context.AfterFunc(ctx, func() {
		if a.mayStop(ctx) {
			// What the script writes while it ends belongs to the log; then the stream ends by itself.
			a.stopStep(ctx, req.ID)
			select {
			case <-attached:
			case <-time.After(lastOutput):
			}
		}
		cancel(context.Cause(ctx))
	})()
	code, err := a.attach(follow, req.ID, out, "")
	if err == nil && stdout != nil {
		code, err = a.attach(follow, req.ID, stdout, "--stdout")
	}
	close(attached)
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	if err == nil && code != 0 {
		// A script in a pod that is deleted is terminated, and tells its exit code before the pod is gone.
		if dead := a.ended(ctx); dead != nil {
			return 0, dead
		}
	}
	return code, err
}

// lastOutput bounds the wait for the last output of a script that was stopped.
const lastOutput = 5 * time.Second

// mayStop tells if the scripts of an ended context are to be stopped, and can be.
func (a *podAgent) mayStop(ctx context.Context) bool {
	return ctx.Err() != nil && !suspended(ctx) && a.alive() == nil
}

// startStep starts the step. A start that broke is repeated: the same ID is never started twice.
func (a *podAgent) startStep(ctx context.Context, id string, body []byte) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	for try := 0; ; try++ {
		cctx, cancel := context.WithTimeout(ctx, callTimeout)
		_, err := a.command(cctx, bytes.NewReader(body), nil, "step", "start", "--id", id)
		cancel()
		var own *commandError
		var dead *Error
		if err == nil || errors.As(err, &own) || errors.As(err, &dead) || ctx.Err() != nil || try == 2 {
			return a.explain(ctx, "start step", err)
		}
		if err := pause(ctx, time.Duration(try+1)*500*time.Millisecond); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// explain wraps an error with what was tried; the causes of an abort stay as they are.
func (a *podAgent) explain(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var dead *Error
	if errors.As(err, &dead) {
		return err
	}
	return fmt.Errorf("%s on %s: %w", what, a.name, err)
}

// counter counts what it passes on.
type counter struct {
	w   io.Writer
	n   int64
	err error
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	if err != nil {
		c.err = err
	}
	return n, err
}

// attach streams the output of a step to its end and returns its exit code.
func (a *podAgent) attach(ctx context.Context, id string, out io.Writer, flag string) (int, error) {
	c := &counter{w: out}
	breaks := 0
	for {
		from := c.n
		args := []string{"step", "attach", "--id", id, "--offset", strconv.FormatInt(c.n, 10)}
		if flag != "" {
			args = append(args, flag)
		}
		t, err := a.command(ctx, nil, c, args...)
		if err == nil {
			line, _ := t.lastLine()
			var res struct {
				ExitCode *int `json:"exitCode"`
			}
			if json.Unmarshal(line, &res) == nil && res.ExitCode != nil {
				return *res.ExitCode, nil
			}
			// A stream that ended without the result was cut.
		}
		var own *commandError
		var dead *Error
		switch {
		case c.err != nil:
			return 0, fmt.Errorf("write output: %w", c.err)
		case ctx.Err() != nil, errors.As(err, &dead), unreachable(err):
			return 0, a.explain(ctx, "step", err)
		case errors.As(err, &own) && own.code != exitKilled:
			return 0, a.explain(ctx, "step", err)
		}
		if c.n > from {
			breaks = 0
		}
		if breaks++; breaks > maxBreaks {
			if err == nil {
				err = errors.New("the stream ended without a result")
			}
			return 0, a.explain(ctx, "stream of step broke again and again", err)
		}
		if err := pause(ctx, min(5*time.Second, time.Duration(breaks)*250*time.Millisecond)); err != nil {
			return 0, err
		}
	}
}

// exitKilled is the exit code of a slipway-agent that was killed, as when the container runtime
// restarts; its step may live on.
const exitKilled = 137

// stopStep ends the script of an aborted build.
func (a *podAgent) stopStep(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	_, _ = a.command(ctx, nil, nil, "step", "stop", "--id", id)
}

// Open implements engine.Agent.
func (a *podAgent) Open(ctx context.Context, path string) (io.ReadCloser, error) {
	pr, pw := io.Pipe()
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, err := a.command(ctx, nil, pw, "file", "read", path)
		if err == nil {
			err = io.EOF
		}
		_ = pw.CloseWithError(err)
	}()
	r := bufio.NewReader(pr)
	// A file that cannot be read fails before its first byte.
	if _, err := r.Peek(1); err != nil && !errors.Is(err, io.EOF) {
		cancel()
		_ = pr.Close()
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return &remoteFile{Reader: r, stop: func() { cancel(); _ = pr.Close() }}, nil
}

type remoteFile struct {
	io.Reader
	stop func()
}

func (f *remoteFile) Close() error {
	f.stop()
	return nil
}

// WriteFile implements engine.Agent.
func (a *podAgent) WriteFile(ctx context.Context, path string, content []byte) error {
	_, err := a.command(ctx, bytes.NewReader(content), nil, "file", "write", "--size", strconv.Itoa(len(content)), path)
	return a.explain(ctx, "write "+path, err)
}

// WriteStream implements engine.StreamWriter.
func (a *podAgent) WriteStream(ctx context.Context, path string, size int64, content io.Reader) error {
	_, err := a.command(ctx, content, nil, "file", "write", "--size", strconv.FormatInt(size, 10), path)
	return a.explain(ctx, "write "+path, err)
}

// Glob implements engine.Agent.
func (a *podAgent) Glob(ctx context.Context, dir, includes, excludes string) ([]string, error) {
	var b bytes.Buffer
	_, err := a.command(ctx, nil, &b, "file", "glob", "--null", "--dir", dir, "--includes", includes, "--excludes", excludes)
	if err != nil {
		return nil, a.explain(ctx, "list files", err)
	}
	var out []string
	for _, n := range strings.Split(b.String(), "\x00") {
		if n != "" {
			out = append(out, n)
		}
	}
	sort.Strings(out)
	return out, nil
}

// Clone implements engine.Agent.
func (a *podAgent) Clone(ctx context.Context, req engine.CloneRequest, out io.Writer) (string, error) {
	body, err := json.Marshal(struct { //nolint:gosec // it goes to the stdin of slipway-agent only
		URL      string `json:"url"`
		Ref      string `json:"ref,omitempty"`
		Username string `json:"username,omitempty"`
		Password string `json:"password,omitempty"`
	}{req.URL, req.Ref, req.Username, req.Password})
	if err != nil {
		return "", fmt.Errorf("encode clone: %w", err)
	}
	t, err := a.command(ctx, bytes.NewReader(body), out, "git", "clone", "--dir", req.Dir)
	if err != nil {
		return "", a.explain(ctx, "clone", err)
	}
	line, before := t.lastLine()
	_, _ = out.Write(before)
	var res struct {
		Commit string `json:"commit"`
	}
	if err := json.Unmarshal(line, &res); err != nil || res.Commit == "" {
		return "", fmt.Errorf("clone on %s: no commit was reported", a.name)
	}
	return res.Commit, nil
}

// RemoveAll implements engine.Agent.
func (a *podAgent) RemoveAll(ctx context.Context, dir string) error {
	_, err := a.command(ctx, nil, nil, "file", "rm", dir)
	return a.explain(ctx, "delete "+dir, err)
}

// Release implements engine.Agent.
func (a *podAgent) Release(ctx context.Context) (err error) {
	if a.outer != nil {
		return nil
	}
	a.release.Do(func() {
		a.stopWatch()
		if a.stopLife != nil {
			a.stopLife()
		}
		defer a.p.giveRoom(a.template)
		defer a.p.letGo(a.name, true)
		ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
		defer cancel()
		for try := 0; ; try++ {
			if err = a.p.deletePod(ctx, a.name); err == nil || try == 4 {
				return
			}
			if pause(ctx, time.Second<<try) != nil {
				return
			}
		}
	})
	return err
}

var (
	_ engine.Agent      = (*podAgent)(nil)
	_ engine.Containers = (*podAgent)(nil)
)
