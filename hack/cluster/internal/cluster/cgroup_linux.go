// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/hack/cluster/internal/require"
)

const cgroupRoot = "/sys/fs/cgroup"

// controlGroups lists the roots of the machine's hierarchies of control groups:
// one of version 2, or one per controller of version 1.
func controlGroups() ([]string, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(cgroupRoot, &st); err != nil {
		return nil, require.Missing(err, "control groups are not mounted at %s", cgroupRoot)
	}
	if st.Type == unix.CGROUP2_SUPER_MAGIC {
		return []string{cgroupRoot}, nil
	}
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("listing control groups: %w", err)
	}
	var roots []string
	for line := range strings.Lines(string(b)) {
		before, after, ok := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if kind, _, _ := strings.Cut(after, " "); ok && len(fields) > 4 && strings.HasPrefix(kind, "cgroup") &&
			strings.HasPrefix(fields[4], cgroupRoot+"/") {
			roots = append(roots, fields[4])
		}
	}
	if len(roots) == 0 {
		return nil, require.Missing(nil, "control groups are not mounted below %s", cgroupRoot)
	}
	return roots, nil
}

// makeControlGroups makes the group that the kubelet puts all pods below.
func makeControlGroups(id string) error {
	roots, err := controlGroups()
	if err != nil {
		return err
	}
	for _, root := range roots {
		if root == cgroupRoot {
			enableControllers(root)
		}
		if err := os.Mkdir(filepath.Join(root, id), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return require.Missing(err, "control groups cannot be made")
		}
		if root == cgroupRoot {
			enableControllers(filepath.Join(root, id))
		}
	}
	return nil
}

// enableControllers hands a version 2 group's controllers on to its children.
// One that cannot be handed on is missed by the kubelet, which says so.
func enableControllers(dir string) {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return
	}
	for _, c := range strings.Fields(string(b)) {
		_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+c), 0)
	}
}

// walkControlGroups calls f for every group of the cluster, children first.
func walkControlGroups(id string, f func(dir string) error) error {
	roots, err := controlGroups()
	if err != nil {
		return err
	}
	for _, root := range roots {
		var dirs []string
		err := filepath.WalkDir(filepath.Join(root, id), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
				return nil // it went away, or was never there
			}
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("listing control groups: %w", err)
		}
		for i := len(dirs) - 1; i >= 0; i-- {
			if err := f(dirs[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// controlGroupPIDs returns the processes in the cluster's groups.
func controlGroupPIDs(id string) (map[int]bool, error) {
	pids := map[int]bool{}
	err := walkControlGroups(id, func(dir string) error {
		b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			return nil //nolint:nilerr // the group went away; its processes are in another or gone
		}
		for _, f := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
				pids[pid] = true
			}
		}
		return nil
	})
	return pids, err
}

// removeControlGroups removes the cluster's groups. The kernel lets go of one a
// moment after its last process has ended.
func removeControlGroups(ctx context.Context, id string) error {
	deadline := time.Now().Add(stopTimeout)
	for {
		var last error
		err := walkControlGroups(id, func(dir string) error {
			if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
				last = fmt.Errorf("removing control group %s: %w", dir, err)
			}
			return nil
		})
		if err != nil || last == nil {
			return err
		}
		if time.Now().After(deadline) {
			return last
		}
		if !pause(ctx, 10*time.Millisecond) {
			return ctx.Err()
		}
	}
}
