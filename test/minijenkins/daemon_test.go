// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package minijenkins drives the binary of minijenkins with local agents: it kills it again and again while builds
// run (TestKill), and measures it (BenchmarkMinijenkins).
package minijenkins

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
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

const user, token = "admin", "11aabbccddeeff00112233445566778899"

// patience bounds every wait of a test.
const patience = 2 * time.Minute

// binary is the minijenkins under test: $SLIPWAY_MINIJENKINS, or built once from this tree.
var binary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("SLIPWAY_MINIJENKINS"); path != "" {
		return filepath.Abs(path)
	}
	dir, err := os.MkdirTemp("", "minijenkins-test-")
	if err != nil {
		return "", err
	}
	built = dir
	path := filepath.Join(dir, "minijenkins")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "../../cmd/minijenkins")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build minijenkins: %w\n%s", err, out)
	}
	return path, nil
})

// built is the folder of a binary that was built for the test.
var built string

func TestMain(m *testing.M) {
	if args := os.Getenv(logWriterEnv); args != "" {
		if err := logWriter(strings.Fields(args)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(built)
	}
	os.Exit(code)
}

// daemon is a minijenkins process that can be killed and started again.
type daemon struct {
	testing.TB
	bin, state, addr string
	args             []string
	cmd              *exec.Cmd
	exited           chan struct{}
	log              *os.File
	client           *http.Client
}

// newDaemon prepares a process with an empty state folder; start starts it.
func newDaemon(tb testing.TB, args ...string) *daemon {
	tb.Helper()
	bin, err := binary()
	if err != nil {
		tb.Fatal(err)
	}
	dir := tb.TempDir()
	d := &daemon{TB: tb, bin: bin, state: filepath.Join(dir, "state"), addr: freeAddr(tb), args: args,
		client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}}
	if d.log, err = os.Create(filepath.Join(dir, "server.log")); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		d.kill()
		d.client.CloseIdleConnections()
		endStrays(tb, dir)
		if data, err := os.ReadFile(d.log.Name()); err == nil && bytes.Contains(data, []byte("DATA RACE")) {
			tb.Error("the server has a data race")
		}
		if tb.Failed() {
			if data, err := os.ReadFile(d.log.Name()); err == nil {
				tb.Logf("log of the server:\n%s", data[max(0, len(data)-20000):])
			}
		}
		_ = d.log.Close()
	})
	return d
}

// freeAddr is an address that nobody listens at, so that the server has the same one after each start.
func freeAddr(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// endStrays kills what steps of a failed test left: processes with their working folder below dir.
func endStrays(tb testing.TB, dir string) {
	tb.Helper()
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, l := range links {
		cwd, err := os.Readlink(l)
		if err != nil || !strings.HasPrefix(cwd, dir+"/") {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(l))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// fork starts the process and does not wait until it serves.
func (d *daemon) fork() {
	d.Helper()
	args := append([]string{"--agents", "local", "--state-dir", d.state, "--listen", d.addr, "--quiet-period", "-1s"}, d.args...)
	d.cmd = exec.Command(d.bin, args...)
	d.cmd.Env = append(os.Environ(), "MINIJENKINS_TOKEN="+token)
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	if err := d.cmd.Start(); err != nil {
		d.Fatal(err)
	}
	d.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait()
		close(exited)
	}(d.cmd, d.exited)
}

// start starts the process and waits until it serves.
func (d *daemon) start() {
	d.Helper()
	d.fork()
	d.wait("the server serves", time.Millisecond, func() (bool, error) {
		select {
		case <-d.exited:
			return false, fmt.Errorf("the server ended: %s", d.cmd.ProcessState)
		default:
		}
		_, err := d.get("/api/json?tree=mode")
		return err == nil, nil
	})
}

// kill is kill -9.
func (d *daemon) kill() {
	if d.cmd == nil {
		return
	}
	_ = d.cmd.Process.Kill()
	<-d.exited
	d.cmd = nil
}

// terminate lets the process end by itself, as a service manager does.
func (d *daemon) terminate() {
	d.Helper()
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.exited:
	case <-time.After(patience):
		d.Errorf("the server does not end")
	}
	d.kill()
}

// wait waits until ok returns true; an error ends the test.
func (d *daemon) wait(what string, pause time.Duration, ok func() (bool, error)) {
	d.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(pause) {
		done, err := ok()
		if err != nil {
			d.Fatalf("%s: %v", what, err)
		}
		if done {
			return
		}
		if time.Now().After(end) {
			d.Fatalf("it never came to pass: %s", what)
		}
	}
}

// statusError is an answer that is no success.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return e.text }

func isStatus(err error, status int) bool {
	var e *statusError
	return errors.As(err, &e) && e.status == status
}

func (d *daemon) request(ctx context.Context, method, path, contentType, body string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+d.addr+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth(user, token)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		_ = resp.Body.Close()
		return nil, &statusError{resp.StatusCode, fmt.Sprintf("%s %s: %s: %s", method, path, resp.Status, text)}
	}
	return resp, nil
}

func (d *daemon) get(path string) ([]byte, error) {
	resp, err := d.request(context.Background(), "GET", path, "", "")
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	return io.ReadAll(resp.Body)
}

func (d *daemon) getJSON(path string, into any) error {
	data, err := d.get(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func (d *daemon) post(path, contentType, body string) error {
	resp, err := d.request(context.Background(), "POST", path, contentType, body)
	if err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	return err
}

// job makes a job with a Jenkinsfile.
func (d *daemon) job(name, script string) {
	d.Helper()
	var text bytes.Buffer
	_ = xml.EscapeText(&text, []byte(script))
	err := d.post("/createItem?name="+url.QueryEscape(name), "application/xml", `<flow-definition plugin="workflow-job">`+
		`<definition class="org.jenkinsci.plugins.workflow.cps.CpsFlowDefinition" plugin="workflow-cps"><script>`+text.String()+
		`</script><sandbox>true</sandbox></definition></flow-definition>`)
	if err != nil {
		d.Fatal(err)
	}
}

// build starts a build.
func (d *daemon) build(job string) {
	d.Helper()
	if err := d.post("/job/"+job+"/build?delay=0sec", "", ""); err != nil {
		d.Fatal(err)
	}
}

// run is what is asked of a build.
type run struct {
	Building bool    `json:"building"`
	Result   *string `json:"result"`
}

// ended waits for the end of a build and returns its result.
func (d *daemon) ended(job string, number int) string {
	d.Helper()
	var r run
	d.wait(fmt.Sprintf("%s #%d ends", job, number), 20*time.Millisecond, func() (bool, error) {
		r = run{}
		err := d.getJSON(fmt.Sprintf("/job/%s/%d/api/json?tree=building,result", job, number), &r)
		if err != nil && !isStatus(err, http.StatusNotFound) {
			return false, err
		}
		return err == nil && !r.Building && r.Result != nil, nil
	})
	return *r.Result
}

// follower reads a log as clients do that show it while the build runs: from where it stopped, again and again,
// also over restarts of the server.
type follower struct {
	d    *daemon
	path string
	// body is what it read, with the log's own line ends, unless sink gets it.
	body bytes.Buffer
	sink io.Writer
	size int64
	// lag is called with how much came at once.
	note func(n int64)
	stop chan struct{}
	done chan error
}

// follow begins to follow a build's log.
func (d *daemon) follow(job string, number int, sink io.Writer) *follower {
	f := &follower{d: d, path: fmt.Sprintf("/job/%s/%d/logText/progressiveText", job, number), sink: sink,
		stop: make(chan struct{}), done: make(chan error, 1)}
	if f.sink == nil {
		f.sink = &f.body
	}
	go func() { f.done <- f.run() }()
	return f
}

func (f *follower) run() error {
	for {
		more, err := f.once()
		if err != nil || !more {
			return err
		}
		select {
		case <-f.stop:
			return errors.New("stopped before the end of the log")
		case <-time.After(15 * time.Millisecond):
		}
	}
}

// once reads what is new and tells if more may come. A server that is away is no error.
func (f *follower) once() (more bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	resp, err := f.d.request(ctx, "GET", f.path+"?start="+strconv.FormatInt(f.size, 10), "", "")
	var e *statusError
	switch {
	case errors.As(err, &e) && e.status != http.StatusNotFound && e.status != http.StatusServiceUnavailable:
		return false, err
	case err != nil:
		return true, nil // it is away, or the build has not begun
	}
	defer func() { _ = resp.Body.Close() }()
	size, err := strconv.ParseInt(resp.Header.Get("X-Text-Size"), 10, 64)
	if err != nil {
		return false, fmt.Errorf("X-Text-Size: %w", err)
	}
	if size < f.size {
		return false, fmt.Errorf("the log shrank from %d to %d bytes", f.size, size)
	}
	// The body has CRLF for each LF; a body that was cut has to be read again from the last whole byte.
	lf := &unixWriter{w: f.sink}
	_, err = io.Copy(lf, resp.Body)
	f.size += lf.n
	if err != nil {
		return true, nil // the server was killed while it answered
	}
	if f.size != size {
		return false, fmt.Errorf("the body ends at %d, X-Text-Size is %d", f.size, size)
	}
	if f.note != nil {
		f.note(lf.n)
	}
	return resp.Header.Get("X-More-Data") == "true", nil
}

// unixWriter takes the CR before each LF away and counts what it passes on.
type unixWriter struct {
	w  io.Writer
	n  int64
	cr bool
}

func (u *unixWriter) Write(p []byte) (int, error) {
	out := make([]byte, 0, len(p)+1)
	for _, b := range p {
		if u.cr && b != '\n' {
			out = append(out, '\r')
		}
		if u.cr = b == '\r'; !u.cr {
			out = append(out, b)
		}
	}
	n, err := u.w.Write(out)
	u.n += int64(n)
	if err != nil {
		return 0, err
	}
	return len(p), nil
}
