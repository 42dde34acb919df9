// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitfiles

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"
)

// The defaults.
const (
	// DefaultMaxRepositoryBytes bounds what is read from a server at a time.
	DefaultMaxRepositoryBytes = 256 << 20
	// DefaultMaxCacheBytes bounds the cache.
	DefaultMaxCacheBytes = 2 << 30
	// DefaultMaxFileBytes bounds a file that is read or written.
	DefaultMaxFileBytes = 10 << 20
	// DefaultMaxCommitBytes bounds the files of one commit together.
	DefaultMaxCommitBytes = 50 << 20
	// DefaultTimeout bounds a call.
	DefaultTimeout = 2 * time.Minute

	// maxGreeting bounds the names of a repository's branches and tags, in bytes.
	maxGreeting = 32 << 20

	// writing is how many bytes of files may be on their way to servers at once: they are held in memory.
	writing = 128 << 20
)

// Options configure a Cache.
type Options struct {
	// Dir is a folder for this process alone. What is in it is deleted when the process starts. Required.
	Dir string
	// MaxRepositoryBytes bounds what one call reads from a server. 0: DefaultMaxRepositoryBytes.
	MaxRepositoryBytes int64
	// MaxCacheBytes bounds what is kept. Beyond it the repositories go that were not used for longest; the
	// bound may be passed by what is being read. 0: DefaultMaxCacheBytes.
	MaxCacheBytes int64
	// MaxFileBytes bounds one file. 0: DefaultMaxFileBytes.
	MaxFileBytes int64
	// MaxCommitBytes bounds the files of one commit together. 0: DefaultMaxCommitBytes.
	MaxCommitBytes int64
	// AllowLocal lets it connect to this machine.
	AllowLocal bool
	// KnownHosts are keys of SSH servers, besides those of the credential, in the format of OpenSSH's
	// known_hosts.
	KnownHosts []byte
	// Timeout bounds a call. 0: DefaultTimeout.
	Timeout time.Duration
	// Now tells the time. Nil: the clock.
	Now func() time.Time
}

func (o *Options) setDefaults() {
	defaultTo(&o.MaxRepositoryBytes, DefaultMaxRepositoryBytes)
	defaultTo(&o.MaxCacheBytes, DefaultMaxCacheBytes)
	defaultTo(&o.MaxFileBytes, DefaultMaxFileBytes)
	defaultTo(&o.MaxCommitBytes, DefaultMaxCommitBytes)
	defaultTo(&o.Timeout, DefaultTimeout)
	if o.Now == nil {
		o.Now = time.Now
	}
}

func defaultTo[T int64 | time.Duration](value *T, otherwise T) {
	if *value <= 0 {
		*value = otherwise
	}
}

// Credential identifies to a server. The zero value is nobody.
type Credential struct {
	// Username and Password are for HTTP, and for SSH without a key. A token is a password; where no
	// username belongs to it, any will do.
	Username, Password string
	// PrivateKey is an SSH key in PEM or OpenSSH format, Passphrase what it is encrypted with.
	PrivateKey, Passphrase []byte
	// KnownHosts are keys of SSH servers in the format of OpenSSH's known_hosts.
	KnownHosts []byte
}

func (c Credential) given() bool { return c.Password != "" || len(c.PrivateKey) > 0 }

// hide takes the secrets out of a foreign text.
func (c Credential) hide(text string) string {
	for _, secret := range []string{c.Password, url.QueryEscape(c.Password), url.PathEscape(c.Password), string(c.Passphrase)} {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return text
}

// Target says which repository is meant, and as whom.
type Target struct {
	// Key separates caches: what is read under one key is not used under another. What is before its first slash
	// is the project, which has a bounded share of what can be done at once. Required.
	Key string
	// URL is the address to clone from: of HTTP, HTTPS or SSH, or user@host:path.
	URL string
	// Credential identifies to the server.
	Credential Credential
	// InsecureSkipVerify does not check the server's certificate.
	InsecureSkipVerify bool
	// CA are certificate authorities in PEM format, besides those of the system.
	CA []byte
}

// Cache reads repositories. It is safe for use by several goroutines.
type Cache struct {
	opts    Options
	shelf   *shelf
	turns   *turns
	writing *semaphore.Weighted
}

// New makes a cache and empties its folder.
func New(o Options) (*Cache, error) {
	o.setDefaults()
	if o.Dir == "" {
		return nil, fmt.Errorf("gitfiles: Options.Dir is required")
	}
	// Only a folder of ours is emptied, whatever Dir is.
	dir := filepath.Join(o.Dir, "git-objects")
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("gitfiles: empty the cache: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("gitfiles: make the cache: %w", err)
	}
	return &Cache{opts: o, shelf: newShelf(dir, o.MaxCacheBytes, o.Now), turns: newTurns(), writing: semaphore.NewWeighted(writing)}, nil
}

// MaxFileBytes is the bound of one file.
func (c *Cache) MaxFileBytes() int64 { return c.opts.MaxFileBytes }

// MaxCommitBytes is the bound of the files of one commit.
func (c *Cache) MaxCommitBytes() int64 { return c.opts.MaxCommitBytes }

// Repository is one repository as one user sees it. It is safe for use by several goroutines.
type Repository struct {
	cache   *Cache
	target  Target
	address *address
}

// Open checks the target; it does not connect.
func (c *Cache) Open(t Target) (*Repository, error) {
	if t.Key == "" {
		return nil, failure(ErrInvalid, "no key given")
	}
	a, err := parseAddress(t.URL)
	if err != nil {
		return nil, err
	}
	if a.password != "" && !t.Credential.given() {
		t.Credential.Username, t.Credential.Password = a.user, a.password
	}
	return &Repository{cache: c, target: t, address: a}, nil
}
