// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package peerfaults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// labelled counts the goroutines that carry a label: those that were started with it, and what they started.
func labelled(t *testing.T, value string) (n int) {
	t.Helper()
	var text bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&text, 1); err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(text.String(), "\n\n") {
		if !strings.Contains(part, `"peerfault":"`+value+`"`) {
			continue
		}
		// "3 @ 0x…": so many goroutines are at this place.
		if m := regexp.MustCompile(`(?m)^(\d+) @ `).FindStringSubmatch(part); m != nil {
			count, _ := strconv.Atoi(m[1])
			n += count
		}
	}
	return n
}

// TestFault15Connections: the peer makes a transport for each call of Jenkins and leaves the answer open, so that each call costs a
// connection and some three goroutines for ever. Here calls share connections, whatever came of them.
func TestFault15Connections(t *testing.T) {
	t.Parallel()
	w := theWorld(t)
	own := newWire(w.direct)
	t.Cleanup(own.Close)
	c, err := jenkins.New(jenkins.Config{URL: own.URL, Username: jenkinsUser, Token: jenkinsToken})
	if err != nil {
		t.Fatal(err)
	}
	const calls, at = 400, 4
	pprof.Do(t.Context(), pprof.Labels("peerfault", "15"), func(ctx context.Context) {
		if labelled(t, "15") == 0 {
			t.Fatal("goroutines with the label are not found")
		}
		var all sync.WaitGroup
		for range at {
			all.Go(func() {
				for i := range calls / at {
					switch i % 4 {
					case 0:
						if _, err := c.Version(ctx); err != nil {
							t.Error(err)
						}
					case 1:
						if _, err := c.GetJob(ctx, "none", "none"); !errors.Is(err, jenkins.ErrNotFound) {
							t.Error(err)
						}
					case 2:
						if _, err := c.Queue(ctx); err != nil {
							t.Error(err)
						}
					case 3:
						if err := c.DeleteBuild(ctx, "none", "none", 1); err == nil {
							continue
						} else if !errors.Is(err, jenkins.ErrNotFound) {
							t.Error(err)
						}
					}
				}
			})
		}
		all.Wait()
	})
	if n := own.connections.Load(); n > 3*at {
		t.Errorf("%d connections for %d calls, %d at a time", n, calls, at)
	}
	// A connection has two goroutines.
	if n := labelled(t, "15"); n > 2*3*at {
		t.Errorf("%d goroutines are left", n)
	}
	c.CloseIdleConnections()
	for deadline := time.Now().Add(patience); labelled(t, "15") > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines are left without connections", labelled(t, "15"))
		}
	}
}

// writes are the calls that change something of a project in Kubernetes.
func writes(calls []call) []call {
	return kept(calls, func(c *call) bool { return c.method != http.MethodGet })
}

// TestFault16RunsOneByOne: the peer polls each run on its own, on one worker, with a call for each of its stages, and writes the status,
// a ConfigMap and an event at each look. Here many runs go on side by side, one question is for all of them, and what has not changed is
// not written.
func TestFault16RunsOneByOne(t *testing.T) {
	t.Parallel()
	p := newProject(t, "fault16")
	const count = 16
	p.newPipeline("sleeps", jenkinsfileOf("sleep 600"))
	begin := time.Now()
	var runs []*devopsv1alpha3.PipelineRun
	for i := range count {
		runs = append(runs, p.newRun("sleeps", fmt.Sprintf("run-%02d", i)))
	}
	// No build ends by itself: one after the other they would never all run.
	for _, run := range runs {
		p.reaches(run, devopsv1alpha3.Running)
		p.wait("the first look is over", func() (bool, string) {
			p.read(run)
			return run.Annotations["slipway.dev/stages-hash"] != "", fmt.Sprint(run.Annotations)
		})
	}
	const window = 10 * time.Second
	asked := p.quiet(window)
	// To look at each run every three seconds, by a call each for the run, its stages, the steps of its one stage and its log, would be
	// twice as many.
	if most := count * 4 * int(window/time.Second) / 3 / 2; len(asked) > most {
		t.Errorf("%d calls of Jenkins in %s for %d runs in which nothing happens, want at most %d: %s", len(asked), window, count, most, lines(asked))
	}
	for _, run := range runs {
		patch := fmt.Appendf(nil, `{"spec":{"action":%q}}`, devopsv1alpha3.Stop)
		if err := p.kube.Patch(t.Context(), run, client.RawPatch(types.MergePatchType, patch)); err != nil {
			t.Fatal(err)
		}
	}
	for _, run := range runs {
		p.reaches(run, devopsv1alpha3.Cancelled)
	}
	// A start, an end, and half of what it would be to look at each run all the time.
	took := time.Since(begin)
	if n, most := len(p.jenkinsControllers.since(begin, p.name)), 25*count+int(took.Seconds())*count*4/3/2; n > most {
		t.Errorf("%d calls of Jenkins over the lives of %d runs in %s, want at most %d", n, count, took, most)
	}
}

// quiet waits for a time of that length in which the controllers write nothing of the project, and gives what they asked of Jenkins in it.
func (p *project) quiet(window time.Duration) (asked []call) {
	p.Helper()
	begin := time.Now()
	p.wait(fmt.Sprintf("nothing is written for %s", window), func() (bool, string) {
		from := time.Now().Add(-window)
		wrote := writes(p.kubeControllers.since(from, p.name))
		asked = p.jenkinsControllers.since(from, p.name)
		return len(wrote) == 0 && from.After(begin), lines(wrote)
	})
	return asked
}

// TestFault17IdlePipelines: the peer asks Jenkins for each pipeline every ten seconds, for ever. Here a pipeline that nothing happens
// to costs nothing.
func TestFault17IdlePipelines(t *testing.T) {
	t.Parallel()
	p := newProject(t, "fault17")
	const count = 30
	var all sync.WaitGroup
	for at := range 3 {
		all.Go(func() {
			for i := at; i < count; i += 3 {
				p.newPipeline(fmt.Sprintf("idle-%02d", i), jenkinsfileOf("echo 'x'"))
			}
		})
	}
	all.Wait()
	// A look at the folder as a whole may fall into the time.
	if asked := p.quiet(12 * time.Second); len(asked) > 2 {
		t.Errorf("Jenkins was asked %d times: %s", len(asked), lines(asked))
	}
}

// TestFault18Crumbs: the peer asks for a crumb before each call that changes something. Here there are none with a token, which needs
// none, and one for a session with a password.
func TestFault18Crumbs(t *testing.T) {
	t.Parallel()
	t.Run("token", func(t *testing.T) {
		p := newProject(t, "fault18")
		begin := time.Now()
		p.newPipeline("x", jenkinsfileOf("echo 'x'"))
		p.reaches(p.startRun("x", ""), devopsv1alpha3.Succeeded)
		all := p.jenkinsControllers.since(begin, "")
		posts := kept(all, func(c *call) bool { return c.method == http.MethodPost })
		// One that is kept is asked for once, at the very beginning.
		crumbs := kept(append(p.jenkinsControllers.since(time.Time{}, ""), p.jenkinsAPI.since(time.Time{}, "")...), func(c *call) bool { return strings.Contains(c.path, "crumb") })
		if len(crumbs) > 0 || len(posts) == 0 {
			t.Errorf("%d crumbs for %d calls", len(crumbs), len(posts))
		}
	})
	t.Run("password", func(t *testing.T) {
		var crumbs, posts atomic.Int64
		var session atomic.Value
		session.Store("one")
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Jenkins", "2.541.2")
			now := session.Load().(string)
			if strings.HasPrefix(r.URL.Path, "/crumbIssuer") {
				crumbs.Add(1)
				http.SetCookie(w, &http.Cookie{Name: "JSESSIONID", Value: now, Path: "/"})
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprintf(w, `{"crumb":"crumb-of-%s","crumbRequestField":"Jenkins-Crumb"}`, now)
				return
			}
			cookie, err := r.Cookie("JSESSIONID")
			if err != nil || cookie.Value != now || r.Header.Get("Jenkins-Crumb") != "crumb-of-"+now {
				http.Error(w, "No valid crumb was included in the request", http.StatusForbidden)
				return
			}
			posts.Add(1)
		}))
		t.Cleanup(server.Close)
		c, err := jenkins.New(jenkins.Config{URL: server.URL, Username: "u", Password: "p"})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			if i == 5 {
				session.Store("two") // Jenkins was started anew
			}
			if err := c.StopBuild(t.Context(), "f", "j", 1); err != nil {
				t.Fatal(err)
			}
		}
		if crumbs.Load() != 2 || posts.Load() != 10 {
			t.Errorf("%d crumbs for %d calls in two sessions", crumbs.Load(), posts.Load())
		}
	})
}

// TestFault19ListsAskForEach: the peer reads everything for a list, then a ConfigMap for each run, with a new client for each request, and
// asks for rights project by project. Here lists come from a cache; whatever their length, a request costs at most a question for the
// user's rights.
func TestFault19ListsAskForEach(t *testing.T) {
	t.Parallel()
	p := newProject(t, "fault19")
	p.newPipeline("many", jenkinsfileOf("echo 'x'"), func(pipeline *devopsv1alpha3.Pipeline) {
		pipeline.Spec.Pipeline.Parameters = []devopsv1alpha3.ParameterDefinition{{Name: "N", Type: "string"}}
	})
	const count = 40
	for i := range count {
		// Runs with equal parameters would be started one after the other.
		p.newRun("many", fmt.Sprintf("run-%02d", i), devopsv1alpha3.Parameter{Name: "N", Value: strconv.Itoa(i)})
	}
	for i := range count {
		p.reaches(&devopsv1alpha3.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: p.name, Name: fmt.Sprintf("run-%02d", i)}}, devopsv1alpha3.Succeeded)
	}
	search := "/kapis/devops.kubesphere.io/v1alpha2/search?q=type:pipeline;organization:jenkins;pipeline:" + p.name + "/*&start=0&limit=100"
	for path, want := range map[string]int{
		p.v3("pipelines/many/pipelineruns?limit=-1"): count, p.v3("pipelineruns?limit=-1"): count, p.v2("pipelines/many/runs/?start=0&limit=100"): count,
		p.v3("pipelines"): 1, search: 1, p.v3("gitrepositories"): 0, p.v3("pipelines?name=many&sortBy=name"): 1,
	} {
		begin := time.Now()
		var list struct{ Items []any }
		p.get(path).into(t, &list)
		if len(list.Items) != want {
			t.Errorf("%s: %d items, want %d", path, len(list.Items), want)
		}
		var reviews int
		asked := kept(p.kubeAPI.since(begin, p.name), func(c *call) bool {
			if strings.Contains(c.path, "accessreviews") {
				reviews++
				return false
			}
			return true
		})
		if len(asked) > 0 || reviews > 2 {
			t.Errorf("%s: %d questions for rights, and Kubernetes was asked: %s", path, reviews, lines(asked))
		}
		if asked := p.jenkinsAPI.since(begin, p.name); len(asked) > 0 {
			t.Errorf("%s: Jenkins was asked: %s", path, lines(asked))
		}
	}
	// Credentials are not cached: that would hold all Secrets. One call reads them as the user.
	begin := time.Now()
	if got := p.get(p.v3("credentials")); got.code != http.StatusOK {
		t.Error(got)
	}
	if asked := kept(p.kubeAPI.since(begin, p.name), func(c *call) bool { return !strings.Contains(c.path, "accessreviews") }); len(asked) != 1 {
		t.Errorf("credentials: %s", lines(asked))
	}
}

// heap is how much memory is in use, without garbage.
func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// TestFault20EverythingAtOnce: the peer asks Jenkins for ten thousand runs to show a page, for a hundred thousand branches, and holds
// artifacts in memory as a whole. Here pages are pages, and of an artifact no more is held than what is just passed on.
func TestFault20EverythingAtOnce(t *testing.T) {
	t.Parallel()
	p := newProject(t, "fault20")
	begin := time.Now()
	p.newPipeline("plain", jenkinsfileOf("sleep 600"))
	p.newBranches("mb", "echo 'x'", "one", "two")
	run := p.startRun("plain", "")
	p.reaches(run, devopsv1alpha3.Running)
	p.reaches(p.startRun("mb", "?branch=one"), devopsv1alpha3.Succeeded)
	for _, path := range []string{
		"/kapis/devops.kubesphere.io/v1alpha2/search?q=type:pipeline;organization:jenkins;pipeline:" + p.name + "/*&start=0&limit=10", p.v2("pipelines/plain/runs/?start=0&limit=10"),
		p.v2("pipelines/mb/branches/?start=0&limit=10"), p.v3("pipelines/mb/branches?page=1&limit=10"), p.v2("pipelines/mb"), p.v3("pipelines/plain/pipelineruns?limit=10"),
	} {
		if got := p.get(path); got.code != http.StatusOK {
			t.Errorf("%s: %v", path, got)
		}
	}
	calls := append(p.jenkinsAPI.since(begin, p.name), p.jenkinsControllers.since(begin, p.name)...)
	if len(kept(calls, func(c *call) bool { return strings.Contains(c.path, "/branches/") })) == 0 {
		t.Error("branches were not asked for")
	}
	for _, c := range calls {
		// The stages of one build have no pages.
		if limit, _ := strconv.Atoi(c.query.Get("limit")); limit > 1000 && !strings.HasSuffix(c.path, "/nodes/") {
			t.Errorf("asked for %d: %s", limit, lines([]call{c}))
		}
	}

	// The second half of the artifact is made only after the first has arrived.
	const half = 256 << 20
	arrived := make(chan struct{})
	p.jenkinsAPI.breaks(t, func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if !strings.HasSuffix(r.URL.Path, "/artifact/large.bin") || !strings.Contains(r.URL.Path, p.name) {
			return false
		}
		w.Header().Set("X-Jenkins", "2.541.2")
		w.Header().Set("Content-Length", strconv.Itoa(2*half))
		piece := make([]byte, 1<<20)
		for range half / len(piece) {
			_, _ = w.Write(piece)
		}
		w.(http.Flusher).Flush()
		select {
		case <-arrived:
		case <-time.After(patience / 2):
			return true
		}
		for range half / len(piece) {
			_, _ = w.Write(piece)
		}
		return true
	})
	token, _, err := p.tokens.Issue(p.user, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+p.v3("pipelineruns/"+run.Name+"/artifacts/download?filename=large.bin"), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := p.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	// A buffer's worth may wait on its way.
	const buffered = 64 << 10
	before := heap()
	if n, err := io.CopyN(io.Discard, resp.Body, half-buffered); err != nil {
		t.Fatalf("the first half did not arrive before the second was made: %d bytes, %v", n, err)
	}
	// The other tests, which run at the same time, have nothing of this size.
	if after := heap(); after > before+half/2 {
		t.Errorf("the heap grew from %d to %d MiB while %d MiB of an artifact were passed on", before>>20, after>>20, half>>20)
	}
	close(arrived)
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != half+buffered {
		t.Errorf("%d bytes of the second half, %v", n, err)
	}
}
