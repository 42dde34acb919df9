// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rights asks in which namespaces a user may do something, for answers that go over several
// projects.
package rights

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/slipway-dev/slipway/pkg/apiserver/response"
)

// questions is how many questions are on their way at once. The Authorizer remembers the answers for
// some seconds.
const questions = 16

// Right is what a user would do in a namespace.
type Right struct {
	Verb, Group, Version, Resource, Subresource string
}

// Namespaces are those in which a user has a right.
type Namespaces struct {
	all   bool
	names map[string]bool
}

// Has tells if a namespace is one of them.
func (n Namespaces) Has(namespace string) bool { return n.all || n.names[namespace] }

// Allowed asks in which of the namespaces the user has the right. Who has it everywhere costs one
// question. An error says that Kubernetes could not be asked.
func Allowed(ctx context.Context, a authorizer.UnconditionalAuthorizer, u user.Info, right Right, namespaces []string) (Namespaces, error) {
	everywhere, err := Has(ctx, a, u, right, "", "")
	if err != nil || everywhere {
		return Namespaces{all: everywhere}, err
	}
	out := Namespaces{names: make(map[string]bool, len(namespaces))}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(questions)
	for _, namespace := range namespaces {
		group.Go(func() error {
			allowed, err := Has(ctx, a, u, right, namespace, "")
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			out.names[namespace] = allowed
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return Namespaces{}, err
	}
	return out, nil
}

// Has tells if the user has the right in a namespace, on one object or, without a name, on all. An
// empty namespace stands for all of them.
func Has(ctx context.Context, a authorizer.UnconditionalAuthorizer, u user.Info, right Right, namespace, name string) (bool, error) {
	decision, _, err := a.Authorize(ctx, authorizer.AttributesRecord{
		User: u, Verb: right.Verb, APIGroup: right.Group, APIVersion: right.Version, Resource: right.Resource,
		Subresource: right.Subresource, Namespace: namespace, Name: name, ResourceRequest: true,
	})
	switch {
	case errors.Is(err, context.Canceled):
		return false, fmt.Errorf("ask for a right: %w", err)
	case err != nil:
		// The first is what the user is told, the second is for the log.
		return false, fmt.Errorf("%w: %w", response.Unavailable("the permission cannot be checked at the moment; try again"), err)
	}
	return decision == authorizer.DecisionAllow, nil
}
