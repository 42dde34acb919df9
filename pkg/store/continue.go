// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// tokenVersion is that of the form of tokens.
const tokenVersion = 1

// token says where a list goes on: behind the object of this place in its order. Objects that come or
// go meanwhile neither shift it nor are needed for it.
type token struct {
	Version int `json:"v"`
	// List identifies the list, so that a token is not used for another one.
	List string `json:"l"`
	// Created, Name and Namespace are the last object's.
	Created   int64  `json:"c,omitempty"`
	Name      string `json:"n"`
	Namespace string `json:"s,omitempty"`
}

// listID identifies what is listed and in which order. The size of pages is no part of it.
func (q Query) listID(kind reflect.Type) string {
	selector := ""
	if q.Labels != nil {
		selector = q.Labels.String()
	}
	parts := []string{kind.String(), q.Namespace, q.Field, q.Value, selector, q.SortBy, fmt.Sprint(q.Ascending)}
	for _, key := range slices.Sorted(maps.Keys(q.Filters)) {
		// "_" is what clients write to get around caches: it differs each time.
		if key != "_" {
			parts = append(parts, key, q.Filters[key])
		}
	}
	sum := sha256.New()
	for _, part := range parts {
		_, _ = fmt.Fprintf(sum, "%d:%s", len(part), part) // a hash takes everything
	}
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:9])
}

// encodeToken makes the token of a page that ends with the object at p.
func encodeToken(p position, list string) (string, error) {
	encoded, err := json.Marshal(token{Version: tokenVersion, List: list, Created: p.created, Name: p.name, Namespace: p.namespace})
	if err != nil {
		return "", fmt.Errorf("encode token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(encoded), nil
}

// maxToken bounds what is decoded, in bytes: a name and a namespace fit in.
const maxToken = 2048

// after gives the place behind which the query goes on, nil for one that begins at the beginning.
func (q Query) after(kind reflect.Type) (*position, error) {
	if q.Continue == "" {
		return nil, nil
	}
	if q.Page > 1 {
		return nil, bad("send either page or continue: continue goes on behind the last page that was read")
	}
	malformed := bad("continue is not a token of this server: send what the last page had in its field continue, unchanged")
	if len(q.Continue) > maxToken {
		return nil, malformed
	}
	encoded, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(q.Continue, "="))
	if err != nil {
		return nil, malformed
	}
	var t token
	if err := json.Unmarshal(encoded, &t); err != nil || t.Version < 1 || t.Name == "" {
		return nil, malformed
	}
	if t.Version != tokenVersion {
		return nil, &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: http.StatusGone, Reason: metav1.StatusReasonExpired,
			Message: "continue is of another version of this server: begin again without it"}}
	}
	if t.List != q.listID(kind) {
		return nil, bad("continue is of another list: the address, the filters and the order must be those of the page that it is from")
	}
	return &position{created: t.Created, name: t.Name, namespace: t.Namespace}, nil
}
