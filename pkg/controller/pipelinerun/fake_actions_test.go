// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// What the fake knows of replays, inputs and builds that were started in Jenkins.

func (f *fakeJenkins) ReplayRun(_ context.Context, folder, job string, number int64) (int64, error) {
	return run(f, "ReplayRun", func() (int64, error) {
		b, err := f.build(folder, job, number)
		if err != nil {
			return 0, err
		}
		f.nextItem++
		f.items[f.nextItem] = &fakeItem{id: f.nextItem, job: folder + "/" + job, params: b.params, replays: number, since: f.now()}
		return f.nextItem, nil
	})
}

// branchJob tells if a job is that of a branch, which has no token.
func branchJob(job string) bool { return strings.Count(job, "/") > 1 }

func (f *fakeJenkins) unmarkedStarts(folder, job string, match jenkins.StartMatch) (out []jenkins.Found) {
	meant := func(replays, item int64, foreign bool) bool {
		return !slices.Contains(match.Except, item) && replays == match.Replay && !foreign && (replays > 0 || branchJob(folder+"/"+job))
	}
	for _, item := range f.items {
		if item.job == folder+"/"+job && item.build == 0 && !item.cancelled && meant(item.replays, item.id, len(item.started) > 0) {
			out = append(out, jenkins.Found{QueueID: item.id})
		}
	}
	if j := f.jobs[folder+"/"+job]; j != nil {
		for _, b := range j.builds {
			if meant(b.replays, b.queue, len(b.started) > 0) && !b.start.Before(match.Since) {
				out = append(out, jenkins.Found{QueueID: b.queue, BuildNumber: b.number})
			}
		}
	}
	slices.SortFunc(out, func(a, b jenkins.Found) int { return int(a.QueueID - b.QueueID) })
	return out
}

func (f *fakeJenkins) UnmarkedStarts(_ context.Context, folder, job string, match jenkins.StartMatch) ([]jenkins.Found, error) {
	return run(f, "UnmarkedStarts", func() ([]jenkins.Found, error) { return f.unmarkedStarts(folder, job, match), nil })
}

func (f *fakeJenkins) FindUnmarkedStart(_ context.Context, folder, job string, match jenkins.StartMatch) (*jenkins.Found, error) {
	return run(f, "FindUnmarkedStart", func() (*jenkins.Found, error) {
		if found := f.unmarkedStarts(folder, job, match); len(found) > 0 {
			return &found[0], nil
		}
		return nil, answer(0, jenkins.ErrNotFound, "no new start")
	})
}

func (f *fakeJenkins) SubmitInput(_ context.Context, folder, job string, number int64, a jenkins.Answer) error {
	_, err := run(f, "SubmitInput", func() (any, error) {
		b, err := f.build(folder, job, number)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(b.inputs, func(in jenkins.Input) bool { return in.ID == a.InputID })
		if i < 0 {
			return nil, answer(http.StatusBadRequest, jenkins.ErrInvalid, "there is no input "+a.InputID)
		}
		b.inputs = slices.Delete(b.inputs, i, i+1)
		if a.Abort && !f.catchesAborts {
			b.inputs, b.state, b.result, b.end = nil, jenkins.StateFinished, jenkins.ResultAborted, f.now()
			return nil, nil
		}
		if len(b.inputs) == 0 {
			b.state, b.start = jenkins.StateRunning, f.now()
		}
		return nil, nil
	})
	return err
}

// ask lets the last build of a job wait at inputs.
func (f *fakeJenkins) ask(job string, inputs ...jenkins.Input) {
	f.mu.Lock()
	defer f.mu.Unlock()
	builds := f.jobs[job].builds
	b := builds[len(builds)-1]
	b.state, b.inputs, b.waits = jenkins.StatePaused, inputs, f.now()
}

// inputStages are the stages of a build that waits at inputs.
func inputStages(b *fakeBuild) []jenkins.Stage {
	stage := jenkins.Stage{ID: "4", DisplayName: "gate", State: jenkins.StatePaused}
	for i := range b.inputs {
		stage.Steps = append(stage.Steps, jenkins.Step{ID: strconv.Itoa(5 + i), State: jenkins.StatePaused, StartTime: jenkins.Time{Time: b.waits}, Input: &b.inputs[i]})
	}
	return []jenkins.Stage{stage}
}

// startInJenkins starts a build that Slipway knows nothing of.
func (f *fakeJenkins) startInJenkins(job string, causes ...jenkins.StartCause) *fakeBuild {
	f.mu.Lock()
	defer f.mu.Unlock()
	j := f.jobs[job]
	if j == nil {
		j = &fakeJob{}
		f.jobs[job] = j
	}
	f.nextItem++
	b := &fakeBuild{number: j.next(), queue: f.nextItem, started: causes, state: jenkins.StateRunning, start: f.now()}
	j.builds = append(j.builds, b)
	return b
}

func (f *fakeJenkins) StartedBuilds(_ context.Context, folder, job string) ([]jenkins.StartedBuild, error) {
	return run(f, "StartedBuilds", func() ([]jenkins.StartedBuild, error) {
		j, err := f.job(folder, job)
		if err != nil {
			return nil, err
		}
		var out []jenkins.StartedBuild
		for _, b := range slices.Backward(j.builds) {
			started := jenkins.StartedBuild{Number: b.number, QueueID: b.queue, Building: b.state != jenkins.StateFinished, Result: b.result,
				Start: b.start, Causes: b.started, Parameters: b.values}
			for _, note := range b.causes {
				started.Causes = append(started.Causes, jenkins.StartCause{Class: "RemoteCause", Note: note})
			}
			if b.replays > 0 {
				started.Causes = append(started.Causes, jenkins.StartCause{Class: "ReplayCause", Text: "Replayed #" + strconv.FormatInt(b.replays, 10)})
			}
			out = append(out, started)
		}
		return out, nil
	})
}
