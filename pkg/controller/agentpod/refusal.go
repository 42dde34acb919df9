// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package agentpod

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/slipway-dev/slipway/pkg/controller/agenttemplate"
)

// Creator is what a dry run needs of the cluster; a client.Client has it.
type Creator interface {
	Create(ctx context.Context, obj client.Object, opts ...client.CreateOption) error
}

// workspaceVolume is the volume that Jenkins mounts at the working directory.
const workspaceVolume = "workspace-volume"

// TryPod lets the API server try the pod of a template, as Jenkins would create it, without making one.
// It gives why the pod cannot be made; nil if it can. The error says that it could not be tried.
//
// A server-side dry run tells of quota, Pod Security, other admission and what is not valid; room on
// nodes and images it does not.
func TryPod(ctx context.Context, creator Creator, namespace string, template agenttemplate.Template) (*Problem, error) {
	pod := &corev1.Pod{}
	if unreadable := yaml.UnmarshalStrict([]byte(template.YAML), pod); unreadable != nil {
		problem := newProblem(ReasonInvalidPod, "the pod of the template "+template.ID+" cannot be read: "+unreadable.Error())
		return problem, nil //nolint:nilerr // that it cannot be read is what was to be found out
	}
	asJenkinsWould(pod, template)
	pod.Namespace = namespace
	err := creator.Create(ctx, pod, client.DryRunAll, client.FieldValidation("Strict"))
	if err == nil {
		return nil, nil
	}
	if problem := refusalOf(err); problem != nil {
		return problem, nil
	}
	return nil, fmt.Errorf("try the pod of the template %s: %w", template.ID, err)
}

// asJenkinsWould adds what Jenkins' Kubernetes plugin adds and admission may look at. The name is not
// the template's: a real pod of that name must not be in the way.
func asJenkinsWould(pod *corev1.Pod, template agenttemplate.Template) {
	pod.Name, pod.GenerateName = "", "slipway-dry-run-"
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels[agentLabel] = agentLabelValue
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: workspaceVolume,
		VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		if c.Name == template.AgentContainer {
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: workspaceVolume, MountPath: c.WorkingDir})
		}
	}
}

// refusalOf turns the API server's refusal of a pod into a problem; nil if it is none.
func refusalOf(err error) *Problem {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return nil
	}
	text := status.Status().Message
	switch {
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return newProblem(ReasonInvalidPod, "the agent pod is not valid: "+text)
	case !apierrors.IsForbidden(err):
		return nil
	case strings.Contains(text, `cannot create resource "pods"`):
		return newProblem(ReasonCannotCheck, "Slipway may not try agent pods: "+text)
	}
	return refusalOfText(text, ReasonPodRefused)
}

// refusalOfText turns the words of a refusal into a problem, of another reason if they say none.
func refusalOfText(text, other string) *Problem {
	switch {
	case strings.Contains(text, "violates PodSecurity"):
		return newProblem(ReasonPodSecurity, "the worker namespace does not allow the agent pod: "+text)
	case strings.Contains(text, "exceeded quota:"), strings.Contains(text, "failed quota:"):
		p := newProblem(ReasonQuotaExceeded, "the quota of the worker namespace does not allow the agent pod: "+text)
		p.Permanent = !fitsEmptyQuota(text)
		return p
	case strings.Contains(text, " is forbidden: "):
		other = ReasonPodRefused
	}
	return newProblem(other, "the cluster refuses the agent pod: "+text)
}

// fitsEmptyQuota tells if a pod that exceeds a quota now would fit if no other pod used it. The text is
// `exceeded quota: ci, requested: limits.memory=9Gi, used: limits.memory=1Gi, limited: limits.memory=4Gi`.
func fitsEmptyQuota(text string) bool {
	_, rest, found := strings.Cut(text, "exceeded quota:")
	if !found {
		return false // a "failed quota" names what the pod does not say of itself
	}
	_, rest, foundRequest := strings.Cut(rest, "requested: ")
	requested, rest, foundUsed := strings.Cut(rest, ", used: ")
	_, limited, foundLimit := strings.Cut(rest, ", limited: ")
	if !foundRequest || !foundUsed || !foundLimit {
		return false
	}
	limits := quantities(limited)
	for name, want := range quantities(requested) {
		if limit, ok := limits[name]; !ok || want.Cmp(limit) > 0 {
			return false
		}
	}
	return true
}

func quantities(text string) map[string]resource.Quantity {
	list := map[string]resource.Quantity{}
	for _, pair := range strings.Split(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if q, err := resource.ParseQuantity(value); err == nil {
			list[name] = q
		}
	}
	return list
}
