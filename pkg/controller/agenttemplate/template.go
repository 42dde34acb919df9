// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package agenttemplate lets pipelines run in the image of a dev container: it renders, for a
// DevcontainerApp whose image is known by digest, the pod template of Jenkins' Kubernetes cloud, and
// keeps Jenkins in step with it.
//
// It is not a controller of its own but a step of the dev container's: both would write the one
// status.conditions of a DevcontainerApp, which a merge patch replaces as a whole, so that each would
// undo the other's conditions. With one writer there is nothing to reconcile between the two.
package agenttemplate

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/controller/devcontainer/resources"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// Labels of agent pods. Whoever starts a pod from the template checks the project against the folder of
// the job that asks.
const (
	// ProjectLabel is the namespace of the DevcontainerApp.
	ProjectLabel = "slipway.dev/project"
	// DevcontainerLabel is the name of the DevcontainerApp, shortened where it is too long for a label.
	DevcontainerLabel = "slipway.dev/devcontainer"
)

// Annotations of agent pods.
const (
	// LabelsAnnotation are the agent labels of the template that do not depend on its whole content,
	// separated by spaces: the pod's own labels are too short for them.
	LabelsAnnotation = "slipway.dev/agent-labels"
	// KeepAnnotation is how long (a Go duration) the pod of a build that did not succeed is kept. On a
	// DevcontainerApp it asks for that.
	KeepAnnotation = "slipway.dev/keep-agent"
)

const (
	// AgentContainer is the container of the pod in which a pipeline's steps run.
	AgentContainer = "dev"
	// WorkDir is where the agent keeps its workspaces. It must be the container's working directory:
	// Jenkins mounts the workspace volume there.
	WorkDir = "/home/jenkins/agent"

	// DefaultActiveDeadline ends a pod that Jenkins forgot.
	DefaultActiveDeadline = 4 * time.Hour
	// MaxKeep bounds how long the pod of a build may be kept.
	MaxKeep = 2 * time.Hour
	// RestrictedUser is the user of restricted pods if no other one is set: Jenkins' own agents use it.
	RestrictedUser int64 = 1000

	keepEnv              = "SLIPWAY_AGENT_KEEP"
	agentVolume          = "slipway"
	gracePeriod    int64 = 5 // seconds
	hashLength           = 10
	jenkinsEnv           = "JENKINS_"
	defaultCPU           = "100m"
	defaultMemory        = "256Mi"
	revisionMarker       = "-r"
	// payloadInImage is the folder of the agent's image with what is copied beside slipway-agent.
	payloadInImage = "/payload"
)

// Options are what a template depends on beside the app.
type Options struct {
	// AgentImage is the image of which the init container copies slipway-agent. Required.
	AgentImage string
	// ServiceAccount is the account of agent pods, without a token; empty for the namespace's
	// default one.
	ServiceAccount string
	// ActiveDeadline is how long an agent pod may live. 0 means DefaultActiveDeadline.
	ActiveDeadline time.Duration
	// RunAsUser is the user of the containers; nil leaves it to the image. It should be the user of
	// the dev container.
	RunAsUser *int64
	// IdleMinutes is how long an agent waits for another build. 0: each serves one build.
	IdleMinutes int
	// InstanceCap is the most pods of one template. 0 leaves it to Jenkins' client.
	InstanceCap int
	// Restricted makes pods that PodSecurity's level "restricted" allows: without root and without
	// rights to become it. Images that need root do not work so.
	Restricted bool
	// DNSPolicy is that of the pods. Empty: the cluster's default. With "Default" pods use the resolver
	// of their node, for clusters without a DNS of their own, where each start would wait 11 s for it.
	DNSPolicy corev1.DNSPolicy
	// DefaultResources fill in what the dev container does not say of its resources. A ResourceQuota on
	// limits refuses containers that have none. Nil: small requests, no limits.
	DefaultResources *corev1.ResourceRequirements
	// Namespace is where agent pods run: there a template is tried before it is given to Jenkins. Empty:
	// it is not tried.
	Namespace string
	// Payload: the agent's image holds a JRE, and perhaps agent.jar, in /payload, which a real Jenkins
	// needs; minijenkins does not.
	Payload bool
}

// Template is a pod template of Jenkins' Kubernetes cloud.
type Template struct {
	// ID is its identity; it never changes for an app.
	ID string
	// Labels are those by which a Jenkinsfile may ask for it: the alias that says which dev
	// container it is, the alias with the image's digest, and one with a hash of the whole template,
	// by which Slipway sees that Jenkins has exactly this content.
	Labels []string
	// YAML is one whole pod document.
	YAML string
	// AgentContainer is the container of the pod that runs the agent.
	AgentContainer string
	// IdleMinutes and InstanceCap are those of Options.
	IdleMinutes, InstanceCap int
	// Keep is how long the pods of builds that did not succeed are kept; 0: not at all. Then Jenkins must
	// not delete pods, and Slipway deletes them.
	Keep time.Duration
}

// Alias is the label dc-<namespace>.<name>. A namespace has no dot, so that two apps never share one.
func Alias(app *devcontainerv1.DevcontainerApp) string {
	return "dc-" + app.Namespace + "." + app.Name
}

// Revision is the label that stands for the template's whole content.
func (t Template) Revision() string { return t.Labels[len(t.Labels)-1] }

// ErrNoImage says that the image that the pod ran is not known.
var ErrNoImage = errors.New("the image is not known yet")

// Build renders the template for an app whose status.imageID is known; else it gives ErrNoImage.
func Build(app *devcontainerv1.DevcontainerApp, opts Options) (Template, error) {
	image, hash, err := ImageByDigest(app.Status.ImageID, app.Spec.StatefulSet.Image)
	if err != nil {
		return Template{}, err
	}
	document, err := yaml.Marshal(pod(app, image, imageLabels(app, hash), opts))
	if err != nil {
		return Template{}, fmt.Errorf("render agent pod of %s/%s: %w", app.Namespace, app.Name, err)
	}
	t := Template{
		ID:             Alias(app),
		YAML:           string(document),
		AgentContainer: AgentContainer,
		IdleMinutes:    opts.IdleMinutes,
		InstanceCap:    opts.InstanceCap,
		Keep:           keepOf(app),
	}
	// A pod that is kept says so in its YAML.
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\n%d\n%s", t.IdleMinutes, t.InstanceCap, t.YAML))
	t.Labels = append(imageLabels(app, hash), Alias(app)+revisionMarker+hex.EncodeToString(sum[:])[:hashLength])
	return t, nil
}

// imageLabels are the labels that do not depend on the template's whole content.
func imageLabels(app *devcontainerv1.DevcontainerApp, hash string) []string {
	return []string{Alias(app), Alias(app) + "-" + hash}
}

// keepOf reads how long the app wants pods to be kept. What is no duration keeps none.
func keepOf(app *devcontainerv1.DevcontainerApp) time.Duration {
	keep, err := time.ParseDuration(app.Annotations[KeepAnnotation])
	if err != nil || keep <= 0 {
		return 0
	}
	return min(keep, MaxKeep).Truncate(time.Second)
}

// ImageByDigest turns the imageID of a container's status into a reference that names the image by
// digest, and gives the digest's first hexadecimal digits. Some container runtimes know an image that
// was loaded, not pulled, by the digest of its configuration alone, which no registry serves: then the
// reference is that of the spec.
func ImageByDigest(imageID, specImage string) (image, hash string, err error) {
	// Docker's and old containerd's prefixes.
	imageID = strings.TrimPrefix(imageID, "docker-pullable://")
	imageID = strings.TrimPrefix(imageID, "docker://")
	if imageID == "" {
		return "", "", ErrNoImage
	}
	if id, err := digest.Parse(imageID); err == nil {
		return specImage, id.Encoded()[:hashLength], nil
	}
	named, err := reference.ParseNormalizedNamed(imageID)
	if err != nil {
		return "", "", fmt.Errorf("image %q of the pod: %w", imageID, err)
	}
	if digested, ok := named.(reference.Digested); ok {
		// Without a tag: it may point to another image by now, and some runtimes refuse both.
		canonical, err := reference.WithDigest(reference.TrimNamed(named), digested.Digest())
		if err != nil {
			return "", "", fmt.Errorf("image %q of the pod: %w", imageID, err)
		}
		return canonical.String(), digested.Digest().Encoded()[:hashLength], nil
	}
	return "", "", fmt.Errorf("image %q of the pod: %w", imageID, ErrNoImage)
}

func pod(app *devcontainerv1.DevcontainerApp, image string, labels []string, opts Options) *corev1.Pod {
	deadline := opts.ActiveDeadline
	if deadline <= 0 {
		deadline = DefaultActiveDeadline
	}
	p := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Labels: map[string]string{
				ProjectLabel:      app.Namespace,
				DevcontainerLabel: reconcile.LabelValue(app.Name),
			},
			Annotations: map[string]string{LabelsAnnotation: strings.Join(labels, " ")},
		},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken:  new(false),
			EnableServiceLinks:            new(false),
			ServiceAccountName:            opts.ServiceAccount,
			RestartPolicy:                 corev1.RestartPolicyNever,
			DNSPolicy:                     opts.DNSPolicy,
			TerminationGracePeriodSeconds: new(gracePeriod),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsUser:      opts.RunAsUser,
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			InitContainers: []corev1.Container{{
				Name:                     resources.CopyContainer,
				Image:                    opts.AgentImage,
				ImagePullPolicy:          corev1.PullIfNotPresent,
				Command:                  copyCommand(opts),
				Resources:                resources.InitResources(),
				TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
				VolumeMounts:             []corev1.VolumeMount{{Name: agentVolume, MountPath: resources.AgentDir}},
			}},
			Containers: []corev1.Container{{
				Name:                     AgentContainer,
				Image:                    image,
				ImagePullPolicy:          corev1.PullIfNotPresent,
				Command:                  []string{resources.Agent, "launch"},
				WorkingDir:               WorkDir,
				Env:                      env(app),
				Resources:                podResources(app, opts.DefaultResources),
				TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
				VolumeMounts:             []corev1.VolumeMount{{Name: agentVolume, MountPath: resources.AgentDir, ReadOnly: true}},
			}},
			Volumes: []corev1.Volume{{Name: agentVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		},
	}
	if keep := keepOf(app); keep > 0 {
		p.Annotations[KeepAnnotation] = keep.String()
		p.Spec.Containers[0].Env = append(p.Spec.Containers[0].Env, corev1.EnvVar{Name: keepEnv, Value: keep.String()})
		deadline += keep
	}
	p.Spec.ActiveDeadlineSeconds = new(int64(deadline / time.Second))
	if opts.Restricted {
		restrict(&p.Spec)
	}
	return p
}

// copyCommand brings slipway-agent, and what it starts, into the pod.
func copyCommand(opts Options) []string {
	if opts.Payload {
		return []string{resources.AgentInImage, "copy", "--payload", payloadInImage, resources.AgentDir}
	}
	return []string{resources.AgentInImage, "copy", resources.AgentDir}
}

// restrict makes the pod fit PodSecurity's level "restricted".
func restrict(spec *corev1.PodSpec) {
	security := spec.SecurityContext
	security.RunAsNonRoot = new(true)
	if security.RunAsUser == nil || *security.RunAsUser == 0 {
		security.RunAsUser = new(RestrictedUser)
	}
	security.RunAsGroup = new(*security.RunAsUser)
	// An emptyDir is open to all; a volume that the cluster provisions is not.
	security.FSGroup = new(*security.RunAsUser)
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			list[i].SecurityContext = &corev1.SecurityContext{
				AllowPrivilegeEscalation: new(false),
				Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			}
		}
	}
}

// env is the app's environment with a HOME that can be written to: Jenkins keeps files there, and a
// user without an entry in the image's passwd file would have "/".
func env(app *devcontainerv1.DevcontainerApp) []corev1.EnvVar {
	own := resources.Env(app, resources.EnvPrefix, jenkinsEnv)
	for _, e := range own {
		if e.Name == "HOME" {
			return own
		}
	}
	return append([]corev1.EnvVar{{Name: "HOME", Value: WorkDir}}, own...)
}

// podResources are those of the dev container. Where it has none they are a small request, so that the
// scheduler does not put all agents on one node. defaults fill in what is left open.
func podResources(app *devcontainerv1.DevcontainerApp, defaults *corev1.ResourceRequirements) corev1.ResourceRequirements {
	own := corev1.ResourceRequirements{
		Requests: app.Spec.Resources.Requests.DeepCopy(),
		Limits:   app.Spec.Resources.Limits.DeepCopy(),
	}
	if len(own.Requests) == 0 && len(own.Limits) == 0 {
		own.Requests = corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse(defaultCPU),
			corev1.ResourceMemory: resource.MustParse(defaultMemory),
		}
	}
	if defaults != nil {
		own.Requests = fill(own.Requests, defaults.Requests, own.Limits, true)
		own.Limits = fill(own.Limits, defaults.Limits, own.Requests, false)
	}
	return own
}

// fill adds the defaults that a list lacks. A request must not be above its limit: one that would be is
// made the same.
func fill(list, defaults, other corev1.ResourceList, requests bool) corev1.ResourceList {
	for name, value := range defaults {
		if _, ok := list[name]; ok {
			continue
		}
		if bound, ok := other[name]; ok && (requests && value.Cmp(bound) > 0 || !requests && value.Cmp(bound) < 0) {
			value = bound
		}
		if list == nil {
			list = corev1.ResourceList{}
		}
		list[name] = value.DeepCopy()
	}
	return list
}
