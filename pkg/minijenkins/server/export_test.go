// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func exampleBean() *object {
	build := func(n int) *object {
		return bean("Run").vis(2, "number", n).vis(2, "url", "u").set("result", "SUCCESS")
	}
	return bean("Job").
		vis(3, "name", "a").
		set("description", nil).
		set("last", (*object)(nil)).
		lazy(1, "builds", func() any { return []*object{build(3), build(2), build(1)} }).
		in("inline", bean("").set("x", 1).set("deep", bean("").set("y", 2)))
}

func TestTreeFilter(t *testing.T) {
	cases := map[string]struct {
		tree, depth string
		want        string
		err         bool
	}{
		"depth 0 shows visible properties below": {
			want: `{"_class":"Job","name":"a","description":null,"last":null,"builds":[{"_class":"Run","number":3,"url":"u"},{"_class":"Run","number":2,"url":"u"},{"_class":"Run","number":1,"url":"u"}],"inline":{"x":1,"deep":{}}}`},
		"depth 1 shows all of the next level": {depth: "1",
			want: `{"_class":"Job","name":"a","description":null,"last":null,"builds":[{"_class":"Run","number":3,"url":"u","result":"SUCCESS"},{"_class":"Run","number":2,"url":"u","result":"SUCCESS"},{"_class":"Run","number":1,"url":"u","result":"SUCCESS"}],"inline":{"x":1,"deep":{"y":2}}}`},
		"names":                     {tree: "name,last", want: `{"_class":"Job","name":"a","last":null}`},
		"a name without a list":     {tree: "builds", want: `{"_class":"Job","builds":[{"_class":"Run"},{"_class":"Run"},{"_class":"Run"}]}`},
		"unknown name":              {tree: "nosuch", want: `{"_class":"Job"}`},
		"unknown name below":        {tree: "builds[nosuch]{0,1}", want: `{"_class":"Job","builds":[{"_class":"Run"}]}`},
		"range":                     {tree: "builds[number]{0,2}", want: `{"_class":"Job","builds":[{"_class":"Run","number":3},{"_class":"Run","number":2}]}`},
		"open range":                {tree: "builds[number]{1,}", want: `{"_class":"Job","builds":[{"_class":"Run","number":2},{"_class":"Run","number":1}]}`},
		"range from the start":      {tree: "builds[number]{,1}", want: `{"_class":"Job","builds":[{"_class":"Run","number":3}]}`},
		"one index":                 {tree: "builds[number]{1}", want: `{"_class":"Job","builds":[{"_class":"Run","number":2}]}`},
		"range beyond the end":      {tree: "builds[number]{50,60}", want: `{"_class":"Job","builds":[]}`},
		"range the wrong way round": {tree: "builds[number]{2,1}", want: `{"_class":"Job","builds":[]}`},
		"negative range":            {tree: "builds[number]{-5,1}", want: `{"_class":"Job","builds":[{"_class":"Run","number":3}]}`},
		"star":                      {tree: "builds[*]{0,1}", want: `{"_class":"Job","builds":[{"_class":"Run","number":3,"url":"u","result":"SUCCESS"}]}`},
		"name before star":          {tree: "*,builds[number]{0,1}", want: `{"_class":"Job","name":"a","description":null,"last":null,"builds":[{"_class":"Run","number":3}],"inline":{}}`},
		"spaces":                    {tree: " name , last ", want: `{"_class":"Job","name":"a","last":null}`},
		"unclosed bracket":          {tree: "builds[number", err: true},
		"closing bracket without":   {tree: "name]", err: true},
		"unclosed range":            {tree: "builds{0,", err: true},
		"range without a number":    {tree: "builds{a,b}", err: true},
		"empty range":               {tree: "builds{}", err: true},
		"empty list":                {tree: "builds[]", err: true},
		"comma at the end":          {tree: "name,", err: true},
		"bad depth":                 {depth: "abc", err: true},
		"very deep":                 {tree: strings.Repeat("a[", 5000) + "a" + strings.Repeat("]", 5000), err: true},
		"negative depth shows less": {depth: "-1", want: `{"_class":"Job","name":"a","inline":{}}`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p, err := choosePruner(c.tree, c.depth)
			if (err != nil) != c.err {
				t.Fatalf("error = %v, want an error: %v", err, c.err)
			}
			if err != nil {
				if c.tree != "" && !errors.Is(err, errTree) {
					t.Errorf("error %v is no errTree", err)
				}
				return
			}
			var b bytes.Buffer
			if err := renderJSON(&b, exampleBean(), p); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, b.String()); d != "" {
				t.Error(d)
			}
		})
	}
}

func FuzzParseTree(f *testing.F) {
	for _, s := range []string{"a", "a[b{1,2}]{3}", "a[", "*,b[*]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := parseTree(s); err == nil && n.names == nil {
			t.Errorf("no names in %q", s)
		}
	})
}
