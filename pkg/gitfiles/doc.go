// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gitfiles reads and changes files of git repositories on their servers.
//
// The server is the only truth. Every call asks it where the branches are, with the credential of the
// caller, so that what is kept on the disk of one replica is never shown to somebody who may not read the
// repository, and never stale. What is kept is a cache of objects, whose names are hashes of their
// contents; it may vanish at any time. A write is one commit on top of the branch as the server has it,
// and is sent at once under the condition that the branch is still there.
//
// Servers and addresses are the users': connections to this machine are refused unless that is allowed,
// what is read is bounded, and no text of a server or credential gets into an error unchecked.
package gitfiles
