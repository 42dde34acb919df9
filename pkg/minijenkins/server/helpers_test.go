// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/kube"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

const (
	testUser, testToken, testPassword = "admin", "TOKEN", "PASSWORD"
)

// localAgents are agents in folders of the test machine.
type localAgents struct {
	dir  string
	deps AgentDeps
	mu   sync.Mutex
	live map[string]bool
	// shell, if not nil, runs the scripts.
	shell func(ctx context.Context, req engine.ShellRequest, out, stdout io.Writer) (int, error)
	// clone, if not nil, stands for git; it returns the commit.
	clone func(req engine.CloneRequest) (string, error)
	// anyLabel has every label known.
	anyLabel bool
	// block, if not nil, makes Acquire wait for it with a reason.
	block  chan struct{}
	reaped atomic.Int32
}

func (l *localAgents) ForBuild(b kube.Build) engine.AgentProvider { return &localProvider{l, b} }

func (l *localAgents) Agents() []kube.AgentInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []kube.AgentInfo
	for n := range l.live {
		out = append(out, kube.AgentInfo{Name: n, Labels: []string{"local"}, Online: true})
	}
	return out
}

func (l *localAgents) Reap(context.Context) error { l.reaped.Add(1); return nil }

func (l *localAgents) Run(ctx context.Context) error { <-ctx.Done(); return nil }

type localProvider struct {
	l *localAgents
	b kube.Build
}

func (p *localProvider) HasLabel(label string) bool { return p.l.anyLabel || label != "no-such-label" }

func (p *localProvider) Acquire(ctx context.Context, req engine.AgentRequest, waiting func(string)) (engine.Agent, error) {
	if req.Label == "no-such-label" {
		waiting("There are no nodes with the label ‘no-such-label’")
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	if p.l.block != nil {
		waiting("the test holds the agent")
		select {
		case <-p.l.block:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	ws := filepath.Join(p.l.dir, "workspace", filepath.FromSlash(p.b.Job))
	if err := os.MkdirAll(ws, 0o700); err != nil {
		return nil, err
	}
	name := fmt.Sprintf("local-%s-%d", strings.ReplaceAll(p.b.Job, "/", "-"), p.b.Number)
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	p.l.live[name] = true
	return &localAgent{l: p.l, name: name, ws: ws}, nil
}

type localAgent struct {
	l        *localAgents
	name, ws string
}

func (a *localAgent) Name() string      { return a.name }
func (a *localAgent) Workspace() string { return a.ws }

func (a *localAgent) Shell(ctx context.Context, req engine.ShellRequest, out, stdout io.Writer) (int, error) {
	if err := os.MkdirAll(req.Dir, 0o700); err != nil {
		return 0, err
	}
	if a.l != nil && a.l.shell != nil {
		return a.l.shell(ctx, req, out, stdout)
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-xe", "-c", req.Script)
	cmd.Dir, cmd.Env = req.Dir, os.Environ()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = time.Second
	for k, v := range req.Env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.Stdout, cmd.Stderr = out, out
	if stdout != nil {
		cmd.Stdout = stdout
	}
	err := cmd.Run()
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}

func (a *localAgent) Open(_ context.Context, path string) (io.ReadCloser, error) {
	return os.Open(path)
}

func (a *localAgent) WriteFile(_ context.Context, path string, content []byte) error {
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600))
}

func (a *localAgent) Glob(_ context.Context, dir, includes, excludes string) ([]string, error) {
	var out []string
	for _, inc := range strings.Split(includes, ",") {
		m, err := doublestar.Glob(os.DirFS(dir), strings.TrimSpace(inc), doublestar.WithFilesOnly())
		if err != nil {
			return nil, err
		}
		out = append(out, m...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func (a *localAgent) Clone(_ context.Context, req engine.CloneRequest, _ io.Writer) (string, error) {
	if a.l != nil && a.l.clone != nil {
		return a.l.clone(req)
	}
	return "", errors.New("no clone in tests")
}

func (a *localAgent) RemoveAll(_ context.Context, dir string) error { return os.RemoveAll(dir) }

func (a *localAgent) Release(context.Context) error {
	a.l.mu.Lock()
	defer a.l.mu.Unlock()
	delete(a.l.live, a.name)
	return nil
}

// harness is a server under test.
type harness struct {
	t      *testing.T
	dir    string
	s      *Server
	http   *httptest.Server
	agents *localAgents
	stop   func() error
}

// options change the configuration of a harness.
type option func(*Config, *Server)

// offline is among the options of a harness without a network: requests go to the handler. Its test
// may run in a bubble of synctest, where waiting takes no time.
func offline(*Config, *Server) {}

func isOffline(o option) bool {
	return reflect.ValueOf(o).Pointer() == reflect.ValueOf(offline).Pointer()
}

// newHarness starts a server in a folder. Its engine is the stub below unless real is among the options.
func newHarness(t *testing.T, dir string, opts ...option) *harness {
	t.Helper()
	h := &harness{t: t, dir: dir}
	cfg := Config{
		StateDir: filepath.Join(dir, "state"), QuietPeriod: 200 * time.Millisecond,
		StopTimeout: -1, InterruptTimeout: 5 * time.Second,
		Accounts: []Account{{Name: testUser, Token: testToken, Password: testPassword}},
		NewAgents: func(d AgentDeps) (AgentSource, error) {
			h.agents = &localAgents{dir: filepath.Join(dir, "agents"), deps: d, live: map[string]bool{}}
			return h.agents, nil
		},
	}
	for _, o := range opts {
		o(&cfg, nil)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h.s = s
	s.parse = func(src string) (*jenkinsfile.Pipeline, error) { return &jenkinsfile.Pipeline{Source: src}, nil }
	s.check = func(*jenkinsfile.Pipeline, engine.AgentProvider, []*engine.Library) error { return nil }
	s.run = stubRun
	for _, o := range opts {
		o(nil, s)
	}
	ctx, cancel := context.WithCancel(klog.NewContext(t.Context(), klog.Background()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	if !slices.ContainsFunc(opts, isOffline) {
		h.http = httptest.NewServer(s.Handler())
	}
	h.stop = sync.OnceValue(func() error {
		if h.http != nil {
			h.http.Close()
		}
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(20 * time.Second):
			return errors.New("the server does not stop")
		}
	})
	t.Cleanup(func() {
		if err := h.stop(); err != nil {
			t.Error(err)
		}
	})
	h.eventually("the scheduler runs", func() bool { s.mu.RLock(); defer s.mu.RUnlock(); return s.base != nil })
	return h
}

// stubStage is a line of a stub script: "// stage NAME" and "// sh COMMAND", "// log BYTES",
// "// fail", "// agent LABEL", "// panic".
var stubStage = regexp.MustCompile(`(?m)^\s*// (\w+) ?(.*)$`)

// stubRun stands in for the engine: it runs the commands in the comments of the script.
func stubRun(ctx context.Context, spec engine.RunSpec) (engine.Result, error) {
	log := spec.Recorder.Log("")
	fmt.Fprintln(log, "[Pipeline] Start of Pipeline")
	defer fmt.Fprintln(log, "[Pipeline] End of Pipeline")
	var agent engine.Agent
	node, step := 5, 6
	result := engine.ResultSuccess
	begin := func(name string) engine.Node {
		node = step
		step++
		n := engine.Node{ID: strconv.Itoa(node), DisplayName: name, Type: "STAGE", State: engine.StateRunning,
			Result: engine.ResultUnknown, StartTime: time.Now()}
		spec.Recorder.PutNode(n)
		return n
	}
	var cur engine.Node
	end := func(r engine.Result) {
		if cur.ID != "" {
			cur.State, cur.Result, cur.Duration = engine.StateFinished, r, time.Since(cur.StartTime)
			spec.Recorder.PutNode(cur)
		}
	}
	for _, m := range stubStage.FindAllStringSubmatch(spec.Pipeline.Source, -1) {
		switch m[1] {
		case "agent":
			var err error
			if agent, err = spec.Agents.Acquire(ctx, engine.AgentRequest{Label: m[2]}, func(string) {}); err != nil {
				return abortOr(ctx, engine.ResultFailure), err
			}
			defer func() { _ = agent.Release(context.WithoutCancel(ctx)) }()
		case "stage":
			end(engine.ResultSuccess)
			cur = begin(m[2])
		case "fail":
			end(engine.ResultFailure)
			return engine.ResultFailure, errors.New("asked to fail")
		case "sh", "log", "artifact":
			st := engine.Step{ID: strconv.Itoa(step), NodeID: cur.ID, DisplayName: "Shell Script", DisplayDescription: m[2],
				State: engine.StateRunning, Result: engine.ResultUnknown, StartTime: time.Now()}
			step++
			spec.Recorder.PutStep(st)
			err := stubStep(ctx, spec, agent, st.ID, m[1], m[2])
			st.State, st.Result, st.Duration = engine.StateFinished, engine.ResultSuccess, time.Since(st.StartTime)
			if err != nil {
				st.Result = abortOr(ctx, engine.ResultFailure)
				spec.Recorder.PutStep(st)
				end(st.Result)
				return st.Result, err
			}
			spec.Recorder.PutStep(st)
		}
	}
	end(result)
	return result, nil
}

func abortOr(ctx context.Context, r engine.Result) engine.Result {
	if ctx.Err() != nil {
		return engine.ResultAborted
	}
	return r
}

func stubStep(ctx context.Context, spec engine.RunSpec, agent engine.Agent, id, kind, arg string) error {
	out := spec.Recorder.Log(id)
	switch kind {
	case "log":
		n, _ := strconv.Atoi(arg)
		line := []byte(strings.Repeat("x", 99) + "\n")
		for i := 0; i < n; i += len(line) {
			if _, err := out.Write(line); err != nil {
				return err
			}
		}
		return nil
	case "artifact":
		return spec.Artifacts.Put(ctx, arg, strings.NewReader("content of "+arg+"\n"))
	}
	dir := os.TempDir()
	if agent != nil {
		dir = agent.Workspace()
	} else {
		agent = &localAgent{}
	}
	env := map[string]string{}
	for k, v := range spec.Env {
		env[k] = v
	}
	for _, p := range spec.Params {
		env[p.Name] = fmt.Sprint(p.Value)
	}
	code, err := agent.Shell(ctx, engine.ShellRequest{ID: id, Script: arg, Dir: dir, Env: env}, out, nil)
	if err == nil && code != 0 {
		err = fmt.Errorf("script returned exit code %d", code)
	}
	return err
}

// response is an answer with its body read.
type response struct {
	*http.Response
	body string
}

// do sends a request by token. body is "" for none.
func (h *harness) do(method, path, contentType, body string) *response {
	h.t.Helper()
	if h.http == nil {
		req := h.request(method, path, body)
		if contentType != "" {
			req.Header.Set("Content-Type", contentType)
		}
		req.SetBasicAuth(testUser, testToken)
		return h.handle(req)
	}
	req, err := http.NewRequest(method, h.http.URL+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	req.SetBasicAuth(testUser, testToken)
	return h.send(req)
}

// request makes a request as the server reads it from a connection.
func (h *harness) request(method, path, body string) *http.Request {
	h.t.Helper()
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + path + " HTTP/1.1\r\nHost: jenkins.example\r\n\r\n")))
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	req.RemoteAddr = "127.0.0.1:1"
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	return req.WithContext(h.t.Context())
}

// handle gives a request to the handler.
func (h *harness) handle(req *http.Request) *response {
	w := httptest.NewRecorder()
	h.s.Handler().ServeHTTP(w, req)
	return &response{w.Result(), w.Body.String()}
}

func (h *harness) send(req *http.Request) *response {
	h.t.Helper()
	client := &http.Client{Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		h.t.Fatal(err)
	}
	return &response{resp, b.String()}
}

func (h *harness) want(status int, method, path, contentType, body string) *response {
	h.t.Helper()
	r := h.do(method, path, contentType, body)
	if r.StatusCode != status {
		h.t.Fatalf("%s %s: status %d, want %d\n%s", method, path, r.StatusCode, status, clipText(r.body))
	}
	return r
}

func clipText(s string) string { return s[:min(len(s), 600)] }

func (h *harness) get(path string) string {
	h.t.Helper()
	return h.want(http.StatusOK, "GET", path, "", "").body
}

const (
	typeXML  = "application/xml"
	typeForm = "application/x-www-form-urlencoded"
)

func (h *harness) folder(name string) {
	h.t.Helper()
	h.want(200, "POST", "/createItem?name="+url.QueryEscape(name), typeXML, "<"+classFolder+"><description/></"+classFolder+">")
}

// job makes a job in a folder. extra is XML below the root, props XML in properties.
func (h *harness) job(folder, name, script, props, extra string) {
	h.t.Helper()
	h.want(200, "POST", "/job/"+url.PathEscape(folder)+"/createItem?name="+url.QueryEscape(name), typeXML, jobXML(script, props, extra))
}

func jobXML(script, props, extra string) string {
	return "<?xml version='1.1' encoding='UTF-8'?>\n<flow-definition plugin=\"workflow-job\">\n  <description></description>\n  <properties>" + props +
		"</properties>\n  <definition class=\"" + definitionScript + "\" plugin=\"workflow-cps\">\n    <script>" + escapeXML(script) +
		"</script>\n    <sandbox>true</sandbox>\n  </definition>\n  <triggers/>" + extra + "\n  <disabled>false</disabled>\n</flow-definition>"
}

// params is the XML of parameter definitions: "N=0", "FLAG?false", "C:one,two", "PW*secret".
func paramsXML(defs ...string) string {
	var b strings.Builder
	for _, d := range defs {
		i := strings.IndexAny(d, "=?:*")
		name, val := d[:i], d[i+1:]
		switch d[i] {
		case '=':
			fmt.Fprintf(&b, "<hudson.model.StringParameterDefinition><name>%s</name><description></description><defaultValue>%s</defaultValue><trim>false</trim></hudson.model.StringParameterDefinition>", name, val)
		case '?':
			fmt.Fprintf(&b, "<hudson.model.BooleanParameterDefinition><name>%s</name><description></description><defaultValue>%s</defaultValue></hudson.model.BooleanParameterDefinition>", name, val)
		case '*':
			fmt.Fprintf(&b, "<hudson.model.PasswordParameterDefinition><name>%s</name><description></description><defaultValue>%s</defaultValue></hudson.model.PasswordParameterDefinition>", name, val)
		case ':':
			fmt.Fprintf(&b, "<hudson.model.ChoiceParameterDefinition><name>%s</name><description></description><choices class=\"java.util.Arrays$ArrayList\"><a class=\"string-array\">", name)
			for _, c := range strings.Split(val, ",") {
				fmt.Fprintf(&b, "<string>%s</string>", c)
			}
			b.WriteString("</a></choices></hudson.model.ChoiceParameterDefinition>")
		}
	}
	return "<hudson.model.ParametersDefinitionProperty><parameterDefinitions>" + b.String() + "</parameterDefinitions></hudson.model.ParametersDefinitionProperty>"
}

// eventually waits for a condition.
func (h *harness) eventually(what string, ok func() bool) {
	h.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			h.t.Fatalf("not in time: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// ended waits until a build has ended and returns it.
func (h *harness) ended(job string, n int) store.Build {
	h.t.Helper()
	var out store.Build
	h.eventually(fmt.Sprintf("%s #%d ends", job, n), func() bool {
		h.s.mu.RLock()
		defer h.s.mu.RUnlock()
		it := h.s.root
		for _, name := range strings.Split(job, "/") {
			if it = it.kids[name]; it == nil {
				return false
			}
		}
		b := it.builds[n]
		if b != nil && !b.Building {
			out = *b
			return true
		}
		return false
	})
	return out
}

// started waits until a build has begun.
func (h *harness) started(job string, n int) {
	h.t.Helper()
	h.eventually(fmt.Sprintf("%s #%d starts", job, n), func() bool {
		h.s.mu.RLock()
		defer h.s.mu.RUnlock()
		for _, r := range h.s.runs {
			if r.jobName == job && r.build.Number == n {
				return true
			}
		}
		return false
	})
}

func exists(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}
