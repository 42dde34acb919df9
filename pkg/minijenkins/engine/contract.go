// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package engine runs Declarative and Scripted Pipelines for minijenkins: it takes a parsed Jenkinsfile and drives
// agents, records nodes, steps and logs the way Jenkins and Blue Ocean report them.
package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// Result is the result of a node, a step or a build, in Jenkins' words.
type Result string

// The results that Jenkins knows. Unknown is the result of what has not ended.
const (
	ResultSuccess  Result = "SUCCESS"
	ResultUnstable Result = "UNSTABLE"
	ResultFailure  Result = "FAILURE"
	ResultAborted  Result = "ABORTED"
	ResultNotBuilt Result = "NOT_BUILT"
	ResultUnknown  Result = "UNKNOWN"
)

// State is the state of a node or step, in Blue Ocean's words.
type State string

// The states that Blue Ocean reports.
const (
	StateQueued     State = "QUEUED"
	StateRunning    State = "RUNNING"
	StatePaused     State = "PAUSED"
	StateSkipped    State = "SKIPPED"
	StateFinished   State = "FINISHED"
	StateNotStarted State = "NOT_BUILT"
)

// Node is a stage or a parallel branch of a running build, as Blue Ocean's nodes/ lists it.
type Node struct {
	// ID is the number of the flow node that begins the stage, unique in the build, as text ("6").
	ID string `json:"id"`
	// DisplayName is the stage's name.
	DisplayName string `json:"displayName"`
	// Type is STAGE or PARALLEL.
	Type string `json:"type"`
	// Parent is the ID of the stage or branch around it; empty at the top. A stage that is a branch
	// has the ID of the branch.
	Parent string `json:"parent,omitempty"`
	// FirstParent is the ID of the node before it; empty for the first, and for the one behind
	// parallel branches, as Blue Ocean has it.
	FirstParent string `json:"firstParent,omitempty"`
	// Edges are the IDs of the nodes that follow.
	Edges  []string `json:"edges,omitempty"`
	State  State    `json:"state"`
	Result Result   `json:"result"`
	// CauseOfBlockage says why the node waits, empty if it does not.
	CauseOfBlockage string    `json:"causeOfBlockage,omitempty"`
	StartTime       time.Time `json:"startTime"`
	// Duration is what passed from StartTime to the end; 0 while it runs.
	Duration time.Duration `json:"duration"`
}

// Step is one step of a node, as Blue Ocean's nodes/{id}/steps/ lists it.
type Step struct {
	// ID is the number of the flow node of the step, unique in the build, as text ("8").
	ID string `json:"id"`
	// NodeID is the stage that the step belongs to; empty outside of every stage.
	NodeID string `json:"nodeID,omitempty"`
	// Post is the flow node of the pipeline's post section if the step is in it, which Blue Ocean counts to the last stage and the stage
	// view to a stage of its own; else empty.
	Post string `json:"post,omitempty"`
	// DisplayName is what the step is ("Shell Script", "Print Message", "Archive the artifacts", …).
	DisplayName string `json:"displayName"`
	// DisplayDescription is its main argument (the script, the message).
	DisplayDescription string        `json:"displayDescription,omitempty"`
	State              State         `json:"state"`
	Result             Result        `json:"result"`
	StartTime          time.Time     `json:"startTime"`
	Duration           time.Duration `json:"duration"`
	// Error is the message of the step's failure.
	Error string `json:"error,omitempty"`
	// Labelled says that DisplayName is the label that the script gave it.
	Labelled bool `json:"labelled,omitempty"`
	// Input is what a paused step asks.
	Input *Input `json:"input,omitempty"`
}

// Recorder keeps what a build does. The engine calls it in order and from many goroutines; an
// implementation must make each call durable before it returns where the build depends on it.
type Recorder interface {
	// PutNode adds the node or replaces the one of the same ID.
	PutNode(Node)
	// PutStep adds the step or replaces the one of the same ID.
	PutStep(Step)
	// Log returns where output goes: the build's log and, if stepID is not empty, that step's log.
	// A write is a whole number of lines or a part of one line; writers of different steps may
	// interleave only at line borders. The step "!" is none: its lines are shown like those of no step. They
	// do not come again after a restart.
	Log(stepID string) io.Writer
	// SetDescription sets currentBuild.description; SetDisplayName sets currentBuild.displayName.
	SetDescription(string)
	SetDisplayName(string)
}

// ShellRequest is one sh step.
type ShellRequest struct {
	// ID is unique in the build and stable over a restart of the server: the same ID is the same
	// execution and is never started twice.
	ID string
	// Script is the text of the step. It is run by /bin/sh -xe unless it begins with #!.
	Script string
	// Dir is absolute.
	Dir string
	// Env is added to the agent's environment.
	Env map[string]string
}

// Agent is where steps run: a pod made for the build.
type Agent interface {
	// Name is the agent's name (the pod's).
	Name() string
	// Workspace is the absolute path of the job's workspace on the agent.
	Workspace() string
	// Shell runs the script, writes its output (stdout and stderr together; with stdout apart if
	// stdout is not nil) and returns its exit code. The error is of the agent, not of the script.
	// When ctx ends, the script's process group gets SIGTERM, then SIGKILL, unless the cause is
	// ErrSuspended: then the script goes on, and Shell is called again after the restart with the same
	// request and writes the whole output again from its first byte. A ctx that has ended before the call
	// stops a script of that ID that runs, in the same way.
	Shell(ctx context.Context, req ShellRequest, out, stdout io.Writer) (exitCode int, err error)
	// Open reads a file; the path is absolute. A missing file is fs.ErrNotExist.
	Open(ctx context.Context, path string) (io.ReadCloser, error)
	// WriteFile writes a file and its folders.
	WriteFile(ctx context.Context, path string, content []byte) error
	// Glob lists the files below dir that match an Ant pattern list ("**/*.jar, out/*.txt"), as
	// slash-separated paths relative to dir, sorted.
	Glob(ctx context.Context, dir, includes, excludes string) ([]string, error)
	// Clone fetches a git repository at a branch, tag or commit into dir and returns the commit.
	Clone(ctx context.Context, req CloneRequest, out io.Writer) (commit string, err error)
	// RemoveAll deletes a folder with all in it.
	RemoveAll(ctx context.Context, dir string) error
	// Release gives the agent back; its pod is deleted. It is called once, with a fresh context.
	Release(ctx context.Context) error
}

// CloneRequest is one git or checkout step.
type CloneRequest struct {
	// URL is the repository; Ref a branch, tag or commit, empty for the remote's HEAD.
	URL, Ref string
	// Dir is absolute.
	Dir string
	// Username and Password are of the credential; empty without one.
	Username, Password string
}

// AgentRequest asks for an agent.
type AgentRequest struct {
	// ID is unique over all requests and stable over a restart of the server: an agent that was made for
	// the same ID before is given again. Empty asks for a new one.
	ID string
	// Label is the label expression; empty for "agent any".
	Label string
	// Node is the stage that asks; empty for the whole pipeline.
	Node string
	// Pod is what the Jenkinsfile says of the agent's pod; then Label is only a name. Nil takes an agent that has the label.
	Pod *PodRequest
}

// AgentProvider makes agents.
type AgentProvider interface {
	// Acquire waits until an agent is ready. While it waits it calls waiting with a reason that a
	// user can read, each time the reason changes. An error is final: it ends the build. If ctx ends with
	// ErrSuspended, what was begun for the request is left: it is asked for again with the same ID. If it
	// ends otherwise, also before the call, that is taken down.
	Acquire(ctx context.Context, req AgentRequest, waiting func(reason string)) (Agent, error)
	// HasLabel tells if some template or node carries the label, so that a build that can never
	// start is refused before it begins.
	HasLabel(label string) bool
}

// AgentResumer is an AgentProvider that finds the agents of builds that go on after a restart.
type AgentResumer interface {
	// Resume returns the agent that Acquire gave under that name before the restart. An agent that is gone
	// meanwhile is no error here: its steps fail.
	Resume(ctx context.Context, req AgentRequest, name, workspace string) (Agent, error)
}

// ErrSuspended is the cause to cancel a build's context with when the server stops and the build is to go
// on after the next start, and what Run returns then: nothing was ended, released or recorded as over.
var ErrSuspended = errors.New("the build is suspended")

// Event is one entry of a build's history: something that the script could not work out by itself. The
// ends of effects and cancels have a Turn. Without one are what takes no time, such as the clock, and cancels
// that came while a script computed. No event has a secret of a credential, but the output of returnStdout,
// what readFile has read and answers to inputs are in them, so a history needs to be as well kept as a log.
type Event struct {
	// Key says which branch did it and its place there ("0.12"); Kind what it was ("sh", "abort", "time").
	Key  string `json:"key"`
	Kind string `json:"kind"`
	// Begin marks what has begun, with what must be known to go on with it; it is in no order to the others.
	Begin bool `json:"begin,omitempty"`
	// Turn is the number of the turn in which the branch went on with it; see baton.
	Turn uint64    `json:"turn,omitempty"`
	Time time.Time `json:"time"`
	// Value is the result in JSON, Error its failure in JSON.
	Value json.RawMessage `json:"value,omitempty"`
	Error json.RawMessage `json:"error,omitempty"`
	// Step and Output are the step whose log it wrote to and how many bytes that were.
	Step   string `json:"step,omitempty"`
	Output int64  `json:"output,omitempty"`
}

// History keeps the events of a build, so that it can go on after a restart of the server.
type History interface {
	// Events are those of the time before the restart, in the order in which they were appended. A new
	// build has none.
	Events() []Event
	// Append adds an event. It is on disk when Append returns, together with the log up to then. It may be
	// called from many goroutines. An error ends the build with ResultFailure; ErrSuspended suspends it.
	Append(ctx context.Context, e Event) error
}

// Forgetter is a History that need not keep its events in memory once the build has come to where it was.
type Forgetter interface {
	// Forget says that Events is not called again.
	Forget()
}

// LogSkipper is a Recorder whose log has bytes from before a restart. For each step, and for the lines of
// none, of what is written it drops as many bytes as are in the log of that step already, over all writers
// that Log returns. Only the lines of the step "!" are never dropped. See also LogAhead and StoredGraph.
type LogSkipper interface {
	// Skip says that n bytes of a step are in the log and will not be written again.
	Skip(stepID string, n int64)
}

// Artifacts takes what archiveArtifacts collects.
type Artifacts interface {
	// Put stores one artifact under its slash-separated path.
	Put(ctx context.Context, path string, content io.Reader) error
}

// RunSpec is one build to run. Pipeline, Agents and Recorder are required, the rest may be zero.
type RunSpec struct {
	// Pipeline is the parsed Jenkinsfile. It should have passed Check.
	Pipeline *jenkinsfile.Pipeline
	// Build says which build this is; it becomes currentBuild and the BUILD_* variables.
	Build BuildInfo
	// Params are the values of params, see ResolveParams. They are environment variables as well.
	Params []ParamValue
	// Env are further variables that hold in the whole build (JENKINS_URL and the like). They are
	// below what the Jenkinsfile sets.
	Env map[string]string
	// Agents makes the agents that the pipeline and its stages ask for.
	Agents AgentProvider
	// Recorder keeps nodes, steps and logs.
	Recorder Recorder
	// Artifacts takes what archiveArtifacts collects; nil makes that step fail.
	Artifacts Artifacts
	// Tests takes what junit collects; nil makes that step fail.
	Tests Tests
	// Stashes keeps what stash collects; nil makes that step fail.
	Stashes Stashes
	// Locks are what the step lock waits for; nil means locks that only this build has.
	Locks Locks
	// Milestones are those of the job; nil lets every build pass.
	Milestones Milestones
	// Builds starts builds of other jobs; nil makes the step build fail.
	Builds Builds
	// Causes say why the build was started.
	Causes []Cause
	// Loaded are the libraries that LibrariesOf gives, and those that every build has.
	Loaded []*Library
	// Libraries finds those of the step library; nil makes it fail.
	Libraries Libraries
	// Changes finds the commits that are new in this build; it is called at most once. Nil means that
	// nobody knows them, and conditions about them are refused.
	Changes func(ctx context.Context) ([]Change, error)
	// Credentials resolves credentials('id') and the credentialsId of git; nil knows none.
	Credentials CredentialSource
	// History keeps what a restart of the server must not lose; nil means that the build ends with the
	// process. With events in it the build goes on where they end, and Pipeline is not checked again.
	History History
	// FirstStage is the top stage that a restarted build begins with; those before it are not built.
	// Empty runs all.
	FirstStage string
	// SetProperties takes what the step properties of a Scripted Pipeline sets for the job: Options,
	// ParameterDefs and Triggers of p, with constants only; what p does not have is unset. Nil forgets it.
	SetProperties func(ctx context.Context, p *jenkinsfile.Pipeline) error
	// Inputs asks people for the step input; nil makes that step fail.
	Inputs Inputs
	// SCM is what checkout scm clones; nil if the Jenkinsfile did not come from a repository.
	SCM *SCM
	// PostTimeout bounds what post sections may take after an abort or the loss of an agent; 0 is
	// five minutes.
	PostTimeout time.Duration
}

// BuildInfo identifies a build.
type BuildInfo struct {
	// ID is unique over all builds and stable over a restart of the server; the IDs of shell steps
	// begin with it. It may hold letters, digits, '-', '_' and '.'. Empty means JobName and Number.
	ID string
	// JobName is the full name of the job with its folders ("team/app").
	JobName string
	// Number counts the builds of the job from 1.
	Number int
	// BuildURL and JobURL are absolute and end in '/'; empty if unknown.
	BuildURL, JobURL string
	// Branch is the branch of a multibranch job, empty otherwise; it is BRANCH_NAME.
	Branch string
	// ChangeTarget is the target branch of a change request, empty otherwise; it is CHANGE_TARGET.
	ChangeTarget string
	// PreviousResult is the result of the build before it, empty if there is none. The post
	// conditions changed, fixed and regression need it.
	PreviousResult Result
	// StartTime is when the build began; zero means now.
	StartTime time.Time
}

// ParamValue is the value of one parameter: a bool for booleanParam, else a string.
type ParamValue struct {
	Name  string
	Value any
	// Sensitive values (of password parameters) are masked in the log.
	Sensitive bool
}

// SCM is the repository that a Jenkinsfile came from.
type SCM struct {
	URL string
	// Branch is a branch, tag or commit; empty for the remote's HEAD.
	Branch string
	// Commit is what the Jenkinsfile was read from, which checkout scm checks out; empty means where Branch is then.
	Commit string
	// CredentialsID names the credential for the clone; empty without one.
	CredentialsID string
	// PreviousCommit and PreviousSuccess are those of the last build and of the last successful one before; empty without one.
	PreviousCommit, PreviousSuccess string
}

// Credential is what a credential ID stands for. Which fields are set depends on Kind.
type Credential struct {
	Kind CredentialKind
	// Username and Password are of CredentialUsernamePassword; of CredentialSSHKey they are the user and
	// the passphrase.
	Username, Password string
	// Secret is the text of CredentialSecretText or the private key of CredentialSSHKey.
	Secret string
	// FileName and File are of CredentialFile.
	FileName string
	File     []byte
}

// CredentialKind is the kind of a credential.
type CredentialKind string

// The kinds of credentials.
const (
	CredentialUsernamePassword CredentialKind = "usernamePassword"
	CredentialSecretText       CredentialKind = "secretText"
	CredentialFile             CredentialKind = "file"
	CredentialSSHKey           CredentialKind = "sshUserPrivateKey"
)

// CredentialSource finds credentials that the job may use.
type CredentialSource interface {
	// Credential returns the credential of that ID; ok is false if the job has none of that ID.
	Credential(ctx context.Context, id string) (c Credential, ok bool, err error)
}

// AbortError is the cause to cancel a build's context with (context.WithCancelCause): the build
// ends ABORTED and its log names who or what did it.
type AbortError struct {
	// User is the display name of who aborted it; empty if it was no user.
	User string
	// Reason is what the log says if User is empty.
	Reason string
	// Result is that of the build; empty means ResultAborted.
	Result Result
}

// Error is the line that Jenkins writes into the log.
func (e *AbortError) Error() string {
	if e.User != "" {
		return "Aborted by " + e.User
	}
	if e.Reason != "" {
		return e.Reason
	}
	return "Aborted"
}

// UnsupportedError says that the engine cannot run something that Jenkins could.
type UnsupportedError struct {
	// File is the file of a library; empty for the Jenkinsfile.
	File string
	// Line and Column count from 1.
	Line, Column int
	// Name is the name of the step, directive or option.
	Name string
	// Message says what is not possible and what to do.
	Message string
}

func (e *UnsupportedError) Error() string {
	file := e.File
	if file == "" {
		file = "WorkflowScript"
	}
	return fmt.Sprintf("%s: %d: %s @ line %d, column %d.", file, e.Line, e.Message, e.Line, e.Column)
}

// CheckError holds everything that Check found, in order of position.
type CheckError struct{ Problems []*UnsupportedError }

func (e *CheckError) Error() string {
	lines := make([]string, 0, len(e.Problems)+1)
	for _, p := range e.Problems {
		lines = append(lines, p.Error())
	}
	return strings.Join(lines, "\n")
}

// The functions of this package that a server calls:
//
//	func Run(ctx context.Context, spec RunSpec) (Result, error)
//	func Check(p *jenkinsfile.Pipeline, agents AgentProvider) error
//	func ResolveParams(defs []jenkinsfile.Parameter, given map[string]string) ([]ParamValue, error)
//
// Run blocks until the build has ended, everything is recorded and every agent is released. It
// writes the log from "[Pipeline] Start of Pipeline" to "[Pipeline] End of Pipeline" and the error
// below it; the server writes the lines above ("Started by …") and "Finished: RESULT". The error is
// the one that the build failed with; it is nil on success, on unstable, and if only the script set a
// worse result. A *CheckError or a RunSpec that lacks something ends it with ResultFailure before
// anything starts. Run never panics.
