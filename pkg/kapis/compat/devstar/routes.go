// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devstar

import (
	"net/http"

	restfulspec "github.com/emicklei/go-restful-openapi/v2"
	"github.com/emicklei/go-restful/v3"
)

// Prefixes are the paths that belong to this face. Authentication and body errors below them are
// to be answered by WriteError.
var Prefixes = []string{"/api/devcontainer", "/api/devstar_ssh"}

var tags = []string{"DevStar"}

// Envelopes with typed data, for the API description.
type (
	// KeyPairEnvelope carries a key pair.
	KeyPairEnvelope struct {
		Code int     `json:"code"`
		Msg  string  `json:"msg"`
		Data KeyPair `json:"data"`
	}
	// DevContainerEnvelope carries a dev container.
	DevContainerEnvelope struct {
		Code int          `json:"code"`
		Msg  string       `json:"msg"`
		Data DevContainer `json:"data"`
	}
	// UserDevContainersEnvelope carries a page of dev containers.
	UserDevContainersEnvelope struct {
		Code int               `json:"code"`
		Msg  string            `json:"msg"`
		Data UserDevContainers `json:"data"`
	}
)

// WebServices gives the routes of the face.
func (h *Handler) WebServices() []*restful.WebService {
	keys := new(restful.WebService)
	keys.Path("/api/devstar_ssh").Produces(restful.MIME_JSON)
	keys.Route(keys.GET("/key_pair/new_temp").To(h.newKeyPair).
		Doc("Make a temporary SSH key pair").
		Notes("The private key is not kept: it is in this answer and nowhere else.").
		Operation("devstarNewKeyPair").
		Param(keys.QueryParameter("_", "any value, against caches").DataType("string")).
		Returns(http.StatusOK, "code 0, or 1 or 12001", KeyPairEnvelope{}).
		Metadata(restfulspec.KeyOpenAPITags, tags))

	containers := new(restful.WebService)
	containers.Path("/api/devcontainer").Produces(restful.MIME_JSON)
	containers.Route(containers.POST("").To(h.create).
		Consumes(restful.MIME_JSON).
		Doc("Create the caller's dev container of a repository").
		Notes("A second call adds the keys to the dev container that is there.").
		Operation("devstarCreateDevContainer").
		Reads(CreateRequest{}).
		Returns(http.StatusOK, "code 0, or 1, 11002 or 11003", Envelope{}).
		Metadata(restfulspec.KeyOpenAPITags, tags))
	containers.Route(containers.GET("").To(h.open).
		Doc("Read how to connect to the caller's dev container of a repository").
		Operation("devstarOpenDevContainer").
		Param(containers.QueryParameter("repoId", "number of the repository").Required(true)).
		Param(containers.QueryParameter("wait", "wait until it is ready").DataType("boolean").DefaultValue("false")).
		Param(containers.QueryParameter("_", "any value, against caches").DataType("string")).
		Returns(http.StatusOK, "code 0, or 1, 11002 or 11004", DevContainerEnvelope{}).
		Metadata(restfulspec.KeyOpenAPITags, tags))
	containers.Route(containers.GET("/user").To(h.list).
		Doc("List the caller's dev containers").
		Operation("devstarListDevContainers").
		Param(containers.QueryParameter("page", "page, from 1").DataType("integer").DefaultValue("1")).
		Param(containers.QueryParameter("page_size", "dev containers a page").DataType("integer")).
		Param(containers.QueryParameter("_", "any value, against caches").DataType("string")).
		Returns(http.StatusOK, "code 0, or 1, 11002 or 11006", UserDevContainersEnvelope{}).
		Metadata(restfulspec.KeyOpenAPITags, tags))
	containers.Route(containers.DELETE("").To(h.remove).
		Doc("Delete the caller's dev container of a repository").
		Operation("devstarDeleteDevContainer").
		Param(containers.QueryParameter("repoId", "number of the repository").Required(true)).
		Returns(http.StatusOK, "code 0, or 1, 11002 or 11005", Envelope{}).
		Metadata(restfulspec.KeyOpenAPITags, tags))
	return []*restful.WebService{keys, containers}
}
