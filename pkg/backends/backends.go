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
	// JenkinsCAFile holds certificate authorities of Jenkins besides those of the system.
	JenkinsCAFile string
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
	return Options{JenkinsUser: "admin", S3Region: objectstore.DefaultRegion, S3Bucket: objectstore.DefaultBucket, S3PathStyle: true}
}

// AddFlags binds the options to flags.
func (o *Options) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.JenkinsURL, "jenkins-url", o.JenkinsURL, "address of Jenkins")
	flags.StringVar(&o.JenkinsUser, "jenkins-user", o.JenkinsUser, "user for Jenkins")
	flags.StringVar(&o.JenkinsTokenFile, "jenkins-token-file", o.JenkinsTokenFile, "file with the API token for Jenkins")
	flags.StringVar(&o.JenkinsCAFile, "jenkins-ca-file", o.JenkinsCAFile, "PEM file with certificate authorities of Jenkins")
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
	if o.JenkinsURL != "" && o.JenkinsTokenFile == "" {
		errs = append(errs, errors.New("--jenkins-token-file: --jenkins-url needs it"))
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
	token, err := ReadSecret("jenkins-token-file", o.JenkinsTokenFile)
	if err != nil {
		return nil, err
	}
	client, err := jenkins.New(jenkins.Config{URL: o.JenkinsURL, Username: o.JenkinsUser, Token: token, CAFile: o.JenkinsCAFile})
	if err != nil {
		return nil, fmt.Errorf("--jenkins-url: %w", err)
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
