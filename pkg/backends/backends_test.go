// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
)

func secret(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func options(t *testing.T, args ...string) *Options {
	t.Helper()
	o := NewOptions()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	o.AddFlags(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return &o
}

func TestValidate(t *testing.T) {
	for reason, tc := range map[string]struct {
		args []string
		want string // in the error; empty: it is valid
	}{
		"nothing given":         {},
		"a token":               {args: []string{"--jenkins-url=http://ci", "--jenkins-token-file=f"}},
		"a password":            {args: []string{"--jenkins-url=http://ci", "--jenkins-password-file=f"}},
		"no credential":         {args: []string{"--jenkins-url=http://ci"}, want: "--jenkins-token-file"},
		"no user":               {args: []string{"--jenkins-url=http://ci", "--jenkins-user=", "--jenkins-token-file=f"}, want: "--jenkins-user"},
		"token and password":    {args: []string{"--jenkins-url=http://ci", "--jenkins-token-file=f", "--jenkins-password-file=f"}, want: "not both"},
		"negative time limit":   {args: []string{"--jenkins-timeout=-1s"}, want: "--jenkins-timeout"},
		"negative bound":        {args: []string{"--jenkins-max-in-flight=-1"}, want: "--jenkins-max-in-flight"},
		"S3 without credential": {args: []string{"--s3-endpoint=http://s3"}, want: "--s3-secret-key-file"},
	} {
		t.Run(reason, func(t *testing.T) {
			err := errors.Join(options(t, tc.args...).Validate()...)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("err = %v, want %q", err, tc.want)
			}
		})
	}
}

// TestJenkins: what the flags say is what goes over the wire.
func TestJenkins(t *testing.T) {
	var user, given, path string
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, given, _ = r.BasicAuth()
		path = r.URL.Path
		w.Header().Set("X-Jenkins", "2")
		_, _ = w.Write([]byte("{}"))
	}))
	defer srv.Close()
	for reason, tc := range map[string]struct{ flag, text, want string }{
		"token":    {"--jenkins-token-file", "t0ken\n", "t0ken"},
		"password": {"--jenkins-password-file", " pass word ", "pass word"},
	} {
		t.Run(reason, func(t *testing.T) {
			registry := prometheus.NewRegistry()
			o := options(t, "--jenkins-url="+srv.URL+"/ci/jenkins/", "--jenkins-user=dev", "--jenkins-insecure-skip-tls-verify", tc.flag+"="+secret(t, tc.text))
			o.Registerer = registry
			client, err := o.Jenkins()
			if err != nil {
				t.Fatal(err)
			}
			if err := client.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			if user != "dev" || given != tc.want || path != "/ci/jenkins/api/json" {
				t.Errorf("%s:%s at %s", user, given, path)
			}
			families, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			up := -1.0
			for _, f := range families {
				if f.GetName() == "slipway_jenkins_up" {
					up = f.GetMetric()[0].GetGauge().GetValue()
				}
			}
			if up != 1 {
				t.Errorf("slipway_jenkins_up = %v", up)
			}
		})
	}
	t.Run("no address", func(t *testing.T) {
		if client, err := options(t).Jenkins(); client != nil || err != nil {
			t.Errorf("%v, %v", client, err)
		}
	})
	for reason, file := range map[string]string{"empty file": secret(t, " \n"), "no file": filepath.Join(t.TempDir(), "nosuch")} {
		t.Run(reason, func(t *testing.T) {
			if _, err := options(t, "--jenkins-url="+srv.URL, "--jenkins-token-file="+file).Jenkins(); err == nil || !strings.Contains(err.Error(), "--jenkins-token-file") {
				t.Errorf("err = %v", err)
			}
		})
	}
}
