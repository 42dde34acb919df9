// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitrepository

import (
	"sync"

	"github.com/slipway-dev/slipway/pkg/apiserver/response"
)

const (
	// largeAtOnce bounds the requests with files that are read at once: each is held in memory or in temporary files
	// while it arrives, which may take long.
	largeAtOnce = 32
	// largePerUser is how many of them one user may have.
	largePerUser = 4
)

// shares counts requests with files.
type shares struct {
	mu    sync.Mutex
	all   int
	users map[string]int
}

func newShares() *shares { return &shares{users: map[string]int{}} }

// take counts a request, and done takes it off again. It does not wait: who is refused still has the body.
func (s *shares) take(user string) (done func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.users[user] >= largePerUser:
		return nil, response.TooManyRequests("you are sending several files already; wait until they have arrived", 1)
	case s.all >= largeAtOnce:
		return nil, response.TooManyRequests("the server takes too many files at the moment; try again soon", 1)
	}
	s.all++
	s.users[user]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.users[user]--; s.users[user] == 0 {
			delete(s.users, user)
		}
	}, nil
}
