// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/slipway-dev/slipway/pkg/apiserver"
	"github.com/slipway-dev/slipway/pkg/apiserver/sources"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// Jenkins is where live logs and artifacts come from.
type Jenkins struct {
	// URL is the address; "" serves without live logs.
	URL string
	// Username and TokenFile log in.
	Username, TokenFile string
	// CAFile holds certificate authorities besides those of the system.
	CAFile string
}

func newJenkins() Jenkins { return Jenkins{} }

// AddFlags adds the flags.
func (o *Jenkins) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.URL, "jenkins-url", o.URL, "address of Jenkins; without one there are no live logs and artifacts")
	flags.StringVar(&o.Username, "jenkins-username", o.Username, "user of Jenkins")
	flags.StringVar(&o.TokenFile, "jenkins-token-file", o.TokenFile, "file with the API token of that user")
	flags.StringVar(&o.CAFile, "jenkins-ca-file", o.CAFile, "PEM file with certificate authorities of Jenkins")
}

// Validate reports everything that is wrong.
func (o *Jenkins) Validate() []error {
	if (o.Username == "") != (o.TokenFile == "") {
		return []error{problem("jenkins-username", "give it together with --jenkins-token-file, or none of them")}
	}
	return nil
}

// ApplyTo sets what the options say.
func (o *Jenkins) ApplyTo(config *apiserver.Config) error {
	if o.URL == "" {
		return nil
	}
	settings := jenkins.Config{URL: o.URL, Username: o.Username, CAFile: o.CAFile}
	if o.TokenFile != "" {
		token, err := readSecret("jenkins-token-file", o.TokenFile)
		if err != nil {
			return err
		}
		settings.Token = string(token)
	}
	client, err := jenkins.New(settings)
	if err != nil {
		return fmt.Errorf("--jenkins-url: %w", err)
	}
	config.Sources.Logs = sources.Jenkins{Client: client}
	config.Sources.Artifacts = sources.Jenkins{Client: client}
	return nil
}
