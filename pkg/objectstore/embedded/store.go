// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // the ETag of S3
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/rclone/gofakes3"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// store is the storage behind gofakes3. Layout of the folder:
//
//	index.db      bbolt: bucket "buckets" name → bucketEntry; bucket "o:"+name key → entry
//	blobs/ab/ab…  contents, named by a random id
//	uploads/ID/N  parts of uploads that have not ended; they do not outlive the process
type store struct {
	db  *bbolt.DB
	dir string
}

var (
	_ gofakes3.Backend          = (*store)(nil)
	_ gofakes3.MultipartBackend = (*store)(nil)
)

// entry is an object in the index.
type entry struct {
	Blob     string            `json:"blob"`
	Size     int64             `json:"size"`
	MD5      []byte            `json:"md5"`
	Meta     map[string]string `json:"meta,omitempty"`
	Modified time.Time         `json:"modified"`
}

type bucketEntry struct {
	Created time.Time `json:"created"`
}

var bucketsKey = []byte("buckets")

func objectsKey(bucket string) []byte { return []byte("o:" + bucket) }

func openStore(dir string) (*store, error) {
	for _, d := range []string{"blobs", "uploads"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return nil, fmt.Errorf("embedded object store: %w", err)
		}
	}
	db, err := bbolt.Open(filepath.Join(dir, "index.db"), 0o600, &bbolt.Options{Timeout: 5 * time.Second})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("embedded object store: the folder %s is in use by another process", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("embedded object store: open the index: %w", err)
	}
	s := &store{db: db, dir: dir}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucketsKey)
		return err
	})
	if err == nil {
		err = s.collectGarbage()
	}
	if err == nil {
		err = syncDir(dir) // the entry of a new index
	}
	if err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("embedded object store: %w", err)
	}
	return s, nil
}

func (s *store) close() error { return s.db.Close() }

// collectGarbage removes what a crash has left: uploads, and blobs that no entry names.
func (s *store) collectGarbage() error {
	uploads := filepath.Join(s.dir, "uploads")
	if err := os.RemoveAll(uploads); err != nil {
		return err
	}
	if err := os.Mkdir(uploads, 0o700); err != nil {
		return err
	}
	used := map[string]bool{}
	err := s.db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			if bytes.Equal(name, bucketsKey) {
				return nil
			}
			return b.ForEach(func(_, v []byte) error {
				var e entry
				if err := json.Unmarshal(v, &e); err != nil {
					return err
				}
				used[e.Blob] = true
				return nil
			})
		})
	})
	if err != nil {
		return err
	}
	return filepath.WalkDir(filepath.Join(s.dir, "blobs"), func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || used[d.Name()] {
			return err
		}
		return os.Remove(p) //nolint:gosec // G122: nobody else writes to the store's folder
	})
}

func (s *store) blobPath(blob string) string { return filepath.Join(s.dir, "blobs", blob[:2], blob) }

// writeFile writes a file so that it survives a power cut: under another name, synced, renamed, and the folder synced.
func writeFile(path string, r io.Reader) (err error) {
	f, err := os.OpenFile(path+".part", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(path + ".part")
		}
	}()
	_, err = io.Copy(f, r)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(path+".part", path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// writeBlob writes size bytes of r to a new blob and returns its entry.
func (s *store) writeBlob(r io.Reader, size int64) (entry, error) {
	blob := uuid.NewString()
	path := s.blobPath(blob)
	if err := os.Mkdir(filepath.Dir(path), 0o700); err == nil {
		if err := syncDir(filepath.Join(s.dir, "blobs")); err != nil {
			return entry{}, err
		}
	} else if !errors.Is(err, os.ErrExist) {
		return entry{}, err
	}
	h := md5.New() //nolint:gosec // the ETag of S3
	n := &counter{}
	if err := writeFile(path, io.TeeReader(r, io.MultiWriter(h, n))); err != nil {
		return entry{}, err
	}
	if n.n != size {
		_ = os.Remove(path)
		return entry{}, gofakes3.ErrIncompleteBody
	}
	return entry{Blob: blob, Size: size, MD5: h.Sum(nil), Modified: time.Now().UTC()}, nil
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// commit enters the object into the index and removes the content that it replaces.
func (s *store) commit(bucket, key string, e entry) error {
	old := ""
	err := s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(objectsKey(bucket))
		if b == nil {
			return gofakes3.BucketNotFound(bucket)
		}
		if v := b.Get([]byte(key)); v != nil {
			var prev entry
			if err := json.Unmarshal(v, &prev); err != nil {
				return err
			}
			old = prev.Blob
		}
		v, err := json.Marshal(e)
		if err != nil {
			return err
		}
		return b.Put([]byte(key), v)
	})
	if err != nil {
		_ = os.Remove(s.blobPath(e.Blob))
		return err
	}
	if old != "" {
		_ = os.Remove(s.blobPath(old)) // else the next start does it
	}
	return nil
}

func (s *store) lookup(bucket, key string) (entry, error) {
	var e entry
	err := s.db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(objectsKey(bucket))
		if b == nil {
			return gofakes3.BucketNotFound(bucket)
		}
		v := b.Get([]byte(key))
		if v == nil {
			return gofakes3.KeyNotFound(key)
		}
		return json.Unmarshal(v, &e)
	})
	return e, err
}

func (s *store) ensureBucket(name string) error {
	err := s.createBucket(name)
	if gofakes3.HasErrorCode(err, gofakes3.ErrBucketAlreadyExists) {
		return nil
	}
	return err
}

// ListBuckets implements gofakes3.Backend.
func (s *store) ListBuckets(context.Context) ([]gofakes3.BucketInfo, error) {
	list := []gofakes3.BucketInfo{}
	err := s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketsKey).ForEach(func(k, v []byte) error {
			var b bucketEntry
			if err := json.Unmarshal(v, &b); err != nil {
				return err
			}
			list = append(list, gofakes3.BucketInfo{Name: string(k), CreationDate: gofakes3.NewContentTime(b.Created)})
			return nil
		})
	})
	return list, err
}

// CreateBucket implements gofakes3.Backend.
func (s *store) CreateBucket(_ context.Context, name string) error { return s.createBucket(name) }

func (s *store) createBucket(name string) error {
	if err := gofakes3.ValidateBucketName(name); err != nil {
		return err
	}
	return s.db.Update(func(tx *bbolt.Tx) error {
		if tx.Bucket(objectsKey(name)) != nil {
			return gofakes3.ResourceError(gofakes3.ErrBucketAlreadyExists, name)
		}
		if _, err := tx.CreateBucket(objectsKey(name)); err != nil {
			return err
		}
		v, err := json.Marshal(bucketEntry{Created: time.Now().UTC()})
		if err != nil {
			return err
		}
		return tx.Bucket(bucketsKey).Put([]byte(name), v)
	})
}

// BucketExists implements gofakes3.Backend.
func (s *store) BucketExists(_ context.Context, name string) (bool, error) {
	exists := false
	err := s.db.View(func(tx *bbolt.Tx) error {
		exists = tx.Bucket(objectsKey(name)) != nil
		return nil
	})
	return exists, err
}

// DeleteBucket implements gofakes3.Backend.
func (s *store) DeleteBucket(_ context.Context, name string) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(objectsKey(name))
		if b == nil {
			return gofakes3.BucketNotFound(name)
		}
		if k, _ := b.Cursor().First(); k != nil {
			return gofakes3.ResourceError(gofakes3.ErrBucketNotEmpty, name)
		}
		if err := tx.DeleteBucket(objectsKey(name)); err != nil {
			return err
		}
		return tx.Bucket(bucketsKey).Delete([]byte(name))
	})
}

// ListBucket implements gofakes3.Backend.
func (s *store) ListBucket(_ context.Context, name string, prefix *gofakes3.Prefix, page gofakes3.ListBucketPage) (*gofakes3.ObjectList, error) {
	list := gofakes3.NewObjectList()
	if prefix == nil {
		prefix = &gofakes3.Prefix{}
	}
	err := s.db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(objectsKey(name))
		if b == nil {
			return gofakes3.BucketNotFound(name)
		}
		c := b.Cursor()
		k, v := c.Seek([]byte(prefix.Prefix))
		if page.Marker > prefix.Prefix {
			k, v = c.Seek([]byte(page.Marker))
		}
		for n := int64(0); k != nil && bytes.HasPrefix(k, []byte(prefix.Prefix)); {
			key := string(k)
			if page.HasMarker && key <= page.Marker {
				k, v = c.Next()
				continue
			}
			if page.MaxKeys > 0 && n >= page.MaxKeys {
				list.IsTruncated = true
				return nil
			}
			n++
			if rest := key[len(prefix.Prefix):]; prefix.HasDelimiter && prefix.Delimiter != "" && strings.Contains(rest, prefix.Delimiter) {
				common := key[:len(prefix.Prefix)+strings.Index(rest, prefix.Delimiter)+len(prefix.Delimiter)]
				list.AddPrefix(common)
				// The marker must be behind everything that the common prefix stands for.
				list.NextMarker = common + "\xff"
				k, v = c.Seek([]byte(list.NextMarker))
				continue
			}
			var e entry
			if err := json.Unmarshal(v, &e); err != nil {
				return err
			}
			list.Add(&gofakes3.Content{
				Key: key, Size: e.Size, LastModified: gofakes3.NewContentTime(e.Modified), ETag: "\"" + hex.EncodeToString(e.MD5) + "\"",
			})
			list.NextMarker = key
			k, v = c.Next()
		}
		return nil
	})
	if !list.IsTruncated {
		list.NextMarker = ""
	}
	return list, err
}

func object(key string, e entry) *gofakes3.Object {
	meta := map[string]string{}
	for k, v := range e.Meta {
		meta[k] = v
	}
	meta["Last-Modified"] = e.Modified.Format("Mon, 02 Jan 2006 15:04:05 GMT")
	return &gofakes3.Object{Name: key, Metadata: meta, Size: e.Size, Hash: e.MD5, Contents: io.NopCloser(strings.NewReader(""))}
}

// HeadObject implements gofakes3.Backend.
func (s *store) HeadObject(_ context.Context, bucket, key string) (*gofakes3.Object, error) {
	e, err := s.lookup(bucket, key)
	if err != nil {
		return nil, err
	}
	return object(key, e), nil
}

// GetObject implements gofakes3.Backend.
func (s *store) GetObject(_ context.Context, bucket, key string, rng *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	// Two tries: between the look into the index and the opening the object may have been replaced.
	for attempt := 0; ; attempt++ {
		e, err := s.lookup(bucket, key)
		if err != nil {
			return nil, err
		}
		obj := object(key, e)
		if obj.Range, err = rng.Range(e.Size); err != nil {
			return nil, err
		}
		f, err := os.Open(s.blobPath(e.Blob))
		if errors.Is(err, os.ErrNotExist) && attempt == 0 {
			continue
		}
		if err != nil {
			return nil, err
		}
		obj.Contents = f
		if obj.Range != nil {
			obj.Contents = section{Reader: io.NewSectionReader(f, obj.Range.Start, obj.Range.Length), Closer: f}
		}
		return obj, nil
	}
}

type section struct {
	io.Reader
	io.Closer
}

// PutObject implements gofakes3.Backend.
func (s *store) PutObject(_ context.Context, bucket, key string, meta map[string]string, r io.Reader, size int64) (gofakes3.PutObjectResult, error) {
	var res gofakes3.PutObjectResult
	e, err := s.writeBlob(r, size)
	if err != nil {
		return res, err
	}
	e.Meta = keptMeta(meta)
	return res, s.commit(bucket, key, e)
}

// keptMeta keeps the headers that belong to the object, not those of the request.
func keptMeta(meta map[string]string) map[string]string {
	kept := map[string]string{}
	for k, v := range meta {
		switch k {
		case "Content-Type", "Content-Disposition", "Content-Encoding", "Content-Language", "Cache-Control", "Expires":
			if k == "Content-Encoding" {
				// aws-chunked is how the request was sent.
				v = strings.Trim(strings.ReplaceAll(v, "aws-chunked", ""), ", ")
			}
			if v != "" {
				kept[k] = v
			}
		default:
			if strings.HasPrefix(k, "X-Amz-Meta-") {
				kept[k] = v
			}
		}
	}
	return kept
}

// DeleteObject implements gofakes3.Backend. That the object does not exist is a success, as in S3.
func (s *store) DeleteObject(_ context.Context, bucket, key string) (gofakes3.ObjectDeleteResult, error) {
	blobs, err := s.remove(bucket, []string{key})
	s.unlink(blobs)
	return gofakes3.ObjectDeleteResult{}, err
}

// DeleteMulti implements gofakes3.Backend, in one transaction.
func (s *store) DeleteMulti(_ context.Context, bucket string, keys ...string) (gofakes3.MultiDeleteResult, error) {
	var res gofakes3.MultiDeleteResult
	blobs, err := s.remove(bucket, keys)
	if err != nil {
		return res, err
	}
	s.unlink(blobs)
	for _, k := range keys {
		res.Deleted = append(res.Deleted, gofakes3.ObjectID{Key: k})
	}
	return res, nil
}

func (s *store) remove(bucket string, keys []string) (blobs []string, err error) {
	err = s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(objectsKey(bucket))
		if b == nil {
			return gofakes3.BucketNotFound(bucket)
		}
		for _, key := range keys {
			v := b.Get([]byte(key))
			if v == nil {
				continue
			}
			var e entry
			if err := json.Unmarshal(v, &e); err != nil {
				return err
			}
			blobs = append(blobs, e.Blob)
			if err := b.Delete([]byte(key)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		blobs = nil
	}
	return blobs, err
}

// unlink removes contents; one that stays is removed at the next start.
func (s *store) unlink(blobs []string) {
	for _, b := range blobs {
		_ = os.Remove(s.blobPath(b))
	}
}

// CopyObject implements gofakes3.Backend.
func (s *store) CopyObject(ctx context.Context, srcBucket, srcKey, dstBucket, dstKey string, meta map[string]string) (gofakes3.CopyObjectResult, error) {
	var res gofakes3.CopyObjectResult
	src, err := s.GetObject(ctx, srcBucket, srcKey, nil)
	if err != nil {
		return res, err
	}
	defer func() { _ = src.Contents.Close() }()
	e, err := s.writeBlob(src.Contents, src.Size)
	if err != nil {
		return res, err
	}
	if e.Meta = keptMeta(meta); len(e.Meta) == 0 {
		e.Meta = keptMeta(src.Metadata)
	}
	res.ETag = "\"" + hex.EncodeToString(e.MD5) + "\""
	res.LastModified = gofakes3.NewContentTime(e.Modified)
	return res, s.commit(dstBucket, dstKey, e)
}
