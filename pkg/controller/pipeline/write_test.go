// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

const freestyle = "<?xml version='1.1' encoding='UTF-8'?>\n<project><description>mine</description><builders/></project>"

func multiBranch() *devopsv1alpha3.Pipeline {
	p := newPipeline("")
	p.Spec = devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.MultiBranchPipelineType, MultiBranchPipeline: &devopsv1alpha3.MultiBranchPipeline{
		SourceType: "git", ScriptPath: "Jenkinsfile", GitSource: &devopsv1alpha3.GitSource{ScmID: "s", URL: "https://git.example/a.git", DiscoverBranches: true},
	}}
	return p
}

// mustPass makes a pass that does not fail.
func (b *bench) mustPass() time.Duration {
	b.Helper()
	result, err := b.pass()
	if err != nil {
		b.Fatal(err)
	}
	return result.RequeueAfter
}

// change updates the spec as a user does.
func (b *bench) change(f func(*devopsv1alpha3.Pipeline)) {
	b.Helper()
	p := b.get()
	f(p)
	p.Generation++
	if err := b.cluster.Update(b.Context(), p); err != nil {
		b.Fatal(err)
	}
}

// edit changes the job in Jenkins.
func (b *bench) edit(pairs ...string) {
	b.Helper()
	was := b.jobs.docs["p/build"]
	b.jobs.docs["p/build"] = strings.NewReplacer(pairs...).Replace(was)
	if was == b.jobs.docs["p/build"] {
		b.Fatalf("nothing to edit in %s", was)
	}
}

func message(p *devopsv1alpha3.Pipeline) string {
	if c := meta.FindStatusCondition(p.Status.Conditions, devopsv1alpha3.ConditionSynced); c != nil {
		return c.Message
	}
	return ""
}

// nextCheck lets the time pass until each job is compared.
func (b *bench) nextCheck() { b.now = b.now.Add(2 * DefaultCheck) }

func TestAChangeOfTheSpecKeepsWhatOthersAddedInJenkins(t *testing.T) {
	b := newBench(t, newPipeline("x"), readyProject())
	b.mustPass()
	b.edit("<properties>", "<properties><com.acme.Quota><n>5</n></com.acme.Quota>", "<disabled>false", "<disabled>true")
	b.change(func(p *devopsv1alpha3.Pipeline) { p.Spec.Pipeline.Jenkinsfile = "new script" })
	b.mustPass()
	for _, s := range []string{"<com.acme.Quota>", "<disabled>true", "new script"} {
		if !strings.Contains(b.jobs.docs["p/build"], s) {
			t.Errorf("%s is missing in\n%s", s, b.jobs.docs["p/build"])
		}
	}
	if b.jobs.calls["GetJob"] != 1 {
		t.Errorf("the name was asked for %d times", b.jobs.calls["GetJob"])
	}
}

func TestDriftIsRepairedAndTold(t *testing.T) {
	tests := map[string]struct {
		reason string
		script string
		edit   []string
		want   []string // kept in the job
		events []string
	}{
		"Script":      {"", "x", []string{"<script>x<", "<script>evil<"}, []string{"<script>x<"}, []string{"Normal Synced", "Warning Repaired"}},
		"Parameters":  {"nothing but a person changes them", "x", []string{"<properties>", "<properties><hudson.model.ParametersDefinitionProperty><parameterDefinitions><hudson.model.StringParameterDefinition><name>A</name></hudson.model.StringParameterDefinition></parameterDefinitions></hudson.model.ParametersDefinitionProperty>"}, []string{"<properties>"}, []string{"Normal Synced", "Warning Repaired"}},
		"RunOfScript": {"a run put the file's own words into the job", "params", []string{"<string>prod<", "<string>prod</string><string>more<"}, []string{"<string>more<"}, []string{"Normal Synced"}},
		"Others":      {"what a plugin added is not ours", "x", []string{"<properties>", "<properties><com.acme.Quota/>"}, []string{"<com.acme.Quota/>"}, []string{"Normal Synced"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, newPipeline(tt.script), readyProject())
			b.mustPass()
			b.edit(tt.edit...)
			b.mustPass()
			if got := b.jobs.docs["p/build"]; !strings.Contains(got, tt.edit[1]) {
				t.Errorf("before its time the job is looked at")
			}
			b.nextCheck()
			b.mustPass()
			for _, s := range tt.want {
				if got := b.jobs.docs["p/build"]; !strings.Contains(got, s) {
					t.Errorf("%s: %s is missing in\n%s", tt.reason, s, got)
				}
			}
			if diff := cmp.Diff(tt.events, b.events.list); diff != "" {
				t.Errorf("events: %s", diff)
			}
			puts := b.jobs.calls["PutJob"]
			b.nextCheck()
			b.mustPass()
			if b.jobs.calls["PutJob"] != puts {
				t.Error("the repair is made again and again")
			}
		})
	}
}

func TestAJobOfAnotherKindIsNeverOverwrittenNorDeleted(t *testing.T) {
	b := newBench(t, newPipeline("x"), readyProject())
	b.jobs.docs["p/build"] = freestyle
	for range 2 {
		if after := b.mustPass(); after < 2*time.Minute || after > 10*time.Minute {
			t.Errorf("the next look is in %s", after)
		}
	}
	if got := synced(b.get()); got != "False/JobClassConflict/failed" || !strings.Contains(message(b.get()), "FreeStyle") {
		t.Errorf("%s: %s", got, message(b.get()))
	}
	if ok, why := InJenkins(b.get()); ok || why == "" {
		t.Error("a run could be started")
	}
	if err := b.cluster.Delete(t.Context(), b.get()); err != nil {
		t.Fatal(err)
	}
	b.mustPass()
	if b.jobs.docs["p/build"] != freestyle {
		t.Errorf("the job is %q", b.jobs.docs["p/build"])
	}
	if err := b.cluster.Get(t.Context(), client.ObjectKeyFromObject(newPipeline("")), &devopsv1alpha3.Pipeline{}); err == nil {
		t.Error("the pipeline stays for ever")
	}
}

func TestAJobThatWasReplacedByAnotherKindIsLeftAlone(t *testing.T) {
	b := newBench(t, newPipeline("x"), readyProject())
	b.mustPass()
	b.jobs.docs["p/build"] = freestyle
	b.nextCheck()
	b.mustPass()
	if got := synced(b.get()); got != "False/JobClassConflict/failed" || b.jobs.docs["p/build"] != freestyle {
		t.Errorf("%s, job %q", got, b.jobs.docs["p/build"])
	}
	delete(b.jobs.docs, "p/build")
	b.mustPass()
	if got := synced(b.get()); got != "True/Synced/successful" {
		t.Errorf("after the other job is gone: %s", got)
	}
}

func TestTheTypeOfAPipelineCannotChangeUnderItsBuilds(t *testing.T) {
	b := newBench(t, newPipeline("x"), readyProject())
	b.mustPass()
	job := b.jobs.docs["p/build"]
	b.change(func(p *devopsv1alpha3.Pipeline) { p.Spec = multiBranch().Spec })
	b.mustPass()
	if got := synced(b.get()); got != "False/JobClassConflict/failed" || b.jobs.docs["p/build"] != job {
		t.Errorf("%s", got)
	}
}

func TestANameThatDiffersInCaseOnlyIsAConflict(t *testing.T) {
	b := newBench(t, newPipeline("x"), readyProject())
	b.jobs.foldCase = true
	b.jobs.docs["p/Build"] = "<flow-definition><definition class='x'/></flow-definition>"
	b.mustPass()
	if got := synced(b.get()); got != "False/JobNameConflict/failed" || !strings.Contains(message(b.get()), `"Build"`) || b.jobs.calls["PutJob"] > 0 {
		t.Errorf("%s: %s, calls %v", got, message(b.get()), b.jobs.calls)
	}
	if err := b.cluster.Delete(t.Context(), b.get()); err != nil {
		t.Fatal(err)
	}
	b.mustPass()
	if b.jobs.docs["p/Build"] == "" {
		t.Error("the other job was deleted")
	}
}

func TestADisabledJobSaysSo(t *testing.T) {
	b := newBench(t, newPipeline("x"), readyProject())
	b.mustPass()
	b.edit("<disabled>false", "<disabled>true")
	b.nextCheck()
	b.mustPass()
	if got := synced(b.get()); got != "False/JobDisabled/successful" {
		t.Errorf("%s", got)
	}
	if !strings.Contains(b.get().Annotations[devopsv1alpha3.PipelineJenkinsMetadataAnnotation], `"disabled":true`) {
		t.Error("the metadata do not say so")
	}
	if ok, _ := InJenkins(b.get()); !ok {
		t.Error("runs would wait for the condition, and not for Jenkins itself")
	}
	b.edit("<disabled>true", "<disabled>false")
	b.mustPass()
	if got := synced(b.get()); got != "True/Synced/successful" {
		t.Errorf("after it was enabled: %s", got)
	}
}

func TestAMissingFolderWakesTheProject(t *testing.T) {
	b := newBench(t, newPipeline("x"), readyProject())
	b.mustPass()
	b.jobs.docs, b.jobs.noFolder = map[string]string{}, true
	b.nextCheck()
	if _, err := b.pass(); err == nil || synced(b.get()) != "False/FolderMissing/failed" {
		t.Errorf("%s, %v", synced(b.get()), err)
	}
	b.jobs.noFolder = false
	b.mustPass()
	if synced(b.get()) != "True/Synced/successful" || b.jobs.docs["p/build"] == "" {
		t.Errorf("%s", synced(b.get()))
	}
}

func TestAFolderOfOthersIsNotWrittenTo(t *testing.T) {
	b := newBench(t, newPipeline("x"), readyProject())
	b.mustPass()
	project := readyProject()
	if err := b.cluster.Get(t.Context(), client.ObjectKeyFromObject(project), project); err != nil {
		t.Fatal(err)
	}
	project.Status.Conditions = append(project.Status.Conditions, metav1.Condition{Type: devopsv1alpha3.ConditionFolderReady, Status: metav1.ConditionFalse})
	if err := b.cluster.Update(t.Context(), project); err != nil {
		t.Fatal(err)
	}
	calls := b.jobs.total()
	b.change(func(p *devopsv1alpha3.Pipeline) { p.Spec.Pipeline.Jenkinsfile = "y" })
	b.mustPass()
	if got := synced(b.get()); got != "False/ProjectNotReady/pending" || b.jobs.total() != calls {
		t.Errorf("%s, calls %v", got, b.jobs.calls)
	}
}

// A user can write a Pipeline's annotations and finalizers, and its namespace may merely have the name of a folder.
func TestAForgedPipelineReachesNothingInTheFolderOfOthers(t *testing.T) {
	unknown := readyProject()
	unknown.Status.Conditions[0].Status = metav1.ConditionFalse
	taken := readyProject()
	taken.Status.AdminNamespace = ""
	for name, objects := range map[string][]client.Object{"no project": nil, "the namespace is not the project's": {taken}, "whose the folder is is not known yet": {unknown}} {
		t.Run(name, func(t *testing.T) {
			forged := newPipeline("x")
			forged.Finalizers = []string{devopsv1alpha3.PipelineFinalizer}
			forged.Annotations = map[string]string{devopsv1alpha3.PipelineSpecHashAnnotation: "forged"}
			b := newBench(t, append(objects, forged)...)
			_, _ = b.pass()
			if err := b.cluster.Delete(t.Context(), b.get()); err != nil {
				t.Fatal(err)
			}
			b.mustPass()
			if b.jobs.total() != 0 {
				t.Errorf("calls %v", b.jobs.calls)
			}
			if err := b.cluster.Get(t.Context(), client.ObjectKeyFromObject(forged), &devopsv1alpha3.Pipeline{}); err == nil {
				t.Error("the pipeline stays for ever")
			}
		})
	}
}

func TestAJobWrittenByAPassThatDiedIsTheSameJob(t *testing.T) {
	for name, p := range map[string]*devopsv1alpha3.Pipeline{"pipeline": newPipeline("x"), "multi-branch": multiBranch()} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, p, readyProject())
			b.mustPass()
			job := b.jobs.docs["p/build"]
			got := b.get()
			got.Annotations = nil // what the pass wrote was lost
			if err := b.cluster.Update(t.Context(), got); err != nil {
				t.Fatal(err)
			}
			b.r.memory = memory{}
			b.mustPass()
			if diff := cmp.Diff(job, b.jobs.docs["p/build"]); diff != "" {
				t.Error(diff)
			}
			got = b.get()
			got.Annotations = nil
			if err := errors.Join(b.cluster.Update(t.Context(), got), b.cluster.Delete(t.Context(), got)); err != nil {
				t.Fatal(err)
			}
			b.mustPass()
			if len(b.jobs.docs) > 0 {
				t.Error("the job outlives its pipeline")
			}
		})
	}
}

// TestAJobThatIsNoPipelineFailsWithoutAPanic: the peer panics on an update of a job whose config.xml is none of a pipeline, and on a
// Pipeline without annotations.
func TestAJobThatIsNoPipelineFailsWithoutAPanic(t *testing.T) {
	for name, doc := range map[string]string{
		"freestyle": freestyle, "empty": "", "not XML": "oops", "cut": "<flow-definition><script>", "folder": "<com.cloudbees.hudson.plugins.folder.Folder/>",
		"no elements": "<flow-definition/>", "wrong types": "<flow-definition><keepDependencies>maybe</keepDependencies></flow-definition>",
	} {
		t.Run(name, func(t *testing.T) {
			p := newPipeline("x")
			p.Annotations = nil
			b := newBench(t, p, readyProject())
			b.mustPass()
			b.jobs.docs["p/build"] = doc
			b.nextCheck()
			b.mustPass()
			b.change(func(p *devopsv1alpha3.Pipeline) { p.Spec.Pipeline.Description = "new" })
			b.mustPass()
			switch got := synced(b.get()); name {
			case "no elements":
				if got != "True/Synced/successful" || !strings.Contains(b.jobs.docs["p/build"], "new") {
					t.Errorf("%s: %s", got, b.jobs.docs["p/build"])
				}
			case "wrong types":
				// They are ours and are as they should be again.
				if b.jobs.calls["PutJob"] == 0 {
					t.Error("not repaired")
				}
			default:
				if !strings.HasPrefix(got, "False/") || b.jobs.docs["p/build"] != doc {
					t.Errorf("%s, job %q", got, b.jobs.docs["p/build"])
				}
			}
		})
	}
}

// TestAnnotationsOfOthersSurviveAPass: the peer writes all annotations as it read them, so that one that was set meanwhile is lost.
func TestAnnotationsOfOthersSurviveAPass(t *testing.T) {
	p := multiBranch()
	p.Annotations = map[string]string{"example.com/old": "1"}
	b := newBench(t, p, readyProject())
	b.jobs.branches = []jenkins.BranchInfo{{Name: "main", RawName: "main"}}
	set := 0
	b.jobs.before = func(call string) {
		// While Jenkins is asked, a user edits the Jenkinsfile and labels the pipeline.
		if !slices.Contains([]string{"PutJob", "GetPipeline", "BranchPage"}, call) {
			return
		}
		set++
		now := b.get()
		now.Annotations[devopsv1alpha3.PipelineJenkinsfileEditModeAnnotation] = "raw"
		now.Annotations["example.com/"+call] = "set"
		delete(now.Annotations, "example.com/old")
		if err := b.cluster.Update(b.Context(), now); err != nil {
			b.Error(err)
		}
	}
	for range 3 {
		_, _ = b.pass()
		b.now = b.now.Add(time.Minute)
	}
	got := b.get().Annotations
	if set < 3 {
		t.Fatalf("only %d writes: %v", set, b.jobs.calls)
	}
	for _, key := range []string{devopsv1alpha3.PipelineJenkinsfileEditModeAnnotation, "example.com/PutJob", "example.com/GetPipeline", "example.com/BranchPage",
		devopsv1alpha3.PipelineJenkinsBranchesAnnotation, devopsv1alpha3.PipelineJenkinsMetadataAnnotation} {
		if got[key] == "" {
			t.Errorf("%s is lost: %v", key, got)
		}
	}
	if got["example.com/old"] != "" {
		t.Error("an annotation that was removed is back")
	}
}

// TestWhatCouldNotBeSavedIsLookedAtAgain: somebody else writes the object while Jenkins is asked, so that the status is not written.
func TestWhatCouldNotBeSavedIsLookedAtAgain(t *testing.T) {
	b := newBench(t, multiBranch(), readyProject())
	b.jobs.scan = jenkins.ScanState{Ran: true, Started: "t", Result: "SUCCESS"}
	for range 5 {
		b.mustPass()
		b.now = b.now.Add(time.Minute)
	}
	b.edit("<disabled>false", "<disabled>true")
	b.jobs.branches = []jenkins.BranchInfo{{Name: "new", RawName: "new"}}
	b.r.memory.of(b.r.newScope(b.get()).key(), func(p *plan) { p.look = true; p.wantRefresh(b.now) })
	b.jobs.before = func(call string) {
		if call != "BranchPage" {
			return
		}
		b.jobs.before = nil
		p := b.get()
		p.Status.ObservedGeneration = 99
		if err := b.cluster.Status().Update(t.Context(), p); err != nil {
			t.Error(err)
		}
	}
	if after := b.mustPass(); after > time.Second {
		t.Errorf("the next pass is in %s", after)
	}
	b.mustPass()
	if got := synced(b.get()); got != "False/JobDisabled/successful" || len(b.branches()) != 1 {
		t.Errorf("%s, branches %v", got, b.branches())
	}
}
