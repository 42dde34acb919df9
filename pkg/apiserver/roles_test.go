// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/emicklei/go-restful/v3"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/config/rbac"
	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/scheme"
	"github.com/slipway-dev/slipway/pkg/testing/envtest"
)

// The roles that are bound in a project, and the user of the tests that has each.
const (
	roleAdmin  = "slipway-project-admin"
	roleRunner = "slipway-project-runner"
	roleViewer = "slipway-project-viewer"
	roleNone   = "nothing"
)

// mayDo says which rights a role has in its project, as verb resource[/subresource]. It is written down
// here once more, so that a change of the manifest that gives more than it should is noticed.
var mayDo = map[string][]string{
	roleRunner: {
		"get pipelines", "list pipelines",
		"get pipelineruns", "list pipelineruns", "create pipelineruns", "update pipelineruns",
		"get pipelineruns/log", "get pipelineruns/artifacts", "create pipelineruns/replay",
	},
	roleViewer: {
		"get pipelines", "list pipelines", "get pipelineruns", "list pipelineruns", "get pipelineruns/log", "get pipelineruns/artifacts",
		"get gitrepositories", "list gitrepositories", "get templates", "list templates", "get devcontainerapps", "list devcontainerapps",
		"get webhooks", "list webhooks", "get s2ibinaries",
	},
	roleNone: {},
}

// forEverybody are the rights of every user who has said who they are.
var forEverybody = []string{"get clustertemplates", "list clustertemplates", "get clustersteptemplates", "list clustersteptemplates"}

// bindRoles installs the roles as they are shipped and binds each to the user of its name in the
// namespace.
func (k *kube) bindRoles(t *testing.T) {
	t.Helper()
	objects, err := rbac.Users()
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		if object.GetNamespace() != "" {
			object.SetNamespace(k.namespace) // the system namespace of an installation
		}
		k.create(t, object)
	}
	for _, role := range []string{roleAdmin, roleRunner, roleViewer} {
		k.create(t, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: k.namespace, Name: role},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{userNamed(role)},
		})
		k.waitUntilAllowed(t, userNamed(role), authorizationv1.ResourceAttributes{
			Namespace: k.namespace, Verb: "list", Group: devopsv1alpha3.GroupName, Resource: devopsv1alpha3.PipelineResource})
	}
	k.waitUntilAllowed(t, rbacv1.Subject{Kind: rbacv1.GroupKind, Name: "system:authenticated"}, authorizationv1.ResourceAttributes{
		Verb: "list", Group: devopsv1alpha3.GroupName, Resource: devopsv1alpha3.ClusterTemplateResource})
}

// TestRolesOnRoutes sends, as each role, a request to every route of a project, and to those of templates
// for all: what the role may not do is answered with 403, and nothing else is.
func TestRolesOnRoutes(t *testing.T) {
	k := newKube(t)
	k.bindRoles(t)
	seen := map[string]map[string]bool{}
	for _, service := range k.services() {
		for _, route := range service.Routes() {
			access, ok := route.Metadata[kapis.KeyAccess].(kapis.Access)
			if !ok || !strings.Contains(route.Path, "{namespace}") && !strings.HasPrefix(access.Resource, "cluster") {
				continue
			}
			for _, role := range []string{roleAdmin, roleRunner, roleViewer, roleNone} {
				right := access.Verb + " " + access.Resource
				if access.Subresource != "" {
					right += "/" + access.Subresource
				}
				if seen[role] == nil {
					seen[role] = map[string]bool{}
				}
				seen[role][right] = true
				k.checkRole(t, role, right, route)
			}
		}
	}
	for role, rights := range mayDo {
		for _, right := range rights {
			if !seen[role][right] {
				t.Errorf("no route needs %q of %s", right, role)
			}
		}
	}
}

func (k *kube) checkRole(t *testing.T, role, right string, route restful.Route) {
	t.Helper()
	path := strings.ReplaceAll(route.Path, "{namespace}", k.namespace)
	path = pathParameter.ReplaceAllString(path, "x")
	allowed := slices.Contains(forEverybody, right)
	if strings.Contains(route.Path, "{namespace}") {
		allowed = role == roleAdmin || slices.Contains(mayDo[role], right)
	}
	c := call{method: route.Method, user: role, path: path}
	if route.Method == "POST" || route.Method == "PUT" {
		c.body = "{}"
	}
	answer := k.do(c)
	// What is not passed on to Jenkins is refused to everybody.
	forbidden := answer.Code == 403 && !strings.Contains(answer.Body.String(), "not passed on to Jenkins")
	if forbidden == allowed {
		t.Errorf("%s (%s) %s %s: %d %.200s, allowed: %v", role, right, route.Method, route.Path, answer.Code, answer.Body, allowed)
	}
	if answer.Code == 401 {
		t.Errorf("%s %s %s: %d", role, route.Method, route.Path, answer.Code)
	}
}

// TestRolesInKubernetes goes around the server: what a role may not do must be refused by Kubernetes
// itself, too.
func TestRolesInKubernetes(t *testing.T) {
	k := newKube(t)
	k.bindRoles(t)
	pipeline := &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: k.namespace, Name: "p"},
		Spec: devopsv1alpha3.PipelineSpec{Pipeline: &devopsv1alpha3.NoScmPipeline{Jenkinsfile: "x"}}}
	run := &devopsv1alpha3.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: k.namespace, Name: "r"},
		Spec: devopsv1alpha3.PipelineRunSpec{PipelineRef: &corev1.ObjectReference{Name: "p"}}}
	repository := &devopsv1alpha3.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: k.namespace, Name: "g"}}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: k.namespace, Name: "s"}, Type: devopsv1alpha3.SecretTypeSecretText}
	for _, object := range []client.Object{pipeline, run, repository, secret} {
		k.create(t, object)
	}
	actions := map[string]func(c client.Client) error{
		"read secret": func(c client.Client) error {
			return c.Get(t.Context(), client.ObjectKeyFromObject(secret), &corev1.Secret{})
		},
		"list secrets": func(c client.Client) error {
			return c.List(t.Context(), &corev1.SecretList{}, client.InNamespace(k.namespace))
		},
		"read pipeline": func(c client.Client) error {
			return c.Get(t.Context(), client.ObjectKeyFromObject(pipeline), &devopsv1alpha3.Pipeline{})
		},
		"change pipeline": func(c client.Client) error { return c.Patch(t.Context(), pipeline.DeepCopy(), labelled()) },
		"delete pipeline": func(c client.Client) error { return c.Delete(t.Context(), pipeline.DeepCopy(), client.DryRunAll) },
		"read run": func(c client.Client) error {
			return c.Get(t.Context(), client.ObjectKeyFromObject(run), &devopsv1alpha3.PipelineRun{})
		},
		"change run":    func(c client.Client) error { return c.Patch(t.Context(), run.DeepCopy(), labelled()) },
		"change status": func(c client.Client) error { return c.Status().Patch(t.Context(), run.DeepCopy(), labelled()) },
		"delete run":    func(c client.Client) error { return c.Delete(t.Context(), run.DeepCopy(), client.DryRunAll) },
		"delete all runs": func(c client.Client) error {
			return c.DeleteAllOf(t.Context(), &devopsv1alpha3.PipelineRun{}, client.InNamespace(k.namespace), client.DryRunAll)
		},
		"read repository": func(c client.Client) error {
			return c.Get(t.Context(), client.ObjectKeyFromObject(repository), &devopsv1alpha3.GitRepository{})
		},
		"change repository": func(c client.Client) error { return c.Patch(t.Context(), repository.DeepCopy(), labelled()) },
		"bind a role": func(c client.Client) error {
			return c.Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: k.namespace, Name: "own"},
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"}}, client.DryRunAll)
		},
	}
	allowed := map[string][]string{
		roleRunner: {"read pipeline", "read run", "change run"},
		roleViewer: {"read pipeline", "read run", "read repository"},
		roleNone:   {},
	}
	for role, want := range allowed {
		c, err := client.New(envtest.User(t, role), client.Options{Scheme: scheme.New()})
		if err != nil {
			t.Fatal(err)
		}
		for name, act := range actions {
			err := act(c)
			if may := slices.Contains(want, name); may && err != nil || !may && !apierrors.IsForbidden(err) {
				t.Errorf("%s: %s: %v, allowed: %v", role, name, err, may)
			}
		}
	}
}

func labelled() client.Patch {
	return client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"x":"y"}}}`))
}

// TestRunner plays what a runner is for: to start a run and to stop it; and what it must not do.
func TestRunner(t *testing.T) {
	k := newKube(t)
	k.bindRoles(t)
	k.create(t, &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: k.namespace, Name: "p"},
		Spec: devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.NoScmPipelineType, Pipeline: &devopsv1alpha3.NoScmPipeline{Jenkinsfile: "x"}}})
	runs := k.collection("pipelines") + "/p/pipelineruns"
	started := k.do(call{method: "POST", user: roleRunner, path: runs, body: `{"parameters":[]}`})
	if started.Code != 200 && started.Code != 201 {
		t.Fatalf("start: %d %s", started.Code, started.Body)
	}
	name := decode[devopsv1alpha3.PipelineRun](t, started).Name
	own := k.collection("pipelineruns") + "/" + name
	for _, c := range []struct {
		role, method, path string
		forbidden          bool
	}{
		{roleViewer, "POST", own + "/stop", true},
		{roleViewer, "POST", runs, true},
		{roleViewer, "GET", own, false},
		{roleRunner, "POST", own + "/stop", false},
		{roleRunner, "DELETE", own, true},
		{roleRunner, "PUT", k.collection("pipelines") + "/p/jenkinsfile?mode=raw", true},
		{roleAdmin, "DELETE", own, false},
	} {
		call := call{method: c.method, user: c.role, path: c.path}
		if c.method == "PUT" {
			call.body = `{"data":"y"}`
		}
		answer := k.do(call)
		if got := fmt.Sprint(answer.Code); c.forbidden != (answer.Code == 403) || !c.forbidden && got[0] != '2' {
			t.Errorf("%s %s %s: %d %s", c.role, c.method, c.path, answer.Code, answer.Body)
		}
	}
}
