// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"net/url"
	"strings"
)

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
	"09-credentials": {
		setup: func(r *replay) {
			r.folder("rec-09h")
			r.job("rec-09h", "use", script("stage one"), "", "")
		},
		out: map[string]string{
			`^log of a run`:              "the stub of builds writes another log, see TestCredentialsInBuilds",
			`^domain$|^create domain`:    "there is the one domain",
			`^system store$`:             "the credentials of the system are Jenkins' own",
			`^HTTP DELETE on the domain`: "",
		},
		before: map[string]func(*replay){
			"usage after a run":         func(r *replay) { r.use("rec-09h", "use", "basic1") },
			"store of a deleted folder": func(r *replay) { r.want(302, "POST", "/job/rec-09h/doDelete", typeForm, "") },
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
