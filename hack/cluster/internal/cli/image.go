// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-dev/slipway/hack/cluster/internal/cluster"
	"github.com/slipway-dev/slipway/hack/cluster/internal/images"
	"github.com/slipway-dev/slipway/hack/cluster/internal/layout"
)

func imageCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "image", Short: "Make images without a container engine"}
	cmd.AddCommand(imageBuildCommand(g), imageDebianCommand(g))
	return cmd
}

// imageFlags are what both ways of making an image have in common.
type imageFlags struct {
	add, env, label []string
	entrypoint, cmd string
	user, workDir   string
	noPreload       bool
	output          string
}

func (f *imageFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.add, "add", nil, "add a file or a directory's content: SRC:DST[:MODE] (repeatable)")
	flags.StringVar(&f.entrypoint, "entrypoint", "", `program to run, as a JSON array: '["/app","--flag"]'`)
	flags.StringVar(&f.cmd, "cmd", "", "arguments of the program, as a JSON array")
	flags.StringArrayVar(&f.env, "env", nil, "environment variable NAME=VALUE (repeatable)")
	flags.StringVar(&f.user, "user", "", "user to run as: name or UID, with :group or :GID if need be")
	flags.StringVar(&f.workDir, "workdir", "", "directory to start in")
	flags.StringArrayVar(&f.label, "label", nil, "label NAME=VALUE (repeatable)")
	flags.BoolVar(&f.noPreload, "no-preload", false, "only push; do not load the image onto the node")
	outputFlag(cmd, &f.output)
}

func (f *imageFlags) spec() (images.Spec, error) {
	spec := images.Spec{User: f.user, WorkDir: f.workDir, Env: f.env, Labels: map[string]string{}}
	for _, s := range f.add {
		file, err := images.ParseFile(s)
		if err != nil {
			return spec, fmt.Errorf("--add: %w", err)
		}
		spec.Files = append(spec.Files, file)
	}
	for _, s := range f.env {
		if k, _, ok := strings.Cut(s, "="); !ok || k == "" {
			return spec, fmt.Errorf("--env: %q is not NAME=VALUE", s)
		}
	}
	for _, s := range f.label {
		k, v, ok := strings.Cut(s, "=")
		if !ok || k == "" {
			return spec, fmt.Errorf("--label: %q is not NAME=VALUE", s)
		}
		spec.Labels[k] = v
	}
	for _, list := range []struct {
		flag, text string
		to         *[]string
	}{{"--entrypoint", f.entrypoint, &spec.Entrypoint}, {"--cmd", f.cmd, &spec.Cmd}} {
		if list.text == "" {
			continue
		}
		if err := json.Unmarshal([]byte(list.text), list.to); err != nil {
			return spec, fmt.Errorf(`%s: %q is not a JSON array of strings such as ["/app"]`, list.flag, list.text)
		}
	}
	return spec, nil
}

// finish pushes an image, loads it onto the node and prints its name.
func (f *imageFlags) finish(ctx context.Context, cmd *cobra.Command, l layout.Layout, to images.Target, ref string, img v1.Image) error {
	result, err := to.Push(ctx, ref, img)
	if err != nil {
		return err
	}
	if !f.noPreload {
		for _, r := range []string{result.Ref, result.DigestRef} {
			if err := cluster.Preload(ctx, l, r); err != nil {
				return fmt.Errorf("loading %s onto the node: %w", r, err)
			}
		}
	}
	if f.output == "json" {
		return printJSON(cmd.OutOrStdout(), result)
	}
	fmt.Fprintln(cmd.OutOrStdout(), result.DigestRef)
	return nil
}

func imageBuildCommand(g *globals) *cobra.Command {
	var f imageFlags
	var from string
	cmd := &cobra.Command{
		Use:   "build NAME[:TAG]",
		Short: "Make an image of files",
		Long: "Make an image of files, push it to the cluster's registry and load it onto the\n" +
			"node. The same input makes the same image. Prints its name with the digest.",
		Example: `  devcluster image build demo/app --add bin/app:/app:0755 --entrypoint '["/app"]'
  devcluster image build demo/dev --from demo/base:latest --add conf/:/etc/app`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := g.layout()
			if err != nil {
				return err
			}
			spec, err := f.spec()
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			to, err := cluster.Registry(ctx, l)
			if err != nil {
				return err
			}
			if from != "scratch" {
				if spec.Base, err = to.Pull(ctx, from); err != nil {
					return err
				}
			}
			dir, err := os.MkdirTemp("", "devcluster-image-")
			if err != nil {
				return fmt.Errorf("making a temporary directory: %w", err)
			}
			defer os.RemoveAll(dir)
			img, err := images.Build(spec, dir)
			if err != nil {
				return err
			}
			return f.finish(ctx, cmd, l, to, args[0], img)
		},
	}
	cmd.Flags().StringVar(&from, "from", "scratch", "image in the cluster's registry to add to, or scratch")
	f.register(cmd)
	return cmd
}

func imageDebianCommand(g *globals) *cobra.Command {
	var f imageFlags
	var opts images.DebianOptions
	cmd := &cobra.Command{
		Use:   "debian NAME[:TAG]",
		Short: "Make an image of Debian packages",
		Long: "Make an image of a minimal Debian with some packages, add files to it, push it\n" +
			"to the cluster's registry and load it onto the node. The system is made once\n" +
			"for each set of packages and kept in <repo>/.run/cache. Host keys, package\n" +
			"caches and the machine ID are left out.",
		Example: "  devcluster image debian demo/dev --packages openssh-server,git,ca-certificates,bash,procps",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := g.layout()
			if err != nil {
				return err
			}
			spec, err := f.spec()
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			to, err := cluster.Registry(ctx, l)
			if err != nil {
				return err
			}
			opts.Cache, opts.Out = l.Cache(), cmd.ErrOrStderr()
			if !opts.Cached() {
				if err := cluster.EnsurePrograms(ctx, g.install(), opts.Out, "debootstrap"); err != nil {
					return err
				}
			}
			system, err := images.Debian(ctx, opts)
			if err != nil {
				return err
			}
			dir, err := os.MkdirTemp("", "devcluster-image-")
			if err != nil {
				return fmt.Errorf("making a temporary directory: %w", err)
			}
			defer os.RemoveAll(dir)
			spec.Layers = []v1.Layer{system}
			if len(spec.Entrypoint) == 0 && len(spec.Cmd) == 0 {
				spec.Cmd = []string{"/bin/bash"}
			}
			img, err := images.Build(spec, dir)
			if err != nil {
				return err
			}
			return f.finish(ctx, cmd, l, to, args[0], img)
		},
	}
	cmd.Flags().StringVar(&opts.Suite, "suite", "bookworm", "release of Debian")
	cmd.Flags().StringSliceVar(&opts.Packages, "packages", nil, "packages to include, separated by commas")
	cmd.Flags().StringVar(&opts.Mirror, "mirror", "http://deb.debian.org/debian", "where packages come from")
	f.register(cmd)
	return cmd
}

func loadImageCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "load-image ARCHIVE.tar|REF",
		Short: "Load an image archive, or pull an image, onto the node",
		Long: "Load the images of a Docker or OCI archive onto the node, or pull an image by\n" +
			"its name. A name without a registry means the cluster's.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := g.layout()
			if err != nil {
				return err
			}
			if _, err := cluster.Registry(cmd.Context(), l); err != nil {
				return err
			}
			if info, err := os.Stat(args[0]); err == nil && info.Mode().IsRegular() {
				return cluster.Import(cmd.Context(), l, args[0], cmd.OutOrStdout())
			}
			ref := qualify(args[0])
			if err := cluster.Preload(cmd.Context(), l, ref); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), ref)
			return nil
		},
	}
}
