// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"fmt"
	"strings"
	"testing"
	"time"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// set changes a run as a user would.
func (b *bench) set(name string, change func(*devopsv1alpha3.PipelineRun)) {
	b.t.Helper()
	pr := b.get(name)
	change(pr)
	if err := b.cluster.Update(b.t.Context(), pr); err != nil {
		b.t.Fatal(err)
	}
}

func wish(action devopsv1alpha3.RunAction) func(*devopsv1alpha3.PipelineRun) {
	return func(pr *devopsv1alpha3.PipelineRun) { pr.Spec.Action = &action }
}

func running(pr *devopsv1alpha3.PipelineRun) bool { return pr.Status.Phase == devopsv1alpha3.Running }

func paused(pr *devopsv1alpha3.PipelineRun) bool { return verdict(pr) == "Pending/Paused" }

func (e *events) with(reason string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, text := range e.list {
		if strings.Contains(text, " "+reason+" ") {
			n++
		}
	}
	return n
}

func TestPauseOfARunningBuild(t *testing.T) {
	b := newBench(t, syncedPipeline("build"), newRun("r1"))
	b.jenkins.endless = true
	b.until("r1", running)
	b.set("r1", wish(devopsv1alpha3.Pause))
	for range 5 {
		b.pass("r1")
		b.step()
	}
	got := b.get("r1")
	if verdict(got) != "Running/Running" || message(got) != cannotPause {
		t.Errorf("%s says %q, want that it cannot be paused", verdict(got), message(got))
	}
	if n := b.events.with(reasonCannotPause); n != 1 {
		t.Errorf("%d events say so, want one", n)
	}
	b.jenkins.endless = false
	if got := b.until("r1", ended); verdict(got) != "Succeeded/Success" {
		t.Errorf("ended as %s", verdict(got))
	}
}

// TestPauseOfABuildWithoutAgent: what such a run says is what it waits for, and the wish that cannot be fulfilled is answered once.
func TestPauseOfABuildWithoutAgent(t *testing.T) {
	b := newBench(t, syncedPipeline("build"), newRun("r1"))
	b.jenkins.endless = true
	b.jenkins.log = "Started\nStill waiting to schedule task\nThere are no nodes\n"
	b.until("r1", func(pr *devopsv1alpha3.PipelineRun) bool { return verdict(pr) == "Running/WaitingForAgent" })
	b.set("r1", wish(devopsv1alpha3.Pause))
	reads := b.jenkins.calls["jenkins GetRun"]
	const passes = 120
	for range passes {
		b.pass("r1")
		b.step()
	}
	if n := b.events.with(reasonCannotPause); n != 1 {
		t.Errorf("%d events say that it cannot be paused, want one", n)
	}
	if n := b.jenkins.calls["jenkins GetRun"] - reads; n > passes/3 {
		t.Errorf("the build was read %d times in %d s", n, passes)
	}
	b.until("r1", func(pr *devopsv1alpha3.PipelineRun) bool { return verdict(pr) == "Running/WaitingForAgent" })
}

func TestPauseBeforeTheStart(t *testing.T) {
	pr := newRun("r1")
	wish(devopsv1alpha3.Pause)(pr)
	b := newBench(t, syncedPipeline("build"), pr)
	for range 5 {
		b.pass("r1")
		b.step()
	}
	if got := b.get("r1"); !paused(got) || b.jenkins.calls["jenkins StartBuild"] != 0 {
		t.Fatalf("%s with %d starts, want that it is held", verdict(got), b.jenkins.calls["jenkins StartBuild"])
	}
	b.set("r1", wish(devopsv1alpha3.Resume))
	b.pass("r1")
	if got := b.get("r1"); got.Spec.Action != nil {
		t.Error("the wish stays, and would answer the first input of the build")
	}
	if got := b.until("r1", ended); verdict(got) != "Succeeded/Success" {
		t.Errorf("ended as %s", verdict(got))
	}
}

// pausedBench has a run that waits at inputs.
func pausedBench(t *testing.T, inputs ...jenkins.Input) *bench {
	t.Helper()
	b := newBench(t, syncedPipeline("build"), newRun("r1"))
	b.until("r1", running)
	b.jenkins.ask(ns+"/build", inputs...)
	b.until("r1", paused)
	return b
}

func TestResume(t *testing.T) {
	b := pausedBench(t, jenkins.Input{ID: "A"}, jenkins.Input{ID: "B"})
	b.set("r1", wish(devopsv1alpha3.Resume))
	b.pass("r1")
	if got := b.get("r1"); got.Spec.Action != nil || got.Annotations[devopsv1alpha3.ResumeAnnotation] != "" {
		t.Errorf("action %v and inputs %q stay", got.Spec.Action, got.Annotations[devopsv1alpha3.ResumeAnnotation])
	}
	if n := b.jenkins.calls["jenkins SubmitInput"]; n != 2 {
		t.Errorf("%d answers, want 2", n)
	}
	// The next input is one that the user has not seen.
	b.until("r1", running)
	b.jenkins.ask(ns+"/build", jenkins.Input{ID: "C"})
	for range 5 {
		b.pass("r1")
		b.step()
	}
	if got := b.get("r1"); !paused(got) || b.jenkins.calls["jenkins SubmitInput"] != 2 {
		t.Errorf("%s: the old wish answered a new input", verdict(got))
	}
}

func TestResumeLeavesReservedInputsAlone(t *testing.T) {
	b := pausedBench(t, jenkins.Input{ID: "Lead", Submitter: "lead,team"})
	b.set("r1", func(pr *devopsv1alpha3.PipelineRun) {
		wish(devopsv1alpha3.Resume)(pr)
		// A user may even write what the controller notes.
		pr.Annotations[devopsv1alpha3.ResumeAnnotation] = `[{"node":"4","step":"5","id":"Lead"}]`
	})
	for range 5 {
		b.pass("r1")
		b.step()
	}
	if n := b.jenkins.calls["jenkins SubmitInput"]; n != 0 || !paused(b.get("r1")) {
		t.Errorf("%d answers to an input that is reserved", n)
	}
	if b.events.with("InputReserved") != 1 {
		t.Errorf("nobody is told why: %v", b.events.list)
	}
}

func TestResumeSurvivesACrash(t *testing.T) {
	for _, call := range []string{"kube patch PipelineRun before", "kube patch PipelineRun after", "jenkins SubmitInput before", "jenkins SubmitInput after"} {
		b := pausedBench(t, jenkins.Input{ID: "A"})
		b.set("r1", wish(devopsv1alpha3.Resume))
		died := false
		fault := func(c, when string) error {
			if !died && c+" "+when == call {
				died = true
				return errTimeout
			}
			return nil
		}
		b.fault, b.jenkins.fault = fault, fault
		_, _ = b.reconcile("r1")
		b.restart()
		if got := b.until("r1", ended); verdict(got) != "Succeeded/Success" || !died {
			t.Errorf("%s: %s, died %v", call, verdict(got), died)
		}
	}
}

func TestStartTimeout(t *testing.T) {
	b := newBench(t, syncedPipeline("build"), newRun("r1"))
	b.jenkins.jobs[ns+"/build"].disabled = true
	begin := b.clock.Now()
	for !ended(b.get("r1")) {
		if b.clock.Now().Sub(begin) > 2*time.Hour {
			t.Fatal("a run whose job is disabled waits for ever")
		}
		result := b.pass("r1")
		b.clock.advance(max(time.Second, result.RequeueAfter))
	}
	got := b.get("r1")
	if took := b.clock.Now().Sub(begin); took < DefaultStartTimeout || took > DefaultStartTimeout+time.Minute {
		t.Errorf("it took %s, want %s", took, DefaultStartTimeout)
	}
	if verdict(got) != "Failed/WaitingForPipeline" || !strings.Contains(message(got), "disabled") || b.jenkins.builds("") != 0 {
		t.Errorf("%s: %s, %d builds", verdict(got), message(got), b.jenkins.builds(""))
	}
}

func TestStartTimeoutSparesAnAbsentJenkins(t *testing.T) {
	p := syncedPipeline("build")
	p.Status.Conditions[0].Reason, p.Status.Conditions[0].Message = devopsv1alpha3.ReasonJenkinsUnavailable, "Jenkins does not answer"
	b := newBench(t, p, newRun("r1"))
	for range 10 {
		b.pass("r1")
		b.clock.advance(time.Hour)
	}
	if got := b.get("r1"); ended(got) {
		t.Errorf("%s: %s; nobody is at fault", verdict(got), message(got))
	}
}

func TestStartTimeoutOfALiveBuild(t *testing.T) {
	b := newBench(t, syncedPipeline("build"), newRun("r1"))
	b.jenkins.endless, b.jenkins.stubborn = true, 2
	b.until("r1", running)
	s := b.r.newScope(b.get("r1"))
	s.locate()
	since := b.clock.Now().Add(-DefaultStartTimeout)
	if err := s.startDeadline(t.Context(), b.clock.Now().Add(-time.Minute), "ImagePull", "no such image"); err != nil {
		t.Fatalf("there is time left: %v", err)
	}
	if err := s.startDeadline(t.Context(), since, "ImagePull", "no such image"); err == nil {
		t.Fatal("the time is over")
	}
	b.restart() // what is to be said stands in the run
	if got := b.until("r1", ended); verdict(got) != "Failed/ImagePull" || !strings.Contains(message(got), "no such image") {
		t.Errorf("%s: %s", verdict(got), message(got))
	}
}

func TestQueueTimeout(t *testing.T) {
	for name, limit := range map[string]time.Duration{"Never": 0, "Hour": time.Hour} {
		b := newBench(t, syncedPipeline("build"), newRun("r1"))
		b.jenkins.held = true
		b.r.Options.QueueTimeout = limit
		for range 100 {
			b.pass("r1")
			b.clock.advance(time.Minute)
		}
		got := b.get("r1")
		if ended(got) != (limit > 0) {
			t.Errorf("%s: %s", name, verdict(got))
		}
		if limit > 0 && (verdict(got) != "Failed/Queued" || !b.jenkins.items[101].cancelled) {
			t.Errorf("%s: %s, cancelled in Jenkins: %v", name, verdict(got), b.jenkins.items[101].cancelled)
		}
	}
}

// TestDiscardedBetweenLooks: Jenkins keeps fewer builds than run at once.
func TestDiscardedBetweenLooks(t *testing.T) {
	tests := map[string]struct {
		reason string
		sight  func(*bench)
		want   string
	}{
		"Bulk": {"a bulk query saw the end", func(b *bench) {
			b.look()
		}, "Succeeded/Unstable"},
		"Event": {"Jenkins told the end", func(b *bench) {
			b.set("r1", func(pr *devopsv1alpha3.PipelineRun) {
				pr.Annotations[devopsv1alpha3.JenkinsEventAnnotation] = `{"type":"run.completed","build":1,"result":"UNSTABLE"}`
			})
		}, "Succeeded/Unstable"},
		"EventOfAnother": {"it is about another build", func(b *bench) {
			b.set("r1", func(pr *devopsv1alpha3.PipelineRun) {
				pr.Annotations[devopsv1alpha3.JenkinsEventAnnotation] = `{"type":"run.completed","build":2,"result":"UNSTABLE"}`
			})
		}, "Failed/BuildLost"},
		"Nothing": {"nobody saw the end", func(*bench) {}, "Failed/BuildLost"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, syncedPipeline("build"), newRun("r1"))
			b.jenkins.result, b.jenkins.endless = jenkins.ResultUnstable, true
			b.until("r1", running)
			// It ends, is seen or not, and makes room for the next, all between two looks of the run.
			b.jenkins.endless = false
			b.clock.advance(time.Minute)
			b.jenkins.tick()
			events := make(chan struct{})
			go func() {
				defer close(events)
				select {
				case <-b.r.Watcher.events:
				case <-time.After(200 * time.Millisecond):
				}
			}()
			tt.sight(b)
			<-events
			b.jenkins.jobs[ns+"/build"].builds = nil
			if got := b.until("r1", ended); verdict(got) != tt.want {
				t.Errorf("%s: %s: %s, want %s", tt.reason, verdict(got), message(got), tt.want)
			}
		})
	}
}

// TestFewerKeptThanRun: no run stays Running for ever, whatever Jenkins' discarder does.
func TestFewerKeptThanRun(t *testing.T) {
	const n = 12
	b := newBench(t, syncedPipeline("build", devopsv1alpha3.ParameterDefinition{Name: "V", Type: "string"}))
	b.jenkins.jobs[ns+"/build"] = &fakeJob{hasParameters: true, keep: 1}
	for i := range n {
		if err := b.cluster.Create(t.Context(), newRun(fmt.Sprintf("r%02d", i), param("V", fmt.Sprint(i)))); err != nil {
			t.Fatal(err)
		}
	}
	verdicts := map[string]int{}
	for i := range n {
		name := fmt.Sprintf("r%02d", i)
		b.until(name, func(pr *devopsv1alpha3.PipelineRun) bool {
			return pr.Annotations[devopsv1alpha3.QueueItemAnnotation] != ""
		})
	}
	for i := range n {
		got := b.until(fmt.Sprintf("r%02d", i), ended)
		verdicts[verdict(got)]++
	}
	if verdicts["Succeeded/Success"]+verdicts["Failed/BuildLost"] != n {
		t.Errorf("ended as %v", verdicts)
	}
	t.Log(verdicts)
}

func TestReplay(t *testing.T) {
	again := newRun("again", param("PW", "ignored"))
	again.Spec.ReplayOf = "r1"
	b := newBench(t, syncedPipeline("build"), newRun("r1"), again)
	b.until("r1", ended)
	got := b.until("again", ended)
	if verdict(got) != "Succeeded/Success" || got.Annotations[devopsv1alpha3.JenkinsPipelineRunIDAnnotation] != "2" {
		t.Fatalf("%s as build %s", verdict(got), got.Annotations[devopsv1alpha3.JenkinsPipelineRunIDAnnotation])
	}
	if b.jenkins.calls["jenkins StartBuild"] != 1 || b.jenkins.calls["jenkins ReplayRun"] != 1 {
		t.Errorf("calls: %v", b.jenkins.calls)
	}
}

func TestReplayOfNothing(t *testing.T) {
	tests := map[string]struct {
		prepare func(*bench)
		of      string
		says    string
	}{
		"NoRun":     {nil, "nothing", `no run "nothing"`},
		"Unstarted": {nil, "unstarted", "no build"},
		"Foreign":   {nil, "foreign", "another pipeline"},
		"Deleted":   {func(b *bench) { b.jenkins.jobs[ns+"/build"].builds = nil }, "r1", "does not have build 1"},
		"Injection": {nil, "../r1", "no run"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			again, foreign := newRun("again"), newRun("foreign")
			again.Spec.ReplayOf, foreign.Spec.PipelineRef.Name = tt.of, "other"
			b := newBench(t, syncedPipeline("build"), newRun("r1"), newRun("unstarted"), foreign, again)
			b.until("r1", ended)
			if tt.prepare != nil {
				tt.prepare(b)
			}
			if got := b.until("again", ended); verdict(got) != "Failed/ReplayMissing" || !strings.Contains(message(got), tt.says) {
				t.Errorf("%s: %s", verdict(got), message(got))
			}
		})
	}
}

// TestUnmarkedCrashes: the process dies at each call, while several runs start whose builds carry no note:
// replays of one build, and runs of a branch.
func TestUnmarkedCrashes(t *testing.T) {
	kinds := map[string]struct {
		// foreign is what a person starts in Jenkins at the same time.
		foreign func(*bench)
		run     func(*devopsv1alpha3.PipelineRun)
	}{
		"Replay": {func(b *bench) {
			b.jenkins.mu.Lock()
			defer b.jenkins.mu.Unlock()
			b.jenkins.nextItem++
			b.jenkins.items[b.jenkins.nextItem] = &fakeItem{id: b.jenkins.nextItem, job: ns + "/build", replays: 1, started: []jenkins.StartCause{byAnn}}
		}, func(pr *devopsv1alpha3.PipelineRun) { pr.Spec.ReplayOf = "r1" }},
		"Branch": {func(b *bench) { b.jenkins.startInJenkins(ns+"/mb/main", byAnn) }, func(pr *devopsv1alpha3.PipelineRun) {
			pr.Spec.PipelineRef.Name, pr.Spec.SCM = "mb", &devopsv1alpha3.SCM{RefName: "main"}
		}},
	}
	calls := []string{"kube patch PipelineRun", "kube patch PipelineRun/status", "jenkins ReplayRun", "jenkins StartBuild",
		"jenkins UnmarkedStarts", "jenkins FindUnmarkedStart", "jenkins FolderBuilds"}
	for kind, k := range kinds {
		for _, call := range calls {
			if kind == "Branch" && call == "jenkins ReplayRun" || kind == "Replay" && call == "jenkins StartBuild" {
				continue
			}
			for _, when := range []string{"before", "after"} {
				for _, dies := range []bool{true, false} {
					t.Run(fmt.Sprintf("%s %s %s dies=%v", kind, call, when, dies), func(t *testing.T) {
						unmarkedCrash(t, k.foreign, k.run, &faults{call: call, when: when, dies: dies, left: 10, seen: map[string]bool{}})
					})
				}
			}
		}
	}
}

func unmarkedCrash(t *testing.T, foreign func(*bench), change func(*devopsv1alpha3.PipelineRun), f *faults) {
	t.Helper()
	const n = 8
	b := newBench(t, agentPod(), syncedPipeline("build"), multiBranch("mb"), newRun("r1"))
	b.jenkins.jobs[ns+"/mb/main"] = &fakeJob{}
	b.until("r1", ended)
	foreign(b)
	names := map[string]bool{}
	for i := range n {
		pr := newRun(fmt.Sprintf("run-%d", i))
		change(pr)
		names[pr.Name] = true
		if err := b.cluster.Create(t.Context(), pr); err != nil {
			t.Fatal(err)
		}
	}
	lost := 0
	hit := func(c, w string) error {
		sent := c == "jenkins ReplayRun" || c == "jenkins StartBuild"
		if sent && w == "after" && f.call == "jenkins FindUnmarkedStart" && lost < 6 {
			lost++
			return errTimeout // so that there is something to find
		}
		return f.hit(c, w)
	}
	b.fault, b.jenkins.fault = hit, hit
	for round := 0; round < maxRounds && len(names) > 0; round++ {
		for _, name := range sortedKeys(names) {
			_, _ = b.reconcile(name)
			if f.dead {
				f.dead = false
				b.restart()
			}
			if ended(b.get(name)) {
				delete(names, name)
			}
		}
		if round == 3 {
			foreign(b)
		}
		b.step()
	}
	numbers := map[string]bool{}
	for i := range n {
		got := b.get(fmt.Sprintf("run-%d", i))
		if verdict(got) != "Succeeded/Success" {
			t.Errorf("%s ended as %s: %s", got.Name, verdict(got), message(got))
		}
		numbers[got.Annotations[devopsv1alpha3.JenkinsPipelineRunIDAnnotation]] = true
	}
	// The original, what a person started twice, and one for each run.
	if all := b.jenkins.builds(""); len(numbers) != n || all != n+3 || len(names) > 0 {
		t.Errorf("%d builds of %d runs, %d of them different, %d runs open", all-3, n, len(numbers), len(names))
	}
	if f.hits == 0 {
		t.Error("the fault never happened")
	}
}
