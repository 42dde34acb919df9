// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/gitremote"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// origin is where the Jenkinsfile of a build is.
type origin struct {
	definition, script string
	scm                scmConfig
	// branch is of the job of a branch, whose repository is scm's.
	branch *store.Branch
	// again is the commit of the build that is run again; empty if this is not one, or that had none.
	again string
}

func (r *buildRun) origin() origin {
	r.s.mu.RLock()
	defer r.s.mu.RUnlock()
	cfg := r.job.cfg
	o := origin{definition: cfg.definition, script: cfg.script, scm: cfg.scm}
	if r.job.isBranch() {
		m := r.job.up.cfg.multi
		b := *r.job.Branch
		o.definition, o.branch = definitionFromBranch, &b
		src := m.of(b.Source)
		o.scm = scmConfig{url: src.remote, credentialsID: src.credentialsID, branch: "refs/heads/" + b.Name, scriptPath: m.scriptPath}
		if b.Tag {
			o.scm.branch = "refs/tags/" + b.Name
		}
	}
	for _, c := range r.causes {
		if old := r.job.builds[c.Replay]; c.Replay > 0 && old != nil {
			o.again = old.Commit
		}
	}
	return o
}

// engineSCM is what checkout scm clones.
func (o *origin) engineSCM() *engine.SCM {
	if o.scm.url == "" {
		return nil
	}
	scm := &engine.SCM{URL: o.scm.url, Branch: strings.TrimPrefix(o.scm.branch, "*/"), CredentialsID: o.scm.credentialsID}
	if o.branch != nil {
		scm.Branch = o.branch.Name
	}
	return scm
}

// source finds the Jenkinsfile, and the repository that it came from. from is what the log says about that, empty for nothing.
func (r *buildRun) source() (script string, scm *engine.SCM, from string, err error) {
	o := r.origin()
	if r.script != "" {
		// A build that is run again has its old Jenkinsfile, and the commit that this was from.
		scm := o.engineSCM()
		if o.definition == definitionScript || scm == nil {
			return r.script, nil, "", nil
		}
		scm.Commit = o.again
		return r.script, scm, "", r.keepCommit(o.again)
	}
	switch o.definition {
	case definitionScript:
		return o.script, nil, "", nil
	case definitionFromSCM, definitionFromBranch:
		return r.fromRepository(&o)
	case "":
		return "", nil, "", errors.New("the job has no Pipeline definition")
	default:
		return "", nil, "", fmt.Errorf("minijenkins does not know the definition %s", o.definition)
	}
}

// fromRepository reads the Jenkinsfile from its repository.
func (r *buildRun) fromRepository(o *origin) (script string, scm *engine.SCM, from string, err error) {
	if o.scm.url == "" {
		return "", nil, "", errors.New("the job names no git repository for its Jenkinsfile")
	}
	file := o.scm.scriptPath
	if file == "" {
		file = defaultScript
	}
	clean, err := cleanScriptPath(file)
	if err != nil {
		return "", nil, "", err
	}
	scm = o.engineSCM()
	ctx, cancel := context.WithTimeout(r.ctx, r.s.cfg.ScanTimeout)
	defer cancel()
	if r.s.cfg.LoadSCM != nil && o.branch == nil {
		script, err := r.s.cfg.LoadSCM(ctx, *scm, file)
		if err != nil {
			return "", nil, "", fmt.Errorf("read %s: %w", file, err)
		}
		return script, scm, "", nil
	}
	script, head, address, err := r.readRemote(ctx, o, clean)
	if err != nil {
		// The commit is noted, or polling would find it new again and again.
		return "", nil, "", errors.Join(fmt.Errorf("read %s: %w", file, err), r.keepCommit(head.Commit))
	}
	from = "Obtained " + file + " from git " + address
	if scm.Commit = head.Commit; o.branch != nil {
		from = "Obtained " + file + " from " + head.Commit
	}
	scm.PreviousCommit, scm.PreviousSuccess = r.commitsBefore()
	return script, scm, from, r.keepCommit(head.Commit)
}

func (r *buildRun) readRemote(ctx context.Context, o *origin, file string) (script string, head gitremote.Head, address string, err error) {
	remote, err := r.s.openRemote(r.job, o.scm.url, o.scm.credentialsID)
	if err != nil {
		return "", head, "", err
	}
	defer func() { err = errors.Join(err, remote.Close()) }()
	refs, err := remote.List(ctx)
	if err != nil {
		return "", head, "", err
	}
	head, ok := refs.Find(o.scm.branch)
	if o.branch != nil {
		ok = ok && head.Name == o.branch.Name && head.Tag == o.branch.Tag
	}
	if !ok {
		return "", head, "", fmt.Errorf("branch, tag or commit %q of %s: %w", o.scm.branch, remote.URL(), gitremote.ErrNotFound)
	}
	script, err = remote.Read(ctx, head, file)
	return script, head, remote.URL(), err
}

// keepCommit notes which commit the build is of.
func (r *buildRun) keepCommit(commit string) error {
	if commit == "" {
		return nil
	}
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if r.s.items[r.key.Job] == nil {
		return nil // the job is deleted, and the build interrupted
	}
	next := *r.build
	next.Commit = commit
	if err := r.s.store.PutBuild(&next); err != nil {
		return fmt.Errorf("store commit: %w", err)
	}
	r.build.Commit = commit
	return nil
}

// branch is the branch that the build is of; empty if its job is not one of a branch.
func (r *buildRun) branch() string {
	r.s.mu.RLock()
	defer r.s.mu.RUnlock()
	if !r.job.isBranch() {
		return ""
	}
	return r.job.Branch.Name
}

// branchEnv adds the variables that only builds of branches have; BRANCH_NAME is the engine's.
func (r *buildRun) branchEnv(env map[string]string) {
	r.s.mu.RLock()
	defer r.s.mu.RUnlock()
	switch b := r.job.Branch; {
	case !r.job.isBranch():
	case b.Tag:
		env["TAG_NAME"] = b.Name
	default:
		env["BRANCH_IS_PRIMARY"] = strconv.FormatBool(b.Primary)
	}
}
