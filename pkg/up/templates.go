// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package up

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/config/templates"
)

// installTemplates brings the templates that are shipped to the cluster. One that somebody has changed is
// left as it is: its fields belong to that manager, and they are not taken away.
func installTemplates(ctx context.Context, c client.Client) error {
	all, err := templates.All()
	if err != nil {
		return err
	}
	for _, template := range all {
		err := applyWith(ctx, c, template)
		if apierrors.IsConflict(err) {
			ctrl.LoggerFrom(ctx).V(1).Info("A template was changed and is left as it is", "name", template.GetName())
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}
