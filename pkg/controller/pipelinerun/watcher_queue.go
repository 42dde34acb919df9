// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"strings"
	"time"
	"unicode"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/pkg/jenkins"
)

const (
	// queueSettle is how long a run may be in the queue before anybody asks why: most leave at once.
	queueSettle = 2 * time.Second
	// queueFastest is the shortest time between two looks at the queue.
	queueFastest = 3 * time.Second
)

// watchQueue looks at Jenkins' queue while a run may wait there.
func (w *Watcher) watchQueue(ctx context.Context) {
	interval := min(queueFastest, w.options.QueueInterval)
	for {
		wait := w.queueSettled()
		if wait < 0 {
			select {
			case <-ctx.Done():
				return
			case <-w.queued:
			}
			continue
		}
		if wait > 0 {
			if !pause(ctx, wait) {
				return
			}
			continue // it may have left
		}
		wake, err := w.pollQueue(ctx)
		w.send(ctx, wake)
		switch {
		case err != nil:
			interval = min(2*interval, w.options.Backoff)
		case len(wake) > 0:
			interval = min(queueFastest, w.options.QueueInterval)
		default:
			interval = min(interval+interval/2, w.options.QueueInterval)
		}
		if !pause(ctx, interval) {
			return
		}
	}
}

// inQueue tells if the run may wait in the queue: for its build, or its build for an agent.
func (t *tracked) inQueue() bool {
	return t.target.Build == 0 && t.last.number == 0 || t.target.Build > 0 && t.target.NoAgent && t.last.building
}

// queueSettled gives how long to wait until a run is worth a look at the queue; negative if there is none.
func (w *Watcher) queueSettled() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	wait := time.Duration(-1)
	for _, folder := range w.folders {
		for _, run := range folder.runs {
			if !run.inQueue() {
				continue
			}
			left := max(0, queueSettle-w.options.Now().Sub(run.since))
			if wait < 0 || left < wait {
				wait = left
			}
		}
	}
	return wait
}

// pollQueue looks at the queue once and gives the runs that wait there for another reason than before.
func (w *Watcher) pollQueue(ctx context.Context) ([]client.ObjectKey, error) {
	items, err := w.jenkins.Queue(ctx)
	if err != nil {
		w.refused(err)
		return nil, err
	}
	type waiting struct {
		job   string
		build int64
	}
	starts, builds := map[int64]*jenkins.Waiting{}, map[waiting]*jenkins.Waiting{}
	for i := range items {
		starts[items[i].ID] = &items[i]
		builds[waiting{items[i].Job, items[i].Build}] = &items[i]
	}
	now := w.options.Now()
	var wake []client.ObjectKey
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, folder := range w.folders {
		for key, run := range folder.runs {
			if !run.inQueue() || now.Sub(run.since) < queueSettle {
				continue
			}
			job := name + "/" + run.target.Job
			item := builds[waiting{job, run.target.Build}]
			if run.target.Build == 0 {
				// A user can write the item's number into the run: only one of the run's own job counts.
				if item = starts[run.target.QueueItem]; item != nil && item.Job != job {
					item = nil
				}
			}
			before, missing := run.why, run.notQueued > 1
			run.why = ""
			if item != nil {
				run.why, run.notQueued = item.Why, 0
			} else {
				run.notQueued++
			}
			if !sameReason(run.why, before) || run.target.Build == 0 && run.notQueued > 1 && run.unseen > 1 && (!missing || now.Sub(run.asked) > wakeAgain) {
				run.asked = now
				wake = append(wake, key)
			}
		}
	}
	return wake, nil
}

// sameReason compares two reasons without their numbers, which count down.
func sameReason(a, b string) bool {
	return strings.Map(withoutDigits, a) == strings.Map(withoutDigits, b)
}

func withoutDigits(r rune) rune {
	if unicode.IsDigit(r) || r == '.' {
		return -1
	}
	return r
}
