// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"os"
	"sync"
)

// maxLog is the size in bytes at which a log file is put aside; one earlier
// file is kept, so that a component's logs take at most twice as much.
const maxLog = 8 << 20

// logFile is a bounded log: an io.WriteCloser for the output of one process.
type logFile struct {
	name string

	mu   sync.Mutex
	file *os.File
	size int64
}

func openLog(name string) (*logFile, error) {
	l := &logFile{name: name}
	if err := l.open(); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *logFile) open() error {
	f, err := os.OpenFile(l.name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("opening log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return fmt.Errorf("opening log: %w", err)
	}
	l.file, l.size = f, info.Size()
	return nil
}

// Write implements io.Writer. It never fails: a full disk must not stop the
// process that logs.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return len(p), nil
	}
	if l.size+int64(len(p)) > maxLog && l.size > 0 {
		l.file.Close()
		_ = os.Rename(l.name, l.name+".1") // failing that, the file goes on growing
		if err := l.open(); err != nil {
			l.file = nil
			return len(p), nil
		}
	}
	n, _ := l.file.Write(p)
	l.size += int64(n)
	return len(p), nil
}

// Close implements io.Closer.
func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}
