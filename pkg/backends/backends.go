// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package backends holds the flags by which a server is told where Jenkins and S3 are, and makes the
// clients.
package backends

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/metrics"
	"github.com/slipway-dev/slipway/pkg/objectstore"
)

// Options say where Jenkins and S3 are. Secrets are in files: a command line can be read by other
// users of a machine.
type Options struct {
	// JenkinsURL is the address of Jenkins, with its path prefix if it has one. JenkinsUser and one of JenkinsTokenFile and
	// JenkinsPasswordFile are the credential.
	JenkinsURL, JenkinsUser, JenkinsTokenFile, JenkinsPasswordFile string
	// JenkinsCAFile holds certificate authorities of Jenkins besides those of the system.
	JenkinsCAFile string
	// JenkinsInsecure turns off the check of Jenkins' certificate.
	JenkinsInsecure bool
	// JenkinsTimeout bounds each call of Jenkins; JenkinsMaxInFlight is how many wait for it at a time.
	JenkinsTimeout     time.Duration
	JenkinsMaxInFlight int
	// Registerer gets the metrics of the calls of Jenkins. Nil: there are none.
	Registerer prometheus.Registerer
	// S3Endpoint is the address of the S3 server, S3Region and S3Bucket the place in it.
	S3Endpoint, S3Region, S3Bucket string
	// S3AccessKeyFile and S3SecretKeyFile hold the credential.
	S3AccessKeyFile, S3SecretKeyFile string
	// S3PathStyle puts the bucket into the path instead of the host name, as stores other than AWS
	// mostly want.
	S3PathStyle bool
}

// NewOptions gives the defaults.
func NewOptions() Options {
	return Options{JenkinsUser: "admin", JenkinsTimeout: jenkins.DefaultTimeout, JenkinsMaxInFlight: jenkins.DefaultMaxInFlight,
		S3Region: objectstore.DefaultRegion, S3Bucket: objectstore.DefaultBucket, S3PathStyle: true}
}

// AddFlags binds the options to flags.
func (o *Options) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.JenkinsURL, "jenkins-url", o.JenkinsURL, "address of Jenkins, with its path prefix if it has one: https://ci.example.org/jenkins")
	flags.StringVar(&o.JenkinsUser, "jenkins-user", o.JenkinsUser, "user for Jenkins")
	flags.StringVar(&o.JenkinsTokenFile, "jenkins-token-file", o.JenkinsTokenFile, "file with the user's API token for Jenkins")
	flags.StringVar(&o.JenkinsPasswordFile, "jenkins-password-file", o.JenkinsPasswordFile, "file with the user's password for Jenkins, where there is no token; a token needs fewer calls")
	flags.StringVar(&o.JenkinsCAFile, "jenkins-ca-file", o.JenkinsCAFile, "PEM file with certificate authorities of Jenkins")
	flags.BoolVar(&o.JenkinsInsecure, "jenkins-insecure-skip-tls-verify", o.JenkinsInsecure, "do not check Jenkins' certificate; for tests only")
	flags.DurationVar(&o.JenkinsTimeout, "jenkins-timeout", o.JenkinsTimeout, "time limit of each call of Jenkins")
	flags.IntVar(&o.JenkinsMaxInFlight, "jenkins-max-in-flight", o.JenkinsMaxInFlight, "most calls that wait for Jenkins at a time")
	flags.StringVar(&o.S3Endpoint, "s3-endpoint", o.S3Endpoint, "address of the S3 server, where logs and artifacts of ended runs are kept")
	flags.StringVar(&o.S3Region, "s3-region", o.S3Region, "region of the bucket")
	flags.StringVar(&o.S3Bucket, "s3-bucket", o.S3Bucket, "bucket for logs and artifacts; made if it does not exist")
	flags.StringVar(&o.S3AccessKeyFile, "s3-access-key-file", o.S3AccessKeyFile, "file with the access key for S3")
	flags.StringVar(&o.S3SecretKeyFile, "s3-secret-key-file", o.S3SecretKeyFile, "file with the secret key for S3")
	flags.BoolVar(&o.S3PathStyle, "s3-path-style", o.S3PathStyle, "put the bucket into the path instead of the host name")
}

// Validate gives all that is wrong with the options. Both addresses may be empty.
func (o *Options) Validate() []error {
	var errs []error
	switch {
	case o.JenkinsURL == "":
	case o.JenkinsUser == "":
		errs = append(errs, errors.New("--jenkins-user: --jenkins-url needs it"))
	case o.JenkinsTokenFile == "" && o.JenkinsPasswordFile == "":
		errs = append(errs, errors.New("--jenkins-token-file: --jenkins-url needs it (or --jenkins-password-file)"))
	case o.JenkinsTokenFile != "" && o.JenkinsPasswordFile != "":
		errs = append(errs, errors.New("--jenkins-password-file: give it or --jenkins-token-file, not both"))
	}
	if o.JenkinsTimeout < 0 {
		errs = append(errs, errors.New("--jenkins-timeout: must not be negative"))
	}
	if o.JenkinsMaxInFlight < 0 {
		errs = append(errs, errors.New("--jenkins-max-in-flight: must not be negative"))
	}
	if o.S3Endpoint != "" && (o.S3AccessKeyFile == "" || o.S3SecretKeyFile == "") {
		errs = append(errs, errors.New("--s3-secret-key-file: --s3-endpoint needs it and --s3-access-key-file"))
	}
	return errs
}

// Jenkins makes the client; nil without an address.
func (o *Options) Jenkins() (*jenkins.Client, error) {
	if o.JenkinsURL == "" {
		return nil, nil
	}
	config := jenkins.Config{URL: o.JenkinsURL, Username: o.JenkinsUser, CAFile: o.JenkinsCAFile, InsecureSkipVerify: o.JenkinsInsecure,
		Timeout: o.JenkinsTimeout, MaxInFlight: o.JenkinsMaxInFlight}
	var err error
	if o.JenkinsPasswordFile != "" {
		config.Password, err = ReadSecret("jenkins-password-file", o.JenkinsPasswordFile)
	} else {
		config.Token, err = ReadSecret("jenkins-token-file", o.JenkinsTokenFile)
	}
	if err != nil {
		return nil, err
	}
	var observer *metrics.Jenkins
	if o.Registerer != nil {
		if observer, err = metrics.NewJenkins(o.Registerer); err != nil {
			return nil, err
		}
		config.Observer = observer
	}
	client, err := jenkins.New(config)
	if err != nil {
		return nil, fmt.Errorf("--jenkins-url: %w", err)
	}
	if observer != nil {
		observer.Watch(client.State)
	}
	return client, nil
}

// ObjectStore makes the client; nil without an address.
func (o *Options) ObjectStore() (*objectstore.Store, error) {
	if o.S3Endpoint == "" {
		return nil, nil
	}
	access, err := ReadSecret("s3-access-key-file", o.S3AccessKeyFile)
	if err != nil {
		return nil, err
	}
	secret, err := ReadSecret("s3-secret-key-file", o.S3SecretKeyFile)
	if err != nil {
		return nil, err
	}
	store, err := objectstore.New(objectstore.Config{Endpoint: o.S3Endpoint, Region: o.S3Region, AccessKey: access, SecretKey: secret,
		Bucket: o.S3Bucket, PathStyle: o.S3PathStyle})
	if err != nil {
		return nil, fmt.Errorf("--s3-endpoint: %w", err)
	}
	return store, nil
}

// ReadSecret reads the secret in a file that a flag names; white space around it does not count.
func ReadSecret(flag, path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("--%s: %w", flag, err)
	}
	text := strings.TrimSpace(string(content))
	if text == "" {
		return "", fmt.Errorf("--%s: %s is empty", flag, path)
	}
	return text, nil
}
