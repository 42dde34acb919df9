// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// call is one request. The body is kept in memory, so that the call can be sent again with a new crumb.
type call struct {
	op          string
	method      string
	path        string // escaped, below the base URL
	query       url.Values
	body        []byte
	contentType string
	accept      string // default */*; Blue Ocean answers 500 without one
}

const (
	formType = "application/x-www-form-urlencoded"
	xmlType  = "application/xml; charset=utf-8"
	jsonType = "application/json"
)

// maxErrorBody bounds what is read of an error page, in bytes. Jenkins' pages are some 90 KB, with the message at the end.
const maxErrorBody = 256 << 10

// answer is the whole answer to a call.
type answer struct {
	status   int
	header   http.Header
	location *url.URL // nil if there is none
	body     []byte
}

func answerOf(resp *http.Response, body []byte) *answer {
	a := &answer{status: resp.StatusCode, header: resp.Header, body: body}
	if loc, err := resp.Location(); err == nil {
		a.location = loc
	}
	return a
}

// do sends the call and returns the whole answer.
func (c *Client) do(ctx context.Context, r call) (*answer, error) {
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	t, err := c.enter(ctx, r.op)
	if err != nil {
		return nil, err
	}
	a, err := c.exchange(ctx, r)
	t.leave(caller, err)
	return a, err
}

// exchange sends the call, whatever the breaker says, and returns the whole answer.
func (c *Client) exchange(ctx context.Context, r call) (*answer, error) {
	resp, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.cfg.MaxBody+1))
	if err != nil {
		return nil, transportError(r.op, err)
	}
	if int64(len(body)) > c.cfg.MaxBody {
		return nil, newError(r.op, ErrTooLarge, "the answer is longer than %d bytes", c.cfg.MaxBody)
	}
	return answerOf(resp, body), nil
}

// stream sends the call and returns the answer with an open body. Each read must bring something within the timeout.
func (c *Client) stream(ctx context.Context, r call) (*http.Response, error) {
	caller := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	watch := time.AfterFunc(c.cfg.Timeout, func() { cancel(context.DeadlineExceeded) })
	var resp *http.Response
	t, err := c.enter(ctx, r.op)
	if err == nil {
		resp, err = c.send(ctx, r)
		// Jenkins' work is done with the header. How fast the body is read is up to the reader, who must not keep others from Jenkins.
		t.leave(caller, err)
	}
	if err != nil {
		watch.Stop()
		cancel(nil)
		return nil, err
	}
	resp.Body = &watchedBody{ReadCloser: resp.Body, op: r.op, ctx: ctx, cancel: cancel, watch: watch, timeout: c.cfg.Timeout,
		broken: func(err error) { t.report(caller, err) }}
	return resp, nil
}

// watchedBody ends a stream that brings nothing for longer than the timeout.
type watchedBody struct {
	io.ReadCloser
	op      string
	ctx     context.Context //nolint:containedctx // the lifetime of the body
	cancel  context.CancelCauseFunc
	watch   *time.Timer
	timeout time.Duration
	// broken is told of a stream that ends before its end.
	broken func(error)
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.watch.Reset(b.timeout)
	n, err := b.ReadCloser.Read(p)
	// The time that the reader takes for what it got is not Jenkins' fault.
	b.watch.Stop()
	if err != nil && err != io.EOF { //nolint:errorlint // the end of a reader is io.EOF itself; an error that wraps it is a broken connection
		if cause := context.Cause(b.ctx); cause != nil {
			err = cause
		}
		err = transportError(b.op, err)
		b.broken(err)
	}
	return n, err
}

func (b *watchedBody) Close() error {
	b.watch.Stop()
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}

// send sends the call, with a crumb if the login needs one, and turns every answer that is no success into an Error.
func (c *Client) send(ctx context.Context, r call) (*http.Response, error) {
	var used *crumb
	if c.usesCrumbs() && r.method != http.MethodGet {
		var err error
		if used, err = c.getCrumb(ctx, nil); err != nil {
			return nil, err
		}
	}
	resp, err := c.sendOnce(ctx, r, used)
	var e *Error
	if used == nil || !errors.As(err, &e) || e.Status != http.StatusForbidden {
		return resp, err
	}
	// The session may have ended: once more with a new crumb. If that is refused as well, the permission is missing.
	if used, err = c.getCrumb(ctx, used); err != nil {
		return nil, err
	}
	return c.sendOnce(ctx, r, used)
}

func (c *Client) sendOnce(ctx context.Context, r call, cr *crumb) (*http.Response, error) {
	target := c.base + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return nil, newError(r.op, ErrInvalid, "the address cannot be formed")
	}
	req.Header.Set("Accept", "*/*")
	if r.accept != "" {
		req.Header.Set("Accept", r.accept)
	}
	// Jenkins translates its messages; the kinds of errors are told from English ones.
	req.Header.Set("Accept-Language", "en")
	req.Header.Set("User-Agent", "slipway")
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	if c.cfg.Username != "" {
		secret := c.cfg.Token
		if secret == "" {
			secret = c.cfg.Password
		}
		req.SetBasicAuth(c.cfg.Username, secret)
	}
	if cr != nil && cr.field != "" {
		req.Header.Set(cr.field, cr.value)
	}
	began := time.Now()
	resp, err := c.http.Do(req)
	c.observe(r.op, resp, time.Since(began))
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, transportError(r.op, err)
	}
	if err := c.check(r, resp); err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	if c.restarts.see(resp.Header) && c.cfg.Observer != nil {
		c.cfg.Observer.Restarted()
	}
	return resp, nil
}

// observe tells the observer of a request that was sent; resp is nil if there was no answer.
func (c *Client) observe(op string, resp *http.Response, took time.Duration) {
	if c.cfg.Observer == nil {
		return
	}
	code := 0
	if resp != nil {
		code = resp.StatusCode
	}
	c.cfg.Observer.Request(op, code, took)
}

// check returns nil if the answer is a success. A redirect is a success of a POST only: a form leads to the page of its object.
func (c *Client) check(r call, resp *http.Response) error {
	if resp.StatusCode < 300 {
		return nil
	}
	if resp.StatusCode < 400 {
		return c.checkRedirect(r, resp)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil && len(body) == 0 {
		body = nil // the status alone has to do
	}
	e := statusError(r.op, answerOf(resp, body))
	if c.cfg.Token != "" && e.Status == http.StatusForbidden && strings.Contains(e.Message, "No valid crumb") {
		// A token needs no crumb. Only a Jenkins that has not loaded its users yet asks for one.
		e.kind = ErrUnavailable
	}
	return e
}

func (c *Client) checkRedirect(r call, resp *http.Response) error {
	loc, err := resp.Location()
	if err != nil {
		return &Error{Op: r.op, Status: resp.StatusCode, kind: ErrUnexpected, Message: "a redirect without an address"}
	}
	// A job or folder may be named like these pages, but it is never at the root. The pages that forms lead to have no query; that of a login
	// has, which a proxy may keep elsewhere.
	switch below := strings.TrimPrefix(loc.Path, c.prefix); {
	case below == "/login" || strings.HasPrefix(below, "/securityRealm/"), r.method == http.MethodPost && loc.RawQuery != "":
		return &Error{Op: r.op, Status: resp.StatusCode, kind: ErrUnauthorized, Message: "Jenkins asks for a login"}
	case r.method == http.MethodPost:
		return nil
	}
	return &Error{Op: r.op, Status: resp.StatusCode, kind: ErrUnexpected, Message: "unexpected redirect; check the configured URL"}
}

// getJSON reads a JSON answer into out.
func (c *Client) getJSON(ctx context.Context, op, p string, query url.Values, out any) error {
	a, err := c.do(ctx, call{op: op, method: http.MethodGet, path: p, query: query})
	if err != nil {
		return err
	}
	return decodeJSON(op, a, out)
}

// decodeJSON decodes an answer. A login page with status 200, as some proxies send it, is an error.
func decodeJSON(op string, a *answer, out any) error {
	if err := json.Unmarshal(a.body, out); err != nil {
		return &Error{Op: op, Status: a.status, kind: ErrUnexpected, cause: err,
			Message: "the answer is not the expected JSON: " + messageOf(a.header.Get("Content-Type"), a.body)}
	}
	return nil
}

// postForm posts values in the body.
func (c *Client) postForm(ctx context.Context, op, p string, form url.Values) (*answer, error) {
	return c.do(ctx, call{op: op, method: http.MethodPost, path: p, body: []byte(form.Encode()), contentType: formType})
}

// jsonMessage returns the message of a Blue Ocean error.
func jsonMessage(body []byte) string {
	var m struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &m) != nil {
		return ""
	}
	return m.Message
}

// crumb is Jenkins' token against forged requests: a header of a POST. An empty field means that crumbs are off.
type crumb struct{ field, value string }

// usesCrumbs reports whether POSTs need a crumb: a login by token does not.
func (c *Client) usesCrumbs() bool { return c.cfg.Token == "" && c.cfg.Username != "" }

// getCrumb returns the crumb of the session. It asks for a new one if there is none, or if the current one is stale.
func (c *Client) getCrumb(ctx context.Context, stale *crumb) (*crumb, error) {
	c.crumbMu.Lock()
	defer c.crumbMu.Unlock()
	if c.crumb != nil && c.crumb != stale {
		return c.crumb, nil
	}
	const op = "ask for a crumb"
	resp, err := c.sendOnce(ctx, call{op: op, method: http.MethodGet, path: "/crumbIssuer/api/json"}, nil)
	if errors.Is(err, ErrNotFound) {
		c.crumb = &crumb{}
		return c.crumb, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return nil, transportError(op, err)
	}
	var issued struct {
		Crumb string `json:"crumb"`
		Field string `json:"crumbRequestField"`
	}
	if err := decodeJSON(op, answerOf(resp, body), &issued); err != nil {
		return nil, err
	}
	c.crumb = &crumb{field: issued.Field, value: issued.Crumb}
	return c.crumb, nil
}
