// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitfiles

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/slipway-dev/slipway/pkg/egress"
	"github.com/slipway-dev/slipway/pkg/gitpack"
)

// errRedirect is that of a redirect to another server.
var errRedirect = failure(ErrInvalid, "the server of the repository redirects to another one, or too often; use the address that it redirects to")

// remote is a conversation with the server: it has said which branches it has, and may be asked for objects.
type remote struct {
	session transport.UploadPackSession
	caps    *capability.List
	heads   []head
	// main is the name of the default branch; empty if it has no commit.
	main   string
	closes []func()
}

// head is a branch or tag on the server.
type head struct {
	ref    plumbing.ReferenceName
	commit plumbing.Hash
}

func (r *remote) close() {
	_ = r.session.Close()
	for _, f := range r.closes {
		f()
	}
}

// connect asks the server for its branches.
func (r *Repository) connect(ctx context.Context) (*remote, error) {
	session, closes, err := r.upload(ctx)
	if err != nil {
		return nil, r.explain(err)
	}
	conversation := &remote{session: session, closes: closes}
	adv, err := session.AdvertisedReferencesContext(ctx)
	switch {
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return conversation, nil
	case err != nil:
		conversation.close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, r.explain(err)
	}
	conversation.read(adv)
	return conversation, nil
}

// read takes the branches and tags out of what the server said, by name, branches first.
func (r *remote) read(adv *packp.AdvRefs) {
	r.caps = adv.Capabilities
	for name, hash := range adv.References {
		ref := plumbing.ReferenceName(name)
		if !ref.IsBranch() && !ref.IsTag() || strings.HasSuffix(name, "^{}") {
			continue
		}
		if peeled, ok := adv.Peeled[name]; ok {
			hash = peeled
		}
		r.heads = append(r.heads, head{ref: ref, commit: hash})
	}
	slices.SortFunc(r.heads, func(a, b head) int { return strings.Compare(string(a.ref), string(b.ref)) })
	for _, sym := range adv.Capabilities.Get(capability.SymRef) {
		if to, ok := strings.CutPrefix(sym, "HEAD:refs/heads/"); ok {
			r.main = to
		}
	}
}

// branch finds a branch.
func (r *remote) branch(name string) (head, bool) {
	return r.find(plumbing.NewBranchReferenceName(name))
}

func (r *remote) find(ref plumbing.ReferenceName) (head, bool) {
	i := slices.IndexFunc(r.heads, func(h head) bool { return h.ref == ref })
	if i < 0 {
		return head{}, false
	}
	return r.heads[i], true
}

// branches are all branches, by name.
func (r *remote) branches() []head {
	list := []head{}
	for _, h := range r.heads {
		if h.ref.IsBranch() {
			list = append(list, h)
		}
	}
	return list
}

// upload opens a conversation in which the server gives objects.
func (r *Repository) upload(ctx context.Context) (transport.UploadPackSession, []func(), error) {
	if r.address.scheme == "ssh" {
		s, err := r.dialSSH(ctx, transport.UploadPackServiceName)
		if err != nil {
			return nil, nil, err
		}
		return &sshUpload{s}, nil, nil
	}
	client, auth, end, closes, err := r.http()
	if err != nil {
		return nil, nil, err
	}
	session, err := client.NewUploadPackSession(end, auth)
	return session, closes, err //nolint:wrapcheck // explain is called on it
}

// receive opens a conversation in which the server takes objects.
func (r *Repository) receive(ctx context.Context) (transport.ReceivePackSession, []func(), error) {
	if r.address.scheme == "ssh" {
		s, err := r.dialSSH(ctx, transport.ReceivePackServiceName)
		if err != nil {
			return nil, nil, err
		}
		return &sshReceive{s}, nil, nil
	}
	client, auth, end, closes, err := r.http()
	if err != nil {
		return nil, nil, err
	}
	session, err := client.NewReceivePackSession(end, auth)
	return session, closes, err //nolint:wrapcheck // explain is called on it
}

// http makes a client for one conversation: it is bounded as a whole.
func (r *Repository) http() (transport.Transport, transport.AuthMethod, *transport.Endpoint, []func(), error) {
	end, err := r.address.endpoint()
	if err != nil {
		return nil, nil, nil, nil, err
	}
	client, err := egress.Client(egress.Options{AllowLocal: r.cache.opts.AllowLocal, Timeout: -1, TLS: r.tls})
	if err != nil {
		return nil, nil, nil, nil, err //nolint:wrapcheck // explain is called on it
	}
	base := client.Transport
	client.Transport = gitpack.NewBudget(r.cache.opts.MaxRepositoryBytes).RoundTripper(greeting{base})
	client.CheckRedirect = sameServer
	var auth transport.AuthMethod
	if c := r.target.Credential; c.Password != "" {
		user := c.Username
		if user == "" {
			user = "token" // servers that take tokens want some name
		}
		auth = &githttp.BasicAuth{Username: user, Password: c.Password}
	}
	idle := func() {
		if t, ok := base.(*http.Transport); ok {
			t.CloseIdleConnections()
		}
	}
	return githttp.NewClient(client), auth, end, []func(){idle}, nil
}

// greeting bounds what a server says first, which is held in memory: its branches and tags.
type greeting struct{ inner http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (g greeting) RoundTrip(req *http.Request) (*http.Response, error) {
	inner := g.inner
	if strings.HasSuffix(req.URL.Path, "/info/refs") {
		inner = gitpack.NewBudget(maxGreeting).RoundTripper(inner)
	}
	return inner.RoundTrip(req) //nolint:wrapcheck // the caller looks into it
}

// tls sets what the target says of certificates.
func (r *Repository) tls(t *http.Transport) error {
	// A server may count objects for a long time before it begins to answer; the context ends it.
	t.ResponseHeaderTimeout = r.cache.opts.Timeout
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: r.target.InsecureSkipVerify} //nolint:gosec // G402: the user asked for it in an annotation
	if len(r.target.CA) == 0 {
		return nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(r.target.CA) {
		return failure(ErrInvalid, "the certificate authority of the repository is not in PEM format: it begins with -----BEGIN CERTIFICATE-----")
	}
	t.TLSClientConfig.RootCAs = pool
	return nil
}

// sameServer follows redirects only within a server: to the same host and port, or from HTTP to HTTPS of the same host.
func sameServer(req *http.Request, via []*http.Request) error {
	from, to := via[0].URL, req.URL
	secured := from.Scheme == "http" && to.Scheme == "https" && from.Hostname() == to.Hostname()
	if len(via) > egress.DefaultMaxRedirects || !secured && (from.Scheme != to.Scheme || from.Host != to.Host) {
		return errRedirect
	}
	return nil
}

// download asks the server for objects. The answer must be closed.
func (r *Repository) download(ctx context.Context, conversation *remote, want wish) (*packp.UploadPackResponse, error) {
	req := packp.NewUploadPackRequestFromCapabilities(conversation.caps)
	req.Wants, req.Haves, req.Shallows = want.wants, want.haves, want.shallows
	// Progress messages and side bands are for people at terminals.
	for _, c := range []capability.Capability{
		capability.Sideband, capability.Sideband64k, capability.MultiACK, capability.MultiACKDetailed, capability.ThinPack,
	} {
		req.Capabilities.Delete(c)
	}
	if want.depth > 0 || len(want.shallows) > 0 {
		if err := req.Capabilities.Set(capability.Shallow); err != nil {
			return nil, fmt.Errorf("ask for objects: %w", err)
		}
		req.Depth = packp.DepthCommits(want.depth)
	}
	if want.filter != "" {
		if err := req.Capabilities.Set(capability.Filter); err != nil {
			return nil, fmt.Errorf("ask for objects: %w", err)
		}
		req.Filter = want.filter
	}
	return conversation.session.UploadPack(ctx, req) //nolint:wrapcheck // explain is called on it
}

// wish is what is asked of a server.
type wish struct {
	wants, haves, shallows []plumbing.Hash
	depth                  int
	filter                 packp.Filter
}

// limited bounds what is read of r.
func (r *Repository) limited(in io.Reader) io.Reader {
	return gitpack.NewBudget(r.cache.opts.MaxRepositoryBytes).Reader(in)
}
