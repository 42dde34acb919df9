// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"slices"
	"strconv"
	"strings"
)

// TestedVersion is the Jenkins that the recordings are of, and MinVersion the oldest of its kind that we expect to answer alike: the addresses
// of clouds are those of 2.403, the LTS line after it is 2.414.
const (
	TestedVersion = "2.541.2"
	MinVersion    = "2.414"
)

// Requirement is a plugin that Slipway uses.
type Requirement struct {
	// Plugin is its short name.
	Plugin string
	// Tested is the version that the recordings are of; empty if they hold nothing of it.
	Tested string
	// For says what is missing without it.
	For string
	// Optional: the rest works without it.
	Optional bool
}

// Requirements are the plugins that Slipway uses, those that it cannot do without first.
func Requirements() []Requirement {
	return []Requirement{
		{Plugin: "cloudbees-folder", Tested: "6.1053.vd62fb_b_f7367b_", For: "the folder of each project"},
		{Plugin: "workflow-job", Tested: "1571.vb_423c255d6d9", For: "pipelines"},
		{Plugin: "workflow-cps", Tested: "4303.v8fa_2a_581f0a_6", For: "running Jenkinsfiles, replay"},
		{Plugin: "workflow-basic-steps", For: "the steps of Jenkinsfiles"},
		{Plugin: "workflow-durable-task-step", For: "sh and node"},
		{Plugin: "pipeline-model-definition", Tested: "2.2289.v6f731d0a_02da_", For: "Declarative Pipelines"},
		{Plugin: "pipeline-input-step", Tested: "551.vdff487c5998c", For: "input steps"},
		{Plugin: "workflow-multibranch", Tested: "821.vc3b_4ea_780798", For: "multi-branch pipelines"},
		{Plugin: "branch-api", Tested: "2.1280.v0d4e5b_b_460ef", For: "multi-branch pipelines"},
		{Plugin: "scm-api", Tested: "728.vc30dcf7a_0df5", For: "multi-branch pipelines"},
		{Plugin: "git", Tested: "5.10.1", For: "repositories"},
		{Plugin: "credentials", Tested: "1487.va_d001ede2c31", For: "credentials of projects"},
		{Plugin: "plain-credentials", Tested: "199.v9f8e1f741799", For: "secret texts"},
		{Plugin: "ssh-credentials", Tested: "372.va_250881b_08cd", For: "SSH keys"},
		{Plugin: "credentials-binding", Tested: "725.ve52b_2328a_fde", For: "credentials in Jenkinsfiles"},
		{Plugin: "kubernetes", Tested: "4356.vfa_556c21f086", For: "agents in the image of a dev container"},
		{Plugin: "blueocean-rest-impl", Tested: "1.27.25", For: "runs, stages, steps and artifacts"},
		{Plugin: "blueocean-pipeline-api-impl", Tested: "1.27.25", For: "runs, stages, steps and artifacts"},
		{Plugin: "generic-event", For: "news of builds within a moment; without it they are found by polling", Optional: true},
		{Plugin: "generic-webhook-trigger", Tested: "2.2.0", For: "the webhook trigger of a pipeline", Optional: true},
		{Plugin: "multibranch-scan-webhook-trigger", Tested: "1.0.11", For: "the scan trigger of a multi-branch pipeline", Optional: true},
		{Plugin: "github-branch-source", For: "GitHub as the source of a multi-branch pipeline", Optional: true},
		{Plugin: "gitlab-branch-source", For: "GitLab as the source of a multi-branch pipeline", Optional: true},
		{Plugin: "cloudbees-bitbucket-branch-source", For: "Bitbucket as the source of a multi-branch pipeline", Optional: true},
		{Plugin: "kubernetes-cd", For: "kubeconfig credentials; it is no longer maintained", Optional: true},
		{Plugin: "role-strategy", For: "a role for each project within Jenkins", Optional: true},
		{Plugin: "junit", Tested: "1369.v15da_00283f06", For: "the step junit", Optional: true},
		{Plugin: "configuration-as-code", Tested: "2088.ve3b_42c663c80", For: "the setup in docs/jenkins.md", Optional: true},
	}
}

// Missing returns the requirements that the plugins, by their short names, do not meet.
func Missing(plugins map[string]string) []Requirement {
	return slices.DeleteFunc(Requirements(), func(r Requirement) bool { return plugins[r.Plugin] != "" })
}

// Older reports whether one version of Jenkins, such as "2.541.2" or "2.550-SNAPSHOT", is older than another. What is no number counts as 0.
func Older(version, than string) bool {
	return slices.Compare(numbers(version), numbers(than)) < 0
}

func numbers(version string) []int {
	version, _, _ = strings.Cut(version, "-")
	var out []int
	for part := range strings.SplitSeq(version, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			n = 0
		}
		out = append(out, n)
	}
	return out
}
