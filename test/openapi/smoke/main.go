// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Command smoke uses the client that go-swagger makes from /openapi.json against a server. It is a module of its own,
// as the client is: the test in the folder above copies it beside the generated code.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/go-openapi/runtime"
	httptransport "github.com/go-openapi/runtime/client"
	"github.com/go-openapi/strfmt"

	"github.com/slipway-dev/slipway/test/openapi/smoke/client"
	"github.com/slipway-dev/slipway/test/openapi/smoke/client/login"
	"github.com/slipway-dev/slipway/test/openapi/smoke/client/pipeline_runs"
	"github.com/slipway-dev/slipway/test/openapi/smoke/client/pipelines"
	"github.com/slipway-dev/slipway/test/openapi/smoke/models"
)

const jenkinsfile = "pipeline {\n  agent any\n  stages { stage('build') { steps { sh 'make' } } }\n}\n"

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := smoke(ctx, os.Getenv("SMOKE_URL"), os.Getenv("SMOKE_NAMESPACE")); err != nil {
		fmt.Fprintln(os.Stderr, "smoke:", err)
		os.Exit(1)
	}
}

func done(format string, args ...any) { fmt.Printf("ok: "+format+"\n", args...) }

func smoke(ctx context.Context, base, namespace string) error {
	address, err := url.Parse(base)
	if err != nil {
		return err
	}
	transport := httptransport.New(address.Host, address.Path, []string{address.Scheme})
	api := client.New(transport, strfmt.Default)

	// An error has its type, and the code of it.
	_, err = api.Login.CreateToken(login.NewCreateTokenParams().WithContext(ctx).
		WithGrantType("password").WithUsername(os.Getenv("SMOKE_USER")).WithPassword("wrong"))
	var refused *login.CreateTokenBadRequest
	if !errors.As(err, &refused) || refused.Payload.Error != "invalid_grant" {
		return fmt.Errorf("log in with a wrong password: %w, want a typed error", err)
	}
	done("a wrong password: %s", refused.Payload.Error)

	token, err := api.Login.CreateToken(login.NewCreateTokenParams().WithContext(ctx).
		WithGrantType("password").WithUsername(os.Getenv("SMOKE_USER")).WithPassword(strfmt.Password(os.Getenv("SMOKE_PASSWORD"))))
	if err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	if token.Payload.AccessToken == "" || token.Payload.ExpiresIn <= 0 {
		return fmt.Errorf("log in: %+v", token.Payload)
	}
	done("log in")
	auth := httptransport.BearerToken(token.Payload.AccessToken)

	_, err = api.Pipelines.ListPipeline(pipelines.NewListPipelineParams().WithContext(ctx).WithNamespace(namespace), httptransport.BearerToken("x"))
	var unauthorized *pipelines.ListPipelineUnauthorized
	if !errors.As(err, &unauthorized) || unauthorized.Payload.Reason != "Unauthorized" || unauthorized.Payload.Code != 401 {
		return fmt.Errorf("list with a bad token: %w, want a typed error", err)
	}
	done("a bad token: %s", unauthorized.Payload.Message)

	kind := "pipeline"
	made, err := api.Pipelines.CreatePipeline(pipelines.NewCreatePipelineParams().WithContext(ctx).WithNamespace(namespace).WithBody(&models.V1alpha3Pipeline{
		Metadata: &models.V1ObjectMeta{Name: "smoke"},
		Spec:     &models.V1alpha3PipelineSpec{Type: &kind, Pipeline: &models.V1alpha3NoScmPipeline{Jenkinsfile: jenkinsfile}},
	}), auth)
	if err != nil {
		return fmt.Errorf("create a pipeline: %w", err)
	}
	if made.Payload.Metadata.UID == "" || made.Payload.Spec.Pipeline.Jenkinsfile != jenkinsfile {
		return fmt.Errorf("create a pipeline: %+v", made.Payload)
	}
	done("create a pipeline")

	_, err = api.Pipelines.CreatePipeline(pipelines.NewCreatePipelineParams().WithContext(ctx).WithNamespace(namespace).WithBody(made.Payload), auth)
	var conflict *pipelines.CreatePipelineConflict
	if !errors.As(err, &conflict) || conflict.Payload.Reason != "AlreadyExists" {
		return fmt.Errorf("create it again: %w, want a typed error", err)
	}
	done("create it again: %s", conflict.Payload.Message)

	read, err := api.Pipelines.GetPipeline(pipelines.NewGetPipelineParams().WithContext(ctx).WithNamespace(namespace).WithName("smoke"), auth)
	if err != nil || read.Payload.Metadata.UID != made.Payload.Metadata.UID {
		return fmt.Errorf("read it: %w", err)
	}
	done("read it")
	if err := listed(ctx, api, namespace, auth); err != nil {
		return err
	}
	done("list it")

	run, err := api.PipelineRuns.CreatePipelineRun(pipeline_runs.NewCreatePipelineRunParams().WithContext(ctx).
		WithNamespace(namespace).WithPipeline("smoke").WithBody(&models.PipelinerunStartRequest{}), auth)
	if err != nil {
		return fmt.Errorf("start a run: %w", err)
	}
	if run.Payload.Spec.PipelineRef.Name != "smoke" {
		return fmt.Errorf("start a run: %+v", run.Payload)
	}
	done("start the run %s", run.Payload.Metadata.Name)
	none := "NONE"
	_, err = api.PipelineRuns.CreatePipelineRun(pipeline_runs.NewCreatePipelineRunParams().WithContext(ctx).WithNamespace(namespace).
		WithPipeline("smoke").WithBody(&models.PipelinerunStartRequest{Parameters: []*models.V1alpha3Parameter{{Name: &none, Value: "x"}}}), auth)
	var bad *pipeline_runs.CreatePipelineRunBadRequest
	if !errors.As(err, &bad) || bad.Payload.Message == "" {
		return fmt.Errorf("start a run with a parameter that there is not: %w, want a typed error", err)
	}
	done("a parameter that there is not: %s", bad.Payload.Message)
	if _, err := api.PipelineRuns.DeletePipelineRun(pipeline_runs.NewDeletePipelineRunParams().WithContext(ctx).
		WithNamespace(namespace).WithName(run.Payload.Metadata.Name), auth); err != nil {
		return fmt.Errorf("delete the run: %w", err)
	}
	done("delete the run")

	if _, err := api.Pipelines.DeletePipeline(pipelines.NewDeletePipelineParams().WithContext(ctx).WithNamespace(namespace).WithName("smoke"), auth); err != nil {
		return fmt.Errorf("delete the pipeline: %w", err)
	}
	_, err = api.Pipelines.GetPipeline(pipelines.NewGetPipelineParams().WithContext(ctx).WithNamespace(namespace).WithName("smoke-none"), auth)
	var missing *pipelines.GetPipelineNotFound
	if !errors.As(err, &missing) || missing.Payload.Code != 404 {
		return fmt.Errorf("read what there is not: %w, want a typed error", err)
	}
	done("delete the pipeline, and read what there is not: %s", missing.Payload.Message)
	return nil
}

// listed waits until a list, which comes from the server's cache, has the pipeline.
func listed(ctx context.Context, api *client.Slipway, namespace string, auth runtime.ClientAuthInfoWriter) error {
	limit := int64(10)
	for {
		list, err := api.Pipelines.ListPipeline(pipelines.NewListPipelineParams().WithContext(ctx).WithNamespace(namespace).WithLimit(&limit), auth)
		if err != nil {
			return fmt.Errorf("list pipelines: %w", err)
		}
		if len(list.Payload.Items) == 1 && list.Payload.TotalItems == 1 && list.Payload.Items[0].Metadata.Name == "smoke" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("list pipelines: %+v", list.Payload)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
