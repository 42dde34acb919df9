// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package index

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/scm/repourl"
)

// SCMAnnotation on a pipeline without branches is the address of the repository whose pushes start it. It
// is KubeSphere's.
const SCMAnnotation = "scm.devops.kubesphere.io"

// PipelineRepository finds the Pipelines of a repository, in all namespaces, by a repourl.Key.
const PipelineRepository = "slipway.repository"

// PipelineRepositoryValue is the index function of PipelineRepository.
func PipelineRepositoryValue(obj client.Object) []string {
	p, ok := obj.(*devopsv1alpha3.Pipeline)
	if !ok {
		return nil
	}
	var keys []repourl.Key
	if p.Spec.Type == devopsv1alpha3.MultiBranchPipelineType {
		keys = sourceKeys(p.Spec.MultiBranchPipeline)
	} else {
		keys = []repourl.Key{repourl.Of(p.Annotations[SCMAnnotation])}
	}
	var values []string
	for _, key := range keys {
		if key != "" {
			values = append(values, string(key))
		}
	}
	return values
}

// sourceKeys gives the keys of the source that counts.
func sourceKeys(m *devopsv1alpha3.MultiBranchPipeline) []repourl.Key {
	switch {
	case m == nil:
	case m.SourceType == "git" && m.GitSource != nil:
		return []repourl.Key{repourl.Of(m.GitSource.URL)}
	case m.SourceType == "github" && m.GitHubSource != nil:
		s := m.GitHubSource.HostedSource
		return repourl.Hosted(webOf(s.APIURI, "https://github.com"), s.Owner+"/"+s.Repo)
	case m.SourceType == "gitlab" && m.GitlabSource != nil:
		s := m.GitlabSource.HostedSource
		// The console stores the whole path of a project in repo.
		name := s.Repo
		if !strings.Contains(name, "/") {
			name = s.Owner + "/" + s.Repo
		}
		if s.APIURI == "" {
			return []repourl.Key{repourl.Named(m.GitlabSource.ServerName, name)}
		}
		return repourl.Hosted(webOf(s.APIURI, ""), name)
	case m.SourceType == "bitbucket_server" && m.BitbucketServerSource != nil:
		s := m.BitbucketServerSource.HostedSource
		server := webOf(s.APIURI, "https://bitbucket.org")
		if repourl.Host(server) == "bitbucket.org" {
			return repourl.Hosted(server, s.Owner+"/"+s.Repo)
		}
		return repourl.Hosted(server, "scm/"+s.Owner+"/"+s.Repo)
	}
	return nil
}

// webOf turns the address of a server's API into that of its pages.
func webOf(api, otherwise string) string {
	u, err := url.Parse(strings.TrimRight(strings.TrimSpace(api), "/"))
	if err != nil || u.Host == "" {
		return otherwise
	}
	for _, suffix := range []string{"/api/v3", "/api/v4", "/api/v1", "/rest/api/1.0", "/rest/api/latest", "/rest"} {
		if trimmed, ok := strings.CutSuffix(u.Path, suffix); ok {
			u.Path = trimmed
			break
		}
	}
	u.RawPath, u.RawQuery, u.Fragment = "", "", ""
	switch host := strings.ToLower(u.Host); {
	case host == "api.github.com" || host == "api.bitbucket.org":
		u.Host, u.Path = strings.TrimPrefix(host, "api."), ""
	case strings.HasPrefix(host, "api.") && strings.HasSuffix(host, ".ghe.com"):
		u.Host = strings.TrimPrefix(host, "api.")
	}
	return u.String()
}

// PipelineTriggerToken finds the Pipelines that the token of a generic webhook starts; TokenValue gives the
// value.
const PipelineTriggerToken = "slipway.genericWebhookToken"

// TokenValue stands for a token. It is a digest, so that how long a search takes tells nothing of tokens.
func TokenValue(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// PipelineTriggerTokenValue is the index function of PipelineTriggerToken.
func PipelineTriggerTokenValue(obj client.Object) []string {
	p, ok := obj.(*devopsv1alpha3.Pipeline)
	if !ok || p.Spec.Pipeline == nil || p.Spec.Pipeline.GenericWebhook == nil {
		return nil
	}
	if g := p.Spec.Pipeline.GenericWebhook; g.Enable && g.Token != "" {
		return []string{TokenValue(g.Token)}
	}
	return nil
}

// Pipelines are the indices of Pipelines.
var Pipelines = map[string]client.IndexerFunc{PipelineRepository: PipelineRepositoryValue, PipelineTriggerToken: PipelineTriggerTokenValue}

// RepositoryURL finds GitRepositories, in all namespaces, by a repourl.Key.
const RepositoryURL = "slipway.repositoryURL"

// RepositoryURLValue is the index function of RepositoryURL.
func RepositoryURLValue(obj client.Object) []string {
	r, ok := obj.(*devopsv1alpha3.GitRepository)
	if !ok {
		return nil
	}
	if key := repourl.Of(r.Spec.URL); key != "" {
		return []string{string(key)}
	}
	return nil
}

// GitRepositories are the indices of GitRepositories.
var GitRepositories = map[string]client.IndexerFunc{RepositoryURL: RepositoryURLValue}

// RegisterSCM adds the indices that the receivers of source code servers' events need to a cache, once,
// before it starts.
func RegisterSCM(ctx context.Context, indexer client.FieldIndexer) error {
	for field, value := range Pipelines {
		if err := indexer.IndexField(ctx, &devopsv1alpha3.Pipeline{}, field, value); err != nil {
			return fmt.Errorf("index Pipelines by %s: %w", field, err)
		}
	}
	for field, value := range GitRepositories {
		if err := indexer.IndexField(ctx, &devopsv1alpha3.GitRepository{}, field, value); err != nil {
			return fmt.Errorf("index GitRepositories by %s: %w", field, err)
		}
	}
	return nil
}
