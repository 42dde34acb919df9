// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package notification

import (
	"context"
	"testing"
	"time"

	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/testing/envtest"
)

const patience = 20 * time.Second

// live is a controller on a real API server.
type live struct {
	t         *testing.T
	c         client.Client
	namespace string
}

func (l *live) create(obj client.Object) {
	l.t.Helper()
	if err := l.c.Create(context.Background(), obj); err != nil {
		l.t.Fatal(err)
	}
}

// end makes a run that ended some time ago.
func (l *live) end(name string, ago time.Duration) {
	l.t.Helper()
	run := ended(name, devopsv1alpha3.Failed, devopsv1alpha3.ReasonFailure)
	status := run.Status.DeepCopy()
	run.Namespace, run.UID = l.namespace, ""
	l.create(run)
	start, end := metav1.NewTime(time.Now().Add(-ago-time.Minute)), metav1.NewTime(time.Now().Add(-ago))
	status.StartTime, status.CompletionTime = &start, &end
	run.Status = *status
	if err := l.c.Status().Update(context.Background(), run); err != nil {
		l.t.Fatal(err)
	}
}

func (l *live) annotate(obj client.Object, patch string) {
	l.t.Helper()
	if err := l.c.Patch(context.Background(), obj, client.RawPatch("application/merge-patch+json", []byte(patch)), client.FieldOwner("kubectl-annotate")); err != nil {
		l.t.Fatal(err)
	}
}

// TestLive asks for notifications of a pipeline that has runs already, on a real API server: only what ends
// afterwards is told, once, also over a restart; the date goes with the annotation.
func TestLive(t *testing.T) {
	g := gomega.NewWithT(t)
	l := &live{t: t, c: envtest.Client(t), namespace: envtest.Namespace(t)}
	in := newInbox(t, nil)
	hook := secret(in.URL, "")
	hook.Namespace = l.namespace
	l.create(hook)
	build := pipeline(nil)
	build.Namespace = l.namespace
	build.Spec = devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.NoScmPipelineType, Pipeline: &devopsv1alpha3.NoScmPipeline{Name: "build"}}
	l.create(build)
	l.end("before", 5*time.Second)
	start := func() {
		mgr := envtest.NewManager(t, l.namespace)
		if err := (&Reconciler{Options: Options{AllowLocal: true}}).SetupWithManager(mgr); err != nil {
			t.Fatal(err)
		}
		envtest.Start(t, mgr)
	}
	start()
	l.annotate(build, `{"metadata":{"annotations":{"slipway.dev/notify":"hook"}}}`)
	since := func() string {
		current := &devopsv1alpha3.Pipeline{}
		if err := l.c.Get(context.Background(), client.ObjectKeyFromObject(build), current); err != nil {
			return err.Error()
		}
		return current.Annotations[devopsv1alpha3.NotifySinceAnnotation]
	}
	g.Eventually(since, patience, 20*time.Millisecond).ShouldNot(gomega.BeEmpty())
	at, err := time.Parse(time.RFC3339, since())
	if err != nil || time.Since(at) > time.Minute {
		t.Errorf("dated %s: %v", since(), err)
	}
	// Both change while somebody asks: the one from before must stay untold.
	l.annotate(&devopsv1alpha3.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, Name: "before"}}, `{"metadata":{"labels":{"a":"b"}}}`)
	l.end("after", -time.Second)
	g.Eventually(in.events, patience, 20*time.Millisecond).Should(gomega.Equal("failed"))
	recorded := func() bool {
		run := &devopsv1alpha3.PipelineRun{}
		err := l.c.Get(context.Background(), client.ObjectKey{Namespace: l.namespace, Name: "after"}, run)
		return err == nil && readRecord(run)["failed"].Sent != nil
	}
	g.Eventually(recorded, patience, 20*time.Millisecond).Should(gomega.BeTrue())
	if got := in.deliveries(); got[0].event.Subject != "after" {
		t.Errorf("told of %s", got[0].event.Subject)
	}
	start() // a second process beside the first finds everything told
	l.annotate(build, `{"metadata":{"annotations":{"slipway.dev/notify":null}}}`)
	g.Eventually(since, patience, 20*time.Millisecond).Should(gomega.BeEmpty())
	l.end("untold", 0)
	g.Consistently(in.events, time.Second, 50*time.Millisecond).Should(gomega.Equal("failed"))
}
