// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package registry is a small image registry that keeps everything on disk.
//
// It speaks the part of the OCI distribution protocol that containerd,
// go-containerregistry and build tools in pods use: pull, push (in one piece
// or in several), tags and deletion. Blobs are shared by all repositories.
package registry

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const (
	// maxManifest bounds a manifest's size in bytes, as registries commonly do.
	maxManifest       = 4 << 20
	mediaTypeIndex    = "application/vnd.oci.image.index.v1+json"
	mediaTypeManifest = "application/vnd.oci.image.manifest.v1+json"
)

var (
	nameRE   = regexp.MustCompile(`^[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*$`)
	tagRE    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	digestRE = regexp.MustCompile(`^sha256:[a-f0-9]{64}$`)
	uploadRE = regexp.MustCompile(`^[a-f0-9]{32}$`)
)

// Registry serves the images in a directory. Use New to make one.
type Registry struct{ dir string }

// New returns the registry of the images in dir, which is made if need be.
// Uploads that an earlier process left unfinished are dropped.
func New(dir string) (*Registry, error) {
	r := &Registry{dir: dir}
	if err := os.RemoveAll(r.path("uploads")); err != nil {
		return nil, fmt.Errorf("dropping unfinished uploads: %w", err)
	}
	for _, sub := range []string{"uploads", "blobs", "repositories"} {
		if err := os.MkdirAll(r.path(sub), 0o755); err != nil {
			return nil, fmt.Errorf("making registry directory: %w", err)
		}
	}
	return r, nil
}

func (r *Registry) path(elem ...string) string {
	return filepath.Join(append([]string{r.dir}, elem...)...)
}

func (r *Registry) blob(digest string) string { return r.path("blobs", hexOf(digest)) }

// manifest is the file that holds the media type of a repository's manifest;
// its content is the blob of the same digest.
func (r *Registry) manifest(name, digest string) string {
	return r.path("repositories", filepath.FromSlash(name), "_manifests", hexOf(digest))
}

// tag is the file that holds the digest that a tag points at.
func (r *Registry) tag(name, tag string) string {
	return r.path("repositories", filepath.FromSlash(name), "_tags", tag)
}

func hexOf(digest string) string { return strings.TrimPrefix(digest, "sha256:") }

// failure is an error with the code that the protocol has for it.
type failure struct {
	status  int
	code    string
	message string
}

func (f *failure) Error() string { return f.message }

func fail(status int, code, format string, args ...any) error {
	return &failure{status, code, fmt.Sprintf(format, args...)}
}

// ServeHTTP implements http.Handler.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	err := r.route(w, req)
	if err == nil {
		return
	}
	var f *failure
	if !errors.As(err, &f) {
		f = &failure{http.StatusInternalServerError, "UNKNOWN", err.Error()}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(f.status)
	// The client may be gone; there is nobody else to tell.
	_ = json.NewEncoder(w).Encode(map[string]any{
		"errors": []map[string]string{{"code": f.code, "message": f.message}},
	})
}

func (r *Registry) route(w http.ResponseWriter, req *http.Request) error {
	path, ok := strings.CutPrefix(req.URL.Path, "/v2/")
	if !ok {
		return fail(http.StatusNotFound, "UNSUPPORTED", "no such page: a registry's start with /v2/")
	}
	switch path {
	case "":
		return writeJSON(w, "application/json", struct{}{})
	case "_catalog":
		return r.catalog(w)
	}
	name, kind, ref := split(path)
	if !nameRE.MatchString(name) {
		return fail(http.StatusNotFound, "NAME_INVALID", "%q is not a repository's name", name)
	}
	switch kind {
	case "blobs":
		return r.serveBlob(w, req, ref)
	case "uploads":
		return r.serveUpload(w, req, name, ref)
	case "manifests":
		return r.serveManifest(w, req, name, ref)
	case "tags":
		return r.tags(w, name)
	case "referrers":
		return writeJSON(w, mediaTypeIndex, map[string]any{
			"schemaVersion": 2, "mediaType": mediaTypeIndex, "manifests": []any{},
		})
	}
	return fail(http.StatusNotFound, "UNSUPPORTED", "no such page")
}

// split takes a path apart into the repository's name, the kind of thing asked
// for and which one.
func split(path string) (name, kind, ref string) {
	if name, ok := strings.CutSuffix(path, "/tags/list"); ok {
		return name, "tags", ""
	}
	if i := strings.LastIndex(path, "/blobs/uploads"); i >= 0 {
		return path[:i], "uploads", strings.Trim(path[i+len("/blobs/uploads"):], "/")
	}
	for _, kind := range []string{"blobs", "manifests", "referrers"} {
		if i := strings.LastIndex(path, "/"+kind+"/"); i >= 0 {
			return path[:i], kind, path[i+len(kind)+2:]
		}
	}
	return path, "", ""
}

func (r *Registry) serveBlob(w http.ResponseWriter, req *http.Request, digest string) error {
	if !digestRE.MatchString(digest) {
		return fail(http.StatusBadRequest, "DIGEST_INVALID", "%q is not a sha256 digest", digest)
	}
	switch req.Method {
	case http.MethodGet, http.MethodHead:
		f, err := os.Open(r.blob(digest))
		if errors.Is(err, fs.ErrNotExist) {
			return fail(http.StatusNotFound, "BLOB_UNKNOWN", "no blob %s", digest)
		}
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Docker-Content-Digest", digest)
		w.Header().Set("ETag", `"`+digest+`"`)
		http.ServeContent(w, req, "", info.ModTime(), f)
		return nil
	case http.MethodDelete:
		if err := os.Remove(r.blob(digest)); errors.Is(err, fs.ErrNotExist) {
			return fail(http.StatusNotFound, "BLOB_UNKNOWN", "no blob %s", digest)
		} else if err != nil {
			return err
		}
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
	return errMethod(req)
}

func (r *Registry) serveUpload(w http.ResponseWriter, req *http.Request, name, id string) error {
	if req.Method == http.MethodPost {
		return r.startUpload(w, req, name)
	}
	if !uploadRE.MatchString(id) {
		return fail(http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "no upload %q", id)
	}
	file := r.path("uploads", id)
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return fail(http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "no upload %s", id)
	}
	if err != nil {
		return err
	}
	switch req.Method {
	case http.MethodGet:
		uploadHeaders(w, name, id, info.Size())
		w.WriteHeader(http.StatusNoContent)
	case http.MethodDelete:
		if err := os.Remove(file); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
	case http.MethodPatch:
		size, err := r.appendTo(file, req)
		if err != nil {
			return err
		}
		uploadHeaders(w, name, id, size)
		w.WriteHeader(http.StatusAccepted)
	case http.MethodPut:
		if _, err := r.appendTo(file, req); err != nil {
			return err
		}
		return r.finishUpload(w, name, file, req.URL.Query().Get("digest"))
	default:
		return errMethod(req)
	}
	return nil
}

func (r *Registry) startUpload(w http.ResponseWriter, req *http.Request, name string) error {
	query := req.URL.Query()
	if mount := query.Get("mount"); digestRE.MatchString(mount) {
		if _, err := os.Stat(r.blob(mount)); err == nil {
			return created(w, name, "blobs", mount)
		}
	}
	var raw [16]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return err
	}
	id := hex.EncodeToString(raw[:])
	file := r.path("uploads", id)
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		return err
	}
	if digest := query.Get("digest"); digest != "" {
		if _, err := r.appendTo(file, req); err != nil {
			return err
		}
		return r.finishUpload(w, name, file, digest)
	}
	uploadHeaders(w, name, id, 0)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (r *Registry) appendTo(file string, req *http.Request) (size int64, err error) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if _, err := io.Copy(f, req.Body); err != nil {
		// What did not arrive whole must not be continued from the middle.
		return 0, errors.Join(fail(http.StatusBadRequest, "BLOB_UPLOAD_INVALID", "upload broke off: %v", err), os.Truncate(file, info.Size()))
	}
	if info, err = f.Stat(); err != nil {
		return 0, err
	}
	return info.Size(), f.Close()
}

func (r *Registry) finishUpload(w http.ResponseWriter, name, file, digest string) error {
	defer os.Remove(file)
	if !digestRE.MatchString(digest) {
		return fail(http.StatusBadRequest, "DIGEST_INVALID", "%q is not a sha256 digest", digest)
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if got := "sha256:" + hex.EncodeToString(h.Sum(nil)); got != digest {
		return fail(http.StatusBadRequest, "DIGEST_INVALID", "the content's digest is %s, not %s", got, digest)
	}
	if err := os.Rename(file, r.blob(digest)); err != nil {
		return err
	}
	return created(w, name, "blobs", digest)
}

func (r *Registry) serveManifest(w http.ResponseWriter, req *http.Request, name, ref string) error {
	if !digestRE.MatchString(ref) && !tagRE.MatchString(ref) {
		return fail(http.StatusBadRequest, "TAG_INVALID", "%q is neither a tag nor a sha256 digest", ref)
	}
	switch req.Method {
	case http.MethodGet, http.MethodHead:
		digest, err := r.resolve(name, ref)
		if err != nil {
			return err
		}
		mediaType, err := os.ReadFile(r.manifest(name, digest))
		if errors.Is(err, fs.ErrNotExist) {
			return fail(http.StatusNotFound, "MANIFEST_UNKNOWN", "no manifest %s in %s", ref, name)
		}
		if err != nil {
			return err
		}
		content, err := os.ReadFile(r.blob(digest))
		if err != nil {
			return fail(http.StatusNotFound, "MANIFEST_UNKNOWN", "the content of manifest %s of %s is gone", ref, name)
		}
		w.Header().Set("Content-Type", string(mediaType))
		w.Header().Set("Docker-Content-Digest", digest)
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		if req.Method == http.MethodGet {
			_, _ = w.Write(content) // the client may be gone
		}
		return nil
	case http.MethodPut:
		return r.putManifest(w, req, name, ref)
	case http.MethodDelete:
		file := r.tag(name, ref)
		if digestRE.MatchString(ref) {
			file = r.manifest(name, ref)
		}
		if err := os.Remove(file); errors.Is(err, fs.ErrNotExist) {
			return fail(http.StatusNotFound, "MANIFEST_UNKNOWN", "no manifest %s in %s", ref, name)
		} else if err != nil {
			return err
		}
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
	return errMethod(req)
}

func (r *Registry) resolve(name, ref string) (digest string, err error) {
	if digestRE.MatchString(ref) {
		return ref, nil
	}
	b, err := os.ReadFile(r.tag(name, ref))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fail(http.StatusNotFound, "MANIFEST_UNKNOWN", "no tag %s in %s", ref, name)
	}
	return string(b), err
}

func (r *Registry) putManifest(w http.ResponseWriter, req *http.Request, name, ref string) error {
	content, err := io.ReadAll(io.LimitReader(req.Body, maxManifest+1))
	if err != nil {
		return fail(http.StatusBadRequest, "MANIFEST_INVALID", "reading manifest: %v", err)
	}
	if len(content) > maxManifest {
		return fail(http.StatusRequestEntityTooLarge, "MANIFEST_INVALID", "the manifest has more than %d bytes", maxManifest)
	}
	sum := sha256.Sum256(content)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	if digestRE.MatchString(ref) && ref != digest {
		return fail(http.StatusBadRequest, "DIGEST_INVALID", "the manifest's digest is %s, not %s", digest, ref)
	}
	mediaType, err := r.checkManifest(content, name)
	if err != nil {
		return err
	}
	if ct := req.Header.Get("Content-Type"); ct != "" {
		mediaType = ct
	}
	// Content first, name last: a reader never finds a name without content.
	if err := r.writeFile(r.blob(digest), content); err != nil {
		return err
	}
	if err := r.writeFile(r.manifest(name, digest), []byte(mediaType)); err != nil {
		return err
	}
	if ref != digest {
		if err := r.writeFile(r.tag(name, ref), []byte(digest)); err != nil {
			return err
		}
	}
	return created(w, name, "manifests", digest)
}

// checkManifest tells the media type of a manifest, having made sure that
// everything that it refers to is here.
func (r *Registry) checkManifest(content []byte, name string) (mediaType string, err error) {
	type descriptor struct {
		Digest string   `json:"digest"`
		URLs   []string `json:"urls"`
	}
	var m struct {
		MediaType string       `json:"mediaType"`
		Config    *descriptor  `json:"config"`
		Layers    []descriptor `json:"layers"`
		Manifests []descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(content, &m); err != nil {
		return "", fail(http.StatusBadRequest, "MANIFEST_INVALID", "the manifest is not JSON: %v", err)
	}
	blobs := m.Layers
	if m.Config != nil {
		blobs = append(blobs, *m.Config)
	}
	for _, d := range blobs {
		if len(d.URLs) > 0 {
			continue // it lies elsewhere by intent
		}
		if _, err := os.Stat(r.blob(d.Digest)); !digestRE.MatchString(d.Digest) || err != nil {
			return "", fail(http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN", "the manifest refers to the blob %s, which is not here", d.Digest)
		}
	}
	for _, d := range m.Manifests {
		if _, err := os.Stat(r.manifest(name, d.Digest)); !digestRE.MatchString(d.Digest) || err != nil {
			return "", fail(http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN", "the index refers to the manifest %s, which is not here", d.Digest)
		}
	}
	if m.MediaType == "" && m.Manifests != nil {
		return mediaTypeIndex, nil
	}
	if m.MediaType == "" {
		return mediaTypeManifest, nil
	}
	return m.MediaType, nil
}

func (r *Registry) tags(w http.ResponseWriter, name string) error {
	entries, err := os.ReadDir(filepath.Dir(r.tag(name, "x")))
	if errors.Is(err, fs.ErrNotExist) {
		return fail(http.StatusNotFound, "NAME_UNKNOWN", "no repository %s", name)
	}
	if err != nil {
		return err
	}
	tags := []string{}
	for _, e := range entries {
		tags = append(tags, e.Name())
	}
	return writeJSON(w, "application/json", map[string]any{"name": name, "tags": tags})
}

func (r *Registry) catalog(w http.ResponseWriter) error {
	root := r.path("repositories")
	names := []string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == "_manifests" {
			name, err := filepath.Rel(root, filepath.Dir(path))
			if err != nil {
				return err
			}
			names = append(names, filepath.ToSlash(name))
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.Sort(names)
	return writeJSON(w, "application/json", map[string]any{"repositories": names})
}

// writeFile replaces a file at once, so that a reader never sees half of it.
func (r *Registry) writeFile(file string, content []byte) error {
	if old, err := os.ReadFile(file); err == nil && bytes.Equal(old, content) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(r.path("uploads"), "file-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(content); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

func created(w http.ResponseWriter, name, kind, digest string) error {
	w.Header().Set("Location", "/v2/"+name+"/"+kind+"/"+digest)
	w.Header().Set("Docker-Content-Digest", digest)
	w.WriteHeader(http.StatusCreated)
	return nil
}

func uploadHeaders(w http.ResponseWriter, name, id string, size int64) {
	w.Header().Set("Location", "/v2/"+name+"/blobs/uploads/"+id)
	w.Header().Set("Docker-Upload-UUID", id)
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(size-1, 0)))
}

func writeJSON(w http.ResponseWriter, contentType string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(b) // the client may be gone
	return nil
}

func errMethod(req *http.Request) error {
	return fail(http.StatusMethodNotAllowed, "UNSUPPORTED", "%s is not possible here", req.Method)
}
