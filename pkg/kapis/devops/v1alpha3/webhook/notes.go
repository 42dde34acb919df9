// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/jenkins/events"
)

// causePrefix followed by the UID of a run is the note of the cause of the run's build; the controller
// that starts builds has the same.
const causePrefix = "slipway-run:"

// notes writes events on the objects that they are about.
type notes struct {
	reader client.Reader
	client client.Client
	now    func() time.Time
}

// apply implements applier.
func (n *notes) apply(ctx context.Context, e *events.Event, final bool) error {
	run, ours, err := n.runOf(ctx, e)
	switch {
	case err != nil:
		return err
	case run != nil:
		return n.noteRun(ctx, run, events.NoteOf(e))
	case !final:
		return errLater
	case ours, e.Type == events.RunDeleted:
		return nil // the run is gone
	}
	return n.askForSync(ctx, e)
}

// runOf finds the run of the event's build, nil if there is none. ours says that the build was started
// for a run, be it there or not.
func (n *notes) runOf(ctx context.Context, e *events.Event) (run *devopsv1alpha3.PipelineRun, ours bool, err error) {
	for _, cause := range e.Causes {
		uid, ok := strings.CutPrefix(cause, causePrefix)
		if !ok || uid == "" {
			continue
		}
		ours = true
		found, err := n.find(ctx, e, index.RunUID, uid)
		if err != nil {
			return nil, ours, err
		}
		// Jenkins merges equal starts that wait, and a build has the causes of all of them then: it belongs
		// to the run that has the queue item.
		for i := range found {
			switch item := found[i].Annotations[devopsv1alpha3.QueueItemAnnotation]; {
			case len(e.Causes) == 1, item != "" && item == strconv.FormatInt(e.QueueItem, 10):
				return &found[i], true, nil
			}
		}
	}
	if e.QueueItem > 0 {
		found, err := n.find(ctx, e, index.RunQueueItem, strconv.FormatInt(e.QueueItem, 10))
		if err != nil || len(found) == 1 {
			return first(found), true, err
		}
	}
	number := strconv.FormatInt(e.Build, 10)
	found, err := n.find(ctx, e, index.RunBuild, index.BuildValue(e.Pipeline, e.Branch, number))
	if err != nil || len(found) == 1 {
		return first(found), true, err
	}
	return nil, ours, nil
}

func first(runs []devopsv1alpha3.PipelineRun) *devopsv1alpha3.PipelineRun {
	if len(runs) == 0 {
		return nil
	}
	return &runs[0]
}

// find gives the runs of the event's job that have the value. Numbers of queue items are the same for all
// tenants, and a user can write the annotations of a run: only a run of the very job counts.
func (n *notes) find(ctx context.Context, e *events.Event, field, value string) ([]devopsv1alpha3.PipelineRun, error) {
	list := &devopsv1alpha3.PipelineRunList{}
	if err := n.reader.List(ctx, list, client.InNamespace(e.Folder), client.MatchingFields{field: value}); err != nil {
		return nil, fmt.Errorf("find the run of a build: %w", err)
	}
	var found []devopsv1alpha3.PipelineRun
	for i := range list.Items {
		if run := &list.Items[i]; run.Namespace == e.Folder && isOf(run, e) {
			found = append(found, *run)
		}
	}
	return found, nil
}

// isOf tells if the run is one of the event's job, and does not belong to another build.
func isOf(run *devopsv1alpha3.PipelineRun, e *events.Event) bool {
	if run.Spec.PipelineRef == nil || run.Spec.PipelineRef.Name != e.Pipeline {
		return false
	}
	branch := ""
	if run.Spec.SCM != nil {
		branch = run.Spec.SCM.RefName
	}
	number := run.Annotations[devopsv1alpha3.JenkinsPipelineRunIDAnnotation]
	return branch == e.Branch && (number == "" || number == strconv.FormatInt(e.Build, 10))
}

// noteRun writes the event on the run if it is news: the run must be as it was when that was decided.
func (n *notes) noteRun(ctx context.Context, run *devopsv1alpha3.PipelineRun, note events.Note) error {
	live := false
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		if live {
			if err := n.client.Get(ctx, client.ObjectKeyFromObject(run), run); err != nil {
				return client.IgnoreNotFound(err)
			}
		}
		live = true
		known, _ := events.ParseNote(run.Annotations[devopsv1alpha3.JenkinsEventAnnotation])
		if run.Status.CompletionTime != nil || !run.DeletionTimestamp.IsZero() || !note.Follows(known) || isKnown(run, note) {
			return nil
		}
		return n.annotate(ctx, run, devopsv1alpha3.JenkinsEventAnnotation, note.String())
	})
}

// isKnown tells if the controller has found out by itself that the build has begun.
func isKnown(run *devopsv1alpha3.PipelineRun, note events.Note) bool {
	return note.Type.Live() && run.Status.Phase == devopsv1alpha3.Running && run.Annotations[devopsv1alpha3.JenkinsPipelineRunIDAnnotation] != ""
}

// askForSync asks the controller to look for builds of the pipeline that were not started here.
func (n *notes) askForSync(ctx context.Context, e *events.Event) error {
	pipeline := &devopsv1alpha3.Pipeline{}
	err := n.reader.Get(ctx, client.ObjectKey{Namespace: e.Folder, Name: e.Pipeline}, pipeline)
	switch {
	case apierrors.IsNotFound(err):
		return nil // a job that is not ours
	case err != nil:
		return fmt.Errorf("find the pipeline of a build: %w", err)
	}
	pipeline.ResourceVersion = "" // what else changed does not matter
	return n.annotate(ctx, pipeline, devopsv1alpha3.PipelineRequestToSyncRunsAnnotation, n.now().UTC().Format(time.RFC3339Nano))
}

// annotate writes one annotation. With a resource version it fails with a conflict if the object has
// changed.
func (n *notes) annotate(ctx context.Context, obj client.Object, key, value string) error {
	metadata := map[string]any{"annotations": map[string]string{key: value}}
	if version := obj.GetResourceVersion(); version != "" {
		metadata["resourceVersion"] = version
	}
	patch, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return fmt.Errorf("write annotation: %w", err)
	}
	return client.IgnoreNotFound(n.client.Patch(ctx, obj, client.RawPatch(types.MergePatchType, patch)))
}
