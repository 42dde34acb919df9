// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"context"
	"errors"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// bombs would each take all the time or memory of the server.
var bombs = map[string]string{
	"Loop":             "while (true) { }",
	"CaughtLoop":       "while (true) { try { while (true) { } } catch (Throwable t) { } finally { } }",
	"Doubling":         "def s = 'x'\nwhile (true) { s += s }",
	"Builder":          "def b = new StringBuilder('x')\nwhile (true) { b.append(b) }",
	"List":             "def l = []\nwhile (true) { l << [1, 2, 3] }",
	"Lists":            "def l = []\nwhile (true) { def k = []; 1000.times { k << it }; l << k }",
	"Map":              "def m = [:]\nint i = 0\nwhile (true) { m[i++] = 1 }",
	"Maps":             "def l = []\nwhile (true) { def m = [:]; 1000.times { m[it] = it }; l << m }",
	"EmptyMaps":        "def l = [null] * 100000\nint i = 0\nwhile (true) { l[i++ % 100000] = [a: l] ; }",
	"Closures":         "def l = []\nwhile (true) { def k = []; 1000.times { n -> k << { n } }; l << k }",
	"Recursion":        "def f(n) { f(n + 1) }\nf(0)",
	"ClosureRecursion": "def f\nf = { g -> g(g) }\nf(f)",
	"Composition":      "def f = { it }\nwhile (true) { f = f >> f; f(1) }",
	"Curry":            "def f = { it }\nwhile (true) { f = f.curry(1); f(1) }",
	"Lazy":             "def s = ''\ndef t = \"${-> s}\"\nwhile (true) { s = \"$t$t${-> t}x\" + t }",
	"LazyDoubling":     "def l = [1]\nwhile (true) { l = [\"${l}${l}\"]; l.toString() }",
	"LazyTwice":        "def l = [1]\ndef s = \"${l}${-> l}\"\nl << s << s\nwhile (true) { s == 'x' }",
	"DelegateSelf":     "def c = { c() + x }\nc.delegate = c\nc.resolveStrategy = Closure.DELEGATE_FIRST\nc()",
	"With":             "def f\nf = { it.with { f(it) } }\nf(1)",
	"EntryValue":       "def m = [a: 1]\nwhile (true) { m.each { it.value = [it, it] } }",
	"NullEach":         "while (true) { null.each { } }",
	"Iterator":         "def l = (1..10000).collect()\ndef k = []\nwhile (true) { k << l.iterator() }",
	"PropertyOfItself": "def l = []\nl << l << l\nwhile (true) { try { l.foo } catch (e) { } }",
	"PropertyOfMany":   "def l = []\n40.times { l = [l, l, l] }\nl.foo",
	"SliceByItself":    "def l = [0]\nl << l\nwhile (true) { l[l] }",
	"SliceByMany":      "def l = []\n40.times { l = [l, l] }\nwhile (true) { [1][l] }",
	"KeyOfItself":      "def m = [:]\nm[m] = m\ndef n = [:]\nn[[n]] = 1\nn.remove([n])\nm == n\nwhile (true) { \"$m$n\" }",
	"Labels":           "o: while (true) { while (true) { continue o } }",
	"ExponentialText":  "def l = [1]\n40.times { l = [l, l] }\nwhile (true) { \"$l\" }",
	"ExponentialEqual": "def l = [1]\ndef k = [1]\n60.times { l = [l, l]; k = [k, k] }\nwhile (true) { l == k }",
	"ExponentialKey":   "def l = [1]\n60.times { l = [l, l] }\ndef m = [:]\nwhile (true) { m[l] = 1 }",
	"ExponentialFlat":  "def l = [1]\n60.times { l = [l, l] }\nl.flatten()",
	"ExponentialJSON":  "def l = [1]\n60.times { l = [l, l] }\ngroovy.json.JsonOutput.toJson(l)",
	"ExponentialStep":  "def l = [1L]\n60.times { l = [l, l] }\nwhile (true) { echo l }",
	"SelfList":         "def l = []\nl << l << l\nwhile (true) { l == [l, l]; \"$l\"; [l].contains([l]) }",
	"DeepList":         "def l = []\nwhile (true) { l = [l]; \"$l\" }",
	"Power":            "def n = 3\nwhile (true) { n = n ** 9 }",
	"BigMultiply":      "def n = 3G\nwhile (true) { n = n * n }",
	"Decimals":         "def n = 1.000000001\nwhile (true) { n = n * n }",
	"Division":         "def n = 7 ** 1400\ndef m = 3 ** 2500\nwhile (true) { n / m }",
	"Scale":            "def n = 1.0\nwhile (true) { n = n / 1e300 }",
	"Shift":            "def n = 1G\nwhile (true) { n = n << 4000 }",
	"Permutations":     "(1..12).toList().permutations()",
	"Combinations":     "([[1, 2, 3, 4, 5, 6, 7, 8, 9]] * 12).combinations()",
	"Containing":       "def l = (1..150000).toList()\ndef k = (1..150000).collect { -it }\nwhile (true) { l.containsAll(k); l.intersect(k); l - k; l.removeAll(k) }",
	"IndexOf":          "def l = (1..150000).toList()\nwhile (true) { l.indexOf(-1) }",
	"RemoveFirst":      "while (true) { def l = (1..150000).toList(); while (l) { l.remove(0) } }",
	"Sorting":          "def l = (1..150000).collect { it * 7919 % 150001 }\nwhile (true) { l.sort(false) { a, b -> a <=> b } }",
	"Tokens":           "def s = 'a ' * 2000000\nwhile (true) { s.tokenize() }",
	"Characters":       "def s = 'a' * 4000000\nwhile (true) { for (c in s) { } }",
	"Replacing":        "def s = 'a' * 4000000\nwhile (true) { s.replaceAll(/a/, 'b') }",
	"RegexNested":      "def s = 'a' * 30 + '!'\nwhile (true) { s ==~ /(a+)+b/ }",
	"RegexLong":        "def s = 'a' * 4000000\nwhile (true) { s ==~ /(a|aa|aaa)*b/ }",
	"RegexHuge":        "'a' * 1000000 ==~ /((a{0,30}){0,30})b/",
	"RegexPatterns":    "int i = 0\nwhile (true) { 'a' ==~ /a{0,900}x/ + i++ }",
	"Padding":          "'x'.padLeft(2000000000)",
	"Formatting":       "String.format('%2000000000d', 1)",
	"ManyFormats":      "def f = '%9999d' * 2000\nwhile (true) { String.format(f, [1] * 2000 as Object[]) }",
	"Range":            "(1..2000000000).each { }",
	"Times":            "2000000000.times { }",
	"Spread":           "def l = [1] * 200000\nwhile (true) { [*l, *l] }",
	"Json":             "def s = '[' * 3000000\nnew groovy.json.JsonSlurper().parseText(s)",
	"Array":            "new Object[2000000000]",
	"Bytes":            "def s = 'a' * 4000000\nwhile (true) { s.bytes }",
	"WithDefault":      "def m = [:].withDefault { k -> m[k + 1] }\nm[0]",
	"Joins":            "def l = ['a' * 100000] * 1000\nwhile (true) { l.join(',') }",
	"Variables":        "int i = 0\nwhile (true) { this.\"v${i++}\" = 'x' * 1000 }",
	"Dates":            "def d = new Date(0)\nwhile (true) { d.format('y' * 4000) }",
	"Polling":          "def all = []\nwhile (true) { def s = 'x' * 100000; echo s; all << s + all.size() }",
	"Temporaries":      "def f(n) { ['x' * 4000000 + n, f(n + 1)] }\nf(0)",
	"HeldItems":        "l = [1] * 200000\ndef f(n) { for (x in l) { return f(n + 1) } }\nl.each { f(0) }\ndef g\ng = { n -> l.collect { g(n + 1) } }\ng(0)",
	"Collecting":       "def i = 0\n(1..200000).collect { 'x' * 100000 + i++ }",
	"Grouping":         "def i = 0\n(1..200000).groupBy { 'x' * 100000 + i++ }",
	"Pieces":           "def l = []\nint i = 0\nwhile (true) { l << ('a,' + 'b' * 2000000 + i++).split(',')[0] }",
	"Trimmed":          "def l = []\nint i = 0\nwhile (true) { l << ('a' + ' ' * 2000000).trim() }",
	"Groups":           "def l = []\nint i = 0\nwhile (true) { l << ('a' + 'b' * 100000 + i++ =~ /^(a)/)[0] }",
	"Popped":           "def l = []\nwhile (true) { def k = [1] * 200000; k.removeAll { it == 1 }; l << k }",
	"Shrunk":           "def l = []\nwhile (true) { def k = [1] * 200000; l << k.take(1) << k.subList(0, 1) << k.drop(199999) }",
	"Indexes":          "def l = []\nwhile (true) { def k = []; k[199999] = 1; l << k }",
	"Numbers":          "def l = []\ndef n = 3G ** 2500\nwhile (true) { def k = []; 1000.times { k << n * 1 }; l << k }",
	"Fractions":        "def l = []\nwhile (true) { l << 1.5 * 2.5 }",
	"Exceptions":       "def l = []\nwhile (true) { try { nothing() } catch (Throwable e) { l << e } }",
	"LongExceptions":   "def l = []\nwhile (true) { l << new Exception('x' * 1000000 + l.size()) }",
	"LongMessages":     "def l = [1] * 200000\nwhile (true) { try { nothing(*l) } catch (Throwable e) { } ; try { l.nothing(l, l) } catch (Throwable e) { } }",
	"LazySelf":         "def t\nt = \"${-> t}\"\nwhile (true) { \"$t\" }",
	"LazyPair":         "def a\ndef b\na = \"${-> b}${-> b}\"\nb = \"${-> a}${-> a}\"\nwhile (true) { a + b }",
	"LazyKept":         "def l = []\nwhile (true) { def s = 'x' * 100000 + l.size(); l << \"${-> s}\" }",
	"ListKeys":         "def m = [:]\ndef k = ['k' * 4000]\nint i = 0\nwhile (true) { m[[k, i++]] = 1 }",
	"Equals":           "def l = [1]\ndef k = [1]\n60.times { l = [l, l]; k = [k, k] }\nwhile (true) { l.equals(k) }",
	"Nested":           "def l = []\n31.times { l = [l, l] }\nwhile (true) { l.collectNested { it } }",
	"NestedFlat":       "def l = []\n31.times { l = [l, l] }\nwhile (true) { l.flatten() }",
	"Entries":          "def e = [a: 1].entrySet().first()\n60.times { def m = [:]; m[e] = e; e = m.entrySet().first() }\ndef l = ['x' * 100000] * 1000\nwhile (true) { l << \"$e\"; l << 'y' * 100000 + l.size() }",
	"Maps2":            "def m = [:]\nint i = 0\nwhile (true) { m[i++] = 'x' * 1000; if (m.size() > 1000) { m.remove(i - 1000) } ; this.\"g${i % 100}\" = m + [a: i] }",
	"Environment":      "int i = 0\nwhile (true) { def s = 'x' * 1000000 + i++; [s].each { a -> [a].each { b -> binding = [binding: b, old: this] } } ; this.\"k$i\" = s }",
	"SortKeys":         "def i = 0\n(1..200000).toList().sort { 'x' * 100000 + i++ }",
	"CyclicMap":        "def m = [:]\nm.m = m\nm.l = [m, m]\nwhile (true) { \"$m\"; m == [m: m, l: [m, m]]; groovy.json.JsonOutput.toJson(m) }",
	"Bounds":           "1.upto(9000000000L) { }",
	"Downto":           "9000000000L.downto(1) { }",
	"StepBy":           "1.step(2000000000, 1) { }",
	"Intern":           "def l = []\nwhile (true) { l << 'x' * 200000; l << 'y' * 200000 + l.size() }",
}

// withExceptions are those that may end with an exception of Groovy as well.
var withExceptions = []string{"Json", "ExponentialJSON", "Formatting", "RegexHuge", "WithDefault", "ManyFormats", "CyclicMap"}

// TestBombs ends each bomb with an error that a script can not catch.
func TestBombs(t *testing.T) {
	for name, src := range bombs {
		t.Run(name, func(t *testing.T) {
			limits := Limits{Steps: 500_000, TotalSteps: 5_000_000, Bytes: 24 << 20}
			first := explode(t, name, src, limits)
			if testing.Short() {
				return
			}
			second := explode(t, name, src, limits)
			// A build that goes on after a restart runs its script again, and must end at the same place.
			if first.steps != second.steps || first.text != second.text {
				t.Errorf("two runs differ: %+v and %+v", first, second)
			}
		})
	}
}

// TestBombsAtTheLimits does so with the limits of a build, in seconds and in bounded memory.
func TestBombsAtTheLimits(t *testing.T) {
	some := []string{"Lists", "Closures", "Temporaries", "HeldItems", "Pieces"}
	if os.Getenv("ALL_BOMBS") != "" {
		some = slices.Sorted(maps.Keys(bombs))
	} else if testing.Short() {
		t.Skip("it takes some seconds")
	}
	for _, name := range some {
		t.Run(name, func(t *testing.T) {
			debug.FreeOSMemory()
			grown := peak(t)
			took := explode(t, name, bombs[name], Limits{}).took
			held := grown()
			t.Logf("%v, the heap grew by %d MiB", took.Round(time.Millisecond), held>>20)
			if took > 30*time.Second {
				t.Errorf("took %v", took)
			}
			if held > 300<<20 {
				t.Errorf("the heap grew by %d MiB", held>>20)
			}
		})
	}
}

// peak watches how much the heap grows until the function is called that it returns.
func peak(t *testing.T) func() int64 {
	t.Helper()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	begin, most := int64(stats.HeapAlloc), int64(0)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			runtime.ReadMemStats(&stats)
			most = max(most, int64(stats.HeapAlloc)-begin)
			select {
			case <-tick.C:
			case <-quit:
				return
			}
		}
	}()
	return func() int64 {
		close(quit)
		<-done
		return most
	}
}

func explode(t *testing.T, name, src string, limits Limits) end {
	t.Helper()
	s, err := jenkinsfile.ParseScript(src)
	if err != nil {
		t.Fatal(err)
	}
	m := New(&deafHost{}, limits)
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	begin := time.Now()
	_, err = m.main.run(ctx, s.Stmts)
	took := time.Since(begin)
	var limit *LimitError
	var thrown *Exception
	switch {
	case errors.As(err, &limit):
		if limit.Pos.Line == 0 {
			t.Errorf("no position: %v", err)
		}
	case errors.As(err, &thrown) && slices.Contains(withExceptions, name):
	default:
		t.Errorf("got %v", err)
	}
	if m.memory.frames != nil {
		t.Error("a frame is open still")
	}
	t.Logf("%d steps, %v: %v", m.steps, took.Round(time.Millisecond), err)
	return end{m.steps, err.Error(), took}
}

// end is how a bomb ended.
type end struct {
	steps int
	text  string
	took  time.Duration
}

// TestLongBuild makes far more values, and does far more, than may be at one time.
func TestLongBuild(t *testing.T) {
	src := "def last = []\nint i = 0\nwhile (i++ < 3000) { def s = 'x' * 100000 + i; last << s; if (last.size() > 5) { last.remove(0) }; echo s }\n" +
		"\"${last.size()} ${last[0].size()}\""
	s, err := jenkinsfile.ParseScript(src)
	if err != nil {
		t.Fatal(err)
	}
	m := New(&deafHost{}, Limits{Steps: 5_000, Bytes: 1 << 20})
	v, err := m.main.run(t.Context(), s.Stmts)
	if err != nil || ToString(v) != "5 100004" {
		t.Errorf("got %v, %v", v, err)
	}
	if m.steps < 3_000_000 {
		t.Errorf("it did only %d steps", m.steps)
	}
	if _, err := New(&deafHost{}, Limits{Steps: 5_000, TotalSteps: 100_000}).main.run(t.Context(), s.Stmts); err == nil || !strings.Contains(err.Error(), "The scripts of the build did more than 100000 steps") {
		t.Errorf("got %v", err)
	}
}

// TestLoadedCode counts the code of scripts that are loaded and kept.
func TestLoadedCode(t *testing.T) {
	s, err := jenkinsfile.ParseScript("def f() { [" + strings.Repeat("1, ", 20_000) + "1] }\nreturn this")
	if err != nil {
		t.Fatal(err)
	}
	for name, keep := range map[string]bool{"Kept": true, "Forgotten": false} {
		t.Run(name, func(t *testing.T) {
			m := New(&deafHost{}, Limits{})
			all := NewList()
			m.Define("all", all)
			var err error
			for range 50 {
				var v any
				if v, _, err = m.Load(t.Context(), "Script1", s); err != nil {
					break
				}
				if keep {
					all.Items = append(all.Items, v)
				}
			}
			var limit *LimitError
			if errors.As(err, &limit) != keep {
				t.Errorf("got %v", err)
			}
		})
	}
}

// deafHost has steps that forget what they are given.
type deafHost struct{ clockHost }

func (*deafHost) Step(context.Context, Invocation) (any, error) { return nil, nil }

// TestDeepExpressions has far more expressions in one another than Go's stack could take.
func TestDeepExpressions(t *testing.T) {
	// The parser refuses what is deeper by itself; calls that nest add up.
	deep := "f(n)" + strings.Repeat("+1", 1900)
	for name, body := range map[string]string{"Operators": deep, "Negations": strings.Repeat("!", 1400) + "f(n)", "InClosures": "[1].each { " + strings.Repeat("!", 1400) + "f(n) }"} {
		t.Run(name, func(t *testing.T) {
			s, err := jenkinsfile.ParseScript("def f(n) { " + body + " }\nf(1)")
			if err != nil {
				t.Fatal(err)
			}
			if _, err = New(&deafHost{}, Limits{}).main.run(t.Context(), s.Stmts); err == nil || !strings.Contains(err.Error(), "Expressions nested deeper than") {
				t.Errorf("got %v", err)
			}
		})
	}
}
