// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sys/unix"
)

// DefaultGrace is how long processes may take to end after a signal before they are killed. It is
// below the 30 s that Kubernetes gives a pod.
const DefaultGrace = 10 * time.Second

// Options say what Supervise does around the command.
type Options struct {
	// Grace is the time between the first TERM, INT or QUIT and KILL; 0 is DefaultGrace.
	Grace time.Duration
	// Linger keeps the supervisor alive after the command ended with 0, as long as processes that it
	// left behind (daemons) live.
	Linger bool
	// Keep keeps the supervisor alive for that long after the command ended by itself, whatever its
	// code was; what it left behind goes on.
	Keep time.Duration
}

// Outcome is how the supervised command ended.
type Outcome struct {
	// Code is the command's exit code, 128 + the signal's number if a signal killed it.
	Code int
	// Stopped is true if this process was asked to end (a signal or the context).
	Stopped bool
	// Lingered is true if processes outlived the command and were waited for.
	Lingered bool
	// Ran is how long the command ran.
	Ran time.Duration
	// Reaped counts the processes that were reaped, the command included.
	Reaped int
}

// Supervise starts cmd in its own process group and runs until it has ended. A nil cmd supervises
// whatever is or becomes a child of this process until a signal ends it.
//
// It must be the only one in this process that waits for children: it reaps all of them. Where this
// process is not PID 1 it makes itself the subreaper, so that orphans come to it all the same. cmd's
// stdin, stdout and stderr must be nil or *os.File. The error is about starting cmd.
func Supervise(ctx context.Context, cmd *exec.Cmd, opts Options) (Outcome, error) {
	if opts.Grace <= 0 {
		opts.Grace = DefaultGrace
	}
	if os.Getpid() != 1 {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return Outcome{}, fmt.Errorf("become subreaper: %w", err)
		}
	}
	s := &supervisor{opts: opts, log: logr.FromContextOrDiscard(ctx), start: time.Now()}

	// Signals are taken before the start, so that none is lost between the two.
	forward := make(chan os.Signal, 32)
	signal.Notify(forward, forwarded...)
	defer signal.Stop(forward)
	child := make(chan os.Signal, 1)
	signal.Notify(child, unix.SIGCHLD)
	defer signal.Stop(child)

	if cmd != nil {
		if err := s.startMain(cmd); err != nil {
			return Outcome{}, err
		}
	}
	return s.loop(ctx, forward, child), nil
}

// forwarded are the signals that a container's PID 1 passes on. SIGCHLD is ours; SIGURG is the Go
// runtime's; SIGPIPE, SIGTTIN and SIGTTOU concern only the process that gets them.
var forwarded = []os.Signal{
	unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2,
	unix.SIGWINCH, unix.SIGCONT, unix.SIGALRM,
}

type supervisor struct {
	opts  Options
	log   logr.Logger
	start time.Time

	main     int // PID of the command, 0 when it has ended or if there is none
	hadMain  bool
	out      Outcome
	stopping bool
	killed   bool
	done     bool
	keeping  bool
	timer    *time.Timer
	timerC   <-chan time.Time
}

func (s *supervisor) startMain(cmd *exec.Cmd) error {
	attr := cmd.SysProcAttr
	if attr == nil {
		attr = &syscall.SysProcAttr{}
	}
	attr.Setpgid = true
	// With a terminal (docker run -it) the group must be in its foreground, or its first read from
	// the terminal would stop it.
	if f, ok := cmd.Stdin.(*os.File); ok {
		if _, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP); err == nil {
			attr.Foreground, attr.Ctty = true, 0
		}
	}
	cmd.SysProcAttr = attr
	if err := cmd.Start(); err != nil {
		return err
	}
	s.main, s.hadMain = cmd.Process.Pid, true
	// The child is reaped by wait4 below; Release gives its descriptor back.
	return cmd.Process.Release()
}

func (s *supervisor) loop(ctx context.Context, forward, child <-chan os.Signal) Outcome {
	ctxDone := ctx.Done()
	for {
		mainEnded, children := s.reap()
		if mainEnded {
			s.afterMain(children)
		}
		if s.done || s.finished(children) {
			return s.out
		}
		select {
		case sig := <-forward:
			s.onSignal(sig.(unix.Signal))
		case <-child:
		case <-ctxDone:
			ctxDone = nil
			s.onSignal(unix.SIGTERM)
		case <-s.timerC:
			s.onTimer()
		}
	}
}

// reap collects all dead children and tells if the command was among them and if any child is left.
func (s *supervisor) reap() (mainEnded, children bool) {
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil: // ECHILD
			return mainEnded, false
		case pid == 0:
			return mainEnded, true
		}
		s.out.Reaped++
		if pid == s.main {
			s.main, mainEnded = 0, true
			s.out.Code, s.out.Ran = ExitCode(ws), time.Since(s.start)
		}
	}
}

// ExitCode is the shell's convention: the exit status, or 128 + the number of the signal.
func ExitCode(ws unix.WaitStatus) int {
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// afterMain decides what follows the end of the command.
func (s *supervisor) afterMain(children bool) {
	switch {
	case s.stopping:
		// finished ends the loop, or the timer of the stop does.
		s.signalRest(unix.SIGTERM)
	case s.opts.Keep > 0:
		s.log.Info("the command ended; the container is kept for a while", "exitCode", s.out.Code, "keep", s.opts.Keep.String())
		s.keeping = true
		s.setTimer(s.opts.Keep)
	case !children:
		s.done = true
	case s.out.Code == 0 && s.opts.Linger:
		s.log.Info("the command ended with 0 and left processes: staying until they have ended")
		s.out.Lingered = true
	default:
		s.beginStop()
		s.signalRest(unix.SIGTERM)
	}
}

// finished tells if nothing is left to wait for.
func (s *supervisor) finished(children bool) bool {
	if s.main != 0 || children {
		return false
	}
	return s.stopping || s.out.Lingered || s.hadMain && !s.keeping
}

func (s *supervisor) onSignal(sig unix.Signal) {
	stop := sig == unix.SIGTERM || sig == unix.SIGINT || sig == unix.SIGQUIT
	if stop {
		s.out.Stopped = true
		if !s.stopping {
			s.beginStop()
		}
	}
	if s.main != 0 {
		_ = unix.Kill(-s.main, sig)
		return
	}
	if stop {
		sig = unix.SIGTERM
	}
	s.signalRest(sig)
}

func (s *supervisor) beginStop() {
	s.stopping, s.keeping = true, false
	s.setTimer(s.opts.Grace)
}

func (s *supervisor) onTimer() {
	switch {
	case s.keeping:
		s.beginStop()
		s.signalRest(unix.SIGTERM)
	case !s.killed:
		s.killed = true
		s.log.Info("processes did not end in time and are killed", "grace", s.opts.Grace.String())
		s.signalRest(unix.SIGKILL)
		// A process in uninterruptible sleep does not even die of KILL at once.
		s.setTimer(2 * time.Second)
	default:
		if s.main != 0 {
			s.out.Code = 128 + int(unix.SIGKILL)
		}
		s.done = true
	}
}

func (s *supervisor) setTimer(d time.Duration) {
	if s.timer != nil {
		s.timer.Stop()
	}
	s.timer = time.NewTimer(d)
	s.timerC = s.timer.C
}

// signalRest signals everything below this process. Not kill(-1): that would be everything on the
// machine where this process is not PID 1 of its own namespace.
func (s *supervisor) signalRest(sig unix.Signal) {
	rest, err := Descendants(os.Getpid())
	if err != nil {
		s.log.Error(err, "cannot find the processes to signal")
		return
	}
	for _, p := range rest {
		_ = unix.Kill(p.PID, sig)
	}
}
