// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package events reads what Jenkins tells about its builds: the body of an event of the generic-event
// plugin (https://github.com/jenkinsci/generic-event-plugin, docs/run.md), which it posts when a build is
// made, begins, ends and is deleted. The plugin sends neither twice nor again, so an event is a hint and
// never the only way to learn of something.
package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// Type says what happened to a build.
type Type string

// The types of events of a build.
const (
	// RunInitialize: the build has got its number.
	RunInitialize Type = "run.initialize"
	// RunStarted: the build has begun.
	RunStarted Type = "run.started"
	// RunCompleted: the build has its result. Jenkins still does what is left to do.
	RunCompleted Type = "run.completed"
	// RunFinalized: the build changes no more.
	RunFinalized Type = "run.finalized"
	// RunDeleted: the build is gone.
	RunDeleted Type = "run.deleted"
)

var ranks = map[Type]int{RunInitialize: 1, RunStarted: 2, RunCompleted: 3, RunFinalized: 4, RunDeleted: 5}

// Rank is the place of the type in the life of a build, from 1; 0 for a type that is none of a build.
// Events of one build that come in another order are old or sent again.
func (t Type) Rank() int { return ranks[t] }

// Live tells if a build of which this was the newest event has not ended.
func (t Type) Live() bool { return t == RunInitialize || t == RunStarted }

// Bounds of what is read. What Jenkins itself sends is far below them.
const (
	// MaxBytes is the longest event.
	MaxBytes = 1 << 20
	// maxName bounds the full name of a job, in bytes.
	maxName = 2048
	// maxCauses bounds the causes that are kept, and maxNote each one, in bytes.
	maxCauses = 50
	maxNote   = 256
	// maxID bounds the id of an event, in bytes.
	maxID = 128
)

// Errors of Parse.
var (
	// ErrMalformed: it is no JSON object, or its fields have other types than those of an event.
	ErrMalformed = errors.New("not an event of Jenkins")
	// ErrOther: it is an event about something else than a build of a pipeline, such as an item or a
	// build of another kind of job.
	ErrOther = errors.New("not an event about a build of a pipeline")
	// ErrIncomplete: a field is missing without which the event says nothing.
	ErrIncomplete = errors.New("incomplete event")
)

// Event is an event about a build of a pipeline.
type Event struct {
	Type Type
	// ID is unique among all events. It may be empty.
	ID string
	// Time is when it happened, by Jenkins' clock.
	Time time.Time
	// Folder and Job name the job as pkg/jenkins does. The job of a branch is "<pipeline>/<branch job>".
	Folder, Job string
	// Branch is the name of the branch job, empty if the pipeline has no branches. Pipeline is the job
	// without it.
	Pipeline, Branch string
	// Build is the number of the build.
	Build int64
	// QueueItem is the number of the queue item that the build was, 0 if it is not told.
	QueueItem int64
	// Start is when the build was made; zero if it is not told.
	Start time.Time
	// Result is the build's result, empty while it is open.
	Result string
	// Causes are the notes of the remote causes of the build.
	Causes []string
}

// Key names the build.
func (e *Event) Key() string {
	return e.Folder + "/" + e.Job + "#" + strconv.FormatInt(e.Build, 10)
}

// envelope is what is common to all events. Fields that are not named here are left alone.
type envelope struct {
	Type string          `json:"type"`
	ID   string          `json:"id"`
	Time string          `json:"time"`
	Data json.RawMessage `json:"data"`
}

// data is a build as the plugin writes it: a run with three more fields. Its first versions had the run
// in a field of its own.
type data struct {
	run
	Parent  string `json:"_parentFullName"`
	Project string `json:"_projectName"`
	Multi   bool   `json:"_multiBranch"`

	OldParent  string `json:"parentFullName"`
	OldProject string `json:"projectName"`
	OldMulti   bool   `json:"multiBranch"`
	OldRun     *run   `json:"run"`
}

type run struct {
	ID        string            `json:"id"`
	Number    int64             `json:"number"`
	QueueID   int64             `json:"queueId"`
	Timestamp int64             `json:"timestamp"`
	Result    string            `json:"result"`
	Actions   []json.RawMessage `json:"actions"`
}

// Parse reads an event. Unknown fields do not matter. Errors are ErrMalformed, ErrOther and
// ErrIncomplete; their texts repeat nothing of a build's parameters.
func Parse(body []byte) (*Event, error) {
	switch {
	case len(body) > MaxBytes:
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrMalformed, MaxBytes)
	case !utf8.Valid(body):
		return nil, fmt.Errorf("%w: not valid UTF-8", ErrMalformed)
	}
	var outer envelope
	if err := json.Unmarshal(body, &outer); err != nil {
		return nil, malformed(err)
	}
	e := &Event{Type: Type(outer.Type), ID: outer.ID}
	switch {
	case outer.Type == "":
		return nil, fmt.Errorf("%w: no type", ErrIncomplete)
	case e.Type.Rank() == 0:
		return nil, fmt.Errorf("%w: another type", ErrOther)
	case len(outer.Data) == 0 || string(outer.Data) == "null":
		return nil, fmt.Errorf("%w: no data", ErrIncomplete)
	case len(e.ID) > maxID:
		return nil, fmt.Errorf("%w: the id is longer than %d bytes", ErrMalformed, maxID)
	}
	var err error
	if e.Time, err = parseTime(outer.Time); err != nil {
		return nil, err
	}
	var d data
	if err := json.Unmarshal(outer.Data, &d); err != nil {
		return nil, malformed(err)
	}
	if d.OldRun != nil {
		d.run, d.Parent, d.Project, d.Multi = *d.OldRun, d.OldParent, d.OldProject, d.OldMulti
	}
	if err := e.locate(d); err != nil {
		return nil, err
	}
	if err := e.read(&d.run); err != nil {
		return nil, err
	}
	return e, nil
}

// malformed says where the body is wrong. The text of a type error would repeat a value.
func malformed(err error) error {
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) {
		return fmt.Errorf("%w: the field %q is no %s", ErrMalformed, wrongType.Field, wrongType.Type)
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("%w: no JSON at byte %d", ErrMalformed, syntax.Offset)
	}
	return fmt.Errorf("%w: no JSON object", ErrMalformed)
}

// jenkinsTime is the layout of the plugin's times.
const jenkinsTime = "2006-01-02T15:04:05.999-0700"

func parseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, fmt.Errorf("%w: no time", ErrIncomplete)
	}
	for _, layout := range []string{jenkinsTime, time.RFC3339Nano} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%w: the time is not in the form of ISO 8601", ErrMalformed)
}

// locate reads which job the event is about.
func (e *Event) locate(d data) error {
	if d.Project == "" {
		return fmt.Errorf("%w: it names no project", ErrOther)
	}
	if len(d.Parent)+len(d.Project) > maxName || !isName(d.Project) || strings.Contains(d.Project, "/") {
		return fmt.Errorf("%w: no name of a job", ErrMalformed)
	}
	folder, pipeline := d.Parent, d.Project
	if d.Multi {
		i := strings.LastIndexByte(d.Parent, '/')
		if i < 0 {
			return fmt.Errorf("%w: the pipeline is in no folder", ErrOther)
		}
		folder, pipeline, e.Branch = d.Parent[:i], d.Parent[i+1:], d.Project
	}
	if folder == "" {
		return fmt.Errorf("%w: the pipeline is in no folder", ErrOther)
	}
	for segment := range strings.SplitSeq(folder+"/"+pipeline, "/") {
		if !isName(segment) {
			return fmt.Errorf("%w: no name of a job", ErrMalformed)
		}
	}
	e.Folder, e.Job, e.Pipeline = folder, pipeline, pipeline
	if e.Branch != "" {
		e.Job = jenkins.BranchJob(pipeline, e.Branch)
	}
	return nil
}

func isName(segment string) bool {
	return segment != "" && segment != "." && segment != ".." && !strings.ContainsFunc(segment, unicode.IsControl)
}

// results are those that a build can have.
var results = map[string]bool{
	jenkins.ResultSuccess: true, jenkins.ResultUnstable: true, jenkins.ResultFailure: true, jenkins.ResultNotBuilt: true, jenkins.ResultAborted: true,
}

// read takes what the event says of the build.
func (e *Event) read(r *run) error {
	e.Build, e.QueueItem = r.Number, max(0, r.QueueID)
	if results[r.Result] {
		e.Result = r.Result
	}
	if e.Build == 0 {
		if n, err := strconv.ParseInt(r.ID, 10, 64); err == nil {
			e.Build = n
		}
	}
	if e.Build < 1 {
		return fmt.Errorf("%w: no number of a build", ErrIncomplete)
	}
	if r.Timestamp > 0 {
		e.Start = time.UnixMilli(r.Timestamp).UTC()
	}
	for _, text := range r.Actions {
		var action struct {
			Causes []struct {
				Note string `json:"note"`
			} `json:"causes"`
		}
		if json.Unmarshal(text, &action) != nil {
			continue // plugins put what they like into the actions of a build
		}
		for _, cause := range action.Causes {
			if cause.Note != "" && len(cause.Note) <= maxNote && len(e.Causes) < maxCauses {
				e.Causes = append(e.Causes, cause.Note)
			}
		}
	}
	return nil
}
