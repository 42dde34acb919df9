// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package crd

import "testing"

func TestAll(t *testing.T) {
	definitions, err := All()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{
		"devcontainerapps.devcontainer.devstar.cn":  true,
		"devopsprojects.devops.kubesphere.io":       true,
		"gitrepositories.devops.kubesphere.io":      true,
		"pipelineruns.devops.kubesphere.io":         true,
		"pipelines.devops.kubesphere.io":            true,
		"s2ibinaries.devops.kubesphere.io":          true,
		"templates.devops.kubesphere.io":            true,
		"clustertemplates.devops.kubesphere.io":     true,
		"clustersteptemplates.devops.kubesphere.io": true,
		"webhooks.devops.kubesphere.io":             true,
	}
	for _, definition := range definitions {
		if !want[definition.Name] {
			t.Errorf("unexpected definition %s", definition.Name)
		}
		delete(want, definition.Name)
		for _, version := range definition.Spec.Versions {
			if version.Schema == nil || version.Schema.OpenAPIV3Schema == nil {
				t.Errorf("%s %s has no schema: any object would be accepted", definition.Name, version.Name)
			}
		}
	}
	for name := range want {
		t.Errorf("%s is missing", name)
	}
}
