// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"unicode"

	"github.com/emicklei/go-restful/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/objectstore"
)

// maxFilename bounds the path of an artifact, in bytes: S3 keys have at most 1024.
const maxFilename = 900

// Artifact is a file that a run has kept.
type Artifact struct {
	// Name is the last part of the path.
	Name string `json:"name"`
	// Path is the path below the run's artifacts.
	Path string `json:"path"`
	// Size is in bytes.
	Size int64 `json:"size"`
	// URL is the address of the file on this server.
	URL string `json:"url"`
}

// Artifacts lists the artifacts of a run.
func (h *Handler) Artifacts(req *restful.Request, resp *restful.Response) error {
	run, err := h.run(req)
	if err != nil {
		return err
	}
	items, err := h.ListArtifacts(req.Request.Context(), run)
	if err != nil {
		return err
	}
	response.WriteList(resp.ResponseWriter, req.Request, items, len(items))
	return nil
}

// ListArtifacts gives the artifacts of a run.
func (h *Handler) ListArtifacts(ctx context.Context, run *devopsv1alpha3.PipelineRun) ([]Artifact, error) {
	files, err := h.listFiles(ctx, run)
	if err != nil {
		return nil, err
	}
	base := addressOf(run) + "/artifacts/download?filename="
	items := make([]Artifact, 0, len(files))
	for _, file := range files {
		items = append(items, Artifact{Name: path.Base(file.Path), Path: file.Path, Size: file.Size, URL: base + url.QueryEscape(file.Path)})
	}
	return items, nil
}

// addressOf is the address of a run on this server.
func addressOf(run *devopsv1alpha3.PipelineRun) string {
	return fmt.Sprintf("%s/%s/namespaces/%s/%s/%s", request.Root, devopsv1alpha3.GroupVersion, run.Namespace, devopsv1alpha3.PipelineRunResource, run.Name)
}

// listFiles gives the artifacts from where they are: the store after the run, Jenkins before.
func (h *Handler) listFiles(ctx context.Context, run *devopsv1alpha3.PipelineRun) ([]File, error) {
	if h.stored(run) {
		return h.sources.Archive.List(ctx, archivePrefix(run)+"artifacts/")
	}
	build, known := h.buildOf(ctx, run)
	if !known || h.sources.Artifacts == nil {
		return nil, nil
	}
	files, err := h.sources.Artifacts.ListArtifacts(ctx, build)
	if errors.Is(err, jenkins.ErrNotFound) {
		return nil, nil
	}
	return files, err
}

func (h *Handler) stored(run *devopsv1alpha3.PipelineRun) bool {
	return h.sources.Archive != nil && run.Annotations[devopsv1alpha3.ArchivedAnnotation] != ""
}

// Download answers with the content of an artifact.
func (h *Handler) Download(req *restful.Request, resp *restful.Response) error {
	name := req.QueryParameter("filename")
	if err := checkFilename(name); err != nil {
		return err
	}
	run, err := h.run(req)
	if err != nil {
		return err
	}
	content, err := h.openFile(req.Request.Context(), run, name)
	if errors.Is(err, jenkins.ErrNotFound) || errors.Is(err, objectstore.ErrNotFound) {
		return response.NewStatus(http.StatusNotFound, "NotFound", fmt.Sprintf("pipelinerun %q has no artifact %s", run.Name, quote(name)))
	}
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	header := resp.Header()
	// A build must not be able to serve pages in the name of this server.
	header.Set("Content-Type", "application/octet-stream")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Disposition", disposition(name))
	if content.Size >= 0 {
		header.Set("Content-Length", strconv.FormatInt(content.Size, 10))
	}
	resp.WriteHeader(http.StatusOK)
	_, err = newCopier(resp.ResponseWriter, h.deps.WriteTimeout).copy(content)
	h.finish(err)
	return nil
}

func (h *Handler) openFile(ctx context.Context, run *devopsv1alpha3.PipelineRun, name string) (Content, error) {
	if h.stored(run) {
		return h.sources.Archive.Open(ctx, archivePrefix(run)+"artifacts/"+name, 0)
	}
	build, known := h.buildOf(ctx, run)
	if !known || h.sources.Artifacts == nil {
		return Content{}, jenkins.ErrNotFound
	}
	return h.sources.Artifacts.OpenArtifact(ctx, build, name)
}

// checkFilename refuses everything that is not a plain relative path.
func checkFilename(name string) error {
	switch {
	case name == "":
		return apierrors.NewBadRequest("name the artifact in the query: ?filename=dir/file.txt")
	case len(name) > maxFilename:
		return apierrors.NewBadRequest(fmt.Sprintf("filename is longer than %d bytes", maxFilename))
	case !fs.ValidPath(name) || name == "." || strings.ContainsRune(name, '\\') || strings.ContainsFunc(name, unicode.IsControl):
		return apierrors.NewBadRequest("filename must be the path of an artifact, such as dir/file.txt: relative, without .., // or a backslash")
	}
	return nil
}

// disposition makes browsers save the file under its name, in whatever letters.
func disposition(name string) string {
	value := mime.FormatMediaType("attachment", map[string]string{"filename": path.Base(name)})
	if value == "" {
		return "attachment"
	}
	return value
}
