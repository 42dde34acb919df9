// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/emicklei/go-restful/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/jenkins"
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
	// maxLast bounds thresholdInKB: more than any log has.
	maxLast = 1 << 30
)

// Log answers with the log of a run from an offset, or follows it to its end.
func (h *Handler) Log(req *restful.Request, resp *restful.Response) error {
	run, err := h.run(req)
	if err != nil {
		return err
	}
	return h.ServeLog(req, resp, run)
}

// StepLog is Log for a step of a run.
func (h *Handler) StepLog(req *restful.Request, resp *restful.Response) error {
	run, err := h.run(req)
	if err != nil {
		return err
	}
	return h.ServeStepLog(req, resp, run)
}

// ServeLog answers with the log of a run as the query asks for it.
func (h *Handler) ServeLog(req *restful.Request, resp *restful.Response, run *devopsv1alpha3.PipelineRun) error {
	return h.serveLog(req, resp, &logOf{h: h, run: run})
}

// ServeStepLog answers with the log of the step that the path names.
func (h *Handler) ServeStepLog(req *restful.Request, resp *restful.Response, run *devopsv1alpha3.PipelineRun) error {
	return h.serveLog(req, resp, &logOf{h: h, run: run, node: req.PathParameter(ParamNode), step: req.PathParameter(ParamStep)})
}

// logQuery is what a request wants of a log.
type logQuery struct {
	// start is an offset, last a number of kilobytes at the end; 0 if the query does not name them.
	start, last      int64
	follow, download bool
}

func logQueryOf(req *restful.Request) (logQuery, error) {
	q := logQuery{follow: isTrue(req.QueryParameter("follow")), download: isTrue(req.QueryParameter("download"))}
	if text := req.QueryParameter("start"); text != "" {
		start, err := strconv.ParseInt(text, 10, 64)
		if err != nil || start < 0 {
			return q, apierrors.NewBadRequest("start must be an offset in bytes: 0, or the X-Text-Size of an earlier answer")
		}
		q.start = start
		return q, nil // as in Blue Ocean, start goes before thresholdInKB
	}
	if text := req.QueryParameter("thresholdInKB"); text != "" {
		last, err := strconv.ParseInt(text, 10, 64)
		if err != nil || last < 1 || last > maxLast {
			return q, apierrors.NewBadRequest(fmt.Sprintf("thresholdInKB must be a number of kilobytes, from 1 to %d", maxLast))
		}
		q.last = last
	}
	return q, nil
}

func isTrue(value string) bool { return value == "true" || value == "1" }

func (h *Handler) serveLog(req *restful.Request, resp *restful.Response, l *logOf) error {
	ctx := req.Request.Context()
	q, err := logQueryOf(req)
	if err != nil {
		return err
	}
	header := resp.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	header.Set("Vary", "Accept-Encoding")
	if q.download {
		header.Set("Content-Disposition", disposition(l.filename()))
	}
	whole := ended(l.run) && q.start == 0 && q.last == 0
	if whole && oneRange(req.Request) {
		return h.serveRange(req, resp, l)
	}
	part, err := l.first(ctx, q)
	if err != nil {
		header.Del("Content-Disposition")
		return err
	}
	defer func() { _ = part.Text.Close() }()
	out := newCopier(resp.ResponseWriter, h.deps.WriteTimeout)
	tag := l.tag()
	if acceptsGzip(req.Request) {
		if err := out.compress(); err != nil {
			return err
		}
		header.Set("Content-Encoding", "gzip")
		tag += "-gzip"
	}
	if whole && !part.More {
		header.Set("ETag", strconv.Quote(tag))
		header.Set("Accept-Ranges", "bytes")
	}
	if q.follow {
		header.Set("X-Accel-Buffering", "no")
		resp.WriteHeader(http.StatusOK)
		err = h.follow(ctx, l, part, out)
	} else {
		header.Set(HeaderTextSize, strconv.FormatInt(part.Next, 10))
		if part.More {
			header.Set(HeaderMoreData, "true")
		}
		resp.WriteHeader(http.StatusOK)
		_, err = out.copy(part.Text)
	}
	if err == nil {
		err = out.close()
	}
	h.finish(err)
	return nil
}

// serveRange answers with a part of a log that has ended, as HTTP asks for parts of files.
func (h *Handler) serveRange(req *restful.Request, resp *restful.Response, l *logOf) error {
	file, err := l.file(req.Request.Context())
	if err != nil {
		resp.Header().Del("Content-Disposition")
		return err
	}
	defer func() { _ = file.Close() }()
	header := resp.Header()
	header.Set("ETag", strconv.Quote(l.tag()))
	header.Set(HeaderTextSize, strconv.FormatInt(file.size, 10))
	w := &rangeWriter{ResponseWriter: resp.ResponseWriter, out: newCopier(resp.ResponseWriter, h.deps.WriteTimeout)}
	http.ServeContent(w, req.Request, "", time.Time{}, file)
	if w.refused {
		return refusedRange(file.size)
	}
	h.finish(errors.Join(w.err, file.err))
	return nil
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
func (h *Handler) follow(ctx context.Context, l *logOf, part LogPart, out *copier) error {
	delay := fastPoll
	for {
		n, err := out.copy(part.Text)
		_ = part.Text.Close()
		if err != nil {
			return err
		}
		l.sent(n)
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
		if part, err = l.next(ctx, part.Next); err != nil {
			return err
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

// logOf is the log of a run, or of one of its steps.
type logOf struct {
	h   *Handler
	run *devopsv1alpha3.PipelineRun
	// node and step are empty for the log of the run.
	node, step string
	// from is where in the clean text a reader is that began at its beginning, -1 if that is not known.
	from int64
}

func (l *logOf) sent(n int64) {
	if l.from >= 0 {
		l.from += n
	}
}

// filename is the name under which the log is saved.
func (l *logOf) filename() string {
	if l.step == "" {
		return l.run.Name + ".log"
	}
	return fmt.Sprintf("%s-%s-%s.log", l.run.Name, l.node, l.step)
}

// tag tells the text of an ended log from others.
func (l *logOf) tag() string {
	if l.step == "" {
		return string(l.run.UID)
	}
	return fmt.Sprintf("%s-%s-%s", l.run.UID, l.node, l.step)
}

func (l *logOf) stored() bool { return l.step == "" && l.h.stored(l.run) }

// first gives the part that a request asks for.
func (l *logOf) first(ctx context.Context, q logQuery) (LogPart, error) {
	l.from = -1
	switch {
	case q.last > 0 && l.stored():
		part, err := l.storedTail(ctx, q.last)
		if !errors.Is(err, objectstore.ErrNotFound) {
			return part, err
		}
	case q.start > 0 && l.stored():
		// Who read the copy to its end, and asks if there is more.
		if size, err := l.storedSize(ctx); err == nil && size == q.start {
			return LogPart{Text: http.NoBody, Next: size}, nil
		}
	case q.start == 0 && q.last == 0:
		l.from = 0
	}
	return l.read(ctx, LogRequest{Start: q.start, Last: q.last})
}

// next reads on in a log that is followed. Who follows it stays while Jenkins is away: nothing is lost between two parts.
func (l *logOf) next(ctx context.Context, start int64) (LogPart, error) {
	for deadline := time.Now().Add(awayPatience); ; {
		// The run may have got its build, ended, or been deleted in between.
		if err := l.h.deps.Store.Get(ctx, l.run.Namespace, l.run.Name, l.run); err != nil {
			return LogPart{}, err
		}
		part, err := l.read(ctx, LogRequest{Start: start})
		if !errors.Is(err, jenkins.ErrUnavailable) || time.Now().After(deadline) {
			return part, err
		}
		if err := wait(ctx, max(slowPoll, jenkins.RetryAfter(err))); err != nil {
			return LogPart{}, err
		}
	}
}

// read gives the log from where it is. Offsets of Jenkins count hidden marks that the stored text does
// not have, so a reader who began with Jenkins goes on there as long as it has the build.
func (l *logOf) read(ctx context.Context, want LogRequest) (LogPart, error) {
	stored := l.stored()
	if stored && want.Start == 0 && want.Last == 0 {
		part, err := l.storedLog(ctx, 0)
		if !errors.Is(err, objectstore.ErrNotFound) {
			return part, err
		}
	}
	build, known := l.h.buildOf(ctx, l.run)
	if !known || l.h.sources.Logs == nil {
		if l.step != "" {
			return LogPart{}, l.noStep()
		}
		// Without a build there is no log, and if the run has not ended there will be.
		return LogPart{Text: http.NoBody, Next: want.Start, More: !ended(l.run) && l.h.sources.Logs != nil}, nil
	}
	want.Build, want.Node, want.Step = build, l.node, l.step
	part, err := l.h.sources.Logs.Log(ctx, want)
	switch {
	case err == nil:
		return part, nil
	case l.step != "" && errors.Is(err, jenkins.ErrNotFound):
		return l.withoutStep(ctx, want)
	case stored && (errors.Is(err, jenkins.ErrNotFound) || errors.Is(err, jenkins.ErrUnavailable)):
		return l.fromCopy(ctx, want)
	case errors.Is(err, jenkins.ErrNotFound) && !ended(l.run):
		// Jenkins knows the number before it has the log.
		return LogPart{Text: http.NoBody, Next: want.Start, More: true}, nil
	case errors.Is(err, jenkins.ErrNotFound):
		return LogPart{}, response.NewStatus(http.StatusNotFound, "NotFound",
			fmt.Sprintf("the log of pipelinerun %q is gone: Jenkins has discarded the build and no copy is stored", l.run.Name))
	}
	return LogPart{}, err
}

// fromCopy goes on in the copy of a log that Jenkins does not give any more.
func (l *logOf) fromCopy(ctx context.Context, want LogRequest) (LogPart, error) {
	switch {
	case want.Last > 0:
		return l.storedTail(ctx, want.Last)
	case l.from >= 0:
		return l.storedLog(ctx, l.from)
	}
	return l.storedLog(ctx, want.Start)
}

func (l *logOf) noStep() error {
	return response.NewStatus(http.StatusNotFound, "NotFound",
		fmt.Sprintf("pipelinerun %q has no step %s in node %s", l.run.Name, quote(l.step), quote(l.node)))
}

// withoutStep says why Jenkins has no log of a step: there is no such step, it has not written anything,
// or the build is gone. Steps have no copy of their own; all that they wrote is in the log of the run.
func (l *logOf) withoutStep(ctx context.Context, want LogRequest) (LogPart, error) {
	stages, err := l.h.readStages(ctx, l.run)
	if err != nil {
		return LogPart{}, err
	}
	step, known := stages.find(l.node, l.step)
	if !known {
		return LogPart{}, l.noStep()
	}
	if ended(l.run) {
		part, err := l.h.sources.Logs.Log(ctx, LogRequest{Build: want.Build, Last: 1})
		if errors.Is(err, jenkins.ErrNotFound) {
			return LogPart{}, response.NewStatus(http.StatusGone, "Gone", fmt.Sprintf(
				"the log of step %s is gone: Jenkins has discarded the build; the whole log of the run is at %s/log", quote(l.step), addressOf(l.run)))
		}
		if err != nil {
			return LogPart{}, err
		}
		_ = part.Text.Close()
	}
	return LogPart{Text: http.NoBody, Next: want.Start, More: !ended(l.run) && step.State != jenkins.StateFinished}, nil
}

func (l *logOf) key() string { return archivePrefix(l.run) + "log.txt" }

func (l *logOf) storedLog(ctx context.Context, start int64) (LogPart, error) {
	content, err := l.h.sources.Archive.Open(ctx, l.key(), start)
	if err != nil {
		return LogPart{}, err
	}
	return LogPart{Text: content, Next: max(content.Size, start)}, nil
}

// storedSize is the length of the copy.
func (l *logOf) storedSize(ctx context.Context) (int64, error) {
	content, err := l.h.sources.Archive.Open(ctx, l.key(), math.MaxInt64)
	if err != nil {
		return 0, err
	}
	return content.Size, content.Close()
}

// storedTail gives the last kilobytes of the copy, from the beginning of a line.
func (l *logOf) storedTail(ctx context.Context, kilobytes int64) (LogPart, error) {
	size, err := l.storedSize(ctx)
	if err != nil {
		return LogPart{}, err
	}
	start := max(0, size-kilobytes<<10)
	part, err := l.storedLog(ctx, start)
	if err == nil && start > 0 {
		part.Text = jenkins.WholeLines(part.Text)
	}
	return part, err
}

// file gives the log of an ended run as a file. A log that is only in Jenkins is read to its end for its
// length: what Jenkins says of it counts hidden marks.
func (l *logOf) file(ctx context.Context) (*seeker, error) {
	if l.stored() {
		size, err := l.storedSize(ctx)
		if err == nil {
			return &seeker{size: size, open: func(offset int64) (io.ReadCloser, error) {
				return l.h.sources.Archive.Open(ctx, l.key(), offset)
			}}, nil
		}
		if !errors.Is(err, objectstore.ErrNotFound) {
			return nil, err
		}
	}
	open := func(offset int64) (io.ReadCloser, error) {
		part, err := l.read(ctx, LogRequest{})
		if err != nil {
			return nil, err
		}
		if _, err := io.CopyN(io.Discard, part.Text, offset); err != nil && !errors.Is(err, io.EOF) {
			_ = part.Text.Close()
			return nil, err
		}
		return part.Text, nil
	}
	text, err := open(0)
	if err != nil {
		return nil, err
	}
	size, err := io.Copy(io.Discard, text)
	_ = text.Close()
	return &seeker{size: size, open: open}, err
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
