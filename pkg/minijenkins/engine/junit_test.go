// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseReport(t *testing.T) {
	for reason, c := range map[string]struct {
		report string
		want   []TestSuite
		fails  bool
	}{
		"one suite": {`<?xml version="1.0" encoding="UTF-8"?><testsuite name="s" tests="3"><testcase classname="c" name="good" time="0.5"/>` +
			`<testcase classname="c" name="bad" time="1,000.25"><failure message="boom">stack &lt;trace&gt;</failure></testcase>` +
			`<testcase name="not run"><skipped message="later"/></testcase></testsuite>`,
			[]TestSuite{{Name: "s", Duration: 1000.75, Cases: []TestCase{{Class: "c", Name: "good", Duration: 0.5},
				{Class: "c", Name: "bad", Duration: 1000.25, Failed: true, Message: "boom", Details: "stack <trace>"},
				{Name: "not run", Skipped: true, Message: "later"}}}}, false},
		"suites in suites": {`<testsuites><testsuite name="a"><testcase name="1"/><testsuite name="b" time="7"><testcase name="2"><error/></testcase></testsuite></testsuite></testsuites>`,
			[]TestSuite{{Name: "a", Cases: []TestCase{{Name: "1"}}}, {Name: "b", Duration: 7, Cases: []TestCase{{Name: "2", Failed: true}}}}, false},
		"unknown elements":         {`<testsuite><properties><property name="x"/></properties><testcase name="größe" foo="1"><system-out>x</system-out></testcase></testsuite>`, []TestSuite{{Cases: []TestCase{{Name: "größe"}}}}, false},
		"nothing in it":            {`<testsuites/>`, nil, false},
		"odd times":                {`<testsuite time="NaN"><testcase name="x" time="-5"/><testcase name="y" time="abc"/></testsuite>`, []TestSuite{{Cases: []TestCase{{Name: "x"}, {Name: "y"}}}}, false},
		"something else":           {`<html/>`, nil, true},
		"no XML":                   {`{"a":1}`, nil, true},
		"cut off":                  {`<testsuite><testcase name="x"`, nil, true},
		"empty":                    {``, nil, true},
		"an entity of a DTD":       {`<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><testsuite><testcase name="&e;"/></testsuite>`, nil, true},
		"another encoding":         {`<?xml version="1.0" encoding="UTF-16"?><testsuite/>`, nil, true},
		"suites without an end":    {strings.Repeat("<testsuite>", 20_000), nil, true},
		"more than a report holds": {`<testsuite name="` + strings.Repeat("x", maxReport) + `"/>`, nil, true},
	} {
		got, err := parseReport(strings.NewReader(c.report))
		if (err != nil) != c.fails {
			t.Errorf("%s: %v", reason, err)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", reason, d)
		}
	}
}

func TestJunitStep(t *testing.T) {
	const bad = `<testsuite name="s"><testcase name="a"/><testcase name="b"><failure message="m"/></testcase></testsuite>`
	for reason, c := range map[string]struct {
		steps  string
		result Result
		log    string
		counts TestCounts
	}{
		"a failed test makes it unstable": {"writeFile file: 'r/a.xml', text: '" + bad + "'\n junit 'r/*.xml'", ResultUnstable, "Recording test results", TestCounts{Total: 2, Failed: 1}},
		"or not, if so asked":             {"writeFile file: 'a.xml', text: '" + bad + "'\n junit testResults: 'a.xml', skipMarkingBuildUnstable: true", ResultSuccess, "", TestCounts{Total: 2, Failed: 1}},
		"two steps add up":                {"writeFile file: 'a.xml', text: '" + bad + "'\n junit 'a.xml'\n junit 'a.xml'", ResultUnstable, "", TestCounts{Total: 4, Failed: 2}},
		"no file is an error":             {"junit '*.xml'", ResultFailure, "ERROR: No test report files were found. Configuration error?", TestCounts{}},
		"no file is allowed":              {"junit allowEmptyResults: true, testResults: '*.xml'", ResultSuccess, "None of the test reports contained any result", TestCounts{}},
		"a broken file is named":          {"writeFile file: 'a.xml', text: 'x'\n junit 'a.xml'", ResultFailure, "Failed to read test report file a.xml", TestCounts{}},
		"the script gets the counts":      {"writeFile file: 'a.xml', text: '" + bad + "'\n script { def r = junit('a.xml'); echo \"${r.failCount}/${r.totalCount}\" }", ResultUnstable, "1/2", TestCounts{Total: 2, Failed: 1}},
	} {
		t.Run(reason, func(t *testing.T) {
			r := newRun(t, "pipeline { agent any\n stages { stage('t') { steps {\n"+c.steps+"\n} } } }")
			kept := &keptTests{}
			r.spec.Tests = kept
			if result, err := r.run(t.Context()); result != c.result {
				t.Errorf("%s, %v\n%s", result, err, r.mem.text())
			}
			if !strings.Contains(r.mem.text(), c.log) {
				t.Errorf("the log lacks %q\n%s", c.log, r.mem.text())
			}
			if d := cmp.Diff(c.counts, Count(kept.suites)); d != "" {
				t.Error(d)
			}
			for _, s := range kept.suites {
				if s.Stage != "t" || s.StageID == "" || s.StepID == "" {
					t.Errorf("%+v", s)
				}
			}
		})
	}
}
