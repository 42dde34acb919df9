// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/emicklei/go-restful/v3"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/slipway-dev/slipway/pkg/authn/password"
)

type users func(name, secret, address string) (user.Info, error)

func (u users) Authenticate(_ context.Context, name, secret, address string) (user.Info, error) {
	return u(name, secret, address)
}

type tokens func(name string, groups []string) (string, time.Duration, error)

func (f tokens) Issue(name string, groups []string) (string, time.Duration, error) {
	return f(name, groups)
}

func TestToken(t *testing.T) {
	form := func(pairs ...string) string {
		values := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			values.Add(pairs[i], pairs[i+1])
		}
		return values.Encode()
	}
	good := form("grant_type", "password", "username", "ann", "password", "s e&c=ret", "client_id", "kubesphere")
	cases := map[string]struct {
		reason      string
		target      string
		body        string
		contentType string
		usersErr    error
		tokensErr   error
		wantCode    int
		wantError   string
		wantHeader  string
	}{
		"good":            {reason: "a token comes", body: good, wantCode: 200},
		"charset":         {reason: "a charset may be named", body: good, contentType: "application/x-www-form-urlencoded; charset=utf-8", wantCode: 200},
		"json":            {reason: "the RFC wants a form", body: `{"username":"ann"}`, contentType: "application/json", wantCode: 400, wantError: "invalid_request"},
		"no type":         {reason: "the RFC wants a form", body: good, contentType: "-", wantCode: 400, wantError: "invalid_request"},
		"no grant":        {reason: "it is required", body: form("username", "ann", "password", "x"), wantCode: 400, wantError: "invalid_request"},
		"other grant":     {reason: "it is not served", body: form("grant_type", "client_credentials"), wantCode: 400, wantError: "unsupported_grant_type"},
		"no password":     {reason: "it is required", body: form("grant_type", "password", "username", "ann"), wantCode: 400, wantError: "invalid_request"},
		"in the address":  {reason: "addresses are logged", target: "?" + good, wantCode: 400, wantError: "invalid_request"},
		"twice":           {reason: "which one counts", body: good + "&username=bob", wantCode: 400, wantError: "invalid_request"},
		"too large":       {reason: "logins are small", body: good + "&x=" + strings.Repeat("x", maxForm), wantCode: 400, wantError: "invalid_request"},
		"bad encoding":    {reason: "a form is encoded", body: "grant_type=%zz", wantCode: 400, wantError: "invalid_request"},
		"wrong":           {reason: "the RFC's code", body: good, usersErr: password.ErrInvalid, wantCode: 400, wantError: "invalid_grant"},
		"too many":        {reason: "and when to come again", body: good, usersErr: &password.TooManyError{RetryAfter: 1500 * time.Millisecond}, wantCode: 429, wantError: "slow_down", wantHeader: "2"},
		"down":            {reason: "it is not the user's fault", body: good, usersErr: errors.New("10.0.0.1 refused"), wantCode: 503, wantError: "temporarily_unavailable", wantHeader: "2"},
		"reserved groups": {reason: "a Secret names a group that it must not", body: good, tokensErr: errors.New("system:masters"), wantCode: 400, wantError: "invalid_grant"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			limited := 0
			h := New(users(func(name, secret, address string) (user.Info, error) {
				if name != "ann" || secret != "s e&c=ret" || address != "192.0.2.1" {
					t.Errorf("%s: asked for %q %q %q", tc.reason, name, secret, address)
				}
				return &user.DefaultInfo{Name: name, Groups: []string{"dev"}}, tc.usersErr
			}), tokens(func(name string, groups []string) (string, time.Duration, error) {
				return name + "+" + strings.Join(groups, ","), time.Hour, tc.tokensErr
			}), func() { limited++ })
			container := restful.NewContainer()
			container.Add(WebService(h, NewReviewer(nil, func() {})))

			r := httptest.NewRequest(http.MethodPost, "/oauth/token"+tc.target, strings.NewReader(tc.body))
			switch tc.contentType {
			case "":
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			case "-":
			default:
				r.Header.Set("Content-Type", tc.contentType)
			}
			w := httptest.NewRecorder()
			container.ServeHTTP(w, r)

			if w.Code != tc.wantCode || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Retry-After") != tc.wantHeader {
				t.Fatalf("%s: %d %v %s, want %d", tc.reason, w.Code, w.Header(), w.Body, tc.wantCode)
			}
			var answer struct {
				Token
				Error string `json:"error"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
				t.Fatalf("%s: %v: %s", tc.reason, err, w.Body)
			}
			if answer.Error != tc.wantError || strings.Contains(w.Body.String(), "10.0.0.1") {
				t.Errorf("%s: %s, want the code %q and no internals", tc.reason, w.Body, tc.wantError)
			}
			if tc.wantCode == 200 && (answer.AccessToken != "ann+dev" || answer.TokenType != "Bearer" || answer.ExpiresIn != 3600) {
				t.Errorf("%s: %+v", tc.reason, answer.Token)
			}
			if (tc.wantCode == 429) != (limited == 1) {
				t.Errorf("%s: %d limited", tc.reason, limited)
			}
		})
	}
}
