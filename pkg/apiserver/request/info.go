// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package request

import (
	"fmt"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation"
)

// The verbs of Kubernetes RBAC.
const (
	VerbGet              = "get"
	VerbList             = "list"
	VerbWatch            = "watch"
	VerbCreate           = "create"
	VerbUpdate           = "update"
	VerbPatch            = "patch"
	VerbDelete           = "delete"
	VerbDeleteCollection = "deletecollection"
)

const (
	// Root is the path below which all resources are.
	Root = "/kapis"
	// devopsGroup is the group that the alias paths /v1alphaN/… stand for.
	devopsGroup = "devops.kubesphere.io"

	projectResource  = "devopsprojects"
	pipelineResource = "pipelines"
	runResource      = "pipelineruns"
)

// Info says what a request addresses, in the terms in which Kubernetes RBAC grants it.
type Info struct {
	// Path is the path as it is routed: aliases are resolved, a trailing slash is kept.
	Path string
	// IsResourceRequest is true for an address below /kapis/<group>/<version>. The fields after
	// Verb are empty for others.
	IsResourceRequest bool
	// Verb is a verb of RBAC for a resource request, else the HTTP method in lower case.
	Verb string
	// APIGroup and APIVersion are the group and version of the path.
	APIGroup, APIVersion string
	// Workspace is the workspace of the path, "" if it names none.
	Workspace string
	// Namespace is "" for cluster-scoped resources and lists over all namespaces.
	Namespace string
	// Resource is the plural name.
	Resource string
	// Subresource is the subresource on which the user needs the right.
	Subresource string
	// Name is "" for a collection.
	Name string
	// LongRunning is true for streams: they have no time limit and are ended when the server stops.
	LongRunning bool
}

// ResolveAlias turns the short addresses /v1alpha1|2|3/… into those below /kapis that they stand
// for. Other paths are given back unchanged.
func ResolveAlias(path string) string {
	for _, version := range []string{"/v1alpha1", "/v1alpha2", "/v1alpha3"} {
		if path == version || strings.HasPrefix(path, version+"/") {
			return Root + "/" + devopsGroup + path
		}
	}
	return path
}

// Parse reads what a request addresses from its method, path and query. Both the router and the
// authorization see the decoded path, so an address that decodes to more segments than it was
// written with is refused: there is one reading of every address.
func Parse(r *http.Request) (*Info, error) {
	info := &Info{Path: r.URL.Path, Verb: strings.ToLower(r.Method)}
	if !below(r.URL.Path, Root) {
		return info, nil
	}
	segments, err := split(r)
	if err != nil {
		return nil, err
	}
	// kapis, group, version and at least a resource.
	if len(segments) < 4 || isReceiver(segments[3:]) {
		return info, nil
	}
	info.IsResourceRequest = true
	info.APIGroup, info.APIVersion = segments[1], segments[2]
	action := info.locate(segments[3:])
	info.decide(r, action)
	return info, nil
}

// locate reads the segments behind the version: where the object is, and what is left behind its
// name.
func (i *Info) locate(segments []string) (action []string) {
	if segments[0] == "workspaces" && len(segments) > 1 {
		i.Workspace = segments[1]
		segments = segments[2:]
		if len(segments) == 0 {
			i.Resource, i.Name = "workspaces", i.Workspace
			return nil
		}
		// A project is called namespace by the console of version 4 and devops by version 3.
		i.Resource = segments[0]
		if segments[0] == "namespaces" || segments[0] == "devops" {
			i.Resource = projectResource
		}
		return i.name(segments[1:])
	}
	if (segments[0] == "namespaces" || segments[0] == "devops") && len(segments) > 2 {
		i.Namespace = segments[1]
		segments = segments[2:]
	}
	i.Resource = segments[0]
	action = i.name(segments[1:])
	// The runs of one pipeline are a part of the runs of the namespace.
	if i.Resource == pipelineResource && len(action) > 0 && action[0] == runResource {
		i.Resource = runResource
		return i.name(action[1:])
	}
	return action
}

func (i *Info) name(segments []string) (action []string) {
	i.Name = ""
	if len(segments) == 0 {
		return nil
	}
	i.Name = segments[0]
	return segments[1:]
}

// partOf lists, by resource, the actions that are granted with the object itself instead of with a
// subresource of the action's name.
var partOf = map[string]map[string]bool{
	// Stopping a run changes its spec; the stages and inputs are a part of its status, and to answer an
	// input lets the run go on.
	runResource:      {"stop": true, "pause": true, "resume": true, "nodedetails": true, "inputs": true, "nodes": true},
	pipelineResource: {"jenkinsfile": true},
}

// decide finds the right that the user needs.
func (i *Info) decide(r *http.Request, action []string) {
	query := r.URL.Query()
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		switch {
		case i.Name != "":
			i.Verb = VerbGet
		case isTrue(query.Get("watch")):
			i.Verb, i.LongRunning = VerbWatch, true
		default:
			i.Verb = VerbList
		}
	case http.MethodPost:
		i.Verb = VerbCreate
	case http.MethodPut:
		i.Verb = VerbUpdate
	case http.MethodPatch:
		i.Verb = VerbPatch
	case http.MethodDelete:
		i.Verb = VerbDelete
		if i.Name == "" {
			i.Verb = VerbDeleteCollection
		}
	}
	if len(action) == 0 {
		return
	}
	if partOf[i.Resource][action[0]] {
		if i.Verb == VerbCreate {
			i.Verb = VerbUpdate
		}
		return
	}
	i.Subresource = action[0]
	if i.Resource == runResource && i.Verb == VerbGet {
		follows := i.Subresource == "log" && isTrue(query.Get("follow"))
		downloads := i.Subresource == "artifacts" && len(action) > 1 && action[1] == "download"
		i.LongRunning = follows || downloads
	}
}

// isReceiver tells if an address takes the events of another system: it is no resource.
func isReceiver(segments []string) bool {
	return len(segments) == 2 && segments[0] == "webhooks" && segments[1] == "jenkins"
}

// isTrue reads a switch in a query as Kubernetes does.
func isTrue(value string) bool { return value == "true" || value == "1" }

// below tells if path is root or below of it.
func below(path, root string) bool {
	return path == root || strings.HasPrefix(path, root+"/")
}

// split gives the segments of the decoded path without a trailing slash. It refuses what could be
// read in two ways, and what cannot be a name.
func split(r *http.Request) ([]string, error) {
	escaped := strings.ToLower(r.URL.EscapedPath())
	if strings.Contains(escaped, "%2f") || strings.Contains(escaped, "%5c") {
		return nil, apierrors.NewBadRequest("the path holds an encoded slash or backslash (%2F, %5C); names hold none")
	}
	path := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/"), "/")
	segments := strings.Split(path, "/")
	for _, segment := range segments {
		if err := checkSegment(segment); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
	}
	return segments, nil
}

func checkSegment(segment string) error {
	switch {
	case segment == "":
		return fmt.Errorf("the path holds an empty segment (//); is a name missing?")
	case segment == "." || segment == "..":
		return fmt.Errorf("the path holds the segment %q; send the address that it leads to", segment)
	case !utf8.ValidString(segment):
		return fmt.Errorf("the path is not valid UTF-8")
	case len(segment) > validation.DNS1123SubdomainMaxLength:
		return fmt.Errorf("a name in the path is %d characters long; the limit is %d",
			utf8.RuneCountInString(segment), validation.DNS1123SubdomainMaxLength)
	case strings.ContainsFunc(segment, unicode.IsControl) || strings.ContainsRune(segment, '\\'):
		return fmt.Errorf("the path holds a control character or a backslash")
	}
	return nil
}
