// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"go.etcd.io/bbolt"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
)

// bucketRuns holds what a build needs only while it runs, to go on after a restart. A key is that of the
// build, one byte for the kind of value and the rest, which names the value.
var bucketRuns = []byte("runs")

// The kinds of values in bucketRuns.
const (
	runPlan       byte = 'p'
	runEvent      byte = 'e'
	runInterrupt  byte = 'a'
	runAnswer     byte = 'i'
	runDownstream byte = 'd'
	runMilestone  byte = 'm'
)

func (k BuildKey) run(kind byte, name ...byte) []byte {
	return append(append(k.bytes(), kind), name...)
}

// Plan is what a build was begun with. It is written before the first stage and does not change.
type Plan struct {
	// Script is the Jenkinsfile, Origin the line of the log that says where it came from, SCM its repository.
	Script string `json:"script"`
	Origin string `json:"origin,omitempty"`
	// Notes are further lines of the log, about the Libraries that it has from its begin.
	Notes     []string            `json:"notes,omitempty"`
	Libraries []engine.LibraryPin `json:"libraries,omitempty"`
	SCM       *engine.SCM         `json:"scm,omitempty"`
	// Stage is the first stage that is run, empty for all.
	Stage string `json:"stage,omitempty"`
	// Previous is the result of the build before; Env are the variables that the server sets.
	Previous engine.Result     `json:"previous,omitempty"`
	Env      map[string]string `json:"env,omitempty"`
}

// Interrupt is one attempt to end a build before its time.
type Interrupt struct {
	// User did it, or the server for a Reason.
	User   string        `json:"user,omitempty"`
	Reason string        `json:"reason,omitempty"`
	Result engine.Result `json:"result,omitempty"`
	// Hard says that the build ends without a stage of it doing anything more.
	Hard bool `json:"hard,omitempty"`
}

// PassedMilestone is a milestone that a build has come to.
type PassedMilestone struct {
	// Build is its number; Seq orders what the builds of a job passed.
	Build   int    `json:"build"`
	Seq     uint64 `json:"seq"`
	Ordinal int    `json:"ordinal"`
}

// RunRecord is what is kept of a build that runs, apart from its history.
type RunRecord struct {
	// Plan is nil if the build had not come to its first stage.
	Plan       *Plan
	Interrupts []Interrupt
	// Answers are those of inputs, by the ID of the step.
	Answers map[string]engine.Answer
	// Downstream are the queue items of the builds that it asked for, by the ID of the request.
	Downstream map[string]int64
}

// PutPlan keeps the plan of a build.
func (s *Store) PutPlan(k BuildKey, p *Plan) error { return s.put(bucketRuns, k.run(runPlan), p) }

// PutInterrupt keeps the n-th interrupt of a build.
func (s *Store) PutInterrupt(k BuildKey, n int, i Interrupt) error {
	return s.put(bucketRuns, k.run(runInterrupt, u64(uint64(n))...), i)
}

// PutAnswer keeps the answer to the input of a step.
func (s *Store) PutAnswer(k BuildKey, stepID string, a engine.Answer) error {
	data, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	key := k.run(runAnswer, []byte(stepID)...)
	sealed, err := s.sealRun(key, data)
	if err != nil {
		return err
	}
	return s.w.add(change{do: func(tx *bbolt.Tx) error { return tx.Bucket(bucketRuns).Put(key, sealed) }})
}

// sealedRun begins a value that is encrypted; JSON never begins with it.
const sealedRun = 0

// sealRun encrypts what may hold what people typed or scripts read, with the key of the credentials and for its
// place: a copy of the database alone does not tell it.
func (s *Store) sealRun(key, data []byte) ([]byte, error) {
	aead, err := s.cipher()
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce)
	out := make([]byte, 0, 1+len(nonce)+len(data)+aead.Overhead())
	out = append(append(out, sealedRun), nonce...)
	return aead.Seal(out, nonce, data, key), nil
}

// openRun decrypts a value if it is encrypted.
func (s *Store) openRun(key, v []byte) ([]byte, error) {
	if len(v) == 0 || v[0] != sealedRun {
		return v, nil
	}
	aead, err := s.cipher()
	if err != nil {
		return nil, err
	}
	if v = v[1:]; len(v) < aead.NonceSize() {
		return nil, ErrKey
	}
	data, err := aead.Open(nil, v[:aead.NonceSize()], v[aead.NonceSize():], key)
	if err != nil {
		return nil, ErrKey
	}
	return data, nil
}

// PutDownstream keeps which queue item a build asked for by a request.
func (s *Store) PutDownstream(k BuildKey, request string, item int64) error {
	return s.put(bucketRuns, k.run(runDownstream, []byte(request)...), item)
}

// milestones is the key of the milestones of a job: those of builds that have ended count while an older one runs.
func milestones(job uint64) BuildKey { return BuildKey{Job: job} }

// PutMilestone keeps that a build of a job passed a milestone, until DropMilestones.
func (s *Store) PutMilestone(job uint64, m PassedMilestone) error {
	return s.put(bucketRuns, milestones(job).run(runMilestone, u64(m.Seq)...), m)
}

// DropMilestones forgets the milestones of a job.
func (s *Store) DropMilestones(job uint64) error {
	return s.w.add(change{do: func(tx *bbolt.Tx) error {
		return deletePrefix(tx.Bucket(bucketRuns), milestones(job).bytes())
	}})
}

// Milestones reads what the builds of a job passed, in order.
func (s *Store) Milestones(job uint64) (out []*PassedMilestone, err error) {
	if err := s.Flush(); err != nil {
		return nil, err
	}
	err = s.view(func(tx *bbolt.Tx) (err error) {
		out, err = all[PassedMilestone](tx.Bucket(bucketRuns), milestones(job).run(runMilestone))
		return err
	})
	return out, err
}

// EndBuild stores a build that has ended and forgets what only a running one needs.
func (s *Store) EndBuild(b *Build) error {
	data, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("encode build: %w", err)
	}
	key := b.Key().bytes()
	return s.w.add(change{do: func(tx *bbolt.Tx) error {
		return errors.Join(tx.Bucket(bucketBuilds).Put(key, data), deletePrefix(tx.Bucket(bucketRuns), key))
	}})
}

// RunRecord reads what is kept of a running build.
func (s *Store) RunRecord(k BuildKey) (*RunRecord, error) {
	if err := s.Flush(); err != nil {
		return nil, err
	}
	out := &RunRecord{Answers: map[string]engine.Answer{}, Downstream: map[string]int64{}}
	err := s.view(func(tx *bbolt.Tx) error {
		c, prefix := tx.Bucket(bucketRuns).Cursor(), k.bytes()
		for key, v := c.Seek(prefix); key != nil && len(key) > len(prefix) && string(key[:len(prefix)]) == string(prefix); key, v = c.Next() {
			if kind := key[len(prefix)]; kind != runEvent { // OpenHistory reads those
				v, err := s.openRun(key, v)
				if err != nil {
					return err
				}
				if err := out.add(kind, string(key[len(prefix)+1:]), v); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read running build: %w", err)
	}
	return out, nil
}

func (r *RunRecord) add(kind byte, name string, v []byte) (err error) {
	switch kind {
	case runPlan:
		r.Plan = &Plan{}
		err = json.Unmarshal(v, r.Plan)
	case runInterrupt:
		var i Interrupt
		err = json.Unmarshal(v, &i)
		r.Interrupts = append(r.Interrupts, i)
	case runAnswer:
		var a engine.Answer
		err = json.Unmarshal(v, &a)
		r.Answers[name] = a
	case runDownstream:
		var id int64
		err = json.Unmarshal(v, &id)
		r.Downstream[name] = id
	}
	return err
}

// SweepRuns forgets what is kept of builds that do not run: keep is asked about each, and with the number 0
// about the milestones of a job.
func (s *Store) SweepRuns(keep func(BuildKey) bool) error {
	return s.w.add(change{do: func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketRuns)
		c := b.Cursor()
		for key, _ := c.First(); key != nil; {
			if len(key) < 16 {
				return errors.New("bad key of a running build")
			}
			k := BuildKey{Job: binary.BigEndian.Uint64(key), Number: int(binary.BigEndian.Uint64(key[8:]))}
			if !keep(k) {
				if err := deletePrefix(b, k.bytes()); err != nil {
					return err
				}
			}
			k.Number++
			key, _ = c.Seek(k.bytes())
		}
		return nil
	}})
}

// History implements engine.History.
type History struct {
	s      *Store
	k      BuildKey
	log    *Log
	events []engine.Event

	mu   sync.Mutex
	next uint64
}

// OpenHistory reads the history of a build. log is the build's open log.
func (s *Store) OpenHistory(k BuildKey, log *Log) (*History, error) {
	if err := s.Flush(); err != nil {
		return nil, err
	}
	h := &History{s: s, k: k, log: log}
	err := s.view(func(tx *bbolt.Tx) error {
		c, prefix := tx.Bucket(bucketRuns).Cursor(), k.run(runEvent)
		for key, v := c.Seek(prefix); key != nil && len(key) == len(prefix)+8 && string(key[:len(prefix)]) == string(prefix); key, v = c.Next() {
			var e engine.Event
			v, err := s.openRun(key, v)
			if err == nil {
				err = json.Unmarshal(v, &e)
			}
			if err != nil {
				return err
			}
			h.events = append(h.events, e)
			h.next = binary.BigEndian.Uint64(key[len(prefix):]) + 1
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	return h, nil
}

// Events implements engine.History.
func (h *History) Events() []engine.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.events
}

// Forget implements engine.Forgetter.
func (h *History) Forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = nil
}

// Append implements engine.History. The output that the event counts is on disk before the event is: the
// bytes of an event that is known are never written again, all others are.
func (h *History) Append(_ context.Context, e engine.Event) error {
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	if e.Output > 0 {
		if err := h.log.Sync(); err != nil {
			return err
		}
	}
	h.mu.Lock()
	key := h.k.run(runEvent, u64(h.next)...)
	h.next++
	if data, err = h.s.sealRun(key, data); err == nil {
		err = h.s.w.add(change{do: func(tx *bbolt.Tx) error { return tx.Bucket(bucketRuns).Put(key, data) }})
	}
	h.mu.Unlock()
	if err != nil {
		return err
	}
	return h.s.Flush()
}
