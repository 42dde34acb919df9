// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package notification

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/slipway-dev/slipway/pkg/egress"
)

// AddFlags binds to flags what operators set.
func (o *Options) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.ExternalURL, "external-url", o.ExternalURL, "address at which users reach the API server, for links in notifications; none if empty")
}

// Validate says what is wrong with the options.
func (o *Options) Validate() error {
	if o.ExternalURL == "" {
		return nil
	}
	if _, err := egress.ParseURL(o.ExternalURL); err != nil {
		return fmt.Errorf("--external-url: %w", err)
	}
	return nil
}
