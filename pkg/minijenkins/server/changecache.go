// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"k8s.io/utils/lru"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

const (
	// cachedChanges is how many builds' changes are in memory.
	cachedChanges = 2048
	// maxCachedChanges and maxCachedPaths bound one of them; what is larger is read from the disk each time.
	maxCachedChanges = 50
	maxCachedPaths   = 500
)

// changeCache keeps the changes of builds that were shown lately: every list of builds in Blue Ocean shows those of each build, and a
// file for each takes longer than all the rest.
type changeCache struct {
	list *lru.Cache
	read func(store.BuildKey) ([]engine.Change, bool, error)
}

func newChangeCache(read func(store.BuildKey) ([]engine.Change, bool, error)) *changeCache {
	return &changeCache{list: lru.New(cachedChanges), read: read}
}

// of gives the changes of a build, which must not be changed. Only builds of a commit have any, and once they are known, or the build has ended,
// they stay as they are.
func (c *changeCache) of(b *store.Build) ([]engine.Change, error) {
	if b.Commit == "" {
		return nil, nil
	}
	if known, ok := c.list.Get(b.Key()); ok {
		return known.([]engine.Change), nil
	}
	list, known, err := c.read(b.Key())
	if err != nil {
		return nil, err
	}
	if known || !b.Building {
		c.keep(b.Key(), list)
	}
	return list, nil
}

func (c *changeCache) keep(k store.BuildKey, list []engine.Change) {
	paths := 0
	for i := range list {
		paths += len(list[i].Paths)
	}
	if len(list) <= maxCachedChanges && paths <= maxCachedPaths {
		c.list.Add(k, list)
	}
}

// forget drops what is known of a build, as its changes have just been found out.
func (c *changeCache) forget(k store.BuildKey) { c.list.Remove(k) }
