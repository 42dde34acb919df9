// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package authn

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
)

func TestTokenFrom(t *testing.T) {
	cases := map[string]struct {
		reason      string
		header      http.Header
		want        string
		wantOK      bool
		wantRefused string
	}{
		"none":       {reason: "no header is no credential", header: http.Header{}},
		"empty":      {reason: "an empty header is none", header: http.Header{"Authorization": {" "}}},
		"bearer":     {reason: "the usual form", header: http.Header{"Authorization": {"Bearer abc"}}, want: "abc", wantOK: true},
		"lower case": {reason: "schemes have no case", header: http.Header{"Authorization": {"bearer abc"}}, want: "abc", wantOK: true},
		"devstar":    {reason: "the form of DevStar's clients", header: http.Header{"Authorization": {"token abc"}}, want: "abc", wantOK: true},
		"kubesphere": {
			reason: "KubeSphere's header goes first",
			header: http.Header{"Authorization": {"Bearer other"}, "X-Kubesphere-Authorization": {"Bearer abc"}}, want: "abc", wantOK: true,
		},
		"kubesphere empty": {
			reason: "an empty one does not hide the other",
			header: http.Header{"Authorization": {"Bearer abc"}, "X-Kubesphere-Authorization": {""}}, want: "abc", wantOK: true,
		},
		"kubesphere bad": {
			reason:      "a bad one does, it is not skipped",
			header:      http.Header{"Authorization": {"Bearer abc"}, "X-Kubesphere-Authorization": {"Bearer"}},
			wantRefused: "holds no token",
		},
		"basic":    {reason: "another scheme is not taken for no credential", header: http.Header{"Authorization": {"Basic YTpi"}}, wantRefused: "scheme is not known"},
		"twice":    {reason: "two readers could take different ones", header: http.Header{"Authorization": {"Bearer a", "Bearer b"}}, wantRefused: "2 times"},
		"spaces":   {reason: "a list of tokens is none", header: http.Header{"Authorization": {"Bearer a b"}}, wantRefused: "space"},
		"too long": {reason: "tokens are bounded", header: http.Header{"Authorization": {"Bearer " + strings.Repeat("a", maxToken+1)}}, wantRefused: "longer than"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, ok, err := TokenFrom(tc.header)
			if tc.wantRefused != "" {
				if message, refused := IsRefused(err); !refused || !strings.Contains(message, tc.wantRefused) || ok {
					t.Errorf("%s: TokenFrom = %v, %v, want it refused with %q", tc.reason, ok, err, tc.wantRefused)
				}
				return
			}
			if got != tc.want || ok != tc.wantOK || err != nil {
				t.Errorf("%s: TokenFrom = %q, %v, %v, want %q, %v", tc.reason, got, ok, err, tc.want, tc.wantOK)
			}
		})
	}
}

func TestNewRequest(t *testing.T) {
	down := errors.New("connection refused")
	tokens := authenticator.TokenFunc(func(_ context.Context, token string) (*authenticator.Response, bool, error) {
		switch token {
		case "good":
			return &authenticator.Response{User: &user.DefaultInfo{Name: "ann", Groups: []string{"dev"}}}, true, nil
		case "down":
			return nil, false, down
		case "nobody":
			return &authenticator.Response{}, true, nil
		}
		return nil, false, nil
	})
	cases := map[string]struct {
		reason      string
		token       string
		want        []string
		wantErr     error
		wantRefused bool
	}{
		"good":   {reason: "the user is in the group of all users", token: "good", want: []string{"dev", "system:authenticated"}},
		"none":   {reason: "no token is no opinion"},
		"bad":    {reason: "an unknown token is not anonymous", token: "bad", wantRefused: true},
		"nobody": {reason: "an answer without a user is no user", token: "nobody", wantRefused: true},
		"down":   {reason: "what could not be checked is told apart", token: "down", wantErr: down},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			if tc.token != "" {
				r.Header.Set("Authorization", "Bearer "+tc.token)
			}
			got, ok, err := NewRequest(tokens).AuthenticateRequest(r)
			if _, refused := IsRefused(err); refused != tc.wantRefused {
				t.Errorf("%s: refused = %v (%v), want %v", tc.reason, refused, err, tc.wantRefused)
			}
			if tc.wantErr != nil && !errors.Is(err, tc.wantErr) {
				t.Errorf("%s: error = %v, want %v", tc.reason, err, tc.wantErr)
			}
			if ok != (tc.want != nil) {
				t.Fatalf("%s: ok = %v", tc.reason, ok)
			}
			if ok {
				if diff := cmp.Diff(tc.want, got.User.GetGroups()); diff != "" {
					t.Errorf("%s: groups: -want +got:\n%s", tc.reason, diff)
				}
			}
		})
	}
}

func TestCheckName(t *testing.T) {
	for name, good := range map[string]bool{
		"ann": true, "a.b@example.com": true, "安娜": true,
		"": false, "system:masters": false, "a\nb": false, " a": false, "\xff": false, strings.Repeat("a", 254): false,
	} {
		if err := CheckName("user", name); (err == nil) != good {
			t.Errorf("CheckName(%q) = %v, want good: %v", name, err, good)
		}
	}
}

func TestStripCredentials(t *testing.T) {
	header := http.Header{"Authorization": {"a"}, "X-Kubesphere-Authorization": {"b"}, "X-Authorization": {"c"}, "Accept": {"d"}}
	StripCredentials(header)
	if diff := cmp.Diff(http.Header{"Accept": {"d"}}, header); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
