// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/emicklei/go-restful/v3"
	"github.com/go-logr/logr/funcr"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis"
)

// listen serves a world on a real port until the test cancels it.
func (w *world) listen() (base string, stop func(), ended <-chan error) {
	w.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.server.Serve(ctx, listener) }()
	w.t.Cleanup(cancel)
	return "http://" + listener.Addr().String(), cancel, done
}

func (w *world) get(base, path, user string) (*http.Response, error) {
	w.t.Helper()
	r, err := http.NewRequest(http.MethodGet, base+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if user != "" {
		r.Header.Set("Authorization", "Bearer "+token(w.t, user))
	}
	return http.DefaultClient.Do(r)
}

// slowFace has a call that lasts until release is closed, and one that panics in the middle.
func slowFace(entered chan<- struct{}, release <-chan struct{}) Face {
	return Face{Prefixes: []string{"/slow"}, Errors: response.StatusWriter{}, WebServices: func(Backend) ([]*restful.WebService, error) {
		ws := new(restful.WebService).Path("/slow").Produces(restful.MIME_JSON)
		ws.Route(ws.GET("/wait").To(func(req *restful.Request, resp *restful.Response) {
			entered <- struct{}{}
			<-release
			if err := req.Request.Context().Err(); err != nil {
				response.Error(resp.ResponseWriter, req.Request, err)
				return
			}
			response.Write(resp.ResponseWriter, req.Request, 200, response.Success())
		}).Operation("wait"))
		ws.Route(ws.GET("/half").To(func(_ *restful.Request, resp *restful.Response) {
			_, _ = resp.Write([]byte(strings.Repeat("half", 10000)))
			panic("boom")
		}).Operation("half"))
		ws.Route(ws.GET("/error").To(kapis.Handle(func(*restful.Request, *restful.Response) error { return errors.New("hunter2") })).Operation("error"))
		return []*restful.WebService{ws}, nil
	}}
}

func TestDrain(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	w := newWorld(t, func(c *Config) {
		c.Faces = append(c.Faces, slowFace(entered, release))
		// Time enough for two requests, on a slow machine, too.
		c.Serving.ShutdownDelay = 2 * time.Second
	})
	base, stop, ended := w.listen()

	watch, err := w.get(base, devops+"/namespaces/ann-demo/pipelines?watch=true", "ann")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = watch.Body.Close() }()
	slow := make(chan string, 1)
	go func() {
		answer, err := w.get(base, "/slow/wait", "ann")
		if err != nil {
			slow <- err.Error()
			return
		}
		defer func() { _ = answer.Body.Close() }()
		body, err := io.ReadAll(answer.Body)
		slow <- fmt.Sprint(answer.StatusCode, " ", strings.TrimSpace(string(body)), err)
	}()
	<-entered
	stop()

	// Readiness fails first, while everything else goes on.
	deadline := time.Now().Add(time.Minute)
	for {
		answer, err := w.get(base, "/readyz", "")
		if err != nil {
			t.Fatalf("the server took no connection before it said that it is not ready: %v", err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode == 500 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("/readyz stays good")
		}
	}
	if answer, err := w.get(base, devops+"/namespaces/ann-demo/pipelines", "ann"); err != nil || answer.StatusCode != 200 {
		t.Errorf("a request during the delay: %v, %v, want 200", answer, err)
	}
	// Then streams end, cleanly.
	if rest, err := io.ReadAll(watch.Body); err != nil {
		t.Errorf("the watch ended with %q, %v, want a clean end", rest, err)
	}
	select {
	case got := <-slow:
		t.Fatalf("a request in work was not waited for: %s", got)
	case <-ended:
		t.Fatal("the server ended with a request in work")
	case <-time.After(100 * time.Millisecond):
	}
	close(release)
	if got, want := <-slow, `200 {"message":"success"}<nil>`; got != want {
		t.Errorf("the request in work: %s, want %s", got, want)
	}
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := w.get(base, "/healthz", ""); err == nil {
		t.Error("the server still listens")
	}
}

func TestDrainCutsOffWhatDoesNotEnd(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	w := newWorld(t, func(c *Config) {
		c.Faces = append(c.Faces, slowFace(entered, release))
		c.Serving.ShutdownTimeout = 50 * time.Millisecond
	})
	base, stop, ended := w.listen()
	cut := make(chan error, 1)
	go func() {
		answer, err := w.get(base, "/slow/wait", "ann")
		if err == nil {
			_ = answer.Body.Close()
		}
		cut <- err
	}()
	<-entered
	stop()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("Serve: %v, want it to say that requests were cut off", err)
	}
	if err := <-cut; err == nil {
		t.Error("the request got an answer")
	}
}

func TestPanicMidwayCutsTheConnection(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Faces = append(c.Faces, slowFace(nil, nil)) })
	base, _, _ := w.listen()
	answer, err := w.get(base, "/slow/half", "ann")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if body, err := io.ReadAll(answer.Body); err == nil {
		t.Errorf("%d bytes and a clean end: a part looks like the whole", len(body))
	}
	if again, err := w.get(base, "/healthz", ""); err != nil || again.StatusCode != 200 {
		t.Errorf("after a panic: %v, %v, want a server that works", again, err)
	}
}

// TestBrokenPipe has a client go away in the middle of a large answer.
func TestBrokenPipe(t *testing.T) {
	var lines []string
	log := funcr.New(func(prefix, args string) { lines = append(lines, prefix+args) }, funcr.Options{})
	source := &fakeSources{text: strings.Repeat("x", 64<<20)}
	w := newWorld(t, func(c *Config) { withSources(source)(c); c.Log = log }, sampleRun("r", nil))
	base, stop, ended := w.listen()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET %s/namespaces/ann-demo/pipelineruns/r/log HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", devops, token(t, "ann"))
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
	for _, line := range lines {
		if strings.Contains(line, "handler failed") || strings.Contains(line, "request failed") {
			t.Errorf("a client that went away is logged as a failure: %s", line)
		}
	}
}

// TestSlowClientIsCut opens streams and does not read them.
func TestSlowClientIsCut(t *testing.T) {
	streams := map[string]string{
		"log":   devops + "/namespaces/ann-demo/pipelineruns/r/log?follow=true",
		"watch": devops + "/namespaces/ann-demo/pipelines?watch=true",
	}
	for name, path := range streams {
		t.Run(name, func(t *testing.T) {
			source := &fakeSources{text: strings.Repeat("x", 64<<20), more: true}
			w := newWorld(t, func(c *Config) { withSources(source)(c); c.Limits.StreamWrite = 100 * time.Millisecond }, sampleRun("r", nil))
			base, _, _ := w.listen()
			conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", path, token(t, "ann"))
			deadline := time.Now().Add(time.Minute)
			for i := 0; ; i++ {
				large := samplePipeline("ann-demo", fmt.Sprintf("p%d", i), devopsv1alpha3.PipelineSpec{
					Type: "pipeline", Pipeline: &devopsv1alpha3.NoScmPipeline{Jenkinsfile: strings.Repeat("x", 1<<20)},
				})
				if err := w.kube.Create(context.Background(), large); err != nil {
					t.Fatal(err)
				}
				metrics := w.do(call{path: "/metrics", user: "root"}).Body.String()
				if strings.Contains(metrics, "slipway_apiserver_slow_clients_total 1") {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("a client that does not read is not cut off")
				}
			}
			for strings.Contains(w.do(call{path: "/metrics", user: "root"}).Body.String(), `current_inflight_requests{kind="stream"} 1`) {
				if time.Now().After(deadline) {
					t.Fatal("the stream is still in work")
				}
			}
		})
	}
}

// lateWriter is a connection whose client does not take what is flushed in time.
type lateWriter struct{ *httptest.ResponseRecorder }

// FlushError is what http.ResponseController calls.
func (lateWriter) FlushError() error {
	return fmt.Errorf("write tcp: %w", os.ErrDeadlineExceeded)
}

// TestSlowFlushIsCounted lets an answer fail where its last part is sent, which Write does not tell.
func TestSlowFlushIsCounted(t *testing.T) {
	streams := map[string]string{
		"log":   devops + "/namespaces/ann-demo/pipelineruns/r/log?follow=true",
		"watch": devops + "/namespaces/ann-demo/pipelineruns?watch=true",
	}
	for name, path := range streams {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, withSources(&fakeSources{text: "one line\n", more: true}), sampleRun("r", nil))
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				defer func() {
					// This is how a log says that it is not whole.
					if cut := recover(); cut != nil && cut != any(http.ErrAbortHandler) {
						t.Error(cut)
					}
				}()
				w.server.Handler().ServeHTTP(lateWriter{httptest.NewRecorder()}, w.request(call{path: path, user: "ann"}).WithContext(ctx))
			}()
			for i := 0; ; i++ {
				select {
				case <-ended:
				case <-time.After(20 * time.Millisecond):
					// Something for a watch to tell.
					if err := w.kube.Create(ctx, sampleRun(fmt.Sprintf("r%d", i), nil)); err != nil {
						t.Fatal(err)
					}
					continue
				}
				break
			}
			if ctx.Err() != nil {
				t.Error("the stream went on after its client was too slow")
			}
			if metrics := w.do(call{path: "/metrics", user: "root"}).Body.String(); !strings.Contains(metrics, "slipway_apiserver_slow_clients_total 1\n") {
				t.Error("the client is not counted as a slow one")
			}
		})
	}
}

func TestLargeBodyOverTheWire(t *testing.T) {
	w := newWorld(t, nil)
	base, _, _ := w.listen()
	r, err := http.NewRequest(http.MethodPost, base+devops+"/namespaces/ann-demo/pipelines", strings.NewReader(strings.Repeat("x", 20<<20)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token(t, "ann"))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Expect", "100-continue")
	transport := &http.Transport{ExpectContinueTimeout: 10 * time.Second}
	defer transport.CloseIdleConnections()
	answer, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatalf("a client that asks first gets the answer: %v", err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != 413 {
		t.Errorf("%d, want 413", answer.StatusCode)
	}
}

func TestErrorsAreLoggedWithTheRequest(t *testing.T) {
	var lines []string
	log := funcr.New(func(prefix, args string) { lines = append(lines, prefix+args) }, funcr.Options{})
	w := newWorld(t, func(c *Config) { c.Log = log; c.Faces = append(c.Faces, slowFace(nil, nil)) })
	answer := w.do(call{path: "/slow/error", user: "ann", header: map[string]string{"X-Request-Id": "abc-1"}})
	if answer.Code != 500 || strings.Contains(answer.Body.String(), "hunter2") || answer.Header().Get("X-Request-Id") != "abc-1" {
		t.Errorf("%d %s %v", answer.Code, answer.Body, answer.Header())
	}
	if all := strings.Join(lines, "\n"); !strings.Contains(all, "hunter2") || !strings.Contains(all, "abc-1") {
		t.Errorf("log %s, want the cause under the id of the request", all)
	}
}

// BenchmarkRequests measures a request through the whole chain.
func BenchmarkRequests(b *testing.B) {
	t := &testing.T{}
	for name, path := range map[string]string{
		"get": devops + "/namespaces/ann-demo/pipelines/build", "list": devops + "/namespaces/ann-demo/pipelines?limit=10", "probe": "/healthz", "unauthorized": devops + "/x",
	} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(t, func(c *Config) { c.Limits.Rate.PerSecond = -1 }, samplePipeline("ann-demo", "build", devopsv1alpha3.PipelineSpec{Type: "pipeline"}))
			request := call{path: path}
			if strings.Contains(path, "pipelines") {
				request.credential = "Bearer " + token(t, "ann")
			}
			b.ReportAllocs()
			for b.Loop() {
				w.do(request)
			}
		})
	}
}
