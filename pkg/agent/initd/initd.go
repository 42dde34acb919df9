// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package initd is PID 1 of a dev container: it installs the container's SSH host keys and its
// authorized keys, keeps the latter up to date while the container runs, and supervises the user's
// command or an SSH server.
package initd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"

	"github.com/slipway-dev/slipway/pkg/agent"
	"github.com/slipway-dev/slipway/pkg/agent/account"
	"github.com/slipway-dev/slipway/pkg/agent/proc"
)

// TerminationPrefix begins the termination message of a container that init could not run.
const TerminationPrefix = "SLIPWAY-INIT"

// Options are the settings of init.
type Options struct {
	// KeysDir is the mounted Secret with ssh_host_{ed25519,rsa,ecdsa}_key, their .pub files and
	// authorized_keys. Empty: nothing is installed.
	KeysDir string
	// WorkDir is made if it does not exist and given to the user. Empty: none.
	WorkDir string
	// User logs in; empty is the user that the container runs as.
	User string
	// SSHPort is the port of the SSH server, if init starts one.
	SSHPort int
	// Grace is how long the command may take to end after a signal; 0 is proc.DefaultGrace.
	Grace time.Duration
	// Command is what to run; empty means an SSH server.
	Command []string
	// Self is the path of the slipway-agent binary, for the built-in SSH server.
	Self string

	// root is the root of the file system for host keys and profile; tests set it.
	root string
}

// Run does all that and returns the exit code of the container. The error is a *agent.Failure that
// says why, also if the command itself failed; it is nil after a stop by a signal and after an exit
// code of 0.
func Run(ctx context.Context, opts Options) (int, error) {
	if opts.root == "" {
		opts.root = "/"
	}
	log := logr.FromContextOrDiscard(ctx)
	acc, err := account.Lookup(opts.User)
	if err != nil {
		return agent.ExitCode(err), err
	}
	if err := prepare(ctx, opts, acc); err != nil {
		return agent.ExitCode(err), err
	}
	watchCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	if opts.KeysDir != "" {
		keys := &keySync{dir: opts.KeysDir, acc: acc, log: log}
		if err := keys.apply(); err != nil {
			return agent.ExitConfig, err
		}
		go keys.watch(watchCtx)
	}
	cmd, what, err := opts.command(ctx, acc)
	if err != nil {
		return agent.ExitCode(err), err
	}
	log.Info("starting", "command", what)
	out, err := proc.Supervise(ctx, cmd, proc.Options{Grace: opts.Grace, Linger: true})
	if err != nil {
		return startFailure(what, err)
	}
	return outcome(what, out)
}

// prepare installs host keys, makes the work dir and what a login needs.
func prepare(ctx context.Context, opts Options, acc *account.Account) error {
	log := logr.FromContextOrDiscard(ctx)
	if opts.KeysDir != "" {
		if info, err := os.Stat(opts.KeysDir); err != nil || !info.IsDir() {
			return agent.Fail(agent.ExitConfig, "KeysMissing",
				"the folder of SSH keys %s does not exist: mount the container's Secret there", opts.KeysDir)
		}
		if err := installHostKeys(opts.KeysDir, filepath.Join(opts.root, "etc/ssh")); err != nil {
			if !errors.Is(err, fs.ErrPermission) && !isReadOnly(err) {
				return agent.Fail(agent.ExitConfig, "HostKeys", "cannot install the SSH host keys: %v", err)
			}
			// Without root only the built-in server can run, and that reads the Secret itself.
			log.Info("host keys are not installed in /etc/ssh: it is not writable", "uid", os.Geteuid())
		}
	}
	if opts.WorkDir == "" {
		return nil
	}
	if err := prepareWorkDir(opts.WorkDir, acc); err != nil {
		return err
	}
	if err := writeProfile(opts.root, opts.WorkDir); err != nil {
		log.Info("shells will begin in the home folder instead of the work dir", "reason", err.Error())
	}
	return nil
}

// prepareWorkDir makes the folder and gives it to the user. An existing tree is given to him if its
// top is another's: the volume may have been filled by an init container that ran as root. The top
// comes last, so that a walk that was interrupted is made again.
func prepareWorkDir(dir string, acc *account.Account) error {
	if !filepath.IsAbs(dir) {
		return agent.Fail(agent.ExitConfig, "WorkDir", "the work dir %q is not an absolute path", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return agent.Fail(agent.ExitConfig, "WorkDir",
			"cannot make the work dir: %v: mount a writable volume there or choose another folder", err)
	}
	if acc.Credential() == nil {
		return nil
	}
	if uid, err := ownerOf(dir); err == nil && uid == acc.UID {
		return nil
	}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		return acc.Own(path)
	})
	if err == nil {
		err = acc.Own(dir)
	}
	if err != nil {
		return agent.Fail(agent.ExitConfig, "WorkDir", "cannot give the work dir to user %s: %v", acc.Name, err)
	}
	return nil
}

// writeProfile makes login shells begin in the work dir, with the image's SSH server as well: a client
// that opens a terminal expects to be where the repository is.
func writeProfile(root, workDir string) error {
	dir := filepath.Join(root, "etc/profile.d")
	if _, err := os.Stat(dir); err != nil {
		return err
	}
	quoted := "'" + strings.ReplaceAll(workDir, "'", `'\''`) + "'"
	text := "# Written by slipway-agent init.\n" +
		"if [ -n \"$SSH_CONNECTION\" ] && [ \"$PWD\" = \"$HOME\" ] && [ -d " + quoted + " ]; then cd " + quoted + "; fi\n"
	return replaceFile(filepath.Join(dir, "slipway-workdir.sh"), []byte(text), 0o644)
}

// command is what init supervises, with a name for messages.
func (o Options) command(ctx context.Context, acc *account.Account) (*exec.Cmd, string, error) {
	argv := o.Command
	what := ""
	if len(argv) == 0 {
		var err error
		if argv, what, err = o.server(ctx, acc); err != nil {
			return nil, "", err
		}
	}
	if what == "" {
		// Not its arguments: they may hold a password, and what is printed ends up in the pod's status.
		what = agent.OneLine(argv[0])
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		code, err := startFailure(what, err)
		f := agent.AsFailure(err)
		f.Code = code
		return nil, what, f
	}
	cmd := &exec.Cmd{Path: path, Args: argv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	if info, err := os.Stat(o.WorkDir); err == nil && info.IsDir() && len(o.Command) > 0 {
		cmd.Dir = o.WorkDir
	}
	return cmd, what, nil
}

// server is the command line of the image's OpenSSH server, or of the built-in one.
func (o Options) server(ctx context.Context, acc *account.Account) ([]string, string, error) {
	port := strconv.Itoa(o.SSHPort)
	if path := findSSHD(); path != "" && os.Geteuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			logr.FromContextOrDiscard(ctx).Error(err, "cannot make the folder of sshd")
		}
		if err := ensureHostKey(filepath.Join(o.root, "etc/ssh")); err != nil {
			return nil, "", agent.Fail(agent.ExitConfig, "HostKeys", "cannot make SSH host keys: %v", err)
		}
		// sshd re-executes itself and therefore wants an absolute path. ChallengeResponseAuthentication
		// is the name that old and new versions know.
		return []string{
			path, "-D", "-e", "-p", port,
			"-o", "PasswordAuthentication=no", "-o", "ChallengeResponseAuthentication=no",
			"-o", "PermitRootLogin=prohibit-password", "-o", "AuthorizedKeysFile=.ssh/authorized_keys",
		}, "the SSH server of the image (" + path + ")", nil
	}
	argv := []string{o.Self, "sshd", "--port", port, "--user", acc.Name, "--work-dir", o.WorkDir}
	if o.KeysDir != "" {
		argv = append(argv, "--keys-dir", o.KeysDir)
	}
	return argv, "the built-in SSH server", nil
}

func findSSHD() string {
	for _, p := range []string{"/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd", "/usr/bin/sshd"} {
		if found, err := exec.LookPath(p); err == nil {
			return found
		}
	}
	if found, err := exec.LookPath("sshd"); err == nil && filepath.IsAbs(found) {
		return found
	}
	return ""
}

// The exit codes of a shell for a command that could not be started.
const (
	exitNotExecutable = 126
	exitNotFound      = 127
)

func startFailure(what string, err error) (int, error) {
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return exitNotFound, agent.Fail(exitNotFound, "CommandNotFound",
			"%s: the image does not have this program (or the interpreter or loader that it needs): use another command or image", what).Because(err)
	case errors.Is(err, fs.ErrPermission):
		return exitNotExecutable, agent.Fail(exitNotExecutable, "CommandNotExecutable",
			"%s: permission denied: the file is not executable for uid %d", what, os.Geteuid()).Because(err)
	}
	return exitNotExecutable, agent.Fail(exitNotExecutable, "CommandFailed", "%s: cannot be started: %v", what, err)
}

// outcome is the exit code of the container and, if it is a failure, why.
func outcome(what string, out proc.Outcome) (int, error) {
	ran := out.Ran.Round(100 * time.Millisecond)
	switch {
	case out.Stopped:
		return out.Code, nil
	case out.Code != 0:
		return out.Code, agent.Fail(out.Code, "CommandFailed",
			"%s ended with exit code %d after %s: see the container's log", what, out.Code, ran)
	case !out.Lingered:
		// Kubernetes starts the container again and again, and shows no error: say why here.
		return 0, agent.Fail(0, "CommandEnded",
			`%s ended with exit code 0 after %s and left nothing running: let it end in a program that stays, e.g. "&& tail -f /dev/null"`, what, ran)
	}
	return 0, agent.Fail(0, "CommandEnded", "%s and all that it had left running ended with exit code 0", what)
}

func ownerOf(path string) (uint32, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, fmt.Errorf("owner: %w", err)
	}
	return statUID(info), nil
}
