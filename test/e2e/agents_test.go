// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/controller/agentpod"
	"github.com/slipway-dev/slipway/pkg/controller/agenttemplate"
	"github.com/slipway-dev/slipway/pkg/demo"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/scheme"
)

const (
	// startTimeoutOfRuns and leakedAfter are what the suite's Slipway is started with.
	startTimeoutOfRuns = 10 * time.Second
	leakedAfter        = 10 * time.Second
	// toldWithin is how soon a run must say what keeps its agent from working.
	toldWithin = 5 * time.Second
	agentPoll  = 100 * time.Millisecond
	absent     = "registry.slipway.internal/no-such-image:1"
)

// agentBench is a project with a dev container that ran once.
type agentBench struct {
	session *demo.Session
	kube    client.Client
	jenkins *jenkins.Client
	project string
	imageID string

	mu   sync.Mutex
	rows []string
}

// agentCase is one thing that goes wrong with an agent.
type agentCase struct {
	name, reason string
	// app changes the dev container, pod the pod of its template as Jenkins has it; text replaces that pod.
	app  func(app *devcontainerv1.DevcontainerApp)
	pod  func(pod *corev1.Pod)
	text string
	// script is that of the run's only step.
	script string
	// act is done once the run has its agent; what follows from it is measured from then on.
	act func(ctx context.Context, t *testing.T, run *devopsv1alpha3.PipelineRun)
	// cause tells that the pod shows what is wrong. Nil: it is wrong from the run's start, or from act.
	cause func(pod *corev1.Pod) bool
	// waits: the run waits for its agent until Slipway gives it up.
	waits bool
	// says is a part of the message.
	says string
}

// TestAgents breaks agents in each way that minijenkins can meet, on real nodes. The run says why and what
// to do, soon, and ends; no pod is left.
func TestAgents(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	b := newAgentBench(ctx, t)
	t.Run("each", func(t *testing.T) {
		for _, c := range b.cases() {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				b.play(ctx, t, &c)
			})
		}
		t.Run("stopped while its pod is pending", func(t *testing.T) {
			t.Parallel()
			b.stopPending(ctx, t)
		})
		t.Run("template that is not valid", func(t *testing.T) {
			t.Parallel()
			b.badTemplate(ctx, t)
		})
		t.Run("leaked pod", func(t *testing.T) {
			t.Parallel()
			b.leakedPod(ctx, t)
		})
	})
	// These concern all agents.
	t.Run("quota", func(t *testing.T) { b.quota(ctx, t) })
	t.Run("pod security", func(t *testing.T) { b.podSecurity(ctx, t) })
	checkNoAgentPods(ctx, t, b.project)
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "case\treason\tcause after\ttold after cause\tended after\tphase")
	slices.Sort(b.rows)
	_, _ = fmt.Fprintln(w, strings.Join(b.rows, "\n"))
	_ = w.Flush()
	t.Log("\n" + table.String())
}

func (b *agentBench) cases() []agentCase {
	waiting := func(reasons ...string) func(*corev1.Pod) bool {
		return func(pod *corev1.Pod) bool {
			for _, s := range pod.Status.ContainerStatuses {
				if s.State.Waiting != nil && slices.Contains(reasons, s.State.Waiting.Reason) {
					return true
				}
			}
			return false
		}
	}
	return []agentCase{
		{name: "image that does not exist", reason: agentpod.ReasonImagePullFailed, says: absent, waits: true,
			pod:   func(p *corev1.Pod) { p.Spec.Containers[0].Image = absent },
			cause: waiting("ErrImagePull", "ImagePullBackOff")},
		{name: "image that may not be pulled", reason: agentpod.ReasonImageNotPresent, says: "Never",
			pod: func(p *corev1.Pod) {
				p.Spec.Containers[0].Image, p.Spec.Containers[0].ImagePullPolicy = absent, corev1.PullNever
			},
			cause: waiting("ErrImageNeverPull")},
		{name: "node without room", reason: agentpod.ReasonUnschedulable, says: "Insufficient cpu", waits: true,
			app: func(a *devcontainerv1.DevcontainerApp) {
				a.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("900")}
			},
			cause: func(pod *corev1.Pod) bool {
				return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
					return c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonUnschedulable
				})
			}},
		{name: "pod that the cluster refuses", reason: agentpod.ReasonInvalidPod, says: "Sometimes",
			pod: func(p *corev1.Pod) { p.Spec.RestartPolicy = "Sometimes" }},
		{name: "yaml that cannot be read", reason: agentpod.ReasonInvalidPod, says: "YAML", text: "a: [b"},
		{name: "pod deleted during sh", reason: devopsv1alpha3.ReasonAgentLost, says: "deleted", script: "sleep 60",
			act: func(ctx context.Context, t *testing.T, run *devopsv1alpha3.PipelineRun) {
				t.Helper()
				pod := &corev1.Pod{}
				pod.Name, pod.Namespace = run.Annotations[devopsv1alpha3.AgentPodNameAnnotation], suite.state.WorkerNamespace
				if err := b.kube.Delete(ctx, pod); err != nil {
					t.Error(err)
				}
			}},
		{name: "step over the memory limit", reason: agentpod.ReasonOutOfMemory, says: "64Mi", script: "tail /dev/zero",
			app: func(a *devcontainerv1.DevcontainerApp) {
				a.Spec.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")}
			},
			act: func(context.Context, *testing.T, *devopsv1alpha3.PipelineRun) {}},
	}
}

func newAgentBench(ctx context.Context, t *testing.T) *agentBench {
	t.Helper()
	b := &agentBench{}
	var err error
	if b.session, err = suite.login(ctx, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", suite.state.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1 // what is measured must not wait for its turn
	if b.kube, err = client.New(config, client.Options{Scheme: scheme.New()}); err != nil {
		t.Fatal(err)
	}
	token, err := suite.state.Jenkins.Secret()
	if err != nil {
		t.Fatal(err)
	}
	b.jenkins, err = jenkins.New(jenkins.Config{URL: suite.state.Jenkins.URL, Username: suite.state.Jenkins.Username, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	var container *demo.DevContainer
	b.project, container = project(t, b.session, 4343)
	b.imageID = container.ImageID
	return b
}

// makeApp makes a dev container that is stopped and ran the suite's image before.
func (b *agentBench) makeApp(ctx context.Context, t *testing.T, name string, change func(*devcontainerv1.DevcontainerApp)) *devcontainerv1.DevcontainerApp {
	t.Helper()
	app := &devcontainerv1.DevcontainerApp{}
	app.Name, app.Namespace = name, b.project
	app.Spec = devcontainerv1.DevcontainerAppSpec{RunState: devcontainerv1.Stopped,
		StatefulSet: devcontainerv1.StatefulSetSpec{Image: suite.state.DevImage}}
	if change != nil {
		change(app)
	}
	if err := b.kube.Create(ctx, app); err != nil {
		t.Fatal(err)
	}
	before := app.DeepCopy()
	app.Status.ImageID = b.imageID
	if err := b.kube.Status().Patch(ctx, app, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	return app
}

// templateCondition waits until the dev container says how its template is, for this generation, and gives it.
func (b *agentBench) templateCondition(ctx context.Context, t *testing.T, app *devcontainerv1.DevcontainerApp, reason string) *metav1.Condition {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(agentPoll) {
		if err := b.kube.Get(ctx, client.ObjectKeyFromObject(app), app); err != nil {
			t.Fatal(err)
		}
		c := meta.FindStatusCondition(app.Status.Conditions, devcontainerv1.ConditionAgentTemplateSynced)
		if c != nil && c.Reason == reason {
			return c
		}
		if time.Now().After(deadline) {
			t.Fatalf("the agent template of %s is %+v, want the reason %s", app.Name, c, reason)
		}
	}
}

// changeTemplate replaces the pod in Jenkins; the labels stay, so that Slipway does not notice.
func (b *agentBench) changeTemplate(ctx context.Context, t *testing.T, app *devcontainerv1.DevcontainerApp, c *agentCase) {
	t.Helper()
	template, err := agenttemplate.Build(app, agenttemplate.Options{AgentImage: "registry.slipway.internal/slipway-agent:dev"})
	if err != nil {
		t.Fatal(err)
	}
	pod, text := &corev1.Pod{}, c.text
	if err := yaml.Unmarshal([]byte(template.YAML), pod); err != nil {
		t.Fatal(err)
	}
	if c.pod != nil {
		c.pod(pod)
		encoded, err := yaml.Marshal(pod)
		if err != nil {
			t.Fatal(err)
		}
		text = string(encoded)
	}
	if err := b.jenkins.EnsureTemplate(ctx, jenkins.DefaultCloud, jenkins.Template{ID: template.ID, Labels: template.Labels,
		YAML: text, AgentContainer: template.AgentContainer}); err != nil {
		t.Fatal(err)
	}
}

// begin starts a run of a pipeline whose agent is the dev container.
func (b *agentBench) begin(ctx context.Context, t *testing.T, app *devcontainerv1.DevcontainerApp, script string) *devopsv1alpha3.PipelineRun {
	t.Helper()
	jenkinsfile := fmt.Sprintf("pipeline {\n  agent { label '%s' }\n  stages { stage('one') { steps { sh '%s' } } }\n}\n", agenttemplate.Alias(app), script)
	if err := b.session.CreatePipeline(ctx, b.project, app.Name, jenkinsfile); err != nil {
		t.Fatal(err)
	}
	run, err := b.session.StartRun(ctx, b.project, app.Name)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// play breaks the agent of one run and measures how long it takes until the run says so, and ends.
func (b *agentBench) play(ctx context.Context, t *testing.T, c *agentCase) {
	t.Helper()
	app := b.makeApp(ctx, t, strings.ReplaceAll(c.name, " ", "-"), c.app)
	b.templateCondition(ctx, t, app, devcontainerv1.ReasonSynced)
	if c.pod != nil || c.text != "" {
		b.changeTemplate(ctx, t, app, c)
	}
	script := c.script
	if script == "" {
		script = "true"
	}
	run := b.begin(ctx, t, app, script)
	began := time.Now()
	if c.act != nil {
		b.until(ctx, t, run, "the run to have its agent", func() bool { return run.Annotations[devopsv1alpha3.AgentPodNameAnnotation] != "" })
		began = time.Now()
		c.act(ctx, t, run)
	}
	b.measure(ctx, t, c, run, began)
}

// measure follows the run to its end.
func (b *agentBench) measure(ctx context.Context, t *testing.T, c *agentCase, run *devopsv1alpha3.PipelineRun, began time.Time) {
	t.Helper()
	var caused, told time.Time
	if c.cause == nil {
		caused = began
	}
	b.until(ctx, t, run, "the run to end", func() bool {
		if caused.IsZero() && slices.ContainsFunc(b.pods(ctx, t, run.Spec.PipelineRef.Name), func(p corev1.Pod) bool { return c.cause(&p) }) {
			caused = time.Now()
		}
		if ready := runCondition(run, devopsv1alpha3.ConditionAgentReady); told.IsZero() && ready != nil && ready.Reason == c.reason {
			told = time.Now()
			checkMessage(t, c, ready)
		}
		return run.Status.CompletionTime != nil
	})
	ended := time.Now()
	end := runCondition(run, devopsv1alpha3.ConditionSucceeded)
	if told.IsZero() {
		t.Errorf("the condition AgentReady is %+v, want the reason %s", runCondition(run, devopsv1alpha3.ConditionAgentReady), c.reason)
	}
	if end == nil || end.Reason != c.reason || run.Status.Phase != devopsv1alpha3.Failed {
		var log strings.Builder
		err := b.session.StreamLog(ctx, run, &log)
		t.Errorf("the run ended as %s: %+v, want Failed with the reason %s; its log (%v):\n%s", run.Status.Phase, end, c.reason, err, log.String())
	}
	if caused.IsZero() {
		// The pod was gone before this test saw it.
		caused = told
	}
	if late := told.Sub(caused); late > toldWithin {
		t.Errorf("the run told the cause after %s", late)
	}
	// The time of a condition has whole seconds.
	if took := ended.Sub(told); c.waits && (took < startTimeoutOfRuns-2*time.Second || took > startTimeoutOfRuns+toldWithin) {
		t.Errorf("the run was given up after %s, want about %s", took, startTimeoutOfRuns)
	}
	b.row(c.name, c.reason, caused.Sub(began), told.Sub(caused), ended.Sub(began), run)
}

func checkMessage(t *testing.T, c *agentCase, ready *devopsv1alpha3.Condition) {
	t.Helper()
	if ready.Status != metav1.ConditionFalse || !strings.Contains(ready.Message, c.says) || !strings.Contains(ready.Message, "What to do: ") {
		t.Errorf("AgentReady is %s: %q, want False with %q and what to do", ready.Status, ready.Message, c.says)
	}
	t.Log(ready.Message)
}

func (b *agentBench) row(name, reason string, caused, told, ended time.Duration, run *devopsv1alpha3.PipelineRun) {
	b.mu.Lock()
	defer b.mu.Unlock()
	phase := ""
	if run != nil {
		phase = string(run.Status.Phase)
	}
	b.rows = append(b.rows, fmt.Sprintf("%s\t%s\t%.2f s\t%.2f s\t%.1f s\t%s", name, reason, caused.Seconds(), max(told, 0).Seconds(), ended.Seconds(), phase))
}

// until reads the run again and again.
func (b *agentBench) until(ctx context.Context, t *testing.T, run *devopsv1alpha3.PipelineRun, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(45 * time.Second); ; time.Sleep(agentPoll) {
		if err := b.kube.Get(ctx, client.ObjectKeyFromObject(run), run); err != nil {
			t.Fatal(err)
		}
		if done() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s: %s, %+v", what, run.Status.Phase, run.Status.Conditions)
		}
	}
}

// pods gives the agent pods of a dev container.
func (b *agentBench) pods(ctx context.Context, t *testing.T, name string) []corev1.Pod {
	t.Helper()
	list := &corev1.PodList{}
	if err := b.kube.List(ctx, list, client.InNamespace(suite.state.WorkerNamespace),
		client.MatchingLabels{agenttemplate.ProjectLabel: b.project, agenttemplate.DevcontainerLabel: name}); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// stopPending stops a run whose pod cannot start: the pod goes with it.
func (b *agentBench) stopPending(ctx context.Context, t *testing.T) {
	t.Helper()
	c := &agentCase{name: "stopped while its pod is pending", pod: func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"no": "such-node"} }}
	app := b.makeApp(ctx, t, "stopped-pending", nil)
	b.templateCondition(ctx, t, app, devcontainerv1.ReasonSynced)
	b.changeTemplate(ctx, t, app, c)
	run := b.begin(ctx, t, app, "true")
	b.until(ctx, t, run, "the run to say that no node fits", func() bool {
		ready := runCondition(run, devopsv1alpha3.ConditionAgentReady)
		return ready != nil && ready.Reason == agentpod.ReasonUnschedulable
	})
	if len(b.pods(ctx, t, app.Name)) == 0 {
		t.Fatal("there is no pending pod")
	}
	stop, before := devopsv1alpha3.Stop, run.DeepCopy()
	run.Spec.Action = &stop
	began := time.Now()
	if err := b.kube.Patch(ctx, run, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	b.until(ctx, t, run, "the run to end", func() bool { return run.Status.CompletionTime != nil })
	ended := time.Now()
	b.until(ctx, t, run, "the pending pod to go", func() bool { return len(b.pods(ctx, t, app.Name)) == 0 })
	if run.Status.Phase != devopsv1alpha3.Cancelled {
		t.Errorf("the run is %s, want Cancelled", run.Status.Phase)
	}
	if late := time.Since(began); late > 2*toldWithin {
		t.Errorf("the pending pod went %s after the stop", late)
	}
	b.row(c.name, runCondition(run, devopsv1alpha3.ConditionSucceeded).Reason, 0, ended.Sub(began), time.Since(began), run)
}

// badTemplate makes a dev container of which no pod can be made: it says so, and its runs do.
func (b *agentBench) badTemplate(ctx context.Context, t *testing.T) {
	t.Helper()
	c := &agentCase{name: "template that is not valid", reason: agentpod.ReasonInvalidPod, says: "must be less than or equal to memory limit"}
	app := b.makeApp(ctx, t, "bad-template", func(a *devcontainerv1.DevcontainerApp) {
		a.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2Gi")}
		a.Spec.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}
	})
	b.checkApp(ctx, t, c, app, time.Now())
	run := b.begin(ctx, t, app, "true")
	b.measure(ctx, t, c, run, time.Now())
}

// checkApp waits until a dev container says why its template is refused.
func (b *agentBench) checkApp(ctx context.Context, t *testing.T, c *agentCase, app *devcontainerv1.DevcontainerApp, began time.Time) {
	t.Helper()
	condition := b.templateCondition(ctx, t, app, c.reason)
	late := time.Since(began)
	if late > toldWithin || !strings.Contains(condition.Message, c.says) || !strings.Contains(condition.Message, "What to do: ") {
		t.Errorf("the dev container says after %s: %q, want %q and what to do", late, condition.Message, c.says)
	}
	b.row(c.name+" (dev container)", c.reason, 0, late, late, nil)
}

// leakedPod makes an agent pod that no build has.
func (b *agentBench) leakedPod(ctx context.Context, t *testing.T) {
	t.Helper()
	app := b.makeApp(ctx, t, "leaked", nil)
	template, err := agenttemplate.Build(app, agenttemplate.Options{AgentImage: "registry.slipway.internal/slipway-agent:dev"})
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{}
	if err := yaml.Unmarshal([]byte(template.YAML), pod); err != nil {
		t.Fatal(err)
	}
	pod.Name, pod.Namespace, pod.Labels["jenkins"] = fmt.Sprintf("leaked-%d", os.Getpid()), suite.state.WorkerNamespace, "slave"
	pod.Spec.Containers[0].Command = []string{"sleep", "300"}
	began := time.Now()
	if err := b.kube.Create(ctx, pod); err != nil {
		t.Fatal(err)
	}
	for err = nil; !apierrors.IsNotFound(err); err = b.kube.Get(ctx, client.ObjectKeyFromObject(pod), pod) {
		if took := time.Since(began); took > 4*leakedAfter {
			t.Fatalf("the leaked pod is there after %s", took)
		}
		time.Sleep(agentPoll)
	}
	b.row("leaked pod", "collected", 0, 0, time.Since(began), nil)
}

// quota allows no pod in the worker namespace.
func (b *agentBench) quota(ctx context.Context, t *testing.T) {
	t.Helper()
	c := &agentCase{name: "quota exceeded", reason: agentpod.ReasonQuotaExceeded, says: "exceeded quota: e2e"}
	app := b.makeApp(ctx, t, "quota", nil)
	b.templateCondition(ctx, t, app, devcontainerv1.ReasonSynced)
	quota := &corev1.ResourceQuota{}
	quota.Name, quota.Namespace = "e2e", suite.state.WorkerNamespace
	quota.Spec.Hard = corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}
	if err := b.kube.Create(ctx, quota); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.kube.Delete(context.WithoutCancel(ctx), quota); err != nil {
			t.Error(err)
		}
	})
	run := b.begin(ctx, t, app, "true")
	b.measure(ctx, t, c, run, time.Now())
}

// podSecurity makes the worker namespace restricted under agents that are not.
func (b *agentBench) podSecurity(ctx context.Context, t *testing.T) {
	t.Helper()
	c := &agentCase{name: "pod security", reason: agentpod.ReasonPodSecurity, says: `violates PodSecurity "restricted:latest"`}
	app := b.makeApp(ctx, t, "restricted", nil)
	b.templateCondition(ctx, t, app, devcontainerv1.ReasonSynced)
	level := func(ctx context.Context, value string) {
		patch := fmt.Appendf(nil, `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":%s}}}`, value)
		namespace := &corev1.Namespace{}
		namespace.Name = suite.state.WorkerNamespace
		if err := b.kube.Patch(ctx, namespace, client.RawPatch("application/merge-patch+json", patch)); err != nil {
			t.Error(err)
		}
	}
	level(ctx, `"restricted"`)
	t.Cleanup(func() { level(context.WithoutCancel(ctx), "null") })
	run := b.begin(ctx, t, app, "true")
	b.measure(ctx, t, c, run, time.Now())
	before := app.DeepCopy()
	app.Spec.StatefulSet.Env = []devcontainerv1.EnvVar{{Name: "NEW", Value: "template"}}
	began := time.Now()
	if err := b.kube.Patch(ctx, app, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	b.checkApp(ctx, t, c, app, began)
}

func runCondition(run *devopsv1alpha3.PipelineRun, kind devopsv1alpha3.ConditionType) *devopsv1alpha3.Condition {
	for i := range run.Status.Conditions {
		if run.Status.Conditions[i].Type == kind {
			return &run.Status.Conditions[i]
		}
	}
	return nil
}
