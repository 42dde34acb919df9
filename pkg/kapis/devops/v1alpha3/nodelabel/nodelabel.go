// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package nodelabel serves the labels that a pipeline's agent can have: those of Jenkins, and those of
// the dev containers of projects that the user may look into.
package nodelabel

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emicklei/go-restful/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/kapis/rights"
	"github.com/slipway-dev/slipway/pkg/store"
)

const (
	// labelAge is for how long Jenkins' labels are used again.
	labelAge = 10 * time.Second
	// devPrefix begins the labels of dev containers: dc-<namespace>.<name>.
	devPrefix = "dc-"
)

// Jenkins knows labels; *jenkins.Client does. Errors are those of pkg/jenkins.
type Jenkins interface {
	AgentLabels(ctx context.Context) ([]string, error)
}

// Labels is the answer.
type Labels struct {
	// Status is success.
	Status string `json:"status"`
	// Data are the labels, sorted.
	Data []string `json:"data"`
	// Message is empty.
	Message string `json:"message"`
}

// Handler serves labels.
type Handler struct {
	deps       crud.Deps
	authorizer authorizer.UnconditionalAuthorizer
	jenkins    Jenkins

	// asking lets one request ask Jenkins, for all who wait.
	asking chan struct{}
	known  struct {
		sync.Mutex
		labels []string
		at     time.Time
	}
}

// New makes the handler. Without a Jenkins only labels of dev containers are known.
func New(deps crud.Deps, a authorizer.UnconditionalAuthorizer, j Jenkins) *Handler {
	return &Handler{deps: deps, authorizer: a, jenkins: j, asking: make(chan struct{}, 1)}
}

// List answers with all labels that the user may know.
func (h *Handler) List(req *restful.Request, resp *restful.Response) error {
	ctx := req.Request.Context()
	labels, err := h.ofJenkins(ctx)
	if err != nil {
		return err
	}
	own, err := h.ofDevContainers(ctx)
	if err != nil {
		return err
	}
	all := slices.Concat(labels, own)
	slices.Sort(all)
	if all = slices.Compact(all); all == nil {
		all = []string{}
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, Labels{Status: "success", Data: all})
	return nil
}

// ofJenkins gives Jenkins' labels, while it does not answer the last ones that are known. Those of dev
// containers are left out: they tell the names of other tenants' projects.
func (h *Handler) ofJenkins(ctx context.Context) ([]string, error) {
	if h.jenkins == nil {
		return nil, nil
	}
	if labels, fresh := h.last(); fresh {
		return labels, nil
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case h.asking <- struct{}{}:
		defer func() { <-h.asking }()
	}
	labels, fresh := h.last()
	if fresh {
		return labels, nil
	}
	found, err := h.jenkins.AgentLabels(ctx)
	switch {
	case err != nil && labels != nil && jenkins.Away(err):
		return labels, nil
	case err != nil:
		return nil, err
	}
	found = slices.DeleteFunc(slices.Clone(found), func(label string) bool { return strings.HasPrefix(label, devPrefix) })
	h.known.Lock()
	defer h.known.Unlock()
	h.known.labels, h.known.at = append([]string{}, found...), time.Now()
	return h.known.labels, nil
}

func (h *Handler) last() (labels []string, fresh bool) {
	h.known.Lock()
	defer h.known.Unlock()
	return h.known.labels, h.known.labels != nil && time.Since(h.known.at) < labelAge
}

var listApps = rights.Right{
	Verb: request.VerbList, Group: devcontainerv1.GroupVersion.Group, Version: devcontainerv1.GroupVersion.Version, Resource: "devcontainerapps",
}

// ofDevContainers gives the labels of the dev containers that have run and that the user may see.
func (h *Handler) ofDevContainers(ctx context.Context) ([]string, error) {
	u, ok := request.UserFrom(ctx)
	if !ok {
		return nil, response.Unauthorized("no user")
	}
	labels := map[string][]string{}
	query := store.All("")
	query.Limit = 1
	// Only names are collected, nothing is copied.
	if _, err := store.List(ctx, h.deps.Store, &devcontainerv1.DevcontainerAppList{}, query, func(app *devcontainerv1.DevcontainerApp) bool {
		if app.Status.ImageID != "" {
			labels[app.Namespace] = append(labels[app.Namespace], devPrefix+app.Namespace+"."+app.Name)
		}
		return false
	}); err != nil {
		return nil, err
	}
	visible, err := rights.Allowed(ctx, h.authorizer, u, listApps, slices.Sorted(maps.Keys(labels)))
	if err != nil {
		return nil, err
	}
	var own []string
	for namespace, list := range labels {
		if visible.Has(namespace) {
			own = append(own, list...)
		}
	}
	return own, nil
}

// AddRoutes adds the route.
func AddRoutes(ws *restful.WebService, deps crud.Deps, a authorizer.UnconditionalAuthorizer, j Jenkins) {
	h, docs := New(deps, a, j), crud.Docs{Tag: "Agents"}
	ws.Route(docs.Finish(ws.GET("/ci/nodelabels"), kapis.Access{}).To(kapis.Handle(h.List)).
		Operation("listNodeLabels").
		Doc("List the labels of agents").
		Notes("Those of Jenkins, some seconds old at most, and those of the dev containers that the user may list.").
		Returns(http.StatusOK, "OK", Labels{}).
		Returns(http.StatusBadGateway, "Jenkins failed", metav1.Status{}))
}
