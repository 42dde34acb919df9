// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"os"
	"runtime/debug"

	"github.com/spf13/pflag"
)

// Memory is how the collector of garbage trades processor time for memory. Nearly all memory of the
// server is its cache, which lives long: a larger heap would only hold more garbage.
type Memory struct {
	// GCPercent is by how many percent of what is in use the heap grows until garbage is collected. The
	// environment's GOGC goes before.
	GCPercent int
	// LimitMiB is from how much memory on garbage is collected more often, in MiB; 0 is no limit. The
	// environment's GOMEMLIMIT goes before.
	LimitMiB int64
}

// NewMemory gives the defaults.
func NewMemory() Memory { return Memory{GCPercent: 20} }

// AddFlags adds the flags.
func (o *Memory) AddFlags(flags *pflag.FlagSet) {
	flags.IntVar(&o.GCPercent, "gc-percent", o.GCPercent, "by how many percent of what is in use memory grows until garbage is collected; GOGC goes before")
	flags.Int64Var(&o.LimitMiB, "memory-limit-mib", o.LimitMiB, "MiB from which on garbage is collected more often, somewhat below the container's limit; 0 for none; GOMEMLIMIT goes before")
}

// Validate reports everything that is wrong.
func (o *Memory) Validate() []error {
	var errs []error
	if o.GCPercent < 5 {
		errs = append(errs, problem("gc-percent", "must be at least 5"))
	}
	if o.LimitMiB < 0 {
		errs = append(errs, problem("memory-limit-mib", "must not be negative"))
	}
	return errs
}

// Apply sets what the options say for the whole process.
func (o *Memory) Apply() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(o.GCPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" && o.LimitMiB > 0 {
		debug.SetMemoryLimit(o.LimitMiB << 20)
	}
}
