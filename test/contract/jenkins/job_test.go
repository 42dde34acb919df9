// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"io"
	"strings"
	"testing"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/jenkins/jobxml"
)

// jobToken starts the jobs of the suite.
const jobToken = "contract-token"

// job is a pipeline in the folder of a case.
type job struct {
	e    *env
	name string
	// params: the job has parameters.
	params bool
}

// job makes a pipeline as the product does.
func (e *env) job(t *testing.T, name, script string, change ...func(*devopsv1alpha3.NoScmPipeline)) *job {
	t.Helper()
	p := &devopsv1alpha3.NoScmPipeline{Jenkinsfile: script}
	for _, c := range change {
		c(p)
	}
	doc, err := jobxml.Render(&devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.NoScmPipelineType, Pipeline: p}, jobxml.Options{AuthToken: jobToken})
	must(t, err)
	must(t, e.PutJob(t.Context(), e.dir, name, doc))
	return &job{e: e, name: name, params: len(p.Parameters) > 0}
}

// cause is a note that is this job's alone: the queue is one for all.
func (j *job) cause(text string) string { return "slipway-run:" + j.e.dir + "/" + j.name + ":" + text }

// queue starts a build and gives its queue item.
func (j *job) queue(t *testing.T, cause string, params ...jenkins.Parameter) int64 {
	t.Helper()
	id, err := j.e.StartBuild(t.Context(), j.e.dir, j.name, jenkins.StartRequest{Token: jobToken, Cause: j.cause(cause), HasParameters: j.params, Parameters: params})
	must(t, err)
	return id
}

// start starts a build and gives its number.
func (j *job) start(t *testing.T, cause string, params ...jenkins.Parameter) int64 {
	t.Helper()
	return j.number(t, j.queue(t, cause, params...))
}

// number waits until a queue item has become a build.
func (j *job) number(t *testing.T, item int64) (number int64) {
	t.Helper()
	until(t, "the queue item becomes a build", func() (bool, error) {
		q, err := j.e.GetQueueItem(t.Context(), item)
		if err != nil {
			return false, err
		}
		number = q.BuildNumber
		return number > 0, nil
	})
	return number
}

// state waits until a build is in one of the states.
func (j *job) state(t *testing.T, number int64, states ...string) (run *jenkins.Run) {
	t.Helper()
	until(t, "build is "+strings.Join(states, " or "), func() (bool, error) {
		var err error
		if run, err = j.e.GetRun(t.Context(), j.e.dir, j.name, number); err != nil {
			return false, err
		}
		for _, s := range states {
			if run.State == s {
				return true, nil
			}
		}
		return false, nil
	})
	return run
}

// result waits for the end of a build.
func (j *job) result(t *testing.T, number int64) string {
	t.Helper()
	return j.state(t, number, jenkins.StateFinished).Result
}

// ends fails the test if a build does not end so.
func (j *job) ends(t *testing.T, number int64, result string) {
	t.Helper()
	if got := j.result(t, number); got != result {
		t.Errorf("%s #%d ends %s, want %s; its log:\n%s", j.name, number, got, result, j.log(t, number))
	}
}

// log reads the whole log.
func (j *job) log(t *testing.T, number int64) string {
	t.Helper()
	text, _, _, err := j.e.Log(t.Context(), j.e.dir, j.name, number, 0)
	must(t, err)
	defer func() { _ = text.Close() }()
	all, err := io.ReadAll(text)
	must(t, err)
	return string(all)
}

// onAgent is the agent section for a shell.
func (e *env) onAgent() string {
	if e.target.label == "" {
		return "agent any"
	}
	return "agent { label '" + e.target.label + "' }"
}

// stages is a pipeline without an agent.
func stages(body string) string { return "pipeline {\nagent none\nstages {\n" + body + "\n}\n}" }

// steps is a pipeline of one stage without an agent.
func steps(body string) string { return stages("stage('one') { steps { " + body + " } }") }

// params gives a job parameters.
func params(list ...devopsv1alpha3.ParameterDefinition) func(*devopsv1alpha3.NoScmPipeline) {
	return func(p *devopsv1alpha3.NoScmPipeline) { p.Parameters = list }
}

func oneAtATime(p *devopsv1alpha3.NoScmPipeline) { p.DisableConcurrent = true }
