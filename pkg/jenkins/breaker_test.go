// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// outage is a Jenkins that is away for a while, without a network.
type outage struct {
	mu    sync.Mutex
	away  func(r *http.Request) (*http.Response, error) // nil: it answers
	calls []time.Time
}

func (o *outage) RoundTrip(r *http.Request) (*http.Response, error) {
	o.mu.Lock()
	o.calls = append(o.calls, time.Now())
	away := o.away
	o.mu.Unlock()
	if away != nil {
		return away(r)
	}
	return reply(r, http.StatusOK, `{"mode":"NORMAL"}`), nil
}

func (o *outage) set(away func(r *http.Request) (*http.Response, error)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.away = away
}

func (o *outage) between(from, to time.Time) (list []time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, at := range o.calls {
		if !at.Before(from) && at.Before(to) {
			list = append(list, at)
		}
	}
	return list
}

func reply(r *http.Request, status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Request: r, Body: io.NopCloser(strings.NewReader(body)),
		Header: http.Header{"X-Jenkins": {"2.541.2"}, "Content-Type": {"application/json"}},
	}
}

func refused(*http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
}

func hanging(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func answering(status int) func(r *http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) { return reply(r, status, "Starting Jenkins"), nil }
}

// busiest is the most calls within one second.
func busiest(calls []time.Time) int {
	most := 0
	for i := range calls {
		n := 0
		for j := i; j < len(calls) && calls[j].Sub(calls[i]) < time.Second; j++ {
			n++
		}
		most = max(most, n)
	}
	return most
}

// TestOutage: 100 runs go on asking while Jenkins is away for ten minutes.
func TestOutage(t *testing.T) {
	const (
		runs  = 100
		away  = 10 * time.Minute
		rerun = 10 * time.Second // what a run waits that is told nothing better
	)
	tests := map[string]struct {
		away func(r *http.Request) (*http.Response, error)
		// settle is how long it takes until the breaker must be open.
		settle time.Duration
		// within is when a call must succeed after Jenkins is back, all when every run must have had one.
		within, all time.Duration
	}{
		"refused":       {away: refused, settle: time.Second, within: 7 * time.Second, all: 10 * time.Second},
		"503":           {away: answering(503), settle: time.Second, within: 7 * time.Second, all: 10 * time.Second},
		"502":           {away: answering(502), settle: time.Second, within: 7 * time.Second, all: 10 * time.Second},
		"401":           {away: answering(401), settle: time.Second, within: 7 * time.Second, all: 10 * time.Second},
		"hangs":         {away: hanging, settle: DefaultTimeout + time.Second, within: 12 * time.Second, all: 15 * time.Second},
		"a proxy's 404": {away: proxyNotFound, settle: time.Second, within: 7 * time.Second, all: 10 * time.Second},
	}
	for reason, tc := range tests {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				jenkins := &outage{}
				c := client(t, Config{URL: "http://ci", Username: "u", Token: "t", Transport: jenkins, Timeout: DefaultTimeout})
				ctx, stop := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				var mu sync.Mutex
				good := make([]time.Time, runs) // the last good call of each run
				for i := range runs {
					wg.Go(func() {
						for ctx.Err() == nil {
							pause := time.Second
							if err := c.Ping(ctx); err != nil {
								if pause = RetryAfter(err); pause == 0 {
									pause = rerun
								}
							} else {
								mu.Lock()
								good[i] = time.Now()
								mu.Unlock()
							}
							_ = wait(ctx, pause)
						}
					})
				}
				time.Sleep(5500 * time.Millisecond)
				gone := time.Now()
				jenkins.set(tc.away)
				time.Sleep(away)
				since, last, open := c.State()
				if !open || since.Before(gone) || since.After(gone.Add(time.Second)) || !last.Before(gone) {
					t.Errorf("State = %v, %v, %t; Jenkins went away at %v", since, last, open, gone)
				}
				back := time.Now()
				jenkins.set(nil)
				time.Sleep(time.Minute)
				stop()
				wg.Wait()

				during := jenkins.between(gone, back)
				settled := jenkins.between(gone.Add(tc.settle), back)
				if most := busiest(settled); most > 2 {
					t.Errorf("%d calls within a second", most)
				}
				if limit := 2 * int(away/time.Second); len(during) > limit {
					t.Errorf("%d calls while Jenkins was away, want at most %d", len(during), limit)
				}
				first := time.Hour
				for _, at := range jenkins.between(back, back.Add(time.Hour)) {
					first = min(first, at.Sub(back))
				}
				if first > tc.within {
					t.Errorf("the first call that succeeded came %v after Jenkins was back", first)
				}
				for i, at := range good {
					if at.Before(back) {
						t.Errorf("run %d had no good call after Jenkins was back", i)
					}
				}
				if early := len(jenkins.between(back, back.Add(tc.all))); early < runs {
					t.Errorf("only %d calls went out in the first %v", early, tc.all)
				}
				if _, _, open := c.State(); open {
					t.Error("the breaker is still open")
				}
				t.Logf("%d calls in %v (%.2f a second), of them %d at once when it went away; at most %d within a second after that; first good call %v after it was back",
					len(during), away, float64(len(during))/away.Seconds(), len(during)-len(settled), busiest(settled), first)
			})
		})
	}
}

// proxyNotFound is what an ingress says that has lost its backend.
func proxyNotFound(r *http.Request) (*http.Response, error) {
	resp := reply(r, http.StatusNotFound, "default backend - 404")
	resp.Header = http.Header{"Content-Type": {"text/plain"}}
	return resp, nil
}

// TestBreakerLetsAnswersPass: what Jenkins says itself, however bad, and what the caller did, do not open the breaker.
func TestBreakerLetsAnswersPass(t *testing.T) {
	tests := map[string]struct {
		away func(r *http.Request) (*http.Response, error)
		ctx  func(context.Context) (context.Context, context.CancelFunc)
		want error
	}{
		"500":                         {away: answering(500), want: ErrInternal},
		"404":                         {away: answering(404), want: ErrNotFound},
		"403":                         {away: answering(403), want: ErrForbidden},
		"429":                         {away: answering(429), want: ErrUnavailable},
		"a token that was never good": {away: answering(401), want: ErrUnauthorized},
		"callers in a hurry": {away: hanging, want: ErrUnavailable, ctx: func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 10*time.Millisecond)
		}},
		"callers that leave": {away: hanging, want: context.Canceled, ctx: func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(10*time.Millisecond, cancel)
			return ctx, cancel
		}},
	}
	for reason, tc := range tests {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				jenkins := &outage{away: tc.away}
				c := client(t, Config{URL: "http://ci", Username: "u", Token: "t", Transport: jenkins})
				for range 50 {
					ctx, cancel := t.Context(), context.CancelFunc(func() {})
					if tc.ctx != nil {
						ctx, cancel = tc.ctx(ctx)
					}
					err := c.Ping(ctx)
					cancel()
					if !errors.Is(err, tc.want) {
						t.Fatalf("err = %v, want %v", err, tc.want)
					}
				}
				if _, _, open := c.State(); open || len(jenkins.calls) != 50 {
					t.Errorf("open = %t after %d of 50 calls", open, len(jenkins.calls))
				}
			})
		})
	}
}

func TestBreaker(t *testing.T) {
	t.Run("while it is open, the error says when to come back", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			jenkins := &outage{away: refused}
			c := client(t, Config{URL: "http://ci", Transport: jenkins, MaxSilent: 2})
			began := time.Now()
			for range 2 {
				if err := c.Ping(t.Context()); !errors.Is(err, ErrUnavailable) || RetryAfter(err) != 0 {
					t.Fatalf("err = %v, hint %v", err, RetryAfter(err))
				}
			}
			_, err := c.StartBuild(t.Context(), "f", "j", StartRequest{})
			var hint interface{ RetryAfter() time.Duration }
			if !errors.Is(err, ErrUnavailable) || !errors.As(err, &hint) || hint.RetryAfter() < probeFirst || hint.RetryAfter() > probeFirst*5/4 {
				t.Fatalf("err = %v", err)
			}
			want := "jenkins: start build: Jenkins does not answer since " + began.UTC().Format(time.RFC3339) + " (dial tcp: connection refused); next attempt in "
			if !strings.HasPrefix(err.Error(), want) {
				t.Errorf("err = %v, want %s…", err, want)
			}
			if len(jenkins.calls) != 2 {
				t.Errorf("%d calls went out", len(jenkins.calls))
			}
			time.Sleep(hint.RetryAfter())
			jenkins.set(nil)
			if err := c.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			if since, last, open := c.State(); open || !since.IsZero() || last != time.Now() {
				t.Errorf("State = %v, %v, %t", since, last, open)
			}
		})
	})
	t.Run("a probe is one small question, and the others do not wait for it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			jenkins := &outage{away: refused}
			c := client(t, Config{URL: "http://ci", Transport: jenkins, MaxSilent: 1})
			_ = c.Ping(t.Context())
			time.Sleep(time.Second)
			var asked []string
			jenkins.set(func(r *http.Request) (*http.Response, error) {
				asked = append(asked, r.Method+" "+r.URL.RequestURI())
				return hanging(r)
			})
			began := time.Now()
			done := make(chan error)
			go func() { done <- c.DeleteJob(t.Context(), "f", "j") }()
			synctest.Wait()
			if err := c.DeleteJob(t.Context(), "f", "j"); !errors.Is(err, ErrUnavailable) || time.Since(began) != 0 || RetryAfter(err) <= 0 {
				t.Errorf("err = %v after %v", err, time.Since(began))
			}
			if err := <-done; !errors.Is(err, ErrUnavailable) || time.Since(began) != probeTimeout {
				t.Errorf("err = %v after %v", err, time.Since(began))
			}
			if fmt.Sprint(asked) != "[GET /api/json?tree=mode]" {
				t.Errorf("asked %v", asked)
			}
		})
	})
	t.Run("a caller that leaves during the probe leaves it to the next", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			jenkins := &outage{away: refused}
			c := client(t, Config{URL: "http://ci", Transport: jenkins, MaxSilent: 1})
			_ = c.Ping(t.Context())
			time.Sleep(time.Second)
			jenkins.set(hanging)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := c.Ping(ctx); !errors.Is(err, ErrUnavailable) {
				t.Fatalf("err = %v", err)
			}
			jenkins.set(nil)
			if err := c.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	})
	t.Run("the late failure of an earlier call is not held against a Jenkins that is back", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			jenkins := &outage{away: hanging}
			c := client(t, Config{URL: "http://ci", Transport: jenkins, MaxSilent: 1, Timeout: DefaultTimeout})
			late := make(chan error)
			go func() { late <- c.Ping(t.Context()) }()
			synctest.Wait()
			jenkins.set(refused)
			_ = c.Ping(t.Context())
			jenkins.set(nil)
			time.Sleep(time.Second)
			if err := c.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-late; !errors.Is(err, ErrUnavailable) {
				t.Fatalf("err = %v", err)
			}
			if _, _, open := c.State(); open {
				t.Error("the breaker has opened again")
			}
		})
	})
	t.Run("the recorded start of Jenkins", func(t *testing.T) {
		_, srv := replay(t, "15-restart.json")
		srv.Use("starting: root with token")
		restarts := make(chan struct{}, 10)
		// The recording has another query, so the calls are made without names.
		c := client(t, Config{URL: srv.URL, Username: "admin", Token: "TOKEN", MaxSilent: 2, ProbeInterval: time.Millisecond})
		c.accepted.Store(true) // it worked before the restart
		c.OnRestart(func() { restarts <- struct{}{} })
		deadline := time.Now().Add(time.Minute)
		opened := false
		for {
			err := c.Ping(t.Context())
			if err == nil {
				break
			}
			// Once the breaker is open, a 401 is not taken for Jenkins' last word.
			if opened && !errors.Is(err, ErrUnavailable) || time.Now().After(deadline) {
				t.Fatalf("err = %v", err)
			}
			_, _, open := c.State()
			opened = opened || open
		}
		if !opened {
			t.Error("the breaker never opened")
		}
		select {
		case <-restarts:
		case <-time.After(time.Minute):
			t.Error("nobody was told of the restart")
		}
	})
	t.Run("switched off", func(t *testing.T) {
		jenkins := &outage{away: refused}
		c := client(t, Config{URL: "http://ci", Transport: jenkins, MaxSilent: -1})
		for range 20 {
			if err := c.Ping(t.Context()); !errors.Is(err, ErrUnavailable) {
				t.Fatalf("err = %v", err)
			}
		}
		if since, _, open := c.State(); open || since.IsZero() || len(jenkins.calls) != 20 {
			t.Errorf("State = %v, %t after %d calls", since, open, len(jenkins.calls))
		}
	})
}

func TestRetryAfterOfAProxy(t *testing.T) {
	for header, want := range map[string]time.Duration{"": 0, "7": 7 * time.Second, "-1": 0, "soon": 0, "999999": maxRetryAfter} {
		c := handler(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", header)
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		if err := c.Ping(t.Context()); RetryAfter(err) != want {
			t.Errorf("%q: RetryAfter = %v, want %v (%v)", header, RetryAfter(err), want, err)
		}
	}
	if got := RetryAfter(errors.New("other")); got != 0 {
		t.Errorf("of another error: %v", got)
	}
}

func TestCallsInFlightAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bound, callers = 8, 100
		var now, most atomic.Int64
		jenkins := &outage{away: func(r *http.Request) (*http.Response, error) {
			n := now.Add(1)
			defer now.Add(-1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
			return reply(r, http.StatusOK, "{}"), wait(r.Context(), 100*time.Millisecond)
		}}
		c := client(t, Config{URL: "http://ci", Transport: jenkins, MaxInFlight: bound})
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				if err := c.Ping(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if most.Load() != bound {
			t.Errorf("%d calls at a time, want %d", most.Load(), bound)
		}
		// Who waits in vain for a turn learns it in time, and it is not held against Jenkins.
		jenkins.set(hanging)
		for range bound {
			go func() { _ = c.Ping(t.Context()) }()
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Ping(ctx); !errors.Is(err, ErrUnavailable) {
			t.Errorf("err = %v", err)
		}
		if since, _, _ := c.State(); !since.IsZero() {
			t.Errorf("since = %v", since)
		}
		time.Sleep(time.Minute)
	})
}

// TestBrokenConnections uses a server that answers on a connection once and then breaks it in different ways.
func TestBrokenConnections(t *testing.T) {
	// serve counts requests and hands the n-th of the connection to break.
	serve := func(t *testing.T, broken func(conn net.Conn)) (url string, requests *atomic.Int64) {
		t.Helper()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		requests = &atomic.Int64{}
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer func() { _ = conn.Close() }()
					in := bufio.NewReader(conn)
					for n := 0; ; n++ {
						r, err := http.ReadRequest(in)
						if err != nil {
							return
						}
						_, _ = io.Copy(io.Discard, r.Body)
						requests.Add(1)
						if n > 0 {
							broken(conn)
							return
						}
						_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-Jenkins: 2\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
					}
				}()
			}
		}()
		return "http://" + l.Addr().String(), requests
	}
	reset := func(conn net.Conn) {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
	t.Run("a GET on a kept connection that breaks is sent once more", func(t *testing.T) {
		for reason, broken := range map[string]func(net.Conn){"closed": func(c net.Conn) { _ = c.Close() }, "reset": reset} {
			url, requests := serve(t, broken)
			c := client(t, Config{URL: url})
			for range 2 {
				if err := c.Ping(t.Context()); err != nil {
					t.Fatalf("%s: %v", reason, err)
				}
			}
			if requests.Load() != 3 {
				t.Errorf("%s: %d requests", reason, requests.Load())
			}
		}
	})
	t.Run("a POST is not", func(t *testing.T) {
		url, requests := serve(t, reset)
		c := client(t, Config{URL: url})
		if err := c.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.StartBuild(t.Context(), "f", "j", StartRequest{Token: "t", Cause: "c"}); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("err = %v", err)
		}
		if requests.Load() != 2 {
			t.Errorf("%d requests", requests.Load())
		}
	})
	t.Run("half an answer", func(t *testing.T) {
		url, _ := serve(t, func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-Jenkins: 2\r\nContent-Length: 200\r\n\r\n{\"mode\":")
		})
		c := client(t, Config{URL: url})
		if err := c.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.Ping(t.Context()); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("err = %v", err)
		}
		if since, _, _ := c.State(); since.IsZero() {
			t.Error("it was taken for an answer")
		}
	})
	t.Run("a log that breaks in the middle", func(t *testing.T) {
		url, _ := serve(t, func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-Text-Size: 4000\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n")
			reset(conn)
		})
		c := client(t, Config{URL: url, MaxSilent: 1})
		if err := c.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		next, err := c.StreamLog(t.Context(), BuildRef{Folder: "f", Job: "j", Number: 1}, 0, &got)
		// The offset stays where it was: a part that is not whole is read again, never left out.
		if !errors.Is(err, ErrUnavailable) || next != 0 {
			t.Fatalf("next = %d, err = %v", next, err)
		}
		if _, _, open := c.State(); !open {
			t.Error("it was not held against Jenkins")
		}
	})
}

func TestOnRestart(t *testing.T) {
	var session atomic.Pointer[string]
	set := func(s string) { session.Store(&s) }
	var down atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if s := *session.Load(); s != "" {
			w.Header().Set("X-Jenkins-Session", s)
		}
		w.Header().Set("X-Jenkins", "2")
		if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = io.WriteString(w, "{}")
	}))
	defer srv.Close()
	newClient := func(t *testing.T) (*Client, chan int, func()) {
		t.Helper()
		c := client(t, Config{URL: srv.URL, MaxSilent: 1, ProbeInterval: time.Millisecond})
		told := make(chan int, 10)
		return c, told, c.OnRestart(func() { told <- 1 })
	}
	ping := func(t *testing.T, c *Client) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); c.Ping(t.Context()) != nil; {
			if time.Now().After(deadline) {
				t.Fatal("no answer")
			}
		}
	}
	expect := func(t *testing.T, told chan int, want bool) {
		t.Helper()
		patience := 100 * time.Millisecond
		if want {
			patience = 10 * time.Second
		}
		select {
		case <-told:
			if !want {
				t.Error("told of a restart that was none")
			}
		case <-time.After(patience):
			if want {
				t.Error("not told")
			}
		}
	}
	t.Run("another session", func(t *testing.T) {
		set("1405b687")
		c, told, stop := newClient(t)
		ping(t, c)
		ping(t, c)
		expect(t, told, false)
		set("99aa0011")
		ping(t, c)
		expect(t, told, true)
		stop()
		set("77aa0011")
		ping(t, c)
		expect(t, told, false)
	})
	t.Run("away and back in the same session", func(t *testing.T) {
		set("1405b687")
		c, told, _ := newClient(t)
		ping(t, c)
		down.Store(true)
		_ = c.Ping(t.Context())
		down.Store(false)
		ping(t, c)
		expect(t, told, false)
	})
	t.Run("away and back, without a name of the session", func(t *testing.T) {
		set("")
		c, told, _ := newClient(t)
		ping(t, c)
		down.Store(true)
		_ = c.Ping(t.Context())
		down.Store(false)
		ping(t, c)
		expect(t, told, true)
	})
}

// observed collects what an observer is told.
type observed struct {
	mu   sync.Mutex
	seen []string
}

func (o *observed) add(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, fmt.Sprintf(format, args...))
}

func (o *observed) Request(op string, code int, _ time.Duration) { o.add("%s: %d", op, code) }
func (o *observed) Refused(op string)                            { o.add("%s: refused", op) }
func (o *observed) Restarted()                                   { o.add("restarted") }

func TestObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen, jenkins := &observed{}, &outage{}
		c := client(t, Config{URL: "http://ci", Transport: jenkins, Observer: seen, MaxSilent: 1})
		_ = c.Ping(t.Context())
		jenkins.set(refused)
		_ = c.Ping(t.Context())
		_ = c.Ping(t.Context())
		jenkins.set(nil)
		time.Sleep(time.Second)
		_, _ = c.QuietState(t.Context())
		want := "[ask for the version: 200 ask for the version: 0 ask for the version: refused probe: 200 restarted ask for the quiet mode: 200]"
		if got := fmt.Sprint(seen.seen); got != want {
			t.Errorf("seen %s\nwant %s", got, want)
		}
	})
}
