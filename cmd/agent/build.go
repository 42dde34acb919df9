// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/pkg/agent"
	"github.com/slipway-dev/slipway/pkg/agent/clone"
	"github.com/slipway-dev/slipway/pkg/agent/files"
	"github.com/slipway-dev/slipway/pkg/agent/step"
)

// stepFlags parses the flags of a step command and opens the store.
func stepFlags(name string, args []string, extra func(*flag.FlagSet)) (*step.Store, string, error) {
	fs := flags(name)
	id := fs.String("id", "", "the step's ID")
	dir := fs.String("dir", os.Getenv(step.EnvStepsDir), "folder of the steps ($"+step.EnvStepsDir+")")
	if extra != nil {
		extra(fs)
	}
	if err := parse(fs, args, 0); err != nil {
		return nil, "", err
	}
	if err := step.CheckID(*id); err != nil {
		return nil, "", err
	}
	store, err := step.Open(*dir)
	return store, *id, err
}

func writeJSON(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }

func runStepStart(_ context.Context, args []string) error {
	store, id, err := stepFlags("step start", args, nil)
	if err != nil {
		return err
	}
	req, err := step.ReadRequest(os.Stdin)
	if err != nil {
		return err
	}
	me, err := self()
	if err != nil {
		return err
	}
	started, err := store.Start(id, req, me)
	if err != nil {
		return err
	}
	return writeJSON(os.Stdout, struct {
		ID      string `json:"id"`
		Started bool   `json:"started"`
	}{id, started})
}

func runStepSupervise(_ context.Context, args []string) error {
	fs := flags("step supervise")
	if err := parse(fs, args, 3); err != nil {
		return err
	}
	return step.Supervise(fs.Arg(0), fs.Arg(1), fs.Arg(2))
}

func runStepAttach(ctx context.Context, args []string) error {
	ctx, stop := signal.NotifyContext(ctx, unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	defer stop()
	var opts step.AttachOptions
	store, id, err := stepFlags("step attach", args, func(fs *flag.FlagSet) {
		fs.Int64Var(&opts.Offset, "offset", 0, "number of bytes to leave out")
		fs.BoolVar(&opts.Stdout, "stdout", false, "stream the separate stdout instead of the log")
	})
	if err != nil {
		return err
	}
	res, err := store.Attach(ctx, id, os.Stdout, opts)
	if err != nil {
		return err
	}
	return writeJSON(os.Stderr, res)
}

func runStepStop(ctx context.Context, args []string) error {
	grace := step.DefaultStopGrace
	store, id, err := stepFlags("step stop", args, func(fs *flag.FlagSet) {
		fs.DurationVar(&grace, "grace", grace, "time between TERM and KILL")
	})
	if err != nil {
		return err
	}
	const killing = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, grace+killing)
	defer cancel()
	res, err := store.Stop(ctx, id, grace)
	if err != nil {
		return err
	}
	return writeJSON(os.Stdout, res)
}

func runStepResult(_ context.Context, args []string) error {
	store, id, err := stepFlags("step result", args, nil)
	if err != nil {
		return err
	}
	res, err := store.Result(id)
	if err != nil {
		return err
	}
	return writeJSON(os.Stdout, res)
}

func runFileRead(_ context.Context, args []string) error {
	fs := flags("file read")
	if err := parse(fs, args, 1); err != nil {
		return err
	}
	return files.Read(fs.Arg(0), os.Stdout)
}

func runFileWrite(_ context.Context, args []string) error {
	fs := flags("file write")
	size := fs.Int64("size", -1, "exact number of bytes to expect; -1 means any")
	if err := parse(fs, args, 1); err != nil {
		return err
	}
	return files.Write(fs.Arg(0), os.Stdin, *size)
}

func runFileGlob(_ context.Context, args []string) error {
	var opts files.GlobOptions
	fs := flags("file glob")
	fs.StringVar(&opts.Dir, "dir", "", "folder to look in")
	fs.StringVar(&opts.Includes, "includes", "", "comma separated Ant patterns; empty means **")
	fs.StringVar(&opts.Excludes, "excludes", "", "comma separated Ant patterns")
	fs.BoolVar(&opts.NoDefaultExcludes, "no-default-excludes", false, "find .git, *~ and the like as well")
	null := fs.Bool("null", false, "end each path with NUL instead of a newline")
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	found, err := files.Glob(opts)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(files.FormatList(found, *null))
	return err
}

func runFileRemove(_ context.Context, args []string) error {
	fs := flags("file rm")
	if err := parse(fs, args, 1); err != nil {
		return err
	}
	return files.Remove(fs.Arg(0))
}

// cloneRequest is what "git clone" reads from stdin: credentials must not be in its arguments.
type cloneRequest struct {
	URL        string `json:"url"`
	Ref        string `json:"ref,omitempty"`
	Username   string `json:"username,omitempty"`
	Password   string `json:"password,omitempty"`
	SSHKey     string `json:"sshKey,omitempty"`
	Passphrase string `json:"passphrase,omitempty"`
	KnownHosts string `json:"knownHosts,omitempty"`
	Depth      int    `json:"depth,omitempty"`
	Submodules bool   `json:"submodules,omitempty"`
}

func runGitClone(ctx context.Context, args []string) error {
	ctx, stop := signal.NotifyContext(ctx, unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	defer stop()
	fs := flags("git clone")
	dir := fs.String("dir", "", "target folder")
	timeout := fs.Duration("timeout", clone.DefaultTimeout, "time after which to give up")
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	var req cloneRequest
	if err := step.DecodeStrict(os.Stdin, &req); err != nil {
		return err
	}
	if *dir == "" {
		return agent.Fail(agent.ExitUsage, "Usage", "git clone: --dir is missing")
	}
	res, err := clone.Clone(ctx, clone.Options{
		URL: req.URL, Ref: req.Ref, Dir: *dir, Depth: req.Depth, Submodules: req.Submodules,
		Credentials: clone.Credentials{
			Username: req.Username, Password: req.Password,
			SSHKey: []byte(req.SSHKey), Passphrase: req.Passphrase, KnownHosts: []byte(req.KnownHosts),
		},
		Timeout: *timeout, Progress: os.Stdout, Build: true,
	})
	if err != nil {
		return err
	}
	return writeJSON(os.Stderr, struct {
		Commit string `json:"commit"`
	}{res.Commit})
}
