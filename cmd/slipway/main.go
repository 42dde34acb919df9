// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Command slipway is what a person types: `slipway up` runs everything on one machine, `slipway
// demo` plays the main job against it.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/slipway-dev/slipway/pkg/cli"
	"github.com/slipway-dev/slipway/pkg/demo"
	"github.com/slipway-dev/slipway/pkg/up"
)

func main() {
	os.Exit(cli.Main(context.Background(), newCommand()))
}

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "slipway",
		Short: "Dev containers and the pipelines that build in them",
	}
	root.AddCommand(newUpCommand(), newDemoCommand(), newTokenCommand(), newJenkinsfileCommand())
	return root
}

func newUpCommand() *cobra.Command {
	options := up.NewOptions()
	command := &cobra.Command{
		Use:   "up",
		Short: "Run API server, controllers, minijenkins and S3 in one process",
		Args:  cli.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return up.Run(command.Context(), options, command.OutOrStdout())
		},
	}
	options.AddFlags(command.Flags())
	return command
}

func newDemoCommand() *cobra.Command {
	var config demo.Config
	var stateDir string
	var timeout time.Duration
	command := &cobra.Command{
		Use:   "demo",
		Short: "Play the whole job against a running 'slipway up', with a check at each step",
		Args:  cli.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			state, err := up.ReadState(stateDir)
			if err != nil {
				return err
			}
			// The demo speaks for itself; the cluster's client has nothing to log.
			ctrl.SetLogger(logr.Discard())
			config.State, config.Out = state, command.OutOrStdout()
			ctx, cancel := context.WithTimeout(command.Context(), timeout)
			defer cancel()
			return demo.Run(ctx, config)
		},
	}
	addStateDir(command, &stateDir)
	command.Flags().StringVar(&config.GitHost, "git-host", "", "address to serve the demo's repository on, which pods can reach; what 'slipway up --host-ip' was given if empty")
	command.Flags().StringVar(&config.Image, "image", "", "image of the dev container; it holds git and "+demo.MarkerFile)
	command.Flags().BoolVar(&config.Keep, "keep", false, "leave what the demo made")
	command.Flags().DurationVar(&timeout, "timeout", 10*time.Minute, "end the demo after this time")
	return command
}

func newTokenCommand() *cobra.Command {
	var stateDir string
	command := &cobra.Command{
		Use:   "token",
		Short: "Print a token of the first user, for curl and Swagger UI",
		Args:  cli.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			state, err := up.ReadState(stateDir)
			if err != nil {
				return err
			}
			token, err := state.Token(command.Context())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(command.OutOrStdout(), token)
			return err
		},
	}
	addStateDir(command, &stateDir)
	return command
}

func addStateDir(command *cobra.Command, dir *string) {
	command.Flags().StringVar(dir, "state-dir", up.NewOptions().StateDir, "state folder of the running 'slipway up'")
}
