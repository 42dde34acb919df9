// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

// The times between two tries of waitUntil: the first, the greatest, and by what they grow, as in Jenkins.
const (
	firstRecurrence  = 250 * time.Millisecond
	maxRecurrence    = 15 * time.Second
	recurrenceFactor = 1.2
)

// stepWaitUntil runs its block until it gives true, with more and more time between.
func stepWaitUntil(ctx context.Context, c *stepCall) (any, error) {
	period := firstRecurrence
	if v := c.args["initialRecurrencePeriod"]; v != nil {
		n, ok := v.(int64)
		if !ok || n < 0 || n > int64(24*time.Hour/time.Millisecond) {
			return nil, &groovy.Exception{Class: "java.lang.ClassCastException", Message: "waitUntil: initialRecurrencePeriod must be a number of milliseconds", Pos: c.pos}
		}
		period = max(time.Duration(n)*time.Millisecond, time.Millisecond)
	}
	once := func(ctx context.Context, _ string) error { return c.body(ctx) }
	_, err := c.runBlock(ctx, blockStep{body: once, after: func(ctx context.Context, err error) error {
		for {
			if err != nil {
				return err
			}
			done, isBool := c.value.(bool)
			switch {
			case !isBool:
				return &groovy.Exception{Class: "java.lang.ClassCastException", Message: "body return value " + clip(groovy.ToString(c.value)) + " is not boolean", Pos: c.pos}
			case done:
				return nil
			}
			if !c.flag("quiet") {
				c.b.stamped(ctx, "Will try again after "+shortSpan(period))
			}
			if err := c.b.pause(ctx, period); err != nil {
				return err
			}
			period = min(time.Duration(float64(period)*recurrenceFactor), maxRecurrence)
			if err := c.b.countStep(); err != nil {
				return err
			}
			err = c.b.runBody(ctx, blockStep{body: once})
		}
	}})
	return nil, err
}

// pause waits without the baton; after a restart of the server only for the rest of the time.
func (b *build) pause(ctx context.Context, d time.Duration) error {
	_, err := perform(ctx, b, effectOptions{kind: "sleep"}, func(ctx context.Context, x *execution) (struct{}, error) {
		end, err := x.deadline(d)
		if err != nil {
			return struct{}{}, err
		}
		t := time.NewTimer(time.Until(end))
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		return struct{}{}, nil
	})
	if err == nil && ctx.Err() != nil {
		err = interrupted(ctx)
	}
	return err
}

// shortSpan writes a time as Jenkins does if it has less than 10 seconds.
func shortSpan(d time.Duration) string {
	ms := d.Milliseconds()
	switch {
	case ms >= 10_000:
		return spanText(d)
	case ms >= 1000:
		return strconv.FormatFloat(float64(ms/100)/10, 'f', -1, 64) + " sec"
	case ms >= 100:
		return strconv.FormatFloat(float64(ms/10)/100, 'f', -1, 64) + " sec"
	}
	return strconv.FormatInt(ms, 10) + " ms"
}

// reportFolderRE is what a name of a report must not have as a folder.
var reportFolderRE = regexp.MustCompile(`[^\p{L}\p{N}._-]`)

// maxReportName bounds the name of a report in bytes.
const maxReportName = 200

// stepPublishHTML keeps a report as artifacts below a folder of its name.
func stepPublishHTML(ctx context.Context, c *stepCall) (any, error) {
	if m, ok := c.args["target"].(*groovy.Map); ok {
		for _, k := range m.Keys() {
			name := groovy.ToString(k)
			if name != symbolKey && !contains(reportParams, name) {
				return nil, failed("publishHTML: parameter %s is not supported by the built-in runner; use Jenkins", clip(name))
			}
			c.args[name], _ = m.Get(k)
		}
	}
	name := c.text("reportName")
	if name == "" {
		name = "HTML Report"
	}
	folder := strings.Trim(reportFolderRE.ReplaceAllString(name, "_"), ".")
	includes := c.text("includes")
	if includes == "" {
		includes = "**/*"
	}
	switch {
	case c.b.spec.Artifacts == nil:
		return nil, failed("This server keeps no artifacts")
	case folder == "" || len(folder) > maxReportName:
		return nil, failed("publishHTML: ‘%s’ is no usable name of a report", clip(name))
	}
	dir := flowOf(ctx).resolve(c.text("reportDir"))
	c.say("[htmlpublisher] Archiving HTML reports...")
	c.say("[htmlpublisher] Archiving at BUILD level " + dir + " to artifacts/" + folder)
	count, err := onAgent(ctx, c, func(ctx context.Context, a *agentHandle, _ string) (int, error) {
		files, err := a.Glob(ctx, dir, includes, "")
		if err != nil {
			return 0, err
		}
		for _, f := range files {
			if !usablePath(f) {
				return 0, failed("The agent named a file with a bad path: %q", f)
			}
			if err := c.keep(ctx, a, path.Join(dir, f), folder+"/"+f); err != nil {
				return 0, err
			}
		}
		return len(files), nil
	})
	if err != nil {
		return nil, err
	}
	if count == 0 && !c.flag("allowMissing") {
		return nil, failed("Specified HTML directory '%s' does not exist.", dir)
	}
	c.say(fmt.Sprintf("[htmlpublisher] %d file(s) kept as artifacts below %s", count, folder))
	return nil, nil
}

var reportParams = []string{"allowMissing", "alwaysLinkToLastBuild", "keepAll", "reportDir", "reportFiles", "reportName", "reportTitles", "includes",
	"escapeUnderscores", "useWrapperFileDirectly", "numberOfWorkers"}

// keep copies a file of the agent into the artifacts.
func (c *stepCall) keep(ctx context.Context, a *agentHandle, file, as string) error {
	r, err := a.Open(ctx, file)
	if err != nil {
		return fmt.Errorf("artifact %s: %w", as, err)
	}
	if err := c.b.spec.Artifacts.Put(ctx, as, r); err != nil {
		_ = r.Close()
		return failed("Artifact %s could not be kept: %v", as, err)
	}
	return r.Close()
}

// cleanParams are the parameters of cleanWs that say for which result it cleans.
var cleanParams = map[Result]string{
	"": "cleanWhenSuccess", ResultSuccess: "cleanWhenSuccess", ResultUnstable: "cleanWhenUnstable", ResultFailure: "cleanWhenFailure",
	ResultNotBuilt: "cleanWhenNotBuilt", ResultAborted: "cleanWhenAborted",
}

func stepCleanWs(ctx context.Context, c *stepCall) (any, error) {
	c.say("[WS-CLEANUP] Deleting project workspace...")
	if !c.enabled(cleanParams[c.b.result]) || c.flag("skipWhenFailed") && c.b.result == ResultFailure {
		c.say("[WS-CLEANUP] Skipping based on build state " + string(worse(c.b.result, ResultSuccess)))
		return nil, nil
	}
	includes, excludes, err := c.cleanPatterns()
	if err != nil {
		return nil, err
	}
	err = c.onAgentOnly(ctx, func(ctx context.Context, a *agentHandle, _ string) error {
		if includes == "" && excludes == "" {
			return a.RemoveAll(ctx, a.Workspace())
		}
		if includes == "" {
			includes = "**"
		}
		files, err := a.Glob(ctx, a.Workspace(), includes, excludes)
		for _, f := range files {
			if !usablePath(f) {
				return failed("The agent named a file with a bad path: %q", f)
			}
			if err == nil {
				err = a.RemoveAll(ctx, path.Join(a.Workspace(), f))
			}
		}
		return err
	})
	if err == nil {
		c.say("[WS-CLEANUP] done")
	} else if c.flag("notFailBuild") && ctx.Err() == nil {
		c.say("[WS-CLEANUP] Cannot delete workspace: " + c.b.masks.apply(err.Error()))
		return nil, nil
	}
	return nil, err
}

// cleanPatterns reads patterns: [[pattern: 'target/**', type: 'INCLUDE'], …].
func (c *stepCall) cleanPatterns() (includes, excludes string, err error) {
	list, ok := c.args["patterns"].(*groovy.List)
	if !ok {
		return "", "", nil
	}
	if c.flag("deleteDirs") && len(list.Items) > 0 {
		return "", "", failed("cleanWs: deleteDirs together with patterns is not supported by the built-in runner; use Jenkins")
	}
	var in, out []string
	for _, item := range list.Items {
		m, ok := item.(*groovy.Map)
		if !ok {
			return "", "", failed("cleanWs: a pattern is [pattern: 'target/**', type: 'INCLUDE']")
		}
		pattern, _ := m.Get("pattern")
		kind, _ := m.Get("type")
		switch text := groovy.ToString(pattern); groovy.ToString(kind) {
		case "EXCLUDE":
			out = append(out, text)
		default:
			in = append(in, text)
		}
	}
	return strings.Join(in, ","), strings.Join(out, ","), nil
}
