// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"encoding/json"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/reconcile"
	"github.com/slipway-dev/slipway/pkg/store"
)

// Java classes of Blue Ocean's views, by which clients tell the two kinds of pipelines apart.
const (
	classPipeline    = "io.jenkins.blueocean.rest.impl.pipeline.PipelineImpl"
	classMultiBranch = "io.jenkins.blueocean.rest.impl.pipeline.MultiBranchPipelineImpl"
	classBranch      = "io.jenkins.blueocean.rest.impl.pipeline.BranchImpl"
)

// organization is Jenkins' only one in Blue Ocean.
const organization = "jenkins"

// parameterSuffix ends the types of parameters in Jenkins.
const parameterSuffix = "ParameterDefinition"

// Item is what a pipeline and a branch have in common in Blue Ocean.
type Item struct {
	// Class is the Java class of Blue Ocean's view.
	Class string `json:"_class"`
	// Name is the name of the pipeline, of a branch that of its job: feature%2Fx.
	Name         string `json:"name"`
	DisplayName  string `json:"displayName"`
	FullName     string `json:"fullName"`
	Organization string `json:"organization"`
	Disabled     bool   `json:"disabled"`
	// WeatherScore is the share of good builds among the last ones, 0 to 100.
	WeatherScore int `json:"weatherScore"`
	// EstimatedMillis is the expected duration of a run in milliseconds, -1 if there is no estimate.
	EstimatedMillis int64 `json:"estimatedDurationInMillis"`
	// Parameters have Jenkins' long types, such as StringParameterDefinition.
	Parameters []jenkins.InputParameter `json:"parameters"`
	// Permissions are missing in lists.
	Permissions *Permissions `json:"permissions,omitempty"`
	// Annotations are those of the Pipeline that tell how it is synchronized and how it is called; branches have none.
	Annotations map[string]string `json:"annotations,omitempty"`
}

// shownAnnotations are the ones that consoles look for; others, such as the JSON of branches, may be large.
var shownAnnotations = []string{
	devopsv1alpha3.PipelineSyncStatusAnnotation, devopsv1alpha3.PipelineSyncTimeAnnotation, devopsv1alpha3.PipelineSyncMsgAnnotation,
	devopsv1alpha3.CreatorAnnotation, "kubesphere.io/alias-name", "kubesphere.io/description",
}

func annotationsOf(p *devopsv1alpha3.Pipeline) map[string]string {
	out := map[string]string{}
	for _, key := range shownAnnotations {
		if value, ok := p.Annotations[key]; ok {
			out[key] = value
		}
	}
	return out
}

// Permissions are what the user may do with a pipeline.
type Permissions struct {
	Read      bool `json:"read"`
	Start     bool `json:"start"`
	Stop      bool `json:"stop"`
	Create    bool `json:"create"`
	Configure bool `json:"configure"`
}

// Pipeline is a pipeline as Blue Ocean shows it.
type Pipeline struct {
	Item
	// LatestRun is the youngest run that Jenkins has taken, null without one.
	LatestRun *jenkins.Run `json:"latestRun"`

	// branches is set for a multi-branch pipeline.
	branches *Branches
}

// Answer is what is sent: a MultiBranchPipeline for one, else the pipeline.
func (p Pipeline) Answer() any {
	if p.branches == nil {
		return p
	}
	return MultiBranchPipeline{Pipeline: p, Branches: *p.branches}
}

// MultiBranchPipeline is a multi-branch pipeline as Blue Ocean shows it. A plain pipeline has none of the fields of Branches.
type MultiBranchPipeline struct {
	Pipeline
	Branches
}

// Branches is what only multi-branch pipelines have.
type Branches struct {
	NumberOfPipelines              int                `json:"numberOfPipelines" optional:"true"`
	NumberOfFolders                int                `json:"numberOfFolders" optional:"true"`
	PipelineFolderNames            []string           `json:"pipelineFolderNames" optional:"true"`
	BranchNames                    []string           `json:"branchNames" optional:"true"`
	TotalNumberOfBranches          int                `json:"totalNumberOfBranches" optional:"true"`
	TotalNumberOfPullRequests      int                `json:"totalNumberOfPullRequests" optional:"true"`
	NumberOfFailingBranches        int                `json:"numberOfFailingBranches" optional:"true"`
	NumberOfFailingPullRequests    int                `json:"numberOfFailingPullRequests" optional:"true"`
	NumberOfSuccessfulBranches     int                `json:"numberOfSuccessfulBranches" optional:"true"`
	NumberOfSuccessfulPullRequests int                `json:"numberOfSuccessfulPullRequests" optional:"true"`
	SCMSource                      *jenkins.SCMSource `json:"scmSource" optional:"true"`
	ScriptPath                     string             `json:"scriptPath,omitempty"`
}

// Branch is a branch, tag or pull request of a multi-branch pipeline as Blue Ocean shows it.
type Branch struct {
	Item
	// LatestRun has no id if there was none.
	LatestRun   *jenkins.LatestRun   `json:"latestRun"`
	Branch      *jenkins.Branch      `json:"branch,omitempty"`
	PullRequest *jenkins.PullRequest `json:"pullRequest,omitempty"`
}

// Describe writes a pipeline from what its annotation jenkins-metadata holds. known is false if that
// is nothing yet: then only what the spec says is told.
func Describe(p *devopsv1alpha3.Pipeline) (out Pipeline, known bool) {
	info := jenkins.PipelineInfo{WeatherScore: 100, EstimatedMillis: -1}
	text, ok := p.Annotations[devopsv1alpha3.PipelineJenkinsMetadataAnnotation]
	// Users can write annotations; what is no metadata is none.
	known = ok && json.Unmarshal([]byte(text), &info) == nil
	if !known {
		info = fromSpec(p)
	}
	return FromInfo(p, info), known
}

// fromSpec is what is known of a pipeline that Jenkins does not have yet.
func fromSpec(p *devopsv1alpha3.Pipeline) jenkins.PipelineInfo {
	info := jenkins.PipelineInfo{WeatherScore: 100, EstimatedMillis: -1}
	if p.Spec.Pipeline != nil {
		for _, d := range p.Spec.Pipeline.Parameters {
			info.Parameters = append(info.Parameters, jenkins.InputParameter{Name: d.Name, Type: d.Type, Description: d.Description})
		}
	}
	if m := p.Spec.MultiBranchPipeline; m != nil {
		info.ScriptPath = m.ScriptPath
	}
	return info
}

// FromInfo writes a pipeline from what Jenkins said of it.
func FromInfo(p *devopsv1alpha3.Pipeline, info jenkins.PipelineInfo) Pipeline {
	out := Pipeline{Item: Item{
		Class: classPipeline, Name: p.Name, DisplayName: p.Name, FullName: p.Namespace + "/" + p.Name, Organization: organization,
		Disabled: info.Disabled, WeatherScore: info.WeatherScore, EstimatedMillis: info.EstimatedMillis, Parameters: lengthen(info.Parameters),
		Annotations: annotationsOf(p),
	}}
	if out.EstimatedMillis == 0 {
		out.EstimatedMillis = -1
	}
	if p.Spec.Type != devopsv1alpha3.MultiBranchPipelineType {
		return out
	}
	out.Class = classMultiBranch
	out.branches = &Branches{
		NumberOfPipelines: info.NumberOfPipelines, NumberOfFolders: info.NumberOfFolders,
		PipelineFolderNames: list(info.PipelineFolderNames), BranchNames: list(info.BranchNames),
		TotalNumberOfBranches: info.TotalNumberOfBranches, TotalNumberOfPullRequests: info.TotalNumberOfPullRequests,
		NumberOfFailingBranches: info.NumberOfFailingBranches, NumberOfFailingPullRequests: info.NumberOfFailingPullRequests,
		NumberOfSuccessfulBranches: info.NumberOfSuccessfulBranches, NumberOfSuccessfulPullRequests: info.NumberOfSuccessfulPullRequests,
		SCMSource: info.SCMSource, ScriptPath: info.ScriptPath,
	}
	if out.branches.SCMSource == nil {
		out.branches.SCMSource = &jenkins.SCMSource{}
	}
	return out
}

// list is never null.
func list(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}

// lengthen turns the types of this API (string) into Jenkins' (StringParameterDefinition). Secrets lose their defaults.
func lengthen(parameters []jenkins.InputParameter) []jenkins.InputParameter {
	out := make([]jenkins.InputParameter, 0, len(parameters))
	for _, p := range parameters {
		if strings.EqualFold(p.Type, "password") {
			p.Default = nil
		}
		if p.Type != "" && !strings.HasSuffix(p.Type, parameterSuffix) {
			p.Type = strings.ToUpper(p.Type[:1]) + p.Type[1:] + parameterSuffix
		}
		out = append(out, p)
	}
	return out
}

// branchOf writes a branch.
func branchOf(p *devopsv1alpha3.Pipeline, b jenkins.BranchInfo) Branch {
	display := b.RawName
	if b.PullRequest != nil && b.PullRequest.Title != "" {
		display = b.PullRequest.Title
	}
	return Branch{
		Item: Item{
			Class: classBranch, Name: b.Name, DisplayName: display, FullName: p.Namespace + "/" + p.Name + "/" + b.Name, Organization: organization,
			Disabled: b.Disabled, WeatherScore: b.WeatherScore, EstimatedMillis: -1, Parameters: lengthen(b.Parameters),
		},
		LatestRun: b.LatestRun, Branch: b.Branch, PullRequest: b.PullRequest,
	}
}

// LatestRun gives the youngest run of a pipeline that Jenkins has taken, as Jenkins showed it last; nil
// if there is none. Runs of the same second are told apart by their names.
func LatestRun(ctx context.Context, s *store.Store, p *devopsv1alpha3.Pipeline) (*jenkins.Run, error) {
	query := store.All(p.Namespace)
	query.Limit = 1
	query.Labels = labels.SelectorFromSet(labels.Set{devopsv1alpha3.PipelineNameLabel: reconcile.LabelValue(p.Name)})
	page, err := store.List(ctx, s, &devopsv1alpha3.PipelineRunList{}, query, func(run *devopsv1alpha3.PipelineRun) bool {
		return run.Annotations[devopsv1alpha3.JenkinsPipelineRunStatusAnnotation] != ""
	})
	if err != nil || len(page.Items) == 0 {
		return nil, err
	}
	return runOf(page.Items[0].Annotations[devopsv1alpha3.JenkinsPipelineRunStatusAnnotation]), nil
}

// runOf reads a run's annotation. Users can write annotations; what is no run is none.
func runOf(text string) *jenkins.Run {
	run := &jenkins.Run{}
	if json.Unmarshal([]byte(text), run) != nil {
		return nil
	}
	return run
}
