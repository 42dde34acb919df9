// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devcontainerapp

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/sshkeys"
)

// prepare refuses SSH keys that no server would accept: the user is still there to correct them.
func prepare(_ context.Context, w crud.Write[*devcontainerv1.DevcontainerApp]) error {
	path := field.NewPath("spec", "statefulset", "sshPublicKeyList")
	var errs field.ErrorList
	for i, line := range w.Object.Spec.StatefulSet.SSHPublicKeyList {
		if _, err := sshkeys.ParseAuthorizedKey(line); err != nil {
			// The value is left out: it may be a private key by mistake.
			errs = append(errs, field.Invalid(path.Index(i), "", err.Error()))
		}
	}
	if len(errs) > 0 {
		return apierrors.NewInvalid(devcontainerv1.GroupVersion.WithKind(devcontainerv1.Kind).GroupKind(), w.Object.Name, errs)
	}
	return nil
}
