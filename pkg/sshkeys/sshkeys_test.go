// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package sshkeys

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	mrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
)

func TestGenerateHostKeys(t *testing.T) {
	keys, err := GenerateHostKeys()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	dir := t.TempDir()
	for _, k := range keys {
		got = append(got, k.PrivateFile(), k.PublicFile())
		if !strings.HasPrefix(string(k.Private), "-----BEGIN OPENSSH PRIVATE KEY-----\n") {
			t.Errorf("%s: not an OpenSSH private key", k.Algorithm)
		}
		file := filepath.Join(dir, k.PrivateFile())
		if err := os.WriteFile(file, k.Private, 0o600); err != nil {
			t.Fatal(err)
		}
		// OpenSSH itself must derive the same public key from the private one.
		out, err := exec.Command("ssh-keygen", "-y", "-P", "", "-f", file).CombinedOutput()
		if err != nil {
			t.Fatalf("ssh-keygen -y: %v: %s", err, out)
		}
		want := strings.Fields(string(k.Public))[:2]
		if diff := cmp.Diff(want, strings.Fields(string(out))[:2]); diff != "" {
			t.Errorf("%s: public key (-want +got):\n%s", k.Algorithm, diff)
		}
	}
	want := []string{
		"ssh_host_ed25519_key", "ssh_host_ed25519_key.pub",
		"ssh_host_rsa_key", "ssh_host_rsa_key.pub",
		"ssh_host_ecdsa_key", "ssh_host_ecdsa_key.pub",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestGenerateUserKeyPair(t *testing.T) {
	pair, err := GenerateUserKeyPair(2048)
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode([]byte(pair.PrivatePEM))
	if block == nil || block.Type != "RSA PRIVATE KEY" || len(rest) != 0 {
		t.Fatal("private key is not one RSA PRIVATE KEY block")
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if key.N.BitLen() != 2048 || pair.Bits != 2048 {
		t.Errorf("got %d bits, Bits %d", key.N.BitLen(), pair.Bits)
	}
	block, _ = pem.Decode([]byte(pair.PublicPEM))
	if block == nil || block.Type != "PUBLIC KEY" {
		t.Fatal("public key is not a PUBLIC KEY block")
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if !key.PublicKey.Equal(public) {
		t.Error("public PEM is of another key")
	}
	if !strings.HasPrefix(pair.AuthorizedKey, "ssh-rsa AAAAB3N") || !strings.HasSuffix(pair.AuthorizedKey, "\n") {
		t.Errorf("authorized key line is %q", pair.AuthorizedKey)
	}
	if _, err := ParseAuthorizedKey(pair.AuthorizedKey); err != nil {
		t.Errorf("own key is refused: %v", err)
	}
	for _, bits := range []int{-1, 0, 1024, 2047, 8193} {
		if _, err := GenerateUserKeyPair(bits); !errors.Is(err, ErrKeySize) {
			t.Errorf("%d bits: got %v, want ErrKeySize", bits, err)
		}
	}
}

// keygen makes a public key line with OpenSSH.
func keygen(t *testing.T, comment string, args ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "k")
	cmd := exec.Command("ssh-keygen", append(args, "-q", "-N", "", "-C", comment, "-f", file)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	line, err := os.ReadFile(file + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(line), "\n")
}

// skLine makes a line of a security key type, which ssh-keygen cannot make without the hardware.
func skLine(keyType string, fields any) string {
	return keyType + " " + base64.StdEncoding.EncodeToString(ssh.Marshal(fields)) + " yubikey"
}

func TestParseAuthorizedKey(t *testing.T) {
	ed := keygen(t, "you@host", "-t", "ed25519")
	sk := skLine(ssh.KeyAlgoSKED25519, struct {
		Type, Key, App string
	}{ssh.KeyAlgoSKED25519, strings.Repeat("k", 32), "ssh:"})

	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	smallPub, err := ssh.NewPublicKey(&small.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	dsaLine := skLine("ssh-dss", struct {
		Type       string
		P, Q, G, Y *big.Int
	}{"ssh-dss", big.NewInt(7), big.NewInt(3), big.NewInt(2), big.NewInt(4)})
	data := strings.Fields(ed)[1]

	cases := map[string]struct {
		reason string
		line   string
		want   Reason // "" = accepted
	}{
		"ed25519":       {"the usual key", ed, ""},
		"rsa 2048":      {"the shortest RSA", keygen(t, "", "-t", "rsa", "-b", "2048"), ""},
		"ecdsa 256":     {"", keygen(t, "c", "-t", "ecdsa", "-b", "256"), ""},
		"ecdsa 521":     {"", keygen(t, "c", "-t", "ecdsa", "-b", "521"), ""},
		"security key":  {"FIDO keys are plain keys for the server", sk, ""},
		"newline end":   {"what cat prints", ed + "\n", ""},
		"crlf end":      {"a file from Windows", ed + "\r\n", ""},
		"spaces":        {"indented in a form", "  \t" + ed + "  ", ""},
		"unicode":       {"comments are free text", "ssh-ed25519 " + data + " 张三 的 笔记本 🔑", ""},
		"long comment":  {"300 characters", "ssh-ed25519 " + data + " " + strings.Repeat("x", 300), ""},
		"empty":         {"", "", ReasonEmpty},
		"blank":         {"", " \n", ReasonEmpty},
		"comment only":  {"a comment line of the file", "# my key", ReasonEmpty},
		"two keys":      {"a second key rides along", ed + "\n" + ed, ReasonNotOneLine},
		"injection":     {"a comment that becomes a line", ed + "\ncommand=\"sh\" " + ed, ReasonNotOneLine},
		"cr injection":  {"", ed + "\rssh-rsa", ReasonNotOneLine},
		"ls injection":  {"some tools split at U+2028", ed + "\u2028x", ReasonNotOneLine},
		"nul":           {"C code would stop here", ed + "\x00x", ReasonBadCharacter},
		"escape":        {"terminal escapes in a listing", ed + "\x1b[2J", ReasonBadCharacter},
		"bad utf-8":     {"", ed + "\xff", ReasonBadCharacter},
		"huge":          {"", ed + " " + strings.Repeat("x", MaxLineBytes), ReasonTooLong},
		"options":       {"", `command="/bin/true" ` + ed, ReasonOptions},
		"environment":   {"", `environment="LD_PRELOAD=/tmp/x.so" ` + ed, ReasonOptions},
		"quoted space":  {"the option has a space in it", `command="rm -rf /" ` + ed, ReasonOptions},
		"restrict":      {"an option without a value", "restrict " + ed, ReasonOptions},
		"cert":          {"", "ssh-ed25519-cert-v01@openssh.com " + data, ReasonUnknownType},
		"dsa":           {"", dsaLine, ReasonUnknownType},
		"unknown":       {"", "hello world", ReasonUnknownType},
		"no data":       {"", "ssh-ed25519", ReasonMalformed},
		"cut":           {"cut while copying", "ssh-ed25519 " + data[:40], ReasonMalformed},
		"not base64":    {"", "ssh-ed25519 ???? x", ReasonMalformed},
		"type mismatch": {"the type must be that of the data", "ssh-rsa " + data, ReasonMalformed},
		"trailing data": {"", "ssh-ed25519 " + base64.StdEncoding.EncodeToString(append(must(base64.StdEncoding.DecodeString(data)), 0)), ReasonMalformed},
		"rsa 1024":      {"", string(ssh.MarshalAuthorizedKey(smallPub)), ReasonBadLength},
		"private":       {"pasted the wrong file", "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n", ReasonPrivateKey},
		"pem":           {"", "-----BEGIN PUBLIC KEY-----\nabc\n", ReasonWrongFormat},
		"rfc4716":       {"", "---- BEGIN SSH2 PUBLIC KEY ----\nabc", ReasonWrongFormat},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			key, err := ParseAuthorizedKey(tc.line)
			if tc.want == "" {
				if err != nil {
					t.Fatalf("%s: refused: %v", tc.reason, err)
				}
				if strings.TrimSpace(tc.line) != key.Line() {
					t.Errorf("line changed to %q", key.Line())
				}
				return
			}
			if !errors.Is(err, &KeyError{Reason: tc.want}) {
				t.Fatalf("%s: got %v, want reason %s", tc.reason, err, tc.want)
			}
			if !strings.Contains(err.Error(), "ssh-ed25519 AAAA") {
				t.Errorf("no example in %q", err)
			}
			if strings.Contains(err.Error(), data) {
				t.Error("the message repeats the key")
			}
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestFingerprintIsOpenSSHs(t *testing.T) {
	line := keygen(t, "c", "-t", "ed25519")
	file := filepath.Join(t.TempDir(), "k.pub")
	if err := os.WriteFile(file, []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ssh-keygen", "-l", "-f", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParseAuthorizedKey(line)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Fields(string(out))[1]; key.Fingerprint != want {
		t.Errorf("got %s, want %s", key.Fingerprint, want)
	}
}

func TestAuthorizedKeysFile(t *testing.T) {
	var lines []string
	for range 5 {
		lines = append(lines, keygen(t, "a b", "-t", "ed25519"))
	}
	// The same key with another comment is the same key.
	lines = append(lines, strings.Replace(lines[0], "a b", "z", 1), lines[1])
	keys, err := ParseAuthorizedKeys(lines)
	if err != nil {
		t.Fatal(err)
	}
	want := AuthorizedKeysFile(keys)
	if n := strings.Count(string(want), "\n"); n != 5 {
		t.Errorf("got %d lines, want 5:\n%s", n, want)
	}
	for range 20 {
		mrand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		if diff := cmp.Diff(string(want), string(AuthorizedKeysFile(keys))); diff != "" {
			t.Fatalf("order matters (-want +got):\n%s", diff)
		}
	}
	if got := AuthorizedKeysFile(nil); len(got) != 0 {
		t.Errorf("no keys give %q", got)
	}
}

func TestParseAuthorizedKeysReportsAll(t *testing.T) {
	ok := keygen(t, "c", "-t", "ed25519")
	keys, err := ParseAuthorizedKeys([]string{"", ok, "restrict " + ok})
	if len(keys) != 1 {
		t.Errorf("got %d keys, want the right one", len(keys))
	}
	if err == nil || !strings.Contains(err.Error(), "key 1: ") || !strings.Contains(err.Error(), "key 3: ") {
		t.Errorf("got %v", err)
	}
}
