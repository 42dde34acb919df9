// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// mainScript finds the changed Jenkinsfile in the form of a replay.
func mainScript(jsonField, field string) string {
	var f struct {
		MainScript string `json:"mainScript"`
	}
	if json.Unmarshal([]byte(jsonField), &f) == nil && f.MainScript != "" {
		return f.MainScript
	}
	return field
}

// again says how a build is run again.
type again struct {
	user string
	// script replaces its Jenkinsfile if it is not empty.
	script string
	// rebuild says that it is to be called a rebuild.
	rebuild bool
	// stage is the first one that is run, empty for all.
	stage string
}

// runAgain queues a build again with its parameters.
func (s *Server) runAgain(it *item, b *store.Build, a again) (*store.QueueItem, error) {
	if a.script == "" {
		var err error
		if a.script, err = s.store.Script(b.Key()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("replay: %w", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.items[it.ID] != it || it.cfg.disabled {
		return nil, errors.New("replay: the job cannot be built")
	}
	if a.stage != "" && it.triggers().NoRestart {
		return nil, errors.New("the option disableRestartFromStage of the job keeps it from beginning at a stage")
	}
	q, _, err := s.enqueue(start{job: it, params: b.Params, cause: store.Cause{User: a.user}, script: a.script, stage: a.stage})
	if err != nil {
		return nil, err
	}
	changed := *q
	changed.Causes = append(changed.Causes, store.Cause{Replay: b.Number, Stage: a.stage, Rebuild: a.rebuild})
	if err := s.store.PutQueueItem(&changed); err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	*q = changed
	return q, nil
}
