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

// clockHost lets scripts see a time that stands still and numbers that are not random.
type clockHost struct{ testHost }

func (h *clockHost) Now(context.Context) time.Time { return time.UnixMilli(1700000000123) }
func (h *clockHost) Random(context.Context) uint64 { return 0x123456789abcdef0 }

func evaluate(tb testing.TB, src string) (any, error) {
	tb.Helper()
	s, err := jenkinsfile.ParseScript(src)
	if err != nil {
		tb.Fatalf("parse %q: %v", src, err)
	}
	m := New(&clockHost{}, Limits{})
	return m.main.run(tb.Context(), s.Stmts)
}

// The values are those of Groovy 2.4, which Jenkins runs.
func TestGDK(t *testing.T) {
	cases := map[string]string{
		// Kinds of numbers.
		`2147483647 + 1`: "-2147483648", `2147483647L + 1`: "2147483648", `2147483648 + 1`: "2147483649", `9223372036854775807 + 1`: "-9223372036854775808",
		`1 / 2`: "0.5", `1 / 3`: "0.3333333333", `2 / 3`: "0.6666666667", `10 / 4`: "2.5", `100 / 10`: "10", `1 / 8`: "0.125", `7.intdiv(2)`: "3", `-7.intdiv(2)`: "-3", `-7 % 3`: "-1",
		`1.10 + 2.205`: "3.305", `1.0 * 2.0`: "2.00", `1.5 - 0.5`: "1.0", `3.0 / 2`: "1.5", `0.1 + 0.2 == 0.3`: "true", `1.0 == 1`: "true", `1.10`: "1.10", `1e3`: "1E+3", `1.5e-10`: "1.5E-10",
		`0.1d + 0.2d`: "0.30000000000000004", `1.0d`: "1.0", `1e10d`: "1.0E10", `1.0d / 0`: "Infinity", `5.0f`: "5.0", `2 ** 31`: "2147483648", `2 ** 100`: "1267650600228229401496703205376", `2 ** -1`: "0.5", `2 ** 0.5`: "1.4142135623730951",
		`1 << 31`: "-2147483648", `1L << 31`: "2147483648", `1 << 33`: "2", `-1 >>> 28`: "15", `-16 >> 2`: "-4", `6 & 3 | 8 ^ 1`: "11", `(5 as long).getClass().simpleName`: "Long", `5.class.name`: "java.lang.Integer",
		`5G.class.simpleName`: "BigInteger", `5.0.class.simpleName`: "BigDecimal", `(1 / 2).class.simpleName`: "BigDecimal", `5000000000.class.simpleName`: "Long", `(int) 3.99`: "3", `'42' as int`: "42", `'3.50' as BigDecimal`: "3.50", `3.7 as int`: "3",
		`3.14159.setScale(2, java.math.RoundingMode.HALF_UP)`: "3.14", `3.6.toInteger()`: "3", `Math.round(2.5)`: "3", `Math.round(-2.5d)`: "-2", `Math.floor(2.7)`: "2.0", `Math.pow(2, 3)`: "8.0", `Math.sqrt(16)`: "4.0", `Math.abs(-5)`: "5", `Math.max(2, 3.5)`: "3.5",
		`Integer.MAX_VALUE`: "2147483647", `Integer.parseInt('ff', 16)`: "255", `Integer.toHexString(255)`: "ff", `Integer.toBinaryString(5)`: "101", `Long.valueOf('7') + 1`: "8", `10.compareTo(2)`: "1", `3.max(5)`: "5", `(-3).abs()`: "3", `7.mod(4)`: "3",
		// Strings.
		`'Hello World'.tr('lo', 'xy')`: "Hexxy Wyrxd", `'hello'.tr('a-y', 'b-z')`: "ifmmp", `'a-b-c'.split('-').toList()`: "[a, b, c]", `'a1b22'.split(/\d+/)`: "[a, b]", `'abc'.take(2) + 'abc'.drop(2)`: "abc", `'abcd'[0..-2]`: "abc", `'abcd'[-2..-1]`: "cd", `'abcd'[0..<2]`: "ab", `'abcd'[3..0]`: "dcba",
		`'abc'.collect { it.toUpperCase() }.join('')`: "ABC", `'one two'.split()*.capitalize().join(' ')`: "One Two", `'%05d|%-5s|%.2f|%x|%s'.format(42, 'ab', 3.14159, 255, [1])`: "00042|ab   |3.14|ff|[1]", `String.format('%s=%d', 'a', 1)`: "a=1", `String.join(',', ['a', 'b'])`: "a,b",
		`'aXbX'.replaceFirst('X', '-')`: "a-bX", `'v1.2.3'.replaceAll(/v(\d+)\.(\d+)/, '$2-$1')`: "2-1.3", `'a.b'.replace('.', '/')`: "a/b", `'ab'.replaceAll(/(.)/) { it[1].toUpperCase() + '.' }`: "A.B.", `'a1b2'.replaceAll(/([a-z])(\d)/) { all, l, d -> d + l }`: "1a2b", `'a1b2'.findAll(/\d/)`: "[1, 2]",
		`'key=val'.find(/=(.*)/) { full, v -> v }`: "val", `'x y'.find(/\w/)`: "x", `'abc'.contains('z')`: "false", `'a,b;c'.tokenize(',;')`: "[a, b, c]", `'  x '.trim()`: "x", `'abc'.center(7, '*')`: "**abc**", `'x'.padRight(3, '.') + '|'`: "x..|", `'abc'.indexOf('c', 1)`: "2", `'abcabc'.lastIndexOf('b')`: "4", `'abc'.charAt(1)`: "b",
		`'abc'.equalsIgnoreCase('ABC')`: "true", `'12'.isInteger()`: "true", `'1.5'.isNumber()`: "true", `'x'.isNumber()`: "false", `'a\nb'.readLines().size()`: "2", `'abc'.hashCode()`: "96354", `'b' > 'a'`: "true", `'abc' <=> 'abd'`: "-1", `'ab'.multiply(2)`: "abab", `'a'.next()`: "b", `'aab'.count('a')`: "2", `'abc'.toList()`: "[a, b, c]",
		`"a" + 1 + 2.0`: "a12.0", `"${1}${2}"`: "12", `'''a
  b'''.stripIndent()`: "a\n  b", `'|a\n |b'.stripMargin()`: "a\nb", `'abc'.eachWithIndex { c, i -> }`: "abc", `'YWJj'.decodeBase64()`: "abc", `'abc' as List`: "[a, b, c]", `'abc'.matches('a.c')`: "true", `'a' * 0`: "", `'true'.toBoolean() && 'Y'.toBoolean()`: "true", `'abcdef'.minus('cd')`: "abef", `'foo-bar' - ~/-.*/`: "foo",
		`def x = 1; def s = "${-> x}"; x = 2; s + "${x}"`: "22", `def s = "a"; s += 1; s += null; s`: "a1null", `new StringBuilder('a').append(1).append('b').toString()`: "a1b", `def b = new StringBuilder(); b << 'x' << 1; b.length()`: "2", `'a'.compareTo('b') < 0`: "true",
		// Lists.
		`[3, 1, 2].sort { -it }`: "[3, 2, 1]", `[3, 1].sort(false)`: "[1, 3]", `['b', 'A', 'c'].sort { a, b -> a.toLowerCase() <=> b.toLowerCase() }`: "[A, b, c]", `[1, 2, 3, 4].collate(2)`: "[[1, 2], [3, 4]]", `[1, 2, 3].collate(2, false)`: "[[1, 2]]", `[[1, 2], [3, 4]].transpose()`: "[[1, 3], [2, 4]]", `[[1, 2], [3]].combinations()`: "[[1, 3], [2, 3]]",
		`[1, 2, 3].permutations().size()`: "6", `[1, 2, 2, 3].countBy { it }`: "[1:1, 2:2, 3:1]", `[1, 2, 3].indexed()`: "[0:1, 1:2, 2:3]", `['a', 'b'].withIndex()`: "[[a, 0], [b, 1]]", `['a', 'b'].withIndex().collect { x, i -> "$x$i" }`: "[a0, b1]", `['a', 'b'].withIndex().collectEntries { x, i -> [(x): i] }`: "[a:0, b:1]", `[1, 2, 3].init() + [1, 2, 3].tail()`: "[1, 2, 2, 3]",
		`[1, 2, 3, 4].split { it % 2 == 0 }`: "[[2, 4], [1, 3]]", `[1, null, 2].findResults { it ? it * 2 : null }`: "[2, 4]", `[1, 2, 3].inject { a, b -> a * b }`: "6", `[1, 2, 3].sum { it * 2 }`: "12", `['a', 'b'].sum()`: "ab", `[[1], [2]].sum()`: "[1, 2]", `[].sum()`: "null", `[1, 2].sum(10)`: "13", `['aa', 'b'].max { it.size() }`: "aa", `['aa', 'b'].min { a, b -> a.size() <=> b.size() }`: "b", `[1, 5, 3].max()`: "5",
		`[1, 2, 3].intersect([2, 3, 4])`: "[2, 3]", `[1, 2].disjoint([3])`: "true", `[1, 2, 3].containsAll([1, 2])`: "true", `[1, 2] & [2]`: "[2]", `[1, [2, 3]].flatten()`: "[1, 2, 3]", `[1, 2, 3][0, 2]`: "[1, 3]", `[1, 2, 3][1..-1]`: "[2, 3]", `[1, 2, 3, 4].takeWhile { it < 3 }`: "[1, 2]", `[1, 2, 3].dropWhile { it < 2 }`: "[2, 3]", `[1, 2, 3].takeRight(2)`: "[2, 3]", `[1, 2, 3].reverse()`: "[3, 2, 1]",
		`def l = [1, 2, 3]; l.removeAll { it > 1 }; l`: "[1]", `def l = [1, 2, 3]; l.retainAll { it > 1 }; l`: "[2, 3]", `def l = ['a', 'b']; l.remove('a'); l`: "[b]", `def l = [1, 2]; l.remove(0); l`: "[2]", `def l = [1]; l.add(0, 0); l`: "[0, 1]", `def l = [1]; l << 2 << 3; l`: "[1, 2, 3]", `def l = []; l += 1; l += [2]; l`: "[1, 2]", `def l = [1, 2, 3]; l[-1] = 9; l`: "[1, 2, 9]", `def l = [5]; l.pop(); l`: "[]",
		`[1, 1.0, 1L].unique().size()`: "3", `['a', 'A'].unique { it.toLowerCase() }`: "[a]", `([1, 2, 2] as Set).size()`: "2", `[1, 2].toSet().contains(2)`: "true", `[1, 2, 3].every { it > 0 }`: "true", `[[a: 1], [a: 2]].a`: "[1, 2]", `[[a: 1], [a: 2]]*.a.sum()`: "3", `[1, 2, 3].findIndexOf { it == 2 }`: "1", `[1, 2].collectMany { [it, it] }`: "[1, 1, 2, 2]", `[3, 4].eachWithIndex { x, i -> }`: "[3, 4]",
		`[1, 2, 3].join()`: "123", `[1, 2] == [1L, 2.0]`: "true", `[] ?: 'empty'`: "empty", `[1, 2, 3].groupBy { it % 2 ? 'odd' : 'even' }`: "[odd:[1, 3], even:[2]]", `[1, 2, 3].first() + [1, 2, 3].last()`: "4", `['x'].asImmutable()`: "[x]", `[1, [2]].toString()`: "[1, [2]]", `[null, 1].findAll()`: "[1]", `[1, 2].contains(1L)`: "false", `new ArrayList([1, 2])`: "[1, 2]", `Arrays.asList(1, 2)`: "[1, 2]", `Collections.emptyList()`: "[]",
		// Ranges.
		`(1..3)`: "[1, 2, 3]", `(1..3).toString()`: "1..3", `(1..3).toList()`: "[1, 2, 3]", `(1..<3).size()`: "2", `('a'..'c').toList()`: "[a, b, c]", `(1..3).contains(2)`: "true", `5 in 1..10`: "true", `(1..3).sum()`: "6", `(3..1).collect { it }`: "[3, 2, 1]", `(0..10).step(5)`: "[0, 5, 10]", `(1..3).reverse()`: "[3, 2, 1]", `(1..3) == [1, 2, 3]`: "true",
		// Maps.
		`[a: 1] + [b: 2]`: "[a:1, b:2]", `[b: 1, a: 2].sort { it.key }`: "[a:2, b:1]", `[b: 1, a: 2].sort()`: "[a:2, b:1]", `[a: 3, b: 1].sort { x, y -> x.value <=> y.value }`: "[b:1, a:3]", `[a: 1].collectEntries { k, v -> [v, k] }`: "[1:a]", `[a: 1, b: 2].find { it.value == 2 }.key`: "b", `[a: 1, b: 2].find { k, v -> v == 2 }`: "b=2", `[a: 1, b: 2].any { k, v -> v > 1 }`: "true", `[a: 1, b: 2].every { k, v -> v > 1 }`: "false",
		`[a: 1, b: 2].inject(0) { acc, e -> acc + e.value }`: "3", `[a: 1, b: 2].inject(0) { acc, k, v -> acc + v }`: "3", `[a: 1, b: 2].groupBy { k, v -> v % 2 }`: "[1:[a:1], 0:[b:2]]", `[a: 1, b: 2].max { it.value }.key`: "b", `[a: 1].getOrDefault('z', 9)`: "9", `[a: 1].subMap(['a', 'z'])`: "[a:1]", `[a: 1, b: 2].findAll { k, v -> v > 1 }`: "[b:2]", `[a: 1].withDefault { 7 }.zzz`: "7", `def m = [:].withDefault { [] }; m.a << 1; m`: "[a:[1]]",
		`[a: 1] == [a: 1L]`: "true", `[a: [b: [c: 1]]].a?.b?.c`: "1", `[a: 1].b?.c`: "null", `[a: 1].a.class.simpleName`: "Integer", `[1: 'x'][1]`: "x", `def k = 'q'; [(k): 1]`: "[q:1]", `def k = 'q'; ["$k": 1].q`: "1", `[a: 1, b: 2].collect { k, v -> "$k$v" }.join(',')`: "a1,b2", `[a: 1, b: 2].keySet().toList()`: "[a, b]", `[a: 1, b: 2].values().sum()`: "3", `def m = [a: 1]; m.remove('a'); m`: "[:]", `def m = [a: 1]; m.putAll([b: 2]); m.size()`: "2",
		`def m = [:]; m.x = [:]; m.x.y = 1; m`: "[x:[y:1]]", `def m = [a: 1]; m['b'] = 2; m.each { k, v -> }; m.b`: "2", `[a: 1, b: null].findAll { it.value }`: "[a:1]", `[a: 1].entrySet().first().value`: "1", `[a: 1].isEmpty()`: "false", `[c: 1, a: 2] as TreeMap`: "[a:2, c:1]", `[a: 1].containsValue(1)`: "true", `[a: 1, b: 2].count { it.value > 1 }`: "1", `[a: 1].toString()`: "[a:1]", `[[k: 'x', v: 1]].collectEntries { [(it.k): it.v] }`: "[x:1]",
		// Closures.
		`def add = { a, b -> a + b }; add.curry(1)(2)`: "3", `def f = { a, b -> "$a$b" }; f.rcurry('z').call('a')`: "az", `def inc = { it + 1 }; def dbl = { it * 2 }; (inc >> dbl)(3)`: "8", `def inc = { it + 1 }; def dbl = { it * 2 }; (inc << dbl)(3)`: "7", `({ -> 5 })()`: "5", `def f = { String s, int n = 2 -> s * n }; f('a') + f('b', 1)`: "aab", `def f = { Object... xs -> xs.size() }; f(1, 2, 3)`: "3", `def f = { it }; f()`: "null",
		`def c = 0; def inc = { c++ }; inc(); inc(); c`: "2", `def mk = { n -> { -> n * 2 } }; mk(4)()`: "8", `[1, 2].collect(this.&twice)
def twice(x) { x * 2 }`: "[2, 4]", `def f = 'a'.&concat; f('b')`: "ab", `{ a, b = 5 -> a + b }.call(1)`: "6", `def f = { a, b -> a + b }; f([1, 2])`: "3", `def f = { Map m -> m.a }; f(a: 3)`: "3",
		// Functions.
		`def f(a, b = 2, c = 3) { "$a$b$c" }
f(1) + f(1, 9) + f(1, 8, 7)`: "123193187", `def f(String s) { 's' }
def f(int i) { 'i' }
f('x') + f(1)`: "si", `def f(Object... xs) { xs.sum() }
f(1, 2, 3)`: "6", `int f() { 3.9 }
f()`: "3", `def f(Map m, x) { "${m.a}$x" }
f(a: 1, 2)`: "12", `def fact(n) { n <= 1 ? 1 : n * fact(n - 1) }
fact(10)`: "3628800", `def f() { return }
f()`: "null", `def call(x) { x + 1 }
call(1)`: "2", `String f(x) { x }
f(5).class.simpleName`: "String", `void f() { 5 }
f()`: "null",
		// Statements.
		`switch (5) { case 1..3: 'low'; break
case 4..6: 'mid'; break
default: 'high' }`: "mid", `def r; switch ('abc') { case ~/a.*/: r = 'a'; break
default: r = 'z' }; r`: "a", `def r; switch (3) { case Integer: r = 'int'; break
default: r = '?' }; r`: "int", `def r; switch (4) { case { it % 2 == 0 }: r = 'even'; break
default: r = 'odd' }; r`: "even", `def r; switch (null) { case null: r = 'n'; break
default: r = 'd' }; r`: "n", `def r = []; switch (1) { case 1: r << 1
case 2: r << 2; break
case 3: r << 3 }; r`: "[1, 2]",
		`def r = ''; for (int i = 0, j = 5; i < j; i++, j--) { r += i }; r`: "012", `def r = 0; for (i in 1..4) { if (i % 2) continue; r += i }; r`: "6", `def r = []; for (e in [a: 1]) { r << e.key + e.value }; r`: "[a1]", `def r = ''; for (c in 'abc') { r = c + r }; r`: "cba", `def n = 3; def r = 1; while (n > 0) { r *= n--; }; r`: "6", `def (a, b, c) = [1, 2]; "$a$b$c"`: "12null", `def x = 5; x -= 2; x *= 3; x /= 2; x`: "4.5", `def i = 5; i++ + ++i`: "12",
		`try { throw new IllegalArgumentException('no') } catch (IllegalStateException | IllegalArgumentException e) { e.message }`: "no", `try { Integer.parseInt('x') } catch (NumberFormatException e) { e.class.simpleName }`: "NumberFormatException", `try { null.x } catch (NullPointerException e) { 'npe' }`: "npe", `try { throw new RuntimeException('a', new Exception('b')) } catch (e) { e.cause.message }`: "b", `def r = []; try { r << 1 } finally { r << 2 }; r`: "[1, 2]",
		`def f = { try { return 1 } finally { } }; f()`: "1", `try { assert 1 == 2 : 'nope' } catch (AssertionError e) { e.message.startsWith('nope') }`: "true", `try { [1, 2].get(5) } catch (IndexOutOfBoundsException e) { 'out' }`: "out", `try { 'a' as int } catch (NumberFormatException e) { e.message }`: `For input string: "a"`, `try { fail() } catch (IOException e) { 'io' }`: "io", `try { throw new Exception() } catch (Throwable t) { "$t" }`: "java.lang.Exception",
		`def x = 3; x > 2 && x < 5 ? 'in' : 'out'`: "in", `!true || false`: "false", `null ?: 0`: "0", `'' ?: 'd'`: "d", `5 instanceof Number`: "true", `[] instanceof List && [:] instanceof Map`: "true", `"${'a'}" instanceof GString`: "true", `null instanceof Object`: "false", `1 == 1L && 'a' != 'b'`: "true", `(1 <=> 2) + ('b' <=> 'a')`: "0",
		// Regular expressions.
		`def m = 'v1.2' =~ /v(\d+)\.(\d+)/; m[0]`: "[v1.2, 1, 2]", `def m = ('v1.2' =~ /v(\d+)/); m.find() ? m.group(1) : ''`: "1", `def m = 'a1b2' =~ /\d/; def r = []; while (m.find()) { r << m.group() }; r`: "[1, 2]", `('abc' =~ /z/).size()`: "0", `'abc' ==~ /abc/`: "true", `'abcd' ==~ /abc/`: "false", `('a,b' =~ /\w/).collect { it }`: "[a, b]", `def m = 'k=v' =~ /(?<key>\w)=(?<val>\w)/; m.matches(); m.group('val')`: "v",
		`'a b\tc'.split(/\s+/).size()`: "3", `'x' ==~ /\p{Alpha}/`: "true", `'ab1' ==~ /[\p{Alpha}\d]+/`: "true", `'a.b' ==~ /\Qa.b\E/`: "true", `java.util.regex.Pattern.quote('a.b')`: `\Qa.b\E`, `'A' ==~ /(?i)a/`: "true", `('x1y' =~ /\d/).replaceAll('-')`: "x-y", `'a{b}' ==~ /a\{b\}/`: "true", `'2026-11-21' ==~ /\d{4}-\d{2}-\d{2}/`: "true", `'ab' ==~ /[a-c]{2}/`: "true",
		// Time, random numbers, JSON, casts.
		`System.currentTimeMillis()`: "1700000000123", `new Date().time`: "1700000000123", `new Date(0).format('yyyy-MM-dd HH:mm:ss')`: "1970-01-01 00:00:00", `new Date(0).format("yyyyMMdd'T'HHmm", TimeZone.getTimeZone('UTC'))`: "19700101T0000", `UUID.randomUUID().toString().length()`: "36", `new Random().nextInt(10) < 10`: "true", `Math.random() < 1`: "true", `new Date(0).toString()`: "Thu Jan 01 00:00:00 UTC 1970",
		`import java.text.SimpleDateFormat
new SimpleDateFormat('dd/MM/yy EEE').format(new Date(0))`: "01/01/70 Thu", `import groovy.json.JsonSlurperClassic
new JsonSlurperClassic().parseText('{"a": [1, 2.5, null, true], "b": {"c": "d"}}')`: "[a:[1, 2.5, null, true], b:[c:d]]", `groovy.json.JsonOutput.toJson([a: 1, b: ['x', null, true, 1.5], c: [d: 'é"']])`: `{"a":1,"b":["x",null,true,1.5],"c":{"d":"\u00e9\""}}`,
		`new groovy.json.JsonSlurper().parseText('[1]')[0].class.simpleName`: "Integer", `groovy.json.JsonOutput.prettyPrint('{"a":[1,2]}')`: "{\n    \"a\": [\n        1,\n        2\n    ]\n}", `[1, 2] as String[]`: "[1, 2]", `5 as String`: "5", `1 as boolean`: "true", `'a'.class`: "class java.lang.String", `[1].getClass().name`: "java.util.ArrayList", `String.name`: "java.lang.String", `hudson.model.Result.FAILURE`: "FAILURE",
		`def x = null; x?.length() ?: -1`: "-1", `def l = null; l?.size()`: "null", `5.with { it + 1 }`: "6", `def s = new HashSet(); s << 1; s << 1; s.size()`: "1", `int x = 5.7; x`: "5", `long n = 5; n.class.simpleName`: "Long", `final s = 'k'; s`: "k", `String s = 5; s.class.simpleName`: "String", `def a = [1, 2]; def b = a; b << 3; a`: "[1, 2, 3]", `boolean b = 'x'; b`: "true", `List<String> l = ['a']; Map<String, List<Integer>> m = [a: [1]]; l + m.a`: "[a, 1]",
		`@groovy.transform.Field def limit = 3
def f() { limit * 2 }
f()`: "6", `this.class.simpleName`: "WorkflowScript", `def name = 'twice'; "$name"(4)
def twice(x) { x * 2 }`: "8", `[a: { -> 5 }].a()`: "5", `def m = [:]; m."k-1" = 2; m.'k-1'`: "2",
	}
	for src, want := range cases {
		v, err := evaluate(t, src)
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

// What Jenkins says of common mistakes and of what leads out of its sandbox.
func TestExceptions(t *testing.T) {
	cases := map[string]struct{ src, want string }{
		"Property":    {"nosuch + 1", "groovy.lang.MissingPropertyException: No such property: nosuch for class: groovy.lang.Binding"},
		"OfString":    {"'a'.nosuch", "groovy.lang.MissingPropertyException: No such property: nosuch for class: java.lang.String"},
		"Null":        {"def x\nx.foo()", "java.lang.NullPointerException: Cannot invoke method foo() on null object"},
		"NullGet":     {"def x\nx.foo", "java.lang.NullPointerException: Cannot get property 'foo' on null object"},
		"NullSet":     {"def x\nx.foo = 1", "java.lang.NullPointerException: Cannot set property 'foo' on null object"},
		"NullPlus":    {"null + 1", "java.lang.NullPointerException: Cannot invoke method plus() on null object"},
		"Method":      {"'a'.foo(1, [2])", "groovy.lang.MissingMethodException: No signature of method: java.lang.String.foo() is applicable for argument types: (java.lang.Integer, java.util.ArrayList) values: [1, [2]]"},
		"Step":        {"foo 1", "java.lang.NoSuchMethodError: No such DSL method 'foo' found among steps [echo, fail] or globals [params]"},
		"Arguments":   {"def f(a) { }\nf(1, 2)", "java.lang.NoSuchMethodError: No such DSL method 'f' found among steps [echo, fail] or globals [params]"},
		"Cast":        {"int i = 'x'", "org.codehaus.groovy.runtime.typehandling.GroovyCastException: Cannot cast object 'x' with class 'java.lang.String' to class 'java.lang.Integer'"},
		"Number":      {"'x' as int", `java.lang.NumberFormatException: For input string: "x"`},
		"Zero":        {"1 / 0", "java.lang.ArithmeticException: Division by zero"},
		"Modulo":      {"1 % 0", "java.lang.ArithmeticException: / by zero"},
		"Index":       {"[1].get(3)", "java.lang.IndexOutOfBoundsException: Index 3 out of bounds for length 1"},
		"Negative":    {"[1][-3]", "java.lang.ArrayIndexOutOfBoundsException: Negative array index [-3] too large for array size 1"},
		"StringIndex": {"'abc'[5]", "java.lang.StringIndexOutOfBoundsException: String index out of range: 5"},
		"Empty":       {"[].first()", "java.util.NoSuchElementException: Cannot access first() element from an empty List"},
		"Execute":     {"'id'.execute()", "Scripts not permitted to use staticMethod org.codehaus.groovy.runtime.ProcessGroovyMethods execute java.lang.String"},
		"ListExecute": {"['id'].execute().text", "Scripts not permitted to use staticMethod org.codehaus.groovy.runtime.ProcessGroovyMethods execute java.util.ArrayList"},
		"File":        {"new File('/etc/passwd').text", "Scripts not permitted to use new java.io.File java.lang.String"},
		"URL":         {"new URL('http://x').text", "Scripts not permitted to use new java.net.URL java.lang.String"},
		"ToURL":       {"'http://x'.toURL().text", "Scripts not permitted to use staticMethod org.codehaus.groovy.runtime.StringGroovyMethods toURL java.lang.String"},
		"Exit":        {"System.exit(1)", "Scripts not permitted to use staticMethod java.lang.System exit java.lang.Integer"},
		"Env":         {"System.getenv('PATH')", "Scripts not permitted to use staticMethod java.lang.System getenv java.lang.String"},
		"Runtime":     {"Runtime.getRuntime().exec('id')", "Scripts not permitted to use staticMethod java.lang.Runtime getRuntime"},
		"FullRuntime": {"java.lang.Runtime.runtime", "Scripts not permitted to use staticField java.lang.Runtime runtime"},
		"Thread":      {"Thread.sleep(5)", "Scripts not permitted to use staticMethod java.lang.Thread sleep java.lang.Integer"},
		"Loader":      {"this.class.classLoader", "method java.lang.Class getClassLoader"},
		"GetLoader":   {"''.class.getClassLoader()", "Scripts not permitted to use method java.lang.Class getClassLoader"},
		"ForName":     {"Class.forName('java.io.File')", "Scripts not permitted to use staticMethod java.lang.Class forName java.lang.String"},
		"MetaClass":   {"''.metaClass", "Scripts not permitted to use method groovy.lang.GroovyObject getMetaClass"},
		"Evaluate":    {"this.evaluate('1')", "Scripts not permitted to use method groovy.lang.Script evaluate java.lang.String"},
		"Jenkins":     {"jenkins.model.Jenkins.instance", "Scripts not permitted to use staticField jenkins.model.Jenkins instance"},
		"JenkinsGet":  {"jenkins.model.Jenkins.getInstance()", "Scripts not permitted to use staticMethod jenkins.model.Jenkins getInstance"},
		"Delegate":    {"def c = { nosuch }\nc.delegate = 'x'\nc()", "No such property: nosuch for class: groovy.lang.Binding"},
		"Range":       {"(1..3) << 4", "java.lang.UnsupportedOperationException"},
		"Modulus":     {"5.5 % 2", "java.lang.UnsupportedOperationException: Cannot use mod() on this number type: java.math.BigDecimal with value: 5.5"},
		"BadJSON":     {"new groovy.json.JsonSlurper().parseText('{')", "groovy.json.JsonException"},
		"LookAround":  {"'a' =~ /(?<=x)a/", "look-around"},
		"Backref":     {`'aa' =~ /(a)\1/`, "backreference"},
		"Possessive":  {`'aa' =~ /a++/`, "possessive"},
		"Format":      {"String.format('%d', 'x')", "java.util.IllegalFormatConversionException: d != java.lang.String"},
		"ClosureType": {"def f = { int n -> n }\nf('x')", "Cannot cast object 'x' with class 'java.lang.String' to class 'java.lang.Integer'"},
	}
	for name, tc := range cases {
		v, err := evaluate(t, tc.src)
		var e *Exception
		if !errors.As(err, &e) {
			t.Errorf("%s: got %v, %v", name, v, err)
			continue
		}
		if !strings.Contains(e.Error(), tc.want) {
			t.Errorf("%s: got %s, want %s", name, e.Error(), tc.want)
		}
		if e.Pos.Line == 0 {
			t.Errorf("%s: no position", name)
		}
	}
}
