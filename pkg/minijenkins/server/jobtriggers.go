// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// maxQuiet bounds the quiet period of a job.
const maxQuiet = 24 * time.Hour

// triggersOf reads what a Jenkinsfile says about when its job is built.
func triggersOf(p *jenkinsfile.Pipeline) store.Triggers {
	var t store.Triggers
	var specs []string
	for _, d := range p.Triggers {
		switch d.Name {
		case "pollSCM":
			x := d.Arg("spec", true)
			if x == nil {
				x = d.Arg("scmpoll_spec", false)
			}
			if spec, ok := jenkinsfile.ConstantText(x); ok {
				t.Poll = true
				specs = append(specs, spec)
			}
		case "upstream":
			if projects, ok := jenkinsfile.ConstantText(d.Arg("upstreamProjects", true)); ok {
				t.Upstream, t.Threshold = projects, engine.ResultSuccess
				if x := d.Arg("threshold", false); x != nil {
					t.Threshold, _ = engine.Threshold(x)
				}
			}
		}
	}
	t.PollSpec = strings.Join(specs, "\n")
	for _, d := range p.Options {
		switch d.Name {
		case "quietPeriod":
			if x := d.Arg("quietPeriod", true); x != nil {
				t.Quiet = quietPeriod(constInt(x))
			}
		case "overrideIndexTriggers":
			text, _ := jenkinsfile.ConstantText(d.Arg("enableTriggers", true))
			t.NoIndexing = text == "false"
		case "disableRestartFromStage":
			t.NoRestart = true
		}
	}
	return t
}

// quietPeriod makes one of seconds.
func quietPeriod(seconds int) *time.Duration {
	d := min(max(time.Duration(seconds)*time.Second, 0), maxQuiet)
	return &d
}

// triggersXML reads the same from a config.xml.
func triggersXML(root *element) store.Triggers {
	var t store.Triggers
	read := func(list *element) {
		if list == nil {
			return
		}
		if e := list.child(scmTrigger); e != nil {
			t.Poll, t.PollSpec = true, e.value("spec")
		}
		if e := list.child(reverseTrigger); e != nil {
			t.Upstream, t.Threshold = strings.TrimSpace(e.value("upstreamProjects")), engine.ResultSuccess
			if name := engine.Result(strings.TrimSpace(e.value("threshold", "name"))); severityOf(name) >= 0 {
				t.Threshold = name
			}
		}
	}
	read(root.child("triggers"))
	read(root.child("properties", propTriggers, "triggers"))
	if n, err := strconv.Atoi(strings.TrimSpace(root.value("quietPeriod"))); err == nil {
		t.Quiet = quietPeriod(n)
	}
	return t
}

// triggers are those of config.xml or, where it has none, of the Jenkinsfile of the last build.
func (it *item) triggers() store.Triggers {
	t, own := it.Triggers, it.cfg.triggers
	if own.Poll {
		t.Poll, t.PollSpec = true, own.PollSpec
	}
	if own.Upstream != "" {
		t.Upstream, t.Threshold = own.Upstream, own.Threshold
	}
	if own.Quiet != nil {
		t.Quiet = own.Quiet
	}
	return t
}

// quietOf is the quiet period of a job.
func (s *Server) quietOf(it *item) time.Duration {
	if q := it.triggers().Quiet; q != nil {
		return *q
	}
	return s.cfg.QuietPeriod
}

// severityOf orders results from the best to the worst; it is -1 of what is none.
func severityOf(r engine.Result) int {
	return slices.Index([]engine.Result{engine.ResultSuccess, engine.ResultUnstable, engine.ResultFailure, engine.ResultNotBuilt, engine.ResultAborted}, r)
}
