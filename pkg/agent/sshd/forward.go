// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package sshd

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/slipway-dev/slipway/pkg/agent/account"
)

const forwardDialTimeout = 10 * time.Second

// forwardTCP connects a channel to a port of the container itself ("ssh -L", RFC 4254 section 7.2).
// Other addresses are refused: a dev container is no way into the cluster's network.
func forwardTCP(ctx context.Context, nch ssh.NewChannel) {
	var d struct {
		Host       string
		Port       uint32
		OriginHost string
		OriginPort uint32
	}
	if err := ssh.Unmarshal(nch.ExtraData(), &d); err != nil || d.Port == 0 || d.Port > 65535 {
		_ = nch.Reject(ssh.ConnectionFailed, "malformed request")
		return
	}
	hosts := loopback(d.Host)
	if hosts == nil {
		_ = nch.Reject(ssh.Prohibited, "only localhost of the dev container can be forwarded to")
		return
	}
	var addrs []string
	for _, h := range hosts {
		addrs = append(addrs, net.JoinHostPort(h, strconv.Itoa(int(d.Port))))
	}
	dialAndPipe(ctx, nch, "tcp", addrs...)
}

// loopback returns the addresses for a name of this container's loopback, nil for any other name.
func loopback(host string) []string {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return []string{"127.0.0.1", "::1"} // an image may have no /etc/hosts
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() {
		return []string{host}
	}
	return nil
}

// forwardUnix connects a channel to a Unix socket that the user may use ("ssh -L port:/path").
func (s *Server) forwardUnix(ctx context.Context, nch ssh.NewChannel) {
	var d struct {
		Path      string
		Reserved  string
		Reserved2 uint32
	}
	if err := ssh.Unmarshal(nch.ExtraData(), &d); err != nil || !filepath.IsAbs(d.Path) {
		_ = nch.Reject(ssh.ConnectionFailed, "malformed request")
		return
	}
	if s.cfg.Account.Credential() != nil {
		// This process is root and would connect to what the user may not.
		_ = nch.Reject(ssh.Prohibited, "forwarding to Unix sockets is not possible for this user")
		return
	}
	dialAndPipe(ctx, nch, "unix", d.Path)
}

func dialAndPipe(ctx context.Context, nch ssh.NewChannel, network string, addrs ...string) {
	dialer := net.Dialer{Timeout: forwardDialTimeout}
	var conn net.Conn
	var err error
	for _, addr := range addrs {
		if conn, err = dialer.DialContext(ctx, network, addr); err == nil {
			break
		}
	}
	if err != nil {
		_ = nch.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	ch, reqs, err := nch.Accept()
	if err != nil {
		_ = conn.Close()
		return
	}
	pipe(ctx, ch, reqs, conn)
}

// pipe copies both ways. The end of one direction is passed on and leaves the other open; the end of
// the channel, which also ends reqs, closes both.
func pipe(ctx context.Context, ch ssh.Channel, reqs <-chan *ssh.Request, conn net.Conn) {
	defer func() { _ = ch.Close() }()
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	go func() {
		ssh.DiscardRequests(reqs)
		_ = conn.Close()
	}()
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = io.Copy(ch, conn)
		_ = ch.CloseWrite()
	})
	wg.Go(func() {
		_, _ = io.Copy(conn, ch)
		if c, ok := conn.(interface{ CloseWrite() error }); ok {
			_ = c.CloseWrite()
		}
	})
	wg.Wait()
}

// agentSocket offers the client's SSH agent to a session as a socket of the user, so that "git push"
// works with the keys of his own machine.
type agentSocket struct {
	dir string
	l   net.Listener
	wg  sync.WaitGroup
}

func newAgentSocket(ctx context.Context, conn *ssh.ServerConn, acc *account.Account) (*agentSocket, error) {
	dir, err := os.MkdirTemp("", "slipway-ssh-")
	if err != nil {
		return nil, fmt.Errorf("agent forwarding: %w", err)
	}
	a := &agentSocket{dir: dir}
	var config net.ListenConfig
	if a.l, err = config.Listen(ctx, "unix", a.path()); err == nil {
		if err = acc.Own(a.path()); err == nil {
			err = acc.Own(dir)
		}
	}
	if err != nil {
		a.close()
		return nil, fmt.Errorf("agent forwarding: %w", err)
	}
	a.wg.Go(func() {
		for {
			c, err := a.l.Accept()
			if err != nil {
				return
			}
			a.wg.Go(func() {
				ch, reqs, err := conn.OpenChannel("auth-agent@openssh.com", nil)
				if err != nil {
					_ = c.Close()
					return
				}
				pipe(ctx, ch, reqs, c)
			})
		}
	})
	return a, nil
}

func (a *agentSocket) path() string { return filepath.Join(a.dir, "agent.sock") }

func (a *agentSocket) close() {
	if a.l != nil {
		_ = a.l.Close()
	}
	_ = os.RemoveAll(a.dir)
}
