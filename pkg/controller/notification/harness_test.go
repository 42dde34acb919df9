// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package notification

import (
	"context"
	"crypto/hmac"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/scheme"
	"github.com/slipway-dev/slipway/pkg/testing/envtest"
)

func TestMain(m *testing.M) { os.Exit(envtest.Main(m)) }

const (
	ns         = "p"
	signingKey = "the signing key"
	// pathSecret is a part of the address that must not be seen anywhere.
	pathSecret = "T0KEN"
)

// noon is when the runs of the tests end.
var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// delivery is one request that a receiver got.
type delivery struct {
	header http.Header
	body   []byte
	event  CloudEvent
}

// inbox is a receiver.
type inbox struct {
	*httptest.Server
	mu     sync.Mutex
	got    []delivery
	answer http.HandlerFunc
}

// newInbox makes a receiver that takes everything, unless answer says otherwise.
func newInbox(t *testing.T, answer http.HandlerFunc) *inbox {
	t.Helper()
	in := &inbox{answer: answer}
	in.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		d := delivery{header: r.Header.Clone(), body: body}
		if err := json.Unmarshal(body, &d.event); err != nil {
			t.Errorf("the body is not JSON: %v: %s", err, body)
		}
		if !hmac.Equal([]byte(r.Header.Get(HeaderSignature)), []byte(Signature([]byte(signingKey), body))) {
			t.Errorf("signature %q does not fit", r.Header.Get(HeaderSignature))
		}
		if r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/cloudevents+json") {
			t.Errorf("%s with %s", r.Method, r.Header.Get("Content-Type"))
		}
		in.mu.Lock()
		in.got = append(in.got, d)
		in.mu.Unlock()
		if in.answer != nil {
			in.answer(w, r)
		}
	}))
	t.Cleanup(in.Close)
	return in
}

func (in *inbox) deliveries() []delivery {
	in.mu.Lock()
	defer in.mu.Unlock()
	return append([]delivery(nil), in.got...)
}

// events are the events that came, in order.
func (in *inbox) events() string {
	var out []string
	for _, d := range in.deliveries() {
		out = append(out, d.event.Data.Event)
	}
	return strings.Join(out, " ")
}

// recorder keeps events.
type recorder struct {
	mu   sync.Mutex
	list []string
}

func (e *recorder) Eventf(_, _ runtime.Object, kind, reason, _, note string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, kind+" "+reason+" "+fmt.Sprintf(note, args...))
}

// bench is a controller over a cluster in memory.
type bench struct {
	t      *testing.T
	client client.WithWatch
	events *recorder
	now    time.Time
	*Reconciler
}

func newBench(t *testing.T, objects ...client.Object) *bench {
	t.Helper()
	b := &bench{t: t, now: noon.Add(10 * time.Second), events: &recorder{}}
	b.client = fake.NewClientBuilder().WithScheme(scheme.New()).WithObjects(objects...).WithStatusSubresource(&devopsv1alpha3.PipelineRun{}).Build()
	b.restart(interceptor.Funcs{})
	return b
}

// restart makes a new controller, which knows nothing, with faults in its client.
func (b *bench) restart(faults interceptor.Funcs) {
	b.t.Helper()
	c := interceptor.NewClient(b.client, faults)
	b.Reconciler = &Reconciler{Client: c, Reader: c, Recorder: b.events, Now: func() time.Time { return b.now },
		Options: Options{AllowLocal: true, ExternalURL: "https://slipway.example.com/"}}
	if err := b.init(); err != nil {
		b.t.Fatal(err)
	}
}

// pass is one pass over a run.
func (b *bench) pass(name string) (ctrl.Result, error) {
	return b.Reconcile(context.Background(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: ns, Name: name}})
}

func (b *bench) mustPass(name string) time.Duration {
	b.t.Helper()
	result, err := b.pass(name)
	if err != nil {
		b.t.Fatal(err)
	}
	return result.RequeueAfter
}

func (b *bench) run(name string) *devopsv1alpha3.PipelineRun {
	b.t.Helper()
	run := &devopsv1alpha3.PipelineRun{}
	if err := b.client.Get(context.Background(), client.ObjectKey{Namespace: ns, Name: name}, run); err != nil {
		b.t.Fatal(err)
	}
	return run
}

// noSecrets checks that neither the events nor the run hold what is secret.
func (b *bench) noSecrets(name string) {
	b.t.Helper()
	text, _ := json.Marshal(b.run(name))
	all := string(text) + strings.Join(b.events.list, "\n")
	for _, secret := range []string{pathSecret, signingKey} {
		if strings.Contains(all, secret) {
			b.t.Errorf("%q is shown: %s", secret, all)
		}
	}
}

func pipeline(annotations map[string]string) *devopsv1alpha3.Pipeline {
	return &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "build", Annotations: annotations}}
}

func project(annotations map[string]string) *devopsv1alpha3.DevOpsProject {
	return &devopsv1alpha3.DevOpsProject{ObjectMeta: metav1.ObjectMeta{Name: ns, Annotations: annotations}}
}

// notify are the annotations that ask for notifications, since an hour before noon.
func notify(secret string) map[string]string {
	return map[string]string{devopsv1alpha3.NotifyAnnotation: secret, devopsv1alpha3.NotifySinceAnnotation: noon.Add(-time.Hour).Format(time.RFC3339)}
}

func secret(url, events string) *corev1.Secret {
	data := map[string][]byte{"url": []byte(url + "/hook/" + pathSecret + "?x=" + pathSecret), "secret": []byte(signingKey)}
	if events != "" {
		data["events"] = []byte(events)
	}
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "hook"}, Type: devopsv1alpha3.SecretTypeNotification, Data: data}
}

// ended is a run that ended at noon.
func ended(name string, phase devopsv1alpha3.RunPhase, reason string) *devopsv1alpha3.PipelineRun {
	start, end := metav1.NewTime(noon.Add(-time.Minute)), metav1.NewTime(noon)
	return &devopsv1alpha3.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, UID: types.UID("uid-" + name), Annotations: map[string]string{
			devopsv1alpha3.JenkinsPipelineRunIDAnnotation: "7",
			devopsv1alpha3.PipelineRunCreatorAnnotation:   "ann",
			devopsv1alpha3.JenkinsPipelineRunStatusAnnotation: `{"id":"7","result":"` + strings.ToUpper(reason) + `","commitId":"c0ffee","durationInMillis":59000,` +
				`"causes":[{"shortDescription":"Started by ann"}]}`,
		}},
		Spec: devopsv1alpha3.PipelineRunSpec{PipelineRef: &corev1.ObjectReference{Name: "build"}, SCM: &devopsv1alpha3.SCM{RefName: "feature%2Fx"},
			Parameters: []devopsv1alpha3.Parameter{{Name: "PASSWORD", Value: "hunter2"}}},
		Status: devopsv1alpha3.PipelineRunStatus{Phase: phase, StartTime: &start, CompletionTime: &end, Conditions: []devopsv1alpha3.Condition{
			{Type: devopsv1alpha3.ConditionSucceeded, Status: metav1.ConditionTrue, Reason: reason, Message: "the message"}}},
	}
}
