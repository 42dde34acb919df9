// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCredentials(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	folder := &Item{Name: "shop", Kind: KindFolder}
	if err := s.AddItem(folder); err != nil {
		t.Fatal(err)
	}
	const hidden = "hunter2-hidden-value"
	secrets := map[string]string{"password": hidden, "ü": "\x00 <&>"}
	c := &Credential{Folder: folder.ID, ID: "ünï/1", Class: "x", Name: "bob"}
	if err := s.PutCredential(c, secrets); err != nil {
		t.Fatal(err)
	}
	other := &Credential{Folder: folder.ID, ID: "other", Class: "x"}
	if err := s.PutCredential(other, map[string]string{"password": "other-value"}); err != nil {
		t.Fatal(err)
	}
	// Another process finds both, in their order, and can read them.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(dir); err != nil {
		t.Fatal(err)
	}
	state, err := s.Load()
	if err != nil || len(state.Credentials) != 2 {
		t.Fatalf("%d credentials, %v", len(state.Credentials), err)
	}
	for _, got := range state.Credentials {
		if got.ID != c.ID {
			continue
		}
		if diff := cmp.Diff(c, got); diff != "" {
			t.Error(diff)
		}
		if values, err := s.Secrets(got); err != nil || !cmp.Equal(values, secrets) {
			t.Errorf("%v, %v", values, err)
		}
	}
	// What is known of its use changes without the secret.
	c.Used = []CredentialUse{{Job: "shop/a", Builds: []int{1}}}
	if err := s.PutCredential(c, nil); err != nil {
		t.Fatal(err)
	}
	if values, err := s.Secrets(c); err != nil || values["password"] != hidden {
		t.Errorf("%v, %v", values, err)
	}

	for reason, broken := range map[string]Credential{
		"moved to another id":     {Folder: c.Folder, ID: "other", Sealed: c.Sealed},
		"moved to another folder": {Folder: c.Folder + 1, ID: c.ID, Sealed: c.Sealed},
		"cut":                     {Folder: c.Folder, ID: c.ID, Sealed: c.Sealed[:20]},
		"empty":                   {Folder: c.Folder, ID: c.ID},
	} {
		if values, err := s.Secrets(&broken); !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v, %v", reason, values, err)
		}
	}
	onDisk(t, dir, hidden)

	if err := s.DeleteCredential(folder.ID, "other"); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteCredential(folder.ID, "none"); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteItems([]uint64{folder.ID}); err != nil {
		t.Fatal(err)
	}
	if state, err = s.Load(); err != nil || len(state.Credentials) != 0 {
		t.Errorf("the credentials of a deleted folder stay: %d, %v", len(state.Credentials), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// onDisk looks for a value in all files, and at who may read them.
func onDisk(t *testing.T, dir, value string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be read by others: %s", path, info.Mode())
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(value)) {
			t.Errorf("%s holds the value", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestCredentialKey(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := os.WriteFile(filepath.Join(dir, credentialKeyFile), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &Credential{Folder: 1, ID: "x"}
	if err := s.PutCredential(c, map[string]string{"a": "b"}); !errors.Is(err, ErrKey) {
		t.Errorf("a damaged key is used or replaced: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, credentialKeyFile), bytes.Repeat([]byte{1}, credentialKeySize), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.PutCredential(c, map[string]string{"a": "b"}); err != nil {
		t.Fatal(err)
	}
	s.aead = nil
	if err := os.WriteFile(filepath.Join(dir, credentialKeyFile), bytes.Repeat([]byte{2}, credentialKeySize), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Secrets(c); !errors.Is(err, ErrKey) {
		t.Errorf("read with another key: %v", err)
	}
}
