// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitrepository

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/emicklei/go-restful/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/retry"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/gitfiles"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
)

const (
	// smallBody bounds bodies without files.
	smallBody = 64 << 10
	// maxIdentity bounds names and addresses of people, in bytes.
	maxIdentity = 255
	// bodyTimeout is how long a body may take to arrive. The routes of files have no other limit, as files may be
	// large and lines slow.
	bodyTimeout = 10 * time.Minute
)

// limit bounds the body of a request, which no filter does for routes that take files.
func limit(req *restful.Request, resp *restful.Response, bytes int64) error {
	if req.Request.ContentLength > bytes {
		resp.Header().Set("Connection", "close")
		return request.TooLarge(bytes)
	}
	// Writers without a connection, as in tests, know no deadlines.
	_ = http.NewResponseController(resp.ResponseWriter).SetReadDeadline(time.Now().Add(bodyTimeout))
	req.Request.Body = http.MaxBytesReader(resp.ResponseWriter, req.Request.Body, bytes)
	return nil
}

// Checkout makes a branch.
func (h *Files) Checkout(req *restful.Request, resp *restful.Response) error {
	if err := limit(req, resp, smallBody); err != nil {
		return err
	}
	body := CheckoutBody{}
	if err := request.DecodeOptionalJSON(req.Request, &body); err != nil {
		return err
	}
	name, err := sameBranch(req, body.Branch)
	if err != nil {
		return err
	}
	repo, err := h.open(req)
	if err != nil {
		return err
	}
	ctx := req.Request.Context()
	b, err := repo.checkout(ctx, name, body.From)
	if err != nil {
		return explain(err)
	}
	return write(req, resp, branchOf(*b))
}

func (o *opened) checkout(ctx context.Context, name, from string) (*gitfiles.Branch, error) {
	if from == "" {
		return o.Branch(ctx, name)
	}
	b, _, err := o.CreateBranch(ctx, name, from)
	return b, err
}

// sameBranch reads the branch of the address; a body may say the same.
func sameBranch(req *restful.Request, inBody string) (string, error) {
	name, err := branchName(req)
	if err == nil && inBody != "" && inBody != name {
		err = apierrors.NewBadRequest(fmt.Sprintf("branch is %q but the address says %q", inBody, name))
	}
	return name, err
}

// Pull fetches a branch.
func (h *Files) Pull(req *restful.Request, resp *restful.Response) error {
	name, err := branchName(req)
	if err != nil {
		return err
	}
	repo, err := h.open(req)
	if err != nil {
		return err
	}
	if err := repo.Pull(req.Request.Context(), name); err != nil {
		return explain(err)
	}
	return write(req, resp, Empty{})
}

// AddFiles commits files.
func (h *Files) AddFiles(req *restful.Request, resp *restful.Response) error {
	repo, err := h.open(req)
	if err != nil {
		return err
	}
	done, err := h.large.Take(repo.user)
	if err != nil {
		return err
	}
	defer done()
	// Base64 needs four bytes for three.
	if err := limit(req, resp, h.files.Git.MaxFileBytes()*4/3+1<<20); err != nil {
		return err
	}
	body := AddFilesBody{}
	if err := request.DecodeJSON(req.Request, &body); err != nil {
		return err
	}
	name, err := sameBranch(req, body.Branch)
	if err != nil {
		return err
	}
	ctx := req.Request.Context()
	change := gitfiles.Change{Branch: name, Base: strings.ToLower(body.Commit), Message: body.Message, Overwrite: body.Overwrite, Author: repo.author()}
	if body.Uploaded || body.Unpack {
		given, err := h.gathered.Take(repo.user)
		if err != nil {
			return err
		}
		defer given()
	}
	var used []string
	if body.Uploaded {
		if used, err = h.fill(ctx, repo, body.Files); err != nil {
			return err
		}
	}
	if change.Puts, err = h.puts(&body); err != nil {
		return explain(err)
	}
	change.Overwrite = body.Overwrite || body.Unpack
	c, err := repo.Write(ctx, change)
	if err != nil {
		return explain(err)
	}
	h.forget(ctx, used)
	return write(req, resp, CommitInfo{Commit: commitOf(c)})
}

// puts makes of a body what is written.
func (h *Files) puts(body *AddFilesBody) ([]gitfiles.Put, error) {
	if body.Unpack {
		if len(body.Files) != 1 {
			return nil, apierrors.NewBadRequest("files: with unpack there must be one, a tar archive with gzip")
		}
		return unpack(body.Files[0], h.files.Git.MaxFileBytes(), h.files.Git.MaxCommitBytes())
	}
	list := make([]gitfiles.Put, 0, len(body.Files))
	for _, f := range body.Files {
		list = append(list, gitfiles.Put{Path: f.Name, Content: f.Data})
	}
	return list, nil
}

// DeleteFiles commits a deletion.
func (h *Files) DeleteFiles(req *restful.Request, resp *restful.Response) error {
	name, err := branchName(req)
	if err != nil {
		return err
	}
	repo, err := h.open(req)
	if err != nil {
		return err
	}
	query := req.Request.URL.Query()
	c, err := repo.Write(req.Request.Context(), gitfiles.Change{
		Branch: name, Base: strings.ToLower(query.Get(paramCommit)), Message: query.Get("message"), Deletes: query[paramFile], Author: repo.author(),
	})
	if err != nil {
		return explain(err)
	}
	return write(req, resp, CommitInfo{Commit: commitOf(c)})
}

// author is who commits are by: whom the repository names, else whom its Secret names, else the user.
func (o *opened) author() gitfiles.Author {
	for _, annotations := range []map[string]string{o.object.Annotations, annotationsOf(o)} {
		if name := annotations[devopsv1alpha3.GitAuthorNameAnnotation]; name != "" {
			return gitfiles.Author{Name: name, Email: annotations[devopsv1alpha3.GitAuthorEmailAnnotation]}
		}
	}
	email := cmp.Or(o.object.Annotations[devopsv1alpha3.GitAuthorEmailAnnotation], annotationsOf(o)[devopsv1alpha3.GitAuthorEmailAnnotation])
	return gitfiles.Author{Name: o.user, Email: email}
}

func annotationsOf(o *opened) map[string]string {
	if o.secret == nil {
		return nil
	}
	return o.secret.Annotations
}

func (o *opened) config() ConfigBody {
	a := Identity(o.author())
	return ConfigBody{Config: &Config{User: a, Author: a, Committer: a}}
}

// GetConfig answers with who commits are by.
func (h *Files) GetConfig(req *restful.Request, resp *restful.Response) error {
	repo, err := h.open(req)
	if err != nil {
		return err
	}
	return write(req, resp, repo.config())
}

// UpdateConfig sets who commits are by, as the user.
func (h *Files) UpdateConfig(req *restful.Request, resp *restful.Response) error {
	if err := limit(req, resp, smallBody); err != nil {
		return err
	}
	body := ConfigBody{}
	if err := request.DecodeJSON(req.Request, &body); err != nil {
		return err
	}
	if body.Config == nil {
		return apierrors.NewBadRequest("config: it is required")
	}
	who := Identity{Name: cmp.Or(body.Config.Author.Name, body.Config.User.Name), Email: cmp.Or(body.Config.Author.Email, body.Config.User.Email)}
	for field, text := range map[string]string{"Name": who.Name, "Email": who.Email} {
		if len(text) > maxIdentity || !utf8.ValidString(text) || strings.ContainsAny(text, "<>") || strings.ContainsFunc(text, unicode.IsControl) {
			return apierrors.NewBadRequest(fmt.Sprintf("config.Author.%s must have at most %d bytes and no control characters, < or >", field, maxIdentity))
		}
	}
	repo, err := h.open(req)
	if err != nil {
		return err
	}
	ctx := req.Request.Context()
	// The request names no version: what a controller writes meanwhile is read again, and not told to the user.
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		if err := h.deps.Store.GetLive(ctx, repo.object.Namespace, repo.object.Name, repo.object); err != nil {
			return err
		}
		setAuthor(repo.object, who)
		return repo.kube.Update(ctx, repo.object, crud.FieldOwner)
	})
	if err != nil {
		return err
	}
	return write(req, resp, repo.config())
}

// setAuthor notes on a repository who commits are by.
func setAuthor(repo *devopsv1alpha3.GitRepository, who Identity) {
	if repo.Annotations == nil {
		repo.Annotations = map[string]string{}
	}
	for key, value := range map[string]string{devopsv1alpha3.GitAuthorNameAnnotation: who.Name, devopsv1alpha3.GitAuthorEmailAnnotation: who.Email} {
		if value == "" {
			delete(repo.Annotations, key)
			continue
		}
		repo.Annotations[key] = value
	}
}
