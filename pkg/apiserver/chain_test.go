// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	gojwt "github.com/golang-jwt/jwt/v5"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/authn/password"
	"github.com/slipway-dev/slipway/pkg/kapis/oauth"
)

// signed gives a token with any claims.
func signed(t *testing.T, method gojwt.SigningMethod, key any, change func(gojwt.MapClaims)) string {
	t.Helper()
	claims := gojwt.MapClaims{"iss": "slipway", "sub": "ann", "exp": time.Now().Add(time.Hour).Unix()}
	if change != nil {
		change(claims)
	}
	text, err := gojwt.NewWithClaims(method, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + text
}

func samplePipeline(namespace, name string, spec devopsv1alpha3.PipelineSpec) *devopsv1alpha3.Pipeline {
	return &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: "uid-1"}, Spec: spec}
}

const declarative = "pipeline {\n  agent any\n  parameters {\n    string(name: 'TARGET', defaultValue: 'test')\n    choice(name: 'MODE', choices: ['fast', 'slow'])\n    booleanParam(name: 'DRY', defaultValue: true)\n  }\n  stages {\n    stage('a') {\n      steps {\n        echo 'x'\n      }\n    }\n  }\n}\n"

// TestBadInput sends what is wrong through the whole chain and looks at status and message.
func TestBadInput(t *testing.T) {
	withClaim := func(key string, value any) string {
		return signed(t, gojwt.SigningMethodHS256, testSecret, func(c gojwt.MapClaims) { c[key] = value })
	}
	pipelines, runs := devops+"/namespaces/ann-demo/pipelines", devops+"/namespaces/ann-demo/pipelines/build/pipelineruns"
	long := strings.Repeat("a", 300)
	cases := map[string]struct {
		reason      string
		call        call
		wantCode    int
		wantMessage string
		change      func(*Config)
	}{
		"no token":          {reason: "the answer says where to get one", call: call{path: pipelines}, wantCode: 401, wantMessage: "no token: send Authorization: Bearer <token>; get one by POST /oauth/token"},
		"expired":           {reason: "the time is told", call: call{path: pipelines, credential: withClaim("exp", 1700000000)}, wantCode: 401, wantMessage: "token has expired at 2023-11-14T22:13:20Z"},
		"none":              {reason: "unsigned tokens are refused", call: call{path: pipelines, credential: signed(t, gojwt.SigningMethodNone, gojwt.UnsafeAllowNoneSignatureType, nil)}, wantCode: 401, wantMessage: "algorithm none is not accepted"},
		"wrong signature":   {reason: "the signature counts", call: call{path: pipelines, credential: signed(t, gojwt.SigningMethodHS256, []byte(strings.Repeat("x", 32)), nil)}, wantCode: 401, wantMessage: "signature does not match"},
		"wrong issuer":      {reason: "issuers are listed", call: call{path: pipelines, credential: withClaim("iss", "evil")}, wantCode: 401, wantMessage: `issuer "evil" is not accepted`},
		"masters":           {reason: "nobody makes himself administrator", call: call{path: pipelines, credential: withClaim("groups", []string{"system:masters"})}, wantCode: 401, wantMessage: "only Kubernetes may give"},
		"system user":       {reason: "nobody makes himself the system", call: call{path: pipelines, credential: withClaim("username", "system:admin")}, wantCode: 401, wantMessage: "only Kubernetes may give"},
		"garbage":           {reason: "Kubernetes does not know it either", call: call{path: pipelines, credential: "Bearer abc"}, wantCode: 401, wantMessage: "not known to this server or to Kubernetes"},
		"basic":             {reason: "another scheme is not taken for no credential", call: call{path: pipelines, credential: "Basic YTpi"}, wantCode: 401, wantMessage: "scheme is not known"},
		"token review down": {reason: "what cannot be checked is not the user's fault", call: call{path: pipelines, credential: "Bearer abc"}, wantCode: 503, wantMessage: "credential cannot be checked", change: func(c *Config) { c.Client = failing(c.Client.(client.WithWatch), errors.New("connection refused")) }},
		"other tenant":      {reason: "the answer does not tell whether it exists", call: call{user: "ann", path: devops + "/namespaces/bob-demo/pipelines/there"}, wantCode: 403, wantMessage: `user "ann" may not get pipelines.devops.kubesphere.io in namespace "bob-demo"`},
		"other tenant, no such object": {
			reason: "the same answer", call: call{user: "ann", path: devops + "/namespaces/bob-demo/pipelines/not-there"},
			wantCode: 403, wantMessage: `user "ann" may not get pipelines.devops.kubesphere.io in namespace "bob-demo"`,
		},
		"other tenant by the old path":  {reason: "both families are guarded", call: call{user: "ann", path: devops + "/devops/bob-demo/pipelines"}, wantCode: 403, wantMessage: "may not list"},
		"other tenant by the alias":     {reason: "so is the alias", call: call{user: "ann", path: "/v1alpha3/namespaces/bob-demo/pipelines"}, wantCode: 403, wantMessage: "may not list"},
		"other tenant by encoded slash": {reason: "there is one reading of a path", call: call{user: "ann", path: devops + "/namespaces/ann-demo%2f..%2fbob-demo/pipelines"}, wantCode: 400, wantMessage: "encoded slash"},
		"other tenant by dots":          {reason: "there is one reading of a path", call: call{user: "ann", path: devops + "/namespaces/ann-demo/../bob-demo/pipelines"}, wantCode: 400, wantMessage: `segment ".."`},
		"other tenant in the body":      {reason: "the address decides", call: call{method: "POST", user: "ann", path: pipelines, body: `{"metadata":{"name":"x","namespace":"bob-demo"}}`}, wantCode: 400, wantMessage: `metadata.namespace is "bob-demo" but the address says "ann-demo"`},
		"authorization down": {
			reason: "what cannot be checked is not allowed", call: call{user: "ann", path: pipelines}, wantCode: 503, wantMessage: "permission cannot be checked",
			change: func(c *Config) {
				c.Authorizer = authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
					return authorizer.DecisionAllow, "", errors.New("down")
				})
			},
		},
		"metrics without the right": {reason: "RBAC grants the path", call: call{user: "ann", path: "/metrics"}, wantCode: 403, wantMessage: `may not get the path "/metrics"`},
		"metrics without a user":    {reason: "metrics are not for anybody", call: call{path: "/metrics"}, wantCode: 401, wantMessage: "no token"},
		"unknown path":              {reason: "with help", call: call{user: "root", path: "/nope"}, wantCode: 404, wantMessage: "/openapi.json"},
		"unknown path, no user":     {reason: "without telling what is there", call: call{path: "/nope"}, wantCode: 401, wantMessage: "no token"},
		"unknown resource":          {reason: "with help", call: call{user: "root", path: devops + "/namespaces/ann-demo/things"}, wantCode: 404, wantMessage: "/openapi.json"},
		"wrong method":              {reason: "what is served is told", call: call{method: "PATCH", user: "root", path: pipelines}, wantCode: 405, wantMessage: "it serves"},
		"wrong method of health":    {reason: "in the same form", call: call{method: "POST", user: "root", path: "/healthz"}, wantCode: 405, wantMessage: "GET, HEAD"},
		"not acceptable":            {reason: "answers are JSON", call: call{user: "root", path: pipelines, header: map[string]string{"Accept": "text/html"}}, wantCode: 406, wantMessage: "application/json"},

		"20 MB":           {reason: "the limit is named", call: call{method: "POST", user: "ann", path: pipelines, body: `{"spec":{"pipeline":{"jenkinsfile":"` + strings.Repeat("x", 20<<20) + `"}}}`}, wantCode: 413, wantMessage: "larger than 1048576 bytes (1 MiB)"},
		"unknown field":   {reason: "its path is told", call: call{method: "POST", user: "ann", path: pipelines + "?fieldValidation=Strict", body: `{"metadata":{"name":"x"},"spec":{"pipeline":{"jenkinsFile":"x"}}}`}, wantCode: 400, wantMessage: "spec.pipeline.jenkinsFile: unknown field"},
		"wrong type":      {reason: "field and types are told", call: call{method: "POST", user: "ann", path: pipelines, body: `{"metadata":{"name":"x"},"spec":{"pipeline":{"disable_concurrent":"yes"}}}`}, wantCode: 400, wantMessage: "spec.pipeline.disable_concurrent: want true or false, got string"},
		"form":            {reason: "what curl -d sends", call: call{method: "POST", user: "ann", path: pipelines, body: `{}`, contentType: "application/x-www-form-urlencoded"}, wantCode: 415, wantMessage: "Content-Type: application/json"},
		"no body":         {reason: "a body is needed", call: call{method: "POST", user: "ann", path: pipelines, contentType: "application/json"}, wantCode: 400, wantMessage: "the body is empty"},
		"not JSON":        {reason: "the place is told", call: call{method: "POST", user: "ann", path: pipelines, body: "kind: Pipeline"}, wantCode: 400, wantMessage: "must be a JSON object"},
		"deep":            {reason: "nesting is bounded", call: call{method: "POST", user: "ann", path: pipelines, body: strings.Repeat(`{"a":`, 101) + "1" + strings.Repeat("}", 101)}, wantCode: 400, wantMessage: "nested deeper than 100 levels"},
		"wrong kind":      {reason: "what is wanted is told", call: call{method: "POST", user: "ann", path: pipelines, body: `{"kind":"Pod","apiVersion":"v1"}`}, wantCode: 400, wantMessage: `this address takes Pipeline, got "Pod"`},
		"wrong version":   {reason: "what is wanted is told", call: call{method: "POST", user: "ann", path: pipelines, body: `{"kind":"Pipeline","apiVersion":"devops.kubesphere.io/v1"}`}, wantCode: 400, wantMessage: "this address takes devops.kubesphere.io/v1alpha3"},
		"long name":       {reason: "the limit is told", call: call{method: "POST", user: "ann", path: pipelines, body: `{"metadata":{"name":"` + long + `"}}`}, wantCode: 422, wantMessage: "no more than 253"},
		"bad name":        {reason: "the rule is told", call: call{method: "POST", user: "ann", path: pipelines, body: `{"metadata":{"name":"Schöner Name"}}`}, wantCode: 422, wantMessage: "lowercase RFC 1123 subdomain"},
		"no name":         {reason: "a name is needed", call: call{method: "POST", user: "ann", path: pipelines, body: `{"metadata":{}}`}, wantCode: 422, wantMessage: "metadata.name: Required value"},
		"long path":       {reason: "the limit is told", call: call{user: "ann", path: pipelines + "/" + long}, wantCode: 400, wantMessage: "300 characters long; the limit is 253"},
		"project name":    {reason: "it becomes a namespace", call: call{method: "POST", user: "ann", path: devops + "/workspaces/ws/namespaces", body: `{"metadata":{"name":"a.b"}}`}, wantCode: 422, wantMessage: "must not contain dots"},
		"project no name": {reason: "one is needed", call: call{method: "POST", user: "ann", path: devops + "/workspaces/ws/namespaces", body: `{}`}, wantCode: 422, wantMessage: "Required value"},
		"workspace":       {reason: "it becomes a label", call: call{method: "POST", user: "ann", path: devops + "/workspaces/w%20s/namespaces", body: `{"metadata":{"name":"a"}}`}, wantCode: 400, wantMessage: `workspace "w s"`},
		"page":            {reason: "pages count from 1", call: call{user: "ann", path: pipelines + "?page=0"}, wantCode: 400, wantMessage: "page must be a whole number from 1"},
		"limit":           {reason: "a limit is a number", call: call{user: "ann", path: pipelines + "?limit=ten"}, wantCode: 400, wantMessage: `got "ten"`},
		"ascending":       {reason: "a switch is true or false", call: call{user: "ann", path: pipelines + "?ascending=up"}, wantCode: 400, wantMessage: "ascending must be true or false"},
		"duplicate field": {reason: "two readers would take different values", call: call{method: "POST", user: "ann", path: pipelines, body: `{"metadata":{"name":"x"},"spec":{},"spec":{}}`}, wantCode: 400, wantMessage: "spec: duplicate field"},
		"selector":        {reason: "it is kubectl's", call: call{user: "ann", path: pipelines + "?labelSelector=a%20b"}, wantCode: 400, wantMessage: "labelSelector is not valid"},
		"watch timeout":   {reason: "a watch has a bound", call: call{user: "ann", path: pipelines + "?watch=true&timeoutSeconds=-1"}, wantCode: 400, wantMessage: "timeoutSeconds must be"},
		"watch version":   {reason: "it is a number", call: call{user: "ann", path: pipelines + "?watch=true&resourceVersion=x"}, wantCode: 400, wantMessage: "resourceVersion must be"},
		"not there":       {reason: "in one's own namespace the answer is plain", call: call{user: "ann", path: pipelines + "/nope"}, wantCode: 404, wantMessage: `"nope" not found`},
		"PUT without version": {
			reason: "a change must not undo others", call: call{method: "PUT", user: "ann", path: pipelines + "/build", body: `{"metadata":{"name":"build"}}`},
			wantCode: 422, wantMessage: "metadata.resourceVersion: Required value",
		},
		"PUT of an old version": {
			reason: "what to do is told", call: call{method: "PUT", user: "ann", path: pipelines + "/build", body: `{"metadata":{"name":"build","resourceVersion":"1"}}`},
			wantCode: 409, wantMessage: "was changed since you read it (you sent resourceVersion 1): GET it again",
		},
		"PUT of another": {reason: "objects are not renamed", call: call{method: "PUT", user: "ann", path: pipelines + "/build", body: `{"metadata":{"name":"other"}}`}, wantCode: 400, wantMessage: "cannot be renamed"},
		"jenkinsfile": {
			reason: "line and column are told", call: call{method: "POST", user: "ann", path: pipelines, body: `{"metadata":{"name":"x"},"spec":{"pipeline":{"jenkinsfile":"pipeline {\n  agent any\n  stages {\n    stage('a' {\n"}}}`},
			wantCode: 400, wantMessage: "the Jenkinsfile is not valid: line 4, column",
		},
		"ssh key": {
			reason: "which key is told, not the key", call: call{method: "POST", user: "ann", path: "/kapis/devcontainer.devstar.cn/v1/namespaces/ann-demo/devcontainerapps", body: `{"metadata":{"name":"x"},"spec":{"statefulset":{"image":"a","sshPublicKeyList":["hunter2"]}}}`},
			wantCode: 422, wantMessage: "spec.statefulset.sshPublicKeyList[0]: Invalid value",
		},
		"password in a URL": {
			reason: "it belongs into a Secret", call: call{method: "POST", user: "ann", path: devops + "/namespaces/ann-demo/gitrepositories", body: `{"metadata":{"name":"x"},"spec":{"url":"https://u:hunter2@git/r"}}`},
			wantCode: 422, wantMessage: "put it into a Secret",
		},

		"parameter":       {reason: "the defined ones are told", call: call{method: "POST", user: "ann", path: runs, body: `{"parameters":[{"name":"TARGETS","value":"x"}]}`}, wantCode: 400, wantMessage: `pipeline "build" does not define "TARGETS"; it defines "DRY", "MODE", "TARGET"`},
		"choice":          {reason: "the choices are told", call: call{method: "POST", user: "ann", path: runs, body: `{"parameters":[{"name":"MODE","value":"warp"}]}`}, wantCode: 400, wantMessage: `parameter "MODE" must be one of "fast", "slow"`},
		"boolean":         {reason: "it is true or false", call: call{method: "POST", user: "ann", path: runs, body: `{"parameters":[{"name":"DRY","value":"yes"}]}`}, wantCode: 400, wantMessage: "must be true or false"},
		"parameter twice": {reason: "which one counts", call: call{method: "POST", user: "ann", path: runs, body: `{"parameters":[{"name":"TARGET","value":"a"},{"name":"TARGET","value":"b"}]}`}, wantCode: 400, wantMessage: "given twice"},
		"run of nothing":  {reason: "the pipeline is not there", call: call{method: "POST", user: "ann", path: devops + "/namespaces/ann-demo/pipelines/nope/pipelineruns"}, wantCode: 404, wantMessage: `"nope" not found`},
		"run of a branch": {reason: "it has none", call: call{method: "POST", user: "ann", path: runs + "?branch=main"}, wantCode: 400, wantMessage: "has no branches"},
		"log offset":      {reason: "it is a number", call: call{user: "ann", path: devops + "/namespaces/ann-demo/pipelineruns/given/log?start=-1"}, wantCode: 400, wantMessage: "start must be an offset"},
		"artifact path":   {reason: "no way out", call: call{user: "ann", path: devops + "/namespaces/ann-demo/pipelineruns/r/artifacts/download?filename=..%2f..%2fother"}, wantCode: 400, wantMessage: "relative, without .."},
		"artifact none":   {reason: "one is named", call: call{user: "ann", path: devops + "/namespaces/ann-demo/pipelineruns/r/artifacts/download"}, wantCode: 400, wantMessage: "?filename="},

		"write, kube down": {
			reason: "it may come back", call: call{method: "POST", user: "ann", path: pipelines, body: `{"metadata":{"name":"x"}}`}, wantCode: 503, wantMessage: "the Kubernetes API cannot be reached",
			change: func(c *Config) {
				kube := failing(c.Client.(client.WithWatch), &url.Error{Op: "Post", URL: "https://10.0.0.1", Err: errors.New("connection refused")})
				c.Clients = actAs{kube, new(string)}
			},
		},
		"bug": {
			reason: "internals are not told", call: call{user: "ann", path: pipelines}, wantCode: 500, wantMessage: "internal error",
			change: func(c *Config) { c.Reader = failing(c.Client.(client.WithWatch), errors.New("hunter2")) },
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tc.change,
				samplePipeline("ann-demo", "build", devopsv1alpha3.PipelineSpec{Type: "pipeline", Pipeline: &devopsv1alpha3.NoScmPipeline{Jenkinsfile: declarative}}),
				samplePipeline("bob-demo", "there", devopsv1alpha3.PipelineSpec{Type: "pipeline"}), sampleRun("given", nil))
			answer := w.do(tc.call)
			if answer.Code != tc.wantCode {
				t.Fatalf("%s: %d, want %d: %.400s", tc.reason, answer.Code, tc.wantCode, answer.Body)
			}
			status := decode[metav1.Status](t, answer)
			if status.Kind != "Status" || status.Status != "Failure" || int(status.Code) != tc.wantCode || status.Reason == "" {
				t.Errorf("%s: %+v is not a complete Status", tc.reason, status)
			}
			if !strings.Contains(status.Message, tc.wantMessage) {
				t.Errorf("%s: message %q, want %q", tc.reason, status.Message, tc.wantMessage)
			}
			if strings.Contains(answer.Body.String(), "hunter2") || strings.Contains(answer.Body.String(), "10.0.0.1") {
				t.Errorf("%s: %s tells a secret or an internal", tc.reason, answer.Body)
			}
			if answer.Header().Get("X-Request-Id") == "" {
				t.Errorf("%s: the answer has no id", tc.reason)
			}
		})
	}
}

func TestOpenPaths(t *testing.T) {
	w := newWorld(t, nil)
	cases := map[string]struct {
		code int
		body string
	}{
		"/healthz":                         {200, "ok"},
		"/livez":                           {200, "ok"},
		"/readyz":                          {200, "ok"},
		"/readyz?verbose":                  {200, "[+]shutdown ok"},
		"/version":                         {200, "goVersion"},
		"/openapi.json":                    {200, `"swagger":"2.0"`},
		"/":                                {302, ""},
		"/swagger-ui":                      {301, ""},
		"/swagger-ui/":                     {200, "slipway.js"},
		"/apidocs/":                        {200, "slipway.js"},
		"/swagger-ui/slipway.js":           {200, "openapi.json"},
		"/swagger-ui/swagger-ui-bundle.js": {200, "SwaggerUIBundle"},
		"/swagger-ui/../../etc/passwd":     {404, ""},
		"/swagger-ui/%2e%2e/%2e%2e/go.mod": {404, ""},
	}
	for path, want := range cases {
		answer := w.do(call{path: path})
		if answer.Code != want.code || !strings.Contains(answer.Body.String(), want.body) {
			t.Errorf("%s: %d %.200s, want %d with %q", path, answer.Code, answer.Body, want.code, want.body)
		}
	}
	page := w.do(call{path: "/swagger-ui/"})
	if policy := page.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'self';") {
		t.Errorf("policy of the page: %q", policy)
	}
	if strings.Contains(page.Body.String(), "<script>") || strings.Contains(page.Body.String(), "http://") {
		t.Errorf("the page has a script of its own, or loads from elsewhere: %s", page.Body)
	}
}

func TestReadiness(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Checks = map[string]func(context.Context) error{"cache": func(context.Context) error { return errors.New("not synced") }}
	})
	answer := w.do(call{path: "/readyz?verbose"})
	if want := "[+]shutdown ok\n[-]cache failed: not synced\ncheck failed\n"; answer.Code != 500 || answer.Body.String() != want {
		t.Errorf("%d %s, want what fails and why", answer.Code, answer.Body)
	}
	if answer := w.do(call{path: "/readyz?exclude=cache"}); answer.Code != 200 || answer.Body.String() != "ok" {
		t.Errorf("without the check that fails: %d %s", answer.Code, answer.Body)
	}
	if got := w.do(call{path: "/livez"}).Code; got != 200 {
		t.Errorf("/livez: %d, want 200: a server that waits is alive", got)
	}
}

func TestFace(t *testing.T) {
	w := newWorld(t, nil)
	cases := map[string]struct {
		call call
		want string
	}{
		"user":    {call{path: "/api/devcontainer", credential: "token " + token(t, "ann")}, `"user":"ann"`},
		"no user": {call{path: "/api/devcontainer"}, `"code":1,"msg":"no token`},
		"below":   {call{path: "/api/devcontainer/nope", user: "ann"}, `"code":1,"msg":"the server has nothing at`},
		"panic":   {call{path: "/api/devcontainer/panic", user: "ann"}, `"internal error`},
	}
	for name, tc := range cases {
		if answer := w.do(tc.call); !strings.Contains(answer.Body.String(), tc.want) {
			t.Errorf("%s: %s, want %s", name, answer.Body, tc.want)
		}
	}
	if answer := w.do(call{path: "/api/devcontainers", user: "ann"}); answer.Code != 404 {
		t.Errorf("beside the face: %d, want 404", answer.Code)
	}
}

func TestMetrics(t *testing.T) {
	w := newWorld(t, nil)
	w.do(call{path: devops + "/namespaces/ann-demo/pipelines", user: "ann"})
	w.do(call{path: "/kapis/evil/v1/namespaces/ann-demo/made-up-" + strings.Repeat("x", 50), user: "ann"})
	answer := w.do(call{path: "/metrics", user: "root"})
	text := answer.Body.String()
	for _, want := range []string{
		`slipway_apiserver_request_total{code="200",resource="pipelines",subresource="",verb="list"} 1`,
		`slipway_apiserver_request_total{code="404",resource="other",subresource="",verb="list"} 1`,
		`slipway_apiserver_authentication_total{result="success"} 3`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("/metrics: %d without %s", answer.Code, want)
		}
	}
	if strings.Contains(text, "made-up") {
		t.Error("a client's text is a label")
	}
}

func TestLogin(t *testing.T) {
	secret, err := password.NewSecret(DefaultSystemNamespace, "ann", "secret", []string{"dev"})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, nil, secret)
	form := url.Values{"grant_type": {"password"}, "username": {"ann"}, "password": {"secret"}}.Encode()
	// Swagger UI sends a header of its own with the form.
	answer := w.do(call{method: http.MethodPost, path: "/oauth/token", body: form, contentType: "application/x-www-form-urlencoded", credential: "Basic Og=="})
	if answer.Code != 200 {
		t.Fatalf("login: %d %s", answer.Code, answer.Body)
	}
	got := decode[oauth.Token](t, answer)
	list := w.do(call{path: devops + "/namespaces/ann-demo/pipelines", credential: "Bearer " + got.AccessToken})
	if list.Code != 200 || strings.TrimSpace(list.Body.String()) != `{"items":[],"totalItems":0}` {
		t.Errorf("with the token: %d %s", list.Code, list.Body)
	}
}

func TestServiceAccountToken(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Client = interceptor.NewClient(c.Client.(client.WithWatch), interceptor.Funcs{
			Create: func(ctx context.Context, kube client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
				if review, ok := obj.(*authenticationv1.TokenReview); ok {
					review.Status.Authenticated = review.Spec.Token == "of-a-pod"
					review.Status.User.Username = "ann"
					return nil
				}
				return kube.Create(ctx, obj, opts...)
			},
		})
	})
	if got := w.do(call{path: devops + "/namespaces/ann-demo/pipelines", credential: "Bearer of-a-pod"}).Code; got != 200 {
		t.Errorf("a token that Kubernetes knows: %d, want 200", got)
	}
	if got := w.do(call{path: devops + "/namespaces/ann-demo/pipelines", credential: "Bearer other"}).Code; got != 401 {
		t.Errorf("a token that it does not know: %d, want 401", got)
	}
}

func TestConfigIsChecked(t *testing.T) {
	kube := newWorld(t, nil).kube
	cases := map[string]struct {
		config Config
		want   string
	}{
		"reader": {Config{JWTSecret: testSecret}, "Reader is required"},
		"rest":   {Config{Reader: kube, JWTSecret: testSecret}, "RestConfig is required"},
		"secret": {Config{Reader: kube, Client: kube, Clients: actAs{}, JWTSecret: []byte("short")}, "shorter than 32 bytes"},
	}
	for name, tc := range cases {
		if _, err := tc.config.Complete(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: Complete: %v, want %q", name, err, tc.want)
		}
	}
}

func TestUserSecretIsNotServed(t *testing.T) {
	// A Secret is no resource of this API, even for who may do everything.
	w := newWorld(t, nil, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ann-demo", Name: "s"}})
	for _, path := range []string{"/api/v1/namespaces/ann-demo/secrets/s", devops + "/namespaces/ann-demo/secrets/s"} {
		if got := w.do(call{path: path, user: "root"}).Code; got != 404 {
			t.Errorf("%s: %d, want 404", path, got)
		}
	}
}
