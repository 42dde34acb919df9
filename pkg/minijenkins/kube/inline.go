// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

const (
	// jnlpContainer is the agent's own container, by the name that the Kubernetes plugin gives it.
	jnlpContainer = "jnlp"
	agentDir      = "/opt/slipway"
	agentVolume   = ourPrefix + "-agent"
	copyContainer = ourPrefix + "-copy"
	agentInImage  = "/slipway-agent"
	// agentUser is the user of containers of the agent's image, as that of Jenkins' own agents.
	agentUser int64 = 1000
	// allContainers stands for all of a pod.
	allContainers = ""
)

// noShell is why sh cannot run.
const noShell = "the agent's own container has no shell: use container('…') or defaultContainer"

// CheckPod implements engine.PodProvider.
func (a *buildAgents) CheckPod(pod *engine.PodRequest) error {
	if a.p.cfg.NoJenkinsfilePods {
		return failf("pods in Jenkinsfiles are switched off on this server; use an agent with a label. %s", a.known())
	}
	if a.p.cfg.AgentImage == "" {
		return failf("pods in Jenkinsfiles need an agent image, which this server does not have; use an agent with a label. %s", a.known())
	}
	if pod == nil {
		return nil
	}
	_, _, err := a.renderPod(engine.AgentRequest{Label: "check", Pod: pod})
	return err
}

// InContainer implements engine.Containers.
func (a *podAgent) InContainer(_ context.Context, name string) (engine.Agent, error) {
	pod, err := a.p.pods.Get(a.name)
	if err != nil {
		return nil, failf("Agent %s was deleted", a.name)
	}
	i := containerIndex(pod, name)
	if i < 0 {
		var names []string
		for i := range pod.Spec.Containers {
			names = append(names, pod.Spec.Containers[i].Name)
		}
		return nil, &engine.StepError{Message: fmt.Sprintf("container [%s] does not exist in pod [%s]; it has %s", name, a.name, strings.Join(names, ", "))}
	}
	if mountOf(&pod.Spec.Containers[i], path.Dir(a.p.cfg.AgentPath)) == nil {
		return nil, &engine.StepError{Message: fmt.Sprintf("container [%s] of pod [%s] has no slipway-agent: steps cannot run in it; "+
			"use agent { kubernetes { inheritFrom '…' } } instead of a label", name, a.name)}
	}
	return &podAgent{p: a.p, name: a.name, container: name, workspace: a.workspace, noShell: a.noShell && name == a.container, outer: a}, nil
}

// withHint says what to do about a container of a Jenkinsfile that does not stay.
func (a *podAgent) withHint(err error) error {
	var e *Error
	if a.all && errors.As(err, &e) && strings.Contains(e.Message, "ended with exit code 0") {
		return failf("%s. A container needs a command that stays, such as command: [sleep], args: [infinity]", e.Message)
	}
	return err
}

// template finds what an agent is made of.
func (a *buildAgents) template(req engine.AgentRequest) (*store.Template, *rendered, error) {
	if req.Pod != nil {
		return a.renderPod(req)
	}
	t, err := a.resolve(req.Label)
	return t, nil, err
}

// plan is a pod while it is put together.
type plan struct {
	pod *corev1.Pod
	// from is the first template that it inherits from, nil without.
	from *store.Template
	// agent is the agent container of the last template, if it has slipway-agent.
	agent string
	// rights are what templates have that Jenkinsfiles must not add to.
	rights error
	// inits are the init containers of templates; added says that there is something of the Jenkinsfile.
	inits []string
	added bool
}

// renderPod makes the pod that a Jenkinsfile describes; its name is missing.
func (a *buildAgents) renderPod(req engine.AgentRequest) (*store.Template, *rendered, error) {
	if err := a.CheckPod(nil); err != nil {
		return nil, nil, err
	}
	if cloud := req.Pod.Cloud; cloud != "" && !a.p.hasCloud(cloud) {
		return nil, nil, failf("There is no cloud ‘%s’", cloud)
	}
	b := &plan{pod: &corev1.Pod{}}
	var containers []*corev1.Pod
	for _, layer := range req.Pod.Layers {
		var err error
		if containers, err = a.lay(b, layer, containers); err != nil {
			return nil, nil, err
		}
	}
	for _, c := range containers {
		if err := b.add(c); err != nil {
			return nil, nil, err
		}
	}
	r, err := a.finish(b, req)
	if err != nil {
		return nil, nil, err
	}
	t := &store.Template{ID: req.Label, Name: req.Label, Label: req.Label}
	if b.from != nil {
		t.Seq, t.InstanceCap = b.from.Seq, b.from.InstanceCap
	}
	return t, r, nil
}

// lay lays one layer over the plan. Its own containers come after all YAML: they are returned with those of former layers.
func (a *buildAgents) lay(b *plan, layer engine.PodLayer, containers []*corev1.Pod) ([]*corev1.Pod, error) {
	own := strings.TrimSpace(layer.YAML) != ""
	if own && !layer.Merge {
		*b = plan{pod: &corev1.Pod{}}
	}
	for _, name := range strings.FieldsFunc(layer.InheritFrom, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' || r == '\t' }) {
		t, err := a.inherited(name)
		if err != nil {
			return nil, err
		}
		if own && !layer.Merge {
			continue // the plugin's rule: the YAML takes its place
		}
		if err := b.inherit(t); err != nil {
			return nil, err
		}
	}
	account := b.pod.Spec.ServiceAccountName
	if own {
		pod, err := readPod("the pod YAML", layer.YAML, account)
		if err != nil {
			return nil, err
		}
		if err := b.add(pod); err != nil {
			return nil, err
		}
	}
	if layer.Containers != "" {
		pod, err := readPod("containers", layer.Containers, account)
		if err != nil {
			return nil, err
		}
		containers = append(containers, pod)
	}
	return containers, nil
}

// readPod reads what a Jenkinsfile says of a pod and takes what is allowed.
func readPod(what, doc, account string) (*corev1.Pod, error) {
	pod, err := strictPod(doc)
	if err == nil {
		pod, err = take(pod, ofJenkinsfile(account))
	}
	if err != nil {
		return nil, failf("%s: %v", what, err)
	}
	return pod, nil
}

// inherited finds a template by its name or label.
func (a *buildAgents) inherited(name string) (*store.Template, error) {
	var refused error
	for _, byLabel := range []bool{false, true} {
		for _, t := range a.p.cfg.Templates() {
			if byLabel && !slices.Contains(strings.Fields(t.Label), name) || !byLabel && t.ID != name && t.Name != name {
				continue
			}
			if refused = a.allowed(t); refused == nil {
				return t, nil
			}
		}
	}
	if refused != nil {
		return nil, refused
	}
	return nil, failf("There is no pod template ‘%s’ to inherit from. %s", name, a.known())
}

// inherit lays a template over the plan.
func (b *plan) inherit(t *store.Template) error {
	pod, err := parsePod(t.YAML)
	if err != nil {
		return failf("The pod template ‘%s’ cannot be used: %v", t.ID, err)
	}
	if _, err := take(pod, ofTemplate()); err != nil && b.rights == nil {
		b.rights = failf("The pod template ‘%s’ can be used, but not changed or added to: in it %v", t.ID, err)
	}
	name := t.AgentContainer
	if name == "" {
		name = pod.Spec.Containers[0].Name
	}
	if i := containerIndex(pod, name); i >= 0 && mountOf(&pod.Spec.Containers[i], agentDir) != nil {
		b.agent = name
	}
	if b.rights != nil && (b.from != nil || b.added) {
		return b.rights
	}
	if b.from == nil {
		b.from = t
	}
	for i := range pod.Spec.InitContainers {
		name := pod.Spec.InitContainers[i].Name
		if b.added && slices.ContainsFunc(b.pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == name }) {
			return changesInit(name)
		}
		b.inits = append(b.inits, name)
	}
	return b.merge(pod)
}

// add lays what a Jenkinsfile says over the plan.
func (b *plan) add(pod *corev1.Pod) error {
	if b.rights != nil {
		return b.rights
	}
	for i := range pod.Spec.InitContainers {
		if name := pod.Spec.InitContainers[i].Name; slices.Contains(b.inits, name) {
			return changesInit(name)
		}
	}
	b.added = true
	return b.merge(pod)
}

func changesInit(name string) error {
	return failf("spec.initContainers: ‘%s’ is an init container of the pod template, which a Jenkinsfile cannot change", name)
}

// merge lays a pod over that of the plan: lists by the names of their entries, as kubectl patch does.
func (b *plan) merge(over *corev1.Pod) error {
	below, err := json.Marshal(b.pod)
	if err != nil {
		return fmt.Errorf("encode pod: %w", err)
	}
	tree, err := treeOf(over)
	if err != nil {
		return err
	}
	above, err := json.Marshal(tree)
	if err != nil {
		return fmt.Errorf("encode pod: %w", err)
	}
	merged, err := strategicpatch.StrategicMergePatch(below, above, corev1.Pod{})
	if err != nil {
		return failf("the pod YAML cannot be merged: %v", err)
	}
	pod := &corev1.Pod{}
	if err := json.Unmarshal(merged, pod); err != nil {
		return fmt.Errorf("decode pod: %w", err)
	}
	b.pod = pod
	return nil
}

func containerIndex(pod *corev1.Pod, name string) int {
	return slices.IndexFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == name })
}

func mountOf(c *corev1.Container, dir string) *corev1.VolumeMount {
	i := slices.IndexFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return path.Clean(m.MountPath) == dir })
	if i < 0 {
		return nil
	}
	return &c.VolumeMounts[i]
}

// finish adds what makes the pod an agent: slipway-agent in each container, the workspace, and a container that keeps it alive.
func (a *buildAgents) finish(b *plan, req engine.AgentRequest) (*rendered, error) {
	pod := b.pod
	name := jnlpContainer
	switch {
	case req.Pod.AgentContainer != "":
		if name = req.Pod.AgentContainer; containerIndex(pod, name) < 0 {
			return nil, noContainer(pod, name)
		}
	case b.agent != "" && containerIndex(pod, b.agent) >= 0:
		name = b.agent
	}
	if c := req.Pod.DefaultContainer; c != "" && c != name && containerIndex(pod, c) < 0 {
		return nil, noContainer(pod, c)
	}
	spec := &pod.Spec
	i := containerIndex(pod, name)
	if i < 0 {
		spec.Containers = append(spec.Containers, corev1.Container{Name: name})
		i = len(spec.Containers) - 1
	}
	c := &spec.Containers[i]
	inherits := name == b.agent && mountOf(c, agentDir) != nil
	ours := c.Image == "" || c.Image == a.p.cfg.AgentImage
	if ours {
		a.ownImage(spec, c)
	}
	if !inherits {
		c.Command, c.Args = []string{a.p.cfg.AgentPath, "launch"}, nil
	}
	if c.WorkingDir == "" {
		c.WorkingDir = defaultWorkingDir
	}
	dir := path.Clean(c.WorkingDir)
	if !path.IsAbs(dir) || dir == "/" || dir == agentDir || strings.HasPrefix(agentDir, dir+"/") || strings.HasPrefix(dir, agentDir+"/") {
		return nil, failf("spec.containers[%d].workingDir %s cannot be the folder of the workspace", i, c.WorkingDir)
	}
	only := ""
	if b.rights != nil {
		only = name
	}
	if n := len(spec.Containers) + len(spec.InitContainers); n > maxPodContainers {
		return nil, failf("The pod has %d containers; there may be %d", n, maxPodContainers)
	}
	a.addAgent(spec, mountOf(c, agentDir), only)
	for i := range spec.Containers {
		a.addToContainer(spec, &spec.Containers[i], dir)
	}
	setEnv(&spec.Containers[i], "SLIPWAY_AGENT_MODE", "exec")
	boundPod(spec)
	note := agentNote{Build: a.build.ID, Request: req.ID, Container: name, Labels: []string{req.Label}, All: true, NoShell: ours}
	if b.from != nil {
		note.Template = b.from.Seq
	}
	if err := a.mark(pod, req, note); err != nil {
		return nil, err
	}
	return &rendered{pod: pod, container: name, workingDir: dir, base: req.Label, all: true, noShell: ours}, nil
}

func noContainer(pod *corev1.Pod, name string) error {
	names := []string{jnlpContainer}
	for i := range pod.Spec.Containers {
		names = append(names, pod.Spec.Containers[i].Name)
	}
	slices.Sort(names)
	return failf("The pod has no container ‘%s’; it has %s. YAML takes the place of what is inherited unless yamlMergeStrategy is merge()",
		name, strings.Join(slices.Compact(names), ", "))
}

// ownImage fills in a container of the agent's image.
func (a *buildAgents) ownImage(spec *corev1.PodSpec, c *corev1.Container) {
	c.Image = a.p.cfg.AgentImage
	if c.ImagePullPolicy == "" {
		c.ImagePullPolicy = corev1.PullIfNotPresent
	}
	if len(c.Resources.Requests) == 0 && len(c.Resources.Limits) == 0 {
		c.Resources = quantities("50m", "64Mi", "1", "512Mi")
	}
	c.SecurityContext = ownSecurity(spec)
}

// ownSecurity lets containers of the agent's image run also where Pod Security is "restricted".
func ownSecurity(spec *corev1.PodSpec) *corev1.SecurityContext {
	s := &corev1.SecurityContext{AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}
	if spec.SecurityContext == nil || spec.SecurityContext.RunAsUser == nil {
		s.RunAsUser, s.RunAsNonRoot = new(agentUser), new(true)
	}
	return s
}

func quantities(cpu, memory, maxCPU, maxMemory string) corev1.ResourceRequirements {
	list := func(cpu, memory string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
	}
	return corev1.ResourceRequirements{Requests: list(cpu, memory), Limits: list(maxCPU, maxMemory)}
}

// addAgent brings slipway-agent into the pod, unless a template does; there is where that has it. It is for one container only if that
// is named: the others of a template with rights of its own are not for steps.
func (a *buildAgents) addAgent(spec *corev1.PodSpec, there *corev1.VolumeMount, only string) {
	volume := agentVolume
	if there != nil {
		volume = there.Name
	} else {
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: agentVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
		first := corev1.Container{Name: copyContainer, Image: a.p.cfg.AgentImage, ImagePullPolicy: corev1.PullIfNotPresent,
			Command: []string{agentInImage, "copy", agentDir}, Resources: quantities("10m", "32Mi", "500m", "64Mi"), SecurityContext: ownSecurity(spec),
			TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
			VolumeMounts:             []corev1.VolumeMount{{Name: agentVolume, MountPath: agentDir}}}
		spec.InitContainers = append([]corev1.Container{first}, spec.InitContainers...)
	}
	for i := range spec.Containers {
		if c := &spec.Containers[i]; mountOf(c, agentDir) == nil && (only == "" || only == c.Name) {
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: volume, MountPath: agentDir, ReadOnly: true})
		}
	}
}

// addToContainer gives a container the workspace and its variables. The files of steps are apart for each container, as their users are.
func (a *buildAgents) addToContainer(spec *corev1.PodSpec, c *corev1.Container, dir string) {
	if mountOf(c, dir) == nil {
		if !slices.ContainsFunc(spec.Volumes, func(v corev1.Volume) bool { return v.Name == workspaceVolume }) {
			spec.Volumes = append(spec.Volumes, corev1.Volume{Name: workspaceVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
		}
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: workspaceVolume, MountPath: dir})
	}
	setEnv(c, "JENKINS_AGENT_WORKDIR", dir)
	setEnv(c, "SLIPWAY_STEPS_DIR", path.Join(dir, ".slipway-steps-"+c.Name))
	if a.p.cfg.JenkinsURL != "" {
		setEnv(c, "JENKINS_URL", a.p.cfg.JenkinsURL+"/")
	}
}

// boundPod sets what no Jenkinsfile decides.
func boundPod(spec *corev1.PodSpec) {
	spec.RestartPolicy = corev1.RestartPolicyNever
	spec.AutomountServiceAccountToken = new(false)
	if spec.EnableServiceLinks == nil {
		spec.EnableServiceLinks = new(false)
	}
	if spec.ActiveDeadlineSeconds == nil {
		spec.ActiveDeadlineSeconds = new(int64(maxPodLife))
	}
	if spec.SecurityContext == nil {
		spec.SecurityContext = &corev1.PodSecurityContext{}
	}
	if spec.SecurityContext.SeccompProfile == nil {
		spec.SecurityContext.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
	}
}

// mark replaces the pod's metadata but for its labels and annotations.
func (a *buildAgents) mark(pod *corev1.Pod, req engine.AgentRequest, note agentNote) error {
	data, err := json.Marshal(note)
	if err != nil {
		return fmt.Errorf("encode agent: %w", err)
	}
	meta := metav1.ObjectMeta{Namespace: a.p.cfg.Namespace, Labels: pod.Labels, Annotations: pod.Annotations}
	if meta.Labels == nil {
		meta.Labels = map[string]string{}
	}
	if meta.Annotations == nil {
		meta.Annotations = map[string]string{}
	}
	meta.Labels["jenkins"] = "slave"
	meta.Labels["jenkins/label"] = labelValue(req.Label)
	meta.Labels[LabelInstance] = a.p.cfg.Instance
	if a.build.Project != "" {
		meta.Labels[LabelProject] = projectLabel(a.build.Project)
	}
	meta.Annotations[AnnotationJob] = a.build.Job
	meta.Annotations[AnnotationBuild] = strconv.Itoa(a.build.Number)
	meta.Annotations[AnnotationAgent] = string(data)
	pod.TypeMeta, pod.ObjectMeta, pod.Status = metav1.TypeMeta{}, meta, corev1.PodStatus{}
	return nil
}

// projectLabel is the name of a project as a label; one that is none has its hash, so that no two are the same.
func projectLabel(project string) string {
	v := labelValue(project)
	if v == project {
		return v
	}
	sum := sha256.Sum256([]byte(project))
	return strings.TrimLeft(labelValue(v[:min(len(v), 50)])+"-"+hex.EncodeToString(sum[:])[:10], "-")
}

func (p *Provider) hasCloud(name string) bool {
	if p.cfg.Clouds != nil {
		return slices.Contains(p.cfg.Clouds(), name)
	}
	return slices.ContainsFunc(p.cfg.Templates(), func(t *store.Template) bool { return t.Cloud == name })
}
