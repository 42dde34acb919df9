// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package notification

import (
	"context"
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/types"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// known gives what the run's annotation or the process knows.
func (r *Reconciler) known(run *devopsv1alpha3.PipelineRun) record {
	written := readRecord(run)
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.runs[run.UID]; m != nil {
		return written.merge(m.record)
	}
	return written
}

// remember keeps an entry until the run is gone.
func (r *Reconciler) remember(run *devopsv1alpha3.PipelineRun, key string, e entry, t tries) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.runs[run.UID]
	if m == nil {
		m = &memory{record: record{}, tries: map[string]tries{}}
		r.runs[run.UID] = m
	}
	m.record = m.record.with(key, e)
	if e.done() {
		delete(m.tries, key)
	} else {
		m.tries[key] = t
	}
}

func (r *Reconciler) tries(uid types.UID, key string) tries {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.runs[uid]; m != nil {
		return m.tries[key]
	}
	return tries{}
}

// unwritten tells if a record could not be written.
func (r *Reconciler) unwritten(uid types.UID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.runs[uid]
	return m != nil && m.unwritten
}

// mark notes whether the record of a run is still to be written.
func (r *Reconciler) mark(uid types.UID, unwritten bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.runs[uid]; m != nil {
		m.unwritten = unwritten
	}
}

// settle drops what is known of a run once its annotation has it all.
func (r *Reconciler) settle(run *devopsv1alpha3.PipelineRun) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.runs[run.UID]
	if m == nil {
		return
	}
	written := readRecord(run)
	for key, e := range m.record {
		if !e.done() || !written[key].done() {
			return
		}
	}
	delete(r.runs, run.UID)
}

// forget drops what is known of a run.
func (r *Reconciler) forget(uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.runs, uid)
}

// enter takes one of the project's places for sending; false: there is none free.
func (r *Reconciler) enter(project string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sending[project] >= perProject {
		return false
	}
	r.sending[project]++
	return true
}

func (r *Reconciler) leave(project string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sending[project]--; r.sending[project] == 0 {
		delete(r.sending, project)
	}
}

// receiverTTL is how long a Secret that was read is used: runs change more often than Secrets.
const receiverTTL = 10 * time.Second

// receiver gives what a Secret says, as it was a moment ago.
func (r *Reconciler) receiver(ctx context.Context, namespace, name string) (*receiver, error) {
	key := types.NamespacedName{Namespace: namespace, Name: name}
	now := r.Now()
	r.mu.Lock()
	found, ok := r.receivers[key]
	r.mu.Unlock()
	if ok && now.Before(found.until) {
		return found.receiver, found.err
	}
	to, err := r.readReceiver(ctx, namespace, name)
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.receivers, func(_ types.NamespacedName, old readReceiver) bool { return now.After(old.until) })
	r.receivers[key] = readReceiver{receiver: to, err: err, until: now.Add(receiverTTL)}
	return to, err
}
