// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package agentpod

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/slipway-dev/slipway/pkg/jenkins"
)

const (
	collectPeriod = 15 * time.Second
	// unwantedAfter is how long nothing must wait for a pod that has not started until it is deleted.
	unwantedAfter = 25 * time.Second
	// keptExtra is how much longer than its annotation says a kept pod is left alone: its own clock began
	// when its agent ended.
	keptExtra = time.Minute

	// minijenkinsLabel is on pods of minijenkins.
	minijenkinsLabel = "slipway.dev/minijenkins"
)

// Why a pod was deleted, the values of the metric's label.
const (
	causeLeaked   = "leaked"
	causeUnwanted = "unwanted"
	causeKept     = "kept"
)

var collected = prometheus.NewCounterVec(prometheus.CounterOpts{
	Namespace: "slipway", Subsystem: "agent", Name: "pods_collected_total",
	Help: "Agent pods that Slipway deleted, by cause: leaked (Jenkins has forgotten it), unwanted (it did not start and nothing waits for it) or kept (its time of being kept is over).",
}, []string{"cause"})

func init() { metrics.Registry.MustRegister(collected) } //nolint:gochecknoinits // controller-runtime's registry is global

// Keepers tell what became of the build of a pod that is kept to be looked at.
type Keepers interface {
	// Discard tells that the pod of that name is not worth keeping: its build succeeded, or is gone.
	Discard(ctx context.Context, project, pod string) bool
}

// Collect deletes what Jenkins left behind: pods that it has no node for, and pods that did not start and
// that nothing waits for any more. It deletes nothing while Jenkins does not answer.
func (p *Pods) Collect(ctx context.Context) {
	if p.HasSynced() {
		p.collectNow(ctx)
	}
}

func (p *Pods) collectNow(ctx context.Context) {
	log := ctrl.LoggerFrom(ctx).WithName("agentpods")
	if p.any(func(t *tracked) bool { return t.old(p.clock.Now(), p.options.LeakedAfter) }) {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		nodes, err := p.options.Jenkins.Computers(call)
		cancel()
		if err != nil {
			p.startOver()
			log.V(1).Info("agent pods are not collected: Jenkins does not answer", "error", err.Error())
			return
		}
		p.deleteAll(ctx, p.leaked(ctx, nodes.Nodes))
	}
	if p.any(func(t *tracked) bool { return t.pending() }) {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		tasks, err := p.options.Jenkins.Queue(call)
		cancel()
		if err != nil {
			p.startOver()
			log.V(1).Info("agent pods are not collected: Jenkins does not answer", "error", err.Error())
			return
		}
		p.deleteAll(ctx, p.unwanted(tasks))
	}
}

// old tells if the pod exists for so long that Jenkins must have a node for it.
func (t *tracked) old(now time.Time, leakedAfter time.Duration) bool {
	return t.ours && t.Gone.IsZero() && (now.Sub(t.Created) > leakedAfter/2 || t.Ended)
}

// pending tells if the pod exists and its agent never ran.
func (t *tracked) pending() bool {
	return t.ours && !t.mini && t.Gone.IsZero() && t.Running.IsZero() && !t.Ended
}

func (p *Pods) any(is func(*tracked) bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.pods {
		if is(t) {
			return true
		}
	}
	return false
}

// startOver forgets for how long pods were missed: a Jenkins that was away may have to find its nodes.
func (p *Pods) startOver() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.pods {
		t.missing, t.unwanted = time.Time{}, time.Time{}
	}
}

// victim is a pod to delete.
type victim struct {
	Pod
	cause string
}

// leaked gives the pods that Jenkins has had no node for long enough.
func (p *Pods) leaked(ctx context.Context, nodes []jenkins.Node) []victim {
	known := map[string]bool{}
	for _, n := range nodes {
		known[n.Name] = true
	}
	var out []victim
	now := p.clock.Now()
	p.mu.Lock()
	var kept []victim
	for _, t := range p.pods {
		switch {
		case known[t.Name] || !t.old(now, p.options.LeakedAfter):
			t.missing = time.Time{}
		case t.missing.IsZero():
			t.missing = now
		case t.Keep > 0 && now.Sub(t.missing) < t.Keep+keptExtra && !t.Ended:
			kept = append(kept, victim{t.Pod, causeKept})
		case now.Sub(t.missing) > p.options.LeakedAfter:
			out = append(out, victim{t.Pod, causeOf(t)})
		}
	}
	p.mu.Unlock()
	if p.options.Keepers == nil {
		return out
	}
	for _, v := range kept {
		if p.options.Keepers.Discard(ctx, v.Project, v.Name) {
			out = append(out, v)
		}
	}
	return out
}

func causeOf(t *tracked) string {
	if t.Keep > 0 {
		return causeKept
	}
	return causeLeaked
}

// agentWord is a word of a queue item's reason that may be a label or the name of a node.
var agentWord = regexp.MustCompile(`[A-Za-z0-9][A-Za-z0-9._-]*`)

// unwanted gives the pods that did not start and that nothing in Jenkins' queue has waited for long
// enough. The reason of an item names the label or the node that it waits for; while Jenkins says
// something else, as in quiet mode, nothing is known.
func (p *Pods) unwanted(tasks []jenkins.Waiting) []victim {
	words := map[string]bool{}
	clear := true
	for _, task := range tasks {
		for _, word := range agentWord.FindAllString(task.Why, -1) {
			words[strings.TrimRight(word, ".-_")] = true
		}
		clear = clear && !strings.Contains(task.Why, "shut down") && !strings.Contains(task.Why, "Finished waiting")
	}
	var out []victim
	now := p.clock.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.pods {
		switch {
		case !t.pending() || !clear || t.waitedFor(words):
			t.unwanted = time.Time{}
		case t.unwanted.IsZero():
			t.unwanted = now
		case now.Sub(t.unwanted) >= unwantedAfter:
			out = append(out, victim{t.Pod, causeUnwanted})
		}
	}
	return out
}

// waitedFor tells if one of the words names the pod, a label of its template, or another pod of it.
func (t *tracked) waitedFor(words map[string]bool) bool {
	if words[t.Name] {
		return true
	}
	for word := range words {
		if slices.ContainsFunc(t.Labels, func(label string) bool { return word == label || strings.HasPrefix(word, label+"-") }) {
			return true
		}
	}
	// A pod without our annotation has the labels of its template in its name only.
	return len(t.Labels) == 0
}

func (p *Pods) deleteAll(ctx context.Context, victims []victim) {
	log := ctrl.LoggerFrom(ctx).WithName("agentpods")
	for _, v := range victims {
		if err := p.delete(ctx, v); err != nil {
			log.Error(err, "an agent pod cannot be deleted", "pod", v.Name)
			continue
		}
		log.Info("agent pod deleted", "pod", v.Name, "project", v.Project, "cause", v.cause)
		collected.WithLabelValues(v.cause).Inc()
	}
}

// delete deletes the pod that was seen, never another one of its name.
func (p *Pods) delete(ctx context.Context, v victim) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	uid := v.UID
	err := p.options.Client.CoreV1().Pods(p.options.Namespace).Delete(ctx, v.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete pod %s: %w", v.Name, err)
	}
	return nil
}
