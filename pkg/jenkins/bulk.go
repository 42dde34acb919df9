// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Questions that are asked once for many builds.

// BuildStatus is the state of a build in a bulk answer.
type BuildStatus struct {
	Number  int64
	QueueID int64
	// Building is true until the build has ended.
	Building bool
	// Result is SUCCESS, UNSTABLE, FAILURE, NOT_BUILT or ABORTED; empty while the result is open. It may be set before Building ends.
	Result string
	// Start is when the build began.
	Start time.Time
	// Duration is 0 while the build runs.
	Duration time.Duration
}

type statusJob struct {
	Name   string `json:"name"`
	Builds []struct {
		Number    int64  `json:"number"`
		QueueID   int64  `json:"queueId"`
		Building  bool   `json:"building"`
		Result    string `json:"result"`
		Timestamp int64  `json:"timestamp"`
		Duration  int64  `json:"duration"`
	} `json:"builds"`
	Jobs []statusJob `json:"jobs"`
}

// BuildStatuses returns the newest builds (Config.StatusDepth of each job, newest first) of all jobs in a folder by one call. The
// key is the job name; a branch of a multi-branch pipeline is "<pipeline>/<branch job>".
func (c *Client) BuildStatuses(ctx context.Context, folder string) (map[string][]BuildStatus, error) {
	return c.FolderBuilds(ctx, folder, c.cfg.StatusDepth)
}

// FolderBuilds is BuildStatuses with another number of builds of each job; less than one counts as one.
func (c *Client) FolderBuilds(ctx context.Context, folder string, depth int) (map[string][]BuildStatus, error) {
	const op = "get build statuses"
	p, err := folderPath(op, folder)
	if err != nil {
		return nil, err
	}
	builds := fmt.Sprintf("builds[number,result,building,timestamp,duration,queueId]{0,%d}", max(1, depth))
	query := url.Values{"tree": {"jobs[name," + builds + ",jobs[name," + builds + "]]"}}
	var out statusJob
	if err := c.getJSON(ctx, op, p+"/api/json", query, &out); err != nil {
		return nil, err
	}
	all := map[string][]BuildStatus{}
	for _, j := range out.Jobs {
		j.collect(j.Name, all)
		for _, b := range j.Jobs {
			b.collect(BranchJob(j.Name, b.Name), all)
		}
	}
	return all, nil
}

func (j statusJob) collect(key string, into map[string][]BuildStatus) {
	list := make([]BuildStatus, 0, len(j.Builds))
	for _, b := range j.Builds {
		list = append(list, BuildStatus{
			Number: b.Number, QueueID: b.QueueID, Building: b.Building, Result: b.Result,
			Start: time.UnixMilli(b.Timestamp).UTC(), Duration: time.Duration(b.Duration) * time.Millisecond,
		})
	}
	into[key] = list
}

// ListRuns returns the builds of a job as GetRun does, newest first: those after the first start ones, at most limit.
func (c *Client) ListRuns(ctx context.Context, folder, job string, page Page) ([]*Run, error) {
	const op = "list runs"
	// The address of a build up to its number, which this call leaves out.
	p, err := bluePath(op, folder, job, 1)
	if err != nil {
		return nil, err
	}
	list := []*Run{}
	if err := c.getJSON(ctx, op, strings.TrimSuffix(p, "1/"), page.into(url.Values{}), &list); err != nil {
		return nil, err
	}
	for _, run := range list {
		if run == nil {
			return nil, newError(op, ErrUnexpected, "the answer holds a null")
		}
		if run.RawJSON, err = run.consoleJSON(); err != nil {
			return nil, &Error{Op: op, kind: ErrInternal, cause: err, Message: err.Error()}
		}
	}
	return list, nil
}

// RunSteps returns the steps of all stages of a run by one call. It does not say to which stage a step belongs.
func (c *Client) RunSteps(ctx context.Context, folder, job string, build int64) ([]Step, error) {
	const op = "get steps of run"
	p, err := bluePath(op, folder, job, build)
	if err != nil {
		return nil, err
	}
	return getPages[Step](ctx, c, pages{op: op, path: p + "steps/", size: defaultPage})
}

// Waiting is an item in the queue.
type Waiting struct {
	// ID is the id of the item.
	ID int64
	// Why is Jenkins' reason for the wait.
	Why string
	// Stuck says that Jenkins thinks the item waits unusually long.
	Stuck bool
	// Job is the job of a start that waits, and Build is 0 then. For a build that runs and waits for an agent they name that
	// build. Job is a full name, "folder/job" or "folder/pipeline/branch job"; it is empty for a task that is neither.
	Job   string
	Build int64
}

// Queue returns everything that waits in the queue by one call: starts that have no build yet, and builds that wait for an agent.
func (c *Client) Queue(ctx context.Context) ([]Waiting, error) {
	const op = "read queue"
	var out struct {
		Items []struct {
			ID    int64  `json:"id"`
			Why   string `json:"why"`
			Stuck bool   `json:"stuck"`
			Task  struct {
				URL string `json:"url"`
			} `json:"task"`
		} `json:"items"`
	}
	if err := c.getJSON(ctx, op, "/queue/api/json", url.Values{"tree": {"items[id,why,stuck,task[url]]"}}, &out); err != nil {
		return nil, err
	}
	list := make([]Waiting, 0, len(out.Items))
	for _, item := range out.Items {
		w := Waiting{ID: item.ID, Why: oneLine(item.Why), Stuck: item.Stuck}
		w.Job, w.Build = taskOf(item.Task.URL)
		list = append(list, w)
	}
	return list, nil
}

// taskOf reads what a task's address names. That of a job is absolute, that of a build which waits for an agent is
// relative to Jenkins: "http://ci/jenkins/job/a/job/b/", "job/a/job/b/4/".
func taskOf(address string) (job string, build int64) {
	u, err := url.Parse(address)
	if err != nil {
		return "", 0
	}
	parts := strings.Split(strings.Trim(u.EscapedPath(), "/"), "/")
	for len(parts) > 0 && parts[0] != "job" {
		parts = parts[1:] // the path prefix of Jenkins
	}
	var names []string
	for len(parts) >= 2 && parts[0] == "job" {
		name, err := url.PathUnescape(parts[1])
		if err != nil {
			return "", 0
		}
		names = append(names, name)
		parts = parts[2:]
	}
	switch len(parts) {
	case 0:
	case 1:
		if build, err = strconv.ParseInt(parts[0], 10, 64); err != nil || build < 1 {
			return "", 0
		}
	default:
		return "", 0
	}
	return strings.Join(names, "/"), build
}
