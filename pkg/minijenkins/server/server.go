// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package server is minijenkins: a small server that speaks the REST wire format of Jenkins 2.541.2
// (classic API, Blue Ocean, stage view, the form endpoints of the Kubernetes cloud) and runs
// Declarative Pipelines. It answers what clients of Jenkins call, not what browsers show.
package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/kube"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// Config configures a Server. StateDir, Accounts and AgentSource are required.
type Config struct {
	// StateDir is the folder for all state. Only one server can use it at a time.
	StateDir string
	// Listen is the address that Run serves at, as in "127.0.0.1:8080"; empty if the caller serves
	// Handler itself.
	Listen string
	// BaseURL is the URL under which clients and pods reach the server, without a path; empty means
	// the host of each request, and "http://LISTEN" in the environment of builds.
	BaseURL string
	// Accounts are the users.
	Accounts []Account
	// NewAgents makes the source of agents, see KubeAgents.
	NewAgents func(AgentDeps) (AgentSource, error)
	// QuietPeriod is how long a started job waits for equal starts; 0 means 5 s, less than 0 none.
	QuietPeriod time.Duration
	// LeftItemTTL is how long a queue item can be read after it left the queue; 0 means 5 min.
	LeftItemTTL time.Duration
	// StopTimeout is how long running builds may go on to their end when the server stops. What runs then is
	// suspended and goes on after the next start, or is interrupted if its agents do not outlive the server.
	// 0 means not at all.
	StopTimeout time.Duration
	// InterruptTimeout is how long suspended or interrupted builds may take to stop; 0 means 20 s.
	InterruptTimeout time.Duration
	// MaxBody is the greatest request body in bytes; 0 means 16 MiB.
	MaxBody int64
	// EventsURL is where an event goes when a build is made, begins, ends or is deleted, in the form of
	// Jenkins' generic-event plugin; empty for nowhere. The receiver never holds a build up.
	EventsURL string
	// EventsToken, if not empty, goes with each event as "Authorization: Bearer TOKEN".
	EventsToken string
	// EventsQueue bounds how many events wait for the receiver; beyond it the oldest are dropped.
	// 0 means 8192.
	EventsQueue int
	// MaxStash bounds the stashes of one build on disk, in bytes; 0 means 1 GiB.
	MaxStash int64
	// MaxArtifacts bounds the artifacts of one build on disk, in bytes; 0 means 8 GiB.
	MaxArtifacts int64
	// CasC is a file of configuration as code that reload takes its clouds from; other sources may stand beside it. Empty for none.
	CasC string
	// StartDelay is for tests of clients: for so long the server answers as a Jenkins that starts,
	// with 503 and, in the middle third, with 401 to everybody. 0 means not at all.
	StartDelay time.Duration
	// LoadSCM reads the Jenkinsfile of a job whose definition is a repository; nil reads it from the repository, with the credential of
	// the job's folder. Multi-branch jobs do not use it.
	LoadSCM func(ctx context.Context, scm engine.SCM, path string) (string, error)
	// AllowFileSCM allows repositories at file:// addresses, which are on the server's own disk. It is for tests.
	AllowFileSCM bool
	// Libraries are the shared libraries that all jobs see; folders have their own in their config.xml. Credentials for them are those of the
	// job's folder.
	Libraries []LibraryConfig
	// ScanTimeout bounds the scan of a multi-branch job and the reading of a Jenkinsfile; 0 means 10 min.
	ScanTimeout time.Duration
	// MaxSCMBytes bounds what a scan, or the reading of a Jenkinsfile, takes from the repository's server, in bytes; 0 means 256 MiB.
	MaxSCMBytes int64
}

// AgentDeps is what a source of agents gets from the server.
type AgentDeps struct {
	// Instance is the ID of the state folder. Pods carry it as a label.
	Instance string
	// Templates are the pod templates as they are now; Clouds the names of the clouds.
	Templates func() []*store.Template
	Clouds    func() []string
	// JenkinsURL is the base URL for agents.
	JenkinsURL string
	// Running tells if the build of a kube.Build.ID runs, or will go on as soon as the server runs. Its agents
	// are needed.
	Running func(build string) bool
}

// AgentSource makes agents for builds.
type AgentSource interface {
	// ForBuild makes the provider of one build. If it is an engine.AgentResumer builds go on after a restart.
	ForBuild(b kube.Build) engine.AgentProvider
	// Agents are the agents that live now.
	Agents() []kube.AgentInfo
	// Reap deletes the agents that a former process left, but for those of builds that are Running. It is
	// called before the first build begins.
	Reap(ctx context.Context) error
	// Run watches and collects orphans until ctx ends.
	Run(ctx context.Context) error
}

// KubeAgents is NewAgents for pods of a cluster.
func KubeAgents(cfg kube.Config) func(AgentDeps) (AgentSource, error) {
	return func(d AgentDeps) (AgentSource, error) {
		cfg.Instance, cfg.Templates, cfg.Running, cfg.Clouds = d.Instance, d.Templates, d.Running, d.Clouds
		if cfg.JenkinsURL == "" {
			cfg.JenkinsURL = d.JenkinsURL
		}
		return kube.New(cfg)
	}
}

// Server is a minijenkins.
type Server struct {
	cfg    Config
	store  *store.Store
	agents AgentSource
	// events is nil without an EventsURL.
	events *eventSender
	// parse, check and run are the engine's, other ones in tests.
	parse func(string) (*jenkinsfile.Pipeline, error)
	check func(*jenkinsfile.Pipeline, engine.AgentProvider, []*engine.Library) error
	run   func(context.Context, engine.RunSpec) (engine.Result, error)
	now   func() time.Time
	// durable says that agents outlive the server, and so can builds.
	durable bool
	// lag is how long after its quiet period an item begins. It is 0 but in tests, which are as slow as Jenkins.
	lag  time.Duration
	wake chan struct{}
	// scanSlots bounds how many scans run at once.
	scanSlots *slots
	// changes are those of builds that were shown lately.
	changes *changeCache
	// born is when the server was made.
	born time.Time

	// mu guards all below. A change is queued in the store while it is held, so that the disk has the
	// changes in the order of the memory; see answer for how nobody learns of one too early.
	mu    sync.RWMutex
	root  *item
	items map[uint64]*item
	// queue has the items by ID, line those that wait by ID, left those that left in that order.
	queue        map[int64]*store.QueueItem
	line, left   []*store.QueueItem
	placeholders map[int64]*placeholder
	runs         map[store.BuildKey]*buildRun
	// scans are the scans that run, by the ID of the multi-branch job; periodicAt is when to look again which are due.
	scans       map[uint64]*scan
	periodicAt  time.Time
	templates   []*store.Template
	clouds      map[string]*store.Cloud
	credentials credentials
	views       views
	tokens      tokens
	steps       stepServices
	quieting    bool
	quietReason string
	// systemMessage is what configuration as code set last.
	systemMessage string
	base          context.Context //nolint:containedctx // it is the life of all builds
	wg            sync.WaitGroup
}

// New opens the state folder. It starts nothing; Run does, and the builds that were running when the last
// process died go on then.
func New(cfg Config) (*Server, error) {
	if cfg.StateDir == "" || len(cfg.Accounts) == 0 || cfg.NewAgents == nil {
		return nil, errors.New("minijenkins: StateDir, Accounts and NewAgents are required")
	}
	for _, a := range cfg.Accounts {
		if a.Name == "" || a.Token == "" && a.Password == "" {
			return nil, errors.New("minijenkins: an account needs a name and a token or password")
		}
	}
	setDefaults(&cfg)
	if cfg.BaseURL != "" {
		u, err := url.Parse(cfg.BaseURL)
		if err != nil || u.Host == "" || u.Path != "" {
			return nil, fmt.Errorf("minijenkins: base URL %q: must be http(s)://HOST", cfg.BaseURL)
		}
	}
	if cfg.EventsURL != "" {
		if err := checkEventsURL(cfg.EventsURL); err != nil {
			return nil, err
		}
	}
	st, err := store.Open(cfg.StateDir)
	if err != nil {
		return nil, fmt.Errorf("minijenkins: %w", err)
	}
	s := &Server{
		cfg: cfg, store: st, parse: jenkinsfile.Load, check: engine.CheckWith, run: engine.Run,
		now: time.Now, wake: make(chan struct{}, 1),
		queue: map[int64]*store.QueueItem{}, placeholders: map[int64]*placeholder{},
		runs: map[store.BuildKey]*buildRun{}, clouds: map[string]*store.Cloud{},
		scans: map[uint64]*scan{}, scanSlots: newSlots(maxScans, maxTenantScans), changes: newChangeCache(st.Changes),
	}
	s.born = s.now()
	s.events = newEventSender(&s.cfg, s.now, st.Flush)
	state, err := st.Load()
	if err == nil {
		err = s.load(state)
	}
	if err == nil {
		err = s.loadCasC()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("minijenkins: %w", err), st.Close())
	}
	s.agents, err = cfg.NewAgents(AgentDeps{Instance: st.Instance(), Templates: s.templateList, Clouds: s.cloudNames, JenkinsURL: s.buildURLBase(), Running: s.runsBuild})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("minijenkins: agents: %w", err), st.Close())
	}
	if err := s.restoreState(state); err != nil {
		return nil, errors.Join(fmt.Errorf("minijenkins: %w", err), st.Close())
	}
	return s, nil
}

func setDefaults(cfg *Config) {
	orElse := func(d *time.Duration, v time.Duration) {
		switch {
		case *d == 0:
			*d = v
		case *d < 0:
			*d = 0
		}
	}
	orElse(&cfg.QuietPeriod, 5*time.Second)
	orElse(&cfg.LeftItemTTL, 5*time.Minute)
	orElse(&cfg.InterruptTimeout, 20*time.Second)
	if cfg.EventsQueue <= 0 {
		cfg.EventsQueue = defaultEventsQueue
	}
	orElse(&cfg.ScanTimeout, defaultScanTimeout)
	if cfg.MaxStash <= 0 {
		cfg.MaxStash = defaultMaxStash
	}
	if cfg.MaxArtifacts <= 0 {
		cfg.MaxArtifacts = defaultMaxArtifacts
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = 16 << 20
	}
	cfg.BaseURL = strings.TrimSuffix(cfg.BaseURL, "/")
}

// restoreState brings the state of the last process in order.
func (s *Server) restoreState(st *store.State) error {
	_, s.durable = s.agents.ForBuild(kube.Build{}).(engine.AgentResumer)
	if err := s.restoreBuilds(st.Builds); err != nil {
		return err
	}
	if err := s.restoreScans(); err != nil {
		return err
	}
	known := map[store.BuildKey]bool{}
	for _, b := range st.Builds {
		known[b.Key()] = true
	}
	return s.store.Sweep(func(k store.BuildKey) bool { return known[k] }, func(job uint64) bool { return s.items[job] != nil })
}

// templateList copies the templates for the source of agents.
func (s *Server) templateList() []*store.Template {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return append([]*store.Template(nil), s.templates...)
}

// Handler serves the API.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// Close closes the state folder of a server that is not run, or no longer.
func (s *Server) Close() error { return s.store.Close() }

// Run starts builds, goes on with those of the last process, watches agents and, if Listen is set, serves
// HTTP, until ctx ends. Then no build starts any more; running builds get StopTimeout to end and are suspended
// after it.
func (s *Server) Run(ctx context.Context) error {
	log := klog.FromContext(ctx).WithName("minijenkins")
	work, stopWork := context.WithCancel(klog.NewContext(context.WithoutCancel(ctx), log))
	defer stopWork()
	s.mu.Lock()
	s.base = work
	s.mu.Unlock()
	g, gctx := errgroup.WithContext(ctx)
	if s.cfg.Listen != "" {
		g.Go(func() error { return s.listen(gctx) })
	}
	g.Go(func() error { return s.agents.Run(work) })
	if s.events != nil {
		g.Go(func() error { return s.events.run(work) })
	}
	begun := make(chan struct{})
	g.Go(func() error {
		defer close(begun)
		if err := s.agents.Reap(gctx); err != nil {
			log.Error(err, "agents of a former process could not be deleted yet")
		}
		if gctx.Err() == nil {
			// They come before all that the queue starts.
			s.goOn(gctx, work)
		}
		return nil
	})
	g.Go(func() error { <-begun; s.schedule(gctx); return nil })
	g.Go(func() error { <-begun; s.runTimers(gctx); return nil })
	g.Go(func() error {
		<-gctx.Done()
		<-begun
		s.drain(gctx)
		stopWork()
		return nil
	})
	err := g.Wait()
	return errors.Join(err, s.store.Close())
}

func (s *Server) listen(ctx context.Context) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	srv := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		BaseContext: func(net.Listener) context.Context {
			return klog.NewContext(context.WithoutCancel(ctx), klog.FromContext(ctx))
		}}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	klog.FromContext(ctx).Info("minijenkins listens", "address", l.Addr().String())
	select {
	case err := <-done:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := srv.Shutdown(stop); err != nil {
		return errors.Join(srv.Close())
	}
	return nil
}

// drain waits for the running builds and suspends those that take too long, or interrupts them if they
// cannot go on later.
func (s *Server) drain(ctx context.Context) {
	s.mu.Lock()
	s.quieting = true
	for _, sc := range s.scans {
		sc.cancel()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { s.wg.Wait(); close(done) }()
	if waitFor(done, max(0, s.cfg.StopTimeout)) {
		return
	}
	const reason = "The build was interrupted by a shutdown of minijenkins."
	for _, r := range s.running() {
		if r.build.Durable {
			r.suspend()
		} else {
			r.cancel(&engine.AbortError{Reason: reason})
		}
	}
	if waitFor(done, s.cfg.InterruptTimeout) {
		return
	}
	for _, r := range s.running() {
		klog.FromContext(ctx).Info("build did not end in time", "job", r.jobName, "number", r.key.Number)
		r.finish(engine.ResultAborted, reason)
	}
}

func waitFor(done <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

func (s *Server) running() []*buildRun {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]*buildRun, 0, len(s.runs))
	for _, r := range s.runs {
		out = append(out, r)
	}
	return out
}

// logger is the log of what no request asked for. s.mu is held, at least for reading.
func (s *Server) logger() klog.Logger {
	if s.base == nil {
		return klog.Background()
	}
	return klog.FromContext(s.base)
}

func (s *Server) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// buildURLBase is the base URL in the environment of builds.
func (s *Server) buildURLBase() string {
	if s.cfg.BaseURL != "" {
		return s.cfg.BaseURL
	}
	if s.cfg.Listen != "" {
		return "http://" + s.cfg.Listen
	}
	return "http://localhost"
}

// baseURL is the base URL for the answer to a request.
func (s *Server) baseURL(r *http.Request) string {
	if s.cfg.BaseURL != "" {
		return s.cfg.BaseURL
	}
	return (&url.URL{Scheme: scheme(r), Host: r.Host}).String()
}

func scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}
