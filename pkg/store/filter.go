// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// aliasAnnotation is KubeSphere's name for people to read, see the API types.
const aliasAnnotation = "kubesphere.io/alias-name"

// filters are KubeSphere's filters that every list has, by the key of the query.
var filters = map[string]func(obj client.Object, value string) bool{
	"name": func(obj client.Object, value string) bool {
		return strings.Contains(obj.GetName(), value) || strings.Contains(obj.GetAnnotations()[aliasAnnotation], value)
	},
	"names": func(obj client.Object, value string) bool {
		return slices.Contains(strings.Split(value, ","), obj.GetName())
	},
	"uid":       func(obj client.Object, value string) bool { return string(obj.GetUID()) == value },
	"namespace": func(obj client.Object, value string) bool { return obj.GetNamespace() == value },
	"ownerReference": func(obj client.Object, value string) bool {
		for _, owner := range obj.GetOwnerReferences() {
			if string(owner.UID) == value {
				return true
			}
		}
		return false
	},
	"ownerKind": func(obj client.Object, value string) bool {
		for _, owner := range obj.GetOwnerReferences() {
			if owner.Kind == value {
				return true
			}
		}
		return false
	},
	"annotation": func(obj client.Object, value string) bool { return hasPair(obj.GetAnnotations(), value) },
	"label":      func(obj client.Object, value string) bool { return hasPair(obj.GetLabels(), value) },
}

// hasPair looks for "key" or "key=value".
func hasPair(pairs map[string]string, wanted string) bool {
	key, value, exact := strings.Cut(wanted, "=")
	got, ok := pairs[key]
	return ok && (!exact || got == value)
}

// matches tells if all filters that the store knows let the object through.
func (q Query) matches(obj client.Object) bool {
	for key, value := range q.Filters {
		if filter, ok := filters[key]; ok && !filter(obj, value) {
			return false
		}
	}
	return true
}
