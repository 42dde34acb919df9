// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"github.com/spf13/pflag"

	"github.com/slipway-dev/slipway/pkg/apiserver"
	"github.com/slipway-dev/slipway/pkg/backends"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha2/s2ibinary"
	"github.com/slipway-dev/slipway/pkg/objectstore"
)

// Files is how files of git repositories and binaries are served.
type Files struct {
	// Git is how repositories are read.
	Git backends.Git
	// BinaryBytes bounds the file of a binary.
	BinaryBytes int64
	// BinaryStream gives files of binaries through this server instead of leading to the object store.
	BinaryStream bool
}

func newFiles() Files { return Files{Git: backends.NewGit(), BinaryBytes: s2ibinary.DefaultMaxBytes} }

// AddFlags adds the flags.
func (o *Files) AddFlags(flags *pflag.FlagSet) {
	o.Git.AddFlags(flags)
	flags.Int64Var(&o.BinaryBytes, "s2i-max-bytes", o.BinaryBytes, "size of the largest file of an S2iBinary")
	flags.BoolVar(&o.BinaryStream, "s2i-stream-downloads", o.BinaryStream, "send files of S2iBinaries through this server: for an object store that browsers cannot reach")
}

// Validate reports everything that is wrong.
func (o *Files) Validate() []error {
	errs := o.Git.Validate()
	if o.BinaryBytes <= 0 {
		errs = append(errs, problem("s2i-max-bytes", "must be positive"))
	}
	return errs
}

// applyTo sets what the options say. The store may be nil.
func (o *Files) applyTo(config *apiserver.Config, store *objectstore.Store, egress backends.Egress) (err error) {
	config.Binaries = s2ibinary.Options{MaxBytes: o.BinaryBytes, Stream: o.BinaryStream}
	if store != nil {
		config.Binaries.Objects, config.GitUploads = store, store
	}
	config.Git, err = o.Git.Cache(egress)
	return err
}
