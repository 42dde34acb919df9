// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package templates

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// convert gives a value as the type of its parameter. The message, if it is not empty, says what is
// wrong with it.
type convert func(v any) (out any, message string)

// toText takes texts, numbers and switches.
func toText(v any) (any, string) {
	switch v := v.(type) {
	case nil:
		return "", ""
	case string:
		return v, ""
	case bool, int64, float64:
		return Text(v), ""
	}
	return nil, "must be a text"
}

func toCode(v any) (any, string) {
	text, message := toText(v)
	if message != "" {
		return nil, message
	}
	return codeText(Text(text)), ""
}

// toNumber takes numbers, also in a text, as forms send them.
func toNumber(v any) (any, string) {
	switch v := v.(type) {
	case int64:
		return v, ""
	case float64:
		return whole(v), ""
	case string:
		text := strings.TrimSpace(v)
		if text == "" {
			return "", ""
		}
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n, ""
		}
		if f, err := strconv.ParseFloat(text, 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
			return f, ""
		}
	case nil:
		return "", ""
	}
	return nil, "must be a number"
}

func toInteger(v any) (any, string) {
	n, message := toNumber(v)
	if _, fraction := n.(float64); fraction || message != "" {
		return nil, "must be a whole number"
	}
	return n, ""
}

// whole gives a number without a fraction as an integer, which templates can compare with their own.
func whole(f float64) any {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int64(f)
	}
	return f
}

func toBool(v any) (any, string) {
	switch v := v.(type) {
	case bool:
		return v, ""
	case nil:
		return false, ""
	case string:
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "true":
			return true, ""
		case "false", "":
			return false, ""
		}
	}
	return nil, "must be true or false"
}

// toTexts takes lists of texts.
func toTexts(v any) (any, string) {
	list, ok := v.([]any)
	if !ok {
		if v == nil || v == "" {
			return []any{}, ""
		}
		return nil, "must be a list of texts"
	}
	out := make([]any, 0, len(list))
	for _, item := range list {
		text, message := toText(item)
		if message != "" {
			return nil, "must be a list of texts"
		}
		out = append(out, text)
	}
	return out, ""
}

// secretValue names a credential. As a text it is the credential's name.
type secretValue map[string]any

// String gives the name.
func (s secretValue) String() string { return Text(s["name"]) }

func toSecret(v any) (any, string) {
	out := secretValue{"name": "", "namespace": "", "type": ""}
	switch v := v.(type) {
	case nil:
		return out, ""
	case string:
		out["name"] = v
		return out, ""
	case map[string]any:
		for key, part := range v {
			text, message := toText(part)
			if message != "" {
				return nil, "must be the name of a credential, or an object with texts: name, namespace, type"
			}
			out[key] = text
		}
		return out, ""
	}
	return nil, "must be the name of a credential, or an object with name, namespace and type"
}

// toAny takes everything; a value that is not given is an empty text.
func toAny(v any) (any, string) {
	switch v := v.(type) {
	case nil:
		return "", ""
	case float64:
		return whole(v), ""
	}
	return v, ""
}

// isNothing tells if a value counts as not given.
func isNothing(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		name, named := v["name"]
		return len(v) == 0 || named && isNothing(name)
	}
	return false
}

// decodeJSON reads a JSON value; whole numbers become int64.
func decodeJSON(data []byte) (any, error) {
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, fmt.Errorf("it is not JSON: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("it is not JSON: there is text behind the value")
	}
	return numbers(v), nil
}

// numbers turns the numbers of a JSON value into int64 and float64.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return f
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = numbers(v[key])
		}
	}
	return v
}

// options reads the values of an enum: a JSON list of values or of objects with a value. Nil: any value.
func options(text string) []string {
	if text == "" {
		return nil
	}
	v, err := decodeJSON([]byte(text))
	list, ok := v.([]any)
	if err != nil || !ok {
		return nil
	}
	var values []string
	for _, item := range list {
		if object, ok := item.(map[string]any); ok {
			item = object["value"]
		}
		values = append(values, Text(item))
	}
	return values
}

// checkOption says what is wrong with a value that has to be one of some.
func checkOption(v any, of []string) string {
	if text := Text(v); text != "" && len(of) > 0 && !slices.Contains(of, text) {
		return "must be one of " + strings.Join(of, ", ")
	}
	return ""
}
