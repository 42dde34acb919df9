// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package scm serves what people choose a repository from: the organizations and repositories that a
// credential of theirs can see on a source code server.
//
// The routes are no resources. Whoever is logged in may ask; the Secrets with the credential and the
// authority's certificate are read as the user, so that nobody uses a credential that is not theirs.
package scm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/emicklei/go-restful/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/scm"
)

// Deps is what the routes need.
type Deps struct {
	// Clients gives clients that act as a user.
	Clients kapis.Clients
	// Factory makes clients of source code servers.
	Factory *scm.Factory
}

// The codes of a verification.
const (
	// CodeOK: the credential is good.
	CodeOK = 0
	// CodeClient: the server was not asked, as there is no usable credential or address.
	CodeClient = 100
	// CodeList: the server did not answer as it should.
	CodeList = 101
)

// Verification tells if a credential is good.
type Verification struct {
	// Message is ok, or what is wrong and what to do.
	Message string `json:"message"`
	// Code is 0 if the credential is good, 100 if it could not be tried, and 101 if the server does not take it.
	Code int `json:"code"`
	// CredentialID is the name of the Secret; empty unless the credential is good.
	CredentialID string `json:"credentialId,omitempty"`
}

// Organization is what repositories belong to.
type Organization struct {
	// Name is what the route of repositories takes.
	Name string `json:"name"`
	// Avatar is the address of a picture; it may be empty.
	Avatar string `json:"avatar"`
}

// Repositories is a page of repositories.
type Repositories struct {
	Repositories RepositoryPage `json:"repositories"`
}

// RepositoryPage is a page of repositories.
type RepositoryPage struct {
	Items []Repository `json:"items"`
}

// Repository is a repository on a server.
type Repository struct {
	// Name is the last part of its path.
	Name string `json:"name"`
	// DefaultBranch is empty where the server does not tell.
	DefaultBranch string `json:"defaultBranch"`
	// FullName is its whole path.
	FullName string `json:"fullName,omitempty"`
}

// Names of the query.
const (
	QueryServer          = "server"
	QuerySecret          = "secret"
	QuerySecretNamespace = "secretNamespace"
	queryInsecure        = "insecureSkipTLS"
	queryCAName          = "caName"
	queryCANamespace     = "caNamespace"
	QueryPageNumber      = "pageNumber"
	QueryPageSize        = "pageSize"
)

// Choice says which server is asked, with what.
type Choice struct {
	// Provider is the kind of server as the path names it.
	Provider string
	// Server is its address; empty for the public one.
	Server string
	// Secret holds the credential; without a name there is none.
	Secret client.ObjectKey
	// CA names a Secret or ConfigMap with the certificate of an authority; without a name there is none.
	CA client.ObjectKey
	// InsecureSkipTLS turns the check of the server's certificate off.
	InsecureSkipTLS bool
}

// ChoiceOf reads a choice from a request.
func ChoiceOf(provider string, query url.Values) (Choice, error) {
	c := Choice{
		Provider: provider, Server: query.Get(QueryServer),
		Secret: client.ObjectKey{Namespace: query.Get(QuerySecretNamespace), Name: query.Get(QuerySecret)},
		CA:     client.ObjectKey{Namespace: query.Get(queryCANamespace), Name: query.Get(queryCAName)},
	}
	if text := query.Get(queryInsecure); text != "" {
		insecure, err := strconv.ParseBool(text)
		if err != nil {
			return c, apierrors.NewBadRequest("insecureSkipTLS must be true or false")
		}
		c.InsecureSkipTLS = insecure
	}
	if c.Secret.Name != "" && c.Secret.Namespace == "" {
		return c, apierrors.NewBadRequest("give the namespace of the Secret, too: secretNamespace=")
	}
	if c.CA.Name != "" && c.CA.Namespace == "" {
		c.CA.Namespace = c.Secret.Namespace
		if c.CA.Namespace == "" {
			return c, apierrors.NewBadRequest("give the namespace of the authority's certificate, too: caNamespace=")
		}
	}
	return c, nil
}

// Connect makes the client that was chosen. Secrets and ConfigMaps are read as the user of the request.
func Connect(ctx context.Context, deps Deps, c Choice) (scm.Client, error) {
	provider, err := scm.ParseProvider(c.Provider)
	if err != nil {
		return nil, err
	}
	o := scm.Options{Provider: provider, Server: c.Server, InsecureSkipTLS: c.InsecureSkipTLS}
	if c.Secret.Name != "" || c.CA.Name != "" {
		user, _, err := kapis.ClientFor(ctx, deps.Clients)
		if err != nil {
			return nil, err
		}
		if o.Credential, err = credentialOf(ctx, user, c.Secret); err != nil {
			return nil, err
		}
		if o.CA, err = authorityOf(ctx, user, c.CA); err != nil {
			return nil, err
		}
	}
	return deps.Factory.Client(o)
}

func credentialOf(ctx context.Context, c client.Reader, key client.ObjectKey) (scm.Credential, error) {
	if key.Name == "" {
		return scm.Credential{}, nil
	}
	secret := &corev1.Secret{}
	if err := c.Get(ctx, key, secret); err != nil {
		return scm.Credential{}, err
	}
	return scm.CredentialOf(secret)
}

// authorityKeys are where the certificate of an authority is looked for.
var authorityKeys = []string{"ca.crt", "ca.pem", "tls.crt", "caFile", "ca"}

// authorityOf reads the certificate of an authority from a ConfigMap or, if there is none of the name, a
// Secret.
func authorityOf(ctx context.Context, c client.Reader, key client.ObjectKey) ([]byte, error) {
	if key.Name == "" {
		return nil, nil
	}
	data := map[string][]byte{}
	cm, secret := &corev1.ConfigMap{}, &corev1.Secret{}
	err := c.Get(ctx, key, cm)
	switch {
	case err == nil:
		for name, value := range cm.Data {
			data[name] = []byte(value)
		}
	case apierrors.IsNotFound(err) || apierrors.IsForbidden(err):
		if err := c.Get(ctx, key, secret); err != nil {
			return nil, err
		}
		data = secret.Data
	default:
		return nil, err
	}
	for _, name := range authorityKeys {
		if value := data[name]; len(value) > 0 {
			return value, nil
		}
	}
	return nil, apierrors.NewBadRequest(fmt.Sprintf("%q has no certificate of an authority; its key must be ca.crt", key.Name))
}

// statuses are the answers to failures of servers. None is 401: the user's own token is good.
var statuses = map[scm.Reason]struct {
	code   int
	reason metav1.StatusReason
}{
	scm.Invalid: {http.StatusBadRequest, metav1.StatusReasonBadRequest}, scm.Refused: {http.StatusBadRequest, metav1.StatusReasonBadRequest},
	scm.Unsupported: {http.StatusBadRequest, metav1.StatusReasonBadRequest}, scm.BadCredential: {http.StatusPreconditionRequired, "BadCredential"},
	scm.NoRight: {http.StatusForbidden, metav1.StatusReasonForbidden}, scm.NotFound: {http.StatusNotFound, metav1.StatusReasonNotFound},
	scm.RateLimited: {http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests}, scm.Conflict: {http.StatusConflict, metav1.StatusReasonConflict},
	scm.NoServer: {http.StatusBadGateway, response.ReasonBadGateway}, scm.BadTLS: {http.StatusBadGateway, response.ReasonBadGateway},
	scm.ServerError: {http.StatusBadGateway, response.ReasonBadGateway},
}

// Answer turns a failure of a server into what the user is told. Others stay as they are.
func Answer(err error) error {
	var e *scm.Error
	if !errors.As(err, &e) {
		return err
	}
	status, ok := statuses[e.Reason]
	if !ok {
		return err
	}
	out := response.NewStatus(status.code, status.reason, e.Message)
	if e.RetryAfter > 0 {
		out.ErrStatus.Details = &metav1.StatusDetails{RetryAfterSeconds: int32(e.RetryAfter.Seconds())}
	}
	return out
}

type handler struct{ deps Deps }

const paramSCM, paramOrganization = "scm", "organization"

func (h *handler) connect(req *restful.Request) (scm.Client, Choice, error) {
	choice, err := ChoiceOf(req.PathParameter(paramSCM), req.Request.URL.Query())
	if err != nil {
		return nil, choice, err
	}
	c, err := Connect(req.Request.Context(), h.deps, choice)
	return c, choice, err
}

// verify tells if a credential is good. That it is not is no failure of the request.
func (h *handler) verify(req *restful.Request, resp *restful.Response) error {
	result := Verification{Message: "ok"}
	c, choice, err := h.connect(req)
	if err != nil {
		result.Code = CodeClient
	} else if _, err = c.Verify(req.Request.Context()); err != nil {
		result.Code = CodeList
	}
	if err != nil {
		// The writer of errors knows what may be told.
		result.Message = response.StatusOf(Answer(err)).Message
	} else {
		result.CredentialID = choice.Secret.Name
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, result)
	return nil
}

// PageOf reads a page; without a number all is wanted.
func PageOf(query url.Values) (page scm.Page, given bool, err error) {
	for name, into := range map[string]*int{QueryPageNumber: &page.Number, QueryPageSize: &page.Size} {
		text := query.Get(name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 1_000_000 {
			return page, false, apierrors.NewBadRequest(name + " must be a number from 1 on")
		}
		*into = n
	}
	return page, page.Number > 0, nil
}

// Organizations asks for organizations, all of them or a page.
func Organizations(ctx context.Context, c scm.Client, query url.Values) ([]scm.Organization, error) {
	page, given, err := PageOf(query)
	if err != nil {
		return nil, err
	}
	includeUser, _ := strconv.ParseBool(query.Get("includeUser"))
	found, err := c.Organizations(ctx, includeUser)
	if err != nil || !given {
		return found, err
	}
	if page.Size == 0 {
		page.Size = scm.DefaultPageSize
	}
	start := min((page.Number-1)*page.Size, len(found))
	return found[start:min(start+page.Size, len(found))], nil
}

func (h *handler) organizations(req *restful.Request, resp *restful.Response) error {
	c, _, err := h.connect(req)
	if err != nil {
		return Answer(err)
	}
	found, err := Organizations(req.Request.Context(), c, req.Request.URL.Query())
	if err != nil {
		return Answer(err)
	}
	out := make([]Organization, 0, len(found))
	for _, o := range found {
		out = append(out, Organization{Name: o.Name, Avatar: o.Avatar})
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, out)
	return nil
}

// OrganizationOf gives the organization of a path. Names with slashes come encoded.
func OrganizationOf(req *restful.Request) (string, error) {
	name, err := url.PathUnescape(req.PathParameter(paramOrganization))
	if err != nil {
		return "", apierrors.NewBadRequest("the name of the organization is not encoded as a part of an address")
	}
	return name, nil
}

func (h *handler) repositories(req *restful.Request, resp *restful.Response) error {
	c, _, err := h.connect(req)
	if err != nil {
		return Answer(err)
	}
	organization, err := OrganizationOf(req)
	if err != nil {
		return err
	}
	page, _, err := PageOf(req.Request.URL.Query())
	if err != nil {
		return err
	}
	found, err := c.Repositories(req.Request.Context(), organization, page)
	if err != nil {
		return Answer(err)
	}
	out := Repositories{Repositories: RepositoryPage{Items: make([]Repository, 0, len(found))}}
	for _, r := range found {
		out.Repositories.Items = append(out.Repositories.Items, Repository{Name: r.Name, DefaultBranch: r.DefaultBranch, FullName: r.FullName})
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, out)
	return nil
}
