// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/gitfiles"
	"github.com/slipway-dev/slipway/pkg/kapis"
)

// overtaken lets a controller write an object just before each of the first updates of a user.
type overtaken struct {
	kapis.Clients
	updates, meddle int
}

const controllersAnnotation = "example.org/by-controller"

func (o *overtaken) ClientFor(u user.Info) (client.WithWatch, error) {
	own, err := o.Clients.ClientFor(u)
	if err != nil {
		return nil, err
	}
	return interceptor.NewClient(own, interceptor.Funcs{
		Update: func(ctx context.Context, kube client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
			if o.updates++; o.updates <= o.meddle {
				now := &devopsv1alpha3.GitRepository{}
				if err := kube.Get(ctx, client.ObjectKeyFromObject(obj), now); err != nil {
					return err
				}
				metav1.SetMetaDataAnnotation(&now.ObjectMeta, controllersAnnotation, strings.Repeat("x", o.updates))
				if err := kube.Update(ctx, now); err != nil {
					return err
				}
			}
			return kube.Update(ctx, obj, opts...)
		},
	}), nil
}

// TestGitConfigOvertaken: who commits are by is set whatever a controller writes meanwhile, and neither loses what the other wrote.
func TestGitConfigOvertaken(t *testing.T) {
	for reason, tc := range map[string]struct{ meddle, want int }{
		"nobody else writes":   {0, http.StatusOK},
		"a controller, twice":  {2, http.StatusOK},
		"a controller, always": {1 << 20, http.StatusConflict},
	} {
		t.Run(reason, func(t *testing.T) {
			git, err := gitfiles.New(gitfiles.Options{Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			repo := &devopsv1alpha3.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: "ann-dev", Name: "app", UID: "uid-1"},
				Spec: devopsv1alpha3.GitRepositorySpec{URL: "https://git.example.org/app.git"}}
			clients := &overtaken{meddle: tc.meddle}
			w := newWorld(t, func(c *Config) {
				clients.Clients = c.Clients
				c.Git, c.Clients = git, clients
			}, repo)
			answer := w.do(call{method: "PUT", path: gitPath + "/configs/default", user: "ann", body: `{"config":{"Author":{"Name":"Ann Lee"}}}`})
			if answer.Code != tc.want {
				t.Fatalf("%d %s", answer.Code, answer.Body)
			}
			now := &devopsv1alpha3.GitRepository{}
			if err := w.kube.Get(t.Context(), client.ObjectKeyFromObject(repo), now); err != nil {
				t.Fatal(err)
			}
			if got := now.Annotations[devopsv1alpha3.GitAuthorNameAnnotation] == "Ann Lee"; got != (tc.want == http.StatusOK) {
				t.Errorf("the name is set: %v", got)
			}
			if got := len(now.Annotations[controllersAnnotation]); got != min(tc.meddle, clients.updates) {
				t.Errorf("what the controller wrote is %d long after %d updates", got, clients.updates)
			}
		})
	}
}
