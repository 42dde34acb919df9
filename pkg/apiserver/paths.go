// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"net/http"
	"slices"
	"strings"

	"github.com/emicklei/go-restful/v3"

	"github.com/slipway-dev/slipway/pkg/apiserver/filters"
	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/kapis"
	devopsv1alpha2 "github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha2"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/webhook"
	"github.com/slipway-dev/slipway/pkg/kapis/oauth"
	"github.com/slipway-dev/slipway/pkg/metrics"
)

// Addresses that are no resources.
const (
	pathRoot      = "/"
	pathHealth    = "/healthz"
	pathLive      = "/livez"
	pathReady     = "/readyz"
	pathMetrics   = "/metrics"
	pathJenkins   = "/healthz/jenkins"
	pathVersion   = "/version"
	pathOpenAPI   = "/openapi.json"
	pathSwaggerUI = "/swagger-ui"
	pathAPIDocs   = "/apidocs"

	// pathAuthenticate tells other systems whose a token is.
	pathAuthenticate = "/oauth/authenticate"
	// receiverSCM takes the events of source code servers.
	receiverSCM = request.Root + "/devops.kubesphere.io/v1alpha3/webhooks/scm"
)

// paths knows who may use which address that is no resource.
type paths struct {
	// faces are the prefixes of compatible APIs.
	faces []string
}

// isProbe tells if a request is how others find out whether the server works.
func (paths) isProbe(r *http.Request) bool {
	switch r.URL.Path {
	case pathHealth, pathLive, pathReady, pathMetrics:
		return true
	}
	return false
}

// isUnlimited tells if a request does not count against the rate of its sender: a probe, or an event of
// Jenkins, of which there are several for each build.
func (p paths) isUnlimited(r *http.Request) bool {
	return p.isProbe(r) || strings.TrimSuffix(r.URL.Path, "/") == webhook.Path
}

// receiversV2 is where the older version takes events of source code servers.
const receiversV2 = devopsv1alpha2.Root + "/webhook"

// isWebhook tells if an address takes events of other systems, which are no users.
func isWebhook(path string) bool {
	path = strings.TrimSuffix(path, "/")
	return path == webhook.Path || path == receiverSCM || below(path, receiversV2)
}

// isOpen tells if anybody may send a request.
func (p paths) isOpen(r *http.Request) bool { return p.policy(r) == filters.PathOpen }

// policy says who may send a request that addresses no resource.
func (p paths) policy(r *http.Request) filters.PathPolicy { return p.policyOf(r.Method, r.URL.Path) }

func (p paths) policyOf(method, path string) filters.PathPolicy {
	if method == http.MethodPost && strings.TrimSuffix(path, "/") == oauth.TokenPath {
		return filters.PathOpen
	}
	if method == http.MethodPost && strings.TrimSuffix(path, "/") == pathAuthenticate {
		return filters.PathOpen // the token that is asked about is in the body
	}
	if isWebhook(path) {
		// A notification of git is sent as GET, too.
		if method == http.MethodPost || method == http.MethodGet && below(path, receiversV2) {
			return filters.PathOpen // it has a credential of its own
		}
		return filters.PathAuthenticated
	}
	reads := method == http.MethodGet || method == http.MethodHead
	switch path {
	case pathRoot, pathHealth, pathLive, pathReady, pathJenkins, pathVersion, pathOpenAPI:
		if reads {
			return filters.PathOpen
		}
		return filters.PathAuthenticated
	case pathMetrics:
		return filters.PathGranted
	}
	if reads && (below(path, pathSwaggerUI) || below(path, pathAPIDocs)) {
		return filters.PathOpen
	}
	if below(path, "/oauth") || request.DecidesItself(path) || slices.ContainsFunc(p.faces, func(prefix string) bool { return below(path, prefix) }) {
		return filters.PathAuthenticated
	}
	return filters.PathUnknown
}

// below tells if path is prefix or below of it.
func below(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

// other stands in metrics for what clients made up.
const other = "other"

// known are the values that metrics may have.
type known struct {
	resources, subresources map[string]bool
}

// knownOf collects the resources that the routes name.
func knownOf(services []*restful.WebService) known {
	k := known{resources: map[string]bool{}, subresources: map[string]bool{"": true}}
	for _, service := range services {
		for _, route := range service.Routes() {
			if access, ok := route.Metadata[kapis.KeyAccess].(kapis.Access); ok {
				k.resources[access.Resource] = true
				k.subresources[access.Subresource] = true
			}
		}
	}
	return k
}

// verbs are the verbs of resources and the methods of other requests.
var verbs = map[string]bool{
	request.VerbGet: true, request.VerbList: true, request.VerbWatch: true, request.VerbCreate: true, request.VerbUpdate: true,
	request.VerbPatch: true, request.VerbDelete: true, request.VerbDeleteCollection: true, "head": true, "post": true, "put": true, "options": true,
}

// labels maps a request to values that metrics may have.
func (s *Server) labels(info *request.Info) metrics.Request {
	labels := metrics.Request{Verb: info.Verb, Resource: info.Resource, Subresource: info.Subresource, Stream: info.LongRunning}
	if !verbs[labels.Verb] {
		labels.Verb = other
	}
	if info.IsResourceRequest && !s.known.resources[labels.Resource] {
		labels.Resource = other
	}
	if !s.known.subresources[labels.Subresource] {
		labels.Subresource = other
	}
	return labels
}
