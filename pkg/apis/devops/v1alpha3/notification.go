// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha3

import corev1 "k8s.io/api/core/v1"

// Annotations of notifications.
const (
	// NotifyAnnotation on a Pipeline names the Secret, of type SecretTypeNotification and in the same
	// namespace, that says who is told of its runs. On a DevOpsProject it is for all pipelines that do not
	// have the annotation themselves; a Pipeline with an empty one tells nobody.
	NotifyAnnotation = slipwayPrefix + "notify"
	// NotifySinceAnnotation beside it is the time, RFC 3339, at which it was set: what happened before is
	// not told. The controller writes it.
	NotifySinceAnnotation = slipwayPrefix + "notify-since"
	// NotifiedAnnotation on a run is the record, as JSON, of what was told of it.
	NotifiedAnnotation = slipwayPrefix + "notified"
)

// SecretTypeNotification is the type of the Secrets that say who is told of runs.
const SecretTypeNotification corev1.SecretType = slipwayPrefix + "notification"

// Keys of these Secrets.
const (
	// NotificationURLKey is the address that gets the notifications by POST.
	NotificationURLKey = "url"
	// NotificationSecretKey is the key of the signature. Without it notifications are not signed.
	NotificationSecretKey = "secret"
	// NotificationEventsKey lists what is told, with commas between: started, input, succeeded, unstable,
	// failed, stopped. Without it every end is told.
	NotificationEventsKey = "events"
)
