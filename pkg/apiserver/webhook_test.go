// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/jenkins/events"
	"github.com/slipway-dev/slipway/pkg/scheme"
)

const (
	hook       = devops + "/webhooks/jenkins"
	hookSecret = "jenkins-sends-this-secret"
)

// hooks is a server that takes events.
type hooks struct {
	*world
	kube client.WithWatch
	// writes counts the patches.
	writes atomic.Int32
}

func newHooks(t *testing.T, objects ...client.Object) *hooks {
	t.Helper()
	h := &hooks{}
	build := fake.NewClientBuilder().WithScheme(scheme.New()).WithObjects(objects...).WithStatusSubresource(&devopsv1alpha3.PipelineRun{})
	for field, value := range index.Runs {
		build = build.WithIndex(&devopsv1alpha3.PipelineRun{}, field, value)
	}
	h.kube = interceptor.NewClient(build.Build(), interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			if _, ok := obj.(*authenticationv1.TokenReview); ok {
				return nil // it does not know the token
			}
			return c.Create(ctx, obj, opts...)
		},
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
			h.writes.Add(1)
			return c.Patch(ctx, obj, patch, opts...)
		},
	})
	h.world = newWorld(t, func(c *Config) { c.Reader, c.Client, c.WebhookSecret = h.kube, h.kube, []byte(hookSecret) })
	return h
}

func hookRun(namespace, name, pipeline string, annotations map[string]string) *devopsv1alpha3.PipelineRun {
	return &devopsv1alpha3.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("uid-" + name), Annotations: annotations},
		Spec:       devopsv1alpha3.PipelineRunSpec{PipelineRef: &corev1.ObjectReference{Name: pipeline}},
	}
}

// told is an event as Jenkins sends it.
type told struct {
	kind, folder, project string
	multi                 bool
	build, queue          int
	cause                 string
	age                   time.Duration
}

func (e told) body() string {
	cause := ""
	if e.cause != "" {
		cause = fmt.Sprintf(`{"causes":[{"note":%q}]}`, e.cause)
	}
	return fmt.Sprintf(`{"type":%q,"id":"x","time":%q,"dataType":"org.jenkinsci.plugins.workflow.job.WorkflowRun","data":{"actions":[%s],"number":%d,"queueId":%d,
		"_parentFullName":%q,"_projectName":%q,"_multiBranch":%t,"unknown":{"a":[1]}}}`,
		e.kind, time.Now().Add(-e.age).Format("2006-01-02T15:04:05.000-0700"), cause, e.build, e.queue, e.folder, e.project, e.multi)
}

func (h *hooks) tell(e told) int {
	h.t.Helper()
	answer := h.do(call{method: "POST", path: hook, credential: "Bearer " + hookSecret, body: e.body()})
	if !strings.Contains(answer.Body.String(), `"success"`) {
		h.t.Errorf("%+v: %d %s", e, answer.Code, answer.Body)
	}
	return answer.Code
}

// note gives the event that stands on a run.
func (h *hooks) note(namespace, name string) events.Note {
	run := &devopsv1alpha3.PipelineRun{}
	if err := h.kube.Get(h.t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, run); err != nil {
		h.t.Fatal(err)
	}
	note, _ := events.ParseNote(run.Annotations[devopsv1alpha3.JenkinsEventAnnotation])
	return note
}

// becomes waits for the event that stands on a run.
func (h *hooks) becomes(namespace, name, want string) {
	h.t.Helper()
	gomega.NewWithT(h.t).Eventually(func() string {
		note := h.note(namespace, name)
		return fmt.Sprintf("%s %d %d", note.Type, note.Build, note.QueueItem)
	}).WithTimeout(time.Minute).WithPolling(10*time.Millisecond).Should(gomega.Equal(want), namespace+"/"+name)
}

func TestWebhookAuthentication(t *testing.T) {
	h := newHooks(t)
	good := told{kind: "run.started", folder: "team", project: "app", build: 1}.body()
	basic := func(secret string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte("jenkins:"+secret))
	}
	tests := map[string]struct {
		reason     string
		call       call
		want       int
		challenged bool
	}{
		"bearer":        {"", call{credential: "Bearer " + hookSecret}, 202, false},
		"basic":         {"a client that has the credential in its URL", call{credential: basic(hookSecret)}, 202, false},
		"alias":         {"the address that charts configure", call{path: "/v1alpha3/webhooks/jenkins", credential: "Bearer " + hookSecret}, 202, false},
		"slash":         {"", call{path: hook + "/", credential: "Bearer " + hookSecret}, 202, false},
		"none":          {"", call{}, 401, true},
		"wrong":         {"", call{credential: "Bearer " + hookSecret + "x"}, 401, true},
		"prefix":        {"a part of the secret is not the secret", call{credential: "Bearer " + hookSecret[:10]}, 401, true},
		"empty":         {"", call{credential: "Bearer "}, 401, true},
		"wrong basic":   {"", call{credential: basic("x")}, 401, true},
		"bad basic":     {"", call{credential: "Basic !!!"}, 401, true},
		"other scheme":  {"", call{credential: "Digest " + hookSecret}, 401, true},
		"a user":        {"a user of the API is not Jenkins", call{user: "root"}, 401, true},
		"unsigned":      {"", call{credential: "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9."}, 401, true},
		"in the query":  {"secrets do not belong into addresses", call{path: hook + "?token=" + hookSecret}, 401, true},
		"GET":           {"only events are taken; others need a user first", call{method: "GET", credential: "Bearer " + hookSecret}, 401, false},
		"GET of a user": {"", call{method: "GET", user: "root"}, 405, false},
		"below":         {"nothing else is open", call{path: hook + "/x", credential: "Bearer " + hookSecret}, 401, false},
		"no JSON type":  {"", call{credential: "Bearer " + hookSecret, contentType: "text/plain"}, 415, false},
		"not JSON":      {"", call{credential: "Bearer " + hookSecret, body: "run.started"}, 400, false},
		"list":          {"", call{credential: "Bearer " + hookSecret, body: "[]"}, 400, false},
		"wrong type":    {"", call{credential: "Bearer " + hookSecret, body: `{"type":[]}`}, 400, false},
		"no UTF-8":      {"", call{credential: "Bearer " + hookSecret, body: "{\"type\":\"\xff\"}"}, 400, false},
		"deep":          {"", call{credential: "Bearer " + hookSecret, body: strings.Repeat(`{"data":`, 50000)}, 400, false},
		"20 MB":         {"", call{credential: "Bearer " + hookSecret, body: `{"x":"` + strings.Repeat("x", 20<<20) + `"}`}, 413, false},
		"20 MB, nobody": {"who has no secret is told that, whatever is sent", call{body: strings.Repeat("x", 900<<10)}, 401, true},
		"item event":    {"it is taken and nothing follows", call{credential: "Bearer " + hookSecret, body: `{"type":"item.created","data":{}}`}, 202, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := tt.call
			if c.method == "" {
				c.method = "POST"
			}
			if c.path == "" {
				c.path = hook
			}
			if c.body == "" && c.method == "POST" {
				c.body = good
			}
			answer := h.do(c)
			if answer.Code != tt.want || strings.HasPrefix(answer.Header().Get("WWW-Authenticate"), "Basic") != tt.challenged {
				t.Errorf("%s: %d %v %.200s, want %d", tt.reason, answer.Code, answer.Header(), answer.Body, tt.want)
			}
			if strings.Contains(answer.Body.String(), hookSecret) {
				t.Error("the answer holds the secret")
			}
		})
	}
}

func TestWebhookNotConfigured(t *testing.T) {
	w := newWorld(t, nil)
	answer := w.do(call{method: "POST", path: hook, credential: "Bearer " + hookSecret, body: "{}"})
	if answer.Code != 404 || !strings.Contains(answer.Body.String(), "--webhook-secret-file") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
	config := w.config
	config.WebhookSecret = []byte("short")
	if _, err := config.Complete(); err == nil {
		t.Error("a secret that can be guessed is accepted")
	}
}

func TestWebhookNotesEvents(t *testing.T) {
	multi := hookRun("team", "mb-1", "mb", map[string]string{devopsv1alpha3.QueueItemAnnotation: "30"})
	multi.Spec.SCM = &devopsv1alpha3.SCM{RefName: "feature%2Fx"}
	ended := hookRun("team", "ended", "app", map[string]string{devopsv1alpha3.JenkinsPipelineRunIDAnnotation: "9"})
	ended.Status.CompletionTime = &metav1.Time{Time: time.Now()}
	h := newHooks(t,
		hookRun("team", "by-cause", "app", nil),
		hookRun("team", "by-item", "app", map[string]string{devopsv1alpha3.QueueItemAnnotation: "12"}),
		hookRun("team", "by-build", "app", map[string]string{devopsv1alpha3.JenkinsPipelineRunIDAnnotation: "5"}),
		hookRun("team", "größe", "größe", map[string]string{devopsv1alpha3.QueueItemAnnotation: "40"}),
		// Another tenant's runs carry what a user wrote into them.
		hookRun("other", "thief", "app", map[string]string{devopsv1alpha3.QueueItemAnnotation: "12", devopsv1alpha3.JenkinsPipelineRunIDAnnotation: "5"}),
		multi, ended,
	)
	h.tell(told{kind: "run.started", folder: "team", project: "app", build: 3, queue: 11, cause: "slipway-run:uid-by-cause"})
	h.becomes("team", "by-cause", "run.started 3 11")
	h.tell(told{kind: "run.started", folder: "team", project: "app", build: 4, queue: 12})
	h.becomes("team", "by-item", "run.started 4 12")
	h.tell(told{kind: "run.finalized", folder: "team", project: "app", build: 5})
	h.becomes("team", "by-build", "run.finalized 5 0")
	h.tell(told{kind: "run.started", folder: "team/mb", project: "feature%2Fx", multi: true, build: 1, queue: 30})
	h.becomes("team", "mb-1", "run.started 1 30")
	h.tell(told{kind: "run.completed", folder: "team", project: "größe", build: 1, queue: 40})
	h.becomes("team", "größe", "run.completed 1 40")

	before := h.writes.Load()
	for name, e := range map[string]told{
		"older":               {kind: "run.initialize", folder: "team", project: "app", build: 3, queue: 11, cause: "slipway-run:uid-by-cause"},
		"repeated":            {kind: "run.finalized", folder: "team", project: "app", build: 5},
		"recorded long ago":   {kind: "run.deleted", folder: "team", project: "app", build: 5, age: time.Hour},
		"of tomorrow":         {kind: "run.deleted", folder: "team", project: "app", build: 5, age: -24 * time.Hour},
		"ended":               {kind: "run.deleted", folder: "team", project: "app", build: 9},
		"foreign cause":       {kind: "run.finalized", folder: "other", project: "app", build: 77, cause: "slipway-run:uid-by-cause"},
		"no such project":     {kind: "run.finalized", folder: "nothing", project: "app", build: 1},
		"long names":          {kind: "run.started", folder: strings.Repeat("f", 300), project: strings.Repeat("p", 300), build: 1},
		"forged cause":        {kind: "run.started", folder: "team", project: "app", build: 50, cause: "slipway-run:"},
		"another build of it": {kind: "run.started", folder: "team", project: "app", build: 6, cause: "slipway-run:uid-by-build"},
	} {
		if code := h.tell(e); code != 202 {
			t.Errorf("%s: %d: the answer tells what is there", name, code)
		}
	}
	time.Sleep(4 * time.Second) // unknown builds are looked for twice
	if writes := h.writes.Load() - before; writes != 0 {
		t.Errorf("%d writes for events that are no news", writes)
	}
	if note := h.note("other", "thief"); note != (events.Note{}) {
		t.Errorf("another tenant's run got %+v", note)
	}
	// Later events go on from there.
	h.tell(told{kind: "run.completed", folder: "team", project: "app", build: 3, queue: 11, cause: "slipway-run:uid-by-cause"})
	h.tell(told{kind: "run.finalized", folder: "team", project: "app", build: 3, queue: 11, cause: "slipway-run:uid-by-cause"})
	h.becomes("team", "by-cause", "run.finalized 3 11")
	if writes := h.writes.Load() - before; writes != 1 {
		t.Errorf("%d writes for two events that come together, want 1", writes)
	}
}

func TestWebhookAsksForUnknownBuilds(t *testing.T) {
	h := newHooks(t, &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "app", Annotations: map[string]string{"keep": "me"}}})
	asked := func() string {
		p := &devopsv1alpha3.Pipeline{}
		if err := h.kube.Get(t.Context(), client.ObjectKey{Namespace: "team", Name: "app"}, p); err != nil {
			t.Fatal(err)
		}
		if p.Annotations["keep"] != "me" {
			t.Error("another annotation is gone")
		}
		return p.Annotations[devopsv1alpha3.PipelineRequestToSyncRunsAnnotation]
	}
	h.tell(told{kind: "run.deleted", folder: "team", project: "app", build: 1})
	h.tell(told{kind: "run.started", folder: "team", project: "app", build: 2, cause: "slipway-run:of-a-deleted-run"})
	time.Sleep(3 * time.Second)
	if got := asked(); got != "" {
		t.Errorf("asked at %s for a build that is gone, or of ours", got)
	}
	h.tell(told{kind: "run.initialize", folder: "team", project: "app", build: 3})
	h.tell(told{kind: "run.started", folder: "team", project: "app", build: 3})
	gomega.NewWithT(t).Eventually(asked).WithTimeout(time.Minute).ShouldNot(gomega.BeEmpty())
	at, err := time.Parse(time.RFC3339Nano, asked())
	if err != nil || time.Since(at) > time.Minute {
		t.Errorf("asked at %s: %v", at, err)
	}
	first := asked()
	h.tell(told{kind: "run.started", folder: "team", project: "app", build: 3})
	time.Sleep(3 * time.Second)
	if diff := cmp.Diff(first, asked()); diff != "" {
		t.Errorf("a repeated event asked again:\n%s", diff)
	}
}

// TestWebhookRate: Jenkins sends several events for each build, and nobody else's limit counts for it.
func TestWebhookRate(t *testing.T) {
	h := newHooks(t)
	for i := range 1000 {
		if code := h.tell(told{kind: "run.started", folder: "nothing", project: "app", build: i + 1}); code != 202 {
			t.Fatalf("event %d: %d", i, code)
		}
	}
}
