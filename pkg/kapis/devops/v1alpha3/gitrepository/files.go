// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitrepository

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/emicklei/go-restful/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/gitfiles"
	"github.com/slipway-dev/slipway/pkg/gitfiles/access"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/kapis/shares"
)

const (
	defaultLimit = 20
	maxLimit     = 1000
	// maxLarge bounds the requests with files at once, each of which takes some 40 MiB while it is read, and maxLargeOfUser
	// those of one user. maxGathered is how many may have a whole commit in memory.
	maxLarge, maxLargeOfUser, maxGathered = 8, 4, 4
	// maxEntries bounds a list of files that asks for no page.
	maxEntries = 10_000
)

// FilesDeps is what the routes of files need.
type FilesDeps struct {
	// Git reads and writes repositories. Nil: the routes answer that they are not set up.
	Git *gitfiles.Cache
	// Uploads keeps files between upload and commit; *objectstore.Store does. It may be nil: then files are
	// sent with the commit.
	Uploads Uploads
	// Live reads from Kubernetes itself, with the server's rights: certificate authorities for everybody.
	Live client.Reader
}

// Files serves the files of repositories.
type Files struct {
	deps  crud.Deps
	files FilesDeps
	// large are the requests with files that are under way, and gathered those of them whose files may have as many bytes
	// as a commit: what was uploaded before, and archives, which may be small until they are unpacked.
	large, gathered *shares.Shares
}

// NewFiles makes the handler.
func NewFiles(deps crud.Deps, files FilesDeps) *Files {
	deps.SetDefaults()
	return &Files{deps: deps, files: files, large: shares.New(maxLarge, maxLargeOfUser), gathered: shares.New(maxGathered, 1)}
}

// opened is a repository as a user sees it.
type opened struct {
	*gitfiles.Repository
	object *devopsv1alpha3.GitRepository
	secret *corev1.Secret
	kube   client.Client
	user   string
}

// open finds the repository of a request. Its Secret is read as the user.
func (h *Files) open(req *restful.Request) (*opened, error) {
	ctx := req.Request.Context()
	if h.files.Git == nil {
		return nil, response.NewStatus(http.StatusNotImplemented, "NotImplemented", "the files of repositories are not set up on this server: it has no folder for them (--git-cache-dir)")
	}
	o := &opened{object: &devopsv1alpha3.GitRepository{}}
	if err := h.deps.Store.Get(ctx, req.PathParameter(crud.ParamNamespace), req.PathParameter(crud.ParamName), o.object); err != nil {
		return nil, err
	}
	var err error
	if o.kube, o.user, err = kapis.ClientFor(ctx, h.deps.Clients); err != nil {
		return nil, err
	}
	readers := access.Readers{Objects: o.kube, Shared: h.files.Live}
	if o.secret, err = readers.SecretOf(ctx, o.object); err != nil {
		return nil, explain(err)
	}
	target, err := readers.Target(ctx, o.object, o.secret)
	if err != nil {
		return nil, explain(err)
	}
	if o.Repository, err = h.files.Git.Open(target); err != nil {
		return nil, explain(err)
	}
	return o, nil
}

// explain gives an error of git or of what a repository names its code.
func explain(err error) error {
	if p, ok := access.IsProblem(err); ok {
		code := http.StatusBadRequest
		if p.Reason == access.ReasonSecretForbidden {
			code = http.StatusForbidden
		}
		return response.NewStatus(code, metav1.StatusReason(p.Reason), p.Message)
	}
	var failed *gitfiles.Error
	if !errors.As(err, &failed) {
		return err
	}
	for _, kind := range []struct {
		kind   error
		code   int
		reason metav1.StatusReason
	}{
		{gitfiles.ErrInvalid, http.StatusBadRequest, metav1.StatusReasonBadRequest},
		{gitfiles.ErrNotFound, http.StatusNotFound, metav1.StatusReasonNotFound},
		{gitfiles.ErrConflict, http.StatusConflict, metav1.StatusReasonConflict},
		{gitfiles.ErrTooLarge, http.StatusRequestEntityTooLarge, metav1.StatusReasonRequestEntityTooLarge},
		// Not 401: the user is known, and consoles would ask for a new login.
		{gitfiles.ErrAuthentication, http.StatusForbidden, metav1.StatusReasonForbidden},
		{gitfiles.ErrRefused, http.StatusForbidden, metav1.StatusReasonForbidden},
		{gitfiles.ErrHostKey, http.StatusForbidden, metav1.StatusReasonForbidden},
	} {
		if errors.Is(failed, kind.kind) {
			return response.NewStatus(kind.code, kind.reason, failed.Message)
		}
	}
	return response.NewStatus(http.StatusBadGateway, response.ReasonBadGateway, failed.Message)
}

// branchName reads the branch of the address, in which a slash is still encoded.
func branchName(req *restful.Request) (string, error) {
	name, err := url.PathUnescape(req.PathParameter(paramBranch))
	if err != nil {
		return "", apierrors.NewBadRequest("the name of the branch in the address is not encoded as it must be")
	}
	return name, nil
}

// ref reads which version of the files the address means.
func ref(req *restful.Request) (gitfiles.Ref, error) {
	if commit := req.PathParameter(paramCommit); commit != "" {
		return gitfiles.Ref{Commit: strings.ToLower(commit)}, nil
	}
	name, err := branchName(req)
	return gitfiles.Ref{Branch: name}, err
}

// page reads page and limit.
func page(req *restful.Request, limit int) (ListOptions, gitfiles.Page, error) {
	o := ListOptions{Page: 1, Limit: limit}
	for key, value := range map[string]*int{"page": &o.Page, "limit": &o.Limit} {
		text := req.QueryParameter(key)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n > 1_000_000 {
			return o, gitfiles.Page{}, apierrors.NewBadRequest(key + " must be a whole number")
		}
		if n > 0 {
			*value = n
		}
	}
	o.Limit = min(o.Limit, max(maxLimit, limit))
	return o, gitfiles.Page{Offset: (o.Page - 1) * o.Limit, Limit: o.Limit}, nil
}

// flag reads a switch of the query.
func flag(req *restful.Request, key string) (bool, error) {
	text := req.QueryParameter(key)
	if text == "" {
		return false, nil
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		return false, apierrors.NewBadRequest(key + " must be true or false")
	}
	return on, nil
}

func write(req *restful.Request, resp *restful.Response, value any) error {
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, value)
	return nil
}

// ListBranches answers with a page of the branches.
func (h *Files) ListBranches(req *restful.Request, resp *restful.Response) error {
	options, p, err := page(req, defaultLimit)
	if err != nil {
		return err
	}
	withHead, err := flag(req, "withHead")
	if err != nil {
		return err
	}
	repo, err := h.open(req)
	if err != nil {
		return err
	}
	ctx := req.Request.Context()
	list, total, err := repo.Branches(ctx, p)
	if err != nil {
		return explain(err)
	}
	items := make([]BranchInfo, 0, len(list)+1)
	if withHead && p.Offset == 0 {
		items, err = repo.head(ctx, items)
		if err != nil {
			return explain(err)
		}
		total += len(items)
	}
	for _, b := range list {
		items = append(items, branchOf(b))
	}
	return write(req, resp, List[BranchInfo]{Items: items, TotalItems: total, Options: options})
}

// head adds the default branch under the name HEAD.
func (o *opened) head(ctx context.Context, items []BranchInfo) ([]BranchInfo, error) {
	name, err := o.Default(ctx)
	if err != nil || name == "" {
		return items, err
	}
	b, err := o.Branch(ctx, name)
	if err != nil {
		return items, err
	}
	return append(items, BranchInfo{Ref: "HEAD", Name: "HEAD", Commit: commitOf(b.Commit)}), nil
}

// GetBranch answers with a branch.
func (h *Files) GetBranch(req *restful.Request, resp *restful.Response) error {
	name, err := branchName(req)
	if err != nil {
		return err
	}
	repo, err := h.open(req)
	if err != nil {
		return err
	}
	b, err := repo.Branch(req.Request.Context(), name)
	if err != nil {
		return explain(err)
	}
	return write(req, resp, branchOf(*b))
}

// ListCommits answers with a page of a branch's commits.
func (h *Files) ListCommits(req *restful.Request, resp *restful.Response) error {
	options, p, err := page(req, defaultLimit)
	if err != nil {
		return err
	}
	name, err := branchName(req)
	if err != nil {
		return err
	}
	repo, err := h.open(req)
	if err != nil {
		return err
	}
	list, total, err := repo.Log(req.Request.Context(), name, req.QueryParameter(paramFile), p)
	if err != nil {
		return explain(err)
	}
	items := make([]CommitInfo, 0, len(list))
	for _, c := range list {
		items = append(items, CommitInfo{Commit: commitOf(c)})
	}
	return write(req, resp, List[CommitInfo]{Items: items, TotalItems: total, Options: options})
}

// GetCommit answers with a commit.
func (h *Files) GetCommit(req *restful.Request, resp *restful.Response) error {
	repo, err := h.open(req)
	if err != nil {
		return err
	}
	c, err := repo.Commit(req.Request.Context(), strings.ToLower(req.PathParameter(paramCommit)))
	if err != nil {
		return explain(err)
	}
	return write(req, resp, commitOf(c))
}

// ListFiles answers with the files of a folder; the folder itself comes first.
func (h *Files) ListFiles(req *restful.Request, resp *restful.Response) error {
	options, p, err := page(req, maxEntries)
	if err != nil {
		return err
	}
	name, err := branchName(req)
	if err != nil {
		return err
	}
	var o gitfiles.ListOptions
	if o.Content, err = flag(req, "withContent"); err != nil {
		return err
	}
	if o.LastCommit, err = flag(req, "withLastCommit"); err != nil {
		return err
	}
	dir, err := gitfiles.CleanDir(req.QueryParameter(paramFile))
	if err != nil {
		return explain(err)
	}
	repo, err := h.open(req)
	if err != nil {
		return err
	}
	list, err := repo.List(req.Request.Context(), name, dir, o)
	if err != nil {
		return explain(err)
	}
	items := make([]FileInfo, 0, len(list)+1)
	items = append(items, FileInfo{Name: dir, IsDir: true})
	for _, f := range list {
		item := fileOf(f)
		items = append(items, item)
		if last := items[0].Commit; item.Commit != nil && (last == nil || item.Commit.Committer.When.After(last.Committer.When)) {
			items[0].Commit = item.Commit
		}
	}
	from := min(p.Offset, len(items))
	part := items[from:min(from+p.Limit, len(items))]
	return write(req, resp, List[FileInfo]{Items: part, TotalItems: len(items), Options: options})
}

// file reads the file of the address.
func (h *Files) file(req *restful.Request, content bool) (*gitfiles.File, string, error) {
	version, err := ref(req)
	if err != nil {
		return nil, "", err
	}
	name, err := gitfiles.DecodePath(req.PathParameter(paramFile))
	if err != nil {
		return nil, "", explain(err)
	}
	repo, err := h.open(req)
	if err != nil {
		return nil, "", err
	}
	f, err := repo.File(req.Request.Context(), version, name, content)
	if err != nil {
		return nil, "", explain(err)
	}
	return f, name, nil
}

// GetFile answers with a file, in JSON.
func (h *Files) GetFile(req *restful.Request, resp *restful.Response) error {
	content, err := flag(req, "withContent")
	if err != nil {
		return err
	}
	f, _, err := h.file(req, content)
	if err != nil {
		return err
	}
	return write(req, resp, fileOf(*f))
}

// Download answers with the content of a file.
func (h *Files) Download(req *restful.Request, resp *restful.Response) error {
	f, name, err := h.file(req, true)
	if err != nil {
		return err
	}
	if f.Link {
		return apierrors.NewBadRequest(fmt.Sprintf("%s is a symbolic link; links are not followed", name))
	}
	header := resp.Header()
	// A repository must not be able to serve pages in the name of this server.
	header.Set("Content-Type", mimeBytes)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Disposition", disposition(name))
	header.Set("Content-Length", strconv.Itoa(len(f.Content)))
	resp.WriteHeader(http.StatusOK)
	// An error here is a client that went away.
	_, _ = resp.ResponseWriter.Write(f.Content)
	return nil
}

// disposition makes browsers save the file under its name, in whatever letters.
func disposition(name string) string {
	if value := mime.FormatMediaType("attachment", map[string]string{"filename": path.Base(name)}); value != "" {
		return value
	}
	return "attachment"
}
