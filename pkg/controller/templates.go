// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"

	"github.com/slipway-dev/slipway/pkg/controller/agenttemplate"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// templateStore keeps agent templates in one cloud of Jenkins.
type templateStore struct {
	jenkins TemplateJenkins
	cloud   string
}

func (s templateStore) cloudName() string {
	if s.cloud == "" {
		return jenkins.DefaultCloud
	}
	return s.cloud
}

// EnsureTemplate implements agenttemplate.Store.
func (s templateStore) EnsureTemplate(ctx context.Context, t agenttemplate.Template) error {
	retention := jenkins.RetentionDefault
	if t.Keep > 0 {
		// Slipway deletes those that are not worth keeping.
		retention = jenkins.RetentionAlways
	}
	return refused(s.jenkins.EnsureTemplate(ctx, s.cloudName(), jenkins.Template{
		ID: t.ID, Labels: t.Labels, YAML: t.YAML, AgentContainer: t.AgentContainer,
		IdleMinutes: t.IdleMinutes, InstanceCap: t.InstanceCap, Retention: retention,
	}))
}

// OnRestart implements agenttemplate.Restarts, where the client notices restarts.
func (s templateStore) OnRestart(f func()) (stop func()) {
	if notices, ok := s.jenkins.(agenttemplate.Restarts); ok {
		return notices.OnRestart(f)
	}
	return func() {}
}

// DeleteTemplate implements agenttemplate.Store.
func (s templateStore) DeleteTemplate(ctx context.Context, id string) error {
	return refused(s.jenkins.DeleteTemplate(ctx, s.cloudName(), id))
}

// LabelExists implements agenttemplate.Store.
func (s templateStore) LabelExists(ctx context.Context, label string) (bool, error) {
	return s.jenkins.LabelExists(ctx, label)
}

// refused tells Jenkins' refusal of one template from a Jenkins that is away.
func refused(err error) error {
	if errors.Is(err, jenkins.ErrInvalid) {
		return fmt.Errorf("%w: %w", agenttemplate.ErrRefused, err)
	}
	return err
}
