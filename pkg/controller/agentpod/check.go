// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package agentpod

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/slipway-dev/slipway/pkg/controller/agenttemplate"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// Jenkins is what is needed of Jenkins.
type Jenkins interface {
	// Computers gives the nodes that Jenkins has.
	Computers(ctx context.Context) (*jenkins.Computers, error)
	// Queue gives what waits in Jenkins' queue.
	Queue(ctx context.Context) ([]jenkins.Waiting, error)
}

// Templates finds agent templates.
type Templates interface {
	// Find gives the template that serves the label; agenttemplate.ErrNoTemplate if there is none.
	Find(ctx context.Context, project, label string) (agenttemplate.Template, error)
}

const (
	// tryAgain is how often the pod of one template is tried that the cluster would not take, tryTaken how
	// often one that it would: a quota may be used up at any time, and runs are to say so soon. tryFailed is
	// how often one is tried of which the cluster said nothing.
	tryAgain  = 30 * time.Second
	tryTaken  = 3 * time.Second
	tryFailed = 500 * time.Millisecond
	// provisionTime is how long Jenkins may take until there is a pod: some 1 s, and 10 s where it missed
	// its first review.
	provisionTime = 20 * time.Second
	// connectTime is how long the agent of a pod that runs may take to be used.
	connectTime = 60 * time.Second
	// lookAgain is how often the nodes of Jenkins and the rights of its account are looked at for this.
	lookAgain = 15 * time.Second
	maxChecks = 1000
)

// verbs are the rights on pods that Jenkins' cloud needs, all of them.
var verbs = []string{"create", "get", "delete", "list", "watch"}

// checks remembers what was asked of the API server and of Jenkins.
type checks struct {
	pods *Pods

	mu    sync.Mutex
	tried map[agentKey]*trial

	// nodes are those that Jenkins had at nodesAt. Their lock is held while Jenkins is asked, that of the rights
	// while the API server is: who waits for the same makes no second call.
	nodesMu sync.Mutex
	nodes   []jenkins.Node
	nodesAt time.Time

	// lacking are the verbs that Jenkins' account lacked at rightsAt.
	rightsMu sync.Mutex
	lacking  []string
	rightsAt time.Time
}

// trial is the outcome of a dry run. Its lock is held during the run, so that many runs that wait for
// one label cause one.
type trial struct {
	mu      sync.Mutex
	at      time.Time
	problem *Problem
	// failed says that the last try brought no answer.
	failed bool
}

func newChecks(p *Pods) *checks { return &checks{pods: p, tried: map[agentKey]*trial{}} }

func (c *checks) clean(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, t := range c.tried {
		if t.mu.TryLock() {
			if now.Sub(t.at) > keepProblem {
				delete(c.tried, key)
			}
			t.mu.Unlock()
		}
	}
}

// Try tries the pod of a label's template and gives why it cannot be made: at most once in 3 s, and at most
// once in 30 s while it cannot be. It is cheap enough to be asked before each build. What cannot be tried has
// no problem.
func (p *Pods) Try(ctx context.Context, project, label string) (Problem, bool) {
	if p.options.Templates == nil {
		return Problem{}, false
	}
	found := p.checks.try(ctx, project, label)
	if found == nil {
		return Problem{}, false
	}
	return *found, true
}

func (c *checks) try(ctx context.Context, project, label string) *Problem {
	key := agentKey{project, label}
	c.mu.Lock()
	t := c.tried[key]
	if t == nil {
		if len(c.tried) >= maxChecks {
			clear(c.tried)
		}
		t = &trial{}
		c.tried[key] = t
	}
	c.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	now := c.pods.clock.Now()
	again := tryAgain
	switch {
	case t.failed:
		again = tryFailed
	case t.problem == nil:
		again = tryTaken
	}
	if !t.at.IsZero() && now.Sub(t.at) < again {
		return t.problem
	}
	problem, err := c.tryNow(ctx, project, label)
	t.at, t.failed = now, err != nil
	if err != nil {
		ctrl.LoggerFrom(ctx).V(1).Info("an agent pod cannot be tried", "label", label, "error", err.Error())
		return t.problem
	}
	if problem != nil {
		problem.Since = now
		if t.problem != nil && t.problem.Reason == problem.Reason {
			problem.Since = t.problem.Since
		}
	}
	t.problem = problem
	return problem
}

func (c *checks) tryNow(ctx context.Context, project, label string) (*Problem, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	template, err := c.pods.options.Templates.Find(ctx, project, label)
	if errors.Is(err, agenttemplate.ErrNoTemplate) {
		return newProblem(ReasonLabelUnknown, fmt.Sprintf("no agent serves the label %q in the project %s: %v", label, project, err)), nil
	}
	if err != nil {
		return nil, err
	}
	return c.pods.options.Try(ctx, template)
}

// Diagnose gives why a run gets no agent of a label for which it waits since a time. Beside the pods it
// asks the API server and Jenkins, each not more often than every few seconds for all runs together.
func (p *Pods) Diagnose(ctx context.Context, project, label string, since time.Time) (Problem, bool) {
	if found, ok := p.Problem(project, label); ok {
		return found, true
	}
	list := p.podsOf(project, label)
	now := p.clock.Now()
	if len(list) == 0 {
		if found, ok := p.Try(ctx, project, label); ok && found.Reason != ReasonCannotCheck {
			return found, true
		}
		if now.Sub(since) < provisionTime {
			return Problem{}, false
		}
		return *p.checks.notProvisioned(ctx, label, since), true
	}
	pod := list[0]
	if pod.Ended || pod.Running.IsZero() || now.Sub(pod.Running) < connectTime || now.Sub(since) < connectTime {
		return Problem{}, false
	}
	if p.checks.busy(ctx, list) {
		return Problem{}, false
	}
	found := p.checks.missingRights(ctx)
	if found == nil {
		found = newProblem(ReasonNotConnected, fmt.Sprintf("the agent pod %s runs since %s, but Jenkins does not use it", pod.Name, pod.Running.UTC().Format(time.RFC3339)))
	}
	found.Since = since
	return *found, true
}

// notProvisioned tells what can be told of a pod that Jenkins does not make.
func (c *checks) notProvisioned(ctx context.Context, label string, since time.Time) *Problem {
	found := c.missingRights(ctx)
	if found == nil {
		what := fmt.Sprintf("Jenkins has made no pod for the label %q, although the cluster would take one", label)
		if node := c.nodeOf(ctx, label); node != "" {
			what += fmt.Sprintf("; it has a node %s, for which it cannot make a pod", node)
		}
		found = newProblem(ReasonNotProvisioned, what)
	}
	found.Since = since
	return found
}

// look brings the list of nodes up to date; an error leaves it empty.
func (c *checks) look(ctx context.Context) []jenkins.Node {
	if c.pods.options.Jenkins == nil {
		return nil
	}
	c.nodesMu.Lock()
	defer c.nodesMu.Unlock()
	now := c.pods.clock.Now()
	if !c.nodesAt.IsZero() && now.Sub(c.nodesAt) < lookAgain {
		return c.nodes
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c.nodes, c.nodesAt = nil, now
	if list, err := c.pods.options.Jenkins.Computers(ctx); err == nil {
		c.nodes = list.Nodes
	}
	return c.nodes
}

func (c *checks) nodeOf(ctx context.Context, label string) string {
	for _, node := range c.look(ctx) {
		for _, l := range node.Labels {
			if l == label {
				return node.Name
			}
		}
		if strings.HasPrefix(node.Name, label+"-") {
			return node.Name
		}
	}
	return ""
}

// busy tells if Jenkins uses all pods of the list: the run waits for its turn.
func (c *checks) busy(ctx context.Context, list []Pod) bool {
	online := map[string]bool{}
	for _, node := range c.look(ctx) {
		online[node.Name] = !node.Offline
	}
	for i := range list {
		if !list[i].Running.IsZero() && !online[list[i].Name] {
			return false
		}
	}
	return true
}

// missingRights looks at the rights of Jenkins' account in the worker namespace.
func (c *checks) missingRights(ctx context.Context) *Problem {
	user := c.pods.options.JenkinsUser
	if user == "" {
		return nil
	}
	c.rightsMu.Lock()
	defer c.rightsMu.Unlock()
	now := c.pods.clock.Now()
	if c.rightsAt.IsZero() || now.Sub(c.rightsAt) >= lookAgain {
		c.lacking, c.rightsAt = c.review(ctx, user), now
	}
	if len(c.lacking) == 0 {
		return nil
	}
	return newProblem(ReasonRightsMissing, fmt.Sprintf("Jenkins' account %s may not %s pods in the namespace %s",
		user, strings.Join(c.lacking, ", "), c.pods.options.Namespace))
}

func (c *checks) review(ctx context.Context, user string) (lacking []string) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	namespace := c.pods.options.Namespace
	for _, verb := range verbs {
		review := &authorizationv1.LocalSubjectAccessReview{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace},
			Spec: authorizationv1.SubjectAccessReviewSpec{User: user, Groups: groupsOf(user),
				ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: verb, Resource: "pods"}},
		}
		answer, err := c.pods.options.Client.AuthorizationV1().LocalSubjectAccessReviews(namespace).Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			ctrl.LoggerFrom(ctx).V(1).Info("the rights of Jenkins' account cannot be looked at", "user", user, "error", err.Error())
			return nil
		}
		if !answer.Status.Allowed {
			lacking = append(lacking, verb)
		}
	}
	return lacking
}

// groupsOf gives the groups that Kubernetes puts a service account into.
func groupsOf(user string) []string {
	parts := strings.Split(user, ":")
	if len(parts) != 4 || parts[0] != "system" || parts[1] != "serviceaccount" {
		return nil
	}
	return []string{"system:serviceaccounts", "system:serviceaccounts:" + parts[2], "system:authenticated"}
}
