// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/pipelinerun"
	"github.com/slipway-dev/slipway/pkg/objectstore"
	"github.com/slipway-dev/slipway/pkg/objectstore/embedded"
)

func newStore(t *testing.T) Store {
	t.Helper()
	server, err := embedded.New(t.Context(), embedded.Config{Dir: t.TempDir(), Address: "127.0.0.1:0", Buckets: []string{objectstore.DefaultBucket}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	access, secret := server.Keys()
	store, err := objectstore.New(objectstore.Config{Endpoint: server.Endpoint(), AccessKey: access, SecretKey: secret, PathStyle: true})
	if err != nil {
		t.Fatal(err)
	}
	for key, content := range map[string]string{"runs/r/log.txt": "hello", "runs/r/artifacts/a/ü.txt": "1", "runs/r2/artifacts/b": "22"} {
		if err := store.Put(t.Context(), key, strings.NewReader(content), int64(len(content)), "text/plain"); err != nil {
			t.Fatal(err)
		}
	}
	return Store{Store: store}
}

func TestStore(t *testing.T) {
	s := newStore(t)
	for offset, want := range map[int64]string{0: "hello", 2: "llo", 5: "", 99: ""} {
		content, err := s.Open(t.Context(), "runs/r/log.txt", offset)
		if err != nil {
			t.Fatalf("Open at %d: %v", offset, err)
		}
		got, err := io.ReadAll(content)
		_ = content.Close()
		if err != nil || string(got) != want || content.Size != 5 {
			t.Errorf("Open at %d: %q, %v, size %d, want %q of 5", offset, got, err, content.Size, want)
		}
	}
	for _, offset := range []int64{0, 1} {
		if _, err := s.Open(t.Context(), "runs/r/none", offset); !errors.Is(err, objectstore.ErrNotFound) {
			t.Errorf("Open of none at %d: %v, want ErrNotFound", offset, err)
		}
	}
	files, err := s.List(t.Context(), "runs/r/artifacts/")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]pipelinerun.File{{Path: "a/ü.txt", Size: 1}}, files); diff != "" {
		t.Errorf("List: -want +got:\n%s", diff)
	}
}

func TestJenkins(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/job/ns/job/p/7/logText/progressiveText"):
			w.Header().Set("X-Text-Size", "9")
			w.Header().Set("X-More-Data", "true")
			_, _ = io.WriteString(w, "log from "+r.URL.Query().Get("start"))
		case strings.HasSuffix(r.URL.Path, "/p/runs/7/artifacts/"):
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `[{"path":"a/b.txt","size":3}]`)
		case strings.HasSuffix(r.URL.Path, "/job/p/7/artifact/a/b.txt"):
			_, _ = io.WriteString(w, "abc")
		default:
			w.Header().Set("X-Jenkins", "2")
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	client, err := jenkins.New(jenkins.Config{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	j, build := Jenkins{Client: client}, pipelinerun.Build{Folder: "ns", Job: "p", Number: 7}

	part, err := j.Log(t.Context(), pipelinerun.LogRequest{Build: build, Start: 3})
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(part.Text)
	if err != nil || string(text) != "log from 3" || part.Next != 9 || !part.More {
		t.Errorf("Log: %q, %v, %+v", text, err, part)
	}
	files, err := j.ListArtifacts(t.Context(), build)
	if diff := cmp.Diff([]pipelinerun.File{{Path: "a/b.txt", Size: 3}}, files); diff != "" || err != nil {
		t.Errorf("ListArtifacts: %v, -want +got:\n%s", err, diff)
	}
	content, err := j.OpenArtifact(t.Context(), build, "a/b.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(content); err != nil || string(got) != "abc" || content.Size != 3 {
		t.Errorf("OpenArtifact: %q, %v, %d", got, err, content.Size)
	}
	missing := pipelinerun.Build{Folder: "ns", Job: "other", Number: 7}
	if _, err := j.Log(t.Context(), pipelinerun.LogRequest{Build: missing}); !errors.Is(err, jenkins.ErrNotFound) {
		t.Errorf("Log of another: %v, want ErrNotFound", err)
	}
	if _, err := j.OpenArtifact(t.Context(), missing, "a/b.txt"); !errors.Is(err, jenkins.ErrNotFound) {
		t.Errorf("OpenArtifact of another: %v, want ErrNotFound", err)
	}
}
