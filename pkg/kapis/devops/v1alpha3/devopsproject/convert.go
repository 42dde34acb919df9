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
	"sigs.k8s.io/controller-runtime/pkg/client"

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
	taken, err := h.taken(ctx, workspace, project.GenerateName)
	if err != nil {
		return err
	}
	if taken != nil {
		return response.NewStatus(http.StatusConflict, "AlreadyExists",
			fmt.Sprintf("workspace %q already has a project %q (its name is %s)", workspace, project.GenerateName, taken.Name))
	}
	return nil
}

// taken gives the project that has a display name already. It asks Kubernetes itself: who sends a form
// twice does it faster than a cache learns of the first.
func (h *Handler) taken(ctx context.Context, workspace, name string) (*devopsv1alpha3.DevOpsProject, error) {
	if h.live == nil {
		return h.byDisplayName(ctx, workspace, name)
	}
	var options []client.ListOption
	if workspace != "" {
		options = append(options, client.MatchingLabels{devopsv1alpha3.WorkspaceLabel: workspace})
	}
	list := &devopsv1alpha3.DevOpsProjectList{}
	if err := h.live.List(ctx, list, options...); err != nil {
		return nil, fmt.Errorf("list projects: %w", err)
	}
	for i := range list.Items {
		if hasDisplayName(&list.Items[i], name) {
			return &list.Items[i], nil
		}
	}
	return nil, nil //nolint:nilnil // no project is no error
}

func hasDisplayName(p *devopsv1alpha3.DevOpsProject, name string) bool {
	return p.GenerateName == name || p.Name == name
}

// byDisplayName gives the project that the user called so, nil if there is none.
func (h *Handler) byDisplayName(ctx context.Context, workspace, name string) (*devopsv1alpha3.DevOpsProject, error) {
	page, err := store.List(ctx, h.store, &devopsv1alpha3.DevOpsProjectList{}, store.All(""), func(p *devopsv1alpha3.DevOpsProject) bool {
		inWorkspace := workspace == "" || p.Labels[devopsv1alpha3.WorkspaceLabel] == workspace
		return inWorkspace && hasDisplayName(p, name)
	})
	if err != nil || len(page.Items) == 0 {
		return nil, err
	}
	return page.Items[0], nil
}
