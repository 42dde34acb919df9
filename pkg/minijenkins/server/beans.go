// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// The classic API's view of the model. All functions here need s.mu to be held, at least for reading,
// until the object is rendered.

const (
	classRun         = "org.jenkinsci.plugins.workflow.job.WorkflowRun"
	classPlaceholder = "org.jenkinsci.plugins.workflow.support.steps.ExecutorStepExecution$PlaceholderTask"
	classCloud       = "org.csanchez.jenkins.plugins.kubernetes.KubernetesCloud"
)

// fullDisplayName is the name with the folders as Jenkins writes it.
func fullDisplayName(it *item) string {
	if it.isRoot() {
		return ""
	}
	if up := fullDisplayName(it.up); up != "" {
		return up + " » " + it.displayName()
	}
	return it.displayName()
}

func nullable(s *string) any {
	if s == nil {
		return nil
	}
	return *s
}

func nullIfEmpty(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (s *Server) itemBean(base string, it *item) *object {
	url := base + it.path()
	o := bigBean(it.class()).
		set("actions", []*object{bean(""), bean("com.cloudbees.plugins.credentials.ViewCredentialsAction")}).
		set("description", nullable(it.cfg.description)).
		set("displayName", it.displayName()).
		set("displayNameOrNull", displayNameOrNull(it)).
		set("fullDisplayName", fullDisplayName(it)).
		set("fullName", it.fullName()).
		vis(3, "name", it.Name).
		vis(3, "url", url)
	if it.isJob() {
		return s.jobFields(base, it, o)
	}
	if it.isMulti() {
		return s.multibranchFields(base, it, o)
	}
	return o.set("healthReport", []*object{}).
		lazy(1, "jobs", func() any { return s.childBeans(base, it) }).
		lazy(1, "primaryView", func() any { return s.allView(base, it) }).
		lazy(1, "views", func() any { return s.viewBeans(base, it) })
}

func (s *Server) childBeans(base string, it *item) list {
	kids := it.children()
	return list{len(kids), func(i int) *object { return s.itemBean(base, kids[i]) }}
}

func (s *Server) jobFields(base string, it *item, o *object) *object {
	builds := func(limit int) func() any {
		return func() any {
			h := it.history()
			if limit > 0 {
				h = h[:min(len(h), limit)]
			}
			return list{len(h), func(i int) *object { return s.buildBean(base, it, h[i]) }}
		}
	}
	ref := func(find func() *store.Build) func() any {
		return func() any {
			if b := find(); b != nil {
				return s.buildBean(base, it, b)
			}
			return (*object)(nil)
		}
	}
	o.set("buildable", !it.cfg.disabled).
		lazy(1, "builds", builds(100)).
		lazy(-always, "allBuilds", builds(0)).
		lazy(2, "color", func() any { return it.color() }).
		lazy(1, "firstBuild", ref(func() *store.Build {
			h := it.history()
			if len(h) == 0 {
				return nil
			}
			return h[len(h)-1]
		})).
		lazy(1, "healthReport", func() any { return healthReport(it) }).
		set("inQueue", len(it.line) > 0).
		set("keepDependencies", false)
	for _, f := range buildFilters {
		o.lazy(1, f.name, ref(func() *store.Build { return it.build(f.name) }))
	}
	return o.set("nextBuildNumber", max(1, it.NextBuild)).
		inLazy(1, "property", func() any { return propertyBeans(it) }).
		lazy(1, "queueItem", func() any {
			if q := it.line; len(q) > 0 {
				return s.queueBean(base, q[0])
			}
			return (*object)(nil)
		}).
		set("concurrentBuild", !it.noConcurrent()).
		set("disabled", it.cfg.disabled).
		set("resumeBlocked", false)
}

func healthReport(it *item) []*object {
	score, failed, total := it.weather()
	if total == 0 {
		return []*object{}
	}
	text := "Build stability: No recent builds failed."
	if failed > 0 {
		text = fmt.Sprintf("Build stability: %d out of the last %d builds failed.", failed, total)
	}
	icon := "icon-health-80plus"
	switch {
	case score <= 20:
		icon = "icon-health-00to19"
	case score <= 40:
		icon = "icon-health-20to39"
	case score <= 60:
		icon = "icon-health-40to59"
	case score < 80:
		icon = "icon-health-60to79"
	}
	return []*object{bean("").vis(3, "description", text).vis(3, "iconClassName", icon).
		vis(3, "iconUrl", strings.TrimPrefix(icon, "icon-")+".png").vis(3, "score", score)}
}

func propertyBeans(it *item) []*object {
	out := []*object{}
	seen := map[string]bool{}
	for _, p := range it.cfg.properties {
		seen[p] = true
		o := bean(p)
		if p == propParameters {
			o.in("parameterDefinitions", parameterBeans(it.cfg.parameters))
		}
		out = append(out, o)
	}
	if it.NoConcurrent && !seen[propNoConcurrent] {
		out = append(out, bean(propNoConcurrent))
	}
	if len(it.Parameters) > 0 && !it.cfg.hasParameters {
		out = append(out, bean(propParameters).in("parameterDefinitions", parameterBeans(it.Parameters)))
	}
	return out
}

// typeNames are the first words of the classes of parameters.
var typeNames = map[jenkinsfile.ParameterType]string{
	jenkinsfile.ParameterString: "String", jenkinsfile.ParameterText: "Text", jenkinsfile.ParameterBoolean: "Boolean",
	jenkinsfile.ParameterChoice: "Choice", jenkinsfile.ParameterPassword: "Password", jenkinsfile.ParameterFile: "File",
}

// valueClass is the class of a parameter's value: a choice has a string value.
func valueClass(t jenkinsfile.ParameterType) string {
	if t == jenkinsfile.ParameterChoice {
		t = jenkinsfile.ParameterString
	}
	return "hudson.model." + typeNames[t] + "ParameterValue"
}

func valueBean(p store.Param) *object {
	o := bean(valueClass(p.Type)).vis(3, "name", p.Name)
	switch p.Type {
	case jenkinsfile.ParameterPassword:
	case jenkinsfile.ParameterBoolean:
		o.vis(3, "value", p.Value == "true")
	default:
		o.vis(3, "value", p.Value)
	}
	return o
}

func parameterBeans(defs []jenkinsfile.Parameter) []*object {
	out := []*object{}
	for _, d := range defs {
		name := typeNames[d.Type] + "ParameterDefinition"
		def := valueBean(store.Param{Name: d.Name, Type: d.Type, Value: d.Default})
		if d.Type == jenkinsfile.ParameterFile {
			def = nil
		}
		o := bean("hudson.model."+name).in("defaultParameterValue", def).in("description", d.Description).
			in("name", d.Name).in("type", name)
		if d.Type == jenkinsfile.ParameterChoice {
			choices := d.Choices
			if choices == nil {
				choices = []string{}
			}
			o.in("choices", choices)
		}
		out = append(out, o)
	}
	return out
}

func causeBean(c store.Cause) *object {
	switch {
	case c.Indexing:
		return bean(classIndexingCause).vis(3, "shortDescription", causeText(c))
	case c.Timer:
		return bean("hudson.triggers.TimerTrigger$TimerTriggerCause").vis(3, "shortDescription", causeText(c))
	case c.SCM:
		return bean("hudson.triggers.SCMTrigger$SCMTriggerCause").vis(3, "shortDescription", causeText(c))
	case c.Upstream != nil:
		class := classUpstreamCause
		if c.Upstream.Trigger {
			class = "hudson.model.Cause$UpstreamCause"
		}
		return bean(class).vis(3, "shortDescription", causeText(c)).vis(3, "upstreamBuild", c.Upstream.Build).
			vis(3, "upstreamProject", c.Upstream.Project).vis(3, "upstreamUrl", c.Upstream.URL)
	case c.Stage != "":
		return bean("org.jenkinsci.plugins.pipeline.modeldefinition.causes.RestartDeclarativePipelineCause").
			vis(3, "shortDescription", causeText(c)).vis(3, "originRunNumber", c.Replay).vis(3, "originStage", c.Stage)
	case c.Replay > 0:
		return bean("org.jenkinsci.plugins.workflow.cps.replay.ReplayCause").vis(3, "shortDescription", causeText(c))
	case c.Remote:
		return bean("hudson.model.Cause$RemoteCause").vis(3, "shortDescription", causeText(c)).
			vis(3, "addr", c.Addr).vis(3, "note", nullIfEmpty(c.Note))
	default:
		return bean(classUserCause).vis(3, "shortDescription", causeText(c)).
			vis(3, "userId", c.User).vis(3, "userName", c.User)
	}
}

func actionBeans(params []store.Param, causes []store.Cause) []*object {
	out := []*object{}
	if len(params) > 0 {
		vals := []*object{}
		for _, p := range params {
			vals = append(vals, valueBean(p))
		}
		out = append(out, bean("hudson.model.ParametersAction").vis(2, "parameters", vals))
	}
	list := []*object{}
	again := false
	for _, c := range causes {
		list = append(list, causeBean(c))
		again = again || c.Replay > 0
	}
	out = append(out, bean("hudson.model.CauseAction").vis(2, "causes", list))
	if again {
		slices.Reverse(out) // a build that is run again has its parameters last
	}
	return out
}

func buildName(b *store.Build) string {
	if b.DisplayName != "" {
		return b.DisplayName
	}
	return "#" + strconv.Itoa(b.Number)
}

func buildURL(base string, it *item, n int) string { return base + it.path() + strconv.Itoa(n) + "/" }

func resultOrNull(b *store.Build) any {
	if b.Building || b.Result == "" {
		return nil
	}
	return string(b.Result)
}

func (s *Server) buildBean(base string, it *item, b *store.Build) *object {
	wait := max(0, b.Started.Sub(b.Queued).Milliseconds())
	near := func(o *store.Build) any {
		if o == nil {
			return (*object)(nil)
		}
		return bean("").vis(2, "number", o.Number).vis(2, "url", buildURL(base, it, o.Number)).
			lazy(1, "result", func() any { return resultOrNull(o) })
	}
	return bigBean(classRun).
		lazy(1, "actions", func() any {
			out := append(actionBeans(b.Params, b.Causes), bean("jenkins.metrics.impl.TimeInQueueAction").
				vis(2, "blockedDurationMillis", 0).vis(2, "blockedTimeMillis", 0).
				vis(2, "buildableDurationMillis", 0).vis(2, "buildableTimeMillis", 0).
				vis(2, "buildingDurationMillis", b.Duration.Milliseconds()).vis(2, "executingTimeMillis", b.Duration.Milliseconds()).
				vis(2, "executorUtilization", 1.0).vis(2, "subTaskCount", 1).
				vis(2, "waitingDurationMillis", wait).vis(2, "waitingTimeMillis", wait))
			out = append(out, revisionBeans(it, b)...)
			if n := b.Tests; n != nil {
				out = append(out, bean("hudson.tasks.junit.TestResultAction").vis(2, "failCount", n.Failed).vis(2, "skipCount", n.Skipped).
					vis(2, "totalCount", n.Total).vis(2, "urlName", "testReport"))
			}
			if b.Asked {
				out = append(out, bean(classInputAction))
			}
			if b.Approved {
				out = append(out, bean(classApproverAction))
			}
			if by := s.abortedBy(b); len(by) > 0 {
				out = append(out, interruption(by, b.Started.Add(b.Duration)))
			}
			return append(out, bean(""))
		}).
		lazy(1, "artifacts", func() any { return s.artifactBeans(b.Key()) }).
		set("building", b.Building).
		set("description", nullIfEmpty(b.Description)).
		set("displayName", buildName(b)).
		set("duration", b.Duration.Milliseconds()).
		lazy(1, "estimatedDuration", func() any { return it.estimate() }).
		lazy(1, "executor", func() any { return s.executorBean(it, b) }).
		inLazy(-always, "fingerprint", func() any { return s.fingerprintBeans(b.Key()) }).
		set("fullDisplayName", fullDisplayName(it)+" "+buildName(b)).
		set("id", strconv.Itoa(b.Number)).
		set("keepLog", b.KeepLog).
		vis(2, "number", b.Number).
		set("queueId", b.QueueID).
		set("result", resultOrNull(b)).
		set("timestamp", b.Started.UnixMilli()).
		vis(2, "url", buildURL(base, it, b.Number)).
		lazy(1, "changeSets", func() any { return s.changeSetBeans(b) }).
		lazy(1, "culprits", func() any { return s.culpritBeans(b) }).
		set("inProgress", b.Building).
		lazy(1, "nextBuild", func() any { _, n := it.around(b); return near(n) }).
		lazy(1, "previousBuild", func() any { p, _ := it.around(b); return near(p) })
}

func (s *Server) abortedBy(b *store.Build) []string {
	if r := s.runs[b.Key()]; r != nil {
		return r.interruptedBy()
	}
	return b.AbortedBy
}

func interruption(by []string, at time.Time) *object {
	var causes []*object
	for _, who := range by {
		text := who
		if !strings.Contains(who, " ") {
			text = "Aborted by " + who
		}
		if strings.HasPrefix(who, rejectedBy) {
			causes = append(causes, bean("org.jenkinsci.plugins.workflow.support.steps.input.Rejection").vis(3, "shortDescription", text).
				vis(3, "timestamp", at.UnixMilli()).vis(3, "user", bean("")))
			continue
		}
		causes = append(causes, bean("jenkins.model.CauseOfInterruption$UserInterruption").vis(3, "shortDescription", text))
	}
	return bean("jenkins.model.InterruptedBuildAction").vis(2, "causes", causes)
}

func (s *Server) executorBean(it *item, b *store.Build) any {
	if !b.Building {
		return (*object)(nil)
	}
	progress := -1
	if est := it.estimate(); est > 0 {
		progress = int(min(99, 100*s.now().Sub(b.Started).Milliseconds()/est))
	}
	return bean("hudson.model.OneOffExecutor").vis(2, "currentExecutable", bean(classRun)).vis(2, "idle", false).
		vis(2, "likelyStuck", false).vis(2, "number", -1).vis(2, "progress", progress)
}

func (s *Server) artifactBeans(k store.BuildKey) []*object {
	out := []*object{}
	list, err := s.store.Artifacts(k)
	if err != nil {
		return out
	}
	for _, a := range list {
		name := a.Path[strings.LastIndexByte(a.Path, '/')+1:]
		out = append(out, bean("").vis(3, "displayPath", name).vis(3, "fileName", name).vis(3, "relativePath", a.Path))
	}
	return out
}

// queueBean is a queue item in the state it is in now.
func (s *Server) queueBean(base string, q *store.QueueItem) *object {
	now := s.now()
	class, blocked := "hudson.model.Queue$WaitingItem", false
	var job *item
	if job = s.items[q.Job]; job == nil {
		job = newItem(&store.Item{Kind: store.KindPipeline}, &jobConfig{}, s.root)
	}
	switch {
	case !q.Left.IsZero():
		class = "hudson.model.Queue$LeftItem"
	case q.Due.After(now):
	case s.blocker(job) != nil || s.quieting:
		class, blocked = "hudson.model.Queue$BlockedItem", true
	}
	o := bean(class).
		set("actions", actionBeans(q.Params, q.Causes)).
		vis(2, "blocked", blocked).
		vis(2, "buildable", false).
		vis(2, "id", q.ID).
		vis(2, "inQueueSince", q.Entered.UnixMilli()).
		vis(2, "params", paramText(q.Params)).
		vis(2, "stuck", false).
		vis(2, "task", bean(job.class()).vis(3, "name", job.Name).vis(3, "url", base+job.path()).
			lazy(2, "color", func() any { return job.color() })).
		vis(2, "url", "queue/item/"+strconv.FormatInt(q.ID, 10)+"/")
	if !q.Left.IsZero() {
		o.vis(2, "why", nil).set("cancelled", q.Cancelled)
		if q.Cancelled {
			return o.set("executable", nil)
		}
		if job.isMulti() {
			return o.set("executable", bean(classIndexing))
		}
		return o.set("executable", bean(classRun).vis(2, "number", q.Number).vis(2, "url", buildURL(base, job, q.Number)))
	}
	o.vis(2, "why", s.why(q))
	if blocked {
		since := q.BuildableSince
		if since.IsZero() {
			since = q.Due
		}
		return o.vis(2, "buildableStartMilliseconds", since.UnixMilli())
	}
	return o.set("timestamp", q.Due.UnixMilli())
}

// placeholderBean is the queue item of a running build that waits for an agent.
func (s *Server) placeholderBean(p *placeholder) *object {
	names := strings.Split(p.run.jobName, "/")
	task := bean(classPlaceholder).
		vis(-always, "name", "part of "+strings.Join(names, " » ")+" #"+strconv.Itoa(p.run.key.Number)).
		vis(-always, "url", encodeSegments("job/", names)+strconv.Itoa(p.run.key.Number)+"/")
	return bean("hudson.model.Queue$BuildableItem").
		set("actions", []*object{}).
		vis(2, "blocked", false).
		vis(2, "buildable", true).
		vis(2, "id", p.id).
		vis(2, "inQueueSince", p.since.UnixMilli()).
		vis(2, "params", "").
		vis(2, "stuck", s.now().Sub(p.since) > stuckAfter || strings.HasPrefix(p.why, "There are no nodes with the label ")).
		vis(2, "task", task).
		vis(2, "url", "queue/item/"+strconv.FormatInt(p.id, 10)+"/").
		vis(2, "why", p.why).
		vis(2, "buildableStartMilliseconds", p.since.UnixMilli()).
		set("pending", false)
}

// wfStatus translates to the words of the stage view API.
func wfStatus(state engine.State, result engine.Result) string {
	switch {
	case state == engine.StateRunning || state == engine.StateQueued:
		return "IN_PROGRESS"
	case state == engine.StatePaused:
		return "PAUSED_PENDING_INPUT"
	case state == engine.StateSkipped || state == engine.StateNotStarted || result == engine.ResultNotBuilt:
		return "NOT_EXECUTED"
	case result == engine.ResultFailure:
		return "FAILED"
	default:
		return string(result)
	}
}
