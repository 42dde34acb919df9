// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jobxml

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// afterRun is a job as Jenkins leaves it after a run whose Jenkinsfile has the directives parameters, triggers and options: actions and properties are
// the run's, the comment is gone, and secrets are encrypted.
func afterRun(doc string) string {
	doc = strings.Replace(doc, "<!--"+marker+"h1 -->", "", 1)
	doc = strings.Replace(doc, "<actions></actions>", "<actions><org.jenkinsci.plugins.pipeline.modeldefinition.actions.DeclarativeJobAction plugin=\"p@1\"/></actions>", 1)
	from, to := strings.Index(doc, "<properties>"), strings.Index(doc, "</properties>")
	return doc[:from] + `<properties>
    <jenkins.model.BuildDiscarderProperty><strategy class="hudson.tasks.LogRotator"><daysToKeep>-1</daysToKeep><numToKeep>5</numToKeep><artifactDaysToKeep>-1</artifactDaysToKeep><artifactNumToKeep>-1</artifactNumToKeep></strategy></jenkins.model.BuildDiscarderProperty>
    <hudson.model.ParametersDefinitionProperty><parameterDefinitions><hudson.model.BooleanParameterDefinition><name>FROM_FILE</name><defaultValue>true</defaultValue></hudson.model.BooleanParameterDefinition></parameterDefinitions></hudson.model.ParametersDefinitionProperty>
    <org.jenkinsci.plugins.workflow.job.properties.PipelineTriggersJobProperty><triggers><hudson.triggers.TimerTrigger><spec>H 1 * * *</spec></hudson.triggers.TimerTrigger></triggers></org.jenkinsci.plugins.workflow.job.properties.PipelineTriggersJobProperty>
  ` + doc[to:]
}

func replace(pairs ...string) func(string) string {
	return func(doc string) string { return strings.NewReplacer(pairs...).Replace(doc) }
}

func TestDrift(t *testing.T) {
	allRuns := Runs{SetParameters: true, SetTriggers: true, SetOptions: true}
	for name, tc := range map[string]struct {
		reason string
		spec   *devopsv1alpha3.PipelineSpec
		runs   Runs
		change func(string) string
		want   []string
	}{
		"Same": {reason: "what we wrote", spec: full(), change: replace()},
		"OthersThings": {reason: "what the API does not know is not ours", spec: full(), change: replace(
			"<properties>", "<properties><com.acme.Quota/>", "<disabled>false", "<disabled>true", "<artifactNumToKeep>-1", "<artifactNumToKeep>9",
			"<!--"+marker+"h1 -->", "", `plugin="workflow-job"`, `plugin="workflow-job@1571"`)},
		"SavedByABrowser": {reason: "line ends become CRLF and secrets are encrypted", spec: full(), change: replace(
			"line 2", "\r\nline 2", "\nline 2", "&#xD;\nline 2", "<defaultValue>hidden-default<", "<defaultValue>{AQAAABAAAAAQ4cfh1lzjqf0GdKO2YDLZWKFqJsmpDSnYDGbJqQ8Rk9M=}<")},
		"Script":      {reason: "", spec: full(), change: replace("pipeline {", "pipeline { /* x */"), want: []string{"jenkinsfile"}},
		"Sandbox":     {reason: "without it a script may do anything to Jenkins", spec: full(), change: replace("<sandbox>true", "<sandbox>false"), want: []string{"sandbox"}},
		"Token":       {reason: "no run could be started", spec: minimal(), change: replace("<authToken>derived</authToken>", ""), want: []string{"remote_trigger"}},
		"Description": {reason: "", spec: full(), change: replace("all &lt;", "none &lt;"), want: []string{"description"}},
		"Discarder":   {reason: "", spec: full(), change: replace("<numToKeep>10", "<numToKeep>99"), want: []string{"discarder"}},
		"Cron":        {reason: "", spec: full(), change: replace("H 3 * * 1", "* * * * *"), want: []string{"timer_trigger"}},
		"Webhook":     {reason: "", spec: full(), change: replace("rec-hook", "stolen"), want: []string{"generic_webhook"}},
		"Parameter":   {reason: "", spec: full(), change: replace("s-default", "other"), want: []string{"parameters"}},
		"Password":    {reason: "an encrypted default cannot be compared, a plain one can", spec: full(), change: replace("hidden-default", "other"), want: []string{"parameters"}},
		"FromSCM": {reason: "another definition is no script of ours", spec: minimal(),
			change: replace("cps.CpsFlowDefinition", "cps.CpsScmFlowDefinition", "<script>pipeline {}</script>", "<scriptPath>x</scriptPath>"), want: []string{"jenkinsfile", "source"}},
		"RunWroteItAll":  {reason: "the Jenkinsfile declares all three", spec: full(), runs: allRuns, change: afterRun},
		"RunWroteNoneOf": {reason: "the Jenkinsfile declares nothing, so somebody changed the job", spec: full(), change: afterRun, want: []string{"discarder", "disable_concurrent", "parameters", "timer_trigger", "generic_webhook"}},
		"RunIsNoExcuse": {reason: "a run does not write the script", spec: full(), runs: allRuns,
			change: func(doc string) string { return replace("pipeline {", "node {")(afterRun(doc)) }, want: []string{"jenkinsfile"}},
		"URL":      {reason: "", spec: multi(), change: replace("a&amp;b.git", "other.git"), want: []string{"git_source"}},
		"Source":   {reason: "", spec: kinds()["source-git"], change: replace("jenkins.plugins.git.GitSCMSource", "com.acme.Source"), want: []string{"source_type"}},
		"Interval": {reason: "", spec: multi(), change: replace("<interval>14400000", "<interval>60000"), want: []string{"timer_trigger"}},
		"Factory": {reason: "a factory of another plugin stays, so it is no drift", spec: multi(), change: replace(
			"WorkflowBranchProjectFactory", "PipelineBranchDefaultsProjectFactory", "<scriptPath>ci/Jenkinsfile</scriptPath>", "<scriptId>x</scriptId>")},
		"ScriptPath":   {reason: "", spec: multi(), change: replace("ci/Jenkinsfile", "Jenkinsfile"), want: []string{"script_path"}},
		"OthersTraits": {reason: "", spec: kinds()["source-github"], change: replace("<traits>", "<traits><com.acme.Trait/>")},
		"Trust":        {reason: "", spec: kinds()["source-github"], change: replace("$TrustEveryone", "$TrustNobody"), want: []string{"github_source"}},
	} {
		t.Run(name, func(t *testing.T) {
			opts := Options{Hash: "h1", AuthToken: "derived", Runs: tc.runs}
			was := string(must(Render(tc.spec, opts)))
			doc := tc.change(was)
			if name != "Same" && doc == was {
				t.Fatal("the test changes nothing")
			}
			got, repaired, err := Drift([]byte(doc), tc.spec, opts)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: %s", tc.reason, diff)
			}
			if len(got) == 0 {
				return
			}
			if again, _, err := Drift(repaired, tc.spec, opts); err != nil || len(again) > 0 {
				t.Errorf("the repair leaves %v, %v:\n%s", again, err, repaired)
			}
		})
	}
}

// TestWhatARunSetSurvivesAChangeOfTheSpec: a pipeline that only its own cron directive starts would else not run again after its description changed.
func TestWhatARunSetSurvivesAChangeOfTheSpec(t *testing.T) {
	spec, opts := minimal(), Options{Hash: "h1", AuthToken: "derived"}
	doc := afterRun(string(must(Render(spec, opts))))
	for name, tc := range map[string]struct {
		runs      Runs
		keeps, no []string
	}{
		"all":       {runs: Runs{true, true, true}, keeps: []string{"H 1 * * *", "FROM_FILE", "<numToKeep>5"}},
		"triggers":  {runs: Runs{SetTriggers: true}, keeps: []string{"H 1 * * *"}, no: []string{"FROM_FILE", "<numToKeep>5"}},
		"no longer": {no: []string{"H 1 * * *", "FROM_FILE", "<numToKeep>5"}},
	} {
		t.Run(name, func(t *testing.T) {
			opts.Runs = tc.runs
			got := string(must(Merge([]byte(doc), spec, opts)))
			for _, s := range tc.keeps {
				if !strings.Contains(got, s) {
					t.Errorf("%s is lost", s)
				}
			}
			for _, s := range tc.no {
				if strings.Contains(got, s) {
					t.Errorf("%s stays", s)
				}
			}
		})
	}
	t.Run("what the spec says counts until the next run", func(t *testing.T) {
		opts.Runs = Runs{true, true, true}
		got := string(must(Merge([]byte(doc), full(), opts)))
		for _, s := range []string{"H 3 * * 1", "<numToKeep>10", "<name>PW</name>"} {
			if !strings.Contains(got, s) {
				t.Errorf("%s is missing", s)
			}
		}
		for _, s := range []string{"FROM_FILE", "H 1 * * *"} {
			if strings.Contains(got, s) {
				t.Errorf("%s stays", s)
			}
		}
	})
}

// TestAJobOfAnotherClassIsATypedError: the peer takes the type of the job for granted and fails with a panic.
func TestAJobOfAnotherClassIsATypedError(t *testing.T) {
	for _, class := range []string{"project", "maven2-moduleset", "matrix-project", "com.cloudbees.hudson.plugins.folder.Folder"} {
		doc := []byte("<?xml version='1.1' encoding='UTF-8'?><" + class + "><description>d</description></" + class + ">")
		_, parsed := Parse(doc)
		_, merged := Merge(doc, minimal(), Options{})
		_, _, drift := Drift(doc, multi(), Options{})
		for _, err := range []error{parsed, merged, drift} {
			var classErr *ClassError
			if !errors.As(err, &classErr) || classErr.Class != class || !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %v", class, err)
			}
		}
	}
	var classErr *ClassError
	if _, err := Merge(must(Render(multi(), Options{})), minimal(), Options{}); !errors.As(err, &classErr) || classErr.Class != multiBranchClass || classErr.Want != "flow-definition" {
		t.Errorf("a pipeline of the other type: %v", err)
	}
}
