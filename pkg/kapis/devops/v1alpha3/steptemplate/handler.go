// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package steptemplate serves ClusterStepTemplates: the steps that the graphical editor offers.
package steptemplate

import (
	"fmt"
	"net/http"

	"github.com/emicklei/go-restful/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/templates"
)

// Fields of the query.
const (
	querySecret          = "secret"
	querySecretNamespace = "secretNamespace"
)

// Values are the values of a step's parameters by their names.
type Values map[string]any

// Rendered is the answer to a request to render a step.
type Rendered struct {
	// data is the step as JSON of Jenkins' pipeline-model-converter, as a text.
	Data string `json:"data"`
}

// newHandler makes the handler.
func newHandler(deps crud.Deps) *crud.Handler[*devopsv1alpha3.ClusterStepTemplate] {
	return crud.New(crud.Kind[*devopsv1alpha3.ClusterStepTemplate]{
		GVK:       devopsv1alpha3.GroupVersion.WithKind(devopsv1alpha3.ClusterStepTemplateKind),
		Resource:  devopsv1alpha3.ClusterStepTemplateResource,
		New:       func() *devopsv1alpha3.ClusterStepTemplate { return &devopsv1alpha3.ClusterStepTemplate{} },
		NewList:   func() client.ObjectList { return &devopsv1alpha3.ClusterStepTemplateList{} },
		CheckName: validation.NameIsDNSSubdomain,
	}, deps)
}

// renderer renders steps.
type renderer struct{ deps crud.Deps }

func (r renderer) render(req *restful.Request, resp *restful.Response) error {
	ctx := req.Request.Context()
	values := Values{}
	if err := request.DecodeOptionalJSON(req.Request, &values); err != nil {
		return err
	}
	template := &devopsv1alpha3.ClusterStepTemplate{}
	if err := r.deps.Store.Get(ctx, "", req.PathParameter(crud.ParamName), template); err != nil {
		return err
	}
	secret, err := r.secret(req)
	if err != nil {
		return err
	}
	doc, err := templates.Step(ctx, &template.Spec, values, secret)
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, Rendered{Data: string(doc)})
	return nil
}

// secret reads, as the user, name and type of the Secret that the query names.
func (r renderer) secret(req *restful.Request) (*templates.Secret, error) {
	key := client.ObjectKey{Namespace: req.QueryParameter(querySecretNamespace), Name: req.QueryParameter(querySecret)}
	if key.Name == "" {
		return nil, nil //nolint:nilnil // no Secret is asked for
	}
	if key.Namespace == "" {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("%s is missing: it says where the Secret %q is", querySecretNamespace, key.Name))
	}
	for name, problems := range map[string][]string{
		querySecret: validation.NameIsDNSSubdomain(key.Name, false), querySecretNamespace: validation.ValidateNamespaceName(key.Namespace, false),
	} {
		if len(problems) > 0 {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("%s is not a name: %s", name, problems[0]))
		}
	}
	c, _, err := kapis.ClientFor(req.Request.Context(), r.deps.Clients)
	if err != nil {
		return nil, err
	}
	secret := &corev1.Secret{}
	if err := c.Get(req.Request.Context(), key, secret); err != nil {
		return nil, fmt.Errorf("read the Secret: %w", err)
	}
	return &templates.Secret{Name: secret.Name, Namespace: secret.Namespace, Type: secret.Type}, nil
}
