// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"encoding/json"
	"io"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/controller/pipeline"
	"github.com/slipway-dev/slipway/pkg/jenkins/jobxml"
)

// repository is a git repository that is served over HTTP.
type repository struct {
	*testing.T
	dir, url string
	repo     *git.Repository
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	path, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Skip("there is no git here: " + err.Error())
	}
	root := t.TempDir()
	r := &repository{T: t, dir: filepath.Join(root, "svc")}
	if r.repo, err = git.PlainInit(r.dir, false); err != nil {
		t.Fatal(err)
	}
	if err := r.repo.Storer.SetReference(plumbing.NewSymbolicReference(plumbing.HEAD, "refs/heads/main")); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(&cgi.Handler{Path: filepath.Join(strings.TrimSpace(string(path)), "git-http-backend"),
		Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"}})
	t.Cleanup(server.Close)
	r.url = server.URL + "/svc/.git"
	return r
}

// commit puts a Jenkinsfile on the branch main and gives the commit.
func (r *repository) commit(jenkinsfile string) string {
	r.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, "Jenkinsfile"), []byte(jenkinsfile), 0o600); err != nil {
		r.Fatal(err)
	}
	tree, err := r.repo.Worktree()
	if err != nil {
		r.Fatal(err)
	}
	if _, err := tree.Add("Jenkinsfile"); err != nil {
		r.Fatal(err)
	}
	hash, err := tree.Commit("a commit", &git.CommitOptions{Author: &object.Signature{Name: "ann", Email: "ann@example.org", When: time.Now()}})
	if err != nil {
		r.Fatal(err)
	}
	return hash.String()
}

// TestJenkinsfileFromARepositoryOnMinijenkins: runs take the Jenkinsfile of the repository as it is when they begin, show the
// commit, and take the parameters that the Jenkinsfile turns out to have.
func TestJenkinsfileFromARepositoryOnMinijenkins(t *testing.T) {
	repo := newRepository(t)
	const directives = "pipeline { agent none\n parameters { string(name: 'WHERE', defaultValue: 'here') }\n stages { stage('a') { steps { echo \"goes to ${params.WHERE}\" } } } }"
	first := repo.commit("pipeline { agent none\n stages { stage('a') { steps { echo 'first' } } } }")
	r := startReal(t, false)
	p := syncedPipeline("remote")
	p.Namespace, p.UID = r.ns, ""
	p.Spec.Pipeline = &devopsv1alpha3.NoScmPipeline{Source: &devopsv1alpha3.JenkinsfileSource{URL: repo.url, Ref: "main"}}
	status := p.Status
	if err := r.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if p.Spec.Pipeline.Source.Lightweight == nil || !*p.Spec.Pipeline.Source.Lightweight {
		t.Error("lightweight has no default")
	}
	p.Status = status
	p.Status.Conditions[0].LastTransitionTime = metav1.Now()
	if err := r.Status().Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	doc, err := jobxml.Render(&p.Spec, jobxml.Options{AuthToken: pipeline.StartToken([]byte(realKey), p)})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.jenkins.PutJob(t.Context(), r.ns, "remote", doc); err != nil {
		t.Fatal(err)
	}
	of := func(values ...devopsv1alpha3.Parameter) func(*devopsv1alpha3.PipelineRun) {
		return func(pr *devopsv1alpha3.PipelineRun) {
			pr.Spec.PipelineRef = &corev1.ObjectReference{Name: "remote"}
			pr.Spec.Parameters = values
		}
	}
	commitOf := func(name string) string {
		var shown struct {
			CommitID string `json:"commitId"`
		}
		if err := json.Unmarshal([]byte(r.ended(name).Annotations[devopsv1alpha3.JenkinsPipelineRunStatusAnnotation]), &shown); err != nil {
			t.Error(err)
		}
		return shown.CommitID
	}
	r.run("first", of())
	if got := commitOf("first"); got != first {
		t.Errorf("the first run shows the commit %q, not %s", got, first)
	}
	second := repo.commit(directives)
	r.run("second", of())
	if got := commitOf("second"); got != second {
		t.Errorf("the second run shows the commit %q, not %s", got, second)
	}
	// Jenkins knows the parameters now; Slipway lets through what it does not know.
	r.run("third", of(param("WHERE", "there")))
	if got := commitOf("third"); got != second {
		t.Errorf("the third run shows the commit %q, not %s", got, second)
	}
	if text := r.log("remote", 3); !strings.Contains(text, "goes to there") {
		t.Errorf("the log of the third run:\n%s", text)
	}

	// What the file says is wrong is told by the run, with the line.
	repo.commit("pipeline { agent none\n nonsense { } }")
	r.run("broken", of())
	got := &devopsv1alpha3.PipelineRun{}
	gomega.NewWithT(t).Eventually(func() string {
		if err := r.Get(t.Context(), client.ObjectKey{Namespace: r.ns, Name: "broken"}, got); err != nil {
			return err.Error()
		}
		return verdict(got)
	}).WithTimeout(60 * time.Second).Should(gomega.Equal("Failed/Failure"))
	if text := r.log("remote", 4); !strings.Contains(text, "nonsense") {
		t.Errorf("the log of the broken run:\n%s", text)
	}
}

// log is the log of a build.
func (r *real) log(job string, build int64) string {
	r.Helper()
	text, _, _, err := r.jenkins.Log(r.Context(), r.ns, job, build, 0)
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = text.Close() }()
	content, err := io.ReadAll(text)
	if err != nil {
		r.Fatal(err)
	}
	return string(content)
}
