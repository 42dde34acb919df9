// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package s2ibinary

import (
	"context"
	"crypto/md5" //nolint:gosec // G501: the API's checksum, no protection
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	devopsv1alpha1 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha1"
	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
)

const (
	fieldFile = "s2ibinary"
	fieldMD5  = "md5"
	// formOverhead is what a form has besides the file, in bytes.
	formOverhead = 64 << 10
	// maxName bounds the name of a file, in bytes.
	maxName = 255
	// readTimeout is how long a client may be silent.
	readTimeout = time.Minute
	// heartbeat is how often an upload shows that it lives. One that did not for three times that is dead: its
	// server was stopped.
	heartbeat = 30 * time.Second
	// cleanup bounds what is done after a failure, when the client may be gone.
	cleanup = 10 * time.Second
)

// form is the body of an upload, up to the file.
type form struct {
	parts *multipart.Reader
	file  *multipart.Part
	name  string
	md5   string
}

// readForm reads a body up to the beginning of the file.
func readForm(r *http.Request) (*form, error) {
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, response.NewStatus(http.StatusUnsupportedMediaType, metav1.StatusReasonUnsupportedMediaType, "send a form: Content-Type: multipart/form-data")
	}
	f := &form{parts: parts}
	for f.file == nil {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil, bad("the form has no file in the field %s", fieldFile)
		}
		if err != nil {
			return nil, formError(err)
		}
		if err := f.field(part); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// field reads one field of the form; that with the file is left for later.
func (f *form) field(part *multipart.Part) error {
	switch part.FormName() {
	case fieldFile:
		if f.file != nil {
			return bad("the form has more than one file")
		}
		f.file, f.name = part, part.FileName()
		return checkName(f.name)
	case fieldMD5:
		text, err := io.ReadAll(io.LimitReader(part, 65))
		if err != nil {
			return formError(err)
		}
		f.md5 = strings.ToLower(strings.TrimSpace(string(text)))
		if sum, err := hex.DecodeString(f.md5); f.md5 != "" && (err != nil || len(sum) != md5.Size) {
			return bad("md5 must be 32 hexadecimal digits")
		}
		return nil
	}
	return bad("the form has a field that is not known; there are %s and %s", fieldFile, fieldMD5)
}

// rest reads what is behind the file.
func (f *form) rest() error {
	for {
		part, err := f.parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return formError(err)
		}
		if err := f.field(part); err != nil {
			return err
		}
	}
}

func formError(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return request.TooLarge(tooLarge.Limit - formOverhead)
	}
	return bad("the form ended early or is damaged")
}

// checkName checks the name of a file, which becomes a part of a key and of an address.
func checkName(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return bad("the file has no name")
	case len(name) > maxName:
		return bad("the name of the file is longer than %d bytes", maxName)
	case !utf8.ValidString(name) || strings.ContainsAny(name, `/\`) || strings.ContainsFunc(name, unicode.IsControl):
		return bad("the name of the file is not UTF-8, or has a slash, a backslash or a control character")
	}
	return nil
}

// upload is one upload. Each has a key of its own: what is there stays until the new file is there as a whole.
type upload struct {
	*Handler
	kube client.Client
	key  client.ObjectKey
	id   string
}

// prefix is where the files of a binary are.
func prefix(namespace, name string) string { return KeyPrefix + namespace + "/" + name + "/" }

func belongs(key, namespace, name string) bool {
	return strings.HasPrefix(key, prefix(namespace, name))
}

func (u *upload) object(name string) string {
	return prefix(u.key.Namespace, u.key.Name) + u.id + "/" + name
}

// run takes the file: the object says Uploading, the file is stored, the object says Ready. A server that is
// stopped in between leaves Uploading without a sign of life, after which the next upload goes on.
func (u *upload) run(ctx context.Context, f *form, address string) (*devopsv1alpha1.S2iBinary, error) {
	u.id = strings.ToLower(rand.Text())
	if err := u.begin(ctx); err != nil {
		return nil, err
	}
	sum, n, err := u.send(ctx, f)
	if err != nil {
		u.fail(ctx, f.name)
		return nil, err
	}
	binary, err := u.change(ctx, func(b *devopsv1alpha1.S2iBinary) error {
		if !u.owns(b) {
			return conflict("another upload has taken over; send the file again")
		}
		now := metav1.NewTime(u.now())
		b.Annotations[devopsv1alpha1.S2iBinaryKeyAnnotation] = u.object(f.name)
		delete(b.Annotations, devopsv1alpha1.S2iBinaryUploadAnnotation)
		b.Spec = devopsv1alpha1.S2iBinarySpec{FileName: f.name, MD5: sum, Size: humanSize(n), DownloadURL: address, UploadTimeStamp: &now}
		b.Status.Phase = devopsv1alpha1.S2iBinaryReady
		return nil
	})
	if err != nil {
		u.fail(ctx, f.name)
		return nil, err
	}
	u.sweep(ctx, u.object(f.name))
	return binary, nil
}

// sweep deletes everything of the binary but one file: what it replaces, and what uploads left that ended without
// a word. What stays is deleted with the binary.
func (u *upload) sweep(ctx context.Context, keep string) {
	list, err := u.options.Objects.List(ctx, prefix(u.key.Namespace, u.key.Name))
	for _, o := range list {
		if o.Key != keep {
			err = errors.Join(err, u.options.Objects.Delete(ctx, o.Key))
		}
	}
	if err != nil {
		logr.FromContextOrDiscard(ctx).Error(err, "delete replaced files")
	}
}

// begin notes the upload, unless another one is under way.
func (u *upload) begin(ctx context.Context) error {
	_, err := u.change(ctx, func(b *devopsv1alpha1.S2iBinary) error {
		if !b.DeletionTimestamp.IsZero() {
			return conflict("the binary %s is being deleted", b.Name)
		}
		if b.Status.Phase == devopsv1alpha1.S2iBinaryUploading && u.now().Sub(lastSign(b)) < 3*heartbeat {
			return conflict("a file is being uploaded for %s; try again when that has ended", b.Name)
		}
		// The file is deleted with the binary, also if this server is stopped before it is there.
		controllerutil.AddFinalizer(b, devopsv1alpha1.S2iBinaryFinalizer)
		if b.Labels == nil {
			b.Labels = map[string]string{}
		}
		if len(b.Name) <= 63 {
			b.Labels[devopsv1alpha1.S2iBinaryLabel] = b.Name
		}
		b.Status.Phase = devopsv1alpha1.S2iBinaryUploading
		u.sign(b)
		return nil
	})
	return err
}

// sign notes that the upload lives.
func (u *upload) sign(b *devopsv1alpha1.S2iBinary) {
	if b.Annotations == nil {
		b.Annotations = map[string]string{}
	}
	b.Annotations[devopsv1alpha1.S2iBinaryUploadAnnotation] = u.id + "/" + u.now().UTC().Format(time.RFC3339)
}

func (u *upload) owns(b *devopsv1alpha1.S2iBinary) bool {
	return strings.HasPrefix(b.Annotations[devopsv1alpha1.S2iBinaryUploadAnnotation], u.id+"/")
}

// lastSign is when an upload last showed that it lives; long ago for one that says nothing.
func lastSign(b *devopsv1alpha1.S2iBinary) time.Time {
	_, text, _ := strings.Cut(b.Annotations[devopsv1alpha1.S2iBinaryUploadAnnotation], "/")
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return at
}

// change changes the object as the user; conflicts with others are resolved by doing it again.
func (u *upload) change(ctx context.Context, how func(*devopsv1alpha1.S2iBinary) error) (*devopsv1alpha1.S2iBinary, error) {
	b := &devopsv1alpha1.S2iBinary{}
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		*b = devopsv1alpha1.S2iBinary{}
		if err := u.kube.Get(ctx, u.key, b); err != nil {
			return err
		}
		if err := how(b); err != nil {
			// A conflict of ours is an answer, not a reason to try again.
			return &settled{err}
		}
		return u.kube.Update(ctx, b, crud.FieldOwner)
	})
	var end *settled
	if errors.As(err, &end) {
		return nil, end.err
	}
	if err != nil {
		return nil, fmt.Errorf("update %s: %w", u.key, err)
	}
	return b, nil
}

// settled hides the kind of an error.
type settled struct{ err error }

// Error implements error.
func (s *settled) Error() string { return s.err.Error() }

// send stores the file and checks it.
func (u *upload) send(ctx context.Context, f *form) (sum string, n int64, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		u.live(ctx, stop)
	}()
	defer func() { stop(nil); <-done }()
	in := &summed{r: f.file, sum: md5.New()} //nolint:gosec // G401: the API's checksum, no protection
	err = u.options.Objects.Put(ctx, u.object(f.name), in, -1, mimeBytes)
	switch {
	case in.err != nil:
		return "", 0, formError(in.err) // the client's end, which the store reports as its own
	case context.Cause(ctx) != nil:
		return "", 0, context.Cause(ctx)
	case err != nil:
		return "", 0, err
	case in.n > u.options.MaxBytes:
		return "", 0, request.TooLarge(u.options.MaxBytes)
	}
	if err := f.rest(); err != nil {
		return "", 0, err
	}
	sum = hex.EncodeToString(in.sum.Sum(nil))
	if f.md5 != "" && f.md5 != sum {
		return "", 0, bad("the file has the MD5 %s, not %s: it was damaged on its way; send it again", sum, f.md5)
	}
	return sum, in.n, nil
}

// live shows that the upload lives, until its context ends. It ends the upload if another one has taken over.
func (u *upload) live(ctx context.Context, stop context.CancelCauseFunc) {
	ticker := time.NewTicker(u.beat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		_, err := u.change(ctx, func(b *devopsv1alpha1.S2iBinary) error {
			if !u.owns(b) || !b.DeletionTimestamp.IsZero() {
				return conflict("another upload has taken over, or the binary is being deleted")
			}
			u.sign(b)
			return nil
		})
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			stop(err)
			return
		}
		// Any other failure passes, or shows at the end.
	}
}

// fail deletes what was stored and notes the failure, also if the client is gone. What was there before stays.
func (u *upload) fail(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	log := logr.FromContextOrDiscard(ctx)
	if err := u.options.Objects.Delete(ctx, u.object(name)); err != nil {
		log.Error(err, "delete a file that was not uploaded as a whole")
	}
	_, err := u.change(ctx, func(b *devopsv1alpha1.S2iBinary) error {
		if !u.owns(b) {
			return conflict("another upload has taken over")
		}
		delete(b.Annotations, devopsv1alpha1.S2iBinaryUploadAnnotation)
		b.Status.Phase = devopsv1alpha1.S2iBinaryUploadFailed
		return nil
	})
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		log.Error(err, "note a failed upload")
	}
}

// summed computes a checksum of what is read.
type summed struct {
	r   io.Reader
	sum hash.Hash
	n   int64
	err error
}

// Read implements io.Reader.
func (s *summed) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	_, _ = s.sum.Write(p[:n]) // a hash never fails
	s.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err //nolint:wrapcheck // io.EOF must stay itself
}

// humanSize writes a number of bytes as KubeSphere does: 512B, 1.5K, 20M.
func humanSize(n int64) string {
	value, unit := float64(n), "B"
	for _, next := range []string{"K", "M", "G", "T"} {
		if value < 1024 {
			break
		}
		value, unit = value/1024, next
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", value), ".0") + unit
}
