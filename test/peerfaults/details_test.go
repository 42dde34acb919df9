// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package peerfaults

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// TestFault11BranchesWithSlash: the job of the branch feat/x is called feat%2Fx by Jenkins, so that its address has feat%252Fx. The peer
// forgets the second encoding where it downloads artifacts and deletes builds. Here both arrive.
func TestFault11BranchesWithSlash(t *testing.T) {
	t.Parallel()
	p := newProject(t, "fault11")
	p.newBranches("mb", "sleep 600", "feat/x")
	run := p.startRun("mb", "?branch=feat%252Fx")
	p.reaches(run, devopsv1alpha3.Running)
	build := "/job/" + p.name + "/job/mb/job/feat%252Fx/" + number(run)
	if code, text := p.ask(http.MethodGet, build+"/api/json"); code != http.StatusOK {
		t.Fatalf("the build is not at its address: %d %s", code, text)
	}
	t.Run("artifact", func(t *testing.T) {
		p := p.in(t)
		// No agent is here that could make a file.
		p.jenkinsAPI.breaks(t, func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			if r.URL.EscapedPath() != build+"/artifact/dist/a%20b.txt" {
				return false
			}
			fmt.Fprint(w, "the file")
			return true
		})
		begin := time.Now()
		got := p.get(p.v3("pipelineruns/" + run.Name + "/artifacts/download?filename=dist%2Fa%20b.txt"))
		if got.code != http.StatusOK || got.body != "the file" {
			t.Errorf("%v, asked: %s", got, lines(p.jenkinsAPI.since(begin, p.name)))
		}
	})
	t.Run("delete", func(t *testing.T) {
		p := p.in(t)
		if got := p.do(http.MethodPost, p.v2("pipelines/mb/branches/feat%252Fx/runs/"+number(run)+"/stop?blocking=true&timeOutInSecs=30"), nil); got.code != http.StatusOK {
			t.Fatal(got)
		}
		p.reaches(run, devopsv1alpha3.Cancelled)
		begin := time.Now()
		if got := p.do(http.MethodDelete, p.v3("pipelineruns/"+run.Name), nil); got.code != http.StatusOK {
			t.Fatal(got)
		}
		p.wait("the run is gone", func() (bool, string) {
			err := p.kube.Get(t.Context(), client.ObjectKeyFromObject(run), run)
			return apierrors.IsNotFound(err), fmt.Sprint(err, run.Status.Conditions)
		})
		if code, _ := p.ask(http.MethodGet, build+"/api/json"); code != http.StatusNotFound {
			t.Errorf("the build is still there: %d", code)
		}
		asked := kept(p.jenkinsControllers.since(begin, p.name), func(c *call) bool { return strings.HasSuffix(c.path, "/doDelete") })
		// A controller whose copy of the run was old asks once more, and gets a 404.
		if len(asked) == 0 || slices.ContainsFunc(asked, func(c call) bool { return c.path != build+"/doDelete" }) {
			t.Errorf("asked to delete: %s", lines(asked))
		}
	})
}

// TestFault12OtherServers: the peer knows the repositories of three public servers only, takes an address for another if it is
// written differently, and forgets all pipelines of an event over an error of the last. Here servers have any address, an address is
// one however it is written, and a pipeline with a fault does not keep others from their runs.
func TestFault12OtherServers(t *testing.T) {
	t.Parallel()
	p := newProject(t, "fault12")
	const server = "https://git.fault12.example:8443"
	same := map[string]string{
		"as-it-is":   server + "/team/r.git",
		"no-suffix":  server + "/team/r",
		"other-case": "https://GIT.Fault12.Example:8443/Team/R.git",
		"slash":      server + "/team/r/",
	}
	other := map[string]string{
		"another-name": server + "/team/r2", "another-server": "https://git.example:8443/team/r", "another-port": "https://git.fault12.example/team/r", "part": server + "/team",
	}
	for name, url := range same {
		p.newPipeline(name, jenkinsfileOf("echo 'pushed'"), listens(url, `["main"]`))
	}
	for name, url := range other {
		p.newPipeline(name, jenkinsfileOf("echo 'pushed'"), listens(url, `["main"]`))
	}
	// The first and the last of the repository cannot be read.
	for _, name := range []string{"aa-broken", "zz-broken"} {
		p.newPipeline(name, jenkinsfileOf("echo 'pushed'"), listens(server+"/team/r", `["ma(in`))
	}
	if got := p.deliver(push(server, "team/r", "main"), hookSecret); got.code != http.StatusAccepted {
		t.Fatal(got)
	}
	count := map[string]int{}
	p.wait("all pipelines of the repository run", func() (bool, string) {
		clear(count)
		for _, run := range p.runs() {
			count[run.Spec.PipelineRef.Name]++
		}
		for name := range same {
			if count[name] == 0 {
				return false, fmt.Sprint(count)
			}
		}
		return true, ""
	})
	for name, n := range count {
		if same[name] == "" && n > 0 || n != 1 {
			t.Errorf("%s has %d runs", name, n)
		}
	}
}

// TestFault13HeadersOfLogs: the peer loses the headers by which a client reads a log piece by piece, so that consoles load the
// whole again and again; and a page of runs behind the end has all runs. Here a log says how long it is, and that there will be more
// only if so, and such a page is empty.
func TestFault13HeadersOfLogs(t *testing.T) {
	t.Parallel()
	p := newProject(t, "fault13")
	p.newPipeline("talks", "pipeline { agent none\n stages { stage('a') { steps {\necho 'hello'\n} }\n stage('b') { steps { input 'Go on?' } } } }")
	run := p.startRun("talks", "")
	p.wait("the run has a build", func() (bool, string) { p.read(run); return number(run) != "", fmt.Sprint(run.Status) })
	p.served(run)
	in := p.input("talks", number(run))
	for name, path := range map[string]string{
		"older": p.v2("pipelines/talks/runs/" + number(run) + "/log/"), "newer": p.v3("pipelineruns/" + run.Name + "/log"),
		"step": p.v2("pipelines/talks/runs/" + number(run) + "/nodes/" + in.node + "/steps/" + in.step + "/log/"),
	} {
		first := p.get(path + "?start=0")
		size, err := strconv.Atoi(first.header.Get("X-Text-Size"))
		if err != nil || first.code != http.StatusOK || first.header.Get("X-More-Data") != "true" || size < len(first.body) && name != "step" || first.body == "" {
			t.Errorf("%s: %v, headers %v", name, first, first.header)
		}
		next := p.get(fmt.Sprintf("%s?start=%d", path, size))
		if next.code != http.StatusOK || next.body != "" || next.header.Get("X-Text-Size") != strconv.Itoa(size) || next.header.Get("X-More-Data") != "true" {
			t.Errorf("%s, from its end on: %v, headers %v", name, next, next.header)
		}
	}
	if got := p.do(http.MethodPost, p.v2("pipelines/talks/runs/"+number(run)+"/nodes/"+in.node+"/steps/"+in.step+"/"), `{"id":""}`); got.code != http.StatusOK {
		t.Fatal(got)
	}
	p.reaches(run, devopsv1alpha3.Succeeded)
	for _, path := range []string{p.v2("pipelines/talks/runs/" + number(run) + "/log/?start=0"), p.v3("pipelineruns/" + run.Name + "/log?start=0")} {
		got := p.get(path)
		if _, more := got.header["X-More-Data"]; more || got.header.Get("X-Text-Size") != strconv.Itoa(len(got.body)) || !strings.Contains(got.body, "hello") {
			t.Errorf("at the end: %v, headers %v", got, got.header)
		}
	}
	for _, query := range []string{"?start=1&limit=10", "?start=50&limit=10"} {
		if got := p.get(p.v2("pipelines/talks/runs/" + query)); !strings.Contains(got.body, `"items":[]`) || !strings.Contains(got.body, `"totalItems":1`) {
			t.Errorf("%s: %v", query, got)
		}
	}
	if got := p.get(p.v3("pipelines/talks/pipelineruns?page=9&limit=10")); !strings.Contains(got.body, `"items":[]`) || !strings.Contains(got.body, `"totalItems":1`) {
		t.Errorf("%v", got)
	}
}

// TestFault14MaskedValues: the peer writes the empty values that it shows for a credential's back when the credential is saved, takes the
// name of a password parameter for its default, lets a run go whose build it could not delete, so that builds pile up, says nothing of a
// start that failed, and writes back the whole status as it read it when it gives a run up. Here values that are not shown stay, the
// default is the default, the run goes with its build and says why it does not start, and what others wrote into its status stays.
func TestFault14MaskedValues(t *testing.T) {
	t.Parallel()
	p := newProject(t, "fault14")
	t.Run("credential", func(t *testing.T) {
		p := p.in(t)
		b64 := base64.StdEncoding.EncodeToString
		sent := map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "c"}, "type": "credential.devops.kubesphere.io/basic-auth",
			"data": map[string]string{"username": b64([]byte("ann")), "password": b64([]byte("the-password"))}}
		if got := p.do(http.MethodPost, p.v3("credentials"), sent); got.code >= 300 || strings.Contains(got.body, b64([]byte("the-password"))) {
			t.Fatal(got)
		}
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: p.name, Name: "c"}}
		p.wait("the credential is in Jenkins", func() (bool, string) {
			p.read(secret)
			return secret.Annotations[devopsv1alpha3.CredentialSyncStatusAnnotation] == devopsv1alpha3.SyncStatusSuccessful, fmt.Sprint(secret.Annotations)
		})
		var shown map[string]any
		p.get(p.v3("credentials/c")).into(t, &shown)
		data := shown["data"].(map[string]any)
		if len(data) != 2 || data["password"] != "" {
			t.Fatalf("shown: %v", data)
		}
		shown["metadata"].(map[string]any)["annotations"] = map[string]string{"kubesphere.io/description": "new"}
		if got := p.do(http.MethodPut, p.v3("credentials/c"), shown); got.code != http.StatusOK {
			t.Fatal(got)
		}
		p.read(secret)
		if string(secret.Data["username"]) != "ann" || string(secret.Data["password"]) != "the-password" || secret.Annotations["kubesphere.io/description"] != "new" {
			t.Errorf("stored: %q, %v", secret.Data, secret.Annotations)
		}
	})
	t.Run("password parameter", func(t *testing.T) {
		p := p.in(t)
		p.newPipeline("asks", jenkinsfileOf(`echo "as its name: ${params.PASSWORD.toString() == 'PASSWORD'}, as its default: ${params.PASSWORD.toString() == 'the-default'}"`), func(pipeline *devopsv1alpha3.Pipeline) {
			pipeline.Spec.Pipeline.Parameters = []devopsv1alpha3.ParameterDefinition{{Name: "PASSWORD", Type: "password", DefaultValue: "the-default"}}
		})
		run := p.startRun("asks", "")
		p.reaches(run, devopsv1alpha3.Succeeded)
		if got := p.get(p.v3("pipelineruns/" + run.Name + "/log?start=0")); !strings.Contains(got.body, "as its name: false, as its default: true") {
			t.Errorf("%v", got)
		}
	})
	t.Run("a build that cannot be deleted", func(t *testing.T) {
		p := p.in(t)
		p.newPipeline("stays", jenkinsfileOf("echo 'x'"))
		run := p.startRun("stays", "")
		p.reaches(run, devopsv1alpha3.Succeeded)
		address := "/job/" + p.name + "/job/stays/" + number(run)
		var refused atomic.Int64
		mend := p.jenkinsControllers.breaks(t, func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			if r.URL.Path != address+"/doDelete" {
				return false
			}
			refused.Add(1)
			w.Header().Set("X-Jenkins", "2.541.2")
			w.WriteHeader(http.StatusInternalServerError)
			return true
		})
		if got := p.do(http.MethodDelete, p.v3("pipelineruns/"+run.Name), nil); got.code != http.StatusOK {
			t.Fatal(got)
		}
		p.wait("Jenkins has refused it twice", func() (bool, string) { return refused.Load() >= 2, fmt.Sprint(refused.Load()) })
		p.read(run)
		if len(run.Finalizers) == 0 || run.DeletionTimestamp == nil {
			t.Errorf("the run is not kept: %v", run.ObjectMeta)
		}
		mend()
		p.wait("the run is gone", func() (bool, string) {
			err := p.kube.Get(t.Context(), client.ObjectKeyFromObject(run), run)
			return apierrors.IsNotFound(err), fmt.Sprint(err)
		})
		if code, _ := p.ask(http.MethodGet, address+"/api/json"); code != http.StatusNotFound {
			t.Errorf("the build is still there: %d", code)
		}
	})
}

// TestFault14StartErrors: see TestFault14MaskedValues.
func TestFault14StartErrors(t *testing.T) {
	t.Parallel()
	p := newProject(t, "starts14")
	for name, tt := range map[string]struct {
		code int
		want func(*devopsv1alpha3.PipelineRun, *devopsv1alpha3.Condition) bool
	}{
		// What no other try will change ends the run; what somebody may put right does not.
		"refused": {http.StatusBadRequest, func(run *devopsv1alpha3.PipelineRun, c *devopsv1alpha3.Condition) bool {
			return run.Status.Phase == devopsv1alpha3.Failed && c.Reason == "StartRefused" && strings.Contains(c.Message, "the-words-of-jenkins")
		}},
		"forbidden": {http.StatusForbidden, func(run *devopsv1alpha3.PipelineRun, c *devopsv1alpha3.Condition) bool {
			return run.Status.Phase == devopsv1alpha3.Pending && strings.Contains(c.Message, "the-words-of-jenkins")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p := p.in(t)
			p.newPipeline(name, jenkinsfileOf("echo 'x'"))
			mend := p.jenkinsControllers.breaks(t, func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
				if r.Method != http.MethodPost || !strings.HasPrefix(r.URL.Path, "/job/"+p.name+"/job/"+name+"/build") {
					return false
				}
				w.Header().Set("X-Jenkins", "2.541.2")
				w.Header().Set("X-Error", "the-words-of-jenkins")
				w.WriteHeader(tt.code)
				return true
			})
			run := p.startRun(name, "")
			p.wait("the run says why it does not start", func() (bool, string) {
				p.read(run)
				c := conditionOf(run, devopsv1alpha3.ConditionSucceeded)
				return c != nil && tt.want(run, c), fmt.Sprint(run.Status)
			})
			if run.Status.Phase.Ended() {
				return
			}
			mend()
			p.reaches(run, devopsv1alpha3.Succeeded)
		})
	}
}

// TestFault14StaleStatus: see TestFault14MaskedValues.
func TestFault14StaleStatus(t *testing.T) {
	t.Parallel()
	p := newProject(t, "stale14")
	p.newPipeline("lost", jenkinsfileOf("sleep 600"))
	run := p.startRun("lost", "")
	p.reaches(run, devopsv1alpha3.Running)
	p.jenkinsControllers.breaks(t, func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if m := isRun.FindStringSubmatch(r.URL.EscapedPath()); m == nil || m[1] != p.name {
			return false
		}
		w.Header().Set("X-Jenkins", "2.541.2")
		w.WriteHeader(http.StatusNotFound)
		return true
	})
	// Between the look and the write that gives the run up somebody else writes.
	var others atomic.Int64
	p.kubeControllers.breaks(t, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method != http.MethodPatch || !strings.HasSuffix(r.URL.Path, "/namespaces/"+p.name+"/pipelineruns/"+run.Name+"/status") {
			return false
		}
		body, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if err != nil || !strings.Contains(string(body), "completionTime") || others.Add(1) > 1 {
			return false
		}
		latest := &devopsv1alpha3.PipelineRun{}
		if err := p.kube.Get(r.Context(), client.ObjectKeyFromObject(run), latest); err != nil {
			t.Error(err)
			return false
		}
		latest.Status.Conditions = append(latest.Status.Conditions, devopsv1alpha3.Condition{Type: "Checked", Status: metav1.ConditionTrue, Reason: "ByAnother"})
		if err := p.kube.Status().Update(r.Context(), latest); err != nil {
			t.Error(err)
		}
		return false
	})
	p.reaches(run, devopsv1alpha3.Failed)
	if c := conditionOf(run, devopsv1alpha3.ConditionSucceeded); c == nil || c.Reason != devopsv1alpha3.ReasonBuildLost || run.Labels[devopsv1alpha3.PipelineRunOrphanLabel] != "true" {
		t.Errorf("%v, labels %v", run.Status, run.Labels)
	}
	if others.Load() == 0 || conditionOf(run, "Checked") == nil {
		t.Errorf("what another wrote in between (%d writes) is lost: %v", others.Load(), run.Status.Conditions)
	}
}

// conditionOf finds a condition of a run.
func conditionOf(run *devopsv1alpha3.PipelineRun, kind devopsv1alpha3.ConditionType) *devopsv1alpha3.Condition {
	for i := range run.Status.Conditions {
		if run.Status.Conditions[i].Type == kind {
			return &run.Status.Conditions[i]
		}
	}
	return nil
}
