// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package account looks up the user that a dev container works as, in the image's /etc/passwd and
// /etc/group, with what is left to do where an image has neither.
package account

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/slipway-dev/slipway/pkg/agent"
)

const maxPasswdLine = 64 << 10

// Account is a user of the image.
type Account struct {
	Name     string
	UID, GID uint32
	// Groups are the supplementary groups; they are set only if the process is root.
	Groups []uint32
	// Home is absolute; "/" where none is known.
	Home string
	// Shell is the login shell as /etc/passwd names it; empty where it names none.
	Shell string
}

// Lookup finds the user of that name. An empty name, or "root" while this process is not root, means
// the user that this process runs as, who needs no entry in /etc/passwd. The error is a Failure of
// reason UserNotFound or UserNotAllowed.
func Lookup(name string) (*Account, error) {
	uid := os.Geteuid()
	if name == "" || name == "root" && uid != 0 {
		return current(uid), nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		if name == "root" {
			// An image from scratch has no /etc/passwd, but root is root.
			return current(uid), nil
		}
		return nil, agent.Fail(agent.ExitConfig, "UserNotFound",
			"the image has no user %q in /etc/passwd: name a user that it has, or root", name)
	}
	a := fromUser(u)
	if uid != 0 && int(a.UID) != uid {
		return nil, agent.Fail(agent.ExitConfig, "UserNotAllowed",
			"the container runs as uid %d and cannot become %q (uid %d): set runAsUser to that uid or leave the user out", uid, name, a.UID)
	}
	return a, nil
}

func current(uid int) *Account {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return fromUser(u)
	}
	a := &Account{Name: os.Getenv("USER"), UID: uint32(uid), GID: uint32(os.Getegid()), Home: os.Getenv("HOME")}
	if a.Name == "" {
		if a.Name = strconv.Itoa(uid); uid == 0 {
			a.Name = "root"
		}
	}
	if !filepath.IsAbs(a.Home) {
		if a.Home = "/"; uid == 0 {
			a.Home = "/root"
		}
	}
	return a
}

func fromUser(u *user.User) *Account {
	a := &Account{Name: u.Username, Home: u.HomeDir, UID: number(u.Uid), GID: number(u.Gid), Shell: shellOf(u.Username)}
	if !filepath.IsAbs(a.Home) {
		a.Home = "/"
	}
	ids, err := u.GroupIds()
	if err != nil {
		return a
	}
	for _, id := range ids {
		a.Groups = append(a.Groups, number(id))
	}
	return a
}

func number(s string) uint32 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 65534 // nobody: never more than what was meant
	}
	return uint32(n)
}

// shellOf reads the seventh field of /etc/passwd, which os/user does not give.
func shellOf(name string) string {
	f, err := os.Open("/etc/passwd")
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, maxPasswdLine)
	for sc.Scan() {
		if fields := strings.Split(sc.Text(), ":"); len(fields) == 7 && fields[0] == name {
			return strings.TrimSpace(fields[6])
		}
	}
	return ""
}

// ErrNoShell means that the image has no shell at all.
var ErrNoShell = errors.New("this image has no shell: /bin/sh does not exist")

// LoginShell is the path of the user's shell if it can be run, else /bin/sh, else ErrNoShell.
func (a *Account) LoginShell() (string, error) {
	for _, sh := range []string{a.Shell, "/bin/sh"} {
		if sh == "" {
			continue
		}
		if _, err := exec.LookPath(sh); err == nil {
			return sh, nil
		}
	}
	return "", ErrNoShell
}

// Credential is what a child process needs to run as the user; nil if this process already does.
func (a *Account) Credential() *syscall.Credential {
	if os.Geteuid() != 0 || a.UID == 0 {
		return nil
	}
	return &syscall.Credential{Uid: a.UID, Gid: a.GID, Groups: a.Groups}
}

// Own gives a file to the user where this process may do that.
func (a *Account) Own(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return os.Lchown(path, int(a.UID), int(a.GID))
}
