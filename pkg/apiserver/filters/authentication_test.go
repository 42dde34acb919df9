// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/authn"
)

func TestWithAuthentication(t *testing.T) {
	auth := authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
		switch r.Header.Get("Authorization") {
		case "":
			return nil, false, nil
		case "good":
			return &authenticator.Response{User: &user.DefaultInfo{Name: "ann"}}, true, nil
		case "bad":
			return nil, false, authn.Refuse("token has expired")
		case "good but failed":
			return &authenticator.Response{User: &user.DefaultInfo{Name: "ann"}}, true, errors.New("down at 10.0.0.1")
		}
		return nil, false, errors.New("down at 10.0.0.1")
	})
	cases := map[string]struct {
		reason                         string
		credential                     string
		open                           bool
		wantCode                       int
		wantUser, wantMessage, counted string
	}{
		"good":       {reason: "the user is known", credential: "good", wantCode: 200, wantUser: "ann", counted: "success"},
		"none":       {reason: "the answer says what to do", wantCode: 401, wantMessage: "no token: send Authorization: Bearer", counted: "anonymous"},
		"bad":        {reason: "a bad credential is not none", credential: "bad", wantCode: 401, wantMessage: "token has expired", counted: "failure"},
		"down":       {reason: "what cannot be checked is not let in, and not the user's fault", credential: "x", wantCode: 503, wantMessage: "cannot be checked", counted: "error"},
		"both":       {reason: "an error denies whatever else is said", credential: "good but failed", wantCode: 503, wantMessage: "cannot be checked", counted: "error"},
		"open":       {reason: "open paths need none", open: true, wantCode: 200},
		"open + bad": {reason: "and do not look at one", credential: "bad", open: true, wantCode: 200},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var counted, gotUser, left string
			h := WithAuthentication(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if u, ok := request.UserFrom(r.Context()); ok {
					gotUser, left = u.GetName(), r.Header.Get("Authorization")
				}
			}), auth, func(*http.Request) bool { return tc.open }, func(result string) { counted = result })
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			if tc.credential != "" {
				r.Header.Set("Authorization", tc.credential)
			}
			w := serve(h, r)
			if w.Code != tc.wantCode || gotUser != tc.wantUser || counted != tc.counted {
				t.Errorf("%s: %d, user %q, counted %q", tc.reason, w.Code, gotUser, counted)
			}
			if left != "" {
				t.Errorf("%s: the handler still sees the credential %q", tc.reason, left)
			}
			if tc.wantCode == 200 {
				return
			}
			if message := statusOf(t, w).Message; !strings.Contains(message, tc.wantMessage) || strings.Contains(message, "10.0.0.1") {
				t.Errorf("%s: message %q, want %q without internals", tc.reason, message, tc.wantMessage)
			}
			if got := w.Header().Get("WWW-Authenticate"); (got != "") != (tc.wantCode == 401) {
				t.Errorf("%s: WWW-Authenticate %q with %d", tc.reason, got, tc.wantCode)
			}
		})
	}
}
