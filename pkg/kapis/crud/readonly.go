// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package crud

import (
	"net/http"

	"github.com/emicklei/go-restful/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/pkg/kapis"
)

// AddReadRoutes adds list, watch and get to the web service, for kinds that are written with kubectl.
func AddReadRoutes[T client.Object](ws *restful.WebService, h *Handler[T], d Docs) {
	kind := h.kind.GVK.Kind
	access := func(verb string) kapis.Access {
		return kapis.Access{Verb: verb, Group: h.kind.GVK.Group, Resource: h.kind.Resource}
	}
	ws.Route(ListParams(ws, d.Finish(ws.GET(d.Path), access("list"))).To(kapis.Handle(h.List)).
		Operation("list"+kind+d.Suffix).
		Doc("List or watch "+d.Plural).
		Returns(http.StatusOK, "OK", d.Page))
	ws.Route(d.Finish(ws.GET(d.Path+"/{"+ParamName+"}"), access("get")).To(kapis.Handle(h.Get)).
		Operation("get"+kind+d.Suffix).
		Doc("Read a "+d.Singular).
		Param(ws.PathParameter(ParamName, "name of the "+d.Singular)).
		Returns(http.StatusOK, "OK", d.Object).
		Returns(http.StatusNotFound, "There is none of this name", metav1.Status{}))
}
