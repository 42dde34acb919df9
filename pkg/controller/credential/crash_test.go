// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/testing/envtest"
)

var errKilled = errors.New("killed")

// plug lets a number of calls through and refuses all after them: what a process that is killed there leaves behind. With after, the
// last call is done and its answer lost.
type plug struct {
	left  int
	after bool
	calls []string
}

func (p *plug) call(name string, do func() error) error {
	p.calls = append(p.calls, name)
	switch {
	case p.left > 0:
		p.left--
		return do()
	case p.left == 0 && p.after:
		p.left = -1
		_ = do()
	}
	p.left = -1
	return errKilled
}

// pluggedJenkins is Jenkins behind a plug.
type pluggedJenkins struct {
	Jenkins
	p *plug
}

func (j pluggedJenkins) ListCredentials(ctx context.Context, folder string) (list []jenkins.CredentialInfo, err error) {
	err = j.p.call("list", func() error { list, err = j.Jenkins.ListCredentials(ctx, folder); return err })
	return list, err
}

func (j pluggedJenkins) CreateCredential(ctx context.Context, folder string, e jenkins.CredentialEntry) error {
	return j.p.call("create", func() error { return j.Jenkins.CreateCredential(ctx, folder, e) })
}

func (j pluggedJenkins) UpdateCredential(ctx context.Context, folder string, e jenkins.CredentialEntry) error {
	return j.p.call("update", func() error { return j.Jenkins.UpdateCredential(ctx, folder, e) })
}

func (j pluggedJenkins) DeleteCredential(ctx context.Context, folder, id string) error {
	return j.p.call("delete", func() error { return j.Jenkins.DeleteCredential(ctx, folder, id) })
}

// directCache reads Secrets from the API server.
type directCache struct {
	cache.Cache
	client.Client
}

func (d directCache) Get(ctx context.Context, key client.ObjectKey, obj client.Object, o ...client.GetOption) error {
	return d.Client.Get(ctx, key, obj, o...)
}

func (d directCache) List(ctx context.Context, list client.ObjectList, o ...client.ListOption) error {
	return d.Client.List(ctx, list, o...)
}

// TestCrashes kills the process at each of its calls while a credential is made, changed and deleted, before and after the call is done,
// and starts it anew. The end is always the same, and Jenkins is not written to more often than the lost answers explain.
func TestCrashes(t *testing.T) {
	c := envtest.Client(t)
	for _, after := range []bool{false, true} {
		for at := range 12 {
			t.Run(fmt.Sprintf("at call %d, done %v", at, after), func(t *testing.T) {
				k := &crash{t: t, client: c, ns: envtest.Namespace(t), jen: newServer(t)}
				makeProject(t, c, k.ns, k.ns)
				if err := k.jen.EnsureFolder(t.Context(), k.ns); err != nil {
					t.Fatal(err)
				}
				k.p = &plug{left: at, after: after}
				k.process()
				k.play()
			})
		}
	}
}

type crash struct {
	t      *testing.T
	client client.Client
	ns     string
	jen    *server
	p      *plug
	r      *Reconciler
	killed bool
}

// process starts a process.
func (k *crash) process() {
	withWatch, ok := k.client.(client.WithWatch)
	if !ok {
		k.t.Fatal("the client cannot be intercepted")
	}
	plugged := interceptor.NewClient(withWatch, interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, o ...client.PatchOption) error {
			return k.p.call("patch", func() error { return c.Patch(ctx, obj, patch, o...) })
		},
	})
	k.r = &Reconciler{Client: plugged, Jenkins: pluggedJenkins{k.jen, k.p}, Recorder: &recorder{}, Options: Options{Key: testKey},
		secrets: &secrets{caches: []cache.Cache{directCache{Client: k.client}}}}
	k.r.setDefaults()
}

// pass works on the credential until a pass ends well; a process that was killed is followed by one that is not.
func (k *crash) pass() {
	k.t.Helper()
	for range 4 {
		_, err := k.r.Reconcile(k.t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Namespace: k.ns, Name: "x"}})
		if err == nil {
			return
		}
		if !errors.Is(err, errKilled) {
			k.t.Fatal(err)
		}
		k.killed = true
		k.p = &plug{left: 1000}
		k.process()
	}
	k.t.Fatal("the credential is never done")
}

func (k *crash) play() {
	k.t.Helper()
	s := newSecret(k.ns, "x", devopsv1alpha3.SecretTypeSecretText, map[string]string{"secret": "one"})
	if err := k.client.Create(k.t.Context(), s); err != nil {
		k.t.Fatal(err)
	}
	k.pass()
	k.check("one")
	if err := k.client.Get(k.t.Context(), client.ObjectKeyFromObject(s), s); err != nil {
		k.t.Fatal(err)
	}
	s.Data["secret"] = []byte("two")
	if err := k.client.Update(k.t.Context(), s); err != nil {
		k.t.Fatal(err)
	}
	k.pass()
	k.check("two")
	if err := k.client.Delete(k.t.Context(), s); err != nil {
		k.t.Fatal(err)
	}
	k.pass()
	if err := k.client.Get(k.t.Context(), client.ObjectKeyFromObject(s), s); !apierrors.IsNotFound(err) {
		k.t.Errorf("the Secret is still there: %v", err)
	}
	if ids := k.jen.ids(k.ns); len(ids) > 0 {
		k.t.Errorf("left in Jenkins: %v", ids)
	}
	if creates, updates, deletes := k.jen.count("create"), k.jen.count("updateSubmit"), k.jen.count("doDelete"); creates != 1 || updates != 1 || deletes != 1 {
		k.t.Errorf("%d creations, %d updates, %d deletions, want one of each", creates, updates, deletes)
	}
	if !k.killed && k.p.left < 0 {
		k.t.Error("the process was killed and nobody noticed")
	}
}

// check compares the entry and what the Secret says with the value.
func (k *crash) check(value string) {
	k.t.Helper()
	s := &corev1.Secret{}
	if err := k.client.Get(k.t.Context(), client.ObjectKey{Namespace: k.ns, Name: "x"}, s); err != nil {
		k.t.Fatal(err)
	}
	c, err := newContent(s, k.r.Options)
	if err != nil {
		k.t.Fatal(err)
	}
	if s.Annotations[devopsv1alpha3.CredentialSyncStatusAnnotation] != "successful" || s.Annotations[devopsv1alpha3.CredentialDataHashAnnotation] != c.hash {
		k.t.Errorf("the Secret says %v", s.Annotations)
	}
	info, err := k.jen.GetCredential(k.t.Context(), k.ns, "x")
	if err != nil {
		k.t.Fatal(err)
	}
	if diff := cmp.Diff(c.mark, markOf(info.Description)); diff != "" {
		k.t.Errorf("the entry has another mark:\n%s", diff)
	}
	if form := k.jen.lastForm("x"); form["secret"] != value {
		k.t.Errorf("Jenkins got %v", form)
	}
}
