// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Command kube is one multi-call binary that holds every Kubernetes server
// component of the development cluster, etcd, and kubectl for looking into it.
//
// Linking them once takes a fifth of the time and the disk space of six
// separate binaries. The component is chosen by the name the binary is started
// under (a symlink named kube-apiserver, etcd, …) or, when it is started as
// "kube", by its first argument. Flags are those of the component.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client metrics on /metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // version metric on /metrics
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	"github.com/slipway-dev/slipway/hack/cluster/internal/dns"
	"github.com/slipway-dev/slipway/hack/cluster/internal/provisioner"
)

// components maps a component's name to what runs it. A command is built only
// when it is chosen: several of them register process-wide state when built.
var components = map[string]func(args []string) int{
	"kube-apiserver":          command(apiserver.NewAPIServerCommand),
	"kube-controller-manager": command(controllermanager.NewControllerManagerCommand),
	"kube-scheduler":          command(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
	"kube-proxy":              command(proxy.NewProxyCommand),
	"kubelet":                 command(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
	"kubectl":                 command(kubectl.NewDefaultKubectlCommand),
	"etcd": func(args []string) int {
		etcdmain.Main(args)
		return 0
	},
	"provisioner": own("provisioner", provisioner.Main),
	"dns":         own("dns", dns.Main),
}

func main() {
	run, args, err := choose(os.Args)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Args = args
	os.Exit(run(args))
}

// choose finds the component that argv asks for and returns what runs it, with
// the argv as the component itself would have seen it.
func choose(argv []string) (run func([]string) int, args []string, err error) {
	if run, ok := components[filepath.Base(argv[0])]; ok {
		return run, argv, nil
	}
	if len(argv) > 1 {
		if run, ok := components[argv[1]]; ok {
			return run, argv[1:], nil
		}
	}
	names := make([]string, 0, len(components))
	for name := range components {
		names = append(names, name)
	}
	slices.Sort(names)
	return nil, nil, fmt.Errorf("usage: kube COMPONENT [flags], where COMPONENT is one of %s", strings.Join(names, ", "))
}

// own runs a component of this module until it is told to stop.
func own(name string, run func(context.Context, []string) error) func([]string) int {
	return func(args []string) int {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		if err := run(ctx, args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, name+":", err)
			return 1
		}
		return 0
	}
}

// command runs a component of Kubernetes.
func command(build func() *cobra.Command) func([]string) int {
	return func(args []string) int {
		cmd := build()
		cmd.SetArgs(args[1:])
		return cli.Run(cmd)
	}
}
