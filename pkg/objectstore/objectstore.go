// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package objectstore keeps files in S3. It is the only package of the product that imports minio-go.
//
// Every error is an [*Error]; test its kind with errors.Is and [ErrNotFound], [ErrUnavailable], [ErrUnauthorized] or [ErrInvalid].
package objectstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// DefaultBucket is the bucket of the product.
const DefaultBucket = "slipway"

// DefaultRegion is used if no region is configured, so that the client does not have to ask for it.
const DefaultRegion = "us-east-1"

// MaxKeyBytes is the longest key that S3 takes, in bytes of UTF-8.
const MaxKeyBytes = 1024

// MaxPresign is the longest validity of a presigned address.
const MaxPresign = 7 * 24 * time.Hour

// partSize is the size of the parts of an upload whose length is not known, in bytes: one part is held in memory, and an
// object has at most 10,000 of them, which makes 156 GiB.
const partSize = 16 << 20

// Kinds of errors. Compare with errors.Is.
var (
	// ErrNotFound says that the object or the bucket does not exist.
	ErrNotFound = errors.New("not found")
	// ErrUnavailable says that the store cannot be reached or failed; the call may be repeated.
	ErrUnavailable = errors.New("unavailable")
	// ErrUnauthorized says that the store refuses the keys, or that they lack a right.
	ErrUnauthorized = errors.New("unauthorized")
	// ErrInvalid says that the request is wrong and must not be repeated unchanged.
	ErrInvalid = errors.New("invalid")
)

// Error is what every call of this package returns when it fails.
type Error struct {
	// Op is the call, in words.
	Op string
	// Key is the object, empty for calls on the bucket.
	Key string
	// Message says what happened; it holds no credential.
	Message string

	kind  error
	cause error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("object store: %s: %s", e.Op, e.Message)
	}
	return fmt.Sprintf("object store: %s %q: %s", e.Op, e.Key, e.Message)
}

// Is reports whether target is the kind of e.
func (e *Error) Is(target error) bool { return e.kind != nil && target == e.kind }

// Unwrap returns the cause or nil.
func (e *Error) Unwrap() error { return e.cause }

// Config says where the store is.
type Config struct {
	// Endpoint is "host:port" or "host"; "http://…" and "https://…" are taken as well and decide over UseTLS.
	Endpoint string
	// Region is the region of the bucket. Empty: DefaultRegion.
	Region string
	// AccessKey and SecretKey sign the requests. Both empty: anonymous.
	AccessKey string
	SecretKey string
	// Bucket is the bucket that all calls work on. Empty: DefaultBucket.
	Bucket string
	// UseTLS talks HTTPS.
	UseTLS bool
	// PathStyle puts the bucket into the path instead of the host name, as stores other than AWS mostly want.
	PathStyle bool
	// Timeout bounds the calls that move no content, and the wait for the header of those that do. 0: 30 s.
	Timeout time.Duration
	// Transport replaces the transport, for tests. Nil: one pooled transport per store.
	Transport http.RoundTripper
}

// Info describes an object.
type Info struct {
	Key string
	// Size is in bytes.
	Size int64
	// ContentType is what Put was given; List leaves it empty.
	ContentType string
	// ETag changes with the content, without quotes.
	ETag string
	// Modified is when the object was written.
	Modified time.Time
}

// Store is a bucket. It is safe for use by several goroutines.
type Store struct {
	client  *minio.Client
	bucket  string
	region  string
	timeout time.Duration
}

// New returns a store. It makes no call.
func New(cfg Config) (*Store, error) {
	const op = "configure"
	host, tls, err := endpoint(cfg)
	if err != nil {
		return nil, err
	}
	if (cfg.AccessKey == "") != (cfg.SecretKey == "") {
		return nil, invalid(op, "", "give both the access key and the secret key, or none")
	}
	if cfg.Region == "" {
		cfg.Region = DefaultRegion
	}
	if cfg.Bucket == "" {
		cfg.Bucket = DefaultBucket
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 30 * time.Second
	}
	if cfg.Transport == nil {
		cfg.Transport = newTransport(cfg.Timeout)
	}
	lookup := minio.BucketLookupAuto
	if cfg.PathStyle {
		lookup = minio.BucketLookupPath
	}
	client, err := minio.New(host, &minio.Options{
		Creds:        credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey, ""),
		Secure:       tls,
		Region:       cfg.Region,
		BucketLookup: lookup,
		Transport:    cfg.Transport,
		MaxRetries:   3,
	})
	if err != nil {
		return nil, &Error{Op: op, Message: err.Error(), kind: ErrInvalid, cause: err}
	}
	return &Store{client: client, bucket: cfg.Bucket, region: cfg.Region, timeout: cfg.Timeout}, nil
}

// endpoint splits the configured endpoint into host and scheme.
func endpoint(cfg Config) (host string, tls bool, err error) {
	const op = "configure"
	host, tls = cfg.Endpoint, cfg.UseTLS
	if strings.Contains(host, "://") {
		u, err := url.Parse(host)
		// The text of err would repeat the address, which may hold a password.
		if err != nil || u.User != nil || (u.Path != "" && u.Path != "/") || u.RawQuery != "" {
			return "", false, invalid(op, "", "the endpoint must be a host with an optional port")
		}
		switch u.Scheme {
		case "http":
			tls = false
		case "https":
			tls = true
		default:
			return "", false, invalid(op, "", "the endpoint's scheme must be http or https")
		}
		host = u.Host
	}
	if host == "" {
		return "", false, invalid(op, "", "no endpoint given")
	}
	return host, tls, nil
}

func newTransport(timeout time.Duration) *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          64,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       60 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: timeout,
		// Without this a gzip file would arrive unpacked and with another length.
		DisableCompression: true,
	}
}

// ValidateKey returns an error of the kind ErrInvalid unless the key is a clean relative path in UTF-8 of at most MaxKeyBytes:
// no leading slash, no empty, "." or ".." segment, no backslash and no control character.
func ValidateKey(key string) error { return validateKey("check key", key) }

func validateKey(op, key string) error {
	switch {
	case key == "":
		return invalid(op, key, "the key is empty")
	case len(key) > MaxKeyBytes:
		return invalid(op, key[:32]+"…", "the key is longer than %d bytes", MaxKeyBytes)
	}
	return validatePath(op, key, false)
}

// validatePath checks the segments of a key, or of a prefix, which may end within a segment or with a slash.
func validatePath(op, key string, prefix bool) error {
	if !utf8.ValidString(key) {
		return invalid(op, strings.ToValidUTF8(key, "?"), "the key is not UTF-8")
	}
	for _, r := range key {
		if r < 0x20 || r == 0x7f || r == '\\' {
			return invalid(op, key, "the key has a control character or a backslash")
		}
	}
	parts := strings.Split(key, "/")
	for i, p := range parts {
		open := prefix && i == len(parts)-1 // the end of a prefix
		if p == "" && !open || p == "." || p == ".." {
			return invalid(op, key, "the key has an empty or relative segment")
		}
	}
	return nil
}

// validatePrefix allows what validateKey allows and the ends of it. Empty means everything.
func validatePrefix(op, prefix string) error {
	if len(prefix) > MaxKeyBytes {
		return invalid(op, prefix[:32]+"…", "the prefix is longer than %d bytes", MaxKeyBytes)
	}
	if prefix == "" {
		return nil
	}
	return validatePath(op, prefix, true)
}

func invalid(op, key, format string, args ...any) *Error {
	return &Error{Op: op, Key: key, Message: fmt.Sprintf(format, args...), kind: ErrInvalid}
}

// wrap turns an error of minio-go into an Error.
func wrap(op, key string, err error) error {
	if err == nil || err == io.EOF { //nolint:errorlint // the end of a reader is io.EOF itself; an error that wraps it is a broken connection
		return err
	}
	e := &Error{Op: op, Key: key, Message: err.Error(), kind: ErrUnavailable, cause: err}
	resp := minio.ToErrorResponse(err)
	switch resp.Code {
	case "NoSuchKey", "NoSuchBucket", "NotFound":
		e.kind, e.Message = ErrNotFound, "it does not exist"
		if resp.Code == "NoSuchBucket" {
			e.Message = "the bucket does not exist"
		}
		return e
	case "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthorizationHeaderMalformed":
		e.kind = ErrUnauthorized
		return e
	}
	switch {
	case errors.Is(err, context.Canceled):
		e.kind, e.Message = nil, "cancelled"
	case errors.Is(err, context.DeadlineExceeded):
		e.Message = "no answer in time"
	case resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusUnauthorized:
		e.kind = ErrUnauthorized
	case resp.StatusCode == http.StatusNotFound:
		e.kind, e.Message = ErrNotFound, "it does not exist"
	case resp.StatusCode >= 400 && resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests:
		e.kind = ErrInvalid
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		// The address of a failed request holds its signature.
		e.Message = ue.Err.Error()
	}
	return e
}

// EnsureBucket creates the bucket if it does not exist.
func (s *Store) EnsureBucket(ctx context.Context) error {
	const op = "create bucket"
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	exists, err := s.client.BucketExists(ctx, s.bucket)
	if err != nil {
		return wrap(op, "", err)
	}
	if exists {
		return nil
	}
	err = s.client.MakeBucket(ctx, s.bucket, minio.MakeBucketOptions{Region: s.region})
	switch minio.ToErrorResponse(err).Code {
	case "BucketAlreadyOwnedByYou", "BucketAlreadyExists":
		return nil // by another replica, a moment ago
	}
	return wrap(op, "", err)
}

// Put writes an object, replacing one of the same key. size is the length in bytes, -1 if it is not known: then one part of
// 16 MiB at a time is held in memory. The object is visible as a whole or not at all.
func (s *Store) Put(ctx context.Context, key string, r io.Reader, size int64, contentType string) error {
	const op = "put"
	if err := validateKey(op, key); err != nil {
		return err
	}
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	_, err := s.client.PutObject(ctx, s.bucket, key, r, size, minio.PutObjectOptions{
		ContentType: contentType, PartSize: partSize, NumThreads: 1,
	})
	return wrap(op, key, err)
}

// Get opens an object for streaming; it must be closed.
func (s *Store) Get(ctx context.Context, key string) (io.ReadCloser, Info, error) {
	return s.get(ctx, key, minio.GetObjectOptions{})
}

// GetRange opens the part of an object that begins at an offset and is length bytes long; -1: up to the end. An offset at or
// beyond the end is ErrInvalid. Info.Size is the length of the part.
func (s *Store) GetRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, Info, error) {
	if offset < 0 || length == 0 || length < -1 {
		return nil, Info{}, invalid("get", key, "the range %d+%d is not possible", offset, length)
	}
	opts := minio.GetObjectOptions{}
	end := int64(0) // minio-go: up to the end
	if length > 0 {
		end = offset + length - 1
	}
	switch {
	case offset == 0 && length == -1:
	case offset == 0 && end == 0:
		// minio-go cannot say "the first byte" by SetRange.
		opts.Set("Range", "bytes=0-0")
	default:
		if err := opts.SetRange(offset, end); err != nil {
			return nil, Info{}, wrap("get", key, err)
		}
	}
	return s.get(ctx, key, opts)
}

func (s *Store) get(ctx context.Context, key string, opts minio.GetObjectOptions) (io.ReadCloser, Info, error) {
	const op = "get"
	if err := validateKey(op, key); err != nil {
		return nil, Info{}, err
	}
	// Core gives the plain body: one request, no goroutine, and the error at once.
	body, info, _, err := minio.Core{Client: s.client}.GetObject(ctx, s.bucket, key, opts)
	if err != nil {
		return nil, Info{}, wrap(op, key, err)
	}
	return &object{ReadCloser: body, key: key}, infoOf(key, info), nil
}

// object gives the errors of a stream this package's type.
type object struct {
	io.ReadCloser
	key string
}

func (o *object) Read(p []byte) (int, error) {
	n, err := o.ReadCloser.Read(p)
	return n, wrap("get", o.key, err)
}

func infoOf(key string, info minio.ObjectInfo) Info {
	return Info{Key: key, Size: info.Size, ContentType: info.ContentType, ETag: strings.Trim(info.ETag, "\""), Modified: info.LastModified.UTC()}
}

// Stat describes an object.
func (s *Store) Stat(ctx context.Context, key string) (Info, error) {
	const op = "stat"
	if err := validateKey(op, key); err != nil {
		return Info{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	info, err := s.client.StatObject(ctx, s.bucket, key, minio.StatObjectOptions{})
	if err != nil {
		return Info{}, wrap(op, key, err)
	}
	return infoOf(key, info), nil
}

// List returns the objects whose key begins with a prefix, in the order of their keys. Empty: all.
func (s *Store) List(ctx context.Context, prefix string) ([]Info, error) {
	const op = "list"
	if err := validatePrefix(op, prefix); err != nil {
		return nil, err
	}
	list := []Info{}
	for o := range s.client.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			return nil, wrap(op, prefix, o.Err)
		}
		list = append(list, infoOf(o.Key, o))
	}
	return list, nil
}

// Delete deletes an object. That it does not exist is a success.
func (s *Store) Delete(ctx context.Context, key string) error {
	const op = "delete"
	if err := validateKey(op, key); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := wrap(op, key, s.client.RemoveObject(ctx, s.bucket, key, minio.RemoveObjectOptions{}))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// DeletePrefix deletes all objects whose key begins with a prefix, which must name a folder: end with a slash.
func (s *Store) DeletePrefix(ctx context.Context, prefix string) error {
	const op = "delete"
	if !strings.HasSuffix(prefix, "/") {
		// "runs/a" would delete "runs/ab", too.
		return invalid(op, prefix, "the prefix must end with a slash")
	}
	list, err := s.List(ctx, prefix)
	if err != nil {
		return err
	}
	objects := make(chan minio.ObjectInfo, len(list))
	for _, o := range list {
		objects <- minio.ObjectInfo{Key: o.Key}
	}
	close(objects)
	var first error
	for e := range s.client.RemoveObjects(ctx, s.bucket, objects, minio.RemoveObjectsOptions{}) {
		if first == nil {
			first = wrap(op, e.ObjectName, e.Err)
		}
	}
	return first
}

// PresignGet returns an address that anybody may download the object from until it expires, at most MaxPresign. filename, if
// not empty, is what a browser saves it as. The object need not exist.
func (s *Store) PresignGet(ctx context.Context, key, filename string, validity time.Duration) (string, error) {
	const op = "presign"
	if err := validateKey(op, key); err != nil {
		return "", err
	}
	if validity < time.Second || validity > MaxPresign {
		return "", invalid(op, key, "the validity must be between 1 s and %s", MaxPresign)
	}
	query := url.Values{}
	if filename != "" {
		query.Set("response-content-disposition", "attachment; filename*=UTF-8''"+url.PathEscape(filename))
	}
	u, err := s.client.PresignedGetObject(ctx, s.bucket, key, validity, query)
	if err != nil {
		return "", wrap(op, key, err)
	}
	return u.String(), nil
}
