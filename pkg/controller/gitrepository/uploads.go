// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitrepository

import (
	"context"
	"errors"
	"fmt"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/slipway-dev/slipway/pkg/objectstore"
)

const (
	// uploadPrefix begins the keys of uploads, as package kapis/devops/v1alpha3/gitrepository writes them.
	uploadPrefix = "git-uploads/"
	// uploadLife is how long an upload is left alone. Commits take none that is older than an hour.
	uploadLife = 24 * time.Hour
	// collectEvery is how often old uploads are looked for, collectTimeout bounds one look.
	collectEvery   = time.Hour
	collectTimeout = 10 * time.Minute
)

// Objects is the object store; *objectstore.Store has it.
type Objects interface {
	List(ctx context.Context, prefix string) ([]objectstore.Info, error)
	Delete(ctx context.Context, key string) error
}

// Uploads deletes files that were uploaded and never committed. Of several replicas the leader does it, as it is a
// Runnable that does not say otherwise.
type Uploads struct {
	// Objects keeps the files.
	Objects Objects
	// Now tells the time. Nil: time.Now.
	Now func() time.Time
}

// Start implements manager.Runnable.
func (u *Uploads) Start(ctx context.Context) error {
	ticker := time.NewTicker(collectEvery)
	defer ticker.Stop()
	for {
		if err := u.Collect(ctx); err != nil && ctx.Err() == nil {
			ctrl.LoggerFrom(ctx).Error(err, "Uploads that nobody committed could not be deleted; it is tried again", "after", collectEvery.String())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Collect deletes what is old now. One that cannot be deleted does not keep the others.
func (u *Uploads) Collect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, collectTimeout)
	defer cancel()
	now := time.Now
	if u.Now != nil {
		now = u.Now
	}
	list, err := u.Objects.List(ctx, uploadPrefix)
	if err != nil {
		return fmt.Errorf("list uploads: %w", err)
	}
	var failed error
	for _, o := range list {
		if now().Sub(o.Modified) < uploadLife {
			continue
		}
		if err := u.Objects.Delete(ctx, o.Key); err != nil {
			failed = errors.Join(failed, fmt.Errorf("delete an upload: %w", err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return failed
}
