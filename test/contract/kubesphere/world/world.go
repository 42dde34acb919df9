// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package world serves what the contract suite needs around the server under test: a git repository, a source code
// server that speaks Gitea's API, and a SonarQube. They are as small as the wire formats allow.
package world

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/test/contract/kubesphere"
	"github.com/slipway-dev/slipway/test/jenkinsfiles"
)

// Token is the token that the source code server and SonarQube take.
const Token = "contract-token"

// World is what is served.
type World struct {
	git     *jenkinsfiles.GitServer
	repo    *jenkinsfiles.Repo
	scm     string
	servers []*server
}

// jenkinsfile is that of a branch: it says which.
const jenkinsfile = `pipeline {
  agent none
  parameters { string(name: 'GREETING', defaultValue: 'hello', description: 'what is said') }
  stages {
    stage('say') { steps { echo "${params.GREETING} from ${env.BRANCH_NAME}" } }
  }
}
`

// askJenkinsfile waits for an input.
const askJenkinsfile = "pipeline { agent none\n stages { stage('ask') { steps { input message: 'Go on?', ok: 'Yes' } } } }\n"

// longJenkinsfile is there to be stopped.
const longJenkinsfile = "pipeline { agent none\n stages { stage('long') { steps { sleep 300 } } } }\n"

// Serve serves everything on free ports of a host, an address that the server under test and its Jenkins can reach,
// with the repository's files below a folder.
func Serve(ctx context.Context, host, dir string) (*World, error) {
	w := &World{}
	var err error
	if w.git, err = jenkinsfiles.ServeGit(ctx, dir, host); err != nil {
		return nil, err
	}
	if w.repo, err = w.git.NewRepo("contract.git"); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	for _, commit := range []jenkinsfiles.Commit{
		{Message: "first", Files: map[string]string{"Jenkinsfile": jenkinsfile, "ask.Jenkinsfile": askJenkinsfile, "long.Jenkinsfile": longJenkinsfile, "README.md": "# Contract\n"}},
		{Branch: "feat/x", Message: "a feature", Files: map[string]string{"x.txt": "x\n"}},
	} {
		if err := w.repo.Commit(commit); err != nil {
			return nil, errors.Join(err, w.Close())
		}
	}
	if w.scm, err = w.serve(ctx, host, gitea(w.repo.URL)); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

func (w *World) serve(ctx context.Context, host string, handler http.Handler) (string, error) {
	server, err := serve(ctx, host, handler)
	if err != nil {
		return "", err
	}
	w.servers = append(w.servers, server)
	return server.url, nil
}

// server is one that runs.
type server struct {
	*http.Server
	url string
}

func serve(ctx context.Context, host string, handler http.Handler) (*server, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	s := &server{&http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}, "http://" + listener.Addr().String()}
	// Serve ends when Close is called.
	go func() { _ = s.Serve(listener) }()
	return s, nil
}

// ServeSonar serves a SonarQube on a free port of a host until it is closed: a server under test is told of it when
// it is started.
func ServeSonar(ctx context.Context, host string) (url string, end func() error, err error) {
	s, err := serve(ctx, host, sonar())
	if err != nil {
		return "", nil, err
	}
	return s.url, s.Close, nil
}

// Fill adds what is served to an environment.
func (w *World) Fill(env *kubesphere.Environment) {
	env.Git, env.SCM, env.SCMToken = w.repo.URL, w.scm, Token
}

// Close stops serving.
func (w *World) Close() error {
	err := w.git.Close()
	for _, server := range w.servers {
		err = errors.Join(err, server.Close())
	}
	return err
}

func write(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(value)
}

// authorized tells if a request has the token: as Gitea's header, as a bearer token, or as a part of Basic.
func authorized(r *http.Request) bool {
	if user, password, ok := r.BasicAuth(); ok {
		return user == Token || password == Token
	}
	_, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return given == Token
}

// giteaRepos is how many repositories the organization has: more than a page.
const giteaRepos = 25

// gitea speaks what of Gitea's API (version 1.22) a client needs to list organizations and repositories.
func gitea(clone string) http.Handler {
	user := map[string]any{"id": 1, "login": "dev", "username": "dev", "full_name": "Dev Eloper", "email": "dev@example.invalid", "avatar_url": "http://example.invalid/dev.png"}
	org := map[string]any{"id": 2, "username": "team", "name": "team", "full_name": "The Team", "avatar_url": "http://example.invalid/team.png", "visibility": "public"}
	repos := make([]map[string]any, 0, giteaRepos)
	for i := range giteaRepos {
		name := fmt.Sprintf("repo-%02d", i)
		repos = append(repos, map[string]any{"id": 10 + i, "name": name, "full_name": "team/" + name, "default_branch": "main", "owner": org,
			"clone_url": clone, "html_url": strings.TrimSuffix(clone, ".git"), "permissions": map[string]bool{"pull": true, "push": true, "admin": true}})
	}
	page := func(w http.ResponseWriter, r *http.Request) {
		number, _ := strconv.Atoi(r.URL.Query().Get("page"))
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		if limit < 1 || limit > 50 {
			limit = 30
		}
		from := min((max(number, 1)-1)*limit, len(repos))
		to := min(from+limit, len(repos))
		w.Header().Set("X-Total-Count", strconv.Itoa(len(repos)))
		if to < len(repos) {
			w.Header().Set("Link", fmt.Sprintf(`<http://%s%s?page=%d&limit=%d>; rel="next"`, r.Host, r.URL.Path, max(number, 1)+1, limit))
		}
		write(w, http.StatusOK, repos[from:to])
	}
	api := http.NewServeMux()
	api.HandleFunc("GET /api/v1/user", func(w http.ResponseWriter, _ *http.Request) { write(w, http.StatusOK, user) })
	api.HandleFunc("GET /api/v1/user/orgs", func(w http.ResponseWriter, r *http.Request) {
		if page := r.URL.Query().Get("page"); page != "" && page != "1" {
			write(w, http.StatusOK, []any{})
			return
		}
		write(w, http.StatusOK, []any{org})
	})
	api.HandleFunc("GET /api/v1/orgs/team", func(w http.ResponseWriter, _ *http.Request) { write(w, http.StatusOK, org) })
	api.HandleFunc("GET /api/v1/orgs/team/repos", page)
	api.HandleFunc("GET /api/v1/users/team/repos", page)
	api.HandleFunc("GET /api/v1/user/repos", page)
	api.HandleFunc("GET /api/v1/users/dev/repos", page)
	api.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		write(w, http.StatusNotFound, map[string]any{"message": "not found", "url": r.URL.Path})
	})
	all := http.NewServeMux()
	all.HandleFunc("GET /api/v1/version", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, map[string]any{"version": "1.22.0"})
	})
	all.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if !authorized(r) {
			write(w, http.StatusUnauthorized, map[string]any{"message": "token is required", "url": r.URL.Path})
			return
		}
		api.ServeHTTP(w, r)
	})
	return all
}

// sonar speaks what of SonarQube's web API (version 10) shows the state of a project.
func sonar() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/qualitygates/project_status", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, map[string]any{"projectStatus": map[string]any{"status": "OK", "conditions": []any{}}})
	})
	mux.HandleFunc("GET /api/measures/component", func(w http.ResponseWriter, r *http.Request) {
		write(w, http.StatusOK, map[string]any{"component": map[string]any{"key": r.URL.Query().Get("component"), "measures": []any{map[string]any{"metric": "bugs", "value": "0"}}}})
	})
	mux.HandleFunc("GET /api/issues/search", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, map[string]any{"total": 0, "p": 1, "ps": 10, "issues": []any{}})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		write(w, http.StatusNotFound, map[string]any{"errors": []any{map[string]any{"msg": "Unknown url : " + r.URL.Path}}})
	})
	return mux
}
