// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

func object(namespace, name string, age int, change func(*corev1.ConfigMap)) client.Object {
	obj := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: name, UID: types.UID("uid-" + name),
		CreationTimestamp: metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(-time.Duration(age) * time.Hour)),
	}}
	if change != nil {
		change(obj)
	}
	return obj
}

func TestList(t *testing.T) {
	s := New(fake.NewClientBuilder().WithObjects(
		object("a", "one", 3, func(o *corev1.ConfigMap) {
			o.Labels = map[string]string{"app": "x"}
			o.Annotations = map[string]string{"kubesphere.io/alias-name": "Großes Projekt", "k": "v"}
		}),
		object("a", "two", 2, func(o *corev1.ConfigMap) {
			o.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "p", UID: "u"}}
		}),
		object("a", "three", 1, nil),
		object("a", "alike", 1, nil),
		object("b", "other", 1, nil),
	).Build(), nil, scheme.Scheme)

	cases := map[string]struct {
		reason    string
		namespace string
		query     string
		want      []string
		wantTotal int
	}{
		"all":             {reason: "newest first, equal ages by name", namespace: "a", want: []string{"three", "alike", "two", "one"}, wantTotal: 4},
		"all namespaces":  {reason: "no namespace is all", query: "sortBy=name&ascending=true", want: []string{"alike", "one", "other", "three", "two"}, wantTotal: 5},
		"ascending":       {reason: "oldest first", namespace: "a", query: "ascending=true", want: []string{"one", "two", "alike", "three"}, wantTotal: 4},
		"by name":         {reason: "names from the end", namespace: "a", query: "sortBy=name", want: []string{"two", "three", "one", "alike"}, wantTotal: 4},
		"old name":        {reason: "older consoles send createTime", namespace: "a", query: "sortBy=createTime&limit=1", want: []string{"three"}, wantTotal: 4},
		"other column":    {reason: "consoles send the column that was clicked", namespace: "a", query: "sortBy=updateTime&limit=1", want: []string{"three"}, wantTotal: 4},
		"page":            {reason: "the second page of two", namespace: "a", query: "page=2&limit=3", want: []string{"one"}, wantTotal: 4},
		"beyond":          {reason: "beyond the end is empty, not an error", namespace: "a", query: "page=9&limit=3", want: []string{}, wantTotal: 4},
		"beyond of all":   {reason: "all are on the first page", namespace: "a", query: "page=2", want: []string{}, wantTotal: 4},
		"far beyond":      {reason: "the product does not overflow", namespace: "a", query: "page=1000000&limit=1000000", want: []string{}, wantTotal: 4},
		"name":            {reason: "a part of the name", namespace: "a", query: "name=o", want: []string{"two", "one"}, wantTotal: 2},
		"alias":           {reason: "or of the alias", namespace: "a", query: "name=" + url.QueryEscape("Großes"), want: []string{"one"}, wantTotal: 1},
		"alias, twice":    {reason: "the console of version 3 encodes it twice", namespace: "a", query: "name=" + url.QueryEscape(url.PathEscape("Großes")), want: []string{"one"}, wantTotal: 1},
		"no encoding":     {reason: "a percent sign may be one", namespace: "a", query: "name=" + url.QueryEscape("%zz"), want: []string{}},
		"names":           {reason: "exact names", namespace: "a", query: "names=one,two,five", want: []string{"two", "one"}, wantTotal: 2},
		"uid":             {reason: "by uid", namespace: "a", query: "uid=uid-one", want: []string{"one"}, wantTotal: 1},
		"namespace":       {reason: "by namespace", query: "namespace=b", want: []string{"other"}, wantTotal: 1},
		"owner":           {reason: "by owner", namespace: "a", query: "ownerReference=u&ownerKind=Pod", want: []string{"two"}, wantTotal: 1},
		"not owner":       {reason: "both count", namespace: "a", query: "ownerReference=u&ownerKind=Job", want: []string{}},
		"annotation":      {reason: "by key and value", namespace: "a", query: "annotation=k%3Dv", want: []string{"one"}, wantTotal: 1},
		"label":           {reason: "by key", namespace: "a", query: "label=app", want: []string{"one"}, wantTotal: 1},
		"label selector":  {reason: "Kubernetes' own", namespace: "a", query: "labelSelector=app%21%3Dx&name=o", want: []string{"two"}, wantTotal: 1},
		"unknown filters": {reason: "keys of others are ignored", namespace: "a", query: "_=123&foo=bar&limit=-1", want: []string{"three", "alike", "two", "one"}, wantTotal: 4},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			values, err := url.ParseQuery(tc.query)
			if err != nil {
				t.Fatal(err)
			}
			q, err := ParseQuery(values)
			if err != nil {
				t.Fatalf("%s: ParseQuery: %v", tc.reason, err)
			}
			q.Namespace = tc.namespace
			page, err := List[*corev1.ConfigMap](context.Background(), s, &corev1.ConfigMapList{}, q)
			if err != nil {
				t.Fatalf("%s: List: %v", tc.reason, err)
			}
			got := []string{}
			for _, item := range page.Items {
				got = append(got, item.Name)
				if item.Kind != "ConfigMap" || item.APIVersion != "v1" {
					t.Errorf("%s: %s is a %s %s, want kind and version", tc.reason, item.Name, item.APIVersion, item.Kind)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
			if page.Total != tc.wantTotal {
				t.Errorf("%s: total %d, want %d", tc.reason, page.Total, tc.wantTotal)
			}
		})
	}
}

func TestListWithFilterOfCaller(t *testing.T) {
	s := New(fake.NewClientBuilder().WithObjects(object("a", "one", 1, nil), object("a", "two", 1, nil)).Build(), nil, scheme.Scheme)
	page, err := List(context.Background(), s, &corev1.ConfigMapList{}, All("a"),
		func(o *corev1.ConfigMap) bool { return o.Name == "two" })
	if err != nil || page.Total != 1 || page.Items[0].Name != "two" {
		t.Errorf("List = %v, %v, want two only", page, err)
	}
}

func TestGet(t *testing.T) {
	s := New(fake.NewClientBuilder().WithObjects(object("a", "one", 1, nil)).Build(), nil, scheme.Scheme)
	got := &corev1.ConfigMap{}
	if err := s.Get(context.Background(), "a", "one", got); err != nil || got.Kind != "ConfigMap" {
		t.Errorf("Get = %v, %v, want a complete ConfigMap", got, err)
	}
	if err := s.Get(context.Background(), "a", "none", got); !apierrors.IsNotFound(err) {
		t.Errorf("Get of none: %v, want not found", err)
	}
}

func TestGetReadsLiveWhatTheCacheLacks(t *testing.T) {
	cached := fake.NewClientBuilder().WithObjects(object("a", "old", 1, func(o *corev1.ConfigMap) { o.Data = map[string]string{"from": "cache"} })).Build()
	live := fake.NewClientBuilder().WithObjects(object("a", "new", 1, nil),
		object("a", "old", 1, func(o *corev1.ConfigMap) { o.Data = map[string]string{"from": "live"} })).Build()
	s := New(cached, live, scheme.Scheme)
	got := &corev1.ConfigMap{}
	if err := s.Get(context.Background(), "a", "new", got); err != nil {
		t.Errorf("Get of what was just made: %v", err)
	}
	if err := s.Get(context.Background(), "a", "old", got); err != nil || got.Data["from"] != "cache" {
		t.Errorf("Get = %v, %v, want it from the cache", got.Data, err)
	}
	if err := s.GetLive(context.Background(), "a", "old", got); err != nil || got.Data["from"] != "live" {
		t.Errorf("GetLive = %v, %v, want it live", got.Data, err)
	}
	if err := s.Get(context.Background(), "a", "none", got); !apierrors.IsNotFound(err) {
		t.Errorf("Get of none: %v, want not found", err)
	}
}

func TestParseQueryRefuses(t *testing.T) {
	cases := map[string]string{
		"page=0":                           "page must be a whole number from 1",
		"page=-1":                          "page must be a whole number from 1",
		"page=one":                         `got "one"`,
		"page=99999999999999999999":        "page must be a whole number",
		"limit=0":                          "limit must be -1 for all objects, or at least 1",
		"limit=-2":                         "limit must be a whole number from -1",
		"limit=1e3":                        "limit must be",
		"ascending=maybe":                  "ascending must be true or false",
		"labelSelector=a%20b":              "labelSelector is not valid",
		"page=" + fmt.Sprintf("%0500d", 1): "",
	}
	for query, want := range cases {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		_, err = ParseQuery(values)
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v, want no error", query, err)
			}
			continue
		}
		if !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want a bad request with %q", query, err, want)
		}
	}
}

func BenchmarkListPageOfManyObjects(b *testing.B) {
	list := &corev1.ConfigMapList{}
	for i := range 10000 {
		list.Items = append(list.Items, *object("a", fmt.Sprintf("o-%d", i), i, nil).(*corev1.ConfigMap))
	}
	s := New(listReader{list}, nil, scheme.Scheme)
	q := All("a")
	q.Limit = 10
	for b.Loop() {
		if _, err := List[*corev1.ConfigMap](context.Background(), s, &corev1.ConfigMapList{}, q); err != nil {
			b.Fatal(err)
		}
	}
}

// listReader gives the same list without copying it, as the informer cache does.
type listReader struct{ list *corev1.ConfigMapList }

func (r listReader) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return nil
}

func (r listReader) List(_ context.Context, into client.ObjectList, _ ...client.ListOption) error {
	into.(*corev1.ConfigMapList).Items = append([]corev1.ConfigMap(nil), r.list.Items...)
	return nil
}
