// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
)

const sleepPipeline = "pipeline { agent none\n stages { stage('a') { steps { echo 'hi'\n sleep %d } } } }"

// heap is what lives on the heap and in goroutines.
func heap() (bytes uint64, goroutines int) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse, runtime.NumGoroutine()
}

// parallel runs f(0…n-1), 20 at once.
func parallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range 20 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range next {
				f(i)
			}
		}()
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// TestThousandBuilds has 1,000 builds without agents at once in 100 jobs.
func TestThousandBuilds(t *testing.T) {
	if testing.Short() {
		t.Skip("short: 1,000 builds take some seconds")
	}
	const jobs, perJob = 100, 10
	rec := newEventReceiver(t)
	h := newHarness(t, t.TempDir(), withEngine, rec.option)
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 32},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(client.CloseIdleConnections)
	post := func(path, contentType, body string) error {
		req, err := http.NewRequest("POST", h.http.URL+path, strings.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", contentType)
		req.SetBasicAuth(testUser, testToken)
		resp, err := client.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode >= 400 {
				err = fmt.Errorf("%s: %d", path, resp.StatusCode)
			}
		}
		return err
	}
	h.folder("load")
	parallel(jobs, func(i int) {
		if err := post(fmt.Sprintf("/job/load/createItem?name=j%02d", i), typeXML, jobXML(fmt.Sprintf(sleepPipeline, 600), paramsXML("N=0"), "<authToken>tok</authToken>")); err != nil {
			t.Error(err)
		}
	})
	bytes0, goroutines0 := heap()
	begin := time.Now()
	parallel(jobs*perJob, func(i int) {
		body := fmt.Sprintf("token=tok&cause=slipway-run:%d&delay=0sec&N=%d", i, i)
		if err := post(fmt.Sprintf("/job/load/job/j%02d/buildWithParameters", i%jobs), typeForm, body); err != nil {
			t.Error(err)
		}
	})
	accepted := time.Since(begin)
	live := func() (n int) {
		h.s.mu.RLock()
		defer h.s.mu.RUnlock()
		for _, r := range h.s.runs {
			r.mu.Lock()
			if len(r.steps) == 2 && r.steps[1].State == engine.StateRunning {
				n++
			}
			r.mu.Unlock()
		}
		return n
	}
	h.eventually("all builds sleep", func() bool { return live() == jobs*perJob })
	started := time.Since(begin)
	bytes1, goroutines1 := heap()
	mib := float64(bytes1-bytes0) / (1 << 20)
	t.Logf("1,000 starts accepted in %v, all asleep after %v, %.0f MiB and %.1f goroutines each build", accepted.Round(time.Millisecond),
		started.Round(time.Millisecond), mib, float64(goroutines1-goroutines0)/(jobs*perJob))
	// The bounds leave room for a busy machine and for the race detector; growth with the square of
	// the number of builds is far beyond them.
	if mib > 150 || goroutines1-goroutines0 > 3*jobs*perJob || started > time.Minute {
		t.Error("1,000 builds are not cheap")
	}
	bulk := func(what, path string, most time.Duration) {
		best := time.Hour
		var body string
		for range 10 {
			from := time.Now()
			body = h.get(path)
			best = min(best, time.Since(from))
		}
		if !json.Valid([]byte(body)) {
			t.Error(what, "is no JSON")
		}
		t.Logf("%-38s %8v %4d KiB", what, best.Round(10*time.Microsecond), len(body)>>10)
		if best > most {
			t.Errorf("%s: %v, want %v at most", what, best, most)
		}
	}
	bulk("folder, 100 jobs, all builds running", "/job/load/api/json?tree=jobs[name,builds[number,result,building,queueId,timestamp,duration,actions[causes[note]]]{0,30}]", 2*time.Second)
	bulk("queue", "/queue/api/json?tree=items[id,why,blocked,stuck,task[name,url],actions[causes[note]]]", time.Second)
	bulk("root", "/api/json", time.Second)
	bulk("run", "/blue/rest/organizations/jenkins/pipelines/load/pipelines/j01/runs/5/", 300*time.Millisecond)
	bulk("runs of a job", "/blue/rest/organizations/jenkins/pipelines/load/pipelines/j01/runs/", time.Second)
	bulk("nodes", "/blue/rest/organizations/jenkins/pipelines/load/pipelines/j01/runs/5/nodes/", 300*time.Millisecond)
	stopping := time.Now()
	parallel(jobs*perJob, func(i int) {
		if err := post(fmt.Sprintf("/job/load/job/j%02d/%d/stop", i%jobs, 1+i/jobs), typeForm, ""); err != nil {
			t.Error(err)
		}
	})
	h.eventually("all builds end", func() bool {
		h.s.mu.RLock()
		defer h.s.mu.RUnlock()
		return len(h.s.runs) == 0
	})
	t.Logf("all stopped in %v", time.Since(stopping).Round(time.Millisecond))
	h.s.mu.Lock()
	for _, it := range h.s.root.kids["load"].kids {
		for n := perJob + 1; n <= 30; n++ {
			b := *it.builds[1]
			b.Number = n
			it.addBuild(&b)
		}
	}
	h.s.mu.Unlock()
	bulk("folder, 100 jobs of 30 builds", "/job/load/api/json?tree=jobs[name,builds[number,result,building,queueId,timestamp,duration,actions[causes[note]]]{0,30}]", 2*time.Second)
	bulk("folder, 100 jobs of 30 builds, short", "/job/load/api/json?tree=jobs[name,builds[number,result]{0,30}]", 2*time.Second)
	h.eventually("all events arrive", func() bool { return h.s.EventStats() == EventStats{Sent: 4 * jobs * perJob} })
	begin = time.Now()
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now()
	s, err := New(h.s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("stop %v, start with 1,000 builds %v", stopped.Sub(begin).Round(time.Millisecond), time.Since(stopped).Round(time.Millisecond))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestDiscarderBelowTheRunning has more builds at once than the discarder keeps: none that runs is
// deleted, those that end are, as soon as they are too many.
func TestDiscarderBelowTheRunning(t *testing.T) {
	h := newHarness(t, t.TempDir(), withEngine)
	h.folder("f")
	const source = "pipeline { agent none\n options { buildDiscarder(logRotator(numToKeepStr: '1')) }\n stages { stage('a') { steps { sleep 600 } } } }"
	h.job("f", "j", source, paramsXML("N=0"), "")
	const builds = 5
	for i := range builds {
		h.want(201, "POST", "/job/f/job/j/buildWithParameters?delay=0", typeForm, fmt.Sprintf("N=%d", i))
	}
	numbers := func() string { return h.get("/job/f/job/j/api/json?tree=builds[number]") }
	h.started("f/j", builds)
	h.eventually("the options are known", func() bool {
		h.s.mu.RLock()
		defer h.s.mu.RUnlock()
		return h.s.root.kids["f"].kids["j"].Discard.Num == 1
	})
	list := func(ns ...int) string {
		var out []string
		for _, n := range ns {
			out = append(out, fmt.Sprintf(`{"_class":%q,"number":%d}`, classRun, n))
		}
		return fmt.Sprintf(`{"_class":%q,"builds":[%s]}`, classWorkflowJob, strings.Join(out, ","))
	}
	stop := func(n int) {
		h.want(302, "POST", fmt.Sprintf("/job/f/job/j/%d/stop", n), "", "")
		h.eventually("it ends", func() bool {
			h.s.mu.RLock()
			defer h.s.mu.RUnlock()
			b := h.s.root.kids["f"].kids["j"].builds[n]
			return b == nil || !b.Building
		})
	}
	if d := cmp.Diff(list(5, 4, 3, 2, 1), numbers()); d != "" {
		t.Error(d)
	}
	stop(2)
	if d := cmp.Diff(list(5, 4, 3, 1), numbers()); d != "" {
		t.Error(d)
	}
	stop(5)
	if d := cmp.Diff(list(5, 4, 3, 1), numbers()); d != "" {
		t.Error("the newest is within what is kept", d)
	}
	stop(1)
	stop(4)
	stop(3)
	if d := cmp.Diff(list(5), numbers()); d != "" {
		t.Error(d)
	}
}

// TestAbortPrevious: the option of the Jenkinsfile ends the running build for the next.
func TestAbortPrevious(t *testing.T) {
	h := newHarness(t, t.TempDir(), withEngine)
	h.folder("f")
	const source = "pipeline { agent none\n options { disableConcurrentBuilds(abortPrevious: true) }\n stages { stage('a') { steps { script { if (env.BUILD_NUMBER == '1') { sleep 600 } } } } } }"
	h.job("f", "j", source, paramsXML("N=0"), "")
	h.want(201, "POST", "/job/f/job/j/buildWithParameters?delay=0", typeForm, "N=1")
	h.eventually("the options are known", func() bool { return strings.Contains(h.get("/job/f/job/j/api/json"), `"concurrentBuild":false`) })
	h.want(201, "POST", "/job/f/job/j/buildWithParameters?delay=0", typeForm, "N=2")
	if b := h.ended("f/j", 1); b.Result != engine.ResultNotBuilt {
		t.Error(b.Result)
	}
	if b := h.ended("f/j", 2); b.Result != engine.ResultSuccess {
		t.Error(b.Result)
	}
}
