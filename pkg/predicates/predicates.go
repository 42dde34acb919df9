// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package predicates holds the event filters that several controllers share.
package predicates

import (
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

// SpecChanged lets through what a user did: creation, deletion (which raises the generation) and a
// change of the spec. A controller's own writes of status and annotations do not wake it again.
func SpecChanged() predicate.Predicate { return predicate.GenerationChangedPredicate{} }

// Changed lets an update through if the value of the object is another one than before, besides
// all creations and deletions.
func Changed[T client.Object, V comparable](value func(T) V) predicate.Predicate {
	return predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, ok := e.ObjectOld.(T)
			if !ok {
				return false
			}
			after, ok := e.ObjectNew.(T)
			return ok && value(before) != value(after)
		},
	}
}
