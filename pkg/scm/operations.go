// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package scm

import (
	"context"
	"errors"
	"net/url"

	goscm "github.com/drone/go-scm/scm"
)

// states maps the states of commits to go-scm's.
var states = map[State]goscm.State{
	StatePending: goscm.StatePending, StateRunning: goscm.StateRunning, StateSuccess: goscm.StateSuccess,
	StateFailure: goscm.StateFailure, StateError: goscm.StateError, StateAborted: goscm.StateCanceled,
}

// Branches implements Client.
func (h *hosted) Branches(ctx context.Context, repository string, page Page) (branches []Branch, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	defer h.guard(&err)
	path, err := h.repositoryPath(repository)
	if err != nil {
		return nil, err
	}
	return window(page, h.dialect.pageSize(), func(page, size int) ([]Branch, bool, error) {
		refs, resp, err := h.api.Git.ListBranches(ctx, path, goscm.ListOptions{Page: page, Size: size})
		if err != nil {
			return nil, false, h.library(ctx, "list branches", resp, err)
		}
		items := make([]Branch, 0, len(refs))
		for _, ref := range refs {
			items = append(items, Branch{Name: ref.Name, Commit: ref.Sha})
		}
		return items, resp.Page.Next > page, nil
	})
}

// CreatePullRequest implements Client.
func (h *hosted) CreatePullRequest(ctx context.Context, repository string, in PullRequestInput) (made PullRequest, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	defer h.guard(&err)
	path, err := h.repositoryPath(repository)
	if err != nil {
		return made, err
	}
	pr, resp, err := h.api.PullRequests.Create(ctx, path, &goscm.PullRequestInput{Title: in.Title, Body: in.Body, Source: in.Source, Target: in.Target})
	if err != nil {
		return made, h.library(ctx, "make a pull request", resp, err)
	}
	return PullRequest{Number: pr.Number, URL: pr.Link}, nil
}

// CreateStatus implements Client.
func (h *hosted) CreateStatus(ctx context.Context, repository, commit string, status Status) (err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	defer h.guard(&err)
	path, err := h.repositoryPath(repository)
	if err != nil {
		return err
	}
	state, ok := states[status.State]
	if !ok {
		return failure(Invalid, "%q is no state of a commit", oneLine(string(status.State)))
	}
	_, resp, err := h.api.Repositories.CreateStatus(ctx, path, url.PathEscape(commit), &goscm.StatusInput{
		State: state, Label: status.Label, Title: status.Label, Desc: status.Description, Target: status.URL,
	})
	return h.library(ctx, "report about a commit", resp, err)
}

// maxHooks bounds the webhooks of a repository that are looked at.
const maxHooks = 1000

// ListHooks implements Client.
func (h *hosted) ListHooks(ctx context.Context, repository string) (hooks []Hook, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	defer h.guard(&err)
	path, err := h.repositoryPath(repository)
	if err != nil {
		return nil, err
	}
	return all(h.dialect.pageSize(), maxHooks, func(page, size int) ([]Hook, bool, error) {
		found, resp, err := h.api.Repositories.ListHooks(ctx, path, goscm.ListOptions{Page: page, Size: size})
		if err != nil {
			return nil, false, h.library(ctx, "list webhooks", resp, err)
		}
		items := make([]Hook, 0, len(found))
		for _, hook := range found {
			items = append(items, Hook{ID: hook.ID, Target: hook.Target, Active: hook.Active})
		}
		return items, resp.Page.Next > page, nil
	})
}

// CreateHook implements Client.
func (h *hosted) CreateHook(ctx context.Context, repository string, in HookInput) (hook Hook, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	defer h.guard(&err)
	path, err := h.repositoryPath(repository)
	if err != nil {
		return hook, err
	}
	if made, ok, err := h.dialect.createHook(ctx, h, path, in); ok || err != nil {
		return made, err
	}
	made, resp, err := h.api.Repositories.CreateHook(ctx, path, &goscm.HookInput{
		Name: in.Name, Target: in.Target, Secret: in.Secret, SkipVerify: in.SkipVerify,
		Events: goscm.HookEvents{Push: true, Tag: true, Branch: true, PullRequest: true},
	})
	if err != nil {
		return hook, h.library(ctx, "make a webhook", resp, err)
	}
	return Hook{ID: made.ID, Target: made.Target, Active: made.Active}, nil
}

// DeleteHook implements Client.
func (h *hosted) DeleteHook(ctx context.Context, repository, id string) (err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	defer h.guard(&err)
	path, err := h.repositoryPath(repository)
	if err != nil {
		return err
	}
	resp, err := h.api.Repositories.DeleteHook(ctx, path, url.PathEscape(id))
	if err = h.library(ctx, "delete a webhook", resp, err); errors.Is(err, NotFound) {
		return nil
	}
	return err
}
