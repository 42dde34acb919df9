// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devstar

import (
	"context"
	"errors"
	"net/http"

	"github.com/emicklei/go-restful/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/pkg/apiserver"
	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis"
)

// errAnonymous says that a request came this far without a user.
var errAnonymous = errors.New("the request has no user")

// Options are what a program chooses of the face; see Config for their meaning and defaults.
type Options struct {
	// Host is what SSH clients connect to.
	Host string
	// DefaultImage is the image where a GitRepository names none.
	DefaultImage string
	// KeyBits is the length of temporary keys.
	KeyBits int
}

// Face gives the face for an API server.
func Face(options Options) apiserver.Face {
	return apiserver.Face{
		Prefixes: Prefixes,
		Errors: response.ErrorWriterFunc(func(w http.ResponseWriter, r *http.Request, status *metav1.Status) {
			WriteError(w, r, int(status.Code), status.Message)
		}),
		WebServices: func(backend apiserver.Backend) ([]*restful.WebService, error) {
			handler, err := New(Config{
				Reader:       backend.Reader,
				Host:         options.Host,
				DefaultImage: options.DefaultImage,
				KeyBits:      options.KeyBits,
				ClientFor: func(ctx context.Context) (client.WithWatch, error) {
					c, _, err := kapis.ClientFor(ctx, backend.Clients)
					return c, err
				},
				UserFrom: func(ctx context.Context) (string, bool) {
					user, ok := request.UserFrom(ctx)
					if !ok {
						return "", false
					}
					return user.GetName(), true
				},
				Allowed: func(ctx context.Context, access Access) (bool, error) {
					return allowed(ctx, backend.Authorizer, access)
				},
			})
			if err != nil {
				return nil, err
			}
			return handler.WebServices(), nil
		},
	}
}

// allowed asks the authorizer. Whatever is not a clear yes is a no.
func allowed(ctx context.Context, auth authorizer.UnconditionalAuthorizer, access Access) (bool, error) {
	user, ok := request.UserFrom(ctx)
	if !ok {
		return false, errAnonymous
	}
	decision, _, err := auth.Authorize(ctx, authorizer.AttributesRecord{
		User: user, Verb: access.Verb, APIGroup: access.Group, APIVersion: "*", Resource: access.Resource,
		Namespace: access.Namespace, Name: access.Name, ResourceRequest: true,
	})
	if err != nil {
		return false, err
	}
	return decision == authorizer.DecisionAllow, nil
}
