// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/slipway-dev/slipway/pkg/apiserver"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/scheme"
	"github.com/slipway-dev/slipway/pkg/store"
	"github.com/slipway-dev/slipway/pkg/version"
)

// Kubernetes is how the server reaches Kubernetes.
type Kubernetes struct {
	// Kubeconfig is a file; "" finds one as kubectl does, or takes the pod's own.
	Kubeconfig string
	// QPS and Burst bound the server's own calls; those for users are bounded by Kubernetes.
	QPS   float32
	Burst int
}

func newKubernetes() Kubernetes { return Kubernetes{QPS: 200, Burst: 400} }

// AddFlags adds the flags.
func (o *Kubernetes) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig, "file that says how to reach Kubernetes; by default as kubectl finds it, or the pod's own")
	flags.Float32Var(&o.QPS, "kube-api-qps", o.QPS, "calls a second to Kubernetes on the server's own behalf")
	flags.IntVar(&o.Burst, "kube-api-burst", o.Burst, "calls at once to Kubernetes on the server's own behalf")
}

// Validate reports everything that is wrong.
func (o *Kubernetes) Validate() []error {
	if o.QPS <= 0 || o.Burst <= 0 {
		return []error{problem("kube-api-qps", "it and --kube-api-burst must be positive")}
	}
	return nil
}

// ApplyTo sets what the options say. The cache is to be started by the caller.
func (o *Kubernetes) ApplyTo(ctx context.Context, config *apiserver.Config) (cache.Cache, error) {
	restConfig, err := o.restConfig()
	if err != nil {
		return nil, fmt.Errorf("--kubeconfig: %w", err)
	}
	config.RestConfig = restConfig
	config.Scheme = scheme.New()
	objects, err := cache.New(restConfig, cache.Options{Scheme: config.Scheme, DefaultTransform: store.Transform()})
	if err != nil {
		return nil, fmt.Errorf("make cache: %w", err)
	}
	if err := index.Register(ctx, objects); err != nil {
		return nil, err
	}
	if err := index.RegisterSCM(ctx, objects); err != nil {
		return nil, err
	}
	// Without this each kind would be listed when it is first asked for, by a request that has to wait.
	for _, kind := range apiserver.CachedKinds() {
		if _, err := objects.GetInformer(ctx, kind, cache.BlockUntilSynced(false)); err != nil {
			return nil, fmt.Errorf("watch %T: %w", kind, err)
		}
	}
	config.Reader = objects
	return objects, nil
}

func (o *Kubernetes) restConfig() (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Kubeconfig
	restConfig, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, err
	}
	restConfig.QPS, restConfig.Burst = o.QPS, o.Burst
	restConfig.UserAgent = "slipway-apiserver/" + version.Get().GitVersion
	return restConfig, nil
}
