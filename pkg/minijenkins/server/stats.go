// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"net/http"
	"strings"
)

// overallLoad has the shape of Jenkins' statistics. There are no executors to count, so all of them are 0.
func (s *Server) overallLoad(c *call) { s.loadStatistics(c, classOverallLoad) }

const classOverallLoad = "hudson.model.OverallLoadStatistics"

// loadSeries are the time scales of Jenkins' statistics with the lengths of their histories.
var loadSeries = []struct {
	name string
	n    int
}{{"hour", 1}, {"min", 3}, {"sec10", 15}}

func (s *Server) loadStatistics(c *call, class string) {
	if !c.isAPI() {
		fail404(c.w)
		return
	}
	o := bean(class)
	names := []string{"availableExecutors", "busyExecutors", "connectingExecutors", "definedExecutors", "idleExecutors",
		"onlineExecutors", "queueLength", "totalExecutors"}
	if class == classOverallLoad {
		names = append(names, "totalQueueLength")
	}
	for _, n := range names {
		series := bean("")
		for _, scale := range loadSeries {
			series.set(scale.name, bean("").set("history", make([]float64, scale.n)).set("latest", 0.0))
		}
		o.set(n, series)
	}
	show(c.w, c.r, o)
}

// suggest serves /search/suggest: the items whose names hold a text.
func (s *Server) suggest(c *call) {
	if c.rest() != "suggest" {
		fail404(c.w)
		return
	}
	type suggestion struct {
		Group string `json:"group"`
		Icon  string `json:"icon"`
		Name  string `json:"name"`
		Type  string `json:"type"`
		URL   string `json:"url"`
	}
	const most = 20
	query := strings.ToLower(c.r.URL.Query().Get("query"))
	found := []suggestion{}
	var walk func(up *item)
	walk = func(up *item) {
		for _, it := range up.children() {
			if query != "" && len(found) < most && strings.Contains(strings.ToLower(it.displayName()), query) {
				found = append(found, suggestion{"Items", "", fullDisplayName(it), "symbol", it.path()})
			}
			walk(it)
		}
	}
	s.mu.RLock()
	walk(s.root)
	s.mu.RUnlock()
	body, err := json.Marshal(map[string]any{"_class": "hudson.search.Search$Result", "suggestions": found})
	if err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	writePage(c.w, http.StatusOK, typeJSON, string(body))
}
