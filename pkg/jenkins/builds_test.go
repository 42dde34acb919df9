// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestStartBuild(t *testing.T) {
	t.Run("answers of Jenkins", func(t *testing.T) {
		c, srv := replay(t, "04-trigger.json", "03-pipeline-job.json")
		for _, tc := range []struct {
			exchange, folder, job string
			params                bool
			id                    int64
			want                  error
		}{
			{"par: buildWithParameters in the body", "rec-04c", "par", true, 512, nil},
			{"plain: buildWithParameters on a job without parameters", "rec-04c", "plain", true, 0, ErrInvalid},
			{"par: build (job has parameters)", "rec-04c", "par", false, 0, ErrInvalid},
			{"build a disabled job", "rec-03", "p2", false, 0, ErrConflict},
		} {
			srv.AnyBody(tc.exchange)
			id, err := c.StartBuild(t.Context(), tc.folder, tc.job, StartRequest{HasParameters: tc.params})
			if id != tc.id || !errors.Is(err, tc.want) {
				t.Errorf("%s: %d, %v", tc.exchange, id, err)
			}
		}
	})
	t.Run("an equal start waits already: 303 with its item", func(t *testing.T) {
		c, srv := replay(t, "04-trigger.json")
		srv.Use("one: second (concurrent builds disabled)", "one: same parameters as the waiting second").
			AnyBody("one: second (concurrent builds disabled)", "one: same parameters as the waiting second")
		for range 2 {
			id, err := c.StartBuild(t.Context(), "rec-04c", "one", StartRequest{HasParameters: true})
			if err != nil || id != 625 {
				t.Fatalf("StartBuild = %d, %v", id, err)
			}
		}
	})
	t.Run("the request", func(t *testing.T) {
		var got url.Values
		var path string
		c := handler(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			got, _ = url.ParseQuery(string(body))
			path = r.URL.RequestURI()
			w.Header().Set("Location", "http://ci/queue/item/9/")
			w.WriteHeader(http.StatusCreated)
		})
		req := StartRequest{Token: "tok&x=y", Cause: "slipway-run:1", HasParameters: true, Parameters: []Parameter{{"N", "ü €\n& \"x\" <y>"}, {"E", ""}}}
		if _, err := c.StartBuild(t.Context(), "f", "j", req); err != nil {
			t.Fatal(err)
		}
		want := url.Values{"token": {"tok&x=y"}, "cause": {"slipway-run:1"}, "delay": {"0sec"}, "N": {"ü €\n& \"x\" <y>"}, "E": {""}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if path != "/job/f/job/j/buildWithParameters" {
			t.Errorf("path = %s: nothing of the form may be in the address", path)
		}
	})
	for reason, params := range map[string][]Parameter{
		"reserved name": {{"token", "x"}},
		"twice":         {{"A", "1"}, {"A", "2"}},
		"no name":       {{"", "1"}},
	} {
		t.Run("refused: "+reason, func(t *testing.T) {
			c := handler(t, func(http.ResponseWriter, *http.Request) { t.Error("the call was made") })
			if _, err := c.StartBuild(t.Context(), "f", "j", StartRequest{Parameters: params}); !errors.Is(err, ErrInvalid) {
				t.Fatalf("err = %v", err)
			}
		})
	}
	for reason, location := range map[string]string{"none": "", "the job": "http://ci/job/f/job/j/", "no number": "http://ci/queue/item/x/"} {
		t.Run("Location is "+reason, func(t *testing.T) {
			c := handler(t, func(w http.ResponseWriter, _ *http.Request) {
				if location != "" {
					w.Header().Set("Location", location)
				}
				w.WriteHeader(http.StatusCreated)
			})
			if id, err := c.StartBuild(t.Context(), "f", "j", StartRequest{}); !errors.Is(err, ErrUnexpected) {
				t.Fatalf("StartBuild = %d, %v", id, err)
			}
		})
	}
}

// causeServer is a Jenkins whose start moves on at each round of questions.
func causeServer(t *testing.T, rounds []string) (*Client, *int) {
	t.Helper()
	questions := 0
	action := `"actions":[{"_class":"hudson.model.CauseAction","causes":[{"note":"other"},{"note":"slipway-run:1"}]},{}]`
	return handler(t, func(w http.ResponseWriter, r *http.Request) {
		state := rounds[min(questions/2, len(rounds)-1)]
		queue := strings.HasPrefix(r.URL.Path, "/queue/")
		questions++
		switch {
		case queue && state == "queued":
			_, _ = fmt.Fprintf(w, `{"items":[{"id":3,"actions":[]},{"id":7,%s}]}`, action)
		case !queue && state == "built":
			_, _ = fmt.Fprintf(w, `{"builds":[{"number":5,"queueId":8,"actions":[{}]},{"number":4,"queueId":7,%s}]}`, action)
		default:
			_, _ = io.WriteString(w, "{}")
		}
	}), &questions
}

func TestFindByCause(t *testing.T) {
	for reason, tc := range map[string]struct {
		rounds    []string
		want      *Found
		err       error
		questions int
	}{
		"waits in the queue":         {[]string{"queued"}, &Found{QueueID: 7}, nil, 1},
		"is a build":                 {[]string{"built"}, &Found{QueueID: 7, BuildNumber: 4}, nil, 2},
		"was just leaving the queue": {[]string{"leaving", "built"}, &Found{QueueID: 7, BuildNumber: 4}, nil, 4},
		"never was":                  {[]string{"nothing"}, nil, ErrNotFound, 4},
	} {
		t.Run(reason, func(t *testing.T) {
			c, questions := causeServer(t, tc.rounds)
			got, err := c.FindByCause(t.Context(), "f", "j", "slipway-run:1")
			if !errors.Is(err, tc.err) {
				t.Fatalf("err = %v", err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			if *questions != tc.questions {
				t.Errorf("%d questions, want %d", *questions, tc.questions)
			}
		})
	}
	t.Run("recorded queue and builds without the cause", func(t *testing.T) {
		c, _ := replay(t, "04-trigger.json")
		if got, err := c.FindByCause(t.Context(), "rec-04c", "one", "slipway-run:1"); !errors.Is(err, ErrNotFound) {
			t.Fatalf("FindByCause = %+v, %v", got, err)
		}
	})
	t.Run("a dead Jenkins is not \"not found\"", func(t *testing.T) {
		c := handler(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
		if _, err := c.FindByCause(t.Context(), "f", "j", "x"); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrNotFound) {
			t.Fatalf("err = %v", err)
		}
	})
}

func TestQueueItems(t *testing.T) {
	c, srv := replay(t, "04-trigger.json")
	ctx := t.Context()
	waiting, err := c.GetQueueItem(ctx, 625)
	if err != nil || waiting.BuildNumber != 0 || !strings.Contains(waiting.Why, "already in progress") || waiting.Cancelled {
		t.Fatalf("waiting = %+v, %v", waiting, err)
	}
	srv.Final()
	left, err := c.GetQueueItem(ctx, 625)
	if err != nil || left.BuildNumber != 2 || left.Why != "" {
		t.Fatalf("left = %+v, %v", left, err)
	}
	if err := c.CancelQueueItem(ctx, 626); err != nil {
		t.Fatal(err)
	}
	item, err := c.GetQueueItem(ctx, 626)
	if err != nil || !item.Cancelled || item.BuildNumber != 0 {
		t.Fatalf("cancelled = %+v, %v", item, err)
	}
	if err := c.CancelQueueItem(ctx, 626); err != nil {
		t.Fatalf("cancelled twice: %v", err)
	}
	if err := c.CancelQueueItem(ctx, 99999999); !errors.Is(err, ErrNotFound) {
		t.Fatalf("missing: %v", err)
	}
	if _, err := c.GetQueueItem(ctx, 99999999); !errors.Is(err, ErrNotFound) {
		t.Fatalf("missing: %v", err)
	}
	if _, err := c.GetQueueItem(ctx, 0); !errors.Is(err, ErrInvalid) {
		t.Fatalf("0: %v", err)
	}
}

func TestCancelOfAStartedItem(t *testing.T) {
	c := handler(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, `{"id":7,"executable":{"number":12}}`)
	})
	err := c.CancelQueueItem(t.Context(), 7)
	if !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "build 12") {
		t.Fatalf("err = %v", err)
	}
}

func TestStopAndDelete(t *testing.T) {
	c, srv := replay(t, "06-classic-run-life.json")
	ctx := t.Context()
	if err := c.StopBuild(ctx, "rec-06b", "big", 4); err != nil {
		t.Fatal(err)
	}
	if err := c.StopBuild(ctx, "rec-06b", "big", 99); !errors.Is(err, ErrNotFound) {
		t.Fatalf("err = %v", err)
	}
	err := c.DeleteBuild(ctx, "rec-06b", "big", 1)
	if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "marked to be kept") {
		t.Fatalf("a kept build: %v", err)
	}
	for range 2 {
		if err := c.DeleteBuild(ctx, "rec-06b", "big", 1); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"delete a kept run", "delete", "delete again"}; !cmp.Equal(want, srv.Calls()[2:]) {
		t.Errorf("calls = %v", srv.Calls())
	}
}

func TestBuildStatuses(t *testing.T) {
	t.Run("60 builds of 12 jobs by one call", func(t *testing.T) {
		c, srv := replay(t, "14-busy.json")
		c.cfg.StatusDepth = 20
		srv.Use("folder poll 11")
		got, err := c.BuildStatuses(t.Context(), "rec-14")
		if err != nil || len(got) != 12 {
			t.Fatalf("%d jobs, %v", len(got), err)
		}
		n := 0
		for _, list := range got {
			n += len(list)
		}
		if n != 60 {
			t.Errorf("%d builds", n)
		}
		first := got["j00"][0]
		if first.Number != 5 || first.Building || first.Result != ResultSuccess || first.QueueID == 0 || first.Duration <= 0 || first.Start.Year() != 2026 {
			t.Errorf("first = %+v", first)
		}
		if calls := srv.Calls(); len(calls) != 1 {
			t.Errorf("calls = %v", calls)
		}
	})
	t.Run("branches", func(t *testing.T) {
		c := handler(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"jobs":[{"name":"mb","jobs":[{"name":"feature%2Fx","builds":[{"number":2,"result":null,"building":true,"timestamp":1795222962391,"queueId":9}]}]},{"name":"p","builds":[]}]}`)
		})
		got, err := c.BuildStatuses(t.Context(), "f")
		if err != nil {
			t.Fatal(err)
		}
		want := map[string][]BuildStatus{"p": {}, "mb": {}, "mb/feature%2Fx": {{Number: 2, QueueID: 9, Building: true, Start: time.UnixMilli(1795222962391).UTC()}}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestGetRun(t *testing.T) {
	t.Run("just started: 404, then there", func(t *testing.T) {
		c, _ := replay(t, "05-blue-run-life.json")
		if _, err := c.GetRun(t.Context(), "rec-05e", "seed", 2); !errors.Is(err, ErrNotFound) {
			t.Fatalf("err = %v", err)
		}
		run, err := c.GetRun(t.Context(), "rec-05e", "seed", 2)
		if err != nil || run.State != StateRunning || run.Result != ResultUnknown || !run.EndTime.IsZero() {
			t.Fatalf("run = %+v, %v", run, err)
		}
		var doc map[string]any
		if err := json.Unmarshal(run.RawJSON, &doc); err != nil {
			t.Fatal(err)
		}
		if v, ok := doc["endTime"]; !ok || v != nil {
			t.Errorf("endTime = %v, want null", v)
		}
	})
	t.Run("the console's JSON of a finished run", func(t *testing.T) {
		c, _ := replay(t, "08-multibranch.json")
		run, err := c.GetRun(t.Context(), "rec-08c", BranchJob("mb", "main"), 3)
		if err != nil {
			t.Fatal(err)
		}
		want := `{"id":"3","organization":"jenkins","pipeline":"main","queueId":"QID","state":"FINISHED","result":"SUCCESS","enQueueTime":"2026-11-21T01:02:42.351Z",` +
			`"startTime":"2026-11-21T01:02:42.381Z","endTime":"2026-11-21T01:02:44.908Z","durationInMillis":2527,"estimatedDurationInMillis":2852,"runSummary":"stable",` +
			`"type":"WorkflowRun","replayable":true,"causes":[{"shortDescription":"Branch indexing"}],"changeSet":[{"commitId":"3c0778ad2c0bbc1ded368f239a40a688f3f08598",` +
			`"author":{"id":"dev","fullName":"dev","email":"dev@example.invalid"},"msg":"second commit: more","timestamp":"2026-01-03T00:00:00Z","affectedPaths":["Jenkinsfile","README"]}],` +
			`"commitId":"3c0778ad2c0bbc1ded368f239a40a688f3f08598","branch":{"isPrimary":true,"url":"main"},"artifactsZipFile":null}`
		want = strings.Replace(want, `"queueId":"QID",`, "", 1)
		if diff := cmp.Diff(want, string(run.RawJSON)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("branch with a slash", func(t *testing.T) {
		c, _ := replay(t, "08-multibranch.json")
		run, err := c.GetRun(t.Context(), "rec-08c", BranchJob("mb", BranchJobName("feature/x")), 1)
		if err != nil || run.ID != "1" {
			t.Fatalf("run = %+v, %v", run, err)
		}
	})
	t.Run("a long change set stays small", func(t *testing.T) {
		c := handler(t, func(w http.ResponseWriter, _ *http.Request) {
			paths := strings.Repeat(`"p",`, 999) + `"p"`
			change := fmt.Sprintf(`{"msg":%q,"affectedPaths":[%s],"timestamp":"2026-01-03T00:00:00.000+0800"}`, strings.Repeat("ü", 5000), paths)
			_, _ = fmt.Fprintf(w, `{"id":"1","changeSet":[%s]}`, strings.Repeat(change+",", 99)+change)
		})
		run, err := c.GetRun(t.Context(), "f", "j", 1)
		if err != nil || len(run.ChangeSet) != 100 || len(run.RawJSON) > 64<<10 {
			t.Fatalf("%d changes, %d bytes, %v", len(run.ChangeSet), len(run.RawJSON), err)
		}
		if !strings.Contains(string(run.RawJSON), "2026-01-02T16:00:00Z") {
			t.Error("the time is not in UTC")
		}
	})
	t.Run("bad time", func(t *testing.T) {
		c := handler(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"startTime":"yesterday"}`) })
		if _, err := c.GetRun(t.Context(), "f", "j", 1); !errors.Is(err, ErrUnexpected) {
			t.Fatalf("err = %v", err)
		}
	})
}

func TestStages(t *testing.T) {
	c, srv := replay(t, "05-blue-run-life.json")
	srv.Final()
	stages, err := c.Stages(t.Context(), "rec-05e", "big", 1)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range stages {
		names = append(names, fmt.Sprintf("%s %s %s %s %d", s.DisplayName, s.Type, s.State, s.Result, len(s.Steps)))
		if s.Steps == nil {
			t.Errorf("%s: steps are null, want an empty list", s.DisplayName)
		}
	}
	want := []string{
		"prepare STAGE FINISHED SUCCESS 3", "fan STAGE FINISHED SUCCESS 4", "left PARALLEL FINISHED SUCCESS 2", "right PARALLEL FINISHED SUCCESS 2",
		"nested STAGE FINISHED SUCCESS 1", "inner one STAGE FINISHED SUCCESS 1",
		"inner two STAGE SKIPPED NOT_BUILT 0", "skipped STAGE SKIPPED NOT_BUILT 0", "tests STAGE FINISHED SUCCESS 2", "gate STAGE SKIPPED NOT_BUILT 0",
		"end STAGE FINISHED SUCCESS 1", "after STAGE FINISHED SUCCESS 3",
		"right one STAGE FINISHED SUCCESS 1", "right two STAGE FINISHED SUCCESS 1",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	for _, call := range srv.Calls() {
		if strings.Contains(call, "skipped") || strings.Contains(call, "gate") {
			t.Errorf("the steps of a skipped stage were asked for: %s", call)
		}
	}
	doc, err := json.Marshal(stages[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"id":"12"`, `"edges":[{"id":"19","type":"STAGE"}]`, `"startTime":"2026-11-21T01:03:`, `"steps":[{"id":"13","displayName":"Print Message"`} {
		if !strings.Contains(string(doc), want) {
			t.Errorf("%s lacks %s", doc, want)
		}
	}
	for _, not := range []string{"_class", "_links", "approvable", "null"} {
		if strings.Contains(string(doc), not) {
			t.Errorf("%s holds %s", doc, not)
		}
	}
}

func TestStagesErrors(t *testing.T) {
	t.Run("a stage that is not known yet has no steps", func(t *testing.T) {
		c := handler(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/nodes/") {
				_, _ = io.WriteString(w, `[{"id":"5","state":"RUNNING"}]`)
				return
			}
			notFound(w, r)
		})
		got, err := c.Stages(t.Context(), "f", "j", 1)
		if err != nil || len(got) != 1 || len(got[0].Steps) != 0 {
			t.Fatalf("stages = %+v, %v", got, err)
		}
	})
	t.Run("one failing call fails all, and nothing hangs", func(t *testing.T) {
		c := handler(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/nodes/") {
				var nodes []string
				for i := range 300 {
					nodes = append(nodes, fmt.Sprintf(`{"id":"%d","state":"RUNNING"}`, i+1))
				}
				_, _ = fmt.Fprintf(w, "[%s]", strings.Join(nodes, ","))
				return
			}
			if strings.Contains(r.URL.Path, "/nodes/77/") {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			_, _ = io.WriteString(w, "[]")
		})
		if _, err := c.Stages(t.Context(), "f", "j", 1); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("err = %v", err)
		}
	})
}

func TestPaging(t *testing.T) {
	t.Run("recorded pages", func(t *testing.T) {
		c, srv := replay(t, "05-blue-run-life.json")
		srv.Final()
		all, err := c.Nodes(t.Context(), "rec-05e", "big", 1)
		if err != nil {
			t.Fatal(err)
		}
		// The recording has the first two pages of two.
		l := pages{op: "t", path: "/blue/rest/organizations/jenkins/pipelines/rec-05e/pipelines/big/runs/1/nodes/", size: 2, first: url.Values{"limit": {"2"}}}
		srv.Exchange("nodes start=2&limit=2").Response.Body.JSON = srv.Exchange("nodes start=2&limit=2").Response.Body.JSON.([]any)[:1]
		got, err := getPages[Stage](t.Context(), c, l)
		if err != nil || len(got) != 3 {
			t.Fatalf("%d stages, %v", len(got), err)
		}
		for i := range got {
			if got[i].ID != all[i].ID {
				t.Errorf("stage %d is %s, want %s", i, got[i].ID, all[i].ID)
			}
		}
	})
	t.Run("250 steps", func(t *testing.T) {
		c := handler(t, func(w http.ResponseWriter, r *http.Request) {
			var start int
			_, _ = fmt.Sscan(r.URL.Query().Get("start"), &start)
			var list []Step
			for i := start; i < min(start+100, 250); i++ {
				list = append(list, Step{ID: fmt.Sprint(i)})
			}
			_ = json.NewEncoder(w).Encode(list)
		})
		got, err := c.Steps(t.Context(), "f", "j", 1, "5")
		if err != nil || len(got) != 250 || got[249].ID != "249" {
			t.Fatalf("%d steps, %v", len(got), err)
		}
	})
	t.Run("a server that ignores start", func(t *testing.T) {
		page, err := json.Marshal(make([]Step, 100))
		if err != nil {
			t.Fatal(err)
		}
		c := handler(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page) })
		if _, err := c.Steps(t.Context(), "f", "j", 1, "5"); !errors.Is(err, ErrTooLarge) {
			t.Fatalf("err = %v", err)
		}
	})
}

func TestInput(t *testing.T) {
	c, _ := replay(t, "07-input.json")
	ctx := t.Context()
	steps, err := c.Steps(ctx, "rec-07b", "gate", 1, "4")
	if err != nil {
		t.Fatal(err)
	}
	in := steps[0].Input
	if in == nil || in.ID != "Gate1" || in.OK != "yes please" || len(in.Parameters) != 3 || in.Parameters[1].Default.Value != true || len(in.Parameters[2].Choices) != 2 {
		t.Fatalf("input = %+v", in)
	}
	if steps, err = c.Steps(ctx, "rec-07b", "stage", 1, "4"); err != nil || steps[0].Input.Submitter != "admin" {
		t.Fatalf("steps = %+v, %v", steps, err)
	}
	if err := c.SubmitInput(ctx, "rec-07b", "gate", 3, Answer{Node: "4", Step: "5", InputID: "Gate1", Abort: true}); err != nil {
		t.Fatal(err)
	}
	err = c.SubmitInput(ctx, "rec-07b", "gate", 3, Answer{Node: "4", Step: "5", InputID: "Gate1", Abort: true})
	if !errors.Is(err, ErrInvalid) {
		t.Fatalf("answered already: %v", err)
	}
}

func TestReplayRun(t *testing.T) {
	c, srv := replay(t, "05-blue-run-life.json")
	srv.AnyBody("replay the unstable run", "replay a missing run")
	if id, err := c.ReplayRun(t.Context(), "rec-05e", "big", 3); err != nil || id == 0 {
		t.Fatalf("ReplayRun = %d, %v", id, err)
	}
	if _, err := c.ReplayRun(t.Context(), "rec-05e", "big", 99); !errors.Is(err, ErrNotFound) {
		t.Fatalf("err = %v", err)
	}
	for reason, code := range map[string]int{"no queue item": http.StatusOK, "a redirect to nowhere": http.StatusFound} {
		c := handler(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, "{}")
		})
		_, err := c.ReplayRun(t.Context(), "f", "j", 1)
		var e *Error
		// Without a status it would mean that nothing was sent, and the run would end while its build begins.
		if !errors.Is(err, ErrUnexpected) || !errors.As(err, &e) || e.Status != code {
			t.Errorf("%s: %v", reason, err)
		}
	}
}
