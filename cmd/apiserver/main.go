// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Command apiserver serves Slipway's HTTP API.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/slipway-dev/slipway/pkg/apiserver"
	"github.com/slipway-dev/slipway/pkg/apiserver/options"
	"github.com/slipway-dev/slipway/pkg/cli"
	"github.com/slipway-dev/slipway/pkg/kapis/compat/devstar"
)

func main() {
	os.Exit(cli.Main(context.Background(), newCommand()))
}

func newCommand() *cobra.Command {
	o := options.New()
	var face devstar.Options
	command := &cobra.Command{
		Use:   "apiserver",
		Short: "Serve Slipway's API",
		Args:  cli.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return run(command.Context(), o, face)
		},
	}
	o.AddFlags(command.Flags())
	command.Flags().StringVar(&face.Host, "ssh-host", "", "host that DevStar clients are told to connect to; by default the node's address")
	command.Flags().StringVar(&face.DefaultImage, "default-image", "", "image of dev containers whose repository names none")
	logging := flag.NewFlagSet("logging", flag.ContinueOnError)
	klog.InitFlags(logging)
	command.Flags().AddGoFlag(logging.Lookup("v"))
	return command
}

func run(ctx context.Context, o *options.Options, face devstar.Options) error {
	log := klog.NewKlogr()
	ctrl.SetLogger(log)
	config, objects, err := o.Config(ctx)
	if err != nil {
		return err
	}
	o.Memory.Apply()
	config.Log = log.WithName("apiserver")
	config.Faces = []apiserver.Face{devstar.Face(face)}
	completed, err := config.Complete()
	if err != nil {
		return err
	}
	server, err := apiserver.New(completed)
	if err != nil {
		return err
	}
	// The cache and the certificate outlive the context until the server has drained.
	parts, stopParts := context.WithCancel(context.WithoutCancel(ctx))
	defer stopParts()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return ended("cache", parts, objects.Start(parts)) })
	if certificates := o.Serving.Certificates(); certificates != nil {
		group.Go(func() error { return ended("certificates", parts, certificates.Start(parts)) })
	}
	group.Go(func() error {
		defer stopParts()
		return server.Run(ctx)
	})
	return group.Wait()
}

// ended turns the end of a part into an error, unless it was told to end.
func ended(part string, told context.Context, err error) error { //nolint:revive // the context is what is asked, not what is passed on
	if told.Err() != nil && err == nil {
		return nil
	}
	if err == nil {
		err = errors.New("ended too early")
	}
	return fmt.Errorf("%s: %w", part, err)
}
