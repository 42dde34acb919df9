// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/authn/password"
	"github.com/slipway-dev/slipway/pkg/authz"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/scheme"
	"github.com/slipway-dev/slipway/pkg/testing/envtest"
)

// ownUser is the server's own user, with the rights that are made from the markers of rbac.go and no others.
const ownUser = "slipway-apiserver"

// ownRoles reads the server's rights as they are installed: those in the whole cluster, and those in the system namespace.
func ownRoles(t *testing.T) (cluster, system []rbacv1.PolicyRule) {
	t.Helper()
	manifest, err := os.ReadFile("../../config/rbac/apiserver/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for document := range strings.SplitSeq(string(manifest), "\n---\n") {
		var role rbacv1.Role
		if err := yaml.UnmarshalStrict([]byte(strings.TrimPrefix(document, "---\n")), &role); err != nil {
			t.Fatal(err)
		}
		switch role.Kind {
		case "ClusterRole":
			cluster = append(cluster, role.Rules...)
		case "Role":
			system = append(system, role.Rules...)
		}
	}
	if len(cluster) == 0 || len(system) == 0 {
		t.Fatalf("the manifest has %d rules for the cluster and %d for the system namespace", len(cluster), len(system))
	}
	return cluster, system
}

// startTimeout bounds what the tests wait for before they begin.
const startTimeout = 2 * time.Minute

// kube is a server on a real Kubernetes API.
type kube struct {
	*world
	admin     client.Client
	namespace string
	base      string
}

func newKube(t *testing.T) *kube {
	t.Helper()
	k := &kube{admin: envtest.Client(t), namespace: envtest.Namespace(t)}
	k.grantCluster(t, ownUser)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)

	config := envtest.User(t, ownUser)
	scheme := scheme.New()
	objects, err := cache.New(config, cache.Options{Scheme: scheme, DefaultTransform: cache.TransformStripManagedFields()})
	if err != nil {
		t.Fatal(err)
	}
	if err := index.RegisterSCM(ctx, objects); err != nil {
		t.Fatal(err)
	}
	for _, kind := range CachedKinds() {
		if _, err := objects.GetInformer(ctx, kind, cache.BlockUntilSynced(false)); err != nil {
			t.Fatal(err)
		}
	}
	go func() { _ = objects.Start(ctx) }()
	// It never is if a right is missing.
	filled, stop := context.WithTimeout(ctx, startTimeout)
	defer stop()
	if !objects.WaitForCacheSync(filled) {
		t.Fatalf("the cache is not filled after %s: does the server's user lack a right?", startTimeout)
	}
	completed, err := Config{
		RestConfig: config, Reader: objects, Scheme: scheme, JWTSecret: testSecret, SystemNamespace: k.namespace,
		Authorization: authz.Options{AllowTTL: time.Minute, DenyTTL: -1}, SCM: &SCM{WebhookSecret: []byte(scmSecret)},
	}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	server, err := New(completed)
	if err != nil {
		t.Fatal(err)
	}
	k.world = &world{t: t, server: server}
	k.base, _, _ = k.listen()
	return k
}

func (k *kube) create(t *testing.T, obj client.Object) {
	t.Helper()
	if err := k.admin.Create(context.Background(), obj); client.IgnoreAlreadyExists(err) != nil {
		t.Fatalf("create %T %s: %v", obj, obj.GetName(), err)
	}
}

// grantCluster gives the server's user its rights in the cluster.
func (k *kube) grantCluster(t *testing.T, user string) {
	t.Helper()
	rules, _ := ownRoles(t)
	k.create(t, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: user}, Rules: rules})
	k.create(t, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: user},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: user},
		Subjects:   []rbacv1.Subject{userNamed(user)},
	})
	k.waitUntilAllowed(t, userNamed(user), authorizationv1.ResourceAttributes{
		Verb: "list", Group: devopsv1alpha3.GroupName, Resource: devopsv1alpha3.PipelineResource,
	})
}

// grant lets the subject do everything with our kinds in the namespace.
func (k *kube) grant(t *testing.T, subject rbacv1.Subject) *rbacv1.RoleBinding {
	t.Helper()
	k.create(t, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: k.namespace, Name: "all"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{devopsv1alpha3.GroupName, devcontainerv1.GroupName}, Resources: []string{"*"}, Verbs: []string{"*"}},
	}})
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: k.namespace, Name: subject.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "all"},
		Subjects:   []rbacv1.Subject{subject},
	}
	k.create(t, binding)
	k.waitUntilAllowed(t, subject, authorizationv1.ResourceAttributes{
		Namespace: k.namespace, Verb: "create", Group: devopsv1alpha3.GroupName, Resource: devopsv1alpha3.PipelineResource,
	})
	return binding
}

// waitUntilAllowed waits until Kubernetes has taken in a binding: it learns of it by a watch.
func (k *kube) waitUntilAllowed(t *testing.T, subject rbacv1.Subject, wanted authorizationv1.ResourceAttributes) {
	t.Helper()
	spec := authorizationv1.SubjectAccessReviewSpec{User: subject.Name, ResourceAttributes: &wanted}
	switch subject.Kind {
	case rbacv1.GroupKind:
		spec.User, spec.Groups = "somebody", []string{subject.Name}
	case rbacv1.ServiceAccountKind:
		spec.User = "system:serviceaccount:" + subject.Namespace + ":" + subject.Name
	}
	gomega.NewWithT(t).Eventually(func() (bool, error) {
		review := &authorizationv1.SubjectAccessReview{Spec: spec}
		err := k.admin.Create(context.Background(), review)
		return review.Status.Allowed, err
	}, startTimeout, 10*time.Millisecond).Should(gomega.BeTrue(), "%s %s may %s %s", subject.Kind, subject.Name, wanted.Verb, wanted.Resource)
}

func userNamed(name string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "User", Name: name}
}

func (k *kube) collection(resource string) string {
	if resource == devcontainerv1.ResourceName {
		return "/kapis/devcontainer.devstar.cn/v1/namespaces/" + k.namespace + "/" + resource
	}
	return devops + "/namespaces/" + k.namespace + "/" + resource
}

func TestKubeLife(t *testing.T) {
	k := newKube(t)
	k.grant(t, userNamed("ann"))
	bodies := map[string]string{
		"pipelines":        `{"metadata":{"name":"x"},"spec":{"pipeline":{"jenkinsfile":""}}}`,
		"gitrepositories":  `{"metadata":{"name":"x"},"spec":{"url":"https://git.example.org/x"}}`,
		"devcontainerapps": `{"metadata":{"name":"x"},"spec":{"statefulset":{"image":"alpine"}}}`,
	}
	for resource, body := range bodies {
		t.Run(resource, func(t *testing.T) {
			collection := k.collection(resource)
			if got := k.do(call{method: "POST", user: "bob", path: collection, body: body}); got.Code != 403 {
				t.Errorf("create without the right: %d %s, want 403", got.Code, got.Body)
			}
			created := k.do(call{method: "POST", user: "ann", path: collection, body: body})
			if created.Code != 201 {
				t.Fatalf("create: %d %s", created.Code, created.Body)
			}
			// At once, whether the cache has it or not.
			read := k.do(call{user: "ann", path: collection + "/x"})
			if read.Code != 200 || strings.Contains(read.Body.String(), "managedFields") {
				t.Errorf("read what was just made: %d %s", read.Code, read.Body)
			}
			updated := k.do(call{method: "PUT", user: "ann", path: collection + "/x", body: read.Body.String()})
			if updated.Code != 200 {
				t.Errorf("update with what was read: %d %s", updated.Code, updated.Body)
			}
			stale := strings.Replace(read.Body.String(), `"name":"x"`, `"name":"x","labels":{"a":"b"}`, 1)
			if got := k.do(call{method: "PUT", user: "ann", path: collection + "/x", body: stale}); got.Code != 200 {
				t.Errorf("update: %d %s", got.Code, got.Body)
			}
			if got := k.do(call{method: "PUT", user: "ann", path: collection + "/x", body: stale}); got.Code != 409 || !strings.Contains(got.Body.String(), "GET it again") {
				t.Errorf("update of what was changed since: %d %s, want 409", got.Code, got.Body)
			}
			if got := k.do(call{method: "DELETE", user: "bob", path: collection + "/x"}); got.Code != 403 {
				t.Errorf("delete without the right: %d, want 403", got.Code)
			}
			if got := k.do(call{method: "DELETE", user: "ann", path: collection + "/x"}); got.Code != 200 {
				t.Errorf("delete: %d %s", got.Code, got.Body)
			}
		})
	}
}

func TestKubeRulesOfTheDefinitions(t *testing.T) {
	k := newKube(t)
	k.grant(t, userNamed("ann"))
	cases := map[string]struct {
		resource, body string
		code           int
		want           string
	}{
		"enum":          {"pipelines", `{"metadata":{"name":"x"},"spec":{"type":"other"}}`, 422, "spec.type"},
		"rule":          {"pipelines", `{"metadata":{"name":"x"},"spec":{"type":"pipeline"}}`, 422, "needs spec.pipeline"},
		"image":         {"devcontainerapps", `{"metadata":{"name":"x"},"spec":{"statefulset":{"image":"http://a b"}}}`, 422, "image reference"},
		"port":          {"devcontainerapps", `{"metadata":{"name":"x"},"spec":{"statefulset":{"image":"a","containerPort":70000}}}`, 422, "65535"},
		"server status": {"devcontainerapps", `{"metadata":{"name":"ok"},"spec":{"statefulset":{"image":"a"}},"status":{"ready":true}}`, 201, `"ready":false`},
	}
	for name, tc := range cases {
		got := k.do(call{method: "POST", user: "ann", path: k.collection(tc.resource), body: tc.body})
		if got.Code != tc.code || !strings.Contains(got.Body.String(), tc.want) {
			t.Errorf("%s: %d %s, want %d with %q", name, got.Code, got.Body, tc.code, tc.want)
		}
	}
	other := strings.Replace(k.collection("pipelines"), k.namespace, k.namespace+"-none", 1)
	if got := k.do(call{method: "POST", user: "ann", path: other, body: `{"metadata":{"name":"x"}}`}); got.Code != 403 {
		t.Errorf("a namespace that does not exist: %d, want 403 as for one that does", got.Code)
	}
}

// TestKubeAsksAgainOnWrites takes a right away that the server still remembers.
func TestKubeAsksAgainOnWrites(t *testing.T) {
	k := newKube(t)
	binding := k.grant(t, userNamed("ann"))
	body := `{"metadata":{"generateName":"x-"},"spec":{"pipeline":{}}}`
	if got := k.do(call{method: "POST", user: "ann", path: k.collection("pipelines"), body: body}); got.Code != 201 {
		t.Fatalf("with the right: %d %s", got.Code, got.Body)
	}
	if err := k.admin.Delete(context.Background(), binding); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		got := k.do(call{method: "POST", user: "ann", path: k.collection("pipelines"), body: body})
		if got.Code == 403 {
			if !strings.Contains(got.Body.String(), `cannot create resource`) {
				t.Errorf("refused by %s, want it refused by Kubernetes: the server's own answer is remembered", got.Body)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("without the right: %d, want 403", got.Code)
		}
	}
}

func TestKubeServiceAccount(t *testing.T) {
	k := newKube(t)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: k.namespace, Name: "agent"}}
	k.create(t, account)
	request := &authenticationv1.TokenRequest{}
	if err := k.admin.SubResource("token").Create(context.Background(), account, request); err != nil {
		t.Fatal(err)
	}
	credential := "Bearer " + request.Status.Token
	if got := k.do(call{path: k.collection("pipelines"), credential: credential}); got.Code != 403 || !strings.Contains(got.Body.String(), "system:serviceaccount:"+k.namespace+":agent") {
		t.Errorf("without the right: %d %s, want 403 that names the account", got.Code, got.Body)
	}
	k.grant(t, rbacv1.Subject{Kind: "ServiceAccount", Namespace: k.namespace, Name: "agent"})
	created := k.do(call{method: "POST", path: k.collection("pipelines"), credential: credential, body: `{"metadata":{"name":"x"},"spec":{"pipeline":{}}}`})
	if created.Code != 201 {
		t.Fatalf("create: %d %s", created.Code, created.Body)
	}
	if got := decode[devopsv1alpha3.Pipeline](t, created).Annotations[devopsv1alpha3.CreatorAnnotation]; got != "system:serviceaccount:"+k.namespace+":agent" {
		t.Errorf("creator %q", got)
	}
	if got := k.do(call{path: k.collection("pipelines"), credential: credential + "x"}); got.Code != 401 {
		t.Errorf("a changed token: %d, want 401", got.Code)
	}
}

func TestKubeLogin(t *testing.T) {
	k := newKube(t)
	// The namespace of the test is the system namespace: its Secrets are the only ones that the server may list.
	_, rules := ownRoles(t)
	k.create(t, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: k.namespace, Name: "own"}, Rules: rules})
	k.create(t, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: k.namespace, Name: "own"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "own"}, Subjects: []rbacv1.Subject{userNamed(ownUser)},
	})
	k.waitUntilAllowed(t, userNamed(ownUser), authorizationv1.ResourceAttributes{Namespace: k.namespace, Verb: "list", Resource: "secrets"})
	secret, err := password.NewSecret(k.namespace, "安娜", "secret", []string{"team"})
	if err != nil {
		t.Fatal(err)
	}
	k.create(t, secret)
	k.grant(t, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "team"})
	answer := k.do(call{method: "POST", path: "/oauth/token", body: "grant_type=password&username=%E5%AE%89%E5%A8%9C&password=secret", contentType: "application/x-www-form-urlencoded"})
	if answer.Code != 200 {
		t.Fatalf("login: %d %s", answer.Code, answer.Body)
	}
	credential := "Bearer " + decode[struct {
		AccessToken string `json:"access_token"`
	}](t, answer).AccessToken
	// A name beyond ASCII must reach Kubernetes as it is.
	created := k.do(call{method: "POST", path: k.collection("pipelines"), credential: credential, body: `{"metadata":{"name":"x"},"spec":{"pipeline":{}}}`})
	if created.Code != 201 {
		t.Errorf("create with the right of a group: %d %s", created.Code, created.Body)
	}
}

// event is a line of a watch.
type event struct {
	Type   string
	Object struct {
		metav1.TypeMeta
		metav1.ObjectMeta `json:"metadata"`
		Code              int
	}
}

// watch gives the events of a watch.
func (k *kube) watch(t *testing.T, query string) <-chan event {
	t.Helper()
	answer, err := k.get(k.base, k.collection("pipelines")+"?watch=true"+query, "ann")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("watch: %d", answer.StatusCode)
	}
	events := make(chan event, 100)
	go func() {
		defer close(events)
		decoder := json.NewDecoder(bufio.NewReader(answer.Body))
		for {
			var e event
			if decoder.Decode(&e) != nil {
				return
			}
			events <- e
		}
	}()
	return events
}

// next gives the next event that is no bookmark.
func next(t *testing.T, events <-chan event) event {
	t.Helper()
	timeout := time.After(time.Minute)
	for {
		select {
		case e, open := <-events:
			if !open {
				t.Fatal("the watch ended")
			}
			if e.Type != "BOOKMARK" {
				return e
			}
		case <-timeout:
			t.Fatal("no event")
		}
	}
}

func TestKubeWatch(t *testing.T) {
	k := newKube(t)
	k.grant(t, userNamed("ann"))
	add := func(name string) devopsv1alpha3.Pipeline {
		created := k.do(call{method: "POST", user: "ann", path: k.collection("pipelines"), body: `{"metadata":{"name":"` + name + `"},"spec":{"pipeline":{}}}`})
		if created.Code != 201 {
			t.Fatalf("create: %d %s", created.Code, created.Body)
		}
		return decode[devopsv1alpha3.Pipeline](t, created)
	}
	first := add("first")
	events := k.watch(t, "")
	if e := next(t, events); e.Type != "ADDED" || e.Object.Name != "first" || e.Object.Kind != "Pipeline" || e.Object.APIVersion != "devops.kubesphere.io/v1alpha3" {
		t.Errorf("first event %+v, want what is there as ADDED", e)
	}
	second := add("second")
	if e := next(t, events); e.Type != "ADDED" || e.Object.Name != "second" {
		t.Errorf("event %+v, want ADDED second", e)
	}
	k.do(call{method: "DELETE", user: "ann", path: k.collection("pipelines") + "/first"})
	if e := next(t, events); e.Type != "DELETED" || e.Object.Name != "first" {
		t.Errorf("event %+v, want DELETED first", e)
	}

	// Going on from the first leaves out what was before.
	resumed := k.watch(t, "&resourceVersion="+first.ResourceVersion)
	if e := next(t, resumed); e.Type != "ADDED" || e.Object.Name != "second" || e.Object.ResourceVersion != second.ResourceVersion {
		t.Errorf("event %+v, want ADDED second", e)
	}
	if e := next(t, resumed); e.Type != "DELETED" || e.Object.Name != "first" {
		t.Errorf("event %+v, want DELETED first", e)
	}

	// A version that Kubernetes no longer has ends in an error that says so, before or in the stream.
	answer, err := k.get(k.base, k.collection("pipelines")+"?watch=true&timeoutSeconds=2&resourceVersion=not-a-version", "ann")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if answer.StatusCode != 400 {
		t.Errorf("a version that is none: %d %s, want 400", answer.StatusCode, body)
	}
	if other, err := k.get(k.base, k.collection("pipelines")+"?watch=true", "bob"); err != nil || other.StatusCode != 403 {
		t.Errorf("a watch without the right: %v, %v, want 403", other, err)
	}

	// A watch with an end ends.
	short := k.watch(t, "&timeoutSeconds=1")
	timeout := time.After(time.Minute)
	for open := true; open; {
		select {
		case _, open = <-short:
		case <-timeout:
			t.Fatal("a watch of a second does not end")
		}
	}
}

func TestKubeListFromTheCache(t *testing.T) {
	k := newKube(t)
	k.grant(t, userNamed("ann"))
	for _, name := range []string{"a", "b", "c"} {
		k.create(t, &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: k.namespace, Name: name},
			Spec: devopsv1alpha3.PipelineSpec{Pipeline: &devopsv1alpha3.NoScmPipeline{}}})
	}
	deadline := time.Now().Add(time.Minute)
	for {
		list := decode[response.List[devopsv1alpha3.Pipeline]](t, k.do(call{user: "ann", path: k.collection("pipelines") + "?sortBy=name&ascending=true&page=2&limit=2"}))
		if list.TotalItems == 3 {
			if len(list.Items) != 1 || list.Items[0].Name != "c" || list.Items[0].Kind != "Pipeline" {
				t.Errorf("second page of two: %+v", list.Items)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("list: %+v", list)
		}
	}
}
