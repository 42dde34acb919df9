// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package up

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/slipway-dev/slipway/pkg/kubeconfig"
)

const (
	// One process talks for all controllers and users; the cluster's own fairness bounds it.
	qps, burst = 500, 1000
	// leaseTimeout bounds each renewal of the lease.
	leaseTimeout = 10 * time.Second
	// leaseName is the Lease that the process which runs the controllers holds.
	leaseName = "slipway-controllers"
)

// restConfig reads the kubeconfig.
func restConfig(options *Options) (*rest.Config, error) {
	config, err := kubeconfig.Load(options.Kubeconfig)
	if errors.Is(err, kubeconfig.ErrNone) {
		return nil, fmt.Errorf("%w, or let `make run` start one", err)
	}
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = qps, burst
	config.UserAgent = "slipway-up"
	return config, nil
}

// newLock gives the lease that only one Slipway of a cluster holds. Its holder's name stays the
// same for a state folder, so that a process that was killed and comes back need not wait for its
// own lease to run out.
func newLock(config *rest.Config, options *Options) (resourcelock.Interface, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("read host name: %w", err)
	}
	dir, err := filepath.Abs(options.StateDir)
	if err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	sum := sha256.Sum256([]byte(dir))
	lock, err := resourcelock.NewFromKubeconfig(resourcelock.LeasesResourceLock, options.SystemNamespace, leaseName,
		resourcelock.ResourceLockConfig{Identity: host + "_" + hex.EncodeToString(sum[:])[:12]}, config, leaseTimeout)
	if err != nil {
		return nil, fmt.Errorf("make lease: %w", err)
	}
	return lock, nil
}

// otherHolder gives the holder of the lease if it is alive and not this process's state folder.
func otherHolder(ctx context.Context, lock resourcelock.Interface) (string, error) {
	record, _, err := lock.Get(ctx)
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read lease %s: %w", lock.Describe(), err)
	}
	if record.HolderIdentity == "" || record.HolderIdentity == lock.Identity() {
		return "", nil
	}
	if time.Since(record.RenewTime.Time) > time.Duration(record.LeaseDurationSeconds)*time.Second {
		return "", nil
	}
	return record.HolderIdentity, nil
}

// lockState keeps two processes from using one state folder.
func lockState(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the state folder cannot be made: %w (another one: --state-dir)", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the state folder cannot be used: %w (another one: --state-dir)", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("the state folder %s is in use by another `slipway up`: stop it, or choose another one with --state-dir", dir), file.Close())
	}
	return file, nil
}
