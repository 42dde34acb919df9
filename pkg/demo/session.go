// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/slipway-dev/slipway/pkg/apiclient"
	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/kapis/compat/devstar"
)

const (
	devopsAPI       = "/kapis/devops.kubesphere.io/v1alpha3"
	devcontainerAPI = "/kapis/devcontainer.devstar.cn/v1"
	// Workspace is the workspace of the demo's project.
	Workspace = "demo"
	// pollInterval is how often the demo looks where no stream tells it.
	pollInterval = 200 * time.Millisecond
	// settleTimeout bounds the waits for what should take seconds.
	settleTimeout = 2 * time.Minute
)

// Session calls the API as one user and keeps files (keys, repositories) in a folder of its own.
type Session struct {
	// API is the client, logged in.
	API *apiclient.Client
	dir string
}

// NewSession logs in. dir is an existing folder for temporary files that only the user may read.
func NewSession(ctx context.Context, server, username, password, dir string) (*Session, error) {
	client, err := apiclient.New(server)
	if err != nil {
		return nil, err
	}
	client, err = client.Login(ctx, username, password)
	if err != nil {
		return nil, err
	}
	return &Session{API: client, dir: dir}, nil
}

// DevContainer is what a user needs to log in.
type DevContainer struct {
	// Name and Namespace are those of the DevcontainerApp.
	Name, Namespace string
	// Host, Port and Username are where ssh connects.
	Host     string
	Port     int
	Username string
	// WorkDir is the folder of the clone.
	WorkDir string
	// KeyFile is the private key on this machine.
	KeyFile string
	// ImageID is the image by digest, AgentLabel the label of agents made from it.
	ImageID, AgentLabel string
	// Fingerprints are the SHA256 fingerprints of the host keys.
	Fingerprints []string
}

// CreateProject makes a DevOpsProject of the exact name and waits until it can be used.
func (s *Session) CreateProject(ctx context.Context, name string) error {
	project := map[string]any{"metadata": map[string]any{"name": name}}
	path := devopsAPI + "/workspaces/" + Workspace + "/namespaces"
	if err := s.API.Do(ctx, apiclient.Request{Method: http.MethodPost, Path: path, Object: project}, nil); err != nil {
		return fmt.Errorf("create project %s: %w", name, err)
	}
	var got devopsv1alpha3.DevOpsProject
	return s.until(ctx, "project "+name+" to be ready", func(ctx context.Context) (bool, error) {
		if err := s.API.Do(ctx, apiclient.Request{Path: path + "/" + name}, &got); err != nil {
			return false, err
		}
		for _, condition := range got.Status.Conditions {
			if condition.Type == devopsv1alpha3.ConditionReady {
				return condition.Status == "True", nil
			}
		}
		return false, nil
	})
}

// DeleteProject deletes the project and waits until it is gone.
func (s *Session) DeleteProject(ctx context.Context, name string) error {
	path := devopsAPI + "/workspaces/" + Workspace + "/namespaces/" + name
	if err := s.API.Do(ctx, apiclient.Request{Method: http.MethodDelete, Path: path}, nil); err != nil && !isStatus(err, http.StatusNotFound) {
		return fmt.Errorf("delete project %s: %w", name, err)
	}
	return s.until(ctx, "project "+name+" to be gone", func(ctx context.Context) (bool, error) {
		err := s.API.Do(ctx, apiclient.Request{Path: path}, nil)
		if isStatus(err, http.StatusNotFound) {
			return true, nil
		}
		return false, err
	})
}

// CreateRepository makes a GitRepository with a numeric id.
func (s *Session) CreateRepository(ctx context.Context, namespace, name, cloneURL, image string, id int64) error {
	repository := devopsv1alpha3.GitRepository{}
	repository.Name = name
	repository.Labels = map[string]string{devcontainerv1.RepoIDLabel: strconv.FormatInt(id, 10)}
	repository.Annotations = map[string]string{devcontainerv1.ImageAnnotation: image}
	repository.Spec = devopsv1alpha3.GitRepositorySpec{Provider: "git", URL: cloneURL, Owner: "demo", Repo: name}
	path := devopsAPI + "/namespaces/" + namespace + "/gitrepositories"
	if err := s.API.Do(ctx, apiclient.Request{Method: http.MethodPost, Path: path, Object: repository}, nil); err != nil {
		return fmt.Errorf("create repository %s: %w", name, err)
	}
	return nil
}

// DevStar calls the DevStar face, which answers 200 with its own codes, and decodes data into out.
func (s *Session) DevStar(ctx context.Context, request apiclient.Request, out any) error {
	request.Scheme = "token"
	var envelope struct {
		Code int             `json:"code"`
		Msg  string          `json:"msg"`
		Data json.RawMessage `json:"data"`
	}
	if err := s.API.Do(ctx, request, &envelope); err != nil {
		return err
	}
	if envelope.Code != devstar.CodeOK {
		return fmt.Errorf("%s %s: code %d, %s %s", request.Method, request.Path, envelope.Code, envelope.Msg, envelope.Data)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(envelope.Data, out); err != nil {
		return fmt.Errorf("decode the answer of %s: %w", request.Path, err)
	}
	return nil
}

// NewKeyPair asks for a temporary key pair, keeps the private key in a file and gives the public
// key in the form of authorized_keys.
func (s *Session) NewKeyPair(ctx context.Context) (keyFile, publicKey string, err error) {
	var pair devstar.KeyPair
	query := url.Values{"_": {strconv.FormatInt(time.Now().UnixMilli(), 10)}}
	if err := s.DevStar(ctx, apiclient.Request{Path: "/api/devstar_ssh/key_pair/new_temp", Query: query}, &pair); err != nil {
		return "", "", err
	}
	keyFile = filepath.Join(s.dir, "id_rsa")
	if err := os.WriteFile(keyFile, []byte(pair.PrivateKeyPem), 0o600); err != nil {
		return "", "", fmt.Errorf("keep the private key: %w", err)
	}
	return keyFile, pair.PublicKeyFingerprint, nil
}

// CreateDevContainer makes a dev container for a repository by the DevStar call and waits, by the
// call's own wait, until it is ready.
func (s *Session) CreateDevContainer(ctx context.Context, repoID int64, namespace, keyFile, publicKey string) (*DevContainer, error) {
	id := strconv.FormatInt(repoID, 10)
	body := map[string]any{"repoId": id, "sshPublicKeyList": []string{publicKey}}
	if err := s.DevStar(ctx, apiclient.Request{Method: http.MethodPost, Path: "/api/devcontainer", Object: body}, nil); err != nil {
		return nil, err
	}
	var opened devstar.DevContainer
	query := url.Values{"repoId": {id}, "wait": {"true"}}
	if err := s.DevStar(ctx, apiclient.Request{Path: "/api/devcontainer", Query: query, Timeout: settleTimeout}, &opened); err != nil {
		return nil, err
	}
	container := &DevContainer{
		Name: opened.Name, Namespace: namespace, Host: opened.Host, Port: int(opened.Port),
		Username: opened.Username, WorkDir: opened.WorkDir, KeyFile: keyFile,
	}
	var app devcontainerv1.DevcontainerApp
	err := s.until(ctx, "the agent label of "+container.Name, func(ctx context.Context) (bool, error) {
		path := devcontainerAPI + "/namespaces/" + namespace + "/devcontainerapps/" + container.Name
		if err := s.API.Do(ctx, apiclient.Request{Path: path}, &app); err != nil {
			return false, err
		}
		return app.Status.AgentLabel != "" && app.Status.ImageID != "" && isTrue(&app, devcontainerv1.ConditionAgentTemplateSynced), nil
	})
	if err != nil {
		return nil, err
	}
	container.ImageID, container.AgentLabel = app.Status.ImageID, app.Status.AgentLabel
	container.Fingerprints = app.Status.HostKeyFingerprints
	return container, nil
}

// DeleteDevContainer deletes the user's dev container of a repository and waits until it is gone.
func (s *Session) DeleteDevContainer(ctx context.Context, repoID int64, container *DevContainer) error {
	query := url.Values{"repoId": {strconv.FormatInt(repoID, 10)}}
	if err := s.DevStar(ctx, apiclient.Request{Method: http.MethodDelete, Path: "/api/devcontainer", Query: query}, nil); err != nil {
		return err
	}
	path := devcontainerAPI + "/namespaces/" + container.Namespace + "/devcontainerapps/" + container.Name
	return s.until(ctx, container.Name+" to be gone", func(ctx context.Context) (bool, error) {
		err := s.API.Do(ctx, apiclient.Request{Path: path}, nil)
		if isStatus(err, http.StatusNotFound) {
			return true, nil
		}
		return false, err
	})
}

// CreatePipeline makes a pipeline and waits until it is in Jenkins.
func (s *Session) CreatePipeline(ctx context.Context, namespace, name, jenkinsfile string) error {
	pipeline := devopsv1alpha3.Pipeline{}
	pipeline.Name = name
	pipeline.Spec = devopsv1alpha3.PipelineSpec{
		Type:     devopsv1alpha3.NoScmPipelineType,
		Pipeline: &devopsv1alpha3.NoScmPipeline{Name: name, Jenkinsfile: jenkinsfile},
	}
	path := devopsAPI + "/namespaces/" + namespace + "/pipelines"
	if err := s.API.Do(ctx, apiclient.Request{Method: http.MethodPost, Path: path, Object: pipeline}, nil); err != nil {
		return fmt.Errorf("create pipeline %s: %w", name, err)
	}
	return s.until(ctx, "pipeline "+name+" to be in Jenkins", func(ctx context.Context) (bool, error) {
		var got devopsv1alpha3.Pipeline
		if err := s.API.Do(ctx, apiclient.Request{Path: path + "/" + name}, &got); err != nil {
			return false, err
		}
		return got.Annotations[devopsv1alpha3.PipelineSyncStatusAnnotation] == devopsv1alpha3.SyncStatusSuccessful, nil
	})
}

// StartRun starts a run of a pipeline.
func (s *Session) StartRun(ctx context.Context, namespace, pipeline string, parameters ...devopsv1alpha3.Parameter) (*devopsv1alpha3.PipelineRun, error) {
	run := &devopsv1alpha3.PipelineRun{}
	request := apiclient.Request{
		Method: http.MethodPost,
		Path:   devopsAPI + "/namespaces/" + namespace + "/pipelines/" + pipeline + "/pipelineruns",
		Object: map[string]any{"parameters": slices.Concat([]devopsv1alpha3.Parameter{}, parameters)},
	}
	if err := s.API.Do(ctx, request, run); err != nil {
		return nil, fmt.Errorf("start %s: %w", pipeline, err)
	}
	return run, nil
}

// FollowRun watches a run until it has ended and its log and artifacts are stored, and gives its
// last state. seen is called with each phase that is new.
func (s *Session) FollowRun(ctx context.Context, run *devopsv1alpha3.PipelineRun, seen func(devopsv1alpha3.RunPhase)) (*devopsv1alpha3.PipelineRun, error) {
	request := apiclient.Request{
		Path:    devopsAPI + "/namespaces/" + run.Namespace + "/pipelineruns",
		Query:   url.Values{"watch": {"true"}},
		Timeout: -1,
	}
	stream, err := s.API.Stream(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("watch runs: %w", err)
	}
	defer func() { _ = stream.Close() }()
	decoder := json.NewDecoder(bufio.NewReader(stream))
	last := devopsv1alpha3.RunPhase("")
	for {
		var event struct {
			Type   string          `json:"type"`
			Object json.RawMessage `json:"object"`
		}
		if err := decoder.Decode(&event); err != nil {
			return nil, fmt.Errorf("watch runs: %w", err)
		}
		if event.Type != "ADDED" && event.Type != "MODIFIED" && event.Type != "DELETED" {
			continue
		}
		var current devopsv1alpha3.PipelineRun
		if err := json.Unmarshal(event.Object, &current); err != nil {
			return nil, fmt.Errorf("decode a run: %w", err)
		}
		if current.Name != run.Name {
			continue
		}
		if event.Type == "DELETED" {
			return nil, fmt.Errorf("run %s was deleted while it was followed", run.Name)
		}
		if current.Status.Phase != last && current.Status.Phase != "" {
			last = current.Status.Phase
			seen(last)
		}
		if last.Ended() && current.Annotations[devopsv1alpha3.ArchivedAnnotation] != "" {
			return &current, nil
		}
	}
}

// StreamLog copies the log of a run to out, following it to its end.
func (s *Session) StreamLog(ctx context.Context, run *devopsv1alpha3.PipelineRun, out io.Writer) error {
	request := apiclient.Request{
		Path:    devopsAPI + "/namespaces/" + run.Namespace + "/pipelineruns/" + run.Name + "/log",
		Query:   url.Values{"follow": {"true"}},
		Timeout: -1,
	}
	stream, err := s.API.Stream(ctx, request)
	if err != nil {
		return fmt.Errorf("read the log of %s: %w", run.Name, err)
	}
	defer func() { _ = stream.Close() }()
	if _, err := io.Copy(out, stream); err != nil {
		return fmt.Errorf("read the log of %s: %w", run.Name, err)
	}
	return nil
}

// Stage is what the demo reads of a stage.
type Stage struct {
	DisplayName string `json:"displayName"`
	State       string `json:"state"`
	Result      string `json:"result"`
}

// Stages gives the stages of a run.
func (s *Session) Stages(ctx context.Context, run *devopsv1alpha3.PipelineRun) ([]Stage, error) {
	var stages []Stage
	path := devopsAPI + "/namespaces/" + run.Namespace + "/pipelineruns/" + run.Name + "/nodedetails"
	if err := s.API.Do(ctx, apiclient.Request{Path: path}, &stages); err != nil {
		return nil, fmt.Errorf("read the stages of %s: %w", run.Name, err)
	}
	return stages, nil
}

// Artifact downloads one artifact of a run.
func (s *Session) Artifact(ctx context.Context, run *devopsv1alpha3.PipelineRun, name string) ([]byte, error) {
	request := apiclient.Request{
		Path:  devopsAPI + "/namespaces/" + run.Namespace + "/pipelineruns/" + run.Name + "/artifacts/download",
		Query: url.Values{"filename": {name}},
	}
	stream, err := s.API.Stream(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("download %s of %s: %w", name, run.Name, err)
	}
	defer func() { _ = stream.Close() }()
	content, err := io.ReadAll(stream)
	if err != nil {
		return nil, fmt.Errorf("download %s of %s: %w", name, run.Name, err)
	}
	return content, nil
}

// until polls until done says so; what it waits for is in the error if the time runs out.
func (s *Session) until(ctx context.Context, what string, done wait.ConditionWithContextFunc) error {
	if err := wait.PollUntilContextTimeout(ctx, pollInterval, settleTimeout, true, done); err != nil {
		return fmt.Errorf("wait for %s: %w", what, err)
	}
	return nil
}

func isTrue(app *devcontainerv1.DevcontainerApp, condition string) bool {
	for _, c := range app.Status.Conditions {
		if c.Type == condition {
			return c.Status == "True"
		}
	}
	return false
}

func isStatus(err error, code int) bool {
	var status *apiclient.StatusError
	return errors.As(err, &status) && status.Code == code
}
