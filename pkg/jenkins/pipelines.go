// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// PipelineInfo is what Blue Ocean knows about a pipeline. Its JSON is what the KubeSphere console reads from the annotation
// pipeline.devops.kubesphere.io/jenkins-metadata.
type PipelineInfo struct {
	Name string `json:"name,omitempty"`
	// WeatherScore is the share of good builds among the last ones, 0 to 100.
	WeatherScore int `json:"weatherScore"`
	// EstimatedMillis is the expected duration of a run in milliseconds, -1 if there is no estimate.
	EstimatedMillis int64 `json:"estimatedDurationInMillis,omitempty"`
	// Parameters have the short types of the API: string, text, boolean, choice, file, password.
	Parameters []InputParameter `json:"parameters,omitempty"`
	Disabled   bool             `json:"disabled,omitempty"`

	NumberOfPipelines              int        `json:"numberOfPipelines,omitempty"`
	NumberOfFolders                int        `json:"numberOfFolders,omitempty"`
	PipelineFolderNames            []string   `json:"pipelineFolderNames,omitempty"`
	TotalNumberOfBranches          int        `json:"totalNumberOfBranches,omitempty"`
	TotalNumberOfPullRequests      int        `json:"totalNumberOfPullRequests,omitempty"`
	NumberOfFailingBranches        int        `json:"numberOfFailingBranches,omitempty"`
	NumberOfFailingPullRequests    int        `json:"numberOfFailingPullRequests,omitempty"`
	NumberOfSuccessfulBranches     int        `json:"numberOfSuccessfulBranches,omitempty"`
	NumberOfSuccessfulPullRequests int        `json:"numberOfSuccessfulPullRequests,omitempty"`
	BranchNames                    []string   `json:"branchNames,omitempty"`
	SCMSource                      *SCMSource `json:"scmSource,omitempty"`
	ScriptPath                     string     `json:"scriptPath,omitempty"`
}

// SCMSource says where a multi-branch pipeline finds its branches.
type SCMSource struct {
	ID     string `json:"id,omitempty"`
	APIURL string `json:"apiUrl,omitempty"`
}

// BranchInfo is a branch of a multi-branch pipeline. Its JSON is an entry of the annotation
// pipeline.devops.kubesphere.io/jenkins-branches.
type BranchInfo struct {
	// Name is the name of the branch job, in Jenkins' encoding: "feature%2Fx".
	Name string `json:"name,omitempty"`
	// RawName is the name of the branch: "feature/x".
	RawName      string           `json:"rawName,omitempty"`
	WeatherScore int              `json:"weatherScore"`
	Disabled     bool             `json:"disabled,omitempty"`
	LatestRun    *LatestRun       `json:"latestRun,omitempty"`
	Branch       *Branch          `json:"branch,omitempty"`
	PullRequest  *PullRequest     `json:"pullRequest,omitempty"`
	Parameters   []InputParameter `json:"parameters,omitempty"`
}

// LatestRun is a short form of a Run.
type LatestRun struct {
	ID             string  `json:"id,omitempty"`
	Name           string  `json:"name,omitempty"`
	Pipeline       string  `json:"pipeline,omitempty"`
	Result         string  `json:"result,omitempty"`
	State          string  `json:"state,omitempty"`
	StartTime      Time    `json:"startTime"`
	EndTime        Time    `json:"endTime"`
	DurationMillis int64   `json:"durationInMillis,omitempty"`
	Causes         []Cause `json:"causes,omitempty"`
}

// bluePipeline is the Blue Ocean address of a pipeline, with a slash at its end.
func bluePipeline(op, folder, job string) (string, error) {
	p, err := bluePath(op, folder, job, 1)
	return strings.TrimSuffix(p, "runs/1/"), err
}

// GetPipeline returns what Blue Ocean knows about a pipeline.
func (c *Client) GetPipeline(ctx context.Context, folder, job string) (*PipelineInfo, error) {
	const op = "get pipeline"
	p, err := bluePipeline(op, folder, job)
	if err != nil {
		return nil, err
	}
	info := &PipelineInfo{}
	if err := c.getJSON(ctx, op, p, nil, info); err != nil {
		return nil, err
	}
	shorten(info.Parameters)
	return info, nil
}

// shorten turns Jenkins' parameter types ("StringParameterDefinition") into those of the API ("string").
func shorten(params []InputParameter) {
	for i := range params {
		params[i].Type = strings.ToLower(strings.TrimSuffix(params[i].Type, "ParameterDefinition"))
	}
}

// Branches returns the branches, tags and pull requests of a multi-branch pipeline.
func (c *Client) Branches(ctx context.Context, folder, job string) ([]BranchInfo, error) {
	const op = "list branches"
	p, err := bluePipeline(op, folder, job)
	if err != nil {
		return nil, err
	}
	list, err := getPages[BranchInfo](ctx, c, pages{
		op: op, path: p + "branches/", size: 100000, first: url.Values{"start": {"0"}, "limit": {"100000"}},
	})
	if err != nil {
		return nil, err
	}
	for i := range list {
		raw, err := url.PathUnescape(list[i].Name)
		if err != nil {
			raw = list[i].Name
		}
		list[i].RawName = raw
		shorten(list[i].Parameters)
	}
	return list, nil
}

// Scan asks Jenkins to look for branches now. A job without a source, or a disabled one, is ErrInternal.
func (c *Client) Scan(ctx context.Context, folder, job string) error {
	const op = "scan repository"
	p, err := jobPath(op, folder, job)
	if err != nil {
		return err
	}
	_, err = c.do(ctx, call{op: op, method: http.MethodPost, path: p + "/build", query: url.Values{"delay": {"0"}}})
	return err
}

// ScanLog returns the log of the last scan, or of the one that runs.
func (c *Client) ScanLog(ctx context.Context, folder, job string) (io.ReadCloser, error) {
	const op = "read scan log"
	p, err := jobPath(op, folder, job)
	if err != nil {
		return nil, err
	}
	resp, err := c.stream(ctx, call{op: op, method: http.MethodGet, path: p + "/indexing/consoleText"})
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}
