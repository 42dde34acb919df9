// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package agentpod

import (
	"regexp"
	"strings"
)

// engineLines are the errors with which minijenkins ends a build that gets no agent, and their reasons. A
// Jenkins waits instead, and says nothing.
var engineLines = []struct {
	line   *regexp.Regexp
	reason string
}{
	{regexp.MustCompile(`(?m)^ERROR: (?:.*: )?The agent pod was refused: (.*)$`), ""},
	{regexp.MustCompile(`(?m)^ERROR: (?:.*: )?(The pod template ‘.*)$`), ReasonInvalidPod},
	{regexp.MustCompile(`(?m)^ERROR: (?:.*: )?(The agent pod \S+ was deleted while it started.*)$`), ReasonPodDeleted},
	{regexp.MustCompile(`(?m)^ERROR: (?:.*: )?(The agent pod \S+ (?:failed to start|did not start within).*)$`), ReasonLaunchFailed},
	{regexp.MustCompile(`(?m)^ERROR: (?:.*: )?(There are no nodes with the label .*|The label ‘.*)$`), ReasonLabelUnknown},
	{regexp.MustCompile(`(?m)^WorkflowScript: \d+: (There are no agents with the label ‘.*) @ line \d+, column \d+\.\r?$`), ReasonLabelUnknown},
}

// Told gives why a build got no agent, if the end of its log says so.
func Told(log []byte) (Problem, bool) {
	for _, known := range engineLines {
		found := known.line.FindSubmatch(log)
		if found == nil {
			continue
		}
		text := strings.TrimSpace(string(found[1]))
		if known.reason == "" {
			return *refusalOfText(text, ReasonInvalidPod), true
		}
		return *newProblem(known.reason, text), true
	}
	return Problem{}, false
}

// killedStep is what a log says of a step whose script was killed, 128 and the number of SIGKILL.
var killedStep = regexp.MustCompile(`(?m)script returned exit code 137\r?$`)

// KilledStep gives why a step of a build was killed in a pod that lives on. Where a node has control groups
// of version 1 only the process that asked for too much memory dies, and Kubernetes does not notice. The
// reason is a guess, and says so; without a memory limit there is none.
func (p *Pod) KilledStep(log []byte) (Problem, bool) {
	if p.MemoryLimit == "" || !killedStep.Match(log) {
		return Problem{}, false
	}
	return *newProblem(ReasonOutOfMemory, "a step was killed (exit code 137) in the agent pod "+p.Name+
		", as processes are that need more than its memory limit of "+p.MemoryLimit), true
}
