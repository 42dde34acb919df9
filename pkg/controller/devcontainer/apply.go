// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devcontainer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// hashAnnotation on a child is the hash of what was last asked for. It shows when a field is no longer
// asked for, which a comparison of what is asked for with what is there cannot see.
const hashAnnotation = "devcontainer.devstar.cn/applied-hash"

const (
	// foreignDelay is when to look again if an object that is not ours has the name of a child. No
	// watch tells when it goes.
	foreignDelay = 30 * time.Second
	// leftoverDelay is the same for the child of a former app of the same name, which the garbage
	// collector is removing.
	leftoverDelay = 500 * time.Millisecond
	// quotaDelay is when to ask again for what a quota refused.
	quotaDelay = 15 * time.Second
)

// apply makes sure that want is there, and gives it as it is. live is an empty object of want's type.
//
// It reads first and writes only if something that want names differs, or if want is not what was asked
// for last: a pass over an app that is in order writes nothing, and what others change is repaired. What
// others add in fields that want leaves alone is theirs. Server-side apply would need a write in each
// pass to find out, and would take over objects of others in silence.
func (r *Reconciler) apply(ctx context.Context, s *scope, want, live client.Object) (client.Object, error) {
	hash, err := hashOf(want)
	if err != nil {
		return nil, err
	}
	want.GetAnnotations()[hashAnnotation] = hash

	key := client.ObjectKeyFromObject(want)
	err = r.client.Get(ctx, key, live)
	if apierrors.IsNotFound(err) {
		created := want.DeepCopyObject().(client.Object)
		err = r.client.Create(ctx, created)
		if err == nil {
			return created, nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return nil, outcomeOf(fmt.Errorf("create %s: %w", describe(want), err))
		}
		// The cache is behind, or does not hold what is not labelled as ours.
		err = r.reader.Get(ctx, key, live)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", describe(want), err)
	}
	if err := checkOwner(s.app, live); err != nil {
		return nil, err
	}
	same, err := covers(want, live) // the hash as well, which is one of want's annotations
	if err != nil || same {
		return live, err
	}
	before := live.DeepCopyObject().(client.Object)
	merge(live, want)
	// With the version that was read: a decision on an old state must not overwrite a new one.
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.client.Patch(ctx, live, patch); err != nil {
		return nil, outcomeOf(fmt.Errorf("update %s: %w", describe(want), err))
	}
	return live, nil
}

// checkOwner refuses objects that are not the app's, and those that are about to go.
func checkOwner(app *devcontainerv1.DevcontainerApp, live client.Object) error {
	switch owner := metav1.GetControllerOf(live); {
	case owner != nil && owner.UID == app.UID:
		if live.GetDeletionTimestamp() != nil {
			return reconcile.Wait(devcontainerv1.ReasonStarting,
				describe(live)+" is being deleted and will be made again", 0)
		}
		return nil
	case owner != nil && owner.Kind == devcontainerv1.Kind && owner.Name == app.Name:
		return reconcile.Wait(devcontainerv1.ReasonStarting,
			describe(live)+" of a former dev container of this name is being removed", leftoverDelay)
	default:
		return reconcile.Wait(devcontainerv1.ReasonFailed,
			describe(live)+" exists and does not belong to this dev container: delete it, or give the dev container another name", foreignDelay)
	}
}

// merge puts what want asks for into live, and leaves alone what cannot be changed or is not ours.
func merge(live, want client.Object) {
	live.SetLabels(overlay(live.GetLabels(), want.GetLabels()))
	live.SetAnnotations(overlay(live.GetAnnotations(), want.GetAnnotations()))
	live.SetOwnerReferences(want.GetOwnerReferences())
	switch live := live.(type) {
	case *corev1.Secret:
		live.Data = want.(*corev1.Secret).Data
	case *corev1.PersistentVolumeClaim:
		live.Spec.Resources = want.(*corev1.PersistentVolumeClaim).Spec.Resources
	case *corev1.Service:
		mergeService(live, want.(*corev1.Service))
	case *appsv1.StatefulSet:
		want := want.(*appsv1.StatefulSet).DeepCopy()
		// "kubectl rollout restart" leaves an annotation here: to drop it would restart the pod.
		want.Spec.Template.Annotations = overlay(live.Spec.Template.Annotations, want.Spec.Template.Annotations)
		live.Spec.Template = want.Spec.Template
		live.Spec.Replicas = want.Spec.Replicas
		live.Spec.UpdateStrategy = want.Spec.UpdateStrategy
		live.Spec.RevisionHistoryLimit = want.Spec.RevisionHistoryLimit
	}
}

// mergeService keeps the NodePort, by which clients know the dev container.
func mergeService(live, want *corev1.Service) {
	ports := make([]corev1.ServicePort, 0, len(want.Spec.Ports))
	for _, port := range want.Spec.Ports {
		for _, old := range live.Spec.Ports {
			if old.Name == port.Name {
				port.NodePort = old.NodePort
			}
		}
		ports = append(ports, port)
	}
	live.Spec.Type = want.Spec.Type
	live.Spec.Selector = want.Spec.Selector
	live.Spec.Ports = ports
}

func overlay(base, top map[string]string) map[string]string {
	merged := maps.Clone(base)
	if merged == nil {
		merged = map[string]string{}
	}
	maps.Copy(merged, top)
	return merged
}

// covers tells if live has everything that want names. Fields that want leaves unset are not looked at:
// there are the server's defaults, and what others added.
func covers(want, live client.Object) (bool, error) {
	w, err := asJSON(want)
	if err != nil {
		return false, err
	}
	l, err := asJSON(live)
	if err != nil {
		return false, err
	}
	return contains(l, w), nil
}

// contains tells if the JSON value have holds all of want. Lists must have the same length and order: an
// item that is not asked for is a difference.
func contains(have, want any) bool {
	switch want := want.(type) {
	case nil:
		return true
	case map[string]any:
		have, _ := have.(map[string]any)
		for key, value := range want {
			if !contains(have[key], value) {
				return false
			}
		}
		return true
	case []any:
		if len(want) == 0 {
			return true
		}
		have, _ := have.([]any)
		if len(have) != len(want) {
			return false
		}
		for i := range want {
			if !contains(have[i], want[i]) {
				return false
			}
		}
		return true
	default:
		return reflect.DeepEqual(have, want)
	}
}

// asJSON gives an object as the server would see it, without its status.
func asJSON(obj client.Object) (map[string]any, error) {
	data, err := json.Marshal(obj)
	if err != nil {
		return nil, fmt.Errorf("compare %s: %w", describe(obj), err)
	}
	var tree map[string]any
	if err := json.Unmarshal(data, &tree); err != nil {
		return nil, fmt.Errorf("compare %s: %w", describe(obj), err)
	}
	for _, name := range []string{"status", "kind", "apiVersion"} {
		delete(tree, name)
	}
	return tree, nil
}

func hashOf(obj client.Object) (string, error) {
	tree, err := asJSON(obj)
	if err != nil {
		return "", err
	}
	// A map is encoded in the order of its keys.
	data, err := json.Marshal(tree)
	if err != nil {
		return "", fmt.Errorf("hash %s: %w", describe(obj), err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:16]), nil
}

// outcomeOf says what an error of the API server means for the pass.
func outcomeOf(err error) error {
	switch {
	case isQuota(err):
		return &reconcile.Outcome{Kind: reconcile.Waiting, Reason: devcontainerv1.ReasonQuotaExceeded, Message: err.Error(), After: quotaDelay, Err: err}
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return reconcile.Stall(devcontainerv1.ReasonFailed, "the namespace is being deleted")
	case apierrors.IsInvalid(err):
		return &reconcile.Outcome{Kind: reconcile.Stalled, Reason: devcontainerv1.ReasonFailed, Message: err.Error(), Err: err}
	case apierrors.IsForbidden(err):
		return reconcile.Retry(devcontainerv1.ReasonPodRefused, err)
	default:
		return err
	}
}

// isQuota tells if a ResourceQuota refused something. The API has no code of its own for it.
func isQuota(err error) bool {
	return apierrors.IsForbidden(err) && isQuotaText(err.Error())
}

func isQuotaText(text string) bool {
	return strings.Contains(text, "exceeded quota") || strings.Contains(text, "failed quota")
}

// describe names an object for people.
func describe(obj client.Object) string {
	kind := reflect.TypeOf(obj).Elem().Name()
	return kind + " " + obj.GetNamespace() + "/" + obj.GetName()
}
