// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/lru"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/scm/repourl"
)

// SecretAnnotation on a pipeline names the Secret, in its namespace, that deliveries for it may be signed
// with: a credential of the type secret-text.
const SecretAnnotation = "slipway.dev/scm-webhook-secret"

const (
	// secretAge is how long a Secret is not read again: deliveries are not a way to make work for
	// Kubernetes.
	secretAge = 20 * time.Second
	// maxSecrets bounds the Secrets that are remembered.
	maxSecrets = 2048
	// maxTried bounds the secrets that one delivery is checked against, and maxHashed the bytes that are hashed for
	// that: the largest deliveries are checked against twenty.
	maxTried  = 200
	maxHashed = 512 << 20
	// otherSecretKey is where the secret is if it is not where a credential has it.
	otherSecretKey = "token"
)

// grant says how far a delivery reaches.
type grant struct {
	// everywhere: to all pipelines of the repository.
	everywhere bool
	// unsigned: to those that have no secret of their own.
	unsigned bool
	// namespaces and pipelines are those whose secret fits.
	namespaces map[string]bool
	pipelines  map[client.ObjectKey]bool
}

// reaches tells if the delivery is for a pipeline.
func (g grant) reaches(p *devopsv1alpha3.Pipeline) bool {
	switch {
	case g.everywhere, g.namespaces[p.Namespace], g.pipelines[client.ObjectKeyFromObject(p)]:
		return true
	}
	return g.unsigned && p.Annotations[SecretAnnotation] == ""
}

// granted finds how far a delivery reaches. The error is ErrSignature if it reaches nothing.
func (r *Receiver) granted(ctx context.Context, event *Event, sig signature, signed bool) (grant, error) {
	switch {
	case !signed:
		return grant{unsigned: true}, nil
	case sig.fits(r.opts.Secret):
		return grant{everywhere: true}, nil
	}
	g := grant{namespaces: map[string]bool{}, pipelines: map[client.ObjectKey]bool{}}
	pipelines, err := r.pipelines(ctx, event.Keys)
	if err != nil {
		return g, err
	}
	webhooks, err := r.webhooks(ctx, event.Keys)
	if err != nil {
		return g, err
	}
	candidates := slices.Clone(webhooks)
	for _, p := range pipelines {
		if key, ok := secretOf(p); ok {
			candidates = append(candidates, key)
		}
	}
	fitting := map[client.ObjectKey]bool{}
	for _, key := range triedFor(candidates, len(sig.body)) {
		secret, err := r.secrets.get(ctx, key)
		if err != nil {
			return g, err
		}
		fitting[key] = sig.fits(secret)
	}
	for _, key := range webhooks {
		if fitting[key] {
			g.namespaces[key.Namespace] = true
		}
	}
	for _, p := range pipelines {
		if key, ok := secretOf(p); ok && fitting[key] {
			g.pipelines[client.ObjectKeyFromObject(p)] = true
		}
	}
	if len(g.namespaces) == 0 && len(g.pipelines) == 0 {
		return g, ErrSignature
	}
	return g, nil
}

// secretOf names the Secret of a pipeline's own; ok is false if it has none.
func secretOf(p *devopsv1alpha3.Pipeline) (key client.ObjectKey, ok bool) {
	name := p.Annotations[SecretAnnotation]
	return client.ObjectKey{Namespace: p.Namespace, Name: name}, name != ""
}

// inTurn gives each of a list once: first one of each namespace, then a second one of each, so that no project takes
// the place of another's by having many.
func inTurn[T comparable](all []T, namespace func(T) string) []T {
	rank, count := map[T]int{}, map[string]int{}
	var list []T
	for _, item := range all {
		if _, known := rank[item]; !known {
			rank[item] = count[namespace(item)]
			count[namespace(item)]++
			list = append(list, item)
		}
	}
	slices.SortStableFunc(list, func(a, b T) int { return cmp.Compare(rank[a], rank[b]) })
	return list
}

// triedFor gives the Secrets that a body of a length is checked with.
func triedFor(candidates []client.ObjectKey, length int) []client.ObjectKey {
	list := inTurn(candidates, func(key client.ObjectKey) string { return key.Namespace })
	return list[:min(len(list), maxTried, maxHashed/max(1, length))]
}

// webhooks gives the Secrets of the Webhook objects of a repository.
func (r *Receiver) webhooks(ctx context.Context, keys []repourl.Key) ([]client.ObjectKey, error) {
	var out []client.ObjectKey
	for _, key := range keys {
		list := &devopsv1alpha3.GitRepositoryList{}
		if err := r.opts.Reader.List(ctx, list, client.MatchingFields{index.RepositoryURL: string(key)}, client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("find the repository of an event: %w", err)
		}
		for i := range list.Items {
			repo := &list.Items[i]
			for _, ref := range repo.Spec.Webhooks {
				webhook := &devopsv1alpha3.Webhook{}
				err := r.opts.Reader.Get(ctx, client.ObjectKey{Namespace: repo.Namespace, Name: ref.Name}, webhook)
				if err != nil && !apierrors.IsNotFound(err) {
					return nil, fmt.Errorf("find the webhook of an event: %w", err)
				}
				// A Secret of another namespace is not the user's to name.
				if s := webhook.Spec.Secret; err == nil && s != nil && s.Name != "" && (s.Namespace == "" || s.Namespace == repo.Namespace) {
					out = append(out, client.ObjectKey{Namespace: repo.Namespace, Name: s.Name})
				}
			}
		}
	}
	return out, nil
}

// secrets reads Secrets and remembers them for a while, also that there is none.
type secrets struct {
	client client.Client
	now    func() time.Time
	cache  *lru.Cache
}

type cachedSecret struct {
	value []byte
	until time.Time
}

func newSecrets(c client.Client, now func() time.Time) *secrets {
	return &secrets{client: c, now: now, cache: lru.New(maxSecrets)}
}

// get gives the secret of a Secret, nil if it has none. Only Secrets that are made to be named by users
// count: credentials of the type secret-text, and Opaque ones.
func (s *secrets) get(ctx context.Context, key client.ObjectKey) ([]byte, error) {
	now := s.now()
	if known, ok := s.cache.Get(key); ok && now.Before(known.(cachedSecret).until) {
		return known.(cachedSecret).value, nil
	}
	secret := &corev1.Secret{}
	err := s.client.Get(ctx, key, secret)
	switch {
	case apierrors.IsForbidden(err):
		// An administrator may grant the right in single namespaces; those of others must not stop a delivery.
		logr.FromContextOrDiscard(ctx).Info("the secret of a webhook may not be read; bind the ClusterRole slipway-apiserver-webhook-secrets in its namespace",
			"namespace", key.Namespace, "name", key.Name)
	case err != nil && !apierrors.IsNotFound(err):
		return nil, fmt.Errorf("read the secret of a webhook: %w", err)
	}
	var value []byte
	if secret.Type == devopsv1alpha3.SecretTypeSecretText || secret.Type == corev1.SecretTypeOpaque || secret.Type == "" {
		if value = secret.Data[devopsv1alpha3.WebhookSecretKey]; len(value) == 0 {
			value = secret.Data[otherSecretKey]
		}
	}
	value = bytes.TrimSpace(value)
	s.cache.Add(key, cachedSecret{value: value, until: now.Add(secretAge)})
	return value, nil
}
