// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package s2ibinary takes and gives the files of S2iBinaries, which are kept in the object store.
package s2ibinary

import (
	"net/http"

	"github.com/emicklei/go-restful/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha1 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha1"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
)

const (
	mimeBytes     = "application/octet-stream"
	mimeMultipart = "multipart/form-data"
)

// paramFile is the name of the file in the address.
const paramFile = "file"

// AddRoutes adds the routes of one family of paths.
func AddRoutes(ws *restful.WebService, h *Handler, family crud.Family) {
	docs := family.Docs(ws, crud.Docs{Tag: "S2i binaries"})
	docs.Params = append(docs.Params, ws.PathParameter(crud.ParamName, "name of the binary"))
	path := docs.Path + "/" + devopsv1alpha1.S2iBinaryResource + "/{" + crud.ParamName + "}/file"
	access := func(verb string) kapis.Access {
		return kapis.Access{Verb: verb, Group: devopsv1alpha1.GroupName, Resource: devopsv1alpha1.S2iBinaryResource}
	}
	ws.Route(docs.Finish(ws.PUT(path), access("update")).To(kapis.Handle(h.Upload)).
		Operation("uploadS2iBinary"+docs.Suffix).
		Doc("Send the file of a binary").
		Notes("The binary must exist. A file that it has is replaced when the new one is there as a whole. With md5 the content is checked; "+
			"the field may be before or behind the file.").
		Consumes(mimeMultipart).
		Param(ws.FormParameter(fieldFile, "the file").DataType("file").Required(true)).
		Param(ws.FormParameter(fieldMD5, "MD5 of the content, in hexadecimal digits")).
		Returns(http.StatusOK, "OK", devopsv1alpha1.S2iBinary{}).
		Returns(http.StatusNotFound, "There is no binary of this name", metav1.Status{}).
		Returns(http.StatusConflict, "Another upload is under way", metav1.Status{}).
		Returns(http.StatusRequestEntityTooLarge, "The file is too large", metav1.Status{}))
	ws.Route(docs.Finish(ws.GET(path+"/{"+paramFile+"}"), access("get")).To(kapis.Handle(h.Download)).
		Operation("downloadS2iBinary"+docs.Suffix).
		Doc("Download the file of a binary").
		Notes("The answer leads to the object store, or is the file where that cannot be reached from outside.").
		Produces(mimeBytes, restful.MIME_JSON).
		Param(ws.PathParameter(paramFile, "name of the file, spec.fileName")).
		Returns(http.StatusOK, "The content", "").
		Returns(http.StatusFound, "The address of the content, valid for some minutes", nil).
		Returns(http.StatusNotFound, "There is no such file", metav1.Status{}).
		Returns(http.StatusConflict, "The file is not there yet, or its upload failed", metav1.Status{}))
}
