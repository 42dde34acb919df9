// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsjob

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/scheme"
	"github.com/slipway-dev/slipway/pkg/store"
)

// endless is a Jenkins whose branches never end.
type endless struct {
	calls   atomic.Int32
	release chan struct{}
}

func (e *endless) BranchPage(ctx context.Context, _, _ string, page jenkins.Page) ([]jenkins.BranchInfo, error) {
	e.calls.Add(1)
	select {
	case <-e.release:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	list := make([]jenkins.BranchInfo, page.Limit)
	for i := range list {
		// A scan between two pages moved one branch.
		list[i].Name = fmt.Sprintf("b%06d", max(0, page.Start+i-1))
	}
	return list, nil
}

func TestBranchesAreReadOnceForAll(t *testing.T) {
	project := &devopsv1alpha3.DevOpsProject{ObjectMeta: metav1.ObjectMeta{Name: "team"}}
	project.Status.AdminNamespace = "team"
	project.Status.Conditions = []metav1.Condition{{Type: devopsv1alpha3.ConditionFolderReady, Status: metav1.ConditionTrue}}
	s := store.New(fake.NewClientBuilder().WithScheme(scheme.New()).WithObjects(project).Build(), nil, scheme.New())
	p := &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "app"}}
	p.Spec.Type = devopsv1alpha3.MultiBranchPipelineType
	source := &endless{release: make(chan struct{})}
	branches := NewBranches(source)

	// The first who asks goes away; the others still get what it began to read.
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := branches.List(ctx, s, p)
		gone <- err
	}()
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			list, err := branches.List(t.Context(), s, p)
			if err != nil || len(list) != branchPage*maxPages-1 {
				t.Errorf("%d branches, %v, want each of the pages once", len(list), err)
			}
		})
	}
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("who went away: %v", err)
	}
	close(source.release)
	group.Wait()
	if n := source.calls.Load(); n != maxPages {
		t.Errorf("%d calls, want %d", n, maxPages)
	}
}
