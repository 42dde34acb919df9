// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package agentpod

import (
	"strings"
	"testing"
)

func TestTold(t *testing.T) {
	tests := map[string]struct {
		reason, log, want, says string
	}{
		"Quota": {reason: "the dry run came before the quota", log: "ERROR: The agent pod was refused: pods \"a\" is forbidden: exceeded quota: ci, requested: pods=1, used: pods=0, limited: pods=0\nFinished: FAILURE\n",
			want: ReasonQuotaExceeded, says: "does not allow the agent pod: pods"},
		"PodSecurity": {reason: "by its own words", log: "ERROR: The agent pod was refused: pods \"a\" is forbidden: violates PodSecurity \"restricted:latest\": x\n", want: ReasonPodSecurity},
		"OtherPolicy": {reason: "admission has many voices", log: "ERROR: The agent pod was refused: pods \"a\" is forbidden: no such account\n", want: ReasonPodRefused},
		"Invalid":     {reason: "neither of them", log: "ERROR: The agent pod was refused: Pod \"a\" is invalid: spec.restartPolicy: Unsupported value: \"Sometimes\"\n", want: ReasonInvalidPod, says: "Sometimes"},
		"YAML":        {reason: "never sent to the cluster", log: "ERROR: The pod template ‘dc-p.a’ cannot be used: the pod YAML is not valid: x\n", want: ReasonInvalidPod, says: "YAML"},
		"Deleted":     {reason: "by somebody, before it ran", log: "ERROR: The agent pod a-x1z2y was deleted while it started: starting\n", want: ReasonPodDeleted},
		"Late":        {reason: "minijenkins' own limit", log: "ERROR: The agent pod a-x1z2y did not start within 5m0s: starting\n", want: ReasonLaunchFailed, says: "5m0s"},
		"Label":       {reason: "nobody offers it", log: "ERROR: There are no nodes with the label ‘dc-p.b’. Labels that exist: dc-p.a.\n", want: ReasonLabelUnknown},
		"Refused": {reason: "before the build began", log: "WorkflowScript: 2: There are no agents with the label ‘dc-p.b’ @ line 2, column 3.\n  agent { label 'dc-p.b' }\n",
			want: ReasonLabelUnknown, says: "‘dc-p.b’"},
		"Step":    {reason: "a build that failed by itself", log: "ERROR: script returned exit code 1\nFinished: FAILURE\n"},
		"Echo":    {reason: "a step may print anything, in the middle of a line", log: "+ echo ERROR: The agent pod was refused: x\n"},
		"Nothing": {reason: "no log"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, found := Told([]byte("Started by user admin\n" + tt.log))
			if got.Reason != tt.want || found != (tt.want != "") || !strings.Contains(got.Message, tt.says) {
				t.Errorf("%s: %q %q, want %q with %q", tt.reason, got.Reason, got.Message, tt.want, tt.says)
			}
			if found && !strings.Contains(got.Message, "What to do: ") {
				t.Errorf("no remedy in %q", got.Message)
			}
		})
	}
}

func TestKilledStep(t *testing.T) {
	tests := map[string]struct {
		reason, limit, log string
		want               bool
	}{
		"Limited":   {reason: "the usual cause", limit: "64Mi", log: "Killed\nERROR: script returned exit code 137\nFinished: FAILURE\n", want: true},
		"Windows":   {reason: "lines may end otherwise", limit: "64Mi", log: "ERROR: script returned exit code 137\r\n", want: true},
		"NoLimit":   {reason: "then it was not for the limit", log: "ERROR: script returned exit code 137\n"},
		"OtherCode": {reason: "an ordinary failure", limit: "64Mi", log: "ERROR: script returned exit code 1370\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, found := (&Pod{Name: "a", MemoryLimit: tt.limit}).KilledStep([]byte(tt.log))
			if found != tt.want || found && (got.Reason != ReasonOutOfMemory || !strings.Contains(got.Message, "137") || !strings.Contains(got.Message, tt.limit)) {
				t.Errorf("%s: %t %+v", tt.reason, found, got)
			}
		})
	}
}
