// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package sshkeys makes and checks the SSH keys of dev containers: the host keys of a container, the
// temporary key pair that a user may ask for, and the public keys that a user hands in.
//
// It keeps no state and logs nothing. Private keys leave it only as return values.
package sshkeys
