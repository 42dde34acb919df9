// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/slipway-dev/slipway/pkg/jenkins/events"
)

// receivedEvent is an event as a receiver reads it.
type receivedEvent struct {
	Type, Source, URL, ID, Time, DataType string
	Data                                  struct {
		Actions []struct {
			Class  string `json:"_class"`
			Causes []struct {
				Class string `json:"_class"`
				Short string `json:"shortDescription"`
				Note  string
			}
		}
		ID                          string
		Number                      int
		QueueID                     int64 `json:"queueId"`
		Result                      *string
		Building                    bool
		Timestamp, Duration         int64
		ParentFullName, ProjectName string
		MultiBranch                 *bool
		Parent                      string `json:"_parentFullName"`
		Project                     string `json:"_projectName"`
		Multi                       *bool  `json:"_multiBranch"`
	}
}

// eventReceiver keeps what it is sent.
type eventReceiver struct {
	*httptest.Server
	mu   sync.Mutex
	list []receivedEvent
	auth []string
	// answer is the status for the next request; 200 if nil.
	answer func() int
}

func newEventReceiver(t *testing.T) *eventReceiver {
	t.Helper()
	r := &eventReceiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.auth = append(r.auth, req.Header.Get("Authorization"))
		if r.answer != nil {
			if code := r.answer(); code != http.StatusOK {
				w.WriteHeader(code)
				return
			}
		}
		// Slipway's own receiver must understand it.
		if _, perr := events.Parse(body); perr != nil {
			t.Error(perr)
		}
		var ev receivedEvent
		if err != nil || json.Unmarshal(body, &ev) != nil || req.Header.Get("Content-Type") != "application/json" || req.Header.Get("X-Event-Type") != ev.Type {
			t.Errorf("bad event: %s %v", body, err)
		}
		r.list = append(r.list, ev)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *eventReceiver) types(source string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, e := range r.list {
		if e.URL == source {
			out = append(out, e.Type)
		}
	}
	return out
}

func (r *eventReceiver) option(c *Config, s *Server) {
	if c != nil {
		c.EventsURL, c.EventsToken = r.URL+"/hook", "secret"
	}
	if s != nil {
		s.events.backoff = wait.Backoff{Duration: time.Millisecond, Factor: 2, Steps: 5, Cap: 10 * time.Millisecond}
	}
}

func TestEvents(t *testing.T) {
	rec := newEventReceiver(t)
	h := newHarness(t, t.TempDir(), rec.option)
	h.folder("fo")
	h.job("fo", "jo b", script("stage a"), "", "<authToken>tok</authToken>")
	h.want(201, "POST", "/job/fo/job/jo%20b/build?delay=0", typeForm, "token=tok&cause=slipway-run:1-2")
	h.ended("fo/jo b", 1)
	h.want(302, "POST", "/job/fo/job/jo%20b/1/doDelete", "", "")
	const url = "job/fo/job/jo%20b/1/"
	all := []string{EventInitialize, EventStarted, EventCompleted, EventFinalized, EventDeleted}
	h.eventually("five events", func() bool { return len(rec.types(url)) == len(all) })
	if d := cmp.Diff(all, rec.types(url)); d != "" {
		t.Error(d)
	}
	ids := map[string]bool{}
	for i, e := range rec.list {
		ids[e.ID] = true
		result := ""
		if e.Data.Result != nil {
			result = *e.Data.Result
		}
		over := i >= 2
		if e.Source != "job/fo/job/jo%20b/" || e.DataType != classRun || e.Data.Parent != "fo" || e.Data.Project != "jo b" || e.Data.Multi == nil || *e.Data.Multi ||
			e.Data.ID != "1" || e.Data.Number != 1 || e.Data.QueueID == 0 || e.Data.Timestamp == 0 || e.Data.Building == over || over != (result == "SUCCESS") || over != (e.Data.Duration > 0) {
			t.Errorf("%s: %+v", e.Type, e)
		}
		if _, err := time.Parse(blueTime, e.Time); err != nil {
			t.Error(err)
		}
		notes := ""
		for _, a := range e.Data.Actions {
			for _, c := range a.Causes {
				notes += c.Class + " " + c.Note + " " + c.Short
			}
		}
		if !strings.Contains(notes, "RemoteCause slipway-run:1-2 Started by remote host") {
			t.Errorf("%s: causes %q", e.Type, notes)
		}
	}
	if len(ids) != len(all) || slices.ContainsFunc(rec.auth, func(a string) bool { return a != "Bearer secret" }) {
		t.Error(ids, rec.auth)
	}
	h.eventually("all are counted", func() bool { return h.s.EventStats() == EventStats{Sent: 5} })
}

// TestEventsOfAnUnsteadyReceiver has builds side by side and a receiver that fails in different ways.
func TestEventsOfAnUnsteadyReceiver(t *testing.T) {
	rec := newEventReceiver(t)
	n := 0
	rec.answer = func() int {
		n++
		return []int{200, 503, 200, 429, 500}[n%5]
	}
	h := newHarness(t, t.TempDir(), rec.option)
	h.folder("f")
	const builds = 20
	h.job("f", "j", script("stage a"), paramsXML("N=0"), "")
	for i := range builds {
		h.want(201, "POST", "/job/f/job/j/buildWithParameters?delay=0", typeForm, fmt.Sprintf("N=%d", i))
	}
	h.eventually("all events", func() bool { return h.s.EventStats().Sent == 4*builds })
	for i := range builds {
		got := rec.types(fmt.Sprintf("job/f/job/j/%d/", i+1))
		if d := cmp.Diff([]string{EventInitialize, EventStarted, EventCompleted, EventFinalized}, got); d != "" {
			t.Errorf("build %d: %s", i+1, d)
		}
	}
	h.eventually("none is left", func() bool { return h.s.EventStats() == EventStats{Sent: 4 * builds} })
}

// TestEventsNobodyTakes has a receiver that refuses, and one that does not answer: builds go on, the
// queue is bounded and the rest is counted.
func TestEventsNobodyTakes(t *testing.T) {
	rec := newEventReceiver(t)
	rec.answer = func() int { return http.StatusForbidden }
	h := newHarness(t, t.TempDir(), rec.option)
	h.folder("f")
	h.job("f", "j", script("stage a"), "", "")
	h.want(201, "POST", "/job/f/job/j/build?delay=0", "", "")
	h.ended("f/j", 1)
	h.eventually("refused events are dropped", func() bool { return h.s.EventStats().Dropped == 4 })
	if got := len(rec.auth); got != 4 {
		t.Errorf("%d attempts for 4 events that are refused", got)
	}

	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	h = newHarness(t, t.TempDir(), func(c *Config, s *Server) {
		if c != nil {
			c.EventsURL, c.EventsQueue = dead.URL, eventShards*2
		}
	})
	h.folder("f")
	h.job("f", "j", script("stage a"), paramsXML("N=0"), "")
	for i := range 30 {
		h.want(201, "POST", "/job/f/job/j/buildWithParameters?delay=0", typeForm, fmt.Sprintf("N=%d", i))
	}
	h.ended("f/j", 30)
	h.eventually("old events make room", func() bool {
		st := h.s.EventStats()
		return st.Sent == 0 && st.Dropped > 0 && st.Waiting <= eventShards*3 && st.Dropped+st.Waiting == 120
	})
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(EventStats{Dropped: 120}, h.s.EventStats()); d != "" {
		t.Error(d)
	}
}

func TestEventsURL(t *testing.T) {
	for _, bad := range []string{"nohost", "ftp://h/x", "http://", "http://\x7f/"} {
		err := checkEventsURL(bad)
		if err == nil || strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := checkEventsURL("https://u:p@host/v1alpha3/webhooks/jenkins"); err != nil {
		t.Error(err)
	}
}
