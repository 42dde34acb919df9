// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package images

import (
	"io/fs"
	"syscall"
)

// ownerOf returns a file's owner, its identity and how many names it has.
func ownerOf(info fs.FileInfo) (owner, inode, uint64) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return owner{}, inode{}, 1
	}
	return owner{int(st.Uid), int(st.Gid)}, inode{uint64(st.Dev), st.Ino}, uint64(st.Nlink) //nolint:unconvert // the fields have other types on other systems
}
