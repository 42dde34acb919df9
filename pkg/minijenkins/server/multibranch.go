// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// A multi-branch job is a folder whose children are the jobs of the branches and tags of a repository. Its scan makes and removes them.

const (
	sourceGit            = "jenkins.plugins.git.GitSCMSource"
	traitBranches        = "jenkins.plugins.git.traits.BranchDiscoveryTrait"
	traitTags            = "jenkins.plugins.git.traits.TagDiscoveryTrait"
	traitRegex           = "jenkins.scm.impl.trait.RegexSCMHeadFilterTrait"
	traitWildcard        = "jenkins.scm.impl.trait.WildcardSCMHeadFilterTrait"
	definitionFromBranch = "org.jenkinsci.plugins.workflow.multibranch.SCMBinder"
	classIndexing        = "jenkins.branch.MultiBranchProject$BranchIndexing"
	classIndexingCause   = "jenkins.branch.BranchIndexingCause"

	defaultScript = "Jenkinsfile"
)

// branchSource is a repository of a multi-branch job, and which of its branches and tags it has jobs for.
type branchSource struct {
	class, id             string
	remote, credentialsID string
	branches, tags        bool
	regexes               []string
	includes, excludes    []string
}

// maxSources bounds how many sources a multi-branch job may have.
const maxSources = 16

// multiConfig is what the config.xml of a multi-branch job says.
type multiConfig struct {
	// sources is how many sources it has. The first one is embedded, more are the others.
	sources int
	branchSource
	more              []branchSource
	scriptPath        string
	prune             bool
	keepDays, keepNum int
	interval          time.Duration
	// webhook is the token that starts a scan.
	webhook string
}

// all are its sources, in their order; the branches of the first win.
func (m *multiConfig) all() []branchSource { return append([]branchSource{m.branchSource}, m.more...) }

// of is the source of an ID, else the first.
func (m *multiConfig) of(id string) *branchSource {
	for i := range m.more {
		if id != "" && id != m.id && m.more[i].id == id {
			return &m.more[i]
		}
	}
	return &m.branchSource
}

// remotes are the addresses of the repositories.
func (m *multiConfig) remotes() []string {
	var out []string
	for _, src := range m.all() {
		out = append(out, src.remote)
	}
	return out
}

func multiConfigOf(root *element) multiConfig {
	m := multiConfig{scriptPath: strings.TrimSpace(root.value("factory", "scriptPath")), keepDays: -1, keepNum: -1}
	if m.scriptPath == "" {
		m.scriptPath = defaultScript
	}
	orphans := root.child("orphanedItemStrategy")
	m.prune = orphans == nil || strings.TrimSpace(orphans.value("pruneDeadBranches")) != "false"
	for name, to := range map[string]*int{"daysToKeep": &m.keepDays, "numToKeep": &m.keepNum} {
		if n, err := strconv.Atoi(strings.TrimSpace(orphans.text1(name))); err == nil {
			*to = n
		}
	}
	if ms, err := strconv.ParseInt(strings.TrimSpace(root.value("triggers", "com.cloudbees.hudson.plugins.folder.computed.PeriodicFolderTrigger", "interval")), 10, 64); err == nil && ms > 0 {
		m.interval = time.Duration(min(ms, int64(365*24*time.Hour/time.Millisecond))) * time.Millisecond
	}
	m.webhook = strings.TrimSpace(root.value("triggers", webhookTrigger, "token"))
	data := root.child("sources", "data")
	if data == nil {
		return m
	}
	for _, e := range data.children {
		src := e.child("source")
		if src == nil {
			continue
		}
		if m.sources++; m.sources == 1 {
			m.branchSource = sourceOf(src)
		} else if m.sources <= maxSources {
			m.more = append(m.more, sourceOf(src))
		}
	}
	return m
}

// text1 is the text of a child; it is "" of nothing.
func (e *element) text1(name string) string {
	if e == nil {
		return ""
	}
	return e.value(name)
}

func sourceOf(src *element) (m branchSource) {
	m.class, m.id = src.attrs["class"], strings.TrimSpace(src.value("id"))
	m.remote, m.credentialsID = strings.TrimSpace(src.value("remote")), strings.TrimSpace(src.value("credentialsId"))
	traits := src.child("traits")
	if traits == nil {
		// Configurations from before there were traits find all branches.
		m.branches = true
		m.includes, m.excludes = strings.Fields(src.value("includes")), strings.Fields(src.value("excludes"))
		return m
	}
	for _, t := range traits.children {
		switch t.name {
		case traitBranches:
			m.branches = true
		case traitTags:
			m.tags = true
		case traitRegex:
			m.regexes = append(m.regexes, t.value("regex"))
		case traitWildcard:
			m.includes, m.excludes = strings.Fields(t.value("includes")), strings.Fields(t.value("excludes"))
		}
	}
	return m
}

// filter is the filter for the names of branches and tags. A pattern of Java that Go does not know is an error.
func (m *branchSource) filter() (func(name string) bool, error) {
	var res []*regexp.Regexp
	for _, text := range m.regexes {
		re, err := regexp.Compile(`\A(?:` + text + `)\z`)
		if err != nil {
			return nil, fmt.Errorf("the filter %q is not a regular expression that minijenkins knows: it has no look-around and no back-references", text)
		}
		res = append(res, re)
	}
	matches := func(patterns []string, name string) bool {
		for _, p := range patterns {
			if globMatch(p, name) {
				return true
			}
		}
		return false
	}
	return func(name string) bool {
		for _, re := range res {
			if !re.MatchString(name) {
				return false
			}
		}
		return (len(m.includes) == 0 || matches(m.includes, name)) && !matches(m.excludes, name)
	}, nil
}

// branchJobName is the name of the job of a branch as branch-api makes it: what has a meaning in addresses is encoded, all else stays as it is.
func branchJobName(branch string) string { return branchEncoder.Replace(branch) }

var branchEncoder = strings.NewReplacer("%", "%25", "/", "%2F", "#", "%23", "?", "%3F", "[", "%5B", "]", "%5D", `\`, "%5C")

// findEncoded is find, but among branches the name of a branch will do too, as it does in Jenkins.
func (it *item) findEncoded(name string) *item {
	k := it.find(name)
	if k == nil && it.isMulti() {
		k = it.find(branchJobName(name))
	}
	return k
}

// multibranchAction serves what is below a multi-branch job.
func (s *Server) multibranchAction(c *call, it *item) {
	switch action := c.rest(); {
	case action == "build":
		if c.post() && c.form() {
			s.startScan(c, it)
		}
	case action == "indexing/consoleText" || action == "computation/consoleText":
		s.scanText(c, it)
	case action == "indexing/logText/progressiveText" || action == "computation/logText/progressiveText":
		s.scanProgress(c, it)
	case c.segs[0] == "view" && len(c.segs) == 4 && c.segs[2] == "api":
		s.multibranchView(c, it, c.segs[1])
	default:
		fail404(c.w)
	}
}

func (s *Server) multibranchView(c *call, it *item, name string) {
	c.segs = c.segs[2:]
	if !c.isAPI() || name != "default" && name != "tags" {
		fail404(c.w)
		return
	}
	s.locked(c, func(base string) any { return s.branchView(base, it, name == "tags") })
}

// startScan serves build: Jenkins has it fail without a source.
func (s *Server) startScan(c *call, it *item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	quiet, err := parseDelay(c.r.Form.Get("delay"), s.cfg.QuietPeriod)
	switch {
	case s.items[it.ID] != it:
		fail404(c.w)
		return
	case it.cfg.multi.sources == 0 || it.cfg.disabled:
		err = errors.New("the job has no source, or is disabled")
	case err == nil:
		_, _, err = s.enqueue(start{job: it, cause: s.cause(c.r, it), quiet: quiet})
	}
	if err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	redirect(c.w, c.view+it.path())
}

// scanAfterChange asks for a scan of a multi-branch job that was made or changed.
func (s *Server) scanAfterChange(ctx context.Context, it *item) {
	if !it.isMulti() || it.cfg.multi.sources == 0 || it.cfg.disabled {
		return
	}
	if _, _, err := s.enqueue(start{job: it}); err != nil {
		klog.FromContext(ctx).Error(err, "scan is not queued", "job", it.fullName())
	}
}

// scanText sends the log of the last scan.
func (s *Server) scanText(c *call, it *item) {
	text, err := s.store.ScanLog(it.ID)
	if errors.Is(err, fs.ErrNotExist) {
		writePage(c.w, http.StatusOK, typeText, "No such file: indexing.log")
		return
	}
	if err != nil {
		fail500(c.w, c.r, "the log cannot be read")
		return
	}
	writePage(c.w, http.StatusOK, typeText, string(text))
}

func (s *Server) scanProgress(c *call, it *item) {
	if !c.form() {
		return
	}
	from, ok := parseStart(c.r.Form.Get("start"))
	if !ok {
		fail500(c.w, c.r, "start is not a number")
		return
	}
	s.mu.RLock()
	more := s.scans[it.ID] != nil
	s.mu.RUnlock()
	text, err := s.store.ScanLog(it.ID)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		fail500(c.w, c.r, "the log cannot be read")
		return
	}
	size := int64(len(text))
	switch {
	case from < 0:
		from = size
	case from > size:
		from = 0
	}
	h := c.w.Header()
	h.Set("X-Text-Size", strconv.FormatInt(size, 10))
	if more {
		h.Set("X-More-Data", "true")
	}
	writePage(c.w, http.StatusOK, typeText, strings.ReplaceAll(string(text[from:]), "\n", "\r\n"))
}

// branchConfig is the config.xml of the job of a branch, as Jenkins writes it.
func branchConfig(cfg *multiConfig, b *store.Branch) []byte {
	m := cfg.of(b.Source)
	head := "jenkins.plugins.git.GitBranchSCMHead"
	if b.Tag {
		head = "jenkins.plugins.git.GitTagSCMHead"
	}
	e := escapeXML
	return []byte("<?xml version='1.1' encoding='UTF-8'?>\n<flow-definition plugin=\"workflow-job\">\n  <actions/>\n  <keepDependencies>false</keepDependencies>\n" +
		"  <properties>\n    <org.jenkinsci.plugins.workflow.multibranch.BranchJobProperty plugin=\"workflow-multibranch\">\n      <branch plugin=\"branch-api\">\n" +
		"        <sourceId>" + e(m.id) + "</sourceId>\n        <head class=\"" + head + "\" plugin=\"git\">\n          <name>" + e(b.Name) + "</name>\n        </head>\n" +
		"        <scm class=\"hudson.plugins.git.GitSCM\" plugin=\"git\">\n          <userRemoteConfigs>\n            <hudson.plugins.git.UserRemoteConfig>\n" +
		"              <name>origin</name>\n              <url>" + e(m.remote) + "</url>\n              <credentialsId>" + e(m.credentialsID) + "</credentialsId>\n" +
		"            </hudson.plugins.git.UserRemoteConfig>\n          </userRemoteConfigs>\n          <branches class=\"singleton-list\">\n" +
		"            <hudson.plugins.git.BranchSpec>\n              <name>" + e(b.Name) + "</name>\n            </hudson.plugins.git.BranchSpec>\n          </branches>\n" +
		"        </scm>\n        <properties/>\n      </branch>\n    </org.jenkinsci.plugins.workflow.multibranch.BranchJobProperty>\n  </properties>\n" +
		"  <definition class=\"" + definitionFromBranch + "\" plugin=\"workflow-multibranch\">\n    <scriptPath>" + e(cfg.scriptPath) + "</scriptPath>\n  </definition>\n" +
		"  <triggers/>\n  <disabled>false</disabled>\n</flow-definition>")
}

// cleanScriptPath is the path of a Jenkinsfile inside of its repository.
func cleanScriptPath(p string) (string, error) {
	p = strings.TrimPrefix(path.Clean("/"+p), "/")
	if p == "" || !fs.ValidPath(p) {
		return "", errors.New("the path of the Jenkinsfile is not one of a file")
	}
	return p, nil
}

// withoutPassword is an address of a repository without the user name and password in it.
func withoutPassword(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Opaque != "" {
		// git@host:path, or nothing that anybody understands
		return address[strings.LastIndexByte(address, '@')+1:]
	}
	u.User = nil
	return u.String()
}
