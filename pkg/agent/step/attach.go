// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package step

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/slipway-dev/slipway/pkg/agent"
)

const (
	copyBuffer = 256 << 10
	// aliveCheck is how often Attach looks if the supervisor lives while nothing else happens.
	aliveCheck = time.Second
	// In the first moments, and where inotify cannot be had (its instances are few and shared by all
	// containers of a user on a node), Attach looks for output itself, less often the longer there is
	// none.
	minWait, maxWait = 2 * time.Millisecond, 100 * time.Millisecond
	// watchAfter is when inotify is set up: most steps are short, and to give an inotify instance back
	// costs some 10 ms, during which the process cannot end.
	watchAfter = 300 * time.Millisecond
)

// AttachOptions say what to stream.
type AttachOptions struct {
	// Offset is how many bytes the caller has already.
	Offset int64
	// Stdout streams stdout of a step with SeparateStdout instead of the log.
	Stdout bool
}

// Attach writes the step's output from the offset on to out, follows it, and returns the result when
// the step has ended and everything it wrote is out. The bytes from one offset are the same whenever
// and however often they are asked for. It returns a Failure of reason Lost when the step can have no
// result any more.
func (s *Store) Attach(ctx context.Context, id string, out io.Writer, opts AttachOptions) (Result, error) {
	dir, err := s.path(id)
	if err != nil {
		return Result{}, err
	}
	if opts.Offset < 0 {
		return Result{}, agent.Fail(agent.ExitUsage, "BadOffset", "the offset %d is negative", opts.Offset)
	}
	name := logFile
	if opts.Stdout {
		name = stdoutFile
	}
	f := &follower{path: filepath.Join(dir, name), offset: opts.Offset, out: out, buf: make([]byte, copyBuffer)}
	defer f.close()
	w := newWaiter(dir)
	defer w.close()
	for {
		st, err := readState(dir)
		if err != nil {
			return Result{}, err
		}
		// After the state: once there is a result the output is complete.
		n, err := f.copy()
		if err != nil {
			return Result{}, err
		}
		switch {
		case st.result != nil:
			return *st.result, f.checkOffset()
		case !st.alive:
			return Result{}, lost(id, st)
		}
		if err := w.wait(ctx, n > 0); err != nil {
			return Result{}, err
		}
	}
}

// follower copies what a growing file has from an offset on.
type follower struct {
	path   string
	offset int64
	out    io.Writer
	file   *os.File
	buf    []byte
}

func (f *follower) copy() (int64, error) {
	if f.file == nil {
		file, err := os.Open(f.path)
		if errors.Is(err, fs.ErrNotExist) {
			return 0, nil
		}
		if err != nil {
			return 0, fmt.Errorf("read output: %w", err)
		}
		f.file = file
	}
	var total int64
	for {
		n, err := f.file.ReadAt(f.buf, f.offset)
		if n > 0 {
			if _, werr := f.out.Write(f.buf[:n]); werr != nil {
				return total, fmt.Errorf("write output: %w", werr)
			}
			f.offset += int64(n)
			total += int64(n)
		}
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, fmt.Errorf("read output: %w", err)
		}
	}
}

// checkOffset finds an offset behind the end of the complete output.
func (f *follower) checkOffset() error {
	var size int64
	if f.file != nil {
		info, err := f.file.Stat()
		if err != nil {
			return fmt.Errorf("read output: %w", err)
		}
		size = info.Size()
	}
	if f.offset > size {
		return agent.Fail(agent.ExitUsage, "BadOffset", "the offset %d is behind the end of the output (%d bytes)", f.offset, size)
	}
	return nil
}

func (f *follower) close() {
	if f.file != nil {
		_ = f.file.Close()
	}
}

// waiter waits until something may have changed in a step's folder.
type waiter struct {
	dir     string
	watchAt time.Time
	watcher *fsnotify.Watcher
	pause   time.Duration
}

func newWaiter(dir string) *waiter {
	return &waiter{dir: dir, pause: minWait, watchAt: time.Now().Add(watchAfter)}
}

// watch sets inotify up once its time has come. If that fails the waiter goes on without.
func (w *waiter) watch() {
	if w.watchAt.IsZero() || time.Now().Before(w.watchAt) {
		return
	}
	w.watchAt = time.Time{}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return
	}
	if err := watcher.Add(w.dir); err != nil {
		_ = watcher.Close()
		return
	}
	w.watcher = watcher
}

// wait returns nil when it is time to look again. more tells if the last look found output.
func (w *waiter) wait(ctx context.Context, more bool) error {
	fresh := w.watcher == nil
	w.watch()
	var events <-chan fsnotify.Event
	var errs <-chan error
	pause := aliveCheck
	if w.watcher != nil {
		events, errs = w.watcher.Events, w.watcher.Errors
		if fresh {
			// Something may have changed before the watch was there.
			pause = minWait
		}
	} else {
		pause = w.pause
		if w.pause = min(2*w.pause, maxWait); more {
			w.pause = minWait
		}
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("attach: %w", context.Cause(ctx))
	case <-timer.C:
	case <-errs: //nolint:errcheck // an overflow of the queue: look again
	case <-events:
		// What has piled up in the meantime is one reason to look, not many.
		for {
			select {
			case <-events:
				continue
			default:
			}
			return nil
		}
	}
	return nil
}

func (w *waiter) close() {
	if w.watcher != nil {
		_ = w.watcher.Close()
	}
}
