// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitrepository

import (
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/gitfiles"
	"github.com/slipway-dev/slipway/pkg/gitfiles/access"
	"github.com/slipway-dev/slipway/pkg/testing/envtest"
)

func TestMain(m *testing.M) { os.Exit(envtest.Main(m)) }

const patience = 20 * time.Second

// serve serves an empty repository to user and password.
func serve(t *testing.T) (url string) {
	t.Helper()
	bin, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is not installed: nothing serves repositories")
	}
	root := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), bin, "init", "--quiet", "--bare", filepath.Join(root, "r.git")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	backend := &cgi.Handler{Path: bin, Args: []string{"http-backend"}, Stderr: io.Discard, Env: []string{
		"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != "user" || p != "pa55word" {
			w.Header().Set("WWW-Authenticate", "Basic")
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/r.git"
}

func secret(namespace, name, password string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Type: devopsv1alpha3.SecretTypeBasicAuth,
		Data: map[string][]byte{"username": []byte("user"), "password": []byte(password)}}
}

// quiet fails the test if a server is to be asked.
type quiet struct{ t *testing.T }

func (q quiet) Open(gitfiles.Target) (*gitfiles.Repository, error) {
	q.t.Error("the server is asked again without a reason")
	return nil, nil
}

func TestReconciler(t *testing.T) {
	url := serve(t)
	kube, namespace := envtest.Client(t), envtest.Namespace(t)
	git, err := gitfiles.New(gitfiles.Options{Dir: t.TempDir(), AllowLocal: true, Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	mgr := envtest.NewManager(t, namespace)
	r := &Reconciler{Git: git, Options: Options{MinRetry: 100 * time.Millisecond}}
	if err := r.SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	envtest.Start(t, mgr)
	other := secret("default", "elsewhere-"+namespace, "pa55word")
	plain := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "plain"}, Data: map[string][]byte{"token": []byte("pa55word")}}
	for _, s := range []*corev1.Secret{secret(namespace, "good", "pa55word"), secret(namespace, "bad", "nope-secret"), other, plain} {
		if err := kube.Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = kube.Delete(t.Context(), other) })
	ref := func(name string) *corev1.SecretReference { return &corev1.SecretReference{Name: name} }
	for name, tc := range map[string]struct {
		spec       devopsv1alpha3.GitRepositorySpec
		reason     string
		url        string
		connection string
	}{
		"good":      {spec: devopsv1alpha3.GitRepositorySpec{URL: url, Secret: ref("good")}, reason: "Connected", connection: "Connected"},
		"bad":       {spec: devopsv1alpha3.GitRepositorySpec{URL: url, Secret: ref("bad")}, reason: "AuthenticationFailed"},
		"none":      {spec: devopsv1alpha3.GitRepositorySpec{URL: url}, reason: "AuthenticationFailed"},
		"missing":   {spec: devopsv1alpha3.GitRepositorySpec{URL: url, Secret: ref("missing")}, reason: access.ReasonSecretNotFound},
		"plain":     {spec: devopsv1alpha3.GitRepositorySpec{URL: url, Secret: ref("plain")}, reason: access.ReasonSecretInvalid},
		"elsewhere": {spec: devopsv1alpha3.GitRepositorySpec{URL: url, Secret: &corev1.SecretReference{Namespace: "default", Name: other.Name}}, reason: access.ReasonSecretElsewhere},
		"empty":     {reason: ReasonNoAddress},
		"gone":      {spec: devopsv1alpha3.GitRepositorySpec{URL: strings.Replace(url, "r.git", "x.git", 1), Secret: ref("good")}, reason: "NotFound"},
		"completed": {spec: devopsv1alpha3.GitRepositorySpec{Provider: "gitlab", Server: "http://127.0.0.1:1", Owner: "o", Repo: "r"}, url: "http://127.0.0.1:1/o/r.git", reason: "Unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			g := &devopsv1alpha3.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: tc.spec}
			if err := kube.Create(t.Context(), g); err != nil {
				t.Fatal(err)
			}
			gomega.NewWithT(t).Eventually(func() string {
				_ = kube.Get(t.Context(), client.ObjectKeyFromObject(g), g)
				if c := meta.FindStatusCondition(g.Status.Conditions, devopsv1alpha3.ConditionReady); c != nil {
					return c.Reason
				}
				return ""
			}, patience).Should(gomega.Equal(tc.reason))
			want := tc.connection
			if want == "" {
				want = devopsv1alpha3.GitFailed
			}
			if g.Status.Connection != want || g.Status.Message == "" || tc.url != "" && g.Spec.URL != tc.url || len(g.Finalizers) > 0 {
				t.Errorf("%+v %s", g.Status, g.Spec.URL)
			}
			for _, secret := range []string{"pa55word", "nope-secret"} {
				if strings.Contains(g.Status.Message, secret) {
					t.Errorf("a secret is in %q", g.Status.Message)
				}
			}
		})
	}
	t.Run("mended", func(t *testing.T) {
		if err := kube.Update(t.Context(), secret(namespace, "bad", "pa55word")); err != nil {
			t.Fatal(err)
		}
		g := &devopsv1alpha3.GitRepository{}
		gomega.NewWithT(t).Eventually(func() string {
			_ = kube.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "bad"}, g)
			return g.Status.Connection
		}, patience).Should(gomega.Equal(devopsv1alpha3.GitConnected))
	})
	t.Run("resync", func(t *testing.T) {
		g := &devopsv1alpha3.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "quiet"}, Spec: devopsv1alpha3.GitRepositorySpec{URL: url, Secret: ref("good")}}
		own := &Reconciler{Client: kube, Reader: kube, Git: quiet{t}}
		own.setDefaults()
		if err := kube.Create(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		gomega.NewWithT(t).Eventually(func() string {
			_ = kube.Get(t.Context(), client.ObjectKeyFromObject(g), g)
			return g.Status.Connection
		}, patience).Should(gomega.Equal(devopsv1alpha3.GitConnected))
		version := g.ResourceVersion
		result, err := own.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(g)})
		if err != nil || result.RequeueAfter <= DefaultRecheck-time.Hour {
			t.Errorf("got %v, %v", result, err)
		}
		_ = kube.Get(t.Context(), client.ObjectKeyFromObject(g), g)
		if g.ResourceVersion != version {
			t.Error("a pass without news writes")
		}
		if result, err := own.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Namespace: namespace, Name: "no-such"}}); err != nil || result.RequeueAfter != 0 {
			t.Errorf("one that is gone: %v, %v", result, err)
		}
	})
}

func TestInterval(t *testing.T) {
	r := &Reconciler{}
	r.setDefaults()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for failing, want := range map[time.Duration]time.Duration{0: DefaultMinRetry, 2 * time.Minute: 2 * time.Minute, time.Hour: DefaultMaxRetry} {
		checked := metav1.NewTime(start.Add(failing))
		g := &devopsv1alpha3.GitRepository{Status: devopsv1alpha3.GitRepositoryStatus{LastCheckTime: &checked, Conditions: []metav1.Condition{
			{Type: devopsv1alpha3.ConditionReady, Status: metav1.ConditionFalse, LastTransitionTime: metav1.NewTime(start)}}}}
		if got := r.interval(g); got != want {
			t.Errorf("after %s: %s, want %s", failing, got, want)
		}
	}
}

// TestFairness: a project whose servers do not answer does not hold up others'.
func TestFairness(t *testing.T) {
	hang, asked := make(chan struct{}), make(chan struct{}, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/slow/") {
			asked <- struct{}{}
			<-hang
		}
	}))
	defer server.Close()
	git, err := gitfiles.New(gitfiles.Options{Dir: t.TempDir(), AllowLocal: true, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	r := &Reconciler{Git: git}
	r.setDefaults()
	repo := func(project, path string) *devopsv1alpha3.GitRepository {
		return &devopsv1alpha3.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: project, Name: "r", UID: "u"}, Spec: devopsv1alpha3.GitRepositorySpec{URL: server.URL + path}}
	}
	done := make(chan error, perProject)
	for range perProject {
		go func() {
			_, err := r.check(t.Context(), repo("a", "/slow/r"))
			done <- err
		}()
		<-asked
	}
	for project, want := range map[string]bool{"a": false, "b": true} {
		g := repo(project, "/r")
		after, err := r.check(t.Context(), g)
		if noted := g.Status.LastCheckTime != nil; err != nil || noted != want || after <= 0 || !want && after > 2*busyWait {
			t.Errorf("project %s: asked %t, again after %s, %v", project, noted, after, err)
		}
	}
	close(hang)
	for range perProject {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if len(r.asking) != 0 {
		t.Errorf("left: %v", r.asking)
	}
}
