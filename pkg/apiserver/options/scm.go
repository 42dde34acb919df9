// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/slipway-dev/slipway/pkg/apiserver"
	"github.com/slipway-dev/slipway/pkg/backends"
	"github.com/slipway-dev/slipway/pkg/scm"
)

// SCM says how source code servers are talked to, and what their events are checked with.
type SCM struct {
	// ServersFile lists servers that can be chosen by name; "" for none.
	ServersFile string
	// WebhookSecretFile holds what events for all projects are signed with; "" takes only those that are
	// signed with a project's own secret.
	WebhookSecretFile string
	// AllowUnsigned takes events that are not signed.
	AllowUnsigned bool
}

// AddFlags adds the flags.
func (o *SCM) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.ServersFile, "scm-servers-file", o.ServersFile, "YAML list of source code servers (name, provider, url) that can be chosen by name, besides the public ones")
	flags.StringVar(&o.WebhookSecretFile, "scm-webhook-secret-file", o.WebhookSecretFile, "file with the secret that source code servers sign events for all projects with, at least 16 bytes; without it only the secrets of projects count")
	flags.BoolVar(&o.AllowUnsigned, "scm-webhook-allow-unsigned", o.AllowUnsigned, "take events of source code servers that are not signed; whoever reaches the server can then make pipelines run")
}

// ApplyTo sets what the options say.
func (o *SCM) ApplyTo(config *apiserver.Config) error {
	settings := &apiserver.SCM{AllowUnsigned: o.AllowUnsigned}
	servers, err := scm.LoadServers(o.ServersFile)
	if err != nil {
		return err
	}
	settings.Servers = servers
	if o.WebhookSecretFile != "" {
		secret, err := backends.ReadSecret("scm-webhook-secret-file", o.WebhookSecretFile)
		if err != nil {
			return err
		}
		if len(secret) < minWebhookSecret {
			return fmt.Errorf("--scm-webhook-secret-file: %s has %d bytes, want at least %d", o.WebhookSecretFile, len(secret), minWebhookSecret)
		}
		settings.WebhookSecret = []byte(secret)
	}
	config.SCM = settings
	return nil
}

// minWebhookSecret is the shortest secret of webhooks in bytes: it must not be guessed.
const minWebhookSecret = 16
