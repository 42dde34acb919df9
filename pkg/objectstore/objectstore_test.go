// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package objectstore

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestValidateKey(t *testing.T) {
	for reason, key := range map[string]string{
		"plain": "runs/ns/a/log.txt", "unicode": "größe/日本語 ☃.txt", "dots in names": "a/..b/c..d/...", "1024 bytes": strings.Repeat("k", 1024), "space and plus": "a b+c%2F&=?#",
	} {
		if err := ValidateKey(key); err != nil {
			t.Errorf("%s: %v", reason, err)
		}
	}
	for reason, key := range map[string]string{
		"empty": "", "leading slash": "/etc", "trailing slash": "a/", "parent": "a/../b", "parent alone": "..", "self": "./a", "empty segment": "a//b",
		"1025 bytes": strings.Repeat("k", 1025), "control": "a\nb", "NUL": "a\x00", "DEL": "a\x7f", "backslash": "a\\..\\b", "not UTF-8": "a\xff",
	} {
		if err := ValidateKey(key); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", reason, err)
		}
	}
}

func TestNewRefusesBadConfig(t *testing.T) {
	for reason, cfg := range map[string]Config{
		"no endpoint":         {},
		"credentials":         {Endpoint: "http://a:hunter2@s3"},
		"path":                {Endpoint: "http://s3/path"},
		"path without scheme": {Endpoint: "s3/path"},
		"scheme":              {Endpoint: "ftp://s3"},
		"broken":              {Endpoint: "http://a:hunter2@s3:port"},
		"half of the keys":    {Endpoint: "s3", AccessKey: "a"},
	} {
		_, err := New(cfg)
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", reason, err)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error repeats the password: %v", reason, err)
		}
	}
}

func store(t *testing.T, endpoint string) *Store {
	t.Helper()
	s, err := New(Config{Endpoint: endpoint, AccessKey: "AKIATEST", SecretKey: "hunter2hunter2", PathStyle: true, Timeout: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	s.client.SetAppInfo("slipway", "test")
	return s
}

func TestDeadStore(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	s := store(t, addr)
	ctx := t.Context()
	_, _, getErr := s.Get(ctx, "k")
	_, statErr := s.Stat(ctx, "k")
	_, listErr := s.List(ctx, "")
	for call, err := range map[string]error{
		"bucket": s.EnsureBucket(ctx), "put": s.Put(ctx, "k", strings.NewReader("x"), 1, ""), "get": getErr, "stat": statErr, "list": listErr, "delete": s.Delete(ctx, "k"),
	} {
		if !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v", call, err)
		} else if strings.Contains(err.Error(), "X-Amz") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error holds a signature or a key: %v", call, err)
		}
	}
}

func TestErrorsOfTheStore(t *testing.T) {
	for reason, tc := range map[string]struct {
		status int
		body   string
		want   error
	}{
		"denied":          {403, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>", ErrUnauthorized},
		"wrong signature": {403, "<Error><Code>SignatureDoesNotMatch</Code></Error>", ErrUnauthorized},
		"no bucket":       {404, "<Error><Code>NoSuchBucket</Code></Error>", ErrNotFound},
		"no key":          {404, "<Error><Code>NoSuchKey</Code></Error>", ErrNotFound},
		"bad request":     {400, "<Error><Code>InvalidArgument</Code></Error>", ErrInvalid},
		"html":            {404, "<html>nginx</html>", ErrNotFound},
		"not implemented": {501, "", ErrUnavailable},
	} {
		t.Run(reason, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/xml")
				w.WriteHeader(tc.status)
				_, _ = w.Write([]byte(tc.body))
			}))
			defer srv.Close()
			_, _, err := store(t, srv.URL).Get(t.Context(), "k")
			if !errors.Is(err, tc.want) {
				t.Fatalf("err = %v", err)
			}
		})
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := store(t, "127.0.0.1:1").Stat(ctx, "k")
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnavailable) {
		t.Fatalf("err = %v", err)
	}
}
