// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/cron"
)

// trigger refuses triggers that the server does not know, and schedules that are not known before the run or not right.
func (c *checker) trigger(d *jenkinsfile.Directive) {
	def, known := triggerDefs[d.Name]
	if c.refuseFeature(d.From, "trigger", d.Name, def, known) {
		return
	}
	arg, what := "spec", "a schedule"
	if d.Name == "upstream" {
		arg, what = "upstreamProjects", "projects"
	}
	if d.Name == "pollSCM" && d.Arg("spec", true) == nil {
		arg = "scmpoll_spec"
	}
	x := d.Arg(arg, true)
	text, constant := jenkinsfile.ConstantText(x)
	if x == nil || !constant {
		c.refuse(d.From, d.Name, "trigger \"%s\" with %s that is not a constant: %s", d.Name, what, advice)
		return
	}
	if d.Name == "upstream" {
		if t := d.Arg("threshold", false); t != nil {
			if _, ok := Threshold(t); !ok {
				c.refuse(d.From, d.Name, "trigger \"upstream\" with a threshold that is not a result: %s", advice)
			}
		}
		return
	}
	if d.Name == "pollSCM" && strings.TrimSpace(text) == "" {
		return // only hooks
	}
	if _, err := cron.Parse(text, ""); err != nil {
		c.refuse(d.From, d.Name, "%v", err)
	}
}

// Threshold reads the threshold of the trigger upstream: hudson.model.Result.SUCCESS, Result.SUCCESS or 'SUCCESS'.
func Threshold(x jenkinsfile.Expr) (Result, bool) {
	var text string
	switch x := x.(type) {
	case *jenkinsfile.Property:
		text = x.Name
	case *jenkinsfile.Ident:
		text = x.Name
	default:
		text, _ = jenkinsfile.ConstantText(x)
	}
	r, err := parseResult(text)
	return r, err == nil
}
