// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

const (
	// projects hold the pipelines in equal parts.
	projects, pipelines = 5, 100
	// objectSize is the size of a run as JSON in bytes, without the record of who wrote which field.
	objectSize = 4096
	// minRuns has several pages for the busy pipeline and a run for each of the others.
	minRuns = 2 * pipelines
	// seeders write at once, batchSize runs each.
	seeders, batchSize = 16, 64
	progressEvery      = 10_000
)

func projectName(i int) string  { return fmt.Sprintf("bench-%d", i+1) }
func pipelineName(i int) string { return fmt.Sprintf("service-%03d", i) }

// pipelineOf spreads runs: every second is the busy pipeline's, the others go around.
func pipelineOf(i int) int {
	if i%2 == 0 {
		return 0
	}
	return 1 + (i/2)%(pipelines-1)
}

// grow makes runs until there are n. The first goes through the kube-apiserver, the others are written into its etcd
// in the form that the first has there: through the kube-apiserver each takes several milliseconds of its CPU, for the
// rules of the definition and twice, as the status is a request of its own, which are minutes for 50,000.
func (c *cluster) grow(ctx context.Context, n int) error {
	began, from := time.Now(), c.seeded
	if c.pipelines == nil {
		if err := c.makePipelines(ctx); err != nil {
			return err
		}
		if err := c.makeFirst(ctx); err != nil {
			return fmt.Errorf("make run: %w", err)
		}
	}
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(seeders)
	for at := c.seeded; at < n && working.Err() == nil; at += batchSize {
		if at/progressEvery != (at-batchSize)/progressEvery {
			progress("%d of %d runs", at, n)
		}
		group.Go(func() error { return c.makeRuns(working, at, min(at+batchSize, n)) })
	}
	if err := errors.Join(group.Wait(), ctx.Err()); err != nil {
		return fmt.Errorf("make runs: %w", err)
	}
	c.seeded = n
	progress("%d runs are there, %d made in %.1f s", n, n-from, time.Since(began).Seconds())
	return nil
}

// makePipelines makes the projects and their pipelines.
func (c *cluster) makePipelines(ctx context.Context) error {
	for i := range projects {
		name := projectName(i)
		if err := c.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			return fmt.Errorf("make namespace: %w", err)
		}
		if err := c.client.Create(ctx, &devopsv1alpha3.DevOpsProject{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			return fmt.Errorf("make project: %w", err)
		}
	}
	c.pipelines = map[string]types.UID{}
	for i := range pipelines {
		p := &devopsv1alpha3.Pipeline{
			ObjectMeta: metav1.ObjectMeta{Namespace: projectName(i % projects), Name: pipelineName(i)}, Spec: pipelineSpec(i, jenkinsfile),
		}
		if err := c.client.Create(ctx, p); err != nil {
			return fmt.Errorf("make pipeline: %w", err)
		}
		c.pipelines[p.Name] = p.UID
	}
	return nil
}

// makeFirst makes the first run, and remembers who wrote which field, which all runs have.
func (c *cluster) makeFirst(ctx context.Context) error {
	run := c.newRun(0)
	run.UID, run.Generation, run.CreationTimestamp = "", 0, metav1.Time{}
	status := run.Status
	if err := c.client.Create(ctx, run); err != nil {
		return err
	}
	run.Status = status
	if err := c.client.Status().Update(ctx, run); err != nil {
		return err
	}
	if c.managedFields = run.ManagedFields; len(c.managedFields) == 0 {
		return errors.New("the kube-apiserver does not say who wrote which field")
	}
	c.seeded = 1
	return nil
}

// makeRuns writes the runs from at to before end over etcd's JSON gateway. Each is a write of its own: Kubernetes
// takes a revision of etcd for one object, and a watch that goes on from it misses others that share it.
func (c *cluster) makeRuns(ctx context.Context, at, end int) error {
	for i := at; i < end; i++ {
		run := c.newRun(i)
		run.ManagedFields = c.managedFields
		value, err := json.Marshal(run)
		if err != nil {
			return err
		}
		key := "/registry/" + devopsv1alpha3.GroupName + "/" + devopsv1alpha3.PipelineRunResource + "/" + run.Namespace + "/" + run.Name
		if err := c.put(ctx, key, value); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) put(ctx context.Context, key string, value []byte) error {
	body, err := json.Marshal(map[string][]byte{"key": []byte(key), "value": value})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.env.ControlPlane.Etcd.URL.String()+"/v3/kv/put", bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := c.etcd.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("etcd: %s: %.300s", resp.Status, answer)
	}
	return err
}

// jenkinsfile is a pipeline of a usual size; fill makes a run as long as objectSize with it.
const jenkinsfile = `pipeline {
  agent { label 'maven' }
  stages {
    stage('build') { steps { sh 'mvn -B -ntp verify' } }
`

const jenkinsfileEnd = "  }\n}\n"

func pipelineSpec(i int, script string) devopsv1alpha3.PipelineSpec {
	return devopsv1alpha3.PipelineSpec{
		Type: devopsv1alpha3.NoScmPipelineType,
		Pipeline: &devopsv1alpha3.NoScmPipeline{
			Name: pipelineName(i), Jenkinsfile: script + jenkinsfileEnd,
		},
	}
}

// newRun is a run that has ended, as the controllers leave it, of objectSize bytes.
func (c *cluster) newRun(i int) *devopsv1alpha3.PipelineRun {
	of := pipelineOf(i)
	pipeline := c.pipelines[pipelineName(of)]
	namespace, name := projectName(of%projects), pipelineName(of)
	number := 1 + i/2
	if of != 0 {
		number = 1 + i/2/(pipelines-1)
	}
	// One is made each minute, the first some weeks ago.
	made := metav1.NewTime(c.first.Add(time.Duration(i) * time.Minute))
	begin, end := metav1.NewTime(made.Add(time.Minute)), metav1.NewTime(made.Add(5*time.Minute))
	phase, result, reason, state := devopsv1alpha3.Succeeded, "SUCCESS", devopsv1alpha3.ReasonSuccess, metav1.ConditionTrue
	if i%7 == 0 {
		phase, result, reason, state = devopsv1alpha3.Failed, "FAILURE", devopsv1alpha3.ReasonFailure, metav1.ConditionFalse
	}
	controller := true
	run := &devopsv1alpha3.PipelineRun{
		TypeMeta: metav1.TypeMeta{APIVersion: devopsv1alpha3.GroupVersion.String(), Kind: devopsv1alpha3.PipelineRunKind},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: fmt.Sprintf("%s-%05d", name, number),
			UID: types.UID(uuid.NewString()), Generation: 1, CreationTimestamp: made,
			Labels: map[string]string{devopsv1alpha3.PipelineNameLabel: name},
			Annotations: map[string]string{
				devopsv1alpha3.PipelineRunCreatorAnnotation:       "admin",
				devopsv1alpha3.JenkinsPipelineRunIDAnnotation:     fmt.Sprint(number),
				devopsv1alpha3.QueueItemAnnotation:                fmt.Sprint(1000 + i),
				devopsv1alpha3.ArchivedAnnotation:                 end.UTC().Format(time.RFC3339),
				devopsv1alpha3.JenkinsPipelineRunStatusAnnotation: blueOcean(namespace, name, result, number, begin.Time),
			},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: devopsv1alpha3.GroupVersion.String(), Kind: devopsv1alpha3.PipelineKind, Name: name, UID: pipeline, Controller: &controller,
			}},
		},
		Spec: devopsv1alpha3.PipelineRunSpec{
			PipelineRef: &corev1.ObjectReference{
				APIVersion: devopsv1alpha3.GroupVersion.String(), Kind: devopsv1alpha3.PipelineKind, Namespace: namespace, Name: name, UID: pipeline,
			},
			Parameters: []devopsv1alpha3.Parameter{{Name: "REVISION", Value: "main"}},
		},
		Status: devopsv1alpha3.PipelineRunStatus{
			StartTime: &begin, CompletionTime: &end, UpdateTime: &end, Phase: phase,
			Conditions: []devopsv1alpha3.Condition{
				{Type: devopsv1alpha3.ConditionSucceeded, Status: state, LastProbeTime: end, LastTransitionTime: end, Reason: reason},
				{Type: devopsv1alpha3.ConditionRunReady, Status: metav1.ConditionTrue, LastProbeTime: begin, LastTransitionTime: begin, Reason: devopsv1alpha3.ReasonStarted},
			},
		},
	}
	fill(run, of)
	return run
}

// fill adds steps to the Jenkinsfile until the run is as large as it is to be.
func fill(run *devopsv1alpha3.PipelineRun, pipeline int) {
	size := func(script string) int {
		spec := pipelineSpec(pipeline, script)
		run.Spec.PipelineSpec = &spec
		text, err := json.Marshal(run)
		if err != nil {
			panic(err) // the type is made for it
		}
		return len(text)
	}
	const begin, filler, end = "    // ", "a word about the next stage ", "\n"
	missing := max(0, objectSize-versionSize-size(jenkinsfile+begin+end))
	size(jenkinsfile + begin + strings.Repeat(filler, missing/len(filler)+1)[:missing] + end)
}

// versionSize is what the resourceVersion takes in an answer.
const versionSize = len(`,"resourceVersion":"12345"`)

// blueOcean is Blue Ocean's JSON of a build.
func blueOcean(namespace, pipeline, result string, number int, begin time.Time) string {
	const layout = "2006-01-02T15:04:05.000-0700"
	at := fmt.Sprintf("/blue/rest/organizations/jenkins/pipelines/%s/pipelines/%s/", namespace, pipeline)
	links := map[string]any{}
	link := func(name, href string) {
		links[name] = map[string]string{"_class": "io.jenkins.blueocean.rest.hal.Link", "href": href}
	}
	link("parent", at)
	link("self", fmt.Sprintf("%sruns/%d/", at, number))
	for _, name := range []string{"tests", "nodes", "log", "blueTestSummary", "actions", "steps", "changeSet", "artifacts"} {
		link(name, fmt.Sprintf("%sruns/%d/%s/", at, number, name))
	}
	text, err := json.Marshal(map[string]any{
		"_class": "io.jenkins.blueocean.rest.impl.pipeline.PipelineRunImpl", "_links": links, "actions": []any{}, "artifactsZipFile": nil,
		"causeOfBlockage": nil, "causes": []any{map[string]any{
			"_class": "io.jenkins.blueocean.service.embedded.rest.AbstractRunImpl$BlueCauseImpl", "shortDescription": "Started by user admin", "userId": "admin", "userName": "admin",
		}},
		"description": nil, "durationInMillis": 240000, "enQueueTime": begin.Format(layout), "endTime": begin.Add(4 * time.Minute).Format(layout),
		"estimatedDurationInMillis": 240000, "id": fmt.Sprint(number), "name": nil, "organization": "jenkins", "pipeline": pipeline, "replayable": true,
		"result": result, "runSummary": "stable", "startTime": begin.Format(layout), "state": "FINISHED", "type": "WorkflowRun", "changeSet": []any{},
		"branch": nil, "commitId": nil, "commitUrl": nil, "pullRequest": nil,
	})
	if err != nil {
		panic(err) // maps of text
	}
	return string(text)
}
