// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

var list = Right{Verb: "list", Group: "g", Version: "v1", Resource: "r"}

func TestAllowed(t *testing.T) {
	namespaces := make([]string, 0, 500)
	for i := range 500 {
		namespaces = append(namespaces, fmt.Sprintf("n%d", i))
	}
	var calls, atOnce, most atomic.Int32
	a := authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
		calls.Add(1)
		if n := atOnce.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer atOnce.Add(-1)
		if a.GetVerb() != "list" || a.GetAPIGroup() != "g" || a.GetAPIVersion() != "v1" || a.GetResource() != "r" || !a.IsResourceRequest() {
			return authorizer.DecisionDeny, "", errors.New("another question")
		}
		if a.GetNamespace() == "n7" || a.GetUser().GetName() == "root" {
			return authorizer.DecisionAllow, "", nil
		}
		return authorizer.DecisionNoOpinion, "", nil
	})
	got, err := Allowed(t.Context(), a, &user.DefaultInfo{Name: "ann"}, list, namespaces)
	if err != nil || !got.Has("n7") || got.Has("n8") || got.Has("") || got.Has("other") {
		t.Errorf("Allowed: %v, %v", got, err)
	}
	if calls.Load() != 501 || most.Load() > questions {
		t.Errorf("%d questions, %d at once, want 501 and at most %d", calls.Load(), most.Load(), questions)
	}
	calls.Store(0)
	if got, err = Allowed(t.Context(), a, &user.DefaultInfo{Name: "root"}, list, namespaces); err != nil || !got.Has("anything") || calls.Load() != 1 {
		t.Errorf("Allowed of one who may everything: %v, %v, %d questions", got, err, calls.Load())
	}
}

func TestAllowedFails(t *testing.T) {
	cause := errors.New("connection refused")
	for _, failAt := range []string{"", "n1"} {
		a := authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
			if a.GetNamespace() == failAt {
				return authorizer.DecisionAllow, "", cause
			}
			return authorizer.DecisionDeny, "", nil
		})
		got, err := Allowed(t.Context(), a, &user.DefaultInfo{Name: "ann"}, list, []string{"n0", "n1"})
		if !apierrors.IsServiceUnavailable(err) || !errors.Is(err, cause) || got.Has("n0") || got.Has("n1") {
			t.Errorf("failure at %q: %v, %v, want a 503 and nothing allowed", failAt, got, err)
		}
	}
	cancelled := authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
		return authorizer.DecisionDeny, "", context.Canceled
	})
	if _, err := Allowed(t.Context(), cancelled, &user.DefaultInfo{}, list, nil); !errors.Is(err, context.Canceled) || apierrors.IsServiceUnavailable(err) {
		t.Errorf("cancelled: %v", err)
	}
}
