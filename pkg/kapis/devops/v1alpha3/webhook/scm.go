// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"errors"
	"net/http"
	"time"

	restfulspec "github.com/emicklei/go-restful-openapi/v2"
	"github.com/emicklei/go-restful/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/authn"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/scm/hook"
)

const scmPath = "/webhooks/scm"

// SCMPath is the address that source code servers send to, besides its short form /v1alpha3/webhooks/scm.
const SCMPath = request.Root + "/" + devopsv1alpha3.GroupName + "/v1alpha3" + scmPath

// readTimeout bounds the time that a delivery takes to arrive. Senders wait for ten seconds at most until they are
// answered.
const readTimeout = 30 * time.Second

// AddSCMRoutes adds the route of source code servers.
func AddSCMRoutes(ws *restful.WebService, r *hook.Receiver) {
	ws.Route(FinishReceiver(ws.POST(scmPath)).To(kapis.Handle(DeliverSCM(r))).
		Operation("receiveSCMEvent").
		Doc("Take an event of a source code server").
		Notes("For webhooks of GitHub, GitLab, Gitea, Bitbucket and Bitbucket Server: pushes, tags and pull requests. A pipeline with branches looks for " +
			"them; one without is started if its annotation scm.devops.kubesphere.io is the repository. The delivery is signed with the server's secret, with " +
			"that of a Webhook object or with that of a pipeline. The answer is the same whether there is such a repository or not.").
		Reads(Delivery{}))
}

// FinishReceiver adds to a route what all that take events have.
func FinishReceiver(route *restful.RouteBuilder) *restful.RouteBuilder {
	return route.
		Consumes(restful.MIME_JSON, "application/x-www-form-urlencoded", "*/*").
		Metadata(restfulspec.KeyOpenAPITags, []string{"Webhooks"}).
		Returns(http.StatusAccepted, "Taken", response.Message{}).
		Returns(http.StatusBadRequest, "It is no event; the message says why", metav1.Status{}).
		Returns(http.StatusUnauthorized, "The signature or token is missing or wrong", metav1.Status{}).
		Returns(http.StatusRequestEntityTooLarge, "The body has more than 25 MiB", metav1.Status{}).
		Returns(http.StatusServiceUnavailable, "Too many events wait; send it again later", metav1.Status{})
}

// Delivery describes a delivery for the API description: what is read of those of GitHub. Other servers
// have forms of their own.
type Delivery struct {
	// Ref is the branch or tag that was pushed.
	Ref string `json:"ref,omitempty"`
	// Before and After are the commits that it was at and is at now.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	// Action is what was done to a pull request.
	Action string `json:"action,omitempty"`
	// Repository is what it is about.
	Repository DeliveryRepository `json:"repository"`
}

// DeliveryRepository describes the repository of a delivery.
type DeliveryRepository struct {
	FullName string `json:"full_name,omitempty"`
	HTMLURL  string `json:"html_url,omitempty"`
	CloneURL string `json:"clone_url,omitempty"`
	SSHURL   string `json:"ssh_url,omitempty"`
}

// DeliverSCM makes a handler of deliveries of source code servers.
func DeliverSCM(r *hook.Receiver) kapis.Handler {
	return func(req *restful.Request, resp *restful.Response) error {
		body, done, err := ReadDelivery(req, resp, r)
		defer done()
		if err != nil {
			return err
		}
		return AnswerReceiver(req, resp, r.Deliver(req.Request.Context(), req.Request.Header, body))
	}
}

// ReadDelivery reads a body, which no filter has bounded. done is to be called when it is not used any more.
func ReadDelivery(req *restful.Request, resp *restful.Response, r *hook.Receiver) (body []byte, done func(), err error) {
	in := req.Request
	if in.ContentLength > hook.MaxBody {
		// The body is not read: the connection cannot be used again.
		resp.Header().Set("Connection", "close")
		return nil, func() {}, request.TooLarge(hook.MaxBody)
	}
	// Writers without a connection, as in tests, know no deadlines.
	_ = http.NewResponseController(resp.ResponseWriter).SetReadDeadline(time.Now().Add(readTimeout))
	body, done, err = r.Read(in.Context(), http.MaxBytesReader(resp.ResponseWriter, in.Body, hook.MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge), errors.Is(err, hook.ErrTooLarge):
		err = request.TooLarge(hook.MaxBody)
	case errors.Is(err, hook.ErrBusy):
		resp.Header().Set("Connection", "close")
		err = response.Unavailable("too many large events are being read; send it again later")
	case err != nil:
		err = apierrors.NewBadRequest("the body ended early")
	}
	return body, done, err
}

// AnswerReceiver answers a sender. Who knows no secret learns nothing of what there is.
func AnswerReceiver(req *restful.Request, resp *restful.Response, err error) error {
	authn.StripCredentials(req.Request.Header)
	switch {
	case err == nil:
		response.Write(resp.ResponseWriter, req.Request, http.StatusAccepted, response.Success())
		return nil
	case errors.Is(err, hook.ErrKnown):
		response.Write(resp.ResponseWriter, req.Request, http.StatusAccepted, response.Message{Message: err.Error()})
		return nil
	case errors.Is(err, hook.ErrUnsigned):
		return response.Unauthorized("the request has no signature or token: set the secret of the webhook, the one of --scm-webhook-secret-file or one of your project's")
	case errors.Is(err, hook.ErrSignature):
		return response.Unauthorized("the signature or token of the request does not fit: set the secret of the webhook, the one of --scm-webhook-secret-file or one of your project's")
	case errors.Is(err, hook.ErrMalformed):
		return apierrors.NewBadRequest(err.Error())
	case errors.Is(err, hook.ErrBusy):
		return response.Unavailable(hook.ErrBusy.Error())
	}
	return err
}
