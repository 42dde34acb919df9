// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package templates

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// Secret is what a step template may know of a Secret: not its content.
type Secret struct {
	Name, Namespace string
	Type            corev1.SecretType
}

// Step renders a ClusterStepTemplate as JSON of Jenkins' pipeline-model-converter: the object of one
// step, or a list where the template has several. secret is the credential that the user chose for the
// step; it may be nil. The error is an *Error.
//
// What the values hold cannot change the step's structure: they are put in after the template was
// parsed.
func Step(ctx context.Context, spec *devopsv1alpha3.StepTemplateSpec, values map[string]any, secret *Secret) ([]byte, error) {
	params, err := stepParams(spec, values)
	if err != nil {
		return nil, err
	}
	data := map[string]any{"param": params, "secret": secret.data()}
	var steps []any
	if spec.Runtime == devopsv1alpha3.StepRuntimeDSL {
		steps, err = dslSteps(ctx, spec.Template, data)
	} else {
		steps, err = shellSteps(ctx, spec.Template, data)
	}
	if err != nil {
		return nil, err
	}
	if spec.Secret.Wrap && secret != nil {
		if steps, err = withCredentials(spec.Secret, secret, steps); err != nil {
			return nil, err
		}
	}
	if spec.Container != "" {
		steps = []any{step("container", literal(spec.Container), steps)}
	}
	var doc any = steps
	if len(steps) == 1 {
		doc = steps[0]
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(doc); err != nil {
		return nil, problem("the step cannot be written as JSON: %s", err)
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

// data gives templates a Secret, also under the names that it has as an object of Kubernetes.
func (s *Secret) data() any {
	if s == nil {
		return nil
	}
	metadata := map[string]any{"Name": s.Name, "Namespace": s.Namespace, "name": s.Name, "namespace": s.Namespace}
	return map[string]any{"Name": s.Name, "Namespace": s.Namespace, "Type": string(s.Type), "name": s.Name, "namespace": s.Namespace,
		"type": string(s.Type), "ObjectMeta": metadata, "metadata": metadata}
}

// stepTypes are the types of parameters. Values of others are taken as they are.
var stepTypes = map[string]convert{
	devopsv1alpha3.StepParameterString: toText, devopsv1alpha3.StepParameterText: toText, devopsv1alpha3.StepParameterEnum: toText,
	devopsv1alpha3.StepParameterNumber: toNumber, devopsv1alpha3.StepParameterCode: toCode, devopsv1alpha3.StepParameterBool: toBool,
	devopsv1alpha3.StepParameterSecret: toSecret,
}

func stepParams(spec *devopsv1alpha3.StepTemplateSpec, values map[string]any) (map[string]any, error) {
	params := make(map[string]any, len(values)+len(spec.Parameters))
	for name, value := range values {
		params[name], _ = toAny(value)
	}
	failure := &Error{}
	for i := range spec.Parameters {
		declared := &spec.Parameters[i]
		value, message := stepValue(declared, params[declared.Name])
		if message != "" {
			failure.Problems = append(failure.Problems, fmt.Sprintf("parameter %q %s", declared.Name, message))
		}
		params[declared.Name] = value
	}
	if len(failure.Problems) > 0 {
		return nil, failure
	}
	return params, nil
}

func stepValue(p *devopsv1alpha3.StepParameter, given any) (value any, message string) {
	if isNothing(given) && p.DefaultValue != "" {
		given = p.DefaultValue
	}
	// The form does not ask for a value whose condition does not hold; what it depends on is the console's.
	if isNothing(given) && p.Required && p.Condition == "" {
		return nil, "is required"
	}
	change, ok := stepTypes[p.Type]
	if !ok {
		change = toAny
	}
	value, message = change(given)
	if message == "" && p.Type == devopsv1alpha3.StepParameterEnum {
		message = checkOption(value, options(p.Options))
	}
	return value, message
}

// shellSteps gives the step sh with the rendered script.
func shellSteps(ctx context.Context, text string, data map[string]any) ([]any, error) {
	script, err := engine{left: "{{", right: "}}", root: "param"}.render(ctx, text, data)
	if err != nil {
		return nil, err
	}
	argument := map[string]any{"key": "script", "value": literal(strings.TrimSpace(script))}
	return []any{step("sh", []any{argument}, nil)}, nil
}

// dslSteps gives the steps of a template that is Groovy or JSON.
func dslSteps(ctx context.Context, text string, data map[string]any) ([]any, error) {
	values := newHeldValues()
	rendered, err := engine{left: "{{", right: "}}", root: "param", hold: values.hold}.render(ctx, text, data)
	if err != nil {
		return nil, err
	}
	rendered = strings.TrimSpace(rendered)
	if rendered == "" {
		return nil, problem("the template gives no step for these values")
	}
	doc := []byte(rendered)
	if rendered[0] != '{' && rendered[0] != '[' {
		if doc, err = jenkinsfile.StepsToJSON(values.code(rendered)); err != nil {
			return nil, problem("the step is not valid: %s", groovyProblem(err))
		}
	}
	parsed, err := decodeJSON(doc)
	if err != nil {
		return nil, problem("the step is not valid: %s", err)
	}
	if parsed, err = values.fill(parsed, false); err != nil {
		return nil, err
	}
	steps, ok := parsed.([]any)
	if !ok {
		steps = []any{parsed}
	}
	for _, s := range steps {
		object, _ := s.(map[string]any)
		if name, _ := object["name"].(string); name == "" {
			return nil, problem("the template does not give a step: an object with a name")
		}
	}
	if len(steps) == 0 {
		return nil, problem("the template gives no step for these values")
	}
	return steps, nil
}

func groovyProblem(err error) string {
	var failure *jenkinsfile.ConvertError
	if errors.As(err, &failure) {
		return strings.ReplaceAll(failure.Error(), "\n", "; ")
	}
	return err.Error()
}

// step gives a step. arguments is a list of arguments or a single value.
func step(name string, arguments any, children []any) map[string]any {
	s := map[string]any{"name": name, "arguments": arguments}
	if children != nil {
		s["children"] = children
	}
	return s
}

func literal(text string) map[string]any { return map[string]any{"isLiteral": true, "value": text} }
