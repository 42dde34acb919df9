// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/kubernetes"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/slipway-dev/slipway/pkg/controller/agentpod"
	"github.com/slipway-dev/slipway/pkg/controller/agenttemplate"
	"github.com/slipway-dev/slipway/pkg/controller/devcontainer"
	"github.com/slipway-dev/slipway/pkg/controller/pipelinerun"
)

// AgentOptions are the settings of the pods in which builds run.
type AgentOptions struct {
	// Namespace is the worker namespace. Empty: agentpod.DefaultNamespace.
	Namespace string
	// Image holds slipway-agent, and a JRE if Payload is set. Empty: the image of dev containers.
	Image string
	// Payload: the image brings a JRE, which Jenkins' own agent needs. minijenkins does not.
	Payload bool
	// Restricted makes pods for a namespace with PodSecurity's level "restricted".
	Restricted bool
	// ServiceAccount is that of the pods; empty for the namespace's default one.
	ServiceAccount string
	// DNSPolicy is that of the pods; empty for the cluster's default.
	DNSPolicy string
	// ActiveDeadline is how long a pod may live. 0: agenttemplate.DefaultActiveDeadline.
	ActiveDeadline time.Duration
	// IdleMinutes is how long an agent waits for another build. 0: each serves one build.
	IdleMinutes int
	// LeakedAfter is how long Jenkins must not have the node of a pod until the pod is deleted. 0:
	// agentpod.DefaultLeakedAfter.
	LeakedAfter time.Duration
	// InstanceCap is the most pods of one dev container at a time. 0: 10.
	InstanceCap int
	// DefaultCPULimit and DefaultMemoryLimit are limits for dev containers that name none. Empty: none.
	DefaultCPULimit, DefaultMemoryLimit string
	// JenkinsUser is the account with which Jenkins makes pods, such as
	// system:serviceaccount:jenkins:jenkins. With it a missing right is told. Empty: it is not looked at.
	JenkinsUser string
}

// AddFlags binds the options to flags.
func (o *AgentOptions) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.Image, "agent-jenkins-image", o.Image, "image of agent pods with slipway-agent, if it is another one than --agent-image")
	flags.BoolVar(&o.Payload, "agent-payload", o.Payload, "the image of agent pods brings a JRE in /payload, as Jenkins' own agent needs it")
	flags.BoolVar(&o.Restricted, "agent-restricted", o.Restricted, "make agent pods that PodSecurity's level \"restricted\" allows")
	flags.StringVar(&o.ServiceAccount, "agent-service-account", o.ServiceAccount, "service account of agent pods; the namespace's default one if empty")
	flags.StringVar(&o.DNSPolicy, "agent-dns-policy", o.DNSPolicy, "dnsPolicy of agent pods: Default or ClusterFirst")
	flags.DurationVar(&o.ActiveDeadline, "agent-active-deadline", o.ActiveDeadline, "how long an agent pod may live; 4h if 0")
	flags.DurationVar(&o.LeakedAfter, "agent-leaked-after", o.LeakedAfter, "how long Jenkins must not know an agent pod until the pod is deleted; 2m if 0")
	flags.IntVar(&o.IdleMinutes, "agent-idle-minutes", o.IdleMinutes, "how long an agent waits for another build of its dev container's project; it shares the workspace then")
	flags.IntVar(&o.InstanceCap, "agent-instance-cap", o.InstanceCap, "most agent pods of one dev container at a time; 10 if 0")
	flags.StringVar(&o.DefaultCPULimit, "agent-default-cpu-limit", o.DefaultCPULimit, "CPU limit of agents whose dev container names none")
	flags.StringVar(&o.DefaultMemoryLimit, "agent-default-memory-limit", o.DefaultMemoryLimit, "memory limit of agents whose dev container names none")
	flags.StringVar(&o.JenkinsUser, "jenkins-agent-user", o.JenkinsUser, "Kubernetes account with which Jenkins makes agent pods, to tell of rights that it lacks")
}

// Validate gives all that is wrong with the options.
func (o *AgentOptions) Validate() error {
	var errs []error
	switch corev1.DNSPolicy(o.DNSPolicy) {
	case "", corev1.DNSDefault, corev1.DNSClusterFirst:
	default:
		errs = append(errs, fmt.Errorf("--agent-dns-policy is %q: use Default or ClusterFirst", o.DNSPolicy))
	}
	for _, limit := range []struct{ flag, value string }{
		{"agent-default-cpu-limit", o.DefaultCPULimit}, {"agent-default-memory-limit", o.DefaultMemoryLimit},
	} {
		if limit.value == "" {
			continue
		}
		if q, err := resource.ParseQuantity(limit.value); err != nil || q.Sign() <= 0 {
			errs = append(errs, fmt.Errorf("--%s is %q: use a quantity such as 2 or 2Gi", limit.flag, limit.value))
		}
	}
	if o.ActiveDeadline < 0 || o.LeakedAfter < 0 || o.IdleMinutes < 0 || o.InstanceCap < 0 {
		errs = append(errs, errors.New("--agent-active-deadline, --agent-leaked-after, --agent-idle-minutes and --agent-instance-cap must not be negative"))
	}
	return errors.Join(errs...)
}

// Templates are the settings of agent templates, over those of the dev containers. The options must be
// valid.
func (o *AgentOptions) Templates(base agenttemplate.Options) agenttemplate.Options {
	if o.Image != "" {
		base.AgentImage = o.Image
	}
	if o.ServiceAccount != "" {
		base.ServiceAccount = o.ServiceAccount
	}
	if o.ActiveDeadline > 0 {
		base.ActiveDeadline = o.ActiveDeadline
	}
	base.Namespace = o.namespace()
	base.Payload, base.Restricted, base.DNSPolicy = o.Payload, o.Restricted, corev1.DNSPolicy(o.DNSPolicy)
	base.IdleMinutes, base.InstanceCap = o.IdleMinutes, o.InstanceCap
	limits := corev1.ResourceList{}
	for name, value := range map[corev1.ResourceName]string{corev1.ResourceCPU: o.DefaultCPULimit, corev1.ResourceMemory: o.DefaultMemoryLimit} {
		if q, err := resource.ParseQuantity(value); value != "" && err == nil {
			limits[name] = q
		}
	}
	if len(limits) > 0 {
		base.DefaultResources = &corev1.ResourceRequirements{Limits: limits}
	}
	return base
}

func (o *AgentOptions) namespace() string {
	if o.Namespace == "" {
		return agentpod.DefaultNamespace
	}
	return o.Namespace
}

// setupAgents adds the watch of agent pods to a manager. The templates that pods are tried with are those
// of the dev containers' controller.
func setupAgents(mgr ctrl.Manager, jenkins agentpod.Jenkins, o AgentOptions, apps devcontainer.Options) (*agentpod.Pods, error) {
	kube, err := kubernetes.NewForConfig(mgr.GetConfig())
	if err != nil {
		return nil, fmt.Errorf("make client of agent pods: %w", err)
	}
	options := agentpod.Options{
		Client: kube, Namespace: o.namespace(), Jenkins: jenkins, JenkinsUser: o.JenkinsUser, LeakedAfter: o.LeakedAfter,
		Keepers: &pipelinerun.Keepers{Reader: mgr.GetClient()},
	}
	if apps.AgentImage != "" {
		options.Templates = &agenttemplate.Finder{Reader: mgr.GetClient(), Options: apps.Templates()}
		options.Try = func(ctx context.Context, template agenttemplate.Template) (*agentpod.Problem, error) {
			return agentpod.TryPod(ctx, mgr.GetClient(), o.namespace(), template)
		}
	}
	pods, err := agentpod.New(options)
	if err != nil {
		return nil, err
	}
	return pods, mgr.Add(pods)
}
