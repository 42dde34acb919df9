// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package up

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/slipway-dev/slipway/pkg/apiclient"
)

// StateFile is the name, within the state folder, of what a running `slipway up` says of itself.
const StateFile = "up.json"

// State tells other commands on the same machine how to reach a running `slipway up`. Secrets are
// in files of their own, which only their owner may read; State names them.
type State struct {
	// PID is the process.
	PID int `json:"pid"`
	// URL is the API server's address.
	URL string `json:"url"`
	// Username is the first user's name; PasswordFile holds the password.
	Username     string `json:"username"`
	PasswordFile string `json:"passwordFile"`
	// Kubeconfig is the cluster that is used.
	Kubeconfig string `json:"kubeconfig"`
	// Jenkins and S3 are the parts that runs and artifacts are in.
	Jenkins Endpoint `json:"jenkins"`
	S3      Endpoint `json:"s3"`
	// Bucket is the bucket in S3.
	Bucket string `json:"bucket"`
	// WorkerNamespace is where agent pods run.
	WorkerNamespace string `json:"workerNamespace"`
	// SystemNamespace is where Slipway keeps its Secrets.
	SystemNamespace string `json:"systemNamespace"`
	// HostIP is an address of this machine that pods can reach; empty if unknown.
	HostIP string `json:"hostIP,omitempty"`
	// DevImage is the default image of dev containers.
	DevImage string `json:"devImage,omitempty"`
}

// Endpoint is a server and the credential for it.
type Endpoint struct {
	// URL is the server's address.
	URL string `json:"url"`
	// Embedded is true if the server runs in the same process.
	Embedded bool `json:"embedded"`
	// Username is the user or access key.
	Username string `json:"username"`
	// SecretFile holds the token or secret key.
	SecretFile string `json:"secretFile"`
}

// Secret reads the endpoint's token or secret key.
func (e Endpoint) Secret() (string, error) {
	return readSecret(e.SecretFile)
}

// Password reads the first user's password.
func (s *State) Password() (string, error) {
	return readSecret(s.PasswordFile)
}

// Token logs the first user in and gives the token.
func (s *State) Token(ctx context.Context) (string, error) {
	password, err := s.Password()
	if err != nil {
		return "", err
	}
	client, err := apiclient.New(s.URL)
	if err != nil {
		return "", err
	}
	if client, err = client.Login(ctx, s.Username, password); err != nil {
		return "", err
	}
	return client.Token(), nil
}

func readSecret(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	return string(content), nil
}

// ErrNotRunning says that no `slipway up` runs with the folder.
var ErrNotRunning = errors.New("slipway is not running with this state folder (--state-dir): start it with `make run` (or `slipway up`) in another shell")

// ReadState reads what the `slipway up` of a state folder says of itself.
func ReadState(dir string) (*State, error) {
	content, err := os.ReadFile(filepath.Join(dir, StateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotRunning
	}
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	state := &State{}
	if err := json.Unmarshal(content, state); err != nil {
		return nil, fmt.Errorf("decode %s: %w", filepath.Join(dir, StateFile), err)
	}
	// A process that was killed leaves the file behind.
	if state.PID > 0 && errors.Is(syscall.Kill(state.PID, 0), syscall.ESRCH) {
		return nil, ErrNotRunning
	}
	return state, nil
}

func (s *State) write(dir string) error {
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	return writeFile(filepath.Join(dir, StateFile), append(content, '\n'))
}

// writeFile replaces a file whole or not at all; only its owner may read it.
func writeFile(path string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	if _, err := temporary.Write(content); err != nil {
		_ = temporary.Close()
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := errors.Join(temporary.Sync(), temporary.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
