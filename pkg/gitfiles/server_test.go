// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitfiles

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
)

const (
	testUser     = "user"
	testPassword = "pa55w/rd"
)

// server is a git server with one bare repository.
type server struct {
	t       *testing.T
	bare    string
	url     string
	handler http.Handler
	// before is called ahead of every request with its path and query.
	before atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool]
}

// run runs git in the bare repository or a work tree.
func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=Dev", "-c", "user.email=dev@example.invalid"}, args...)...)
	command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// newServer serves an empty repository as git itself does.
func newServer(t *testing.T) *server {
	t.Helper()
	bin, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is not installed: nothing serves repositories")
	}
	root := t.TempDir()
	s := &server{t: t, bare: filepath.Join(root, "repo.git")}
	if err := os.Mkdir(s.bare, 0o700); err != nil {
		t.Fatal(err)
	}
	run(t, s.bare, "init", "--quiet", "--bare", "--initial-branch=main")
	run(t, s.bare, "config", "http.receivepack", "true")
	run(t, s.bare, "config", "uploadpack.allowFilter", "true")
	backend := &cgi.Handler{Path: bin, Args: []string{"http-backend"}, Stderr: io.Discard, Env: []string{
		"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=" + testUser, "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
	}}
	s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if before := s.before.Load(); before != nil && (*before)(w, r) {
			return
		}
		if u, p, _ := r.BasicAuth(); u != testUser || p != testPassword {
			w.Header().Set("WWW-Authenticate", "Basic")
			http.Error(w, "a body that is not shown", http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	})
	web := httptest.NewServer(s.handler)
	t.Cleanup(web.Close)
	s.url = web.URL + "/repo.git"
	return s
}

// commit puts files on a branch and gives the commit; a nil content deletes, a content that begins with "link:"
// is a symbolic link.
func (s *server) commit(branch string, files map[string]string, args ...string) string {
	s.t.Helper()
	work := s.t.TempDir()
	run(s.t, work, "init", "--quiet", "--initial-branch=none")
	run(s.t, work, "remote", "add", "origin", s.bare)
	run(s.t, work, "fetch", "--quiet", "origin")
	if run(s.t, work, "branch", "--remotes", "--list", "origin/"+branch) != "" {
		run(s.t, work, "checkout", "--quiet", "-b", branch, "origin/"+branch)
	} else {
		run(s.t, work, "checkout", "--quiet", "--orphan", branch)
	}
	for name, content := range files {
		full := filepath.Join(work, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			s.t.Fatal(err)
		}
		var err error
		if target, link := strings.CutPrefix(content, "link:"); link {
			err = os.Symlink(target, full)
		} else {
			err = os.WriteFile(full, []byte(content), 0o600)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	run(s.t, work, "add", "--all")
	run(s.t, work, append([]string{"commit", "--quiet", "--allow-empty", "--message", "change of " + branch}, args...)...)
	run(s.t, work, "push", "--quiet", "origin", branch)
	return run(s.t, work, "rev-parse", "HEAD")
}

// show gives a file of a branch as the server has it.
func (s *server) show(branch, name string) string {
	s.t.Helper()
	return run(s.t, s.bare, "show", branch+":"+name)
}

func (s *server) intercept(f func(w http.ResponseWriter, r *http.Request) bool) {
	if f == nil {
		s.before.Store(nil)
		return
	}
	s.before.Store(&f)
}

func (s *server) target() Target {
	return Target{Key: "ns/repo", URL: s.url, Credential: Credential{Username: testUser, Password: testPassword}}
}

func newCache(t *testing.T, change func(*Options)) *Cache {
	t.Helper()
	o := Options{Dir: t.TempDir(), AllowLocal: true, Timeout: 30 * time.Second}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func open(t *testing.T, c *Cache, target Target) *Repository {
	t.Helper()
	r, err := c.Open(target)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// sshServer serves the bare repository over SSH to one key, and gives its address, that key in PEM format and the
// line of its own key.
func (s *server) ssh() (address string, key []byte, known string) {
	s.t.Helper()
	_, hostKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	host, err := ssh.NewSignerFromKey(hostKey)
	if err != nil {
		s.t.Fatal(err)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		s.t.Fatal(err)
	}
	allowed, err := ssh.NewPublicKey(public)
	if err != nil {
		s.t.Fatal(err)
	}
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(allowed.Marshal()) {
			return nil, errors.New("not this key")
		}
		return nil, nil
	}}
	config.AddHostKey(host)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serveSSH(conn, config)
		}
	}()
	return "ssh://git@" + listener.Addr().String() + s.bare, pem.EncodeToMemory(block), knownhosts.Line([]string{listener.Addr().String()}, host.PublicKey())
}

func (s *server) serveSSH(conn net.Conn, config *ssh.ServerConfig) {
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		_ = conn.Close()
		return
	}
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		go func() {
			for req := range requests {
				if req.Type != "exec" {
					_ = req.Reply(false, nil)
					continue
				}
				_ = req.Reply(true, nil)
				line := string(req.Payload[4 : 4+binary.BigEndian.Uint32(req.Payload)])
				name, path, _ := strings.Cut(line, " ")
				command := exec.Command("git", strings.TrimPrefix(name, "git-"), strings.Trim(path, "'"))
				command.Stdout, command.Stderr = channel, channel.Stderr()
				in, err := command.StdinPipe()
				if err == nil {
					err = command.Start()
				}
				if err == nil {
					go func() { _, _ = io.Copy(in, channel); _ = in.Close() }()
					err = command.Wait()
				}
				code := make([]byte, 4)
				if err != nil {
					code[3] = 1
				}
				_, _ = channel.SendRequest("exit-status", false, code)
				_ = channel.Close()
			}
		}()
	}
}

// TestHugeGreeting: a server cannot fill the memory with names of branches.
func TestHugeGreeting(t *testing.T) {
	packet := func(text string) []byte { return fmt.Appendf(nil, "%04x%s", len(text)+4, text) }
	commit := strings.Repeat("a", 40)
	line := packet(commit + " refs/heads/other\n")
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		_, _ = io.WriteString(w, "001e# service=git-upload-pack\n0000")
		_, _ = w.Write(packet(commit + " refs/heads/main\x00ofs-delta\n"))
		for range maxGreeting/len(line) + 1000 {
			if _, err := w.Write(line); err != nil {
				return
			}
		}
		_, _ = io.WriteString(w, "0000")
	}))
	defer web.Close()
	c, err := New(Options{Dir: t.TempDir(), AllowLocal: true})
	if err != nil {
		t.Fatal(err)
	}
	repo, err := c.Open(Target{Key: "ns/uid", URL: web.URL + "/r.git"})
	if err != nil {
		t.Fatal(err)
	}
	if err := repo.Check(t.Context()); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

// TestBrokenPack: what a server sends that cannot be used is not kept.
func TestBrokenPack(t *testing.T) {
	s := newServer(t)
	s.commit("main", map[string]string{"a": "one"})
	dir := t.TempDir()
	c, err := New(Options{Dir: dir, AllowLocal: true})
	if err != nil {
		t.Fatal(err)
	}
	broken := func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "git-upload-pack") {
			return false
		}
		recorder := httptest.NewRecorder()
		s.before.Store(nil)
		s.handler.ServeHTTP(recorder, r)
		body := recorder.Body.Bytes()
		body[len(body)-1] ^= 1 // the checksum of the pack
		_, _ = w.Write(body)
		return true
	}
	repo, err := c.Open(Target{Key: "ns/uid", URL: s.url, Credential: Credential{Username: testUser, Password: testPassword}})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s.before.Store(&broken)
		if err := repo.Pull(t.Context(), "main"); err == nil {
			t.Fatal("a pack with a wrong checksum was taken")
		}
		if n, err := sizeOf(dir); err != nil || n > 200 {
			t.Errorf("%d bytes are left, %v", n, err)
		}
	}
	s.before.Store(nil)
	if err := repo.Pull(t.Context(), "main"); err != nil {
		t.Errorf("what the server sends now: %v", err)
	}
}
