// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"regexp"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkins/jenkinstest"
)

// rule says why a recorded exchange is not one that the client makes. The first rule that fits counts.
type rule struct {
	file   string         // prefix of the file name
	name   *regexp.Regexp // of the exchange
	what   *regexp.Regexp // of "METHOD path"
	reason string
	used   bool
}

func why(file, name, what, reason string) *rule {
	return &rule{file: file, name: regexp.MustCompile(name), what: regexp.MustCompile(what), reason: reason}
}

const (
	people   = "a page for people"
	otherWay = "an address, form or method that the client has another for"
	wrong    = "a wrong request on purpose, which the client cannot form"
	fields   = "asks for other fields than the client does"
	setUp    = "set-up of the recording"
	noRoute  = "no route and no controller needs it"
	starts   = "starts go by buildWithParameters: Blue Ocean answers with a guessed number"
	runs     = "lists of runs come from PipelineRuns and the bulk query"
	logs     = "logs of runs are read by progressiveText"
	oneRun   = "a run is read through Blue Ocean"
	stages   = "stages, inputs and artifacts are read through Blue Ocean"
	creation = "creation by the browser form: the client posts config.xml"
	casc     = "configuration as code: templates go by the form of the cloud"
	users    = "about users: the client has one, of its configuration"
)

var rules = []*rule{
	why("10", "", "", "converter: done by pkg/jenkinsfile"),
	why("12", "", "configuration-as-code", casc),
	why("", "by GET|POST-only|sent as text/plain|without content type|form content type|json content type|broken json|broken tree|bad depth|not a number|negative|without start", "", wrong),
	why("", "", `^(DELETE|HEAD|OPTIONS|PUT) `, otherWay),
	why("", "", `^POST /blue/.*/runs/$`, starts),
	why("", "", `^GET /blue/.*(/runs/(\?|$)|/latestRun/|/queue/|/activities/)`, runs),
	why("", "", `^GET (/blue/.*/runs/\d+/log/|/job/.*/(\d+|lastBuild)/(consoleText|logText/progressiveHtml))`, logs),
	why("", "", `/wfapi|/input/`, stages),
	why("", "", `^GET /job/.*/(\d+|last\w*Build)/api/(json|xml)`, oneRun),
	why("", "", `^POST /job/.*/(lastBuild/stop|\d+/(term|kill|replay/\w+|toggleLogKeep|submitDescription))$`, otherWay),
	why("", "", `^POST .*/(submitDescription|confirmRename|disable|enable|doRename.*)$`, otherWay),
	why("", "create.*form|create, (no|form|unknown) ?(mode|name|with)?|create duplicate|create with the same name|create, values|copy", `^POST .*/createItem`, creation),
	why("02", "trailing slash|no name", "", wrong),
	why("", "crumb|trailing slash", `^GET .*/(json/.*|xml.*)$`, otherWay),
	why("", "", `^GET .*(/api/xml|pretty=|/config.xml/$)`, otherWay),
	why("01", "", `^GET /(whoAmI|me|user|blue/rest/users)/`, users),
	why("01", "", `ApiTokenProperty`, users),
	why("", "", `^GET /(login)?$`, people),
	why("15", "", `^POST /(quietDown|cancelQuietDown|exit|job/.*/nosuch)`, setUp),
	why("07", "dev: whoAmI|dev: config", "", users),
	why("", "no value|without value|without id|no id|empty object|without parameters|start=-1|start=abc|directory$|view$|above the root|no json|without the field|another id|with wrapper|unknown class|broken$|encoded slash|plain slash|once encoded", "", wrong),
	why("06", "progressiveText by POST|artifact fingerprint", "", otherWay),
	why("14", "^folder poll", "", "the body of the answer was not recorded"),
	why("13", "^search:", "", otherWay),
	why("08", "filter|limit 2", `/branches/\?`, otherWay),
	why("05", "node log|step log|log of a missing step", "", otherWay),
	why("05", "", `/(stop/|restart|nodes/\d+/|steps/\d+/)$`, otherWay),
	why("05", "", `/nodes/\?`, fields),
	why("", "", `/(testReport|tests|blueTestSummary|changeSet)/|/fingerprint|overallLoad|/search/suggest|/computer/nosuch|/view/|/labelsdashboard|/cloud/|/rest/(classes/.*)?$|/indexing/(api|logText)|/computation/`, noRoute),
	why("09", "", `/(config.xml|createCredentials)$`, "credentials as XML: the client posts the form"),
	why("09", "", `/(createDomain|store/folder/api/json|credentials/api/json|domain/[^/]+/api/json|credential/basic1/api/json)$`, noRoute),
	why("11", "", `/(scm/|gitlab/|securityRealm/)|/descriptorByName/`, noRoute),
	why("", "", `^(GET|POST) /(generic-webhook-trigger|git/notifyCommit)`, "a webhook that goes to Jenkins itself"),
	why("", "", `^GET /(blue/rest/organizations/([^/]+/)?|nosuch/api/json)$`, noRoute),
	why("", "", `^GET /blue/rest/organizations/jenkins/pipelines/(\?|[^/]+/$)`, "a folder is read by the classic address"),
	why("", "", `^GET /blue/.*\?tree=`, fields),
	why("02", "", `^GET /job/rec-02g/config.xml$`, noRoute),
	why("04", "json form", "", starts),
	why("04", "", `/cancelQueue$`, otherWay),
	why("07", "proceed with parameters", "", "a boolean as JSON boolean: the client sends values as text"),
	why("08", "delay=5sec|again while", `/build\?`, otherWay),
	why("12", "label expression", "", otherWay),
	why("", "", `^GET [^?]*/api/json\?`, fields),
}

func reasonFor(file string, e *jenkinstest.Exchange) string {
	for _, r := range rules {
		if strings.HasPrefix(file, r.file) && r.name.MatchString(e.Name) && r.what.MatchString(e.Request.Method+" "+e.Request.Path) {
			r.used = true
			return r.reason
		}
	}
	return ""
}
