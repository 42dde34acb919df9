// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package version tells which build of the program runs.
package version

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Set by the linker: -ldflags "-X github.com/slipway-dev/slipway/pkg/version.gitVersion=v1.2.3".
var (
	gitVersion = ""
	gitCommit  = ""
	buildDate  = ""
)

// Info describes a build. Fields that are not known are empty.
type Info struct {
	// GitVersion is the release, such as v1.2.3, or "devel".
	GitVersion string `json:"gitVersion"`
	// GitCommit is the commit that was built.
	GitCommit string `json:"gitCommit"`
	// BuildDate is the time of the build, RFC 3339.
	BuildDate string `json:"buildDate"`
	// GoVersion is the version of the compiler.
	GoVersion string `json:"goVersion"`
	// Platform is operating system/architecture.
	Platform string `json:"platform"`
}

// Get describes the running program. What the linker was not told is taken from the build
// information that the compiler embeds.
func Get() Info {
	info := Info{
		GitVersion: gitVersion,
		GitCommit:  gitCommit,
		BuildDate:  buildDate,
		GoVersion:  runtime.Version(),
		Platform:   runtime.GOOS + "/" + runtime.GOARCH,
	}
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range build.Settings {
			switch {
			case setting.Key == "vcs.revision" && info.GitCommit == "":
				info.GitCommit = setting.Value
			case setting.Key == "vcs.time" && info.BuildDate == "":
				info.BuildDate = setting.Value
			}
		}
	}
	if info.GitVersion == "" {
		info.GitVersion = "devel"
	}
	return info
}

// String is the one-line form for people.
func (i Info) String() string {
	commit := i.GitCommit
	if len(commit) > 12 {
		commit = commit[:12]
	}
	if commit == "" {
		commit = "unknown commit"
	}
	return fmt.Sprintf("%s (%s, %s, %s)", i.GitVersion, commit, i.GoVersion, i.Platform)
}
