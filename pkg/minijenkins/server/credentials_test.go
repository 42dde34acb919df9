// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// use lets build 1 of a job use a credential.
func (r *replay) use(folder, job, id string) {

	r.s.mu.RLock()
	key := store.BuildKey{Job: r.s.root.find(folder).find(job).ID, Number: 1}
	r.s.mu.RUnlock()
	if _, err := r.s.useCredential(key, id); err != nil {
		r.t.Error(err)
	}
}
