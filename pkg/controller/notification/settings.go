// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package notification

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/egress"
)

// receiver is who is told.
type receiver struct {
	url string
	// key signs; empty: nothing is signed.
	key    []byte
	events []string
}

// subscription says which Secret is for a run.
type subscription struct {
	secret string
	// since is when it was asked for. Zero: that is not known yet.
	since time.Time
}

// subscription finds the Secret for the runs of a pipeline. Nil: nobody is to be told.
func (r *Reconciler) subscription(ctx context.Context, run *devopsv1alpha3.PipelineRun) (*subscription, error) {
	if run.Spec.PipelineRef == nil {
		return nil, nil //nolint:nilnil // nobody is to be told
	}
	pipeline := &devopsv1alpha3.Pipeline{}
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: run.Namespace, Name: run.Spec.PipelineRef.Name}, pipeline)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // what is gone asks for nothing
	}
	if err != nil {
		return nil, fmt.Errorf("read pipeline: %w", err)
	}
	if s, ok := subscriptionOf(pipeline); ok {
		return s, nil
	}
	project := &devopsv1alpha3.DevOpsProject{}
	if err := r.Client.Get(ctx, client.ObjectKey{Name: run.Namespace}, project); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil //nolint:nilnil // as above
		}
		return nil, fmt.Errorf("read project: %w", err)
	}
	s, _ := subscriptionOf(project)
	return s, nil
}

// subscriptionOf reads the annotations of a pipeline or project; ok is false if it leaves the question to
// others.
func subscriptionOf(obj client.Object) (s *subscription, ok bool) {
	annotations := obj.GetAnnotations()
	secret, ok := annotations[devopsv1alpha3.NotifyAnnotation]
	if !ok || secret == "" {
		return nil, ok
	}
	since, err := time.Parse(time.RFC3339, annotations[devopsv1alpha3.NotifySinceAnnotation])
	if err != nil {
		since = time.Time{}
	}
	return &subscription{secret: secret, since: since}, true
}

// readReceiver reads the Secret. Errors are for users and hold nothing of its content.
func (r *Reconciler) readReceiver(ctx context.Context, namespace, name string) (*receiver, error) {
	secret := &corev1.Secret{}
	if err := r.Reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, secret); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("the Secret %q does not exist", name)
		}
		return nil, fmt.Errorf("the Secret %q cannot be read: %w", name, err)
	}
	if secret.Type != devopsv1alpha3.SecretTypeNotification {
		return nil, fmt.Errorf("the Secret %q is of type %q; it must be %q", name, secret.Type, devopsv1alpha3.SecretTypeNotification)
	}
	address := strings.TrimSpace(string(secret.Data[devopsv1alpha3.NotificationURLKey]))
	if _, err := egress.ParseURL(address); err != nil {
		return nil, fmt.Errorf("the key %q of the Secret %q is not valid: %w", devopsv1alpha3.NotificationURLKey, name, err)
	}
	events, err := readEvents(string(secret.Data[devopsv1alpha3.NotificationEventsKey]))
	if err != nil {
		return nil, fmt.Errorf("the key %q of the Secret %q is not valid: %w", devopsv1alpha3.NotificationEventsKey, name, err)
	}
	return &receiver{url: address, key: secret.Data[devopsv1alpha3.NotificationSecretKey], events: events}, nil
}

func readEvents(text string) ([]string, error) {
	var events []string
	for part := range strings.SplitSeq(text, ",") {
		event := strings.ToLower(strings.TrimSpace(part))
		if event == "" {
			continue
		}
		if !slices.Contains(allEvents, event) {
			return nil, fmt.Errorf("it names an event that there is not; there are %s", strings.Join(allEvents, ", "))
		}
		events = append(events, event)
	}
	if len(events) == 0 {
		return endEvents, nil
	}
	return events, nil
}
