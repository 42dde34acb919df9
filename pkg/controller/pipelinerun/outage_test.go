// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/controller/pipeline"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/jenkins/jobxml"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/kube"
	minijenkins "github.com/slipway-dev/slipway/pkg/minijenkins/server"
)

// noAgents is a cluster without agents, for pipelines that need none.
type noAgents struct{}

func (noAgents) ForBuild(kube.Build) engine.AgentProvider { return noAgents{} }
func (noAgents) Agents() []kube.AgentInfo                 { return nil }
func (noAgents) Reap(context.Context) error               { return nil }
func (noAgents) Run(ctx context.Context) error            { <-ctx.Done(); return nil }
func (noAgents) HasLabel(string) bool                     { return false }
func (noAgents) Acquire(context.Context, engine.AgentRequest, func(string)) (engine.Agent, error) {
	return nil, errors.New("there are no agents")
}

// line is the way to Jenkins, which can be cut.
type line struct {
	jenkins http.Handler
	mu      sync.Mutex
	cut     bool
	// tries are the times of the calls while it was cut.
	tries []time.Time
}

func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	l.mu.Lock()
	cut := l.cut
	if cut {
		l.tries = append(l.tries, time.Now())
	}
	l.mu.Unlock()
	if cut {
		return nil, syscall.ECONNREFUSED
	}
	rec := httptest.NewRecorder()
	in := r.Clone(r.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	in.RequestURI = r.URL.RequestURI()
	l.jenkins.ServeHTTP(rec, in)
	return rec.Result(), nil
}

func (l *line) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
}

// outage is a controller with its queue and workers, in the simulated time of a bubble.
type outage struct {
	*bench
	line  *line
	queue workqueue.TypedRateLimitingInterface[types.NamespacedName]
	// client is Jenkins past the line.
	client *jenkins.Client
}

// awayCases are pipelines and how their runs end.
var awayCases = map[string]struct{ steps, want string }{
	"good":     {"sleep 400", "Succeeded/Success"},
	"unstable": {"sleep 300\nunstable 'shaky'", "Succeeded/Unstable"},
	"bad":      {"sleep 200\nerror 'broken'", "Failed/Failure"},
	"long":     {"sleep 900", "Succeeded/Success"},
}

func newOutage(t *testing.T) *outage {
	t.Helper()
	server, err := minijenkins.New(minijenkins.Config{
		StateDir: t.TempDir(), BaseURL: "http://jenkins.test", Accounts: []minijenkins.Account{{Name: "admin", Token: "t"}},
		QuietPeriod: -1, StopTimeout: -1, NewAgents: func(minijenkins.AgentDeps) (minijenkins.AgentSource, error) { return noAgents{}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	o := &outage{line: &line{jenkins: server.Handler()}}
	newClient := func(rt http.RoundTripper) *jenkins.Client {
		c, err := jenkins.New(jenkins.Config{URL: "http://jenkins.test", Username: "admin", Token: "t", Transport: rt})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	o.client = newClient(&line{jenkins: server.Handler()})
	o.run(t, server.Run)
	if err := o.client.EnsureFolder(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	var objects []client.Object
	for name, c := range awayCases {
		p := syncedPipeline(name)
		p.Spec.Pipeline.Jenkinsfile = "pipeline { agent none; stages { stage('a') { steps {\n" + c.steps + "\n} } } }"
		doc, err := jobxml.Render(&p.Spec, jobxml.Options{AuthToken: pipeline.StartToken([]byte("0123456789abcdef"), p)})
		if err != nil {
			t.Fatal(err)
		}
		if err := o.client.PutJob(t.Context(), ns, name, doc); err != nil {
			t.Fatal(err)
		}
		objects = append(objects, p)
	}
	o.bench = newBench(t, objects...)
	o.work(t, newClient(o.line))
	return o
}

// run runs a part until the end of the test.
func (o *outage) run(t *testing.T, part func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- part(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// work replaces what the bench has in memory by the real client and real time, and starts workers as
// controller-runtime would.
func (o *outage) work(t *testing.T, client *jenkins.Client) {
	t.Helper()
	watcher, err := NewWatcher(client, WatcherOptions{})
	if err != nil {
		t.Fatal(err)
	}
	o.r.Jenkins, o.r.Watcher, o.r.Now, o.r.starts = client, watcher, time.Now, nil
	o.r.setDefaults()
	o.queue = workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[types.NamespacedName]())
	o.run(t, watcher.Start)
	o.run(t, func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case e := <-watcher.Events():
				o.queue.Add(types.NamespacedName{Namespace: ns, Name: e.Object.GetName()})
			}
		}
	})
	o.run(t, func(ctx context.Context) error {
		var wg sync.WaitGroup
		for range o.r.Options.Concurrency {
			wg.Go(func() {
				for o.next(ctx) {
				}
			})
		}
		<-ctx.Done()
		o.queue.ShutDown()
		wg.Wait()
		return nil
	})
}

func (o *outage) next(ctx context.Context) bool {
	key, shutdown := o.queue.Get()
	if shutdown {
		return false
	}
	defer o.queue.Done(key)
	result, err := o.r.Reconcile(ctx, ctrl.Request{NamespacedName: key})
	switch {
	case err != nil:
		o.queue.AddRateLimited(key)
	case result.RequeueAfter > 0:
		o.queue.Forget(key)
		o.queue.AddAfter(key, result.RequeueAfter)
	default:
		o.queue.Forget(key)
	}
	return true
}

// TestJenkinsAwayForTenMinutes takes Jenkins away from 100 live runs for ten simulated minutes. Most
// of their builds end meanwhile; all runs must end as Jenkins says, and Jenkins must not be flooded.
func TestJenkinsAwayForTenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const runs, away = 100, 10 * time.Minute
		o := newOutage(t)
		var names []string
		for i := range runs {
			for pipelineName := range awayCases {
				if len(names) == runs {
					break
				}
				pr := newRun(fmt.Sprintf("%s-%03d", pipelineName, i))
				pr.Spec.PipelineRef.Name = pipelineName
				if err := o.cluster.Create(t.Context(), pr); err != nil {
					t.Fatal(err)
				}
				names = append(names, pr.Name)
				o.queue.Add(client.ObjectKeyFromObject(pr))
			}
		}
		o.sleep(t, 100*time.Second)
		for _, name := range names {
			if got := verdict(o.get(name)); got != "Running/Running" {
				t.Fatalf("%s is %s before Jenkins is away", name, got)
			}
		}
		o.line.set(true)
		o.sleep(t, time.Minute)
		for _, name := range names {
			if got := message(o.get(name)); !strings.Contains(got, "Jenkins does not answer since 2000-01-01T00:01:4") {
				t.Errorf("a minute later %s says %q", name, got)
			}
		}
		o.sleep(t, away-time.Minute)
		o.line.set(false)
		back := time.Now()
		o.sleep(t, 40*time.Second) // one probe at its rarest, and a look
		for _, name := range names {
			if !ended(o.get(name)) && awayCases[o.get(name).Spec.PipelineRef.Name].steps != "sleep 900" {
				t.Errorf("%s, whose build ended while Jenkins was away, is %s %s after it is back", name, verdict(o.get(name)), time.Since(back))
			}
		}
		for open := len(names); open > 0; o.sleep(t, time.Second) {
			if open = 0; time.Since(back) > 20*time.Minute {
				t.Fatalf("%d runs have not ended", open)
			}
			for _, name := range names {
				if !ended(o.get(name)) {
					open++
				}
			}
		}
		for _, name := range names {
			pr := o.get(name)
			if want := awayCases[pr.Spec.PipelineRef.Name].want; verdict(pr) != want {
				t.Errorf("%s ended as %s, want %s", name, verdict(pr), want)
			}
			build, err := o.client.GetRun(t.Context(), ns, pr.Spec.PipelineRef.Name, numberIn(pr, devopsv1alpha3.JenkinsPipelineRunIDAnnotation))
			if err != nil {
				t.Fatal(err)
			}
			if got := observe(build); string(got.phase)+"/"+got.reason != verdict(pr) {
				t.Errorf("%s is %s, Jenkins says %s/%s", name, verdict(pr), got.phase, got.reason)
			}
		}
		tries := o.line.tries
		most := mostWithin(tries, time.Second)
		t.Logf("away %s with %d live runs: %d calls to Jenkins, %.2f a second, at most %d within one second", away, runs, len(tries), float64(len(tries))/away.Seconds(), most)
		if float64(len(tries)) > 2*away.Seconds() {
			t.Errorf("%d calls in %s are more than two a second", len(tries), away)
		}
	})
}

// sleep lets the simulated time go on until all is quiet.
func (o *outage) sleep(t *testing.T, d time.Duration) {
	t.Helper()
	time.Sleep(d)
	synctest.Wait()
}

func mostWithin(times []time.Time, window time.Duration) (most int) {
	from := 0
	for i, t := range times {
		for t.Sub(times[from]) > window {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

// TestRefusedCredentials: who reads the run learns that Jenkins is there, and what to look at.
func TestRefusedCredentials(t *testing.T) {
	b := newBench(t, syncedPipeline("build"), newRun("started"), newRun("new"))
	b.jenkins.endless = true
	b.until("started", running)
	b.jenkins.err = answer(http.StatusUnauthorized, jenkins.ErrUnauthorized, "Invalid password/token")
	b.step()
	for _, name := range []string{"started", "new"} {
		b.pass(name)
		if got := b.get(name); !strings.Contains(message(got), "refuses Slipway's own user and token since") {
			t.Errorf("%s: %s: %q", name, verdict(got), message(got))
		}
	}
	b.jenkins.err = nil
	b.until("new", running)
	b.until("started", func(pr *devopsv1alpha3.PipelineRun) bool { return !strings.Contains(message(pr), "refuses") })
}
