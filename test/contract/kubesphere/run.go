// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package kubesphere

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Family is one of the families of paths below which a project's objects are.
type Family string

// The families: of version 4 of the console, and of version 3.
const (
	Namespaces Family = "namespaces"
	DevOps     Family = "devops"
)

// Environment is what a run has to work with.
type Environment struct {
	// Base is the address of the server under test, Token the token of a user who may create projects.
	Base, Token string
	// OtherToken is that of a user without any right.
	OtherToken string
	// Git is the address of the repository of NeedGit.
	Git string
	// Agent is what stands behind `agent` in a Jenkinsfile of NeedAgent, such as `any`.
	Agent string
	// SCM is the address of the source code server of NeedSCM, SCMToken a token of it.
	SCM, SCMToken string
	// Sonar and S3 tell that the server under test has them.
	Sonar, S3 bool
	// Prepare makes in the namespace of a project what no route makes: the objects of NeedObjects. It may be nil.
	Prepare func(ctx context.Context, namespace string) error
	// Client sends the requests. Default: a client with a time limit of two minutes.
	Client *http.Client
}

// has tells whether a need is satisfied.
func (e *Environment) has(need Need) bool {
	switch need {
	case NeedGit:
		return e.Git != ""
	case NeedAgent:
		return e.Agent != ""
	case NeedSCM:
		return e.SCM != ""
	case NeedSonar:
		return e.Sonar
	case NeedOther:
		return e.OtherToken != ""
	case NeedS3:
		return e.S3
	case NeedObjects:
		return e.Prepare != nil
	}
	return false
}

// Options of a run.
type Options struct {
	// Cases are those to run.
	Cases []Case
	// Parallel is how many run at once. Default 6.
	Parallel int
	// Done is told of every case that has ended, one at a time. It may be nil.
	Done func(Outcome)
}

// Outcome is what a case gave in one family of paths.
type Outcome struct {
	// Case is the case's name, File the file that it is in.
	Case      string `json:"case"`
	File      string `json:"file"`
	Behaviour string `json:"behaviour"`
	Family    Family `json:"family"`
	// Checks is how many expectations held.
	Checks int `json:"checks"`
	// Routes are those that its requests took.
	Routes []string `json:"routes,omitempty"`
	// Skipped says what the case needs and does not have.
	Skipped string `json:"skipped,omitempty"`
	// Problem says what did not hold.
	Problem string `json:"problem,omitempty"`
	// Took is how long it took.
	Took time.Duration `json:"took"`
}

// Report is what a run gave.
type Report struct {
	Outcomes []Outcome `json:"outcomes"`
	// Missing are the routes of routes.yaml that no case that passed took.
	Missing []string `json:"missing,omitempty"`
}

// Checks is how many expectations held.
func (r *Report) Checks() int {
	n := 0
	for _, o := range r.Outcomes {
		n += o.Checks
	}
	return n
}

// Failed are the outcomes with a problem.
func (r *Report) Failed() []Outcome {
	return slices.DeleteFunc(slices.Clone(r.Outcomes), func(o Outcome) bool { return o.Problem == "" })
}

const (
	defaultParallel = 6
	clientTimeout   = 2 * time.Minute
	stepPoll        = 300 * time.Millisecond
	maxBody         = 64 << 20
	// maxConflicts bounds how often a case reads again what was changed.
	maxConflicts = 10
	// Workspace is where a run makes its projects.
	Workspace = "slipway-contract"
)

// Run makes a project for each family of paths, runs the cases in it and deletes it. The error is that of the
// set-up; what did not hold is in the report.
func Run(ctx context.Context, env Environment, options Options) (*Report, error) {
	if env.Client == nil {
		env.Client = &http.Client{Timeout: clientTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	routes, err := Routes()
	if err != nil {
		return nil, err
	}
	report := &Report{}
	slots := make(chan struct{}, max(options.Parallel, 1))
	if options.Parallel == 0 {
		slots = make(chan struct{}, defaultParallel)
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	var ends []func() error
	for _, family := range []Family{Namespaces, DevOps} {
		p, err := newProject(ctx, &env, family, routes)
		if err != nil {
			return nil, err
		}
		ends = append(ends, func() error { return p.remove(context.WithoutCancel(ctx)) })
		for _, c := range options.Cases {
			if c.Once && family != Namespaces {
				continue
			}
			group.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				outcome := p.run(ctx, c)
				mu.Lock()
				defer mu.Unlock()
				report.Outcomes = append(report.Outcomes, outcome)
				if options.Done != nil {
					options.Done(outcome)
				}
			})
		}
	}
	group.Wait()
	for _, end := range ends {
		err = errors.Join(err, end())
	}
	slices.SortFunc(report.Outcomes, func(a, b Outcome) int {
		return strings.Compare(a.File+"/"+a.Case+"/"+string(a.Family), b.File+"/"+b.Case+"/"+string(b.Family))
	})
	report.Missing = routes.missing(report)
	return report, err
}

// project is the project of one family of paths.
type project struct {
	env    *Environment
	family Family
	routes *RouteTable
	vars   map[string]string
}

const root = "/kapis/devops.kubesphere.io"

func newProject(ctx context.Context, env *Environment, family Family, routes *RouteTable) (*project, error) {
	p := &project{env: env, family: family, routes: routes, vars: map[string]string{
		"v1": root + "/v1alpha1", "v2": root + "/v1alpha2", "v3": root + "/v1alpha3", "ws": Workspace, "family": string(family),
		"git": env.Git, "agent": env.Agent, "scm": env.SCM, "scmtoken": env.SCMToken,
		"token": env.Token, "run": fmt.Sprintf("%x", time.Now().UnixNano()&0xffffff),
	}}
	p.vars["projects"] = p.vars["v3"] + "/workspaces/" + Workspace + "/" + string(family)
	made := Step{
		Do:     "POST <<projects>>",
		JSON:   map[string]any{"metadata": map[string]any{"generateName": "contract-<<family>>-<<run>>-"}, "spec": map[string]any{}},
		Expect: Expect{Status: []int{http.StatusOK, http.StatusCreated}},
		Save:   map[string]string{"ns": "metadata/name"},
	}
	ready := Step{
		Do: "GET <<projects>>/<<ns>>", Within: 60,
		Expect: Expect{JSON: map[string]any{"status": map[string]any{"adminNamespace": "re:."}}},
	}
	s := &session{project: p, vars: maps.Clone(p.vars)}
	for _, step := range []Step{made, ready} {
		if problem := s.do(ctx, step); problem != "" {
			return nil, fmt.Errorf("make a project in the family %s: %s", family, problem)
		}
	}
	p.vars["ns"] = s.vars["ns"]
	if env.Prepare != nil {
		if err := env.Prepare(ctx, p.vars["ns"]); err != nil {
			return nil, fmt.Errorf("prepare the project %s: %w", p.vars["ns"], err)
		}
	}
	p.vars["v2ns"] = p.vars["v2"] + "/" + string(family) + "/" + p.vars["ns"]
	p.vars["v3ns"] = p.vars["v3"] + "/" + string(family) + "/" + p.vars["ns"]
	return p, nil
}

func (p *project) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	s := &session{project: p, vars: maps.Clone(p.vars)}
	if problem := s.do(ctx, Step{Do: "DELETE <<projects>>/<<ns>>", Expect: Expect{JSON: map[string]any{"message": "success"}}}); problem != "" {
		return fmt.Errorf("delete the project %s: %s", p.vars["ns"], problem)
	}
	return nil
}

// run does one case.
func (p *project) run(ctx context.Context, c Case) Outcome {
	began := time.Now()
	o := Outcome{Case: c.Name, File: c.file, Behaviour: c.Behaviour, Family: p.family}
	for _, need := range c.Needs {
		if !p.env.has(need) {
			o.Skipped = fmt.Sprintf("it needs %s", need)
			return o
		}
	}
	s := &session{project: p, vars: maps.Clone(p.vars)}
	s.vars["id"] = c.Name + "-" + p.vars["run"]
	conflicts := 0
	for i := 0; i < len(c.Steps); i++ {
		problem := s.do(ctx, c.Steps[i])
		if problem == "" {
			continue
		}
		if c.Steps[i].Reread > 0 && s.code == http.StatusConflict && conflicts < maxConflicts {
			conflicts++
			i -= c.Steps[i].Reread + 1
			continue
		}
		o.Problem = fmt.Sprintf("step %d: %s", i+1, problem)
		break
	}
	for i, step := range c.Cleanup {
		if problem := s.do(context.WithoutCancel(ctx), step); problem != "" && o.Problem == "" {
			o.Problem = fmt.Sprintf("clean-up %d: %s", i+1, problem)
		}
	}
	o.Checks, o.Took = s.matcher.checks, time.Since(began)
	o.Routes = slices.Sorted(maps.Keys(s.routes))
	return o
}

// session does the steps of one case.
type session struct {
	*project
	vars    map[string]string
	matcher matcher
	routes  map[string]bool
	// code is the status of the last answer.
	code int
}

// answer is what a request gave.
type answer struct {
	code   int
	header http.Header
	body   []byte
}

// do does a step and gives what did not hold.
func (s *session) do(ctx context.Context, step Step) string {
	deadline := time.Now().Add(time.Duration(step.Within) * time.Second)
	for {
		before := s.matcher.checks
		problem, err := s.try(ctx, step)
		switch {
		case err != nil:
			return fmt.Sprintf("%s: %v", s.expand(step.Do), err)
		case problem == "":
			return ""
		case time.Now().After(deadline):
			return fmt.Sprintf("%s: %s", s.expand(step.Do), problem)
		}
		s.matcher.checks = before
		select {
		case <-ctx.Done():
			return fmt.Sprintf("%s: %s (%v)", s.expand(step.Do), problem, ctx.Err())
		case <-time.After(stepPoll):
		}
	}
}

// try sends the request once. The error is one that a repetition does not mend.
func (s *session) try(ctx context.Context, step Step) (problem string, err error) {
	req, err := s.request(ctx, step)
	if err != nil {
		return "", err
	}
	if unknown := variable.FindString(req.URL.String()); unknown != "" {
		return "", fmt.Errorf("the variable %s is not known", unknown)
	}
	resp, err := s.env.Client.Do(req)
	if err != nil {
		return err.Error(), nil
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return fmt.Sprintf("read the answer: %v", err), nil
	}
	if route := s.project.routes.find(req.Method, req.URL); route != "" {
		if s.routes == nil {
			s.routes = map[string]bool{}
		}
		s.routes[route] = true
	}
	s.code = resp.StatusCode
	a := answer{code: resp.StatusCode, header: resp.Header, body: body}
	if problem := s.compare(step.Expect, a); problem != "" {
		return problem, nil
	}
	for _, name := range slices.Sorted(maps.Keys(step.Save)) {
		value, err := a.part(s.expand(step.Save[name]))
		if err != nil {
			return fmt.Sprintf("save %s: %v", name, err), nil
		}
		s.vars[name] = value
	}
	return "", nil
}

func (s *session) compare(want Expect, got answer) string {
	statuses := want.Status
	if len(statuses) == 0 {
		statuses = []int{http.StatusOK}
	}
	s.matcher.checks++
	if !slices.Contains(statuses, got.code) {
		return fmt.Sprintf("want status %v, got %d: %s", statuses, got.code, clip(string(got.body), 800))
	}
	for _, name := range slices.Sorted(maps.Keys(want.Headers)) {
		var value any = absent{}
		if values := got.header.Values(name); len(values) > 0 {
			value = values[0]
		}
		if problem := s.matcher.match("header "+name, s.expandAny(want.Headers[name]), value); problem != "" {
			return problem
		}
	}
	if want.Text != nil {
		if problem := s.matcher.match("body", s.expandAny(want.Text), string(got.body)); problem != "" {
			return problem
		}
	}
	if want.JSON == nil {
		return ""
	}
	var value any
	if err := json.Unmarshal(got.body, &value); err != nil {
		return fmt.Sprintf("the body is not JSON: %s", clip(string(got.body), 400))
	}
	return s.matcher.match("body", s.expandAny(want.JSON), value)
}

// part gives what Step.Save names.
func (a answer) part(of string) (string, error) {
	if of == "text" {
		return string(a.body), nil
	}
	if name, ok := strings.CutPrefix(of, "header:"); ok {
		if a.header.Get(name) == "" {
			return "", fmt.Errorf("there is no header %s", name)
		}
		return a.header.Get(name), nil
	}
	var value any
	if err := json.Unmarshal(a.body, &value); err != nil {
		return "", fmt.Errorf("the body is not JSON: %w", err)
	}
	value, err := find(value, of)
	if err != nil {
		return "", err
	}
	switch value := value.(type) {
	case string:
		return value, nil
	default:
		text, err := json.Marshal(value)
		return string(text), err
	}
}

func (s *session) request(ctx context.Context, step Step) (*http.Request, error) {
	method, target, _ := strings.Cut(s.expand(step.Do), " ")
	body, kind, err := s.body(step)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(s.env.Base, "/")+target, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	switch step.As {
	case "":
		req.Header.Set("Authorization", "Bearer "+s.env.Token)
	case "other":
		req.Header.Set("Authorization", "Bearer "+s.env.OtherToken)
	}
	for name, value := range step.Headers {
		req.Header.Set(name, s.expand(value))
	}
	if step.Sign != nil {
		mac := hmac.New(sha256.New, []byte(s.expand(step.Sign.Key)))
		mac.Write(body)
		req.Header.Set(step.Sign.Header, "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	return req, nil
}

func (s *session) body(step Step) (content []byte, kind string, err error) {
	switch {
	case step.JSON != nil:
		content, err = json.Marshal(s.expandAny(step.JSON))
		return content, "application/json", err
	case step.Form != nil:
		form := url.Values{}
		for name, value := range step.Form {
			form.Set(name, s.expand(value))
		}
		return []byte(form.Encode()), "application/x-www-form-urlencoded", nil
	case step.Text != "":
		return []byte(s.expand(step.Text)), "text/plain", nil
	case step.Files == nil:
		return nil, "", nil
	}
	var buffer bytes.Buffer
	w := multipart.NewWriter(&buffer)
	for _, field := range slices.Sorted(maps.Keys(step.Files)) {
		file := step.Files[field]
		part, err := s.part(w, field, file.Name)
		if err == nil {
			_, err = io.WriteString(part, s.expand(file.Content))
		}
		if err != nil {
			return nil, "", fmt.Errorf("make multipart body: %w", err)
		}
	}
	err = w.Close()
	return buffer.Bytes(), w.FormDataContentType(), err
}

func (s *session) part(w *multipart.Writer, field, file string) (io.Writer, error) {
	if file == "" {
		return w.CreateFormField(field)
	}
	return w.CreateFormFile(field, s.expand(file))
}

var variable = regexp.MustCompile(`<<[a-zA-Z0-9]+>>`)

// expand puts in the variables. What is not known stays.
func (s *session) expand(text string) string {
	return variable.ReplaceAllStringFunc(text, func(name string) string {
		if value, ok := s.vars[strings.Trim(name, "<>")]; ok {
			return value
		}
		return name
	})
}

func (s *session) expandAny(value any) any {
	switch value := value.(type) {
	case string:
		return s.expand(value)
	case []any:
		list := make([]any, len(value))
		for i := range value {
			list[i] = s.expandAny(value[i])
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(value))
		for key := range value {
			object[s.expand(key)] = s.expandAny(value[key])
		}
		return object
	}
	return value
}
