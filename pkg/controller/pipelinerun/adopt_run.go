// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/reconcile"
	"github.com/slipway-dev/slipway/pkg/runs"
)

// Bounds of what is copied from a build into a run.
const (
	maxAdoptedParameters = 256
	maxAdoptedName       = 253
	maxAdoptedValue      = 64 << 10
	maxAdoptedCreator    = 256
	// maxBaseName leaves room for the number of the build and a hash: a name has at most 253 bytes.
	maxBaseName = 200
)

// triggers tells from the class of a cause what started a build.
var triggers = map[string]string{
	"TimerTriggerCause":     "timer",
	"SCMTriggerCause":       "scm",
	"BranchIndexingCause":   "scm",
	"BranchEventCause":      "webhook",
	"GenericCause":          "webhook",
	"GitHubPushCause":       "webhook",
	"GitLabWebHookCause":    "webhook",
	"UpstreamCause":         "upstream",
	"BuildUpstreamCause":    "upstream",
	"RemoteCause":           "remote",
	"ReplayCause":           "replay",
	"RestartFromStageCause": "replay",
	"UserIdCause":           "jenkins",
}

// startedHere tells if a build carries the note of a run, even of one that is gone.
func startedHere(build *jenkins.StartedBuild) bool {
	return slices.ContainsFunc(build.Causes, func(c jenkins.StartCause) bool { return strings.HasPrefix(c.Note, CausePrefix) })
}

// create makes the run of a build. Its number stands in it from the beginning, so it is never started.
func (p *adoption) create(ctx context.Context, branch string, build *jenkins.StartedBuild) error {
	run := p.adopted(branch, build)
	for _, name := range []string{adoptedName(p.pipeline.Name, branch, build.Number), otherName(p.pipeline.Name, branch, build)} {
		run.Name, run.ResourceVersion = name, ""
		err := p.Client.Create(ctx, run)
		if refused(err) {
			// All parameters together may be too large, and the pipeline older than a rule that it breaks. Neither is needed to follow a build.
			run.Spec.PipelineSpec, run.Spec.Parameters = nil, nil
			err = p.Client.Create(ctx, run)
		}
		switch {
		case refused(err):
			// No other try changes that, and others wait behind it.
			p.Recorder.Eventf(p.pipeline, nil, corev1.EventTypeWarning, "NotAdopted", "Adopt",
				"build %d of %s/%s, which was started in Jenkins, cannot be a run: %v", build.Number, p.pipeline.Namespace, jobPathOf(p.pipeline, branch), err)
			return nil
		case err == nil:
			p.Recorder.Eventf(p.pipeline, run, corev1.EventTypeNormal, "Adopted", "Adopt",
				"build %d of %s/%s, which was started in Jenkins, is run %s", build.Number, p.pipeline.Namespace, jobPathOf(p.pipeline, branch), name)
			return nil
		case !apierrors.IsAlreadyExists(err):
			return fmt.Errorf("create run %s: %w", name, err)
		}
		// Another attempt may have made it. Else the name is that of a run that a user named so.
		existing := &devopsv1alpha3.PipelineRun{}
		err = p.Reader.Get(ctx, client.ObjectKey{Namespace: run.Namespace, Name: name}, existing)
		switch {
		case err == nil && branchOf(existing) == branch && hasBuild(existing, build):
			return nil
		case client.IgnoreNotFound(err) != nil:
			return fmt.Errorf("get run %s: %w", name, err)
		}
	}
	return fmt.Errorf("the names for a run of build %d are taken", build.Number)
}

// refused tells if Kubernetes does not take an object as it is.
func refused(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsRequestEntityTooLargeError(err)
}

// adopted is the run of a build, without its name.
func (p *adoption) adopted(branch string, build *jenkins.StartedBuild) *devopsv1alpha3.PipelineRun {
	run := &devopsv1alpha3.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: p.pipeline.Namespace,
			Labels:    map[string]string{devopsv1alpha3.PipelineNameLabel: reconcile.LabelValue(p.pipeline.Name)},
			Annotations: map[string]string{
				devopsv1alpha3.JenkinsPipelineRunIDAnnotation: strconv.FormatInt(build.Number, 10),
				devopsv1alpha3.PipelineRunTriggerAnnotation:   triggerOf(build),
			},
			Finalizers: []string{devopsv1alpha3.PipelineRunFinalizer},
			OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(p.pipeline, devopsv1alpha3.GroupVersion.WithKind(devopsv1alpha3.PipelineKind)),
			},
		},
		Spec: devopsv1alpha3.PipelineRunSpec{
			PipelineRef: &corev1.ObjectReference{
				APIVersion: devopsv1alpha3.GroupVersion.String(), Kind: devopsv1alpha3.PipelineKind,
				Namespace: p.pipeline.Namespace, Name: p.pipeline.Name, UID: p.pipeline.UID,
			},
			PipelineSpec: p.pipeline.Spec.DeepCopy(),
			Parameters:   adoptedParameters(build.Parameters),
		},
	}
	runs.WithoutPasswords(run.Spec.PipelineSpec)
	if build.QueueID > 0 {
		run.Annotations[devopsv1alpha3.QueueItemAnnotation] = strconv.FormatInt(build.QueueID, 10)
	}
	for _, cause := range build.Causes {
		if cause.UserID != "" {
			run.Annotations[devopsv1alpha3.PipelineRunCreatorAnnotation] = shortenedTo(cause.UserID, maxAdoptedCreator)
		}
	}
	if branch != "" {
		run.Spec.SCM = &devopsv1alpha3.SCM{RefType: refTypeOf(branch), RefName: branch}
	}
	controllerutil.AddFinalizer(run, devopsv1alpha3.PipelineRunFinalizer)
	return run
}

// triggerOf tells what started a build. A replay is started by a user, too, and is told by its own cause.
func triggerOf(build *jenkins.StartedBuild) string {
	trigger := "jenkins"
	for _, cause := range build.Causes {
		if found := triggers[cause.Class]; found != "" && (trigger == "jenkins" || found == "replay") {
			trigger = found
		}
	}
	return trigger
}

// adoptedParameters leaves out what does not fit into a run. Jenkins gives no value of a password.
func adoptedParameters(values []jenkins.Parameter) (out []devopsv1alpha3.Parameter) {
	for _, v := range values {
		if v.Name == "" || len(v.Name) > maxAdoptedName || len(v.Value) > maxAdoptedValue || len(out) == maxAdoptedParameters {
			continue
		}
		out = append(out, devopsv1alpha3.Parameter{Name: v.Name, Value: v.Value})
	}
	return out
}

func refTypeOf(branch string) devopsv1alpha3.RefType {
	switch {
	case strings.HasPrefix(branch, "PR-"):
		return devopsv1alpha3.PullRequest
	case strings.HasPrefix(branch, "MR-"):
		return devopsv1alpha3.MergeRequest
	}
	return devopsv1alpha3.Branch
}

// adoptedName is the name of the run of a build: <pipeline>-<build>, with the branch between if there is
// one, spelled as a name can be.
func adoptedName(pipeline, branch string, build int64) string {
	return baseName(pipeline, branch) + "-" + strconv.FormatInt(build, 10)
}

// otherName is taken if the first one is: it has the start of the build in its hash, so that a job that was
// made anew has names for its builds, too.
func otherName(pipeline, branch string, build *jenkins.StartedBuild) string {
	return adoptedName(pipeline, branch, build.Number) + "-" + shortHash(fmt.Sprintf("%s/%s#%d@%d", pipeline, branch, build.Number, build.Start.UnixMilli()))
}

func baseName(pipeline, branch string) string {
	name := pipeline
	if branch != "" {
		// Two branches may be spelled alike: the hash tells them apart.
		name = fitted(strings.Trim(pipeline+"-"+strings.Map(nameRune, branch), "-"), maxBaseName) + "-" + shortHash(branch)
	}
	return fitted(name, maxBaseName+9)
}

// nameRune spells a letter of a branch so that it can stand in a name.
func nameRune(r rune) rune {
	switch {
	case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
		return r
	case r >= 'A' && r <= 'Z':
		return r - 'A' + 'a'
	}
	return '-'
}

func fitted(name string, limit int) string {
	if len(name) <= limit {
		return name
	}
	return reconcile.Shorten(name, limit)
}

func shortHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:4])
}
