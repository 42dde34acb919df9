// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package response

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/go-logr/logr"
)

// List is the envelope of all lists.
type List[T any] struct {
	// Items is the page that was asked for: a list, never null.
	Items []T `json:"items"`
	// TotalItems is how many there are on all pages.
	TotalItems int `json:"totalItems"`
	// Continue is the parameter continue of the next page. It is there if limit was given and there is
	// more.
	Continue string `json:"continue,omitempty"`
	// ResourceVersion is the version that the list is from: a watch can begin there.
	ResourceVersion string `json:"resourceVersion,omitempty"`
}

// Message is the answer of an action that has nothing else to say.
type Message struct {
	// Message is "success", or what a user should know beside it.
	Message string `json:"message"`
}

// Success is the answer to a deletion.
func Success() Message { return Message{Message: "success"} }

// Write sends value as JSON.
func Write(w http.ResponseWriter, r *http.Request, code int, value any) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	// No browser takes this for a page: see the headers below.
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		Error(w, r, err)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	// Answers belong to one user and one moment.
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(code)
	// An error here is a client that went away.
	_, _ = w.Write(body.Bytes())
}

// WriteList sends a page of a list.
func WriteList[T any](w http.ResponseWriter, r *http.Request, items []T, total int) {
	if items == nil {
		items = []T{}
	}
	Write(w, r, http.StatusOK, List[T]{Items: items, TotalItems: total})
}

// Error answers with err in the format of the face that the request's path belongs to, and logs what
// the client is not told.
func Error(w http.ResponseWriter, r *http.Request, err error) {
	status := StatusOf(err)
	log := logr.FromContextOrDiscard(r.Context())
	switch {
	case errors.Is(r.Context().Err(), context.Canceled):
		// The client is gone, or the server stops: the failure is a consequence.
		log.V(1).Info("request was cancelled", "cause", err.Error())
	case status.Code >= http.StatusInternalServerError:
		log.Error(err, "request failed", "code", status.Code)
	}
	if status.Details != nil && status.Details.RetryAfterSeconds > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(status.Details.RetryAfterSeconds)))
	}
	writerFrom(r.Context()).WriteError(w, r, status)
}
