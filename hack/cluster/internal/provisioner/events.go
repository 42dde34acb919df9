// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package provisioner

import (
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
)

var everything = labels.Everything()

func scheme() *runtime.Scheme { return clientscheme.Scheme }

// startEvents sends recorded events to the API server until stopped.
func (p *Provisioner) startEvents() watch.Interface {
	return p.events.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: p.client.CoreV1().Events("")})
}
