// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package envtest gives tests a real Kubernetes API: one kube-apiserver with its etcd for each test
// binary, with the project's resource definitions installed. There are no other parts of
// Kubernetes: no pod runs, no garbage is collected and a deleted namespace stays "Terminating".
//
// A package uses it so:
//
//	func TestMain(m *testing.M) { os.Exit(envtest.Main(m)) }
//
//	func TestSomething(t *testing.T) {
//		c, ns := envtest.Client(t), envtest.Namespace(t)
//		…
//	}
//
// The server starts with the first test that asks for it, so that tests which need none stay fast.
// Its binaries are made by "make build-cluster"; a test without them fails and says so, unless the
// environment has SLIPWAY_SKIP_ENVTEST=1, which skips it.
package envtest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/slipway-dev/slipway/config/crd"
	"github.com/slipway-dev/slipway/pkg/scheme"
)

const (
	// SkipEnv is the environment variable that, set to 1, skips every test of this package's users
	// that needs a server.
	SkipEnv = "SLIPWAY_SKIP_ENVTEST"
	// AssetsEnv is the environment variable that names the directory of the binaries. Default
	// <repository>/.run/bin.
	AssetsEnv = "KUBEBUILDER_ASSETS"

	modulePath = "github.com/slipway-dev/slipway"

	// startTimeout is generous: several test binaries may start their servers at once on one small
	// machine, and a start that is cut off costs more than one that is slow.
	startTimeout = 2 * time.Minute
	stopTimeout  = 30 * time.Second
	// managerTimeout bounds the start (cache sync) and the stop of a manager.
	managerTimeout = 60 * time.Second
	// stopAhead is how long before the time limit of the test binary the server is stopped.
	stopAhead = 3 * time.Second
)

var (
	// ErrSkipped says that the environment asks to skip tests that need a server.
	ErrSkipped = errors.New(SkipEnv + "=1 skips tests that need a kube-apiserver")
	// ErrNoBinaries says that kube-apiserver or etcd are not there.
	ErrNoBinaries = errors.New("the kube-apiserver and etcd for tests are not built: run `make build-cluster`")
	// ErrNoMain says that the test binary would leave its server running.
	ErrNoMain = errors.New("the package needs `func TestMain(m *testing.M) { os.Exit(envtest.Main(m)) }`")
)

// binaries that a server needs.
var binaries = []string{"kube-apiserver", "etcd"}

// shared is the server of this test binary.
var shared instance

type instance struct {
	managed bool // Main is there to stop it

	start sync.Once
	conf  *rest.Config
	err   error

	// started is the server once it runs; it may be stopped from another goroutine.
	started atomic.Pointer[envtest.Environment]
	end     sync.Once
	endErr  error
}

// Main runs the tests of m and stops the server afterwards, if one was started. It gives the code
// to exit with. What uses the server beyond the tests is ended before: by the functions, in their order.
func Main(m *testing.M, before ...func()) int {
	shared.managed = true
	ctrl.SetLogger(logr.Discard()) // else controller-runtime prints a stack that says there is none
	flag.Parse()                   // m.Run would do it, too late for the time limit
	if limit := timeLimit(); limit > stopAhead {
		// A test binary that runs into its limit ends at once and would leave the server running.
		defer time.AfterFunc(limit-stopAhead, func() { _ = shared.stop() }).Stop()
	}
	code := m.Run()
	for _, end := range before {
		end()
	}
	if err := shared.stop(); err != nil {
		fmt.Fprintf(os.Stderr, "envtest: stop: %v\n", err)
		if code == 0 {
			code = 1
		}
	}
	return code
}

// timeLimit is the limit of the test binary ("go test -timeout"); 0 for none.
func timeLimit() time.Duration {
	f := flag.Lookup("test.timeout")
	if f == nil {
		return 0
	}
	getter, ok := f.Value.(flag.Getter)
	if !ok {
		return 0
	}
	limit, _ := getter.Get().(time.Duration)
	return limit
}

// Config gives the address and the administrator's credentials of the server and starts it first
// if need be. It is a copy that the caller may change. Without the binaries the test fails.
func Config(t testing.TB) *rest.Config {
	t.Helper()
	shared.start.Do(func() { shared.err = shared.run() })
	switch {
	case errors.Is(shared.err, ErrSkipped):
		t.Skip(shared.err)
	case shared.err != nil:
		t.Fatal(shared.err)
	}
	return rest.CopyConfig(shared.conf)
}

// Client gives a client without a cache, as the administrator, that knows the types of Scheme.
func Client(t testing.TB) client.WithWatch {
	t.Helper()
	c, err := client.NewWithWatch(Config(t), client.Options{Scheme: Scheme()})
	if err != nil {
		t.Fatalf("envtest: make a client: %v", err)
	}
	return c
}

// User gives the configuration of another user, who has the groups and what RBAC gives them.
func User(t testing.TB, name string, groups ...string) *rest.Config {
	t.Helper()
	base := Config(t)
	user, err := shared.started.Load().AddUser(envtest.User{Name: name, Groups: groups}, &rest.Config{QPS: base.QPS, Burst: base.Burst})
	if err != nil {
		t.Fatalf("envtest: add user %s: %v", name, err)
	}
	return user.Config()
}

// Namespace makes a namespace for one test and gives its name. It is not removed: nothing would
// collect what is in it, and the server's data end with the test binary.
func Namespace(t testing.TB) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: namePrefix(t.Name())}}
	if err := Client(t).Create(t.Context(), namespace); err != nil {
		t.Fatalf("envtest: make a namespace: %v", err)
	}
	return namespace.Name
}

// NewManager gives a manager that is not started and sees only the namespaces given (all of them if
// none is), so that tests do not work on each other's objects. It serves no metrics.
func NewManager(t testing.TB, namespaces ...string) ctrl.Manager {
	t.Helper()
	options := ctrl.Options{
		Scheme:  Scheme(),
		Metrics: server.Options{BindAddress: "0"},
		// Every test sets its controllers up anew, in one process.
		Controller: config.Controller{SkipNameValidation: new(true)},
	}
	if len(namespaces) > 0 {
		options.Cache.DefaultNamespaces = map[string]cache.Config{}
		for _, namespace := range namespaces {
			options.Cache.DefaultNamespaces[namespace] = cache.Config{}
		}
	}
	mgr, err := ctrl.NewManager(Config(t), options)
	if err != nil {
		t.Fatalf("envtest: make a manager: %v", err)
	}
	return mgr
}

// Start runs a manager, waits until its caches are filled, and stops it at the end of the test.
func Start(t testing.TB, mgr ctrl.Manager) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("envtest: manager: %v", err)
			}
		case <-time.After(managerTimeout):
			t.Errorf("envtest: the manager did not stop within %s", managerTimeout)
		}
	})
	select {
	case <-mgr.Elected(): // closed once caches are filled and controllers are started
	case err := <-done:
		done <- err
		t.Fatalf("envtest: the manager ended at its start: %v", err)
	case <-time.After(managerTimeout):
		t.Fatalf("envtest: the manager did not start within %s", managerTimeout)
	}
}

// Scheme knows Kubernetes' own types and those of this project. Each call gives a new one.
func Scheme() *runtime.Scheme { return scheme.New() }

// run starts the server.
func (i *instance) run() error {
	if os.Getenv(SkipEnv) == "1" {
		return ErrSkipped
	}
	if !i.managed {
		return ErrNoMain
	}
	assets, err := assetsDir()
	if err != nil {
		return err
	}
	definitions, err := crd.All()
	if err != nil {
		return fmt.Errorf("envtest: %w", err)
	}
	env := &envtest.Environment{
		BinaryAssetsDirectory:    assets,
		CRDs:                     definitions,
		Scheme:                   Scheme(),
		ControlPlaneStartTimeout: startTimeout,
		ControlPlaneStopTimeout:  stopTimeout,
	}
	api := env.ControlPlane.GetAPIServer()
	api.Path = filepath.Join(assets, "kube-apiserver")
	// The default range has 254 addresses, fewer than a large test may ask Services for.
	api.Configure().Set("service-cluster-ip-range", "10.96.0.0/16")
	env.ControlPlane.Etcd = &envtest.Etcd{Path: filepath.Join(assets, "etcd")}
	env.ControlPlane.Etcd.Configure().Append("unsafe-no-fsync", "true")
	conf, err := env.Start()
	if err != nil {
		// What did start must not outlive the test.
		return errors.Join(fmt.Errorf("envtest: start kube-apiserver and etcd of %s: %w", assets, err), env.Stop())
	}
	i.conf = conf
	i.started.Store(env)
	return nil
}

// stop ends the server, once.
func (i *instance) stop() error {
	i.end.Do(func() {
		if env := i.started.Load(); env != nil {
			i.endErr = env.Stop()
		}
	})
	return i.endErr
}

// assetsDir gives the directory that has all binaries.
func assetsDir() (string, error) {
	dir := os.Getenv(AssetsEnv)
	if dir == "" {
		root, err := Root()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(root, ".run", "bin")
	}
	for _, name := range binaries {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			return "", fmt.Errorf("%w (no %s in %s)", ErrNoBinaries, name, dir)
		}
	}
	return dir, nil
}

var moduleLine = regexp.MustCompile(`(?m)^module\s+` + regexp.QuoteMeta(modulePath) + `\s*$`)

// Root gives the root of the checkout: the nearest directory, from the working directory upwards,
// whose go.mod is this module's. A test's working directory is its package's.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("envtest: find the checkout: %w", err)
	}
	for at := dir; ; at = filepath.Dir(at) {
		content, err := os.ReadFile(filepath.Join(at, "go.mod"))
		if err == nil && moduleLine.Match(content) {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("envtest: %s is not inside a checkout of %s: set %s to the directory of kube-apiserver and etcd", dir, modulePath, AssetsEnv)
		}
	}
}

// namePrefix turns a test's name into the beginning of a namespace's name.
func namePrefix(test string) string {
	const maxLength = 40 // of 63, the rest is for the suffix
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(strings.TrimPrefix(test, "Test")))
	if len(name) > maxLength {
		name = name[:maxLength]
	}
	return "t-" + strings.Trim(name, "-") + "-"
}
