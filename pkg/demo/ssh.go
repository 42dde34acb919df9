// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrHostKey says that the server's host key is none of those that the API told.
var ErrHostKey = errors.New("the SSH server shows a host key that the API does not know")

// SSH runs a command in a dev container by the real OpenSSH client. The host keys that the server
// shows are first held against the fingerprints that the API told.
func (s *Session) SSH(ctx context.Context, container *DevContainer, command string) (string, error) {
	knownHosts := filepath.Join(s.dir, "known_hosts")
	port := strconv.Itoa(container.Port)
	// The port is open on the nodes a moment after the pod is ready: when kube-proxy has heard of it.
	var scanned string
	err := s.until(ctx, "the SSH port of "+container.Name+" to answer", func(ctx context.Context) (bool, error) {
		var scanErr error
		scanned, scanErr = output(exec.CommandContext(ctx, "ssh-keyscan", "-T", "5", "-p", port, container.Host))
		return scanErr == nil && scanned != "", ctx.Err()
	})
	if err != nil {
		return "", fmt.Errorf("read the host keys of %s: %w", container.Name, err)
	}
	if err := os.WriteFile(knownHosts, []byte(scanned+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keep host keys: %w", err)
	}
	listing, err := output(exec.CommandContext(ctx, "ssh-keygen", "-l", "-f", knownHosts))
	if err != nil {
		return "", fmt.Errorf("read the fingerprints of %s: %w", container.Name, err)
	}
	for line := range strings.Lines(listing) {
		fields := strings.Fields(line)
		if len(fields) < 2 || !slices.Contains(container.Fingerprints, fields[1]) {
			return "", fmt.Errorf("%w: %s", ErrHostKey, strings.TrimSpace(line))
		}
	}
	out, err := output(exec.CommandContext(ctx, "ssh",
		"-F", "none", "-i", container.KeyFile, "-p", port,
		"-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10",
		"-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile="+knownHosts,
		container.Username+"@"+container.Host, command))
	if err != nil {
		return "", fmt.Errorf("ssh to %s: %w", container.Name, err)
	}
	return out, nil
}

// output runs a command and gives its standard output without the last line end; standard error
// goes into the error.
func output(command *exec.Cmd) (string, error) {
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimRight(string(out), "\n"), nil
}
