// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package request

import (
	"fmt"
	"net/http"
	"net/url"
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

	// gitopsGroup is the group of KubeSphere's continuous delivery, which is not served.
	gitopsGroup = "gitops.kubesphere.io"

	projectResource    = "devopsprojects"
	pipelineResource   = "pipelines"
	runResource        = "pipelineruns"
	repositoryResource = "gitrepositories"
	binaryResource     = "s2ibinaries"
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
	// Upload is true where the body is a file or may be as large as one: its handler bounds it.
	Upload bool
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
	if len(segments) < 4 || decidesItself(segments) {
		info.Upload = len(segments) == 5 && r.Method == http.MethodPost && isReceiver(segments)
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
	if i.Resource != pipelineResource {
		return action
	}
	// The runs of one pipeline are a part of the runs of the namespace, with their names or, in the older
	// version, with the numbers of their builds, which count within a branch.
	if len(action) > 2 && action[0] == "branches" && action[2] == "runs" {
		return i.run(action[3:])
	}
	if len(action) > 0 && (action[0] == runResource || action[0] == "runs") {
		return i.run(action[1:])
	}
	return action
}

func (i *Info) run(segments []string) (action []string) {
	i.Resource = runResource
	return i.name(segments)
}

func (i *Info) name(segments []string) (action []string) {
	i.Name = ""
	if len(segments) == 0 {
		return nil
	}
	i.Name = segments[0]
	return segments[1:]
}

// reads are the actions that change nothing, whatever their method is: they are granted with the right to read
// the object.
var reads = map[string]map[string]bool{
	pipelineResource:       {"branches": true, "consolelog": true, "sonarstatus": true, "checkScriptCompile": true},
	"templates":            {"render": true},
	"clustertemplates":     {"render": true},
	"clustersteptemplates": {"render": true},
}

// partOf lists, by resource, the actions that are granted with the object itself instead of with a
// subresource of the action's name: to read with that to get it, everything else with that to update it.
var partOf = map[string]map[string]bool{
	// Stopping a run changes its spec; the stages and inputs are a part of its status, and to answer an
	// input lets the run go on.
	runResource:      {"stop": true, "pause": true, "resume": true, "nodedetails": true, "nodesdetail": true, "inputs": true, "nodes": true},
	pipelineResource: {"jenkinsfile": true},
	binaryResource:   {"file": true},
	// The files of a repository.
	repositoryResource: {"configs": true, "branches": true, "commits": true, "files": true, "rawfiles": true, "pulls": true, "uploads": true},
}

// checks are what a namespace is asked that is no object: they are granted with the right to list its pipelines.
var checks = map[string]bool{"checkCron": true, "jenkins": true}

// decide finds the right that the user needs.
func (i *Info) decide(r *http.Request, action []string) {
	query := r.URL.Query()
	reading := r.Method == http.MethodGet || r.Method == http.MethodHead
	i.Verb = i.verb(r.Method)
	if i.Verb == VerbList && isTrue(query.Get("watch")) {
		i.Verb, i.LongRunning = VerbWatch, true
	}
	switch {
	case i.Namespace != "" && checks[i.Resource]:
		i.Resource, i.Name, i.Verb, i.LongRunning = pipelineResource, "", VerbList, false
		return
	case len(action) == 0:
		return
	case reads[i.Resource][action[0]]:
		i.Verb = VerbGet
		return
	case i.Resource == runResource && action[0] == "nodes" && action[len(action)-1] == "log":
		i.Subresource = "log"
	case partOf[i.Resource][action[0]]:
		if !reading {
			i.Verb = VerbUpdate
		}
		i.Upload = !reading && (i.Resource == binaryResource || i.Resource == repositoryResource)
		i.LongRunning = i.Upload || i.Resource == binaryResource
		return
	default:
		i.Subresource = action[0]
	}
	if i.Resource == runResource && i.Verb == VerbGet {
		downloads := i.Subresource == "artifacts" && len(action) > 1 && action[1] == "download"
		i.LongRunning = downloads || i.Subresource == "log" && wholeLog(r, query)
	}
}

// wholeLog tells if a request for a log may take long: one from its beginning may be large, and its reader slow.
func wholeLog(r *http.Request, query url.Values) bool {
	if isTrue(query.Get("follow")) || isTrue(query.Get("download")) || r.Header.Get("Range") != "" {
		return true
	}
	start := query.Get("start")
	return (start == "" || start == "0") && query.Get("thresholdInKB") == ""
}

// verb gives the verb of a method on an object or collection.
func (i *Info) verb(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead:
		if i.Name == "" {
			return VerbList
		}
		return VerbGet
	case http.MethodPost:
		return VerbCreate
	case http.MethodPut:
		return VerbUpdate
	case http.MethodPatch:
		return VerbPatch
	case http.MethodDelete:
		if i.Name == "" {
			return VerbDeleteCollection
		}
		return VerbDelete
	}
	return i.Verb
}

// DecidesItself tells if a path below Root is no resource: what is behind it takes the events of another system,
// or decides by what it is asked for who may have it.
func DecidesItself(path string) bool {
	segments := strings.Split(strings.Trim(path, "/"), "/")
	return len(segments) > 3 && below(path, Root) && decidesItself(segments)
}

func decidesItself(segments []string) bool {
	group, version, rest := segments[1], segments[2], segments[3:]
	switch group {
	case gitopsGroup:
		return true
	case devopsGroup:
	default:
		return false
	}
	switch rest[0] {
	case "scms":
		return true
	case "search", "crumbissuer", "webhook", "jenkins":
		return version == "v1alpha2"
	case "webhooks":
		return version == "v1alpha3" && len(rest) == 2 && (rest[1] == "jenkins" || rest[1] == "scm")
	case "ci":
		return version == "v1alpha3"
	case "workspaces":
		return len(rest) > 2 && rest[2] == "workspacemembers"
	}
	return false
}

// isReceiver tells if a path of five segments takes events of source code servers, which may be large.
func isReceiver(segments []string) bool {
	switch strings.Join(segments[1:], "/") {
	case devopsGroup + "/v1alpha3/webhooks/scm", devopsGroup + "/v1alpha2/webhook/github", devopsGroup + "/v1alpha2/webhook/generic-trigger":
		return true
	}
	return false
}

// isTrue reads a switch in a query as Kubernetes does.
func isTrue(value string) bool { return value == "true" || value == "1" }

// below tells if path is root or below of it.
func below(path, root string) bool {
	return path == root || strings.HasPrefix(path, root+"/")
}

// foreign are the segments behind which a name of another system stands, which may hold slashes.
var foreign = map[string]bool{"branches": true, "files": true, "rawfiles": true, "organizations": true}

// maxForeignName is the longest name of another system in bytes: the path of a file in base64.
const maxForeignName = 8192

// ResolveNames gives the address with one reading of names of other systems, such as branches: a slash in them is
// %2F as in the names of Jenkins' branch jobs, whether it was encoded once or twice in the request.
func ResolveNames(u *url.URL) *url.URL {
	escaped := u.EscapedPath()
	if !strings.Contains(strings.ToLower(escaped), "%2f") || !below(u.Path, Root) {
		return u
	}
	segments := strings.Split(escaped, "/")
	for i, segment := range segments {
		decoded, err := url.PathUnescape(segment)
		if err != nil {
			return u // what parsed once parses again
		}
		if i > 0 && foreign[segments[i-1]] {
			decoded = strings.ReplaceAll(decoded, "/", "%2F")
		}
		if strings.Contains(decoded, "/") {
			return u // it is refused where the address is parsed
		}
		segments[i] = decoded
	}
	resolved := *u
	resolved.Path, resolved.RawPath = strings.Join(segments, "/"), ""
	return &resolved
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
	for i, segment := range segments {
		limit := validation.DNS1123SubdomainMaxLength
		if i > 0 && foreign[segments[i-1]] {
			limit = maxForeignName
		}
		if err := checkSegment(segment, limit); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
	}
	return segments, nil
}

func checkSegment(segment string, limit int) error {
	switch {
	case segment == "":
		return fmt.Errorf("the path holds an empty segment (//); is a name missing?")
	case segment == "." || segment == "..":
		return fmt.Errorf("the path holds the segment %q; send the address that it leads to", segment)
	case !utf8.ValidString(segment):
		return fmt.Errorf("the path is not valid UTF-8")
	case len(segment) > limit:
		return fmt.Errorf("a name in the path is %d characters long; the limit is %d",
			utf8.RuneCountInString(segment), limit)
	case strings.ContainsFunc(segment, unicode.IsControl) || strings.ContainsRune(segment, '\\'):
		return fmt.Errorf("the path holds a control character or a backslash")
	}
	return nil
}
