// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"time"

	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

func stepEcho(_ context.Context, c *stepCall) (any, error) {
	text := groovy.ToString(c.args["message"])
	if _, given := c.args["message"]; !given {
		text = ""
	}
	c.say(text)
	return nil, nil
}

func stepError(_ context.Context, c *stepCall) (any, error) {
	return nil, failed("%s", c.text("message"))
}

func stepUnstable(ctx context.Context, c *stepCall) (any, error) {
	if c.text("message") == "" {
		return nil, &groovy.Exception{Class: "java.lang.IllegalArgumentException", Message: "A non-empty message is required", Pos: c.pos}
	}
	c.say("WARNING: " + c.text("message"))
	c.b.result = worse(c.b.result, ResultUnstable)
	c.b.mark(flowOf(ctx).node, ResultUnstable)
	c.result = ResultUnstable
	return nil, nil
}

// timeUnits are the units of sleep and timeout.
var timeUnits = map[string]time.Duration{
	"NANOSECONDS": time.Nanosecond, "MICROSECONDS": time.Microsecond, "MILLISECONDS": time.Millisecond, "SECONDS": time.Second,
	"MINUTES": time.Minute, "HOURS": time.Hour, "DAYS": 24 * time.Hour,
}

func (c *stepCall) duration(unit string) (time.Duration, error) {
	var n float64
	switch v := c.args["time"].(type) {
	case int64:
		n = float64(v)
	case float64:
		n = v
	default:
		return 0, &groovy.Exception{Class: "java.lang.ClassCastException", Message: c.name + ": time must be a number, not " + clip(groovy.ToString(v)), Pos: c.pos}
	}
	if u := c.text("unit"); u != "" {
		unit = u
	}
	size, ok := timeUnits[unit]
	const most = float64(365 * 24 * time.Hour)
	if !ok || n < 0 || n*float64(size) > most {
		return 0, &groovy.Exception{Class: "java.lang.IllegalArgumentException", Message: fmt.Sprintf("%s: %s %s is no usable time", c.name, groovy.ToString(c.args["time"]), clip(unit)), Pos: c.pos}
	}
	return time.Duration(n * float64(size)), nil
}

func stepSleep(ctx context.Context, c *stepCall) (any, error) {
	d, err := c.duration("SECONDS")
	if err != nil {
		return nil, err
	}
	c.say("Sleeping for " + spanText(d))
	return nil, c.b.pause(ctx, d)
}

// maxStdout bounds what returnStdout and readFile give to the script, in bytes.
const maxStdout = 4 << 20

// cappedBuffer keeps the first bytes and counts the rest.
type cappedBuffer struct {
	bytes.Buffer
	over bool
}

func (w *cappedBuffer) Write(p []byte) (int, error) {
	room := maxStdout - w.Len()
	if len(p) > room {
		w.over = true
		w.Buffer.Write(p[:room])
		return len(p), nil
	}
	w.Buffer.Write(p)
	return len(p), nil
}

func stepSh(ctx context.Context, c *stepCall) (any, error) {
	script, given := c.args["script"]
	if !given || script == nil {
		return nil, &groovy.Exception{Class: "java.lang.IllegalArgumentException", Message: "sh needs a script", Pos: c.pos}
	}
	wantOut, wantStatus := c.flag("returnStdout"), c.flag("returnStatus")
	if wantOut && wantStatus {
		return nil, &groovy.Exception{Class: "java.lang.IllegalArgumentException", Message: "Cannot specify both returnStdout and returnStatus", Pos: c.pos}
	}
	decode, err := c.decoder()
	if err != nil {
		return nil, err
	}
	req := ShellRequest{Script: groovy.ToString(script), Dir: flowOf(ctx).dir, Env: c.b.env(ctx)}
	o := effectOptions{kind: c.name, note: "Sending interrupt signal to process", announce: func() { c.b.noteAbort(ctx) }}
	end, err := agentEffect(ctx, c, o, func(ctx context.Context, a *agentHandle, id string) (end shellEnd, err error) {
		req := req
		req.ID = id
		var stdout cappedBuffer
		if !wantOut {
			end.Code, err = a.Shell(ctx, req, c.w, nil)
			return end, err
		}
		end.Code, err = a.Shell(ctx, req, c.w, &stdout)
		end.Out, end.Over = stdout.Bytes(), stdout.over
		return end, err
	})
	switch {
	case err != nil:
		return nil, err
	case ctx.Err() != nil:
		return nil, interrupted(ctx)
	case wantStatus:
		return int64(end.Code), nil
	case end.Code != 0:
		return nil, failed("script returned exit code %d", end.Code)
	case wantOut && end.Over:
		return nil, failed("The output of the script has more than %d bytes, too much for returnStdout", maxStdout)
	case wantOut:
		return decode(end.Out), nil
	}
	return nil, nil
}

// shellEnd is how a script has ended. Out is its output for returnStdout; Over says that it was more.
type shellEnd struct {
	Code int    `json:"code,omitempty"`
	Out  []byte `json:"out,omitempty"`
	Over bool   `json:"over,omitempty"`
}

func stepPwd(ctx context.Context, c *stepCall) (any, error) {
	f := flowOf(ctx)
	if c.flag("tmp") {
		return f.agent.Workspace() + "@tmp", nil
	}
	return f.dir, nil
}

func stepIsUnix(context.Context, *stepCall) (any, error) { return true, nil }

func stepFileExists(ctx context.Context, c *stepCall) (any, error) {
	return c.exists(ctx, c.text("file"))
}

func stepReadFile(ctx context.Context, c *stepCall) (any, error) {
	decode, err := c.decoder()
	if err != nil {
		return nil, err
	}
	content, err := c.readAgentFile(ctx, flowOf(ctx).resolve(c.text("file")))
	if err != nil {
		return nil, err
	}
	return decode(content), nil
}

// readAgentFile reads a file of bounded size.
func (c *stepCall) readAgentFile(ctx context.Context, file string) (content []byte, err error) {
	content, err = onAgent(ctx, c, func(ctx context.Context, a *agentHandle, _ string) ([]byte, error) {
		r, err := a.Open(ctx, file)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &groovy.Exception{Class: "java.nio.file.NoSuchFileException", Message: file, Pos: c.pos}
		}
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(io.LimitReader(r, maxStdout+1))
		return content, errors.Join(err, r.Close())
	})
	if err == nil && len(content) > maxStdout {
		return nil, failed("%s has more than %d bytes, too much for %s", file, maxStdout, c.name)
	}
	return content, err
}

func stepWriteFile(ctx context.Context, c *stepCall) (any, error) {
	if c.text("file") == "" {
		return nil, &groovy.Exception{Class: "java.lang.IllegalArgumentException", Message: "writeFile needs a file", Pos: c.pos}
	}
	content, err := c.encoded(c.text("text"))
	if err != nil {
		return nil, err
	}
	file := flowOf(ctx).resolve(c.text("file"))
	return nil, c.onAgentOnly(ctx, func(ctx context.Context, a *agentHandle, _ string) error { return a.WriteFile(ctx, file, content) })
}

func stepDeleteDir(ctx context.Context, c *stepCall) (any, error) {
	dir := flowOf(ctx).dir
	return nil, c.onAgentOnly(ctx, func(ctx context.Context, a *agentHandle, _ string) error { return a.RemoveAll(ctx, dir) })
}

func stepArchive(ctx context.Context, c *stepCall) (any, error) {
	includes := c.text("artifacts")
	if includes == "" {
		return nil, &groovy.Exception{Class: "java.lang.IllegalArgumentException", Message: "archiveArtifacts needs artifacts", Pos: c.pos}
	}
	if c.b.spec.Artifacts == nil {
		return nil, failed("This server keeps no artifacts")
	}
	if err := c.noCaseless(); err != nil {
		return nil, err
	}
	if c.flag("onlyIfSuccessful") && severity(c.b.result) > severity(ResultSuccess) {
		c.say("Skipping archiving because build is not successful")
		return nil, nil
	}
	c.say("Archiving artifacts")
	dir, excludes := flowOf(ctx).dir, c.withDefaultExcludes(c.text("excludes"))
	count, err := onAgent(ctx, c, func(ctx context.Context, a *agentHandle, _ string) (int, error) {
		files, err := a.Glob(ctx, dir, includes, excludes)
		if err != nil {
			return 0, err
		}
		for _, name := range files {
			if clean := path.Clean("/" + name)[1:]; clean != name || clean == "" {
				return 0, failed("The agent named an artifact with a bad path: %q", name)
			}
			if err := c.keep(ctx, a, path.Join(dir, name), name); err != nil {
				return 0, err
			}
		}
		return len(files), nil
	})
	if err != nil {
		return nil, err
	}
	if count == 0 {
		message := fmt.Sprintf("No artifacts found that match the file pattern \"%s\". Configuration error?", includes)
		if c.flag("allowEmptyArchive") {
			c.say(message)
			return nil, nil
		}
		return nil, failed("%s", message)
	}
	if c.flag("fingerprint") {
		c.say("Recording fingerprints")
	}
	return nil, nil
}
