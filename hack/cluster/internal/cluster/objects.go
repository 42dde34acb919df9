// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/slipway-dev/slipway/hack/cluster/internal/kubeapi"
	"github.com/slipway-dev/slipway/hack/cluster/internal/netplan"
	"github.com/slipway-dev/slipway/hack/cluster/internal/nodeconfig"
)

// applyObjects makes the objects that every cluster has.
func applyObjects(ctx context.Context, client *kubeapi.Client, plan netplan.Plan) error {
	type object = map[string]any
	class := object{
		"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
		"metadata": object{
			"name":        nodeconfig.StorageClass,
			"annotations": object{"storageclass.kubernetes.io/is-default-class": "true"},
		},
		"provisioner":   nodeconfig.Provisioner,
		"reclaimPolicy": "Delete",
		// With WaitForFirstConsumer, the scheduler looks only once a second
		// whether a volume is there. On one node, waiting is of no use.
		"volumeBindingMode": "Immediate",
	}
	const classPath = "/apis/storage.k8s.io/v1/storageclasses/" + nodeconfig.StorageClass
	err := client.Apply(ctx, classPath, class)
	var refused *kubeapi.StatusError
	if errors.As(err, &refused) && refused.Code == http.StatusUnprocessableEntity {
		// An earlier version of this program made it otherwise, and a class
		// cannot be changed. Volumes do not depend on it.
		if err := client.Delete(ctx, classPath); err != nil {
			return fmt.Errorf("replacing the default StorageClass: %w", err)
		}
		err = client.Apply(ctx, classPath, class)
	}
	if err != nil {
		return fmt.Errorf("making the default StorageClass: %w", err)
	}
	// The agreed place where tools look for a cluster's own registry.
	hosting := object{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": object{"name": "local-registry-hosting", "namespace": "kube-public"},
		"data": object{"localRegistryHosting.v1": fmt.Sprintf("host: %q\nhostFromContainerRuntime: %q\nhostFromClusterNetwork: %q\nhelp: \"see hack/cluster/README.md\"\n",
			nodeconfig.RegistryAddr(plan), nodeconfig.RegistryName, nodeconfig.RegistryAddr(plan))},
	}
	if err := client.Apply(ctx, "/api/v1/namespaces/kube-public/configmaps/local-registry-hosting", hosting); err != nil {
		return fmt.Errorf("publishing the registry: %w", err)
	}
	return nil
}

// podsCanRun tells what keeps a pod in the namespace default from running. What
// a kubelet before the one started at kubeletStart said does not count.
func podsCanRun(ctx context.Context, client *kubeapi.Client, kubeletStart time.Time) error {
	var node struct {
		Spec struct {
			Taints []struct {
				Key    string `json:"key"`
				Effect string `json:"effect"`
			} `json:"taints"`
		} `json:"spec"`
		Status struct {
			Conditions []struct {
				Type    string `json:"type"`
				Status  string `json:"status"`
				Message string `json:"message"`
				// Heartbeat is in whole seconds.
				Heartbeat time.Time `json:"lastHeartbeatTime"`
			} `json:"conditions"`
		} `json:"status"`
	}
	if err := client.Get(ctx, "/api/v1/nodes/"+nodeconfig.NodeName, &node); err != nil {
		return fmt.Errorf("the node has not registered: %w", err)
	}
	ready := false
	for _, c := range node.Status.Conditions {
		if c.Type != "Ready" {
			continue
		}
		if c.Status != "True" {
			return fmt.Errorf("the node is not ready: %s", c.Message)
		}
		if c.Heartbeat.Before(kubeletStart.Truncate(time.Second)) {
			return errors.New("the kubelet has not reported since its start")
		}
		ready = true
	}
	if !ready {
		return errors.New("the node has not said whether it is ready")
	}
	for _, t := range node.Spec.Taints {
		if t.Effect == "NoSchedule" || t.Effect == "NoExecute" {
			return fmt.Errorf("the node has the taint %s", t.Key)
		}
	}
	if err := client.Get(ctx, "/api/v1/namespaces/default/serviceaccounts/default", nil); err != nil {
		return fmt.Errorf("the default ServiceAccount is not there: %w", err)
	}
	if err := client.Get(ctx, "/api/v1/namespaces/default/configmaps/kube-root-ca.crt", nil); err != nil {
		return fmt.Errorf("the cluster's authority is not published: %w", err)
	}
	return nil
}
