// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package authz asks Kubernetes whether a user may do something. Kubernetes RBAC is the only policy;
// this package only remembers its answers for some seconds.
//
// k8s.io/apiserver has such a client, but it brings gRPC and CEL with it.
package authz

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/sync/singleflight"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// cacheSize bounds the remembered decisions: some hundred bytes each.
const cacheSize = 8192

// Creator sends a SubjectAccessReview to Kubernetes.
type Creator interface {
	Create(ctx context.Context, obj client.Object, opts ...client.CreateOption) error
}

// Options are the times of an Authorizer.
type Options struct {
	// AllowTTL is how long a permission is remembered, and so how long it outlives its withdrawal.
	// Default 10 seconds; negative remembers nothing.
	AllowTTL time.Duration
	// DenyTTL is how long a refusal is remembered. Default 5 seconds; negative remembers nothing.
	DenyTTL time.Duration
	// Timeout bounds one call. Default 10 seconds.
	Timeout time.Duration
}

// Authorizer implements authorizer.UnconditionalAuthorizer by SubjectAccessReviews.
type Authorizer struct {
	creator Creator
	options Options
	cache   *cache.LRUExpireCache
	calls   singleflight.Group
}

var _ authorizer.UnconditionalAuthorizer = &Authorizer{}

// New makes an Authorizer.
func New(creator Creator, options Options) *Authorizer {
	if options.AllowTTL == 0 {
		options.AllowTTL = 10 * time.Second
	}
	if options.DenyTTL == 0 {
		options.DenyTTL = 5 * time.Second
	}
	if options.Timeout == 0 {
		options.Timeout = 10 * time.Second
	}
	return &Authorizer{creator: creator, options: options, cache: cache.NewLRUExpireCache(cacheSize)}
}

type decision struct {
	allowed bool
	reason  string
}

// Authorize gives DecisionAllow or DecisionDeny. With an error the decision is always DecisionDeny;
// the error says that Kubernetes could not be asked.
func (a *Authorizer) Authorize(ctx context.Context, attributes authorizer.Attributes) (authorizer.Decision, string, error) {
	review := reviewOf(attributes)
	key, err := keyOf(review)
	if err != nil {
		return authorizer.DecisionDeny, "", err
	}
	if known, ok := a.cache.Get(key); ok {
		return known.(decision).result()
	}
	// One call for all requests that ask the same at once. It does not end with the request that
	// happened to be first.
	result := a.calls.DoChan(key, func() (any, error) {
		callCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.options.Timeout)
		defer cancel()
		return a.ask(callCtx, key, review)
	})
	select {
	case <-ctx.Done():
		return authorizer.DecisionDeny, "", ctx.Err()
	case r := <-result:
		if r.Err != nil {
			return authorizer.DecisionDeny, "", r.Err
		}
		return r.Val.(decision).result()
	}
}

func (d decision) result() (authorizer.Decision, string, error) {
	if d.allowed {
		return authorizer.DecisionAllow, d.reason, nil
	}
	return authorizer.DecisionDeny, d.reason, nil
}

func (a *Authorizer) ask(ctx context.Context, key string, review *authorizationv1.SubjectAccessReview) (decision, error) {
	if err := a.creator.Create(ctx, review); err != nil {
		return decision{}, fmt.Errorf("ask Kubernetes for a permission: %w", err)
	}
	// Denied wins over Allowed if an authorizer behind the API sets both.
	d := decision{allowed: review.Status.Allowed && !review.Status.Denied, reason: review.Status.Reason}
	ttl := a.options.DenyTTL
	if d.allowed {
		ttl = a.options.AllowTTL
	}
	if ttl > 0 {
		a.cache.Add(key, d, ttl)
	}
	return d, nil
}

// keyOf identifies a question: who asks for what. Its length does not depend on names that a client
// chose.
func keyOf(review *authorizationv1.SubjectAccessReview) (string, error) {
	spec, err := json.Marshal(review.Spec)
	if err != nil {
		return "", fmt.Errorf("encode a question for a permission: %w", err)
	}
	sum := sha256.Sum256(spec)
	return string(sum[:]), nil
}

func reviewOf(attributes authorizer.Attributes) *authorizationv1.SubjectAccessReview {
	review := &authorizationv1.SubjectAccessReview{}
	setUser(&review.Spec, attributes.GetUser())
	if !attributes.IsResourceRequest() {
		review.Spec.NonResourceAttributes = &authorizationv1.NonResourceAttributes{
			Path: attributes.GetPath(), Verb: attributes.GetVerb(),
		}
		return review
	}
	review.Spec.ResourceAttributes = &authorizationv1.ResourceAttributes{
		Namespace:   attributes.GetNamespace(),
		Verb:        attributes.GetVerb(),
		Group:       attributes.GetAPIGroup(),
		Version:     attributes.GetAPIVersion(),
		Resource:    attributes.GetResource(),
		Subresource: attributes.GetSubresource(),
		Name:        attributes.GetName(),
	}
	return review
}

func setUser(spec *authorizationv1.SubjectAccessReviewSpec, u user.Info) {
	if u == nil {
		return
	}
	spec.User, spec.UID, spec.Groups = u.GetName(), u.GetUID(), u.GetGroups()
	if len(u.GetExtra()) > 0 {
		spec.Extra = make(map[string]authorizationv1.ExtraValue, len(u.GetExtra()))
		for name, values := range u.GetExtra() {
			spec.Extra[name] = values
		}
	}
}
