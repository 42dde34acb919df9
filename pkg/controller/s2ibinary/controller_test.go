// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package s2ibinary

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha1 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha1"
	"github.com/slipway-dev/slipway/pkg/objectstore"
	"github.com/slipway-dev/slipway/pkg/objectstore/embedded"
	"github.com/slipway-dev/slipway/pkg/testing/envtest"
)

func TestMain(m *testing.M) { os.Exit(envtest.Main(m)) }

const patience = 20 * time.Second

// flaky is a store that fails a few times.
type flaky struct {
	*objectstore.Store
	mu   sync.Mutex
	left int
}

func (f *flaky) DeletePrefix(ctx context.Context, prefix string) error {
	f.mu.Lock()
	f.left--
	fail := f.left >= 0
	f.mu.Unlock()
	if fail {
		return errors.New("the store is away")
	}
	return f.Store.DeletePrefix(ctx, prefix)
}

func newStore(t *testing.T) *objectstore.Store {
	t.Helper()
	server, err := embedded.New(t.Context(), embedded.Config{Dir: t.TempDir(), Address: "127.0.0.1:0", Buckets: []string{objectstore.DefaultBucket}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	access, secret := server.Keys()
	store, err := objectstore.New(objectstore.Config{Endpoint: server.Endpoint(), AccessKey: access, SecretKey: secret, PathStyle: true})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestReconciler(t *testing.T) {
	kube, namespace := envtest.Client(t), envtest.Namespace(t)
	store := newStore(t)
	mgr := envtest.NewManager(t, namespace)
	if err := (&Reconciler{Objects: &flaky{Store: store, left: 2}}).SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	envtest.Start(t, mgr)
	b := &devopsv1alpha1.S2iBinary{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "app", Finalizers: []string{devopsv1alpha1.S2iBinaryFinalizer}}}
	b.Status.Phase = devopsv1alpha1.S2iBinaryReady
	if err := kube.Create(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"app/1/f", "app/2/g", "app-2/1/f"} {
		if err := store.Put(t.Context(), keyPrefix+namespace+"/"+name, strings.NewReader("x"), 1, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := kube.Delete(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	gomega.NewWithT(t).Eventually(func() bool {
		return apierrors.IsNotFound(kube.Get(t.Context(), client.ObjectKeyFromObject(b), b))
	}, patience).Should(gomega.BeTrue(), "the binary stays")
	list, err := store.List(t.Context(), keyPrefix)
	if err != nil || len(list) != 1 || !strings.HasSuffix(list[0].Key, "app-2/1/f") {
		t.Errorf("files of it are left, or those of another are gone: %v, %v", list, err)
	}

	stale := &devopsv1alpha1.S2iBinary{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "stale",
		Annotations: map[string]string{devopsv1alpha1.S2iBinaryUploadAnnotation: "x/2026-01-01T00:00:00Z"}}}
	stale.Status.Phase = devopsv1alpha1.S2iBinaryUploading
	alive := stale.DeepCopy()
	alive.Name, alive.Annotations[devopsv1alpha1.S2iBinaryUploadAnnotation] = "alive", "x/"+time.Now().UTC().Format(time.RFC3339)
	for _, b := range []*devopsv1alpha1.S2iBinary{alive, stale} {
		if err := kube.Create(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	gomega.NewWithT(t).Eventually(func() devopsv1alpha1.S2iBinaryPhase {
		_ = kube.Get(t.Context(), client.ObjectKeyFromObject(stale), stale)
		return stale.Status.Phase
	}, patience).Should(gomega.Equal(devopsv1alpha1.S2iBinaryUploadFailed))
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(alive), alive); err != nil || alive.Status.Phase != devopsv1alpha1.S2iBinaryUploading {
		t.Errorf("one that lives is left alone: %v, %v", alive.Status, err)
	}
}
