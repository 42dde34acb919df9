// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

func abortBy(user string) *engine.AbortError { return &engine.AbortError{User: user} }

// jobAction serves what is below a job: starts, builds, the stage view API.
func (s *Server) jobAction(c *call, it *item) {
	switch c.segs[0] {
	case "build", "buildWithParameters":
		if len(c.segs) > 1 {
			fail404(c.w)
			return
		}
		if c.r.Method != http.MethodPost {
			mark(c.w)
			c.w.Header().Set("Allow", "POST")
			writePage(c.w, http.StatusMethodNotAllowed, typeHTML, page("POST required", "You must use POST method to trigger builds."))
			return
		}
		if c.form() {
			s.startClassic(c, it, c.segs[0] == "buildWithParameters")
		}
	case "wfapi":
		s.jobWfapi(c, it)
	case "nextbuildnumber":
		if c.rest() != "nextbuildnumber/submit" {
			fail404(c.w)
			return
		}
		if c.post() && c.form() {
			s.setNextBuild(c, it)
		}
	case "doWipeOutWorkspace":
		refuse(c, "workspace to wipe out; a build has that of its agent, which ends with it")
	default:
		s.buildRoutes(c, it)
	}
}

// setNextBuild sets the number of the next build, as the plugin next-build-number does: one that is not above the last is ignored.
func (s *Server) setNextBuild(c *call, it *item) {
	n, err := strconv.Atoi(c.r.Form.Get("nextBuildNumber"))
	if err != nil {
		// Python sends the field without the type of a form.
		var text string
		if body, ok := c.readBody(); ok {
			text, _ = strings.CutPrefix(strings.TrimSpace(string(body)), "nextBuildNumber=")
		}
		n, err = strconv.Atoi(text)
	}
	const most = 1 << 30
	if err != nil || n < 1 || n > most {
		failForm(c.w, "The next build number must be a number")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.items[it.ID] != it {
		fail404(c.w)
		return
	}
	if n > it.NextBuild {
		next := *it.Item
		next.NextBuild = n
		if err := s.store.PutItem(&next); err != nil {
			fail500(c.w, c.r, err.Error())
			return
		}
		it.NextBuild = n
	}
	redirect(c.w, c.view+it.path())
}

// startClassic serves build and buildWithParameters.
func (s *Server) startClassic(c *call, it *item, withParameters bool) {
	q := c.r.Form
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.items[it.ID] != it {
		fail404(c.w)
		return
	}
	if it.cfg.disabled {
		failContainer(c.w, http.StatusConflict, it.fullName()+" is not buildable")
		return
	}
	defs := it.parameters()
	var values []store.Param
	var err error
	byForm := false
	switch {
	case withParameters && len(defs) == 0:
		failContainer(c.w, http.StatusBadRequest, it.fullName()+" is not parameterized")
		return
	case withParameters:
		values, err = valuesFromForm(defs, q)
	case len(defs) > 0 && q.Get("json") == "":
		failContainer(c.w, http.StatusBadRequest, "Nothing is submitted")
		return
	case len(defs) > 0:
		byForm = true
		values, err = valuesFromJSON(defs, []byte(q.Get("json")))
	}
	if err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	quiet, err := parseDelay(q.Get("delay"), s.quietOf(it))
	if err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	item, existed, err := s.enqueue(start{job: it, params: values, cause: s.cause(c.r, it), quiet: quiet})
	if err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	base := s.baseURL(c.r)
	c.w.Header().Set("Location", base+"/queue/item/"+strconv.FormatInt(item.ID, 10)+"/")
	switch {
	case byForm:
		c.w.Header().Set("Location", base+it.path())
		empty(c.w, http.StatusCreated)
	case existed:
		empty(c.w, http.StatusSeeOther)
	default:
		empty(c.w, http.StatusCreated)
	}
}

// cause is the cause of a start: remote if the request carries the job's token, else the user.
func (s *Server) cause(r *http.Request, it *item) store.Cause {
	if t := r.Form.Get("token"); t != "" && it.cfg.authToken != "" && same(t, it.cfg.authToken) {
		addr, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			addr = r.RemoteAddr
		}
		return store.Cause{Remote: true, Addr: addr, Note: r.Form.Get("cause")}
	}
	return store.Cause{User: loginOf(r).user}
}

var errChoice = errors.New("the value is not one of the choices")

// value makes the value of a parameter from text.
func value(d jenkinsfile.Parameter, text string) (store.Param, error) {
	p := store.Param{Name: d.Name, Type: d.Type, Value: text}
	switch d.Type {
	case jenkinsfile.ParameterBoolean:
		p.Value = strconv.FormatBool(strings.EqualFold(text, "true"))
	case jenkinsfile.ParameterChoice:
		if !slices.Contains(d.Choices, text) {
			return p, fmt.Errorf("parameter %s: %w", d.Name, errChoice)
		}
	case jenkinsfile.ParameterString:
		if d.Trim {
			p.Value = strings.TrimSpace(text)
		}
	}
	return p, nil
}

// valuesFromForm gives every parameter its value in the form or its default; what is not defined is
// dropped.
func valuesFromForm(defs []jenkinsfile.Parameter, form url.Values) ([]store.Param, error) {
	var out []store.Param
	for _, d := range defs {
		text := d.Default
		if v, ok := form[d.Name]; ok && len(v) > 0 {
			text = v[0]
		} else if d.Type == jenkinsfile.ParameterFile {
			continue
		}
		p, err := value(d, text)
		if err != nil && (d.Type != jenkinsfile.ParameterChoice || len(d.Choices) > 0) {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// givenParam is a parameter in a JSON body. Its value may be of any simple type.
type givenParam struct {
	Name  string `json:"name"`
	Value any    `json:"value"`
}

func (g givenParam) text() string {
	switch v := g.Value.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return fmt.Sprint(v)
	}
}

// valuesFromJSON reads the field json of the form of a job with parameters.
func valuesFromJSON(defs []jenkinsfile.Parameter, data []byte) ([]store.Param, error) {
	var f struct {
		Parameter json.RawMessage `json:"parameter"`
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("json: %w", err)
	}
	var given []givenParam
	if len(f.Parameter) > 0 && f.Parameter[0] == '{' {
		given = make([]givenParam, 1)
		if err := json.Unmarshal(f.Parameter, &given[0]); err != nil {
			return nil, fmt.Errorf("json: %w", err)
		}
	} else if len(f.Parameter) > 0 {
		if err := json.Unmarshal(f.Parameter, &given); err != nil {
			return nil, fmt.Errorf("json: %w", err)
		}
	}
	return valuesOf(defs, given)
}

// errUndefined says that a parameter is not defined.
type errUndefined struct{ name string }

func (e errUndefined) Error() string { return "No such parameter definition: " + e.name }

// valuesOf makes values of the given parameters, in their order, then of the defaults of the others.
func valuesOf(defs []jenkinsfile.Parameter, given []givenParam) ([]store.Param, error) {
	var out []store.Param
	seen := map[string]bool{}
	for _, g := range given {
		i := slices.IndexFunc(defs, func(d jenkinsfile.Parameter) bool { return d.Name == g.Name })
		if i < 0 {
			return nil, errUndefined{g.Name}
		}
		p, err := value(defs[i], g.text())
		if err != nil {
			return nil, err
		}
		seen[g.Name] = true
		out = append(out, p)
	}
	for _, d := range defs {
		if seen[d.Name] || d.Type == jenkinsfile.ParameterFile {
			continue
		}
		out = append(out, store.Param{Name: d.Name, Type: d.Type, Value: d.Default})
	}
	return out, nil
}
