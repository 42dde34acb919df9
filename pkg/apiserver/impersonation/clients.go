// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package impersonation gives Kubernetes clients that act as the user of a request: Kubernetes
// checks the user's own rights, and its audit log names the user.
package impersonation

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/rest"
	"k8s.io/utils/lru"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// remembered bounds the clients that are kept. One costs some kilobytes; all share the connections
// of one transport.
const remembered = 1024

// ErrNoUser says that a client was asked for without a user: it would act with the server's own
// rights.
var ErrNoUser = errors.New("no user to act as")

// Clients makes and remembers clients.
type Clients struct {
	config *rest.Config
	scheme *runtime.Scheme
	mapper meta.RESTMapper
	cache  *lru.Cache
}

// New makes Clients. The config's own user needs the right to impersonate users, groups and service
// accounts.
func New(config *rest.Config, scheme *runtime.Scheme, mapper meta.RESTMapper) *Clients {
	config = rest.CopyConfig(config)
	// Kubernetes has a fairness of its own, which counts the impersonated user.
	config.QPS = -1
	config.RateLimiter = nil
	return &Clients{config: config, scheme: scheme, mapper: mapper, cache: lru.New(remembered)}
}

// ClientFor gives a client that acts as the user. Its calls take as long as their context allows.
func (c *Clients) ClientFor(u user.Info) (client.WithWatch, error) {
	if u == nil || u.GetName() == "" {
		return nil, ErrNoUser
	}
	identity := identityOf(u)
	key, err := keyOf(identity)
	if err != nil {
		return nil, err
	}
	if known, ok := c.cache.Get(key); ok {
		return known.(client.WithWatch), nil
	}
	config := rest.CopyConfig(c.config)
	config.Impersonate = identity
	made, err := client.NewWithWatch(config, client.Options{Scheme: c.scheme, Mapper: c.mapper})
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	c.cache.Add(key, made)
	return made, nil
}

// identityOf gives what is sent to Kubernetes. Groups that Kubernetes adds on its own are left out:
// to name them would need the right to impersonate them.
func identityOf(u user.Info) rest.ImpersonationConfig {
	identity := rest.ImpersonationConfig{UserName: u.GetName()}
	serviceAccount := strings.HasPrefix(u.GetName(), "system:serviceaccount:")
	for _, group := range u.GetGroups() {
		added := group == user.AllAuthenticated || serviceAccount && strings.HasPrefix(group, "system:serviceaccounts")
		if !added {
			identity.Groups = append(identity.Groups, group)
		}
	}
	slices.Sort(identity.Groups)
	// UID and extra fields are left out, too: RBAC does not look at them, and each needs a right of
	// its own to be impersonated.
	return identity
}

func keyOf(identity rest.ImpersonationConfig) ([sha256.Size]byte, error) {
	encoded, err := json.Marshal(identity)
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("encode identity: %w", err)
	}
	return sha256.Sum256(encoded), nil
}
