// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// cloud is a Kubernetes cloud as the plugin behaves: creation adds, whatever there is.
type cloud struct {
	log       []string
	templates map[string][]map[string]any
}

func (s *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.log = append(s.log, r.URL.EscapedPath())
	body, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	var doc map[string]any
	_ = json.Unmarshal([]byte(form.Get("json")), &doc)
	var id, action string
	switch {
	case r.URL.Path == "/manage/cloud/k8s net/create":
		id = fmt.Sprint(doc["id"])
		s.templates[id] = append(s.templates[id], doc)
	case scan(r.URL.Path, &id, &action) && len(s.templates[id]) > 0 && action == "configSubmit":
		s.templates[id][0] = doc
	case scan(r.URL.Path, &id, &action) && len(s.templates[id]) > 0 && action == "doDelete":
		s.templates[id] = s.templates[id][1:]
	default:
		notFound(w, r)
		return
	}
	w.Header().Set("Location", "/manage/cloud/k8s%20net/templates")
	w.WriteHeader(http.StatusFound)
}

func scan(path string, id, action *string) bool {
	rest, ok := cut(path, "/manage/cloud/k8s net/template/")
	if !ok {
		return false
	}
	for i := len(rest) - 1; i >= 0; i-- {
		if rest[i] == '/' {
			*id, *action = rest[:i], rest[i+1:]
			return true
		}
	}
	return false
}

func cut(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || s[:len(prefix)] != prefix {
		return "", false
	}
	return s[len(prefix):], true
}

func TestTemplates(t *testing.T) {
	srv := &cloud{templates: map[string][]map[string]any{}}
	c := handler(t, srv.ServeHTTP)
	ctx := t.Context()
	pod := "apiVersion: v1\nkind: Pod # <&\"ü\">\n"
	tpl := Template{ID: "dc-ns.app", Labels: []string{"dc-ns.app", "dc-ns.app-0123456789"}, YAML: pod, AgentContainer: "dev"}
	for range 2 {
		if err := c.EnsureTemplate(ctx, "k8s net", tpl); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"/manage/cloud/k8s%20net/template/dc-ns.app/configSubmit", "/manage/cloud/k8s%20net/create",
		"/manage/cloud/k8s%20net/template/dc-ns.app/configSubmit",
	}
	if diff := cmp.Diff(want, srv.log); diff != "" {
		t.Error(diff)
	}
	got := srv.templates["dc-ns.app"]
	if len(got) != 1 || got[0]["yaml"] != pod || got[0]["label"] != "dc-ns.app dc-ns.app-0123456789" {
		t.Errorf("templates = %v", got)
	}
	// Two at once for a new id leave two in Jenkins.
	srv.templates["dc-ns.app"] = append(got, got[0])
	for range 2 {
		if err := c.DeleteTemplate(ctx, "k8s net", "dc-ns.app"); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(srv.templates["dc-ns.app"]); n != 0 {
		t.Errorf("%d templates are left", n)
	}
}

// TestTemplateForm compares with the form that a real Jenkins was configured by.
func TestTemplateForm(t *testing.T) {
	data, err := os.ReadFile("testdata/template-form.json")
	if err != nil {
		t.Fatal(err)
	}
	var want, got map[string]any
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	tpl := Template{ID: "dc-netr", Labels: []string{"dc-netr"}, YAML: want["yaml"].(string), AgentContainer: "dev"}
	form, err := tpl.form("t")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(form.Get("json")), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTemplateErrors(t *testing.T) {
	good := Template{ID: "x", Labels: []string{"x"}, YAML: "kind: Pod"}
	for reason, change := range map[string]func(*Template){
		"no id":              func(t *Template) { t.ID = "" },
		"no label":           func(t *Template) { t.Labels = nil },
		"label with a space": func(t *Template) { t.Labels = []string{"a b"} },
		"empty label":        func(t *Template) { t.Labels = []string{""} },
		"no pod":             func(t *Template) { t.YAML = " \n" },
		"id with dots":       func(t *Template) { t.ID = "../x" },
	} {
		t.Run(reason, func(t *testing.T) {
			c := handler(t, func(http.ResponseWriter, *http.Request) { t.Error("the call was made") })
			tpl := good
			change(&tpl)
			if err := c.EnsureTemplate(t.Context(), "k", tpl); !errors.Is(err, ErrInvalid) {
				t.Fatalf("err = %v", err)
			}
		})
	}
	t.Run("no such cloud", func(t *testing.T) {
		c := handler(t, notFound)
		if err := c.EnsureTemplate(t.Context(), "k", good); !errors.Is(err, ErrNotFound) {
			t.Fatalf("err = %v", err)
		}
	})
	t.Run("a template that does not go away", func(t *testing.T) {
		c := handler(t, func(http.ResponseWriter, *http.Request) {})
		if err := c.DeleteTemplate(t.Context(), "k", "x"); !errors.Is(err, ErrConflict) {
			t.Fatalf("err = %v", err)
		}
	})
}

func TestLabelExists(t *testing.T) {
	c, _ := replay(t, "12-casc.json", "13-search-and-lists.json")
	for label, want := range map[string]bool{"base": true, "built-in": true, "no-such-label": false} {
		if got, err := c.LabelExists(t.Context(), label); err != nil || got != want {
			t.Errorf("LabelExists(%s) = %t, %v", label, got, err)
		}
	}
	if _, err := c.LabelExists(t.Context(), ".."); !errors.Is(err, ErrInvalid) {
		t.Errorf("err = %v", err)
	}
}
