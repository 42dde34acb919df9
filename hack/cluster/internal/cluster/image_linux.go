// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/slipway-dev/slipway/hack/cluster/internal/images"
	"github.com/slipway-dev/slipway/hack/cluster/internal/layout"
	"github.com/slipway-dev/slipway/hack/cluster/internal/netplan"
	"github.com/slipway-dev/slipway/hack/cluster/internal/nodeconfig"
)

// criNamespace is where the kubelet looks for images in containerd.
const criNamespace = "k8s.io"

// Registry returns the running cluster's image registry.
func Registry(ctx context.Context, l layout.Layout) (images.Target, error) {
	st, err := GetStatus(ctx, l)
	if err != nil {
		return images.Target{}, err
	}
	if st.Supervisor == 0 {
		return images.Target{}, ErrNotRunning
	}
	return images.Target{Addr: st.Registry, Name: nodeconfig.RegistryName}, nil
}

func target(plan netplan.Plan) images.Target {
	return images.Target{Addr: nodeconfig.RegistryAddr(plan), Name: nodeconfig.RegistryName}
}

// pushPause puts the image of pod sandboxes into the registry.
func pushPause(ctx context.Context, l layout.Layout, to images.Target) error {
	dir, err := os.MkdirTemp(l.In("run"), "image-")
	if err != nil {
		return fmt.Errorf("making the sandbox image: %w", err)
	}
	defer os.RemoveAll(dir)
	img, err := images.Build(images.Spec{
		Files:      []images.File{{Source: filepath.Join(l.Bin(), "pause"), Target: "/pause", Mode: 0o755}},
		Entrypoint: []string{"/pause"},
		User:       "65535:65535",
	}, dir)
	if err != nil {
		return fmt.Errorf("making the sandbox image: %w", err)
	}
	if _, err := to.Push(ctx, nodeconfig.PauseRepository+":"+nodeconfig.PauseTag, img); err != nil {
		return fmt.Errorf("making the sandbox image: %w", err)
	}
	return nil
}

// Preload pulls an image onto the node, so that a pod with it starts at once.
// Images of the cluster's registry are named after it; others are pulled from
// where their name says.
func Preload(ctx context.Context, l layout.Layout, ref string) error {
	return ctr(ctx, l, io.Discard, "images", "pull", "--hosts-dir", l.HostsDir(), ref)
}

// Import loads the images of a Docker or OCI archive onto the node and returns
// what containerd says about them.
func Import(ctx context.Context, l layout.Layout, file string, out io.Writer) error {
	file, err := filepath.Abs(file)
	if err != nil {
		return fmt.Errorf("finding the archive: %w", err)
	}
	return ctr(ctx, l, out, "images", "import", file)
}

// ctr runs containerd's own client, in the node's network namespace.
func ctr(ctx context.Context, l layout.Layout, out io.Writer, args ...string) error {
	args = append([]string{"--address", l.ContainerdSocket(), "--namespace", criNamespace}, args...)
	cmd := exec.CommandContext(ctx, filepath.Join(l.Bin(), "ctr"), args...)
	var stderr tailBuffer
	cmd.Stdout, cmd.Stderr = out, &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("containerd: %s: %w", lastLine(stderr.b), err)
	}
	return nil
}

// tailBuffer keeps the last bytes that were written to it.
type tailBuffer struct{ b []byte }

func (t *tailBuffer) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - 4096; over > 0 {
		t.b = t.b[over:]
	}
	return len(p), nil
}
