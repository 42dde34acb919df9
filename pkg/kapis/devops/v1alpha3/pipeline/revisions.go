// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emicklei/go-restful/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/history"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/store"
)

const (
	// paramRevision is the path parameter with the number of a revision.
	paramRevision = "revision"
	// mimeText is the type of a diff.
	mimeText = "text/plain"
)

// JenkinsfileRevision is a former Jenkinsfile with its text.
type JenkinsfileRevision struct {
	history.Revision
	// jenkinsfile is the text.
	Jenkinsfile string `json:"jenkinsfile"`
}

// JenkinsfileDiff is what has changed between two Jenkinsfiles.
type JenkinsfileDiff struct {
	// from and to name the two: "revision 3" or "current".
	From string `json:"from"`
	To   string `json:"to"`
	// diff is in the unified format, and empty if the two are equal.
	Diff string `json:"diff"`
}

// JenkinsfileRestore is the body of the restoring of a Jenkinsfile. It may be left out.
type JenkinsfileRestore struct {
	// resourceVersion is that of the pipeline as the user saw it; the Jenkinsfile is not restored if the pipeline has
	// changed since. Empty: whatever it is.
	ResourceVersion string `json:"resourceVersion,omitempty"`
}

// revisions serves the history of Jenkinsfiles.
type revisions struct {
	deps crud.Deps
	now  func() time.Time
}

func addRevisionRoutes(ws *restful.WebService, deps crud.Deps, docs crud.Docs) {
	deps.SetDefaults()
	h := revisions{deps, time.Now}
	access := func(verb string) kapis.Access {
		return kapis.Access{Verb: verb, Group: devopsv1alpha3.GroupName, Resource: devopsv1alpha3.PipelineResource}
	}
	all := docs.Path + "/{" + crud.ParamName + "}/jenkinsfile/revisions"
	one := all + "/{" + paramRevision + "}"
	name := ws.PathParameter(crud.ParamName, "name of the pipeline")
	number := ws.PathParameter(paramRevision, "number of the revision").DataType("integer")

	ws.Route(docs.Finish(ws.GET(all), access("get")).To(kapis.Handle(h.list)).
		Operation("listJenkinsfileRevisions"+docs.Suffix).
		Doc("List the former Jenkinsfiles of a pipeline").
		Notes("The newest first, without their texts. The last 50 are kept, whoever changed the Jenkinsfile; the author is known of changes "+
			"through this API.").
		Param(name).
		Param(ws.QueryParameter("page", "page, from 1").DataType("integer").DefaultValue("1")).
		Param(ws.QueryParameter("limit", "revisions a page; -1 for all").DataType("integer").DefaultValue("-1")).
		Param(ws.QueryParameter("ascending", "the oldest first").DataType("boolean").DefaultValue("false")).
		Returns(http.StatusOK, "OK", response.List[history.Revision]{}).
		Returns(http.StatusNotFound, "There is none of this name", metav1.Status{}))
	ws.Route(docs.Finish(ws.GET(one), access("get")).To(kapis.Handle(h.get)).
		Operation("getJenkinsfileRevision"+docs.Suffix).
		Doc("Read a former Jenkinsfile").
		Param(name).Param(number).
		Returns(http.StatusOK, "OK", JenkinsfileRevision{}).
		Returns(http.StatusNotFound, "There is none of this number", metav1.Status{}).
		Returns(http.StatusGone, "The text was too large to be kept", metav1.Status{}))
	ws.Route(docs.Finish(ws.GET(one+"/diff"), access("get")).To(kapis.Handle(h.diff)).
		Operation("diffJenkinsfileRevision"+docs.Suffix).
		Doc("Compare a former Jenkinsfile with another one").
		Notes("A text in the unified format or, if the request accepts application/json, a document that has it.").
		Produces(mimeText, restful.MIME_JSON).
		Param(name).Param(number).
		Param(ws.QueryParameter("to", "number of the revision to compare with, or current").DefaultValue(current)).
		Returns(http.StatusOK, "OK", JenkinsfileDiff{}).
		Returns(http.StatusNotFound, "There is none of this number", metav1.Status{}).
		Returns(http.StatusGone, "The text was too large to be kept", metav1.Status{}))
	ws.Route(docs.Finish(ws.POST(one+"/restore"), access("update")).To(kapis.Handle(h.restore)).
		Operation("restoreJenkinsfileRevision"+docs.Suffix).
		Doc("Make a former Jenkinsfile the current one").
		Notes("This is an edit as any other: it makes a new revision. With a resourceVersion it is refused if the pipeline has changed since.").
		Consumes(restful.MIME_JSON, "*/*").
		Param(name).Param(number).
		Reads(JenkinsfileRestore{}).
		Returns(http.StatusOK, "OK", JenkinsfileResult{}).
		Returns(http.StatusNotFound, "There is none of this number", metav1.Status{}).
		Returns(http.StatusConflict, "The pipeline was changed since it was read", metav1.Status{}).
		Returns(http.StatusGone, "The text was too large to be kept", metav1.Status{}))
}

// current is the other side of a diff that is not a revision.
const current = "current"

// pipeline reads the pipeline that the path names, as it is now.
func (h revisions) pipeline(req *restful.Request) (*devopsv1alpha3.Pipeline, error) {
	p := &devopsv1alpha3.Pipeline{}
	err := h.deps.Store.GetLive(req.Request.Context(), req.PathParameter(crud.ParamNamespace), req.PathParameter(crud.ParamName), p)
	return p, err
}

// read reads the revision that a text names, with its pipeline.
func (h revisions) read(req *restful.Request, pipeline *devopsv1alpha3.Pipeline, text string) (*history.Revision, string, error) {
	notFound := apierrors.NewNotFound(schema.GroupResource{Group: devopsv1alpha3.GroupName, Resource: "jenkinsfile revisions"}, shown(text))
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil || number < 1 {
		return nil, "", apierrors.NewBadRequest(fmt.Sprintf("the number of a revision counts from 1; got %q", shown(text)))
	}
	found, content, err := history.Get(req.Request.Context(), h.deps.Store.Live(), pipeline, number)
	switch {
	case errors.Is(err, history.ErrNotFound):
		return nil, "", notFound
	case errors.Is(err, history.ErrNotKept):
		return nil, "", response.NewStatus(http.StatusGone, metav1.StatusReasonGone, err.Error())
	}
	return found, content, err
}

// shown bounds what of a request is repeated in an answer.
func shown(text string) string {
	const limit = 40
	if len(text) > limit {
		return strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}

func (h revisions) list(req *restful.Request, resp *restful.Response) error {
	query, err := store.ParseQuery(req.Request.URL.Query())
	if err != nil {
		return err
	}
	pipeline, err := h.pipeline(req)
	if err != nil {
		return err
	}
	all, err := history.List(req.Request.Context(), h.deps.Store.Live(), pipeline)
	if err != nil {
		return err
	}
	if query.Ascending {
		slices.Reverse(all)
	}
	from, to := 0, len(all)
	switch {
	case query.Limit != store.NoLimit:
		from = min((query.Page-1)*query.Limit, to)
		to = min(from+query.Limit, to)
	case query.Page > 1:
		from = to
	}
	response.WriteList(resp.ResponseWriter, req.Request, all[from:to], len(all))
	return nil
}

func (h revisions) get(req *restful.Request, resp *restful.Response) error {
	pipeline, err := h.pipeline(req)
	if err != nil {
		return err
	}
	found, text, err := h.read(req, pipeline, req.PathParameter(paramRevision))
	if err != nil {
		return err
	}
	if spec := pipeline.Spec.Pipeline; spec != nil && spec.Source == nil {
		found.Current = spec.Jenkinsfile == text
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, JenkinsfileRevision{Revision: *found, Jenkinsfile: text})
	return nil
}

func (h revisions) diff(req *restful.Request, resp *restful.Response) error {
	pipeline, err := h.pipeline(req)
	if err != nil {
		return err
	}
	side := func(number string) (history.Side, error) {
		if number == "" || number == current {
			if err := requireOwn(pipeline); err != nil {
				return history.Side{}, err
			}
			return history.Side{Name: current, Text: pipeline.Spec.Pipeline.Jenkinsfile}, nil
		}
		found, text, err := h.read(req, pipeline, number)
		if err != nil {
			return history.Side{}, err
		}
		return history.Side{Name: "revision " + strconv.FormatInt(found.Number, 10), Text: text}, nil
	}
	from, err := side(req.PathParameter(paramRevision))
	if err != nil {
		return err
	}
	to, err := side(req.QueryParameter("to"))
	if err != nil {
		return err
	}
	text := history.Diff(from, to)
	if strings.Contains(req.Request.Header.Get("Accept"), restful.MIME_JSON) {
		response.Write(resp.ResponseWriter, req.Request, http.StatusOK, JenkinsfileDiff{From: from.Name, To: to.Name, Diff: text})
		return nil
	}
	header := resp.Header()
	header.Set("Content-Type", mimeText+"; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	resp.WriteHeader(http.StatusOK)
	// The answer has begun; an error now is a client that is gone.
	_, _ = resp.Write([]byte(text))
	return nil
}

// restore writes a former text as the user, as an ordinary edit.
func (h revisions) restore(req *restful.Request, resp *restful.Response) error {
	ctx := req.Request.Context()
	c, user, err := kapis.ClientFor(ctx, h.deps.Clients)
	if err != nil {
		return err
	}
	var body JenkinsfileRestore
	if req.Request.ContentLength != 0 {
		if err := request.DecodeJSON(req.Request, &body); err != nil {
			return err
		}
	}
	pipeline, err := h.pipeline(req)
	if err != nil {
		return err
	}
	if body.ResourceVersion != "" && body.ResourceVersion != pipeline.ResourceVersion {
		return response.NewStatus(http.StatusConflict, metav1.StatusReasonConflict, fmt.Sprintf(
			"pipeline %q was changed since you read it (you sent resourceVersion %s): look at it again before you restore a Jenkinsfile", pipeline.Name, shown(body.ResourceVersion)))
	}
	found, text, err := h.read(req, pipeline, req.PathParameter(paramRevision))
	if err != nil {
		return err
	}
	if err := setEdit(pipeline, modeRaw, text); err != nil {
		return err
	}
	history.Sign(pipeline, user, h.now(), found.Number)
	// Not repeated after a conflict: who restores means to replace what was seen, not an edit that somebody just made.
	if err := c.Update(ctx, pipeline, crud.FieldOwner); err != nil {
		if apierrors.IsConflict(err) {
			return response.NewStatus(http.StatusConflict, metav1.StatusReasonConflict,
				fmt.Sprintf("pipeline %q was changed at this moment: look at it again before you restore a Jenkinsfile", pipeline.Name))
		}
		return err
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, JenkinsfileResult{Result: "success"})
	return nil
}
