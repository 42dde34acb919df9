// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package images

import (
	"archive/tar"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-dev/slipway/hack/cluster/internal/registry"
)

// tree makes files that are new each time: other times, another directory.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"a": "A", "sub/b": "B", "sub/z/c": "C"} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
		stamp := time.Unix(time.Now().UnixNano()%1e9, 0)
		if err := os.Chtimes(file, stamp, stamp); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("a", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func build(t *testing.T, spec Spec) v1.Image {
	t.Helper()
	img, err := Build(spec, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func digest(t *testing.T, img v1.Image) string {
	t.Helper()
	d, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

func sampleSpec(dir string) Spec {
	return Spec{
		Files:      []File{{Source: dir, Target: "/opt/app"}, {Source: filepath.Join(dir, "a"), Target: "/bin/", Mode: 0o755}},
		Entrypoint: []string{"/bin/a"},
		Env:        []string{"B=2", "A=1"},
		Labels:     map[string]string{"x": "1", "y": "2", "z": "3"},
		User:       "1000",
		WorkDir:    "/opt",
	}
}

func TestSameInputMakesTheSameImage(t *testing.T) {
	first := digest(t, build(t, sampleSpec(tree(t))))
	for range 3 {
		if again := digest(t, build(t, sampleSpec(tree(t)))); again != first {
			t.Fatalf("got %s, then %s", first, again)
		}
	}
	other := sampleSpec(tree(t))
	other.Env = []string{"B=3"}
	if digest(t, build(t, other)) == first {
		t.Error("another environment made the same image")
	}
}

func TestLayerContent(t *testing.T) {
	img := build(t, sampleSpec(tree(t)))
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	var names []string
	for r := tar.NewReader(content); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		if h.Uid != 0 || h.Gid != 0 || !h.ModTime.Equal(epoch) {
			t.Errorf("%s belongs to %d:%d and is from %v", h.Name, h.Uid, h.Gid, h.ModTime)
		}
		switch h.Name {
		case "bin/a":
			if h.Mode != 0o755 {
				t.Errorf("the asked-for mode became %o", h.Mode)
			}
		case "opt/app/a":
			if h.Mode != 0o640 {
				t.Errorf("the mode of a file became %o", h.Mode)
			}
		case "opt/app/link":
			if h.Typeflag != tar.TypeSymlink || h.Linkname != "a" {
				t.Errorf("a symbolic link became %c to %q", h.Typeflag, h.Linkname)
			}
		}
	}
	want := []string{"bin/", "bin/a", "opt/", "opt/app/", "opt/app/a", "opt/app/link", "opt/app/sub/", "opt/app/sub/b", "opt/app/sub/z/", "opt/app/sub/z/c"}
	slices.Sort(names)
	if !slices.Equal(names, want) {
		t.Errorf("got %q\nwant %q", names, want)
	}
}

func TestPushPullAndBuildOnTop(t *testing.T) {
	reg, err := registry.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(reg)
	defer server.Close()
	to := Target{Addr: strings.TrimPrefix(server.URL, "http://"), Name: "registry.example"}
	ctx := t.Context()
	base, err := to.Push(ctx, "team/base:1", build(t, sampleSpec(tree(t))))
	if err != nil {
		t.Fatal(err)
	}
	if want := "registry.example/team/base:1"; base.Ref != want {
		t.Errorf("ref is %s, want %s", base.Ref, want)
	}
	for _, ref := range []string{"team/base:1", base.Ref, base.DigestRef} {
		if _, err := to.Pull(ctx, ref); err != nil {
			t.Errorf("pulling %s: %v", ref, err)
		}
	}
	img, err := to.Pull(ctx, "team/base:1")
	if err != nil {
		t.Fatal(err)
	}
	child := build(t, Spec{Base: img, Files: []File{{Source: filepath.Join(tree(t), "a"), Target: "/more"}}, Env: []string{"A=9"}})
	if _, err := to.Push(ctx, "team/child", child); err != nil {
		t.Fatal(err)
	}
	got, err := to.Pull(ctx, "team/child:latest")
	if err != nil {
		t.Fatal(err)
	}
	cf, err := got.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(cf.Config.Entrypoint, []string{"/bin/a"}) || cf.Config.User != "1000" || cf.Config.Env[1] != "A=9" {
		t.Errorf("the base's configuration got lost: %+v", cf.Config)
	}
	if len(cf.RootFS.DiffIDs) != 2 {
		t.Errorf("got %d layers, want 2", len(cf.RootFS.DiffIDs))
	}
	if _, err := to.Push(ctx, "team/child@"+base.Digest, child); err == nil {
		t.Error("a push under a digest was taken")
	}
}

func TestParseFile(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want File
		ok   bool
	}{
		{"a:/b", File{"a", "/b", 0}, true},
		{"a:/b:0755", File{"a", "/b", 0o755}, true},
		{"a:/b:4755", File{"a", "/b", 0o4755}, true},
		{"a", File{}, false},
		{"a:b", File{}, false},
		{":/b", File{}, false},
		{"a:/b:rwx", File{}, false},
		{"a:/b:1:2", File{}, false},
	} {
		got, err := ParseFile(tc.in)
		if (err == nil) != tc.ok || got != tc.want {
			t.Errorf("ParseFile(%q) = %v, %v", tc.in, got, err)
		}
	}
}
