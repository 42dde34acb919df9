// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"github.com/bndr/gojenkins"
)

// requester lets gojenkins' objects work on the transport of the client. Its errors are this package's. gojenkins
// takes only the status 200 for a success, as it expects redirects to be followed; so every success is told as 200.
type requester struct {
	c  *Client
	op string
}

var _ gojenkins.JenkinsRequester = requester{}

// requester returns the requester for one call; op names it in errors.
func (c *Client) requester(op string) requester { return requester{c: c, op: op} }

// core returns a gojenkins object for one call. It is not shared, as gojenkins keeps the last answer in it.
func (c *Client) core(op string) *gojenkins.Jenkins {
	return &gojenkins.Jenkins{Server: c.base, Raw: new(gojenkins.ExecutorResponse), Requester: c.requester(op)}
}

// job returns gojenkins' view of the job at an escaped path.
func (c *Client) job(op, path string) *gojenkins.Job {
	return &gojenkins.Job{Jenkins: c.core(op), Raw: new(gojenkins.JobResponse), Base: path}
}

func (r requester) run(ctx context.Context, rq call, out any) (*http.Response, error) {
	rq.op = r.op
	a, err := r.c.do(ctx, rq)
	if err != nil {
		return nil, err
	}
	if s, ok := out.(*string); ok {
		*s = string(a.body)
	} else if out != nil && rq.method == http.MethodGet {
		if err := decodeJSON(r.op, a, out); err != nil {
			return nil, err
		}
	}
	return &http.Response{StatusCode: http.StatusOK, Header: a.header, Body: http.NoBody}, nil
}

func values(query map[string]string) url.Values {
	v := make(url.Values, len(query))
	for k, s := range query {
		v.Set(k, s)
	}
	return v
}

func (r requester) post(ctx context.Context, path, contentType string, payload io.Reader, query map[string]string) (*http.Response, error) {
	var body []byte
	if payload != nil {
		var err error
		if body, err = io.ReadAll(payload); err != nil {
			return nil, transportError(r.op, err)
		}
	}
	return r.run(ctx, call{method: http.MethodPost, path: path, query: values(query), body: body, contentType: contentType}, nil)
}

// GetJSON reads <endpoint>/api/json.
func (r requester) GetJSON(ctx context.Context, endpoint string, out any, query map[string]string) (*http.Response, error) {
	if endpoint == "/" {
		endpoint = ""
	}
	return r.run(ctx, call{method: http.MethodGet, path: endpoint + "/api/json", query: values(query)}, out)
}

// Get reads an endpoint as it is.
func (r requester) Get(ctx context.Context, endpoint string, out any, query map[string]string) (*http.Response, error) {
	return r.run(ctx, call{method: http.MethodGet, path: endpoint, query: values(query)}, out)
}

// GetXML reads an endpoint as it is.
func (r requester) GetXML(ctx context.Context, endpoint string, out any, query map[string]string) (*http.Response, error) {
	return r.Get(ctx, endpoint, out, query)
}

// Post posts a form.
func (r requester) Post(ctx context.Context, endpoint string, payload io.Reader, _ any, query map[string]string) (*http.Response, error) {
	return r.post(ctx, endpoint, formType, payload, query)
}

// PostJSON posts a form to <endpoint>/api/json; the name is gojenkins'.
func (r requester) PostJSON(ctx context.Context, endpoint string, payload io.Reader, _ any, query map[string]string) (*http.Response, error) {
	return r.post(ctx, endpoint+"/api/json", formType, payload, query)
}

// PostXML posts a document.
func (r requester) PostXML(ctx context.Context, endpoint, doc string, _ any, query map[string]string) (*http.Response, error) {
	return r.run(ctx, call{method: http.MethodPost, path: endpoint, query: values(query), body: []byte(doc), contentType: xmlType}, nil)
}

// PostFiles is refused: the product uploads nothing to Jenkins.
func (r requester) PostFiles(context.Context, string, io.Reader, any, map[string]string, []string) (*http.Response, error) {
	return nil, newError(r.op, ErrInvalid, "uploading files to Jenkins is not supported")
}
