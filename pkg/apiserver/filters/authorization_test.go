// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/slipway-dev/slipway/pkg/apiserver/request"
)

func TestWithAuthorization(t *testing.T) {
	resource := &request.Info{
		IsResourceRequest: true, Path: "/kapis/g/v/namespaces/ns/things/t/log", Verb: "get", APIGroup: "g", APIVersion: "v",
		Namespace: "ns", Resource: "things", Subresource: "log", Name: "t",
	}
	path := &request.Info{Path: "/metrics", Verb: "get"}
	cases := map[string]struct {
		reason      string
		info        *request.Info
		user        string
		policy      PathPolicy
		decision    authorizer.Decision
		err         error
		wantCode    int
		wantMessage string
		wantAsked   bool
	}{
		"allowed":         {reason: "a right opens", info: resource, user: "ann", decision: authorizer.DecisionAllow, wantCode: 200, wantAsked: true},
		"denied":          {reason: "the missing right is named, the object is not", info: resource, user: "ann", decision: authorizer.DecisionDeny, wantCode: 403, wantMessage: `user "ann" may not get things/log.g in namespace "ns"`, wantAsked: true},
		"no opinion":      {reason: "nothing said is not allowed", info: resource, user: "ann", decision: authorizer.DecisionNoOpinion, wantCode: 403, wantAsked: true},
		"error":           {reason: "what cannot be checked is not allowed", info: resource, user: "ann", decision: authorizer.DecisionDeny, err: errors.New("down"), wantCode: 503, wantMessage: "permission cannot be checked", wantAsked: true},
		"error + allow":   {reason: "an error denies whatever else is said", info: resource, user: "ann", decision: authorizer.DecisionAllow, err: errors.New("down"), wantCode: 503, wantAsked: true},
		"nobody":          {reason: "without a user nothing is allowed", info: resource, decision: authorizer.DecisionAllow, wantCode: 401},
		"resource policy": {reason: "an open path policy opens no resource", info: resource, user: "ann", policy: PathOpen, decision: authorizer.DecisionDeny, wantCode: 403, wantAsked: true},
		"open":            {reason: "open paths ask nobody", info: path, policy: PathOpen, wantCode: 200},
		"authenticated":   {reason: "every user may", info: path, user: "ann", policy: PathAuthenticated, wantCode: 200},
		"granted":         {reason: "RBAC decides", info: path, user: "ann", policy: PathGranted, decision: authorizer.DecisionDeny, wantCode: 403, wantMessage: "nonResourceURL", wantAsked: true},
		"unknown":         {reason: "what is not registered is not there", info: &request.Info{Path: "/secret"}, user: "ann", decision: authorizer.DecisionAllow, wantCode: 404},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var asked *authorizer.AttributesRecord
			auth := authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
				record := a.(authorizer.AttributesRecord)
				asked = &record
				return tc.decision, "", tc.err
			})
			r := withInfo(httptest.NewRequest(http.MethodGet, tc.info.Path, nil), tc.info)
			if tc.user != "" {
				r = withUser(r, tc.user)
			}
			w := serve(WithAuthorization(respond(200), auth, func(*http.Request) PathPolicy { return tc.policy }), r)
			if w.Code != tc.wantCode || (asked != nil) != tc.wantAsked {
				t.Fatalf("%s: %d, asked %v, want %d, %v", tc.reason, w.Code, asked != nil, tc.wantCode, tc.wantAsked)
			}
			if tc.wantMessage != "" && !strings.Contains(statusOf(t, w).Message, tc.wantMessage) {
				t.Errorf("%s: message %q, want %q", tc.reason, statusOf(t, w).Message, tc.wantMessage)
			}
			if asked != nil && tc.info == resource {
				asked.User = nil
				want := &authorizer.AttributesRecord{
					Verb: "get", APIGroup: "g", APIVersion: "v", Namespace: "ns", Resource: "things", Subresource: "log",
					Name: "t", ResourceRequest: true, Path: resource.Path,
				}
				if diff := cmp.Diff(want, asked); diff != "" {
					t.Errorf("%s: asked -want +got:\n%s", tc.reason, diff)
				}
			}
		})
	}
}
