// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package request

import (
	"context"

	"k8s.io/apiserver/pkg/authentication/user"
)

type contextKey int

const (
	infoKey contextKey = iota
	userKey
	idKey
	recordKey
)

// WithInfo adds what the request addresses.
func WithInfo(ctx context.Context, info *Info) context.Context {
	return context.WithValue(ctx, infoKey, info)
}

// InfoFrom gives what the request addresses.
func InfoFrom(ctx context.Context) (*Info, bool) {
	info, ok := ctx.Value(infoKey).(*Info)
	return info, ok
}

// WithUser adds the authenticated user.
func WithUser(ctx context.Context, u user.Info) context.Context {
	return context.WithValue(ctx, userKey, u)
}

// UserFrom gives the authenticated user. Anonymous callers have none.
func UserFrom(ctx context.Context) (user.Info, bool) {
	u, ok := ctx.Value(userKey).(user.Info)
	return u, ok
}

// WithID adds the request's id.
func WithID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, idKey, id)
}

// IDFrom gives the request's id, "" if it has none.
func IDFrom(ctx context.Context) string {
	id, _ := ctx.Value(idKey).(string)
	return id
}

// Record collects, while a request is served, what outer filters log about it when it has ended.
// Only the goroutine that serves the request may touch it.
type Record struct {
	// User is the name of the authenticated user, "" before authentication.
	User string
}

// WithRecord adds the record.
func WithRecord(ctx context.Context, record *Record) context.Context {
	return context.WithValue(ctx, recordKey, record)
}

// RecordFrom gives the record; one that nobody reads if the context has none.
func RecordFrom(ctx context.Context) *Record {
	if record, ok := ctx.Value(recordKey).(*Record); ok {
		return record
	}
	return &Record{}
}
