// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-logr/logr"

	"github.com/slipway-dev/slipway/pkg/apiserver/request"
)

func TestWithAudit(t *testing.T) {
	cases := map[string]struct {
		reason string
		method string
		code   int
		user   string
		want   []string
	}{
		"change":        {reason: "a change is logged", method: http.MethodPost, code: 201, user: "ann", want: []string{`"user"="ann"`, `"verb"="create"`, `"resource"="pipelines"`, `"namespace"="demo"`, `"code"=201`}},
		"failed change": {reason: "so is one that failed", method: http.MethodDelete, code: 500, user: "ann", want: []string{`"code"=500`}},
		"read":          {reason: "a read is not", method: http.MethodGet, code: 200, user: "ann"},
		"refused read":  {reason: "a refused read is", method: http.MethodGet, code: 403, user: "ann", want: []string{`"code"=403`}},
		"nobody":        {reason: "without a user there is nothing to say", method: http.MethodPost, code: 200},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			log, logged := bufferLog()
			r := httptest.NewRequest(tc.method, "/x?token=hunter2", strings.NewReader("hunter2"))
			r = r.WithContext(logr.NewContext(r.Context(), log))
			r = withInfo(r, &request.Info{IsResourceRequest: true, Verb: "create", Resource: "pipelines", Namespace: "demo"})
			if tc.user != "" {
				r = withUser(r, tc.user)
			}
			serve(WithAudit(respond(tc.code)), r)
			if (logged.Len() > 0) != (len(tc.want) > 0) {
				t.Errorf("%s: log %q", tc.reason, logged)
			}
			for _, want := range tc.want {
				if !strings.Contains(logged.String(), want) {
					t.Errorf("%s: log %q has no %s", tc.reason, logged, want)
				}
			}
			if strings.Contains(logged.String(), "hunter2") {
				t.Errorf("%s: log %q tells a secret", tc.reason, logged)
			}
		})
	}
}
