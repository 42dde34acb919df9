// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitrepository

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"path"
	"strconv"
	"time"

	"github.com/emicklei/go-restful/v3"
	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/gitfiles"
	"github.com/slipway-dev/slipway/pkg/objectstore"
)

const (
	// uploadPrefix begins the keys of uploads in the object store.
	uploadPrefix = "git-uploads/"
	// maxUploads is how many files one request brings.
	maxUploads = 10
	// maxKept is how many files one user may have uploaded for one repository and not committed.
	maxKept = 100
	// uploadLife is how long an upload is kept.
	uploadLife = time.Hour
	// formMemory is how much of a form is held in memory; the rest is in files.
	formMemory = 1 << 20
	// maxUnpacked bounds the entries of an archive.
	maxUnpacked = 2000
)

// Uploads keeps files between upload and commit, for all replicas; *objectstore.Store has it.
type Uploads interface {
	Put(ctx context.Context, key string, r io.Reader, size int64, contentType string) error
	Get(ctx context.Context, key string) (io.ReadCloser, objectstore.Info, error)
	List(ctx context.Context, prefix string) ([]objectstore.Info, error)
	Delete(ctx context.Context, key string) error
}

// uploadsOf is where a user's uploads for a repository are. Names are hashed: they may be longer than keys.
func uploadsOf(o *opened) string {
	return uploadPrefix + string(o.object.UID) + "/" + digest(o.user) + "/"
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

func (h *Files) noUploads() error {
	if h.files.Uploads != nil {
		return nil
	}
	return response.NewStatus(http.StatusNotImplemented, "NotImplemented", "this server has no object store for uploads; send the contents with the commit, in files[].data")
}

// Upload keeps files for a commit.
func (h *Files) Upload(req *restful.Request, resp *restful.Response) error {
	repo, err := h.open(req)
	if err != nil {
		return err
	}
	if err := h.noUploads(); err != nil {
		return err
	}
	done, err := h.large.Take(repo.user)
	if err != nil {
		return err
	}
	defer done()
	most := h.files.Git.MaxFileBytes()
	if err := limit(req, resp, maxUploads*(most+1<<16)); err != nil {
		return err
	}
	if err := req.Request.ParseMultipartForm(formMemory); err != nil {
		return formError(err)
	}
	form := req.Request.MultipartForm
	defer func() { _ = form.RemoveAll() }()
	if len(form.File) > maxUploads {
		return apierrors.NewBadRequest(fmt.Sprintf("%d files were sent; %d are possible at a time", len(form.File), maxUploads))
	}
	ctx := req.Request.Context()
	if err := h.room(ctx, repo); err != nil {
		return err
	}
	count := 0
	for i := range maxUploads {
		field := "file" + strconv.Itoa(i)
		if len(form.File[field]) == 0 {
			continue
		}
		if err := h.keep(ctx, repo, form, field); err != nil {
			return err
		}
		count++
	}
	if count == 0 || count < len(form.File) {
		return apierrors.NewBadRequest("the files must be in the fields file0 to file9")
	}
	return write(req, resp, Empty{})
}

func formError(err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return request.TooLarge(tooLarge.Limit)
	case errors.Is(err, http.ErrNotMultipart), errors.Is(err, http.ErrMissingBoundary):
		return response.NewStatus(http.StatusUnsupportedMediaType, metav1.StatusReasonUnsupportedMediaType, "send a form: Content-Type: multipart/form-data")
	}
	return apierrors.NewBadRequest("the form cannot be read: " + err.Error())
}

// keep stores one file of a form.
func (h *Files) keep(ctx context.Context, repo *opened, form *multipart.Form, field string) error {
	file := form.File[field][0]
	if len(form.File[field]) > 1 || len(form.Value[field+"_name"]) != 1 {
		return apierrors.NewBadRequest(fmt.Sprintf("there must be one %s and one %s_name, the path of the file in the repository", field, field))
	}
	name, err := gitfiles.CleanPath(form.Value[field+"_name"][0])
	if err != nil {
		return explain(err)
	}
	if most := h.files.Git.MaxFileBytes(); file.Size > most {
		return response.NewStatus(http.StatusRequestEntityTooLarge, metav1.StatusReasonRequestEntityTooLarge,
			fmt.Sprintf("%s has %d bytes; %d are possible", name, file.Size, most))
	}
	content, err := file.Open()
	if err != nil {
		return fmt.Errorf("read form: %w", err)
	}
	defer func() { _ = content.Close() }()
	return h.files.Uploads.Put(ctx, uploadsOf(repo)+digest(name), content, file.Size, mimeBytes)
}

// room deletes what is too old, and fails if there is too much left.
func (h *Files) room(ctx context.Context, repo *opened) error {
	list, err := h.files.Uploads.List(ctx, uploadsOf(repo))
	if err != nil {
		return err
	}
	kept := 0
	for _, o := range list {
		if time.Since(o.Modified) < uploadLife {
			kept++
			continue
		}
		if err := h.files.Uploads.Delete(ctx, o.Key); err != nil {
			return err
		}
	}
	if kept+maxUploads > maxKept {
		return response.TooManyRequests(fmt.Sprintf("%d files are uploaded and not committed; commit them, or wait an hour", kept), int(uploadLife/time.Second))
	}
	return nil
}

// fill gives files the contents that were uploaded, and says where those are.
func (h *Files) fill(ctx context.Context, repo *opened, files []NamedData) ([]string, error) {
	if err := h.noUploads(); err != nil {
		return nil, err
	}
	if len(files) > maxKept {
		// Each is asked for at the object store.
		return nil, apierrors.NewBadRequest(fmt.Sprintf("files: there are %d; no more than %d can be uploaded before a commit", len(files), maxKept))
	}
	var keys []string
	left := h.files.Git.MaxCommitBytes()
	for i := range files {
		name, err := gitfiles.CleanPath(files[i].Name)
		if err != nil {
			return nil, explain(err)
		}
		if len(files[i].Data) > 0 {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("%s has data, and with uploaded it must be uploaded before", name))
		}
		key := uploadsOf(repo) + digest(name)
		if files[i].Data, err = h.fetch(ctx, key, name, &left); err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func (h *Files) fetch(ctx context.Context, key, name string, left *int64) ([]byte, error) {
	content, info, err := h.files.Uploads.Get(ctx, key)
	if errors.Is(err, objectstore.ErrNotFound) || err == nil && time.Since(info.Modified) > uploadLife {
		if err == nil {
			_ = content.Close()
		}
		return nil, response.NewStatus(http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("%s was not uploaded within the last hour; upload it again", name))
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = content.Close() }()
	if *left -= info.Size; *left < 0 {
		return nil, response.NewStatus(http.StatusRequestEntityTooLarge, metav1.StatusReasonRequestEntityTooLarge,
			fmt.Sprintf("the files have more than %d bytes together; commit them in parts", h.files.Git.MaxCommitBytes()))
	}
	return io.ReadAll(io.LimitReader(content, info.Size)) //nolint:wrapcheck // it is the object store's own
}

// forget deletes uploads that were committed. One that stays is deleted when it is old.
func (h *Files) forget(ctx context.Context, keys []string) {
	for _, key := range keys {
		if err := h.files.Uploads.Delete(ctx, key); err != nil {
			logr.FromContextOrDiscard(ctx).Error(err, "delete upload")
		}
	}
}

// unpack reads a tar archive with gzip, of plain files only.
func unpack(archive NamedData, maxFile, maxAll int64) ([]gitfiles.Put, error) {
	dir, err := gitfiles.CleanDir(archive.Name)
	if err != nil {
		return nil, err
	}
	zipped, err := gzip.NewReader(bytes.NewReader(archive.Data))
	if err != nil {
		return nil, apierrors.NewBadRequest("files[0].data is no tar archive with gzip")
	}
	// What is between the files counts, too: zeros pack well.
	in := tar.NewReader(io.LimitReader(zipped, maxAll+maxUnpacked*1024))
	var list []gitfiles.Put
	left := maxAll
	for {
		entry, err := in.Next()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, apierrors.NewBadRequest("files[0].data is no tar archive with gzip, is damaged or unpacks to too much")
		}
		// A file with holes takes no room in the archive.
		if left -= entry.Size; left < 0 {
			return nil, response.NewStatus(http.StatusRequestEntityTooLarge, metav1.StatusReasonRequestEntityTooLarge,
				fmt.Sprintf("the files of the archive have more than %d bytes together", maxAll))
		}
		put, err := unpackEntry(in, entry, maxFile)
		switch {
		case err != nil:
			return nil, err
		case put == nil:
			continue
		case len(list) == maxUnpacked:
			return nil, response.NewStatus(http.StatusRequestEntityTooLarge, metav1.StatusReasonRequestEntityTooLarge,
				fmt.Sprintf("the archive has more than %d files", maxUnpacked))
		}
		put.Path = path.Join(dir, put.Path)
		list = append(list, *put)
	}
}

// unpackEntry reads one entry; nil for a folder.
func unpackEntry(in io.Reader, entry *tar.Header, maxFile int64) (*gitfiles.Put, error) {
	switch entry.Typeflag {
	case tar.TypeDir, tar.TypeXGlobalHeader:
		return nil, nil
	case tar.TypeReg:
	default:
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the archive has %q, which is no plain file", entry.Name))
	}
	name := entry.Name
	if clean := path.Clean(name); name == "./"+clean {
		name = clean // as tar writes what is packed from "."
	}
	name, err := gitfiles.CleanPath(name)
	if err != nil {
		return nil, err
	}
	if entry.Size > maxFile {
		return nil, response.NewStatus(http.StatusRequestEntityTooLarge, metav1.StatusReasonRequestEntityTooLarge,
			fmt.Sprintf("%s in the archive has %d bytes; %d are possible", name, entry.Size, maxFile))
	}
	content, err := io.ReadAll(io.LimitReader(in, entry.Size))
	if err != nil || int64(len(content)) < entry.Size {
		return nil, apierrors.NewBadRequest("the archive is damaged or unpacks to too much")
	}
	return &gitfiles.Put{Path: name, Content: content}, nil
}
