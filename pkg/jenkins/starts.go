// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// StartCause is why a build was started.
type StartCause struct {
	// Class is the Java class without its package: UserIdCause, RemoteCause, TimerTriggerCause, ReplayCause.
	Class string
	// Text is Jenkins' sentence.
	Text string
	// Note is the text that came with a remote start.
	Note string
	// UserID is who started it in Jenkins.
	UserID string
}

// ReplayOf gives the number of the build that a cause replays, 0 if it is another cause. Nothing but Jenkins' sentence
// names it.
func (c StartCause) ReplayOf() int64 {
	found := replayed.FindStringSubmatch(c.Text)
	if found == nil || c.Class != "ReplayCause" {
		return 0
	}
	n, err := strconv.ParseInt(found[1], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

var replayed = regexp.MustCompile(`^(?:Replayed|Rebuilt) #([0-9]+)$`)

// StartedBuild is a build with what it was started by.
type StartedBuild struct {
	Number  int64
	QueueID int64
	// Building is true until the build has ended; Result is open before.
	Building bool
	Result   string
	// Start is when the build began, by Jenkins' clock.
	Start  time.Time
	Causes []StartCause
	// Parameters are the values that Jenkins shows, as text. It shows none of passwords and files.
	Parameters []Parameter
}

// startActions are the parts of a build or of a queue item that tell what started it.
type startActions []struct {
	Causes []struct {
		Class  string `json:"_class"`
		Text   string `json:"shortDescription"`
		Note   string `json:"note"`
		UserID string `json:"userId"`
	} `json:"causes"`
	Parameters []struct {
		Name  string          `json:"name"`
		Value json.RawMessage `json:"value"`
	} `json:"parameters"`
}

func (a startActions) causes() (out []StartCause) {
	for _, action := range a {
		for _, c := range action.Causes {
			class := c.Class[strings.LastIndexAny(c.Class, ".$")+1:]
			out = append(out, StartCause{Class: class, Text: oneLine(c.Text), Note: c.Note, UserID: c.UserID})
		}
	}
	return out
}

func (a startActions) parameters() (out []Parameter) {
	for _, action := range a {
		for _, p := range action.Parameters {
			if text, ok := scalar(p.Value); ok && p.Name != "" {
				out = append(out, Parameter{Name: p.Name, Value: text})
			}
		}
	}
	return out
}

// scalar gives a string, number or boolean as text.
func scalar(raw json.RawMessage) (string, bool) {
	var value any
	if len(raw) == 0 || json.Unmarshal(raw, &value) != nil {
		return "", false
	}
	switch v := value.(type) {
	case string:
		return v, true
	case bool, float64:
		return string(raw), true
	}
	return "", false
}

// startedTree names the fields of StartedBuild. The class of each cause comes without asking.
const startedTree = "builds[number,queueId,building,result,timestamp,actions[causes[shortDescription,note,userId],parameters[name,value]]]{0,%d}"

// maxStarted is how many builds StartedBuilds gives.
const maxStarted = 100

// StartedBuilds returns the 100 newest builds of a job, newest first, with what they were started by.
func (c *Client) StartedBuilds(ctx context.Context, folder, job string) ([]StartedBuild, error) {
	const op = "list builds"
	p, err := jobPath(op, folder, job)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Builds []struct {
			Number    int64        `json:"number"`
			QueueID   int64        `json:"queueId"`
			Building  bool         `json:"building"`
			Result    string       `json:"result"`
			Timestamp int64        `json:"timestamp"`
			Actions   startActions `json:"actions"`
		} `json:"builds"`
	}
	query := url.Values{"tree": {fmt.Sprintf(startedTree, maxStarted)}}
	if err := c.getJSON(ctx, op, p+"/api/json", query, &answer); err != nil {
		return nil, err
	}
	out := make([]StartedBuild, 0, len(answer.Builds))
	for _, b := range answer.Builds {
		out = append(out, StartedBuild{
			Number: b.Number, QueueID: b.QueueID, Building: b.Building, Result: b.Result, Start: time.UnixMilli(b.Timestamp).UTC(),
			Causes: b.Actions.causes(), Parameters: b.Actions.parameters(),
		})
	}
	return out, nil
}

// StartMatch says which of the starts that carry no note are looked for. Jenkins notes a start's cause only where the job
// has a token of its own, which the jobs of branches cannot have, and never that of a replay.
type StartMatch struct {
	// Replay is the number of the build that is replayed. 0: starts that are no replays. Only those by the client's own user
	// are meant.
	Replay int64
	// Except are the ids of queue items that are not meant.
	Except []int64
	// Since leaves out builds that began earlier, by Jenkins' clock: when builds are deleted, older ones come into sight.
	Since time.Time
}

// matches tells if a start is meant.
func (m StartMatch) matches(causes []StartCause, item int64, user string) bool {
	if slices.Contains(m.Except, item) {
		return false
	}
	own, replay := false, int64(0)
	for _, c := range causes {
		if n := c.ReplayOf(); n > 0 {
			replay = n
		}
		own = own || c.Class == "UserIdCause" && strings.EqualFold(c.UserID, user)
	}
	return own && replay == m.Replay
}

// UnmarkedStarts returns the starts of a job that carry no note and match, oldest first: those that wait in the queue and
// those among the 100 newest builds.
func (c *Client) UnmarkedStarts(ctx context.Context, folder, job string, match StartMatch) ([]Found, error) {
	const op = "list starts"
	p, err := jobPath(op, folder, job)
	if err != nil {
		return nil, err
	}
	// The queue first: an item that leaves between the two questions is then seen as a build.
	queued, err := c.queuedStarts(ctx, op, p, match)
	if err != nil {
		return nil, err
	}
	builds, err := c.StartedBuilds(ctx, folder, job)
	if err != nil {
		return nil, err
	}
	found := map[int64]Found{}
	for _, id := range queued {
		found[id] = Found{QueueID: id}
	}
	for _, b := range builds {
		if match.matches(b.Causes, b.QueueID, c.cfg.Username) && !b.Start.Before(match.Since) {
			found[b.QueueID] = Found{QueueID: b.QueueID, BuildNumber: b.Number}
		}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b Found) int { return cmp.Compare(a.QueueID, b.QueueID) }), nil
}

// queuedStarts returns the ids of the waiting items of a job that match. The queue is one for all jobs.
func (c *Client) queuedStarts(ctx context.Context, op, jobPath string, match StartMatch) ([]int64, error) {
	var queue struct {
		Items []struct {
			ID   int64 `json:"id"`
			Task struct {
				URL string `json:"url"`
			} `json:"task"`
			Actions startActions `json:"actions"`
		} `json:"items"`
	}
	query := url.Values{"tree": {"items[id,task[url],actions[causes[shortDescription,note,userId]]]"}}
	if err := c.getJSON(ctx, op, "/queue/api/json", query, &queue); err != nil {
		return nil, err
	}
	var ids []int64
	for _, item := range queue.Items {
		if isJobURL(item.Task.URL, jobPath) && match.matches(item.Actions.causes(), item.ID, c.cfg.Username) {
			ids = append(ids, item.ID)
		}
	}
	return ids, nil
}

// isJobURL tells if an address of Jenkins is that of a job. What stands before the job's path is Jenkins' idea of its own
// address, which need not be the one that the client uses.
func isJobURL(address, jobPath string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	path, err := url.PathUnescape(jobPath)
	if err != nil {
		return false
	}
	before, ok := strings.CutSuffix(strings.TrimSuffix(u.Path, "/"), path)
	return ok && !strings.Contains(before+"/", "/job/")
}

// FindUnmarkedStart returns the oldest start that matches. ErrNotFound means that there is none. As FindByCause, it looks a
// second time before it says so.
func (c *Client) FindUnmarkedStart(ctx context.Context, folder, job string, match StartMatch) (*Found, error) {
	const op = "find start"
	for attempt := 0; ; attempt++ {
		starts, err := c.UnmarkedStarts(ctx, folder, job, match)
		switch {
		case err != nil:
			return nil, err
		case len(starts) > 0:
			return &starts[0], nil
		case attempt == 1:
			return nil, newError(op, ErrNotFound, "Jenkins has no new start of the job")
		}
		if err := wait(ctx, c.cfg.RecheckDelay); err != nil {
			return nil, transportError(op, err)
		}
	}
}
