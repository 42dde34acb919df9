// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// credentialUse is what Jenkins says of credentials.
type credentialUse map[string]any

func (u credentialUse) GetCredential(_ context.Context, folder, id string) (*jenkins.CredentialInfo, error) {
	switch v := u[folder+"/"+id].(type) {
	case *jenkins.CredentialInfo:
		return v, nil
	case error:
		return nil, v
	}
	return nil, jenkins.ErrNotFound
}

func credentialSecret(name, kind string, data map[string]string) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ann-shop", Name: name, UID: "uid", Annotations: map[string]string{}},
		Type: corev1.SecretType("credential.devops.kubesphere.io/" + kind), Data: map[string][]byte{}}
	for k, v := range data {
		s.Data[k] = []byte(v)
	}
	return s
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func (w *world) secret(name string) *corev1.Secret {
	w.t.Helper()
	s := &corev1.Secret{}
	if err := w.kube.Get(w.t.Context(), client.ObjectKey{Namespace: "ann-shop", Name: name}, s); err != nil {
		w.t.Fatal(err)
	}
	return s
}

const credentialPath = devops + "/namespaces/ann-shop/credentials"

func TestCredentialLife(t *testing.T) {
	w := newWorld(t, nil)
	body := fmt.Sprintf(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"git","annotations":{"kubesphere.io/description":"d","credential.devops.kubesphere.io/syncstatus":"successful"}},`+
		`"type":"credential.devops.kubesphere.io/basic-auth","data":{"username":%q},"stringData":{"password":"hunter2"}}`, b64("bob"))
	code, answer := w.send("ann", http.MethodPost, credentialPath, body)
	if code != http.StatusCreated || strings.Contains(answer, "hunter2") || strings.Contains(answer, b64("hunter2")) || strings.Contains(answer, b64("bob")) {
		t.Fatalf("POST: %d %s", code, answer)
	}
	stored := w.secret("git")
	if string(stored.Data["password"]) != "hunter2" || stored.Annotations["kubesphere.io/creator"] != "ann" || stored.Annotations["kubesphere.io/description"] != "d" {
		t.Errorf("stored %+v", stored)
	}
	if stored.Annotations["credential.devops.kubesphere.io/syncstatus"] != "" {
		t.Error("a user can say that Jenkins has it")
	}

	// The controller and kubectl write on it.
	stored.Annotations["credential.devops.kubesphere.io/syncstatus"] = "successful"
	stored.Annotations[corev1.LastAppliedConfigAnnotation] = `{"data":{"password":"` + b64("hunter2") + `"}}`
	stored.Finalizers = []string{"finalizers.kubesphere.io/credential"}
	if err := w.kube.Update(t.Context(), stored); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{credentialPath + "/git", credentialPath, devops + "/devops/ann-shop/credentials/git", "/v1alpha3/namespaces/ann-shop/credentials?content=1"} {
		code, answer = w.send("ann", http.MethodGet, path, "")
		if code != http.StatusOK || strings.Contains(answer, "hunter2") || strings.Contains(answer, b64("hunter2")) || !strings.Contains(answer, `"password":""`) {
			t.Errorf("GET %s: %d %s", path, code, answer)
		}
	}

	// What was read goes back with a change: the values stay, and so does what the controller wrote.
	_, answer = w.send("ann", http.MethodGet, credentialPath+"/git", "")
	code, answer = w.send("ann", http.MethodPut, credentialPath+"/git", strings.Replace(answer, `"kubesphere.io/description":"d"`, `"kubesphere.io/description":"new"`, 1))
	if code != http.StatusOK || strings.Contains(answer, b64("hunter2")) {
		t.Fatalf("PUT: %d %s", code, answer)
	}
	stored = w.secret("git")
	if string(stored.Data["password"]) != "hunter2" || string(stored.Data["username"]) != "bob" || stored.Annotations["kubesphere.io/description"] != "new" ||
		stored.Annotations["credential.devops.kubesphere.io/syncstatus"] != "successful" || len(stored.Finalizers) != 1 || stored.Annotations[corev1.LastAppliedConfigAnnotation] == "" {
		t.Errorf("stored %+v", stored)
	}
	for reason, tt := range map[string]struct{ body, want string }{
		"one value":           {fmt.Sprintf(`{"data":{"username":"","password":%q}}`, b64("new")), "bob/new"},
		"one key only":        {fmt.Sprintf(`{"data":{"password":%q}}`, b64("newer")), "bob/newer"},
		"no data":             {`{"metadata":{"name":"git"}}`, "bob/newer"},
		"null":                {`{"data":{"username":null,"password":null}}`, "bob/newer"},
		"empty data":          {`{"data":{}}`, "bob/newer"},
		"both, as stringData": {`{"stringData":{"username":"amy","password":"pw"}}`, "amy/pw"},
	} {
		if err := w.kube.Get(t.Context(), client.ObjectKeyFromObject(stored), stored); err != nil {
			t.Fatal(err)
		}
		stored.Data = map[string][]byte{"username": []byte("bob"), "password": []byte("newer")}
		if err := w.kube.Update(t.Context(), stored); err != nil {
			t.Fatal(err)
		}
		if code, answer := w.send("ann", http.MethodPut, credentialPath+"/git", tt.body); code != http.StatusOK {
			t.Errorf("%s: %d %s", reason, code, answer)
			continue
		}
		s := w.secret("git")
		if got := string(s.Data["username"]) + "/" + string(s.Data["password"]); got != tt.want {
			t.Errorf("%s: stored %s, want %s", reason, got, tt.want)
		}
	}
	if code, answer = w.send("ann", http.MethodDelete, credentialPath+"/git", ""); code != http.StatusOK || !strings.Contains(answer, "success") {
		t.Errorf("DELETE: %d %s", code, answer)
	}
}

func TestCredentialRefusals(t *testing.T) {
	opaque := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ann-shop", Name: "tls"}, Data: map[string][]byte{"tls.key": []byte("hunter2")}}
	w := newWorld(t, nil, opaque, credentialSecret("git", "basic-auth", map[string]string{"username": "u", "password": "hunter2"}))
	const basic = `"type":"credential.devops.kubesphere.io/basic-auth"`
	for name, tt := range map[string]struct {
		reason, user, method, path, body string
		code                             int
		want                             string
	}{
		"other Secret":     {"not a way to all Secrets", "ann", "GET", credentialPath + "/tls", "", 404, "tls"},
		"delete other":     {"", "ann", "DELETE", credentialPath + "/tls", "", 404, "tls"},
		"update other":     {"", "ann", "PUT", credentialPath + "/tls", `{"data":{}}`, 404, "tls"},
		"usage of other":   {"", "ann", "GET", credentialPath + "/tls/usage", "", 404, "tls"},
		"other tenant":     {"the right is asked for", "bob", "GET", credentialPath + "/git", "", 403, ""},
		"nobody":           {"", "", "GET", credentialPath, "", 401, ""},
		"watch":            {"", "ann", "GET", credentialPath + "?watch=true", "", 400, "cannot be watched"},
		"no name":          {"", "ann", "POST", credentialPath, `{` + basic + `}`, 422, "name"},
		"bad name":         {"", "ann", "POST", credentialPath, `{"metadata":{"name":"größe"},` + basic + `}`, 422, "metadata.name"},
		"path as a name":   {"", "ann", "POST", credentialPath, `{"metadata":{"name":"../x"},` + basic + `}`, 422, "metadata.name"},
		"long name":        {"", "ann", "POST", credentialPath, `{"metadata":{"name":"` + strings.Repeat("x", 300) + `"},` + basic + `}`, 422, "253"},
		"other type":       {"", "ann", "POST", credentialPath, `{"metadata":{"name":"x"},"type":"Opaque"}`, 422, "type"},
		"missing key":      {"", "ann", "POST", credentialPath, `{"metadata":{"name":"x"},"stringData":{"username":"hunter2"},` + basic + `}`, 422, "password"},
		"bad key":          {"the value is not repeated", "ann", "POST", credentialPath, `{"metadata":{"name":"x"},"stringData":{"username":"git","private_key":"hunter2"},"type":"credential.devops.kubesphere.io/ssh-auth"}`, 422, "not a private key"},
		"bad base64":       {"", "ann", "POST", credentialPath, `{"metadata":{"name":"x"},"data":{"password":"%%"},` + basic + `}`, 400, ""},
		"unknown field":    {"", "ann", "POST", credentialPath, `{"metadata":{"name":"x"},"dta":{},` + basic + `}`, 400, "dta"},
		"other namespace":  {"", "ann", "POST", credentialPath, `{"metadata":{"name":"x","namespace":"bob"},` + basic + `}`, 400, "namespace"},
		"other kind":       {"", "ann", "POST", credentialPath, `{"kind":"ConfigMap","metadata":{"name":"x"},` + basic + `}`, 400, "Secret"},
		"rename":           {"", "ann", "PUT", credentialPath + "/git", `{"metadata":{"name":"x"}}`, 400, "renamed"},
		"change of type":   {"", "ann", "PUT", credentialPath + "/git", `{"type":"credential.devops.kubesphere.io/secret-text"}`, 422, "cannot be changed"},
		"old version":      {"", "ann", "PUT", credentialPath + "/git", `{"metadata":{"resourceVersion":"1"}}`, 409, "GET it again"},
		"huge":             {"", "ann", "POST", credentialPath, `{"metadata":{"name":"x"},"stringData":{"password":"` + strings.Repeat("x", 2<<20) + `"}}`, 413, ""},
		"none of the name": {"", "ann", "GET", credentialPath + "/none", "", 404, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			code, answer := w.send(tt.user, tt.method, tt.path, tt.body)
			if code != tt.code || !strings.Contains(answer, tt.want) {
				t.Errorf("%s: %d %s, want %d with %q", tt.reason, code, answer, tt.code, tt.want)
			}
			if strings.Contains(answer, "hunter2") {
				t.Errorf("the answer repeats a value: %s", answer)
			}
		})
	}
	if s := w.secret("tls"); string(s.Data["tls.key"]) != "hunter2" {
		t.Error("another Secret was touched")
	}
}

func TestCredentialList(t *testing.T) {
	w := newWorld(t, nil, credentialSecret("a", "basic-auth", nil), credentialSecret("b", "secret-text", nil), credentialSecret("c", "secret-text", nil),
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ann-shop", Name: "opaque"}})
	for query, want := range map[string]string{
		"": "a b c of 3", "?type=secret-text": "b c of 2", "?type=credential.devops.kubesphere.io/basic-auth": "a of 1", "?type=opaque": " of 0",
		"?limit=2&page=2": "c of 3", "?name=b": "b of 1",
	} {
		sep := "?"
		if query != "" {
			sep = "&"
		}
		code, answer := w.send("ann", http.MethodGet, credentialPath+query+sep+"sortBy=name&ascending=true", "")
		var page struct {
			Items      []corev1.Secret `json:"items"`
			TotalItems int             `json:"totalItems"`
		}
		if err := json.Unmarshal([]byte(answer), &page); err != nil || code != http.StatusOK || page.Items == nil {
			t.Fatalf("%q: %d %s", query, code, answer)
		}
		var names []string
		for _, item := range page.Items {
			names = append(names, item.Name)
		}
		if got := fmt.Sprintf("%s of %d", strings.Join(names, " "), page.TotalItems); got != want {
			t.Errorf("%q: got %q, want %q", query, got, want)
		}
	}
}

func TestCredentialUsage(t *testing.T) {
	use := credentialUse{
		"ann-shop/git":  &jenkins.CredentialInfo{ID: "git", DisplayName: "bob/******", Usage: []jenkins.CredentialUsage{{Job: "ann-shop/build", Builds: [][2]int64{{1, 3}, {7, 8}}}}},
		"ann-shop/away": fmt.Errorf("x: %w", jenkins.ErrUnavailable),
	}
	w := newWorld(t, func(c *Config) { c.Credentials = use },
		credentialSecret("git", "basic-auth", map[string]string{"username": "u", "password": "hunter2"}), credentialSecret("fresh", "secret-text", nil), credentialSecret("away", "secret-text", nil))
	for name, want := range map[string]string{
		"git":   `{"id":"git","type":"basic-auth","display_name":"bob/******","domain":"_","fingerprint":{"usage":[{"name":"ann-shop/build","ranges":{"ranges":[{"start":1,"end":3},{"start":7,"end":8}]}}]}}`,
		"fresh": `{"id":"fresh","type":"secret-text","domain":"_"}`,
	} {
		code, answer := w.send("ann", http.MethodGet, credentialPath+"/"+name+"/usage", "")
		if diff := cmp.Diff(want, strings.TrimSpace(answer)); code != http.StatusOK || diff != "" {
			t.Errorf("%s: %d\n%s", name, code, diff)
		}
	}
	if code, answer := w.send("ann", http.MethodGet, credentialPath+"/away/usage", ""); code != http.StatusServiceUnavailable {
		t.Errorf("Jenkins is away: %d %s", code, answer)
	}
	w = newWorld(t, nil, credentialSecret("git", "basic-auth", nil))
	if code, answer := w.send("ann", http.MethodGet, credentialPath+"/git/usage", ""); code != http.StatusServiceUnavailable {
		t.Errorf("no Jenkins is known: %d %s", code, answer)
	}
}

// send sends a request as a user, as nobody without one.
func (w *world) send(user, method, path, body string) (int, string) {
	w.t.Helper()
	recorder := w.do(call{user: user, method: method, path: path, body: body})
	return recorder.Code, recorder.Body.String()
}
