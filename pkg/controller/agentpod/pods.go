// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package agentpod knows the pods in which builds run: on which node and image each is, why one does
// not start, and which of them nobody needs any more.
//
// Jenkins tells nothing of this. A build that asks for an agent by a label says "Still waiting to
// schedule task" whatever keeps its pod from starting, and Jenkins deletes a pod that failed within
// seconds and makes the next one, for ever. So the pods are watched (pods.go), what their status says is
// put into one sentence with a remedy (status.go) and kept while Jenkins tries again; where there is no
// pod to look at the API server is asked why (check.go); and what Jenkins leaves behind is deleted
// (collect.go).
package agentpod

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"

	"github.com/slipway-dev/slipway/pkg/controller/agenttemplate"
)

// +kubebuilder:rbac:groups="",namespace=kubesphere-devops-worker,resources=pods,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups="",namespace=kubesphere-devops-worker,resources=events,verbs=list
// +kubebuilder:rbac:groups=authorization.k8s.io,namespace=kubesphere-devops-worker,resources=localsubjectaccessreviews,verbs=create

// Jenkins' Kubernetes plugin puts this label on each agent pod.
const (
	agentLabel      = "jenkins"
	agentLabelValue = "slave"
	// agentNameEnv is set in the container that runs the agent.
	agentNameEnv = "JENKINS_AGENT_NAME"
	// inboundAgent is the name of the container of Jenkins' own agent.
	inboundAgent = "jnlp"
)

// Defaults of Options.
const (
	DefaultNamespace = "kubesphere-devops-worker"
	// DefaultLeakedAfter is how long Jenkins must not have a pod's node: it forgets them while it restarts.
	DefaultLeakedAfter = 2 * time.Minute
	// keepGone is how long a pod is remembered after it was deleted.
	keepGone = 15 * time.Minute
	// keepProblem is how long a problem is told after it was last seen. Jenkins makes the next pod
	// every three minutes or sooner.
	keepProblem = 10 * time.Minute
	// maxGone bounds how many deleted pods are remembered.
	maxGone = 5000
	// settled is how long a newer pod must run until the problem of an older one is forgotten: an agent
	// that does not reach Jenkins tries for 15 s.
	settled = 20 * time.Second
	// slowStart is how long containers may be made until the events of the pod are read.
	slowStart = 3 * time.Second
	// eventsAgain is how often the events of one pod are read.
	eventsAgain  = 10 * time.Second
	cleanPeriod  = time.Minute
	eventsPeriod = 2 * time.Second
	callTimeout  = 10 * time.Second
)

// Options are what Pods work with. Client is required.
type Options struct {
	// Client reaches the cluster. It needs get, list, watch and delete on pods and list on events in the
	// namespace; create on pods for dry runs; create on localsubjectaccessreviews with JenkinsUser.
	Client kubernetes.Interface
	// Namespace is where agent pods run. Empty: DefaultNamespace.
	Namespace string
	// Jenkins is asked which nodes it has and what waits for one. Nil: nothing is collected, and a
	// run that waits for a pod that Jenkins does not make is told less.
	Jenkins Jenkins
	// Templates finds the template of a label. Nil: no pod is tried.
	Templates Templates
	// Try tries the pod of a template. Required with Templates; TryPod with a client is meant.
	Try func(ctx context.Context, template agenttemplate.Template) (*Problem, error)
	// JenkinsUser is the account of Jenkins' cloud, such as system:serviceaccount:jenkins:jenkins, whose
	// rights are looked at when Jenkins makes no pod. Empty: they are not.
	JenkinsUser string
	// Keepers tell which kept pods may go. Nil: each stays as long as its annotation says.
	Keepers Keepers
	// LeakedAfter is how long Jenkins must not have a pod's node until the pod is deleted. 0:
	// DefaultLeakedAfter.
	LeakedAfter time.Duration
	// Clock is the time; the real one if nil.
	Clock clock.PassiveClock
}

// Pod is an agent pod as it is, or as it was last seen.
type Pod struct {
	// Name and UID identify it in the worker namespace.
	Name string
	UID  types.UID
	// Project is the namespace of its dev container; empty for an agent that is none of ours.
	Project string
	// Labels are the agent labels of its template that do not depend on the template's content.
	Labels []string
	// Node is where it runs; empty while it has none.
	Node string
	// Image is that of the agent's container by digest, as the node reports it.
	Image string
	// MemoryLimit is that of the agent's container; empty if it has none.
	MemoryLimit string
	// Created is when the pod was made, Running since when the agent's container runs or ran, Gone when
	// it was deleted; each is zero if it has not come to that.
	Created, Running, Gone time.Time
	// Ended: no container runs any more.
	Ended bool
	// Keep is how long after its build the pod is to be kept, 0 for not at all.
	Keep time.Duration
	// Problem is what is wrong with it, nil if nothing is known to be.
	Problem *Problem
}

// serves tells if the pod's template has the label.
func (p *Pod) serves(label string) bool {
	return slices.ContainsFunc(p.Labels, func(own string) bool { return own == label || isRevision(label, own) })
}

// isRevision tells if label is the alias followed by the hash of a template's content.
func isRevision(label, alias string) bool {
	hash, found := strings.CutPrefix(label, alias+"-r")
	return found && len(hash) == 10
}

// Pods watches agent pods. It is a Runnable of a manager and safe for concurrent use.
type Pods struct {
	options  Options
	clock    clock.PassiveClock
	informer cache.SharedIndexInformer
	factory  informers.SharedInformerFactory
	changed  workqueue.TypedInterface[string]
	checks   *checks

	mu   sync.Mutex
	pods map[string]*tracked
	// problems are the last of each agent, by project and first label.
	problems map[agentKey]*told
}

type agentKey struct{ project, alias string }

// tracked is a pod with what only this package needs of it.
type tracked struct {
	Pod
	// eventsRead is when its events were last read.
	eventsRead time.Time
	// being made: it has a node, and no container has run.
	making bool
	// missing is since when Jenkins does not have a node of its name.
	missing time.Time
	// unwanted is since when nothing in Jenkins waits for it.
	unwanted time.Time
	// mini: it belongs to minijenkins, which deletes what it does not need by itself.
	mini bool
	// ours: it was made from a template of a dev container.
	ours bool
}

// told is the last problem of an agent.
type told struct {
	Problem
	// created is when the pod with the problem was made, seen when the problem was last seen.
	created, seen time.Time
}

// New makes Pods. The manager that they are added to starts them.
func New(options Options) (*Pods, error) {
	if options.Client == nil {
		return nil, errors.New("agent pods: no client given")
	}
	if options.Templates != nil && options.Try == nil {
		return nil, errors.New("agent pods: no way to try a pod given")
	}
	if options.Namespace == "" {
		options.Namespace = DefaultNamespace
	}
	if options.LeakedAfter <= 0 {
		options.LeakedAfter = DefaultLeakedAfter
	}
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	p := &Pods{
		options: options, clock: options.Clock, changed: workqueue.NewTyped[string](),
		pods: map[string]*tracked{}, problems: map[agentKey]*told{},
	}
	p.checks = newChecks(p)
	p.factory = informers.NewSharedInformerFactoryWithOptions(options.Client, 0, informers.WithNamespace(options.Namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = agentLabel + "=" + agentLabelValue }),
		informers.WithTransform(trim))
	p.informer = p.factory.Core().V1().Pods().Informer()
	_, err := p.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    p.see,
		UpdateFunc: func(_, obj any) { p.see(obj) },
		DeleteFunc: p.lose,
	})
	if err != nil {
		return nil, fmt.Errorf("watch agent pods: %w", err)
	}
	return p, nil
}

// trim drops what is long and not read.
func trim(obj any) (any, error) {
	if pod, ok := obj.(*corev1.Pod); ok {
		pod.ManagedFields, pod.Spec.Tolerations, pod.Spec.Affinity = nil, nil, nil
	}
	return obj, nil
}

// NeedLeaderElection says that only the process whose controllers work needs the pods.
func (p *Pods) NeedLeaderElection() bool { return true }

// Start watches until the context ends.
func (p *Pods) Start(ctx context.Context) error {
	p.factory.Start(ctx.Done())
	defer p.factory.Shutdown()
	defer p.changed.ShutDown()
	var tasks sync.WaitGroup
	defer tasks.Wait()
	tasks.Go(func() { every(ctx, eventsPeriod, p.readEvents) })
	tasks.Go(func() { every(ctx, cleanPeriod, func(context.Context) { p.clean() }) })
	if p.options.Jenkins != nil {
		tasks.Go(func() { every(ctx, min(collectPeriod, p.options.LeakedAfter/2), p.Collect) })
	}
	<-ctx.Done()
	return nil
}

func every(ctx context.Context, period time.Duration, do func(context.Context)) {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			do(ctx)
		}
	}
}

// Changed gives the projects whose agents got, changed or lost a problem. It has one reader; its queue
// ends with Start.
func (p *Pods) Changed() workqueue.TypedInterface[string] { return p.changed }

// HasSynced tells if the pods that exist are known.
func (p *Pods) HasSynced() bool { return p.informer.HasSynced() }

// Find gives the pod of that name, also up to 15 min after it was deleted.
func (p *Pods) Find(name string) (Pod, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found, ok := p.pods[name]
	if !ok {
		return Pod{}, false
	}
	return found.Pod, true
}

// Problem gives why the agent of a label does not start, so far as its pods tell. A pod of another project
// is never looked at.
func (p *Pods) Problem(project, label string) (Problem, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.Now()
	for key, last := range p.problems {
		if key.project != project || !p.covers(key, label) || now.Sub(last.seen) > keepProblem {
			continue
		}
		if p.recovered(key, last, now) {
			continue
		}
		return last.Problem, true
	}
	return Problem{}, false
}

// covers tells if a label is one of an agent's.
func (p *Pods) covers(key agentKey, label string) bool {
	if key.alias == label || isRevision(label, key.alias) {
		return true
	}
	rest, found := strings.CutPrefix(label, key.alias+"-")
	return found && isHash(rest)
}

// isHash tells if a text is the beginning of an image's digest, as labels have it.
func isHash(text string) bool {
	return len(text) == 10 && strings.Trim(text, "0123456789abcdef") == ""
}

// recovered tells if a newer pod of the agent runs well.
func (p *Pods) recovered(key agentKey, last *told, now time.Time) bool {
	for _, pod := range p.pods {
		if pod.Project == key.project && pod.serves(key.alias) && pod.Created.After(last.created) && pod.Problem == nil &&
			!pod.Running.IsZero() && pod.Gone.IsZero() && !pod.Ended && now.Sub(pod.Running) >= settled {
			return true
		}
	}
	return false
}

// podsOf gives the pods that exist of the agent of a label, the newest first.
func (p *Pods) podsOf(project, label string) []Pod {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []Pod
	for _, pod := range p.pods {
		if pod.Project == project && pod.Gone.IsZero() && pod.serves(label) {
			list = append(list, pod.Pod)
		}
	}
	slices.SortFunc(list, func(a, b Pod) int { return b.Created.Compare(a.Created) })
	return list
}

// see takes in a pod as it is now.
func (p *Pods) see(obj any) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.update(pod)
}

// lose takes in the last state of a pod that was deleted.
func (p *Pods) lose(obj any) {
	if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = unknown.Obj
	}
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.update(pod).Gone = p.clock.Now()
}

// update takes in a pod's state; mu is held.
func (p *Pods) update(pod *corev1.Pod) *tracked {
	t := p.pods[pod.Name]
	if t == nil || t.UID != pod.UID {
		t = &tracked{Pod: snapshot(pod), mini: pod.Labels[minijenkinsLabel] != "", ours: pod.Labels[agenttemplate.ProjectLabel] != ""}
		p.pods[pod.Name] = t
	}
	agent := agentContainer(pod)
	if node := pod.Spec.NodeName; node != "" {
		t.Node = node
	}
	if image := imageByDigest(pod, agent); image != "" {
		t.Image = image
	}
	started, runs := running(pod, agent)
	if runs {
		t.Running = started.StartedAt.Time
	}
	t.Ended = pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
	t.making = t.Node != "" && t.Running.IsZero() && !t.Ended && pod.DeletionTimestamp == nil
	problem := problemOf(pod, agent)
	switch {
	case problem != nil:
		p.note(t, problem)
	case runs && t.Problem != nil:
		// It has got over it.
		t.Problem = nil
		p.changed.Add(t.Project)
	}
	return t
}

// note keeps what is wrong with a pod; mu is held.
func (p *Pods) note(t *tracked, problem *Problem) {
	now := p.clock.Now()
	problem.Since = now
	if old := t.Problem; old != nil && old.Reason == problem.Reason {
		problem.Since = old.Since
	}
	news := t.Problem == nil || t.Problem.Reason != problem.Reason || t.Problem.Message != problem.Message
	t.Problem = problem
	if !t.ours || len(t.Labels) == 0 {
		return
	}
	key := agentKey{t.Project, t.Labels[0]}
	last := p.problems[key]
	if last != nil && last.created.After(t.Created) {
		return // of a pod that came before
	}
	next := &told{Problem: *problem, created: t.Created, seen: now}
	if last != nil && last.Reason == problem.Reason && now.Sub(last.seen) <= keepProblem {
		next.Since = last.Since
	}
	p.problems[key] = next
	if news {
		p.changed.Add(t.Project)
	}
}

func snapshot(pod *corev1.Pod) Pod {
	out := Pod{Name: pod.Name, UID: pod.UID, Project: pod.Labels[agenttemplate.ProjectLabel], Created: pod.CreationTimestamp.Time,
		Labels: strings.Fields(pod.Annotations[agenttemplate.LabelsAnnotation])}
	out.MemoryLimit = memoryLimit(pod, agentContainer(pod))
	if keep, err := time.ParseDuration(pod.Annotations[agenttemplate.KeepAnnotation]); err == nil && keep > 0 {
		out.Keep = keep
	}
	return out
}

// agentContainer gives the name of the container that the agent runs in; empty if it is not known.
func agentContainer(pod *corev1.Pod) string {
	name := ""
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		if slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == agentNameEnv }) {
			return c.Name
		}
		if c.Name == inboundAgent {
			name = c.Name
		}
	}
	if name == "" && len(pod.Spec.Containers) == 1 {
		return pod.Spec.Containers[0].Name
	}
	return name
}

// imageByDigest gives the image of a container as its node reports it.
func imageByDigest(pod *corev1.Pod, container string) string {
	for i, status := range pod.Status.ContainerStatuses {
		if status.Name == container || container == "" && i == 0 {
			return status.ImageID
		}
	}
	return ""
}

// readEvents looks at the events of pods whose containers take long to be made: only they tell why.
func (p *Pods) readEvents(ctx context.Context) {
	now := p.clock.Now()
	var slow []Pod
	p.mu.Lock()
	for _, t := range p.pods {
		if t.making && t.Gone.IsZero() && now.Sub(t.Created) > slowStart && now.Sub(t.eventsRead) > eventsAgain && t.ours {
			t.eventsRead = now
			slow = append(slow, t.Pod)
		}
	}
	p.mu.Unlock()
	for i := range slow {
		if problem := p.newestWarning(ctx, &slow[i]); problem != nil {
			p.mu.Lock()
			if t := p.pods[slow[i].Name]; t != nil && t.UID == slow[i].UID && t.making && (t.Problem == nil || t.Problem.Reason == problem.Reason) {
				p.note(t, problem)
			}
			p.mu.Unlock()
		}
	}
}

func (p *Pods) newestWarning(ctx context.Context, pod *Pod) *Problem {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	list, err := p.options.Client.CoreV1().Events(p.options.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: "involvedObject.uid=" + string(pod.UID), Limit: 50})
	if err != nil {
		return nil // the problem shows without its cause
	}
	var newest *corev1.Event
	for i := range list.Items {
		event := &list.Items[i]
		// A volume that was mounted in the end, say, is no problem any more; what came last counts.
		if newest == nil || !lastSeen(event).Before(lastSeen(newest)) {
			newest = event
		}
	}
	if newest == nil {
		return nil
	}
	return problemOfEvent(pod.Name, newest)
}

func lastSeen(e *corev1.Event) time.Time {
	switch {
	case e.Series != nil:
		return e.Series.LastObservedTime.Time
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	}
	return e.EventTime.Time
}

// clean forgets what is old.
func (p *Pods) clean() {
	now := p.clock.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	var gone []*tracked
	for name, t := range p.pods {
		switch {
		case t.Gone.IsZero():
		case now.Sub(t.Gone) > keepGone:
			delete(p.pods, name)
		default:
			gone = append(gone, t)
		}
	}
	if len(gone) > maxGone {
		slices.SortFunc(gone, func(a, b *tracked) int { return a.Gone.Compare(b.Gone) })
		for _, t := range gone[:len(gone)-maxGone] {
			delete(p.pods, t.Name)
		}
	}
	maps.DeleteFunc(p.problems, func(_ agentKey, t *told) bool { return now.Sub(t.seen) > keepProblem })
	p.checks.clean(now)
}

// Running tells if the agent's container of a pod of the label runs.
func (p *Pods) Running(project, label string) bool {
	return slices.ContainsFunc(p.podsOf(project, label), func(pod Pod) bool { return !pod.Running.IsZero() && !pod.Ended })
}
