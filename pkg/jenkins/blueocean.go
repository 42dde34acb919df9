// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// States of Run, Stage and Step.
const (
	StateQueued   = "QUEUED"
	StateRunning  = "RUNNING"
	StatePaused   = "PAUSED"
	StateSkipped  = "SKIPPED"
	StateNotBuilt = "NOT_BUILT"
	StateFinished = "FINISHED"
)

// Results of Run, Stage and Step. The result of what has not ended is ResultUnknown or empty.
const (
	ResultSuccess  = "SUCCESS"
	ResultUnstable = "UNSTABLE"
	ResultFailure  = "FAILURE"
	ResultNotBuilt = "NOT_BUILT"
	ResultUnknown  = "UNKNOWN"
	ResultAborted  = "ABORTED"
)

// Time is a time in Blue Ocean's JSON. It is read in Jenkins' layout (2026-11-21T01:03:21.565+0000) or in RFC 3339, and
// written in RFC 3339 in UTC, or as null if it is not set.
type Time struct{ time.Time }

// blueLayout is how Blue Ocean writes times.
const blueLayout = "2006-01-02T15:04:05.000-0700"

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(t.UTC().Format("2006-01-02T15:04:05.999Z07:00"))
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *Time) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	if s == "" {
		t.Time = time.Time{}
		return nil
	}
	v, err := time.Parse(blueLayout, s)
	if err != nil {
		if v, err = time.Parse(time.RFC3339Nano, s); err != nil {
			return err
		}
	}
	t.Time = v.UTC()
	return nil
}

// Cause is why a run began.
type Cause struct {
	ShortDescription string `json:"shortDescription,omitempty"`
	UserID           string `json:"userId,omitempty"`
	UserName         string `json:"userName,omitempty"`
}

// Author is who made a change.
type Author struct {
	ID       string `json:"id,omitempty"`
	FullName string `json:"fullName,omitempty"`
	Email    string `json:"email,omitempty"`
	Avatar   string `json:"avatar,omitempty"`
}

// Change is a commit that is new in a run.
type Change struct {
	CommitID      string   `json:"commitId,omitempty"`
	Author        *Author  `json:"author,omitempty"`
	Message       string   `json:"msg,omitempty"`
	Timestamp     Time     `json:"timestamp"`
	URL           string   `json:"url,omitempty"`
	AffectedPaths []string `json:"affectedPaths,omitempty"`
}

// Branch is the branch that a run of a multi-branch pipeline built.
type Branch struct {
	IsPrimary bool   `json:"isPrimary,omitempty"`
	URL       string `json:"url,omitempty"`
}

// PullRequest is the pull request that a run of a multi-branch pipeline built.
type PullRequest struct {
	ID     string `json:"id,omitempty"`
	Author string `json:"author,omitempty"`
	Title  string `json:"title,omitempty"`
	URL    string `json:"url,omitempty"`
}

// Run is a build as Blue Ocean shows it. Its JSON is what the KubeSphere console reads from the annotation
// devops.kubesphere.io/jenkins-pipelinerun-status.
type Run struct {
	ID           string `json:"id,omitempty"`
	Name         string `json:"name,omitempty"`
	Organization string `json:"organization,omitempty"`
	Pipeline     string `json:"pipeline,omitempty"`
	// QueueID is only known while the run waits.
	QueueID     string `json:"queueId,omitempty"`
	State       string `json:"state,omitempty"`
	Result      string `json:"result,omitempty"`
	EnQueueTime Time   `json:"enQueueTime"`
	StartTime   Time   `json:"startTime"`
	EndTime     Time   `json:"endTime"`
	// DurationMillis is in milliseconds, as is EstimatedMillis, which is -1 if there is no estimate.
	DurationMillis  int64        `json:"durationInMillis,omitempty"`
	EstimatedMillis int64        `json:"estimatedDurationInMillis,omitempty"`
	RunSummary      string       `json:"runSummary,omitempty"`
	Type            string       `json:"type,omitempty"`
	Replayable      bool         `json:"replayable,omitempty"`
	CauseOfBlockage string       `json:"causeOfBlockage,omitempty"`
	Description     string       `json:"description,omitempty"`
	Causes          []Cause      `json:"causes,omitempty"`
	ChangeSet       []Change     `json:"changeSet,omitempty"`
	CommitID        string       `json:"commitId,omitempty"`
	CommitURL       string       `json:"commitUrl,omitempty"`
	Branch          *Branch      `json:"branch,omitempty"`
	PullRequest     *PullRequest `json:"pullRequest,omitempty"`
	// ArtifactsZipFile is the address of an archive with all artifacts, null if the build has none.
	ArtifactsZipFile *string `json:"artifactsZipFile"`

	// RawJSON is the run in the form the console reads: times in RFC 3339 UTC, null when unset, empty fields, _links and
	// _class left out. At most maxChanges changes with maxPaths paths each are in it, so that it fits into an annotation.
	RawJSON json.RawMessage `json:"-"`
}

// Bounds of Run.RawJSON.
const (
	maxChanges    = 20
	maxPaths      = 20
	maxChangeText = 500
)

// GetRun returns a build. Jenkins answers ErrNotFound for some 100 ms after the build has got its number.
func (c *Client) GetRun(ctx context.Context, folder, job string, build int64) (*Run, error) {
	const op = "get run"
	p, err := bluePath(op, folder, job, build)
	if err != nil {
		return nil, err
	}
	run := &Run{}
	if err := c.getJSON(ctx, op, p, nil, run); err != nil {
		return nil, err
	}
	if run.RawJSON, err = run.consoleJSON(); err != nil {
		return nil, &Error{Op: op, kind: ErrInternal, cause: err, Message: err.Error()}
	}
	return run, nil
}

func (r *Run) consoleJSON() ([]byte, error) {
	short := *r
	short.ChangeSet = nil
	for i, ch := range r.ChangeSet {
		if i == maxChanges {
			break
		}
		if len(ch.AffectedPaths) > maxPaths {
			ch.AffectedPaths = ch.AffectedPaths[:maxPaths]
		}
		if text := []rune(ch.Message); len(text) > maxChangeText {
			ch.Message = string(text[:maxChangeText]) + "…"
		}
		short.ChangeSet = append(short.ChangeSet, ch)
	}
	return json.Marshal(short)
}

// Edge leads from a stage to one that comes after it.
type Edge struct {
	ID   string `json:"id,omitempty"`
	Type string `json:"type,omitempty"`
}

// InputParameter is a value that an input step asks for.
type InputParameter struct {
	Name        string   `json:"name,omitempty"`
	Type        string   `json:"type,omitempty"`
	Description string   `json:"description,omitempty"`
	Choices     []string `json:"choices,omitempty"`
	Default     *struct {
		Name  string `json:"name,omitempty"`
		Value any    `json:"value,omitempty"`
	} `json:"defaultParameterValue,omitempty"`
}

// Input is a question that waits for an answer.
type Input struct {
	// ID is the id in Jenkins' spelling, with a capital first letter; an answer must repeat it so.
	ID         string           `json:"id,omitempty"`
	Message    string           `json:"message,omitempty"`
	OK         string           `json:"ok,omitempty"`
	Parameters []InputParameter `json:"parameters,omitempty"`
	// Submitter is a comma-separated list of users and groups who may answer; empty: everybody who may build.
	Submitter string `json:"submitter,omitempty"`
}

// Step is a step of a stage.
type Step struct {
	ID                 string `json:"id,omitempty"`
	DisplayName        string `json:"displayName,omitempty"`
	DisplayDescription string `json:"displayDescription,omitempty"`
	State              string `json:"state,omitempty"`
	Result             string `json:"result,omitempty"`
	Type               string `json:"type,omitempty"`
	StartTime          Time   `json:"startTime"`
	DurationMillis     int64  `json:"durationInMillis,omitempty"`
	Input              *Input `json:"input,omitempty"`
	// Approvable is not Jenkins': the API server sets it for the user who asks.
	Approvable bool `json:"approvable,omitempty"`
}

// Stage is a stage or a parallel branch of a run.
type Stage struct {
	ID          string `json:"id,omitempty"`
	DisplayName string `json:"displayName,omitempty"`
	// DisplayDescription is mostly empty.
	DisplayDescription string `json:"displayDescription,omitempty"`
	// Type is STAGE or PARALLEL.
	Type string `json:"type,omitempty"`
	// State and Result are empty for a stage that has not begun.
	State           string `json:"state,omitempty"`
	Result          string `json:"result,omitempty"`
	StartTime       Time   `json:"startTime"`
	DurationMillis  int64  `json:"durationInMillis,omitempty"`
	Edges           []Edge `json:"edges"`
	FirstParent     string `json:"firstParent,omitempty"`
	Restartable     bool   `json:"restartable,omitempty"`
	CauseOfBlockage string `json:"causeOfBlockage,omitempty"`
	Input           *Input `json:"input,omitempty"`
	// Steps are filled in by Stages only.
	Steps []Step `json:"steps"`
}

// Page sizes: Blue Ocean gives 100 entries if it is not told otherwise.
const (
	nodePage    = 10000
	defaultPage = 100
)

// Nodes returns the stages and parallel branches of a run, without their steps. While the run goes on, the stages of the last
// successful run that have not begun are listed as well, with empty State and Result.
func (c *Client) Nodes(ctx context.Context, folder, job string, build int64) ([]Stage, error) {
	const op = "get stages"
	p, err := bluePath(op, folder, job, build)
	if err != nil {
		return nil, err
	}
	return getPages[Stage](ctx, c, pages{op: op, path: p + "nodes/", size: nodePage, first: url.Values{"limit": {strconv.Itoa(nodePage)}}})
}

// Steps returns the steps of a stage.
func (c *Client) Steps(ctx context.Context, folder, job string, build int64, node string) ([]Step, error) {
	const op = "get steps"
	p, err := bluePath(op, folder, job, build)
	if err != nil {
		return nil, err
	}
	n, err := segments(op, "node", node)
	if err != nil {
		return nil, err
	}
	return getPages[Step](ctx, c, pages{op: op, path: p + "nodes" + escapeJoin("/", n) + "/steps/", size: defaultPage})
}

// stepCalls is how many calls for steps are made at a time for one run.
const stepCalls = 4

// Stages returns the stages of a run with their steps: the content of the "nodedetails" of the KubeSphere API.
func (c *Client) Stages(ctx context.Context, folder, job string, build int64) ([]Stage, error) {
	return new(KnownStages).Read(ctx, c, BuildRef{Folder: folder, Job: job, Number: build}, false)
}

// OpenStages is Stages with the steps of those stages only that have not finished: what waits for an input is in one of them.
func (c *Client) OpenStages(ctx context.Context, folder, job string, build int64) ([]Stage, error) {
	stages, err := c.Nodes(ctx, folder, job, build)
	if err != nil {
		return nil, err
	}
	var open []int
	for i := range stages {
		stages[i].Steps = []Step{}
		if stages[i].hasSteps() && stages[i].State != StateFinished {
			open = append(open, i)
		}
	}
	return stages, readSteps(ctx, c, BuildRef{Folder: folder, Job: job, Number: build}, stages, open)
}

// pages describes a list of Blue Ocean. Its Link header always names a next page, so a short page is the sign of the end.
type pages struct {
	op, path string
	size     int
	first    url.Values
}

// maxPages bounds a list: a server that ignores start would send the same page for ever.
const maxPages = 1000

func getPages[T any](ctx context.Context, c *Client, l pages) ([]T, error) {
	all := []T{}
	query := l.first
	for range maxPages {
		var page []T
		if err := c.getJSON(ctx, l.op, l.path, query, &page); err != nil {
			return nil, err
		}
		all = append(all, page...)
		if len(page) < l.size {
			return all, nil
		}
		query = url.Values{"start": {strconv.Itoa(len(all))}, "limit": {strconv.Itoa(l.size)}}
	}
	return nil, newError(l.op, ErrTooLarge, "the list has more than %d pages", maxPages)
}

// Answer is the answer to an input step.
type Answer struct {
	// Node and Step are the ids of the stage and of the step that waits.
	Node, Step string
	// InputID is Input.ID.
	InputID string
	// Abort refuses; the run is then aborted.
	Abort bool
	// Parameters are the values; those that are missing take their defaults.
	Parameters []Parameter
}

// SubmitInput answers an input step. An input that has been answered already, or a user who may not answer, is ErrInvalid.
func (c *Client) SubmitInput(ctx context.Context, folder, job string, build int64, a Answer) error {
	const op = "answer input"
	p, err := bluePath(op, folder, job, build)
	if err != nil {
		return err
	}
	ids, err := segments(op, "step", a.Node+"/"+a.Step)
	if err != nil {
		return err
	}
	type value struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	body := map[string]any{"id": a.InputID}
	if a.Abort {
		body["abort"] = true
	} else {
		list := make([]value, 0, len(a.Parameters))
		for _, par := range a.Parameters {
			list = append(list, value(par))
		}
		body["parameters"] = list
	}
	doc, err := marshalJSON(body)
	if err != nil {
		return &Error{Op: op, kind: ErrInvalid, cause: err, Message: err.Error()}
	}
	_, err = c.do(ctx, call{op: op, method: http.MethodPost, body: doc, contentType: jsonType,
		path: p + "nodes/" + url.PathEscape(ids[0]) + "/steps/" + url.PathEscape(ids[1]) + "/"})
	return err
}

// ReplayRun starts a build again with the script and the parameters that it had, and returns the id of the queue item.
func (c *Client) ReplayRun(ctx context.Context, folder, job string, build int64) (int64, error) {
	const op = "replay run"
	p, err := bluePath(op, folder, job, build)
	if err != nil {
		return 0, err
	}
	a, err := c.do(ctx, call{op: op, method: http.MethodPost, path: p + "replay/", body: []byte("{}"), contentType: jsonType})
	if err != nil {
		return 0, err
	}
	var run Run
	if err := decodeJSON(op, a, &run); err != nil {
		return 0, err
	}
	id, err := strconv.ParseInt(run.QueueID, 10, 64)
	if err != nil {
		return 0, &Error{Op: op, Status: a.status, kind: ErrUnexpected, Message: "the answer does not name a queue item"}
	}
	return id, nil
}

// marshalJSON marshals without turning <, > and & into escapes, as Jenkins' own forms do.
func marshalJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
