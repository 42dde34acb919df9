// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/gitremote"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// changesTimeout bounds how long the changes of a build are looked for.
const changesTimeout = 2 * time.Minute

// changesGrace is how long a build that is over waits for its changes.
const changesGrace = 10 * time.Second

// beginChanges looks in the background for the commits since the build before; the script may ask for them, and the API shows them. The first
// function is RunSpec.Changes, nil if the Jenkinsfile did not come from a repository; the second waits for the end of the search.
func (r *buildRun) beginChanges(scm *engine.SCM) (func(context.Context) ([]engine.Change, error), func()) {
	if scm == nil || scm.Commit == "" {
		return nil, func() {}
	}
	ctx, cancel := context.WithCancel(r.ctx)
	done := make(chan struct{})
	var list []engine.Change
	var err error
	go func() {
		defer close(done)
		list, err = r.findChanges(ctx, scm.Commit)
	}()
	ask := func(ctx context.Context) ([]engine.Change, error) {
		select {
		case <-done:
			return list, err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return ask, func() {
		// A build does not stay for a slow server; its changes are not known then.
		waitFor(done, changesGrace)
		cancel()
		<-done
	}
}

// commitsBefore are the commits of the last build before and of the last successful one; empty without one.
func (r *buildRun) commitsBefore() (last, good string) {
	r.s.mu.RLock()
	defer r.s.mu.RUnlock()
	for _, b := range r.job.history() {
		if b.Number >= r.key.Number || b.Commit == "" {
			continue
		}
		if last == "" {
			last = b.Commit
		}
		if b.Result == engine.ResultSuccess {
			return last, b.Commit
		}
	}
	return last, good
}

// findChanges gives the commits since the build before and keeps them. The first build has none, as in Jenkins.
func (r *buildRun) findChanges(ctx context.Context, commit string) ([]engine.Change, error) {
	s := r.s
	if list, known, err := s.store.Changes(r.key); known || err != nil {
		return list, err
	}
	since, _ := r.commitsBefore()
	list := []engine.Change{}
	if since != "" && since != commit {
		commits, err := r.commitsSince(ctx, since, commit)
		if errors.Is(err, gitremote.ErrNotFound) {
			klog.FromContext(r.ctx).V(1).Info("the commit of the build before is gone", "job", r.jobName, "number", r.key.Number, "commit", since)
			err = nil
		}
		if err != nil {
			klog.FromContext(r.ctx).Error(err, "changes cannot be read", "job", r.jobName, "number", r.key.Number)
			return nil, err
		}
		for _, c := range commits {
			list = append(list, engine.Change{ID: c.ID, Author: c.Author, Email: c.Email, Time: c.Time, Message: c.Message, Paths: c.Paths})
		}
	}
	if err := s.store.PutChanges(r.key, list); err != nil {
		return nil, err
	}
	s.changes.forget(r.key)
	return list, nil
}

func (r *buildRun) commitsSince(ctx context.Context, since, commit string) (list []gitremote.Commit, err error) {
	o := r.origin()
	ctx, cancel := context.WithTimeout(ctx, changesTimeout)
	defer cancel()
	remote, err := r.s.openRemote(r.job, o.scm.url, o.scm.credentialsID)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, remote.Close()) }()
	refs, err := remote.List(ctx)
	if err != nil {
		return nil, err
	}
	head, ok := refs.Find(o.scm.branch)
	if !ok {
		return nil, fmt.Errorf("branch %q: %w", o.scm.branch, gitremote.ErrNotFound)
	}
	return remote.Log(ctx, head, commit, since)
}

// changesOf are the commits that are new in a build, as far as they are known.
func (s *Server) changesOf(b *store.Build) []engine.Change {
	list, err := s.changes.of(b)
	if err != nil {
		s.logger().Error(err, "changes cannot be read", "build", b.Number)
	}
	return list
}

// changeSetBeans is changeSets of a build.
func (s *Server) changeSetBeans(b *store.Build) []*object {
	items := []*object{}
	for _, ch := range s.changesOf(b) {
		first, _, _ := strings.Cut(ch.Message, "\n")
		paths := make([]*object, len(ch.Paths))
		for i, p := range ch.Paths {
			paths[i] = bean("").set("file", p)
		}
		items = append(items, bean("hudson.plugins.git.GitChangeSet").
			vis(3, "affectedPaths", ch.Paths).vis(3, "commitId", ch.ID).vis(3, "timestamp", ch.Time.UnixMilli()).
			vis(3, "author", bean("").set("absoluteUrl", s.buildURLBase()+"/user/"+url.PathEscape(userID(ch.Author))).set("fullName", ch.Author)).
			vis(3, "authorEmail", ch.Email).vis(3, "comment", ch.Message).vis(3, "date", ch.Time.UTC().Format("2006-01-02 15:04:05 -0700")).
			vis(3, "id", ch.ID).vis(3, "msg", first).vis(3, "paths", paths))
	}
	if len(items) == 0 {
		return items
	}
	return []*object{bean("hudson.plugins.git.GitChangeSetList").vis(2, "items", items).vis(2, "kind", "git")}
}

// culpritBeans are the authors of the changes of a build.
func (s *Server) culpritBeans(b *store.Build) []*object {
	seen, out := map[string]bool{}, []*object{}
	for _, ch := range s.changesOf(b) {
		if seen[ch.Author] {
			continue
		}
		seen[ch.Author] = true
		out = append(out, bean("").set("absoluteUrl", s.buildURLBase()+"/user/"+url.PathEscape(userID(ch.Author))).set("fullName", ch.Author))
	}
	return out
}

// userID is the ID that Jenkins makes up for an author.
func userID(author string) string { return strings.ToLower(strings.Map(idRune, author)) }

func idRune(r rune) rune {
	if strings.ContainsRune(`\/:*?"<>| `, r) {
		return '_'
	}
	return r
}

// blueChangeSet is changeSet of a build in Blue Ocean.
func (s *Server) blueChangeSet(it *item, b *store.Build) []*object {
	self, out := runPath(it, b)+"changeSet/", []*object{}
	for _, ch := range s.changesOf(b) {
		first, _, _ := strings.Cut(ch.Message, "\n")
		user := "/blue/rest/users/" + url.PathEscape(userID(ch.Author)) + "/"
		out = append(out, bean("io.jenkins.blueocean.service.embedded.rest.ChangeSetResource").in("_links", links("self", self+ch.ID+"/")).
			in("affectedPaths", ch.Paths).
			in("author", bean("io.jenkins.blueocean.service.embedded.rest.UserImpl").in("_links", links("favorites", user+"favorites/", "self", user)).
				in("avatar", nil).in("email", nullIfEmpty(ch.Email)).in("fullName", ch.Author).in("id", userID(ch.Author)).in("permission", nil)).
			in("checkoutCount", 0).in("commitId", ch.ID).in("issues", []*object{}).in("msg", first).in("timestamp", timeOrNull(ch.Time)).in("url", nil))
	}
	return out
}

// wfChangeSets is wfapi/changesets of a build.
func (s *Server) wfChangeSets(b *store.Build) []*object {
	list := s.changesOf(b)
	if len(list) == 0 {
		return []*object{}
	}
	commits := make([]*object, len(list))
	for i, ch := range list {
		commits[i] = bean("").set("commitId", ch.ID).set("commitUrl", nil).set("message", ch.Message).set("authorJenkinsId", userID(ch.Author)).
			set("timestamp", ch.Time.UnixMilli()).set("consoleUrl", nil)
	}
	return []*object{bean("").set("kind", "git").set("commitCount", len(list)).set("commits", commits).set("consoleUrl", nil)}
}
