// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kube gives builds of minijenkins their agents: one pod per agent, made from the template
// of the label that the build asks for, watched while it starts and while it works, and deleted
// after. Steps run by exec of slipway-agent in the pod's agent container.
package kube

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
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

const (
	// LabelInstance is the label of all pods of one minijenkins.
	LabelInstance = "slipway.dev/minijenkins"
	// LabelProject is the label of a pod template that belongs to one project: the name of the top
	// folder of the jobs that may use it. A template without it may be used by all.
	LabelProject = "slipway.dev/project"
	// AnnotationJob is the full name of the job that a pod works for.
	AnnotationJob = "slipway.dev/job"
	// AnnotationBuild is the number of the build that a pod works for.
	AnnotationBuild = "slipway.dev/build"
	// AnnotationAgent has in JSON what is needed to go on with the pod after a restart.
	AnnotationAgent = "slipway.dev/agent"
	// AgentPath is where slipway-agent is in the agent container.
	AgentPath = "/opt/slipway/slipway-agent"

	defaultWorkingDir = "/home/jenkins/agent"
	workspaceVolume   = "workspace-volume"
	callTimeout       = 30 * time.Second
	gcPeriod          = time.Minute
)

// Config configures a Provider. REST and Namespace are required.
type Config struct {
	// REST reaches the cluster. The identity needs create, get, delete, list, watch on pods and create
	// and get on pods/exec in the namespace; list on events gives better reasons.
	REST *rest.Config
	// Namespace is where the pods run.
	Namespace string
	// StartTimeout is how long a pod may take to start; 0 means 5 min.
	StartTimeout time.Duration
	// DefaultTemplate is the pod YAML for "agent any"; empty refuses such builds.
	DefaultTemplate string
	// JenkinsURL is JENKINS_URL in the agents.
	JenkinsURL string
	// AgentPath is where slipway-agent is in the agent container; empty means AgentPath.
	AgentPath string
	// AgentImage is the image of slipway-agent, which pods that Jenkinsfiles describe need; empty refuses those.
	AgentImage string
	// NoJenkinsfilePods refuses pods that Jenkinsfiles describe. What they may say is bounded so that they can do
	// no more than a pod of Pod Security's level "baseline" without access to anything in the namespace.
	NoJenkinsfilePods bool

	// Instance, Templates and Running are set by the server. Running tells if the build of an ID runs; nil
	// means that no build outlives the process.
	Instance  string
	Templates func() []*store.Template
	Running   func(build string) bool
	// Clouds are the names of clouds; it is set by the server, too. Nil means those of the templates.
	Clouds func() []string
}

// Build identifies the build that asks for agents.
type Build struct {
	// ID is unique over all builds and stable over a restart.
	ID string
	// Project is the top folder of the job.
	Project string
	// Job is the full name of the job.
	Job    string
	Number int
}

// AgentInfo is an agent that lives.
type AgentInfo struct {
	Name   string
	Labels []string
	// Online is false while it starts; then Reason says what it waits for.
	Online bool
	Reason string
}

// Error is a failure to get an agent that the user can understand; it ends the build.
type Error struct{ Message string }

func (e *Error) Error() string { return e.Message }

func failf(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }

// Provider makes agents. Run must be called.
type Provider struct {
	cfg     Config
	client  kubernetes.Interface
	factory informers.SharedInformerFactory
	pods    listers.PodNamespaceLister
	synced  cache.InformerSynced
	exec    execFunc

	mu sync.Mutex
	// live are the agents that builds hold, by pod name.
	live map[string]*AgentInfo
	// kept are the agents of a former process whose builds go on, until these ask for them; gone those that
	// builds have given back but that may still be there.
	kept map[string]agentNote
	gone map[string]bool
	// perTemplate counts the agents of live and kept; room is closed and replaced when one goes.
	perTemplate map[uint64]int
	room        chan struct{}
	// watchers are told of changes of a pod, by pod name.
	watchers map[string]map[chan struct{}]bool
}

// New makes a Provider.
func New(cfg Config) (*Provider, error) {
	if cfg.REST == nil || cfg.Namespace == "" || cfg.Instance == "" || cfg.Templates == nil {
		return nil, errors.New("kube: REST, Namespace, Instance and Templates are required")
	}
	client, err := kubernetes.NewForConfig(cfg.REST)
	if err != nil {
		return nil, fmt.Errorf("kube: client: %w", err)
	}
	p := newProvider(cfg, client)
	p.exec = p.remoteExec
	return p, nil
}

func newProvider(cfg Config, client kubernetes.Interface) *Provider {
	if cfg.StartTimeout == 0 {
		cfg.StartTimeout = 5 * time.Minute
	}
	if cfg.AgentPath == "" {
		cfg.AgentPath = AgentPath
	}
	if cfg.Running == nil {
		cfg.Running = func(string) bool { return false }
	}
	p := &Provider{cfg: cfg, client: client, live: map[string]*AgentInfo{}, kept: map[string]agentNote{}, gone: map[string]bool{}, perTemplate: map[uint64]int{},
		room: make(chan struct{}), watchers: map[string]map[chan struct{}]bool{}}
	p.factory = informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(cfg.Namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = p.selector() }))
	pods := p.factory.Core().V1().Pods()
	p.pods, p.synced = pods.Lister().Pods(cfg.Namespace), pods.Informer().HasSynced
	// AddEventHandler fails only on a stopped informer.
	_, _ = pods.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    p.notify,
		UpdateFunc: func(_, o any) { p.notify(o) },
		DeleteFunc: p.deleted,
	})
	return p
}

func (p *Provider) selector() string { return LabelInstance + "=" + p.cfg.Instance }

// deleted is told that a pod is no more.
func (p *Provider) deleted(o any) {
	if t, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = t.Obj
	}
	p.notify(o)
	if pod, ok := o.(*corev1.Pod); ok {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.gone, pod.Name)
		if note, kept := p.kept[pod.Name]; kept {
			delete(p.kept, pod.Name)
			p.freeRoom(note.Template)
		}
	}
}

func (p *Provider) notify(o any) {
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for ch := range p.watchers[pod.Name] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// watch returns a channel that gets a value after each change of a pod.
func (p *Provider) watch(name string) (ch chan struct{}, stop func()) {
	ch = make(chan struct{}, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.watchers[name] == nil {
		p.watchers[name] = map[chan struct{}]bool{}
	}
	p.watchers[name][ch] = true
	return ch, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if delete(p.watchers[name], ch); len(p.watchers[name]) == 0 {
			delete(p.watchers, name)
		}
	}
}

// Run watches the pods and deletes orphans every minute until ctx ends.
func (p *Provider) Run(ctx context.Context) error {
	p.factory.Start(ctx.Done())
	defer p.factory.Shutdown()
	t := time.NewTicker(gcPeriod)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			if p.synced() {
				p.collect(ctx)
			}
		}
	}
}

// Reap deletes the pods that a former process left, but for those of builds that go on. It is called once,
// before the first build runs.
func (p *Provider) Reap(ctx context.Context) error {
	lctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	list, err := p.client.CoreV1().Pods(p.cfg.Namespace).List(lctx, metav1.ListOptions{LabelSelector: p.selector()})
	if err != nil {
		return fmt.Errorf("kube: list old pods: %w", err)
	}
	for i := range list.Items {
		pod := &list.Items[i]
		if pod.DeletionTimestamp != nil {
			continue
		}
		if note := noteOf(pod); note.Build != "" && p.cfg.Running(note.Build) {
			p.keep(pod.Name, note)
			continue
		}
		err = errors.Join(err, p.deletePod(ctx, pod.Name))
	}
	if err != nil {
		return fmt.Errorf("kube: delete old pods: %w", err)
	}
	return nil
}

// collect deletes pods that no build holds.
func (p *Provider) collect(ctx context.Context) {
	pods, err := p.pods.List(labels.Everything())
	if err != nil {
		return
	}
	p.forgetGone(pods)
	for _, pod := range pods {
		if pod.DeletionTimestamp != nil || !p.orphan(pod) {
			continue
		}
		klog.FromContext(ctx).Info("orphan agent pod deleted", "pod", klog.KObj(pod))
		if err := p.deletePod(ctx, pod.Name); err != nil {
			klog.FromContext(ctx).Error(err, "orphan agent pod cannot be deleted", "pod", klog.KObj(pod))
		}
	}
}

// forgetGone forgets those of gone that are not there any more; the watch does not tell of a pod that it never saw.
func (p *Provider) forgetGone(pods []*corev1.Pod) {
	there := map[string]bool{}
	for _, pod := range pods {
		there[pod.Name] = true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.gone, func(name string, _ bool) bool { return !there[name] })
}

// orphan tells if a pod is of no use any more. One of a former process may be asked for as long as its build runs.
func (p *Provider) orphan(pod *corev1.Pod) bool {
	note := noteOf(pod)
	running := note.Build != "" && p.cfg.Running(note.Build)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.live[pod.Name] == nil && (!running || p.gone[pod.Name])
}

// deletePod deletes a pod; one that is gone is no error.
func (p *Provider) deletePod(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := p.client.CoreV1().Pods(p.cfg.Namespace).Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete pod %s: %w", name, err)
	}
	return nil
}

// Agents lists the agents that live, by name.
func (p *Provider) Agents() []AgentInfo {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]AgentInfo, 0, len(p.live))
	for _, a := range p.live {
		out = append(out, *a)
	}
	slices.SortFunc(out, func(a, b AgentInfo) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// hold makes an agent one that a build holds. It returns false if another build does.
func (p *Provider) hold(name string, labels []string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live[name] != nil {
		return false
	}
	p.live[name] = &AgentInfo{Name: name, Labels: labels}
	return true
}

func (p *Provider) update(name string, online bool, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := p.live[name]; a != nil {
		a.Online, a.Reason = online, reason
	}
}

// letGo ends what hold began. left says that the pod may still be there, for nobody.
func (p *Provider) letGo(name string, left bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.live, name)
	if left {
		p.gone[name] = true
	}
}

// ForBuild makes the provider of one build.
func (p *Provider) ForBuild(b Build) engine.AgentProvider { return &buildAgents{p: p, build: b} }

type buildAgents struct {
	p     *Provider
	build Build
}

// HasLabel implements engine.AgentProvider. Whether the project may use the label is told when the
// agent is acquired, with a reason.
func (a *buildAgents) HasLabel(label string) bool {
	if strings.TrimSpace(label) == "" {
		return true
	}
	expr, err := ParseLabel(label)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(a.p.cfg.Templates(), func(t *store.Template) bool { return expr.Match(strings.Fields(t.Label)) })
}

// resolve finds the template for a label.
func (a *buildAgents) resolve(label string) (*store.Template, error) {
	if strings.TrimSpace(label) == "" {
		if a.p.cfg.DefaultTemplate == "" {
			return nil, failf("‘agent any’ cannot run here: no default agent is configured. Name a label: agent { label '…' }. %s", a.known())
		}
		return &store.Template{ID: "default", Name: "default", YAML: a.p.cfg.DefaultTemplate}, nil
	}
	expr, err := ParseLabel(label)
	if err != nil {
		return nil, failf("The label ‘%s’ cannot be read: %v", label, err)
	}
	var refused error
	for _, t := range a.p.cfg.Templates() {
		if !expr.Match(strings.Fields(t.Label)) {
			continue
		}
		if err := a.allowed(t); err != nil {
			refused = err
			continue
		}
		return t, nil
	}
	if refused != nil {
		return nil, refused
	}
	return nil, failf("There are no nodes with the label ‘%s’. %s", label, a.known())
}

// allowed refuses a template of another project.
func (a *buildAgents) allowed(t *store.Template) error {
	pod, err := parsePod(t.YAML)
	if err != nil {
		return failf("The pod template ‘%s’ cannot be used: %v", t.ID, err)
	}
	if owner := pod.Labels[LabelProject]; owner != "" && owner != a.build.Project {
		return failf("The label ‘%s’ belongs to the project ‘%s’; jobs of ‘%s’ may not use it", t.Label, owner, a.build.Project)
	}
	return nil
}

// known says which labels the project may use.
func (a *buildAgents) known() string {
	var names []string
	for _, t := range a.p.cfg.Templates() {
		if a.allowed(t) == nil {
			names = append(names, strings.Fields(t.Label)...)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) == 0 {
		return "This project has no agents yet: make a dev container first."
	}
	more := ""
	if len(names) > 20 {
		more = fmt.Sprintf(" and %d more", len(names)-20)
		names = names[:20]
	}
	return "Labels that exist: " + strings.Join(names, ", ") + more + "."
}
