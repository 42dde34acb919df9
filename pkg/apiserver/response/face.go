// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package response

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ErrorWriter answers with an error in some format. The status is complete: it has a code, a reason
// and a message for the user. Response headers such as Retry-After and WWW-Authenticate are set
// already.
type ErrorWriter interface {
	WriteError(w http.ResponseWriter, r *http.Request, status *metav1.Status)
}

// ErrorWriterFunc makes a function an ErrorWriter.
type ErrorWriterFunc func(w http.ResponseWriter, r *http.Request, status *metav1.Status)

// WriteError implements ErrorWriter.
func (f ErrorWriterFunc) WriteError(w http.ResponseWriter, r *http.Request, status *metav1.Status) {
	f(w, r, status)
}

// StatusWriter is the error format of the API itself: a metav1.Status.
type StatusWriter struct{}

// WriteError implements ErrorWriter.
func (StatusWriter) WriteError(w http.ResponseWriter, r *http.Request, status *metav1.Status) {
	Write(w, r, int(status.Code), status)
}

// Faces knows the error formats of path prefixes, so that a filter in front of a compatible face
// answers as the face does. The zero value knows none.
type Faces struct {
	entries []faceEntry
}

type faceEntry struct {
	prefix string
	writer ErrorWriter
}

// NewFaces makes the registry. A prefix such as /api/devcontainer stands for that path and all
// below it; the longest one counts.
func NewFaces(writers map[string]ErrorWriter) *Faces {
	faces := &Faces{}
	for prefix, writer := range writers {
		faces.entries = append(faces.entries, faceEntry{strings.TrimSuffix(prefix, "/"), writer})
	}
	slices.SortFunc(faces.entries, func(a, b faceEntry) int { return cmp.Compare(len(b.prefix), len(a.prefix)) })
	return faces
}

// For gives the error format of a path.
func (f *Faces) For(path string) ErrorWriter {
	for _, entry := range f.entries {
		if rest, ok := strings.CutPrefix(path, entry.prefix); ok && (rest == "" || rest[0] == '/') {
			return entry.writer
		}
	}
	return StatusWriter{}
}

type writerKey struct{}

// WithErrorWriter makes Error use the writer for requests with this context.
func WithErrorWriter(ctx context.Context, writer ErrorWriter) context.Context {
	return context.WithValue(ctx, writerKey{}, writer)
}

func writerFrom(ctx context.Context) ErrorWriter {
	if writer, ok := ctx.Value(writerKey{}).(ErrorWriter); ok {
		return writer
	}
	return StatusWriter{}
}
