// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"context"
	"errors"
	"slices"
)

// AgentLabels returns the labels that pipelines can ask for, sorted: with the plugin labels-dashboard those of nodes and clouds, without it those of the
// nodes that are connected now.
func (c *Client) AgentLabels(ctx context.Context) ([]string, error) {
	const op = "list agent labels"
	var out struct {
		Data []struct {
			Label string `json:"label"`
		} `json:"data"`
	}
	err := c.getJSON(ctx, op, "/labelsdashboard/labelsData", nil, &out)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	list := []string{}
	for _, entry := range out.Data {
		list = append(list, entry.Label)
	}
	if err != nil {
		computers, err := c.Computers(ctx)
		if err != nil {
			return nil, err
		}
		for _, node := range computers.Nodes {
			for _, label := range node.Labels {
				// Each node has its own name as a label, of which nothing is to be learned.
				if label != node.Name {
					list = append(list, label)
				}
			}
		}
	}
	slices.Sort(list)
	list = slices.Compact(list)
	return slices.DeleteFunc(list, func(label string) bool { return label == "" }), nil
}
