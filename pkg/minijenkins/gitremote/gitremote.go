// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gitremote looks into git repositories on servers without cloning them: which branches and tags there are, which of them have
// a file, and what is in it. What is fetched for that is one commit deep, bounded in size and deleted again.
package gitremote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	gitserver "github.com/go-git/go-git/v5/plumbing/transport/server"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/slipway-dev/slipway/pkg/egress"
	"github.com/slipway-dev/slipway/pkg/gitpack"
)

const (
	// defaultMaxBytes bounds what a Remote reads from its server.
	defaultMaxBytes = 256 << 20
	// maxFile bounds a file that is read, in bytes.
	maxFile = 4 << 20
	// maxURL bounds the address of a repository, in bytes.
	maxURL = 2048
	// answerTimeout is how long a server may take to begin an answer.
	answerTimeout = time.Minute
)

// The failures that a user can do something about. Their texts name no credential.
var (
	// ErrURL says that an address is not one of a repository that may be read.
	ErrURL = errors.New("the address of the repository is not usable")
	// ErrNotFound says that there is no such repository, branch, tag, commit or file.
	ErrNotFound = errors.New("not found")
	// ErrAuthentication says that the server wants another credential.
	ErrAuthentication = errors.New("authentication failed")
	// ErrTooLarge says that the repository has more than may be read.
	ErrTooLarge = gitpack.ErrTooLarge
)

// Options configure a Remote. Scratch is required.
type Options struct {
	// Username and Password go to the server; empty for none. They win over those in the address.
	Username, Password string
	// AllowFile allows addresses of the form file:///path, which read the server's own disk.
	AllowFile bool
	// MaxBytes bounds what is read from the server in all; 0 means 256 MiB.
	MaxBytes int64
	// Scratch makes an empty folder for what is fetched.
	Scratch func() (dir string, remove func() error, err error)
}

// Head is a branch or a tag.
type Head struct {
	Name string
	Tag  bool
	// Commit is the commit that it points at, in 40 hexadecimal digits.
	Commit string
	// ref is what the server has there, which is another object for an annotated tag.
	ref plumbing.Hash
}

// Refs are the branches and tags of a repository, branches first, each by name.
type Refs struct {
	Heads []Head
	// Default is the name of the default branch; empty if it has no commit.
	Default string
}

// Remote is a repository on a server. It is for one use at a time.
type Remote struct {
	url     string
	opts    Options
	session transport.UploadPackSession
	caps    *capability.List
}

// Open checks an address; it does not connect. The address may be of http, https and, if allowed, file.
func Open(address string, opts Options) (*Remote, error) {
	u, err := url.Parse(strings.TrimSpace(address))
	switch {
	case err != nil || len(address) > maxURL:
		return nil, fmt.Errorf("%w: it is no URL", ErrURL)
	case u.Scheme == "file" && !opts.AllowFile:
		return nil, fmt.Errorf("%w: file:// is not allowed", ErrURL)
	case u.Scheme == "file" && (u.Host != "" || !path.IsAbs(u.Path)):
		return nil, fmt.Errorf("%w: it must be file:///PATH", ErrURL)
	case u.Scheme != "file" && u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%w: only http and https are read", ErrURL)
	case u.Scheme != "file" && u.Hostname() == "":
		return nil, fmt.Errorf("%w: it names no host", ErrURL)
	}
	if u.User != nil && opts.Username == "" && opts.Password == "" {
		opts.Username = u.User.Username() // a token may stand there without a password
		opts.Password, _ = u.User.Password()
	}
	u.User, u.Fragment = nil, ""
	if opts.MaxBytes <= 0 {
		opts.MaxBytes = defaultMaxBytes
	}
	r := &Remote{url: u.String(), opts: opts}
	if r.session, err = r.connect(u); err != nil {
		return nil, err
	}
	return r, nil
}

// URL is the address without a user name and password.
func (r *Remote) URL() string { return r.url }

// Close ends the use.
func (r *Remote) Close() error { return r.session.Close() }

func (r *Remote) connect(u *url.URL) (transport.UploadPackSession, error) {
	end, err := transport.NewEndpoint(r.url)
	if err != nil {
		return nil, fmt.Errorf("%w: it is no URL", ErrURL)
	}
	left := gitpack.NewBudget(r.opts.MaxBytes)
	if u.Scheme == "file" {
		// The library looks for a bare repository only.
		if inner := path.Join(end.Path, ".git"); isDir(inner) {
			end.Path = inner
		}
		s, err := gitserver.NewClient(gitserver.NewFilesystemLoader(osfs.New("/"))).NewUploadPackSession(end, nil)
		return s, r.explain(err)
	}
	base := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // nothing replaces it
	base.ResponseHeaderTimeout = answerTimeout
	base.DialContext = egress.NearbyDialer().DialContext
	base.DisableKeepAlives = true
	client := githttp.NewClient(&http.Client{Transport: left.RoundTripper(base), CheckRedirect: sameServer})
	var auth transport.AuthMethod
	if r.opts.Username != "" || r.opts.Password != "" {
		auth = &githttp.BasicAuth{Username: r.opts.Username, Password: r.opts.Password}
	}
	s, err := client.NewUploadPackSession(end, auth)
	return s, r.explain(err)
}

// sameServer follows redirects only to where the address was checked for: the same host and port, or from http to https of the same host.
func sameServer(req *http.Request, via []*http.Request) error {
	from, to := via[0].URL, req.URL
	secured := from.Scheme == "http" && to.Scheme == "https" && from.Hostname() == to.Hostname()
	switch {
	case len(via) > 5:
		return fmt.Errorf("%w: it is redirected too often", ErrURL)
	case from.Scheme == to.Scheme && from.Host == to.Host || secured:
		return nil
	}
	return fmt.Errorf("%w: its server redirects to another one, which is not followed", ErrURL)
}

func isDir(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.IsDir()
}

// List asks the server for its branches and tags. A repository without a commit has none.
func (r *Remote) List(ctx context.Context) (*Refs, error) {
	adv, err := r.session.AdvertisedReferencesContext(ctx)
	if errors.Is(err, transport.ErrEmptyRemoteRepository) {
		return &Refs{}, nil
	}
	if err != nil {
		return nil, r.explain(err)
	}
	r.caps = adv.Capabilities
	out := &Refs{}
	for name, hash := range adv.References {
		ref := plumbing.ReferenceName(name)
		if !ref.IsBranch() && !ref.IsTag() || strings.HasSuffix(name, "^{}") {
			continue
		}
		commit := hash
		if peeled, ok := adv.Peeled[name]; ok {
			commit = peeled
		}
		out.Heads = append(out.Heads, Head{Name: ref.Short(), Tag: ref.IsTag(), Commit: commit.String(), ref: hash})
	}
	slices.SortFunc(out.Heads, func(a, b Head) int {
		if a.Tag != b.Tag {
			if a.Tag {
				return 1
			}
			return -1
		}
		return strings.Compare(a.Name, b.Name)
	})
	out.Default = defaultBranch(adv, out.Heads)
	return out, nil
}

// defaultBranch is where HEAD points; a server that does not say so has a branch with HEAD's commit.
func defaultBranch(adv *packp.AdvRefs, heads []Head) string {
	for _, sym := range adv.Capabilities.Get(capability.SymRef) {
		if to, ok := strings.CutPrefix(sym, "HEAD:refs/heads/"); ok {
			return to
		}
	}
	if adv.Head == nil {
		return ""
	}
	found := ""
	for _, h := range heads {
		if !h.Tag && h.ref == *adv.Head && (found == "" || h.Name == "main" || h.Name == "master" && found != "main") {
			found = h.Name
		}
	}
	return found
}

// Find finds what a branch specification of Jenkins' git plugin names: a branch ("main", "*/main", "origin/main", "refs/heads/main"), a
// tag, a commit that is a branch's or tag's, or the default branch if it is empty, "**" or "HEAD".
func (l *Refs) Find(spec string) (Head, bool) {
	spec = strings.TrimSpace(spec)
	if spec == "" || spec == "**" || spec == "*" || spec == "HEAD" || spec == "*/*" {
		spec = l.Default
	}
	names := []string{spec}
	for _, prefix := range []string{"refs/heads/", "refs/remotes/origin/", "remotes/origin/", "*/", "origin/", "refs/tags/", "tags/"} {
		if short, ok := strings.CutPrefix(spec, prefix); ok {
			names = append(names, short)
		}
	}
	for _, name := range names {
		for _, h := range l.Heads {
			if h.Name == name && (h.Tag || !strings.HasPrefix(spec, "refs/tags/")) {
				return h, true
			}
		}
	}
	for _, h := range l.Heads {
		if h.Commit == strings.ToLower(spec) {
			return h, true
		}
	}
	return Head{}, false
}

// Having tells which of the heads have a file of that path, by their commits. List must have been called.
func (r *Remote) Having(ctx context.Context, heads []Head, file string) (map[string]bool, error) {
	out := map[string]bool{}
	if len(heads) == 0 {
		return out, nil
	}
	err := r.look(ctx, heads, true, func(db storer.EncodedObjectStorer) error {
		for _, h := range heads {
			_, err := entry(db, h, file)
			if err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
			out[h.Commit] = err == nil
		}
		return nil
	})
	return out, err
}

// Read reads a file of a head. List must have been called.
func (r *Remote) Read(ctx context.Context, head Head, file string) (string, error) {
	text := ""
	err := r.look(ctx, []Head{head}, false, func(db storer.EncodedObjectStorer) error {
		f, err := entry(db, head, file)
		if err != nil {
			return err
		}
		blob, err := object.GetBlob(db, f.Hash)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if blob.Size > maxFile {
			return fmt.Errorf("%w: %s has %d bytes", ErrTooLarge, file, blob.Size)
		}
		in, err := blob.Reader()
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		data, err := io.ReadAll(io.LimitReader(in, maxFile))
		text = string(data)
		return errors.Join(err, in.Close())
	})
	return text, err
}

// entry finds a plain file in the tree of a head.
func entry(db storer.EncodedObjectStorer, h Head, file string) (*object.TreeEntry, error) {
	if !fs.ValidPath(file) || file == "." {
		return nil, fmt.Errorf("%s: %w", file, ErrNotFound)
	}
	commit, err := commitOf(db, h)
	if err != nil {
		return nil, err
	}
	tree, err := object.GetTree(db, commit.TreeHash)
	if err != nil {
		return nil, fmt.Errorf("tree of %s: %w", h.Commit, err)
	}
	e, err := tree.FindEntry(file)
	switch {
	case errors.Is(err, object.ErrEntryNotFound), errors.Is(err, object.ErrDirectoryNotFound), errors.Is(err, plumbing.ErrObjectNotFound):
		// The last is of a path that goes on behind a file.
		return nil, fmt.Errorf("%s: %w", file, ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", file, err)
	case e.Mode == filemode.Regular || e.Mode == filemode.Executable || e.Mode == filemode.Deprecated:
		return e, nil
	}
	return nil, fmt.Errorf("%s is no file: %w", file, ErrNotFound)
}

// commitOf finds the commit of a head.
func commitOf(db storer.EncodedObjectStorer, h Head) (*object.Commit, error) {
	commit, err := object.GetCommit(db, plumbing.NewHash(h.Commit))
	if err != nil {
		// A server may leave the commit of an annotated tag unsaid.
		if tag, tagErr := object.GetTag(db, h.ref); tagErr == nil {
			commit, err = tag.Commit()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("commit %s: %w", h.Commit, notFound(err))
	}
	return commit, nil
}

func notFound(err error) error {
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return ErrNotFound
	}
	return err
}

// look fetches the commits of heads, one deep, and shows them. Without content servers that can leave the files out.
func (r *Remote) look(ctx context.Context, heads []Head, noContent bool, see func(storer.EncodedObjectStorer) error) error {
	f := fetch{depth: 1, noContent: noContent}
	seen := map[plumbing.Hash]bool{}
	for _, h := range heads {
		if !seen[h.ref] {
			seen[h.ref] = true
			f.wants = append(f.wants, h.ref)
		}
	}
	return r.fetch(ctx, f, see)
}

// fetch is what is asked of a server: how many commits deep, and if possible without the contents of files.
type fetch struct {
	wants     []plumbing.Hash
	depth     int
	noContent bool
}

// fetch asks for it and shows what came.
func (r *Remote) fetch(ctx context.Context, f fetch, see func(storer.EncodedObjectStorer) error) (err error) {
	if r.caps == nil {
		return errors.New("the repository was not listed")
	}
	req := packp.NewUploadPackRequestFromCapabilities(r.caps)
	req.Wants = f.wants
	// Progress messages and side bands are for people at terminals.
	for _, c := range []capability.Capability{capability.Sideband, capability.Sideband64k, capability.MultiACK, capability.MultiACKDetailed, capability.ThinPack} {
		req.Capabilities.Delete(c)
	}
	if r.caps.Supports(capability.Shallow) {
		if err := req.Capabilities.Set(capability.Shallow); err != nil {
			return fmt.Errorf("fetch: %w", err)
		}
		req.Depth = packp.DepthCommits(f.depth)
	}
	if f.noContent && r.caps.Supports(capability.Filter) {
		if err := req.Capabilities.Set(capability.Filter); err != nil {
			return fmt.Errorf("fetch: %w", err)
		}
		req.Filter = packp.FilterBlobNone()
	}
	dir, remove, err := r.opts.Scratch()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	pack, err := r.session.UploadPack(ctx, req)
	if err != nil {
		return r.explain(err)
	}
	checked, err := gitpack.Keep(dir, pack, r.opts.MaxBytes)
	if err = errors.Join(err, pack.Close()); err != nil {
		if checked != nil {
			err = errors.Join(err, checked.Close())
		}
		return r.explain(err)
	}
	db := filesystem.NewStorage(osfs.New(dir, osfs.WithBoundOS()), cache.NewObjectLRU(8*cache.MiByte))
	err = packfile.UpdateObjectStorage(db, checked)
	if err = errors.Join(err, checked.Close()); err != nil {
		return errors.Join(r.explain(err), db.Close())
	}
	return errors.Join(see(db), db.Close())
}

// explain turns an error of the library into one that says what to do; what the server wrote is not repeated.
func (r *Remote) explain(err error) error {
	var dns *net.DNSError
	var op *net.OpError
	var answer *githttp.Err
	var hidden *plumbing.UnexpectedError
	if errors.As(err, &hidden) {
		err = hidden.Err // it does not unwrap
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrTooLarge), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, ErrURL):
		return fmt.Errorf("%w: its server redirects to another one, or too often", ErrURL)
	case errors.Is(err, egress.ErrRefused):
		return fmt.Errorf("%w: %s is at an address that is not connected to", ErrURL, r.url)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s did not answer in time: %w", r.url, err)
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed), errors.Is(err, transport.ErrInvalidAuthMethod):
		if r.opts.Username == "" && r.opts.Password == "" {
			return fmt.Errorf("%w: %s wants a credential: it is private or does not exist", ErrAuthentication, r.url)
		}
		return fmt.Errorf("%w: %s refused the credential", ErrAuthentication, r.url)
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return fmt.Errorf("repository '%s' %w", r.url, ErrNotFound)
	case errors.As(err, &dns):
		return fmt.Errorf("unable to access '%s': could not resolve host %s", r.url, dns.Name)
	case errors.As(err, &answer):
		return fmt.Errorf("unable to access '%s': the server answered %s", r.url, answer.Response.Status)
	case errors.As(err, &op):
		return fmt.Errorf("unable to access '%s': %w", r.url, op)
	}
	text := err.Error()
	for _, secret := range []string{r.opts.Password, url.QueryEscape(r.opts.Password), url.PathEscape(r.opts.Password)} {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return fmt.Errorf("unable to access '%s': %s", r.url, clip(text))
}

// clip keeps the first line of a text, not too much of it.
func clip(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	if len(s) > 300 {
		s = s[:300] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}
