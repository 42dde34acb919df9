// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

const blueRoot = "/kapis/devops.kubesphere.io/v1alpha2"

// answers is a Jenkins that has one answer for each request that it knows, by method and escaped path.
type answers struct {
	mu    sync.Mutex
	known map[string]func(w http.ResponseWriter, r *http.Request)
	seen  []string
}

func (a *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := r.Method + " " + r.URL.EscapedPath()
	a.mu.Lock()
	a.seen = append(a.seen, key)
	answer := a.known[key]
	if answer == nil {
		answer = a.known["*"]
	}
	a.mu.Unlock()
	w.Header().Set("X-Jenkins", "2.541.2")
	if answer == nil {
		http.Error(w, "<h1>Oops!</h1>", http.StatusNotFound)
		return
	}
	answer(w, r)
}

// asked gives the requests since the last time.
func (a *answers) asked() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	seen := a.seen
	a.seen = nil
	return seen
}

// set changes an answer; nil removes it.
func (a *answers) set(key string, answer func(http.ResponseWriter, *http.Request)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if answer == nil {
		delete(a.known, key)
		return
	}
	a.known[key] = answer
}

func text(body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		if strings.HasPrefix(body, "{") || strings.HasPrefix(body, "[") {
			w.Header().Set("Content-Type", "application/json")
		}
		_, _ = io.WriteString(w, body)
	}
}

func status(code int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<h1>sorry</h1>", code) }
}

// newJenkins serves the answers.
func newJenkins(t *testing.T, a *answers) *jenkins.Client {
	t.Helper()
	return newImpatient(t, a, 5*time.Second)
}

// newImpatient is newJenkins with a client that waits that long.
func newImpatient(t *testing.T, a *answers, patience time.Duration) *jenkins.Client {
	t.Helper()
	if a.known == nil {
		a.known = map[string]func(http.ResponseWriter, *http.Request){}
	}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	c, err := jenkins.New(jenkins.Config{URL: server.URL, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// ownNamespaces lets users do all in the namespaces that begin with their name, and nothing that goes over all of them; root does everything.
func ownNamespaces(asked *int) authorizer.AuthorizerFunc {
	var mu sync.Mutex
	return func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
		mu.Lock()
		defer mu.Unlock()
		if asked != nil {
			*asked++
		}
		name := a.GetUser().GetName()
		if name == "root" || a.GetNamespace() != "" && strings.HasPrefix(a.GetNamespace(), name) {
			return authorizer.DecisionAllow, "", nil
		}
		return authorizer.DecisionDeny, "", nil
	}
}

// blueWorld is a server with a Jenkins, and users who see their own namespaces only.
func blueWorld(t *testing.T, a *answers, objects ...client.Object) *world {
	t.Helper()
	c := newJenkins(t, a)
	return newWorld(t, func(config *Config) {
		config.JenkinsAPI, config.Credentials = c, c
		config.Authorizer = ownNamespaces(nil)
	}, objects...)
}

// ownedProject is a project with its folder in Jenkins.
func ownedProject(name string) *devopsv1alpha3.DevOpsProject {
	project := &devopsv1alpha3.DevOpsProject{ObjectMeta: metav1.ObjectMeta{Name: name}}
	project.Status.AdminNamespace = name
	project.Status.Conditions = []metav1.Condition{{Type: devopsv1alpha3.ConditionFolderReady, Status: metav1.ConditionTrue}}
	return project
}

func plainPipeline(namespace, name string, annotations map[string]string) *devopsv1alpha3.Pipeline {
	p := samplePipeline(namespace, name, devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.NoScmPipelineType, Pipeline: &devopsv1alpha3.NoScmPipeline{
		Jenkinsfile: declarative, Parameters: []devopsv1alpha3.ParameterDefinition{{Name: "A", Type: "string"}},
	}})
	p.Annotations = annotations
	return p
}

func multiBranch(namespace, name string, annotations map[string]string) *devopsv1alpha3.Pipeline {
	p := samplePipeline(namespace, name, devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.MultiBranchPipelineType,
		MultiBranchPipeline: &devopsv1alpha3.MultiBranchPipeline{ScriptPath: "ci/Jenkinsfile"}})
	p.Annotations = annotations
	return p
}

// runOf is a run that Jenkins has taken.
func runOf(namespace, pipeline, name string, age time.Duration, build int) *devopsv1alpha3.PipelineRun {
	run := sampleRun(name, nil)
	run.Namespace, run.Spec.PipelineRef.Name = namespace, pipeline
	run.Labels = map[string]string{devopsv1alpha3.PipelineNameLabel: pipeline}
	run.CreationTimestamp = metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(-age))
	run.Annotations[devopsv1alpha3.JenkinsPipelineRunStatusAnnotation] = fmt.Sprintf(
		`{"id":"%d","state":"FINISHED","result":"SUCCESS","startTime":"2026-01-02T03:04:05.1Z","endTime":null,"durationInMillis":5}`, build)
	return run
}
