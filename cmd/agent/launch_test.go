// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// agentImage is a folder as the init container fills it: slipway-agent, agent.jar and a "JRE" whose
// java is a shell script.
func agentImage(t *testing.T, java string) string {
	t.Helper()
	dir := t.TempDir()
	payload := t.TempDir()
	writeFile(t, filepath.Join(payload, "jre/bin/java"), "#!/bin/sh\n"+java, 0o755)
	writeFile(t, filepath.Join(payload, "agent.jar"), "jar", 0o644)
	if err := os.Symlink("bin", filepath.Join(payload, "jre/link")); err != nil {
		t.Fatal(err)
	}
	if r := runCmd(t, agentCmd(nil, "copy", "--payload", payload, dir)); r.code != 0 {
		t.Fatalf("copy: %+v", r)
	}
	return dir
}

func TestCopy(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a/b")
	target := filepath.Join(dir, "slipway-agent")
	for range 3 {
		if r := runCmd(t, agentCmd(nil, "copy", dir)); r.code != 0 {
			t.Fatalf("%+v", r)
		}
	}
	info, err := os.Stat(target)
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Fatalf("%v %v", info, err)
	}
	cmd := agentCmd(nil, "version")
	cmd.Path = target
	if r := runCmd(t, cmd); r.code != 0 || r.stdout == "" {
		t.Errorf("the copy does not run: %+v", r)
	}
	// It replaces itself while it runs, and an unfinished or other file.
	self := agentCmd(nil, "copy", dir)
	self.Path = target
	writeFile(t, filepath.Join(dir, "x"), "", 0o644)
	if r := runCmd(t, self); r.code != 0 {
		t.Errorf("%+v", r)
	}
	if err := os.Remove(target); err != nil {
		t.Fatal(err)
	}
	writeFile(t, target, "half", 0o600)
	if r := runCmd(t, agentCmd(nil, "copy", dir)); r.code != 0 {
		t.Errorf("%+v", r)
	}
	if now, _ := os.Stat(target); now.Size() != info.Size() || now.Mode().Perm() != 0o755 {
		t.Error("the old file was not replaced")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".slipway*")); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

func TestLaunchChecks(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	image := agentImage(t, "exit 0")
	base := map[string]string{
		"JENKINS_URL": "http://" + l.Addr().String(), "JENKINS_SECRET": "s3cret", "JENKINS_AGENT_NAME": "dc-a-1",
		"JENKINS_AGENT_WORKDIR": t.TempDir(), "SLIPWAY_AGENT_HOME": image, "SLIPWAY_AGENT_CONNECT_TIMEOUT": "200ms",
		"PATH": "/nowhere",
	}
	cases := map[string]struct {
		change map[string]string
		want   string
	}{
		"secret":    {map[string]string{"JENKINS_SECRET": ""}, "MissingEnvironment: JENKINS_SECRET"},
		"URL":       {map[string]string{"JENKINS_URL": ""}, "MissingEnvironment: JENKINS_URL"},
		"name":      {map[string]string{"JENKINS_AGENT_NAME": ""}, "MissingEnvironment: JENKINS_AGENT_NAME"},
		"bad URL":   {map[string]string{"JENKINS_URL": "jenkins:8080"}, "BadEnvironment: JENKINS_URL"},
		"keep":      {map[string]string{"SLIPWAY_AGENT_KEEP": "soon"}, "BadEnvironment: SLIPWAY_AGENT_KEEP"},
		"mode":      {map[string]string{"SLIPWAY_AGENT_MODE": "x"}, "BadEnvironment: SLIPWAY_AGENT_MODE"},
		"work dir":  {map[string]string{"JENKINS_AGENT_WORKDIR": "/proc/x"}, "WorkDirNotWritable: /proc/x"},
		"java":      {map[string]string{"SLIPWAY_AGENT_HOME": "/nowhere"}, "JavaMissing: "},
		"refused":   {map[string]string{"JENKINS_URL": "http://127.0.0.1:1"}, "JenkinsUnreachable: 127.0.0.1:1: "},
		"tunnel":    {map[string]string{"JENKINS_TUNNEL": "127.0.0.1:1"}, "TunnelUnreachable: 127.0.0.1:1: "},
		"all right": {nil, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			log := filepath.Join(t.TempDir(), "termination")
			env := []string{"SLIPWAY_TERMINATION_LOG=" + log}
			for k, v := range base {
				if n, ok := tc.change[k]; ok {
					v = n
				}
				env = append(env, k+"="+v)
			}
			for k, v := range tc.change {
				if _, ok := base[k]; !ok {
					env = append(env, k+"="+v)
				}
			}
			r := runCmd(t, agentCmd(env, "launch"))
			message, _ := os.ReadFile(log)
			if tc.want == "" {
				if r.code != 0 || len(message) != 0 {
					t.Errorf("%+v, termination %q", r, message)
				}
				return
			}
			if r.code != 78 || !strings.HasPrefix(string(message), "SLIPWAY-AGENT "+tc.want) || strings.Count(string(message), "\n") != 1 {
				t.Errorf("code %d, termination %q, want %q", r.code, message, tc.want)
			}
			if strings.Contains(r.stderr, "s3cret") {
				t.Errorf("the secret is in the output: %+v", r)
			}
		})
	}
}

// launchEnv is an environment with which launch starts the agent of image.
func launchEnv(t *testing.T, image string) []string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return []string{
		"JENKINS_URL=http://" + l.Addr().String(), "JENKINS_TUNNEL=" + l.Addr().String(), "JENKINS_SECRET=s3cret-value",
		"JENKINS_AGENT_NAME=dc-a-1", "JENKINS_AGENT_WORKDIR=" + t.TempDir(), "SLIPWAY_AGENT_HOME=" + image, "REMOTING_OPTS=-noReconnect",
	}
}

func TestLaunchHidesTheSecret(t *testing.T) {
	image := agentImage(t, `
for a; do case "$a" in @*) f=${a#@};; esac; done
echo "args: $*"
echo "mode: $(stat -c %a "$f")"
echo "secret: $(cat "$f" | wc -c)"
while [ -e "$f" ]; do sleep 0.02; done
echo "file gone"
echo "env: $(env | grep -c s3cret-value)"
echo "pid1: $(tr '\0' '\n' < /proc/1/environ | grep -c s3cret-value) $(tr '\0' ' ' < /proc/1/cmdline | grep -c s3cret)"
echo "fds: $(ls /proc/1/fd | wc -l)"
exit 6`)
	c := startContainer(t, containerOptions{args: []string{"launch"}, env: launchEnv(t, image)})
	if code := c.wait(); code != 6 {
		t.Errorf("exit code %d, want the agent's 6", code)
	}
	out := c.out.String()
	for _, want := range []string{"mode: 600\n", "secret: 13\n", "file gone\n", "env: 0\n", "pid1: 0 0\n",
		"-jar " + image + "/agent.jar -url http://127.0.0.1:", "-name dc-a-1 -secret @", "-tunnel 127.0.0.1:", " -noReconnect\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("output lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "s3cret-value") {
		t.Errorf("the secret is in the output:\n%s", out)
	}
	if got := c.termination(); !strings.HasPrefix(got, "SLIPWAY-AGENT AgentExited: the Jenkins agent ended with exit code 6") {
		t.Errorf("termination %q", got)
	}
}

func TestLaunchKeepsTheContainer(t *testing.T) {
	image := agentImage(t, "(sleep 1000 &) ; echo ended; exit 1")
	c := startContainer(t, containerOptions{args: []string{"launch"}, env: append(launchEnv(t, image), "SLIPWAY_AGENT_KEEP=1m")})
	c.waitOutput("the container is kept")
	eventually(t, "what the build left runs on", func() bool { return len(c.processes()) == 2 })
	start := time.Now()
	c.signal(syscall.SIGTERM)
	if code := c.wait(); code != 1 || time.Since(start) > 5*time.Second {
		t.Errorf("exit code %d after %s", code, time.Since(start))
	}

	c = startContainer(t, containerOptions{args: []string{"launch"}, env: append(launchEnv(t, image), "SLIPWAY_AGENT_KEEP=500ms")})
	if code := c.wait(); code != 1 {
		t.Errorf("exit code %d when the time is over", code)
	}
}

func TestLaunchForwardsSignals(t *testing.T) {
	image := agentImage(t, `trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.02; done`)
	c := startContainer(t, containerOptions{args: []string{"launch"}, env: launchEnv(t, image)})
	c.waitOutput("up\n")
	c.signal(syscall.SIGTERM)
	if code := c.wait(); code != 0 || !strings.Contains(c.out.String(), "bye") {
		t.Errorf("exit code %d", code)
	}
}

// TestLaunchExecMode runs steps in the namespaces of a launcher, as exec does.
func TestLaunchExecMode(t *testing.T) {
	c := startContainer(t, containerOptions{args: []string{"launch"}, env: []string{"SLIPWAY_AGENT_MODE=exec"}})
	pid := c.pid()
	s := newSteps(t)
	in := func(stdin string, args ...string) result {
		cmd := agentCmd(s.env)
		cmd.Path = "/usr/bin/nsenter"
		cmd.Args = append([]string{"nsenter", "-t", fmt.Sprint(pid), "-m", "-p", binary, "step"}, args...)
		cmd.Stdin = strings.NewReader(stdin)
		return runCmd(t, cmd)
	}
	for i := range 5 {
		id := fmt.Sprintf("s%d", i)
		if r := in(s.request("#!/bin/sh\n(sleep 0.1 &); echo $PPID | grep -vc '^0$'", nil), "start", "--id", id); r.code != 0 {
			t.Fatalf("%+v", r)
		}
		if r := in("", "attach", "--id", id); r.stdout != "1\n" || r.stderr != "{\"exitCode\":0}\n" {
			t.Errorf("%+v", r)
		}
	}
	eventually(t, "all that the steps left is reaped", func() bool { return len(c.processes()) == 1 })
	if r := in(s.request("#!/bin/sh\ntrap 'exit 3' TERM; echo up; while :; do sleep 0.02; done", nil), "start", "--id", "long"); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	eventually(t, "it runs", func() bool {
		data, _ := os.ReadFile(filepath.Join(s.dir, "long/log"))
		return strings.Contains(string(data), "up")
	})
	// The end of the pod: the step gets TERM and its result is still written.
	c.signal(syscall.SIGTERM)
	if code := c.wait(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if got := readFile(t, filepath.Join(s.dir, "long/result")); got != "{\"exitCode\":3}\n" {
		t.Errorf("result %q", got)
	}
}

// jar is a jar with a manifest.
func jar(t *testing.T, manifest string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create("META-INF/MANIFEST.MF")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, manifest); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestLaunchFetchesTheJar(t *testing.T) {
	agentJar := jar(t, "Manifest-Version: 1.0\r\nMain-Class: hudson.remoting.Launcher\r\n")
	cases := map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request)
		want   string // of the termination message; "" for success
	}{
		"good": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(agentJar) }, ""},
		"moved": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/ci/jnlpJars/agent.jar" {
				http.Redirect(w, r, "/ci/other/agent.jar", http.StatusFound)
				return
			}
			_, _ = w.Write(agentJar)
		}, ""},
		"missing":  {func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }, "HTTP 404"},
		"starting": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, "Jenkins is not ready: HTTP 503"},
		"page":     {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>log in</html>")) }, "no jar"},
		"other":    {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(jar(t, "Main-Class: evil.Main\n")) }, "not Jenkins' agent"},
		"bare":     {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(jar(t, "")) }, "not Jenkins' agent"},
		"cut": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(agentJar)))
			_, _ = w.Write(agentJar[:20])
		}, "unexpected EOF"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(tc.answer))
			t.Cleanup(server.Close)
			image := agentImage(t, `
while [ "$1" != -jar ]; do shift; done
echo "jar: $2 $(stat -c '%a %s' "$2")"`)
			if err := os.Remove(filepath.Join(image, "agent.jar")); err != nil {
				t.Fatal(err)
			}
			tmp := t.TempDir()
			log := filepath.Join(t.TempDir(), "termination")
			r := runCmd(t, agentCmd([]string{"TMPDIR=" + tmp, "SLIPWAY_TERMINATION_LOG=" + log, "JENKINS_URL=" + server.URL + "/ci/", "JENKINS_SECRET=s3cret",
				"JENKINS_AGENT_NAME=dc-a-1", "JENKINS_AGENT_WORKDIR=" + t.TempDir(), "SLIPWAY_AGENT_HOME=" + image, "SLIPWAY_AGENT_CONNECT_TIMEOUT=300ms"}, "launch"))
			message, _ := os.ReadFile(log)
			if left, _ := os.ReadDir(tmp); len(left) > 0 {
				t.Errorf("left %v", left)
			}
			if tc.want == "" {
				if r.code != 0 || !strings.Contains(r.stdout, fmt.Sprintf("jar: %s/.slipway-agent-", tmp)) || !strings.Contains(r.stdout, fmt.Sprintf(" 600 %d\n", len(agentJar))) {
					t.Errorf("%+v, termination %q", r, message)
				}
				return
			}
			if r.code != 78 || !strings.HasPrefix(string(message), "SLIPWAY-AGENT AgentJarUnavailable: "+server.URL+"/ci/jnlpJars/agent.jar: ") || !strings.Contains(string(message), tc.want) {
				t.Errorf("code %d, termination %q, want %q", r.code, message, tc.want)
			}
		})
	}
}

// TestLaunchWaitsForAStartingJenkins: the first answers are 503.
func TestLaunchWaitsForAStartingJenkins(t *testing.T) {
	agentJar := jar(t, "Main-Class: hudson.remoting.Launcher\n")
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write(agentJar)
	}))
	t.Cleanup(server.Close)
	image := agentImage(t, "exit 0")
	if err := os.Remove(filepath.Join(image, "agent.jar")); err != nil {
		t.Fatal(err)
	}
	r := runCmd(t, agentCmd([]string{"JENKINS_URL=" + server.URL, "JENKINS_SECRET=s3cret", "JENKINS_AGENT_NAME=dc-a-1",
		"JENKINS_AGENT_WORKDIR=" + t.TempDir(), "SLIPWAY_AGENT_HOME=" + image}, "launch"))
	if r.code != 0 || asked.Load() != 3 {
		t.Errorf("%+v after %d questions", r, asked.Load())
	}
}

// TestLaunchReapsAndRunsInTheWorkDir: PID 1 of the container, whatever the agent leaves behind.
func TestLaunchReapsAndRunsInTheWorkDir(t *testing.T) {
	image := agentImage(t, `
echo "in: $(pwd)"
for i in 1 2 3 4 5; do (sleep 0.01 &); done
sleep 0.5
echo "zombies: $(grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l)"
echo "parent: $PPID"`)
	env := launchEnv(t, image)
	workDir := t.TempDir()
	env = append(env, "JENKINS_AGENT_WORKDIR="+workDir)
	c := startContainer(t, containerOptions{args: []string{"launch"}, env: env})
	if code := c.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"in: " + workDir + "\n", "zombies: 0\n", "parent: 1\n"} {
		if !strings.Contains(c.out.String(), want) {
			t.Errorf("output lacks %q:\n%s", want, c.out)
		}
	}
}
