// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/emicklei/go-restful/v3"
	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/utils/lru"

	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/authn"
)

// Bounds of reviews that find a token bad, for one address. Jenkins, which asks for all of its users,
// has good ones mostly.
const (
	badPerSecond = 5
	badBurst     = 50
	// trackedAddresses bounds the memory for addresses. One that is forgotten begins anew.
	trackedAddresses = 4096
)

// Review asks whether a token is good, in the form of Kubernetes' TokenReview.
type Review struct {
	// APIVersion is given back as it came.
	APIVersion string `json:"apiVersion,omitempty"`
	// Kind is TokenReview, or empty.
	Kind string `json:"kind,omitempty"`
	// Metadata is ignored.
	Metadata map[string]any `json:"metadata,omitempty"`
	// Spec is the question.
	Spec ReviewSpec `json:"spec"`
	// Status is ignored.
	Status *ReviewStatus `json:"status,omitempty"`
}

// ReviewSpec is the question.
type ReviewSpec struct {
	// Token is that of the user.
	Token string `json:"token"`
	// Audiences are ignored: tokens have none.
	Audiences []string `json:"audiences,omitempty"`
}

// ReviewResult is the answer. It does not repeat the token.
type ReviewResult struct {
	APIVersion string       `json:"apiVersion,omitempty"`
	Kind       string       `json:"kind"`
	Status     ReviewStatus `json:"status"`
}

// ReviewStatus is the result of a review.
type ReviewStatus struct {
	// Authenticated is true for a good token. Why another is not is not told.
	Authenticated bool `json:"authenticated"`
	// User is missing if the token is not good.
	User *ReviewUser `json:"user,omitempty"`
}

// ReviewUser is the user of a token.
type ReviewUser struct {
	Username string `json:"username"`
	// UID is the name again for users that have no id of their own.
	UID string `json:"uid"`
}

const kindReview = "TokenReview"

// Reviewer tells whose token one is.
type Reviewer struct {
	authenticator authenticator.Request
	limited       func()

	mu    sync.Mutex
	known *lru.Cache
}

// NewReviewer makes a Reviewer of what authenticates requests. limited is called for every review that is turned away as one too many.
func NewReviewer(a authenticator.Request, limited func()) *Reviewer {
	return &Reviewer{authenticator: a, limited: limited, known: lru.New(trackedAddresses)}
}

// Review answers whose token it is.
func (v *Reviewer) Review(req *restful.Request, resp *restful.Response) error {
	r := req.Request
	log := logr.FromContextOrDiscard(r.Context()).WithName("audit")
	limiter := v.limiter(address(r))
	if limiter.Tokens() < 1 {
		v.limited()
		wait := int(math.Ceil((1 - limiter.Tokens()) / badPerSecond))
		return response.TooManyRequests("too many tokens from this address were not good; wait", wait)
	}
	r.Body = http.MaxBytesReader(resp.ResponseWriter, r.Body, maxForm)
	var review Review
	if err := request.DecodeJSON(r, &review); err != nil {
		return err
	}
	switch {
	case review.Kind != "" && review.Kind != kindReview:
		return apierrors.NewBadRequest("kind: this address takes a TokenReview, got " + strconv.Quote(clip(review.Kind)))
	case review.Spec.Token == "":
		return apierrors.NewBadRequest("spec.token is missing")
	}
	status, err := v.review(r, review.Spec.Token)
	if err != nil {
		return err
	}
	if !status.Authenticated {
		limiter.AllowN(time.Now(), 1)
		log.Info("token review: not good", "address", address(r))
	}
	response.Write(resp.ResponseWriter, r, http.StatusOK, ReviewResult{APIVersion: clip(review.APIVersion), Kind: kindReview, Status: status})
	return nil
}

// review asks as a request with the token would.
func (v *Reviewer) review(r *http.Request, token string) (ReviewStatus, error) {
	question := (&http.Request{Method: r.Method, URL: r.URL, Header: http.Header{}}).WithContext(r.Context())
	question.Header.Set(authn.HeaderAuthorization, "Bearer "+token)
	found, ok, err := v.authenticator.AuthenticateRequest(question)
	if _, refused := authn.IsRefused(err); refused || err == nil && !ok {
		return ReviewStatus{}, nil
	}
	if err != nil {
		if r.Context().Err() != nil {
			return ReviewStatus{}, err
		}
		// The first is what the client is told, the second is for the log.
		return ReviewStatus{}, errors.Join(response.Unavailable("the token cannot be checked at the moment; try again"), err)
	}
	u := &ReviewUser{Username: found.User.GetName(), UID: found.User.GetUID()}
	if u.UID == "" {
		u.UID = u.Username
	}
	return ReviewStatus{Authenticated: true, User: u}, nil
}

func (v *Reviewer) limiter(address string) *rate.Limiter {
	v.mu.Lock()
	defer v.mu.Unlock()
	if known, ok := v.known.Get(address); ok {
		return known.(*rate.Limiter)
	}
	made := rate.NewLimiter(badPerSecond, badBurst)
	v.known.Add(address, made)
	return made
}

// clip bounds what of a client's text is repeated in an answer.
func clip(text string) string {
	const most = 100
	if len(text) > most {
		return text[:most]
	}
	return text
}
