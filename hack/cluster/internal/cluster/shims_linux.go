// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/slipway-dev/slipway/hack/cluster/internal/layout"
)

const (
	// shimDir is where containerd's shims have their sockets, whatever
	// containerd's own directories are. A shim that is killed leaves its socket.
	shimDir = "/run/containerd/s/"
	// shimNotes is the file of the state directory that lists our shims' sockets.
	shimNotes = "shims.json"
)

// trackShims brings the list of shims' sockets up to date, from what containerd
// notes about the shims that it started. The list outlives those notes.
func trackShims(l layout.Layout) error {
	noted, err := notedSockets(l)
	if err != nil {
		return err
	}
	files, err := filepath.Glob(l.In("run", "containerd", "io.containerd.runtime.v2.task", "*", "*", "bootstrap.json"))
	if err != nil {
		return fmt.Errorf("listing shims: %w", err)
	}
	all := slices.Clone(noted)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // the container ended meanwhile
		}
		var boot struct {
			Address string `json:"address"`
		}
		if json.Unmarshal(b, &boot) != nil {
			continue // not yet written in full
		}
		if socket, ok := strings.CutPrefix(boot.Address, "unix://"); ok && strings.HasPrefix(socket, shimDir) {
			all = append(all, socket)
		}
	}
	slices.Sort(all)
	all = slices.DeleteFunc(slices.Compact(all), func(socket string) bool {
		_, err := os.Lstat(socket)
		return errors.Is(err, fs.ErrNotExist)
	})
	if slices.Equal(all, noted) {
		return nil
	}
	b, err := json.Marshal(all)
	if err != nil {
		return fmt.Errorf("noting shims: %w", err)
	}
	tmp := l.In(shimNotes + ".tmp")
	if err := os.WriteFile(tmp, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("noting shims: %w", err)
	}
	return os.Rename(tmp, l.In(shimNotes))
}

func notedSockets(l layout.Layout) ([]string, error) {
	b, err := os.ReadFile(l.In(shimNotes))
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(bytes.TrimSpace(b)) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the list of shims: %w", err)
	}
	var sockets []string
	if err := json.Unmarshal(b, &sockets); err != nil {
		return nil, fmt.Errorf("reading the list of shims: %w", err)
	}
	return sockets, nil
}

// removeDeadSockets removes the sockets of our shims that nobody listens at.
func removeDeadSockets(ctx context.Context, l layout.Layout) error {
	sockets, err := notedSockets(l)
	if err != nil {
		return err
	}
	for _, socket := range sockets {
		conn, err := (&net.Dialer{Timeout: probeTimeout}).DialContext(ctx, "unix", socket)
		if err == nil {
			conn.Close()
			continue
		}
		if !errors.Is(err, syscall.ECONNREFUSED) || !strings.HasPrefix(socket, shimDir) {
			continue
		}
		if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing the socket of a shim that is gone: %w", err)
		}
	}
	return nil
}
