// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tokenreview asks Kubernetes whose token it is. ServiceAccount tokens come this way: a
// pipeline step calls the API with the token of its pod.
//
// k8s.io/apiserver has such a client, but it brings gRPC and the egress selector with it.
package tokenreview

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"golang.org/x/sync/singleflight"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// cacheSize bounds the remembered answers: some hundred bytes each.
const cacheSize = 4096

// Creator sends a TokenReview to Kubernetes.
type Creator interface {
	Create(ctx context.Context, obj client.Object, opts ...client.CreateOption) error
}

// Options are the times of an Authenticator.
type Options struct {
	// SuccessTTL is how long a good token is remembered, and so how long it outlives its
	// revocation. Default 30 seconds.
	SuccessTTL time.Duration
	// FailureTTL is how long a bad token is remembered. Default 5 seconds.
	FailureTTL time.Duration
	// Timeout bounds one call. Default 10 seconds.
	Timeout time.Duration
	// Audiences are those that a token may be for. Default: that of the Kubernetes API.
	Audiences []string
}

// Authenticator implements authenticator.Token.
type Authenticator struct {
	creator Creator
	options Options
	// cache holds answers by the SHA-256 of the token: the memory of the process holds no tokens.
	cache *cache.LRUExpireCache
	calls singleflight.Group
}

var _ authenticator.Token = &Authenticator{}

// New makes an Authenticator.
func New(creator Creator, options Options) *Authenticator {
	if options.SuccessTTL == 0 {
		options.SuccessTTL = 30 * time.Second
	}
	if options.FailureTTL == 0 {
		options.FailureTTL = 5 * time.Second
	}
	if options.Timeout == 0 {
		options.Timeout = 10 * time.Second
	}
	return &Authenticator{creator: creator, options: options, cache: cache.NewLRUExpireCache(cacheSize)}
}

// AuthenticateToken gives the user of a token that Kubernetes accepts, and has no opinion on others.
// An error says that Kubernetes could not be asked; it is not remembered.
func (a *Authenticator) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	sum := sha256.Sum256([]byte(token))
	key := string(sum[:])
	if known, ok := a.cache.Get(key); ok {
		return answer(known.(user.Info))
	}
	// One call for all requests that come with the token at once. It does not end with the request
	// that happened to be first.
	result := a.calls.DoChan(key, func() (any, error) {
		callCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.options.Timeout)
		defer cancel()
		return a.review(callCtx, key, token)
	})
	select {
	case <-ctx.Done():
		return nil, false, ctx.Err()
	case r := <-result:
		if r.Err != nil {
			return nil, false, r.Err
		}
		return answer(r.Val.(user.Info))
	}
}

// nobody stands in the cache for a token that is not accepted.
var nobody user.Info = &user.DefaultInfo{}

func answer(u user.Info) (*authenticator.Response, bool, error) {
	if u == nobody {
		return nil, false, nil
	}
	return &authenticator.Response{User: u}, true, nil
}

func (a *Authenticator) review(ctx context.Context, key, token string) (user.Info, error) {
	review := &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: a.options.Audiences},
	}
	if err := a.creator.Create(ctx, review); err != nil {
		return nil, fmt.Errorf("ask Kubernetes to review a token: %w", err)
	}
	if !review.Status.Authenticated || review.Status.User.Username == "" {
		a.cache.Add(key, nobody, a.options.FailureTTL)
		return nobody, nil
	}
	u := &user.DefaultInfo{
		Name:   review.Status.User.Username,
		UID:    review.Status.User.UID,
		Groups: review.Status.User.Groups,
		Extra:  make(map[string][]string, len(review.Status.User.Extra)),
	}
	for name, values := range review.Status.User.Extra {
		u.Extra[name] = values
	}
	a.cache.Add(key, user.Info(u), a.options.SuccessTTL)
	return u, nil
}
