// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package notification

import (
	"errors"
	"net"
	"net/url"
	"syscall"
	"testing"

	"github.com/slipway-dev/slipway/pkg/egress"
)

// TestWithoutURL: what users are told of a failure has neither their address with its token nor those of the network.
func TestWithoutURL(t *testing.T) {
	dial := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 9, 8, 7), Port: 80}, Err: syscall.ECONNREFUSED}
	for want, err := range map[string]error{
		"the receiver cannot be reached: connection refused":                 dial,
		"the receiver cannot be reached: there is no host nowhere.example":   &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "nowhere.example", Server: "10.9.8.7:53"}},
		"the receiver's address is not allowed: it is local to the server":   &net.OpError{Op: "dial", Err: egress.ErrRefused},
		"the receiver cannot be reached: the server speaks another language": errors.New("the server speaks another language"),
	} {
		if got := withoutURL(&url.Error{Op: "Post", URL: "https://hooks.example/token", Err: err}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
