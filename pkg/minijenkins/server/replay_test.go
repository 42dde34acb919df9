// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"sigs.k8s.io/yaml"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
)

var update = flag.Bool("update", false, "rewrite testdata/replay.txt with the exchanges that are answered as recorded, and replay.json")

// exchange is a recorded request and its answer.
type exchange struct {
	Name    string `json:"name"`
	AtMS    int64  `json:"at_ms"`
	Request struct {
		Method, Path, Body, Credentials string
		Headers                         map[string]string
	} `json:"request"`
	Response struct {
		Status  int
		Headers map[string]any
		Body    struct {
			JSON any     `json:"json"`
			Text *string `json:"text"`
		}
	} `json:"response"`
}

// header is the first value of a recorded header.
func (ex *exchange) header(name string) string {
	switch v := ex.Response.Headers[name].(type) {
	case string:
		return v
	case []any:
		return fmt.Sprint(v[0])
	}
	return ""
}

// replay is the replay of one file.
type replay struct {
	*harness
	sc scenario
	// start is when the recording would have begun.
	start time.Time
	// queue maps recorded queue items to ours.
	queue map[string]string
	// ids maps the recorded IDs of nodes, with their job and run, to their names.
	ids    map[string]string
	crumbs map[string]string
	// repo stands for the recorded repository.
	repo *gitRepo
	opts []option
}

const recordings = "../../jenkins/testdata/recordings/"

// TestReplay sends the recorded requests at the recorded times and compares the answers: status,
// headers, shape of the JSON and the values that do not depend on time. testdata/replay.txt lists
// what must be the same; of everything else there is a reason. The clock is one of synctest, so the
// ten minutes of the recordings pass in a moment.
func TestReplay(t *testing.T) {
	must := readExpected(t)
	var report replayReport
	files, err := filepath.Glob(recordings + "*.json.gz")
	if err != nil || len(files) == 0 {
		t.Fatal("no recordings", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json.gz")
		list := readRecording(t, file)
		sc, ok := scenarios[name]
		if !ok {
			t.Errorf("%s: neither replayed nor explained", name)
			continue
		}
		part := report.add(name, len(list))
		if sc.none != "" {
			part.rest[sc.none] = append(part.rest[sc.none], "all")
			continue
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				t.Helper()
				replayFile(t, list, sc, func(ex string) bool { return must[name+": "+ex] }, part)
			})
		})
		for _, ex := range slices.Sorted(maps.Keys(must)) {
			if ex, ok := strings.CutPrefix(ex, name+": "); ok && !*update && !slices.Contains(part.equal, ex) && !part.failed[ex] {
				t.Errorf("%s: %q is not in the recording", name, ex)
			}
		}
	}
	t.Log("\n" + report.table())
	if *update {
		report.write(t)
	}
}

// replayPart is what came out of one file.
type replayPart struct {
	name  string
	total int
	equal []string
	// failed are those that must be equal and are not, rest the others that are not, by reason.
	failed map[string]bool
	rest   map[string][]string
}

type replayReport struct{ parts []*replayPart }

func (r *replayReport) add(name string, total int) *replayPart {
	p := &replayPart{name: name, total: total, failed: map[string]bool{}, rest: map[string][]string{}}
	r.parts = append(r.parts, p)
	return p
}

func (r *replayReport) table() string {
	var b strings.Builder
	b.WriteString("| Recording | Answered as recorded | All |\n|---|---|---|\n")
	equal, total := 0, 0
	for _, p := range r.parts {
		fmt.Fprintf(&b, "| %s | %d | %d |\n", p.name, len(p.equal), p.total)
		equal, total = equal+len(p.equal), total+p.total
	}
	fmt.Fprintf(&b, "| all | %d | %d |\n", equal, total)
	return b.String()
}

// replayResult is a recording in testdata/replay.json, of which the conformance table is made.
type replayResult struct {
	Recording string `json:"recording"`
	All       int    `json:"all"`
	Equal     int    `json:"equal"`
	// Different are the names of the exchanges that are not answered as recorded, by the reason.
	Different map[string][]string `json:"different,omitempty"`
}

func (r *replayReport) write(t *testing.T) {
	t.Helper()
	var keys []string
	var results []replayResult
	for _, p := range r.parts {
		for _, ex := range p.equal {
			keys = append(keys, p.name+": "+ex)
		}
		results = append(results, replayResult{p.name, p.total, len(p.equal), p.rest})
	}
	slices.Sort(keys)
	table, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"replay.txt": strings.Join(keys, "\n") + "\n", "replay.json": string(table) + "\n"} {
		if err := os.WriteFile(filepath.Join("testdata", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Log("now: go test ./test/conformance -update")
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
		out[sc.Text()] = true
	}
	return out
}

func readRecording(t *testing.T, file string) []exchange { t.Helper(); return recorded(t, file) }

// recorded are the exchanges of a recording.
func recorded(tb testing.TB, file string) []exchange {
	tb.Helper()
	f, err := os.Open(file)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	var rec struct{ Exchanges []exchange }
	if err := json.NewDecoder(z).Decode(&rec); err != nil {
		tb.Fatal(err)
	}
	return rec.Exchanges
}

func replayFile(t *testing.T, list []exchange, sc scenario, must func(name string) bool, part *replayPart) {
	t.Helper()
	opts := []option{offline, withJenkinsTimes, withDev}
	if !sc.stub {
		opts = append(opts, withSlowEngine)
	}
	opts = append(opts, sc.options...)
	r := &replay{sc: sc, queue: map[string]string{}, ids: nodeNames(list), crumbs: map[string]string{}, opts: opts}
	r.begins(t, t.TempDir())
	if sc.setup != nil {
		sc.setup(r)
	}
	r.start = time.Now()
	count := map[string]int{}
	for _, ex := range list {
		count[ex.Name]++
		name := ex.Name
		if n := count[ex.Name]; n > 1 {
			name = fmt.Sprintf("%s (%d)", name, n)
		}
		if f := sc.before[name]; f != nil {
			// What was not recorded takes no time.
			from := time.Now()
			f(r)
			r.start = r.start.Add(time.Since(from))
		}
		time.Sleep(time.Until(r.start.Add(time.Duration(ex.AtMS) * time.Millisecond)))
		reason := sc.reason(name)
		problem := r.exchange(ex)
		// What is known to differ is not waited for.
		from := time.Now()
		for end := time.Now().Add(patience(ex, name)); problem != "" && (must(name) || reason == "") && time.Now().Before(end); {
			time.Sleep(20 * time.Millisecond)
			problem = r.exchange(ex)
		}
		switch {
		case problem == "":
			// What took longer here than there moves all that follows.
			r.start = r.start.Add(time.Since(from))
			part.equal = append(part.equal, name)
		case must(name) && !*update:
			part.failed[name] = true
			t.Errorf("%s\n%s", name, problem)
		case reason == "":
			part.failed[name] = true
			t.Errorf("differs and has no reason: %s\n%s", name, problem)
		default:
			part.rest[reason] = append(part.rest[reason], name)
			t.Logf("differs: %s: %s", name, problem)
		}
	}
}

// begins starts the server.
func (r *replay) begins(t *testing.T, dir string) {
	t.Helper()
	r.harness = newHarness(t, dir, append([]option{func(_ *Config, s *Server) {
		if s == nil {
			return
		}
		agents, ok := s.agents.(*localAgents)
		if !ok {
			agents = s.agents.(lastingAgents).localAgents
		}
		agents.shell, agents.anyLabel = fakeShell, true
		s.lag = r.sc.lag
	}}, r.opts...)...)
}

// withEngine runs builds with the real engine.
func withEngine(_ *Config, s *Server) {
	if s != nil {
		s.parse, s.check, s.run = jenkinsfile.Load, engine.CheckWith, engine.Run
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

// withJenkinsTimes has the times of the Jenkins that was recorded.
func withJenkinsTimes(c *Config, _ *Server) {
	if c != nil {
		c.QuietPeriod, c.LeftItemTTL = 5*time.Second, 5*time.Minute
	}
}

// withDev adds the user of recording 07.
func withDev(c *Config, _ *Server) {
	if c != nil {
		c.Accounts = append(c.Accounts, Account{Name: "dev", Password: testPassword, Limited: true})
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
	req := r.request(ex.Request.Method, r.ours(path), r.fill(ex, ex.Request.Body))
	for k, v := range ex.Request.Headers {
		switch k {
		case "auth":
		case "Cookie":
			req.AddCookie(&http.Cookie{Name: sessionCookie, Value: "session"})
		default:
			req.Header.Set(k, r.fill(ex, v))
		}
	}
	if ex.Request.Headers["auth"] == "basic" {
		user, pass, _ := strings.Cut(ex.Request.Credentials, ":")
		if user == "" {
			user, pass = testUser, testToken
		}
		req.SetBasicAuth(user, pass)
	}
	resp := r.handle(req)
	return r.compare(ex, resp)
}

// fill puts the crumb of the user of the request into its place.
func (r *replay) fill(ex exchange, s string) string {
	user, _, _ := strings.Cut(ex.Request.Credentials, ":")
	if user == "" {
		user = testUser
	}
	if r.s.cfg.CasC != "" {
		s = strings.ReplaceAll(s, "%2Fvar%2Fjenkins_casc", url.QueryEscape(filepath.Dir(r.s.cfg.CasC)))
	}
	if r.repo != nil {
		s = strings.ReplaceAll(s, "file:///srv/repo/git/svc.git", r.repo.url())
	}
	return strings.ReplaceAll(s, "CRUMB", r.s.crumb(user, "session"))
}

var headersToCompare = []string{"Content-Type", "Location", "X-Error", "Allow", "WWW-Authenticate", "Accept-Ranges", "Content-Range",
	"Content-Disposition", "Link", "X-Jenkins", "X-More-Data"}

func (r *replay) compare(ex exchange, resp *response) string {
	if resp.StatusCode != ex.Response.Status {
		return fmt.Sprintf("status %d, recorded %d: %s", resp.StatusCode, ex.Response.Status, clipText(resp.body))
	}
	for _, h := range headersToCompare {
		want, got := ex.header(h), resp.Header.Get(h)
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
	if (resp.Header.Get("X-Text-Size") == "") != (ex.header("X-Text-Size") == "") {
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
	if t := ex.Response.Body.Text; t != nil && (!strings.Contains(ex.header("Content-Type"), "html") || ex.Response.Status == http.StatusOK && strings.Contains(ex.Request.Path, "/check")) {
		return diffText(ex, *t, resp.body)
	}
	return ""
}

// isLog tells the addresses of logs, whose lines the tests of the engine compare.
var isLog = regexp.MustCompile(`/(log|logText|consoleText|artifact)\b`)

func diffText(ex exchange, want, got string) string {
	switch {
	case strings.Contains(ex.header("Content-Type"), "yaml"):
		return cmp.Diff(templateNames(want), templateNames(got))
	case strings.Contains(ex.Request.Path, "/api/xml?xpath=concat"):
		// The crumb is another one.
		want, got = strings.TrimSuffix(want, "CRUMB"), got[:min(len(got), strings.LastIndexByte(want, ':')+1)]
		return cmp.Diff(want, got)
	case strings.HasPrefix(ex.header("Content-Type"), "text/plain") && !isLog.MatchString(ex.Request.Path), ex.header("Content-Type") == "":
		return cmp.Diff(want, got)
	}
	if ex.header("Content-Type") == typeHTML && strings.HasPrefix(want, "<") {
		// What a check says, without the stack trace.
		want, _, _ = strings.Cut(want, "<div><a href='#' class='showDetails'>")
		got, _, _ = strings.Cut(got, "<div><a href='#' class='showDetails'>")
		if want != got {
			return fmt.Sprintf("%s, recorded %s", clipText(got), clipText(want))
		}
	}
	if strings.HasPrefix(ex.header("Content-Type"), "application/xml") {
		a, errA := parseXML([]byte(want))
		b, errB := parseXML([]byte(got))
		if errA != nil || errB != nil {
			return fmt.Sprint("XML: ", errA, errB)
		}
		return diffXML(a, b)
	}
	return ""
}

// templateNames finds the names and labels of the pod templates in an export.
func templateNames(text string) (out []string) {
	var doc struct {
		Jenkins struct {
			Clouds []struct {
				Kubernetes struct {
					Name      string
					Templates []struct{ Name, Label string }
				}
			}
		}
	}
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return []string{err.Error()}
	}
	for _, c := range doc.Jenkins.Clouds {
		for _, t := range c.Kubernetes.Templates {
			out = append(out, c.Kubernetes.Name+": "+t.Name+": "+t.Label)
		}
	}
	return out
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
		if c.text == "CRUMB" && b.value(c.name) != "" {
			continue
		}
		if b.child(c.name) == nil || strings.TrimSpace(b.child(c.name).text) != strings.TrimSpace(c.text) {
			return "element " + c.name
		}
	}
	return ""
}

// Of values of these names only the type is compared: they are times and loads, or made up anew each time, or numbers of the queue, or lie on the
// disk of the test; the commits are others, the branches stand in the order in which their builds end, and the list of plugins is another.
var varying = map[string]bool{"timestamp": true, "queueId": true, "duration": true, "crumb": true, "tokenUuid": true, "tokenValue": true, "hash": true,
	"history": true, "latest": true, "apiUrl": true, "text": true, "msg": true, "branchNames": true, "shortName": true, "version": true}

// varies tells so by the end of the name, too.
func varies(key string) bool {
	return varying[key] || strings.HasSuffix(key, "Time") || strings.HasSuffix(key, "Millis") || strings.HasSuffix(key, "Milliseconds")
}

// loose are values that depend on the machine or on plugins.
var loose = map[string]bool{"numExecutors": true, "slaveAgentPort": true, "property": true, "totalExecutors": true,
	"idleExecutors": true, "executors": true, "monitorData": true, "estimatedDuration": true, "restartable": true,
	"inQueueSince": true, "hudson.node_monitors": true, "executor": true}

// Actions of plugins that minijenkins does not have.
var ignoredActions = []string{"", "jenkins.metrics.impl.TimeInQueueAction", "org.jenkinsci.plugins.workflow.libs.LibrariesAction",
	"org.jenkinsci.plugins.displayurlapi.actions.RunDisplayAction", "org.jenkinsci.plugins.displayurlapi.actions.JobDisplayAction",
	"org.jenkinsci.plugins.pipeline.modeldefinition.actions.RestartDeclarativePipelineAction",
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

// isCounted tells if an id is counted or made up: the number of an item in the queue, up to which the recorded Jenkins had counted before (its nodes
// are fewer), the id of a credential that has none, and that of a branch in the stage view, which takes the one of the stage in it.
func isCounted(at, key string, v any) bool {
	if key != "id" {
		return false
	}
	n, err := strconv.Atoi(fmt.Sprint(v))
	return err == nil && n > 100 || strings.HasPrefix(at, ".stages[") || uuid.Validate(fmt.Sprint(v)) == nil
}

var commitRef = regexp.MustCompile(`\b[0-9a-f]{40}\b`)

var flowNodeRef = regexp.MustCompile(`(/execution/node)/\d+/`)

func diffScalar(at, key string, want, got any) string {
	key, _, _ = strings.Cut(key, "[")
	if loose[key] {
		return ""
	}
	if !varies(key) && !isCounted(at, key, want) && !strings.HasSuffix(at, "task.color") { // it may be another a moment later
		a, b := fmt.Sprint(want), fmt.Sprint(got)
		if key == "why" || key == "causeOfBlockage" {
			if strings.HasSuffix(fmt.Sprint(want), " ms") || strings.HasPrefix(b, "Build #") && a == "Finished waiting" {
				return "" // a moment in between
			}
			a, b = timeWords.ReplaceAllString(a, "TIME"), timeWords.ReplaceAllString(b, "TIME")
		}
		a, b = queueRef.ReplaceAllString(a, "$1N"), queueRef.ReplaceAllString(b, "$1N")
		// The stage view numbers a branch by the stage in it, the engine by the branch.
		a, b = flowNodeRef.ReplaceAllString(a, "$1/N/"), flowNodeRef.ReplaceAllString(b, "$1/N/")
		// The commits of the test are others.
		a, b = commitRef.ReplaceAllString(a, "COMMIT"), commitRef.ReplaceAllString(b, "COMMIT")
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
