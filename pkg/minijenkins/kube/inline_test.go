// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

const (
	agentTestImage = "agent:1"
	devPod         = `{kind: Pod, metadata: {labels: {slipway.dev/project: team, slipway.dev/devcontainer: app}}, spec: {serviceAccountName: runner, tolerations: [{operator: Exists}],
 initContainers: [{name: copy, image: 'agent:0', volumeMounts: [{name: slipway, mountPath: /opt/slipway}]}], volumes: [{name: slipway, emptyDir: {}}],
 containers: [{name: dev, image: 'dev:1', command: [/opt/slipway/slipway-agent, launch], workingDir: /home/jenkins/agent, env: [{name: A, value: a}],
 volumeMounts: [{name: slipway, mountPath: /opt/slipway, readOnly: true}]}]}}`
	secretPod = `{kind: Pod, spec: {volumes: [{name: s, secret: {secretName: keys}}], containers: [{name: dev, image: 'dev:1', volumeMounts: [{name: s, mountPath: /keys}]}]}}`
)

func podTemplates() []*store.Template {
	return []*store.Template{
		{Seq: 1, Cloud: "kubernetes", ID: "dc-team.app", Name: "dc-team.app", Label: "dc-team.app dc-team.app-0123", YAML: devPod, AgentContainer: "dev", InstanceCap: 2},
		{Seq: 2, Cloud: "kubernetes", ID: "keys", Name: "keys", Label: "signing", YAML: secretPod},
		{Seq: 3, Cloud: "kubernetes", ID: "theirs", Name: "theirs", Label: "theirs", YAML: strings.Replace(devPod, "project: team", "project: other", 1)},
		{Seq: 4, Cloud: "kubernetes", ID: "go", Name: "go", Label: "golang", YAML: "kind: Pod\nspec: {containers: [{name: go, image: 'golang:1', command: [cat], tty: true}]}"},
	}
}

func inlineAgents(t *testing.T) *buildAgents {
	t.Helper()
	p := newFake(t, podTemplates()...)
	p.cfg.AgentImage = agentTestImage
	return &buildAgents{p: p, build: Build{ID: "inst-1-7", Project: "team", Job: "team/app", Number: 7}}
}

func oneLayer(l engine.PodLayer) *engine.PodRequest {
	return &engine.PodRequest{Layers: []engine.PodLayer{l}}
}

const maven = "spec: {containers: [{name: maven, image: 'maven:3', command: [cat], tty: true}]}"

func manyContainers(prefix string) string {
	var list []string
	for i := range 15 {
		list = append(list, "{name: "+prefix+strconv.Itoa(i)+", image: i}")
	}
	return "spec: {containers: [" + strings.Join(list, ", ") + "]}"
}

func TestRenderPod(t *testing.T) {
	type want struct {
		// Containers are name=image, in any order.
		Containers []string
		Inits      []string
		Agent      string
		NoShell    bool
		Account    string
		Template   uint64
	}
	const own = "jnlp=" + agentTestImage
	for reason, c := range map[string]struct {
		pod  *engine.PodRequest
		want want
		err  string
	}{
		"nothing at all": {pod: oneLayer(engine.PodLayer{}), want: want{Containers: []string{own}, Inits: []string{"slipway-copy"}, Agent: "jnlp", NoShell: true}},
		"YAML":           {pod: oneLayer(engine.PodLayer{YAML: maven}), want: want{Containers: []string{own, "maven=maven:3"}, Inits: []string{"slipway-copy"}, Agent: "jnlp", NoShell: true}},
		"its own jnlp":   {pod: oneLayer(engine.PodLayer{YAML: "spec: {containers: [{name: jnlp, image: 'jenkins/inbound-agent'}]}"}), want: want{Containers: []string{"jnlp=jenkins/inbound-agent"}, Inits: []string{"slipway-copy"}, Agent: "jnlp"}},
		"jnlp with resources only": {pod: oneLayer(engine.PodLayer{YAML: "spec: {containers: [{name: jnlp, resources: {limits: {memory: 1Gi}}}]}"}),
			want: want{Containers: []string{own}, Inits: []string{"slipway-copy"}, Agent: "jnlp", NoShell: true}},
		"agentContainer":   {pod: &engine.PodRequest{AgentContainer: "maven", Layers: []engine.PodLayer{{YAML: maven}}}, want: want{Containers: []string{"maven=maven:3"}, Inits: []string{"slipway-copy"}, Agent: "maven"}},
		"inherit only":     {pod: oneLayer(engine.PodLayer{InheritFrom: "dc-team.app"}), want: want{Containers: []string{"dev=dev:1"}, Inits: []string{"copy"}, Agent: "dev", Account: "runner", Template: 1}},
		"inherit by label": {pod: oneLayer(engine.PodLayer{InheritFrom: "dc-team.app-0123"}), want: want{Containers: []string{"dev=dev:1"}, Inits: []string{"copy"}, Agent: "dev", Account: "runner", Template: 1}},
		"merge()": {pod: oneLayer(engine.PodLayer{InheritFrom: "dc-team.app", YAML: maven, Merge: true}),
			want: want{Containers: []string{"dev=dev:1", "maven=maven:3"}, Inits: []string{"copy"}, Agent: "dev", Account: "runner", Template: 1}},
		"merge() of the same container": {pod: oneLayer(engine.PodLayer{InheritFrom: "dc-team.app", YAML: "spec: {containers: [{name: dev, image: 'dev:2'}]}", Merge: true}),
			want: want{Containers: []string{"dev=dev:2"}, Inits: []string{"copy"}, Agent: "dev", Account: "runner", Template: 1}},
		"override()": {pod: oneLayer(engine.PodLayer{InheritFrom: "dc-team.app", YAML: maven}), want: want{Containers: []string{own, "maven=maven:3"}, Inits: []string{"slipway-copy"}, Agent: "jnlp", NoShell: true}},
		"a template without the agent": {pod: oneLayer(engine.PodLayer{InheritFrom: "golang"}),
			want: want{Containers: []string{"go=golang:1", own}, Inits: []string{"slipway-copy"}, Agent: "jnlp", NoShell: true, Template: 4}},
		"two templates": {pod: oneLayer(engine.PodLayer{InheritFrom: "go, dc-team.app"}),
			want: want{Containers: []string{"dev=dev:1", "go=golang:1"}, Inits: []string{"copy"}, Agent: "dev", Account: "runner", Template: 4}},
		"containerTemplate over YAML": {pod: &engine.PodRequest{Layers: []engine.PodLayer{{Containers: "spec: {containers: [{name: maven, image: 'maven:4'}]}"}, {YAML: maven}}},
			want: want{Containers: []string{own, "maven=maven:4"}, Inits: []string{"slipway-copy"}, Agent: "jnlp", NoShell: true}},
		"a template with a Secret as it is":      {pod: oneLayer(engine.PodLayer{InheritFrom: "keys"}), err: ""},
		"a template with a Secret and more":      {pod: oneLayer(engine.PodLayer{InheritFrom: "keys", YAML: maven, Merge: true}), err: "The pod template ‘keys’ can be used, but not changed or added to: in it spec.volumes[0].secret is not allowed"},
		"a template with a Secret and container": {pod: oneLayer(engine.PodLayer{InheritFrom: "signing", Containers: maven}), err: "not changed or added to"},
		"a template with a Secret and another":   {pod: oneLayer(engine.PodLayer{InheritFrom: "go signing"}), err: "not changed or added to"},
		"the init container of a template":       {pod: oneLayer(engine.PodLayer{InheritFrom: "dc-team.app", YAML: "spec: {initContainers: [{name: copy, image: mine}]}", Merge: true}), err: "‘copy’ is an init container of the pod template"},
		"the init container of a template to come": {pod: &engine.PodRequest{Layers: []engine.PodLayer{{YAML: "spec: {initContainers: [{name: copy, image: mine, args: [x]}]}"}, {InheritFrom: "dc-team.app"}}},
			err: "‘copy’ is an init container of the pod template"},
		"the volume of a template to come": {pod: &engine.PodRequest{Layers: []engine.PodLayer{
			{YAML: "spec: {containers: [{name: a, image: b, volumeMounts: [{name: s, mountPath: /x}]}]}"}, {InheritFrom: "keys"}}}, err: "not changed or added to"},
		"a template with a Secret overridden": {pod: &engine.PodRequest{Layers: []engine.PodLayer{{InheritFrom: "keys"}, {YAML: maven}}},
			want: want{Containers: []string{own, "maven=maven:3"}, Inits: []string{"slipway-copy"}, Agent: "jnlp", NoShell: true}},
		"too many containers":      {pod: &engine.PodRequest{Layers: []engine.PodLayer{{YAML: manyContainers("a")}, {YAML: manyContainers("b"), Merge: true}}}, err: "The pod has 31 containers; there may be 20"},
		"the volume of a template": {pod: oneLayer(engine.PodLayer{InheritFrom: "dc-team.app", YAML: "spec: {containers: [{name: a, image: b, volumeMounts: [{name: slipway, mountPath: /x}]}]}", Merge: true}), err: "must not begin with"},
		"the account of the template": {pod: oneLayer(engine.PodLayer{InheritFrom: "dc-team.app", YAML: "spec: {serviceAccountName: runner}", Merge: true}),
			want: want{Containers: []string{"dev=dev:1"}, Inits: []string{"copy"}, Agent: "dev", Account: "runner", Template: 1}},
		"another account":           {pod: oneLayer(engine.PodLayer{InheritFrom: "dc-team.app", YAML: "spec: {serviceAccountName: admin}", Merge: true}), err: "spec.serviceAccountName may only be runner"},
		"of a template overridden":  {pod: oneLayer(engine.PodLayer{InheritFrom: "dc-team.app", YAML: "spec: {serviceAccountName: runner}"}), err: "spec.serviceAccountName may only be"},
		"of another project":        {pod: oneLayer(engine.PodLayer{InheritFrom: "theirs"}), err: "belongs to the project ‘other’"},
		"also if it is overridden":  {pod: oneLayer(engine.PodLayer{InheritFrom: "theirs", YAML: maven}), err: "belongs to the project ‘other’"},
		"no such template":          {pod: oneLayer(engine.PodLayer{InheritFrom: "nosuch"}), err: "There is no pod template ‘nosuch’"},
		"no such default container": {pod: &engine.PodRequest{DefaultContainer: "dev", Layers: []engine.PodLayer{{YAML: maven}}}, err: "no container ‘dev’; it has jnlp, maven"},
		"no such agent container":   {pod: &engine.PodRequest{AgentContainer: "dev", Layers: []engine.PodLayer{{YAML: maven}}}, err: "no container ‘dev’"},
		"no such cloud":             {pod: &engine.PodRequest{Cloud: "mars"}, err: "There is no cloud ‘mars’"},
		"a workspace over it all":   {pod: oneLayer(engine.PodLayer{YAML: "spec: {containers: [{name: jnlp, workingDir: /opt}]}"}), err: "workingDir /opt cannot be"},
	} {
		t.Run(reason, func(t *testing.T) {
			a := inlineAgents(t)
			tmpl, r, err := a.renderPod(engine.AgentRequest{ID: "inst-1-7-0.1", Label: "team_app_7-abcde", Pod: c.pod})
			if c.err != "" || err != nil {
				var e *Error
				if c.err == "" || !errors.As(err, &e) || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v, want %q", err, c.err)
				}
				return
			}
			if len(c.want.Containers) == 0 {
				return
			}
			r.name(suffix("inst-1-7-0.1", 0))
			checkAgentPod(t, r.pod)
			got := want{Agent: r.container, NoShell: r.noShell, Account: r.pod.Spec.ServiceAccountName, Template: tmpl.Seq}
			for _, c := range r.pod.Spec.Containers {
				got.Containers = append(got.Containers, c.Name+"="+c.Image)
			}
			for _, c := range r.pod.Spec.InitContainers {
				got.Inits = append(got.Inits, c.Name)
			}
			slices.Sort(got.Containers)
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// checkAgentPod checks what holds for every pod.
func checkAgentPod(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	if pod.Namespace != "workers" || pod.Labels[LabelProject] != "team" || pod.Labels[LabelInstance] != "inst" || pod.Labels["jenkins"] != "slave" {
		t.Errorf("metadata %+v", pod.ObjectMeta)
	}
	if e := validation.IsDNS1123Label(pod.Name); len(e) > 0 {
		t.Errorf("name %s: %v", pod.Name, e)
	}
	spec := pod.Spec
	if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken || spec.RestartPolicy != corev1.RestartPolicyNever || spec.ActiveDeadlineSeconds == nil ||
		spec.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("spec %+v", spec)
	}
	steps := map[string]bool{}
	for i := range spec.Containers {
		c := &spec.Containers[i]
		m, w := mountOf(c, agentDir), mountOf(c, defaultWorkingDir)
		if m == nil || !m.ReadOnly || w == nil || w.Name != workspaceVolume {
			t.Errorf("%s mounts %+v", c.Name, c.VolumeMounts)
		}
		env := map[string]string{}
		for _, e := range c.Env {
			env[e.Name] = e.Value
		}
		if steps[env["SLIPWAY_STEPS_DIR"]] || env["SLIPWAY_STEPS_DIR"] == "" || env["JENKINS_AGENT_NAME"] != pod.Name {
			t.Errorf("%s has %v", c.Name, env)
		}
		steps[env["SLIPWAY_STEPS_DIR"]] = true
	}
}

// TestRightsStay: steps do not get into the containers of a template that has rights of its own.
func TestRightsStay(t *testing.T) {
	_, r, err := inlineAgents(t).renderPod(engine.AgentRequest{Label: "l", Pod: oneLayer(engine.PodLayer{InheritFrom: "keys"})})
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.pod.Spec.Containers {
		c := &r.pod.Spec.Containers[i]
		if has := mountOf(c, agentDir) != nil; has != (c.Name == jnlpContainer) {
			t.Errorf("%s mounts %+v", c.Name, c.VolumeMounts)
		}
		if c.Name == jnlpContainer && mountOf(c, "/keys") != nil {
			t.Error("the agent's own container has the Secret")
		}
	}
}

func TestPodsSwitchedOff(t *testing.T) {
	a := inlineAgents(t)
	if err := engine.CheckPod(a, nil); err != nil {
		t.Error(err)
	}
	a.p.cfg.NoJenkinsfilePods = true
	for _, pod := range []*engine.PodRequest{nil, oneLayer(engine.PodLayer{})} {
		if err := engine.CheckPod(a, pod); err == nil || !strings.Contains(err.Error(), "switched off") {
			t.Error(err)
		}
	}
	if _, err := a.Acquire(t.Context(), engine.AgentRequest{Label: "x", Pod: oneLayer(engine.PodLayer{YAML: maven})}, nil); err == nil || !strings.Contains(err.Error(), "switched off") {
		t.Error(err)
	}
	a.p.cfg.NoJenkinsfilePods, a.p.cfg.AgentImage = false, ""
	if err := engine.CheckPod(a, nil); err == nil || !strings.Contains(err.Error(), "need an agent image") {
		t.Error(err)
	}
}

func TestProjectLabel(t *testing.T) {
	seen := map[string]string{}
	for _, p := range []string{"team", strings.Repeat("a", 70), strings.Repeat("a", 71), "größe", "gr-e", "...", "---", "a b", "a-b"} {
		l := projectLabel(p)
		if e := validation.IsValidLabelValue(l); len(e) > 0 || seen[l] != "" || l == "" {
			t.Errorf("%q gives %q as %q does: %v", p, l, seen[l], e)
		}
		seen[l] = p
	}
}

// TestAcquirePod: the pod is made once for a request, waits for all its containers, and is found again after a restart.
func TestAcquirePod(t *testing.T) {
	w := newPodWorld(t)
	p, stop := w.provider()
	p.cfg.AgentImage = agentTestImage
	req := engine.AgentRequest{ID: request, Label: "team_app_7-abcde", Pod: oneLayer(engine.PodLayer{YAML: maven})}
	build := Build{ID: "inst-1-7", Project: "team", Job: "team/app", Number: 7}
	ctx, suspend := context.WithCancelCause(t.Context())
	first := make(chan error, 1)
	go func() { _, err := p.ForBuild(build).Acquire(ctx, req, nil); first <- err }()
	eventually(t, "the pod is made", func() bool { return len(w.pods()) == 1 })
	suspend(engine.ErrSuspended)
	if err := <-first; !errors.Is(err, engine.ErrSuspended) {
		t.Fatal(err)
	}
	stop()

	p, stop = w.provider()
	name := w.pods()[0]
	second := make(chan acquired, 1)
	go func() { a, err := p.ForBuild(build).Acquire(t.Context(), req, nil); second <- acquired{a, err} }()
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	status := func(states ...corev1.ContainerStatus) {
		pod, err := w.client.CoreV1().Pods("workers").Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: states}
		if _, err := w.client.CoreV1().Pods("workers").UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	waiting := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "no"}}
	status(corev1.ContainerStatus{Name: "jnlp", State: running}, corev1.ContainerStatus{Name: "maven", State: waiting})
	eventually(t, "it waits for the other container", func() bool {
		return slices.ContainsFunc(p.Agents(), func(a AgentInfo) bool { return strings.Contains(a.Reason, "ErrImagePull") })
	})
	status(corev1.ContainerStatus{Name: "jnlp", State: running}, corev1.ContainerStatus{Name: "maven", State: running})
	a := <-second
	if a.err != nil || a.agent.Name() != name {
		t.Fatal(a)
	}
	stop()

	p, _ = w.provider()
	var ran []string
	p.exec = func(_ context.Context, req execRequest) error {
		ran = append(ran, req.container)
		_, _ = io.WriteString(req.stderr, `{"exitCode":0}`+"\n")
		return nil
	}
	agent, err := p.ForBuild(build).(engine.AgentResumer).Resume(t.Context(), req, name, a.agent.Workspace())
	if err != nil {
		t.Fatal(err)
	}
	var own *engine.StepError
	if _, err := agent.Shell(t.Context(), engine.ShellRequest{ID: "s", Dir: "/w"}, io.Discard, nil); !errors.As(err, &own) || !strings.Contains(err.Error(), "has no shell") {
		t.Error(err)
	}
	inner, err := agent.(engine.Containers).InContainer(t.Context(), "maven")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inner.Shell(t.Context(), engine.ShellRequest{ID: "s", Dir: "/w"}, io.Discard, nil); err != nil || !slices.Equal(ran, []string{"maven", "maven"}) {
		t.Error(err, ran)
	}
	if _, err := agent.(engine.Containers).InContainer(t.Context(), "nosuch"); !errors.As(err, &own) || !strings.Contains(err.Error(), "it has ") {
		t.Error(err)
	}
	if err := inner.Release(t.Context()); err != nil || len(w.pods()) != 1 {
		t.Error("a container released the pod", err)
	}
	// The death of the pod ends steps in every container.
	if err := p.deletePod(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the agent is gone", func() bool {
		err := inner.WriteFile(t.Context(), "/x", nil)
		return err != nil && strings.Contains(err.Error(), "was deleted")
	})
	if err := agent.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestContainerOfTemplate: the containers beside the agent's in a template have slipway-agent, or steps cannot run in them.
func TestContainerOfTemplate(t *testing.T) {
	p := newFake(t)
	agent := fakeAgent(t, p)
	pod, err := parsePod(`{kind: Pod, spec: {containers: [{name: dev, volumeMounts: [{name: slipway, mountPath: /opt/slipway}]}, {name: side}]}}`)
	if err != nil {
		t.Fatal(err)
	}
	pod.Name, pod.Namespace = "p", "workers"
	if err := p.factory.Core().V1().Pods().Informer().GetIndexer().Update(pod); err != nil {
		t.Fatal(err)
	}
	if _, err := agent.InContainer(t.Context(), "dev"); err != nil {
		t.Error(err)
	}
	var own *engine.StepError
	if _, err := agent.InContainer(t.Context(), "side"); !errors.As(err, &own) || !strings.Contains(err.Error(), "has no slipway-agent") {
		t.Error(err)
	}
}

// TestContainerThatEnds: a container of a Jenkinsfile that ends at once is told what it lacks.
func TestContainerThatEnds(t *testing.T) {
	ended := failf("The agent pod p failed to start: container maven ended with exit code 0")
	if err := (&podAgent{all: true}).withHint(ended); !strings.HasSuffix(err.Error(), "args: [infinity]") {
		t.Error(err)
	}
	if err := (&podAgent{}).withHint(ended); err.Error() != ended.Error() {
		t.Error(err)
	}
}
