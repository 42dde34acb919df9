// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// BuildRef names a build.
type BuildRef struct {
	Folder string
	Job    string
	Number int64
}

// Log returns the log of a build from an offset. next is the offset to ask for after this part, more says whether the build
// still writes. The text has no hidden notes and LF line ends.
//
// Offsets count the bytes of the raw log in Jenkins, with the hidden notes in it, and so are larger than the length of the
// text. Use only 0 and values of next. An offset beyond the end gives no text and the end as next.
func (c *Client) Log(ctx context.Context, folder, job string, build, start int64) (text io.ReadCloser, next int64, more bool, err error) {
	const op = "read log"
	p, err := buildPath(op, folder, job, build)
	if err != nil {
		return nil, 0, false, err
	}
	return c.log(ctx, op, p+"/logText/progressiveText", start)
}

// LogTail returns the last kilobytes of the log of a build, as Blue Ocean counts them: in the raw log, with the hidden notes
// in it. The text begins with a whole line unless the line is very long.
func (c *Client) LogTail(ctx context.Context, b BuildRef, kilobytes int64) (text io.ReadCloser, next int64, more bool, err error) {
	const op = "read log"
	p, err := bluePath(op, b.Folder, b.Job, b.Number)
	if err != nil {
		return nil, 0, false, err
	}
	return c.tail(ctx, op, p+"log/", kilobytes)
}

// StepLog returns the log of a step, as Log does for the whole build. b names the build, node and step the step.
func (c *Client) StepLog(ctx context.Context, b BuildRef, node, step string, start int64) (text io.ReadCloser, next int64, more bool, err error) {
	const op = "read step log"
	p, err := stepPath(op, b, node, step)
	if err != nil {
		return nil, 0, false, err
	}
	text, next, more, err = c.log(ctx, op, p+"log/", start)
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusInternalServerError && strings.Contains(e.Message, pastTheEnd) {
		return http.NoBody, start, false, nil
	}
	return text, next, more, err
}

// pastTheEnd is in Blue Ocean's answer to an offset beyond the end of a log.
const pastTheEnd = "read past the end of the log"

// StepLogTail is LogTail for the log of a step.
func (c *Client) StepLogTail(ctx context.Context, b BuildRef, node, step string, kilobytes int64) (text io.ReadCloser, next int64, more bool, err error) {
	const op = "read step log"
	p, err := stepPath(op, b, node, step)
	if err != nil {
		return nil, 0, false, err
	}
	return c.tail(ctx, op, p+"log/", kilobytes)
}

// stepPath is the address of a step, with a slash at its end.
func stepPath(op string, b BuildRef, node, step string) (string, error) {
	p, err := bluePath(op, b.Folder, b.Job, b.Number)
	if err != nil {
		return "", err
	}
	ids, err := segments(op, "step", node+"/"+step)
	if err != nil {
		return "", err
	}
	if len(ids) != 2 {
		return "", newError(op, ErrInvalid, "the id of a node or step holds a slash")
	}
	return p + "nodes/" + url.PathEscape(ids[0]) + "/steps/" + url.PathEscape(ids[1]) + "/", nil
}

// tail reads the end of a log and leaves out the line, or the hidden note, that it begins within.
func (c *Client) tail(ctx context.Context, op, p string, kilobytes int64) (io.ReadCloser, int64, bool, error) {
	if kilobytes < 1 || kilobytes > math.MaxInt32 {
		return nil, 0, false, newError(op, ErrInvalid, "the end of a log has 1 to %d kilobytes", math.MaxInt32)
	}
	text, next, more, err := c.readLog(ctx, call{op: op, method: http.MethodGet, path: p, query: url.Values{"thresholdInKB": {strconv.FormatInt(kilobytes, 10)}}})
	if err != nil || next <= kilobytes<<10 {
		return text, next, more, err
	}
	return WholeLines(text), next, more, nil
}

// maxPartLine bounds what WholeLines looks through for the end of a line.
const maxPartLine = 64 << 10

// WholeLines leaves out what is before the first line end of a text that begins within a line. A line that does not end
// within 64 KiB is kept.
func WholeLines(text io.ReadCloser) io.ReadCloser {
	return &wholeLines{Closer: text, text: bufio.NewReaderSize(text, maxPartLine)}
}

type wholeLines struct {
	io.Closer
	text  *bufio.Reader
	begun bool
}

// Read implements io.Reader.
func (t *wholeLines) Read(p []byte) (int, error) {
	if !t.begun {
		t.begun = true
		head, err := t.text.Peek(maxPartLine)
		if err != nil && err != io.EOF {
			return 0, err
		}
		if _, err := t.text.Discard(bytes.IndexByte(head, '\n') + 1); err != nil {
			return 0, err
		}
	}
	return t.text.Read(p)
}

func (c *Client) log(ctx context.Context, op, p string, start int64) (io.ReadCloser, int64, bool, error) {
	if start < 0 {
		return nil, 0, false, newError(op, ErrInvalid, "negative offset %d", start)
	}
	text, next, more, err := c.readLog(ctx, call{op: op, method: http.MethodGet, path: p, query: url.Values{"start": {strconv.FormatInt(start, 10)}}})
	if err == nil && next < start {
		// Jenkins answers an offset beyond the end with the whole log.
		_ = text.Close()
		text = http.NoBody
	}
	return text, next, more, err
}

func (c *Client) readLog(ctx context.Context, rq call) (io.ReadCloser, int64, bool, error) {
	resp, err := c.stream(ctx, rq)
	if err != nil {
		return nil, 0, false, err
	}
	next, err := strconv.ParseInt(resp.Header.Get("X-Text-Size"), 10, 64)
	if err != nil || next < 0 {
		_ = resp.Body.Close()
		return nil, 0, false, &Error{Op: rq.op, Status: resp.StatusCode, kind: ErrUnexpected, Message: "the answer has no X-Text-Size"}
	}
	return &logText{ReadCloser: resp.Body}, next, resp.Header.Get("X-More-Data") == "true", nil
}

// StreamLog copies the log of a build from an offset to w until the build has ended, or the context. It returns the offset
// after what was written, from which a later call goes on. An error of w is returned as it is.
func (c *Client) StreamLog(ctx context.Context, b BuildRef, from int64, w io.Writer) (int64, error) {
	const op = "read log"
	delay := c.cfg.LogPoll
	for {
		text, next, more, err := c.Log(ctx, b.Folder, b.Job, b.Number, from)
		if err != nil {
			return from, err
		}
		_, err = io.Copy(w, text)
		_ = text.Close()
		if err != nil {
			return from, err
		}
		if !more {
			return next, nil
		}
		if next > from {
			delay = c.cfg.LogPoll
		} else {
			delay = min(2*delay, 8*c.cfg.LogPoll)
		}
		from = next
		if err := wait(ctx, delay); err != nil {
			return from, transportError(op, err)
		}
	}
}

// Marks of a hidden note in a log: a serialized annotation that browsers turn into links.
var (
	noteStart = []byte("\x1b[8mha:")
	noteEnd   = []byte("\x1b[0m")
)

// maxNote bounds a hidden note; a start mark with no end within it is text of the build.
const maxNote = 64 << 10

// logText takes the hidden notes out of a log and turns CRLF, which Jenkins makes of every LF, back into LF.
type logText struct {
	io.ReadCloser
	in  []byte // read, not yet looked at
	out []byte // ready
	err error
}

// Read implements io.Reader.
func (t *logText) Read(p []byte) (int, error) {
	for len(t.out) == 0 {
		if t.err != nil {
			return 0, t.err
		}
		buf := make([]byte, 16<<10)
		n, err := t.ReadCloser.Read(buf)
		t.in = append(t.in, buf[:n]...)
		t.err = err
		t.filter(err != nil)
	}
	n := copy(p, t.out)
	t.out = t.out[n:]
	return n, nil
}

// filter moves text from in to out. What may be the beginning of a note or of a line end is held back until final.
func (t *logText) filter(final bool) {
	for {
		i := bytes.IndexByte(t.in, noteStart[0])
		if i < 0 {
			i = len(t.in)
			if !final && i > 0 && t.in[i-1] == '\r' {
				i--
			}
			t.emit(i)
			return
		}
		// A CR in front of a note belongs to nothing.
		t.emit(i)
		switch {
		case bytes.HasPrefix(t.in, noteStart):
			end := bytes.Index(t.in, noteEnd)
			switch {
			case end >= 0:
				t.in = t.in[end+len(noteEnd):]
				continue
			case !final && len(t.in) < maxNote:
				return
			}
		case !final && bytes.HasPrefix(noteStart, t.in):
			return
		}
		t.emit(1)
	}
}

func (t *logText) emit(n int) {
	t.out = append(t.out, bytes.ReplaceAll(t.in[:n], []byte("\r\n"), []byte("\n"))...)
	t.in = t.in[n:]
}

// Artifact is a file that a build has kept.
type Artifact struct {
	// Path is the path below the artifacts of the build.
	Path string
	// Size is in bytes.
	Size int64
}

// ListArtifacts returns the artifacts of a build.
func (c *Client) ListArtifacts(ctx context.Context, folder, job string, build int64) ([]Artifact, error) {
	const op = "list artifacts"
	p, err := bluePath(op, folder, job, build)
	if err != nil {
		return nil, err
	}
	type entry struct {
		Path         string `json:"path"`
		Size         int64  `json:"size"`
		Downloadable *bool  `json:"downloadable"`
	}
	entries, err := getPages[entry](ctx, c, pages{op: op, path: p + "artifacts/", size: defaultPage})
	if err != nil {
		return nil, err
	}
	list := make([]Artifact, 0, len(entries))
	for _, e := range entries {
		if e.Downloadable == nil || *e.Downloadable {
			list = append(list, Artifact{Path: e.Path, Size: e.Size})
		}
	}
	return list, nil
}

// ArtifactContent is an open artifact; it must be closed.
type ArtifactContent struct {
	io.ReadCloser
	// Size is in bytes, -1 if Jenkins does not say.
	Size int64
	// ContentType is what Jenkins thinks of the file; it must not be trusted.
	ContentType string
	// Modified is when the file was written; zero if Jenkins does not say.
	Modified time.Time
}

// OpenArtifact opens an artifact for streaming. A path that leaves the artifacts of the build, and the patterns that Jenkins
// gives a meaning of their own (*zip*, *view*), are ErrInvalid; a directory is ErrNotFound.
func (c *Client) OpenArtifact(ctx context.Context, folder, job string, build int64, path string) (*ArtifactContent, error) {
	const op = "open artifact"
	p, err := buildPath(op, folder, job, build)
	if err != nil {
		return nil, err
	}
	parts, err := segments(op, "artifact", path)
	if err != nil {
		return nil, err
	}
	for _, s := range parts {
		if len(s) > 1 && s[0] == '*' && s[len(s)-1] == '*' {
			return nil, newError(op, ErrInvalid, "the path %q holds a pattern", path)
		}
	}
	resp, err := c.stream(ctx, call{op: op, method: http.MethodGet, path: p + "/artifact" + escapeJoin("/", parts)}) //nolint:bodyclose // the caller closes it as ArtifactContent
	var e *Error
	if errors.As(err, &e) && e.Status >= 300 && e.Status < 400 && !errors.Is(err, ErrUnauthorized) {
		return nil, &Error{Op: op, Status: e.Status, kind: ErrNotFound, Message: fmt.Sprintf("%q is a directory", path)}
	}
	if err != nil {
		return nil, err
	}
	content := &ArtifactContent{ReadCloser: resp.Body, Size: resp.ContentLength, ContentType: resp.Header.Get("Content-Type")}
	if t, err := http.ParseTime(resp.Header.Get("Last-Modified")); err == nil {
		content.Modified = t.UTC()
	}
	return content, nil
}
