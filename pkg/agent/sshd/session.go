// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package sshd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/creack/pty"
	"github.com/go-logr/logr"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/pkg/agent/account"
)

const (
	maxEnv = 256
	// drainQuiet is how long a terminal whose program has ended must be silent before it is closed. It
	// matters only if something in the background still holds the terminal.
	drainQuiet   = 300 * time.Millisecond
	exitNoShell  = 127
	exitCannot   = 126
	defaultPATH  = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	noShellHint  = "slipway: this image has no shell (/bin/sh does not exist), so no session can be started.\nUse an image with a shell; sftp and port forwarding work.\n"
	agentRequest = "auth-agent-req@openssh.com"
)

// session is one channel of type "session" (RFC 4254 section 6).
type session struct {
	srv  *Server
	conn *ssh.ServerConn
	ch   ssh.Channel

	env     []string
	term    *ptyRequest
	agent   *agentSocket
	started bool
	ptmx    atomic.Pointer[os.File]
	pid     atomic.Int64
}

// ptyRequest is the payload of a pty-req request (RFC 4254 section 6.2). The encoded terminal modes are
// not applied: the modes of a new terminal are what a login expects.
type ptyRequest struct {
	Term                string
	Columns, Rows       uint32
	WidthPix, HeightPix uint32
	Modes               string
}

// session runs a session to its end.
func (s *Server) session(ctx context.Context, conn *ssh.ServerConn, nch ssh.NewChannel) {
	ch, reqs, err := nch.Accept()
	if err != nil {
		return
	}
	ss := &session{srv: s, conn: conn, ch: ch}
	defer func() {
		_ = ch.Close()
		if ss.agent != nil {
			ss.agent.close()
		}
	}()
	done := make(chan struct{})
	for {
		select {
		case req, ok := <-reqs:
			if !ok {
				// The client closed the channel or is gone: its processes get what a closed terminal
				// sends. What ignores that (nohup) goes on, and nobody waits for it.
				ss.signal(unix.SIGHUP)
				ss.closeTerminal()
				return
			}
			if run := ss.request(ctx, req); run != nil {
				ss.started = true
				go func() {
					defer close(done)
					ss.exit(run())
				}()
			}
		case <-done:
			return
		}
	}
}

// status is how a command ended.
type status struct {
	code   int
	signal syscall.Signal // not 0 if a signal killed it
	core   bool
}

// request answers one request of the client. It returns the function that runs the session's program
// if the request starts it.
func (ss *session) request(ctx context.Context, req *ssh.Request) func() status {
	var run func() status
	ok := false
	switch req.Type {
	case "env":
		ok = ss.addEnv(req.Payload)
	case "pty-req":
		ok = ss.addTerminal(req.Payload)
	case agentRequest:
		ok = ss.addAgent(ctx)
	case "window-change":
		ok = ss.resize(req.Payload)
	case "signal":
		ok = ss.onSignal(req.Payload)
	case "shell", "exec", "subsystem":
		if !ss.started {
			run = ss.program(ctx, req)
			ok = run != nil
		}
	}
	if req.WantReply {
		_ = req.Reply(ok, nil)
	}
	return run
}

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (ss *session) addEnv(payload []byte) bool {
	var kv struct{ Name, Value string }
	if ssh.Unmarshal(payload, &kv) != nil || ss.started || len(ss.env) >= maxEnv ||
		!envName.MatchString(kv.Name) || strings.ContainsRune(kv.Value, 0) {
		return false
	}
	ss.env = append(ss.env, kv.Name+"="+kv.Value)
	return true
}

func (ss *session) addTerminal(payload []byte) bool {
	var p ptyRequest
	if ssh.Unmarshal(payload, &p) != nil || ss.started || ss.term != nil || strings.ContainsRune(p.Term, 0) {
		return false
	}
	ss.term = &p
	return true
}

func (ss *session) addAgent(ctx context.Context) bool {
	if ss.started || ss.agent != nil {
		return false
	}
	a, err := newAgentSocket(ctx, ss.conn, ss.srv.cfg.Account)
	if err != nil {
		logr.FromContextOrDiscard(ctx).Error(err, "no agent forwarding")
		return false
	}
	ss.agent = a
	return true
}

func (ss *session) resize(payload []byte) bool {
	var w struct{ Columns, Rows, WidthPix, HeightPix uint32 }
	if ssh.Unmarshal(payload, &w) != nil || ss.term == nil {
		return false
	}
	if f := ss.ptmx.Load(); f != nil {
		return setSize(f, w.Columns, w.Rows, w.WidthPix, w.HeightPix) == nil
	}
	if ss.started {
		return false
	}
	ss.term.Columns, ss.term.Rows, ss.term.WidthPix, ss.term.HeightPix = w.Columns, w.Rows, w.WidthPix, w.HeightPix
	return true
}

// setSize sets the size of a terminal. It is not pty.Setsize, whose use of the bare descriptor races
// with the end of the session, which closes it.
func setSize(f *os.File, cols, rows, x, y uint32) error {
	clip := func(n uint32) uint16 { return uint16(min(n, 0xffff)) }
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var ioctlErr error
	err = conn.Control(func(fd uintptr) {
		ioctlErr = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ,
			&unix.Winsize{Col: clip(cols), Row: clip(rows), Xpixel: clip(x), Ypixel: clip(y)})
	})
	return errors.Join(err, ioctlErr)
}

// signals are the signal names of RFC 4254 section 6.10.
var signals = map[string]syscall.Signal{
	"ABRT": unix.SIGABRT, "ALRM": unix.SIGALRM, "FPE": unix.SIGFPE, "HUP": unix.SIGHUP, "ILL": unix.SIGILL,
	"INT": unix.SIGINT, "KILL": unix.SIGKILL, "PIPE": unix.SIGPIPE, "QUIT": unix.SIGQUIT,
	"SEGV": unix.SIGSEGV, "TERM": unix.SIGTERM, "USR1": unix.SIGUSR1, "USR2": unix.SIGUSR2,
}

func (ss *session) onSignal(payload []byte) bool {
	var p struct{ Name string }
	if ssh.Unmarshal(payload, &p) != nil {
		return false
	}
	sig, ok := signals[p.Name]
	return ok && ss.signal(sig)
}

// signal signals the process group of the session's program while that runs.
func (ss *session) signal(sig syscall.Signal) bool {
	pid := ss.pid.Load()
	return pid > 0 && unix.Kill(-int(pid), sig) == nil
}

func (ss *session) closeTerminal() {
	if f := ss.ptmx.Load(); f != nil {
		_ = f.Close()
	}
}

// program prepares what a shell, exec or subsystem request asks for; nil refuses it.
func (ss *session) program(ctx context.Context, req *ssh.Request) func() status {
	var p struct{ Value string }
	if req.Type != "shell" && ssh.Unmarshal(req.Payload, &p) != nil {
		return nil
	}
	if req.Type == "subsystem" {
		if p.Value != "sftp" {
			return nil
		}
		ss.term = nil
		cmd := exec.Command(ss.srv.cfg.Self, "sftp-server") //nolint:noctx // it ends with the channel, by SIGHUP as every session's program
		return func() status { return ss.run(ctx, cmd, false) }
	}
	shell, err := ss.srv.cfg.Account.LoginShell()
	if err != nil {
		return func() status {
			text := noShellHint
			if ss.term != nil {
				text = strings.ReplaceAll(text, "\n", "\r\n")
			}
			_, _ = io.WriteString(ss.ch.Stderr(), text)
			return status{code: exitNoShell}
		}
	}
	cmd := &exec.Cmd{Path: shell}
	if req.Type == "exec" {
		cmd.Args = []string{filepath.Base(shell), "-c", p.Value}
	} else {
		cmd.Args = []string{"-" + filepath.Base(shell)} // the sign of a login shell
	}
	return func() status { return ss.run(ctx, cmd, req.Type == "shell") }
}

func (ss *session) run(ctx context.Context, cmd *exec.Cmd, inWorkDir bool) status {
	acc := ss.srv.cfg.Account
	cmd.Env = ss.environment(acc)
	cmd.Dir = firstDir(acc.Home)
	if inWorkDir {
		cmd.Dir = firstDir(ss.srv.cfg.WorkDir, acc.Home)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: acc.Credential()}
	var err error
	if ss.term != nil {
		err = ss.runOnTerminal(cmd)
	} else {
		err = ss.runOnPipes(cmd)
	}
	return ss.statusOf(ctx, cmd, err)
}

func (ss *session) statusOf(ctx context.Context, cmd *exec.Cmd, err error) status {
	if cmd.ProcessState == nil {
		logr.FromContextOrDiscard(ctx).Error(err, "cannot start a session", "program", cmd.Path)
		_, _ = fmt.Fprintf(ss.ch.Stderr(), "slipway: cannot start %s: %v\r\n", cmd.Path, err)
		return status{code: exitCannot}
	}
	ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && ws.Signaled() {
		return status{code: 128 + int(ws.Signal()), signal: ws.Signal(), core: ws.CoreDump()}
	}
	return status{code: cmd.ProcessState.ExitCode()}
}

// runOnPipes runs the program without a terminal. It lasts until the program has ended and everything
// that holds its stdout is closed, as with OpenSSH.
func (ss *session) runOnPipes(cmd *exec.Cmd) error {
	cmd.Stdout, cmd.Stderr = ss.ch, ss.ch.Stderr()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ss.pid.Store(int64(cmd.Process.Pid))
	go func() {
		_, _ = io.Copy(stdin, ss.ch)
		_ = stdin.Close()
	}()
	err = cmd.Wait()
	ss.pid.Store(0)
	return err
}

// runOnTerminal runs the program on a new terminal.
func (ss *session) runOnTerminal(cmd *exec.Cmd) error {
	ptmx, tty, err := pty.Open()
	if err != nil {
		return fmt.Errorf("open a terminal: %w", err)
	}
	defer func() { _ = ptmx.Close() }()
	_ = setSize(ptmx, ss.term.Columns, ss.term.Rows, ss.term.WidthPix, ss.term.HeightPix)
	_ = ss.srv.cfg.Account.Own(tty.Name())
	ss.ptmx.Store(ptmx)

	cmd.Env = append(cmd.Env, "SSH_TTY="+tty.Name())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr.Setctty = true
	err = cmd.Start()
	_ = tty.Close()
	if err != nil {
		return err
	}
	ss.pid.Store(int64(cmd.Process.Pid))
	go func() { _, _ = io.Copy(ptmx, ss.ch) }()
	var copied atomic.Int64
	output := make(chan struct{})
	go func() {
		defer close(output)
		_, _ = io.Copy(countingWriter{ss.ch, &copied}, ptmx)
	}()
	err = cmd.Wait()
	ss.pid.Store(0)
	// The rest of the output is in the terminal still. It ends by itself unless something in the
	// background has the terminal open.
	for last := int64(-1); last != copied.Load(); {
		last = copied.Load()
		select {
		case <-output:
			return err
		case <-time.After(drainQuiet):
		}
	}
	return err
}

type countingWriter struct {
	w io.Writer
	n *atomic.Int64
}

func (c countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// exit tells the client how the program ended.
func (ss *session) exit(st status) {
	for name, sig := range signals {
		if st.signal != 0 && sig == st.signal {
			_, _ = ss.ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
				Name    string
				Core    bool
				Message string
				Lang    string
			}{Name: name, Core: st.core}))
			return
		}
	}
	_, _ = ss.ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{uint32(st.code)}))
}

// environment is that of the container (what ENV of the image and the pod set, without our own
// variables), the login's, and what the client sent.
func (ss *session) environment(acc *account.Account) []string {
	var env []string
	path := false
	for _, kv := range os.Environ() {
		if strings.HasPrefix(kv, "SLIPWAY_") || strings.HasPrefix(kv, "JENKINS_SECRET=") {
			continue
		}
		path = path || strings.HasPrefix(kv, "PATH=")
		env = append(env, kv)
	}
	if !path {
		env = append(env, "PATH="+defaultPATH)
	}
	env = append(env, "HOME="+acc.Home, "USER="+acc.Name, "LOGNAME="+acc.Name)
	if shell, err := acc.LoginShell(); err == nil {
		env = append(env, "SHELL="+shell)
	}
	rh, rp, err1 := net.SplitHostPort(ss.conn.RemoteAddr().String())
	lh, lp, err2 := net.SplitHostPort(ss.conn.LocalAddr().String())
	if errors.Join(err1, err2) == nil {
		env = append(env, fmt.Sprintf("SSH_CLIENT=%s %s %s", rh, rp, lp), fmt.Sprintf("SSH_CONNECTION=%s %s %s %s", rh, rp, lh, lp))
	}
	if ss.agent != nil {
		env = append(env, "SSH_AUTH_SOCK="+ss.agent.path())
	}
	if ss.term != nil {
		env = append(env, "TERM="+ss.term.Term)
	}
	return append(env, ss.env...)
}

// firstDir is the first of the folders that exists, or "/".
func firstDir(dirs ...string) string {
	for _, d := range dirs {
		if info, err := os.Stat(d); err == nil && info.IsDir() {
			return d
		}
	}
	return "/"
}
