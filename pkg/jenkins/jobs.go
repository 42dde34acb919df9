// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"context"
	"encoding/xml"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/bndr/gojenkins"
)

// FolderClass is the Java class of a folder.
const FolderClass = "com.cloudbees.hudson.plugins.folder.Folder"

// Folder is a folder of jobs.
type Folder struct {
	// Name is the last segment of the name.
	Name string
	// FullName is the whole name, "team/a".
	FullName string
	// Description is the text that Jenkins shows.
	Description string
}

// JobInfo is an entry of a folder.
type JobInfo struct {
	// Name is the name within the folder.
	Name string
	// Class is the Java class: a pipeline, a multi-branch project or a folder.
	Class string
	// Color is Jenkins' summary of the last build, such as "blue" or "red_anime"; empty for folders and multi-branch projects.
	Color string
	// Branches are the names of the branch jobs of a multi-branch project, in Jenkins' encoding. Only ListTree gives them.
	Branches []string
}

// Classes of jobs.
const (
	// PipelineClass is the Java class of a pipeline.
	PipelineClass = "org.jenkinsci.plugins.workflow.job.WorkflowJob"
	// MultiBranchClass is the Java class of a multi-branch pipeline.
	MultiBranchClass = "org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject"
)

// Disabled reports whether somebody disabled the job. Jenkins does not say so of a multi-branch project here.
func (j JobInfo) Disabled() bool { return strings.HasPrefix(j.Color, "disabled") }

// GetFolder returns a folder, or ErrNotFound. An item of that name that is no folder is ErrConflict.
func (c *Client) GetFolder(ctx context.Context, folder string) (*Folder, error) {
	const op = "get folder"
	p, err := folderPath(op, folder)
	if err != nil {
		return nil, err
	}
	var out struct {
		Class string `json:"_class"`
		Folder
	}
	if err = c.getJSON(ctx, op, p+"/api/json", url.Values{"tree": {"name,fullName,description"}}, &out); err != nil {
		return nil, err
	}
	if out.Class != FolderClass {
		return nil, newError(op, ErrConflict, "the item %q exists and is no folder but %s", folder, out.Class)
	}
	return &out.Folder, nil
}

// EnsureFolder creates the folder if it does not exist. The parent of a nested folder must exist.
func (c *Client) EnsureFolder(ctx context.Context, folder string) error {
	_, err := c.GetFolder(ctx, folder)
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	if err = c.CreateFolder(ctx, folder, ""); errors.Is(err, ErrConflict) {
		// Somebody was faster; it is a success if what is there now is a folder.
		_, err = c.GetFolder(ctx, folder)
	}
	return err
}

// CreateFolder creates a folder with a description. If an item of that name exists, also one whose name differs in case only, it is ErrConflict. The
// parent of a nested folder must exist.
func (c *Client) CreateFolder(ctx context.Context, folder, description string) error {
	const op = "create folder"
	parts, err := segments(op, "folder", folder)
	if err != nil {
		return err
	}
	doc, err := xml.Marshal(struct {
		XMLName     xml.Name
		Description string `xml:"description"`
	}{XMLName: xml.Name{Local: FolderClass}, Description: description})
	if err != nil {
		return &Error{Op: op, Message: err.Error(), kind: ErrInvalid, cause: err}
	}
	last := len(parts) - 1
	return c.createItem(ctx, op, escapeJoin("/job/", parts[:last]), parts[last], append([]byte(xml11Header), doc...))
}

// DescribeFolder replaces the description of a folder and nothing else of it.
func (c *Client) DescribeFolder(ctx context.Context, folder, description string) error {
	const op = "describe folder"
	p, err := folderPath(op, folder)
	if err != nil {
		return err
	}
	form := url.Values{"description": {description}}
	_, err = c.do(ctx, call{op: op, method: http.MethodPost, path: p + "/submitDescription", body: []byte(form.Encode()), contentType: formType})
	return err
}

// DeleteFolder deletes a folder and all that is in it. That it does not exist is a success.
func (c *Client) DeleteFolder(ctx context.Context, folder string) error {
	const op = "delete folder"
	p, err := folderPath(op, folder)
	if err != nil {
		return err
	}
	_, err = c.job(op, p).Delete(ctx)
	return ignoreNotFound(err)
}

// GetJob returns what a folder lists of a job. Jenkins may find a job whose name differs in case: then Name is the name that it has.
func (c *Client) GetJob(ctx context.Context, folder, job string) (*JobInfo, error) {
	const op = "get job"
	p, err := jobPath(op, folder, job)
	if err != nil {
		return nil, err
	}
	out := &gojenkins.InnerJob{}
	if err := c.getJSON(ctx, op, p+"/api/json", url.Values{"tree": {"name,color"}}, out); err != nil {
		return nil, err
	}
	return &JobInfo{Name: out.Name, Class: out.Class, Color: out.Color}, nil
}

// GetJobConfig returns the config.xml of a job. Its prolog says XML 1.1, which encoding/xml refuses: see package jobxml.
func (c *Client) GetJobConfig(ctx context.Context, folder, job string) ([]byte, error) {
	const op = "get job"
	p, err := jobPath(op, folder, job)
	if err != nil {
		return nil, err
	}
	a, err := c.do(ctx, call{op: op, method: http.MethodGet, path: p + "/config.xml"})
	if err != nil {
		return nil, err
	}
	if t := a.header.Get("Content-Type"); strings.Contains(t, "html") {
		// Taken for the job's it would say that the job is somebody else's.
		return nil, &Error{Op: op, Status: a.status, kind: ErrUnexpected, Message: "the answer is no config.xml: " + messageOf(t, a.body)}
	}
	return a.body, nil
}

// PutJob replaces the config.xml of a job, or creates the job. The document is sent as it is, see package jobxml. ErrNotFound
// means that the folder does not exist; broken XML or another class than that of the existing job is ErrInternal.
func (c *Client) PutJob(ctx context.Context, folder, job string, doc []byte) error {
	const op = "write job"
	p, err := jobPath(op, folder, job)
	if err != nil {
		return err
	}
	if err = c.updateItem(ctx, op, p, doc); !errors.Is(err, ErrNotFound) {
		return err
	}
	f, err := folderPath(op, folder)
	if err != nil {
		return err
	}
	if err = c.createItem(ctx, op, f, job, doc); errors.Is(err, ErrConflict) {
		// Created by somebody else since the first call.
		err = c.updateItem(ctx, op, p, doc)
	}
	return err
}

func (c *Client) updateItem(ctx context.Context, op, path string, doc []byte) error {
	_, err := c.do(ctx, call{op: op, method: http.MethodPost, path: path + "/config.xml", body: doc, contentType: xmlType})
	return err
}

func (c *Client) createItem(ctx context.Context, op, parent, name string, doc []byte) error {
	_, err := c.do(ctx, call{op: op, method: http.MethodPost, path: parent + "/createItem",
		query: url.Values{"name": {name}}, body: doc, contentType: xmlType})
	return err
}

// DeleteJob deletes a job and its builds. That it does not exist is a success.
func (c *Client) DeleteJob(ctx context.Context, folder, job string) error {
	const op = "delete job"
	p, err := jobPath(op, folder, job)
	if err != nil {
		return err
	}
	_, err = c.job(op, p).Delete(ctx)
	return ignoreNotFound(err)
}

// ListJobs returns the jobs and folders in a folder, or the branches of a multi-branch pipeline if the name is that of one.
func (c *Client) ListJobs(ctx context.Context, folder string) ([]JobInfo, error) {
	const op = "list jobs"
	p, err := folderPath(op, folder)
	if err != nil {
		return nil, err
	}
	var out struct {
		Jobs []gojenkins.InnerJob `json:"jobs"`
	}
	if err = c.getJSON(ctx, op, p+"/api/json", url.Values{"tree": {"jobs[name,color]"}}, &out); err != nil {
		return nil, err
	}
	list := make([]JobInfo, 0, len(out.Jobs))
	for _, j := range out.Jobs {
		list = append(list, JobInfo{Name: j.Name, Class: j.Class, Color: j.Color})
	}
	return list, nil
}

// ListTree returns the jobs and folders in a folder, with the branches of the multi-branch pipelines, in one call.
func (c *Client) ListTree(ctx context.Context, folder string) ([]JobInfo, error) {
	const op = "list jobs and branches"
	p, err := folderPath(op, folder)
	if err != nil {
		return nil, err
	}
	var out struct {
		Jobs []struct {
			gojenkins.InnerJob
			Jobs []name `json:"jobs"`
		} `json:"jobs"`
	}
	if err = c.getJSON(ctx, op, p+"/api/json", url.Values{"tree": {"jobs[name,color,jobs[name]]"}}, &out); err != nil {
		return nil, err
	}
	list := make([]JobInfo, 0, len(out.Jobs))
	for _, j := range out.Jobs {
		info := JobInfo{Name: j.Name, Class: j.Class, Color: j.Color}
		if j.Class == MultiBranchClass {
			info.Branches = names(j.Jobs)
		}
		list = append(list, info)
	}
	return list, nil
}

// xml11Header is the prolog that Jenkins writes. XML 1.1 allows control characters as references, 1.0 does not.
const xml11Header = "<?xml version='1.1' encoding='UTF-8'?>\n"
