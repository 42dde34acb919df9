// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package layout says where everything of a development cluster lies on disk
// and what its objects on the host are called.
package layout

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
)

// maxStateDir is the longest state directory, in bytes. The longest name of a
// Unix socket below it is /kubelet/device-plugins/kubelet.sock, and Linux ends
// a socket's path at 107.
const maxStateDir = 107 - len("/kubelet/device-plugins/kubelet.sock")

// Module is the path, below the repository's root, of this module.
const Module = "hack/cluster"

// Layout is the set of paths and names of one cluster. Use New to make one.
type Layout struct {
	// Repo is the root of the Slipway checkout.
	Repo string
	// State is the directory of everything that belongs to one cluster.
	State string
	// ID names the cluster's objects on the host: its network namespace,
	// firewall table and control group. It follows from State.
	ID string
}

// New returns the layout of the cluster in state, which may be empty to mean
// <repo>/.run/cluster. Both directories are made absolute.
func New(repo, state string) (Layout, error) {
	repo, err := filepath.Abs(repo)
	if err != nil {
		return Layout{}, fmt.Errorf("finding the repository: %w", err)
	}
	if state == "" {
		state = filepath.Join(repo, ".run", "cluster")
	}
	if state, err = filepath.Abs(state); err != nil {
		return Layout{}, fmt.Errorf("finding the state directory: %w", err)
	}
	sum := sha256.Sum256([]byte(state))
	return Layout{Repo: repo, State: state, ID: "slipway-" + hex.EncodeToString(sum[:4])}, nil
}

// CheckLength tells whether sockets below the state directory would have names
// that are too long for the operating system.
func (l Layout) CheckLength() error {
	if len(l.State) > maxStateDir {
		return fmt.Errorf("the state directory %s is longer than %d bytes, so that sockets in it could not be opened: choose a shorter one with --state-dir", l.State, maxStateDir)
	}
	return nil
}

// Veth is the name of the host's end of the cable to the node. It is shorter
// than ID because an interface's name has at most 15 bytes.
func (l Layout) Veth() string { return "sw-" + l.ID[len("slipway-"):] }

// NetNS is the file that keeps the node's network namespace alive. Its place is
// the one where "ip netns" looks.
func (l Layout) NetNS() string { return filepath.Join("/run/netns", l.ID) }

// Bin is the directory of the built binaries.
func (l Layout) Bin() string { return filepath.Join(l.Repo, ".run", "bin") }

// Cache is the directory of what is expensive to make again.
func (l Layout) Cache() string { return filepath.Join(l.Repo, ".run", "cache") }

// Source is the directory of this module.
func (l Layout) Source() string { return filepath.Join(l.Repo, filepath.FromSlash(Module)) }

// In returns a path below the state directory.
func (l Layout) In(elem ...string) string {
	return filepath.Join(append([]string{l.State}, elem...)...)
}

// Kubeconfig is the administrator's kubeconfig.
func (l Layout) Kubeconfig() string { return l.In("kubeconfig") }

// Socket is where the supervisor answers questions.
func (l Layout) Socket() string { return l.In("run", "supervisor.sock") }

// PIDFile names the supervisor's process.
func (l Layout) PIDFile() string { return l.In("supervisor.pid") }

// Logs is the directory with one log file per component.
func (l Layout) Logs() string { return l.In("logs") }

// ContainerdSocket is where containerd listens.
func (l Layout) ContainerdSocket() string { return l.In("run", "containerd.sock") }

// HostsDir is containerd's directory of registry hosts.
func (l Layout) HostsDir() string { return l.In("config", "certs.d") }

// FindRepo looks for the checkout that this program belongs to: the one it was
// built into (<repo>/.run/bin), or else the one that holds the working
// directory.
func FindRepo() (string, error) {
	if exe, err := os.Executable(); err == nil {
		if dir := filepath.Dir(exe); filepath.Base(dir) == "bin" && filepath.Base(filepath.Dir(dir)) == ".run" {
			if repo := filepath.Dir(filepath.Dir(dir)); isRepo(repo) {
				return repo, nil
			}
		}
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the working directory: %w", err)
	}
	for d := dir; ; d = filepath.Dir(d) {
		if isRepo(d) {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("%s is not inside a Slipway checkout: change into one or give --repo", dir)
		}
	}
}

func isRepo(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(Module), "go.mod"))
	return err == nil && info.Mode().IsRegular()
}
