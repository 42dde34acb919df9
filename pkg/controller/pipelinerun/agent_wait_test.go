// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/controller/agentpod"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

const agentFile = "pipeline { agent { label 'dc-p.app' }\n stages { stage('a') { steps { echo 'x' } } } }"

// fakeAgents are agent pods as the test says.
type fakeAgents struct {
	pods map[string]agentpod.Pod
	// problems, refusals and diagnoses are by project and label.
	problems, refusals, diagnoses map[string]agentpod.Problem
	running                       map[string]bool
	asked                         []string
	queue                         workqueue.TypedInterface[string]
}

func newAgents() *fakeAgents {
	return &fakeAgents{pods: map[string]agentpod.Pod{}, problems: map[string]agentpod.Problem{}, refusals: map[string]agentpod.Problem{},
		diagnoses: map[string]agentpod.Problem{}, running: map[string]bool{}, queue: workqueue.NewTyped[string]()}
}

func (f *fakeAgents) Find(name string) (agentpod.Pod, bool) { pod, ok := f.pods[name]; return pod, ok }

func (f *fakeAgents) Problem(project, label string) (agentpod.Problem, bool) {
	problem, ok := f.problems[project+"/"+label]
	return problem, ok
}

func (f *fakeAgents) Try(_ context.Context, project, label string) (agentpod.Problem, bool) {
	f.asked = append(f.asked, "try "+project+"/"+label)
	problem, ok := f.refusals[project+"/"+label]
	return problem, ok
}

func (f *fakeAgents) Diagnose(_ context.Context, project, label string, _ time.Time) (agentpod.Problem, bool) {
	f.asked = append(f.asked, "diagnose "+project+"/"+label)
	for _, list := range []map[string]agentpod.Problem{f.problems, f.refusals, f.diagnoses} {
		if problem, ok := list[project+"/"+label]; ok {
			return problem, true
		}
	}
	return agentpod.Problem{}, false
}

func (f *fakeAgents) Running(project, label string) bool        { return f.running[project+"/"+label] }
func (f *fakeAgents) Changed() workqueue.TypedInterface[string] { return f.queue }

// blockedJenkins says of running builds that they wait for an agent.
type blockedJenkins struct {
	*fakeJenkins
	why string
}

func (b *blockedJenkins) GetRun(ctx context.Context, folder, job string, number int64) (*jenkins.Run, error) {
	run, err := b.fakeJenkins.GetRun(ctx, folder, job, number)
	if err == nil && run.State == jenkins.StateRunning && b.why != "" {
		run.State, run.CauseOfBlockage = jenkins.StateQueued, b.why
	}
	return run, err
}

// agentBench is a bench whose run asks for an agent.
type agentBench struct {
	*bench
	agents  *fakeAgents
	blocked *blockedJenkins
}

func newAgentBench(t *testing.T, jenkinsfile string) *agentBench {
	t.Helper()
	pipeline := syncedPipeline("build")
	pipeline.Spec.Pipeline.Jenkinsfile = jenkinsfile
	b := &agentBench{bench: newBench(t, pipeline, newRun("r1")), agents: newAgents()}
	b.jenkins.endless, b.jenkins.log = true, "Started\n"
	b.blocked = &blockedJenkins{fakeJenkins: b.jenkins}
	b.r.Jenkins, b.r.Agents = b.blocked, b.agents
	return b
}

func agentReady(run *devopsv1alpha3.PipelineRun) string {
	if c := conditionOf(run, devopsv1alpha3.ConditionAgentReady); c != nil {
		return string(c.Status) + " " + c.Reason
	}
	return ""
}

func problem(reason string) agentpod.Problem {
	return agentpod.Problem{Reason: reason, Message: "it is so. What to do: this"}
}

func started(run *devopsv1alpha3.PipelineRun) bool {
	return run.Annotations[devopsv1alpha3.JenkinsPipelineRunIDAnnotation] != ""
}

func TestAgentProblem(t *testing.T) {
	const pull = "AgentImagePullFailed"
	tests := map[string]struct {
		reason      string
		jenkinsfile string
		why, log    string
		agents      func(*fakeAgents)
		want        string // of AgentReady
		verdict     string
		says        string
	}{
		"PodNamed": {reason: "Jenkins names the pod", why: "‘dc-p.app-x1z2y’ is offline",
			agents: func(a *fakeAgents) {
				found := problem(pull)
				a.pods["dc-p.app-x1z2y"] = agentpod.Pod{Project: ns, Labels: []string{"dc-p.app"}, Problem: &found}
			}, want: "False " + pull, verdict: "Running/WaitingForAgent", says: "What to do: this"},
		"LabelNamed": {why: "All nodes of label ‘dc-p.app’ are offline", agents: func(a *fakeAgents) { a.problems["p/dc-p.app"] = problem(pull) },
			want: "False " + pull, verdict: "Running/WaitingForAgent", says: "What to do: this"},
		"PodNeverMade": {reason: "the quota: Jenkins names a node that never had a pod", why: "‘dc-p.app-x1z2y’ is offline",
			agents: func(a *fakeAgents) { a.refusals["p/dc-p.app"] = problem("AgentQuotaExceeded") },
			want:   "False AgentQuotaExceeded", verdict: "Running/WaitingForAgent"},
		"NotProvisioned": {why: "‘Jenkins’ doesn’t have label ‘dc-p.app’", agents: func(a *fakeAgents) { a.diagnoses["p/dc-p.app"] = problem("AgentNotProvisioned") },
			want: "False AgentNotProvisioned", verdict: "Running/WaitingForAgent"},
		"JenkinsfileOnly": {reason: "Jenkins says nothing of an agent", why: "Finished waiting", agents: func(a *fakeAgents) { a.problems["p/dc-p.app"] = problem(pull) },
			want: "False " + pull, verdict: "Running/WaitingForAgent"},
		"NoWordFromJenkins": {reason: "Jenkins does not even say that it waits", agents: func(a *fakeAgents) { a.problems["p/dc-p.app"] = problem(pull) },
			want: "False " + pull, verdict: "Running/WaitingForAgent", says: "What to do: this"},
		"FromTheLog": {reason: "a Jenkinsfile that cannot be read", jenkinsfile: "node('x' + y) {}", log: "Started\nStill waiting to schedule task\n‘dc-p.app-x1z2y’ is offline\n",
			agents: func(a *fakeAgents) { a.problems["p/dc-p.app"] = problem(pull) }, want: "False " + pull, verdict: "Running/WaitingForAgent"},
		"NothingWrong": {why: "‘dc-p.app-x1z2y’ is offline", want: "Unknown WaitingForAgent", verdict: "Running/WaitingForAgent", says: "‘dc-p.app-x1z2y’ is offline"},
		"OtherTenant": {reason: "another project's pods are not shown", why: "‘dc-q.app-x1z2y’ is offline", jenkinsfile: "pipeline { agent { label 'dc-q.app' }\n stages { stage('a') { steps { echo 'x' } } } }",
			agents: func(a *fakeAgents) {
				found := problem("Secret")
				a.pods["dc-q.app-x1z2y"] = agentpod.Pod{Project: "q", Labels: []string{"dc-q.app"}, Problem: &found}
				a.problems["q/dc-q.app"] = found
			}, want: "Unknown WaitingForAgent", verdict: "Running/WaitingForAgent"},
		"NotOurAgent": {reason: "an agent of somebody else", jenkinsfile: "pipeline { agent { label 'maven' }\n stages { stage('a') { steps { echo 'x' } } } }",
			why: "All nodes of label ‘maven’ are offline", want: "Unknown WaitingForAgent", verdict: "Running/WaitingForAgent", says: "maven"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			file := tt.jenkinsfile
			if file == "" {
				file = agentFile
			}
			b := newAgentBench(t, file)
			b.blocked.why = tt.why
			if tt.log != "" {
				b.jenkins.log = tt.log
			}
			b.until("r1", started)
			if tt.agents != nil {
				tt.agents(b.agents)
			}
			began := b.clock.Now()
			got := b.until("r1", func(r *devopsv1alpha3.PipelineRun) bool { return agentReady(r) == tt.want })
			if took := b.clock.Now().Sub(began); took > 5*time.Second {
				t.Errorf("%s: told after %s", tt.reason, took)
			}
			if verdict(got) != tt.verdict || !strings.Contains(message(got), tt.says) {
				t.Errorf("%s: %s %q, want %s with %q", tt.reason, verdict(got), message(got), tt.verdict, tt.says)
			}
		})
	}
}

func TestAgentFoundAfterAProblem(t *testing.T) {
	b := newAgentBench(t, agentFile)
	b.agents.problems["p/dc-p.app"] = problem("AgentUnschedulable")
	b.blocked.why = "‘dc-p.app-x1z2y’ is offline"
	b.until("r1", func(r *devopsv1alpha3.PipelineRun) bool { return agentReady(r) == "False AgentUnschedulable" })
	delete(b.agents.problems, "p/dc-p.app")
	b.blocked.why = ""
	b.jenkins.log += "Running on dc-p.app-x1z2y in /home/jenkins/agent\n"
	b.agents.running["p/dc-p.app"] = true
	pod := agentpod.Pod{Name: "dc-p.app-x1z2y", Project: ns, Node: "node-1", Labels: []string{"dc-p.app"}}
	b.agents.pods[pod.Name] = pod
	got := b.until("r1", func(r *devopsv1alpha3.PipelineRun) bool { return agentReady(r) == "True AgentFound" })
	if verdict(got) != "Running/Running" || got.Annotations[devopsv1alpha3.AgentPodNameAnnotation] != pod.Name || got.Annotations[devopsv1alpha3.AgentNodeNameAnnotation] != "node-1" {
		t.Errorf("%s, annotations %v", verdict(got), got.Annotations)
	}
	// The node reports the image a moment later; that costs no look at the log.
	logs := b.jenkins.calls["jenkins Log"]
	pod.Image = "dev@sha256:2"
	b.agents.pods[pod.Name] = pod
	got = b.until("r1", func(r *devopsv1alpha3.PipelineRun) bool {
		return r.Annotations[devopsv1alpha3.AgentImageAnnotation] == pod.Image
	})
	for range 10 {
		b.pass("r1")
		b.step()
	}
	if n := b.jenkins.calls["jenkins Log"] - logs; n > 0 {
		t.Errorf("the log was read %d times after the pod was found", n)
	}
	if agentReady(got) != "True AgentFound" {
		t.Error(agentReady(got))
	}
}

func TestNoLookAtTheLogWithoutAPod(t *testing.T) {
	b := newAgentBench(t, agentFile)
	b.until("r1", started)
	for range 20 {
		b.pass("r1")
		b.step()
	}
	if n := b.jenkins.calls["jenkins Log"]; n > 0 {
		t.Errorf("the log was read %d times before any pod ran", n)
	}
}

// TestAgentOfAShortBuild: the build is over, and its pod gone, before anybody looked.
func TestAgentOfAShortBuild(t *testing.T) {
	const pod = "dc-p.app-x1z2y"
	b := newAgentBench(t, agentFile)
	b.agents.pods[pod] = agentpod.Pod{Name: pod, Project: ns, Node: "n", Image: "i", Labels: []string{"dc-p.app"}, Gone: b.clock.Now()}
	b.jenkins.log += "Running on " + pod + " in /home/jenkins/agent\n"
	b.jenkins.endless = false
	got := b.until("r1", ended)
	if got.Annotations[devopsv1alpha3.AgentPodNameAnnotation] != pod || got.Annotations[devopsv1alpha3.AgentImageAnnotation] != "i" || agentReady(got) != "True AgentFound" {
		t.Errorf("%s, annotations %v", agentReady(got), got.Annotations)
	}
}

func TestAgentIsTriedBeforeTheStart(t *testing.T) {
	b := newAgentBench(t, agentFile)
	b.agents.refusals["p/dc-p.app"] = problem("AgentPodSecurity")
	b.jenkins.held = true
	got := b.until("r1", func(r *devopsv1alpha3.PipelineRun) bool {
		return r.Annotations[devopsv1alpha3.QueueItemAnnotation] != ""
	})
	if agentReady(got) != "False AgentPodSecurity" {
		t.Errorf("the run says %q of its agent", agentReady(got))
	}
	if diff := cmp.Diff([]string{"try p/dc-p.app"}, b.agents.asked); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAgentDeadline(t *testing.T) {
	b := newAgentBench(t, agentFile)
	b.r.Options.StartTimeout = 10 * time.Minute
	b.blocked.why = "‘dc-p.app-x1z2y’ is offline"
	b.agents.problems["p/dc-p.app"] = problem("AgentImagePullFailed")
	b.until("r1", func(r *devopsv1alpha3.PipelineRun) bool { return agentReady(r) == "False AgentImagePullFailed" })
	// Another reason on the way does not begin the time anew.
	b.clock.advance(6 * time.Minute)
	b.agents.problems["p/dc-p.app"] = problem("AgentUnschedulable")
	b.pass("r1")
	b.clock.advance(3 * time.Minute)
	b.pass("r1")
	if got := b.get("r1"); ended(got) || b.jenkins.calls["jenkins StopBuild"] > 0 {
		t.Fatalf("ended too early: %s", verdict(got))
	}
	b.clock.advance(time.Minute)
	b.pass("r1")
	if b.jenkins.calls["jenkins StopBuild"] == 0 {
		t.Fatal("the build was not stopped")
	}
	b.restart() // and the process is another one by now
	b.r.Jenkins, b.r.Agents = b.blocked, b.agents
	b.r.Options.StartTimeout = 10 * time.Minute
	got := b.until("r1", ended)
	if verdict(got) != "Failed/AgentUnschedulable" || !strings.Contains(message(got), "What to do: this") || !strings.Contains(message(got), "10m") {
		t.Errorf("%s: %s", verdict(got), message(got))
	}
}

func TestAgentEnd(t *testing.T) {
	const pod = "dc-p.app-x1z2y"
	oom := problem("AgentOutOfMemory")
	tests := map[string]struct {
		reason string
		result string
		log    string
		pod    *agentpod.Pod
		stop   bool
		want   string
		says   string
	}{
		"Deleted": {result: jenkins.ResultAborted, log: "Agent " + pod + " was deleted; cancelling node body\nAgent was removed\nFinished: ABORTED\n",
			pod: &agentpod.Pod{Project: ns, Labels: []string{"dc-p.app"}}, want: "Failed/AgentLost", says: "retries 2"},
		"DeletedUnderAStep": {result: jenkins.ResultFailure, log: "ERROR: Agent " + pod + " was lost: Agent " + pod + " is gone: the pod is being deleted\n",
			pod: &agentpod.Pod{Project: ns, Labels: []string{"dc-p.app"}}, want: "Failed/AgentLost", says: "retries 2"},
		"OtherAgentDeleted": {reason: "of a parallel branch", result: jenkins.ResultFailure, log: "Agent other was deleted\n", pod: &agentpod.Pod{Project: ns}, want: "Failed/Failure"},
		"StepKilled": {result: jenkins.ResultFailure, log: "ERROR: script returned exit code 137\n", pod: &agentpod.Pod{Project: ns, MemoryLimit: "64Mi"},
			want: "Failed/AgentOutOfMemory", says: "64Mi"},
		"OutOfMemory":        {result: jenkins.ResultFailure, pod: &agentpod.Pod{Project: ns, Problem: &oom}, want: "Failed/AgentOutOfMemory", says: "What to do"},
		"OutOfMemoryAborted": {result: jenkins.ResultAborted, pod: &agentpod.Pod{Project: ns, Problem: &oom}, want: "Failed/AgentOutOfMemory"},
		"PlainFailure":       {result: jenkins.ResultFailure, pod: &agentpod.Pod{Project: ns}, want: "Failed/Failure"},
		"Success":            {reason: "what came after a success is no matter", result: jenkins.ResultSuccess, pod: &agentpod.Pod{Project: ns, Problem: &oom}, want: "Succeeded/Success"},
		"PlainAbort":         {reason: "somebody stopped it in Jenkins", result: jenkins.ResultAborted, log: "Aborted by admin\n", pod: &agentpod.Pod{Project: ns}, want: "Cancelled/Aborted"},
		"Stopped":            {reason: "the user stopped it here", result: jenkins.ResultAborted, stop: true, pod: &agentpod.Pod{Project: ns, Problem: &oom}, want: "Cancelled/Aborted"},
		"OtherTenant":        {result: jenkins.ResultFailure, pod: &agentpod.Pod{Project: "q", Problem: &oom}, want: "Failed/Failure"},
		"Forgotten":          {result: jenkins.ResultFailure, want: "Failed/Failure"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newAgentBench(t, agentFile)
			b.agents.running["p/dc-p.app"] = true
			b.jenkins.log += "Running on " + pod + " in /home/jenkins/agent\n"
			b.agents.pods[pod] = agentpod.Pod{Name: pod, Project: ns, Node: "n", Image: "i", Labels: []string{"dc-p.app"}}
			b.until("r1", func(r *devopsv1alpha3.PipelineRun) bool {
				return r.Annotations[devopsv1alpha3.AgentPodNameAnnotation] != ""
			})
			delete(b.agents.pods, pod)
			if tt.pod != nil {
				b.agents.pods[pod] = *tt.pod
			}
			if tt.stop {
				run := b.get("r1")
				run.Spec.Action = new(devopsv1alpha3.Stop)
				if err := b.cluster.Update(t.Context(), run); err != nil {
					t.Fatal(err)
				}
			}
			b.jenkins.log += tt.log
			b.jenkins.endless, b.jenkins.result = false, tt.result
			got := b.until("r1", ended)
			if verdict(got) != tt.want || !strings.Contains(message(got), tt.says) {
				t.Errorf("%s: %s %q, want %s with %q", tt.reason, verdict(got), message(got), tt.want, tt.says)
			}
		})
	}
}

// TestAgentRefusedUnseen: the cluster refuses the pod although it had passed its dry run; only the log says so.
func TestAgentRefusedUnseen(t *testing.T) {
	tests := map[string]struct {
		log  string
		want string
		// late is why the pod cannot be made, which is known only when the build has failed.
		late string
	}{
		"Refused":     {log: "ERROR: The agent pod was refused: Pod \"x\" is invalid: spec.restartPolicy: Unsupported value: \"Sometimes\"\n", want: "Failed/AgentInvalidPod"},
		"PodKnown":    {log: "ERROR: The agent pod dc-p-app-x1z2y failed to start: container dev: ErrImageNeverPull\n", want: "Failed/AgentImageNotPresent"},
		"OtherTenant": {log: "ERROR: The agent pod dc-q-app-x1z2y failed to start: container dev ended with exit code 1\n", want: "Failed/AgentLaunchFailed"},
		"NoLabel":     {log: "WorkflowScript: 2: There are no agents with the label ‘dc-p.app’ @ line 2, column 3.\n", want: "Failed/AgentLabelUnknown"},
		"BadTemplate": {log: "WorkflowScript: 2: There are no agents with the label ‘dc-p.app’ @ line 2, column 3.\n", late: "AgentInvalidPod", want: "Failed/AgentInvalidPod"},
		"OwnFailure":  {log: "ERROR: no such thing\n", want: "Failed/Failure"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newAgentBench(t, agentFile)
			known := problem("AgentImageNotPresent")
			b.agents.pods["dc-p-app-x1z2y"] = agentpod.Pod{Name: "dc-p-app-x1z2y", Project: ns, Problem: &known}
			b.agents.pods["dc-q-app-x1z2y"] = agentpod.Pod{Name: "dc-q-app-x1z2y", Project: "q", Problem: &known}
			b.until("r1", started)
			if tt.late != "" {
				b.agents.refusals["p/dc-p.app"] = problem(tt.late)
			}
			b.jenkins.log += tt.log
			b.jenkins.endless, b.jenkins.result = false, jenkins.ResultFailure
			if got := b.until("r1", ended); verdict(got) != tt.want {
				t.Errorf("%s %q, want %s", verdict(got), message(got), tt.want)
			}
		})
	}
}

// TestAgentThatNeverCame: minijenkins fails a build whose pod cannot start.
func TestAgentThatNeverCame(t *testing.T) {
	for result, want := range map[string]string{jenkins.ResultFailure: "Failed/AgentQuotaExceeded", jenkins.ResultAborted: "Cancelled/Aborted"} {
		b := newAgentBench(t, agentFile)
		b.agents.refusals["p/dc-p.app"] = problem("AgentQuotaExceeded")
		b.until("r1", func(r *devopsv1alpha3.PipelineRun) bool {
			return started(r) && agentReady(r) == "False AgentQuotaExceeded"
		})
		b.jenkins.endless, b.jenkins.result = false, result
		if got := b.until("r1", ended); verdict(got) != want {
			t.Errorf("%s: %s %q, want %s", result, verdict(got), message(got), want)
		}
	}
}

func TestLabelsOf(t *testing.T) {
	stages := "stages { stage('a') { %AGENT% steps { echo 'x' } } } }"
	file := func(top, stage string) string {
		return "pipeline { agent " + top + "\n" + strings.ReplaceAll(stages, "%AGENT%", stage)
	}
	tests := map[string]struct {
		source string
		want   []string
		all    bool
	}{
		"One":       {file("{ label 'dc-p.app' }", ""), []string{"dc-p.app"}, true},
		"Two":       {file("{ label 'dc-p.app' }", "agent { label \"dc-p.api-0123456789\" }\n"), []string{"dc-p.api-0123456789", "dc-p.app"}, true},
		"Stage":     {file("none", "agent { label 'dc-p.app' }\n"), []string{"dc-p.app"}, true},
		"NodeBlock": {file("{ node { label 'dc-p.app' } }", ""), []string{"dc-p.app"}, true},
		"AndAny":    {file("any", "agent { label 'dc-p.app' }\n"), []string{"dc-p.app"}, false},
		"Computed":  {file("{ label \"dc-p.${X}\" }", ""), nil, false},
		"Foreign":   {file("{ label 'maven' }", ""), nil, false},
		"Composite": {file("{ label 'dc-p.app && linux' }", ""), nil, false},
		"None":      {file("none", ""), nil, true},
		"Scripted":  {"node('dc-p.app') { echo 'x' }", nil, false},
		"Broken":    {"pipeline {", nil, false},
		"Empty":     {"", nil, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, all := labelsOf(tt.source)
			if diff := cmp.Diff(tt.want, got); diff != "" || all != tt.all {
				t.Errorf("all %t, labels (-want +got):\n%s", all, diff)
			}
		})
	}
}

func TestLabelCacheFollowsThePipeline(t *testing.T) {
	var c labelCache
	p := syncedPipeline("build")
	p.Spec.Pipeline.Jenkinsfile = agentFile
	if got, _ := c.of(p); !slices.Equal(got, []string{"dc-p.app"}) {
		t.Fatalf("got %v", got)
	}
	p.Spec.Pipeline.Jenkinsfile = strings.ReplaceAll(agentFile, "dc-p.app", "dc-p.api")
	p.Generation++
	if got, _ := c.of(p); !slices.Equal(got, []string{"dc-p.api"}) {
		t.Errorf("a changed Jenkinsfile has the labels %v", got)
	}
}

func TestWithoutAgent(t *testing.T) {
	run := func(name, build, pod, reason string, done bool) *devopsv1alpha3.PipelineRun {
		r := newRun(name)
		r.Annotations = map[string]string{}
		if build != "" {
			r.Annotations[devopsv1alpha3.JenkinsPipelineRunIDAnnotation] = build
		}
		if pod != "" {
			r.Annotations[devopsv1alpha3.AgentPodNameAnnotation] = pod
		}
		r.Status.Conditions = []devopsv1alpha3.Condition{{Type: devopsv1alpha3.ConditionSucceeded, Reason: reason}}
		if done {
			r.Status.CompletionTime = new(metav1.Now())
		}
		return r
	}
	other := run("other", "1", "", "Running", false)
	other.Namespace = "q"
	b := newBench(t, run("waits", "1", "", "Running", false), run("waits-again", "2", "pod", devopsv1alpha3.ReasonWaitingForAgent, false),
		run("works", "3", "pod", "Running", false), run("done", "4", "", "Success", true), run("queued", "", "", "Queued", false), other)
	got := map[string]bool{}
	for _, request := range b.r.withoutAgent(t.Context(), ns) {
		got[request.Namespace+"/"+request.Name] = true
	}
	if diff := cmp.Diff([]string{"p/waits", "p/waits-again"}, slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestKeepers(t *testing.T) {
	run := func(name, pod string, phase devopsv1alpha3.RunPhase, done bool) *devopsv1alpha3.PipelineRun {
		r := newRun(name)
		r.Annotations = map[string]string{devopsv1alpha3.AgentPodNameAnnotation: pod}
		r.Status.Phase = phase
		if done {
			r.Status.CompletionTime = new(metav1.Now())
		}
		return r
	}
	b := newBench(t, run("a", "succeeded", devopsv1alpha3.Succeeded, true), run("b", "failed", devopsv1alpha3.Failed, true),
		run("c", "runs", devopsv1alpha3.Running, false), run("d", "cancelled", devopsv1alpha3.Cancelled, true),
		run("e", "shared", devopsv1alpha3.Succeeded, true), run("f", "shared", devopsv1alpha3.Failed, true))
	k := &Keepers{Reader: b.cluster}
	for pod, want := range map[string]bool{"succeeded": true, "cancelled": true, "failed": false, "runs": false, "shared": false, "unknown": false} {
		if got := k.Discard(t.Context(), ns, pod); got != want {
			t.Errorf("the pod of the run that %s: discard %t, want %t", pod, got, want)
		}
	}
	if k.Discard(t.Context(), "q", "succeeded") {
		t.Error("a run of another project counts")
	}
}
