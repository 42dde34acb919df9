// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitrepository

import (
	"net/http"

	"github.com/emicklei/go-restful/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
)

const (
	mimeBytes     = "application/octet-stream"
	mimeMultipart = "multipart/form-data"
)

// Parameters of paths and queries.
const (
	paramBranch = "branch"
	paramCommit = "commit"
	paramFile   = "file"
)

// AddFileRoutes adds the routes of a repository's files, of one family of paths.
func AddFileRoutes(ws *restful.WebService, h *Files, family crud.Family) {
	r := fileRoutes{ws: ws, h: h, docs: family.Docs(ws, crud.Docs{
		Path: "/" + devopsv1alpha3.GitRepositoryResource + "/{" + crud.ParamName + "}", Tag: "Git repository files",
	})}
	r.docs.Params = append(r.docs.Params, ws.PathParameter(crud.ParamName, "name of the git repository"))
	r.config()
	r.branches()
	r.commits()
	r.contents()
	r.changes()
}

type fileRoutes struct {
	ws   *restful.WebService
	h    *Files
	docs crud.Docs
}

// reads and writes finish a route: reading needs the right to get the repository, everything else that to update it.
func (r fileRoutes) reads(path, operation string, h kapis.Handler) *restful.RouteBuilder {
	return r.finish(r.ws.GET(r.docs.Path+path), operation, "get", h)
}

func (r fileRoutes) finish(route *restful.RouteBuilder, operation, verb string, h kapis.Handler) *restful.RouteBuilder {
	a := kapis.Access{Verb: verb, Group: devopsv1alpha3.GroupName, Resource: devopsv1alpha3.GitRepositoryResource}
	return r.docs.Finish(route, a).Operation(operation+r.docs.Suffix).To(kapis.Handle(h)).
		Returns(http.StatusNotFound, "There is no such repository, branch, commit or file", metav1.Status{}).
		Returns(http.StatusRequestEntityTooLarge, "A file or the repository is too large", metav1.Status{}).
		Returns(http.StatusBadGateway, "The git server cannot be reached or failed", metav1.Status{})
}

func (r fileRoutes) branch() *restful.Parameter {
	return r.ws.PathParameter(paramBranch, "name of the branch; a slash in it is encoded as %2F or %252F")
}

func (r fileRoutes) commit() *restful.Parameter {
	return r.ws.PathParameter(paramCommit, "commit, in 40 hexadecimal digits")
}

func (r fileRoutes) file() *restful.Parameter {
	return r.ws.PathParameter(paramFile, "path of the file in base64, in the URL-safe or the standard alphabet")
}

func (r fileRoutes) page(route *restful.RouteBuilder) *restful.RouteBuilder {
	return route.
		Param(r.ws.QueryParameter("page", "page, from 1").DataType("integer").DefaultValue("1")).
		Param(r.ws.QueryParameter("limit", "items a page, at most 1000").DataType("integer").DefaultValue("20"))
}

func (r fileRoutes) config() {
	r.ws.Route(r.reads("/configs/default", "getGitConfig", r.h.GetConfig).
		Doc("Read who commits are by").
		Returns(http.StatusOK, "OK", ConfigBody{}))
	r.ws.Route(r.finish(r.ws.PUT(r.docs.Path+"/configs/default"), "updateGitConfig", "update", r.h.UpdateConfig).
		Doc("Set who commits are by").
		Notes("It is kept in the annotations "+devopsv1alpha3.GitAuthorNameAnnotation+" and "+devopsv1alpha3.GitAuthorEmailAnnotation+
			" of the repository; without a name it is the user.").
		Consumes(restful.MIME_JSON).
		Reads(ConfigBody{}).
		Returns(http.StatusOK, "OK", ConfigBody{}).
		Returns(http.StatusConflict, "The repository was changed at the same time", metav1.Status{}))
}

func (r fileRoutes) branches() {
	ws := r.ws
	r.ws.Route(r.page(r.reads("/branches", "listGitBranches", r.h.ListBranches)).
		Doc("List the branches").
		Param(ws.QueryParameter("withHead", "the default branch comes first, as HEAD").DataType("boolean").DefaultValue("false")).
		Returns(http.StatusOK, "OK", List[BranchInfo]{}))
	r.ws.Route(r.reads("/branches/{"+paramBranch+"}", "getGitBranch", r.h.GetBranch).
		Doc("Read a branch").
		Param(r.branch()).
		Returns(http.StatusOK, "OK", BranchInfo{}))
	r.ws.Route(r.finish(ws.POST(r.docs.Path+"/branches/{"+paramBranch+"}/checkouts"), "checkoutGitBranch", "update", r.h.Checkout).
		Doc("Make a branch on the server").
		Notes("A branch that exists stays as it is. One that does not is made where the body's from is: a branch, a tag or a commit; "+
			"without from that is 404.").
		Consumes(restful.MIME_JSON, "*/*").
		Param(r.branch()).
		Reads(CheckoutBody{}).
		Returns(http.StatusOK, "OK", BranchInfo{}))
	r.ws.Route(r.finish(ws.POST(r.docs.Path+"/branches/{"+paramBranch+"}/pulls"), "pullGitBranch", "update", r.h.Pull).
		Doc("Fetch a branch now").
		Notes("Every read asks the server for the branch; this only makes the next one quicker.").
		Consumes(restful.MIME_JSON, "*/*").
		Param(r.branch()).
		Returns(http.StatusOK, "OK", Empty{}))
}

func (r fileRoutes) commits() {
	r.ws.Route(r.page(r.reads("/branches/{"+paramBranch+"}/commits", "listGitCommits", r.h.ListCommits)).
		Doc("List the commits of a branch, newest first").
		Notes("At most the newest 20000 commits are looked at.").
		Param(r.branch()).
		Param(r.ws.QueryParameter(paramFile, "path of a file or folder: only commits that changed it")).
		Returns(http.StatusOK, "OK", List[CommitInfo]{}))
	r.ws.Route(r.reads("/commits/{"+paramCommit+"}", "getGitCommit", r.h.GetCommit).
		Doc("Read a commit").
		Param(r.commit()).
		Returns(http.StatusOK, "OK", Commit{}))
}

func (r fileRoutes) contents() {
	content := r.ws.QueryParameter("withContent", "give the content, too, in base64").DataType("boolean").DefaultValue("false")
	r.ws.Route(r.page(r.reads("/branches/{"+paramBranch+"}/files", "listGitFiles", r.h.ListFiles)).
		Doc("List the files of a folder").
		Notes("The first item is the folder itself. Without page and limit all files come at once.").
		Param(r.branch()).
		Param(r.ws.QueryParameter(paramFile, "path of the folder, / is the root").DefaultValue("/")).
		Param(content).
		Param(r.ws.QueryParameter("withLastCommit", "give the commit that changed each file last, too").DataType("boolean").DefaultValue("false")).
		Returns(http.StatusOK, "OK", List[FileInfo]{}))
	for _, at := range []struct {
		path, name string
		param      *restful.Parameter
	}{
		{"/branches/{" + paramBranch + "}", "OfBranch", r.branch()}, {"/commits/{" + paramCommit + "}", "OfCommit", r.commit()},
	} {
		r.ws.Route(r.reads(at.path+"/files/{"+paramFile+"}", "getGitFile"+at.name, r.h.GetFile).
			Doc("Read a file").
			Notes("Links are not followed: their content is what they lead to.").
			Param(at.param).Param(r.file()).Param(content).
			Returns(http.StatusOK, "OK", FileInfo{}))
		r.ws.Route(r.reads(at.path+"/rawfiles/{"+paramFile+"}", "downloadGitFile"+at.name, r.h.Download).
			Doc("Download a file").
			Produces(mimeBytes, restful.MIME_JSON).
			Param(at.param).Param(r.file()).
			Returns(http.StatusOK, "The content", ""))
	}
}

func (r fileRoutes) changes() {
	ws := r.ws
	files := r.docs.Path + "/branches/{" + paramBranch + "}/files"
	conflict := "Somebody changed the file meanwhile, or it exists already"
	r.ws.Route(r.finish(ws.POST(files), "commitGitFiles", "update", r.h.AddFiles).
		Doc("Commit files to a branch").
		Notes("One commit is made and sent to the server at once. If the branch moves meanwhile it is made again on top, unless somebody "+
			"changed the same files. With uploaded the contents are what was sent to uploads before; with unpack the first file is a tar "+
			"archive with gzip that is unpacked into the folder of its name.").
		Consumes(restful.MIME_JSON).
		Param(r.branch()).
		Reads(AddFilesBody{}).
		Returns(http.StatusOK, "OK", CommitInfo{}).
		Returns(http.StatusConflict, conflict, metav1.Status{}))
	r.ws.Route(r.finish(ws.DELETE(files), "deleteGitFiles", "update", r.h.DeleteFiles).
		Doc("Delete files of a branch").
		Param(r.branch()).
		Param(ws.QueryParameter(paramFile, "path of a file or folder").AllowMultiple(true).Required(true)).
		Param(ws.QueryParameter("message", "message of the commit").Required(true)).
		Param(ws.QueryParameter(paramCommit, "commit that the files were seen at; one that has changed since is a conflict")).
		Returns(http.StatusOK, "OK", CommitInfo{}).
		Returns(http.StatusConflict, conflict, metav1.Status{}))
	r.ws.Route(r.finish(ws.POST(r.docs.Path+"/uploads"), "uploadGitFiles", "update", r.h.Upload).
		Doc("Send files that are committed later").
		Notes("At most ten, file0 to file9, each of at most 10 MiB, with their paths in file0_name to file9_name. They are kept for an hour, "+
			"for the user who sent them.").
		Consumes(mimeMultipart).
		Param(ws.FormParameter("file0", "a file").DataType("file").Required(true)).
		Param(ws.FormParameter("file0_name", "its path in the repository").Required(true)).
		Returns(http.StatusOK, "OK", Empty{}))
}
