// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package response

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
)

// itemsOf gives items one after another, then an error if there is one.
func itemsOf(err error, items ...string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, item := range items {
			if !yield([]byte(item), nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// repeat gives so many items of a kibibyte.
func repeat(n int) []string {
	items := make([]string, n)
	for i := range items {
		items[i] = `"` + strings.Repeat("x", 1022) + `"`
	}
	return items
}

func TestWriteItems(t *testing.T) {
	cases := map[string]struct {
		reason   string
		items    []string
		accept   string
		page     Items
		wantGzip bool
		streamed bool
		want     List[json.RawMessage]
	}{
		"none":     {reason: "a list, never null", want: List[json.RawMessage]{}},
		"one":      {reason: "in one piece", items: []string{`{"a":1}`}, page: Items{Total: 7, Continue: "c", ResourceVersion: "9"}, want: List[json.RawMessage]{TotalItems: 7, Continue: "c", ResourceVersion: "9"}},
		"small":    {reason: "not worth the time", items: repeat(200), accept: "gzip"},
		"large":    {reason: "while it is made", items: repeat(3000), streamed: true},
		"gzip":     {reason: "compressed if asked for", items: repeat(3000), accept: "br;q=1.0, GZIP; q=0.5", streamed: true, wantGzip: true},
		"no gzip":  {reason: "nor if refused", items: repeat(3000), accept: "gzip;q=0, identity", streamed: true},
		"just two": {reason: "the end is written, too", items: repeat(257), accept: "gzip", streamed: true, wantGzip: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Accept-Encoding", tc.accept)
			w := httptest.NewRecorder()
			tc.page.Items = itemsOf(nil, tc.items...)
			WriteItems(w, r, tc.page)
			var body io.Reader = w.Body
			if got := w.Header().Get("Content-Encoding") == "gzip"; got != tc.wantGzip {
				t.Fatalf("%s: compressed %v, want %v", tc.reason, got, tc.wantGzip)
			}
			if got := w.Header().Get("Content-Length") == ""; got != tc.streamed {
				t.Errorf("%s: no length %v, want %v", tc.reason, got, tc.streamed)
			}
			if tc.wantGzip {
				unzipped, err := gzip.NewReader(body)
				if err != nil {
					t.Fatal(err)
				}
				body = unzipped
			}
			text, err := io.ReadAll(body)
			if err != nil {
				t.Fatal(err)
			}
			var got List[json.RawMessage]
			if err := json.Unmarshal(text, &got); err != nil || got.Items == nil {
				t.Fatalf("%s: %v: %.200s", tc.reason, err, text)
			}
			tc.want.Items = []json.RawMessage{}
			for _, item := range tc.items {
				tc.want.Items = append(tc.want.Items, json.RawMessage(item))
			}
			if !reflect.DeepEqual(tc.want, got) {
				t.Errorf("%s: %d items, %d, %q, %q; want %d items, %d, %q, %q", tc.reason, len(got.Items), got.TotalItems, got.Continue, got.ResourceVersion,
					len(tc.want.Items), tc.want.TotalItems, tc.want.Continue, tc.want.ResourceVersion)
			}
		})
	}
}

func TestWriteItemsThatCannotBeEncoded(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	w := httptest.NewRecorder()
	WriteItems(w, r, Items{Items: itemsOf(errors.New("broken"), repeat(3)...)})
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "items") {
		t.Errorf("%d %.200s, want a 500 instead of half an answer", w.Code, w.Body)
	}
	defer func() {
		if cause := recover(); cause != http.ErrAbortHandler { //nolint:errorlint // it is that value
			t.Errorf("panic %v, want the connection cut after the answer has begun", cause)
		}
	}()
	WriteItems(httptest.NewRecorder(), r, Items{Items: itemsOf(errors.New("broken"), repeat(3000)...)})
}
