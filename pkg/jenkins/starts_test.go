// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// startsJenkins answers with a job as recordings 03 and 06 show them: a replay, a run of a form with a
// password and a file, a scan, and a remote start.
func startsJenkins(queue string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.EscapedPath() {
		case "/queue/api/json":
			_, _ = w.Write([]byte(queue))
		case "/job/f/job/p/job/feature%252Fx/api/json":
			_, _ = w.Write([]byte(`{"_class":"org.jenkinsci.plugins.workflow.job.WorkflowJob","builds":[
				{"number":9,"queueId":178,"building":true,"result":null,"timestamp":1795222800000,"actions":[{},
					{"_class":"hudson.model.CauseAction","causes":[
						{"_class":"hudson.model.Cause$UserIdCause","shortDescription":"Started by user u","userId":"u"},
						{"_class":"org.jenkinsci.plugins.workflow.cps.replay.ReplayCause","shortDescription":"Replayed #3"}]}]},
				{"number":8,"queueId":170,"building":false,"result":"SUCCESS","timestamp":1795222700000,"actions":[
					{"_class":"hudson.model.CauseAction","causes":[{"_class":"hudson.model.Cause$RemoteCause","shortDescription":"Started by remote host","note":"slipway-run:1"}]},
					{"_class":"hudson.model.ParametersAction","parameters":[
						{"_class":"hudson.model.StringParameterValue","name":"N","value":"ü\n2"},
						{"_class":"hudson.model.BooleanParameterValue","name":"FLAG","value":true},
						{"_class":"hudson.model.PasswordParameterValue","name":"PW"},
						{"_class":"hudson.model.FileParameterValue","name":"FILE"},
						{"_class":"hudson.model.RunParameterValue","name":"RUN","value":{"number":1}}]}]},
				{"number":7,"queueId":160,"building":false,"result":"SUCCESS","timestamp":1795222600000,"actions":[
					{"causes":[{"_class":"org.example.Cause","shortDescription":"Replayed #3"}]}]}]}`))
		default:
			notFound(w, r)
		}
	}
}

func TestStartedBuilds(t *testing.T) {
	c := handler(t, startsJenkins(`{"items":[]}`))
	got, err := c.StartedBuilds(t.Context(), "f", "p/feature%2Fx")
	if err != nil {
		t.Fatal(err)
	}
	want := []StartedBuild{
		{Number: 9, QueueID: 178, Building: true, Start: time.UnixMilli(1795222800000).UTC(), Causes: []StartCause{
			{Class: "UserIdCause", Text: "Started by user u", UserID: "u"}, {Class: "ReplayCause", Text: "Replayed #3"}}},
		{Number: 8, QueueID: 170, Result: "SUCCESS", Start: time.UnixMilli(1795222700000).UTC(),
			Causes:     []StartCause{{Class: "RemoteCause", Text: "Started by remote host", Note: "slipway-run:1"}},
			Parameters: []Parameter{{"N", "ü\n2"}, {"FLAG", "true"}}},
		{Number: 7, QueueID: 160, Result: "SUCCESS", Start: time.UnixMilli(1795222600000).UTC(), Causes: []StartCause{{Class: "Cause", Text: "Replayed #3"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := c.StartedBuilds(t.Context(), "f", "none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a job that is not there: %v", err)
	}
	if _, err := c.StartedBuilds(t.Context(), "f", "../x"); !errors.Is(err, ErrInvalid) {
		t.Errorf("a path out of the folder: %v", err)
	}
}

// queueItem is an item of the queue; Jenkins' idea of its address is another than the client's.
func queueItem(id, job, causes string) string {
	return `{"id":` + id + `,"task":{"url":"http://jenkins.example/prefix` + job + `"},"actions":[{"causes":[` + causes + `]}]}`
}

func TestUnmarkedStarts(t *testing.T) {
	const cause = `{"_class":"hudson.model.Cause$UserIdCause","shortDescription":"Started by user u","userId":"u"},{"_class":"org.jenkinsci.plugins.workflow.cps.replay.ReplayCause","shortDescription":"Replayed #3"}`
	queue := `{"items":[` + strings.Join([]string{
		queueItem("181", "/job/f/job/p/job/feature%252Fx/", cause),
		queueItem("180", "/job/f/job/p/job/feature%252Fx/", `{"_class":"hudson.model.Cause$UserIdCause","shortDescription":"Replayed #3"}`),
		queueItem("179", "/job/f/job/p/job/feature%252Fx/", strings.Replace(cause, `"u"`, `"x"`, 1)),
		queueItem("182", "/job/f/job/p/job/main/", cause),
		queueItem("183", "/job/other/job/f/job/p/job/feature%252Fx/", cause),
		queueItem("184", "/job/f/job/p/job/feature%252Fx/", strings.Replace(cause, "#3", "#33", 1)),
		`{"id":185,"task":{},"actions":[]}`,
		queueItem("186", "/job/f/job/p/job/feature%252Fx/", `{"_class":"hudson.model.Cause$UserIdCause","shortDescription":"Started by user u","userId":"U"}`),
		queueItem("187", "/job/f/job/p/job/feature%252Fx/", `{"_class":"hudson.model.Cause$UserIdCause","shortDescription":"Started by user x","userId":"x"}`),
	}, ",") + `]}`
	c := handler(t, startsJenkins(queue))
	const folder, job = "f", "p/feature%2Fx"
	got, err := c.UnmarkedStarts(t.Context(), folder, job, StartMatch{Replay: 3})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Found{{QueueID: 178, BuildNumber: 9}, {QueueID: 181}}, got); diff != "" {
		t.Errorf("only replays of this build of this job: -want +got:\n%s", diff)
	}
	for reason, tc := range map[string]struct {
		match StartMatch
		want  *Found
	}{
		"the oldest":                        {StartMatch{Replay: 3}, &Found{QueueID: 178, BuildNumber: 9}},
		"the next one":                      {StartMatch{Replay: 3, Except: []int64{178}}, &Found{QueueID: 181}},
		"all are known":                     {StartMatch{Replay: 3, Except: []int64{181, 178}}, nil},
		"others are no use":                 {StartMatch{Replay: 3, Except: []int64{182}}, &Found{QueueID: 178, BuildNumber: 9}},
		"an older build came into sight":    {StartMatch{Replay: 3, Since: time.UnixMilli(1795222800001)}, &Found{QueueID: 181}},
		"a start by the user of the client": {StartMatch{}, &Found{QueueID: 186}},
	} {
		found, err := c.FindUnmarkedStart(t.Context(), folder, job, tc.match)
		if diff := cmp.Diff(tc.want, found); diff != "" || (tc.want == nil) != errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v %s", reason, err, diff)
		}
	}
}
