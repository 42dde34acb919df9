// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// API tokens that users make for themselves, beside those of the configuration.

const (
	tokenProperty = "jenkins.security.ApiTokenProperty"
	// tokenVersion is what Jenkins' tokens begin with.
	tokenVersion = "11"
	// maxTokens bounds how many tokens a user may have.
	maxTokens = 100
	// maxTokenName bounds the name of a token in bytes.
	maxTokenName = 255
)

// tokens are those of all users, by user and UUID. Server.mu guards them.
type tokens map[string]map[string]*store.Token

func tokensOf(list []*store.Token) tokens {
	out := tokens{}
	for _, t := range list {
		out.put(t)
	}
	return out
}

func (m tokens) put(t *store.Token) {
	if m[t.User] == nil {
		m[t.User] = map[string]*store.Token{}
	}
	m[t.User][t.UUID] = t
}

// accepts tells if a password is the value of one of the user's tokens.
func (m tokens) accepts(user, value string) bool {
	if len(m[user]) == 0 {
		return false
	}
	sum := sha256.Sum256([]byte(value))
	found := false
	for _, t := range m[user] {
		if subtle.ConstantTimeCompare(sum[:], t.Hash) == 1 {
			found = true
		}
	}
	return found
}

// tokenAccepted is accepts for a request.
func (s *Server) tokenAccepted(user, value string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tokens.accepts(user, value)
}

// userProperty serves …/user/NAME/descriptorByName/jenkins.security.ApiTokenProperty/ACTION.
func (s *Server) userProperty(c *call, user string) {
	c.next() // descriptorByName
	if c.next() != tokenProperty || len(c.segs) != 1 {
		fail404(c.w)
		return
	}
	action := c.segs[0]
	if !c.post() || !c.form() {
		return
	}
	l := loginOf(c.r)
	if own := l.user == user; !own && (l.limited || action == "generateNewToken" || action == "rename") {
		// Nobody makes a token in the name of another.
		c.deny(mayAdminister)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch action {
	case "generateNewToken":
		s.newToken(c, user)
	case "revoke":
		s.revokeTokens(c, user, func(t *store.Token) bool { return t.UUID == c.r.Form.Get("tokenUuid") })
	case "revokeAll":
		s.revokeTokens(c, user, func(*store.Token) bool { return true })
	case "revokeAllExcept":
		s.revokeTokens(c, user, func(t *store.Token) bool { return t.UUID != c.r.Form.Get("tokenUuid") })
	case "rename":
		s.renameToken(c, user)
	default:
		fail404(c.w)
	}
}

// newToken makes a token and tells its value, this once. s.mu is held.
func (s *Server) newToken(c *call, user string) {
	name := c.r.Form.Get("newTokenName")
	switch {
	case len(name) > maxTokenName:
		failForm(c.w, "The name of the token is too long")
		return
	case len(s.tokens[user]) >= maxTokens:
		failForm(c.w, fmt.Sprintf("A user can have %d tokens at most", maxTokens))
		return
	}
	random := make([]byte, 16)
	_, _ = rand.Read(random)
	value := tokenVersion + hex.EncodeToString(random)
	sum := sha256.Sum256([]byte(value))
	created := s.now().UTC()
	t := &store.Token{UUID: uuid.NewString(), User: user, Hash: sum[:], Created: created,
		Name: cmp.Or(name, "Token created on "+created.Format(time.RFC3339))}
	if err := s.store.PutToken(t); err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	s.tokens.put(t)
	answerOK(c, bean("").in("tokenName", t.Name).in("tokenUuid", t.UUID).in("tokenValue", value))
}

// answerOK answers as Jenkins' HttpResponses.okJSON.
func answerOK(c *call, data *object) {
	body, err := renderAll(bean("").in("status", "ok").in("data", data))
	if err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	writePage(c.w, http.StatusOK, typeJSON, string(body))
}

func (s *Server) revokeTokens(c *call, user string, which func(*store.Token) bool) {
	for id, t := range s.tokens[user] {
		if !which(t) {
			continue
		}
		if err := s.store.DeleteToken(id); err != nil {
			fail500(c.w, c.r, err.Error())
			return
		}
		delete(s.tokens[user], id)
	}
	empty(c.w, http.StatusOK)
}

func (s *Server) renameToken(c *call, user string) {
	old := s.tokens[user][c.r.Form.Get("tokenUuid")]
	name := c.r.Form.Get("newName")
	if old == nil || name == "" || len(name) > maxTokenName {
		failForm(c.w, "There is no such token, or the name is not allowed")
		return
	}
	next := *old
	next.Name = name
	if err := s.store.PutToken(&next); err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	s.tokens.put(&next)
	answerOK(c, bean(""))
}

// user serves the remote API of a user and what users do with their tokens.
func (s *Server) user(c *call, name string) {
	known := slices.ContainsFunc(s.cfg.Accounts, func(a Account) bool { return a.Name == name })
	switch {
	case !known:
		fail404(c.w)
	case len(c.segs) > 1 && c.segs[0] == "descriptorByName":
		s.userProperty(c, name)
	case c.isAPI():
		show(c.w, c.r, bean("hudson.model.User").set("absoluteUrl", s.baseURL(c.r)+"/user/"+encodeSegment(name)).
			set("description", nil).set("fullName", name).set("id", name).set("property", []*object{bean(tokenProperty)}))
	default:
		fail404(c.w)
	}
}
