// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Parameter is a value of a build parameter.
type Parameter struct {
	Name  string
	Value string
}

// StartRequest says how to start a build.
type StartRequest struct {
	// Parameters are the values; a parameter that the job does not define is dropped by Jenkins.
	Parameters []Parameter
	// Token is the authToken of the job's config.xml. Only with it does Jenkins record the Cause.
	Token string
	// Cause is the note that the build carries, and that FindByCause looks for.
	Cause string
	// HasParameters says whether the job defines parameters: Jenkins has two endpoints and refuses the wrong one.
	HasParameters bool
}

// reservedParameters are read by the remote start itself. Jenkins refuses a parameter that comes twice.
var reservedParameters = map[string]bool{"token": true, "cause": true, "delay": true, "json": true, "Submit": true, "statusCode": true, "redirectTo": true}

// StartBuild puts a build into the queue and returns the id of its queue item.
//
// If an item of the same job with equal parameters waits already, Jenkins does not add another one: it adds the cause to
// the waiting item and the id of that one is returned. Both runs then become the same build, and FindByCause finds it by
// either cause.
func (c *Client) StartBuild(ctx context.Context, folder, job string, req StartRequest) (int64, error) {
	const op = "start build"
	p, err := jobPath(op, folder, job)
	if err != nil {
		return 0, err
	}
	form := url.Values{"delay": {"0sec"}}
	if req.Token != "" {
		form.Set("token", req.Token)
		form.Set("cause", req.Cause)
	}
	for _, par := range req.Parameters {
		switch {
		case par.Name == "":
			return 0, newError(op, ErrInvalid, "a parameter has no name")
		case reservedParameters[par.Name]:
			return 0, newError(op, ErrInvalid, "Jenkins uses the parameter name %q itself; rename the parameter", par.Name)
		case form.Has(par.Name):
			return 0, newError(op, ErrInvalid, "the parameter %q is given twice", par.Name)
		}
		form.Set(par.Name, par.Value)
	}
	endpoint := "/build"
	if req.HasParameters {
		endpoint = "/buildWithParameters"
	}
	a, err := c.postForm(ctx, op, p+endpoint, form)
	if err != nil {
		return 0, err
	}
	id, ok := queueIDOf(a.location)
	if !ok {
		return 0, &Error{Op: op, Status: a.status, kind: ErrUnexpected, Message: "the answer does not name a queue item"}
	}
	return id, nil
}

// queueIDOf reads the id from a Location such as http://ci/jenkins/queue/item/512/.
func queueIDOf(loc *url.URL) (int64, bool) {
	if loc == nil {
		return 0, false
	}
	_, rest, found := strings.Cut(loc.Path, "/queue/item/")
	if !found {
		return 0, false
	}
	id, err := strconv.ParseInt(strings.Trim(rest, "/"), 10, 64)
	return id, err == nil && id > 0
}

// Found says where a start was found.
type Found struct {
	// QueueID is the id of the queue item, also of one that has left.
	QueueID int64
	// BuildNumber is the number of the build, 0 while the item waits.
	BuildNumber int64
}

type causeAction struct {
	Causes []struct {
		Note             string `json:"note"`
		ShortDescription string `json:"shortDescription"`
	} `json:"causes"`
}

func hasCause(actions []causeAction, cause string) bool {
	for _, a := range actions {
		for _, got := range a.Causes {
			if got.Note == cause {
				return true
			}
		}
	}
	return false
}

// FindByCause looks for a start that carries the cause, in the queue and among the 100 newest builds of the job. ErrNotFound
// means that there was none (also if the job does not exist).
//
// An item that is just leaving the queue is for some 100 ms in neither list. So the search is done twice, with
// Config.RecheckDelay between, before it says ErrNotFound: a caller may then start the build without starting it twice.
func (c *Client) FindByCause(ctx context.Context, folder, job, cause string) (*Found, error) {
	const op = "find build by cause"
	if cause == "" {
		return nil, newError(op, ErrInvalid, "no cause given")
	}
	p, err := jobPath(op, folder, job)
	if err != nil {
		return nil, err
	}
	for attempt := 0; ; attempt++ {
		found, err := c.findOnce(ctx, op, p, cause)
		if found != nil || err != nil {
			return found, err
		}
		if attempt == 1 {
			return nil, newError(op, ErrNotFound, "no queue item and no build has the cause %q", cause)
		}
		if err := wait(ctx, c.cfg.RecheckDelay); err != nil {
			return nil, transportError(op, err)
		}
	}
}

// findOnce looks into the queue first: an item that leaves between the two questions is then seen as a build.
func (c *Client) findOnce(ctx context.Context, op, jobPath, cause string) (*Found, error) {
	found, err := c.findQueued(ctx, op, cause)
	if found != nil || err != nil {
		return found, err
	}
	return c.findBuild(ctx, op, jobPath, cause)
}

func (c *Client) findQueued(ctx context.Context, op, cause string) (*Found, error) {
	var queue struct {
		Items []struct {
			ID      int64         `json:"id"`
			Actions []causeAction `json:"actions"`
		} `json:"items"`
	}
	query := url.Values{"tree": {"items[id,actions[causes[note]]]"}}
	if err := c.getJSON(ctx, op, "/queue/api/json", query, &queue); err != nil {
		return nil, err
	}
	for _, item := range queue.Items {
		if hasCause(item.Actions, cause) {
			return &Found{QueueID: item.ID}, nil
		}
	}
	return nil, nil
}

func (c *Client) findBuild(ctx context.Context, op, jobPath, cause string) (*Found, error) {
	var builds struct {
		Builds []struct {
			Number  int64         `json:"number"`
			QueueID int64         `json:"queueId"`
			Actions []causeAction `json:"actions"`
		} `json:"builds"`
	}
	query := url.Values{"tree": {"builds[number,queueId,actions[causes[note]]]{0,100}"}}
	if err := c.getJSON(ctx, op, jobPath+"/api/json", query, &builds); err != nil {
		return nil, err
	}
	for _, b := range builds.Builds {
		if hasCause(b.Actions, cause) {
			return &Found{QueueID: b.QueueID, BuildNumber: b.Number}, nil
		}
	}
	return nil, nil
}

// wait waits, or returns the error of the context.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// QueueItem is a start that waits in the queue, or has left it within the last five minutes.
type QueueItem struct {
	ID int64
	// Why is Jenkins' reason for the wait, empty once the item has left.
	Why string
	// Stuck says that Jenkins thinks the item waits unusually long.
	Stuck bool
	// Cancelled says that the item has left without a build.
	Cancelled bool
	// BuildNumber is the number of the build that the item became, 0 before.
	BuildNumber int64
	// Since is when the item entered the queue.
	Since time.Time
}

// GetQueueItem returns a queue item. Jenkins forgets an item about five minutes after it left: ErrNotFound.
func (c *Client) GetQueueItem(ctx context.Context, id int64) (*QueueItem, error) {
	const op = "get queue item"
	if id < 1 {
		return nil, newError(op, ErrInvalid, "queue item %d", id)
	}
	var item struct {
		ID         int64  `json:"id"`
		Why        string `json:"why"`
		Stuck      bool   `json:"stuck"`
		Cancelled  bool   `json:"cancelled"`
		Since      int64  `json:"inQueueSince"`
		Executable *struct {
			Number int64 `json:"number"`
		} `json:"executable"`
	}
	query := url.Values{"tree": {"id,why,stuck,cancelled,inQueueSince,executable[number]"}}
	if err := c.getJSON(ctx, op, fmt.Sprintf("/queue/item/%d/api/json", id), query, &item); err != nil {
		return nil, err
	}
	out := &QueueItem{ID: item.ID, Why: oneLine(item.Why), Stuck: item.Stuck, Cancelled: item.Cancelled, Since: time.UnixMilli(item.Since).UTC()}
	if item.Executable != nil {
		out.BuildNumber = item.Executable.Number
	}
	return out, nil
}

// CancelQueueItem takes an item out of the queue. That it is cancelled already is a success. ErrConflict means that it has
// become a build, which must be stopped instead; ErrNotFound that Jenkins does not know the item any more.
func (c *Client) CancelQueueItem(ctx context.Context, id int64) error {
	const op = "cancel queue item"
	_, err := c.do(ctx, call{op: op, method: http.MethodPost, path: "/queue/cancelItem", query: url.Values{"id": {strconv.FormatInt(id, 10)}}})
	if !errors.Is(err, ErrInternal) {
		return err
	}
	// Jenkins fails on an item that has left. Ask why it has.
	item, getErr := c.GetQueueItem(ctx, id)
	switch {
	case getErr != nil:
		return getErr
	case item.Cancelled:
		return nil
	case item.BuildNumber > 0:
		return newError(op, ErrConflict, "the item has become build %d", item.BuildNumber)
	}
	return err
}

// StopBuild asks a build to end; it does not wait for it. A build that has ended already is left as it is.
func (c *Client) StopBuild(ctx context.Context, folder, job string, build int64) error {
	const op = "stop build"
	p, err := buildPath(op, folder, job, build)
	if err != nil {
		return err
	}
	_, err = c.do(ctx, call{op: op, method: http.MethodPost, path: p + "/stop"})
	return err
}

// DeleteBuild deletes a build. That it does not exist is a success. A build that is kept for ever is ErrInvalid.
func (c *Client) DeleteBuild(ctx context.Context, folder, job string, build int64) error {
	const op = "delete build"
	p, err := buildPath(op, folder, job, build)
	if err != nil {
		return err
	}
	_, err = c.job(op, p).Delete(ctx)
	return ignoreNotFound(err)
}
