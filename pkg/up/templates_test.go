// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package up

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/config/templates"
	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/testing/envtest"
)

// TestInstallTemplates installs the templates twice: what a user changed stays, what was deleted comes
// back.
func TestInstallTemplates(t *testing.T) {
	c := envtest.Client(t)
	install := func() {
		t.Helper()
		if err := installTemplates(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	install()
	all, err := templates.All()
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, template := range all {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(template), template); err != nil {
			t.Fatal(err)
		}
		versions[template.GetName()] = template.GetResourceVersion()
	}
	const changed, deleted = "slipway-go", "slipway-maven"
	own := &devopsv1alpha3.ClusterTemplate{}
	if err := c.Get(t.Context(), client.ObjectKey{Name: changed}, own); err != nil {
		t.Fatal(err)
	}
	own.Spec.Template = "pipeline {}"
	if err := c.Update(t.Context(), own, client.FieldOwner("kubectl-edit")); err != nil {
		t.Fatal(err)
	}
	gone := &devopsv1alpha3.ClusterTemplate{}
	gone.Name = deleted
	if err := c.Delete(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	install()
	if err := c.Get(t.Context(), client.ObjectKey{Name: changed}, own); err != nil || own.Spec.Template != "pipeline {}" {
		t.Errorf("the user's change was overwritten: %v, %q", err, own.Spec.Template)
	}
	for _, template := range all {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(template), template); err != nil {
			t.Fatal(err)
		}
		if name := template.GetName(); name != changed && name != deleted && template.GetResourceVersion() != versions[name] {
			t.Errorf("%s was written without a change", name)
		}
	}
}
