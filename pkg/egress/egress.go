// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package egress makes HTTP clients for addresses that users give: source code servers, receivers of
// notifications, SonarQube. Such an address must not lead to what only this machine can reach, as its
// loopback interface or a cloud's metadata service.
package egress

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"
)

// ErrRefused is that of a connection to an address that users may not name.
var ErrRefused = errors.New("the address is not allowed")

// The defaults.
const (
	// DefaultTimeout bounds a request with its answer.
	DefaultTimeout = 30 * time.Second
	// DefaultMaxRedirects is how many redirects are followed.
	DefaultMaxRedirects = 5

	dialTimeout      = 10 * time.Second
	handshakeTimeout = 10 * time.Second
	headerTimeout    = 20 * time.Second
	idleTimeout      = 60 * time.Second
	idleConnections  = 4
	// maxHeader bounds the header of an answer in bytes.
	maxHeader = 256 << 10
)

// Options say how a client is to be.
type Options struct {
	// AllowLocal lets the client connect to this machine and to link-local addresses. For tests, and
	// for servers that run beside Slipway.
	AllowLocal bool
	// Timeout bounds a request with its answer. Default DefaultTimeout; negative: no limit, for
	// streams whose context ends.
	Timeout time.Duration
	// TLS changes the settings of TLS, for certificate authorities of a user's own. It may be nil.
	TLS func(*http.Transport) error
	// NoRedirects gives redirects to the caller instead of following them.
	NoRedirects bool
}

// Client makes an HTTP client. It uses no proxy of the environment: a proxy would connect to addresses
// that are refused here. The client is to be kept and used again: each has its own connections.
func Client(o Options) (*http.Client, error) {
	transport := &http.Transport{
		DialContext:           Dialer(o.AllowLocal).DialContext,
		TLSHandshakeTimeout:   handshakeTimeout,
		ResponseHeaderTimeout: headerTimeout,
		IdleConnTimeout:       idleTimeout,
		MaxIdleConnsPerHost:   idleConnections,
		ForceAttemptHTTP2:     true,

		MaxResponseHeaderBytes: maxHeader,
	}
	if o.TLS != nil {
		if err := o.TLS(transport); err != nil {
			return nil, fmt.Errorf("egress: TLS: %w", err)
		}
	}
	c := &http.Client{Transport: transport, Timeout: o.Timeout, CheckRedirect: checkRedirect}
	switch {
	case o.Timeout == 0:
		c.Timeout = DefaultTimeout
	case o.Timeout < 0:
		c.Timeout = 0
	}
	if o.NoRedirects {
		c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return c, nil
}

// Dialer gives a dialer that refuses local addresses. The check is made on the address that the name
// led to, so that no name server can lead around it.
func Dialer(allowLocal bool) *net.Dialer {
	d := &net.Dialer{Timeout: dialTimeout}
	if !allowLocal {
		d.Control = func(_, address string, _ syscall.RawConn) error { return check(address) }
	}
	return d
}

// NearbyDialer gives a dialer for programs whose users have a reason to name this machine, as a Jenkins with the
// repositories beside it. It refuses link-local addresses and the services of clouds for their machines.
func NearbyDialer() *net.Dialer {
	return &net.Dialer{Timeout: dialTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		if host, err := netip.ParseAddrPort(address); err == nil {
			if ip := host.Addr().Unmap().WithZone(""); ip.IsLoopback() || ip.IsUnspecified() {
				return nil
			}
		}
		return check(address)
	}}
}

func check(address string) error {
	host, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s", ErrRefused, address)
	}
	ip := host.Addr().Unmap()
	if isLocal(ip) || isLocal(translated(ip)) {
		return fmt.Errorf("%w: %s is local to the server", ErrRefused, ip)
	}
	return nil
}

// services are what clouds answer their machines at, beside the link-local addresses, such as with credentials.
var services = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),          // this machine (RFC 1122, 3.2.1.3)
	netip.MustParsePrefix("100.100.100.200/32"), // Alibaba Cloud
	netip.MustParsePrefix("168.63.129.16/32"),   // Azure
	netip.MustParsePrefix("192.0.0.192/32"),     // Oracle Cloud
	netip.MustParsePrefix("fd00:ec2::/32"),      // AWS
	netip.MustParsePrefix("fd20:ce::254/128"),   // Google Cloud
}

func isLocal(ip netip.Addr) bool {
	if !ip.IsValid() {
		return false
	}
	// A zone, as in fe80::1%eth0, is in no prefix.
	ip = ip.WithZone("")
	return ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() || ip.IsMulticast() ||
		slices.ContainsFunc(services, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// embedding are the prefixes of IPv6 addresses that stand for an IPv4 address, with the byte at which it begins.
var embedding = map[netip.Prefix]int{
	netip.MustParsePrefix("::/96"):           12, // IPv4-compatible (RFC 4291, 2.5.5.1)
	netip.MustParsePrefix("::ffff:0:0:0/96"): 12, // IPv4-translated (RFC 2765, 2.1)
	netip.MustParsePrefix("64:ff9b::/96"):    12, // NAT64 (RFC 6052)
	netip.MustParsePrefix("64:ff9b:1::/48"):  12, // NAT64 of a network's own (RFC 8215), as it is usually cut
	netip.MustParsePrefix("2002::/16"):       2,  // 6to4 (RFC 3056)
}

// translated gives the IPv4 address that an IPv6 address stands for; it is not valid if there is none.
func translated(ip netip.Addr) netip.Addr {
	ip = ip.WithZone("")
	for prefix, at := range embedding {
		if prefix.Contains(ip) {
			bytes := ip.As16()
			return netip.AddrFrom4([4]byte(bytes[at : at+4]))
		}
	}
	return netip.Addr{}
}

// checkRedirect follows a few redirects, none of which may leave HTTPS. What is sent goes to the server that was named.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > DefaultMaxRedirects {
		return fmt.Errorf("%w: more than %d redirects", ErrRefused, DefaultMaxRedirects)
	}
	if req.Method != http.MethodGet && req.Method != http.MethodHead && req.URL.Host != via[0].URL.Host {
		return fmt.Errorf("%w: a redirect leads what was sent to another server", ErrRefused)
	}
	if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return fmt.Errorf("%w: a redirect leads from HTTPS to %s", ErrRefused, req.URL.Scheme)
	}
	return nil
}

// ParseURL reads an address that a user gave: absolute, http or https, and without a user or password,
// which would get into logs and messages.
func ParseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: it is no URL", ErrRefused)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%w: it must begin with https:// or http://", ErrRefused)
	case u.Host == "":
		return nil, fmt.Errorf("%w: it names no host", ErrRefused)
	case u.User != nil:
		return nil, fmt.Errorf("%w: it holds a user or password; put them into a credential", ErrRefused)
	}
	return u, nil
}
