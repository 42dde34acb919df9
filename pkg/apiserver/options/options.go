// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package options turns flags into the config of the API server. One file is one concern: a struct
// with defaults, flags, a check that reports everything that is wrong, and what it sets.
package options

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/slipway-dev/slipway/pkg/apiserver"
	"github.com/slipway-dev/slipway/pkg/backends"
	"github.com/slipway-dev/slipway/pkg/sealing"
)

// Options are all options of the API server.
type Options struct {
	Serving        Serving
	Limits         Limits
	Kubernetes     Kubernetes
	Authentication Authentication
	Authorization  Authorization
	Memory         Memory
	SCM            SCM
	Backends       backends.Options
	SonarQube      SonarQube
	Files          Files
	Egress         backends.Egress
	// JobTokenKeyFile holds the key that the controllers have, too: passwords of runs are sealed with one
	// that is derived from it. Empty: they stand in the run until a controller has seen it.
	JobTokenKeyFile string
}

// New gives the defaults.
func New() *Options {
	return &Options{
		Serving: newServing(), Limits: newLimits(), Kubernetes: newKubernetes(), Authentication: newAuthentication(),
		Authorization: newAuthorization(), Memory: NewMemory(), Backends: backends.NewOptions(), Files: newFiles(),
	}
}

// AddFlags adds all flags.
func (o *Options) AddFlags(flags *pflag.FlagSet) {
	o.Serving.AddFlags(flags)
	o.Limits.AddFlags(flags)
	o.Kubernetes.AddFlags(flags)
	o.Authentication.AddFlags(flags)
	o.Authorization.AddFlags(flags)
	o.Memory.AddFlags(flags)
	o.SCM.AddFlags(flags)
	o.Backends.AddFlags(flags)
	o.SonarQube.AddFlags(flags)
	o.Files.AddFlags(flags)
	o.Egress.AddFlags(flags)
	flags.StringVar(&o.JobTokenKeyFile, "job-token-key-file", o.JobTokenKeyFile, "file with the key of the tokens that start jobs, the same as the controllers'; it seals the passwords of runs")
}

// Validate reports everything that is wrong.
func (o *Options) Validate() []error {
	var errs []error
	errs = append(errs, o.Serving.Validate()...)
	errs = append(errs, o.Limits.Validate()...)
	errs = append(errs, o.Kubernetes.Validate()...)
	errs = append(errs, o.Authentication.Validate()...)
	errs = append(errs, o.Authorization.Validate()...)
	errs = append(errs, o.Memory.Validate()...)
	errs = append(errs, o.Backends.Validate()...)
	errs = append(errs, o.SonarQube.Validate()...)
	errs = append(errs, o.Files.Validate()...)
	return errs
}

// Config checks the options and gives the config that they describe, and the cache that the caller has
// to start. It asks Kubernetes for the kinds that are to be cached.
func (o *Options) Config(ctx context.Context) (apiserver.Config, cache.Cache, error) {
	var config apiserver.Config
	if err := errors.Join(o.Validate()...); err != nil {
		return config, nil, err
	}
	var objects cache.Cache
	steps := []func(*apiserver.Config) error{
		o.Serving.ApplyTo, o.Limits.ApplyTo, o.Authentication.ApplyTo, o.Authorization.ApplyTo,
		func(c *apiserver.Config) error { return applyBackends(&o.Backends, &o.Files, o.Egress, c) },
		o.SonarQube.ApplyTo, o.SCM.ApplyTo, o.applySealer,
		func(c *apiserver.Config) (err error) { objects, err = o.Kubernetes.ApplyTo(ctx, c); return err },
	}
	for _, step := range steps {
		if err := step(&config); err != nil {
			return config, nil, err
		}
	}
	return config, objects, nil
}

// applySealer lets the passwords of runs be sealed as they come in.
func (o *Options) applySealer(config *apiserver.Config) error {
	if o.JobTokenKeyFile == "" {
		return nil
	}
	key, err := backends.ReadSecret("job-token-key-file", o.JobTokenKeyFile)
	if err != nil {
		return err
	}
	sealer, err := sealing.New([]byte(key))
	if err != nil {
		return fmt.Errorf("--job-token-key-file: %w", err)
	}
	config.Sources.Sealer = sealer
	return nil
}

// problem is one thing that is wrong with a flag.
func problem(flag, format string, args ...any) error {
	return fmt.Errorf("--%s: %s", flag, fmt.Sprintf(format, args...))
}
