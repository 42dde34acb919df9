// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/pkg/scm"
	"github.com/slipway-dev/slipway/pkg/scm/repourl"
)

// The failures of Parse.
var (
	// ErrOther says that a delivery is well-formed and nothing that is acted on.
	ErrOther = errors.New("an event that is not acted on")
	// ErrMalformed says that a delivery is none of a known kind of server.
	ErrMalformed = errors.New("it is no event of a source code server")
)

// Event is what is read of a delivery.
type Event struct {
	Provider scm.Provider
	// Delivery identifies the delivery at its sender; "" if the sender has no such thing.
	Delivery string
	// Said identifies what is said; "" if nothing does. Parse leaves it empty.
	Said string
	// Keys are all under which the repository may be known.
	Keys []repourl.Key
	// Server is the address of the server's pages; "" if the delivery does not tell it.
	Server string
	// Path is the repository's path on the server.
	Path string
	// Changes are what was pushed; none for a pull request.
	Changes []Change
}

// Change is a branch or tag that was pushed.
type Change struct {
	// Ref is its full name, refs/heads/… or refs/tags/….
	Ref string
	// Before and After are commits; "" for none.
	Before, After string
}

// What is read of a delivery is bounded: it may be of anybody, and is kept until it is dealt with.
const (
	// maxChanges bounds the branches and tags of one push that are looked at.
	maxChanges = 100
	// maxKeys bounds the addresses of the repository: each is looked for.
	maxKeys = 16
	// maxRef bounds the name of a branch or tag in bytes. Servers take no longer ones.
	maxRef = 1024
	// maxCommit bounds the name of a commit in bytes: SHA-256 has 64 hexadecimal digits.
	maxCommit = 64
)

// few is a list of which no more than maxChanges entries are read: a body may hold millions.
type few[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (f *few[T]) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if start, err := d.Token(); err != nil || start != json.Delim('[') {
		return errors.New("it is no list")
	}
	for len(*f) < maxChanges && d.More() {
		var item T
		if err := d.Decode(&item); err != nil {
			return err //nolint:wrapcheck // nobody is told
		}
		*f = append(*f, item)
	}
	return nil
}

// ProviderOf tells from the headers which kind of server a delivery is from; "" if from none.
func ProviderOf(h http.Header) scm.Provider {
	switch {
	// Gitea sends the headers of GitHub, too.
	case h.Get("X-Gitea-Event") != "":
		return scm.Gitea
	case h.Get("X-Gitlab-Event") != "":
		return scm.GitLab
	case h.Get("X-GitHub-Event") != "":
		return scm.GitHub
	}
	switch key := h.Get("X-Event-Key"); {
	case strings.HasPrefix(key, "pullrequest:"), key == "repo:push":
		return scm.BitbucketCloud
	case strings.HasPrefix(key, "pr:"), strings.HasPrefix(key, "repo:"), strings.HasPrefix(key, "diagnostics:"):
		return scm.BitbucketServer
	}
	return ""
}

// deliveryHeaders are where the kinds of servers identify a delivery.
var deliveryHeaders = map[scm.Provider][]string{
	scm.GitHub: {"X-GitHub-Delivery"}, scm.GitLab: {"X-Gitlab-Event-UUID", "Idempotency-Key"}, scm.Gitea: {"X-Gitea-Delivery"},
	scm.BitbucketCloud: {"X-Request-UUID"}, scm.BitbucketServer: {"X-Request-Id"},
}

const maxDelivery = 200

func deliveryOf(p scm.Provider, h http.Header) string {
	for _, name := range deliveryHeaders[p] {
		if id := h.Get(name); id != "" && len(id) <= maxDelivery {
			return id
		}
	}
	return ""
}

// Parse reads a delivery. Errors are ErrOther, with what can be said of the repository, and ErrMalformed.
func Parse(h http.Header, body []byte) (*Event, error) {
	p := ProviderOf(h)
	e := &Event{Provider: p, Delivery: deliveryOf(p, h)}
	data, err := payload(h, body)
	if err != nil {
		return nil, err
	}
	switch p {
	case scm.GitHub:
		err = e.github(h.Get("X-GitHub-Event"), data)
	case scm.Gitea:
		err = e.github(h.Get("X-Gitea-Event"), data)
	case scm.GitLab:
		err = e.gitlab(h.Get("X-Gitlab-Event"), data)
	case scm.BitbucketCloud:
		err = e.bitbucketCloud(h.Get("X-Event-Key"), data)
	case scm.BitbucketServer:
		err = e.bitbucketServer(h.Get("X-Event-Key"), data)
	default:
		return nil, fmt.Errorf("%w: no header names a kind of event that is known", ErrMalformed)
	}
	if errors.Is(err, ErrOther) {
		e.Changes = nil
		return e, err
	}
	if err != nil {
		return nil, err
	}
	if len(e.Keys) == 0 && e.Path == "" {
		return nil, fmt.Errorf("%w: it names no repository", ErrMalformed)
	}
	if len(e.Changes) > maxChanges {
		e.Changes = e.Changes[:maxChanges]
	}
	return e, nil
}

// payload finds the JSON in a body: GitHub and Gitea can be set to send it as a field of a form.
func payload(h http.Header, body []byte) ([]byte, error) {
	if !strings.HasPrefix(strings.ToLower(h.Get("Content-Type")), "application/x-www-form-urlencoded") {
		return body, nil
	}
	// Other fields are not read: there may be millions.
	for field := range bytes.SplitSeq(body, []byte("&")) {
		if value, ok := bytes.CutPrefix(field, []byte("payload=")); ok {
			if text, err := url.QueryUnescape(string(value)); err == nil && text != "" {
				return []byte(text), nil
			}
			break
		}
	}
	return nil, fmt.Errorf("%w: the form has no field payload", ErrMalformed)
}

func decode(data []byte, into any) error {
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%w: the body is not the JSON of one", ErrMalformed)
	}
	return nil
}

// commitOf gives a commit, "" for the zeros that stand for none and for what is none.
func commitOf(text string) string {
	if len(text) > maxCommit || strings.Trim(text, "0") == "" {
		return ""
	}
	return text
}

func changed(ref, before, after string) []Change {
	if len(ref) > maxRef || !strings.HasPrefix(ref, "refs/heads/") && !strings.HasPrefix(ref, "refs/tags/") {
		return nil
	}
	return []Change{{Ref: ref, Before: commitOf(before), After: commitOf(after)}}
}

// is sets under which addresses the repository is known.
func (e *Event) is(addresses ...string) {
	for _, address := range addresses {
		if len(e.Keys) >= maxKeys {
			return
		}
		if key := repourl.Of(address); key != "" && !slices.Contains(e.Keys, key) {
			e.Keys = append(e.Keys, key)
		}
	}
}

// at sets the server and the path from the address of the repository's page.
func (e *Event) at(page, path string) {
	if len(page) > repourl.MaxURL || len(path) > repourl.MaxURL {
		return
	}
	e.Path = strings.Trim(path, "/")
	if server, ok := strings.CutSuffix(strings.TrimRight(page, "/"), "/"+e.Path); ok && e.Path != "" {
		e.Server = server
	}
}

// github reads events of GitHub and of Gitea, which has taken them over.
func (e *Event) github(kind string, data []byte) error {
	var in struct {
		Ref    string `json:"ref"`
		Before string `json:"before"`
		After  string `json:"after"`
		Action string `json:"action"`
		Repo   struct {
			FullName string `json:"full_name"`
			HTMLURL  string `json:"html_url"`
			CloneURL string `json:"clone_url"`
			SSHURL   string `json:"ssh_url"`
			GitURL   string `json:"git_url"`
		} `json:"repository"`
	}
	err := decode(data, &in)
	// Also of a ping the repository is to be known: it says whose secret the ping may be signed with.
	e.is(in.Repo.CloneURL, in.Repo.SSHURL, in.Repo.HTMLURL, in.Repo.GitURL)
	e.at(in.Repo.HTMLURL, in.Repo.FullName)
	switch kind {
	case "push", "create", "delete", "pull_request", "pull_request_sync":
	default:
		return ErrOther
	}
	if err != nil {
		return err
	}
	if strings.HasPrefix(kind, "pull_request") && !buildsPullRequest(in.Action) {
		return ErrOther
	}
	if kind == "push" {
		if e.Changes = changed(in.Ref, in.Before, in.After); e.Changes == nil {
			return ErrOther
		}
	}
	return nil
}

// buildsPullRequest tells if an action changes which pull requests there are, or what is in them.
func buildsPullRequest(action string) bool {
	switch action {
	case "opened", "reopened", "closed", "synchronize", "synchronized", "edited":
		return true
	}
	return false
}

func (e *Event) gitlab(kind string, data []byte) error {
	var in struct {
		Kind    string `json:"object_kind"`
		Ref     string `json:"ref"`
		Before  string `json:"before"`
		After   string `json:"after"`
		Project struct {
			Path    string `json:"path_with_namespace"`
			WebURL  string `json:"web_url"`
			HTTPURL string `json:"git_http_url"`
			SSHURL  string `json:"git_ssh_url"`
		} `json:"project"`
		Attributes struct {
			Action string `json:"action"`
			// OldRevision is there if commits were pushed to the merge request.
			OldRevision string `json:"oldrev"`
		} `json:"object_attributes"`
	}
	err := decode(data, &in)
	e.is(in.Project.HTTPURL, in.Project.SSHURL, in.Project.WebURL)
	e.at(in.Project.WebURL, in.Project.Path)
	switch kind {
	case "Push Hook", "Tag Push Hook", "Merge Request Hook", "System Hook":
	default:
		return ErrOther
	}
	if err != nil {
		return err
	}
	switch in.Kind {
	case "push", "tag_push":
		if e.Changes = changed(in.Ref, in.Before, in.After); e.Changes == nil {
			return ErrOther
		}
		return nil
	case "merge_request":
		switch a := in.Attributes; {
		case a.Action == "open", a.Action == "reopen", a.Action == "close", a.Action == "merge", a.Action == "update" && a.OldRevision != "":
			return nil
		}
	}
	return ErrOther
}

func (e *Event) bitbucketCloud(kind string, data []byte) error {
	switch kind {
	case "repo:push", "pullrequest:created", "pullrequest:updated", "pullrequest:fulfilled", "pullrequest:rejected":
	default:
		return ErrOther
	}
	type ref struct {
		Type   string `json:"type"`
		Name   string `json:"name"`
		Target struct {
			Hash string `json:"hash"`
		} `json:"target"`
	}
	var in struct {
		Repo struct {
			FullName string `json:"full_name"`
			Links    struct {
				HTML struct {
					Href string `json:"href"`
				} `json:"html"`
			} `json:"links"`
		} `json:"repository"`
		Push struct {
			Changes few[struct {
				Old *ref `json:"old"`
				New *ref `json:"new"`
			}] `json:"changes"`
		} `json:"push"`
	}
	if err := decode(data, &in); err != nil {
		return err
	}
	page := in.Repo.Links.HTML.Href
	if page == "" && in.Repo.FullName != "" {
		page = "https://bitbucket.org/" + in.Repo.FullName
	}
	e.is(page)
	e.at(page, in.Repo.FullName)
	for _, c := range in.Push.Changes {
		var name, before, after string
		for _, side := range []*ref{c.Old, c.New} {
			if side == nil {
				continue
			}
			prefix := "refs/heads/"
			if side.Type == "tag" {
				prefix = "refs/tags/"
			}
			name = prefix + side.Name
		}
		if c.Old != nil {
			before = c.Old.Target.Hash
		}
		if c.New != nil {
			after = c.New.Target.Hash
		}
		e.Changes = append(e.Changes, changed(name, before, after)...)
	}
	return nil
}

// stashRepository is a repository as Bitbucket Server describes it. Older versions leave the links out.
type stashRepository struct {
	Slug    string `json:"slug"`
	Project struct {
		Key string `json:"key"`
	} `json:"project"`
	Links struct {
		Clone few[struct {
			Href string `json:"href"`
		}] `json:"clone"`
		Self few[struct {
			Href string `json:"href"`
		}] `json:"self"`
	} `json:"links"`
}

func (e *Event) bitbucketServer(kind string, data []byte) error {
	switch kind {
	case "repo:refs_changed", "pr:opened", "pr:from_ref_updated", "pr:modified", "pr:merged", "pr:declined", "pr:deleted":
	default:
		return ErrOther
	}
	var in struct {
		Repo    stashRepository `json:"repository"`
		Changes few[struct {
			Ref struct {
				ID string `json:"id"`
			} `json:"ref"`
			From string `json:"fromHash"`
			To   string `json:"toHash"`
		}] `json:"changes"`
		PullRequest struct {
			To struct {
				Repo stashRepository `json:"repository"`
			} `json:"toRef"`
		} `json:"pullRequest"`
	}
	if err := decode(data, &in); err != nil {
		return err
	}
	repo := in.Repo
	if kind != "repo:refs_changed" {
		repo = in.PullRequest.To.Repo
	}
	if repo.Project.Key == "" || repo.Slug == "" || len(repo.Project.Key)+len(repo.Slug) > repourl.MaxURL {
		return nil
	}
	e.Path = repo.Project.Key + "/" + repo.Slug
	for _, link := range repo.Links.Clone {
		e.is(link.Href)
	}
	for _, link := range repo.Links.Self {
		if e.Server == "" && len(link.Href) <= repourl.MaxURL {
			e.Server = stashServer(link.Href)
		}
	}
	if e.Server != "" {
		e.Keys = append(e.Keys, stashKeys(e.Server, e.Path)...)
	}
	for _, c := range in.Changes {
		e.Changes = append(e.Changes, changed(c.Ref.ID, c.From, c.To)...)
	}
	return nil
}

// stashServer finds the server's address in that of a repository's page.
func stashServer(page string) string {
	for _, middle := range []string{"/projects/", "/users/"} {
		if server, _, ok := strings.Cut(page, middle); ok {
			return server
		}
	}
	return ""
}

// stashKeys are those under which Bitbucket Server shows a repository over HTTP.
func stashKeys(server, path string) []repourl.Key {
	owner, slug, _ := strings.Cut(path, "/")
	keys := repourl.Hosted(server, "scm/"+path, "projects/"+owner+"/repos/"+slug, "projects/"+owner+"/repos/"+slug+"/browse")
	if person, ok := strings.CutPrefix(owner, "~"); ok {
		keys = append(keys, repourl.Hosted(server, "users/"+person+"/repos/"+slug, "users/"+person+"/repos/"+slug+"/browse")...)
	}
	return keys
}
