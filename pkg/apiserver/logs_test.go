// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/sources"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/pipelinerun"
)

const logPath = devops + "/namespaces/ann-demo/pipelineruns/r/log"

// lines makes a text of n numbered lines of 16 bytes.
func lines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "line %010d\n", i)
	}
	return b.String()
}

func TestLogRanges(t *testing.T) {
	text := lines(1000)
	size := len(text)
	copied := map[string]string{"runs/ann-demo/r-u1/log.txt": text}
	cases := map[string]struct {
		reason  string
		run     func(*devopsv1alpha3.PipelineRun)
		source  *fakeSources
		query   string
		header  map[string]string
		code    int
		want    string
		content string
	}{
		"first":      {reason: "a part of the copy", run: storedRun, source: &fakeSources{files: copied}, header: map[string]string{"Range": "bytes=0-15"}, code: 206, want: text[:16], content: "bytes 0-15/16000"},
		"middle":     {reason: "", run: storedRun, source: &fakeSources{files: copied}, header: map[string]string{"Range": "bytes=32-47"}, code: 206, want: text[32:48], content: "bytes 32-47/16000"},
		"open":       {reason: "to the end", run: storedRun, source: &fakeSources{files: copied}, header: map[string]string{"Range": "bytes=15990-"}, code: 206, want: text[15990:], content: "bytes 15990-15999/16000"},
		"last":       {reason: "", run: storedRun, source: &fakeSources{files: copied}, header: map[string]string{"Range": "bytes=-16"}, code: 206, want: text[size-16:], content: "bytes 15984-15999/16000"},
		"beyond":     {reason: "the end is where it is", run: storedRun, source: &fakeSources{files: copied}, header: map[string]string{"Range": "bytes=15990-99999"}, code: 206, want: text[15990:], content: "bytes 15990-15999/16000"},
		"behind":     {reason: "there is nothing", run: storedRun, source: &fakeSources{files: copied}, header: map[string]string{"Range": "bytes=16000-"}, code: 416, content: "bytes */16000"},
		"same":       {reason: "a download goes on in the same log", run: storedRun, source: &fakeSources{files: copied}, header: map[string]string{"Range": "bytes=32-47", "If-Range": `"u1"`}, code: 206, want: text[32:48], content: "bytes 32-47/16000"},
		"another":    {reason: "and not in another", run: storedRun, source: &fakeSources{files: copied}, header: map[string]string{"Range": "bytes=32-47", "If-Range": `"u2"`}, code: 200, want: text},
		"zipped":     {reason: "offsets are those of the text", run: storedRun, source: &fakeSources{files: copied}, header: map[string]string{"Range": "bytes=0-15", "Accept-Encoding": "gzip"}, code: 206, want: text[:16], content: "bytes 0-15/16000"},
		"several":    {reason: "a server may send all", run: storedRun, source: &fakeSources{files: copied}, header: map[string]string{"Range": "bytes=0-1,4-5"}, code: 200, want: text},
		"other unit": {reason: "", run: storedRun, source: &fakeSources{files: copied}, header: map[string]string{"Range": "lines=1-2"}, code: 200, want: text},
		"broken":     {reason: "", run: storedRun, source: &fakeSources{files: copied}, header: map[string]string{"Range": "bytes=b-a"}, code: 416},
		"in Jenkins": {reason: "it has no copy yet", run: endedRun, source: &fakeSources{text: text}, header: map[string]string{"Range": "bytes=32-47"}, code: 206, want: text[32:48], content: "bytes 32-47/16000"},
		"copy lost":  {reason: "Jenkins still has it", run: storedRun, source: &fakeSources{text: text}, header: map[string]string{"Range": "bytes=-16"}, code: 206, want: text[size-16:], content: "bytes 15984-15999/16000"},
		"gone":       {reason: "nobody has it", run: endedRun, source: &fakeSources{err: jenkins.ErrNotFound}, header: map[string]string{"Range": "bytes=0-15"}, code: 404},
		"live":       {reason: "what grows has no ranges", source: &fakeSources{text: text, more: true}, header: map[string]string{"Range": "bytes=0-15"}, code: 200, want: text},
		"with start": {reason: "start is Jenkins' own way", run: storedRun, source: &fakeSources{text: text, files: copied}, query: "?start=15984", header: map[string]string{"Range": "bytes=0-1"}, code: 200, want: text[15984:]},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, withSources(tc.source), sampleRun("r", tc.run))
			got := w.do(call{user: "ann", path: logPath + tc.query, header: tc.header})
			if got.Code != tc.code || got.Header().Get("Content-Range") != tc.content {
				t.Fatalf("%s: %d, Content-Range %q, want %d, %q: %.200s", tc.reason, got.Code, got.Header().Get("Content-Range"), tc.code, tc.content, got.Body)
			}
			if tc.code < 300 && got.Body.String() != tc.want {
				t.Errorf("%s: %d bytes %.40q, want %d bytes %.40q", tc.reason, got.Body.Len(), got.Body, len(tc.want), tc.want)
			}
			if tc.code == 416 && decode[metav1.Status](t, got).Code != 416 {
				t.Errorf("%s: %s", tc.reason, got.Body)
			}
		})
	}
}

func TestLogTail(t *testing.T) {
	text := lines(1000) // 15.6 KB
	copied := map[string]string{"runs/ann-demo/r-u1/log.txt": text}
	cases := map[string]struct {
		reason string
		run    func(*devopsv1alpha3.PipelineRun)
		source *fakeSources
		query  string
		code   int
		want   string
		last   int64
	}{
		"copy":       {"from the beginning of a line", storedRun, &fakeSources{files: copied}, "?thresholdInKB=1", 200, text[len(text)-1024+16:], 0},
		"small":      {"all of a short log", storedRun, &fakeSources{files: copied}, "?thresholdInKB=150", 200, text, 0},
		"live":       {"Jenkins cuts", nil, &fakeSources{text: text, more: true}, "?thresholdInKB=1", 200, text[len(text)-1024:], 1},
		"with start": {"who goes on from an offset wants all that is new", nil, &fakeSources{text: text}, "?start=15984&thresholdInKB=1", 200, text[15984:], 0},
		"zero":       {"", nil, &fakeSources{text: text}, "?thresholdInKB=0", 400, "", 0},
		"negative":   {"", nil, &fakeSources{text: text}, "?thresholdInKB=-1", 400, "", 0},
		"huge":       {"its bytes would not fit", nil, &fakeSources{text: text}, "?thresholdInKB=9223372036854775807", 400, "", 0},
		"text":       {"", nil, &fakeSources{text: text}, "?thresholdInKB=all", 400, "", 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, withSources(tc.source), sampleRun("r", tc.run))
			got := w.do(call{user: "ann", path: logPath + tc.query})
			if got.Code != tc.code || tc.code == 200 && got.Body.String() != tc.want {
				t.Fatalf("%s: %d with %d bytes %.40q, want %d with %d", tc.reason, got.Code, got.Body.Len(), got.Body, tc.code, len(tc.want))
			}
			if tc.code == 200 && got.Header().Get("X-Text-Size") != strconv.Itoa(len(text)) {
				t.Errorf("%s: X-Text-Size %q: the next part would not begin behind this one", tc.reason, got.Header().Get("X-Text-Size"))
			}
			if n := len(tc.source.asked); n > 0 && tc.source.asked[n-1].Last != tc.last {
				t.Errorf("%s: Jenkins was asked for %+v", tc.reason, tc.source.asked[n-1])
			}
		})
	}
}

// TestLogToTheEnd: who read the copy to its end and asks for more gets nothing twice, though Jenkins counts
// otherwise.
func TestLogToTheEnd(t *testing.T) {
	source := &fakeSources{text: "log with hidden marks", files: map[string]string{"runs/ann-demo/r-u1/log.txt": "log"}}
	w := newWorld(t, withSources(source), sampleRun("r", storedRun))
	first := w.do(call{user: "ann", path: logPath + "?start=0"})
	again := w.do(call{user: "ann", path: logPath + "?start=" + first.Header().Get("X-Text-Size")})
	if first.Body.String() != "log" || again.Code != 200 || again.Body.Len() != 0 || again.Header().Get("X-More-Data") != "" {
		t.Errorf("%q, then %d %q", first.Body, again.Code, again.Body)
	}
}

func TestLogDownload(t *testing.T) {
	source := &fakeSources{text: "hello\n", steps: map[string]string{"4/5": "step\n"}}
	w := newWorld(t, withSources(source), sampleRun("r", endedRun))
	for path, want := range map[string]string{
		logPath + "?download=true": "attachment; filename=r.log",
		devops + "/namespaces/ann-demo/pipelineruns/r/nodes/4/steps/5/log?download=true": "attachment; filename=r-4-5.log",
		logPath: "",
	} {
		got := w.do(call{user: "ann", path: path})
		if got.Code != 200 || got.Header().Get("Content-Disposition") != want || !strings.HasPrefix(got.Header().Get("Content-Type"), "text/plain") {
			t.Errorf("%s: %d, %v", path, got.Code, got.Header())
		}
	}
}

func stagesOf(name, text string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ann-demo", Name: name}, Data: map[string]string{"stage": text}}
}

func TestStepLog(t *testing.T) {
	const stages = `[{"id":"4","state":"FINISHED","steps":[{"id":"5","state":"FINISHED"},{"id":"6","state":"RUNNING"}]},{"id":"9","state":"FINISHED","steps":[]}]`
	steps := map[string]string{"4/5": "one\ntwo\n"}
	cases := map[string]struct {
		reason     string
		run        func(*devopsv1alpha3.PipelineRun)
		source     *fakeSources
		step       string
		code       int
		want       string
		size, more string
	}{
		"live":         {"", nil, &fakeSources{steps: steps, more: true}, "4/steps/5/log", 200, "one\ntwo\n", "8", "true"},
		"slash":        {"the console adds one", nil, &fakeSources{steps: steps}, "4/steps/5/log/?start=0", 200, "one\ntwo\n", "8", ""},
		"from":         {"", nil, &fakeSources{steps: steps}, "4/steps/5/log?start=4", 200, "two\n", "8", ""},
		"tail":         {"", nil, &fakeSources{steps: steps}, "4/steps/5/log?thresholdInKB=150", 200, "one\ntwo\n", "8", ""},
		"silent":       {"it has written nothing, and may", nil, &fakeSources{}, "4/steps/6/log", 200, "", "0", "true"},
		"silent, done": {"", nil, &fakeSources{}, "4/steps/5/log", 200, "", "0", ""},
		"ended":        {"the build is still in Jenkins", endedRun, &fakeSources{text: "all"}, "4/steps/5/log", 200, "", "0", ""},
		"none":         {"", nil, &fakeSources{}, "4/steps/99/log", 404, "has no step", "", ""},
		"no node":      {"", nil, &fakeSources{}, "99/steps/5/log", 404, "has no step", "", ""},
		"discarded":    {"the run's log has it", storedRun, &fakeSources{err: jenkins.ErrNotFound}, "4/steps/5/log", 410, "/kapis/devops.kubesphere.io/v1alpha3/namespaces/ann-demo/pipelineruns/r/log", "", ""},
		"too many":     {"the steps were not kept", storedRun, &fakeSources{err: jenkins.ErrNotFound}, "9/steps/10/log", 410, "discarded", "", ""},
		"away":         {"", nil, &fakeSources{err: jenkins.ErrUnavailable}, "4/steps/5/log", 503, "Jenkins cannot be reached", "", ""},
		"queued":       {"there is no build", func(run *devopsv1alpha3.PipelineRun) { run.Annotations = nil }, &fakeSources{}, "4/steps/5/log", 404, "has no step", "", ""},
		"other tenant": {"", nil, &fakeSources{steps: steps}, "../../../../../bob/x", 400, "", "", ""},
		"bad start":    {"", nil, &fakeSources{steps: steps}, "4/steps/5/log?start=x", 400, "start must be", "", ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for _, family := range []string{"namespaces", "devops"} {
				w := newWorld(t, withSources(tc.source), sampleRun("r", tc.run), stagesOf("r", stages))
				got := w.do(call{user: "ann", path: devops + "/" + family + "/ann-demo/pipelineruns/r/nodes/" + tc.step})
				if got.Code != tc.code || !strings.Contains(got.Body.String(), tc.want) || tc.code == 200 && got.Body.String() != tc.want {
					t.Fatalf("%s: %d %q, want %d %q", tc.reason, got.Code, got.Body, tc.code, tc.want)
				}
				if got.Header().Get("X-Text-Size") != tc.size || got.Header().Get("X-More-Data") != tc.more {
					t.Errorf("%s: X-Text-Size %q, X-More-Data %q", tc.reason, got.Header().Get("X-Text-Size"), got.Header().Get("X-More-Data"))
				}
				if denied := w.do(call{user: "bob", path: devops + "/" + family + "/ann-demo/pipelineruns/r/nodes/4/steps/5/log"}); denied.Code != 403 {
					t.Errorf("another tenant: %d", denied.Code)
				}
			}
		})
	}
}

// served is a server with a log, and a client for it.
func served(t *testing.T, source *fakeSources, run func(*devopsv1alpha3.PipelineRun)) func(query string, header ...string) *http.Response {
	t.Helper()
	w := newWorld(t, withSources(source), sampleRun("r", run))
	server := httptest.NewServer(w.server.Handler())
	t.Cleanup(server.Close)
	// It does not uncompress by itself.
	web := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	t.Cleanup(web.CloseIdleConnections)
	return func(query string, header ...string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+logPath+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token(t, "ann"))
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		answer, err := web.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = answer.Body.Close() })
		return answer
	}
}

func TestCompressedLog(t *testing.T) {
	text := lines(50_000)
	get := served(t, &fakeSources{text: text}, endedRun)
	for accept, zipped := range map[string]bool{"gzip": true, "br;q=1.0, gzip;q=0.8, *;q=0.1": true, "x-gzip": true, "": false, "identity": false, "gzip;q=0": false, "gzip; q=0.0": false, "gzip;q=x": false, "br": false} {
		answer := get("", "Accept-Encoding", accept)
		if got := answer.Header.Get("Content-Encoding") == "gzip"; got != zipped || answer.Header.Get("Vary") != "Accept-Encoding" || answer.Header.Get("X-Text-Size") != strconv.Itoa(len(text)) {
			t.Errorf("%q: compressed %v, %v", accept, got, answer.Header)
		}
		counted := &countingReader{Reader: answer.Body}
		body := io.Reader(counted)
		if zipped {
			var err error
			if body, err = gzip.NewReader(counted); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := io.ReadAll(body); err != nil || string(got) != text {
			t.Errorf("%q: %d bytes, %v", accept, len(got), err)
		}
		if zipped && counted.n > int64(len(text))/3 {
			t.Errorf("%q: %d bytes for %d", accept, counted.n, len(text))
		}
	}
}

type countingReader struct {
	io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

// TestFollowCompressed: each line comes when it is written.
func TestFollowCompressed(t *testing.T) {
	source := &fakeSources{text: "one\n", more: true}
	answer := served(t, source, nil)("?follow=true", "Accept-Encoding", "gzip")
	plain, err := gzip.NewReader(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(plain)
	for i, line := range []string{"one\n", "two\n", "three\n"} {
		if got, err := reader.ReadString('\n'); err != nil || got != line {
			t.Fatalf("%q, %v, want %q: it must not wait for the end", got, err, line)
		}
		source.set("one\ntwo\nthree\n"[:min(8+6*i, 14)], i < 1)
	}
	if rest, err := io.ReadAll(reader); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
}

// TestFollowIntoTheCopy: Jenkins discards the build while its log is followed. The rest comes from the copy,
// in which the same text has other offsets.
func TestFollowIntoTheCopy(t *testing.T) {
	source := &marked{fakeSources: &fakeSources{text: "one\n", more: true, files: map[string]string{"runs/ann-demo/r-u1/log.txt": "one\ntwo\n"}}}
	run := sampleRun("r", storedRun)
	run.Annotations[devopsv1alpha3.ArchivedAnnotation] = ""
	w := newWorld(t, func(c *Config) { c.Sources = pipelinerun.Sources{Logs: source, Archive: source} }, run)
	server := httptest.NewServer(w.server.Handler())
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+logPath+"?follow=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token(t, "ann"))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	reader := bufio.NewReader(answer.Body)
	if got, err := reader.ReadString('\n'); err != nil || got != "one\n" {
		t.Fatal(got, err)
	}
	storedRun(run)
	if err := w.kube.Update(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	source.mu.Lock()
	source.err = jenkins.ErrNotFound
	source.mu.Unlock()
	if rest, err := io.ReadAll(reader); err != nil || string(rest) != "two\n" {
		t.Errorf("%q, %v, want what was not sent yet", rest, err)
	}
}

// marked counts offsets as Jenkins does: with hidden marks in the text.
type marked struct{ *fakeSources }

func (m *marked) Log(ctx context.Context, want pipelinerun.LogRequest) (pipelinerun.LogPart, error) {
	want.Start = max(0, want.Start-1000)
	part, err := m.fakeSources.Log(ctx, want)
	part.Next += 1000
	return part, err
}

const bigLog = 200 << 20

// bigJenkins has a log of 200 MB, with the marks and the line ends of Jenkins.
func bigJenkins(t *testing.T) *jenkins.Client {
	t.Helper()
	line := strings.Repeat("x", 1020) + "\x1b[8mha:////4AAAA\x1b[0m" + "\r\n"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Text-Size", strconv.Itoa(bigLog))
		out := bufio.NewWriterSize(w, 64<<10)
		for sent := 0; sent < bigLog; sent += 1021 {
			if _, err := out.WriteString(line); err != nil {
				return
			}
		}
		_ = out.Flush()
	}))
	t.Cleanup(server.Close)
	c, err := jenkins.New(jenkins.Config{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// TestBigLog streams 200 MB: memory does not grow with the log.
func TestBigLog(t *testing.T) {
	// What counts is what is held, not garbage, of which there may be as much as other tests have left in use.
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	c := bigJenkins(t)
	w := newWorld(t, func(config *Config) { config.Sources.Logs = sources.Jenkins{Client: c} }, sampleRun("r", endedRun))
	server := httptest.NewServer(w.server.Handler())
	defer server.Close()
	for _, header := range []string{"", "gzip", "range"} {
		t.Run(header, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+logPath, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+token(t, "ann"))
			switch header {
			case "range":
				r.Header.Set("Range", "bytes=1021-")
				r.Header.Set("Accept-Encoding", "identity")
			default:
				r.Header.Set("Accept-Encoding", header)
			}
			runtime.GC()
			var before, now runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = answer.Body.Close() }()
			var body io.Reader = answer.Body
			if answer.Header.Get("Content-Encoding") == "gzip" {
				if body, err = gzip.NewReader(body); err != nil {
					t.Fatal(err)
				}
			}
			var total int64
			var peak uint64
			for {
				n, err := io.CopyN(io.Discard, body, 4<<20)
				total += n
				runtime.ReadMemStats(&now)
				peak = max(peak, now.HeapAlloc)
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("%d MB in %s, the heap grew by %d KB at most", total>>20, time.Since(start).Round(time.Millisecond), (int64(peak)-int64(before.HeapAlloc))>>10)
			if want := int64((bigLog + 1020) / 1021 * 1021); total != want && total != want-1021 {
				t.Errorf("%d bytes, want %d", total, want)
			}
			if peak > before.HeapAlloc+(48<<20) {
				t.Errorf("the heap grew by %d MB", (peak-before.HeapAlloc)>>20)
			}
		})
	}
}
