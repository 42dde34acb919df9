// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"encoding/json"
	"strings"
	"testing"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/controller/pipeline"
	"github.com/slipway-dev/slipway/pkg/sealing"
)

const hunter = "hunter2-€"

// passwordBench has a run that gives a password.
func passwordBench(t *testing.T, value string) *bench {
	t.Helper()
	defined := []devopsv1alpha3.ParameterDefinition{
		{Name: "PW", Type: "password", DefaultValue: "default-" + hunter}, {Name: "TEXT", Type: "string"},
	}
	pr := newRun("r1", param("PW", value), param("TEXT", "plain"))
	p := syncedPipeline("build", defined...)
	pr.Spec.PipelineSpec = p.Spec.DeepCopy()
	b := newBench(t, p, pr)
	b.jenkins.jobs[ns+"/build"].hasParameters = true
	b.sealed()
	return b
}

func (b *bench) sealed() {
	sealer, err := sealing.New([]byte("0123456789abcdef"))
	if err != nil {
		b.t.Fatal(err)
	}
	b.r.Sealer = sealer
}

// secrets fails if anything that can be read back holds the password.
func (b *bench) secrets(when string) {
	b.t.Helper()
	list := &devopsv1alpha3.PipelineRunList{}
	if err := b.cluster.List(b.t.Context(), list); err != nil {
		b.t.Fatal(err)
	}
	text, err := json.Marshal(list)
	if err != nil {
		b.t.Fatal(err)
	}
	if all := string(text) + strings.Join(b.events.list, "\n"); strings.Contains(all, hunter) {
		b.t.Fatalf("%s: the password can be read: %s", when, all)
	}
}

func TestPasswordIsNeverReadBack(t *testing.T) {
	b := passwordBench(t, hunter)
	b.jenkins.held = true
	// Before the start it is sealed, and Jenkins being away does not change that.
	b.jenkins.err = errDown
	b.pass("r1")
	b.secrets("while Jenkins is away")
	if got := b.get("r1").Spec.Parameters[0].Value; !sealing.Sealed(got) {
		t.Fatalf("the value is %q, want it sealed", got)
	}
	b.jenkins.err = nil
	b.restart() // it is not in memory only
	b.sealed()
	b.clock.advance(DefaultStartSettle)
	b.until("r1", func(pr *devopsv1alpha3.PipelineRun) bool {
		return pr.Annotations[devopsv1alpha3.QueueItemAnnotation] != ""
	})
	b.secrets("queued")
	if got := b.jenkins.items[101].params; got != "PW="+hunter+";TEXT=plain" {
		t.Errorf("Jenkins got %q", got)
	}
	b.jenkins.held = false
	got := b.until("r1", ended)
	b.secrets("ended")
	if got.Spec.Parameters[0].Value != sealing.Mask || got.Spec.Parameters[1].Value != "plain" {
		t.Errorf("parameters %v", got.Spec.Parameters)
	}
}

func TestPasswordOfARunThatNeverStarts(t *testing.T) {
	b := passwordBench(t, hunter)
	b.set("r1", func(pr *devopsv1alpha3.PipelineRun) { pr.Spec.Parameters[1].Name = "UNKNOWN" })
	got := b.until("r1", ended)
	b.secrets("refused")
	if got.Spec.Parameters[0].Value != sealing.Mask {
		t.Errorf("the sealed value stays: %q", got.Spec.Parameters[0].Value)
	}
}

func TestPasswordThatIsNone(t *testing.T) {
	other, err := sealing.New([]byte("fedcba9876543210"))
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := other.Seal(sealing.Place{Namespace: ns, Pipeline: "build", Parameter: "PW"}, hunter)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"the mask of a run that was read": sealing.Mask, "sealed elsewhere": foreign, "too long": strings.Repeat("x", sealing.MaxValue+1)} {
		b := passwordBench(t, value)
		got := b.until("r1", ended)
		if verdict(got) != "Failed/InvalidParameters" || !strings.Contains(message(got), `"PW"`) || b.jenkins.builds("") != 0 {
			t.Errorf("%s: %s: %s", name, verdict(got), message(got))
		}
	}
}

// TestPasswordWithoutKey: the value is gone once it has been used all the same.
func TestPasswordWithoutKey(t *testing.T) {
	b := passwordBench(t, hunter)
	b.r.Sealer = nil
	b.until("r1", func(pr *devopsv1alpha3.PipelineRun) bool {
		return pr.Annotations[devopsv1alpha3.QueueItemAnnotation] != ""
	})
	b.secrets("started")
}

func TestPasswordsAreKnown(t *testing.T) {
	p := syncedPipeline("build", devopsv1alpha3.ParameterDefinition{Name: "A", Type: "password"}, devopsv1alpha3.ParameterDefinition{Name: "B", Type: "string"})
	p.Annotations = map[string]string{devopsv1alpha3.PipelineJenkinsBranchesAnnotation: `[
		{"name":"feature%2Fx","parameters":[{"name":"C","type":"PasswordParameterDefinition"},{"name":"D","type":"StringParameterDefinition"}]},
		{"name":"main","parameters":[{"name":"E","type":"password"}]}]`}
	pr := newRun("r1")
	pr.Spec.SCM = &devopsv1alpha3.SCM{RefName: "feature%2Fx"}
	b := newBench(t, p, pr)
	b.r.Analyze = func(string) pipeline.Analysis {
		return pipeline.Analysis{Parameters: []devopsv1alpha3.ParameterDefinition{{Name: "F", Type: "password"}, {Name: "G", Type: "text"}}}
	}
	s := b.r.newScope(b.get("r1"))
	s.pipeline = p
	if got := strings.Join(sortedKeys(s.passwords()), ""); got != "ACF" {
		t.Errorf("passwords %s, want those of the spec, the Jenkinsfile and the branch", got)
	}
}

// TestPasswordsTakeTurns: whether Jenkins merges two starts with different passwords is not known, so they
// are not sent at once.
func TestPasswordsTakeTurns(t *testing.T) {
	defined := []devopsv1alpha3.ParameterDefinition{{Name: "PW", Type: "password"}}
	if fingerprint([]devopsv1alpha3.Parameter{param("PW", "1")}, defined) != fingerprint([]devopsv1alpha3.Parameter{param("PW", "2")}, defined) {
		t.Error("two passwords are told apart")
	}
	if fingerprint([]devopsv1alpha3.Parameter{param("PW", sealing.Mask)}, nil) != fingerprint([]devopsv1alpha3.Parameter{param("PW", "slipway-sealed:v1:xyz")}, nil) {
		t.Error("a used password is told apart from one that waits")
	}
}

func TestFileIsRefused(t *testing.T) {
	b := newBench(t, syncedPipeline("build", devopsv1alpha3.ParameterDefinition{Name: "F", Type: "file"}), newRun("r1", param("F", "content")), newRun("r2"))
	b.jenkins.jobs[ns+"/build"].hasParameters = true
	if got := b.until("r1", ended); verdict(got) != "Failed/InvalidParameters" || !strings.Contains(message(got), "does not hand to a Pipeline") {
		t.Errorf("%s: %s", verdict(got), message(got))
	}
	if got := b.until("r2", ended); verdict(got) != "Succeeded/Success" {
		t.Errorf("a file that is left out: %s", verdict(got))
	}
}
