// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package devopsproject serves DevOpsProjects, the projects of a workspace.
package devopsproject

import (
	"net/http"

	"github.com/emicklei/go-restful/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/store"
)

// ParamWorkspace is the path parameter of the workspace.
const ParamWorkspace = "workspace"

// Handler serves projects.
type Handler struct {
	*crud.Handler[*devopsv1alpha3.DevOpsProject]
	store *store.Store
	live  client.Reader
}

// New makes the handler. live reads from Kubernetes itself, for names that must not be given twice; without it the cache has to do.
func New(deps crud.Deps, live client.Reader) *Handler {
	h := &Handler{store: deps.Store, live: live}
	h.Handler = crud.New(crud.Kind[*devopsv1alpha3.DevOpsProject]{
		GVK:      devopsv1alpha3.GroupVersion.WithKind(devopsv1alpha3.DevOpsProjectKind),
		Resource: devopsv1alpha3.DevOpsProjectResource,
		New:      func() *devopsv1alpha3.DevOpsProject { return &devopsv1alpha3.DevOpsProject{} },
		NewList:  func() client.ObjectList { return &devopsv1alpha3.DevOpsProjectList{} },
		// The project's namespace has its name.
		CheckName: validation.NameIsDNSLabel,
		Prepare:   h.prepare,
		Belongs:   belongs,
		Forms:     true,
	}, deps)
	return h
}

// Existence answers whether something of a name is there.
type Existence struct {
	// Exist is true if it is.
	Exist bool `json:"exist"`
}

// Get answers with one project. With generateName=true the path holds the name under which the user
// made it; with check=true the answer is only whether that is taken.
func (h *Handler) Get(req *restful.Request, resp *restful.Response) error {
	byDisplayName, check := req.QueryParameter("generateName") == "true", req.QueryParameter("check") == "true"
	if !byDisplayName && !check {
		return h.Handler.Get(req, resp)
	}
	name := req.PathParameter(crud.ParamName)
	found, err := h.byDisplayName(req.Request.Context(), req.PathParameter(ParamWorkspace), name)
	if err != nil {
		return err
	}
	switch {
	case check:
		response.Write(resp.ResponseWriter, req.Request, http.StatusOK, Existence{Exist: found != nil})
	case found == nil:
		return apierrors.NewNotFound(devopsv1alpha3.Resource(devopsv1alpha3.DevOpsProjectResource), name)
	default:
		response.Write(resp.ResponseWriter, req.Request, http.StatusOK, found)
	}
	return nil
}
