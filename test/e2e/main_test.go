// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package e2e tests the built binaries on the dev cluster: real pods, a real SSH client, real S3
// calls. `make test-e2e` builds and starts what it needs.
package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/slipway-dev/slipway/pkg/demo"
	"github.com/slipway-dev/slipway/pkg/up"
	"github.com/slipway-dev/slipway/test/contract/kubesphere/world"
)

// startTimeout bounds the start of `slipway up`.
const startTimeout = 90 * time.Second

// suite is the one `slipway up` of the test binary.
var suite *process

func TestMain(m *testing.M) {
	if os.Getenv("SLIPWAY_E2E") == "" {
		fmt.Println("end-to-end tests are skipped: they need root and the dev cluster; run `make test-e2e`")
		os.Exit(0)
	}
	ctrl.SetLogger(logr.Discard())
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "slipway-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	end, err := serveSonar()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer end()
	suite, err = start(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := suite.stop(syscall.SIGTERM); err != nil {
		fmt.Fprintln(os.Stderr, "slipway up did not stop well:", err)
		code = max(code, 1)
	}
	if code != 0 {
		fmt.Fprintln(os.Stderr, "last lines of slipway up:\n"+suite.output.tail())
	}
	return code
}

// sonarURL is the SonarQube that every `slipway up` of the tests knows.
var sonarURL string

func serveSonar() (end func(), err error) {
	url, stop, err := world.ServeSonar(context.Background(), "127.0.0.1")
	if err != nil {
		return nil, err
	}
	sonarURL = url
	return func() { _ = stop() }, nil
}

// process is a running `slipway up`.
type process struct {
	command *exec.Cmd
	done    chan error
	output  *tail
	dir     string
	// state is what it says of itself.
	state *up.State
	// ready is how long it took to be ready.
	ready time.Duration
}

// start runs `slipway up` over a state folder and waits until it is ready.
func start(dir string) (*process, error) {
	root, err := repositoryRoot()
	if err != nil {
		return nil, err
	}
	bin := filepath.Join(root, ".run", "bin")
	devcluster := filepath.Join(bin, "devcluster")
	status, err := exec.Command(devcluster, "status", "-o", "json").Output()
	if err != nil {
		return nil, fmt.Errorf("the dev cluster is not up (make test-e2e starts it): %w", err)
	}
	kubeconfig, err := exec.Command(devcluster, "kubeconfig").Output()
	if err != nil {
		return nil, fmt.Errorf("read the path of the kubeconfig: %w", err)
	}
	p := &process{dir: dir, done: make(chan error, 1), output: &tail{}}
	p.command = exec.Command(filepath.Join(bin, "slipway"), "up",
		"--kubeconfig", strings.TrimSpace(string(kubeconfig)), "--state-dir", dir, "--listen", "127.0.0.1:0",
		"--agent-image", "registry.slipway.internal/slipway-agent:dev",
		"--dev-image", "registry.slipway.internal/dev-base:bookworm", "--host-ip", field(status, "hostIP"),
		"--sonarqube-url", sonarURL,
		"--agent-start-timeout", startTimeoutOfRuns.String(), "--agent-leaked-after", leakedAfter.String())
	p.command.Stdout, p.command.Stderr = p.output, p.output
	began := time.Now()
	if err := os.Remove(filepath.Join(dir, up.StateFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("start slipway up: %w", err)
	}
	go func() { p.done <- p.command.Wait() }()
	deadline := time.After(startTimeout)
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case err := <-p.done:
			return nil, fmt.Errorf("slipway up ended (%w):\n%s", err, p.output.tail())
		case <-deadline:
			_ = p.command.Process.Kill()
			return nil, fmt.Errorf("slipway up is not ready after %s:\n%s", startTimeout, p.output.tail())
		case <-ticker.C:
			state, err := up.ReadState(dir)
			if err == nil {
				p.state, p.ready = state, time.Since(began)
				return p, nil
			}
		}
	}
}

// stop sends a signal and waits for the end. A graceful end is no error; a kill is none either.
func (p *process) stop(signal syscall.Signal) error {
	if err := p.command.Process.Signal(signal); err != nil {
		return fmt.Errorf("signal slipway up: %w", err)
	}
	select {
	case err := <-p.done:
		if signal == syscall.SIGKILL {
			return nil
		}
		return err
	case <-time.After(time.Minute):
		_ = p.command.Process.Kill()
		return errors.New("no end within a minute of the signal")
	}
}

// login gives a session of the first user.
func (p *process) login(ctx context.Context, dir string) (*demo.Session, error) {
	password, err := p.state.Password()
	if err != nil {
		return nil, err
	}
	return demo.NewSession(ctx, p.state.URL, p.state.Username, password, dir)
}

// tail keeps the end of a process's output.
type tail struct {
	mutex sync.Mutex
	lines []string
	rest  string
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	scanner := bufio.NewReader(strings.NewReader(t.rest + string(p)))
	for {
		line, err := scanner.ReadString('\n')
		if errors.Is(err, io.EOF) {
			t.rest = line
			break
		}
		t.lines = append(t.lines, line)
	}
	if len(t.lines) > 200 {
		t.lines = t.lines[len(t.lines)-200:]
	}
	return len(p), nil
}

func (t *tail) tail() string {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return strings.Join(t.lines, "") + t.rest
}

func repositoryRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("no go.mod above the test")
}
