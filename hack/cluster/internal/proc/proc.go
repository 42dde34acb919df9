// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package proc names processes in a way that survives reuse of process IDs.
package proc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrNotRunning means that the process a pid file names is gone.
var ErrNotRunning = errors.New("process is not running")

// ID names a process beyond doubt: a process ID is used again after a while,
// but not with the same start time and in the same boot.
type ID struct {
	PID int `json:"pid"`
	// StartTime is when the process started, in clock ticks since the boot.
	StartTime uint64 `json:"startTime"`
	// Boot names the boot of the kernel that the process runs on.
	Boot string `json:"boot"`
}

// Table is the kernel's table of processes. The zero value reads /proc.
type Table struct {
	// Root is where the proc file system is mounted. Default: /proc.
	Root string
}

func (t Table) path(elem ...string) string {
	root := t.Root
	if root == "" {
		root = "/proc"
	}
	return filepath.Join(append([]string{root}, elem...)...)
}

// Boot returns the ID of the current boot.
func (t Table) Boot() (string, error) {
	b, err := os.ReadFile(t.path("sys/kernel/random/boot_id"))
	if err != nil {
		return "", fmt.Errorf("reading the boot ID: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// Identify returns the ID of the running process pid. A zombie counts as gone.
func (t Table) Identify(pid int) (ID, error) {
	b, err := os.ReadFile(t.path(strconv.Itoa(pid), "stat"))
	if errors.Is(err, fs.ErrNotExist) {
		return ID{}, fmt.Errorf("process %d: %w", pid, ErrNotRunning)
	}
	if err != nil {
		return ID{}, fmt.Errorf("reading process %d: %w", pid, err)
	}
	// The second field is the program's name in parentheses, which may itself
	// hold spaces and parentheses: what follows the last one is regular.
	end := bytes.LastIndexByte(b, ')')
	fields := strings.Fields(string(b[end+1:]))
	if end < 0 || len(fields) < 20 {
		return ID{}, fmt.Errorf("process %d: unexpected content of its stat file", pid)
	}
	if state := fields[0]; state == "Z" || state == "X" {
		return ID{}, fmt.Errorf("process %d: %w", pid, ErrNotRunning)
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return ID{}, fmt.Errorf("process %d: start time: %w", pid, err)
	}
	boot, err := t.Boot()
	if err != nil {
		return ID{}, err
	}
	return ID{PID: pid, StartTime: start, Boot: boot}, nil
}

// Running tells whether the very process that id names still runs.
func (t Table) Running(id ID) bool {
	now, err := t.Identify(id.PID)
	return err == nil && now == id
}

// PIDs lists the processes of the table, in no certain order.
func (t Table) PIDs() ([]int, error) {
	entries, err := os.ReadDir(t.path())
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// WriteFile writes the ID of the running process pid to a pid file.
func (t Table) WriteFile(file string, pid int) error {
	id, err := t.Identify(pid)
	if err != nil {
		return err
	}
	b, err := json.Marshal(id)
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	tmp := file + ".tmp"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing pid file: %w", err)
	}
	return os.Rename(tmp, file)
}

// ReadFile returns the process that a pid file names. It fails with
// ErrNotRunning if there is no such file, if it is unreadable, or if the
// process is gone, even when another one has its process ID now.
func (t Table) ReadFile(file string) (ID, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return ID{}, fmt.Errorf("no pid file %s: %w", file, ErrNotRunning)
	}
	if err != nil {
		return ID{}, fmt.Errorf("reading pid file: %w", err)
	}
	var id ID
	if err := json.Unmarshal(b, &id); err != nil || id.PID <= 0 {
		return ID{}, fmt.Errorf("pid file %s is damaged: %w", file, ErrNotRunning)
	}
	if !t.Running(id) {
		return ID{}, fmt.Errorf("process %d of %s: %w", id.PID, file, ErrNotRunning)
	}
	return id, nil
}
