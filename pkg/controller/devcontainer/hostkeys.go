// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devcontainer

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/slipway-dev/slipway/pkg/sshkeys"
)

// poolSize is how many sets of host keys are kept ready: as many dev containers can be made at once
// without waiting for prime numbers.
const poolSize = 4

// keyPool makes sets of host keys ahead of time: an RSA key takes up to a second, a fifth of the time in
// which a dev container should be there.
type keyPool struct{ sets chan []sshkeys.HostKey }

var _ manager.LeaderElectionRunnable = (*keyPool)(nil)

func newKeyPool() *keyPool {
	// The one that waits to be put in is the last of poolSize.
	return &keyPool{sets: make(chan []sshkeys.HostKey, poolSize-1)}
}

// Start fills the pool until the context ends.
func (p *keyPool) Start(ctx context.Context) error {
	for {
		set, err := sshkeys.GenerateHostKeys()
		if err != nil {
			return fmt.Errorf("make host keys ahead: %w", err)
		}
		select {
		case p.sets <- set:
		case <-ctx.Done():
			return nil
		}
	}
}

// NeedLeaderElection keeps the pool away from replicas that make no dev containers.
func (p *keyPool) NeedLeaderElection() bool { return true }

// Take gives a set that nobody else gets.
func (p *keyPool) Take() ([]sshkeys.HostKey, error) {
	select {
	case set := <-p.sets:
		return set, nil
	default:
		return sshkeys.GenerateHostKeys()
	}
}
