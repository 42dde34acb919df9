// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package provisioner

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func claim(name string, change func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	class := "standard"
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "team", Name: name, UID: "uid-1",
			Annotations: map[string]string{annStorageProvisioner: Name},
		},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class,
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:        corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}
	if change != nil {
		change(c)
	}
	return c
}

// until polls a condition that informers bring about.
func until(ctx context.Context, t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, ctx.Err())
		}
	}
}

func TestVolumeComesAndGoes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	dir := t.TempDir()
	policy := corev1.PersistentVolumeReclaimDelete
	client := fake.NewClientset(
		&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "standard"}, Provisioner: Name, ReclaimPolicy: &policy},
		claim("data", nil),
	)
	done := make(chan error, 1)
	go func() { done <- New(client, dir, "node").Run(ctx) }()
	volumes := client.CoreV1().PersistentVolumes()
	var volume *corev1.PersistentVolume
	until(ctx, t, "the volume is made", func() bool {
		var err error
		volume, err = volumes.Get(ctx, "pvc-uid-1", metav1.GetOptions{})
		return err == nil
	})
	path := filepath.Join(dir, "pvc-uid-1")
	if volume.Spec.Local == nil || volume.Spec.Local.Path != path || volume.Spec.ClaimRef.UID != "uid-1" {
		t.Errorf("the volume is %+v", volume.Spec)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("its directory: %v, %v", info, err)
	}
	volume.Status.Phase = corev1.VolumeReleased
	if _, err := volumes.Update(ctx, volume, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	until(ctx, t, "the volume is removed", func() bool {
		_, err := volumes.Get(ctx, "pvc-uid-1", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("its directory is left: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWhatIsLeftAlone(t *testing.T) {
	for name, change := range map[string]func(*corev1.PersistentVolumeClaim){
		"bound claim":              func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = "x" },
		"another's claim":          func(c *corev1.PersistentVolumeClaim) { c.Annotations[annStorageProvisioner] = "x" },
		"claim not yet ours":       func(c *corev1.PersistentVolumeClaim) { c.Annotations = nil },
		"claim without class":      func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = nil },
		"claim for a block device": func(c *corev1.PersistentVolumeClaim) { m := corev1.PersistentVolumeBlock; c.Spec.VolumeMode = &m },
	} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset()
			p := New(client, t.TempDir(), "node")
			if err := p.factory.Storage().V1().StorageClasses().Informer().GetStore().Add(&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "standard"}, Provisioner: Name}); err != nil {
				t.Fatal(err)
			}
			if err := p.provision(t.Context(), claim("data", change)); err != nil {
				t.Fatal(err)
			}
			if list, err := client.CoreV1().PersistentVolumes().List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) != 0 {
				t.Errorf("volumes: %v, %v", list, err)
			}
		})
	}
}

func TestAnothersDirectoryIsNotRemoved(t *testing.T) {
	outside := t.TempDir()
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "x", Annotations: map[string]string{annProvisionedBy: Name}},
		Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: outside}},
		},
		Status: corev1.PersistentVolumeStatus{Phase: corev1.VolumeReleased},
	}
	if err := New(fake.NewClientset(volume), t.TempDir(), "node").reclaim(t.Context(), volume); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Errorf("a directory outside was removed: %v", err)
	}
}
