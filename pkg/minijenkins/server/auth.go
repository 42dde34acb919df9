// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// Account is a user.
type Account struct {
	Name string
	// Token is an API token: requests with it need no crumb.
	Token string
	// Password, if not empty, works as well; requests with it that change something need a crumb and
	// the session cookie that came with it.
	Password string
	// Limited users may read, start and stop builds and answer inputs; others may do anything.
	Limited bool
}

const (
	crumbField    = "Jenkins-Crumb"
	sessionCookie = "JSESSIONID.minijenkins"
	anonymousName = "anonymous"
)

// login is who sends a request.
type login struct {
	user string
	// byToken says that the API token was used, limited is the account's.
	byToken, limited bool
}

func (l login) anonymous() bool { return l.user == "" }

type loginKey struct{}

func loginOf(r *http.Request) login {
	l, _ := r.Context().Value(loginKey{}).(login)
	return l
}

func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// authenticate checks the credentials of a request; ok is false if they are wrong.
func (s *Server) authenticate(r *http.Request) (l login, ok bool) {
	if r.Header.Get("Authorization") == "" {
		return login{}, true
	}
	user, pass, given := r.BasicAuth()
	if !given || pass == "" {
		return login{}, false
	}
	for _, a := range s.cfg.Accounts {
		if !same(a.Name, user) {
			continue
		}
		if a.Token != "" && same(a.Token, pass) {
			return login{user: a.Name, byToken: true, limited: a.Limited}, true
		}
		if a.Password != "" && same(a.Password, pass) {
			return login{user: a.Name, limited: a.Limited}, true
		}
		if s.tokenAccepted(a.Name, pass) {
			return login{user: a.Name, byToken: true, limited: a.Limited}, true
		}
	}
	return login{}, false
}

// crumb is bound to the user and the session.
func (s *Server) crumb(user, session string) string {
	m := hmac.New(sha256.New, s.store.Secret())
	m.Write([]byte("crumb\x00" + user + "\x00" + session))
	return hex.EncodeToString(m.Sum(nil))
}

// crumbOK tells if a request may change something.
func (s *Server) crumbOK(r *http.Request, l login) bool {
	if l.byToken {
		return true
	}
	c, err := r.Cookie(sessionCookie)
	if l.anonymous() || err != nil {
		return false
	}
	given := r.Header.Get(crumbField)
	if given == "" {
		given = r.FormValue(crumbField)
	}
	return given != "" && same(given, s.crumb(l.user, c.Value))
}

// serveCrumb answers crumbIssuer.
func (s *Server) serveCrumb(w http.ResponseWriter, r *http.Request) {
	var session string
	if c, err := r.Cookie(sessionCookie); err == nil {
		session = c.Value
	} else {
		id := make([]byte, 16)
		_, _ = rand.Read(id)
		session = hex.EncodeToString(id)
		http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: session, Path: "/", HttpOnly: true, //nolint:gosec // Secure where TLS is
			Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode})
	}
	show(w, r, bean("hudson.security.csrf.DefaultCrumbIssuer").
		set("crumb", s.crumb(loginOf(r).user, session)).
		set("crumbRequestField", crumbField))
}

// guard authenticates and refuses; it returns the request with the login, nil if it has answered.
func (s *Server) guard(w http.ResponseWriter, r *http.Request, segs []string) *http.Request {
	l, ok := s.authenticate(r)
	if !ok {
		w.Header().Set("WWW-Authenticate", `Basic realm="Jenkins"`)
		failContainer(w, http.StatusUnauthorized, "Unauthorized")
		return nil
	}
	r = r.WithContext(context.WithValue(r.Context(), loginKey{}, l))
	if isHook(segs) {
		return r
	}
	blue := len(segs) > 1 && segs[0] == "blue"
	// The converter changes nothing and needs no crumb.
	converts := len(segs) > 0 && segs[0] == "pipeline-model-converter"
	if l.anonymous() && !isOpen(segs) && (!changes(r) || converts) {
		if blue {
			failBlue(w, http.StatusForbidden, "Forbidden")
			return nil
		}
		target := "/login?from=" + url.QueryEscape(r.URL.EscapedPath())
		mark(w)
		writePage(w, http.StatusForbidden, typeHTML, "<html><head><meta http-equiv='refresh' content='1;url="+target+
			"'/></head><body>\nAuthentication required\n</body></html>")
		return nil
	}
	if changes(r) && !s.crumbOK(r, l) && !converts {
		failContainer(w, http.StatusForbidden, "No valid crumb was included in the request")
		return nil
	}
	return r
}

// changes tells if a request needs a crumb. Jenkins asks for one on POST; PUT and DELETE by an
// anonymous or password login are held to the same here.
func changes(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	return true
}

// isOpen tells if anyone may see the page.
func isOpen(segs []string) bool {
	return len(segs) > 0 && (segs[0] == "login" || segs[0] == "whoAmI")
}

// isForm tells if a request has a form body.
func isForm(r *http.Request) bool { return mediaType(r) == "application/x-www-form-urlencoded" }

func mediaType(r *http.Request) string {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		t, _, _ = strings.Cut(r.Header.Get("Content-Type"), ";")
		t = strings.ToLower(strings.TrimSpace(t))
	}
	return t
}
