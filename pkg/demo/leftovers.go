// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/kubeconfig"
	"github.com/slipway-dev/slipway/pkg/scheme"
	"github.com/slipway-dev/slipway/pkg/up"
)

// Leftovers lists what is left of a project, by place: "Kubernetes", "Jenkins", "S3". It looks past
// the API server: with the kubeconfig, in Jenkins and in the bucket itself.
func Leftovers(ctx context.Context, state *up.State, project, agentLabel string) (map[string][]string, error) {
	left := map[string][]string{}
	for place, look := range map[string]func() ([]string, error){
		"Kubernetes": func() ([]string, error) { return leftInKubernetes(ctx, state, project) },
		"Jenkins":    func() ([]string, error) { return leftInJenkins(ctx, state, project, agentLabel) },
		"S3":         func() ([]string, error) { return leftInS3(ctx, state, project) },
	} {
		names, err := look()
		if err != nil {
			return nil, fmt.Errorf("list what is left in %s: %w", place, err)
		}
		left[place] = names
	}
	return left, nil
}

// NewKubeClient gives a client for the state's cluster that knows Slipway's kinds.
func NewKubeClient(state *up.State) (client.WithWatch, error) {
	config, err := kubeconfig.Load(state.Kubeconfig)
	if err != nil {
		return nil, err
	}
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme.New()})
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return c, nil
}

func leftInKubernetes(ctx context.Context, state *up.State, project string) ([]string, error) {
	c, err := NewKubeClient(state)
	if err != nil {
		return nil, err
	}
	var left []string
	for _, object := range []client.Object{
		&corev1.Namespace{}, &devopsv1alpha3.DevOpsProject{},
	} {
		err := c.Get(ctx, client.ObjectKey{Name: project}, object)
		if err == nil {
			left = append(left, fmt.Sprintf("%T %s", object, project))
		} else if !apierrors.IsNotFound(err) {
			return nil, err
		}
	}
	var pods corev1.PodList
	if err := c.List(ctx, &pods, client.MatchingLabels{devopsv1alpha3.ProjectPodLabel: project}); err != nil {
		return nil, err
	}
	for _, pod := range pods.Items {
		left = append(left, "pod "+pod.Namespace+"/"+pod.Name)
	}
	for _, list := range []client.ObjectList{
		&devcontainerv1.DevcontainerAppList{}, &devopsv1alpha3.PipelineList{}, &devopsv1alpha3.PipelineRunList{}, &devopsv1alpha3.GitRepositoryList{},
		&corev1.SecretList{}, &corev1.ConfigMapList{}, &corev1.ServiceList{}, &corev1.PersistentVolumeClaimList{},
	} {
		if err := c.List(ctx, list, client.InNamespace(project)); err != nil {
			return nil, err
		}
		if count := meta.LenList(list); count > 0 {
			left = append(left, fmt.Sprintf("%d %T", count, list))
		}
	}
	var volumes corev1.PersistentVolumeList
	if err := c.List(ctx, &volumes); err != nil {
		return nil, err
	}
	for _, volume := range volumes.Items {
		if volume.Spec.ClaimRef != nil && volume.Spec.ClaimRef.Namespace == project {
			left = append(left, "volume "+volume.Name)
		}
	}
	return left, nil
}

func leftInJenkins(ctx context.Context, state *up.State, project, agentLabel string) ([]string, error) {
	token, err := state.Jenkins.Secret()
	if err != nil {
		return nil, err
	}
	c, err := jenkins.New(jenkins.Config{URL: state.Jenkins.URL, Username: state.Jenkins.Username, Token: token})
	if err != nil {
		return nil, err
	}
	defer c.CloseIdleConnections()
	var left []string
	if _, err := c.GetFolder(ctx, project); err == nil {
		left = append(left, "folder "+project)
	} else if !errors.Is(err, jenkins.ErrNotFound) {
		return nil, err
	}
	exists, err := c.LabelExists(ctx, agentLabel)
	if err != nil {
		return nil, err
	}
	if exists {
		left = append(left, "template with label "+agentLabel)
	}
	return left, nil
}

func leftInS3(ctx context.Context, state *up.State, project string) ([]string, error) {
	store, err := NewObjectStore(state)
	if err != nil {
		return nil, err
	}
	objects, err := store.List(ctx, "runs/"+project+"/")
	if err != nil {
		return nil, err
	}
	left := make([]string, 0, len(objects))
	for _, object := range objects {
		left = append(left, object.Key)
	}
	return left, nil
}
