// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package faults runs the controllers against a real kube-apiserver, minijenkins over TCP and the
// embedded S3 server, and kills them, takes Jenkins away from them and loads them.
package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/controller"
	"github.com/slipway-dev/slipway/pkg/controller/pipelinerun"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/minijenkins/kube"
	minijenkins "github.com/slipway-dev/slipway/pkg/minijenkins/server"
	"github.com/slipway-dev/slipway/pkg/objectstore"
	"github.com/slipway-dev/slipway/pkg/objectstore/embedded"
	"github.com/slipway-dev/slipway/pkg/testing/envtest"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(envtest.Main(m))
}

const (
	user, token     = "admin", "a-token-for-tests"
	workerNamespace = "kubesphere-devops-worker"
	startKey        = "0123456789abcdef0123456789abcdef"
	// patience bounds every wait of a test.
	patience = 3 * time.Minute
)

// world is all that outlives the controllers: the cluster, Jenkins and the object store.
type world struct {
	testing.TB
	rest *rest.Config
	// kube and jenkins reach them without any fault.
	kube    client.WithWatch
	jenkins *jenkins.Client
	// jenkinsURL is where the controllers reach Jenkins.
	jenkinsURL string
	// gate stands before Jenkins.
	gate *gate
	// s3 is the address of the object store.
	s3 string
	// project is the one project of the test.
	project string
}

// gate lets requests through to Jenkins, or breaks their connections while Jenkins is away.
type gate struct {
	http.Handler
	away    atomic.Bool
	refused atomic.Int64
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.away.Load() {
		g.refused.Add(1)
		panic(http.ErrAbortHandler) // the connection breaks, as that of a process that was killed
	}
	g.Handler.ServeHTTP(w, r)
}

func newWorld(tb testing.TB, change func(*minijenkins.Config)) *world {
	tb.Helper()
	w := &world{TB: tb, rest: envtest.Config(tb), kube: envtest.Client(tb), gate: &gate{}}
	w.rest.QPS, w.rest.Burst = 1000, 2000
	w.namespace(workerNamespace)
	w.startJenkins(change)
	w.startObjectStore()
	var err error
	if w.jenkins, err = jenkins.New(jenkins.Config{URL: w.jenkinsURL, Username: user, Token: token}); err != nil {
		tb.Fatal(err)
	}
	return w
}

func (w *world) namespace(name string) {
	w.Helper()
	err := w.kube.Create(w.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		w.Fatal(err)
	}
}

func (w *world) startJenkins(change func(*minijenkins.Config)) {
	w.Helper()
	listener := httptest.NewUnstartedServer(w.gate)
	w.jenkinsURL = "http://" + listener.Listener.Addr().String()
	cfg := minijenkins.Config{
		StateDir: w.TempDir(), BaseURL: w.jenkinsURL, Accounts: []minijenkins.Account{{Name: user, Token: token}},
		QuietPeriod: -1, StopTimeout: -1,
		NewAgents: minijenkins.KubeAgents(kube.Config{REST: w.rest, Namespace: workerNamespace, JenkinsURL: w.jenkinsURL}),
	}
	if change != nil {
		change(&cfg)
	}
	server, err := minijenkins.New(cfg)
	if err != nil {
		w.Fatal(err)
	}
	w.gate.Handler = server.Handler()
	listener.Start()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	w.Cleanup(func() {
		listener.CloseClientConnections()
		listener.Close()
		cancel()
		if err := <-done; err != nil {
			w.Errorf("minijenkins: %v", err)
		}
	})
}

const s3Key, s3Secret = "access-key", "secret-key-of-tests"

func (w *world) startObjectStore() {
	w.Helper()
	server, err := embedded.New(w.Context(), embedded.Config{Dir: w.TempDir(), Address: "127.0.0.1:0", AccessKey: s3Key, SecretKey: s3Secret,
		Buckets: []string{objectstore.DefaultBucket}})
	if err != nil {
		w.Fatal(err)
	}
	w.s3 = "http://" + server.Endpoint()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx) }()
	w.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.Errorf("object store: %v", err)
		}
	})
}

// process is one life of the controllers.
type process struct {
	cancel context.CancelFunc
	done   chan error
	// dead: nothing that it sends has an effect any more.
	dead atomic.Bool
}

// startControllers begins a life. Its calls go through the middleware.
func (w *world) startControllers(through func(*process, http.RoundTripper, string) http.RoundTripper, options controller.Options) *process {
	w.Helper()
	p := &process{done: make(chan error, 1)}
	wrap := func(rt http.RoundTripper, kind string) http.RoundTripper {
		if through == nil {
			return rt
		}
		return through(p, rt, kind)
	}
	cfg := rest.CopyConfig(w.rest)
	cfg.WrapTransport = func(rt http.RoundTripper) http.RoundTripper { return wrap(rt, "kube") }
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme: envtest.Scheme(), Metrics: metricsserver.Options{BindAddress: "0"}, Cache: cache.Options{ByObject: controller.CacheOptions()},
		Controller: config.Controller{SkipNameValidation: new(true)}, GracefulShutdownTimeout: new(5 * time.Second),
	})
	if err != nil {
		w.Fatal(err)
	}
	if options.Jenkins, err = jenkins.New(jenkins.Config{URL: w.jenkinsURL, Username: user, Token: token,
		Transport: wrap(newTransport(), "jenkins")}); err != nil {
		w.Fatal(err)
	}
	if options.Objects, err = objectstore.New(objectstore.Config{Endpoint: w.s3, AccessKey: s3Key, SecretKey: s3Secret, PathStyle: true,
		Transport: wrap(newTransport(), "s3")}); err != nil {
		w.Fatal(err)
	}
	options.StartKey = []byte(startKey)
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	if err := controller.Setup(ctx, mgr, options); err != nil {
		w.Fatal(err)
	}
	go func() { p.done <- mgr.Start(ctx) }()
	return p
}

// newTransport is one of a process's own, whose connections end with it.
func newTransport() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost, t.MaxConnsPerHost = 32, 256
	return t
}

// kill ends a life as kill -9 would: from now on nothing of it has an effect.
func (p *process) kill() {
	p.dead.Store(true)
	p.stop()
}

func (p *process) stop() {
	p.cancel()
	<-p.done
}

// newProject makes a project and waits until it is ready.
func (w *world) newProject(name string) {
	w.Helper()
	w.project = name
	project := &devopsv1alpha3.DevOpsProject{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := w.kube.Create(w.Context(), project); err != nil {
		w.Fatal(err)
	}
	w.wait("the project is ready", func() (bool, string) {
		w.get(project)
		c := meta.FindStatusCondition(project.Status.Conditions, devopsv1alpha3.ConditionReady)
		return c != nil && c.Status == metav1.ConditionTrue, fmt.Sprint(c)
	})
}

// newPipeline makes a pipeline and waits until it is in Jenkins.
func (w *world) newPipeline(name, jenkinsfile string, parameters ...devopsv1alpha3.ParameterDefinition) {
	w.Helper()
	p := &devopsv1alpha3.Pipeline{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.project, Name: name},
		Spec: devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.NoScmPipelineType, Pipeline: &devopsv1alpha3.NoScmPipeline{
			Name: name, Jenkinsfile: jenkinsfile, Parameters: parameters,
		}},
	}
	if err := w.kube.Create(w.Context(), p); err != nil {
		w.Fatal(err)
	}
	w.wait("the pipeline is in Jenkins", func() (bool, string) {
		w.get(p)
		return p.Annotations[devopsv1alpha3.PipelineSyncStatusAnnotation] == devopsv1alpha3.SyncStatusSuccessful, fmt.Sprint(p.Status.Conditions)
	})
}

func (w *world) newRun(pipeline, name string, parameters ...devopsv1alpha3.Parameter) *devopsv1alpha3.PipelineRun {
	w.Helper()
	run := &devopsv1alpha3.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.project, Name: name},
		Spec: devopsv1alpha3.PipelineRunSpec{
			PipelineRef: &corev1.ObjectReference{Name: pipeline}, Parameters: parameters,
		},
	}
	if err := w.kube.Create(w.Context(), run); err != nil {
		w.Fatal(err)
	}
	return run
}

func (w *world) get(obj client.Object) {
	w.Helper()
	if err := w.kube.Get(w.Context(), client.ObjectKeyFromObject(obj), obj); err != nil {
		w.Fatal(err)
	}
}

func (w *world) runs() []devopsv1alpha3.PipelineRun {
	w.Helper()
	list := &devopsv1alpha3.PipelineRunList{}
	if err := w.kube.List(w.Context(), list, client.InNamespace(w.project)); err != nil {
		w.Fatal(err)
	}
	return list.Items
}

// wait waits for a condition; state says how far it is.
func (w *world) wait(what string, holds func() (bool, string)) {
	w.Helper()
	w.waitFor(patience, what, holds)
}

func (w *world) waitFor(patience time.Duration, what string, holds func() (bool, string)) {
	w.Helper()
	var last string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		ok, state := holds()
		if ok {
			return
		}
		last = state
	}
	w.Fatalf("waited %s in vain until %s: %s", patience, what, last)
}

// build is a build as Jenkins itself has it.
type build struct {
	Number    int64  `json:"number"`
	Result    string `json:"result"`
	Building  bool   `json:"building"`
	Timestamp int64  `json:"timestamp"`
	Duration  int64  `json:"duration"`
	Actions   []struct {
		Causes []struct {
			Note             string `json:"note"`
			ShortDescription string `json:"shortDescription"`
		} `json:"causes"`
	} `json:"actions"`
}

// run gives the UID of the run that the build was started for.
func (b *build) run() string {
	for _, a := range b.Actions {
		for _, c := range a.Causes {
			if len(c.Note) > len(pipelinerun.CausePrefix) && c.Note[:len(pipelinerun.CausePrefix)] == pipelinerun.CausePrefix {
				return c.Note[len(pipelinerun.CausePrefix):]
			}
		}
	}
	return ""
}

func (b *build) end() time.Time { return time.UnixMilli(b.Timestamp + b.Duration) }

// builds asks Jenkins for all builds of the project, past the client that is tested. It works while
// Jenkins is away for the controllers.
func (w *world) builds() map[string][]build {
	w.Helper()
	req := httptest.NewRequestWithContext(w.Context(), http.MethodGet,
		"/job/"+w.project+"/api/json?tree=jobs[name,allBuilds[number,result,building,timestamp,duration,actions[causes[note,shortDescription]]]]", nil)
	req.SetBasicAuth(user, token)
	rec := httptest.NewRecorder()
	w.gate.Handler.ServeHTTP(rec, req)
	var out struct {
		Jobs []struct {
			Name      string  `json:"name"`
			AllBuilds []build `json:"allBuilds"`
		} `json:"jobs"`
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
		w.Fatalf("builds of Jenkins: %d %v", rec.Code, err)
	}
	all := map[string][]build{}
	for _, j := range out.Jobs {
		all[j.Name] = j.AllBuilds
	}
	return all
}

// counter counts calls by what they are.
type counter struct {
	mu    sync.Mutex
	calls map[string]int
}

func (c *counter) add(call string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls == nil {
		c.calls = map[string]int{}
	}
	c.calls[call]++
}

func (c *counter) total() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, v := range c.calls {
		n += v
	}
	return n
}

// roundTripper is a function as a http.RoundTripper.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
