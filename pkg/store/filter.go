// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/pkg/index"
)

// aliasAnnotation is KubeSphere's name for people to read, see the API types.
const aliasAnnotation = "kubesphere.io/alias-name"

// filterName is the key of the filter for a part of the name.
const filterName = "name"

// filters are KubeSphere's filters that every list has, by the key of the query.
var filters = map[string]func(obj client.Object, value string) bool{
	filterName: func(obj client.Object, value string) bool {
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

// filtered tells if a filter that the store knows is among those of the query.
func (q Query) filtered() bool {
	for key := range q.Filters {
		if filters[key] != nil {
			return true
		}
	}
	return false
}

// matcher makes one condition of everything that a query asks for. It is made to be asked of many
// objects.
func matcher[T client.Object](fields map[string]client.IndexerFunc, q Query, filters []Filter[T]) func(client.Object) bool {
	conditions := q.conditions(fields)
	return func(obj client.Object) bool {
		for _, holds := range conditions {
			if !holds(obj) {
				return false
			}
		}
		own, ok := obj.(T)
		if !ok {
			return false
		}
		for _, holds := range filters {
			if !holds(own) {
				return false
			}
		}
		return true
	}
}

// conditions are what a query asks for, one by one.
func (q Query) conditions(fields map[string]client.IndexerFunc) []func(client.Object) bool {
	var conditions []func(client.Object) bool
	if q.Namespace != "" {
		conditions = append(conditions, func(obj client.Object) bool { return obj.GetNamespace() == q.Namespace })
	}
	if q.Field != "" {
		values := fields[q.Field]
		conditions = append(conditions, func(obj client.Object) bool { return values != nil && slices.Contains(values(obj), q.Value) })
	}
	for key, value := range q.Filters {
		if filter, ok := filters[key]; ok {
			conditions = append(conditions, func(obj client.Object) bool { return filter(obj, value) })
		}
	}
	if q.Labels != nil && !q.Labels.Empty() {
		conditions = append(conditions, func(obj client.Object) bool { return q.Labels.Matches(labels.Set(obj.GetLabels())) })
	}
	return conditions
}

// Condition makes one filter of everything that a query and filters ask for.
func Condition[T client.Object](q Query, filters ...Filter[T]) Filter[T] {
	var kind T
	matches := matcher(index.Sorted(kind), q, filters)
	return func(obj T) bool { return matches(obj) }
}
