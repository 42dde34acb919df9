// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package version

import (
	"runtime"
	"strings"
	"testing"
)

func TestGet(t *testing.T) {
	gitVersion, gitCommit = "v1.2.3", "0123456789abcdef"
	t.Cleanup(func() { gitVersion, gitCommit = "", "" })

	info := Get()
	if info.GitVersion != "v1.2.3" || info.GitCommit != "0123456789abcdef" || info.GoVersion != runtime.Version() {
		t.Errorf("Get() = %+v, want what the linker was told", info)
	}
	if got := info.String(); !strings.HasPrefix(got, "v1.2.3 (0123456789ab, ") {
		t.Errorf("String() = %q, want the version and twelve digits of the commit", got)
	}
}

func TestGetWithoutLinkerFlags(t *testing.T) {
	if got := Get().GitVersion; got != "devel" {
		t.Errorf("GitVersion = %q, want devel", got)
	}
}
