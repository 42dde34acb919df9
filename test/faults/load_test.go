// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	minijenkins "github.com/slipway-dev/slipway/pkg/minijenkins/server"
	"github.com/slipway-dev/slipway/pkg/testing/envtest"
)

// program is a built binary that runs in a process of its own, so that its memory can be measured.
type program struct {
	*exec.Cmd
	log bytes.Buffer
}

// buildProgram builds a command of the project.
func (w *world) buildProgram(name string) string {
	w.Helper()
	root, err := envtest.Root()
	if err != nil {
		w.Fatal(err)
	}
	out := filepath.Join(w.TempDir(), name)
	cmd := exec.CommandContext(w.Context(), "go", "build", "-o", out, "./cmd/"+name)
	cmd.Dir = root
	if text, err := cmd.CombinedOutput(); err != nil {
		w.Fatalf("build %s: %v\n%s", name, err, text)
	}
	return out
}

func (w *world) runProgram(path string, args ...string) *program {
	w.Helper()
	p := &program{}
	p.Cmd = exec.CommandContext(context.WithoutCancel(w.Context()), path, args...)
	p.Stdout, p.Stderr = &p.log, &p.log
	if err := p.Start(); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		_ = p.Process.Signal(syscall.SIGTERM)
		err := p.Wait()
		var exit *exec.ExitError
		signalled := errors.As(err, &exit) && exit.ExitCode() == -1
		if err != nil && !signalled || w.Failed() {
			w.Logf("%s: %v\n%s", filepath.Base(path), err, lastOf(p.log.String(), 4000))
		}
	})
	return p
}

func lastOf(text string, n int) string { return text[max(0, len(text)-n):] }

// memory gives the greatest resident set of the process so far, in MiB.
func (p *program) memory(w *world) float64 {
	w.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	if err != nil {
		w.Fatal(err)
	}
	for line := range strings.SplitSeq(string(status), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(rest, "kB")), 64)
			if err != nil {
				w.Fatal(err)
			}
			return kib / 1024
		}
	}
	w.Fatal("no VmHWM in /proc/PID/status")
	return 0
}

// file writes a file for a flag.
func (w *world) file(name, content string) string {
	w.Helper()
	path := filepath.Join(w.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		w.Fatal(err)
	}
	return path
}

// kubeconfig writes one for the programs.
func (w *world) kubeconfig() string {
	w.Helper()
	c := clientcmdapi.NewConfig()
	c.Clusters["test"] = &clientcmdapi.Cluster{Server: w.rest.Host, CertificateAuthorityData: w.rest.CAData}
	if !strings.Contains(w.rest.Host, "://") {
		c.Clusters["test"].Server = "https://" + w.rest.Host
	}
	c.AuthInfos["test"] = &clientcmdapi.AuthInfo{ClientCertificateData: w.rest.CertData, ClientKeyData: w.rest.KeyData, Token: w.rest.BearerToken}
	c.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test"}
	c.CurrentContext = "test"
	text, err := clientcmd.Write(*c)
	if err != nil {
		w.Fatal(err)
	}
	return w.file("kubeconfig", string(text))
}

// startManager runs the controllers as operators do.
func (w *world) startManager() *program {
	w.Helper()
	w.namespace("kubesphere-devops-system")
	return w.runProgram(w.buildProgram("controller-manager"),
		"--kubeconfig", w.kubeconfig(), "--leader-elect=false", "--metrics-bind-address=0", "--health-probe-bind-address=0",
		"--jenkins-url", w.jenkinsURL, "--jenkins-user", user, "--jenkins-token-file", w.file("token", token),
		"--job-token-key-file", w.file("key", startKey), "--agent-image=none.invalid/agent",
		"--s3-endpoint", w.s3, "--s3-access-key-file", w.file("access", s3Key), "--s3-secret-key-file", w.file("secret", s3Secret))
}

// counted counts the requests that reach Jenkins, by what they do.
func (w *world) counted() *counter {
	c := &counter{}
	inner := w.gate.Handler
	w.gate.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		c.add(callOf("jenkins", r))
		inner.ServeHTTP(rw, r)
	})
	return c
}

// loadPatience bounds the waits of the benchmark.
const loadPatience = 10 * time.Minute

// liveRuns is how many runs are live at once in the benchmark; SLIPWAY_LIVE_RUNS changes it.
func liveRuns() int {
	if n, err := strconv.Atoi(os.Getenv("SLIPWAY_LIVE_RUNS")); err == nil && n > 0 {
		return n
	}
	return 1000
}

// BenchmarkLiveRuns has 1,000 live runs of 20 pipelines on one controller-manager and measures how
// long after the end of its build a run says so, how many calls Jenkins gets for a run over its
// life, and the memory of the controller-manager: once with the events of Jenkins and once without.
// The runs are started as fast as the API server takes them and live for one to two minutes;
// afterwards 200 pipelines are idle for a minute.
func BenchmarkLiveRuns(b *testing.B) {
	for _, events := range []bool{true, false} {
		name := map[bool]string{true: "events", false: "bulk"}[events]
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				measureLoad(b, name, events)
			}
		})
	}
}

func measureLoad(b *testing.B, project string, events bool) {
	b.Helper()
	address, secret := freeAddress(b), "a-secret-for-the-events-of-tests"
	w := newWorld(b, func(c *minijenkins.Config) {
		if events {
			c.EventsURL, c.EventsToken = "http://"+address+"/v1alpha3/webhooks/jenkins", secret
		}
	})
	calls := w.counted()
	manager := w.startManager()
	if events {
		w.startAPIServer(address, secret)
	}
	w.newProject("load-" + project)
	w.pipelines(200)
	calls.reset()
	ended := w.watchEnds()
	w.load(liveRuns())
	lags := w.lags(ended())
	b.ReportMetric(quantile(lags, 0.5).Seconds(), "lag-p50-s")
	b.ReportMetric(quantile(lags, 0.95).Seconds(), "lag-p95-s")
	b.ReportMetric(quantile(lags, 1).Seconds(), "lag-max-s")
	b.ReportMetric(float64(calls.total())/float64(len(lags)), "calls/run")
	b.ReportMetric(manager.memory(w), "RSS-MiB")
	calls.print(b)
	calls.reset()
	select {
	case <-time.After(time.Minute):
	case <-b.Context().Done():
	}
	b.ReportMetric(float64(calls.total()), "idle-calls/min")
	calls.print(b)
	// The next world has another project; nothing of this one may be left to its controllers.
	w.endProject()
}

// endProject deletes all that is in the project. The project itself stays: nothing collects its
// namespace here.
func (w *world) endProject() {
	w.Helper()
	in := client.InNamespace(w.project)
	for _, of := range []struct {
		kind client.Object
		list client.ObjectList
	}{{&devopsv1alpha3.PipelineRun{}, &devopsv1alpha3.PipelineRunList{}}, {&devopsv1alpha3.Pipeline{}, &devopsv1alpha3.PipelineList{}}} {
		if err := w.kube.DeleteAllOf(w.Context(), of.kind, in); err != nil {
			w.Fatal(err)
		}
		w.waitFor(loadPatience, "all is gone", func() (bool, string) {
			if err := w.kube.List(w.Context(), of.list, in); err != nil {
				return false, err.Error()
			}
			return meta.LenList(of.list) == 0, fmt.Sprintf("%d are left", meta.LenList(of.list))
		})
	}
}

// freeAddress gives an address that nobody listens at.
func freeAddress(tb testing.TB) string {
	tb.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// startAPIServer runs the API server as operators do, to take events.
func (w *world) startAPIServer(address, secret string) {
	w.Helper()
	w.runProgram(w.buildProgram("apiserver"),
		"--kubeconfig", w.kubeconfig(), "--listen", address, "--jwt-secret-file", w.file("jwt", startKey), "--token-review=false",
		"--webhook-secret-file", w.file("webhook", secret))
	w.wait("the API server is ready", func() (bool, string) {
		req, err := http.NewRequestWithContext(w.Context(), http.MethodGet, "http://"+address+"/readyz", nil)
		if err != nil {
			return false, err.Error()
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false, err.Error()
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK, resp.Status
	})
}

// pipelines makes n pipelines whose runs take 60 to 120 s.
func (w *world) pipelines(n int) {
	w.Helper()
	var wg sync.WaitGroup
	for at := range 10 {
		wg.Go(func() {
			for i := at; i < n; i += 10 {
				w.newPipeline(fmt.Sprintf("p%03d", i), jenkinsfileOf(fmt.Sprintf("echo 'hello'\nsleep %d", 60+3*(i%20))))
			}
		})
	}
	wg.Wait()
}

// load starts n runs, ten at a time, and waits until all have ended.
func (w *world) load(n int) {
	w.Helper()
	began := time.Now()
	var wg sync.WaitGroup
	for at := range 10 {
		wg.Go(func() {
			for i := at; i < n; i += 10 {
				w.newRun(fmt.Sprintf("p%03d", i%20), fmt.Sprintf("run-%04d", i))
			}
		})
	}
	wg.Wait()
	created := time.Since(began)
	most := 0
	w.waitFor(loadPatience, "all runs have ended", func() (bool, string) {
		open, live := map[string]int{}, 0
		for _, r := range w.runs() {
			if r.Status.CompletionTime == nil {
				open[reasonOf(&r)]++
				if r.Status.Phase == devopsv1alpha3.Running {
					live++
				}
			}
		}
		most = max(most, live)
		return len(open) == 0, fmt.Sprint(open)
	})
	w.Logf("%d runs created in %s, %d of them live at once, all ended after %s", n, created.Round(time.Second), most, time.Since(began).Round(time.Second))
}

// watchEnds notes when each run is first seen with its end.
func (w *world) watchEnds() func() map[string]time.Time {
	w.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	// An informer goes on where a watch breaks off, as it may while the machine is this busy.
	objects, err := cache.New(w.rest, cache.Options{Scheme: envtest.Scheme(), DefaultNamespaces: map[string]cache.Config{w.project: {}}})
	if err != nil {
		w.Fatal(err)
	}
	informer, err := objects.GetInformer(ctx, &devopsv1alpha3.PipelineRun{}, cache.BlockUntilSynced(false))
	if err != nil {
		w.Fatal(err)
	}
	var mu sync.Mutex
	ends := map[string]time.Time{}
	note := func(obj any) {
		r, ok := obj.(*devopsv1alpha3.PipelineRun)
		mu.Lock()
		defer mu.Unlock()
		if ok && r.Status.CompletionTime != nil && ends[string(r.UID)].IsZero() {
			ends[string(r.UID)] = time.Now()
		}
	}
	if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{AddFunc: note, UpdateFunc: func(_, obj any) { note(obj) }}); err != nil {
		w.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- objects.Start(ctx) }()
	if !objects.WaitForCacheSync(ctx) {
		w.Fatal("the runs cannot be watched")
	}
	return func() map[string]time.Time {
		w.waitFor(patience, "the watch has seen all ends", func() (bool, string) {
			mu.Lock()
			defer mu.Unlock()
			return len(ends) == liveRuns(), fmt.Sprintf("it has seen %d", len(ends))
		})
		cancel()
		if err := <-done; err != nil {
			w.Error(err)
		}
		return ends
	}
}

// lags gives the times between the end of a build and that of its run.
func (w *world) lags(ends map[string]time.Time) []time.Duration {
	w.Helper()
	var lags []time.Duration
	for _, list := range w.builds() {
		for _, b := range list {
			seen, ok := ends[b.run()]
			if !ok || b.Building || b.Result != "SUCCESS" {
				w.Errorf("build %d: building %t, result %s, its run's end was seen: %t", b.Number, b.Building, b.Result, ok)
				continue
			}
			lags = append(lags, seen.Sub(b.end()))
		}
	}
	if len(lags) != len(ends) {
		w.Errorf("%d builds of %d runs", len(lags), len(ends))
	}
	slices.Sort(lags)
	return lags
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func (c *counter) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = nil
}

func (c *counter) print(tb testing.TB) {
	tb.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, call := range slices.Sorted(maps.Keys(c.calls)) {
		tb.Logf("%6d  %s", c.calls[call], call)
	}
}
