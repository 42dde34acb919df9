// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package index

import (
	"context"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// reader notes how it is asked for a list.
type reader struct {
	client.Reader
	asked client.ListOptions
}

func (r *reader) List(_ context.Context, _ client.ObjectList, opts ...client.ListOption) error {
	r.asked.ApplyOptions(opts)
	return nil
}

func TestRunsAreNotCopied(t *testing.T) {
	r := &reader{}
	if _, err := RunsOf(t.Context(), r, client.ObjectKey{Namespace: "p", Name: "build"}); err != nil {
		t.Fatal(err)
	}
	if unsafe := r.asked.UnsafeDisableDeepCopy; unsafe == nil || !*unsafe {
		t.Error("each start of one run copies all runs of its pipeline")
	}
	if r.asked.Namespace != "p" || r.asked.FieldSelector.String() != RunPipeline+"=build" {
		t.Errorf("asked for %q in %q", r.asked.FieldSelector, r.asked.Namespace)
	}
}
