// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gitops is at the addresses of KubeSphere's GitOps API, which Slipway does not have: it says so.
package gitops

import (
	"net/http"
	"strings"

	"github.com/emicklei/go-restful/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
)

// Group is the group of the API.
const Group = "gitops.kubesphere.io"

// Root is the path below which the addresses are.
const Root = request.Root + "/" + Group + "/v1alpha1"

// WebService gives the routes.
func WebService() *restful.WebService {
	ws := new(restful.WebService)
	ws.Path(Root).Produces(restful.MIME_JSON)
	docs := crud.Docs{Tag: "GitOps"}
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		verb := strings.ToLower(method)
		ws.Route(docs.Finish(ws.Method(method).Path("/{path:*}"), kapis.Access{}).
			To(kapis.Handle(func(*restful.Request, *restful.Response) error {
				return response.NewStatus(http.StatusNotFound, metav1.StatusReasonNotFound,
					"GitOps is not a part of Slipway: Argo CD and Flux CD have interfaces of their own. Slipway runs pipelines and dev containers")
			})).
			Operation(verb+"GitOps").
			Doc("GitOps is not served").
			Notes("Consoles ask here for applications of Argo CD or Flux CD.").
			Consumes("*/*").
			Param(ws.PathParameter("path", "anything")).
			Returns(http.StatusNotFound, "Always", metav1.Status{}))
	}
	return ws
}
