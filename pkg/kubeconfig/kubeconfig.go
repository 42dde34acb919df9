// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kubeconfig finds the cluster that a program works with, by the same rules for all of them, and says what
// to do if there is none.
package kubeconfig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Usage is the description of the flag --kubeconfig.
const Usage = "kubeconfig of the cluster; KUBECONFIG, ~/.kube/config or the pod's account if empty"

// checkTimeout bounds the call of Check.
const checkTimeout = 10 * time.Second

// ErrNone says that no cluster was named and that this is no pod.
var ErrNone = errors.New("no cluster is known: name its kubeconfig with --kubeconfig or KUBECONFIG")

// Load reads how to reach the cluster: the file at path or, without one, those that kubectl would read, or in a pod
// the pod's own account.
func Load(path string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = path
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	switch {
	case clientcmd.IsEmptyConfig(err):
		// kubectl's rules pass over files that do not exist.
		if named := os.Getenv(clientcmd.RecommendedConfigPathEnvVar); path == "" && named != "" {
			return nil, fmt.Errorf("KUBECONFIG is %s, where no cluster is described: %w", named, ErrNone)
		}
		if path != "" {
			return nil, fmt.Errorf("%s describes no cluster: %w", path, ErrNone)
		}
		return nil, ErrNone
	case err != nil:
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	return config, nil
}

// Path is the file that Load reads for a path, for other programs that are to use the same cluster; empty if it is
// not a single one.
func Path(path string) string {
	if path == "" {
		path = os.Getenv(clientcmd.RecommendedConfigPathEnvVar)
	}
	if path == "" || strings.ContainsRune(path, filepath.ListSeparator) {
		return ""
	}
	if absolute, err := filepath.Abs(path); err == nil {
		return absolute
	}
	return path
}

// Check makes a first call, so that a cluster that is not there is told as such, and gives its version.
func Check(config *rest.Config) (version string, err error) {
	short := rest.CopyConfig(config)
	short.Timeout = checkTimeout
	client, err := discovery.NewDiscoveryClientForConfig(short)
	if err != nil {
		return "", fmt.Errorf("make client: %w", err)
	}
	info, err := client.ServerVersion()
	if err != nil {
		return "", fmt.Errorf("the cluster at %s does not answer: %w (does it run? another one: --kubeconfig)", config.Host, err)
	}
	return info.GitVersion, nil
}
