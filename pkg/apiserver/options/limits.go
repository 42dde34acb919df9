// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"time"

	"github.com/spf13/pflag"

	"github.com/slipway-dev/slipway/pkg/apiserver"
	"github.com/slipway-dev/slipway/pkg/apiserver/filters"
)

// Limits protect the server.
type Limits struct {
	RequestTimeout            time.Duration
	BodyBytes                 int64
	InFlight, Streams         int
	Rate                      float64
	RateBurst, StreamsPerUser int
}

func newLimits() Limits {
	return Limits{
		RequestTimeout: time.Minute, BodyBytes: 1 << 20, InFlight: 400, Streams: 2000,
		Rate: 50, RateBurst: 200, StreamsPerUser: 100,
	}
}

// AddFlags adds the flags.
func (o *Limits) AddFlags(flags *pflag.FlagSet) {
	flags.DurationVar(&o.RequestTimeout, "request-timeout", o.RequestTimeout, "how long a request may take; streams have no limit")
	flags.Int64Var(&o.BodyBytes, "max-body-bytes", o.BodyBytes, "size of the largest body that is read")
	flags.IntVar(&o.InFlight, "max-requests-inflight", o.InFlight, "how many requests may be in work at once")
	flags.IntVar(&o.Streams, "max-streams", o.Streams, "how many watches, followed logs and downloads may be open at once")
	flags.Float64Var(&o.Rate, "user-rate", o.Rate, "how many requests a second one user may send; 0 for no limit")
	flags.IntVar(&o.RateBurst, "user-rate-burst", o.RateBurst, "how many requests one user may send at once")
	flags.IntVar(&o.StreamsPerUser, "user-streams", o.StreamsPerUser, "how many streams one user may have open")
}

// Validate reports everything that is wrong.
func (o *Limits) Validate() []error {
	var errs []error
	if o.RequestTimeout <= 0 {
		errs = append(errs, problem("request-timeout", "must be positive"))
	}
	if o.BodyBytes <= 0 {
		errs = append(errs, problem("max-body-bytes", "must be positive"))
	}
	if o.InFlight <= 0 {
		errs = append(errs, problem("max-requests-inflight", "must be positive"))
	}
	if o.Streams <= 0 || o.StreamsPerUser <= 0 {
		errs = append(errs, problem("max-streams", "it and --user-streams must be positive"))
	}
	if o.Rate < 0 || o.Rate > 0 && o.RateBurst <= 0 {
		errs = append(errs, problem("user-rate", "must not be negative, and --user-rate-burst must be positive"))
	}
	return errs
}

// ApplyTo sets what the options say.
func (o *Limits) ApplyTo(config *apiserver.Config) error {
	rate := o.Rate
	if rate == 0 {
		// In the config 0 is the default.
		rate = -1
	}
	config.Limits = apiserver.Limits{
		RequestTimeout: o.RequestTimeout,
		BodyBytes:      o.BodyBytes,
		InFlight:       filters.InFlightLimits{Requests: o.InFlight, Streams: o.Streams},
		Rate:           filters.RateLimits{PerSecond: rate, Burst: o.RateBurst, Streams: o.StreamsPerUser},
	}
	return nil
}
