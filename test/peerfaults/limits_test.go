// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package peerfaults

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/testing/envtest"
)

// usesOf finds uses of functions and variables of other packages ("context.Background") in the Go files below pkg and cmd that are
// no tests.
func usesOf(t *testing.T, names ...string) (found []string) {
	t.Helper()
	root, err := envtest.Root()
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	for _, dir := range []string{"pkg", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "/pkg/testing/") || strings.Contains(path, "test/") {
				return err
			}
			files++
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				s, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				of, ok := s.X.(*ast.Ident)
				// What the programs begin with is in their packages and in pkg/cli.
				begins := file.Name.Name == "main" || file.Name.Name == "cli"
				for _, name := range names {
					if ok && of.Name+"."+s.Sel.Name == name && (!begins || !strings.HasPrefix(name, "context.")) {
						place := set.Position(n.Pos())
						rel, _ := filepath.Rel(root, place.Filename)
						found = append(found, fmt.Sprintf("%s:%d %s", rel, place.Line, name))
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 300 {
		t.Fatalf("%d files were looked at", files)
	}
	return found
}

// TestFault21WatchEverything: the peer holds all Secrets, ConfigMaps and Namespaces of the cluster in memory, sleeps in its workers, has
// calls without limit and contexts that never end. Here only what is ours is watched, and nothing waits for ever.
func TestFault21WatchEverything(t *testing.T) {
	t.Parallel()
	w := theWorld(t)
	p := newProject(t, "fault21")
	t.Run("watches", func(t *testing.T) {
		p := p.in(t)
		// Everything is watched by now: a run has gone through.
		p.newPipeline("x", jenkinsfileOf("echo 'x'"))
		p.reaches(p.startRun("x", ""), devopsv1alpha3.Succeeded)
		seen := map[string]int{}
		for who, wire := range map[string]*wire{"the API server": w.kubeAPI, "the controllers": w.kubeControllers} {
			for _, c := range wire.since(time.Time{}, "") {
				kind, core := strings.CutPrefix(c.path, "/api/v1/")
				if c.method != http.MethodGet || !core {
					continue
				}
				seen[kind]++
				if kind != "secrets" && kind != "configmaps" && kind != "namespaces" {
					continue
				}
				restricted := c.query.Get("labelSelector") != "" || c.query.Get("fieldSelector") != ""
				if !restricted && !strings.Contains(c.header.Get("Accept"), "as=PartialObjectMetadata") {
					t.Errorf("%s read all: %s", who, lines([]call{c}))
				}
			}
		}
		if seen["secrets"] == 0 {
			t.Errorf("no watch of Secrets was seen, which credentials need: %v", seen)
		}
	})
	t.Run("contexts and pauses", func(t *testing.T) {
		for _, use := range usesOf(t, "context.Background", "context.TODO", "time.Sleep", "http.Get", "http.Post", "http.PostForm", "http.Head") {
			t.Error(use)
		}
	})
	t.Run("a Jenkins that hangs", func(t *testing.T) {
		var lc net.ListenConfig
		listener, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				// It takes requests and never answers, or stops in the middle of a log.
				go func() {
					buf := make([]byte, 4096)
					n, _ := conn.Read(buf)
					if strings.Contains(string(buf[:n]), "progressiveText") {
						_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-Jenkins: 2.541.2\r\nX-Text-Size: 100\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nhello")
					}
					_, _ = io.Copy(io.Discard, conn)
				}()
			}
		}()
		if jenkins.DefaultTimeout <= 0 || jenkins.DefaultTimeout > time.Minute {
			t.Errorf("a call may take %s", jenkins.DefaultTimeout)
		}
		const limit = 500 * time.Millisecond
		c, err := jenkins.New(jenkins.Config{URL: "http://" + listener.Addr().String(), Username: "u", Token: "t", Timeout: limit, MaxSilent: -1})
		if err != nil {
			t.Fatal(err)
		}
		for name, call := range map[string]func() error{
			"read":  func() error { _, err := c.GetRun(t.Context(), "f", "j", 1); return err },
			"write": func() error { return c.StopBuild(t.Context(), "f", "j", 1) },
			"scan log": func() error {
				text, err := c.ScanLog(t.Context(), "f", "j")
				if err == nil {
					_ = text.Close()
				}
				return err
			},
			"log": func() error {
				text, _, _, err := c.Log(t.Context(), "f", "j", 1, 0)
				if err != nil {
					return err
				}
				defer func() { _ = text.Close() }()
				_, err = io.Copy(io.Discard, text)
				return err
			},
		} {
			done := make(chan error, 1)
			go func() { done <- call() }()
			select {
			case err := <-done:
				if err == nil {
					t.Errorf("%s: no error", name)
				}
			case <-time.After(patience):
				t.Errorf("%s hangs", name)
			}
		}
	})
}

// TestFault22SizeLimits: the peer writes all branches of a pipeline into an annotation and all stages of a run into an annotation or a
// ConfigMap, until Kubernetes refuses them as too large and the run fails or stands still. Here they are cut to a bound, a condition
// says so, and the run goes on.
func TestFault22SizeLimits(t *testing.T) {
	t.Parallel()
	p := newProject(t, "fault22")
	const branches, stages = 5000, 2000
	names := make([]string, 0, branches)
	for i := range branches {
		names = append(names, fmt.Sprintf("feature%%2Fbranch-with-a-long-name-%05d", i))
	}
	text := strings.Repeat("a step says much. ", 40)
	reply := func(w http.ResponseWriter, value any) bool {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Jenkins", "2.541.2")
		_ = json.NewEncoder(w).Encode(value)
		return true
	}
	blue := "/blue/rest/organizations/jenkins/pipelines/" + p.name + "/pipelines/"
	p.jenkinsControllers.breaks(t, func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		path := r.URL.EscapedPath()
		switch m := isRun.FindStringSubmatch(path); {
		case path == blue+"mb/branches/":
			start, _ := strconv.Atoi(r.URL.Query().Get("start"))
			limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
			page := []map[string]any{}
			for _, name := range names[min(start, branches):min(start+limit, branches)] {
				page = append(page, map[string]any{"name": name, "displayName": strings.ReplaceAll(name, "%2F", "/"), "weatherScore": 100,
					"latestRun": map[string]any{"id": "1", "state": "FINISHED", "result": "SUCCESS", "pipeline": name, "causes": []any{map[string]string{"shortDescription": text}}}})
			}
			return reply(w, page)
		case path == blue+"mb/":
			return reply(w, map[string]any{"name": "mb", "weatherScore": 100, "totalNumberOfBranches": branches, "branchNames": names})
		case m == nil || m[1] != p.name || m[2] != "wide":
			return false
		case m[5] == "nodes/":
			fmt.Fprint(w, nodes(stages))
			return true
		case strings.HasPrefix(m[5], "nodes/") || m[5] == "steps/":
			fmt.Fprintf(w, oneStep, 1, text)
			return true
		}
		return false
	})
	t.Run("branches", func(t *testing.T) {
		p := p.in(t)
		pipeline := p.createBranches("mb", "echo 'x'")
		p.wait("the pipeline says that it does not show all branches", func() (bool, string) {
			p.read(pipeline)
			c := meta.FindStatusCondition(pipeline.Status.Conditions, devopsv1alpha3.ConditionBranchesComplete)
			return c != nil && c.Status == metav1.ConditionFalse && strings.Contains(c.Message, strconv.Itoa(branches)), fmt.Sprint(pipeline.Status.Conditions)
		})
		size := 0
		for k, v := range pipeline.Annotations {
			size += len(k) + len(v)
		}
		var shown []struct{ Name string }
		if err := json.Unmarshal([]byte(pipeline.Annotations[devopsv1alpha3.PipelineJenkinsBranchesAnnotation]), &shown); err != nil || len(shown) < 100 || size > 240<<10 {
			t.Errorf("%d branches are shown in annotations of %d bytes, %v", len(shown), size, err)
		}
		// A run of one branch works.
		p.reaches(p.startRun("mb", "?branch=main"), devopsv1alpha3.Succeeded)
	})
	t.Run("stages", func(t *testing.T) {
		p := p.in(t)
		p.newPipeline("wide", jenkinsfileOf("echo 'x'"))
		run := p.startRun("wide", "")
		p.reaches(run, devopsv1alpha3.Succeeded)
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: p.name, Name: run.Name}}
		p.read(cm)
		kept := cm.Data[devopsv1alpha3.StageConfigMapKey]
		size := 0
		for k, v := range run.Annotations {
			size += len(k) + len(v)
		}
		if n := strings.Count(kept, `"displayName":"stage`); n != stages || len(kept) > 1000<<10 || size > 64<<10 {
			t.Errorf("%d stages in %d bytes, annotations of %d bytes", n, len(kept), size)
		}
		var list []any
		p.get(p.v3("pipelineruns/"+run.Name+"/nodedetails")).into(t, &list)
		if len(list) != stages {
			t.Errorf("%d stages are shown", len(list))
		}
	})
}
