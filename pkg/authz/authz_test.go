// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package authz

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

type creatorFunc func(review *authorizationv1.SubjectAccessReview) error

func (f creatorFunc) Create(_ context.Context, obj client.Object, _ ...client.CreateOption) error {
	return f(obj.(*authorizationv1.SubjectAccessReview))
}

func attributes(name string, groups ...string) authorizer.AttributesRecord {
	return authorizer.AttributesRecord{
		User: &user.DefaultInfo{Name: name, Groups: groups, Extra: map[string][]string{"k": {"v"}}},
		Verb: "get", APIGroup: "g", APIVersion: "v", Resource: "r", Subresource: "s", Namespace: "ns", Name: "n", ResourceRequest: true,
	}
}

func TestAuthorizeAsksForTheWholeQuestion(t *testing.T) {
	var got authorizationv1.SubjectAccessReviewSpec
	a := New(creatorFunc(func(review *authorizationv1.SubjectAccessReview) error {
		got = review.Spec
		return nil
	}), Options{})
	cases := map[string]struct {
		reason     string
		attributes authorizer.AttributesRecord
		want       authorizationv1.SubjectAccessReviewSpec
	}{
		"resource": {
			reason: "every field counts", attributes: attributes("ann", "dev"),
			want: authorizationv1.SubjectAccessReviewSpec{
				User: "ann", Groups: []string{"dev"}, Extra: map[string]authorizationv1.ExtraValue{"k": {"v"}},
				ResourceAttributes: &authorizationv1.ResourceAttributes{
					Namespace: "ns", Verb: "get", Group: "g", Version: "v", Resource: "r", Subresource: "s", Name: "n",
				},
			},
		},
		"path": {
			reason: "a path is no resource", attributes: authorizer.AttributesRecord{User: &user.DefaultInfo{Name: "ann"}, Verb: "get", Path: "/metrics"},
			want: authorizationv1.SubjectAccessReviewSpec{
				User: "ann", NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: "/metrics", Verb: "get"},
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if _, _, err := a.Authorize(context.Background(), tc.attributes); err != nil {
				t.Fatalf("%s: %v", tc.reason, err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestAuthorize(t *testing.T) {
	down := errors.New("down")
	cases := map[string]struct {
		reason    string
		status    authorizationv1.SubjectAccessReviewStatus
		err       error
		options   Options
		want      authorizer.Decision
		wantCalls int
	}{
		"allowed":            {reason: "a permission is remembered", status: authorizationv1.SubjectAccessReviewStatus{Allowed: true}, want: authorizer.DecisionAllow, wantCalls: 1},
		"denied":             {reason: "a refusal is remembered", want: authorizer.DecisionDeny, wantCalls: 1},
		"both":               {reason: "a refusal wins", status: authorizationv1.SubjectAccessReviewStatus{Allowed: true, Denied: true}, want: authorizer.DecisionDeny, wantCalls: 1},
		"error":              {reason: "an error denies and is not remembered", err: down, want: authorizer.DecisionDeny, wantCalls: 2},
		"error with allowed": {reason: "an error denies whatever the answer says", status: authorizationv1.SubjectAccessReviewStatus{Allowed: true}, err: down, want: authorizer.DecisionDeny, wantCalls: 2},
		"expired": {
			reason: "a permission is forgotten", status: authorizationv1.SubjectAccessReviewStatus{Allowed: true},
			options: Options{AllowTTL: time.Nanosecond}, want: authorizer.DecisionAllow, wantCalls: 2,
		},
		"never remembered": {
			reason: "it can be turned off", status: authorizationv1.SubjectAccessReviewStatus{Allowed: true},
			options: Options{AllowTTL: -1}, want: authorizer.DecisionAllow, wantCalls: 2,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			calls := 0
			a := New(creatorFunc(func(review *authorizationv1.SubjectAccessReview) error {
				calls++
				review.Status = tc.status
				return tc.err
			}), tc.options)
			for range 2 {
				got, _, err := a.Authorize(context.Background(), attributes("ann"))
				if got != tc.want || !errors.Is(err, tc.err) {
					t.Errorf("%s: Authorize = %v, %v, want %v, %v", tc.reason, got, err, tc.want, tc.err)
				}
			}
			if calls != tc.wantCalls {
				t.Errorf("%s: %d calls, want %d", tc.reason, calls, tc.wantCalls)
			}
		})
	}
}

func TestDecisionsAreNotShared(t *testing.T) {
	a := New(creatorFunc(func(review *authorizationv1.SubjectAccessReview) error {
		review.Status.Allowed = review.Spec.User == "ann" && len(review.Spec.Groups) == 1
		return nil
	}), Options{AllowTTL: time.Hour, DenyTTL: time.Hour})
	for name, tc := range map[string]struct {
		attributes authorizer.AttributesRecord
		want       authorizer.Decision
	}{
		"a":  {attributes("ann", "dev"), authorizer.DecisionAllow},
		"b":  {attributes("bob", "dev"), authorizer.DecisionDeny},
		"c":  {attributes("ann"), authorizer.DecisionDeny},
		"a2": {attributes("ann", "dev"), authorizer.DecisionAllow},
	} {
		if got, _, err := a.Authorize(context.Background(), tc.attributes); got != tc.want || err != nil {
			t.Errorf("%s: %v, %v, want %v", name, got, err, tc.want)
		}
	}
}
