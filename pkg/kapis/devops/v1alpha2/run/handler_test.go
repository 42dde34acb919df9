// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package run

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/emicklei/go-restful/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/scheme"
	"github.com/slipway-dev/slipway/pkg/store"
)

// TestStartThatWaits: Jenkins does not give a number for a while. The answer is the run and what it waits for.
func TestStartThatWaits(t *testing.T) {
	for name, tt := range map[string]struct {
		conditions []devopsv1alpha3.Condition
		want       string
	}{
		"queued": {[]devopsv1alpha3.Condition{{Type: devopsv1alpha3.ConditionSucceeded, Reason: "Queued", Message: "build 6 is in progress"}}, `"causeOfBlockage":"Queued: build 6 is in progress"`},
		"new":    {nil, `"causeOfBlockage":"Starting: the controller of runs has not taken it up yet"`},
	} {
		t.Run(name, func(t *testing.T) {
			pr := &devopsv1alpha3.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "r", UID: "u"}}
			pr.Status.Conditions = tt.conditions
			kube := fake.NewClientBuilder().WithScheme(scheme.New()).WithObjects(pr).Build()
			h := New(crud.Deps{Store: store.New(kube, kube, scheme.New())}, kube, nil)
			h.patience = 100 * time.Millisecond
			recorder := httptest.NewRecorder()
			req := restful.NewRequest(httptest.NewRequest(http.MethodPost, "/", nil))
			if err := h.answerStarted(req, restful.NewResponse(recorder), pr); err != nil {
				t.Fatal(err)
			}
			if body := recorder.Body.String(); recorder.Code != 200 || !strings.Contains(body, tt.want) || !strings.Contains(body, `"state":"QUEUED"`) || strings.Contains(body, `"id"`) {
				t.Errorf("%d %s", recorder.Code, body)
			}
		})
	}
}

// TestStartThatIsDeleted: the run is gone while it is waited for.
func TestStartThatIsDeleted(t *testing.T) {
	kube := fake.NewClientBuilder().WithScheme(scheme.New()).Build()
	h := New(crud.Deps{Store: store.New(kube, kube, scheme.New())}, kube, nil)
	pr := &devopsv1alpha3.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "r"}}
	start := time.Now()
	if _, err := h.await(t.Context(), pr, time.Minute, func(*devopsv1alpha3.PipelineRun) bool { return false }); err == nil || time.Since(start) > 10*time.Second {
		t.Errorf("%v after %s", err, time.Since(start))
	}
}
