// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
)

// PathPolicy says who may use a path that is no resource.
type PathPolicy int

const (
	// PathUnknown is not served: 404 for users, 401 for others.
	PathUnknown PathPolicy = iota
	// PathOpen is for anybody.
	PathOpen
	// PathAuthenticated is for every user. What is behind it asks for rights on its own.
	PathAuthenticated
	// PathGranted is for users to whom Kubernetes RBAC grants the path as a nonResourceURL.
	PathGranted
)

// WithAuthorization lets a request pass if its user has the right to it: 403 if not, 503 if that
// cannot be found out. The answer does not depend on whether the object exists.
func WithAuthorization(next http.Handler, auth authorizer.UnconditionalAuthorizer, policy func(*http.Request) PathPolicy) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info := infoFrom(r)
		if !info.IsResourceRequest {
			switch policy(r) {
			case PathOpen, PathAuthenticated:
				next.ServeHTTP(w, r)
				return
			case PathUnknown:
				response.Error(w, r, response.NotFoundPath(info.Path))
				return
			}
		}
		if err := check(r, auth, info); err != nil {
			response.Error(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func check(r *http.Request, auth authorizer.UnconditionalAuthorizer, info *request.Info) error {
	u, ok := request.UserFrom(r.Context())
	if !ok {
		// Authentication goes first; without a user nothing is allowed.
		return response.Unauthorized("no user")
	}
	attributes := authorizer.AttributesRecord{
		User: u, Verb: info.Verb, Namespace: info.Namespace, APIGroup: info.APIGroup, APIVersion: info.APIVersion,
		Resource: info.Resource, Subresource: info.Subresource, Name: info.Name,
		ResourceRequest: info.IsResourceRequest, Path: info.Path,
	}
	decision, _, err := auth.Authorize(r.Context(), attributes)
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case err != nil:
		return unavailable{err, "the permission cannot be checked at the moment; try again"}
	case decision != authorizer.DecisionAllow:
		return forbidden(u.GetName(), info)
	}
	return nil
}

// forbidden says which right is missing, in words that a cluster's administrator can turn into a
// role.
func forbidden(name string, info *request.Info) error {
	if !info.IsResourceRequest {
		return response.NewStatus(http.StatusForbidden, "Forbidden",
			fmt.Sprintf("user %q may not %s the path %q; an administrator can grant it as a nonResourceURL", name, info.Verb, info.Path))
	}
	resource := info.Resource
	if info.Subresource != "" {
		resource += "/" + info.Subresource
	}
	what := fmt.Sprintf("user %q may not %s %s.%s", name, info.Verb, resource, info.APIGroup)
	switch {
	case info.Namespace != "":
		what += fmt.Sprintf(" in namespace %q", info.Namespace)
	default:
		what += " in the whole cluster"
	}
	what = strings.ToValidUTF8(what, "?")
	return response.NewStatus(http.StatusForbidden, "Forbidden", what+"; the owner or an administrator can grant it with a Role and RoleBinding")
}
