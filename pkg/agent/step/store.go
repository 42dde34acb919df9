// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package step runs the shell steps of a build in an agent pod so that they do not depend on the
// connection that started them: a step is started once however often it is asked for, writes its
// output to a file that can be read from any offset, and leaves its result in a file.
//
// A step is a folder <steps dir>/<id>:
//
//	script      the text of the step
//	supervisor  JSON of proc.Identity: who runs it
//	log         its output; with separateStdout only stderr
//	stdout      with separateStdout, its stdout
//	result      JSON of Result, written atomically when the script has ended
//
// The folder is prepared under another name and renamed by the supervisor process itself. The rename
// fails if the step exists, so it is both the claim and the record of who has it: there is no moment
// at which a step is claimed but nobody can be asked whether he lives.
package step

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/slipway-dev/slipway/pkg/agent"
	"github.com/slipway-dev/slipway/pkg/agent/proc"
)

// EnvStepsDir names the folder of the steps. Without it they are in slipway-steps below $TMPDIR or
// /tmp. It must be on a file system of the container, writable by the container's user.
const EnvStepsDir = "SLIPWAY_STEPS_DIR"

const (
	scriptFile     = "script"
	supervisorFile = "supervisor"
	logFile        = "log"
	stdoutFile     = "stdout"
	resultFile     = "result"

	// maxRequest bounds the JSON of a step: a script is text that somebody wrote.
	maxRequest = 16 << 20
)

// Result is how a script ended.
type Result struct {
	// ExitCode is the script's exit status, 128 + the number of the signal that killed it.
	ExitCode int `json:"exitCode"`
}

// Store is the folder of all steps of a container.
type Store struct{ dir string }

// Open returns the store in dir; an empty dir means the rule of EnvStepsDir. It makes the folder.
func Open(dir string) (*Store, error) {
	if dir != "" {
		if !filepath.IsAbs(dir) {
			return nil, agent.Fail(agent.ExitUsage, "BadStepsDir", "the steps folder %q is not an absolute path", dir)
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, agent.Fail(agent.ExitError, "StepsDirNotWritable", "cannot make the steps folder: %v", err)
		}
		return &Store{dir: dir}, nil
	}
	dir = filepath.Join(os.TempDir(), "slipway-steps")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, agent.Fail(agent.ExitError, "StepsDirNotWritable",
			"cannot make the steps folder (set %s to a writable one): %v", EnvStepsDir, err)
	}
	// /tmp belongs to everybody: another user must not be able to lend us his folder.
	info, err := os.Lstat(dir)
	if err != nil {
		return nil, fmt.Errorf("steps folder: %w", err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || ok && int(st.Uid) != os.Geteuid() {
		return nil, agent.Fail(agent.ExitError, "StepsDirNotOwned",
			"%s is not a folder of this user: set %s to another one", dir, EnvStepsDir)
	}
	return &Store{dir: dir}, nil
}

var validID = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,199}$`)

// CheckID refuses what is not an ID: 1 to 200 letters, digits, '_', '.', '-', not beginning with '.'
// or '-'.
func CheckID(id string) error {
	if !validID.MatchString(id) {
		return agent.Fail(agent.ExitUsage, "BadID",
			"%q is not a step ID: 1 to 200 of letters, digits, '_', '.', '-', beginning with a letter, a digit or '_'", clip(id))
	}
	return nil
}

func clip(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}

// path is the folder of a step that exists.
func (s *Store) path(id string) (string, error) {
	if err := CheckID(id); err != nil {
		return "", err
	}
	dir := filepath.Join(s.dir, id)
	if _, err := os.Stat(filepath.Join(dir, supervisorFile)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return "", agent.Fail(agent.ExitNotFound, "NotFound", "there is no step %q in %s", id, s.dir)
		}
		return "", fmt.Errorf("step %s: %w", id, err)
	}
	return dir, nil
}

// readJSON reads a small file of ours.
func readJSON(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// writeJSON writes a file so that a reader sees all of it or none.
func writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, append(data, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// state is what is known of a step now.
type state struct {
	result     *Result
	supervisor proc.Identity
	alive      bool
}

func readState(dir string) (state, error) {
	var st state
	if err := readJSON(filepath.Join(dir, supervisorFile), &st.supervisor); err != nil {
		return st, fmt.Errorf("step: %w", err)
	}
	// First who runs it, then the result: the supervisor writes the result before it ends, so a dead
	// one without a result is lost and not merely between the two.
	st.alive = st.supervisor.Alive()
	var r Result
	switch err := readJSON(filepath.Join(dir, resultFile), &r); {
	case err == nil:
		st.result = &r
	case !errors.Is(err, fs.ErrNotExist):
		return st, fmt.Errorf("step: %w", err)
	}
	return st, nil
}

func lost(id string, st state) error {
	return agent.Fail(agent.ExitLost, "Lost",
		"step %s has no result: its supervisor (pid %d) was killed, by the out-of-memory killer, by a restart of the container or by the script itself", id, st.supervisor.PID)
}

// Result returns the result of a step. Its failures are NotFound, Running and Lost.
func (s *Store) Result(id string) (Result, error) {
	dir, err := s.path(id)
	if err != nil {
		return Result{}, err
	}
	st, err := readState(dir)
	switch {
	case err != nil:
		return Result{}, err
	case st.result != nil:
		return *st.result, nil
	case st.alive:
		return Result{}, agent.Fail(agent.ExitError, "Running", "step %s is still running", id)
	default:
		return Result{}, lost(id, st)
	}
}
