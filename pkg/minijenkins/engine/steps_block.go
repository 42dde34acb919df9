// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

// runBlock runs the call's block with the lines of a block step.
func (c *stepCall) runBlock(ctx context.Context, s blockStep) (any, error) {
	s.name = c.name
	if s.body == nil {
		s.body = func(ctx context.Context, _ string) error { return c.body(ctx) }
	}
	err := c.b.runBlock(ctx, s)
	return c.value, err
}

func stepPlainBlock(ctx context.Context, c *stepCall) (any, error) {
	return c.runBlock(ctx, blockStep{})
}

func stepTimestamps(ctx context.Context, c *stepCall) (any, error) {
	return c.runBlock(ctx, blockStep{before: func(ctx context.Context) (context.Context, error) {
		return withFlow(ctx, func(f *flow) { f.timestamps = true }), nil
	}})
}

func stepDir(ctx context.Context, c *stepCall) (any, error) {
	return c.runBlock(ctx, blockStep{before: func(ctx context.Context) (context.Context, error) {
		dir := flowOf(ctx).resolve(c.text("path"))
		c.b.stamped(ctx, "Running in "+dir)
		return withFlow(ctx, func(f *flow) { f.dir = dir }), nil
	}})
}

func stepWithEnv(ctx context.Context, c *stepCall) (any, error) {
	list, ok := c.args["overrides"].(*groovy.List)
	if !ok {
		return nil, &groovy.Exception{Class: "java.lang.ClassCastException", Message: "withEnv needs a list of 'NAME=value'", Pos: c.pos}
	}
	var add [][2]string
	for _, item := range list.Items {
		text := groovy.ToString(item)
		name, value, ok := strings.Cut(text, "=")
		if base, _, _ := strings.Cut(name, "+"); !ok || !envName(base) {
			return nil, failed("withEnv: %s is not of the form NAME=value", clip(text))
		}
		add = append(add, [2]string{name, value})
	}
	return c.runBlock(ctx, blockStep{before: func(ctx context.Context) (context.Context, error) {
		return c.b.overlay(ctx, add), nil
	}})
}

func stepTimeout(ctx context.Context, c *stepCall) (any, error) {
	d, err := c.duration("MINUTES")
	if err != nil {
		return nil, err
	}
	if c.flag("activity") {
		return nil, failed("timeout: activity is not supported by the built-in runner; use Jenkins")
	}
	var limit *scope
	var announced *hook
	defer func() {
		if limit != nil {
			c.b.unhook(announced)
			c.b.closeScope(limit)
		}
	}()
	return c.runBlock(ctx, blockStep{
		before: func(ctx context.Context) (context.Context, error) {
			c.b.stamped(ctx, "Timeout set to expire in "+spanText(d))
			var once sync.Once
			cause := &stopError{line: "Timeout has been exceeded", announce: func() {
				once.Do(func() { c.b.stamped(ctx, "Cancelling nested steps due to timeout") })
			}}
			inner, s, err := c.b.within(ctx, kindTimeout, d, cause, false)
			if err != nil {
				return ctx, err
			}
			limit, announced = s, c.b.hookFor(inner, &hook{fire: func() { c.b.noteAbort(inner) }})
			return inner, nil
		},
	})
}

// maxRetries bounds the count of retry.
const maxRetries = 1000

func stepRetry(ctx context.Context, c *stepCall) (any, error) {
	n, ok := c.args["count"].(int64)
	if !ok || n < 0 || n > maxRetries {
		return nil, &groovy.Exception{Class: "java.lang.IllegalArgumentException", Message: "retry: count must be a number from 0 to " + itoa(maxRetries), Pos: c.pos}
	}
	agentsOnly, err := c.retryConditions()
	if err != nil {
		return nil, err
	}
	var again blockStep
	s := blockStep{after: func(ctx context.Context, err error) error {
		for left := n - 1; err != nil && left > 0 && ctx.Err() == nil && retryable(err) && (!agentsOnly || lostAgent(err)); left-- {
			c.b.stamped(ctx, strings.TrimSuffix(errorText(err), "\n"))
			c.b.stamped(ctx, "Retrying")
			err = c.b.runBody(ctx, again)
		}
		return err
	}}
	again = blockStep{body: func(ctx context.Context, _ string) error { return c.body(ctx) }}
	return c.runBlock(ctx, s)
}

// retryable tells errors of steps from aborts, limits and timeouts.
func retryable(err error) bool {
	var limit *groovy.LimitError
	return resultOf(err) == ResultFailure && !errors.As(err, &limit)
}

func stepCatchError(ctx context.Context, c *stepCall) (any, error) {
	return c.catch(ctx, ResultFailure)
}

func stepWarnError(ctx context.Context, c *stepCall) (any, error) {
	return c.catch(ctx, ResultUnstable)
}

// catch runs the block and turns its error into results of build and stage.
func (c *stepCall) catch(ctx context.Context, def Result) (any, error) {
	results := map[string]Result{"buildResult": def, "stageResult": ResultSuccess}
	if c.name == "warnError" {
		results["stageResult"] = ResultUnstable
	}
	for _, name := range []string{"buildResult", "stageResult"} {
		v, given := c.args[name]
		if !given || v == nil {
			continue
		}
		r, err := parseResult(groovy.ToString(v))
		if err != nil {
			return nil, err
		}
		results[name] = r
	}
	interruptions := true
	if v, given := c.args["catchInterruptions"]; given {
		interruptions = groovy.Truth(v)
	}
	return c.runBlock(ctx, blockStep{after: func(ctx context.Context, err error) error {
		var limit *groovy.LimitError
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil || errors.As(err, &limit):
			// An abort of the build goes on.
			return err
		case interruption(err) && !interruptions:
			return err
		}
		if m := c.text("message"); m != "" {
			c.b.stamped(ctx, "ERROR: "+m)
		}
		if text := strings.TrimSuffix(errorText(err), "\n"); text != "" {
			c.b.stamped(ctx, text)
		}
		c.b.result = worse(c.b.result, results["buildResult"])
		if r := results["stageResult"]; r != ResultSuccess {
			c.b.mark(flowOf(ctx).node, r)
		}
		return nil
	}})
}

// stepStage is stage('x') { … } in a script.
func stepStage(ctx context.Context, c *stepCall) (any, error) {
	name := c.text("name")
	return c.runBlock(ctx, blockStep{label: name, body: func(ctx context.Context, id string) error {
		node := c.b.startNode(ctx, id, name, "STAGE")
		ctx = withFlow(ctx, func(f *flow) {
			f.node = node
			f.path += "/" + name
		})
		err := c.body(ctx)
		c.b.endNode(node, StateFinished, resultOf(err))
		return err
	}})
}

// stepParallel is parallel(a: { … }, b: { … }, failFast: true) in a script.
func stepParallel(ctx context.Context, c *stepCall) (any, error) {
	m, ok := c.args["branches"].(*groovy.Map)
	if !ok {
		return nil, &groovy.Exception{Class: "java.lang.IllegalArgumentException", Message: "parallel needs a map of closures", Pos: c.pos}
	}
	var branches []branch
	failFast := false
	results := groovy.NewMap()
	for _, k := range m.Keys() {
		v, _ := m.Get(k)
		name := groovy.ToString(k)
		closure, isClosure := v.(*groovy.Closure)
		switch {
		case isClosure:
			branches = append(branches, branch{name, func(ctx context.Context) error {
				ctx = withFlow(ctx, func(f *flow) { f.branchNode = nil })
				v, err := c.b.m.Call(ctx, closure)
				results.Put(name, v)
				return err
			}})
		case name == "failFast":
			failFast = groovy.Truth(v)
		default:
			return nil, &groovy.Exception{Class: "java.lang.IllegalArgumentException", Message: "parallel: branch " + clip(name) + " is no closure", Pos: c.pos}
		}
	}
	if len(branches) == 0 {
		return results, nil
	}
	if node := flowOf(ctx).node; node != nil {
		node.fans = true
	}
	return results, c.b.runParallel(ctx, branches, failFast)
}
