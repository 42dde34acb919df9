// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package history

import (
	"fmt"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
)

const (
	// diffContext is how many equal lines stand around a change.
	diffContext = 3
	// maxCompared bounds how many lines are compared line by line: the time grows with more than their square. Lines that are
	// equal at the beginning and the end do not count. What is longer is shown as replaced as a whole.
	maxCompared = 3000
)

// Side is one side of a Diff.
type Side struct {
	// Name stands in the head of the diff.
	Name string
	// Text is the Jenkinsfile.
	Text string
}

// Diff gives the changes that make to of from, in the unified format; it is empty if there are none.
func Diff(from, to Side) string {
	if from.Text == to.Text {
		return ""
	}
	a, b := splitLines(from.Text), splitLines(to.Text)
	before, after := same(a, b), 0
	for after < min(len(a), len(b))-before && a[len(a)-1-after] == b[len(b)-1-after] {
		after++
	}
	// Only what differs is compared, with some equal lines around it.
	first, last := max(0, before-diffContext), max(0, after-diffContext)
	a, b = a[first:len(a)-last], b[first:len(b)-last]
	before, after = before-first, after-last
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", from.Name, to.Name)
	for _, change := range changes(a, b, before, after) {
		head, tail := change[0], change[len(change)-1]
		fmt.Fprintf(&out, "@@ -%s +%s @@\n", lineRange(first+head.I1, tail.I2-head.I1), lineRange(first+head.J1, tail.J2-head.J1))
		for _, part := range change {
			if part.Tag == opEqual {
				writeLines(&out, " ", a[part.I1:part.I2])
				continue
			}
			writeLines(&out, "-", a[part.I1:part.I2])
			writeLines(&out, "+", b[part.J1:part.J2])
		}
	}
	return out.String()
}

// The kinds of parts of a change that are needed here.
const (
	opEqual   = 'e'
	opReplace = 'r'
)

// changes gives the parts of each change. The first and the last lines, before and after, are equal.
func changes(a, b []string, before, after int) [][]difflib.OpCode {
	if max(len(a), len(b))-before-after <= maxCompared {
		return difflib.NewMatcher(a, b).GetGroupedOpCodes(diffContext)
	}
	endA, endB := len(a)-after, len(b)-after
	return [][]difflib.OpCode{{
		{Tag: opEqual, I1: 0, I2: before, J1: 0, J2: before},
		{Tag: opReplace, I1: before, I2: endA, J1: before, J2: endB},
		{Tag: opEqual, I1: endA, I2: len(a), J1: endB, J2: len(b)},
	}}
}

func writeLines(out *strings.Builder, mark string, lines []string) {
	for _, line := range lines {
		out.WriteString(mark + line)
	}
}

// noNewline is how the format says that a text does not end with a line feed.
const noNewline = "\n\\ No newline at end of file\n"

// splitLines gives the lines with their ends.
func splitLines(text string) []string {
	if text == "" {
		return nil
	}
	lines := strings.SplitAfter(text, "\n")
	if last := len(lines) - 1; lines[last] == "" {
		lines = lines[:last]
	} else {
		lines[last] += noNewline
	}
	return lines
}

// same counts the equal lines at the beginning.
func same(a, b []string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// lineRange writes which lines a change is about; first counts from 0.
func lineRange(first, n int) string {
	if n > 0 {
		first++
	}
	return fmt.Sprintf("%d,%d", first, n)
}
