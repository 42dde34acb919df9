// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package request

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/google/go-cmp/cmp"
)

type inner struct {
	Flag bool   `json:"flag"`
	Text string `json:"text"`
	Num  int32  `json:"num"`
}

type outer struct {
	Spec inner    `json:"spec"`
	List []string `json:"list"`
}

func TestDecodeJSON(t *testing.T) {
	cases := map[string]struct {
		reason      string
		body        string
		contentType string
		query       string
		want        outer
		wantCode    int32
		wantMessage string
	}{
		"object":           {reason: "a good body is read", body: `{"spec":{"flag":true,"text":"é☃"},"list":["a"]}`, want: outer{Spec: inner{Flag: true, Text: "é☃"}, List: []string{"a"}}},
		"charset":          {reason: "UTF-8 may be named", body: `{}`, contentType: "application/json; charset=UTF-8"},
		"other charset":    {reason: "nothing else is read", body: `{}`, contentType: "application/json; charset=gbk", wantCode: 415, wantMessage: "send UTF-8"},
		"form":             {reason: "curl -d sends a form", body: `{}`, contentType: "application/x-www-form-urlencoded", wantCode: 415, wantMessage: "Content-Type: application/json"},
		"no type":          {reason: "a body without a type is not guessed at", body: `{}`, contentType: "-", wantCode: 415, wantMessage: "Content-Type: application/json"},
		"empty":            {reason: "a body is needed", body: " \n", wantCode: 400, wantMessage: "the body is empty"},
		"unknown field":    {reason: "a typing error is told with its path", body: `{"spec":{"flog":true}}`, wantCode: 400, wantMessage: "spec.flog: unknown field"},
		"unknown ignored":  {reason: "the client asked for it", body: `{"spec":{"flog":true}}`, query: "?fieldValidation=Ignore"},
		"bad mode":         {reason: "only Kubernetes' modes", body: `{}`, query: "?fieldValidation=Lax", wantCode: 400, wantMessage: "Strict, Warn or Ignore"},
		"wrong case":       {reason: "names are compared exactly", body: `{"Spec":{}}`, wantCode: 400, wantMessage: "Spec: unknown field"},
		"duplicate":        {reason: "two readers would take different values", body: `{"list":[],"list":[]}`, wantCode: 400, wantMessage: "list: duplicate field"},
		"wrong type":       {reason: "field, types and place are told", body: "{\"spec\":{\n\"flag\":\"yes\"}}", wantCode: 400, wantMessage: "spec.flag: want true or false, got string at line 2, column 12"},
		"number too large": {reason: "numbers do not wrap", body: `{"spec":{"num":3000000000}}`, wantCode: 400, wantMessage: "spec.num: want a whole number in range"},
		"syntax":           {reason: "the place is told", body: "{\n\"spec\": }", wantCode: 400, wantMessage: "line 2, column 9"},
		"two values":       {reason: "nothing may follow", body: `{} {}`, wantCode: 400, wantMessage: "not valid JSON"},
		"list":             {reason: "an object is wanted", body: `[]`, wantCode: 400, wantMessage: "must be a JSON object"},
		"null":             {reason: "an object is wanted", body: `null`, wantCode: 400, wantMessage: "must be a JSON object"},
		"depth":            {reason: "nesting is bounded", body: `{"list":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`, wantCode: 400, wantMessage: "nested deeper than 100"},
		"brackets in text": {reason: "text is not nesting", body: `{"spec":{"text":"\"` + strings.Repeat("[", 200) + `"}}`, want: outer{Spec: inner{Text: `"` + strings.Repeat("[", 200)}}},
		"not UTF-8":        {reason: "no other encoding", body: "{\"spec\":{\"text\":\"\xff\"}}", wantCode: 400, wantMessage: "not valid UTF-8"},
		"too large":        {reason: "the limit is told", body: `{"spec":{"text":"` + strings.Repeat("x", 2048) + `"}}`, wantCode: 413, wantMessage: "larger than 2048 bytes (2 KiB)"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodPost, "/"+tc.query, strings.NewReader(tc.body))
			r.Body = http.MaxBytesReader(w, r.Body, 2048)
			switch tc.contentType {
			case "":
				r.Header.Set("Content-Type", "application/json")
			case "-":
			default:
				r.Header.Set("Content-Type", tc.contentType)
			}
			var got outer
			err := DecodeJSON(r, &got)
			if tc.wantCode == 0 {
				if err != nil {
					t.Fatalf("%s: DecodeJSON: %v", tc.reason, err)
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
				}
				return
			}
			status, ok := err.(apierrors.APIStatus)
			if !ok {
				t.Fatalf("%s: DecodeJSON: %v, want an API status", tc.reason, err)
			}
			if status.Status().Code != tc.wantCode || !strings.Contains(status.Status().Message, tc.wantMessage) {
				t.Errorf("%s: got %d %q, want %d with %q", tc.reason, status.Status().Code, status.Status().Message, tc.wantCode, tc.wantMessage)
			}
		})
	}
}

func TestDecodeOptionalJSON(t *testing.T) {
	got := outer{List: []string{"default"}}
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	if err := DecodeOptionalJSON(r, &got); err != nil {
		t.Fatalf("DecodeOptionalJSON of no body: %v", err)
	}
	if diff := cmp.Diff(outer{List: []string{"default"}}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestDecodeLenient(t *testing.T) {
	var many strings.Builder
	for i := range 100 {
		fmt.Fprintf(&many, "\"x%d\":1,", i)
	}
	for reason, tt := range map[string]struct {
		query, body string
		dropped     []string
		code        int32
	}{
		"what forms send besides":  {"", `{"spec":{"flag":true,"flog":1},"x":{}}`, []string{`unknown field "spec.flog"`, `unknown field "x"`}, 0},
		"nothing unknown":          {"", `{"spec":{"flag":true}}`, nil, 0},
		"the client wants it":      {"?fieldValidation=Strict", `{"x":1}`, nil, 400},
		"or does not care":         {"?fieldValidation=Ignore", `{"x":1}`, nil, 0},
		"two readings":             {"", `{"list":[],"list":[]}`, nil, 400},
		"two readings, as wanted":  {"?fieldValidation=Warn", `{"list":[],"list":[]}`, []string{`duplicate field "list"`}, 0},
		"two readings behind much": {"", "{" + many.String() + `"list":[],"list":[]}`, nil, 400},
		"a wrong type is an error": {"", `{"spec":{"flag":"yes"}}`, nil, 400},
		"no body":                  {"", "", nil, 400},
	} {
		r := httptest.NewRequest(http.MethodPost, "/"+tt.query, strings.NewReader(tt.body))
		r.Header.Set("Content-Type", "application/json")
		var got outer
		dropped, err := DecodeLenient(r, &got)
		var code int32
		if status := apierrors.APIStatus(nil); errors.As(err, &status) {
			code = status.Status().Code
		}
		if diff := cmp.Diff(tt.dropped, dropped); diff != "" || code != tt.code {
			t.Errorf("%s: %d, want %d; dropped -want +got:\n%s", reason, code, tt.code, diff)
		}
	}
}
