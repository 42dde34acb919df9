// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Command minijenkins is a small server that speaks the REST wire format of Jenkins and runs
// pipelines in pods of a Kubernetes cluster or as processes of its own machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/pkg/cli"
	"github.com/slipway-dev/slipway/pkg/minijenkins/local"
	"github.com/slipway-dev/slipway/pkg/minijenkins/server"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
	"github.com/slipway-dev/slipway/pkg/version"
)

func main() {
	// With local agents this binary supervises their steps, too.
	if code, was := local.Supervise(os.Args[1:]); was {
		os.Exit(code)
	}
	code := cli.Main(context.Background(), newCommand())
	klog.Flush()
	os.Exit(code)
}

type options struct {
	listen, stateDir, baseURL     string
	user, tokenFile, passwordFile string
	agents                        agentOptions
	quietPeriod                   time.Duration
	stopTimeout, startDelay       time.Duration
	eventsURL, eventsTokenFile    string
}

func newCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "minijenkins",
		Short: "A small server that speaks Jenkins' REST wire format and runs pipelines",
		Long: "minijenkins answers the REST calls that clients of Jenkins " + server.JenkinsVersion + " send (classic API, Blue Ocean,\n" +
			"Kubernetes cloud templates) and runs Jenkinsfiles in pods of a Kubernetes cluster or, to try it,\n" +
			"as processes of this machine.",
		Example: "  minijenkins --agents local\n" +
			"  minijenkins --agents local --state-dir /tmp/mj --listen 127.0.0.1:9090 --executors 2 --agent-label linux\n" +
			"  minijenkins --token-file token --kubeconfig ~/.kube/config --namespace ci",
		Version: version.Get().String() + " (speaks Jenkins " + server.JenkinsVersion + ")",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.agents.check(cmd.Flags().Changed); err != nil {
				return &cli.UsageError{Command: cmd.CommandPath(), Err: err}
			}
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.listen, "listen", "127.0.0.1:8080", "address to serve HTTP at")
	f.StringVar(&o.stateDir, "state-dir", "minijenkins-state", "folder for all state; one process at a time")
	f.StringVar(&o.baseURL, "base-url", "", "URL under which clients reach the server, without a path (default: the host of each request)")
	f.StringVar(&o.user, "user", "admin", "name of the user")
	f.StringVar(&o.tokenFile, "token-file", "", "file with the user's API token (default: $MINIJENKINS_TOKEN, and with local agents\n"+
		"a random one in the file token in the state folder)")
	f.StringVar(&o.passwordFile, "password-file", "", "file with a password that works beside the token")
	o.agents.addFlags(cmd)
	f.DurationVar(&o.quietPeriod, "quiet-period", 5*time.Second, "how long a started job waits for equal starts; negative for not at all")
	f.DurationVar(&o.stopTimeout, "stop-timeout", 0, "how long running builds may go on to their end when the server stops; what runs"+
		"\nthen goes on after the next start")
	f.StringVar(&o.eventsURL, "events-url", "", "URL that is told when a build is made, begins, ends or is deleted, as Jenkins' generic-event plugin does")
	f.StringVar(&o.eventsTokenFile, "events-token-file", "", "file with the bearer token for the events URL")
	f.DurationVar(&o.startDelay, "start-delay", 0, "how long to answer as a Jenkins that starts (503, then 401, then 503), to test clients")
	_ = cmd.MarkFlagDirname("state-dir")
	for _, name := range []string{"token-file", "password-file", "events-token-file"} {
		_ = cmd.MarkFlagFilename(name)
	}
	return cmd
}

func readSecret(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}

func run(ctx context.Context, o options) error {
	token, err := readSecret(o.tokenFile)
	if err != nil {
		return err
	}
	if token == "" {
		token = os.Getenv("MINIJENKINS_TOKEN")
	}
	password, err := readSecret(o.passwordFile)
	if err != nil {
		return err
	}
	if token == "" && password == "" {
		if o.agents.kind != agentsLocal {
			return errors.New("give the API token with --token-file or MINIJENKINS_TOKEN")
		}
		if token, err = ownToken(ctx, o.stateDir); err != nil {
			return err
		}
	}
	eventsToken, err := readSecret(o.eventsTokenFile)
	if err != nil {
		return err
	}
	source, err := o.agents.source(o.stateDir)
	if err != nil {
		return err
	}
	if o.agents.kind == agentsLocal {
		warnOpen(ctx, o.listen)
	}
	s, err := server.New(server.Config{
		StateDir: o.stateDir, Listen: o.listen, BaseURL: o.baseURL, QuietPeriod: o.quietPeriod, StopTimeout: o.stopTimeout,
		StartDelay: o.startDelay, EventsURL: o.eventsURL, EventsToken: eventsToken,
		Accounts:  []server.Account{{Name: o.user, Token: token, Password: password}},
		NewAgents: source,
	})
	if errors.Is(err, store.ErrLocked) {
		return fmt.Errorf("%w (another one: --state-dir)", err)
	}
	if err != nil {
		return err
	}
	err = s.Run(ctx)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w (another address: --listen)", err)
	}
	return err
}
