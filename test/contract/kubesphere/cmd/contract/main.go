// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Contract runs the contract suite against a server and prints how many checks held. It ends with 1 if one did
// not, with 2 if the suite could not run.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/test/contract/kubesphere"
	"github.com/slipway-dev/slipway/test/contract/kubesphere/world"
)

var errFailed = errors.New("the server does not keep the contract")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "contract:", err)
		if errors.Is(err, errFailed) {
			os.Exit(1)
		}
		os.Exit(2)
	}
}

func command() *cobra.Command {
	var env kubesphere.Environment
	var match, output string
	var parallel int
	var complete bool
	var host string
	c := &cobra.Command{
		Use:   "contract --base URL [--token TOKEN]",
		Short: "Check that a server is what a KubeSphere console has behind it",
		Long: "Runs the cases of the contract suite against a server. Cases that need what is not given are skipped and named.\n" +
			"The token is read from the environment variable TOKEN where the flag is not given: command lines can be seen by others.",
		Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if env.Base == "" || env.Token == "" {
				return errors.New("give the address of the server as --base and a token as --token or TOKEN")
			}
			cases, err := kubesphere.Cases(match)
			if err != nil {
				return err
			}
			if host != "" {
				end, err := serve(cmd.Context(), host, &env)
				if err != nil {
					return err
				}
				defer end()
			}
			report, err := kubesphere.Run(cmd.Context(), env, kubesphere.Options{Cases: cases, Parallel: parallel, Done: progress(cmd.ErrOrStderr())})
			if err != nil {
				return err
			}
			return conclude(cmd.OutOrStdout(), report, output, complete)
		},
	}
	flags := c.Flags()
	flags.StringVar(&env.Base, "base", os.Getenv("BASE"), "address of the server: http://127.0.0.1:9090")
	flags.StringVar(&env.Token, "token", "", "token of a user who may create projects; TOKEN if empty")
	flags.StringVar(&env.OtherToken, "other-token", os.Getenv("OTHER_TOKEN"), "token of a user without any right")
	flags.StringVar(&env.Git, "git", "", "address of a repository with the branches main and feat/x, each with a Jenkinsfile")
	flags.StringVar(&host, "host", "", "address of this machine that the server can reach: a git repository and a Gitea are served there")
	flags.StringVar(&env.Agent, "agent", "", "what stands behind `agent` in a Jenkinsfile: any")
	flags.StringVar(&env.SCM, "scm", "", "address of a Gitea server")
	flags.StringVar(&env.SCMToken, "scm-token", "", "token for it")
	flags.BoolVar(&env.Sonar, "sonar", false, "the server knows a SonarQube")
	flags.BoolVar(&env.S3, "s3", true, "the server has an object store")
	flags.StringVar(&match, "case", "", "regular expression for the names of the cases to run")
	flags.StringVarP(&output, "output", "o", "text", "text, json, or table for the table of routes")
	flags.IntVar(&parallel, "parallel", 0, "cases at once; 6 if 0")
	flags.BoolVar(&complete, "complete", false, "fail if a case was skipped or a route not covered")
	c.PreRun = func(*cobra.Command, []string) {
		if env.Token == "" {
			env.Token = os.Getenv("TOKEN")
		}
	}
	return c
}

// serve serves what the cases need on this machine.
func serve(ctx context.Context, host string, env *kubesphere.Environment) (end func(), err error) {
	dir, err := os.MkdirTemp("", "contract-")
	if err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	w, err := world.Serve(ctx, host, dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	w.Fill(env)
	return func() { _ = errors.Join(w.Close(), os.RemoveAll(dir)) }, nil
}

func progress(w io.Writer) func(kubesphere.Outcome) {
	return func(o kubesphere.Outcome) {
		switch {
		case o.Problem != "":
			_, _ = fmt.Fprintf(w, "FAIL  %s (%s): %s\n", o.Case, o.Family, o.Problem)
		case o.Skipped != "":
			_, _ = fmt.Fprintf(w, "skip  %s (%s): %s\n", o.Case, o.Family, o.Skipped)
		default:
			_, _ = fmt.Fprintf(w, "ok    %s (%s): %d checks, %s\n", o.Case, o.Family, o.Checks, o.Took.Round(time.Millisecond))
		}
	}
}

func conclude(w io.Writer, report *kubesphere.Report, output string, complete bool) error {
	failed, skipped := len(report.Failed()), 0
	for _, o := range report.Outcomes {
		if o.Skipped != "" {
			skipped++
		}
	}
	var err error
	switch output {
	case "json":
		err = json.NewEncoder(w).Encode(report)
	case "table":
		routes, rerr := kubesphere.Routes()
		if rerr != nil {
			return rerr
		}
		err = routes.WriteTable(w, report)
	default:
		for _, route := range report.Missing {
			_, _ = fmt.Fprintln(w, "not covered:", route)
		}
		_, err = fmt.Fprintf(w, "%d checks held in %d cases; %d failed, %d skipped, %d routes not covered\n",
			report.Checks(), len(report.Outcomes)-failed-skipped, failed, skipped, len(report.Missing))
	}
	switch {
	case err != nil:
		return fmt.Errorf("write: %w", err)
	case failed > 0, complete && (skipped > 0 || len(report.Missing) > 0):
		return errFailed
	}
	return nil
}
