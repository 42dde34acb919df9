// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/source"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/controller/agentpod"
	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// Agents knows agent pods; *agentpod.Pods does.
type Agents interface {
	// Find gives the pod of that name, also for a while after it was deleted.
	Find(name string) (agentpod.Pod, bool)
	// Problem gives why the pods of a label do not start, so far as they tell.
	Problem(project, label string) (agentpod.Problem, bool)
	// Try gives why no pod of a label can be made.
	Try(ctx context.Context, project, label string) (agentpod.Problem, bool)
	// Diagnose gives why a run that waits for a label since a time gets no agent.
	Diagnose(ctx context.Context, project, label string, since time.Time) (agentpod.Problem, bool)
	// Running tells if a pod of a label runs.
	Running(project, label string) bool
	// Changed gives the projects whose agents have other problems than before.
	Changed() workqueue.TypedInterface[string]
}

// waitForAgent gives the reason why the run has no agent: that of the pod if it is known, else Jenkins'
// text. sure says that the run does wait, which cannot be known before Jenkins says so.
func (s *scope) waitForAgent(ctx context.Context, text string, sure bool) (waits string, err error) {
	if s.over {
		return "", nil
	}
	problem := s.agentProblem(ctx, text, sure)
	if problem == nil {
		if sure {
			s.setAgentReady(metav1.ConditionUnknown, devopsv1alpha3.ReasonWaitingForAgent, text)
			return "waiting for an agent: " + text, nil
		}
		return "", nil
	}
	s.setAgentReady(metav1.ConditionFalse, problem.Reason, problem.Message)
	since := conditionOf(s.run, devopsv1alpha3.ConditionAgentReady).LastTransitionTime.Time
	return problem.Message, s.startDeadline(ctx, since, problem.Reason, problem.Message)
}

// untilGivenUp is how long the run may still go without its agent; false if nothing is known to be wrong,
// or it may for ever.
func (s *scope) untilGivenUp() (time.Duration, bool) {
	c := conditionOf(s.run, devopsv1alpha3.ConditionAgentReady)
	if c == nil || c.Status != metav1.ConditionFalse || s.Options.StartTimeout < 0 {
		return 0, false
	}
	return c.LastTransitionTime.Add(s.Options.StartTimeout).Sub(s.Now()), true
}

// agentProblem looks for what keeps the run's agent from starting.
func (s *scope) agentProblem(ctx context.Context, text string, sure bool) *agentpod.Problem {
	if s.Agents == nil {
		return nil
	}
	named, pods := s.agentsNamed(text)
	for _, pod := range pods {
		if pod.Problem != nil {
			return pod.Problem
		}
	}
	if len(named) == 0 {
		named, _ = s.agentLabels()
	}
	since := s.waitingSince(devopsv1alpha3.ReasonWaitingForAgent)
	if since.IsZero() {
		since = s.Now()
	}
	for _, label := range named {
		problem, found := s.askAgents(ctx, label, since, sure)
		if found {
			return &problem
		}
	}
	return nil
}

// askAgents asks for what is wrong with the agent of a label. Where it is not sure that the run waits for
// it, only what would keep it from starting is asked for.
func (s *scope) askAgents(ctx context.Context, label string, since time.Time, sure bool) (agentpod.Problem, bool) {
	if sure {
		return s.Agents.Diagnose(ctx, s.run.Namespace, label, since)
	}
	if problem, found := s.Agents.Problem(s.run.Namespace, label); found {
		return problem, true
	}
	if s.Agents.Running(s.run.Namespace, label) {
		return agentpod.Problem{}, false
	}
	problem, found := s.Agents.Try(ctx, s.run.Namespace, label)
	// Slipway's own lack of rights is no reason to think that the build waits.
	return problem, found && problem.Reason != agentpod.ReasonCannotCheck
}

var (
	// agentName is a word in Jenkins' reason that may be the label of a dev container, or the name of a
	// pod that was made for one.
	agentName = regexp.MustCompile(`dc-[a-z0-9-]+\.[A-Za-z0-9._-]*[A-Za-z0-9]`)
	// podSuffix is what Jenkins puts after the name of a template.
	podSuffix = regexp.MustCompile(`-[a-z0-9]{5}$`)
)

// agentsNamed reads the labels and the pods that Jenkins' reason names: "‘dc-a.b-x1z2y’ is offline", "All
// nodes of label ‘dc-a.b’ are offline". Pods of other projects are left out.
func (s *scope) agentsNamed(text string) (labels []string, pods []agentpod.Pod) {
	own, _ := s.agentLabels()
	for _, word := range agentName.FindAllString(text, -1) {
		if pod, ok := s.Agents.Find(word); ok {
			if pod.Project == s.run.Namespace && len(pod.Labels) > 0 {
				pods = append(pods, pod)
				labels = append(labels, pod.Labels[0])
			}
			continue
		}
		if bare := podSuffix.ReplaceAllString(word, ""); !slices.Contains(own, word) && bare != word {
			if _, known := s.Agents.Problem(s.run.Namespace, word); !known {
				word = bare
			}
		}
		labels = append(labels, word)
	}
	slices.Sort(labels)
	return slices.Compact(labels), pods
}

// agentLabels gives the labels of dev containers that the run's Jenkinsfile asks for. all says that each of
// its agents has one.
func (s *scope) agentLabels() (labels []string, all bool) {
	if s.pipeline == nil || s.pipeline.Spec.Pipeline == nil {
		return nil, false
	}
	return s.labels.of(s.pipeline)
}

// noAgentYet tells that the run cannot have an agent: it asks for dev containers only, and none of their
// pods runs.
func (s *scope) noAgentYet() bool {
	if s.Agents == nil {
		return false
	}
	labels, all := s.agentLabels()
	if !all || len(labels) == 0 {
		return false
	}
	return !slices.ContainsFunc(labels, func(label string) bool { return s.Agents.Running(s.run.Namespace, label) })
}

// checkAgents tries the pods that the run will ask for before it is started, so that it tells from its
// beginning why one cannot be made. Jenkins would try for ever and say nothing.
func (s *scope) checkAgents(ctx context.Context) *agentpod.Problem {
	if s.Agents == nil {
		return nil
	}
	labels, _ := s.agentLabels()
	for _, label := range labels {
		if problem, found := s.Agents.Try(ctx, s.run.Namespace, label); found && problem.Reason != agentpod.ReasonCannotCheck {
			return &problem
		}
	}
	return nil
}

func (s *scope) agentFound(name string) {
	s.setAgentReady(metav1.ConditionTrue, devopsv1alpha3.ReasonAgentFound, "the steps run on "+name)
}

// hasAgent tells if the run's log has named its agent.
func (s *scope) hasAgent() bool {
	c := conditionOf(s.run, devopsv1alpha3.ConditionAgentReady)
	return c != nil && c.Status == metav1.ConditionTrue
}

// setAgentReady sets the condition. Its time of transition is that of its status alone: a run is given up
// for how long it had no agent, whatever the reasons were in between.
func (s *scope) setAgentReady(status metav1.ConditionStatus, reason, message string) {
	const conditionType = devopsv1alpha3.ConditionAgentReady
	var since metav1.Time
	if old := conditionOf(s.run, conditionType); old != nil && old.Status == status {
		since = old.LastTransitionTime
	}
	s.setCondition(devopsv1alpha3.Condition{Type: conditionType, Status: status, Reason: reason, Message: shortenedTo(message, maxMessage)})
	if !since.IsZero() {
		conditionOf(s.run, conditionType).LastTransitionTime = since
	}
}

// agentLost is what a log says at its end of an agent that went away.
var agentLost = regexp.MustCompile(`Agent (\S+ )?(was deleted|was removed|is gone)|Pod just failed`)

// lostAgent is what a log says of an agent of that name which went away under a step: then the build fails.
func lostAgent(name string) *regexp.Regexp {
	return regexp.MustCompile(`Agent ` + regexp.QuoteMeta(name) + ` (was deleted|was removed|is gone)`)
}

// explainAgentEnd gives a build that ended with its agent the reason for that. Jenkins calls it aborted or
// failed, and tells no more. The error is that of a Jenkins that is away.
func (s *scope) explainAgentEnd(ctx context.Context, seen *observation) error {
	aborted := seen.reason == devopsv1alpha3.ReasonAborted
	if s.Agents == nil || s.stopWanted() || s.lateReason() != nil || !aborted && seen.reason != devopsv1alpha3.ReasonFailure {
		return nil
	}
	reason, message, err := s.agentEnd(ctx, aborted)
	if err != nil || reason == "" {
		return err
	}
	seen.phase, seen.reason, seen.message = devopsv1alpha3.Failed, reason, message
	s.setAgentReady(metav1.ConditionFalse, reason, message)
	return nil
}

// agentEnd gives the reason for the end of the run's agent, or for its not having had one.
func (s *scope) agentEnd(ctx context.Context, aborted bool) (reason, message string, err error) {
	name := s.run.Annotations[devopsv1alpha3.AgentPodNameAnnotation]
	if name == "" {
		if aborted {
			return "", "", nil // somebody stopped it
		}
		return s.neverHadAgent(ctx)
	}
	pod, ok := s.Agents.Find(name)
	switch {
	case !ok || pod.Project != s.run.Namespace:
		return "", "", nil
	case pod.Problem != nil:
		return pod.Problem.Reason, pod.Problem.Message, nil
	}
	tail, err := s.logTail(ctx)
	if err != nil {
		return "", "", err
	}
	if aborted && agentLost.Match(tail) || lostAgent(name).Match(tail) {
		return devopsv1alpha3.ReasonAgentLost, fmt.Sprintf("the agent pod %s was deleted while the build ran. What to do: start the run again; "+
			"with agent { label { label '%s'; retries 2 } } Jenkins does so by itself", name, strings.Join(pod.Labels[:min(1, len(pod.Labels))], "")), nil
	}
	if problem, found := pod.KilledStep(tail); found && !aborted {
		return problem.Reason, problem.Message, nil
	}
	return "", "", nil
}

// agentOfEnd is how minijenkins names the pod that it could not use.
var agentOfEnd = regexp.MustCompile(`(?m)^ERROR: .*The agent pod (\S+) `)

// neverHadAgent gives the reason for which a build failed before it had an agent: a build that fails while
// its agent cannot start fails for that.
func (s *scope) neverHadAgent(ctx context.Context) (reason, message string, err error) {
	if c := conditionOf(s.run, devopsv1alpha3.ConditionAgentReady); c != nil && c.Status == metav1.ConditionFalse {
		return c.Reason, c.Message, nil
	}
	tail, err := s.logTail(ctx)
	if err != nil {
		return "", "", err
	}
	if named := agentOfEnd.FindSubmatch(tail); named != nil {
		if pod, ok := s.Agents.Find(string(named[1])); ok && pod.Project == s.run.Namespace && pod.Problem != nil {
			return pod.Problem.Reason, pod.Problem.Message, nil
		}
	}
	problem, found := agentpod.Told(tail)
	if found && problem.Reason == agentpod.ReasonLabelUnknown {
		// Why nobody serves the label the dev container's template tells.
		if closer := s.checkAgents(ctx); closer != nil {
			problem = *closer
		}
	}
	return problem.Reason, problem.Message, nil
}

// labelCache keeps what the Jenkinsfiles of pipelines ask for.
type labelCache struct {
	mu   sync.Mutex
	list map[types.UID]pipelineLabels
}

type pipelineLabels struct {
	generation int64
	labels     []string
	all        bool
}

// maxLabelCache bounds the cache; it is filled again where it is needed.
const maxLabelCache = 5000

func (c *labelCache) of(p *devopsv1alpha3.Pipeline) ([]string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	got, ok := c.list[p.UID]
	if !ok || got.generation != p.Generation {
		got = pipelineLabels{generation: p.Generation}
		got.labels, got.all = labelsOf(p.Spec.Pipeline.Jenkinsfile)
		if c.list == nil || len(c.list) >= maxLabelCache {
			c.list = map[types.UID]pipelineLabels{}
		}
		c.list[p.UID] = got
	}
	return got.labels, got.all
}

// labelsOf reads the labels of dev containers in a Jenkinsfile.
func labelsOf(source string) (labels []string, all bool) {
	parsed, err := jenkinsfile.Parse(source)
	if err != nil {
		return nil, false
	}
	all = true
	for _, agent := range parsed.Agents() {
		text, constant := jenkinsfile.ConstantText(agent.LabelExpr())
		switch {
		case agent.Type == jenkinsfile.AgentNone:
		case constant && agentName.FindString(text) == text && text != "":
			labels = append(labels, text)
		default:
			all = false
		}
	}
	slices.Sort(labels)
	return slices.Compact(labels), all
}

// watchAgents wakes the runs of a project that have no agent when its agents get other problems.
func (r *Reconciler) watchAgents(b *builder.Builder) *builder.Builder {
	if r.Agents == nil {
		return b
	}
	return b.WatchesRawSource(source.Func(func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[ctrl.Request]) error {
		go func() {
			for {
				project, ended := r.Agents.Changed().Get()
				if ended {
					return
				}
				for _, request := range r.withoutAgent(ctx, project) {
					queue.Add(request)
				}
				r.Agents.Changed().Done(project)
			}
		}()
		return nil
	}))
}

// withoutAgent gives the live runs of a project that have a build. One that has an agent may wait for
// another one.
func (r *Reconciler) withoutAgent(ctx context.Context, project string) (requests []ctrl.Request) {
	list := &devopsv1alpha3.PipelineRunList{}
	if err := r.Client.List(ctx, list, client.InNamespace(project), client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list the runs of a project", "project", project)
		return nil
	}
	for i := range list.Items {
		run := &list.Items[i]
		if run.Status.CompletionTime != nil || run.Annotations[devopsv1alpha3.JenkinsPipelineRunIDAnnotation] == "" {
			continue
		}
		waits := conditionOf(run, devopsv1alpha3.ConditionSucceeded)
		if run.Annotations[devopsv1alpha3.AgentPodNameAnnotation] == "" || waits != nil && waits.Reason == devopsv1alpha3.ReasonWaitingForAgent {
			requests = append(requests, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(run)})
		}
	}
	return requests
}
