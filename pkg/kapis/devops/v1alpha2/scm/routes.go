// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package scm

import (
	"net/http"

	"github.com/emicklei/go-restful/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/pkg/kapis"
	v3 "github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/scm"
)

// AddRoutes adds the routes.
func AddRoutes(ws *restful.WebService, deps Deps) {
	h := &handler{deps}
	finish := func(route *restful.RouteBuilder) *restful.RouteBuilder {
		return v3.Finish(ws, route).
			Returns(http.StatusNotFound, "There is no such Secret, server or organization", metav1.Status{}).
			Returns(http.StatusPreconditionRequired, "The server does not accept the credential", metav1.Status{}).
			Returns(http.StatusBadGateway, "The server cannot be reached, its certificate is not trusted, or it does not answer as one of its kind", metav1.Status{})
	}
	credential := func(route *restful.RouteBuilder) *restful.RouteBuilder {
		return finish(route).
			Param(ws.QueryParameter(queryCredential, "the same as secret")).
			Param(ws.QueryParameter(queryCredentialSpace, "the same as secretNamespace")).
			Param(ws.QueryParameter(queryAPIURL, "the same as server"))
	}
	ws.Route(finish(ws.GET("/scms/{scm}/servers")).To(kapis.Handle(h.servers)).
		Operation("listSCMServers").
		Doc("List the servers of a kind").
		Returns(http.StatusOK, "OK", []Server{}))
	ws.Route(finish(ws.POST("/scms/{scm}/servers")).To(kapis.Handle(h.addServer)).
		Operation("addSCMServer").
		Doc("Add a server").
		Notes("It is written, as the user, to the ConfigMap slipway-scm-servers of the system namespace. One of the same name is replaced.").
		Consumes(restful.MIME_JSON).
		Reads(NewServer{}).
		Returns(http.StatusOK, "OK", Server{}).
		Returns(http.StatusConflict, "The name is that of a server of the configuration", metav1.Status{}))
	ws.Route(credential(ws.GET("/scms/{scm}/organizations")).To(kapis.Handle(h.organizations)).
		Operation("listSCMOrganizationsV2").
		Doc("List the user and the organizations").
		Deprecate().
		Returns(http.StatusOK, "OK", []Organization{}))
	ws.Route(credential(ws.GET("/scms/{scm}/organizations/{organization}/repositories")).To(kapis.Handle(h.repositories)).
		Operation("listSCMRepositoriesV2").
		Doc("List the repositories of an organization or of the user").
		Deprecate().
		Param(ws.PathParameter("organization", "name of the organization")).
		Param(ws.QueryParameter(v3.QueryPageNumber, "page, from 1").DataType("integer").DefaultValue("1")).
		Param(ws.QueryParameter(v3.QueryPageSize, "repositories a page").DataType("integer").DefaultValue("100")).
		Returns(http.StatusOK, "OK", Repositories{}))
	ws.Route(credential(ws.POST("/scms/{scm}/verify")).To(kapis.Handle(h.verify)).
		Operation("verifySCMV2").
		Doc("Tell if a credential for a source code server is good").
		Notes("The values of the body are tried and not stored; without any, the Secret of the query is.").
		Deprecate().
		Consumes(restful.MIME_JSON).
		Reads(Credential{}).
		Returns(http.StatusOK, "The credential is good", Verified{}))
}
