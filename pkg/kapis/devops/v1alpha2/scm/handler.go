// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package scm serves source code servers to clients of the older API, and the list of servers.
//
// What was Jenkins' own store of credentials is the Secrets of projects here: credentialId is the name of
// one, and secretNamespace says in which project.
package scm

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"

	"github.com/emicklei/go-restful/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis"
	v3 "github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/scm"
	"github.com/slipway-dev/slipway/pkg/scm"
)

// Deps is what the routes need.
type Deps struct {
	v3.Deps
	// Servers knows the servers.
	Servers *scm.Directory
}

// Server is a source code server, in the form of Jenkins' Blue Ocean.
type Server struct {
	// ID is the server's name.
	ID string `json:"id"`
	// Name is its name.
	Name string `json:"name"`
	// APIURL is the address of its pages.
	APIURL string `json:"apiUrl"`
}

// NewServer is a server to add.
type NewServer struct {
	// Name is what it is to be called.
	Name string `json:"name"`
	// APIURL is the address of its pages or of its API.
	APIURL string `json:"apiUrl"`
}

// Organization is what repositories belong to.
type Organization struct {
	// Name is what the route of repositories takes.
	Name string `json:"name"`
	// Key is the same; it is for clients of Bitbucket Server.
	Key string `json:"key"`
	// DisplayName is for people.
	DisplayName string `json:"displayName,omitempty"`
	// Avatar is the address of a picture.
	Avatar string `json:"avatar"`
}

// Repositories is a page of repositories.
type Repositories struct {
	Repositories RepositoryPage `json:"repositories"`
}

// RepositoryPage is a page of repositories.
type RepositoryPage struct {
	Items []Repository `json:"items"`
	// PageSize is how many were asked for.
	PageSize int `json:"pageSize"`
	// NextPage is null on the last page.
	NextPage *int `json:"nextPage"`
}

// Repository is a repository on a server.
type Repository struct {
	Name          string `json:"name"`
	FullName      string `json:"fullName"`
	DefaultBranch string `json:"defaultBranch"`
	Private       bool   `json:"private"`
}

// Credential is what is to be verified: a Secret, or the values themselves, which are not stored.
type Credential struct {
	// AccessToken is a token.
	AccessToken string `json:"accessToken,omitempty"`
	// UserName and Password are a user's name, and password or token.
	UserName string `json:"userName,omitempty"`
	Password string `json:"password,omitempty"`
	// APIURL is the address of the server, if the query does not give it.
	APIURL string `json:"apiUrl,omitempty"`
	// CredentialID is the name of a Secret, if the query does not give it.
	CredentialID string `json:"credentialId,omitempty"`
}

// Verified is the answer for a credential that is good.
type Verified struct {
	// CredentialID is the name of the Secret; empty for values, which are not stored.
	CredentialID string `json:"credentialId"`
}

type handler struct{ deps Deps }

const (
	paramSCM             = "scm"
	queryCredential      = "credentialId"
	queryCredentialSpace = "credentialNamespace"
	queryAPIURL          = "apiUrl"
)

// translate gives a query as the newer API has it.
func translate(query url.Values) (url.Values, error) {
	out := url.Values{}
	for name, values := range query {
		out[name] = values
	}
	set := func(name string, values ...string) {
		if value := cmp.Or(values...); value != "" {
			out.Set(name, value)
		}
	}
	set(v3.QuerySecret, query.Get(v3.QuerySecret), query.Get(queryCredential))
	set(v3.QuerySecretNamespace, query.Get(v3.QuerySecretNamespace), query.Get(queryCredentialSpace))
	set(v3.QueryServer, query.Get(v3.QueryServer), query.Get(queryAPIURL))
	if out.Get(v3.QuerySecret) != "" && out.Get(v3.QuerySecretNamespace) == "" {
		return nil, apierrors.NewBadRequest("credentialId is the name of a Secret here: say in which project it is, secretNamespace=")
	}
	return out, nil
}

func (h *handler) connect(req *restful.Request) (scm.Client, url.Values, error) {
	query, err := translate(req.Request.URL.Query())
	if err != nil {
		return nil, nil, err
	}
	choice, err := v3.ChoiceOf(req.PathParameter(paramSCM), query)
	if err != nil {
		return nil, nil, err
	}
	c, err := v3.Connect(req.Request.Context(), h.deps.Deps, choice)
	return c, query, v3.Answer(err)
}

// servers lists the servers of a kind.
func (h *handler) servers(req *restful.Request, resp *restful.Response) error {
	provider, err := scm.ParseProvider(req.PathParameter(paramSCM))
	if err != nil {
		return v3.Answer(err)
	}
	list, err := h.deps.Servers.List(req.Request.Context(), provider)
	if err != nil {
		return v3.Answer(err)
	}
	out := make([]Server, 0, len(list))
	for _, s := range list {
		out = append(out, Server{ID: s.Name, Name: s.Name, APIURL: s.URL})
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, out)
	return nil
}

// addServer adds a server, by the user's right to write the ConfigMap with the list.
func (h *handler) addServer(req *restful.Request, resp *restful.Response) error {
	var sent NewServer
	if err := request.DecodeJSON(req.Request, &sent); err != nil {
		return err
	}
	ctx := req.Request.Context()
	c, _, err := kapis.ClientFor(ctx, h.deps.Clients)
	if err != nil {
		return err
	}
	s, err := h.deps.Servers.Add(ctx, c, scm.Server{Name: sent.Name, Provider: scm.Provider(req.PathParameter(paramSCM)), URL: sent.APIURL})
	if err != nil {
		return v3.Answer(err)
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, Server{ID: s.Name, Name: s.Name, APIURL: s.URL})
	return nil
}

func (h *handler) organizations(req *restful.Request, resp *restful.Response) error {
	c, query, err := h.connect(req)
	if err != nil {
		return err
	}
	// Blue Ocean lists the user among the organizations.
	if query.Get("includeUser") == "" {
		query.Set("includeUser", "true")
	}
	found, err := v3.Organizations(req.Request.Context(), c, query)
	if err != nil {
		return v3.Answer(err)
	}
	out := make([]Organization, 0, len(found))
	for _, o := range found {
		out = append(out, Organization{Name: o.Name, Key: o.Name, DisplayName: o.DisplayName, Avatar: o.Avatar})
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, out)
	return nil
}

func (h *handler) repositories(req *restful.Request, resp *restful.Response) error {
	c, query, err := h.connect(req)
	if err != nil {
		return err
	}
	organization, err := v3.OrganizationOf(req)
	if err != nil {
		return err
	}
	page, _, err := v3.PageOf(query)
	if err != nil {
		return err
	}
	page.Number, page.Size = max(page.Number, 1), min(cmp.Or(page.Size, scm.DefaultPageSize), scm.MaxPageSize)
	found, err := c.Repositories(req.Request.Context(), organization, page)
	if err != nil {
		return v3.Answer(err)
	}
	out := RepositoryPage{Items: make([]Repository, 0, len(found)), PageSize: page.Size}
	for _, r := range found {
		out.Items = append(out.Items, Repository{Name: r.Name, FullName: r.FullName, DefaultBranch: r.DefaultBranch, Private: r.Private})
	}
	if len(found) == page.Size {
		next := page.Number + 1
		out.NextPage = &next
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, Repositories{out})
	return nil
}

// verify tells if a credential is good. Consoles know 428 as the answer for one that is not.
func (h *handler) verify(req *restful.Request, resp *restful.Response) error {
	var sent Credential
	if err := request.DecodeOptionalJSON(req.Request, &sent); err != nil {
		return err
	}
	query := req.Request.URL.Query()
	if query.Get(queryCredential) == "" && query.Get(v3.QuerySecret) == "" && sent.CredentialID != "" {
		query.Set(queryCredential, sent.CredentialID)
	}
	if query.Get(v3.QueryServer) == "" && query.Get(queryAPIURL) == "" && sent.APIURL != "" {
		query.Set(v3.QueryServer, sent.APIURL)
	}
	query, err := translate(query)
	if err != nil {
		return err
	}
	choice, err := v3.ChoiceOf(req.PathParameter(paramSCM), query)
	if err != nil {
		return err
	}
	c, err := h.client(req, choice, sent)
	if err != nil {
		return v3.Answer(err)
	}
	if _, err := c.Verify(req.Request.Context()); err != nil {
		if errors.Is(err, scm.NoRight) {
			return response.NewStatus(http.StatusPreconditionRequired, metav1.StatusReason(scm.NoRight), err.Error())
		}
		return v3.Answer(err)
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, Verified{CredentialID: choice.Secret.Name})
	return nil
}

// client makes the client of what is to be verified: values that are given win over a Secret.
func (h *handler) client(req *restful.Request, choice v3.Choice, sent Credential) (scm.Client, error) {
	if sent.AccessToken == "" && sent.Password == "" {
		return v3.Connect(req.Request.Context(), h.deps.Deps, choice)
	}
	provider, err := scm.ParseProvider(choice.Provider)
	if err != nil {
		return nil, err
	}
	return h.deps.Factory.Client(scm.Options{
		Provider: provider, Server: choice.Server, InsecureSkipTLS: choice.InsecureSkipTLS,
		Credential: scm.Credential{Token: sent.AccessToken, Username: sent.UserName, Password: sent.Password},
	})
}
