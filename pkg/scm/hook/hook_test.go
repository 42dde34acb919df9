// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/pattern"
	"github.com/slipway-dev/slipway/pkg/scheme"
	"github.com/slipway-dev/slipway/pkg/scm"
)

const serverSecret = "the-secret-of-the-server"

// world is a receiver over a fake Kubernetes.
type world struct {
	t        *testing.T
	kube     client.WithWatch
	receiver *Receiver
	mu       sync.Mutex
	// writes are the patches and creations, fail what the next ones end with.
	writes []string
	fail   []error
	reads  int
	now    time.Time
}

func newWorld(t *testing.T, o Options, objects ...client.Object) *world {
	t.Helper()
	w := &world{t: t, now: time.Now()}
	build := fake.NewClientBuilder().WithScheme(scheme.New()).WithObjects(objects...)
	for field, value := range index.Pipelines {
		build = build.WithIndex(&devopsv1alpha3.Pipeline{}, field, value)
	}
	for field, value := range index.GitRepositories {
		build = build.WithIndex(&devopsv1alpha3.GitRepository{}, field, value)
	}
	note := func(verb string, obj client.Object) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.fail) > 0 {
			err := w.fail[0]
			w.fail = w.fail[1:]
			return err
		}
		w.writes = append(w.writes, verb+" "+obj.GetNamespace()+"/"+obj.GetName())
		return nil
	}
	w.kube = interceptor.NewClient(build.Build(), interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
			if err := note("scan", obj); err != nil {
				return err
			}
			return c.Patch(ctx, obj, patch, opts...)
		},
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			if obj.GetName() == "" {
				t.Error("a run without a name")
			}
			obj.SetCreationTimestamp(metav1.NewTime(w.time()))
			if err := c.Create(ctx, obj, opts...); err != nil {
				return err
			}
			run := obj.(*devopsv1alpha3.PipelineRun)
			return note("start", &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: run.Namespace, Name: run.Spec.PipelineRef.Name}})
		},
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			if _, ok := obj.(*corev1.Secret); ok {
				w.mu.Lock()
				w.reads++
				w.mu.Unlock()
			}
			return c.Get(ctx, key, obj, opts...)
		},
	})
	o.Reader, o.Client = w.kube, w.kube
	o.Now = w.time
	w.receiver = New(o)
	w.receiver.retries.Duration = time.Millisecond
	return w
}

func (w *world) time() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) later(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// done waits until nothing is worked on, and gives what was written since the last time.
func (w *world) done() []string {
	w.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for len(w.receiver.waiting) > 0 {
		if time.Now().After(deadline) {
			w.t.Fatal("a delivery was not dealt with")
		}
		time.Sleep(2 * time.Millisecond)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	writes := w.writes
	w.writes = nil
	slices.Sort(writes)
	return writes
}

// deliver sends a delivery with all headers and a signature.
func (w *world) deliver(p scm.Provider, d delivery) error {
	w.t.Helper()
	body, err := json.Marshal(d.body)
	if err != nil {
		w.t.Fatal(err)
	}
	h := http.Header{"Content-Type": {"application/json"}}
	for name, value := range d.header {
		h.Set(name, value)
	}
	sign(h, p, d.secret, body)
	return w.receiver.Deliver(w.t.Context(), h, body)
}

func sign(h http.Header, p scm.Provider, secret string, body []byte) {
	if secret == "" {
		return
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	sum := hex.EncodeToString(mac.Sum(nil))
	switch p {
	case scm.GitHub:
		h.Set("X-Hub-Signature-256", "sha256="+sum)
	case scm.GitLab:
		h.Set("X-Gitlab-Token", secret)
	case scm.Gitea:
		h.Set("X-Gitea-Signature", sum)
	default:
		h.Set("X-Hub-Signature", "sha256="+sum)
	}
}

type delivery struct {
	header map[string]string
	body   any
	secret string
}

type object = map[string]any

const (
	commitA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	commitB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	none    = "0000000000000000000000000000000000000000"
)

func githubPush(server, path, ref, id string) delivery {
	return delivery{secret: serverSecret, header: map[string]string{"X-GitHub-Event": "push", "X-GitHub-Delivery": id}, body: object{
		"ref": ref, "before": commitA, "after": commitB, "repository": object{"full_name": path, "html_url": server + "/" + path,
			"clone_url": server + "/" + path + ".git", "ssh_url": "git@" + strings.TrimPrefix(server, "https://") + ":" + path + ".git", "git_url": "git://" + strings.TrimPrefix(server, "https://") + "/" + path + ".git"}}}
}

func gitlabPush(server, path, ref, id string) delivery {
	return delivery{secret: serverSecret, header: map[string]string{"X-Gitlab-Event": "Push Hook", "X-Gitlab-Event-UUID": id}, body: object{
		"object_kind": "push", "ref": ref, "before": commitA, "after": commitB, "project": object{"path_with_namespace": path, "web_url": server + "/" + path,
			"git_http_url": server + "/" + path + ".git", "git_ssh_url": "git@" + strings.TrimPrefix(strings.TrimPrefix(server, "https://"), "http://") + ":" + path + ".git"}}}
}

func giteaPush(server, ssh, path, ref, id string) delivery {
	d := githubPush(server, path, ref, id)
	repo := d.body.(object)["repository"].(object)
	repo["ssh_url"] = ssh + "/" + path + ".git"
	d.header = map[string]string{"X-Gitea-Event": "push", "X-GitHub-Event": "push", "X-Gogs-Event": "push", "X-Gitea-Delivery": id, "X-GitHub-Delivery": id}
	return d
}

func cloudPush(path, branch, id string) delivery {
	side := func(hash string) object {
		return object{"type": "branch", "name": branch, "target": object{"hash": hash}}
	}
	return delivery{secret: serverSecret, header: map[string]string{"X-Event-Key": "repo:push", "X-Request-UUID": id}, body: object{
		"repository": object{"full_name": path, "links": object{"html": object{"href": "https://bitbucket.org/" + path}}},
		"push":       object{"changes": []any{object{"old": side(commitA), "new": side(commitB)}}}}}
}

func stashPush(server, project, slug string, links bool) delivery {
	repo := object{"slug": slug, "project": object{"key": project}}
	if links {
		repo["links"] = object{"clone": []any{object{"name": "http", "href": server + "/scm/" + strings.ToLower(project) + "/" + slug + ".git"},
			object{"name": "ssh", "href": "ssh://git@bb.example.org:7999/" + strings.ToLower(project) + "/" + slug + ".git"}},
			"self": []any{object{"href": server + "/projects/" + project + "/repos/" + slug + "/browse"}}}
	}
	return delivery{secret: serverSecret, header: map[string]string{"X-Event-Key": "repo:refs_changed", "X-Request-Id": "r1"}, body: object{
		"repository": repo, "changes": []any{object{"ref": object{"id": "refs/heads/main"}, "fromHash": commitA, "toHash": commitB, "type": "UPDATE"}}}}
}

func multi(name string, source devopsv1alpha3.MultiBranchPipeline) *devopsv1alpha3.Pipeline {
	return &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: "p", Name: name, UID: types.UID("uid-" + name)},
		Spec: devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.MultiBranchPipelineType, MultiBranchPipeline: &source}}
}

func gitURL(name, address string) *devopsv1alpha3.Pipeline {
	return multi(name, devopsv1alpha3.MultiBranchPipeline{SourceType: "git", GitSource: &devopsv1alpha3.GitSource{URL: address}})
}

func hostedSource(api, owner, repo string) devopsv1alpha3.HostedSource {
	return devopsv1alpha3.HostedSource{APIURI: api, Owner: owner, Repo: repo}
}

func githubSource(name, api, owner, repo string) *devopsv1alpha3.Pipeline {
	return multi(name, devopsv1alpha3.MultiBranchPipeline{SourceType: "github", GitHubSource: &devopsv1alpha3.GitHubSource{HostedSource: hostedSource(api, owner, repo)}})
}

func gitlabSource(name, server, api, owner, repo string) *devopsv1alpha3.Pipeline {
	return multi(name, devopsv1alpha3.MultiBranchPipeline{SourceType: "gitlab", GitlabSource: &devopsv1alpha3.GitlabSource{ServerName: server, HostedSource: hostedSource(api, owner, repo)}})
}

func stashSource(name, api, owner, repo string) *devopsv1alpha3.Pipeline {
	return multi(name, devopsv1alpha3.MultiBranchPipeline{SourceType: "bitbucket_server", BitbucketServerSource: &devopsv1alpha3.BitbucketServerSource{HostedSource: hostedSource(api, owner, repo)}})
}

func plain(name, address, refs string) *devopsv1alpha3.Pipeline {
	p := &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: "p", Name: name, UID: types.UID("uid-" + name), Annotations: map[string]string{index.SCMAnnotation: address}},
		Spec: devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.NoScmPipelineType, Pipeline: &devopsv1alpha3.NoScmPipeline{Jenkinsfile: "pipeline { agent any }"}}}
	if refs != "" {
		p.Annotations[RefAnnotation] = refs
	}
	return p
}

// TestMatching: which pipelines an event of a repository reaches.
func TestMatching(t *testing.T) {
	servers := scm.NewDirectory([]scm.Server{{Name: "ours", Provider: scm.GitLab, URL: "https://gitlab.example.org"}, {Name: "other", Provider: scm.GitLab, URL: "https://gitlab.other.example"},
		{Name: "bb", Provider: scm.BitbucketServer, URL: "https://bb.example.org"}}, nil, "")
	tests := map[string]struct {
		reason    string
		provider  scm.Provider
		delivery  delivery
		pipelines []client.Object
		want      []string
	}{
		"GitHub": {"", scm.GitHub, githubPush("https://github.com", "Team/App", "refs/heads/main", "1"), []client.Object{
			gitURL("https", "https://github.com/team/app.git"), gitURL("scp", "git@github.com:Team/App.git"), gitURL("ssh", "ssh://git@github.com/team/app"), gitURL("upper", "HTTPS://GITHUB.COM/TEAM/APP"),
			githubSource("public", "", "team", "app"), githubSource("api", "https://api.github.com/", "Team", "App"),
			gitURL("no-other", "https://github.com/team/app2"), gitURL("no-host", "https://ghe.example.org/team/app.git"), githubSource("no-ghe", "https://ghe.example.org/api/v3", "team", "app"),
			gitURL("no-longer", "https://github.com/team/app/x"), gitURL("no-evil", "https://github.com.evil.example/team/app"), plain("no-plain", "https://github.com/other/app", ""),
		}, []string{"api", "https", "public", "scp", "ssh", "upper"}},
		"GitHub Enterprise": {"", scm.GitHub, githubPush("https://ghe.example.org", "team/app", "refs/heads/main", "1"), []client.Object{
			gitURL("https", "https://ghe.example.org/team/app"), gitURL("scp", "git@ghe.example.org:team/app.git"), githubSource("api", "https://ghe.example.org/api/v3/", "team", "app"),
			githubSource("no-public", "", "team", "app"), gitURL("no-public-url", "https://github.com/team/app"),
		}, []string{"api", "https", "scp"}},
		"GitLab subgroups": {"named servers by their names", scm.GitLab, gitlabPush("https://gitlab.example.org", "a/b/c/App", "refs/heads/main", "1"), []client.Object{
			gitURL("https", "https://gitlab.example.org/a/b/c/app.git"), gitURL("scp", "git@gitlab.example.org:a/b/c/app.git"), gitlabSource("named", "ours", "", "a/b/c", "a/b/c/App"),
			gitlabSource("owner", "ours", "", "a/b/c", "app"), gitlabSource("api", "", "https://gitlab.example.org/api/v4", "a", "a/b/c/app"),
			gitlabSource("no-other", "other", "", "a/b/c", "a/b/c/app"), gitlabSource("no-default", "", "", "a/b/c", "a/b/c/app"), gitURL("no-shorter", "https://gitlab.example.org/b/c/app"), gitlabSource("no-unknown", "unknown", "", "a/b/c", "a/b/c/app"),
		}, []string{"api", "https", "named", "owner", "scp"}},
		"gitlab.com": {"", scm.GitLab, gitlabPush("https://gitlab.com", "a/app", "refs/heads/main", "1"), []client.Object{
			gitlabSource("empty", "", "", "a", "a/app"), gitlabSource("default", "default", "", "a", "app"), gitlabSource("name", "gitlab.com", "", "a", "a/app"), gitlabSource("no-ours", "ours", "", "a", "a/app"),
		}, []string{"default", "empty", "name"}},
		"Gitea on a port": {"", scm.Gitea, giteaPush("http://gitea.example.org:3000", "ssh://git@gitea.example.org:2222", "Team/App", "refs/heads/main", "1"), []client.Object{
			gitURL("http", "http://gitea.example.org:3000/team/app.git"), gitURL("ssh", "ssh://git@gitea.example.org:2222/Team/App.git"), gitURL("no-port", "http://gitea.example.org/team/app.git"),
			gitURL("no-other-port", "http://gitea.example.org:3001/team/app.git"),
		}, []string{"http", "ssh"}},
		"Bitbucket Cloud": {"the event has no address for SSH", scm.BitbucketCloud, cloudPush("team/app", "main", "1"), []client.Object{
			gitURL("https", "https://dev@bitbucket.org/team/app.git"), gitURL("scp", "git@bitbucket.org:team/app.git"), stashSource("source", "https://bitbucket.org", "team", "app"), stashSource("empty", "", "team", "app"),
			gitURL("no-other", "git@bitbucket.org:team/app2.git"),
		}, []string{"empty", "https", "scp", "source"}},
		"Bitbucket Server": {"", scm.BitbucketServer, stashPush("https://bb.example.org", "PROJ", "app", true), []client.Object{
			gitURL("https", "https://bb.example.org/scm/proj/app.git"), gitURL("upper", "https://bb.example.org/scm/PROJ/App.git"), gitURL("ssh", "ssh://git@bb.example.org:7999/PROJ/app.git"),
			stashSource("source", "https://bb.example.org", "PROJ", "app"), stashSource("rest", "https://bb.example.org/rest/api/1.0", "proj", "app"), gitURL("page", "https://bb.example.org/projects/PROJ/repos/app/browse"),
			gitURL("no-port", "ssh://git@bb.example.org:7998/proj/app.git"), stashSource("no-other", "https://bb.other.example", "PROJ", "app"), gitURL("no-project", "https://bb.example.org/scm/proj2/app.git"),
		}, []string{"https", "page", "rest", "source", "ssh", "upper"}},
		"Bitbucket Server below a path": {"", scm.BitbucketServer, stashPush("https://example.org/bitbucket", "~dev", "app", true), []client.Object{
			stashSource("source", "https://example.org/bitbucket/", "~dev", "app"), gitURL("https", "https://example.org/bitbucket/scm/~dev/app.git"), gitURL("page", "https://example.org/bitbucket/users/dev/repos/app/browse"),
			gitURL("no-root", "https://example.org/scm/~dev/app.git"),
		}, []string{"https", "page", "source"}},
		"older Bitbucket Server": {"it does not tell its address: the configured servers count", scm.BitbucketServer, stashPush("", "PROJ", "app", false), []client.Object{
			gitURL("https", "https://bb.example.org/scm/proj/app.git"), gitURL("ssh", "ssh://git@bb.example.org:7999/proj/app.git"), stashSource("source", "https://bb.example.org", "PROJ", "app"),
			stashSource("no-other", "https://bb.other.example", "PROJ", "app"),
		}, []string{"https", "source", "ssh"}},
		"unicode": {"", scm.Gitea, giteaPush("https://git.müller.example", "ssh://git@git.müller.example", "Ünï/日本", "refs/heads/größe", "1"), []client.Object{
			gitURL("https", "https://git.xn--mller-kva.example/%C3%9Cn%C3%AF/%E6%97%A5%E6%9C%AC.git"), gitURL("scp", "git@git.müller.example:ünï/日本.git"), gitURL("no-other", "https://git.müller.example/uni/日本"),
		}, []string{"https", "scp"}},
		"Subversion": {"has no such events", scm.GitHub, githubPush("https://github.com", "team/app", "refs/heads/main", "1"), []client.Object{
			multi("no-svn", devopsv1alpha3.MultiBranchPipeline{SourceType: "svn", SvnSource: &devopsv1alpha3.SvnSource{Remote: "https://github.com/team/app"}}),
			multi("no-source", devopsv1alpha3.MultiBranchPipeline{SourceType: "git"}), multi("no-git", devopsv1alpha3.MultiBranchPipeline{SourceType: "github", GitSource: &devopsv1alpha3.GitSource{URL: "https://github.com/team/app"}}),
		}, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Options{Secret: []byte(serverSecret), Servers: servers}, tc.pipelines...)
			if err := w.deliver(tc.provider, tc.delivery); err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, name := range tc.want {
				want = append(want, "scan p/"+name)
			}
			if diff := cmp.Diff(want, w.done()); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestEvents: what is acted on.
func TestEvents(t *testing.T) {
	const server = "https://git.example.org"
	with := func(d delivery, change func(header map[string]string, body object)) delivery {
		d.header = maps.Clone(d.header)
		change(d.header, d.body.(object))
		return d
	}
	github := func(kind string, change func(object)) delivery {
		return with(githubPush(server, "team/app", "refs/heads/main", "1"), func(h map[string]string, b object) {
			h["X-GitHub-Event"] = kind
			change(b)
		})
	}
	gitlab := func(kind string, change func(object)) delivery {
		return with(gitlabPush(server, "team/app", "refs/heads/main", "1"), func(h map[string]string, b object) {
			h["X-Gitlab-Event"] = kind
			change(b)
		})
	}
	keep := func(object) {}
	request := func(action, old string) func(object) {
		return func(b object) {
			b["object_kind"] = "merge_request"
			b["object_attributes"] = object{"action": action, "oldrev": old}
		}
	}
	stash := func(key string) delivery {
		repo := stashPush(server, "team", "app", true).body.(object)["repository"]
		return delivery{secret: serverSecret, header: map[string]string{"X-Event-Key": key}, body: object{"pullRequest": object{"toRef": object{"repository": repo}}}}
	}
	both := []string{"scan p/multi", "start p/plain"}
	scan := []string{"scan p/multi"}
	tests := map[string]struct {
		provider scm.Provider
		delivery delivery
		want     []string
	}{
		"push":                  {scm.GitHub, github("push", keep), both},
		"tag":                   {scm.GitHub, github("push", func(b object) { b["ref"] = "refs/tags/v1" }), both},
		"deleted branch":        {scm.GitHub, github("push", func(b object) { b["after"] = none }), scan},
		"note":                  {scm.GitHub, github("push", func(b object) { b["ref"] = "refs/notes/x" }), nil},
		"create":                {scm.GitHub, github("create", func(b object) { b["ref"] = "v1" }), scan},
		"delete":                {scm.GitHub, github("delete", func(b object) { b["ref"] = "v1" }), scan},
		"pull request":          {scm.GitHub, github("pull_request", func(b object) { b["action"] = "synchronize" }), scan},
		"labelled":              {scm.GitHub, github("pull_request", func(b object) { b["action"] = "labeled" }), nil},
		"ping":                  {scm.GitHub, github("ping", keep), nil},
		"issue":                 {scm.GitHub, github("issues", func(b object) { b["ref"] = object{"not": "text"} }), nil},
		"form":                  {scm.GitHub, with(githubPush(server, "team/app", "refs/heads/main", "1"), func(map[string]string, object) {}), both},
		"merge request":         {scm.GitLab, gitlab("Merge Request Hook", request("open", "")), scan},
		"pushed to it":          {scm.GitLab, gitlab("Merge Request Hook", request("update", commitA)), scan},
		"title changed":         {scm.GitLab, gitlab("Merge Request Hook", request("update", "")), nil},
		"GitLab tag":            {scm.GitLab, gitlab("Tag Push Hook", func(b object) { b["object_kind"], b["ref"] = "tag_push", "refs/tags/v1" }), both},
		"GitLab system":         {scm.GitLab, gitlab("System Hook", keep), both},
		"GitLab pipeline":       {scm.GitLab, gitlab("Pipeline Hook", keep), nil},
		"Gitea pull request":    {scm.Gitea, with(giteaPush(server, "ssh://git@git.example.org", "team/app", "", "1"), func(h map[string]string, b object) { h["X-Gitea-Event"], b["action"] = "pull_request", "synchronized" }), scan},
		"Gitea comment":         {scm.Gitea, with(giteaPush(server, "ssh://git@git.example.org", "team/app", "", "1"), func(h map[string]string, _ object) { h["X-Gitea-Event"] = "issue_comment" }), nil},
		"Server pull request":   {scm.BitbucketServer, stash("pr:from_ref_updated"), []string{"scan p/stash"}},
		"Server comment":        {scm.BitbucketServer, stash("pr:comment:added"), nil},
		"Server ping":           {scm.BitbucketServer, delivery{secret: serverSecret, header: map[string]string{"X-Event-Key": "diagnostics:ping"}, body: object{"test": true}}, nil},
		"several in one push":   {scm.BitbucketServer, with(stashPush(server, "team", "app", true), func(_ map[string]string, b object) { c := b["changes"].([]any); b["changes"] = append(c, c[0]) }), []string{"scan p/stash"}},
		"hostile, but a pusher": {scm.BitbucketServer, delivery{secret: serverSecret, header: map[string]string{"X-Event-Key": "repo:refs_changed"}, body: object{"changes": []any{nil, object{}}, "repository": object{"slug": "x", "project": object{"key": "../.."}}}}, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Options{Secret: []byte(serverSecret)}, gitURL("multi", server+"/team/app.git"), plain("plain", "git@git.example.org:team/app", ""), gitURL("stash", server+"/scm/team/app"), plain("other", server+"/x/y", ""))
			if err := w.deliver(tc.provider, tc.delivery); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, w.done()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	t.Run("as a form", func(t *testing.T) {
		w := newWorld(t, Options{Secret: []byte(serverSecret)}, gitURL("multi", server+"/team/app.git"))
		payload, _ := json.Marshal(githubPush(server, "team/app", "refs/heads/main", "1").body)
		body := []byte(url.Values{"payload": {string(payload)}}.Encode())
		h := http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}, "X-Github-Event": {"push"}}
		sign(h, scm.GitHub, serverSecret, body)
		if err := w.receiver.Deliver(t.Context(), h, body); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(scan, w.done()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestMalformed(t *testing.T) {
	w := newWorld(t, Options{Secret: []byte(serverSecret)})
	for name, tc := range map[string]struct {
		header map[string]string
		body   string
	}{
		"no kind":     {nil, `{}`},
		"no JSON":     {map[string]string{"X-GitHub-Event": "push"}, `{"ref":`},
		"list":        {map[string]string{"X-GitHub-Event": "push"}, `[]`},
		"wrong types": {map[string]string{"X-GitHub-Event": "push"}, `{"ref":7}`},
		"deep":        {map[string]string{"X-GitHub-Event": "push"}, strings.Repeat("[", 100_000)},
		"nothing":     {map[string]string{"X-GitHub-Event": "push"}, `{"ref":"refs/heads/x","after":"1"}`},
		"empty":       {map[string]string{"X-Gitlab-Event": "Push Hook"}, ``},
		"form":        {map[string]string{"X-GitHub-Event": "push", "Content-Type": "application/x-www-form-urlencoded"}, `a=b`},
		"cloud":       {map[string]string{"X-Event-Key": "repo:push"}, `{"push":{"changes":[null]}}`},
		"server":      {map[string]string{"X-Event-Key": "pr:opened"}, `{"pullRequest":null}`},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			for key, value := range tc.header {
				h.Set(key, value)
			}
			sign(h, ProviderOf(h), serverSecret, []byte(tc.body))
			if err := w.receiver.Deliver(t.Context(), h, []byte(tc.body)); !errors.Is(err, ErrMalformed) {
				t.Errorf("got %v", err)
			}
		})
	}
	if writes := w.done(); writes != nil {
		t.Error(writes)
	}
}

func TestRefs(t *testing.T) {
	for name, tc := range map[string]struct {
		refs, ref string
		want      bool
	}{
		"none":      {"", "refs/heads/x", true},
		"empty":     {"[]", "refs/heads/x", true},
		"short":     {`["^main$"]`, "refs/heads/main", true},
		"full":      {`["^refs/tags/v[0-9]+"]`, "refs/tags/v12", true},
		"other":     {`["^main$","^release/"]`, "refs/heads/main2", false},
		"second":    {`["^main$","^release/"]`, "refs/heads/release/1", true},
		"no JSON":   {`main`, "refs/heads/main", false},
		"no regexp": {`["(", "main"]`, "refs/heads/main", true},
		"evil":      {`["(a+)+$"]`, "refs/heads/" + strings.Repeat("a", 5000) + "!", false},
		"long":      {`["` + strings.Repeat("a", pattern.MaxLength+1) + `"]`, "refs/heads/" + strings.Repeat("a", pattern.MaxLength+1), false},
		"null":      {`null`, "refs/heads/main", true},
		"explodes":  {`["` + strings.Repeat("(.{0,1000})", 90) + `y"]`, "refs/heads/" + strings.Repeat("a", 1000), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := wantsRef(t.Context(), plain("x", "https://h/a", tc.refs), tc.ref); got != tc.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

// TestOnce: one event starts one run, however often and wherever it is told.
func TestOnce(t *testing.T) {
	const server = "https://git.example.org"
	long := strings.Repeat("x", 253)
	w := newWorld(t, Options{Secret: []byte(serverSecret)}, plain("plain", server+"/team/app", ""), plain(long, server+"/team/app", ""), gitURL("multi", server+"/team/app"))
	push := githubPush(server, "team/app", "refs/heads/main", "1")
	started := []string{"scan p/multi", "start p/plain", "start p/" + long}
	if err := w.deliver(scm.GitHub, push); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(started, w.done()); diff != "" {
		t.Fatal(diff)
	}
	steps := []struct {
		reason string
		change func(*delivery)
		want   []string
	}{
		{"the same delivery is known", func(*delivery) {}, nil},
		{"another replica does not know it, and does the same again", func(*delivery) { w.receiver = New(w.receiver.opts) }, []string{"scan p/multi"}},
		{"the webhook of the organization tells it, too", func(d *delivery) { d.body.(object)["organization"] = object{} }, []string{"scan p/multi"}},
		{"who has recorded a delivery sends it by another name", func(d *delivery) {
			delete(d.body.(object), "organization")
			d.header["X-GitHub-Delivery"] = "2"
			w.later(time.Hour)
		}, nil},
		{"and to another replica, which starts nothing", func(*delivery) { w.receiver = New(w.receiver.opts) }, []string{"scan p/multi"}},
		{"the branch came back to the commit later", func(d *delivery) { d.body.(object)["pushed_at"] = 2 }, started},
		{"and that is told again", func(*delivery) { w.receiver = New(w.receiver.opts) }, []string{"scan p/multi"}},
		{"a delivery without a name is taken for the same", func(d *delivery) { delete(d.header, "X-GitHub-Delivery") }, nil},
		{"another commit", func(d *delivery) { d.body.(object)["after"] = commitA; d.header["X-GitHub-Delivery"] = "4" }, started},
		{"the same name with another body is another delivery", func(d *delivery) { d.body.(object)["after"] = commitB + "0" }, started},
	}
	for _, step := range steps {
		step.change(&push)
		// Who presses a button to send it again is told that it starts nothing.
		if err := w.deliver(scm.GitHub, push); err != nil && (!errors.Is(err, ErrKnown) || step.want != nil) || err == nil && step.want == nil {
			t.Fatalf("%s: %v", step.reason, err)
		}
		if diff := cmp.Diff(step.want, w.done()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", step.reason, diff)
		}
	}
	runs := &devopsv1alpha3.PipelineRunList{}
	if err := w.kube.List(t.Context(), runs, client.InNamespace("p")); err != nil {
		t.Fatal(err)
	}
	for _, run := range runs.Items {
		if len(run.Name) > 253 || run.Annotations[devopsv1alpha3.PipelineRunTriggerAnnotation] != "webhook" || run.Spec.PipelineSpec == nil || len(run.OwnerReferences) != 1 ||
			run.Labels[devopsv1alpha3.PipelineNameLabel] == "" || run.Spec.PipelineRef.Name == "" {
			t.Errorf("run %+v", run.ObjectMeta)
		}
	}
}

// TestNothingToDo: who corrects the pipeline after a push that it did not want, and lets the server send that again, gets
// a run.
func TestNothingToDo(t *testing.T) {
	const server = "https://git.example.org"
	w := newWorld(t, Options{Secret: []byte(serverSecret)}, plain("plain", server+"/team/app", `["^master$"]`))
	push := githubPush(server, "team/app", "refs/heads/main", "1")
	for _, want := range [][]string{nil, {"start p/plain"}} {
		if err := w.deliver(scm.GitHub, push); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, w.done()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if want == nil {
			p := &devopsv1alpha3.Pipeline{}
			if err := w.kube.Get(t.Context(), client.ObjectKey{Namespace: "p", Name: "plain"}, p); err != nil {
				t.Fatal(err)
			}
			p.Annotations[RefAnnotation] = `["^main$"]`
			if err := w.kube.Update(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestKubernetesFails: what fails is tried again, and may come again if it does not help.
func TestKubernetesFails(t *testing.T) {
	const server = "https://git.example.org"
	w := newWorld(t, Options{Secret: []byte(serverSecret)}, gitURL("multi", server+"/team/app"))
	push := githubPush(server, "team/app", "refs/heads/main", "1")
	w.fail = []error{errors.New("away"), errors.New("away")}
	if err := w.deliver(scm.GitHub, push); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"scan p/multi"}, w.done()); diff != "" {
		t.Error(diff)
	}
	push.body.(object)["pushed_at"] = 2
	for range 10 {
		w.fail = append(w.fail, errors.New("away"))
	}
	if err := w.deliver(scm.GitHub, push); err != nil {
		t.Fatal(err)
	}
	w.done()
	w.fail = nil
	if err := w.deliver(scm.GitHub, push); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"scan p/multi"}, w.done()); diff != "" {
		t.Errorf("the delivery was forgotten as it failed: %s", diff)
	}
}

func TestBusy(t *testing.T) {
	w := newWorld(t, Options{Secret: []byte(serverSecret)})
	for range maxWaiting {
		w.receiver.waiting <- struct{}{}
	}
	if err := w.deliver(scm.GitHub, githubPush("https://git.example.org", "team/app", "refs/heads/main", "1")); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
}
