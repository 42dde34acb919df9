// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"time"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
)

// Kind is what an item is.
type Kind string

// The kinds of items.
const (
	KindFolder      Kind = "folder"
	KindPipeline    Kind = "pipeline"
	KindMultibranch Kind = "multibranch"
)

// Root is the ID of the parent of the top items.
const Root uint64 = 0

// Item is a folder or a job.
type Item struct {
	// ID is never used again, also not after the item was deleted and made anew under the same name.
	ID uint64 `json:"id"`
	// Parent is the ID of the folder, Root at the top.
	Parent uint64 `json:"parent"`
	Name   string `json:"name"`
	Kind   Kind   `json:"kind"`
	// Config is config.xml exactly as it was posted.
	Config []byte `json:"config"`
	// NextBuild is the number of the next build, from 1.
	NextBuild int `json:"nextBuild,omitempty"`
	// CaseSensitive says that children whose names differ only in case may live side by side.
	CaseSensitive bool `json:"caseSensitive,omitempty"`
	// Parameters, NoConcurrent, AbortPrevious and Discard come from the Jenkinsfile of the last build, as Jenkins
	// takes them over into the job. They count only where config.xml says nothing.
	Parameters    []jenkinsfile.Parameter `json:"parameters,omitempty"`
	NoConcurrent  bool                    `json:"noConcurrent,omitempty"`
	AbortPrevious bool                    `json:"abortPrevious,omitempty"`
	Discard       Discard                 `json:"discard,omitzero"`
	// Cron is the schedule of the Jenkinsfile's trigger cron; one of config.xml goes before it.
	Cron string `json:"cron,omitempty"`
	// Triggers are the other triggers of the Jenkinsfile, and its options about when the job is built.
	Triggers Triggers `json:"triggers,omitzero"`
	// Branch says which branch a job is of; nil for other jobs.
	Branch *Branch `json:"branch,omitempty"`
	// Scan is how the last scan of a multi-branch job went; nil if there was none.
	Scan *Scan `json:"scan,omitempty"`
}

// Triggers say when a job is built without being asked to.
type Triggers struct {
	// Poll says that its repository is polled, by the schedule PollSpec, which may be empty, and when a hook tells of a push.
	Poll     bool   `json:"poll,omitempty"`
	PollSpec string `json:"pollSpec,omitempty"`
	// Upstream are the jobs, separated by commas, that start it when they end with Threshold or better.
	Upstream  string        `json:"upstream,omitempty"`
	Threshold engine.Result `json:"threshold,omitempty"`
	// Quiet is its quiet period; nil for that of the server.
	Quiet *time.Duration `json:"quiet,omitempty"`
	// NoIndexing keeps the scan of a multi-branch job from building the branch.
	NoIndexing bool `json:"noIndexing,omitempty"`
	// NoRestart forbids to begin again at a stage.
	NoRestart bool `json:"noRestart,omitempty"`
}

// Branch is the branch or tag of a repository that the job of a multi-branch job builds.
type Branch struct {
	// Name is the name in the repository; the job's name is its encoding.
	Name string `json:"name"`
	// Tag tells a tag from a branch.
	Tag bool `json:"tag,omitempty"`
	// Primary says that it is the repository's default branch.
	Primary bool `json:"primary,omitempty"`
	// Commit is where the last scan saw it, for which a build was asked for unless it is a tag. Path is that of the Jenkinsfile
	// found there.
	Commit string `json:"commit,omitempty"`
	Path   string `json:"path,omitempty"`
	// Source is the ID of the source that it is of.
	Source string `json:"source,omitempty"`
	// Dead is when a scan first did not find it; zero while it exists.
	Dead time.Time `json:"dead,omitzero"`
}

// Scan is the last scan of a multi-branch job.
type Scan struct {
	Started time.Time `json:"started"`
	// Duration and Result are zero while it runs.
	Duration time.Duration `json:"duration,omitempty"`
	Result   engine.Result `json:"result,omitempty"`
}

// Discard says how many builds a job keeps and for how many days; 0 or less means no bound.
type Discard struct {
	Num  int `json:"num,omitempty"`
	Days int `json:"days,omitempty"`
}

// Param is the value of one parameter of a build.
type Param struct {
	Name  string                    `json:"name"`
	Type  jenkinsfile.ParameterType `json:"type"`
	Value string                    `json:"value"`
}

// Cause says why a build was started. Note and Addr are of a start by token, User of one by a user.
type Cause struct {
	User string `json:"user,omitempty"`
	Addr string `json:"addr,omitempty"`
	Note string `json:"note,omitempty"`
	// Remote tells the two apart.
	Remote bool `json:"remote,omitempty"`
	// Replay is the number of the build that is run again, 0 if none.
	Replay int `json:"replay,omitempty"`
	// Rebuild says that Replay was called a rebuild.
	Rebuild bool `json:"rebuild,omitempty"`
	// Stage is the stage from which that build is run again, empty for all of it.
	Stage string `json:"stage,omitempty"`
	// Indexing says that a scan found the branch changed; Timer that its time had come; SCM that the repository was found changed.
	Indexing bool `json:"indexing,omitempty"`
	Timer    bool `json:"timer,omitempty"`
	SCM      bool `json:"scm,omitempty"`
	// Upstream is the build that asked for this one.
	Upstream *Upstream `json:"upstream,omitempty"`
}

// Upstream is a build that started another.
type Upstream struct {
	// Project is the full name of its job, URL that of the job without the server's.
	Project string `json:"project"`
	Build   int    `json:"build"`
	URL     string `json:"url"`
	// Depth counts the builds in the row of which each started the next.
	Depth int `json:"depth"`
	// Trigger says that it was the trigger upstream and not the step build.
	Trigger bool `json:"trigger,omitempty"`
	// Request identifies the step that asked, over all builds; empty if it was none.
	Request string `json:"request,omitempty"`
}

// Build is one build of a job.
type Build struct {
	Job     uint64 `json:"job"`
	Number  int    `json:"number"`
	QueueID int64  `json:"queueID"`
	// Queued is when its item entered the queue, Started when the build began.
	Queued  time.Time `json:"queued"`
	Started time.Time `json:"started"`
	// Duration is 0 while it runs.
	Duration time.Duration `json:"duration,omitempty"`
	Building bool          `json:"building,omitempty"`
	Result   engine.Result `json:"result,omitempty"`
	// DisplayName is empty for the default "#N".
	DisplayName string  `json:"displayName,omitempty"`
	Description string  `json:"description,omitempty"`
	KeepLog     bool    `json:"keepLog,omitempty"`
	Params      []Param `json:"params,omitempty"`
	Causes      []Cause `json:"causes,omitempty"`
	// Tests counts the test results that it recorded; nil for none.
	Tests *engine.TestCounts `json:"tests,omitempty"`
	// Asked says that it has waited for the answer to an input.
	Asked bool `json:"asked,omitempty"`
	// Approved says that an answer let it go on.
	Approved bool `json:"approved,omitempty"`
	// AbortedBy are the users or reasons that interrupted it.
	AbortedBy []string `json:"abortedBy,omitempty"`
	// Script is the Jenkinsfile of a replay; empty for the job's own.
	Script string `json:"script,omitempty"`
	// Commit is what the Jenkinsfile was read from; empty if it did not come from a repository.
	Commit string `json:"commit,omitempty"`
	// Durable says that it was begun by a server that can go on with it after a restart.
	Durable bool `json:"durable,omitempty"`
	// Scripted says that its Jenkinsfile is a Scripted Pipeline, which has no stage to restart from.
	Scripted bool `json:"scripted,omitempty"`
}

// Key is the build's key in the store.
func (b *Build) Key() BuildKey { return BuildKey{Job: b.Job, Number: b.Number} }

// BuildKey identifies a build.
type BuildKey struct {
	Job    uint64
	Number int
}

// QueueItem is an item of the build queue. It is kept for some minutes after it left.
type QueueItem struct {
	ID int64 `json:"id"`
	// Job is the ID of the job to build.
	Job     uint64    `json:"job"`
	Entered time.Time `json:"entered"`
	// Due is when the quiet period ends.
	Due    time.Time `json:"due"`
	Params []Param   `json:"params,omitempty"`
	Causes []Cause   `json:"causes,omitempty"`
	// BuildableSince is when the quiet period was over and the item waited for something else.
	BuildableSince time.Time `json:"buildableSince,omitzero"`
	// Left is when it left the queue; zero while it is in it.
	Left time.Time `json:"left,omitzero"`
	// Cancelled says that it left without a build.
	Cancelled bool `json:"cancelled,omitempty"`
	// Number is the build that it became.
	Number int `json:"number,omitempty"`
	// Script is the Jenkinsfile of a replay; empty for the job's own.
	Script string `json:"script,omitempty"`
	// Stage is the first stage that is run, empty for all.
	Stage string `json:"stage,omitempty"`
}

// Cloud is a Kubernetes cloud. minijenkins runs all pods in its own cluster and namespace; a cloud
// here is a named list of templates.
type Cloud struct {
	Name string `json:"name"`
	// Form is what was posted, without credentials.
	Form map[string]any `json:"form,omitempty"`
}

// Template is a pod template of a cloud.
type Template struct {
	// Seq orders templates; two of one ID may exist, as in Jenkins.
	Seq   uint64 `json:"seq"`
	Cloud string `json:"cloud"`
	ID    string `json:"id"`
	Name  string `json:"name"`
	// Label holds one or more labels, separated by spaces.
	Label string `json:"label"`
	// YAML is one complete pod document.
	YAML string `json:"yaml"`
	// AgentContainer is the container in which steps run; empty means the first one.
	AgentContainer string `json:"agentContainer,omitempty"`
	// InstanceCap bounds how many pods of the template live at once; 0 means no bound.
	InstanceCap int `json:"instanceCap,omitempty"`
}
