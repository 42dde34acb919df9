// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Command minijenkins is a small server that speaks the REST wire format of Jenkins and runs
// Declarative Pipelines in pods of a Kubernetes cluster.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/pkg/minijenkins/kube"
	"github.com/slipway-dev/slipway/pkg/minijenkins/server"
	"github.com/slipway-dev/slipway/pkg/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newCommand().ExecuteContext(ctx)
	stop()
	klog.Flush()
	if err != nil {
		os.Exit(1)
	}
}

type options struct {
	listen, stateDir, baseURL           string
	user, tokenFile, passwordFile       string
	kubeconfig, namespace, templateFile string
	jenkinsURL                          string
	agentStartTimeout, quietPeriod      time.Duration
	stopTimeout, startDelay             time.Duration
	eventsURL, eventsTokenFile          string
}

func newCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "minijenkins",
		Short: "A small server that speaks Jenkins' REST wire format and runs pipelines in pods",
		Long: "minijenkins answers the REST calls that clients of Jenkins " + server.JenkinsVersion + " send (classic API, Blue Ocean,\n" +
			"Kubernetes cloud templates) and runs Declarative Pipelines in pods of a Kubernetes cluster.",
		Args: cobra.NoArgs,
		// Errors of the flags show the usage; errors of the server do not.
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SilenceUsage = true
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", "127.0.0.1:8080", "address to serve HTTP at")
	f.StringVar(&o.stateDir, "state-dir", "minijenkins-state", "folder for all state; one process at a time")
	f.StringVar(&o.baseURL, "base-url", "", "URL under which clients reach the server, without a path (default: the host of each request)")
	f.StringVar(&o.jenkinsURL, "jenkins-url", "", "URL that builds see as JENKINS_URL in their pods (default: the base URL)")
	f.StringVar(&o.user, "user", "admin", "name of the user")
	f.StringVar(&o.tokenFile, "token-file", "", "file with the user's API token (required unless MINIJENKINS_TOKEN is set)")
	f.StringVar(&o.passwordFile, "password-file", "", "file with a password that works beside the token")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig file (default: $KUBECONFIG, then the service account of the pod)")
	f.StringVar(&o.namespace, "namespace", "kubesphere-devops-worker", "namespace of the agent pods")
	f.StringVar(&o.templateFile, "default-template", "", "file with the pod YAML for \"agent any\" (default: such builds are refused)")
	f.DurationVar(&o.agentStartTimeout, "agent-start-timeout", 5*time.Minute, "how long an agent pod may take to start")
	f.DurationVar(&o.quietPeriod, "quiet-period", 5*time.Second, "how long a started job waits for equal starts; negative for not at all")
	f.DurationVar(&o.stopTimeout, "stop-timeout", 30*time.Second, "how long running builds may go on when the server stops")
	f.StringVar(&o.eventsURL, "events-url", "", "URL that is told when a build is made, begins, ends or is deleted, as Jenkins' generic-event plugin does")
	f.StringVar(&o.eventsTokenFile, "events-token-file", "", "file with the bearer token for the events URL")
	f.DurationVar(&o.startDelay, "start-delay", 0, "how long to answer as a Jenkins that starts (503, then 401, then 503), to test clients")
	cmd.AddCommand(&cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintf(cmd.OutOrStdout(), "minijenkins %s (speaks Jenkins %s)\n", version.Get(), server.JenkinsVersion)
		},
	})
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
		return errors.New("give the API token with --token-file or MINIJENKINS_TOKEN")
	}
	eventsToken, err := readSecret(o.eventsTokenFile)
	if err != nil {
		return err
	}
	template := ""
	if o.templateFile != "" {
		data, err := os.ReadFile(o.templateFile)
		if err != nil {
			return fmt.Errorf("read default template: %w", err)
		}
		template = string(data)
	}
	restConfig, err := loadKubeconfig(o.kubeconfig)
	if err != nil {
		return err
	}
	s, err := server.New(server.Config{
		StateDir: o.stateDir, Listen: o.listen, BaseURL: o.baseURL, QuietPeriod: o.quietPeriod, StopTimeout: o.stopTimeout,
		StartDelay: o.startDelay, EventsURL: o.eventsURL, EventsToken: eventsToken,
		Accounts: []server.Account{{Name: o.user, Token: token, Password: password}},
		NewAgents: server.KubeAgents(kube.Config{REST: restConfig, Namespace: o.namespace, StartTimeout: o.agentStartTimeout,
			DefaultTemplate: template, JenkinsURL: strings.TrimSuffix(o.jenkinsURL, "/")}),
	})
	if err != nil {
		return err
	}
	return s.Run(ctx)
}

func loadKubeconfig(path string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = path
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	cfg.QPS, cfg.Burst = 50, 100
	return cfg, nil
}
