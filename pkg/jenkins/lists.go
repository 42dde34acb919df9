// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// PipelineItem is an entry of a Blue Ocean list: a pipeline, a multi-branch pipeline or a folder.
type PipelineItem struct {
	PipelineInfo
	// Class is the Java class of Blue Ocean's view of it.
	Class string `json:"_class,omitempty"`
	// FullName is the name with all folders: "team/app".
	FullName string `json:"fullName,omitempty"`
	// DisplayName is the name that people see.
	DisplayName string `json:"displayName,omitempty"`
}

// Page is a part of a list.
type Page struct {
	// Start is the number of entries to leave out.
	Start int
	// Limit is the number of entries to give; 0: 100.
	Limit int
}

func (p Page) into(q url.Values) url.Values {
	if p.Limit <= 0 {
		p.Limit = defaultPage
	}
	q.Set("start", strconv.Itoa(max(0, p.Start)))
	q.Set("limit", strconv.Itoa(p.Limit))
	return q
}

// SearchPipelines finds the pipelines of a folder and of the folders below it whose name holds the keyword, in any case; an empty keyword finds all. A
// multi-branch pipeline is one entry. A folder that does not exist has no pipelines.
func (c *Client) SearchPipelines(ctx context.Context, folder, keyword string, page Page) ([]PipelineItem, error) {
	const op = "search pipelines"
	if _, err := segments(op, "folder", folder); err != nil {
		return nil, err
	}
	// The query has its own syntax: ";" ends a term and "*" matches anything; there is no way to escape them.
	if strings.ContainsAny(folder+keyword, ";:*") {
		return nil, newError(op, ErrInvalid, "a search cannot hold the characters ; : and *")
	}
	pattern := folder + "/*"
	if keyword != "" {
		pattern += keyword + "*"
	}
	query := url.Values{
		"q": {"type:pipeline;organization:jenkins;pipeline:" + pattern +
			";excludedFromFlattening=jenkins.branch.MultiBranchProject,hudson.matrix.MatrixProject"},
		"filter": {"no-folders"},
	}
	return c.pipelineItems(ctx, op, "/blue/rest/search/", page.into(query))
}

// ListPipelines returns the pipelines and folders of a folder.
func (c *Client) ListPipelines(ctx context.Context, folder string, page Page) ([]PipelineItem, error) {
	const op = "list pipelines"
	parts, err := segments(op, "folder", folder)
	if err != nil {
		return nil, err
	}
	return c.pipelineItems(ctx, op, "/blue/rest/organizations/jenkins"+escapeJoin("/pipelines/", parts)+"/pipelines/", page.into(url.Values{}))
}

func (c *Client) pipelineItems(ctx context.Context, op, path string, query url.Values) ([]PipelineItem, error) {
	list := []PipelineItem{}
	if err := c.getJSON(ctx, op, path, query, &list); err != nil {
		return nil, err
	}
	for i := range list {
		shorten(list[i].Parameters)
	}
	return list, nil
}

// Computers are the nodes that are connected now, the controller among them.
type Computers struct {
	// Busy and Total count executors.
	Busy, Total int
	Nodes       []Node
}

// Node is an agent or the controller.
type Node struct {
	Name    string
	Offline bool
	Labels  []string
}

// Computers returns the connected nodes. Agents in pods are there only while they run.
func (c *Client) Computers(ctx context.Context) (*Computers, error) {
	const op = "list nodes"
	var out struct {
		Busy  int `json:"busyExecutors"`
		Total int `json:"totalExecutors"`
		Nodes []struct {
			Name    string `json:"displayName"`
			Offline bool   `json:"offline"`
			Labels  []name `json:"assignedLabels"`
		} `json:"computer"`
	}
	query := url.Values{"tree": {"busyExecutors,totalExecutors,computer[displayName,offline,assignedLabels[name]]"}}
	if err := c.getJSON(ctx, op, "/computer/api/json", query, &out); err != nil {
		return nil, err
	}
	list := &Computers{Busy: out.Busy, Total: out.Total}
	for _, n := range out.Nodes {
		list.Nodes = append(list.Nodes, Node{Name: n.Name, Offline: n.Offline, Labels: names(n.Labels)})
	}
	return list, nil
}

type name struct {
	Name string `json:"name"`
}

func names(list []name) []string {
	out := make([]string, 0, len(list))
	for _, n := range list {
		out = append(out, n.Name)
	}
	return out
}

// Labels returns the labels of the nodes that are connected now. Labels of templates that no pod runs for are not among them: see LabelExists.
func (c *Client) Labels(ctx context.Context) ([]string, error) {
	const op = "list labels"
	var out struct {
		Labels   []name `json:"labels"`
		Assigned []name `json:"assignedLabels"`
	}
	if err := c.getJSON(ctx, op, "/api/json", url.Values{"tree": {"labels[name],assignedLabels[name]"}}, &out); err != nil {
		return nil, err
	}
	return names(append(out.Labels, out.Assigned...)), nil
}

// QuietState says whether Jenkins prepares for a shutdown. It then accepts starts but begins no build.
type QuietState struct {
	Quiet bool
	// Reason is what the administrator gave as the reason, often empty.
	Reason string
}

// QuietState returns whether Jenkins prepares for a shutdown.
func (c *Client) QuietState(ctx context.Context) (*QuietState, error) {
	const op = "ask for the quiet mode"
	var out struct {
		Quiet  bool   `json:"quietingDown"`
		Reason string `json:"quietDownReason"`
	}
	a, err := c.do(ctx, call{op: op, method: http.MethodGet, path: "/api/json", query: url.Values{"tree": {"quietingDown,quietDownReason"}}})
	if err != nil {
		return nil, err
	}
	if err := decodeJSON(op, a, &out); err != nil {
		return nil, err
	}
	return &QuietState{Quiet: out.Quiet, Reason: oneLine(out.Reason)}, nil
}
