// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package crud

import (
	"fmt"
	"net/http"

	"github.com/emicklei/go-restful/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/store"
)

// query reads what a list or watch asks for.
func (h *Handler[T]) query(req *restful.Request) (store.Query, []store.Filter[T], error) {
	query, err := store.ParseQuery(req.Request.URL.Query())
	if err != nil {
		return query, nil, err
	}
	query.Namespace = req.PathParameter(ParamNamespace)
	if h.kind.Selector != nil {
		if query.Labels == nil {
			query.Labels = labels.Everything()
		}
		requirements, _ := labels.SelectorFromSet(h.kind.Selector(req)).Requirements()
		query.Labels = query.Labels.Add(requirements...)
	}
	if h.kind.Field != nil {
		query.Field, query.Value = h.kind.Field(req)
	}
	var filters []store.Filter[T]
	if h.kind.Filters != nil {
		if filters, err = h.kind.Filters(req); err != nil {
			return query, nil, err
		}
	}
	if h.kind.Belongs != nil {
		filters = append(filters, func(obj T) bool { return h.kind.Belongs(req, obj) })
	}
	return query, filters, nil
}

// decode reads the body into obj and checks that it is for the address.
func (h *Handler[T]) decode(req *restful.Request, resp *restful.Response, obj T) error {
	if err := h.decodeBody(req, resp, obj); err != nil {
		return err
	}
	got, want := obj.GetObjectKind().GroupVersionKind(), h.kind.GVK
	if got.Kind != "" && got.Kind != want.Kind {
		return apierrors.NewBadRequest(fmt.Sprintf("kind: this address takes %s, got %q", want.Kind, got.Kind))
	}
	version := want.GroupVersion().String()
	if apiVersion := got.GroupVersion().String(); !got.GroupVersion().Empty() && apiVersion != version {
		return apierrors.NewBadRequest(fmt.Sprintf("apiVersion: this address takes %s, got %q", version, apiVersion))
	}
	namespace := req.PathParameter(ParamNamespace)
	if own := obj.GetNamespace(); own != "" && own != namespace {
		return apierrors.NewBadRequest(fmt.Sprintf("metadata.namespace is %q but the address says %q", own, namespace))
	}
	obj.SetNamespace(namespace)
	return nil
}

// maxWarnings bounds how many dropped fields an answer tells, maxWarning how long a warning is, in bytes.
const (
	maxWarnings = 10
	maxWarning  = 256
)

func (h *Handler[T]) decodeBody(req *restful.Request, resp *restful.Response, obj T) error {
	if !h.kind.Forms {
		return request.DecodeJSON(req.Request, obj)
	}
	dropped, err := request.DecodeLenient(req.Request, obj)
	if err != nil {
		return err
	}
	more := len(dropped)
	for _, text := range dropped[:min(len(dropped), maxWarnings)] {
		if warn(resp, text) {
			more--
		}
	}
	if more > 0 {
		warn(resp, fmt.Sprintf("%d more fields are unknown", more))
	}
	return nil
}

// warn tells something as Kubernetes does; kubectl prints it. It tells nothing that is too long.
func warn(resp *restful.Response, text string) bool {
	warning, err := utilnet.NewWarningHeader(299, "slipway", text)
	if err != nil || len(warning) > maxWarning {
		return false
	}
	resp.AddHeader("Warning", warning)
	return true
}

// checkNew checks the name of a new object and removes what only the server may set, so that a copy
// of another object can be sent.
func (h *Handler[T]) checkNew(obj T) error {
	path := field.NewPath("metadata")
	var errs field.ErrorList
	switch name, prefix := obj.GetName(), obj.GetGenerateName(); {
	case name != "":
		for _, message := range h.kind.CheckName(name, false) {
			errs = append(errs, field.Invalid(path.Child("name"), name, message))
		}
	case prefix != "":
		for _, message := range h.kind.CheckName(prefix, true) {
			errs = append(errs, field.Invalid(path.Child("generateName"), prefix, message))
		}
	default:
		errs = append(errs, field.Required(path.Child("name"), "give a name, or a generateName that the server makes one of"))
	}
	if len(errs) > 0 {
		return apierrors.NewInvalid(h.kind.GVK.GroupKind(), "", errs)
	}
	obj.SetUID("")
	obj.SetResourceVersion("")
	obj.SetGeneration(0)
	obj.SetCreationTimestamp(metav1.Time{})
	obj.SetDeletionTimestamp(nil)
	obj.SetDeletionGracePeriodSeconds(nil)
	obj.SetManagedFields(nil)
	return nil
}

// checkExisting checks that the body is the object of the address, in a version that was read.
func (h *Handler[T]) checkExisting(req *restful.Request, obj T) error {
	name := req.PathParameter(ParamName)
	if own := obj.GetName(); own != "" && own != name {
		return apierrors.NewBadRequest(fmt.Sprintf("metadata.name is %q but the address says %q; objects cannot be renamed", own, name))
	}
	obj.SetName(name)
	if obj.GetResourceVersion() == "" && !h.kind.Latest {
		return apierrors.NewInvalid(h.kind.GVK.GroupKind(), name, field.ErrorList{field.Required(field.NewPath("metadata", "resourceVersion"),
			"GET the object, change what you got and PUT it, so that changes of others are not lost")})
	}
	return nil
}

// explainConflict says what to do about a conflict.
func (h *Handler[T]) explainConflict(err error, name, sent string) error {
	if !apierrors.IsConflict(err) {
		return err
	}
	if sent == "" {
		return response.NewStatus(http.StatusConflict, metav1.StatusReasonConflict, fmt.Sprintf(
			"%s %q is being changed by others, or it is another one than you read: GET it again, make your change and PUT it", h.kind.Resource, name))
	}
	return response.NewStatus(http.StatusConflict, metav1.StatusReasonConflict, fmt.Sprintf(
		"%s %q was changed since you read it (you sent resourceVersion %s): GET it again, make your change and PUT it", h.kind.Resource, name, sent))
}

// setCreator records who made an object.
func setCreator(obj client.Object, user string) {
	annotations := obj.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[devopsv1alpha3.CreatorAnnotation] = user
	obj.SetAnnotations(annotations)
}
