// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfiles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// Target is where cases run.
type Target struct {
	// Jenkins is asked for what came out.
	Jenkins *jenkins.Client
	// Folder is where the jobs are, Label that of its agents.
	Folder, Label string
	// Git serves the repositories.
	Git *GitServer
	// Poll is how often is looked whether something has happened; Patience is how long a build may take.
	Poll, Patience time.Duration
	// NoAnyAgent says that there is no agent without a label: "agent any" becomes one with it.
	NoAnyAgent bool
	// NoPods says that its agents are no pods.
	NoPods bool
	// Image is one that pods of a case's own making can use.
	Image string
	// Pipelines makes and starts them.
	Pipelines Pipelines
}

// Pipelines makes and starts pipelines.
type Pipelines interface {
	// Put makes a pipeline and waits until it can be started.
	Put(ctx context.Context, name string, spec *devopsv1alpha3.PipelineSpec) error
	// PutCredential makes a credential.
	PutCredential(ctx context.Context, c Credential) error
	// Start starts a build of a job, as pkg/jenkins names it, and returns its number.
	Start(ctx context.Context, job string, parameters map[string]string) (int64, error)
	// Ended is called for each build with what Jenkins says of it.
	Ended(ctx context.Context, job string, build int64, run *jenkins.Run) error
	// Counts returns the counts of the test report of a build.
	Counts(ctx context.Context, job string, build int64) (Tests, error)
}

// player plays one case.
type player struct {
	*Target
	c    *Case
	repo *Repo
	fill *strings.Replacer
	// last is the last build of each job.
	last map[string]int64
}

// Play runs a case.
func (target *Target) Play(ctx context.Context, t *testing.T, c *Case) {
	t.Helper()
	if c.Pods && target.NoPods {
		c = c.withoutPods()
	}
	p := &player{Target: target, c: c, last: map[string]int64{}}
	if err := p.prepare(ctx); err != nil {
		t.Fatal(err)
	}
	var beside []func()
	flush := func() {
		for _, follow := range beside {
			follow()
		}
		beside = nil
	}
	for i := range c.Builds {
		b := &c.Builds[i]
		name := fmt.Sprintf("build %d", i+1)
		if b.Alone {
			flush()
		}
		job, number, err := p.start(ctx, b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		follow := func() { p.follow(ctx, t, b, jenkins.BuildRef{Folder: p.Folder, Job: job, Number: number}, name) }
		if b.Beside == "" {
			follow()
			continue
		}
		if err := p.untilLogged(ctx, job, number, b.Beside); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		beside = append(beside, follow)
	}
	flush()
}

// anyAgent and anyNode are agents that only some servers have.
var (
	anyAgent = regexp.MustCompile(`\bagent\s+any\b`)
	anyNode  = regexp.MustCompile(`\bnode\s*\{`)
)

// prepare makes repositories, credentials and jobs.
func (p *player) prepare(ctx context.Context) error {
	library, err := p.Git.NewRepo(p.c.Name + "-library.git")
	if err != nil {
		return err
	}
	if p.repo, err = p.Git.NewRepo(p.c.Name + ".git"); err != nil {
		return err
	}
	p.fill = strings.NewReplacer("@REPO@", p.repo.URL, "@LIBRARY@", library.URL, "@IMAGE@", p.Image, "dc-team.app", p.Label)
	script, err := p.jenkinsfile("Jenkinsfile")
	if err != nil {
		return err
	}
	for folder, repo := range map[string]*Repo{"repo": p.repo, "library": library} {
		files, err := p.c.tree(folder, p.fill)
		if err != nil {
			return err
		}
		if (p.c.MultiBranch || p.c.Source) && repo == p.repo {
			files["Jenkinsfile"] = script
		}
		if len(files) == 0 {
			continue
		}
		if err := repo.Commit(Commit{Message: "Begin", Files: files}); err != nil {
			return err
		}
	}
	for _, commit := range p.c.Commits {
		if err := p.commit(commit); err != nil {
			return err
		}
	}
	for _, credential := range p.c.Credentials {
		if err := p.Pipelines.PutCredential(ctx, credential); err != nil {
			return err
		}
	}
	for _, job := range p.c.Jobs {
		script, err := p.jenkinsfile(job + ".Jenkinsfile")
		if err != nil {
			return err
		}
		if err := p.Pipelines.Put(ctx, p.jobName(job), inline(script)); err != nil {
			return err
		}
	}
	spec := inline(script)
	switch {
	case p.c.Source:
		spec.Pipeline = &devopsv1alpha3.NoScmPipeline{Source: &devopsv1alpha3.JenkinsfileSource{URL: p.repo.URL, Ref: "main"}}
	case p.c.MultiBranch:
		spec = &devopsv1alpha3.PipelineSpec{
			Type: devopsv1alpha3.MultiBranchPipelineType,
			MultiBranchPipeline: &devopsv1alpha3.MultiBranchPipeline{SourceType: "git",
				GitSource: &devopsv1alpha3.GitSource{ScmID: p.c.Name, URL: p.repo.URL, DiscoverBranches: true}},
		}
	}
	return p.Pipelines.Put(ctx, p.c.Name, spec)
}

func inline(script string) *devopsv1alpha3.PipelineSpec {
	return &devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.NoScmPipelineType,
		Pipeline: &devopsv1alpha3.NoScmPipeline{Jenkinsfile: script}}
}

func (p *player) jenkinsfile(name string) (string, error) {
	script, err := p.c.File(name, p.fill)
	if p.NoAnyAgent {
		script = anyAgent.ReplaceAllLiteralString(script, "agent { label '"+p.Label+"' }")
		if !strings.Contains(script, "pipeline {") {
			script = anyNode.ReplaceAllLiteralString(script, "node('"+p.Label+"') {")
		}
	}
	return script, err
}

// jobName is the name of one of the further jobs.
func (p *player) jobName(job string) string { return p.c.Name + "-" + job }

func (p *player) commit(c Commit) error {
	filled := maps.Clone(c.Files)
	for name, text := range filled {
		filled[name] = p.fill.Replace(text)
	}
	c.Files = filled
	return p.repo.Commit(c)
}

// start starts a build, or finds the one that something else has started.
func (p *player) start(ctx context.Context, b *Build) (job string, number int64, err error) {
	job = p.c.Name
	if b.Job != "" {
		job = p.jobName(b.Job)
	}
	if b.Branch != "" {
		job = jenkins.BranchJob(job, jenkins.BranchJobName(b.Branch))
	}
	started := b.Started
	for _, c := range b.Commits {
		if err := p.commit(c); err != nil {
			return "", 0, err
		}
	}
	if len(b.Commits) > 0 && p.c.MultiBranch {
		if err := p.Jenkins.Scan(ctx, p.Folder, p.c.Name); err != nil {
			return "", 0, err
		}
		started = true
	}
	if !started {
		number, err = p.Pipelines.Start(ctx, job, b.Parameters)
		if err == nil {
			p.last[job] = number
		}
		return job, number, err
	}
	number = p.last[job] + 1
	p.last[job] = number
	return job, number, p.until(ctx, fmt.Sprintf("%s #%d to be there", job, number), func() (bool, error) {
		_, err := p.Jenkins.GetRun(ctx, p.Folder, job, number)
		if errors.Is(err, jenkins.ErrNotFound) {
			return false, nil
		}
		return err == nil, err
	})
}

// until waits for a condition.
func (p *player) until(ctx context.Context, what string, done func() (bool, error)) error {
	ticker := time.NewTicker(p.Poll)
	defer ticker.Stop()
	deadline := time.After(p.Patience)
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-deadline:
			return fmt.Errorf("waited %s in vain for %s", p.Patience, what)
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
		}
	}
}

func (p *player) log(ctx context.Context, job string, number int64) (string, error) {
	text, _, _, err := p.Jenkins.Log(ctx, p.Folder, job, number, 0)
	if err != nil {
		return "", err
	}
	content, err := io.ReadAll(text)
	return string(content), errors.Join(err, text.Close())
}

func (p *player) untilLogged(ctx context.Context, job string, number int64, line string) error {
	return p.until(ctx, fmt.Sprintf("the log of %s #%d to have %q", job, number, line), func() (bool, error) {
		log, err := p.log(ctx, job, number)
		if errors.Is(err, jenkins.ErrNotFound) {
			return false, nil
		}
		return MissingLine(log, []string{line}) == "", err
	})
}

// follow sees a build to its end and compares it with what is expected.
func (p *player) follow(ctx context.Context, t *testing.T, b *Build, ref jenkins.BuildRef, name string) {
	t.Helper()
	run, err := p.finish(ctx, b, ref)
	log, logErr := p.log(ctx, ref.Job, ref.Number)
	if err = errors.Join(err, logErr); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, tailOf(log))
	}
	if diff := cmp.Diff(b.Result, run.Result); diff != "" {
		t.Errorf("%s: result (-want +got):\n%s%s", name, diff, tailOf(log))
	}
	nodes, err := p.Jenkins.Nodes(ctx, p.Folder, ref.Job, ref.Number)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if diff := cmp.Diff(append([]string{}, b.Graph...), Graph(nodes)); diff != "" {
		t.Errorf("%s: graph (-want +got):\n%s", name, diff)
	}
	for _, problem := range []string{MissingLine(log, b.Log), Forbidden(log, b.Absent)} {
		if problem != "" {
			t.Errorf("%s: %s", name, problem)
		}
	}
	if n := strings.Count(log, "\n"); n < b.Lines {
		t.Errorf("%s: the log has %d lines, want %d at least", name, n, b.Lines)
	}
	p.compareRun(t, b, run, log, name)
	p.compareFiles(ctx, t, b, ref, name)
	if err := p.Pipelines.Ended(ctx, ref.Job, ref.Number, run); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// finish answers inputs, stops the build where that is asked for, and waits for its end.
func (p *player) finish(ctx context.Context, b *Build, ref jenkins.BuildRef) (run *jenkins.Run, err error) {
	if b.Stop != "" {
		if err := p.untilLogged(ctx, ref.Job, ref.Number, b.Stop); err != nil {
			return nil, err
		}
		if err := p.Jenkins.StopBuild(ctx, p.Folder, ref.Job, ref.Number); err != nil {
			return nil, err
		}
	}
	for _, answer := range b.Inputs {
		if err := p.answer(ctx, ref, answer); err != nil {
			return nil, err
		}
	}
	err = p.until(ctx, fmt.Sprintf("%s #%d to end", ref.Job, ref.Number), func() (bool, error) {
		var err error
		run, err = p.Jenkins.GetRun(ctx, p.Folder, ref.Job, ref.Number)
		if errors.Is(err, jenkins.ErrNotFound) {
			return false, nil
		}
		return err == nil && run.State == jenkins.StateFinished, err
	})
	return run, err
}

// answer waits for a question and answers it.
func (p *player) answer(ctx context.Context, ref jenkins.BuildRef, a Answer) error {
	return p.until(ctx, "the input "+a.ID, func() (bool, error) {
		stages, err := p.Jenkins.OpenStages(ctx, p.Folder, ref.Job, ref.Number)
		if errors.Is(err, jenkins.ErrNotFound) {
			return false, nil
		}
		for _, stage := range stages {
			for _, step := range stage.Steps {
				if step.Input == nil || step.State != "PAUSED" || a.ID != "*" && step.Input.ID != a.ID {
					continue
				}
				if a.Message != "" && step.Input.Message != a.Message || a.Submitter != "" && step.Input.Submitter != a.Submitter {
					return false, fmt.Errorf("the input %s asks %q of %q", a.ID, step.Input.Message, step.Input.Submitter)
				}
				answer := jenkins.Answer{Node: stage.ID, Step: step.ID, InputID: step.Input.ID, Abort: a.Abort}
				for _, name := range slices.Sorted(maps.Keys(a.Parameters)) {
					answer.Parameters = append(answer.Parameters, jenkins.Parameter{Name: name, Value: a.Parameters[name]})
				}
				return true, p.Jenkins.SubmitInput(ctx, p.Folder, ref.Job, ref.Number, answer)
			}
		}
		return false, err
	})
}

// agentLine is what the log says of each agent.
var agentLine = regexp.MustCompile(`(?m)^(\[[^\]\n]*\] )?Running on .* in /`)

// compareRun compares what is told of the build itself.
func (p *player) compareRun(t *testing.T, b *Build, run *jenkins.Run, log, name string) {
	t.Helper()
	if b.Description != nil && *b.Description != run.Description {
		t.Errorf("%s: the description is %q, want %q", name, run.Description, *b.Description)
	}
	if b.DisplayName != "" && b.DisplayName != run.Name {
		t.Errorf("%s: the name is %q, want %q", name, run.Name, b.DisplayName)
	}
	if b.Changes != nil {
		got := []string{}
		for _, change := range run.ChangeSet {
			got = append(got, strings.TrimSpace(change.Message))
		}
		if diff := cmp.Diff(b.Changes, got); diff != "" {
			t.Errorf("%s: changes (-want +got):\n%s", name, diff)
		}
	}
	if b.Agents != nil {
		if n := len(agentLine.FindAllString(log, -1)); n != *b.Agents {
			t.Errorf("%s: it ran on %d agents, want %d", name, n, *b.Agents)
		}
	}
}

// compareFiles compares artifacts and the test report.
func (p *player) compareFiles(ctx context.Context, t *testing.T, b *Build, ref jenkins.BuildRef, name string) {
	t.Helper()
	if b.Artifacts != nil {
		got, err := p.artifacts(ctx, b, ref)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(b.Artifacts, got); diff != "" {
			t.Errorf("%s: artifacts (-want +got):\n%s", name, diff)
		}
	}
	if b.Tests != nil {
		got, err := p.Pipelines.Counts(ctx, ref.Job, ref.Number)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(*b.Tests, got); diff != "" {
			t.Errorf("%s: tests (-want +got):\n%s", name, diff)
		}
	}
}

func (p *player) artifacts(ctx context.Context, b *Build, ref jenkins.BuildRef) (map[string]string, error) {
	list, err := p.Jenkins.ListArtifacts(ctx, p.Folder, ref.Job, ref.Number)
	if err != nil {
		return nil, err
	}
	got := map[string]string{}
	for _, a := range list {
		if b.Artifacts[a.Path] == "*" {
			got[a.Path] = "*"
			continue
		}
		file, err := p.Jenkins.OpenArtifact(ctx, p.Folder, ref.Job, ref.Number, a.Path)
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(file)
		if err = errors.Join(err, file.Close()); err != nil {
			return nil, err
		}
		got[a.Path] = string(content)
	}
	return got, nil
}

// tailOf is the end of a log.
func tailOf(log string) string {
	lines := strings.Split(log, "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}
