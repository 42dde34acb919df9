// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package webhook takes the events that Jenkins sends about its builds, and notes them on the PipelineRuns
// that the builds belong to, which wakes their controller.
//
// The route has no user: Jenkins identifies itself with a secret of its own. What it says is a hint. It
// names the runs to look at, and nothing in it becomes the state of a run; so an event that is lost, late,
// sent again or out of order costs time at worst. All events that are well-formed are answered alike,
// whether there is such a project or not.
package webhook

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/emicklei/go-restful/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/authn"
	"github.com/slipway-dev/slipway/pkg/jenkins/events"
)

const (
	// maxAge is how old an event may be: who has recorded one cannot use it for ever. Senders that try
	// again give up before.
	maxAge = 20 * time.Minute
	// maxSkew is how far Jenkins' clock may be ahead.
	maxSkew = 5 * time.Minute
)

// Deps is what the route needs.
type Deps struct {
	// Secret is what Jenkins identifies itself with. Empty: the route answers that it is not configured.
	Secret []byte
	// Reader is the informer cache, with the fields of package index.
	Reader client.Reader
	// Client writes with the server's own rights, and reads what the cache does not have.
	Client client.Client
	// Now tells the time. Nil: time.Now.
	Now func() time.Time
}

// Handler takes events.
type Handler struct {
	deps   Deps
	secret [sha256.Size]byte
	inbox  *inbox
}

// New makes the handler.
func New(deps Deps) *Handler {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	h := &Handler{deps: deps, secret: sha256.Sum256(deps.Secret)}
	h.inbox = newInbox(&notes{reader: deps.Reader, client: deps.Client, now: deps.Now})
	return h
}

// Jenkins takes one event. It answers before the event has been dealt with: Jenkins' plugin sends one
// event at a time and does not send it again.
func (h *Handler) Jenkins(req *restful.Request, resp *restful.Response) error {
	w, r := resp.ResponseWriter, req.Request
	if len(h.deps.Secret) == 0 {
		return response.NewStatus(http.StatusNotFound, "NotFound", "events of Jenkins are not configured: start the server with --webhook-secret-file")
	}
	if !h.known(r.Header) {
		// An HTTP client that has the credential in its URL sends it only when it is asked for Basic.
		w.Header().Set("WWW-Authenticate", `Basic realm="slipway webhooks", charset="UTF-8"`)
		return response.Unauthorized("send the webhook secret: Authorization: Bearer <secret>, or Basic with the secret as the password")
	}
	authn.StripCredentials(r.Header)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, events.MaxBytes))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return request.TooLarge(tooLarge.Limit)
	case err != nil:
		return apierrors.NewBadRequest("the body ended early")
	}
	event, err := events.Parse(body)
	switch {
	case errors.Is(err, events.ErrOther):
		event = nil
	case err != nil:
		return apierrors.NewBadRequest(err.Error())
	}
	if event != nil && h.timely(event) && !h.inbox.put(r.Context(), event) {
		return response.Unavailable("too many events wait")
	}
	response.Write(w, r, http.StatusAccepted, response.Success())
	return nil
}

// known tells if the request carries the secret. The time that it takes says nothing about the secret.
func (h *Handler) known(header http.Header) bool {
	values := header.Values("Authorization")
	if len(values) != 1 {
		return false
	}
	scheme, secret, _ := strings.Cut(strings.TrimSpace(values[0]), " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		secret = strings.TrimSpace(secret)
	case strings.EqualFold(scheme, "Basic"):
		// The user's name does not matter.
		var ok bool
		if _, secret, ok = (&http.Request{Header: header}).BasicAuth(); !ok {
			return false
		}
	default:
		return false
	}
	given := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(given[:], h.secret[:]) == 1
}

// timely tells if the event is new enough.
func (h *Handler) timely(e *events.Event) bool {
	age := h.deps.Now().Sub(e.Time)
	return age <= maxAge && age >= -maxSkew
}
