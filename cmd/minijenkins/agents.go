// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/pkg/kubeconfig"
	"github.com/slipway-dev/slipway/pkg/minijenkins/kube"
	"github.com/slipway-dev/slipway/pkg/minijenkins/local"
	"github.com/slipway-dev/slipway/pkg/minijenkins/server"
)

// The kinds of agents.
const (
	agentsKubernetes = "kubernetes"
	agentsLocal      = "local"
)

// agentOptions say where builds run.
type agentOptions struct {
	kind string
	// of Kubernetes
	kubeconfig, namespace, templateFile, jenkinsURL string
	startTimeout                                    time.Duration
	image                                           string
	jenkinsfilePods                                 bool
	// of local agents
	dir         string
	executors   int
	labels, env []string
}

var (
	kubernetesFlags = []string{"jenkins-url", "kubeconfig", "namespace", "default-template", "agent-start-timeout", "agent-image", "jenkinsfile-pods"}
	localFlags      = []string{"agent-dir", "executors", "agent-label", "agent-env"}
)

func (o *agentOptions) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.kind, "agents", agentsKubernetes, `where builds run: "kubernetes" in pods of a cluster, "local" as processes of this`+
		"\nmachine and this user, without any isolation: for laptops and tests only")
	f.StringVar(&o.jenkinsURL, "jenkins-url", "", "kubernetes: URL that builds see as JENKINS_URL in their pods (default: the base URL)")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "kubernetes: kubeconfig file (default: $KUBECONFIG, ~/.kube/config, then the service account of the pod)")
	f.StringVar(&o.namespace, "namespace", "kubesphere-devops-worker", "kubernetes: namespace of the agent pods")
	f.StringVar(&o.templateFile, "default-template", "", "kubernetes: file with the pod YAML for \"agent any\" (default: such builds are refused)")
	f.DurationVar(&o.startTimeout, "agent-start-timeout", 5*time.Minute, "kubernetes: how long an agent pod may take to start")
	f.StringVar(&o.image, "agent-image", "ghcr.io/slipway-dev/slipway-agent:latest", "kubernetes: image that holds slipway-agent, for the pods that Jenkinsfiles describe")
	f.BoolVar(&o.jenkinsfilePods, "jenkinsfile-pods", true, "kubernetes: allow Jenkinsfiles to describe their pods (agent { kubernetes { … } }, podTemplate):"+
		"\nnothing in them can reach beyond the pod")
	f.StringVar(&o.dir, "agent-dir", "", "local: folder for the workspaces (default: agents in the state folder)")
	f.IntVar(&o.executors, "executors", local.DefaultExecutors, "local: how many agents can be in use at once; other builds wait")
	f.StringSliceVar(&o.labels, "agent-label", nil, "local: label of the agents, may be repeated (default: every label that is asked for)")
	f.StringArrayVar(&o.env, "agent-env", nil, "local: NAME=VALUE for every step, or NAME to take it from this process; may be repeated."+
		"\nSteps get PATH, HOME, USER, TMPDIR and LANG besides, and nothing else of this process")
	_ = cmd.RegisterFlagCompletionFunc("agents", cobra.FixedCompletions(
		[]cobra.Completion{agentsKubernetes, agentsLocal}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.MarkFlagDirname("agent-dir")
	_ = cmd.MarkFlagFilename("kubeconfig")
	_ = cmd.MarkFlagFilename("default-template", "yaml", "yml")
}

// check refuses what does not fit together; changed tells if a flag was given.
func (o *agentOptions) check(changed func(string) bool) error {
	var others []string
	switch o.kind {
	case agentsKubernetes:
		others = localFlags
	case agentsLocal:
		others = kubernetesFlags
		if o.executors < 1 {
			return fmt.Errorf("--executors %d: must be at least 1", o.executors)
		}
	default:
		return fmt.Errorf("--agents %q: must be %s or %s", o.kind, agentsKubernetes, agentsLocal)
	}
	if i := slices.IndexFunc(others, changed); i >= 0 {
		return fmt.Errorf("--%s means nothing with --agents %s", others[i], o.kind)
	}
	return nil
}

// source makes what the server gets its agents from.
func (o *agentOptions) source(stateDir string) (func(server.AgentDeps) (server.AgentSource, error), error) {
	if o.kind == agentsLocal {
		return o.localSource(stateDir)
	}
	template := ""
	if o.templateFile != "" {
		data, err := os.ReadFile(o.templateFile)
		if err != nil {
			return nil, fmt.Errorf("read default template: %w", err)
		}
		template = string(data)
	}
	restConfig, err := loadKubeconfig(o.kubeconfig)
	if err != nil {
		return nil, err
	}
	return server.KubeAgents(kube.Config{REST: restConfig, Namespace: o.namespace, StartTimeout: o.startTimeout,
		DefaultTemplate: template, JenkinsURL: strings.TrimSuffix(o.jenkinsURL, "/"), AgentImage: o.image, NoJenkinsfilePods: !o.jenkinsfilePods}), nil
}

func (o *agentOptions) localSource(stateDir string) (func(server.AgentDeps) (server.AgentSource, error), error) {
	dir := o.dir
	if dir == "" {
		dir = filepath.Join(stateDir, "agents")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("--agent-dir: %w", err)
	}
	env := map[string]string{}
	for _, kv := range o.env {
		name, value, given := strings.Cut(kv, "=")
		if name == "" {
			return nil, fmt.Errorf("--agent-env %q: must be NAME=VALUE or NAME", kv)
		}
		if !given {
			var ok bool
			if value, ok = os.LookupEnv(name); !ok {
				continue
			}
		}
		env[name] = value
	}
	cfg := local.Config{Root: dir, Executors: o.executors, Labels: o.labels, Env: env}
	return func(d server.AgentDeps) (server.AgentSource, error) {
		cfg.Running = d.Running
		return local.New(cfg)
	}, nil
}

func loadKubeconfig(path string) (*rest.Config, error) {
	cfg, err := kubeconfig.Load(path)
	if errors.Is(err, kubeconfig.ErrNone) {
		return nil, fmt.Errorf("%w, or run builds on this machine with --agents local", err)
	}
	if err != nil {
		return nil, err
	}
	cfg.QPS, cfg.Burst = 50, 100
	return cfg, nil
}

// tokenFile is the file in the state folder with the token that was made because none was given.
const tokenFile = "token"

// ownToken returns the token in the state folder, and makes one if there is none.
func ownToken(ctx context.Context, stateDir string) (string, error) {
	name := filepath.Join(stateDir, tokenFile)
	token, err := readSecret(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && token == "" {
		random := make([]byte, 17)
		_, _ = rand.Read(random) // it never fails
		token = hex.EncodeToString(random)
		if err = os.MkdirAll(stateDir, 0o700); err == nil {
			err = os.WriteFile(name, []byte(token+"\n"), 0o600)
		}
	}
	if err != nil {
		return "", fmt.Errorf("make token: %w", err)
	}
	klog.FromContext(ctx).Info("no token was given: it is in a file", "file", name)
	return token, nil
}

// warnOpen says what it means to let others reach a server with local agents.
func warnOpen(ctx context.Context, listen string) {
	host, _, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		klog.FromContext(ctx).Info("WARNING: whoever has the token can run any command on this machine as this user: local agents are for laptops and tests",
			"listen", listen)
	}
}
