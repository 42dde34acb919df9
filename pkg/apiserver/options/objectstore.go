// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/slipway-dev/slipway/pkg/apiserver"
	"github.com/slipway-dev/slipway/pkg/apiserver/sources"
	"github.com/slipway-dev/slipway/pkg/objectstore"
)

// ObjectStore is where logs and artifacts of ended runs are.
type ObjectStore struct {
	// Endpoint is host:port or a URL; "" serves without stored files.
	Endpoint string
	// Region and Bucket are S3's.
	Region, Bucket string
	// AccessKeyFile and SecretKeyFile log in.
	AccessKeyFile, SecretKeyFile string
	// PathStyle puts the bucket into the path.
	PathStyle bool
}

func newObjectStore() ObjectStore {
	return ObjectStore{Region: objectstore.DefaultRegion, Bucket: objectstore.DefaultBucket, PathStyle: true}
}

// AddFlags adds the flags.
func (o *ObjectStore) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.Endpoint, "s3-endpoint", o.Endpoint, "address of the S3 store; without one the files of ended runs come from Jenkins")
	flags.StringVar(&o.Region, "s3-region", o.Region, "region of the bucket")
	flags.StringVar(&o.Bucket, "s3-bucket", o.Bucket, "bucket")
	flags.StringVar(&o.AccessKeyFile, "s3-access-key-file", o.AccessKeyFile, "file with the access key")
	flags.StringVar(&o.SecretKeyFile, "s3-secret-key-file", o.SecretKeyFile, "file with the secret key")
	flags.BoolVar(&o.PathStyle, "s3-path-style", o.PathStyle, "put the bucket into the path instead of the host name")
}

// Validate reports everything that is wrong.
func (o *ObjectStore) Validate() []error {
	if (o.AccessKeyFile == "") != (o.SecretKeyFile == "") {
		return []error{problem("s3-access-key-file", "give it together with --s3-secret-key-file, or none of them")}
	}
	return nil
}

// ApplyTo sets what the options say.
func (o *ObjectStore) ApplyTo(config *apiserver.Config) error {
	if o.Endpoint == "" {
		return nil
	}
	settings := objectstore.Config{Endpoint: o.Endpoint, Region: o.Region, Bucket: o.Bucket, PathStyle: o.PathStyle}
	if o.AccessKeyFile != "" {
		access, err := readSecret("s3-access-key-file", o.AccessKeyFile)
		if err != nil {
			return err
		}
		secret, err := readSecret("s3-secret-key-file", o.SecretKeyFile)
		if err != nil {
			return err
		}
		settings.AccessKey, settings.SecretKey = string(access), string(secret)
	}
	store, err := objectstore.New(settings)
	if err != nil {
		return fmt.Errorf("--s3-endpoint: %w", err)
	}
	config.Sources.Archive = sources.Store{Store: store}
	return nil
}
