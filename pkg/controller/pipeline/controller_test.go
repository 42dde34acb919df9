// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/event"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/jenkins/jobxml"
)

type recorder struct{ list []string }

func (r *recorder) Eventf(_, _ runtime.Object, kind, reason, _, _ string, _ ...any) {
	r.list = append(r.list, kind+" "+reason)
}

type bench struct {
	*testing.T
	cluster client.WithWatch
	jobs    *fakeJenkins
	events  *recorder
	r       *Reconciler
	now     time.Time
}

func newBench(t *testing.T, objects ...client.Object) *bench {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), appsv1.AddToScheme(scheme), devopsv1alpha3.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, jobs: newFakeJenkins(), events: &recorder{}, now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	b.cluster = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&devopsv1alpha3.Pipeline{}).
		WithIndex(&devopsv1alpha3.PipelineRun{}, index.RunPipeline, index.RunPipelineValue).Build()
	b.r = &Reconciler{Client: b.cluster, Jenkins: b.jobs, Recorder: b.events, Now: func() time.Time { return b.now },
		Options: Options{Key: []byte("0123456789abcdef")},
		Analyze: func(src string) Analysis {
			switch {
			case strings.Contains(src, "broken"):
				return Analysis{Problem: "WorkflowScript: 3: unexpected token @ line 3, column 7."}
			case strings.Contains(src, "params"):
				return Analysis{Complete: true, Runs: jobxml.Runs{SetParameters: true}, Parameters: []devopsv1alpha3.ParameterDefinition{{Name: "WHERE", Type: "choice", DefaultValue: "dev\nprod"}}}
			}
			return Analysis{Complete: true}
		}}
	b.r.setDefaults()
	b.r.wake = make(chan event.GenericEvent, wakeBuffer)
	return b
}

func readyProject() *devopsv1alpha3.DevOpsProject {
	return &devopsv1alpha3.DevOpsProject{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Status: devopsv1alpha3.DevOpsProjectStatus{
		AdminNamespace: "p", Conditions: []metav1.Condition{{Type: devopsv1alpha3.ConditionReady, Status: metav1.ConditionTrue}},
	}}
}

func newPipeline(jenkinsfile string) *devopsv1alpha3.Pipeline {
	return &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: "p", Name: "build", UID: "u1", Generation: 1},
		Spec: devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.NoScmPipelineType, Pipeline: &devopsv1alpha3.NoScmPipeline{Jenkinsfile: jenkinsfile}}}
}

func (b *bench) pass() (ctrl.Result, error) {
	return b.r.Reconcile(b.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "p", Name: "build"}})
}

func (b *bench) get() *devopsv1alpha3.Pipeline {
	b.Helper()
	p := &devopsv1alpha3.Pipeline{}
	if err := b.cluster.Get(b.Context(), types.NamespacedName{Namespace: "p", Name: "build"}, p); err != nil {
		b.Fatal(err)
	}
	return p
}

func synced(p *devopsv1alpha3.Pipeline) string {
	c := meta.FindStatusCondition(p.Status.Conditions, devopsv1alpha3.ConditionSynced)
	if c == nil {
		return ""
	}
	return fmt.Sprintf("%s/%s/%s", c.Status, c.Reason, p.Annotations["pipeline.devops.kubesphere.io/syncstatus"])
}

func TestSync(t *testing.T) {
	waiting := readyProject()
	waiting.Status.Conditions[0].Status = metav1.ConditionFalse
	deep := newPipeline("")
	deep.Spec = devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.MultiBranchPipelineType, MultiBranchPipeline: &devopsv1alpha3.MultiBranchPipeline{SourceType: "svn"}}
	tests := map[string]struct {
		reason   string
		pipeline *devopsv1alpha3.Pipeline
		project  *devopsv1alpha3.DevOpsProject
		err      error
		want     string
		job, run bool
	}{
		"Good":           {"", newPipeline("x"), readyProject(), nil, "True/Synced/successful", true, true},
		"Broken":         {"Jenkins takes a broken Jenkinsfile, and says so in each build", newPipeline("broken"), readyProject(), nil, "False/InvalidJenkinsfile/successful", true, true},
		"NoProject":      {"a namespace that merely has a folder's name", newPipeline("x"), nil, nil, "False/ProjectMissing/failed", false, false},
		"ProjectWaiting": {"", newPipeline("x"), waiting, nil, "False/ProjectNotReady/pending", false, false},
		"Away":           {"", newPipeline("x"), readyProject(), jenkins.ErrUnavailable, "False/JenkinsUnavailable/failed", false, false},
		"Refused":        {"", newPipeline("x"), readyProject(), jenkins.ErrInvalid, "False/InvalidSpec/failed", false, false},
		"Unsupported":    {"", deep, readyProject(), nil, "False/InvalidSpec/failed", false, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			objects := []client.Object{tt.pipeline}
			if tt.project != nil {
				objects = append(objects, tt.project)
			}
			b := newBench(t, objects...)
			if b.jobs.err = tt.err; name == "Refused" {
				b.jobs.err, b.jobs.putErr = nil, tt.err
			}
			_, _ = b.pass()
			p := b.get()
			if got := synced(p); got != tt.want {
				t.Errorf("%s: got %s, want %s", tt.reason, got, tt.want)
			}
			if _, ok := b.jobs.docs["p/build"]; ok != tt.job {
				t.Errorf("%s: job in Jenkins: %v, want %v", tt.reason, ok, tt.job)
			}
			if ok, why := InJenkins(p); ok != tt.run || ok == (why != "") {
				t.Errorf("%s: may be run: %v (%s), want %v", tt.reason, ok, why, tt.run)
			}
			if failed := strings.HasSuffix(tt.want, "failed"); failed != (p.Annotations["pipeline.devops.kubesphere.io/syncmsg"] != "") {
				t.Errorf("syncmsg is %q", p.Annotations["pipeline.devops.kubesphere.io/syncmsg"])
			}
		})
	}
}

func TestOnlyChangesAreWritten(t *testing.T) {
	b := newBench(t, newPipeline("params"), readyProject())
	for range 3 {
		result, err := b.pass()
		if err != nil || result.RequeueAfter < 4*time.Hour || result.RequeueAfter > 8*time.Hour {
			t.Fatalf("result %v, %v: want the next look in 6 hours, more or less", result, err)
		}
	}
	version, calls := b.get().ResourceVersion, b.jobs.total()
	b.now = b.now.Add(time.Hour)
	_, _ = b.pass()
	if b.jobs.calls["PutJob"] != 1 || b.jobs.total() != calls || b.get().ResourceVersion != version {
		t.Errorf("calls %v, version %s after %s", b.jobs.calls, b.get().ResourceVersion, version)
	}
	if !strings.Contains(b.jobs.docs["p/build"], "prod") || !strings.Contains(b.jobs.docs["p/build"], StartToken(b.r.Options.Key, b.get())) {
		t.Errorf("the job lacks the Jenkinsfile's parameters or the token:\n%s", b.jobs.docs["p/build"])
	}
	var m map[string]any
	if err := json.Unmarshal([]byte(b.get().Annotations["pipeline.devops.kubesphere.io/jenkins-metadata"]), &m); err != nil || m["name"] != "build" || m["weatherScore"] != 100.0 {
		t.Errorf("metadata %v, %v", m, err)
	}

	delete(b.jobs.docs, "p/build")
	b.now = b.now.Add(8 * time.Hour)
	_, _ = b.pass()
	if b.jobs.docs["p/build"] == "" {
		t.Error("a job that was deleted in Jenkins does not come back")
	}
	b.jobs.err = jenkins.ErrUnavailable
	b.now = b.now.Add(8 * time.Hour)
	result, err := b.pass()
	if err != nil || synced(b.get()) != "True/Synced/successful" || result.RequeueAfter > 2*time.Hour {
		t.Errorf("an outage changes nothing for a job that is there: %s, %v, %v", synced(b.get()), result, err)
	}
	b.jobs.err = nil
	p := b.get()
	p.Spec.Pipeline.Description, p.Generation = "new", 2
	if err := b.cluster.Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	_, _ = b.pass()
	if !strings.Contains(b.jobs.docs["p/build"], "new") {
		t.Error("a change of the spec is not in Jenkins")
	}

	if err := b.cluster.Delete(t.Context(), b.get()); err != nil {
		t.Fatal(err)
	}
	b.jobs.err = jenkins.ErrUnavailable
	_, _ = b.pass()
	if got := synced(b.get()); got != "False/JenkinsUnavailable/failed" {
		t.Errorf("a deleted pipeline waits for Jenkins and says so: %s", got)
	}
	b.jobs.err = nil
	_, _ = b.pass()
	if err := b.cluster.Get(t.Context(), client.ObjectKeyFromObject(p), p); client.IgnoreNotFound(err) != nil || err == nil || len(b.jobs.docs) > 0 {
		t.Errorf("after deletion: %v, jobs %v", err, b.jobs.docs)
	}
}

func TestToken(t *testing.T) {
	key := []byte("0123456789abcdef")
	a, b := newPipeline(""), newPipeline("")
	b.UID = "u2"
	if StartToken(key, a) == StartToken(key, b) || StartToken(key, a) == StartToken([]byte("another key 16 b"), a) {
		t.Error("pipelines or keys share a token")
	}
	b.Spec.Pipeline.RemoteTrigger = &devopsv1alpha3.RemoteTrigger{Token: "mine"}
	if StartToken(key, b) != "mine" {
		t.Error("the user's own token does not count")
	}
}

func TestWeather(t *testing.T) {
	var runs []devopsv1alpha3.PipelineRun
	for i, phase := range []devopsv1alpha3.RunPhase{"Failed", "Failed", "Succeeded", "Succeeded", "Failed", "Succeeded", "Cancelled"} {
		end := metav1.Unix(int64(1000+i), 0)
		runs = append(runs, devopsv1alpha3.PipelineRun{Status: devopsv1alpha3.PipelineRunStatus{Phase: phase, CompletionTime: &end, StartTime: &metav1.Time{Time: end.Add(-4 * time.Second)}}})
	}
	if got := weather(runs); got != 80 {
		t.Errorf("weather %d, want 80: one of the last five failed", got)
	}
	if got := estimate(runs); got != 4000 {
		t.Errorf("estimate %d", got)
	}
}
