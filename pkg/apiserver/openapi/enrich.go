// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"encoding/json"
	"strings"

	"github.com/go-openapi/spec"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

const definitionsPrefix = "#/definitions/"

// enrichSchema completes a definition, and those that it refers to, from the schema of a resource
// definition.
func enrichSchema(definitions spec.Definitions, name string, from *apiextensionsv1.JSONSchemaProps) {
	definition, ok := definitions[name]
	if _, encodesItself := plainTypes[name]; !ok || encodesItself {
		return
	}
	if definition.Description == "" {
		definition.Description = from.Description
	}
	if len(from.Properties) > 0 {
		definition.Required = from.Required
	}
	for key, rules := range from.Properties {
		property, ok := definition.Properties[key]
		if !ok {
			continue
		}
		if target, isRef := refOf(property); isRef {
			enrichSchema(definitions, target, &rules)
			continue
		}
		apply(&property, rules)
		definition.Properties[key] = property
		if rules.Items != nil && rules.Items.Schema != nil && property.Items != nil && property.Items.Schema != nil {
			if target, isRef := refOf(*property.Items.Schema); isRef {
				enrichSchema(definitions, target, rules.Items.Schema)
			}
		}
	}
	definitions[name] = definition
}

func refOf(schema spec.Schema) (name string, ok bool) {
	return strings.CutPrefix(schema.Ref.String(), definitionsPrefix)
}

// apply copies what JSON schema of both versions has in common.
func apply(to *spec.Schema, from apiextensionsv1.JSONSchemaProps) {
	to.Description = from.Description
	to.Pattern = from.Pattern
	to.MinLength, to.MaxLength = from.MinLength, from.MaxLength
	to.MinItems, to.MaxItems = from.MinItems, from.MaxItems
	to.Minimum, to.Maximum = from.Minimum, from.Maximum
	if from.Default != nil {
		to.Default = decode(from.Default.Raw)
	}
	to.Enum = nil
	for _, value := range from.Enum {
		to.Enum = append(to.Enum, decode(value.Raw))
	}
}

// decode reads a value of a schema; one that is no JSON is left out.
func decode(raw []byte) any {
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return nil
	}
	return value
}
