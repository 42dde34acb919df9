// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package step

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/pkg/agent"
	"github.com/slipway-dev/slipway/pkg/agent/proc"
)

// superviseJob is the part of a Request that the supervisor needs. The environment comes to it as its
// own, so that no value of it is in an argument that every process of the container can read.
type superviseJob struct {
	Dir            string `json:"dir"`
	SeparateStdout bool   `json:"separateStdout,omitempty"`
}

// handshakeFD is the descriptor on which the supervisor answers the process that started it.
const handshakeFD = 3

// exit codes of a shell for a command that could not be run.
const (
	exitNotExecutable = 126
	exitNotFound      = 127
)

// Supervise is the whole life of a supervisor process: claim the step by renaming tmp to dir, run the
// script, write the result. It is called by "slipway-agent step supervise" only, see Store.Start.
func Supervise(tmp, dir, jobJSON string) error {
	answer := os.NewFile(handshakeFD, "handshake")
	if answer == nil {
		return agent.Fail(agent.ExitUsage, "Internal", "step supervise is started by step start only")
	}
	unix.CloseOnExec(handshakeFD)
	say := func(h handshake) {
		_ = json.NewEncoder(answer).Encode(h)
		_ = answer.Close()
	}
	// Notify, not Ignore: an ignored signal would be ignored by the script as well.
	signal.Notify(make(chan os.Signal, 1), unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT)

	var job superviseJob
	if err := json.Unmarshal([]byte(jobJSON), &job); err != nil {
		say(handshake{Error: "bad job: " + err.Error()})
		return err
	}
	claimed, err := claim(tmp, dir)
	if err != nil {
		say(handshake{Error: err.Error()})
		return err
	}
	say(handshake{Started: claimed})
	if !claimed {
		return nil
	}
	return writeJSON(filepath.Join(dir, resultFile), Result{ExitCode: runScript(dir, job)})
}

// claim makes tmp the folder of the step and tells if nobody was faster.
func claim(tmp, dir string) (bool, error) {
	id, err := proc.Identify(os.Getpid())
	if err != nil {
		return false, err
	}
	if err := writeJSON(filepath.Join(tmp, supervisorFile), id); err != nil {
		return false, fmt.Errorf("prepare step: %w", err)
	}
	// rename(2) replaces an empty folder only, and a step's folder never is.
	err = os.Rename(tmp, dir)
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("claim step: %w", err)
	}
	return true, nil
}

// runScript runs the step's script and returns its exit code. What goes wrong before the script runs
// is written to the log, where its user looks.
func runScript(dir string, job superviseJob) int {
	log, err := os.OpenFile(filepath.Join(dir, logFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return exitNotExecutable
	}
	defer func() { _ = log.Close() }()
	stdout := log
	if job.SeparateStdout {
		if stdout, err = os.OpenFile(filepath.Join(dir, stdoutFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
			fmt.Fprintln(log, "slipway-agent:", err)
			return exitNotExecutable
		}
		defer func() { _ = stdout.Close() }()
	}
	argv, err := interpreter(filepath.Join(dir, scriptFile))
	if err != nil {
		fmt.Fprintln(log, "slipway-agent:", err)
		return exitNotExecutable
	}
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:noctx // Stop ends it, by a signal to its session
	cmd.Dir = job.Dir
	cmd.Stdout, cmd.Stderr = stdout, log
	// Its own process group in the supervisor's session: stop finds everything of the step by the
	// session, and no signal of the script to its group reaches the supervisor.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Run()
	if cmd.ProcessState != nil {
		if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok {
			return proc.ExitCode(unix.WaitStatus(ws))
		}
	}
	fmt.Fprintf(log, "slipway-agent: cannot run %s: %v\n", argv[0], err)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
		return exitNotFound
	}
	return exitNotExecutable
}

// interpreter is the command line that runs the script. A "#!" line is interpreted here as the kernel
// would, because the kernel would not on a volume that is mounted noexec, and would take the CR of a
// script that was written on Windows for a part of the interpreter's name.
func interpreter(script string) ([]string, error) {
	f, err := os.Open(script)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, 512)
	n, _ := f.Read(head)
	line, _, _ := strings.Cut(string(head[:n]), "\n")
	rest, ok := strings.CutPrefix(line, "#!")
	if !ok {
		return []string{"/bin/sh", "-xe", script}, nil
	}
	name, arg, _ := strings.Cut(strings.TrimSpace(rest), " ")
	if name == "" {
		return nil, errors.New("the script's first line names no interpreter after \"#!\"")
	}
	if arg = strings.TrimSpace(arg); arg != "" {
		return []string{name, arg, script}, nil
	}
	return []string{name, script}, nil
}
