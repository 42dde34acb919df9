// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-openapi/spec"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

const (
	exampleProject = "shop"
	exampleTime    = "2026-03-01T09:30:00Z"
	mimeJSON       = "application/json"
)

func exampleMeta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func exampleType(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: devopsv1alpha3.GroupVersion.String(), Kind: kind}
}

const exampleJenkinsfile = "pipeline {\n  agent any\n  stages {\n    stage('build') {\n      steps { sh 'make' }\n    }\n  }\n}\n"

func examplePipelineSpec() devopsv1alpha3.PipelineSpec {
	return devopsv1alpha3.PipelineSpec{
		Type: devopsv1alpha3.NoScmPipelineType, Pipeline: &devopsv1alpha3.NoScmPipeline{Name: "cart", Jenkinsfile: exampleJenkinsfile},
	}
}

// typedExamples are objects that clients send, by the names of their definitions: enough of them to be taken as they
// are. For all other types examples are made from their properties.
func typedExamples() map[string]any {
	spec := examplePipelineSpec()
	return map[string]any{
		"v1alpha3.DevOpsProject": devopsv1alpha3.DevOpsProject{
			TypeMeta: exampleType(devopsv1alpha3.DevOpsProjectKind), ObjectMeta: exampleMeta("", exampleProject),
		},
		"v1alpha3.Pipeline": devopsv1alpha3.Pipeline{
			TypeMeta: exampleType(devopsv1alpha3.PipelineKind), ObjectMeta: exampleMeta(exampleProject, "cart"), Spec: spec,
		},
		"v1alpha3.PipelineRun": devopsv1alpha3.PipelineRun{
			TypeMeta: exampleType(devopsv1alpha3.PipelineRunKind), ObjectMeta: exampleMeta(exampleProject, "cart-x7k2p"),
			Spec: devopsv1alpha3.PipelineRunSpec{
				PipelineRef: &corev1.ObjectReference{Namespace: exampleProject, Name: "cart"}, PipelineSpec: &spec,
				Parameters: []devopsv1alpha3.Parameter{{Name: "REVISION", Value: "main"}},
			},
			Status: devopsv1alpha3.PipelineRunStatus{Phase: devopsv1alpha3.Succeeded},
		},
		"v1alpha3.GitRepository": devopsv1alpha3.GitRepository{
			TypeMeta: exampleType(devopsv1alpha3.GitRepositoryKind), ObjectMeta: exampleMeta(exampleProject, "cart"),
			Spec: devopsv1alpha3.GitRepositorySpec{URL: "https://git.example.org/shop/cart.git"},
		},
		"v1alpha3.Template": devopsv1alpha3.Template{
			TypeMeta: exampleType(devopsv1alpha3.TemplateKind), ObjectMeta: exampleMeta(exampleProject, "make"), Spec: exampleTemplate(),
		},
		"v1alpha3.ClusterTemplate": devopsv1alpha3.ClusterTemplate{
			TypeMeta: exampleType(devopsv1alpha3.ClusterTemplateKind), ObjectMeta: exampleMeta("", "make"), Spec: exampleTemplate(),
		},
		"v1alpha3.ClusterStepTemplate": devopsv1alpha3.ClusterStepTemplate{
			TypeMeta: exampleType(devopsv1alpha3.ClusterStepTemplateKind), ObjectMeta: exampleMeta("", "make"),
			Spec: devopsv1alpha3.StepTemplateSpec{
				Runtime: devopsv1alpha3.StepRuntimeShell, Template: "make {{.param.target}}",
				Parameters: []devopsv1alpha3.StepParameter{{Name: "target", Type: devopsv1alpha3.StepParameterString, DefaultValue: "all"}},
			},
		},
		"v1.Secret": corev1.Secret{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: exampleMeta(exampleProject, "git"),
			Type: devopsv1alpha3.SecretTypeBasicAuth,
			Data: map[string][]byte{devopsv1alpha3.CredentialUsernameKey: []byte("ann"), devopsv1alpha3.CredentialPasswordKey: []byte("a password")},
		},
		"v1.DevcontainerApp": devcontainerv1.DevcontainerApp{
			TypeMeta:   metav1.TypeMeta{APIVersion: devcontainerv1.GroupVersion.String(), Kind: "DevcontainerApp"},
			ObjectMeta: exampleMeta(exampleProject, "cart"),
			Spec: devcontainerv1.DevcontainerAppSpec{StatefulSet: devcontainerv1.StatefulSetSpec{
				Image: "registry.example.org/dev/go:1", GitRepositoryURL: "https://git.example.org/shop/cart.git",
			}},
		},
		"v1.Status": exampleStatus(http.StatusNotFound),
	}
}

func exampleTemplate() devopsv1alpha3.TemplateSpec {
	return devopsv1alpha3.TemplateSpec{
		Template:   "pipeline {\n  agent any\n  stages {\n    stage('make') {\n      steps { sh 'make $(.params.target)' }\n    }\n  }\n}\n",
		Parameters: []devopsv1alpha3.TemplateParameter{{Name: "target", Description: "what to make", Required: true}},
	}
}

// exampleErrors are what errors say, by code.
var exampleErrors = map[int]struct {
	reason  metav1.StatusReason
	message string
}{
	http.StatusBadRequest:            {metav1.StatusReasonBadRequest, `limit must be a whole number from -1 to 1000000; got "x"`},
	http.StatusUnauthorized:          {metav1.StatusReasonUnauthorized, "the token has expired"},
	http.StatusForbidden:             {metav1.StatusReasonForbidden, `pipelines.devops.kubesphere.io is forbidden: User "ann" cannot list resource "pipelines" in the namespace "shop"`},
	http.StatusNotFound:              {metav1.StatusReasonNotFound, `pipelines.devops.kubesphere.io "cart" not found`},
	http.StatusMethodNotAllowed:      {metav1.StatusReasonMethodNotAllowed, "the method PATCH is not served at this address"},
	http.StatusConflict:              {metav1.StatusReasonAlreadyExists, `pipelines.devops.kubesphere.io "cart" already exists`},
	http.StatusGone:                  {metav1.StatusReasonExpired, "the list that this page belongs to is no longer known"},
	http.StatusRequestEntityTooLarge: {metav1.StatusReasonRequestEntityTooLarge, "the body is larger than 1 MiB"},
	http.StatusUnprocessableEntity:   {metav1.StatusReasonInvalid, `Pipeline.devops.kubesphere.io "cart" is invalid: spec.type: Unsupported value: "other"`},
	http.StatusTooManyRequests:       {metav1.StatusReasonTooManyRequests, "too many requests; try again in a second"},
	http.StatusNotImplemented:        {metav1.StatusReasonUnknown, "this server does not serve GitOps"},
	http.StatusBadGateway:            {metav1.StatusReasonInternalError, "Jenkins answered with an error"},
	http.StatusServiceUnavailable:    {metav1.StatusReasonServiceUnavailable, "Jenkins cannot be reached; try again"},
	http.StatusGatewayTimeout:        {metav1.StatusReasonTimeout, "the request took longer than a minute"},
}

func exampleStatus(code int) metav1.Status {
	e, ok := exampleErrors[code]
	if !ok {
		e.reason, e.message = metav1.StatusReasonUnknown, http.StatusText(code)
	}
	return metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Code: int32(code),
		Reason: e.reason, Message: e.message,
	}
}

// addExamples gives an example to each type that is a body, and to each error.
func addExamples(document *spec.Swagger) error {
	e := &exampler{definitions: document.Definitions}
	values := typedExamples()
	for name, text := range jsonExamples {
		values[name] = json.RawMessage(text)
	}
	for name, value := range values {
		definition, used := e.definitions[name]
		if !used {
			continue
		}
		decoded, err := plainJSON(value)
		if err != nil {
			return fmt.Errorf("example of %s: %w", name, err)
		}
		definition.Example = decoded
		e.definitions[name] = definition
	}
	for _, item := range document.Paths.Paths {
		for _, operation := range operations(item) {
			for i, parameter := range operation.Parameters {
				if parameter.In == "body" && parameter.Schema != nil {
					e.complete(*parameter.Schema)
					operation.Parameters[i] = parameter
				}
			}
			for code, answer := range operation.Responses.StatusCodeResponses {
				if answer.Schema == nil {
					continue
				}
				e.complete(*answer.Schema)
				if name, _ := refOf(*answer.Schema); name == "v1.Status" {
					example, err := plainJSON(exampleStatus(code))
					if err != nil {
						return err
					}
					answer.AddExample(mimeJSON, example)
				}
				operation.Responses.StatusCodeResponses[code] = answer
			}
		}
	}
	return nil
}

// plainJSON turns a value into the maps, lists and values that JSON knows.
func plainJSON(value any) (any, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	var plain any
	if err := json.Unmarshal(text, &plain); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	return withoutEmpty(plain), nil
}

// withoutEmpty leaves out empty parts, such as the status of an object that is made.
func withoutEmpty(value any) any {
	object, ok := value.(map[string]any)
	if !ok {
		return value
	}
	for key, part := range object {
		part = withoutEmpty(part)
		if inner, ok := part.(map[string]any); part == nil || ok && len(inner) == 0 {
			delete(object, key)
			continue
		}
		object[key] = part
	}
	return object
}

// exampler makes examples from schemas.
type exampler struct {
	definitions spec.Definitions
	// within are the definitions that an example is being made of.
	within []string
}

// complete gives the type of a body, and that of its elements if it is a list, an example.
func (e *exampler) complete(schema spec.Schema) {
	if schema.Items != nil && schema.Items.Schema != nil {
		e.complete(*schema.Items.Schema)
	}
	name, ok := refOf(schema)
	definition, found := e.definitions[name]
	if !ok || !found || definition.Example != nil {
		return
	}
	definition.Example = e.of(schema, "")
	e.definitions[name] = definition
}

// maxDepth bounds examples of types in types.
const maxDepth = 5

// of makes an example of a property, nil for what is better left out.
func (e *exampler) of(schema spec.Schema, property string) any {
	if name, ok := refOf(schema); ok {
		definition, found := e.definitions[name]
		if !found || slices.Contains(e.within, name) || len(e.within) >= maxDepth {
			return nil
		}
		if definition.Example != nil {
			return definition.Example
		}
		e.within = append(e.within, name)
		defer func() { e.within = e.within[:len(e.within)-1] }()
		return e.of(definition, property)
	}
	switch {
	case schema.Example != nil:
		return schema.Example
	case len(schema.Enum) > 0:
		return schema.Enum[0]
	case schema.Default != nil:
		return schema.Default
	case schema.Type.Contains("array"):
		if schema.Items == nil || schema.Items.Schema == nil {
			return nil
		}
		if item := e.of(*schema.Items.Schema, strings.TrimSuffix(property, "s")); item != nil {
			return []any{item}
		}
		return []any{}
	case schema.Type.Contains("string"):
		return exampleText(schema, property)
	case schema.Type.Contains("boolean"):
		return true
	case schema.Type.Contains("integer"), schema.Type.Contains("number"):
		if schema.Minimum != nil {
			return *schema.Minimum
		}
		return 1
	case len(schema.Properties) > 0:
		return e.object(schema)
	case schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil:
		if value := e.of(*schema.AdditionalProperties.Schema, property); value != nil {
			return map[string]any{"key": value}
		}
	case schema.Type.Contains("object"):
		return map[string]any{}
	}
	return nil
}

func (e *exampler) object(schema spec.Schema) any {
	object := map[string]any{}
	for name, property := range schema.Properties {
		if name == "metadata" {
			if ref, _ := refOf(property); ref == "v1.ObjectMeta" {
				object[name] = map[string]any{"name": "cart", "namespace": exampleProject}
				continue
			}
		}
		if value := e.of(property, name); value != nil {
			object[name] = value
		}
	}
	return object
}

// exampleWords are values of properties by their names in lower case.
var exampleWords = map[string]string{
	"name": "cart", "namespace": exampleProject, "project": exampleProject, "pipeline": "cart", "branch": "main", "branchname": "main", "refname": "main",
	"url": "https://git.example.org/shop/cart.git", "href": "/blue/rest/organizations/jenkins/pipelines/shop/pipelines/cart/",
	"id": "1", "state": "FINISHED", "result": "SUCCESS", "organization": "jenkins", "message": "success", "jenkinsfile": exampleJenkinsfile,
	"username": "ann", "user": "ann", "userid": "ann", "creator": "ann", "author": "ann", "email": "ann@example.org", "password": "a password",
	"token": "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl", "access_token": "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl", "token_type": "Bearer",
	"cron": "H/15 * * * *", "spec": "H/15 * * * *", "value": "main", "path": "Jenkinsfile", "filename": "target/cart.jar", "displayname": "build", "title": "build",
	"displaydescription": "make", "description": "what it is for", "commit": "6f5902ac237024bdd0c176cb93063dc4", "sha": "6f5902ac237024bdd0c176cb93063dc4",
	"commitid": "6f5902ac237024bdd0c176cb93063dc4", "type": "WorkflowRun", "_class": "io.jenkins.blueocean.rest.impl.pipeline.PipelineRunImpl",
	"apiversion": "v1", "kind": "Status", "continue": "eyJhZnRlciI6ImNhcnQifQ", "resourceversion": "48213", "uid": "6a1f2a0e-54fc-4c0c-8f2f-4f2a86b6a0f1",
	"status": "success", "hash": "5d41402abc4b2a76", "domain": "_", "display_name": "ann/****** (what it is for)", "stage": "publish", "node": "9", "step": "10",
	"pipelinename": "cart", "fullname": "shop/cart", "shortdescription": "Started by user ann", "serverurl": "https://sonar.example.org", "login": "ann", "error": "invalid_grant", "error_description": "the name or the password is wrong", "phase": "Succeeded", "owner": "shop", "repo": "cart",
}

func exampleText(schema spec.Schema, property string) any {
	switch schema.Format {
	case "date-time":
		return exampleTime
	case "byte":
		return "YSBwYXNzd29yZA=="
	}
	if strings.HasSuffix(strings.ToLower(property), "time") {
		return exampleTime
	}
	text, known := exampleWords[strings.ToLower(property)]
	if !known {
		text = "text"
	}
	if schema.MinLength != nil && len(text) < int(*schema.MinLength) {
		text += strings.Repeat("x", int(*schema.MinLength)-len(text))
	}
	return text
}

// describeBodies says of bodies what they are.
func describeBodies(document *spec.Swagger) {
	for _, item := range document.Paths.Paths {
		for _, operation := range operations(item) {
			for i := range operation.Parameters {
				parameter := &operation.Parameters[i]
				if parameter.In != "body" || parameter.Description != "" || parameter.Schema == nil {
					continue
				}
				name, _ := refOf(*parameter.Schema)
				_, kind, _ := strings.Cut(name, ".")
				parameter.Description = strings.TrimSpace("The " + kind + " as JSON.")
			}
		}
	}
}

// tagTexts say what the tags are about.
var tagTexts = map[string]string{
	"Agents":                 "Labels of the nodes and pods that builds run on",
	"Checks":                 "Whether a Jenkinsfile, a cron line or an address is good",
	"Credentials":            "Secrets that pipelines use",
	"Dev containers":         "Containers to work in over SSH",
	"Git repositories":       "Repositories and their files",
	"GitOps":                 "Not served",
	"Jenkins":                "Jenkins itself",
	"Login":                  "Tokens",
	"Pipeline runs":          "Runs, their stages, logs and artifacts",
	"Pipelines":              "Pipelines and their Jenkinsfiles",
	"Pipelines (Blue Ocean)": "Pipelines and branches as Blue Ocean shows them",
	"Projects":               "DevOps projects and the workspaces that they are in",
	"Runs by number":         "Runs as Blue Ocean shows them, by the number of the build",
	"Server":                 "Health, version and metrics",
	"SonarQube":              "What SonarQube says about a pipeline's code",
	"Step templates":         "Templates of steps",
	"Templates":              "Templates of Jenkinsfiles",
}

// addTags lists the tags that are used.
func addTags(document *spec.Swagger) {
	used := map[string]bool{}
	for _, item := range document.Paths.Paths {
		for _, operation := range operations(item) {
			for _, tag := range operation.Tags {
				used[tag] = true
			}
		}
	}
	for tag := range used {
		document.Tags = append(document.Tags, spec.NewTag(tag, tagTexts[tag], nil))
	}
	slices.SortFunc(document.Tags, func(a, b spec.Tag) int { return strings.Compare(a.Name, b.Name) })
}

// fileAnswers says of answers that are no JSON that they are files.
func fileAnswers(document *spec.Swagger) {
	for _, item := range document.Paths.Paths {
		for _, operation := range operations(item) {
			if len(operation.Produces) == 0 || slices.Contains(operation.Produces, mimeJSON) {
				continue
			}
			for code, answer := range operation.Responses.StatusCodeResponses {
				if code >= http.StatusBadRequest || answer.Schema == nil {
					continue
				}
				if answer.Schema.Type.Contains("array") {
					answer.Schema = new(spec.Schema).Typed("file", "")
				}
				operation.Responses.StatusCodeResponses[code] = answer
			}
			// Errors are JSON all the same.
			operation.Produces = append(operation.Produces, mimeJSON)
		}
	}
}
