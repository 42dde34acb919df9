// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/controller/pipeline"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

func TestObserve(t *testing.T) {
	tests := map[string]struct {
		reason, state, result string
		want                  string
		final                 bool
	}{
		"Queued":   {"a build with a number that has not begun waits", jenkins.StateQueued, jenkins.ResultUnknown, "Pending/Queued", false},
		"Running":  {"", jenkins.StateRunning, jenkins.ResultUnknown, "Running/Running", false},
		"Early":    {"a result that is set before the end is no end", jenkins.StateRunning, jenkins.ResultFailure, "Running/Running", false},
		"Paused":   {"as in KubeSphere", jenkins.StatePaused, jenkins.ResultUnknown, "Pending/Paused", false},
		"Skipped":  {"as in KubeSphere", jenkins.StateSkipped, "", "Succeeded/Success", true},
		"Success":  {"", jenkins.StateFinished, jenkins.ResultSuccess, "Succeeded/Success", true},
		"Unstable": {"unstable is not failed, and can be told from success", jenkins.StateFinished, jenkins.ResultUnstable, "Succeeded/Unstable", true},
		"Failure":  {"", jenkins.StateFinished, jenkins.ResultFailure, "Failed/Failure", true},
		"Aborted":  {"", jenkins.StateFinished, jenkins.ResultAborted, "Cancelled/Aborted", true},
		"NotBuilt": {"a newer build took its place", jenkins.StateFinished, jenkins.ResultNotBuilt, "Cancelled/NotBuilt", true},
		"Unknown":  {"Jenkins does not say", jenkins.StateFinished, jenkins.ResultUnknown, "Unknown/Unknown", true},
		"New":      {"a state of a future Jenkins is not an end", "HOVERING", "", "Running/Running", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := observe(&jenkins.Run{State: tt.state, Result: tt.result})
			if got := string(o.phase) + "/" + o.reason; got != tt.want || o.final != tt.final {
				t.Errorf("%s: got %s final=%v, want %s final=%v", tt.reason, got, o.final, tt.want, tt.final)
			}
		})
	}
}

func param(name, value string) devopsv1alpha3.Parameter {
	return devopsv1alpha3.Parameter{Name: name, Value: value}
}

func TestCheckParameters(t *testing.T) {
	defined := []devopsv1alpha3.ParameterDefinition{
		{Name: "WHERE", Type: "choice", DefaultValue: "dev\nprod"}, {Name: "DRY", Type: "boolean"}, {Name: "TEXT", Type: "string"},
	}
	tests := map[string]struct {
		reason   string
		values   []devopsv1alpha3.Parameter
		complete bool
		want     []string
	}{
		"Good":      {"", []devopsv1alpha3.Parameter{param("WHERE", "prod"), param("DRY", "true"), param("TEXT", "ü\n$(x)")}, true, nil},
		"Undefined": {"Jenkins would drop it in silence", []devopsv1alpha3.Parameter{param("NOPE", "1")}, true, []string{`"NOPE"`, "DRY, TEXT, WHERE"}},
		"Scripted":  {"only Jenkins knows what is defined", []devopsv1alpha3.Parameter{param("NOPE", "1")}, false, nil},
		"Choice":    {"", []devopsv1alpha3.Parameter{param("WHERE", "mars")}, true, []string{`"mars"`, "dev, prod"}},
		"Boolean":   {"", []devopsv1alpha3.Parameter{param("DRY", "yes")}, true, []string{"true or false"}},
		"Twice":     {"", []devopsv1alpha3.Parameter{param("TEXT", "1"), param("TEXT", "2")}, true, []string{"given twice"}},
		"LongName":  {"a message stays readable", []devopsv1alpha3.Parameter{param(strings.Repeat("n", 300), "1")}, true, []string{"does not define"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := checkParameters(tt.values, defined, tt.complete)
			if (got == "") != (len(tt.want) == 0) {
				t.Fatalf("%s: got %q", tt.reason, got)
			}
			for _, part := range tt.want {
				if !strings.Contains(got, part) {
					t.Errorf("%s: %q does not say %q", tt.reason, got, part)
				}
			}
		})
	}
}

func TestFingerprint(t *testing.T) {
	defined := []devopsv1alpha3.ParameterDefinition{{Name: "A", Type: "string", DefaultValue: "1"}, {Name: "B", Type: "choice", DefaultValue: "x\ny"}}
	base := fingerprint(nil, defined)
	if got := fingerprint([]devopsv1alpha3.Parameter{param("B", "x"), param("A", "1")}, defined); got != base {
		t.Error("given defaults are the same as those left out: Jenkins merges such starts")
	}
	if got := fingerprint([]devopsv1alpha3.Parameter{param("B", "y")}, defined); got == base {
		t.Error("other values are another start")
	}
	trimmed := []devopsv1alpha3.ParameterDefinition{{Name: "A", Type: "string", DefaultValue: " 1", Trim: true}}
	if fingerprint(nil, trimmed) != fingerprint([]devopsv1alpha3.Parameter{param("A", "1\n")}, trimmed) {
		t.Error("Jenkins merges starts whose values are equal once they are trimmed")
	}
	if fingerprint([]devopsv1alpha3.Parameter{param("A", "1;1:B=1:y")}, nil) == fingerprint([]devopsv1alpha3.Parameter{param("A", "1"), param("B", "y")}, nil) {
		t.Error("a value must not be able to look like another parameter")
	}
}

// TestOutcomes has one case for each way a run can end or wait.
func TestOutcomes(t *testing.T) {
	stop := devopsv1alpha3.Stop
	tests := map[string]struct {
		reason  string
		prepare func(*bench, *devopsv1alpha3.PipelineRun)
		during  func(*bench, *devopsv1alpha3.PipelineRun)
		want    string
		says    string
		builds  int
	}{
		"Success":  {reason: "the plain life", want: "Succeeded/Success", builds: 1},
		"Unstable": {prepare: func(b *bench, _ *devopsv1alpha3.PipelineRun) { b.jenkins.result = jenkins.ResultUnstable }, want: "Succeeded/Unstable", builds: 1},
		"Failure":  {prepare: func(b *bench, _ *devopsv1alpha3.PipelineRun) { b.jenkins.result = jenkins.ResultFailure }, want: "Failed/Failure", builds: 1},
		"Interrupted": {reason: "an engine that was restarted is told from a user's stop", prepare: func(b *bench, _ *devopsv1alpha3.PipelineRun) {
			b.jenkins.result = jenkins.ResultAborted
			b.jenkins.log = strings.Repeat("x\n", 5000) + "The build was interrupted by a restart of minijenkins.\nFinished: ABORTED\n"
		}, want: "Failed/Interrupted", says: "start the run again", builds: 1},
		"InterruptedAndAway": {reason: "the log that tells why is waited for while Jenkins is away", prepare: func(b *bench, _ *devopsv1alpha3.PipelineRun) {
			b.jenkins.result = jenkins.ResultAborted
			b.jenkins.log = "The build was interrupted by a restart of minijenkins.\nFinished: ABORTED\n"
			n := 0
			b.jenkins.fault = func(call, when string) error {
				// Its beginning is read before its end.
				if call == "jenkins Log" && when == "before" {
					n++
				}
				if call == "jenkins Log" && n%2 == 0 && n <= 10 {
					return jenkins.ErrUnavailable
				}
				return nil
			}
		}, want: "Failed/Interrupted", says: "start the run again", builds: 1},
		"PipelineMissing": {prepare: func(_ *bench, r *devopsv1alpha3.PipelineRun) { r.Spec.PipelineRef.Name = "nothing" }, want: "Failed/PipelineMissing", says: "no pipeline nothing"},
		"NoReference":     {prepare: func(_ *bench, r *devopsv1alpha3.PipelineRun) { r.Spec.PipelineRef = nil }, want: "Failed/PipelineMissing", says: "spec.pipelineRef.name"},
		"InvalidParameters": {prepare: func(_ *bench, r *devopsv1alpha3.PipelineRun) {
			r.Spec.Parameters = []devopsv1alpha3.Parameter{param("X", "1")}
		}, want: "Failed/InvalidParameters", says: "defines no parameters"},
		"StoppedBeforeStart": {reason: "a stopped run never starts", prepare: func(_ *bench, r *devopsv1alpha3.PipelineRun) { r.Spec.Action = &stop }, want: "Cancelled/Stopped"},
		"StoppedRunning": {reason: "a build that ignores stops is stopped again", prepare: func(b *bench, _ *devopsv1alpha3.PipelineRun) { b.jenkins.endless, b.jenkins.stubborn = true, 3 },
			during: func(b *bench, r *devopsv1alpha3.PipelineRun) { r.Spec.Action = &stop }, want: "Cancelled/Aborted", builds: 1},
		"LostBuild": {prepare: func(b *bench, _ *devopsv1alpha3.PipelineRun) { b.jenkins.endless = true },
			during: func(b *bench, _ *devopsv1alpha3.PipelineRun) { b.jenkins.jobs[ns+"/build"].builds = nil }, want: "Failed/BuildLost", says: "build 1"},
		"ParametersOnlyInJenkins": {reason: "Jenkins refuses the wrong one of two calls; the other one is right",
			prepare: func(b *bench, _ *devopsv1alpha3.PipelineRun) { b.jenkins.jobs[ns+"/build"].hasParameters = true }, want: "Succeeded/Success", builds: 1},
		"DisabledForAWhile": {reason: "a disabled job is waited for", prepare: func(b *bench, _ *devopsv1alpha3.PipelineRun) {
			b.jenkins.jobs[ns+"/build"].disabled = true
			n := 0
			b.jenkins.fault = func(call, _ string) error {
				if n++; n > 20 {
					b.jenkins.jobs[ns+"/build"].disabled = false
				}
				return nil
			}
		}, want: "Succeeded/Success", builds: 1},
		"BadAnnotations": {reason: "what a user writes into the annotations leads nowhere bad", prepare: func(_ *bench, r *devopsv1alpha3.PipelineRun) {
			r.Annotations = map[string]string{devopsv1alpha3.StartIntentAnnotation: "yesterday", devopsv1alpha3.QueueItemAnnotation: "-7", devopsv1alpha3.JenkinsPipelineRunIDAnnotation: "x"}
			r.CreationTimestamp = metav1.Time{Time: newClock().Now()}
		}, want: "Succeeded/Success", builds: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, syncedPipeline("build"), agentPod())
			pr := newRun("r1")
			if tt.prepare != nil {
				tt.prepare(b, pr)
			}
			if err := b.cluster.Create(t.Context(), pr); err != nil {
				t.Fatal(err)
			}
			if tt.during != nil {
				got := b.until("r1", func(r *devopsv1alpha3.PipelineRun) bool { return r.Status.Phase == devopsv1alpha3.Running })
				tt.during(b, got)
				if err := b.cluster.Update(t.Context(), got); err != nil {
					t.Fatal(err)
				}
			}
			got := b.until("r1", ended)
			if verdict(got) != tt.want || !strings.Contains(message(got), tt.says) {
				t.Errorf("%s: got %s (%s), want %s that says %q", tt.reason, verdict(got), message(got), tt.want, tt.says)
			}
			if n := b.jenkins.builds(""); n != tt.builds {
				t.Errorf("%s: %d builds, want %d", tt.reason, n, tt.builds)
			}
			before := b.get("r1")
			b.pass("r1")
			if diff := cmp.Diff(before, b.get("r1")); diff != "" {
				t.Errorf("an ended run changed:\n%s", diff)
			}
		})
	}
}

func TestStopInQueue(t *testing.T) {
	b := newBench(t, syncedPipeline("build"), newRun("r1"))
	b.jenkins.held = true
	got := b.until("r1", func(r *devopsv1alpha3.PipelineRun) bool {
		return verdict(r) == "Pending/Queued" && message(r) == "Waiting for next available executor"
	})
	if n := b.jenkins.calls["jenkins GetQueueItem"]; n > 0 {
		t.Errorf("the queue item was asked for %d times: one look at the queue tells for all runs", n)
	}
	stop := devopsv1alpha3.Stop
	got.Spec.Action = &stop
	if err := b.cluster.Update(t.Context(), got); err != nil {
		t.Fatal(err)
	}
	if got := b.until("r1", ended); verdict(got) != "Cancelled/CancelledInQueue" {
		t.Errorf("got %s", verdict(got))
	}
	b.jenkins.held = false
	b.step()
	if n := b.jenkins.builds(""); n != 0 {
		t.Errorf("%d builds of a cancelled run", n)
	}
}

func TestStopLeavesForeignQueueItemsAlone(t *testing.T) {
	pr := newRun("r1")
	stop := devopsv1alpha3.Stop
	pr.Spec.Action = &stop
	pr.Annotations = map[string]string{devopsv1alpha3.QueueItemAnnotation: "7"}
	b := newBench(t, syncedPipeline("build"), pr)
	b.jenkins.held = true
	b.jenkins.items[7] = &fakeItem{id: 7, job: "other/secret", causes: []string{CausePrefix + "someone"}}
	for range 10 {
		b.pass("r1")
		b.step()
	}
	if b.jenkins.items[7].cancelled {
		t.Error("a run cancelled another tenant's queue item whose number a user wrote into its annotation")
	}
}

func TestEqualRunsTakeTurns(t *testing.T) {
	b := newBench(t, syncedPipeline("build"), newRun("r1"), newRun("r2"))
	b.jenkins.held = true
	for range 5 {
		b.pass("r1")
		b.pass("r2")
		b.step()
	}
	if got := message(b.get("r2")); !strings.Contains(got, "run r1") {
		t.Errorf("r2 says %q, want that it waits for r1", got)
	}
	if n := len(b.jenkins.items); n != 1 {
		t.Errorf("%d queue items, want 1", n)
	}
	b.restart() // who holds the turn is known from the cluster, too
	b.pass("r2")
	if n := len(b.jenkins.items[101].causes); n != 1 {
		t.Errorf("the item of r1 has %d causes", n)
	}
	b.jenkins.held = false
	for _, name := range []string{"r1", "r2"} {
		if got := b.until(name, ended); verdict(got) != "Succeeded/Success" {
			t.Errorf("%s: %s", name, verdict(got))
		}
	}
	if n := b.jenkins.builds(""); n != 2 {
		t.Errorf("%d builds of two runs", n)
	}
}

// TestMergedByJenkins: parameters that only Jenkins knows make two starts equal that look different.
func TestMergedByJenkins(t *testing.T) {
	b := newBench(t, syncedPipeline("build"), newRun("r1", param("DROPPED", "1")), newRun("r2", param("DROPPED", "2")))
	b.jenkins.held, b.jenkins.drops = true, true
	b.jenkins.jobs[ns+"/build"].hasParameters = true
	b.r.Analyze = func(string) pipeline.Analysis { return pipeline.Analysis{} }
	b.pass("r1")
	// Seen from here the parameters of the two differ, but Jenkins merged them.
	for range 3 {
		b.pass("r2")
		b.step()
	}
	if got := b.get("r2"); got.Annotations[devopsv1alpha3.QueueItemAnnotation] != "" {
		t.Errorf("r2 took the queue item %s of r1", got.Annotations[devopsv1alpha3.QueueItemAnnotation])
	}
	b.jenkins.held = false
	for _, name := range []string{"r1", "r2"} {
		b.until(name, ended)
	}
	if first, second := b.get("r1"), b.get("r2"); b.jenkins.builds("") != 2 ||
		first.Annotations[devopsv1alpha3.JenkinsPipelineRunIDAnnotation] == second.Annotations[devopsv1alpha3.JenkinsPipelineRunIDAnnotation] {
		t.Errorf("two runs have %d builds", b.jenkins.builds(""))
	}
}

func TestJenkinsAway(t *testing.T) {
	b := newBench(t, syncedPipeline("build"), newRun("r1"))
	b.jenkins.endless = true
	b.until("r1", func(r *devopsv1alpha3.PipelineRun) bool { return r.Status.Phase == devopsv1alpha3.Running })
	b.jenkins.err = errDown
	b.look()
	since := b.clock.Now().UTC().Format(time.RFC3339)
	var first *devopsv1alpha3.PipelineRun
	for i := range 30 {
		if result := b.pass("r1"); result.RequeueAfter <= 0 {
			t.Fatal("nothing would wake the run when Jenkins is back")
		}
		b.clock.advance(time.Minute)
		if i == 0 {
			first = b.get("r1")
		}
	}
	got := b.get("r1")
	if got.Status.Phase != devopsv1alpha3.Running || !strings.Contains(message(got), "does not answer since "+since) {
		t.Errorf("got %s: %s", verdict(got), message(got))
	}
	if got.ResourceVersion != first.ResourceVersion {
		t.Error("the run is written again and again while there is no news")
	}
	b.jenkins.err = nil
	b.jenkins.endless = false
	if got := b.until("r1", ended); verdict(got) != "Succeeded/Success" {
		t.Errorf("after the outage: %s", verdict(got))
	}
}

func TestRunKeepsWhatTheConsoleReads(t *testing.T) {
	b := newBench(t, syncedPipeline("build"), agentPod(), newRun("r1"))
	running := b.until("r1", func(r *devopsv1alpha3.PipelineRun) bool {
		return r.Status.Phase == devopsv1alpha3.Running && r.Annotations[devopsv1alpha3.AgentPodNameAnnotation] != ""
	})
	if strings.Contains(running.Annotations[devopsv1alpha3.JenkinsPipelineRunStatusAnnotation], "durationInMillis") {
		t.Error("the JSON of a running build changes with every look")
	}
	version := running.ResourceVersion
	b.clock.advance(time.Second)
	b.pass("r1")
	if got := b.get("r1").ResourceVersion; got != version {
		t.Error("a pass that saw nothing new wrote the run")
	}
	got := b.until("r1", ended)
	want := map[string]string{
		devopsv1alpha3.JenkinsPipelineRunIDAnnotation: "1", devopsv1alpha3.QueueItemAnnotation: "101",
		devopsv1alpha3.AgentPodNameAnnotation: "dc-p-agent-x1", devopsv1alpha3.AgentNodeNameAnnotation: "node-1", devopsv1alpha3.AgentImageAnnotation: "dev@sha256:2",
	}
	for key, value := range want {
		if got.Annotations[key] != value {
			t.Errorf("annotation %s is %q, want %q", key, got.Annotations[key], value)
		}
	}
	var blue map[string]any
	if err := json.Unmarshal([]byte(got.Annotations[devopsv1alpha3.JenkinsPipelineRunStatusAnnotation]), &blue); err != nil || blue["result"] != "SUCCESS" || blue["durationInMillis"] == nil {
		t.Errorf("run JSON %v: %v", blue, err)
	}
	cm := &corev1.ConfigMap{}
	if err := b.cluster.Get(t.Context(), types.NamespacedName{Namespace: ns, Name: "r1"}, cm); err != nil {
		t.Fatal(err)
	}
	var stages []jenkins.Stage
	if err := json.Unmarshal([]byte(cm.Data[devopsv1alpha3.StageConfigMapKey]), &stages); err != nil || len(stages) != 1 || stages[0].State != jenkins.StateFinished {
		t.Errorf("stages %v: %v", stages, err)
	}
	if !metav1.IsControlledBy(cm, got) {
		t.Error("the ConfigMap would outlive its run")
	}
	if got.Labels[devopsv1alpha3.PipelineNameLabel] != "build" || len(got.OwnerReferences) != 1 {
		t.Errorf("labels %v, owners %v", got.Labels, got.OwnerReferences)
	}
	if diff := cmp.Diff([]string{"Normal Started Jenkins started build 1 of p/build", "Normal Succeeded Success: the build succeeded"}, b.events.list); diff != "" {
		t.Errorf("events:\n%s", diff)
	}
}

func TestWaitingForAgent(t *testing.T) {
	b := newBench(t, syncedPipeline("build"), newRun("r1"))
	b.jenkins.endless = true
	b.jenkins.log = "Started\nStill waiting to schedule task\n‘dc-p.app’ is offline\n"
	got := b.until("r1", func(r *devopsv1alpha3.PipelineRun) bool { return verdict(r) == "Running/WaitingForAgent" })
	if !strings.Contains(message(got), "‘dc-p.app’ is offline") {
		t.Errorf("the message is %q", message(got))
	}
	b.jenkins.log += "Running on Jenkins in /var\n"
	b.until("r1", func(r *devopsv1alpha3.PipelineRun) bool { return verdict(r) == "Running/Running" })
}

func TestForeignPodIsLeftAlone(t *testing.T) {
	pod := agentPod()
	pod.Labels[devopsv1alpha3.ProjectPodLabel] = "another-tenant"
	b := newBench(t, syncedPipeline("build"), pod, newRun("r1"))
	got := b.until("r1", ended)
	if got.Annotations[devopsv1alpha3.AgentImageAnnotation] != "" {
		t.Error("a line that a Jenkinsfile printed shows another tenant's pod")
	}
}

func TestEncodeStages(t *testing.T) {
	stage := jenkins.Stage{ID: "1", DisplayName: "s", Steps: []jenkins.Step{{ID: "2", DisplayDescription: strings.Repeat("d", 500)}}}
	many := make([]jenkins.Stage, 100)
	for i := range many {
		many[i] = stage
	}
	for _, limit := range []int{1 << 20, 40_000, 12_000, 1000, 10} {
		text, err := encodeStages(many, true, limit)
		if err != nil || len(text) > limit {
			t.Errorf("limit %d: %d bytes, %v", limit, len(text), err)
		}
		var back []jenkins.Stage
		if err := json.Unmarshal(text, &back); err != nil {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
	if many[0].Steps[0].DisplayDescription == "" {
		t.Error("the caller's stages were changed")
	}
}

func TestDelete(t *testing.T) {
	tests := map[string]struct {
		reason  string
		prepare func(*bench)
		keep    bool
		builds  int
	}{
		"Running":  {"a live build is stopped and deleted", func(b *bench) { b.jenkins.endless = true }, false, 0},
		"Queued":   {"a queued start is cancelled", func(b *bench) { b.jenkins.held = true }, false, 0},
		"Kept":     {"the user wants the record", func(b *bench) { b.jenkins.endless = true }, true, 1},
		"JobGone":  {"what is gone is deleted", func(b *bench) { b.jenkins.endless = true }, false, 0},
		"NoAnswer": {"a start without an answer is found and ended", func(b *bench) { b.jenkins.endless = true }, false, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			pr := newRun("r1")
			if tt.keep {
				pr.Annotations = map[string]string{devopsv1alpha3.KeepJenkinsRecordAnnotation: "true"}
			}
			b := newBench(t, syncedPipeline("build"), pr)
			tt.prepare(b)
			if name == "NoAnswer" {
				b.jenkins.fault = func(call, when string) error {
					if call == "jenkins StartBuild" && when == "after" {
						return errTimeout
					}
					return nil
				}
			}
			for range 4 {
				b.pass("r1")
				if name == "NoAnswer" {
					break
				}
				b.step()
			}
			if name == "JobGone" {
				delete(b.jenkins.jobs, ns+"/build")
			}
			if err := b.cluster.Delete(t.Context(), b.get("r1")); err != nil {
				t.Fatal(err)
			}
			b.jenkins.err = errDown
			b.pass("r1")
			b.get("r1") // while Jenkins is away the finalizer stays
			b.jenkins.err = nil
			for range 40 {
				b.pass("r1")
				err := b.cluster.Get(t.Context(), types.NamespacedName{Namespace: ns, Name: "r1"}, &devopsv1alpha3.PipelineRun{})
				if apierrors.IsNotFound(err) {
					b.jenkins.held, b.jenkins.endless = false, false
					b.step()
					if n := b.jenkins.builds(""); n != tt.builds {
						t.Errorf("%s: %d builds are left, want %d", tt.reason, n, tt.builds)
					}
					return
				}
				b.step()
			}
			t.Errorf("%s: the run stays: %s", tt.reason, message(b.get("r1")))
		})
	}
}

// Users write the annotations that name a build, and a namespace may merely have the name of a folder.
func TestAFolderOfOthersIsNotReached(t *testing.T) {
	for name, annotations := range map[string]map[string]string{
		"build":  {devopsv1alpha3.JenkinsPipelineRunIDAnnotation: "1"},
		"item":   {devopsv1alpha3.QueueItemAnnotation: "101"},
		"intent": {devopsv1alpha3.StartIntentAnnotation: "2020-01-01T00:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newAdopting(t, syncedPipeline("build"))
			b.jenkins.startInJenkins(ns + "/build")
			b.loseFolder()
			stop, forged := devopsv1alpha3.Stop, newRun("r1")
			forged.Annotations, forged.Finalizers, forged.Spec.Action = annotations, []string{devopsv1alpha3.PipelineRunFinalizer}, &stop
			if err := b.cluster.Create(t.Context(), forged); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				b.pass("r1")
				b.step()
			}
			if got := b.get("r1"); got.Status.CompletionTime != nil || !strings.Contains(message(got), "folder") {
				t.Errorf("%s: %s", verdict(got), message(got))
			}
			if err := b.cluster.Delete(t.Context(), forged); err != nil {
				t.Fatal(err)
			}
			b.pass("r1")
			b.mustAsk("build")
			if err := b.a.look(t.Context(), ns, []devopsv1alpha3.Pipeline{*b.pipeline("build")}); err != nil {
				t.Fatal(err)
			}
			b.want("the deleted run goes, and no build is adopted")
			if len(b.jenkins.calls) > 0 {
				t.Errorf("calls %v", b.jenkins.calls)
			}
		})
	}
}

func TestRefusedStart(t *testing.T) {
	pr := newRun("r1", param("X", "1"))
	b := newBench(t, syncedPipeline("build", devopsv1alpha3.ParameterDefinition{Name: "X", Type: "string"}), pr)
	// The job in Jenkins takes no parameters: the user's value must not be dropped in silence.
	got := b.until("r1", ended)
	if verdict(got) != "Failed/"+reasonStartRefused || b.jenkins.builds("") != 0 {
		t.Errorf("got %s with %d builds", verdict(got), b.jenkins.builds(""))
	}
	if statusOf(answer(http.StatusBadRequest, jenkins.ErrInvalid, "")) != http.StatusBadRequest {
		t.Error("the status of an answer is not found")
	}
}

// TestBegunBuildWaits: a build that has begun and waits for its agent stays Running; between the agents
// of two stages it would else go back to Pending.
func TestBegunBuildWaits(t *testing.T) {
	build := &jenkins.Run{State: jenkins.StateQueued, CauseOfBlockage: "waiting for the next available executor"}
	build.StartTime.Time = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	got := observe(build)
	if got.phase != devopsv1alpha3.Running || got.reason != devopsv1alpha3.ReasonWaitingForAgent || got.message != build.CauseOfBlockage || got.final {
		t.Errorf("observed %+v", got)
	}
}
