// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Command controller-manager runs Slipway's controllers, one leader among its replicas.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/pkg/manager"
	"github.com/slipway-dev/slipway/pkg/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "controller-manager:", err)
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	options := manager.NewOptions()
	command := &cobra.Command{
		Use:           "controller-manager",
		Short:         "Run Slipway's controllers",
		Version:       version.Get().String(),
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(command *cobra.Command, _ []string) error {
			return manager.Run(command.Context(), options)
		},
	}
	options.AddFlags(command.Flags())
	return command
}
