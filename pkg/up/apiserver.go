// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package up

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/slipway-dev/slipway/pkg/apiserver"
	"github.com/slipway-dev/slipway/pkg/apiserver/sources"
	"github.com/slipway-dev/slipway/pkg/kapis/compat/devstar"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha2/s2ibinary"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/pipelinerun"
	"github.com/slipway-dev/slipway/pkg/sealing"
)

// drainTimeout is how long requests in work may take when the process is stopped.
const drainTimeout = 5 * time.Second

// listen takes the address of the API server. What is sent there before it serves waits.
func (u *instance) listen(ctx context.Context) (err error) {
	var listenConfig net.ListenConfig
	if u.listener, err = listenConfig.Listen(ctx, "tcp", u.options.Listen); err != nil {
		return fmt.Errorf("listen for the API server: %w (another address: --listen)", err)
	}
	return nil
}

// url is the address of the API server.
func (u *instance) url() string { return "http://" + u.listener.Addr().String() }

// startAPIServer serves the API from the manager's cache and gives its address.
func (u *instance) startAPIServer(ctx context.Context, group *errgroup.Group) (string, error) {
	sealer, err := sealing.New(u.keys.jobToken)
	if err != nil {
		return "", err
	}
	settings := apiserver.Config{
		RestConfig:      u.rest,
		Reader:          u.manager.GetCache(),
		Scheme:          u.scheme,
		JWTSecret:       u.keys.jwt,
		WebhookSecret:   u.keys.webhook,
		SystemNamespace: u.options.SystemNamespace,
		Sources: pipelinerun.Sources{
			Logs:      sources.Jenkins{Client: u.jenkins},
			Artifacts: sources.Jenkins{Client: u.jenkins},
			Archive:   sources.Store{Store: u.objects},
			Inputs:    sources.Jenkins{Client: u.jenkins},
			Stages:    sources.Jenkins{Client: u.jenkins},
			Sealer:    sealer,
		},
		Jenkins:     u.jenkins,
		Credentials: u.jenkins,
		JenkinsAPI:  u.jenkins,
		Git:         u.git,
		GitUploads:  u.objects,
		AllowLocal:  u.options.Egress.AllowLocal,
		// The embedded store listens on this machine only.
		Binaries:  s2ibinary.Options{Objects: u.objects, Stream: u.options.Backends.S3Endpoint == ""},
		Faces:     []apiserver.Face{devstar.Face(devstar.Options{Host: u.options.SSHHost, DefaultImage: u.options.DevImage})},
		Serving:   apiserver.Serving{Listener: u.listener, ShutdownTimeout: drainTimeout},
		Gatherers: prometheus.Gatherers{metrics.Registry},
		Log:       ctrl.LoggerFrom(ctx).WithName("apiserver"),
	}
	if err := errors.Join(u.options.SCM.ApplyTo(&settings), u.options.SonarQube.ApplyTo(&settings)); err != nil {
		return "", err
	}
	config, err := settings.Complete()
	if err != nil {
		return "", err
	}
	server, err := apiserver.New(config)
	if err != nil {
		return "", err
	}
	group.Go(func() error { return server.Run(ctx) })
	return u.url(), nil
}
