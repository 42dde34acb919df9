// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"context"
	"net/http"
	"net/url"
)

// sonarAction is the Java class of what SonarQube's scanner leaves in a build.
const sonarAction = "hudson.plugins.sonar.action.SonarAnalysisAction"

// SonarAnalysis is what a scanner of SonarQube left in a build.
type SonarAnalysis struct {
	// Class is the Java class of the action.
	Class string `json:"_class,omitempty"`
	// TaskID is SonarQube's id of the task that processes the report; empty if the scanner sent none.
	TaskID string `json:"ceTaskId,omitempty"`
	// DashboardURL is SonarQube's page of the project.
	DashboardURL string `json:"sonarqubeDashboardUrl,omitempty"`
	// ServerURL is the address of SonarQube as the build knows it. Who writes the Jenkinsfile decides what it is.
	ServerURL string `json:"serverUrl,omitempty"`
	// Installation is the name of SonarQube in Jenkins' configuration.
	Installation string `json:"installationName,omitempty"`
}

// SonarAnalyses returns the analyses of the last build of a job, in their order; none is an empty list. A job without a build is ErrNotFound.
func (c *Client) SonarAnalyses(ctx context.Context, folder, job string) ([]SonarAnalysis, error) {
	const op = "read analyses"
	p, err := jobPath(op, folder, job)
	if err != nil {
		return nil, err
	}
	var out struct {
		Actions []SonarAnalysis `json:"actions"`
	}
	a, err := c.do(ctx, call{op: op, method: http.MethodGet, path: p + "/lastBuild/api/json",
		query: url.Values{"tree": {"actions[ceTaskId,sonarqubeDashboardUrl,serverUrl,installationName]"}}})
	if err != nil {
		return nil, err
	}
	if err := decodeJSON(op, a, &out); err != nil {
		return nil, err
	}
	list := []SonarAnalysis{}
	for _, action := range out.Actions {
		if action.Class == sonarAction {
			list = append(list, action)
		}
	}
	return list, nil
}
