// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package crd holds the generated CustomResourceDefinitions, so that a program can install them.
package crd

import (
	"embed"
	"fmt"
	"io/fs"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// FS holds one YAML file a definition, below bases/.
//
//go:embed bases/*.yaml
var FS embed.FS

// All gives the definitions in the order of their file names.
func All() ([]*apiextensionsv1.CustomResourceDefinition, error) {
	files, err := fs.Glob(FS, "bases/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list embedded definitions: %w", err)
	}
	definitions := make([]*apiextensionsv1.CustomResourceDefinition, 0, len(files))
	for _, file := range files {
		content, err := FS.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read embedded definition: %w", err)
		}
		definition := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(content, definition); err != nil {
			return nil, fmt.Errorf("decode embedded definition %s: %w", file, err)
		}
		definitions = append(definitions, definition)
	}
	return definitions, nil
}
