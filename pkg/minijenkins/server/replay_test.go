// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
)

var update = flag.Bool("update", false, "rewrite testdata/replay.txt with the exchanges that are answered as recorded")

// exchange is a recorded request and its answer.
type exchange struct {
	Name    string `json:"name"`
	Request struct {
		Method, Path, Body, Credentials string
		Headers                         map[string]string
	} `json:"request"`
	Response struct {
		Status  int
		Headers map[string]string
		Body    struct {
			JSON any     `json:"json"`
			Text *string `json:"text"`
		}
	} `json:"response"`
}

// replay is the replay of one file.
type replay struct {
	*harness
	// queue maps recorded queue items to ours.
	queue map[string]string
	// ids maps the recorded IDs of nodes, with their job and run, to their names.
	ids   map[string]string
	crumb string
}

// TestReplay sends the recorded requests and compares the answers: status, headers, shape of the
// JSON and the values that do not depend on time. testdata/replay.txt lists what must be the same.
func TestReplay(t *testing.T) {
	must := readExpected(t)
	got := map[string]bool{}
	var table []string
	files, err := filepath.Glob("testdata/recordings/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no recordings", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		sc, ok := scenarios[name]
		if !ok {
			continue
		}
		t.Run(name, func(t *testing.T) {
			key := func(ex string) string { return name + ": " + ex }
			// What is known to differ is not waited for.
			wait := func(ex string) bool { return *update || must[key(ex)] }
			passed, total, outside := replayFile(t, file, sc, wait, func(ex, problem string) {
				key := key(ex)
				if problem == "" {
					got[key] = true
				} else if must[key] {
					t.Errorf("%s\n%s", ex, problem)
				} else {
					t.Logf("differs: %s: %s", ex, problem)
				}
			})
			table = append(table, fmt.Sprintf("%-24s %4d answered as recorded, %4d in scope, %4d recorded", name, passed, total, total+outside))
		})
	}
	sort.Strings(table)
	t.Log("\n" + strings.Join(table, "\n"))
	if *update {
		keys := make([]string, 0, len(got))
		for k := range got {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		if err := os.WriteFile("testdata/replay.txt", []byte(strings.Join(keys, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func readExpected(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	f, err := os.Open("testdata/replay.txt")
	if os.IsNotExist(err) && *update {
		return out
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		out[sc.Text()] = !*update
	}
	return out
}

func replayFile(t *testing.T, file string, sc scenario, wait func(name string) bool, report func(name, problem string)) (passed, total, outside int) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rec struct{ Exchanges []exchange }
	if err := json.Unmarshal(data, &rec); err != nil {
		t.Fatal(err)
	}
	opts := []option{withRealQuiet, withTTL}
	if sc.real {
		opts = append(opts, withEngine)
	}
	r := &replay{harness: newHarness(t, t.TempDir(), opts...), queue: map[string]string{}, ids: nodeNames(rec.Exchanges)}
	if sc.setup != nil {
		sc.setup(r)
	}
	count := map[string]int{}
	for _, ex := range rec.Exchanges {
		if sc.before[ex.Name] != nil {
			sc.before[ex.Name](r)
		}
		count[ex.Name]++
		name := ex.Name
		if n := count[ex.Name]; n > 1 {
			name = fmt.Sprintf("%s (%d)", name, n)
		}
		if isOut(sc, name) {
			outside++
			if ex.Request.Method == "GET" {
				continue
			}
			r.exchange(ex)
			continue
		}
		total++
		problem := r.exchange(ex)
		for end := time.Now().Add(patience(ex, name)); problem != "" && wait(name) && time.Now().Before(end); {
			time.Sleep(20 * time.Millisecond)
			problem = r.exchange(ex)
		}
		if problem == "" {
			passed++
		}
		report(name, problem)
	}
	return passed, total, outside
}

// withEngine runs builds with the real engine.
func withEngine(_ *Config, s *Server) {
	if s != nil {
		s.parse, s.check, s.run = jenkinsfile.Parse, engine.Check, engine.Run
	}
}

var runPart = regexp.MustCompile(`pipelines/([^/]+)/runs/(\d+)/nodes/`)

// nodeNames collects the names of the recorded nodes: our engine numbers them in its own way.
func nodeNames(list []exchange) map[string]string {
	out := map[string]string{}
	for _, ex := range list {
		m := runPart.FindStringSubmatch(ex.Request.Path)
		nodes, _ := ex.Response.Body.JSON.([]any)
		if m == nil || strings.Contains(ex.Request.Path, "/steps/") {
			continue
		}
		for _, n := range nodes {
			if n, ok := n.(map[string]any); ok {
				out[m[1]+"/"+fmt.Sprint(n["id"])] = fmt.Sprint(n["displayName"])
			}
		}
	}
	return out
}

var nodeRef = regexp.MustCompile(`(pipelines/[^/]+/pipelines/([^/]+)/runs/\d+/nodes/)(\d+)/(?:steps/(\d+)/)?`)

// ours replaces the recorded IDs of a node and a step in a path.
func (r *replay) ours(path string) string {
	m := nodeRef.FindStringSubmatchIndex(path)
	if m == nil {
		return path
	}
	list, job, node := path[m[2]:m[3]], path[m[4]:m[5]], path[m[6]:m[7]]
	type named struct{ ID, DisplayName string }
	find := func(from string, want func(named, int) bool) string {
		resp := r.do("GET", "/blue/rest/organizations/jenkins/"+from, "", "")
		var found []named
		_ = json.Unmarshal([]byte(resp.body), &found)
		for i, n := range found {
			if want(n, i) {
				return n.ID
			}
		}
		return ""
	}
	id := find(list, func(n named, _ int) bool { return n.DisplayName == r.ids[job+"/"+node] })
	if id == "" {
		return path
	}
	out := path[:m[6]] + id + "/"
	rest := path[m[7]+1:]
	if m[8] >= 0 {
		// Steps of the recorded node have growing numbers behind it.
		step, _ := strconv.Atoi(path[m[8]:m[9]])
		n, _ := strconv.Atoi(node)
		if sid := find(list+id+"/steps/", func(_ named, i int) bool { return i == step-n-1 }); sid != "" {
			rest = "steps/" + sid + "/" + path[m[9]+1:]
		}
	}
	return out + rest
}

func withRealQuiet(c *Config, _ *Server) {
	if c != nil {
		c.QuietPeriod = 2 * time.Second
	}
}

func withTTL(c *Config, _ *Server) {
	if c != nil {
		c.LeftItemTTL = time.Minute
	}
}

// brief are states that last for a moment only: to wait for them would miss the next ones.
var brief = regexp.MustCompile(`^plain: queue item \([23]\)|^waiting item \(2\)|^nolabel: its own queue item \(2\)|^one: |^folder poll|right after the trigger`)

// patience is how long an exchange is tried again: reads change with time.
func patience(ex exchange, name string) time.Duration {
	m, _ := ex.Response.Body.JSON.(map[string]any)
	switch {
	case ex.Request.Method != "GET":
		return 0
	case m["_class"] == "hudson.model.Queue$LeftItem", m["state"] == "FINISHED", m["building"] == false:
		return 15 * time.Second
	case brief.MatchString(name):
		return 0
	}
	return 2 * time.Second
}

func isOut(sc scenario, name string) bool {
	for re, reason := range sc.out {
		if reason != "" && regexp.MustCompile(re).MatchString(name) {
			return true
		}
	}
	return false
}

var queueRef = regexp.MustCompile(`(queue/item/|cancelItem\?id=|/queue/)(\d+)`)

// exchange sends a request and returns what is not as recorded.
func (r *replay) exchange(ex exchange) string {
	path := queueRef.ReplaceAllStringFunc(ex.Request.Path, func(m string) string {
		p := queueRef.FindStringSubmatch(m)
		if ours, ok := r.queue[p[2]]; ok {
			return p[1] + ours
		}
		return m
	})
	req, err := http.NewRequest(ex.Request.Method, r.http.URL+"/", strings.NewReader(r.fill(ex.Request.Body)))
	if err != nil {
		return err.Error()
	}
	path = r.ours(path)
	p, q, _ := strings.Cut(path, "?")
	req.URL.Opaque, req.URL.RawQuery = p, q
	req.Host = "jenkins.example"
	for k, v := range ex.Request.Headers {
		switch k {
		case "auth":
		case "Cookie":
			for _, c := range r.cookie {
				req.AddCookie(c)
			}
		default:
			req.Header.Set(k, r.fill(v))
		}
	}
	if ex.Request.Headers["auth"] == "basic" {
		user, pass, _ := strings.Cut(ex.Request.Credentials, ":")
		if user == "" {
			user, pass = testUser, testToken
		}
		req.SetBasicAuth(user, pass)
	}
	resp := r.send(req)
	if c := resp.Cookies(); len(c) > 0 && strings.HasPrefix(ex.Name, "crumb with password") {
		r.cookie = c
		var crumb struct{ Crumb string }
		if json.Unmarshal([]byte(resp.body), &crumb) == nil {
			r.crumb = crumb.Crumb
		}
	}
	return r.compare(ex, resp)
}

func (r *replay) fill(s string) string { return strings.ReplaceAll(s, "CRUMB", r.crumb) }

var headersToCompare = []string{"Content-Type", "Location", "X-Error", "Allow", "WWW-Authenticate", "Accept-Ranges", "Content-Range",
	"Content-Disposition", "Link", "X-Jenkins", "X-More-Data"}

func (r *replay) compare(ex exchange, resp *response) string {
	if resp.StatusCode != ex.Response.Status {
		return fmt.Sprintf("status %d, recorded %d", resp.StatusCode, ex.Response.Status)
	}
	for _, h := range headersToCompare {
		want, got := ex.Response.Headers[h], resp.Header.Get(h)
		if h == "Location" {
			w, g := queueRef.FindStringSubmatch(want), queueRef.FindStringSubmatch(got)
			if w != nil && g != nil {
				if known, ok := r.queue[w[2]]; ok && known != g[2] {
					return fmt.Sprintf("queue item %s became %s and %s", w[2], known, g[2])
				}
				r.queue[w[2]] = g[2]
				want, got = queueRef.ReplaceAllString(want, "$1"), queueRef.ReplaceAllString(got, "$1")
			}
		}
		if h == "X-Error" {
			runes := make([]rune, 0, len(got))
			for i := range len(got) {
				runes = append(runes, rune(got[i]))
			}
			got = string(runes)
		}
		if !strings.EqualFold(want, got) {
			return fmt.Sprintf("%s: %q, recorded %q", h, got, want)
		}
	}
	if (resp.Header.Get("X-Text-Size") == "") != (ex.Response.Headers["X-Text-Size"] == "") {
		return "X-Text-Size"
	}
	if ex.Request.Method == "HEAD" {
		return ""
	}
	if ex.Response.Body.JSON != nil {
		var got any
		if err := json.Unmarshal([]byte(resp.body), &got); err != nil {
			return "body is no JSON: " + clipText(resp.body)
		}
		if m, ok := ex.Response.Body.JSON.(map[string]any); ok && m["queueId"] != nil {
			if g, ok := got.(map[string]any); ok && ex.Request.Method == "POST" {
				r.queue[fmt.Sprint(m["queueId"])] = fmt.Sprint(g["queueId"])
			}
		}
		return diffJSON("", ex.Response.Body.JSON, got)
	}
	if t := ex.Response.Body.Text; t != nil && !strings.Contains(ex.Response.Headers["Content-Type"], "html") {
		return diffText(ex, *t, resp.body)
	}
	return ""
}

func diffText(ex exchange, want, got string) string {
	if strings.HasPrefix(ex.Response.Headers["Content-Type"], "application/xml") {
		a, errA := parseXML([]byte(want))
		b, errB := parseXML([]byte(got))
		if errA != nil || errB != nil {
			return fmt.Sprint("XML: ", errA, errB)
		}
		return diffXML(a, b)
	}
	return ""
}

// diffXML compares documents; the defaults that Jenkins writes into new items may be missing.
func diffXML(a, b *element) string {
	if a.name != b.name {
		return "root element " + b.name
	}
	for _, c := range a.children {
		switch c.name {
		case "folderViews", "healthMetrics", "icon", "keepDependencies", "orphanedItemStrategy", "sources", "factory":
			continue
		}
		if b.child(c.name) == nil || strings.TrimSpace(b.child(c.name).text) != strings.TrimSpace(c.text) {
			return "element " + c.name
		}
	}
	return ""
}

// Values of these names are compared, others only by type.
var exact = map[string]bool{"_class": true, "name": true, "fullName": true, "fullDisplayName": true, "displayName": true, "state": true,
	"type": true, "why": true, "causeOfBlockage": true, "color": true, "blocked": true, "buildable": true, "params": true, "message": true,
	"code": true, "pipeline": true, "organization": true, "url": true, "href": true, "value": true, "result": true, "building": true,
	"disabled": true, "inQueue": true, "concurrentBuild": true, "nextBuildNumber": true, "number": true, "cancelled": true, "shortDescription": true,
	"userId": true, "anonymous": true, "choices": true, "expectedBuildNumber": true, "weatherScore": true, "runSummary": true, "buildCount": true}

// loose are values that depend on the machine or on plugins.
var loose = map[string]bool{"numExecutors": true, "slaveAgentPort": true, "description": true, "property": true, "totalExecutors": true,
	"idleExecutors": true, "executors": true, "monitorData": true, "restartable": true, "artifactsZipFile": true, "estimatedDuration": true,
	"inQueueSince": true, "hudson.node_monitors": true, "views": true, "executor": true, "nodeDescription": true}

// Actions of plugins that minijenkins does not have.
var ignoredActions = []string{"", "jenkins.metrics.impl.TimeInQueueAction", "org.jenkinsci.plugins.workflow.libs.LibrariesAction",
	"org.jenkinsci.plugins.displayurlapi.actions.RunDisplayAction", "org.jenkinsci.plugins.displayurlapi.actions.JobDisplayAction",
	"org.jenkinsci.plugins.pipeline.modeldefinition.actions.RestartDeclarativePipelineAction", "hudson.tasks.junit.TestResultAction",
	"org.jenkinsci.plugins.workflow.job.views.FlowGraphAction", "com.cloudbees.plugins.credentials.ViewCredentialsAction"}

var timeWords = regexp.MustCompile(`\d+(\.\d+)? (ms|sec|min)|ETA: [^)]*`)

func diffJSON(at string, want, got any) string {
	key := at[strings.LastIndexByte(at, '.')+1:]
	if loose[key] {
		return ""
	}
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			if got == nil && loose[key] {
				return ""
			}
			return fmt.Sprintf("%s: %T, recorded an object", at, got)
		}
		for k, v := range w {
			gv, ok := g[k]
			if !ok {
				return at + "." + k + " is missing"
			}
			if d := diffJSON(at+"."+k, v, gv); d != "" {
				return d
			}
		}
		for k := range g {
			if _, ok := w[k]; !ok && !loose[key] {
				return at + "." + k + " is too much"
			}
		}
	case []any:
		g, ok := got.([]any)
		if !ok {
			return fmt.Sprintf("%s: %T, recorded a list", at, got)
		}
		if key == "actions" {
			w, g = withoutIgnored(w), withoutIgnored(g)
		}
		if loose[key] || key == "jobs" && at == ".jobs" && len(w) > 0 && len(g) != len(w) {
			return ""
		}
		if len(w) != len(g) {
			return fmt.Sprintf("%s: %d entries, recorded %d", at, len(g), len(w))
		}
		for i := range w {
			if d := diffJSON(fmt.Sprintf("%s[%d]", at, i), w[i], g[i]); d != "" {
				return d
			}
		}
	default:
		return diffScalar(at, key, want, got)
	}
	return ""
}

func diffScalar(at, key string, want, got any) string {
	if loose[key] {
		return ""
	}
	if exact[key] {
		a, b := fmt.Sprint(want), fmt.Sprint(got)
		if key == "why" || key == "causeOfBlockage" {
			if strings.HasSuffix(fmt.Sprint(want), " ms") || strings.HasPrefix(b, "Build #") && a == "Finished waiting" {
				return "" // a moment in between
			}
			a, b = timeWords.ReplaceAllString(a, "TIME"), timeWords.ReplaceAllString(b, "TIME")
		}
		a, b = queueRef.ReplaceAllString(a, "$1N"), queueRef.ReplaceAllString(b, "$1N")
		if a != b {
			return fmt.Sprintf("%s: %s, recorded %s", at, b, a)
		}
		return ""
	}
	if fmt.Sprintf("%T", want) != fmt.Sprintf("%T", got) {
		return fmt.Sprintf("%s: %v (%T), recorded %v (%T)", at, got, got, want, want)
	}
	return ""
}

func withoutIgnored(list []any) []any {
	return slices.DeleteFunc(slices.Clone(list), func(v any) bool {
		m, _ := v.(map[string]any)
		class, _ := m["_class"].(string)
		return slices.Contains(ignoredActions, class)
	})
}
