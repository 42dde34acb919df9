// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"strconv"
	"sync/atomic"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// position is where an object is in an order. No two objects of a kind have the same one.
type position struct {
	// created is the time of creation in microseconds since 1970. Kubernetes keeps seconds only.
	created         int64
	name, namespace string
}

// byCreation puts the oldest first, objects of equal age by name.
func byCreation(a, b position) int {
	if order := cmp.Compare(a.created, b.created); order != 0 {
		return order
	}
	return byName(a, b)
}

// byName puts the least name first.
func byName(a, b position) int {
	if order := cmp.Compare(a.name, b.name); order != 0 {
		return order
	}
	return cmp.Compare(a.namespace, b.namespace)
}

// entry is one version of an object. It never changes: a new version is a new entry.
type entry struct {
	position
	// obj belongs to the cache and must not be changed.
	obj client.Object
	// version is the object's resourceVersion, 0 if it is not a number.
	version uint64
	// json is the object as it is sent, nil while nobody needs it.
	json atomic.Pointer[[]byte]
	// recent is set when json was used since the last look at it.
	recent atomic.Bool
}

func newEntry(obj client.Object) *entry {
	version, _ := strconv.ParseUint(obj.GetResourceVersion(), 10, 64)
	return &entry{
		position: position{created: obj.GetCreationTimestamp().UnixMicro(), name: obj.GetName(), namespace: obj.GetNamespace()},
		obj:      obj, version: version,
	}
}
