// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package crumb answers clients that ask for a crumb before they send something, as Jenkins wants it.
// This server needs none: it takes no cookies, so no other page can send a request as the user.
package crumb

import (
	"net/http"

	"github.com/emicklei/go-restful/v3"

	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
)

// Crumb is the answer in the form of Jenkins.
type Crumb struct {
	// Class is the Java class of Jenkins' answer.
	Class string `json:"_class"`
	// Crumb is the value of the header; nothing reads it.
	Crumb string `json:"crumb"`
	// CrumbRequestField is the name of the header.
	CrumbRequestField string `json:"crumbRequestField"`
}

// AddRoutes adds the route.
func AddRoutes(ws *restful.WebService) {
	docs := crud.Docs{Tag: "Checks"}
	ws.Route(docs.Finish(ws.GET("/crumbissuer"), kapis.Access{}).
		To(func(req *restful.Request, resp *restful.Response) {
			response.Write(resp.ResponseWriter, req.Request, http.StatusOK, Crumb{
				Class: "hudson.security.csrf.DefaultCrumbIssuer", Crumb: "not-needed", CrumbRequestField: "Jenkins-Crumb",
			})
		}).
		Operation("getCrumbV1alpha2").
		Doc("Get a crumb").
		Notes("For clients of Jenkins. This server needs no crumb and ignores the header.").
		Returns(http.StatusOK, "OK", Crumb{}))
}
