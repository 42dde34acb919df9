// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

// Change is a commit that is new in a build.
type Change struct {
	ID, Author, Message string
	// Email is the author's, Time when it was made.
	Email string
	Time  time.Time
	// Paths are the files that it touched, slash-separated and relative to the repository.
	Paths []string
}

// Cause says why a build was started.
type Cause struct {
	// Class is the full name of the Java class, as in "hudson.triggers.TimerTrigger$TimerTriggerCause".
	Class string
	// Description is the line in the log.
	Description string
	// User is the ID of the user, empty if it was none.
	User string
}

// checkChanges refuses conditions about changes where nobody knows them.
func checkChanges(p *jenkinsfile.Pipeline) error {
	c := &checker{}
	var conditions func(list []*jenkinsfile.Condition)
	conditions = func(list []*jenkinsfile.Condition) {
		for _, w := range list {
			if w.Name == "changeset" || w.Name == "changelog" {
				c.refuse(w.From, w.Name, "when condition \"%s\": the built-in pipeline runner knows no changes of this job, which does not come from a repository that it reads; "+
					"connect a Jenkins server and run this pipeline there", w.Name)
			}
			conditions(w.Children)
		}
	}
	p.WalkStages(func(s *jenkinsfile.Stage) {
		if s.When != nil {
			conditions(s.When.Conditions)
		}
	})
	if len(c.problems) > 0 {
		return &CheckError{Problems: c.problems}
	}
	return nil
}

// changesOf asks once for the changes.
func (b *build) changesOf(ctx context.Context) ([]Change, error) {
	if b.changes != nil || b.spec.Changes == nil {
		return b.changes, nil
	}
	list, err := effect(ctx, b, "changes", func(ctx context.Context, _ string) ([]Change, error) { return b.spec.Changes(ctx) })
	if err != nil {
		if ctx.Err() != nil {
			return nil, interrupted(ctx)
		}
		return nil, failed("The changes of this build could not be read: %v", err)
	}
	b.changes = append([]Change{}, list...)
	return b.changes, nil
}

// changeCondition is changeset and changelog.
func (b *build) changeCondition(ctx context.Context, c *jenkinsfile.Condition) (bool, error) {
	x := c.Arg("pattern", true)
	v, err := b.m.Eval(ctx, x)
	if err != nil {
		return false, err
	}
	pattern := groovy.ToString(v)
	changes, err := b.changesOf(ctx)
	if err != nil {
		return false, err
	}
	if len(changes) == 0 {
		b.stamped(ctx, "Warning, empty changelog. Probably because this is the first build.")
		return false, nil
	}
	if c.Name == "changelog" {
		re, err := regexp.Compile(`(?ms)\A(?:` + pattern + `)\z`)
		if err != nil {
			return false, failed("%s is no regular expression: %v", clip(pattern), err)
		}
		return slices.ContainsFunc(changes, func(ch Change) bool { return re.MatchString(strings.TrimRight(ch.Message, "\r\n")) }), nil
	}
	match, err := b.pathMatcher(ctx, c, pattern)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(changes, func(ch Change) bool { return slices.ContainsFunc(ch.Paths, match) }), nil
}

func (b *build) pathMatcher(ctx context.Context, c *jenkinsfile.Condition, pattern string) (func(string) bool, error) {
	comparator, err := b.condArg(ctx, c, "comparator")
	if err != nil {
		return nil, err
	}
	sensitive, err := b.condArg(ctx, c, "caseSensitive")
	if err != nil {
		return nil, err
	}
	exact := groovy.Truth(sensitive)
	switch comparator {
	case "REGEXP":
		flags := "(?i)"
		if exact {
			flags = ""
		}
		re, err := regexp.Compile(flags + `\A(?:` + pattern + `)\z`)
		if err != nil {
			return nil, failed("%s is no regular expression: %v", clip(pattern), err)
		}
		return re.MatchString, nil
	case "EQUALS":
		return func(p string) bool { return p == pattern || !exact && strings.EqualFold(p, pattern) }, nil
	}
	if strings.HasSuffix(pattern, "/") {
		pattern += "**" // as Ant reads it
	}
	if !exact {
		return func(p string) bool { return matchAnt(pattern, p) }, nil
	}
	parts := strings.Split(pattern, "/")
	return func(p string) bool { return matchParts(parts, strings.Split(p, "/")) }, nil
}

// triggeredBy tells if a cause is of the class, with or without its package and the word Cause, and of the user.
func (b *build) triggeredBy(ctx context.Context, c *jenkinsfile.Condition) (bool, error) {
	v, err := b.m.Eval(ctx, c.Arg("cause", true))
	if err != nil {
		return false, err
	}
	detail, err := b.condArg(ctx, c, "detail")
	if err != nil {
		return false, err
	}
	want := groovy.ToString(v)
	return slices.ContainsFunc(b.spec.Causes, func(cause Cause) bool {
		simple := cause.Class[strings.LastIndexAny(cause.Class, ".$")+1:]
		if want != cause.Class && want != simple && want != strings.TrimSuffix(simple, "Cause") {
			return false
		}
		return detail == nil || cause.User != "" && groovy.ToString(detail) == cause.User
	}), nil
}

// changeVariables are the variables that the arguments of changeRequest are compared with.
var changeVariables = map[string]string{
	"id": "CHANGE_ID", "target": "CHANGE_TARGET", "branch": "CHANGE_BRANCH", "fork": "CHANGE_FORK", "url": "CHANGE_URL", "title": "CHANGE_TITLE",
	"author": "CHANGE_AUTHOR", "authorDisplayName": "CHANGE_AUTHOR_DISPLAY_NAME", "authorEmail": "CHANGE_AUTHOR_EMAIL",
}

// changeRequest tells if the build is of a change request for which all arguments hold.
func (b *build) changeRequest(ctx context.Context, c *jenkinsfile.Condition) (bool, error) {
	_, hasID := b.lookupEnv(ctx, "CHANGE_ID")
	if _, hasTarget := b.lookupEnv(ctx, "CHANGE_TARGET"); !hasID && !hasTarget {
		return false, nil
	}
	for _, a := range c.Args {
		if !a.Named || a.Name == "comparator" {
			continue
		}
		variable, known := changeVariables[a.Name]
		if !known {
			return false, failed("changeRequest has no argument %s", clip(a.Name))
		}
		v, err := b.m.Eval(ctx, a.Value)
		if err != nil {
			return false, err
		}
		actual, _ := b.lookupEnv(ctx, variable)
		if ok, err := b.compareRef(ctx, c, groovy.ToString(v), actual); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// causeList is what currentBuild.getBuildCauses() gives: all causes or those of a class.
func (b *build) causeList(args []any) *groovy.List {
	list := groovy.NewList()
	for _, c := range b.spec.Causes {
		if len(args) == 1 && groovy.ToString(args[0]) != c.Class {
			continue
		}
		m := groovy.NewMap()
		m.Put("_class", c.Class)
		m.Put("shortDescription", c.Description)
		if c.User != "" {
			m.Put("userId", c.User)
			m.Put("userName", c.User)
		}
		list.Items = append(list.Items, m)
	}
	return list
}

// changeSets is currentBuild.changeSets: one set with all changes, or none.
func (b *build) changeSets(ctx context.Context) (*groovy.List, error) {
	changes, err := b.changesOf(ctx)
	if err != nil || len(changes) == 0 {
		return groovy.NewList(), err
	}
	items := groovy.NewList()
	for _, ch := range changes {
		items.Items = append(items.Items, changeItem(ch))
	}
	set := newBean("hudson.plugins.git.GitChangeSetList", "")
	set.props.Put("kind", "git")
	set.props.Put("items", items)
	set.props.Put("emptySet", false)
	return groovy.NewList(set), nil
}

// changeItem is a commit as scripts see it.
func changeItem(ch Change) *beanObject {
	author := newBean("hudson.model.User", ch.Author)
	for _, name := range []string{"fullName", "displayName", "id"} {
		author.props.Put(name, ch.Author)
	}
	paths, files := groovy.NewList(), groovy.NewList()
	for _, p := range ch.Paths {
		file := newBean("hudson.plugins.git.GitChangeSet$Path", p)
		file.props.Put("path", p)
		files.Items = append(files.Items, file)
		paths.Items = append(paths.Items, p)
	}
	first, _, _ := strings.Cut(ch.Message, "\n")
	m := newBean("hudson.plugins.git.GitChangeSet", ch.ID)
	for _, kv := range [][2]any{{"commitId", ch.ID}, {"id", ch.ID}, {"revision", ch.ID}, {"msg", first}, {"comment", ch.Message}, {"author", author}, {"authorName", ch.Author},
		{"authorEmail", ch.Email}, {"timestamp", ch.Time.UnixMilli()}, {"affectedPaths", paths}, {"affectedFiles", files}, {"paths", files}} {
		m.props.Put(kv[0], kv[1])
	}
	return m
}

// beanObject is an object of Jenkins with properties that can be read, also by their getters.
type beanObject struct {
	class, text string
	props       *groovy.Map
}

func newBean(class, text string) *beanObject {
	return &beanObject{class: class, text: text, props: groovy.NewMap()}
}

// Property implements groovy.Object.
func (o *beanObject) Property(_ context.Context, name string) (any, bool, error) {
	v, ok := o.props.Get(name)
	return v, ok, nil
}

// SetProperty implements groovy.Object.
func (o *beanObject) SetProperty(context.Context, string, any) (bool, error) { return false, nil }

// Call implements groovy.Object.
func (o *beanObject) Call(ctx context.Context, name string, args []any) (any, bool, error) {
	for _, prefix := range []string{"get", "is"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok && rest != "" && len(args) == 0 {
			return o.Property(ctx, strings.ToLower(rest[:1])+rest[1:])
		}
	}
	return nil, false, nil
}

func (o *beanObject) String() string { return o.text }

// ClassName implements groovy.Object.
func (o *beanObject) ClassName() string { return o.class }
