// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

const classBlueTest = "io.jenkins.blueocean.service.embedded.rest.junit.BlueJUnitTestResult"

// AddTests implements engine.Tests.
func (r *buildRun) AddTests(suites []engine.TestSuite) error {
	r.s.mu.RLock()
	prev, _ := r.job.around(r.build)
	for prev != nil && prev.Tests == nil {
		prev, _ = r.job.around(prev) // one that ended early says nothing
	}
	r.s.mu.RUnlock()
	since := map[string]int{}
	if prev != nil {
		old, err := r.s.store.Tests(prev.Key())
		if err != nil {
			return err
		}
		for _, s := range old {
			for _, t := range s.Cases {
				since[t.Class+"\x00"+t.Name] = t.FailedSince
			}
		}
	}
	for i := range suites {
		for j := range suites[i].Cases {
			if t := &suites[i].Cases[j]; t.Failed {
				before, known := since[t.Class+"\x00"+t.Name]
				if t.FailedSince = before; before == 0 {
					t.FailedSince, t.Regression = r.key.Number, known
				}
			}
		}
	}
	// Branches of one build may record at once.
	r.testsMu.Lock()
	defer r.testsMu.Unlock()
	all, err := r.s.store.Tests(r.key)
	if err != nil {
		return err
	}
	// After a restart a step may record the same again.
	all = slices.DeleteFunc(all, func(o engine.TestSuite) bool {
		return o.StepID != "" && slices.ContainsFunc(suites, func(n engine.TestSuite) bool { return n.StepID == o.StepID })
	})
	all = append(all, suites...)
	if err := r.s.store.PutTests(r.key, all); err != nil {
		return err
	}
	counts := engine.Count(all)
	r.change(func(b *store.Build) { b.Tests = &counts })
	return nil
}

// testReport serves testReport/ of a build.
func (s *Server) testReport(c *call, b *store.Build) {
	c.next()
	suites, err := s.store.Tests(b.Key())
	if err != nil {
		fail500(c.w, c.r, "the test results cannot be read")
		return
	}
	if b.Tests == nil || !c.isAPI() {
		fail404(c.w)
		return
	}
	show(c.w, c.r, testReportBean(b, suites))
}

func testReportBean(b *store.Build, suites []engine.TestSuite) *object {
	var took float64
	list := []*object{}
	for _, su := range suites {
		took += su.Duration
		cases := []*object{}
		for _, t := range su.Cases {
			cases = append(cases, testCaseBean(b.Number, t))
		}
		blocks, names := []string{}, []string{}
		if su.StageID != "" {
			blocks, names = append(blocks, su.StageID), append(names, su.Stage)
		}
		list = append(list, bean("").in("cases", cases).in("duration", su.Duration).in("enclosingBlockNames", names).
			in("enclosingBlocks", blocks).in("id", nil).in("name", su.Name).in("nodeId", su.StepID).in("properties", bean("")).
			in("stderr", nil).in("stdout", nil).in("timestamp", nil))
	}
	n := b.Tests
	return bean("hudson.tasks.junit.TestResult").in("testActions", []*object{}).in("duration", took).in("empty", n.Total == 0).
		in("failCount", n.Failed).in("passCount", n.Total-n.Failed-n.Skipped).in("skipCount", n.Skipped).in("suites", list)
}

func testStatus(number int, t engine.TestCase) (status string, age int) {
	switch {
	case t.Regression:
		return "REGRESSION", 1
	case t.Failed:
		return "FAILED", number - t.FailedSince + 1
	case t.Skipped:
		return "SKIPPED", 0
	}
	return "PASSED", 0
}

func testCaseBean(number int, t engine.TestCase) *object {
	status, age := testStatus(number, t)
	var message, details, skipped any
	if t.Failed {
		message, details = nullIfEmpty(t.Message), nullIfEmpty(t.Details)
	}
	if t.Skipped {
		skipped = nullIfEmpty(t.Message)
	}
	return bean("").in("testActions", []*object{}).in("age", age).in("className", t.Class).in("duration", t.Duration).
		in("errorDetails", message).in("errorStackTrace", details).in("failedSince", t.FailedSince).in("name", t.Name).
		in("properties", bean("")).in("skipped", t.Skipped).in("skippedMessage", skipped).in("status", status).
		in("stderr", nil).in("stdout", nil)
}

// blueTests lists the tests of a build in Blue Ocean, failed ones first.
func (s *Server) blueTests(c *call, b *store.Build) {
	suites, err := s.store.Tests(b.Key())
	if err != nil {
		fail500(c.w, c.r, "the test results cannot be read")
		return
	}
	if b.Tests == nil {
		failBlue(c.w, http.StatusNotFound, "no tests")
		return
	}
	self := c.at.blue + "runs/" + strconv.Itoa(b.Number) + "/tests/"
	s.page(c, func() []*object {
		out := []*object{}
		for _, failed := range []bool{true, false} {
			for _, su := range suites {
				for _, t := range su.Cases {
					if t.Failed == failed {
						out = append(out, blueTestBean(self, b.Number, t))
					}
				}
			}
		}
		return out
	})
}

func blueTestBean(self string, number int, t engine.TestCase) *object {
	status, age := testStatus(number, t)
	if status == "REGRESSION" {
		status = "FAILED"
	}
	id := classBlueTest + ":c%3Ajunit%2F(root)%2F" + url.PathEscape(t.Class) + "%2F" + url.PathEscape(t.Name)
	link := self + strings.NewReplacer(":", "%3A", "%", "%25").Replace(id) + "/"
	var message, details any
	if t.Failed {
		message, details = nullIfEmpty(t.Message), nullIfEmpty(t.Details)
	}
	name := t.Class[strings.LastIndexByte(t.Class, '.')+1:]
	return bean(classBlueTest).in("_links", links("stdOut", link+"stdOut/", "self", link, "stdErr", link+"stdErr/")).
		in("age", age).in("duration", t.Duration).in("errorDetails", message).in("errorStackTrace", details).in("hasStdLog", false).
		in("id", id).in("name", t.Name+" – "+name).in("state", "UNKNOWN").in("status", status)
}

// blueTestSummary counts the tests of a build in Blue Ocean.
func (s *Server) blueTestSummary(c *call, b *store.Build) {
	n := engine.TestCounts{}
	if b.Tests != nil {
		n = *b.Tests
	}
	self := c.at.blue + "runs/" + strconv.Itoa(b.Number) + "/blueTestSummary/"
	show(c.w, c.r, bean("io.jenkins.blueocean.rest.model.BlueTestSummary").in("_links", links("self", self)).
		in("existingFailed", n.Failed).in("failed", n.Failed).in("fixed", 0).in("passed", n.Total-n.Failed-n.Skipped).
		in("regressions", 0).in("skipped", n.Skipped).in("total", n.Total))
}

// testSummary is what the summary of a build says about its tests; empty if they say nothing.
func testSummary(b, prev *store.Build) string {
	if b.Tests == nil || b.Tests.Failed == 0 {
		return ""
	}
	n := b.Tests.Failed
	many := func(one, more string, args ...any) string {
		if n == 1 {
			return one
		}
		return fmt.Sprintf(more, slices.Concat([]any{n}, args)...)
	}
	switch {
	case prev == nil || prev.Tests == nil:
		return many("1 test failure", "%d test failures")
	case prev.Tests.Failed == 0:
		return many("1 test  started to fail", "%d tests started to fail")
	case prev.Tests.Failed == n:
		return many("1 test is still failing", "%d tests are still failing")
	case prev.Tests.Failed < n:
		return fmt.Sprintf("%d more tests are failing (total %d)", n-prev.Tests.Failed, n)
	}
	return fmt.Sprintf("%d fewer tests are failing (total %d)", prev.Tests.Failed-n, n)
}
