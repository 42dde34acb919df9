// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package scm

import (
	"net/http"

	restfulspec "github.com/emicklei/go-restful-openapi/v2"
	"github.com/emicklei/go-restful/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/pkg/kapis"
)

// Tag groups the routes in the API's description.
const Tag = "Source code servers"

// AddRoutes adds the routes.
func AddRoutes(ws *restful.WebService, deps Deps) {
	h := &handler{deps}
	ws.Route(Finish(ws, ws.POST("/scms/{scm}/verify")).To(kapis.Handle(h.verify)).
		Operation("verifySCM").
		Doc("Tell if a credential for a source code server is good").
		Notes("The answer is 200 also if it is not: its code says so, and its message what to do. The Secret is read as the user. A body is not read.").
		Consumes(restful.MIME_JSON, "*/*").
		Returns(http.StatusOK, "OK", Verification{}))
	ws.Route(failures(Finish(ws, ws.GET("/scms/{scm}/organizations"))).To(kapis.Handle(h.organizations)).
		Operation("listSCMOrganizations").
		Doc("List what the credential's user has repositories in").
		Param(ws.QueryParameter("includeUser", "list the user first").DataType("boolean").DefaultValue("false")).
		Param(ws.QueryParameter(QueryPageNumber, "page, from 1; without it all are listed").DataType("integer")).
		Param(ws.QueryParameter(QueryPageSize, "organizations a page").DataType("integer").DefaultValue("100")).
		Returns(http.StatusOK, "OK", []Organization{}))
	ws.Route(failures(Finish(ws, ws.GET("/scms/{scm}/organizations/{organization}/repositories"))).To(kapis.Handle(h.repositories)).
		Operation("listSCMRepositories").
		Doc("List the repositories of an organization or of the user").
		Notes("Bitbucket Server does not tell default branches in lists. A slash in the name of a group is %2F in the address.").
		Param(ws.PathParameter(paramOrganization, "name of the organization, group, workspace, project or user")).
		Param(ws.QueryParameter(QueryPageNumber, "page, from 1").DataType("integer").DefaultValue("1")).
		Param(ws.QueryParameter(QueryPageSize, "repositories a page, 500 at most").DataType("integer").DefaultValue("100")).
		Returns(http.StatusOK, "OK", Repositories{}))
}

// Finish adds to a route what all routes about servers have.
func Finish(ws *restful.WebService, route *restful.RouteBuilder) *restful.RouteBuilder {
	return route.
		Param(ws.PathParameter(paramSCM, "kind of server: github, gitlab, gitea, bitbucket, bitbucket_server (or bitbucket-server) or git")).
		Param(ws.QueryParameter(QueryServer, "address of the server; by default the public one. For git, that of a repository")).
		Param(ws.QueryParameter(QuerySecret, "Secret with the credential")).
		Param(ws.QueryParameter(QuerySecretNamespace, "namespace of the Secret")).
		Param(ws.QueryParameter(queryInsecure, "do not check the server's certificate").DataType("boolean").DefaultValue("false")).
		Param(ws.QueryParameter(queryCAName, "ConfigMap or Secret whose key ca.crt has the certificate of the authority of the server's")).
		Param(ws.QueryParameter(queryCANamespace, "namespace of that; by default the Secret's")).
		Metadata(restfulspec.KeyOpenAPITags, []string{Tag}).
		Returns(http.StatusBadRequest, "The request is not valid; the message says what", metav1.Status{}).
		Returns(http.StatusUnauthorized, "There is no token, or it is not valid", metav1.Status{}).
		Returns(http.StatusForbidden, "The user may not read the Secret, or the credential may not do this", metav1.Status{}).
		Returns(http.StatusTooManyRequests, "Too many requests, to Slipway or to the server; see Retry-After", metav1.Status{}).
		Returns(http.StatusServiceUnavailable, "Kubernetes cannot be reached; try again", metav1.Status{})
}

// failures adds those of servers.
func failures(route *restful.RouteBuilder) *restful.RouteBuilder {
	return route.
		Returns(http.StatusNotFound, "There is no such Secret or organization, or the credential may not see it", metav1.Status{}).
		Returns(http.StatusPreconditionRequired, "The server does not accept the credential", metav1.Status{}).
		Returns(http.StatusBadGateway, "The server cannot be reached, its certificate is not trusted, or it does not answer as one of its kind", metav1.Status{})
}
