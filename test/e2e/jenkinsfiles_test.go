// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/pkg/apiclient"
	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/demo"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/test/jenkinsfiles"
)

const (
	// jenkinsfilesAtOnce bounds how many cases run beside each other: each has up to three pods.
	jenkinsfilesAtOnce = 8
	// casePatience is how long a build, or Slipway's word of it, may take.
	casePatience = 90 * time.Second
	casePoll     = 300 * time.Millisecond
)

// TestJenkinsfiles runs the cases of test/jenkinsfiles as users do: as pipelines and runs of Slipway, in pods of
// the image of a dev container. SLIPWAY_JENKINSFILES is a regular expression for the names of those to run.
func TestJenkinsfiles(t *testing.T) {
	cases, err := jenkinsfiles.Load("../jenkinsfiles", os.Getenv("SLIPWAY_JENKINSFILES"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	target := clusterTarget(ctx, t)
	slots := make(chan struct{}, jenkinsfilesAtOnce)
	t.Run("each", func(t *testing.T) {
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				slots <- struct{}{}
				defer func() { <-slots }()
				target.Play(ctx, t, c)
			})
		}
	})
	checkNoAgentPods(ctx, t, target.Folder)
}

// clusterTarget makes a project with a dev container whose image the builds run in.
func clusterTarget(ctx context.Context, t *testing.T) *jenkinsfiles.Target {
	t.Helper()
	session, err := suite.login(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	name, container := project(t, session, 4040)
	repositories, err := jenkinsfiles.ServeGit(ctx, filepath.Join(t.TempDir(), "git"), suite.state.HostIP)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = repositories.Close() })
	token, err := suite.state.Jenkins.Secret()
	if err != nil {
		t.Fatal(err)
	}
	client, err := jenkins.New(jenkins.Config{URL: suite.state.Jenkins.URL, Username: suite.state.Jenkins.Username, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	return &jenkinsfiles.Target{
		Jenkins: client, Folder: name, Label: container.AgentLabel, Git: repositories, NoAnyAgent: true, Image: suite.state.DevImage,
		Poll: casePoll, Patience: casePatience,
		Pipelines: &slipwayPipelines{
			Direct: jenkinsfiles.Direct{Client: client, Folder: name, URL: suite.state.Jenkins.URL, Username: suite.state.Jenkins.Username,
				Token: token, Poll: casePoll},
			session: session, runs: map[string]*devopsv1alpha3.PipelineRun{},
		},
	}
}

// slipwayPipelines makes Pipelines and PipelineRuns. Credentials and test reports are those of Jenkins.
type slipwayPipelines struct {
	jenkinsfiles.Direct
	session *demo.Session

	mu sync.Mutex
	// runs are those that were started, by job and number of the build.
	runs map[string]*devopsv1alpha3.PipelineRun
}

func (p *slipwayPipelines) path() string { return devopsAPI + "/namespaces/" + p.Folder }

// Put implements jenkinsfiles.Pipelines.
func (p *slipwayPipelines) Put(ctx context.Context, name string, spec *devopsv1alpha3.PipelineSpec) error {
	pipeline := devopsv1alpha3.Pipeline{}
	pipeline.Name, pipeline.Spec = name, *spec
	if err := p.session.API.Do(ctx, apiclient.Request{Method: http.MethodPost, Path: p.path() + "/pipelines", Object: pipeline}, nil); err != nil {
		return fmt.Errorf("create pipeline %s: %w", name, err)
	}
	return until(ctx, "pipeline "+name+" to be in Jenkins", func() (bool, error) {
		var got devopsv1alpha3.Pipeline
		if err := p.session.API.Do(ctx, apiclient.Request{Path: p.path() + "/pipelines/" + name}, &got); err != nil {
			return false, err
		}
		status := got.Annotations[devopsv1alpha3.PipelineSyncStatusAnnotation]
		if status == devopsv1alpha3.SyncStatusFailed {
			return false, errors.New(got.Annotations[devopsv1alpha3.PipelineSyncMsgAnnotation])
		}
		return status == devopsv1alpha3.SyncStatusSuccessful, nil
	})
}

// Start implements jenkinsfiles.Pipelines.
func (p *slipwayPipelines) Start(ctx context.Context, job string, parameters map[string]string) (int64, error) {
	var given []devopsv1alpha3.Parameter
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		given = append(given, devopsv1alpha3.Parameter{Name: name, Value: parameters[name]})
	}
	run, err := p.session.StartRun(ctx, p.Folder, job, given...)
	if err != nil {
		return 0, err
	}
	var number int64
	err = until(ctx, "the build of "+run.Name, func() (bool, error) {
		if err := p.read(ctx, run); err != nil {
			return false, err
		}
		id := run.Annotations[devopsv1alpha3.JenkinsPipelineRunIDAnnotation]
		if id == "" {
			if run.Status.Phase.Ended() {
				return false, fmt.Errorf("run %s of %s is %s: %+v", run.Name, job, run.Status.Phase, runCondition(run, devopsv1alpha3.ConditionSucceeded))
			}
			return false, nil
		}
		var err error
		number, err = strconv.ParseInt(id, 10, 64)
		return err == nil, err
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.runs[runKey(job, number)] = run
	return number, err
}

func runKey(job string, number int64) string { return fmt.Sprintf("%s#%d", job, number) }

func (p *slipwayPipelines) read(ctx context.Context, run *devopsv1alpha3.PipelineRun) error {
	name := run.Name
	*run = devopsv1alpha3.PipelineRun{}
	return p.session.API.Do(ctx, apiclient.Request{Path: p.path() + "/pipelineruns/" + name}, run)
}

// phases are what Slipway calls Jenkins' results.
var phases = map[string]devopsv1alpha3.RunPhase{
	"SUCCESS": devopsv1alpha3.Succeeded, "UNSTABLE": devopsv1alpha3.Succeeded, "FAILURE": devopsv1alpha3.Failed, "ABORTED": devopsv1alpha3.Cancelled, "NOT_BUILT": devopsv1alpha3.Cancelled,
}

// Ended implements jenkinsfiles.Pipelines: what Slipway says of a run is what Jenkins says of its build.
func (p *slipwayPipelines) Ended(ctx context.Context, job string, build int64, result *jenkins.Run) error {
	p.mu.Lock()
	run := p.runs[runKey(job, build)]
	p.mu.Unlock()
	if run == nil {
		// The scan or another build has started it.
		return nil
	}
	err := until(ctx, run.Name+" to end in Slipway", func() (bool, error) {
		err := p.read(ctx, run)
		return err == nil && run.Status.Phase.Ended() && run.Annotations[devopsv1alpha3.ArchivedAnnotation] != "", err
	})
	if err != nil {
		return err
	}
	if run.Status.Phase != phases[result.Result] {
		return fmt.Errorf("the run is %s, Jenkins says %s: %+v", run.Status.Phase, result.Result, runCondition(run, devopsv1alpha3.ConditionSucceeded))
	}
	return p.compareStages(ctx, job, build, run)
}

// compareStages compares the stages and the end of the log that Slipway has with those of Jenkins.
func (p *slipwayPipelines) compareStages(ctx context.Context, job string, build int64, run *devopsv1alpha3.PipelineRun) error {
	nodes, err := p.Client.Nodes(ctx, p.Folder, job, build)
	if err != nil {
		return err
	}
	stages, err := p.session.Stages(ctx, run)
	if err != nil {
		return err
	}
	if len(stages) != len(nodes) {
		return fmt.Errorf("slipway has %d stages, Jenkins %d", len(stages), len(nodes))
	}
	for i, s := range stages {
		if n := nodes[i]; s.DisplayName != n.DisplayName || s.State != n.State || s.Result != n.Result {
			return fmt.Errorf("stage %d is %+v in Slipway, %s %s %s in Jenkins", i+1, s, n.DisplayName, n.State, n.Result)
		}
	}
	var log strings.Builder
	if err := p.session.StreamLog(ctx, run, &log); err != nil {
		return err
	}
	if !strings.Contains(log.String(), "Finished: ") {
		return fmt.Errorf("the log of Slipway has no end: %.200s", log.String())
	}
	return nil
}

// until waits for a condition.
func until(ctx context.Context, what string, done func() (bool, error)) error {
	ticker := time.NewTicker(casePoll)
	defer ticker.Stop()
	deadline := time.After(casePatience)
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-deadline:
			return fmt.Errorf("waited %s in vain for %s", casePatience, what)
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
		}
	}
}
