// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package steptemplate

import (
	"net/http"

	"github.com/emicklei/go-restful/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
)

// AddRoutes adds the routes.
func AddRoutes(ws *restful.WebService, deps crud.Deps) {
	docs := crud.Docs{
		Path: "/" + devopsv1alpha3.ClusterStepTemplateResource, Tag: "Step templates", Singular: "step template", Plural: "step templates",
		Object: devopsv1alpha3.ClusterStepTemplate{}, Page: response.List[devopsv1alpha3.ClusterStepTemplate]{},
	}
	crud.AddReadRoutes(ws, newHandler(deps), docs)
	access := kapis.Access{Verb: "get", Group: devopsv1alpha3.GroupName, Resource: devopsv1alpha3.ClusterStepTemplateResource}
	ws.Route(docs.Finish(ws.POST(docs.Path+"/{"+crud.ParamName+"}/render"), access).To(kapis.Handle(renderer{deps}.render)).
		Operation("renderClusterStepTemplate").
		Doc("Make a step of a step template").
		Notes("The body has the values of the parameters by their names. A Secret is read as the user; only its name and type are used.").
		Consumes(restful.MIME_JSON, "*/*").
		Param(ws.PathParameter(crud.ParamName, "name of the step template")).
		Param(ws.QueryParameter(querySecret, "Secret that the step is to use")).
		Param(ws.QueryParameter(querySecretNamespace, "namespace of the Secret")).
		Reads(Values{}).
		Returns(http.StatusOK, "OK", Rendered{}).
		Returns(http.StatusNotFound, "There is no such template or Secret", metav1.Status{}))
}
