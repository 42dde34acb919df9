// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package sonarqube reads the results of code analyses from SonarQube's web API: of a task that a
// scanner left in a build, the project, its measures, its open issues and its quality gate.
package sonarqube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/pkg/egress"
)

// Kinds of errors. Compare with errors.Is.
var (
	// ErrNotFound says that SonarQube does not have the task, project or analysis. It forgets tasks after some months.
	ErrNotFound = errors.New("not found")
	// ErrUnauthorized says that SonarQube does not accept the token, or that it may not see the project.
	ErrUnauthorized = errors.New("unauthorized")
	// ErrUnavailable says that SonarQube cannot be reached, is starting, or did not answer in time.
	ErrUnavailable = errors.New("unavailable")
	// ErrUnexpected says that the answer is not one of SonarQube's web API.
	ErrUnexpected = errors.New("unexpected answer")
)

const (
	// DefaultTimeout bounds a call.
	DefaultTimeout = 15 * time.Second
	// maxBody bounds an answer in bytes; those asked for here have some kilobytes.
	maxBody = 4 << 20
	// maxID bounds the id of a task, which comes from a build.
	maxID = 128
	// topIssues is how many issues of a project are read: the worst are counted in facets.
	topIssues = "10"
)

// metrics are what is asked for: all of them exist since version 7.9, for one that does not SonarQube
// would refuse the whole question.
const metrics = "alert_status,quality_gate_details,bugs,new_bugs,reliability_rating,new_reliability_rating," +
	"vulnerabilities,new_vulnerabilities,security_rating,new_security_rating,code_smells,new_code_smells," +
	"sqale_rating,new_maintainability_rating,sqale_index,new_technical_debt,coverage,new_coverage,new_lines_to_cover," +
	"tests,duplicated_lines_density,new_duplicated_lines_density,duplicated_blocks,ncloc,ncloc_language_distribution,new_lines"

// Config says how to reach SonarQube.
type Config struct {
	// URL is its address, with a path prefix if it has one: https://sonar.example.org/sonar.
	URL string
	// Token is that of a user who may see the projects; empty: only what is public is seen.
	Token string
	// Timeout bounds a call. Default DefaultTimeout.
	Timeout time.Duration
}

// Client reads from one SonarQube. It is safe for several users at once.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
}

// New makes a client. It makes no call.
func New(config Config) (*Client, error) {
	base, err := egress.ParseURL(config.URL)
	if err != nil {
		return nil, fmt.Errorf("sonarqube: address: %w", err)
	}
	if base.RawQuery != "" || base.Fragment != "" {
		return nil, errors.New("sonarqube: the address must have no query and no fragment")
	}
	if config.Timeout == 0 {
		config.Timeout = DefaultTimeout
	}
	// The administrator chose the address, which may be on the same machine. The token must not follow a redirect.
	c, err := egress.Client(egress.Options{AllowLocal: true, NoRedirects: true, Timeout: config.Timeout})
	if err != nil {
		return nil, fmt.Errorf("sonarqube: %w", err)
	}
	return &Client{base: base, token: config.Token, http: c}, nil
}

// CloseIdleConnections closes connections that are not in use.
func (c *Client) CloseIdleConnections() { c.http.CloseIdleConnections() }

// Status is what SonarQube knows of one analysis. What it does not have yet is nil.
type Status struct {
	Task     *TaskResult
	Measures *MeasuresResult
	Issues   *IssuesResult
	Gate     *GateResult
}

// Status reads what became of the report with which a scanner made the task. While SonarQube works on it there is only the task. The
// project is the one that the task names: what else a build says of its project anybody can write who writes its Jenkinsfile.
func (c *Client) Status(ctx context.Context, taskID string) (*Status, error) {
	task, err := c.task(ctx, taskID)
	if err != nil {
		return nil, err
	}
	status := &Status{Task: task}
	if task.Task.ComponentKey == "" || task.Task.Status != "SUCCESS" {
		return status, nil
	}
	scope := scopeOf(task.Task)
	status.Measures = &MeasuresResult{}
	if err := c.get(ctx, "api/measures/component", with(scope, "component", task.Task.ComponentKey, "metricKeys", metrics, "additionalFields", "metrics"), status.Measures); err != nil {
		return nil, err
	}
	status.Issues = &IssuesResult{}
	if err := c.get(ctx, "api/issues/search", with(scope, "componentKeys", task.Task.ComponentKey, "resolved", "false", "ps", topIssues,
		"s", "FILE_LINE", "facets", "severities,types"), status.Issues); err != nil {
		return nil, err
	}
	if status.Issues.Issues == nil {
		status.Issues.Issues = []Issue{}
	}
	if task.Task.AnalysisID == "" {
		return status, nil
	}
	status.Gate = &GateResult{}
	err = c.get(ctx, "api/qualitygates/project_status", url.Values{"analysisId": {task.Task.AnalysisID}}, status.Gate)
	if errors.Is(err, ErrNotFound) {
		// A project without a gate.
		status.Gate, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	return status, nil
}

func (c *Client) task(ctx context.Context, id string) (*TaskResult, error) {
	if id == "" || len(id) > maxID {
		return nil, fmt.Errorf("sonarqube: task id of %d characters: %w", len(id), ErrNotFound)
	}
	task := &TaskResult{}
	return task, c.get(ctx, "api/ce/task", url.Values{"id": {id}}, task)
}

// scopeOf names the branch or pull request of a task, in the parameters of questions about it.
func scopeOf(task Task) url.Values {
	scope := url.Values{}
	switch {
	case task.PullRequest != "":
		scope.Set("pullRequest", task.PullRequest)
	case task.Branch != "":
		scope.Set("branch", task.Branch)
	}
	return scope
}

// with adds pairs of keys and values.
func with(scope url.Values, pairs ...string) url.Values {
	query := url.Values{}
	for key, values := range scope {
		query[key] = values
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		query.Set(pairs[i], pairs[i+1])
	}
	return query
}

// get reads the JSON at a path. Errors name the path and never hold the token.
func (c *Client) get(ctx context.Context, path string, query url.Values, into any) error {
	target := *c.base
	target.Path = strings.TrimSuffix(target.Path, "/") + "/" + path
	target.RawPath = ""
	target.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		return fmt.Errorf("sonarqube: %s: the address cannot be formed: %w", path, ErrUnexpected)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "slipway")
	if c.token != "" {
		// All versions take a token as the name of a user without a password.
		req.SetBasicAuth(c.token, "")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) {
			return ctx.Err()
		}
		// The text of *url.Error repeats the address with its query.
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return fmt.Errorf("sonarqube: %s: %w: %s", path, ErrUnavailable, err.Error())
	}
	defer func() { _ = resp.Body.Close() }()
	if err := kindOf(resp.StatusCode); err != nil {
		return fmt.Errorf("sonarqube: %s: %d: %w", path, resp.StatusCode, err)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return fmt.Errorf("sonarqube: %s: %w: the answer broke off", path, ErrUnavailable)
	}
	if len(body) > maxBody {
		return fmt.Errorf("sonarqube: %s: %w: more than %d bytes", path, ErrUnexpected, maxBody)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("sonarqube: %s: %w: it is not the JSON of SonarQube", path, ErrUnexpected)
	}
	return nil
}

func kindOf(code int) error {
	switch code {
	case http.StatusOK:
		return nil
	case http.StatusNotFound:
		return ErrNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		return ErrUnauthorized
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return ErrUnavailable
	}
	return ErrUnexpected
}
