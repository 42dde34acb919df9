// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/predicates"
)

// secrets are the credentials of the cluster: one cache per type, as a field selector names one. The manager's own cache would hold
// every Secret of the cluster.
type secrets struct{ caches []cache.Cache }

// newSecrets makes the caches; the manager runs them, in the replica that leads.
func newSecrets(mgr ctrl.Manager, namespaces []string) (*secrets, error) {
	s := &secrets{}
	for _, kind := range devopsv1alpha3.CredentialSecretTypes() {
		options := cache.Options{
			HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(),
			ByObject: map[client.Object]cache.ByObject{&corev1.Secret{}: {
				Field: fields.OneTermEqualSelector("type", string(kind)), Transform: cache.TransformStripManagedFields(),
			}},
		}
		for _, namespace := range namespaces {
			if options.DefaultNamespaces == nil {
				options.DefaultNamespaces = map[string]cache.Config{}
			}
			options.DefaultNamespaces[namespace] = cache.Config{}
		}
		c, err := cache.New(mgr.GetConfig(), options)
		if err != nil {
			return nil, fmt.Errorf("cache Secrets of type %s: %w", kind, err)
		}
		if err := mgr.Add(c); err != nil {
			return nil, fmt.Errorf("cache Secrets of type %s: %w", kind, err)
		}
		s.caches = append(s.caches, c)
	}
	return s, nil
}

// sources wake the controller when a credential changes.
func (s *secrets) sources() []source.Source {
	var out []source.Source
	for _, c := range s.caches {
		out = append(out, source.Kind(c, client.Object(&corev1.Secret{}), &handler.EnqueueRequestForObject{}, predicates.Changed(userPart)))
	}
	return out
}

// userPart changes with what a user does to a credential, and not with what the controller writes.
func userPart(secret *corev1.Secret) [sha256.Size]byte {
	sum := sha256.New()
	write := func(text string) { _, _ = fmt.Fprintf(sum, "%d:%s", len(text), text) }
	for _, key := range sortedKeys(secret.Data) {
		write(key)
		write(string(secret.Data[key]))
	}
	write(secret.Annotations[devopsv1alpha3.CredentialDescriptionAnnotation])
	_, _ = fmt.Fprint(sum, secret.DeletionTimestamp.IsZero(),
		secret.Annotations[devopsv1alpha3.CredentialAutoSyncAnnotation] == "true",
		// Who removes the hash asks for the entry to be written again.
		secret.Annotations[devopsv1alpha3.CredentialDataHashAnnotation] == "",
		slices.Contains(secret.Finalizers, devopsv1alpha3.CredentialFinalizer))
	return [sha256.Size]byte(sum.Sum(nil))
}

// get reads a credential; nil if there is none. The copy belongs to the caller.
func (s *secrets) get(ctx context.Context, key client.ObjectKey) (*corev1.Secret, error) {
	for _, c := range s.caches {
		secret := &corev1.Secret{}
		err := c.Get(ctx, key, secret)
		switch {
		case err == nil:
			return secret, nil
		case !apierrors.IsNotFound(err):
			return nil, fmt.Errorf("read credential %s: %w", key, err)
		}
	}
	return nil, nil
}

// in lists the credentials of a namespace, of all of them if it is empty. What it gives must not be changed.
func (s *secrets) in(ctx context.Context, namespace string) ([]corev1.Secret, error) {
	var out []corev1.Secret
	for _, c := range s.caches {
		var list corev1.SecretList
		if err := c.List(ctx, &list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("list credentials: %w", err)
		}
		out = append(out, list.Items...)
	}
	return out, nil
}
