// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kapis holds what the resource packages below it share: how a handler gets a client that
// acts as the user, and how a route says which right it needs.
package kapis

import (
	"context"

	"github.com/emicklei/go-restful/v3"
	"k8s.io/apiserver/pkg/authentication/user"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
)

// KeyAccess is the key of a route's metadata under which its Access is.
const KeyAccess = "slipway.access"

// Access is the right that a route needs, as authorization derives it from the request. A test
// compares the two for every route.
type Access struct {
	Verb, Group, Resource, Subresource string
}

// Clients gives clients that act as a user.
type Clients interface {
	ClientFor(u user.Info) (client.WithWatch, error)
}

// ClientFor gives a client that acts as the user of the request, and the user's name.
func ClientFor(ctx context.Context, clients Clients) (client.WithWatch, string, error) {
	u, ok := request.UserFrom(ctx)
	if !ok {
		return nil, "", response.Unauthorized("no user")
	}
	c, err := clients.ClientFor(u)
	if err != nil {
		return nil, "", err
	}
	return c, u.GetName(), nil
}

// Handler is a handler that reports its failure instead of writing it.
type Handler func(req *restful.Request, resp *restful.Response) error

// Handle makes a route's function of h: a failure is written in the format of the request's face.
func Handle(h Handler) restful.RouteFunction {
	return func(req *restful.Request, resp *restful.Response) {
		if err := h(req, resp); err != nil {
			response.Error(resp.ResponseWriter, req.Request, err)
		}
	}
}
