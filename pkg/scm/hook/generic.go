// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/pattern"
	"github.com/slipway-dev/slipway/pkg/scm/repourl"
)

const (
	maxToken = 256
	// maxValue bounds the value of a variable, in bytes.
	maxValue = 4096
	// maxValues bounds the values of one variable.
	maxValues = 20
	// maxFilterText bounds what a request is filtered by, in bytes.
	maxFilterText = 256 << 10
)

// Request is a request that may start pipelines by a generic webhook.
type Request struct {
	Query  url.Values
	Header http.Header
	Body   []byte
}

// token finds the token where Jenkins' plugin does: in the query, in a header, or as a bearer token.
func (q Request) token() string {
	if token := q.Query.Get("token"); token != "" {
		return token
	}
	if token := q.Header.Get("Token"); token != "" {
		return token
	}
	return bearer(q.Header)
}

func bearer(h http.Header) string {
	scheme, token, _ := strings.Cut(strings.TrimSpace(h.Get("Authorization")), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// Generic starts the pipelines whose generic webhook has the token of the request. It returns before they
// are started, and in the same way whether there is any. The errors are ErrUnsigned, ErrBusy, and failures
// of the cache.
func (r *Receiver) Generic(ctx context.Context, q Request) error {
	token := q.token()
	if token == "" || len(token) > maxToken {
		return ErrUnsigned
	}
	list := &devopsv1alpha3.PipelineList{}
	if err := r.opts.Reader.List(ctx, list, client.MatchingFields{index.PipelineTriggerToken: index.TokenValue(token)}, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("find the pipelines of a token: %w", err)
	}
	if len(list.Items) == 0 {
		return nil
	}
	delivery := q.delivery()
	q.Body = nil // many may wait, and no variable is of the body
	return r.later(ctx, task{project: list.Items[0].Namespace, work: func(ctx context.Context) error {
		var errs []error
		for i := range list.Items {
			errs = append(errs, r.generic(ctx, &list.Items[i], q, delivery))
		}
		return errors.Join(errs...)
	}})
}

// delivery identifies a request, by what its sender calls it or else by a number: each request without a
// name starts a run.
func (q Request) delivery() string {
	for _, name := range []string{"Idempotency-Key", "X-GitHub-Delivery", "X-Gitlab-Event-UUID", "X-Gitea-Delivery", "X-Request-UUID"} {
		if id := q.Header.Get(name); id != "" && len(id) <= maxDelivery {
			// Senders give one name to what they send to several receivers.
			sum := sha256.Sum256(append([]byte(q.Query.Encode()+"\n"), q.Body...))
			return "generic/" + id + "/" + hex.EncodeToString(sum[:8])
		}
	}
	return "generic/" + uuid.NewString()
}

func (r *Receiver) generic(ctx context.Context, p *devopsv1alpha3.Pipeline, q Request, delivery string) error {
	g := p.Spec.Pipeline.GenericWebhook
	log := logr.FromContextOrDiscard(ctx).WithValues("namespace", p.Namespace, "pipeline", p.Name)
	variables, err := variablesOf(ctx, g, q)
	if err != nil {
		log.Info("the generic webhook does not start the pipeline", "reason", err.Error())
		return nil
	}
	wanted, err := passes(g, variables)
	if err != nil {
		log.Info("the generic webhook does not start the pipeline", "reason", err.Error())
		return nil
	}
	if !wanted {
		return nil
	}
	return r.start(ctx, p, start{what: []string{delivery}, delivery: delivery, parameters: parametersOf(p, variables)})
}

// variablesOf takes the variables out of a request, named as Jenkins' plugin names them: the key, and with
// a number behind it for each value. Keys of headers are in lower case with _ for -.
func variablesOf(ctx context.Context, g *devopsv1alpha3.GenericWebhook, q Request) (map[string]string, error) {
	variables := map[string]string{}
	add := func(name, filter string, values []string) error {
		if len(values) > maxValues {
			values = values[:maxValues]
		}
		for i, value := range values {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("the filters take too long: %w", err)
			}
			filtered, err := without(filter, value)
			if err != nil {
				return err
			}
			variables[name+"_"+strconv.Itoa(i)] = filtered
			if i == 0 {
				variables[name] = filtered
			}
		}
		return nil
	}
	for _, v := range g.RequestVariables {
		if err := add(v.Key, v.RegexpFilter, q.Query[v.Key]); err != nil {
			return nil, fmt.Errorf("request variable %q: %w", v.Key, err)
		}
	}
	for _, v := range g.HeaderVariables {
		if secretHeader(v.Key) {
			continue
		}
		name := strings.ToLower(strings.ReplaceAll(v.Key, "-", "_"))
		if err := add(name, v.RegexpFilter, q.Header.Values(v.Key)); err != nil {
			return nil, fmt.Errorf("header variable %q: %w", v.Key, err)
		}
	}
	return variables, nil
}

// secretHeader tells if a header is not for pipelines.
func secretHeader(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Authorization", "Cookie", "Token", "X-Authorization", "X-Kubesphere-Authorization", "X-Gitlab-Token":
		return true
	}
	return false
}

// without removes from a value what an expression finds.
func without(expression, value string) (string, error) {
	value = strings.ToValidUTF8(value[:min(len(value), maxValue)], "")
	if expression == "" {
		return value, nil
	}
	compiled, err := pattern.Compile(expression)
	if err != nil {
		return "", fmt.Errorf("regexp_filter: %w", err)
	}
	rest, err := compiled.Remove(value)
	if err != nil {
		return "", fmt.Errorf("regexp_filter: %w", err)
	}
	return rest, nil
}

// passes tells if the filter lets a request start the pipeline: the expression is to be found in the text,
// in which $name and ${name} stand for variables.
func passes(g *devopsv1alpha3.GenericWebhook, variables map[string]string) (bool, error) {
	if g.FilterExpression == "" {
		return true, nil
	}
	compiled, err := pattern.Compile(g.FilterExpression)
	if err != nil {
		return false, fmt.Errorf("filter_expression: %w", err)
	}
	left := maxFilterText - len(g.FilterText)
	text := ""
	if left >= 0 {
		text = os.Expand(g.FilterText, func(name string) string {
			if left -= len(variables[name]); left < 0 {
				return ""
			}
			return variables[name]
		})
	}
	if left < 0 {
		return false, fmt.Errorf("filter_text: it has more than %d bytes with its variables", maxFilterText)
	}
	found, err := compiled.Match(text)
	if err != nil {
		return false, fmt.Errorf("filter_expression: %w", err)
	}
	return found, nil
}

// parametersOf gives the variables that are parameters of the pipeline. Others would make the run fail; so
// would values that are none of a choice or no boolean. Passwords and files do not come by a webhook.
func parametersOf(p *devopsv1alpha3.Pipeline, variables map[string]string) []devopsv1alpha3.Parameter {
	type definition struct {
		kind    string
		choices []string
	}
	defined := map[string]definition{}
	if parsed, err := jenkinsfile.Parse(p.Spec.Pipeline.Jenkinsfile); err == nil {
		for _, d := range parsed.Parameters() {
			defined[d.Name] = definition{string(d.Type), d.Choices}
		}
	}
	for _, d := range p.Spec.Pipeline.Parameters {
		defined[d.Name] = definition{d.Type, strings.Split(strings.TrimRight(d.DefaultValue, "\n"), "\n")}
	}
	var out []devopsv1alpha3.Parameter
	for name, value := range variables {
		d, known := defined[name]
		switch {
		case !known:
		case d.kind == string(jenkinsfile.ParameterPassword), d.kind == string(jenkinsfile.ParameterFile):
		case d.kind == string(jenkinsfile.ParameterBoolean) && value != "true" && value != "false":
		case d.kind == string(jenkinsfile.ParameterChoice) && !slices.Contains(d.choices, value):
		default:
			out = append(out, devopsv1alpha3.Parameter{Name: name, Value: value})
		}
	}
	slices.SortFunc(out, func(a, b devopsv1alpha3.Parameter) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Notify tells that a repository has changed, as a hook of git itself does. The token is the server's
// secret. Pipelines with branches are asked to look for them; one without is started if the request says
// which commit is where now. Branches are short names with commas between. The errors are those of Deliver.
func (r *Receiver) Notify(ctx context.Context, address, branches, commit string, q Request) error {
	e := &Event{Provider: "git"}
	if e.is(address); len(e.Keys) == 0 {
		return fmt.Errorf("%w: give the address of the repository in the query, ?url=", ErrMalformed)
	}
	var g grant
	switch token := q.token(); {
	case token != "" && sameSecret(token, r.opts.Secret):
		g.everywhere = true
	case token != "":
		return ErrSignature
	case !r.opts.AllowUnsigned:
		return ErrUnsigned
	default:
		g.unsigned = true
	}
	if err := r.addNamed(ctx, e); err != nil {
		return err
	}
	for _, branch := range strings.Split(branches, ",") {
		if branch = strings.TrimSpace(branch); branch != "" && commit != "" && len(e.Changes) < maxChanges {
			e.Changes = append(e.Changes, changed("refs/heads/"+strings.TrimPrefix(branch, "refs/heads/"), "", commit)...)
		}
	}
	return r.later(ctx, task{work: func(ctx context.Context) error { return r.apply(ctx, e, g) }})
}

// addNamed adds the keys by which pipelines name a repository on a GitLab server of the list.
func (r *Receiver) addNamed(ctx context.Context, e *Event) error {
	servers, err := r.opts.Servers.List(ctx, "gitlab")
	if err != nil {
		return err
	}
	for _, s := range servers {
		path, ok := strings.CutPrefix(string(e.Keys[0]), strings.TrimSuffix(string(repourl.Of(s.URL+"/x")), "x"))
		if !ok {
			continue
		}
		e.Keys = append(e.Keys, repourl.Named(s.Name, path))
		if repourl.Host(s.URL) == "gitlab.com" {
			e.Keys = append(e.Keys, repourl.Named("", path), repourl.Named("default", path))
		}
	}
	return nil
}
