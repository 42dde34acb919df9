// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package images

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
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
	"time"
)

// DebianOptions says which Debian system to make.
type DebianOptions struct {
	// Suite is the release, such as bookworm.
	Suite string
	// Packages are included beside the essential ones. Order does not matter.
	Packages []string
	// Mirror is where packages come from.
	Mirror string
	// Cache is the directory that systems are kept in.
	Cache string
	// Out gets a line now and then; making a system takes about a minute.
	Out io.Writer
}

// layoutVersion changes when the same options shall make another system.
const layoutVersion = "1"

func (o DebianOptions) dir() string {
	packages := slices.Clone(o.Packages)
	slices.Sort(packages)
	packages = slices.Compact(packages)
	sum := sha256.Sum256([]byte(strings.Join([]string{layoutVersion, o.Suite, runtime.GOARCH, strings.Join(packages, ",")}, "\n")))
	return filepath.Join(o.Cache, "debian", o.Suite+"-"+hex.EncodeToString(sum[:6]))
}

// Cached tells whether the system has been made before.
func (o DebianOptions) Cached() bool {
	_, err := os.Stat(filepath.Join(o.dir(), "layer.json"))
	return err == nil
}

// Debian returns the layer of a minimal Debian system with some packages. It
// needs root and debootstrap unless the system is in the cache.
func Debian(ctx context.Context, o DebianOptions) (*Layer, error) {
	for _, word := range append([]string{o.Suite}, o.Packages...) {
		if word == "" || strings.ContainsAny(word, "/, \t\n") || strings.HasPrefix(word, "-") {
			return nil, fmt.Errorf("%q is not the name of a suite or a package", word)
		}
	}
	dir := o.dir()
	note := filepath.Join(dir, "layer.json")
	if b, err := os.ReadFile(note); err == nil {
		layer := &Layer{}
		if err := json.Unmarshal(b, layer); err == nil {
			layer.File = filepath.Join(dir, "rootfs.tar")
			if info, err := os.Stat(layer.File); err == nil && info.Size() == layer.Bytes {
				return layer, nil
			}
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the cache: %w", err)
	}
	root, err := os.MkdirTemp(dir, "rootfs-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for the system: %w", err)
	}
	defer os.RemoveAll(root)
	if err := os.Chmod(root, 0o755); err != nil {
		return nil, fmt.Errorf("making a directory for the system: %w", err)
	}
	if err := bootstrap(ctx, o, root); err != nil {
		return nil, err
	}
	if err := tidy(root); err != nil {
		return nil, fmt.Errorf("cleaning the system: %w", err)
	}
	made, err := tarLayer(dir, func(w *tar.Writer) error { return archive(w, root) })
	if err != nil {
		return nil, err
	}
	layer := made.(*Layer)
	final := filepath.Join(dir, "rootfs.tar")
	if err := os.Rename(layer.File, final); err != nil {
		return nil, fmt.Errorf("keeping the system: %w", err)
	}
	layer.File = final
	b, err := json.Marshal(layer)
	if err != nil {
		return nil, fmt.Errorf("keeping the system: %w", err)
	}
	if err := os.WriteFile(note+".tmp", b, 0o644); err != nil {
		return nil, fmt.Errorf("keeping the system: %w", err)
	}
	return layer, os.Rename(note+".tmp", note)
}

func bootstrap(ctx context.Context, o DebianOptions, root string) error {
	args := []string{"--variant=minbase"}
	if len(o.Packages) > 0 {
		args = append(args, "--include="+strings.Join(o.Packages, ","))
	}
	args = append(args, o.Suite, root, o.Mirror)
	began := time.Now()
	fmt.Fprintf(o.Out, "Making a Debian %s with %s (about a minute)\n", o.Suite, strings.Join(o.Packages, ", "))
	log := root + ".log"
	out, err := os.Create(log)
	if err != nil {
		return fmt.Errorf("making the system's log: %w", err)
	}
	defer os.Remove(log)
	defer out.Close()
	cmd := exec.CommandContext(ctx, "debootstrap", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting debootstrap: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				b, _ := os.ReadFile(log) // without it, the error alone is reported
				lines := strings.Split(strings.TrimSpace(string(b)), "\n")
				return fmt.Errorf("debootstrap: %w: %s", err, strings.Join(lines[max(0, len(lines)-3):], "; "))
			}
			fmt.Fprintf(o.Out, "Made the system in %v\n", time.Since(began).Round(time.Second))
			return nil
		case <-tick.C:
			fmt.Fprintf(o.Out, "  still making the system, %v so far\n", time.Since(began).Round(time.Second))
		}
	}
}

// tidy removes from a system what must not be the same in every container made
// of it, and what is of no use in one.
func tidy(root string) error {
	for _, pattern := range []string{
		"etc/ssh/ssh_host_*", "etc/machine-id", "var/lib/dbus/machine-id", "etc/hostname", "etc/resolv.conf",
		"var/cache/apt/*", "var/lib/apt/lists/*", "var/cache/debconf/*-old", "var/lib/dpkg/*-old",
		"var/cache/ldconfig/*", "var/log/*.log", "var/log/apt", "var/log/btmp", "var/log/wtmp", "var/log/lastlog", "var/log/faillog",
		"tmp/*", "run/*", "dev/*", "proc/*", "sys/*", "etc/*-", "root/.bash_history", "debootstrap",
	} {
		matches, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return err
		}
		for _, m := range matches {
			if err := os.RemoveAll(m); err != nil {
				return err
			}
		}
	}
	// An empty ID makes a system choose one at its first start; sshd needs its
	// directory.
	if err := os.WriteFile(filepath.Join(root, "etc/machine-id"), nil, 0o444); err != nil {
		return err
	}
	return os.MkdirAll(filepath.Join(root, "run/sshd"), 0o755)
}

// archive writes everything below root, with owners and permissions, and with
// one and the same time.
func archive(w *tar.Writer, root string) error {
	seen := map[inode]string{}
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil || rel == "." {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode()&(fs.ModeSocket|fs.ModeNamedPipe|fs.ModeDevice) != 0 {
			return nil // the container gets its own
		}
		link := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			if link, err = os.Readlink(p); err != nil {
				return err
			}
		}
		h, err := tar.FileInfoHeader(info, link)
		if err != nil {
			return err
		}
		owner, id, links := ownerOf(info)
		h.Uid, h.Gid, h.Uname, h.Gname = owner.uid, owner.gid, "", ""
		h.Name, h.Format = filepath.ToSlash(rel), tar.FormatPAX
		h.ModTime, h.AccessTime, h.ChangeTime = epoch, time.Time{}, time.Time{}
		if info.IsDir() {
			h.Name += "/"
		}
		if info.Mode().IsRegular() && links > 1 {
			if first, ok := seen[id]; ok {
				h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
				return w.WriteHeader(h)
			}
			seen[id] = h.Name
		}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return nil
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		_, err = io.Copy(w, f)
		return errors.Join(err, f.Close())
	})
}

// owner is a file's owner.
type owner struct{ uid, gid int }

// inode identifies a file that may have several names.
type inode struct{ dev, ino uint64 }
