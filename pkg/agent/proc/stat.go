// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package proc reads /proc and runs a command the way PID 1 of a container must: forward signals,
// reap every orphan, end with the command's exit code.
package proc

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
)

// Stat is what the agent needs of /proc/PID/stat, see proc_pid_stat(5).
type Stat struct {
	PID, PPID, PGID, Session int
	// State is the letter of the process state; 'Z' is a zombie.
	State byte
	// StartTime is in clock ticks since boot. With the PID it identifies a process until the next
	// boot of the machine.
	StartTime uint64
}

// ReadStat reads the state of a process. The error is fs.ErrNotExist if there is no such process.
func ReadStat(pid int) (Stat, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Stat{}, fmt.Errorf("read process %d: %w", pid, err)
	}
	return parseStat(pid, data)
}

func parseStat(pid int, data []byte) (Stat, error) {
	// The command name in parentheses may hold anything, parentheses included.
	end := bytes.LastIndexByte(data, ')')
	if end < 0 {
		return Stat{}, fmt.Errorf("process %d: unexpected format of stat", pid)
	}
	f := strings.Fields(string(data[end+1:]))
	const state, ppid, pgid, session, start = 0, 1, 2, 3, 19
	if len(f) <= start {
		return Stat{}, fmt.Errorf("process %d: stat is too short", pid)
	}
	s := Stat{PID: pid, State: f[state][0]}
	var err error
	for i, p := range map[int]*int{ppid: &s.PPID, pgid: &s.PGID, session: &s.Session} {
		if *p, err = strconv.Atoi(f[i]); err != nil {
			return Stat{}, fmt.Errorf("process %d: stat: %w", pid, err)
		}
	}
	if s.StartTime, err = strconv.ParseUint(f[start], 10, 64); err != nil {
		return Stat{}, fmt.Errorf("process %d: stat: %w", pid, err)
	}
	return s, nil
}

// List returns all processes of this PID namespace that could be read.
func List() ([]Stat, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer func() { _ = dir.Close() }()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var out []Stat
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if s, err := ReadStat(pid); err == nil {
			out = append(out, s)
		}
	}
	return out, nil
}

// Descendants returns the living processes below root, root itself excluded. Processes that
// "kubectl exec" starts are not below PID 1: their parent is outside of the namespace.
func Descendants(root int) ([]Stat, error) {
	all, err := List()
	if err != nil {
		return nil, err
	}
	children := map[int][]Stat{}
	for _, s := range all {
		children[s.PPID] = append(children[s.PPID], s)
	}
	var out []Stat
	seen := map[int]bool{root: true}
	for queue := []int{root}; len(queue) > 0; queue = queue[1:] {
		for _, c := range children[queue[0]] {
			if seen[c.PID] {
				continue
			}
			seen[c.PID] = true
			queue = append(queue, c.PID)
			if c.State != 'Z' {
				out = append(out, c)
			}
		}
	}
	return out, nil
}

// Identity names one process for ever: a PID alone is used again.
type Identity struct {
	PID       int    `json:"pid"`
	StartTime uint64 `json:"startTime"`
	BootID    string `json:"bootID"`
}

var bootID = sync.OnceValue(func() string {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
})

// Identify returns the identity of a living process.
func Identify(pid int) (Identity, error) {
	s, err := ReadStat(pid)
	if err != nil {
		return Identity{}, err
	}
	return Identity{PID: pid, StartTime: s.StartTime, BootID: bootID()}, nil
}

// Alive tells if that very process still runs; a zombie does not.
func (id Identity) Alive() bool {
	if id.BootID != bootID() {
		return false
	}
	s, err := ReadStat(id.PID)
	return err == nil && s.StartTime == id.StartTime && s.State != 'Z' && s.State != 'X'
}
