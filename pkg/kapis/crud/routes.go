// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package crud

import (
	"net/http"

	restfulspec "github.com/emicklei/go-restful-openapi/v2"
	"github.com/emicklei/go-restful/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis"
)

// Docs describes the routes of a kind in one place.
type Docs struct {
	// Path is the collection's path below the web service's root.
	Path string
	// Tag groups the routes in the description.
	Tag string
	// Suffix ends the ids of operations, which must differ between families of paths.
	Suffix string
	// Singular and Plural are the kind in words.
	Singular, Plural string
	// Object and Page are values of the types of answers.
	Object, Page any
	// OwnGet leaves out the route that reads one object: the kind has its own.
	OwnGet bool
	// Deprecated marks an older family of paths.
	Deprecated bool
	// Params are the parameters of the collection's path.
	Params []*restful.Parameter
	// ListParams are parameters of lists besides those of all kinds.
	ListParams []*restful.Parameter
}

// AddRoutes adds list, watch, create, get, update and delete to the web service.
func AddRoutes[T client.Object](ws *restful.WebService, h *Handler[T], d Docs) {
	collection, object := d.Path, d.Path+"/{"+ParamName+"}"
	kind := h.kind.GVK.Kind
	access := func(verb string) kapis.Access {
		return kapis.Access{Verb: verb, Group: h.kind.GVK.Group, Resource: h.kind.Resource}
	}
	name := ws.PathParameter(ParamName, "name of the "+d.Singular)

	list := ListParams(ws, d.Finish(ws.GET(collection), access("list")))
	for _, param := range d.ListParams {
		list = list.Param(param)
	}
	ws.Route(list.To(kapis.Handle(h.List)).
		Operation("list"+kind+d.Suffix).
		Doc("List or watch "+d.Plural).
		Notes("With watch=true the answer is a stream of lines of JSON, {\"type\":…,\"object\":…}: first ADDED for what is there, then "+
			"every change. Empty lines keep the connection open. After BOOKMARK or any other event a watch can go on from the "+
			"object's resourceVersion.").
		Returns(http.StatusOK, "OK", d.Page))
	ws.Route(d.Finish(ws.POST(collection), access("create")).To(kapis.Handle(h.Create)).
		Operation("create"+kind+d.Suffix).
		Doc("Create a "+d.Singular).
		Consumes(restful.MIME_JSON).
		Reads(d.Object).
		Returns(http.StatusCreated, "Created", d.Object).
		Returns(http.StatusConflict, "The name is taken", metav1.Status{}).
		Returns(http.StatusUnprocessableEntity, "The object is not valid", metav1.Status{}))
	if !d.OwnGet {
		ws.Route(d.Finish(ws.GET(object), access("get")).To(kapis.Handle(h.Get)).
			Operation("get"+kind+d.Suffix).
			Doc("Read a "+d.Singular).
			Param(name).
			Returns(http.StatusOK, "OK", d.Object).
			Returns(http.StatusNotFound, "There is none of this name", metav1.Status{}))
	}
	ws.Route(d.Finish(ws.PUT(object), access("update")).To(kapis.Handle(h.Update)).
		Operation("update"+kind+d.Suffix).
		Doc("Replace a "+d.Singular).
		Notes("The body is what was read, with changes; metadata.resourceVersion must be that of the read.").
		Consumes(restful.MIME_JSON).
		Param(name).
		Reads(d.Object).
		Returns(http.StatusOK, "OK", d.Object).
		Returns(http.StatusNotFound, "There is none of this name", metav1.Status{}).
		Returns(http.StatusConflict, "It was changed since it was read", metav1.Status{}).
		Returns(http.StatusUnprocessableEntity, "The object is not valid", metav1.Status{}))
	ws.Route(d.Finish(ws.DELETE(object), access("delete")).To(kapis.Handle(h.Delete)).
		Operation("delete"+kind+d.Suffix).
		Doc("Delete a "+d.Singular).
		Param(name).
		Returns(http.StatusOK, "OK", response.Message{}).
		Returns(http.StatusNotFound, "There is none of this name", metav1.Status{}))
}

// Finish adds to a route what all routes have: parameters of the path, tag, the right that it needs,
// and the errors that every request can end with. Without an access the handler decides who may have what.
func (d Docs) Finish(route *restful.RouteBuilder, access kapis.Access) *restful.RouteBuilder {
	for _, param := range d.Params {
		route = route.Param(param)
	}
	if d.Deprecated {
		route = route.Deprecate()
	}
	if access != (kapis.Access{}) {
		route = route.Metadata(kapis.KeyAccess, access)
	}
	return route.
		Metadata(restfulspec.KeyOpenAPITags, []string{d.Tag}).
		Returns(http.StatusBadRequest, "The request is not valid; the message says what", metav1.Status{}).
		Returns(http.StatusUnauthorized, "There is no token, or it is not valid", metav1.Status{}).
		Returns(http.StatusForbidden, "The user lacks the right", metav1.Status{}).
		Returns(http.StatusTooManyRequests, "Too many requests; see Retry-After", metav1.Status{}).
		Returns(http.StatusServiceUnavailable, "Kubernetes or Jenkins cannot be reached; try again", metav1.Status{})
}

// ListParams adds the parameters of the query of lists.
func ListParams(ws *restful.WebService, route *restful.RouteBuilder) *restful.RouteBuilder {
	return route.
		Param(ws.QueryParameter("page", "page, from 1").DataType("integer").DefaultValue("1")).
		Param(ws.QueryParameter("limit", "objects a page; -1 for all").DataType("integer").DefaultValue("-1")).
		Param(ws.QueryParameter("continue", "the field continue of the page before: goes on behind it, whatever was made or deleted since; instead of page")).
		Param(ws.QueryParameter("sortBy", "field to sort by: name, or creationTimestamp, which every other value stands for").DefaultValue("creationTimestamp")).
		Param(ws.QueryParameter("ascending", "oldest or least first").DataType("boolean").DefaultValue("false")).
		Param(ws.QueryParameter("name", "part of the name or alias")).
		Param(ws.QueryParameter("labelSelector", "labels, as in kubectl -l")).
		Param(ws.QueryParameter("watch", "stream changes instead of a list").DataType("boolean").DefaultValue("false")).
		Param(ws.QueryParameter("resourceVersion", "version after which a watch begins")).
		Param(ws.QueryParameter("timeoutSeconds", "seconds after which a watch ends").DataType("integer"))
}

// Family is one of the families of paths of a namespace's objects.
type Family string

// The families.
const (
	// FamilyNamespaces is /namespaces/{namespace}, of the console's version 4.
	FamilyNamespaces Family = "namespaces"
	// FamilyDevOps is /devops/{namespace}, of version 3.
	FamilyDevOps Family = "devops"
)

// Families are all of them.
var Families = []Family{FamilyNamespaces, FamilyDevOps}

// Docs places the docs of a collection below the namespace.
func (f Family) Docs(ws *restful.WebService, d Docs) Docs {
	d.Path = "/" + string(f) + "/{" + ParamNamespace + "}" + d.Path
	d.Params = append([]*restful.Parameter{ws.PathParameter(ParamNamespace, "namespace of the project")}, d.Params...)
	if f == FamilyDevOps {
		d.Suffix += "Devops"
		d.Deprecated = true
	}
	return d
}
