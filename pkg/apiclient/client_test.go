// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiclient

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"
)

func TestErrors(t *testing.T) {
	cases := map[string]struct {
		reason, body    string
		code            int
		message, status string
	}{
		"Status": {reason: "the API's own form", code: 409, body: `{"kind":"Status","message":"it exists","reason":"AlreadyExists"}`, message: "it exists", status: "AlreadyExists"},
		"OAuth":  {reason: "RFC 6749's form", code: 400, body: `{"error":"invalid_grant","error_description":"wrong"}`, message: "wrong", status: "invalid_grant"},
		"Text":   {reason: "a proxy in between", code: 502, body: "bad gateway\n", message: "bad gateway"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tc.code)
				_, _ = io.WriteString(w, tc.body)
			}))
			defer server.Close()
			client, err := New(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			var status *StatusError
			if err := client.Do(t.Context(), Request{Path: "/x"}, nil); !errors.As(err, &status) {
				t.Fatalf("%s: %v", tc.reason, err)
			}
			if status.Code != tc.code || status.Message != tc.message || status.Reason != tc.status {
				t.Errorf("%s: %+v", tc.reason, status)
			}
		})
	}
}

func TestRequest(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, `{"got":"`+r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Authorization")+" "+string(body)+`"}`)
	}))
	defer server.Close()
	client, err := New(server.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Got string }
	request := Request{Method: "PUT", Path: "/a%2Fb?x=1", Query: url.Values{"y": {"ü"}}, Object: 7, Scheme: "token"}
	if err := client.WithToken("t").Do(t.Context(), request, &answer); err != nil {
		t.Fatal(err)
	}
	if want := "PUT /a%2Fb?x=1&y=%C3%BC token t 7"; answer.Got != want {
		t.Errorf("sent %q, want %q", answer.Got, want)
	}
	if client.Token() != "" {
		t.Error("WithToken changed the client that it was called on")
	}
}

func TestTimeout(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	client, err := New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Do(t.Context(), Request{Path: "/", Timeout: 50 * time.Millisecond}, nil); err == nil {
		t.Error("a server that does not answer was waited for")
	}
}

func TestBadAddress(t *testing.T) {
	for _, address := range []string{"", "127.0.0.1:9090", "ftp://x", "http://", "http://[::1"} {
		if _, err := New(address); err == nil {
			t.Errorf("New(%q) gave no error", address)
		}
	}
}
