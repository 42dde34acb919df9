// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"net/http"

	restfulspec "github.com/emicklei/go-restful-openapi/v2"
	"github.com/emicklei/go-restful/v3"
)

// TokenPath is the address of the token endpoint.
const TokenPath = "/oauth/token"

// WebService gives the routes.
func WebService(h *Handler) *restful.WebService {
	ws := new(restful.WebService)
	ws.Path("/oauth").Produces(restful.MIME_JSON)
	ws.Route(ws.POST("/token").To(h.Token).
		Operation("createToken").
		Doc("Log in").
		Notes("The password grant of OAuth 2.0. The token goes into the header Authorization: Bearer of all other requests.").
		Consumes("application/x-www-form-urlencoded", "*/*").
		Param(ws.FormParameter("grant_type", "password").Required(true).DefaultValue("password")).
		Param(ws.FormParameter("username", "name of the user").Required(true)).
		Param(ws.FormParameter("password", "password of the user").Required(true).DataFormat("password")).
		Returns(http.StatusOK, "OK", Token{}).
		Returns(http.StatusBadRequest, "The request is not valid, or name or password are wrong", Error{}).
		Returns(http.StatusTooManyRequests, "Too many failed attempts; see Retry-After", Error{}).
		Returns(http.StatusServiceUnavailable, "Kubernetes cannot be reached; try again", Error{}).
		Metadata(restfulspec.KeyOpenAPITags, []string{"Login"}))
	return ws
}
