// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package backends

import "github.com/spf13/pflag"

// Egress says to which of the addresses that users give a server connects: of source code servers, git repositories
// and receivers of notifications. It is the same for all of them.
type Egress struct {
	// AllowLocal lets them be on this machine, or link-local ones.
	AllowLocal bool
}

// AddFlags binds the options to flags.
func (o *Egress) AddFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&o.AllowLocal, "egress-allow-local", o.AllowLocal, "let the source code servers, git repositories and receivers of notifications that users name be at loopback and link-local addresses; for tests and development")
}
