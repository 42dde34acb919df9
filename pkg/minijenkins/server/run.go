// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"cmp"
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
	// past is what a former process kept of the build, nil for a new one; history its events.
	past    *store.RunRecord
	history *store.History
	// ctx and stop are set when the build begins; before, stop is nil.
	ctx  context.Context //nolint:containedctx // it is the build's life, not a request's
	stop context.CancelCauseFunc
	// unclaimed give back the locks of before a restart, until the engine runs.
	unclaimed []func()
	// milestones are nil until they are asked for or restored.
	milestones *buildMilestones
	// waits are the agents that the build waits for, by ID. Server.mu guards it.
	waits []*placeholder
	// done is closed when the build is over and recorded.
	done chan struct{}

	// testsMu is held while test results are added.
	testsMu sync.Mutex

	mu sync.Mutex
	// ended says that the build is over, suspended that it will go on after a restart of the server; what the
	// engine still reports is dropped.
	ended, suspended bool
	// closing is written above the last line of the log; lastWritten says that this is there already.
	closing     string
	lastWritten bool
	nodes       []engine.Node
	steps       []engine.Step
	// questions are the inputs that wait for an answer, the oldest first.
	questions []*question
	// abortedBy are the users or reasons that interrupted the build; interrupts the same as they are stored.
	abortedBy  []string
	interrupts []store.Interrupt
	// nodeSeq and stepSeq are the places of nodes and steps by ID.
	nodeSeq, stepSeq map[string]int
}

// newRun makes a build that does not run yet. s.mu is held, or nobody else knows s.
func (s *Server) newRun(job *item, b *store.Build) *buildRun {
	return &buildRun{s: s, job: job, jobName: job.fullName(), build: b, key: b.Key(), causes: b.Causes, given: b.Params,
		done: make(chan struct{}), nodeSeq: map[string]int{}, stepSeq: map[string]int{}}
}

// openLog opens the log of the build. A failure of it later ends the build.
func (r *buildRun) openLog() (err error) {
	r.log, err = r.s.store.CreateLog(r.key, func(err error) { r.cancel(&engine.AbortError{Reason: err.Error()}) })
	return err
}

// launch begins a build. s.mu is held.
func (s *Server) launch(job *item, b *store.Build, q *store.QueueItem) {
	r := s.newRun(job, b)
	r.script, r.stage = q.Script, q.Stage
	if err := r.openLog(); err != nil {
		klog.FromContext(s.base).Error(err, "log cannot be made", "job", r.jobName, "number", b.Number)
	}
	s.runs[b.Key()] = r
	job.live++
	s.emit(EventInitialize, job, b)
	r.begin(s.base)
}

// begin runs the build, within the life of base.
func (r *buildRun) begin(base context.Context) {
	ctx, stop := context.WithCancelCause(base)
	r.mu.Lock()
	if r.ended { // it was killed before it could go on
		unclaimed := r.unclaimed
		r.unclaimed = nil
		r.mu.Unlock()
		for _, release := range unclaimed {
			release()
		}
		stop(nil)
		return
	}
	r.ctx, r.stop = ctx, stop
	early := slices.Clone(r.interrupts)
	r.mu.Unlock()
	// Those of the time before a restart, or between it and now, are as new.
	for _, i := range early {
		stop(abortOf(i))
	}
	r.s.wg.Add(1)
	go r.main()
}

func abortOf(i store.Interrupt) *engine.AbortError {
	return &engine.AbortError{User: i.User, Reason: i.Reason, Result: i.Result}
}

// cancel interrupts the build and remembers by whom, also over a restart.
func (r *buildRun) cancel(cause *engine.AbortError) {
	r.interrupt(store.Interrupt{User: cause.User, Reason: cause.Reason, Result: cause.Result})
}

func (r *buildRun) interrupt(i store.Interrupt) {
	r.mu.Lock()
	if !r.ended && !slices.Contains(r.interrupts, i) {
		if r.build.Durable {
			// Whoever asked for it hears that it is done when it is on disk. A store that is closed says no then.
			_ = r.s.store.PutInterrupt(r.key, len(r.interrupts), i)
		}
		r.noteInterrupt(i)
	}
	stop := r.stop
	r.mu.Unlock()
	if stop != nil {
		stop(abortOf(i))
	}
}

// noteInterrupt remembers who interrupted the build; Jenkins does not note by whom a build was killed. r.mu is held.
func (r *buildRun) noteInterrupt(i store.Interrupt) {
	r.interrupts = append(r.interrupts, i)
	if !i.Hard {
		r.abortedBy = append(r.abortedBy, cmp.Or(i.User, i.Reason))
	}
}

// hardKill is what the log of a killed build says.
const hardKill = "Hard kill!"

// kill ends the build at once and lets what it does die alone.
func (r *buildRun) kill(user string) {
	i := store.Interrupt{User: user, Hard: true}
	r.mu.Lock()
	suspended := r.suspended
	r.mu.Unlock()
	if !suspended {
		r.finish(engine.ResultAborted, hardKill)
	}
	r.interrupt(i)
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
	if r.past != nil && r.overBefore() {
		return
	}
	r.writeCauses()
	if r.past == nil {
		r.s.emitNow(EventStarted, r.job, r.build)
	}
	result, err := r.execute()
	if r.isSuspended() {
		if err := r.log.Suspend(); err != nil {
			klog.FromContext(r.ctx).Error(err, "log is not complete", "job", r.jobName, "number", r.key.Number)
		}
		return
	}
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
	case c.SCM:
		return "Started by an SCM change"
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
func (r *buildRun) line(text string) { _, _ = io.WriteString(r.log.Writer(""), oneLine(text)) }

func oneLine(text string) string {
	return strings.NewReplacer("\r", " ", "\n", " ").Replace(text) + "\n"
}

// execute finds, reads, checks and runs the Jenkinsfile.
func (r *buildRun) execute() (engine.Result, error) {
	plan, planned := r.plan()
	if !planned {
		var err error
		if plan.Script, plan.SCM, plan.Origin, err = r.source(); err == nil {
			err = r.s.store.PutScript(r.key, plan.Script)
		}
		if err != nil {
			return r.refuse(plan, "ERROR: "+oneLine(err.Error()), err)
		}
	}
	p, err := r.s.parse(plan.Script)
	if err != nil {
		return r.refuse(plan, compileErrors(plan.Script, err), err)
	}
	r.s.mu.Lock()
	r.build.Scripted = p.Script != nil // it is in no record until the build ends
	r.s.mu.Unlock()
	agents := &waitingAgents{run: r, inner: r.s.agents.ForBuild(kube.Build{
		ID: r.id(), Project: r.jobProject(), Job: r.jobName, Number: r.key.Number,
	})}
	libs, err := r.loadLibraries(plan, planned, p)
	var refused *engine.CheckError
	if errors.As(err, &refused) {
		return r.refuse(plan, compileErrors(plan.Script, err), err)
	}
	if err != nil {
		return r.refuse(plan, "ERROR: "+oneLine(err.Error()), err)
	}
	if !planned {
		if err := r.s.check(p, agents, libs); err != nil {
			return r.refuse(plan, compileErrors(plan.Script, err), err)
		}
	}
	params, err := r.params(p)
	if err != nil {
		return r.refuse(plan, "ERROR: "+oneLine(err.Error()), err)
	}
	if !planned {
		plan.Previous, plan.Env = r.takeOver(p), r.env()
		if err := r.keepPlan(plan); err != nil {
			return r.refuse(plan, "ERROR: "+oneLine(err.Error()), err)
		}
	}
	if plan.Origin != "" {
		r.line(plan.Origin)
	}
	for _, note := range plan.Notes {
		r.line(note)
	}
	changes, changesEnd := r.beginChanges(plan.SCM)
	defer changesEnd()
	spec, end := r.withServices(engine.RunSpec{
		Pipeline: p, Params: params, Env: plan.Env, Agents: agents, Recorder: r, SCM: plan.SCM, SetProperties: r.setProperties,
		Artifacts: &artifacts{r: r}, Inputs: r, Tests: r, FirstStage: plan.Stage, Credentials: credentialSource{r.s, r.key}, Changes: changes, Loaded: libs, Libraries: libraries{r},
		Build: engine.BuildInfo{
			ID: r.id(), JobName: r.jobName, Number: r.key.Number, PreviousResult: plan.Previous, StartTime: r.build.Started,
			BuildURL: plan.Env["BUILD_URL"], JobURL: plan.Env["JOB_URL"], Branch: r.branch(),
		},
	})
	defer end()
	if r.build.Durable {
		if r.history == nil {
			if r.history, err = r.s.store.OpenHistory(r.key, r.log); err != nil {
				return r.refuse(plan, "ERROR: "+oneLine(err.Error()), err)
			}
		}
		spec.History = history{r}
	}
	r.mu.Lock()
	r.unclaimed = nil // the engine gives back what it finds in the history
	r.mu.Unlock()
	return r.s.run(r.ctx, spec)
}

// refuse ends a build before its first stage, with a text for the log. One that was aborted meanwhile says by whom instead.
func (r *buildRun) refuse(plan *store.Plan, text string, err error) (engine.Result, error) {
	result := engine.ResultFailure
	var abort *engine.AbortError
	if errors.As(context.Cause(r.ctx), &abort) {
		text, result = oneLine(abort.Error()), cmp.Or(abort.Result, engine.ResultAborted)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closing = ""
	if plan.Origin != "" {
		r.closing = oneLine(plan.Origin)
	}
	for _, note := range plan.Notes {
		r.closing += oneLine(note)
	}
	r.closing += text
	return result, err
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
	if !r.build.Scripted {
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
	next.Cron, next.Triggers = cronOf(p), triggersOf(p)
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

// maxShownProblems bounds how many problems of a Jenkinsfile are shown, maxShownLine the line that is shown with each, in bytes: one long
// line with thousands of them would be shown thousands of times.
const (
	maxShownProblems = 200
	maxShownLine     = 2000
)

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
			p := problem{e.Line, e.Column, e.Error()}
			if e.File != "" {
				p.line = 0 // its text is not here
			}
			problems = append(problems, p)
		}
	default:
		problems = append(problems, problem{text: "WorkflowScript: " + err.Error()})
	}
	lines := strings.Split(script, "\n")
	var b strings.Builder
	b.WriteString("org.codehaus.groovy.control.MultipleCompilationErrorsException: startup failed:\n")
	for i, p := range problems {
		if i == maxShownProblems {
			fmt.Fprintf(&b, "... and %d more\n\n", len(problems)-i)
			break
		}
		b.WriteString(p.text + "\n")
		if p.line >= 1 && p.line <= len(lines) {
			if src := strings.TrimRight(lines[p.line-1], "\r"); len(src) <= maxShownLine {
				b.WriteString("   " + src + "\n   " + strings.Repeat(" ", max(0, min(p.column-1, len([]rune(src))))) + "^\n")
			}
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
// written before "Finished:". A suspended build is not ended.
func (r *buildRun) finish(result engine.Result, note string) {
	r.mu.Lock()
	if r.ended || r.suspended {
		r.mu.Unlock()
		return
	}
	r.ended = true
	defer close(r.done)
	nodes, steps, abortedBy := slices.Clone(r.nodes), slices.Clone(r.steps), r.abortedBy
	last := r.closing + finished + string(result) + "\n"
	if note != "" {
		last = r.closing + oneLine(note) + finished + string(result) + "\n"
	}
	if r.lastWritten {
		last = ""
	}
	unclaimed := r.unclaimed
	r.unclaimed = nil
	r.mu.Unlock()
	r.s.mu.RLock()
	log := r.s.logger()
	r.s.mu.RUnlock()
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
		if r.build.Durable {
			// With its last line the build is over, whatever happens; see overBefore.
			if err := r.s.store.Flush(); err != nil {
				log.Error(err, "end of build is not stored yet", "job", r.jobName, "number", r.key.Number)
			}
		}
		if last != "" {
			r.log.End(last)
		}
		if err := r.log.Close(); err != nil {
			log.Error(err, "log is not complete", "job", r.jobName, "number", r.key.Number)
		}
	}
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	b := r.build
	b.Building, b.Result, b.AbortedBy = false, result, abortedBy
	end := r.s.now()
	if last == "" { // it was over before a restart
		end = r.s.store.LogTime(r.key)
	}
	b.Duration = max(time.Millisecond, end.Sub(b.Started))
	dropSecrets(b)
	for _, release := range unclaimed {
		release()
	}
	if r.s.items[b.Job] != nil {
		r.s.startDependents(r.job, b, r.past != nil)
		if err := r.s.store.EndBuild(b); err != nil {
			log.Error(err, "end of build is not stored", "job", r.jobName, "number", b.Number)
		}
	}
	delete(r.s.runs, b.Key())
	r.job.live--
	r.s.endMilestones(r.job)
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
