// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package minijenkins

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"
)

// The limits that minijenkins has to keep.
const (
	maxStart     = 300 * time.Millisecond
	maxIdleMiB   = 60
	manyBuilds   = 200
	minMBps      = 10
	pacedTime    = 20 * time.Second
	unpacedBytes = 400 << 20
)

// row is a line of the table.
type row struct{ what, got, limit string }

// bench collects the rows.
type bench struct {
	testing.TB
	rows []row
	bad  int
}

func (b *bench) row(ok bool, what, limit, format string, args ...any) {
	r := row{what, fmt.Sprintf(format, args...), limit}
	if !ok {
		r.limit += "  MISSED"
		b.bad++
	}
	b.rows = append(b.rows, r)
}

// BenchmarkMinijenkins measures the binary and prints a table of what it got beside what it has to keep.
func BenchmarkMinijenkins(tb *testing.B) {
	b := &bench{TB: tb}
	b.idle()
	b.many()
	b.log("paced log", fmt.Sprintf("%s %d 0", pacedTime, minMBps*1_050_000), minMBps)
	b.log("unpaced log", fmt.Sprintf("0s 0 %d", unpacedBytes), 0)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nminijenkins\tmeasured\tlimit")
	for _, r := range b.rows {
		fmt.Fprintf(w, "%s\t%s\t%s\n", r.what, r.got, r.limit)
	}
	if err := w.Flush(); err != nil {
		tb.Fatal(err)
	}
	if b.bad > 0 {
		tb.Fatalf("%d limits were missed", b.bad)
	}
}

const smallPipeline = `pipeline { agent any
 stages { stage('hello') { steps {
  echo 'hello'
  sh 'echo from the shell'
 } } } }`

// idle measures starts and what a server with 100 jobs takes that does nothing.
func (b *bench) idle() {
	const jobs, starts = 100, 20
	d := newDaemon(b.TB)
	d.start()
	for i := range jobs {
		d.job("job"+strconv.Itoa(i), smallPipeline)
	}
	var took []time.Duration
	for range starts {
		d.kill()
		began := time.Now()
		d.start()
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	p95 := took[starts*95/100]
	b.row(p95 <= maxStart, "start to serving, 100 jobs, 20 starts", "p95 ≤ 300 ms", "median %d ms, p95 %d ms, max %d ms",
		took[starts/2].Milliseconds(), p95.Milliseconds(), took[starts-1].Milliseconds())
	time.Sleep(5 * time.Second)
	rss := d.memory("VmRSS")
	b.row(rss <= maxIdleMiB, "memory idle, 100 jobs, after 5 s", "≤ 60 MiB", "%.1f MiB", rss)
}

// memory reads a value of /proc/PID/status in MiB.
func (d *daemon) memory(name string) float64 {
	d.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		d.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(v)[0], 64)
			if err != nil {
				d.Fatal(err)
			}
			return kib / 1024
		}
	}
	d.Fatalf("no %s", name)
	return 0
}

// cpu is the time that the server's process has worked so far.
func (d *daemon) cpu() time.Duration {
	d.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.cmd.Process.Pid))
	if err != nil {
		d.Fatal(err)
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')'):]))
	const user, system, tick = 12, 13, 10 * time.Millisecond
	u, err1 := strconv.Atoi(fields[user])
	s, err2 := strconv.Atoi(fields[system])
	if err := errors.Join(err1, err2); err != nil {
		d.Fatal(err)
	}
	return time.Duration(u+s) * tick
}

// many has builds that all run at the same moment: each waits in its sh for the others.
func (b *bench) many() {
	d := newDaemon(b.TB, "--executors", strconv.Itoa(manyBuilds))
	dir := b.TempDir()
	gate := filepath.Join(dir, "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		b.Fatal(err)
	}
	open, err := os.OpenFile(gate, os.O_RDWR, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = open.Close() }()
	d.start()
	for i := range manyBuilds {
		d.job("job"+strconv.Itoa(i), fmt.Sprintf(`pipeline { agent any
 stages { stage('hello') { steps {
  echo 'hello'
  sh 'touch %[1]s/at-$JOB_NAME-$BUILD_NUMBER; read x < %[1]s/gate; echo from the shell'
 } } } }`, dir))
	}
	began, cpu := time.Now(), d.cpu()
	var wg sync.WaitGroup
	var mu sync.Mutex
	failures := 0
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < manyBuilds; i += 8 {
				if err := d.post(fmt.Sprintf("/job/job%d/build?delay=0sec", i), "", ""); err != nil {
					mu.Lock()
					b.Errorf("start of a build: %v", err)
					failures++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	d.wait("all builds are at the gate", 10*time.Millisecond, func() (bool, error) {
		at, err := filepath.Glob(dir + "/at-*")
		return len(at) == manyBuilds, err
	})
	together := time.Since(began)
	if _, err := open.Write(bytes.Repeat([]byte("\n"), manyBuilds)); err != nil {
		b.Fatal(err)
	}
	results := map[string]int{}
	for i := range manyBuilds {
		job := "job" + strconv.Itoa(i)
		results[d.ended(job, 1)]++
		text, err := d.get("/job/" + job + "/1/consoleText")
		if err != nil || !strings.Contains(string(text), "\nhello\n") || !strings.Contains(string(text), "\nfrom the shell\n") {
			b.Errorf("log of %s: %s %v", job, text, err)
			failures++
		}
	}
	wall := time.Since(began)
	b.row(results["SUCCESS"] == manyBuilds && failures == 0, "200 builds of echo and sh at once", "all SUCCESS, 0 errors",
		"%v, %d errors, all in sh after %.1f s, ended after %.1f s, %.1f s CPU, peak %.0f MiB", results, failures,
		together.Seconds(), wall.Seconds(), (d.cpu() - cpu).Seconds(), d.memory("VmHWM"))
}

// What stands around the lines of the writer in the log.
const (
	firstLine = "the writer begins\n"
	lastLine  = "the writer ends\n"
	// stampLen is the length of the time in front of each line.
	stampLen = 19
)

// logWriter is the program that a step runs to write much: its arguments are the time to write, the bytes per second
// (0 for as fast as possible), the bytes in all (0 for no limit) and a file for what it wrote: bytes, sha256.
func logWriter(args []string) error {
	const want = 4
	if len(args) != want {
		return fmt.Errorf("%s: %q: want %d words", logWriterEnv, args, want)
	}
	length, err := time.ParseDuration(args[0])
	rate, err1 := strconv.Atoi(args[1])
	most, err2 := strconv.Atoi(args[2])
	if err := errors.Join(err, err1, err2); err != nil {
		return err
	}
	sum, n := sha256.New(), 0
	padding := strings.Repeat("0123456789abcdef ", 5) + "äöü\n"
	if _, err := os.Stdout.WriteString(firstLine); err != nil {
		return err
	}
	var buf []byte
	for began := time.Now(); (length == 0 || time.Since(began) < length) && (most == 0 || n < most); {
		due := 1 << 20
		if rate > 0 {
			time.Sleep(5 * time.Millisecond)
			due = int(float64(rate)*time.Since(began).Seconds()) - n
		}
		for buf = buf[:0]; len(buf) < due; {
			buf = strconv.AppendInt(buf, time.Now().UnixNano(), 10)
			buf = append(buf, ' ')
			buf = strconv.AppendInt(buf, int64(n+len(buf)), 10)
			buf = append(buf, ' ')
			buf = append(buf, padding...)
		}
		if _, err := os.Stdout.Write(buf); err != nil {
			return err
		}
		sum.Write(buf)
		n += len(buf)
	}
	if _, err := os.Stdout.WriteString(lastLine); err != nil {
		return err
	}
	return os.WriteFile(args[3], []byte(fmt.Sprintf("%d %x", n, sum.Sum(nil))), 0o600)
}

// logReader hashes a log and the writer's part of it, and looks how old the last line of each piece is.
type logReader struct {
	all, part hash.Hash
	partSize  int
	// state is 0 before the writer's lines, 1 in them, 2 behind.
	state   int
	partial []byte
	lags    []time.Duration
	last    time.Time
	first   time.Time
}

func newLogReader() *logReader { return &logReader{all: sha256.New(), part: sha256.New()} }

func (r *logReader) Write(p []byte) (int, error) {
	r.all.Write(p)
	r.partial = append(r.partial, p...)
	end := bytes.LastIndexByte(r.partial, '\n') + 1
	lines := r.partial[:end]
	if r.state == 0 {
		if i := bytes.Index(lines, []byte(firstLine)); i >= 0 {
			lines, r.state, r.first = lines[i+len(firstLine):], 1, time.Now()
		}
	}
	if r.state == 1 {
		if i := bytes.Index(lines, []byte(lastLine)); i >= 0 {
			lines, r.state, r.last = lines[:i], 2, time.Now()
		}
		r.part.Write(lines)
		r.partSize += len(lines)
		if i := bytes.LastIndexByte(bytes.TrimSuffix(lines, []byte("\n")), '\n'); i >= 0 && len(lines) > i+1+stampLen {
			if stamp, err := strconv.ParseInt(string(lines[i+1:i+1+stampLen]), 10, 64); err == nil {
				r.lags = append(r.lags, time.Since(time.Unix(0, stamp)))
			}
		}
	}
	r.partial = append(r.partial[:0], r.partial[end:]...)
	return len(p), nil
}

func (r *logReader) sums() string {
	return fmt.Sprintf("%d %x", r.partSize, r.part.Sum(nil))
}

// log has one build write much, while a follower reads.
func (b *bench) log(what, args string, least float64) {
	d := newDaemon(b.TB)
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	sums := filepath.Join(b.TempDir(), "sums")
	d.start()
	d.job("log", fmt.Sprintf(`pipeline { agent any
 stages { stage('write') { steps {
  sh '''#!/bin/sh
echo a line before
exec env %s="%s %s" %s'''
 } } } }`, logWriterEnv, args, sums, self))
	cpu := d.cpu()
	d.build("log")
	seen := newLogReader()
	f := d.follow("log", 1, seen)
	if err := <-f.done; err != nil {
		b.Errorf("follower: %v", err)
	}
	used, peak := d.cpu()-cpu, d.memory("VmHWM")
	result := d.ended("log", 1)
	resp, err := d.request(b.Context(), "GET", "/job/log/1/consoleText", "", "")
	if err != nil {
		b.Fatal(err)
	}
	whole := newLogReader()
	_, err = io.Copy(whole, resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		b.Fatal(err)
	}
	wrote, err := os.ReadFile(sums)
	if err != nil {
		b.Fatalf("%v; the build ended %s", err, result)
	}
	equal := result == "SUCCESS" && whole.sums() == string(wrote) && seen.sums() == string(wrote) &&
		hex.EncodeToString(whole.all.Sum(nil)) == hex.EncodeToString(seen.all.Sum(nil))
	text := "equal"
	if !equal {
		text = fmt.Sprintf("DIFFERENT (script %s, consoleText %s, follower %s, build %s)", wrote, whole.sums(), seen.sums(), result)
	}
	took := seen.last.Sub(seen.first)
	speed := float64(seen.partSize) / 1e6 / took.Seconds()
	slices.Sort(seen.lags)
	lag := func(part int) time.Duration {
		if len(seen.lags) == 0 {
			return 0
		}
		return seen.lags[(len(seen.lags)-1)*part/100].Round(time.Millisecond)
	}
	limit := "bytes equal"
	if least > 0 {
		limit = fmt.Sprintf("≥ %.0f MB/s for 20 s, bytes equal", least)
	}
	b.row(equal && speed >= least, what+" with a follower", limit, "%.1f MB/s, %.0f MB, bytes %s, lag median %s p95 %s max %s, server CPU %.0f %%, peak %.0f MiB",
		speed, float64(seen.partSize)/1e6, text, lag(50), lag(95), lag(100), 100*used.Seconds()/took.Seconds(), peak)
}

// logWriterEnv makes the test binary the program that writes.
const logWriterEnv = "SLIPWAY_LOG_WRITER"
