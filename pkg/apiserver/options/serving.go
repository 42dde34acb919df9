// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"

	"github.com/slipway-dev/slipway/pkg/apiserver"
)

// Serving is where the server listens.
type Serving struct {
	// Address is host:port.
	Address string
	// CertFile and KeyFile make it speak HTTPS. They are read again when they change.
	CertFile, KeyFile string
	// ShutdownDelay and ShutdownTimeout are those of apiserver.Serving.
	ShutdownDelay, ShutdownTimeout time.Duration
	// CORSOrigins are the origins whose pages may call the API.
	CORSOrigins []string

	watcher *certwatcher.CertWatcher
}

func newServing() Serving {
	return Serving{Address: ":9090", ShutdownTimeout: 30 * time.Second}
}

// AddFlags adds the flags.
func (o *Serving) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.Address, "listen", o.Address, "address to listen on, host:port")
	flags.StringVar(&o.CertFile, "tls-cert-file", o.CertFile, "PEM file with the certificate; without one the server speaks plain HTTP")
	flags.StringVar(&o.KeyFile, "tls-private-key-file", o.KeyFile, "PEM file with the key of the certificate")
	flags.DurationVar(&o.ShutdownDelay, "shutdown-delay", o.ShutdownDelay, "how long to go on after /readyz has begun to fail, so that load balancers learn of it")
	flags.DurationVar(&o.ShutdownTimeout, "shutdown-timeout", o.ShutdownTimeout, "how long requests in work may take after that")
	flags.StringSliceVar(&o.CORSOrigins, "cors-origins", o.CORSOrigins, "origins whose web pages may call the API, such as https://console.example.org")
}

// Validate reports everything that is wrong.
func (o *Serving) Validate() []error {
	var errs []error
	if _, _, err := net.SplitHostPort(o.Address); err != nil {
		errs = append(errs, problem("listen", "must be host:port, got %q", o.Address))
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		errs = append(errs, problem("tls-cert-file", "give it together with --tls-private-key-file, or none of them"))
	}
	if o.ShutdownDelay < 0 || o.ShutdownTimeout < 0 {
		errs = append(errs, problem("shutdown-delay", "it and --shutdown-timeout must not be negative"))
	}
	return errs
}

// ApplyTo sets what the options say.
func (o *Serving) ApplyTo(config *apiserver.Config) error {
	config.Serving = apiserver.Serving{Address: o.Address, ShutdownDelay: o.ShutdownDelay, ShutdownTimeout: o.ShutdownTimeout}
	config.CORSOrigins = o.CORSOrigins
	if o.CertFile == "" {
		return nil
	}
	watcher, err := certwatcher.New(o.CertFile, o.KeyFile)
	if err != nil {
		return fmt.Errorf("--tls-cert-file: %w", err)
	}
	o.watcher = watcher
	config.Serving.TLS = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: watcher.GetCertificate}
	return nil
}

// Certificates reads the certificate again when it changes. It is to be started if it is not nil.
func (o *Serving) Certificates() *certwatcher.CertWatcher { return o.watcher }
