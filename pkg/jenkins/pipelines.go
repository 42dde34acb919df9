// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"bufio"
	"context"
	"errors"
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

// BranchPage returns a part of the branches, tags and pull requests of a multi-branch pipeline, the primary branch first. Jenkins sends some 4 KB for
// each.
func (c *Client) BranchPage(ctx context.Context, folder, job string, page Page) ([]BranchInfo, error) {
	const op = "list branches"
	p, err := bluePipeline(op, folder, job)
	if err != nil {
		return nil, err
	}
	list := []BranchInfo{}
	if err := c.getJSON(ctx, op, p+"branches/", page.into(url.Values{}), &list); err != nil {
		return nil, err
	}
	return readable(list), nil
}

// readable completes branches with what Jenkins does not say.
func readable(list []BranchInfo) []BranchInfo {
	for i := range list {
		raw, err := url.PathUnescape(list[i].Name)
		if err != nil {
			raw = list[i].Name
		}
		list[i].RawName = raw
		shorten(list[i].Parameters)
	}
	return list
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

// ScanState says how the last scan of a multi-branch pipeline went.
type ScanState struct {
	// Ran is false if there was none yet.
	Ran bool
	// Started is the line that says when the scan began; it tells scans apart.
	Started string
	// Result is SUCCESS, FAILURE, ABORTED or NOT_BUILT; empty while the scan runs.
	Result string
	// Problem is the line of the log that says why the scan failed, empty if it did not.
	Problem string
}

const (
	// maxScanLog bounds how much of a scan's log is read, in bytes: the log has some 100 bytes for each branch, and says
	// what went wrong and how it ended in its last lines.
	maxScanLog = 8 << 20
	// maxScanLine bounds a line that is kept, in bytes.
	maxScanLine = 4 << 10
	// noScan is the whole log of a pipeline that was never scanned.
	noScan = "No such file: indexing.log"
	// scanBegins ends the line with the time at which the scan began.
	scanBegins = "] Starting branch indexing..."
)

// ScanState reads from the log of the last scan how that ended. Jenkins has no other address for it.
func (c *Client) ScanState(ctx context.Context, folder, job string) (*ScanState, error) {
	log, err := c.ScanLog(ctx, folder, job)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	state := &ScanState{}
	lines := bufio.NewReaderSize(io.LimitReader(log, maxScanLog), maxScanLine)
	for {
		part, isRest, err := lines.ReadLine()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, transportError("read scan log", err)
		}
		state.line(string(part))
		for isRest && err == nil {
			_, isRest, err = lines.ReadLine()
		}
	}
	if state.Result == "SUCCESS" {
		state.Problem = ""
	}
	return state, nil
}

// line takes in a line of the log.
func (s *ScanState) line(text string) {
	text = oneLine(text)
	switch {
	case text == noScan || text == "":
		return
	case s.Started == "" && strings.HasSuffix(text, scanBegins):
		s.Started = text
	case strings.HasPrefix(text, "Finished: "):
		s.Result = strings.TrimPrefix(text, "Finished: ")
	case strings.HasPrefix(text, "stderr: "), strings.HasPrefix(text, "ERROR: "), strings.HasPrefix(text, "FATAL: "), strings.Contains(text, "Exception: "):
		// git's own words say more than the exceptions around them, and the last one more than the first.
		if !strings.HasPrefix(s.Problem, "stderr: ") || strings.HasPrefix(text, "stderr: ") {
			s.Problem = text
		}
	}
	s.Ran = true
}
