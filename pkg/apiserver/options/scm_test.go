// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/slipway-dev/slipway/pkg/apiserver"
)

func TestSCM(t *testing.T) {
	var o SCM
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	o.AddFlags(flags)
	servers := file(t, "- {name: ours, provider: gitlab, url: 'https://gitlab.example.org'}")
	if err := flags.Parse([]string{"--scm-webhook-allow-unsigned", "--scm-servers-file=" + servers, "--scm-webhook-secret-file=" + file(t, "a-secret-of-32-bytes-0123456789ab\n")}); err != nil {
		t.Fatal(err)
	}
	var config apiserver.Config
	if err := o.ApplyTo(&config); err != nil {
		t.Fatal(err)
	}
	if s := config.SCM; s == nil || !s.AllowUnsigned || len(s.Servers) != 1 || string(s.WebhookSecret) != "a-secret-of-32-bytes-0123456789ab" {
		t.Errorf("got %+v", config.SCM)
	}
	for flag, o := range map[string]SCM{
		"--scm-servers-file":        {ServersFile: file(t, "x: y")},
		"--scm-webhook-secret-file": {WebhookSecretFile: file(t, "short")},
	} {
		if err := o.ApplyTo(&config); err == nil || !strings.Contains(err.Error(), flag) || strings.Contains(err.Error(), "has short") {
			t.Errorf("%s: %v", flag, err)
		}
	}
}
