// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/scm"
)

// isFree fails if memory of bodies was not given back.
func isFree(t *testing.T, r *Receiver) {
	t.Helper()
	if !r.bodies.TryAcquire(maxBodies) {
		t.Fatal("memory of bodies was not given back")
	}
	r.bodies.Release(maxBodies)
}

func TestRead(t *testing.T) {
	r := New(Options{})
	broken := errors.New("the line is cut")
	for name, tc := range map[string]struct {
		body io.Reader
		want int
		err  error
	}{
		"nothing":       {strings.NewReader(""), 0, nil},
		"small":         {strings.NewReader("abc"), 3, nil},
		"byte by byte":  {iotest.OneByteReader(bytes.NewReader(make([]byte, 100_000))), 100_000, nil},
		"end with data": {iotest.DataErrReader(bytes.NewReader(make([]byte, 100_000))), 100_000, nil},
		"free":          {bytes.NewReader(make([]byte, freeBody)), freeBody, nil},
		"3 MiB":         {bytes.NewReader(make([]byte, 3<<20)), 3 << 20, nil},
		"largest":       {bytes.NewReader(make([]byte, MaxBody)), MaxBody, nil},
		"too large":     {bytes.NewReader(make([]byte, MaxBody+1)), 0, ErrTooLarge},
		"endless":       {endless{}, 0, ErrTooLarge},
		"cut":           {io.MultiReader(bytes.NewReader(make([]byte, 2<<20)), iotest.ErrReader(broken)), 0, broken},
	} {
		t.Run(name, func(t *testing.T) {
			data, done, err := r.Read(t.Context(), tc.body)
			done()
			if !errors.Is(err, tc.err) || len(data) != tc.want {
				t.Errorf("%d bytes, %v; want %d, %v", len(data), err, tc.want, tc.err)
			}
			isFree(t, r)
		})
	}
}

// endless is a body without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// TestReadFlood: what strangers send at once is bounded, and does not keep out what is small.
func TestReadFlood(t *testing.T) {
	r := New(Options{})
	r.patience = 10 * time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	read := func(body io.Reader) chan error {
		end := make(chan error, 1)
		go func() {
			_, done, err := r.Read(ctx, body)
			done()
			end <- err
		}()
		return end
	}
	// These announce large bodies and send little: they take nothing.
	var slow []*io.PipeWriter
	for range 100 {
		in, out := io.Pipe()
		read(in)
		if _, err := out.Write(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		slow = append(slow, out)
	}
	isFree(t, r)
	// These have sent what takes all there is, and go on.
	var ends []chan error
	for range 4 {
		in, out := io.Pipe()
		ends = append(ends, read(in))
		if _, err := out.Write(make([]byte, 9<<20)); err != nil {
			t.Fatal(err)
		}
		slow = append(slow, out)
	}
	if _, done, err := r.Read(ctx, bytes.NewReader(make([]byte, 5<<20))); !errors.Is(err, ErrBusy) {
		t.Errorf("one more large body: %v", err)
	} else {
		done()
	}
	if _, done, err := r.Read(ctx, bytes.NewReader(make([]byte, freeBody))); err != nil {
		t.Errorf("a small body: %v", err)
	} else {
		done()
	}
	for _, out := range slow {
		_ = out.Close()
	}
	for _, end := range ends {
		if err := <-end; err != nil {
			t.Error(err)
		}
	}
	isFree(t, r)
}

// TestReadWaits: a large body that finds no room is read when there is some again.
func TestReadWaits(t *testing.T) {
	r := New(Options{})
	r.patience = time.Minute
	_ = r.bodies.TryAcquire(maxBodies)
	end := make(chan error, 1)
	go func() {
		_, done, err := r.Read(context.WithoutCancel(t.Context()), bytes.NewReader(make([]byte, 2<<20)))
		done()
		end <- err
	}()
	select {
	case err := <-end:
		t.Fatalf("it was read without room: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	r.bodies.Release(maxBodies)
	if err := <-end; err != nil {
		t.Error(err)
	}
	isFree(t, r)
}

// TestHostileBodies: a body that nobody has signed costs time in proportion to its length, and is not kept.
func TestHostileBodies(t *testing.T) {
	const length = 4 << 20
	list := func(item string) string { return "[{}" + strings.Repeat(","+item, length/len(item)) + "]" }
	links := &strings.Builder{}
	for i := 0; links.Len() < length; i++ {
		links.WriteString(`,{"href":"https://h/` + strings.Repeat("x", i%7) + string(rune(0x4e00+i%20_000)) + `"}`)
	}
	stash := http.Header{"X-Event-Key": {"repo:refs_changed"}}
	for name, tc := range map[string]struct {
		header http.Header
		body   string
	}{
		"changes":       {stash, `{"repository":{"slug":"a","project":{"key":"B"}},"changes":` + list("{}") + `}`},
		"changes, full": {stash, `{"repository":{"slug":"a","project":{"key":"B"}},"changes":` + list(`{"ref":{"id":"refs/heads/x"},"toHash":"1"}`) + `}`},
		"addresses":     {stash, `{"repository":{"slug":"a","project":{"key":"B"},"links":{"clone":[{}` + links.String() + `],"self":[{}` + links.String() + `]}}}`},
		"cloud":         {http.Header{"X-Event-Key": {"repo:push"}}, `{"repository":{"full_name":"a/b"},"push":{"changes":` + list(`{"new":{"name":"x"}}`) + `}}`},
		"names": {http.Header{"X-Github-Event": {"push"}}, `{"ref":"refs/heads/` + strings.Repeat("x", length) + `","after":"` + strings.Repeat("1", length) +
			`","repository":{"clone_url":"https://h/a/b","full_name":"` + strings.Repeat("y", length) + `"}}`},
		"commits":     {http.Header{"X-Github-Event": {"push"}}, `{"ref":"refs/heads/x","before":"` + strings.Repeat("1", length) + `","after":"` + strings.Repeat("1", length) + `","repository":{"clone_url":"https://h/a/b"}}`},
		"stash names": {stash, `{"repository":{"slug":"` + strings.Repeat("x", length) + `","project":{"key":"B"},"links":{"self":[{"href":"https://h/` + strings.Repeat("x", length) + `/projects/"}]}}}`},
		"form":        {http.Header{"X-Github-Event": {"push"}, "Content-Type": {"application/x-www-form-urlencoded"}}, strings.Repeat("&a=b", length/4) + "&payload={}"},
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			e, err := Parse(tc.header, []byte(tc.body))
			if took := time.Since(begin); took > 20*time.Second {
				t.Errorf("it took %s", took)
			}
			if err != nil {
				if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrOther) {
					t.Errorf("got %v", err)
				}
				if e == nil {
					return
				}
			}
			kept := len(e.Path) + len(e.Server) + len(e.Delivery)
			for _, c := range e.Changes {
				kept += len(c.Ref) + len(c.Before) + len(c.After)
			}
			if kept > 256<<10 || len(e.Keys) > maxKeys+10 || len(e.Changes) > maxChanges {
				t.Errorf("%d bytes, %d keys and %d changes are kept", kept, len(e.Keys), len(e.Changes))
			}
		})
	}
}

func TestFew(t *testing.T) {
	for body, want := range map[string]int{
		`{"changes":null}`: 0, `{"changes":[]}`: 0, `{}`: 0,
		`{"changes":[{"ref":{"id":"refs/heads/a"},"toHash":"1"},{"ref":{"id":"refs/heads/b"},"toHash":"2"}]}`: 2,
		`{"changes":{"ref":{}}}`: -1, `{"changes":"x"}`: -1, `{"changes":[1]}`: -1,
	} {
		e, err := Parse(http.Header{"X-Event-Key": {"repo:refs_changed"}}, []byte(`{"repository":{"slug":"a","project":{"key":"B"}},`+body[1:]))
		if body == `{}` {
			e, err = Parse(http.Header{"X-Event-Key": {"repo:refs_changed"}}, []byte(`{"repository":{"slug":"a","project":{"key":"B"}}}`))
		}
		if want < 0 {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %v", body, err)
			}
			continue
		}
		if err != nil || len(e.Changes) != want {
			t.Errorf("%s: %+v, %v", body, e, err)
		}
	}
}

// TestTriedFor: hashing a large body for many secrets takes no longer than a smaller one for all.
func TestTriedFor(t *testing.T) {
	var keys []client.ObjectKey
	for i := range 300 {
		keys = append(keys, client.ObjectKey{Namespace: string(rune('a' + i%3)), Name: strings.Repeat("x", i)})
	}
	for length, want := range map[int]int{0: maxTried, 1000: maxTried, 2 << 20: maxTried, MaxBody: 20} {
		if got := triedFor(keys, length); len(got) != want || got[0].Namespace != "a" || got[1].Namespace != "b" || got[2].Namespace != "c" {
			t.Errorf("%d bytes: %d Secrets, want %d, of all projects in turn", length, len(got), want)
		}
	}
}

// TestDrain: what was taken is dealt with before the process ends.
func TestDrain(t *testing.T) {
	w := newWorld(t, Options{})
	release, worked, drained := make(chan struct{}), make(chan struct{}), make(chan struct{})
	err := w.receiver.later(t.Context(), task{work: func(context.Context) error {
		<-release
		close(worked)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		w.receiver.Drain(t.Context())
		close(drained)
	}()
	select {
	case <-drained:
		t.Fatal("it does not wait")
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	<-drained
	select {
	case <-worked:
	default:
		t.Error("it did not wait for the work")
	}
	// Nor does it wait for ever.
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	w.receiver.Drain(ended)
}

// TestLasting: a failure that would be the same is not tried again, and holds up nobody; the delivery may come again.
func TestLasting(t *testing.T) {
	const server = "https://git.example.org"
	w := newWorld(t, Options{Secret: []byte(serverSecret)}, gitURL("multi", server+"/team/app"))
	push := githubPush(server, "team/app", "refs/heads/main", "1")
	w.fail = []error{apierrors.NewForbidden(schema.GroupResource{Resource: "pipelines"}, "multi", errors.New("the namespace is being terminated"))}
	for _, want := range []int{0, 1} {
		if err := w.deliver(scm.GitHub, push); err != nil {
			t.Fatal(err)
		}
		if got := w.done(); len(got) != want {
			t.Errorf("%v, want %d scans", got, want)
		}
	}
	away, forbidden := errors.New("away"), apierrors.NewForbidden(schema.GroupResource{}, "x", nil)
	for name, tc := range map[string]struct {
		err  error
		want bool
	}{
		"success": {nil, true}, "away": {away, false}, "forbidden": {fmt.Errorf("start: %w", forbidden), true},
		"both": {errors.Join(forbidden, away), false}, "all": {errors.Join(forbidden, errors.Join(nil, forbidden)), true},
		"unavailable": {apierrors.NewServiceUnavailable("x"), false}, "conflict": {apierrors.NewConflict(schema.GroupResource{}, "x", nil), false},
	} {
		if got := lasts(tc.err); got != tc.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestTurns: a project with many pipelines of a repository does not keep the event from another's.
func TestTurns(t *testing.T) {
	var all []*devopsv1alpha3.Pipeline
	for _, namespace := range []string{"many", "many", "many", "one", "two"} {
		p := plain("x", "https://h/a", "")
		p.Namespace = namespace
		all = append(all, p)
	}
	var order []string
	for _, p := range inTurn(all, func(p *devopsv1alpha3.Pipeline) string { return p.Namespace }) {
		order = append(order, p.Namespace)
	}
	if got := strings.Join(order, " "); got != "many one two many many" {
		t.Errorf("order %s", got)
	}
}
