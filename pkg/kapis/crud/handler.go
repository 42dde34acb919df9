// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package crud has the handlers that all kinds share: list, watch, get, create, update and delete.
// Reads come from the store, writes go to Kubernetes as the user.
package crud

import (
	"context"
	"net/http"
	"time"

	"github.com/emicklei/go-restful/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/store"
)

// FieldOwner is the manager of the fields that are written through this server.
const FieldOwner = client.FieldOwner("slipway-apiserver")

// Path parameters.
const (
	ParamNamespace = "namespace"
	ParamName      = "name"
)

// Deps is what the handlers of all kinds need.
type Deps struct {
	// Store is the read side.
	Store *store.Store
	// Clients is the write side.
	Clients kapis.Clients
	// SlowClient counts streams that were cut because nobody read them. It may be nil.
	SlowClient func()
	// WriteTimeout is how long a client of a stream may take to accept what is sent. Nothing is
	// buffered for it: the stream waits, and is cut after this time. Default DefaultWriteTimeout.
	WriteTimeout time.Duration
}

// DefaultWriteTimeout is the default of Deps.WriteTimeout.
const DefaultWriteTimeout = 15 * time.Second

// SetDefaults fills in what may be left out.
func (d *Deps) SetDefaults() {
	if d.SlowClient == nil {
		d.SlowClient = func() {}
	}
	if d.WriteTimeout == 0 {
		d.WriteTimeout = DefaultWriteTimeout
	}
}

// Kind describes one kind to its handlers.
type Kind[T client.Object] struct {
	// GVK is group, version and kind.
	GVK schema.GroupVersionKind
	// Resource is the plural name.
	Resource string
	// New and NewList make empty values.
	New     func() T
	NewList func() client.ObjectList
	// CheckName says what is wrong with a name; the rules are Kubernetes' (apimachinery).
	CheckName func(name string, prefix bool) []string
	// Prepare checks and completes an object before it is written. It may be nil.
	Prepare func(ctx context.Context, w Write[T]) error
	// Belongs tells if an object is below the path of the request: one of another workspace is not
	// there. It may be nil.
	Belongs func(req *restful.Request, obj T) bool
	// Forms is true for a kind that consoles send as the forms that they fill in, with fields that only they know:
	// those are dropped, with a warning, instead of refused.
	Forms bool
	// Latest is true for a kind that consoles replace without its resourceVersion: then the latest object is
	// replaced.
	Latest bool
	// Filters are conditions on the objects of a list or watch that its query asks for, besides those
	// of the store. It may be nil.
	Filters func(req *restful.Request) ([]store.Filter[T], error)
	// Selector narrows a list or watch by labels. It may be nil.
	Selector func(req *restful.Request) map[string]string
	// Field narrows a list or watch by a field of index.Sorted, "" by none; it costs less than Selector.
	// It may be nil.
	Field func(req *restful.Request) (field, value string)
}

// Write is a write that is about to be made.
type Write[T client.Object] struct {
	// Request is the request that asks for it.
	Request *restful.Request
	// Object is what is to be written.
	Object T
	// Create is true for a new object.
	Create bool
	// User is the name of who asks for it.
	User string
}

// Handler serves one kind.
type Handler[T client.Object] struct {
	kind Kind[T]
	deps Deps
}

// New makes the handler of a kind.
func New[T client.Object](kind Kind[T], deps Deps) *Handler[T] {
	deps.SetDefaults()
	return &Handler[T]{kind: kind, deps: deps}
}

// List answers with a page, or with a stream if the query asks for a watch.
func (h *Handler[T]) List(req *restful.Request, resp *restful.Response) error {
	if info, ok := request.InfoFrom(req.Request.Context()); ok && info.Verb == request.VerbWatch {
		return h.watch(req, resp)
	}
	query, filters, err := h.query(req)
	if err != nil {
		return err
	}
	page, err := store.ListJSON(req.Request.Context(), h.deps.Store, h.kind.NewList(), query, filters...)
	if err != nil {
		return err
	}
	response.WriteItems(resp.ResponseWriter, req.Request, response.Items{
		Items: page.Items, Total: page.Total, Continue: page.Continue, ResourceVersion: page.ResourceVersion,
	})
	return nil
}

// Page gives the page that a request asks for, for handlers that answer in another form.
func (h *Handler[T]) Page(req *restful.Request) (store.Page[T], error) {
	query, filters, err := h.query(req)
	if err != nil {
		return store.Page[T]{}, err
	}
	return store.List(req.Request.Context(), h.deps.Store, h.kind.NewList(), query, filters...)
}

// Get answers with one object.
func (h *Handler[T]) Get(req *restful.Request, resp *restful.Response) error {
	obj, err := h.read(req)
	if err != nil {
		return err
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, obj)
	return nil
}

// read gives the object that the path names. An object that is not below the path is not there.
func (h *Handler[T]) read(req *restful.Request) (T, error) {
	obj := h.kind.New()
	name := req.PathParameter(ParamName)
	if err := h.deps.Store.Get(req.Request.Context(), req.PathParameter(ParamNamespace), name, obj); err != nil {
		return obj, err
	}
	if h.kind.Belongs != nil && !h.kind.Belongs(req, obj) {
		return obj, apierrors.NewNotFound(h.groupResource(), name)
	}
	return obj, nil
}

// Create makes an object as the user.
func (h *Handler[T]) Create(req *restful.Request, resp *restful.Response) error {
	ctx := req.Request.Context()
	c, user, err := kapis.ClientFor(ctx, h.deps.Clients)
	if err != nil {
		return err
	}
	obj := h.kind.New()
	if err := h.decode(req, resp, obj); err != nil {
		return err
	}
	if err := h.checkNew(obj); err != nil {
		return err
	}
	if h.kind.Prepare != nil {
		if err := h.kind.Prepare(ctx, Write[T]{Request: req, Object: obj, Create: true, User: user}); err != nil {
			return err
		}
	}
	setCreator(obj, user)
	if err := c.Create(ctx, obj, FieldOwner); err != nil {
		return err
	}
	return h.write(req, resp, http.StatusCreated, obj)
}

// Update replaces an object as the user, if it is still the one that the user read.
func (h *Handler[T]) Update(req *restful.Request, resp *restful.Response) error {
	ctx := req.Request.Context()
	c, user, err := kapis.ClientFor(ctx, h.deps.Clients)
	if err != nil {
		return err
	}
	obj := h.kind.New()
	if err := h.decode(req, resp, obj); err != nil {
		return err
	}
	if err := h.checkExisting(req, obj); err != nil {
		return err
	}
	if err := h.guard(req); err != nil {
		return err
	}
	if h.kind.Prepare != nil {
		if err := h.kind.Prepare(ctx, Write[T]{Request: req, Object: obj, User: user}); err != nil {
			return err
		}
	}
	sent := obj.GetResourceVersion()
	obj.SetManagedFields(nil)
	if sent == "" {
		err = h.replaceLatest(ctx, c, obj)
	} else {
		err = c.Update(ctx, obj, FieldOwner)
	}
	if err != nil {
		return h.explainConflict(err, obj.GetName(), sent)
	}
	return h.write(req, resp, http.StatusOK, obj)
}

// replaceLatest replaces an object that was sent without its version. What such a client does not send at all
// stays: finalizers and owners, and labels or annotations if there are none in what it sent.
func (h *Handler[T]) replaceLatest(ctx context.Context, c client.Client, obj T) error {
	withLabels, withAnnotations := obj.GetLabels() != nil, obj.GetAnnotations() != nil
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		latest := h.kind.New()
		if err := h.deps.Store.GetLive(ctx, obj.GetNamespace(), obj.GetName(), latest); err != nil {
			return err
		}
		obj.SetResourceVersion(latest.GetResourceVersion())
		obj.SetFinalizers(latest.GetFinalizers())
		obj.SetOwnerReferences(latest.GetOwnerReferences())
		if !withLabels {
			obj.SetLabels(latest.GetLabels())
		}
		if !withAnnotations {
			obj.SetAnnotations(latest.GetAnnotations())
		}
		return c.Update(ctx, obj, FieldOwner)
	})
}

// Delete removes an object as the user.
func (h *Handler[T]) Delete(req *restful.Request, resp *restful.Response) error {
	ctx := req.Request.Context()
	c, _, err := kapis.ClientFor(ctx, h.deps.Clients)
	if err != nil {
		return err
	}
	if err := h.guard(req); err != nil {
		return err
	}
	obj := h.kind.New()
	obj.SetName(req.PathParameter(ParamName))
	obj.SetNamespace(req.PathParameter(ParamNamespace))
	if err := c.Delete(ctx, obj); err != nil {
		return err
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, response.Success())
	return nil
}

// guard reads the object first where not every object of a name is below the path.
func (h *Handler[T]) guard(req *restful.Request) error {
	if h.kind.Belongs == nil {
		return nil
	}
	_, err := h.read(req)
	return err
}

func (h *Handler[T]) write(req *restful.Request, resp *restful.Response, code int, obj T) error {
	if err := h.deps.Store.Finish(obj); err != nil {
		return err
	}
	response.Write(resp.ResponseWriter, req.Request, code, obj)
	return nil
}

func (h *Handler[T]) groupResource() schema.GroupResource {
	return schema.GroupResource{Group: h.kind.GVK.Group, Resource: h.kind.Resource}
}
