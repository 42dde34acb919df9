// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package apiserver is the HTTP server of the API: a chain of filters in front of go-restful routes.
// It is stateless; any number of replicas can run.
//
// A program fills a Config, completes it, makes a Server of it and runs that. The order in which a
// request passes the filters is in chain.go, what is mounted behind them in install.go.
package apiserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/emicklei/go-restful/v3"
	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/token/union"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/filters"
	"github.com/slipway-dev/slipway/pkg/apiserver/impersonation"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/authn"
	"github.com/slipway-dev/slipway/pkg/authn/jwt"
	"github.com/slipway-dev/slipway/pkg/authn/tokenreview"
	"github.com/slipway-dev/slipway/pkg/authz"
	"github.com/slipway-dev/slipway/pkg/gitfiles"
	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/jenkinsjob"
	devopsv1alpha2 "github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha2"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha2/jenkinsproxy"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha2/s2ibinary"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha2/sonar"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/credential"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/gitrepository"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/nodelabel"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/pipeline"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/pipelinerun"
	"github.com/slipway-dev/slipway/pkg/scheme"
	"github.com/slipway-dev/slipway/pkg/scm"
)

// DefaultSystemNamespace is where the users' Secrets are.
const DefaultSystemNamespace = "kubesphere-devops-system"

// minWebhookSecret is the shortest webhook secret in bytes: it must not be guessed.
const minWebhookSecret = 16

// Config says how a server is to be. Required are RestConfig, Reader and JWTSecret.
type Config struct {
	// RestConfig is how the server itself talks to Kubernetes. Its user needs the rights to read what
	// the API shows, to impersonate users, groups and service accounts, and to create TokenReviews and
	// SubjectAccessReviews.
	RestConfig *rest.Config
	// Reader is the informer cache, started by the caller.
	Reader client.Reader
	// Client is the server's own client without a cache. Made from RestConfig if nil.
	Client client.Client
	// Clients gives clients that act as a user. Made from RestConfig if nil.
	Clients kapis.Clients
	// Scheme knows the kinds. Default: those of Kubernetes and Slipway.
	Scheme *runtime.Scheme

	// JWTSecret is shared with other issuers of tokens, at least 32 bytes.
	JWTSecret []byte
	// Issuers are the accepted issuers of tokens. Default: slipway and kubesphere.
	Issuers []string
	// ClockSkew is how far issuers' clocks may be off. Default 10 seconds.
	ClockSkew time.Duration
	// TokenLifetime is how long an issued token is valid. Default two hours.
	TokenLifetime time.Duration
	// DisableTokenReview turns off tokens of Kubernetes, such as those of service accounts.
	DisableTokenReview bool
	// TokenReview are its times.
	TokenReview tokenreview.Options
	// SystemNamespace is where the users' Secrets are. Default DefaultSystemNamespace.
	SystemNamespace string
	// Authorizer decides what users may do. Default: SubjectAccessReviews with the times of
	// Authorization.
	Authorizer authorizer.UnconditionalAuthorizer
	// Authorization are the times of the default Authorizer.
	Authorization authz.Options

	// Sources hold logs and artifacts of runs.
	Sources pipelinerun.Sources
	// Credentials tells which builds used a credential; *jenkins.Client does. Nil: the server does not know.
	Credentials credential.Jenkins
	// JenkinsAPI answers what the server keeps no copy of; *jenkins.Client does. Nil: what needs it says that it is not there.
	JenkinsAPI JenkinsAPI
	// SonarQube knows the results of code analyses; *sonarqube.Client does. Nil: there are none.
	SonarQube sonar.Source
	// GitLab lists GitLab servers and their repositories, where older consoles ask for them. Nil: there are none.
	GitLab jenkinsproxy.GitLab
	// SCM says how source code servers are talked to, and what their events are checked with. Nil: as the zero
	// value, without lists of GitLab.
	SCM *SCM
	// Jenkins tells whether Jenkins answers, for what the server says of the age of its news. Nil: it says nothing.
	Jenkins JenkinsHealth
	// Git reads and writes the files of git repositories. Nil: they are not served.
	Git *gitfiles.Cache
	// GitUploads keeps files that are committed later; *objectstore.Store does. Nil: files are sent with the commit.
	GitUploads gitrepository.Uploads
	// AllowLocal lets the server connect to its own machine when a user names a source code server there. Git has a
	// setting of its own.
	AllowLocal bool
	// Binaries keeps the files of S2iBinaries.
	Binaries s2ibinary.Options
	// WebhookSecret is what Jenkins identifies itself with when it sends events, at least 16 bytes.
	// Empty: events are not taken.
	WebhookSecret []byte
	// ValidateJenkinsfile says what is wrong with a Jenkinsfile. Default jenkinsfile.Validate.
	ValidateJenkinsfile pipeline.Validator
	// Faces are compatible APIs besides our own.
	Faces []Face

	// Serving is where and how the server listens.
	Serving Serving
	// Limits protect the server.
	Limits Limits
	// CORSOrigins are the origins whose pages may call the API. Default none.
	CORSOrigins []string
	// Checks are conditions for readiness besides the server's own. What their errors say is shown to anybody.
	Checks map[string]func(ctx context.Context) error
	// Gatherers are shown at /metrics besides the server's own metrics.
	Gatherers prometheus.Gatherers
	// Log is the server's logger. Default none.
	Log logr.Logger
}

// SCM says how source code servers are talked to. With any of its receivers, Reader needs the fields of
// index.RegisterSCM.
type SCM struct {
	// Servers can be chosen by name, besides the public ones and those of the ConfigMap slipway-scm-servers.
	Servers []scm.Server
	// WebhookSecret is what events for all projects are signed with, at least 16 bytes. Empty: only those
	// that a project's own secret fits are taken.
	WebhookSecret []byte
	// AllowUnsigned takes events that are not signed.
	AllowUnsigned bool
}

// JenkinsAPI is what handlers ask of Jenkins besides logs, artifacts and inputs of runs. Errors are those of pkg/jenkins.
type JenkinsAPI interface {
	devopsv1alpha2.Jenkins
	nodelabel.Jenkins
	jenkinsjob.BranchSource
}

// Serving is where and how a server listens.
type Serving struct {
	// Listener is used instead of Address if it is set.
	Listener net.Listener
	// Address is host:port. Default :9090, KubeSphere's.
	Address string
	// TLS makes the server speak HTTPS; it needs certificates or GetCertificate.
	TLS *tls.Config
	// ShutdownDelay is how long the server goes on as before after it has said that it is not ready,
	// so that load balancers learn of it. Default 0.
	ShutdownDelay time.Duration
	// ShutdownTimeout is how long requests in work may take then. Default 30 seconds.
	ShutdownTimeout time.Duration
}

// Limits protect the server. Zero values are replaced by the defaults.
type Limits struct {
	// RequestTimeout bounds requests that are no streams. Default one minute.
	RequestTimeout time.Duration
	// BodyBytes bounds bodies. Default 1 MiB.
	BodyBytes int64
	// InFlight bounds what is in work at once. Default 400 requests and 2000 streams.
	InFlight filters.InFlightLimits
	// StreamWrite is how long a client may take to accept a part of a stream. Default 15 seconds.
	StreamWrite time.Duration
	// Rate bounds what one user may ask for. Default 50 a second, 200 at once, and 100 streams.
	// A negative PerSecond turns it off.
	Rate filters.RateLimits
}

// Face is a compatible API at paths of its own, in its own error format.
type Face struct {
	// Prefixes are its paths, such as /api/devcontainer: that and all below it.
	Prefixes []string
	// Errors writes what filters refuse.
	Errors response.ErrorWriter
	// WebServices makes its routes. Users are authenticated when they get there, and nothing more: the
	// face asks the backend's Authorizer.
	WebServices func(Backend) ([]*restful.WebService, error)
}

// Backend is what a face works on.
type Backend struct {
	// Reader is the informer cache, with the server's rights.
	Reader client.Reader
	// Client is the server's own client without a cache.
	Client client.Client
	// Clients gives clients that act as a user.
	Clients kapis.Clients
	// Authorizer decides what users may do.
	Authorizer authorizer.UnconditionalAuthorizer
}

// CompletedConfig is a Config with everything filled in. Only Complete makes one.
type CompletedConfig struct{ *completedConfig }

type completedConfig struct {
	Config
	authenticator authenticator.Request
	issuer        *jwt.Issuer
	registry      *prometheus.Registry
}

// CachedKinds gives one object of each kind that the server reads from Config.Reader, so that the
// caller can fill the cache before the first request.
func CachedKinds() []client.Object {
	return []client.Object{
		&devopsv1alpha3.DevOpsProject{}, &devopsv1alpha3.Pipeline{}, &devopsv1alpha3.PipelineRun{},
		&devopsv1alpha3.GitRepository{}, &devopsv1alpha3.Webhook{}, &devcontainerv1.DevcontainerApp{},
		&devopsv1alpha3.Template{}, &devopsv1alpha3.ClusterTemplate{}, &devopsv1alpha3.ClusterStepTemplate{},
	}
}

// Complete checks the config and fills in what is not set.
func (c Config) Complete() (CompletedConfig, error) {
	c.setDefaults()
	if n := len(c.WebhookSecret); n > 0 && n < minWebhookSecret {
		return CompletedConfig{}, fmt.Errorf("apiserver: Config.WebhookSecret has %d bytes, want at least %d", n, minWebhookSecret)
	}
	if c.SCM != nil {
		if n := len(c.SCM.WebhookSecret); n > 0 && n < minWebhookSecret {
			return CompletedConfig{}, fmt.Errorf("apiserver: Config.SCM.WebhookSecret has %d bytes, want at least %d", n, minWebhookSecret)
		}
	}
	if err := c.completeKubernetes(); err != nil {
		return CompletedConfig{}, err
	}
	tokens, issuer, err := c.completeTokens()
	if err != nil {
		return CompletedConfig{}, err
	}
	if c.Authorizer == nil {
		c.Authorizer = authz.New(c.Client, c.Authorization)
	}
	registry := prometheus.NewRegistry()
	if len(c.Gatherers) == 0 {
		// A program that shows metrics of its own has these among them.
		registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	return CompletedConfig{&completedConfig{
		Config: c, authenticator: authn.NewRequest(tokens), issuer: issuer, registry: registry,
	}}, nil
}

// setDefaults fills in plain values.
func (c *Config) setDefaults() {
	if c.Scheme == nil {
		c.Scheme = scheme.New()
	}
	if c.ValidateJenkinsfile == nil {
		c.ValidateJenkinsfile = jenkinsfile.Validate
	}
	if c.Sources.Parse == nil {
		c.Sources.Parse = jenkinsfile.Parse
	}
	if c.Log.GetSink() == nil {
		c.Log = logr.Discard()
	}
	setDefault(&c.SystemNamespace, DefaultSystemNamespace)
	setDefault(&c.Serving.Address, ":9090")
	setDefault(&c.Serving.ShutdownTimeout, 30*time.Second)
	setDefault(&c.Limits.RequestTimeout, time.Minute)
	setDefault(&c.Limits.BodyBytes, 1<<20)
	setDefault(&c.Limits.InFlight.Requests, 400)
	setDefault(&c.Limits.InFlight.Streams, 2000)
	setDefault(&c.Limits.Rate.PerSecond, 50)
	setDefault(&c.Limits.Rate.Burst, 200)
	setDefault(&c.Limits.Rate.Streams, 100)
}

func setDefault[T comparable](value *T, otherwise T) {
	var zero T
	if *value == zero {
		*value = otherwise
	}
}

// completeKubernetes makes the clients.
func (c *Config) completeKubernetes() error {
	if c.Reader == nil {
		return errors.New("apiserver: Config.Reader is required")
	}
	if c.RestConfig == nil && (c.Client == nil || c.Clients == nil) {
		return errors.New("apiserver: Config.RestConfig is required")
	}
	if c.Client == nil {
		own, err := client.New(c.RestConfig, client.Options{Scheme: c.Scheme})
		if err != nil {
			return fmt.Errorf("apiserver: make Kubernetes client: %w", err)
		}
		c.Client = own
	}
	if c.Clients == nil {
		c.Clients = impersonation.New(c.RestConfig, c.Scheme, c.Client.RESTMapper())
	}
	return nil
}

// completeTokens makes what verifies and issues tokens.
func (c *Config) completeTokens() (authenticator.Token, *jwt.Issuer, error) {
	verifier, err := jwt.NewVerifier(jwt.VerifierOptions{Secret: c.JWTSecret, Issuers: c.Issuers, ClockSkew: c.ClockSkew})
	if err != nil {
		return nil, nil, fmt.Errorf("apiserver: Config.JWTSecret: %w", err)
	}
	issuer, err := jwt.NewIssuer(c.JWTSecret, c.TokenLifetime)
	if err != nil {
		return nil, nil, fmt.Errorf("apiserver: Config.JWTSecret: %w", err)
	}
	if c.DisableTokenReview {
		return verifier, issuer, nil
	}
	// The first error ends it: a bad token of ours is not tried elsewhere.
	return union.NewFailOnError(verifier, tokenreview.New(c.Client, c.TokenReview)), issuer, nil
}
