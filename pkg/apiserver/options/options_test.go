// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/slipway-dev/slipway/pkg/apiserver"
	"github.com/slipway-dev/slipway/pkg/backends"
)

func parse(t *testing.T, args ...string) *Options {
	t.Helper()
	o := New()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	o.AddFlags(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatalf("parse %v: %v", args, err)
	}
	return o
}

func file(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestValidateReportsEverything(t *testing.T) {
	o := parse(t, "--listen=9090", "--tls-cert-file=x", "--shutdown-delay=-1s", "--request-timeout=0", "--max-body-bytes=0",
		"--max-requests-inflight=0", "--max-streams=0", "--user-rate=-1", "--kube-api-qps=0", "--jwt-issuers=", "--jwt-clock-skew=1h",
		"--token-lifetime=1s", "--system-namespace=", "--authorization-allow-ttl=-1s", "--gc-percent=0", "--memory-limit-mib=-1", "--jenkins-url=http://j", "--s3-endpoint=x")
	var got []string
	for _, err := range o.Validate() {
		name, _, _ := strings.Cut(err.Error(), ":")
		got = append(got, name)
	}
	want := []string{
		"--listen", "--tls-cert-file", "--shutdown-delay", "--request-timeout", "--max-body-bytes", "--max-requests-inflight",
		"--max-streams", "--user-rate", "--kube-api-qps", "--jwt-secret-file", "--jwt-issuers", "--jwt-clock-skew", "--token-lifetime",
		"--system-namespace", "--authorization-allow-ttl", "--gc-percent", "--memory-limit-mib", "--jenkins-token-file", "--s3-secret-key-file",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, _, err := o.Config(t.Context()); err == nil || !strings.Contains(err.Error(), "--listen") || !strings.Contains(err.Error(), "--s3-secret-key-file") {
		t.Errorf("Config: %v, want all problems", err)
	}
}

func TestDefaultsAreValid(t *testing.T) {
	o := parse(t, "--jwt-secret-file=x")
	if errs := o.Validate(); len(errs) > 0 {
		t.Errorf("Validate of the defaults: %v", errs)
	}
}

func TestApplyTo(t *testing.T) {
	secret := file(t, strings.Repeat("s", 32)+"\n")
	o := parse(t, "--jwt-secret-file="+secret, "--user-rate=0", "--authorization-deny-ttl=0", "--jenkins-url=http://jenkins", "--jenkins-user=u",
		"--jenkins-token-file="+secret, "--s3-endpoint=http://s3:9000", "--s3-access-key-file="+secret, "--s3-secret-key-file="+secret, "--token-review=false", "--shutdown-delay=5s", "--webhook-secret-file="+secret, "--egress-allow-local")
	var config apiserver.Config
	for name, step := range map[string]func(*apiserver.Config) error{
		"serving": o.Serving.ApplyTo, "limits": o.Limits.ApplyTo, "authentication": o.Authentication.ApplyTo,
		"authorization": o.Authorization.ApplyTo, "backends": func(c *apiserver.Config) error { return applyBackends(&o.Backends, &o.Files, o.Egress, c) },
	} {
		if err := step(&config); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if string(config.JWTSecret) != strings.Repeat("s", 32) {
		t.Errorf("secret %q, want it without the newline", config.JWTSecret)
	}
	if string(config.WebhookSecret) != strings.Repeat("s", 32) {
		t.Errorf("webhook secret %q", config.WebhookSecret)
	}
	if config.Limits.Rate.PerSecond >= 0 || config.Authorization.DenyTTL >= 0 || config.Authorization.AllowTTL != 10*time.Second {
		t.Errorf("0 must turn off, not give the default: %+v %+v", config.Limits.Rate, config.Authorization)
	}
	if config.Sources.Stages == nil || config.Sources.Logs == nil || config.Sources.Artifacts == nil || config.Sources.Archive == nil || !config.DisableTokenReview {
		t.Errorf("sources or token review are not set: %+v", config.Sources)
	}
	if !config.AllowLocal {
		t.Error("local source code servers are not allowed")
	}
	if config.Serving.TLS != nil || config.Serving.ShutdownDelay != 5*time.Second {
		t.Errorf("serving: %+v", config.Serving)
	}
}

func TestMissingFiles(t *testing.T) {
	var config apiserver.Config
	for flag, err := range map[string]error{
		"--webhook-secret-file": (&Authentication{JWTSecretFile: file(t, "x"), WebhookSecretFile: "/none"}).ApplyTo(&config),
		"--jwt-secret-file":     (&Authentication{JWTSecretFile: "/none"}).ApplyTo(&config),
		"--tls-cert-file":       (&Serving{Address: ":1", CertFile: "/none", KeyFile: "/none"}).ApplyTo(&config),
		"--jenkins-token-file":  applyBackends(&backends.Options{JenkinsURL: "http://j", JenkinsTokenFile: "/none"}, &Files{}, backends.Egress{}, &config),
		"--jenkins-url":         applyBackends(&backends.Options{JenkinsURL: "ftp://j", JenkinsTokenFile: file(t, "x")}, &Files{}, backends.Egress{}, &config),
		"--s3-secret-key-file":  applyBackends(&backends.Options{S3Endpoint: "s3", S3AccessKeyFile: file(t, "x"), S3SecretKeyFile: "/none"}, &Files{}, backends.Egress{}, &config),
	} {
		if err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("%v, want an error that names %s", err, flag)
		}
	}
}
