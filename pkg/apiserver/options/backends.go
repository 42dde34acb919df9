// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/slipway-dev/slipway/pkg/apiserver"
	"github.com/slipway-dev/slipway/pkg/apiserver/sources"
	"github.com/slipway-dev/slipway/pkg/backends"
)

// applyBackends sets where logs and artifacts come from: Jenkins while it has them, S3 when a run has
// ended. Without an address of one, what it would give is not served.
func applyBackends(o *backends.Options, files *Files, egress backends.Egress, config *apiserver.Config) error {
	// Given gatherers are shown instead of the metrics of the process, so those are among them.
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	o.Registerer = registry
	config.Gatherers = append(config.Gatherers, registry)
	client, err := o.Jenkins()
	if err != nil {
		return err
	}
	if client != nil {
		config.Jenkins, config.Credentials, config.JenkinsAPI = client, client, client
		config.Sources.Logs = sources.Jenkins{Client: client}
		config.Sources.Stages = sources.Jenkins{Client: client}
		config.Sources.Artifacts = sources.Jenkins{Client: client}
		config.Sources.Inputs = sources.Jenkins{Client: client}
	}
	store, err := o.ObjectStore()
	if err != nil {
		return err
	}
	if store != nil {
		config.Sources.Archive = sources.Store{Store: store}
	}
	config.AllowLocal = egress.AllowLocal
	return files.applyTo(config, store, egress)
}
