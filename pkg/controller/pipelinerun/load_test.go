// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emicklei/go-restful/v3"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/event"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	jenkinsevents "github.com/slipway-dev/slipway/pkg/jenkins/events"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/webhook"
)

const (
	loadPipelines = 20
	loadSecret    = "0123456789abcdef"
	// jenkinsLatency and kubeLatency are what the calls of the load take.
	jenkinsLatency, kubeLatency = 10 * time.Millisecond, 2 * time.Millisecond
)

// load is a controller with queue and workers for runs and for their archive, a Jenkins in memory, and,
// if events are wanted, the route that takes them.
type load struct {
	*bench
	testing.TB
	queue, archives workqueue.TypedRateLimitingInterface[types.NamespacedName]
	routes          http.Handler
	group           sync.WaitGroup

	mu    sync.Mutex
	ended map[string]time.Time
}

// countedFiles is what the archive reads, counted.
type countedFiles struct{ *fakeJenkins }

func (c countedFiles) StreamLog(_ context.Context, _ jenkins.BuildRef, _ int64, w io.Writer) (int64, error) {
	return run(c.fakeJenkins, "StreamLog", func() (int64, error) {
		n, err := io.WriteString(w, c.log)
		return int64(n), err
	})
}

func (c countedFiles) ListArtifacts(context.Context, string, string, int64) ([]jenkins.Artifact, error) {
	return run(c.fakeJenkins, "ListArtifacts", func() ([]jenkins.Artifact, error) { return nil, nil })
}

func (c countedFiles) OpenArtifact(context.Context, string, string, int64, string) (*jenkins.ArtifactContent, error) {
	return nil, errDown
}

func newLoad(tb testing.TB, events bool, lasts time.Duration) *load {
	tb.Helper()
	var objects []client.Object
	for i := range loadPipelines {
		p := syncedPipeline(fmt.Sprintf("p%02d", i), devopsv1alpha3.ParameterDefinition{Name: "V", Type: "string"})
		p.Spec.Pipeline.Jenkinsfile = "pipeline { agent any\n stages { stage('build') { steps { echo 'x' } } } }"
		objects = append(objects, p)
	}
	l := &load{bench: newBench(tb, append(objects, agentPod())...), TB: tb, ended: map[string]time.Time{}}
	j := newFakeJenkins(time.Now)
	j.lasts, j.prompt, j.zip, j.latency = lasts, true, "null", jenkinsLatency
	for i := range loadPipelines {
		j.jobs[fmt.Sprintf("%s/p%02d", ns, i)] = &fakeJob{hasParameters: true}
	}
	l.jenkins = j
	l.fault = func(string, string) error { time.Sleep(kubeLatency / 2); return nil }
	watcher, err := NewWatcher(j, WatcherOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	kube := l.watched()
	l.r = &Reconciler{Client: kube, Jenkins: j, Watcher: watcher, Recorder: l.events, Now: time.Now, Token: l.r.Token, Analyze: l.r.Analyze, Pods: kube,
		Archive: &Archive{Client: kube, Jenkins: countedFiles{j}, Store: &bucket{objects: map[string]string{}}, Now: time.Now}}
	l.r.Archive.setDefaults()
	l.r.setDefaults()
	if events {
		ws := new(restful.WebService)
		webhook.AddRoutes(ws, webhook.Deps{Secret: []byte(loadSecret), Reader: indexed{l.cluster}, Client: kube})
		container := restful.NewContainer()
		container.Add(ws)
		l.routes = container
	}
	return l
}

// indexed finds runs by their UID and by their pipeline as a cache with indices does; the fake would copy
// all runs for it.
type indexed struct{ client.Client }

func (c indexed) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	options := (&client.ListOptions{}).ApplyOptions(opts)
	runs, ok := list.(*devopsv1alpha3.PipelineRunList)
	if !ok || options.FieldSelector == nil {
		return c.Client.List(ctx, list, opts...)
	}
	add := func(name string) error {
		pr := &devopsv1alpha3.PipelineRun{}
		err := c.Get(ctx, types.NamespacedName{Namespace: ns, Name: name}, pr)
		if err == nil {
			runs.Items = append(runs.Items, *pr)
		}
		return err
	}
	if uid, found := options.FieldSelector.RequiresExactMatch(index.RunUID); found {
		return client.IgnoreNotFound(add(strings.TrimPrefix(uid, "uid-")))
	}
	if name, found := options.FieldSelector.RequiresExactMatch(index.RunPipeline); found {
		first, err := strconv.Atoi(strings.TrimPrefix(name, "p"))
		for i := first; err == nil; i += loadPipelines {
			err = add(loadName(i))
		}
		return client.IgnoreNotFound(err)
	}
	return c.Client.List(ctx, list, opts...)
}

func loadName(i int) string { return fmt.Sprintf("run-%04d", i) }

// watched is the cluster with what its watches would bring.
func (l *load) watched() client.Client {
	inner := l.client()
	around := func(ctx context.Context, obj client.Object, patch func() error) error {
		pr, ok := obj.(*devopsv1alpha3.PipelineRun)
		if !ok {
			return patch()
		}
		key, before := client.ObjectKeyFromObject(pr), &devopsv1alpha3.PipelineRun{}
		if err := l.cluster.Get(ctx, key, before); err != nil {
			return err
		}
		if err := patch(); err != nil {
			return err
		}
		after := &devopsv1alpha3.PipelineRun{}
		if err := l.cluster.Get(ctx, key, after); err != nil {
			return err
		}
		if l.r.heard().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: after}) {
			l.queue.Add(key)
		}
		if before.Status.CompletionTime == nil && after.Status.CompletionTime != nil {
			l.mu.Lock()
			l.ended[after.Name] = time.Now()
			l.mu.Unlock()
			l.archives.Add(key)
		}
		return nil
	}
	return interceptor.NewClient(l.cluster, interceptor.Funcs{
		Get: func(ctx context.Context, _ client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			return l.cluster.Get(ctx, key, obj, opts...) // from the cache
		},
		List: func(ctx context.Context, _ client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			return indexed{l.cluster}.List(ctx, list, opts...)
		},
		Patch: func(ctx context.Context, _ client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
			return around(ctx, obj, func() error { return inner.Patch(ctx, obj, patch, opts...) })
		},
		SubResourcePatch: func(ctx context.Context, _ client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
			return around(ctx, obj, func() error { return inner.SubResource(sub).Patch(ctx, obj, patch, opts...) })
		},
	})
}

// deliver sends an event to the route.
func (l *load) deliver(kind jenkinsevents.Type, job string, b *fakeBuild) {
	folder, name, _ := strings.Cut(job, "/")
	body := fmt.Sprintf(`{"type":%q,"time":%q,"data":{"number":%d,"queueId":%d,"timestamp":%d,"_parentFullName":%q,"_projectName":%q,"actions":[{"causes":[{"note":%q}]}]}}`,
		kind, time.Now().Format(time.RFC3339Nano), b.number, b.queue, b.start.UnixMilli(), folder, name, b.causes[0])
	l.group.Go(func() {
		r := httptest.NewRequest(http.MethodPost, "/webhooks/jenkins", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+loadSecret)
		w := httptest.NewRecorder()
		if l.routes.ServeHTTP(w, r); w.Code != http.StatusAccepted {
			l.Errorf("event: %d %s", w.Code, w.Body)
		}
	})
}

// work runs everything until the context ends.
func (l *load) work(ctx context.Context) {
	limiter := workqueue.DefaultTypedControllerRateLimiter[types.NamespacedName]
	l.queue, l.archives = workqueue.NewTypedRateLimitingQueue(limiter()), workqueue.NewTypedRateLimitingQueue(limiter())
	if l.routes != nil {
		l.jenkins.onChange = l.deliver
	}
	l.group.Go(func() { _ = l.r.Watcher.Start(ctx) })
	l.group.Go(func() {
		for {
			select {
			case <-ctx.Done():
				l.queue.ShutDown()
				l.archives.ShutDown()
				return
			case e := <-l.r.Watcher.Events():
				l.queue.Add(client.ObjectKeyFromObject(e.Object))
			}
		}
	})
	l.group.Go(func() {
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				l.jenkins.tick()
			}
		}
	})
	for range DefaultConcurrency {
		l.group.Go(func() { l.drain(ctx, l.queue, l.r.Reconcile) })
	}
	for range DefaultArchiveConcurrency {
		l.group.Go(func() { l.drain(ctx, l.archives, l.r.Archive.Reconcile) })
	}
}

func (l *load) drain(ctx context.Context, queue workqueue.TypedRateLimitingInterface[types.NamespacedName], reconcile func(context.Context, ctrl.Request) (ctrl.Result, error)) {
	for {
		key, shutdown := queue.Get()
		if shutdown {
			return
		}
		result, err := reconcile(ctx, ctrl.Request{NamespacedName: key})
		switch {
		case err != nil:
			queue.AddRateLimited(key)
		case result.RequeueAfter > 0:
			queue.Forget(key)
			queue.AddAfter(key, result.RequeueAfter)
		default:
			queue.Forget(key)
		}
		queue.Done(key)
	}
}

// figures are what a load showed.
type figures struct {
	// live is the most runs at once, took how long all of them took.
	live int
	took time.Duration
	// calls are those to Jenkins, perRun how many that are for a run.
	calls  map[string]int
	perRun float64
	// lags are the times from the end of a build until its run said so.
	lags     []time.Duration
	p50, p95 time.Duration
}

// run starts n runs over a time and waits until all are archived.
func (l *load) run(n int, over time.Duration) figures {
	l.Helper()
	ctx, cancel := context.WithCancel(l.Context())
	defer l.group.Wait()
	defer cancel()
	l.work(ctx)
	began, most := time.Now(), 0
	for i := range n {
		pr := newRun(loadName(i), param("V", fmt.Sprint(i)))
		pr.Spec.PipelineRef.Name = fmt.Sprintf("p%02d", i%loadPipelines)
		if err := l.cluster.Create(l.Context(), pr); err != nil {
			l.Fatal(err)
		}
		l.queue.Add(client.ObjectKeyFromObject(pr))
		time.Sleep(over / time.Duration(n))
	}
	archived := func() bool {
		l.mu.Lock()
		open := n - len(l.ended)
		l.mu.Unlock()
		most = max(most, l.r.Watcher.Live())
		if open > 0 {
			return false
		}
		list := &devopsv1alpha3.PipelineRunList{}
		if err := l.cluster.List(l.Context(), list); err != nil {
			l.Fatal(err)
		}
		return !slices.ContainsFunc(list.Items, func(pr devopsv1alpha3.PipelineRun) bool {
			return pr.Annotations[devopsv1alpha3.ArchivedAnnotation] == ""
		})
	}
	for !archived() {
		if time.Since(began) > 10*time.Minute {
			l.Fatalf("%d of %d runs have ended; calls %v", len(l.ended), n, l.jenkins.calls)
		}
		time.Sleep(500 * time.Millisecond)
	}
	return l.figures(most, time.Since(began))
}

func (l *load) figures(live int, took time.Duration) figures {
	l.Helper()
	f := figures{live: live, took: took, calls: maps.Clone(l.jenkins.calls)}
	l.mu.Lock()
	defer l.mu.Unlock()
	total := 0
	for _, n := range f.calls {
		total += n
	}
	f.perRun = float64(total) / float64(len(l.ended))
	for name, seen := range l.ended {
		pr := l.get(name)
		build, err := l.jenkins.build(ns, pr.Spec.PipelineRef.Name, numberIn(pr, devopsv1alpha3.JenkinsPipelineRunIDAnnotation))
		if err != nil || verdict(pr) != "Succeeded/Success" || !strings.Contains(pr.Annotations[devopsv1alpha3.JenkinsPipelineRunStatusAnnotation], "FINISHED") {
			l.Errorf("%s ended as %s: %v", name, verdict(pr), err)
			continue
		}
		f.lags = append(f.lags, seen.Sub(build.end))
	}
	slices.Sort(f.lags)
	f.p50, f.p95 = f.lags[len(f.lags)/2], f.lags[len(f.lags)*95/100]
	return f
}

// loads are the two ways in which the end of a build is learnt of.
var loads = map[string]struct {
	events bool
	calls  float64
	lag    time.Duration
}{
	"Events": {true, 5, 2 * time.Second},
	"Bulk":   {false, 10, 10 * time.Second},
}

// TestLoad has many live runs of 20 pipelines, whose builds take 20 simulated seconds, and checks how many
// calls a run costs over its life, the archive of its log included, and how late its end is known.
func TestLoad(t *testing.T) {
	const n = 300 // the benchmark has 1,000
	for name, want := range loads {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newLoad(t, want.events, 20*time.Second).run(n, 5*time.Second)
				t.Logf("%d runs, %d live at once, over %s: %.2f calls per run; end known after %s (p50), %s (p95), %s (max); calls: %v",
					n, f.live, f.took.Round(time.Second), f.perRun, f.p50, f.p95, f.lags[len(f.lags)-1], f.calls)
				if f.perRun > want.calls || f.p95 > want.lag {
					t.Errorf("%.2f calls per run, want at most %g; p95 of the lag %s, want at most %s", f.perRun, want.calls, f.p95, want.lag)
				}
			})
		})
	}
}

// BenchmarkLoad is the same in real time, so that the processor counts.
func BenchmarkLoad(b *testing.B) {
	for name, want := range loads {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				f := newLoad(b, want.events, time.Minute).run(1000, 40*time.Second)
				b.Logf("calls: %v", f.calls)
				b.ReportMetric(f.perRun, "calls/run")
				b.ReportMetric(f.p50.Seconds(), "lag-p50-s")
				b.ReportMetric(f.p95.Seconds(), "lag-p95-s")
				b.ReportMetric(float64(f.live), "live")
			}
		})
	}
}
