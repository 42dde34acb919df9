// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/sonarqube"
	"github.com/slipway-dev/slipway/pkg/sonarqube/sonarqubetest"
)

// TestFault06NoJenkinsErrorBecomes500 is fault 6: every 404 and 401 of Jenkins became a 500. Each route that asks Jenkins is asked while Jenkins fails in
// each way.
func TestFault06NoJenkinsErrorBecomes500(t *testing.T) {
	routes := []call{
		{path: blueRoot + "/namespaces/ann-demo/pipelines/build"},
		{path: blueRoot + "/namespaces/ann-demo/pipelines/free?check=true"},
		{path: blueRoot + "/devops/ann-demo/pipelines/large/branches"},
		{path: blueRoot + "/namespaces/ann-demo/pipelines/large/branches/main"},
		{path: devops + "/namespaces/ann-demo/pipelines/large/branches"},
		{path: devops + "/devops/ann-demo/pipelines/large/branches/main"},
		{path: blueRoot + "/namespaces/ann-demo/pipelines/large/consolelog"},
		{path: blueRoot + "/namespaces/ann-demo/pipelines/build/sonarstatus"},
		{path: blueRoot + "/devops/ann-demo/pipelines/large/branches/main/sonarstatus"},
		{path: blueRoot + "/namespaces/ann-demo/credentials/git/usage"},
		{path: blueRoot + "/devops/ann-demo/credentials/git/usage"},
		{path: devops + "/ci/nodelabels"},
		{method: "POST", path: blueRoot + "/namespaces/ann-demo/pipelines/build/checkScriptCompile", body: `{"value":"x"}`},
		{method: "POST", path: blueRoot + "/namespaces/ann-demo/checkCron", body: `{"cron":"@daily","pipelineName":"build"}`},
	}
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	for mode, tt := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		codes  []int
	}{
		"404":     {status(404), []int{200, 404}},
		"401":     {status(401), []int{200, 502, 503}},
		"403":     {status(403), []int{502}},
		"500":     {status(500), []int{502}},
		"503":     {status(503), []int{200, 503}},
		"502":     {status(502), []int{200, 503}},
		"silence": {func(_ http.ResponseWriter, r *http.Request) { wait(r, hang) }, []int{200, 503, 504}},
		"broken": {func(w http.ResponseWriter, _ *http.Request) {
			hijacked, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_ = hijacked.Close()
			}
		}, []int{200, 503}},
	} {
		a := &answers{known: map[string]func(http.ResponseWriter, *http.Request){"*": tt.answer}}
		failingRoutes(t, mode, a, routes, tt.codes)
	}
}

func wait(r *http.Request, hang chan struct{}) {
	// A server learns that a client is gone when it has read the body.
	_, _ = io.Copy(io.Discard, r.Body)
	select {
	case <-hang:
	case <-r.Context().Done():
	}
}

func failingWorld(t *testing.T, j *jenkins.Client) *world {
	t.Helper()
	large := multiBranch("ann-demo", "large", branched(branchesOfMany))
	large.Status.Conditions = []metav1.Condition{{Type: devopsv1alpha3.ConditionBranchesComplete, Status: metav1.ConditionFalse}}
	secret := credentialSecret("git", "basic-auth", nil)
	secret.Namespace = "ann-demo"
	s, err := sonarqube.New(sonarqube.Config{URL: sonarqubetest.New(t, "").URL})
	if err != nil {
		t.Fatal(err)
	}
	objects := []client.Object{ownedProject("ann-demo"), plainPipeline("ann-demo", "build", nil), large, secret}
	return newWorld(t, func(config *Config) { config.JenkinsAPI, config.Credentials, config.SonarQube = j, j, s }, objects...)
}

// failingRoutes asks each route of a server whose Jenkins fails.
func failingRoutes(t *testing.T, mode string, a *answers, routes []call, codes []int) {
	t.Helper()
	for _, c := range routes {
		// Another Jenkins for each, whose failures are not known yet.
		w := failingWorld(t, newImpatient(t, a, 400*time.Millisecond))
		c.user = "ann"
		a.asked()
		answer := w.do(c)
		if !slices.Contains(codes, answer.Code) {
			t.Errorf("Jenkins %s, %s %s: %d %s, want one of %v", mode, c.method, c.path, answer.Code, answer.Body, codes)
		}
		if len(a.asked()) == 0 {
			t.Errorf("Jenkins %s, %s %s: Jenkins was not asked, so nothing is shown", mode, c.method, c.path)
		}
		if answer.Code == 503 && answer.Header().Get("Retry-After") == "" {
			t.Errorf("Jenkins %s, %s %s: a 503 that does not say when to try again", mode, c.method, c.path)
		}
	}
}

// TestCredentialUsageV2 reads the use of a credential at the address of the older API.
func TestCredentialUsageV2(t *testing.T) {
	use := credentialUse{"ann-shop/git": &jenkins.CredentialInfo{DisplayName: "u/******", Usage: []jenkins.CredentialUsage{{Job: "ann-shop/build", Builds: [][2]int64{{1, 4}}}}}}
	w := newWorld(t, func(config *Config) { config.Credentials = use }, credentialSecret("git", "basic-auth", map[string]string{"password": "hunter2"}))
	for _, family := range []string{"namespaces", "devops"} {
		v2 := w.do(call{user: "ann", path: blueRoot + "/" + family + "/ann-shop/credentials/git/usage"})
		v3 := w.do(call{user: "ann", path: devops + "/" + family + "/ann-shop/credentials/git/usage"})
		if v2.Code != 200 || v2.Body.String() != v3.Body.String() || v2.Body.Len() == 0 {
			t.Errorf("%s: %d %s, v1alpha3: %d %s", family, v2.Code, v2.Body, v3.Code, v3.Body)
		}
	}
	for user, want := range map[string]int{"bob": 403, "": 401} {
		if got := w.do(call{user: user, path: blueRoot + "/namespaces/ann-shop/credentials/git/usage"}); got.Code != want {
			t.Errorf("user %q: %d, want %d", user, got.Code, want)
		}
	}
	if got := w.do(call{user: "ann", path: blueRoot + "/namespaces/ann-shop/credentials/none/usage"}); got.Code != 404 {
		t.Errorf("none: %d, want 404", got.Code)
	}
}
