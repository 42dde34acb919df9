// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/slipway-dev/slipway/pkg/sshkeys"
)

// sshHost is a dev container with an SSH server and a client's files.
type sshHost struct {
	*container
	port    int
	key     string
	known   string
	keys    string // the Secret's folder
	secret  map[string]string
	workDir string
}

// newHostSecret makes host keys and one user key.
func newHostSecret(tb testing.TB) (h *sshHost) {
	tb.Helper()
	h = &sshHost{port: freePort(tb), secret: map[string]string{}, workDir: filepath.Join(tb.TempDir(), "wörk dir's")}
	made, err := sshkeys.GenerateHostKeys()
	if err != nil {
		tb.Fatal(err)
	}
	var known strings.Builder
	for _, k := range made {
		h.secret[k.PrivateFile()], h.secret[k.PublicFile()] = string(k.Private), string(k.Public)
		fmt.Fprintf(&known, "[127.0.0.1]:%d %s", h.port, k.Public)
	}
	h.known = filepath.Join(tb.TempDir(), "known_hosts")
	writeFile(tb, h.known, known.String(), 0o600)
	var pub string
	h.key, pub = sshKey(tb)
	h.secret["authorized_keys"] = pub
	h.keys = secretDir(tb, h.secret)
	return h
}

// builtin starts a dev container with the built-in SSH server.
func builtin(tb testing.TB, opts containerOptions) *sshHost {
	tb.Helper()
	h := newHostSecret(tb)
	opts.args = []string{"init", "--keys-dir", h.keys, "--work-dir", h.workDir, "--", binary, "sshd",
		"--keys-dir", h.keys, "--work-dir", h.workDir, "--port", strconv.Itoa(h.port)}
	h.container = startContainer(tb, opts)
	h.waitPort()
	return h
}

func (h *sshHost) waitPort() {
	h.t.Helper()
	eventually(h.t, "the SSH server listens", func() bool {
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(h.port)))
		if err != nil {
			return false
		}
		_ = c.Close()
		return true
	})
}

// options are those of ssh and sftp; the host key is always checked.
func (h *sshHost) options(key string) []string {
	return []string{
		"-F", "none", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes",
		"-o", "UserKnownHostsFile=" + h.known, "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "LogLevel=ERROR",
	}
}

func (h *sshHost) ssh(args ...string) *exec.Cmd { return h.sshWith(h.key, "root", args...) }

func (h *sshHost) sshWith(key, user string, args ...string) *exec.Cmd {
	all := append(h.options(key), "-p", strconv.Itoa(h.port), user+"@127.0.0.1")
	return exec.Command("ssh", append(all, args...)...)
}

func TestSSHCommands(t *testing.T) {
	h := builtin(t, containerOptions{env: []string{"JENKINS_SECRET=s3cret", "SLIPWAY_X=y"}})
	cases := map[string]struct {
		args           []string
		stdin          string
		code           int
		stdout, stderr string
	}{
		"output":       {[]string{"echo out; echo err >&2"}, "", 0, "out\n", "err\n"},
		"exit code":    {[]string{"exit 42"}, "", 42, "", ""},
		"signal":       {[]string{"kill -TERM $$"}, "", 255, "", ""},
		"stdin":        {[]string{"cat; echo end"}, "línea 世界\n", 0, "línea 世界\nend\n", ""},
		"home":         {[]string{"pwd"}, "", 0, "/root\n", ""},
		"login env":    {[]string{`echo $USER $LOGNAME $HOME ${SSH_CONNECTION%% *}`}, "", 0, "root root /root 127.0.0.1\n", ""},
		"image env":    {[]string{`echo $FROM_IMAGE`}, "", 0, "yes\n", ""},
		"no secrets":   {[]string{`env | grep -c -e JENKINS_SECRET -e SLIPWAY_`}, "", 1, "0\n", ""},
		"client env":   {[]string{"-o", "SetEnv=MY_VAR=a=b", "echo $MY_VAR"}, "", 0, "a=b\n", ""},
		"no tty":       {[]string{"tty"}, "", 1, "not a tty\n", ""},
		"quoting":      {[]string{`printf '%s|' "a b" 'c"d' \$e`}, "", 0, `a b|c"d|$e|`, ""},
		"not found":    {[]string{"no-such-command-x 2>/dev/null"}, "", 127, "", ""},
		"half close":   {[]string{"wc -c"}, strings.Repeat("x", 300_000), 0, "300000\n", ""},
		"long command": {[]string{"echo " + strings.Repeat("y", 20_000) + " | wc -c"}, "", 0, "20001\n", ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			// Options come before the host.
			cmd := h.ssh(tc.args[len(tc.args)-1])
			cmd.Args = append(append([]string{"ssh"}, tc.args[:len(tc.args)-1]...), cmd.Args[1:]...)
			cmd.Stdin = strings.NewReader(tc.stdin)
			got := runCmd(t, cmd)
			if got.code != tc.code || got.stdout != tc.stdout || tc.stderr != "" && got.stderr != tc.stderr {
				t.Errorf("got %+v, want code %d, stdout %q", got, tc.code, tc.stdout)
			}
		})
	}
}

func TestSSHLargeOutputIsExact(t *testing.T) {
	h := builtin(t, containerOptions{})
	var want, got [32]byte
	cmd := h.ssh("head -c 30000000 /dev/zero | tr '\\0' 'a'")
	sum := sha256.New()
	cmd.Stdout = sum
	if r := runCmd(t, cmd); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	want = sha256.Sum256(bytes.Repeat([]byte("a"), 30_000_000))
	copy(got[:], sum.Sum(nil))
	if got != want {
		t.Error("30 MB came back changed")
	}
}

func TestSSHAuthentication(t *testing.T) {
	h := builtin(t, containerOptions{})
	other, otherPub := sshKey(t)
	denied := func(what string, cmd *exec.Cmd) {
		t.Helper()
		if r := runCmd(t, cmd); r.code != 255 || !strings.Contains(r.stderr, "Permission denied (publickey)") {
			t.Errorf("%s: got %+v, want a refusal that offers public keys only", what, r)
		}
	}
	denied("unknown key", h.sshWith(other, "root", "true"))
	denied("other user name", h.sshWith(h.key, "nobody", "true"))

	// A key of a line with options must not get in: the options would not hold here.
	file := filepath.Join(h.home, ".ssh/authorized_keys")
	writeFile(t, file, readFile(t, file)+"command=\"/bin/false\" "+otherPub, 0o600)
	denied("key with options", h.sshWith(other, "root", "true"))

	// Rotation reaches the server without a restart.
	h.secret["authorized_keys"] = otherPub
	swapSecret(t, h.keys, h.secret)
	eventually(t, "the new key logs in", func() bool { return runCmd(t, h.sshWith(other, "root", "true")).code == 0 })
	denied("rotated key", h.ssh("true"))
	if strings.Contains(h.out.String(), strings.Fields(otherPub)[1]) {
		t.Error("a key is in the log")
	}
}

// onTerminal runs ssh -tt on a terminal of this test.
func onTerminal(t *testing.T, cmd *exec.Cmd, size *pty.Winsize) (*os.File, *output) {
	t.Helper()
	f, err := pty.StartWithSize(cmd, size)
	if err != nil {
		t.Fatal(err)
	}
	out := &output{}
	go func() { _, _ = io.Copy(out, f) }()
	t.Cleanup(func() {
		_ = f.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return f, out
}

func TestSSHTerminal(t *testing.T) {
	h := builtin(t, containerOptions{})
	cmd := h.ssh()
	cmd.Args = append([]string{"ssh", "-tt"}, cmd.Args[1:]...)
	cmd.Env = append(os.Environ(), "TERM=xterm-256color")
	f, out := onTerminal(t, cmd, &pty.Winsize{Rows: 33, Cols: 111})
	say := func(s string) {
		if _, err := f.WriteString(s); err != nil {
			t.Fatal(err)
		}
	}
	has := func(s string) func() bool { return func() bool { return strings.Contains(out.String(), s) } }
	say("echo s:$(stty size) t:$TERM d:$(pwd) y:${SSH_TTY%/*}\n")
	eventually(t, "size, TERM and work dir", has("s:33 111 t:xterm-256color d:"+h.workDir+" y:/dev/pts"))

	if err := pty.Setsize(f, &pty.Winsize{Rows: 44, Cols: 155}); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGWINCH); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new size arrives", func() bool {
		say("echo n:$(stty size)\n")
		time.Sleep(50 * time.Millisecond)
		return has("n:44 155")()
	})
	// A bare LF of a raw terminal must stay one: full-screen programs move the cursor with it.
	say("stty -opost; printf 'R<\\n>R'; stty opost\n")
	eventually(t, "a raw LF", has("R<\n>R"))
	// Ctrl-C reaches the foreground program only.
	say("sleep 1000\n")
	time.Sleep(200 * time.Millisecond)
	say("\x03")
	say("echo after-$((1+1))\n")
	eventually(t, "the shell survives Ctrl-C", has("after-2"))
	say("exit 9\n")
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("ssh did not end")
	}
	if code := cmd.ProcessState.ExitCode(); code != 9 {
		t.Errorf("exit code %d, want 9", code)
	}
}

func TestSSHHangUpEndsProcesses(t *testing.T) {
	h := builtin(t, containerOptions{})
	before := len(h.processes())
	for name, flag := range map[string]string{"terminal": "-tt", "pipes": "-T"} {
		cmd := h.ssh("echo up; sleep 1000; true")
		cmd.Args = append([]string{"ssh", flag}, cmd.Args[1:]...)
		out := &output{}
		cmd.Stdout = out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the command runs", func() bool { return strings.Contains(out.String(), "up") })
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		eventually(t, "nothing is left of the session with "+name, func() bool { return len(h.processes()) == before })
	}
}

func TestSFTP(t *testing.T) {
	h := builtin(t, containerOptions{})
	dir := t.TempDir()
	content := strings.Repeat("数据\x00\xff", 100_000)
	writeFile(t, filepath.Join(dir, "src ü"), content, 0o640)
	batch := fmt.Sprintf("pwd\nmkdir sub\nput -p \"%s\" \"sub/däta\"\nget \"sub/däta\" \"%s\"\nls -l sub\nrename \"sub/däta\" sub/b\nrm sub/b\nrmdir sub\n",
		filepath.Join(dir, "src ü"), filepath.Join(dir, "back"))
	cmd := exec.Command("sftp", append(h.options(h.key), "-P", strconv.Itoa(h.port), "-b", "-", "root@127.0.0.1")...)
	cmd.Stdin = strings.NewReader(batch)
	r := runCmd(t, cmd)
	if r.code != 0 || !strings.Contains(r.stdout, "Remote working directory: /root") {
		t.Fatalf("sftp: %+v", r)
	}
	if readFile(t, filepath.Join(dir, "back")) != content {
		t.Error("the file came back changed")
	}
	// scp of OpenSSH 9 speaks sftp as well.
	scp := exec.Command("scp", append(h.options(h.key), "-P", strconv.Itoa(h.port), filepath.Join(dir, "back"), "root@127.0.0.1:copied")...)
	if r := runCmd(t, scp); r.code != 0 {
		t.Fatalf("scp: %+v", r)
	}
	if readFile(t, filepath.Join(h.home, "copied")) != content {
		t.Error("scp changed the file")
	}
}

func TestSSHPortForwarding(t *testing.T) {
	h := builtin(t, containerOptions{})
	// A service that answers only after its client has closed its sending side.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				data, _ := io.ReadAll(c)
				_, _ = fmt.Fprintf(c, "got %d", len(data))
				_ = c.Close()
			}()
		}
	}()
	target := l.Addr().(*net.TCPAddr).Port
	good, bad := freePort(t), freePort(t)
	cmd := h.ssh()
	cmd.Args = append([]string{"ssh", "-N",
		"-L", fmt.Sprintf("127.0.0.1:%d:localhost:%d", good, target),
		"-L", fmt.Sprintf("127.0.0.1:%d:192.0.2.1:80", bad)}, cmd.Args[1:]...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	dial := func(port int) (c net.Conn) {
		eventually(t, "the forward listens", func() bool {
			var err error
			c, err = net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			return err == nil
		})
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		return c
	}
	c := dial(good)
	if _, err := c.Write(bytes.Repeat([]byte("x"), 1_000_000)); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if string(got) != "got 1000000" {
		t.Errorf("got %q, %v", got, err)
	}
	// Not into the cluster's network.
	got, _ = io.ReadAll(dial(bad))
	if len(got) != 0 {
		t.Errorf("got %q through a forward to another host", got)
	}
	// Remote forwarding is refused.
	rev := h.ssh("true")
	rev.Args = append([]string{"ssh", "-o", "ExitOnForwardFailure=yes", "-R", "0:localhost:1"}, rev.Args[1:]...)
	if r := runCmd(t, rev); r.code == 0 {
		t.Error("remote forwarding was allowed")
	}
}

func TestSSHAgentForwarding(t *testing.T) {
	h := builtin(t, containerOptions{})
	sock := filepath.Join(t.TempDir(), "a")
	agent := exec.Command("ssh-agent", "-D", "-a", sock)
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = agent.Process.Kill(); _ = agent.Wait() })
	env := append(os.Environ(), "SSH_AUTH_SOCK="+sock)
	eventually(t, "the key is in the agent", func() bool {
		add := exec.Command("ssh-add", h.key)
		add.Env = env
		return add.Run() == nil
	})
	cmd := h.ssh("ssh-add -l; ls $(dirname $SSH_AUTH_SOCK)")
	cmd.Args = append([]string{"ssh", "-A"}, cmd.Args[1:]...)
	cmd.Env = env
	if r := runCmd(t, cmd); r.code != 0 || !strings.Contains(r.stdout, "ED25519") {
		t.Errorf("got %+v", r)
	}
}

func TestSSHManyConnections(t *testing.T) {
	h := builtin(t, containerOptions{})
	// Connections that never log in do not keep others out for ever.
	for range 20 {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", h.port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	codes := make(chan result, 10)
	for range 10 {
		go func() { codes <- runCmd(t, h.ssh("echo ok")) }()
	}
	for range 10 {
		if r := <-codes; r.code != 0 || r.stdout != "ok\n" {
			t.Errorf("got %+v", r)
		}
	}
}

// busybox is the path of a static busybox, the smallest image there is.
func busybox(tb testing.TB) string {
	tb.Helper()
	for _, p := range []string{os.Getenv("SLIPWAY_TEST_BUSYBOX"), "/bin/busybox"} {
		if p == "" {
			continue
		}
		if out, err := exec.Command(p, "sh", "-c", "echo ok").Output(); err == nil && string(out) == "ok\n" {
			return p
		}
	}
	tb.Skip("skipped: no static busybox: install busybox-static or set SLIPWAY_TEST_BUSYBOX")
	return ""
}

// inImage runs the built-in server as PID 1 in a root file system that has only what fill adds.
func inImage(tb testing.TB, fill func(root string)) *sshHost {
	tb.Helper()
	h := newHostSecret(tb)
	root := tb.TempDir()
	for _, d := range []string{"proc", "dev/pts", "tmp", "root", "keys", "opt"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	fill(root)
	data, err := os.ReadFile(binary)
	if err != nil {
		tb.Fatal(err)
	}
	writeFile(tb, filepath.Join(root, "opt/slipway-agent"), string(data), 0o755)
	h.container = startContainer(tb, containerOptions{
		preMount: strings.Join([]string{
			"mount -t proc proc " + root + "/proc", "mount -t devpts -o newinstance,ptmxmode=0666 devpts " + root + "/dev/pts",
			"ln -sf pts/ptmx " + root + "/dev/ptmx", ": > " + root + "/dev/null; mount --bind /dev/null " + root + "/dev/null",
			"mount --bind " + h.keys + " " + root + "/keys",
			fmt.Sprintf("exec chroot %s /opt/slipway-agent init --keys-dir /keys --work-dir /data --ssh-port %d", root, h.port),
		}, "\n"),
	})
	h.home = filepath.Join(root, "root")
	h.waitPort()
	return h
}

func TestSSHInBusyboxImage(t *testing.T) {
	bb := busybox(t)
	h := inImage(t, func(root string) {
		data, err := os.ReadFile(bb)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(root, "bin/busybox"), string(data), 0o755)
		for _, a := range []string{"sh", "echo", "pwd", "stty", "cat"} {
			if err := os.Symlink("busybox", filepath.Join(root, "bin", a)); err != nil {
				t.Fatal(err)
			}
		}
	})
	if r := runCmd(t, h.ssh("echo $0 $PWD; cat /proc/1/comm")); r.stdout != "sh /root\nslipway-agent\n" {
		t.Errorf("got %+v", r)
	}
	cmd := h.ssh()
	cmd.Args = append([]string{"ssh", "-tt"}, cmd.Args[1:]...)
	f, out := onTerminal(t, cmd, &pty.Winsize{Rows: 30, Cols: 90})
	if _, err := f.WriteString("echo w:$(pwd):$(stty size)\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a shell in the work dir", func() bool { return strings.Contains(out.String(), "w:/data:30 90") })
}

func TestSSHInScratchImage(t *testing.T) {
	h := inImage(t, func(string) {})
	r := runCmd(t, h.ssh("echo hi"))
	if r.code != 127 || !strings.Contains(r.stderr, "this image has no shell") {
		t.Errorf("got %+v", r)
	}
	cmd := exec.Command("sftp", append(h.options(h.key), "-P", strconv.Itoa(h.port), "-b", "-", "root@127.0.0.1")...)
	cmd.Stdin = strings.NewReader("put /etc/hostname x\nls\n")
	if r := runCmd(t, cmd); r.code != 0 || !strings.Contains(r.stdout, "\nx") {
		t.Errorf("sftp needs no shell, but: %+v", r)
	}
}

// TestSSHOfImage runs the OpenSSH server of an image under init, without a command.
func TestSSHOfImage(t *testing.T) {
	sshd := os.Getenv("SLIPWAY_TEST_SSHD")
	if sshd == "" {
		var err error
		if sshd, err = exec.LookPath("sshd"); err != nil {
			t.Skip("skipped: no OpenSSH server: install openssh-server or set SLIPWAY_TEST_SSHD to its sshd")
		}
	}
	h := newHostSecret(t)
	etc := t.TempDir()
	writeFile(t, filepath.Join(etc, "passwd"), readFile(t, "/etc/passwd")+"sshd:x:74:65534::/run/sshd:/usr/sbin/nologin\n", 0o644)
	var out *output
	h.container = startContainer(t, containerOptions{
		args:  []string{"init", "--keys-dir", h.keys, "--work-dir", h.workDir, "--ssh-port", strconv.Itoa(h.port)},
		env:   []string{"PATH=" + filepath.Dir(sshd) + ":" + os.Getenv("PATH"), "LD_LIBRARY_PATH=" + os.Getenv("SLIPWAY_TEST_SSHD_LIBS")},
		binds: map[string]string{"/etc/passwd": filepath.Join(etc, "passwd")},
		prepare: func(c *container) {
			out = c.out
			writeFile(t, filepath.Join(c.etcSSH, "sshd_config"), "UsePAM no\n", 0o644)
			writeFile(t, filepath.Join(c.etcSSH, "ssh_host_dsa_key"), "of the image", 0o600)
		},
	})
	h.waitPort()
	if !strings.Contains(out.String(), "the SSH server of the image") {
		t.Fatalf("another server runs:\n%s", out)
	}
	if r := runCmd(t, h.ssh("echo ok; exit 3")); r.stdout != "ok\n" || r.code != 3 {
		t.Errorf("got %+v", r)
	}
	cmd := h.ssh()
	cmd.Args = append([]string{"ssh", "-tt"}, cmd.Args[1:]...)
	f, tty := onTerminal(t, cmd, &pty.Winsize{Rows: 30, Cols: 90})
	if _, err := f.WriteString("echo d:$(pwd)\n"); err != nil {
		t.Fatal(err)
	}
	// The machine's /etc/profile reads /etc/profile.d, as that of every common image.
	eventually(t, "the login shell begins in the work dir", func() bool { return strings.Contains(tty.String(), "d:"+h.workDir) })

	other, otherPub := sshKey(t)
	h.secret["authorized_keys"] = otherPub
	swapSecret(t, h.keys, h.secret)
	eventually(t, "the rotated key logs in", func() bool { return runCmd(t, h.sshWith(other, "root", "true")).code == 0 })
	if r := runCmd(t, h.ssh("true")); r.code != 255 {
		t.Errorf("the old key still logs in: %+v", r)
	}
	h.signal(syscall.SIGTERM)
	if code := h.wait(); code != 0 && code != 255 && code != 143 {
		t.Errorf("exit code %d", code)
	}
}
