// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/kube"
	minijenkins "github.com/slipway-dev/slipway/pkg/minijenkins/server"
	"github.com/slipway-dev/slipway/pkg/reconcile"
	"github.com/slipway-dev/slipway/pkg/testing/envtest"
)

func TestMain(m *testing.M) { os.Exit(envtest.Main(m)) }

const (
	testUser, testToken = "slipway", "0123456789"
	patience            = time.Minute
)

var testKey = []byte("0123456789abcdef0123456789abcdef")

// noAgents is for a Jenkins that runs nothing.
type noAgents struct{}

func (noAgents) ForBuild(kube.Build) engine.AgentProvider { return nil }
func (noAgents) Agents() []kube.AgentInfo                 { return nil }
func (noAgents) Reap(context.Context) error               { return nil }
func (noAgents) Run(ctx context.Context) error            { <-ctx.Done(); return nil }

// server is a minijenkins in this process, with somebody who listens on the line.
type server struct {
	*jenkins.Client
	t *testing.T

	mu sync.Mutex
	// calls are "METHOD last part of the path", with the id of an entry.
	calls []string
	// sent are the fields json of forms.
	sent []string
	// fault, if set, decides what happens to a call.
	fault func(call string) fault
}

type fault int

const (
	noFault fault = iota
	// refuse answers 503.
	refuse
	// lose lets the call through and breaks the connection instead of answering.
	lose
)

func newServer(t *testing.T) *server {
	t.Helper()
	jenkinsServer, err := minijenkins.New(minijenkins.Config{
		StateDir: t.TempDir(), Accounts: []minijenkins.Account{{Name: testUser, Token: testToken}},
		NewAgents: func(minijenkins.AgentDeps) (minijenkins.AgentSource, error) { return noAgents{}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = jenkinsServer.Close() })
	s := &server{t: t}
	line := httptest.NewServer(s.listen(jenkinsServer.Handler()))
	t.Cleanup(line.Close)
	s.Client, err = jenkins.New(jenkins.Config{URL: line.URL, Username: testUser, Token: testToken})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *server) listen(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		call := describeCall(r)
		s.mu.Lock()
		s.calls = append(s.calls, call)
		if form, err := url.ParseQuery(string(body)); err == nil && form.Has("json") {
			s.sent = append(s.sent, form.Get("json"))
		}
		decide := s.fault
		s.mu.Unlock()
		what := noFault
		if decide != nil {
			what = decide(call)
		}
		switch what {
		case refuse:
			http.Error(w, "Jenkins is getting ready to work", http.StatusServiceUnavailable)
		case lose:
			next.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func describeCall(r *http.Request) string {
	_, store, ok := strings.Cut(r.URL.Path, "/domain/_")
	switch {
	case !ok:
		return "other"
	case store == "/api/json":
		return "list"
	case store == "/createCredentials":
		return "create"
	}
	parts := strings.Split(store, "/")
	return strings.Join(parts[3:], "/") + " " + parts[2]
}

func (s *server) setFault(f func(call string) fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// count counts the calls that begin with a word since the last count of "".
func (s *server) count(word string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, call := range s.calls {
		if strings.HasPrefix(call, word) {
			n++
		}
	}
	return n
}

func (s *server) forgetCalls() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls, s.sent = nil, nil
}

// lastForm is the last form of an entry that was sent.
func (s *server) lastForm(id string) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range slices.Backward(s.sent) {
		var doc map[string]any
		if err := json.Unmarshal([]byte(text), &doc); err != nil {
			s.t.Fatal(err)
		}
		if inner, ok := doc["credentials"].(map[string]any); ok {
			doc = inner
		}
		if doc["id"] == id {
			return doc
		}
	}
	return nil
}

func (s *server) ids(folder string) []string {
	list, err := s.ListCredentials(s.t.Context(), folder)
	if err != nil {
		return []string{err.Error()}
	}
	var out []string
	for _, e := range list {
		out = append(out, e.ID)
	}
	slices.Sort(out)
	return out
}

// foreign makes an entry as a person does.
func (s *server) foreign(folder, id string) {
	s.t.Helper()
	entry := jenkins.CredentialEntry{ID: id, Description: "made by hand", Credential: jenkins.SecretText{Secret: "by-hand"}}
	if err := s.CreateCredential(s.t.Context(), folder, entry); err != nil {
		s.t.Fatal(err)
	}
}

// recorder keeps events.
type recorder struct {
	mu   sync.Mutex
	list []string
}

func (r *recorder) Eventf(regarding, _ runtime.Object, kind, reason, _, note string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, regarding.(client.Object).GetName()+": "+kind+" "+reason+": "+fmt.Sprintf(note, args...))
}

func (r *recorder) events() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}

// live is a controller on a real API server with a minijenkins.
type live struct {
	client.Client
	*gomega.WithT
	t      *testing.T
	ns     string
	jen    *server
	events *recorder
	r      *Reconciler
}

type adjust func(*Reconciler)

func startLive(t *testing.T, adjustments ...adjust) *live {
	t.Helper()
	l := &live{t: t, WithT: gomega.NewWithT(t), Client: envtest.Client(t), ns: envtest.Namespace(t), jen: newServer(t), events: &recorder{}}
	l.SetDefaultEventuallyTimeout(patience)
	l.SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	makeProject(t, l.Client, l.ns, l.ns)
	if err := l.jen.EnsureFolder(t.Context(), l.ns); err != nil {
		t.Fatal(err)
	}
	l.start(adjustments...)
	return l
}

// start starts the controller, again if need be.
func (l *live) start(adjustments ...adjust) {
	l.t.Helper()
	l.r = &Reconciler{Jenkins: l.jen, Recorder: l.events, Options: Options{Key: testKey}, namespaces: []string{l.ns}}
	l.r.pace = pace{slow: 50 * time.Millisecond, fast: 10 * time.Millisecond}
	for _, f := range adjustments {
		f(l.r)
	}
	mgr := envtest.NewManager(l.t, l.ns)
	if err := l.r.SetupWithManager(mgr); err != nil {
		l.t.Fatal(err)
	}
	envtest.Start(l.t, mgr)
}

func auditEvery(d time.Duration) adjust { return func(r *Reconciler) { r.Options.Audit = d } }

// makeProject makes a project that is ready and has the namespace.
func makeProject(t *testing.T, c client.Client, name, namespace string) *devopsv1alpha3.DevOpsProject {
	t.Helper()
	p := &devopsv1alpha3.DevOpsProject{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := c.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	p.Status.AdminNamespace = namespace
	reconcile.SetCondition(&p.Status.Conditions, metav1.Condition{Type: devopsv1alpha3.ConditionReady, Status: metav1.ConditionTrue, Reason: devopsv1alpha3.ReasonSynced})
	if err := c.Status().Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return p
}

func newSecret(namespace, name string, kind corev1.SecretType, data map[string]string) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Type: kind, Data: map[string][]byte{}}
	for k, v := range data {
		s.Data[k] = []byte(v)
	}
	return s
}

func (l *live) create(name string, kind corev1.SecretType, data map[string]string) {
	l.t.Helper()
	if err := l.Create(l.t.Context(), newSecret(l.ns, name, kind, data)); err != nil {
		l.t.Fatal(err)
	}
}

func (l *live) text(name, value string) {
	l.t.Helper()
	l.create(name, devopsv1alpha3.SecretTypeSecretText, map[string]string{"secret": value})
}

func (l *live) secret(name string) *corev1.Secret {
	s := &corev1.Secret{}
	err := l.Get(l.t.Context(), client.ObjectKey{Namespace: l.ns, Name: name}, s)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		l.t.Error(err)
	}
	return s
}

// change patches a Secret.
func (l *live) change(name string, f func(*corev1.Secret)) {
	l.t.Helper()
	s := l.secret(name)
	if s == nil {
		l.t.Fatalf("the Secret %s is gone", name)
	}
	before := s.DeepCopy()
	f(s)
	if err := l.Patch(l.t.Context(), s, client.MergeFrom(before)); err != nil {
		l.t.Fatal(err)
	}
}

func (l *live) delete(name string) {
	l.t.Helper()
	if err := l.Delete(l.t.Context(), newSecret(l.ns, name, "", nil)); err != nil {
		l.t.Fatal(err)
	}
}

// status is the status annotation with the first words of the message.
func (l *live) status(name string) func() string {
	return func() string {
		s := l.secret(name)
		if s == nil {
			return "gone"
		}
		return s.Annotations[devopsv1alpha3.CredentialSyncStatusAnnotation]
	}
}

func (l *live) synced(names ...string) {
	l.t.Helper()
	for _, name := range names {
		l.Eventually(l.status(name)).Should(gomega.Equal("successful"), name)
	}
}

func annotations(s *corev1.Secret) string {
	return fmt.Sprint(slices.Sorted(maps.Values(s.Annotations)))
}
