// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/pkg/apiclient"
	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/up"
)

// Times are those of several dev containers.
type Times struct {
	// Each is the time from create to ready, in the order of creation.
	Each []time.Duration
	// Median and Max are of Each.
	Median, Max time.Duration
}

// TimeDevContainers makes count dev containers one after another in a project of their own and
// measures each from the create call to status.ready. The image is on the node already.
func TimeDevContainers(ctx context.Context, session *Session, state *up.State, count int) (times *Times, err error) {
	project := "bench-" + strings.ToLower(rand.Text()[:8])
	if err := session.CreateProject(ctx, project); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, session.DeleteProject(context.WithoutCancel(ctx), project)) }()
	times = &Times{}
	for i := range count {
		took, err := session.timeDevContainer(ctx, project, fmt.Sprintf("bench-%d", i), state.DevImage)
		if err != nil {
			return nil, err
		}
		times.Each = append(times.Each, took)
	}
	sorted := slices.Sorted(slices.Values(times.Each))
	times.Median, times.Max = sorted[len(sorted)/2], sorted[len(sorted)-1]
	return times, nil
}

func (s *Session) timeDevContainer(ctx context.Context, namespace, name, image string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	path := devcontainerAPI + "/namespaces/" + namespace + "/devcontainerapps"
	stream, err := s.API.Stream(ctx, apiclient.Request{Path: path, Query: url.Values{"watch": {"true"}}, Timeout: -1})
	if err != nil {
		return 0, fmt.Errorf("watch dev containers: %w", err)
	}
	defer func() { _ = stream.Close() }()
	app := devcontainerv1.DevcontainerApp{}
	app.Name = name
	app.Spec.StatefulSet.Image = image
	began := time.Now()
	if err := s.API.Do(ctx, apiclient.Request{Method: http.MethodPost, Path: path, Object: app}, nil); err != nil {
		return 0, fmt.Errorf("create %s: %w", name, err)
	}
	decoder := json.NewDecoder(stream)
	for {
		var event struct {
			Object devcontainerv1.DevcontainerApp `json:"object"`
		}
		if err := decoder.Decode(&event); err != nil {
			return 0, fmt.Errorf("wait for %s: %w", name, err)
		}
		if event.Object.Name == name && event.Object.Status.Ready {
			return time.Since(began), nil
		}
	}
}
