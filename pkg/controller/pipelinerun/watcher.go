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

// Defaults of WatcherOptions.
const (
	DefaultFastest  = 500 * time.Millisecond
	DefaultSlowest  = 5 * time.Second
	DefaultBackoff  = 30 * time.Second
	DefaultFastTime = 5 * time.Second
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
}

// Watcher tells which live runs changed. For each Jenkins folder with live runs it makes one bulk
// query at a time, often while something changes and seldom while nothing does. It also knows since
// when Jenkins does not answer. It is safe for use by several goroutines.
type Watcher struct {
	jenkins BulkStatus
	options WatcherOptions
	events  chan event.GenericEvent
	// wake is signalled when a folder got its first run.
	wake chan struct{}

	mu      sync.Mutex
	folders map[string]*watched
	home    map[client.ObjectKey]string
	silence time.Time
	// urgent are runs to wake for another reason than their builds.
	urgent []client.ObjectKey
}

// watched is a folder with live runs.
type watched struct {
	runs map[client.ObjectKey]*tracked
	// running: a goroutine queries the folder.
	running bool
	// changed is signalled when there is a new run.
	changed chan struct{}
}

// tracked is a live run and what was last seen of its build.
type tracked struct {
	target Target
	last   sight
	// asked is when the run was last woken because the bulk answer did not have its build.
	asked time.Time
}

type sight struct {
	number   int64
	building bool
	result   string
}

// NewWatcher makes a watcher; the manager that it is added to starts it.
func NewWatcher(source BulkStatus, options WatcherOptions) (*Watcher, error) {
	if source == nil {
		return nil, errors.New("watcher of builds: no Jenkins client given")
	}
	orElse(&options.Fastest, DefaultFastest)
	orElse(&options.Slowest, DefaultSlowest)
	orElse(&options.FastTime, DefaultFastTime)
	orElse(&options.Backoff, DefaultBackoff)
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Watcher{
		jenkins: source, options: options,
		events: make(chan event.GenericEvent), wake: make(chan struct{}, 1),
		folders: map[string]*watched{}, home: map[client.ObjectKey]string{},
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
		folder = &watched{runs: map[client.ObjectKey]*tracked{}, changed: make(chan struct{}, 1)}
		w.folders[target.Folder] = folder
	}
	run := folder.runs[key]
	switch {
	case run == nil:
		folder.runs[key] = &tracked{target: target, last: sight{number: target.Build, building: target.Build > 0}, asked: w.options.Now()}
	case run.target != target:
		run.target = target
		if run.last.number != target.Build {
			run.last = sight{number: target.Build, building: target.Build > 0}
		}
	default:
		return
	}
	signal(folder.changed)
	if !folder.running {
		signal(w.wake)
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

// Live gives the number of runs that are watched.
func (w *Watcher) Live() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.home)
}

// Spread gives how long one run has to wait so that all runs together do something not more often
// than rate times a second, and each not more often than every interval.
func (w *Watcher) Spread(interval time.Duration, rate float64) time.Duration {
	return max(interval, time.Duration(float64(w.Live())/rate*float64(time.Second)))
}

// Answered notes that Jenkins answers.
func (w *Watcher) Answered() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.silence = time.Time{}
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

// Start watches until the context ends.
func (w *Watcher) Start(ctx context.Context) error {
	var folders sync.WaitGroup
	defer folders.Wait()
	for {
		w.mu.Lock()
		for name, folder := range w.folders {
			if !folder.running && len(folder.runs) > 0 {
				folder.running = true
				folders.Go(func() { w.watch(ctx, name, folder) })
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
	interval, lastChange, down := w.options.Fastest, w.options.Now(), false
	for {
		if !w.stays(name, folder) {
			return
		}
		changed, err := w.look(ctx, name, folder)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if !down {
				ctrl.LoggerFrom(ctx).Info("the builds of a folder cannot be read", "folder", name, "error", err.Error())
				w.wakeAll(ctx, folder)
			}
			down = true
			interval = min(2*interval, w.options.Backoff)
		default:
			if down {
				ctrl.LoggerFrom(ctx).Info("the builds of a folder can be read again", "folder", name)
				w.wakeAll(ctx, folder)
				interval = w.options.Fastest
			}
			down = false
			if changed {
				lastChange, interval = w.options.Now(), w.options.Fastest
			}
			if w.options.Now().Sub(lastChange) > w.options.FastTime {
				interval = min(interval+interval/2, w.options.Slowest)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-folder.changed:
			if !down {
				lastChange, interval = w.options.Now(), w.options.Fastest
			}
			// Many runs that are started at once are not worth a query each.
			if !pause(ctx, interval) {
				return
			}
		case <-time.After(interval):
		}
	}
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

// look makes one query and wakes the runs whose build is another than before.
func (w *Watcher) look(ctx context.Context, name string, folder *watched) (changed bool, err error) {
	jobs, err := w.jenkins.BuildStatuses(ctx, name)
	switch {
	case errors.Is(err, jenkins.ErrNotFound):
		jobs = nil // the folder is gone: all its builds are missing
	case err != nil:
		if away(err) {
			w.NoAnswer()
		}
		return false, err
	}
	w.Answered()
	wake := w.compare(jobs, folder)
	w.send(ctx, wake)
	return len(wake) > 0, nil
}

func (w *Watcher) compare(jobs map[string][]jenkins.BuildStatus, folder *watched) []client.ObjectKey {
	now := w.options.Now()
	var wake []client.ObjectKey
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, run := range folder.runs {
		build := find(jobs[run.target.Job], run.target)
		if build == nil {
			// Still in the queue, or too old for the bulk answer: the run asks for itself, seldom.
			if run.target.Build > 0 && now.Sub(run.asked) > w.options.Slowest {
				run.asked = now
				wake = append(wake, key)
			}
			continue
		}
		seen := sight{number: build.Number, building: build.Building, result: build.Result}
		if !seen.building || seen != run.last {
			// An ended run is named until it is forgotten, at the speed of the queries: the pass that
			// it woke may have failed.
			run.last = seen
			wake = append(wake, key)
		}
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
