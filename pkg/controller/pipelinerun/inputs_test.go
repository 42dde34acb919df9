// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// deadline sets how long the inputs of the run wait.
func (b *bench) deadline(text string) {
	b.t.Helper()
	b.set("r1", func(pr *devopsv1alpha3.PipelineRun) {
		pr.Annotations[devopsv1alpha3.InputDeadlineAnnotation] = text
	})
}

// wait passes over the run for a time.
func (b *bench) wait(d time.Duration) {
	b.t.Helper()
	for end := b.clock.Now().Add(d); b.clock.Now().Before(end); {
		b.pass("r1")
		b.step()
	}
}

func TestInputDeadline(t *testing.T) {
	b := pausedBench(t, jenkins.Input{ID: "A", Submitter: "lead"})
	b.deadline("60s")
	b.wait(45 * time.Second)
	if got := b.get("r1"); !paused(got) || !strings.Contains(message(got), "waits for an input, until ") {
		t.Fatalf("%s: %s, want that it waits, and until when", verdict(got), message(got))
	}
	before := b.clock.Now()
	got := b.until("r1", ended)
	if verdict(got) != "Cancelled/"+devopsv1alpha3.ReasonInputExpired || !strings.Contains(message(got), `"A" was aborted: nobody answered within 1m0s`) {
		t.Errorf("%s: %s", verdict(got), message(got))
	}
	if took := b.clock.Now().Sub(before); took > 30*time.Second {
		t.Errorf("it took %s more", took)
	}
	answers := devopsv1alpha3.Approvals(got)
	if len(answers) != 1 || !answers[0].Expired || answers[0].Decision != devopsv1alpha3.Refused || answers[0].By != "" || answers[0].Stage != "gate" {
		t.Errorf("kept: %+v", answers)
	}
	if n := b.events.with(devopsv1alpha3.ReasonInputExpired); n != 1 {
		t.Errorf("%d events, want one", n)
	}
}

// TestInputDeadlineOfThePipeline: it is for all its runs; a run may have its own, or none.
func TestInputDeadlineOfThePipeline(t *testing.T) {
	tests := map[string]struct {
		reason string
		own    map[string]string
		want   string
	}{
		"pipeline": {"nothing else is said", nil, "Cancelled/InputExpired"},
		"lifted":   {"the run says that there is none", map[string]string{devopsv1alpha3.InputDeadlineAnnotation: ""}, "Pending/Paused"},
		"longer":   {"the run goes first", map[string]string{devopsv1alpha3.InputDeadlineAnnotation: "24h"}, "Pending/Paused"},
		"broken":   {"a typo must not abort anything", map[string]string{devopsv1alpha3.InputDeadlineAnnotation: "1 day"}, "Pending/Paused"},
		"negative": {"", map[string]string{devopsv1alpha3.InputDeadlineAnnotation: "-5m"}, "Pending/Paused"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, pr := syncedPipeline("build"), newRun("r1")
			p.Annotations, pr.Annotations = map[string]string{devopsv1alpha3.InputDeadlineAnnotation: "1m"}, tt.own
			b := newBench(t, p, pr)
			b.until("r1", running)
			b.jenkins.ask(ns+"/build", jenkins.Input{ID: "A"})
			b.wait(3 * time.Minute)
			got := b.get("r1")
			if verdict(got) != tt.want {
				t.Errorf("%s: %s: %s, want %s", tt.reason, verdict(got), message(got), tt.want)
			}
			if bad := name == "broken" || name == "negative"; bad != strings.Contains(message(got), "no duration") {
				t.Errorf("%s: the run says %q", tt.reason, message(got))
			}
		})
	}
}

// TestInputDeadlineOutlivesTheProcess: the time counts from when Jenkins began to wait.
func TestInputDeadlineOutlivesTheProcess(t *testing.T) {
	b := pausedBench(t, jenkins.Input{ID: "A"})
	b.deadline("1h")
	b.wait(5 * time.Second)
	b.clock.advance(2 * time.Hour) // nobody is there
	b.restart()
	b.wait(2 * time.Minute)
	if got := b.get("r1"); verdict(got) != "Cancelled/InputExpired" {
		t.Errorf("%s: %s", verdict(got), message(got))
	}
}

func TestInputDeadlineSurvivesACrash(t *testing.T) {
	for _, call := range []string{"kube patch PipelineRun before", "kube patch PipelineRun after", "jenkins SubmitInput before", "jenkins SubmitInput after"} {
		t.Run(call, func(t *testing.T) {
			b := pausedBench(t, jenkins.Input{ID: "A"})
			b.deadline("10s")
			died := false
			fault := func(c, when string) error {
				if !died && c+" "+when == call {
					died = true
					return errTimeout
				}
				return nil
			}
			b.fault, b.jenkins.fault = fault, fault
			for i := 0; i < 60 && !died; i++ {
				_, _ = b.reconcile("r1")
				b.step()
			}
			b.restart()
			got := b.until("r1", ended)
			if verdict(got) != "Cancelled/InputExpired" || !died {
				t.Errorf("%s: %s, died %v", verdict(got), message(got), died)
			}
			if answers := devopsv1alpha3.Approvals(got); len(answers) != 1 {
				t.Errorf("kept: %+v", answers)
			}
		})
	}
}

// TestInputDeadlineIsTooLate: somebody answers in the moment in which the time is over.
func TestInputDeadlineIsTooLate(t *testing.T) {
	b := pausedBench(t, jenkins.Input{ID: "A"})
	b.deadline("1m")
	b.jenkins.endless = true
	s := b.r.newScope(b.get("r1"))
	s.locate()
	s.inputs = []waitingInput{{openInput: openInput{Node: "4", Step: "5", ID: "Answered"}, since: b.clock.Now().Add(-time.Hour)}}
	if message, err := s.limitInputs(t.Context()); message != "" || err != nil || len(devopsv1alpha3.Approvals(s.run)) != 0 {
		t.Errorf("%q, %v, kept %v: what Jenkins did not take must not be kept", message, err, devopsv1alpha3.Approvals(s.run))
	}
}

// TestExpiredInputIsCaught: the Jenkinsfile may catch it; the run is what the build is then.
func TestExpiredInputIsCaught(t *testing.T) {
	b := pausedBench(t, jenkins.Input{ID: "A"})
	b.jenkins.catchesAborts = true
	b.deadline("10s")
	if got := b.until("r1", ended); verdict(got) != "Succeeded/Success" || len(devopsv1alpha3.Approvals(got)) != 1 {
		t.Errorf("%s, kept %+v", verdict(got), devopsv1alpha3.Approvals(got))
	}
}

// TestRefusalIsExplained: who aborted a build at an input stands in its run.
func TestRefusalIsExplained(t *testing.T) {
	for name, tt := range map[string]struct {
		a    devopsv1alpha3.Approval
		want string
	}{
		"comment": {devopsv1alpha3.Approval{ID: "A", By: "ann", Decision: devopsv1alpha3.Refused, Comment: "not on a Friday"}, `ann refused the input "A": not on a Friday`},
		"none":    {devopsv1alpha3.Approval{ID: "A", By: "ann", Decision: devopsv1alpha3.Refused}, `ann refused the input "A"`},
		"proceed": {devopsv1alpha3.Approval{ID: "A", By: "ann", Decision: devopsv1alpha3.Proceeded}, "the build was stopped"},
		"unknown": {devopsv1alpha3.Approval{ID: "A", By: "ann", Decision: devopsv1alpha3.Refused, Unconfirmed: true}, "the build was stopped"},
	} {
		t.Run(name, func(t *testing.T) {
			b := pausedBench(t, jenkins.Input{ID: "A"})
			b.set("r1", func(pr *devopsv1alpha3.PipelineRun) {
				if err := devopsv1alpha3.PutApproval(pr, tt.a); err != nil {
					t.Fatal(err)
				}
			})
			if err := b.jenkins.SubmitInput(t.Context(), ns, "build", 1, jenkins.Answer{InputID: "A", Abort: true}); err != nil {
				t.Fatal(err)
			}
			if got := b.until("r1", ended); verdict(got) != "Cancelled/Aborted" || message(got) != tt.want {
				t.Errorf("%s: %s, want %s", verdict(got), message(got), tt.want)
			}
		})
	}
}

// TestApprovalsAreBounded: the annotation has room for other annotations beside it, whatever is commented.
func TestApprovalsAreBounded(t *testing.T) {
	pr := newRun("r1")
	for i := range 100 {
		a := devopsv1alpha3.Approval{Node: "4", Step: "5", ID: "A", By: strings.Repeat("u", 300), At: metav1.NewMicroTime(time.Unix(int64(i), 0)),
			Comment: strings.Repeat("\x01", devopsv1alpha3.MaxApprovalComment)}
		if err := devopsv1alpha3.PutApproval(pr, a); err != nil {
			t.Fatal(err)
		}
	}
	text := pr.Annotations[devopsv1alpha3.ApprovalsAnnotation]
	list := devopsv1alpha3.Approvals(pr)
	if len(text) > 25<<10 || !json.Valid([]byte(text)) || len(list) == 0 || list[len(list)-1].At.Unix() != 99 {
		t.Errorf("%d bytes, %d answers", len(text), len(list))
	}
	for _, a := range list {
		if err := devopsv1alpha3.DropApproval(pr, a); err != nil {
			t.Fatal(err)
		}
	}
	if _, there := pr.Annotations[devopsv1alpha3.ApprovalsAnnotation]; there {
		t.Error("an empty list stays")
	}
	pr.Annotations[devopsv1alpha3.ApprovalsAnnotation] = `{"no":"list"}`
	if len(devopsv1alpha3.Approvals(pr)) != 0 {
		t.Error("what is no list counts")
	}
}
