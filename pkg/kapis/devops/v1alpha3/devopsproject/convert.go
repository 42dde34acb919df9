// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devopsproject

import (
	"context"
	"fmt"
	"net/http"

	"github.com/emicklei/go-restful/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/store"
)

// belongs tells if a project is in the workspace of the path, if that names one.
func belongs(req *restful.Request, project *devopsv1alpha3.DevOpsProject) bool {
	workspace := req.PathParameter(ParamWorkspace)
	return workspace == "" || project.Labels[devopsv1alpha3.WorkspaceLabel] == workspace
}

// prepare puts the project into the workspace of the path. A display name (the generateName) is taken
// once in a workspace.
func (h *Handler) prepare(ctx context.Context, w crud.Write[*devopsv1alpha3.DevOpsProject]) error {
	workspace, project := w.Request.PathParameter(ParamWorkspace), w.Object
	if workspace != "" {
		if messages := validation.IsValidLabelValue(workspace); len(messages) > 0 {
			return apierrors.NewBadRequest(fmt.Sprintf("workspace %q: %s", workspace, messages[0]))
		}
		if project.Labels == nil {
			project.Labels = map[string]string{}
		}
		project.Labels[devopsv1alpha3.WorkspaceLabel] = workspace
	}
	if !w.Create || project.Name != "" {
		return nil
	}
	taken, err := h.byDisplayName(ctx, workspace, project.GenerateName)
	if err != nil {
		return err
	}
	if taken != nil {
		return response.NewStatus(http.StatusConflict, "AlreadyExists",
			fmt.Sprintf("workspace %q already has a project %q (its name is %s)", workspace, project.GenerateName, taken.Name))
	}
	return nil
}

// byDisplayName gives the project that the user called so, nil if there is none.
func (h *Handler) byDisplayName(ctx context.Context, workspace, name string) (*devopsv1alpha3.DevOpsProject, error) {
	page, err := store.List(ctx, h.store, &devopsv1alpha3.DevOpsProjectList{}, store.All(""), func(p *devopsv1alpha3.DevOpsProject) bool {
		inWorkspace := workspace == "" || p.Labels[devopsv1alpha3.WorkspaceLabel] == workspace
		return inWorkspace && (p.GenerateName == name || p.Name == name)
	})
	if err != nil || len(page.Items) == 0 {
		return nil, err
	}
	return page.Items[0], nil
}
