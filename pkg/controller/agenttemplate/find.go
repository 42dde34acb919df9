// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package agenttemplate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
)

// ErrNoTemplate says that no dev container of the project offers the label.
var ErrNoTemplate = errors.New("there is no such dev container")

// labelPrefix begins each label of a dev container.
const labelPrefix = "dc-"

// Finder finds the template of a label among the dev containers.
type Finder struct {
	// Reader reads DevcontainerApps; a cache will do.
	Reader client.Reader
	// Options are those that the templates in Jenkins were made with.
	Options Options
}

// Find gives the template that serves the label; an error that wraps ErrNoTemplate if there is none.
func (f *Finder) Find(ctx context.Context, project, label string) (Template, error) {
	name, found := strings.CutPrefix(label, labelPrefix+project+".")
	if !found {
		return Template{}, fmt.Errorf("%w: labels of the project begin with %q", ErrNoTemplate, labelPrefix+project+".")
	}
	// The name of a dev container may itself end like a hash.
	names := []string{name}
	if i := strings.LastIndexByte(name, '-'); i > 0 {
		names = append(names, name[:i])
	}
	why := fmt.Sprintf("the project has no dev container %s", name)
	for _, name := range names {
		app := &devcontainerv1.DevcontainerApp{}
		err := f.Reader.Get(ctx, client.ObjectKey{Namespace: project, Name: name}, app)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return Template{}, fmt.Errorf("read dev container %s: %w", name, err)
		}
		template, err := Build(app, f.Options)
		switch {
		case errors.Is(err, ErrNoImage):
			why = fmt.Sprintf("the dev container %s has not run yet: its image is known once it has", name)
			continue
		case err != nil:
			return Template{}, err
		case slices.Contains(template.Labels, label):
			return template, nil
		}
		why = fmt.Sprintf("the dev container %s has another image by now; its labels are %s", name, strings.Join(template.Labels[:2], " and "))
	}
	return Template{}, fmt.Errorf("%w: %s", ErrNoTemplate, why)
}
