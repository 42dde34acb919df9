// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package chart holds the parts of the Helm chart against each other.
package chart

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/slipway-dev/slipway/pkg/testing/chart"
)

// schema is what the test reads of values.schema.json.
type schema struct {
	Ref        string            `json:"$ref"`
	Properties map[string]schema `json:"properties"`
	Additional *bool             `json:"additionalProperties"`
	Defs       map[string]schema `json:"$defs"`
}

// values reads the default values.
func values(t *testing.T) map[string]any {
	t.Helper()
	var all map[string]any
	if err := yaml.UnmarshalStrict([]byte(chart.Read(t, "values.yaml")), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// paths lists the values, a map that may have any key as one of them.
func paths(prefix string, all map[string]any, inner func(path string) bool) []string {
	var list []string
	for key, value := range all {
		path := prefix + key
		if below, ok := value.(map[string]any); ok && inner(path) {
			list = append(list, paths(path+".", below, inner)...)
			continue
		}
		list = append(list, path)
	}
	slices.Sort(list)
	return list
}

// described lists the values that a schema describes, and the objects whose keys it names.
func described(prefix string, s schema, objects map[string]bool) []string {
	var list []string
	for key, property := range s.Properties {
		path := prefix + key
		if len(property.Properties) == 0 {
			list = append(list, path)
			continue
		}
		objects[path] = true
		list = append(list, described(path+".", property, objects)...)
	}
	slices.Sort(list)
	return list
}

func readSchema(t *testing.T) schema {
	t.Helper()
	var s schema
	if err := json.Unmarshal([]byte(chart.Read(t, "values.schema.json")), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSchema: each value has a schema and each schema a value, and a key that is misspelt is refused.
func TestSchema(t *testing.T) {
	s := readSchema(t)
	delete(s.Properties, "global") // Helm's own
	objects := map[string]bool{}
	want := described("", s, objects)
	got := paths("", values(t), func(path string) bool { return objects[path] })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values.schema.json and values.yaml do not fit: -schema +values:\n%s", diff)
	}
	var open func(path string, s schema)
	open = func(path string, s schema) {
		if len(s.Properties) > 0 && (s.Additional == nil || *s.Additional) {
			t.Errorf("%s: additionalProperties is not false, so that a misspelt value would be passed over", path)
		}
		for key, property := range s.Properties {
			open(path+"."+key, property)
			if name, ok := strings.CutPrefix(property.Ref, "#/$defs/"); property.Ref != "" && (!ok || s.Defs == nil && readSchema(t).Defs[name].Properties == nil) {
				t.Errorf("%s.%s: %s is not there", path, key, property.Ref)
			}
		}
	}
	open("values", s)
	for name, def := range s.Defs {
		open("$defs."+name, def)
	}
}

var used = regexp.MustCompile(`\.Values((?:\.[A-Za-z0-9]+)+)`)

// TestTemplates: each value that a template takes is there, and each that is there is taken.
func TestTemplates(t *testing.T) {
	objects := map[string]bool{}
	all := described("", readSchema(t), objects)
	files, err := filepath.Glob(filepath.Join(chart.Dir(t), "templates", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("templates: %v, %v", files, err)
	}
	more, err := filepath.Glob(filepath.Join(chart.Dir(t), "files", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	taken := map[string]bool{}
	for _, file := range append(files, more...) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range used.FindAllStringSubmatch(string(text), -1) {
			path := strings.TrimPrefix(match[1], ".")
			taken[path] = true
			if !objects[path] && !slices.Contains(all, path) {
				t.Errorf("%s takes %s, which is no value", filepath.Base(file), path)
			}
		}
	}
	for _, path := range all {
		// A template may take the object around it.
		found := path == "global"
		for p := range maps.Keys(taken) {
			found = found || p == path || strings.HasPrefix(path, p+".")
		}
		if !found {
			t.Errorf("no template takes %s", path)
		}
	}
}

// TestExamples: the values that are shown to people are values.
func TestExamples(t *testing.T) {
	objects := map[string]bool{}
	known := described("", readSchema(t), objects)
	for _, file := range []string{"ci/all-values.yaml", "../../docs/examples/jenkins/values-slipway.yaml"} {
		var example map[string]any
		if err := yaml.UnmarshalStrict([]byte(chart.Read(t, filepath.FromSlash(file))), &example); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, path := range paths("", example, func(path string) bool { return objects[path] }) {
			if !slices.Contains(known, path) {
				t.Errorf("%s has %s, which is no value", file, path)
			}
		}
	}
}
