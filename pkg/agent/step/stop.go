// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package step

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/pkg/agent"
	"github.com/slipway-dev/slipway/pkg/agent/proc"
)

// DefaultStopGrace is the time between TERM and KILL.
const DefaultStopGrace = 10 * time.Second

// settle is how long the supervisor may take to write the result once the script is dead.
const settle = 5 * time.Second

// Stop ends a step: TERM to every process of its session, KILL after the grace to those that are left,
// and then the result. It is no error if the step has ended, or was lost, before. What a script moved
// into another session on purpose (setsid, a daemon) goes on.
func (s *Store) Stop(ctx context.Context, id string, grace time.Duration) (Result, error) {
	dir, err := s.path(id)
	if err != nil {
		return Result{}, err
	}
	w := newWaiter(dir)
	defer w.close()
	st, err := readState(dir)
	if err != nil {
		return Result{}, err
	}
	if st.result != nil {
		return *st.result, nil
	}
	sent := map[int]unix.Signal{}
	deadline := time.Now().Add(grace)
	for {
		left, err := session(st.supervisor)
		switch now := time.Now(); {
		case err != nil:
			return Result{}, err
		case len(left) == 0 && st.result != nil:
			return *st.result, nil
		case len(left) == 0 && !st.alive:
			return Result{}, lost(id, st)
		case now.After(deadline.Add(settle)):
			return Result{}, agent.Fail(agent.ExitError, "NotStopped",
				"step %s does not end although %d of its processes got KILL", id, len(left))
		case now.Before(deadline):
			signalOnce(left, unix.SIGTERM, sent)
		default:
			signalOnce(left, unix.SIGKILL, sent)
		}
		if err := w.waitAtMost(ctx, maxWait); err != nil {
			return Result{}, err
		}
		if st, err = readState(dir); err != nil {
			return Result{}, err
		}
	}
}

// StopAll ends what all steps of the store left, also those that have ended: what a script put into the
// background is in the step's session still. TERM, and KILL after the grace.
func (s *Store) StopAll(ctx context.Context, grace time.Duration) error {
	leaders, err := s.leaders()
	if err != nil || len(leaders) == 0 {
		return err
	}
	sent := map[int]unix.Signal{}
	deadline := time.Now().Add(grace)
	for pause := minWait; ; pause = min(2*pause, maxWait) {
		left, err := sessions(leaders...)
		switch now := time.Now(); {
		case err != nil || len(left) == 0:
			return err
		case now.After(deadline.Add(settle)):
			return agent.Fail(agent.ExitError, "NotStopped", "%d processes do not end although they got KILL", len(left))
		case now.Before(deadline):
			signalOnce(left, unix.SIGTERM, sent)
		default:
			signalOnce(left, unix.SIGKILL, sent)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("stop steps: %w", context.Cause(ctx))
		case <-timer.C:
		}
	}
}

// leaders are the supervisors of all steps since the machine was started.
func (s *Store) leaders() ([]proc.Identity, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list steps: %w", err)
	}
	self, err := proc.Identify(os.Getpid())
	if err != nil {
		return nil, err
	}
	var out []proc.Identity
	for _, e := range entries {
		var id proc.Identity
		if readJSON(filepath.Join(s.dir, e.Name(), supervisorFile), &id) == nil && id.BootID == self.BootID {
			out = append(out, id)
		}
	}
	return out, nil
}

// signalOnce sends sig to those that did not get it yet.
func signalOnce(procs []proc.Stat, sig unix.Signal, sent map[int]unix.Signal) {
	for _, p := range procs {
		if sent[p.PID] == sig {
			continue
		}
		sent[p.PID] = sig
		_ = unix.Kill(p.PID, sig)
		// A stopped process does not see the signal until it goes on.
		_ = unix.Kill(p.PID, unix.SIGCONT)
	}
}

// session lists the living processes of the session that the supervisor made, itself excluded.
func session(leader proc.Identity) ([]proc.Stat, error) { return sessions(leader) }

// sessions lists the living processes of the sessions that the supervisors made, themselves excluded.
func sessions(leaders ...proc.Identity) ([]proc.Stat, error) {
	all, err := proc.List()
	if err != nil {
		return nil, err
	}
	began := make(map[int]uint64, len(leaders))
	for _, l := range leaders {
		began[l.PID] = max(began[l.PID], l.StartTime)
	}
	for _, p := range all {
		if start, ok := began[p.PID]; ok && p.StartTime != start {
			// The number was free and is somebody else's now, so nothing of ours is left.
			delete(began, p.PID)
		}
	}
	var out []proc.Stat
	for _, p := range all {
		if start, ok := began[p.Session]; ok && p.PID != p.Session && p.StartTime >= start && p.State != 'Z' {
			out = append(out, p)
		}
	}
	return out, nil
}

// waitAtMost is wait with an upper bound, for changes that no file shows.
func (w *waiter) waitAtMost(ctx context.Context, d time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, d, errTick)
	defer cancel()
	if err := w.wait(ctx, false); err != nil && !errors.Is(context.Cause(ctx), errTick) {
		return err
	}
	return nil
}

type tick struct{}

func (tick) Error() string { return "time to look again" }

var errTick error = tick{}
