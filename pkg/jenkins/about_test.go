// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/pkg/jenkins/jenkinstest"
)

func TestWhoAmI(t *testing.T) {
	for reason, tc := range map[string]struct {
		cfg  Config
		want Identity
	}{
		"token":     {Config{Username: jenkinstest.User, Token: jenkinstest.Token}, Identity{Name: "admin", Authorities: []string{"authenticated"}}},
		"password":  {Config{Username: jenkinstest.User, Password: jenkinstest.Password}, Identity{Name: "admin", Authorities: []string{"authenticated"}}},
		"anonymous": {Config{}, Identity{Name: "anonymous", Anonymous: true, Authorities: []string{"anonymous"}}},
	} {
		t.Run(reason, func(t *testing.T) {
			tc.cfg.URL = jenkinstest.Replay(t, recordings+"01-auth-and-crumb.json").URL
			got, err := client(t, tc.cfg).WhoAmI(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAbout(t *testing.T) {
	c := handler(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Jenkins", "2")
		switch r.URL.RequestURI() {
		case "/pluginManager/api/json?tree=plugins%5BshortName%2Cversion%2Cactive%5D":
			_, _ = io.WriteString(w, `{"plugins":[{"active":true,"shortName":"git","version":"5.10.1"},{"active":false,"shortName":"ant","version":"1"}]}`)
		case "/api/json?tree=jobs%5Bname%5D":
			_, _ = io.WriteString(w, `{"_class":"hudson.model.Hudson","jobs":[{"_class":"x","name":"a b"},{"name":"größe"}]}`)
		case "/manage/cloud/k8s%20net/":
			_, _ = io.WriteString(w, `<html></html>`)
		case "/manage/cloud/theirs/":
			w.WriteHeader(http.StatusForbidden)
		default:
			notFound(w, r)
		}
	})
	plugins, err := c.Plugins(t.Context())
	if diff := cmp.Diff(map[string]string{"git": "5.10.1"}, plugins); diff != "" || err != nil {
		t.Errorf("Plugins: %v %s", err, diff)
	}
	items, err := c.TopItems(t.Context())
	if fmt.Sprint(items) != "[a b größe]" || err != nil {
		t.Errorf("TopItems = %v, %v", items, err)
	}
	for cloud, want := range map[string]error{"k8s net": nil, "theirs": ErrForbidden, "nosuch": ErrNotFound, "": ErrInvalid, "..": ErrInvalid} {
		if err := c.FindCloud(t.Context(), cloud); !errors.Is(err, want) {
			t.Errorf("FindCloud(%q) = %v, want %v", cloud, err, want)
		}
	}
}
