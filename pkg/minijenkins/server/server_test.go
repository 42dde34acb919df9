// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

func quiet(d time.Duration) option {
	return func(c *Config, _ *Server) {
		if c != nil {
			c.QuietPeriod = d
		}
	}
}

func decode[T any](t *testing.T, body string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%v: %s", err, clipText(body))
	}
	return v
}

// TestStartByToken shows what exactly-once starts need: the note of the caller in the queue item and
// in the build, and one build for equal starts.
func TestStartByToken(t *testing.T) {
	h := newHarness(t, t.TempDir(), quiet(500*time.Millisecond))
	h.folder("team")
	h.job("team", "app", script("stage one", `sh echo "N is $N"`), paramsXML("N=0"), "<authToken>s3cret</authToken>")
	form := url.Values{"token": {"s3cret"}, "cause": {"slipway-run:uid-1 ü"}, "N": {"5"}}.Encode()
	loc := h.want(201, "POST", "/job/team/job/app/buildWithParameters", typeForm, form).Header.Get("Location")
	again := h.want(303, "POST", "/job/team/job/app/buildWithParameters", typeForm, form).Header.Get("Location")
	if loc != again || !strings.HasPrefix(loc, h.http.URL+"/queue/item/") {
		t.Errorf("locations %q and %q", loc, again)
	}
	note := `"note":"slipway-run:uid-1 ü"`
	if q := h.get("/queue/api/json?tree=items[id,actions[causes[note]]]"); !strings.Contains(q, note) {
		t.Error(q)
	}
	h.ended("team/app", 1)
	b := h.get("/job/team/job/app/api/json?tree=builds[number,queueId,actions[causes[note,shortDescription]]]")
	if !strings.Contains(b, note) || !strings.Contains(b, `"shortDescription":"Started by remote host 127.0.0.1 with note: slipway-run:uid-1 ü"`) {
		t.Error(b)
	}
	log := h.get("/job/team/job/app/1/consoleText")
	if !strings.HasPrefix(log, "Started by remote host 127.0.0.1 with note: slipway-run:uid-1 ü\n") || !strings.HasSuffix(log, "\nFinished: SUCCESS\n") ||
		!strings.Contains(log, "N is 5\n") {
		t.Error(log)
	}
	// Another token counts as none: the user is the cause. A note cannot forge lines of the log.
	form = url.Values{"token": {"wrong"}, "cause": {"x"}, "N": {"6"}}.Encode()
	h.want(201, "POST", "/job/team/job/app/buildWithParameters?delay=0", typeForm, form)
	h.ended("team/app", 2)
	if log := h.get("/job/team/job/app/2/consoleText"); !strings.HasPrefix(log, "Started by user admin\n") {
		t.Error(log)
	}
	form = url.Values{"token": {"s3cret"}, "cause": {"x\nFinished: SUCCESS"}, "N": {"7"}}.Encode()
	h.want(201, "POST", "/job/team/job/app/buildWithParameters?delay=0", typeForm, form)
	h.ended("team/app", 3)
	if log := h.get("/job/team/job/app/3/consoleText"); strings.Count(log, "\nFinished:") != 1 {
		t.Error(log)
	}
	if cfg := h.get("/job/team/job/app/config.xml"); cfg != jobXML(script("stage one", `sh echo "N is $N"`), paramsXML("N=0"), "<authToken>s3cret</authToken>") {
		t.Error("config.xml is not what was posted")
	}
}

func TestQueueRules(t *testing.T) {
	h := newHarness(t, t.TempDir(), quiet(time.Second), func(c *Config, _ *Server) {
		if c != nil {
			c.LeftItemTTL = 400 * time.Millisecond
		}
	})
	h.folder("f")
	h.job("f", "one", script("sh sleep 60"), "<"+propNoConcurrent+"/>", "")
	h.job("f", "many", script("sh sleep 60"), "", "")
	stop := func(build string) { h.want(302, "POST", "/job/f/job/"+build+"/stop", typeForm, "") }
	id := func(r *response) string {
		return strings.Trim(r.Header.Get("Location")[strings.LastIndex(strings.TrimSuffix(r.Header.Get("Location"), "/"), "/"):], "/")
	}
	h.want(201, "POST", "/job/f/job/one/build?delay=0", "", "")
	h.started("f/one", 1)
	second := id(h.want(201, "POST", "/job/f/job/one/build", "", ""))
	type itemView struct {
		Class   string `json:"_class"`
		Why     *string
		Blocked bool
		ID      int
	}
	if it := decode[itemView](t, h.get("/queue/item/"+second+"/api/json")); it.Class != "hudson.model.Queue$WaitingItem" || it.Blocked || !strings.HasPrefix(*it.Why, "In the quiet period. Expires in ") {
		t.Errorf("%+v", it)
	}
	h.eventually("the second is blocked", func() bool {
		it := decode[itemView](t, h.get("/queue/item/"+second+"/api/json"))
		return it.Class == "hudson.model.Queue$BlockedItem" && it.Blocked && strings.HasPrefix(*it.Why, "Build #1 is already in progress (ETA: ")
	})
	stop("one/1")
	h.started("f/one", 2)
	stop("one/2")
	h.ended("f/one", 2)
	if b1, b2 := h.build("f/one", 1), h.build("f/one", 2); b2.Started.Before(b1.Started.Add(b1.Duration)) {
		t.Error("the builds ran at once")
	}
	h.eventually("the left item is forgotten", func() bool { return h.do("GET", "/queue/item/"+second+"/api/json", "", "").StatusCode == 404 })
	// Without the property they run at once.
	for n := 1; n <= 3; n++ {
		h.want(201, "POST", "/job/f/job/many/build?delay=0", "", "")
		h.started("f/many", n)
	}
	for n := 1; n <= 3; n++ {
		if !h.build("f/many", n).Building {
			t.Errorf("#%d did not run beside the others", n)
		}
		stop("many/" + strconv.Itoa(n))
		h.ended("f/many", n)
	}
	// A waiting item goes with its job; a disabled job starts nothing.
	gone := id(h.want(201, "POST", "/job/f/job/many/build?delay=60sec", "", ""))
	h.want(302, "POST", "/job/f/job/many/disable", typeForm, "")
	h.want(409, "POST", "/job/f/job/many/build", "", "")
	h.want(302, "POST", "/job/f/job/many/doDelete", typeForm, "")
	h.want(404, "GET", "/queue/item/"+gone+"/api/json", "", "")
	for _, bad := range []string{"abc", "-5", "1.5sec", "99999999999999999999", "5 min"} {
		h.want(500, "POST", "/job/f/job/one/build?delay="+url.QueryEscape(bad), "", "")
	}
}

func (h *harness) build(job string, n int) store.Build {
	h.s.mu.RLock()
	defer h.s.mu.RUnlock()
	it := h.s.root
	for _, name := range strings.Split(job, "/") {
		it = it.kids[name]
	}
	return *it.builds[n]
}

// TestRestartAfterCrash kills the state under a server, as kill -9 does, and starts another one on it.
func TestRestartAfterCrash(t *testing.T) {
	dir := t.TempDir()
	h := newHarness(t, dir, quiet(time.Minute))
	h.folder("f")
	h.job("f", "long", script("stage one", "sh echo begun; sleep 100"), paramsXML("PW*hidden"), "")
	h.want(201, "POST", "/job/f/job/long/buildWithParameters?delay=0", typeForm, "PW=topsecret")
	h.started("f/long", 1)
	h.eventually("the step runs", func() bool { return strings.Contains(h.get("/job/f/job/long/1/consoleText"), "begun") })
	queued := h.want(201, "POST", "/job/f/job/long/buildWithParameters?delay=3sec", typeForm, "PW=later").Header.Get("Location")
	queued = strings.TrimPrefix(queued, h.http.URL)
	h.want(302, "POST", "/manage/cloud/kubernetes/create", typeForm, url.Values{"json": {`{"id":"dc-f.x","name":"dc-f.x","label":"dc-f.x","yaml":"kind: Pod"}`}}.Encode())
	// What a killed process leaves is a copy of its folder now; the lock goes with the process.
	crashed := filepath.Join(t.TempDir(), "copy")
	copyState(t, filepath.Join(dir, "state"), filepath.Join(crashed, "state"))
	tear(t, filepath.Join(crashed, "state"))

	n := newHarness(t, crashed, quiet(time.Minute))
	n.eventually("what the old process left is deleted", func() bool { return n.agents.reaped.Load() == 1 })
	if n.agents.deps.Instance != h.agents.deps.Instance || len(n.agents.deps.Instance) != 10 {
		t.Errorf("instance %q became %q", h.agents.deps.Instance, n.agents.deps.Instance)
	}
	b := n.ended("f/long", 1)
	if b.Result != engine.ResultAborted || b.Duration <= 0 || b.Params[0].Value != "" {
		t.Errorf("%+v", b)
	}
	log := n.get("/job/f/job/long/1/consoleText")
	if !strings.HasSuffix(log, "\nThe build was interrupted by a restart of minijenkins.\nFinished: ABORTED\n") || !strings.Contains(log, "begun\n") {
		t.Error(log)
	}
	nodes := n.get(blueOrg + "pipelines/f/pipelines/long/runs/1/nodes/")
	steps := n.get(blueOrg + "pipelines/f/pipelines/long/runs/1/steps/")
	for _, v := range []string{nodes, steps} {
		if !strings.Contains(v, `"state":"FINISHED"`) || !strings.Contains(v, `"result":"ABORTED"`) {
			t.Error(v)
		}
	}
	stepLog := n.get(blueOrg + "pipelines/f/pipelines/long/runs/1/nodes/6/steps/7/log/")
	if !strings.Contains(stepLog, "begun\r\n") || strings.Contains(stepLog, "interrupted") {
		t.Errorf("%q", stepLog)
	}
	// The queue item survived with its ID and its parameters, and runs.
	if it := n.get(queued + "api/json"); !strings.Contains(it, "WaitingItem") {
		t.Error(it)
	}
	n.started("f/long", 2)
	if l := n.get("/label/dc-f.x/api/json?tree=clouds[name],offline"); !strings.Contains(l, `"clouds":[{`) {
		t.Error(l)
	}
	if b := n.get("/job/f/job/long/api/json?tree=nextBuildNumber"); !strings.Contains(b, `"nextBuildNumber":3`) {
		t.Error(b)
	}
	n.want(302, "POST", "/job/f/job/long/2/kill", "", "")
	if b := n.build("f/long", 2); b.Building || b.Result != engine.ResultAborted {
		t.Errorf("after kill: %+v", b)
	}
	h.want(302, "POST", "/job/f/job/long/1/stop", "", "")
	h.ended("f/long", 1)
}

func copyState(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.Walk(from, func(p string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, p)
		if info.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		src, err := os.Open(p)
		if err != nil {
			return err
		}
		defer src.Close()
		dst, err := os.Create(filepath.Join(to, rel))
		if err != nil {
			return err
		}
		if _, err := io.Copy(dst, src); err != nil {
			return err
		}
		return dst.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
}

// tear leaves what a crash in the middle of a write can leave: half a line in the log's index, half
// a line in the log, half an artifact and the folder of a build that the database does not know.
func tear(t *testing.T, state string) {
	t.Helper()
	idx, err := filepath.Glob(filepath.Join(state, "builds", "*", "1", "log.index"))
	if err != nil || len(idx) != 1 {
		t.Fatal(idx, err)
	}
	for _, name := range []string{idx[0], strings.TrimSuffix(idx[0], ".index")} {
		f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("99"); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(state, "builds", "4711", "1", "artifacts"), 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestOneProcessPerState(t *testing.T) {
	h := newHarness(t, t.TempDir())
	_, err := New(h.s.cfg)
	if err == nil || !strings.Contains(err.Error(), store.ErrLocked.Error()) {
		t.Errorf("error %v", err)
	}
}

// TestGracefulStop shows that a stop interrupts what runs and keeps what waits.
func TestGracefulStop(t *testing.T) {
	dir := t.TempDir()
	h := newHarness(t, dir)
	h.folder("f")
	h.job("f", "long", script("stage one", "sh sleep 100"), "", "")
	h.want(201, "POST", "/job/f/job/long/build?delay=0", "", "")
	h.started("f/long", 1)
	h.want(201, "POST", "/job/f/job/long/build?delay=60sec", "", "")
	begin := time.Now()
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(begin); d > 50*time.Second {
		t.Errorf("the stop took %s", d)
	}
	n := newHarness(t, dir)
	if b := n.build("f/long", 1); b.Result != engine.ResultAborted || b.Building {
		t.Errorf("%+v", b)
	}
	if log := n.get("/job/f/job/long/1/consoleText"); !strings.HasSuffix(log, "Finished: ABORTED\n") {
		t.Error(log)
	}
	if q := n.get("/queue/api/json?tree=items[id]"); !strings.Contains(q, `"id":`) {
		t.Error(q)
	}
}

// TestLargeLog streams a log of 200 MB without holding it in memory.
func TestLargeLog(t *testing.T) {
	h := newHarness(t, t.TempDir())
	h.folder("f")
	const size = 200_000_000
	h.job("f", "big", script("stage one", "log "+strconv.Itoa(size), "log 1000"), "", "")
	h.want(201, "POST", "/job/f/job/big/build?delay=0", "", "")
	var next, total int64
	h.eventually("the build runs", func() bool { return h.do("GET", "/job/f/job/big/1/api/json", "", "").StatusCode == 200 })
	begin := time.Now()
	for {
		req, err := http.NewRequest("GET", fmt.Sprintf("%s/job/f/job/big/1/logText/progressiveText?start=%d", h.http.URL, next), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(testUser, testToken)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var c crlfCounter
		if _, err := io.Copy(&c, resp.Body); err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		total += c.n - c.cr
		if next, err = strconv.ParseInt(resp.Header.Get("X-Text-Size"), 10, 64); err != nil {
			t.Fatal(err)
		}
		if next != total {
			t.Fatalf("X-Text-Size %d after %d bytes", next, total)
		}
		if more := resp.Header.Values("X-More-Data"); len(more) == 0 {
			break
		} else if more[0] != "true" {
			t.Fatal(more)
		}
	}
	t.Logf("%d MB in %s", total>>20, time.Since(begin).Round(time.Millisecond))
	if total < size {
		t.Errorf("%d bytes", total)
	}
	h.ended("f/big", 1)
	// The log of the second step alone.
	r := h.want(200, "GET", blueOrg+"pipelines/f/pipelines/big/runs/1/nodes/6/steps/8/log/?start=0", "", "")
	if r.Header.Get("X-Text-Size") != "1000" || len(r.body) != 1010 {
		t.Errorf("step log: size %s, %d bytes", r.Header.Get("X-Text-Size"), len(r.body))
	}
}

type crlfCounter struct{ n, cr int64 }

func (c *crlfCounter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	c.cr += int64(strings.Count(string(p), "\r"))
	return len(p), nil
}

func TestPathTricks(t *testing.T) {
	h := newHarness(t, t.TempDir())
	h.folder("f")
	h.job("f", "j", script("stage one", "artifact out/a b/ü.txt"), "", "")
	h.want(201, "POST", "/job/f/job/j/build?delay=0", "", "")
	h.ended("f/j", 1)
	art := "/job/f/job/j/1/artifact/"
	cases := map[string]int{
		art + "out/a%20b/%C3%BC.txt":                 200,
		art + "out%2Fa%20b%2F%C3%BC.txt":             200,
		art + "out/a+b/%C3%BC.txt":                   404,
		art + "%2e%2e/log":                           400,
		art + "..%2flog":                             404,
		art + "out/%2e%2e/%2e%2e/log":                400,
		art + "..%2f..%2f..%2f..%2fstate.db":         404,
		art + "%2fetc%2fpasswd":                      404,
		art + "..%5c..%5cstate.db":                   404,
		art + "../log":                               404,
		art + "../../config.xml":                     200,
		"/../../../etc/passwd":                       400,
		"/job/f/../../../../etc":                     400,
		art + "out%00.txt":                           400,
		"/job/f%00":                                  400,
		"/job/%ff/api/json":                          400,
		"/job//f///job/j/api/json":                   200,
		"/job/f%2Fjob%2Fj/api/json":                  404,
		"/job/f/job/j%2F1/api/json":                  404,
		"/job/f/job/j/1/../1/api/json":               200,
		"/job/f/job/j/01/api/json":                   404,
		"/job/f/job/j/-1/api/json":                   404,
		"/job/f/job/j/99999999999999999999/api/json": 404,
		"/job":       404,
		"/job/":      404,
		"/job/f/job": 404,
		"/%":         400,
		blueOrg + "pipelines/f/pipelines/%2e%2e/":        400,
		blueOrg + "pipelines/f/pipelines/j/runs/..%2f1/": 404,
		"/" + strings.Repeat("a/", 5000):                 404,
		"/pipeline-model-converter/nosuch":               404,
	}
	for path, want := range cases {
		req, err := http.NewRequest("GET", h.http.URL+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Opaque = path
		req.SetBasicAuth(testUser, testToken)
		r := h.send(req)
		if r.StatusCode != want {
			t.Errorf("%.80s: %d, want %d", path, r.StatusCode, want)
		}
		if strings.Contains(r.body, "root:") || strings.Contains(r.body, "Finished:") {
			t.Errorf("%.80s shows a file that is none of its business", path)
		}
	}
	if r := h.want(200, "GET", art+"out/a%20b/%C3%BC.txt", "", ""); r.body != "content of out/a b/ü.txt\n" || r.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("%q %v", r.body, r.Header)
	}
	if err := h.s.store.PutArtifact(t.Context(), store.BuildKey{Job: 1, Number: 1}, "../log", strings.NewReader("x")); err == nil {
		t.Error("an artifact left its folder")
	}
}

func TestUnicodeNames(t *testing.T) {
	h := newHarness(t, t.TempDir())
	folder, job := "größe 日本", "ä b+c'"
	h.folder(folder)
	h.job(folder, job, script("stage größe"), "", "")
	p := "/job/" + url.PathEscape(folder) + "/job/" + url.PathEscape(job)
	h.want(201, "POST", p+"/build?delay=0", "", "")
	h.ended(folder+"/"+job, 1)
	type run struct{ FullDisplayName, URL string }
	v := decode[run](t, h.get(p+"/1/api/json"))
	if v.FullDisplayName != folder+" » "+job+" #1" {
		t.Errorf("%+v", v)
	}
	u, err := url.Parse(v.URL)
	if err != nil {
		t.Fatal(err)
	}
	if got := decode[run](t, h.get(u.EscapedPath()+"api/json")); got != v {
		t.Errorf("its own URL gives %+v", got)
	}
	h.get(blueOrg + "pipelines/" + url.PathEscape(folder) + "/pipelines/" + url.PathEscape(job) + "/runs/1/")
	long := strings.Repeat("n", 300)
	h.want(500, "POST", "/createItem?name="+long, typeXML, "<"+classFolder+"/>")
	h.want(400, "POST", "/createItem?name="+url.QueryEscape("a\u202e\x01"), typeXML, "<"+classFolder+"/>")
	h.want(400, "POST", "/createItem?name=%ff%fe", typeXML, "<"+classFolder+"/>")
}

func TestBadBodies(t *testing.T) {
	h := newHarness(t, t.TempDir())
	h.folder("f")
	h.job("f", "j", script("stage one"), paramsXML("N=0"), "")
	huge := strings.Repeat("a", 20<<20)
	run := blueOrg + "pipelines/f/pipelines/j/runs/"
	cases := map[string]struct {
		method, path, typ, body string
		want                    int
	}{
		"20 MB of XML":              {"POST", "/createItem?name=x", typeXML, huge, 413},
		"20 MB of config.xml":       {"POST", "/job/f/job/j/config.xml", typeXML, huge, 413},
		"20 MB of form":             {"POST", "/job/f/job/j/buildWithParameters", typeForm, "N=" + huge, 413},
		"20 MB of JSON":             {"POST", run, "application/json", `{"parameters":[{"name":"N","value":"` + huge + `"}]}`, 413},
		"20 MB of template":         {"POST", "/manage/cloud/kubernetes/create", typeForm, "json=" + huge, 413},
		"form that is no form":      {"POST", "/job/f/job/j/buildWithParameters", typeForm, "N=%zz", 400},
		"XML bomb":                  {"POST", "/createItem?name=x", typeXML, `<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><` + classFolder + `>&c;</` + classFolder + `>`, 500},
		"XML with a file":           {"POST", "/createItem?name=x", typeXML, `<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><` + classFolder + `><description>&b;</description></` + classFolder + `>`, 500},
		"deep XML":                  {"POST", "/createItem?name=x", typeXML, strings.Repeat("<a>", 100000), 500},
		"two roots":                 {"POST", "/createItem?name=x", typeXML, "<" + classFolder + "/><" + classFolder + "/>", 500},
		"text behind the root":      {"POST", "/createItem?name=x", typeXML, "<" + classFolder + "/>x", 500},
		"JSON of another type":      {"POST", run, "application/json", `[]`, 500},
		"deep JSON":                 {"POST", run, "application/json", `{"parameters":` + strings.Repeat("[", 100000), 500},
		"parameters as text":        {"POST", run, "application/json", `{"parameters":"N"}`, 400},
		"unknown fields are let be": {"POST", run, "application/json", `{"nosuch":1,"parameters":[{"name":"N","value":"1","x":{}}]}`, 200},
		"template that is no JSON":  {"POST", "/manage/cloud/kubernetes/create", typeForm, "json={", 500},
		"template without an ID":    {"POST", "/manage/cloud/kubernetes/create", typeForm, "json={}", 500},
		"template of another type":  {"POST", "/manage/cloud/kubernetes/create", typeForm, `json={"id":5}`, 500},
		"cloud with a bad name":     {"POST", "/manage/cloud/doCreate", typeForm, `json={"name":"a/b"}`, 400},
		"cloud that is not there":   {"POST", "/manage/cloud/nosuch/create", typeForm, `json={"id":"a"}`, 404},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			// A refused body may be cut, then the client sees an error of the connection.
			req, err := http.NewRequest(c.method, h.http.URL+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", c.typ)
			req.SetBasicAuth(testUser, testToken)
			if r := h.send(req); r.StatusCode != c.want {
				t.Errorf("status %d, want %d: %s", r.StatusCode, c.want, clipText(r.body))
			}
		})
	}
	// The same without a length.
	req, err := http.NewRequest("POST", h.http.URL+"/createItem?name=x", io.MultiReader(strings.NewReader(huge)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", typeXML)
	req.SetBasicAuth(testUser, testToken)
	if resp, err := http.DefaultClient.Do(req); err == nil {
		if resp.StatusCode != 413 {
			t.Errorf("chunked: %d", resp.StatusCode)
		}
		_ = resp.Body.Close()
	}
	if got := h.get("/api/json?tree=jobs[name]"); strings.Count(got, `"name"`) != 1 {
		t.Error(got)
	}
}

// TestControlCharacters shows the rule of XML 1.0 and 1.1.
func TestControlCharacters(t *testing.T) {
	const body = "<flow-definition><description>a&#7;b&#x1b;c</description></flow-definition>"
	c, err := parseConfig([]byte("<?xml version='1.1' encoding='UTF-8'?>\n" + body))
	if err != nil || *c.description != "a\ab\x1bc" {
		t.Errorf("%v, %v", c, err)
	}
	if _, err := parseConfig([]byte("<?xml version='1.0' encoding='UTF-8'?>\n" + body)); err == nil {
		t.Error("a control character in XML 1.0 was taken")
	}
	doc, err := setElement([]byte("<?xml version='1.1'?><flow-definition>\n <x>&#7;</x><!-- k --><disabled>false</disabled></flow-definition>\n"), "disabled", "true")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff("<?xml version='1.1'?><flow-definition>\n <x>&#7;</x><!-- k --><disabled>true</disabled></flow-definition>\n", string(doc)); d != "" {
		t.Error(d)
	}
	doc, err = setElement([]byte("<flow-definition>\n</flow-definition>"), "description", "<&\x01>")
	if err != nil || string(doc) != "<flow-definition>\n  <description>&lt;&amp;&gt;</description>\n</flow-definition>" {
		t.Errorf("%q, %v", doc, err)
	}
}

func TestDiscarder(t *testing.T) {
	dir := t.TempDir()
	h := newHarness(t, dir)
	h.folder("f")
	const keep = `<jenkins.model.BuildDiscarderProperty><strategy class="hudson.tasks.LogRotator"><daysToKeep>-1</daysToKeep><numToKeep>2</numToKeep></strategy></jenkins.model.BuildDiscarderProperty>`
	h.job("f", "j", script("stage one", "artifact a.txt"), keep, "")
	build := func(n int) {
		h.want(201, "POST", "/job/f/job/j/build?delay=0", "", "")
		h.ended("f/j", n)
	}
	build(1)
	h.want(302, "POST", "/job/f/job/j/1/toggleLogKeep", "", "")
	h.want(400, "POST", "/job/f/job/j/1/doDelete", "", "")
	for n := 2; n <= 5; n++ {
		build(n)
	}
	if got := h.get("/job/f/job/j/api/json?tree=builds[number]"); !strings.Contains(got, `[{"_class":"`+classRun+`","number":5},{"_class":"`+classRun+`","number":4},{"_class":"`+classRun+`","number":1}]`) {
		t.Error(got)
	}
	if exists(t, filepath.Join(dir, "state", "builds", "2", "3")) || !exists(t, filepath.Join(dir, "state", "builds", "2", "4")) {
		t.Error("the folders of builds are not those of the builds")
	}
}

func TestStopWhileWaitingForAgent(t *testing.T) {
	h := newHarness(t, t.TempDir())
	h.folder("f")
	h.job("f", "j", script("agent no-such-label"), "", "")
	h.want(201, "POST", "/job/f/job/j/build?delay=0", "", "")
	h.eventually("the queue shows why", func() bool {
		return strings.Contains(h.get("/queue/api/json?tree=items[why,task[name,url]]"), `"name":"part of f » j #1","url":"job/f/job/j/1/"},"why":"There are no nodes with the label ‘no-such-label’"`)
	})
	r := h.want(200, "PUT", blueOrg+"pipelines/f/pipelines/j/runs/1/stop/?blocking=true&timeOutInSecs=10", "application/json", "{}")
	if !strings.Contains(r.body, `"result":"ABORTED"`) || !strings.Contains(r.body, `"state":"FINISHED"`) {
		t.Error(r.body)
	}
	if got := h.get("/job/f/job/j/1/api/json?tree=result,actions[causes[shortDescription]]"); !strings.Contains(got, `"Aborted by admin"`) {
		t.Error(got)
	}
	if q := h.get("/queue/api/json?tree=items[id]"); !strings.Contains(q, `"items":[]`) {
		t.Error(q)
	}
}

// TestSecretsStayInside looks for the value of a password parameter where it must not be.
func TestSecretsStayInside(t *testing.T) {
	h := newHarness(t, t.TempDir())
	h.folder("f")
	h.job("f", "j", script("stage one"), paramsXML("PW*default-secret"), "")
	loc := h.want(201, "POST", "/job/f/job/j/buildWithParameters?delay=60sec", typeForm, "PW=topsecret").Header.Get("Location")
	loc = strings.TrimPrefix(loc, h.http.URL)
	h.want(201, "POST", "/job/f/job/j/buildWithParameters?delay=0", typeForm, "PW=topsecret2")
	h.ended("f/j", 1)
	for _, p := range []string{loc + "api/json", "/queue/api/json?depth=3", "/job/f/job/j/1/api/json?depth=3", "/job/f/job/j/api/json?depth=3",
		blueOrg + "pipelines/f/pipelines/j/runs/1/", blueOrg + "pipelines/f/pipelines/j/", "/job/f/job/j/1/consoleText"} {
		if body := h.get(p); strings.Contains(body, "secret") {
			t.Errorf("%s shows the password", p)
		}
	}
}

func TestDeleteRunningJob(t *testing.T) {
	dir := t.TempDir()
	h := newHarness(t, dir)
	h.folder("f")
	h.job("f", "j", script("stage one", "sh sleep 100"), "", "")
	h.want(201, "POST", "/job/f/job/j/build?delay=0", "", "")
	h.started("f/j", 1)
	h.want(302, "POST", "/job/f/doDelete", typeForm, "")
	h.want(404, "GET", "/job/f/job/j/1/api/json", "", "")
	h.eventually("the build is gone", func() bool { return len(h.s.running()) == 0 })
	h.folder("f")
	h.job("f", "j", script("stage other"), "", "")
	h.want(201, "POST", "/job/f/job/j/build?delay=0", "", "")
	if b := h.ended("f/j", 1); b.Result != engine.ResultSuccess {
		t.Errorf("%+v", b)
	}
	if n := h.get(blueOrg + "pipelines/f/pipelines/j/runs/1/nodes/"); !strings.Contains(n, `"other"`) || strings.Contains(n, `"one"`) {
		t.Error(n)
	}
}

func TestTimeSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		5 * time.Millisecond: "5 ms", 250 * time.Millisecond: "0.25 sec", 4950 * time.Millisecond: "4.9 sec", 5 * time.Second: "5 sec",
		29 * time.Second: "29 sec", 65 * time.Second: "1 min 5 sec", 3*time.Hour + 4*time.Minute: "3 hr 4 min", 25 * time.Hour: "1 day 1 hr", 50 * time.Hour: "2 days 2 hr",
	} {
		if got := timeSpan(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

func TestConfigIsRefused(t *testing.T) {
	good := Config{StateDir: t.TempDir(), Accounts: []Account{{Name: "a", Token: "b"}}, NewAgents: func(AgentDeps) (AgentSource, error) { return &localAgents{}, nil }}
	for name, change := range map[string]func(*Config){
		"no folder": func(c *Config) { c.StateDir = "" }, "no accounts": func(c *Config) { c.Accounts = nil }, "no agents": func(c *Config) { c.NewAgents = nil },
		"empty token": func(c *Config) { c.Accounts = []Account{{Name: "a"}} }, "URL with a path": func(c *Config) { c.BaseURL = "http://a/b" }, "no URL": func(c *Config) { c.BaseURL = "a" },
	} {
		c := good
		change(&c)
		if s, err := New(c); err == nil {
			t.Errorf("%s: taken", name)
			_ = s.Close()
		}
	}
}
