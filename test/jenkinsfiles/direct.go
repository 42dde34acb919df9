// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfiles

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/controller"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/jenkins/jobxml"
)

// Direct makes and starts pipelines by Jenkins' own REST API, in the way that Slipway's controllers do.
type Direct struct {
	Client *jenkins.Client
	Folder string
	// URL, Username and Token are for what the client has no call for.
	URL, Username, Token string
	Poll                 time.Duration
}

// startToken lets builds have a cause that is not a user, as those of Slipway.
const startToken = "jenkinsfiles-start"

// Put implements Pipelines.
func (d *Direct) Put(ctx context.Context, name string, spec *devopsv1alpha3.PipelineSpec) error {
	options := jobxml.Options{AuthToken: startToken}
	if spec.Pipeline != nil {
		options.Parameters = controller.Analyze(spec.Pipeline.Jenkinsfile).Parameters
	}
	document, err := jobxml.Render(spec, options)
	if err != nil {
		return fmt.Errorf("job %s: %w", name, err)
	}
	if err := d.Client.PutJob(ctx, d.Folder, name, document); err != nil || spec.MultiBranchPipeline == nil {
		return err
	}
	return d.Client.Scan(ctx, d.Folder, name)
}

// PutCredential implements Pipelines.
func (d *Direct) PutCredential(ctx context.Context, c Credential) error {
	entry := jenkins.CredentialEntry{ID: c.ID}
	switch c.Kind {
	case "text":
		entry.Credential = jenkins.SecretText{Secret: c.Secret}
	case "password":
		entry.Credential = jenkins.UsernamePassword{Username: c.Username, Password: c.Secret}
	case "ssh":
		entry.Credential = jenkins.SSHKey{Username: c.Username, PrivateKey: c.Secret}
	case "file":
		return d.putFile(ctx, c)
	default:
		return fmt.Errorf("credential %s: unknown kind %q", c.ID, c.Kind)
	}
	return d.Client.PutCredential(ctx, d.Folder, entry)
}

// fileCredential is the XML of a secret file.
type fileCredential struct {
	XMLName  xml.Name `xml:"org.jenkinsci.plugins.plaincredentials.impl.FileCredentialsImpl"`
	Scope    string   `xml:"scope"`
	ID       string   `xml:"id"`
	FileName string   `xml:"fileName"`
	Content  string   `xml:"secretBytes"`
}

// putFile makes a secret file. Only XML can: the form of Jenkins is an upload.
func (d *Direct) putFile(ctx context.Context, c Credential) error {
	document, err := xml.Marshal(fileCredential{Scope: "GLOBAL", ID: c.ID, FileName: c.FileName, Content: base64.StdEncoding.EncodeToString([]byte(c.Secret))})
	if err != nil {
		return err
	}
	path := "/job/" + url.PathEscape(d.Folder) + "/credentials/store/folder/domain/_/createCredentials"
	_, err = d.do(ctx, http.MethodPost, path, document)
	return err
}

// do sends a request that the client has no call for.
func (d *Direct) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, d.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth(d.Username, d.Token)
	if body != nil {
		req.Header.Set("Content-Type", "application/xml")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %.300s", method, path, resp.Status, answer)
	}
	return answer, err
}

// Start implements Pipelines.
func (d *Direct) Start(ctx context.Context, job string, parameters map[string]string) (int64, error) {
	has, err := d.hasParameters(ctx, job)
	if err != nil {
		return 0, err
	}
	request := jenkins.StartRequest{Token: startToken, Cause: "jenkinsfiles", HasParameters: has}
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		request.Parameters = append(request.Parameters, jenkins.Parameter{Name: name, Value: parameters[name]})
	}
	item, err := d.Client.StartBuild(ctx, d.Folder, job, request)
	if err != nil {
		return 0, err
	}
	ticker := time.NewTicker(d.Poll)
	defer ticker.Stop()
	for {
		waiting, err := d.Client.GetQueueItem(ctx, item)
		if err != nil || waiting.BuildNumber > 0 {
			if err != nil {
				return 0, err
			}
			return waiting.BuildNumber, nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for a build of %s: %w", job, context.Cause(ctx))
		}
	}
}

// hasParameters asks the job: a build may have given it some.
func (d *Direct) hasParameters(ctx context.Context, job string) (bool, error) {
	answer, err := d.do(ctx, http.MethodGet, d.path(job)+"/api/json?tree=property[parameterDefinitions[name]]", nil)
	if err != nil {
		return false, err
	}
	var found struct {
		Property []struct{ ParameterDefinitions []struct{ Name string } }
	}
	if err := json.Unmarshal(answer, &found); err != nil {
		return false, fmt.Errorf("parameters of %s: %w", job, err)
	}
	return slices.ContainsFunc(found.Property, func(p struct{ ParameterDefinitions []struct{ Name string } }) bool {
		return len(p.ParameterDefinitions) > 0
	}), nil
}

// path is the address of a job.
func (d *Direct) path(job string) string {
	path := "/job/" + url.PathEscape(d.Folder)
	for _, part := range strings.Split(job, "/") {
		path += "/job/" + url.PathEscape(part)
	}
	return path
}

// Ended implements Pipelines.
func (d *Direct) Ended(context.Context, string, int64, *jenkins.Run) error { return nil }

// Counts implements Pipelines.
func (d *Direct) Counts(ctx context.Context, job string, build int64) (Tests, error) {
	answer, err := d.do(ctx, http.MethodGet, fmt.Sprintf("%s/%d/testReport/api/json", d.path(job), build), nil)
	if err != nil {
		return Tests{}, err
	}
	var counts struct{ PassCount, FailCount, SkipCount int }
	if err := json.Unmarshal(answer, &counts); err != nil {
		return Tests{}, fmt.Errorf("test report of %s: %w", job, err)
	}
	return Tests{Passed: counts.PassCount, Failed: counts.FailCount, Skipped: counts.SkipCount}, nil
}
