// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-openapi/spec"
)

// rules checks what every operation of the description owes its readers, people and generators of clients.
type rules struct {
	document *spec.Swagger
	problems []string
}

func (r *rules) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

const mimeJSON = "application/json"

// TestOpenAPIRules: every route has a summary, a description, a tag that the document lists, described parameters,
// and typed bodies with examples; errors are Status objects, except those of the token endpoint and of other faces.
func TestOpenAPIRules(t *testing.T) {
	r := &rules{document: document(t, newWorld(t, nil))}
	operations := 0
	ids := map[string]string{}
	for path, item := range r.document.Paths.Paths {
		if strings.HasPrefix(path, "/api/") {
			continue // the face of this test
		}
		for method, operation := range map[string]*spec.Operation{
			"GET": item.Get, "POST": item.Post, "PUT": item.Put, "PATCH": item.Patch, "DELETE": item.Delete,
		} {
			if operation == nil {
				continue
			}
			operations++
			at := method + " " + path
			if before, taken := ids[operation.ID]; taken {
				r.problem("%s has the id %s of %s", at, operation.ID, before)
			}
			ids[operation.ID] = at
			r.operation(at, operation)
		}
	}
	if operations < 90 {
		t.Errorf("%d operations, want all of them", operations)
	}
	slices.Sort(r.problems)
	for _, problem := range r.problems {
		t.Error(problem)
	}
}

var operationID = regexp.MustCompile(`^[a-z][A-Za-z0-9]*$`)

func (r *rules) operation(at string, o *spec.Operation) {
	if o.Summary == "" || o.Description == "" || len(o.Tags) == 0 {
		r.problem("%s: summary %q, description %q, tags %v: want all of them", at, o.Summary, o.Description, o.Tags)
	}
	if !operationID.MatchString(o.ID) {
		r.problem("%s: the id %q is no name for a function", at, o.ID)
	}
	for _, tag := range o.Tags {
		if !slices.ContainsFunc(r.document.Tags, func(t spec.Tag) bool { return t.Name == tag }) {
			r.problem("%s: the document does not list the tag %s", at, tag)
		}
	}
	for _, p := range o.Parameters {
		if p.Description == "" {
			r.problem("%s: the parameter %s has no description", at, p.Name)
		}
		if p.In == "body" && p.Schema == nil {
			r.problem("%s: the body has no type", at)
		} else if p.In == "body" {
			r.body(at+": body", p.Schema, nil)
		}
	}
	good := 0
	for code, answer := range o.Responses.StatusCodeResponses {
		where := fmt.Sprintf("%s: answer %d", at, code)
		if answer.Description == "" {
			r.problem("%s has no description", where)
		}
		if code < 400 {
			good++
			if code < 300 { // what redirects has no body
				r.answer(where, o, answer)
			}
			continue
		}
		r.failure(where, answer)
	}
	if good == 0 && !strings.Contains(at, "gitops") {
		r.problem("%s: no good answer is described", at)
	}
}

// answer checks a good answer.
func (r *rules) answer(where string, o *spec.Operation, answer spec.Response) {
	// What has a type of its own besides text is served as both.
	text := len(o.Produces) > 0 && o.Produces[0] != mimeJSON && (answer.Schema == nil || answer.Schema.Ref.String() == "")
	switch {
	case answer.Schema == nil:
		// Plain addresses are no routes; the others say it.
		if !slices.Contains(o.Tags, "Server") && !strings.Contains(strings.ToLower(answer.Description), "without a body") {
			r.problem("%s has no type, and does not say that it is without a body", where)
		}
	case text:
		if !answer.Schema.Type.Contains("string") && !answer.Schema.Type.Contains("file") {
			r.problem("%s is of type %v, want string or file for %v", where, answer.Schema.Type, o.Produces)
		}
	default:
		r.body(where, answer.Schema, answer.Examples)
	}
}

// failure checks an error.
func (r *rules) failure(where string, answer spec.Response) {
	if answer.Schema == nil {
		r.problem("%s has no type", where)
		return
	}
	name := strings.TrimPrefix(answer.Schema.Ref.String(), "#/definitions/")
	if name != "v1.Status" && name != "oauth.Error" {
		r.problem("%s is of type %q, want v1.Status", where, name)
	}
	r.body(where, answer.Schema, answer.Examples)
	status, ok := answer.Examples[mimeJSON].(map[string]any)
	if name == "v1.Status" && (!ok || status["message"] == "" || status["status"] != "Failure") {
		r.problem("%s has no Status of its own as example", where)
	}
}

// body checks that JSON has a type that says what is in it, and an example.
func (r *rules) body(where string, schema *spec.Schema, examples map[string]any) {
	if schema.Items != nil && schema.Items.Schema != nil {
		if schema.Items.Schema.Type.Contains("string") {
			return // names
		}
		r.body(where, schema.Items.Schema, examples)
		return
	}
	name, isRef := strings.CutPrefix(schema.Ref.String(), "#/definitions/")
	if !isRef {
		if schema.AdditionalProperties == nil || schema.AdditionalProperties.Schema == nil {
			r.problem("%s is a bare %v", where, schema.Type)
		}
		return
	}
	definition, found := r.document.Definitions[name]
	switch example := definition.Example; {
	case !found:
		r.problem("%s is of the type %s, which is not described", where, name)
	case len(definition.Properties) == 0 && definition.AdditionalProperties == nil && definition.Items == nil && isEmpty(example):
		if definition.Description == "" {
			r.problem("%s is of type %s, which says nothing of what is in it, by properties, an example or a description", where, name)
		}
	case isEmpty(example) && examples[mimeJSON] == nil:
		r.problem("%s: the type %s has no example", where, name)
	default:
		r.example(where, name, definition)
	}
}

// example checks that an example has no properties that its type has not. That those which it has are right is seen
// by the validator of test/openapi.
func (r *rules) example(where, name string, definition spec.Schema) {
	object, ok := definition.Example.(map[string]any)
	if !ok || len(definition.Properties) == 0 || definition.AdditionalProperties != nil {
		return
	}
	for key := range object {
		if _, known := definition.Properties[key]; !known {
			r.problem("%s: the example of %s has the property %s, which its type has not", where, name, key)
		}
	}
}

func isEmpty(example any) bool {
	switch e := example.(type) {
	case nil:
		return true
	case map[string]any:
		return len(e) == 0
	}
	return false
}
