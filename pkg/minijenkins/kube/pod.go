// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/yaml"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// parsePod reads the pod document of a template. Unknown fields are refused: they are mistakes.
func parsePod(doc string) (*corev1.Pod, error) {
	var pod corev1.Pod
	if err := yaml.UnmarshalStrict([]byte(doc), &pod); err != nil {
		return nil, fmt.Errorf("the pod YAML is not valid: %w", err)
	}
	if pod.Kind != "" && pod.Kind != "Pod" {
		return nil, fmt.Errorf("the pod YAML is a %s, not a Pod", pod.Kind)
	}
	if len(pod.Spec.Containers) == 0 {
		return nil, errors.New("the pod YAML has no container")
	}
	return &pod, nil
}

var (
	notDNS   = regexp.MustCompile(`[^a-z0-9-]+`)
	notLabel = regexp.MustCompile(`[^A-Za-z0-9._-]+`)
)

// agentNote is what a pod says about itself, for a server that begins again.
type agentNote struct {
	// Build and Request are the IDs of the build and of its request for the agent.
	Build   string `json:"build,omitempty"`
	Request string `json:"request,omitempty"`
	// Container is the one in which steps run; Template the Seq of the pod's template.
	Container string   `json:"container"`
	Template  uint64   `json:"template,omitempty"`
	Labels    []string `json:"labels,omitempty"`
	// All says that all containers have to run; NoShell that the one above cannot run scripts.
	All     bool `json:"all,omitempty"`
	NoShell bool `json:"noShell,omitempty"`
}

// noteOf reads the note of a pod; it is empty without one that can be read.
func noteOf(pod *corev1.Pod) agentNote {
	var n agentNote
	if json.Unmarshal([]byte(pod.Annotations[AnnotationAgent]), &n) != nil {
		return agentNote{}
	}
	return n
}

const suffixLength = 5

// suffix is five characters that depend on a request and on how many of its names are taken. Without the ID
// of a request they are random.
func suffix(request string, taken int) string {
	if request == "" {
		return rand.String(suffixLength)
	}
	const letters = "bcdfghjklmnpqrstvwxz2456789" // no words
	sum := sha256.Sum256([]byte(request + "\x00" + strconv.Itoa(taken)))
	out := make([]byte, suffixLength)
	for i := range out {
		out[i] = letters[int(sum[i])%len(letters)]
	}
	return string(out)
}

// podName is the name of the template and five characters.
func podName(template, suffix string) string {
	base := strings.Trim(notDNS.ReplaceAllString(strings.ToLower(template), "-"), "-")
	if len(base) > 57 {
		base = strings.Trim(base[:57], "-")
	}
	if base == "" || base[0] < 'a' || base[0] > 'z' {
		base = "agent-" + base
	}
	return strings.TrimRight(base, "-") + "-" + suffix
}

func labelValue(s string) string {
	s = strings.Trim(notLabel.ReplaceAllString(s, "-"), "._-")
	if len(s) > 63 {
		s = strings.Trim(s[:63], "._-")
	}
	return s
}

// rendered is a pod that is ready to be created.
type rendered struct {
	pod *corev1.Pod
	// container is the agent container; workingDir its folder for workspaces.
	container  string
	workingDir string
	base       string
	// all and noShell are those of agentNote.
	all, noShell bool
}

// name gives the pod its name.
func (r *rendered) name(suffix string) {
	r.pod.Name = podName(r.base, suffix)
	for i := range r.pod.Spec.Containers {
		if c := &r.pod.Spec.Containers[i]; r.all || c.Name == r.container {
			setEnv(c, "JENKINS_AGENT_NAME", r.pod.Name)
		}
	}
}

// render makes the pod of a template for a request of a build; its name is missing.
func (a *buildAgents) render(t *store.Template, req engine.AgentRequest) (*rendered, error) {
	src, err := parsePod(t.YAML)
	if err != nil {
		return nil, failf("The pod template ‘%s’ cannot be used: %v", t.ID, err)
	}
	pod := &corev1.Pod{Spec: src.Spec, ObjectMeta: metav1.ObjectMeta{
		Namespace: a.p.cfg.Namespace, Labels: map[string]string{}, Annotations: map[string]string{},
	}}
	for k, v := range src.Labels {
		pod.Labels[k] = v
	}
	for k, v := range src.Annotations {
		pod.Annotations[k] = v
	}
	pod.Labels["jenkins"] = "slave"
	pod.Labels["jenkins/label"] = labelValue(req.Label)
	pod.Labels[LabelInstance] = a.p.cfg.Instance
	pod.Annotations[AnnotationJob] = a.build.Job
	pod.Annotations[AnnotationBuild] = strconv.Itoa(a.build.Number)
	if pod.Spec.RestartPolicy == "" {
		pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	}
	i := 0
	if t.AgentContainer != "" {
		i = slices.IndexFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == t.AgentContainer })
		if i < 0 {
			return nil, failf("The pod template ‘%s’ has no container ‘%s’", t.ID, t.AgentContainer)
		}
	}
	c := &pod.Spec.Containers[i]
	if c.WorkingDir == "" {
		c.WorkingDir = defaultWorkingDir
	}
	addWorkspace(&pod.Spec, c)
	setEnv(c, "JENKINS_AGENT_WORKDIR", c.WorkingDir)
	setEnv(c, "SLIPWAY_AGENT_MODE", "exec")
	setEnv(c, "SLIPWAY_STEPS_DIR", path.Join(c.WorkingDir, ".slipway-steps"))
	if a.p.cfg.JenkinsURL != "" {
		setEnv(c, "JENKINS_URL", a.p.cfg.JenkinsURL+"/")
	}
	note, err := json.Marshal(agentNote{Build: a.build.ID, Request: req.ID, Container: c.Name, Template: t.Seq, Labels: strings.Fields(t.Label)})
	if err != nil {
		return nil, fmt.Errorf("encode agent: %w", err)
	}
	pod.Annotations[AnnotationAgent] = string(note)
	return &rendered{pod: pod, container: c.Name, workingDir: c.WorkingDir, base: t.Name}, nil
}

// addWorkspace mounts an emptyDir at the working dir, unless something is mounted there.
func addWorkspace(spec *corev1.PodSpec, c *corev1.Container) {
	if slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return path.Clean(m.MountPath) == path.Clean(c.WorkingDir) }) {
		return
	}
	if !slices.ContainsFunc(spec.Volumes, func(v corev1.Volume) bool { return v.Name == workspaceVolume }) {
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: workspaceVolume,
			VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
	}
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: workspaceVolume, MountPath: c.WorkingDir})
}

func setEnv(c *corev1.Container, name, value string) {
	c.Env = slices.DeleteFunc(slices.Clone(c.Env), func(e corev1.EnvVar) bool { return e.Name == name })
	c.Env = append(c.Env, corev1.EnvVar{Name: name, Value: value})
}
