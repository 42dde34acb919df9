// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// Support lists what Check lets pass and what it refuses by name. The lists are made of the tables that Check goes by.
type Support struct {
	Steps, Options, Conditions, PostConditions, Triggers, Agents, Parameters []Feature
}

// Feature is one name of a list of Support.
type Feature struct {
	Name      string
	Supported bool
	// Note says what a supported one does not do, or what to use instead of a refused one; it may be empty.
	Note string
}

// featureDef is how the engine takes a name: refused or not, with a note for people.
type featureDef struct {
	refused bool
	note    string
}

// optionDef is an option of a pipeline or stage.
type optionDef struct {
	featureDef
	// wrapper says that it is the step of the same name around the stages or the steps.
	wrapper bool
	// params are those that it may have if it is no wrapper; the empty name is one without a name. Nil takes all.
	params []string
}

// optionDefs are the options by name.
var optionDefs = map[string]optionDef{
	"timeout":         {wrapper: true},
	"retry":           {wrapper: true},
	"timestamps":      {wrapper: true},
	"lock":            {wrapper: true},
	"ansiColor":       {wrapper: true, featureDef: featureDef{note: "colours pass through as they are"}},
	"withEnv":         {wrapper: true},
	"catchError":      {wrapper: true},
	"warnError":       {wrapper: true},
	"withCredentials": {wrapper: true},

	"buildDiscarder":          {params: []string{""}, featureDef: featureDef{note: "logRotator with numToKeepStr and daysToKeepStr; artifacts live as long as their build"}},
	"disableConcurrentBuilds": {params: []string{"abortPrevious"}},
	"skipDefaultCheckout":     {params: []string{""}},
	"skipStagesAfterUnstable": {},
	"parallelsAlwaysFailFast": {},
	"preserveStashes":         {params: []string{"buildCount"}},
	"checkoutToSubdirectory":  {params: []string{""}},
	"quietPeriod":             {params: []string{""}},
	"disableResume":           {featureDef: featureDef{note: "without effect: a build goes on after a restart"}},
	"disableRestartFromStage": {},
	"overrideIndexTriggers":   {params: []string{"", "enableTriggers"}},
	"newContainerPerStage":    {featureDef: featureDef{note: "without effect: it is about docker agents"}},
	"durabilityHint":          {featureDef: featureDef{note: "without effect: every step is durable"}},
	"githubProjectProperty":   {featureDef: featureDef{note: "without effect: it is a link on a page of Jenkins"}},

	"authorizationMatrix":    {featureDef: refusedFor("permissions are those of the project")},
	"rateLimitBuilds":        {featureDef: refusedFor("use disableConcurrentBuilds or lock")},
	"throttleJobProperty":    {featureDef: refusedFor("use disableConcurrentBuilds or lock")},
	"copyArtifactPermission": {featureDef: refusedFor("")},
	"gitLabConnection":       {featureDef: refusedFor("")},
	"gitlabBuilds":           {featureDef: refusedFor("")},
	"gitlabCommitStatus":     {featureDef: refusedFor("")},
	"podTemplate":            {featureDef: refusedFor("use an agent with a label")},
	"script":                 {featureDef: refusedFor("")},
	"waitUntil":              {featureDef: refusedFor("use it as a step")},
	"withChecks":             {featureDef: refusedFor("")},
	"withContext":            {featureDef: refusedFor("")},
	"wrap":                   {featureDef: refusedFor("")},
	"ws":                     {featureDef: refusedFor("use dir as a step")},
}

func refusedFor(instead string) featureDef { return featureDef{refused: true, note: instead} }

// triggerDefs are the triggers by name.
var triggerDefs = map[string]featureDef{
	"cron":                      {},
	"pollSCM":                   {note: "the repository of the Jenkinsfile is polled"},
	"upstream":                  {note: "jobs of the same project"},
	"parameterizedCron":         refusedFor("use cron"),
	"parameterizedTimerTrigger": refusedFor("use cron"),
	"githubPush":                refusedFor("use pollSCM and /git/notifyCommit"),
	"gitlab":                    refusedFor("use pollSCM and /git/notifyCommit"),
	"bitbucketPush":             refusedFor("use pollSCM and /git/notifyCommit"),
	"GenericTrigger":            refusedFor("start the job with its token"),
	"urlTrigger":                refusedFor(""),
	"eventTrigger":              refusedFor(""),
	"issueCommentTrigger":       refusedFor(""),
	"dependencyTrigger":         refusedFor(""),
	"snapshotDependencies":      refusedFor(""),
}

// agentDefs are the types of agents.
var agentDefs = map[string]featureDef{
	jenkinsfile.AgentAny:        {},
	jenkinsfile.AgentNone:       {},
	jenkinsfile.AgentLabel:      {},
	jenkinsfile.AgentNode:       {note: "with label"},
	jenkinsfile.AgentKubernetes: {note: "what the pod may have is bounded; no yamlFile"},
	jenkinsfile.AgentDocker:     refusedFor("use a label of a pod template"),
	jenkinsfile.AgentDockerfile: refusedFor("use a label of a pod template"),
}

// parameterDefs are the kinds of parameters.
var parameterDefs = map[string]featureDef{
	"string": {}, "text": {}, "booleanParam": {}, "choice": {}, "password": {}, "file": {note: "the value is a name"},
	"stringParam": {}, "textParam": {}, "choiceParam": {}, "fileParam": {note: "the value is a name"},
	"run": refusedFor("use string"), "runParam": refusedFor("use string"), "credentials": refusedFor("use string with the ID of the credential"),
}

// Supported lists what the engine runs and what it refuses, each list by name.
func Supported() Support {
	s := Support{Options: featuresOf(optionDefs, func(d optionDef) featureDef { return d.featureDef }), Triggers: featuresOf(triggerDefs, same),
		Agents: featuresOf(agentDefs, same), Parameters: featuresOf(parameterDefs, same),
		Conditions: featuresOf(conditionDefs, func(conditionDef) featureDef { return featureDef{} })}
	for _, name := range jenkinsfile.PostConditions {
		s.PostConditions = append(s.PostConditions, Feature{Name: name, Supported: true})
	}
	steps := map[string]featureDef{}
	for name, def := range stepDefs {
		if !def.symbol && name != "pipeline" {
			steps[name] = featureDef{note: stepNotes[name]}
		}
	}
	for name, instead := range refusedSteps {
		if _, runs := stepDefs[name]; !runs {
			steps[name] = refusedFor(instead)
		}
	}
	s.Steps = featuresOf(steps, same)
	return s
}

func same(d featureDef) featureDef { return d }

func featuresOf[T any](defs map[string]T, def func(T) featureDef) []Feature {
	out := make([]Feature, 0, len(defs))
	for name, d := range defs {
		f := def(d)
		out = append(out, Feature{Name: name, Supported: !f.refused, Note: f.note})
	}
	slices.SortFunc(out, func(a, b Feature) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// refuseFeature refuses what is not in a table, or refused there.
func (c *checker) refuseFeature(pos jenkinsfile.Pos, kind, name string, def featureDef, known bool) (refused bool) {
	if known && !def.refused {
		return false
	}
	c.refuse(pos, name, "%s \"%s\": %s", kind, name, adviceWith(def.note))
	return true
}

// adviceWith is the advice with what else can be done.
func adviceWith(instead string) string {
	if instead == "" {
		return advice
	}
	return advice + ", or " + instead
}

// option refuses an option, or arguments of it, that the engine does not know.
func (c *checker) option(o *jenkinsfile.Directive) {
	def, known := optionDefs[o.Name]
	switch {
	case c.refuseFeature(o.From, "option", o.Name, def.featureDef, known):
	case def.wrapper:
		c.argNames(o.Name, o.Args, stepDefs[o.Name])
	case def.params != nil:
		for _, a := range o.Args {
			if !slices.Contains(def.params, a.Name) && !a.Spread && a.NameExpr == nil {
				c.refuse(o.From, o.Name, "parameter \"%s\" of option \"%s\": %s", a.Name, o.Name, advice)
			}
		}
	}
}
