// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package s2ibinary

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/emicklei/go-restful/v3"
	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha1 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha1"
	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/kapis/shares"
	"github.com/slipway-dev/slipway/pkg/objectstore"
)

const (
	// DefaultMaxBytes bounds a file.
	DefaultMaxBytes = 1 << 30
	// maxUploads bounds the uploads at once, each of which holds 16 MiB in memory, and maxUploadsOfUser those of one user.
	maxUploads, maxUploadsOfUser = 16, 4
	// linkLife is how long an address of the object store is valid.
	linkLife = 15 * time.Minute
	// KeyPrefix begins the keys of the files of binaries: s2ibinaries/NAMESPACE/NAME/UPLOAD/FILE.
	KeyPrefix = "s2ibinaries/"
)

// Objects is the object store; *objectstore.Store has it. Errors are those of pkg/objectstore.
type Objects interface {
	Put(ctx context.Context, key string, r io.Reader, size int64, contentType string) error
	Get(ctx context.Context, key string) (io.ReadCloser, objectstore.Info, error)
	List(ctx context.Context, prefix string) ([]objectstore.Info, error)
	Delete(ctx context.Context, key string) error
	PresignGet(ctx context.Context, key, filename string, validity time.Duration) (string, error)
}

// Options are the settings.
type Options struct {
	// Objects keeps the files. Nil: the routes answer that there is no object store.
	Objects Objects
	// MaxBytes bounds a file. 0: DefaultMaxBytes.
	MaxBytes int64
	// Stream gives files through this server: browsers cannot reach the object store.
	Stream bool
}

// Handler takes and gives files.
type Handler struct {
	deps    crud.Deps
	options Options
	// uploads are those under way: each holds a part of its file in memory.
	uploads *shares.Shares
	// beat is how often an upload shows that it lives; now tells the time.
	beat time.Duration
	now  func() time.Time
}

// New makes a handler.
func New(deps crud.Deps, options Options) *Handler {
	deps.SetDefaults()
	if options.MaxBytes <= 0 {
		options.MaxBytes = DefaultMaxBytes
	}
	return &Handler{deps: deps, options: options, uploads: shares.New(maxUploads, maxUploadsOfUser), beat: heartbeat, now: time.Now}
}

func (h *Handler) noStore() error {
	if h.options.Objects != nil {
		return nil
	}
	return response.NewStatus(http.StatusNotImplemented, "NotImplemented", "this server has no object store, where the files of binaries are kept (--s3-endpoint)")
}

// Upload takes a file.
func (h *Handler) Upload(req *restful.Request, resp *restful.Response) error {
	if err := h.noStore(); err != nil {
		return err
	}
	ctx := req.Request.Context()
	kube, user, err := kapis.ClientFor(ctx, h.deps.Clients)
	if err != nil {
		return err
	}
	done, err := h.uploads.Take(user)
	if err != nil {
		return err
	}
	defer done()
	if n := req.Request.ContentLength; n > h.options.MaxBytes+formOverhead {
		// The body is not read: the connection cannot be used again.
		resp.Header().Set("Connection", "close")
		return request.TooLarge(h.options.MaxBytes)
	}
	req.Request.Body = http.MaxBytesReader(resp.ResponseWriter, &patient{
		ReadCloser: req.Request.Body, control: http.NewResponseController(resp.ResponseWriter), patience: readTimeout,
	}, h.options.MaxBytes+formOverhead)
	f, err := readForm(req.Request)
	if err != nil {
		return err
	}
	u := &upload{Handler: h, kube: kube, key: client.ObjectKey{Namespace: req.PathParameter(crud.ParamNamespace), Name: req.PathParameter(crud.ParamName)}}
	binary, err := u.run(ctx, f, downloadURL(req, f.name))
	if err != nil {
		return err
	}
	if err := h.deps.Store.Finish(binary); err != nil {
		return err
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, binary)
	return nil
}

// downloadURL is the address of the file on this server, as the request reached it.
func downloadURL(req *restful.Request, name string) string {
	u := url.URL{Scheme: "http", Host: req.Request.Host, Path: req.Request.URL.Path}
	if req.Request.TLS != nil || req.Request.Header.Get("X-Forwarded-Proto") == "https" {
		u.Scheme = "https"
	}
	return u.JoinPath(url.PathEscape(name)).String()
}

// Download gives a file.
func (h *Handler) Download(req *restful.Request, resp *restful.Response) error {
	if err := h.noStore(); err != nil {
		return err
	}
	ctx := req.Request.Context()
	binary := &devopsv1alpha1.S2iBinary{}
	// The state must not be an old one: consoles download what they have just sent.
	if err := h.read(ctx, req, binary); err != nil {
		return err
	}
	name := req.PathParameter(paramFile)
	key := binary.Annotations[devopsv1alpha1.S2iBinaryKeyAnnotation]
	switch {
	case binary.Spec.FileName != name || key == "" && binary.Status.Phase == "":
		return response.NewStatus(http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("the binary %s has no file of this name", binary.Name))
	case key == "":
		return response.NewStatus(http.StatusConflict, metav1.StatusReasonConflict, fmt.Sprintf("the file is not there: the upload's phase is %s", binary.Status.Phase))
	case !belongs(key, binary.Namespace, binary.Name):
		// Who may change the object must not get at other files.
		return response.NewStatus(http.StatusConflict, metav1.StatusReasonConflict, "the annotation that says where the file is was changed; send the file again")
	}
	if !h.options.Stream {
		link, err := h.options.Objects.PresignGet(ctx, key, name, linkLife)
		if err != nil {
			return err
		}
		resp.Header().Set("Cache-Control", "no-store")
		http.Redirect(resp.ResponseWriter, req.Request, link, http.StatusFound)
		return nil
	}
	return h.stream(ctx, resp, key, name)
}

// read reads the binary as the user.
func (h *Handler) read(ctx context.Context, req *restful.Request, binary *devopsv1alpha1.S2iBinary) error {
	kube, _, err := kapis.ClientFor(ctx, h.deps.Clients)
	if err != nil {
		return err
	}
	key := client.ObjectKey{Namespace: req.PathParameter(crud.ParamNamespace), Name: req.PathParameter(crud.ParamName)}
	return kube.Get(ctx, key, binary) //nolint:wrapcheck // it is a status
}

// stream gives the file itself.
func (h *Handler) stream(ctx context.Context, resp *restful.Response, key, name string) error {
	content, info, err := h.options.Objects.Get(ctx, key)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	header := resp.Header()
	header.Set("Content-Type", mimeBytes)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	header.Set("Cache-Control", "no-store")
	disposition := mime.FormatMediaType("attachment", map[string]string{"filename": name})
	if disposition == "" {
		disposition = "attachment"
	}
	header.Set("Content-Disposition", disposition)
	header.Set("Content-Length", strconv.FormatInt(info.Size, 10))
	resp.WriteHeader(http.StatusOK)
	_, err = io.Copy(&prompt{w: resp.ResponseWriter, control: http.NewResponseController(resp.ResponseWriter), patience: h.deps.WriteTimeout}, content)
	if err != nil {
		if errors.Is(err, http.ErrHandlerTimeout) || errors.Is(err, io.ErrClosedPipe) {
			h.deps.SlowClient()
		}
		// The header is sent; what is left is to break off, so that the client does not take a part for the whole.
		logr.FromContextOrDiscard(ctx).V(1).Info("download ended early", "cause", err.Error())
		panic(http.ErrAbortHandler)
	}
	return nil
}

// prompt writes with a deadline for each part.
type prompt struct {
	w        io.Writer
	control  *http.ResponseController
	patience time.Duration
}

// Write implements io.Writer.
func (p *prompt) Write(b []byte) (int, error) {
	// Writers without a connection, as in tests, know no deadlines.
	_ = p.control.SetWriteDeadline(time.Now().Add(p.patience))
	return p.w.Write(b) //nolint:wrapcheck // passed on as it is
}

// patient reads with a deadline for each part: a large file may take long, a silent client may not.
type patient struct {
	io.ReadCloser
	control  *http.ResponseController
	patience time.Duration
}

// Read implements io.Reader.
func (p *patient) Read(b []byte) (int, error) {
	_ = p.control.SetReadDeadline(time.Now().Add(p.patience))
	return p.ReadCloser.Read(b) //nolint:wrapcheck // io.EOF must stay itself
}

func conflict(format string, args ...any) error {
	return response.NewStatus(http.StatusConflict, metav1.StatusReasonConflict, fmt.Sprintf(format, args...))
}

func bad(format string, args ...any) error {
	return apierrors.NewBadRequest(fmt.Sprintf(format, args...))
}
