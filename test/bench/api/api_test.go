// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// TestConnReadsAnswers sends requests over one connection to a real server, which frames its answers in both ways.
func TestConnReadsAnswers(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/length", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "12345") })
	mux.HandleFunc("/chunked", func(w http.ResponseWriter, _ *http.Request) {
		for range 300 {
			_, _ = io.WriteString(w, strings.Repeat("x", 999))
		}
	})
	mux.HandleFunc("/close", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	mux.HandleFunc("/user", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer a-token" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	web := httptest.NewServer(mux)
	defer web.Close()
	s, err := newServer("x", web.URL, "a-token", 0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.newConn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for _, tc := range []struct {
		path   string
		status int
		size   int64
		err    error
	}{
		{path: "/length", status: 200, size: 5},
		{path: "/chunked", status: 200, size: 300 * 999},
		{path: "/nothing", status: 404, size: 19},
		{path: "/user", status: 200},
		{path: "/chunked", status: 200, size: 300 * 999},
		{path: "/close", status: 200, err: errClosing},
	} {
		status, size, err := c.do(s.request(tc.path))
		if status != tc.status || size != tc.size || !errors.Is(err, tc.err) {
			t.Errorf("%s: got %d, %d bytes, %v; want %d, %d bytes, %v", tc.path, status, size, err, tc.status, tc.size, tc.err)
		}
	}
}

func TestConnRefusesWhatIsNoAnswer(t *testing.T) {
	for name, answer := range map[string]string{
		"empty":        "",
		"no HTTP":      "SSH-2.0-x\r\n\r\n",
		"no status":    "HTTP/1.1 abc\r\n\r\n",
		"no length":    "HTTP/1.1 200 OK\r\n\r\n",
		"bad length":   "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
		"bad chunk":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"cut off":      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
		"endless line": "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", readBuffer),
	} {
		near, far := net.Pipe()
		go func() {
			r := bufio.NewReader(far)
			for line := ""; line != "\r\n"; line, _ = r.ReadString('\n') {
			}
			_, _ = io.WriteString(far, answer)
			_ = far.Close()
		}()
		c := &conn{Conn: near, r: bufio.NewReaderSize(near, readBuffer)}
		if _, _, err := c.do([]byte("GET / HTTP/1.1\r\n\r\n")); err == nil {
			t.Errorf("%s: no error", name)
		}
		_ = near.Close()
	}
}

// TestRunsAreOfTheirSize looks at the size of all kinds of runs as they are answered, and that half of them are the
// busy pipeline's.
func TestRunsAreOfTheirSize(t *testing.T) {
	c := &cluster{pipelines: map[string]types.UID{}, first: time.Now()}
	for i := range pipelines {
		c.pipelines[pipelineName(i)] = types.UID(strings.Repeat("x", 36))
	}
	names, perPipeline := map[string]bool{}, map[string]int{}
	for i := range 2000 {
		run := c.newRun(i)
		run.ResourceVersion = "12345"
		text, err := json.Marshal(run)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) < objectSize*99/100 || len(text) > objectSize*101/100 {
			t.Fatalf("run %d is %d bytes long, want %d", i, len(text), objectSize)
		}
		if !json.Valid([]byte(run.Annotations[devopsv1alpha3.JenkinsPipelineRunStatusAnnotation])) {
			t.Errorf("run %d has no JSON of its build", i)
		}
		names[run.Namespace+"/"+run.Name] = true
		perPipeline[run.Spec.PipelineRef.Name]++
	}
	if len(names) != 2000 || perPipeline[pipelineName(0)] != 1000 || len(perPipeline) != pipelines {
		t.Errorf("%d names, %d runs of the busy pipeline, %d pipelines", len(names), perPipeline[pipelineName(0)], len(perPipeline))
	}
}

// good is a result that keeps all limits.
func good(runs int) *result {
	return &result{
		Server: "slipway", Runs: runs,
		Requests: []requests{
			{Name: opFirstPage, CPU: 0.5, PerSecond: 3000, P99: 20}, {Name: opDeepPage + " 100", CPU: 0.5, PerSecond: 3000, P99: 20}, {Name: opGet, CPU: 0.1},
		},
		Memory: memory{Idle: 100, Loaded: 120, Peak: 150},
	}
}

func TestLimits(t *testing.T) {
	cases := map[string]struct {
		reason string
		change func(few, limited, many *result)
		want   int
	}{
		"good":        {reason: "all are kept", change: func(_, _, _ *result) {}, want: 0},
		"slow":        {reason: "p99 of one page", change: func(_, r, _ *result) { r.Requests[1].P99 = 31 }, want: 1},
		"few":         {reason: "requests a second", change: func(_, r, _ *result) { r.Requests[0].PerSecond = 1999 }, want: 1},
		"memory":      {reason: "idle and peak", change: func(_, r, _ *result) { r.Memory.Idle, r.Memory.Peak = 151, 201 }, want: 2},
		"much memory": {reason: "of many runs", change: func(_, _, r *result) { r.Memory.Loaded = 601 }, want: 1},
		"unknown": {reason: "what is not known is not kept, and its growth neither", change: func(_, r, many *result) {
			r.Requests[0].CPU, many.Requests[0].CPU = number(math.NaN()), number(math.NaN())
		}, want: 2},
		"growth": {reason: "cost of a page", change: func(few, _, _ *result) { few.Requests[1].CPU = 0.3 }, want: 1},
	}
	for name, tc := range cases {
		few, limited, many := good(costFrom), good(limitRuns), good(costTo)
		tc.change(few, limited, many)
		r := newReport(&options{})
		for _, result := range []*result{few, limited, many} {
			r.add(result)
		}
		r.judge()
		if missed := r.missed(); len(missed) != tc.want {
			t.Errorf("%s (%s): missed %q, want %d", name, tc.reason, missed, tc.want)
		}
	}
}

func TestPrint(t *testing.T) {
	r := newReport(&options{connections: 16})
	r.add(good(limitRuns))
	other := good(limitRuns)
	other.Server, other.Requests[0].CPU, other.Watch = "other", number(math.NaN()), &fanOut{Note: errNoWatch.Error()}
	r.add(other)
	r.judge()
	var table, text strings.Builder
	if err := errors.Join(r.print(&table, "table"), r.print(&text, "json")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"server : slipway", "other", "–", "≤ 0.7", "MISSED", errNoWatch.Error()} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table has no %q:\n%s", want, table.String())
		}
	}
	var decoded struct {
		Results []struct {
			Requests []struct{ ServerCPUMillis *float64 }
		}
	}
	if err := json.Unmarshal([]byte(text.String()), &decoded); err != nil {
		t.Fatal(err)
	}
	if cpu := decoded.Results[1].Requests[0].ServerCPUMillis; cpu != nil {
		t.Errorf("what is not known is %v in JSON, want null", *cpu)
	}
}

func TestGivenServers(t *testing.T) {
	cases := map[string]struct {
		reason string
		o      options
		want   string
		bad    bool
	}{
		"one":          {reason: "without a name", o: options{servers: []string{"http://x:1/"}, tokens: []string{"abc=="}}, want: "server1 http://x:1 abc== 0;"},
		"two":          {reason: "each with its own, or the token of all", o: options{servers: []string{"a=http://x", "b=https://y/p"}, tokens: []string{"t", "b=u"}, pids: []string{"a=7"}}, want: "a http://x t 7;b https://y/p u 0;"},
		"query":        {reason: "an address with = has no name before it", o: options{servers: []string{"http://x/?a=b"}}, want: "server1 http://x/?a=b  0;"},
		"no address":   {reason: "a host is needed", o: options{servers: []string{"a=x"}}, bad: true},
		"other scheme": {reason: "only HTTP", o: options{servers: []string{"a=ftp://x"}}, bad: true},
		"pid":          {reason: "a number", o: options{servers: []string{"a=http://x"}, pids: []string{"a=b"}}, bad: true},
		"twice":        {reason: "two tokens of one", o: options{servers: []string{"a=http://x"}, tokens: []string{"a=b", "a=c"}}, bad: true},
	}
	for name, tc := range cases {
		servers, err := tc.o.givenServers()
		got := ""
		for _, s := range servers {
			got += fmt.Sprintf("%s %s %s %d;", s.name, s.base, s.token, s.pid)
		}
		if diff := cmp.Diff(tc.want, got); err == nil && diff != "" || (err != nil) != tc.bad {
			t.Errorf("%s (%s): %v -want +got:\n%s", name, tc.reason, err, diff)
		}
	}
}

func TestOptions(t *testing.T) {
	for text, good := range map[string]bool{"1000,10000": true, "200": true, "100": false, "1000,1000": false, "2000,1000": false, "x": false} {
		t.Setenv("BENCH_RUNS", text)
		o, err := newOptions()
		if err == nil {
			o.duration, o.connections, o.writes, o.output = time.Second, 1, 1, "table"
			err = o.validate()
		}
		if (err == nil) != good {
			t.Errorf("BENCH_RUNS=%s: %v", text, err)
		}
	}
}

func TestKeyOf(t *testing.T) {
	for line, want := range map[string]string{
		"\n": "",
		`{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7"}}}`:                                           "",
		`{"type":"ADDED","object":{"kind":"PipelineRun","metadata":{"name":"x-1"}}}`:                                  key("ADDED", "x-1", ""),
		`{"type":"MODIFIED","object":{"metadata":{"name":"x","annotations":{"` + markAnnotation + `":"12"}}}}` + "\n": key("MODIFIED", "x", "12"),
	} {
		if got := keyOf([]byte(line)); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}
