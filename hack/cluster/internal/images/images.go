// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package images makes container images without a container engine and pushes
// them to a registry.
//
// The same input makes the same image, byte for byte: entries of a layer are
// sorted, belong to root and have no time of change. Layers are not compressed,
// because they only travel within one machine.
package images

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// epoch is the time that everything in an image was made at.
var epoch = time.Unix(0, 0).UTC()

// File says that a file or a directory of this machine becomes part of an image.
type File struct {
	// Source is a path of this machine. Of a directory, the content is taken.
	Source string
	// Target is the absolute path in the image. If it ends with a slash, the
	// file keeps its name below it.
	Target string
	// Mode replaces the permissions of the file, or of every regular file of a
	// directory. Zero keeps them.
	Mode fs.FileMode
}

// ParseFile reads SRC:DST[:MODE], where MODE is octal.
func ParseFile(s string) (File, error) {
	parts := strings.Split(s, ":")
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" || !strings.HasPrefix(parts[1], "/") {
		return File{}, fmt.Errorf("%q is not SRC:DST[:MODE] with an absolute DST", s)
	}
	f := File{Source: parts[0], Target: parts[1]}
	if len(parts) == 3 {
		mode, err := strconv.ParseUint(parts[2], 8, 12)
		if err != nil || mode == 0 {
			return File{}, fmt.Errorf("%q is not an octal mode such as 0755", parts[2])
		}
		f.Mode = fs.FileMode(mode)
	}
	return f, nil
}

// Spec describes an image.
type Spec struct {
	// Base is the image to add to. Default: an empty one.
	Base v1.Image
	// Layers come on top of it, in order.
	Layers []v1.Layer
	// Files become one more layer.
	Files []File
	// Entrypoint, Cmd, User and WorkDir replace those of Base unless empty.
	Entrypoint []string
	Cmd        []string
	User       string
	WorkDir    string
	// Env holds NAME=VALUE pairs, which replace those of the same name in Base.
	Env []string
	// Labels are added to those of Base.
	Labels map[string]string
}

// Build makes an image. Temporary files are made in dir; they must stay until
// the image has been pushed.
func Build(spec Spec, dir string) (v1.Image, error) {
	img := spec.Base
	if img == nil {
		img = mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	}
	layers := slices.Clone(spec.Layers)
	if len(spec.Files) > 0 {
		layer, err := FileLayer(spec.Files, dir)
		if err != nil {
			return nil, err
		}
		layers = append(layers, layer)
	}
	img, err := mutate.AppendLayers(img, layers...)
	if err != nil {
		return nil, fmt.Errorf("adding layers: %w", err)
	}
	cf, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading the base image's configuration: %w", err)
	}
	cf = cf.DeepCopy()
	cf.Created = v1.Time{Time: epoch}
	if cf.OS == "" {
		cf.OS, cf.Architecture = "linux", runtime.GOARCH
	}
	c := &cf.Config
	if len(spec.Entrypoint) > 0 {
		// The base's arguments belong to the base's program.
		c.Entrypoint, c.Cmd = spec.Entrypoint, nil
	}
	if len(spec.Cmd) > 0 {
		c.Cmd = spec.Cmd
	}
	if spec.User != "" {
		c.User = spec.User
	}
	if spec.WorkDir != "" {
		c.WorkingDir = spec.WorkDir
	}
	for _, kv := range spec.Env {
		c.Env = setEnv(c.Env, kv)
	}
	if !slices.ContainsFunc(c.Env, func(kv string) bool { return strings.HasPrefix(kv, "PATH=") }) {
		c.Env = append(c.Env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	for k, v := range spec.Labels {
		if c.Labels == nil {
			c.Labels = map[string]string{}
		}
		c.Labels[k] = v
	}
	if img, err = mutate.ConfigFile(img, cf); err != nil {
		return nil, fmt.Errorf("setting the image's configuration: %w", err)
	}
	return img, nil
}

func setEnv(env []string, kv string) []string {
	key, _, _ := strings.Cut(kv, "=")
	for i, have := range env {
		if strings.HasPrefix(have, key+"=") {
			env = slices.Clone(env)
			env[i] = kv
			return env
		}
	}
	return append(env, kv)
}

// entry is one thing in a layer.
type entry struct {
	source string // "" for a directory that is only a parent
	info   fs.FileInfo
	mode   fs.FileMode
}

// FileLayer makes a layer of files. Its content is a temporary file in dir.
func FileLayer(files []File, dir string) (v1.Layer, error) {
	entries := map[string]entry{}
	for _, f := range files {
		if err := collect(entries, f); err != nil {
			return nil, err
		}
	}
	return tarLayer(dir, func(w *tar.Writer) error {
		names := make([]string, 0, len(entries))
		for name := range entries {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			if err := writeEntry(w, name, entries[name]); err != nil {
				return fmt.Errorf("adding /%s: %w", name, err)
			}
		}
		return nil
	})
}

func collect(entries map[string]entry, f File) error {
	info, err := os.Stat(f.Source)
	if err != nil {
		return fmt.Errorf("adding file: %w", err)
	}
	target := strings.TrimPrefix(path.Clean(f.Target), "/")
	if !info.IsDir() {
		if strings.HasSuffix(f.Target, "/") {
			target = path.Join(target, filepath.Base(f.Source))
		}
		if target == "" {
			return fmt.Errorf("adding %s: a file cannot be the root of an image", f.Source)
		}
		addParents(entries, target)
		entries[target] = entry{source: f.Source, info: info, mode: modeOf(info, f.Mode)}
		return nil
	}
	return filepath.WalkDir(f.Source, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(f.Source, p)
		if err != nil {
			return err
		}
		name := path.Join(target, filepath.ToSlash(rel))
		if name == "." || name == "" {
			return nil
		}
		if info.Mode()&(fs.ModeSocket|fs.ModeNamedPipe|fs.ModeDevice) != 0 {
			return fmt.Errorf("adding %s: only files, directories and symbolic links can be added", p)
		}
		addParents(entries, name)
		mode := info.Mode()
		if info.Mode().IsRegular() {
			mode = modeOf(info, f.Mode)
		}
		entries[name] = entry{source: p, info: info, mode: mode}
		return nil
	})
}

func modeOf(info fs.FileInfo, want fs.FileMode) fs.FileMode {
	if want != 0 {
		return want
	}
	return info.Mode()
}

func addParents(entries map[string]entry, name string) {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if _, ok := entries[dir]; !ok {
			entries[dir] = entry{mode: fs.ModeDir | 0o755}
		}
	}
}

func writeEntry(w *tar.Writer, name string, e entry) error {
	h := &tar.Header{Name: name, Mode: int64(e.mode.Perm()), ModTime: epoch, Format: tar.FormatPAX}
	if e.mode&fs.ModeSetuid != 0 {
		h.Mode |= 0o4000
	}
	if e.mode&fs.ModeSetgid != 0 {
		h.Mode |= 0o2000
	}
	if e.mode&fs.ModeSticky != 0 {
		h.Mode |= 0o1000
	}
	switch {
	case e.source == "" || e.info.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
		return w.WriteHeader(h)
	case e.info.Mode()&fs.ModeSymlink != 0:
		link, err := os.Readlink(e.source)
		if err != nil {
			return err
		}
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, link, 0o777
		return w.WriteHeader(h)
	}
	in, err := os.Open(e.source)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(w, in)
	return err
}

// tarLayer makes a layer of what write puts into an archive.
func tarLayer(dir string, write func(*tar.Writer) error) (v1.Layer, error) {
	f, err := os.CreateTemp(dir, "layer-*.tar")
	if err != nil {
		return nil, fmt.Errorf("making layer: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	w := tar.NewWriter(io.MultiWriter(f, sum))
	if err := write(w); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("making layer: %w", err)
	}
	size, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, fmt.Errorf("making layer: %w", err)
	}
	return &Layer{File: f.Name(), Bytes: size, Hash: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}}, nil
}

// Layer is an uncompressed layer whose archive is a file: its digest, its
// diff ID and the archive's SHA-256 are one and the same. It implements
// v1.Layer.
type Layer struct {
	File  string
	Bytes int64
	Hash  v1.Hash
}

// Digest implements v1.Layer.
func (l *Layer) Digest() (v1.Hash, error) { return l.Hash, nil }

// DiffID implements v1.Layer.
func (l *Layer) DiffID() (v1.Hash, error) { return l.Hash, nil }

// Compressed implements v1.Layer.
func (l *Layer) Compressed() (io.ReadCloser, error) { return os.Open(l.File) }

// Uncompressed implements v1.Layer.
func (l *Layer) Uncompressed() (io.ReadCloser, error) { return os.Open(l.File) }

// Size implements v1.Layer.
func (l *Layer) Size() (int64, error) { return l.Bytes, nil }

// MediaType implements v1.Layer.
func (l *Layer) MediaType() (types.MediaType, error) { return types.OCIUncompressedLayer, nil }

// Target is a registry as seen from here, and the name that images in it have.
type Target struct {
	// Addr is where the registry listens: IP:port, spoken to in plain HTTP.
	Addr string
	// Name is the registry's name in references.
	Name string
}

// Result is an image in a registry.
type Result struct {
	// Ref is the image's name with its tag.
	Ref string `json:"ref"`
	// DigestRef is the image's name with its digest.
	DigestRef string `json:"digestRef"`
	// Digest is the digest alone.
	Digest string `json:"digest"`
	// Size is that of its layers, in bytes.
	Size int64 `json:"size"`
}

// reference reads NAME[:TAG|@DIGEST], with or without the registry's name.
func (t Target) reference(s string) (name.Reference, error) {
	s = strings.TrimPrefix(s, t.Name+"/")
	ref, err := name.ParseReference(t.Addr+"/"+s, name.Insecure)
	if err != nil {
		return nil, fmt.Errorf("%q is not an image's name: %w", s, err)
	}
	return ref, nil
}

// Pull returns an image of the registry; its layers are read when needed.
func (t Target) Pull(ctx context.Context, ref string) (v1.Image, error) {
	r, err := t.reference(ref)
	if err != nil {
		return nil, err
	}
	img, err := remote.Image(r, remote.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("reading %s/%s from the cluster's registry: %w", t.Name, strings.TrimPrefix(ref, t.Name+"/"), err)
	}
	return img, nil
}

// Push stores an image under NAME[:TAG]. Layers that the registry has already
// are not sent again.
func (t Target) Push(ctx context.Context, ref string, img v1.Image) (Result, error) {
	r, err := t.reference(ref)
	if err != nil {
		return Result{}, err
	}
	tag, ok := r.(name.Tag)
	if !ok {
		return Result{}, fmt.Errorf("%q: an image is pushed under a tag, not under a digest", ref)
	}
	if err := remote.Write(tag, img, remote.WithContext(ctx)); err != nil {
		return Result{}, fmt.Errorf("pushing to the cluster's registry: %w", err)
	}
	digest, err := img.Digest()
	if err != nil {
		return Result{}, fmt.Errorf("computing the digest: %w", err)
	}
	manifest, err := img.Manifest()
	if err != nil {
		return Result{}, fmt.Errorf("reading the manifest: %w", err)
	}
	res := Result{
		Ref:       t.Name + "/" + tag.RepositoryStr() + ":" + tag.TagStr(),
		DigestRef: t.Name + "/" + tag.RepositoryStr() + "@" + digest.String(),
		Digest:    digest.String(),
	}
	for _, l := range manifest.Layers {
		res.Size += l.Size
	}
	return res, nil
}
