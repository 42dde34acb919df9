// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package peerfaults

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// newBranches makes a multi-branch pipeline and waits until its branches are known.
func (p *project) newBranches(name, steps string, branches ...string) {
	p.Helper()
	pipeline := p.createBranches(name, steps, branches...)
	p.wait("the branches are known", func() (bool, string) {
		p.read(pipeline)
		text := pipeline.Annotations[devopsv1alpha3.PipelineJenkinsBranchesAnnotation]
		return strings.Count(text, `"rawName"`) == len(branches)+1, text + fmt.Sprint(pipeline.Status.Conditions)
	})
}

// createBranches makes a multi-branch pipeline of a repository with branches besides main.
func (p *project) createBranches(name, steps string, branches ...string) *devopsv1alpha3.Pipeline {
	p.Helper()
	dir := filepath.Join(p.TempDir(), "r")
	check := func(err error) {
		p.Helper()
		if err != nil {
			p.Fatal(err)
		}
	}
	repo, err := git.PlainInit(dir, false)
	check(err)
	check(repo.Storer.SetReference(plumbing.NewSymbolicReference(plumbing.HEAD, "refs/heads/main")))
	tree, err := repo.Worktree()
	check(err)
	check(os.WriteFile(filepath.Join(dir, "Jenkinsfile"), []byte(jenkinsfileOf(steps)), 0o600))
	_, err = tree.Add("Jenkinsfile")
	check(err)
	first, err := tree.Commit("first", &git.CommitOptions{Author: &object.Signature{Name: "dev", Email: "dev@example.invalid", When: time.Unix(1767225600, 0)}})
	check(err)
	for _, branch := range branches {
		check(repo.Storer.SetReference(plumbing.NewHashReference(plumbing.NewBranchReferenceName(branch), first)))
	}
	pipeline := &devopsv1alpha3.Pipeline{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.name, Name: name},
		Spec: devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.MultiBranchPipelineType, MultiBranchPipeline: &devopsv1alpha3.MultiBranchPipeline{
			Name: name, SourceType: "git", ScriptPath: "Jenkinsfile", GitSource: &devopsv1alpha3.GitSource{URL: "file://" + dir, DiscoverBranches: true},
		}},
	}
	check(p.kube.Create(p.Context(), pipeline))
	return pipeline
}

// isRun tells if a path is that of a build's part in Blue Ocean, and of which.
var isRun = regexp.MustCompile(`/pipelines/([^/]+)/pipelines/([^/]+)(?:/branches/([^/]+))?/runs/(\d+)/(.*)$`)

// nodes writes n stages that have ended, as Blue Ocean does.
func nodes(n int) string {
	list := make([]map[string]any, 0, n)
	for i := range n {
		id := fmt.Sprint(10 + i)
		list = append(list, map[string]any{"id": id, "displayName": "stage " + id, "type": "PARALLEL", "state": "FINISHED", "result": "SUCCESS",
			"startTime": "2026-03-01T12:00:00.000+0000", "durationInMillis": 100 + i, "edges": []any{}})
	}
	raw, err := json.Marshal(list)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// oneStep is a step of a stage, as Blue Ocean shows it.
const oneStep = `[{"id":"9%03d","displayName":"echo","displayDescription":"%s","type":"STEP","state":"FINISHED","result":"SUCCESS","startTime":"2026-03-01T12:00:00.000+0000","durationInMillis":1}]`

// TestFault05NodesDetailHangs: the peer reads the steps of all stages at once into a channel of 100 that it empties only
// afterwards, and waits for ever for a reader that failed; for branches the readers share one request. So the details of a
// run with more than about 100 stages, or of which one call fails, never come. Here they come.
func TestFault05NodesDetailHangs(t *testing.T) {
	t.Parallel()
	p := newProject(t, "fault05")
	const stages = 150
	p.newPipeline("wide", jenkinsfileOf("sleep 600"))
	p.newBranches("mb", "sleep 600", "feat/x")
	var failing atomic.Value
	p.jenkinsAPI.breaks(t, func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		m := isRun.FindStringSubmatch(r.URL.EscapedPath())
		if m == nil || m[1] != p.name || !strings.HasPrefix(m[5], "nodes/") {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		switch {
		case m[5] == "nodes/":
			fmt.Fprint(w, nodes(stages))
		case m[2] == "wide" && failing.Load() == m[4] && strings.HasPrefix(m[5], "nodes/50/"):
			w.WriteHeader(http.StatusInternalServerError)
		default:
			fmt.Fprintf(w, oneStep, 1, "hello")
		}
		return true
	})
	first, second, branch := p.startRun("wide", ""), p.startRun("wide", ""), p.startRun("mb", "?branch=feat%252Fx")
	for _, run := range []*devopsv1alpha3.PipelineRun{first, second, branch} {
		p.reaches(run, devopsv1alpha3.Running)
	}
	failing.Store(number(second))
	complete := func(t *testing.T, got answer) {
		t.Helper()
		var list []struct {
			ID    string
			Steps []struct{ DisplayName string }
		}
		got.into(t, &list)
		with := slices.DeleteFunc(slices.Clone(list), func(s struct {
			ID    string
			Steps []struct{ DisplayName string }
		}) bool {
			return len(s.Steps) == 0
		})
		if len(list) != stages || len(with) != stages {
			t.Errorf("%d stages, %d with steps, want %d", len(list), len(with), stages)
		}
	}
	for name, path := range map[string]string{
		"many stages":             p.v2("pipelines/wide/runs/" + number(first) + "/nodesdetail/?limit=10000"),
		"many stages, newer":      p.v3("pipelineruns/" + first.Name + "/nodedetails"),
		"many stages of a branch": p.v2("pipelines/mb/branches/feat%252Fx/runs/" + number(branch) + "/nodesdetail/?limit=10000"),
	} {
		t.Run(name, func(t *testing.T) {
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() { complete(t, p.in(t).get(path)) })
			}
			all.Wait()
		})
	}
	t.Run("a call fails", func(t *testing.T) {
		begin := time.Now()
		got := p.in(t).get(p.v2("pipelines/wide/runs/" + number(second) + "/nodesdetail/"))
		if got.code != http.StatusOK || got.header.Get("Warning") == "" || time.Since(begin) > patience {
			t.Errorf("%v with the headers %v after %s, want what is known and a warning", got, got.header, time.Since(begin))
		}
		// Nothing hangs behind it.
		failing.Store("")
		p.in(t).wait("the stages are all there again", func() (bool, string) {
			got := p.in(t).get(p.v2("pipelines/wide/runs/" + number(second) + "/nodesdetail/"))
			return strings.Count(got.body, `"displayName":"stage`) == stages && got.header.Get("Warning") == "", got.String()
		})
	})
}

// TestFault06ErrorsOfJenkins: the peer answers 500 whatever Jenkins' error was: what does not exist looks like a broken server.
// Here what does not exist is 404, and a Jenkins that refuses the server's own credential is not the server's fault either.
func TestFault06ErrorsOfJenkins(t *testing.T) {
	t.Parallel()
	p := newProject(t, "fault06")
	p.newPipeline("there", jenkinsfileOf("sleep 600"))
	run := p.startRun("there", "")
	p.reaches(run, devopsv1alpha3.Running)
	there := "pipelines/there/runs/" + number(run)
	for _, path := range []string{
		p.v2("pipelines/none"), p.v2("pipelines/none/runs"), p.v2("pipelines/none/runs/1"), p.v2("pipelines/there/runs/99"), p.v2("pipelines/there/runs/99/log/?start=0"),
		p.v2("pipelines/there/runs/99/nodes/"), p.v2("pipelines/there/runs/99/nodesdetail/"), p.v2("pipelines/there/runs/99/artifacts/"), p.v2(there + "/nodes/77/steps/"),
		p.v2(there + "/nodes/77/steps/78/log/?start=0"), p.v2("pipelines/there/branches/none/runs/1"), p.v2("pipelines/none/branches"), p.v2("pipelines/none/consolelog"),
		p.v2("credentials/none/usage"), p.v3("pipelines/none"), p.v3("pipelineruns/none"), p.v3("pipelineruns/none/nodedetails"),
		p.v3("pipelineruns/" + run.Name + "/artifacts/download?filename=none.txt"), p.v3("credentials/none"), p.v3("gitrepositories/none"),
	} {
		if got := p.get(path); got.code != http.StatusNotFound || !strings.Contains(got.body, `"reason":"NotFound"`) {
			t.Errorf("%s: %v, want 404", path, got)
		}
	}
	for _, path := range []string{p.v2("pipelines/there/runs/99/stop"), p.v2("pipelines/there/runs/99/replay"), p.v2("pipelines/none/runs"), p.v2(there + "/nodes/77/steps/78/")} {
		if got := p.do(http.MethodPost, path, `{}`); got.code != http.StatusNotFound {
			t.Errorf("%s: %v, want 404", path, got)
		}
	}
	for _, code := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound} {
		mend := p.jenkinsAPI.breaks(t, func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			if !strings.Contains(r.URL.Path, p.name) {
				return false
			}
			w.Header().Set("X-Jenkins", "2.541.2")
			w.WriteHeader(code)
			return true
		})
		for _, path := range []string{p.v2(there + "/log/?start=0"), p.v3("pipelineruns/" + run.Name + "/artifacts/download?filename=x"), p.v2("pipelines?name=q") + "&check=true"} {
			got := p.get(path)
			if got.code == http.StatusInternalServerError || code != http.StatusNotFound && strings.Contains(path, "log") && got.code == http.StatusOK {
				t.Errorf("Jenkins answers %d: %s: %v", code, path, got)
			}
			if code != http.StatusNotFound && got.code == http.StatusUnauthorized {
				t.Errorf("Jenkins answers %d: %s: %v: the user is told to log in, whose login is good", code, path, got)
			}
		}
		mend()
	}
}

// panics is how many passes of controllers have ended in a panic.
func panics(tb testing.TB) (n float64) {
	tb.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	found := false
	for _, family := range families {
		if family.GetName() == "controller_runtime_reconcile_panics_total" {
			found = true
			for _, m := range family.GetMetric() {
				n += m.GetCounter().GetValue()
			}
		}
	}
	if !found {
		tb.Fatal("controllers do not count their panics")
	}
	return n
}

// TestFault07Panics: the peer falls over jobs of another class than it made, over a config.xml with another root, over a
// configuration of Jenkins that it reads as another type than the library gives, and over pipelines without annotations. Here
// the first are conditions of the pipeline, the third is not read, and the last is nothing special.
func TestFault07Panics(t *testing.T) {
	t.Parallel()
	p := newProject(t, "fault07")
	own, err := jenkins.New(jenkins.Config{URL: p.jenkinsAPI.URL, Username: jenkinsUser, Token: jenkinsToken})
	if err != nil {
		t.Fatal(err)
	}
	conflict := func(p *project, pipeline *devopsv1alpha3.Pipeline) {
		p.Helper()
		p.wait("the pipeline says that another job is in its place", func() (bool, string) {
			p.read(pipeline)
			c := meta.FindStatusCondition(pipeline.Status.Conditions, devopsv1alpha3.ConditionSynced)
			return c != nil && c.Reason == devopsv1alpha3.ReasonJobClassConflict, fmt.Sprint(pipeline.Status.Conditions)
		})
		for _, path := range []string{p.v2("pipelines/" + pipeline.Name), p.v3("pipelines/" + pipeline.Name)} {
			if got := p.get(path); got.code != http.StatusOK {
				p.Errorf("%s: %v", path, got)
			}
		}
	}
	t.Run("a job of another class", func(t *testing.T) {
		p := p.in(t)
		if err := own.CreateFolder(t.Context(), p.name+"/alien", "not a pipeline"); err != nil {
			t.Fatal(err)
		}
		pipeline := &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: p.name, Name: "alien"}}
		pipeline.Spec = devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.NoScmPipelineType, Pipeline: &devopsv1alpha3.NoScmPipeline{Name: "alien", Jenkinsfile: jenkinsfileOf("echo 'x'")}}
		if err := p.kube.Create(t.Context(), pipeline); err != nil {
			t.Fatal(err)
		}
		conflict(p, pipeline)
	})
	t.Run("a config.xml with another root", func(t *testing.T) {
		p := p.in(t)
		pipeline := p.newPipeline("swapped", jenkinsfileOf("echo 'x'"))
		if err := own.DeleteJob(t.Context(), p.name, "swapped"); err != nil {
			t.Fatal(err)
		}
		if err := own.CreateFolder(t.Context(), p.name+"/swapped", "not a pipeline"); err != nil {
			t.Fatal(err)
		}
		if _, text := p.ask(http.MethodGet, "/job/"+p.name+"/job/swapped/config.xml"); strings.Contains(text, "flow-definition") {
			t.Fatal("the config.xml has the root of a pipeline still")
		}
		old := pipeline.DeepCopy()
		pipeline.Spec.Pipeline.Jenkinsfile = jenkinsfileOf("echo 'y'")
		if err := p.kube.Patch(t.Context(), pipeline, client.MergeFrom(old)); err != nil {
			t.Fatal(err)
		}
		conflict(p, pipeline)
	})
	t.Run("a pipeline without annotations", func(t *testing.T) {
		p := p.in(t)
		pipeline := p.newPipeline("bare", jenkinsfileOf("echo 'x'"))
		p.wait("it can be written", func() (bool, string) {
			var shown map[string]any
			p.get(p.v3("pipelines/bare")).into(t, &shown)
			delete(shown["metadata"].(map[string]any), "annotations")
			got := p.do(http.MethodPut, p.v3("pipelines/bare"), shown)
			if got.code != http.StatusOK && got.code != http.StatusConflict { // the controllers may write it at the same time
				t.Fatal(got)
			}
			return got.code == http.StatusOK, got.String()
		})
		raw := []byte(`{"metadata":{"annotations":null},"spec":{"pipeline":{"description":"bare"}}}`)
		if err := p.kube.Patch(t.Context(), pipeline, client.RawPatch(types.MergePatchType, raw)); err != nil {
			t.Fatal(err)
		}
		p.synced(pipeline)
		p.reaches(p.startRun("bare", ""), devopsv1alpha3.Succeeded)
	})
	t.Run("the configuration of Jenkins", func(t *testing.T) {
		p := p.in(t)
		for _, formula := range []string{"high", "low", "custom"} {
			cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "jenkins-casc-config",
				Annotations: map[string]string{"devops.kubesphere.io/jenkins-config-formula": formula}}, Data: map[string]string{"jenkins.yaml": "jenkins:\n  clouds:\n  - kubernetes:\n      templates:\n      - name: base\n        1: 2\n"}}
			if err := p.kube.Create(t.Context(), cm); err != nil && !apierrors.IsAlreadyExists(err) {
				t.Fatal(err)
			}
			if err := p.kube.Update(t.Context(), cm); err != nil {
				t.Fatal(err)
			}
		}
		// The controllers work on.
		p.newPipeline("after", jenkinsfileOf("echo 'x'"))
	})
	if n := panics(t); n != 0 {
		t.Errorf("controllers panicked %g times", n)
	}
}

// TestFault08CredentialsStay: with the peer a credential that is not in Jenkins any more cannot be deleted, as its controller
// does not know the error; and an empty list is null, over which clients fall. Here what is gone is gone, and lists are lists.
func TestFault08CredentialsStay(t *testing.T) {
	t.Parallel()
	p := newProject(t, "fault08")
	t.Run("lists", func(t *testing.T) {
		p := p.in(t)
		for _, path := range []string{
			p.v3("pipelines"), p.v3("pipelineruns"), p.v3("credentials"), p.v3("gitrepositories"), p.v3("webhooks"), p.v3("templates"),
			p.v3("pipelines") + "?page=9&limit=5", p.v3("credentials") + "?type=none", "/kapis/devops.kubesphere.io/v1alpha3/clustertemplates?name=none",
			"/kapis/devops.kubesphere.io/v1alpha2/search?q=type:pipeline;organization:jenkins;pipeline:fault08/*&start=0&limit=10",
		} {
			if got := p.get(path); got.code != http.StatusOK || !strings.Contains(got.body, `"items":[]`) {
				t.Errorf("%s: %v, want items: []", path, got)
			}
		}
		if got := p.as("boss").get("/kapis/devops.kubesphere.io/v1alpha3/workspaces/none/namespaces"); got.code != http.StatusOK || !strings.Contains(got.body, `"items":[]`) {
			t.Errorf("%v, want items: []", got)
		}
	})
	credential := func(p *project, name string) *corev1.Secret {
		p.Helper()
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: p.name, Name: name}, Type: devopsv1alpha3.SecretTypeSecretText, Data: map[string][]byte{"secret": []byte("s")}}
		if err := p.kube.Create(p.Context(), secret); err != nil {
			p.Fatal(err)
		}
		p.wait("the credential is in Jenkins", func() (bool, string) {
			p.read(secret)
			code, _ := p.ask(http.MethodGet, "/job/"+p.name+"/credentials/store/folder/domain/_/credential/"+name+"/api/json")
			return code == http.StatusOK && slices.Contains(secret.Finalizers, devopsv1alpha3.CredentialFinalizer) &&
				secret.Annotations[devopsv1alpha3.CredentialSyncStatusAnnotation] == devopsv1alpha3.SyncStatusSuccessful, fmt.Sprint(code, secret.Annotations)
		})
		return secret
	}
	gone := func(p *project, secret *corev1.Secret) {
		p.Helper()
		if got := p.do(http.MethodDelete, p.v3("credentials/"+secret.Name), nil); got.code != http.StatusOK {
			p.Fatal(got)
		}
		p.wait("the credential is gone", func() (bool, string) {
			err := p.kube.Get(p.Context(), client.ObjectKeyFromObject(secret), secret)
			return apierrors.IsNotFound(err), fmt.Sprint(err, secret.Finalizers)
		})
	}
	t.Run("the entry is gone", func(t *testing.T) {
		p := p.in(t)
		secret := credential(p, "lost")
		if code, text := p.ask(http.MethodPost, "/job/"+p.name+"/credentials/store/folder/domain/_/credential/lost/doDelete"); code >= 400 {
			t.Fatal(code, text)
		}
		gone(p, secret)
	})
	t.Run("Jenkins answers 404", func(t *testing.T) {
		p := p.in(t)
		secret := credential(p, "missing")
		var refused atomic.Int64
		p.jenkinsControllers.breaks(t, func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			if r.Method != http.MethodPost || !strings.Contains(r.URL.Path, "/credential/missing/") {
				return false
			}
			refused.Add(1)
			w.Header().Set("X-Jenkins", "2.541.2")
			w.WriteHeader(http.StatusNotFound)
			return true
		})
		gone(p, secret)
		if refused.Load() == 0 {
			t.Error("Jenkins was not asked to delete the entry")
		}
	})
}

// TestFault09AnnotationsLost: the peer writes back all annotations of a pipeline as it read them earlier, and of a run as well: what
// was written in between is lost, the user's annotations as well as the wish to edit the Jenkinsfile. Here a write holds only
// what changes.
func TestFault09AnnotationsLost(t *testing.T) {
	t.Parallel()
	p := newProject(t, "fault09")
	pipeline := p.newPipeline("busy", jenkinsfileOf("sleep 1"))
	// Between what the controllers read and what they write there is time now.
	var late atomic.Int64
	p.kubeControllers.breaks(t, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if (r.Method == http.MethodPatch || r.Method == http.MethodPut) && strings.Contains(r.URL.Path, "/namespaces/"+p.name+"/pipeline") {
			late.Add(1)
			time.Sleep(200 * time.Millisecond)
		}
		return false
	})
	const count = 40
	annotate := func(object client.Object, i int) {
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"user.example/n%d":"%d"}}}`, i, i)
		if err := p.kube.Patch(t.Context(), object, client.RawPatch(types.MergePatchType, patch)); err != nil {
			t.Error(err)
		}
	}
	var runs []*devopsv1alpha3.PipelineRun
	for i := range 4 {
		runs = append(runs, p.newRun("busy", fmt.Sprintf("run-%d", i)))
	}
	source := ""
	for i := range count {
		annotate(&devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: p.name, Name: "busy"}}, i)
		for _, run := range runs {
			annotate(&devopsv1alpha3.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: p.name, Name: run.Name}}, i)
		}
		if i%20 == 10 {
			// The Jenkinsfile is edited at the same time.
			source = jenkinsfileOf(fmt.Sprintf("echo 'edit %d'", i))
			if got := p.do(http.MethodPut, p.v3("pipelines/busy/jenkinsfile?mode=raw"), map[string]string{"data": source}); got.code != http.StatusOK {
				t.Fatal(got)
			}
		}
	}
	for _, run := range runs {
		p.reaches(run, devopsv1alpha3.Succeeded)
	}
	p.wait("the edit is done", func() (bool, string) {
		p.read(pipeline)
		return pipeline.Annotations[devopsv1alpha3.PipelineJenkinsfileEditModeAnnotation] == "" && pipeline.Annotations[devopsv1alpha3.PipelineJenkinsfileValidateAnnotation] == "success", fmt.Sprint(pipeline.Annotations)
	})
	if got := pipeline.Spec.Pipeline.Jenkinsfile; got != source {
		t.Errorf("the Jenkinsfile is\n%s\nwant the last edit\n%s", got, source)
	}
	objects := []client.Object{pipeline}
	for _, run := range runs {
		objects = append(objects, run)
	}
	for _, object := range objects {
		for i := range count {
			if key := fmt.Sprintf("user.example/n%d", i); object.GetAnnotations()[key] != fmt.Sprint(i) {
				t.Errorf("%T %s lost %s", object, object.GetName(), key)
			}
		}
	}
	if late.Load() < 8 {
		t.Errorf("the controllers wrote %d times only", late.Load())
	}
}

// TestFault10RunsTwice: with the peer a crash between the start of a build and the note of its number leads to a second build, as
// does a note that cannot be written; a run is deleted if another has the same parameters, and all are that Jenkins does not show
// on the first page. Here a start can be found again, and nobody deletes the runs of users.
func TestFault10RunsTwice(t *testing.T) {
	p := newProject(t, "fault10")
	for _, name := range []string{"lost", "unsaved", "crash", "twins"} {
		p.newPipeline(name, jenkinsfileOf("echo 'once'"))
	}
	starts := func(pipeline string) func(*http.Request) bool {
		return func(r *http.Request) bool {
			return r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/job/"+p.name+"/job/"+pipeline+"/build")
		}
	}
	once := func(p *project, pipeline string, want int) {
		p.Helper()
		_, text := p.ask(http.MethodGet, "/job/"+p.name+"/job/"+pipeline+"/api/json?tree=allBuilds[number]")
		if n := strings.Count(text, `"number"`); n != want {
			p.Errorf("%d builds, want %d: %s", n, want, text)
		}
	}
	t.Run("the answer is lost", func(t *testing.T) {
		p := p.in(t)
		var lost atomic.Int64
		p.jenkinsControllers.breaks(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
			if !starts("lost")(r) || lost.Add(1) > 1 {
				return false
			}
			next.ServeHTTP(discard{http.Header{}}, r)
			panic(http.ErrAbortHandler)
		})
		p.reaches(p.newRun("lost", "lost"), devopsv1alpha3.Succeeded)
		once(p, "lost", 1)
		if lost.Load() == 0 {
			t.Error("no answer was lost")
		}
	})
	t.Run("the note cannot be written", func(t *testing.T) {
		p := p.in(t)
		var failed atomic.Int64
		p.kubeControllers.breaks(t, func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			if r.Method != http.MethodPatch || !strings.HasSuffix(r.URL.Path, "/namespaces/"+p.name+"/pipelineruns/unsaved") {
				return false
			}
			if code, text := p.ask(http.MethodGet, "/job/"+p.name+"/job/unsaved/api/json?tree=allBuilds[number]"); code != 200 || !strings.Contains(text, `"number"`) || failed.Add(1) > 3 {
				return false // it has not been started yet
			}
			http.Error(w, "etcd is away", http.StatusInternalServerError)
			return true
		})
		p.reaches(p.newRun("unsaved", "unsaved"), devopsv1alpha3.Succeeded)
		once(p, "unsaved", 1)
		if failed.Load() == 0 {
			t.Error("no note failed")
		}
	})
	t.Run("the controllers die", func(t *testing.T) {
		p := p.in(t)
		died := make(chan struct{})
		var one sync.Once
		p.jenkinsControllers.breaks(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
			if !starts("crash")(r) {
				return false
			}
			next.ServeHTTP(discard{http.Header{}}, r)
			one.Do(func() { p.life.die(); close(died) })
			panic(http.ErrAbortHandler)
		})
		run := p.newRun("crash", "crash")
		select {
		case <-died:
		case <-time.After(patience):
			t.Fatal("the run was not started")
		}
		p.life.end()
		next, err := p.startControllers()
		if err != nil {
			t.Fatal(err)
		}
		p.life = next
		p.reaches(run, devopsv1alpha3.Succeeded)
		once(p, "crash", 1)
	})
	t.Run("runs of users stay", func(t *testing.T) {
		p := p.in(t)
		const count = 6
		for i := range count {
			p.newRun("twins", fmt.Sprintf("twin-%d", i))
		}
		for i := range count {
			p.reaches(&devopsv1alpha3.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: p.name, Name: fmt.Sprintf("twin-%d", i)}}, devopsv1alpha3.Succeeded)
		}
		once(p, "twins", count)
		for i := range count {
			p.ask(http.MethodPost, fmt.Sprintf("/job/%s/job/twins/%d/doDelete", p.name, i+1))
		}
		once(p, "twins", 0)
		pipeline := &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: p.name, Name: "twins"}}
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"true"}}}`, devopsv1alpha3.PipelineRequestToSyncRunsAnnotation)
		if err := p.kube.Patch(t.Context(), pipeline, client.RawPatch(types.MergePatchType, patch)); err != nil {
			t.Fatal(err)
		}
		p.wait("the wish to compare is dealt with", func() (bool, string) {
			p.read(pipeline)
			return pipeline.Annotations[devopsv1alpha3.PipelineRequestToSyncRunsAnnotation] == "", fmt.Sprint(pipeline.Annotations)
		})
		n := 0
		for _, run := range p.runs() {
			if strings.HasPrefix(run.Name, "twin-") && run.DeletionTimestamp == nil {
				n++
			}
		}
		if n != count {
			t.Errorf("%d of %d runs are left", n, count)
		}
	})
}

// discard takes an answer that never arrives.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}
