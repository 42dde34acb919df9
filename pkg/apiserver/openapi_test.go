// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/erraggy/oastools/parser"
	"github.com/erraggy/oastools/validator"
	"github.com/go-openapi/spec"
	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/pkg/apiserver/filters"
	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/kapis"
)

func document(t *testing.T, w *world) *spec.Swagger {
	t.Helper()
	answer := w.do(call{path: "/openapi.json"})
	if answer.Code != 200 || answer.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("/openapi.json: %d %s", answer.Code, answer.Header().Get("Content-Type"))
	}
	d := decode[spec.Swagger](t, answer)
	return &d
}

func TestOpenAPIIsValid(t *testing.T) {
	w := newWorld(t, nil)
	parsed, err := parser.ParseWithOptions(parser.WithBytes(w.do(call{path: "/openapi.json"}).Body.Bytes()))
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	if parsed.Version != "2.0" {
		t.Errorf("version %q, want 2.0", parsed.Version)
	}
	result, err := validator.ValidateWithOptions(validator.WithParsed(*parsed))
	if err != nil {
		t.Fatalf("validate: %v", err)
	}
	for _, problem := range result.Errors {
		t.Errorf("not valid: %s: %s", problem.Path, problem.Message)
	}
}

// TestOpenAPICoversEveryRoute also checks what a reader of the document relies on: typed answers, a
// tag, and an id that occurs once.
func TestOpenAPICoversEveryRoute(t *testing.T) {
	w := newWorld(t, nil)
	d := document(t, w)
	ids := map[string]string{}
	for _, service := range w.services() {
		for _, route := range service.Routes() {
			at := route.Method + " " + route.Path
			item, ok := d.Paths.Paths[wildcard.ReplaceAllString(strings.TrimSuffix(route.Path, "/"), "{$1}")]
			if !ok {
				t.Errorf("%s is not described", at)
				continue
			}
			operation := map[string]*spec.Operation{
				http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put,
				http.MethodPatch: item.Patch, http.MethodDelete: item.Delete,
			}[route.Method]
			if operation == nil || operation.ID == "" {
				t.Errorf("%s is not described, or has no id", at)
				continue
			}
			if before, taken := ids[operation.ID]; taken {
				t.Errorf("%s and %s have the same id %s", at, before, operation.ID)
			}
			ids[operation.ID] = at
			if strings.HasPrefix(route.Path, "/api/") {
				continue // the face of this test
			}
			checkOperation(t, at, route.Path, operation)
		}
	}
	for path := range plain {
		if item, ok := d.Paths.Paths[path]; !ok || item.Get == nil {
			t.Errorf("%s is not described", path)
		}
	}
}

// wildcard is a parameter of a route that matches a pattern.
var wildcard = regexp.MustCompile(`\{([^}:]+):[^}]*\}`)

func checkOperation(t *testing.T, at, path string, operation *spec.Operation) {
	t.Helper()
	if operation.Summary == "" || len(operation.Tags) == 0 {
		t.Errorf("%s has no summary or tag", at)
	}
	for code, answer := range operation.Responses.StatusCodeResponses {
		// KubeSphere's answer to this has no body.
		empty := strings.HasPrefix(operation.ID, "deletePipelineRun") && code == 200
		redirect := code >= 300 && code < 400
		if answer.Schema == nil && !empty && !redirect {
			t.Errorf("%s: the answer %d has no type", at, code)
		}
	}
	if strings.HasPrefix(path, "/kapis/") {
		codes := []int{400, 401, 403, 429, 503}
		if operation.Security != nil && len(operation.Security) == 0 {
			codes = []int{400, 401, 503} // it has no user
		}
		for _, code := range codes {
			if _, ok := operation.Responses.StatusCodeResponses[code]; !ok {
				t.Errorf("%s: the answer %d is not described", at, code)
			}
		}
	}
}

func TestOpenAPISecurity(t *testing.T) {
	d := document(t, newWorld(t, nil))
	if d.SecurityDefinitions["bearer"] == nil || d.SecurityDefinitions["login"] == nil || len(d.Security) != 2 {
		t.Fatalf("security %v %v, want a token or a login for all", d.SecurityDefinitions, d.Security)
	}
	for path, want := range map[string]bool{"/oauth/token": true, "/healthz": true, "/version": true, "/metrics": false, devops + "/devopsprojects": false} {
		item := d.Paths.Paths[path]
		operation := item.Get
		if operation == nil {
			operation = item.Post
		}
		if open := operation.Security != nil && len(operation.Security) == 0; open != want {
			t.Errorf("%s is described as open: %v, want %v", path, open, want)
		}
	}
	if got := d.Definitions["v1alpha3.NoScmPipeline"].Properties["jenkinsfile"]; got.Description == "" || got.MaxLength == nil {
		t.Errorf("the definitions do not have the texts and rules of the resource definitions: %+v", got)
	}
}

var pathParameter = regexp.MustCompile(`\{[^}]+\}`)

// TestRightsOfRoutes compares, for every route, the right that it says it needs with the one that
// authorization asks for.
func TestRightsOfRoutes(t *testing.T) {
	w := newWorld(t, nil)
	routes := 0
	for _, service := range w.services() {
		for _, route := range service.Routes() {
			if !strings.HasPrefix(route.Path, request.Root) {
				continue
			}
			if w.server.paths.policyOf(route.Method, route.Path) == filters.PathOpen {
				continue // it has a credential of its own
			}
			if request.DecidesItself(route.Path) {
				if access, ok := route.Metadata[kapis.KeyAccess]; ok {
					t.Errorf("%s %s says that it needs %v, which nobody asks for: its handler decides", route.Method, route.Path, access)
				}
				continue
			}
			routes++
			path := pathParameter.ReplaceAllString(route.Path, "x")
			info, err := request.Parse(httptest.NewRequest(route.Method, path, nil))
			if err != nil {
				t.Errorf("%s %s: %v", route.Method, route.Path, err)
				continue
			}
			want, ok := route.Metadata[kapis.KeyAccess].(kapis.Access)
			if !ok {
				t.Errorf("%s %s does not say which right it needs", route.Method, route.Path)
				continue
			}
			got := kapis.Access{Verb: info.Verb, Group: info.APIGroup, Resource: info.Resource, Subresource: info.Subresource}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s %s: -said +asked:\n%s", route.Method, route.Path, diff)
			}
			if namespaced := strings.Contains(route.Path, "{namespace}"); namespaced != (info.Namespace == "x") {
				t.Errorf("%s %s: authorized in namespace %q", route.Method, route.Path, info.Namespace)
			}
			if named := strings.Contains(route.Path, "{name}") || strings.Contains(route.Path, "/runs/{run}"); named != (info.Name == "x") {
				t.Errorf("%s %s: authorized for the name %q", route.Method, route.Path, info.Name)
			}
		}
	}
	if routes < 50 {
		t.Errorf("%d routes, want all of them", routes)
	}
}

// TestOpenAPIOfValues looks at types that reflection gets wrong.
func TestOpenAPIOfValues(t *testing.T) {
	d := document(t, newWorld(t, nil))
	resolve := func(s spec.Schema) spec.Schema {
		if name, ok := strings.CutPrefix(s.Ref.String(), "#/definitions/"); ok {
			return d.Definitions[name]
		}
		return s
	}
	value := resolve(d.Definitions["pipelinerun.InputValue"].Properties["value"])
	if len(value.Type) != 0 {
		t.Errorf("the value of an input is described as %v, and an object is refused", value.Type)
	}
	stage, step := d.Definitions["pipelinerun.Stage"].Properties, d.Definitions["pipelinerun.Step"].Properties
	for name, at := range map[string]spec.Schema{"stage": stage["startTime"], "step": step["startTime"]} {
		if got := resolve(at); !got.Type.Contains("string") || got.Format != "date-time" {
			t.Errorf("the start of a %s is described as %v %q", name, got.Type, got.Format)
		}
	}
	if _, ok := step["approvable"]; !ok {
		t.Errorf("steps are described without approvable: %v", step)
	}
}
