// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devcontainer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/controller/devcontainer/resources"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

func TestContains(t *testing.T) {
	tests := map[string]struct {
		reason     string
		have, want string
		same       bool
	}{
		"Equal":         {"", `{"a":1}`, `{"a":1}`, true},
		"Default":       {"the server's defaults are not asked for", `{"a":1,"b":2}`, `{"a":1}`, true},
		"Missing":       {"", `{"b":2}`, `{"a":1}`, false},
		"Other":         {"", `{"a":2}`, `{"a":1}`, false},
		"OtherType":     {"", `{"a":"1"}`, `{"a":1}`, false},
		"Null":          {"null asks for nothing", `{}`, `{"a":null}`, true},
		"EmptyMap":      {"an empty map asks for nothing", `{}`, `{"a":{}}`, true},
		"EmptyList":     {"an empty list asks for nothing", `{"a":[1]}`, `{"a":[]}`, true},
		"ListLonger":    {"an item that is not asked for is a difference", `{"a":[1,2]}`, `{"a":[1]}`, false},
		"ListShorter":   {"", `{"a":[1]}`, `{"a":[1,2]}`, false},
		"ListOrder":     {"", `{"a":[2,1]}`, `{"a":[1,2]}`, false},
		"ItemDefault":   {"defaults in items of a list", `{"a":[{"n":1,"d":2}]}`, `{"a":[{"n":1}]}`, true},
		"ZeroIsAValue":  {"0 and false are asked for", `{"a":1,"b":true}`, `{"a":0,"b":false}`, false},
		"MapForScalar":  {"", `{"a":1}`, `{"a":{"b":1}}`, false},
		"ListForScalar": {"", `{"a":1}`, `{"a":[1]}`, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var have, want any
			if err := errors.Join(json.Unmarshal([]byte(tt.have), &have), json.Unmarshal([]byte(tt.want), &want)); err != nil {
				t.Fatal(err)
			}
			if got := contains(have, want); got != tt.same {
				t.Errorf("%s: contains(%s, %s) = %t", tt.reason, tt.have, tt.want, got)
			}
		})
	}
}

func TestFitClaim(t *testing.T) {
	claim := func(size string, class *string) *corev1.PersistentVolumeClaim {
		app := &devcontainerv1.DevcontainerApp{}
		app.Spec.Storage = &devcontainerv1.StorageSpec{Size: new(resource.MustParse(size)), StorageClassName: class}
		return resources.Claim(app, resource.Quantity{})
	}
	tests := map[string]struct {
		want, live *corev1.PersistentVolumeClaim
		size, note string
	}{
		"Same":       {claim("10Gi", nil), claim("10Gi", new("std")), "10Gi", ""},
		"SameButMi":  {claim("10240Mi", nil), claim("10Gi", new("std")), "10Gi", ""},
		"Grow":       {claim("20Gi", nil), claim("10Gi", new("std")), "20Gi", ""},
		"Shrink":     {claim("5Gi", nil), claim("10Gi", new("std")), "10Gi", "cannot shrink"},
		"OtherClass": {claim("10Gi", new("fast")), claim("10Gi", new("std")), "10Gi", "cannot move"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			note := fitClaim(tt.want, tt.live)
			if got := storageOf(tt.want); got.Cmp(resource.MustParse(tt.size)) != 0 {
				t.Errorf("got size %s, want %s", got.String(), tt.size)
			}
			if class := tt.want.Spec.StorageClassName; class == nil || *class != "std" {
				t.Errorf("the class of a claim cannot change: got %v", class)
			}
			if tt.note == "" && note != "" || !strings.Contains(note, tt.note) {
				t.Errorf("got note %q, want %q", note, tt.note)
			}
		})
	}
}

func TestMergeKeepsWhatIsOthers(t *testing.T) {
	app := &devcontainerv1.DevcontainerApp{}
	app.Name = "web"
	live, want := resources.Service(app), resources.Service(app)
	live.Labels["team"] = "x"
	live.Annotations["note"] = "y"
	live.Spec.ClusterIP = "10.0.0.1"
	live.Spec.Ports[0].NodePort = 30022
	live.Spec.Ports = append(live.Spec.Ports, corev1.ServicePort{Name: "other", Port: 80})
	merge(live, want)
	if live.Labels["team"] != "x" || live.Annotations["note"] != "y" || live.Spec.ClusterIP != "10.0.0.1" {
		t.Errorf("what others set is gone: %v %v %q", live.Labels, live.Annotations, live.Spec.ClusterIP)
	}
	if len(live.Spec.Ports) != 1 || live.Spec.Ports[0].NodePort != 30022 {
		t.Errorf("got ports %+v, want the one with the NodePort that clients know", live.Spec.Ports)
	}

	set, wantSet := resources.StatefulSet(app, resources.PodOptions{}), resources.StatefulSet(app, resources.PodOptions{AgentImage: "new"})
	const restarted = "kubectl.kubernetes.io/restartedAt"
	set.Spec.Template.Annotations[restarted] = "now"
	merge(set, wantSet)
	if set.Spec.Template.Annotations[restarted] != "now" {
		t.Error("a restart by kubectl would be undone by another restart")
	}
	if set.Spec.Template.Spec.InitContainers[0].Image != "new" {
		t.Error("the template is not the wanted one")
	}
	if _, leaked := wantSet.Spec.Template.Annotations[restarted]; leaked {
		t.Error("merge changed what is wanted")
	}
}

func TestCheckOwner(t *testing.T) {
	app := &devcontainerv1.DevcontainerApp{}
	app.Name, app.UID = "web", "new"
	owned := func(kind, name, uid string) *appsv1.StatefulSet {
		set := &appsv1.StatefulSet{}
		set.Namespace, set.Name = "ns", "web"
		set.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Name: name, UID: types.UID(uid), Controller: new(true)}}
		return set
	}
	deleting := owned(devcontainerv1.Kind, "web", "new")
	deleting.DeletionTimestamp = new(metav1.Now())
	tests := map[string]struct {
		reason string
		live   *appsv1.StatefulSet
		after  time.Duration
		says   string // "" for no error
	}{
		"Ours":     {reason: "ours", live: owned(devcontainerv1.Kind, "web", "new")},
		"Deleting": {reason: "its deletion is watched", live: deleting, says: "will be made again"},
		"Leftover": {reason: "the garbage collector needs a moment", live: owned(devcontainerv1.Kind, "web", "old"), after: leftoverDelay, says: "former"},
		"Foreign":  {reason: "a user's own object is not taken over", live: &appsv1.StatefulSet{}, after: foreignDelay, says: "does not belong"},
		"OtherApp": {reason: "another app's object", live: owned(devcontainerv1.Kind, "api", "x"), after: foreignDelay, says: "does not belong"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := checkOwner(app, tt.live)
			if tt.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			outcome := reconcile.AsOutcome(err)
			if outcome == nil || outcome.Kind != reconcile.Waiting || outcome.After != tt.after || !strings.Contains(outcome.Message, tt.says) {
				t.Errorf("%s: got %+v", tt.reason, outcome)
			}
		})
	}
}

func TestOutcomeOfAPIErrors(t *testing.T) {
	pods := schema.GroupResource{Resource: "persistentvolumeclaims"}
	terminating := apierrors.NewForbidden(pods, "x", errors.New("namespace is being terminated"))
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	tests := map[string]struct {
		err    error
		kind   reconcile.OutcomeKind
		reason string
	}{
		"Quota":       {apierrors.NewForbidden(pods, "x", errors.New("exceeded quota: ci, requested: …")), reconcile.Waiting, devcontainerv1.ReasonQuotaExceeded},
		"QuotaLimits": {apierrors.NewForbidden(pods, "x", errors.New("failed quota: ci: must specify limits.cpu")), reconcile.Waiting, devcontainerv1.ReasonQuotaExceeded},
		"Terminating": {terminating, reconcile.Stalled, devcontainerv1.ReasonFailed},
		"Refused":     {apierrors.NewForbidden(pods, "x", errors.New("policy says no")), reconcile.Retrying, devcontainerv1.ReasonPodRefused},
		"Invalid":     {apierrors.NewInvalid(schema.GroupKind{Kind: "StatefulSet"}, "x", nil), reconcile.Stalled, devcontainerv1.ReasonFailed},
		"Unavailable": {apierrors.NewServiceUnavailable("etcd"), reconcile.Retrying, reconcile.ReasonFailed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			wrapped := fmt.Errorf("create: %w", tt.err)
			err := outcomeOf(wrapped)
			outcome := reconcile.AsOutcome(err)
			if outcome.Kind != tt.kind || outcome.Reason != tt.reason {
				t.Errorf("got %d %s, want %d %s", outcome.Kind, outcome.Reason, tt.kind, tt.reason)
			}
			if tt.kind != reconcile.Stalled && !errors.Is(err, tt.err) {
				t.Errorf("the cause is lost: %v", err)
			}
		})
	}
}
