// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Command pause is the only process of a pod's sandbox: it holds the pod's
// namespaces open, collects children that lost their parent, and ends when it
// is told to.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	for s := range signals {
		if s != syscall.SIGCHLD {
			return
		}
		reap()
	}
}

// reap collects every child that has ended. Children arrive only where a pod
// shares its process namespace.
func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if pid <= 0 || (err != nil && err != syscall.EINTR) {
			return
		}
	}
}
