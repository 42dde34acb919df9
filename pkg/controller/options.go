// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package controller puts the controllers together.
package controller

import (
	"context"

	"github.com/slipway-dev/slipway/pkg/controller/agentpod"
	"github.com/slipway-dev/slipway/pkg/controller/credential"
	"github.com/slipway-dev/slipway/pkg/controller/devcontainer"
	"github.com/slipway-dev/slipway/pkg/controller/devopsproject"
	"github.com/slipway-dev/slipway/pkg/controller/gitrepository"
	"github.com/slipway-dev/slipway/pkg/controller/notification"
	"github.com/slipway-dev/slipway/pkg/controller/pipeline"
	"github.com/slipway-dev/slipway/pkg/controller/pipelinerun"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// Jenkins is what the controllers need of Jenkins; *jenkins.Client has it all.
type Jenkins interface {
	devopsproject.Jenkins
	devopsproject.Roles
	pipeline.Jenkins
	pipelinerun.Jenkins
	pipelinerun.BulkStatus
	pipelinerun.Bulk
	pipelinerun.ArchiveSource
	pipelinerun.BuildLister
	credential.Jenkins
	agentpod.Jenkins
	TemplateJenkins
}

// TemplateJenkins is what agent templates need of Jenkins.
type TemplateJenkins interface {
	EnsureTemplate(ctx context.Context, cloud string, t jenkins.Template) error
	DeleteTemplate(ctx context.Context, cloud, id string) error
	LabelExists(ctx context.Context, label string) (bool, error)
}

var _ Jenkins = (*jenkins.Client)(nil)

// Options are the settings of all controllers. Fields with a zero value take the defaults of their
// packages.
type Options struct {
	// Jenkins is the engine. Required.
	Jenkins Jenkins
	// Cloud is the name of Jenkins' Kubernetes cloud. Empty: jenkins.DefaultCloud.
	Cloud string
	// Objects keeps logs and artifacts of ended runs, and the files of binaries and uploads; *objectstore.Store has it.
	// Nil keeps none. Its bucket must exist.
	Objects interface {
		pipelinerun.ObjectStore
		gitrepository.Objects
	}
	// Git asks the servers of git repositories whether they can be read; *gitfiles.Cache does. Nil asks nobody.
	Git gitrepository.Git
	// StartKey is the secret that the tokens which start jobs are derived from: at least 16 random
	// bytes that stay the same over restarts and replicas. Required.
	StartKey []byte

	// Projects are the settings for DevOpsProjects.
	Projects devopsproject.Options
	// Pipelines are the settings for Pipelines; its Key is set from StartKey.
	Pipelines pipeline.Options
	// Runs are the settings for PipelineRuns.
	Runs pipelinerun.Options
	// Adopter are the settings for builds that were started in Jenkins.
	Adopter pipelinerun.AdopterOptions
	// Credentials are the settings for Secrets that are credentials; its Key is set from StartKey.
	Credentials credential.Options
	// Notifications are the settings for what other systems are told of runs.
	Notifications notification.Options
	// Watcher are the settings for the bulk queries of live builds.
	Watcher pipelinerun.WatcherOptions
	// Archive are the settings for the copies of logs and artifacts.
	Archive pipelinerun.ArchiveOptions
	// DevContainers are the settings for DevcontainerApps. Without an AgentImage the controller of dev
	// containers is left out.
	DevContainers devcontainer.Options
	// Agents are the settings of the pods in which builds run.
	Agents AgentOptions
}
