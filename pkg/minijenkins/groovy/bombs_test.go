// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// Each of these would take all the time or memory of the server. With the limits of a build each one
// ends with an error that a script can not catch, within seconds and in bounded memory.
func TestBombs(t *testing.T) {
	cases := map[string]string{
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
	}
	for name, src := range cases {
		t.Run(name, func(t *testing.T) {
			s, err := jenkinsfile.ParseScript(src)
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			begin := time.Now()
			m := New(&clockHost{}, Limits{})
			ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
			defer cancel()
			_, err = m.main.run(ctx, s.Stmts)
			took := time.Since(begin)
			runtime.ReadMemStats(&after)
			var limit *LimitError
			var thrown *Exception
			switch {
			case errors.As(err, &limit):
				if limit.Pos.Line == 0 {
					t.Errorf("no position: %v", err)
				}
			case errors.As(err, &thrown) && (strings.Contains(name, "Json") || strings.Contains(name, "Formatting") || strings.Contains(name, "RegexHuge") || name == "WithDefault" || name == "ManyFormats"):
			default:
				t.Errorf("got %v", err)
			}
			if took > 60*time.Second {
				t.Errorf("took %v", took)
			}
			if held := int64(after.HeapSys) - int64(before.HeapSys); held > 1<<30 {
				t.Errorf("the heap grew by %d MiB", held>>20)
			}
			t.Logf("%v after %v, heap %d MiB: %v", m.steps, took.Round(time.Millisecond), after.HeapSys>>20, err)
		})
	}
}
