// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"context"
	"crypto/md5" //nolint:gosec // the ETag of S3
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/rclone/gofakes3"
)

// uploadDir returns the folder of an upload. The id is ours, but it comes back from the client.
func (s *store) uploadDir(id gofakes3.UploadID) (string, error) {
	if _, err := uuid.Parse(string(id)); err != nil {
		return "", gofakes3.ErrNoSuchUpload
	}
	dir := filepath.Join(s.dir, "uploads", string(id))
	_, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", gofakes3.ErrNoSuchUpload
	}
	return dir, err
}

func partPath(dir string, number int) string { return filepath.Join(dir, strconv.Itoa(number)) }

// CreateMultipartUpload implements gofakes3.MultipartBackend.
func (s *store) CreateMultipartUpload(ctx context.Context, bucket, _ string, meta map[string]string) (gofakes3.UploadID, error) {
	if ok, err := s.BucketExists(ctx, bucket); err != nil || !ok {
		return "", errors.Join(err, gofakes3.BucketNotFound(bucket))
	}
	id := uuid.NewString()
	dir := filepath.Join(s.dir, "uploads", id)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	doc, err := json.Marshal(keptMeta(meta))
	if err != nil {
		return "", err
	}
	return gofakes3.UploadID(id), os.WriteFile(filepath.Join(dir, "meta"), doc, 0o600)
}

// UploadPart implements gofakes3.MultipartBackend. Parts are not synced: they need not survive, only the object must.
func (s *store) UploadPart(_ context.Context, _, _ string, id gofakes3.UploadID, number int, length int64, body io.Reader) (string, error) {
	dir, err := s.uploadDir(id)
	if err != nil {
		return "", err
	}
	// A repeated part replaces the former one, so it must not be written in place.
	f, err := os.CreateTemp(dir, "part-")
	if err != nil {
		return "", err
	}
	h := md5.New() //nolint:gosec // the ETag of S3
	n, err := io.Copy(f, io.TeeReader(body, h))
	if err = errors.Join(err, f.Close()); err == nil && n != length {
		err = gofakes3.ErrIncompleteBody
	}
	etag := hex.EncodeToString(h.Sum(nil))
	if err == nil {
		err = os.Rename(f.Name(), partPath(dir, number))
	}
	if err == nil {
		err = os.WriteFile(partPath(dir, number)+".etag", []byte(etag), 0o600)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return "", err
	}
	return "\"" + etag + "\"", nil
}

// CompleteMultipartUpload implements gofakes3.MultipartBackend. Nothing of the upload is removed before the object is in the index,
// so a failed call can be repeated.
func (s *store) CompleteMultipartUpload(_ context.Context, bucket, object string, id gofakes3.UploadID, input *gofakes3.CompleteMultipartUploadRequest) (gofakes3.VersionID, string, error) {
	dir, err := s.uploadDir(id)
	if err != nil {
		return "", "", err
	}
	r := &partReader{}
	defer r.close()
	size := int64(0)
	for i, p := range input.Parts {
		if i > 0 && p.PartNumber <= input.Parts[i-1].PartNumber {
			return "", "", gofakes3.ErrInvalidPartOrder
		}
		etag, err := os.ReadFile(partPath(dir, p.PartNumber) + ".etag")
		if err != nil || string(etag) != strings.Trim(p.ETag, "\"") {
			return "", "", gofakes3.ErrInvalidPart
		}
		info, err := os.Stat(partPath(dir, p.PartNumber))
		if err != nil {
			return "", "", err
		}
		size += info.Size()
		r.paths = append(r.paths, partPath(dir, p.PartNumber))
	}
	e, err := s.writeBlob(r, size)
	if err != nil {
		return "", "", err
	}
	doc, err := os.ReadFile(filepath.Join(dir, "meta"))
	if err == nil {
		err = json.Unmarshal(doc, &e.Meta)
	}
	if err != nil {
		_ = os.Remove(s.blobPath(e.Blob))
		return "", "", err
	}
	if err := s.commit(bucket, object, e); err != nil {
		return "", "", err
	}
	_ = os.RemoveAll(dir)
	return "", "\"" + hex.EncodeToString(e.MD5) + "\"", nil
}

// AbortMultipartUpload implements gofakes3.MultipartBackend.
func (s *store) AbortMultipartUpload(_ context.Context, _, _ string, id gofakes3.UploadID) error {
	dir, err := s.uploadDir(id)
	if errors.Is(err, gofakes3.ErrNoSuchUpload) {
		return nil // aborted before
	}
	if err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// partReader reads files one after the other, with one open at a time.
type partReader struct {
	paths []string
	file  *os.File
}

func (r *partReader) Read(p []byte) (int, error) {
	for {
		if r.file == nil {
			if len(r.paths) == 0 {
				return 0, io.EOF
			}
			f, err := os.Open(r.paths[0])
			if err != nil {
				return 0, err
			}
			r.file, r.paths = f, r.paths[1:]
		}
		n, err := r.file.Read(p)
		if n > 0 || err != io.EOF {
			return n, err
		}
		r.close()
	}
}

func (r *partReader) close() {
	if r.file != nil {
		_ = r.file.Close()
		r.file = nil
	}
}
