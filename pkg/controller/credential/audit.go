// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"context"
	"errors"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// pace says how fast folders are asked for.
type pace struct {
	// slow is the least time between two folders, fast the one after Jenkins was away.
	slow, fast time.Duration
}

func (p *pace) setDefaults() {
	if p.slow <= 0 {
		p.slow = time.Minute
	}
	if p.fast <= 0 {
		p.fast = time.Second
	}
}

type queue = workqueue.TypedRateLimitingInterface[ctrl.Request]

// audit compares one folder after the other with its Secrets, as long as the controller runs: always the one that was asked for the
// longest time ago.
func (r *Reconciler) audit(ctx context.Context, q queue) error {
	go func() {
		timer := time.NewTimer(r.pace.slow)
		defer timer.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			case <-r.inventory.wake:
			}
			next := r.auditNext(ctx, q)
			timer.Reset(next)
		}
	}()
	return nil
}

// auditNext compares the next folder, if it is time for it, and tells when to go on.
func (r *Reconciler) auditNext(ctx context.Context, q queue) time.Duration {
	byFolder, err := r.inJenkins(ctx)
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list credentials")
		return r.pace.slow
	}
	r.inventory.keep(keys(byFolder))
	if len(byFolder) == 0 {
		return r.pace.slow
	}
	name, listed := "", time.Time{}
	for folder := range byFolder {
		if at := r.inventory.lastListed(folder); name == "" || at.Before(listed) {
			name, listed = folder, at
		}
	}
	now := r.Now()
	restarted := listed.Before(r.inventory.restart())
	gap := max(r.Options.Audit/time.Duration(len(byFolder)), r.pace.slow)
	if !restarted && now.Sub(listed) < r.Options.Audit {
		return max(min(gap, listed.Add(r.Options.Audit).Sub(now)), r.pace.fast)
	}
	r.auditFolder(ctx, name, byFolder[name], q)
	if restarted {
		return r.pace.fast
	}
	return gap
}

// inJenkins gives the credentials that Jenkins is to have, by folder.
func (r *Reconciler) inJenkins(ctx context.Context) (map[string][]*corev1.Secret, error) {
	list, err := r.secrets.in(ctx, "")
	if err != nil {
		return nil, err
	}
	out := map[string][]*corev1.Secret{}
	for i := range list {
		// Without the finalizer it is of no project, or has not been worked on yet.
		if s := &list[i]; s.DeletionTimestamp.IsZero() && slices.Contains(s.Finalizers, devopsv1alpha3.CredentialFinalizer) {
			out[s.Namespace] = append(out[s.Namespace], s)
		}
	}
	return out, nil
}

func keys(m map[string][]*corev1.Secret) map[string]bool {
	out := make(map[string]bool, len(m))
	for k := range m {
		out[k] = true
	}
	return out
}

// auditFolder asks for one folder and lets the credentials be worked on that are not there as they should be.
func (r *Reconciler) auditFolder(ctx context.Context, name string, list []*corev1.Secret, q queue) {
	marks, err := r.inventory.refresh(ctx, name)
	if err != nil && !errors.Is(err, jenkins.ErrNotFound) {
		ctrl.LoggerFrom(ctx).V(1).Info("credentials could not be compared with Jenkins", "project", name, "error", err.Error())
		return
	}
	for _, secret := range list {
		hash := secret.Annotations[devopsv1alpha3.CredentialDataHashAnnotation]
		if mark, there := marks[secret.Name]; !there || len(hash) < markLength || mark != hash[:markLength] {
			q.Add(ctrl.Request{NamespacedName: client.ObjectKeyFromObject(secret)})
		}
	}
}
