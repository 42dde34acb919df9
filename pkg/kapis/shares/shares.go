// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package shares bounds the requests that bring files: each of them is held in memory or in temporary files while it
// arrives, which may take long.
package shares

import (
	"sync"

	"github.com/slipway-dev/slipway/pkg/apiserver/response"
)

// Shares counts requests with files.
type Shares struct {
	atOnce, perUser int

	mu    sync.Mutex
	all   int
	users map[string]int
}

// New makes a counter. atOnce bounds the requests that are read at once, perUser those of one user.
func New(atOnce, perUser int) *Shares {
	return &Shares{atOnce: atOnce, perUser: perUser, users: map[string]int{}}
}

// Take counts a request, and done takes it off again. It does not wait: who is refused still has the body. The error is
// a 429.
func (s *Shares) Take(user string) (done func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.users[user] >= s.perUser:
		return nil, response.TooManyRequests("you are sending several files already; wait until they have arrived", 1)
	case s.all >= s.atOnce:
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
