// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsjob

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/cache"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/store"
)

// Values of the filter of branches. Any other value filters nothing.
const (
	// FilterOrigin is for branches and tags of the repository.
	FilterOrigin = "origin"
	// FilterPullRequests is for pull requests.
	FilterPullRequests = "pull-requests"
)

const (
	// branchPage is how many branches are asked for at once; Jenkins sends some 4 KB for each.
	branchPage = 500
	// maxPages bounds the reading of a pipeline's branches.
	maxPages = 40
	// branchAge is for how long branches that were read from Jenkins are used again.
	branchAge = 15 * time.Second
	// branchPipelines is for how many pipelines they are kept.
	branchPipelines = 16
	// readTimeout bounds the reading of all pages.
	readTimeout = 40 * time.Second
)

// BranchSource reads branches from Jenkins; *jenkins.Client does.
type BranchSource interface {
	BranchPage(ctx context.Context, folder, job string, page jenkins.Page) ([]jenkins.BranchInfo, error)
}

// Branches gives the branches of multi-branch pipelines: from their annotation, and from Jenkins where
// that does not hold them all.
type Branches struct {
	source BranchSource
	known  *cache.LRUExpireCache
	calls  singleflight.Group
}

// NewBranches makes a Branches. Without a source only the annotations are read.
func NewBranches(source BranchSource) *Branches {
	return &Branches{source: source, known: cache.NewLRUExpireCache(branchPipelines)}
}

// List gives the branches, tags and pull requests of a pipeline: the primary branch, then those that
// ran last. The list is shared and must not be changed. While Jenkins does not answer, the ones in the
// annotation are all there are.
func (b *Branches) List(ctx context.Context, s *store.Store, p *devopsv1alpha3.Pipeline) ([]jenkins.BranchInfo, error) {
	if err := CheckMultiBranch(p); err != nil {
		return nil, err
	}
	list, have := annotated(p)
	complete := have && !meta.IsStatusConditionFalse(p.Status.Conditions, devopsv1alpha3.ConditionBranchesComplete)
	if complete || b.source == nil || !OwnsFolder(ctx, s, p.Namespace) {
		return list, nil
	}
	all, err := b.read(ctx, p)
	switch {
	case err == nil:
		return all, nil
	case have && jenkins.Away(err):
		return list, nil
	case !have && errors.Is(err, jenkins.ErrNotFound):
		// The job is not made yet.
		return list, nil
	}
	return nil, err
}

// annotated reads the annotation that the controller writes.
func annotated(p *devopsv1alpha3.Pipeline) (list []jenkins.BranchInfo, have bool) {
	list = []jenkins.BranchInfo{}
	text, ok := p.Annotations[devopsv1alpha3.PipelineJenkinsBranchesAnnotation]
	if !ok || json.Unmarshal([]byte(text), &list) != nil || list == nil {
		// Users can write annotations; what is no list of branches is none.
		return []jenkins.BranchInfo{}, false
	}
	return list, true
}

// read gives all branches from Jenkins, one reading for all who ask at once.
func (b *Branches) read(ctx context.Context, p *devopsv1alpha3.Pipeline) ([]jenkins.BranchInfo, error) {
	key := p.Namespace + "/" + p.Name + "/" + string(p.UID)
	if known, ok := b.known.Get(key); ok {
		return known.([]jenkins.BranchInfo), nil
	}
	result := b.calls.DoChan(key, func() (any, error) {
		// It does not end with the request that happened to be first.
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
		defer cancel()
		list, err := b.readPages(own, p.Namespace, p.Name)
		if err == nil {
			b.known.Add(key, list, branchAge)
		}
		return list, err
	})
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("read branches: %w", ctx.Err())
	case r := <-result:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.([]jenkins.BranchInfo), nil
	}
}

func (b *Branches) readPages(ctx context.Context, folder, job string) ([]jenkins.BranchInfo, error) {
	list, seen := []jenkins.BranchInfo{}, map[string]bool{}
	for page := range maxPages {
		part, err := b.source.BranchPage(ctx, folder, job, jenkins.Page{Start: page * branchPage, Limit: branchPage})
		if err != nil {
			return nil, err
		}
		for i := range part {
			// A scan between two pages moves branches to the next.
			if !seen[part[i].Name] {
				seen[part[i].Name] = true
				list = append(list, part[i])
			}
		}
		if len(part) < branchPage {
			break
		}
	}
	slices.SortStableFunc(list, func(a, b jenkins.BranchInfo) int {
		return cmp.Or(cmp.Compare(primary(b), primary(a)), lastStart(b).Compare(lastStart(a)), cmp.Compare(a.Name, b.Name))
	})
	return list, nil
}

func primary(b jenkins.BranchInfo) int {
	if b.Branch != nil && b.Branch.IsPrimary {
		return 1
	}
	return 0
}

func lastStart(b jenkins.BranchInfo) time.Time {
	if b.LatestRun == nil {
		return time.Time{}
	}
	return b.LatestRun.StartTime.Time
}

// Shown gives a branch as it is answered: one that never ran has a latest run without an id, as consoles look into it
// without a look whether it is there.
func Shown(b jenkins.BranchInfo) jenkins.BranchInfo {
	if b.LatestRun == nil {
		b.LatestRun = &jenkins.LatestRun{}
	}
	return b
}

// Filter gives the branches that a filter and a part of a name let through, as they are shown.
func Filter(list []jenkins.BranchInfo, filter, name string) []jenkins.BranchInfo {
	out := make([]jenkins.BranchInfo, 0, len(list))
	for _, b := range list {
		switch {
		case filter == FilterOrigin && b.PullRequest != nil, filter == FilterPullRequests && b.PullRequest == nil:
		case name != "" && !strings.Contains(b.Name, name) && !strings.Contains(b.RawName, name):
		default:
			out = append(out, Shown(b))
		}
	}
	return out
}

// Find gives the branch of a name: that of its job in Jenkins (feat%2Fx), or its own (feat/x).
func Find(list []jenkins.BranchInfo, name string) (jenkins.BranchInfo, bool) {
	for _, equal := range []func(jenkins.BranchInfo) bool{
		func(b jenkins.BranchInfo) bool { return b.Name == name },
		func(b jenkins.BranchInfo) bool { return b.RawName == name },
	} {
		if at := slices.IndexFunc(list, equal); at >= 0 {
			return list[at], true
		}
	}
	return jenkins.BranchInfo{}, false
}

// NoBranch is the 404 of a branch that a pipeline does not have.
func NoBranch(p *devopsv1alpha3.Pipeline, name string) error {
	if len(name) > 100 {
		name = strings.ToValidUTF8(name[:100], "") + "…"
	}
	return notFound(fmt.Sprintf("pipeline %q has no branch, tag or pull request %q; if it is new, scan the repository", p.Name, name))
}
