// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package up

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-dev/slipway/pkg/jenkins"
)

const (
	// jenkinsStart is how long `slipway up` waits for a Jenkins that is just starting; after it, it goes on without.
	jenkinsStart = 30 * time.Second
	jenkinsPoll  = time.Second
)

// inspector is what is asked of a Jenkins before it is used.
type inspector interface {
	Version(ctx context.Context) (string, error)
	WhoAmI(ctx context.Context) (*jenkins.Identity, error)
	Plugins(ctx context.Context) (map[string]string, error)
	FindCloud(ctx context.Context, cloud string) error
}

// inspection checks a Jenkins that was given, and says what it is and what it lacks.
type inspection struct {
	jenkins inspector
	url     string
	cloud   string
	// patience is how long to wait for it to start.
	patience time.Duration
	say      func(format string, args ...any)
}

// run returns an error if this Jenkins can never be used: it is none, or refuses the credential. One that does not answer, or that lacks something,
// is only told: it may be back, or be completed, at any time.
func (i *inspection) run(ctx context.Context) error {
	version, err := i.version(ctx)
	switch {
	case errors.Is(err, jenkins.ErrUnavailable):
		i.say("WARNING: Jenkins at %s does not answer (%v).\n  Slipway starts all the same; projects and runs wait until it does.\n", i.url, err)
		return nil
	case errors.Is(err, jenkins.ErrUnauthorized):
		return fmt.Errorf("jenkins at %s refuses the credential: check --jenkins-user and --jenkins-token-file: %w", i.url, err)
	case errors.Is(err, jenkins.ErrForbidden):
		return fmt.Errorf("the user lacks Overall/Read in Jenkins at %s: %w", i.url, err)
	case err != nil:
		return fmt.Errorf("jenkins at %s: %w", i.url, err)
	}
	who, err := i.jenkins.WhoAmI(ctx)
	if err != nil {
		return fmt.Errorf("jenkins at %s: %w", i.url, err)
	}
	i.say("Jenkins %s at %s, as %s\n", version, i.url, who.Name)
	for _, problem := range i.problems(ctx, version, who) {
		i.say("  - %s\n", problem)
	}
	return nil
}

// version waits until Jenkins answers. A starting one refuses valid credentials for some seconds.
func (i *inspection) version(ctx context.Context) (string, error) {
	deadline := time.Now().Add(i.patience)
	told := false
	for {
		version, err := i.jenkins.Version(ctx)
		starting := errors.Is(err, jenkins.ErrUnavailable) || errors.Is(err, jenkins.ErrUnauthorized)
		if !starting || time.Now().After(deadline) || ctx.Err() != nil {
			return version, err
		}
		if !told {
			i.say("waiting for Jenkins at %s (%v)\n", i.url, err)
			told = true
		}
		timer := time.NewTimer(jenkinsPoll)
		select {
		case <-ctx.Done():
			timer.Stop()
			return "", err
		case <-timer.C:
		}
	}
}

// problems are what is missing, each with what does not work because of it.
func (i *inspection) problems(ctx context.Context, version string, who *jenkins.Identity) (list []string) {
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if jenkins.Older(version, jenkins.MinVersion) {
		add("Jenkins %s is older than %s, the oldest that is expected to work (tested: %s)", version, jenkins.MinVersion, jenkins.TestedVersion)
	}
	if who.Anonymous {
		add("Jenkins takes us for an anonymous user: set --jenkins-user and --jenkins-token-file")
	}
	plugins, err := i.jenkins.Plugins(ctx)
	switch {
	case errors.Is(err, jenkins.ErrForbidden):
		add("the user may not see the plugins (Overall/SystemRead): they could not be checked")
	case err != nil:
		add("the plugins could not be checked: %v", err)
	default:
		for _, r := range jenkins.Missing(plugins) {
			if r.Optional {
				add("plugin %s is not there (optional: %s)", r.Plugin, r.For)
			} else {
				add("MISSING plugin %s: %s", r.Plugin, r.For)
			}
		}
	}
	err = i.jenkins.FindCloud(ctx, i.cloud)
	switch {
	case errors.Is(err, jenkins.ErrNotFound):
		add("MISSING Kubernetes cloud %q (--jenkins-cloud): pipelines cannot run in the image of a dev container; docs/jenkins.md says how to add it", i.cloud)
	case errors.Is(err, jenkins.ErrForbidden):
		add("MISSING right Overall/Administer, or Overall/Manage where Jenkins offers it: agent templates cannot be written (%v)", err)
	case err != nil:
		add("the Kubernetes cloud %q could not be checked: %v", i.cloud, err)
	}
	if len(list) > 0 {
		add("what the user may do shows only by trying: make test-jenkins does")
	}
	return list
}
