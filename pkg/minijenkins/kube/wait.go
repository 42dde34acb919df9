// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/tools/cache"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// Acquire implements engine.AgentProvider.
func (a *buildAgents) Acquire(ctx context.Context, req engine.AgentRequest, waiting func(string)) (engine.Agent, error) {
	if waiting == nil {
		waiting = func(string) {}
	}
	if name, note, ok := a.p.claimRequest(req.ID); ok {
		agent, err := a.adopt(ctx, name, note, waiting)
		if !errors.Is(err, errTaken) {
			return a.orGiveRoom(agent, err, note.Template)
		}
		a.p.giveRoom(note.Template) // it is on its way out
	}
	t, r, err := a.template(req)
	if err != nil {
		return nil, err
	}
	if err := a.p.takeRoom(ctx, t, waiting); err != nil {
		return nil, err
	}
	if r == nil {
		r, err = a.render(t, req)
	}
	var agent *podAgent
	if err == nil {
		agent, err = a.start(ctx, t, r, req, waiting)
	}
	return a.orGiveRoom(agent, err, t.Seq)
}

func (a *buildAgents) orGiveRoom(agent *podAgent, err error, template uint64) (engine.Agent, error) {
	if err != nil {
		a.p.giveRoom(template)
		return nil, err
	}
	return agent, nil
}

// Resume implements engine.AgentResumer.
func (a *buildAgents) Resume(ctx context.Context, _ engine.AgentRequest, name, workspace string) (engine.Agent, error) {
	// Without the watch a pod that lives would look as if it were gone.
	if !cache.WaitForCacheSync(ctx.Done(), a.p.synced) {
		return nil, context.Cause(ctx)
	}
	var note agentNote
	if pod, err := a.p.pods.Get(name); err == nil {
		note = noteOf(pod)
	}
	if !a.p.hold(name, note.Labels) {
		return nil, fmt.Errorf("agent %s: %w", name, errTaken)
	}
	a.p.claim(name, note.Template)
	a.p.update(name, true, "")
	ch, stop := a.p.watch(name)
	return &podAgent{p: a.p, name: name, container: note.Container, changed: ch, stopWatch: stop, template: note.Template, workspace: workspace,
		all: note.All, noShell: note.NoShell}, nil
}

// keep notes a pod of a former process.
func (p *Provider) keep(name string, note agentNote) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept[name] = note
	p.perTemplate[note.Template]++
}

// claim takes a pod of a former process over, with the room that it takes.
func (p *Provider) claim(name string, template uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.kept[name]; !ok {
		p.perTemplate[template]++
	}
	delete(p.kept, name)
}

// claimRequest takes over the pod that a former process made for a request, with the room that it takes.
func (p *Provider) claimRequest(id string) (name string, note agentNote, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, note = range p.kept {
		if id != "" && note.Request == id {
			delete(p.kept, name)
			return name, note, true
		}
	}
	return "", agentNote{}, false
}

// takeRoom waits until the template may have one more pod.
func (p *Provider) takeRoom(ctx context.Context, t *store.Template, waiting func(string)) error {
	told := false
	for {
		p.mu.Lock()
		if t.InstanceCap <= 0 || t.Seq == 0 || p.perTemplate[t.Seq] < t.InstanceCap {
			p.perTemplate[t.Seq]++
			p.mu.Unlock()
			return nil
		}
		room := p.room
		p.mu.Unlock()
		if !told {
			told = true
			waiting(fmt.Sprintf("All nodes of label ‘%s’ are in use (%d at most)", t.Label, t.InstanceCap))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-room:
		}
	}
}

func (p *Provider) giveRoom(template uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.freeRoom(template)
}

// freeRoom is giveRoom with mu held.
func (p *Provider) freeRoom(template uint64) {
	if p.perTemplate[template]--; p.perTemplate[template] <= 0 {
		delete(p.perTemplate, template)
	}
	close(p.room)
	p.room = make(chan struct{})
}

// errNotOurs says beside another error that there is no pod to delete.
var errNotOurs = errors.New("no pod was made")

// errTaken says that the name of a pod is another's, or that of one which is being deleted.
var errTaken = errors.New("the name of the pod is taken")

// maxNames is how many names of one request may be taken.
const maxNames = 20

// start creates the pod and waits until steps can run in it. A pod that was created for the same request
// before is taken over.
func (a *buildAgents) start(ctx context.Context, t *store.Template, r *rendered, req engine.AgentRequest, waiting func(string)) (_ *podAgent, err error) {
	agent := &podAgent{p: a.p, container: r.container, template: t.Seq, all: r.all, noShell: r.noShell,
		workspace: path.Join(r.workingDir, "workspace", workspaceName(a.build.Job))}
	for taken := range maxNames {
		r.name(suffix(req.ID, taken))
		agent.name = r.pod.Name
		err = agent.begin(ctx, strings.Fields(t.Label), waiting, func() error {
			return a.untaken(ctx, r.pod.Name, req.ID, a.p.create(ctx, r.pod, req.ID))
		})
		if !errors.Is(err, errTaken) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return agent, nil
}

// untaken makes the end of a context errTaken if the pod of the name, which is about to be deleted for it, is another's.
func (a *buildAgents) untaken(ctx context.Context, name, request string, err error) error {
	if err == nil || request == "" || ctx.Err() == nil || suspended(ctx) {
		return err
	}
	if other := a.p.ours(context.WithoutCancel(ctx), name, request); errors.Is(other, errTaken) {
		return errors.Join(err, errNotOurs)
	}
	return err
}

// adopt waits for a pod that a former process created.
func (a *buildAgents) adopt(ctx context.Context, name string, note agentNote, waiting func(string)) (*podAgent, error) {
	agent := &podAgent{p: a.p, name: name, container: note.Container, template: note.Template, all: note.All, noShell: note.NoShell}
	err := agent.begin(ctx, note.Labels, waiting, func() error {
		pod, err := a.p.get(ctx, name)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == note.Container })
		if pod.DeletionTimestamp != nil || i < 0 {
			return errTaken
		}
		agent.workspace = path.Join(pod.Spec.Containers[i].WorkingDir, "workspace", workspaceName(a.build.Job))
		return nil
	})
	return agent, err
}

// get reads a pod; one that does not exist is errTaken: its name will not be used again.
func (p *Provider) get(ctx context.Context, name string) (*corev1.Pod, error) {
	var pod *corev1.Pod
	err := p.patiently(ctx, func(ctx context.Context) (err error) {
		pod, err = p.client.CoreV1().Pods(p.cfg.Namespace).Get(ctx, name, metav1.GetOptions{})
		return err
	})
	switch {
	case err == nil:
		return pod, nil
	case apierrors.IsNotFound(err):
		return nil, errTaken
	case context.Cause(ctx) != nil:
		return nil, context.Cause(ctx)
	}
	return nil, fmt.Errorf("read agent pod: %w", err)
}

// begin makes the pod exist and waits until steps can run in it. If that fails the pod is deleted, unless the
// build will go on after a restart.
func (a *podAgent) begin(ctx context.Context, labels []string, waiting func(string), exist func() error) (err error) {
	p := a.p
	if !p.hold(a.name, labels) {
		return errTaken
	}
	ch, stop := p.watch(a.name)
	defer func() {
		if err == nil {
			return
		}
		stop()
		left := !errors.Is(err, errTaken) && !errors.Is(err, errNotOurs) && !suspended(ctx)
		if left {
			// The build may have been aborted; the pod must go all the same.
			if derr := p.deletePod(context.WithoutCancel(ctx), a.name); derr != nil {
				err = errors.Join(err, derr)
			}
		}
		p.letGo(a.name, left)
	}()
	if err := exist(); err != nil {
		return err
	}
	waiting("Pod " + a.name + " is starting")
	tell := tellOnce(func(reason string) { waiting("Pod " + a.name + ": " + reason) })
	container := a.container
	if a.all {
		container = allContainers
	}
	if err := p.waitRunning(ctx, a.name, container, ch, tell); err != nil {
		return a.withHint(err)
	}
	p.update(a.name, true, "")
	a.changed, a.stopWatch = ch, stop
	return nil
}

// suspended tells if a context has ended because the server stops and the build is to go on later.
func suspended(ctx context.Context) bool {
	return errors.Is(context.Cause(ctx), engine.ErrSuspended)
}

// workspaceName is the job's path; it names a folder, so what would leave it is replaced.
func workspaceName(job string) string {
	return strings.TrimPrefix(path.Clean("/"+strings.ReplaceAll(job, "\x00", "_")), "/")
}

func tellOnce(f func(string)) func(string) {
	last := ""
	return func(reason string) {
		if reason != "" && reason != last {
			last = reason
			f(reason)
		}
	}
}

// create tries the pod by a dry run, which tells of quota, Pod Security and schema errors before
// anything exists, and creates it. That it exists for the same request is as good.
func (p *Provider) create(ctx context.Context, pod *corev1.Pod, request string) error {
	api := p.client.CoreV1().Pods(p.cfg.Namespace)
	for _, dry := range []bool{true, false} {
		opts := metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict}
		if dry {
			opts.DryRun = []string{metav1.DryRunAll}
		}
		err := p.patiently(ctx, func(ctx context.Context) error {
			_, err := api.Create(ctx, pod, opts)
			return err
		})
		if apierrors.IsAlreadyExists(err) {
			return p.ours(ctx, pod.Name, request)
		}
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			var st apierrors.APIStatus
			if errors.As(err, &st) {
				return failf("The agent pod was refused: %s", st.Status().Message)
			}
			return fmt.Errorf("create agent pod: %w", err)
		}
	}
	return nil
}

// patiently repeats a call while the cluster cannot be reached, for as long as a pod may take to start. A build
// that goes on after a restart of the node may be there before the cluster is.
func (p *Provider) patiently(ctx context.Context, call func(context.Context) error) error {
	end := time.Now().Add(p.cfg.StartTimeout)
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		cctx, cancel := context.WithTimeout(ctx, callTimeout)
		err := call(cctx)
		cancel()
		var failed net.Error
		away := errors.As(err, &failed) || apierrors.IsServiceUnavailable(err)
		if !away || ctx.Err() != nil || !time.Now().Add(wait).Before(end) || pause(ctx, wait) != nil {
			return err
		}
	}
}

// ours tells if the pod of a name was made for a request; it is errTaken otherwise.
func (p *Provider) ours(ctx context.Context, name, request string) error {
	pod, err := p.get(ctx, name)
	if err != nil {
		return err
	}
	if request == "" || pod.Labels[LabelInstance] != p.cfg.Instance || noteOf(pod).Request != request || pod.DeletionTimestamp != nil {
		return errTaken
	}
	return nil
}

// waitRunning waits until the agent container runs.
func (p *Provider) waitRunning(ctx context.Context, name, container string, ch <-chan struct{}, tell func(string)) error {
	timeout := time.NewTimer(p.cfg.StartTimeout)
	defer timeout.Stop()
	// Until the watch has shown the pod, the first event must not be missed.
	seen := false
	last := "the pod was not seen by the watch"
	for {
		pod, err := p.pods.Get(name)
		switch {
		case err == nil:
			seen = true
			st := describe(pod, container)
			if st.running {
				return nil
			}
			if st.fatal {
				return failf("The agent pod %s failed to start: %s%s", name, st.reason, p.events(ctx, name, st.reason))
			}
			if st.reason != "" {
				last = st.reason
				p.update(name, false, last)
			}
			// What every pod goes through is not worth a line in the log.
			if st.problem {
				tell(st.reason)
			}
		case seen:
			return failf("The agent pod %s was deleted while it started: %s", name, last)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timeout.C:
			return failf("The agent pod %s did not start within %s: %s%s", name, p.cfg.StartTimeout, last, p.events(ctx, name, last))
		case <-ch:
		}
	}
}

// events adds the most telling warning about a pod to a reason that says nothing by itself, as when a volume
// cannot be mounted, if events may be read.
func (p *Provider) events(ctx context.Context, name, reason string) string {
	if reason != reasonStarting && reason != reasonUnscheduled {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	list, err := p.client.CoreV1().Events(p.cfg.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.Set{"involvedObject.name": name, "involvedObject.kind": "Pod", "type": corev1.EventTypeWarning}.String(), Limit: 20})
	if err != nil || len(list.Items) == 0 {
		return ""
	}
	// Some warnings only repeat a reason ("Error: ErrImagePull"); the longest one says why.
	e := slices.MaxFunc(list.Items, func(a, b corev1.Event) int { return len(a.Message) - len(b.Message) })
	return " (" + e.Reason + ": " + e.Message + ")"
}

// status is what a starting pod is at.
type status struct {
	running bool
	// fatal says that waiting does not help; problem that something is wrong which may heal.
	fatal, problem bool
	reason         string
}

// Reasons that do not say what is wrong.
const (
	reasonStarting    = "starting"
	reasonUnscheduled = "waiting to be scheduled"
)

// hopeless are reasons of waiting containers that do not heal by themselves.
var hopeless = map[string]bool{"InvalidImageName": true, "ErrImageNeverPull": true}

// describe says in one sentence what a pod waits for.
func describe(pod *corev1.Pod, container string) status {
	if pod.DeletionTimestamp != nil {
		return status{fatal: true, reason: "the pod is being deleted"}
	}
	for i := range pod.Status.InitContainerStatuses {
		if st := containerStatus("init container", &pod.Status.InitContainerStatuses[i], true); st.reason != "" {
			return st
		}
	}
	running, ran := false, 0
	var waiting status
	for i := range pod.Status.ContainerStatuses {
		cs := &pod.Status.ContainerStatuses[i]
		if cs.State.Running != nil {
			ran++
			running = running || cs.Name == container
		}
		if st := containerStatus("container", cs, false); st.fatal || !waiting.fatal && (st.problem || waiting.reason == "") {
			waiting = st
		}
	}
	if container == allContainers {
		running = ran > 0 && ran >= len(pod.Spec.Containers)
	}
	switch {
	case waiting.fatal:
		return waiting
	case pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded:
		return status{fatal: true, reason: orElse(strings.TrimSpace(pod.Status.Reason+" "+pod.Status.Message), "the pod ended ("+string(pod.Status.Phase)+")")}
	case running:
		return status{running: true}
	case waiting.reason != "":
		return waiting
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return status{problem: true, reason: orElse(c.Reason, "not scheduled") + ": " + c.Message}
		}
	}
	return status{reason: reasonUnscheduled}
}

// containerStatus says what is wrong with a container, or what it waits for.
func containerStatus(kind string, cs *corev1.ContainerStatus, mayEnd bool) status {
	what := kind + " " + cs.Name
	switch {
	case cs.State.Terminated != nil:
		t := cs.State.Terminated
		if mayEnd && t.ExitCode == 0 {
			return status{}
		}
		text := fmt.Sprintf("%s ended with exit code %d", what, t.ExitCode)
		if t.Reason != "" && t.Reason != "Error" && t.Reason != "Completed" {
			text += " (" + t.Reason + ")"
		}
		if m := strings.TrimSpace(t.Message); m != "" {
			text += ": " + m
		}
		return status{fatal: true, reason: text}
	case cs.State.Waiting != nil:
		w := cs.State.Waiting
		switch w.Reason {
		case "PodInitializing", "":
			if mayEnd {
				return status{}
			}
			return status{reason: reasonStarting}
		case "ContainerCreating":
			return status{reason: reasonStarting}
		}
		return status{fatal: hopeless[w.Reason], problem: true, reason: what + ": " + w.Reason + orPrefix(": ", w.Message)}
	case mayEnd && cs.State.Running != nil:
		return status{reason: what + " runs"}
	}
	return status{}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func orPrefix(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}
