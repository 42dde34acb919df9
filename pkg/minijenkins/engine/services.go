// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"io"
)

// Stashes keeps the stashes of one build.
type Stashes interface {
	// Put keeps a stash, in place of an older one of that name. It reads content, a ZIP archive, to its
	// end; if it returns an error the older stash is still there.
	Put(ctx context.Context, name string, content io.Reader) error
	// Open opens a stash; one that does not exist is fs.ErrNotExist.
	Open(ctx context.Context, name string) (Stash, error)
}

// Stash is a stash that is read.
type Stash interface {
	io.ReaderAt
	io.Closer
	// Size is the size of the archive in bytes.
	Size() int64
}

// StreamWriter is an Agent that takes a file without having it in memory.
type StreamWriter interface {
	// WriteStream writes a file of that size in bytes and its folders; the path is absolute.
	WriteStream(ctx context.Context, path string, size int64, content io.Reader) error
}

// moreSteps are the steps that need a service of the server or stand on others.
func moreSteps() map[string]stepDef {
	return map[string]stepDef{
		"stash": {display: "Stash some files to be used later in the build", only: "name", describe: "name",
			params: []string{"includes", "excludes", "allowEmpty", "useDefaultExcludes"}, agent: true, run: stepStash},
		"unstash":   {display: "Restore files previously stashed", only: "name", describe: "name", agent: true, run: stepUnstash},
		"milestone": {display: "The milestone step forces all builds to go through in order", only: "ordinal", describe: "ordinal", params: []string{"label"}, run: stepMilestone},
		"build": {display: "Build", only: "job", describe: "job",
			params: []string{"parameters", "wait", "propagate", "quietPeriod", "waitForStart"}, run: stepBuild},
		"waitUntil":   {block: true, params: []string{"initialRecurrencePeriod", "quiet"}, run: stepWaitUntil},
		"readJSON":    {display: "Read JSON from files in the workspace.", describe: "file", params: []string{"file", "text", "returnPojo"}, run: stepReadJSON},
		"writeJSON":   {display: "Write JSON to a file in the workspace.", describe: "file", params: []string{"file", "json", "pretty", "returnText"}, run: stepWriteJSON},
		"readYaml":    {display: "Read yaml from files in the workspace or text.", describe: "file", params: []string{"file", "text"}, run: stepReadYaml},
		"writeYaml":   {display: "Write a yaml from an object or objects.", describe: "file", params: []string{"file", "data", "returnText", "overwrite"}, run: stepWriteYaml},
		"publishHTML": {display: "Publish HTML reports", only: "target", describe: "reportName", params: reportParams, agent: true, run: stepPublishHTML},
		"ansiColor":   {block: true, only: "colorMapName", run: stepPlainBlock},
		"lock":        {block: true, only: "resource", params: []string{"quantity", "variable", "inversePrecedence", "skipIfLocked", "extra", "reason"}, run: stepLock},
	}
}
