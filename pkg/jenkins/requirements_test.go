// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestExamples: the setup in docs/examples keeps the rules that docs/jenkins.md gives.
func TestExamples(t *testing.T) {
	read := func(name string, out any) {
		t.Helper()
		data, err := os.ReadFile("../../docs/examples/jenkins/" + name)
		if err == nil {
			for doc := range strings.SplitSeq(string(data), "\n---\n") {
				err = errors.Join(err, yaml.UnmarshalStrict([]byte(doc), out))
			}
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	var casc struct {
		Jenkins      map[string]any `json:"jenkins"`
		Unclassified map[string]any `json:"unclassified"`
	}
	read("casc.yaml", &casc) // strict: no other root, so no credentials
	if _, ok := casc.Jenkins["clouds"]; ok || len(casc.Jenkins) == 0 || casc.Unclassified["eventDispatcher"] == nil {
		t.Errorf("casc.yaml: %v", casc)
	}
	var values struct {
		Controller struct {
			JCasC struct {
				DefaultConfig bool `json:"defaultConfig"`
			} `json:"JCasC"`
		} `json:"controller"`
		Agent struct {
			Enabled bool `json:"enabled"`
		} `json:"agent"`
	}
	data, err := os.ReadFile("../../docs/examples/jenkins/values-jenkins.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, &values); err != nil || values.Controller.JCasC.DefaultConfig || values.Agent.Enabled || !strings.Contains(string(data), "defaultConfig: false") {
		t.Errorf("values-jenkins.yaml: %v %+v", err, values)
	}
	var role map[string]any
	read("rbac.yaml", &role)
	rbac, err := os.ReadFile("../../docs/examples/jenkins/rbac.yaml")
	if err != nil || strings.Count(string(rbac), "verbs:") != 1 || !strings.Contains(string(rbac), "verbs: [create, get, delete, list, watch]") {
		t.Errorf("rbac.yaml gives more or less than the five verbs: %v", err)
	}
	var cloud struct {
		Name  string `json:"name"`
		Class string `json:"$class"`
	}
	form, err := os.ReadFile("../../docs/examples/jenkins/cloud.json")
	if err == nil {
		err = json.Unmarshal(form, &cloud)
	}
	if err != nil || cloud.Name != DefaultCloud || cloud.Class == "" {
		t.Errorf("cloud.json: %v %+v", err, cloud)
	}
	read("values-slipway.yaml", &role)
}

func readGzip(name string, out any) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	return json.NewDecoder(z).Decode(out)
}

func TestOlder(t *testing.T) {
	for reason, tc := range map[string]struct {
		version, than string
		want          bool
	}{
		"the same":       {"2.541.2", "2.541.2", false},
		"a weekly":       {"2.387", "2.414", true},
		"an LTS":         {"2.414.3", "2.414", false},
		"by number":      {"2.1000", "2.541.2", false},
		"a snapshot":     {"2.541.2-SNAPSHOT (private)", "2.541.2", false},
		"shorter":        {"2", "2.414", true},
		"nonsense is 0":  {"unknown", "2.414", true},
		"nothing at all": {"", "2.414", true},
	} {
		if got := Older(tc.version, tc.than); got != tc.want {
			t.Errorf("%s: Older(%q, %q) = %t", reason, tc.version, tc.than, got)
		}
	}
}

// TestRequirements: the page lists the plugins that the code asks for, with the versions that were recorded.
func TestRequirements(t *testing.T) {
	page, err := os.ReadFile("../../docs/jenkins.md")
	if err != nil {
		t.Fatal(err)
	}
	recorded := map[string]string{}
	files, err := filepath.Glob(recordings + "*.json.gz")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	for _, f := range files {
		var rec struct {
			Jenkins string            `json:"jenkins"`
			Plugins map[string]string `json:"plugins"`
		}
		if err := readGzip(f, &rec); err != nil {
			t.Fatal(err)
		}
		if rec.Jenkins != TestedVersion {
			t.Errorf("%s is of Jenkins %s", f, rec.Jenkins)
		}
		for name, version := range rec.Plugins {
			recorded[name] = version
		}
	}
	for _, r := range Requirements() {
		version := r.Tested
		if version == "" {
			version = "–"
		}
		if row := "| " + r.Plugin + " | " + version + " | " + r.For + " |"; !strings.Contains(string(page), row) {
			t.Errorf("docs/jenkins.md has no row %q", row)
		}
		if recorded[r.Plugin] != r.Tested {
			t.Errorf("%s was recorded with %q, not %q", r.Plugin, recorded[r.Plugin], r.Tested)
		}
	}
	if missing := Missing(recorded); len(missing) == 0 || len(missing) == len(Requirements()) {
		t.Errorf("Missing = %v", missing)
	}
}
