// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

func projectOf(workspace, name string) *devopsv1alpha3.DevOpsProject {
	project := ownedProject(name)
	project.Labels = map[string]string{devopsv1alpha3.WorkspaceLabel: workspace}
	return project
}

func TestProjectsOfMember(t *testing.T) {
	var asked int
	w := newWorld(t, func(config *Config) { config.Authorizer = ownNamespaces(&asked) },
		projectOf("ws", "ann-1"), projectOf("ws", "ann-2"), projectOf("ws", "bob-1"), projectOf("other", "ann-3"))
	for reason, tt := range map[string]struct {
		user, path string
		code       int
		want       string
	}{
		"one's own":           {"ann", "ws/workspacemembers/ann/namespaces?sortBy=name&ascending=true", 200, "ann-1 ann-2 of 2"},
		"console of v3":       {"ann", "ws/workspacemembers/ann/devops?sortBy=name&ascending=true", 200, "ann-1 ann-2 of 2"},
		"page":                {"ann", "ws/workspacemembers/ann/namespaces?sortBy=name&ascending=true&limit=1&page=2", 200, "ann-2 of 2"},
		"beyond the end":      {"ann", "ws/workspacemembers/ann/namespaces?limit=5&page=7", 200, " of 2"},
		"filter":              {"ann", "ws/workspacemembers/ann/namespaces?name=n-1", 200, "ann-1 of 1"},
		"empty workspace":     {"ann", "none/workspacemembers/ann/namespaces", 200, " of 0"},
		"other by an admin":   {"root", "ws/workspacemembers/bob/namespaces", 200, "bob-1 of 1"},
		"all of an admin":     {"root", "ws/workspacemembers/root/namespaces?sortBy=name&ascending=true", 200, "ann-1 ann-2 bob-1 of 3"},
		"other by a member":   {"ann", "ws/workspacemembers/bob/namespaces", 403, "may not list devopsprojects"},
		"nobody":              {"", "ws/workspacemembers/ann/namespaces", 401, ""},
		"bad page":            {"ann", "ws/workspacemembers/ann/namespaces?page=0", 400, "page"},
		"not another's right": {"bob", "ws/workspacemembers/bob/namespaces", 200, "bob-1 of 1"},
	} {
		answer := w.do(call{user: tt.user, path: devops + "/workspaces/" + tt.path})
		got := answer.Body.String()
		if answer.Code == 200 {
			list := decode[struct {
				Items []struct {
					Metadata struct {
						Name string `json:"name"`
					} `json:"metadata"`
				} `json:"items"`
				TotalItems int `json:"totalItems"`
			}](t, answer)
			names := []string{}
			for _, item := range list.Items {
				names = append(names, item.Metadata.Name)
			}
			got = fmt.Sprintf("%s of %d", strings.Join(names, " "), list.TotalItems)
		}
		if answer.Code != tt.code || tt.code == 200 && got != tt.want || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %d %s, want %d %s", reason, answer.Code, got, tt.code, tt.want)
		}
	}
	asked = 0
	w.do(call{user: "ann", path: devops + "/workspaces/ws/workspacemembers/ann/namespaces"})
	if asked != 4 {
		t.Errorf("%d questions for 3 projects, want one each and one for all", asked)
	}
}

// TestMemberIsAskedForByName looks at who the question for another member is about.
func TestMemberIsAskedForByName(t *testing.T) {
	var mu sync.Mutex
	about := map[string][]string{}
	w := newWorld(t, func(config *Config) {
		config.Authorizer = authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
			mu.Lock()
			defer mu.Unlock()
			if a.GetResource() == "pipelines" {
				about[a.GetUser().GetName()] = a.GetUser().GetGroups()
				return authorizer.DecisionDeny, "", nil
			}
			return authorizer.DecisionAllow, "", nil
		})
	}, projectOf("ws", "x"))
	w.do(call{user: "root", path: devops + "/workspaces/ws/workspacemembers/b%20ob@x.org/namespaces"})
	if diff := cmp.Diff(map[string][]string{"b ob@x.org": {"system:authenticated"}}, about); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestDisplayNameIsTakenAtOnce sends a form twice, faster than the cache learns of the first.
func TestDisplayNameIsTakenAtOnce(t *testing.T) {
	w := newWorld(t, func(config *Config) {
		live := config.Client.(client.WithWatch)
		// A cache that has not seen anything yet.
		config.Reader = interceptor.NewClient(live, interceptor.Funcs{
			List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return nil },
		})
	})
	const path, body = devops + "/workspaces/ws/namespaces", `{"metadata":{"generateName":"shop","annotations":{"kubesphere.io/alias-name":"Größe"}}}`
	if code, answer := w.send("root", http.MethodPost, path, body); code != 201 {
		t.Fatalf("first: %d %s", code, answer)
	}
	for _, p := range []string{path, devops + "/workspaces/ws/devops", "/v1alpha3/workspaces/ws/namespaces"} {
		if code, answer := w.send("root", http.MethodPost, p, body); code != 409 || !strings.Contains(answer, "already has a project") {
			t.Errorf("second at %s: %d %s, want 409", p, code, answer)
		}
	}
	if code, answer := w.send("root", http.MethodPost, devops+"/workspaces/other/namespaces", body); code != 201 {
		t.Errorf("in another workspace: %d %s", code, answer)
	}
	for body, want := range map[string]string{`{}`: "metadata.name", `{"metadata":{"generateName":""}}`: "metadata.name", `{"metadata":{"generateName":"Größe"}}`: "generateName"} {
		if code, answer := w.send("root", http.MethodPost, path, body); code != 422 || !strings.Contains(answer, want) {
			t.Errorf("%s: %d %s, want 422", body, code, answer)
		}
	}
}

func TestProjectExistence(t *testing.T) {
	project := projectOf("ws", "shop-x7k2p")
	project.GenerateName = "shop"
	w := newWorld(t, nil, project)
	for path, want := range map[string]string{
		"ws/namespaces/shop?check=true": `{"exist":true}`, "ws/devops/shop?check=true&generateName=true": `{"exist":true}`, "ws/namespaces/shop-x7k2p?check=true": `{"exist":true}`,
		"ws/namespaces/free?check=true": `{"exist":false}`, "other/namespaces/shop?check=true": `{"exist":false}`,
		"ws/namespaces/shop?generateName=true": `"name":"shop-x7k2p"`, "ws/devops/shop-x7k2p": `"generateName":"shop"`,
	} {
		if code, body := w.send("ann", "GET", devops+"/workspaces/"+path, ""); code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s, want %s", path, code, body, want)
		}
	}
	for _, path := range []string{"ws/namespaces/shop", "ws/namespaces/free?generateName=true", "other/namespaces/shop?generateName=true"} {
		if code, _ := w.send("ann", "GET", devops+"/workspaces/"+path, ""); code != 404 {
			t.Errorf("%s: %d, want 404", path, code)
		}
	}
	// Both families write.
	for _, family := range []string{"namespaces", "devops"} {
		_, body := w.send("root", "GET", devops+"/workspaces/ws/"+family+"/shop-x7k2p", "")
		var changed devopsv1alpha3.DevOpsProject
		if err := json.Unmarshal([]byte(body), &changed); err != nil {
			t.Fatal(err)
		}
		changed.Annotations = map[string]string{"kubesphere.io/description": family}
		sent, err := json.Marshal(&changed)
		if err != nil {
			t.Fatal(err)
		}
		if code, answer := w.send("root", "PUT", devops+"/workspaces/ws/"+family+"/shop-x7k2p", string(sent)); code != 200 {
			t.Errorf("PUT in %s: %d %s", family, code, answer)
		}
	}
	if code, body := w.send("root", "DELETE", devops+"/workspaces/ws/devops/shop-x7k2p", ""); code != 200 || !strings.Contains(body, "success") {
		t.Errorf("DELETE: %d %s", code, body)
	}
}

func devContainer(namespace, name, image string) *devcontainerv1.DevcontainerApp {
	app := &devcontainerv1.DevcontainerApp{}
	app.Namespace, app.Name, app.Status.ImageID = namespace, name, image
	return app
}

func TestNodeLabels(t *testing.T) {
	a := &answers{}
	var calls atomic.Int32
	dashboard := func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		text(`{"status":"ok","data":[{"label":"maven","cloudsCount":1},{"label":"base"},{"label":"maven"},{"label":"dc-bob-x.secret"},{"label":""}]}`)(w, r)
	}
	a.known = map[string]func(http.ResponseWriter, *http.Request){"GET /labelsdashboard/labelsData": dashboard}
	w := blueWorld(t, a, devContainer("ann-demo", "web", "sha256:1"), devContainer("ann-demo", "new", ""), devContainer("bob-x", "secret", "sha256:2"))
	for user, want := range map[string]string{
		"ann": `{"status":"success","data":["base","dc-ann-demo.web","maven"],"message":""}`,
		"bob": `{"status":"success","data":["base","dc-bob-x.secret","maven"],"message":""}`,
		"eve": `{"status":"success","data":["base","maven"],"message":""}`,
	} {
		if code, body := w.send(user, "GET", devops+"/ci/nodelabels", ""); code != 200 || strings.TrimSpace(body) != want {
			t.Errorf("%s: %d %s, want %s", user, code, body, want)
		}
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("Jenkins was asked %d times within some seconds", n)
	}
	if code, _ := w.send("", "GET", devops+"/ci/nodelabels", ""); code != 401 {
		t.Errorf("nobody: %d", code)
	}
	// Without the plugin: the connected nodes, as in recording 13.
	b := &answers{known: map[string]func(http.ResponseWriter, *http.Request){"GET /computer/api/json": text(
		`{"_class":"hudson.model.ComputerSet","busyExecutors":0,"totalExecutors":4,"computer":[{"displayName":"Built-In Node","offline":false,"assignedLabels":[{"name":"built-in"}]},` +
			`{"displayName":"base-x7k2p","offline":false,"assignedLabels":[{"name":"base-x7k2p"},{"name":"base"}]}]}`)}}
	if code, body := blueWorld(t, b).send("ann", "GET", devops+"/ci/nodelabels", ""); code != 200 || !strings.Contains(body, `"data":["base","built-in"]`) {
		t.Errorf("without the plugin: %d %s", code, body)
	}
	if code, body := newWorld(t, nil).send("ann", "GET", devops+"/ci/nodelabels", ""); code != 200 || !strings.Contains(body, `"data":[]`) {
		t.Errorf("without Jenkins: %d %s", code, body)
	}
}

// oldLabels fails after its first answer.
type oldLabels struct {
	JenkinsAPI
	err   error
	calls int
}

func (o *oldLabels) AgentLabels(context.Context) ([]string, error) {
	if o.calls++; o.calls > 1 {
		return nil, o.err
	}
	return []string{"base"}, nil
}

func TestNodeLabelsAreSharedByThoseWhoAskAtOnce(t *testing.T) {
	o := &oldLabels{err: jenkins.ErrUnavailable}
	w := newWorld(t, func(config *Config) { config.JenkinsAPI = o })
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if got := w.do(call{user: "ann", path: devops + "/ci/nodelabels"}); got.Code != 200 || !strings.Contains(got.Body.String(), "base") {
				t.Errorf("%d %s", got.Code, got.Body)
			}
		})
	}
	group.Wait()
	if o.calls != 1 {
		t.Errorf("%d calls of Jenkins", o.calls)
	}
}
