// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package webhook serves the addresses at which the older API takes events of other systems. They used to
// lead to Jenkins; they do what Jenkins' plugins do, and need the same secrets as those of v1alpha3.
package webhook

import (
	"net/http"

	"github.com/emicklei/go-restful/v3"

	"github.com/slipway-dev/slipway/pkg/kapis"
	v3 "github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/webhook"
	"github.com/slipway-dev/slipway/pkg/scm/hook"
)

// AddRoutes adds the routes.
func AddRoutes(ws *restful.WebService, r *hook.Receiver) {
	for method, operation := range map[string]string{http.MethodGet: "notifyCommit", http.MethodPost: "notifyCommitByPost"} {
		ws.Route(v3.FinishReceiver(ws.Method(method).Path("/webhook/git")).To(kapis.Handle(notify(r))).
			Operation(operation).
			Doc("Tell that a repository has changed").
			Notes("For hooks of git itself. Pipelines with branches look for them; one without is started if the commit and the branch are given.").
			Param(ws.QueryParameter("url", "address of the repository").Required(true)).
			Param(ws.QueryParameter("branches", "branches that were pushed, with commas between")).
			Param(ws.QueryParameter("sha1", "commit that they are at now")).
			Param(ws.QueryParameter("token", "secret of webhooks; a bearer token is taken, too")))
	}
	ws.Route(v3.FinishReceiver(ws.POST("/webhook/github")).To(kapis.Handle(v3.DeliverSCM(r))).
		Operation("receiveGitHubEvent").
		Doc("Take an event of GitHub or another source code server").
		Notes("The same as /webhooks/scm of v1alpha3.").
		Reads(v3.Delivery{}))
	ws.Route(v3.FinishReceiver(ws.POST("/webhook/generic-trigger")).To(kapis.Handle(generic(r))).
		Operation("triggerGenericWebhook").
		Doc("Start the pipelines whose generic webhook has the token").
		Notes("Variables of the query and of headers become the parameters of their names. The answer is the same whether there is such a token or not.").
		Param(ws.QueryParameter("token", "token of the generic webhook; a header token and a bearer token are taken, too")))
}

func notify(r *hook.Receiver) kapis.Handler {
	return func(req *restful.Request, resp *restful.Response) error {
		query := req.Request.URL.Query()
		err := r.Notify(req.Request.Context(), query.Get("url"), query.Get("branches"), query.Get("sha1"), hook.Request{Query: query, Header: req.Request.Header})
		return v3.AnswerReceiver(req, resp, err)
	}
}

func generic(r *hook.Receiver) kapis.Handler {
	return func(req *restful.Request, resp *restful.Response) error {
		body, done, err := v3.ReadDelivery(req, resp, r)
		defer done()
		if err != nil {
			return err
		}
		q := hook.Request{Query: req.Request.URL.Query(), Header: req.Request.Header.Clone(), Body: body}
		return v3.AnswerReceiver(req, resp, r.Generic(req.Request.Context(), q))
	}
}
