// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package peerfaults

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// encode writes a part of a token.
func encode(value any) string {
	raw, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// forge makes a token.
func forge(alg, secret string, claims map[string]any) string {
	text := encode(map[string]string{"alg": alg, "typ": "JWT"}) + "." + encode(claims)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// TestFault01UnverifiedTokens: the peer reads the name of the user from a token and looks neither at the signature nor
// at the time of expiry, so that anybody can write a token of the administrator. Here a token counts only if it was
// signed with the secret by an issuer that is known, and as long as it is valid.
func TestFault01UnverifiedTokens(t *testing.T) {
	t.Parallel()
	p := newProject(t, "fault01")
	boss, _, err := p.tokens.Issue("boss", nil)
	if err != nil {
		t.Fatal(err)
	}
	mine, _, err := p.tokens.Issue(p.user, nil)
	if err != nil {
		t.Fatal(err)
	}
	parts, own := strings.Split(boss, "."), strings.Split(mine, ".")
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	with := func(key string, value any) map[string]any {
		claims := map[string]any{}
		if err := json.Unmarshal(raw, &claims); err != nil {
			t.Fatal(err)
		}
		claims[key] = value
		return claims
	}
	past := time.Now().Add(-time.Hour).Unix()
	for name, tt := range map[string]struct {
		token string
		want  int
	}{
		"good":               {boss, http.StatusOK},
		"good, made here":    {forge("HS256", jwtSecret, with("token_type", "access_token")), http.StatusOK},
		"another secret":     {forge("HS256", strings.Repeat("x", 32), with("token_type", "access_token")), http.StatusUnauthorized},
		"no algorithm":       {encode(map[string]string{"alg": "none", "typ": "JWT"}) + "." + parts[1] + ".", http.StatusUnauthorized},
		"no signature":       {parts[0] + "." + parts[1] + ".", http.StatusUnauthorized},
		"another's claims":   {own[0] + "." + parts[1] + "." + own[2], http.StatusUnauthorized},
		"expired":            {forge("HS256", jwtSecret, with("exp", past)), http.StatusUnauthorized},
		"a Kubernetes group": {forge("HS256", jwtSecret, with("groups", []string{"system:masters"})), http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			for _, header := range []string{"Authorization", "X-KubeSphere-Authorization"} {
				got := p.send(t.Context(), http.MethodGet, p.v3("credentials"), nil, header, "Bearer "+tt.token)
				if got.code != tt.want {
					t.Errorf("%s: %v, want %d", header, got, tt.want)
				}
			}
		})
	}
}

// TestFault02AnonymousKubeProxy: the peer passes what comes in below /api and /apis on to Kubernetes with the rights of
// its own account, also for who has not logged in: Secrets can be read by everybody. Here who has not logged in gets
// nothing, who has gets what the user may have, and nothing is asked of Kubernetes in the server's own name.
func TestFault02AnonymousKubeProxy(t *testing.T) {
	t.Parallel()
	p := newProject(t, "fault02")
	const value = "the-value-of-the-secret-of-fault02"
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: p.name, Name: "s"}, StringData: map[string]string{"k": value}}
	if err := p.kube.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(value))
	paths := []string{
		"/api/v1/namespaces/" + p.name + "/secrets/s", "/api/v1/namespaces/" + p.name + "/secrets", "/api/v1/secrets", "/apis/../api/v1/secrets",
		"/api/v1/watch/namespaces/" + p.name + "/secrets", "/apis/devops.kubesphere.io/v1alpha3/namespaces/" + p.name + "/pipelines",
		"/apis/devops.kubesphere.io/v1alpha3/watch/namespaces/" + p.name + "/pipelines?timeoutSeconds=1",
	}
	for who, asker := range map[string]*project{"anonymous": p.as(""), "a stranger": p.as("stranger")} {
		t.Run(who, func(t *testing.T) {
			begin := time.Now()
			for _, path := range paths {
				for _, method := range []string{http.MethodGet, http.MethodDelete} {
					got := asker.in(t).do(method, path, nil)
					if got.code < 400 || strings.Contains(got.body, encoded) || strings.Contains(got.body, value) {
						t.Errorf("%s %s: %v", method, path, got)
					}
				}
			}
			asked := kept(p.kubeAPI.since(begin, p.name), func(c *call) bool {
				return c.header.Get("Impersonate-User") == "" && !strings.Contains(c.path, "accessreviews") && !strings.Contains(c.path, "tokenreviews")
			})
			if len(asked) > 0 {
				t.Errorf("asked in the server's own name: %s", lines(asked))
			}
		})
	}
}

// TestFault03JenkinsProxy: the peer has addresses below which every request goes on to Jenkins in the name of its
// administrator, whatever it is and whoever's project it is about. Here nothing below them reaches Jenkins.
func TestFault03JenkinsProxy(t *testing.T) {
	t.Parallel()
	p := newProject(t, "fault03")
	for _, who := range []string{"", p.user, "boss"} {
		for _, root := range []string{p.v2("jenkins/"), "/kapis/devops.kubesphere.io/v1alpha2/devops/" + p.name + "/jenkins/", "/kapis/devops.kubesphere.io/v1alpha2/jenkins/", "/v1alpha2/namespaces/" + p.name + "/jenkins/"} {
			begin := time.Now()
			for _, path := range []string{"scriptText", "job/needle03/doDelete", "job/needle03/config.xml", "credentials/store/system/domain/_/createCredentials?needle03", "..%2f..%2fneedle03", "gitlab/../needle03"} {
				for _, method := range []string{http.MethodGet, http.MethodPost} {
					if got := p.as(who).do(method, root+path, "script=1"); got.code < 400 {
						t.Errorf("%q: %s %s: %v", who, method, root+path, got)
					}
				}
			}
			asked := kept(p.jenkinsAPI.since(begin, ""), func(c *call) bool {
				return strings.Contains(c.path+c.query.Encode()+c.body, "needle03") || strings.Contains(c.path, "script") || strings.Contains(c.path, "createCredentials")
			})
			if len(asked) > 0 {
				t.Errorf("%q: Jenkins was asked: %s", who, lines(asked))
			}
		}
	}
}

// push is a delivery of GitHub's form.
func push(server, repository, branch string) string {
	return fmt.Sprintf(`{"ref":"refs/heads/%[3]s","before":"%040[4]d","after":"%040[5]d","repository":{"name":"r","full_name":%[2]q,"html_url":"%[1]s/%[2]s","clone_url":"%[1]s/%[2]s.git","default_branch":"main","owner":{"login":"team"}},"pusher":{"name":"dev"},"commits":[]}`,
		server, repository, branch, 1, 2)
}

// deliver sends a delivery as GitHub does, signed if there is a secret.
func (p *project) deliver(body, secret string) answer {
	p.Helper()
	signature := ""
	if secret != "" {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(body))
		signature = "sha256=" + hex.EncodeToString(mac.Sum(nil))
	}
	return p.send(p.Context(), http.MethodPost, "/v1alpha3/webhooks/scm", body, "X-GitHub-Event", "push", "X-GitHub-Delivery", rand.Text(), "X-Hub-Signature-256", signature)
}

// listens makes the runs of a pipeline start with pushes to a repository.
func listens(url, refs string) func(*devopsv1alpha3.Pipeline) {
	return func(p *devopsv1alpha3.Pipeline) {
		p.Annotations = map[string]string{"scm.devops.kubesphere.io": url, "scm.devops.kubesphere.io/ref": refs}
	}
}

// runs gives the runs of the project.
func (p *project) runs() []devopsv1alpha3.PipelineRun {
	p.Helper()
	list := &devopsv1alpha3.PipelineRunList{}
	if err := p.kube.List(p.Context(), list, client.InNamespace(p.name)); err != nil {
		p.Fatal(err)
	}
	return list.Items
}

// shownInput is a step that waits, as nodesdetail shows it.
type shownInput struct {
	node, step string
	may        bool
}

// input waits until a run shows an input, and gives it as the user sees it.
func (p *project) input(pipeline, number string) (found shownInput) {
	p.Helper()
	p.wait("an input is shown", func() (bool, string) {
		got := p.get(p.v2("pipelines/" + pipeline + "/runs/" + number + "/nodesdetail/"))
		var stages []struct {
			ID    string
			Steps []struct {
				ID, State string
				Aprovable bool
				Input     *struct{ ID string }
			}
		}
		got.into(p, &stages)
		for _, stage := range stages {
			for _, step := range stage.Steps {
				if step.Input != nil && step.State == "PAUSED" {
					found = shownInput{node: stage.ID, step: step.ID, may: step.Aprovable}
					return true, ""
				}
			}
		}
		return false, got.String()
	})
	return found
}

// TestFault04NobodyIsAsked: the peer takes events of source code servers and of Jenkins from everybody, talks to any SSH
// server, acts on runs in its own name whoever asks, and lets everybody answer every input. Here events need a
// signature or a secret, SSH servers a known key, runs are written in the name of the user, and an input says who may
// answer it and takes the answer of nobody else.
func TestFault04NobodyIsAsked(t *testing.T) {
	t.Parallel()
	p := newProject(t, "fault04")

	t.Run("events of source code servers", func(t *testing.T) {
		p := p.in(t)
		p.newPipeline("hooked", jenkinsfileOf("echo 'pushed'"), listens("https://git.fault04.example/team/r.git", `["main"]`))
		body := push("https://git.fault04.example", "team/r", "main")
		if got := p.deliver(body, ""); got.code != http.StatusUnauthorized {
			t.Errorf("without signature: %v", got)
		}
		if got := p.deliver(body, "a-secret-that-is-not-the-one"); got.code != http.StatusUnauthorized {
			t.Errorf("with another secret: %v", got)
		}
		if got := p.deliver(body, hookSecret); got.code != http.StatusAccepted {
			t.Fatalf("signed: %v", got)
		}
		// Events are dealt with in turn: when this one has had its effect the others would have had theirs.
		p.wait("the signed event starts a run", func() (bool, string) { return len(p.runs()) > 0, "" })
		if n := len(p.runs()); n != 1 {
			t.Errorf("%d runs, want only that of the signed event", n)
		}
	})

	t.Run("events of Jenkins", func(t *testing.T) {
		p := p.in(t)
		body := `{"type":"run.started","time":"` + time.Now().UTC().Format(time.RFC3339) + `","dataType":"org.jenkinsci.plugins.workflow.job.WorkflowRun","data":{"_parentFullName":"fault04","_projectName":"none","id":"1","number":1}}`
		for secret, want := range map[string]int{"": http.StatusUnauthorized, "Bearer not-the-secret-of-events": http.StatusUnauthorized, "Bearer " + eventSecret: http.StatusAccepted} {
			if got := p.send(t.Context(), http.MethodPost, "/v1alpha3/webhooks/jenkins", body, "Authorization", secret); got.code != want {
				t.Errorf("%q: %v, want %d", secret, got, want)
			}
		}
	})

	t.Run("keys of SSH servers", func(t *testing.T) { sshHostKeys(t, p.in(t)) })

	t.Run("runs are the user's", func(t *testing.T) {
		p := p.in(t)
		p.newPipeline("own", jenkinsfileOf("echo 'hello'"))
		p.bind("viewer-of-fault04", "slipway-project-viewer")
		begin := time.Now()
		for _, path := range []string{p.v3("pipelines/own/pipelineruns"), p.v2("pipelines/own/runs")} {
			if got := p.as("viewer-of-fault04").do(http.MethodPost, path, `{}`); got.code != http.StatusForbidden {
				t.Errorf("%s: %v, want it forbidden", path, got)
			}
		}
		run := p.startRun("own", "")
		made := kept(p.kubeAPI.since(begin, p.name), func(c *call) bool {
			return c.method == http.MethodPost && strings.HasSuffix(c.path, "/pipelineruns")
		})
		if len(made) != 1 || made[0].header.Get("Impersonate-User") != p.user {
			t.Errorf("runs were made by %s\n%v, want one by %s", lines(made), made, p.user)
		}
		p.reaches(run, devopsv1alpha3.Succeeded)
		if got := p.as("viewer-of-fault04").do(http.MethodDelete, p.v3("pipelineruns/"+run.Name), nil); got.code != http.StatusForbidden {
			t.Errorf("%v, want it forbidden", got)
		}
	})

	t.Run("inputs", func(t *testing.T) {
		p := p.in(t)
		p.newPipeline("gated", jenkinsfileOf("input message: 'Go on?', submitter: 'carol'"))
		p.newPipeline("open", jenkinsfileOf("input 'Go on?'"))
		for _, user := range []string{"carol", "dave"} {
			p.bind(user, "slipway-project-runner")
		}
		p.bind("eve", "slipway-project-viewer")
		gated, open := p.startRun("gated", ""), p.startRun("open", "")
		p.wait("both have builds", func() (bool, string) {
			p.read(gated)
			p.read(open)
			return number(gated) != "" && number(open) != "", ""
		})
		carol, dave, eve := p.as("carol"), p.as("dave"), p.as("eve")
		if in := carol.input("gated", number(gated)); !in.may {
			t.Error("the submitter is told that she may not answer")
		}
		in := dave.input("gated", number(gated))
		if in.may {
			t.Error("somebody else is told that he may answer")
		}
		if in := dave.input("open", number(open)); !in.may {
			t.Error("who may act on runs is told that he may not answer an input for everybody")
		}
		if in := eve.input("open", number(open)); in.may {
			t.Error("who may only look is told that she may answer")
		}
		address := func(pipeline string, run *devopsv1alpha3.PipelineRun, in shownInput) string {
			return p.v2("pipelines/" + pipeline + "/runs/" + number(run) + "/nodes/" + in.node + "/steps/" + in.step + "/")
		}
		if got := dave.do(http.MethodPost, address("gated", gated, in), `{"id":""}`); got.code != http.StatusOK || !strings.Contains(got.body, `"allow":"false"`) {
			t.Errorf("the answer of somebody else: %v", got)
		}
		if got := eve.do(http.MethodPost, address("open", open, eve.input("open", number(open))), `{"id":""}`); got.code != http.StatusForbidden {
			t.Errorf("the answer of who may only look: %v", got)
		}
		p.read(gated)
		p.read(open)
		if gated.Status.Phase.Ended() || open.Status.Phase.Ended() {
			t.Errorf("%s, %s: a run went on", gated.Status.Phase, open.Status.Phase)
		}
		if got := carol.do(http.MethodPost, address("gated", gated, in), `{"id":""}`); !strings.Contains(got.body, `"allow":"true"`) {
			t.Errorf("the answer of the submitter: %v", got)
		}
		if got := dave.do(http.MethodPost, address("open", open, dave.input("open", number(open))), `{"id":""}`); !strings.Contains(got.body, `"allow":"true"`) {
			t.Errorf("the answer of who may act on runs: %v", got)
		}
		p.reaches(gated, devopsv1alpha3.Succeeded)
		p.reaches(open, devopsv1alpha3.Succeeded)
	})
}

// sshHostKeys lets the server read a repository of an SSH server whose key is not the known one: it must not log in.
func sshHostKeys(t *testing.T, p *project) {
	t.Helper()
	newKey := func() (ssh.Signer, ed25519.PrivateKey) {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := ssh.NewSignerFromKey(private)
		if err != nil {
			t.Fatal(err)
		}
		return signer, private
	}
	host, _ := newKey()
	other, private := newKey()
	var logins atomic.Int64
	config := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
		logins.Add(1)
		return nil, nil
	}}
	config.AddHostKey(host)
	var lc net.ListenConfig
	listener, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				if c, _, requests, err := ssh.NewServerConn(conn, config); err == nil {
					go ssh.DiscardRequests(requests)
					_ = c.Close()
				}
			}()
		}
	}()
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	key := func(s ssh.Signer) string {
		_, port, _ := net.SplitHostPort(listener.Addr().String())
		return "[127.0.0.1]:" + port + " " + string(ssh.MarshalAuthorizedKey(s.PublicKey()))
	}
	for name, tt := range map[string]struct {
		known string
		login bool
	}{"another": {key(other), false}, "none": {"", false}, "right": {key(host), true}} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: p.name, Name: "ssh-" + name}, Type: devopsv1alpha3.SecretTypeSSHAuth,
			Data: map[string][]byte{"username": []byte("git"), "private_key": pem.EncodeToMemory(block), "known_hosts": []byte(tt.known)}}
		repository := &devopsv1alpha3.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: p.name, Name: "ssh-" + name}}
		repository.Spec.URL = "ssh://git@" + listener.Addr().String() + "/team/r.git"
		repository.Spec.Secret = &corev1.SecretReference{Namespace: p.name, Name: secret.Name}
		for _, object := range []client.Object{secret, repository} {
			if err := p.kube.Create(t.Context(), object); err != nil {
				t.Fatal(err)
			}
		}
		p.wait("the repository is known", func() (bool, string) {
			got := p.get(p.v3("gitrepositories/ssh-" + name))
			return got.code == http.StatusOK, got.String()
		})
		logins.Store(0)
		got := p.get(p.v3("gitrepositories/ssh-" + name + "/branches"))
		if got.code < 400 || (logins.Load() > 0) != tt.login {
			t.Errorf("the known key is %s: %v, %d logins", name, got, logins.Load())
		}
	}
}
