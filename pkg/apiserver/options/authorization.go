// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"time"

	"github.com/spf13/pflag"

	"github.com/slipway-dev/slipway/pkg/apiserver"
	"github.com/slipway-dev/slipway/pkg/authz"
)

// Authorization is how long answers of Kubernetes about rights are remembered.
type Authorization struct {
	AllowTTL, DenyTTL time.Duration
}

func newAuthorization() Authorization {
	return Authorization{AllowTTL: 10 * time.Second, DenyTTL: 5 * time.Second}
}

// AddFlags adds the flags.
func (o *Authorization) AddFlags(flags *pflag.FlagSet) {
	flags.DurationVar(&o.AllowTTL, "authorization-allow-ttl", o.AllowTTL, "how long a permission is remembered; 0 asks every time")
	flags.DurationVar(&o.DenyTTL, "authorization-deny-ttl", o.DenyTTL, "how long a refusal is remembered; 0 asks every time")
}

// Validate reports everything that is wrong.
func (o *Authorization) Validate() []error {
	if o.AllowTTL < 0 || o.AllowTTL > time.Hour || o.DenyTTL < 0 || o.DenyTTL > time.Hour {
		return []error{problem("authorization-allow-ttl", "it and --authorization-deny-ttl must be between 0 and 1h")}
	}
	return nil
}

// ApplyTo sets what the options say.
func (o *Authorization) ApplyTo(config *apiserver.Config) error {
	config.Authorization = authz.Options{AllowTTL: orNever(o.AllowTTL), DenyTTL: orNever(o.DenyTTL)}
	return nil
}

// orNever turns 0, which in the config is the default, into what remembers nothing.
func orNever(ttl time.Duration) time.Duration {
	if ttl == 0 {
		return -1
	}
	return ttl
}
