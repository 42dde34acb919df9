// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// testHost knows params and two steps.
type testHost struct{ out strings.Builder }

func (h *testHost) Global(_ context.Context, name string) (any, bool, error) {
	if name == "params" {
		m := NewMap()
		m.Put("name", "rick")
		m.Put("debug", true)
		return m, true, nil
	}
	return nil, false, nil
}

func (h *testHost) HasStep(name string) bool { return name == "echo" || name == "fail" }
func (h *testHost) StepNames() []string      { return []string{"echo", "fail"} }
func (h *testHost) GlobalNames() []string    { return []string{"params"} }

func (h *testHost) Step(_ context.Context, inv Invocation) (any, error) {
	if inv.Name == "fail" {
		return nil, &Exception{Class: "hudson.AbortException", Message: "failed"}
	}
	h.out.WriteString(ToString(inv.Args[0]) + "\n")
	return nil, nil
}

func run(ctx context.Context, tb testing.TB, src string, limits Limits) (any, string, error) {
	tb.Helper()
	s, err := jenkinsfile.ParseScript(src)
	if err != nil {
		tb.Fatalf("parse %q: %v", src, err)
	}
	h := &testHost{}
	m := New(h, limits)
	v, err := m.Exec(ctx, s.Stmts)
	return v, h.out.String(), err
}

func TestExpressions(t *testing.T) {
	cases := map[string]string{
		// Arithmetic as Groovy does it.
		`1 + 2 * 3`: "7", `(1 + 2) * 3`: "9", `7 / 2`: "3.5", `6 / 2`: "3", `10 / 3`: "3.3333333333", `7 % 3`: "1", `2 ** 10`: "1024",
		`0.1 + 0.2`: "0.3", `1.0`: "1.0", `(-5).abs()`: "5", `7.intdiv(2)`: "3", `1 << 4`: "16", `5 & 3`: "1", `5 | 3`: "7", `5 ^ 3`: "6", `~5`: "-6",
		`1_000`: "1000", `0x1F`: "31", `0b101`: "5", `1e3`: "1E+3", `-7 >> 1`: "-4", `10 - 3 - 2`: "5", `100 / 10 / 2`: "5",
		// Strings and GStrings.
		`'a' + 1 + 2`: "a12", `1 + 2 + 'a'`: "3a", `'x' * 3`: "xxx", `"a${1 + 1}b"`: "a2b", `"$params.name!"`: "rick!", `"${params.debug}" == "true"`: "true",
		`'a$b'`: "a$b", `"a\$b"`: "a$b", `"tab\tend"`: "tab\tend", `'it\'s'`: "it's", `"""a
b"""`: "a\nb", `'''x'y'''`: "x'y", `/a\/b\d/`: `a/b\d`, `"${}"`: "null", `"${'in' + "${'ner'}"}"`: "inner", `'\u0041'`: "A", `null + 'x'`: "nullx",
		`'abc' - 'b'`: "ac", `'abc'[1]`: "b", `'abc'[-1]`: "c", `'hello'[1..3]`: "ell", `'a,b,,'.split(',').size()`: "2", `'a b'.tokenize()`: "[a, b]",
		`'a.b.c'.tokenize('.').last()`: "c", `' x '.trim() + '|'`: "x|", `'Abc'.toUpperCase() + 'Abc'.toLowerCase()`: "ABCabc", `'abc'.substring(1)`: "bc",
		`'abc'.substring(0, 2)`: "ab", `'a1b2'.replaceAll(/\d/, '#')`: "a#b#", `'john smith'.replaceAll(/(\w+) (\w+)/, '$2 $1')`: "smith john", `'aXa'.replace('X', '$1')`: "a$1a",
		`'abc'.contains('b')`: "true", `'abc'.startsWith('ab') && 'abc'.endsWith('bc')`: "true", `'12'.toInteger() + 1`: "13", `'12'.isNumber()`: "true",
		`'abc'.capitalize()`: "Abc", `'a\nb\n'.readLines()`: "[a, b]", `'5'.padLeft(3, '0')`: "005", `'abc'.size() + 'äö'.length()`: "5", `''.isEmpty()`: "true", `'abc'.reverse()`: "cba",
		`'abc'.indexOf('c')`: "2", `'  a\n  b'.stripIndent()`: "a\nb", `'true'.toBoolean()`: "true", `'a-b'.matches(/\w-\w/)`: "true",
		// Truth, equality, order.
		`!''`: "true", `!'x'`: "false", `![]`: "true", `![:]`: "true", `!0`: "true", `!null`: "true", `'a' == "${'a'}"`: "true", `1 == 1.0`: "true", `'1' == 1`: "false",
		`null == false`: "false", `[1, 2] == [1, 2]`: "true", `[a: 1] == [a: 1]`: "true", `1 <=> 2`: "-1", `'a' < 'b'`: "true", `null ?: 'def'`: "def", `'x' ?: 'y'`: "x", `true ? 1 : 2`: "1",
		`false ? 1 : true ? 2 : 3`: "2", `1 in [1, 2]`: "true", `'x' instanceof String`: "true", `5 as String`: "5", `(int) '5' + 1`: "6", `'abc' ==~ /a.c/`: "true", `('abc' =~ /b/) ? 'yes' : 'no'`: "yes",
		`('v1.2' =~ /v(\d+)\.(\d+)/)[0][1]`: "1", `params?.name`: "rick", `null?.foo?.bar()`: "null", `params.nosuch`: "null", `params['name']`: "rick",
		// Lists, maps, ranges, closures.
		`[1, 2] + 3 + [4]`: "[1, 2, 3, 4]", `[1, 2, 3] - 2`: "[1, 3]", `[3, 1, 2].sort()`: "[1, 2, 3]", `[1, 2, 3].collect { it * 2 }`: "[2, 4, 6]", `[1, 2, 3].findAll { it > 1 }`: "[2, 3]",
		`[1, 2, 3].find { it > 1 }`: "2", `[1, 2].any { it > 1 } && ![1, 2].every { it > 1 }`: "true", `['a', 'b'].join('-')`: "a-b", `[1, [2, [3]]].flatten()`: "[1, 2, 3]", `[1, 2, 3].sum()`: "6", `[1, 5, 3].max()`: "5",
		`[1, 1, 2].unique()`: "[1, 2]", `['a', 'b'].eachWithIndex { x, i -> echo "$i$x" }`: "[a, b]", `(1..4).collect { x -> x }`: "[1, 2, 3, 4]", `(0..<3).size()`: "3", `(3..1)`: "[3, 2, 1]", `('a'..'c').join()`: "abc",
		`[1, 2, 3].inject(0) { a, b -> a + b }`: "6", `[1, 2, 3][-1]`: "3", `[1, 2][5]`: "null", `[a: 1, 'b c': 2, (1 + 1): 3]`: "[a:1, b c:2, 2:3]", `[a: [b: 'deep']].a.b`: "deep", `[a: 1].collect { k, v -> "$k=$v" }`: "[a=1]",
		`[a: 1, b: 2].findAll { it.value > 1 }`: "[b:2]", `[b: 1].containsKey('b')`: "true", `[a: 1].keySet()`: "[a]", `[[n: 1], [n: 2]]*.n`: "[1, 2]", `['a', 'b']*.toUpperCase()`: "[A, B]", `[1, 2, 3].first() + [1, 2].size()`: "3", `[:].isEmpty()`: "true",
		`[1, 2, 3, 4].groupBy { it % 2 }`: "[1:[1, 3], 0:[2, 4]]", `[[1, 2], [3, 4]].collectEntries { a, b -> [a, b] }`: "[1:2, 3:4]", `['bb', 'a'].sort { it.size() }`: "[a, bb]", `[2, 1].sort { a, b -> b <=> a }`: "[2, 1]", `[*[1, 2], 3]`: "[1, 2, 3]", `[*: [a: 1], b: 2]`: "[a:1, b:2]",
		`[1, 2, 3].contains(2)`: "true", `[1, 2, 3].take(2)`: "[1, 2]", `['a', 'b'].indexOf('b')`: "1", `[a: 1].get('x', 5)`: "5", `[a: { it + 1 }].a(2)`: "3", `({ x, y = 2 -> x + y })(1)`: "3", `[1, 2].inspect()`: "[1, 2]", `['a'].inspect()`: "['a']",
		`Math.max(3, 5)`: "5", `Integer.parseInt('42')`: "42", `String.valueOf(1)`: "1",
		// Statements.
		`def x = 5; x += 2; x++; x`: "8", `def (a, b) = [1, 2]; (a, b) = [b, a]; "$a$b"`: "21", `int i = 3.7; i`: "3", `def s = 0; for (int i = 0; i < 5; i++) { if (i == 3) continue; s += i }; s`: "7", `def s = ''; for (x in ['a', 'b']) s += x; s`: "ab",
		`def s = 0; while (true) { s++; if (s > 4) break }; s`: "5", `def f = { -> return 7 }; f()`: "7", `def r = ''; switch ('b') { case 'a': r = 1; break
case ['b', 'c']: r = 2
default: r += 3 }; r`: "5", `def m = [:]; m.a = 1; m['b'] = 2; m.c = m.a + m.b; m`: "[a:1, b:2, c:3]", `def l = []; l << 1; l.add(2); l[3] = 4; l`: "[1, 2, null, 4]", `if (false) { 1 } else if (true) { 2 } else { 3 }`: "2",
		`try { fail() } catch (e) { e.message } finally { echo 'f' }`: "failed", `try { [].first() } catch (NoSuchElementException | RuntimeException e) { 'caught' }`: "caught", `def c = 0; 3.times { c += it }; c`: "3", `def add = { a -> { b -> a + b } }; add(1)(2)`: "3",
		`def fib; fib = { n -> n < 2 ? n : fib(n - 1) + fib(n - 2) }; fib(15)`: "610", `def s = 'x'; s += 1; s`: "x1", `def x; x?.y ?: 'none'`: "none", `def a = [1, 2, 3]; a.each { if (it == 2) return; echo "$it" }; a.size()`: "3",
		`def x = [name: 'v']; "${x.name} ${x['name']} $x.name"`: "v v v", `def u = 'é'; u + '→' + u.size()`: "é→1", `'a'.with { it + 'b' }`: "ab", `def f = 'abc'.&toUpperCase; f()`: "ABC", `10.upto(12) { echo "$it" }; 1`: "1",
	}
	for src, want := range cases {
		v, _, err := run(t.Context(), t, src, Limits{})
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if got := ToString(v); got != want {
			t.Errorf("%s = %s, want %s", src, got, want)
		}
	}
	t.Logf("%d expressions", len(cases))
}

func TestErrors(t *testing.T) {
	cases := map[string]struct {
		src, class, message string
	}{
		"UnknownProperty": {"nosuch", "groovy.lang.MissingPropertyException", "No such property: nosuch for class: groovy.lang.Binding"},
		"UnknownStep":     {"nosuch 'x'", "java.lang.NoSuchMethodError", "No such DSL method 'nosuch' found among steps [echo, fail] or globals [params]"},
		"UnknownMethod":   {"'a'.nosuch(1)", "groovy.lang.MissingMethodException", "No signature of method: java.lang.String.nosuch() is applicable for argument types: (java.lang.Integer) values: [1]"},
		"Null":            {"def x = null\nx.foo", "java.lang.NullPointerException", "Cannot get property 'foo' on null object"},
		"NullMethod":      {"null.foo()", "java.lang.NullPointerException", "Cannot invoke method foo() on null object"},
		"Zero":            {"1 / 0", "java.lang.ArithmeticException", "Division by zero"},
		"NotANumber":      {"'x'.toInteger()", "java.lang.NumberFormatException", `For input string: "x"`},
		"Execute":         {"'id'.execute()", rejectedClass, "ProcessGroovyMethods execute java.lang.String"},
		"Static":          {"System.exit(1)", rejectedClass, "java.lang.System exit"},
		"Runtime":         {"java.lang.Runtime.getRuntime()", rejectedClass, "java.lang.Runtime getRuntime"},
		"Field":           {"java.io.File.separator", rejectedClass, "java.io.File"},
		"New":             {"new File('/etc/passwd').text", rejectedClass, "new java.io.File"},
		"MetaClass":       {"''.metaClass", rejectedClass, "getMetaClass"},
		"This":            {"this.nosuch", "groovy.lang.MissingPropertyException", "nosuch"},
		"Assert":          {"assert 1 == 2 : 'no'", "java.lang.AssertionError", "no"},
		"Throw":           {"throw new IllegalStateException('bad')", "java.lang.IllegalStateException", "bad"},
		"BadPattern":      {"'a' ==~ /(?<=x)a/", "java.util.regex.PatternSyntaxException", "look-around"},
		"Substring":       {"'abc'.substring(5)", "java.lang.StringIndexOutOfBoundsException", "begin 5"},
		"Compare":         {"[] < 1", "groovy.lang.GroovyRuntimeException", "Cannot compare"},
		"ErrorNotCaught":  {"try { nosuch() } catch (e) { 1 }", "java.lang.NoSuchMethodError", "nosuch"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			v, _, err := run(t.Context(), t, tc.src, Limits{})
			var e *Exception
			if !errors.As(err, &e) {
				t.Fatalf("got %v, %v", v, err)
			}
			if e.Class != tc.class || !strings.Contains(e.Message, tc.message) {
				t.Errorf("got %s", e.Error())
			}
			if e.Pos.Line == 0 {
				t.Error("no position")
			}
		})
	}
}

const rejectedClass = "org.jenkinsci.plugins.scriptsecurity.sandbox.RejectedAccessException"

func TestLimits(t *testing.T) {
	cases := map[string]struct{ src, message string }{
		"EndlessWhile":   {"while (true) { }", "more than 1000000 steps"},
		"EndlessFor":     {"for (;;) { }", "more than 1000000 steps"},
		"Caught":         {"while (true) { try { while (true) {} } catch (Throwable e) { } }", "more than 1000000 steps"},
		"Recursion":      {"def f\nf = { f() }\nf()", "nested deeper"},
		"GrowingString":  {"def s = 'x'\nwhile (true) { s += s }", "String of more than"},
		"GrowingGString": {"def s = 'xx'\nwhile (true) { s = \"$s$s\" }", "String of more than"},
		"Multiply":       {"'abc' * 2000000000", "String of more than"},
		"Pad":            {"'abc'.padLeft(2000000000)", "String of more than"},
		"Replace":        {"def s = 'a' * 100000\ns.replaceAll('a', s)", "String of more than"},
		"ReplaceLiteral": {"def s = 'a' * 100000\ns.replace('a', s)", "String of more than"},
		"GrowingList":    {"def l = [1]\nwhile (true) { l = l + l }", "Collection with more than"},
		"AddAll":         {"def l = [1]\nwhile (true) { l.addAll(l) }", "with more than"},
		"MapDefaults":    {"def m = (1..10000).collectEntries { [it, it] }\nm.get(0, 1)", "Collection with more than"},
		"Range":          {"(1..9000000000).size()", "Range with more than"},
		"Index":          {"def l = []\nl[100000000] = 1", "ArrayIndexOutOfBounds"},
		"Join":           {"def s = 'a' * 100000\ndef l = []\n100.times { l << s }\nl.join(s)", "String of more than"},
		"ManyStrings":    {"def l = []\nwhile (true) { l << l.size() + 'a' * 100000 }", "values of more than"},
		"SelfReference":  {"def l = []\nl << l\ndef m = [:]\nm.m = m\n\"$l $m\" + (l == [l])", ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			_, _, err := run(t.Context(), t, tc.src, Limits{Steps: 1000000, StringBytes: 1 << 20, Items: 10000, Bytes: 32 << 20})
			if d := time.Since(begin); d > time.Minute {
				t.Errorf("took %v", d)
			}
			if tc.message == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.message) {
				t.Fatalf("got %v, want %q", err, tc.message)
			}
			var limit *LimitError
			if errors.As(err, &limit) && limit.Pos.Line == 0 {
				t.Error("no position")
			}
		})
	}
}

func TestContextEndsAScript(t *testing.T) {
	cause := errors.New("stop now")
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() { time.Sleep(20 * time.Millisecond); cancel(cause) }()
	_, _, err := run(ctx, t, "while (true) { def x = 1 }", Limits{Steps: 1 << 40})
	if !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
}

func TestImplicitGlobalsAndScopes(t *testing.T) {
	_, out, err := run(t.Context(), t, `
x = 1
def y = 2
def f = { x = x + y; def z = 3; z }
f()
echo "$x"
if (true) { def inner = 'in'; echo inner }
try { echo inner } catch (MissingPropertyException e) { echo 'gone' }
[1, 2].each { n -> [3].each { echo "${n + it}" } }
`, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if want := "3\nin\ngone\n4\n5\n"; out != want {
		t.Errorf("got %q, want %q", out, want)
	}
}
