// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rclone/gofakes3"
)

func testStore(t *testing.T, keys ...string) *store {
	t.Helper()
	s, err := openStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.close() })
	if err := s.ensureBucket("bkt"); err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if _, err := s.PutObject(t.Context(), "bkt", k, map[string]string{"Content-Type": "text/x", "Authorization": "secret"}, strings.NewReader(k), int64(len(k))); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestListBucket(t *testing.T) {
	s := testStore(t, "a", "a/1", "a/2", "a/b/3", "b/1", "c", "ä/1")
	slash := gofakes3.Prefix{HasDelimiter: true, Delimiter: "/"}
	for reason, tc := range map[string]struct {
		prefix gofakes3.Prefix
		want   []string
	}{
		"everything":          {gofakes3.Prefix{}, []string{"a", "a/1", "a/2", "a/b/3", "b/1", "c", "ä/1"}},
		"prefix":              {gofakes3.Prefix{HasPrefix: true, Prefix: "a/"}, []string{"a/1", "a/2", "a/b/3"}},
		"top folders":         {slash, []string{"a", "a/", "b/", "c", "ä/"}},
		"folder":              {gofakes3.NewFolderPrefix("a/"), []string{"a/1", "a/2", "a/b/"}},
		"prefix in a segment": {gofakes3.NewFolderPrefix("a"), []string{"a", "a/"}},
		"nothing":             {gofakes3.NewFolderPrefix("x/"), nil},
	} {
		t.Run(reason, func(t *testing.T) {
			for _, size := range []int64{1, 2, 1000} {
				var got []string
				page := gofakes3.ListBucketPage{MaxKeys: size}
				for range 20 {
					list, err := s.ListBucket(t.Context(), "bkt", &tc.prefix, page)
					if err != nil {
						t.Fatal(err)
					}
					// Keys and common prefixes come in two lists, each in order.
					for _, c := range list.Contents {
						got = append(got, c.Key)
					}
					for _, p := range list.CommonPrefixes {
						got = append(got, p.Prefix)
					}
					if !list.IsTruncated {
						break
					}
					page.HasMarker, page.Marker = true, list.NextMarker
				}
				slices.Sort(got)
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("page size %d: %s", size, diff)
				}
			}
		})
	}
}

func TestCopyKeepsContentAndMetadata(t *testing.T) {
	s := testStore(t, "src")
	if _, err := s.CopyObject(t.Context(), "bkt", "src", "bkt", "dst", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.DeleteObject(t.Context(), "bkt", "src"); err != nil {
		t.Fatal(err)
	}
	o, err := s.GetObject(t.Context(), "bkt", "dst", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = o.Contents.Close() }()
	b, err := io.ReadAll(o.Contents)
	if err != nil || string(b) != "src" || o.Metadata["Content-Type"] != "text/x" || o.Metadata["Authorization"] != "" {
		t.Errorf("%q, %v, %v", b, o.Metadata, err)
	}
}

func TestUploadIDsAreNoPaths(t *testing.T) {
	s := testStore(t, "k")
	for _, id := range []gofakes3.UploadID{"", "..", "../blobs", "00000000-0000-0000-0000-000000000000"} {
		if _, err := s.UploadPart(t.Context(), "bkt", "k", id, 1, 1, strings.NewReader("x")); !gofakes3.HasErrorCode(err, gofakes3.ErrNoSuchUpload) {
			t.Errorf("part of %q: %v", id, err)
		}
		if err := s.AbortMultipartUpload(t.Context(), "bkt", "k", id); err != nil {
			t.Errorf("abort of %q: %v", id, err)
		}
	}
	if _, err := s.lookup("bkt", "k"); err != nil {
		t.Error(err)
	}
}

func TestBuckets(t *testing.T) {
	s := testStore(t, "k")
	ctx := t.Context()
	if err := s.CreateBucket(ctx, "bkt"); !gofakes3.HasErrorCode(err, gofakes3.ErrBucketAlreadyExists) {
		t.Errorf("second creation: %v", err)
	}
	for _, name := range []string{"", "..", "A", "a/b", "o:bkt"} {
		if err := s.CreateBucket(ctx, name); err == nil {
			t.Errorf("bucket %q was created", name)
		}
	}
	if err := s.DeleteBucket(ctx, "bkt"); !gofakes3.HasErrorCode(err, gofakes3.ErrBucketNotEmpty) {
		t.Errorf("deletion of a full bucket: %v", err)
	}
	if _, err := s.DeleteMulti(ctx, "bkt", "k", "nosuch"); err != nil {
		t.Error(err)
	}
	if err := s.DeleteBucket(ctx, "bkt"); err != nil {
		t.Error(err)
	}
	if list, err := s.ListBuckets(ctx); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := s.PutObject(ctx, "bkt", "k", nil, strings.NewReader("x"), 1); !gofakes3.HasErrorCode(err, gofakes3.ErrNoSuchBucket) {
		t.Errorf("put: %v", err)
	}
}

func TestFolderInUse(t *testing.T) {
	s := testStore(t)
	if _, err := openStore(s.dir); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("err = %v", err)
	}
}
