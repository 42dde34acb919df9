// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package up

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/slipway-dev/slipway/pkg/backends"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/webhook"
	"github.com/slipway-dev/slipway/pkg/minijenkins/kube"
	minijenkins "github.com/slipway-dev/slipway/pkg/minijenkins/server"
	"github.com/slipway-dev/slipway/pkg/objectstore"
	"github.com/slipway-dev/slipway/pkg/objectstore/embedded"
)

const (
	headerTimeout   = 10 * time.Second
	shutdownTimeout = 10 * time.Second
)

// startJenkins gives a client of the Jenkins of the options; without one it starts minijenkins.
func (u *instance) startJenkins(ctx context.Context, group *errgroup.Group) (*jenkins.Client, Endpoint, error) {
	options := u.options
	given := options.Backends
	given.Registerer = metrics.Registry
	if given.JenkinsURL == "" {
		given.JenkinsPasswordFile = ""
		given.JenkinsTokenFile = filepath.Join(options.StateDir, "jenkins-token")
		token, err := secretFile(given.JenkinsTokenFile)
		if err != nil {
			return nil, Endpoint{}, err
		}
		if given.JenkinsURL, err = u.startMiniJenkins(ctx, group, token); err != nil {
			return nil, Endpoint{}, err
		}
	} else if given.JenkinsTokenFile == "" && given.JenkinsPasswordFile == "" {
		given.JenkinsTokenFile = filepath.Join(options.StateDir, "jenkins-token-given")
		if err := writeFile(given.JenkinsTokenFile, []byte(options.JenkinsToken)); err != nil {
			return nil, Endpoint{}, err
		}
	}
	client, err := given.Jenkins()
	endpoint := Endpoint{URL: given.JenkinsURL, Embedded: options.Backends.JenkinsURL == "", Username: given.JenkinsUser,
		SecretFile: cmp.Or(given.JenkinsTokenFile, given.JenkinsPasswordFile)}
	return client, endpoint, err
}

// startMiniJenkins starts one that tells the API server of its builds.
func (u *instance) startMiniJenkins(ctx context.Context, group *errgroup.Group, token string) (string, error) {
	options := u.options
	var listenConfig net.ListenConfig
	listener, err := listenConfig.Listen(ctx, "tcp", options.JenkinsListen)
	if err != nil {
		return "", fmt.Errorf("listen for minijenkins: %w (another address: --jenkins-listen)", err)
	}
	address := "http://" + listener.Addr().String()
	server, err := minijenkins.New(minijenkins.Config{
		StateDir: filepath.Join(options.StateDir, "minijenkins"),
		BaseURL:  address,
		Accounts: []minijenkins.Account{{Name: options.Backends.JenkinsUser, Token: token}},
		// Our client starts each build with delay=0sec; the quiet period is for people.
		EventsURL:   u.url() + webhook.Path,
		EventsToken: string(u.keys.webhook),
		NewAgents: minijenkins.KubeAgents(kube.Config{REST: u.rest, Namespace: options.WorkerNamespace, JenkinsURL: address,
			AgentImage: options.AgentImage, NoJenkinsfilePods: !options.JenkinsfilePods}),
	})
	if err != nil {
		return "", errors.Join(fmt.Errorf("start minijenkins: %w", err), listener.Close())
	}
	group.Go(func() error { return server.Run(ctx) })
	group.Go(func() error { return serve(ctx, listener, server.Handler()) })
	return address, nil
}

// startObjectStore gives a client of the S3 server of the options; without one it starts one.
func startObjectStore(ctx context.Context, group *errgroup.Group, options *Options) (*objectstore.Store, Endpoint, error) {
	given := options.Backends
	if given.S3Endpoint == "" {
		given.S3AccessKeyFile = filepath.Join(options.StateDir, "s3-access-key")
		given.S3SecretKeyFile = filepath.Join(options.StateDir, "s3-secret-key")
		access, err := secretFile(given.S3AccessKeyFile)
		if err != nil {
			return nil, Endpoint{}, err
		}
		secret, err := secretFile(given.S3SecretKeyFile)
		if err != nil {
			return nil, Endpoint{}, err
		}
		if given.S3Endpoint, err = startEmbeddedStore(ctx, group, options, access, secret); err != nil {
			return nil, Endpoint{}, err
		}
	}
	store, err := given.ObjectStore()
	if err != nil {
		return nil, Endpoint{}, err
	}
	if err := store.EnsureBucket(ctx); err != nil {
		return nil, Endpoint{}, fmt.Errorf("bucket %s: %w", given.S3Bucket, err)
	}
	access, err := backends.ReadSecret("s3-access-key-file", given.S3AccessKeyFile)
	endpoint := Endpoint{URL: given.S3Endpoint, Embedded: options.Backends.S3Endpoint == "", Username: access, SecretFile: given.S3SecretKeyFile}
	return store, endpoint, err
}

func startEmbeddedStore(ctx context.Context, group *errgroup.Group, options *Options, access, secret string) (string, error) {
	server, err := embedded.New(ctx, embedded.Config{
		Dir: filepath.Join(options.StateDir, "s3"), Address: options.S3Listen, AccessKey: access, SecretKey: secret,
	})
	if err != nil {
		return "", fmt.Errorf("start the S3 server at %s: %w (another address: --s3-listen)", options.S3Listen, err)
	}
	group.Go(func() error { return server.Serve(ctx) })
	return "http://" + server.Endpoint(), nil
}

// serve answers requests until ctx ends, then lets running ones end.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(stop); err != nil {
		return errors.Join(fmt.Errorf("stop serving %s: %w", listener.Addr(), err), server.Close())
	}
	return nil
}
