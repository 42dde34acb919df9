// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devcontainer

import (
	"bytes"
	"testing"
	"time"

	"github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/testing/envtest"
)

// TestCacheHoldsOnlyOurSecrets runs the controller with CacheOptions: the manager's cache has the Secrets of dev containers and no others,
// and a Secret that lost its label keeps its host keys and gets the label back.
func TestCacheHoldsOnlyOurSecrets(t *testing.T) {
	h := newHarness(t)
	mgr, err := ctrl.NewManager(envtest.Config(t), ctrl.Options{
		Scheme: envtest.Scheme(), Metrics: metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: new(true)},
		Cache:      cache.Options{ByObject: CacheOptions(), DefaultNamespaces: map[string]cache.Config{h.ns: {}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := Setup(t.Context(), mgr, h.jenkins, Options{AgentImage: "registry.example.com/slipway-agent:1"}); err != nil {
		t.Fatal(err)
	}
	foreign := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: h.ns, Name: "tls"}, Data: map[string][]byte{"key": []byte("x")}}
	if err := h.c.Create(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	envtest.Start(t, mgr)
	g := gomega.NewWithT(t)
	g.SetDefaultEventuallyTimeout(20 * time.Second)
	g.SetDefaultEventuallyPollingInterval(20 * time.Millisecond)

	h.create("web")
	g.Eventually(func() bool { return h.gone(&appsv1.StatefulSet{}, "web") }).Should(gomega.BeFalse())
	if err := mgr.GetClient().Get(t.Context(), client.ObjectKeyFromObject(foreign), &corev1.Secret{}); !apierrors.IsNotFound(err) {
		t.Errorf("the cache holds a Secret of somebody else: %v", err)
	}
	key := client.ObjectKey{Namespace: h.ns, Name: "web-ssh"}
	g.Eventually(func() error { return mgr.GetClient().Get(t.Context(), key, &corev1.Secret{}) }).Should(gomega.Succeed())

	secret := read(h, &corev1.Secret{}, "web-ssh")
	before := secret.DeepCopy()
	delete(secret.Labels, devcontainerv1.AppLabel)
	if err := h.c.Patch(t.Context(), secret, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	g.Eventually(func() string { return read(h, &corev1.Secret{}, "web-ssh").Labels[devcontainerv1.AppLabel] }).Should(gomega.Equal("web"))
	after := read(h, &corev1.Secret{}, "web-ssh")
	for name, value := range before.Data {
		if !bytes.Equal(value, after.Data[name]) {
			t.Errorf("%s was made anew", name)
		}
	}
}
