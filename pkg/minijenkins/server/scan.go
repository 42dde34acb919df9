// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/gitremote"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

const (
	// maxScans bounds how many scans and pollings run at once, maxTenantScans those of one top folder.
	maxScans, maxTenantScans = 12, 2
	// maxHeads bounds the branches and tags of a multi-branch job: each becomes a job.
	maxHeads           = 2000
	defaultScanTimeout = 10 * time.Minute
	// scanTime is the format of times in the log of a scan.
	scanTime = "Mon Jan 02 15:04:05 MST 2006"
)

// scan is a scan that runs.
type scan struct {
	s   *Server
	job *item
	// name is the full name of the job and shown the same for people, when the scan began.
	name, shown string
	cfg         multiConfig
	causes      []store.Cause
	last        time.Time
	cancel      context.CancelFunc
	log         io.WriteCloser
}

// leaveForScan starts the scan that a queue item asks for, or leaves the item while another scan of the job runs. s.mu is held.
func (s *Server) leaveForScan(job *item, q *store.QueueItem, now time.Time) error {
	if s.scans[job.ID] != nil {
		return nil
	}
	left, next := *q, *job.Item
	left.Left = now
	next.Scan = &store.Scan{Started: now}
	// The job is written first: after a crash in between it is scanned twice rather than not at all.
	if err := errors.Join(s.store.PutItem(&next), s.store.PutQueueItem(&left)); err != nil {
		return fmt.Errorf("start scan: %w", err)
	}
	sc := &scan{s: s, job: job, name: job.fullName(), shown: fullDisplayName(job), cfg: job.cfg.multi, causes: q.Causes}
	if job.Scan != nil {
		sc.last = job.Scan.Started
	}
	*q, *job.Item = left, next
	s.leaveLine(q)
	ctx, cancel := context.WithTimeout(s.base, s.cfg.ScanTimeout)
	sc.cancel = cancel
	s.scans[job.ID] = sc
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		defer cancel()
		sc.main(ctx)
	}()
	return nil
}

// restoreScans queues the scans again that a former process did not end.
func (s *Server) restoreScans() error {
	for _, it := range s.items {
		if !it.isMulti() || it.Scan == nil || it.Scan.Result != "" {
			continue
		}
		if f, err := s.store.AppendScanLog(it.ID); err == nil {
			_, err = io.WriteString(f, "The scan was interrupted by a restart of minijenkins.\nFinished: "+string(engine.ResultAborted)+"\n")
			if err = errors.Join(err, f.Close()); err != nil {
				return fmt.Errorf("end interrupted scan: %w", err)
			}
		}
		next := *it.Item
		next.Scan = &store.Scan{Started: it.Scan.Started, Result: engine.ResultAborted}
		if err := s.store.PutItem(&next); err != nil {
			return fmt.Errorf("end interrupted scan: %w", err)
		}
		*it.Item = next
		if _, _, err := s.enqueue(start{job: it}); err != nil {
			return err
		}
	}
	return nil
}

// main scans from the first line of the log to the last.
func (sc *scan) main(ctx context.Context) {
	log := klog.FromContext(ctx)
	result := engine.ResultFailure
	defer func() { sc.end(log, result) }()
	if err := sc.s.store.Flush(); err != nil {
		return
	}
	tenant, _, _ := strings.Cut(sc.name, "/")
	release, ok := sc.s.scanSlots.take(ctx, tenant)
	if !ok {
		return
	}
	defer release()
	if !sc.untilNextSecond(ctx) {
		return
	}
	f, err := sc.s.store.CreateScanLog(sc.job.ID)
	if err != nil {
		log.Error(err, "scan has no log", "job", sc.name)
		return
	}
	sc.log = f
	if len(sc.causes) == 0 {
		sc.say("Legacy code started this job.  No cause information is available")
	}
	for _, c := range sc.causes {
		sc.say("%s", causeText(c))
	}
	begun := sc.s.now()
	sc.say("%sStarting branch indexing...", sc.stamp())
	alive, err := sc.index(ctx)
	sc.say("%sFinished branch indexing. Indexing took %s", sc.stamp(), timeSpan(sc.s.now().Sub(begun)))
	if err == nil {
		err = sc.dropOrphans(ctx, alive)
	}
	switch {
	case err == nil:
		result = engine.ResultSuccess
	case errors.Is(err, context.Canceled):
		result = engine.ResultAborted
		sc.say("The scan was interrupted.")
	default:
		sc.say("FATAL: Failed to recompute children of %s", sc.shown)
		sc.say("stderr: fatal: %s", err.Error())
	}
}

// untilNextSecond waits until the clock shows another second than at the last scan: clients tell scans apart by it.
func (sc *scan) untilNextSecond(ctx context.Context) bool {
	wait := sc.last.Truncate(time.Second).Add(time.Second).Sub(sc.s.now())
	if sc.last.IsZero() || wait <= 0 {
		return true
	}
	t := time.NewTimer(min(wait, time.Second))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// say writes a line into the log.
func (sc *scan) say(format string, args ...any) {
	if sc.log == nil {
		return
	}
	line := fmt.Sprintf(format, args...)
	_, _ = io.WriteString(sc.log, strings.NewReplacer("\r", " ", "\n", " ").Replace(line)+"\n")
}

func (sc *scan) stamp() string { return "[" + sc.s.now().UTC().Format(scanTime) + "] " }

// end records the end of the scan. The log has its last line before anybody can see that it has ended.
func (sc *scan) end(log klog.Logger, result engine.Result) {
	sc.say("Finished: %s", result)
	if sc.log != nil {
		if f, ok := sc.log.(*os.File); ok {
			_ = f.Sync()
		}
		_ = sc.log.Close()
	}
	s := sc.s
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.scans, sc.job.ID)
	if s.items[sc.job.ID] == sc.job {
		next := *sc.job.Item
		next.Scan = &store.Scan{Started: sc.job.Scan.Started, Duration: max(time.Millisecond, s.now().Sub(sc.job.Scan.Started)), Result: result}
		if err := s.store.PutItem(&next); err != nil {
			log.Error(err, "end of scan is not stored", "job", sc.name)
		}
		*sc.job.Item = next
	}
	s.poke()
}

// index makes the jobs of all branches and tags that have a Jenkinsfile, and starts those that changed. It returns the names of the jobs.
func (sc *scan) index(ctx context.Context) (alive map[string]bool, err error) {
	script, err := cleanScriptPath(sc.cfg.scriptPath)
	if err != nil {
		return nil, err
	}
	if sc.cfg.sources > maxSources {
		return nil, fmt.Errorf("minijenkins scans %d sources, not %d", maxSources, sc.cfg.sources)
	}
	alive = map[string]bool{}
	for _, src := range sc.cfg.all() {
		if err := sc.indexSource(ctx, &src, script, alive); err != nil {
			return nil, err
		}
	}
	return alive, nil
}

// indexSource does so for one source.
func (sc *scan) indexSource(ctx context.Context, src *branchSource, script string, alive map[string]bool) (err error) {
	keep, err := src.filter()
	switch {
	case err != nil:
		return err
	case src.class != sourceGit:
		return fmt.Errorf("minijenkins scans git repositories (%s), not %s; use Jenkins for it", sourceGit, src.class)
	}
	remote, err := sc.s.openRemote(sc.job, src.remote, src.credentialsID)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remote.Close()) }()
	if src.credentialsID != "" {
		sc.say("using credential %s", src.credentialsID)
	}
	sc.say(" > git ls-remote %s", remote.URL())
	refs, err := remote.List(ctx)
	if err != nil {
		return err
	}
	heads := slices.DeleteFunc(slices.Clone(refs.Heads), func(h gitremote.Head) bool {
		return !keep(h.Name) || h.Tag && !src.tags || !h.Tag && !src.branches
	})
	if len(heads)+len(alive) > maxHeads {
		return fmt.Errorf("%d branches and tags are more than %d: give the source a filter", len(heads)+len(alive), maxHeads)
	}
	having, err := sc.having(ctx, remote, heads, script)
	if err != nil {
		return err
	}
	for _, tags := range []bool{false, true} {
		if tags && !src.tags || !tags && !src.branches {
			continue
		}
		kind := map[bool]string{false: "branch", true: "tag"}[tags]
		sc.say("Checking %ss...", strings.Replace(kind, "branch", "branche", 1))
		n := 0
		for _, h := range heads {
			if h.Tag != tags {
				continue
			}
			n++
			sc.say("  Checking %s %s", kind, h.Name)
			if !having[h.Commit] {
				sc.say("      ‘%s’ not found", sc.cfg.scriptPath)
				sc.say("    Does not meet criteria")
				continue
			}
			sc.say("      ‘%s’ found", sc.cfg.scriptPath)
			sc.say("    Met criteria")
			if err := sc.observe(ctx, src, h, refs.Default, alive); err != nil {
				return err
			}
		}
		sc.say("Processed %d %s", n, strings.Replace(kind, "branch", "branche", 1)+"s")
	}
	return nil
}

// having tells which commits have a Jenkinsfile. Those where the last scan found it are not fetched again.
func (sc *scan) having(ctx context.Context, remote *gitremote.Remote, heads []gitremote.Head, script string) (map[string]bool, error) {
	known := map[string]bool{}
	sc.s.mu.RLock()
	for _, k := range sc.job.kids {
		if k.Branch != nil && k.Branch.Path == sc.cfg.scriptPath {
			known[k.Branch.Commit] = true
		}
	}
	sc.s.mu.RUnlock()
	unknown := slices.DeleteFunc(slices.Clone(heads), func(h gitremote.Head) bool { return known[h.Commit] })
	having, err := remote.Having(ctx, unknown, script)
	if err != nil {
		return nil, err
	}
	for commit := range known {
		having[commit] = true
	}
	return having, nil
}

var errDeleted = errors.New("the job was deleted")

// observe makes or updates the job of a head, and asks for a build if it is new or has changed. The build is asked for before the commit
// is noted, so that a crash in between brings a build too many rather than none.
func (sc *scan) observe(ctx context.Context, src *branchSource, h gitremote.Head, primary string, alive map[string]bool) error {
	s := sc.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if s.items[sc.job.ID] != sc.job {
		return errDeleted
	}
	name := branchJobName(h.Name)
	if alive[name] {
		sc.say("Ignoring duplicate branch project %s", name)
		return nil
	}
	alive[name] = true
	kid := sc.job.kids[name]
	if kid == nil {
		b := &store.Branch{Name: h.Name, Tag: h.Tag, Source: src.id}
		it := &store.Item{Parent: sc.job.ID, Name: name, Kind: store.KindPipeline, Config: branchConfig(&sc.cfg, b), NextBuild: 1, Branch: b}
		cfg, err := parseConfig(it.Config)
		if err != nil {
			return fmt.Errorf("branch %s: %w", h.Name, err)
		}
		if err := s.store.AddItem(it); err != nil {
			return fmt.Errorf("branch %s: %w", h.Name, err)
		}
		kid = newItem(it, cfg, sc.job)
		s.items[it.ID], sc.job.kids[name] = kid, kid
	}
	return sc.update(kid, src, h, !h.Tag && h.Name == primary)
}

// update brings the job of a branch to what the scan saw. s.mu is held.
func (sc *scan) update(kid *item, src *branchSource, h gitremote.Head, primary bool) error {
	s, old := sc.s, *kid.Branch
	next := *kid.Item
	next.Branch = &store.Branch{Name: h.Name, Tag: h.Tag, Primary: primary, Commit: h.Commit, Path: sc.cfg.scriptPath, Source: src.id}
	cfg, err := sc.renewConfig(&next)
	if err != nil {
		return fmt.Errorf("branch %s: %w", h.Name, err)
	}
	switch {
	case old.Commit == h.Commit:
		sc.say("No changes detected: %s (still at %s)", h.Name, h.Commit)
	case old.Commit != "":
		sc.say("Changes detected: %s (%s → %s)", h.Name, old.Commit, h.Commit)
	}
	switch {
	case old.Commit == h.Commit:
	case h.Tag || cfg.disabled || kid.triggers().NoIndexing:
		sc.say("No automatic build triggered for %s", h.Name)
	default:
		values, err := valuesFromForm(kid.parameters(), url.Values{})
		if err != nil {
			return fmt.Errorf("branch %s: %w", h.Name, err)
		}
		if _, _, err := s.enqueue(start{job: kid, params: values, cause: store.Cause{Indexing: true}, quiet: s.quietOf(kid)}); err != nil {
			return err
		}
		sc.say("Scheduled build for branch: %s", h.Name)
	}
	if *next.Branch == old && bytes.Equal(next.Config, kid.Config) {
		return nil
	}
	if err := s.store.PutItem(&next); err != nil {
		return fmt.Errorf("branch %s: %w", h.Name, err)
	}
	*kid.Item, kid.cfg = next, cfg
	return nil
}

// renewConfig makes the config.xml of a branch's job that of its source, as that is now. What people can change of it stays: whether it is disabled.
func (sc *scan) renewConfig(it *store.Item) (*jobConfig, error) {
	old, err := parseConfig(it.Config)
	if err != nil {
		return nil, err
	}
	doc := branchConfig(&sc.cfg, it.Branch)
	if old.disabled {
		if doc, err = setElement(doc, "disabled", "true"); err != nil {
			return nil, err
		}
	}
	it.Config = doc
	return parseConfig(doc)
}

// dropOrphans removes the jobs of branches that are no more, or disables those that are kept for a while.
func (sc *scan) dropOrphans(ctx context.Context, alive map[string]bool) error {
	drop, err := sc.orphans(alive)
	if err != nil {
		return err
	}
	for _, kid := range drop {
		sc.say("Will remove %s", kid.displayName())
		if err := sc.s.deleteItem(ctx, kid); err != nil {
			return fmt.Errorf("remove %s: %w", kid.displayName(), err)
		}
	}
	return nil
}

// orphans marks the jobs of branches that are no more and picks those to remove: without bounds all; those that run stay until the next scan.
func (sc *scan) orphans(alive map[string]bool) ([]*item, error) {
	s := sc.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.items[sc.job.ID] != sc.job {
		return nil, errDeleted
	}
	var dead, drop []*item
	now := s.now()
	for _, kid := range sc.job.children() {
		if alive[kid.Name] || kid.Branch == nil {
			continue
		}
		if len(dead) == 0 {
			sc.say("Evaluating orphaned items in %s", sc.shown)
		}
		dead = append(dead, kid)
		if kid.Branch.Dead.IsZero() {
			next := *kid.Item
			b := *kid.Branch
			// The commit is forgotten: should the branch come back, it is built.
			b.Dead, b.Commit = now, ""
			next.Branch = &b
			if err := s.store.PutItem(&next); err != nil {
				return nil, fmt.Errorf("branch %s: %w", b.Name, err)
			}
			*kid.Item, kid.cfg.disabled = next, true
		}
	}
	if !sc.cfg.prune {
		return nil, nil
	}
	// The newest first, as the bound on their number keeps those.
	slices.SortStableFunc(dead, func(a, b *item) int { return b.Branch.Dead.Compare(a.Branch.Dead) })
	bounded := sc.cfg.keepDays >= 0 || sc.cfg.keepNum >= 0
	for i, kid := range dead {
		old := sc.cfg.keepDays >= 0 && now.Sub(kid.Branch.Dead) > time.Duration(sc.cfg.keepDays)*24*time.Hour
		tooMany := sc.cfg.keepNum >= 0 && i >= sc.cfg.keepNum
		if kid.live == 0 && (!bounded || old || tooMany) {
			drop = append(drop, kid)
		}
	}
	return drop, nil
}

// duePeriodicScans queues the scans whose time has come, and returns when to look again. s.mu is held.
func (s *Server) duePeriodicScans(now time.Time) time.Duration {
	next := time.Minute
	for _, it := range s.items {
		every := it.cfg.multi.interval
		if !it.isMulti() || every <= 0 || it.Scan == nil || it.cfg.disabled || it.cfg.multi.sources == 0 ||
			len(it.line) > 0 || s.scans[it.ID] != nil {
			continue
		}
		wait := it.Scan.Started.Add(max(every, time.Minute)).Sub(now)
		if wait > 0 {
			next = min(next, wait)
			continue
		}
		if _, _, err := s.enqueue(start{job: it, cause: store.Cause{Timer: true}}); err != nil {
			s.logger().Error(err, "scan is not queued", "job", it.fullName())
		}
	}
	return next
}

// openRemote opens a repository with a credential that the job sees.
func (s *Server) openRemote(job *item, address, credential string) (*gitremote.Remote, error) {
	opts := gitremote.Options{AllowFile: s.cfg.AllowFileSCM, MaxBytes: s.cfg.MaxSCMBytes, Scratch: s.store.Scratch}
	if credential != "" {
		entry, err := s.peekCredential(job, credential)
		if err != nil {
			return nil, err
		}
		if kind := credentialKinds[entry.Class].kind; kind != engine.CredentialUsernamePassword {
			return nil, fmt.Errorf("credential %s is of kind %s: minijenkins reads repositories with a user name and password or token", credential, kind)
		}
		opts.Username, opts.Password = entry.Name, entry.secrets["password"]
	}
	remote, err := gitremote.Open(address, opts)
	if err != nil {
		return nil, err
	}
	return remote, nil
}

// peekCredential gives what a credential that the job sees holds, without a note of its use.
func (s *Server) peekCredential(job *item, id string) (*credentialEntry, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	found := s.findCredential(job, id)
	if found == nil {
		return nil, fmt.Errorf("credential %s: %w", id, errNoCredential)
	}
	secrets, err := s.store.Secrets(found)
	if err != nil {
		return nil, fmt.Errorf("credential %s: %w", id, err)
	}
	return &credentialEntry{Credential: *found, secrets: secrets}, nil
}
