// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/event"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/jenkins/jobxml"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/kube"
	minijenkins "github.com/slipway-dev/slipway/pkg/minijenkins/server"
)

type noAgents struct{ minijenkins.AgentSource }

func (noAgents) Run(ctx context.Context) error { <-ctx.Done(); return nil }

func (noAgents) Reap(context.Context) error { return nil }

func (noAgents) ForBuild(kube.Build) engine.AgentProvider { return nil }

// startMinijenkins gives a client of a minijenkins, whose wire is that of Jenkins.
func startMinijenkins(t *testing.T) *jenkins.Client {
	t.Helper()
	var server *minijenkins.Server
	listener := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { server.Handler().ServeHTTP(w, q) }))
	address := "http://" + listener.Listener.Addr().String()
	var err error
	server, err = minijenkins.New(minijenkins.Config{
		StateDir: t.TempDir(), BaseURL: address, Accounts: []minijenkins.Account{{Name: "admin", Token: "token"}}, QuietPeriod: -1, StopTimeout: -1,
		NewAgents: func(minijenkins.AgentDeps) (minijenkins.AgentSource, error) { return noAgents{}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	listener.Start()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		listener.Close()
		cancel()
		<-done
	})
	c, err := jenkins.New(jenkins.Config{URL: address, Username: "admin", Token: "token"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOnTheWire(t *testing.T) {
	for name, p := range map[string]*devopsv1alpha3.Pipeline{"pipeline": newPipeline("pipeline {}"), "multi-branch": multiBranch()} {
		t.Run(name, func(t *testing.T) {
			c, ctx := startMinijenkins(t), t.Context()
			if err := c.CreateFolder(ctx, "p", "mine <&> ü"); err != nil {
				t.Fatal(err)
			}
			if err := c.CreateFolder(ctx, "p", ""); !errors.Is(err, jenkins.ErrConflict) {
				t.Errorf("a second folder: %v", err)
			}
			if err := c.DescribeFolder(ctx, "p", "mine <&> ü\nline 2"); err != nil {
				t.Fatal(err)
			}
			if f, err := c.GetFolder(ctx, "p"); err != nil || f.Description != "mine <&> ü\nline 2" {
				t.Errorf("%+v, %v", f, err)
			}
			b := newBench(t, p, readyProject())
			b.r.Jenkins = c
			b.r.wake = make(chan event.GenericEvent, 10)
			b.mustPass()
			if got := b.get(); !strings.HasPrefix(synced(got), "True/Synced") && !strings.HasPrefix(synced(got), "False/InvalidJenkinsfile") {
				t.Fatalf("%s %s", synced(got), message(got))
			}
			list, err := c.ListTree(ctx, "p")
			if err != nil || len(list) != 1 || list[0].Name != "build" || list[0].Class != b.r.newScope(b.get()).class() {
				t.Errorf("%+v, %v", list, err)
			}
			doc, err := c.GetJobConfig(ctx, "p", "build")
			if err != nil {
				t.Fatal(err)
			}
			edited := bytes.Replace(doc, []byte("<description>"), []byte("<description>changed by hand"), 1)
			edited = bytes.Replace(edited, []byte("<properties>"), []byte("<properties><com.acme.Quota/>"), 1)
			edited = bytes.Replace(edited, []byte("<disabled>false"), []byte("<disabled>true"), 1)
			if err := c.PutJob(ctx, "p", "build", edited); err != nil {
				t.Fatal(err)
			}
			b.nextCheck()
			b.mustPass()
			doc, err = c.GetJobConfig(ctx, "p", "build")
			if err != nil || strings.Contains(string(doc), "by hand") || !strings.Contains(string(doc), "com.acme.Quota") {
				t.Errorf("%v:\n%s", err, doc)
			}
			if got := synced(b.get()); got != "False/JobDisabled/successful" {
				t.Errorf("%s %s", got, message(b.get()))
			}
			if err := c.DeleteJob(ctx, "p", "build"); err != nil {
				t.Fatal(err)
			}
			v := newSurvey(b.r)
			v.next["p"] = b.now.Add(-time.Minute)
			v.step(ctx)
			if len(b.r.wake) != 1 {
				t.Fatal("the survey does not see that the job is gone")
			}
			b.mustPass()
			if doc, err = c.GetJobConfig(ctx, "p", "build"); err != nil {
				t.Fatal(err)
			}
			if _, err := jobxml.Parse(doc); err != nil {
				t.Error(err)
			}
			if err := b.cluster.Delete(ctx, b.get()); err != nil {
				t.Fatal(err)
			}
			b.mustPass()
			if _, err := c.GetJob(ctx, "p", "build"); !errors.Is(err, jenkins.ErrNotFound) {
				t.Errorf("after the deletion: %v", err)
			}
		})
	}
}
