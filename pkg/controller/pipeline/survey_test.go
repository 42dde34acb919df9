// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"container/heap"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// due is a pass that is due, or the survey's next step.
type due struct {
	at  time.Time
	key types.NamespacedName // empty: the survey
}

type agenda []due

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].at.Before(a[j].at) }
func (a agenda) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)        { *a = append(*a, x.(due)) }
func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

// world runs passes and survey as the manager does, on a clock of its own.
type world struct {
	*bench
	agenda agenda
	survey *survey
}

func newWorld(t *testing.T, folders, pipelines, multi int) *world {
	t.Helper()
	var objects []client.Object
	for f := range folders {
		name := fmt.Sprintf("p%d", f)
		project := readyProject()
		project.Name, project.Status.AdminNamespace = name, name
		objects = append(objects, project)
		for i := range pipelines {
			p := newPipeline("x")
			if i < multi {
				p = multiBranch()
			}
			p.Namespace, p.Name, p.UID = name, fmt.Sprintf("job%d", i), types.UID(fmt.Sprintf("%s-%d", name, i))
			objects = append(objects, p)
		}
	}
	w := &world{bench: newBench(t, objects...)}
	w.jobs.scan = jenkins.ScanState{Ran: true, Started: "t", Result: "SUCCESS"}
	w.start()
	for _, o := range objects {
		if p, ok := o.(*devopsv1alpha3.Pipeline); ok {
			w.agenda = append(w.agenda, due{w.now, client.ObjectKeyFromObject(p)})
		}
	}
	heap.Init(&w.agenda)
	w.run(time.Hour) // all jobs are made and all scans have ended
	return w
}

// start is a start of the process.
func (w *world) start() {
	w.r.memory = memory{}
	w.survey = newSurvey(w.r)
	w.agenda = slices.DeleteFunc(w.agenda, func(d due) bool { return d.key.Name == "" })
	w.agenda = append(w.agenda, due{at: w.now})
	heap.Init(&w.agenda)
}

// restart is a start that also makes a pass over everything.
func (w *world) restart() {
	w.start()
	for i := range w.agenda {
		w.agenda[i].at = w.now
	}
}

func (w *world) run(d time.Duration) {
	w.Helper()
	end := w.now.Add(d)
	for len(w.agenda) > 0 && !w.agenda[0].at.After(end) {
		next := heap.Pop(&w.agenda).(due)
		if next.at.After(w.now) {
			w.now = next.at
		}
		if next.key.Name == "" {
			next.at = w.now.Add(w.survey.step(w.Context()))
			heap.Push(&w.agenda, next)
			w.woken()
			continue
		}
		result, err := w.r.Reconcile(w.Context(), ctrl.Request{NamespacedName: next.key})
		if err != nil {
			result.RequeueAfter = time.Minute // the queue's back-off
		}
		if result.RequeueAfter > 0 {
			heap.Push(&w.agenda, due{w.now.Add(result.RequeueAfter), next.key})
		}
	}
	w.now = end
}

// woken puts what the survey wakes on the agenda; a pass that was planned for later is not made twice.
func (w *world) woken() {
	for {
		select {
		case e := <-w.r.wake:
			key := client.ObjectKeyFromObject(e.Object)
			w.agenda = slices.DeleteFunc(w.agenda, func(d due) bool { return d.key == key })
			w.agenda = append(w.agenda, due{w.now, key})
			heap.Init(&w.agenda)
		default:
			return
		}
	}
}

// perMinute counts the calls of a time.
func (w *world) perMinute(d time.Duration) float64 {
	w.Helper()
	before := w.jobs.total()
	w.run(d)
	return float64(w.jobs.total()-before) / d.Minutes()
}

// TestIdlePipelinesCostNextToNothing: the peer asks Jenkins about each pipeline every 10 s: 2,400 calls a minute for 200.
func TestIdlePipelinesCostNextToNothing(t *testing.T) {
	for _, tc := range []struct {
		folders, pipelines, multi int
		most                      float64
	}{
		{1, 200, 0, 1},
		{1, 200, 100, 1},
		{50, 4, 1, 2},
	} {
		t.Run(fmt.Sprintf("%d folders with %d pipelines, %d of them multi-branch", tc.folders, tc.pipelines, tc.multi), func(t *testing.T) {
			w := newWorld(t, tc.folders, tc.pipelines, tc.multi)
			day := w.perMinute(8 * time.Hour)
			w.restart()
			hour := w.perMinute(time.Hour)
			t.Logf("%.2f calls a minute over 8 hours, %.2f in the hour after a start: %v", day, hour, w.jobs.calls)
			if day > tc.most || hour > tc.most {
				t.Errorf("%.2f and %.2f calls a minute, want at most %.0f", day, hour, tc.most)
			}
			if day == 0 {
				t.Error("nothing is looked at")
			}
		})
	}
}

func TestSurveyFindsWhatChangedInJenkins(t *testing.T) {
	w := newWorld(t, 1, 20, 2)
	get := func(name string) *devopsv1alpha3.Pipeline {
		t.Helper()
		p := &devopsv1alpha3.Pipeline{}
		if err := w.cluster.Get(t.Context(), types.NamespacedName{Namespace: "p0", Name: name}, p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	doc := func(n int) string { return w.jobs.docs[fmt.Sprintf("p0/job%d", n)] }
	set := func(n int, doc string) { w.jobs.docs[fmt.Sprintf("p0/job%d", n)] = doc }
	disable := func(doc string) string { return strings.Replace(doc, "<disabled>false", "<disabled>true", 1) }

	delete(w.jobs.docs, "p0/job7")
	set(8, disable(doc(8)))
	set(9, freestyle)
	w.jobs.branches = []jenkins.BranchInfo{branchOf("new", 1)}
	w.run(15 * time.Minute)
	if doc(7) == "" {
		t.Error("the deleted job is not back")
	}
	if got := synced(get("job8")); got != "False/JobDisabled/successful" {
		t.Errorf("the disabled job: %s", got)
	}
	if got := synced(get("job9")); got != "False/JobClassConflict/failed" || doc(9) != freestyle {
		t.Errorf("the replaced job: %s", got)
	}
	for _, name := range []string{"job0", "job1"} {
		if got := get(name).Annotations[devopsv1alpha3.PipelineJenkinsBranchesAnnotation]; !strings.Contains(got, `"name":"new"`) {
			t.Errorf("the new branch is not in %q", got)
		}
	}

	set(8, strings.Replace(doc(8), "<disabled>true", "<disabled>false", 1))
	delete(w.jobs.docs, "p0/job9")
	before := w.jobs.calls["GetJobConfig"]
	w.run(6 * time.Minute)
	for _, name := range []string{"job8", "job9"} {
		if got := synced(get(name)); got != "True/Synced/successful" {
			t.Errorf("%s after it was put right in Jenkins: %s", name, got)
		}
	}
	if calls := w.jobs.calls["GetJobConfig"] - before; calls > 6 {
		t.Errorf("%d jobs were read for the change of two", calls)
	}

	w.jobs.docs, w.jobs.noFolder = map[string]string{}, true
	w.run(15 * time.Minute)
	missing := 0
	for n := range 20 {
		if synced(get(fmt.Sprintf("job%d", n))) == "False/FolderMissing/failed" {
			missing++
		}
	}
	if missing == 0 {
		t.Error("nobody tells the project that its folder is missing")
	}
	w.jobs.noFolder = false
	w.run(15 * time.Minute)
	if len(w.jobs.docs) != 20 {
		t.Errorf("%d of 20 jobs are back after the folder is", len(w.jobs.docs))
	}
}

func TestSurveyBearsAnOutage(t *testing.T) {
	w := newWorld(t, 3, 20, 5)
	w.jobs.err = jenkins.ErrUnavailable
	if rate := w.perMinute(10 * time.Hour); rate > 3 {
		t.Errorf("%.2f calls a minute to a Jenkins that is away", rate)
	}
	w.jobs.err = nil
	w.run(time.Hour)
	list := &devopsv1alpha3.PipelineList{}
	if err := w.cluster.List(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		if got := synced(&list.Items[i]); got != "True/Synced/successful" {
			t.Errorf("%s: %s", list.Items[i].Name, got)
		}
	}
}
