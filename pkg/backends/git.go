// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/slipway-dev/slipway/pkg/gitfiles"
)

// Git says how git repositories are read.
type Git struct {
	// CacheDir is a folder for what is fetched; "" reads none.
	CacheDir string
	// CacheBytes bounds the folder, RepositoryBytes what is read of a repository at a time.
	CacheBytes, RepositoryBytes int64
	// KnownHostsFile has keys of SSH servers for all users.
	KnownHostsFile string
}

// NewGit gives the defaults.
func NewGit() Git {
	return Git{CacheBytes: gitfiles.DefaultMaxCacheBytes, RepositoryBytes: gitfiles.DefaultMaxRepositoryBytes}
}

// AddFlags binds the options to flags.
func (o *Git) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.CacheDir, "git-cache-dir", o.CacheDir, "folder of this process alone for what is fetched of git repositories, emptied at the start; without it repositories are not read")
	flags.Int64Var(&o.CacheBytes, "git-cache-bytes", o.CacheBytes, "size of that folder")
	flags.Int64Var(&o.RepositoryBytes, "git-repository-bytes", o.RepositoryBytes, "how much of a git repository is read at a time; larger ones are refused")
	flags.StringVar(&o.KnownHostsFile, "git-known-hosts-file", o.KnownHostsFile, "file with the keys of SSH servers of git repositories, in the format of known_hosts, besides those of the users' credentials")
}

// Validate gives all that is wrong with the options.
func (o *Git) Validate() []error {
	if o.CacheBytes <= 0 || o.RepositoryBytes <= 0 {
		return []error{errors.New("--git-cache-bytes: it and --git-repository-bytes must be positive")}
	}
	return nil
}

// Cache makes the cache; nil without a folder.
func (o *Git) Cache(egress Egress) (*gitfiles.Cache, error) {
	if o.CacheDir == "" {
		return nil, nil
	}
	options := gitfiles.Options{Dir: o.CacheDir, MaxCacheBytes: o.CacheBytes, MaxRepositoryBytes: o.RepositoryBytes, AllowLocal: egress.AllowLocal}
	var err error
	if o.KnownHostsFile != "" {
		if options.KnownHosts, err = os.ReadFile(o.KnownHostsFile); err != nil {
			return nil, fmt.Errorf("--git-known-hosts-file: %w", err)
		}
	}
	cache, err := gitfiles.New(options)
	if err != nil {
		return nil, fmt.Errorf("--git-cache-dir: %w", err)
	}
	return cache, nil
}
