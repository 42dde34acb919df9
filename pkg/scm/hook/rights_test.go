// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/slipway-dev/slipway/pkg/scheme"
)

// TestRightInSomeNamespaces: where the right to read Secrets is granted in single namespaces, a secret that may not be
// read fits nothing, and the other projects of a delivery are served.
func TestRightInSomeNamespaces(t *testing.T) {
	answer := apierrors.NewForbidden(corev1.Resource("secrets"), "s", errors.New("no right"))
	c := interceptor.NewClient(fake.NewClientBuilder().WithScheme(scheme.New()).Build(), interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return answer
		},
	})
	secrets := newSecrets(c, time.Now)
	if value, err := secrets.get(t.Context(), client.ObjectKey{Namespace: "a", Name: "s"}); err != nil || len(value) > 0 {
		t.Errorf("%q, %v; want nothing", value, err)
	}
	answer = apierrors.NewServiceUnavailable("away")
	if _, err := secrets.get(t.Context(), client.ObjectKey{Namespace: "b", Name: "s"}); err == nil {
		t.Error("that Kubernetes is away was taken for an answer")
	}
}
