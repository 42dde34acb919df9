// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
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

const seedPipeline = `pipeline {
  agent any
  parameters {
    string(name: 'name', defaultValue: 'rick', description: 'just for testing')
    booleanParam(name: 'debug', defaultValue: false, description: 'You can use this flag to debug your Pipeline')
    choice(name: 'kubernetesVersion', choices: ['v1.18.8', 'v1.18.9'], description: 'Please choose the target Kubernetes version')
  }
  stages {
    stage('simple') {
      steps {
        echo "My name is ${params.name}."
        echo "Target Kubernetes version is " + params.kubernetesVersion
        script {
          if ("${params.debug}" == "true") {
            echo "You can put some debug info at here."
            echo "Another way to use param: " + params.name
          }
        }
      }
    }
    stage('debug stage') {
      when { equals expected: true, actual: params.debug }
      steps { echo "It's joke, there're debug info here." }
    }
  }
}
`

const bigPipeline = `pipeline {
  agent any
  options { timestamps(); timeout(time: 5, unit: 'MINUTES'); skipDefaultCheckout() }
  parameters { string(name: 'MODE', defaultValue: 'ok', description: 'what to do') }
  environment { GREETING = "hello" }
  stages {
    stage('prepare') {
      steps {
        echo "mode ${params.MODE}"
        sh label: 'make a file', script: 'echo one; sleep 1; echo two; mkdir -p "out/a dir"; echo x > "out/a dir/ünï çode.txt"; echo y > out/plain.txt'
        sh 'echo $GREETING; for i in 1 2 3 4 5; do echo line $i; done'
      }
    }
    stage('fan') {
      parallel {
        stage('left') { steps { sh 'sleep 1; echo left'; echo 'left done' } }
        stage('right') {
          stages {
            stage('right one') { steps { echo 'r1' } }
            stage('right two') { steps { sleep 1 } }
          }
        }
      }
    }
    stage('nested') {
      stages {
        stage('inner one') { steps { echo 'i1' } }
        stage('inner two') { when { expression { params.MODE == 'never' } }
          steps { echo 'i2' } }
      }
    }
    stage('skipped') { when { equals expected: 'never', actual: params.MODE }
      steps { echo 'never' } }
    stage('tests') { steps { writeFile file: 'r.xml', text: 'x' } }
    stage('gate') { when { expression { params.MODE == 'gate' } }
      steps { echo 'gate' } }
    stage('end') {
      steps {
        script { if (params.MODE == 'fail') { error 'asked to fail' } }
        archiveArtifacts artifacts: 'out/**'
      }
    }
    stage('after') { steps { echo 'after' } }
  }
  post {
    always { echo 'post always' }
    success { echo 'post success' }
    failure { echo 'post failure' }
  }
}
`

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

// scenario says how a file is replayed.
type scenario struct {
	// setup makes what the recording took for granted.
	setup func(*replay)
	// out are the names of exchanges that are out of scope, as regular expressions, with the reason.
	out map[string]string
	// real runs the pipelines with the engine instead of the stub.
	real bool
	// before runs before the exchange of that name.
	before map[string]func(*replay)
}

const recPipeline = "pipeline { agent any\n stages { stage('one') { steps { echo 'hi' } } } }\n"

func script(lines ...string) string { return recPipeline + "// " + strings.Join(lines, "\n// ") }

var scenarios = map[string]scenario{
	"01-auth-and-crumb": {
		setup: func(r *replay) { r.folder("REC-02") },
		out: map[string]string{
			`xml|as header line`: "the XML API is not spoken", `API token`: "tokens are configured, not made",
			`^blue: current user$`: "",
		},
	},
	"02-folder": {},
	"03-pipeline-job": {
		setup: func(r *replay) { r.folder("rec-03") },
		out:   map[string]string{`^generic webhook`: "plugin generic-webhook-trigger"},
	},
	"04-trigger": {
		setup: func(r *replay) {
			r.folder("rec-04c")
			par := paramsXML("N=0", "FLAG?false", "C:one,two")
			r.job("rec-04c", "plain", script("stage one"), "", "")
			r.job("rec-04c", "par", script("stage one", "sh sleep 0.2"), par, "")
			r.job("rec-04c", "uniq", script("stage one", "sh sleep 0.2"), paramsXML("N=0", "RUN_ID="), "")
			r.job("rec-04c", "one", script("stage one", "sh sleep 6"), "<"+propNoConcurrent+"><abortPrevious>false</abortPrevious></"+propNoConcurrent+">"+par, "")
			r.job("rec-04c", "nolabel", script("agent no-such-label"), "", "")
		},
		out: map[string]string{
			`by xpath`:                          "the XML API is not spoken",
			`^left item until it expires \(2\)`: "takes five minutes, see TestQueueRules",
			`^one: whole queue`:                 "the order of blocked items is not defined",
		},
		before: map[string]func(*replay){
			"plain: builds":                              idle,
			"par: buildWithParameters in the body":       idle,
			"par: buildWithParameters in the query":      idle,
			"par: undefined parameter is dropped":        idle,
			"par: run with the undefined parameter":      idle,
			"par: choice outside of the list":            idle,
			"par: run with the odd boolean":              idle,
			"par: run with unicode":                      idle,
			"same parameters twice, quiet period: first": idle,
			"par: builds after the coalesced pair":       idle,
			"blue: run":                                  idle,
			"blue: same parameters twice, 1":             idle,
			"blue: its parameters":                       idle,
			"uniq: start run-aaaa":                       idle,
			"uniq: find by builds":                       idle,
			"uniq: same id sent twice, 1":                idle,
			"one: first":                                 idle,
			"one: second (concurrent builds disabled)":   func(r *replay) { r.started("rec-04c/one", 1) },
			"one: second until it left":                  func(r *replay) {},
			"one: builds":                                idle,
			"delay without a unit: start":                idle,
			"cancel by item address: start":              idle,
		},
	},
	"05-blue-run-life": {
		setup: func(r *replay) {
			r.folder("rec-05e")
			r.job("rec-05e", "seed", seedPipeline, "", "")
			r.job("rec-05e", "big", bigPipeline, paramsXML("MODE=ok"), "")
			r.job("rec-05e", "broken", "pipeline { agent any\n stages { stage('x') { steps { nosuchstep() } } } }", "", "")
			r.job("rec-05e", "scripted", "node { echo 'x' }", "", "")
			r.job("rec-05e", "nostage", "node { echo 'x' }", "", "")
			r.job("rec-05e", "again", "pipeline { agent any\n stages { stage('old') { steps { echo 'x' } } } }", "", "")
		},
		real: true,
		out: map[string]string{
			`^big (gate|slow|unstable|notbuilt|failfan)|replay|restart|^scripted|^nostage|^cache|tests|blueTestSummary|activities`: "input, junit, scripted pipelines and restarts are not part of the first cut, and the waits are long",
			`node log without Accept|run log \?(start=50|start=100000|thresholdInKB=1)$|step log \?start=100000`:                   "follows from hidden notes or from sizes",
		},
		before: map[string]func(*replay){
			"seed 2: start": idle, "seed 3: start": idle, "big ok: start": idle, "big fail: start": idle, "broken: start": idle,
			"step log of Print Message": idle, "missing node": idle,
		},
	},
	"06-classic-run-life": {
		setup: func(r *replay) {
			r.folder("rec-06b")
			r.job("rec-06b", "big", bigPipeline, paramsXML("MODE=ok"), "")
		},
		real: true,
		out: map[string]string{
			`^input|testReport|test counts|ingerprint|^replay|^rebuild|api xml|progressiveHtml|unstable`: "not part of the first cut",
			`^(running|stop|after stop|stopped|term|after term|kill|after kill)`:                         "tested apart: the recorded build sleeps for a minute",
		},
		before: map[string]func(*replay){
			"run: api tree after the end": idle,
			"fail: api": func(r *replay) {
				r.want(201, "POST", "/job/rec-06b/job/big/buildWithParameters?delay=0", typeForm, "MODE=fail")
				r.ended("rec-06b/big", 2)
				r.want(201, "POST", "/job/rec-06b/job/big/buildWithParameters?delay=0", typeForm, "MODE=ok")
				r.ended("rec-06b/big", 3)
			},
		},
	},
	"12-casc": {
		setup: func(r *replay) {
			for id, label := range map[string]string{"base": "base", "go": "go golang", "only": "only"} {
				r.template(id, label)
			}
		},
		out: map[string]string{
			`export|check|apply|replace:|^reload|system message|root after`:                                                     "configuration as code",
			`^label before$|configuration still the old one|label go after reload|label go is gone|label only after going back`: "follows from configuration as code",
			`label of the built-in node`: "",
		},
	},
	"13-search-and-lists": {
		setup: func(r *replay) {
			r.folder("rec-13")
			r.folder("rec-13o")
			for _, n := range []string{"Beta", "alpha", "alpha-two", "beta", "gämma"} {
				r.job("rec-13", n, script("stage one"), "", "")
			}
			r.want(302, "POST", "/job/rec-13/createItem?name=mbempty&mode="+classMultibranch, typeForm, "")
			r.want(200, "POST", "/job/rec-13/createItem?name=sub", typeXML, "<"+classFolder+"></"+classFolder+">")
			r.want(200, "POST", "/job/rec-13/job/sub/createItem?name=alpha-deep", typeXML, jobXML("x", "", ""))
			r.job("rec-13o", "other", script("stage one"), "", "")
			r.want(201, "POST", "/job/rec-13/job/alpha/build?delay=0", "", "")
			r.ended("rec-13/alpha", 1)
		},
		out: map[string]string{
			`blue: classes|item search|plugins|overallLoad depth|load of a label`: "not called by our client",
		},
	},
	"14-busy": {
		setup: func(r *replay) {
			r.folder("rec-14")
			for i := range 12 {
				r.job("rec-14", fmt.Sprintf("j%02d", i), script("stage one"), paramsXML("N=0", "RUN_ID="), "")
			}
		},
		before: map[string]func(*replay){
			"start r-058 in j10": func(r *replay) {
				for i := 3; i < 58; i++ {
					r.want(201, "POST", fmt.Sprintf("/job/rec-14/job/j%02d/buildWithParameters?delay=0sec", i%12), typeForm, fmt.Sprintf("N=%d&RUN_ID=r-%03d", i, i))
				}
			},
			"folder poll 0": idle,
		},
		out: map[string]string{`^queue, (whole|tree)`: "shows builds that wait for executors, minijenkins has none", `depth=2`: ""},
	},
}

// idle waits until nothing waits or runs.
func idle(r *replay) {
	r.eventually("everything has ended", func() bool {
		r.s.mu.RLock()
		defer r.s.mu.RUnlock()
		return len(r.s.waiting()) == 0 && len(r.s.runs) == 0
	})
}

func (r *replay) template(id, label string) {
	form := url.Values{"json": {fmt.Sprintf(`{"id":%q,"name":%q,"label":%q,"yaml":"kind: Pod\nspec: {containers: [{name: a, image: b}]}"}`, id, id, label)}}
	r.want(302, "POST", "/manage/cloud/kubernetes/create", typeForm, form.Encode())
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
