// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clientexec "k8s.io/client-go/util/exec"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

func TestLabel(t *testing.T) {
	cases := map[string]struct {
		expr string
		has  string
		want bool
		err  bool
	}{
		"name":                   {expr: "dc-a.b", has: "dc-a.b x", want: true},
		"other name":             {expr: "dc-a", has: "dc-a.b", want: false},
		"and":                    {expr: "go && linux", has: "go linux", want: true},
		"and without spaces":     {expr: "go&&linux", has: "go", want: false},
		"or":                     {expr: "go || java", has: "java", want: true},
		"and binds before or":    {expr: "a || b && c", has: "a", want: true},
		"parentheses":            {expr: "(a || b) && c", has: "a", want: false},
		"not":                    {expr: "!a && b", has: "b", want: true},
		"quoted":                 {expr: `"a&&b"`, has: "a&&b", want: true},
		"unicode":                {expr: "größe", has: "größe", want: true},
		"empty":                  {expr: "", err: true},
		"half":                   {expr: "a &&", err: true},
		"single ampersand":       {expr: "a & b", err: true},
		"open parenthesis":       {expr: "(a", err: true},
		"closing parenthesis":    {expr: "a)", err: true},
		"two names":              {expr: "a b", err: true},
		"very long":              {expr: strings.Repeat("a&&", 5000) + "a", err: true},
		"deep":                   {expr: strings.Repeat("(", 2000) + "a", err: true},
		"open quote":             {expr: `"a`, err: true},
		"empty quotes":           {expr: `""`, err: true},
		"an implication is none": {expr: "a -> b", err: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			l, err := ParseLabel(c.expr)
			if (err != nil) != c.err || err != nil && !errors.Is(err, ErrLabel) {
				t.Fatalf("error %v", err)
			}
			if err == nil && l.Match(strings.Fields(c.has)) != c.want {
				t.Errorf("match is not %v", c.want)
			}
		})
	}
}

func TestPodName(t *testing.T) {
	form := regexp.MustCompile(`^[a-z][a-z0-9-]*-[a-z0-9]{5}$`)
	for _, n := range []string{"dc-ns.name", "A_B c", "größe", "", "---", "9lives", strings.Repeat("n", 300), "a/../b", "x.", strings.Repeat("a", 56) + "-b"} {
		got := podName(n, suffix("", 0))
		if !form.MatchString(got) || len(validation.IsDNS1123Label(got)) > 0 {
			t.Errorf("%q gives %q", n, got)
		}
	}
}

func TestDescribe(t *testing.T) {
	waiting := func(reason, msg string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: msg}}
	}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	ended := func(code int32, msg string) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Message: msg}}
	}
	cs := func(states ...corev1.ContainerState) (out []corev1.ContainerStatus) {
		for i, s := range states {
			out = append(out, corev1.ContainerStatus{Name: string(rune('a' + i)), State: s})
		}
		return out
	}
	now := metav1.Now()
	cases := map[string]struct {
		pod  corev1.Pod
		want status
	}{
		"new":           {corev1.Pod{}, status{reason: "waiting to be scheduled"}},
		"unschedulable": {corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/1 nodes"}}}}, status{problem: true, reason: "Unschedulable: 0/1 nodes"}},
		"starting":      {corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: cs(waiting("ContainerCreating", ""))}}, status{reason: "starting"}},
		"init waits":    {corev1.Pod{Status: corev1.PodStatus{InitContainerStatuses: cs(waiting("ErrImagePull", "no such host")), ContainerStatuses: cs(waiting("PodInitializing", ""))}}, status{problem: true, reason: "init container a: ErrImagePull: no such host"}},
		"init fails":    {corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed, InitContainerStatuses: cs(ended(1, "clone: no\n")), ContainerStatuses: cs(waiting("PodInitializing", ""))}}, status{fatal: true, reason: "init container a ended with exit code 1: clone: no"}},
		"init done":     {corev1.Pod{Status: corev1.PodStatus{InitContainerStatuses: cs(ended(0, "")), ContainerStatuses: cs(running)}}, status{running: true}},
		"pull error":    {corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: cs(waiting("ImagePullBackOff", "Back-off"))}}, status{problem: true, reason: "container a: ImagePullBackOff: Back-off"}},
		"hopeless":      {corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: cs(waiting("InvalidImageName", "X"))}}, status{fatal: true, problem: true, reason: "container a: InvalidImageName: X"}},
		"running":       {corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: cs(running)}}, status{running: true}},
		"sidecar waits": {corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: cs(running, waiting("ErrImagePull", "y"))}}, status{running: true}},
		"sidecar ended": {corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: cs(running, ended(0, ""))}}, status{fatal: true, reason: "container b ended with exit code 0"}},
		"evicted":       {corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "low on memory"}}, status{fatal: true, reason: "Evicted low on memory"}},
		"being deleted": {corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now}, Status: corev1.PodStatus{ContainerStatuses: cs(running)}}, status{fatal: true, reason: "the pod is being deleted"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, describe(&c.pod, "a"), cmp.AllowUnexported(status{})); d != "" {
				t.Error(d)
			}
		})
	}
}

const smallPod = "kind: Pod\nspec: {containers: [{name: side, image: s}, {name: dev, image: i, env: [{name: JENKINS_AGENT_NAME, value: forged}]}]}"

func newFake(t *testing.T, templates ...*store.Template) *Provider {
	t.Helper()
	return newProvider(Config{REST: &rest.Config{}, Namespace: "workers", Instance: "inst", StartTimeout: time.Second, JenkinsURL: "http://j",
		Templates: func() []*store.Template { return templates }}, fake.NewClientset())
}

func TestRender(t *testing.T) {
	p := newFake(t)
	b := &buildAgents{p: p, build: Build{ID: "inst-1-7", Project: "team", Job: "team/größe x", Number: 7}}
	r, err := b.render(&store.Template{Name: "dc-team.app", YAML: smallPod, AgentContainer: "dev", Seq: 3, Label: "a b"}, engine.AgentRequest{Label: "dc-team.app || größe", ID: "inst-1-7-0.1"})
	if err != nil {
		t.Fatal(err)
	}
	r.name(suffix("inst-1-7-0.1", 0))
	if r.container != "dev" || r.workingDir != defaultWorkingDir || r.pod.Namespace != "workers" {
		t.Errorf("%+v", r)
	}
	for k, v := range r.pod.Labels {
		if e := validation.IsValidLabelValue(v); len(e) > 0 {
			t.Errorf("label %s=%q: %v", k, v, e)
		}
	}
	want := map[string]string{AnnotationJob: "team/größe x", AnnotationBuild: "7",
		AnnotationAgent: `{"build":"inst-1-7","request":"inst-1-7-0.1","container":"dev","template":3,"labels":["a","b"]}`}
	if d := cmp.Diff(want, r.pod.Annotations); d != "" {
		t.Error(d)
	}
	var names []string
	for _, e := range r.pod.Spec.Containers[1].Env {
		names = append(names, e.Name)
		if e.Name == "JENKINS_AGENT_NAME" && e.Value != r.pod.Name {
			t.Errorf("agent name %s", e.Value)
		}
	}
	if d := cmp.Diff([]string{"JENKINS_AGENT_WORKDIR", "SLIPWAY_AGENT_MODE", "SLIPWAY_STEPS_DIR", "JENKINS_URL", "JENKINS_AGENT_NAME"}, names); d != "" {
		t.Error(d)
	}
	if len(r.pod.Spec.Volumes) != 1 || r.pod.Spec.Containers[1].VolumeMounts[0].MountPath != defaultWorkingDir || r.pod.Spec.RestartPolicy != corev1.RestartPolicyNever {
		t.Errorf("%+v", r.pod.Spec)
	}
	own, err := b.render(&store.Template{Name: "x", YAML: `{"kind":"Pod","spec":{"volumes":[{"name":"w","emptyDir":{}}],"containers":[{"name":"c","image":"i","workingDir":"/w/","volumeMounts":[{"name":"w","mountPath":"/w"}]}]}}`}, engine.AgentRequest{Label: "x"})
	if err != nil || len(own.pod.Spec.Volumes) != 1 || own.workingDir != "/w/" {
		t.Errorf("own mount: %+v, %v", own, err)
	}
	for name, tmpl := range map[string]*store.Template{
		"no YAML": {YAML: "{"}, "other kind": {YAML: "kind: Secret"}, "no container": {YAML: "kind: Pod"}, "missing container": {YAML: smallPod, AgentContainer: "nosuch"},
		"unknown field": {YAML: "kind: Pod\nspec: {nosuch: 1, containers: [{name: a}]}"},
	} {
		var e *Error
		if _, err := b.render(tmpl, engine.AgentRequest{Label: "x"}); !errors.As(err, &e) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestResolve(t *testing.T) {
	mine := &store.Template{Seq: 1, ID: "a", Label: "dc-team.app dc-team.app-0123456789", YAML: "kind: Pod\nmetadata: {labels: {slipway.dev/project: team}}\nspec: {containers: [{name: a}]}"}
	shared := &store.Template{Seq: 2, ID: "b", Label: "go", YAML: "kind: Pod\nspec: {containers: [{name: a}]}"}
	broken := &store.Template{Seq: 3, ID: "c", Label: "broken", YAML: "{"}
	p := newFake(t, mine, shared, broken)
	cases := map[string]struct {
		project, label string
		want           string
		err            string
	}{
		"own":                {"team", "dc-team.app", "a", ""},
		"by digest":          {"team", "dc-team.app-0123456789", "a", ""},
		"shared":             {"other", "go", "b", ""},
		"of another project": {"other", "dc-team.app", "", "belongs to the project ‘team’; jobs of ‘other’ may not use it"},
		"either":             {"other", "dc-team.app || go", "b", ""},
		"unknown":            {"team", "nosuch", "", "There are no nodes with the label ‘nosuch’. Labels that exist: dc-team.app, dc-team.app-0123456789, go."},
		"any":                {"other", "", "", "‘agent any’ cannot run here: no default agent is configured. Name a label: agent { label '…' }. Labels that exist: go."},
		"malformed":          {"team", "a &&", "", "cannot be read"},
		"broken template":    {"team", "broken", "", "the pod YAML is not valid"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := &buildAgents{p: p, build: Build{Project: c.project}}
			got, err := b.resolve(c.label)
			if c.err != "" {
				var e *Error
				if !errors.As(err, &e) || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v", err)
				}
				return
			}
			if err != nil || got.ID != c.want {
				t.Errorf("%v, %v", got, err)
			}
			if !b.HasLabel(c.label) {
				t.Error("HasLabel says no")
			}
		})
	}
	p.cfg.DefaultTemplate = smallPod
	if got, err := (&buildAgents{p: p}).resolve(" "); err != nil || got.ID != "default" {
		t.Errorf("default: %v, %v", got, err)
	}
}

// scriptedExec answers exec requests one after the other.
func scriptedExec(t *testing.T, calls *[]string, answers ...func(execRequest) error) execFunc {
	t.Helper()
	return func(_ context.Context, req execRequest) error {
		*calls = append(*calls, strings.Join(req.command[1:], " "))
		if len(answers) == 0 {
			t.Error("too many calls")
			return errors.New("too many calls")
		}
		a := answers[0]
		answers = answers[1:]
		return a(req)
	}
}

func fakeAgent(t *testing.T, p *Provider) *podAgent {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "workers", Labels: map[string]string{LabelInstance: "inst"}},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "dev", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}}}
	if err := p.factory.Core().V1().Pods().Informer().GetIndexer().Add(pod); err != nil {
		t.Fatal(err)
	}
	if _, err := p.client.CoreV1().Pods("workers").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	ch, stop := p.watch("p")
	return &podAgent{p: p, name: "p", container: "dev", workspace: "/w", changed: ch, stopWatch: stop}
}

// TestBrokenStream shows that a step is followed over broken exec streams without a lost or doubled byte.
func TestBrokenStream(t *testing.T) {
	p := newFake(t)
	var calls []string
	write := func(out, err string, ret error) func(execRequest) error {
		return func(r execRequest) error {
			_, _ = io.WriteString(r.stdout, out)
			_, _ = io.WriteString(r.stderr, err)
			return ret
		}
	}
	p.exec = scriptedExec(t, &calls,
		write("", "", errors.New("connection refused")),
		write(`{"id":"s-1","started":true}`, "", nil),
		write("line 1\nli", "", errors.New("broken pipe")),
		write("ne 2\n", "", nil), // cut without a result
		write("", "", clientexec.CodeExitError{Err: errors.New("killed"), Code: 137}),
		write("line 3\n", `{"exitCode":4}`+"\n", nil))
	var out bytes.Buffer
	code, err := fakeAgent(t, p).Shell(t.Context(), engine.ShellRequest{ID: "s-1", Script: "x", Dir: "/w"}, &out, nil)
	if err != nil || code != 4 || out.String() != "line 1\nline 2\nline 3\n" {
		t.Fatalf("code %d, %v, %q", code, err, out.String())
	}
	want := []string{"step start --id s-1", "step start --id s-1", "step attach --id s-1 --offset 0", "step attach --id s-1 --offset 9",
		"step attach --id s-1 --offset 14", "step attach --id s-1 --offset 14"}
	if d := cmp.Diff(want, calls); d != "" {
		t.Error(d)
	}
}

// TestDeletedUnderAStep: scripts of a pod that is deleted end before the watch tells of it, each in its way.
func TestDeletedUnderAStep(t *testing.T) {
	started := func(execRequest) error { return nil }
	killed := func(execRequest) error { return clientexec.CodeExitError{Err: errors.New("killed"), Code: 137} }
	for name, c := range map[string]struct {
		gone    bool
		answers []func(execRequest) error
		want    string
	}{
		"terminated": {answers: []func(execRequest) error{started, func(r execRequest) error {
			_, err := io.WriteString(r.stderr, `{"exitCode":143}`+"\n")
			return err
		}}, want: "Agent p is gone: the pod is being deleted"},
		"killed at its start": {answers: []func(execRequest) error{killed}, want: "Agent p is gone: the pod is being deleted"},
		"killed":              {answers: []func(execRequest) error{started, killed}, want: "Agent p is gone: the pod is being deleted"},
		"killed with its supervisor": {answers: []func(execRequest) error{started, func(r execRequest) error {
			_, _ = io.WriteString(r.stderr, `{"error":"the supervisor was killed","reason":"Lost"}`+"\n")
			return clientexec.CodeExitError{Err: errors.New("lost"), Code: exitLost}
		}}, want: "Agent p is gone: the pod is being deleted"},
		"no container": {gone: true, answers: []func(execRequest) error{started, func(execRequest) error {
			return errors.New(`unable to upgrade connection: container not found ("dev")`)
		}}, want: "Agent p was deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newFake(t)
			a := fakeAgent(t, p)
			api := p.client.CoreV1().Pods("workers")
			if err := api.Delete(t.Context(), "p", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			if !c.gone {
				now := metav1.Now()
				ending := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "workers", DeletionTimestamp: &now, Finalizers: []string{"kubelet"}}}
				if _, err := api.Create(t.Context(), ending, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			var calls []string
			p.exec = scriptedExec(t, &calls, c.answers...)
			var dead *Error
			if code, err := a.Shell(t.Context(), engine.ShellRequest{ID: "s", Dir: "/w"}, io.Discard, nil); !errors.As(err, &dead) || err.Error() != c.want {
				t.Errorf("code %d, %v, want %q", code, err, c.want)
			}
			if len(calls) != len(c.answers) {
				t.Errorf("calls: %q", calls)
			}
		})
	}
}

func TestAgentReportsFailure(t *testing.T) {
	p := newFake(t)
	var calls []string
	fail := func(code int, line string) func(execRequest) error {
		return func(r execRequest) error {
			_, _ = io.WriteString(r.stderr, "noise\n"+line+"\n")
			return clientexec.CodeExitError{Err: fmt.Errorf("exit %d", code), Code: code}
		}
	}
	p.exec = scriptedExec(t, &calls, fail(2, `{"error":"the script is empty","reason":"BadRequest"}`),
		func(execRequest) error { return nil }, fail(exitLost, `{"error":"the supervisor was killed","reason":"Lost"}`), fail(126, "exec: no such file"))
	a := fakeAgent(t, p)
	for i, want := range []string{"the script is empty", "the supervisor was killed", "exit code 126: exec: no such file"} {
		_, err := a.Shell(t.Context(), engine.ShellRequest{ID: "s", Dir: "/w"}, io.Discard, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d: %v", i, err)
		}
	}
}

func TestRoom(t *testing.T) {
	p := newFake(t)
	tmpl := &store.Template{Seq: 1, Label: "x", InstanceCap: 1}
	if err := p.takeRoom(t.Context(), tmpl, func(string) { t.Error("waits for nothing") }); err != nil {
		t.Fatal(err)
	}
	told := make(chan string, 1)
	got := make(chan error, 1)
	go func() { got <- p.takeRoom(t.Context(), tmpl, func(r string) { told <- r }) }()
	if r := <-told; !strings.Contains(r, "in use (1 at most)") {
		t.Error(r)
	}
	p.giveRoom(tmpl.Seq)
	if err := <-got; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&engine.AbortError{User: "u"})
	var abort *engine.AbortError
	if err := p.takeRoom(ctx, tmpl, func(string) {}); !errors.As(err, &abort) {
		t.Error(err)
	}
	if got := p.Agents(); len(got) != 0 {
		t.Error(got)
	}
}
