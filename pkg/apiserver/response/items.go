// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package response

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/go-logr/logr"
)

// Items is a page of a list whose items are JSON already.
type Items struct {
	// Items gives the items one after another. After an error there are no more.
	Items iter.Seq2[[]byte, error]
	// Total, Continue and ResourceVersion are those of List.
	Total           int
	Continue        string
	ResourceVersion string
}

const (
	// wholeBytes is up to which size an answer is sent in one piece, with its length. A longer one is
	// sent while it is made, so that nobody holds all of it.
	wholeBytes = 256 << 10
	// writeBytes is how much of a longer answer is collected for one write.
	writeBytes = 64 << 10
)

// pages are for answers while they are put together.
var pages = sync.Pool{New: func() any { return bytes.NewBuffer(make([]byte, 0, writeBytes)) }}

// WriteItems sends a page in the form of List. What is longer than 256 KiB is compressed if the client
// asks for that: below, the time for it is worth more than the network.
func WriteItems(w http.ResponseWriter, r *http.Request, page Items) {
	buffer := pages.Get().(*bytes.Buffer)
	buffer.Reset()
	defer func() {
		if buffer.Cap() <= 2*wholeBytes {
			pages.Put(buffer)
		}
	}()
	end, err := page.end()
	if err != nil {
		Error(w, r, err)
		return
	}
	s := &itemStream{w: w, r: r, buffer: buffer}
	if err := s.send(page, end); err != nil {
		s.fail(err)
	}
}

// end gives what follows the items.
func (p Items) end() ([]byte, error) {
	rest, err := json.Marshal(List[struct{}]{TotalItems: p.Total, Continue: p.Continue, ResourceVersion: p.ResourceVersion})
	if err != nil {
		return nil, fmt.Errorf("encode list: %w", err)
	}
	return append(bytes.Replace(rest, []byte(`{"items":null`), []byte(`]`), 1), '\n'), nil
}

// itemStream writes one list.
type itemStream struct {
	w      http.ResponseWriter
	r      *http.Request
	buffer *bytes.Buffer
	// begun says that the header is sent; the answer can only be cut off then.
	begun bool
	// out is where a long answer goes: to the client, perhaps compressed.
	out io.Writer
}

func (s *itemStream) send(page Items, end []byte) error {
	s.buffer.WriteString(`{"items":[`)
	first := true
	for item, err := range page.Items {
		if err != nil {
			return err
		}
		if !first {
			s.buffer.WriteByte(',')
		}
		first = false
		s.buffer.Write(item)
		if err := s.overflow(); err != nil {
			return err
		}
	}
	s.buffer.Write(end)
	if s.begun {
		return s.finish()
	}
	header := s.header()
	header.Set("Content-Length", strconv.Itoa(s.buffer.Len()))
	s.w.WriteHeader(http.StatusOK)
	s.begun = true
	_, err := s.w.Write(s.buffer.Bytes())
	return err
}

func (s *itemStream) header() http.Header {
	header := s.w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	return header
}

// overflow sends what was collected when it is too much for one piece.
func (s *itemStream) overflow() error {
	switch {
	case !s.begun && s.buffer.Len() <= wholeBytes, s.begun && s.buffer.Len() < writeBytes:
		return nil
	case !s.begun:
		s.begin()
	}
	_, err := s.out.Write(s.buffer.Bytes())
	s.buffer.Reset()
	return err
}

func (s *itemStream) begin() {
	header := s.header()
	header.Add("Vary", "Accept-Encoding")
	s.out = s.w
	if acceptsGzip(s.r) {
		header.Set("Content-Encoding", "gzip")
		compressed := compressors.Get().(*gzip.Writer)
		compressed.Reset(s.w)
		s.out = compressed
	}
	s.w.WriteHeader(http.StatusOK)
	s.begun = true
}

func (s *itemStream) finish() error {
	if _, err := s.out.Write(s.buffer.Bytes()); err != nil {
		return err
	}
	compressed, ok := s.out.(*gzip.Writer)
	if !ok {
		return nil
	}
	err := compressed.Close()
	compressors.Put(compressed)
	return err
}

// fail ends an answer that cannot be completed. One that has begun is cut off, so that the client does
// not take the part for the whole.
func (s *itemStream) fail(err error) {
	if !s.begun {
		Error(s.w, s.r, err)
		return
	}
	if s.out != nil {
		logr.FromContextOrDiscard(s.r.Context()).V(1).Info("list was cut off", "cause", err.Error())
		panic(http.ErrAbortHandler)
	}
}

// compressors are gzip's writers, which are large. The fastest level makes half of the best's
// difference in a fifth of its time.
var compressors = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
	if err != nil {
		return gzip.NewWriter(io.Discard)
	}
	return w
}}

// acceptsGzip tells if the client asks for gzip and does not take it back with q=0 (RFC 9110, 12.5.3).
func acceptsGzip(r *http.Request) bool {
	for _, value := range r.Header.Values("Accept-Encoding") {
		for part := range strings.SplitSeq(value, ",") {
			coding, parameter, _ := strings.Cut(strings.TrimSpace(part), ";")
			if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
				continue
			}
			weight, has := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(parameter), " ", ""), "q=")
			number, err := strconv.ParseFloat(weight, 64)
			return !has || err != nil || number > 0
		}
	}
	return false
}
