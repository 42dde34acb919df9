// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is the slipway-agent under test, built as it is for the image.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "slipway-agent-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// Other users must be able to run it.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "slipway-agent")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if os.Getenv("SLIPWAY_TEST_RACE") != "" {
		// The tests run another process, so that "go test -race" alone would not look at it. Tests that
		// need a static binary fail with this one.
		build = exec.Command("go", "build", "-race", "-o", binary, ".")
	}
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// output is a buffer that a running process writes and the test reads.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// result is how a command ended.
type result struct {
	code           int
	stdout, stderr string
}

// agentCmd makes a command of the binary under test with a clean environment.
func agentCmd(env []string, args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir()}, env...)
	return cmd
}

// runCmd runs a command to its end, at most for a minute.
func runCmd(tb testing.TB, cmd *exec.Cmd) result {
	tb.Helper()
	var stdout, stderr bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &stdout
	}
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		tb.Fatalf("start %v: %v", cmd.Args, err)
	}
	timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	_ = cmd.Wait()
	code := cmd.ProcessState.ExitCode()
	if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signaled() {
		code = 128 + int(ws.Signal())
	}
	return result{code, stdout.String(), stderr.String()}
}

// eventually waits until ok returns true.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			tb.Fatalf("timed out: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func freePort(tb testing.TB) int {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func writeFile(tb testing.TB, path, text string, mode os.FileMode) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		tb.Fatal(err)
	}
}

func readFile(tb testing.TB, path string) string {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return string(data)
}

// container is a process that is PID 1 of its own PID namespace and has its own /root, /etc/ssh and
// /etc/profile.d, so that a test of init changes nothing of the machine.
type container struct {
	t                     testing.TB
	cmd                   *exec.Cmd
	out                   *output
	home, etcSSH, profile string
	log                   string
	stopped               bool
}

type containerOptions struct {
	env      []string
	binds    map[string]string // target: source
	prepare  func(c *container)
	args     []string // of slipway-agent
	preMount string   // shell text that runs in the new namespaces first
}

// startContainer runs slipway-agent with args as PID 1 of new namespaces.
func startContainer(tb testing.TB, opts containerOptions) *container {
	tb.Helper()
	if out, err := exec.Command("unshare", "-m", "-p", "-f", "--mount-proc", "true").CombinedOutput(); err != nil {
		tb.Skipf("skipped: namespaces cannot be made here (not root?): %v: %s", err, out)
	}
	base, err := os.MkdirTemp("", "slipway-container-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(base) })
	if err := os.Chmod(base, 0o755); err != nil {
		tb.Fatal(err)
	}
	c := &container{t: tb, out: &output{}}
	binds := map[string]string{}
	for _, d := range []struct {
		target string
		into   *string
	}{{"/root", &c.home}, {"/etc/ssh", &c.etcSSH}, {"/etc/profile.d", &c.profile}} {
		*d.into = filepath.Join(base, strings.ReplaceAll(d.target, "/", "_"))
		if err := os.MkdirAll(*d.into, 0o755); err != nil {
			tb.Fatal(err)
		}
		binds[d.target] = *d.into
	}
	c.log = filepath.Join(base, "termination-log")
	for k, v := range opts.binds {
		binds[k] = v
	}
	if opts.prepare != nil {
		opts.prepare(c)
	}
	var script strings.Builder
	script.WriteString("set -e\n")
	for target, source := range binds {
		fmt.Fprintf(&script, "mount --bind %s %s\n", source, target)
	}
	script.WriteString(opts.preMount + "\n")
	script.WriteString("exec \"$@\"\n")
	args := append([]string{"-m", "-p", "-f", "--mount-proc", "--propagation", "private", "--kill-child", "sh", "-c", script.String(), "sh", binary}, opts.args...)
	c.cmd = exec.Command("unshare", args...)
	c.cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=/root", "SLIPWAY_TERMINATION_LOG=" + c.log, "FROM_IMAGE=yes",
	}, opts.env...)
	c.cmd.Stdout, c.cmd.Stderr = c.out, c.out
	if err := c.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if !c.stopped {
			_ = c.cmd.Process.Kill()
			_ = c.cmd.Wait()
		}
		if strings.Contains(c.out.String(), "WARNING: DATA RACE") {
			tb.Error("slipway-agent has a data race")
		}
		if tb.Failed() {
			tb.Logf("output of the container:\n%s", c.out)
		}
	})
	return c
}

// pid is the PID of the container's PID 1 as seen from here.
func (c *container) pid() int {
	c.t.Helper()
	var pid int
	eventually(c.t, "PID 1 of the container is slipway-agent", func() bool {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", c.cmd.Process.Pid, c.cmd.Process.Pid))
		if err != nil {
			return false
		}
		f := strings.Fields(string(children))
		if len(f) != 1 {
			return false
		}
		pid, _ = strconv.Atoi(f[0])
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		return err == nil && exe == binary
	})
	return pid
}

func (c *container) signal(sig syscall.Signal) {
	c.t.Helper()
	if err := syscall.Kill(c.pid(), sig); err != nil {
		c.t.Fatal(err)
	}
}

// wait waits for the end and returns the exit code.
func (c *container) wait() int {
	c.t.Helper()
	timer := time.AfterFunc(40*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer timer.Stop()
	_ = c.cmd.Wait()
	c.stopped = true
	return c.cmd.ProcessState.ExitCode()
}

func (c *container) termination() string {
	data, _ := os.ReadFile(c.log)
	return string(data)
}

func (c *container) waitOutput(text string) {
	c.t.Helper()
	eventually(c.t, "the container prints "+text, func() bool { return strings.Contains(c.out.String(), text) })
}

// processes lists the PIDs and states in the container, from its own /proc.
func (c *container) processes() map[int]string {
	c.t.Helper()
	out := map[int]string{}
	root := fmt.Sprintf("/proc/%d/root/proc", c.pid())
	entries, err := os.ReadDir(root)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(root, e.Name(), "stat"))
		if err != nil {
			continue
		}
		s := string(stat)
		out[pid] = strings.Fields(s[strings.LastIndex(s, ")")+1:])[0]
	}
	return out
}

func pemCertificate(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
