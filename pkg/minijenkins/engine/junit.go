// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

// TestSuite is a suite of a test report in JUnit's XML format.
type TestSuite struct {
	Name string `json:"name"`
	// Duration is in seconds.
	Duration float64    `json:"duration"`
	Cases    []TestCase `json:"cases"`
	// StepID is the step that recorded it, StageID and Stage are the stage around; empty without one.
	StepID  string `json:"stepID,omitempty"`
	StageID string `json:"stageID,omitempty"`
	Stage   string `json:"stage,omitempty"`
}

// TestCase is one test.
type TestCase struct {
	Class    string  `json:"class"`
	Name     string  `json:"name"`
	Duration float64 `json:"duration"`
	Failed   bool    `json:"failed,omitempty"`
	Skipped  bool    `json:"skipped,omitempty"`
	// Message is why it failed or was skipped, Details the text below it.
	Message string `json:"message,omitempty"`
	Details string `json:"details,omitempty"`
	// FailedSince is the build from which on it fails; a server sets it.
	FailedSince int `json:"failedSince,omitempty"`
	// Regression says that the build before had the test and it did not fail there; a server sets it.
	Regression bool `json:"regression,omitempty"`
}

// TestCounts counts tests.
type TestCounts struct {
	Total   int `json:"total"`
	Failed  int `json:"failed,omitempty"`
	Skipped int `json:"skipped,omitempty"`
}

// Count counts the tests of suites.
func Count(suites []TestSuite) TestCounts {
	var c TestCounts
	for _, s := range suites {
		for _, t := range s.Cases {
			c.Total++
			switch {
			case t.Failed:
				c.Failed++
			case t.Skipped:
				c.Skipped++
			}
		}
	}
	return c
}

// Tests takes what junit collects.
type Tests interface {
	// AddTests keeps suites beside those that the build has recorded before. All are of one step; after a
	// restart of the server they may come again, and then they take the place of those of that step.
	AddTests(suites []TestSuite) error
}

// xmlSuite and its parts are the elements of a report. A file holds a testsuite or testsuites, which
// may stand in each other.
type xmlSuite struct {
	XMLName xml.Name
	Name    string     `xml:"name,attr"`
	Time    string     `xml:"time,attr"`
	Suites  []xmlSuite `xml:"testsuite"`
	Cases   []xmlCase  `xml:"testcase"`
}

type xmlCase struct {
	Class   string    `xml:"classname,attr"`
	Name    string    `xml:"name,attr"`
	Time    string    `xml:"time,attr"`
	Failure *xmlCause `xml:"failure"`
	Error   *xmlCause `xml:"error"`
	Skipped *xmlCause `xml:"skipped"`
}

type xmlCause struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// maxReport bounds a report in bytes, maxDetails a text in it.
const (
	maxReport  = 16 << 20
	maxDetails = 32 << 10
)

func parseReport(r io.Reader) ([]TestSuite, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxReport+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxReport {
		return nil, fmt.Errorf("the report has more than %d bytes", maxReport)
	}
	var root xmlSuite
	d := xml.NewDecoder(bytes.NewReader(data))
	d.CharsetReader = func(label string, in io.Reader) (io.Reader, error) {
		if strings.EqualFold(label, "us-ascii") {
			return in, nil
		}
		return nil, fmt.Errorf("encoding %q is not supported", label)
	}
	if err := d.Decode(&root); err != nil {
		return nil, err
	}
	if n := root.XMLName.Local; n != "testsuite" && n != "testsuites" {
		return nil, errors.New("it is no JUnit report")
	}
	return root.flat(0), nil
}

// maxSuiteDepth bounds how deep suites stand in each other.
const maxSuiteDepth = 32

func (x *xmlSuite) flat(depth int) []TestSuite {
	var out []TestSuite
	if len(x.Cases) > 0 {
		s := TestSuite{Name: x.Name}
		for _, c := range x.Cases {
			t := c.test()
			s.Duration += t.Duration
			s.Cases = append(s.Cases, t)
		}
		if given := seconds(x.Time); given > 0 {
			s.Duration = given
		}
		out = append(out, s)
	}
	if depth < maxSuiteDepth {
		for i := range x.Suites {
			out = append(out, x.Suites[i].flat(depth+1)...)
		}
	}
	return out
}

func (c *xmlCase) test() TestCase {
	t := TestCase{Class: c.Class, Name: c.Name, Duration: seconds(c.Time)}
	cause := c.Failure
	if cause == nil {
		cause = c.Error
	}
	switch {
	case cause != nil:
		t.Failed = true
	case c.Skipped != nil:
		t.Skipped, cause = true, c.Skipped
	default:
		return t
	}
	t.Message, t.Details = clip(cause.Message), cutText(cause.Text, maxDetails)
	return t
}

// seconds reads a time, also one with commas between thousands; what is none is 0.
func seconds(s string) float64 {
	f, err := strconv.ParseFloat(strings.ReplaceAll(s, ",", ""), 64)
	if err != nil || f < 0 || f > 1e9 {
		return 0
	}
	return f
}

func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

func stepJunit(ctx context.Context, c *stepCall) (any, error) {
	pattern := c.text("testResults")
	if pattern == "" {
		return nil, &groovy.Exception{Class: "java.lang.IllegalArgumentException", Message: "junit needs testResults", Pos: c.pos}
	}
	if c.b.spec.Tests == nil {
		return nil, failed("This server keeps no test results")
	}
	c.say("Recording test results")
	dir := flowOf(ctx).dir
	node := flowOf(ctx).node
	allowEmpty := c.flag("allowEmptyResults")
	found, err := onAgent(ctx, c, func(ctx context.Context, a *agentHandle, _ string) (found testsFound, err error) {
		suites, files, err := readReports(ctx, a, dir, pattern)
		if err != nil {
			return found, err
		}
		found = testsFound{Files: files, Counts: Count(suites)}
		if !allowEmpty && found.Counts.Total == 0 {
			return found, nil
		}
		for i := range suites {
			if suites[i].StepID = c.id; node != nil {
				suites[i].StageID, suites[i].Stage = node.ID, node.DisplayName
			}
		}
		if err := c.b.spec.Tests.AddTests(suites); err != nil {
			return found, failed("The test results could not be kept: %v", err)
		}
		return found, nil
	})
	if err != nil {
		return nil, err
	}
	counts := found.Counts
	switch {
	case found.Files == 0 && !allowEmpty:
		return nil, failed("No test report files were found. Configuration error?")
	case counts.Total == 0 && !allowEmpty:
		return nil, failed("None of the test reports contained any result")
	case counts.Total == 0:
		c.say("None of the test reports contained any result")
	}
	if counts.Failed > 0 && !c.flag("skipMarkingBuildUnstable") {
		c.b.result = worse(c.b.result, ResultUnstable)
		c.b.mark(node, ResultUnstable)
		c.result = ResultUnstable
	}
	summary := groovy.NewMap()
	summary.Put("totalCount", int64(counts.Total))
	summary.Put("failCount", int64(counts.Failed))
	summary.Put("skipCount", int64(counts.Skipped))
	summary.Put("passCount", int64(counts.Total-counts.Failed-counts.Skipped))
	return summary, nil
}

// testsFound is what a build remembers of its test reports.
type testsFound struct {
	Files  int        `json:"files"`
	Counts TestCounts `json:"counts"`
}

// readReports reads the reports that match a pattern.
func readReports(ctx context.Context, a *agentHandle, dir, pattern string) (suites []TestSuite, files int, err error) {
	names, err := a.Glob(ctx, dir, pattern, "")
	if err != nil {
		return nil, 0, err
	}
	for _, name := range names {
		r, err := a.Open(ctx, path.Join(dir, name))
		if err != nil {
			return nil, 0, fmt.Errorf("test report %s: %w", name, err)
		}
		found, err := parseReport(r)
		if cerr := r.Close(); err == nil && cerr != nil {
			return nil, 0, fmt.Errorf("test report %s: %w", name, cerr)
		}
		if err != nil {
			return nil, 0, failed("Failed to read test report file %s: %v", name, err)
		}
		suites = append(suites, found...)
	}
	return suites, len(names), nil
}
