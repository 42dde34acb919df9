// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

var byAnn = jenkins.StartCause{Class: "UserIdCause", Text: "Started by user Ann", UserID: "ann"}

// adopting is a bench with an adopter.
type adopting struct {
	*bench
	a *Adopter
}

func newAdopting(t *testing.T, objects ...client.Object) *adopting {
	t.Helper()
	b := newBench(t, objects...)
	return &adopting{bench: b, a: b.adopter()}
}

func (b *bench) adopter() *Adopter {
	a := &Adopter{Client: b.client(), Reader: b.cluster, Jenkins: b.jenkins, Recorder: b.events, Now: b.clock.Now}
	a.setDefaults()
	return a
}

// ask lets a look at the pipeline be asked for, and made.
func (b *adopting) ask(name string) (ctrl.Result, error) {
	b.t.Helper()
	p := b.pipeline(name)
	if p.Annotations == nil {
		p.Annotations = map[string]string{}
	}
	p.Annotations[devopsv1alpha3.PipelineRequestToSyncRunsAnnotation] = b.clock.Now().Format(time.RFC3339)
	if err := b.cluster.Update(b.t.Context(), p); err != nil {
		b.t.Fatal(err)
	}
	return b.a.Reconcile(b.t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(p)})
}

func (b *adopting) mustAsk(name string) ctrl.Result {
	b.t.Helper()
	result, err := b.ask(name)
	if err != nil {
		b.t.Fatal(err)
	}
	return result
}

func (b *bench) pipeline(name string) *devopsv1alpha3.Pipeline {
	b.t.Helper()
	p := &devopsv1alpha3.Pipeline{}
	if err := b.cluster.Get(b.t.Context(), client.ObjectKey{Namespace: ns, Name: name}, p); err != nil {
		b.t.Fatal(err)
	}
	return p
}

// names lists the runs.
func (b *bench) names() []string {
	b.t.Helper()
	list := &devopsv1alpha3.PipelineRunList{}
	if err := b.cluster.List(b.t.Context(), list); err != nil {
		b.t.Fatal(err)
	}
	names := []string{}
	for _, r := range list.Items {
		names = append(names, r.Name)
	}
	return names
}

func (b *adopting) want(reason string, names ...string) {
	b.t.Helper()
	if diff := cmp.Diff(names, b.names(), cmpopts.EquateEmpty()); diff != "" {
		b.t.Errorf("%s: runs -want +got:\n%s", reason, diff)
	}
}

func TestAdopt(t *testing.T) {
	p := syncedPipeline("build", devopsv1alpha3.ParameterDefinition{Name: "PW", Type: "password", DefaultValue: hunter})
	b := newAdopting(t, p)
	build := b.jenkins.startInJenkins(ns+"/build", byAnn)
	build.values = []jenkins.Parameter{{Name: "MODE", Value: "fast"}, {Name: strings.Repeat("n", 300), Value: "x"}}
	for range 3 {
		b.mustAsk("build")
	}
	b.want("a build is one run", "build-1")
	got := b.get("build-1")
	want := map[string]string{
		devopsv1alpha3.JenkinsPipelineRunIDAnnotation: "1", devopsv1alpha3.QueueItemAnnotation: "101",
		devopsv1alpha3.PipelineRunTriggerAnnotation: "jenkins", devopsv1alpha3.PipelineRunCreatorAnnotation: "ann",
	}
	if diff := cmp.Diff(want, got.Annotations); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]devopsv1alpha3.Parameter{param("MODE", "fast")}, got.Spec.Parameters); diff != "" {
		t.Error(diff)
	}
	if owner := metav1.GetControllerOf(got); owner == nil || owner.Name != "build" || got.Spec.PipelineSpec.Pipeline.Parameters[0].DefaultValue != "" {
		t.Errorf("owner %v, parameters %v", owner, got.Spec.PipelineSpec.Pipeline.Parameters)
	}
	if wish, ok := b.pipeline("build").Annotations[devopsv1alpha3.PipelineRequestToSyncRunsAnnotation]; ok {
		t.Errorf("the wish %q stays", wish)
	}
	if got := b.until("build-1", ended); verdict(got) != "Succeeded/Success" || b.jenkins.calls["jenkins StartBuild"] != 0 || b.jenkins.builds("") != 1 {
		t.Errorf("%s with %d starts", verdict(got), b.jenkins.calls["jenkins StartBuild"])
	}
}

func TestNotAdopted(t *testing.T) {
	tests := map[string]struct {
		reason  string
		prepare func(*adopting)
		want    []string
	}{
		"OurOwn": {"it has its run", func(b *adopting) {
			if err := b.cluster.Create(b.t.Context(), newRun("r1")); err != nil {
				b.t.Fatal(err)
			}
			b.until("r1", ended)
		}, []string{"r1"}},
		"RunGone": {"its run was deleted and the build kept", func(b *adopting) {
			b.jenkins.startInJenkins(ns+"/build", jenkins.StartCause{Class: "RemoteCause", Note: CausePrefix + "someone"})
		}, []string{}},
		"BeforeThePipeline": {"the job is older than the Pipeline", func(b *adopting) {
			old := b.jenkins.startInJenkins(ns+"/build", byAnn)
			p := b.pipeline("build")
			old.start = p.CreationTimestamp.Add(-time.Hour)
		}, []string{}},
		"JobGone":  {"", func(b *adopting) { delete(b.jenkins.jobs, ns+"/build") }, []string{}},
		"NoBuilds": {"", func(*adopting) {}, []string{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := syncedPipeline("build")
			p.CreationTimestamp = metav1.Time{Time: newClock().Now().Add(-time.Hour)}
			b := newAdopting(t, p)
			tt.prepare(b)
			b.mustAsk("build")
			b.want(tt.reason, tt.want...)
		})
	}
}

// TestAdoptDoesNotResurrect: what was deleted stays deleted, in whatever way.
func TestAdoptDoesNotResurrect(t *testing.T) {
	b := newAdopting(t, syncedPipeline("build"))
	b.jenkins.startInJenkins(ns+"/build", byAnn)
	b.mustAsk("build")
	pr := b.until("build-1", ended)
	pr.Annotations[devopsv1alpha3.KeepJenkinsRecordAnnotation] = "true"
	if err := b.cluster.Update(t.Context(), pr); err != nil {
		t.Fatal(err)
	}
	if err := b.cluster.Delete(t.Context(), pr); err != nil {
		t.Fatal(err)
	}
	b.pass("build-1")
	b.want("the run is gone, its build stays")
	b.mustAsk("build")
	b.want("the build does not come back")
	b.jenkins.startInJenkins(ns+"/build", byAnn)
	b.mustAsk("build")
	b.want("the next one is adopted", "build-2")
}

// TestKeptReplayDoesNotComeBack: a replay carries no note of its run.
func TestKeptReplayDoesNotComeBack(t *testing.T) {
	again := newRun("again")
	again.Spec.ReplayOf = "r1"
	b := newAdopting(t, syncedPipeline("build"), newRun("r1"), again)
	b.until("r1", ended)
	b.until("again", ended)
	b.clock.t = time.Now() // as the cluster's, whose time a deletion has
	b.set("again", func(pr *devopsv1alpha3.PipelineRun) {
		pr.Annotations[devopsv1alpha3.KeepJenkinsRecordAnnotation] = "true"
	})
	if err := b.cluster.Delete(t.Context(), b.get("again")); err != nil {
		t.Fatal(err)
	}
	b.pass("again")
	if _, err := b.a.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Namespace: ns, Name: "build"}}); err != nil {
		t.Fatal(err)
	}
	b.pass("again")
	b.mustAsk("build")
	b.want("the replay's run is gone for good", "r1")
	if b.jenkins.builds("") != 2 {
		t.Errorf("%d builds are left, want both", b.jenkins.builds(""))
	}
}

// TestAdoptWaitsForStarts: a build may be that of a run which has not learned of it yet.
func TestAdoptWaitsForStarts(t *testing.T) {
	starting := newRun("r1")
	starting.Labels = map[string]string{devopsv1alpha3.PipelineNameLabel: "build"}
	starting.Annotations = map[string]string{devopsv1alpha3.StartIntentAnnotation: newClock().Now().Format(time.RFC3339Nano)}
	b := newAdopting(t, syncedPipeline("build"), starting)
	b.jenkins.startInJenkins(ns+"/build", byAnn)
	if result := b.mustAsk("build"); result.RequeueAfter <= 0 {
		t.Error("nobody looks again")
	}
	b.want("it is held", "r1")
	b.set("r1", func(pr *devopsv1alpha3.PipelineRun) {
		pr.Annotations[devopsv1alpha3.QueueItemAnnotation] = "7" // of another build
	})
	b.mustAsk("build")
	b.want("now it is clear", "build-1", "r1")
}

func TestAdoptCrashes(t *testing.T) {
	for _, call := range []string{"kube get Pipeline", "kube create PipelineRun", "kube patch Pipeline", "jenkins StartedBuilds"} {
		for _, when := range []string{"before", "after"} {
			b := newAdopting(t, syncedPipeline("build"))
			for range 5 {
				b.jenkins.startInJenkins(ns+"/build", byAnn)
			}
			f := &faults{call: call, when: when, left: 2, seen: map[string]bool{}}
			b.fault, b.jenkins.fault = f.hit, f.hit
			for range 6 {
				_, _ = b.ask("build")
				b.a = b.adopter()
			}
			if f.hits == 0 {
				t.Errorf("%s %s: the fault never happened", call, when)
			}
			b.want(call+" "+when, "build-1", "build-2", "build-3", "build-4", "build-5")
		}
	}
}

func multiBranch(name string) *devopsv1alpha3.Pipeline {
	p := syncedPipeline(name)
	p.Spec = devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.MultiBranchPipelineType, MultiBranchPipeline: &devopsv1alpha3.MultiBranchPipeline{SourceType: "git"}}
	return p
}

func TestAdoptBranches(t *testing.T) {
	b := newAdopting(t, multiBranch("mb"))
	scan := jenkins.StartCause{Class: "BranchIndexingCause", Text: "Branch indexing"}
	for _, branch := range []string{"main", "feature%2Fx", "feature-2fx", "größe", "PR-7"} {
		b.jenkins.startInJenkins(ns+"/mb/"+branch, scan)
	}
	b.jenkins.startInJenkins(ns+"/mb/main", scan)
	b.jenkins.startInJenkins(ns+"/mbx", byAnn) // of another pipeline, of a similar name
	b.mustAsk("mb")
	b.mustAsk("mb")
	refs := map[string]int{}
	for _, name := range b.names() {
		pr := b.get(name)
		if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
			t.Errorf("%s: %v", name, problems)
		}
		refs[pr.Spec.SCM.RefName]++
		if pr.Annotations[devopsv1alpha3.PipelineRunTriggerAnnotation] != "scm" {
			t.Errorf("%s: %v", name, pr.Annotations)
		}
	}
	if diff := cmp.Diff(map[string]int{"main": 2, "feature%2Fx": 1, "feature-2fx": 1, "größe": 1, "PR-7": 1}, refs); diff != "" {
		t.Error(diff)
	}
	for _, name := range b.names() {
		if got := b.until(name, ended); verdict(got) != "Succeeded/Success" {
			t.Errorf("%s of branch %s: %s: %s", name, got.Spec.SCM.RefName, verdict(got), message(got))
		}
	}
	// A branch that goes and comes back does not bring its old builds along.
	gone := b.jenkins.jobs[ns+"/mb/main"]
	delete(b.jenkins.jobs, ns+"/mb/main")
	b.mustAsk("mb")
	for _, name := range b.names() {
		if err := b.cluster.Delete(t.Context(), b.get(name)); err != nil {
			t.Fatal(err)
		}
		b.pass(name)
	}
	b.jenkins.jobs[ns+"/mb/main"] = gone
	b.mustAsk("mb")
	b.want("old builds of a branch that came back")
	b.clock.advance(time.Minute)
	b.jenkins.startInJenkins(ns+"/mb/main", scan)
	b.mustAsk("mb")
	if n := len(b.names()); n != 1 {
		t.Errorf("%d runs, want the one of the new build", n)
	}
}

// TestAdoptAfterTheJobWasMadeAnew: the numbers begin at 1 again.
func TestAdoptAfterTheJobWasMadeAnew(t *testing.T) {
	b := newAdopting(t, syncedPipeline("build"))
	for range 3 {
		b.jenkins.startInJenkins(ns+"/build", byAnn)
	}
	b.mustAsk("build")
	for _, name := range []string{"build-1", "build-2", "build-3"} {
		b.until(name, ended)
	}
	b.jenkins.jobs[ns+"/build"] = &fakeJob{}
	b.clock.advance(time.Hour)
	b.jenkins.startInJenkins(ns+"/build", byAnn)
	b.mustAsk("build")
	b.mustAsk("build")
	names := b.names()
	if len(names) != 4 || !strings.HasPrefix(names[1], "build-1-") {
		t.Errorf("runs %v, want one more for the new build 1", names)
	}
}

// TestAdoptWhatKubernetesRefuses: a build whose parameters make too large a run, or whose pipeline is older than a rule that it breaks,
// is adopted without them, and one that is refused all the same does not keep those that come after it from being adopted.
func TestAdoptWhatKubernetesRefuses(t *testing.T) {
	large, invalid := apierrors.NewRequestEntityTooLargeError("limit is 3145728"), apierrors.NewInvalid(schema.GroupKind{Kind: "PipelineRun"}, "x", nil)
	for name, tt := range map[string]struct {
		err     error
		refused func(*devopsv1alpha3.PipelineRun) bool
		want    []string
	}{
		"parameters": {large, func(pr *devopsv1alpha3.PipelineRun) bool { return len(pr.Spec.Parameters) > 0 }, []string{"build-1", "build-2"}},
		"spec":       {invalid, func(pr *devopsv1alpha3.PipelineRun) bool { return pr.Spec.PipelineSpec != nil }, []string{"build-1", "build-2"}},
		"anyhow":     {invalid, func(pr *devopsv1alpha3.PipelineRun) bool { return pr.Name == "build-1" }, []string{"build-2"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newAdopting(t, syncedPipeline("build"))
			b.a.Client = interceptor.NewClient(b.cluster, interceptor.Funcs{
				Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
					if pr, ok := obj.(*devopsv1alpha3.PipelineRun); ok && tt.refused(pr) {
						return tt.err
					}
					return c.Create(ctx, obj, opts...)
				},
			})
			b.jenkins.startInJenkins(ns+"/build", byAnn).values = []jenkins.Parameter{{Name: "A", Value: "b"}}
			b.jenkins.startInJenkins(ns+"/build", byAnn)
			b.mustAsk("build")
			b.want(name, tt.want...)
			if told := b.events.with("NotAdopted"); (told == 1) != (name == "anyhow") {
				t.Errorf("%d events: %v", told, b.events.list)
			}
		})
	}
}

func TestAdoptTakenName(t *testing.T) {
	taken := newRun("build-1")
	b := newAdopting(t, syncedPipeline("build"), taken)
	b.jenkins.startInJenkins(ns+"/build", byAnn)
	b.mustAsk("build")
	b.mustAsk("build")
	if names := b.names(); len(names) != 2 || !strings.HasPrefix(names[1], "build-1-") {
		t.Errorf("runs %v", names)
	}
}

func TestAdoptWhileJenkinsIsAway(t *testing.T) {
	b := newAdopting(t, syncedPipeline("build"))
	b.jenkins.startInJenkins(ns+"/build", byAnn)
	b.jenkins.err = errDown
	if result := b.mustAsk("build"); result.RequeueAfter <= 0 {
		t.Error("nobody looks again")
	}
	if b.pipeline("build").Annotations[devopsv1alpha3.PipelineRequestToSyncRunsAnnotation] == "" {
		t.Error("the wish is forgotten")
	}
	b.jenkins.err = nil
	b.mustAsk("build")
	b.want("when it is back", "build-1")
}

// TestIdlePipelinesCostNothing: the regular look is one call for a folder, and no more where nothing happens.
func TestIdlePipelinesCostNothing(t *testing.T) {
	const n = 200
	b := newAdopting(t)
	for i := range n {
		name := fmt.Sprintf("idle-%03d", i)
		if err := b.cluster.Create(t.Context(), syncedPipeline(name)); err != nil {
			t.Fatal(err)
		}
		b.jenkins.jobs[ns+"/"+name] = &fakeJob{}
	}
	woken := 0
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case e := <-b.a.events:
				woken++
				if _, err := b.a.Reconcile(ctx, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(e.Object)}); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		}
	}()
	look := func() {
		folders, err := b.a.folders(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for folder, pipelines := range folders {
			if err := b.a.look(ctx, folder, pipelines); err != nil {
				t.Fatal(err)
			}
		}
	}
	look()
	if got := b.jenkins.calls; got["jenkins BuildStatuses"] != 1 || got["jenkins StartedBuilds"] != 0 || woken != 0 {
		t.Errorf("%v for %d idle pipelines, %d woken", got, n, woken)
	}
	b.jenkins.startInJenkins(ns+"/idle-007", byAnn)
	look()
	look()
	cancel()
	<-done
	if got := b.jenkins.calls; got["jenkins StartedBuilds"] != 1 {
		t.Errorf("%v for one new build", got)
	}
	b.want("the new build is found without being asked", "idle-007-1")
	// With one folder a look every ten minutes is far from two calls a minute.
	if DefaultAdoptGap < 30*time.Second {
		t.Error("many folders would cost more than two calls a minute")
	}
}

func TestMarksAreBounded(t *testing.T) {
	m := &marks{Jobs: map[string]mark{}}
	start := newClock().Now()
	for i := range 50 {
		m.advance(fmt.Sprint(i), 1, start.Add(time.Duration(i)*time.Hour))
	}
	m.bound(10)
	if len(m.Jobs) != 10 || m.fresh("0", 1, start) || m.fresh("45", 1, start.Add(45*time.Hour)) || !m.fresh("0", 2, start.Add(100*time.Hour)) {
		t.Errorf("%d marks, since %d: what was dropped must not come back", len(m.Jobs), m.Since)
	}
}

func TestAdoptedNames(t *testing.T) {
	long := strings.Repeat("p", 240)
	seen := map[string]bool{}
	for _, tt := range [][2]string{{"build", ""}, {"a.b", ""}, {long, ""}, {long + "x", ""}, {"b", "feature%2Fx"}, {"b", "feature-2fx"}, {"b", "日本"}, {"b", "---"}, {long, strings.Repeat("b", 1000)}} {
		name := adoptedName(tt[0], tt[1], 1<<62)
		if problems := validation.IsDNS1123Subdomain(otherName(tt[0], tt[1], &jenkins.StartedBuild{Number: 1 << 62})); len(problems) > 0 || seen[name] {
			t.Errorf("%q of %v: %v, seen %v", name, tt, problems, seen[name])
		}
		seen[name] = true
	}
}

func TestToDiscardBranches(t *testing.T) {
	now := newClock().Now()
	var runs []devopsv1alpha3.PipelineRun
	for i, branch := range []string{"main", "main", "main", "x", "x"} {
		r := *newRun(fmt.Sprintf("%s%d", branch, i))
		r.Spec.SCM = &devopsv1alpha3.SCM{RefName: branch}
		begin := metav1.Time{Time: now.Add(-time.Duration(10-i) * time.Hour)}
		// All were adopted just now: their builds are older.
		r.CreationTimestamp, r.Status.StartTime, r.Status.CompletionTime = metav1.Time{Time: now}, &begin, &begin
		runs = append(runs, r)
	}
	keep := discarderOf(&devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.MultiBranchPipelineType,
		MultiBranchPipeline: &devopsv1alpha3.MultiBranchPipeline{Discarder: &devopsv1alpha3.DiscarderProperty{NumToKeep: "1"}}})
	chosen := selection{keep: keep, now: now}
	if chosen.choose(runs); names(chosen.discard) != "main0 main1 x3" {
		t.Errorf("discarded %s, want all but the newest of each branch", names(chosen.discard))
	}
}
