// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package jenkinsproxy is at the addresses below which KubeSphere's servers pass any request to Jenkins
// with the rights of its administrator. Here nothing is passed on: two lists that consoles ask for at
// these addresses are answered, everything else is refused with the route to use instead.
package jenkinsproxy

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/emicklei/go-restful/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
)

const paramPath = "path"

// Addresses that are answered, below the prefix.
const (
	pathServers  = "gitlab/serverList"
	pathProjects = "gitlab/projectList"
)

// GitLab tells of GitLab servers and of the repositories on them, as what the user may see. Errors are
// answered as they are.
type GitLab interface {
	// Servers gives the servers that a project's pipelines can use.
	Servers(ctx context.Context, namespace string) ([]Server, error)
	// Projects gives the full names (group/name) of the repositories of a user or group on a server.
	Projects(ctx context.Context, namespace, server, owner string) ([]string, error)
}

// Server is a GitLab server.
type Server struct {
	// Name is what pipelines call it in their source.
	Name string `json:"name"`
	// ServerURL is its address.
	ServerURL string `json:"serverUrl,omitempty"`
}

// ServerList is a list in the envelope of Jenkins' GitLab plugin.
type ServerList struct {
	// Status is ok.
	Status string   `json:"status"`
	Data   []Server `json:"data"`
}

// ProjectList is a list in the envelope of Jenkins' GitLab plugin.
type ProjectList struct {
	// Status is ok.
	Status string `json:"status"`
	// Data are the full names of repositories.
	Data []string `json:"data"`
}

type handler struct{ gitlab GitLab }

// serve answers one of the two lists, or refuses.
func (h handler) serve(req *restful.Request, resp *restful.Response) error {
	ctx, namespace := req.Request.Context(), req.PathParameter(crud.ParamNamespace)
	path := strings.Trim(req.PathParameter(paramPath), "/")
	if namespace == "" || path != pathServers && path != pathProjects {
		return refuse(path)
	}
	if path == pathServers {
		list := ServerList{Status: statusOK, Data: []Server{}}
		if h.gitlab != nil {
			found, err := h.gitlab.Servers(ctx, namespace)
			if err != nil {
				return err
			}
			list.Data = append(list.Data, found...)
		}
		response.Write(resp.ResponseWriter, req.Request, http.StatusOK, list)
		return nil
	}
	server, owner := req.QueryParameter("server"), req.QueryParameter("owner")
	if server == "" || owner == "" {
		return apierrors.NewBadRequest("server and owner are needed: the name of a GitLab server, and a user or group on it")
	}
	list := ProjectList{Status: statusOK, Data: []string{}}
	if h.gitlab != nil {
		found, err := h.gitlab.Projects(ctx, namespace, server, owner)
		if err != nil {
			return err
		}
		list.Data = append(list.Data, found...)
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, list)
	return nil
}

// statusOK is the status by which consoles know a good answer.
const statusOK = "ok"

// instead names, by how a path in Jenkins begins or ends, the route that has the same.
var instead = []struct{ part, route string }{
	{"consoleText", "GET …/namespaces/{project}/pipelineruns/{run}/log"},
	{"progressiveText", "GET …/namespaces/{project}/pipelineruns/{run}/log"},
	{"artifact", "GET …/namespaces/{project}/pipelineruns/{run}/artifacts/download"},
	{"credentials", "…/namespaces/{project}/credentials"},
	{"checkScriptCompile", "POST …/namespaces/{project}/pipelines/{pipeline}/checkScriptCompile"},
	{"TimerTrigger", "POST …/namespaces/{project}/checkCron"},
	{"labelsdashboard", "GET /kapis/devops.kubesphere.io/v1alpha3/ci/nodelabels"},
	{"indexing", "GET …/namespaces/{project}/pipelines/{pipeline}/consolelog"},
	{"pipeline-model-converter", "PUT …/namespaces/{project}/pipelines/{pipeline}/jenkinsfile?mode=raw|json"},
	{"crumbIssuer", "none: no crumb is needed"},
	{"blue/rest/search", "GET /kapis/devops.kubesphere.io/v1alpha2/search"},
	{"build", "POST …/namespaces/{project}/pipelines/{pipeline}/pipelineruns"},
	{"job/", "…/namespaces/{project}/pipelines and …/pipelineruns"},
}

// refuse says that nothing is passed on to Jenkins, and what to use.
func refuse(path string) error {
	route := "the addresses that are served are listed at /openapi.json"
	for _, entry := range instead {
		if strings.Contains(path, entry.part) {
			route = "use " + entry.route
			break
		}
	}
	return response.NewStatus(http.StatusForbidden, metav1.StatusReasonForbidden, fmt.Sprintf(
		"requests are not passed on to Jenkins: with its administrator's rights they would reach the jobs of all projects; %s", route))
}

// AddRoutes adds the routes of one family of paths. Without a GitLab the two lists are empty.
func AddRoutes(ws *restful.WebService, gitlab GitLab, family crud.Family) {
	docs := family.Docs(ws, crud.Docs{Tag: "Jenkins", Suffix: "V1alpha2"})
	access := kapis.Access{Verb: "list", Group: devopsv1alpha3.GroupName, Resource: devopsv1alpha3.PipelineResource}
	addRoutes(ws, handler{gitlab}, docs, access, []string{http.MethodGet, http.MethodPost})
}

// AddRootRoutes adds the route that is below no project.
func AddRootRoutes(ws *restful.WebService) {
	addRoutes(ws, handler{}, crud.Docs{Tag: "Jenkins", Suffix: "OfAllV1alpha2"}, kapis.Access{}, []string{http.MethodGet})
}

func addRoutes(ws *restful.WebService, h handler, docs crud.Docs, access kapis.Access, methods []string) {
	for _, method := range methods {
		operation := map[string]string{http.MethodGet: "getFromJenkins", http.MethodPost: "postToJenkins"}[method]
		ws.Route(docs.Finish(ws.Method(method).Path(docs.Path+"/jenkins/{"+paramPath+":*}"), access).To(kapis.Handle(h.serve)).
			Operation(operation+docs.Suffix).
			Doc("Two lists of GitLab; nothing is passed on to Jenkins").
			Notes("Below a project "+pathServers+" lists the GitLab servers and "+pathProjects+" the repositories of a user or group on one. Every other "+
				"path is refused; the message names the route to use instead.").
			Consumes("*/*").
			Param(ws.PathParameter(paramPath, pathServers+" or "+pathProjects)).
			Param(ws.QueryParameter("server", "of "+pathProjects+": name of the GitLab server")).
			Param(ws.QueryParameter("owner", "of "+pathProjects+": user or group")).
			Returns(http.StatusOK, "OK", ServerList{}))
	}
}
