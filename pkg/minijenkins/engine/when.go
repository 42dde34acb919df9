// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"regexp"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

// when tells if a stage runs.
func (b *build) when(ctx context.Context, w *jenkinsfile.When) (bool, error) {
	return b.allOf(ctx, w.Conditions)
}

func (b *build) allOf(ctx context.Context, conditions []*jenkinsfile.Condition) (bool, error) {
	for _, c := range conditions {
		ok, err := b.condition(ctx, c)
		if err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// conditionDef evaluates a condition.
type conditionDef func(b *build, ctx context.Context, c *jenkinsfile.Condition) (bool, error)

// conditionDefs are the conditions of when by name. It is filled in init, as some hold others.
var conditionDefs map[string]conditionDef

func init() {
	conditionDefs = map[string]conditionDef{
		"allOf": func(b *build, ctx context.Context, c *jenkinsfile.Condition) (bool, error) {
			return b.allOf(ctx, c.Children)
		},
		"anyOf": (*build).anyOf,
		"not": func(b *build, ctx context.Context, c *jenkinsfile.Condition) (bool, error) {
			ok, err := b.allOf(ctx, c.Children)
			return !ok, err
		},
		"expression": func(b *build, ctx context.Context, c *jenkinsfile.Condition) (bool, error) {
			v, err := b.m.Exec(ctx, c.Body.Body)
			return groovy.Truth(v), err
		},
		"equals":        (*build).equals,
		"environment":   (*build).envCondition,
		"branch":        (*build).refCondition,
		"tag":           (*build).refCondition,
		"buildingTag":   (*build).refCondition,
		"changeRequest": (*build).changeRequest,
		"changeset":     (*build).changeCondition,
		"changelog":     (*build).changeCondition,
		"triggeredBy":   (*build).triggeredBy,
		"isRestartedRun": func(b *build, _ context.Context, _ *jenkinsfile.Condition) (bool, error) {
			return b.spec.FirstStage != "", nil
		},
	}
}

func (b *build) condition(ctx context.Context, c *jenkinsfile.Condition) (bool, error) {
	def, ok := conditionDefs[c.Name]
	if !ok {
		return false, failed("The condition %s is not supported by the built-in runner; use Jenkins", c.Name)
	}
	return def(b, ctx, c)
}

func (b *build) anyOf(ctx context.Context, c *jenkinsfile.Condition) (bool, error) {
	for _, child := range c.Children {
		ok, err := b.condition(ctx, child)
		if err != nil || ok {
			return ok, err
		}
	}
	return false, nil
}

func (b *build) equals(ctx context.Context, c *jenkinsfile.Condition) (bool, error) {
	expected, err := b.condArg(ctx, c, "expected")
	if err != nil {
		return false, err
	}
	actual, err := b.condArg(ctx, c, "actual")
	return groovy.Equal(expected, actual), err
}

func (b *build) condArg(ctx context.Context, c *jenkinsfile.Condition, name string) (any, error) {
	x := c.Arg(name, false)
	if x == nil {
		return nil, nil
	}
	return b.m.Eval(ctx, x)
}

func (b *build) envCondition(ctx context.Context, c *jenkinsfile.Condition) (bool, error) {
	name, err := b.condArg(ctx, c, "name")
	if err != nil {
		return false, err
	}
	value, err := b.condArg(ctx, c, "value")
	if err != nil {
		return false, err
	}
	ignoreCase, err := b.condArg(ctx, c, "ignoreCase")
	if err != nil {
		return false, err
	}
	actual, _ := b.lookupEnv(ctx, groovy.ToString(name))
	if groovy.Truth(ignoreCase) {
		return strings.EqualFold(actual, groovy.ToString(value)), nil
	}
	return actual == groovy.ToString(value), nil
}

// refCondition compares the branch or tag of the build with a pattern.
func (b *build) refCondition(ctx context.Context, c *jenkinsfile.Condition) (bool, error) {
	variable := map[string]string{"branch": "BRANCH_NAME", "tag": "TAG_NAME", "buildingTag": "TAG_NAME"}[c.Name]
	actual, set := b.lookupEnv(ctx, variable)
	x := c.Arg("pattern", true)
	if c.Name == "buildingTag" || x == nil || !set || actual == "" {
		return set && actual != "", nil
	}
	v, err := b.m.Eval(ctx, x)
	if err != nil {
		return false, err
	}
	return b.compareRef(ctx, c, groovy.ToString(v), actual)
}

func (b *build) compareRef(ctx context.Context, c *jenkinsfile.Condition, pattern, actual string) (bool, error) {
	comparator, err := b.condArg(ctx, c, "comparator")
	if err != nil {
		return false, err
	}
	switch comparator {
	case "REGEXP":
		re, err := regexp.Compile(`\A(?:` + pattern + `)\z`)
		if err != nil {
			return false, failed("%s is no regular expression: %v", pattern, err)
		}
		return re.MatchString(actual), nil
	case "EQUALS":
		return pattern == actual, nil
	}
	return matchAnt(pattern, actual), nil
}

// matchAnt matches a path with an Ant pattern: ? and * within a part, ** over any number of parts.
// The case of letters does not count in branch names, as in Jenkins.
func matchAnt(pattern, s string) bool {
	return matchParts(strings.Split(strings.ToLower(pattern), "/"), strings.Split(strings.ToLower(s), "/"))
}

func matchParts(pattern, parts []string) bool {
	// reach[n] tells if the pattern so far may have taken n parts.
	reach, next := make([]bool, len(parts)+1), make([]bool, len(parts)+1)
	reach[0] = true
	for _, p := range pattern {
		for n := range next {
			if p == "**" {
				next[n] = reach[n] || n > 0 && next[n-1]
			} else {
				next[n] = n > 0 && reach[n-1] && matchGlob(p, parts[n-1])
			}
		}
		reach, next = next, reach
	}
	return reach[len(parts)]
}

// matchGlob matches * and ? in time linear in the product of the lengths.
func matchGlob(pattern, s string) bool {
	p, r := []rune(pattern), []rune(s)
	i, j, star, mark := 0, 0, -1, 0
	for j < len(r) {
		switch {
		case i < len(p) && (p[i] == '?' || p[i] == r[j]) && p[i] != '*':
			i++
			j++
		case i < len(p) && p[i] == '*':
			star, mark = i, j
			i++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}
