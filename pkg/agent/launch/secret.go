// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sys/unix"
)

const (
	maxSecret = 4096
	// secretLife bounds how long the file exists where its reading cannot be seen.
	secretLife = time.Minute
)

func readSecretFD(fd string) (string, error) {
	n, err := strconv.Atoi(fd)
	if err != nil || n <= 2 {
		return "", missing(envSecret)
	}
	f := os.NewFile(uintptr(n), "secret")
	if f == nil {
		return "", missing(envSecret)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxSecret))
	if err != nil {
		return "", fmt.Errorf("read the agent's secret: %w", err)
	}
	return string(data), nil
}

// secretFile is a file with the agent's secret, which agent.jar reads once when it parses its
// arguments ("-secret @file").
type secretFile struct {
	path    string
	inotify *os.File
}

// writeSecret writes the secret where it is in memory only, if there is such a place.
func writeSecret(secret string) (*secretFile, error) {
	var errs []error
	for _, dir := range []string{"/dev/shm", os.TempDir()} {
		f, err := os.CreateTemp(dir, ".slipway-agent-") // mode 0600
		if err != nil {
			errs = append(errs, err)
			continue
		}
		_, err = f.WriteString(secret + "\n")
		if err = errors.Join(err, f.Close()); err != nil {
			_ = os.Remove(f.Name())
			return nil, err
		}
		s := &secretFile{path: f.Name()}
		// Watched before the agent starts, so that its read cannot be missed.
		if fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK); err == nil {
			s.inotify = os.NewFile(uintptr(fd), "inotify")
			if _, err := unix.InotifyAddWatch(fd, s.path, unix.IN_CLOSE_NOWRITE); err != nil {
				_ = s.inotify.Close()
				s.inotify = nil
			}
		}
		return s, nil
	}
	return nil, errors.Join(errs...)
}

// removeOnceRead deletes the file as soon as somebody has read it, at the latest after secretLife.
func (s *secretFile) removeOnceRead(ctx context.Context, log logr.Logger) {
	defer s.remove()
	if s.inotify == nil {
		select {
		case <-ctx.Done():
		case <-time.After(secretLife):
		}
		return
	}
	defer func() { _ = s.inotify.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = s.inotify.Close() })
	defer stop()
	if err := s.inotify.SetReadDeadline(time.Now().Add(secretLife)); err != nil {
		log.V(1).Info("no deadline for the agent's secret", "reason", err.Error())
	}
	var buf [unix.SizeofInotifyEvent + unix.PathMax]byte
	_, _ = s.inotify.Read(buf[:])
}

func (s *secretFile) remove() { _ = os.Remove(s.path) }
