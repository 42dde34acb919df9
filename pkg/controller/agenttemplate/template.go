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

const (
	// AgentContainer is the container of the pod in which a pipeline's steps run.
	AgentContainer = "dev"
	// WorkDir is where the agent keeps its workspaces. It must be the container's working directory:
	// Jenkins mounts the workspace volume there.
	WorkDir = "/home/jenkins/agent"

	// DefaultActiveDeadline ends a pod that Jenkins forgot.
	DefaultActiveDeadline = 4 * time.Hour

	agentVolume          = "slipway"
	gracePeriod    int64 = 5 // seconds
	hashLength           = 10
	jenkinsEnv           = "JENKINS_"
	defaultCPU           = "100m"
	defaultMemory        = "256Mi"
	revisionMarker       = "-r"
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
	document, err := yaml.Marshal(pod(app, image, opts))
	if err != nil {
		return Template{}, fmt.Errorf("render agent pod of %s/%s: %w", app.Namespace, app.Name, err)
	}
	t := Template{
		ID:             Alias(app),
		YAML:           string(document),
		AgentContainer: AgentContainer,
		IdleMinutes:    opts.IdleMinutes,
		InstanceCap:    opts.InstanceCap,
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\n%d\n%s", t.IdleMinutes, t.InstanceCap, t.YAML))
	t.Labels = []string{
		Alias(app),
		Alias(app) + "-" + hash,
		Alias(app) + revisionMarker + hex.EncodeToString(sum[:])[:hashLength],
	}
	return t, nil
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

func pod(app *devcontainerv1.DevcontainerApp, image string, opts Options) *corev1.Pod {
	deadline := opts.ActiveDeadline
	if deadline <= 0 {
		deadline = DefaultActiveDeadline
	}
	return &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Labels: map[string]string{
				ProjectLabel:      app.Namespace,
				DevcontainerLabel: reconcile.LabelValue(app.Name),
			},
		},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken:  new(false),
			EnableServiceLinks:            new(false),
			ServiceAccountName:            opts.ServiceAccount,
			RestartPolicy:                 corev1.RestartPolicyNever,
			TerminationGracePeriodSeconds: new(gracePeriod),
			ActiveDeadlineSeconds:         new(int64(deadline / time.Second)),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsUser:      opts.RunAsUser,
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			InitContainers: []corev1.Container{{
				Name:            resources.CopyContainer,
				Image:           opts.AgentImage,
				ImagePullPolicy: corev1.PullIfNotPresent,
				Command:         []string{resources.AgentInImage, "copy", resources.AgentDir},
				Resources:       resources.InitResources(),
				VolumeMounts:    []corev1.VolumeMount{{Name: agentVolume, MountPath: resources.AgentDir}},
			}},
			Containers: []corev1.Container{{
				Name:                     AgentContainer,
				Image:                    image,
				ImagePullPolicy:          corev1.PullIfNotPresent,
				Command:                  []string{resources.Agent, "launch"},
				WorkingDir:               WorkDir,
				Env:                      env(app),
				Resources:                podResources(app),
				TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
				VolumeMounts:             []corev1.VolumeMount{{Name: agentVolume, MountPath: resources.AgentDir, ReadOnly: true}},
			}},
			Volumes: []corev1.Volume{{Name: agentVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		},
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

// podResources are those of the dev container, or a small request where it has none, so that the
// scheduler does not put all agents on one node.
func podResources(app *devcontainerv1.DevcontainerApp) corev1.ResourceRequirements {
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
	return own
}
