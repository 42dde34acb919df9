// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/metrics"
)

type observed struct {
	request metrics.Request
	code    int
}

func (o *observed) Observe(r metrics.Request, code int, _ time.Duration) { o.request, o.code = r, code }

func TestWithAccessLog(t *testing.T) {
	log, logged := bufferLog()
	seen := &observed{}
	h := WithAccessLog(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request.RecordFrom(r.Context()).User = "ann"
		w.WriteHeader(404)
	}), seen, func(info *request.Info) metrics.Request { return metrics.Request{Verb: info.Verb} })
	r := httptest.NewRequest(http.MethodGet, "/x?token=hunter2", nil)
	r.Header.Set("Authorization", "Bearer hunter3")
	ctx := request.WithRecord(logr.NewContext(r.Context(), log), &request.Record{})
	serve(h, withInfo(r.WithContext(ctx), &request.Info{Verb: "get"}))

	if seen.code != 404 || seen.request.Verb != "get" {
		t.Errorf("observed %+v, want a get with 404", seen)
	}
	line := logged.String()
	for _, want := range []string{`"path"="/x"`, `"code"=404`, `"user"="ann"`} {
		if !strings.Contains(line, want) {
			t.Errorf("log %s has no %s", line, want)
		}
	}
	if strings.Contains(line, "hunter") {
		t.Errorf("log %s tells a secret", line)
	}
}
