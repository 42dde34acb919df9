// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"time"

	"github.com/spf13/pflag"

	"github.com/slipway-dev/slipway/pkg/apiserver"
	"github.com/slipway-dev/slipway/pkg/authn/jwt"
	"github.com/slipway-dev/slipway/pkg/backends"
)

// Authentication is whom the server knows.
type Authentication struct {
	// JWTSecretFile holds the secret that is shared with other issuers of tokens.
	JWTSecretFile string
	// Issuers are accepted.
	Issuers []string
	// ClockSkew is how far issuers' clocks may be off.
	ClockSkew time.Duration
	// TokenLifetime is how long an issued token is valid.
	TokenLifetime time.Duration
	// SystemNamespace is where the users' Secrets are.
	SystemNamespace string
	// TokenReview accepts tokens of Kubernetes.
	TokenReview bool
	// WebhookSecretFile holds what Jenkins identifies itself with when it sends events; "" takes none.
	WebhookSecretFile string
}

func newAuthentication() Authentication {
	return Authentication{
		Issuers: []string{jwt.IssuerSlipway, jwt.IssuerKubeSphere}, ClockSkew: jwt.DefaultClockSkew, TokenLifetime: jwt.DefaultLifetime,
		SystemNamespace: apiserver.DefaultSystemNamespace, TokenReview: true,
	}
}

// AddFlags adds the flags.
func (o *Authentication) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.JWTSecretFile, "jwt-secret-file", o.JWTSecretFile, "file with the secret of tokens, at least 32 bytes; KubeSphere's authentication.jwtSecret (required)")
	flags.StringSliceVar(&o.Issuers, "jwt-issuers", o.Issuers, "issuers of tokens that are accepted")
	flags.DurationVar(&o.ClockSkew, "jwt-clock-skew", o.ClockSkew, "how far the clocks of issuers may be off")
	flags.DurationVar(&o.TokenLifetime, "token-lifetime", o.TokenLifetime, "how long a token of /oauth/token is valid")
	flags.StringVar(&o.SystemNamespace, "system-namespace", o.SystemNamespace, "namespace of the users' Secrets")
	flags.StringVar(&o.WebhookSecretFile, "webhook-secret-file", o.WebhookSecretFile, "file with the secret with which Jenkins sends events to /v1alpha3/webhooks/jenkins, at least 16 bytes; without it events are not taken")
	flags.BoolVar(&o.TokenReview, "token-review", o.TokenReview, "accept tokens of Kubernetes, such as those of service accounts")
}

// Validate reports everything that is wrong.
func (o *Authentication) Validate() []error {
	var errs []error
	if o.JWTSecretFile == "" {
		errs = append(errs, problem("jwt-secret-file", "is required"))
	}
	if len(o.Issuers) == 0 {
		errs = append(errs, problem("jwt-issuers", "must name at least one"))
	}
	if o.ClockSkew < 0 || o.ClockSkew > 5*time.Minute {
		errs = append(errs, problem("jwt-clock-skew", "must be between 0 and 5m"))
	}
	if o.TokenLifetime < time.Minute {
		errs = append(errs, problem("token-lifetime", "must be at least 1m"))
	}
	if o.SystemNamespace == "" {
		errs = append(errs, problem("system-namespace", "must not be empty"))
	}
	return errs
}

// ApplyTo sets what the options say.
func (o *Authentication) ApplyTo(config *apiserver.Config) error {
	secret, err := backends.ReadSecret("jwt-secret-file", o.JWTSecretFile)
	if err != nil {
		return err
	}
	if o.WebhookSecretFile != "" {
		webhookSecret, err := backends.ReadSecret("webhook-secret-file", o.WebhookSecretFile)
		if err != nil {
			return err
		}
		config.WebhookSecret = []byte(webhookSecret)
	}
	config.JWTSecret = []byte(secret)
	config.Issuers = o.Issuers
	config.ClockSkew = o.ClockSkew
	config.TokenLifetime = o.TokenLifetime
	config.SystemNamespace = o.SystemNamespace
	config.DisableTokenReview = !o.TokenReview
	return nil
}
