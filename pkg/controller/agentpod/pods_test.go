// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package agentpod

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/yaml"

	"github.com/slipway-dev/slipway/pkg/controller/agenttemplate"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// fakeJenkins is what Jenkins says of its nodes and its queue.
type fakeJenkins struct {
	mu    sync.Mutex
	nodes []jenkins.Node
	whys  []string
	err   error
	calls int
}

func (f *fakeJenkins) Computers(context.Context) (*jenkins.Computers, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.err != nil {
		return nil, f.err
	}
	return &jenkins.Computers{Nodes: f.nodes}, nil
}

func (f *fakeJenkins) Queue(context.Context) ([]jenkins.Waiting, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	var list []jenkins.Waiting
	for _, why := range f.whys {
		list = append(list, jenkins.Waiting{Why: why})
	}
	return list, f.err
}

// fakeTemplates has one template.
type fakeTemplates struct{ err error }

func (f *fakeTemplates) Find(_ context.Context, p, l string) (agenttemplate.Template, error) {
	if f.err == nil && (p != project || l != label) {
		return agenttemplate.Template{}, fmt.Errorf("%w: x", agenttemplate.ErrNoTemplate)
	}
	return agenttemplate.Template{ID: label}, f.err
}

// bench is Pods without a cluster: the test feeds the pods.
type bench struct {
	*Pods
	t         *testing.T
	clock     *clocktesting.FakePassiveClock
	kube      *fake.Clientset
	jenkins   *fakeJenkins
	templates *fakeTemplates
	trials    int
	refusal   *Problem
	tryErr    error
	deleted   []string
	lacking   []string
}

func newBench(t *testing.T, changes ...func(*Options)) *bench {
	t.Helper()
	b := &bench{t: t, clock: clocktesting.NewFakePassiveClock(start), kube: fake.NewClientset(), jenkins: &fakeJenkins{}, templates: &fakeTemplates{}}
	b.kube.PrependReactor("delete", "pods", func(action ktesting.Action) (bool, runtime.Object, error) {
		del := action.(ktesting.DeleteActionImpl)
		uid := ""
		if p := del.DeleteOptions.Preconditions; p != nil && p.UID != nil {
			uid = string(*p.UID)
		}
		b.deleted = append(b.deleted, del.Name+" "+uid)
		return true, nil, nil
	})
	b.kube.PrependReactor("create", "localsubjectaccessreviews", func(action ktesting.Action) (bool, runtime.Object, error) {
		review := action.(ktesting.CreateAction).GetObject().(*authorizationv1.LocalSubjectAccessReview)
		review.Status.Allowed = !slices.Contains(b.lacking, review.Spec.ResourceAttributes.Verb)
		return true, review, nil
	})
	options := Options{Client: b.kube, Namespace: namespace, Jenkins: b.jenkins, Templates: b.templates, Clock: b.clock,
		Try: func(context.Context, agenttemplate.Template) (*Problem, error) {
			b.trials++
			return b.refusal, b.tryErr
		}}
	for _, change := range changes {
		change(&options)
	}
	pods, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	b.Pods = pods
	return b
}

func (b *bench) pass(d time.Duration) { b.clock.SetTime(b.clock.Now().Add(d)) }

// feed shows a pod as made now.
func (b *bench) feed(name string, changes ...func(*corev1.Pod)) *corev1.Pod {
	pod := agentPod(name, append([]func(*corev1.Pod){func(pod *corev1.Pod) { pod.CreationTimestamp = metav1.NewTime(b.clock.Now()) }}, changes...)...)
	b.see(pod)
	return pod
}

func (b *bench) want(reason string) Problem {
	b.t.Helper()
	got, ok := b.Problem(project, label)
	if reason == "" && ok || reason != "" && got.Reason != reason {
		b.t.Fatalf("got problem %+v (%t), want %q", got, ok, reason)
	}
	return got
}

func (b *bench) changes() []string {
	var list []string
	for b.Changed().Len() > 0 {
		project, _ := b.Changed().Get()
		b.Changed().Done(project)
		list = append(list, project)
	}
	return list
}

func TestFind(t *testing.T) {
	b := newBench(t)
	if _, ok := b.Find("p-1"); ok {
		t.Error("found a pod that was never there")
	}
	pod := b.feed("p-1", onNode)
	runningSince(start)(pod)
	b.see(pod)
	want := Pod{Name: "p-1", UID: "uid-p-1", Project: project, Labels: []string{label, label + "-0123456789"}, Node: "node-1",
		Image: "localhost/dev@sha256:1", MemoryLimit: "512Mi", Created: start, Running: start}
	got, _ := b.Find("p-1")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	b.pass(time.Minute)
	b.lose(pod)
	b.pass(keepGone)
	b.clean()
	if got, ok := b.Find("p-1"); !ok || got.Node != "node-1" || !got.Gone.Equal(start.Add(time.Minute)) {
		t.Errorf("15 min after it was deleted: %+v, %t", got, ok)
	}
	b.pass(time.Second)
	b.clean()
	if _, ok := b.Find("p-1"); ok {
		t.Error("a pod is remembered for ever")
	}
}

func TestAnotherPodOfTheName(t *testing.T) {
	b := newBench(t)
	b.feed("p-1", runningSince(start))
	b.see(agentPod("p-1", func(pod *corev1.Pod) { pod.UID = "other" }))
	if got, _ := b.Find("p-1"); got.UID != "other" || got.Node != "" {
		t.Errorf("the former pod's node is told of the new one: %+v", got)
	}
}

// TestProblemOutlivesThePod: Jenkins deletes a pod that failed within seconds.
func TestProblemOutlivesThePod(t *testing.T) {
	b := newBench(t)
	pod := b.feed("p-1", runningSince(start))
	b.want("")
	b.pass(2 * time.Second)
	ended(78, "Error", "SLIPWAY-AGENT JenkinsUnreachable: jenkins:8080: refused")(pod)
	b.see(pod)
	deleting(pod)
	b.see(pod)
	b.lose(pod)
	first := b.want(ReasonJenkinsUnreachable)
	if got, _ := b.Find("p-1"); got.Problem == nil || got.Problem.Reason != ReasonJenkinsUnreachable {
		t.Errorf("the deleted pod has the problem %+v", got.Problem)
	}
	if diff := cmp.Diff([]string{project}, b.changes()); diff != "" {
		t.Errorf("who waits is told once (-want +got):\n%s", diff)
	}
	// Jenkins tries again: the next pod is no news until it runs well.
	b.pass(10 * time.Second)
	next := b.feed("p-2")
	b.want(ReasonJenkinsUnreachable)
	runningSince(b.clock.Now())(next)
	b.see(next)
	b.want(ReasonJenkinsUnreachable)
	ended(78, "Error", "SLIPWAY-AGENT JenkinsUnreachable: jenkins:8080: refused")(next)
	b.see(next)
	if again := b.want(ReasonJenkinsUnreachable); !again.Since.Equal(first.Since) {
		t.Errorf("the problem is said to exist since %s, it does since %s", again.Since, first.Since)
	}
	// And the third one is well.
	b.pass(10 * time.Second)
	b.feed("p-3", runningSince(b.clock.Now()))
	b.pass(settled)
	b.want("")
}

func TestProblemEnds(t *testing.T) {
	b := newBench(t)
	pod := b.feed("p-1", waiting("ErrImagePull", "timeout"))
	b.want(ReasonImagePullFailed)
	runningSince(b.clock.Now())(pod)
	b.see(pod)
	if got, _ := b.Find("p-1"); got.Problem != nil {
		t.Errorf("a pod that got its image in the end has the problem %+v", got.Problem)
	}
	b.pass(keepProblem + time.Second)
	b.want("")
}

func TestProblemStaysInItsProject(t *testing.T) {
	b := newBench(t)
	b.feed("p-1", waiting("ErrImagePull", "x"))
	tests := map[string]struct {
		reason, project, label string
		want                   bool
	}{
		"Alias":      {project: project, label: label, want: true},
		"Digest":     {project: project, label: label + "-0123456789", want: true},
		"Older":      {reason: "an older image of the same dev container", project: project, label: label + "-abcdefabcd", want: true},
		"Revision":   {project: project, label: label + "-r0123456789", want: true},
		"OtherName":  {reason: "another dev container whose name begins alike", project: project, label: label + "-two"},
		"Project":    {reason: "another tenant that asks for this label", project: "team-b", label: label},
		"OtherLabel": {project: project, label: "dc-team-a.api"},
		"Empty":      {project: project, label: ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, got := b.Problem(tt.project, tt.label); got != tt.want {
				t.Errorf("%s: got %t, want %t", tt.reason, got, tt.want)
			}
		})
	}
}

func TestForeignPods(t *testing.T) {
	b := newBench(t)
	b.feed("maven-1", waiting("ErrImagePull", "x"), func(pod *corev1.Pod) {
		pod.Labels = map[string]string{agentLabel: agentLabelValue}
		pod.Annotations = nil
	})
	b.see("not a pod")
	b.lose(nil)
	b.want("")
	if got := b.changes(); len(got) > 0 {
		t.Errorf("runs are woken for a pod that is not ours: %v", got)
	}
	if got, ok := b.Find("maven-1"); !ok || got.Project != "" {
		t.Errorf("got %+v, %t", got, ok)
	}
	b.pass(time.Hour)
	b.jenkins.nodes = nil
	for range 20 {
		b.pass(collectPeriod)
		b.collect()
	}
	if len(b.deleted) > 0 {
		t.Errorf("pods of others were deleted: %v", b.deleted)
	}
}

// collect is Collect without the wait for the informer, which the bench does not run.
func (b *bench) collect() { b.collectNow(b.t.Context()) }

func TestReadEvents(t *testing.T) {
	b := newBench(t)
	pod := b.feed("p-1", waiting("ContainerCreating", ""))
	b.pass(slowStart + time.Second)
	if _, err := b.kube.CoreV1().Events(namespace).Create(t.Context(), &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "e"}, Type: "Warning", Reason: "FailedMount", Message: `configmap "c" not found`,
		InvolvedObject: corev1.ObjectReference{UID: pod.UID},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	b.readEvents(t.Context())
	if got := b.want(ReasonVolumeFailed); !strings.Contains(got.Message, `configmap "c" not found`) {
		t.Error(got.Message)
	}
	b.kube.ClearActions()
	b.readEvents(t.Context())
	if n := len(b.kube.Actions()); n > 0 {
		t.Errorf("%d calls at once after the last", n)
	}
}

func TestTryIsCheap(t *testing.T) {
	b := newBench(t)
	b.refusal = newProblem(ReasonQuotaExceeded, "x")
	var waits sync.WaitGroup
	for range 50 {
		waits.Go(func() {
			if _, found := b.Try(t.Context(), project, label); !found {
				t.Error("the quota is not told of")
			}
		})
	}
	waits.Wait()
	if b.trials != 1 {
		t.Errorf("50 runs made %d dry runs, want 1", b.trials)
	}
	b.pass(tryAgain)
	b.refusal = nil
	if got, found := b.Try(t.Context(), project, label); found || b.trials != 2 {
		t.Errorf("when the quota is free: %+v, %d dry runs", got, b.trials)
	}
	b.pass(tryAgain)
	b.tryErr = errors.New("the API server is away")
	for range 50 {
		if got, found := b.Try(t.Context(), project, label); found {
			t.Errorf("what cannot be tried has the problem %+v", got)
		}
	}
	if b.trials != 3 {
		t.Errorf("%d dry runs, want 3: a cluster that does not answer is asked by each run", b.trials)
	}
	if got, found := b.Try(t.Context(), project, "dc-team-a.nosuch"); !found || got.Reason != ReasonLabelUnknown {
		t.Errorf("an unknown label: %+v, %t", got, found)
	}
}

// hungJenkins does not answer.
type hungJenkins struct{ asked, release chan struct{} }

func (h *hungJenkins) Computers(context.Context) (*jenkins.Computers, error) {
	close(h.asked)
	<-h.release
	return &jenkins.Computers{}, nil
}

func (h *hungJenkins) Queue(context.Context) ([]jenkins.Waiting, error) { return nil, nil }

func TestAJenkinsThatHangsHoldsUpOnlyWhoAsksIt(t *testing.T) {
	hung := &hungJenkins{asked: make(chan struct{}), release: make(chan struct{})}
	b := newBench(t, func(o *Options) { o.Jenkins = hung })
	t.Cleanup(func() { close(hung.release) })
	go b.checks.look(context.Background())
	<-hung.asked
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.clean()
		b.Try(t.Context(), project, label)
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Error("pods and dry runs wait for Jenkins")
	}
}

func TestDiagnose(t *testing.T) {
	tests := map[string]struct {
		reason string
		setUp  func(b *bench)
		waited time.Duration
		want   string
		says   string
	}{
		"JustNow": {reason: "Jenkins needs a moment", waited: 5 * time.Second},
		"Pod":     {setUp: func(b *bench) { b.feed("p", waiting("ErrImagePull", "x")) }, want: ReasonImagePullFailed},
		"Starting": {reason: "the pod is being made", waited: time.Hour, setUp: func(b *bench) {
			b.feed("p", waiting("ContainerCreating", ""))
		}},
		"Quota": {reason: "no pod and no event: told at once", setUp: func(b *bench) { b.refusal = newProblem(ReasonQuotaExceeded, "exceeded quota: ci") },
			want: ReasonQuotaExceeded, says: "exceeded quota: ci"},
		"NoPod":        {reason: "the credential is missing", waited: provisionTime, want: ReasonNotProvisioned, says: "credential"},
		"CannotTry":    {reason: "Slipway's own rights say nothing of Jenkins", waited: provisionTime, setUp: func(b *bench) { b.refusal = newProblem(ReasonCannotCheck, "x") }, want: ReasonNotProvisioned},
		"NodeButNoPod": {waited: provisionTime, setUp: func(b *bench) { b.jenkins.nodes = []jenkins.Node{{Name: label + "-x1z2y", Offline: true}} }, want: ReasonNotProvisioned, says: label + "-x1z2y"},
		"NoRight": {waited: provisionTime, setUp: func(b *bench) { b.lacking = []string{"create", "watch"} },
			want: ReasonRightsMissing, says: "system:serviceaccount:ci:jenkins may not create, watch pods"},
		"JenkinsAway": {reason: "what is known is told all the same", waited: provisionTime, setUp: func(b *bench) { b.jenkins.err = errors.New("down") }, want: ReasonNotProvisioned},
		"RunsUnused": {reason: "the role lacks get, list or watch", waited: 2 * connectTime, setUp: func(b *bench) {
			b.feed("p", runningSince(start.Add(-2*connectTime)))
			b.jenkins.nodes = []jenkins.Node{{Name: "p", Offline: true}}
		}, want: ReasonNotConnected, says: "runs since"},
		"RunsUnusedNoRight": {waited: 2 * connectTime, setUp: func(b *bench) {
			b.feed("p", runningSince(start.Add(-2*connectTime)))
			b.lacking = []string{"watch"}
		}, want: ReasonRightsMissing, says: "may not watch"},
		"InUse": {reason: "another build has the only pod", waited: time.Hour, setUp: func(b *bench) {
			b.feed("p", runningSince(start.Add(-time.Hour)))
			b.jenkins.nodes = []jenkins.Node{{Name: "p"}}
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, func(o *Options) { o.JenkinsUser = "system:serviceaccount:ci:jenkins" })
			if tt.setUp != nil {
				tt.setUp(b)
			}
			got, found := b.Diagnose(t.Context(), project, label, b.clock.Now().Add(-tt.waited))
			if found != (tt.want != "") || got.Reason != tt.want || !strings.Contains(got.Message, tt.says) {
				t.Errorf("%s: got %+v, want %s with %q", tt.reason, got, tt.want, tt.says)
			}
			if found && !strings.Contains(got.Message, "What to do: ") {
				t.Errorf("no remedy: %s", got.Message)
			}
		})
	}
}

func TestDiagnoseAsksSeldom(t *testing.T) {
	b := newBench(t, func(o *Options) { o.JenkinsUser = "system:serviceaccount:ci:jenkins" })
	since := b.clock.Now().Add(-time.Minute)
	for range 1000 {
		b.Diagnose(t.Context(), project, label, since)
	}
	if b.jenkins.calls != 1 || b.trials != 1 || len(b.kube.Actions()) != len(verbs) {
		t.Errorf("1000 waiting runs cost %d calls to Jenkins, %d dry runs and %d other calls", b.jenkins.calls, b.trials, len(b.kube.Actions()))
	}
}

func TestCollectLeaked(t *testing.T) {
	b := newBench(t)
	b.feed("lost", runningSince(start))
	b.feed("used", runningSince(start))
	b.feed("mini", runningSince(start), func(pod *corev1.Pod) { pod.Labels[minijenkinsLabel] = "1" })
	b.jenkins.nodes = []jenkins.Node{{Name: "used"}, {Name: "mini"}, {Name: "Built-In Node"}}
	b.pass(30 * time.Second)
	b.collect()
	if b.jenkins.calls > 0 {
		t.Error("Jenkins is asked for young pods")
	}
	for range 8 {
		b.pass(collectPeriod)
		b.collect()
	}
	if len(b.deleted) > 0 {
		t.Fatalf("deleted too early: %v", b.deleted)
	}
	// While Jenkins is away nothing is deleted, and then the time begins anew.
	b.jenkins.err = errors.New("starting")
	for range 20 {
		b.pass(collectPeriod)
		b.collect()
	}
	b.jenkins.err = nil
	b.collect()
	b.pass(DefaultLeakedAfter)
	b.collect()
	if len(b.deleted) > 0 {
		t.Fatalf("deleted although Jenkins was away: %v", b.deleted)
	}
	b.pass(time.Second)
	b.collect()
	if diff := cmp.Diff([]string{"lost uid-lost"}, b.deleted); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCollectUnwanted(t *testing.T) {
	tests := map[string]struct {
		reason string
		why    []string
		pod    []func(*corev1.Pod)
		err    error
		want   bool
	}{
		"Nobody":    {reason: "the build was aborted", want: true},
		"ItsName":   {why: []string{"‘p-1’ is offline"}},
		"ItsLabel":  {why: []string{"All nodes of label ‘" + label + "’ are offline"}},
		"NoNode":    {why: []string{"There are no nodes with the label ‘" + label + "-0123456789’"}},
		"Revision":  {why: []string{"‘Jenkins’ doesn’t have label ‘" + label + "-r0123456789’"}},
		"AnotherOf": {reason: "another pod of the template is named", why: []string{"‘" + label + "-x1z2y’ is offline"}},
		"Composite": {why: []string{"There are no nodes with the label ‘(" + label + "&&linux)’"}},
		"Other":     {reason: "builds wait for other labels", why: []string{"‘dc-team-a.api-x1z2y’ is offline", "Waiting for next available executor"}, want: true},
		"QuietMode": {reason: "nobody knows what waits for it", why: []string{"Jenkins is about to shut down"}},
		"Running":   {pod: []func(*corev1.Pod){runningSince(start)}},
		"Mini":      {reason: "minijenkins deletes its pods itself", pod: []func(*corev1.Pod){func(pod *corev1.Pod) { pod.Labels[minijenkinsLabel] = "1" }}},
		"Away":      {err: errors.New("down")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.jenkins.nodes = []jenkins.Node{{Name: "p-1", Offline: true}}
			b.jenkins.whys, b.jenkins.err = tt.why, tt.err
			b.feed("p-1", tt.pod...)
			b.collect()
			if len(b.deleted) > 0 {
				t.Fatal("deleted at the first look")
			}
			for range 3 {
				b.pass(collectPeriod)
				b.collect()
			}
			if got := len(b.deleted) > 0; got != tt.want {
				t.Errorf("%s: deleted %v, want %t", tt.reason, b.deleted, tt.want)
			}
		})
	}
}

type keepers map[string]bool

func (k keepers) Discard(_ context.Context, _, pod string) bool { return k[pod] }

func TestCollectKept(t *testing.T) {
	succeeded := keepers{"good": true}
	b := newBench(t, func(o *Options) { o.Keepers = succeeded })
	keep := func(pod *corev1.Pod) { pod.Annotations[agenttemplate.KeepAnnotation] = "15m" }
	b.feed("good", runningSince(start), keep)
	b.feed("bad", runningSince(start), keep)
	b.feed("over", keep, ended(1, "Error", "SLIPWAY-AGENT AgentExited: x"))
	b.pass(DefaultLeakedAfter)
	b.collect()
	b.pass(collectPeriod)
	b.collect()
	if diff := cmp.Diff([]string{"good uid-good"}, b.deleted); diff != "" {
		t.Fatalf("the pod of a success is deleted at once (-want +got):\n%s", diff)
	}
	b.lose(agentPod("good"))
	b.pass(DefaultLeakedAfter)
	b.collect()
	if diff := cmp.Diff([]string{"good uid-good", "over uid-over"}, b.deleted); diff != "" {
		t.Fatalf("one whose container has ended is of no use (-want +got):\n%s", diff)
	}
	b.lose(agentPod("over"))
	b.pass(12 * time.Minute)
	b.collect()
	if len(b.deleted) > 2 {
		t.Fatalf("a kept pod was deleted too early: %v", b.deleted)
	}
	b.pass(2 * time.Minute)
	b.collect()
	if diff := cmp.Diff([]string{"good uid-good", "over uid-over", "bad uid-bad"}, b.deleted); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestIdleAsksNothing(t *testing.T) {
	b := newBench(t)
	for range 100 {
		b.pass(collectPeriod)
		b.collect()
	}
	if b.jenkins.calls > 0 {
		t.Errorf("without a pod Jenkins was asked %d times", b.jenkins.calls)
	}
}

func TestManyGonePods(t *testing.T) {
	b := newBench(t)
	for i := range maxGone + 100 {
		pod := agentPod("p", func(pod *corev1.Pod) {
			pod.Name, pod.UID = fmt.Sprintf("p-%d", i), types.UID(fmt.Sprint(i))
		})
		b.pass(time.Millisecond)
		b.lose(pod)
	}
	b.clean()
	if len(b.pods) != maxGone {
		t.Errorf("%d deleted pods are remembered", len(b.pods))
	}
	if _, ok := b.Find("p-0"); ok {
		t.Error("the oldest is remembered, the newest are not")
	}
}

func TestNew(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("no client is needed")
	}
	if _, err := New(Options{Client: fake.NewClientset(), Templates: &fakeTemplates{}}); err == nil {
		t.Error("templates without a way to try them")
	}
}

// TestJenkinsRole: Jenkins has the five verbs on pods and nothing else.
func TestJenkinsRole(t *testing.T) {
	for _, file := range []string{"../../../config/rbac/jenkins/role.yaml", "../../../charts/slipway/files/jenkins-role.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		role := &rbacv1.Role{}
		if err := yaml.UnmarshalStrict(bytes.ReplaceAll(text, []byte("{{ .Values.workerNamespace }}"), []byte("x")), role); err != nil {
			t.Fatal(err)
		}
		want := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: verbs}}
		if diff := cmp.Diff(want, role.Rules); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}
