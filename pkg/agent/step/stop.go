// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package step

import (
	"context"
	"errors"
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
func session(leader proc.Identity) ([]proc.Stat, error) {
	all, err := proc.List()
	if err != nil {
		return nil, err
	}
	var out []proc.Stat
	for _, p := range all {
		if p.PID == leader.PID {
			if p.StartTime != leader.StartTime {
				// The number was free and is somebody else's now, so nothing of ours is left.
				return nil, nil
			}
			continue
		}
		if p.Session == leader.PID && p.StartTime >= leader.StartTime && p.State != 'Z' {
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
