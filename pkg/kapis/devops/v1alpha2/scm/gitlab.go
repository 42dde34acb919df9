// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package scm

import (
	"context"
	"net/http"
	"strings"

	"github.com/emicklei/go-restful/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	v3 "github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/scm"
	"github.com/slipway-dev/slipway/pkg/scm"
)

// GitLab answers what consoles ask Jenkins' GitLab plugin for, at the addresses gitlab/serverList and
// gitlab/projectList of the proxy of Jenkins. The answer is {"status":"ok","data":[…]}.
type GitLab struct{ deps Deps }

// NewGitLab makes it.
func NewGitLab(deps Deps) *GitLab { return &GitLab{deps} }

// GitLabServer is a GitLab server.
type GitLabServer struct {
	// Name is what gitlab_source.server_name of a Pipeline is.
	Name string `json:"name"`
	// URL is its address.
	URL string `json:"url"`
}

// GitLabProjects says whose projects are wanted.
type GitLabProjects struct {
	// Server is the name of a server; empty for the default one.
	Server string
	// Owner is a group, with those it is in, or a user.
	Owner string
	// Credential names a Secret that is read as the user; without a name only public projects are seen.
	Credential client.ObjectKey
}

// maxProjects bounds a list of projects.
const maxProjects = 1000

// Servers gives the GitLab servers, with gitlab.com.
func (g *GitLab) Servers(ctx context.Context) ([]GitLabServer, error) {
	list, err := g.deps.Servers.List(ctx, scm.GitLab)
	if err != nil {
		return nil, v3.Answer(err)
	}
	out := make([]GitLabServer, 0, len(list))
	for _, s := range list {
		out = append(out, GitLabServer{Name: s.Name, URL: s.URL})
	}
	return out, nil
}

// Projects gives the full paths of the projects of an owner. The context is one of a request: the Secret
// is read as its user.
func (g *GitLab) Projects(ctx context.Context, q GitLabProjects) ([]string, error) {
	if strings.Trim(q.Owner, "/ ") == "" {
		return nil, apierrors.NewBadRequest("give the owner of the projects, a group or user, in the query: owner=")
	}
	server, err := g.deps.Servers.Find(ctx, scm.GitLab, q.Server)
	if err != nil {
		return nil, v3.Answer(err)
	}
	c, err := v3.Connect(ctx, g.deps.Deps, v3.Choice{Provider: string(scm.GitLab), Server: server.URL, Secret: q.Credential})
	if err != nil {
		return nil, v3.Answer(err)
	}
	out := []string{}
	for page := 1; len(out) < maxProjects; page++ {
		found, err := c.Repositories(ctx, q.Owner, scm.Page{Number: page, Size: scm.DefaultPageSize})
		if err != nil {
			return nil, v3.Answer(err)
		}
		for _, r := range found {
			out = append(out, r.FullName)
		}
		if len(found) < scm.DefaultPageSize {
			break
		}
	}
	return out, nil
}

// GitLabList is the form of the answers.
type GitLabList[T any] struct {
	// Status is ok, or error.
	Status string `json:"status"`
	Data   []T    `json:"data"`
}

// ServeServers answers gitlab/serverList.
func (g *GitLab) ServeServers(req *restful.Request, resp *restful.Response) error {
	list, err := g.Servers(req.Request.Context())
	if err != nil {
		return err
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, GitLabList[GitLabServer]{Status: "ok", Data: list})
	return nil
}

// ServeProjects answers gitlab/projectList. The namespace is that of the request's path, where a credential
// of the query, credentialId, is.
func (g *GitLab) ServeProjects(req *restful.Request, resp *restful.Response, namespace string) error {
	q := GitLabProjects{Server: req.QueryParameter("server"), Owner: req.QueryParameter("owner")}
	if name := req.QueryParameter(queryCredential); name != "" {
		q.Credential = client.ObjectKey{Namespace: namespace, Name: name}
	}
	list, err := g.Projects(req.Request.Context(), q)
	if err != nil {
		return err
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, GitLabList[string]{Status: "ok", Data: list})
	return nil
}
