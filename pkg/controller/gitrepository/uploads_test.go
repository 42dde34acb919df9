// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitrepository

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"

	"github.com/slipway-dev/slipway/pkg/objectstore"
	"github.com/slipway-dev/slipway/pkg/objectstore/embedded"
)

// uploadsAt is an object store in which everything was written at one time.
type uploadsAt struct {
	keys   map[string]time.Time
	broken string
	asked  chan struct{}
}

func (s *uploadsAt) List(_ context.Context, prefix string) ([]objectstore.Info, error) {
	if s.asked != nil {
		s.asked <- struct{}{}
	}
	var list []objectstore.Info
	for key, at := range s.keys {
		if strings.HasPrefix(key, prefix) {
			list = append(list, objectstore.Info{Key: key, Modified: at})
		}
	}
	return list, nil
}

func (s *uploadsAt) Delete(_ context.Context, key string) error {
	if key == s.broken {
		return objectstore.ErrUnavailable
	}
	delete(s.keys, key)
	return nil
}

func TestCollect(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	store := &uploadsAt{broken: "git-uploads/a/u/stuck", keys: map[string]time.Time{
		"git-uploads/a/u/old":       now.Add(-25 * time.Hour),
		"git-uploads/a/u/stuck":     now.Add(-25 * time.Hour),
		"git-uploads/b/v/older":     now.Add(-900 * time.Hour),
		"git-uploads/a/u/new":       now.Add(-23 * time.Hour),
		"git-uploads/a/u/tomorrow":  now.Add(time.Hour),
		"git-uploads-of-others/old": now.Add(-900 * time.Hour),
		"runs/a/log.txt":            now.Add(-900 * time.Hour),
	}}
	u := &Uploads{Objects: store, Now: func() time.Time { return now }}
	if err := u.Collect(t.Context()); !errors.Is(err, objectstore.ErrUnavailable) {
		t.Errorf("one that cannot be deleted is told: %v", err)
	}
	var left []string
	for key := range store.keys {
		left = append(left, key)
	}
	slices.Sort(left)
	want := []string{"git-uploads-of-others/old", "git-uploads/a/u/new", "git-uploads/a/u/stuck", "git-uploads/a/u/tomorrow", "runs/a/log.txt"}
	if diff := cmp.Diff(want, left); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
}

// TestCollectFromStore has the object store tell the times.
func TestCollectFromStore(t *testing.T) {
	server, err := embedded.New(t.Context(), embedded.Config{Dir: t.TempDir(), Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx) }()
	defer func() { cancel(); <-done }()
	access, secret := server.Keys()
	store, err := objectstore.New(objectstore.Config{Endpoint: server.Endpoint(), AccessKey: access, SecretKey: secret, PathStyle: true})
	if err == nil {
		err = store.EnsureBucket(t.Context())
	}
	if err == nil {
		err = store.Put(t.Context(), "git-uploads/a/b/c", strings.NewReader("x"), 1, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		reason string
		now    func() time.Time
		left   int
	}{
		{"it was just uploaded", nil, 1},
		{"nobody committed it for a day", func() time.Time { return time.Now().Add(25 * time.Hour) }, 0},
	} {
		if err := (&Uploads{Objects: store, Now: tc.now}).Collect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if list, err := store.List(t.Context(), "git-uploads/"); err != nil || len(list) != tc.left {
			t.Errorf("%s: %v, %v are left, want %d", tc.reason, err, list, tc.left)
		}
	}
}

func TestUploadsStart(t *testing.T) {
	store := &uploadsAt{asked: make(chan struct{}, 1), keys: map[string]time.Time{}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- (&Uploads{Objects: store}).Start(ctx) }()
	g := gomega.NewWithT(t)
	g.Eventually(store.asked, "20s").Should(gomega.Receive(), "it looks at the start, so that replicas that live for minutes do it, too")
	cancel()
	g.Eventually(done, "20s").Should(gomega.Receive(gomega.BeNil()))
}
