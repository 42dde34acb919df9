// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

// BuildRequest asks for a build of another job.
type BuildRequest struct {
	// ID is unique over all requests and stable over a restart of the server: the same ID is the same build
	// and is never started twice.
	ID string
	// Job is a path: absolute with a slash in front, else seen from the folder of this build's job.
	Job string
	// Params are the given values; those of parameters that the job does not have are left out.
	Params []ParamValue
	// QuietPeriod is negative for that of the job.
	QuietPeriod time.Duration
}

// OtherBuild is a build that the step build started.
type OtherBuild struct {
	// JobName is the full name of the job with its folders, Number its build; 0 while it has not begun.
	JobName string
	Number  int
	// URL is absolute and ends in '/'.
	URL string
	// Result is empty while it runs.
	Result      Result
	DisplayName string
	Description string
	StartTime   time.Time
	Duration    time.Duration
	// Variables are the values of its parameters, without those of passwords.
	Variables []ParamValue
}

// Downstream is a build that was asked for.
type Downstream interface {
	// JobName is the full name of the job.
	JobName() string
	// Started waits until it has begun. A build that never will is an error.
	Started(ctx context.Context) (OtherBuild, error)
	// Finished waits until it is over.
	Finished(ctx context.Context) (OtherBuild, error)
	// Cancel interrupts it, in the queue or while it runs.
	Cancel(reason string)
}

// Builds starts builds of other jobs.
type Builds interface {
	// Start queues a build. An error is final and says what is wrong with the request.
	Start(ctx context.Context, req BuildRequest) (Downstream, error)
}

// downstreamError is the result of another build that this one takes over.
type downstreamError struct {
	message string
	result  Result
}

func (e *downstreamError) Error() string { return e.message }

// maxQuiet bounds the quiet period of a build in seconds.
const maxQuiet = 365 * 24 * 3600

func (c *stepCall) buildRequest() (BuildRequest, error) {
	req := BuildRequest{Job: strings.TrimSpace(c.text("job")), QuietPeriod: -1}
	if req.Job == "" {
		return req, &groovy.Exception{Class: "java.lang.IllegalArgumentException", Message: "build needs a job", Pos: c.pos}
	}
	if v := c.args["quietPeriod"]; v != nil {
		n, ok := v.(int64)
		if !ok || n < 0 || n > maxQuiet {
			return req, &groovy.Exception{Class: "java.lang.ClassCastException", Message: "build: quietPeriod must be a number of seconds", Pos: c.pos}
		}
		req.QuietPeriod = time.Duration(n) * time.Second
	}
	switch list := c.args["parameters"].(type) {
	case nil:
	case *groovy.List:
		for _, item := range list.Items {
			p, err := buildParameter(item)
			if err != nil {
				return req, err
			}
			req.Params = append(req.Params, p)
		}
	default:
		return req, failed("build: parameters must be a list such as [string(name: 'X', value: 'y')]")
	}
	return req, nil
}

// valueSymbols are the symbols of parameters that have a value, and the classes of the same.
var valueSymbols = map[string]bool{
	"string": true, "text": true, "booleanParam": true, "password": true,
	"StringParameterValue": true, "TextParameterValue": true, "BooleanParameterValue": true, "PasswordParameterValue": true,
}

func buildParameter(item any) (ParamValue, error) {
	m, ok := item.(*groovy.Map)
	if !ok {
		return ParamValue{}, failed("build: %s is no parameter such as string(name: 'X', value: 'y')", clip(groovy.ToString(item)))
	}
	text := func(key string) string {
		if v, _ := m.Get(key); v != nil {
			return groovy.ToString(v)
		}
		return ""
	}
	kind := text(symbolKey)
	kind = kind[strings.LastIndexByte(kind, '.')+1:]
	name := text("name")
	if !valueSymbols[kind] || name == "" {
		return ParamValue{}, failed("build: a parameter of the kind %s is not supported by the built-in runner; use string, text, booleanParam or password with a name", clip(kind))
	}
	v := ParamValue{Name: name, Value: text("value"), Sensitive: strings.HasPrefix(strings.ToLower(kind), "password")}
	if strings.HasPrefix(kind, "boolean") || strings.HasPrefix(kind, "Boolean") {
		v.Value = text("value") == "true"
	}
	return v, nil
}

// enabled is a flag that is set if nothing else is said.
func (c *stepCall) enabled(name string) bool {
	return c.args[name] == nil || c.flag(name)
}

func spaced(jobName string) string { return strings.ReplaceAll(jobName, "/", " » ") }

func stepBuild(ctx context.Context, c *stepCall) (any, error) {
	if c.b.spec.Builds == nil {
		return nil, failed("This server starts no builds of other jobs")
	}
	req, err := c.buildRequest()
	if err != nil {
		return nil, err
	}
	for _, p := range req.Params {
		if s, ok := p.Value.(string); ok && p.Sensitive {
			c.b.masks.add(s)
		}
	}
	w := &awaitedBuild{c: c, req: req}
	started, err := effect(ctx, c.b, "build", w.start)
	switch stop := c.b.stopped(); {
	case stop != nil:
		return nil, stop
	case err != nil && ctx.Err() != nil:
		return nil, interrupted(ctx)
	case err != nil:
		return nil, failed("%v", err)
	}
	w.req.ID = started.ID
	c.say("Scheduling project: " + spaced(started.JobName))
	wait, waitForStart := c.enabled("wait"), c.flag("waitForStart")
	if !wait && !waitForStart {
		return nil, nil
	}
	seen, err := w.wait(ctx, !waitForStart)
	switch stop := c.b.stopped(); {
	case stop != nil:
		return nil, stop
	case ctx.Err() != nil && (err != nil || seen.Result == ""):
		_, _ = effect(ctx, c.b, "build-cancel", w.cancel) // an interrupted step has no other error
		return nil, interrupted(ctx)
	case err != nil:
		return nil, failed("%s: %v", spaced(started.JobName), err)
	case waitForStart:
		return &otherObject{seen}, nil
	}
	c.say(fmt.Sprintf("Build %s #%d completed: %s", spaced(seen.JobName), seen.Number, seen.Result))
	if seen.Result != ResultSuccess && c.enabled("propagate") {
		message := fmt.Sprintf("%s #%d completed with status %s (propagate: false to ignore)", spaced(seen.JobName), seen.Number, seen.Result)
		return nil, &groovy.Exception{Class: classInterrupt, Message: message, Err: &downstreamError{message, seen.Result}}
	}
	return &otherObject{seen}, nil
}

// awaitedBuild is a build that the step build waits for.
type awaitedBuild struct {
	c     *stepCall
	req   BuildRequest
	other Downstream
}

// found asks for the build again if it was started before a restart; its ID keeps it from being another one.
func (w *awaitedBuild) found(ctx context.Context) (err error) {
	if w.other == nil {
		w.other, err = w.c.b.spec.Builds.Start(ctx, w.req)
	}
	return err
}

func (w *awaitedBuild) start(ctx context.Context, id string) (startedBuild, error) {
	w.req.ID = id
	if err := w.found(ctx); err != nil {
		return startedBuild{}, err
	}
	return startedBuild{ID: id, JobName: w.other.JobName()}, nil
}

// wait waits until the build has begun, and with finish until it is over.
func (w *awaitedBuild) wait(ctx context.Context, finish bool) (OtherBuild, error) {
	seen, err := effect(ctx, w.c.b, "build-started", func(ctx context.Context, _ string) (OtherBuild, error) {
		if err := w.found(ctx); err != nil {
			return OtherBuild{}, err
		}
		return w.other.Started(ctx)
	})
	if err != nil {
		return seen, err
	}
	w.c.say(fmt.Sprintf("Starting building: %s #%d", spaced(seen.JobName), seen.Number))
	if !finish {
		return seen, nil
	}
	return effect(ctx, w.c.b, "build-finished", func(ctx context.Context, _ string) (OtherBuild, error) {
		if err := w.found(ctx); err != nil {
			return OtherBuild{}, err
		}
		return w.other.Finished(ctx)
	})
}

// cancelTimeout bounds how long a build is looked for that is to be cancelled.
const cancelTimeout = time.Minute

func (w *awaitedBuild) cancel(ctx context.Context, _ string) (bool, error) {
	ctx, cancel := w.c.b.detached(ctx, cancelTimeout)
	defer cancel()
	if err := w.found(ctx); err != nil {
		return false, err
	}
	w.other.Cancel("Calling Pipeline was cancelled")
	return true, nil
}

// startedBuild is what the history says about a build that was started.
type startedBuild struct {
	ID      string `json:"id"`
	JobName string `json:"jobName"`
}

// otherObject is another build in the script.
type otherObject struct{ o OtherBuild }

func (o *otherObject) String() string {
	return spaced(o.o.JobName) + " #" + itoa(o.o.Number)
}

func (o *otherObject) ClassName() string { return (&buildObject{}).ClassName() }

func (o *otherObject) Property(_ context.Context, name string) (any, bool, error) {
	b := o.o
	orNull := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	switch name {
	case "result":
		return orNull(string(b.Result)), true, nil
	case "currentResult":
		return string(worse(b.Result, ResultSuccess)), true, nil
	case "number":
		return int64(b.Number), true, nil
	case "id":
		return itoa(b.Number), true, nil
	case "displayName":
		if b.DisplayName == "" {
			return "#" + itoa(b.Number), true, nil
		}
		return b.DisplayName, true, nil
	case "fullDisplayName":
		return o.String(), true, nil
	case "description":
		return orNull(b.Description), true, nil
	case "projectName":
		return b.JobName[strings.LastIndexByte(b.JobName, '/')+1:], true, nil
	case "fullProjectName":
		return b.JobName, true, nil
	case "absoluteUrl":
		return b.URL, true, nil
	case "startTimeInMillis", "timeInMillis":
		return b.StartTime.UnixMilli(), true, nil
	case "duration":
		return b.Duration.Milliseconds(), true, nil
	case "durationString":
		return spanText(b.Duration), true, nil
	case "buildVariables":
		m := groovy.NewMap()
		for _, p := range b.Variables {
			if !p.Sensitive {
				m.Put(p.Name, groovy.ToString(p.Value))
			}
		}
		return m, true, nil
	}
	return nil, false, nil
}

func (o *otherObject) SetProperty(context.Context, string, any) (bool, error) { return false, nil }

func (o *otherObject) Call(ctx context.Context, name string, args []any) (any, bool, error) {
	switch {
	case len(args) == 0 && strings.HasPrefix(name, "get") && len(name) > 3:
		return o.Property(ctx, strings.ToLower(name[3:4])+name[4:])
	case len(args) == 1 && (name == "resultIsBetterOrEqualTo" || name == "resultIsWorseOrEqualTo"):
		r, err := parseResult(groovy.ToString(args[0]))
		d := severity(o.o.Result) - severity(r)
		return (d <= 0) == (name == "resultIsBetterOrEqualTo") || d == 0, true, err
	}
	return nil, false, nil
}

// interruption tells if an error is that of an interrupted step.
func interruption(err error) bool {
	var in *interruptError
	return resultOf(err) == ResultAborted || errors.As(err, &in)
}
