// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package launch is PID 1 of the agent container of a build: it starts Jenkins' inbound agent inside
// the user's image, or just stays and reaps where the steps come by exec.
package launch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/pkg/agent"
	"github.com/slipway-dev/slipway/pkg/agent/proc"
)

// TerminationPrefix begins the termination message of an agent container that could not start.
const TerminationPrefix = "SLIPWAY-AGENT"

// The environment of the agent container. The JENKINS_ ones are set by Jenkins' Kubernetes plugin.
const (
	// EnvMode "exec" makes the launcher stay and reap until TERM, without an agent.
	EnvMode = "SLIPWAY_AGENT_MODE"
	// EnvKeep is a duration (15m) for which the container is kept after the agent has ended, so that a
	// failed build can be looked at.
	EnvKeep = "SLIPWAY_AGENT_KEEP"
	// EnvConnectTimeout is a duration for which the launcher tries to reach Jenkins; default 15s.
	EnvConnectTimeout = "SLIPWAY_AGENT_CONNECT_TIMEOUT"
	// EnvHome is the folder with jre/bin/java and agent.jar; default is the folder of slipway-agent. What
	// it lacks is taken from elsewhere: java from the image, agent.jar from the controller.
	EnvHome = "SLIPWAY_AGENT_HOME"

	envURL       = "JENKINS_URL"
	envSecret    = "JENKINS_SECRET"
	envName      = "JENKINS_AGENT_NAME"
	envNameOld   = "JENKINS_NAME"
	envWorkDir   = "JENKINS_AGENT_WORKDIR"
	envTunnel    = "JENKINS_TUNNEL"
	envWebSocket = "JENKINS_WEB_SOCKET"
	envOptions   = "REMOTING_OPTS"
	envJavaOpts  = "JENKINS_JAVA_OPTS"

	modeExec              = "exec"
	defaultConnectTimeout = 15 * time.Second
	dialTimeout           = 5 * time.Second
)

// config is the checked environment.
type config struct {
	url, secret, name, workDir, tunnel string
	webSocket                          bool
	options, javaOptions               []string
	java, jar                          string
	keep, connect                      time.Duration
}

// Run runs the container until its end and returns its exit code. The error is a *agent.Failure that
// says why it ended, nil if it was stopped or ended with 0.
func Run(ctx context.Context, self string) (int, error) {
	if mode := os.Getenv(EnvMode); mode == modeExec {
		out, err := proc.Supervise(ctx, nil, proc.Options{})
		if err != nil {
			return agent.ExitError, err
		}
		return out.Code, nil
	} else if mode != "" && mode != "jenkins" {
		return agent.ExitConfig, agent.Fail(agent.ExitConfig, "BadEnvironment", `%s is %q: use "exec" or "jenkins"`, EnvMode, mode)
	}
	secret, err := takeSecret(self)
	if err != nil {
		return agent.ExitConfig, err
	}
	cfg, err := readConfig(self, secret)
	if err != nil {
		return agent.ExitConfig, err
	}
	if err := cfg.check(ctx); err != nil {
		return agent.ExitConfig, err
	}
	fetched, err := cfg.fetchJar(ctx)
	if err != nil {
		return agent.ExitConfig, err
	}
	if fetched != "" {
		defer func() { _ = os.Remove(fetched) }()
	}
	return cfg.run(ctx)
}

func missing(name string) error {
	return agent.Fail(agent.ExitConfig, "MissingEnvironment",
		"%s is not set: the pod must be started by Jenkins' Kubernetes plugin, or with %s=exec", name, EnvMode)
}

func readConfig(self, secret string) (*config, error) {
	c := &config{
		url: os.Getenv(envURL), secret: secret, name: os.Getenv(envName), workDir: os.Getenv(envWorkDir),
		tunnel: os.Getenv(envTunnel), webSocket: os.Getenv(envWebSocket) == "true",
		options: strings.Fields(os.Getenv(envOptions)), javaOptions: strings.Fields(os.Getenv(envJavaOpts)),
		connect: defaultConnectTimeout,
	}
	if c.name == "" {
		c.name = os.Getenv(envNameOld)
	}
	if c.workDir == "" {
		wd, err := os.Getwd()
		if err != nil {
			return nil, agent.Fail(agent.ExitConfig, "WorkDirNotWritable", "the work dir is not known: %v", err)
		}
		c.workDir = wd
	}
	for _, v := range []struct{ name, value string }{{envURL, c.url}, {envSecret, c.secret}, {envName, c.name}} {
		if v.value == "" {
			return nil, missing(v.name)
		}
	}
	for _, d := range []struct {
		name string
		into *time.Duration
	}{{EnvKeep, &c.keep}, {EnvConnectTimeout, &c.connect}} {
		v := os.Getenv(d.name)
		if v == "" {
			continue
		}
		n, err := time.ParseDuration(v)
		if err != nil || n < 0 {
			return nil, agent.Fail(agent.ExitConfig, "BadEnvironment", "%s is %q: use a duration such as 15m", d.name, v)
		}
		*d.into = n
	}
	home := os.Getenv(EnvHome)
	if home == "" {
		home = filepath.Dir(self)
	}
	c.java, c.jar = filepath.Join(home, "jre", "bin", "java"), filepath.Join(home, "agent.jar")
	return c, nil
}

// check finds out before the agent starts what would make it fail, so that the reason is one line in
// the pod's status and not somewhere in a log.
func (c *config) check(ctx context.Context) error {
	fail := func(reason, format string, args ...any) error {
		return agent.Fail(agent.ExitConfig, reason, format, args...)
	}
	if err := checkWritable(c.workDir); err != nil {
		return fail("WorkDirNotWritable", "%s is not writable for uid %d: %v: set workingDir to a volume and fsGroup to the user's group", c.workDir, os.Geteuid(), err)
	}
	if _, err := exec.LookPath("/bin/sh"); err != nil {
		return fail("ShellMissing", "the image has no /bin/sh, which sh steps need: use an image with a shell")
	}
	if _, err := exec.LookPath(c.java); err != nil {
		fallback, ferr := exec.LookPath("java")
		if ferr != nil {
			return fail("JavaMissing", "there is no Java in %s nor in the image: the init container that copies it is missing", filepath.Dir(c.java))
		}
		c.java = fallback
	}
	target, err := c.jenkinsAddr()
	if err != nil {
		return err
	}
	if err := c.reach(ctx, target); err != nil {
		return fail("JenkinsUnreachable", "%s: %v: check the service, network policies and the cluster's DNS", target, err)
	}
	if c.tunnel != "" && !c.webSocket {
		if err := c.reach(ctx, c.tunnel); err != nil {
			return fail("TunnelUnreachable", "%s: %v: check Jenkins' agent port and network policies", c.tunnel, err)
		}
	}
	return nil
}

func checkWritable(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".slipway-probe-")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// jenkinsAddr is the address that must be reachable for JENKINS_URL: its own or that of a proxy.
func (c *config) jenkinsAddr() (string, error) {
	u, err := url.Parse(c.url)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", agent.Fail(agent.ExitConfig, "BadEnvironment", "%s is not an http(s) URL", envURL)
	}
	if p, err := http.ProxyFromEnvironment(&http.Request{URL: u}); err == nil && p != nil {
		u = p
	}
	port := u.Port()
	if port == "" {
		if port = "80"; u.Scheme == "https" {
			port = "443"
		}
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}

// reach tries to connect until it works or the time is over: the network of a new pod may need a
// moment.
func (c *config) reach(ctx context.Context, addr string) error {
	deadline := time.Now().Add(c.connect)
	dialer := net.Dialer{Timeout: dialTimeout}
	for pause := 100 * time.Millisecond; ; pause *= 2 {
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		if time.Now().Add(pause).After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// javaDefaults keep the agent small and fast to start; JENKINS_JAVA_OPTS comes after them and wins.
var javaDefaults = []string{"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:MaxRAMPercentage=20"}

// args is the agent's command line; secretFile is where its secret is.
func (c *config) args(secretFile string) []string {
	args := slices.Concat([]string{c.java}, javaDefaults, c.javaOptions, []string{
		"-jar", c.jar, "-url", c.url, "-name", c.name, "-secret", "@" + secretFile, "-workDir", c.workDir,
	})
	if c.webSocket {
		args = append(args, "-webSocket")
	} else if c.tunnel != "" {
		args = append(args, "-tunnel", c.tunnel)
	}
	return append(args, c.options...)
}

// run starts the agent and supervises it.
func (c *config) run(ctx context.Context) (int, error) {
	log := logr.FromContextOrDiscard(ctx)
	file, err := writeSecret(c.secret)
	if err != nil {
		return agent.ExitConfig, agent.Fail(agent.ExitConfig, "SecretNotWritable", "cannot hand the agent its secret: %v", err)
	}
	defer file.remove()
	go file.removeOnceRead(ctx, log)

	args := c.args(file.path)
	cmd := &exec.Cmd{Path: args[0], Args: args, Dir: c.workDir, Env: cleanEnv(), Stdout: os.Stdout, Stderr: os.Stderr}
	out, err := proc.Supervise(ctx, cmd, proc.Options{Keep: c.keep})
	if err != nil {
		return agent.ExitConfig, agent.Fail(agent.ExitConfig, "JavaCannotRun",
			"%s cannot be run in this image (a glibc JRE needs glibc, not musl): %v", c.java, err)
	}
	if out.Stopped || out.Code == 0 {
		return out.Code, nil
	}
	reason := agent.Fail(out.Code, "AgentExited", "the Jenkins agent ended with exit code %d after %s: see the container's log", out.Code, out.Ran.Round(100*time.Millisecond))
	if out.Code == 127 {
		reason = agent.Fail(out.Code, "JavaCannotRun", "%s cannot be run in this image: a library that it needs is missing, see the container's log", c.java)
	}
	return out.Code, reason
}

// cleanEnv is the environment without the secret.
func cleanEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, envSecret+"=") || strings.HasPrefix(kv, envSecretFD+"=")
	})
}

// envSecretFD tells the second start of the launcher on which descriptor the secret is.
const envSecretFD = "SLIPWAY_AGENT_SECRET_FD"

// takeSecret returns the secret. At the first start it is in the environment, where /proc/1/environ
// shows it to every step of the build: it is put into a pipe, and this process starts itself again
// without it.
func takeSecret(self string) (string, error) {
	if fd := os.Getenv(envSecretFD); fd != "" {
		return readSecretFD(fd)
	}
	secret := os.Getenv(envSecret)
	if secret == "" {
		return "", missing(envSecret)
	}
	if len(secret) > maxSecret {
		return "", agent.Fail(agent.ExitConfig, "BadEnvironment", "%s is longer than %d bytes", envSecret, maxSecret)
	}
	var p [2]int
	if err := unix.Pipe2(p[:], 0); err != nil { // without O_CLOEXEC: it must outlive the exec
		return "", fmt.Errorf("pipe: %w", err)
	}
	if _, err := unix.Write(p[1], []byte(secret)); err != nil {
		return "", fmt.Errorf("pipe: %w", err)
	}
	_ = unix.Close(p[1])
	env := append(cleanEnv(), fmt.Sprintf("%s=%d", envSecretFD, p[0]))
	return "", fmt.Errorf("start again without the secret: %w", unix.Exec(self, os.Args, env))
}
