// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/controller/agenttemplate"
	"github.com/slipway-dev/slipway/pkg/controller/credential"
	"github.com/slipway-dev/slipway/pkg/controller/devcontainer"
	"github.com/slipway-dev/slipway/pkg/controller/devopsproject"
	"github.com/slipway-dev/slipway/pkg/controller/gitrepository"
	"github.com/slipway-dev/slipway/pkg/controller/notification"
	"github.com/slipway-dev/slipway/pkg/controller/pipeline"
	"github.com/slipway-dev/slipway/pkg/controller/pipelinerun"
	"github.com/slipway-dev/slipway/pkg/controller/s2ibinary"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/sealing"
)

// CacheOptions say what of a kind the manager's cache is to hold, where that is not all: of Pods, Secrets and Namespaces only what is
// Slipway's.
func CacheOptions() map[client.Object]cache.ByObject {
	options := devcontainer.CacheOptions()
	ofProject, err := labels.NewRequirement(devopsv1alpha3.DevOpsProjectLabel, selection.Exists, nil)
	if err != nil {
		panic(err) // the label is a constant
	}
	options[&corev1.Namespace{}] = cache.ByObject{Label: labels.NewSelector().Add(*ofProject), Transform: cache.TransformStripManagedFields()}
	return options
}

// Setup registers all controllers and the fields they search by. The context is used for that only;
// the manager's own decides how long they run. The manager's scheme must know the types of Kubernetes
// and of pkg/apis.
func Setup(ctx context.Context, mgr ctrl.Manager, o Options) error {
	if o.Jenkins == nil {
		return errors.New("set up controllers: no Jenkins client given")
	}
	if err := index.Register(ctx, mgr.GetFieldIndexer()); err != nil {
		return fmt.Errorf("set up controllers: %w", err)
	}
	o.Pipelines.Key = o.StartKey
	if o.Agents.Namespace == "" {
		o.Agents.Namespace = o.Runs.WorkerNamespace
	}
	if err := o.Agents.Validate(); err != nil {
		return fmt.Errorf("set up controllers: %w", err)
	}
	o.DevContainers.Agent = o.Agents.Templates(o.DevContainers.Templates())
	projects := &devopsproject.Reconciler{Jenkins: o.Jenkins, Roles: o.Jenkins, Options: o.Projects}
	pipelines := &pipeline.Reconciler{Jenkins: o.Jenkins, Analyze: Analyze, Options: o.Pipelines}
	steps := []func() error{
		func() error { return projects.SetupWithManager(mgr) },
		func() error { return pipelines.SetupWithManager(mgr) },
		func() error { return setupRuns(mgr, o) },
		func() error { return setupCredentials(mgr, o) },
		func() error { return setupFiles(mgr, o) },
		func() error { return (&notification.Reconciler{Options: o.Notifications}).SetupWithManager(mgr) },
	}
	if o.DevContainers.AgentImage != "" {
		steps = append(steps, func() error {
			return devcontainer.Setup(ctx, mgr, templateStore{jenkins: o.Jenkins, cloud: o.Cloud}, o.DevContainers)
		})
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("set up controllers: %w", err)
		}
	}
	return nil
}

// setupCredentials registers the controller of credentials. A Jenkins that was restarted may have lost
// them: its configuration as code wipes what it does not name.
func setupCredentials(mgr ctrl.Manager, o Options) error {
	o.Credentials.Key = o.StartKey
	credentials := &credential.Reconciler{Jenkins: o.Jenkins, Options: o.Credentials}
	if err := credentials.SetupWithManager(mgr); err != nil {
		return err
	}
	if notices, ok := o.Jenkins.(agenttemplate.Restarts); ok {
		notices.OnRestart(credentials.Recheck)
	}
	return nil
}

// setupFiles registers the controllers of repositories and binaries.
func setupFiles(mgr ctrl.Manager, o Options) error {
	if err := (&gitrepository.Reconciler{Git: o.Git}).SetupWithManager(mgr); err != nil {
		return err
	}
	binaries := &s2ibinary.Reconciler{}
	if o.Objects != nil {
		binaries.Objects = o.Objects
		if err := mgr.Add(&gitrepository.Uploads{Objects: o.Objects}); err != nil {
			return err
		}
	}
	return binaries.SetupWithManager(mgr)
}

func setupRuns(mgr ctrl.Manager, o Options) error {
	watcher, err := pipelinerun.NewWatcher(o.Jenkins, o.Watcher)
	if err != nil {
		return err
	}
	agents, err := setupAgents(mgr, o.Jenkins, o.Agents, o.DevContainers)
	if err != nil {
		return err
	}
	sealer, err := sealing.New(o.StartKey)
	if err != nil {
		return err
	}
	runs := &pipelinerun.Reconciler{
		Jenkins: o.Jenkins, Watcher: watcher, Agents: agents, Analyze: Analyze, Sealer: sealer, Options: o.Runs,
		Token: func(p *devopsv1alpha3.Pipeline) string { return pipeline.StartToken(o.StartKey, p) },
	}
	if o.Objects != nil {
		runs.Archive = &pipelinerun.Archive{Jenkins: o.Jenkins, Store: o.Objects, Options: o.Archive}
		if err := runs.Archive.SetupWithManager(mgr); err != nil {
			return err
		}
	}
	if err := runs.SetupWithManager(mgr); err != nil {
		return err
	}
	if err := (&pipelinerun.Adopter{Jenkins: o.Jenkins, Options: o.Adopter}).SetupWithManager(mgr); err != nil {
		return err
	}
	return (&pipelinerun.Discarder{Archived: o.Objects != nil}).SetupWithManager(mgr)
}
