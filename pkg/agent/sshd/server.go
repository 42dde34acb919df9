// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package sshd is the SSH server of dev containers whose image has none. It offers what editors and
// people use: shells with a terminal, commands, sftp, forwarding of local ports and of the SSH agent.
// It knows public keys only, and one user.
//
// It is built on golang.org/x/crypto/ssh directly. The session type of github.com/gliderlabs/ssh
// rewrites every LF to CR LF while a terminal is open, also when the program has set the terminal raw,
// and its port forwarding closes both directions when one ends; both break programs.
package sshd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/crypto/ssh"

	"github.com/slipway-dev/slipway/pkg/agent"
	"github.com/slipway-dev/slipway/pkg/agent/account"
)

// The limits of a server. They protect the container from a client gone wrong, not its owner from
// himself: who is logged in has a shell.
const (
	handshakeTimeout   = 30 * time.Second
	maxUnauthenticated = 32
	maxConnections     = 256
	maxChannels        = 256 // per connection
	maxAuthTries       = 10
	keepaliveEvery     = 30 * time.Second
	keepaliveTimeout   = 60 * time.Second
)

// Config is a server's configuration. All fields but WorkDir are required.
type Config struct {
	// HostKeys identify the server.
	HostKeys []ssh.Signer
	// AuthorizedKeys is the path of the file of the keys that may log in. It is read at each attempt.
	AuthorizedKeys string
	// Account is the one user; his is the only name that may log in.
	Account *account.Account
	// WorkDir is where shells begin if it exists, otherwise in the home folder. Commands and sftp
	// always begin in the home folder, as with OpenSSH.
	WorkDir string
	// Self is the path of the slipway-agent binary, run as "sftp-server" for sftp sessions so that
	// files are made with the rights of the user.
	Self string
}

// Server is an SSH server.
type Server struct {
	cfg   Config
	ssh   *ssh.ServerConfig
	conns chan struct{}
	fresh chan struct{}
}

// New makes a server.
func New(ctx context.Context, cfg Config) (*Server, error) {
	if len(cfg.HostKeys) == 0 || cfg.AuthorizedKeys == "" || cfg.Account == nil || cfg.Self == "" {
		return nil, agent.Fail(agent.ExitConfig, "Internal", "the SSH server lacks a part of its configuration")
	}
	s := &Server{
		cfg:   cfg,
		conns: make(chan struct{}, maxConnections),
		fresh: make(chan struct{}, maxUnauthenticated),
	}
	s.ssh = &ssh.ServerConfig{
		ServerVersion:     "SSH-2.0-slipway",
		MaxAuthTries:      maxAuthTries,
		PublicKeyCallback: s.checkKey(logr.FromContextOrDiscard(ctx)),
	}
	for _, k := range cfg.HostKeys {
		s.ssh.AddHostKey(k)
	}
	return s, nil
}

// Serve accepts connections until the context ends or the listener fails. It closes the listener and
// all connections and waits for them.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	log := logr.FromContextOrDiscard(ctx)
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() || isTransient(err) {
				log.Error(err, "cannot accept a connection for the moment")
				select {
				case <-ctx.Done():
					return nil
				case <-time.After(100 * time.Millisecond):
				}
				continue
			}
			return fmt.Errorf("accept: %w", err)
		}
		select {
		case s.conns <- struct{}{}:
		default:
			log.Info("too many connections: refused one", "limit", maxConnections)
			_ = conn.Close()
			continue
		}
		wg.Go(func() {
			defer func() { <-s.conns }()
			s.serveConn(ctx, conn)
		})
	}
}

// serveConn is the life of one connection.
func (s *Server) serveConn(ctx context.Context, nc net.Conn) {
	defer func() { _ = nc.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	defer stop()

	conn, chans, reqs, err := s.handshake(nc)
	if err != nil {
		logr.FromContextOrDiscard(ctx).V(1).Info("login failed", "remote", nc.RemoteAddr().String(), "error", err.Error())
		return
	}
	log := logr.FromContextOrDiscard(ctx).WithValues("remote", nc.RemoteAddr().String())
	log.Info("login", "key", conn.Permissions.Extensions["fingerprint"])
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	var wg sync.WaitGroup
	defer wg.Wait()
	// Requests of the whole connection: the client's keep-alives want any answer; remote forwarding is
	// refused by the same answer.
	wg.Go(func() { ssh.DiscardRequests(reqs) })
	wg.Go(func() { keepalive(ctx, conn) })

	open := make(chan struct{}, maxChannels)
	for nch := range chans {
		select {
		case open <- struct{}{}:
		default:
			_ = nch.Reject(ssh.ResourceShortage, "too many channels in this connection")
			continue
		}
		wg.Go(func() {
			defer func() { <-open }()
			s.channel(ctx, conn, nch)
		})
	}
	// The client is gone; end what keepalive and the channels wait for.
	cancel()
}

func (s *Server) handshake(nc net.Conn) (*ssh.ServerConn, <-chan ssh.NewChannel, <-chan *ssh.Request, error) {
	select {
	case s.fresh <- struct{}{}:
		defer func() { <-s.fresh }()
	default:
		return nil, nil, nil, errors.New("too many connections that have not logged in")
	}
	if err := nc.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return nil, nil, nil, err
	}
	conn, chans, reqs, err := ssh.NewServerConn(nc, s.ssh)
	if err != nil {
		return nil, nil, nil, err
	}
	return conn, chans, reqs, nc.SetDeadline(time.Time{})
}

func (s *Server) channel(ctx context.Context, conn *ssh.ServerConn, nch ssh.NewChannel) {
	switch nch.ChannelType() {
	case "session":
		s.session(ctx, conn, nch)
	case "direct-tcpip":
		forwardTCP(ctx, nch)
	case "direct-streamlocal@openssh.com":
		s.forwardUnix(ctx, nch)
	default:
		_ = nch.Reject(ssh.UnknownChannelType, "this server does not know this type of channel")
	}
}

// keepalive closes the connection of a client that is gone without a word, so that its processes and
// its terminal end.
func keepalive(ctx context.Context, conn *ssh.ServerConn) {
	ticker := time.NewTicker(keepaliveEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		answer := make(chan error, 1)
		go func() {
			_, _, err := conn.SendRequest("keepalive@openssh.com", true, nil)
			answer <- err
		}()
		select {
		case <-ctx.Done():
			return
		case err := <-answer:
			if err == nil {
				continue
			}
		case <-time.After(keepaliveTimeout):
		}
		_ = conn.Close()
		return
	}
}
