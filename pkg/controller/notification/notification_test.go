// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package notification

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/event"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

func TestBody(t *testing.T) {
	in := newInbox(t, nil)
	b := newBench(t, pipeline(notify("hook")), secret(in.URL, ""), ended("r", devopsv1alpha3.Succeeded, devopsv1alpha3.ReasonUnstable))
	if after := b.mustPass("r"); after != 0 {
		t.Errorf("comes back after %s", after)
	}
	b.mustPass("r")
	got := in.deliveries()
	if len(got) != 1 {
		t.Fatalf("%d deliveries, want one: %s", len(got), in.events())
	}
	want := map[string]any{
		"specversion": "1.0", "id": "uid-r-unstable", "type": "dev.slipway.run.unstable.v1", "subject": "r", "time": "2026-06-01T12:00:00Z",
		"source":          "https://slipway.example.com/kapis/devops.kubesphere.io/v1alpha3/namespaces/p/pipelines/build",
		"datacontenttype": "application/json",
		"data": map[string]any{
			"event": "unstable", "project": "p", "pipeline": "build", "run": "r", "runUID": "uid-r", "branch": "feature/x", "build": 7.0,
			"phase": "Succeeded", "result": "UNSTABLE", "reason": "Unstable", "message": "the message",
			"startTime": "2026-06-01T11:59:00Z", "endTime": "2026-06-01T12:00:00Z", "durationMillis": 59000.0, "commit": "c0ffee",
			"creator": "ann", "causes": []any{"Started by ann"},
			"links": map[string]any{
				"run": "https://slipway.example.com/kapis/devops.kubesphere.io/v1alpha3/namespaces/p/pipelineruns/r",
				"log": "https://slipway.example.com/kapis/devops.kubesphere.io/v1alpha3/namespaces/p/pipelineruns/r/log"},
		},
	}
	var body map[string]any
	if err := json.Unmarshal(got[0].body, &body); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got[0].header.Get(HeaderDelivery) != "uid-r-unstable" || got[0].header.Get(HeaderEvent) != "unstable" {
		t.Errorf("headers %v", got[0].header)
	}
	if e := readRecord(b.run("r"))["unstable"]; e.Sent == nil || e.Since != nil {
		t.Errorf("recorded %+v", e)
	}
	b.noSecrets("r")
}

// TestWhatIsTold goes through what can happen and who asks for what.
func TestWhatIsTold(t *testing.T) {
	running := ended("r", devopsv1alpha3.Running, devopsv1alpha3.ReasonRunning)
	running.Status.CompletionTime = nil
	paused := ended("r", devopsv1alpha3.Pending, devopsv1alpha3.ReasonPaused)
	paused.Status.CompletionTime = nil
	paused.Status.Conditions[0].LastTransitionTime = metav1.NewTime(noon)
	queued := ended("r", devopsv1alpha3.Pending, devopsv1alpha3.ReasonQueued)
	queued.Status.StartTime, queued.Status.CompletionTime = nil, nil
	old := ended("r", devopsv1alpha3.Failed, devopsv1alpha3.ReasonFailure)
	old.Status.StartTime.Time, old.Status.CompletionTime.Time = noon.Add(-3*time.Hour), noon.Add(-2*time.Hour)
	early := ended("r", devopsv1alpha3.Failed, devopsv1alpha3.ReasonFailure)
	lost := ended("r", devopsv1alpha3.Failed, devopsv1alpha3.ReasonFailure)
	lost.Spec.PipelineRef.Name = "gone"
	tooLate := notify("hook")
	tooLate[devopsv1alpha3.NotifySinceAnnotation] = noon.Add(time.Second).Format(time.RFC3339)
	all := strings.Join(allEvents, ",")
	ownOff := map[string]string{devopsv1alpha3.NotifyAnnotation: ""}
	cases := map[string]struct {
		reason            string
		run               *devopsv1alpha3.PipelineRun
		pipeline, project map[string]string
		events            string
		want              string
	}{
		"Succeeded":   {reason: "a success", run: ended("r", devopsv1alpha3.Succeeded, devopsv1alpha3.ReasonSuccess), pipeline: notify("hook"), want: "succeeded"},
		"Unstable":    {reason: "unstable is told apart", run: ended("r", devopsv1alpha3.Succeeded, devopsv1alpha3.ReasonUnstable), pipeline: notify("hook"), want: "unstable"},
		"Failed":      {reason: "a failure", run: ended("r", devopsv1alpha3.Failed, devopsv1alpha3.ReasonFailure), pipeline: notify("hook"), want: "failed"},
		"Stopped":     {reason: "stopped", run: ended("r", devopsv1alpha3.Cancelled, devopsv1alpha3.ReasonAborted), pipeline: notify("hook"), want: "stopped"},
		"Unknown":     {reason: "an end that Jenkins does not know is no success", run: ended("r", devopsv1alpha3.Unknown, "Unknown"), pipeline: notify("hook"), want: "failed"},
		"Running":     {reason: "ends are the default", run: running, pipeline: notify("hook")},
		"Started":     {reason: "a start that is asked for", run: running, pipeline: notify("hook"), events: " Started , failed", want: "started"},
		"Both":        {reason: "what was missed is told, too", run: ended("r", devopsv1alpha3.Failed, devopsv1alpha3.ReasonFailure), pipeline: notify("hook"), events: all, want: "started failed"},
		"Input":       {reason: "an input", run: paused, pipeline: notify("hook"), events: "input", want: "input"},
		"Queued":      {reason: "nothing has happened", run: queued, pipeline: notify("hook"), events: all},
		"OnlyFailed":  {reason: "what is not asked for is not told", run: ended("r", devopsv1alpha3.Succeeded, devopsv1alpha3.ReasonSuccess), pipeline: notify("hook"), events: "failed"},
		"Inherited":   {reason: "the project's annotation is for all its pipelines", run: ended("r", devopsv1alpha3.Failed, devopsv1alpha3.ReasonFailure), project: notify("hook"), want: "failed"},
		"TurnedOff":   {reason: "a pipeline can leave it", run: ended("r", devopsv1alpha3.Failed, devopsv1alpha3.ReasonFailure), pipeline: ownOff, project: notify("hook")},
		"Nobody":      {reason: "nobody asks", run: ended("r", devopsv1alpha3.Failed, devopsv1alpha3.ReasonFailure)},
		"Old":         {reason: "a run that ended long ago", run: old, pipeline: map[string]string{devopsv1alpha3.NotifyAnnotation: "hook", devopsv1alpha3.NotifySinceAnnotation: noon.Add(-9 * time.Hour).Format(time.RFC3339)}, events: all},
		"Before":      {reason: "a run that ended before anybody asked", run: early, pipeline: tooLate, events: all},
		"NoPipeline":  {reason: "the pipeline is gone", run: lost, project: notify("hook")},
		"NotDatedYet": {reason: "until it is known when the annotation was set, nothing is told", run: early, pipeline: map[string]string{devopsv1alpha3.NotifyAnnotation: "hook"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			in := newInbox(t, nil)
			b := newBench(t, pipeline(tc.pipeline), project(tc.project), secret(in.URL, tc.events), tc.run.DeepCopy())
			after := b.mustPass("r")
			b.mustPass("r")
			if got := in.events(); got != tc.want {
				t.Errorf("%s: told %q, want %q", tc.reason, got, tc.want)
			}
			if undated := name == "NotDatedYet"; undated != (after > 0) {
				t.Errorf("comes back after %s", after)
			}
			for _, d := range in.deliveries() {
				if strings.Contains(string(d.body), "hunter2") {
					t.Error("a parameter is told")
				}
				if started := d.event.Data.Event == EventStarted; started && (d.event.Data.Result != "" || d.event.Data.EndTime != nil) {
					t.Errorf("the start tells of the end: %s", d.body)
				}
			}
		})
	}
}

// TestInputs waits for an input twice: each is told once.
func TestInputs(t *testing.T) {
	in := newInbox(t, nil)
	run := ended("r", devopsv1alpha3.Pending, devopsv1alpha3.ReasonPaused)
	run.Status.CompletionTime = nil
	run.Status.Conditions[0].LastTransitionTime = metav1.NewTime(noon)
	b := newBench(t, pipeline(notify("hook")), secret(in.URL, "input"), run)
	b.mustPass("r")
	b.mustPass("r")
	change := func(reason string, at time.Time) {
		t.Helper()
		current := b.run("r")
		current.Status.Conditions[0].Reason, current.Status.Conditions[0].LastTransitionTime = reason, metav1.NewTime(at)
		if err := b.client.Status().Update(t.Context(), current); err != nil {
			t.Fatal(err)
		}
		b.mustPass("r")
	}
	change(devopsv1alpha3.ReasonRunning, noon.Add(time.Second))
	change(devopsv1alpha3.ReasonPaused, noon.Add(2*time.Second))
	got := in.deliveries()
	if len(got) != 2 || got[0].event.ID == got[1].event.ID {
		t.Fatalf("told %d times, want two inputs with different ids", len(got))
	}
	if r := readRecord(b.run("r")); len(r) != 1 {
		t.Errorf("the record grows with every input: %v", r)
	}
}

// TestRetries delivers to a receiver that fails in some way twice and works then.
func TestRetries(t *testing.T) {
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	elsewhere := 0
	cases := map[string]struct {
		reason string
		fail   http.HandlerFunc
		want   string
		after  time.Duration
	}{
		"Error":   {reason: "an error", fail: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, want: "the receiver answered 500"},
		"Denied":  {reason: "a refusal, which the user may repair", fail: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, want: "the receiver answered 403"},
		"TooMany": {reason: "a receiver that says when", fail: func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "77"); w.WriteHeader(429) }, want: "the receiver answered 429", after: 77 * time.Second},
		"Forever": {reason: "a receiver cannot put it off for long", fail: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "9999999")
			w.WriteHeader(503)
		}, want: "the receiver answered 503", after: maxRetryAfter},
		"Redirect": {reason: "a redirect is not followed", fail: func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/elsewhere") {
				elsewhere++
			}
			http.Redirect(w, r, "/elsewhere/"+pathSecret, http.StatusTemporaryRedirect)
		}, want: "the receiver answered 307, a redirect, which is not followed"},
		"Hangs": {reason: "a receiver that does not answer", fail: func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}, want: "the receiver did not answer in"},
		"HangsUp": {reason: "a receiver that hangs up", fail: func(w http.ResponseWriter, _ *http.Request) {
			connection, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = connection.Close()
			}
		}, want: "the receiver cannot be reached: EOF"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			in := newInbox(t, nil)
			calls := 0
			in.answer = func(w http.ResponseWriter, r *http.Request) {
				if calls++; calls <= 2 {
					tc.fail(w, r)
				}
			}
			b := newBench(t, pipeline(notify("hook")), secret(in.URL, ""), ended("r", devopsv1alpha3.Failed, devopsv1alpha3.ReasonFailure))
			b.sender.client.Timeout = 200 * time.Millisecond
			first := b.mustPass("r")
			want := max(DefaultFirstRetry, tc.after)
			if first != want {
				t.Errorf("again after %s, want %s", first, want)
			}
			if e := readRecord(b.run("r"))["failed"]; e.Since == nil || !strings.HasPrefix(e.Error, tc.want) || e.done() {
				t.Errorf("%s: recorded %+v, want %q", tc.reason, e, tc.want)
			}
			b.noSecrets("r")
			if early := b.mustPass("r"); len(in.deliveries()) != 1 || early <= 0 || early > first {
				t.Errorf("a change of the run tries before it is time: %d tries, again after %s", len(in.deliveries()), early)
			}
			version := b.run("r").ResourceVersion
			b.now = b.now.Add(first)
			second := b.mustPass("r")
			if b.run("r").ResourceVersion != version {
				t.Error("every try writes the run")
			}
			if want := max(2*DefaultFirstRetry, tc.after); second != want {
				t.Errorf("again after %s, want %s", second, want)
			}
			b.now = b.now.Add(second)
			if last := b.mustPass("r"); last != 0 {
				t.Errorf("comes back after %s", last)
			}
			got := in.deliveries()
			if len(got) != 3 || string(got[0].body) != string(got[2].body) || got[0].event.ID != got[2].event.ID {
				t.Errorf("%d tries, want three with one body and id", len(got))
			}
			if e := readRecord(b.run("r"))["failed"]; e.Sent == nil || e.Since != nil || e.Error != "" {
				t.Errorf("recorded %+v, want that it was sent", e)
			}
		})
	}
	if elsewhere > 0 {
		t.Error("a redirect was followed")
	}
}

// TestHugeAnswer has a receiver that never ends its answer: what matters is that it took the event.
func TestHugeAnswer(t *testing.T) {
	cut := make(chan int, 1)
	in := newInbox(t, func(w http.ResponseWriter, r *http.Request) {
		chunk, written := make([]byte, 32<<10), 0
		defer func() { cut <- written }()
		for r.Context().Err() == nil {
			n, err := w.Write(chunk)
			if written += n; err != nil {
				return
			}
		}
	})
	b := newBench(t, pipeline(notify("hook")), secret(in.URL, ""), ended("r", devopsv1alpha3.Failed, devopsv1alpha3.ReasonFailure))
	b.mustPass("r")
	// Some megabytes are what both ends of the connection hold.
	if written := <-cut; written > 32<<20 {
		t.Errorf("%d bytes were taken", written)
	}
	if e := readRecord(b.run("r"))["failed"]; e.Sent == nil {
		t.Errorf("recorded %+v", e)
	}
}

// TestGivingUp tries for an hour.
func TestGivingUp(t *testing.T) {
	in := newInbox(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) })
	b := newBench(t, pipeline(notify("hook")), secret(in.URL, ""), ended("r", devopsv1alpha3.Failed, devopsv1alpha3.ReasonFailure))
	passes := 0
	for after := b.mustPass("r"); after > 0; after = b.mustPass("r") {
		b.now = b.now.Add(after)
		if passes++; passes > 100 {
			t.Fatal("it does not end")
		}
		if passes == 5 {
			b.restart(interceptor.Funcs{}) // the hour goes on
		}
	}
	if spent := b.now.Sub(noon); spent < time.Hour || spent > time.Hour+time.Minute {
		t.Errorf("given up after %s", spent)
	}
	if n := len(in.deliveries()); n < 15 || n > 40 {
		t.Errorf("%d tries", n)
	}
	if len(b.events.list) != 1 || !strings.Contains(b.events.list[0], "Warning NotificationFailed") || !strings.Contains(b.events.list[0], "answered 502") {
		t.Errorf("events %q", b.events.list)
	}
	e := readRecord(b.run("r"))["failed"]
	if e.GivenUp == nil || e.Error != "the receiver answered 502" {
		t.Errorf("recorded %+v", e)
	}
	before := len(in.deliveries())
	b.restart(interceptor.Funcs{})
	b.mustPass("r")
	if len(in.deliveries()) != before || len(b.events.list) != 1 {
		t.Error("it is tried again after it was given up")
	}
	b.noSecrets("r")
}

func TestGone(t *testing.T) {
	in := newInbox(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(410) })
	b := newBench(t, pipeline(notify("hook")), secret(in.URL, ""), ended("r", devopsv1alpha3.Failed, devopsv1alpha3.ReasonFailure))
	if after := b.mustPass("r"); after != 0 || len(b.events.list) != 1 {
		t.Errorf("again after %s, events %q; want that it is given up at once", after, b.events.list)
	}
}

// TestRestartBeforeRecord ends the process between sending and recording: it is told again, with the same
// id, and no third time.
func TestRestartBeforeRecord(t *testing.T) {
	in := newInbox(t, nil)
	b := newBench(t, pipeline(notify("hook")), secret(in.URL, ""), ended("r", devopsv1alpha3.Failed, devopsv1alpha3.ReasonFailure))
	b.restart(interceptor.Funcs{Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
		return errors.New("the process is gone")
	}})
	if _, err := b.pass("r"); err == nil {
		t.Fatal("a record that was not written is no success")
	}
	b.restart(interceptor.Funcs{})
	b.mustPass("r")
	b.mustPass("r")
	got := in.deliveries()
	if len(got) != 2 || got[0].event.ID != got[1].event.ID || got[0].header.Get(HeaderDelivery) != got[1].event.ID {
		t.Fatalf("told %d times, want two with one id", len(got))
	}
	if e := readRecord(b.run("r"))["failed"]; e.Sent == nil {
		t.Errorf("recorded %+v", e)
	}
}

// TestFailedRecordIsRepeated keeps the process: it knows what it sent and only records it again.
func TestFailedRecordIsRepeated(t *testing.T) {
	in := newInbox(t, nil)
	b := newBench(t, pipeline(notify("hook")), secret(in.URL, ""), ended("r", devopsv1alpha3.Failed, devopsv1alpha3.ReasonFailure))
	fail := true
	b.restart(interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
		if fail {
			fail = false
			return errors.New("try again")
		}
		return c.Patch(ctx, obj, patch, opts...)
	}})
	if _, err := b.pass("r"); err == nil {
		t.Fatal("a record that was not written is no success")
	}
	b.mustPass("r")
	if n := len(in.deliveries()); n != 1 {
		t.Errorf("told %d times", n)
	}
	if e := readRecord(b.run("r"))["failed"]; e.Sent == nil {
		t.Errorf("recorded %+v", e)
	}
}

// TestStaleCache reads the run as it was before the record: it is not told again.
func TestStaleCache(t *testing.T) {
	in := newInbox(t, nil)
	run := ended("r", devopsv1alpha3.Failed, devopsv1alpha3.ReasonFailure)
	b := newBench(t, pipeline(notify("hook")), secret(in.URL, ""), run)
	b.restart(interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
		if stale, ok := obj.(*devopsv1alpha3.PipelineRun); ok {
			ended("r", devopsv1alpha3.Failed, devopsv1alpha3.ReasonFailure).DeepCopyInto(stale)
			return nil
		}
		return c.Get(ctx, key, obj, opts...)
	}})
	for range 3 {
		b.mustPass("r")
	}
	if n := len(in.deliveries()); n != 1 {
		t.Errorf("told %d times", n)
	}
	// Once the cache has it, nothing is remembered.
	b.newsworthy().Update(event.UpdateEvent{ObjectOld: run, ObjectNew: b.run("r")})
	if len(b.runs) != 0 {
		t.Errorf("%d runs are remembered", len(b.runs))
	}
}

func TestBadSettings(t *testing.T) {
	cases := map[string]struct {
		reason, url, events, kind, want string
		missing                         bool
	}{
		"Missing":   {reason: "no Secret", missing: true, want: `the Secret "hook" does not exist`},
		"Type":      {reason: "another Secret", url: "https://example.com", kind: "Opaque", want: `the Secret "hook" is of type "Opaque"; it must be "slipway.dev/notification"`},
		"Scheme":    {reason: "another scheme", url: "file:///etc/passwd?" + pathSecret, want: "must begin with https:// or http://"},
		"NoURL":     {reason: "no address", url: "", want: "must begin with"},
		"User":      {reason: "a password in the address", url: "https://u:" + pathSecret + "@example.com", want: "holds a user or password"},
		"Events":    {reason: "an unknown event", url: "https://example.com", events: "failed," + pathSecret, want: "it names an event that there is not; there are started, input"},
		"Local":     {reason: "this machine", url: "http://127.0.0.1:1/", want: "the receiver's address is not allowed: it is local to the server"},
		"LinkLocal": {reason: "a cloud's metadata", url: "http://169.254.169.254/", want: "the receiver's address is not allowed"},
		"LocalSix":  {reason: "in any form", url: "http://[::ffff:127.0.0.1]:1/", want: "the receiver's address is not allowed"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := secret("", tc.events)
			s.Data["url"] = []byte(tc.url)
			if tc.kind != "" {
				s.Type = "Opaque"
			}
			objects := []client.Object{pipeline(notify("hook")), ended("r", devopsv1alpha3.Failed, devopsv1alpha3.ReasonFailure)}
			if !tc.missing {
				objects = append(objects, s)
			}
			b := newBench(t, objects...)
			b.Options.AllowLocal = false
			if err := b.init(); err != nil {
				t.Fatal(err)
			}
			if after := b.mustPass("r"); after != DefaultFirstRetry {
				t.Errorf("again after %s", after)
			}
			if e := readRecord(b.run("r"))["failed"]; !strings.Contains(e.Error, tc.want) {
				t.Errorf("%s: %q, want %q", tc.reason, e.Error, tc.want)
			}
			b.noSecrets("r")
		})
	}
}

// TestSlowReceiver has a project whose receiver hangs: its runs wait for each other, those of others do not.
func TestSlowReceiver(t *testing.T) {
	hang := make(chan struct{})
	arrived := make(chan struct{}, 100)
	in := newInbox(t, func(_ http.ResponseWriter, _ *http.Request) { arrived <- struct{}{}; <-hang })
	objects := []client.Object{pipeline(notify("hook")), secret(in.URL, "")}
	for i := range perProject + 1 {
		objects = append(objects, ended(fmt.Sprintf("r%d", i), devopsv1alpha3.Failed, devopsv1alpha3.ReasonFailure))
	}
	b := newBench(t, objects...)
	done := make(chan error, perProject)
	for i := range perProject {
		go func() {
			_, err := b.pass(fmt.Sprintf("r%d", i))
			done <- err
		}()
	}
	for range perProject {
		<-arrived
	}
	if after := b.mustPass(fmt.Sprintf("r%d", perProject)); after < busyWait {
		t.Errorf("one more comes back after %s, want that it waits", after)
	}
	if !b.enter("another") {
		t.Error("another project is held up")
	}
	close(hang)
	for range perProject {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if b.mustPass(fmt.Sprintf("r%d", perProject)); len(in.deliveries()) != perProject+1 {
		t.Errorf("%d deliveries", len(in.deliveries()))
	}
}

func TestBrokenRecord(t *testing.T) {
	for _, text := range []string{"x", "null", "[]", `{"failed":3}`, "{}"} {
		in := newInbox(t, nil)
		run := ended("r", devopsv1alpha3.Failed, devopsv1alpha3.ReasonFailure)
		run.Annotations[devopsv1alpha3.NotifiedAnnotation] = text
		b := newBench(t, pipeline(notify("hook")), secret(in.URL, ""), run)
		b.mustPass("r")
		if e := readRecord(b.run("r"))["failed"]; e.Sent == nil || len(in.deliveries()) != 1 {
			t.Errorf("%s: recorded %+v", text, e)
		}
	}
}
