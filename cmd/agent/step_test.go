// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/pkg/agent/proc"
)

// steps is a steps folder and a workspace.
type steps struct {
	t    testing.TB
	env  []string
	dir  string // the steps folder
	work string
}

func newSteps(tb testing.TB) *steps {
	tb.Helper()
	s := &steps{t: tb, dir: filepath.Join(tb.TempDir(), "steps"), work: tb.TempDir()}
	s.env = []string{"SLIPWAY_STEPS_DIR=" + s.dir, "JENKINS_SECRET=s3cret", "LANG=C.UTF-8"}
	return s
}

func (s *steps) request(script string, extra map[string]any) string {
	s.t.Helper()
	req := map[string]any{"script": script, "dir": s.work}
	for k, v := range extra {
		req[k] = v
	}
	data, err := json.Marshal(req)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(data)
}

func (s *steps) cmd(stdin string, args ...string) *exec.Cmd {
	cmd := agentCmd(s.env, append([]string{"step"}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	return cmd
}

func (s *steps) start(id, script string, extra map[string]any) result {
	s.t.Helper()
	r := runCmd(s.t, s.cmd(s.request(script, extra), "start", "--id", id))
	if r.code != 0 {
		s.t.Fatalf("start %s: %+v", id, r)
	}
	return r
}

func (s *steps) attach(id string, args ...string) result {
	s.t.Helper()
	return runCmd(s.t, s.cmd("", append([]string{"attach", "--id", id}, args...)...))
}

// supervisor is the PID of a step's supervisor.
func (s *steps) supervisor(id string) int {
	s.t.Helper()
	var v struct{ PID int }
	if err := json.Unmarshal([]byte(readFile(s.t, filepath.Join(s.dir, id, "supervisor"))), &v); err != nil {
		s.t.Fatal(err)
	}
	return v.PID
}

func TestStepScripts(t *testing.T) {
	s := newSteps(t)
	cases := map[string]struct {
		reason string
		script string
		extra  map[string]any
		code   int
		log    string
	}{
		"trace":       {"sh -xe", "echo hi", nil, 0, "+ echo hi\nhi\n"},
		"stops at -e": {"", "false\necho no", nil, 1, "+ false\n"},
		"code":        {"", "exit 200", nil, 200, "+ exit 200\n"},
		"signal":      {"128 + 9", "kill -9 $$", nil, 137, "+ kill -9 %PID%\n"},
		"shebang":     {"no trace, own interpreter", "#!/bin/sh\necho $0 | grep -c script; exit 4", nil, 4, "1\n"},
		"shebang arg": {"one argument, as the kernel does", "#!/bin/sh -x \necho a", nil, 0, "+ echo a\na\n"},
		"crlf":        {"a script from Windows finds its interpreter", "#!/bin/sh\r\necho a", nil, 0, "a\n"},
		"no such":     {"", "#!/no/such\nx", nil, 127, "slipway-agent: cannot run /no/such: fork/exec /no/such: no such file or directory\n"},
		"env command": {"", "#!/usr/bin/env sh\necho e", nil, 0, "e\n"},
		"unicode":     {"", "#!/bin/sh\necho 构建 ✓ ünï", nil, 0, "构建 ✓ ünï\n"},
		"stderr":      {"both in the log", "#!/bin/sh\necho a; echo b >&2; echo c", nil, 0, "a\nb\nc\n"},
		"env":         {"", "#!/bin/sh\necho \"$A|$B\"", map[string]any{"env": map[string]string{"A": "x y'\"$(id)", "B": "多\n行"}}, 0, "x y'\"$(id)|多\n行\n"},
		"no secret":   {"the agent's secret is not for steps", "#!/bin/sh\nenv | grep -c JENKINS_SECRET || true", nil, 0, "0\n"},
		"no stdin":    {"a step cannot wait for input", "#!/bin/sh\ncat; echo end", nil, 0, "end\n"},
		"dir":         {"made if it does not exist", "#!/bin/sh\nbasename \"$(pwd)\"; basename \"$PWD\"", map[string]any{"dir": filepath.Join(s.work, "a b/目录")}, 0, "目录\n目录\n"},
		"background":  {"a daemon does not hold the step", "#!/bin/sh\nsleep 30 & echo done", nil, 0, "done\n"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			id := "t." + strings.ReplaceAll(name, " ", "_")
			s.start(id, tc.script, tc.extra)
			r := s.attach(id)
			want := tc.log
			if strings.Contains(want, "%PID%") {
				want = r.stdout
				if !strings.HasPrefix(r.stdout, "+ kill -9 ") {
					t.Errorf("log %q", r.stdout)
				}
			}
			if r.code != 0 || r.stdout != want || r.stderr != fmt.Sprintf("{\"exitCode\":%d}\n", tc.code) {
				t.Errorf("%s: got %+v, want exit code %d and log %q", tc.reason, r, tc.code, want)
			}
			if got := runCmd(t, s.cmd("", "result", "--id", id)); got.stdout != fmt.Sprintf("{\"exitCode\":%d}\n", tc.code) {
				t.Errorf("result: %+v", got)
			}
			runCmd(t, s.cmd("", "stop", "--id", id))
		})
	}
}

func TestStepSeparateStdout(t *testing.T) {
	s := newSteps(t)
	s.start("sep", "echo value; echo problem >&2", map[string]any{"separateStdout": true})
	if r := s.attach("sep", "--stdout"); r.stdout != "value\n" || r.stderr != "{\"exitCode\":0}\n" {
		t.Errorf("stdout: %+v", r)
	}
	if r := s.attach("sep"); r.stdout != "+ echo value\n+ echo problem\nproblem\n" {
		t.Errorf("log: %+v", r)
	}
	s.start("joint", "echo x", nil)
	if r := s.attach("joint", "--stdout"); r.code != 0 || r.stdout != "" {
		t.Errorf("there is no separate stdout, but: %+v", r)
	}
}

func TestStepStartsExactlyOnce(t *testing.T) {
	s := newSteps(t)
	for round := range 5 {
		id := fmt.Sprintf("once-%d", round)
		counter := filepath.Join(s.work, id)
		req := s.request(fmt.Sprintf("#!/bin/sh\necho x >> '%s'; sleep 0.2", counter), nil)
		var wg sync.WaitGroup
		var started atomic.Int32
		for range 20 {
			wg.Go(func() {
				r := runCmd(t, s.cmd(req, "start", "--id", id))
				if r.code != 0 {
					t.Errorf("start: %+v", r)
				}
				if strings.Contains(r.stdout, `"started":true`) {
					started.Add(1)
				}
			})
		}
		wg.Wait()
		if r := s.attach(id); r.code != 0 {
			t.Fatalf("%+v", r)
		}
		if n := started.Load(); n != 1 {
			t.Errorf("%d starts say that they started it, want 1", n)
		}
		if got := readFile(t, counter); got != "x\n" {
			t.Errorf("the script ran %d times", strings.Count(got, "x"))
		}
	}
	left, err := filepath.Glob(filepath.Join(s.dir, ".new-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestStepSurvivesItsStarter(t *testing.T) {
	// The starter's whole process group is killed, as when an exec connection breaks.
	s := newSteps(t)
	cmd := s.cmd(s.request("#!/bin/sh\nsleep 0.5; echo survived", nil), "start", "--id", "orphan")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if r := runCmd(t, cmd); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	if r := s.attach("orphan"); r.stdout != "survived\n" {
		t.Errorf("%+v", r)
	}
}

func TestStepAttachSameBytesFromAnyOffset(t *testing.T) {
	s := newSteps(t)
	// Lines of different lengths with pauses, some bytes are not UTF-8.
	script := `#!/bin/sh
i=0; while [ $i -lt 60 ]; do printf 'línea %d \377\000 %0*d\n' $i $((i*7%90+1)) $i; i=$((i+1)); sleep 0.01; done`
	s.start("prop", script, nil)
	const readers = 12
	offsets := make([]int, readers)
	live := make([]result, readers)
	var wg sync.WaitGroup
	for i := range readers {
		offsets[i] = rand.IntN(2000)
		wg.Go(func() { live[i] = s.attach("prop", "--offset", strconv.Itoa(offsets[i])) })
	}
	wg.Wait()
	whole := s.attach("prop").stdout
	if len(whole) < 3000 || strings.Count(whole, "\n") != 60 {
		t.Fatalf("the log has %d bytes", len(whole))
	}
	for i, r := range live {
		if r.code != 0 || r.stdout != whole[offsets[i]:] {
			t.Errorf("offset %d while it ran: code %d, %d bytes, want %d", offsets[i], r.code, len(r.stdout), len(whole)-offsets[i])
		}
	}
	for range 20 {
		n := rand.IntN(len(whole) + 1)
		if r := s.attach("prop", "--offset", strconv.Itoa(n)); r.stdout != whole[n:] {
			t.Errorf("offset %d after its end: got %d bytes, want %d", n, len(r.stdout), len(whole)-n)
		}
	}
	if r := s.attach("prop", "--offset", strconv.Itoa(len(whole)+1)); r.code != 2 || !strings.Contains(r.stderr, "behind the end") {
		t.Errorf("offset behind the end: %+v", r)
	}
}

func TestStepAttachStreams(t *testing.T) {
	s := newSteps(t)
	s.start("live", "#!/bin/sh\necho one; while [ ! -e go ]; do sleep 0.02; done; echo two", nil)
	cmd := s.cmd("", "attach", "--id", "live")
	out := &output{}
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first line comes while the step runs", func() bool { return out.String() == "one\n" })
	// No busy loop: half a second of silence costs next to no CPU.
	before := cpuTime(t, cmd.Process.Pid)
	time.Sleep(500 * time.Millisecond)
	if used := cpuTime(t, cmd.Process.Pid) - before; used > 50*time.Millisecond {
		t.Errorf("attach used %s of CPU in 500ms of silence", used)
	}
	writeFile(t, filepath.Join(s.work, "go"), "", 0o644)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if out.String() != "one\ntwo\n" {
		t.Errorf("got %q", out)
	}
}

// cpuTime is the CPU time that a process has used.
func cpuTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	s := readFile(t, fmt.Sprintf("/proc/%d/stat", pid))
	f := strings.Fields(s[strings.LastIndex(s, ")")+1:])
	user, _ := strconv.Atoi(f[11])
	sys, _ := strconv.Atoi(f[12])
	return time.Duration(user+sys) * 10 * time.Millisecond
}

func TestStepLargeLog(t *testing.T) {
	s := newSteps(t)
	const size = 100 << 20
	s.start("large", fmt.Sprintf("#!/bin/sh\nhead -c %d /dev/zero | tr '\\0' 'z'", size), nil)
	cmd := s.cmd("", "attach", "--id", "large")
	sum := sha256.New()
	cmd.Stdout = sum
	start := time.Now()
	if r := runCmd(t, cmd); r.code != 0 || r.stderr != "{\"exitCode\":0}\n" {
		t.Fatalf("%+v", r)
	}
	t.Logf("100 MiB streamed while written in %s", time.Since(start).Round(time.Millisecond))
	want := sha256.New()
	for range size >> 20 {
		_, _ = want.Write(bytes.Repeat([]byte("z"), 1<<20))
	}
	if !bytes.Equal(sum.Sum(nil), want.Sum(nil)) {
		t.Error("the log came out changed")
	}
}

func TestStepLost(t *testing.T) {
	s := newSteps(t)
	s.start("lost", "#!/bin/sh\necho before; sleep 1000", nil)
	cmd := s.cmd("", "attach", "--id", "lost")
	out := &output{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it runs", func() bool { return strings.Contains(out.String(), "before") })
	if err := syscall.Kill(s.supervisor("lost"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("attach hangs although nobody can write a result")
	}
	if cmd.ProcessState.ExitCode() != 3 || !strings.Contains(out.String(), `"reason":"Lost"`) || !strings.Contains(out.String(), "was killed") {
		t.Errorf("code %d: %s", cmd.ProcessState.ExitCode(), out)
	}
	// It is never run again, and what it left running can still be ended.
	if r := runCmd(t, s.cmd(s.request("echo again", nil), "start", "--id", "lost")); !strings.Contains(r.stdout, `"started":false`) {
		t.Errorf("started again: %+v", r)
	}
	if r := runCmd(t, s.cmd("", "stop", "--id", "lost")); r.code != 3 {
		t.Errorf("stop: %+v", r)
	}
	if left := inSession(t, s.supervisor("lost")); len(left) != 0 {
		t.Errorf("processes are left: %v", left)
	}
}

// inSession lists the living processes of a step's session without its leader, the supervisor.
func inSession(t *testing.T, leader int) []proc.Stat {
	t.Helper()
	all, err := proc.List()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(p proc.Stat) bool { return p.Session != leader || p.PID == leader || p.State == 'Z' })
}

func TestStepStop(t *testing.T) {
	cases := map[string]struct {
		reason, script, grace string
		code                  int
	}{
		"term":        {"sh dies of TERM", "#!/bin/sh\necho ready; sleep 1000", "10s", 143},
		"trap":        {"a trap has its say", "#!/bin/sh\ntrap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done", "10s", 9},
		"kill":        {"who ignores TERM gets KILL", "#!/bin/sh\ntrap '' TERM; echo ready; while :; do sleep 0.05; done", "200ms", 137},
		"child":       {"children that ignore TERM die as well", "#!/bin/sh\nsh -c 'trap \"\" TERM; echo ready; while :; do sleep 0.05; done' & wait", "200ms", 143},
		"own group":   {"other process groups of the session as well", "#!/bin/sh\nset -m; sleep 1000 & echo ready; wait", "10s", 143},
		"at once":     {"no grace", "#!/bin/sh\ntrap '' TERM; echo ready; sleep 1000", "0s", 137},
		"stopped job": {"a stopped process must see the signal", "#!/bin/sh\necho ready; kill -STOP $$", "10s", 143},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newSteps(t)
			s.start("s", tc.script, nil)
			eventually(t, "it runs", func() bool {
				data, _ := os.ReadFile(filepath.Join(s.dir, "s/log"))
				return strings.Contains(string(data), "ready")
			})
			time.Sleep(50 * time.Millisecond)
			start := time.Now()
			r := runCmd(t, s.cmd("", "stop", "--id", "s", "--grace", tc.grace))
			if r.code != 0 || r.stdout != fmt.Sprintf("{\"exitCode\":%d}\n", tc.code) {
				t.Errorf("%s: %+v, want %d", tc.reason, r, tc.code)
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("took %s", d)
			}
			if left := inSession(t, s.supervisor("s")); len(left) != 0 {
				t.Errorf("processes are left: %v", left)
			}
			if again := runCmd(t, s.cmd("", "stop", "--id", "s")); again != r {
				t.Errorf("a second stop: %+v", again)
			}
		})
	}
}

func TestStepBadInput(t *testing.T) {
	s := newSteps(t)
	ok := s.request("true", nil)
	cases := map[string]struct {
		stdin  string
		args   []string
		code   int
		reason string
	}{
		"path as ID":    {ok, []string{"start", "--id", "../x"}, 2, "BadID"},
		"dot ID":        {ok, []string{"start", "--id", ".."}, 2, "BadID"},
		"slash ID":      {ok, []string{"start", "--id", "a/b"}, 2, "BadID"},
		"flag ID":       {ok, []string{"start", "--id", "-rf"}, 2, "BadID"},
		"no ID":         {ok, []string{"start"}, 2, "BadID"},
		"unicode ID":    {ok, []string{"start", "--id", "ü"}, 2, "BadID"},
		"newline ID":    {ok, []string{"start", "--id", "a\n"}, 2, "BadID"},
		"300 chars":     {ok, []string{"start", "--id", strings.Repeat("a", 300)}, 2, "BadID"},
		"no JSON":       {"script: x", []string{"start", "--id", "a"}, 2, "BadRequest"},
		"empty":         {"", []string{"start", "--id", "a"}, 2, "BadRequest"},
		"wrong type":    {`{"script":1,"dir":"/tmp"}`, []string{"start", "--id", "a"}, 2, "BadRequest"},
		"unknown field": {`{"script":"x","dir":"/tmp","user":"root"}`, []string{"start", "--id", "a"}, 2, "BadRequest"},
		"two values":    {ok + ok, []string{"start", "--id", "a"}, 2, "BadRequest"},
		"relative dir":  {`{"script":"x","dir":"tmp"}`, []string{"start", "--id", "a"}, 2, "BadRequest"},
		"no script":     {`{"dir":"/tmp"}`, []string{"start", "--id", "a"}, 2, "BadRequest"},
		"NUL":           {`{"script":"x\u0000","dir":"/tmp"}`, []string{"start", "--id", "a"}, 2, "BadRequest"},
		"bad variable":  {`{"script":"x","dir":"/tmp","env":{"A=B":"c"}}`, []string{"start", "--id", "a"}, 2, "BadRequest"},
		"dir is a file": {`{"script":"x","dir":"/etc/passwd"}`, []string{"start", "--id", "a"}, 1, "DirNotWritable"},
		"huge":          {`{"script":"` + strings.Repeat("x", 17<<20) + `","dir":"/tmp"}`, []string{"start", "--id", "a"}, 2, "BadRequest"},
		"unknown step":  {"", []string{"attach", "--id", "nope"}, 4, "NotFound"},
		"no result":     {"", []string{"result", "--id", "nope"}, 4, "NotFound"},
		"stop unknown":  {"", []string{"stop", "--id", "nope"}, 4, "NotFound"},
		"negative":      {"", []string{"attach", "--id", "nope", "--offset", "-1"}, 4, "NotFound"},
		"no number":     {"", []string{"attach", "--id", "nope", "--offset", "x"}, 2, "Usage"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := runCmd(t, s.cmd(tc.stdin, tc.args...))
			var e struct{ Error, Reason string }
			if err := json.Unmarshal([]byte(r.stderr), &e); err != nil {
				t.Fatalf("stderr is not one line of JSON: %+v", r)
			}
			if r.code != tc.code || e.Reason != tc.reason || e.Error == "" {
				t.Errorf("got %+v, want code %d, reason %s", r, tc.code, tc.reason)
			}
		})
	}
	if entries, err := os.ReadDir(s.dir); err == nil && len(entries) != 0 {
		t.Errorf("bad requests left %v", entries)
	}
}

func TestStepRunning(t *testing.T) {
	s := newSteps(t)
	s.start("r", "sleep 1000", nil)
	if r := runCmd(t, s.cmd("", "result", "--id", "r")); r.code != 1 || !strings.Contains(r.stderr, `"reason":"Running"`) {
		t.Errorf("%+v", r)
	}
	runCmd(t, s.cmd("", "stop", "--id", "r"))
}

func TestStepDefaultFolder(t *testing.T) {
	s := newSteps(t)
	tmp := t.TempDir()
	s.env = []string{"TMPDIR=" + tmp}
	s.start("d", "true", nil)
	if _, err := os.Stat(filepath.Join(tmp, "slipway-steps/d/supervisor")); err != nil {
		t.Error(err)
	}
	// A folder that somebody else has prepared in /tmp is not used.
	evil := t.TempDir()
	if err := os.Symlink(evil, filepath.Join(evil, "slipway-steps")); err != nil {
		t.Fatal(err)
	}
	s.env = []string{"TMPDIR=" + evil}
	if r := runCmd(t, s.cmd(s.request("true", nil), "start", "--id", "d")); r.code != 1 || !strings.Contains(r.stderr, "StepsDirNotOwned") {
		t.Errorf("%+v", r)
	}
}

// TestStepAsUser runs a step as a user who has no passwd entry and no home.
func TestStepAsUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("skipped: only root can become another user")
	}
	tmp, err := os.MkdirTemp("", "slipway-user-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(tmp) })
	if err := os.Chown(tmp, 54321, 54321); err != nil {
		t.Fatal(err)
	}
	req, _ := json.Marshal(map[string]string{"script": "id -u", "dir": tmp})
	for _, args := range [][]string{{"start", "--id", "u"}, {"attach", "--id", "u"}} {
		cmd := agentCmd([]string{"TMPDIR=" + tmp}, append([]string{"step"}, args...)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}}
		cmd.Dir = "/"
		cmd.Stdin = bytes.NewReader(req)
		r := runCmd(t, cmd)
		if r.code != 0 || args[0] == "attach" && !strings.Contains(r.stdout, "54321\n") {
			t.Errorf("%v: %+v", args, r)
		}
	}
}

// BenchmarkStep is the overhead of one sh step: start and attach of an empty script.
func BenchmarkStep(b *testing.B) {
	s := newSteps(b)
	req := s.request("#!/bin/true", nil)
	for i := range b.N {
		id := fmt.Sprintf("b%d", i)
		if r := runCmd(b, s.cmd(req, "start", "--id", id)); r.code != 0 {
			b.Fatalf("%+v", r)
		}
		if r := s.attach(id); r.code != 0 {
			b.Fatalf("%+v", r)
		}
	}
}

func BenchmarkStepStart(b *testing.B) {
	s := newSteps(b)
	req := s.request("#!/bin/true", nil)
	for i := range b.N {
		if r := runCmd(b, s.cmd(req, "start", "--id", fmt.Sprintf("b%d", i))); r.code != 0 {
			b.Fatalf("%+v", r)
		}
	}
}

func BenchmarkStepAttach(b *testing.B) {
	s := newSteps(b)
	s.start("b", "#!/bin/true", nil)
	s.attach("b")
	for b.Loop() {
		if r := s.attach("b"); r.code != 0 {
			b.Fatalf("%+v", r)
		}
	}
}

// BenchmarkStartUp is what the process itself costs.
func BenchmarkStartUp(b *testing.B) {
	for b.Loop() {
		if r := runCmd(b, agentCmd(nil, "version")); r.code != 0 {
			b.Fatalf("%+v", r)
		}
	}
}
