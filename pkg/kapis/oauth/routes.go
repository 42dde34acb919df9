// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"net/http"

	restfulspec "github.com/emicklei/go-restful-openapi/v2"
	"github.com/emicklei/go-restful/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/pkg/kapis"
)

// Addresses that anybody may send to.
const (
	// TokenPath is the address of the token endpoint.
	TokenPath = "/oauth/token"
	// ReviewPath is where Jenkins and others ask whose token one is.
	ReviewPath = "/oauth/authenticate"
)

// WebService gives the routes.
func WebService(h *Handler, v *Reviewer) *restful.WebService {
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
	ws.Route(ws.POST("/authenticate").To(kapis.Handle(v.Review)).
		Operation("reviewToken").
		Doc("Tell whose token one is").
		Notes("For Jenkins' login by tokens of KubeSphere, in the form of Kubernetes' TokenReview. Why a token is not good is not told.").
		Consumes(restful.MIME_JSON).
		Reads(Review{}).
		Returns(http.StatusOK, "OK, also for a token that is not good", ReviewResult{}).
		Returns(http.StatusBadRequest, "The request is not valid", metav1.Status{}).
		Returns(http.StatusTooManyRequests, "Too many tokens that were not good; see Retry-After", metav1.Status{}).
		Returns(http.StatusServiceUnavailable, "Kubernetes cannot be reached; try again", metav1.Status{}).
		Metadata(restfulspec.KeyOpenAPITags, []string{"Login"}))
	return ws
}
