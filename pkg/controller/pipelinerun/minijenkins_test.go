// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/controller/pipeline"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/jenkins/jobxml"
	minijenkins "github.com/slipway-dev/slipway/pkg/minijenkins/server"
	"github.com/slipway-dev/slipway/pkg/sealing"
	"github.com/slipway-dev/slipway/pkg/testing/envtest"
)

// real is a controller between a real API server and a minijenkins, whose wire is that of Jenkins.
type real struct {
	client.Client
	*testing.T
	ns      string
	url     string
	jenkins *jenkins.Client
}

const realKey = "0123456789abcdef0123456789abcdef"

func startReal(t *testing.T, disableConcurrent bool) *real {
	t.Helper()
	r := &real{Client: envtest.Client(t), T: t, ns: envtest.Namespace(t)}
	r.startJenkins()
	makeProject(t, r.Client, r.ns)
	p := syncedPipeline("build",
		devopsv1alpha3.ParameterDefinition{Name: "V", Type: "string", DefaultValue: "0"}, devopsv1alpha3.ParameterDefinition{Name: "PW", Type: "password"})
	p.Namespace, p.UID = r.ns, ""
	p.Spec.Pipeline.Jenkinsfile = "pipeline { agent none\n stages { stage('a') { steps { echo \"V is ${params.V}\" } } } }"
	p.Spec.Pipeline.DisableConcurrent = disableConcurrent
	status := p.Status
	if err := r.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	p.Status = status
	p.Status.Conditions[0].LastTransitionTime = metav1.Now()
	if err := r.Status().Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	token := func(p *devopsv1alpha3.Pipeline) string { return pipeline.StartToken([]byte(realKey), p) }
	doc, err := jobxml.Render(&p.Spec, jobxml.Options{AuthToken: token(p)})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.jenkins.EnsureFolder(t.Context(), r.ns); err != nil {
		t.Fatal(err)
	}
	if err := r.jenkins.PutJob(t.Context(), r.ns, "build", doc); err != nil {
		t.Fatal(err)
	}
	r.startControllers(token)
	return r
}

func (r *real) startJenkins() {
	r.Helper()
	var server *minijenkins.Server
	listener := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { server.Handler().ServeHTTP(w, q) }))
	r.url = "http://" + listener.Listener.Addr().String()
	var err error
	server, err = minijenkins.New(minijenkins.Config{
		StateDir: r.TempDir(), BaseURL: r.url, Accounts: []minijenkins.Account{{Name: "admin", Token: "token"}}, QuietPeriod: -1, StopTimeout: -1,
		NewAgents: func(minijenkins.AgentDeps) (minijenkins.AgentSource, error) { return noAgents{}, nil },
	})
	if err != nil {
		r.Fatal(err)
	}
	listener.Start()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	r.Cleanup(func() {
		listener.Close()
		cancel()
		<-done
	})
	if r.jenkins, err = jenkins.New(jenkins.Config{URL: r.url, Username: "admin", Token: "token", RecheckDelay: 50 * time.Millisecond}); err != nil {
		r.Fatal(err)
	}
}

func (r *real) startControllers(token func(*devopsv1alpha3.Pipeline) string) {
	r.Helper()
	mgr := envtest.NewManager(r.T, r.ns)
	if err := index.Register(r.Context(), mgr.GetFieldIndexer()); err != nil {
		r.Fatal(err)
	}
	watcher, err := NewWatcher(r.jenkins, WatcherOptions{Fastest: 100 * time.Millisecond})
	if err != nil {
		r.Fatal(err)
	}
	sealer, err := sealing.New([]byte(realKey))
	if err != nil {
		r.Fatal(err)
	}
	runs := &Reconciler{Jenkins: r.jenkins, Watcher: watcher, Token: token, Sealer: sealer,
		Analyze: func(string) pipeline.Analysis { return pipeline.Analysis{Complete: true} }, Options: Options{StartSettle: time.Second}}
	for _, c := range []interface{ SetupWithManager(ctrl.Manager) error }{runs, &Adopter{Jenkins: r.jenkins}, &Discarder{}} {
		if err := c.SetupWithManager(mgr); err != nil {
			r.Fatal(err)
		}
	}
	envtest.Start(r.T, mgr)
}

func (r *real) run(name string, change func(*devopsv1alpha3.PipelineRun)) {
	r.Helper()
	pr := &devopsv1alpha3.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: r.ns, Name: name}}
	pr.Spec.PipelineRef = &corev1.ObjectReference{Name: "build"}
	if change != nil {
		change(pr)
	}
	if err := r.Create(r.Context(), pr); err != nil {
		r.Fatal(err)
	}
}

// ended waits until a run has ended well, and gives it.
func (r *real) ended(name string) *devopsv1alpha3.PipelineRun {
	r.Helper()
	pr := &devopsv1alpha3.PipelineRun{}
	gomega.NewWithT(r.T).Eventually(func() string {
		if err := r.Get(r.Context(), client.ObjectKey{Namespace: r.ns, Name: name}, pr); err != nil {
			return err.Error()
		}
		if !ended(pr) {
			return "live: " + verdict(pr) + ": " + message(pr)
		}
		return verdict(pr)
	}).WithTimeout(60*time.Second).WithPolling(100*time.Millisecond).Should(gomega.Equal("Succeeded/Success"), name)
	return pr
}

func (r *real) builds() map[int64]jenkins.StartedBuild {
	r.Helper()
	list, err := r.jenkins.StartedBuilds(r.Context(), r.ns, "build")
	if err != nil {
		r.Fatal(err)
	}
	out := map[int64]jenkins.StartedBuild{}
	for _, b := range list {
		out[b.Number] = b
	}
	return out
}

// TestLifeOnMinijenkins: a password, a replay and an adoption, over Jenkins' wire.
func TestLifeOnMinijenkins(t *testing.T) {
	r := startReal(t, false)
	r.run("first", func(pr *devopsv1alpha3.PipelineRun) {
		pr.Spec.Parameters = []devopsv1alpha3.Parameter{param("V", "ü 1"), param("PW", hunter)}
	})
	first := r.ended("first")
	text, err := json.Marshal(first)
	if err != nil || strings.Contains(string(text), hunter) {
		t.Errorf("the password can be read: %s", text)
	}
	for _, name := range []string{"again-1", "again-2"} {
		r.run(name, func(pr *devopsv1alpha3.PipelineRun) { pr.Spec.ReplayOf = "first" })
	}
	numbers := map[string]bool{}
	for _, name := range []string{"again-1", "again-2"} {
		numbers[r.ended(name).Annotations[devopsv1alpha3.JenkinsPipelineRunIDAnnotation]] = true
	}
	if builds := r.builds(); len(builds) != 3 || !numbers["2"] || !numbers["3"] {
		t.Errorf("%d builds, replays have %v", len(builds), numbers)
	}
	for number, b := range r.builds() {
		if number > 1 && (len(b.Parameters) == 0 || b.Parameters[0].Value != "ü 1") {
			t.Errorf("build %d replays with %v", number, b.Parameters)
		}
	}

	// Somebody starts a build in Jenkins, past Slipway.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/job/"+r.ns+"/job/build/buildWithParameters", strings.NewReader(url.Values{"V": {"by hand"}, "PW": {hunter}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("admin", "token")
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("%v %v", resp, err)
	}
	_ = resp.Body.Close()
	gomega.NewWithT(t).Eventually(func() int { return len(r.builds()) }).WithTimeout(20 * time.Second).Should(gomega.Equal(4))
	p := &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: r.ns, Name: "build"}}
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, devopsv1alpha3.PipelineRequestToSyncRunsAnnotation, time.Now().Format(time.RFC3339))
	if err := r.Patch(t.Context(), p, client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		t.Fatal(err)
	}
	adopted := r.ended("build-4")
	if got := adopted.Annotations[devopsv1alpha3.PipelineRunCreatorAnnotation]; got != "admin" || len(adopted.Spec.Parameters) != 1 || adopted.Spec.Parameters[0].Value != "by hand" {
		t.Errorf("creator %q, parameters %v", got, adopted.Spec.Parameters)
	}
	list := &devopsv1alpha3.PipelineRunList{}
	if err := r.List(t.Context(), list, client.InNamespace(r.ns)); err != nil || len(list.Items) != 4 {
		t.Errorf("%d runs of 4 builds: %v", len(list.Items), err)
	}
}

// TestEqualRunsOnMinijenkins: 40 runs of equal parameters, made at once, have 40 builds, whether or not the
// pipeline lets builds run at the same time.
func TestEqualRunsOnMinijenkins(t *testing.T) {
	for name, n := range map[string]int{"Concurrent": 40, "OneAfterTheOther": 12} {
		t.Run(name, func(t *testing.T) {
			r := startReal(t, name == "OneAfterTheOther")
			begin := time.Now()
			for i := range n {
				r.run(fmt.Sprintf("run-%02d", i), nil)
			}
			made := time.Since(begin)
			seen := map[string]bool{}
			for i := range n {
				seen[r.ended(fmt.Sprintf("run-%02d", i)).Annotations[devopsv1alpha3.JenkinsPipelineRunIDAnnotation]] = true
			}
			if builds := r.builds(); len(builds) != n || len(seen) != n {
				t.Errorf("%d runs have %d of %d builds", n, len(seen), len(builds))
			}
			t.Logf("%d runs made within %s ended after %s", n, made.Round(time.Millisecond), time.Since(begin).Round(time.Millisecond))
		})
	}
}
