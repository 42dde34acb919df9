// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package scm

import (
	"cmp"
	"context"
	"net/url"
	"strconv"
	"strings"

	goscm "github.com/drone/go-scm/scm"
)

// The words for what is asked for, as they stand in messages.
const (
	askUser          = "tell who it is of"
	askOrganizations = "list organizations"
	askRepositories  = "list repositories"
)

func paging(size string, page, count int) url.Values {
	return url.Values{"page": {strconv.Itoa(page)}, size: {strconv.Itoa(count)}}
}

// linked tells by the header Link if there is another page.
func linked(resp *goscm.Response, page int) bool { return resp.Page.Next > page }

// githubDialect is https://docs.github.com/en/rest.
type githubDialect struct{}

type githubAccount struct {
	Login  string `json:"login"`
	Avatar string `json:"avatar_url"`
}

type githubRepository struct {
	Name          string `json:"name"`
	FullName      string `json:"full_name"`
	DefaultBranch string `json:"default_branch"`
	CloneURL      string `json:"clone_url"`
	HTMLURL       string `json:"html_url"`
	Private       bool   `json:"private"`
}

func githubRepositories(from []githubRepository) []Repository {
	items := make([]Repository, 0, len(from))
	for _, r := range from {
		items = append(items, Repository{Name: r.Name, FullName: r.FullName, DefaultBranch: r.DefaultBranch, CloneURL: r.CloneURL, WebURL: r.HTMLURL, Private: r.Private})
	}
	return items
}

func (githubDialect) pageSize() int { return 100 }

func (githubDialect) user(ctx context.Context, h *hosted) (User, error) {
	var u githubAccount
	_, err := h.call(ctx, askUser, "user", nil, &u)
	return User(u), err
}

func (githubDialect) organizations(ctx context.Context, h *hosted, page, size int) ([]Organization, bool, error) {
	var list []githubAccount
	resp, err := h.call(ctx, askOrganizations, "user/orgs", paging("per_page", page, size), &list)
	if err != nil {
		return nil, false, err
	}
	items := make([]Organization, 0, len(list))
	for _, o := range list {
		items = append(items, Organization{Name: o.Login, Avatar: o.Avatar})
	}
	return items, linked(resp, page), nil
}

func (githubDialect) list(ctx context.Context, h *hosted, path string, query url.Values, page int) ([]Repository, bool, error) {
	var list []githubRepository
	resp, err := h.call(ctx, askRepositories, path, query, &list)
	if err != nil {
		return nil, false, err
	}
	return githubRepositories(list), linked(resp, page), nil
}

func (d githubDialect) repositories(ctx context.Context, h *hosted, organization string, page, size int) ([]Repository, bool, error) {
	query := paging("per_page", page, size)
	query.Set("sort", "full_name")
	return d.list(ctx, h, "orgs/"+url.PathEscape(organization)+"/repos", query, page)
}

func (d githubDialect) own(ctx context.Context, h *hosted, _ string, page, size int) ([]Repository, bool, error) {
	query := paging("per_page", page, size)
	query.Set("affiliation", "owner")
	query.Set("sort", "full_name")
	return d.list(ctx, h, "user/repos", query, page)
}

// gitlabDialect is https://docs.gitlab.com/api.
type gitlabDialect struct{}

type gitlabProject struct {
	Path          string `json:"path"`
	FullPath      string `json:"path_with_namespace"`
	DefaultBranch string `json:"default_branch"`
	CloneURL      string `json:"http_url_to_repo"`
	WebURL        string `json:"web_url"`
	Visibility    string `json:"visibility"`
}

func (gitlabDialect) pageSize() int { return 100 }

func (gitlabDialect) user(ctx context.Context, h *hosted) (User, error) {
	var u struct {
		Username string `json:"username"`
		Avatar   string `json:"avatar_url"`
	}
	_, err := h.call(ctx, askUser, "api/v4/user", nil, &u)
	return User{Login: u.Username, Avatar: u.Avatar}, err
}

func (gitlabDialect) organizations(ctx context.Context, h *hosted, page, size int) ([]Organization, bool, error) {
	query := paging("per_page", page, size)
	// Without a level, all public groups of the server are listed.
	query.Set("min_access_level", "10")
	query.Set("order_by", "path")
	var list []struct {
		FullPath string `json:"full_path"`
		FullName string `json:"full_name"`
		Avatar   string `json:"avatar_url"`
	}
	resp, err := h.call(ctx, askOrganizations, "api/v4/groups", query, &list)
	if err != nil {
		return nil, false, err
	}
	items := make([]Organization, 0, len(list))
	for _, g := range list {
		items = append(items, Organization{Name: g.FullPath, DisplayName: g.FullName, Avatar: g.Avatar})
	}
	return items, linked(resp, page) || resp.Header.Get("X-Next-Page") != "", nil
}

func (gitlabDialect) list(ctx context.Context, h *hosted, path string, query url.Values, page int) ([]Repository, bool, error) {
	query.Set("order_by", "path")
	query.Set("sort", "asc")
	var list []gitlabProject
	resp, err := h.call(ctx, askRepositories, path, query, &list)
	if err != nil {
		return nil, false, err
	}
	items := make([]Repository, 0, len(list))
	for _, p := range list {
		items = append(items, Repository{Name: p.Path, FullName: p.FullPath, DefaultBranch: p.DefaultBranch, CloneURL: p.CloneURL, WebURL: p.WebURL, Private: p.Visibility != "public"})
	}
	return items, linked(resp, page) || resp.Header.Get("X-Next-Page") != "", nil
}

func (d gitlabDialect) repositories(ctx context.Context, h *hosted, organization string, page, size int) ([]Repository, bool, error) {
	return d.list(ctx, h, "api/v4/groups/"+url.PathEscape(strings.Trim(organization, "/"))+"/projects", paging("per_page", page, size), page)
}

func (d gitlabDialect) own(ctx context.Context, h *hosted, login string, page, size int) ([]Repository, bool, error) {
	return d.list(ctx, h, "api/v4/users/"+url.PathEscape(login)+"/projects", paging("per_page", page, size), page)
}

// giteaDialect is the API of Gitea and Forgejo, https://gitea.com/api/swagger.
type giteaDialect struct{}

// pageSize is Gitea's default of the most that a page has.
func (giteaDialect) pageSize() int { return 50 }

func (giteaDialect) user(ctx context.Context, h *hosted) (User, error) {
	var u githubAccount
	_, err := h.call(ctx, askUser, "api/v1/user", nil, &u)
	return User(u), err
}

func (giteaDialect) organizations(ctx context.Context, h *hosted, page, size int) ([]Organization, bool, error) {
	var list []struct {
		Name     string `json:"name"`
		Username string `json:"username"`
		FullName string `json:"full_name"`
		Avatar   string `json:"avatar_url"`
	}
	resp, err := h.call(ctx, askOrganizations, "api/v1/user/orgs", paging("limit", page, size), &list)
	if err != nil {
		return nil, false, err
	}
	items := make([]Organization, 0, len(list))
	for _, o := range list {
		items = append(items, Organization{Name: cmp.Or(o.Name, o.Username), DisplayName: o.FullName, Avatar: o.Avatar})
	}
	return items, giteaMore(resp, page, len(items)), nil
}

// giteaMore tells if there is another page. Lists without the header Link have a count of all.
func giteaMore(resp *goscm.Response, page, given int) bool {
	if resp.Header.Get("Link") != "" {
		return linked(resp, page)
	}
	total, err := strconv.Atoi(resp.Header.Get("X-Total-Count"))
	return err == nil && given > 0 && page*given < total
}

func (giteaDialect) list(ctx context.Context, h *hosted, path string, page, size int) ([]Repository, bool, error) {
	var list []githubRepository
	resp, err := h.call(ctx, askRepositories, path, paging("limit", page, size), &list)
	if err != nil {
		return nil, false, err
	}
	return githubRepositories(list), giteaMore(resp, page, len(list)), nil
}

func (d giteaDialect) repositories(ctx context.Context, h *hosted, organization string, page, size int) ([]Repository, bool, error) {
	return d.list(ctx, h, "api/v1/orgs/"+url.PathEscape(organization)+"/repos", page, size)
}

func (d giteaDialect) own(ctx context.Context, h *hosted, login string, page, size int) ([]Repository, bool, error) {
	return d.list(ctx, h, "api/v1/users/"+url.PathEscape(login)+"/repos", page, size)
}

// bitbucketDialect is https://developer.atlassian.com/cloud/bitbucket/rest.
type bitbucketDialect struct{}

type bitbucketLinks struct {
	Avatar struct {
		Href string `json:"href"`
	} `json:"avatar"`
	HTML struct {
		Href string `json:"href"`
	} `json:"html"`
	Clone []namedLink `json:"clone"`
	Self  []namedLink `json:"self"`
}

type namedLink struct {
	Name string `json:"name"`
	Href string `json:"href"`
}

// over gives the link for HTTP, without a user in it.
func over(links []namedLink) string {
	for _, l := range links {
		if l.Name != "https" && l.Name != "http" {
			continue
		}
		if u, err := url.Parse(l.Href); err == nil {
			u.User = nil
			return u.String()
		}
	}
	return ""
}

func (bitbucketDialect) pageSize() int { return 100 }

func (bitbucketDialect) user(ctx context.Context, h *hosted) (User, error) {
	var u struct {
		Username string `json:"username"`
		Nickname string `json:"nickname"`
		Links    struct {
			Avatar struct {
				Href string `json:"href"`
			} `json:"avatar"`
		} `json:"links"`
	}
	_, err := h.call(ctx, askUser, "2.0/user", nil, &u)
	return User{Login: cmp.Or(u.Username, u.Nickname), Avatar: u.Links.Avatar.Href}, err
}

func (bitbucketDialect) organizations(ctx context.Context, h *hosted, page, size int) ([]Organization, bool, error) {
	query := paging("pagelen", page, size)
	query.Set("role", "member")
	query.Set("sort", "slug")
	var list struct {
		Next   string `json:"next"`
		Values []struct {
			Slug  string         `json:"slug"`
			Name  string         `json:"name"`
			Links bitbucketLinks `json:"links"`
		} `json:"values"`
	}
	if _, err := h.call(ctx, askOrganizations, "2.0/workspaces", query, &list); err != nil {
		return nil, false, err
	}
	items := make([]Organization, 0, len(list.Values))
	for _, w := range list.Values {
		items = append(items, Organization{Name: w.Slug, DisplayName: w.Name, Avatar: w.Links.Avatar.Href})
	}
	return items, list.Next != "", nil
}

func (bitbucketDialect) repositories(ctx context.Context, h *hosted, organization string, page, size int) ([]Repository, bool, error) {
	query := paging("pagelen", page, size)
	query.Set("sort", "full_name")
	var list struct {
		Next   string `json:"next"`
		Values []struct {
			Slug       string `json:"slug"`
			FullName   string `json:"full_name"`
			Private    bool   `json:"is_private"`
			MainBranch struct {
				Name string `json:"name"`
			} `json:"mainbranch"`
			Links bitbucketLinks `json:"links"`
		} `json:"values"`
	}
	if _, err := h.call(ctx, askRepositories, "2.0/repositories/"+url.PathEscape(organization), query, &list); err != nil {
		return nil, false, err
	}
	items := make([]Repository, 0, len(list.Values))
	for _, r := range list.Values {
		_, last, _ := strings.Cut(r.FullName, "/")
		items = append(items, Repository{Name: cmp.Or(r.Slug, last), FullName: r.FullName, DefaultBranch: r.MainBranch.Name,
			CloneURL: over(r.Links.Clone), WebURL: r.Links.HTML.Href, Private: r.Private})
	}
	return items, list.Next != "", nil
}

// own is the same: a user's own workspace has the user's name.
func (d bitbucketDialect) own(ctx context.Context, h *hosted, login string, page, size int) ([]Repository, bool, error) {
	return d.repositories(ctx, h, login, page, size)
}

// stashDialect is https://developer.atlassian.com/server/bitbucket/rest.
type stashDialect struct{}

const stashAPI = "rest/api/1.0/"

func (stashDialect) pageSize() int { return 100 }

// user asks for the name first: the server answers who nobody knows with an empty one, and success.
func (stashDialect) user(ctx context.Context, h *hosted) (User, error) {
	var name string
	if _, err := h.call(ctx, askUser, "plugins/servlet/applinks/whoami", nil, &name); err != nil {
		return User{}, err
	}
	if name = strings.TrimSpace(name); name == "" {
		return User{}, explainAnswer(h.host, askUser, answer{status: 401})
	}
	if len(name) > 255 || strings.ContainsAny(name, "<>\n") {
		return User{}, failure(ServerError, "%s does not answer as a Bitbucket Server does; check the address and the kind of the server", h.host)
	}
	var u struct {
		Slug string `json:"slug"`
	}
	if _, err := h.call(ctx, askUser, stashAPI+"users/"+url.PathEscape(name), nil, &u); err != nil {
		return User{}, err
	}
	return User{Login: cmp.Or(u.Slug, name)}, nil
}

// stashPaging counts from an entry instead of a page.
func stashPaging(page, size int) url.Values {
	return url.Values{"start": {strconv.Itoa((page - 1) * size)}, "limit": {strconv.Itoa(size)}}
}

func (stashDialect) organizations(ctx context.Context, h *hosted, page, size int) ([]Organization, bool, error) {
	var list struct {
		LastPage bool `json:"isLastPage"`
		Values   []struct {
			Key  string `json:"key"`
			Name string `json:"name"`
		} `json:"values"`
	}
	if _, err := h.call(ctx, askOrganizations, stashAPI+"projects", stashPaging(page, size), &list); err != nil {
		return nil, false, err
	}
	items := make([]Organization, 0, len(list.Values))
	for _, p := range list.Values {
		items = append(items, Organization{Name: p.Key, DisplayName: p.Name})
	}
	return items, !list.LastPage, nil
}

func (stashDialect) repositories(ctx context.Context, h *hosted, organization string, page, size int) ([]Repository, bool, error) {
	var list struct {
		LastPage bool `json:"isLastPage"`
		Values   []struct {
			Slug    string `json:"slug"`
			Public  bool   `json:"public"`
			Default string `json:"defaultBranch"`
			Project struct {
				Key string `json:"key"`
			} `json:"project"`
			Links bitbucketLinks `json:"links"`
		} `json:"values"`
	}
	if _, err := h.call(ctx, askRepositories, stashAPI+"projects/"+url.PathEscape(organization)+"/repos", stashPaging(page, size), &list); err != nil {
		return nil, false, err
	}
	items := make([]Repository, 0, len(list.Values))
	for _, r := range list.Values {
		web := ""
		if len(r.Links.Self) > 0 {
			web = r.Links.Self[0].Href
		}
		items = append(items, Repository{Name: r.Slug, FullName: r.Project.Key + "/" + r.Slug, DefaultBranch: r.Default, CloneURL: over(r.Links.Clone), WebURL: web, Private: !r.Public})
	}
	return items, !list.LastPage, nil
}

func (d stashDialect) own(ctx context.Context, h *hosted, login string, page, size int) ([]Repository, bool, error) {
	return d.repositories(ctx, h, "~"+login, page, size)
}
