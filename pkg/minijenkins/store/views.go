// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"time"

	"go.etcd.io/bbolt"
)

var (
	bucketViews  = []byte("views")
	bucketTokens = []byte("tokens")
)

// View is a view of a folder or of the root. The views that show everything are not stored.
type View struct {
	// Parent is the ID of the folder, Root at the top.
	Parent uint64 `json:"parent"`
	Name   string `json:"name"`
	// Config is the config.xml of the view as it was posted.
	Config []byte `json:"config"`
}

func (v *View) key() []byte { return append(u64(v.Parent), v.Name...) }

// PutView adds or replaces a view.
func (s *Store) PutView(v *View) error { return s.put(bucketViews, v.key(), v) }

// DeleteView removes a view; that there is none is no error.
func (s *Store) DeleteView(parent uint64, name string) error {
	key := (&View{Parent: parent, Name: name}).key()
	return s.w.add(change{do: func(tx *bbolt.Tx) error { return tx.Bucket(bucketViews).Delete(key) }})
}

// Token is an API token that a user made. Its value is not kept.
type Token struct {
	// UUID identifies it.
	UUID string `json:"uuid"`
	User string `json:"user"`
	// Name is what the user called it.
	Name string `json:"name"`
	// Hash is the SHA-256 of the value. The value is random, so a slow hash would add nothing.
	Hash []byte `json:"hash"`
	// Created is when it was made.
	Created time.Time `json:"created"`
}

// PutToken adds or replaces a token.
func (s *Store) PutToken(t *Token) error { return s.put(bucketTokens, []byte(t.UUID), t) }

// DeleteToken removes a token; that there is none is no error.
func (s *Store) DeleteToken(uuid string) error {
	return s.w.add(change{do: func(tx *bbolt.Tx) error { return tx.Bucket(bucketTokens).Delete([]byte(uuid)) }})
}
