// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package notification

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// What can be told of a run, as the Secret lists it.
const (
	EventStarted   = "started"
	EventInput     = "input"
	EventSucceeded = "succeeded"
	EventUnstable  = "unstable"
	EventFailed    = "failed"
	EventStopped   = "stopped"
)

// allEvents are all of them; endEvents those that end a run.
var (
	allEvents = []string{EventStarted, EventInput, EventSucceeded, EventUnstable, EventFailed, EventStopped}
	endEvents = []string{EventSucceeded, EventUnstable, EventFailed, EventStopped}
)

const (
	// specVersion is the version of CloudEvents.
	specVersion = "1.0"
	// typePrefix and typeVersion are around the event in the type of a CloudEvent. The version is that of
	// Data.
	typePrefix, typeVersion = "dev.slipway.run.", ".v1"
	// contentType is that of a CloudEvent in structured mode.
	contentType = "application/cloudevents+json; charset=utf-8"
)

// CloudEvent is the body of a notification: a CloudEvent 1.0 in structured mode.
type CloudEvent struct {
	SpecVersion string `json:"specversion"`
	// ID is the same in every try to deliver the event.
	ID     string `json:"id"`
	Source string `json:"source"`
	// Type is dev.slipway.run.EVENT.v1.
	Type string `json:"type"`
	// Subject is the name of the run.
	Subject         string    `json:"subject"`
	Time            time.Time `json:"time"`
	DataContentType string    `json:"datacontenttype"`
	Data            Data      `json:"data"`
}

// Data is what is told of a run. Values of parameters are not in it: they may be secret.
type Data struct {
	Event    string `json:"event"`
	Project  string `json:"project"`
	Pipeline string `json:"pipeline"`
	Run      string `json:"run"`
	RunUID   string `json:"runUID"`
	// Branch is what a run of a multi-branch pipeline builds.
	Branch string `json:"branch,omitempty"`
	// Build is the number of the build in Jenkins.
	Build int `json:"build,omitempty"`
	// Phase is the run's; Result is Jenkins', of ended runs: SUCCESS, UNSTABLE, FAILURE, ABORTED, NOT_BUILT or
	// UNKNOWN.
	Phase   string `json:"phase"`
	Result  string `json:"result,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`

	StartTime *time.Time `json:"startTime,omitempty"`
	EndTime   *time.Time `json:"endTime,omitempty"`
	// DurationMillis is the time from start to end.
	DurationMillis int64 `json:"durationMillis,omitempty"`
	// Commit is what was built.
	Commit string `json:"commit,omitempty"`
	// Creator is the user who started the run; Causes are Jenkins' words for why it ran.
	Creator string   `json:"creator,omitempty"`
	Causes  []string `json:"causes,omitempty"`
	// Links are addresses of the API; there are none if the server does not know its own.
	Links *Links `json:"links,omitempty"`
}

// Links are addresses of the API.
type Links struct {
	Run string `json:"run"`
	Log string `json:"log"`
}

// happening is something that can be told of a run.
type happening struct {
	// event is one of allEvents. key is its name in the record: a run can wait for several inputs.
	event, key string
	time       time.Time
}

// happenings gives what has happened to a run that can be told.
func happenings(run *devopsv1alpha3.PipelineRun) []happening {
	var out []happening
	status := &run.Status
	if status.StartTime != nil {
		out = append(out, happening{EventStarted, EventStarted, status.StartTime.Time})
	}
	condition := succeeded(run)
	if status.CompletionTime != nil {
		event := endEvent(status.Phase, condition.Reason)
		return append(out, happening{event, event, status.CompletionTime.Time})
	}
	if status.Phase == devopsv1alpha3.Pending && condition.Reason == devopsv1alpha3.ReasonPaused {
		since := condition.LastTransitionTime.Time
		out = append(out, happening{EventInput, inputPrefix + strconv.FormatInt(since.Unix(), 10), since})
	}
	return out
}

func endEvent(phase devopsv1alpha3.RunPhase, reason string) string {
	switch {
	case phase == devopsv1alpha3.Cancelled:
		return EventStopped
	case reason == devopsv1alpha3.ReasonUnstable:
		return EventUnstable
	case phase == devopsv1alpha3.Succeeded:
		return EventSucceeded
	}
	return EventFailed
}

func succeeded(run *devopsv1alpha3.PipelineRun) devopsv1alpha3.Condition {
	for _, condition := range run.Status.Conditions {
		if condition.Type == devopsv1alpha3.ConditionSucceeded {
			return condition
		}
	}
	return devopsv1alpha3.Condition{}
}

// build is what of Jenkins' JSON of a run is told.
type build struct {
	Result   string `json:"result"`
	CommitID string `json:"commitId"`
	Causes   []struct {
		ShortDescription string `json:"shortDescription"`
	} `json:"causes"`
	DurationInMillis int64 `json:"durationInMillis"`
}

// maxCauses bounds the causes that are told.
const maxCauses = 10

// cloudEvent gives the body that tells a happening. Its id is the same in every try; a later one may know more.
func cloudEvent(run *devopsv1alpha3.PipelineRun, h happening, externalURL string) CloudEvent {
	name := ""
	if run.Spec.PipelineRef != nil {
		name = run.Spec.PipelineRef.Name
	}
	namespace := "/kapis/" + devopsv1alpha3.GroupVersion.String() + "/namespaces/" + run.Namespace
	base := strings.TrimSuffix(externalURL, "/") + namespace
	event := CloudEvent{
		SpecVersion: specVersion, ID: deliveryID(run, h), Source: base + "/pipelines/" + name,
		Type: typePrefix + h.event + typeVersion, Subject: run.Name, Time: h.time.UTC(), DataContentType: "application/json",
		Data: data(run, h, name),
	}
	if externalURL != "" {
		link := base + "/pipelineruns/" + run.Name
		event.Data.Links = &Links{Run: link, Log: link + "/log"}
	}
	return event
}

// deliveryID is the same in every try, also of another process.
func deliveryID(run *devopsv1alpha3.PipelineRun, h happening) string {
	return string(run.UID) + "-" + h.key
}

func data(run *devopsv1alpha3.PipelineRun, h happening, pipeline string) Data {
	condition := succeeded(run)
	d := Data{
		Event: h.event, Project: run.Namespace, Pipeline: pipeline, Run: run.Name, RunUID: string(run.UID),
		Phase: string(run.Status.Phase), Reason: condition.Reason, Message: condition.Message,
		Creator: run.Annotations[devopsv1alpha3.PipelineRunCreatorAnnotation],
	}
	if run.Spec.SCM != nil {
		d.Branch = run.Spec.SCM.RefName
		if plain, err := url.PathUnescape(d.Branch); err == nil {
			d.Branch = plain
		}
	}
	d.Build, _ = strconv.Atoi(run.Annotations[devopsv1alpha3.JenkinsPipelineRunIDAnnotation])
	var told build
	_ = json.Unmarshal([]byte(run.Annotations[devopsv1alpha3.JenkinsPipelineRunStatusAnnotation]), &told) // absent or cut: less is told
	d.Commit = told.CommitID
	for _, cause := range told.Causes {
		if cause.ShortDescription != "" && len(d.Causes) < maxCauses {
			d.Causes = append(d.Causes, cause.ShortDescription)
		}
	}
	if start := run.Status.StartTime; start != nil {
		at := start.UTC()
		d.StartTime = &at
	}
	if end := run.Status.CompletionTime; end != nil {
		at := end.UTC()
		d.EndTime = &at
		d.Result = result(told.Result, h.event)
		d.DurationMillis = told.DurationInMillis
		if d.DurationMillis == 0 && d.StartTime != nil {
			d.DurationMillis = at.Sub(*d.StartTime).Milliseconds()
		}
	}
	if h.event == EventStarted {
		// It tells of the start, even if more is known by now.
		d.Phase, d.Reason, d.Message, d.Result, d.EndTime, d.DurationMillis = string(devopsv1alpha3.Running), "", "", "", nil, 0
	}
	return d
}

// result gives Jenkins' result, or where Jenkins was never asked, as with a run that was stopped before it
// began, the one that fits.
func result(told, event string) string {
	if told != "" {
		return told
	}
	return map[string]string{EventSucceeded: "SUCCESS", EventUnstable: "UNSTABLE", EventFailed: "UNKNOWN", EventStopped: "ABORTED"}[event]
}

// encode writes the body.
func (e CloudEvent) encode() ([]byte, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode notification: %w", err)
	}
	return body, nil
}
