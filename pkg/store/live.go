// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import "sigs.k8s.io/controller-runtime/pkg/client"

// Live reads from Kubernetes itself where that is possible, for kinds that are read too seldom to be worth a cache.
func (s *Store) Live() client.Reader {
	if s.live == nil {
		return s.reader
	}
	return s.live
}
