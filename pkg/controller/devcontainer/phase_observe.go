// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devcontainer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/pkg/controller/devcontainer/resources"
)

// eventIndex finds the events about an object. It has the name of the API's own field selector, so that
// a client without a cache finds them too.
const eventIndex = "involvedObject.uid"

// keysAnnotation on a pod is the hash of the keys that it should have. The kubelet looks at a mounted
// Secret about once a minute, but at once when its pod changes: without it a new key would work a minute
// late.
const keysAnnotation = "devcontainer.devstar.cn/keys-hash"

// observe reads what the status is computed from, whatever the phases before it came to.
func (r *Reconciler) observe(ctx context.Context, s *scope) error {
	s.now = r.clock.Now()
	name := client.ObjectKey{Namespace: s.app.Namespace, Name: resources.Name(s.app)}
	if s.set == nil {
		set := &appsv1.StatefulSet{}
		found, err := r.getOwned(ctx, name, set, s.app.UID)
		if err != nil {
			return err
		}
		if found {
			s.set = set
		}
	}
	if s.service == nil {
		service := &corev1.Service{}
		found, err := r.getOwned(ctx, name, service, s.app.UID)
		if err != nil {
			return err
		}
		if found {
			s.service = service
		}
	}
	if s.set == nil {
		return nil
	}
	pod := &corev1.Pod{}
	podKey := client.ObjectKey{Namespace: s.app.Namespace, Name: resources.PodName(s.app)}
	found, err := r.getOwned(ctx, podKey, pod, s.set.UID)
	if err != nil {
		return err
	}
	if found {
		s.pod = pod
	}
	if found && podReady(pod) {
		return nil
	}
	return r.readEvents(ctx, s)
}

// getOwned reads an object; found is false if there is none or if it has another owner.
func (r *Reconciler) getOwned(ctx context.Context, key client.ObjectKey, obj client.Object, owner types.UID) (found bool, err error) {
	if err := r.client.Get(ctx, key, obj); err != nil {
		if client.IgnoreNotFound(err) == nil {
			return false, nil
		}
		return false, fmt.Errorf("read %T %s: %w", obj, key, err)
	}
	controller := metav1.GetControllerOf(obj)
	return controller != nil && controller.UID == owner, nil
}

// readEvents reads the events of the objects that a start may wait for, oldest first.
func (r *Reconciler) readEvents(ctx context.Context, s *scope) error {
	uids := []types.UID{s.set.UID}
	if s.pod != nil {
		uids = append(uids, s.pod.UID)
	}
	if s.claim != nil && s.claim.Status.Phase != corev1.ClaimBound {
		uids = append(uids, s.claim.UID)
	}
	for _, uid := range uids {
		list := &corev1.EventList{}
		err := r.client.List(ctx, list, client.InNamespace(s.app.Namespace), client.MatchingFields{eventIndex: string(uid)})
		if err != nil {
			return fmt.Errorf("list events: %w", err)
		}
		s.events = append(s.events, list.Items...)
	}
	slices.SortStableFunc(s.events, compareEvents)
	return nil
}

// refreshKeys makes the kubelet look at the Secret of a running pod at once.
func (r *Reconciler) refreshKeys(ctx context.Context, s *scope) error {
	if s.pod == nil || s.secret == nil || !podReady(s.pod) || s.pod.DeletionTimestamp != nil {
		return nil
	}
	sum := sha256.Sum256(s.secret.Data[resources.AuthorizedKeysFile])
	hash := hex.EncodeToString(sum[:16])
	if s.pod.Annotations[keysAnnotation] == hash {
		return nil
	}
	before := s.pod.DeepCopy()
	if s.pod.Annotations == nil {
		s.pod.Annotations = map[string]string{}
	}
	s.pod.Annotations[keysAnnotation] = hash
	if err := r.client.Patch(ctx, s.pod, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("tell pod %s of its keys: %w", s.pod.Name, err)
	}
	return nil
}
