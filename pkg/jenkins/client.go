// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults of Config.
const (
	DefaultTimeout      = 30 * time.Second
	DefaultMaxBody      = 32 << 20
	DefaultStatusDepth  = 30
	DefaultRecheckDelay = 500 * time.Millisecond
	DefaultLogPoll      = 500 * time.Millisecond
	DefaultMaxInFlight  = 64
	DefaultMaxSilent    = 5
	DefaultProbe        = 5 * time.Second
)

// The connections to one Jenkins: at most poolSize at a time, of which poolIdle are kept for the next
// calls.
const (
	poolSize = 256
	poolIdle = 32
)

// Config says where Jenkins is and how to log in.
type Config struct {
	// URL is the address of Jenkins, with the path prefix if it has one: "https://ci.example.org/jenkins". It must not
	// hold credentials.
	URL string
	// Username is the user that the calls are made as. Empty: anonymous.
	Username string
	// Token is an API token of the user. It needs no crumb and is the one to use.
	Token string
	// Password is used if there is no Token. Calls that change something then carry a crumb and the cookie of the session
	// that the crumb belongs to.
	Password string
	// Timeout bounds every call, for streams the wait for the header and for each part. 0: DefaultTimeout.
	Timeout time.Duration
	// MaxBody is the longest answer that is read into memory, in bytes; streams are not bounded. 0: DefaultMaxBody.
	MaxBody int64
	// StatusDepth is how many of the newest builds of each job BuildStatuses asks for. 0: DefaultStatusDepth.
	StatusDepth int
	// RecheckDelay is how long FindByCause waits before it looks a second time. 0: DefaultRecheckDelay.
	RecheckDelay time.Duration
	// LogPoll is the shortest time between two questions of StreamLog; it grows to eight times that while nothing
	// comes. 0: DefaultLogPoll.
	LogPoll time.Duration
	// MaxInFlight is the most calls that wait for Jenkins' answer at a time; others wait for their turn. 0: DefaultMaxInFlight.
	MaxInFlight int
	// MaxSilent is how many calls in a row may get no answer until calls are refused at once, with ErrUnavailable and [RetryAfter], and Jenkins
	// is only probed. 0: DefaultMaxSilent; negative: calls are never refused.
	MaxSilent int
	// ProbeInterval is the longest time between two probes; the first comes after half a second. A caller has to come for a probe to be made.
	// 0: DefaultProbe, which is short on purpose: a probe is one small question, and after it is back Jenkins is to be used at once.
	ProbeInterval time.Duration
	// Observer is told of all requests. Nil: none.
	Observer Observer
	// CAFile is a PEM file with the certificate authorities to trust besides those of the system.
	CAFile string
	// InsecureSkipVerify turns off the check of Jenkins' certificate. For tests only.
	InsecureSkipVerify bool
	// Transport replaces the transport of the client, with it CAFile and InsecureSkipVerify. Nil: one pooled transport
	// per client.
	Transport http.RoundTripper
}

// Client talks to one Jenkins. It is safe for use by several goroutines; make one per process.
type Client struct {
	cfg    Config
	base   string
	prefix string
	http   *http.Client
	// slots are taken by the calls that wait for an answer.
	slots    chan struct{}
	breaker  *breaker
	restarts restarts
	// accepted: Jenkins has accepted the credential before.
	accepted atomic.Bool

	crumbMu sync.Mutex
	crumb   *crumb
}

// New returns a client. It makes no call; use Ping to see whether Jenkins answers.
func New(cfg Config) (*Client, error) {
	const op = "configure client"
	u, err := url.Parse(cfg.URL)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		// The text of err would repeat the address, which may hold a password.
		return nil, newError(op, ErrInvalid, "the URL must be absolute, with the scheme http or https")
	case u.User != nil:
		return nil, newError(op, ErrInvalid, "the URL must not hold credentials")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, newError(op, ErrInvalid, "the URL must have neither query nor fragment")
	}
	if strings.Contains(cfg.Username, ":") {
		return nil, newError(op, ErrInvalid, "the user name must not contain a colon")
	}
	setDefaults(&cfg)
	if cfg.Transport == nil {
		if cfg.Transport, err = newTransport(cfg); err != nil {
			return nil, err
		}
	}
	c := &Client{
		cfg:    cfg,
		base:   strings.TrimRight(u.Scheme+"://"+u.Host+u.EscapedPath(), "/"),
		prefix: strings.TrimRight(u.Path, "/"),
		slots:  make(chan struct{}, cfg.MaxInFlight),
		http: &http.Client{
			Transport: cfg.Transport,
			// Jenkins answers most forms with a redirect to a page for people; the status says enough.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	c.breaker = newBreaker(cfg.MaxSilent, cfg.ProbeInterval)
	if c.usesCrumbs() {
		// A crumb is bound to its session, so the cookie must come back with it.
		jar, err := cookiejar.New(nil)
		if err != nil {
			return nil, &Error{Op: op, Message: err.Error(), kind: ErrInternal, cause: err}
		}
		c.http.Jar = jar
	}
	return c, nil
}

func setDefaults(cfg *Config) {
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = DefaultMaxBody
	}
	if cfg.StatusDepth <= 0 {
		cfg.StatusDepth = DefaultStatusDepth
	}
	if cfg.RecheckDelay <= 0 {
		cfg.RecheckDelay = DefaultRecheckDelay
	}
	if cfg.LogPoll <= 0 {
		cfg.LogPoll = DefaultLogPoll
	}
	if cfg.MaxInFlight <= 0 {
		cfg.MaxInFlight = DefaultMaxInFlight
	}
	if cfg.MaxSilent == 0 {
		cfg.MaxSilent = DefaultMaxSilent
	}
	if cfg.ProbeInterval <= 0 {
		cfg.ProbeInterval = DefaultProbe
	}
}

// newTransport returns the one pooled transport of a client.
func newTransport(cfg Config) (*http.Transport, error) {
	const op = "configure client"
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: cfg.InsecureSkipVerify} //nolint:gosec // off unless configured
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, &Error{Op: op, Message: "read the CA file: " + err.Error(), kind: ErrInvalid, cause: err}
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, newError(op, ErrInvalid, "the CA file %s holds no certificate", cfg.CAFile)
		}
		tlsConfig.RootCAs = pool
	}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: min(10*time.Second, cfg.Timeout), KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       tlsConfig,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          64,
		MaxIdleConnsPerHost:   poolIdle,
		MaxConnsPerHost:       poolSize,
		IdleConnTimeout:       60 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: cfg.Timeout,
	}, nil
}

// CloseIdleConnections closes the connections that no call uses.
func (c *Client) CloseIdleConnections() { c.http.CloseIdleConnections() }

// Version asks Jenkins for its version, such as "2.541.2".
func (c *Client) Version(ctx context.Context) (string, error) {
	const op = "ask for the version"
	a, err := c.do(ctx, call{op: op, method: http.MethodGet, path: "/api/json", query: url.Values{"tree": {"mode"}}})
	if err != nil {
		return "", err
	}
	if err := decodeJSON(op, a, &struct{}{}); err != nil {
		return "", err
	}
	v := a.header.Get("X-Jenkins")
	if v == "" {
		return "", newError(op, ErrUnexpected, "the server at the configured URL is not Jenkins: its answer has no X-Jenkins header")
	}
	return v, nil
}

// Ping reports whether Jenkins answers and accepts the credentials.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.Version(ctx)
	return err
}

// ignoreNotFound makes deletion idempotent.
func ignoreNotFound(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
