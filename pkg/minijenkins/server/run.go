// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/kube"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// buildRun is a build that runs.
type buildRun struct {
	s       *Server
	job     *item
	jobName string
	build   *store.Build
	// key, causes and given are of the build; they never change.
	key    store.BuildKey
	causes []store.Cause
	given  []store.Param
	log    *store.Log
	// script and stage are of a build that is run again.
	script, stage string
	ctx           context.Context //nolint:containedctx // it is the build's life, not a request's
	stop          context.CancelCauseFunc
	// waits are the agents that the build waits for, by ID. Server.mu guards it.
	waits []*placeholder
	// done is closed when the build is over and recorded.
	done chan struct{}

	// testsMu is held while test results are added.
	testsMu sync.Mutex

	mu sync.Mutex
	// ended says that the build is over; what the engine still reports is dropped.
	ended bool
	nodes []engine.Node
	steps []engine.Step
	// questions are the inputs that wait for an answer, the oldest first.
	questions []*question
	// abortedBy are the users or reasons that interrupted the build.
	abortedBy []string
	// nodeSeq and stepSeq are the places of nodes and steps by ID.
	nodeSeq, stepSeq map[string]int
}

// launch begins a build. s.mu is held.
func (s *Server) launch(job *item, b *store.Build, q *store.QueueItem) {
	ctx, cancel := context.WithCancelCause(s.base)
	r := &buildRun{s: s, job: job, jobName: job.fullName(), build: b, key: b.Key(), causes: b.Causes, given: b.Params, script: q.Script, stage: q.Stage, ctx: ctx, stop: cancel,
		done: make(chan struct{}), nodeSeq: map[string]int{}, stepSeq: map[string]int{}}
	var err error
	if r.log, err = s.store.CreateLog(b.Key(), func(err error) { r.cancel(&engine.AbortError{Reason: err.Error()}) }); err != nil {
		klog.FromContext(s.base).Error(err, "log cannot be made", "job", r.jobName, "number", b.Number)
	}
	s.runs[b.Key()] = r
	job.live++
	s.emit(EventInitialize, job, b)
	s.wg.Add(1)
	go r.main()
}

// cancel interrupts the build and remembers by whom.
func (r *buildRun) cancel(cause *engine.AbortError) {
	who := cause.User
	if who == "" {
		who = cause.Reason
	}
	r.mu.Lock()
	if !r.ended {
		r.abortedBy = append(r.abortedBy, who)
	}
	r.mu.Unlock()
	r.stop(cause)
}

// main runs the build from its first line to its last.
func (r *buildRun) main() {
	defer r.s.wg.Done()
	defer r.stop(nil)
	// Nothing of a build happens before it is known for good: it would happen twice after a crash.
	if err := r.s.store.Flush(); err != nil {
		r.cancel(&engine.AbortError{Reason: err.Error()})
	}
	if r.log == nil {
		r.finish(engine.ResultFailure, "")
		return
	}
	r.writeCauses()
	r.s.emitNow(EventStarted, r.job, r.build)
	result, err := r.execute()
	if err != nil {
		klog.FromContext(r.ctx).V(1).Info("build ended with an error", "job", r.jobName, "number", r.key.Number, "error", err.Error())
	}
	r.finish(result, "")
}

func (r *buildRun) writeCauses() {
	var seen []string
	for _, c := range r.causes {
		if t := causeText(c); !slices.Contains(seen, t) {
			seen = append(seen, t)
			r.line(t)
		}
	}
}

func causeText(c store.Cause) string {
	switch {
	case c.Indexing:
		return "Branch indexing"
	case c.Timer:
		return "Started by timer"
	case c.Upstream != nil:
		return upstreamText(c.Upstream)
	case c.Stage != "":
		return "Restarted from build #" + strconv.Itoa(c.Replay) + ", stage " + c.Stage
	case c.Rebuild:
		return "Rebuilt #" + strconv.Itoa(c.Replay)
	case c.Replay > 0:
		return "Replayed #" + strconv.Itoa(c.Replay)
	case c.Remote && c.Note != "":
		return "Started by remote host " + c.Addr + " with note: " + c.Note
	case c.Remote:
		return "Started by remote host " + c.Addr
	default:
		return "Started by user " + c.User
	}
}

// line writes one line into the log. Line ends in the text would forge lines, so they become spaces.
func (r *buildRun) line(text string) {
	_, _ = io.WriteString(r.log.Writer(""), strings.NewReplacer("\r", " ", "\n", " ").Replace(text)+"\n")
}

func (r *buildRun) text(text string) { _, _ = io.WriteString(r.log.Writer(""), text) }

// execute finds, reads, checks and runs the Jenkinsfile.
func (r *buildRun) execute() (engine.Result, error) {
	script, scm, err := r.source()
	if err != nil {
		r.line("ERROR: " + err.Error())
		return engine.ResultFailure, err
	}
	if err := r.s.store.PutScript(r.key, script); err != nil {
		r.line("ERROR: " + err.Error())
		return engine.ResultFailure, err
	}
	p, err := r.s.parse(script)
	if err != nil {
		r.text(compileErrors(script, err))
		return engine.ResultFailure, err
	}
	agents := &waitingAgents{run: r, inner: r.s.agents.ForBuild(kube.Build{
		Project: r.jobProject(), Job: r.jobName, Number: r.key.Number,
	})}
	if err := r.s.check(p, agents); err != nil {
		r.text(compileErrors(script, err))
		return engine.ResultFailure, err
	}
	params, err := r.params(p)
	if err != nil {
		r.line("ERROR: " + err.Error())
		return engine.ResultFailure, err
	}
	prev := r.takeOver(p)
	spec, end := r.withServices(engine.RunSpec{
		Pipeline: p, Params: params, Env: r.env(), Agents: agents, Recorder: r, SCM: scm, SetProperties: r.setProperties,
		Artifacts: artifacts{r}, Inputs: r, Tests: r, FirstStage: r.stage, Credentials: credentialSource{r.s, r.key},
		Build: engine.BuildInfo{
			ID:      fmt.Sprintf("%s-%d-%d", r.s.store.Instance(), r.key.Job, r.key.Number),
			JobName: r.jobName, Number: r.key.Number, PreviousResult: prev, StartTime: r.build.Started,
			BuildURL: r.env()["BUILD_URL"], JobURL: r.env()["JOB_URL"], Branch: r.branch(),
		},
	})
	defer end()
	return r.s.run(r.ctx, spec)
}

func (r *buildRun) jobProject() string {
	top, _, _ := strings.Cut(r.jobName, "/")
	return top
}

// params are the values of the build's parameters; those that only the Jenkinsfile defines have
// their defaults.
func (r *buildRun) params(p *jenkinsfile.Pipeline) ([]engine.ParamValue, error) {
	given := map[string]string{}
	out := paramValues(r.given)
	for _, v := range r.given {
		given[v.Name] = v.Value
	}
	rest := slices.DeleteFunc(slices.Clone(p.Parameters()), func(d jenkinsfile.Parameter) bool {
		_, ok := given[d.Name]
		return ok
	})
	more, err := engine.ResolveParams(rest, nil)
	if err != nil {
		return nil, fmt.Errorf("parameters: %w", err)
	}
	return append(out, more...), nil
}

// takeOver puts the parameters and options of the Jenkinsfile into the job, as Jenkins does when a
// build begins, and returns the result of the build before. A Scripted Pipeline does it by itself with
// the step properties; see setProperties.
func (r *buildRun) takeOver(p *jenkinsfile.Pipeline) engine.Result {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if p.Script == nil {
		r.configure(p)
	}
	if prev, _ := r.job.around(r.build); prev != nil {
		return prev.Result
	}
	return ""
}

// setProperties is the step properties.
func (r *buildRun) setProperties(_ context.Context, p *jenkinsfile.Pipeline) error {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.configure(p)
	return nil
}

// configure sets the parameters and options of the job. s.mu is held.
func (r *buildRun) configure(p *jenkinsfile.Pipeline) {
	next := *r.job.Item
	next.Parameters = p.Parameters()
	next.NoConcurrent, next.AbortPrevious = concurrencyOf(p)
	next.Discard = discarderOf(p)
	next.Cron = cronOf(p)
	if r.s.items[next.ID] != nil && !reflect.DeepEqual(next, *r.job.Item) && r.s.store.PutItem(&next) == nil {
		*r.job.Item = next
	}
}

// env are the variables that Jenkins sets for every build.
func (r *buildRun) env() map[string]string {
	n := strconv.Itoa(r.key.Number)
	base := r.jobName[strings.LastIndexByte(r.jobName, '/')+1:]
	root := r.s.buildURLBase() + "/"
	jobURL := strings.TrimSuffix(root, "/") + "/" + encodeNames(strings.Split(r.jobName, "/"))
	out := map[string]string{
		"BUILD_NUMBER": n, "BUILD_ID": n, "BUILD_DISPLAY_NAME": "#" + n,
		"BUILD_TAG": "jenkins-" + strings.ReplaceAll(r.jobName, "/", "-") + "-" + n,
		"BUILD_URL": jobURL + n + "/", "JOB_URL": jobURL, "JOB_NAME": r.jobName, "JOB_BASE_NAME": base,
		"JENKINS_URL": root, "HUDSON_URL": root, "EXECUTOR_NUMBER": "0", "CI": "true",
	}
	r.branchEnv(out)
	return out
}

// compileErrors writes the problems of a Jenkinsfile the way Groovy's compiler does, each with its
// line and a mark under the column.
func compileErrors(script string, err error) string {
	type problem struct {
		line, column int
		text         string
	}
	var problems []problem
	var list *jenkinsfile.ErrorList
	var checked *engine.CheckError
	switch {
	case errors.As(err, &list):
		for _, e := range list.Errors {
			problems = append(problems, problem{e.Line, e.Column, e.Error()})
		}
	case errors.As(err, &checked):
		for _, e := range checked.Problems {
			problems = append(problems, problem{e.Line, e.Column, e.Error()})
		}
	default:
		problems = append(problems, problem{text: "WorkflowScript: " + err.Error()})
	}
	lines := strings.Split(script, "\n")
	var b strings.Builder
	b.WriteString("org.codehaus.groovy.control.MultipleCompilationErrorsException: startup failed:\n")
	for _, p := range problems {
		b.WriteString(p.text + "\n")
		if p.line >= 1 && p.line <= len(lines) {
			src := strings.TrimRight(lines[p.line-1], "\r")
			b.WriteString("   " + src + "\n   " + strings.Repeat(" ", max(0, min(p.column-1, len([]rune(src))))) + "^\n")
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "%d error", len(problems))
	if len(problems) != 1 {
		b.WriteString("s")
	}
	b.WriteString("\n\n")
	return b.String()
}

// finish ends the build once: its last lines, its record, the discarder. note, if not empty, is
// written before "Finished:".
func (r *buildRun) finish(result engine.Result, note string) {
	r.mu.Lock()
	if r.ended {
		r.mu.Unlock()
		return
	}
	r.ended = true
	defer close(r.done)
	nodes, steps, abortedBy := slices.Clone(r.nodes), slices.Clone(r.steps), r.abortedBy
	r.mu.Unlock()
	log := klog.FromContext(r.s.base)
	for i := range nodes {
		if endNode(&nodes[i], r.s.now()) {
			_ = r.s.store.PutNode(r.key, i, nodes[i])
		}
	}
	for i := range steps {
		if endStep(&steps[i], r.s.now()) {
			_ = r.s.store.PutStep(r.key, i, steps[i])
		}
	}
	if r.log != nil {
		r.log.Flush()
		if note != "" {
			r.line(note)
		}
		r.line("Finished: " + string(result))
		if err := r.log.Close(); err != nil {
			log.Error(err, "log is not complete", "job", r.jobName, "number", r.key.Number)
		}
	}
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	b := r.build
	b.Building, b.Result, b.AbortedBy = false, result, abortedBy
	b.Duration = max(time.Millisecond, r.s.now().Sub(b.Started))
	dropSecrets(b)
	if r.s.items[b.Job] != nil {
		if err := r.s.store.PutBuild(b); err != nil {
			log.Error(err, "end of build is not stored", "job", r.jobName, "number", b.Number)
		}
	}
	delete(r.s.runs, b.Key())
	r.job.live--
	for _, p := range slices.Clone(r.waits) {
		r.s.dropPlaceholder(p)
	}
	r.s.emit(EventCompleted, r.job, b)
	r.s.emit(EventFinalized, r.job, b)
	if r.s.items[b.Job] != nil {
		r.s.discard(r.job)
	}
	r.s.poke()
}

// dropSecrets removes the values of password parameters from a record that stays.
func dropSecrets(b *store.Build) {
	b.Params = slices.Clone(b.Params)
	for i := range b.Params {
		if b.Params[i].Type == jenkinsfile.ParameterPassword {
			b.Params[i].Value = ""
		}
	}
}

// endNode and endStep end what still runs when its build is over.
func endNode(n *engine.Node, now time.Time) bool {
	switch n.State {
	case engine.StateRunning, engine.StatePaused, engine.StateQueued:
		n.State, n.Result, n.CauseOfBlockage = engine.StateFinished, engine.ResultAborted, ""
		if !n.StartTime.IsZero() {
			n.Duration = max(0, now.Sub(n.StartTime))
		}
		return true
	}
	return false
}

func endStep(st *engine.Step, now time.Time) bool {
	switch st.State {
	case engine.StateRunning, engine.StatePaused, engine.StateQueued:
		st.State, st.Result, st.Input = engine.StateFinished, engine.ResultAborted, nil
		if !st.StartTime.IsZero() {
			st.Duration = max(0, now.Sub(st.StartTime))
		}
		return true
	}
	return false
}

// endInterrupted ends a build that a former process left running.
func (s *Server) endInterrupted(b *store.Build, reason string) error {
	end := s.store.LogTime(b.Key())
	if end.Before(b.Started) {
		end = s.now()
	}
	nodes, steps, err := s.store.Graph(b.Key())
	if err != nil {
		return err
	}
	for i := range nodes {
		if endNode(&nodes[i], end) {
			err = errors.Join(err, s.store.PutNode(b.Key(), i, nodes[i]))
		}
	}
	for i := range steps {
		if endStep(&steps[i], end) {
			err = errors.Join(err, s.store.PutStep(b.Key(), i, steps[i]))
		}
	}
	l, lerr := s.store.CreateLog(b.Key(), nil)
	if err = errors.Join(err, lerr); err != nil {
		return fmt.Errorf("end interrupted build: %w", err)
	}
	l.Flush()
	_, err = io.WriteString(l.Writer(""), reason+"\nFinished: "+string(engine.ResultAborted)+"\n")
	if err = errors.Join(err, l.Close()); err != nil {
		return fmt.Errorf("end interrupted build: %w", err)
	}
	b.Building, b.Result, b.Duration = false, engine.ResultAborted, max(time.Millisecond, end.Sub(b.Started))
	b.AbortedBy = append(b.AbortedBy, reason)
	dropSecrets(b)
	return errors.Join(s.store.PutBuild(b), s.store.DropStashes(b.Key()))
}

// discard deletes the builds that the job's discarder does not keep: too many or too old, not the
// last successful one, not a kept one. s.mu is held.
func (s *Server) discard(job *item) {
	d := job.cfg.discard
	if d.Num <= 0 && d.Days <= 0 {
		d = job.Discard
	}
	if d.Num <= 0 && d.Days <= 0 {
		return
	}
	lastGood, lastStable := job.build("lastSuccessfulBuild"), job.build("lastStableBuild")
	for i, b := range slices.Clone(job.history()) {
		tooMany := d.Num > 0 && i >= d.Num
		tooOld := d.Days > 0 && s.now().Sub(b.Started) > time.Duration(d.Days)*24*time.Hour
		if !tooMany && !tooOld || b.Building || b.KeepLog || b == lastGood || b == lastStable {
			continue
		}
		if err := s.store.DeleteBuild(b.Key()); err != nil {
			klog.FromContext(s.base).Error(err, "old build is not deleted", "job", job.fullName(), "number", b.Number)
			continue
		}
		job.dropBuild(b.Number)
		s.emit(EventDeleted, job, b)
	}
}
