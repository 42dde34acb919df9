// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"errors"
	"sync"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// BulkStatus asks for the newest builds of all jobs of a folder by one call.
type BulkStatus interface {
	BuildStatuses(ctx context.Context, folder string) (map[string][]jenkins.BuildStatus, error)
}

// Bulk answers questions about many builds by one call each.
type Bulk interface {
	// FolderBuilds gives so many of the newest builds of each job of a folder.
	FolderBuilds(ctx context.Context, folder string, depth int) (map[string][]jenkins.BuildStatus, error)
	// Queue gives all that waits in Jenkins' queue.
	Queue(ctx context.Context) ([]jenkins.Waiting, error)
}

// Defaults of WatcherOptions.
const (
	DefaultFastest       = 500 * time.Millisecond
	DefaultSlowest       = 5 * time.Second
	DefaultBackoff       = 30 * time.Second
	DefaultFastTime      = 5 * time.Second
	DefaultEventInterval = 10 * time.Second
	DefaultQueueInterval = 15 * time.Second
)

const (
	// minDepth and maxDepth bound how many builds of each job a query asks for. A live build that is
	// older is asked for on its own.
	minDepth, maxDepth = 30, 200
	// foldersPerSecond bounds the queries of all folders together.
	foldersPerSecond = 20
	// dutyCycle is how many times longer the pause after a query is than the query, at least: a Jenkins
	// that is slow is asked less.
	dutyCycle = 5
	// wakeAgain is when a run is woken again whose build has ended, or is not in the answer: the pass
	// that it was woken for may have failed.
	wakeAgain = 5 * time.Second
	// fullTrust is how much events are trusted at most. Each event adds 1 and each change that a query
	// saw first takes 1 away; they are relied on while it is positive. A build has four events and two
	// changes: where they come at all, a query that overtakes some does no harm.
	fullTrust = 10
	// trustTime is for how long events are relied on after the last one.
	trustTime = 2 * time.Minute
)

// WatcherOptions are the settings of a Watcher.
type WatcherOptions struct {
	// Fastest is the time between two queries of a folder while something changes there. 0:
	// DefaultFastest.
	Fastest time.Duration
	// Slowest is what that time grows to when nothing changes. 0: DefaultSlowest.
	Slowest time.Duration
	// FastTime is how long after a change queries stay fast. 0: DefaultFastTime.
	FastTime time.Duration
	// EventInterval is the time between two queries of a folder while Jenkins' events tell what changes,
	// and so how late a lost event is noticed. 0: DefaultEventInterval.
	EventInterval time.Duration
	// QueueInterval is the longest time between two looks at Jenkins' queue while a run waits there. 0:
	// DefaultQueueInterval.
	QueueInterval time.Duration
	// Backoff is what the time grows to while Jenkins does not answer. 0: DefaultBackoff.
	Backoff time.Duration
	// Now tells the time. Nil: time.Now.
	Now func() time.Time
}

// Target names the build that a run waits for.
type Target struct {
	// Folder and Job name the job.
	Folder, Job string
	// QueueItem is the run's queue item, 0 if it is not known.
	QueueItem int64
	// Build is the number of the build, 0 while it waits in the queue.
	Build int64
	// NoAgent says that the build has no agent yet, so that it may wait for one in the queue.
	NoAgent bool
	// MayPause says that the build may stop at an input, which no bulk query shows.
	MayPause bool
}

// Watcher tells which live runs changed. For each Jenkins folder with live runs it makes one bulk
// query at a time, often while something changes and seldom while nothing does, or while events tell. It
// also knows why runs wait in the queue, by one look for all of them, and since when Jenkins does not
// answer. It is safe for use by several goroutines.
type Watcher struct {
	jenkins Bulk
	options WatcherOptions
	events  chan event.GenericEvent
	// wake is signalled when a folder got its first run.
	wake chan struct{}
	// queued is signalled when a run may be in the queue.
	queued chan struct{}

	mu      sync.Mutex
	folders map[string]*watched
	home    map[client.ObjectKey]string
	silence time.Time
	// cause is the error of the last query that Jenkins did not answer.
	cause error
	// pausing is how many of the runs may pause.
	pausing int
	// trust is how far events are relied on, told when the last one came.
	trust int
	told  time.Time
	// urgent are runs to wake for another reason than their builds.
	urgent []client.ObjectKey
	// ended is told of builds that were seen to have ended.
	ended func(job jobKey, build int64)
}

// jobKey names a job.
type jobKey struct{ folder, job string }

// watched is a folder with live runs.
type watched struct {
	runs map[client.ObjectKey]*tracked
	// newest is the number of the newest build of each job with live runs.
	newest map[string]int64
	// running: a goroutine queries the folder.
	running bool
	// changed is signalled when there is a new run.
	changed chan struct{}
}

// tracked is a live run and what was last seen of its build.
type tracked struct {
	target Target
	// since is when the run was first tracked as it is.
	since time.Time
	last  sight
	// asked is when the run was last woken because its build has ended, or was not in the answer.
	asked time.Time
	// unseen is how many answers in a row did not have the build.
	unseen int
	// why is the reason for which it waits in the queue. notQueued is how many looks in a row did not
	// find it there.
	why       string
	notQueued int
}

type sight struct {
	number   int64
	building bool
	result   string
	start    time.Time
	// bulk: it was seen in Jenkins, and not only assumed.
	bulk bool
}

func (s sight) same(other sight) bool {
	return s.number == other.number && s.building == other.building && s.result == other.result
}

// NewWatcher makes a watcher; the manager that it is added to starts it.
func NewWatcher(source Bulk, options WatcherOptions) (*Watcher, error) {
	if source == nil {
		return nil, errors.New("watcher of builds: no Jenkins client given")
	}
	orElse(&options.Fastest, DefaultFastest)
	orElse(&options.Slowest, DefaultSlowest)
	orElse(&options.FastTime, DefaultFastTime)
	orElse(&options.EventInterval, DefaultEventInterval)
	orElse(&options.QueueInterval, DefaultQueueInterval)
	orElse(&options.Backoff, DefaultBackoff)
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Watcher{
		jenkins: source, options: options,
		events: make(chan event.GenericEvent), wake: make(chan struct{}, 1), queued: make(chan struct{}, 1),
		folders: map[string]*watched{}, home: map[client.ObjectKey]string{}, ended: func(jobKey, int64) {},
	}, nil
}

// Events gives the runs that changed.
func (w *Watcher) Events() <-chan event.GenericEvent { return w.events }

// NeedLeaderElection says that only the process whose controllers work needs the watcher.
func (w *Watcher) NeedLeaderElection() bool { return true }

// Track watches a run from now on, or notes what is new about it.
func (w *Watcher) Track(key client.ObjectKey, target Target) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at, ok := w.home[key]; ok && at != target.Folder {
		w.forget(key)
	}
	w.home[key] = target.Folder
	folder := w.folders[target.Folder]
	if folder == nil {
		folder = &watched{runs: map[client.ObjectKey]*tracked{}, newest: map[string]int64{}, changed: make(chan struct{}, 1)}
		w.folders[target.Folder] = folder
	}
	if target.Build > 0 {
		folder.newest[target.Job] = max(folder.newest[target.Job], target.Build)
	}
	if target.Build == 0 || target.NoAgent {
		signal(w.queued)
	}
	run := folder.runs[key]
	if run != nil && run.target == target {
		return
	}
	if run == nil {
		run = &tracked{asked: w.options.Now(), since: w.options.Now()}
		folder.runs[key] = run
	} else {
		w.count(run.target, -1)
	}
	w.count(target, 1)
	run.target = target
	if run.last.number != target.Build {
		run.last = sight{number: target.Build, building: target.Build > 0}
		run.since, run.unseen, run.why, run.notQueued = w.options.Now(), 0, "", 0
	}
	signal(folder.changed)
	if !folder.running {
		signal(w.wake)
	}
}

// count keeps the number of runs that may pause. w.mu is held.
func (w *Watcher) count(target Target, n int) {
	if target.MayPause {
		w.pausing += n
	}
}

// Forget ends the watch of a run.
func (w *Watcher) Forget(key client.ObjectKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forget(key)
}

func (w *Watcher) forget(key client.ObjectKey) {
	at, ok := w.home[key]
	if !ok {
		return
	}
	delete(w.home, key)
	folder := w.folders[at]
	w.count(folder.runs[key].target, -1)
	delete(folder.runs, key)
	if len(folder.runs) == 0 {
		signal(folder.changed)
		if !folder.running {
			delete(w.folders, at)
		}
	}
}

// Wake wakes a run soon, for another reason than its build.
func (w *Watcher) Wake(key client.ObjectKey) {
	w.mu.Lock()
	w.urgent = append(w.urgent, key)
	w.mu.Unlock()
	signal(w.wake)
}

// OnEnd has the function told of each build of which a query sees that it has ended. It must be set before
// the watcher starts.
func (w *Watcher) OnEnd(told func(job jobKey, build int64)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = told
}

// Live gives the number of runs that are watched.
func (w *Watcher) Live() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.home)
}

// Spread gives how long one run has to wait so that all runs of its kind together do something not more
// often than rate times a second, and each not more often than every interval. Those that may pause are
// one kind and the others the other: few that may pause do not wait for many that cannot.
func (w *Watcher) Spread(interval time.Duration, rate float64, mayPause bool) time.Duration {
	w.mu.Lock()
	n := w.pausing
	if !mayPause {
		n = len(w.home) - n
	}
	w.mu.Unlock()
	return max(interval, time.Duration(float64(n)/rate*float64(time.Second)))
}

// Sight is what is known of a run's build.
type Sight struct {
	// Number is the number of the build, 0 while it is not known.
	Number int64
	// Seen says that Jenkins had the build when it was last asked; Building and Start are then what it
	// said.
	Seen     bool
	Building bool
	Start    time.Time
	// Missing says that Jenkins had neither the build nor the queue item.
	Missing bool
	// Why is the reason for which the run waits in Jenkins' queue, or its build for an agent; empty if it
	// is not known to wait.
	Why string
}

// Sight gives what is known of a run's build.
func (w *Watcher) Sight(key client.ObjectKey) Sight {
	w.mu.Lock()
	defer w.mu.Unlock()
	folder := w.folders[w.home[key]]
	if folder == nil || folder.runs[key] == nil {
		return Sight{}
	}
	run := folder.runs[key]
	s := Sight{Number: run.last.number, Seen: run.last.bulk, Building: run.last.building, Start: run.last.start, Why: run.why}
	if run.target.Build > 0 {
		s.Missing = run.unseen > 0
	} else {
		// An item that leaves the queue is in neither list for a moment.
		s.Missing = run.last.number == 0 && run.notQueued > 1 && run.unseen > 1
	}
	return s
}

// liveOf gives the number of live runs of a job.
func (w *Watcher) liveOf(job jobKey) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if folder := w.folders[job.folder]; folder != nil {
		for _, run := range folder.runs {
			if run.target.Job == job.job {
				n++
			}
		}
	}
	return n
}

// newestOf gives the number of the newest build of a job that is known, 0 if none is.
func (w *Watcher) newestOf(job jobKey) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if folder := w.folders[job.folder]; folder != nil {
		return folder.newest[job.job]
	}
	return 0
}

// Told notes that an event told of a change.
func (w *Watcher) Told() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trust = min(max(w.trust, 0)+1, fullTrust)
	w.told = w.options.Now()
}

// reliesOnEvents tells if events are trusted to tell what changes. w.mu is held.
func (w *Watcher) reliesOnEvents() bool {
	return w.trust > 0 && w.options.Now().Sub(w.told) < trustTime
}

// Answered notes that Jenkins answers.
func (w *Watcher) Answered() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.silence, w.cause = time.Time{}, nil
}

// NoAnswer notes that Jenkins does not answer and gives the time since when that is so.
func (w *Watcher) NoAnswer() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.silence.IsZero() {
		w.silence = w.options.Now()
	}
	return w.silence
}

// Silent tells if Jenkins does not answer.
func (w *Watcher) Silent() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.silence.IsZero()
}

// Cause is why Jenkins does not answer, so far as queries tell.
func (w *Watcher) Cause() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cause == nil {
		return jenkins.ErrUnavailable
	}
	return w.cause
}

// Start watches until the context ends.
func (w *Watcher) Start(ctx context.Context) error {
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { w.watchQueue(ctx) })
	for {
		w.mu.Lock()
		for name, folder := range w.folders {
			if !folder.running && len(folder.runs) > 0 {
				folder.running = true
				work.Go(func() { w.watch(ctx, name, folder) })
			}
		}
		urgent := w.urgent
		w.urgent = nil
		w.mu.Unlock()
		w.send(ctx, urgent)
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
		}
	}
}

// watch queries a folder until it has no live run any more.
func (w *Watcher) watch(ctx context.Context, name string, folder *watched) {
	p := w.newPace()
	for {
		if !w.stays(name, folder) {
			return
		}
		began := w.options.Now()
		wake, err := w.poll(ctx, name, folder)
		took := w.options.Now().Sub(began)
		w.send(ctx, wake)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if p.fail() {
				ctrl.LoggerFrom(ctx).Info("the builds of a folder cannot be read", "folder", name, "error", err.Error())
				w.wakeAll(ctx, folder)
			}
		default:
			if p.succeed(len(wake) > 0) {
				ctrl.LoggerFrom(ctx).Info("the builds of a folder can be read again", "folder", name)
				w.wakeAll(ctx, folder)
			}
		}
		interval := p.next(took)
		select {
		case <-ctx.Done():
			return
		case <-folder.changed:
			p.arrive()
			// Many runs that are started at once are not worth a query each.
			if !pause(ctx, p.next(took)) {
				return
			}
		case <-time.After(interval):
		}
	}
}

// pace is how often a folder is queried.
type pace struct {
	w          *Watcher
	interval   time.Duration
	lastChange time.Time
	down       bool
}

func (w *Watcher) newPace() *pace {
	return &pace{w: w, interval: w.options.Fastest, lastChange: w.options.Now()}
}

// fail notes a query without an answer and tells if it is the first one.
func (p *pace) fail() (first bool) {
	first, p.down = !p.down, true
	p.interval = min(2*p.interval, p.w.options.Backoff)
	return first
}

// succeed notes an answer and tells if it is the first one after others failed.
func (p *pace) succeed(changed bool) (back bool) {
	back, p.down = p.down, false
	switch now := p.w.options.Now(); {
	case back || changed:
		p.lastChange, p.interval = now, p.w.options.Fastest
	case now.Sub(p.lastChange) > p.w.options.FastTime:
		p.interval = min(p.interval+p.interval/2, p.w.options.Slowest)
	}
	return back
}

// arrive notes that there is a new run.
func (p *pace) arrive() {
	if !p.down {
		p.lastChange, p.interval = p.w.options.Now(), p.w.options.Fastest
	}
}

// next gives the time until the next query, after one that took so long.
func (p *pace) next(took time.Duration) time.Duration {
	if p.down {
		return p.interval
	}
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	least := time.Duration(len(p.w.folders)) * time.Second / foldersPerSecond
	if p.w.reliesOnEvents() {
		least = max(least, p.w.options.EventInterval)
	}
	return max(p.interval, least, dutyCycle*took)
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// stays ends the watch of a folder without runs.
func (w *Watcher) stays(name string, folder *watched) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(folder.runs) > 0 {
		return true
	}
	folder.running = false
	delete(w.folders, name)
	return false
}

// poll makes one query and gives the runs to wake: those whose build is another than before.
func (w *Watcher) poll(ctx context.Context, name string, folder *watched) ([]client.ObjectKey, error) {
	jobs, err := w.jenkins.FolderBuilds(ctx, name, w.depth(folder))
	switch {
	case errors.Is(err, jenkins.ErrNotFound):
		jobs = nil // the folder is gone: all its builds are missing
	case err != nil:
		w.refused(err)
		return nil, err
	}
	w.Answered()
	return w.compare(name, jobs, folder), nil
}

// refused notes a query that failed. A Jenkins that refuses it, or gives too long an answer, is there, and runs need not wait for it.
func (w *Watcher) refused(err error) {
	if away(err) {
		w.NoAnswer()
		w.mu.Lock()
		w.cause = err
		w.mu.Unlock()
	} else if !errors.Is(err, context.Canceled) {
		w.Answered()
	}
}

// depth is how many builds of each job the live runs of a folder need.
func (w *Watcher) depth(folder *watched) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	depth := minDepth
	for _, run := range folder.runs {
		if run.target.Build == 0 {
			continue
		}
		// Some begin until Jenkins answers.
		if n := int(folder.newest[run.target.Job]-run.target.Build) + 1 + minDepth/2; n <= maxDepth {
			depth = max(depth, n)
		}
	}
	return depth
}

func (w *Watcher) compare(name string, jobs map[string][]jenkins.BuildStatus, folder *watched) []client.ObjectKey {
	now := w.options.Now()
	var wake []client.ObjectKey
	w.mu.Lock()
	defer w.mu.Unlock()
	for job := range folder.newest {
		if list := jobs[job]; len(list) > 0 {
			folder.newest[job] = max(folder.newest[job], list[0].Number)
		}
	}
	for key, run := range folder.runs {
		build := find(jobs[run.target.Job], run.target)
		if build == nil {
			// In the queue, too old for the answer, or gone: the run asks for itself, seldom.
			run.unseen++
			if run.target.Build > 0 && now.Sub(run.asked) > max(wakeAgain, w.options.Slowest) {
				run.asked = now
				wake = append(wake, key)
			}
			continue
		}
		folder.newest[run.target.Job] = max(folder.newest[run.target.Job], build.Number)
		seen := sight{number: build.Number, building: build.Building, result: build.Result, start: build.Start, bulk: true}
		news := !seen.same(run.last)
		run.unseen, run.last = 0, seen
		switch {
		case news:
			// An event would have told.
			w.trust = max(w.trust-1, -1)
		case seen.building || now.Sub(run.asked) < min(wakeAgain, w.options.Slowest):
			// An ended run is named until it is forgotten: the pass that it woke may have failed.
			continue
		}
		if !seen.building {
			run.asked = now
			w.ended(jobKey{name, run.target.Job}, seen.number)
		}
		wake = append(wake, key)
	}
	return wake
}

func find(builds []jenkins.BuildStatus, target Target) *jenkins.BuildStatus {
	for i := range builds {
		b := &builds[i]
		if target.Build > 0 && b.Number == target.Build || target.Build == 0 && target.QueueItem > 0 && b.QueueID == target.QueueItem {
			return b
		}
	}
	return nil
}

// wakeAll wakes the runs of a folder, so that each says that Jenkins is away, or is back.
func (w *Watcher) wakeAll(ctx context.Context, folder *watched) {
	w.mu.Lock()
	keys := make([]client.ObjectKey, 0, len(folder.runs))
	for key := range folder.runs {
		keys = append(keys, key)
	}
	w.mu.Unlock()
	w.send(ctx, keys)
}

func (w *Watcher) send(ctx context.Context, keys []client.ObjectKey) {
	for _, key := range keys {
		run := &devopsv1alpha3.PipelineRun{}
		run.Namespace, run.Name = key.Namespace, key.Name
		select {
		case <-ctx.Done():
			return
		case w.events <- event.GenericEvent{Object: run}:
		}
	}
}

// signal notes that there is something to do; once is enough.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
