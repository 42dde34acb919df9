// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

const (
	scmTrigger     = "hudson.triggers.SCMTrigger"
	reverseTrigger = "jenkins.triggers.ReverseBuildTrigger"
	webhookTrigger = "com.igalg.jenkins.plugins.mswt.trigger.ComputedFolderWebHookTrigger"

	// pollTimeout bounds how long a repository may take to say where its branches are.
	pollTimeout = time.Minute
	// maxHookJobs bounds how many jobs one notification polls.
	maxHookJobs = 500
	// maxUpstreamNames bounds how many jobs may start another one by their ends.
	maxUpstreamNames = 500
	// maxHookBody bounds the form of a notification in bytes.
	maxHookBody = 1 << 20
)

// duePolls are the jobs whose schedule of polling has a minute from the first to the last one. s.mu is held.
func (s *Server) duePolls(from, to time.Time) []*item {
	if s.steps.polls == nil {
		s.steps.polls = map[uint64]*timerOf{}
	}
	for id := range s.steps.polls {
		if s.items[id] == nil {
			delete(s.steps.polls, id)
		}
	}
	var out []*item
	for id, job := range s.items {
		t := job.triggers()
		if !job.isJob() || job.cfg.disabled || !t.Poll || strings.TrimSpace(t.PollSpec) == "" {
			continue
		}
		known := s.steps.polls[id]
		if seed := job.fullName(); known == nil || known.text != t.PollSpec || known.seed != seed {
			known = s.newTimer(t.PollSpec, seed)
			s.steps.polls[id] = known
		}
		if known.due(from, to) {
			out = append(out, job)
		}
	}
	return out
}

// poll looks in the background whether the repositories of jobs have changed, and queues a build of each that has. s.mu is held.
func (s *Server) poll(jobs []*item) {
	for _, job := range jobs {
		if s.base == nil || s.quieting || s.steps.polling[job.ID] {
			continue
		}
		if s.steps.polling == nil {
			s.steps.polling = map[uint64]bool{}
		}
		s.steps.polling[job.ID] = true
		base, tenant := s.base, job.names()[0]
		s.wg.Add(1)
		go func() {
			defer s.wg.Done()
			defer func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				delete(s.steps.polling, job.ID)
			}()
			release, ok := s.scanSlots.take(base, tenant)
			if !ok {
				return
			}
			defer release()
			if err := s.pollJob(base, job); err != nil {
				klog.FromContext(base).V(1).Info("repository cannot be polled", "job", job.Name, "error", err.Error())
			}
		}()
	}
}

// pollJob asks where the branch of a job is, and queues a build if the last one was of another commit.
func (s *Server) pollJob(ctx context.Context, job *item) (err error) {
	o := (&buildRun{s: s, job: job}).origin()
	if o.scm.url == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	remote, err := s.openRemote(job, o.scm.url, o.scm.credentialsID)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remote.Close()) }()
	refs, err := remote.List(ctx)
	if err != nil {
		return err
	}
	head, ok := refs.Find(o.scm.branch)
	if !ok {
		return fmt.Errorf("branch %q is not there", o.scm.branch)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.items[job.ID] != job || job.cfg.disabled || len(job.line) > 0 {
		return nil // what waits will have the newest commit
	}
	for _, b := range job.history() {
		if b.Commit == head.Commit || b.Building && b.Commit == "" {
			return nil
		}
		if b.Commit != "" {
			break
		}
	}
	return s.startFor(job, store.Cause{SCM: true})
}

// startFor queues a build with the defaults of the parameters. s.mu is held.
func (s *Server) startFor(job *item, cause store.Cause) error {
	params, err := valuesOf(job.parameters(), nil)
	if err != nil {
		return err
	}
	_, _, err = s.enqueue(start{job: job, params: params, cause: cause, quiet: s.quietOf(job)})
	return err
}

// startDependents queues the jobs that have a build as their trigger upstream. again says that the server may have
// died behind that, before it had noted that the build is over. s.mu is held.
func (s *Server) startDependents(job *item, b *store.Build, again bool) {
	names := job.names()
	for _, other := range s.items {
		t := other.triggers()
		if t.Upstream == "" || !other.isJob() || other.cfg.disabled || severityOf(b.Result) > severityOf(t.Threshold) {
			continue
		}
		// Nobody pays for the long lists of others.
		if len(names) > 1 && other.names()[0] != names[0] {
			continue
		}
		list := strings.SplitN(t.Upstream, ",", maxUpstreamNames+1)
		if !slices.ContainsFunc(list[:min(len(list), maxUpstreamNames)], func(name string) bool {
			name = strings.TrimSpace(name)
			return name != "" && s.jobNear(other, name) == job
		}) {
			continue
		}
		up := &store.Upstream{Project: job.fullName(), Build: b.Number, URL: strings.TrimPrefix(job.path(), "/"), Depth: 1, Trigger: true}
		for _, c := range b.Causes {
			if c.Upstream != nil {
				up.Depth = max(up.Depth, c.Upstream.Depth+1)
			}
		}
		if up.Depth > maxUpstream {
			s.logger().Info("too many builds have started each other in a row", "job", other.fullName())
			continue
		}
		if s.startedIn(other.names()[0]) >= maxStarted {
			s.logger().Info("too many builds that others have started run or wait", "job", other.fullName())
			continue
		}
		if again && s.startedBy(other, up, b.Started) {
			continue
		}
		if err := s.startFor(other, store.Cause{Upstream: up}); err != nil {
			s.logger().Error(err, "job is not started by its upstream", "job", other.fullName())
		}
	}
}

// startedBy tells if a job was started by the end of a build already, which began at a time. s.mu is held.
func (s *Server) startedBy(job *item, up *store.Upstream, since time.Time) bool {
	of := func(causes []store.Cause) bool {
		return slices.ContainsFunc(causes, func(c store.Cause) bool {
			return c.Upstream != nil && c.Upstream.Trigger && c.Upstream.Project == up.Project && c.Upstream.Build == up.Build
		})
	}
	for _, q := range s.queue {
		if q.Job == job.ID && !q.Entered.Before(since) && of(q.Causes) {
			return true
		}
	}
	return slices.ContainsFunc(job.history(), func(o *store.Build) bool { return !o.Started.Before(since) && of(o.Causes) })
}

// isHook tells if a request is one of the hooks, which have tokens of their own and no crumbs.
func isHook(segs []string) bool {
	return len(segs) == 2 && (segs[0] == "git" && segs[1] == "notifyCommit" || segs[0] == "multibranch-webhook-trigger" && segs[1] == "invoke")
}

// hookToken tells if a token is one of an account, or made for one.
func (s *Server) hookToken(token string) bool {
	if token == "" {
		return false
	}
	for _, a := range s.cfg.Accounts {
		if a.Token != "" && same(a.Token, token) || s.tokenAccepted(a.Name, token) {
			return true
		}
	}
	return false
}

// gitRoutes serves /git/notifyCommit?url=…&branches=…&token=… of Jenkins' git plugin: the jobs of that repository that poll are polled, and its
// multi-branch jobs are scanned. The token is the API token of an account.
func (s *Server) gitRoutes(c *call) {
	if c.rest() != "notifyCommit" {
		fail404(c.w)
		return
	}
	if !c.form() {
		return
	}
	if !s.hookToken(c.r.Form.Get("token")) {
		failContainer(c.w, http.StatusUnauthorized,
			"An access token is required. Please refer to Git plugin documentation (https://plugins.jenkins.io/git/#plugin-content-push-notification-from-repository) for details.")
		return
	}
	address, branches := c.r.Form.Get("url"), strings.TrimSpace(c.r.Form.Get("branches"))
	if address == "" {
		failContainer(c.w, http.StatusBadRequest, "The 'url' parameter is required")
		return
	}
	lines := s.notifyCommit(address, branches)
	if len(lines) == 0 {
		shown := oneLine(withoutPassword(address))
		lines = []string{"No git jobs using repository: " + strings.TrimSpace(shown) + " and branches: " + strings.TrimSpace(oneLine(branches)),
			"No Git consumers using SCM API plugin for: " + strings.TrimSpace(shown)}
	}
	writePage(c.w, http.StatusOK, typeText, strings.Join(lines, "\n")+"\n")
}

func (s *Server) notifyCommit(address, branches string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var polled []*item
	var lines []string
	for _, it := range s.items {
		if it.cfg.disabled || len(lines) == maxHookJobs {
			continue
		}
		if it.isMulti() {
			if !slices.ContainsFunc(it.cfg.multi.remotes(), func(remote string) bool { return sameRepository(remote, address) }) {
				continue
			}
			if _, _, err := s.enqueue(start{job: it, cause: store.Cause{SCM: true}}); err == nil {
				lines = append(lines, "Scheduled indexing of "+fullDisplayName(it))
			}
			continue
		}
		remote, branch := it.cfg.scm.url, it.cfg.scm.branch
		if it.isBranch() {
			continue // its multi-branch job is scanned
		}
		if it.isJob() && it.triggers().Poll && sameRepository(remote, address) && coversBranch(branch, branches) {
			polled = append(polled, it)
			lines = append(lines, "Scheduled polling of "+fullDisplayName(it))
		}
	}
	s.poll(polled)
	slices.Sort(lines)
	return lines
}

// sameRepository compares addresses of repositories: the scheme, the user and the ending .git do not count.
func sameRepository(a, b string) bool {
	plain := func(address string) string {
		u, err := url.Parse(strings.TrimSpace(address))
		if err != nil || u.Path == "" {
			return ""
		}
		return strings.ToLower(u.Host) + strings.TrimSuffix(path.Clean("/"+u.Path), ".git")
	}
	x := plain(a)
	return x != "" && x == plain(b)
}

// coversBranch tells if the branch specification of a job fits one of the branches of a notification; none fits all.
func coversBranch(spec, branches string) bool {
	if branches == "" {
		return true
	}
	for _, prefix := range []string{"refs/heads/", "*/", "origin/"} {
		spec = strings.TrimPrefix(spec, prefix)
	}
	if spec == "" || spec == "**" || spec == "*" {
		return true
	}
	return slices.ContainsFunc(strings.Split(branches, ","), func(b string) bool {
		return globMatch(spec, strings.TrimPrefix(strings.TrimSpace(b), "refs/heads/"))
	})
}

// webhook serves /multibranch-webhook-trigger/invoke?token=… of the plugin of that name: the multi-branch jobs with the token are scanned.
func (s *Server) webhook(c *call) {
	if c.rest() != "invoke" {
		fail404(c.w)
		return
	}
	if !c.form() {
		return
	}
	token := c.r.Form.Get("token")
	if token == "" {
		token = c.r.Header.Get("token")
	}
	results := s.scanByToken(token)
	if len(results) == 0 {
		results["ANY"] = "Did not find any jobs with multibranch scan webhook trigger configured.you need to pass token like ...multibranch-webhook-trigger/invoke?token=TOKENHERE. "
	}
	body, err := json.Marshal(map[string]any{"status": "ok", "data": map[string]any{"triggerResults": results}})
	if err != nil {
		fail500(c.w, c.r, "the answer cannot be written")
		return
	}
	writePage(c.w, http.StatusOK, typeJSON, string(body))
}

func (s *Server) scanByToken(token string) map[string]any {
	results := map[string]any{}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, it := range s.items {
		if token == "" || !it.isMulti() || it.cfg.disabled || it.cfg.multi.sources == 0 || it.cfg.multi.webhook == "" || !same(it.cfg.multi.webhook, token) {
			continue
		}
		q, _, err := s.enqueue(start{job: it, cause: store.Cause{SCM: true}})
		if err != nil {
			s.logger().Error(err, "scan is not queued", "job", it.fullName())
			results[it.fullName()] = map[string]any{"url": nil, "id": 0, "triggered": false}
			continue
		}
		results[it.fullName()] = map[string]any{"url": fmt.Sprintf("queue/item/%d/", q.ID), "id": q.ID, "triggered": true}
	}
	return results
}
