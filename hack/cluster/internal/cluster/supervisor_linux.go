// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/hack/cluster/internal/kubeapi"
	"github.com/slipway-dev/slipway/hack/cluster/internal/layout"
	"github.com/slipway-dev/slipway/hack/cluster/internal/nodeconfig"
	"github.com/slipway-dev/slipway/hack/cluster/internal/proc"
	"github.com/slipway-dev/slipway/hack/cluster/internal/registry"
)

const (
	// pollReady is how often a component that starts is asked whether it is
	// ready, and pollHealth how often one that runs is asked.
	pollReady  = 50 * time.Millisecond
	pollHealth = 5 * time.Second
	// probeTimeout bounds one question.
	probeTimeout = 5 * time.Second
	// maxFailures is how many questions in a row a running component may leave
	// unanswered before it is restarted, and startTimeout is how long one that
	// starts may take.
	maxFailures  = 6
	startTimeout = 90 * time.Second
	// Delays between restarts grow from the first to the last; a component that
	// ran for resetAfter starts over.
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 5 * time.Second
	resetAfter   = 20 * time.Second
	// stopTimeout is how long a component may take to stop.
	stopTimeout = 10 * time.Second
)

// Supervise runs the programs of the cluster until ctx is done. It must run in
// the node's network namespace; Up starts it there.
func Supervise(ctx context.Context, l layout.Layout) error {
	rec, err := readRecord(l)
	if err != nil {
		return err
	}
	if rec == nil {
		return ErrNotRunning
	}
	cfg, err := nodeconfig.Render(l, rec.Plan, rec.Options)
	if err != nil {
		return err
	}
	if err := (proc.Table{}).WriteFile(l.PIDFile(), os.Getpid()); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	s := &supervisor{
		l: l, rec: rec, cfg: cfg, log: log,
		spawn: make(chan func()),
		units: map[string]*unit{},
		probe: &http.Client{
			Timeout: probeTimeout,
			Transport: &http.Transport{
				DisableKeepAlives: true,
				// Only health is read, over the node's own loopback.
				TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // nothing secret is sent or believed
			},
		},
	}
	return s.run(ctx)
}

// supervisor keeps components running.
type supervisor struct {
	l     layout.Layout
	rec   *record
	cfg   *nodeconfig.Config
	log   *slog.Logger
	probe *http.Client
	// spawn is served by one thread that lives as long as the process: the
	// kernel kills a component when the thread that started it ends.
	spawn chan func()
	order []string
	units map[string]*unit

	mu      sync.Mutex
	message string // what the preparation of the cluster waits for
	ready   bool
}

// unit is the state of one component.
type unit struct {
	spec nodeconfig.Component
	// up is closed when the component has been ready once.
	up chan struct{}

	mu       sync.Mutex
	pid      int
	isReady  bool
	restarts int
	started  time.Time
	lastErr  string
}

func (u *unit) set(f func(*unit)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	f(u)
}

func (u *unit) status() ComponentStatus {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := ComponentStatus{Name: u.spec.Name, Ready: u.isReady, PID: u.pid, Restarts: u.restarts, LastError: u.lastErr}
	if !u.started.IsZero() {
		started := u.started
		s.Started = &started
	}
	return s
}

func (s *supervisor) run(ctx context.Context) error {
	go func() {
		runtime.LockOSThread()
		for f := range s.spawn {
			f()
		}
	}()
	s.add(nodeconfig.Component{Name: "registry"})
	for _, c := range s.cfg.Components {
		s.add(c)
	}
	closeStatus, err := s.serveStatus(ctx)
	if err != nil {
		return err
	}
	defer closeStatus()
	s.log.Info("Supervisor started", "pid", os.Getpid(), "network", s.rec.Plan.String())

	// Components stop in the reverse order of their start, so that what is
	// stopped can still write down that it was.
	var stops []func()
	var wg sync.WaitGroup
	wg.Go(func() { s.runRegistry(ctx) })
	for _, c := range s.cfg.Components {
		unitCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
		done := make(chan struct{})
		stops = append(stops, func() { stop(); <-done })
		go func() {
			defer close(done)
			s.keep(unitCtx, ctx, s.units[c.Name])
		}()
	}
	wg.Go(func() { s.prepare(ctx) })
	wg.Go(func() { s.preloadPause(ctx) })
	<-ctx.Done()
	s.log.Info("Supervisor is stopping")
	slices.Reverse(stops)
	// All but the database at once, and then the database.
	var others sync.WaitGroup
	for _, stop := range stops[:len(stops)-1] {
		others.Go(stop)
	}
	others.Wait()
	stops[len(stops)-1]()
	wg.Wait()
	s.log.Info("Supervisor stopped")
	return nil
}

func (s *supervisor) add(c nodeconfig.Component) {
	s.order = append(s.order, c.Name)
	s.units[c.Name] = &unit{spec: c, up: make(chan struct{})}
}

// keep starts a component when what it needs is up, and again each time that
// it ends, until ctx is done. No start begins after begin is done.
func (s *supervisor) keep(ctx, begin context.Context, u *unit) {
	for _, need := range u.spec.Needs {
		u.set(func(u *unit) { u.lastErr = "waits for " + need })
		select {
		case <-s.units[need].up:
		case <-begin.Done():
			return
		}
	}
	backoff := firstBackoff
	for begin.Err() == nil {
		started := time.Now()
		err := s.once(ctx, u)
		if ctx.Err() != nil {
			return
		}
		if time.Since(started) > resetAfter {
			backoff = firstBackoff
		}
		s.log.Warn("Component ended; starting it again", "component", u.spec.Name, "error", err, "after", backoff)
		u.set(func(u *unit) {
			u.pid, u.isReady = 0, false
			u.restarts++
			u.lastErr = err.Error()
		})
		if !pause(begin, backoff) {
			return
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

// pause waits for d and tells whether ctx still lives.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// once runs a component until it ends, hangs, or ctx is done.
func (s *supervisor) once(ctx context.Context, u *unit) error {
	out, err := openLog(filepath.Join(s.l.Logs(), u.spec.Name+".log"))
	if err != nil {
		return err
	}
	defer out.Close()
	runCtx, stop := context.WithCancel(ctx)
	defer stop()
	cmd := exec.CommandContext(runCtx, u.spec.Path, u.spec.Args...)
	cmd.Dir = "/"
	cmd.Env = s.environment()
	cmd.Stdout, cmd.Stderr = out, out
	// A process that dies with the supervisor leaves nothing that a new one
	// would have to find; pods are not its children and live on.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTimeout
	result := make(chan error, 1)
	s.spawn <- func() { result <- cmd.Start() }
	if err := <-result; err != nil {
		return fmt.Errorf("starting %s: %w", u.spec.Name, err)
	}
	u.set(func(u *unit) { u.pid, u.started, u.lastErr = cmd.Process.Pid, time.Now(), "is starting" })
	watched := make(chan error, 1)
	go func() {
		err := s.watch(runCtx, u)
		if err != nil {
			stop()
			// What hangs may not listen to a polite request either.
			_ = cmd.Process.Kill()
		}
		watched <- err
	}()
	err = cmd.Wait()
	stop()
	if hung := <-watched; hung != nil {
		return hung
	}
	if err == nil {
		err = errors.New("it ended by itself")
	}
	return fmt.Errorf("process ended: %w", err)
}

// watch waits until a component is ready and then looks after it. It returns
// an error when the component has to be restarted, nil when ctx is done.
func (s *supervisor) watch(ctx context.Context, u *unit) error {
	deadline := time.Now().Add(startTimeout)
	for {
		err := s.ask(ctx, u.spec.Probe)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it was not ready after %v: %w", startTimeout, err)
		}
		if !pause(ctx, pollReady) {
			return nil
		}
	}
	u.set(func(u *unit) {
		u.isReady, u.lastErr = true, ""
		s.log.Info("Component is ready", "component", u.spec.Name, "pid", u.pid, "after", time.Since(u.started).Round(time.Millisecond))
		select {
		case <-u.up:
		default:
			close(u.up)
		}
	})
	for failures := 0; pause(ctx, pollHealth); {
		err := s.ask(ctx, u.spec.Probe)
		if err == nil {
			failures = 0
			u.set(func(u *unit) { u.isReady, u.lastErr = true, "" })
			continue
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it is being stopped: no answer is no failure
		}
		failures++
		u.set(func(u *unit) { u.isReady, u.lastErr = false, err.Error() })
		if failures >= maxFailures {
			return fmt.Errorf("it hangs: %w", err)
		}
	}
	return nil
}

func (s *supervisor) ask(ctx context.Context, p nodeconfig.Probe) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	switch {
	case p.URL != "":
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL, nil)
		if err != nil {
			return fmt.Errorf("asking for health: %w", err)
		}
		resp, err := s.probe.Do(req)
		if err != nil {
			return fmt.Errorf("asking for health: %w", err)
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16)) // only the code counts
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("its health is HTTP %d", resp.StatusCode)
		}
	case p.Unix != "":
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", p.Unix)
		if err != nil {
			return fmt.Errorf("asking for health: %w", err)
		}
		return conn.Close()
	}
	return nil
}

// environment is what components see of the supervisor's.
func (s *supervisor) environment() []string {
	env := []string{
		"PATH=" + s.l.Bin() + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root",
		// Collecting garbage a little earlier halves the memory at rest.
		"GOGC=75",
	}
	noProxy := []string{"localhost", "127.0.0.1", ".svc", "." + nodeconfig.ClusterDomain, nodeconfig.RegistryName, s.rec.Plan.Block().String(), s.rec.Plan.NodeIP.String(), s.rec.Plan.HostIP.String()}
	proxied := false
	for _, kv := range os.Environ() {
		name, value, _ := strings.Cut(kv, "=")
		switch strings.ToUpper(name) {
		case "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR":
			env = append(env, kv)
			proxied = true
		case "NO_PROXY":
			noProxy = append(noProxy, value)
		}
	}
	if proxied {
		list := strings.Join(noProxy, ",")
		env = append(env, "NO_PROXY="+list, "no_proxy="+list)
	}
	return env
}

// runRegistry serves images until ctx is done.
func (s *supervisor) runRegistry(ctx context.Context) {
	u := s.units["registry"]
	backoff := firstBackoff
	for {
		err := s.serveRegistry(ctx, u)
		if ctx.Err() != nil {
			return
		}
		s.log.Warn("Registry ended; starting it again", "error", err)
		u.set(func(u *unit) { u.isReady, u.lastErr = false, err.Error(); u.restarts++ })
		if !pause(ctx, backoff) {
			return
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

func (s *supervisor) serveRegistry(ctx context.Context, u *unit) error {
	handler, err := registry.New(s.l.In("registry"))
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", nodeconfig.RegistryAddr(s.rec.Plan))
	if err != nil {
		return fmt.Errorf("opening the registry's port: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 30 * time.Second}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if err := pushPause(ctx, s.l, target(s.rec.Plan)); err != nil {
		return errors.Join(err, server.Close())
	}
	u.set(func(u *unit) {
		u.pid, u.started, u.isReady, u.lastErr = os.Getpid(), time.Now(), true, ""
		select {
		case <-u.up:
		default:
			close(u.up)
		}
	})
	return <-served
}

// preloadPause loads the sandbox image onto the node before the first pod asks
// for it. Failing that, the first pod waits a little longer.
func (s *supervisor) preloadPause(ctx context.Context) {
	for _, name := range []string{"registry", "containerd"} {
		select {
		case <-s.units[name].up:
		case <-ctx.Done():
			return
		}
	}
	ref := nodeconfig.RegistryName + "/" + nodeconfig.PauseRepository + ":" + nodeconfig.PauseTag
	if err := Preload(ctx, s.l, ref); err != nil && ctx.Err() == nil {
		s.log.Warn("Sandbox image is not loaded yet", "error", err)
	}
}

// prepare makes the objects that every cluster has, waits until pods can be
// scheduled, and goes on watching whether they can.
func (s *supervisor) prepare(ctx context.Context) {
	select {
	case <-s.units["kube-apiserver"].up:
	case <-ctx.Done():
		return
	}
	client, err := kubeapi.New(s.cfg.APIServer, s.cfg.CAFile, s.cfg.AdminCert, s.cfg.AdminKey)
	if err != nil {
		s.say(false, err.Error())
		return
	}
	applied := false
	for {
		var err error
		if !applied {
			err = applyObjects(ctx, client, s.rec.Plan)
			applied = err == nil
		}
		if err == nil {
			err = s.check(ctx, client)
		}
		interval := pollReady
		if err != nil {
			s.say(false, err.Error())
		} else {
			s.say(true, "")
			interval = pollHealth
		}
		if err := trackShims(s.l); err != nil {
			s.log.Warn("Shims are not noted", "error", err)
		}
		if !pause(ctx, interval) {
			return
		}
	}
}

func (s *supervisor) say(ready bool, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ready != s.ready {
		s.log.Info("Cluster changed", "ready", ready, "message", message)
	}
	s.ready, s.message = ready, message
}

// check tells what a pod that is created now would have to wait for.
func (s *supervisor) check(ctx context.Context, client *kubeapi.Client) error {
	for _, name := range s.order {
		if c := s.units[name].status(); !c.Ready {
			return fmt.Errorf("%s is not ready: %s", name, c.LastError)
		}
	}
	return podsCanRun(ctx, client, *s.units["kubelet"].status().Started)
}

func (s *supervisor) status() *Status {
	st := baseStatus(s.l)
	s.rec.fill(st)
	st.Supervisor = os.Getpid()
	s.mu.Lock()
	st.Phase, st.Message = PhaseStarting, s.message
	if s.ready {
		st.Phase = PhaseReady
	}
	s.mu.Unlock()
	for _, name := range s.order {
		c := s.units[name].status()
		st.Components = append(st.Components, c)
		if !c.Ready && st.Phase == PhaseReady {
			st.Phase, st.Message = PhaseStarting, c.Name+" is not ready: "+c.LastError
		}
	}
	return st
}

// serveStatus answers questions about the cluster on a socket of the state
// directory.
func (s *supervisor) serveStatus(ctx context.Context) (stop func(), err error) {
	if err := os.Remove(s.l.Socket()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("removing the former status socket: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", s.l.Socket())
	if err != nil {
		return nil, fmt.Errorf("opening the status socket: %w", err)
	}
	if err := os.Chmod(s.l.Socket(), 0o600); err != nil {
		return nil, fmt.Errorf("protecting the status socket: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.status()) // the asker may be gone
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("Status socket failed", "error", err)
		}
	}()
	return func() { server.Close() }, nil
}

// askSupervisor returns what the supervisor says, or an error if none answers.
func askSupervisor(ctx context.Context, l layout.Layout) (*Status, error) {
	client := &http.Client{
		Timeout: probeTimeout,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", l.Socket())
			},
		},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://supervisor/status", nil)
	if err != nil {
		return nil, fmt.Errorf("asking the supervisor: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking the supervisor: %w", err)
	}
	defer resp.Body.Close()
	st := &Status{}
	if err := json.NewDecoder(resp.Body).Decode(st); err != nil {
		return nil, fmt.Errorf("asking the supervisor: %w", err)
	}
	return st, nil
}

// killProcess ends a process that is beyond doubt the one named, politely at
// first if grace is positive, and waits until it is gone.
func killProcess(ctx context.Context, id proc.ID, grace time.Duration) error {
	fd, err := unix.PidfdOpen(id.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening process %d: %w", id.PID, err)
	}
	defer unix.Close(fd)
	if !(proc.Table{}).Running(id) {
		return nil // the ID was used again before the process was opened
	}
	if grace > 0 {
		if err := unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("stopping process %d: %w", id.PID, err)
		}
		if waitExit(fd, grace) {
			return nil
		}
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("killing process %d: %w", id.PID, err)
	}
	if !waitExit(fd, stopTimeout) {
		return fmt.Errorf("process %d does not end", id.PID)
	}
	return ctx.Err()
}

// waitExit waits until the process behind a pidfd ends, at most for d.
func waitExit(fd int, d time.Duration) bool {
	deadline := time.Now().Add(d)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return false
		}
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(left.Milliseconds())+1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return false
		}
		if n > 0 {
			return true
		}
	}
}
