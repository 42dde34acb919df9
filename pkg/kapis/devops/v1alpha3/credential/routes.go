// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"net/http"

	"github.com/emicklei/go-restful/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
)

const masked = "Values are never shown: each key is there with an empty value. Besides the right on credentials the user needs the same right on Secrets of the namespace."

// AddRoutes adds the routes of one family of paths.
func AddRoutes(ws *restful.WebService, deps crud.Deps, j Jenkins, family crud.Family) {
	h, docs := New(deps, j), family.Docs(ws, crud.Docs{Tag: "Credentials"})
	collection := docs.Path + "/" + resource
	object := collection + "/{" + crud.ParamName + "}"
	name := ws.PathParameter(crud.ParamName, "name of the credential: the id that Jenkinsfiles use")
	finish := func(route *restful.RouteBuilder, verb, subresource, operation string) *restful.RouteBuilder {
		access := kapis.Access{Verb: verb, Group: devopsv1alpha3.GroupName, Resource: resource, Subresource: subresource}
		return docs.Finish(route, access).Operation(operation + docs.Suffix)
	}
	missing := func(route *restful.RouteBuilder) *restful.RouteBuilder {
		return route.Param(name).Returns(http.StatusNotFound, "There is no credential of this name", metav1.Status{})
	}

	ws.Route(crud.ListParams(ws, finish(ws.GET(collection), "list", "", "listCredential")).To(kapis.Handle(h.List)).
		Doc("List credentials").
		Notes(masked+" They cannot be watched.").
		Param(ws.QueryParameter("type", "only those of a type: basic-auth, ssh-auth, secret-text or kubeconfig, with or without credential.devops.kubesphere.io/ before it")).
		Returns(http.StatusOK, "OK", response.List[corev1.Secret]{}))
	ws.Route(finish(ws.POST(collection), "create", "", "createCredential").To(kapis.Handle(h.Create)).
		Doc("Create a credential").
		Notes("The type is credential.devops.kubesphere.io/ and basic-auth (keys username, password), ssh-auth (username, private_key, passphrase), "+
			"secret-text (secret) or kubeconfig (content). "+masked).
		Consumes(restful.MIME_JSON).
		Reads(corev1.Secret{}).
		Returns(http.StatusCreated, "Created", corev1.Secret{}).
		Returns(http.StatusConflict, "The name is taken", metav1.Status{}).
		Returns(http.StatusUnprocessableEntity, "A key is missing or its value cannot be used; the message says which", metav1.Status{}))
	ws.Route(missing(finish(ws.GET(object), "get", "", "getCredential")).To(kapis.Handle(h.Get)).
		Doc("Read a credential").
		Notes(masked+" The annotations credential.devops.kubesphere.io/syncstatus and syncmsg tell whether Jenkins has it.").
		Returns(http.StatusOK, "OK", corev1.Secret{}))
	ws.Route(missing(finish(ws.PUT(object), "update", "", "updateCredential")).To(kapis.Handle(h.Update)).
		Doc("Change a credential").
		Notes("A key with an empty value keeps what is stored, so that what was read can be sent back. A key that is left out is removed, unless the type "+
			"needs it; without any data nothing of it changes. metadata.resourceVersion may be left out.").
		Consumes(restful.MIME_JSON).
		Reads(corev1.Secret{}).
		Returns(http.StatusOK, "OK", corev1.Secret{}).
		Returns(http.StatusConflict, "It was changed since it was read", metav1.Status{}).
		Returns(http.StatusUnprocessableEntity, "A value cannot be used; the message says which", metav1.Status{}))
	ws.Route(missing(finish(ws.DELETE(object), "delete", "", "deleteCredential")).To(kapis.Handle(h.Delete)).
		Doc("Delete a credential").
		Returns(http.StatusOK, "OK", response.Message{}))
	AddUsageRoute(ws, h, docs)
}

// AddUsageRoute adds the route that tells of the use of credentials; docs are those of the namespace.
func AddUsageRoute(ws *restful.WebService, h *Handler, docs crud.Docs) {
	access := kapis.Access{Verb: "get", Group: devopsv1alpha3.GroupName, Resource: resource, Subresource: "usage"}
	ws.Route(docs.Finish(ws.GET(docs.Path+"/"+resource+"/{"+crud.ParamName+"}/usage"), access).To(kapis.Handle(h.Usage)).
		Operation("getCredentialUsage"+docs.Suffix).
		Doc("Tell which builds used a credential").
		Notes("From Jenkins. Without a fingerprint no build has used it yet, or Jenkins does not have it yet.").
		Param(ws.PathParameter(crud.ParamName, "name of the credential: the id that Jenkinsfiles use")).
		Returns(http.StatusOK, "OK", Usage{}).
		Returns(http.StatusNotFound, "There is no credential of this name", metav1.Status{}))
}
