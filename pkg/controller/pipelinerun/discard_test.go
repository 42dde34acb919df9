// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/scheme"
)

// oldRun is a run of a branch that ended some time before now.
func oldRun(name, branch string, now time.Time, age time.Duration) devopsv1alpha3.PipelineRun {
	r := *newRun(name)
	r.CreationTimestamp = metav1.Time{Time: now.Add(-age)}
	r.Status.CompletionTime = &metav1.Time{Time: now.Add(-age)}
	if branch != "" {
		r.Spec.SCM = &devopsv1alpha3.SCM{RefName: branch}
	}
	return r
}

func names(list []choice) string {
	var out []string
	for _, c := range list {
		out = append(out, c.run.Name)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestWhatGoes(t *testing.T) {
	now := newClock().Now()
	run := func(name, branch string, age time.Duration) devopsv1alpha3.PipelineRun {
		return oldRun(name, branch, now, age)
	}
	live := run("live", "", 100*day)
	live.Status.CompletionTime = nil
	plain := []devopsv1alpha3.PipelineRun{run("a", "", 0), run("b", "", day), run("c", "", 2*day), run("d", "", 3*day), run("e", "", 40*day), live}
	dying := run("dying", "", 50*day)
	dying.DeletionTimestamp = &metav1.Time{Time: now}
	branches := []devopsv1alpha3.PipelineRun{
		run("m1", "main", time.Hour), run("m2", "main", 2*day), run("m3", "main", 3*day),
		run("f1", "feature%2Fx", 5*day), run("f2", "feature%2Fx", 6*day),
		run("g1", "gone-1", 7*day), run("g2", "gone-1", 8*day), run("h1", "gone-2", 9*day), run("i1", "gone-3", 10*day), run("n1", "new", time.Hour),
	}
	archived, waiting, unstarted := run("archived", "", 30*day), run("waiting", "", 31*day), run("unstarted", "", 32*day)
	for _, r := range []*devopsv1alpha3.PipelineRun{&archived, &waiting, &unstarted} {
		r.Finalizers = []string{devopsv1alpha3.PipelineRunFinalizer}
		r.Annotations = map[string]string{devopsv1alpha3.JenkinsPipelineRunIDAnnotation: "1"}
	}
	archived.Annotations[devopsv1alpha3.ArchivedAnnotation] = "2026-01-01T00:00:00Z"
	delete(unstarted.Annotations, devopsv1alpha3.JenkinsPipelineRunIDAnnotation)
	archive := []devopsv1alpha3.PipelineRun{archived, waiting, unstarted}
	ended := func(r devopsv1alpha3.PipelineRun, phase devopsv1alpha3.RunPhase, reason string) devopsv1alpha3.PipelineRun {
		r.Status.Phase = phase
		r.Status.Conditions = []devopsv1alpha3.Condition{{Type: devopsv1alpha3.ConditionSucceeded, Reason: reason}}
		return r
	}
	const good, bad = devopsv1alpha3.Succeeded, devopsv1alpha3.Failed
	results := []devopsv1alpha3.PipelineRun{
		ended(run("bad1", "", day), bad, "Failure"), ended(run("bad2", "", 2*day), bad, "Failure"), ended(run("shaky1", "", 3*day), good, devopsv1alpha3.ReasonUnstable),
		ended(run("shaky2", "", 4*day), good, devopsv1alpha3.ReasonUnstable), ended(run("good1", "", 5*day), good, "Success"), ended(run("good2", "", 6*day), good, "Success"),
		ended(run("gone1", "gone", 7*day), bad, "Failure"), ended(run("gone2", "gone", 8*day), good, "Success"),
	}
	known := map[string]bool{"main": true, "feature%2Fx": true}
	tests := map[string]struct {
		reason    string
		runs      []devopsv1alpha3.PipelineRun
		num, days string
		archived  bool
		branches  map[string]bool
		want      string
		next      time.Duration
	}{
		"Nothing":       {"no bound", plain, "", "", false, nil, "", 0},
		"Unbounded":     {"no bound in Jenkins' words", plain, "-1", "-1", false, nil, "", 0},
		"Number":        {"the newest stay", plain, "3", "", false, nil, "d e", 0},
		"Days":          {"the young stay", plain, "", "30", false, nil, "e", 27 * day},
		"Both":          {"either bound", plain, "4", "3", false, nil, "d e", day},
		"Nonsense":      {"no number", plain, "many", "x", false, nil, "", 0},
		"Going":         {"what goes already neither counts nor goes again", append(slices.Clone(plain), dying), "5", "", false, nil, "", 0},
		"Branches":      {"each branch keeps its own", branches, "1", "", false, nil, "f2 g2 m2 m3", 0},
		"BranchesDays":  {"age counts in every branch, also in one that is gone", branches, "", "6", false, known, "f2 g1 g2 h1 i1", day},
		"Gone":          {"branches that are gone count as one; a new one is not gone", branches, "2", "", false, known, "h1 i1 m3", 6 * time.Hour},
		"GoneUnknown":   {"without a whole list of branches none is gone", branches, "2", "", false, nil, "m3", 0},
		"Archived":      {"what is not stored yet stays; what never had a build has nothing to store", archive, "", "30", true, nil, "archived unstarted", 0},
		"LastGood":      {"the last success stays, and the last that was stable, in branches that there are", results, "1", "", false, map[string]bool{"": true}, "bad2 gone2 good2 shaky2", 6 * time.Hour},
		"LastGoodDays":  {"however old they are", results, "", "1", false, map[string]bool{"": true}, "bad1 bad2 gone1 gone2 good2 shaky2", 0},
		"ManyDays":      {"213504 days are longer than a Duration is: counted round, they would be half an hour", plain, "", "213504", false, nil, "", (maxDays - 40) * day},
		"WithoutAStore": {"nothing is ever stored", archive, "", "30", false, nil, "archived unstarted waiting", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := selection{keep: &devopsv1alpha3.DiscarderProperty{NumToKeep: tt.num, DaysToKeep: tt.days}, now: now, archived: tt.archived, branches: tt.branches}
			s.choose(tt.runs)
			if got := names(s.discard); got != tt.want || s.next != tt.next {
				t.Errorf("%s: got %q next %s, want %q next %s", tt.reason, got, s.next, tt.want, tt.next)
			}
		})
	}
}

func TestBranchesThatAPipelineHas(t *testing.T) {
	p := &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{devopsv1alpha3.PipelineJenkinsBranchesAnnotation: `[{"name":"main"},{"name":"a%2Fb"}]`}}}
	p.Spec.Type = devopsv1alpha3.MultiBranchPipelineType
	complete := metav1.Condition{Type: devopsv1alpha3.ConditionBranchesComplete, Status: metav1.ConditionTrue}
	p.Status.Conditions = []metav1.Condition{complete}
	if got := branchesOf(p); len(got) != 2 || !got["a%2Fb"] {
		t.Errorf("got %v", got)
	}
	for name, change := range map[string]func(*devopsv1alpha3.Pipeline){
		"not all":  func(p *devopsv1alpha3.Pipeline) { p.Status.Conditions[0].Status = metav1.ConditionFalse },
		"not read": func(p *devopsv1alpha3.Pipeline) { p.Status.Conditions = nil },
		"none": func(p *devopsv1alpha3.Pipeline) {
			p.Annotations[devopsv1alpha3.PipelineJenkinsBranchesAnnotation] = "[]"
		},
		"broken": func(p *devopsv1alpha3.Pipeline) {
			p.Annotations[devopsv1alpha3.PipelineJenkinsBranchesAnnotation] = "{"
		},
		"a plain p": func(p *devopsv1alpha3.Pipeline) { p.Spec.Type = devopsv1alpha3.NoScmPipelineType },
	} {
		q := p.DeepCopy()
		if change(q); branchesOf(q) != nil {
			t.Errorf("%s: %v", name, branchesOf(q))
		}
	}
}

// heap is a cluster with the old runs of a pipeline, and a discarder that can be started anew.
type heap struct {
	*testing.T
	kube    client.WithWatch
	d       *Discarder
	now     time.Time
	deleted []string
}

func newHeap(t *testing.T, pipeline *devopsv1alpha3.Pipeline, runs []devopsv1alpha3.PipelineRun) *heap {
	t.Helper()
	objects := []client.Object{pipeline}
	for i := range runs {
		runs[i].Spec.PipelineRef = &corev1.ObjectReference{Name: pipeline.Name}
		runs[i].UID = types.UID(runs[i].Name)
		objects = append(objects, &runs[i])
	}
	h := &heap{T: t, now: newClock().Now()}
	h.kube = fake.NewClientBuilder().WithScheme(scheme.New()).WithObjects(objects...).WithIndex(&devopsv1alpha3.PipelineRun{}, index.RunPipeline, index.RunPipelineValue).Build()
	h.start(nil)
	return h
}

// start is a start of the process; fail makes deletions fail.
func (h *heap) start(fail func(name string) error) {
	counted := interceptor.NewClient(h.kube, interceptor.Funcs{
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.DeleteOption) error {
			if fail != nil {
				if err := fail(obj.GetName()); err != nil {
					return err
				}
			}
			h.deleted = append(h.deleted, obj.GetName())
			return c.Delete(ctx, obj, opts...)
		},
	})
	h.d = &Discarder{Client: counted, Archived: true, Now: func() time.Time { return h.now }}
}

func (h *heap) pass() (ctrl.Result, error) {
	return h.d.Reconcile(h.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: ns, Name: "build"}})
}

func (h *heap) left() []devopsv1alpha3.PipelineRun {
	h.Helper()
	list := &devopsv1alpha3.PipelineRunList{}
	if err := h.kube.List(h.Context(), list); err != nil {
		h.Fatal(err)
	}
	return list.Items
}

// TestDiscarderOfTenThousandRuns: the runs of a multi-branch pipeline that grew without bound are brought down by bounded
// passes, through crashes and failures, and nothing goes that should stay.
func TestDiscarderOfTenThousandRuns(t *testing.T) {
	const total, perBranch, keep = 10_000, 100, 10
	now := newClock().Now()
	p := syncedPipeline("build")
	p.Spec = devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.MultiBranchPipelineType, MultiBranchPipeline: &devopsv1alpha3.MultiBranchPipeline{
		SourceType: "git", Discarder: &devopsv1alpha3.DiscarderProperty{NumToKeep: fmt.Sprint(keep)}}}
	p.Annotations = map[string]string{devopsv1alpha3.PipelineJenkinsBranchesAnnotation: "["}
	p.Status.Conditions = append(p.Status.Conditions, metav1.Condition{Type: devopsv1alpha3.ConditionBranchesComplete, Status: metav1.ConditionTrue})
	// Jenkins has half of the branches.
	for b := range total / perBranch / 2 {
		p.Annotations[devopsv1alpha3.PipelineJenkinsBranchesAnnotation] += fmt.Sprintf(`{"name":"b%d"},`, b)
	}
	p.Annotations[devopsv1alpha3.PipelineJenkinsBranchesAnnotation] = strings.TrimSuffix(p.Annotations[devopsv1alpha3.PipelineJenkinsBranchesAnnotation], ",") + "]"
	var runs []devopsv1alpha3.PipelineRun
	live, pending := 0, 0
	for i := range total {
		r := oldRun(fmt.Sprintf("run-%05d", i), fmt.Sprintf("b%d", i/perBranch), now, 2*day+time.Duration(i%perBranch)*time.Hour)
		r.Annotations = map[string]string{devopsv1alpha3.JenkinsPipelineRunIDAnnotation: fmt.Sprint(1 + i), devopsv1alpha3.ArchivedAnnotation: "2026-01-01T00:00:00Z"}
		switch i % perBranch {
		case 50:
			r.Status.CompletionTime = nil
			live++
		case 99:
			// The fake lets nothing be deleted that has a finalizer; of these none is.
			delete(r.Annotations, devopsv1alpha3.ArchivedAnnotation)
			r.Finalizers = []string{devopsv1alpha3.PipelineRunFinalizer}
			pending++
		}
		runs = append(runs, r)
	}
	h := newHeap(t, p, runs)
	before := testutil.ToFloat64(discarded.WithLabelValues("multi-branch-pipeline", boundNumber)) + testutil.ToFloat64(discarded.WithLabelValues("multi-branch-pipeline", boundGone))
	crashed := errors.New("the process ends")
	passes, slowest := 0, time.Duration(0)
	for {
		former := len(h.deleted)
		if passes%7 == 3 {
			h.start(func(name string) error {
				if len(h.deleted) == former+31 {
					return crashed
				}
				return nil
			})
		} else {
			h.start(nil)
		}
		begin := time.Now()
		result, err := h.pass()
		slowest = max(slowest, time.Since(begin))
		if passes++; passes > 500 {
			t.Fatal("it does not end")
		}
		if n := len(h.deleted) - former; n > maxDiscards {
			t.Fatalf("a pass deletes %d runs", n)
		}
		if err != nil {
			if !errors.Is(err, crashed) {
				t.Fatal(err)
			}
			continue
		}
		if result.RequeueAfter > discardWait {
			break
		}
	}
	t.Logf("%d runs deleted in %d passes, the slowest took %s", len(h.deleted), passes, slowest.Round(time.Millisecond))
	if sorted := slices.Compact(slices.Sorted(slices.Values(h.deleted))); len(sorted) != len(h.deleted) {
		t.Errorf("%d deletions of %d runs", len(h.deleted), len(sorted))
	}
	kept, gone := map[string]int{}, 0
	for _, r := range h.left() {
		switch branch := branchOf(&r); {
		case r.Status.CompletionTime == nil:
			live--
		case r.Annotations[devopsv1alpha3.ArchivedAnnotation] == "":
			pending--
		default:
			kept[branch]++
			if len(branch) == 3 && branch >= "b50" {
				gone++
			}
		}
	}
	if live != 0 || pending != 0 {
		t.Errorf("%d live runs and %d that wait for the archive were deleted", live, pending)
	}
	for b := range total / perBranch / 2 {
		if n := kept[fmt.Sprintf("b%d", b)]; n != keep {
			t.Errorf("branch %d keeps %d runs", b, n)
		}
	}
	if gone != keep {
		t.Errorf("the branches that are gone keep %d runs together", gone)
	}
	after := testutil.ToFloat64(discarded.WithLabelValues("multi-branch-pipeline", boundNumber)) + testutil.ToFloat64(discarded.WithLabelValues("multi-branch-pipeline", boundGone))
	if int(after-before) != len(h.deleted) {
		t.Errorf("the metric counts %v of %d", after-before, len(h.deleted))
	}
}

// TestDiscarderWaitsForWhatGoes: runs that cannot go, as Jenkins is away, do not become more and more.
func TestDiscarderWaitsForWhatGoes(t *testing.T) {
	now := newClock().Now()
	var runs []devopsv1alpha3.PipelineRun
	for i := range 3 * maxDiscards {
		r := oldRun(fmt.Sprintf("run-%03d", i), "", now, time.Duration(1+i)*time.Hour)
		r.Finalizers = []string{"somebody.example/holds"}
		runs = append(runs, r)
	}
	p := syncedPipeline("build")
	p.Spec.Pipeline.Discarder = &devopsv1alpha3.DiscarderProperty{NumToKeep: "1"}
	h := newHeap(t, p, runs)
	for i := range 4 {
		result, err := h.pass()
		if err != nil || len(h.deleted) != maxDiscards || result.RequeueAfter == 0 {
			t.Fatalf("pass %d: %d deletions, %v, %v", i, len(h.deleted), result, err)
		}
	}
	if oldest := slices.MaxFunc(h.left(), func(a, b devopsv1alpha3.PipelineRun) int {
		return cmp.Compare(now.Sub(a.CreationTimestamp.Time), now.Sub(b.CreationTimestamp.Time))
	}); oldest.DeletionTimestamp.IsZero() {
		t.Error("the oldest does not go first")
	}
}

// TestDiscarderReadsAStaleRun: a run that has changed since it was read is not deleted, but looked at again.
func TestDiscarderReadsAStaleRun(t *testing.T) {
	now := newClock().Now()
	p := syncedPipeline("build")
	p.Spec.Pipeline.Discarder = &devopsv1alpha3.DiscarderProperty{NumToKeep: "1"}
	h := newHeap(t, p, []devopsv1alpha3.PipelineRun{oldRun("new", "", now, 0), oldRun("old", "", now, day)})
	h.start(func(name string) error {
		return apierrors.NewConflict(devopsv1alpha3.GroupVersion.WithResource("pipelineruns").GroupResource(), name, errors.New("changed"))
	})
	result, err := h.pass()
	if err != nil || result.RequeueAfter != discardWait || len(h.left()) != 2 {
		t.Errorf("%v, %v, %d runs", result, err, len(h.left()))
	}
}
