// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package builder compiles the programs of a development cluster from Go
// modules, and knows when it need not.
package builder

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/slipway-dev/slipway/hack/cluster/internal/layout"
)

// heartbeat is how often a build that goes on says that it does.
const heartbeat = 10 * time.Second

// lockInterval is how often a build looks whether another one has ended.
const lockInterval = 200 * time.Millisecond

const (
	versionPackage   = "k8s.io/component-base/version"
	kubeVersion      = "v1.36.3"
	containerdModule = "github.com/containerd/containerd/v2"
	cniModule        = "github.com/containernetworking/plugins"
)

// Set is a group of programs that are built by one run of the compiler.
type Set struct {
	// Name is what --only takes.
	Name string
	// dir is the module, below this module's directory.
	dir string
	// sources are the directories and files that the programs are made of,
	// below this module's directory.
	sources []string
	// programs maps import paths to files below the bin directory.
	programs map[string]string
	// links maps further names below the bin directory to programs there.
	links map[string]string
	flags []string
	about string
}

// Sets lists what there is to build, the quickest first.
func Sets() []Set {
	kube := map[string]string{}
	for _, name := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "etcd", "kubectl"} {
		kube[name] = "kube"
	}
	return []Set{
		{
			Name: "devcluster", dir: ".", about: "the command line tool and the sandbox's process",
			sources:  []string{"go.mod", "go.sum", "cmd/devcluster", "cmd/pause", "internal"},
			programs: map[string]string{"./cmd/devcluster": "devcluster", "./cmd/pause": "pause"},
			flags:    []string{"-ldflags", "-s -w"},
		},
		{
			Name: "containerd", dir: "containerd", about: "containerd and network plugins, about 1 minute the first time",
			sources: []string{"containerd"},
			programs: map[string]string{
				containerdModule + "/cmd/containerd":              "containerd",
				containerdModule + "/cmd/containerd-shim-runc-v2": "containerd-shim-runc-v2",
				containerdModule + "/cmd/ctr":                     "ctr",
				cniModule + "/plugins/main/ptp":                   "cni/ptp",
				cniModule + "/plugins/main/loopback":              "cni/loopback",
				cniModule + "/plugins/ipam/host-local":            "cni/host-local",
				cniModule + "/plugins/meta/portmap":               "cni/portmap",
			},
			flags: []string{"-tags", "no_btrfs,no_devmapper,no_zfs", "-ldflags", "-s -w"},
		},
		{
			Name: "kube", dir: ".", about: "Kubernetes " + kubeVersion + " with etcd and kubectl, about 5 minutes the first time",
			sources:  []string{"go.mod", "go.sum", "cmd/kube", "internal/provisioner", "internal/dns"},
			programs: map[string]string{"./cmd/kube": "kube"},
			links:    kube,
			flags:    []string{"-ldflags", fmt.Sprintf("-s -w -X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=1 -X %[1]s.gitMinor=36 -X %[1]s.gitTreeState=clean -X %[1]s.gitCommit=unknown", versionPackage, kubeVersion)},
		},
	}
}

// Options are the choices of Build.
type Options struct {
	// Only limits the build to the sets with these names. Default: all.
	Only []string
	// Force builds what is up to date as well.
	Force bool
	// Out gets one line per step.
	Out io.Writer
}

// Build brings the programs up to date. It tells whether it had to compile.
func Build(ctx context.Context, l layout.Layout, opts Options) (compiled bool, err error) {
	names := make([]string, 0, len(Sets()))
	for _, set := range Sets() {
		names = append(names, set.Name)
	}
	for _, only := range opts.Only {
		if !slices.Contains(names, only) {
			return false, fmt.Errorf("there is no %q to build, only %s", only, strings.Join(names, ", "))
		}
	}
	began := time.Now()
	unlock, err := lock(ctx, l.Bin(), opts.Out)
	if err != nil {
		return false, err
	}
	defer unlock()
	for _, set := range Sets() {
		if len(opts.Only) > 0 && !slices.Contains(opts.Only, set.Name) {
			continue
		}
		did, err := build(ctx, l, set, opts)
		if err != nil {
			return compiled, err
		}
		compiled = compiled || did
	}
	if compiled {
		fmt.Fprintf(opts.Out, "Everything is built in %s after %s.\n", l.Bin(), since(began))
	}
	return compiled, nil
}

// lock makes the directory and keeps other builds out of it until unlocked.
func lock(ctx context.Context, dir string, out io.Writer) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the directory of programs: %w", err)
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("locking the directory of programs: %w", err)
	}
	tick := time.NewTicker(lockInterval)
	defer tick.Stop()
	for said := false; ; said = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("locking the directory of programs: %w", err)
		}
		if !said {
			fmt.Fprintln(out, "Waiting for another build to end")
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("waiting for another build to end: %w", ctx.Err())
		}
	}
}

func since(t time.Time) string { return time.Since(t).Round(100 * time.Millisecond).String() }

func build(ctx context.Context, l layout.Layout, set Set, opts Options) (bool, error) {
	key, err := set.key(ctx, l)
	if err != nil {
		return false, err
	}
	if !opts.Force && set.upToDate(l, key) {
		return false, nil
	}
	began := time.Now()
	fmt.Fprintf(opts.Out, "Building %s (%s)\n", set.Name, set.about)
	// Built beside the destination and moved into it, so that programs that run
	// are not disturbed and nobody finds half of one.
	tmp, err := os.MkdirTemp(l.Bin(), ".build-")
	if err != nil {
		return false, fmt.Errorf("making a directory to build in: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := set.compile(ctx, l, tmp, began, opts.Out); err != nil {
		return false, err
	}
	for pkg, file := range set.programs {
		to := filepath.Join(l.Bin(), filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return false, fmt.Errorf("installing %s: %w", file, err)
		}
		if err := os.Rename(filepath.Join(tmp, filepath.Base(pkg)), to); err != nil {
			return false, fmt.Errorf("installing %s: %w", file, err)
		}
	}
	for name, to := range set.links {
		link := filepath.Join(tmp, name)
		if err := os.Symlink(to, link); err != nil {
			return false, fmt.Errorf("linking %s: %w", name, err)
		}
		if err := os.Rename(link, filepath.Join(l.Bin(), name)); err != nil {
			return false, fmt.Errorf("linking %s: %w", name, err)
		}
	}
	if err := os.WriteFile(set.stamp(l), []byte(key), 0o644); err != nil {
		return false, fmt.Errorf("noting what was built: %w", err)
	}
	fmt.Fprintf(opts.Out, "Built %s in %s\n", set.Name, since(began))
	return true, nil
}

func (s Set) compile(ctx context.Context, l layout.Layout, dir string, began time.Time, out io.Writer) error {
	args := append([]string{"build", "-trimpath", "-mod=readonly", "-o", dir + string(filepath.Separator)}, s.flags...)
	for pkg := range s.programs {
		args = append(args, pkg)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = filepath.Join(l.Source(), s.dir)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-buildvcs=false", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the Go compiler: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				return fmt.Errorf("building %s: %w\n%s", s.Name, err, bytes.TrimSpace(output.Bytes()))
			}
			return nil
		case <-tick.C:
			fmt.Fprintf(out, "  still building %s, %s so far\n", s.Name, since(began))
		}
	}
}

func (s Set) stamp(l layout.Layout) string {
	return filepath.Join(l.Bin(), ".built-"+s.Name)
}

// upToDate tells whether the programs are there and were built from what key
// stands for.
func (s Set) upToDate(l layout.Layout, key string) bool {
	have, err := os.ReadFile(s.stamp(l))
	if err != nil || string(have) != key {
		return false
	}
	for _, file := range s.programs {
		if _, err := os.Stat(filepath.Join(l.Bin(), filepath.FromSlash(file))); err != nil {
			return false
		}
	}
	for name := range s.links {
		if _, err := os.Stat(filepath.Join(l.Bin(), name)); err != nil {
			return false
		}
	}
	return true
}

// key stands for everything that the programs depend on: sources, versions of
// modules, compiler and flags.
func (s Set) key(ctx context.Context, l layout.Layout) (string, error) {
	h := sha256.New()
	goVersion, err := toolchain(ctx, l)
	if err != nil {
		return "", err
	}
	fmt.Fprintln(h, goVersion, runtime.GOOS, runtime.GOARCH, s.flags)
	for _, source := range s.sources {
		root := filepath.Join(l.Source(), filepath.FromSlash(source))
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") {
				return err
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(l.Source(), path)
			if err != nil {
				return err
			}
			fmt.Fprintln(h, filepath.ToSlash(rel), len(content))
			_, _ = h.Write(content) // a hash's Write cannot fail
			return nil
		})
		if err != nil {
			return "", fmt.Errorf("reading sources: %w", err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// toolchain returns the version of the Go compiler, from the file that every
// installation has, which is quicker than to ask the compiler.
func toolchain(ctx context.Context, l layout.Layout) (string, error) {
	path, err := exec.LookPath("go")
	if err != nil {
		return "", fmt.Errorf("the Go compiler is needed for building the cluster's programs: %w", err)
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", fmt.Errorf("finding the Go compiler: %w", err)
	}
	if b, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(path)), "VERSION")); err == nil {
		line, _, _ := strings.Cut(string(b), "\n")
		return line, nil
	}
	cmd := exec.CommandContext(ctx, "go", "env", "GOVERSION")
	cmd.Dir = l.Source()
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("asking the Go compiler for its version: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
