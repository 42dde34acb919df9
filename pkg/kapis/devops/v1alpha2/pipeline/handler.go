// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pipeline serves pipelines and their branches in the form of Jenkins' Blue Ocean, the API of
// older consoles. What is read comes from the cluster, where the controllers keep it; Jenkins is asked
// only for what nobody keeps.
package pipeline

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/emicklei/go-restful/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/jenkinsjob"
	"github.com/slipway-dev/slipway/pkg/kapis/rights"
)

// ParamBranch is the path parameter of a branch: the name of its job in Jenkins.
const ParamBranch = "branch"

// Jenkins is what is asked of Jenkins; *jenkins.Client has it. Errors are those of pkg/jenkins.
type Jenkins interface {
	GetPipeline(ctx context.Context, folder, job string) (*jenkins.PipelineInfo, error)
	CheckJobName(ctx context.Context, folder, name string) (string, error)
	ScanLog(ctx context.Context, folder, job string) (io.ReadCloser, error)
}

// Deps is what the handlers need.
type Deps struct {
	crud.Deps
	// Client is the server's own: the right to scan is not that to change a pipeline, by which a scan is asked for.
	Client client.Client
	// Authorizer tells what the user may do with a pipeline.
	Authorizer authorizer.UnconditionalAuthorizer
	// Jenkins may be nil: then only what the cluster holds is known.
	Jenkins Jenkins
	// Branches gives the branches of multi-branch pipelines.
	Branches *jenkinsjob.Branches
}

// Handler serves pipelines.
type Handler struct{ deps Deps }

// New makes the handler.
func New(deps Deps) *Handler {
	deps.SetDefaults()
	return &Handler{deps: deps}
}

// Existence answers whether a name is taken.
type Existence struct {
	// Exist is true if it is.
	Exist bool `json:"exist"`
}

// Get answers with a pipeline, or with check=true only whether its name is taken.
func (h *Handler) Get(req *restful.Request, resp *restful.Response) error {
	ctx := req.Request.Context()
	namespace, name := req.PathParameter(crud.ParamNamespace), req.PathParameter(crud.ParamName)
	if req.QueryParameter("check") == "true" {
		taken, err := h.taken(ctx, namespace, name)
		if err != nil {
			return err
		}
		response.Write(resp.ResponseWriter, req.Request, http.StatusOK, Existence{Exist: taken})
		return nil
	}
	p, err := jenkinsjob.Pipeline(ctx, h.deps.Store, namespace, name)
	if err != nil {
		return err
	}
	answer, known := Describe(p)
	if !known {
		if answer, err = h.ask(ctx, p, answer); err != nil {
			return err
		}
	}
	if answer.branches == nil {
		if answer.LatestRun, err = LatestRun(ctx, h.deps.Store, p); err != nil {
			return err
		}
	}
	if answer.Permissions, err = h.permissions(ctx, p); err != nil {
		return err
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, answer.Answer())
	return nil
}

// ask reads a pipeline from Jenkins that the controllers have not described yet. A job that is not
// made yet, or a Jenkins that does not answer, leaves what the spec says.
func (h *Handler) ask(ctx context.Context, p *devopsv1alpha3.Pipeline, otherwise Pipeline) (Pipeline, error) {
	if h.deps.Jenkins == nil || !jenkinsjob.OwnsFolder(ctx, h.deps.Store, p.Namespace) {
		return otherwise, nil
	}
	info, err := h.deps.Jenkins.GetPipeline(ctx, p.Namespace, p.Name)
	switch {
	case err == nil:
		return FromInfo(p, *info), nil
	case jenkins.Away(err), errors.Is(err, jenkins.ErrNotFound):
		return otherwise, nil
	}
	return otherwise, err
}

// taken tells if a new pipeline cannot have a name: there is one, or Jenkins has a job that is in its way.
func (h *Handler) taken(ctx context.Context, namespace, name string) (bool, error) {
	_, err := jenkinsjob.Pipeline(ctx, h.deps.Store, namespace, name)
	if !apierrors.IsNotFound(err) {
		return err == nil, err
	}
	if h.deps.Jenkins == nil || !jenkinsjob.OwnsFolder(ctx, h.deps.Store, namespace) {
		return false, nil
	}
	reason, err := h.deps.Jenkins.CheckJobName(ctx, namespace, name)
	if jenkins.Away(err) || errors.Is(err, jenkins.ErrNotFound) {
		// The name is looked at again when the job is made.
		return false, nil
	}
	return reason != "", err
}

// permissions are what the user may do. The user may read: the request was let through.
func (h *Handler) permissions(ctx context.Context, p *devopsv1alpha3.Pipeline) (*Permissions, error) {
	u, ok := request.UserFrom(ctx)
	if !ok {
		return nil, response.Unauthorized("no user")
	}
	out := &Permissions{Read: true}
	for _, q := range []struct {
		into                 *bool
		verb, resource, name string
	}{
		{&out.Start, request.VerbCreate, devopsv1alpha3.PipelineRunResource, ""},
		{&out.Stop, request.VerbUpdate, devopsv1alpha3.PipelineRunResource, ""},
		{&out.Create, request.VerbCreate, devopsv1alpha3.PipelineResource, ""},
		{&out.Configure, request.VerbUpdate, devopsv1alpha3.PipelineResource, p.Name},
	} {
		right := rights.Right{Verb: q.verb, Group: devopsv1alpha3.GroupName, Version: devopsv1alpha3.GroupVersion.Version, Resource: q.resource}
		allowed, err := rights.Has(ctx, h.deps.Authorizer, u, right, p.Namespace, q.name)
		if err != nil {
			return nil, err
		}
		*q.into = allowed
	}
	return out, nil
}

// ListBranches answers with the branches of a multi-branch pipeline, as a bare list.
func (h *Handler) ListBranches(req *restful.Request, resp *restful.Response) error {
	p, branches, err := h.branches(req)
	if err != nil {
		return err
	}
	branches = jenkinsjob.Filter(branches, req.QueryParameter("filter"), req.QueryParameter("name"))
	from, to, err := Range(req, len(branches))
	if err != nil {
		return err
	}
	out := make([]Branch, 0, to-from)
	for _, b := range branches[from:to] {
		out = append(out, branchOf(p, b))
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, out)
	return nil
}

// GetBranch answers with one branch.
func (h *Handler) GetBranch(req *restful.Request, resp *restful.Response) error {
	p, branches, err := h.branches(req)
	if err != nil {
		return err
	}
	name := req.PathParameter(ParamBranch)
	branch, found := jenkinsjob.Find(branches, name)
	if !found {
		return jenkinsjob.NoBranch(p, name)
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, branchOf(p, jenkinsjob.Shown(branch)))
	return nil
}

func (h *Handler) branches(req *restful.Request) (*devopsv1alpha3.Pipeline, []jenkins.BranchInfo, error) {
	ctx := req.Request.Context()
	p, err := jenkinsjob.Pipeline(ctx, h.deps.Store, req.PathParameter(crud.ParamNamespace), req.PathParameter(crud.ParamName))
	if err != nil {
		return nil, nil, err
	}
	list, err := h.deps.Branches.List(ctx, h.deps.Store, p)
	return p, list, err
}

const (
	// defaultLimit is Blue Ocean's.
	defaultLimit = 100
	maxLimit     = 10000
)

// Range reads start and limit, as Blue Ocean has them, for a list of total entries; the limit -1 is for all. A start beyond the end
// is an empty range.
func Range(req *restful.Request, total int) (from, to int, err error) {
	start, err := number(req, "start", 0, 0)
	if err != nil {
		return 0, 0, err
	}
	limit := maxLimit
	if req.QueryParameter("limit") != "-1" {
		if limit, err = number(req, "limit", defaultLimit, 1); err != nil {
			return 0, 0, err
		}
	}
	from = min(start, total)
	return from, min(from+min(limit, maxLimit), total), nil
}

// number reads a whole number of at least least. Larger ones than any list is long are cut.
func number(req *restful.Request, key string, absent, least int) (int, error) {
	const most = 1_000_000_000
	text := req.QueryParameter(key)
	if text == "" {
		return absent, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least {
		return 0, apierrors.NewBadRequest(key + " must be a whole number of at least " + strconv.Itoa(least))
	}
	return min(n, most), nil
}

// Scan asks for a scan of the repository of a multi-branch pipeline. The controller passes it to Jenkins and follows it.
func (h *Handler) Scan(req *restful.Request, resp *restful.Response) error {
	ctx := req.Request.Context()
	p, err := jenkinsjob.Pipeline(ctx, h.deps.Store, req.PathParameter(crud.ParamNamespace), req.PathParameter(crud.ParamName))
	if err != nil {
		return err
	}
	if err := jenkinsjob.CheckMultiBranch(p); err != nil {
		return err
	}
	wanted := p.DeepCopy()
	if wanted.Annotations == nil {
		wanted.Annotations = map[string]string{}
	}
	// Another value each time, so that a request is not lost that comes while one is worked on.
	wanted.Annotations[devopsv1alpha3.PipelineRequestToScanAnnotation] = time.Now().UTC().Format(time.RFC3339Nano)
	if err := h.deps.Client.Patch(ctx, wanted, client.MergeFrom(p), crud.FieldOwner); err != nil {
		return err
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, response.Success())
	return nil
}

// neverScanned is Jenkins' whole log of a pipeline that was never scanned.
const neverScanned = "No such file: indexing.log"

// ScanLog answers with the log of the last scan, or of the one that runs.
func (h *Handler) ScanLog(req *restful.Request, resp *restful.Response) error {
	ctx := req.Request.Context()
	p, err := jenkinsjob.Pipeline(ctx, h.deps.Store, req.PathParameter(crud.ParamNamespace), req.PathParameter(crud.ParamName))
	if err != nil {
		return err
	}
	if err := jenkinsjob.CheckMultiBranch(p); err != nil {
		return err
	}
	if h.deps.Jenkins == nil {
		return response.Unavailable("this server does not know Jenkins, which has the logs of scans")
	}
	if err := jenkinsjob.CheckFolder(ctx, h.deps.Store, p.Namespace); err != nil {
		return err
	}
	log, err := h.deps.Jenkins.ScanLog(ctx, p.Namespace, p.Name)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	text := bufio.NewReader(log)
	if begin, err := text.Peek(len(neverScanned) + 2); string(trim(begin)) == neverScanned && errors.Is(err, io.EOF) {
		text = bufio.NewReader(http.NoBody)
	}
	header := resp.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	resp.WriteHeader(http.StatusOK)
	control := http.NewResponseController(resp.ResponseWriter)
	// A client that does not read is cut off. Writers without a connection, as in tests, know no deadlines.
	_, err = io.Copy(deadlineWriter{resp.ResponseWriter, func() { _ = control.SetWriteDeadline(time.Now().Add(h.deps.WriteTimeout)) }}, readerOnly{text})
	if err != nil {
		// The answer has begun: the client must not take the part for the whole.
		panic(http.ErrAbortHandler)
	}
	return nil
}

func trim(line []byte) []byte {
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	return line
}

// deadlineWriter gives each part a deadline of its own.
type deadlineWriter struct {
	w      io.Writer
	extend func()
}

// Write implements io.Writer.
func (d deadlineWriter) Write(part []byte) (int, error) {
	d.extend()
	return d.w.Write(part)
}

// readerOnly hides the short cuts of io.Copy, which would write all with one deadline.
type readerOnly struct{ io.Reader }
