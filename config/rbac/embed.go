// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rbac holds the roles of Slipway's users, so that a program can install them.
package rbac

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

//go:embed users/roles.yaml
var users string

// AdminGroup is the group that the role binding slipway-admins names.
const AdminGroup = "slipway:admins"

// Users gives the roles and role bindings of Slipway's users.
func Users() ([]*unstructured.Unstructured, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(users), 4096)
	var objects []*unstructured.Unstructured
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("decode embedded roles: %w", err)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}
