// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package openapi describes the API: an OpenAPI 2.0 document that is made from the routes, completed
// with the texts and rules of the resource definitions, and the web page that shows it.
package openapi

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"

	restfulspec "github.com/emicklei/go-restful-openapi/v2"
	"github.com/emicklei/go-restful/v3"
	"github.com/go-openapi/spec"

	"github.com/slipway-dev/slipway/config/crd"
	"github.com/slipway-dev/slipway/pkg/kapis"
)

// Path is the address of the document.
const Path = "/openapi.json"

const (
	// schemeToken is the security scheme of a token that the user already has.
	schemeToken = "bearer"
	// schemeLogin is that of a name and a password: Swagger UI gets the token itself.
	schemeLogin = "login"
)

// anything is what a route consumes or produces if it does not care; documents name real types only.
const anything = "*/*"

// Options say what is described.
type Options struct {
	// WebServices are the routes.
	WebServices []*restful.WebService
	// Version is that of the program.
	Version string
	// TokenURL is the token endpoint.
	TokenURL string
	// Open tells if a path is served to anybody.
	Open func(method, path string) bool
	// Plain are addresses that are no routes of a web service, with what they are for.
	Plain map[string]string
}

// Build makes the document as JSON.
func Build(options Options) ([]byte, error) {
	document := restfulspec.BuildSwagger(restfulspec.Config{
		WebServices:          options.WebServices,
		ModelTypeNameHandler: modelNames(),
	})
	document.Info = &spec.Info{InfoProps: spec.InfoProps{
		Title:       "Slipway",
		Version:     options.Version,
		Description: "Dev containers and the pipelines that run in their images. Errors are a Kubernetes Status; lists are {\"items\":[…],\"totalItems\":n}.",
		License:     &spec.License{LicenseProps: spec.LicenseProps{Name: "Apache-2.0", URL: "https://www.apache.org/licenses/LICENSE-2.0"}},
	}}
	document.SecurityDefinitions = spec.SecurityDefinitions{
		schemeToken: spec.APIKeyAuth("Authorization", "header"),
		schemeLogin: spec.OAuth2Password(options.TokenURL),
	}
	document.SecurityDefinitions[schemeToken].Description = `The word "Bearer", a space, and a token. The page at /swagger-ui/ adds the word if it is left out.`
	document.Security = []map[string][]string{{schemeLogin: {}}, {schemeToken: {}}}
	addPlain(document, options.Plain)
	finishOperations(document, options)
	finishDefinitions(document.Definitions)
	if err := enrich(document.Definitions); err != nil {
		return nil, err
	}
	if err := prune(document); err != nil {
		return nil, err
	}
	addTags(document)
	fileAnswers(document)
	describeBodies(document)
	if err := addExamples(document); err != nil {
		return nil, err
	}
	content, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("encode API description: %w", err)
	}
	return content, nil
}

// modelNames gives the function that names types, as their package and name: a list of pipelines is a
// v1alpha3.PipelinePage. Packages may have the same name in several versions of the API; the second has its parent's
// in front.
func modelNames() func(reflect.Type) (string, bool) {
	taken := map[string]reflect.Type{}
	return func(t reflect.Type) (string, bool) {
		if t.Name() == "" || t.PkgPath() == "" {
			return "", false
		}
		name := modelName(t)
		if other, ok := taken[name]; ok && other != t {
			name = path.Base(path.Dir(t.PkgPath())) + "." + name
		}
		taken[name] = t
		return name, true
	}
}

// modelName gives generic envelopes a name that a person can read.
func modelName(t reflect.Type) string {
	name := t.String()
	generic, argument, found := strings.Cut(name, "[")
	if !found {
		return name
	}
	argument = strings.TrimSuffix(argument, "]")
	argument = argument[strings.LastIndex(argument, "/")+1:]
	if strings.HasSuffix(generic, "List") {
		return argument + "Page"
	}
	return argument + generic[strings.LastIndex(generic, ".")+1:]
}

// addPlain adds the addresses that are no routes.
func addPlain(document *spec.Swagger, plain map[string]string) {
	for address, summary := range plain {
		operation := spec.NewOperation("get"+camel(address)).WithSummary(summary).WithTags("Server").
			RespondsWith(http.StatusOK, spec.NewResponse().WithDescription("OK"))
		document.Paths.Paths[address] = spec.PathItem{PathItemProps: spec.PathItemProps{Get: operation}}
	}
}

func camel(address string) string {
	var b strings.Builder
	for part := range strings.FieldsFuncSeq(address, func(r rune) bool { return r < 'a' || r > 'z' }) {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

// finishOperations completes what the routes say: which may be used by anybody, and which right the
// others need.
func finishOperations(document *spec.Swagger, options Options) {
	rights := rightsOf(options.WebServices)
	for address, item := range document.Paths.Paths {
		for method, operation := range operations(item) {
			// The lists are the routes' own.
			operation.Consumes = slices.DeleteFunc(slices.Clone(operation.Consumes), isAnything)
			operation.Produces = slices.DeleteFunc(slices.Clone(operation.Produces), isAnything)
			open := options.Open(method, address)
			if open {
				operation.Security = []map[string][]string{}
			}
			needs := "Needs a token."
			if right, ok := rights[operation.ID]; ok {
				needs = "Needs the right to " + right + "."
			} else if open {
				needs = "Needs no token."
			}
			operation.Description = strings.TrimSpace(operation.Description + " " + needs)
			operation.Parameters = slices.DeleteFunc(operation.Parameters, isCacheBuster)
			slices.SortStableFunc(operation.Parameters, func(a, b spec.Parameter) int { return cmp.Compare(place[a.In], place[b.In]) })
		}
	}
}

// isCacheBuster tells of a parameter that has no meaning and no name in Go: browsers send it so that no cache answers.
func isCacheBuster(parameter spec.Parameter) bool { return parameter.Name == "_" }

var place = map[string]int{"path": 0, "query": 1, "body": 2}

func isAnything(mime string) bool { return mime == anything }

func operations(item spec.PathItem) map[string]*spec.Operation {
	all := map[string]*spec.Operation{
		http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put,
		http.MethodPatch: item.Patch, http.MethodDelete: item.Delete,
	}
	for method, operation := range all {
		if operation == nil {
			delete(all, method)
		}
	}
	return all
}

// rightsOf gives the right that each operation needs, in words.
func rightsOf(services []*restful.WebService) map[string]string {
	rights := map[string]string{}
	for _, service := range services {
		for _, route := range service.Routes() {
			access, ok := route.Metadata[kapis.KeyAccess].(kapis.Access)
			if !ok {
				continue
			}
			resource := access.Resource
			if access.Subresource != "" {
				resource += "/" + access.Subresource
			}
			rights[route.Operation] = access.Verb + " " + resource + "." + access.Group
		}
	}
	return rights
}

// plainTypes are types that encode themselves, which reflection does not see.
var plainTypes = map[string]spec.Schema{
	"v1.Time":              *spec.DateTimeProperty(),
	"v1.MicroTime":         *spec.DateTimeProperty(),
	"v1.Duration":          *spec.StringProperty(),
	"jenkins.Time":         *spec.DateTimeProperty(),
	"v1.FieldsV1":          *new(spec.Schema).Typed("object", ""),
	"resource.Quantity":    *new(spec.Schema).Typed("string", "").WithDescription("A number with an optional unit, such as 500m, 2 or 10Gi."),
	"intstr.IntOrString":   *spec.StringProperty(),
	"runtime.RawExtension": *new(spec.Schema).Typed("object", ""),
	"gitrepository.Empty":  *new(spec.Schema).Typed("object", "").WithDescription("An object without properties."),
	"v1.JSON":              *new(spec.Schema).WithDescription("Any JSON."),
	"json.RawMessage":      *new(spec.Schema).Typed("object", ""),
}

func finishDefinitions(definitions spec.Definitions) {
	flattenPages(definitions)
	for name, schema := range plainTypes {
		if _, used := definitions[name]; used {
			definitions[name] = schema
		}
	}
	for name, definition := range definitions {
		// What the server fills in, and what may be left out, is no duty of the client.
		definition.Required = nil
		// What has no properties and no type is an any, which need not be an object.
		if len(definition.Type) == 0 && definition.Ref.String() == "" && len(definition.Properties) > 0 {
			definition.Typed("object", "")
		}
		definitions[name] = definition
	}
}

// flattenPages puts the properties of an embedded page where JSON has them. Reflection takes a generic type for a
// property of its own.
func flattenPages(definitions spec.Definitions) {
	const embedded = "List"
	for name, definition := range definitions {
		target, isRef := refOf(definition.Properties[embedded])
		if !isRef || !strings.HasSuffix(target, "Page") {
			continue
		}
		delete(definition.Properties, embedded)
		for key, property := range definitions[target].Properties {
			if _, own := definition.Properties[key]; !own {
				definition.Properties[key] = property
			}
		}
		definitions[name] = definition
	}
}

// prune removes definitions that nothing refers to: the insides of types that encode themselves.
func prune(document *spec.Swagger) error {
	all := document.Definitions
	document.Definitions = nil
	pending, err := refsIn(document)
	if err != nil {
		return err
	}
	used := spec.Definitions{}
	for len(pending) > 0 {
		name := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		definition, ok := all[name]
		if _, seen := used[name]; seen || !ok {
			continue
		}
		used[name] = definition
		more, err := refsIn(definition)
		if err != nil {
			return err
		}
		pending = append(pending, more...)
	}
	document.Definitions = used
	return nil
}

// reference is how a definition is referred to in JSON.
var reference = regexp.MustCompile(`"\$ref":"#/definitions/([^"]+)"`)

// refsIn gives the names of the definitions that a part of the document refers to.
func refsIn(part any) ([]string, error) {
	content, err := json.Marshal(part)
	if err != nil {
		return nil, fmt.Errorf("encode API description: %w", err)
	}
	var names []string
	for _, match := range reference.FindAllSubmatch(content, -1) {
		names = append(names, string(match[1]))
	}
	return names, nil
}

// enrich adds the texts and rules of the resource definitions, which come from the comments and
// markers of the Go types.
func enrich(definitions spec.Definitions) error {
	resources, err := crd.All()
	if err != nil {
		return fmt.Errorf("read resource definitions: %w", err)
	}
	for _, resource := range resources {
		for _, version := range resource.Spec.Versions {
			if version.Schema == nil || version.Schema.OpenAPIV3Schema == nil {
				continue
			}
			enrichSchema(definitions, version.Name+"."+resource.Spec.Names.Kind, version.Schema.OpenAPIV3Schema)
		}
	}
	return nil
}
