// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

// firstLife runs a pipeline until it is killed behind the n-th event.
func firstLife(t *testing.T, src string, n int) *world {
	t.Helper()
	w := newWorld(t, 7)
	if _, ended := w.run(&life{killAppend: n}, src, 0); ended {
		t.Fatalf("it ended before event %d\n%s", n, w.whole())
	}
	return w
}

// TestDurableMismatch goes on with a script that does something else.
func TestDurableMismatch(t *testing.T) {
	src := stages("sh 'a'\n sh 'b'\n sh 'c'")
	cases := map[string]struct {
		reason string
		src    string
		spoil  func(events []Event)
		want   string
	}{
		"OtherStep":  {reason: "another step stands there", src: stages("sh 'a'\n writeFile file: 'x', text: ''\n sh 'c'"), want: `is writeFile, not sh`},
		"EndsBefore": {reason: "the script has become shorter", src: stages("sh 'a'"), want: "is release, not sh"},
		"OtherTurns": {reason: "the script takes other turns", src: stages("sh 'a'\n echo '1'\n echo '2'\n sh 'b'\n sh 'c'"), want: "\"0.5\" (sh) is not asked for"},
		"NoAgent":    {reason: "the script does not come to its agent", src: "pipeline { agent none\n stages { stage('s') { steps { echo 'x' } } } }", want: "is not asked for"},
		"Spoiled": {reason: "an event can not be read", src: src, spoil: func(events []Event) {
			i := slices.IndexFunc(events, func(e Event) bool { return e.Kind == "sh" })
			events[i].Value = json.RawMessage(`"text"`)
		}, want: "cannot unmarshal"},
		"Order": {reason: "turns are not in order", src: src, spoil: func(events []Event) {
			for i := range events {
				if events[i].Kind == "sh" {
					events[i].Turn = 1
				}
			}
		}, want: "belongs to turn 1"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := firstLife(t, src, 7)
				if c.spoil != nil {
					c.spoil(w.events)
				}
				before := w.whole()
				l := &life{loose: true}
				result, ended := w.run(l, c.src, 0)
				if !ended || result != ResultFailure || l.err == nil {
					t.Errorf("%s: %s %v, ended %v", c.reason, result, l.err, ended)
				}
				if free := w.stream(freeLog); !strings.Contains(free, "ERROR: The build can not go on after the restart of the server") || !strings.Contains(free, c.want) {
					t.Errorf("%s: %q is missing in %q", c.reason, c.want, free)
				}
				if !strings.HasPrefix(w.whole(), before) {
					t.Errorf("%s: the log was changed:\n%s", c.reason, w.whole())
				}
				for id, a := range w.agents {
					if a.released != 1 {
						t.Errorf("%s: the agent of %s was released %d times", c.reason, id, a.released)
					}
				}
				for _, n := range w.nodes {
					if n.State == StateRunning {
						t.Errorf("%s: node %s still runs", c.reason, n.DisplayName)
					}
				}
			})
		})
	}
}

// TestSuspend stops the server with courtesy at many times: nothing is ended, released or kept, no
// goroutine is left, and the build goes on as if nothing had been.
func TestSuspend(t *testing.T) {
	for _, name := range []string{"Parallel", "Nested", "Timeout", "Abort", "Locks", "Input", "Sleep", "FailFast"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := durablePipelines[name]
				_, want, took := undisturbed(t, name, 3)
				for at := range 12 {
					w := newWorld(t, 3)
					if c.abort > 0 {
						w.abortAt = time.Now().Add(c.abort)
					}
					l := &life{suspendAfter: time.Duration(at)*took/12 + 1}
					result, ended := w.run(l, c.src, 0)
					if !ended {
						if !errors.Is(l.err, ErrSuspended) || result != ResultUnknown {
							t.Errorf("suspended: %s %v", result, l.err)
						}
						for id, a := range w.agents {
							if a.released > 0 && !slices.ContainsFunc(w.events, func(e Event) bool { return e.Kind == kindRelease }) {
								t.Errorf("the agent of %s was released", id)
							}
						}
						if strings.Contains(w.whole(), "End of Pipeline") {
							t.Errorf("it was ended:\n%s", w.whole())
						}
						result, _ = w.run(&life{}, c.src, 0)
					}
					compareRuns(t, "suspended", w, want, w.outcome(result, c.sequential))
				}
			})
		})
	}
}

// TestDurableLostTail goes on with a history that lacks its end, as if the disk had lost it.
func TestDurableLostTail(t *testing.T) {
	for _, name := range []string{"Sequential", "Retry", "Catch", "Downstream", "Secrets"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				full, want, _ := undisturbed(t, name, 5)
				for lost := 1; lost < full.appends; lost++ {
					w := newWorld(t, 5)
					_, _ = w.run(&life{killAppend: full.appends}, durablePipelines[name].src, 0)
					w.events = w.events[:len(w.events)-lost]
					if w.events[len(w.events)-1].Kind == "time" || lost > len(full.events)/2 {
						break
					}
					for _, a := range w.agents {
						a.released = 0
					}
					result, _ := w.run(&life{}, durablePipelines[name].src, 0)
					compareRuns(t, "lost "+itoa(lost), w, want, w.outcome(result, true))
				}
			})
		})
	}
}

// TestDurableLoop cancels a script that computes and never gives the baton away: after a restart it stops at
// the same step, so n has the value that is in the log.
func TestDurableLoop(t *testing.T) {
	src := stages(`script { def n = 0
  try { timeout(time: 50, unit: 'MILLISECONDS') { while (true) { n++ } } } catch (e) { echo "caught ${e}" } finally { echo "n=${n}" }
  sh 'a' }
  catchError(buildResult: 'SUCCESS', stageResult: 'SUCCESS') { timeout(time: 50, unit: 'MILLISECONDS') { script { while (true) { n++ } } } }
  sh 'b'`)
	src = strings.Replace(src, "n++ } } } }", "def x = 1 } } } }", 1)
	w := newWorld(t, 1)
	w.real = true
	between := func() int {
		n := 0
		for _, e := range w.events {
			if e.Kind == kindTimeout && !e.Begin && e.Turn == 0 {
				n++
			}
		}
		return n
	}
	for n := 0; ; n++ {
		result, ended := w.run(&life{killAppend: w.appends + 3}, src, 0)
		if ended {
			if result != ResultAborted && result != ResultSuccess {
				t.Errorf("%s\n%s", result, w.whole())
			}
			break
		}
		if n > 50 {
			t.Fatal("it does not end")
		}
	}
	if between() == 0 || !strings.Contains(w.whole(), "n=") {
		t.Errorf("%d cancels without a turn\n%s", between(), w.whole())
	}
}

// TestHistoryFails has a disk that takes no event any more.
func TestHistoryFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := stages("script { try { sh 'a' } catch (e) { echo 'caught' }; parallel(x: { sh 'x' }, y: { sleep 100 }) }")
		w := newWorld(t, 1)
		l := &life{}
		l.change = func(*RunSpec) {
			time.AfterFunc(2*time.Second, func() {
				l.mu.Lock()
				defer l.mu.Unlock()
				l.fail = errors.New("disk full")
			})
		}
		result, ended := w.run(l, src, 0)
		if !ended || result != ResultFailure || !strings.Contains(w.stream(freeLog), "ERROR: The history of the build could not be written, so it can not go on: disk full\n") {
			t.Errorf("%s %v\n%s%s", result, ended, w.whole(), w.stream(freeLog))
		}
		for id, a := range w.agents {
			if a.released != 1 {
				t.Errorf("the agent of %s was released %d times", id, a.released)
			}
		}
	})
}

// TestCredentialGone goes on with a build whose secret is not there any more.
func TestCredentialGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := firstLife(t, durablePipelines["Secrets"].src, 10)
		l := &life{change: func(s *RunSpec) { s.Credentials = secrets{} }}
		result, ended := w.run(l, durablePipelines["Secrets"].src, 0)
		if want := "the credentials 'reg', which it has used, are gone"; !ended || result != ResultFailure || !strings.Contains(w.stream(freeLog), want) {
			t.Errorf("%s %v\n%s%s", result, ended, w.whole(), w.stream(freeLog))
		}
		for id, a := range w.agents {
			if a.released != 1 {
				t.Errorf("the agent of %s was released %d times", id, a.released)
			}
		}
	})
}

// lostAgents has lost all agents in the restart.
type lostAgents struct{ AgentProvider }

// TestAgentGone goes on with a build whose agent did not outlive the restart: its steps fail as those of a lost agent do.
func TestAgentGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := stages("sh 'a'\n script { try { sh 'b' } catch (e) { echo 'caught' } }\n catchError { sh 'c' }")
		w := firstLife(t, src, 6)
		l := &life{}
		l.change = func(s *RunSpec) { s.Agents = lostAgents{l} }
		result, ended := w.run(l, src, 0)
		if want := "was lost: it did not outlive the restart of the server"; !ended || result != ResultFailure || !strings.Contains(w.whole(), want) {
			t.Errorf("%s %v\n%s%s", result, ended, w.whole(), w.stream(freeLog))
		}
	})
}

// TestRestoreLocks gives locks back before others can take them.
func TestRestoreLocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := firstLife(t, stages("lock('l') { sh 'a'\n sh 'b' }\n lock('m') { echo 'x' }\n sh 'c'"), 7)
		table := &LockTable{}
		locks := table.Scope("team")
		Restore(w.events, locks, nil)
		told := ""
		got, err := locks.Acquire(t.Context(), LockRequest{ID: "other", Names: []string{"l"}, NoWait: true}, func(_, holder string) { told = holder })
		if got != nil || err != nil {
			t.Fatalf("the lock was free: %v", err)
		}
		w.run(&life{change: func(s *RunSpec) { s.Locks = locks }}, stages("lock('l') { sh 'a'\n sh 'b' }\n lock('m') { echo 'x' }\n sh 'c'"), 0)
		for _, name := range []string{"l", "m"} {
			release, err := locks.Acquire(t.Context(), LockRequest{ID: "other", Names: []string{name}, NoWait: true}, func(_, holder string) { told = holder })
			if release == nil || err != nil {
				t.Fatalf("%s was not released (held by %s): %v", name, told, err)
			}
			release()
		}
	})
}

// TestLockPlaces: who waited before the restart keeps his place, in whatever order the builds come to their locks again.
func TestLockPlaces(t *testing.T) {
	at := func(n int) time.Time { return time.Unix(int64(1000+n), 0) }
	asks := []LockRequest{{ID: "2", Since: at(2)}, {ID: "3", Since: at(3)}, {ID: "4", Since: at(4)}, {ID: "front", Since: at(5), First: true}, {ID: "foremost", Since: at(6), First: true}}
	want := []string{"foremost", "front", "2", "3", "4"}
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			locks := (&LockTable{}).Scope("team")
			hold, err := locks.Acquire(t.Context(), LockRequest{ID: "1", Names: []string{"l"}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := make(chan string, len(asks))
			for _, i := range rand.New(rand.NewPCG(seed, 1)).Perm(len(asks)) {
				req := asks[i]
				req.Names = []string{"l"}
				go func() {
					release, err := locks.Acquire(t.Context(), req, func(string, string) {})
					if err != nil {
						t.Error(err)
						return
					}
					got <- req.ID
					release()
				}()
				synctest.Wait()
			}
			hold()
			synctest.Wait()
			var order []string
			for range asks {
				order = append(order, <-got)
			}
			if d := cmp.Diff(want, order); d != "" {
				t.Errorf("seed %d (-want +got): %s", seed, d)
			}
		})
	}
}

// TestLockSince: a build that goes on asks for its lock as of the time when it first waited for it.
func TestLockSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const src = "lock('l') { sh 'a' }"
		table := &LockTable{}
		locks := table.Scope("team")
		hold, err := locks.Acquire(t.Context(), LockRequest{ID: "other", Names: []string{"l"}, Holder: "other #1"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, 1)
		began := time.Now()
		if _, ended := w.run(&life{change: func(s *RunSpec) { s.Locks = locks }}, stages(src), time.Minute); ended {
			t.Fatal("the build did not wait")
		}
		asked := &askedLocks{Locks: locks}
		time.AfterFunc(time.Second, hold)
		if result, ended := w.run(&life{change: func(s *RunSpec) { s.Locks = asked }}, stages(src), 0); !ended || result != ResultSuccess {
			t.Errorf("%s %v\n%s", result, ended, w.whole())
		}
		if waited := asked.since.Sub(began); asked.since.IsZero() || waited > 30*time.Second {
			t.Errorf("asked as of %s after the begin", waited)
		}
	})
}

// askedLocks notes since when a lock is asked for.
type askedLocks struct {
	Locks
	since time.Time
}

func (a *askedLocks) Acquire(ctx context.Context, req LockRequest, waiting func(name, holder string)) (func(), error) {
	a.since = req.Since
	return a.Locks.Acquire(ctx, req, waiting)
}

// TestRestoreMilestones keeps an older build from passing what a newer one had passed before the restart.
func TestRestoreMilestones(t *testing.T) {
	value, err := json.Marshal(milestoneRecord{Ordinal: 3})
	if err != nil {
		t.Fatal(err)
	}
	table := &MilestoneTable{}
	newer, end := table.Begin(1, 8, func(int) {})
	defer end()
	older, endOlder := table.Begin(1, 7, func(int) {})
	defer endOlder()
	Restore([]Event{{Kind: kindMilestone, Turn: 4, Value: value}}, nil, newer)
	if by := older.Pass(3); by != 8 {
		t.Errorf("build 7 passed milestone 3: %d", by)
	}
	if by := older.Pass(4); by != 0 {
		t.Errorf("build 7 did not pass milestone 4: %d", by)
	}
}

// TestErrorRecord keeps what the engine and scripts tell apart.
func TestErrorRecord(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&AbortError{User: "admin"})
	pos := jenkinsfile.Pos{Line: 3, Column: 4, Offset: 20}
	cases := map[string]error{
		"Failed":      failed("script returned exit code %d", 3),
		"Exception":   &groovy.Exception{Class: "java.io.IOException", Message: "x", Pos: pos},
		"Limit":       &groovy.LimitError{Message: "much", Pos: pos},
		"Agent":       &agentError{agent: "pod", err: fmt.Errorf("exec: %w", errors.New("gone"))},
		"Interrupted": interrupted(ctx),
		"Timeout":     &groovy.Exception{Class: classInterrupt, Message: "t", Err: &interruptError{&stopError{line: "Timeout has been exceeded"}}},
		"Downstream":  &groovy.Exception{Class: classInterrupt, Message: "m", Err: &downstreamError{"m", ResultUnstable}},
		"Superseded":  &groovy.Exception{Class: classInterrupt, Err: &interruptError{&AbortError{Reason: "Superseded by #8", Result: ResultNotBuilt}}},
		"NotExist":    fmt.Errorf("open: %w", &fs.PathError{Op: "open", Path: "/x", Err: fs.ErrNotExist}),
		"Unsupported": &UnsupportedError{Line: 1, Column: 2, Name: "n", Message: "m"},
		"Check":       &CheckError{Problems: []*UnsupportedError{{Line: 1, Message: "a"}, {Line: 2, Message: "b"}}},
		"Joined":      errors.Join(errors.New("a"), failed("b")),
		"Canceled":    fmt.Errorf("exec: %w", context.Canceled),
		"Deadline":    context.DeadlineExceeded,
		"Plain":       errors.New("ünïcode\n\"quoted\""),
	}
	for name, err := range cases {
		data, jsonErr := json.Marshal(recordError(err))
		if jsonErr != nil {
			t.Fatal(jsonErr)
		}
		var rec errorRecord
		if err := json.Unmarshal(data, &rec); err != nil {
			t.Fatal(err)
		}
		again := rec.err()
		type seen struct {
			text, message, shown                       string
			result                                     Result
			retry, interrupted, notExist, ended, limit bool
		}
		look := func(err error) seen {
			var limit *groovy.LimitError
			return seen{err.Error(), messageOf(err), errorText(err), resultOf(err), retryable(err), interruption(err), errors.Is(err, fs.ErrNotExist),
				errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded), errors.As(err, &limit)}
		}
		if d := cmp.Diff(look(err), look(again), cmp.AllowUnexported(seen{})); d != "" {
			t.Errorf("%s (-before +after): %s", name, d)
		}
	}
}

// TestPlannedLine writes a line at its place whatever the pieces of the output are.
func TestPlannedLine(t *testing.T) {
	const text = "first\nsecond\nthird"
	r := rand.New(rand.NewPCG(1, 1))
	for at, want := range map[int64]string{0: "note\nfirst\nsecond\nthird\n", 1: "first\nnote\nsecond\nthird\n", 6: "first\nnote\nsecond\nthird\n",
		13: "first\nsecond\nnote\nthird\n", 15: "first\nsecond\nthird\nnote\n", 1000: "first\nsecond\nthird\nnote\n"} {
		for range 20 {
			var out strings.Builder
			w := &lineWriter{to: &out, masks: &masks{}}
			w.plan(at, "note")
			for rest := text; rest != ""; {
				n := 1 + r.IntN(len(rest))
				_, _ = w.Write([]byte(rest[:n]))
				rest = rest[n:]
			}
			w.Close()
			if out.String() != want {
				t.Fatalf("at %d: %q, want %q", at, out.String(), want)
			}
			if w.written() != int64(len(want)) {
				t.Fatalf("at %d: %d bytes counted of %d", at, w.written(), len(want))
			}
		}
	}
}
