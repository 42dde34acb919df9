// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"net/http"

	restfulspec "github.com/emicklei/go-restful-openapi/v2"
	"github.com/emicklei/go-restful/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis"
)

const jenkinsPath = "/webhooks/jenkins"

// Path is the address of the route. Jenkins is mostly configured with its short form,
// /v1alpha3/webhooks/jenkins.
const Path = request.Root + "/" + devopsv1alpha3.GroupName + "/v1alpha3" + jenkinsPath

// AddRoutes adds the route.
func AddRoutes(ws *restful.WebService, deps Deps) {
	h := New(deps)
	ws.Route(ws.POST(jenkinsPath).To(kapis.Handle(h.Jenkins)).
		Operation("receiveJenkinsEvent").
		Doc("Take an event of Jenkins").
		Notes("For Jenkins' generic-event plugin: run.initialize, run.started, run.completed, run.finalized and run.deleted. The credential is the "+
			"webhook secret, as a bearer token or as the password of Basic. The answer is the same whether there is such a project or not; other "+
			"events, and those that are older than 20 minutes, are taken and ignored.").
		Consumes(restful.MIME_JSON).
		Reads(Event{}).
		Metadata(restfulspec.KeyOpenAPITags, []string{"Jenkins"}).
		Returns(http.StatusAccepted, "Taken", response.Message{}).
		Returns(http.StatusBadRequest, "It is no event; the message says why", metav1.Status{}).
		Returns(http.StatusUnauthorized, "The secret is missing or wrong", metav1.Status{}).
		Returns(http.StatusNotFound, "The server was started without a webhook secret", metav1.Status{}).
		Returns(http.StatusRequestEntityTooLarge, "The body is larger than 1 MiB", metav1.Status{}).
		Returns(http.StatusServiceUnavailable, "Too many events wait; send it again later", metav1.Status{}))
}

// Event describes an event for the API description, as far as it is read.
type Event struct {
	// Type is run.initialize, run.started, run.completed, run.finalized or run.deleted.
	Type string `json:"type"`
	// ID is unique among events.
	ID string `json:"id,omitempty"`
	// Source is the address of the job, relative to Jenkins.
	Source string `json:"source,omitempty"`
	// Time is when it happened, ISO 8601.
	Time string `json:"time"`
	// DataType is the Java class of what it is about.
	DataType string `json:"dataType,omitempty"`
	// Data is the build.
	Data EventData `json:"data"`
}

// EventData describes the build of an event.
type EventData struct {
	// ParentFullName is the full name of what the job is in: a folder, or the multi-branch pipeline.
	ParentFullName string `json:"_parentFullName"`
	// ProjectName is the name of the job, or of the branch job.
	ProjectName string `json:"_projectName"`
	// MultiBranch says that the job is a branch.
	MultiBranch bool `json:"_multiBranch,omitempty"`
	// ID is the number of the build as text.
	ID string `json:"id,omitempty"`
	// Number is the number of the build.
	Number int64 `json:"number"`
	// QueueID is the number of its queue item.
	QueueID int64 `json:"queueId,omitempty"`
	// Result is SUCCESS, UNSTABLE, FAILURE, NOT_BUILT or ABORTED once the build has one.
	Result string `json:"result,omitempty"`
	// Timestamp is when the build was made, in milliseconds since 1970.
	Timestamp int64 `json:"timestamp,omitempty"`
	// Actions hold the causes of the build, among others.
	Actions []EventAction `json:"actions,omitempty"`
}

// EventAction describes what is read of an action of a build.
type EventAction struct {
	// Causes are why the build was started.
	Causes []EventCause `json:"causes,omitempty"`
}

// EventCause describes a cause of a build.
type EventCause struct {
	// Note is slipway-run:<UID> for the build of a PipelineRun.
	Note string `json:"note,omitempty"`
}
