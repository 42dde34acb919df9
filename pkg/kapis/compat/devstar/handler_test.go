// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devstar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/emicklei/go-restful/v3"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/sshkeys"
)

// face is a served Handler over a client in memory.
type face struct {
	t      *testing.T
	client client.WithWatch
	server *httptest.Server
	// denied are the namespaces that nobody may read.
	denied map[string]bool
	key    string
}

func newFace(t *testing.T, objects ...client.Object) *face {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(devcontainerv1.AddToScheme(scheme), devopsv1alpha3.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&devcontainerv1.DevcontainerApp{}).
		WithIndex(&devcontainerv1.DevcontainerApp{}, "metadata.name", func(o client.Object) []string { return []string{o.GetName()} }).Build()
	f := &face{t: t, client: c, denied: map[string]bool{}}
	handler, err := New(Config{
		Reader: c, DefaultImage: "example.com/dev:1", WaitTimeout: 2 * time.Second, PageSize: 3,
		ClientFor: func(context.Context) (client.WithWatch, error) { return c, nil },
		UserFrom: func(ctx context.Context) (string, bool) {
			name, _ := ctx.Value(userKey{}).(string)
			return name, name != ""
		},
		Allowed: func(_ context.Context, a Access) (bool, error) { return !f.denied[a.Namespace], nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	container := restful.NewContainer()
	for _, ws := range handler.WebServices() {
		container.Add(ws)
	}
	f.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		container.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, r.Header.Get("X-User"))))
	}))
	t.Cleanup(f.server.Close)
	pair, err := sshkeys.GenerateUserKeyPair(2048)
	if err != nil {
		t.Fatal(err)
	}
	f.key = strings.TrimSpace(pair.AuthorizedKey)
	return f
}

type userKey struct{}

// call sends a request as a user and gives the envelope, with its data undecoded.
func (f *face) call(user, method, path, body string) (code int, msg string, data json.RawMessage) {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.t.Context(), method, f.server.URL+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-User", user)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		f.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		f.t.Fatalf("%s %s: HTTP %d, want 200: the code is in the envelope", method, path, response.StatusCode)
	}
	var envelope struct {
		Code int
		Msg  string
		Data json.RawMessage
	}
	if err := json.NewDecoder(response.Body).Decode(&envelope); err != nil {
		f.t.Fatal(err)
	}
	return envelope.Code, envelope.Msg, envelope.Data
}

func (f *face) create(user, repoID string, keys ...string) (int, json.RawMessage) {
	f.t.Helper()
	body, err := json.Marshal(CreateRequest{RepoID: repoID, SSHPublicKeyList: keys})
	if err != nil {
		f.t.Fatal(err)
	}
	code, _, data := f.call(user, http.MethodPost, "/api/devcontainer", string(body))
	return code, data
}

func (f *face) apps() []devcontainerv1.DevcontainerApp {
	f.t.Helper()
	var list devcontainerv1.DevcontainerAppList
	if err := f.client.List(f.t.Context(), &list); err != nil {
		f.t.Fatal(err)
	}
	return list.Items
}

func repository(namespace, name, id string) *devopsv1alpha3.GitRepository {
	return &devopsv1alpha3.GitRepository{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{devcontainerv1.RepoIDLabel: id}},
		Spec:       devopsv1alpha3.GitRepositorySpec{URL: "https://git.example.com/acme/hello.git", Owner: "acme", Repo: "hello"},
	}
}

func TestInvalidRequests(t *testing.T) {
	f := newFace(t, repository("team", "hello", "3"), repository("a", "x", "9"), repository("b", "y", "9"), repository("secret", "z", "7"))
	f.denied["secret"] = true
	body := func(repoID string) string { return fmt.Sprintf(`{"repoId":%q,"sshPublicKeyList":[%q]}`, repoID, f.key) }
	cases := map[string]struct {
		reason, user, method, path, body string
		code                             int
		text                             string
	}{
		"Anonymous":      {reason: "no user, no answer", method: "POST", path: "/api/devcontainer", body: body("3"), code: CodeNotLoggedIn},
		"AnonymousKeys":  {reason: "not even a key pair", method: "GET", path: "/api/devstar_ssh/key_pair/new_temp", code: CodeNotLoggedIn},
		"NoRepo":         {reason: "repoId is required", user: "u", method: "POST", path: "/api/devcontainer", body: `{}`, code: CodeInvalidParameters, text: "repoId is missing"},
		"NotANumber":     {reason: "letters", user: "u", method: "POST", path: "/api/devcontainer", body: body("abc"), code: CodeInvalidParameters, text: "not a number"},
		"Negative":       {reason: "a sign is no digit", user: "u", method: "POST", path: "/api/devcontainer", body: body("-3"), code: CodeInvalidParameters, text: "not a number"},
		"OtherDigits":    {reason: "only ASCII digits", user: "u", method: "POST", path: "/api/devcontainer", body: body("٣"), code: CodeInvalidParameters, text: "not a number"},
		"Long":           {reason: "300 digits", user: "u", method: "POST", path: "/api/devcontainer", body: body(strings.Repeat("1", 300)), code: CodeInvalidParameters, text: "300 characters"},
		"Zero":           {reason: "numbers begin at 1", user: "u", method: "POST", path: "/api/devcontainer", body: body("0"), code: CodeInvalidParameters, text: "count from 1"},
		"UnknownField":   {reason: "a slip of the pen is told", user: "u", method: "POST", path: "/api/devcontainer", body: `{"repoId":"3","image":"x"}`, code: CodeInvalidParameters, text: "image"},
		"WrongType":      {reason: "keys are a list", user: "u", method: "POST", path: "/api/devcontainer", body: `{"repoId":"3","sshPublicKeyList":"x"}`, code: CodeInvalidParameters, text: "sshPublicKeyList"},
		"TwoObjects":     {reason: "one object only", user: "u", method: "POST", path: "/api/devcontainer", body: `{"repoId":"3"}{}`, code: CodeInvalidParameters, text: "goes on"},
		"NoJSON":         {reason: "not JSON", user: "u", method: "POST", path: "/api/devcontainer", body: `repoId=3`, code: CodeInvalidParameters, text: "JSON"},
		"BadKey":         {reason: "which key is named", user: "u", method: "POST", path: "/api/devcontainer", body: fmt.Sprintf(`{"repoId":"3","sshPublicKeyList":[%q,"ssh-rsa AAAA"]}`, f.key), code: CodeInvalidParameters, text: "sshPublicKeyList[1]"},
		"KeyWithCommand": {reason: "options could run commands", user: "u", method: "POST", path: "/api/devcontainer", body: fmt.Sprintf(`{"repoId":"3","sshPublicKeyList":[%q]}`, `command="id" `+f.key), code: CodeInvalidParameters, text: "sshPublicKeyList[0]"},
		"UnknownRepo":    {reason: "a number that nothing has", user: "u", method: "POST", path: "/api/devcontainer", body: body("4"), code: CodeCreateFailed, text: "no repository with repoId 4"},
		"OthersRepo":     {reason: "another tenant's repository looks like none", user: "u", method: "POST", path: "/api/devcontainer", body: body("7"), code: CodeCreateFailed, text: "no repository with repoId 7"},
		"Ambiguous":      {reason: "two repositories with one number", user: "u", method: "POST", path: "/api/devcontainer", body: body("9"), code: CodeCreateFailed, text: "not unique"},
		"OpenNoRepo":     {reason: "repoId is required", user: "u", method: "GET", path: "/api/devcontainer", code: CodeInvalidParameters},
		"OpenUnknown":    {reason: "an unknown repository", user: "u", method: "GET", path: "/api/devcontainer?repoId=4", code: CodeOpenFailed, text: "no repository"},
		"OpenNone":       {reason: "no dev container yet", user: "u", method: "GET", path: "/api/devcontainer?repoId=3", code: CodeOpenFailed, text: "DevContainer NOT found in repo 'hello'(repoId = 3) of user 'u'"},
		"BadWait":        {reason: "wait is a boolean", user: "u", method: "GET", path: "/api/devcontainer?repoId=3&wait=perhaps", code: CodeInvalidParameters, text: "wait"},
		"DeleteNone":     {reason: "nothing to delete", user: "u", method: "DELETE", path: "/api/devcontainer?repoId=3", code: CodeDeleteFailed, text: "NOT found"},
		"BadPage":        {reason: "pages count from 1", user: "u", method: "GET", path: "/api/devcontainer/user?page=0", code: CodeInvalidParameters, text: "page"},
		"BadPageSize":    {reason: "a number", user: "u", method: "GET", path: "/api/devcontainer/user?page_size=x", code: CodeInvalidParameters, text: "page_size"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			code, msg, data := f.call(tc.user, tc.method, tc.path, tc.body)
			if code != tc.code || msg != messages[tc.code] {
				t.Errorf("%s: code %d %q, want %d", tc.reason, code, msg, tc.code)
			}
			if !strings.Contains(string(data), strings.ReplaceAll(tc.text, `"`, `\"`)) {
				t.Errorf("%s: data %s does not say %q", tc.reason, data, tc.text)
			}
		})
	}
	if apps := f.apps(); len(apps) != 0 {
		t.Errorf("refused requests made %d dev containers", len(apps))
	}
}

func TestLife(t *testing.T) {
	f := newFace(t, repository("team", "hello", "3"))
	if code, data := f.create("alice@example.com", "3", f.key); code != CodeOK {
		t.Fatalf("create: %d %s", code, data)
	}
	apps := f.apps()
	if len(apps) != 1 {
		t.Fatalf("%d dev containers, want 1", len(apps))
	}
	app := &apps[0]
	want := devcontainerv1.StatefulSetSpec{Image: "example.com/dev:1", GitRepositoryURL: "https://git.example.com/acme/hello.git", SSHPublicKeyList: []string{f.key}}
	if diff := cmp.Diff(want, app.Spec.StatefulSet); diff != "" {
		t.Errorf("spec -want +got:\n%s", diff)
	}
	for key, value := range app.Labels {
		if errs := validation.IsValidLabelValue(value); len(errs) > 0 {
			t.Errorf("label %s: %v", key, errs)
		}
	}

	code, _, data := f.call("alice@example.com", "GET", "/api/devcontainer?repoId=3", "")
	if code != CodeOpenFailed || !strings.Contains(string(data), "not ready") {
		t.Errorf("open before it is ready: %d %s", code, data)
	}
	code, _, data = f.call("alice@example.com", "GET", "/api/devcontainer?repoId=3&wait=true", "")
	if code != CodeOpenFailed || !strings.Contains(string(data), "waited 2s") {
		t.Errorf("open after the wait is over: %d %s", code, data)
	}

	opened := make(chan DevContainer, 1)
	go func() {
		_, _, data := f.call("alice@example.com", "GET", "/api/devcontainer?repoId=3&wait=true", "")
		var got DevContainer
		_ = json.Unmarshal(data, &got)
		opened <- got
	}()
	app.Status = devcontainerv1.DevcontainerAppStatus{Ready: true, NodePortAssigned: 30123, NodeIP: "192.0.2.7"}
	if err := f.client.Status().Update(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	got := <-opened
	wantOpened := DevContainer{ID: number("devcontainer", string(app.UID)), Name: app.Name, Host: "192.0.2.7", Port: 30123, Username: "root", WorkDir: "/data",
		RepoID: 3, RepoName: "hello", RepoOwnerName: "acme", RepoLink: "/acme/hello"}
	if diff := cmp.Diff(wantOpened, got); diff != "" {
		t.Errorf("opened -want +got:\n%s", diff)
	}

	if code, _, _ := f.call("mallory", "GET", "/api/devcontainer?repoId=3", ""); code != CodeOpenFailed {
		t.Errorf("another user's open: code %d, want %d", code, CodeOpenFailed)
	}
	if code, _, _ := f.call("mallory", "DELETE", "/api/devcontainer?repoId=3", ""); code != CodeDeleteFailed {
		t.Errorf("another user's delete: code %d, want %d", code, CodeDeleteFailed)
	}
	if code, _, data := f.call("alice@example.com", "DELETE", "/api/devcontainer?repoId=3", ""); code != CodeOK {
		t.Errorf("delete: %d %s", code, data)
	}
	if apps := f.apps(); len(apps) != 0 {
		t.Errorf("%d dev containers after the delete", len(apps))
	}
}

func TestCreateAgainAddsTheKey(t *testing.T) {
	f := newFace(t, repository("team", "hello", "3"))
	other, err := sshkeys.GenerateUserKeyPair(2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{f.key, other.AuthorizedKey, f.key} {
		if code, data := f.create("u", "3", key); code != CodeOK {
			t.Fatalf("create: %d %s", code, data)
		}
	}
	apps := f.apps()
	if len(apps) != 1 {
		t.Fatalf("%d dev containers, want 1", len(apps))
	}
	want := []string{f.key, strings.TrimSpace(other.AuthorizedKey)}
	if diff := cmp.Diff(want, apps[0].Spec.StatefulSet.SSHPublicKeyList); diff != "" {
		t.Errorf("keys -want +got:\n%s", diff)
	}
}

func TestList(t *testing.T) {
	var objects []client.Object
	for i := 1; i <= 7; i++ {
		objects = append(objects, repository("team", fmt.Sprintf("r%d", i), fmt.Sprint(i)))
	}
	objects = append(objects, repository("closed", "r8", "8"))
	f := newFace(t, objects...)
	for i := 1; i <= 8; i++ {
		if code, data := f.create("u", fmt.Sprint(i), f.key); code != CodeOK {
			t.Fatalf("create %d: %d %s", i, code, data)
		}
	}
	f.denied["closed"] = true
	cases := map[string]struct {
		reason, query  string
		page, size, on int
	}{
		"Default":   {reason: "the default is the greatest size", page: 1, size: 3, on: 3},
		"Last":      {reason: "the last page is shorter", query: "?page=3", page: 3, size: 3, on: 1},
		"Beyond":    {reason: "a page beyond the end is empty", query: "?page=400", page: 400, size: 3, on: 0},
		"Small":     {reason: "smaller pages", query: "?page=2&page_size=2", page: 2, size: 2, on: 2},
		"TooLarge":  {reason: "no page is larger than the bound", query: "?page_size=1000", page: 1, size: 3, on: 3},
		"CacheLess": {reason: "the anonymous field is taken", query: "?_=123", page: 1, size: 3, on: 3},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			code, _, data := f.call("u", "GET", "/api/devcontainer/user"+tc.query, "")
			var got UserDevContainers
			if err := json.Unmarshal(data, &got); err != nil || code != CodeOK {
				t.Fatalf("code %d, %v: %s", code, err, data)
			}
			if got.ItemTotalNum != 7 || got.Page != tc.page || got.PageSize != tc.size || len(got.DevContainers) != tc.on || got.PageTotalNum != (7+tc.size-1)/tc.size {
				t.Errorf("%s: %+v", tc.reason, got)
			}
			if !strings.Contains(string(data), `"devContainers":[`) {
				t.Errorf("%s: devContainers is no list: %s", tc.reason, data)
			}
		})
	}
	if code, _, data := f.call("nobody", "GET", "/api/devcontainer/user", ""); code != CodeOK || !strings.Contains(string(data), `"devContainers":[]`) {
		t.Errorf("a user without dev containers: %d %s", code, data)
	}
}

func TestKeyPair(t *testing.T) {
	f := newFace(t)
	_, _, data := f.call("u", "GET", "/api/devstar_ssh/key_pair/new_temp?_=1", "")
	var first, second KeyPair
	if err := json.Unmarshal(data, &first); err != nil {
		t.Fatal(err)
	}
	if first.KeySize != "2048" || !strings.HasPrefix(first.PrivateKeyPem, "-----BEGIN RSA PRIVATE KEY-----\n") ||
		!strings.HasPrefix(first.PublicKeyPem, "-----BEGIN PUBLIC KEY-----\n") || !strings.HasPrefix(first.PublicKeyFingerprint, "ssh-rsa AAAA") {
		t.Errorf("key pair has another form than DevStar's")
	}
	if _, err := sshkeys.ParseAuthorizedKey(first.PublicKeyFingerprint); err != nil {
		t.Errorf("the public key is not accepted by a create call: %v", err)
	}
	_, _, data = f.call("u", "GET", "/api/devstar_ssh/key_pair/new_temp?_=2", "")
	if err := json.Unmarshal(data, &second); err != nil || second.PrivateKeyPem == first.PrivateKeyPem {
		t.Errorf("two calls gave the same key (%v)", err)
	}
}

func TestAppName(t *testing.T) {
	users := []string{"u", "u-hello", "Ünïcode", strings.Repeat("long", 80), "a@b.c", "-"}
	repositories := []*devopsv1alpha3.GitRepository{repository("n", "hello", "1"), repository("n", "u-hello", "2"), repository("m", "hello", "3"), repository("n", strings.Repeat("r", 250), "4")}
	seen := map[string]string{}
	for _, user := range users {
		for _, r := range repositories {
			name := appName(user, r)
			if errs := validation.IsDNS1123Label(name); len(errs) > 0 || len(name) > nameLimit {
				t.Errorf("name %q: %v", name, errs)
			}
			if other, ok := seen[name]; ok {
				t.Errorf("%s and %s/%s share the name %s", other, user, r.Name, name)
			}
			seen[name] = user + "/" + r.Name
		}
	}
}

func TestNumbersAreSafeInJavaScript(t *testing.T) {
	for i := range 1000 {
		if n := number("devcontainer", string(types.UID(fmt.Sprint(i)))); n < 0 || n > 1<<53-1 {
			t.Fatalf("number %d is not within 53 bits", n)
		}
	}
}
