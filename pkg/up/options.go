// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package up

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/slipway-dev/slipway/pkg/apiserver/options"
	"github.com/slipway-dev/slipway/pkg/backends"
	"github.com/slipway-dev/slipway/pkg/controller"
	"github.com/slipway-dev/slipway/pkg/controller/notification"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/kubeconfig"
)

// Options of `slipway up`.
type Options struct {
	// Kubeconfig is the cluster; the standard rules (KUBECONFIG, ~/.kube/config, the pod's own
	// account) if empty.
	Kubeconfig string
	// StateDir keeps the data of the embedded parts and the secrets of this instance.
	StateDir string
	// Listen is the API server's address.
	Listen string
	// SystemNamespace and WorkerNamespace are where Slipway's Secrets are and agent pods run.
	SystemNamespace, WorkerNamespace string
	// SCM says how source code servers are talked to.
	SCM options.SCM
	// SonarQube is where the results of code analyses come from.
	SonarQube options.SonarQube
	// AdminUser is the first user.
	AdminUser string

	// Backends are a real Jenkins and S3. Where an address is empty, minijenkins and an S3 server run
	// in the process.
	Backends backends.Options
	// Git is how git repositories are read; by default with a folder in StateDir.
	Git backends.Git
	// Egress says to which addresses that users give the servers connect.
	Egress backends.Egress
	// JenkinsToken is the API token for a real Jenkins, where no file holds it.
	JenkinsToken string
	// JenkinsListen is the address of the embedded minijenkins.
	JenkinsListen string
	// JenkinsfilePods lets Jenkinsfiles describe the pods of their agents in the embedded minijenkins.
	JenkinsfilePods bool
	// Cloud is the name of Jenkins' Kubernetes cloud.
	Cloud string

	// S3Listen is the address of the embedded S3 server.
	S3Listen string

	// AgentImage holds slipway-agent. DevImage is the dev containers' default image.
	AgentImage, DevImage string
	// Agents are the settings of the pods in which builds run; the namespace is WorkerNamespace.
	Agents controller.AgentOptions
	// Notifications are the settings for what other systems are told of runs.
	Notifications notification.Options
	// AgentStartTimeout is how long a run may be unable to start before it fails. 0 means
	// pipelinerun.DefaultStartTimeout, a negative time for ever.
	AgentStartTimeout time.Duration
	// SSHHost is what clients connect to; the node's address if empty.
	SSHHost string
	// HostIP is an address of this machine that pods can reach, for `slipway demo`.
	HostIP string
}

// NewOptions gives the defaults.
func NewOptions() *Options {
	state := filepath.Join(".run", "slipway")
	if home, err := os.UserHomeDir(); err == nil {
		state = filepath.Join(home, ".slipway")
	}
	return &Options{
		StateDir: state, Listen: "127.0.0.1:9090", SystemNamespace: "kubesphere-devops-system", WorkerNamespace: "kubesphere-devops-worker",
		AdminUser: "admin", Backends: backends.NewOptions(), Git: backends.NewGit(), JenkinsListen: "127.0.0.1:0", JenkinsfilePods: true, Cloud: jenkins.DefaultCloud,
		S3Listen:   "127.0.0.1:0",
		AgentImage: "ghcr.io/slipway-dev/slipway-agent:latest",
	}
}

// AddFlags binds the options to flags.
func (o *Options) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig, kubeconfig.Usage)
	flags.StringVar(&o.StateDir, "state-dir", o.StateDir, "folder for the data of the embedded parts and for secrets")
	flags.StringVar(&o.Listen, "listen", o.Listen, "address of the API server; port 0 takes a free one")
	o.SCM.AddFlags(flags)
	o.SonarQube.AddFlags(flags)
	flags.StringVar(&o.SystemNamespace, "system-namespace", o.SystemNamespace, "namespace of Slipway's own Secrets")
	flags.StringVar(&o.WorkerNamespace, "worker-namespace", o.WorkerNamespace, "namespace of agent pods")
	flags.StringVar(&o.AdminUser, "admin-user", o.AdminUser, "name of the first user, who may do everything in Slipway")
	o.Backends.AddFlags(flags)
	o.Git.AddFlags(flags)
	o.Egress.AddFlags(flags)
	flags.StringVar(&o.JenkinsToken, "jenkins-token", o.JenkinsToken, "API token for Jenkins; other users of this machine can see it: --jenkins-token-file is better")
	flags.StringVar(&o.JenkinsListen, "jenkins-listen", o.JenkinsListen, "address of the embedded minijenkins, which runs if --jenkins-url is empty")
	flags.BoolVar(&o.JenkinsfilePods, "jenkinsfile-pods", o.JenkinsfilePods, "let Jenkinsfiles describe the pods of their agents, within narrow bounds, in the embedded minijenkins")
	flags.StringVar(&o.Cloud, "jenkins-cloud", o.Cloud, "name of Jenkins' Kubernetes cloud")
	flags.StringVar(&o.S3Listen, "s3-listen", o.S3Listen, "address of the embedded S3 server, which runs if --s3-endpoint is empty")
	flags.StringVar(&o.AgentImage, "agent-image", o.AgentImage, "image that holds slipway-agent")
	flags.StringVar(&o.DevImage, "dev-image", o.DevImage, "image of dev containers whose repository names none")
	flags.DurationVar(&o.AgentStartTimeout, "agent-start-timeout", o.AgentStartTimeout, "how long a run may be unable to get its agent, or to start at all, before it fails; 30m if 0, for ever if negative")
	o.Agents.AddFlags(flags)
	o.Notifications.AddFlags(flags)
	flags.StringVar(&o.SSHHost, "ssh-host", o.SSHHost, "host that SSH clients connect to; the node's address if empty")
	flags.StringVar(&o.HostIP, "host-ip", o.HostIP, "address of this machine that pods can reach; slipway demo serves its repository there")
}

// Validate gives all that is wrong with the options.
func (o *Options) Validate() error {
	var errs []error
	for name, address := range map[string]string{"--listen": o.Listen, "--jenkins-listen": o.JenkinsListen, "--s3-listen": o.S3Listen} {
		if _, _, err := net.SplitHostPort(address); err != nil {
			errs = append(errs, fmt.Errorf("%s: %q is no host:port", name, address))
		}
	}
	for name, value := range map[string]string{
		"--state-dir": o.StateDir, "--system-namespace": o.SystemNamespace, "--worker-namespace": o.WorkerNamespace,
		"--admin-user": o.AdminUser, "--agent-image": o.AgentImage, "--s3-bucket": o.Backends.S3Bucket,
	} {
		if value == "" {
			errs = append(errs, fmt.Errorf("%s must not be empty", name))
		}
	}
	given := o.Backends
	if o.JenkinsToken != "" && given.JenkinsTokenFile == "" && given.JenkinsPasswordFile == "" {
		given.JenkinsTokenFile = "given on the command line"
	}
	errs = append(errs, given.Validate()...)
	errs = append(errs, o.SonarQube.Validate()...)
	if err := o.Notifications.Validate(); err != nil {
		errs = append(errs, err)
	}
	if err := o.Agents.Validate(); err != nil {
		errs = append(errs, err)
	}
	if o.Agents.Payload && given.JenkinsURL == "" {
		errs = append(errs, errors.New("--agent-payload is for the agents of a real Jenkins: give --jenkins-url, too"))
	}
	if strings.HasPrefix(o.AdminUser, "system:") {
		errs = append(errs, errors.New("--admin-user must not begin with \"system:\""))
	}
	return errors.Join(errs...)
}
