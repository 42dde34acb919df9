// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"net/http"
	"net/url"

	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
)

// headerRawQuery is where KubeSphere's gateway repeats the query of a request that goes to another cluster through proxies
// which may lose it.
const headerRawQuery = "X-KubeSphere-Rawquery"

// withQuery gives the address with the query of the header, if it has none itself.
func withQuery(r *http.Request) *url.URL {
	query := r.Header.Get(headerRawQuery)
	if query == "" || r.URL.RawQuery != "" {
		return r.URL
	}
	address := *r.URL
	address.RawQuery = query
	return &address
}

// WithRequestInfo resolves alias paths and reads what the request addresses. Addresses that could be
// read in two ways end here. The error format of the path's face is set for all that follows.
func WithRequestInfo(next http.Handler, faces *response.Faces) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := response.WithErrorWriter(r.Context(), faces.For(r.URL.Path))
		r = r.WithContext(ctx)
		if path := request.ResolveAlias(r.URL.Path); path != r.URL.Path {
			address := *r.URL
			address.Path = path
			if address.RawPath != "" {
				address.RawPath = request.ResolveAlias(address.RawPath)
			}
			r.URL = &address
		}
		r.URL = request.ResolveNames(withQuery(r))
		info, err := request.Parse(r)
		if err != nil {
			response.Error(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(request.WithInfo(ctx, info)))
	})
}

// infoFrom gives the request's info; an empty one for a request that did not pass WithRequestInfo.
func infoFrom(r *http.Request) *request.Info {
	if info, ok := request.InfoFrom(r.Context()); ok {
		return info
	}
	return &request.Info{Path: r.URL.Path}
}
