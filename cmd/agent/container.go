// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/pkg/agent"
	"github.com/slipway-dev/slipway/pkg/agent/account"
	"github.com/slipway-dev/slipway/pkg/agent/clone"
	"github.com/slipway-dev/slipway/pkg/agent/files"
	"github.com/slipway-dev/slipway/pkg/agent/initd"
	"github.com/slipway-dev/slipway/pkg/agent/launch"
	"github.com/slipway-dev/slipway/pkg/agent/sshd"
	"github.com/slipway-dev/slipway/pkg/sshkeys"
)

// The environment that stands in for flags, so that a pod can set them without a command line.
const (
	envKeysDir = "SLIPWAY_KEYS_DIR"
	envWorkDir = "SLIPWAY_WORK_DIR"
	envUser    = "SLIPWAY_USER"
	envSSHPort = "SLIPWAY_SSH_PORT"
)

func envOr(name, value string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return value
}

func runCopy(_ context.Context, args []string) error {
	fs := flags("copy")
	payload := fs.String("payload", "", "folder (a JRE with agent.jar) to copy into DIR as well")
	if err := parse(fs, args, 1); err != nil {
		return err
	}
	me, err := self()
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(fs.Arg(0))
	if err != nil {
		return err
	}
	// The payload first: who sees the binary may rely on the rest.
	if *payload != "" {
		if err := files.CopyTree(*payload, dir); err != nil {
			agent.ReportTermination(launch.TerminationPrefix, err)
			return exitCode(agent.ExitCode(err))
		}
	}
	if err := files.Install(me, filepath.Join(dir, "slipway-agent")); err != nil {
		agent.ReportTermination(launch.TerminationPrefix, err)
		return exitCode(agent.ExitCode(err))
	}
	return nil
}

// sshFlags are the flags that init and sshd share.
type sshFlags struct {
	keysDir, workDir, user string
	port                   int
}

func (f *sshFlags) parse(name string, args []string, extra func(fs flagSet)) ([]string, error) {
	fs := flags(name)
	fs.StringVar(&f.keysDir, "keys-dir", os.Getenv(envKeysDir), "mounted Secret with host keys and authorized_keys ($"+envKeysDir+")")
	fs.StringVar(&f.workDir, "work-dir", envOr(envWorkDir, "/data"), "folder of the repository ($"+envWorkDir+")")
	fs.StringVar(&f.user, "user", envOr(envUser, "root"), "user who logs in ($"+envUser+")")
	port := fs.String("port", envOr(envSSHPort, "22"), "port of the SSH server ($"+envSSHPort+")")
	fs.StringVar(port, "ssh-port", *port, "the same as --port")
	if extra != nil {
		extra(fs)
	}
	if err := parse(fs, args, -1); err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(*port, 10, 16)
	if err != nil || n == 0 {
		return nil, agent.Fail(agent.ExitUsage, "Usage", "%s: %q is not a port", name, *port)
	}
	f.port = int(n)
	return fs.Args(), nil
}

type flagSet = interface {
	DurationVar(p *time.Duration, name string, value time.Duration, usage string)
}

func runInit(ctx context.Context, args []string) error {
	ctx = withLogger(ctx)
	var f sshFlags
	opts := initd.Options{}
	command, err := f.parse("init", args, func(fs flagSet) {
		fs.DurationVar(&opts.Grace, "grace", 0, "time between TERM and KILL; 0 means 10s")
	})
	if err != nil {
		return err
	}
	if opts.Self, err = self(); err != nil {
		return err
	}
	opts.KeysDir, opts.WorkDir, opts.User, opts.SSHPort, opts.Command = f.keysDir, f.workDir, f.user, f.port, command
	code, err := initd.Run(ctx, opts)
	if err != nil {
		agent.ReportTermination(initd.TerminationPrefix, err)
	}
	return exit(code)
}

func exit(code int) error {
	if code == 0 {
		return nil
	}
	return exitCode(code)
}

func runSSHD(ctx context.Context, args []string) error {
	ctx, stop := signal.NotifyContext(withLogger(ctx), unix.SIGTERM, unix.SIGINT)
	defer stop()
	var f sshFlags
	rest, err := f.parse("sshd", args, nil)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return agent.Fail(agent.ExitUsage, "Usage", "sshd takes no arguments")
	}
	acc, err := account.Lookup(f.user)
	if err != nil {
		return err
	}
	keys, err := hostKeys(f.keysDir)
	if err != nil {
		return err
	}
	me, err := self()
	if err != nil {
		return err
	}
	srv, err := sshd.New(ctx, sshd.Config{
		HostKeys: keys, AuthorizedKeys: initd.AuthorizedKeysPath(acc), Account: acc, WorkDir: f.workDir, Self: me,
	})
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", ":"+strconv.Itoa(f.port))
	if errors.Is(err, fs.ErrPermission) {
		return agent.Fail(agent.ExitConfig, "PortNotAllowed",
			"uid %d may not listen on port %d: use a port above 1023 (--port)", os.Geteuid(), f.port)
	}
	if err != nil {
		return agent.Fail(agent.ExitConfig, "PortInUse", "cannot listen on port %d: %v", f.port, err)
	}
	fmt.Fprintln(os.Stderr, "slipway-agent: SSH server is listening on", l.Addr(), "for user", acc.Name)
	return srv.Serve(ctx, l)
}

// hostKeys reads the keys of the mounted Secret. Without one it makes keys that last as long as the
// process; a client then has to accept a new key after each start.
func hostKeys(dir string) ([]ssh.Signer, error) {
	if dir != "" {
		names, err := filepath.Glob(filepath.Join(dir, "ssh_host_*_key"))
		if err != nil {
			return nil, err
		}
		if len(names) > 0 {
			return sshd.LoadHostKeys(names...)
		}
	}
	fmt.Fprintln(os.Stderr, "slipway-agent: no host keys are mounted: using new ones until the next start")
	made, err := sshkeys.GenerateHostKeys()
	if err != nil {
		return nil, err
	}
	var out []ssh.Signer
	for _, k := range made {
		signer, err := ssh.ParsePrivateKey(k.Private)
		if err != nil {
			return nil, err
		}
		out = append(out, signer)
	}
	return out, nil
}

func runSFTP(_ context.Context, args []string) error {
	if err := parse(flags("sftp-server"), args, 0); err != nil {
		return err
	}
	return sshd.ServeSFTP(os.Stdin, os.Stdout)
}

func runLaunch(ctx context.Context, args []string) error {
	if err := parse(flags("launch"), args, 0); err != nil {
		return err
	}
	me, err := self()
	if err != nil {
		return err
	}
	code, err := launch.Run(withLogger(ctx), me)
	if err != nil {
		agent.ReportTermination(launch.TerminationPrefix, err)
	}
	return exit(code)
}

// clonePrefix begins the termination message of a clone init container.
const clonePrefix = "SLIPWAY-CLONE"

func runClone(ctx context.Context, args []string) error {
	ctx, stop := signal.NotifyContext(ctx, unix.SIGTERM, unix.SIGINT)
	defer stop()
	opts := clone.Options{Progress: os.Stdout}
	fs := flags("clone")
	fs.StringVar(&opts.URL, "url", os.Getenv("SLIPWAY_GIT_URL"), "repository: http, https, ssh or git URL ($SLIPWAY_GIT_URL)")
	fs.StringVar(&opts.Ref, "ref", os.Getenv("SLIPWAY_GIT_REF"), "branch, tag or commit; default is the remote's ($SLIPWAY_GIT_REF)")
	fs.StringVar(&opts.Dir, "dir", envOr(envWorkDir, "/data"), "target folder ($"+envWorkDir+")")
	fs.IntVar(&opts.Depth, "depth", 0, "number of commits to fetch; 0 means all")
	fs.BoolVar(&opts.Submodules, "submodules", false, "clone submodules as well")
	fs.DurationVar(&opts.Timeout, "timeout", clone.DefaultTimeout, "time after which to give up")
	err := parse(fs, args, 0)
	if err != nil {
		return err
	}
	res, err := cloneWithEnv(ctx, opts)
	if err != nil {
		agent.ReportTermination(clonePrefix, err)
		return exitCode(agent.ExitError)
	}
	switch {
	case res.Kept != "":
		fmt.Printf("%s is left as it is: %s\n", opts.Dir, res.Kept)
	case res.Commit != "":
		fmt.Printf("checked out %s in %s\n", res.Commit, opts.Dir)
	}
	return nil
}

func cloneWithEnv(ctx context.Context, opts clone.Options) (*clone.Result, error) {
	creds, err := clone.LoadCredentials()
	if err != nil {
		return nil, err
	}
	opts.Credentials = creds
	return clone.Clone(ctx, opts)
}
