// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Command slipway-agent is the one static binary that Slipway puts into pods: PID 1 of dev containers
// and of agent containers, SSH server, git client, and the hands of a build. pkg/agent/README.md says
// what each subcommand promises.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"

	"github.com/slipway-dev/slipway/pkg/agent"
)

// version is set by the linker: -X main.version=v1.2.3.
var version = "dev"

// command is one subcommand. main prints the error of run, unless it is an exitCode.
type command struct {
	usage string
	about string
	run   func(ctx context.Context, args []string) error
	// json makes main write an error as one line of JSON, for callers that are programs.
	json bool
}

// commands is a function and not a variable, so that nothing refers to itself while it is initialized.
func commands() map[string]command {
	return map[string]command{
		"copy":           {"copy [--payload SRC] DIR", "install this binary as DIR/slipway-agent", runCopy, false},
		"init":           {"init [flags] [--] [COMMAND…]", "PID 1 of a dev container", runInit, false},
		"sshd":           {"sshd [flags]", "the built-in SSH server", runSSHD, false},
		"sftp-server":    {"sftp-server", "serve sftp on stdin and stdout", runSFTP, false},
		"clone":          {"clone --url URL --dir DIR [flags]", "clone a repository into a dev container", runClone, false},
		"launch":         {"launch", "PID 1 of an agent container", runLaunch, false},
		"step start":     {"step start --id ID < request.json", "start a shell step once", runStepStart, true},
		"step attach":    {"step attach --id ID [--offset N] [--stdout]", "stream a step's output", runStepAttach, true},
		"step stop":      {"step stop --id ID [--grace 10s]", "end a step", runStepStop, true},
		"step result":    {"step result --id ID", "print a step's result", runStepResult, true},
		"step supervise": {"", "", runStepSupervise, true},
		"file read":      {"file read PATH", "write a file to stdout", runFileRead, true},
		"file write":     {"file write [--size N] PATH", "replace a file by stdin", runFileWrite, true},
		"file glob":      {"file glob --dir DIR [flags]", "list files by Ant patterns", runFileGlob, true},
		"file rm":        {"file rm PATH", "delete a file or a folder", runFileRemove, true},
		"git clone":      {"git clone --dir DIR < request.json", "check out a commit for a build", runGitClone, true},
		"version":        {"version", "print the version", runVersion, false},
	}
}

func main() {
	os.Exit(run(context.Background(), os.Args[1:]))
}

// exitCode is an error that only carries the exit code: everything has been said.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func run(ctx context.Context, args []string) int {
	if len(args) == 1 && args[0] == "--version" {
		args = []string{"version"}
	}
	cmd, rest, ok := find(args)
	if !ok {
		if len(args) > 0 && !strings.HasPrefix(args[0], "-") && args[0] != "help" {
			fmt.Fprintf(os.Stderr, "slipway-agent: unknown command %q\n", strings.Join(args[:min(2, len(args))], " "))
		}
		printUsage(os.Stderr)
		if len(args) > 0 && (args[0] == "-h" || args[0] == "--help" || args[0] == "help") {
			return 0
		}
		return agent.ExitUsage
	}
	err := cmd.run(ctx, rest)
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &code):
		return int(code)
	case cmd.json:
		agent.WriteJSONError(os.Stderr, err)
	default:
		fmt.Fprintln(os.Stderr, "slipway-agent:", agent.OneLine(err.Error()))
	}
	return agent.ExitCode(err)
}

// find looks a command of one or two words up.
func find(args []string) (command, []string, bool) {
	all := commands()
	for n := min(2, len(args)); n > 0; n-- {
		if c, ok := all[strings.Join(args[:n], " ")]; ok {
			return c, args[n:], true
		}
	}
	return command{}, nil, false
}

func printUsage(w io.Writer) {
	fmt.Fprintln(w, "usage: slipway-agent COMMAND")
	all := commands()
	for _, name := range []string{
		"copy", "init", "sshd", "sftp-server", "clone", "launch", "step start", "step attach", "step stop",
		"step result", "file read", "file write", "file glob", "file rm", "git clone", "version",
	} {
		fmt.Fprintf(w, "  %-48s %s\n", all[name].usage, all[name].about)
	}
}

// flags makes a FlagSet for a subcommand; parse reports its errors as usage errors.
func flags(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	return fs
}

// parse parses the flags and wants as many further arguments as stated; -1 is any number.
func parse(fs *flag.FlagSet, args []string, want int) error {
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "usage: slipway-agent", commands()[fs.Name()].usage)
			fs.SetOutput(os.Stderr)
			fs.PrintDefaults()
			return err
		}
		return agent.Fail(agent.ExitUsage, "Usage", "%s: %v", fs.Name(), err)
	}
	if want >= 0 && fs.NArg() != want {
		return agent.Fail(agent.ExitUsage, "Usage", "%s: got %d arguments, want %d; usage: slipway-agent %s",
			fs.Name(), fs.NArg(), want, commands()[fs.Name()].usage)
	}
	return nil
}

// withLogger logs to stderr, one line per message.
func withLogger(ctx context.Context) context.Context {
	log := funcr.New(func(prefix, args string) {
		fmt.Fprintln(os.Stderr, time.Now().UTC().Format(time.RFC3339), "slipway-agent", args)
	}, funcr.Options{})
	return logr.NewContext(ctx, log)
}

// self is the path of this binary.
func self() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find my own binary: %w", err)
	}
	return path, nil
}

func runVersion(context.Context, []string) error {
	fmt.Println(version)
	return nil
}
