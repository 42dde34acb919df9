// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/runs"
	"github.com/slipway-dev/slipway/pkg/sealing"
)

// StartRequest is the body that starts a run. It may be left out.
type StartRequest struct {
	// Parameters are the values of the run; others take their defaults.
	Parameters []devopsv1alpha3.Parameter `json:"parameters,omitempty"`
}

// startBody is StartRequest as consoles send it: when many pipelines are started at once, the values are the
// defaults as Jenkins shows them, so that one may be no text or not be there.
type startBody struct {
	Parameters []InputValue `json:"parameters"`
}

// request makes texts of the values. One that is not there is left out, as is an empty one where it cannot be
// meant: forms that nobody touched send it.
func (b startBody) request(defined map[string]definition) (StartRequest, error) {
	var out StartRequest
	for _, v := range b.Parameters {
		if v.Value == nil {
			continue
		}
		text, err := textOf(v)
		if err != nil {
			return out, err
		}
		if d := defined[v.Name]; text == "" && d.check(devopsv1alpha3.Parameter{Name: v.Name}) != "" {
			continue
		}
		out.Parameters = append(out.Parameters, devopsv1alpha3.Parameter{Name: v.Name, Value: text})
	}
	return out, nil
}

// branchJob gives the name of a branch's job in Jenkins for the branch of a query, which may have its own name: that
// has no percent sign where a job's has one.
func branchJob(branch string) string {
	if strings.Contains(branch, "%") {
		return branch
	}
	return jenkins.BranchJobName(branch)
}

// maxNamed bounds how many names a message lists.
const maxNamed = 20

// newRun makes the run of a pipeline, with a copy of its spec. The branch is Jenkins' name of a branch
// job, for multi-branch pipelines.
func newRun(pipeline *devopsv1alpha3.Pipeline, body StartRequest, branch, user string) (*devopsv1alpha3.PipelineRun, error) {
	if !pipeline.DeletionTimestamp.IsZero() {
		return nil, response.NewStatus(http.StatusConflict, metav1.StatusReasonConflict, fmt.Sprintf("pipeline %q is being deleted", pipeline.Name))
	}
	scm, err := scmOf(pipeline, branchJob(branch))
	if err != nil {
		return nil, err
	}
	run := runs.New(pipeline)
	run.GenerateName = pipeline.Name + "-"
	run.Annotations[devopsv1alpha3.PipelineRunCreatorAnnotation] = user
	run.Spec.Parameters, run.Spec.SCM = body.Parameters, scm
	return run, nil
}

func scmOf(pipeline *devopsv1alpha3.Pipeline, branch string) (*devopsv1alpha3.SCM, error) {
	multiBranch := pipeline.Spec.Type == devopsv1alpha3.MultiBranchPipelineType
	switch {
	case multiBranch && branch == "":
		return nil, apierrors.NewBadRequest(fmt.Sprintf("pipeline %q has branches: name one in the query, ?branch=main", pipeline.Name))
	case !multiBranch && branch != "":
		return nil, apierrors.NewBadRequest(fmt.Sprintf("pipeline %q has no branches; leave ?branch out", pipeline.Name))
	case branch == "":
		return nil, nil
	}
	kind := devopsv1alpha3.Branch
	switch {
	case strings.HasPrefix(branch, "PR-"):
		kind = devopsv1alpha3.PullRequest
	case strings.HasPrefix(branch, "MR-"):
		kind = devopsv1alpha3.MergeRequest
	}
	return &devopsv1alpha3.SCM{RefType: kind, RefName: branch}, nil
}

// definition is what a pipeline says about one of its parameters.
type definition struct {
	kind    string
	choices []string
}

// definitionsOf gives the parameters of a pipeline. Complete is false where Jenkins alone knows all of
// them: those of scripted pipelines and of the Jenkinsfiles in branches.
func definitionsOf(pipeline *devopsv1alpha3.Pipeline, parse func(string) (*jenkinsfile.Pipeline, error)) (defined map[string]definition, complete bool) {
	defined = map[string]definition{}
	spec := pipeline.Spec.Pipeline
	if spec == nil {
		return defined, false
	}
	for _, p := range spec.Parameters {
		d := definition{kind: p.Type}
		if p.Type == string(jenkinsfile.ParameterChoice) {
			d.choices = strings.Split(strings.TrimRight(p.DefaultValue, "\n"), "\n")
		}
		defined[p.Name] = d
	}
	if spec.Source != nil {
		return defined, false
	}
	if parse == nil {
		return defined, len(defined) > 0
	}
	parsed, err := parse(spec.Jenkinsfile)
	if err != nil {
		return defined, false
	}
	// The parameters of the Jenkinsfile replace those of the job with its first run.
	for _, p := range parsed.Parameters() {
		if _, ok := defined[p.Name]; !ok {
			defined[p.Name] = definition{kind: string(p.Type), choices: p.Choices}
		}
	}
	return defined, true
}

// checkParameters refuses values that Jenkins would drop in silence: the user would get another run
// than the one that was asked for.
func checkParameters(pipeline *devopsv1alpha3.Pipeline, values []devopsv1alpha3.Parameter, defined map[string]definition, complete bool) error {
	seen := map[string]bool{}
	var unknown, problems []string
	for _, value := range values {
		d, known := defined[value.Name]
		switch {
		case seen[value.Name]:
			problems = append(problems, fmt.Sprintf("parameter %s is given twice", quote(value.Name)))
		case !known && complete:
			unknown = append(unknown, quote(value.Name))
		case known:
			if problem := d.check(value); problem != "" {
				problems = append(problems, problem)
			}
		}
		seen[value.Name] = true
	}
	if len(unknown) > 0 {
		problems = append(problems, fmt.Sprintf("pipeline %q does not define %s; %s", pipeline.Name, some(unknown), named(defined)))
	}
	if len(problems) > 0 {
		return apierrors.NewBadRequest(some(problems))
	}
	return nil
}

// check says what is wrong with a value. The value itself is not repeated unless it should be one of
// few: it may be a secret.
func (d definition) check(value devopsv1alpha3.Parameter) string {
	switch d.kind {
	case string(jenkinsfile.ParameterPassword):
		if value.Value == sealing.Mask || sealing.Sealed(value.Value) {
			return fmt.Sprintf("parameter %s is a password, which cannot be read back: what a run shows is not the value; give it", quote(value.Name))
		}
	case string(jenkinsfile.ParameterBoolean):
		if value.Value != "true" && value.Value != "false" {
			return fmt.Sprintf("parameter %s must be true or false", quote(value.Name))
		}
	case string(jenkinsfile.ParameterChoice):
		if len(d.choices) > 0 && !slices.Contains(d.choices, value.Value) {
			quoted := make([]string, len(d.choices))
			for i, choice := range d.choices {
				quoted[i] = quote(choice)
			}
			return fmt.Sprintf("parameter %s must be one of %s", quote(value.Name), some(quoted))
		}
	case string(jenkinsfile.ParameterFile):
		return fmt.Sprintf("parameter %s is a file, which Jenkins does not hand to a Pipeline: store the file in the repository or an object store, or leave the parameter out", quote(value.Name))
	}
	return ""
}

// sealPasswords hides the values of passwords before the run is stored.
func (h *Handler) sealPasswords(pipeline *devopsv1alpha3.Pipeline, run *devopsv1alpha3.PipelineRun, defined map[string]definition) error {
	if h.sources.Sealer == nil || len(run.Spec.Parameters) == 0 {
		return nil
	}
	run.Spec.Parameters = slices.Clone(run.Spec.Parameters)
	for i := range run.Spec.Parameters {
		p := &run.Spec.Parameters[i]
		if defined[p.Name].kind != string(jenkinsfile.ParameterPassword) {
			continue
		}
		sealed, err := h.sources.Sealer.Seal(sealing.Place{Namespace: pipeline.Namespace, Pipeline: pipeline.Name, Parameter: p.Name}, p.Value)
		if err != nil {
			return apierrors.NewBadRequest(fmt.Sprintf("parameter %s: %v", quote(p.Name), err))
		}
		p.Value = sealed
	}
	return nil
}

func named(defined map[string]definition) string {
	if len(defined) == 0 {
		return "it defines no parameters"
	}
	names := make([]string, 0, len(defined))
	for name := range defined {
		names = append(names, quote(name))
	}
	slices.Sort(names)
	return "it defines " + some(names)
}

// some joins texts and leaves out what is too much for a message.
func some(texts []string) string {
	if more := len(texts) - maxNamed; more > 0 {
		return strings.Join(texts[:maxNamed], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(texts, ", ")
}

func quote(text string) string {
	if len(text) > 100 {
		text = strings.ToValidUTF8(text[:100], "") + "…"
	}
	return strconv.Quote(text)
}

// setAction takes the action from what a client sent, and refuses every other change of the spec.
func setAction(run, sent *devopsv1alpha3.PipelineRun) error {
	if sent.Name != "" && sent.Name != run.Name || sent.Namespace != "" && sent.Namespace != run.Namespace {
		return apierrors.NewBadRequest("metadata names another object than the address")
	}
	if version := sent.ResourceVersion; version != "" && version != run.ResourceVersion {
		return response.NewStatus(http.StatusConflict, metav1.StatusReasonConflict, fmt.Sprintf(
			"pipelinerun %q was changed since you read it (you sent resourceVersion %s): GET it again and PUT it, or leave resourceVersion out", run.Name, version))
	}
	want := run.Spec.DeepCopy()
	want.Action = sent.Spec.Action
	onlyAction := equality.Semantic.DeepEqual(sent.Spec, devopsv1alpha3.PipelineRunSpec{Action: sent.Spec.Action})
	if !onlyAction && !equality.Semantic.DeepEqual(*want, sent.Spec) {
		return apierrors.NewBadRequest("only spec.action of a run can be changed; start another run instead")
	}
	if sent.Spec.Action == nil {
		return apierrors.NewBadRequest("spec.action: give Stop, Pause or Resume")
	}
	run.Spec.Action = sent.Spec.Action
	return nil
}
