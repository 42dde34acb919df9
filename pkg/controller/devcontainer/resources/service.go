// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
)

// SSHPort is the name of the port of the pod and of the Service.
const SSHPort = "ssh"

// Service leads a NodePort to the container's SSH server. It names no NodePort: Kubernetes chooses one,
// and it stays as long as the Service does.
func Service(app *devcontainerv1.DevcontainerApp) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: objectMeta(app, Name(app)),
		Spec: corev1.ServiceSpec{
			Type:     corev1.ServiceTypeNodePort,
			Selector: Selector(app),
			Ports: []corev1.ServicePort{{
				Name:     SSHPort,
				Protocol: corev1.ProtocolTCP,
				Port:     22,
				// By name, so that a change of the container's port takes effect with the new pod,
				// not before it.
				TargetPort: intstr.FromString(SSHPort),
			}},
		},
	}
}

// NodePort gives the Service's port on the nodes, 0 while it has none.
func NodePort(service *corev1.Service) int32 {
	for i := range service.Spec.Ports {
		if service.Spec.Ports[i].Name == SSHPort {
			return service.Spec.Ports[i].NodePort
		}
	}
	return 0
}
