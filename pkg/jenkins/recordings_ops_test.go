// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkins/jenkinstest"
)

// operation makes a recorded request by a call of the client, if its address looks like one that the call asks for. The arguments of the call are
// read from the recorded request; whether the request that the client then forms is the recorded one is for the replay to judge.
type operation struct {
	name   string
	method string
	path   *regexp.Regexp // of the address without query, as it was sent
	call   func(ctx context.Context, c *Client, in input) (any, error)
	// gone says that "not found" is a success: the call removes something.
	gone bool
}

// input is what a call is made from.
type input struct {
	m     []string // groups of the path, unescaped
	query url.Values
	form  url.Values // of the query and of the body
	body  string
	e     *jenkinstest.Exchange
}

// nameList splits "/job/a/job/b" or "/pipelines/a/pipelines/b/branches/c".
func nameList(p string) []string {
	var out []string
	for i, s := range strings.Split(strings.Trim(p, "/"), "/") {
		if i%2 == 1 {
			name, err := url.PathUnescape(s)
			if err != nil {
				name = s
			}
			out = append(out, name)
		}
	}
	return out
}

func (in input) folder() string { return strings.Join(nameList(in.m[1]), "/") }

// job splits the names into a folder and a job.
func (in input) job() (folder, job string) {
	n := nameList(in.m[1])
	return strings.Join(n[:len(n)-1], "/"), n[len(n)-1]
}

// blue splits a Blue Ocean address into a folder and a job, which may name a branch.
func (in input) blue() (folder, job string) {
	pipelines, branches, _ := strings.Cut(in.m[1], "/branches/")
	n := nameList(pipelines)
	job = n[len(n)-1]
	if branches != "" {
		b, err := url.PathUnescape(branches)
		if err != nil {
			b = branches
		}
		job = BranchJob(job, b)
	}
	return strings.Join(n[:len(n)-1], "/"), job
}

func (in input) number(group int) int64 {
	n, _ := strconv.ParseInt(in.m[group], 10, 64)
	return n
}

func (in input) page() Page {
	start, _ := strconv.Atoi(in.query.Get("start"))
	limit, _ := strconv.Atoi(in.query.Get("limit"))
	return Page{Start: start, Limit: limit}
}

const (
	jobs     = `((?:/job/[^/]+)+)`
	twoJobs  = `((?:/job/[^/]+){2,})`
	anyJobs  = `((?:/job/[^/]+)*)`
	blueOrg  = `/blue/rest/organizations/jenkins`
	bluePipe = blueOrg + `((?:/pipelines/[^/]+){2,}(?:/branches/[^/]+)?)/`
	store    = jobs + `/credentials/store/folder/domain/_`
)

func op(name, method, path string, call func(ctx context.Context, c *Client, in input) (any, error)) operation {
	return operation{name: name, method: method, path: regexp.MustCompile("^" + path + "$"), call: call}
}

func gone(o operation) operation { o.gone = true; return o }

// textOf reads a part of a log and checks the offset.
func textOf(in input, text io.ReadCloser, next int64, more bool, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = text.Close() }()
	if _, err := io.ReadAll(text); err != nil {
		return nil, err
	}
	header := in.e.Response.Headers
	if size := header["X-Text-Size"]; len(size) == 1 && size[0] != strconv.FormatInt(next, 10) || more != (len(header["X-More-Data"]) > 0) {
		return nil, fmt.Errorf("next = %d, more = %t, the answer had %v", next, more, header)
	}
	return nil, nil
}

func credentialOf(in input) (CredentialEntry, bool) {
	var doc map[string]any
	if json.Unmarshal([]byte(in.form.Get("json")), &doc) != nil {
		return CredentialEntry{}, false
	}
	if inner, ok := doc["credentials"].(map[string]any); ok {
		doc = inner
	}
	text := func(m map[string]any, k string) string { s, _ := m[k].(string); return s }
	e := CredentialEntry{ID: text(doc, "id"), Description: text(doc, "description")}
	switch text(doc, "$class") {
	case classUsernamePassword:
		e.Credential = UsernamePassword{text(doc, "username"), text(doc, "password")}
	case classSSHKey:
		src, _ := doc["privateKeySource"].(map[string]any)
		e.Credential = SSHKey{text(doc, "username"), text(src, "privateKey"), text(doc, "passphrase")}
	case classSecretText:
		e.Credential = SecretText{text(doc, "secret")}
	case classKubeconfig:
		src, _ := doc["kubeconfigSource"].(map[string]any)
		e.Credential = Kubeconfig{text(src, "content")}
	default:
		return e, false
	}
	return e, true
}

// errNotOurs says that a call cannot be made from the recorded request.
var errNotOurs = fmt.Errorf("no call has these arguments")

// operations are tried in this order.
var operations = []operation{
	op("Version", "GET", `/api/json`, func(ctx context.Context, c *Client, _ input) (any, error) {
		v, err := c.Version(ctx)
		if err == nil && v != "2.541.2" {
			err = fmt.Errorf("version %q", v)
		}
		return nil, err
	}),
	op("QuietState", "GET", `/api/json`, func(ctx context.Context, c *Client, in input) (any, error) {
		s, err := c.QuietState(ctx)
		if err != nil {
			return nil, err
		}
		return map[string]any{"quietingDown": s.Quiet, "quietDownReason": s.Reason}, nil
	}),
	op("Labels", "GET", `/api/json`, func(ctx context.Context, c *Client, in input) (any, error) {
		l, err := c.Labels(ctx)
		if err == nil && len(l) == 0 {
			err = fmt.Errorf("no label")
		}
		return nil, err
	}),
	op("Computers", "GET", `/computer/api/json`, func(ctx context.Context, c *Client, _ input) (any, error) {
		l, err := c.Computers(ctx)
		if err != nil {
			return nil, err
		}
		return map[string]any{"busyExecutors": l.Busy, "totalExecutors": l.Total, "computer": make([]struct{}, len(l.Nodes))}, nil
	}),
	op("getCrumb", "GET", `/crumbIssuer/api/json`, func(ctx context.Context, c *Client, _ input) (any, error) {
		cr, err := c.getCrumb(ctx, nil)
		if err != nil {
			return nil, err
		}
		return map[string]any{"crumb": cr.value, "crumbRequestField": cr.field}, nil
	}),
	op("LabelExists", "GET", `/label/([^/]+)/api/json`, func(ctx context.Context, c *Client, in input) (any, error) {
		l, err := url.PathUnescape(in.m[1])
		if err == nil {
			_, err = c.LabelExists(ctx, l)
		}
		return nil, err
	}),
	op("CheckJobName", "GET", anyJobs+`/checkJobName`, func(ctx context.Context, c *Client, in input) (any, error) {
		reason, err := c.CheckJobName(ctx, in.folder(), in.query.Get("value"))
		if err == nil && (reason == "") == strings.Contains(in.e.Response.Body.Text, "error") {
			err = fmt.Errorf("reason = %q", reason)
		}
		return nil, err
	}),
	op("CheckCron", "GET", anyJobs+`/descriptorByName/hudson.triggers.TimerTrigger/checkSpec`, func(ctx context.Context, c *Client, in input) (any, error) {
		n, job := nameList(in.m[1]), ""
		if len(n) > 1 {
			n, job = n[:len(n)-1], n[len(n)-1]
		}
		got, err := c.CheckCron(ctx, strings.Join(n, "/"), job, in.query.Get("value"))
		if err != nil {
			return nil, err
		}
		text, result := in.e.Response.Body.Text, CheckOK
		for _, r := range []string{CheckError, CheckWarning} {
			if strings.Contains(text, `class="`+r+`"`) {
				result = r
				break
			}
		}
		if got.Result != result || got.Message == "" || strings.Contains(got.Message, "antlr") || strings.Contains(text, `class="ok"`) != !got.Next.IsZero() || got.Last.After(got.Next) {
			return nil, fmt.Errorf("%+v", got)
		}
		return nil, nil
	}),
	op("CheckScript", "POST", anyJobs+`/descriptorByName/org.jenkinsci.plugins.workflow.cps.CpsFlowDefinition/checkScriptCompile`, func(ctx context.Context, c *Client, in input) (any, error) {
		n, job := nameList(in.m[1]), ""
		if len(n) > 1 {
			n, job = n[:len(n)-1], n[len(n)-1]
		}
		got, err := c.CheckScript(ctx, strings.Join(n, "/"), job, in.form.Get("value"))
		if got == nil {
			return nil, err
		}
		return got, err
	}),
	op("PutJob, CreateFolder", "POST", anyJobs+`/createItem`, func(ctx context.Context, c *Client, in input) (any, error) {
		return nil, c.createItem(ctx, "t", escapeJoin("/job/", nameList(in.m[1])), in.query.Get("name"), []byte(in.body))
	}),
	op("PutJob (update)", "POST", jobs+`/config.xml`, func(ctx context.Context, c *Client, in input) (any, error) {
		return nil, c.updateItem(ctx, "t", escapeJoin("/job/", nameList(in.m[1])), []byte(in.body))
	}),
	op("GetJobConfig", "GET", twoJobs+`/config.xml`, func(ctx context.Context, c *Client, in input) (any, error) {
		f, j := in.job()
		doc, err := c.GetJobConfig(ctx, f, j)
		if err == nil && string(doc) != in.e.Response.Body.Text {
			err = fmt.Errorf("the document differs")
		}
		return nil, err
	}),
	gone(op("DeleteBuild", "POST", twoJobs+`/(\d+)/doDelete`, func(ctx context.Context, c *Client, in input) (any, error) {
		f, j := in.job()
		return nil, c.DeleteBuild(ctx, f, j, in.number(2))
	})),
	gone(op("DeleteJob", "POST", twoJobs+`/doDelete`, func(ctx context.Context, c *Client, in input) (any, error) {
		f, j := in.job()
		return nil, c.DeleteJob(ctx, f, j)
	})),
	gone(op("DeleteFolder", "POST", jobs+`/doDelete`, func(ctx context.Context, c *Client, in input) (any, error) {
		return nil, c.DeleteFolder(ctx, in.folder())
	})),
	op("FindByCause (builds)", "GET", twoJobs+`/api/json`, func(ctx context.Context, c *Client, in input) (any, error) {
		if !strings.Contains(in.query.Get("tree"), "builds[") {
			return nil, errNotOurs
		}
		_, err := c.findBuild(ctx, "t", escapeJoin("/job/", nameList(in.m[1])), "nosuch")
		return nil, err
	}),
	op("BuildStatuses", "GET", jobs+`/api/json`, func(ctx context.Context, c *Client, in input) (any, error) {
		if !strings.Contains(in.query.Get("tree"), "builds[") {
			return nil, errNotOurs
		}
		if b := in.e.Response.Body; b.JSON == nil && b.Text == "" {
			return nil, errNotOurs
		}
		c.cfg.StatusDepth = 20
		got, err := c.BuildStatuses(ctx, in.folder())
		if err != nil {
			return nil, err
		}
		return map[string]any{"jobs": make([]struct{}, len(got))}, nil
	}),
	op("ListJobs", "GET", jobs+`/api/json`, func(ctx context.Context, c *Client, in input) (any, error) {
		if !strings.Contains(in.query.Get("tree"), "jobs[") {
			return nil, errNotOurs
		}
		got, err := c.ListJobs(ctx, in.folder())
		if err != nil {
			return nil, err
		}
		return map[string]any{"jobs": make([]struct{}, len(got))}, nil
	}),
	op("ListTree", "GET", jobs+`/api/json`, func(ctx context.Context, c *Client, in input) (any, error) {
		if !strings.Contains(in.query.Get("tree"), "jobs[") {
			return nil, errNotOurs
		}
		got, err := c.ListTree(ctx, in.folder())
		if err != nil {
			return nil, err
		}
		return map[string]any{"jobs": make([]struct{}, len(got))}, nil
	}),
	op("GetJob", "GET", twoJobs+`/api/json`, func(ctx context.Context, c *Client, in input) (any, error) {
		f, j := in.job()
		got, err := c.GetJob(ctx, f, j)
		if err != nil {
			return nil, err
		}
		return map[string]any{"_class": got.Class, "name": got.Name, "color": got.Color}, nil
	}),
	op("DescribeFolder", "POST", jobs+`/submitDescription`, func(ctx context.Context, c *Client, in input) (any, error) {
		return nil, c.DescribeFolder(ctx, in.folder(), in.form.Get("description"))
	}),
	op("GetFolder", "GET", jobs+`/api/json`, func(ctx context.Context, c *Client, in input) (any, error) {
		if doc, ok := in.e.Response.Body.JSON.(map[string]any); ok && doc["_class"] != FolderClass {
			return nil, errNotOurs
		}
		f, err := c.GetFolder(ctx, in.folder())
		if err != nil {
			return nil, err
		}
		return map[string]any{"name": f.Name, "fullName": f.FullName}, nil
	}),
	op("Scan", "POST", twoJobs+`/build`, func(ctx context.Context, c *Client, in input) (any, error) {
		f, j := in.job()
		return nil, c.Scan(ctx, f, j)
	}),
	op("StartBuild", "POST", twoJobs+`/build(WithParameters)?`, func(ctx context.Context, c *Client, in input) (any, error) {
		f, j := in.job()
		if in.e.Response.Status == 302 {
			return nil, errNotOurs // a scan
		}
		req := StartRequest{HasParameters: in.m[2] != ""}
		for k, v := range in.form {
			if k != "delay" {
				req.Parameters = append(req.Parameters, Parameter{k, v[0]})
			}
		}
		_, err := c.StartBuild(ctx, f, j, req)
		return nil, err
	}),
	op("StopBuild", "POST", twoJobs+`/(\d+)/stop`, func(ctx context.Context, c *Client, in input) (any, error) {
		f, j := in.job()
		return nil, c.StopBuild(ctx, f, j, in.number(2))
	}),
	op("FindByCause (queue)", "GET", `/queue/api/json`, func(ctx context.Context, c *Client, _ input) (any, error) {
		_, err := c.findQueued(ctx, "t", "nosuch")
		return nil, err
	}),
	op("Queue", "GET", `/queue/api/json`, func(ctx context.Context, c *Client, _ input) (any, error) {
		_, err := c.Queue(ctx)
		return nil, err
	}),
	op("ListRuns", "GET", bluePipe+`runs/`, func(ctx context.Context, c *Client, in input) (any, error) {
		f, j := in.blue()
		got, err := c.ListRuns(ctx, f, j, in.page())
		if err != nil {
			return nil, err
		}
		return got, nil
	}),
	op("RunSteps", "GET", bluePipe+`runs/(\d+)/steps/`, func(ctx context.Context, c *Client, in input) (any, error) {
		f, j := in.blue()
		got, err := c.RunSteps(ctx, f, j, in.number(2))
		if err != nil {
			return nil, err
		}
		return got, nil
	}),
	op("GetQueueItem", "GET", `/queue/item/([^/]+)/api/json`, func(ctx context.Context, c *Client, in input) (any, error) {
		item, err := c.GetQueueItem(ctx, in.number(1))
		if err != nil {
			return nil, err
		}
		out := map[string]any{"id": item.ID, "stuck": item.Stuck, "inQueueSince": item.Since.UnixMilli(), "cancelled": item.Cancelled}
		if item.BuildNumber > 0 {
			out["executable"] = map[string]any{"number": item.BuildNumber}
		}
		return out, nil
	}),
	op("CancelQueueItem", "POST", `/queue/cancelItem`, func(ctx context.Context, c *Client, in input) (any, error) {
		id, _ := strconv.ParseInt(in.query.Get("id"), 10, 64)
		return nil, c.CancelQueueItem(ctx, id)
	}),
	op("ScanLog", "GET", twoJobs+`/indexing/consoleText`, func(ctx context.Context, c *Client, in input) (any, error) {
		f, j := in.job()
		text, err := c.ScanLog(ctx, f, j)
		if err != nil {
			return nil, err
		}
		defer func() { _ = text.Close() }()
		got, err := io.ReadAll(text)
		if err == nil && string(got) != in.e.Response.Body.Text {
			err = fmt.Errorf("the log differs")
		}
		return nil, err
	}),
	op("Log", "GET", twoJobs+`/(\d+)/logText/progressiveText`, func(ctx context.Context, c *Client, in input) (any, error) {
		f, j := in.job()
		start, err := strconv.ParseInt(in.query.Get("start"), 10, 64)
		if err != nil || start < 0 {
			return nil, errNotOurs
		}
		text, next, more, err := c.Log(ctx, f, j, in.number(2), start)
		return textOf(in, text, next, more, err)
	}),
	op("OpenArtifact", "GET", twoJobs+`/(\d+)/artifact/(.*)`, func(ctx context.Context, c *Client, in input) (any, error) {
		f, j := in.job()
		path, err := url.PathUnescape(in.m[3])
		if err != nil {
			return nil, err
		}
		a, err := c.OpenArtifact(ctx, f, j, in.number(2), path)
		if err != nil {
			return nil, err
		}
		defer func() { _ = a.Close() }()
		got, err := io.ReadAll(a)
		if err == nil && string(got) != in.e.Response.Body.Text {
			err = fmt.Errorf("the artifact differs")
		}
		return nil, err
	}),
	op("SearchPipelines", "GET", `/blue/rest/search/`, func(ctx context.Context, c *Client, in input) (any, error) {
		_, rest, _ := strings.Cut(in.query.Get("q"), ";pipeline:")
		pattern, _, _ := strings.Cut(rest, ";")
		folder, keyword, _ := strings.Cut(pattern, "/*")
		return c.SearchPipelines(ctx, folder, strings.TrimSuffix(keyword, "*"), in.page())
	}),
	op("ListPipelines", "GET", blueOrg+`((?:/pipelines/[^/]+)+)/pipelines/`, func(ctx context.Context, c *Client, in input) (any, error) {
		return c.ListPipelines(ctx, in.folder(), in.page())
	}),
	op("GetPipeline", "GET", bluePipe, func(ctx context.Context, c *Client, in input) (any, error) {
		f, j := in.blue()
		return c.GetPipeline(ctx, f, j)
	}),
	op("BranchPage", "GET", bluePipe+`branches/`, func(ctx context.Context, c *Client, in input) (any, error) {
		f, j := in.blue()
		return c.BranchPage(ctx, f, j, in.page())
	}),
	op("GetRun", "GET", bluePipe+`runs/(\d+)/`, func(ctx context.Context, c *Client, in input) (any, error) {
		f, j := in.blue()
		return c.GetRun(ctx, f, j, in.number(2))
	}),
	op("Nodes", "GET", bluePipe+`runs/(\d+)/nodes/`, func(ctx context.Context, c *Client, in input) (any, error) {
		f, j := in.blue()
		return c.Nodes(ctx, f, j, in.number(2))
	}),
	op("Steps", "GET", bluePipe+`runs/(\d+)/nodes/([^/]+)/steps/`, func(ctx context.Context, c *Client, in input) (any, error) {
		f, j := in.blue()
		return c.Steps(ctx, f, j, in.number(2), in.m[3])
	}),
	op("StepLog", "GET", bluePipe+`runs/(\d+)/nodes/([^/]+)/steps/([^/]+)/log/`, func(ctx context.Context, c *Client, in input) (any, error) {
		f, j := in.blue()
		start, err := strconv.ParseInt(in.query.Get("start"), 10, 64)
		if err != nil || start < 0 {
			return nil, errNotOurs
		}
		text, next, more, err := c.StepLog(ctx, BuildRef{f, j, in.number(2)}, in.m[3], in.m[4], start)
		return textOf(in, text, next, more, err)
	}),
	op("ListArtifacts", "GET", bluePipe+`runs/(\d+)/artifacts/`, func(ctx context.Context, c *Client, in input) (any, error) {
		f, j := in.blue()
		got, err := c.ListArtifacts(ctx, f, j, in.number(2))
		if err != nil {
			return nil, err
		}
		return make([]struct{}, len(got)), nil
	}),
	op("SubmitInput", "POST", bluePipe+`runs/(\d+)/nodes/([^/]+)/steps/([^/]+)/`, func(ctx context.Context, c *Client, in input) (any, error) {
		f, j := in.blue()
		var doc struct {
			ID         string
			Abort      bool
			Parameters []struct {
				Name  string
				Value any
			}
		}
		if json.Unmarshal([]byte(in.body), &doc) != nil {
			return nil, errNotOurs
		}
		a := Answer{Node: in.m[3], Step: in.m[4], InputID: doc.ID, Abort: doc.Abort}
		for _, p := range doc.Parameters {
			a.Parameters = append(a.Parameters, Parameter{p.Name, fmt.Sprint(p.Value)})
		}
		return nil, c.SubmitInput(ctx, f, j, in.number(2), a)
	}),
	op("ReplayRun", "POST", bluePipe+`runs/(\d+)/replay/`, func(ctx context.Context, c *Client, in input) (any, error) {
		f, j := in.blue()
		_, err := c.ReplayRun(ctx, f, j, in.number(2))
		return nil, err
	}),
	op("PutCredential, CreateCredential", "POST", store+`/createCredentials`, func(ctx context.Context, c *Client, in input) (any, error) {
		e, ok := credentialOf(in)
		if !ok {
			return nil, errNotOurs
		}
		return nil, c.addCredential(ctx, "t", in.folder(), e)
	}),
	op("PutCredential, UpdateCredential", "POST", store+`/credential/([^/]+)/updateSubmit`, func(ctx context.Context, c *Client, in input) (any, error) {
		e, ok := credentialOf(in)
		if !ok {
			return nil, errNotOurs
		}
		return nil, c.UpdateCredential(ctx, in.folder(), e)
	}),
	op("GetCredential", "GET", store+`/credential/([^/]+)/api/json`, func(ctx context.Context, c *Client, in input) (any, error) {
		id, err := url.PathUnescape(in.m[2])
		if err != nil {
			return nil, err
		}
		return c.GetCredential(ctx, in.folder(), id)
	}),
	op("ListCredentials", "GET", store+`/api/json`, func(ctx context.Context, c *Client, in input) (any, error) {
		list, err := c.ListCredentials(ctx, in.folder())
		return map[string]any{"credentials": list}, err
	}),
	gone(op("DeleteCredential", "POST", store+`/credential/([^/]+)/doDelete`, func(ctx context.Context, c *Client, in input) (any, error) {
		id, err := url.PathUnescape(in.m[2])
		if err != nil {
			return nil, err
		}
		return nil, c.DeleteCredential(ctx, in.folder(), id)
	})),
}
