// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what a process has used so far, and its memory now. What is not known is NaN.
type usage struct {
	// cpu is in seconds.
	cpu float64
	// rss and peak are the resident set now and at its greatest, in MiB.
	rss, peak float64
	// allocations and allocated are how many pieces of memory and how many bytes were allocated.
	allocations, allocated float64
}

const mebi = 1 << 20

// usage reads from /proc if the process is on this machine, the rest from /metrics.
func (s *server) usage(ctx context.Context) (usage, error) {
	u := usage{cpu: math.NaN(), rss: math.NaN(), peak: math.NaN(), allocations: math.NaN(), allocated: math.NaN()}
	if s.hasMetrics {
		metrics, err := s.metrics(ctx)
		if err != nil {
			return u, err
		}
		for name, to := range map[string]*float64{
			"process_cpu_seconds_total": &u.cpu, "process_resident_memory_bytes": &u.rss,
			"go_memstats_mallocs_total": &u.allocations, "go_memstats_alloc_bytes_total": &u.allocated,
		} {
			if value, ok := metrics[name]; ok {
				*to = value
			}
		}
		u.rss /= mebi
	}
	if s.pid == 0 {
		return u, nil
	}
	cpu, err := cpuOf(s.pid)
	if err != nil {
		return u, err
	}
	u.cpu = cpu.Seconds()
	if u.rss, err = memoryOf(s.pid, "VmRSS"); err != nil {
		return u, err
	}
	u.peak, err = memoryOf(s.pid, "VmHWM")
	return u, err
}

// metrics reads the metrics without labels.
func (s *server) metrics(ctx context.Context) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("read metrics: %s", resp.Status)
	}
	values := map[string]float64{}
	for line := range strings.Lines(string(body)) {
		name, text, ok := strings.Cut(strings.TrimSpace(line), " ")
		if value, err := strconv.ParseFloat(text, 64); ok && err == nil {
			values[name] = value
		}
	}
	return values, nil
}

// cpuOf is the time that a process has worked so far; the kernel counts it in ticks of 10 ms.
func cpuOf(pid int) (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name of the program, in brackets, may have blanks in it.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	const user, system, tick = 11, 12, 10 * time.Millisecond
	if len(fields) <= system {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	u, err1 := strconv.Atoi(fields[user])
	s, err2 := strconv.Atoi(fields[system])
	return time.Duration(u+s) * tick, errors.Join(err1, err2)
}

// memoryOf reads a value of /proc/PID/status in MiB.
func memoryOf(pid int, name string) (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		value, ok := strings.CutPrefix(line, name+":")
		if fields := strings.Fields(value); ok && len(fields) > 0 {
			kib, err := strconv.ParseFloat(fields[0], 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no %s", pid, name)
}

// ownCPU is what this process has worked so far.
func ownCPU() (time.Duration, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0, err
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()), nil
}
