// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"fmt"
	"net/http"
	"time"

	"github.com/emicklei/go-restful/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/history"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
)

// Forms of the Jenkinsfile that can be edited, the values of the query parameter mode.
const (
	modeRaw  = "raw"
	modeJSON = "json"
)

// maxDocument bounds the JSON form, in bytes. It waits in an annotation, and those of an object have
// 256 KiB together.
const maxDocument = 128 << 10

// JenkinsfileEdit is the body of an edit of a Jenkinsfile.
type JenkinsfileEdit struct {
	// data is the Jenkinsfile, or its JSON form as text. An empty text clears the Jenkinsfile.
	Data *string `json:"data"`
}

// JenkinsfileResult is the answer to an edit of a Jenkinsfile.
type JenkinsfileResult struct {
	// result is "success".
	Result string `json:"result"`
}

// jenkinsfileEditor serves the edit of Jenkinsfiles.
type jenkinsfileEditor struct{ deps crud.Deps }

func addJenkinsfileRoute(ws *restful.WebService, deps crud.Deps, docs crud.Docs) {
	deps.SetDefaults()
	editor := jenkinsfileEditor{deps}
	access := kapis.Access{Verb: "update", Group: devopsv1alpha3.GroupName, Resource: devopsv1alpha3.PipelineResource}
	ws.Route(docs.Finish(ws.PUT(docs.Path+"/{"+crud.ParamName+"}/jenkinsfile"), access).To(kapis.Handle(editor.update)).
		Operation("updatePipelineJenkinsfile"+docs.Suffix).
		Doc("Edit the Jenkinsfile of a pipeline").
		Notes("The edit is converted afterwards: as long as the annotation pipeline.devops.kubesphere.io/jenkinsfile.edit.mode of the "+
			"pipeline is not empty. Then …/jenkinsfile holds the JSON form and …/jenkinsfile.validate is success or failure. A JSON form "+
			"that cannot be brought into the Jenkinsfile leaves it as it is. What a JSON form does not change keeps its comments and "+
			"formatting.").
		Consumes(restful.MIME_JSON).
		Param(ws.PathParameter(crud.ParamName, "name of the pipeline")).
		Param(ws.QueryParameter("mode", "form of the data").PossibleValues([]string{modeRaw, modeJSON}).Required(true)).
		Reads(JenkinsfileEdit{}).
		Returns(http.StatusOK, "OK", JenkinsfileResult{}).
		Returns(http.StatusNotFound, "There is none of this name", metav1.Status{}).
		Returns(http.StatusRequestEntityTooLarge, "The JSON form is too large", metav1.Status{}).
		Returns(http.StatusUnprocessableEntity, "The Jenkinsfile is too large", metav1.Status{}))
}

// update stores an edit as the user. Any text is taken, as the console expects it: what is wrong with
// it is told by the annotations and, of a Jenkinsfile, by the condition Synced.
func (e jenkinsfileEditor) update(req *restful.Request, resp *restful.Response) error {
	ctx := req.Request.Context()
	c, user, err := kapis.ClientFor(ctx, e.deps.Clients)
	if err != nil {
		return err
	}
	mode := req.QueryParameter("mode")
	if mode != modeRaw && mode != modeJSON {
		return apierrors.NewBadRequest("mode must be raw, if data is a Jenkinsfile, or json, if it is the JSON form of one")
	}
	var body JenkinsfileEdit
	if err := request.DecodeJSON(req.Request, &body); err != nil {
		return err
	}
	if body.Data == nil {
		return apierrors.NewBadRequest("data is missing: it is the Jenkinsfile or its JSON form, as a text")
	}
	data := *body.Data
	if mode == modeJSON && len(data) > maxDocument {
		return response.NewStatus(http.StatusRequestEntityTooLarge, metav1.StatusReasonRequestEntityTooLarge,
			fmt.Sprintf("the JSON form has %d bytes, more than %d; edit the Jenkinsfile itself (mode=raw)", len(data), maxDocument))
	}
	pipeline := &devopsv1alpha3.Pipeline{}
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		if err := e.deps.Store.GetLive(ctx, req.PathParameter(crud.ParamNamespace), req.PathParameter(crud.ParamName), pipeline); err != nil {
			return err
		}
		if err := setEdit(pipeline, mode, data); err != nil {
			return err
		}
		history.Sign(pipeline, user, time.Now(), 0)
		return c.Update(ctx, pipeline, crud.FieldOwner)
	})
	if err != nil {
		return err
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, JenkinsfileResult{Result: "success"})
	return nil
}

// requireOwn refuses a pipeline that has its Jenkinsfile elsewhere.
func requireOwn(pipeline *devopsv1alpha3.Pipeline) error {
	switch {
	case pipeline.Spec.Pipeline == nil:
		return apierrors.NewBadRequest(fmt.Sprintf("pipeline %q has no Jenkinsfile of its own: those of a multi-branch pipeline are in its repository", pipeline.Name))
	case pipeline.Spec.Pipeline.Source != nil:
		return apierrors.NewBadRequest(fmt.Sprintf("pipeline %q has no Jenkinsfile of its own: it is in the repository that spec.pipeline.source names, and is changed there", pipeline.Name))
	}
	return nil
}

// setEdit writes an edit for the controller.
func setEdit(pipeline *devopsv1alpha3.Pipeline, mode, data string) error {
	if err := requireOwn(pipeline); err != nil {
		return err
	}
	if pipeline.Annotations == nil {
		pipeline.Annotations = map[string]string{}
	}
	pipeline.Annotations[devopsv1alpha3.PipelineJenkinsfileEditModeAnnotation] = mode
	if mode == modeJSON {
		pipeline.Annotations[devopsv1alpha3.PipelineJenkinsfileValueAnnotation] = data
		return nil
	}
	pipeline.Spec.Pipeline.Jenkinsfile = data
	return nil
}
