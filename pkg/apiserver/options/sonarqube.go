// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/slipway-dev/slipway/pkg/apiserver"
	"github.com/slipway-dev/slipway/pkg/backends"
	"github.com/slipway-dev/slipway/pkg/sonarqube"
)

// SonarQube is where the results of code analyses come from.
type SonarQube struct {
	// URL is its address; empty: there are no results.
	URL string
	// TokenFile holds a token of a user who may see the projects.
	TokenFile string
}

// AddFlags adds the flags.
func (o *SonarQube) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.URL, "sonarqube-url", o.URL, "address of SonarQube, with its path prefix if it has one; without it code analyses are not shown")
	flags.StringVar(&o.TokenFile, "sonarqube-token-file", o.TokenFile, "file with a token for SonarQube, of a user who may see the projects")
}

// Validate reports everything that is wrong.
func (o *SonarQube) Validate() []error {
	if o.URL == "" {
		if o.TokenFile != "" {
			return []error{problem("sonarqube-token-file", "it needs --sonarqube-url")}
		}
		return nil
	}
	if _, err := sonarqube.New(sonarqube.Config{URL: o.URL}); err != nil {
		return []error{problem("sonarqube-url", "%v", err)}
	}
	return nil
}

// ApplyTo sets what the options say.
func (o *SonarQube) ApplyTo(config *apiserver.Config) error {
	if o.URL == "" {
		return nil
	}
	var token string
	if o.TokenFile != "" {
		var err error
		if token, err = backends.ReadSecret("sonarqube-token-file", o.TokenFile); err != nil {
			return err
		}
	}
	client, err := sonarqube.New(sonarqube.Config{URL: o.URL, Token: token})
	if err != nil {
		return fmt.Errorf("--sonarqube-url: %w", err)
	}
	config.SonarQube = client
	return nil
}
