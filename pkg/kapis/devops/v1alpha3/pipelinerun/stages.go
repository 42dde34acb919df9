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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

// Stage is a stage as it is shown.
type Stage struct {
	jenkins.Stage
	// Steps are those of the stage.
	Steps []Step `json:"steps"`
}

// Step is a step as it is shown.
type Step struct {
	jenkins.Step
	// Deadline is when the input that the step waits at is aborted, if it has a deadline.
	Deadline *metav1.Time `json:"deadline,omitempty"`
	// Answer is how the input of the step was answered, if it was here.
	Answer *devopsv1alpha3.Approval `json:"answer,omitempty"`
}

// Stages answers with the stages of a run and their steps: a list, without an envelope.
func (h *Handler) Stages(req *restful.Request, resp *restful.Response) error {
	run, err := h.run(req)
	if err != nil {
		return err
	}
	stages, err := h.ShowStages(req, resp, run)
	if err != nil {
		return err
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, stages)
	return nil
}

// ShowStages gives the stages of a run as the user who asks sees them. Headers of the answer say so if
// they are old.
func (h *Handler) ShowStages(req *restful.Request, resp *restful.Response, run *devopsv1alpha3.PipelineRun) ([]Stage, error) {
	found, err := h.readStages(req.Request.Context(), run)
	if err != nil {
		return nil, err
	}
	if found.old {
		if run.Status.UpdateTime != nil {
			age := max(0, time.Since(run.Status.UpdateTime.Time))
			resp.Header().Set("Age", strconv.Itoa(int(age/time.Second)))
		}
		if resp.Header().Get("Warning") == "" {
			resp.Header().Set("Warning", fmt.Sprintf("110 slipway %q", "Jenkins does not show the stages now; these are from before"))
		}
	}
	return h.show(req.Request.Context(), run, found.stages)
}

// stageList are the stages of a run.
type stageList struct {
	stages []jenkins.Stage
	// old is true if Jenkins has newer ones that it does not show.
	old bool
}

// find gives a step. Of a stage whose steps were too many to be kept any is taken for known.
func (l stageList) find(node, step string) (jenkins.Step, bool) {
	for _, stage := range l.stages {
		if stage.ID != node {
			continue
		}
		for _, s := range stage.Steps {
			if s.ID == step {
				return s, true
			}
		}
		return jenkins.Step{ID: step, State: stage.State}, len(stage.Steps) == 0
	}
	return jenkins.Step{}, false
}

// readStages gives the stages of a run and their steps. Those of a running build are Jenkins'; if it does
// not answer, and once the run has ended, they are those that the controller wrote.
func (h *Handler) readStages(ctx context.Context, run *devopsv1alpha3.PipelineRun) (stageList, error) {
	if build, known := h.buildOf(ctx, run); known && !ended(run) && h.sources.Stages != nil {
		stages, err := h.live.read(ctx, string(run.UID), build)
		if err == nil {
			return stageList{stages: stages}, nil
		}
		if errors.Is(err, context.Canceled) {
			return stageList{}, err
		}
	}
	stages, err := h.keptStages(ctx, run)
	return stageList{stages: stages, old: !ended(run) && h.sources.Stages != nil}, err
}

// keptStages gives what the controller wrote. It is in a ConfigMap of the run's own name, which is read
// when somebody looks at it: a cache of all ConfigMaps would be larger than everything else.
func (h *Handler) keptStages(ctx context.Context, run *devopsv1alpha3.PipelineRun) ([]jenkins.Stage, error) {
	kept := &corev1.ConfigMap{}
	err := h.deps.Store.GetLive(ctx, run.Namespace, run.Name, kept)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	stages := []jenkins.Stage{}
	text := kept.Data[devopsv1alpha3.StageConfigMapKey]
	if text == "" {
		return stages, nil
	}
	if json.Unmarshal([]byte(text), &stages) != nil {
		return nil, fmt.Errorf("read stages of %s/%s: %w", run.Namespace, run.Name, errors.New("the ConfigMap holds no list of stages"))
	}
	return stages, nil
}

// show adds to the stages what Jenkins does not know: which inputs the user who asks may answer, until
// when, and how others were answered. The stages are not changed.
func (h *Handler) show(ctx context.Context, run *devopsv1alpha3.PipelineRun, stages []jenkins.Stage) ([]Stage, error) {
	answers := map[[2]string]*devopsv1alpha3.Approval{}
	for _, a := range devopsv1alpha3.Approvals(run) {
		answers[[2]string{a.Node, a.Step}] = &a
	}
	judge := h.judge(run)
	shown := make([]Stage, 0, len(stages))
	for _, stage := range stages {
		if stage.Edges == nil {
			stage.Edges = []jenkins.Edge{} // consoles read it without a look
		}
		out := Stage{Stage: stage, Steps: make([]Step, 0, len(stage.Steps))}
		for _, step := range stage.Steps {
			own := Step{Step: step, Answer: answers[[2]string{stage.ID, step.ID}]}
			if step.Input != nil && step.State == jenkins.StatePaused && !ended(run) {
				var err error
				if own.Approvable, own.Deadline, err = judge.of(ctx, step); err != nil {
					return nil, err
				}
				own.Answer = nil // that of an earlier attempt
			}
			out.Steps = append(out.Steps, own)
		}
		shown = append(shown, out)
	}
	return shown, nil
}
