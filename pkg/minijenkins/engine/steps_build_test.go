// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fakeBuilds starts builds of which the test says how they end.
type fakeBuilds struct {
	asked     []BuildRequest
	result    Result
	fail      error
	hang      bool
	cancelled string
}

func (f *fakeBuilds) Start(_ context.Context, req BuildRequest) (Downstream, error) {
	f.asked = append(f.asked, req)
	if f.fail != nil {
		return nil, f.fail
	}
	return f, nil
}

func (f *fakeBuilds) JobName() string { return "team/other" }

func (f *fakeBuilds) Started(context.Context) (OtherBuild, error) {
	return OtherBuild{JobName: "team/other", Number: 3, URL: "http://x/3/"}, nil
}

func (f *fakeBuilds) Finished(ctx context.Context) (OtherBuild, error) {
	if f.hang {
		<-ctx.Done()
		return OtherBuild{}, ctx.Err()
	}
	return OtherBuild{JobName: "team/other", Number: 3, URL: "http://x/3/", Result: f.result,
		Variables: []ParamValue{{Name: "A", Value: "1"}, {Name: "PW", Value: "secret", Sensitive: true}}}, nil
}

func (f *fakeBuilds) Cancel(reason string) { f.cancelled = reason }

func TestBuildStep(t *testing.T) {
	with := func(b *fakeBuilds) func(*testRun) { return func(r *testRun) { r.spec.Builds = b } }
	params := &fakeBuilds{result: ResultSuccess}
	runCases(t, map[string]stepCase{
		"Waits": {
			reason: "The build is waited for and its values reach the script",
			src: stages(`script { def b = build job: 'other', quietPeriod: 3, parameters: [string(name: 'A', value: 'x y'), booleanParam(name: 'B', value: true), password(name: 'P', value: 'hush')]
 echo "got ${b.number} ${b.result} ${b.getResult()} ${b.absoluteUrl} ${b.buildVariables} ${b.resultIsBetterOrEqualTo('UNSTABLE')}"
 echo "hush" }`),
			change: with(params), result: ResultSuccess,
			want: []string{"[Pipeline] build\nScheduling project: team » other\nStarting building: team » other #3\nBuild team » other #3 completed: SUCCESS\n",
				"got 3 SUCCESS SUCCESS http://x/3/ [A:1] true\n", "\n****\n"},
			absent: []string{"secret", "hush\n"},
		},
		"Propagates": {
			reason: "Its failure is that of the build", src: stages("build 'other'\n echo 'after'"),
			change: with(&fakeBuilds{result: ResultFailure}), result: ResultFailure,
			want: []string{"team » other #3 completed with status FAILURE (propagate: false to ignore)\n"}, absent: []string{"\nafter\n"},
		},
		"PropagatesUnstable": {
			reason: "as is any other result", src: "pipeline { agent any\n stages { stage('s') { steps { build 'other' } } }\n post { unstable { echo 'shaky' } } }",
			change: with(&fakeBuilds{result: ResultUnstable}), result: ResultUnstable, want: []string{"shaky\n"},
		},
		"Ignored": {
			reason: "propagate false goes on", src: stages("script { echo \"was ${build(job: 'other', propagate: false).result}\" }"),
			change: with(&fakeBuilds{result: ResultAborted}), result: ResultSuccess, want: []string{"was ABORTED\n"},
		},
		"NoWait": {
			reason: "wait false does not wait", src: stages("build job: 'other', wait: false"),
			change: with(&fakeBuilds{hang: true}), result: ResultSuccess, absent: []string{"Starting building"},
		},
		"WaitForStart": {
			reason: "waitForStart waits until it has begun", src: stages("script { echo \"began ${build(job: 'other', waitForStart: true)}\" }"),
			change: with(&fakeBuilds{hang: true}), result: ResultSuccess, want: []string{"began team » other #3\n"},
		},
		"Refused": {
			reason: "What the server refuses is the error", src: stages("build '/else/job'"),
			change: with(&fakeBuilds{fail: errors.New("No item named /else/job found")}), result: ResultFailure, want: []string{"ERROR: No item named /else/job found"},
		},
		"BadParameter": {
			reason: "A parameter of another kind is refused", src: stages("build job: 'other', parameters: [[$class: 'RunParameterValue', name: 'R', runId: 'x#1']]"),
			change: with(&fakeBuilds{}), result: ResultFailure, want: []string{"a parameter of the kind RunParameterValue is not supported"},
		},
	})
	want := []ParamValue{{Name: "A", Value: "x y"}, {Name: "B", Value: true}, {Name: "P", Value: "hush", Sensitive: true}}
	if d := cmp.Diff(want, params.asked[0].Params); d != "" || params.asked[0].QuietPeriod.Seconds() != 3 {
		t.Errorf("request %+v (-want +got):\n%s", params.asked[0], d)
	}
}

func TestBuildStepAborted(t *testing.T) {
	r, b := newRun(t, stages("build 'other'")), &fakeBuilds{hang: true}
	r.spec.Builds = b
	ctx, cancel := context.WithCancelCause(context.Background())
	r.mem.onLog = func(log string) {
		if strings.Contains(log, "Starting building") {
			cancel(&AbortError{User: "ann"})
		}
	}
	if res, _ := r.run(ctx); res != ResultAborted || b.cancelled == "" {
		t.Errorf("%s, the other build: %q", res, b.cancelled)
	}
}

func TestMilestones(t *testing.T) {
	var table MilestoneTable
	cancelled := map[int]int{}
	begin := func(n int) (Milestones, func()) {
		return table.Begin(1, n, func(by int) { cancelled[n] = by })
	}
	m1, _ := begin(1)
	m2, end2 := begin(2)
	m3, _ := begin(3)
	other, endOther := table.Begin(2, 1, nil)
	pass := func(m Milestones, ordinal, want int) {
		t.Helper()
		if got := m.Pass(ordinal); got != want {
			t.Errorf("pass %d: %d, want %d", ordinal, got, want)
		}
	}
	pass(m1, 1, 0)
	pass(m3, 1, 0)
	pass(m3, 2, 0) // 1 has passed the one before, 2 none at all
	if d := cmp.Diff(map[int]int{1: 3}, cancelled); d != "" {
		t.Error(d)
	}
	pass(m2, 1, 3)
	pass(other, 1, 0)
	end2()
	endOther()
	if _, kept := table.jobs[2]; kept {
		t.Error("a job without builds is kept")
	}
}

func TestMilestoneStep(t *testing.T) {
	late := func(by int) func(*testRun) {
		return func(r *testRun) {
			var table MilestoneTable
			newer, _ := table.Begin(1, by, func(int) {})
			newer.Pass(1)
			r.spec.Milestones, _ = table.Begin(1, 7, func(int) {})
		}
	}
	runCases(t, map[string]stepCase{
		"Late": {
			reason: "A newer build was here: this one ends, not built", src: stages("milestone()\n milestone 1\n echo 'after'"),
			change: late(9), result: ResultNotBuilt, want: []string{"Trying to pass milestone 0\n", "Canceled since build #9 already got here\n"}, absent: []string{"\nafter\n"},
		},
		"Early": {
			reason: "An older build does not matter", src: stages("milestone ordinal: 1, label: 'x'\n echo 'after'"),
			change: late(5), result: ResultSuccess, want: []string{"\nafter\n"},
		},
		"Order": {
			reason: "Ordinals rise", src: stages("milestone 5\n milestone 5"), result: ResultFailure, want: []string{"Invalid ordinal 5"},
		},
		"Parallel": {
			reason: "Branches have no milestones", src: "pipeline { agent any\n stages { stage('p') { parallel { stage('a') { steps { milestone 1 } } } } } }",
			result: ResultFailure, want: []string{"Using a milestone step inside parallel is not allowed"},
		},
	})
}

func TestWhenChanges(t *testing.T) {
	changes := func(r *testRun) {
		r.spec.Causes = []Cause{{Class: "hudson.triggers.TimerTrigger$TimerTriggerCause", Description: "Started by timer"},
			{Class: "hudson.model.Cause$UserIdCause", Description: "Started by user ann", User: "ann"}}
		r.spec.Changes = func(context.Context) ([]Change, error) {
			return []Change{{ID: "abc", Author: "ann", Message: "Fix it\n\n[DEPENDENCY] bump\n", Paths: []string{"app/src/Main.java", "README.md"}}}, nil
		}
		r.spec.Env = map[string]string{"CHANGE_ID": "4", "CHANGE_TARGET": "main", "CHANGE_AUTHOR": "ann"}
	}
	for condition, want := range map[string]bool{
		`changeset "**/*.java"`: true, `changeset "**/*.JAVA"`: true, `changeset pattern: "**/*.JAVA", caseSensitive: true`: false,
		`changeset pattern: "app/.*", comparator: "REGEXP"`: true, `changeset "docs/**"`: false, `changeset "app/"`: true,
		`changelog '.*^\\[DEPENDENCY\\] .+$'`: true, `changelog 'Fix'`: false, `changelog 'Fix.*'`: true,
		`triggeredBy 'TimerTrigger'`: true, `triggeredBy 'TimerTriggerCause'`: true, `triggeredBy 'SCMTrigger'`: false,
		`triggeredBy cause: 'UserIdCause', detail: 'ann'`: true, `triggeredBy cause: 'UserIdCause', detail: 'bob'`: false,
		`changeRequest()`: true, `changeRequest target: 'main', author: 'a*'`: true, `changeRequest target: 'dev'`: false, `changeRequest id: '5'`: false,
		`changeRequest title: '.+', comparator: 'REGEXP'`: false,
		`not { changeset "docs/**" }`:                     true,
		`expression { currentBuild.changeSets[0].items[0].msg == 'Fix it' && currentBuild.getBuildCauses().size() == 2 }`: true,
	} {
		r := newRun(t, "pipeline { agent any\n stages { stage('s') { when { "+condition+" }\n steps { echo 'in' } } } }")
		changes(r)
		res, err := r.run(context.Background())
		if in := strings.Contains(r.mem.text(), "\nin\n"); in != want || res != ResultSuccess {
			t.Errorf("%s: %v (%s %v), want %v", condition, in, res, err, want)
		}
	}
	r := newRun(t, "pipeline { agent any\n stages { stage('s') {\n  when { anyOf { changeset '**'; branch 'x' } }\n steps { echo 'in' } } } }")
	var ce *CheckError
	if _, err := r.run(context.Background()); !errors.As(err, &ce) || !strings.HasPrefix(err.Error(), `WorkflowScript: 3: when condition "changeset"`) {
		t.Errorf("without changes: %v", err)
	}
}

func TestDataSteps(t *testing.T) {
	artifacts := memArtifacts{}
	deep := strings.Repeat("[", 300) + strings.Repeat("]", 300)
	runCases(t, map[string]stepCase{
		"JSON": {
			reason: "JSON is read from text and file, changed and written, in order and without changed letters",
			src: stages(`script { def j = readJSON text: '{"z": [1, 2.5, null, true], "a": {"ü<": "x"}}'
 j.n = "${1 + 1}"
 writeJSON file: 'o/j.json', json: j
 sh 'echo >> o/j.json; cat o/j.json'
 echo "back ${readJSON(file: 'o/j.json').a['ü<']} ${j.z[0] + 1}"
 echo writeJSON(json: [a: [1]], pretty: 2, returnText: true) }`),
			result: ResultSuccess, want: []string{`{"z":[1,2.5,null,true],"a":{"ü<":"x"},"n":"2"}` + "\n", "back x 2\n", "{\n  \"a\": [\n    1\n  ]\n}\n"},
		},
		"BadJSON":   {reason: "Not JSON", src: stages("readJSON text: '{\"a\": }'"), result: ResultFailure, want: []string{"net.sf.json.JSONException: Invalid JSON String"}},
		"TwoJSON":   {reason: "Two values", src: stages("readJSON text: '1 2'"), result: ResultFailure, want: []string{"there is more behind"}},
		"DeepJSON":  {reason: "Too deep", src: stages("readJSON text: '" + deep + "'"), result: ResultFailure, want: []string{"deeper than 200"}},
		"NoFile":    {reason: "A file that is not there", src: stages("readJSON file: 'nosuch'"), result: ResultFailure, want: []string{"java.nio.file.NoSuchFileException"}},
		"NoneGiven": {reason: "Neither text nor file", src: stages("readJSON()"), result: ResultFailure, want: []string{"At least one of file or text"}},
		"YAML": {
			reason: "YAML is read, one document or a list of them, and written; a file is not overwritten unless asked",
			src: stages(`script { def y = readYaml text: "version: 1.0\nlist:\n- a\n- b: 2\n"
 echo "v ${y.version} ${y.list[1].b}"
 echo "docs ${readYaml(text: "a: 1\n---\na: 2\n").size()}"
 writeYaml file: 'y.yaml', data: y
 writeYaml file: 'y.yaml', data: [k: 'new'], overwrite: true
 sh 'cat y.yaml'
 writeYaml file: 'y.yaml', data: y }`),
			result: ResultFailure, want: []string{"v 1", " 2\n", "docs 2\n", "k: new\n", "already exist and overwrite is false"},
		},
		"BadYAML": {reason: "Not YAML", src: stages(`readYaml text: "a: [1"`), result: ResultFailure, want: []string{"YAMLException"}},
		"WaitUntil": {
			reason: "waitUntil tries again until it is true",
			src:    stages("script { def n = 0\n waitUntil(initialRecurrencePeriod: 10) { n++; return n >= 3 }\n echo \"tries ${n}\" }"),
			result: ResultSuccess, want: []string{"[Pipeline] waitUntil\n[Pipeline] {\n[Pipeline] }\nWill try again after 10 ms\n[Pipeline] {\n[Pipeline] }\nWill try again after 12 ms\n", "tries 3\n"},
		},
		"WaitUntilTimeout": {
			reason: "timeout ends it", src: stages("timeout(time: 200, unit: 'MILLISECONDS') { script { waitUntil(quiet: true) { false } } }"),
			result: ResultAborted, want: []string{"Timeout has been exceeded"}, absent: []string{"Will try again"},
		},
		"WaitUntilNoBool": {reason: "The block gives a boolean", src: stages("waitUntil { echo 'x' }"), result: ResultFailure, want: []string{"body return value null is not boolean"}},
		"AnsiColor": {
			reason: "ansiColor lets escapes through, as option too",
			src:    "pipeline { agent any\n options { ansiColor('xterm') }\n stages { stage('s') { steps { ansiColor('vga') { sh 'printf \"\\\\033[31mred\\\\033[0m\\\\n\"' } } } } }",
			result: ResultSuccess, want: []string{"[Pipeline] ansiColor\n", "\x1b[31mred\x1b[0m\n"},
		},
		"WrapperOptions": {
			reason: "Options that wrap: variables and caught errors",
			src: `pipeline { agent any
 stages { stage('s') { options { withEnv(['A=1']); catchError(buildResult: 'UNSTABLE', stageResult: 'FAILURE', message: 'soft') }
  steps { sh 'echo a=$A'; error 'boom' } }
  stage('t') { steps { echo 'goes on' } } } }`,
			result: ResultUnstable, want: []string{"a=1\n", "ERROR: soft\n", "goes on\n"},
		},
		"PublishHTML": {
			reason: "A report is kept as artifacts",
			src: stages(`sh 'mkdir -p r/css; echo h > r/index.html; echo c > r/css/a.css'
 publishHTML([reportDir: 'r', reportFiles: 'index.html', reportName: 'My Report/1', allowMissing: false, alwaysLinkToLastBuild: true, keepAll: true])
 publishHTML(target: [reportDir: 'none', reportFiles: 'x', reportName: 'None'])`),
			change: func(r *testRun) { r.spec.Artifacts = artifacts }, result: ResultFailure,
			want: []string{"[htmlpublisher] Archiving HTML reports...", "Specified HTML directory '/", "/none' does not exist."},
		},
		"CleanWs": {
			reason: "cleanWs with patterns leaves the rest; it heeds the result",
			src: stages(`sh 'mkdir t; echo > t/a; echo > keep'
 cleanWs patterns: [[pattern: 't/**', type: 'INCLUDE']]
 sh 'ls t keep'
 cleanWs cleanWhenSuccess: false
 sh 'ls keep'
 cleanWs(deleteDirs: true, notFailBuild: true)
 sh 'ls -A | wc -l'`),
			result: ResultSuccess, want: []string{"+ ls t keep\nkeep\n", "Skipping based on build state SUCCESS", "[WS-CLEANUP] done"},
			absent: []string{"\na\n"},
		},
	})
	if d := cmp.Diff(memArtifacts{"My_Report_1/index.html": "h\n", "My_Report_1/css/a.css": "c\n"}, artifacts); d != "" {
		t.Error(d)
	}
}
