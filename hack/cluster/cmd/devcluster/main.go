// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Command devcluster runs a Kubernetes cluster of one node on this machine, for
// trying out and testing Slipway. See the README of hack/cluster.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/slipway-dev/slipway/hack/cluster/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := cli.New().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "devcluster:", err)
		stop()
		os.Exit(cli.ExitCode(err))
	}
}
