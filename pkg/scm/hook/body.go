// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	// MaxBody bounds a delivery in bytes. It is GitHub's own bound.
	MaxBody = 25 << 20
	// freeBody is what each delivery may take without asking. Most have less.
	freeBody = 64 << 10
	// maxBodies bounds what larger deliveries take together. Senders are not known until a body is there as a whole,
	// and some times as much memory is used while it is read and looked at.
	maxBodies = 64 << 20
	// bodyPatience is how long a delivery waits for others to be read.
	bodyPatience = 5 * time.Second
)

// ErrTooLarge says that a body has more than MaxBody bytes.
var ErrTooLarge = errors.New("the delivery is too large")

// Read reads the body of a delivery. It takes memory as bytes arrive, so that it cannot be taken by announcing them, and
// done gives it back: it is to be called when the body is not used any more, also after an error. The errors are
// ErrTooLarge, ErrBusy if too many large ones are being read, and those of the body.
func (r *Receiver) Read(ctx context.Context, body io.Reader) (data []byte, done func(), err error) {
	var taken int64
	done = func() {
		r.bodies.Release(taken)
		taken = 0
	}
	data = make([]byte, 0, freeBody/8)
	for {
		if len(data) == cap(data) {
			size := int64(min(2*cap(data), MaxBody+1))
			if more := size - freeBody - taken; more > 0 {
				if err := r.room(ctx, more); err != nil {
					return nil, done, err
				}
				taken += more
			}
			data = append(make([]byte, 0, size), data...)
		}
		n, err := body.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case len(data) > MaxBody:
			return nil, done, fmt.Errorf("%w: it has more than %d bytes", ErrTooLarge, MaxBody)
		case errors.Is(err, io.EOF):
			return data, done, nil
		case err != nil:
			return nil, done, err //nolint:wrapcheck // the caller looks into it
		}
	}
}

// room waits for memory.
func (r *Receiver) room(ctx context.Context, bytes int64) error {
	ctx, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	if err := r.bodies.Acquire(ctx, bytes); err != nil {
		return ErrBusy
	}
	return nil
}
