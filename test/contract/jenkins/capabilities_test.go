// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"errors"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// capability is what not every Jenkins has.
type capability string

const (
	// anAgent runs shell steps.
	anAgent capability = "an agent"
	// aCloud is a Kubernetes cloud whose templates the user may change.
	aCloud capability = "a Kubernetes cloud"
	// inputs are input steps.
	inputs capability = "input steps"
	// credentials is the credential store of folders.
	credentials capability = "credentials"
	// kubeconfigs are credentials of the kubernetes-cd plugin, which few have.
	kubeconfigs capability = "kubeconfig credentials"
	// scriptChecks compile a Jenkinsfile.
	scriptChecks capability = "script checks"
	// cronChecks explain a cron specification.
	cronChecks capability = "cron checks"
	// search is Blue Ocean's.
	search capability = "search"
	// aPassword logs in without a token.
	aPassword capability = "a password"
	// pluginList says which plugins there are.
	pluginList capability = "the list of plugins"
)

// probeAll asks the server what it has: the reason why a capability is missing, empty if it is there.
func probeAll(t *testing.T, e *env) map[capability]string {
	t.Helper()
	dir := e.folder + "/probe"
	must(t, e.EnsureFolder(t.Context(), dir))
	probes := map[capability]func() string{
		anAgent: func() string { return probeAgent(t, e) },
		aCloud: func() string {
			return lacks(e.FindCloud(t.Context(), e.target.cloud), "there is no cloud "+e.target.cloud+" ("+envCloud+" names it)")
		},
		inputs: func() string { return probeInput(t, e, dir) },
		credentials: func() string {
			_, err := e.ListCredentials(t.Context(), dir)
			return lacks(err, "the server has no credential store for folders")
		},
		kubeconfigs: func() string {
			err := e.CreateCredential(t.Context(), dir, jenkins.CredentialEntry{ID: "k", Credential: jenkins.Kubeconfig{Content: "apiVersion: v1"}})
			if errors.Is(err, jenkins.ErrInternal) {
				return "the server knows no such kind of credential (plugin kubernetes-cd)"
			}
			return lacks(err, "the server has no credential store for folders")
		},
		scriptChecks: func() string {
			_, err := e.CheckScript(t.Context(), dir, "", "pipeline {}")
			return lacks(err, "the server does not check scripts")
		},
		cronChecks: func() string {
			_, err := e.CheckCron(t.Context(), dir, "", "H * * * *")
			return lacks(err, "the server does not check cron specifications")
		},
		search: func() string {
			_, err := e.SearchPipelines(t.Context(), dir, "x", jenkins.Page{})
			return lacks(err, "the server has no search")
		},
		aPassword: func() string {
			if e.target.password == "" {
				return envPassword + " is not set"
			}
			return ""
		},
		pluginList: func() string {
			_, err := e.Plugins(t.Context())
			return lacks(err, "the server has no plugins, or the user may not see them")
		},
	}
	missing := map[capability]string{}
	for name, probe := range probes {
		missing[name] = probe()
	}
	return missing
}

// lacks turns an error that means "I do not have this" into the reason. Other errors are for the cases themselves to fail on.
func lacks(err error, reason string) string {
	if errors.Is(err, jenkins.ErrNotFound) || errors.Is(err, jenkins.ErrForbidden) {
		return reason + ": " + err.Error()
	}
	return ""
}

func probeAgent(t *testing.T, e *env) string {
	t.Helper()
	if e.target.label != "" {
		return "" // who names a label says that it works
	}
	nodes, err := e.Computers(t.Context())
	must(t, err)
	if nodes.Total == 0 {
		return "no node has an executor, and " + envLabel + " names no label"
	}
	return ""
}

// probeInput runs a pipeline that asks; a server that cannot ask fails it at once.
func probeInput(t *testing.T, e *env, dir string) string {
	t.Helper()
	in := *e
	in.dir = dir
	j := in.job(t, "asks", steps("input id: 'gate', message: 'Go?'"))
	n := j.start(t, "probe")
	var reason string
	until(t, "the probe of input steps", func() (bool, error) {
		run, err := e.GetRun(t.Context(), dir, "asks", n)
		if err != nil {
			return false, err
		}
		if run.State == jenkins.StateFinished {
			reason = "the server ends a pipeline with an input step with " + run.Result
			return true, nil
		}
		return run.State == jenkins.StatePaused, nil
	})
	if reason != "" && strings.Contains(j.log(t, n), "does not support") {
		return reason
	}
	_ = e.StopBuild(t.Context(), dir, "asks", n)
	return ""
}
