// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package store keeps the state of minijenkins in a folder: a bbolt database for folders, jobs,
// the queue, builds, their nodes and steps and the pod templates; one append-only file per build
// log; one folder per build for its artifacts.
//
// A change of the database is queued when its call returns; Flush waits until it is on disk. Changes
// that come close together share a transaction, and so one wait for the disk; they are applied whole
// and in order, so a killed server finds each either done or not begun. A caller tells nobody of a
// change, and lets nothing follow from it outside of the process, before Flush.
package store

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
)

// ErrLocked says that another process uses the state folder.
var ErrLocked = errors.New("the state folder is in use by another process")

// ErrDamaged says that the database of the state folder is missing or cannot be read. A copy of the folder helps.
var ErrDamaged = errors.New("the database state.db is damaged or missing: restore it from a copy of the folder")

// ErrName says that a name is empty or too long to be stored under it.
var ErrName = errors.New("the name cannot be stored")

var (
	bucketMeta      = []byte("meta")
	bucketItems     = []byte("items")
	bucketBuilds    = []byte("builds")
	bucketNodes     = []byte("nodes")
	bucketSteps     = []byte("steps")
	bucketQueue     = []byte("queue")
	bucketClouds    = []byte("clouds")
	bucketTemplates = []byte("templates")
	keyInstance     = []byte("instance")
	keySecret       = []byte("secret")
)

// Store is an open state folder. It is safe for concurrent use.
type Store struct {
	dir      string
	db       *bbolt.DB
	root     *os.Root
	instance string
	secret   []byte

	keyMu sync.Mutex
	aead  cipher.AEAD
	// seqs are the last numbers that were given out, by bucket; guarded by w.mu.
	seqs map[string]uint64
	w    writer
}

// Open opens the folder and makes it if need be. Only one process can have it open; ErrLocked is
// wrapped if another one has.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(filepath.Join(dir, "builds"), 0o700); err != nil {
		return nil, fmt.Errorf("make state folder: %w", err)
	}
	file := filepath.Join(dir, "state.db")
	if err := checkFresh(dir, file); err != nil {
		return nil, err
	}
	var db *bbolt.DB
	err := undamaged(func() (err error) {
		db, err = bbolt.Open(file, 0o600, &bbolt.Options{Timeout: 2 * time.Second})
		return err
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("open %s: %w", dir, ErrLocked)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum):
		return nil, fmt.Errorf("open %s: %w: %w", dir, ErrDamaged, err)
	case err != nil:
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	s := &Store{dir: dir, db: db, seqs: map[string]uint64{}}
	if s.root, err = os.OpenRoot(filepath.Join(dir, "builds")); err != nil {
		return nil, errors.Join(fmt.Errorf("open builds folder: %w", err), db.Close())
	}
	if err = undamaged(s.init); err != nil {
		return nil, errors.Join(err, s.db.Close(), s.root.Close())
	}
	s.w.begin(s.db)
	return s, nil
}

// checkFresh refuses a folder that has builds but no database: a new one would number jobs anew, and the builds would be removed.
func checkFresh(dir, file string) error {
	info, err := os.Stat(file)
	if err == nil && info.Size() > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil // if it cannot be read, that is told when it is opened
	}
	builds, err := os.ReadDir(filepath.Join(dir, "builds"))
	if err != nil {
		return fmt.Errorf("list builds folder: %w", err)
	}
	if len(builds) > 0 {
		return fmt.Errorf("open %s: %w, or remove the folder builds to begin anew", dir, ErrDamaged)
	}
	return nil
}

// undamaged makes a panic of the database, which is how it tells of pages that are not what they should be, ErrDamaged.
func undamaged(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, r)
		}
	}()
	return f()
}

// view reads in a transaction.
func (s *Store) view(f func(*bbolt.Tx) error) error {
	return undamaged(func() error { return s.db.View(f) })
}

func (s *Store) init() error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		for _, b := range [][]byte{bucketMeta, bucketItems, bucketBuilds, bucketNodes, bucketSteps, bucketQueue, bucketClouds, bucketTemplates, bucketCredentials, bucketViews, bucketTokens, bucketRuns} {
			if _, err := tx.CreateBucketIfNotExists(b); err != nil {
				return fmt.Errorf("make bucket %s: %w", b, err)
			}
		}
		m := tx.Bucket(bucketMeta)
		if m.Get(keyInstance) == nil {
			id := make([]byte, 5)
			key := make([]byte, 32)
			_, _ = rand.Read(id)
			_, _ = rand.Read(key)
			if err := errors.Join(m.Put(keyInstance, []byte(hex.EncodeToString(id))), m.Put(keySecret, key)); err != nil {
				return err
			}
		}
		for _, b := range [][]byte{bucketItems, bucketQueue, bucketTemplates} {
			s.seqs[string(b)] = tx.Bucket(b).Sequence()
		}
		s.instance = string(m.Get(keyInstance))
		s.secret = append([]byte(nil), m.Get(keySecret)...)
		return nil
	})
}

// Close brings what is queued to disk and closes the database. Logs that are open stay usable.
func (s *Store) Close() error {
	return errors.Join(s.w.end(), s.db.Close(), s.root.Close())
}

// Flush waits until every change that was queued before is on disk. An error says that the disk does
// not take them now; they stay queued and are tried again.
func (s *Store) Flush() error { return s.w.flush() }

// Instance is the ID of this state folder: 10 hex digits, made once. Pods carry it as a label.
func (s *Store) Instance() string { return s.instance }

// Secret is a random key of this state folder, for crumbs and the like.
func (s *Store) Secret() []byte { return s.secret }

// Ping tells if the database can be read.
func (s *Store) Ping(context.Context) error {
	return s.view(func(*bbolt.Tx) error { return nil })
}

func u64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

func (k BuildKey) bytes() []byte {
	return binary.BigEndian.AppendUint64(u64(k.Job), uint64(k.Number))
}

func (k BuildKey) dir() string {
	return filepath.Join(strconv.FormatUint(k.Job, 10), strconv.Itoa(k.Number))
}

// put writes a value in a transaction.
func put(b *bbolt.Bucket, key []byte, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %T: %w", v, err)
	}
	return b.Put(key, data)
}

// put queues the write of a value, as it is now.
func (s *Store) put(bucket, key []byte, v any) error {
	// A change that the database never takes would be tried for ever, and all others behind it would wait.
	if len(key) == 0 || len(key) > bbolt.MaxKeySize {
		return fmt.Errorf("%w: %d bytes", ErrName, len(key))
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %T: %w", v, err)
	}
	return s.w.add(change{do: func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(key, data) }})
}

// next gives out the next number of a bucket.
func (s *Store) next(bucket []byte) (uint64, error) {
	s.w.mu.Lock()
	s.seqs[string(bucket)]++
	n := s.seqs[string(bucket)]
	s.w.mu.Unlock()
	return n, s.w.add(change{do: func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucket)
		return b.SetSequence(max(n, b.Sequence()))
	}})
}

func all[T any](b *bbolt.Bucket, prefix []byte) ([]*T, error) {
	var out []*T
	c := b.Cursor()
	for k, v := c.Seek(prefix); k != nil && len(k) >= len(prefix) && string(k[:len(prefix)]) == string(prefix); k, v = c.Next() {
		t := new(T)
		if err := json.Unmarshal(v, t); err != nil {
			return nil, fmt.Errorf("decode %T: %w", t, err)
		}
		out = append(out, t)
	}
	return out, nil
}

// State is everything that is held in memory while the server runs.
type State struct {
	Items     []*Item
	Builds    []*Build
	Queue     []*QueueItem
	Clouds    []*Cloud
	Templates []*Template
	// Credentials are without what is secret of them.
	Credentials []*Credential
	Views       []*View
	Tokens      []*Token
}

// Load reads the state.
func (s *Store) Load() (*State, error) {
	st := &State{}
	if err := s.Flush(); err != nil {
		return nil, err
	}
	err := s.view(func(tx *bbolt.Tx) (err error) {
		if st.Items, err = all[Item](tx.Bucket(bucketItems), nil); err != nil {
			return err
		}
		if st.Builds, err = all[Build](tx.Bucket(bucketBuilds), nil); err != nil {
			return err
		}
		if st.Queue, err = all[QueueItem](tx.Bucket(bucketQueue), nil); err != nil {
			return err
		}
		if st.Clouds, err = all[Cloud](tx.Bucket(bucketClouds), nil); err != nil {
			return err
		}
		if st.Templates, err = all[Template](tx.Bucket(bucketTemplates), nil); err != nil {
			return err
		}
		if st.Credentials, err = all[Credential](tx.Bucket(bucketCredentials), nil); err != nil {
			return err
		}
		if st.Views, err = all[View](tx.Bucket(bucketViews), nil); err != nil {
			return err
		}
		st.Tokens, err = all[Token](tx.Bucket(bucketTokens), nil)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("load state: %w", err)
	}
	return st, nil
}

// AddItem stores a new item and sets its ID.
func (s *Store) AddItem(it *Item) (err error) {
	if it.ID, err = s.next(bucketItems); err != nil {
		return err
	}
	return s.put(bucketItems, u64(it.ID), it)
}

// PutItem replaces an item.
func (s *Store) PutItem(it *Item) error { return s.put(bucketItems, u64(it.ID), it) }

// DeleteItems removes items with their builds and queue items in one transaction, then their files.
func (s *Store) DeleteItems(ids []uint64) error {
	return s.w.add(change{do: func(tx *bbolt.Tx) error { return deleteItems(tx, ids) }, then: func() {
		// The files of a deleted item are unreachable; what a failure here leaves, Sweep removes.
		for _, id := range ids {
			_ = s.root.RemoveAll(strconv.FormatUint(id, 10))
		}
	}})
}

func deleteItems(tx *bbolt.Tx, ids []uint64) error {
	gone := map[uint64]bool{}
	for _, id := range ids {
		gone[id] = true
		if err := tx.Bucket(bucketItems).Delete(u64(id)); err != nil {
			return err
		}
		for _, b := range [][]byte{bucketBuilds, bucketNodes, bucketSteps, bucketCredentials, bucketViews, bucketRuns} {
			if err := deletePrefix(tx.Bucket(b), u64(id)); err != nil {
				return err
			}
		}
	}
	q, err := all[QueueItem](tx.Bucket(bucketQueue), nil)
	if err != nil {
		return err
	}
	for _, it := range q {
		if gone[it.Job] {
			if err := tx.Bucket(bucketQueue).Delete(u64(uint64(it.ID))); err != nil {
				return err
			}
		}
	}
	return nil
}

func deletePrefix(b *bbolt.Bucket, prefix []byte) error {
	var keys [][]byte
	c := b.Cursor()
	for k, _ := c.Seek(prefix); k != nil && string(k[:min(len(k), len(prefix))]) == string(prefix); k, _ = c.Next() {
		keys = append(keys, append([]byte(nil), k...))
	}
	for _, k := range keys {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// AddQueueItem stores a new queue item and sets its ID.
func (s *Store) AddQueueItem(it *QueueItem) (err error) {
	if it.ID, err = s.NextQueueID(); err != nil {
		return err
	}
	return s.PutQueueItem(it)
}

// NextQueueID gives an ID to something that only looks like a queue item.
func (s *Store) NextQueueID() (int64, error) {
	n, err := s.next(bucketQueue)
	return int64(n), err
}

// PutQueueItem replaces a queue item.
func (s *Store) PutQueueItem(it *QueueItem) error {
	return s.put(bucketQueue, u64(uint64(it.ID)), it)
}

// DeleteQueueItems removes queue items.
func (s *Store) DeleteQueueItems(ids []int64) error {
	return s.w.add(change{do: func(tx *bbolt.Tx) error {
		for _, id := range ids {
			if err := tx.Bucket(bucketQueue).Delete(u64(uint64(id))); err != nil {
				return err
			}
		}
		return nil
	}})
}

// StartBuild stores the step from the queue to the build: the item that left, the new build and the
// job with its next number, in one transaction.
func (s *Store) StartBuild(q *QueueItem, b *Build, job *Item) error {
	qData, errQ := json.Marshal(q)
	bData, errB := json.Marshal(b)
	jData, errJ := json.Marshal(job)
	if err := errors.Join(errQ, errB, errJ); err != nil {
		return fmt.Errorf("encode build: %w", err)
	}
	qKey, bKey, jKey := u64(uint64(q.ID)), b.Key().bytes(), u64(job.ID)
	return s.w.add(change{do: func(tx *bbolt.Tx) error {
		return errors.Join(tx.Bucket(bucketQueue).Put(qKey, qData), tx.Bucket(bucketBuilds).Put(bKey, bData), tx.Bucket(bucketItems).Put(jKey, jData))
	}})
}

// PutBuild replaces a build.
func (s *Store) PutBuild(b *Build) error { return s.put(bucketBuilds, b.Key().bytes(), b) }

// DeleteBuild removes a build and its files.
func (s *Store) DeleteBuild(k BuildKey) error {
	return s.w.add(change{do: func(tx *bbolt.Tx) error {
		return errors.Join(
			tx.Bucket(bucketBuilds).Delete(k.bytes()),
			deletePrefix(tx.Bucket(bucketNodes), k.bytes()),
			deletePrefix(tx.Bucket(bucketSteps), k.bytes()),
			deletePrefix(tx.Bucket(bucketRuns), k.bytes()))
	}, then: func() { _ = s.root.RemoveAll(k.dir()) }}) // what a failure leaves, Sweep removes
}

type ordered[T any] struct {
	Seq   int `json:"seq"`
	Value T   `json:"value"`
}

// PutNode stores a node of a build; seq orders the nodes.
func (s *Store) PutNode(k BuildKey, seq int, n engine.Node) error {
	return s.put(bucketNodes, append(k.bytes(), n.ID...), ordered[engine.Node]{seq, n})
}

// PutStep stores a step of a build; seq orders the steps.
func (s *Store) PutStep(k BuildKey, seq int, st engine.Step) error {
	return s.put(bucketSteps, append(k.bytes(), st.ID...), ordered[engine.Step]{seq, st})
}

// Graph reads the nodes and steps of a build in their order.
func (s *Store) Graph(k BuildKey) (nodes []engine.Node, steps []engine.Step, err error) {
	if err := s.Flush(); err != nil {
		return nil, nil, err
	}
	err = s.view(func(tx *bbolt.Tx) (err error) {
		if nodes, err = sorted[engine.Node](tx.Bucket(bucketNodes), k.bytes()); err != nil {
			return err
		}
		steps, err = sorted[engine.Step](tx.Bucket(bucketSteps), k.bytes())
		return err
	})
	return nodes, steps, err
}

func sorted[T any](b *bbolt.Bucket, prefix []byte) ([]T, error) {
	list, err := all[ordered[T]](b, prefix)
	if err != nil {
		return nil, err
	}
	sortBySeq(list)
	out := make([]T, 0, len(list))
	for _, o := range list {
		out = append(out, o.Value)
	}
	return out, nil
}

// PutCloud adds or replaces a cloud.
func (s *Store) PutCloud(c *Cloud) error { return s.put(bucketClouds, []byte(c.Name), c) }

// DeleteCloud removes a cloud.
func (s *Store) DeleteCloud(name string) error {
	return s.w.add(change{do: func(tx *bbolt.Tx) error { return tx.Bucket(bucketClouds).Delete([]byte(name)) }})
}

// AddTemplate stores a new template and sets its Seq.
func (s *Store) AddTemplate(t *Template) (err error) {
	if t.Seq, err = s.next(bucketTemplates); err != nil {
		return err
	}
	return s.PutTemplate(t)
}

// PutTemplate replaces a template.
func (s *Store) PutTemplate(t *Template) error { return s.put(bucketTemplates, u64(t.Seq), t) }

// DeleteTemplate removes a template.
func (s *Store) DeleteTemplate(seq uint64) error {
	return s.w.add(change{do: func(tx *bbolt.Tx) error { return tx.Bucket(bucketTemplates).Delete(u64(seq)) }})
}
