// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package events

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// flat is an event as today's plugin writes it, nested one of its first versions.
const (
	flat = `{"type":%q,"source":"job/team/job/app/","url":"job/team/job/app/7/","id":"50c33b0e","time":"2026-11-21T13:48:15.307+0800",
		"dataType":"org.jenkinsci.plugins.workflow.job.WorkflowRun","data":{"_class":"io.jenkins.plugins.generic.event.data.WorkflowRunData",
		"actions":[{"_class":"hudson.model.ParametersAction","parameters":[{"name":"P","value":true}]},{},null,7,
		{"_class":"hudson.model.CauseAction","causes":[{"_class":"hudson.model.Cause$RemoteCause","addr":"10.0.0.1","note":"slipway-run:u-1"},{"note":""}]}],
		"building":true,"executor":{},"id":"7","number":7,"queueId":12,"result":null,"timestamp":1795225695293,
		"_multiBranch":false,"_parentFullName":"team","_projectName":"app"}}`
	nested = `{"data":{"multiBranch":true,"parentFullName":"team/mb","projectName":"feature%2Fx","run":{"id":"2","queueId":3,"result":"UNSTABLE","actions":[]}},
		"dataType":"WorkflowRunData","id":"c9d2e7a6","time":"2026-11-21T05:48:16Z","type":"run.finalized"}`
)

func TestParse(t *testing.T) {
	for _, kind := range []Type{RunInitialize, RunStarted, RunCompleted, RunFinalized, RunDeleted} {
		got, err := Parse(fmt.Appendf(nil, flat, kind))
		want := &Event{Type: kind, ID: "50c33b0e", Time: time.Date(2026, 11, 21, 5, 48, 15, 307e6, time.UTC), Folder: "team", Job: "app", Pipeline: "app",
			Build: 7, QueueItem: 12, Start: time.UnixMilli(1795225695293).UTC(), Causes: []string{"slipway-run:u-1"}}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", kind, err, diff)
		}
	}
	got, err := Parse([]byte(nested))
	want := &Event{Type: RunFinalized, ID: "c9d2e7a6", Time: time.Date(2026, 11, 21, 5, 48, 16, 0, time.UTC), Folder: "team", Job: "mb/feature%2Fx", Pipeline: "mb",
		Branch: "feature%2Fx", Build: 2, QueueItem: 3, Result: "UNSTABLE"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("an event of the first plugin: %v\n%s", err, diff)
	}
	if got.Key() != "team/mb/feature%2Fx#2" {
		t.Errorf("key %q", got.Key())
	}
}

func TestParseBadInput(t *testing.T) {
	of := func(data string) string {
		return `{"type":"run.started","time":"2026-11-21T05:48:16.000+0000","data":` + data + `}`
	}
	tests := map[string]struct {
		reason, body string
		want         error
	}{
		"empty":          {"", "", ErrMalformed},
		"no JSON":        {"", "run.started", ErrMalformed},
		"list":           {"an event is an object", "[]", ErrMalformed},
		"null":           {"it says nothing", "null", ErrIncomplete},
		"cut":            {"", `{"type":"run.sta`, ErrMalformed},
		"two":            {"a second value does not hide behind the first", of(`{}`) + "{}", ErrMalformed},
		"no UTF-8":       {"", "{\"type\":\"\xff\"}", ErrMalformed},
		"deep":           {"nesting does not exhaust the stack", strings.Repeat("[", 200_000), ErrMalformed},
		"deep in data":   {"not even where nobody looks", of(`{"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`), ErrMalformed},
		"long":           {"bodies are bounded", `{"x":"` + strings.Repeat("x", MaxBytes) + `"}`, ErrMalformed},
		"type a number":  {"", `{"type":7}`, ErrMalformed},
		"no type":        {"", `{}`, ErrIncomplete},
		"item event":     {"the plugin tells of items, too", `{"type":"item.created","data":{}}`, ErrOther},
		"no time":        {"replays are told by the time", `{"type":"run.started","data":{}}`, ErrIncomplete},
		"bad time":       {"", `{"type":"run.started","time":"yesterday","data":{}}`, ErrMalformed},
		"no data":        {"", `{"type":"run.started","time":"2026-11-21T05:48:16Z"}`, ErrIncomplete},
		"data a text":    {"", of(`"x"`), ErrMalformed},
		"freestyle":      {"a build of another kind of job has no project", of(`{"id":"1","number":1}`), ErrOther},
		"no folder":      {"a job at the root is no pipeline of ours", of(`{"_parentFullName":"","_projectName":"a","number":1}`), ErrOther},
		"branch at root": {"", of(`{"_parentFullName":"mb","_projectName":"main","_multiBranch":true,"number":1}`), ErrOther},
		"dots":           {"no path tricks", of(`{"_parentFullName":"..","_projectName":"a","number":1}`), ErrMalformed},
		"slash":          {"a project is one name", of(`{"_parentFullName":"p","_projectName":"a/b","number":1}`), ErrMalformed},
		"empty segment":  {"", of(`{"_parentFullName":"p//q","_projectName":"a","number":1}`), ErrMalformed},
		"control":        {"", of(`{"_parentFullName":"p","_projectName":"a\u0000","number":1}`), ErrMalformed},
		"long name":      {"", of(`{"_parentFullName":"` + strings.Repeat("p", 3000) + `","_projectName":"a","number":1}`), ErrMalformed},
		"no number":      {"", of(`{"_parentFullName":"p","_projectName":"a","id":"x"}`), ErrIncomplete},
		"negative":       {"", of(`{"_parentFullName":"p","_projectName":"a","number":-1}`), ErrIncomplete},
		"fraction":       {"", of(`{"_parentFullName":"p","_projectName":"a","number":1.5}`), ErrMalformed},
		"huge number":    {"", of(`{"_parentFullName":"p","_projectName":"a","number":1e40}`), ErrMalformed},
		"long id":        {"", `{"type":"run.started","id":"` + strings.Repeat("x", 200) + `","time":"2026-11-21T05:48:16Z","data":{}}`, ErrMalformed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Parse([]byte(tt.body))
			if !errors.Is(err, tt.want) || got != nil {
				t.Errorf("%s: got %+v, %v, want %v", tt.reason, got, err, tt.want)
			}
		})
	}
}

func TestParseKeepsUnicode(t *testing.T) {
	got, err := Parse([]byte(`{"type":"run.started","time":"2026-11-21T05:48:16.1+0000","data":{"_parentFullName":"p","_projectName":"größe 大","number":1}}`))
	if err != nil || got.Job != "größe 大" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestErrorsRepeatNoValues(t *testing.T) {
	_, err := Parse([]byte(`{"type":"run.started","time":"2026-11-21T05:48:16Z","data":{"_projectName":"a","_parentFullName":"p","number":"hunter2"}}`))
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func TestOrder(t *testing.T) {
	order := []Type{RunInitialize, RunStarted, RunCompleted, RunFinalized, RunDeleted}
	for i, kind := range order {
		if kind.Rank() != i+1 || kind.Live() != (i < 2) {
			t.Errorf("%s: rank %d, live %t", kind, kind.Rank(), kind.Live())
		}
	}
	if Type("item.created").Rank() != 0 {
		t.Error("an event of an item has a place in the life of a build")
	}
}

func TestNote(t *testing.T) {
	e, err := Parse(fmt.Appendf(nil, flat, RunStarted))
	if err != nil {
		t.Fatal(err)
	}
	note := NoteOf(e)
	back, ok := ParseNote(note.String())
	if diff := cmp.Diff(note, back); diff != "" || !ok {
		t.Errorf("the note does not come back:\n%s", diff)
	}
	for _, text := range []string{"", "x", "[]", "{}", `{"type":"run.started"}`, `{"type":"boom","build":1}`, `{"type":"run.started","build":-1}`,
		`{"type":"run.started","build":1,"time":7}`, `{"type":"run.started","build":1,"x":"` + strings.Repeat("x", 5000) + `"}`} {
		if got, ok := ParseNote(text); ok || got != (Note{}) {
			t.Errorf("%.60q is taken for %+v", text, got)
		}
	}
	later := note
	later.Type = RunFinalized
	other := note
	other.Build, other.Time = 8, note.Time.Add(time.Second)
	for name, tt := range map[string]struct {
		n, known Note
		want     bool
	}{
		"later in life": {later, note, true}, "sent again": {note, note, false}, "out of order": {note, later, false},
		"another build": {other, later, true}, "an older build": {later, other, false}, "first": {note, Note{}, true},
	} {
		if got := tt.n.Follows(tt.known); got != tt.want {
			t.Errorf("%s: news: %t, want %t", name, got, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(fmt.Appendf(nil, flat, RunStarted))
	f.Add([]byte(nested))
	f.Add([]byte(`{"type":"run.deleted","time":"2026-11-21T05:48:16Z","data":{"_parentFullName":"a/b","_projectName":"c","_multiBranch":true,"number":9,"actions":[[],{"causes":7}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := Parse(body)
		if err != nil {
			if e != nil || !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrOther) && !errors.Is(err, ErrIncomplete) {
				t.Fatalf("%v with %+v", err, e)
			}
			return
		}
		if e.Type.Rank() == 0 || e.Build < 1 || e.QueueItem < 0 || e.Folder == "" || e.Job == "" || e.Pipeline == "" || e.Time.IsZero() && len(body) == 0 {
			t.Fatalf("half an event: %+v", e)
		}
		for segment := range strings.SplitSeq(e.Folder+"/"+e.Job, "/") {
			if segment == "" || segment == "." || segment == ".." {
				t.Fatalf("an event leads to %q", e.Folder+"/"+e.Job)
			}
		}
	})
}
