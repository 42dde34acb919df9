// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devcontainer

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/controller/devcontainer/resources"
)

// TestEventsReachTheCondition reads events from an API server; what each of them means is tested with
// TestReadyNamesTheCause.
func TestEventsReachTheCondition(t *testing.T) {
	h := newHarness(t)
	app := h.create("web")
	h.pass(app)
	wantCondition(t, h.readApp(app), devcontainerv1.ConditionReady, devcontainerv1.ReasonPodPending, "not made yet")

	set := read(h, &appsv1.StatefulSet{}, resources.Name(app))
	h.report(set, "StatefulSet", eventFailedCreate,
		`create Pod web-0 in StatefulSet web failed error: pods "web-0" is forbidden: exceeded quota: team`)
	former := set.DeepCopy()
	former.UID = "former"
	h.report(former, "StatefulSet", eventFailedCreate, "create Pod web-0 in StatefulSet web failed error: denied by a webhook")
	h.pass(app)
	wantCondition(t, h.readApp(app), devcontainerv1.ConditionReady, devcontainerv1.ReasonQuotaExceeded, "exceeded quota: team")
}
