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
	"strings"
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
	c.b.baton.aside(func() {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			err = interrupted(ctx)
		}
	})
	return nil, err
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
	f := flowOf(ctx)
	*f.shells++
	req := ShellRequest{
		ID:     c.b.buildID() + "-" + pathHash(f.path) + "-" + itoa(*f.shells),
		Script: groovy.ToString(script),
		Dir:    f.dir,
		Env:    c.b.env(ctx),
	}
	var stdout cappedBuffer
	var out io.Writer
	if wantOut {
		out = &stdout
	}
	code := 0
	note := func() {
		c.b.noteAbort(ctx)
		c.say("Sending interrupt signal to process")
	}
	stop := onEnd(ctx, note)
	err := c.agent(ctx, func(a *agentHandle) error {
		var err error
		code, err = a.Shell(ctx, req, c.w, out)
		return err
	})
	if !stop() && ctx.Err() != nil {
		// The agent was faster than the note.
		note()
	}
	switch {
	case err != nil:
		return nil, err
	case ctx.Err() != nil:
		return nil, interrupted(ctx)
	case wantStatus:
		return int64(code), nil
	case code != 0:
		return nil, failed("script returned exit code %d", code)
	case wantOut && stdout.over:
		return nil, failed("The output of the script has more than %d bytes, too much for returnStdout", maxStdout)
	case wantOut:
		return stdout.String(), nil
	}
	return nil, nil
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
	if e := c.text("encoding"); e != "" && !strings.EqualFold(e, "UTF-8") {
		return nil, failed("readFile: encoding %s is not supported by the built-in runner; use UTF-8 or Jenkins", clip(e))
	}
	content, err := c.readAgentFile(ctx, flowOf(ctx).resolve(c.text("file")))
	return string(content), err
}

// readAgentFile reads a file of bounded size.
func (c *stepCall) readAgentFile(ctx context.Context, file string) (content []byte, err error) {
	err = c.agent(ctx, func(a *agentHandle) error {
		r, err := a.Open(ctx, file)
		if errors.Is(err, fs.ErrNotExist) {
			return &groovy.Exception{Class: "java.nio.file.NoSuchFileException", Message: file, Pos: c.pos}
		}
		if err != nil {
			return err
		}
		content, err = io.ReadAll(io.LimitReader(r, maxStdout+1))
		return errors.Join(err, r.Close())
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
	content := []byte(c.text("text"))
	return nil, c.agent(ctx, func(a *agentHandle) error { return a.WriteFile(ctx, flowOf(ctx).resolve(c.text("file")), content) })
}

func stepDeleteDir(ctx context.Context, c *stepCall) (any, error) {
	return nil, c.agent(ctx, func(a *agentHandle) error { return a.RemoveAll(ctx, flowOf(ctx).dir) })
}

func stepArchive(ctx context.Context, c *stepCall) (any, error) {
	includes := c.text("artifacts")
	if includes == "" {
		return nil, &groovy.Exception{Class: "java.lang.IllegalArgumentException", Message: "archiveArtifacts needs artifacts", Pos: c.pos}
	}
	if c.b.spec.Artifacts == nil {
		return nil, failed("This server keeps no artifacts")
	}
	if c.flag("onlyIfSuccessful") && severity(c.b.result) > severity(ResultSuccess) {
		c.say("Skipping archiving because build is not successful")
		return nil, nil
	}
	c.say("Archiving artifacts")
	dir := flowOf(ctx).dir
	var files []string
	err := c.agent(ctx, func(a *agentHandle) error {
		var err error
		if files, err = a.Glob(ctx, dir, includes, c.text("excludes")); err != nil {
			return err
		}
		for _, name := range files {
			if clean := path.Clean("/" + name)[1:]; clean != name || clean == "" {
				return failed("The agent named an artifact with a bad path: %q", name)
			}
			if err := c.keep(ctx, a, path.Join(dir, name), name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
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
