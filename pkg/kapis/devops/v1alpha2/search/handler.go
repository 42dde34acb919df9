// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package search finds pipelines by name, in one project or in all that the user may look into, with
// the query of Jenkins' Blue Ocean. It reads the informer cache only.
package search

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"github.com/emicklei/go-restful/v3"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha2/pipeline"
	"github.com/slipway-dev/slipway/pkg/kapis/rights"
	"github.com/slipway-dev/slipway/pkg/store"
)

// aliasAnnotation is KubeSphere's name for people to read; lists look into it, too.
const aliasAnnotation = "kubesphere.io/alias-name"

// Result is a page of what was found.
type Result struct {
	// Items are pipelines as Blue Ocean shows them, by project and name.
	Items []any `json:"items"`
	// TotalCount is how many there are on all pages.
	TotalCount int `json:"total_count"`
}

// Handler finds pipelines.
type Handler struct {
	deps       crud.Deps
	authorizer authorizer.UnconditionalAuthorizer
}

// New makes the handler.
func New(deps crud.Deps, a authorizer.UnconditionalAuthorizer) *Handler {
	return &Handler{deps: deps, authorizer: a}
}

// Search answers with a page. Projects in which the user may not list pipelines are as if they were not there.
func (h *Handler) Search(req *restful.Request, resp *restful.Response) error {
	ctx := req.Request.Context()
	wanted, err := parse(termsOf(req.Request.URL.RawQuery))
	if err != nil {
		return err
	}
	// The numbers are checked before anything is read.
	if _, _, err := pipeline.Range(req, 0); err != nil {
		return err
	}
	matches := func(p *devopsv1alpha3.Pipeline) bool {
		return wanted.matches(p.Name) || wanted.matches(p.Annotations[aliasAnnotation]) && p.Annotations[aliasAnnotation] != ""
	}
	visible, err := h.visible(ctx, wanted.namespace, matches)
	if err != nil {
		return err
	}
	query := store.All(wanted.namespace)
	query.Limit = 1
	count := 0
	found := map[string][]string{}
	// Only names are collected here, so that the page alone is copied.
	if _, err := store.List(ctx, h.deps.Store, &devopsv1alpha3.PipelineList{}, query, func(p *devopsv1alpha3.Pipeline) bool {
		if matches(p) && visible.Has(p.Namespace) {
			found[p.Namespace] = append(found[p.Namespace], p.Name)
			count++
		}
		return false
	}); err != nil {
		return err
	}
	from, to, err := pipeline.Range(req, count)
	if err != nil {
		return err
	}
	items, err := h.items(ctx, found, from, to)
	if err != nil {
		return err
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, Result{Items: items, TotalCount: count})
	return nil
}

// visible gives the namespaces with a match in which the user may list pipelines.
func (h *Handler) visible(ctx context.Context, namespace string, matches func(*devopsv1alpha3.Pipeline) bool) (rights.Namespaces, error) {
	u, ok := request.UserFrom(ctx)
	if !ok {
		return rights.Namespaces{}, response.Unauthorized("no user")
	}
	query := store.All(namespace)
	query.Limit = 1
	namespaces := map[string]bool{}
	if _, err := store.List(ctx, h.deps.Store, &devopsv1alpha3.PipelineList{}, query, func(p *devopsv1alpha3.Pipeline) bool {
		if !namespaces[p.Namespace] && matches(p) {
			namespaces[p.Namespace] = true
		}
		return false
	}); err != nil {
		return rights.Namespaces{}, err
	}
	return rights.Allowed(ctx, h.authorizer, u, listPipelines, slices.Sorted(maps.Keys(namespaces)))
}

var listPipelines = rights.Right{
	Verb: request.VerbList, Group: devopsv1alpha3.GroupName, Version: devopsv1alpha3.GroupVersion.Version, Resource: devopsv1alpha3.PipelineResource,
}

// items gives the part of what was found that is on the page, by project and name.
func (h *Handler) items(ctx context.Context, found map[string][]string, from, to int) ([]any, error) {
	items, at := make([]any, 0, to-from), 0
	for _, namespace := range slices.Sorted(maps.Keys(found)) {
		names := found[namespace]
		if at+len(names) <= from {
			at += len(names)
			continue
		}
		slices.Sort(names)
		for _, name := range names {
			if at >= to {
				return items, nil
			}
			if at++; at <= from {
				continue
			}
			p := &devopsv1alpha3.Pipeline{}
			if err := h.deps.Store.Get(ctx, namespace, name, p); err != nil {
				// It was deleted since; the page is shorter by it.
				continue
			}
			item, _ := pipeline.Describe(p)
			if p.Spec.Type != devopsv1alpha3.MultiBranchPipelineType {
				run, err := pipeline.LatestRun(ctx, h.deps.Store, p)
				if err != nil {
					return nil, err
				}
				item.LatestRun = run
			}
			items = append(items, item.Answer())
		}
	}
	return items, nil
}
