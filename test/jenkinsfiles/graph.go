// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfiles

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// Graph writes the nodes of a build as Blue Ocean lists them, one a line:
//
//  1. build SUCCESS >2
//  2. test [parallel] FAILURE <1 >4 5
//
// The numbers are places in the list: "<" is the node that came before, ">" those that follow. A stage
// that was left out is SKIPPED. What has another state than its result tells has both.
func Graph(stages []jenkins.Stage) []string {
	places := map[string]string{}
	for i, s := range stages {
		places[s.ID] = fmt.Sprint(i + 1)
	}
	lines := make([]string, 0, len(stages))
	for i, s := range stages {
		line := fmt.Sprintf("%d. %s", i+1, s.DisplayName)
		if s.Type == "PARALLEL" {
			line += " [parallel]"
		}
		line += " " + ending(s.State, s.Result)
		if s.FirstParent != "" {
			line += " <" + place(places, s.FirstParent)
		}
		for n, e := range s.Edges {
			if n == 0 {
				line += " >"
			} else {
				line += " "
			}
			line += place(places, e.ID)
		}
		lines = append(lines, line)
	}
	return lines
}

func place(places map[string]string, id string) string {
	if p := places[id]; p != "" {
		return p
	}
	return "?" + id
}

func ending(state, result string) string {
	switch {
	case state == "FINISHED":
		return result
	case state == "SKIPPED" && result == "NOT_BUILT":
		return "SKIPPED"
	}
	return state + "/" + result
}

// around is how many lines of a log are shown before and after the place of a missing one.
const around = 12

// MissingLine looks for lines in their order and says which is missing, with the log around the place;
// empty if none is.
func MissingLine(log string, want []string) string {
	lines := strings.Split(log, "\n")
	at := 0
	for n, w := range want {
		match := matcher(w)
		found := at
		for found < len(lines) && !match(lines[found]) {
			found++
		}
		if found == len(lines) {
			text := fmt.Sprintf("line %d of those expected is missing after line %d of the log: %q", n+1, at, w)
			for i, line := range lines {
				if match(line) {
					text += fmt.Sprintf(" (it is line %d, too early)", i+1)
					break
				}
			}
			return text + "\n" + excerpt(lines, at)
		}
		at = found + 1
	}
	return ""
}

// Forbidden says which of the texts a log has; empty if it has none.
func Forbidden(log string, absent []string) string {
	lines := strings.Split(log, "\n")
	for _, text := range absent {
		match := matcher(text)
		for i, line := range lines {
			if match(line) {
				return fmt.Sprintf("the log has %q, which it must not\n%s", text, excerpt(lines, i))
			}
		}
	}
	return ""
}

func matcher(want string) func(string) bool {
	if len(want) > 1 && strings.HasPrefix(want, "/") && strings.HasSuffix(want, "/") {
		return regexp.MustCompile(want[1 : len(want)-1]).MatchString
	}
	return func(line string) bool { return strings.Contains(line, want) }
}

func excerpt(lines []string, at int) string {
	var b strings.Builder
	for i := max(0, at-around); i < min(len(lines), at+around); i++ {
		mark := "  "
		if i == at {
			mark = "> "
		}
		fmt.Fprintf(&b, "%s%4d %s\n", mark, i+1, lines[i])
	}
	return b.String()
}
