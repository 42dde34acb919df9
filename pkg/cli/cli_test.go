// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/pkg/version"
)

// childEnv makes the test binary the program of TestSignals.
const childEnv = "SLIPWAY_CLI_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(Main(context.Background(), stubborn()))
	}
	os.Exit(m.Run())
}

// stubborn is a program that does not end when it is asked to.
func stubborn() *cobra.Command {
	return &cobra.Command{Use: "stubborn", RunE: func(command *cobra.Command, _ []string) error {
		fmt.Println("started")
		<-command.Context().Done()
		fmt.Println("stopping")
		select {}
	}}
}

func newProgram() *cobra.Command {
	root := &cobra.Command{Use: "prog"}
	up := &cobra.Command{Use: "up", Args: NoArgs, RunE: func(*cobra.Command, []string) error { return errors.Join(errors.New("one"), errors.New("two")) }}
	up.Flags().Int("n", 0, "")
	folder := &cobra.Command{Use: "folder"}
	folder.AddCommand(&cobra.Command{Use: "check [FILE]", RunE: func(*cobra.Command, []string) error { return nil }})
	root.AddCommand(up, folder)
	return root
}

func TestErrors(t *testing.T) {
	cases := map[string]struct {
		reason string
		args   []string
		code   int
		want   string // the whole of what is told
	}{
		"success":          {args: []string{"folder", "check", "a", "b"}},
		"failure":          {reason: "several errors are a list", args: []string{"up"}, code: ExitFailure, want: "prog: one\n  two\n"},
		"flag":             {reason: "one line, not the whole description", args: []string{"up", "--bogus"}, code: ExitUsage, want: "prog: unknown flag: --bogus (see prog up --help)\n"},
		"value":            {args: []string{"up", "--n=x"}, code: ExitUsage, want: "prog: invalid argument \"x\" for \"--n\" flag: strconv.ParseInt: parsing \"x\": invalid syntax (see prog up --help)\n"},
		"argument":         {args: []string{"up", "x"}, code: ExitUsage, want: "prog: unexpected argument \"x\": there are flags only (see prog up --help)\n"},
		"command":          {args: []string{"bogus"}, code: ExitUsage, want: "prog: unknown command \"bogus\" for \"prog\" (see prog --help)\n"},
		"nearly a command": {args: []string{"upp"}, code: ExitUsage, want: "prog: unknown command \"upp\" for \"prog\"; did you mean up? (see prog --help)\n"},
		"command below":    {reason: "it must not look like a success to a script", args: []string{"folder", "bogus"}, code: ExitUsage, want: "prog: unknown command \"bogus\" for \"prog folder\" (see prog folder --help)\n"},
		"output":           {args: []string{"version", "-o", "yaml"}, code: ExitUsage, want: "prog: output \"yaml\": must be text or json (see prog version --help)\n"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			root := newProgram()
			var out, told bytes.Buffer
			root.SetOut(&out)
			root.SetErr(&out)
			root.SetArgs(tc.args)
			Prepare(root)
			code := report(&told, "prog", root.ExecuteContext(t.Context()))
			if code != tc.code || told.String() != tc.want || out.Len() > 0 {
				t.Errorf("%s: code %d, %q and %q; want %d, %q", tc.reason, code, told.String(), out.String(), tc.code, tc.want)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	for name, args := range map[string][]string{"flag": {"--version"}, "text": {"version"}, "json": {"version", "-o", "json"}, "help": {}} {
		root := newProgram()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetArgs(args)
		Prepare(root)
		if err := root.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		switch name {
		case "json":
			var info version.Info
			if err := json.Unmarshal(out.Bytes(), &info); err != nil || info != version.Get() {
				t.Errorf("%s: %+v, %v", name, info, err)
			}
		case "help":
			if !strings.Contains(out.String(), "folder") {
				t.Errorf("without a command: %s, want the list of commands", out.String())
			}
		default:
			if !strings.Contains(out.String(), "prog") || !strings.Contains(out.String(), version.Get().String()) {
				t.Errorf("%s: %s", name, out.String())
			}
		}
	}
}

// TestSignals: the first signal asks a program to end, the second does not ask.
func TestSignals(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			child := exec.CommandContext(t.Context(), os.Args[0])
			child.Env = append(os.Environ(), childEnv+"=1")
			out, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			if !lines.Scan() || lines.Text() != "started" {
				t.Fatalf("the program said %q", lines.Text())
			}
			if err := child.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if !lines.Scan() || lines.Text() != "stopping" {
				t.Fatalf("the program said %q", lines.Text())
			}
			done := make(chan error, 1)
			go func() { done <- child.Wait() }()
			// One that comes before the handler has been taken away counts for the first.
			again := time.NewTicker(20 * time.Millisecond)
			defer again.Stop()
			for err = error(nil); err == nil; {
				select {
				case err = <-done:
				case <-again.C:
					_ = child.Process.Signal(signal) // it may have ended
				}
			}
			status, ok := child.ProcessState.Sys().(syscall.WaitStatus)
			if !ok || !status.Signaled() || status.Signal() != signal {
				t.Errorf("it ended with %v, want by the signal", err)
			}
		})
	}
}
