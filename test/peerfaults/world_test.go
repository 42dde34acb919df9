// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package peerfaults

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver"
	"github.com/slipway-dev/slipway/pkg/apiserver/options"
	"github.com/slipway-dev/slipway/pkg/authn/jwt"
	"github.com/slipway-dev/slipway/pkg/controller"
	"github.com/slipway-dev/slipway/pkg/controller/devcontainer"
	"github.com/slipway-dev/slipway/pkg/controller/pipelinerun"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/minijenkins/kube"
	minijenkins "github.com/slipway-dev/slipway/pkg/minijenkins/server"
	"github.com/slipway-dev/slipway/pkg/objectstore"
	"github.com/slipway-dev/slipway/pkg/objectstore/embedded"
	"github.com/slipway-dev/slipway/pkg/scheme"
	"github.com/slipway-dev/slipway/pkg/testing/envtest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Most of the time the tests wait.
	_ = flag.Set("test.parallel", "16")
	os.Exit(envtest.Main(m, func() {
		if shared.world != nil {
			shared.world.end()
		}
	}))
}

const (
	jenkinsUser, jenkinsToken = "admin", "a-token-for-tests"
	s3Key, s3Secret           = "access-key", "secret-key-of-tests"
	jwtSecret                 = "0123456789abcdef0123456789abcdef"
	startKey                  = "fedcba9876543210fedcba9876543210"
	eventSecret               = "the-secret-of-jenkins-events"
	hookSecret                = "the-secret-of-source-code-servers"
	workerNamespace           = "kubesphere-devops-worker"
	systemNamespace           = "kubesphere-devops-system"
	// patience bounds each wait.
	patience = 2 * time.Minute
)

// world is what all tests share.
type world struct {
	dir  string
	stop []func()
	// kube reaches Kubernetes past the wires, direct reaches minijenkins so.
	kube   client.WithWatch
	direct http.Handler
	// kubeAPI and jenkinsAPI are what the API server calls, the others what the controllers call.
	kubeAPI, kubeControllers, jenkinsAPI, jenkinsControllers *wire
	// url is the address of the API server.
	url  string
	http *http.Client
	// tokens signs.
	tokens *jwt.Issuer
	s3     string

	life *life
}

var shared struct {
	once  sync.Once
	world *world
	err   error
}

// theWorld gives the world, which the first test makes.
func theWorld(tb testing.TB) *world {
	tb.Helper()
	cfg := envtest.Config(tb)
	shared.once.Do(func() {
		shared.world = &world{http: &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 32}}}
		shared.err = shared.world.begin(cfg)
	})
	if shared.err != nil {
		tb.Fatal(shared.err)
	}
	return shared.world
}

func (w *world) end() {
	for i := len(w.stop) - 1; i >= 0; i-- {
		w.stop[i]()
	}
	_ = os.RemoveAll(w.dir)
}

func (w *world) begin(cfg *rest.Config) (err error) {
	if w.dir, err = os.MkdirTemp("", "peerfaults-"); err != nil {
		return err
	}
	cfg.QPS, cfg.Burst = 1000, 2000
	if w.kube, err = client.NewWithWatch(cfg, client.Options{Scheme: scheme.New()}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.stop = append(w.stop, cancel)
	for _, step := range []func() error{
		func() error { return w.wireKubernetes(cfg) },
		func() error { return w.roles(ctx) },
		func() error { return w.startJenkins(ctx, cfg) },
		func() error { return w.startObjectStore(ctx) },
		func() error { return w.startAPIServer(ctx) },
		func() error { w.life, err = w.startControllers(); return err },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	w.stop = append(w.stop, func() { w.life.end() })
	return nil
}

// wireKubernetes puts proxies before Kubernetes, which log in as its administrator.
func (w *world) wireKubernetes(cfg *rest.Config) error {
	transport, err := rest.TransportFor(cfg)
	if err != nil {
		return err
	}
	host := cfg.Host
	if !strings.Contains(host, "://") {
		host = "https://" + host
	}
	target, err := url.Parse(host)
	if err != nil {
		return err
	}
	proxy := &httputil.ReverseProxy{
		Transport: transport, FlushInterval: -1,
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Header.Del("Authorization") },
		ErrorLog: log.New(io.Discard, "", 0),
		ErrorHandler: func(rw http.ResponseWriter, _ *http.Request, err error) {
			http.Error(rw, err.Error(), http.StatusBadGateway)
		},
	}
	w.kubeAPI, w.kubeControllers = newWire(proxy), newWire(proxy)
	return nil
}

// roles installs the roles that the product comes with, and the namespaces.
func (w *world) roles(ctx context.Context) error {
	for _, name := range []string{workerNamespace, systemNamespace} {
		err := w.kube.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	root, err := envtest.Root()
	if err != nil {
		return err
	}
	file, err := os.Open(filepath.Join(root, "config", "rbac", "users", "roles.yaml"))
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	documents := yaml.NewYAMLOrJSONDecoder(file, 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := documents.Decode(object); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		if err := w.kube.Create(ctx, object); err != nil {
			return err
		}
	}
	// The administrator of the whole.
	return w.kube.Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "boss"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "boss"}}})
}

func (w *world) startJenkins(ctx context.Context, cfg *rest.Config) error {
	later := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.direct.ServeHTTP(rw, r) })
	w.jenkinsAPI, w.jenkinsControllers = newWire(later), newWire(later)
	base := w.jenkinsControllers.URL
	server, err := minijenkins.New(minijenkins.Config{
		StateDir: filepath.Join(w.dir, "jenkins"), BaseURL: base, Accounts: []minijenkins.Account{{Name: jenkinsUser, Token: jenkinsToken}},
		QuietPeriod: -1, StopTimeout: -1, AllowFileSCM: true,
		NewAgents: minijenkins.KubeAgents(kube.Config{REST: cfg, Namespace: workerNamespace, JenkinsURL: base}),
	})
	if err != nil {
		return err
	}
	w.direct = server.Handler()
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Run(ctx) }()
	w.stop = append([]func(){func() { <-done }}, w.stop...)
	return nil
}

func (w *world) startObjectStore(ctx context.Context) error {
	server, err := embedded.New(ctx, embedded.Config{Dir: filepath.Join(w.dir, "s3"), Address: "127.0.0.1:0", AccessKey: s3Key, SecretKey: s3Secret,
		Buckets: []string{objectstore.DefaultBucket}})
	if err != nil {
		return err
	}
	w.s3 = "http://" + server.Endpoint()
	go func() { _ = server.Serve(ctx) }()
	return nil
}

// file writes a file for a flag.
func (w *world) file(name, content string) string {
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		panic(err)
	}
	return path
}

// startAPIServer makes the API server of the options that cmd/apiserver has flags for.
func (w *world) startAPIServer(ctx context.Context) error {
	o := options.New()
	o.Kubernetes.Kubeconfig = w.file("kubeconfig", fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: %q}}]\n"+
		"contexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\ncurrent-context: c\n", w.kubeAPI.URL))
	o.Authentication.JWTSecretFile, o.Authentication.WebhookSecretFile = w.file("jwt", jwtSecret), w.file("events", eventSecret)
	o.SCM.WebhookSecretFile, o.Egress.AllowLocal = w.file("hook", hookSecret), true
	o.Files.Git.CacheDir = filepath.Join(w.dir, "git")
	o.JobTokenKeyFile = w.file("key", startKey)
	o.Backends.JenkinsURL, o.Backends.JenkinsUser, o.Backends.JenkinsTokenFile = w.jenkinsAPI.URL, jenkinsUser, w.file("token", jenkinsToken)
	o.Backends.S3Endpoint, o.Backends.S3AccessKeyFile, o.Backends.S3SecretKeyFile = w.s3, w.file("access", s3Key), w.file("secret", s3Secret)
	cfg, objects, err := o.Config(ctx)
	if err != nil {
		return err
	}
	completed, err := cfg.Complete()
	if err != nil {
		return err
	}
	server, err := apiserver.New(completed)
	if err != nil {
		return err
	}
	go func() { _ = objects.Start(ctx) }()
	listener := httptest.NewServer(server.Handler())
	w.url = listener.URL
	w.stop = append(w.stop, listener.Close)
	if w.tokens, err = jwt.NewIssuer([]byte(jwtSecret), 0); err != nil {
		return err
	}
	if !objects.WaitForCacheSync(ctx) {
		return errors.New("the cache of the API server is not filled")
	}
	return nil
}

// life is one life of the controllers.
type life struct {
	cancel context.CancelFunc
	done   chan error
	// dead: nothing that it sends has an effect any more.
	dead chan struct{}
	once sync.Once
}

// startControllers begins a life of the controllers, wired as pkg/manager does.
func (w *world) startControllers() (*life, error) {
	l := &life{done: make(chan error, 1), dead: make(chan struct{})}
	mortal := func(rt http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			select {
			case <-l.dead:
				return nil, errors.New("the process has died")
			default:
				return rt.RoundTrip(r)
			}
		})
	}
	mgr, err := ctrl.NewManager(&rest.Config{Host: w.kubeControllers.URL, QPS: 300, Burst: 600, WrapTransport: mortal}, ctrl.Options{
		Scheme: scheme.New(), Metrics: metricsserver.Options{BindAddress: "0"}, Cache: cache.Options{ByObject: controller.CacheOptions()},
		Controller: config.Controller{SkipNameValidation: new(true)}, GracefulShutdownTimeout: new(5 * time.Second),
	})
	if err != nil {
		return nil, err
	}
	o := controller.Options{StartKey: []byte(startKey), DevContainers: devcontainer.Options{AgentImage: "none.invalid/agent"},
		Runs: pipelinerun.Options{WorkerNamespace: workerNamespace, StartSettle: 2 * time.Second}}
	if o.Jenkins, err = jenkins.New(jenkins.Config{URL: w.jenkinsControllers.URL, Username: jenkinsUser, Token: jenkinsToken,
		Transport: mortal(http.DefaultTransport.(*http.Transport).Clone())}); err != nil {
		return nil, err
	}
	if o.Objects, err = objectstore.New(objectstore.Config{Endpoint: w.s3, AccessKey: s3Key, SecretKey: s3Secret, PathStyle: true}); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	if err := controller.Setup(ctx, mgr, o); err != nil {
		cancel()
		return nil, err
	}
	go func() { l.done <- mgr.Start(ctx) }()
	return l, nil
}

// die lets nothing of a life have an effect from now on.
func (l *life) die() { l.once.Do(func() { close(l.dead) }) }

func (l *life) end() {
	l.die()
	l.cancel()
	<-l.done
}

// roundTripper is a function as a http.RoundTripper.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// project is a test's own, with a user who administers it.
type project struct {
	*testing.T
	*world
	name, user string
}

// newProject makes a project that is ready, and its user.
func newProject(t *testing.T, name string) *project {
	t.Helper()
	p := &project{T: t, world: theWorld(t), name: name, user: "user-of-" + name}
	object := &devopsv1alpha3.DevOpsProject{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := p.kube.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	p.wait("the project is ready", func() (bool, string) {
		p.read(object)
		return meta.IsStatusConditionTrue(object.Status.Conditions, devopsv1alpha3.ConditionReady), fmt.Sprint(object.Status.Conditions)
	})
	p.bind(p.user, "slipway-project-admin")
	return p
}

// in gives the project for a subtest.
func (p *project) in(t *testing.T) *project {
	t.Helper()
	own := *p
	own.T = t
	return &own
}

// as gives the project for another user.
func (p *project) as(user string) *project {
	own := *p
	own.user = user
	return &own
}

// bind gives a user a role in the project, and waits until Kubernetes knows.
func (p *project) bind(user, role string) {
	p.Helper()
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: p.name, Name: user},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}}}
	if err := p.kube.Create(p.Context(), binding); err != nil {
		p.Fatal(err)
	}
	p.wait("the user has rights", func() (bool, string) {
		got := p.as(user).get(p.v3("pipelines"))
		return got.code == http.StatusOK, got.String()
	})
}

// v2 and v3 give addresses in the project.
func (p *project) v2(path string) string {
	return "/kapis/devops.kubesphere.io/v1alpha2/namespaces/" + p.name + "/" + path
}
func (p *project) v3(path string) string {
	return "/kapis/devops.kubesphere.io/v1alpha3/namespaces/" + p.name + "/" + path
}

// answer is what the API server said.
type answer struct {
	code   int
	header http.Header
	body   string
}

func (a answer) String() string { return fmt.Sprintf("%d %.600s", a.code, a.body) }

// into reads an answer that must be good.
func (a answer) into(tb testing.TB, out any) {
	tb.Helper()
	if a.code != http.StatusOK && a.code != http.StatusCreated {
		tb.Fatal(a)
	}
	if err := json.Unmarshal([]byte(a.body), out); err != nil {
		tb.Fatal(a, err)
	}
}

func (p *project) get(path string) answer { p.Helper(); return p.do(http.MethodGet, path, nil) }

// do sends a request as the user; a body that is no text is written as JSON.
func (p *project) do(method, path string, body any, header ...string) answer {
	p.Helper()
	token := ""
	if p.user != "" {
		var err error
		if token, _, err = p.tokens.Issue(p.user, nil); err != nil {
			p.Fatal(err)
		}
		token = "Bearer " + token
	}
	return p.send(p.Context(), method, path, body, append([]string{"Authorization", token}, header...)...)
}

func (w *world) send(ctx context.Context, method, path string, body any, header ...string) answer {
	var reader io.Reader
	text, isText := body.(string)
	switch {
	case isText:
		reader = strings.NewReader(text)
	case body != nil:
		raw, err := json.Marshal(body)
		if err != nil {
			panic(err)
		}
		reader = strings.NewReader(string(raw))
	}
	r, err := http.NewRequestWithContext(ctx, method, w.url+path, reader)
	if err != nil {
		panic(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i+1] != "" {
			r.Header.Set(header[i], header[i+1])
		}
	}
	resp, err := w.http.Do(r)
	if err != nil {
		return answer{body: err.Error()}
	}
	defer func() { _ = resp.Body.Close() }()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{body: err.Error()}
	}
	return answer{code: resp.StatusCode, header: resp.Header, body: string(all)}
}

// wait waits for a condition; state says how far it is.
func (p *project) wait(what string, holds func() (bool, string)) {
	p.Helper()
	var last string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		ok, state := holds()
		if ok {
			return
		}
		last = state
	}
	p.Fatalf("waited in vain until %s: %.2000s", what, last)
}

func (p *project) read(object client.Object) {
	p.Helper()
	if err := p.kube.Get(p.Context(), client.ObjectKeyFromObject(object), object); err != nil {
		p.Fatal(err)
	}
}

// newPipeline makes a pipeline with a Jenkinsfile of its own and waits until Jenkins has it.
func (p *project) newPipeline(name, jenkinsfile string, change ...func(*devopsv1alpha3.Pipeline)) *devopsv1alpha3.Pipeline {
	p.Helper()
	pipeline := &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: p.name, Name: name}}
	pipeline.Spec = devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.NoScmPipelineType, Pipeline: &devopsv1alpha3.NoScmPipeline{Name: name, Jenkinsfile: jenkinsfile}}
	for _, f := range change {
		f(pipeline)
	}
	if err := p.kube.Create(p.Context(), pipeline); err != nil {
		p.Fatal(err)
	}
	p.synced(pipeline)
	p.isCached(name)
	return pipeline
}

// isCached waits until the API server knows a pipeline, of which a delivery may be.
func (p *project) isCached(name string) {
	p.Helper()
	p.wait("the API server knows the pipeline", func() (bool, string) {
		got := p.get(p.v3("pipelines/" + name))
		return got.code == http.StatusOK, got.String()
	})
}

func (p *project) synced(pipeline *devopsv1alpha3.Pipeline) {
	p.Helper()
	p.wait("the pipeline is in Jenkins", func() (bool, string) {
		p.read(pipeline)
		return pipeline.Annotations[devopsv1alpha3.PipelineSyncStatusAnnotation] == devopsv1alpha3.SyncStatusSuccessful, fmt.Sprint(pipeline.Status.Conditions)
	})
}

// jenkinsfileOf has one stage with these steps and needs no agent.
func jenkinsfileOf(steps string) string {
	return "pipeline { agent none\n stages { stage('a') { steps {\n" + steps + "\n} } } }"
}

// startRun starts a run over the API.
func (p *project) startRun(pipeline, query string) *devopsv1alpha3.PipelineRun {
	p.Helper()
	run := &devopsv1alpha3.PipelineRun{}
	p.do(http.MethodPost, p.v3("pipelines/"+pipeline+"/pipelineruns"+query), `{"parameters":[]}`).into(p, run)
	return run
}

// newRun makes a run in Kubernetes.
func (p *project) newRun(pipeline, name string, parameters ...devopsv1alpha3.Parameter) *devopsv1alpha3.PipelineRun {
	p.Helper()
	run := &devopsv1alpha3.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: p.name, Name: name},
		Spec: devopsv1alpha3.PipelineRunSpec{PipelineRef: &corev1.ObjectReference{Name: pipeline}, Parameters: parameters}}
	if err := p.kube.Create(p.Context(), run); err != nil {
		p.Fatal(err)
	}
	return run
}

// reaches waits until a run is in a phase.
func (p *project) reaches(run *devopsv1alpha3.PipelineRun, phase devopsv1alpha3.RunPhase) {
	p.Helper()
	p.wait(fmt.Sprintf("the run %s is %s", run.Name, phase), func() (bool, string) {
		p.read(run)
		return run.Status.Phase == phase && (phase != devopsv1alpha3.Running || number(run) != ""), fmt.Sprint(run.Status.Phase, run.Status.Conditions)
	})
	p.served(run)
}

// served waits until the API server has a run as it was read in Kubernetes, or a later one: it answers from its cache.
func (p *project) served(run *devopsv1alpha3.PipelineRun) {
	p.Helper()
	version := func(r *devopsv1alpha3.PipelineRun) int {
		n, err := strconv.Atoi(r.ResourceVersion)
		if err != nil {
			p.Fatal(err)
		}
		return n
	}
	p.wait("the API server knows the run "+run.Name, func() (bool, string) {
		cached := &devopsv1alpha3.PipelineRun{}
		p.get(p.v3("pipelineruns/"+run.Name)).into(p, cached)
		return version(cached) >= version(run), cached.ResourceVersion
	})
}

// number is that of a run's build, empty if it has none.
func number(run *devopsv1alpha3.PipelineRun) string {
	return run.Annotations[devopsv1alpha3.JenkinsPipelineRunIDAnnotation]
}

// ask asks Jenkins past the wires.
func (p *project) ask(method, path string) (int, string) {
	p.Helper()
	r := httptest.NewRequestWithContext(p.Context(), method, path, nil)
	r.SetBasicAuth(jenkinsUser, jenkinsToken)
	rec := httptest.NewRecorder()
	p.direct.ServeHTTP(rec, r)
	return rec.Code, rec.Body.String()
}
