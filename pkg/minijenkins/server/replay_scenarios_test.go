// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/kube"
)

// scenario says how a file is replayed.
type scenario struct {
	// setup makes what the recording took for granted.
	setup func(*replay)
	// none is why nothing of the file is replayed.
	none string
	// out are the names of exchanges that are answered in another way, as regular expressions, with
	// the reason. They are sent all the same, and count if they are equal.
	out map[string]string
	// stub runs the pipelines with stubRun instead of the engine.
	stub bool
	// lag is how long after its quiet period an item began there.
	lag time.Duration
	// options are of the server.
	options []option
	// before runs before the exchange of that name.
	before map[string]func(*replay)
}

// reason is why an exchange may differ; empty if it may not.
func (sc scenario) reason(name string) string {
	for _, re := range slices.Sorted(maps.Keys(sc.out)) {
		if regexp.MustCompile(re).MatchString(name) {
			return sc.out[re]
		}
	}
	return ""
}

// pipeline has one stage with the steps.
func pipeline(steps ...string) string {
	return "pipeline { agent any\n stages { stage('one') { steps {\n" + strings.Join(steps, "\n") + "\n} } } }"
}

const recPipeline = "pipeline { agent any\n stages { stage('one') { steps { echo 'hi' } } } }\n"

func script(lines ...string) string { return recPipeline + "// " + strings.Join(lines, "\n// ") }

var scenarios = map[string]scenario{
	"01-auth-and-crumb": {
		setup: func(r *replay) { r.folder("REC-02") },
		options: []option{func(_ *Config, s *Server) {
			if s != nil {
				s.systemMessage = "Jenkins configured by CasC"
			}
		}},
		out: map[string]string{
			`^blue: current user$`: "",
		},
	},
	"02-folder": {out: map[string]string{`^job name case differs`: "addresses have the item's own name, not that of the request"}},
	"03-pipeline-job": {
		setup: func(r *replay) { r.folder("rec-03") },
		out: map[string]string{`^generic webhook`: "plugin generic-webhook-trigger",
			`^folder lists jobs$`: "a copied job can be built at once, in Jenkins only after it was saved"},
	},
	"04-trigger": {
		lag: 400 * time.Millisecond,
		setup: func(r *replay) {
			r.folder("rec-04c")
			par := paramsXML("N=0", "FLAG?false", "C:one,two")
			r.job("rec-04c", "plain", pipeline("echo 'x'"), "", "")
			r.job("rec-04c", "par", pipeline("sh 'sleep 0.8'"), par, "")
			r.job("rec-04c", "uniq", pipeline("sh 'sleep 0.2'"), paramsXML("N=0", "RUN_ID="), "")
			r.job("rec-04c", "one", pipeline("sh 'sleep 6'"), "<"+propNoConcurrent+"><abortPrevious>false</abortPrevious></"+propNoConcurrent+">"+par, "")
			r.job("rec-04c", "nolabel", "pipeline { agent { label 'no-such-label' }\n stages { stage('one') { steps { echo 'x' } } } }", "", "")
		},
		out: map[string]string{
			`^par: builds after the coalesced pair|^one: whole queue`: "how long builds take, and the order of blocked items, are not the same",
		},
	},
	"05-blue-run-life": {
		setup: func(r *replay) {
			r.folder("rec-05e")
			r.job("rec-05e", "seed", recordedJenkinsfile(r, "seed"), "", "")
			r.job("rec-05e", "big", recordedJenkinsfile(r, "big"), paramsXML("MODE=ok"), "")
			r.job("rec-05e", "broken", "pipeline { agent any\n stages { stage('x') { steps { nosuchstep() } } } }", "", "")
			r.job("rec-05e", "scripted", "node {\n stage('s1') { echo 'one' }\n stage('s2') { parallel a: { echo 'a' }, b: { sleep 1; echo 'b' } }\n}\necho 'outside of a stage'\n", "", "")
			r.job("rec-05e", "nostage", "node { echo 'no stage at all'\n sh 'echo shell' }\n", "", "")
			r.job("rec-05e", "again", "pipeline { agent any\n stages { stage('old') { steps { echo 'old' } } } }", "", "")
		},
		out: map[string]string{
			`right after the trigger$|^(seed 3|broken|scripted|nostage): run$`:       "Jenkins knows neither item nor run for a moment",
			`^(scripted|nostage): (run|run \(2\)|nodes \(2\)|steps of (s1|s2|a|b))$`: underWay,
			`^scripted: steps of (s2 \(2\)|the run)`:                                 "Blue Ocean counts the steps of branches, and what follows the last stage, to the stage around",
			`^big \w+: (steps of )?(nodes|run|log|steps of)`:                         underWay,
			`^steps of the run`: "the numbers of steps in branches depend on chance",
			`node log without Accept|run log \?(start=50|start=100000|thresholdInKB=1)$|step log \?start=100000`: "follows from hidden notes or from sizes",
			`^restart(ed)?`:                    "a build that is run again from a stage on shows its post steps in each skipped stage",
			`^replayed: (nodes|run|log|steps)`: underWay,
			`^(seed \d|broken): (run|nodes)`:   underWay,
			`^broken: steps`:                   "an unknown step is refused before the build begins",
			`^cache`:                           "the node cache of Blue Ocean is a defect",
		},
	},
	"06-classic-run-life": {
		setup: func(r *replay) {
			r.folder("rec-06b")
			r.job("rec-06b", "big", recordedJenkinsfile(r, "big"), paramsXML("MODE=ok"), "")
		},
		before: map[string]func(*replay){
			"fail: api":                  func(r *replay) { r.mode(2, "fail"); r.mode(3, "unstable") },
			"running: api":               func(r *replay) { r.sleeping(4) },
			"term":                       func(r *replay) { r.sleeping(5) },
			"kill":                       func(r *replay) { r.sleeping(6) },
			"input: pendingInputActions": func(r *replay) { r.ask("rec-06b/big", 10, 1, "MODE=gate") },
			"input: proceedEmpty":        func(r *replay) { r.ask("rec-06b/big", 11, 1, "MODE=gate") },
			"input: abort":               func(r *replay) { r.ask("rec-06b/big", 12, 1, "MODE=gate") },
			"input: wfapi/inputSubmit":   func(r *replay) { r.ask("rec-06b/big", 13, 1, "MODE=gate") },
		},
		out: map[string]string{
			`^run: (wfapi|progressive|api tree)`: underWay,
			`^after (stop|term)`:                 "how long the end takes differs",
			`ingerprint`:                         "the recorded files had been archived by jobs of other recordings, too",
			`artifact above the root`:            "the configuration of the recorded job was another",
			`wfapi`:                              "a stage that was skipped after a failure counts as failed in the stage view, and has a hidden step",
		},
	},
	"07-input": {
		setup: func(r *replay) {
			r.folder("rec-07b")
			one := func(steps string) string {
				return "pipeline { agent none\n stages { stage('ask') { steps { " + steps + " } } } }"
			}
			for name, source := range map[string]string{
				"gate": "pipeline { agent none\n stages { stage('ask') { steps { input message: 'go on?', id: 'gate1', ok: 'yes please', parameters: [" +
					"string(name: 'WHY', defaultValue: 'because', description: 'why'), booleanParam(name: 'SURE', defaultValue: true), " +
					"choice(name: 'LEVEL', choices: ['low', 'high'])] } }\n stage('after') { steps { echo 'after' } } } }",
				"noid":   one("input 'plain question'"),
				"sub":    one("input message: 'only lead', id: 'lead', submitter: 'lead,team'"),
				"subdev": one("input message: 'only dev', id: 'forDev', submitter: 'dev'"),
				"stage": "pipeline { agent none\n stages { stage('ask') {\n input { message 'stage level'\n id 'stageGate'\n ok 'do it'\n submitter 'admin'\n" +
					" parameters { string(name: 'WHY', defaultValue: 'x') } }\n steps { echo \"why ${WHY}\" } } } }",
				"two": "pipeline { agent none\n stages { stage('fan') { parallel {\n stage('a') { steps { input message: 'qa', id: 'qa' } }\n" +
					" stage('b') { steps { input message: 'qb', id: 'qb' } } } } } }",
				"timeout": one("timeout(time: 3, unit: 'SECONDS') { input message: 'quick', id: 'quick' }"),
			} {
				r.job("rec-07b", name, source, "", "")
			}
		},
		before: map[string]func(*replay){
			"gate: run": func(r *replay) { r.ask("rec-07b/gate", 1, 1, "") },
			"gate 2: blue, proceed without parameters":        func(r *replay) { r.ask("rec-07b/gate", 2, 1, "") },
			"gate 3: blue, abort":                             func(r *replay) { r.ask("rec-07b/gate", 3, 1, "") },
			"gate 4: classic submit with lower-case id":       func(r *replay) { r.ask("rec-07b/gate", 4, 1, "") },
			"gate 4: classic submit":                          func(r *replay) { r.ask("rec-07b/gate", 5, 1, "") },
			"noid: steps":                                     func(r *replay) { r.ask("rec-07b/noid", 1, 1, "") },
			"sub: steps":                                      func(r *replay) { r.ask("rec-07b/sub", 1, 1, "") },
			"sub 2: administrator proceeds though not listed": func(r *replay) { r.ask("rec-07b/sub", 2, 1, "") },
			"subdev: the listed user proceeds":                func(r *replay) { r.ask("rec-07b/subdev", 1, 1, "") },
			"stage: nodes":                                    func(r *replay) { r.ask("rec-07b/stage", 1, 1, "") },
			"two: pendingInputActions":                        func(r *replay) { r.ask("rec-07b/two", 1, 2, "") },
			"timeout: run":                                    func(r *replay) { r.ask("rec-07b/timeout", 1, 1, "") },
			"dev: stop":                                       func(r *replay) { r.asked("rec-07b/noid", 2, 1) },
		},
	},
	"08-multibranch": {
		options: []option{withFileSCM},
		setup: func(r *replay) {
			r.folder("rec-08c")
			r.repo = recordedRepo(r.t)
			r.agents.clone = func(req engine.CloneRequest) (string, error) { return req.Ref, nil }
		},
		before: map[string]func(*replay){
			"scan": func(r *replay) {
				r.repo.commit("main", map[string]string{"README": "more\n"})
				r.repo.remove("fix#1")
			},
		},
		out: map[string]string{
			`^blue just after the configuration|^scan: branches while scanning`: "the scan takes a moment only",
			`: nodes$`: "Jenkins counts one step more in the checkout",
			`^blue: (pipeline|branches|runs of|folder with)|^blue after the removal`: "the order is that in which the builds of the branches began or ended",
			`change ?[sS]et`:     "there are no change sets",
			`^queue of the scan`: "items of another recording are in that queue",
		},
	},
	"10-converter": {},
	"11-checks": {
		options: []option{clockAt("2026-11-21T01:00:20Z")},
		setup: func(r *replay) {
			r.folder("rec-11")
			r.job("rec-11", "p", pipeline("echo 'x'"), "", "")
		},
		out: map[string]string{
			`^github|^gitlab serverList`: "servers of GitHub and GitLab are not kept",
			`unknown class`:              "classes are not looked up before a run",
		},
	},
	"15-restart": {
		options: []option{withResume},
		setup: func(r *replay) {
			r.folder("rec-15i")
			r.job("rec-15i", "p", pipeline("echo 'x'"), "", "")
			r.job("rec-15i", "long", "pipeline { agent any\n stages { stage('a') { steps { sh 'sleep 20' } } } }", "", "")
		},
		before: map[string]func(*replay){
			"before the stop: running run": func(r *replay) {
				r.begin("rec-15i/long", "")
				r.started("rec-15i/long", 1)
				loc := r.want(201, "POST", "/job/rec-15i/job/p/build?delay=600sec", typeForm, "").Header.Get("Location")
				r.queue["202"] = queueRef.FindStringSubmatch(loc)[2]
			},
			// The recorded Jenkins was stopped and started.
			"stopped: root":                 func(r *replay) { r.again() },
			"starting: root with token (2)": func(r *replay) { r.starting(0) },
			"starting: root with token (5)": func(r *replay) { r.starting(1) },
			"starting: root with token (6)": func(r *replay) { r.starting(2) },
			"starting: root with token (7)": func(r *replay) { r.s.cfg.StartDelay = 0 },
		},
		out: map[string]string{
			`^exit`:                        "the process is not ended over HTTP",
			`^(stopping|stopped|starting)`: "the connection was refused, or another moment of the start",
		},
	},
	"09-credentials": {
		stub: true,
		setup: func(r *replay) {
			r.folder("rec-09h")
			r.job("rec-09h", "use", script("stage one"), "", "")
			for _, id := range []string{"casc-secret", "kube-token"} {
				r.want(200, "POST", "/credentials/store/system/domain/_/createCredentials", typeXML,
					"<org.jenkinsci.plugins.plaincredentials.impl.StringCredentialsImpl><id>"+id+"</id><secret>x</secret></org.jenkinsci.plugins.plaincredentials.impl.StringCredentialsImpl>")
			}
		},
		out: map[string]string{
			`^log of a run`:              "the stub of builds writes another log, see TestCredentialsInBuilds",
			`^domain$|^create domain`:    "there is the one domain",
			`^HTTP DELETE on the domain`: "",
		},
		before: map[string]func(*replay){
			"usage after a run":         func(r *replay) { r.use("rec-09h", "use", "basic1") },
			"store of a deleted folder": func(r *replay) { r.want(302, "POST", "/job/rec-09h/doDelete", typeForm, "") },
		},
	},
	"12-casc": {
		options: []option{withCasC},
		before: map[string]func(*replay){
			"reload with a broken source":          func(r *replay) { r.casc("jenkins: [\n") },
			"reload with an unknown attribute":     func(r *replay) { r.casc("jenkins:\n  bogus: 5\n") },
			"reload when the source is good again": func(r *replay) { r.casc(firstCasC) },
		},
		out: map[string]string{
			`^check: (broken yaml|list where)`: "the words of another YAML parser",
			`^checkNewSource: http url`:        "sources are files beside the configured one",
			`^label of the built-in node`:      "",
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
			`item search`: "the recorded Jenkins found an item of another recording, too",
			`plugins`:     "only the plugins are listed whose part of the API is spoken",
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
		out: map[string]string{`^folder poll`: underWay, `^queue, (whole|tree)`: "shows builds that wait for executors, minijenkins has none", `depth=2`: ""},
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

// withSlowEngine runs builds with the real engine, as slow as Jenkins.
func withSlowEngine(_ *Config, s *Server) {
	if s == nil {
		return
	}
	withEngine(nil, s)
	s.run = func(ctx context.Context, spec engine.RunSpec) (engine.Result, error) {
		time.Sleep(250 * time.Millisecond)
		spec.Recorder = &slowRecorder{Recorder: spec.Recorder, seen: map[string]bool{}}
		return engine.Run(ctx, spec)
	}
}

// slowRecorder takes its time for each step.
type slowRecorder struct {
	engine.Recorder
	mu   sync.Mutex
	seen map[string]bool
}

func (r *slowRecorder) PutStep(st engine.Step) {
	r.Recorder.PutStep(st)
	r.mu.Lock()
	known := r.seen[st.ID]
	r.seen[st.ID] = true
	r.mu.Unlock()
	if !known {
		time.Sleep(40 * time.Millisecond)
	}
}

// A build that goes on after a restart needs these of its recorder, too.

func (r *slowRecorder) Skip(stepID string, n int64) { r.Recorder.(engine.LogSkipper).Skip(stepID, n) }
func (r *slowRecorder) Ahead(stepID string) int64   { return r.Recorder.(engine.LogAhead).Ahead(stepID) }
func (r *slowRecorder) StoredGraph() ([]engine.Node, []engine.Step) {
	return r.Recorder.(engine.StoredGraph).StoredGraph()
}

// withResume has agents that outlive the server. Their scripts begin again, which is fine for a sleep.
func withResume(c *Config, _ *Server) {
	if c == nil {
		return
	}
	inner := c.NewAgents
	c.NewAgents = func(d AgentDeps) (AgentSource, error) {
		a, err := inner(d)
		if err != nil {
			return nil, err
		}
		return lastingAgents{a.(*localAgents)}, nil
	}
}

type lastingAgents struct{ *localAgents }

func (l lastingAgents) ForBuild(b kube.Build) engine.AgentProvider {
	return lastingProvider{&localProvider{l.localAgents, b}}
}

type lastingProvider struct{ *localProvider }

func (p lastingProvider) Resume(_ context.Context, _ engine.AgentRequest, name, workspace string) (engine.Agent, error) {
	return &localAgent{l: p.l, name: name, ws: workspace}, nil
}

// again stops the server and starts another one on its state.
func (r *replay) again() {
	if err := r.stop(); err != nil {
		r.t.Fatal(err)
	}
	r.begins(r.t, r.dir)
}

// withFileSCM allows repositories on the disk.
func withFileSCM(c *Config, _ *Server) {
	if c != nil {
		c.AllowFileSCM = true
	}
}

// starting puts the server into a third of its start: 503, 401, 503.
func (r *replay) starting(third int) {
	r.s.cfg.StartDelay = 3 * time.Hour
	r.s.born = r.s.now().Add(-time.Duration(third) * time.Hour)
}

// clockAt sets the clock of the server.
func clockAt(to string) option {
	return func(_ *Config, s *Server) {
		if s == nil {
			return
		}
		at, err := time.Parse(time.RFC3339, to)
		if err != nil {
			panic(err)
		}
		ahead := time.Until(at)
		s.now = func() time.Time { return time.Now().Add(ahead) }
	}
}

const underWay = "a poll of a build under way, which is not at the same place there and here"

// begin starts a build of a job in a folder.
func (r *replay) begin(job, params string) {
	folder, name, _ := strings.Cut(job, "/")
	action := "build"
	if params != "" {
		action = "buildWithParameters"
	}
	r.want(201, "POST", "/job/"+folder+"/job/"+name+"/"+action+"?delay=0", typeForm, params)
}

// ask starts a build and waits for its questions.
func (r *replay) ask(job string, n, questions int, params string) {
	r.begin(job, params)
	r.asked(job, n, questions)
}

func (r *replay) asked(job string, n, questions int) {
	r.eventually(fmt.Sprintf("%s #%d asks", job, n), func() bool {
		r.s.mu.RLock()
		defer r.s.mu.RUnlock()
		for _, run := range r.s.runs {
			if run.jobName == job && run.key.Number == n {
				return len(run.pending()) == questions
			}
		}
		return false
	})
}

// sleeping starts the recorded pipeline and waits until it sleeps for a minute.
func (r *replay) sleeping(n int) {
	r.begin("rec-06b/big", "MODE=slow")
	r.eventually("the build sleeps", func() bool {
		return strings.Contains(r.do("GET", fmt.Sprintf("/job/rec-06b/job/big/%d/consoleText", n), "", "").body, "Sleeping for 1 min")
	})
}

// mode runs a build of the recorded pipeline to its end.
func (r *replay) mode(n int, mode string) {
	r.begin("rec-06b/big", "MODE="+mode)
	r.ended("rec-06b/big", n)
}

// recordedJenkinsfile is one that the recorded Jenkins ran.
func recordedJenkinsfile(r *replay, name string) string {
	r.t.Helper()
	data, err := os.ReadFile("../engine/testdata/recorded.json")
	if err != nil {
		r.t.Fatal(err)
	}
	var f struct{ Jenkinsfiles map[string]string }
	if err := json.Unmarshal(data, &f); err != nil || f.Jenkinsfiles[name] == "" {
		r.t.Fatal("no Jenkinsfile ", name, err)
	}
	return f.Jenkinsfiles[name]
}

// firstCasC is the configuration that the recorded Jenkins started with, otherCasC the one that replaced it, as far as they matter here.
const (
	firstCasC = `jenkins:
  systemMessage: "Jenkins configured by CasC"
  numExecutors: 4
  clouds:
    - kubernetes:
        name: kubernetes
        serverUrl: "${JENKINS_KUBE_URL:-http://kubeapi.example}"
        templates:
          - {name: base, label: base, containers: [{name: base, image: "busybox:1.36", command: cat, ttyEnabled: true}]}
`
	otherCasC = firstCasC + `          - {name: gojob, label: go golang, inheritFrom: base, yaml: "spec: {containers: [{name: go}]}", containers: [{name: go, image: "golang:1.22"}]}
`
)

// withCasC gives the server the files of the recorded Jenkins.
func withCasC(c *Config, _ *Server) {
	if c == nil {
		return
	}
	dir := filepath.Join(filepath.Dir(c.StateDir), "casc")
	c.CasC = filepath.Join(dir, "casc.yaml")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		panic(err)
	}
	for name, text := range map[string]string{"casc.yaml": firstCasC, "jenkins_user.yaml": otherCasC, "broken.yaml": "jenkins: [\n", "bogus.yaml": "jenkins:\n  bogus: 5\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			panic(err)
		}
	}
}

// casc changes the configured source.
func (r *replay) casc(text string) {
	if err := os.WriteFile(r.s.cfg.CasC, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}
