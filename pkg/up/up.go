// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package up

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"text/template"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/slipway-dev/slipway/pkg/apiserver"
	"github.com/slipway-dev/slipway/pkg/controller"
	"github.com/slipway-dev/slipway/pkg/controller/devcontainer"
	"github.com/slipway-dev/slipway/pkg/controller/pipelinerun"
	"github.com/slipway-dev/slipway/pkg/gitfiles"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/kubeconfig"
	"github.com/slipway-dev/slipway/pkg/objectstore"
	"github.com/slipway-dev/slipway/pkg/scheme"
	"github.com/slipway-dev/slipway/pkg/store"
)

// The lease is short: a process that was killed on another machine is replaced soon.
const (
	leaseDuration = 10 * time.Second
	renewDeadline = 7 * time.Second
	retryPeriod   = 2 * time.Second
)

// instance is one run of `slipway up`.
type instance struct {
	options *Options
	out     io.Writer
	rest    *rest.Config
	scheme  *runtime.Scheme
	client  client.Client
	lock    resourcelock.Interface
	keys    *serverKeys
	manager ctrl.Manager
	jenkins *jenkins.Client
	objects *objectstore.Store
	git     *gitfiles.Cache
	state   *State
	// listener is the API server's.
	listener net.Listener
}

// Run starts everything and serves until ctx ends or a part fails. What it says goes to out.
func Run(ctx context.Context, options *Options, out io.Writer) (err error) {
	if err := options.Validate(); err != nil {
		return err
	}
	began := time.Now()
	// Other commands read the state from other folders.
	if options.StateDir, err = filepath.Abs(options.StateDir); err != nil {
		return fmt.Errorf("--state-dir: %w", err)
	}
	file, err := lockState(options.StateDir)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	// One that was killed could not take back what it said of itself.
	if err := os.Remove(filepath.Join(options.StateDir, StateFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove what the last `slipway up` left: %w", err)
	}
	logger, err := logToFile(options.StateDir)
	if err != nil {
		return err
	}
	defer klog.Flush()
	ctx = ctrl.LoggerInto(ctx, logger)
	u := &instance{options: options, out: out}
	// An address that is taken is told before anything is done to the cluster.
	if err := u.listen(ctx); err != nil {
		return err
	}
	defer func() { _ = u.listener.Close() }() // closed twice if it was served
	if err := u.connect(ctx); err != nil {
		return err
	}
	if u.keys, err = bootstrap(ctx, u.client, options); err != nil {
		return fmt.Errorf("prepare the cluster: %w", err)
	}
	passwordFile, err := ensureAdmin(ctx, u.client, options)
	if err != nil {
		return err
	}
	u.state = &State{PID: os.Getpid(), Username: options.AdminUser, PasswordFile: passwordFile, Kubeconfig: kubeconfig.Path(options.Kubeconfig),
		Bucket: options.Backends.S3Bucket, WorkerNamespace: options.WorkerNamespace, SystemNamespace: options.SystemNamespace,
		HostIP: options.HostIP, DevImage: options.DevImage}
	return u.run(ctx, began)
}

// connect reads the kubeconfig and checks that the cluster answers and is not in use.
func (u *instance) connect(ctx context.Context) (err error) {
	if u.rest, err = restConfig(u.options); err != nil {
		return err
	}
	version, err := kubeconfig.Check(u.rest)
	if err != nil {
		return err
	}
	u.say("Kubernetes %s at %s\n", version, u.rest.Host)
	u.scheme = scheme.New()
	if u.client, err = client.New(u.rest, client.Options{Scheme: u.scheme}); err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	if u.lock, err = newLock(u.rest, u.options); err != nil {
		return err
	}
	holder, err := otherHolder(ctx, u.lock)
	if err != nil {
		return err
	}
	if holder != "" {
		return fmt.Errorf("another Slipway (%s) runs the controllers of this cluster: stop it first, or use another cluster", holder)
	}
	return nil
}

// run starts the parts one after another and waits until all have ended.
func (u *instance) run(ctx context.Context, began time.Time) (err error) {
	// The embedded servers outlive the controllers and the API server that call them.
	servers, stopServers := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServers()
	backends, servers := errgroup.WithContext(servers)
	frontends, work := errgroup.WithContext(ctx)
	// A backend that fails ends everything.
	frontends.Go(func() error {
		select {
		case <-work.Done():
			return nil
		case <-servers.Done():
			return errors.New("an embedded server ended")
		}
	})
	err = u.start(work, servers, frontends, backends)
	if err == nil {
		if err := u.banner(time.Since(began)); err != nil {
			u.say("%v\n", err)
		}
		err = frontends.Wait()
		u.say("stopping; Ctrl-C once more ends it at once, and builds still go on after the next start\n")
	} else {
		frontends.Go(func() error { return err })
		_ = frontends.Wait() // gives err again
	}
	stopServers()
	if removed := os.Remove(filepath.Join(u.options.StateDir, StateFile)); !errors.Is(removed, os.ErrNotExist) {
		err = errors.Join(err, removed)
	}
	return errors.Join(err, backends.Wait())
}

func (u *instance) start(work, servers context.Context, frontends, backends *errgroup.Group) (err error) {
	if u.jenkins, u.state.Jenkins, err = u.startJenkins(servers, backends); err != nil {
		return err
	}
	if !u.state.Jenkins.Embedded {
		check := &inspection{jenkins: u.jenkins, url: u.state.Jenkins.URL, cloud: u.options.Cloud, patience: jenkinsStart, say: u.say}
		if err := check.run(work); err != nil {
			return err
		}
	}
	if u.objects, u.state.S3, err = startObjectStore(servers, backends, u.options); err != nil {
		return err
	}
	if err := u.setupManager(work); err != nil {
		return err
	}
	frontends.Go(func() error {
		if err := u.manager.Start(work); err != nil {
			return fmt.Errorf("controllers: %w", err)
		}
		return nil
	})
	if !u.manager.GetCache().WaitForCacheSync(work) {
		return errors.New("the cluster's objects could not be read; see the messages above")
	}
	if u.state.URL, err = u.startAPIServer(work, frontends); err != nil {
		return err
	}
	return u.state.write(u.options.StateDir)
}

func (u *instance) setupManager(ctx context.Context) (err error) {
	u.manager, err = ctrl.NewManager(u.rest, ctrl.Options{
		Scheme:                              u.scheme,
		Cache:                               cache.Options{ByObject: controller.CacheOptions(), DefaultTransform: store.Transform()},
		Metrics:                             metricsserver.Options{BindAddress: "0"}, // the API server shows the metrics of the process
		LeaderElection:                      true,
		LeaderElectionResourceLockInterface: u.lock,
		LeaderElectionReleaseOnCancel:       true,
		LeaseDuration:                       ptr.To(leaseDuration),
		RenewDeadline:                       ptr.To(renewDeadline),
		RetryPeriod:                         ptr.To(retryPeriod),
	})
	if err != nil {
		return fmt.Errorf("make manager: %w", err)
	}
	if err := index.RegisterSCM(ctx, u.manager.GetFieldIndexer()); err != nil {
		return err
	}
	// What the API server reads is asked for now, so that its first request does not wait for it.
	for _, kind := range apiserver.CachedKinds() {
		if _, err := u.manager.GetCache().GetInformer(ctx, kind, cache.BlockUntilSynced(false)); err != nil {
			return fmt.Errorf("read the cluster's objects: %w", err)
		}
	}
	git := u.options.Git
	git.CacheDir = cmp.Or(git.CacheDir, filepath.Join(u.options.StateDir, "git"))
	if u.git, err = git.Cache(u.options.Egress); err != nil {
		return err
	}
	notifications := u.options.Notifications
	notifications.AllowLocal = u.options.Egress.AllowLocal
	return controller.Setup(ctx, u.manager, controller.Options{
		Jenkins: u.jenkins, Cloud: u.options.Cloud, Objects: u.objects, Git: u.git, StartKey: u.keys.jobToken,
		Runs:          pipelinerun.Options{WorkerNamespace: u.options.WorkerNamespace, StartTimeout: u.options.AgentStartTimeout},
		Agents:        u.options.Agents,
		Notifications: notifications,
		DevContainers: devcontainer.Options{AgentImage: u.options.AgentImage},
	})
}

func (u *instance) say(format string, args ...any) {
	// Nobody may be reading.
	_, _ = fmt.Fprintf(u.out, format, args...)
}

// bannerText is a template for text/template: what a person needs to go on.
//
//go:embed banner.txt
var bannerText string

// banner says where everything is and what to do next.
func (u *instance) banner(took time.Duration) error {
	program, err := os.Executable()
	if err != nil {
		program = "slipway"
	}
	image := u.options.DevImage
	if image == "" {
		image = "IMAGE"
	}
	page, err := template.New("banner").Parse(bannerText)
	if err != nil {
		return fmt.Errorf("banner: %w", err)
	}
	return page.Execute(u.out, map[string]any{
		"Took": took.Round(time.Millisecond), "State": u.state, "Dir": u.options.StateDir, "Program": program, "Image": image,
		"Log": filepath.Join(u.options.StateDir, LogFile),
	})
}
