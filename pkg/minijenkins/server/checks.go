// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"errors"
	"html"
	"net/http"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/cron"
)

// descriptor serves descriptorByName/CLASS/CHECK: the checks of a form. seed is the full name of the
// item, empty at the root.
func (s *Server) descriptor(c *call, seed string) {
	switch c.rest() {
	case "hudson.triggers.TimerTrigger/checkSpec", "hudson.triggers.SCMTrigger/checkScmpoll_spec":
		if c.form() {
			writePage(c.w, http.StatusOK, typeHTML, checkSpec(c.r.Form.Get("value"), seed, s.now()))
		}
	case definitionScript + "/checkScriptCompile":
		if c.post() && c.form() {
			s.checkScript(c, seed)
		}
	default:
		fail404(c.w)
	}
}

// fullDate is how Jenkins writes a time in a text, in English and UTC.
const fullDate = "Monday, January 2, 2006 at 3:04:05 PM Coordinated Universal Time"

// checkSpec checks a schedule.
func checkSpec(spec, seed string, now time.Time) string {
	schedule, err := cron.Parse(spec, seed)
	if err != nil {
		return validation("error", err.Error()+" ") +
			"<div><a href='#' class='showDetails'>(show details)</a><pre style='display:none'>" + escapeText(err.Error()) + "</pre></div>"
	}
	var parts []string
	if w := schedule.Warning(); w != "" {
		parts = append(parts, validation("warning", w))
	}
	last, _ := schedule.Previous(now)
	next, _ := schedule.Next(now)
	switch {
	case len(schedule.Tabs) == 0:
		parts = append(parts, validation("warning", "No schedules so will never run"))
	case schedule.Rare(now):
		parts = append(parts, validation("warning", "This schedule will match dates only rarely (e.g. February 29) or never (e.g. June 31), so this job may be triggered very rarely, if at all."))
	default:
		parts = append(parts, validation("ok", "Would last have run at "+last.UTC().Format(fullDate)+"; would next run at "+next.UTC().Format(fullDate)+"."))
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return "<ul style='list-style-type: none; padding-left: 0; margin: 0'><li>" + strings.Join(parts, "</li><li>") + "</li></ul>"
}

func validation(class, text string) string {
	return `<div class="` + class + `">` + escapeText(text) + "</div>"
}

// escapeText escapes as Jenkins does.
func escapeText(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(html.EscapeString(s), "&#34;", "&quot;"), "&#39;", "&#039;")
}

// scriptCheck is one answer of checkScriptCompile.
type scriptCheck struct {
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
	Status  string `json:"status"`
}

// checkScript tells if a script can be compiled: an object if so, else a list. It does not look at
// the rules of Declarative Pipelines, as in Jenkins.
func (s *Server) checkScript(c *call, seed string) {
	if seed == "" || !c.r.Form.Has("value") {
		fail500(c.w, c.r, "checkScriptCompile needs an item and a value")
		return
	}
	var answer any = scriptCheck{Status: "success"}
	if _, err := jenkinsfile.ParseScript(c.r.Form.Get("value")); err != nil {
		list := []scriptCheck{}
		var errs *jenkinsfile.ErrorList
		if errors.As(err, &errs) {
			for _, e := range errs.Errors {
				list = append(list, scriptCheck{Line: e.Line, Column: e.Column, Message: e.Message, Status: "fail"})
			}
		} else {
			list = append(list, scriptCheck{Line: 1, Column: 1, Message: err.Error(), Status: "fail"})
		}
		answer = list
	}
	writeValue(c, answer)
}

// writeValue sends JSON without Jenkins' headers, as plugins do that write it themselves.
func writeValue(c *call, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		fail500(c.w, c.r, "the answer cannot be written")
		return
	}
	writePage(c.w, http.StatusOK, typeJSON, string(body))
}

// converted is the answer of the pipeline-model-converter.
type converted struct {
	Status string `json:"status"`
	Data   any    `json:"data"`
}

// converter serves the plugin pipeline-model-definition's conversions of Jenkinsfiles.
func (s *Server) converter(c *call) {
	action := c.rest()
	convert, ok := conversions[action]
	if !ok && action != "validate" {
		fail404(c.w)
		return
	}
	if !c.post() || !c.form() {
		return
	}
	if action == "validate" {
		text := "Jenkinsfile successfully validated.\n"
		if err := asInstalled.ValidateJenkinsfile(c.r.Form.Get("jenkinsfile")); err != nil {
			text = "Errors encountered validating Jenkinsfile:\n" + err.Error() + "\n"
		}
		writePage(c.w, http.StatusOK, typeText, text)
		return
	}
	data := map[string]any{"result": "success"}
	name, v, err := convert(c.r.Form)
	var failure *jenkinsfile.ConvertError
	switch {
	case errors.As(err, &failure):
		writeValue(c, converted{"ok", failure})
		return
	case err != nil:
		fail500(c.w, c.r, "the conversion failed")
		return
	case name != "":
		data[name] = v
	}
	writeValue(c, converted{"ok", data})
}

// asInstalled converts as a Jenkins without tools: minijenkins installs none.
var asInstalled = jenkinsfile.Converter{Tools: map[string][]string{}}

// conversions by action give the name and the value of what they made.
var conversions = map[string]func(form map[string][]string) (string, any, error){
	"toJson": func(f map[string][]string) (string, any, error) {
		doc, err := asInstalled.ToJSON(firstOf(f["jenkinsfile"]))
		return "json", json.RawMessage(doc), err
	},
	"toJenkinsfile": func(f map[string][]string) (string, any, error) {
		text, err := asInstalled.FromJSON([]byte(firstOf(f["json"])))
		return "jenkinsfile", text, err
	},
	"validateJenkinsfile": func(f map[string][]string) (string, any, error) {
		return "", nil, asInstalled.ValidateJenkinsfile(firstOf(f["jenkinsfile"]))
	},
	"validateJson": func(f map[string][]string) (string, any, error) {
		return "", nil, asInstalled.ValidateJSON([]byte(firstOf(f["json"])))
	},
	"stepsToJson": func(f map[string][]string) (string, any, error) {
		doc, err := jenkinsfile.StepsToJSON(firstOf(f["jenkinsfile"]))
		return "json", json.RawMessage(doc), err
	},
	"stepsToJenkinsfile": func(f map[string][]string) (string, any, error) {
		text, err := jenkinsfile.StepsFromJSON([]byte(firstOf(f["json"])))
		return "jenkinsfile", text, err
	},
}

func firstOf(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
