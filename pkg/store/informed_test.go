// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	cachetesting "k8s.io/client-go/tools/cache/testing"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/scheme"
)

// informed is a reader with an informer of PipelineRuns, and what the informer is told.
type informed struct {
	client.Reader
	source   *cachetesting.FakeControllerSource
	informer toolscache.SharedIndexInformer
}

func (r *informed) GetInformer(context.Context, client.Object, ...cache.InformerGetOption) (cache.Informer, error) {
	return r.informer, nil
}

func newInformed(tb testing.TB, runs ...*devopsv1alpha3.PipelineRun) (*informed, *Store) {
	tb.Helper()
	source := cachetesting.NewFakeControllerSource()
	for _, run := range runs {
		source.Add(run)
	}
	r := &informed{source: source, informer: toolscache.NewSharedIndexInformer(source, &devopsv1alpha3.PipelineRun{}, 0, toolscache.Indexers{})}
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() { defer close(done); r.informer.Run(stop) }()
	// The source stays locked once it is shut down, and an informer that begins to watch then never ends.
	tb.Cleanup(func() { close(stop); <-done; source.Shutdown() })
	return r, New(r, nil, scheme.New())
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// newRun makes a run that was made so many seconds after the epoch.
func newRun(namespace, pipeline, name string, second int) *devopsv1alpha3.PipelineRun {
	return &devopsv1alpha3.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, UID: types.UID("uid-" + namespace + "-" + name),
			CreationTimestamp: metav1.NewTime(epoch.Add(time.Duration(second) * time.Second)),
		},
		Spec: devopsv1alpha3.PipelineRunSpec{PipelineRef: &corev1.ObjectReference{Name: pipeline}},
	}
}

func onBranch(run *devopsv1alpha3.PipelineRun, branch string) *devopsv1alpha3.PipelineRun {
	run.Spec.SCM = &devopsv1alpha3.SCM{RefType: devopsv1alpha3.Branch, RefName: branch}
	return run
}

func names(runs []*devopsv1alpha3.PipelineRun) []string {
	found := []string{}
	for _, run := range runs {
		found = append(found, run.Name)
	}
	return found
}

func list(tb testing.TB, s *Store, q Query, filters ...Filter[*devopsv1alpha3.PipelineRun]) Page[*devopsv1alpha3.PipelineRun] {
	tb.Helper()
	page, err := List(context.Background(), s, &devopsv1alpha3.PipelineRunList{}, q, filters...)
	if err != nil {
		tb.Fatalf("List: %v", err)
	}
	return page
}

// parse makes a query of a namespace.
func parse(tb testing.TB, namespace, query string) Query {
	tb.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		tb.Fatal(err)
	}
	q, err := ParseQuery(values)
	if err != nil {
		tb.Fatal(err)
	}
	q.Namespace = namespace
	return q
}

func TestListOfAnInformer(t *testing.T) {
	old := newRun("a", "p", "old", 1)
	old.Labels = map[string]string{"app": "x"}
	old.Annotations = map[string]string{aliasAnnotation: "Größe 测试 🚀"}
	_, s := newInformed(t, old,
		newRun("a", "p", "tie-b", 5), newRun("a", "p", "tie-a", 5), newRun("a", "q", "tie-c", 5),
		onBranch(newRun("a", "m", "main-1", 2), "main"), onBranch(newRun("a", "m", "feat-1", 3), "feat%2Fü"),
		newRun("b", "p", "tie-a", 5), newRun("b", "p", "other", 4),
	)
	cases := map[string]struct {
		reason       string
		namespace    string
		query        string
		field, value string
		want         []string
		total        int
		more         bool
	}{
		"all":               {reason: "newest first, ties by name and namespace from the end", want: []string{"tie-c", "tie-b", "tie-a", "tie-a", "other", "feat-1", "main-1", "old"}, total: 8},
		"namespace":         {reason: "a namespace has an order of its own", namespace: "b", want: []string{"tie-a", "other"}, total: 2},
		"none":              {reason: "a namespace without objects", namespace: "none", want: []string{}},
		"ascending":         {reason: "oldest first", namespace: "a", query: "ascending=true&limit=3", want: []string{"old", "main-1", "feat-1"}, total: 6, more: true},
		"by name":           {reason: "names from the end", namespace: "a", query: "sortBy=name&limit=2", want: []string{"tie-c", "tie-b"}, total: 6, more: true},
		"by name ascending": {reason: "names from the beginning", namespace: "a", query: "sortBy=name&ascending=1&limit=2&page=2", want: []string{"old", "tie-a"}, total: 6, more: true},
		"second page":       {reason: "in the middle", namespace: "a", query: "page=2&limit=2", want: []string{"tie-a", "feat-1"}, total: 6, more: true},
		"last page":         {reason: "the rest, nothing behind", namespace: "a", query: "page=2&limit=4", want: []string{"main-1", "old"}, total: 6},
		"exact end":         {reason: "a full last page has nothing behind", namespace: "a", query: "page=3&limit=2", want: []string{"main-1", "old"}, total: 6},
		"beyond":            {reason: "empty, no error", namespace: "a", query: "page=7&limit=2", want: []string{}, total: 6},
		"far beyond":        {reason: "no overflow", namespace: "a", query: "page=1000000&limit=1000000", want: []string{}, total: 6},
		"pipeline":          {reason: "of one pipeline", namespace: "a", field: index.RunPipeline, value: "p", want: []string{"tie-b", "tie-a", "old"}, total: 3},
		"pipeline page":     {reason: "a page of one pipeline", namespace: "a", query: "limit=1&page=2", field: index.RunPipeline, value: "p", want: []string{"tie-a"}, total: 3, more: true},
		"pipeline of all":   {reason: "over all namespaces it is a filter", field: index.RunPipeline, value: "p", want: []string{"tie-b", "tie-a", "tie-a", "other", "old"}, total: 5},
		"branch":            {reason: "of one branch", namespace: "a", field: index.RunBranch, value: index.BranchValue("m", "feat%2Fü"), want: []string{"feat-1"}, total: 1},
		"unknown pipeline":  {reason: "there is none", namespace: "a", field: index.RunPipeline, value: "none", want: []string{}},
		"unknown field":     {reason: "nothing has it", namespace: "a", field: "none", value: "x", want: []string{}},
		"name":              {reason: "a filter scans", namespace: "a", query: "name=tie&limit=2", want: []string{"tie-c", "tie-b"}, total: 3, more: true},
		"alias":             {reason: "unicode", query: "name=" + url.QueryEscape("测试 🚀"), want: []string{"old"}, total: 1},
		"filter namespace":  {reason: "as the namespace of the path", query: "namespace=b&limit=1", want: []string{"tie-a"}, total: 2, more: true},
		"label":             {reason: "labels scan", namespace: "a", query: "labelSelector=app%3Dx", want: []string{"old"}, total: 1},
	}
	fallback := New(listOf{s}, nil, scheme.New())
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			q := parse(t, tc.namespace, tc.query)
			q.Field, q.Value = tc.field, tc.value
			for from, s := range map[string]*Store{"informer": s, "reader": fallback} {
				page := list(t, s, q)
				if diff := cmp.Diff(tc.want, names(page.Items)); diff != "" {
					t.Errorf("%s, %s: -want +got:\n%s", tc.reason, from, diff)
				}
				if page.Total != tc.total || (page.Continue != "") != tc.more {
					t.Errorf("%s, %s: total %d, continue %q; want %d and more %v", tc.reason, from, page.Total, page.Continue, tc.total, tc.more)
				}
				if (page.ResourceVersion != "") != (from == "informer") {
					t.Errorf("%s, %s: resourceVersion %q", tc.reason, from, page.ResourceVersion)
				}
			}
		})
	}
}

// listOf is a plain reader of what another store has.
type listOf struct{ of *Store }

func (r listOf) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return errors.New("not for this test")
}

func (r listOf) List(ctx context.Context, into client.ObjectList, opts ...client.ListOption) error {
	options := (&client.ListOptions{}).ApplyOptions(opts)
	q := All(options.Namespace)
	q.Labels = options.LabelSelector
	page, err := List[*devopsv1alpha3.PipelineRun](ctx, r.of, &devopsv1alpha3.PipelineRunList{}, q)
	for _, run := range page.Items {
		runs := into.(*devopsv1alpha3.PipelineRunList)
		runs.Items = append(runs.Items, *run)
	}
	return err
}

func TestEncodedEqualsList(t *testing.T) {
	run := newRun("a", "p", "r", 1)
	run.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
	run.Annotations = map[string]string{"html": "<a href='x'>&</a> 🚀"}
	_, s := newInformed(t, run, newRun("a", "p", "s", 2))
	for range 2 { // encoded, and remembered
		encoded, err := ListJSON[*devopsv1alpha3.PipelineRun](context.Background(), s, &devopsv1alpha3.PipelineRunList{}, All("a"))
		if err != nil {
			t.Fatal(err)
		}
		page := list(t, s, All("a"))
		i := 0
		for item, err := range encoded.Items {
			if err != nil {
				t.Fatal(err)
			}
			var want bytes.Buffer
			encoder := json.NewEncoder(&want)
			encoder.SetEscapeHTML(false)
			if err := encoder.Encode(page.Items[i]); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.TrimSpace(want.String()), string(item)); diff != "" {
				t.Errorf("item %d: -want +got:\n%s", i, diff)
			}
			i++
		}
		if i != 2 || encoded.Len != 2 || encoded.Total != 2 {
			t.Errorf("%d items, Len %d, Total %d; want 2", i, encoded.Len, encoded.Total)
		}
	}
	if kept := s.collections[typeOfRun].objects[objectKey{"a", "r"}]; kept.json.Load() == nil || kept.obj.GetManagedFields() == nil {
		t.Error("the JSON is to be kept, and the object of the cache not to be changed")
	}
}

func TestInformerChanges(t *testing.T) {
	r, s := newInformed(t, newRun("a", "p", "one", 1), newRun("a", "p", "two", 2))
	g := gomega.NewWithT(t)
	of := func(pipeline string) func() []string {
		q := All("a")
		q.Field, q.Value = index.RunPipeline, pipeline
		return func() []string { return names(list(t, s, q).Items) }
	}
	g.Expect(of("p")()).To(gomega.Equal([]string{"two", "one"}))
	r.source.Modify(newRun("a", "q", "one", 1))
	g.Eventually(of("p")).Should(gomega.Equal([]string{"two"}), "it left the pipeline")
	g.Expect(of("q")()).To(gomega.Equal([]string{"one"}), "for another")
	r.source.Add(newRun("a", "p", "three", 3))
	g.Eventually(of("p")).Should(gomega.Equal([]string{"three", "two"}))
	r.source.Delete(newRun("a", "p", "two", 2))
	r.source.Delete(newRun("a", "p", "three", 3))
	g.Eventually(of("p")).Should(gomega.BeEmpty())
	r.source.Delete(newRun("a", "q", "one", 1))
	g.Eventually(of("q")).Should(gomega.BeEmpty())
	c := s.collections[typeOfRun]
	c.mu.RLock()
	defer c.mu.RUnlock()
	if len(c.objects) != 0 || len(c.scopes) != 1 {
		t.Errorf("%d objects and %d scopes are left, want none and that of everything", len(c.objects), len(c.scopes))
	}
}

func TestContinueRefused(t *testing.T) {
	_, s := newInformed(t, newRun("a", "p", "one", 1), newRun("a", "p", "two", 2), newRun("b", "p", "one", 1), newRun("b", "p", "two", 2))
	token := list(t, s, parse(t, "a", "limit=1&name=o")).Continue
	if token == "" {
		t.Fatal("no token")
	}
	newer := "eyJ2Ijo5LCJuIjoieCJ9" // {"v":9,"n":"x"}
	cases := map[string]struct {
		namespace, query string
		want             string
		gone             bool
	}{
		"good":             {namespace: "a", query: "limit=5&name=o&page=1&_=42&continue=" + token},
		"padded":           {namespace: "a", query: "limit=5&name=o&continue=" + token + "%3D%3D"},
		"other namespace":  {namespace: "b", query: "limit=1&name=o&continue=" + token, want: "another list"},
		"other filter":     {namespace: "a", query: "limit=1&name=x&continue=" + token, want: "another list"},
		"no filter":        {namespace: "a", query: "limit=1&continue=" + token, want: "another list"},
		"other order":      {namespace: "a", query: "limit=1&name=o&ascending=true&continue=" + token, want: "another list"},
		"other field":      {namespace: "a", query: "limit=1&name=o&sortBy=name&continue=" + token, want: "another list"},
		"other selector":   {namespace: "a", query: "limit=1&name=o&labelSelector=a&continue=" + token, want: "another list"},
		"page":             {namespace: "a", query: "limit=1&name=o&page=2&continue=" + token, want: "either page or continue"},
		"no base64":        {namespace: "a", query: "limit=1&continue=%00%01", want: "not a token"},
		"cut off":          {namespace: "a", query: "limit=1&name=o&continue=" + token[:len(token)/2], want: "not a token"},
		"other JSON":       {namespace: "a", query: "limit=1&continue=W10", want: "not a token"},
		"long":             {namespace: "a", query: "limit=1&continue=" + strings.Repeat("A", 5000), want: "not a token"},
		"of a new version": {namespace: "a", query: "limit=1&continue=" + newer, want: "begin again", gone: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := List[*devopsv1alpha3.PipelineRun](context.Background(), s, &devopsv1alpha3.PipelineRunList{}, parse(t, tc.namespace, tc.query))
			if tc.want == "" {
				if err != nil {
					t.Errorf("%v, want no error", err)
				}
				return
			}
			right := apierrors.IsBadRequest(err)
			if tc.gone {
				right = apierrors.IsResourceExpired(err)
			}
			if !right || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want a refusal with %q", err, tc.want)
			}
		})
	}
}

// TestContinueUnderWrites reads 10,000 runs page by page while others come and go: those that nobody
// touches are seen exactly once.
func TestContinueUnderWrites(t *testing.T) {
	const stable, volatile = 9000, 1000
	var runs []*devopsv1alpha3.PipelineRun
	want := map[string]int{}
	for i := range stable {
		// Several of each second, and unicode in what is shown.
		run := newRun("a", "p", fmt.Sprintf("s-%04d", (i*7919)%stable), i/7)
		run.Annotations = map[string]string{aliasAnnotation: "läuft-" + strconv.Itoa(i) + "-🚀"}
		want[run.Name] = 1
		runs = append(runs, run)
	}
	for i := range volatile {
		runs = append(runs, newRun("a", "p", fmt.Sprintf("v-%04d", i), i*stable/7/volatile))
	}
	r, s := newInformed(t, runs...)
	for name, query := range map[string]string{"newest first": "limit=37", "oldest first": "limit=101&ascending=true", "by name": "limit=64&sortBy=name", "filtered": "limit=211&name=-"} {
		t.Run(name, func(t *testing.T) {
			stop := make(chan struct{})
			var writers sync.WaitGroup
			for range 2 {
				writers.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						i := rand.IntN(volatile)
						run := newRun("a", "p", fmt.Sprintf("v-%04d", i), rand.IntN(stable/7))
						// The source keeps and changes what it is given.
						r.source.Delete(run.DeepCopy())
						r.source.Add(run)
					}
				})
			}
			got := map[string]int{}
			q := parse(t, "a", query)
			q.Field, q.Value = index.RunPipeline, "p"
			for pages := 0; ; pages++ {
				page := list(t, s, q)
				for _, run := range page.Items {
					if run.Name[0] == 's' {
						got[run.Name]++
					}
				}
				if q.Continue = page.Continue; q.Continue == "" {
					break
				}
				if pages > 10000 {
					t.Fatal("it does not end")
				}
			}
			close(stop)
			writers.Wait()
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%.2000s", diff)
			}
		})
	}
}

// TestOrdersAgreeWithSort compares random contents with a plain sort.
func TestOrdersAgreeWithSort(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	c := newCollection(newEncoder(scheme.New()), &devopsv1alpha3.PipelineRun{})
	have := map[objectKey]*devopsv1alpha3.PipelineRun{}
	for step := range 3000 {
		namespace, name := string(rune('a'+random.IntN(2))), "r"+strconv.Itoa(random.IntN(150))
		run := newRun(namespace, "p"+strconv.Itoa(random.IntN(3)), name, random.IntN(20))
		run.ResourceVersion = strconv.Itoa(step + 1)
		if key := (objectKey{namespace, name}); random.IntN(3) == 0 {
			c.OnDelete(run)
			delete(have, key)
		} else {
			c.OnAdd(run, false)
			have[key] = run
		}
		if step%50 != 0 {
			continue
		}
		q := Query{Page: 1 + random.IntN(4), Limit: 1 + random.IntN(40), SortBy: []string{SortByCreation, SortByName}[random.IntN(2)], Ascending: random.IntN(2) == 0}
		if random.IntN(3) > 0 {
			q.Namespace = "a"
			if random.IntN(2) == 0 {
				q.Field, q.Value = index.RunPipeline, "p1"
			}
		}
		var all []*entry
		matches := matcher[*devopsv1alpha3.PipelineRun](c.fields, q, nil)
		for _, run := range have {
			if matches(run) {
				all = append(all, newEntry(run))
			}
		}
		slices.SortFunc(all, func(a, b *entry) int { return q.compare(a.position, b.position) })
		want, wantTotal, wantMore := q.cut(all, nil)
		got, total, more := selectPage[*devopsv1alpha3.PipelineRun](c, q, nil, nil)
		if total != wantTotal || more != wantMore || !slices.EqualFunc(got, want, func(a, b *entry) bool { return a.obj == b.obj }) {
			t.Fatalf("step %d, %+v: %d of %d, more %v; want %d of %d, more %v", step, q, len(got), total, more, len(want), wantTotal, wantMore)
		}
	}
}

func TestEncoderStaysInItsBounds(t *testing.T) {
	encoder := newEncoder(scheme.New())
	encoder.limit = 20 << 10
	var entries []*entry
	for i := range 200 {
		run := newRun("a", "p", fmt.Sprintf("r-%d", i), i)
		run.Annotations = map[string]string{"a": strings.Repeat("x", 500)}
		entries = append(entries, newEntry(run))
	}
	for round := range 3 {
		for i, e := range entries {
			if _, err := encoder.encode(e, true); err != nil {
				t.Fatal(err)
			}
			if i%3 == round {
				encoder.forget(e)
			}
		}
	}
	kept, size := 0, 0
	for _, e := range entries {
		if known := e.json.Load(); known != nil {
			kept++
			size += len(*known)
		}
	}
	if size == 0 || size > encoder.limit || encoder.bytes != size {
		t.Errorf("%d entries with %d bytes are kept, accounted are %d; the limit is %d", kept, size, encoder.bytes, encoder.limit)
	}
	if len(encoder.kept) > 2*kept+2*minDropped {
		t.Errorf("%d places for %d entries", len(encoder.kept), kept)
	}
}

func TestListWaitsForTheCacheOnlyAsLongAsTheRequest(t *testing.T) {
	source := cachetesting.NewFakeControllerSource()
	r := &informed{source: source, informer: toolscache.NewSharedIndexInformer(source, &devopsv1alpha3.PipelineRun{}, 0, toolscache.Indexers{})}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, err := List[*devopsv1alpha3.PipelineRun](ctx, New(r, nil, scheme.New()), &devopsv1alpha3.PipelineRunList{}, Query{Labels: labels.Everything()})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want the end of the request", err)
	}
}
