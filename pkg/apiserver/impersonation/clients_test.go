// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package impersonation

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func newClients(t *testing.T) (*Clients, func() http.Header) {
	t.Helper()
	var got http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x","namespace":"ns"}}`))
	}))
	t.Cleanup(server.Close)
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("ConfigMap"), meta.RESTScopeNamespace)
	config := &rest.Config{Host: server.URL, BearerToken: "own"}
	return New(config, scheme.Scheme, mapper), func() http.Header { return got }
}

func TestClientFor(t *testing.T) {
	clients, sent := newClients(t)
	cases := map[string]struct {
		reason     string
		user       user.Info
		wantUser   string
		wantGroups []string
	}{
		"user": {
			reason:   "name and groups, without the group of all users",
			user:     &user.DefaultInfo{Name: "ann", Groups: []string{"ops", "dev", "system:authenticated"}, UID: "1", Extra: map[string][]string{"a": {"b"}}},
			wantUser: "ann", wantGroups: []string{"dev", "ops"},
		},
		"service account": {
			reason:   "Kubernetes knows its groups",
			user:     &user.DefaultInfo{Name: "system:serviceaccount:w:sa", Groups: []string{"system:serviceaccounts", "system:serviceaccounts:w", "system:authenticated"}},
			wantUser: "system:serviceaccount:w:sa",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c, err := clients.ClientFor(tc.user)
			if err != nil {
				t.Fatalf("%s: ClientFor: %v", tc.reason, err)
			}
			if err := c.Get(context.Background(), client.ObjectKey{Namespace: "ns", Name: "x"}, &corev1.ConfigMap{}); err != nil {
				t.Fatalf("%s: Get: %v", tc.reason, err)
			}
			header := sent()
			if got := header.Get("Impersonate-User"); got != tc.wantUser {
				t.Errorf("%s: Impersonate-User = %q, want %q", tc.reason, got, tc.wantUser)
			}
			if diff := cmp.Diff(tc.wantGroups, header.Values("Impersonate-Group")); diff != "" {
				t.Errorf("%s: groups: -want +got:\n%s", tc.reason, diff)
			}
			for key := range header {
				if key == "Impersonate-Uid" || len(key) > 18 && key[:18] == "Impersonate-Extra-" {
					t.Errorf("%s: header %s was sent", tc.reason, key)
				}
			}
			if again, err := clients.ClientFor(tc.user); err != nil || again != c {
				t.Errorf("%s: a second client was made", tc.reason)
			}
		})
	}
}

func TestClientForNobody(t *testing.T) {
	clients, _ := newClients(t)
	for _, u := range []user.Info{nil, &user.DefaultInfo{}, &user.DefaultInfo{Groups: []string{"dev"}}} {
		if _, err := clients.ClientFor(u); !errors.Is(err, ErrNoUser) {
			t.Errorf("ClientFor(%v): %v, want ErrNoUser", u, err)
		}
	}
}

func TestUsersDoNotShareClients(t *testing.T) {
	clients, _ := newClients(t)
	seen := map[client.Client]string{}
	for name, u := range map[string]user.Info{
		"ann":      &user.DefaultInfo{Name: "ann"},
		"ann dev":  &user.DefaultInfo{Name: "ann", Groups: []string{"dev"}},
		"ann d ev": &user.DefaultInfo{Name: "ann", Groups: []string{"d", "ev"}},
		"bob":      &user.DefaultInfo{Name: "bob"},
	} {
		c, err := clients.ClientFor(u)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[c]; ok {
			t.Errorf("%s has the client of %s", name, other)
		}
		seen[c] = name
	}
}
