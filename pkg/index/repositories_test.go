// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package index

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

func TestPipelineRepositoryValue(t *testing.T) {
	hosted := func(api, owner, repo string) devopsv1alpha3.HostedSource {
		return devopsv1alpha3.HostedSource{APIURI: api, Owner: owner, Repo: repo}
	}
	github := func(api string) *devopsv1alpha3.MultiBranchPipeline {
		return &devopsv1alpha3.MultiBranchPipeline{SourceType: "github", GitHubSource: &devopsv1alpha3.GitHubSource{HostedSource: hosted(api, "Team", "App")}}
	}
	bitbucket := func(api string) *devopsv1alpha3.MultiBranchPipeline {
		return &devopsv1alpha3.MultiBranchPipeline{SourceType: "bitbucket_server", BitbucketServerSource: &devopsv1alpha3.BitbucketServerSource{HostedSource: hosted(api, "PROJ", "App")}}
	}
	gitlab := func(server, api, owner, repo string) *devopsv1alpha3.MultiBranchPipeline {
		return &devopsv1alpha3.MultiBranchPipeline{SourceType: "gitlab", GitlabSource: &devopsv1alpha3.GitlabSource{ServerName: server, HostedSource: hosted(api, owner, repo)}}
	}
	tests := map[string]struct {
		source *devopsv1alpha3.MultiBranchPipeline
		want   []string
	}{
		"github":            {github(""), []string{"github.com/team/app"}},
		"github API":        {github("https://api.github.com"), []string{"github.com/team/app"}},
		"enterprise":        {github("https://GHE.example.org/api/v3/"), []string{"ghe.example.org/team/app"}},
		"enterprise port":   {github("https://ghe.example.org:8443/api/v3"), []string{"ghe.example.org:8443/team/app"}},
		"residency":         {github("https://api.octo.ghe.com"), []string{"octo.ghe.com/team/app"}},
		"gitlab name":       {gitlab("ours", "", "a/b", "a/b/App"), []string{"server:ours/a/b/app"}},
		"gitlab owner":      {gitlab("", "", "a/b", "App"), []string{"server:/a/b/app"}},
		"gitlab API":        {gitlab("ours", "https://example.org/gitlab/api/v4", "a", "a/App"), []string{"example.org/gitlab/a/app"}},
		"bitbucket":         {bitbucket("https://bb.example.org:7990/"), []string{"bb.example.org:7990/scm/proj/app"}},
		"bitbucket below":   {bitbucket("https://example.org/bitbucket/rest/api/1.0"), []string{"example.org/bitbucket/scm/proj/app"}},
		"bitbucket cloud":   {bitbucket("https://bitbucket.org"), []string{"bitbucket.org/proj/app"}},
		"bitbucket API":     {bitbucket("https://api.bitbucket.org"), []string{"bitbucket.org/proj/app"}},
		"bitbucket nowhere": {bitbucket(""), []string{"bitbucket.org/proj/app"}},
		"bad API":           {github("%zz"), []string{"github.com/team/app"}},
		"other source":      {&devopsv1alpha3.MultiBranchPipeline{SourceType: "git", GitHubSource: github("").GitHubSource}, nil},
		"no address":        {&devopsv1alpha3.MultiBranchPipeline{SourceType: "git", GitSource: &devopsv1alpha3.GitSource{}}, nil},
		"nothing":           {nil, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := &devopsv1alpha3.Pipeline{Spec: devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.MultiBranchPipelineType, MultiBranchPipeline: tc.source}}
			if diff := cmp.Diff(tc.want, PipelineRepositoryValue(p)); diff != "" {
				t.Error(diff)
			}
		})
	}
	annotated := &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{SCMAnnotation: "git@github.com:team/app.git"}}}
	if diff := cmp.Diff([]string{"github.com/team/app"}, PipelineRepositoryValue(annotated)); diff != "" {
		t.Error(diff)
	}
	if PipelineRepositoryValue(&devopsv1alpha3.PipelineRun{}) != nil || PipelineTriggerTokenValue(&devopsv1alpha3.PipelineRun{}) != nil || RepositoryURLValue(&devopsv1alpha3.Pipeline{}) != nil {
		t.Error("another kind has no value")
	}
}
