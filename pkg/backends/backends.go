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

	"github.com/spf13/pflag"

	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/objectstore"
)

// Options say where Jenkins and S3 are. Secrets are in files: a command line can be read by other
// users of a machine.
type Options struct {
	// JenkinsURL is the address of Jenkins; JenkinsUser and JenkinsTokenFile are the credential.
	JenkinsURL, JenkinsUser, JenkinsTokenFile string
	// S3Endpoint is the address of the S3 server, S3Region and S3Bucket the place in it.
	S3Endpoint, S3Region, S3Bucket string
	// S3AccessKeyFile and S3SecretKeyFile hold the credential.
	S3AccessKeyFile, S3SecretKeyFile string
}

// NewOptions gives the defaults.
func NewOptions() Options {
	return Options{JenkinsUser: "admin", S3Region: "us-east-1", S3Bucket: objectstore.DefaultBucket}
}

// AddFlags binds the options to flags.
func (o *Options) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.JenkinsURL, "jenkins-url", o.JenkinsURL, "address of Jenkins")
	flags.StringVar(&o.JenkinsUser, "jenkins-user", o.JenkinsUser, "user for Jenkins")
	flags.StringVar(&o.JenkinsTokenFile, "jenkins-token-file", o.JenkinsTokenFile, "file with the API token for Jenkins")
	flags.StringVar(&o.S3Endpoint, "s3-endpoint", o.S3Endpoint, "address of the S3 server; logs and artifacts are not kept if empty")
	flags.StringVar(&o.S3Region, "s3-region", o.S3Region, "region of the bucket")
	flags.StringVar(&o.S3Bucket, "s3-bucket", o.S3Bucket, "bucket for logs and artifacts")
	flags.StringVar(&o.S3AccessKeyFile, "s3-access-key-file", o.S3AccessKeyFile, "file with the access key for S3")
	flags.StringVar(&o.S3SecretKeyFile, "s3-secret-key-file", o.S3SecretKeyFile, "file with the secret key for S3")
}

// Validate gives all that is wrong with the options.
func (o *Options) Validate() []error {
	var errs []error
	if o.JenkinsURL == "" {
		errs = append(errs, errors.New("--jenkins-url is required"))
	}
	if o.JenkinsTokenFile == "" {
		errs = append(errs, errors.New("--jenkins-token-file is required"))
	}
	if o.S3Endpoint != "" && (o.S3AccessKeyFile == "" || o.S3SecretKeyFile == "") {
		errs = append(errs, errors.New("--s3-endpoint needs --s3-access-key-file and --s3-secret-key-file"))
	}
	return errs
}

// Jenkins makes the client.
func (o *Options) Jenkins() (*jenkins.Client, error) {
	token, err := ReadSecret(o.JenkinsTokenFile)
	if err != nil {
		return nil, err
	}
	client, err := jenkins.New(jenkins.Config{URL: o.JenkinsURL, Username: o.JenkinsUser, Token: token})
	if err != nil {
		return nil, fmt.Errorf("make Jenkins client: %w", err)
	}
	return client, nil
}

// ObjectStore makes the client; nil without an endpoint.
func (o *Options) ObjectStore() (*objectstore.Store, error) {
	if o.S3Endpoint == "" {
		return nil, nil
	}
	access, err := ReadSecret(o.S3AccessKeyFile)
	if err != nil {
		return nil, err
	}
	secret, err := ReadSecret(o.S3SecretKeyFile)
	if err != nil {
		return nil, err
	}
	store, err := objectstore.New(objectstore.Config{Endpoint: o.S3Endpoint, Region: o.S3Region, AccessKey: access, SecretKey: secret,
		Bucket: o.S3Bucket, UseTLS: strings.HasPrefix(o.S3Endpoint, "https://"), PathStyle: true})
	if err != nil {
		return nil, fmt.Errorf("make S3 client: %w", err)
	}
	return store, nil
}

// ReadSecret reads a secret from a file; white space around it does not count.
func ReadSecret(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	text := strings.TrimSpace(string(content))
	if text == "" {
		return "", fmt.Errorf("read secret: %s is empty", path)
	}
	return text, nil
}
