// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/slipway-dev/slipway/config/crd"
	"github.com/slipway-dev/slipway/pkg/scheme"
)

// userName is who sends the requests.
const userName = "bench"

// cluster is a kube-apiserver with its etcd, with PipelineRuns in it.
type cluster struct {
	env    *envtest.Environment
	client client.Client
	etcd   *http.Client
	// dir holds the files of the server under test, kubeconfig is one of them.
	dir, kubeconfig string
	// pids are those of kube-apiserver and etcd.
	pids []int
	// pipelines are the UIDs of those that exist, seeded is how many runs there are.
	pipelines map[string]types.UID
	seeded    int
	// first is when the first run was made, managedFields are what Kubernetes keeps of who wrote which field.
	first         time.Time
	managedFields []metav1.ManagedFieldsEntry
}

func startCluster(ctx context.Context, o *options) (*cluster, error) {
	definitions, err := crd.All()
	if err != nil {
		return nil, err
	}
	assets, err := filepath.Abs(o.assets)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(assets, "kube-apiserver")); err != nil {
		return nil, fmt.Errorf("the kube-apiserver and etcd for tests are not built, run `make build-cluster`: %w", err)
	}
	const startTimeout, stopTimeout = 2 * time.Minute, 30 * time.Second
	c := &cluster{env: &envtest.Environment{
		BinaryAssetsDirectory: assets, CRDs: definitions, Scheme: scheme.New(),
		ControlPlaneStartTimeout: startTimeout, ControlPlaneStopTimeout: stopTimeout,
	}}
	c.env.ControlPlane.GetAPIServer().Path = filepath.Join(assets, "kube-apiserver")
	c.env.ControlPlane.Etcd = &envtest.Etcd{Path: filepath.Join(assets, "etcd")}
	// The data end with the bench.
	c.env.ControlPlane.Etcd.Configure().Append("unsafe-no-fsync", "true")
	c.first = time.Now().AddDate(0, -2, 0)
	c.etcd = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: seeders}}
	if _, err := c.env.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start kube-apiserver and etcd of %s: %w", assets, err), c.env.Stop())
	}
	if err := c.prepare(ctx); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

// prepare makes clients, files, and the user's rights.
func (c *cluster) prepare(ctx context.Context) error {
	var err error
	if c.dir, err = os.MkdirTemp("", "bench-api-"); err != nil {
		return err
	}
	c.kubeconfig = filepath.Join(c.dir, "kubeconfig")
	if err := os.WriteFile(c.kubeconfig, c.env.KubeConfig, 0o600); err != nil {
		return err
	}
	if c.client, err = client.New(c.env.Config, client.Options{Scheme: scheme.New()}); err != nil {
		return err
	}
	if c.pids, err = childrenNamed("kube-apiserver", "etcd"); err != nil {
		return err
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: userName},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: userName}},
	}
	if err := c.client.Create(ctx, binding); err != nil {
		return fmt.Errorf("give the user its rights: %w", err)
	}
	return nil
}

func (c *cluster) stop() error {
	err := c.env.Stop()
	if c.dir != "" {
		err = errors.Join(err, os.RemoveAll(c.dir))
	}
	return err
}

// cpu is what kube-apiserver and etcd have worked so far.
func (c *cluster) cpu() time.Duration {
	if c == nil {
		return 0
	}
	var sum time.Duration
	for _, pid := range c.pids {
		if used, err := cpuOf(pid); err == nil {
			sum += used
		}
	}
	return sum
}

// childrenNamed gives the processes that this one has started.
func childrenNamed(names ...string) ([]int, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, path := range dirs {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		pid, rest, _ := strings.Cut(string(text), " (")
		name, rest, _ := strings.Cut(rest, ") ")
		fields := strings.Fields(rest)
		if len(fields) < 2 || fields[1] != strconv.Itoa(os.Getpid()) {
			continue
		}
		for _, want := range names {
			if n, err := strconv.Atoi(pid); err == nil && name == want {
				pids = append(pids, n)
			}
		}
	}
	if len(pids) != len(names) {
		return nil, fmt.Errorf("%d processes of %v are running, want one each", len(pids), names)
	}
	return pids, nil
}
