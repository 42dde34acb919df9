// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitfiles

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"

	"github.com/slipway-dev/slipway/pkg/egress"
	"github.com/slipway-dev/slipway/pkg/gitpack"
)

// KnownHostsKey is the key of a Secret under which the keys of SSH servers are.
const KnownHostsKey = "known_hosts"

// defaultSSHUser is the user that git servers have for everybody.
const defaultSSHUser = "git"

// sshSession is a command of git that runs on a server. The library's own client has no dialer of ours, and
// does not end with a context.
type sshSession struct {
	client *ssh.Client
	in     io.WriteCloser
	out    io.Reader
	stop   func() bool
	adv    *packp.AdvRefs
	asked  bool
}

// dialSSH starts the command. The context ends the connection, too.
func (r *Repository) dialSSH(ctx context.Context, command string) (*sshSession, error) {
	addr := net.JoinHostPort(r.address.host, orDefault(r.address.port, "22"))
	config, refused, err := r.sshConfig(addr)
	if err != nil {
		return nil, err
	}
	conn, err := egress.Dialer(r.cache.opts.AllowLocal).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err //nolint:wrapcheck // explain is called on it
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	s, err := r.startSSH(conn, addr, config, command)
	if err == nil {
		s.stop = stop
		return s, nil
	}
	stop()
	_ = conn.Close()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err() //nolint:wrapcheck // explain is called on it
	case *refused != nil:
		return nil, *refused
	case strings.Contains(err.Error(), "unable to authenticate"):
		return nil, r.refusedCredential()
	}
	return nil, err
}

func (r *Repository) startSSH(conn net.Conn, addr string, config *ssh.ClientConfig, command string) (*sshSession, error) {
	// The handshake has no limit of its own.
	if err := conn.SetDeadline(r.cache.opts.Now().Add(r.cache.opts.Timeout)); err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	c, channels, requests, err := ssh.NewClientConn(conn, addr, config)
	if err != nil {
		return nil, err //nolint:wrapcheck // explain is called on it
	}
	client := ssh.NewClient(c, channels, requests)
	session, err := client.NewSession()
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	s := &sshSession{client: client}
	out, err := session.StdoutPipe()
	if err == nil {
		s.out = r.limited(out)
		s.in, err = session.StdinPipe()
	}
	if err == nil {
		// Quotes in the path were refused where the address was read.
		err = session.Start(command + " '" + r.address.path + "'")
	}
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return s, nil
}

// sshConfig says who we are and who the server must be. The second value is set if the server is not that.
func (r *Repository) sshConfig(addr string) (*ssh.ClientConfig, *error, error) {
	c := r.target.Credential
	config := &ssh.ClientConfig{User: orDefault(r.address.user, orDefault(c.Username, defaultSSHUser)), Timeout: 30 * time.Second}
	switch {
	case len(c.PrivateKey) > 0:
		signer, err := signer(c)
		if err != nil {
			return nil, nil, err
		}
		config.Auth = []ssh.AuthMethod{ssh.PublicKeys(signer)}
	case c.Password != "":
		config.Auth = []ssh.AuthMethod{ssh.Password(c.Password)}
	default:
		return nil, nil, failure(ErrAuthentication, "%s is an SSH address, which needs a credential of the type ssh-auth: name its Secret in spec.secret", r.address)
	}
	known, err := r.knownHosts()
	if err != nil {
		return nil, nil, err
	}
	config.HostKeyAlgorithms = known.HostKeyAlgorithms(addr)
	refused := new(error)
	check := known.HostKeyCallback()
	config.HostKeyCallback = func(host string, from net.Addr, key ssh.PublicKey) error {
		err := check(host, from, key)
		switch {
		case err == nil:
		case knownhosts.IsHostKeyChanged(err):
			*refused = failure(ErrHostKey, "the SSH server %s shows another key (%s %s) than the one that is known: if its operator has not changed it, somebody is between",
				r.address.hostPort(), key.Type(), ssh.FingerprintSHA256(key))
		default:
			*refused = failure(ErrHostKey, "the key of the SSH server %s is not known. Compare its fingerprint, %s, with what its operator publishes; if it is the same, "+
				"add this line under the key %s of the Secret: %s", r.address.hostPort(), ssh.FingerprintSHA256(key), KnownHostsKey, knownhosts.Line([]string{addr}, key))
		}
		return err
	}
	return config, refused, nil
}

func signer(c Credential) (ssh.Signer, error) {
	key, err := ssh.ParsePrivateKey(c.PrivateKey)
	var encrypted *ssh.PassphraseMissingError
	if errors.As(err, &encrypted) {
		key, err = ssh.ParsePrivateKeyWithPassphrase(c.PrivateKey, c.Passphrase)
	}
	if err != nil {
		// The parser may repeat a part of the key.
		return nil, failure(ErrAuthentication, "the private key of the credential cannot be read: it is damaged, of an unknown kind, or its passphrase is wrong")
	}
	return key, nil
}

// knownHosts reads the keys of servers of the credential and of all users. The library takes files only.
func (r *Repository) knownHosts() (*knownhosts.HostKeyDB, error) {
	dir, err := os.MkdirTemp(r.cache.shelf.dir, "known-")
	if err != nil {
		return nil, fmt.Errorf("known hosts: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, KnownHostsKey)
	text := bytes.Join([][]byte{r.target.Credential.KnownHosts, r.cache.opts.KnownHosts}, []byte("\n"))
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, fmt.Errorf("known hosts: %w", err)
	}
	known, err := knownhosts.NewDB(file)
	if err != nil {
		return nil, failure(ErrInvalid, "the value of %s is not a list of SSH servers' keys; a line is: host type key", KnownHostsKey)
	}
	return known, nil
}

func orDefault(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// AdvertisedReferences implements transport.Session.
func (s *sshSession) AdvertisedReferences() (*packp.AdvRefs, error) { return s.references(false) }

func (s *sshSession) references(receive bool) (*packp.AdvRefs, error) {
	if s.adv != nil {
		return s.adv, nil
	}
	adv := packp.NewAdvRefs()
	err := adv.Decode(gitpack.NewBudget(maxGreeting).Reader(s.out))
	var line *pktline.ErrorLine
	switch {
	case errors.Is(err, packp.ErrEmptyInput), errors.As(err, &line):
		// The command ended at once, or said why not.
		return nil, transport.ErrRepositoryNotFound
	case errors.Is(err, packp.ErrEmptyAdvRefs):
		if !receive {
			return nil, transport.ErrEmptyRemoteRepository
		}
	case err != nil:
		return nil, err //nolint:wrapcheck // explain is called on it
	}
	if !receive && adv.IsEmpty() {
		return nil, transport.ErrEmptyRemoteRepository
	}
	transport.FilterUnsupportedCapabilities(adv.Capabilities)
	s.adv = adv
	return adv, nil
}

// Close implements io.Closer.
func (s *sshSession) Close() error {
	if !s.asked {
		// The server waits for what we want: nothing.
		_, _ = s.in.Write(pktline.FlushPkt)
	}
	s.stop()
	err := s.client.Close()
	if errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
		return nil
	}
	return err //nolint:wrapcheck // nobody looks into it
}

// sshUpload gives objects.
type sshUpload struct{ *sshSession }

// AdvertisedReferencesContext implements transport.Session.
func (s *sshUpload) AdvertisedReferencesContext(context.Context) (*packp.AdvRefs, error) {
	return s.references(false)
}

// UploadPack implements transport.UploadPackSession.
func (s *sshUpload) UploadPack(_ context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
	s.asked = true
	if err := req.UploadRequest.Encode(s.in); err != nil {
		return nil, fmt.Errorf("ask for objects: %w", err)
	}
	if err := req.UploadHaves.Encode(s.in, false); err != nil {
		return nil, fmt.Errorf("ask for objects: %w", err)
	}
	if err := pktline.NewEncoder(s.in).EncodeString("done\n"); err != nil {
		return nil, fmt.Errorf("ask for objects: %w", err)
	}
	response := packp.NewUploadPackResponse(req)
	if err := response.Decode(io.NopCloser(s.out)); err != nil {
		return nil, fmt.Errorf("answer to the question for objects: %w", err)
	}
	return response, nil
}

// sshReceive takes objects.
type sshReceive struct{ *sshSession }

// AdvertisedReferencesContext implements transport.Session.
func (s *sshReceive) AdvertisedReferencesContext(context.Context) (*packp.AdvRefs, error) {
	return s.references(true)
}

// ReceivePack implements transport.ReceivePackSession.
func (s *sshReceive) ReceivePack(_ context.Context, req *packp.ReferenceUpdateRequest) (*packp.ReportStatus, error) {
	s.asked = true
	if err := req.Encode(s.in); err != nil {
		return nil, fmt.Errorf("send objects: %w", err)
	}
	if err := s.in.Close(); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("send objects: %w", err)
	}
	if !req.Capabilities.Supports(capability.ReportStatus) {
		return nil, nil
	}
	report := packp.NewReportStatus()
	if err := report.Decode(s.out); err != nil {
		return nil, fmt.Errorf("answer to objects: %w", err)
	}
	return report, report.Error()
}
