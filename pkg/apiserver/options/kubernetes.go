// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/slipway-dev/slipway/pkg/apiserver"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/kubeconfig"
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
	flags.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig, kubeconfig.Usage)
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
	restConfig, err := kubeconfig.Load(o.Kubeconfig)
	if err != nil {
		return nil, err
	}
	if _, err := kubeconfig.Check(restConfig); err != nil {
		return nil, err
	}
	restConfig.QPS, restConfig.Burst = o.QPS, o.Burst
	restConfig.UserAgent = "slipway-apiserver/" + version.Get().GitVersion
	config.RestConfig = restConfig
	config.Scheme = scheme.New()
	objects, err := cache.New(restConfig, cache.Options{Scheme: config.Scheme, DefaultTransform: store.Transform()})
	if err != nil {
		return nil, fmt.Errorf("make cache: %w", err)
	}
	if err := index.RegisterSCM(ctx, objects); err != nil {
		return nil, err
	}
	// Without this each kind would be listed when it is first asked for, by a request that has to wait.
	var kinds filling
	for _, kind := range apiserver.CachedKinds() {
		informer, err := objects.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
		if err != nil {
			return nil, fmt.Errorf("watch %T: %w", kind, err)
		}
		gvk, err := apiutil.GVKForObject(kind, config.Scheme)
		if err != nil {
			return nil, fmt.Errorf("watch %T: %w", kind, err)
		}
		kinds = append(kinds, part{gvk.Kind, informer.HasSynced})
	}
	config.Reader = objects
	config.Checks = map[string]func(context.Context) error{"cache": kinds.check}
	return objects, nil
}

// part is a kind that the cache is filled with.
type part struct {
	kind   string
	filled func() bool
}

// filling is a cache while it is filled.
type filling []part

// check says which kinds have not been read yet.
func (f filling) check(context.Context) error {
	var missing []string
	for _, p := range f {
		if !p.filled() {
			missing = append(missing, p.kind)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("these kinds are not read from Kubernetes yet, which takes half a second for a thousand objects: %s; if it stays so, "+
		"their CRDs or the server's right to list and watch them are missing, see the log", strings.Join(missing, ", "))
}
