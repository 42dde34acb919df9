// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/scheme"
	"github.com/slipway-dev/slipway/pkg/scm"
)

const (
	scmV2     = "/kapis/devops.kubesphere.io/v1alpha2/scms"
	scmV3     = devops + "/scms"
	scmSecret = "source-code-servers-sign-with-this"
	scmToken  = "token-of-ann-0123456789"
)

// ownSecrets lets users read Secrets and write ConfigMaps in the namespaces that begin with their name only.
type ownSecrets struct{ kube client.WithWatch }

func (c ownSecrets) ClientFor(u user.Info) (client.WithWatch, error) {
	check := func(obj client.Object, namespace string) error {
		if u.GetName() == "root" || strings.HasPrefix(namespace, u.GetName()) {
			return nil
		}
		return apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, obj.GetName(), nil)
	}
	return interceptor.NewClient(c.kube, interceptor.Funcs{
		Get: func(ctx context.Context, kube client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			if err := check(obj, key.Namespace); err != nil {
				return err
			}
			return kube.Get(ctx, key, obj, opts...)
		},
		Create: func(ctx context.Context, kube client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			if err := check(obj, obj.GetNamespace()); err != nil {
				return err
			}
			return kube.Create(ctx, obj, opts...)
		},
	}), nil
}

// gitea is a small Gitea with 120 organizations, of which one has 3 repositories.
func gitea(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "token "+scmToken {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"message":"token is required"}`)
		return
	}
	switch r.URL.Path {
	case "/api/v1/user":
		_, _ = io.WriteString(w, `{"login":"ann","avatar_url":"https://example.test/ann.png"}`)
	case "/api/v1/user/orgs":
		page := 1
		_, _ = fmt.Sscan(r.URL.Query().Get("page"), &page)
		list := []map[string]string{}
		for i := (page - 1) * 50; i < min(page*50, 120); i++ {
			list = append(list, map[string]string{"name": fmt.Sprintf("org-%03d", i), "avatar_url": "https://example.test/org.png"})
		}
		w.Header().Set("X-Total-Count", "120")
		_ = json.NewEncoder(w).Encode(list)
	case "/api/v1/orgs/team/repos":
		_, _ = io.WriteString(w, `[{"name":"a","full_name":"team/a","default_branch":"main"},{"name":"b","full_name":"team/b","default_branch":"dev"}]`)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func newSCMWorld(t *testing.T, objects ...client.Object) (w *world, kube client.WithWatch) {
	t.Helper()
	build := fake.NewClientBuilder().WithScheme(scheme.New()).WithObjects(objects...)
	for field, value := range index.Pipelines {
		build = build.WithIndex(&devopsv1alpha3.Pipeline{}, field, value)
	}
	for field, value := range index.GitRepositories {
		build = build.WithIndex(&devopsv1alpha3.GitRepository{}, field, value)
	}
	kube = build.Build()
	return newWorld(t, func(c *Config) {
		c.Reader, c.Client, c.Clients, c.DisableTokenReview = kube, kube, ownSecrets{kube}, true
		c.AllowLocal, c.SCM = true, &SCM{WebhookSecret: []byte(scmSecret), Servers: []scm.Server{{Name: "ours", Provider: scm.GitLab, URL: "https://gitlab.example.test"}}}
	}), kube
}

func typedSecret(namespace, name string, kind corev1.SecretType, data map[string]string) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Type: kind, Data: map[string][]byte{}}
	for key, value := range data {
		s.Data[key] = []byte(value)
	}
	return s
}

func TestSCM(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(gitea))
	defer server.Close()
	log.SetOutput(io.Discard) // refused handshakes
	secure := httptest.NewTLSServer(http.HandlerFunc(gitea))
	defer secure.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}))
	w, _ := newSCMWorld(t,
		typedSecret("ann-x", "good", devopsv1alpha3.SecretTypeSecretText, map[string]string{"secret": scmToken}),
		typedSecret("ann-x", "wrong", devopsv1alpha3.SecretTypeSecretText, map[string]string{"secret": "wrong-token-0123456789"}),
		typedSecret("ann-x", "ssh", devopsv1alpha3.SecretTypeSSHAuth, map[string]string{"username": "x", "private_key": "y"}),
		typedSecret("ann-x", "empty", devopsv1alpha3.SecretTypeSecretText, nil),
		typedSecret("ann-x", "kubeconfig", devopsv1alpha3.SecretTypeKubeconfig, map[string]string{"content": "x"}),
		typedSecret("ann-x", "ca-secret", corev1.SecretTypeOpaque, map[string]string{"ca.crt": ca}),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ann-x", Name: "ca"}, Data: map[string]string{"ca.crt": ca}},
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ann-x", Name: "no-ca"}},
	)
	at := func(secret string) string { return "secret=" + secret + "&secretNamespace=ann-x&server=" + server.URL }
	tls := "secret=good&secretNamespace=ann-x&server=" + secure.URL
	tests := map[string]struct {
		call call
		code int
		want string
	}{
		"verify":              {call{method: "POST", path: scmV3 + "/gitea/verify?" + at("good"), user: "ann"}, 200, `{"message":"ok","code":0,"credentialId":"good"}`},
		"verify with a body":  {call{method: "POST", path: scmV3 + "/gitea/verify/?" + at("good"), user: "ann", body: `{"apiUrl":"x"}`}, 200, `"code":0`},
		"short path":          {call{method: "POST", path: "/v1alpha3/scms/gitea/verify?" + at("good"), user: "ann"}, 200, `"code":0`},
		"wrong":               {call{method: "POST", path: scmV3 + "/gitea/verify?" + at("wrong"), user: "ann"}, 200, `"code":101`},
		"wrong says":          {call{method: "POST", path: scmV3 + "/gitea/verify?" + at("wrong"), user: "ann"}, 200, `does not accept the credential`},
		"missing":             {call{method: "POST", path: scmV3 + "/gitea/verify?" + at("none"), user: "ann"}, 200, `"code":100`},
		"other's":             {call{method: "POST", path: scmV3 + "/gitea/verify?" + at("good"), user: "bob"}, 200, `is forbidden`},
		"SSH key":             {call{method: "POST", path: scmV3 + "/gitea/verify?" + at("ssh"), user: "ann"}, 200, `SSH key`},
		"empty":               {call{method: "POST", path: scmV3 + "/gitea/verify?" + at("empty"), user: "ann"}, 200, `is empty`},
		"kubeconfig":          {call{method: "POST", path: scmV3 + "/gitea/verify?" + at("kubeconfig"), user: "ann"}, 200, `"code":100`},
		"no credential":       {call{method: "POST", path: scmV3 + "/gitea/verify?server=" + server.URL, user: "ann"}, 200, `"code":101`},
		"no namespace":        {call{method: "POST", path: scmV3 + "/gitea/verify?secret=good", user: "ann"}, 200, `secretNamespace=`},
		"kind":                {call{method: "POST", path: scmV3 + "/cvs/verify", user: "ann"}, 200, `no kind of source code server`},
		"not logged in":       {call{method: "POST", path: scmV3 + "/gitea/verify?" + at("good")}, 401, ``},
		"organizations":       {call{path: scmV3 + "/gitea/organizations?includeUser=true&pageNumber=1&pageSize=2&" + at("good"), user: "ann"}, 200, `[{"name":"ann","avatar":"https://example.test/ann.png"},{"name":"org-000","avatar":"https://example.test/org.png"}]`},
		"last organizations":  {call{path: scmV3 + "/gitea/organizations?pageNumber=2&pageSize=119&" + at("good"), user: "ann"}, 200, `[{"name":"org-119",`},
		"beyond":              {call{path: scmV3 + "/gitea/organizations?pageNumber=7&" + at("good"), user: "ann"}, 200, `[]`},
		"bad page":            {call{path: scmV3 + "/gitea/organizations?pageNumber=-7&" + at("good"), user: "ann"}, 400, `pageNumber`},
		"huge page":           {call{path: scmV3 + "/gitea/organizations?pageNumber=99999999999999999999&" + at("good"), user: "ann"}, 400, `pageNumber`},
		"wrong organizations": {call{path: scmV3 + "/gitea/organizations?" + at("wrong"), user: "ann"}, 428, `does not accept`},
		"other's secret":      {call{path: scmV3 + "/gitea/organizations?" + at("good"), user: "bob"}, 403, ``},
		"missing secret":      {call{path: scmV3 + "/gitea/organizations?" + at("none"), user: "ann"}, 404, ``},
		"repositories":        {call{path: scmV3 + "/gitea/organizations/team/repositories?" + at("good"), user: "ann"}, 200, `{"repositories":{"items":[{"name":"a","defaultBranch":"main","fullName":"team/a"},{"name":"b","defaultBranch":"dev","fullName":"team/b"}]}}`},
		"no organization":     {call{path: scmV3 + "/gitea/organizations/none/repositories?" + at("good"), user: "ann"}, 404, ``},
		"group in group":      {call{path: scmV3 + "/gitea/organizations/a%2Fb/repositories?" + at("good"), user: "ann"}, 404, `has nothing there`},
		"git has none":        {call{path: scmV3 + "/git/organizations/a/repositories?" + at("good"), user: "ann"}, 400, `plain git server`},
		"unknown authority":   {call{path: scmV3 + "/gitea/organizations?" + tls, user: "ann"}, 502, `authority that is not known`},
		"authority":           {call{path: scmV3 + "/gitea/organizations?caName=ca&pageNumber=1&pageSize=1&" + tls, user: "ann"}, 200, `org-000`},
		"authority in Secret": {call{path: scmV3 + "/gitea/organizations?caName=ca-secret&caNamespace=ann-x&pageNumber=1&pageSize=1&" + tls, user: "ann"}, 200, `org-000`},
		"no authority":        {call{path: scmV3 + "/gitea/organizations?caName=no-ca&" + tls, user: "ann"}, 400, `ca.crt`},
		"insecure":            {call{path: scmV3 + "/gitea/organizations?insecureSkipTLS=true&pageNumber=1&pageSize=1&" + tls, user: "ann"}, 200, `org-000`},
		"insecure?":           {call{path: scmV3 + "/gitea/organizations?insecureSkipTLS=maybe&" + tls, user: "ann"}, 400, `true or false`},
		"user in address":     {call{path: scmV3 + "/gitea/organizations?server=https://a:hunter2@example.test", user: "ann"}, 400, `not usable`},

		"v2 servers":       {call{path: scmV2 + "/bitbucket_cloud/servers", user: "ann"}, 200, `[{"id":"bitbucket.org","name":"bitbucket.org","apiUrl":"https://bitbucket.org"}]`},
		"v2 none":          {call{path: scmV2 + "/bitbucket-server/servers/", user: "ann"}, 200, `[]`},
		"v2 organizations": {call{path: scmV2 + "/gitea/organizations/?credentialId=good&secretNamespace=ann-x&apiUrl=" + server.URL, user: "ann"}, 200, `[{"name":"ann","key":"ann",`},
		"v2 namespace":     {call{path: scmV2 + "/gitea/organizations?credentialId=good", user: "ann"}, 400, `secretNamespace=`},
		"v2 other's":       {call{path: scmV2 + "/gitea/organizations?credentialId=good&credentialNamespace=ann-x", user: "bob"}, 403, ``},
		"v2 repositories":  {call{path: scmV2 + "/gitea/organizations/team/repositories?credentialId=good&credentialNamespace=ann-x&pageSize=2&server=" + server.URL, user: "ann"}, 200, `"pageSize":2,"nextPage":2`},
		"v2 verify":        {call{method: "POST", path: scmV2 + "/gitea/verify/", user: "ann", body: `{"accessToken":"` + scmToken + `","apiUrl":"` + server.URL + `"}`}, 200, `{"credentialId":""}`},
		"v2 verify Secret": {call{method: "POST", path: scmV2 + "/gitea/verify?secretNamespace=ann-x", user: "ann", body: `{"credentialId":"good","apiUrl":"` + server.URL + `"}`}, 200, `{"credentialId":"good"}`},
		"v2 wrong":         {call{method: "POST", path: scmV2 + "/gitea/verify", user: "ann", body: `{"accessToken":"no-such-token","apiUrl":"` + server.URL + `"}`}, 428, `does not accept`},
		"v2 bad body":      {call{method: "POST", path: scmV2 + "/gitea/verify", user: "ann", body: `{"accesToken":"x"}`}, 400, `accesToken`},
		"v2 add":           {call{method: "POST", path: scmV2 + "/bitbucket-server/servers", user: "ann", body: `{"name":"bb","apiUrl":"https://bb.example.test"}`}, 403, ``},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			answer := w.do(tc.call)
			if answer.Code != tc.code || !strings.Contains(answer.Body.String(), tc.want) {
				t.Errorf("got %d %.600s, want %d with %s", answer.Code, answer.Body, tc.code, tc.want)
			}
			for _, secret := range []string{scmToken, "wrong-token", "no-such-token", "hunter2"} {
				if strings.Contains(answer.Body.String(), secret) {
					t.Errorf("the answer has a credential: %s", answer.Body)
				}
			}
		})
	}
}

func TestSCMServers(t *testing.T) {
	w, kube := newSCMWorld(t)
	add := func(name, address string) *httptest.ResponseRecorder {
		return w.do(call{method: "POST", path: scmV2 + "/bitbucket-server/servers", user: "root", body: fmt.Sprintf(`{"name":%q,"apiUrl":%q}`, name, address)})
	}
	for name, tc := range map[string]struct {
		name, address string
		code          int
		want          string
	}{
		"added":      {"bb", "https://bb.example.test/", 200, `{"id":"bb","name":"bb","apiUrl":"https://bb.example.test"}`},
		"replaced":   {"bb", "https://bb.example.test", 200, `"id":"bb"`},
		"no name":    {" ", "https://bb.example.test", 400, "needs a name"},
		"no address": {"x", "bb.example.test", 400, "must begin with https://"},
		"password":   {"x", "https://u:hunter2@bb.example.test", 400, "not usable"},
		"lines":      {"a\nb", "https://bb.example.test", 400, "one line"},
	} {
		t.Run(name, func(t *testing.T) {
			if answer := add(tc.name, tc.address); answer.Code != tc.code || !strings.Contains(answer.Body.String(), tc.want) {
				t.Errorf("got %d %s", answer.Code, answer.Body)
			}
		})
	}
	if answer := w.do(call{path: scmV2 + "/bitbucket_server/servers", user: "ann"}); !strings.Contains(answer.Body.String(), `[{"id":"bb","name":"bb","apiUrl":"https://bb.example.test"}]`) {
		t.Errorf("everybody sees it: %s", answer.Body)
	}
	cm := &corev1.ConfigMap{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: DefaultSystemNamespace, Name: scm.ServersConfigMap}, cm); err != nil || strings.Count(cm.Data[scm.ServersKey], "name:") != 1 {
		t.Errorf("%v: %s", err, cm.Data)
	}
	if answer := w.do(call{method: "POST", path: scmV2 + "/gitlab/servers", user: "root", body: `{"name":"ours","apiUrl":"https://other.example.test"}`}); answer.Code != 409 {
		t.Errorf("a name of the configuration: %d %s", answer.Code, answer.Body)
	}
	want := `{"status":"ok","data":[{"name":"ours","serverUrl":"https://gitlab.example.test"},{"name":"gitlab.com","serverUrl":"https://gitlab.com"}]}`
	for _, family := range []string{"namespaces", "devops"} {
		answer := w.do(call{method: "POST", path: "/kapis/devops.kubesphere.io/v1alpha2/" + family + "/ann-x/jenkins/gitlab/serverList", user: "ann"})
		if diff := cmp.Diff(want, strings.TrimSpace(answer.Body.String())); diff != "" {
			t.Errorf("%s: %d %s", family, answer.Code, diff)
		}
	}
	if answer := w.do(call{method: "POST", path: "/kapis/devops.kubesphere.io/v1alpha2/namespaces/ann-x/jenkins/gitlab/projectList?server=none&owner=x", user: "ann"}); answer.Code != 404 {
		t.Errorf("no such server: %d %s", answer.Code, answer.Body)
	}
}

func TestSCMWebhooks(t *testing.T) {
	pipeline := &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: "ann-x", Name: "app"}, Spec: devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.MultiBranchPipelineType,
		MultiBranchPipeline: &devopsv1alpha3.MultiBranchPipeline{SourceType: "git", GitSource: &devopsv1alpha3.GitSource{URL: "https://github.com/team/app.git"}}}}
	triggered := &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: "ann-x", Name: "generic"}, Spec: devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.NoScmPipelineType,
		Pipeline: &devopsv1alpha3.NoScmPipeline{GenericWebhook: &devopsv1alpha3.GenericWebhook{Enable: true, Token: "generic-token"}}}}
	w, kube := newSCMWorld(t, pipeline, triggered)
	body := func(repo string) string {
		return `{"ref":"refs/heads/main","before":"` + strings.Repeat("a", 40) + `","after":"` + strings.Repeat("b", 40) + `","repository":{"full_name":"` + repo + `","clone_url":"https://github.com/` + repo + `.git"}}`
	}
	header := func(text, secret string) map[string]string {
		h := map[string]string{"X-GitHub-Event": "push", "X-GitHub-Delivery": "1"}
		if secret != "" {
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write([]byte(text))
			h["X-Hub-Signature-256"] = "sha256=" + hex.EncodeToString(mac.Sum(nil))
		}
		return h
	}
	v2 := "/kapis/devops.kubesphere.io/v1alpha2/webhook"
	const done = `{"message":"success"}`
	known, unknown := body("team/app"), body("team/unknown")
	large := strings.TrimSuffix(unknown, "}") + `,"commits":["` + strings.Repeat("x", 24<<20) + `"]}`
	gomega.RegisterTestingT(t)
	scanned := func() string {
		p := &devopsv1alpha3.Pipeline{}
		_ = kube.Get(context.WithoutCancel(t.Context()), client.ObjectKeyFromObject(pipeline), p)
		return p.Annotations[devopsv1alpha3.PipelineRequestToScanAnnotation]
	}
	for i, path := range []string{devops + "/webhooks/scm", "/v1alpha3/webhooks/scm", v2 + "/github", v2 + "/github/"} {
		// The same text once more, as signed, is a delivery that is known.
		known, unknown := known+strings.Repeat(" ", i), unknown+strings.Repeat(" ", i)
		before := scanned()
		answer := w.do(call{method: "POST", path: path, body: known, header: header(known+path, "")})
		if answer.Code != 401 {
			t.Errorf("%s unsigned: %d %s", path, answer.Code, answer.Body)
		}
		if answer := w.do(call{method: "POST", path: path, body: known, header: header(known, "wrong-secret")}); answer.Code != 401 {
			t.Errorf("%s wrong: %d %s", path, answer.Code, answer.Body)
		}
		for _, text := range []string{known, unknown} {
			h := header(text, scmSecret)
			h["X-GitHub-Delivery"] = path
			if answer := w.do(call{method: "POST", path: path, body: text, header: h}); answer.Code != 202 || strings.TrimSpace(answer.Body.String()) != done {
				t.Errorf("%s: %d %s", path, answer.Code, answer.Body)
			}
		}
		gomega.Eventually(scanned, "1m").ShouldNot(gomega.Equal(before), path)
	}
	for name, tc := range map[string]struct {
		call call
		code int
	}{
		"no event":          {call{method: "POST", path: v2 + "/github", body: `{}`}, 400},
		"large":             {call{method: "POST", path: v2 + "/github", body: large, header: header(large, scmSecret)}, 202},
		"too large":         {call{method: "POST", path: v2 + "/github", body: strings.Repeat(" ", 25<<20+1), header: header("", scmSecret)}, 413},
		"too large for git": {call{method: "POST", path: v2 + "/git?url=x", body: strings.Repeat(" ", 2<<20)}, 413},
		"large generic":     {call{method: "POST", path: v2 + "/generic-trigger?token=unknown", body: strings.Repeat(" ", 2<<20)}, 202},
		"method":            {call{path: v2 + "/github"}, 405},
		"git":               {call{path: v2 + "/git?url=https://github.com/team/app&token=" + scmSecret}, 202},
		"git by POST":       {call{method: "POST", path: v2 + "/git/?url=https://github.com/team/unknown&token=" + scmSecret}, 202},
		"git without token": {call{path: v2 + "/git?url=https://github.com/team/app"}, 401},
		"git without URL":   {call{path: v2 + "/git?token=" + scmSecret}, 400},
		"generic unknown":   {call{method: "POST", path: v2 + "/generic-trigger?token=unknown", body: `{}`}, 202},
		"generic":           {call{method: "POST", path: v2 + "/generic-trigger?token=generic-token", body: `not JSON`, contentType: "text/plain"}, 202},
		"generic none":      {call{method: "POST", path: v2 + "/generic-trigger"}, 401},
		"generic bearer":    {call{method: "POST", path: "/v1alpha2/webhook/generic-trigger", credential: "Bearer generic-token"}, 202},
	} {
		t.Run(name, func(t *testing.T) {
			if answer := w.do(tc.call); answer.Code != tc.code {
				t.Errorf("got %d %s, want %d", answer.Code, answer.Body, tc.code)
			}
		})
	}
	gomega.Eventually(func() int {
		runs := &devopsv1alpha3.PipelineRunList{}
		_ = kube.List(context.WithoutCancel(t.Context()), runs)
		return len(runs.Items)
	}, "1m").Should(gomega.Equal(2))
}
