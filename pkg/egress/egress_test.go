// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package egress

import (
	"errors"
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
