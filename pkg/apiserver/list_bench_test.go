// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	cachetesting "k8s.io/client-go/tools/cache/testing"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/filters"
	"github.com/slipway-dev/slipway/pkg/authn/jwt"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/scheme"
	"github.com/slipway-dev/slipway/pkg/store"
)

// benchNamespace has all runs of the benchmarks, on 100 pipelines, half of them on pipeline-0.
const benchNamespace = "bench"

// benchRun is a run of about 4 kB, as the controllers leave it.
func benchRun(i int) *devopsv1alpha3.PipelineRun {
	pipeline := 0
	if i%2 == 1 {
		pipeline = 1 + i/2%99
	}
	name := fmt.Sprintf("pipeline-%d", pipeline)
	jenkinsfile := "pipeline {\n  agent { label 'dc-bench.app' }\n  stages {\n" +
		strings.Repeat("    stage('Build') { steps { sh 'make build test GOFLAGS=-mod=mod' } }\n", 20) + "  }\n}\n"
	status := fmt.Sprintf(`{"_class":"io.jenkins.blueocean.rest.impl.pipeline.PipelineRunImpl","id":"%d","result":"SUCCESS","state":"FINISHED",`+
		`"enQueueTime":"2026-01-01T00:00:00.000+0000","startTime":"2026-01-01T00:00:01.000+0000","endTime":"2026-01-01T00:03:01.%03d+0000",`+
		`"durationInMillis":%d,"estimatedDurationInMillis":180123,"organization":"jenkins","pipeline":%q,"runSummary":"stable","type":"WorkflowRun",`+
		`"_links":{%s}}`, i, i%1000, i, name, strings.TrimSuffix(strings.Repeat(`"nodes":{"_class":"io.jenkins.blueocean.rest.hal.Link","href":"/blue/rest/organizations/jenkins/pipelines/bench/runs/1/nodes/"},`, 6), ","))
	created := metav1.NewTime(time.Date(2026, 1, 1, 0, 0, i, 0, time.UTC))
	return &devopsv1alpha3.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("%s-%06d", name, i), Namespace: benchNamespace, UID: types.UID(fmt.Sprintf("00000000-0000-0000-0000-%012d", i)),
			CreationTimestamp: created, Generation: 1, Labels: map[string]string{devopsv1alpha3.PipelineNameLabel: name},
			Annotations: map[string]string{
				devopsv1alpha3.JenkinsPipelineRunIDAnnotation: fmt.Sprint(i), devopsv1alpha3.JenkinsPipelineRunStatusAnnotation: status,
				devopsv1alpha3.CreatorAnnotation: "ann",
			},
			Finalizers: []string{"pipelinerun.finalizers.kubesphere.io"},
		},
		Spec: devopsv1alpha3.PipelineRunSpec{
			PipelineRef: &corev1.ObjectReference{Kind: "Pipeline", Namespace: benchNamespace, Name: name},
			PipelineSpec: &devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.NoScmPipelineType,
				Pipeline: &devopsv1alpha3.NoScmPipeline{Name: name, Jenkinsfile: jenkinsfile}},
		},
		Status: devopsv1alpha3.PipelineRunStatus{
			Phase: devopsv1alpha3.Succeeded, StartTime: &created, CompletionTime: &created, UpdateTime: &created,
			Conditions: []devopsv1alpha3.Condition{{Type: devopsv1alpha3.ConditionSucceeded, Status: metav1.ConditionTrue, Reason: "Success",
				LastProbeTime: created, LastTransitionTime: created}},
		},
	}
}

// benchCache is a cache of PipelineRuns that is filled from memory.
type benchCache struct {
	client.Reader
	informers map[string]toolscache.SharedIndexInformer
}

func (c *benchCache) GetInformer(_ context.Context, obj client.Object, _ ...cache.InformerGetOption) (cache.Informer, error) {
	return c.informers[fmt.Sprintf("%T", obj)], nil
}

// allowAll answers all questions for permissions with yes.
type allowAll struct{ client.WithWatch }

func (allowAll) Create(_ context.Context, obj client.Object, _ ...client.CreateOption) error {
	if review, ok := obj.(*authorizationv1.SubjectAccessReview); ok {
		review.Status.Allowed = true
	}
	return nil
}

// newBench serves so many runs and gives the chain, what changes the runs, and a credential.
func newBench(tb testing.TB, runs int, change ...func(*Config)) (http.Handler, *cachetesting.FakeControllerSource, string) {
	tb.Helper()
	reader := &benchCache{informers: map[string]toolscache.SharedIndexInformer{}}
	var runSource *cachetesting.FakeControllerSource
	for _, kind := range CachedKinds() {
		source := cachetesting.NewFakeControllerSource()
		if _, ok := kind.(*devopsv1alpha3.PipelineRun); ok {
			runSource = source
			for i := range runs {
				source.Add(benchRun(i))
			}
		}
		informer := toolscache.NewSharedIndexInformer(source, kind, 0, toolscache.Indexers{})
		if err := informer.SetTransform(store.Transform()); err != nil {
			tb.Fatal(err)
		}
		stop, done := make(chan struct{}), make(chan struct{})
		go func() { defer close(done); informer.Run(stop) }()
		// The source stays locked once it is shut down, and an informer that begins to watch then never ends.
		tb.Cleanup(func() { close(stop); <-done; source.Shutdown() })
		reader.informers[fmt.Sprintf("%T", kind)] = informer
	}
	var last string
	own := allowAll{}
	config := Config{Reader: reader, Client: own, Clients: actAs{own, &last}, JWTSecret: testSecret, Scheme: scheme.New(),
		Limits: Limits{Rate: filters.RateLimits{PerSecond: -1}}}
	for _, c := range change {
		c(&config)
	}
	completed, err := config.Complete()
	if err != nil {
		tb.Fatal(err)
	}
	server, err := New(completed)
	if err != nil {
		tb.Fatal(err)
	}
	issuer, err := jwt.NewIssuer(testSecret, time.Hour)
	if err != nil {
		tb.Fatal(err)
	}
	credential, _, err := issuer.Issue("ann", []string{"developers"})
	if err != nil {
		tb.Fatal(err)
	}
	return server.Handler(), runSource, "Bearer " + credential
}

const benchPath = devops + "/namespaces/" + benchNamespace + "/pipelines/pipeline-0/pipelineruns"

// get reads a path through the chain.
func benchGet(tb testing.TB, h http.Handler, credential, path string) *httptest.ResponseRecorder {
	tb.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Authorization", credential)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		tb.Fatalf("GET %s: %d %.500s", path, w.Code, w.Body)
	}
	return w
}

// cpuTime is the time that the process has computed.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkListRuns reads pages through the whole chain: without a network, and with one, which has
// the client's share in its figures.
func BenchmarkListRuns(b *testing.B) {
	for _, runs := range []int{1000, 10000, 50000} {
		h, _, credential := newBench(b, runs)
		for name, query := range map[string]string{
			"first": "?page=1&limit=20", "middle": fmt.Sprintf("?page=%d&limit=20", runs/80), "name": "?page=1&limit=20&name=99",
		} {
			b.Run(fmt.Sprintf("chain/%s/%d", name, runs), func(b *testing.B) {
				size := benchGet(b, h, credential, benchPath+query).Body.Len()
				b.ReportAllocs()
				began := cpuTime()
				for b.Loop() {
					benchGet(b, h, credential, benchPath+query)
				}
				b.ReportMetric(float64(cpuTime()-began)/float64(b.N)/1e3, "cpu-µs/op")
				b.ReportMetric(float64(size)/1024, "KiB/op")
			})
		}
		b.Run(fmt.Sprintf("http/first/%d", runs), func(b *testing.B) {
			server := httptest.NewServer(h)
			defer server.Close()
			b.SetParallelism(16 / runtime.GOMAXPROCS(0))
			began := cpuTime()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					fetch(b, server.URL+benchPath+"?page=1&limit=20", credential)
				}
			})
			b.ReportMetric(float64(cpuTime()-began)/float64(b.N)/1e3, "cpu-µs/op")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
		})
	}
}

// benchClient does not ask for compression, as a gateway that passes answers on.
var benchClient = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16, DisableCompression: true}}

func fetch(tb testing.TB, url, credential string) {
	tb.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		tb.Error(err)
		return
	}
	r.Header.Set("Authorization", credential)
	resp, err := benchClient.Do(r)
	if err != nil {
		tb.Error(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n == 0 || resp.StatusCode != http.StatusOK {
		tb.Errorf("%d, %d bytes, %v", resp.StatusCode, n, err)
	}
}

// TestListOfManyRuns reads all of 10,000 runs: at once, and by continue.
func TestListOfManyRuns(t *testing.T) {
	const runs = 10000
	h, _, credential := newBench(t, runs)
	type page struct {
		Items []struct {
			Kind     string
			Metadata struct{ Name, ResourceVersion string }
		}
		TotalItems                int
		Continue, ResourceVersion string
	}
	read := func(query string) page {
		t.Helper()
		var p page
		if err := json.Unmarshal(benchGet(t, h, credential, devops+"/namespaces/"+benchNamespace+"/pipelineruns"+query).Body.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	all := read("?limit=-1")
	if len(all.Items) != runs || all.TotalItems != runs || all.Continue != "" || all.ResourceVersion == "" || all.Items[0].Kind != "PipelineRun" {
		t.Fatalf("%d items of %d, continue %q, resourceVersion %q, first %v", len(all.Items), all.TotalItems, all.Continue, all.ResourceVersion, all.Items[0])
	}
	query, at := "?limit=300", 0
	for {
		p := read(query)
		for _, item := range p.Items {
			if item != all.Items[at] {
				t.Fatalf("item %d is %v, want %v", at, item, all.Items[at])
			}
			at++
		}
		if p.Continue == "" {
			break
		}
		query = "?limit=300&continue=" + p.Continue
	}
	if at != runs {
		t.Errorf("%d items on all pages, want %d", at, runs)
	}
	if p := read("?page=900000&limit=20"); p.Items == nil || len(p.Items) != 0 || p.TotalItems != runs {
		t.Errorf("beyond the end: %+v, want an empty page", p)
	}
	if p := read("?limit=20&name=" + index.RunPipeline); p.Items == nil || p.TotalItems != 0 {
		t.Errorf("of nothing: %+v, want an empty list", p)
	}
}
