// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package scm

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/utils/lru"

	"github.com/slipway-dev/slipway/pkg/egress"
)

const (
	// timeout bounds one request.
	timeout = 20 * time.Second
	// maxAnswers bounds all answers to one client in bytes: a page of a hundred repositories of GitHub has half a megabyte,
	// and a list may take many pages.
	maxAnswers = 16 << 20
	// maxTrusts bounds the sets of authorities for which connections are kept.
	maxTrusts = 32
)

// Options say which server a client is for.
type Options struct {
	// Provider is the kind of server.
	Provider Provider
	// Server is the server's address, of its pages or its API. Empty is the public server; Bitbucket
	// Server has none, and for Git it is the address of a repository.
	Server string
	// Credential is who is asking.
	Credential Credential
	// CA are certificates of authorities, PEM, that are trusted besides those of the system.
	CA []byte
	// InsecureSkipTLS turns the check of the server's certificate off.
	InsecureSkipTLS bool
}

// Factory makes clients. It keeps connections, which do not belong to a credential; it is to be made once.
// Its methods may be called from several goroutines.
type Factory struct {
	allowLocal bool
	mu         sync.Mutex
	trusts     *lru.Cache
}

// NewFactory makes a factory. allowLocal lets clients connect to the machine itself.
func NewFactory(allowLocal bool) *Factory {
	// Connections of a set that is forgotten are closed when they have been idle for a while.
	return &Factory{allowLocal: allowLocal, trusts: lru.New(maxTrusts)}
}

// trust is what connections may be shared by.
type trust struct {
	ca       [sha256.Size]byte
	insecure bool
}

// Client makes a client. Nothing is sent.
func (f *Factory) Client(o Options) (Client, error) {
	if o.Provider == BitbucketServer && isBitbucketOrg(o.Server) {
		o.Provider = BitbucketCloud
	}
	server, err := serverOf(o.Provider, o.Server)
	if err != nil {
		return nil, err
	}
	httpClient, err := f.http(o, server)
	if err != nil {
		return nil, err
	}
	if o.Provider == Git {
		return &gitClient{url: server, http: httpClient, credential: o.Credential}, nil
	}
	return newHosted(o, server, httpClient)
}

// http makes the client of HTTP that sends the credential, and to the server only.
func (f *Factory) http(o Options, server *url.URL) (*http.Client, error) {
	shared, err := f.shared(o)
	if err != nil {
		return nil, err
	}
	own := *shared
	transport := &authenticated{
		base: shared.Transport, scheme: server.Scheme, host: server.Host, header: o.Credential.header(o.Provider),
	}
	transport.left.Store(maxAnswers)
	own.Transport = transport
	return &own, nil
}

func (f *Factory) shared(o Options) (*http.Client, error) {
	key := trust{ca: sha256.Sum256(o.CA), insecure: o.InsecureSkipTLS}
	f.mu.Lock()
	defer f.mu.Unlock()
	if known, ok := f.trusts.Get(key); ok {
		return known.(*http.Client), nil
	}
	made, err := egress.Client(egress.Options{AllowLocal: f.allowLocal, Timeout: timeout, TLS: func(t *http.Transport) error {
		t.TLSClientConfig = &tls.Config{
			MinVersion:         tls.VersionTLS12,
			InsecureSkipVerify: o.InsecureSkipTLS, //nolint:gosec // what the user asked for, for this server
		}
		if len(o.CA) == 0 {
			return nil
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(o.CA) {
			return failure(Invalid, "the authority's certificate is no PEM certificate; it begins with -----BEGIN CERTIFICATE-----")
		}
		t.TLSClientConfig.RootCAs = pool
		return nil
	}})
	if err != nil {
		var known *Error
		if errors.As(err, &known) {
			return nil, known
		}
		return nil, err
	}
	f.trusts.Add(key, made)
	return made, nil
}

// authenticated sends a credential to one server, and bounds its answers.
type authenticated struct {
	base                 http.RoundTripper
	scheme, host, header string
	// left is how many bytes of answers are still read.
	left atomic.Int64
}

// counted is the body of an answer.
type counted struct {
	io.ReadCloser
	left *atomic.Int64
}

// Read implements io.Reader.
func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if c.left.Add(-int64(n)) < 0 {
		return 0, &http.MaxBytesError{Limit: maxAnswers}
	}
	return n, err //nolint:wrapcheck // io.EOF must stay itself
}

// RoundTrip implements http.RoundTripper.
func (a *authenticated) RoundTrip(req *http.Request) (*http.Response, error) {
	if a.header != "" && req.URL.Scheme == a.scheme && strings.EqualFold(req.URL.Host, a.host) {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", a.header)
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "slipway") // GitHub answers nobody without one
	}
	resp, err := a.base.RoundTrip(req)
	if err == nil {
		resp.Body = counted{resp.Body, &a.left}
	}
	return resp, err
}

// public are the addresses of public servers.
var public = map[Provider]string{
	GitHub: "https://api.github.com", GitLab: "https://gitlab.com", Gitea: "https://gitea.com", BitbucketCloud: "https://api.bitbucket.org",
}

// serverOf gives the address below which a server's API is, as the drivers of go-scm want it.
func serverOf(p Provider, text string) (*url.URL, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		text = public[p]
	}
	if text == "" {
		if p == Git {
			return nil, failure(Invalid, "give the address of the repository in the query: server=https://git.example.org/team/app.git")
		}
		return nil, failure(Invalid, "give the address of the server in the query: server=https://bitbucket.example.org")
	}
	if p == Git && !strings.Contains(text, "://") || strings.HasPrefix(text, "ssh://") || strings.HasPrefix(text, "git://") {
		return nil, failure(Unsupported, "only addresses that begin with https:// or http:// can be asked; addresses for SSH work in pipelines, but are not checked here")
	}
	u, err := egress.ParseURL(text)
	if err != nil {
		return nil, &Error{Reason: Refused, Message: "the address of the server is not usable: " + strings.TrimPrefix(err.Error(), egress.ErrRefused.Error()+": "), Err: err}
	}
	u.RawQuery, u.Fragment = "", ""
	if p == Git {
		return u, nil
	}
	u.Path, u.RawPath = apiRoot(p, u), ""
	return u, nil
}

// apiRoot gives the path that a server's API is below, and sets the host to that of the API where it has
// one of its own.
func apiRoot(p Provider, u *url.URL) string {
	path, host := strings.TrimRight(u.Path, "/"), strings.ToLower(u.Hostname())
	trim := func(suffixes ...string) string {
		for _, suffix := range suffixes {
			path = strings.TrimSuffix(path, suffix)
		}
		return path
	}
	switch p {
	case GitHub:
		switch {
		case host == "github.com" || host == "www.github.com":
			u.Host = "api.github.com"
		case host == "api.github.com":
		case strings.HasSuffix(host, ".ghe.com"):
			u.Host = "api." + strings.TrimPrefix(host, "api.")
		default:
			return trim("/api/v3", "/api") + "/api/v3"
		}
		return ""
	case GitLab:
		return trim("/api/v4", "/api")
	case Gitea:
		return trim("/api/v1", "/api")
	case BitbucketCloud:
		if host == "bitbucket.org" || host == "www.bitbucket.org" {
			u.Host = "api.bitbucket.org"
		}
		return trim("/2.0")
	case BitbucketServer:
		return trim("/rest/api/1.0", "/rest/api/latest", "/rest")
	}
	return path
}

func isBitbucketOrg(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	host := strings.ToLower(u.Hostname())
	return host == "bitbucket.org" || strings.HasSuffix(host, ".bitbucket.org")
}

// drain reads the rest of a body, so that the connection can be used again.
func drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 64<<10)
	_ = body.Close()
}

// bounded gives a context for a call that may take several requests.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 2*timeout)
}
