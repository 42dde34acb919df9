// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package embedded_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/slipway-dev/slipway/pkg/objectstore"
	"github.com/slipway-dev/slipway/pkg/objectstore/embedded"
)

// start runs a server on a folder and returns a client of it, and a function that stops it and returns what Serve returned.
func start(t *testing.T, dir string) (*objectstore.Store, *embedded.Server, func() error) {
	t.Helper()
	srv, err := embedded.New(t.Context(), embedded.Config{Dir: dir, Address: "127.0.0.1:0", Buckets: []string{objectstore.DefaultBucket}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx) }()
	stop := sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() { _ = stop() })
	access, secret := srv.Keys()
	return client(t, srv.Endpoint(), access, secret), srv, stop
}

func client(t *testing.T, endpoint, access, secret string) *objectstore.Store {
	t.Helper()
	s, err := objectstore.New(objectstore.Config{Endpoint: endpoint, AccessKey: access, SecretKey: secret, PathStyle: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t *testing.T, s *objectstore.Store, key, content string) {
	t.Helper()
	if err := s.Put(t.Context(), key, strings.NewReader(content), int64(len(content)), "text/plain; charset=utf-8"); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, s *objectstore.Store, key string) string {
	t.Helper()
	r, _, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func keysOf(t *testing.T, s *objectstore.Store, prefix string) []string {
	t.Helper()
	list, err := s.List(t.Context(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, o := range list {
		keys = append(keys, o.Key)
	}
	return keys
}

func TestObjects(t *testing.T) {
	s, _, _ := start(t, t.TempDir())
	ctx := t.Context()
	if err := s.EnsureBucket(ctx); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("ü", objectstore.MaxKeyBytes/2)
	content := map[string]string{
		"runs/ns/a/log.txt": "one", "runs/ns/a": "an object and a folder of one name", "runs/ns/a/artifacts/a dir/ünï çode+%&?#=.txt": "two",
		"runs/ns/ab/log.txt": "three", "RUNS/ns/a/log.txt": "case counts", "日本語/☃😀": "four", long: "long", "empty": "", "it's; \"quoted\"": "five",
	}
	for k, v := range content {
		put(t, s, k, v)
	}
	for k, v := range content {
		if got := get(t, s, k); got != v {
			t.Errorf("%q = %q, want %q", k, got, v)
		}
		info, err := s.Stat(ctx, k)
		if err != nil || info.Size != int64(len(v)) || info.ContentType != "text/plain; charset=utf-8" || time.Since(info.Modified) > time.Minute {
			t.Errorf("stat %q = %+v, %v", k, info, err)
		}
	}
	if diff := cmp.Diff([]string{"runs/ns/a/artifacts/a dir/ünï çode+%&?#=.txt", "runs/ns/a/log.txt"}, keysOf(t, s, "runs/ns/a/")); diff != "" {
		t.Error(diff)
	}
	var all []string
	for k := range content {
		all = append(all, k)
	}
	if diff := cmp.Diff(all, keysOf(t, s, ""), cmpopts.SortSlices(func(a, b string) bool { return a < b })); diff != "" {
		t.Error(diff)
	}

	put(t, s, "runs/ns/a", "replaced")
	if got := get(t, s, "runs/ns/a"); got != "replaced" {
		t.Errorf("after the second put: %q", got)
	}

	if err := s.DeletePrefix(ctx, "runs/ns/a/"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"runs/ns/a", "runs/ns/ab/log.txt"}, keysOf(t, s, "runs/")); diff != "" {
		t.Error(diff)
	}
	if err := s.DeletePrefix(ctx, "runs/ns/a"); !errors.Is(err, objectstore.ErrInvalid) {
		t.Errorf("a prefix without slash: %v", err)
	}
	if err := s.DeletePrefix(ctx, "nothing/"); err != nil {
		t.Errorf("an empty prefix: %v", err)
	}
	for range 2 {
		if err := s.Delete(ctx, "runs/ns/a"); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Stat(ctx, "runs/ns/a"); !errors.Is(err, objectstore.ErrNotFound) {
		t.Errorf("stat of a deleted object: %v", err)
	}
	if _, _, err := s.Get(ctx, "runs/ns/a"); !errors.Is(err, objectstore.ErrNotFound) {
		t.Errorf("get of a deleted object: %v", err)
	}
}

func TestListPages(t *testing.T) {
	s, _, _ := start(t, t.TempDir())
	const n = 1203 // more than one page
	var wg sync.WaitGroup
	next := make(chan int)
	for range 8 {
		wg.Go(func() {
			for i := range next {
				if err := s.Put(t.Context(), fmt.Sprintf("p/%05d", i), strings.NewReader("x"), 1, ""); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	keys := keysOf(t, s, "p/")
	if len(keys) != n {
		t.Fatalf("%d keys, want %d", len(keys), n)
	}
	for i, k := range keys {
		if k != fmt.Sprintf("p/%05d", i) {
			t.Fatalf("key %d is %s", i, k)
		}
	}
	if err := s.DeletePrefix(t.Context(), "p/"); err != nil {
		t.Fatal(err)
	}
	if keys := keysOf(t, s, ""); len(keys) != 0 {
		t.Errorf("%d keys are left", len(keys))
	}
}

func TestRange(t *testing.T) {
	s, _, _ := start(t, t.TempDir())
	put(t, s, "k", "0123456789")
	for _, tc := range []struct {
		offset, length int64
		want           string
		err            error
	}{
		{0, -1, "0123456789", nil}, {0, 1, "0", nil}, {0, 4, "0123", nil}, {3, 4, "3456", nil}, {7, -1, "789", nil}, {9, 1, "9", nil}, {8, 100, "89", nil},
		{10, -1, "", objectstore.ErrInvalid}, {100, 1, "", objectstore.ErrInvalid}, {-1, 1, "", objectstore.ErrInvalid}, {0, 0, "", objectstore.ErrInvalid}, {0, -2, "", objectstore.ErrInvalid},
	} {
		r, info, err := s.GetRange(t.Context(), "k", tc.offset, tc.length)
		if !errors.Is(err, tc.err) {
			t.Errorf("%d+%d: %v", tc.offset, tc.length, err)
		}
		if err != nil {
			continue
		}
		b, err := io.ReadAll(r)
		_ = r.Close()
		if err != nil || string(b) != tc.want || info.Size != int64(len(tc.want)) {
			t.Errorf("%d+%d = %q (%d), %v, want %q", tc.offset, tc.length, b, info.Size, err, tc.want)
		}
	}
}

func TestPresign(t *testing.T) {
	s, _, _ := start(t, t.TempDir())
	put(t, s, "a/ünï.txt", "hello")
	fetch := func(url string) (int, string, string) {
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b), resp.Header.Get("Content-Disposition")
	}
	url, err := s.PresignGet(t.Context(), "a/ünï.txt", "ünï \"x\".txt", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	status, body, disposition := fetch(url)
	if status != 200 || body != "hello" || disposition != "attachment; filename*=UTF-8''%C3%BCn%C3%AF%20%22x%22.txt" {
		t.Errorf("%d %q %q", status, body, disposition)
	}
	put(t, s, "a/other.txt", "secret")
	if status, _, _ := fetch(strings.Replace(url, "%C3%BCn%C3%AF.txt?", "other.txt?", 1)); status != http.StatusForbidden {
		t.Errorf("the address of another object: %d", status)
	}
	if status, _, _ := fetch(strings.Replace(url, "X-Amz-Expires=60", "X-Amz-Expires=6000", 1)); status != http.StatusForbidden {
		t.Errorf("a longer validity: %d", status)
	}
	short, err := s.PresignGet(t.Context(), "a/ünï.txt", "", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		if status, _, _ := fetch(short); status != 200 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the address does not expire")
		}
		time.Sleep(100 * time.Millisecond)
	}
	for _, v := range []time.Duration{0, -1, 8 * 24 * time.Hour} {
		if _, err := s.PresignGet(t.Context(), "k", "", v); !errors.Is(err, objectstore.ErrInvalid) {
			t.Errorf("validity %s: %v", v, err)
		}
	}
}

func TestAccess(t *testing.T) {
	s, srv, _ := start(t, t.TempDir())
	put(t, s, "k", "secret")
	access, secret := srv.Keys()
	for reason, c := range map[string]*objectstore.Store{
		"wrong secret": client(t, srv.Endpoint(), access, "not-the-secret-key"),
		"unknown key":  client(t, srv.Endpoint(), "SOMEBODYELSE", secret),
		"anonymous":    client(t, srv.Endpoint(), "", ""),
	} {
		_, _, getErr := c.Get(t.Context(), "k")
		_, listErr := c.List(t.Context(), "")
		for call, err := range map[string]error{
			"get": getErr, "list": listErr, "put": c.Put(t.Context(), "k", strings.NewReader("x"), 1, ""), "delete": c.Delete(t.Context(), "k"),
		} {
			if !errors.Is(err, objectstore.ErrUnauthorized) {
				t.Errorf("%s: %s: %v", reason, call, err)
			}
		}
	}
	for _, r := range []struct{ method, path, ctype string }{
		{"GET", "/", ""}, {"GET", "/slipway/k", ""}, {"GET", "/slipway/../slipway/k", ""}, {"PUT", "/other", ""}, {"DELETE", "/slipway/k", ""},
		{"POST", "/slipway", "multipart/form-data; boundary=x"}, {"OPTIONS", "/slipway/k", ""}, {"POST", "/slipway?delete", ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), r.method, "http://"+srv.Endpoint()+r.path, strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", r.ctype)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode < 400 {
			t.Errorf("%s %s without a signature: %d", r.method, r.path, resp.StatusCode)
		}
	}
	if got := get(t, s, "k"); got != "secret" {
		t.Errorf("k = %q", got)
	}
}

// noise is a reader of random bytes that are the same every time.
func noise(n int64) io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{1}), n) }

func TestBigObjectNeedsLittleMemory(t *testing.T) {
	const size = 200 << 20
	s, _, _ := start(t, t.TempDir())
	want := sha256.New()
	if _, err := io.Copy(want, noise(size)); err != nil {
		t.Fatal(err)
	}
	for reason, length := range map[string]int64{"length known": size, "length not known": -1} {
		t.Run(reason, func(t *testing.T) {
			peak := watchHeap(t)
			key := "big/" + strings.ReplaceAll(reason, " ", "-")
			if err := s.Put(t.Context(), key, noise(size), length, ""); err != nil {
				t.Fatal(err)
			}
			r, info, err := s.Get(t.Context(), key)
			if err != nil || info.Size != size {
				t.Fatalf("%+v, %v", info, err)
			}
			defer func() { _ = r.Close() }()
			got := sha256.New()
			if _, err := io.Copy(got, r); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
				t.Error("the content differs")
			}
			if p := peak(); p > 80<<20 {
				t.Errorf("the heap grew by %d MiB for client and server together", p>>20)
			} else {
				t.Logf("the heap grew by %d MiB for client and server together", p>>20)
			}
		})
	}
}

// watchHeap returns a function that tells by how many bytes the heap grew at most since the call.
func watchHeap(t *testing.T) func() uint64 {
	t.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	base, peak := m.HeapInuse, m.HeapInuse
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapInuse)
			}
		}
	}()
	return func() uint64 {
		close(stop)
		<-done
		return peak - base
	}
}

func TestCutUploadLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s, _, _ := start(t, dir)
	put(t, s, "k", "old")
	for reason, size := range map[string]int64{"single": 1 << 20, "multipart": 40 << 20} {
		broken := io.MultiReader(noise(size/2), &failing{})
		if err := s.Put(t.Context(), "k", broken, size, ""); err == nil {
			t.Errorf("%s: a cut upload succeeded", reason)
		}
		if got := get(t, s, "k"); got != "old" {
			t.Errorf("%s: %d bytes, want the old object", reason, len(got))
		}
	}
	if n := files(t, filepath.Join(dir, "blobs")); n != 1 {
		t.Errorf("%d blobs, want 1", n)
	}
}

type failing struct{}

func (*failing) Read([]byte) (int, error) { return 0, errors.New("the disk of the sender broke") }

func files(t *testing.T, dir string) int {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRestart(t *testing.T) {
	dir := t.TempDir()
	s, srv, stop := start(t, dir)
	put(t, s, "a/b", "kept")
	access, secret := srv.Keys()
	if _, err := embedded.New(t.Context(), embedded.Config{Dir: t.TempDir(), Address: srv.Endpoint()}); err == nil {
		t.Error("two servers listen on one port")
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	// What a crash may leave.
	orphan := filepath.Join(dir, "blobs", "00", "00000000-0000-0000-0000-000000000000")
	if err := os.MkdirAll(filepath.Dir(orphan), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{orphan, orphan + ".part", filepath.Join(dir, "uploads", "x")} {
		if err := os.WriteFile(f, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, srv, _ = start(t, dir)
	if a, b := srv.Keys(); a != access || b != secret {
		t.Error("the keys changed")
	}
	if got := get(t, s, "a/b"); got != "kept" {
		t.Errorf("a/b = %q", got)
	}
	if n := files(t, filepath.Join(dir, "blobs")) + files(t, filepath.Join(dir, "uploads")); n != 1 {
		t.Errorf("%d files, want the one that is used", n)
	}
	info, err := os.Stat(filepath.Join(dir, "keys"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("keys: %v, %v", info, err)
	}
}

func TestKeysFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "keys"), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := embedded.New(t.Context(), embedded.Config{Dir: dir, Address: "127.0.0.1:0"}); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("err = %v", err)
	}
	if _, err := embedded.New(t.Context(), embedded.Config{Dir: dir, Address: "127.0.0.1:0", AccessKey: "abc", SecretKey: "short"}); err == nil {
		t.Error("a short secret was taken")
	}
	if _, err := embedded.New(t.Context(), embedded.Config{Address: "127.0.0.1:0"}); err == nil {
		t.Error("no folder was taken")
	}
}

const crashEnv = "OBJECTSTORE_CRASH_DIR"

// TestMain is also the server that TestKill kills.
func TestMain(m *testing.M) {
	dir := os.Getenv(crashEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	srv, err := embedded.New(context.Background(), embedded.Config{Dir: dir, Address: "127.0.0.1:0", Buckets: []string{objectstore.DefaultBucket}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(srv.Endpoint())
	fmt.Fprintln(os.Stderr, srv.Serve(context.Background()))
}

// TestKill kills the server in the middle of writes: what was acknowledged is there, and everything that is there is whole.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	acknowledged := map[string]string{}
	for round := range 5 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), crashEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var endpoint string
		if _, err := fmt.Fscanln(out, &endpoint); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, "keys"))
		if err != nil {
			t.Fatal(err)
		}
		access, secret, _ := strings.Cut(strings.TrimSpace(string(data)), ":")
		s := client(t, endpoint, access, secret)
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		var wg sync.WaitGroup
		enough := make(chan struct{}, 1000)
		for w := range 4 {
			wg.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					key := fmt.Sprintf("w%d/%d", w, i%7)
					value := fmt.Sprintf("%d-%d-%d-%s", round, w, i, strings.Repeat("x", i*1000))
					if s.Put(ctx, key, strings.NewReader(value), int64(len(value)), "") != nil {
						mu.Lock()
						delete(acknowledged, key) // may be either
						mu.Unlock()
						return
					}
					mu.Lock()
					acknowledged[key] = value
					mu.Unlock()
					enough <- struct{}{}
				}
			})
		}
		for range 30 + 10*round {
			<-enough
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		cancel()
		wg.Wait()
		_ = cmd.Wait()
		check(t, dir, acknowledged)
	}
}

func check(t *testing.T, dir string, acknowledged map[string]string) {
	t.Helper()
	s, _, stop := start(t, dir)
	for k, v := range acknowledged {
		if got := get(t, s, k); got != v {
			t.Errorf("%s = %.20q (%d bytes), acknowledged was %.20q (%d bytes)", k, got, len(got), v, len(v))
		}
	}
	list, err := s.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range list {
		if got := get(t, s, o.Key); int64(len(got)) != o.Size {
			t.Errorf("%s has %d bytes, want %d", o.Key, len(got), o.Size)
		}
	}
	if n := files(t, filepath.Join(dir, "blobs")); n != len(list) {
		t.Errorf("%d blobs for %d objects", n, len(list))
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
