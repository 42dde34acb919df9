// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

func at(seconds int) jenkins.Time {
	return jenkins.Time{Time: time.Date(2026, 11, 21, 9, 0, seconds, 0, time.FixedZone("", 8*3600))}
}

func branchOf(name string, start int) jenkins.BranchInfo {
	return jenkins.BranchInfo{Name: strings.ReplaceAll(name, "/", "%2F"), RawName: name, WeatherScore: 80, Branch: &jenkins.Branch{URL: name, IsPrimary: name == "main"},
		LatestRun: &jenkins.LatestRun{ID: "1", Pipeline: name, Result: "SUCCESS", State: "FINISHED", StartTime: at(start), EndTime: at(start + 1), DurationMillis: 1000,
			Causes: []jenkins.Cause{{ShortDescription: "Branch indexing"}}}}
}

func (b *bench) branches() []map[string]any {
	b.Helper()
	var list []map[string]any
	text := b.get().Annotations[devopsv1alpha3.PipelineJenkinsBranchesAnnotation]
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		b.Fatalf("%v: %q", err, text)
	}
	return list
}

func condition(p *devopsv1alpha3.Pipeline, kind string) string {
	c := meta.FindStatusCondition(p.Status.Conditions, kind)
	if c == nil {
		return ""
	}
	return fmt.Sprintf("%s/%s: %s", c.Status, c.Reason, c.Message)
}

func TestBranchesAreWrittenAsTheConsoleReadsThem(t *testing.T) {
	b := newBench(t, multiBranch(), readyProject())
	pr := jenkins.BranchInfo{Name: "PR-1", RawName: "PR-1", WeatherScore: 100, PullRequest: &jenkins.PullRequest{ID: "1", Author: "ann", Title: "t", URL: "https://git.example/1"}}
	b.jobs.branches = []jenkins.BranchInfo{branchOf("old", 1), branchOf("feature/größe", 9), pr, branchOf("main", 5)}
	b.jobs.info = jenkins.PipelineInfo{WeatherScore: 80, NumberOfPipelines: 4, NumberOfSuccessfulBranches: 3, ScriptPath: "Jenkinsfile", SCMSource: &jenkins.SCMSource{ID: "git", APIURL: "u"}}
	b.mustPass()
	run := func(name string, h, m string) map[string]any {
		return map[string]any{"id": "1", "pipeline": name, "result": "SUCCESS", "state": "FINISHED", "startTime": h, "endTime": m, "durationInMillis": 1000.0,
			"causes": []any{map[string]any{"shortDescription": "Branch indexing"}}}
	}
	want := []map[string]any{
		{"name": "main", "rawName": "main", "weatherScore": 80.0, "branch": map[string]any{"url": "main", "isPrimary": true}, "latestRun": run("main", "2026-11-21T01:00:05Z", "2026-11-21T01:00:06Z")},
		{"name": "feature%2Fgröße", "rawName": "feature/größe", "weatherScore": 80.0, "branch": map[string]any{"url": "feature/größe"}, "latestRun": run("feature/größe", "2026-11-21T01:00:09Z", "2026-11-21T01:00:10Z")},
		{"name": "old", "rawName": "old", "weatherScore": 80.0, "branch": map[string]any{"url": "old"}, "latestRun": run("old", "2026-11-21T01:00:01Z", "2026-11-21T01:00:02Z")},
		{"name": "PR-1", "rawName": "PR-1", "weatherScore": 100.0, "pullRequest": map[string]any{"id": "1", "author": "ann", "title": "t", "url": "https://git.example/1"}},
	}
	if diff := cmp.Diff(want, b.branches()); diff != "" {
		t.Error(diff)
	}
	var m map[string]any
	if err := json.Unmarshal([]byte(b.get().Annotations[devopsv1alpha3.PipelineJenkinsMetadataAnnotation]), &m); err != nil {
		t.Fatal(err)
	}
	wantMeta := map[string]any{"name": "build", "weatherScore": 80.0, "disabled": false, "numberOfPipelines": 4.0, "numberOfFolders": 0.0, "totalNumberOfBranches": 4.0,
		"totalNumberOfPullRequests": 0.0, "numberOfSuccessfulBranches": 3.0, "scriptPath": "Jenkinsfile", "scmSource": map[string]any{"id": "git", "apiUrl": "u"},
		"branchNames": []any{"old", "feature%2Fgröße", "PR-1", "main"}}
	if diff := cmp.Diff(wantMeta, m); diff != "" {
		t.Error(diff)
	}
	if got := condition(b.get(), devopsv1alpha3.ConditionBranchesComplete); !strings.HasPrefix(got, "True/Complete") {
		t.Error(got)
	}
}

// TestBranchesAreReadWhenSomethingHappenedToThem: the peer reads the branches of each pipeline every 10 s for ever.
func TestBranchesAreReadWhenSomethingHappenedToThem(t *testing.T) {
	b := newBench(t, multiBranch(), readyProject())
	b.jobs.branches = []jenkins.BranchInfo{branchOf("main", 1)}
	b.jobs.scan = jenkins.ScanState{Ran: true, Started: "t1", Result: "SUCCESS"}
	settle := func() {
		t.Helper()
		for i := 0; i < 20; i++ {
			after := b.mustPass()
			if after > time.Hour {
				return
			}
			b.now = b.now.Add(after)
		}
		t.Fatal("never comes to rest")
	}
	settle()
	key := b.r.newScope(b.get()).key()
	reads := func() int {
		return b.jobs.calls["GetPipeline"] + b.jobs.calls["BranchPage"] + b.jobs.calls["ScanState"]
	}
	run := &devopsv1alpha3.PipelineRun{Spec: devopsv1alpha3.PipelineRunSpec{SCM: &devopsv1alpha3.SCM{RefName: "main"}}}
	run.Namespace, run.Name = "p", "r"
	run.Spec.PipelineRef = &corev1.ObjectReference{Name: "build"}
	for name, tc := range map[string]struct {
		reason string
		do     func()
		reads  int
	}{
		"Nothing": {"an idle pipeline costs nothing", func() {}, 0},
		"Label": {"nor does a change that is not the branches'", func() {
			p := b.get()
			p.Labels = map[string]string{"a": "b"}
			if err := b.cluster.Update(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}, 0},
		"Request": {"a Jenkins event of a build that nobody knows", func() {
			p := b.get()
			p.Annotations[devopsv1alpha3.PipelineRequestToSyncRunsAnnotation] = b.now.String()
			if err := b.cluster.Update(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}, 2},
		"Run": {"", func() {
			if got := b.r.ofRun(t.Context(), run); len(got) != 1 || got[0].NamespacedName != key {
				t.Errorf("woken: %v", got)
			}
		}, 2},
		"ManyRuns": {"they are one news", func() {
			for range 40 {
				b.r.ofRun(t.Context(), run)
			}
		}, 2},
		"OldRun": {"a process that starts sees all runs that ever ended", func() {
			old := run.DeepCopy()
			old.Status.CompletionTime = &metav1.Time{Time: b.now.Add(-time.Hour)}
			b.r.ofRun(t.Context(), old)
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b.now = b.now.Add(time.Minute)
			before := reads()
			tc.do()
			b.mustPass()
			b.mustPass()
			if got := reads() - before; got != tc.reads {
				t.Errorf("%s: %d calls, want %d", tc.reason, got, tc.reads)
			}
		})
	}
	t.Run("Busy", func(t *testing.T) {
		b.now = b.now.Add(time.Minute)
		before := reads()
		for range 60 { // a run changes each second
			b.now = b.now.Add(time.Second)
			b.r.ofRun(t.Context(), run)
			b.mustPass()
		}
		if got := reads() - before; got > 14 {
			t.Errorf("%d calls in a minute", got)
		}
	})
}

func TestScan(t *testing.T) {
	b := newBench(t, multiBranch(), readyProject())
	b.mustPass()
	request := func() {
		t.Helper()
		b.now = b.now.Add(time.Hour)
		p := b.get()
		p.Annotations[devopsv1alpha3.PipelineRequestToScanAnnotation] = "now"
		if err := b.cluster.Update(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	follow := func() {
		t.Helper()
		for range 60 {
			after := b.mustPass()
			if after > time.Hour {
				return
			}
			b.now = b.now.Add(after)
		}
		t.Fatal("the scan is followed for ever")
	}
	b.jobs.scan = jenkins.ScanState{Ran: true, Started: "t0", Result: "SUCCESS"}
	follow() // the one that Jenkins makes by itself for a new job
	if got := condition(b.get(), devopsv1alpha3.ConditionScanned); !strings.HasPrefix(got, "True/") {
		t.Errorf("a new job: %s", got)
	}

	request()
	b.mustPass()
	if _, still := b.get().Annotations[devopsv1alpha3.PipelineRequestToScanAnnotation]; still || b.jobs.calls["Scan"] != 1 {
		t.Errorf("the request stays: %v, calls %v", still, b.jobs.calls)
	}
	b.now = b.now.Add(5 * time.Second)
	b.mustPass()
	if got := condition(b.get(), devopsv1alpha3.ConditionScanned); !strings.HasPrefix(got, "Unknown/Scanning") {
		t.Errorf("the log is of the scan before: %s", got)
	}
	b.jobs.scan, b.jobs.branches = jenkins.ScanState{Ran: true, Started: "t1", Result: "SUCCESS"}, []jenkins.BranchInfo{branchOf("new", 1)}
	follow()
	if got := condition(b.get(), devopsv1alpha3.ConditionScanned); !strings.HasPrefix(got, "True/") || len(b.branches()) != 1 {
		t.Errorf("after the scan: %s, %v", got, b.branches())
	}

	request()
	b.mustPass()
	b.jobs.scan = jenkins.ScanState{Ran: true, Started: "t2", Result: "FAILURE", Problem: "stderr: fatal: could not read"}
	follow()
	if got := condition(b.get(), devopsv1alpha3.ConditionScanned); !strings.HasPrefix(got, "False/ScanFailed") || !strings.Contains(got, "could not read") {
		t.Errorf("a repository that cannot be read: %s", got)
	}

	b.jobs.scan = jenkins.ScanState{Ran: true, Started: "t2b", Result: "SUCCESS"} // Jenkins tried again by itself
	b.nextCheck()
	follow()
	if got := condition(b.get(), devopsv1alpha3.ConditionScanned); !strings.HasPrefix(got, "True/") {
		t.Errorf("after Jenkins' own scan: %s", got)
	}

	request()
	b.jobs.scanErr = jenkins.ErrInternal
	b.mustPass()
	if got := condition(b.get(), devopsv1alpha3.ConditionScanned); !strings.HasPrefix(got, "False/ScanFailed") || b.get().Annotations[devopsv1alpha3.PipelineRequestToScanAnnotation] != "" {
		t.Errorf("a disabled job: %s", got)
	}
	b.jobs.scanErr = nil

	request()
	b.jobs.err = jenkins.ErrUnavailable
	if _, err := b.pass(); err == nil || b.get().Annotations[devopsv1alpha3.PipelineRequestToScanAnnotation] == "" {
		t.Errorf("a request during an outage is lost: %v", err)
	}
	b.jobs.err = nil
	b.mustPass()
	b.r.memory = memory{} // another process goes on
	b.jobs.scan = jenkins.ScanState{Ran: true, Started: "t3", Result: "SUCCESS"}
	b.mustPass()
	if got := condition(b.get(), devopsv1alpha3.ConditionScanned); !strings.HasPrefix(got, "True/") {
		t.Errorf("after a change of the leader: %s", got)
	}

	request()
	b.mustPass()
	follow() // Jenkins never begins it
	if got := condition(b.get(), devopsv1alpha3.ConditionScanned); strings.Contains(got, "Scanning") {
		t.Errorf("a scan that never begins: %s", got)
	}
}

func TestARequestToScanOfAPipelineWithoutARepositoryGoes(t *testing.T) {
	p := newPipeline("x")
	p.Annotations = map[string]string{devopsv1alpha3.PipelineRequestToScanAnnotation: "1"}
	b := newBench(t, p, readyProject())
	b.mustPass()
	if _, still := b.get().Annotations[devopsv1alpha3.PipelineRequestToScanAnnotation]; still || b.jobs.calls["Scan"] > 0 {
		t.Errorf("request %v, calls %v", still, b.jobs.calls)
	}
}

// TestFault22AnnotationsStayWithinTheirBoundWithThousandsOfBranches: the peer writes all that Jenkins says, and fails at 256 KiB, so that nothing of
// a pipeline with many branches can be written.
func TestFault22AnnotationsStayWithinTheirBoundWithThousandsOfBranches(t *testing.T) {
	for _, tc := range []struct {
		n, others int
		reason    string
		lists     string
	}{
		{50, 0, "Complete", "all"},
		{250, 0, "TooManyBranches", "all 250"},
		{5000, 0, "TooManyBranches", "of 5000"},
		{5000, 180 << 10, "TooManyBranches", "of 5000"},
		{5000, 240 << 10, "TooManyBranches", "0 of 5000"},
	} {
		t.Run(fmt.Sprint(tc.n, " branches and ", tc.others, " bytes"), func(t *testing.T) {
			p := multiBranch()
			p.Annotations = map[string]string{"example.com/note": strings.Repeat("x", tc.others)}
			b := newBench(t, p, readyProject())
			for i := range tc.n {
				b.jobs.branches = append(b.jobs.branches, branchOf(fmt.Sprintf("feature/a-rather-long-name-of-a-branch-%d", i), i))
			}
			b.mustPass()
			got := b.get()
			size := 0
			for k, v := range got.Annotations {
				size += len(k) + len(v)
			}
			if bound := max(maxAnnotations, tc.others) + 8<<10; size > bound {
				t.Errorf("%d bytes", size)
			}
			if c := condition(got, devopsv1alpha3.ConditionBranchesComplete); !strings.Contains(c, tc.reason) || !strings.Contains(c, tc.lists) {
				t.Error(c)
			}
			var m map[string]any
			if err := json.Unmarshal([]byte(got.Annotations[devopsv1alpha3.PipelineJenkinsMetadataAnnotation]), &m); err != nil || m["totalNumberOfBranches"] != float64(tc.n) {
				t.Errorf("%v branches, %v", m["totalNumberOfBranches"], err)
			}
			list := b.branches()
			if tc.others < 200<<10 && len(list) < 50 {
				t.Errorf("only %d branches", len(list))
			}
			if calls := b.jobs.calls["BranchPage"]; calls > maxPages {
				t.Errorf("%d calls", calls)
			}
			if tc.n == 5000 && len(list) > 0 && list[0]["rawName"] != "feature/a-rather-long-name-of-a-branch-499" {
				t.Errorf("of those that were read the one that ran last is not first, but %v", list[0]["rawName"])
			}
		})
	}
}
