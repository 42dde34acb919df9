// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestARunThatIsGoneIsNotInLine(t *testing.T) {
	var woken []string
	s := newStarts(func(key client.ObjectKey) { woken = append(woken, key.Name) })
	key := func(name string) client.ObjectKey { return client.ObjectKey{Namespace: ns, Name: name} }
	want := turn{job: "p/build", fingerprint: "x"}
	if _, ok := s.reserve(key("first"), want); !ok {
		t.Fatal("the turn is free")
	}
	for _, name := range []string{"gone", "next", "also-gone"} {
		if holder, ok := s.reserve(key(name), want); ok || holder != "first" {
			t.Fatalf("%s has the turn of %q", name, holder)
		}
	}
	s.forget(key("gone"))
	s.forget(key("also-gone"))
	s.leave(key("first"))
	if len(woken) != 1 || woken[0] != "next" {
		t.Errorf("woken: %v", woken)
	}
	if _, ok := s.reserve(key("next"), want); !ok {
		t.Error("the turn is free again")
	}
	s.forget(key("next"))
	s.forget(key("first"))
	if n := len(s.waiting) + len(s.runs) + len(s.left); n > 0 {
		t.Errorf("%d things are remembered of runs that are gone", n)
	}
}
