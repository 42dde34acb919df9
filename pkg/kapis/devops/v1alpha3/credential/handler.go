// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package credential serves the credentials of projects, which are Secrets of the types credential.devops.kubesphere.io/*.
//
// Everything is read and written as the user of the request, by the user's rights on Secrets. No answer holds a value: a key stands
// there with an empty one, and what comes back empty in a PUT stays as it is.
package credential

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/emicklei/go-restful/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/store"
)

// resource is what the routes are called in RBAC, in the group of Slipway's own kinds.
const resource = "credentials"

// Jenkins tells what Jenkins knows of a credential; *jenkins.Client has it. Errors are those of pkg/jenkins.
type Jenkins interface {
	GetCredential(ctx context.Context, folder, id string) (*jenkins.CredentialInfo, error)
}

// Handler serves credentials.
type Handler struct {
	deps    crud.Deps
	jenkins Jenkins
}

// New makes the handler. Without a Jenkins, nothing is known of the use of credentials.
func New(deps crud.Deps, j Jenkins) *Handler {
	deps.SetDefaults()
	return &Handler{deps: deps, jenkins: j}
}

func notFound(name string) error {
	return apierrors.NewNotFound(schema.GroupResource{Group: devopsv1alpha3.GroupName, Resource: resource}, name)
}

// readAs reads a credential as the user. A Secret of another type is no credential.
func readAs(ctx context.Context, c client.Reader, namespace, name string) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, secret); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, notFound(name)
		}
		return nil, err
	}
	if !devopsv1alpha3.IsCredentialType(secret.Type) {
		return nil, notFound(name)
	}
	return secret, nil
}

// List answers with a page.
func (h *Handler) List(req *restful.Request, resp *restful.Response) error {
	ctx := req.Request.Context()
	if info, ok := request.InfoFrom(ctx); ok && info.Verb == request.VerbWatch {
		return apierrors.NewBadRequest("credentials cannot be watched; list them again")
	}
	c, _, err := kapis.ClientFor(ctx, h.deps.Clients)
	if err != nil {
		return err
	}
	query, err := store.ParseQuery(req.Request.URL.Query())
	if err != nil {
		return err
	}
	query.Namespace = req.PathParameter(crud.ParamNamespace)
	wanted := req.QueryParameter("type")
	page, err := store.List(ctx, store.New(c, nil, c.Scheme()), &corev1.SecretList{}, query, func(s *corev1.Secret) bool {
		return devopsv1alpha3.IsCredentialType(s.Type) && (wanted == "" || isOfType(s, wanted))
	})
	if err != nil {
		return err
	}
	for _, secret := range page.Items {
		mask(secret)
	}
	response.WriteList(resp.ResponseWriter, req.Request, page.Items, page.Total)
	return nil
}

// Get answers with one credential.
func (h *Handler) Get(req *restful.Request, resp *restful.Response) error {
	ctx := req.Request.Context()
	c, _, err := kapis.ClientFor(ctx, h.deps.Clients)
	if err != nil {
		return err
	}
	secret, err := readAs(ctx, c, req.PathParameter(crud.ParamNamespace), req.PathParameter(crud.ParamName))
	if err != nil {
		return err
	}
	h.answer(req, resp, http.StatusOK, secret)
	return nil
}

// Create makes a credential as the user.
func (h *Handler) Create(req *restful.Request, resp *restful.Response) error {
	ctx := req.Request.Context()
	c, user, err := kapis.ClientFor(ctx, h.deps.Clients)
	if err != nil {
		return err
	}
	sent, err := decode(req)
	if err != nil {
		return err
	}
	secret, err := newSecret(sent)
	if err != nil {
		return err
	}
	if err := check(secret); err != nil {
		return err
	}
	secret.Annotations[devopsv1alpha3.CreatorAnnotation] = user
	if err := c.Create(ctx, secret, crud.FieldOwner); err != nil {
		return err
	}
	h.answer(req, resp, http.StatusCreated, secret)
	return nil
}

// Update changes a credential as the user. Values that come back as they were shown, empty, stay.
func (h *Handler) Update(req *restful.Request, resp *restful.Response) error {
	ctx := req.Request.Context()
	c, _, err := kapis.ClientFor(ctx, h.deps.Clients)
	if err != nil {
		return err
	}
	sent, err := decode(req)
	if err != nil {
		return err
	}
	name := req.PathParameter(crud.ParamName)
	if sent.Name != "" && sent.Name != name {
		return apierrors.NewBadRequest(fmt.Sprintf("metadata.name is %q but the address says %q; a credential cannot be renamed, as Jenkinsfiles name it", sent.Name, name))
	}
	stored, err := readAs(ctx, c, sent.Namespace, name)
	if err != nil {
		return err
	}
	if sent.ResourceVersion != "" && sent.ResourceVersion != stored.ResourceVersion {
		return changedMeanwhile(name)
	}
	secret, err := merge(stored, sent)
	if err != nil {
		return err
	}
	if err := check(secret); err != nil {
		return err
	}
	if err := c.Update(ctx, secret, crud.FieldOwner); err != nil {
		if apierrors.IsConflict(err) {
			return changedMeanwhile(name)
		}
		return err
	}
	h.answer(req, resp, http.StatusOK, secret)
	return nil
}

func changedMeanwhile(name string) error {
	return response.NewStatus(http.StatusConflict, metav1.StatusReasonConflict, fmt.Sprintf(
		"credential %q was changed since you read it: GET it again, make your change and PUT it", name))
}

// Delete removes a credential as the user.
func (h *Handler) Delete(req *restful.Request, resp *restful.Response) error {
	ctx := req.Request.Context()
	c, _, err := kapis.ClientFor(ctx, h.deps.Clients)
	if err != nil {
		return err
	}
	// Another Secret must not be deleted by a route for credentials.
	secret, err := readAs(ctx, c, req.PathParameter(crud.ParamNamespace), req.PathParameter(crud.ParamName))
	if err != nil {
		return err
	}
	if err := c.Delete(ctx, secret, client.Preconditions{UID: &secret.UID}); err != nil {
		return err
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, response.Success())
	return nil
}

// Usage answers which builds used a credential. One that Jenkins does not have yet was used by none.
func (h *Handler) Usage(req *restful.Request, resp *restful.Response) error {
	ctx := req.Request.Context()
	c, _, err := kapis.ClientFor(ctx, h.deps.Clients)
	if err != nil {
		return err
	}
	secret, err := readAs(ctx, c, req.PathParameter(crud.ParamNamespace), req.PathParameter(crud.ParamName))
	if err != nil {
		return err
	}
	if h.jenkins == nil {
		return response.Unavailable("this server does not know Jenkins, which knows the use of credentials")
	}
	info, err := h.jenkins.GetCredential(ctx, secret.Namespace, secret.Name)
	if err != nil && !errors.Is(err, jenkins.ErrNotFound) {
		return err
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, usageOf(secret, info))
	return nil
}

// answer writes a credential without its values.
func (h *Handler) answer(req *restful.Request, resp *restful.Response, code int, secret *corev1.Secret) {
	mask(secret)
	secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	secret.ManagedFields = nil
	response.Write(resp.ResponseWriter, req.Request, code, secret)
}
