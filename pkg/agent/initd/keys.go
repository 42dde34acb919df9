// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package initd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/go-logr/logr"

	"github.com/slipway-dev/slipway/pkg/agent"
	"github.com/slipway-dev/slipway/pkg/agent/account"
	"github.com/slipway-dev/slipway/pkg/sshkeys"
)

const (
	authorizedKeys = "authorized_keys"

	beginMark = "# BEGIN slipway: this block is replaced when the keys of the dev container change"
	endMark   = "# END slipway"

	// debounce joins the several events of one change of a mounted Secret.
	debounce = 100 * time.Millisecond
	// recheck is the interval without inotify, whose instances may be used up on a node.
	recheck = 10 * time.Second
	// retryAfter is the pause after a change could not be applied.
	retryAfter = 2 * time.Second
)

// installHostKeys replaces the host keys in sshDir by those of the Secret. Keys of other kinds are
// deleted: they came with the image, so that everybody who has the image has them.
func installHostKeys(keysDir, sshDir string) error {
	ours, err := filepath.Glob(filepath.Join(keysDir, "ssh_host_*_key"))
	if err != nil || len(ours) == 0 {
		return err
	}
	if err := os.MkdirAll(sshDir, 0o755); err != nil {
		return err
	}
	keep := map[string]bool{}
	for _, private := range ours {
		for name, mode := range map[string]fs.FileMode{private: 0o600, private + ".pub": 0o644} {
			data, err := os.ReadFile(name)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			keep[filepath.Base(name)] = true
			if err := replaceFile(filepath.Join(sshDir, filepath.Base(name)), data, mode); err != nil {
				return err
			}
		}
	}
	theirs, err := filepath.Glob(filepath.Join(sshDir, "ssh_host_*_key*"))
	if err != nil {
		return err
	}
	for _, name := range theirs {
		if !keep[filepath.Base(name)] {
			if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// ensureHostKey makes host keys where the image has none and none were mounted.
func ensureHostKey(sshDir string) error {
	have, err := filepath.Glob(filepath.Join(sshDir, "ssh_host_*_key"))
	if err != nil || len(have) > 0 {
		return err
	}
	keys, err := sshkeys.GenerateHostKeys()
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := replaceFile(filepath.Join(sshDir, k.PrivateFile()), k.Private, 0o600); err != nil {
			return err
		}
		if err := replaceFile(filepath.Join(sshDir, k.PublicFile()), k.Public, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// replaceFile writes a file atomically.
func replaceFile(path string, data []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".slipway-")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// AuthorizedKeysPath is the file in which a user's authorized keys are.
func AuthorizedKeysPath(acc *account.Account) string {
	return filepath.Join(acc.Home, ".ssh", authorizedKeys)
}

// keySync keeps the user's authorized_keys like that of the mounted Secret.
type keySync struct {
	dir  string
	acc  *account.Account
	log  logr.Logger
	last []byte
}

// apply brings the user's file up to date. Lines that the image or the user himself put there stay;
// only the block between our marks is replaced.
func (k *keySync) apply() error {
	ours, err := k.read()
	if err != nil {
		return err
	}
	path := AuthorizedKeysPath(k.acc)
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return agent.Fail(agent.ExitConfig, "AuthorizedKeys", "cannot read %s: %v", path, err)
	}
	merged := mergeKeys(old, ours)
	if err := k.makeSSHDir(filepath.Dir(path)); err != nil {
		return agent.Fail(agent.ExitConfig, "AuthorizedKeys",
			"cannot write authorized keys for user %s: %v: the home folder must be writable", k.acc.Name, err)
	}
	if !bytes.Equal(old, merged) {
		if err := replaceFile(path, merged, 0o600); err != nil {
			return agent.Fail(agent.ExitConfig, "AuthorizedKeys",
				"cannot write authorized keys for user %s: %v: the home folder must be writable", k.acc.Name, err)
		}
	}
	if err := errors.Join(os.Chmod(path, 0o600), k.acc.Own(path)); err != nil {
		return agent.Fail(agent.ExitConfig, "AuthorizedKeys", "cannot set owner and mode of %s: %v", path, err)
	}
	if !bytes.Equal(k.last, ours) || k.last == nil {
		k.log.Info("authorized keys installed", "user", k.acc.Name, "keys", bytes.Count(ours, []byte("\n")))
	}
	k.last = ours
	return nil
}

// read returns the valid keys of the Secret as file content, never nil. A Secret without the file has
// no keys.
func (k *keySync) read() ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(k.dir, authorizedKeys))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, agent.Fail(agent.ExitConfig, "AuthorizedKeys", "cannot read the authorized keys of the Secret: %v", err)
	}
	var keys []sshkeys.AuthorizedKey
	for i, line := range strings.Split(string(data), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		key, err := sshkeys.ParseAuthorizedKey(line)
		if err != nil {
			k.log.Info("a line of the Secret's authorized_keys is not used", "line", i+1, "reason", err.Error())
			continue
		}
		keys = append(keys, key)
	}
	return append([]byte{}, sshkeys.AuthorizedKeysFile(keys)...), nil
}

// mergeKeys replaces our block in an authorized_keys file, or adds it at the end.
func mergeKeys(old, ours []byte) []byte {
	var out bytes.Buffer
	inBlock := false
	for line := range strings.Lines(string(old)) {
		switch trimmed := strings.TrimSpace(line); {
		case trimmed == beginMark:
			inBlock = true
		case trimmed == endMark && inBlock:
			inBlock = false
		case !inBlock:
			out.WriteString(strings.TrimSuffix(line, "\n"))
			out.WriteByte('\n')
		}
	}
	out.WriteString(beginMark + "\n")
	out.Write(ours)
	out.WriteString(endMark + "\n")
	return out.Bytes()
}

// makeSSHDir makes the folder with the modes that OpenSSH's StrictModes asks for. A home folder on a
// volume is often group-writable (fsGroup), for which OpenSSH refuses every key.
func (k *keySync) makeSSHDir(dir string) error {
	if err := os.MkdirAll(k.acc.Home, 0o755); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := errors.Join(os.Chmod(dir, 0o700), k.acc.Own(dir)); err != nil {
		return err
	}
	info, err := os.Stat(k.acc.Home)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 && k.acc.Home != "/" {
		if err := os.Chmod(k.acc.Home, info.Mode()&^0o022); err != nil {
			k.log.Info("the home folder is writable for others and cannot be changed: OpenSSH may refuse all keys", "home", k.acc.Home)
		}
	}
	return nil
}

// watch applies changes of the Secret until the context ends. The kubelet changes a mounted Secret by
// renaming the link "..data", which is an event of the folder.
func (k *keySync) watch(ctx context.Context) {
	var events <-chan fsnotify.Event
	var errs <-chan error
	interval := time.Duration(math.MaxInt64)
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		defer func() { _ = watcher.Close() }()
		err = watcher.Add(k.dir)
	}
	if err != nil {
		k.log.Info("changes of the keys are looked for at intervals: inotify is not available", "interval", recheck.String(), "reason", err.Error())
		interval = recheck
	} else {
		events, errs = watcher.Events, watcher.Errors
	}
	// A change between the first apply and the watch has no event.
	timer := time.NewTimer(debounce)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-events:
			if !ok {
				return
			}
			timer.Reset(debounce)
		case err := <-errs:
			k.log.Info("the watch of the keys had an error", "reason", fmt.Sprint(err))
			timer.Reset(debounce)
		case <-timer.C:
			if err := k.apply(); err != nil {
				k.log.Error(err, "the authorized keys could not be brought up to date")
				timer.Reset(retryAfter)
				continue
			}
			timer.Reset(interval)
		}
	}
}

func isReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }

func statUID(info fs.FileInfo) uint32 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Uid
	}
	return math.MaxUint32
}
