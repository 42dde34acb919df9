// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitpack

import (
	"io"
	"net/http"
	"sync"
)

// Budget is how many bytes may still be read.
type Budget struct {
	mu   sync.Mutex
	left int64
}

// NewBudget gives one of so many bytes.
func NewBudget(bytes int64) *Budget { return &Budget{left: bytes} }

// Reader reads within the budget; beyond it is ErrTooLarge.
func (b *Budget) Reader(r io.Reader) io.Reader { return &budgetReader{r, b} }

// RoundTripper takes the bodies of all answers from the budget, so that a server cannot send more than it.
func (b *Budget) RoundTripper(inner http.RoundTripper) http.RoundTripper { return bounded{inner, b} }

func (b *Budget) take(n int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left -= int64(n); b.left < 0 {
		return ErrTooLarge
	}
	return nil
}

// budgetReader reads within a budget.
type budgetReader struct {
	r io.Reader
	b *Budget
}

func (r *budgetReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if over := r.b.take(n); over != nil {
		return 0, over
	}
	return n, err //nolint:wrapcheck // io.EOF must stay itself
}

// bounded is a RoundTripper with a budget.
type bounded struct {
	inner http.RoundTripper
	b     *Budget
}

// RoundTrip implements http.RoundTripper.
func (t bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.inner.RoundTrip(req)
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller looks into it
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{&budgetReader{resp.Body, t.b}, resp.Body}
	return resp, nil
}
