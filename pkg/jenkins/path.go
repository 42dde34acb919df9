// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// BranchJob returns the job name of a branch of a multi-branch pipeline, as the calls of this package take it.
// The branch is the name of the branch job in Jenkins' encoding ("feature%2Fx"), which is also what
// PipelineRun.spec.scm.refName holds. A plain branch name without "/", "%" and "#" is its own encoding.
func BranchJob(pipeline, branchJob string) string { return pipeline + "/" + branchJob }

// BranchJobName returns Jenkins' name of the job of a branch: "feature/x" is "feature%2Fx". Jenkins (the plugin branch-api) encodes only what has a
// meaning in addresses and leaves all else alone, such as "@" and letters beyond ASCII.
func BranchJobName(branch string) string { return branchEncoder.Replace(branch) }

var branchEncoder = strings.NewReplacer("%", "%25", "/", "%2F", "#", "%23", "?", "%3F", "[", "%5B", "]", "%5D", `\`, "%5C")

// segments splits a name at its slashes and refuses what could leave the object it names.
func segments(op, what, name string) ([]string, error) {
	parts := strings.Split(name, "/")
	for _, p := range parts {
		switch {
		case p == "", p == ".", p == "..":
			return nil, newError(op, ErrInvalid, "%s name %q has an empty or relative segment", what, name)
		case !utf8.ValidString(p) || strings.ContainsFunc(p, unicode.IsControl):
			return nil, newError(op, ErrInvalid, "%s name %q has a control character or is not UTF-8", what, name)
		}
	}
	return parts, nil
}

// escapeJoin returns prefix + escaped segment, repeated.
func escapeJoin(prefix string, parts []string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(prefix)
		b.WriteString(url.PathEscape(p))
	}
	return b.String()
}

// folderPath is the classic address of a folder: /job/a/job/b.
func folderPath(op, folder string) (string, error) {
	parts, err := segments(op, "folder", folder)
	if err != nil {
		return "", err
	}
	return escapeJoin("/job/", parts), nil
}

// jobPath is the classic address of a job within a folder.
func jobPath(op, folder, job string) (string, error) {
	f, err := folderPath(op, folder)
	if err != nil {
		return "", err
	}
	parts, err := segments(op, "job", job)
	if err != nil {
		return "", err
	}
	return f + escapeJoin("/job/", parts), nil
}

// buildPath is the classic address of a build.
func buildPath(op, folder, job string, build int64) (string, error) {
	p, err := jobPath(op, folder, job)
	if err != nil {
		return "", err
	}
	if build < 1 {
		return "", newError(op, ErrInvalid, "build number %d", build)
	}
	return p + "/" + strconv.FormatInt(build, 10), nil
}

// bluePath is the Blue Ocean address of a build, with a slash at its end.
func bluePath(op, folder, job string, build int64) (string, error) {
	f, err := segments(op, "folder", folder)
	if err != nil {
		return "", err
	}
	j, err := segments(op, "job", job)
	if err != nil {
		return "", err
	}
	if build < 1 {
		return "", newError(op, ErrInvalid, "build number %d", build)
	}
	p := "/blue/rest/organizations/jenkins" + escapeJoin("/pipelines/", append(f, j[0]))
	if len(j) > 1 {
		p += escapeJoin("/branches/", j[1:])
	}
	return p + "/runs/" + strconv.FormatInt(build, 10) + "/", nil
}
