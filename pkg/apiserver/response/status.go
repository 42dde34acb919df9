// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package response

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/objectstore"
)

// StatusClientClosedRequest is the code under which requests are counted whose client went away
// before the answer. Nobody reads it.
const StatusClientClosedRequest = 499

// ReasonBadGateway is the reason of a 502: a server behind this one failed.
const ReasonBadGateway metav1.StatusReason = "BadGateway"

// NewStatus makes an error of the given code with a message for the user.
func NewStatus(code int, reason metav1.StatusReason, message string) *apierrors.StatusError {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message,
	}}
}

// Unauthorized is a 401.
func Unauthorized(message string) error {
	return NewStatus(http.StatusUnauthorized, metav1.StatusReasonUnauthorized, message)
}

// Unavailable is a 503 that asks the client to try again after some seconds.
func Unavailable(message string) error {
	return retryLater(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, message, 2)
}

// TooManyRequests is a 429 that asks the client to try again after so many seconds.
func TooManyRequests(message string, seconds int) error {
	return retryLater(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, message, max(seconds, 1))
}

// NotFoundPath is a 404 of an address that is not served at all.
func NotFoundPath(path string) error {
	return NewStatus(http.StatusNotFound, metav1.StatusReasonNotFound,
		fmt.Sprintf("the server has nothing at %q; the addresses that it serves are listed at /openapi.json", shorten(path)))
}

// shorten bounds what of a client's text is repeated in an answer.
func shorten(text string) string {
	const limit = 200
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return text
}

func retryLater(code int, reason metav1.StatusReason, message string, seconds int) error {
	err := NewStatus(code, reason, message)
	err.ErrStatus.Details = &metav1.StatusDetails{RetryAfterSeconds: int32(seconds)}
	return err
}

// StatusOf maps any error to what the client is told. Errors that are no API status and none of the
// known kinds become a 500 without their text: it may tell things that are not the client's.
func StatusOf(err error) *metav1.Status {
	var api apierrors.APIStatus
	if errors.As(err, &api) {
		status := api.Status()
		return complete(&status)
	}
	// A call of Jenkins that took too long is Jenkins' fault; the time limit in it is the client's.
	var away *jenkins.Error
	if errors.As(err, &away) && errors.Is(away, jenkins.ErrUnavailable) {
		return statusFrom(retryLater(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, jenkinsAway, seconds(away.RetryAfter())))
	}
	if status := statusOfContext(err); status != nil {
		return status
	}
	if status := statusOfJenkins(err); status != nil {
		return status
	}
	if status := statusOfStore(err); status != nil {
		return status
	}
	if status := statusOfNetwork(err); status != nil {
		return status
	}
	return statusFrom(NewStatus(http.StatusInternalServerError, metav1.StatusReasonInternalError,
		"internal error; the server's log has more under the id of this request"))
}

func statusFrom(err error) *metav1.Status {
	var api apierrors.APIStatus
	if !errors.As(err, &api) {
		return nil
	}
	status := api.Status()
	return complete(&status)
}

// complete fills what every answer of ours carries.
func complete(status *metav1.Status) *metav1.Status {
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	status.Status = metav1.StatusFailure
	if status.Code < 400 || status.Code > 599 {
		status.Code = http.StatusInternalServerError
	}
	if status.Reason == "" {
		// Kubernetes leaves it out where a storage error got through.
		status.Reason = metav1.StatusReasonBadRequest
		if status.Code >= http.StatusInternalServerError {
			status.Reason = metav1.StatusReasonInternalError
		}
	}
	return status
}

func statusOfContext(err error) *metav1.Status {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, context.Canceled):
		return &metav1.Status{
			TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure,
			Code: StatusClientClosedRequest, Reason: metav1.StatusReasonTimeout, Message: "the request was cancelled",
		}
	case errors.Is(err, context.DeadlineExceeded):
		return statusFrom(retryLater(http.StatusGatewayTimeout, metav1.StatusReasonTimeout,
			"the request took too long; try again, and list with page and limit", 1))
	case errors.As(err, &tooLarge):
		return statusFrom(request.TooLarge(tooLarge.Limit))
	}
	return nil
}

// jenkinsAway is what users are told whose request needs a Jenkins that does not answer. Where it is and how it failed is for the log.
const jenkinsAway = "Jenkins cannot be reached, and this needs it; try again in a moment"

// seconds is a hint for Retry-After: whole seconds, two at least.
func seconds(d time.Duration) int { return max(2, int(math.Ceil(d.Seconds()))) }

// statusOfJenkins maps the kinds of Jenkins' errors. What is between this server and Jenkins, such
// as a bad credential, is not the user's fault and becomes a 502.
func statusOfJenkins(err error) *metav1.Status {
	text := err.Error()
	switch {
	case errors.Is(err, jenkins.ErrNotFound):
		return statusFrom(NewStatus(http.StatusNotFound, metav1.StatusReasonNotFound, text))
	case errors.Is(err, jenkins.ErrConflict):
		return statusFrom(NewStatus(http.StatusConflict, metav1.StatusReasonConflict, text))
	case errors.Is(err, jenkins.ErrInvalid):
		return statusFrom(NewStatus(http.StatusBadRequest, metav1.StatusReasonBadRequest, text))
	case errors.Is(err, jenkins.ErrUnavailable):
		return statusFrom(Unavailable(jenkinsAway))
	case errors.Is(err, jenkins.ErrUnauthorized), errors.Is(err, jenkins.ErrForbidden):
		return statusFrom(NewStatus(http.StatusBadGateway, ReasonBadGateway,
			"Jenkins refuses this server's own credential; an administrator has to check it"))
	case errors.Is(err, jenkins.ErrInternal), errors.Is(err, jenkins.ErrTooLarge), errors.Is(err, jenkins.ErrUnexpected):
		return statusFrom(NewStatus(http.StatusBadGateway, ReasonBadGateway, text))
	}
	return nil
}

// statusOfStore maps the kinds of the object store's errors.
func statusOfStore(err error) *metav1.Status {
	switch {
	case errors.Is(err, objectstore.ErrNotFound):
		return statusFrom(NewStatus(http.StatusNotFound, metav1.StatusReasonNotFound, "the file is not in the object store"))
	case errors.Is(err, objectstore.ErrUnavailable):
		return statusFrom(Unavailable("the object store cannot be reached; try again in a moment"))
	case errors.Is(err, objectstore.ErrUnauthorized):
		return statusFrom(NewStatus(http.StatusBadGateway, ReasonBadGateway,
			"the object store refuses this server's own credential; an administrator has to check it"))
	}
	return nil
}

// statusOfNetwork maps a Kubernetes API that cannot be reached, and a cache that is not filled yet.
func statusOfNetwork(err error) *metav1.Status {
	var (
		urlError   *url.Error
		netError   net.Error
		notStarted *cache.ErrCacheNotStarted
	)
	switch {
	case errors.As(err, &notStarted):
		return statusFrom(Unavailable("the server is starting; try again in a moment"))
	case errors.As(err, &urlError), errors.As(err, &netError):
		return statusFrom(Unavailable("the Kubernetes API cannot be reached; try again in a moment"))
	}
	return nil
}
