// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/pkg/apiserver/response"
)

// copyBuffer is the size of the parts in which a stream is sent.
const copyBuffer = 32 << 10

// copier writes to a client in parts, each with a deadline of its own: a client that does not read is
// cut off, and nothing is buffered for it.
type copier struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	buffer  []byte
	// zip is nil for an answer that is not compressed.
	zip *gzip.Writer
}

func newCopier(w http.ResponseWriter, timeout time.Duration) *copier {
	return &copier{w: w, control: http.NewResponseController(w), timeout: timeout, buffer: make([]byte, copyBuffer)}
}

// compress makes the answer a compressed one. Each part is compressed by itself, so that a stream which
// is followed holds no memory between two parts.
func (c *copier) compress() error {
	zip, err := gzip.NewWriterLevel(writerOnly{c}, gzip.StatelessCompression)
	if err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	c.zip = zip
	return nil
}

// copy writes all of the text and flushes it.
func (c *copier) copy(text io.Reader) (int64, error) {
	var out io.Writer = writerOnly{c}
	if c.zip != nil {
		out = writerOnly{c.zip}
	}
	n, err := io.CopyBuffer(out, readerOnly{text}, c.buffer)
	if err != nil {
		return n, err
	}
	if c.zip != nil {
		if err := c.zip.Flush(); err != nil {
			return n, err
		}
	}
	if err := c.control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return n, fmt.Errorf("send log: %w", err)
	}
	return n, nil
}

// close ends a compressed answer.
func (c *copier) close() error {
	if c.zip == nil {
		return nil
	}
	return c.zip.Close()
}

// Write implements io.Writer.
func (c *copier) Write(part []byte) (int, error) {
	// Writers without a connection, as in tests, know no deadlines.
	_ = c.control.SetWriteDeadline(time.Now().Add(c.timeout))
	n, err := c.w.Write(part)
	if err != nil {
		return n, fmt.Errorf("send: %w", err)
	}
	return n, nil
}

// writerOnly and readerOnly hide the short cuts of io.Copy, which would write all with one deadline.
type (
	writerOnly struct{ io.Writer }
	readerOnly struct{ io.Reader }
)

// acceptsGzip tells if the client takes a compressed answer.
func acceptsGzip(r *http.Request) bool {
	for coding := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		name, params, err := mime.ParseMediaType(coding)
		if err != nil || name != "gzip" && name != "x-gzip" {
			continue
		}
		weight, err := strconv.ParseFloat(params["q"], 64)
		return params["q"] == "" || err == nil && weight > 0
	}
	return false
}

// oneRange tells if a request asks for one part of a file. Several parts at once are answered with the
// whole file, as a server may: where the file has to be read from its beginning each of them would.
func oneRange(r *http.Request) bool {
	ranges := r.Header.Values("Range")
	return len(ranges) == 1 && strings.HasPrefix(ranges[0], "bytes=") && !strings.Contains(ranges[0], ",")
}

// rangeWriter is what http.ServeContent writes to. It keeps the first failure, which that does not tell,
// and leaves out the text with which that refuses a range.
type rangeWriter struct {
	http.ResponseWriter
	out     *copier
	err     error
	refused bool
}

// WriteHeader implements http.ResponseWriter.
func (w *rangeWriter) WriteHeader(code int) {
	if code == http.StatusRequestedRangeNotSatisfiable {
		w.refused = true
		return
	}
	w.ResponseWriter.WriteHeader(code)
}

// Write implements io.Writer.
func (w *rangeWriter) Write(part []byte) (int, error) {
	if w.refused {
		return len(part), nil
	}
	n, err := w.out.Write(part)
	if w.err == nil {
		w.err = err
	}
	return n, err
}

// refusedRange is a 416.
func refusedRange(size int64) error {
	return response.NewStatus(http.StatusRequestedRangeNotSatisfiable, metav1.StatusReason("RangeNotSatisfiable"),
		fmt.Sprintf("the log has %d bytes; ask for a range within them, such as Range: bytes=0-1023", size))
}

// seeker makes a file of a text that can be opened at an offset.
type seeker struct {
	open     func(offset int64) (io.ReadCloser, error)
	size, at int64
	text     io.ReadCloser
	err      error
}

// Read implements io.Reader.
func (s *seeker) Read(p []byte) (int, error) {
	if s.at >= s.size {
		return 0, io.EOF
	}
	if s.text == nil {
		if s.text, s.err = s.open(s.at); s.err != nil {
			return 0, s.err
		}
	}
	n, err := s.text.Read(p)
	s.at += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// Seek implements io.Seeker.
func (s *seeker) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.at
	case io.SeekEnd:
		offset += s.size
	}
	if offset < 0 {
		return s.at, errors.New("seek before the beginning")
	}
	if offset != s.at {
		_ = s.Close()
	}
	s.at = offset
	return offset, nil
}

// Close implements io.Closer.
func (s *seeker) Close() error {
	if s.text == nil {
		return nil
	}
	err := s.text.Close()
	s.text = nil
	return err
}
