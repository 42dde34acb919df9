// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cli is what the programs of cmd have in common as programs: signals, exit codes, how an error is
// told, and the command that tells the version.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/pkg/version"
)

// The exit codes of a program.
const (
	// ExitFailure is that of a program that failed at its work.
	ExitFailure = 1
	// ExitUsage is that of a program that was called wrongly.
	ExitUsage = 2
)

// UsageError says that a program was called wrongly.
type UsageError struct {
	// Command is how the command is called, such as "slipway up".
	Command string
	Err     error
}

// Error implements error.
func (e *UsageError) Error() string { return fmt.Sprintf("%v (see %s --help)", e.Err, e.Command) }

// Unwrap gives what is wrong.
func (e *UsageError) Unwrap() error { return e.Err }

// Main runs a command as the whole program and gives the code to exit with. The first SIGINT or SIGTERM ends
// the context of the command, which then ends in an orderly way; a second one ends the process at once.
func Main(ctx context.Context, root *cobra.Command) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	Prepare(root)
	return report(os.Stderr, root.Name(), root.ExecuteContext(ctx))
}

// report tells an error, each of several in a line of its own, and gives the exit code.
func report(w io.Writer, program string, err error) int {
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintf(w, "%s: %s\n", program, strings.ReplaceAll(err.Error(), "\n", "\n  "))
	var usage *UsageError
	if errors.As(err, &usage) {
		return ExitUsage
	}
	return ExitFailure
}

// Prepare makes a command tell wrong flags and arguments in one line instead of with its whole description, and
// gives it --version and the command version.
func Prepare(root *cobra.Command) {
	if root.Version == "" {
		root.Version = version.Get().String()
	}
	root.AddCommand(newVersionCommand())
	root.SilenceUsage, root.SilenceErrors = true, true
	root.SetFlagErrorFunc(func(command *cobra.Command, err error) error { return &UsageError{command.CommandPath(), err} })
	prepareArgs(root)
}

func prepareArgs(command *cobra.Command) {
	for _, child := range command.Commands() {
		prepareArgs(child)
	}
	command.SuggestionsMinimumDistance = 2 // as cobra itself takes it
	check := command.Args
	switch {
	case command.Runnable() && check == nil:
		check = cobra.ArbitraryArgs
	case !command.Runnable():
		// Only a folder of commands: without a name it says which there are.
		check = cobra.NoArgs
		command.RunE = func(command *cobra.Command, _ []string) error { return command.Help() }
	}
	command.Args = func(command *cobra.Command, args []string) error {
		if err := check(command, args); err != nil {
			if command.HasSubCommands() && len(args) > 0 {
				if near := command.SuggestionsFor(args[0]); len(near) > 0 {
					err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(near, " or "))
				}
			}
			return &UsageError{command.CommandPath(), err}
		}
		return nil
	}
}

// NoArgs refuses arguments of a command that has flags only.
func NoArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q: there are flags only", args[0])
	}
	return nil
}

func newVersionCommand() *cobra.Command {
	var output string
	command := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			out := command.OutOrStdout()
			switch output {
			case "text":
				_, err := fmt.Fprintln(out, command.Root().Name(), command.Root().Version)
				return err
			case "json":
				encoder := json.NewEncoder(out)
				encoder.SetIndent("", "  ")
				return encoder.Encode(version.Get())
			default:
				return &UsageError{command.CommandPath(), fmt.Errorf("output %q: must be text or json", output)}
			}
		},
	}
	command.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return command
}
