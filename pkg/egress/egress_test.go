// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package egress

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestClient(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "/", http.StatusFound)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	port := server.URL[strings.LastIndexByte(server.URL, ':'):]
	tests := map[string]struct {
		reason  string
		options Options
		url     string
		want    int
		refused bool
	}{
		"Loopback":      {reason: "this machine is not to be reached", url: server.URL, refused: true},
		"Name":          {reason: "the check is on what a name leads to", url: "http://localhost" + port, refused: true},
		"MappedAddress": {reason: "an IPv4 address in IPv6 clothes is the same", url: "http://[::ffff:127.0.0.1]" + port, refused: true},
		"Metadata":      {reason: "the metadata service of clouds is link-local", url: "http://169.254.169.254/latest", refused: true},
		"Unspecified":   {reason: "0.0.0.0 leads to this machine, too", url: "http://0.0.0.0" + port, refused: true},
		"Allowed":       {reason: "a flag allows it", options: Options{AllowLocal: true}, url: server.URL, want: http.StatusNoContent},
		"Redirect":      {reason: "redirects are followed", options: Options{AllowLocal: true}, url: server.URL + "/away", want: http.StatusNoContent},
		"NoRedirects":   {reason: "or given back", options: Options{AllowLocal: true, NoRedirects: true}, url: server.URL + "/away", want: http.StatusFound},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := Client(tc.options)
			if err != nil {
				t.Fatal(err)
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tc.url, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := c.Do(req)
			if errors.Is(err, ErrRefused) != tc.refused || err != nil && !tc.refused {
				t.Fatalf("%s: got error %v", tc.reason, err)
			}
			if err != nil {
				return
			}
			defer func() { _ = resp.Body.Close() }()
			if resp.StatusCode != tc.want {
				t.Errorf("%s: got %d, want %d", tc.reason, resp.StatusCode, tc.want)
			}
		})
	}
}

// TestRedirects: what is sent is for the server that was named, and so may be a secret.
func TestRedirects(t *testing.T) {
	got := make(chan string, 10)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- r.Method + string(body)
	}))
	defer other.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target := map[string]string{"/away": other.URL, "/here": "/there"}[r.URL.Path]
		if target == "" {
			body, _ := io.ReadAll(r.Body)
			got <- r.Method + string(body)
			return
		}
		http.Redirect(w, r, target, http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	c, err := Client(Options{AllowLocal: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		method, path, want string
	}{{http.MethodPost, "/away", ""}, {http.MethodPost, "/here", "POSTsecret"}, {http.MethodGet, "/away", "GET"}} {
		var body io.Reader = http.NoBody
		if tc.method == http.MethodPost {
			body = strings.NewReader("secret")
		}
		req, err := http.NewRequestWithContext(t.Context(), tc.method, server.URL+tc.path, body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if errors.Is(err, ErrRefused) != (tc.want == "") {
			t.Errorf("%s %s: %v", tc.method, tc.path, err)
		}
		seen := ""
		select {
		case seen = <-got:
		default:
		}
		if seen != tc.want {
			t.Errorf("%s %s: got %q, want %q", tc.method, tc.path, seen, tc.want)
		}
	}
}

func TestNearbyDialer(t *testing.T) {
	d := NearbyDialer()
	for address, ok := range map[string]bool{
		"127.0.0.1:80": true, "[::1]:80": true, "10.0.0.1:80": true, "169.254.169.254:80": false, "[::ffff:169.254.169.254]:80": false, "[fe80::1%eth0]:80": false,
		"100.100.100.200:80": false, "[fd00:ec2::254]:80": false, "nothing": false,
	} {
		if err := d.Control("tcp", address, nil); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestCheck(t *testing.T) {
	for address, ok := range map[string]bool{
		"192.0.2.1:443": true, "10.96.0.1:443": true, "[2001:db8::1]:443": true, "100.64.0.1:80": true, "[64:ff9b::c000:201]:80": true, "[2002:c000:201::1]:80": true,
		"127.0.0.1:80": false, "127.8.8.8:80": false, "[::1]:80": false, "0.0.0.0:80": false, "0.1.2.3:80": false, "[::]:80": false, "169.254.169.254:80": false,
		"[fe80::1]:80": false, "[fe80::1%eth0]:80": false, "224.0.0.1:80": false, "[ff02::1]:80": false, "[::ffff:169.254.169.254]:80": false,
		"100.100.100.200:80": false, "168.63.129.16:80": false, "192.0.0.192:80": false, "[fd00:ec2::254]:80": false, "[fd20:ce::254]:80": false,
		"[64:ff9b::a9fe:a9fe]:80": false, "[2002:7f00:1::1]:80": false, "[::7f00:1]:80": false, "[fd00:ec2::254%eth0]:80": false,
		"[64:ff9b:1::a9fe:a9fe]:80": false, "[64:ff9b:1::c000:201]:80": true, "[::ffff:0:127.0.0.1]:80": false, "[::ffff:0:169.254.169.254]:80": false,
		"": false, "example.org:80": false, "192.0.2.1": false,
	} {
		if err := check(address); (err == nil) != ok || err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestParseURL(t *testing.T) {
	for text, ok := range map[string]bool{
		"https://git.example.org/x": true, "http://10.0.0.1:8080": true,
		"": false, "git.example.org": false, "file:///etc/passwd": false, "https://user:pw@example.org": false, "https://": false, "http://a b": false,
		"gopher://example.org": false,
	} {
		if _, err := ParseURL(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}
