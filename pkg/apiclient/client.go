// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package apiclient is a small client of Slipway's API server, for the command line and for tests.
package apiclient

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxAnswer bounds an answer that is read whole.
const maxAnswer = 64 << 20

// Client calls one API server as one user.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
}

// StatusError is an answer that is not a success.
type StatusError struct {
	// Code is the HTTP status.
	Code int
	// Reason is the machine-readable reason, empty if the answer had none.
	Reason string
	// Message is the server's sentence, or the beginning of the body.
	Message string
}

// Error implements error.
func (e *StatusError) Error() string {
	return fmt.Sprintf("%d %s: %s", e.Code, http.StatusText(e.Code), e.Message)
}

// New gives a client without a token. base is the server's address, such as http://127.0.0.1:9090.
func New(base string) (*Client, error) {
	parsed, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("address of the API server: %w", err)
	}
	if parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" {
		return nil, fmt.Errorf("address of the API server: %q is no http or https URL", base)
	}
	return &Client{base: parsed, http: &http.Client{}}, nil
}

// WithToken gives a copy that sends the token.
func (c *Client) WithToken(token string) *Client {
	other := *c
	other.token = token
	return &other
}

// Token is what the client sends; empty without a login.
func (c *Client) Token() string { return c.token }

// Login gets a token for a local user by the password grant of RFC 6749 and gives a client that
// sends it.
func (c *Client) Login(ctx context.Context, username, password string) (*Client, error) {
	form := url.Values{"grant_type": {"password"}, "username": {username}, "password": {password}}
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	request := Request{Method: http.MethodPost, Path: "/oauth/token", Body: []byte(form.Encode()), ContentType: "application/x-www-form-urlencoded"}
	if err := c.Do(ctx, request, &answer); err != nil {
		return nil, fmt.Errorf("log in as %s: %w", username, err)
	}
	if answer.AccessToken == "" {
		return nil, fmt.Errorf("log in as %s: the answer has no access_token", username)
	}
	return c.WithToken(answer.AccessToken), nil
}

// Request is one call.
type Request struct {
	// Method is the HTTP method; GET if empty.
	Method string
	// Path is absolute and may carry a query; its parts are already escaped.
	Path string
	// Query is added to the path's.
	Query url.Values
	// Object is sent as JSON; Body is sent as it is. At most one of them is set.
	Object any
	// Body is sent as it is, with ContentType.
	Body []byte
	// ContentType of Body; application/json if empty.
	ContentType string
	// Scheme is the word before the token in the Authorization header; Bearer if empty.
	Scheme string
	// Timeout bounds the call; 60 s if 0, none if negative (streams).
	Timeout time.Duration
}

// Do calls and decodes the JSON answer into out, which may be nil. An answer that is not 2xx is a
// *StatusError.
func (c *Client) Do(ctx context.Context, request Request, out any) error {
	body, err := c.Stream(ctx, request)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	content, err := io.ReadAll(io.LimitReader(body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", request.Path, err)
	}
	if out == nil || len(content) == 0 {
		return nil
	}
	if err := json.Unmarshal(content, out); err != nil {
		return fmt.Errorf("decode the answer of %s: %w", request.Path, err)
	}
	return nil
}

// Stream calls and gives the body of a 2xx answer, which the caller closes.
func (c *Client) Stream(ctx context.Context, request Request) (io.ReadCloser, error) {
	timeout := request.Timeout
	if timeout == 0 {
		timeout = time.Minute
	}
	cancel := func() {}
	if timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, timeout)
	}
	httpRequest, err := c.request(ctx, request)
	if err != nil {
		cancel()
		return nil, err
	}
	response, err := c.http.Do(httpRequest)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("call %s: %w", request.Path, err)
	}
	if response.StatusCode/100 == 2 {
		return &body{ReadCloser: response.Body, cancel: cancel}, nil
	}
	defer cancel()
	defer func() { _ = response.Body.Close() }()
	return nil, statusError(response)
}

func (c *Client) request(ctx context.Context, request Request) (*http.Request, error) {
	content := request.Body
	if request.Object != nil {
		encoded, err := json.Marshal(request.Object)
		if err != nil {
			return nil, fmt.Errorf("encode the body of %s: %w", request.Path, err)
		}
		content = encoded
	}
	method := request.Method
	if method == "" {
		method = http.MethodGet
	}
	target := strings.TrimSuffix(c.base.String(), "/") + request.Path
	if len(request.Query) > 0 {
		separator := "?"
		if strings.Contains(request.Path, "?") {
			separator = "&"
		}
		target += separator + request.Query.Encode()
	}
	httpRequest, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("make the request for %s: %w", request.Path, err)
	}
	if len(content) > 0 {
		contentType := request.ContentType
		if contentType == "" {
			contentType = "application/json"
		}
		httpRequest.Header.Set("Content-Type", contentType)
	}
	httpRequest.Header.Set("Accept", "application/json, */*;q=0.5")
	if c.token != "" {
		scheme := request.Scheme
		if scheme == "" {
			scheme = "Bearer"
		}
		httpRequest.Header.Set("Authorization", scheme+" "+c.token)
	}
	return httpRequest, nil
}

func statusError(response *http.Response) error {
	content, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	failure := &StatusError{Code: response.StatusCode, Message: strings.TrimSpace(string(content))}
	var status metav1.Status
	if json.Unmarshal(content, &status) == nil && status.Message != "" {
		failure.Message, failure.Reason = status.Message, string(status.Reason)
		return failure
	}
	var oauth struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(content, &oauth) == nil && oauth.Error != "" {
		failure.Message, failure.Reason = oauth.Description, oauth.Error
	}
	return failure
}

// body ends the call's context when it is closed.
type body struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close implements io.Closer.
func (b *body) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}
