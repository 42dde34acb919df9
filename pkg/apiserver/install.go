// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/emicklei/go-restful/v3"
	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/pkg/apiserver/filters"
	"github.com/slipway-dev/slipway/pkg/apiserver/openapi"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/authn/password"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	devcontainerv1 "github.com/slipway-dev/slipway/pkg/kapis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/jenkinsjob"
	devopsv1alpha2 "github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha2"
	scmv1alpha2 "github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha2/scm"
	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/gitrepository"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/pipelinerun"
	scmv1alpha3 "github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/scm"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/webhook"
	"github.com/slipway-dev/slipway/pkg/kapis/gitops"
	"github.com/slipway-dev/slipway/pkg/kapis/oauth"
	"github.com/slipway-dev/slipway/pkg/metrics"
	"github.com/slipway-dev/slipway/pkg/scm"
	scmhook "github.com/slipway-dev/slipway/pkg/scm/hook"
	"github.com/slipway-dev/slipway/pkg/version"
)

// webServices gives everything that is described and routed by go-restful.
func (s *Server) webServices() ([]*restful.WebService, error) {
	c := s.config
	deps := crud.Deps{
		Store:      s.store,
		Clients:    c.Clients,
		SlowClient: s.metrics.SlowClient, WriteTimeout: c.Limits.StreamWrite,
	}
	runs := pipelinerun.New(deps, c.Sources)
	branches := jenkinsjob.NewBranches(c.JenkinsAPI)
	servers, receiver := s.sourceCodeServers()
	s.receiver = receiver
	gitlab := c.GitLab
	if gitlab == nil && c.SCM != nil {
		gitlab = scmv1alpha2.NewGitLab(servers)
	}
	services := []*restful.WebService{
		devopsv1alpha3.WebService(devopsv1alpha3.Deps{Deps: deps, Runs: runs, ValidateJenkinsfile: c.ValidateJenkinsfile,
			Credentials: c.Credentials, Live: c.Client, Authorizer: c.Authorizer, Labels: c.JenkinsAPI, Branches: branches,
			Files:   gitrepository.FilesDeps{Git: c.Git, Uploads: c.GitUploads, Live: c.Client},
			Webhook: webhook.Deps{Secret: c.WebhookSecret, Reader: s.store.Reader(), Client: c.Client},
			SCM:     servers.Deps, Receiver: receiver}),
		devopsv1alpha2.WebService(devopsv1alpha2.Deps{Deps: deps, Reader: s.store.Reader(), Runs: runs, Client: c.Client, Authorizer: c.Authorizer,
			Branches: branches, Jenkins: c.JenkinsAPI, Credentials: c.Credentials, SonarQube: c.SonarQube, GitLab: gitlab, SCM: servers, Receiver: receiver, Binaries: c.Binaries}),
		gitops.WebService(),
		devcontainerv1.WebService(deps),
		oauth.WebService(oauth.New(password.New(c.Client, c.SystemNamespace), c.issuer, func() { s.metrics.Reject(metrics.RejectedLogin) }),
			oauth.NewReviewer(c.authenticator, func() { s.metrics.Reject(metrics.RejectedLogin) })),
	}
	backend := Backend{Reader: c.Reader, Client: c.Client, Clients: c.Clients, Authorizer: c.Authorizer}
	for _, face := range c.Faces {
		own, err := face.WebServices(backend)
		if err != nil {
			return nil, fmt.Errorf("apiserver: face at %v: %w", face.Prefixes, err)
		}
		services = append(services, own...)
	}
	return services, nil
}

// sourceCodeServers makes what talks to source code servers, and what takes their events.
func (s *Server) sourceCodeServers() (scmv1alpha2.Deps, *scmhook.Receiver) {
	c := s.config
	var settings SCM
	if c.SCM != nil {
		settings = *c.SCM
	}
	servers := scm.NewDirectory(settings.Servers, c.Client, c.SystemNamespace)
	deps := scmv1alpha2.Deps{Deps: scmv1alpha3.Deps{Clients: c.Clients, Factory: scm.NewFactory(c.AllowLocal)}, Servers: servers}
	return deps, scmhook.New(scmhook.Options{Reader: c.Reader, Client: c.Client, Secret: settings.WebhookSecret, AllowUnsigned: settings.AllowUnsigned, Servers: servers})
}

// container routes to the web services. Its errors are written like all others.
func container(services []*restful.WebService) *restful.Container {
	c := restful.NewContainer()
	c.Router(restful.CurlyRouter{})
	// The filter in front of everything recovers.
	c.DoNotRecover(true)
	c.ServiceErrorHandler(func(failure restful.ServiceError, req *restful.Request, resp *restful.Response) {
		for name, values := range failure.Header {
			resp.Header()[name] = values
		}
		response.Error(resp.ResponseWriter, req.Request, routingError(failure, req.Request))
	})
	for _, service := range services {
		c.Add(service)
	}
	return c
}

// routingError says in words why no route takes a request.
func routingError(failure restful.ServiceError, r *http.Request) error {
	switch failure.Code {
	case http.StatusNotFound:
		return response.NotFoundPath(r.URL.Path)
	case http.StatusMethodNotAllowed:
		return methodNotAllowed(r, failure.Header.Get("Allow"))
	case http.StatusUnsupportedMediaType:
		return response.NewStatus(failure.Code, metav1.StatusReasonUnsupportedMediaType, fmt.Sprintf(
			"the body is of type %q; send JSON with the header Content-Type: application/json", r.Header.Get("Content-Type")))
	case http.StatusNotAcceptable:
		return response.NewStatus(failure.Code, metav1.StatusReasonNotAcceptable,
			"none of the types in the Accept header is served here; answers are application/json")
	}
	return response.NewStatus(failure.Code, metav1.StatusReasonBadRequest, failure.Message)
}

func methodNotAllowed(r *http.Request, allowed string) error {
	message := fmt.Sprintf("the method %s is not served at this address", r.Method)
	if allowed != "" {
		message += "; it serves " + allowed
	}
	return response.NewStatus(http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, message)
}

// plain are the addresses that are no routes of a web service, with what they are for.
var plain = map[string]string{
	pathHealth:  "Whether the process works; with ?verbose by check",
	pathLive:    "Whether the process works; with ?verbose by check",
	pathReady:   "Whether the server takes requests; with ?verbose by check",
	pathJenkins: "Whether Jenkins answers, 200 or 503, and since when it does not",
	pathMetrics: "Prometheus metrics",
	pathVersion: "Version of the program",
}

// describe makes the API's description when it is first asked for: most processes never are.
func (s *Server) describe(services []*restful.WebService) http.Handler {
	document := sync.OnceValues(func() (http.Handler, error) {
		content, err := openapi.Build(openapi.Options{
			WebServices: services,
			Version:     version.Get().GitVersion,
			TokenURL:    oauth.TokenPath,
			Open:        func(method, path string) bool { return s.paths.policyOf(method, path) == filters.PathOpen },
			Plain:       plain,
		})
		if err != nil {
			return nil, err
		}
		return openapi.Handler(content), nil
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, err := document()
		if err != nil {
			response.Error(w, r, err)
			return
		}
		handler.ServeHTTP(w, r)
	})
}

// routes is what is behind the filters: plain addresses, and everything else by go-restful.
func (s *Server) routes(services []*restful.WebService) http.Handler {
	works := health(func(*http.Request) []checked { return []checked{{name: "ping"}} })
	exact := map[string]http.Handler{
		pathRoot:      http.RedirectHandler(pathSwaggerUI+"/", http.StatusFound),
		pathHealth:    works,
		pathLive:      works,
		pathReady:     health(func(r *http.Request) []checked { return s.readiness(r.Context()) }),
		pathMetrics:   s.metricsHandler(),
		pathVersion:   http.HandlerFunc(serveVersion),
		pathOpenAPI:   s.describe(services),
		pathSwaggerUI: http.RedirectHandler(pathSwaggerUI+"/", http.StatusMovedPermanently),
		pathAPIDocs:   http.RedirectHandler(pathAPIDocs+"/", http.StatusMovedPermanently),
	}
	if s.news != nil {
		exact[pathJenkins] = http.HandlerFunc(s.serveJenkinsHealth)
	}
	prefixes := map[string]http.Handler{
		pathSwaggerUI + "/": openapi.UI(pathSwaggerUI + "/"),
		pathAPIDocs + "/":   openapi.UI(pathAPIDocs + "/"),
	}
	routed := container(services)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler := exact[r.URL.Path]
		for prefix, page := range prefixes {
			if strings.HasPrefix(r.URL.Path, prefix) {
				handler = page
			}
		}
		switch {
		case handler == nil:
			routed.Dispatch(w, r)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			response.Error(w, r, methodNotAllowed(r, "GET, HEAD"))
		default:
			handler.ServeHTTP(w, r)
		}
	})
}

func serveVersion(w http.ResponseWriter, r *http.Request) {
	response.Write(w, r, http.StatusOK, version.Get())
}

// metricsHandler shows the server's metrics and those of the program around it.
func (s *Server) metricsHandler() http.Handler {
	gatherers := append(prometheus.Gatherers{s.config.registry}, s.config.Gatherers...)
	return promhttp.HandlerFor(gatherers, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, ErrorLog: promLog{s.config.Log}, MaxRequestsInFlight: 4,
	})
}

// promLog logs what the metrics handler has to say.
type promLog struct{ log logr.Logger }

// Println implements promhttp.Logger.
func (p promLog) Println(values ...any) { p.log.Info("metrics", "problem", fmt.Sprint(values...)) }
