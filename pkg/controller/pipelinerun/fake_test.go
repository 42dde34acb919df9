// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/pkg/jenkins"
	jenkinsevents "github.com/slipway-dev/slipway/pkg/jenkins/events"
)

// clock is a time that the test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// fakeJenkins behaves as the recordings of a real one: it merges equal waiting starts, denies a build
// for a moment after it got its number, and forgets queue items after five minutes.
type fakeJenkins struct {
	now func() time.Time

	mu       sync.Mutex
	items    map[int64]*fakeItem
	jobs     map[string]*fakeJob
	nextItem int64
	// held keeps items in the queue.
	held bool
	// drops: no job defines a parameter, so that all values are dropped.
	drops bool
	// lasts is how long a build takes; 0: two seconds.
	lasts time.Duration
	// zip is the address of the artifacts as JSON.
	zip string
	// prompt: a build is shown as soon as it has its number.
	prompt bool
	// latency is what each call takes.
	latency time.Duration
	// onChange is told of what happens to builds, while the lock is held.
	onChange func(kind jenkinsevents.Type, job string, b *fakeBuild)
	// endless keeps builds running.
	endless bool
	// stubborn is how many stops a build takes to end.
	stubborn int
	// catchesAborts: the builds go on when an input is refused.
	catchesAborts bool
	result        string
	log           string
	stages        []jenkins.Stage
	// err is given by every call while it is set.
	err error
	// fault is called before and after the effect of each call.
	fault func(call, when string) error
	calls map[string]int
}

type fakeItem struct {
	id, build int64
	job       string
	params    string
	causes    []string
	replays   int64
	started   []jenkins.StartCause
	cancelled bool
	left      time.Time
	since     time.Time
}

type fakeJob struct {
	hasParameters, disabled bool
	builds                  []*fakeBuild
	// last is the number of the newest build that there was.
	last int64
	// keep is how many ended builds Jenkins' discarder keeps, 0 for all.
	keep int
}

// next gives the number of the next build.
func (j *fakeJob) next() int64 {
	if j.last == 0 && len(j.builds) > 0 {
		j.last = j.builds[len(j.builds)-1].number
	}
	j.last++
	return j.last
}

// discard deletes the ended builds that are not kept.
func (j *fakeJob) discard() {
	ended := 0
	for _, b := range slices.Backward(j.builds) {
		if b.state == jenkins.StateFinished {
			ended++
		}
		b.gone = j.keep > 0 && b.state == jenkins.StateFinished && ended > j.keep
	}
	j.builds = slices.DeleteFunc(j.builds, func(b *fakeBuild) bool { return b.gone })
}

type fakeBuild struct {
	number, queue int64
	causes        []string
	replays       int64
	inputs        []jenkins.Input
	waits         time.Time // since when, at the inputs
	params        string
	started       []jenkins.StartCause
	values        []jenkins.Parameter
	gone          bool
	state, result string
	start, end    time.Time
	asked, stops  int
}

func newFakeJenkins(now func() time.Time) *fakeJenkins {
	return &fakeJenkins{now: now, items: map[int64]*fakeItem{}, jobs: map[string]*fakeJob{}, nextItem: 100,
		zip: `"/x.zip"`, result: jenkins.ResultSuccess, calls: map[string]int{}, log: "Started\nRunning on dc-p-agent-x1 in /home/jenkins\n"}
}

// answer is an error as the client gives it.
func answer(status int, kind error, message string) error {
	return errors.Join(&jenkins.Error{Op: "fake", Status: status, Message: message}, kind)
}

var (
	errDown    = answer(0, jenkins.ErrUnavailable, "connection refused")
	errTimeout = answer(0, jenkins.ErrUnavailable, "no answer in time")
)

// begin notes a call and tells if it is to fail before its effect; end is called after it.
func (f *fakeJenkins) begin(call string) (end func(error) error, err error) {
	f.mu.Lock()
	f.calls[call]++
	fault, down, latency := f.fault, f.err, f.latency
	f.mu.Unlock()
	if latency > 0 {
		time.Sleep(latency)
	}
	if down != nil {
		return nil, down
	}
	if fault != nil {
		if err := fault(call, "before"); err != nil {
			return nil, err
		}
	}
	return func(err error) error {
		if err == nil && fault != nil {
			return fault(call, "after")
		}
		return err
	}, nil
}

func run[T any](f *fakeJenkins, call string, effect func() (T, error)) (T, error) {
	var zero T
	end, err := f.begin("jenkins " + call)
	if err != nil {
		return zero, err
	}
	f.mu.Lock()
	out, err := effect()
	f.mu.Unlock()
	if err = end(err); err != nil {
		return zero, err
	}
	return out, nil
}

func (f *fakeJenkins) job(folder, job string) (*fakeJob, error) {
	if j := f.jobs[folder+"/"+job]; j != nil {
		return j, nil
	}
	return nil, answer(http.StatusNotFound, jenkins.ErrNotFound, "no such job")
}

func (f *fakeJenkins) build(folder, job string, number int64) (*fakeBuild, error) {
	j, err := f.job(folder, job)
	if err != nil {
		return nil, err
	}
	for _, b := range j.builds {
		if b.number == number {
			return b, nil
		}
	}
	return nil, answer(http.StatusNotFound, jenkins.ErrNotFound, "no such build")
}

func (f *fakeJenkins) StartBuild(_ context.Context, folder, job string, req jenkins.StartRequest) (int64, error) {
	return run(f, "StartBuild", func() (int64, error) {
		j, err := f.job(folder, job)
		switch {
		case err != nil:
			return 0, err
		case j.disabled:
			return 0, answer(http.StatusConflict, jenkins.ErrConflict, "the job is disabled")
		case j.hasParameters != req.HasParameters:
			return 0, answer(http.StatusBadRequest, jenkins.ErrInvalid, "wrong call")
		}
		var params []string
		for _, p := range req.Parameters {
			if f.drops {
				continue
			}
			params = append(params, p.Name+"="+p.Value)
		}
		sort.Strings(params)
		causes := []string{req.Cause}
		if branchJob(folder + "/" + job) {
			causes = nil
		}
		key := strings.Join(params, ";")
		for _, item := range f.items {
			if item.job == folder+"/"+job && item.build == 0 && !item.cancelled && item.params == key {
				item.causes = append(item.causes, causes...) // 303
				return item.id, nil
			}
		}
		f.nextItem++
		f.items[f.nextItem] = &fakeItem{id: f.nextItem, job: folder + "/" + job, params: key, causes: causes, since: f.now()}
		return f.nextItem, nil
	})
}

func (f *fakeJenkins) tell(job string, b *fakeBuild, kinds ...jenkinsevents.Type) {
	for _, kind := range kinds {
		if f.onChange != nil {
			f.onChange(kind, job, b)
		}
	}
}

// tick lets Jenkins work: items leave the queue, builds end.
func (f *fakeJenkins) tick() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, job := range f.jobs {
		for _, b := range job.builds {
			if b.state == jenkins.StateRunning && !f.endless && f.now().Sub(b.start) > max(f.lasts, 2*time.Second) {
				b.state, b.result, b.end = jenkins.StateFinished, f.result, f.now()
				f.tell(name, b, jenkinsevents.RunCompleted, jenkinsevents.RunFinalized)
			}
		}
		job.discard()
	}
	ids := make([]int64, 0, len(f.items))
	for id := range f.items {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		item := f.items[id]
		switch {
		case item.build == 0 && !item.cancelled && !f.held:
			job := f.jobs[item.job]
			if job == nil {
				item.cancelled, item.left = true, f.now()
				continue
			}
			b := &fakeBuild{number: job.next(), queue: id, causes: item.causes, replays: item.replays, started: item.started, params: item.params, state: jenkins.StateRunning, start: f.now()}
			job.builds = append(job.builds, b)
			item.build, item.left = b.number, f.now()
			f.tell(item.job, b, jenkinsevents.RunInitialize, jenkinsevents.RunStarted)
		case !item.left.IsZero() && f.now().Sub(item.left) > 5*time.Minute:
			delete(f.items, id)
		}
	}
}

func (f *fakeJenkins) FindByCause(_ context.Context, folder, job, cause string) (*jenkins.Found, error) {
	return run(f, "FindByCause", func() (*jenkins.Found, error) {
		for _, item := range f.items {
			if item.build == 0 && !item.cancelled && slices.Contains(item.causes, cause) {
				return &jenkins.Found{QueueID: item.id}, nil
			}
		}
		if j := f.jobs[folder+"/"+job]; j != nil {
			for i := len(j.builds) - 1; i >= 0 && i >= len(j.builds)-100; i-- {
				if slices.Contains(j.builds[i].causes, cause) {
					return &jenkins.Found{QueueID: j.builds[i].queue, BuildNumber: j.builds[i].number}, nil
				}
			}
		}
		return nil, answer(0, jenkins.ErrNotFound, "no such cause")
	})
}

func (f *fakeJenkins) GetQueueItem(_ context.Context, id int64) (*jenkins.QueueItem, error) {
	return run(f, "GetQueueItem", func() (*jenkins.QueueItem, error) {
		item := f.items[id]
		if item == nil {
			return nil, answer(http.StatusNotFound, jenkins.ErrNotFound, "no such item")
		}
		out := &jenkins.QueueItem{ID: id, BuildNumber: item.build, Cancelled: item.cancelled, Since: item.since}
		if item.build == 0 && !item.cancelled {
			out.Why = "Waiting for next available executor"
		}
		return out, nil
	})
}

func (f *fakeJenkins) CancelQueueItem(_ context.Context, id int64) error {
	_, err := run(f, "CancelQueueItem", func() (any, error) {
		item := f.items[id]
		switch {
		case item == nil:
			return nil, answer(http.StatusNotFound, jenkins.ErrNotFound, "no such item")
		case item.build > 0:
			return nil, answer(0, jenkins.ErrConflict, "it has become a build")
		}
		item.cancelled, item.left = true, f.now()
		return nil, nil
	})
	return err
}

func (f *fakeJenkins) GetRun(_ context.Context, folder, job string, number int64) (*jenkins.Run, error) {
	return run(f, "GetRun", func() (*jenkins.Run, error) {
		b, err := f.build(folder, job, number)
		if err != nil {
			return nil, err
		}
		if b.asked++; b.asked == 1 && !f.prompt {
			return nil, answer(http.StatusNotFound, jenkins.ErrNotFound, "not yet")
		}
		return f.runOf(b), nil
	})
}

func (f *fakeJenkins) ListRuns(_ context.Context, folder, job string, page jenkins.Page) ([]*jenkins.Run, error) {
	return run(f, "ListRuns", func() (list []*jenkins.Run, err error) {
		j, err := f.job(folder, job)
		if err != nil {
			return nil, err
		}
		for i, b := range slices.Backward(j.builds) {
			if at := len(j.builds) - 1 - i; at >= page.Start && at < page.Start+page.Limit {
				list = append(list, f.runOf(b))
			}
		}
		return list, nil
	})
}

// runOf gives a build as Blue Ocean does. f.mu is held.
func (f *fakeJenkins) runOf(b *fakeBuild) *jenkins.Run {
	out := &jenkins.Run{ID: fmt.Sprint(b.number), State: b.state, Result: b.result, DurationMillis: f.now().Sub(b.start).Milliseconds()}
	out.StartTime.Time, out.EndTime.Time = b.start, b.end
	if b.result == "" {
		out.Result = jenkins.ResultUnknown
	}
	out.RawJSON = fmt.Appendf(nil, `{"id":"%d","state":"%s","result":"%s","durationInMillis":%d,"artifactsZipFile":%s}`,
		b.number, out.State, out.Result, out.DurationMillis, f.zip)
	return out
}

func (f *fakeJenkins) Stages(_ context.Context, folder, job string, number int64) ([]jenkins.Stage, error) {
	return run(f, "Stages", func() ([]jenkins.Stage, error) { return f.stagesOf(folder, job, number) })
}

// stagesOf gives the stages of a build with their steps. f.mu is held.
func (f *fakeJenkins) stagesOf(folder, job string, number int64) ([]jenkins.Stage, error) {
	b, err := f.build(folder, job, number)
	switch {
	case err != nil:
		return nil, err
	case len(b.inputs) > 0:
		return inputStages(b), nil
	case f.stages != nil:
		return f.stages, nil
	}
	return []jenkins.Stage{{ID: "1", DisplayName: "build", State: b.state, DurationMillis: f.now().Sub(b.start).Milliseconds(), Steps: []jenkins.Step{}}}, nil
}

func (f *fakeJenkins) Nodes(_ context.Context, folder, job string, number int64) ([]jenkins.Stage, error) {
	return run(f, "Nodes", func() ([]jenkins.Stage, error) {
		stages, err := f.stagesOf(folder, job, number)
		stages = slices.Clone(stages)
		for i := range stages {
			stages[i].Steps = nil
		}
		return stages, err
	})
}

func (f *fakeJenkins) Steps(_ context.Context, folder, job string, number int64, node string) ([]jenkins.Step, error) {
	return run(f, "Steps", func() ([]jenkins.Step, error) {
		stages, err := f.stagesOf(folder, job, number)
		for _, stage := range stages {
			if stage.ID == node {
				return stage.Steps, err
			}
		}
		return nil, errors.Join(err, answer(http.StatusNotFound, jenkins.ErrNotFound, "no such stage"))
	})
}

func (f *fakeJenkins) RunSteps(_ context.Context, folder, job string, number int64) ([]jenkins.Step, error) {
	return run(f, "RunSteps", func() (steps []jenkins.Step, err error) {
		stages, err := f.stagesOf(folder, job, number)
		for _, stage := range stages {
			steps = append(steps, stage.Steps...)
		}
		return steps, err
	})
}

func (f *fakeJenkins) Queue(context.Context) ([]jenkins.Waiting, error) {
	return run(f, "Queue", func() ([]jenkins.Waiting, error) {
		var list []jenkins.Waiting
		for id, item := range f.items {
			if item.build == 0 && !item.cancelled {
				list = append(list, jenkins.Waiting{ID: id, Job: item.job, Why: "Waiting for next available executor"})
			}
		}
		return list, nil
	})
}

func (f *fakeJenkins) Log(_ context.Context, folder, job string, number, _ int64) (io.ReadCloser, int64, bool, error) {
	text, err := run(f, "Log", func() (string, error) {
		_, err := f.build(folder, job, number)
		return f.log, err
	})
	return io.NopCloser(strings.NewReader(text)), int64(len(text)), false, err
}

func (f *fakeJenkins) StopBuild(_ context.Context, folder, job string, number int64) error {
	_, err := run(f, "StopBuild", func() (any, error) {
		b, err := f.build(folder, job, number)
		if err != nil {
			return nil, err
		}
		if b.stops++; b.stops > f.stubborn && b.state != jenkins.StateFinished {
			b.state, b.result, b.end = jenkins.StateFinished, jenkins.ResultAborted, f.now()
		}
		return nil, nil
	})
	return err
}

func (f *fakeJenkins) DeleteBuild(_ context.Context, folder, job string, number int64) error {
	_, err := run(f, "DeleteBuild", func() (any, error) {
		if j := f.jobs[folder+"/"+job]; j != nil { // 404 is a success
			j.builds = slices.DeleteFunc(slices.Clone(j.builds), func(b *fakeBuild) bool { return b.number == number })
		}
		return nil, nil
	})
	return err
}

func (f *fakeJenkins) BuildStatuses(_ context.Context, folder string) (map[string][]jenkins.BuildStatus, error) {
	return run(f, "BuildStatuses", func() (map[string][]jenkins.BuildStatus, error) { return f.newest(folder, 30), nil })
}

func (f *fakeJenkins) FolderBuilds(_ context.Context, folder string, depth int) (map[string][]jenkins.BuildStatus, error) {
	return run(f, "FolderBuilds", func() (map[string][]jenkins.BuildStatus, error) { return f.newest(folder, depth), nil })
}

// newest gives the newest builds of the jobs of a folder. f.mu is held.
func (f *fakeJenkins) newest(folder string, depth int) map[string][]jenkins.BuildStatus {
	out := map[string][]jenkins.BuildStatus{}
	for name, job := range f.jobs {
		short, ok := strings.CutPrefix(name, folder+"/")
		if !ok {
			continue
		}
		for i := len(job.builds) - 1; i >= 0 && i >= len(job.builds)-depth; i-- {
			b := job.builds[i]
			out[short] = append(out[short], jenkins.BuildStatus{Number: b.number, QueueID: b.queue, Building: b.state != jenkins.StateFinished, Result: b.result, Start: b.start})
		}
	}
	return out
}

// builds counts the builds of all jobs that carry a cause.
func (f *fakeJenkins) builds(cause string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, job := range f.jobs {
		for _, b := range job.builds {
			if cause == "" || slices.Contains(b.causes, cause) {
				n++
			}
		}
	}
	return n
}
