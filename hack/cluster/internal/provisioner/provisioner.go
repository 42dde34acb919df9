// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package provisioner makes a directory of the node into a PersistentVolume
// for each claim of the development cluster's default StorageClass.
//
// Kubernetes' own host-path provisioner writes to /tmp/hostpath_pv with mode
// 0750, which a container that is not root cannot enter and which is hard to
// clean up after a crash. This one keeps every volume in one directory of the
// cluster's state and makes volumes of type "local", to which the kubelet
// applies a pod's fsGroup, as it does to a cloud disk.
package provisioner

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

// Name is the provisioner's name in a StorageClass.
const Name = "slipway.dev/node-directory"

const (
	// annProvisionedBy names the provisioner that made a volume; Kubernetes and
	// kubectl use the same key.
	annProvisionedBy = "pv.kubernetes.io/provisioned-by"
	// annStorageProvisioner is what the volume controller puts on a claim for
	// which it expects an external provisioner to act.
	annStorageProvisioner = "volume.kubernetes.io/storage-provisioner"
	resync                = 5 * time.Minute
)

// Main runs the provisioner until ctx is done. Its flags are --kubeconfig,
// --dir (where the volumes' directories are made) and --node (the name of the
// node that they are on).
func Main(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("provisioner", flag.ContinueOnError)
	kubeconfig := fs.String("kubeconfig", "", "kubeconfig `file` of the cluster")
	dir := fs.String("dir", "", "`directory` that holds one directory per volume")
	node := fs.String("node", "", "`name` of the node that the directory is on")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *dir == "" || *node == "" {
		return errors.New("--dir and --node are required")
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return fmt.Errorf("reading kubeconfig: %w", err)
	}
	config.QPS, config.Burst = 50, 100
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("making client: %w", err)
	}
	return New(client, *dir, *node).Run(ctx)
}

// Provisioner makes and removes volumes. Use New to make one.
type Provisioner struct {
	client  kubernetes.Interface
	dir     string
	node    string
	factory informers.SharedInformerFactory
	claims  corelisters.PersistentVolumeClaimLister
	volumes corelisters.PersistentVolumeLister
	classes storagelisters.StorageClassLister
	queue   workqueue.TypedRateLimitingInterface[key]
	events  record.EventBroadcaster
	record  record.EventRecorder
}

// key names one object to look at: a claim by namespace and name, or, where
// the namespace is empty, a volume by name.
type key struct{ namespace, name string }

// New returns a Provisioner whose volumes are directories in dir, on node.
func New(client kubernetes.Interface, dir, node string) *Provisioner {
	factory := informers.NewSharedInformerFactory(client, resync)
	p := &Provisioner{
		client:  client,
		dir:     dir,
		node:    node,
		factory: factory,
		claims:  factory.Core().V1().PersistentVolumeClaims().Lister(),
		volumes: factory.Core().V1().PersistentVolumes().Lister(),
		classes: factory.Storage().V1().StorageClasses().Lister(),
		queue: workqueue.NewTypedRateLimitingQueue(
			workqueue.NewTypedItemExponentialFailureRateLimiter[key](100*time.Millisecond, 30*time.Second)),
		events: record.NewBroadcaster(),
	}
	p.record = p.events.NewRecorder(scheme(), corev1.EventSource{Component: Name})
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    p.enqueue,
		UpdateFunc: func(_, obj any) { p.enqueue(obj) },
	}
	for _, informer := range []cache.SharedIndexInformer{
		factory.Core().V1().PersistentVolumeClaims().Informer(),
		factory.Core().V1().PersistentVolumes().Informer(),
		factory.Storage().V1().StorageClasses().Informer(),
	} {
		// Adding a handler fails only on an informer that was stopped.
		_, _ = informer.AddEventHandler(handler)
	}
	return p
}

// Run works until ctx is done.
func (p *Provisioner) Run(ctx context.Context) error {
	sink := p.startEvents()
	defer sink.Stop()
	defer p.events.Shutdown()
	p.factory.Start(ctx.Done())
	for kind, ok := range p.factory.WaitForCacheSync(ctx.Done()) {
		if !ok {
			return fmt.Errorf("the cache of %v did not fill: %w", kind, ctx.Err())
		}
	}
	go func() {
		<-ctx.Done()
		p.queue.ShutDown()
	}()
	klog.InfoS("Provisioner is ready", "dir", p.dir, "node", p.node)
	for {
		k, stop := p.queue.Get()
		if stop {
			return nil
		}
		if err := p.sync(ctx, k); err != nil && ctx.Err() == nil {
			klog.ErrorS(err, "Will try again", "namespace", k.namespace, "name", k.name)
			p.queue.AddRateLimited(k)
		} else {
			p.queue.Forget(k)
		}
		p.queue.Done(k)
	}
}

func (p *Provisioner) enqueue(obj any) {
	switch o := obj.(type) {
	case *corev1.PersistentVolumeClaim:
		p.queue.Add(key{o.Namespace, o.Name})
	case *corev1.PersistentVolume:
		p.queue.Add(key{"", o.Name})
	case *storagev1.StorageClass:
		// A claim may be older than its class.
		claims, err := p.claims.List(everything)
		if err != nil {
			return
		}
		for _, c := range claims {
			if c.Spec.VolumeName == "" {
				p.queue.Add(key{c.Namespace, c.Name})
			}
		}
	}
}

func (p *Provisioner) sync(ctx context.Context, k key) error {
	if k.namespace == "" {
		volume, err := p.volumes.Get(k.name)
		if err != nil {
			return ignoreNotFound(err)
		}
		return p.reclaim(ctx, volume)
	}
	claim, err := p.claims.PersistentVolumeClaims(k.namespace).Get(k.name)
	if err != nil {
		return ignoreNotFound(err)
	}
	return p.provision(ctx, claim)
}

// provision makes a volume for a claim that waits for one from us.
func (p *Provisioner) provision(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	if claim.Spec.VolumeName != "" || claim.DeletionTimestamp != nil || claim.Annotations[annStorageProvisioner] != Name {
		return nil
	}
	if claim.Spec.StorageClassName == nil {
		return nil
	}
	class, err := p.classes.Get(*claim.Spec.StorageClassName)
	if err != nil {
		return ignoreNotFound(err)
	}
	if class.Provisioner != Name {
		return nil
	}
	if mode := claim.Spec.VolumeMode; mode != nil && *mode == corev1.PersistentVolumeBlock {
		p.record.Event(claim, corev1.EventTypeWarning, "ProvisioningFailed", "this cluster has no block volumes; use volumeMode Filesystem")
		return nil
	}
	if claim.Spec.DataSource != nil || claim.Spec.DataSourceRef != nil {
		p.record.Event(claim, corev1.EventTypeWarning, "ProvisioningFailed", "this cluster cannot fill a volume from a data source")
		return nil
	}
	volume := p.volumeFor(claim, class)
	// The mode is that of the root of a fresh disk; fsGroup opens it to others.
	if err := os.MkdirAll(volume.Spec.Local.Path, 0o755); err != nil {
		return fmt.Errorf("making the directory of volume %s: %w", volume.Name, err)
	}
	_, err = p.client.CoreV1().PersistentVolumes().Create(ctx, volume, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("creating volume %s: %w", volume.Name, err)
	}
	p.record.Eventf(claim, corev1.EventTypeNormal, "ProvisioningSucceeded", "Provisioned volume %s", volume.Name)
	return nil
}

// volumeFor returns the volume of a claim. Its name follows from the claim's
// UID, so that doing the work twice makes one volume.
func (p *Provisioner) volumeFor(claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass) *corev1.PersistentVolume {
	name := "pvc-" + string(claim.UID)
	reclaim := corev1.PersistentVolumeReclaimDelete
	if class.ReclaimPolicy != nil {
		reclaim = *class.ReclaimPolicy
	}
	mode := corev1.PersistentVolumeFilesystem
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Annotations: map[string]string{annProvisionedBy: Name},
		},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: claim.Spec.Resources.Requests[corev1.ResourceStorage]},
			AccessModes:                   claim.Spec.AccessModes,
			PersistentVolumeReclaimPolicy: reclaim,
			StorageClassName:              class.Name,
			VolumeMode:                    &mode,
			MountOptions:                  class.MountOptions,
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				Local: &corev1.LocalVolumeSource{Path: filepath.Join(p.dir, name)},
			},
			ClaimRef: &corev1.ObjectReference{
				APIVersion: "v1",
				Kind:       "PersistentVolumeClaim",
				Namespace:  claim.Namespace,
				Name:       claim.Name,
				UID:        claim.UID,
			},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{
					MatchExpressions: []corev1.NodeSelectorRequirement{{
						Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{p.node},
					}},
				}},
			}},
		},
	}
}

// reclaim removes a volume of ours that its claim has let go of, unless its
// policy is to keep it.
func (p *Provisioner) reclaim(ctx context.Context, volume *corev1.PersistentVolume) error {
	if volume.Annotations[annProvisionedBy] != Name ||
		volume.Status.Phase != corev1.VolumeReleased ||
		volume.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete ||
		volume.Spec.Local == nil {
		return nil
	}
	path := filepath.Clean(volume.Spec.Local.Path)
	if !strings.HasPrefix(path, filepath.Clean(p.dir)+string(filepath.Separator)) {
		return nil // someone else's directory
	}
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("removing the directory of volume %s: %w", volume.Name, err)
	}
	uid := volume.UID
	err := p.client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &uid},
	})
	return ignoreNotFound(err)
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
