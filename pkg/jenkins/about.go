// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"context"
	"net/http"
	"net/url"
)

// Identity is who Jenkins takes the client for.
type Identity struct {
	// Name is the user, "anonymous" without a login.
	Name string `json:"name"`
	// Anonymous is true without a login.
	Anonymous bool `json:"anonymous"`
	// Authorities are the groups of the user.
	Authorities []string `json:"authorities"`
}

// WhoAmI returns who Jenkins takes the client for. It needs no permission.
func (c *Client) WhoAmI(ctx context.Context) (*Identity, error) {
	out := &Identity{}
	if err := c.getJSON(ctx, "ask who I am", "/whoAmI/api/json", nil, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Plugins returns the active plugins by their short names, with their versions. A user without Overall/SystemRead may not see them: ErrForbidden.
func (c *Client) Plugins(ctx context.Context) (map[string]string, error) {
	var out struct {
		Plugins []struct {
			Name    string `json:"shortName"`
			Version string `json:"version"`
			Active  bool   `json:"active"`
		} `json:"plugins"`
	}
	query := url.Values{"tree": {"plugins[shortName,version,active]"}}
	if err := c.getJSON(ctx, "list plugins", "/pluginManager/api/json", query, &out); err != nil {
		return nil, err
	}
	list := map[string]string{}
	for _, p := range out.Plugins {
		if p.Active {
			list[p.Name] = p.Version
		}
	}
	return list, nil
}

// FindCloud reports by its error whether there is a cloud of that name whose templates the user may see: ErrNotFound, ErrForbidden.
func (c *Client) FindCloud(ctx context.Context, cloud string) error {
	const op = "look up cloud"
	p, err := cloudPath(op, cloud)
	if err != nil {
		return err
	}
	_, err = c.do(ctx, call{op: op, method: http.MethodGet, path: p + "/"})
	return err
}

// TopItems returns the names of the jobs and folders that are in no folder.
func (c *Client) TopItems(ctx context.Context) ([]string, error) {
	var out struct {
		Jobs []name `json:"jobs"`
	}
	if err := c.getJSON(ctx, "list the top items", "/api/json", url.Values{"tree": {"jobs[name]"}}, &out); err != nil {
		return nil, err
	}
	return names(out.Jobs), nil
}
