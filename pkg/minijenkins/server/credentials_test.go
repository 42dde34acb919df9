// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// use lets build 1 of a job use a credential.
func (r *replay) use(folder, job, id string) {

	r.s.mu.RLock()
	key := store.BuildKey{Job: r.s.root.find(folder).find(job).ID, Number: 1}
	r.s.mu.RUnlock()
	if _, err := r.s.useCredential(key, id); err != nil {
		r.t.Error(err)
	}
}

const (
	classBasic = "com.cloudbees.plugins.credentials.impl.UsernamePasswordCredentialsImpl"
	classText  = "org.jenkinsci.plugins.plaincredentials.impl.StringCredentialsImpl"
	hidden     = "hunter2-hidden"
)

func storeOf(folder string) string {
	return "/job/" + strings.ReplaceAll(folder, "/", "/job/") + "/credentials/store/folder/domain/_"
}

// credential makes an entry by form.
func (h *harness) credential(folder, id, class string, fields map[string]any) {
	h.t.Helper()
	form := map[string]any{"id": id, "description": "", "scope": "GLOBAL", "$class": class, "stapler-class": class}
	for k, v := range fields {
		form[k] = v
	}
	doc, err := json.Marshal(map[string]any{"credentials": form})
	if err != nil {
		h.t.Fatal(err)
	}
	h.want(302, "POST", storeOf(folder)+"/createCredentials", typeForm, url.Values{"json": {string(doc)}}.Encode())
}

// TestCredentialsInBuilds: a build gets the credentials of the folders around its job and of no others, its log has none of them, and
// Jenkins' word on their use is kept over a restart.
func TestCredentialsInBuilds(t *testing.T) {
	dir := t.TempDir()
	h := newHarness(t, dir, withEngine)
	h.folder("shop")
	h.folder("other")
	h.want(200, "POST", "/job/shop/createItem?name=team", typeXML, "<"+classFolder+"></"+classFolder+">")
	h.credential("shop", "reg", classBasic, map[string]any{"username": "bob", "password": hidden})
	h.credential("shop", "tok", classText, map[string]any{"secret": "outer-" + hidden})
	h.credential("shop/team", "tok", classText, map[string]any{"secret": "inner-" + hidden})
	const src = `pipeline { agent any
 environment { TOKEN = credentials('tok') }
 stages { stage('s') { steps {
  withCredentials([usernamePassword(credentialsId: 'reg', usernameVariable: 'U', passwordVariable: 'P')]) { sh 'set +x; echo "$U:$P ${#P} ${#TOKEN}"' }
 } } } }`
	h.want(200, "POST", "/job/shop/job/team/createItem?name=use", typeXML, jobXML(src, "", ""))
	h.job("other", "use", src, "", "")
	for n := 1; n <= 2; n++ {
		h.want(201, "POST", "/job/shop/job/team/job/use/build?delay=0", "", "")
		h.ended("shop/team/use", n)
	}
	for _, n := range []string{"1", "2"} {
		log := h.get("/job/shop/job/team/job/use/" + n + "/consoleText")
		if !strings.Contains(log, "bob:**** 14 20\n") || strings.Contains(log, hidden) {
			t.Errorf("build %s:\n%s", n, log)
		}
	}
	h.want(201, "POST", "/job/other/job/use/build?delay=0", "", "")
	if b := h.ended("other/use", 1); b.Result != engine.ResultFailure {
		t.Errorf("a build used the credential of another folder: %s", b.Result)
	}
	usage := func(path string) string {
		return h.get(path + "/api/json?tree=fingerprint[usage[name,ranges[ranges[start,end]]]]")
	}
	const want = `{"_class":"com.cloudbees.plugins.credentials.CredentialsStoreAction$CredentialsWrapper","fingerprint":{"usage":[{"name":"shop/team/use","ranges":{"ranges":[{"end":3,"start":1}]}}]}}`
	check := func() {
		t.Helper()
		if got := usage(storeOf("shop") + "/credential/reg"); got != want {
			t.Errorf("usage %s", got)
		}
		if got := usage(storeOf("shop/team") + "/credential/tok"); got != want {
			t.Errorf("usage of the inner one %s", got)
		}
		if got := usage(storeOf("shop") + "/credential/tok"); !strings.Contains(got, `"fingerprint":null`) {
			t.Errorf("the outer one was not used: %s", got)
		}
	}
	check()
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	h = newHarness(t, dir, withEngine)
	check()
	h.want(201, "POST", "/job/shop/job/team/job/use/build?delay=0", "", "")
	if b := h.ended("shop/team/use", 3); b.Result != engine.ResultSuccess {
		t.Errorf("after a restart: %s", b.Result)
	}
}

// TestCredentialAddresses: odd ids, other places, deleted folders; no answer has a secret.
func TestCredentialAddresses(t *testing.T) {
	h := newHarness(t, t.TempDir())
	h.folder("shop")
	h.job("shop", "app", "x", "", "")
	ids := []string{"größe", "a/b", "a%b", "..", "with space", "<x>&\"'", strings.Repeat("x", 300)}
	for _, id := range ids {
		h.credential("shop", id, classText, map[string]any{"secret": hidden, "description": "<b>&"})
	}
	for _, id := range ids {
		if id == ".." {
			continue // no address leads there
		}
		for _, path := range []string{"/api/json?depth=2", "/config.xml"} {
			body := h.get(storeOf("shop") + "/credential/" + url.PathEscape(id) + path)
			if strings.Contains(body, hidden) {
				t.Errorf("%q: %s shows the secret", id, path)
			}
			if strings.HasPrefix(path, "/api") {
				var doc struct{ ID string }
				if err := json.Unmarshal([]byte(body), &doc); err != nil || doc.ID != id {
					t.Errorf("%q: got %q, %v", id, doc.ID, err)
				}
			}
		}
	}
	for _, path := range []string{
		"/job/shop/job/app/credentials/store/folder/domain/_/api/json", "/credentials/store/folder/domain/_/api/json", "/job/shop/credentials/store/system/domain/_/api/json",
		storeOf("shop") + "/credential/api/json", storeOf("shop") + "/credential/größe/../none/api/json", storeOf("shop") + "/nosuch", "/job/shop/credentials/store/folder/domain/x/api/json",
	} {
		h.want(404, "GET", path, "", "")
	}
	form := func(id string) string {
		return url.Values{"json": {`{"credentials":{"id":"` + id + `","secret":"` + hidden + `","stapler-class":"` + classText + `"}}`}}.Encode()
	}
	h.want(500, "POST", storeOf("shop")+"/createCredentials", typeForm, form(strings.Repeat("x", 2000)))
	h.want(500, "POST", storeOf("shop")+"/createCredentials", typeForm, form(`\u0000`))
	h.want(500, "POST", storeOf("shop")+"/createCredentials", typeForm, url.Values{"json": {`{"credentials":[1]}`}}.Encode())
	h.want(413, "POST", storeOf("shop")+"/createCredentials", typeForm, "json="+strings.Repeat("x", 17<<20))

	h.want(302, "POST", "/job/shop/doDelete", typeForm, "")
	h.folder("shop")
	if body := h.get(storeOf("shop") + "/api/json?depth=1"); !strings.Contains(body, `"credentials":[]`) {
		t.Errorf("a new folder has the credentials of the deleted one: %s", body)
	}
}

// TestCredentialUseIsBounded: each use is written to the disk with all that came before.
func TestCredentialUseIsBounded(t *testing.T) {
	var list []store.CredentialUse
	for n := range 3 * maxUseBuilds {
		list, _ = used(list, "a/b", n+1)
	}
	if _, isNew := used(list, "a/b", 1); isNew {
		t.Error("a use longer ago than what is remembered is new")
	}
	if builds := list[0].Builds; len(builds) != maxUseBuilds || builds[0] != 2*maxUseBuilds+1 || builds[maxUseBuilds-1] != 3*maxUseBuilds {
		t.Errorf("%d builds, %d to %d", len(builds), builds[0], builds[len(builds)-1])
	}
	for n := range 2 * maxUseJobs {
		list, _ = used(list, fmt.Sprintf("a/job-%d", n), 1)
	}
	if len(list) != maxUseJobs || list[maxUseJobs-1].Job != fmt.Sprintf("a/job-%d", 2*maxUseJobs-1) {
		t.Errorf("%d jobs, the last is %s", len(list), list[len(list)-1].Job)
	}
	if _, isNew := used(list, list[3].Job, 1); isNew {
		t.Error("a use that is known is new")
	}
}
