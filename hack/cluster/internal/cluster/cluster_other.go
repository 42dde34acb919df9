// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package cluster

import (
	"context"
	"io"
	"runtime"

	"github.com/slipway-dev/slipway/hack/cluster/internal/images"
	"github.com/slipway-dev/slipway/hack/cluster/internal/layout"
	"github.com/slipway-dev/slipway/hack/cluster/internal/require"
)

// errLinux is what every command says on another operating system.
func errLinux() error { return require.Missing(nil, "it needs Linux, and this is %s", runtime.GOOS) }

// DownOptions are the choices of Down.
type DownOptions struct {
	KeepData bool
	Out      io.Writer
}

// CheckUser says that a cluster needs Linux.
func CheckUser() error { return errLinux() }

// Up is for Linux only.
func Up(context.Context, layout.Layout, UpOptions) (*Status, error) { return nil, errLinux() }

// Down is for Linux only.
func Down(context.Context, layout.Layout, DownOptions) error { return errLinux() }

// Supervise is for Linux only.
func Supervise(context.Context, layout.Layout) error { return errLinux() }

// GetStatus says that there is no cluster.
func GetStatus(_ context.Context, l layout.Layout) (*Status, error) {
	st := baseStatus(l)
	st.Message = errLinux().Error()
	return st, nil
}

// Registry is for Linux only.
func Registry(context.Context, layout.Layout) (images.Target, error) {
	return images.Target{}, errLinux()
}

// Preload is for Linux only.
func Preload(context.Context, layout.Layout, string) error { return errLinux() }

// Import is for Linux only.
func Import(context.Context, layout.Layout, string, io.Writer) error { return errLinux() }

// EnsurePrograms is for Linux only.
func EnsurePrograms(context.Context, bool, io.Writer, ...string) error { return errLinux() }
