// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitrepository

import (
	"context"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/gitfiles/access"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
)

// prepare completes the address, and refuses a credential in it: everybody who may read the object would see it.
func prepare(_ context.Context, w crud.Write[*devopsv1alpha3.GitRepository]) error {
	repository := w.Object
	path := field.NewPath("spec", "url")
	if repository.Spec.URL == "" {
		repository.Spec.URL = access.CloneURL(repository.Spec)
	}
	address, err := url.Parse(repository.Spec.URL)
	if err != nil && strings.Contains(repository.Spec.URL, "://") {
		return invalid(repository.Name, field.Invalid(path, "", "is not a valid URL"))
	}
	if address == nil {
		// user@host:path, the form of ssh, is no URL.
		address = &url.URL{}
	}
	if _, hasPassword := address.User.Password(); hasPassword {
		return invalid(repository.Name, field.Invalid(path, "", "holds a password; put it into a Secret and name that in spec.secret"))
	}
	return nil
}

func invalid(name string, err *field.Error) error {
	// The value is left out: it may hold the password.
	return apierrors.NewInvalid(devopsv1alpha3.GroupVersion.WithKind(devopsv1alpha3.GitRepositoryKind).GroupKind(), name, field.ErrorList{err})
}
