// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// world is what outlives a server in the tests: the disk, the agents and what runs on them, people. It is
// seeded, so that the same executions take the same times in each run of a pipeline.
type world struct {
	t    *testing.T
	seed uint64
	// real is set where time is no fake.
	real bool

	mu sync.Mutex
	// log is the build's log, in pieces; kept is how many are on disk for sure.
	log    []logPiece
	kept   int
	nodes  map[string]Node
	steps  map[string]Step
	events []Event
	// appends counts all calls of Append, writes all writes of log lines.
	appends, writes int
	execs           map[string]*execState
	agents          map[string]*worldAgent
	counts          map[string]int
	files           map[string]string
	asked           map[string]time.Time
	builds          map[string]time.Time
	artifacts       memArtifacts
	tests           map[string]int
	abortAt         time.Time
	display         string
}

type logPiece struct{ step, text string }

type worldAgent struct {
	name     string
	ready    time.Time
	released int
}

// execState is a script that runs or has run.
type execState struct {
	starts int
	out    []timedText
	end    time.Time
	code   int
	stdout string
}

type timedText struct {
	at   time.Time
	text string
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	return &world{t: t, seed: seed, nodes: map[string]Node{}, steps: map[string]Step{}, execs: map[string]*execState{}, agents: map[string]*worldAgent{},
		counts: map[string]int{}, files: map[string]string{}, asked: map[string]time.Time{}, builds: map[string]time.Time{}, artifacts: memArtifacts{}, tests: map[string]int{}}
}

// some gives a time that depends on the seed and the key only.
func (w *world) some(key string, most time.Duration) time.Duration {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))
	return time.Duration(rand.New(rand.NewPCG(w.seed, h.Sum64())).Int64N(int64(most))) + time.Microsecond
}

// stream is the log of one step, "" for lines of none.
func (w *world) stream(step string) string {
	var b strings.Builder
	for _, p := range w.log {
		if p.step == step {
			b.WriteString(p.text)
		}
	}
	return b.String()
}

func (w *world) whole() string {
	var b strings.Builder
	for _, p := range w.log {
		if p.step != freeLog {
			b.WriteString(p.text)
		}
	}
	return b.String()
}

// life is one life of the server that runs the build.
type life struct {
	w    *world
	kill func()
	mu   sync.Mutex
	dead bool
	gone chan struct{}
	// have are the bytes of each step that the log had at the start, at how many were written again.
	have, at map[string]int
	// killAppend is the number of the append to die at, before it or behind it; killWrite the write.
	killAppend int
	before     bool
	killWrite  int
	// change changes what is run; err is what came of it.
	change func(*RunSpec)
	err    error
	// fail is what Append answers.
	fail error
	// loose is set if the script is another one.
	loose bool
	// suspendAfter is when the server stops with courtesy, 0 for never.
	suspendAfter time.Duration
	// quiet agents do not say that they wait.
	quiet bool
}

func (l *life) isDead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead
}

func (l *life) die() {
	l.mu.Lock()
	if !l.dead {
		l.dead = true
		close(l.gone)
	}
	l.mu.Unlock()
	l.kill()
}

func (l *life) Events() []Event { return slices.Clone(l.w.events) }

func (l *life) Append(_ context.Context, e Event) error {
	if l.isDead() {
		return ErrSuspended
	}
	l.mu.Lock()
	fail := l.fail
	l.mu.Unlock()
	if fail != nil {
		return fail
	}
	l.w.mu.Lock()
	l.w.appends++
	hit := l.w.appends == l.killAppend
	if !hit || !l.before {
		l.w.events = append(l.w.events, e)
		l.w.kept = len(l.w.log)
	}
	l.w.mu.Unlock()
	if hit {
		l.die()
		if l.before {
			return ErrSuspended
		}
	}
	return nil
}

func (l *life) PutNode(n Node) {
	if l.isDead() {
		return
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	l.w.nodes[n.ID] = n
}

func (l *life) PutStep(s Step) {
	if l.isDead() {
		return
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	l.w.steps[s.ID] = s
}

func (l *life) StoredGraph() ([]Node, []Step) {
	return slices.Collect(maps.Values(l.w.nodes)), slices.Collect(maps.Values(l.w.steps))
}

func (l *life) SetDescription(string)   {}
func (l *life) SetDisplayName(s string) { l.w.display = s }

type lifeLog struct {
	l    *life
	step string
}

func (l *life) Log(step string) io.Writer { return lifeLog{l, step} }

func (g lifeLog) Write(p []byte) (int, error) {
	l := g.l
	if l.isDead() {
		return len(p), nil
	}
	l.w.mu.Lock()
	l.w.writes++
	hit := l.w.writes == l.killWrite
	text := string(p)
	if g.step != freeLog {
		drop := min(max(l.have[g.step]-l.at[g.step], 0), len(text))
		if drop > 0 {
			if old := l.w.stream(g.step)[l.at[g.step] : l.at[g.step]+drop]; old != text[:drop] && !l.loose && !stampRE.MatchString(text) {
				l.w.t.Errorf("step %q: %q is written again as %q", g.step, old, text[:drop])
			}
		}
		l.at[g.step] += len(text)
		text = text[drop:]
	}
	if hit {
		text = text[:len(text)/2] // not all of it comes to the disk
	}
	if text != "" {
		l.w.log = append(l.w.log, logPiece{g.step, text})
	}
	l.w.mu.Unlock()
	if hit {
		l.die()
	}
	return len(p), nil
}

func (l *life) Skip(step string, n int64) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	l.at[step] += int(n)
}

func (l *life) Ahead(step string) int64 {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return int64(max(l.have[step]-l.at[step], 0))
}

// The agents.

func (l *life) HasLabel(string) bool { return true }

// until waits for a time of the world.
func (l *life) until(ctx context.Context, at time.Time) error {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-l.gone:
		return ErrSuspended
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *life) Acquire(ctx context.Context, req AgentRequest, waiting func(string)) (Agent, error) {
	if l.isDead() {
		return nil, ErrSuspended
	}
	l.w.mu.Lock()
	a := l.w.agents[req.ID]
	if a == nil {
		a = &worldAgent{name: "pod-" + req.ID, ready: time.Now().Add(l.w.some(req.ID, time.Second))}
		l.w.agents[req.ID] = a
	}
	l.w.mu.Unlock()
	if l.quiet {
		waiting = func(string) {}
	}
	waiting("pod is pending")
	if err := l.until(ctx, a.ready.Add(-l.w.some(req.ID, time.Second)/2)); err != nil {
		return nil, err
	}
	waiting("pod is starting")
	if err := l.until(ctx, a.ready); err != nil {
		return nil, err
	}
	return &lifeAgent{l, a}, nil
}

// Resume needs a context that lives, as it waits for the cluster.
func (l *life) Resume(ctx context.Context, req AgentRequest, name, _ string) (Agent, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	a := l.w.agents[req.ID]
	if a == nil || a.name != name {
		return nil, fmt.Errorf("agent %s of %s is unknown", name, req.ID)
	}
	return &lifeAgent{l, a}, nil
}

type lifeAgent struct {
	l *life
	a *worldAgent
}

func (a *lifeAgent) Name() string      { return a.a.name }
func (a *lifeAgent) Workspace() string { return "/ws/" + a.a.name }

var (
	exitRE  = regexp.MustCompile(`exit (\d+)`)
	flakyRE = regexp.MustCompile(`flaky (\d+)`)
	takesRE = regexp.MustCompile(`takes (\d+)`)
)

// start begins a script. What it does depends on its text: "exit 3", "flaky 2" fails twice, "takes 100" takes at least 100 s, "partial"
// ends within a line, "$NAME" is that variable.
func (w *world) start(req ShellRequest) *execState {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e := w.execs[req.ID]; e != nil {
		return e
	}
	e := &execState{starts: 1}
	w.execs[req.ID] = e
	now, script := time.Now(), req.Script
	if strings.HasPrefix(script, "#!") {
		e.end, e.stdout = now.Add(w.some(req.ID, time.Second)), "FROM_AGENT=yes\n"
		return e
	}
	for _, k := range slices.Backward(slices.Sorted(maps.Keys(req.Env))) {
		script = strings.ReplaceAll(script, "$"+k, req.Env[k])
	}
	took := w.some(req.ID, 3*time.Second)
	if m := takesRE.FindStringSubmatch(script); m != nil {
		n, _ := strconv.Atoi(m[1])
		took += time.Duration(n) * time.Second
	}
	e.end = now.Add(took)
	e.out = []timedText{{now, "+ " + script + "\n"}, {now.Add(took / 3), "half of a li"}, {now.Add(took / 2), "ne\nmore lines\n"}}
	if strings.Contains(script, "partial") {
		e.out = append(e.out, timedText{e.end, "no newline"})
	}
	if m := exitRE.FindStringSubmatch(script); m != nil {
		e.code, _ = strconv.Atoi(m[1])
	}
	if m := flakyRE.FindStringSubmatch(script); m != nil {
		n, _ := strconv.Atoi(m[1])
		if w.counts[script]++; w.counts[script] <= n {
			e.code = 1
		}
	}
	e.stdout = "value of " + script + "\n"
	return e
}

// stop interrupts a script.
func (w *world) stop(id string, e *execState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if e.code == 143 || !e.end.After(now) {
		return
	}
	e.out = slices.DeleteFunc(e.out, func(x timedText) bool { return x.at.After(now) })
	e.code, e.end = 143, now.Add(w.some("stop"+id, 100*time.Millisecond))
	e.out = append(e.out, timedText{e.end, "Terminated\n"})
}

func (a *lifeAgent) Shell(ctx context.Context, req ShellRequest, out, stdout io.Writer) (int, error) {
	if a.l.isDead() || errors.Is(context.Cause(ctx), ErrSuspended) {
		return 0, ErrSuspended
	}
	w := a.l.w
	w.mu.Lock()
	gone := a.a.released > 0
	w.mu.Unlock()
	if gone {
		return 0, errors.New("the pod is gone")
	}
	e := w.start(req)
	for i := 0; ; {
		w.mu.Lock()
		next, text := e.end, ""
		if i < len(e.out) {
			next, text = e.out[i].at, e.out[i].text
		}
		done := i >= len(e.out)
		w.mu.Unlock()
		switch err := a.l.until(ctx, next); {
		case a.l.isDead() || errors.Is(err, ErrSuspended):
			return 0, ErrSuspended
		case err != nil:
			w.stop(req.ID, e)
			ctx = context.WithoutCancel(ctx)
			continue
		}
		w.mu.Lock()
		current := (done && i >= len(e.out) && !e.end.After(time.Now())) || (i < len(e.out) && e.out[i].text == text)
		w.mu.Unlock()
		if !current {
			continue
		}
		if done {
			if stdout != nil {
				_, _ = io.WriteString(stdout, e.stdout)
			}
			return e.code, nil
		}
		_, _ = io.WriteString(out, text)
		i++
	}
}

func (a *lifeAgent) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := a.l.until(ctx, time.Now().Add(a.l.w.some("open"+name, time.Second))); err != nil {
		return nil, err
	}
	a.l.w.mu.Lock()
	defer a.l.w.mu.Unlock()
	text, ok := a.l.w.files[name]
	if !ok {
		return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

func (a *lifeAgent) WriteFile(_ context.Context, name string, content []byte) error {
	if a.l.isDead() {
		return ErrSuspended
	}
	a.l.w.mu.Lock()
	defer a.l.w.mu.Unlock()
	a.l.w.files[name] = string(content)
	return nil
}

func (a *lifeAgent) Glob(_ context.Context, dir, includes, _ string) ([]string, error) {
	a.l.w.mu.Lock()
	defer a.l.w.mu.Unlock()
	var out []string
	for name := range a.l.w.files {
		if rel, ok := strings.CutPrefix(name, dir+"/"); ok && matchAnt(includes, rel) {
			out = append(out, rel)
		}
	}
	slices.Sort(out)
	return out, nil
}

func (a *lifeAgent) Clone(_ context.Context, req CloneRequest, out io.Writer) (string, error) {
	_, _ = io.WriteString(out, "cloning "+req.URL+"\n")
	return "0123abcd", nil
}

func (a *lifeAgent) RemoveAll(_ context.Context, dir string) error {
	if a.l.isDead() {
		return ErrSuspended
	}
	a.l.w.mu.Lock()
	defer a.l.w.mu.Unlock()
	maps.DeleteFunc(a.l.w.files, func(name, _ string) bool { return strings.HasPrefix(name, dir) })
	return nil
}

func (a *lifeAgent) Release(context.Context) error {
	if a.l.isDead() {
		return ErrSuspended
	}
	a.l.w.mu.Lock()
	defer a.l.w.mu.Unlock()
	a.a.released++
	return nil
}

// Ask implements Inputs.
func (l *life) Ask(ctx context.Context, in Input) (Answer, error) {
	l.w.mu.Lock()
	key := in.ID + in.StepID
	if _, ok := l.w.asked[key]; !ok && !l.isDead() {
		l.w.asked[key] = time.Now().Add(l.w.some(key, time.Minute))
	}
	at := l.w.asked[key]
	l.w.mu.Unlock()
	if err := l.until(ctx, at); err != nil {
		// Nothing else that is cancelled ends at the same time.
		return Answer{}, errors.Join(l.until(context.WithoutCancel(ctx), time.Now().Add(l.w.some(key, 10*time.Millisecond))), err)
	}
	return Answer{User: "eve", Values: []ParamValue{{Name: "TIER", Value: "prod"}, {Name: "OK", Value: true}}}, nil
}

// Start implements Builds.
func (l *life) Start(_ context.Context, req BuildRequest) (Downstream, error) {
	if l.isDead() {
		return nil, ErrSuspended
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	if _, ok := l.w.builds[req.ID]; !ok {
		l.w.builds[req.ID] = time.Now()
	}
	return &lifeBuild{l, req.ID, l.w.builds[req.ID], path.Base(req.Job)}, nil
}

type lifeBuild struct {
	l       *life
	id      string
	started time.Time
	job     string
}

func (b *lifeBuild) JobName() string { return "team/" + b.job }

func (b *lifeBuild) Started(ctx context.Context) (OtherBuild, error) {
	return OtherBuild{JobName: b.JobName(), Number: 3}, b.l.until(ctx, b.started.Add(b.l.w.some(b.id, time.Second)))
}

func (b *lifeBuild) Finished(ctx context.Context) (OtherBuild, error) {
	err := b.l.until(ctx, b.started.Add(10*time.Second))
	return OtherBuild{JobName: b.JobName(), Number: 3, Result: ResultSuccess, Variables: []ParamValue{{Name: "A", Value: "b"}}}, err
}

func (b *lifeBuild) Cancel(string) {}

// AddTests implements Tests.
func (l *life) AddTests(suites []TestSuite) error {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	for _, s := range suites {
		l.w.tests[s.StepID] = len(s.Cases)
	}
	return nil
}

// run is one life of the build; it is false if the server was killed.
func (w *world) run(l *life, src string, killAfter time.Duration) (Result, bool) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	l.w, l.at, l.have, l.gone = w, map[string]int{}, map[string]int{}, make(chan struct{})
	l.kill = func() { cancel(ErrSuspended) }
	for _, p := range w.log {
		if p.step != freeLog {
			l.have[p.step] += len(p.text)
		}
	}
	if !w.abortAt.IsZero() {
		t := time.AfterFunc(time.Until(w.abortAt), func() { cancel(&AbortError{User: "admin"}) })
		defer t.Stop()
	}
	if l.suspendAfter > 0 {
		t := time.AfterFunc(l.suspendAfter, func() { cancel(ErrSuspended) })
		defer t.Stop()
	}
	if killAfter > 0 {
		t := time.AfterFunc(killAfter, l.die)
		defer t.Stop()
	}
	table := &LockTable{}
	locks := table.Scope("team")
	Restore(w.events, locks, nil)
	p := mustParse(w.t, src)
	spec := RunSpec{Pipeline: p, Agents: l, Recorder: l, History: l, Locks: locks, Inputs: l, Builds: l, Tests: l, Artifacts: w.artifacts,
		Credentials: secrets{"reg": {Kind: CredentialUsernamePassword, Username: "bob", Password: "hunter2"}, "key": {Kind: CredentialFile, FileName: "k", File: []byte("f1lesecret")}},
		Build:       BuildInfo{JobName: "team/app", Number: 7}, Loaded: []*Library{testLibrary()}, Libraries: testLibraries(),
		Changes: func(context.Context) ([]Change, error) {
			return []Change{{ID: "1", Author: "ann", Message: "m\n", Paths: []string{"docs/a"}, Time: time.Unix(1, 0).UTC()}}, nil
		}}
	if l.change != nil {
		l.change(&spec)
	}
	result, err := Run(ctx, spec)
	l.err = err
	if !w.real {
		synctest.Wait()
	}
	if l.isDead() || errors.Is(err, ErrSuspended) {
		return result, false
	}
	return result, true
}

// crash is what a power cut may take: lines that nothing was appended behind.
func (w *world) crash(r *rand.Rand) {
	if n := len(w.log) - w.kept; n > 0 {
		w.log = w.log[:w.kept+r.IntN(n+1)]
	}
}

// outcome is what two runs of a pipeline must have in common.
type outcomeOf struct {
	Result  Result
	Nodes   map[string]Node
	Steps   map[string]Step
	Logs    map[string]string
	Whole   string
	Display string
	Starts  map[string]int
}

// outcome looks at a finished build. Times are left out, and the whole log unless sequential.
func (w *world) outcome(result Result, sequential bool) outcomeOf {
	o := outcomeOf{Result: result, Nodes: map[string]Node{}, Steps: map[string]Step{}, Logs: map[string]string{}, Display: w.display, Starts: map[string]int{}}
	for id, n := range w.nodes {
		n.StartTime, n.Duration = time.Time{}, 0
		if len(n.Edges) == 0 {
			n.Edges = nil
		}
		o.Nodes[id] = n
	}
	for id, s := range w.steps {
		s.StartTime, s.Duration, s.DisplayDescription = time.Time{}, 0, anyTime(s.DisplayDescription)
		o.Steps[id] = s
	}
	for _, p := range w.log {
		if p.step != freeLog {
			o.Logs[p.step] = anyTime(w.stream(p.step))
		}
	}
	for id, e := range w.execs {
		o.Starts[id] = e.starts
	}
	if sequential {
		o.Whole = anyTime(w.whole())
	}
	return o
}

// anyTime makes texts of different times equal.
func anyTime(text string) string {
	return numberRE.ReplaceAllString(stampRE.ReplaceAllString(text, "[TIME] "), "NUMBER")
}

// numberRE is what the pipeline Clock shows.
var numberRE = regexp.MustCompile(`#[0-9a-fE.-]+|# \d.*`)

// leaks are secrets in what is kept.
func (w *world) leaks() bool {
	var all bytes.Buffer
	for _, ev := range w.events {
		all.Write(ev.Value)
		all.Write(ev.Error)
	}
	all.WriteString(w.whole())
	return bytes.Contains(all.Bytes(), []byte("hunter2")) || bytes.Contains(all.Bytes(), []byte("f1lesecret"))
}
