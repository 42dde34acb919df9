// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/event"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	jenkinsevents "github.com/slipway-dev/slipway/pkg/jenkins/events"
)

// hears puts an event on the run, as the webhook does, and gives whether it would wake the run.
func (b *bench) hears(name string, note jenkinsevents.Note) bool {
	b.t.Helper()
	before := b.get(name)
	if note.Time.IsZero() {
		note.Time = b.clock.Now()
	}
	b.set(name, func(pr *devopsv1alpha3.PipelineRun) {
		pr.Annotations[devopsv1alpha3.JenkinsEventAnnotation] = note.String()
	})
	return b.r.heard().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: b.get(name)})
}

// callsOf counts what was asked of Jenkins since the last time.
func (b *bench) callsOf() map[string]int {
	calls := map[string]int{}
	for call, n := range b.jenkins.calls {
		if short := strings.TrimPrefix(call, "jenkins "); n > 0 {
			calls[short] = n
		}
		delete(b.jenkins.calls, call)
	}
	return calls
}

// TestEventsTellALife: with events a run needs Jenkins for its start and for its end.
func TestEventsTellALife(t *testing.T) {
	b := newBench(t, syncedPipeline("build"), newRun("r1"))
	b.jenkins.prompt, b.jenkins.endless = true, true
	b.r.Options.RefreshRate = 0.001 // many other runs are live
	b.pass("r1")
	if got := b.callsOf(); len(got) != 1 || got["StartBuild"] != 1 {
		t.Errorf("the start took %v", got)
	}
	b.clock.advance(time.Second)
	b.jenkins.tick()
	start := b.clock.Now()
	if !b.hears("r1", jenkinsevents.Note{Type: jenkinsevents.RunStarted, Build: 1, QueueItem: 101, Start: start}) {
		t.Error("an event does not wake the run")
	}
	b.pass("r1")
	got := b.get("r1")
	if verdict(got) != "Running/Running" || got.Annotations[devopsv1alpha3.JenkinsPipelineRunIDAnnotation] != "1" || !got.Status.StartTime.Time.Equal(start) {
		t.Errorf("after run.started: %s, build %s, since %s", verdict(got), got.Annotations[devopsv1alpha3.JenkinsPipelineRunIDAnnotation], got.Status.StartTime)
	}
	if json := got.Annotations[devopsv1alpha3.JenkinsPipelineRunStatusAnnotation]; !strings.Contains(json, `"id":"1"`) || !strings.Contains(json, `"state":"RUNNING"`) {
		t.Errorf("consoles are shown %s", json)
	}
	for range 20 {
		b.clock.advance(time.Second)
		b.pass("r1")
	}
	if calls := b.callsOf(); len(calls) != 0 {
		t.Errorf("a build that is known to run took %v", calls)
	}
	b.jenkins.endless = false
	b.jenkins.tick()
	b.hears("r1", jenkinsevents.Note{Type: jenkinsevents.RunFinalized, Build: 1, QueueItem: 101})
	b.pass("r1")
	if got := b.get("r1"); verdict(got) != "Succeeded/Success" {
		t.Errorf("after run.finalized: %s", verdict(got))
	}
	if calls := fmt.Sprint(b.callsOf()); calls != "map[GetRun:1 Log:1 Nodes:1 Steps:1]" {
		t.Errorf("the end took %s", calls)
	}
	// What comes late wakes nobody, and a copy that does not know of the end asks for nothing.
	old := b.get("r1")
	b.hears("r1", jenkinsevents.Note{Type: jenkinsevents.RunDeleted, Build: 1})
	b.stale = func(pr *devopsv1alpha3.PipelineRun) { pr.Status.CompletionTime = nil }
	b.pass("r1")
	b.stale = nil
	if calls := b.callsOf(); len(calls) != 0 || verdict(b.get("r1")) != verdict(old) {
		t.Errorf("an ended run took %v and is %s", calls, verdict(b.get("r1")))
	}
}

// TestEventsAreHints: what an event says, or a user writes in its place, leads nowhere that Jenkins does not
// confirm.
func TestEventsAreHints(t *testing.T) {
	tests := map[string]struct {
		reason string
		note   jenkinsevents.Note
		text   string
		want   string
	}{
		"foreign item":   {reason: "only the run's own queue item leads to a build", note: jenkinsevents.Note{Type: jenkinsevents.RunStarted, Build: 9, QueueItem: 99}, want: "Pending/Queued"},
		"no item":        {reason: "", note: jenkinsevents.Note{Type: jenkinsevents.RunStarted, Build: 9}, want: "Pending/Queued"},
		"another's end":  {reason: "it is about another build", note: jenkinsevents.Note{Type: jenkinsevents.RunFinalized, Build: 9, Result: jenkins.ResultFailure}, want: "Pending/Queued"},
		"not an event":   {reason: "", text: `{"type":"run.finalized","build":"1"}`, want: "Pending/Queued"},
		"long":           {reason: "", text: `{"type":"run.finalized","build":1,"x":"` + strings.Repeat("x", 9000) + `"}`, want: "Pending/Queued"},
		"early end":      {reason: "a build that runs has not ended, whatever is said", note: jenkinsevents.Note{Type: jenkinsevents.RunFinalized, Build: 1, QueueItem: 101, Result: jenkins.ResultFailure}, want: "Running/Running"},
		"early result":   {reason: "", note: jenkinsevents.Note{Type: jenkinsevents.RunCompleted, Build: 1, QueueItem: 101, Result: jenkins.ResultFailure}, want: "Running/Running"},
		"early deletion": {reason: "", note: jenkinsevents.Note{Type: jenkinsevents.RunDeleted, Build: 1, QueueItem: 101}, want: "Running/Running"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, syncedPipeline("build"), newRun("r1"))
			b.jenkins.prompt, b.jenkins.endless = true, true
			b.pass("r1")
			if tt.text != "" {
				b.set("r1", func(pr *devopsv1alpha3.PipelineRun) { pr.Annotations[devopsv1alpha3.JenkinsEventAnnotation] = tt.text })
			} else {
				b.hears("r1", tt.note)
			}
			b.jenkins.tick()
			for range 10 {
				b.pass("r1")
				b.clock.advance(time.Second)
			}
			if got := verdict(b.get("r1")); got != tt.want {
				t.Errorf("%s: %s, want %s", tt.reason, got, tt.want)
			}
			if n := b.callsOf()["GetRun"]; n > 9 {
				t.Errorf("%d looks in 10 s", n)
			}
			b.jenkins.endless = false
			if got := b.until("r1", ended); verdict(got) != "Succeeded/Success" {
				t.Errorf("%s: ended as %s", tt.reason, verdict(got))
			}
		})
	}
}

// TestOwnWritesWakeNobody: only an event that is new wakes a run.
func TestOwnWritesWakeNobody(t *testing.T) {
	b := newBench(t, syncedPipeline("build"), newRun("r1"))
	note := jenkinsevents.Note{Type: jenkinsevents.RunStarted, Build: 1, QueueItem: 101}
	b.pass("r1")
	if !b.hears("r1", note) || b.hears("r1", jenkinsevents.Note{Type: note.Type, Build: 1, QueueItem: 101, Time: b.clock.Now()}) {
		t.Error("an event wakes once")
	}
	before := b.get("r1")
	b.pass("r1")
	if b.r.heard().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: b.get("r1")}) {
		t.Error("the controller wakes itself")
	}
	if b.r.heard().Create(event.CreateEvent{Object: before}) || b.r.heard().Delete(event.DeleteEvent{Object: before}) {
		t.Error("the other predicate is there for what a user does")
	}
}

// TestEndingsAreReadTogether: builds of one job that end together are read by one call.
func TestEndingsAreReadTogether(t *testing.T) {
	now := newClock()
	job := jobKey{"p", "j"}
	run := func(n int64, state string) *jenkins.Run {
		return &jenkins.Run{ID: fmt.Sprint(n), State: state, Result: jenkins.ResultSuccess}
	}
	e := newEndings(now.Now)
	for _, n := range []int64{11, 12, 14, 90} {
		e.note(job, n)
		e.note(job, n)
	}
	e.note(jobKey{"p", "other"}, 13)
	now.advance(endingTime / 2)
	e.note(job, 13)
	now.advance(endingTime/2 + time.Second)
	e.note(job, 15)
	// 11, 12, 14 and 90 are forgotten.
	got, page, ok := e.take(job, 13, 20)
	if got != nil || !ok || page != (jenkins.Page{Start: 20 - 15 - endingSlack, Limit: 3 + 2*endingSlack}) {
		t.Fatalf("%v %+v %t", got, page, ok)
	}
	e.keep(job, []*jenkins.Run{run(15, jenkins.StateFinished), run(16, jenkins.StateFinished), {ID: "x"}})
	if got, _, _ := e.take(job, 15, 20); got == nil || got.ID != "15" {
		t.Error("what was read with another build is not used")
	}
	if got, _, ok := e.take(job, 15, 20); got != nil || ok {
		t.Error("it is used twice")
	}
	if got, _, _ := e.take(job, 16, 20); got != nil {
		t.Error("a build is kept that nobody wants")
	}
	e.note(job, 30)
	e.note(job, 31)
	e.keep(job, []*jenkins.Run{run(31, jenkins.StateRunning)})
	if _, _, ok := e.take(job, 30, 31); !ok {
		t.Error("a build that runs counts as read")
	}
	e.note(job, 500)
	if _, page, ok := e.take(job, 31, 500); ok {
		t.Errorf("%+v reads hundreds of builds for two", page)
	}
	if _, page, ok := e.take(job, 500, 500); ok || page.Start < 0 {
		t.Errorf("%+v for one build", page)
	}
	e.take(jobKey{"p", "other"}, 13, 20)
	if len(e.jobs) != 0 {
		t.Errorf("%d jobs are remembered", len(e.jobs))
	}
}
