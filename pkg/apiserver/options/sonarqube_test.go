// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/slipway-dev/slipway/pkg/apiserver"
)

func TestSonarQube(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("squ_1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for reason, tt := range map[string]struct {
		args []string
		want string
		set  bool
	}{
		"nothing":          {nil, "", false},
		"address":          {[]string{"--sonarqube-url=https://sonar.example.org/x"}, "", true},
		"address of ours":  {[]string{"--sonarqube-url=http://127.0.0.1:9000", "--sonarqube-token-file=" + file}, "", true},
		"token only":       {[]string{"--sonarqube-token-file=" + file}, "--sonarqube-url", false},
		"no address":       {[]string{"--sonarqube-url=sonar"}, "--sonarqube-url", false},
		"with a password":  {[]string{"--sonarqube-url=https://u:hunter2@sonar.example.org"}, "credential", false},
		"no such file":     {[]string{"--sonarqube-url=https://sonar.example.org", "--sonarqube-token-file=" + file + "x"}, "sonarqube-token-file", false},
		"query in address": {[]string{"--sonarqube-url=https://sonar.example.org?x"}, "query", false},
	} {
		var o SonarQube
		flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
		o.AddFlags(flags)
		if err := flags.Parse(tt.args); err != nil {
			t.Fatal(err)
		}
		var config apiserver.Config
		err := errors.Join(o.Validate()...)
		if err == nil {
			err = o.ApplyTo(&config)
		}
		text := ""
		if err != nil {
			text = err.Error()
		}
		if (tt.want == "") != (err == nil) || !strings.Contains(text, tt.want) || strings.Contains(text, "hunter2") || (config.SonarQube != nil) != tt.set {
			t.Errorf("%s: %q, set %v; want %q, %v", reason, text, config.SonarQube != nil, tt.want, tt.set)
		}
	}
}
