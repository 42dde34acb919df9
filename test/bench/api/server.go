// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/slipway-dev/slipway/pkg/authn/jwt"
)

// server is one that is measured.
type server struct {
	name, base, token string
	// pid is 0 if the process is not on this machine.
	pid int
	// hasMetrics tells if the token may read /metrics.
	hasMetrics bool
	client     *http.Client
	// ready is how long it took to read everything at its start, 0 if the bench did not start it.
	ready time.Duration
	// stop ends it.
	stop func() error
}

// callTimeout bounds requests that are not measured; a server that reads all of many runs may take long.
const callTimeout = 2 * time.Minute

func newServer(name, base, token string, pid int) (*server, error) {
	address, err := url.Parse(base)
	if err != nil || address.Host == "" || address.Scheme != "http" && address.Scheme != "https" {
		return nil, fmt.Errorf("server %s: want http://host:port, got %q", name, base)
	}
	return &server{name: name, base: strings.TrimSuffix(base, "/"), token: token, pid: pid, client: &http.Client{Timeout: callTimeout}}, nil
}

// givenServers are those of the flags.
func (o *options) givenServers() ([]*server, error) {
	tokens, err := named(o.tokens)
	if err != nil {
		return nil, fmt.Errorf("--token: %w", err)
	}
	pids, err := named(o.pids)
	if err != nil {
		return nil, fmt.Errorf("--pid: %w", err)
	}
	var servers []*server
	for i, text := range o.servers {
		name, base, ok := strings.Cut(text, "=")
		if !ok || strings.Contains(name, "/") {
			name, base = fmt.Sprintf("server%d", i+1), text
		}
		pid := 0
		if text := pids.of(name); text != "" {
			if pid, err = strconv.Atoi(text); err != nil {
				return nil, fmt.Errorf("--pid: %w", err)
			}
		}
		s, err := newServer(name, base, tokens.of(name), pid)
		if err != nil {
			return nil, err
		}
		servers = append(servers, s)
	}
	return servers, nil
}

// values are a flag's by name of server; that without a name is for all others.
type values map[string]string

func (v values) of(name string) string {
	if own, ok := v[name]; ok {
		return own
	}
	return v[""]
}

// named reads [NAME=]VALUE. Tokens have no = but at their ends.
func named(texts []string) (values, error) {
	v := values{}
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		if !ok || strings.Trim(value, "=") == "" {
			name, value = "", text
		}
		if _, taken := v[name]; taken {
			return nil, fmt.Errorf("given twice for %q", name)
		}
		v[name] = value
	}
	return v, nil
}

// startServer runs the server under test as operators do, without the bounds for one user.
func (c *cluster) startServer(ctx context.Context, binary string) (*server, error) {
	secret := filepath.Join(c.dir, "jwt")
	// The token lives no longer than the server, which only this machine reaches.
	key := strings.Repeat("bench-api", 8)
	if err := os.WriteFile(secret, []byte(key), 0o600); err != nil {
		return nil, err
	}
	issuer, err := jwt.NewIssuer([]byte(key), 24*time.Hour)
	if err != nil {
		return nil, err
	}
	token, _, err := issuer.Issue(userName, nil)
	if err != nil {
		return nil, err
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(c.dir, "apiserver.log"))
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), binary,
		"--kubeconfig", c.kubeconfig, "--listen", address, "--jwt-secret-file", secret, "--token-review=false",
		"--user-rate=0", "--user-streams=2000", "--max-streams=4000")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s, run `make build-apiserver`: %w", binary, err), log.Close())
	}
	// ended is closed when the process has ended.
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	s, err := newServer("slipway", "http://"+address, token, cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	s.stop = func() error {
		defer func() { _ = log.Close() }()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		return nil
	}
	if err := s.waitReady(ctx, ended); err != nil {
		text, _ := os.ReadFile(log.Name())
		return nil, errors.Join(err, s.stop(), fmt.Errorf("its log: %s", text[max(0, len(text)-4000):]))
	}
	return s, nil
}

// waitReady waits until the server has read everything.
func (s *server) waitReady(ctx context.Context, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	began := time.Now()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server is not ready after %s", callTimeout)
		case <-ended:
			return errors.New("the server has ended at its start")
		case <-tick.C:
		}
		if status, _, err := s.get(ctx, "/readyz"); err == nil && status == http.StatusOK {
			s.ready = time.Since(began)
			progress("the server is ready after %s", s.ready.Round(time.Millisecond))
			return nil
		}
	}
}

func freeAddress(ctx context.Context) (string, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
