// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package peerfaults

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// sourceServer is a source code server that its owner runs, and a push to a repository of it.
type sourceServer struct {
	// addresses are ways to write that of the repository, others are those of other repositories.
	addresses, others []string
	// source is the repository as that of a multi-branch pipeline.
	source devopsv1alpha3.MultiBranchPipeline
	// body and header are the delivery; header gets the HMAC of the body with the secret.
	body   string
	header func(mac string) []string
}

const (
	zeros  = "0000000000000000000000000000000000000000"
	commit = "1111111111111111111111111111111111111111"
)

// sourceServers has a server of each kind that users run themselves. The deliveries have the form that each kind's documentation gives.
func sourceServers() map[string]sourceServer {
	hosted := func(api, owner, repo string) devopsv1alpha3.HostedSource {
		return devopsv1alpha3.HostedSource{APIURI: api, Owner: owner, Repo: repo}
	}
	return map[string]sourceServer{
		"github": {
			addresses: []string{"https://ghe.kinds12.example/team/r", "git@ghe.kinds12.example:team/r.git", "ssh://git@ghe.kinds12.example/team/r.git"},
			others:    []string{"https://github.com/team/r", "git@github.com:team/r.git"},
			source: devopsv1alpha3.MultiBranchPipeline{SourceType: "github",
				GitHubSource: &devopsv1alpha3.GitHubSource{HostedSource: hosted("https://ghe.kinds12.example/api/v3", "team", "r")}},
			body: `{"ref":"refs/heads/main","before":"` + zeros + `","after":"` + commit + `","repository":{"full_name":"team/r","html_url":"https://ghe.kinds12.example/team/r",` +
				`"clone_url":"https://ghe.kinds12.example/team/r.git","ssh_url":"git@ghe.kinds12.example:team/r.git","git_url":"git://ghe.kinds12.example/team/r.git"}}`,
			header: func(mac string) []string {
				return []string{"X-GitHub-Event", "push", "X-GitHub-Delivery", rand.Text(), "X-Hub-Signature-256", "sha256=" + mac}
			},
		},
		"gitlab": {
			addresses: []string{"https://gl.kinds12.example:8443/group/sub/r.git", "git@gl.kinds12.example:group/sub/r.git", "ssh://git@gl.kinds12.example:2222/group/sub/r.git"},
			others:    []string{"https://gitlab.com/group/sub/r.git", "https://gl.kinds12.example:8443/group/r.git", "git@gitlab.com:group/sub/r.git"},
			source: devopsv1alpha3.MultiBranchPipeline{SourceType: "gitlab",
				GitlabSource: &devopsv1alpha3.GitlabSource{HostedSource: hosted("https://gl.kinds12.example:8443/api/v4", "group/sub", "group/sub/r")}},
			body: `{"object_kind":"push","ref":"refs/heads/main","before":"` + zeros + `","after":"` + commit + `","project":{"path_with_namespace":"group/sub/r",` +
				`"web_url":"https://gl.kinds12.example:8443/group/sub/r","git_http_url":"https://gl.kinds12.example:8443/group/sub/r.git","git_ssh_url":"%s"}}`,
			header: func(string) []string {
				return []string{"X-Gitlab-Event", "Push Hook", "X-Gitlab-Event-UUID", rand.Text(), "X-Gitlab-Token", hookSecret}
			},
		},
		"gitea": {
			addresses: []string{"https://tea.kinds12.example/git/team/r.git", "ssh://git@tea.kinds12.example:2222/team/r.git"},
			others:    []string{"https://tea.kinds12.example/team/r.git", "ssh://git@tea.kinds12.example/team/r.git"},
			source: devopsv1alpha3.MultiBranchPipeline{SourceType: "git",
				GitSource: &devopsv1alpha3.GitSource{URL: "ssh://git@tea.kinds12.example:2222/team/r.git", DiscoverBranches: true}},
			body: `{"ref":"refs/heads/main","before":"` + zeros + `","after":"` + commit + `","repository":{"full_name":"team/r","html_url":"https://tea.kinds12.example/git/team/r",` +
				`"clone_url":"https://tea.kinds12.example/git/team/r.git","ssh_url":"ssh://git@tea.kinds12.example:2222/team/r.git"}}`,
			header: func(mac string) []string {
				return []string{"X-Gitea-Event", "push", "X-Gitea-Delivery", rand.Text(), "X-Gitea-Signature", mac, "X-GitHub-Event", "push"}
			},
		},
		"bitbucket": {
			addresses: []string{"https://bb.kinds12.example/scm/proj/r.git", "ssh://git@bb.kinds12.example:7999/proj/r.git", "https://bb.kinds12.example/projects/PROJ/repos/r/browse"},
			others:    []string{"https://bitbucket.org/proj/r.git", "git@bitbucket.org:proj/r.git"},
			source: devopsv1alpha3.MultiBranchPipeline{SourceType: "bitbucket_server",
				BitbucketServerSource: &devopsv1alpha3.BitbucketServerSource{HostedSource: hosted("https://bb.kinds12.example", "PROJ", "r")}},
			body: `{"eventKey":"repo:refs_changed","repository":{"slug":"r","project":{"key":"PROJ"},"links":{"clone":[{"href":"https://bb.kinds12.example/scm/proj/r.git","name":"http"},` +
				`{"href":"ssh://git@bb.kinds12.example:7999/proj/r.git","name":"ssh"}],"self":[{"href":"https://bb.kinds12.example/projects/PROJ/repos/r/browse"}]}},` +
				`"changes":[{"ref":{"id":"refs/heads/main","displayId":"main","type":"BRANCH"},"fromHash":"` + zeros + `","toHash":"` + commit + `","type":"ADD"}]}`,
			header: func(mac string) []string {
				return []string{"X-Event-Key", "repo:refs_changed", "X-Request-Id", rand.Text(), "X-Hub-Signature", "sha256=" + mac}
			},
		},
	}
}

// TestFault12KindsOfServers: see TestFault12OtherServers. The pipelines of a server that its owner runs are found by the deliveries of each
// kind of server, whether they name the repository by its address for HTTP or for SSH, and those of public servers are not.
func TestFault12KindsOfServers(t *testing.T) {
	t.Parallel()
	p := newProject(t, "kinds12")
	servers := sourceServers()
	// GitLab tells one address for SSH, which an administrator can set.
	gitlab := servers["gitlab"]
	gitlab.body = fmt.Sprintf(gitlab.body, gitlab.addresses[1])
	gitlab.addresses = gitlab.addresses[:2]
	servers["gitlab"] = gitlab
	want := map[string]bool{}
	for kind, s := range servers {
		for i, address := range slices.Concat(s.addresses, s.others) {
			name := fmt.Sprintf("%s-%d", kind, i)
			p.newPipeline(name, jenkinsfileOf("echo 'pushed'"), listens(address, ""))
			want[name] = i < len(s.addresses)
		}
		source := s.source
		source.Name, source.ScriptPath = "mb-"+kind, "Jenkinsfile"
		pipeline := &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: p.name, Name: source.Name},
			Spec: devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.MultiBranchPipelineType, MultiBranchPipeline: &source}}
		if err := p.kube.Create(t.Context(), pipeline); err != nil {
			t.Fatal(err)
		}
		p.isCached(pipeline.Name)
	}
	for _, kind := range slices.Sorted(maps.Keys(servers)) {
		s := servers[kind]
		mac := hmac.New(sha256.New, []byte(hookSecret))
		mac.Write([]byte(s.body))
		if got := p.send(t.Context(), http.MethodPost, "/v1alpha3/webhooks/scm", s.body, s.header(hex.EncodeToString(mac.Sum(nil)))...); got.code != http.StatusAccepted {
			t.Fatalf("%s: %v", kind, got)
		}
	}
	started := map[string]int{}
	p.wait("the pipelines of all servers run", func() (bool, string) {
		clear(started)
		for _, run := range p.runs() {
			started[run.Spec.PipelineRef.Name]++
		}
		for name, runs := range want {
			if runs && started[name] == 0 {
				return false, fmt.Sprintf("%s does not: %v", name, started)
			}
		}
		return true, ""
	})
	for name, n := range started {
		if !want[name] || n != 1 {
			t.Errorf("%s has %d runs", name, n)
		}
	}
	for kind := range servers {
		p.wait("the branches of "+kind+" are looked at", func() (bool, string) {
			asked := kept(p.kubeAPI.since(time.Time{}, p.name), func(c *call) bool {
				return c.method == http.MethodPatch && strings.HasSuffix(c.path, "/pipelines/mb-"+kind) && strings.Contains(c.body, devopsv1alpha3.PipelineRequestToScanAnnotation)
			})
			return len(asked) > 0, ""
		})
	}
}
