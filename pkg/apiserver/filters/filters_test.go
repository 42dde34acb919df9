// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/slipway-dev/slipway/pkg/apiserver/request"
)

// never and always are conditions on requests.
func never(*http.Request) bool { return false }

// respond is a handler that answers with the code.
func respond(code int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
}

// withInfo puts info into the context, as WithRequestInfo does.
func withInfo(r *http.Request, info *request.Info) *http.Request {
	return r.WithContext(request.WithInfo(r.Context(), info))
}

// withUser puts a user into the context, as WithAuthentication does.
func withUser(r *http.Request, name string) *http.Request {
	return r.WithContext(request.WithUser(r.Context(), &user.DefaultInfo{Name: name}))
}

// serve gives the recorded answer to a request.
func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// statusOf decodes an answer that must be a Status.
func statusOf(t *testing.T, w *httptest.ResponseRecorder) metav1.Status {
	t.Helper()
	var status metav1.Status
	if err := json.Unmarshal(w.Body.Bytes(), &status); err != nil || status.Kind != "Status" {
		t.Fatalf("answer is no Status: %v: %s", err, w.Body)
	}
	return status
}

// bufferLog logs into a buffer.
func bufferLog() (logr.Logger, *bytes.Buffer) {
	var buffer bytes.Buffer
	log := funcr.New(func(prefix, args string) { buffer.WriteString(prefix + " " + args + "\n") }, funcr.Options{Verbosity: 1})
	return log, &buffer
}
