// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"maps"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// mistyped refuses an unknown step that is nearly one, or nearly a function of the script.
func (c *checker) mistyped(n *jenkinsfile.Call) bool {
	near := c.near(n.Name)
	if near != "" {
		c.refuse(n.NamePos, n.Name, "step \"%s\": there is no such step here; did you mean \"%s\"? If not: %s", n.Name, near, advice)
	}
	return near != ""
}

// stageBlock refuses the old form of stage, which goes on to the next one.
func (c *checker) stageBlock(n *jenkinsfile.Call) {
	if n.Name == "stage" && !hasBlock(n) {
		c.refuse(n.From, n.Name, "step \"stage\" without a block: %s", adviceWith("put what belongs to the stage into a block: stage('…') { … }"))
	}
}

// hasBlock tells if the last argument of a call can be a block; a call without any says so itself when it runs.
func hasBlock(n *jenkinsfile.Call) bool {
	if len(n.Args) == 0 {
		return true
	}
	switch n.Args[len(n.Args)-1].Value.(type) {
	case *jenkinsfile.Constant, *jenkinsfile.GString, *jenkinsfile.Map:
		return false
	}
	return true
}

// near is the step or function that an unknown name is a typing error of; empty if none is.
func (c *checker) near(name string) string {
	if len(name) > 64 {
		return ""
	}
	best, least := "", 1+min(2, len(name)/4)
	names := slices.Sorted(maps.Keys(stepDefs))
	for _, other := range append(names, slices.Sorted(maps.Keys(c.declared))...) {
		if stepDefs[other].symbol || other == "it" {
			continue
		}
		if strings.EqualFold(name, other) && name != other {
			return other
		}
		if d := distance(name, other); d < least {
			best, least = other, d
		}
	}
	return best
}

// distance is how many letters have to be changed, added, left out or swapped with the next one.
func distance(a, b string) int {
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
