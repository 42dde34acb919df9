// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
)

// JenkinsHealth says how it is with Jenkins.
type JenkinsHealth interface {
	// State gives since when Jenkins does not answer, zero if it does; when it last answered, zero if it never did; and whether calls are
	// refused until it does again.
	State() (since, lastAnswer time.Time, open bool)
	// Ping asks Jenkins for an answer.
	Ping(ctx context.Context) error
}

const (
	// newsAge is how old the last news of Jenkins may be when somebody reads runs; older ones are renewed behind the request.
	newsAge = 15 * time.Second
	// newsAgeAway is the same while Jenkins does not answer.
	newsAgeAway = 2 * time.Second
	// blip is for how long a Jenkins may be silent before readers are told.
	blip = 3 * time.Second
	// pingTimeout bounds the question.
	pingTimeout = 5 * time.Second
)

// jenkinsNews knows how it is with Jenkins, and asks for news when somebody wants to know. Nobody asks while nobody reads.
type jenkinsNews struct {
	health JenkinsHealth
	asking atomic.Bool
	asked  atomic.Int64 // Unix time in nanoseconds
}

// stale gives since when what is said of live runs may be out of date; it is zero if it is not.
func (n *jenkinsNews) stale() (since, lastAnswer time.Time) {
	since, lastAnswer, open := n.health.State()
	if !open && time.Since(since) < blip {
		return time.Time{}, lastAnswer
	}
	return since, lastAnswer
}

// renew asks Jenkins if the news is old, at most one question at a time.
func (n *jenkinsNews) renew(ctx context.Context) {
	since, last, _ := n.health.State()
	age := newsAge
	if !since.IsZero() {
		age = newsAgeAway
	}
	if time.Since(last) < age || time.Since(time.Unix(0, n.asked.Load())) < age || !n.asking.CompareAndSwap(false, true) {
		return
	}
	defer n.asking.Store(false)
	n.asked.Store(time.Now().UnixNano())
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	_ = n.health.Ping(ctx) // the state has the result
}

// fromJenkins are the resources whose status is what Jenkins said last.
var fromJenkins = map[string]bool{devopsv1alpha3.PipelineRunResource: true, devopsv1alpha3.PipelineResource: true}

// withStaleness adds a Warning to answers about runs and pipelines while Jenkins does not answer: they are served from what is known, and say
// since when there is no news. The code is 110, "Response is Stale", of RFC 7234.
func (s *Server) withStaleness(next http.Handler) http.Handler {
	if s.news == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, ok := request.InfoFrom(r.Context())
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead
		if ok && reads && info.APIGroup == devopsv1alpha3.GroupVersion.Group && fromJenkins[info.Resource] {
			go s.news.renew(context.WithoutCancel(r.Context()))
			if since, _ := s.news.stale(); !since.IsZero() {
				w.Header().Set("Warning", fmt.Sprintf("110 slipway %q",
					"Jenkins does not answer since "+since.UTC().Format(time.RFC3339)+"; what is said of live runs is from before"))
			}
		}
		next.ServeHTTP(w, r)
	})
}

// jenkinsStatus is the answer at /healthz/jenkins.
type jenkinsStatus struct {
	// Up is true if Jenkins answered when it was last called.
	Up bool `json:"up"`
	// Since is since when it does not answer.
	Since *time.Time `json:"since,omitempty"`
	// LastAnswer is when it last answered; it is missing if it never did.
	LastAnswer *time.Time `json:"lastAnswer,omitempty"`
}

// serveJenkinsHealth answers whether Jenkins answers: 200 or 503. Probes of the server itself must not use it: without Jenkins the server
// goes on.
func (s *Server) serveJenkinsHealth(w http.ResponseWriter, r *http.Request) {
	s.news.renew(r.Context())
	since, last := s.news.stale()
	status := jenkinsStatus{Up: since.IsZero() && !last.IsZero()}
	if !since.IsZero() {
		at := since.UTC()
		status.Since = &at
	}
	if !last.IsZero() {
		at := last.UTC()
		status.LastAnswer = &at
	}
	code := http.StatusOK
	if !status.Up {
		code = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", strconv.Itoa(int(newsAgeAway/time.Second)))
	}
	response.Write(w, r, code, status)
}
