// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Command controller-manager runs Slipway's controllers, one leader among its replicas.
package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/pkg/cli"
	"github.com/slipway-dev/slipway/pkg/manager"
)

func main() {
	os.Exit(cli.Main(context.Background(), newCommand()))
}

func newCommand() *cobra.Command {
	options := manager.NewOptions()
	command := &cobra.Command{
		Use:   "controller-manager",
		Short: "Run Slipway's controllers",
		Args:  cli.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return manager.Run(command.Context(), options)
		},
	}
	options.AddFlags(command.Flags())
	return command
}
