// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package history

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/testing/envtest"
)

func TestMain(m *testing.M) { os.Exit(envtest.Main(m)) }

// TestOnKubernetes: the API server takes what is kept, also the largest Jenkinsfile that a Pipeline may have, and a list has no texts.
func TestOnKubernetes(t *testing.T) {
	kube := envtest.Client(t)
	p := &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: envtest.Namespace(t), Name: "build"}}
	p.Spec.Type = devopsv1alpha3.NoScmPipelineType
	p.Spec.Pipeline = &devopsv1alpha3.NoScmPipeline{Jenkinsfile: "one\n"}
	if err := kube.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	recorder := Recorder{Live: kube, Client: kube, Now: time.Now}
	noise := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(noise)
	for i := range noise {
		noise[i] = '!' + noise[i]%90
	}
	for _, text := range []string{"one\n", "größe\n", string(noise)} {
		patched := p.DeepCopy()
		patched.Spec.Pipeline.Jenkinsfile = text
		if err := kube.Patch(t.Context(), patched, client.MergeFrom(p)); err != nil {
			t.Fatal(err)
		}
		p = patched
		begin := time.Now()
		if err := recorder.Record(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d bytes kept in %s", len(text), time.Since(begin).Round(time.Millisecond))
	}
	begin := time.Now()
	list, err := List(t.Context(), kube, p)
	if err != nil || len(list) != 3 || list[0].Number != 3 || list[0].Omitted || !list[0].Current {
		t.Fatalf("%+v, %v", list, err)
	}
	t.Logf("listed in %s", time.Since(begin).Round(time.Millisecond))
	if _, text, err := Get(t.Context(), kube, p, 3); err != nil || text != string(noise) {
		t.Errorf("%d bytes come back: %v", len(text), err)
	}
	if _, text, err := Get(t.Context(), kube, p, 2); err != nil || text != "größe\n" {
		t.Errorf("%q, %v", text, err)
	}
}
