// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// secretDir makes a folder like a mounted Secret: files are links into ..data, which is a link that
// is replaced by a rename.
func secretDir(tb testing.TB, content map[string]string) string {
	tb.Helper()
	dir := tb.TempDir()
	swapSecret(tb, dir, content)
	return dir
}

var secretVersion int

func swapSecret(tb testing.TB, dir string, content map[string]string) {
	tb.Helper()
	secretVersion++
	name := fmt.Sprintf("..v%d", secretVersion)
	for file, text := range content {
		writeFile(tb, filepath.Join(dir, name, file), text, 0o644)
		link := filepath.Join(dir, file)
		if _, err := os.Lstat(link); err != nil {
			if err := os.Symlink(filepath.Join("..data", file), link); err != nil {
				tb.Fatal(err)
			}
		}
	}
	old, _ := os.Readlink(filepath.Join(dir, "..data"))
	if err := os.Symlink(name, filepath.Join(dir, "..data_tmp")); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
		tb.Fatal(err)
	}
	if old != "" {
		_ = os.RemoveAll(filepath.Join(dir, old))
	}
}

// sshKey makes a key pair with OpenSSH and returns the private file and the public line.
func sshKey(tb testing.TB) (file, public string) {
	tb.Helper()
	file = filepath.Join(tb.TempDir(), "id")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "测试 key", "-f", file).CombinedOutput(); err != nil {
		tb.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	return file, readFile(tb, file+".pub")
}

func initArgs(rest ...string) []string {
	return append([]string{"init", "--work-dir", ""}, rest...)
}

func TestInitReapsOrphans(t *testing.T) {
	// 200 grandchildren lose their parent and end; a PID 1 that does not reap keeps 200 zombies.
	script := `i=0; while [ $i -lt 200 ]; do ( sh -c 'sleep 0.05 & exit 0' ) ; i=$((i+1)); done; echo spawned; exec tail -f /dev/null`
	c := startContainer(t, containerOptions{args: initArgs("--", "/bin/sh", "-c", script)})
	c.waitOutput("spawned")
	eventually(t, "only init and tail are left, no zombie", func() bool {
		procs := c.processes()
		for _, state := range procs {
			if state == "Z" {
				return false
			}
		}
		return len(procs) == 2
	})
	c.signal(syscall.SIGTERM)
	if code := c.wait(); code != 143 {
		t.Errorf("exit code %d, want 143", code)
	}
	if got := c.termination(); got != "" {
		t.Errorf("a stop is no failure, but the termination log has %q", got)
	}
}

func TestInitExitCodes(t *testing.T) {
	cases := map[string]struct {
		reason  string
		args    []string
		code    int
		message string
	}{
		"code":           {"the child's code", []string{"/bin/sh", "-c", "exit 7"}, 7, "SLIPWAY-INIT CommandFailed: "},
		"killed":         {"128 + KILL", []string{"/bin/sh", "-c", "kill -9 $$"}, 137, "SLIPWAY-INIT CommandFailed: "},
		"zero":           {"says why the container restarts", []string{"/bin/true"}, 0, "SLIPWAY-INIT CommandEnded: "},
		"not found":      {"", []string{"no-such-program", "x"}, 127, "SLIPWAY-INIT CommandNotFound: no-such-program: the image does not have"},
		"not executable": {"", []string{"/etc/passwd"}, 126, "SLIPWAY-INIT CommandNotExecutable: "},
		"fails, daemon":  {"a failure is not hidden by what it left", []string{"/bin/sh", "-c", "sleep 1000 & exit 3"}, 3, "CommandFailed"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := startContainer(t, containerOptions{args: initArgs(append([]string{"--"}, tc.args...)...)})
			if code := c.wait(); code != tc.code {
				t.Errorf("%s: exit code %d, want %d", tc.reason, code, tc.code)
			}
			got := c.termination()
			if !strings.Contains(got, tc.message) || strings.Count(got, "\n") != 1 {
				t.Errorf("termination message %q, want one line with %q", got, tc.message)
			}
		})
	}
}

func TestInitBadSetUp(t *testing.T) {
	cases := map[string]struct {
		args []string
		want string
	}{
		"user":     {[]string{"init", "--work-dir", "", "--user", "nobody-there", "--", "true"}, "SLIPWAY-INIT UserNotFound: "},
		"keys dir": {[]string{"init", "--work-dir", "", "--keys-dir", "/no/such", "--", "true"}, "SLIPWAY-INIT KeysMissing: "},
		"work dir": {[]string{"init", "--work-dir", "/proc/x", "--", "true"}, "SLIPWAY-INIT WorkDir: "},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := startContainer(t, containerOptions{args: tc.args})
			if code := c.wait(); code != 78 {
				t.Errorf("exit code %d, want 78", code)
			}
			if got := c.termination(); !strings.HasPrefix(got, tc.want) {
				t.Errorf("termination message %q, want %q", got, tc.want)
			}
		})
	}
}

func TestInitForwardsSignals(t *testing.T) {
	script := `trap 'echo got-usr1' USR1; trap 'echo got-hup' HUP; trap 'echo got-term; exit 5' TERM; echo ready; while :; do sleep 0.05; done`
	c := startContainer(t, containerOptions{args: initArgs("--", "/bin/sh", "-c", script)})
	c.waitOutput("ready")
	c.signal(syscall.SIGUSR1)
	c.waitOutput("got-usr1")
	c.signal(syscall.SIGHUP)
	c.waitOutput("got-hup")
	c.signal(syscall.SIGTERM)
	c.waitOutput("got-term")
	if code := c.wait(); code != 5 {
		t.Errorf("exit code %d, want the 5 of the trap", code)
	}
}

func TestInitKillsAfterGrace(t *testing.T) {
	c := startContainer(t, containerOptions{args: initArgs("--grace", "300ms", "--", "/bin/sh", "-c",
		`trap '' TERM; setsid sh -c 'trap "" TERM; echo ready; while :; do sleep 0.05; done' & wait`)})
	c.waitOutput("ready")
	start := time.Now()
	c.signal(syscall.SIGTERM)
	if code := c.wait(); code != 137 {
		t.Errorf("exit code %d, want 137", code)
	}
	if d := time.Since(start); d < 300*time.Millisecond || d > 5*time.Second {
		t.Errorf("took %s", d)
	}
}

func TestInitStaysForDaemons(t *testing.T) {
	// "service ssh restart" as the whole command: it ends with 0 and leaves a daemon.
	c := startContainer(t, containerOptions{args: initArgs("--", "/bin/sh", "-c",
		`setsid sh -c 'while :; do sleep 0.05; done' </dev/null >/dev/null 2>&1 & exit 0`)})
	c.waitOutput("staying until they have ended")
	if got := len(c.processes()); got < 2 {
		t.Errorf("%d processes, want init and the daemon", got)
	}
	c.signal(syscall.SIGTERM)
	if code := c.wait(); code != 0 {
		t.Errorf("exit code %d, want the command's 0", code)
	}
}

func TestInitInstallsAndRotatesKeys(t *testing.T) {
	_, pub1 := sshKey(t)
	_, pub2 := sshKey(t)
	_, foreign := sshKey(t)
	secret := map[string]string{
		"authorized_keys":          pub1 + "command=\"evil\" " + pub2 + "garbage\n",
		"ssh_host_ed25519_key":     "PRIVATE-ed",
		"ssh_host_ed25519_key.pub": "PUBLIC-ed",
	}
	keys := secretDir(t, secret)
	c := startContainer(t, containerOptions{
		args: initArgs("--keys-dir", keys, "--", "/bin/sh", "-c", "echo up; exec tail -f /dev/null"),
		prepare: func(c *container) {
			writeFile(t, filepath.Join(c.home, ".ssh/authorized_keys"), "# mine\n"+strings.TrimSuffix(foreign, "\n"), 0o666)
			writeFile(t, filepath.Join(c.etcSSH, "ssh_host_rsa_key"), "baked into the image", 0o600)
			writeFile(t, filepath.Join(c.etcSSH, "ssh_host_rsa_key.pub"), "baked into the image", 0o644)
			writeFile(t, filepath.Join(c.etcSSH, "sshd_config"), "Port 22\n", 0o644)
			if err := os.Chmod(c.home, 0o777); err != nil {
				t.Fatal(err)
			}
		},
	})
	c.waitOutput("up")
	file := filepath.Join(c.home, ".ssh/authorized_keys")
	got := readFile(t, file)
	for _, want := range []string{"# mine\n", foreign, pub1} {
		if !strings.Contains(got, want) {
			t.Errorf("authorized_keys lacks %q:\n%s", want, got)
		}
	}
	for _, bad := range []string{"evil", "garbage"} {
		if strings.Contains(got, bad) {
			t.Errorf("authorized_keys has %q:\n%s", bad, got)
		}
	}
	for path, mode := range map[string]os.FileMode{
		file: 0o600, filepath.Dir(file): 0o700, c.home: 0o755,
		filepath.Join(c.etcSSH, "ssh_host_ed25519_key"):     0o600,
		filepath.Join(c.etcSSH, "ssh_host_ed25519_key.pub"): 0o644,
	} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), mode)
		}
	}
	if _, err := os.Stat(filepath.Join(c.etcSSH, "ssh_host_rsa_key")); err == nil {
		t.Error("the host key of the image is still there")
	}
	if _, err := os.Stat(filepath.Join(c.etcSSH, "sshd_config")); err != nil {
		t.Error("the image's sshd_config is gone")
	}

	// Rotate: the new key comes, the old one goes, foreign lines stay. Several swaps in a row.
	for range 3 {
		secret["authorized_keys"] = pub2
		swapSecret(t, keys, secret)
		eventually(t, "the second key is installed", func() bool {
			got := readFile(t, file)
			return strings.Contains(got, pub2) && !strings.Contains(got, pub1) && strings.Contains(got, foreign)
		})
		secret["authorized_keys"] = pub1
		swapSecret(t, keys, secret)
		eventually(t, "the first key is back", func() bool {
			got := readFile(t, file)
			return strings.Contains(got, pub1) && !strings.Contains(got, pub2) && strings.Contains(got, foreign)
		})
	}
	if n := strings.Count(readFile(t, file), "# BEGIN slipway"); n != 1 {
		t.Errorf("%d managed blocks, want 1", n)
	}
	// No keys any more.
	delete(secret, "authorized_keys")
	swapSecret(t, keys, secret)
	eventually(t, "no managed key is left", func() bool {
		got := readFile(t, file)
		return !strings.Contains(got, pub1) && strings.Contains(got, foreign)
	})
}
