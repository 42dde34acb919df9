// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"fmt"

	"github.com/slipway-dev/slipway/pkg/objectstore"
	"github.com/slipway-dev/slipway/pkg/up"
)

// NewObjectStore gives a client for the state's bucket.
func NewObjectStore(state *up.State) (*objectstore.Store, error) {
	secret, err := state.S3.Secret()
	if err != nil {
		return nil, err
	}
	store, err := objectstore.New(objectstore.Config{
		Endpoint: state.S3.URL, AccessKey: state.S3.Username, SecretKey: secret, Bucket: state.Bucket, PathStyle: true,
	})
	if err != nil {
		return nil, fmt.Errorf("make S3 client: %w", err)
	}
	return store, nil
}
