// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package clone

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/client"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/x509roots/fallback/bundle"

	"github.com/slipway-dev/slipway/pkg/agent"
)

// Where LoadCredentials looks. Credentials are never taken from the command line, which every process
// of the container can read.
const (
	// EnvUsername and EnvPassword are the user name and the password or token for HTTP(S).
	EnvUsername = "SLIPWAY_GIT_USERNAME"
	EnvPassword = "SLIPWAY_GIT_PASSWORD"
	// EnvCredentialsDir is a mounted Secret. Its keys are those of kubernetes.io/basic-auth,
	// kubernetes.io/ssh-auth and of KubeSphere's credential types: username, password (or token,
	// secret), ssh-privatekey (or private_key), passphrase, known_hosts. It wins over the variables.
	EnvCredentialsDir = "SLIPWAY_GIT_CREDENTIALS_DIR"
	// EnvCAFile is a PEM file of further certificate authorities to trust.
	EnvCAFile = "SLIPWAY_GIT_CA_FILE"
)

const maxCredential = 1 << 20

// Credentials are what a server may ask for. All of it is optional.
type Credentials struct {
	Username, Password string
	// SSHKey is a private key in PEM; Passphrase decrypts it.
	SSHKey     []byte
	Passphrase string
	// KnownHosts is the content of a known_hosts file. SSH servers that it does not name are refused.
	KnownHosts []byte
}

func (c Credentials) empty() bool {
	return c.Username == "" && c.Password == "" && len(c.SSHKey) == 0
}

// LoadCredentials reads the environment, and the folder that it names.
func LoadCredentials() (Credentials, error) {
	c := Credentials{Username: os.Getenv(EnvUsername), Password: os.Getenv(EnvPassword)}
	dir := os.Getenv(EnvCredentialsDir)
	if dir == "" {
		return c, nil
	}
	for _, f := range []struct {
		names []string
		set   func(string)
	}{
		{[]string{"username"}, func(s string) { c.Username = strings.TrimSpace(s) }},
		{[]string{"password", "token", "secret"}, func(s string) { c.Password = strings.TrimRight(s, "\r\n") }},
		{[]string{"ssh-privatekey", "private_key"}, func(s string) { c.SSHKey = []byte(strings.TrimSpace(s) + "\n") }},
		{[]string{"passphrase"}, func(s string) { c.Passphrase = strings.TrimRight(s, "\r\n") }},
		{[]string{"known_hosts"}, func(s string) { c.KnownHosts = []byte(s) }},
	} {
		for _, name := range f.names {
			data, err := readLimited(filepath.Join(dir, name))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return c, agent.Fail(agent.ExitConfig, "CredentialUnreadable", "cannot read the credential's %s: check the mounted Secret", name).Because(err)
			}
			if len(data) > 0 {
				f.set(string(data))
				break
			}
		}
	}
	return c, nil
}

func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // G703: the pod's own environment names the folder
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxCredential+1))
	if err == nil && len(data) > maxCredential {
		err = fmt.Errorf("longer than %d bytes", maxCredential)
	}
	return data, err
}

// auth is the go-git form of the credentials for a URL; nil means none.
func (c Credentials) auth(r remote) (transport.AuthMethod, error) {
	switch r.scheme {
	case "http", "https":
		user := c.Username
		if user == "" {
			user = r.user
		}
		if user == "" && c.Password == "" {
			return nil, nil
		}
		if user == "" {
			// Servers that know a person by the token alone take any name, but not an empty one.
			user = "git"
		}
		return &githttp.BasicAuth{Username: user, Password: c.Password}, nil
	case "ssh":
		return c.sshAuth(r)
	}
	return nil, nil
}

func (c Credentials) sshAuth(r remote) (transport.AuthMethod, error) {
	user := r.user
	if user == "" {
		user = "git"
	}
	helper, err := c.hostKeys(r)
	if err != nil {
		return nil, err
	}
	if len(c.SSHKey) == 0 {
		if c.Password == "" {
			return nil, agent.Fail(agent.ExitError, ReasonAuthenticationRequired,
				"%s wants authentication: add a credential with an SSH key, or use its https URL", r.url)
		}
		return &gitssh.Password{User: user, Password: c.Password, HostKeyCallbackHelper: helper}, nil
	}
	keys, err := gitssh.NewPublicKeys(user, c.SSHKey, c.Passphrase)
	if err != nil {
		return nil, agent.Fail(agent.ExitError, ReasonAuthenticationRequired,
			"the SSH key of the credential cannot be read: it is damaged, or its passphrase is missing or wrong")
	}
	keys.HostKeyCallbackHelper = helper
	return keys, nil
}

// hostKeys checks host keys against the known_hosts of the credential only. Without one every server
// is unknown: to accept any would give the repository's content into the hands of whoever answers.
func (c Credentials) hostKeys(r remote) (gitssh.HostKeyCallbackHelper, error) {
	f, err := os.CreateTemp("", "slipway-known-hosts-")
	if err != nil {
		return gitssh.HostKeyCallbackHelper{}, fmt.Errorf("known hosts: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(append(c.KnownHosts, '\n'))
	if err = errors.Join(err, f.Close()); err != nil {
		return gitssh.HostKeyCallbackHelper{}, fmt.Errorf("known hosts: %w", err)
	}
	db, err := gitssh.NewKnownHostsDb(f.Name())
	if err != nil {
		return gitssh.HostKeyCallbackHelper{}, agent.Fail(agent.ExitConfig, ReasonHostKey, "the known_hosts of the credential cannot be parsed").Because(err)
	}
	ep, err := transport.NewEndpoint(r.url)
	if err != nil {
		return gitssh.HostKeyCallbackHelper{}, err
	}
	port := ep.Port
	if port == 0 {
		port = 22
	}
	return gitssh.HostKeyCallbackHelper{
		HostKeyCallback:   db.HostKeyCallback(),
		HostKeyAlgorithms: db.HostKeyAlgorithms(net.JoinHostPort(ep.Host, fmt.Sprint(port))),
	}, nil
}

const (
	dialTimeout   = 20 * time.Second
	headerTimeout = 2 * time.Minute // a large repository is counted before the first byte
	maxErrorBody  = 64 << 10
)

// setUpTransports configures go-git's process-wide table of protocols: no local ones, and HTTP with
// timeouts, bounded error bodies and certificate authorities that do not depend on the image.
func setUpTransports() error {
	client.InstallProtocol("file", nil)
	pool, err := rootCAs(os.Getenv(EnvCAFile))
	if err != nil {
		return err
	}
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: headerTimeout,
		ForceAttemptHTTP2:     true,
		TLSClientConfig:       &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
	}
	c := githttp.NewClient(&http.Client{Transport: boundErrors{t}})
	client.InstallProtocol("http", c)
	client.InstallProtocol("https", c)
	return nil
}

// rootCAs are the image's authorities or, in an image without any, the public ones that are compiled
// in; and those of caFile.
func rootCAs(caFile string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil || pool.Equal(x509.NewCertPool()) {
		pool = x509.NewCertPool()
		for root := range bundle.Roots() {
			cert, err := x509.ParseCertificate(root.Certificate)
			if err != nil {
				return nil, fmt.Errorf("built-in certificate authorities: %w", err)
			}
			if root.Constraint == nil {
				pool.AddCert(cert)
			} else {
				pool.AddCertWithConstraint(cert, root.Constraint)
			}
		}
	}
	if caFile == "" {
		return pool, nil
	}
	pem, err := readLimited(caFile)
	if err != nil || !pool.AppendCertsFromPEM(pem) {
		return nil, agent.Fail(agent.ExitConfig, ReasonTLS, "%s names %s, which has no certificates in PEM", EnvCAFile, caFile).Because(err)
	}
	return pool, nil
}

// boundErrors cuts the bodies of error responses, which go-git reads into memory as a whole.
type boundErrors struct{ next http.RoundTripper }

func (b boundErrors) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := b.next.RoundTrip(req)
	if err == nil && res.StatusCode/100 != 2 {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(res.Body, maxErrorBody), res.Body}
	}
	return res, err
}
