// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/emicklei/go-restful/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/lru"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

const (
	// stagesAge is how old the stages of a running build may be that are shown: however many look at
	// them, Jenkins is asked no more often.
	stagesAge = time.Second
	// stagesTimeout bounds the question.
	stagesTimeout = 20 * time.Second
	// stagesBuilds is how many builds that somebody looks at are remembered.
	stagesBuilds = 256
)

// StageSource gives the stages of builds that Jenkins still has. Errors are those of pkg/jenkins.
type StageSource interface {
	// ReadStages gives the stages of a build with their steps, and asks only for those that are not known.
	ReadStages(ctx context.Context, build Build, known *jenkins.KnownStages) ([]jenkins.Stage, error)
}

// liveStages reads the stages of running builds when somebody looks at them. Those who look at the same
// time share an answer.
type liveStages struct {
	source StageSource
	builds *lru.Cache
	mu     sync.Mutex
}

// watchedBuild is a build that somebody looks at.
type watchedBuild struct {
	// reading is held by who asks Jenkins.
	reading chan struct{}
	known   jenkins.KnownStages
	stages  []jenkins.Stage
	at      time.Time
}

func newLiveStages(source StageSource) *liveStages {
	return &liveStages{source: source, builds: lru.New(stagesBuilds)}
}

func (l *liveStages) of(uid string, build Build) *watchedBuild {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := uid + "#" + strconv.FormatInt(build.Number, 10)
	if found, ok := l.builds.Get(key); ok {
		return found.(*watchedBuild)
	}
	w := &watchedBuild{reading: make(chan struct{}, 1)}
	l.builds.Add(key, w)
	return w
}

// read gives the stages of a build; they must not be changed.
func (l *liveStages) read(ctx context.Context, uid string, build Build) ([]jenkins.Stage, error) {
	w := l.of(uid, build)
	select {
	case w.reading <- struct{}{}:
		defer func() { <-w.reading }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if time.Since(w.at) < stagesAge {
		return w.stages, nil
	}
	// Others wait for the answer, too.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stagesTimeout)
	defer cancel()
	stages, err := l.source.ReadStages(ctx, build, &w.known)
	if err != nil {
		return nil, err
	}
	w.stages, w.at = stages, time.Now()
	return stages, nil
}

// Stages answers with the stages of a run and their steps: a list, without an envelope. Those of a running
// build are Jenkins'; if it does not answer, and once the run has ended, they are those that the
// controller wrote.
func (h *Handler) Stages(req *restful.Request, resp *restful.Response) error {
	run, err := h.run(req)
	if err != nil {
		return err
	}
	if build, known := h.buildOf(req.Request.Context(), run); known && !ended(run) && h.sources.Stages != nil {
		stages, err := h.live.read(req.Request.Context(), string(run.UID), build)
		if err == nil {
			return h.showStages(req, resp, stages)
		}
		if errors.Is(err, context.Canceled) {
			return err
		}
	}
	return h.keptStages(req, resp, run)
}

// keptStages answers with what the controller wrote, and how old that is. It is in a ConfigMap of the
// run's own name, which is read when somebody looks at it: a cache of all ConfigMaps would be larger than
// everything else.
func (h *Handler) keptStages(req *restful.Request, resp *restful.Response, run *devopsv1alpha3.PipelineRun) error {
	kept := &corev1.ConfigMap{}
	err := h.deps.Store.GetLive(req.Request.Context(), run.Namespace, run.Name, kept)
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	text := kept.Data[devopsv1alpha3.StageConfigMapKey]
	if text == "" {
		text = "[]"
	}
	raw, stages := []json.RawMessage{}, []jenkins.Stage{}
	if json.Unmarshal([]byte(text), &raw) != nil || json.Unmarshal([]byte(text), &stages) != nil {
		return fmt.Errorf("read stages of %s/%s: %w", run.Namespace, run.Name, errors.New("the ConfigMap holds no list of stages"))
	}
	if ended(run) || h.sources.Stages == nil {
		response.Write(resp.ResponseWriter, req.Request, http.StatusOK, raw)
		return nil
	}
	if run.Status.UpdateTime != nil {
		age := max(0, time.Since(run.Status.UpdateTime.Time))
		resp.Header().Set("Age", strconv.Itoa(int(age/time.Second)))
	}
	if resp.Header().Get("Warning") == "" {
		resp.Header().Set("Warning", fmt.Sprintf("110 slipway %q", "Jenkins does not show the stages now; these are from before"))
	}
	return h.showStages(req, resp, stages)
}

// showStages says which inputs the user who asks may answer.
func (h *Handler) showStages(req *restful.Request, resp *restful.Response, stages []jenkins.Stage) error {
	var who *submitter
	shown := append([]jenkins.Stage{}, stages...)
	for i := range shown {
		steps := append([]jenkins.Step{}, shown[i].Steps...)
		for j := range steps {
			if steps[j].Input == nil || steps[j].State != jenkins.StatePaused {
				continue
			}
			var err error
			if who == nil {
				if who, err = h.submitter(req); err != nil {
					return err
				}
			}
			if steps[j].Approvable, err = who.may(req.Request.Context(), steps[j].Input.Submitter); err != nil {
				return err
			}
		}
		shown[i].Steps = steps
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, shown)
	return nil
}
