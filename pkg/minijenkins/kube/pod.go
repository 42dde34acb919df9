// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
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

// podName is the name of the template and five random characters.
func podName(template string) string {
	base := strings.Trim(notDNS.ReplaceAllString(strings.ToLower(template), "-"), "-")
	if len(base) > 57 {
		base = strings.Trim(base[:57], "-")
	}
	if base == "" || base[0] < 'a' || base[0] > 'z' {
		base = "agent-" + base
	}
	return strings.TrimRight(base, "-") + "-" + rand.String(5)
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
}

// render makes the pod of a template for a build.
func (a *buildAgents) render(t *store.Template, label string) (*rendered, error) {
	src, err := parsePod(t.YAML)
	if err != nil {
		return nil, failf("The pod template ‘%s’ cannot be used: %v", t.ID, err)
	}
	pod := &corev1.Pod{Spec: src.Spec, ObjectMeta: metav1.ObjectMeta{
		Name: podName(t.Name), Namespace: a.p.cfg.Namespace, Labels: map[string]string{}, Annotations: map[string]string{},
	}}
	for k, v := range src.Labels {
		pod.Labels[k] = v
	}
	for k, v := range src.Annotations {
		pod.Annotations[k] = v
	}
	pod.Labels["jenkins"] = "slave"
	pod.Labels["jenkins/label"] = labelValue(label)
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
	setEnv(c, "JENKINS_AGENT_NAME", pod.Name)
	setEnv(c, "JENKINS_AGENT_WORKDIR", c.WorkingDir)
	setEnv(c, "SLIPWAY_AGENT_MODE", "exec")
	setEnv(c, "SLIPWAY_STEPS_DIR", path.Join(c.WorkingDir, ".slipway-steps"))
	if a.p.cfg.JenkinsURL != "" {
		setEnv(c, "JENKINS_URL", a.p.cfg.JenkinsURL+"/")
	}
	return &rendered{pod: pod, container: c.Name, workingDir: c.WorkingDir}, nil
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
