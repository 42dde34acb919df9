// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package templates

import (
	"context"
	"errors"
	"fmt"
	"strings"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/pattern"
)

// Value is a value for a parameter.
type Value struct {
	// name is the parameter's name.
	Name string `json:"name"`
	// value is any JSON value that fits the parameter's type.
	Value any `json:"value"`
}

// Jenkinsfile renders a Template or ClusterTemplate. Values of parameters that it does not declare are
// given to it as they are. The error is an *Error.
func Jenkinsfile(ctx context.Context, spec *devopsv1alpha3.TemplateSpec, values []Value) (string, error) {
	params := map[string]any{}
	for _, value := range values {
		params[value.Name], _ = toAny(value.Value)
	}
	failure := &Error{}
	validation, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	for i := range spec.Parameters {
		if validation.Err() != nil {
			return "", problem("the values take longer than %s to validate", maxTime)
		}
		declared := &spec.Parameters[i]
		value, message := templateValue(declared, params[declared.Name])
		if message != "" {
			failure.Problems = append(failure.Problems, fmt.Sprintf("parameter %q %s", declared.Name, message))
		}
		params[declared.Name] = value
	}
	if len(failure.Problems) > 0 {
		return "", failure
	}
	return engine{left: "$(", right: ")", root: "params"}.render(ctx, spec.Template, map[string]any{"params": params})
}

// templateTypes are the types by their names in lower case.
var templateTypes = map[string]convert{
	"string": toText, "text": toText, "code": toText, "enum": toText, "password": toText,
	"number": toNumber, "float": toNumber, "int": toInteger, "integer": toInteger,
	"bool": toBool, "boolean": toBool,
	"string-array": toTexts, "array": toTexts, "list": toTexts,
}

func templateValue(p *devopsv1alpha3.TemplateParameter, given any) (value any, message string) {
	if isNothing(given) && p.Default != nil {
		var err error
		if given, err = decodeJSON(p.Default.Raw); err != nil {
			return nil, "has a default that is no JSON"
		}
	}
	if isNothing(given) && p.Required {
		return nil, "is required"
	}
	change, ok := templateTypes[strings.ToLower(p.Type)]
	if !ok {
		change = toAny
	}
	value, message = change(given)
	if message == "" && !isNothing(given) && p.Validation != nil && p.Validation.Expression != "" {
		message = validate(p.Validation, value)
	}
	return value, message
}

func validate(v *devopsv1alpha3.ParameterValidation, value any) string {
	expression, err := pattern.Compile(v.Expression)
	switch {
	case errors.Is(err, pattern.ErrTooLarge):
		return "has a validation whose regular expression is too large; tell whoever wrote the template"
	case err != nil:
		return "has a validation that is no regular expression; tell whoever wrote the template"
	}
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	texts := make([]string, 0, len(list))
	for _, item := range list {
		texts = append(texts, Text(item))
	}
	matches, err := expression.Match(texts...)
	switch {
	case err != nil:
		return "is too long for the validation that the template has for it"
	case matches:
		return ""
	case v.Message != "":
		return "is not valid: " + v.Message
	}
	return fmt.Sprintf("must match %s", v.Expression)
}
