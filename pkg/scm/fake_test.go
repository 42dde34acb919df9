// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package scm

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	goodToken = "good-token-0123456789"
	weakToken = "weak-token-0123456789"
	// organizations and repositories are more than a page of any server has.
	organizations = 130
	repositories  = 230
)

// fake speaks the wire format of all providers, each at its own paths.
type fake struct {
	*httptest.Server
	mu sync.Mutex
	// asked are the requests, method and path with the query.
	asked []string
	// limited answers everything with a rate limit.
	limited http.HandlerFunc
	// cap is the most that Gitea gives at once.
	cap int
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := start(t, httptest.NewServer)
	return f
}

func start(t *testing.T, serve func(http.Handler) *httptest.Server) *fake {
	t.Helper()
	log.SetOutput(io.Discard) // refused handshakes
	f := &fake{cap: 50}
	mux := http.NewServeMux()
	f.github(mux)
	f.gitlab(mux)
	f.gitea(mux)
	f.cloud(mux)
	f.stash(mux)
	f.Server = serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.asked = append(f.asked, r.Method+" "+r.URL.RequestURI())
		limited := f.limited
		f.mu.Unlock()
		if limited != nil {
			limited(w, r)
			return
		}
		switch tokenOf(r) {
		case goodToken:
			mux.ServeHTTP(w, r)
		case weakToken:
			reply(w, http.StatusForbidden, map[string]any{"message": "Resource not accessible by " + weakToken, "errors": []any{map[string]any{"message": "insufficient rights for " + weakToken}}})
		case "":
			if strings.HasSuffix(r.URL.Path, "whoami") {
				return // Bitbucket Server knows nobody, and finds nothing wrong with that
			}
			reply(w, http.StatusUnauthorized, map[string]any{"message": "Requires authentication"})
		default:
			reply(w, http.StatusUnauthorized, map[string]any{"message": "Bad credentials"})
		}
	}))
	t.Cleanup(f.Close)
	return f
}

// tokenOf finds a token as all providers do.
func tokenOf(r *http.Request) string {
	if user, password, ok := r.BasicAuth(); ok && (user == "dev" || user == "git") {
		return password
	}
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return token
}

func reply(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(value)
}

func number(r *http.Request, name string, otherwise int) int {
	if n, err := strconv.Atoi(r.URL.Query().Get(name)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

// cut gives the entries of a page and says if there are more.
func (f *fake) cut(total, page, size int) (from, to int, more bool) {
	from = min((page-1)*size, total)
	to = min(from+size, total)
	return from, to, to < total
}

// linkedPage writes a page of a list with the header Link, as GitHub, GitLab and Gitea do.
func (f *fake) linkedPage(w http.ResponseWriter, r *http.Request, total, size int, entry func(int) map[string]any) {
	page := number(r, "page", 1)
	from, to, more := f.cut(total, page, size)
	if more {
		w.Header().Set("Link", fmt.Sprintf(`<http://%s%s?page=%d>; rel="next", <http://%s%s?page=9>; rel="last"`, r.Host, r.URL.Path, page+1, r.Host, r.URL.Path))
	}
	list := []map[string]any{}
	for i := from; i < to; i++ {
		list = append(list, entry(i))
	}
	reply(w, http.StatusOK, list)
}

func githubRepo(i int) map[string]any {
	name := fmt.Sprintf("repo-%03d", i)
	return map[string]any{"id": i, "name": name, "full_name": "team/" + name, "default_branch": "main", "private": i%2 == 0,
		"clone_url": "https://example.test/team/" + name + ".git", "html_url": "https://example.test/team/" + name}
}

func (f *fake) github(mux *http.ServeMux) {
	const api = "/api/v3"
	size := func(r *http.Request) int { return min(number(r, "per_page", 30), 100) }
	mux.HandleFunc("GET "+api+"/user", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 200, map[string]any{"login": "dev", "avatar_url": "https://example.test/dev.png"})
	})
	mux.HandleFunc("GET "+api+"/user/orgs", func(w http.ResponseWriter, r *http.Request) {
		f.linkedPage(w, r, organizations, size(r), func(i int) map[string]any {
			return map[string]any{"login": fmt.Sprintf("org-%03d", i), "avatar_url": "https://example.test/org.png"}
		})
	})
	mux.HandleFunc("GET "+api+"/orgs/team/repos", func(w http.ResponseWriter, r *http.Request) { f.linkedPage(w, r, repositories, size(r), githubRepo) })
	mux.HandleFunc("GET "+api+"/user/repos", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("affiliation") != "owner" {
			reply(w, 422, map[string]any{"message": "want affiliation=owner"})
			return
		}
		f.linkedPage(w, r, 3, size(r), githubRepo)
	})
	mux.HandleFunc(api+"/", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 404, map[string]any{"message": "Not Found", "documentation_url": "https://docs.github.com"})
	})
}

func (f *fake) gitlab(mux *http.ServeMux) {
	const api = "/api/v4"
	size := func(r *http.Request) int { return min(number(r, "per_page", 20), 100) }
	project := func(i int) map[string]any {
		name := fmt.Sprintf("repo-%03d", i)
		return map[string]any{"id": i, "path": name, "name": "Repo " + name, "path_with_namespace": "team/sub/" + name, "default_branch": "main",
			"visibility": "private", "http_url_to_repo": "https://example.test/team/sub/" + name + ".git", "web_url": "https://example.test/team/sub/" + name}
	}
	mux.HandleFunc("GET "+api+"/user", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 200, map[string]any{"username": "dev", "avatar_url": nil})
	})
	mux.HandleFunc("GET "+api+"/groups", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("min_access_level") == "" {
			reply(w, 400, map[string]any{"message": map[string]any{"min_access_level": []string{"all the world's groups"}}})
			return
		}
		f.linkedPage(w, r, organizations, size(r), func(i int) map[string]any {
			return map[string]any{"path": fmt.Sprintf("org-%03d", i), "full_path": fmt.Sprintf("org-%03d", i), "full_name": "Org", "avatar_url": nil}
		})
	})
	mux.HandleFunc("GET "+api+"/groups/{id}/projects", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") != "team/sub" && r.PathValue("id") != "team" {
			reply(w, 404, map[string]any{"message": "404 Group Not Found"})
			return
		}
		f.linkedPage(w, r, repositories, size(r), project)
	})
	mux.HandleFunc("GET "+api+"/users/dev/projects", func(w http.ResponseWriter, r *http.Request) { f.linkedPage(w, r, 3, size(r), project) })
	mux.HandleFunc(api+"/", func(w http.ResponseWriter, _ *http.Request) { reply(w, 404, map[string]any{"error": "404 Not Found"}) })
}

func (f *fake) gitea(mux *http.ServeMux) {
	const api = "/api/v1"
	size := func(r *http.Request) int { return min(number(r, "limit", 30), f.cap) }
	mux.HandleFunc("GET "+api+"/user", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 200, map[string]any{"login": "dev", "username": "dev", "avatar_url": "https://example.test/dev.png"})
	})
	mux.HandleFunc("GET "+api+"/user/orgs", func(w http.ResponseWriter, r *http.Request) {
		// This list of Gitea has a count and no links.
		page := number(r, "page", 1)
		from, to, _ := f.cut(organizations, page, size(r))
		w.Header().Set("X-Total-Count", strconv.Itoa(organizations))
		list := []map[string]any{}
		for i := from; i < to; i++ {
			list = append(list, map[string]any{"username": fmt.Sprintf("org-%03d", i), "avatar_url": "https://example.test/org.png"})
		}
		reply(w, 200, list)
	})
	mux.HandleFunc("GET "+api+"/orgs/team/repos", func(w http.ResponseWriter, r *http.Request) { f.linkedPage(w, r, repositories, size(r), githubRepo) })
	mux.HandleFunc("GET "+api+"/users/dev/repos", func(w http.ResponseWriter, r *http.Request) { f.linkedPage(w, r, 3, size(r), githubRepo) })
	mux.HandleFunc(api+"/", func(w http.ResponseWriter, _ *http.Request) { reply(w, 404, map[string]any{"message": "not found"}) })
}

// cloudPage writes a page of Bitbucket Cloud.
func (f *fake) cloudPage(w http.ResponseWriter, r *http.Request, total int, entry func(int) map[string]any) {
	page, size := number(r, "page", 1), min(number(r, "pagelen", 10), 100)
	from, to, more := f.cut(total, page, size)
	values := []map[string]any{}
	for i := from; i < to; i++ {
		values = append(values, entry(i))
	}
	answer := map[string]any{"page": page, "pagelen": size, "size": total, "values": values}
	if more {
		answer["next"] = fmt.Sprintf("http://%s%s?page=%d", r.Host, r.URL.Path, page+1)
	}
	reply(w, 200, answer)
}

func (f *fake) cloud(mux *http.ServeMux) {
	const api = "/2.0"
	mux.HandleFunc("GET "+api+"/user", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 200, map[string]any{"username": "dev", "nickname": "Dev", "links": map[string]any{"avatar": map[string]any{"href": "https://example.test/dev.png"}}})
	})
	mux.HandleFunc("GET "+api+"/workspaces", func(w http.ResponseWriter, r *http.Request) {
		f.cloudPage(w, r, organizations, func(i int) map[string]any {
			return map[string]any{"slug": fmt.Sprintf("org-%03d", i), "name": "Org", "links": map[string]any{"avatar": map[string]any{"href": "https://example.test/org.png"}}}
		})
	})
	repo := func(i int) map[string]any {
		name := fmt.Sprintf("repo-%03d", i)
		return map[string]any{"slug": name, "full_name": "team/" + name, "is_private": true, "mainbranch": map[string]any{"name": "main"},
			"links": map[string]any{"html": map[string]any{"href": "https://example.test/team/" + name}, "clone": []any{map[string]any{"name": "https", "href": "https://dev@example.test/team/" + name + ".git"}}}}
	}
	mux.HandleFunc("GET "+api+"/repositories/team", func(w http.ResponseWriter, r *http.Request) { f.cloudPage(w, r, repositories, repo) })
	mux.HandleFunc("GET "+api+"/repositories/dev", func(w http.ResponseWriter, r *http.Request) { f.cloudPage(w, r, 3, repo) })
	mux.HandleFunc(api+"/", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 404, map[string]any{"type": "error", "error": map[string]any{"message": "Workspace not found"}})
	})
}

// stashPage writes a page of Bitbucket Server.
func (f *fake) stashPage(w http.ResponseWriter, r *http.Request, total int, entry func(int) map[string]any) {
	begin, size := number(r, "start", 0), min(number(r, "limit", 25), 1000)
	end := min(begin+size, total)
	values := []map[string]any{}
	for i := begin; i < end; i++ {
		values = append(values, entry(i))
	}
	answer := map[string]any{"start": begin, "limit": size, "size": len(values), "isLastPage": end >= total, "values": values, "nextPageStart": nil}
	if end < total {
		answer["nextPageStart"] = end
	}
	reply(w, 200, answer)
}

func (f *fake) stash(mux *http.ServeMux) {
	const api = "/rest/api/1.0"
	mux.HandleFunc("GET /plugins/servlet/applinks/whoami", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "dev") })
	mux.HandleFunc("GET "+api+"/users/dev", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 200, map[string]any{"name": "dev", "slug": "dev", "displayName": "Dev"})
	})
	mux.HandleFunc("GET "+api+"/projects", func(w http.ResponseWriter, r *http.Request) {
		f.stashPage(w, r, organizations, func(i int) map[string]any {
			return map[string]any{"key": fmt.Sprintf("ORG%03d", i), "name": "Org"}
		})
	})
	repo := func(i int) map[string]any {
		name := fmt.Sprintf("repo-%03d", i)
		return map[string]any{"slug": name, "name": name, "public": false, "project": map[string]any{"key": "team"}, "links": map[string]any{
			"self":  []any{map[string]any{"href": "https://example.test/projects/team/repos/" + name + "/browse"}},
			"clone": []any{map[string]any{"name": "ssh", "href": "ssh://git@example.test:7999/team/" + name + ".git"}, map[string]any{"name": "http", "href": "https://example.test/scm/team/" + name + ".git"}}}}
	}
	mux.HandleFunc("GET "+api+"/projects/team/repos", func(w http.ResponseWriter, r *http.Request) { f.stashPage(w, r, repositories, repo) })
	mux.HandleFunc("GET "+api+"/projects/~dev/repos", func(w http.ResponseWriter, r *http.Request) { f.stashPage(w, r, 3, repo) })
	mux.HandleFunc(api+"/", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 404, map[string]any{"errors": []any{map[string]any{"message": "Project does not exist."}}})
	})
}
