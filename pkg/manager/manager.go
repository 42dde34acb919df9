// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package manager runs the controllers in a process of their own, as cmd/controller-manager does.
package manager

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/slipway-dev/slipway/pkg/backends"
	"github.com/slipway-dev/slipway/pkg/controller"
	"github.com/slipway-dev/slipway/pkg/controller/devcontainer"
	"github.com/slipway-dev/slipway/pkg/controller/notification"
	"github.com/slipway-dev/slipway/pkg/controller/pipelinerun"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/kubeconfig"
	"github.com/slipway-dev/slipway/pkg/scheme"
)

// Defaults of Options. A run costs about ten writes over its life; the API server's own fairness
// keeps the controllers from crowding out others.
const (
	DefaultQPS   = 300
	DefaultBurst = 600
)

// Options of the controller manager.
type Options struct {
	// Kubeconfig is the cluster; as kubectl finds it, or the pod's own account, if empty.
	Kubeconfig string
	// SystemNamespace holds the lease; WorkerNamespace the agent pods.
	SystemNamespace, WorkerNamespace string
	// MetricsAddress and HealthAddress are where metrics and probes are served.
	MetricsAddress, HealthAddress string
	// QPS and Burst bound the calls to Kubernetes, a second and at once.
	QPS   float32
	Burst int
	// LeaderElect lets several replicas stand by.
	LeaderElect bool
	// JobTokenKeyFile holds the key that the tokens which start jobs are derived from.
	JobTokenKeyFile string
	// Cloud is the name of Jenkins' Kubernetes cloud.
	Cloud string
	// AgentImage holds slipway-agent.
	AgentImage string
	// Agents are the settings of the pods in which builds run; the namespace is WorkerNamespace.
	Agents controller.AgentOptions
	// AgentStartTimeout is how long a run may be unable to start before it fails. 0 means
	// pipelinerun.DefaultStartTimeout, a negative time for ever.
	AgentStartTimeout time.Duration
	// Notifications are the settings for what other systems are told of runs.
	Notifications notification.Options
	// Backends are Jenkins and S3.
	Backends backends.Options
	// Git is how git repositories are asked whether they can be read.
	Git backends.Git
	// Egress says to which addresses that users give the controllers connect.
	Egress backends.Egress
}

// NewOptions gives the defaults.
func NewOptions() *Options {
	return &Options{SystemNamespace: "kubesphere-devops-system", WorkerNamespace: "kubesphere-devops-worker", MetricsAddress: ":8080",
		HealthAddress: ":8081", QPS: DefaultQPS, Burst: DefaultBurst, LeaderElect: true, Cloud: jenkins.DefaultCloud, Backends: backends.NewOptions(), Git: backends.NewGit()}
}

// AddFlags binds the options to flags.
func (o *Options) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig, kubeconfig.Usage)
	flags.StringVar(&o.SystemNamespace, "system-namespace", o.SystemNamespace, "namespace of the lease")
	flags.StringVar(&o.WorkerNamespace, "worker-namespace", o.WorkerNamespace, "namespace of agent pods")
	flags.StringVar(&o.MetricsAddress, "metrics-bind-address", o.MetricsAddress, "address of /metrics; 0 for none")
	flags.StringVar(&o.HealthAddress, "health-probe-bind-address", o.HealthAddress, "address of /healthz and /readyz")
	flags.Float32Var(&o.QPS, "kube-api-qps", o.QPS, "calls a second to Kubernetes")
	flags.IntVar(&o.Burst, "kube-api-burst", o.Burst, "calls at once to Kubernetes")
	flags.BoolVar(&o.LeaderElect, "leader-elect", o.LeaderElect, "let one of several replicas lead")
	flags.StringVar(&o.JobTokenKeyFile, "job-token-key-file", o.JobTokenKeyFile, "file with the key of the tokens that start jobs, at least 16 bytes")
	flags.StringVar(&o.Cloud, "jenkins-cloud", o.Cloud, "name of Jenkins' Kubernetes cloud")
	flags.StringVar(&o.AgentImage, "agent-image", o.AgentImage, "image that holds slipway-agent")
	flags.DurationVar(&o.AgentStartTimeout, "agent-start-timeout", o.AgentStartTimeout, "how long a run may be unable to get its agent, or to start at all, before it fails; 30m if 0, for ever if negative")
	o.Agents.AddFlags(flags)
	o.Notifications.AddFlags(flags)
	o.Backends.AddFlags(flags)
	o.Git.AddFlags(flags)
	o.Egress.AddFlags(flags)
}

// Validate gives all that is wrong with the options.
func (o *Options) Validate() error {
	errs := append(o.Backends.Validate(), o.Git.Validate()...)
	if o.Backends.JenkinsURL == "" {
		errs = append(errs, errors.New("--jenkins-url is required"))
	}
	if o.JobTokenKeyFile == "" {
		errs = append(errs, errors.New("--job-token-key-file is required"))
	}
	if o.AgentImage == "" {
		errs = append(errs, errors.New("--agent-image is required"))
	}
	if err := o.Agents.Validate(); err != nil {
		errs = append(errs, err)
	}
	if err := o.Notifications.Validate(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Run runs the controllers until ctx ends.
func Run(ctx context.Context, options *Options) error {
	if err := options.Validate(); err != nil {
		return err
	}
	ctrl.SetLogger(klog.NewKlogr())
	mgr, err := newManager(options)
	if err != nil {
		return err
	}
	if err := setup(ctx, mgr, options); err != nil {
		return err
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("run controllers: %w", err)
	}
	return nil
}

func newManager(options *Options) (ctrl.Manager, error) {
	config, err := kubeconfig.Load(options.Kubeconfig)
	if err != nil {
		return nil, err
	}
	if _, err := kubeconfig.Check(config); err != nil {
		return nil, err
	}
	config.QPS, config.Burst = options.QPS, options.Burst
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        scheme.New(),
		Cache:                         cache.Options{ByObject: controller.CacheOptions()},
		Metrics:                       metricsserver.Options{BindAddress: options.MetricsAddress},
		HealthProbeBindAddress:        options.HealthAddress,
		LeaderElection:                options.LeaderElect,
		LeaderElectionID:              "slipway-controllers",
		LeaderElectionNamespace:       options.SystemNamespace,
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return nil, fmt.Errorf("make manager: %w", err)
	}
	return mgr, errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("ping", healthz.Ping))
}

func setup(ctx context.Context, mgr ctrl.Manager, options *Options) error {
	key, err := backends.ReadSecret("job-token-key-file", options.JobTokenKeyFile)
	if err != nil {
		return err
	}
	jenkinsClient, err := options.Backends.Jenkins()
	if err != nil {
		return err
	}
	store, err := options.Backends.ObjectStore()
	if err != nil {
		return err
	}
	controllers := controller.Options{Jenkins: jenkinsClient, Cloud: options.Cloud, StartKey: []byte(key),
		Runs:          pipelinerun.Options{WorkerNamespace: options.WorkerNamespace, StartTimeout: options.AgentStartTimeout},
		Agents:        options.Agents,
		Notifications: options.Notifications,
		DevContainers: devcontainer.Options{AgentImage: options.AgentImage}}
	controllers.Notifications.AllowLocal = options.Egress.AllowLocal
	git, err := options.Git.Cache(options.Egress)
	if err != nil {
		return err
	}
	if git != nil {
		controllers.Git = git
	}
	if store != nil {
		if err := store.EnsureBucket(ctx); err != nil {
			return fmt.Errorf("bucket %s: %w", options.Backends.S3Bucket, err)
		}
		controllers.Objects = store
	}
	return controller.Setup(ctx, mgr, controllers)
}
