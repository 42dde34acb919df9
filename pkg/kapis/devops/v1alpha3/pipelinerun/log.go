// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/emicklei/go-restful/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/objectstore"
)

// Headers of Jenkins' logs, which consoles read.
const (
	// HeaderTextSize is the offset from which to go on.
	HeaderTextSize = "X-Text-Size"
	// HeaderMoreData is "true" while there will be more. Consoles look only whether it is there, so it
	// is left out otherwise.
	HeaderMoreData = "X-More-Data"
)

const (
	// fastPoll is how soon a followed log is asked for again after it grew, slowPoll after it did not
	// for a while. Jenkins has no other way to learn of new text.
	fastPoll = 200 * time.Millisecond
	slowPoll = 2 * time.Second
	// awayPatience is how long a followed log waits for a Jenkins that does not answer.
	awayPatience = 15 * time.Minute
	// copyBuffer is the size of the parts in which a stream is sent.
	copyBuffer = 32 << 10
)

// Log answers with the log of a run from an offset, or follows it to its end.
func (h *Handler) Log(req *restful.Request, resp *restful.Response) error {
	ctx := req.Request.Context()
	start, err := startOf(req)
	if err != nil {
		return err
	}
	run, err := h.run(req)
	if err != nil {
		return err
	}
	part, err := h.readLog(ctx, run, start)
	if err != nil {
		return err
	}
	defer func() { _ = part.Text.Close() }()
	header := resp.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	out := newCopier(resp.ResponseWriter, h.deps.WriteTimeout)
	if follow := req.QueryParameter("follow"); follow == "true" || follow == "1" {
		header.Set("X-Accel-Buffering", "no")
		resp.WriteHeader(http.StatusOK)
		h.finish(h.follow(ctx, run, part, out))
		return nil
	}
	header.Set(HeaderTextSize, strconv.FormatInt(part.Next, 10))
	if part.More {
		header.Set(HeaderMoreData, "true")
	}
	resp.WriteHeader(http.StatusOK)
	_, err = out.copy(part.Text)
	h.finish(err)
	return nil
}

// startOf reads the offset of the query.
func startOf(req *restful.Request) (int64, error) {
	text := req.QueryParameter("start")
	if text == "" {
		return 0, nil
	}
	start, err := strconv.ParseInt(text, 10, 64)
	if err != nil || start < 0 {
		return 0, apierrors.NewBadRequest("start must be an offset in bytes: 0, or the X-Text-Size of an earlier answer")
	}
	return start, nil
}

// finish ends an answer that has begun. If it is not whole the connection is cut, so that the client
// does not take the part for the whole.
func (h *Handler) finish(err error) {
	if err == nil {
		return
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		h.deps.SlowClient()
	}
	panic(http.ErrAbortHandler)
}

// follow copies the log until the build has written all of it.
func (h *Handler) follow(ctx context.Context, run *devopsv1alpha3.PipelineRun, part LogPart, out *copier) error {
	delay := fastPoll
	for {
		n, err := out.copy(part.Text)
		_ = part.Text.Close()
		if err != nil {
			return err
		}
		if !part.More {
			return nil
		}
		delay = min(2*delay, slowPoll)
		if n > 0 {
			delay = fastPoll
		}
		if err := wait(ctx, delay); err != nil {
			return err
		}
		if part, err = h.nextLog(ctx, run, part.Next); err != nil {
			return err
		}
	}
}

// nextLog reads on in a log that is followed. Who follows it stays while Jenkins is away: nothing is lost between two parts.
func (h *Handler) nextLog(ctx context.Context, run *devopsv1alpha3.PipelineRun, start int64) (LogPart, error) {
	for deadline := time.Now().Add(awayPatience); ; {
		// The run may have got its build, ended, or been deleted in between.
		if err := h.deps.Store.Get(ctx, run.Namespace, run.Name, run); err != nil {
			return LogPart{}, err
		}
		part, err := h.readLog(ctx, run, start)
		if !errors.Is(err, jenkins.ErrUnavailable) || time.Now().After(deadline) {
			return part, err
		}
		if err := wait(ctx, max(slowPoll, jenkins.RetryAfter(err))); err != nil {
			return LogPart{}, err
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// readLog gives the log from where it is. Offsets of Jenkins count hidden marks that the stored text
// does not have, so a reader who began with Jenkins goes on there as long as it has the build.
func (h *Handler) readLog(ctx context.Context, run *devopsv1alpha3.PipelineRun, start int64) (LogPart, error) {
	stored := h.sources.Archive != nil && run.Annotations[devopsv1alpha3.ArchivedAnnotation] != ""
	if stored && start == 0 {
		part, err := h.storedLog(ctx, run, start)
		if !errors.Is(err, objectstore.ErrNotFound) {
			return part, err
		}
	}
	build, known := h.buildOf(ctx, run)
	if !known || h.sources.Logs == nil {
		// Without a build there is no log, and if the run has not ended there will be.
		return LogPart{Text: http.NoBody, Next: start, More: !ended(run) && h.sources.Logs != nil}, nil
	}
	part, err := h.sources.Logs.Log(ctx, build, start)
	switch {
	case err == nil:
		return part, nil
	case stored && (errors.Is(err, jenkins.ErrNotFound) || errors.Is(err, jenkins.ErrUnavailable)):
		return h.storedLog(ctx, run, start)
	case errors.Is(err, jenkins.ErrNotFound) && !ended(run):
		// Jenkins knows the number before it has the log.
		return LogPart{Text: http.NoBody, Next: start, More: true}, nil
	case errors.Is(err, jenkins.ErrNotFound):
		return LogPart{}, response.NewStatus(http.StatusNotFound, "NotFound",
			fmt.Sprintf("the log of pipelinerun %q is gone: Jenkins has discarded the build and no copy is stored", run.Name))
	}
	return LogPart{}, err
}

func (h *Handler) storedLog(ctx context.Context, run *devopsv1alpha3.PipelineRun, start int64) (LogPart, error) {
	content, err := h.sources.Archive.Open(ctx, archivePrefix(run)+"log.txt", start)
	if err != nil {
		return LogPart{}, err
	}
	return LogPart{Text: content, Next: max(content.Size, start)}, nil
}

// archivePrefix is the folder of a run's stored files; the controller that writes them has the same.
func archivePrefix(run *devopsv1alpha3.PipelineRun) string {
	return fmt.Sprintf("runs/%s/%s-%s/", run.Namespace, run.Name, run.UID)
}

// buildOf gives the Jenkins build of a run, once it is known. Its number stands in an annotation that
// users can write, so a folder that is not known to be the project's own is left alone.
func (h *Handler) buildOf(ctx context.Context, run *devopsv1alpha3.PipelineRun) (Build, bool) {
	project := &devopsv1alpha3.DevOpsProject{}
	if err := h.deps.Store.Get(ctx, "", run.Namespace, project); err != nil || !project.OwnsFolder() {
		return Build{}, false
	}
	number, err := strconv.ParseInt(run.Annotations[devopsv1alpha3.JenkinsPipelineRunIDAnnotation], 10, 64)
	if err != nil || number < 1 || run.Spec.PipelineRef == nil || run.Spec.PipelineRef.Name == "" {
		return Build{}, false
	}
	job := run.Spec.PipelineRef.Name
	if run.Spec.SCM != nil && run.Spec.SCM.RefName != "" {
		job = jenkins.BranchJob(job, run.Spec.SCM.RefName)
	}
	// A project's folder has the name of its namespace. The namespace of the reference is not looked
	// at: a run must not lead into another tenant's folder.
	return Build{Folder: run.Namespace, Job: job, Number: number}, true
}

// copier writes to a client in parts, each with a deadline of its own: a client that does not read is
// cut off, and nothing is buffered for it.
type copier struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	buffer  []byte
}

func newCopier(w http.ResponseWriter, timeout time.Duration) *copier {
	return &copier{w: w, control: http.NewResponseController(w), timeout: timeout, buffer: make([]byte, copyBuffer)}
}

// copy writes all of the text and flushes it.
func (c *copier) copy(text io.Reader) (int64, error) {
	n, err := io.CopyBuffer(writerOnly{c}, readerOnly{text}, c.buffer)
	if err != nil {
		return n, err
	}
	if err := c.control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return n, fmt.Errorf("send log: %w", err)
	}
	return n, nil
}

// Write implements io.Writer.
func (c *copier) Write(part []byte) (int, error) {
	// Writers without a connection, as in tests, know no deadlines.
	_ = c.control.SetWriteDeadline(time.Now().Add(c.timeout))
	n, err := c.w.Write(part)
	if err != nil {
		return n, fmt.Errorf("send: %w", err)
	}
	return n, nil
}

// writerOnly and readerOnly hide the short cuts of io.Copy, which would write all with one deadline.
type (
	writerOnly struct{ io.Writer }
	readerOnly struct{ io.Reader }
)

// namespaceOf and nameOf are the parameters of a run's path.
func namespaceOf(req *restful.Request) string { return req.PathParameter(crud.ParamNamespace) }
func nameOf(req *restful.Request) string      { return req.PathParameter(crud.ParamName) }
