// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/jenkins/jobxml"
)

// fakeJenkins has jobs by "folder/job" and counts what it is asked.
type fakeJenkins struct {
	docs map[string]string
	// foldCase: the folder finds names in any case.
	foldCase bool
	// noFolder: the folder does not exist.
	noFolder bool
	// branches are those of all multi-branch jobs, info what Jenkins says about these.
	branches []jenkins.BranchInfo
	info     jenkins.PipelineInfo
	scan     jenkins.ScanState
	// err fails all calls, scanErr the start of a scan, putErr a write.
	err, scanErr, putErr error
	calls                map[string]int
	// before is called at each call.
	before func(call string)
}

func newFakeJenkins() *fakeJenkins {
	return &fakeJenkins{docs: map[string]string{}, calls: map[string]int{}}
}

func (j *fakeJenkins) called(name string) error {
	j.calls[name]++
	if j.before != nil {
		j.before(name)
	}
	return j.err
}

func (j *fakeJenkins) total() (n int) {
	for _, c := range j.calls {
		n += c
	}
	return n
}

// find returns the name of the job that Jenkins finds.
func (j *fakeJenkins) find(folder, job string) (key string, ok bool) {
	key = folder + "/" + job
	if _, ok = j.docs[key]; ok || !j.foldCase {
		return key, ok
	}
	for other := range j.docs {
		if strings.EqualFold(other, key) {
			return other, true
		}
	}
	return key, false
}

func infoOf(key, doc string) jenkins.JobInfo {
	_, name, _ := strings.Cut(key, "/")
	info := jenkins.JobInfo{Name: name, Class: "hudson.model.FreeStyleProject", Color: "notbuilt"}
	if parsed, err := jobxml.Parse([]byte(doc)); err == nil {
		info.Class = jenkins.PipelineClass
		if parsed.Disabled {
			info.Color = "disabled"
		}
		if parsed.Spec.MultiBranchPipeline != nil {
			info.Class, info.Color = jenkins.MultiBranchClass, ""
		}
	}
	return info
}

func (j *fakeJenkins) GetJob(_ context.Context, folder, job string) (*jenkins.JobInfo, error) {
	if err := j.called("GetJob"); err != nil {
		return nil, err
	}
	key, ok := j.find(folder, job)
	if !ok {
		return nil, jenkins.ErrNotFound
	}
	info := infoOf(key, j.docs[key])
	return &info, nil
}

func (j *fakeJenkins) GetJobConfig(_ context.Context, folder, job string) ([]byte, error) {
	if err := j.called("GetJobConfig"); err != nil {
		return nil, err
	}
	key, ok := j.find(folder, job)
	if !ok {
		return nil, jenkins.ErrNotFound
	}
	return []byte(j.docs[key]), nil
}

func (j *fakeJenkins) PutJob(_ context.Context, folder, job string, doc []byte) error {
	if err := j.called("PutJob"); err != nil {
		return err
	}
	if j.putErr != nil {
		return j.putErr
	}
	if j.noFolder {
		return jenkins.ErrNotFound
	}
	key, _ := j.find(folder, job)
	j.docs[key] = string(doc)
	return nil
}

func (j *fakeJenkins) DeleteJob(_ context.Context, folder, job string) error {
	if err := j.called("DeleteJob"); err != nil {
		return err
	}
	key, _ := j.find(folder, job)
	delete(j.docs, key)
	return nil
}

func (j *fakeJenkins) ListTree(_ context.Context, folder string) ([]jenkins.JobInfo, error) {
	if err := j.called("ListTree"); err != nil {
		return nil, err
	}
	if j.noFolder {
		return nil, jenkins.ErrNotFound
	}
	var list []jenkins.JobInfo
	for key, doc := range j.docs {
		if !strings.HasPrefix(key, folder+"/") {
			continue
		}
		info := infoOf(key, doc)
		if info.Class == jenkins.MultiBranchClass {
			for _, b := range j.branches {
				info.Branches = append(info.Branches, b.Name)
			}
		}
		list = append(list, info)
	}
	return list, nil
}

func (j *fakeJenkins) GetPipeline(_ context.Context, folder, job string) (*jenkins.PipelineInfo, error) {
	if err := j.called("GetPipeline"); err != nil {
		return nil, err
	}
	info := j.info
	info.Name = job
	info.TotalNumberOfBranches = len(j.branches)
	for _, b := range j.branches {
		info.BranchNames = append(info.BranchNames, b.Name)
	}
	return &info, nil
}

func (j *fakeJenkins) BranchPage(_ context.Context, _, _ string, page jenkins.Page) ([]jenkins.BranchInfo, error) {
	if err := j.called("BranchPage"); err != nil {
		return nil, err
	}
	from := min(page.Start, len(j.branches))
	return append([]jenkins.BranchInfo{}, j.branches[from:min(from+page.Limit, len(j.branches))]...), nil
}

func (j *fakeJenkins) Scan(_ context.Context, _, _ string) error {
	if err := j.called("Scan"); err != nil {
		return err
	}
	return j.scanErr
}

func (j *fakeJenkins) ScanState(_ context.Context, _, _ string) (*jenkins.ScanState, error) {
	if err := j.called("ScanState"); err != nil {
		return nil, err
	}
	state := j.scan
	return &state, nil
}
