// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package scmwebhook serves Webhooks: what deliveries of source code servers are checked with.
package scmwebhook

import (
	"context"

	"github.com/emicklei/go-restful/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/egress"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
)

// New makes the handler.
func New(deps crud.Deps) *crud.Handler[*devopsv1alpha3.Webhook] {
	return crud.New(crud.Kind[*devopsv1alpha3.Webhook]{
		GVK:       devopsv1alpha3.GroupVersion.WithKind(devopsv1alpha3.WebhookKind),
		Resource:  devopsv1alpha3.WebhookResource,
		New:       func() *devopsv1alpha3.Webhook { return &devopsv1alpha3.Webhook{} },
		NewList:   func() client.ObjectList { return &devopsv1alpha3.WebhookList{} },
		CheckName: validation.NameIsDNSSubdomain,
		Prepare:   prepare,
	}, deps)
}

// prepare refuses an address that holds a credential, and a Secret of another project.
func prepare(_ context.Context, w crud.Write[*devopsv1alpha3.Webhook]) error {
	hook, spec := w.Object, field.NewPath("spec")
	var errs field.ErrorList
	if hook.Spec.Server != "" {
		if _, err := egress.ParseURL(hook.Spec.Server); err != nil {
			// The value is left out: it may hold a password.
			errs = append(errs, field.Invalid(spec.Child("server"), "", err.Error()))
		}
	}
	if s := hook.Spec.Secret; s != nil && s.Namespace != "" && s.Namespace != hook.Namespace {
		errs = append(errs, field.Invalid(spec.Child("secret", "namespace"), s.Namespace, "must be that of the webhook"))
	}
	if len(errs) > 0 {
		return apierrors.NewInvalid(devopsv1alpha3.GroupVersion.WithKind(devopsv1alpha3.WebhookKind).GroupKind(), hook.Name, errs)
	}
	return nil
}

// AddRoutes adds the routes of one family of paths.
func AddRoutes(ws *restful.WebService, deps crud.Deps, family crud.Family) {
	crud.AddRoutes(ws, New(deps), family.Docs(ws, crud.Docs{
		Path: "/" + devopsv1alpha3.WebhookResource, Tag: "Webhooks", Singular: "webhook", Plural: "webhooks",
		Object: devopsv1alpha3.Webhook{}, Page: response.List[devopsv1alpha3.Webhook]{},
	}))
}
