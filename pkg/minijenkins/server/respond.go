// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"k8s.io/klog/v2"
)

const (
	// JenkinsVersion is the version whose wire format is spoken.
	JenkinsVersion = "2.541.2"

	typeJSON     = "application/json;charset=UTF-8"
	typeBlueFail = "application/json;charset=ISO-8859-1"
	typeHTML     = "text/html;charset=UTF-8"
	typeText     = "text/plain;charset=UTF-8"
)

// session tells one life of the process from another, as Jenkins does by this header.
var session = rand.Text()[:8]

// mark sets the headers that Jenkins' own pages carry; answers of the servlet container and plain
// redirects are without them.
func mark(w http.ResponseWriter) {
	h := w.Header()
	h.Set("X-Jenkins-Session", session)
	h.Set("X-Jenkins", JenkinsVersion)
	h.Set("X-Hudson", "1.395")
	h.Set("X-Content-Type-Options", "nosniff")
}

func writePage(w http.ResponseWriter, status int, contentType, body string) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

func page(title, main string) string {
	return "<!DOCTYPE html><html><head><title>" + html.EscapeString(title) + "</title></head><body>" + main + "</body></html>"
}

// visit answers with a page for people. Clients are redirected to such pages, too, after they changed something; some of them read the
// page of a Jenkins as JSON and call that a failure, so who does not ask for HTML gets an empty page.
func visit(c *call, title, main string) {
	mark(c.w)
	body := ""
	if strings.Contains(c.r.Header.Get("Accept"), "text/html") {
		body = page(title, main)
	}
	writePage(c.w, http.StatusOK, typeHTML, body)
}

// fail404 is the answer for what does not exist.
func fail404(w http.ResponseWriter) {
	mark(w)
	writePage(w, http.StatusNotFound, typeHTML,
		page("Not found - Jenkins", "<h1>Oops!</h1><p>This page may not exist, or you may not have permission to see it.</p>"))
}

// fail500 is what Jenkins answers where an exception was not caught; clients know the status of
// certain bad requests.
func fail500(w http.ResponseWriter, r *http.Request, reason string) {
	failOops(w, r, http.StatusInternalServerError, reason)
}

func failOops(w http.ResponseWriter, r *http.Request, status int, reason string) {
	mark(w)
	klog.FromContext(r.Context()).V(2).Info("request refused", "method", r.Method, "status", status, "reason", reason)
	writePage(w, status, typeHTML,
		page("Oops! - Jenkins", "<h1>Oops!</h1><h2>A problem occurred while processing the request</h2><p>"+html.EscapeString(reason)+"</p>"))
}

// failForm is the error page of a form: the message stands in the page and in X-Error, unless it
// holds characters that ISO 8859-1, the encoding of headers, does not have.
func failForm(w http.ResponseWriter, message string) {
	mark(w)
	latin, ok := make([]byte, 0, len(message)), true
	for _, r := range message {
		if ok = ok && r >= ' ' && r <= 0xff && (r < 0x7f || r > 0x9f); !ok {
			break
		}
		latin = append(latin, byte(r))
	}
	if ok {
		w.Header().Set("X-Error", string(latin))
	}
	writePage(w, http.StatusBadRequest, typeHTML, page("Error - Jenkins", "<h1>Error</h1><p>"+html.EscapeString(message)+"</p>"))
}

// failContainer is an error page of the servlet container.
func failContainer(w http.ResponseWriter, status int, message string) {
	writePage(w, status, "text/html;charset=utf-8", page(strconv.Itoa(status), "<h1>HTTP Status "+strconv.Itoa(status)+"</h1><p>"+html.EscapeString(message)+"</p>"))
}

// failBlue is an error of Blue Ocean.
func failBlue(w http.ResponseWriter, status int, message string) {
	body, err := json.Marshal(struct {
		Message string   `json:"message"`
		Code    int      `json:"code"`
		Errors  []string `json:"errors"`
	}{message, status, []string{}})
	if err != nil {
		body = []byte(`{"message":"","code":500,"errors":[]}`)
	}
	writePage(w, status, typeBlueFail, string(body))
}

// failPost is the answer to a GET on an address that needs POST.
func failPost(w http.ResponseWriter) {
	mark(w)
	writePage(w, http.StatusMethodNotAllowed, typeHTML, page("POST required - Jenkins", "<h1>This URL requires POST</h1>"))
}

// redirect sends a 302 without a body. The target is a path that is already encoded.
func redirect(w http.ResponseWriter, target string) {
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusFound)
}

// empty answers without a body.
func empty(w http.ResponseWriter, status int) { w.WriteHeader(status) }

// render is what an object, or a list of objects, looks like through the filter of a request.
func render(r *http.Request, v any) ([]byte, error) {
	q := r.URL.Query()
	p, err := choosePruner(q.Get("tree"), q.Get("depth"))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = renderJSON(&b, v, p)
	return b.Bytes(), err
}

// show answers with an object, or a list of objects, through the filter of the request. It must not
// be called while Server.mu is held: a slow client would hold it.
func show(w http.ResponseWriter, r *http.Request, v any) {
	body, err := render(r, v)
	if err != nil {
		fail500(w, r, err.Error())
		return
	}
	writeAPI(w, r, body)
}

func writeJSON(w http.ResponseWriter, q url.Values, body []byte) {
	if q.Get("pretty") == "true" {
		var b bytes.Buffer
		if json.Indent(&b, body, "", "  ") == nil {
			body = b.Bytes()
		}
	}
	mark(w)
	writePage(w, http.StatusOK, typeJSON, string(body))
}

// encodeSegments encodes names for a path.
func encodeSegments(prefix string, names []string) string {
	var b strings.Builder
	for _, n := range names {
		b.WriteString(prefix)
		b.WriteString(encodeSegment(n))
		b.WriteByte('/')
	}
	return b.String()
}

// encodeNames encodes the names of an item for its path, in which Jenkins leaves a plus sign as it is.
func encodeNames(names []string) string {
	return strings.ReplaceAll(encodeSegments("job/", names), "%2B", "+")
}

// encodeSegment encodes a name as a path segment the way Jenkins does: only what must be.
func encodeSegment(s string) string { return strings.ReplaceAll(url.PathEscape(s), "+", "%2B") }
