// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package require

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

func TestErrorIsOneSentenceWithAWayOut(t *testing.T) {
	for _, err := range []error{
		Missing(nil, "it needs root, for control groups and network namespaces"),
		Missing(fs.ErrNotExist, "the kernel has no %s", "overlayfs"),
	} {
		msg := err.Error()
		if strings.Contains(msg, "\n") || strings.Contains(msg, ". ") {
			t.Errorf("not one sentence: %q", msg)
		}
		if !strings.Contains(msg, "KUBECONFIG=") || !strings.Contains(msg, "make run") {
			t.Errorf("no way out: %q", msg)
		}
	}
	err := Missing(fs.ErrNotExist, "the kernel has no %s", "overlayfs")
	if !strings.Contains(err.Error(), "overlayfs") || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is missing or why got lost: %v", err)
	}
}

func TestIs(t *testing.T) {
	if !Is(fmt.Errorf("starting: %w", Missing(nil, "x"))) {
		t.Error("a wrapped Error was not recognized")
	}
	if Is(fs.ErrNotExist) || Is(nil) {
		t.Error("something else was taken for an Error")
	}
}
