// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package request

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"
	"unicode/utf8"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	sigsjson "sigs.k8s.io/json"
)

// MaxDepth is how deep objects and lists of a body may be nested. The deepest type of the API needs
// less than twenty levels.
const MaxDepth = 100

// FieldValidation is the query field that says what happens to fields that the API does not know:
// Strict refuses them, Warn and Ignore drop them, Warn where it can with a word about it. It is Kubernetes' own.
// DecodeJSON is Strict without it, DecodeLenient Warn.
const FieldValidation = "fieldValidation"

// DecodeJSON reads the request's body, one JSON object, into the value that into points to. The
// error is an API status that tells the client what is wrong and where. The size is bounded by the
// reader that the body limit filter has put around the body.
func DecodeJSON(r *http.Request, into any) error {
	empty, _, err := decode(r, into, metav1.FieldValidationStrict)
	if err == nil && empty {
		return errEmpty
	}
	return err
}

// maxProblems is how many fields the decoder tells: behind them it would not tell one that stands twice.
const maxProblems = 100

var errEmpty = apierrors.NewBadRequest("the body is empty; send a JSON object")

// DecodeLenient is DecodeJSON for objects that forms are sent as, with what they need besides: fields that the
// type does not have are dropped, as Kubernetes does, and told. The query can ask for Strict.
func DecodeLenient(r *http.Request, into any) (dropped []string, err error) {
	empty, dropped, err := decode(r, into, metav1.FieldValidationWarn)
	if err == nil && empty {
		return nil, errEmpty
	}
	return dropped, err
}

// DecodeOptionalJSON is DecodeJSON for an action that needs no body: into stays as it is if there is
// none.
func DecodeOptionalJSON(r *http.Request, into any) error {
	_, _, err := decode(r, into, metav1.FieldValidationStrict)
	return err
}

// decode reads the body. Without a mode in the query the given one holds.
func decode(r *http.Request, into any, mode string) (empty bool, dropped []string, err error) {
	wanted := r.URL.Query().Get(FieldValidation)
	switch wanted {
	case "":
	case metav1.FieldValidationStrict, metav1.FieldValidationWarn, metav1.FieldValidationIgnore:
		mode = wanted
	default:
		return false, nil, apierrors.NewBadRequest("fieldValidation must be Strict, Warn or Ignore")
	}
	data, err := read(r)
	if err != nil {
		return false, nil, err
	}
	trimmed := bytes.TrimSpace(data)
	if len(trimmed) == 0 {
		return true, nil, nil
	}
	if err := checkJSONType(r); err != nil {
		return false, nil, err
	}
	if err := checkShape(trimmed); err != nil {
		return false, nil, err
	}
	problems, err := sigsjson.UnmarshalStrict(data, into)
	if err != nil {
		return false, nil, explain(data, err)
	}
	switch {
	case len(problems) == 0 || mode == metav1.FieldValidationIgnore:
		return false, nil, nil
	case mode == metav1.FieldValidationStrict:
		return false, nil, unknownFields(problems)
	}
	if wanted == "" && len(problems) >= maxProblems {
		return false, nil, unknownFields(problems)
	}
	for _, problem := range problems {
		if wanted == "" && strings.HasPrefix(problem.Error(), "duplicate field") {
			return false, nil, unknownFields([]error{problem})
		}
		dropped = append(dropped, problem.Error())
	}
	return false, dropped, nil
}

// read takes the whole body, which the body limit filter bounds.
func read(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	data, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, TooLarge(tooLarge.Limit)
	case err != nil:
		return nil, apierrors.NewBadRequest("the body ended early: " + err.Error())
	}
	return data, nil
}

// TooLarge is the error of a body of more than limit bytes.
func TooLarge(limit int64) error {
	return statusError(http.StatusRequestEntityTooLarge, metav1.StatusReasonRequestEntityTooLarge,
		fmt.Sprintf("the body is larger than %d bytes (%s), the limit of this server", limit, binarySize(limit)))
}

// binarySize writes a number of bytes for people.
func binarySize(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10:
		return fmt.Sprintf("%.4g KiB", float64(n)/(1<<10))
	default:
		return fmt.Sprintf("%d B", n)
	}
}

func statusError(code int32, reason metav1.StatusReason, message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message,
	}}
}

func checkJSONType(r *http.Request) error {
	header := r.Header.Get("Content-Type")
	mediaType, params, err := mime.ParseMediaType(header)
	if err != nil || mediaType != "application/json" {
		return statusError(http.StatusUnsupportedMediaType, metav1.StatusReasonUnsupportedMediaType,
			fmt.Sprintf("the body is of type %q; send JSON with the header Content-Type: application/json", header))
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return statusError(http.StatusUnsupportedMediaType, metav1.StatusReasonUnsupportedMediaType,
			fmt.Sprintf("the body is encoded in %q; send UTF-8", charset))
	}
	return nil
}

// checkShape refuses what no decoder should be given: other encodings, values that are no object,
// and nesting that is meant to exhaust the stack.
func checkShape(data []byte) error {
	if !utf8.Valid(data) {
		return apierrors.NewBadRequest("the body is not valid UTF-8")
	}
	if data[0] != '{' {
		return apierrors.NewBadRequest("the body must be a JSON object: { … }")
	}
	depth, inString, escaped := 0, false, false
	for _, c := range data {
		switch {
		case escaped:
			escaped = false
		case inString:
			escaped, inString = c == '\\', c != '"'
		case c == '"':
			inString = true
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				return apierrors.NewBadRequest(fmt.Sprintf("the body is nested deeper than %d levels", MaxDepth))
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// explain turns a decoder's error into one that names the place in the body.
func explain(data []byte, err error) error {
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) {
		message := fmt.Sprintf("want %s, got %s at %s", jsonType(wrongType.Type), wrongType.Value, position(data, wrongType.Offset))
		return badFields([]metav1.StatusCause{{
			Type: metav1.CauseTypeFieldValueInvalid, Field: wrongType.Field, Message: message,
		}})
	}
	if isSyntax, offset := sigsjson.SyntaxErrorOffset(err); isSyntax {
		return apierrors.NewBadRequest(fmt.Sprintf("the body is not valid JSON: %s at %s", err, position(data, offset)))
	}
	// Types with a decoder of their own, such as quantities and times.
	return apierrors.NewBadRequest("the body cannot be read: " + err.Error())
}

// unknownFields reports fields that the type does not have, or that occur twice.
func unknownFields(errs []error) error {
	causes := make([]metav1.StatusCause, 0, len(errs))
	for _, err := range errs {
		cause := metav1.StatusCause{Type: metav1.CauseTypeFieldValueNotSupported, Message: err.Error()}
		var field sigsjson.FieldError
		if errors.As(err, &field) {
			cause.Field = field.FieldPath()
			cause.Message = strings.TrimSpace(strings.ReplaceAll(err.Error(), fmt.Sprintf("%q", cause.Field), ""))
		}
		causes = append(causes, cause)
	}
	return badFields(causes)
}

// badFields is a 400 whose message names every field and whose details repeat them for programs.
func badFields(causes []metav1.StatusCause) error {
	parts := make([]string, 0, len(causes))
	for _, cause := range causes {
		field := cause.Field
		if field == "" {
			field = "the body"
		}
		parts = append(parts, field+": "+cause.Message)
	}
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusBadRequest,
		Reason:  metav1.StatusReasonBadRequest,
		Message: strings.Join(parts, "; "),
		Details: &metav1.StatusDetails{Causes: causes},
	}}
}

// jsonType names the JSON type that a Go type is read from.
func jsonType(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Float32, reflect.Float64:
		return "a number"
	default:
		return "a whole number in range"
	}
}

// position gives line and column, counted from 1, of an offset in bytes.
func position(data []byte, offset int64) string {
	offset = min(max(offset, 0), int64(len(data)))
	before := data[:offset]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	return fmt.Sprintf("line %d, column %d", line, max(column, 1))
}
