// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"context"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// fuzzSeeds show the fuzzer the language.
var fuzzSeeds = []string{
	"def x = [a: 1]; x.each { k, v -> echo \"$k\" }", "'a'.replaceAll(/(.)/) { it }", "[1,2,3].sort { a, b -> b <=> a }[0..1]", "1 / 0", "1.50 * 2 ** 70 - 3G", "(1..<5)[-1..0]",
	"switch (1) { case 1: break }", "try { throw new Exception('x') } finally { 1 }", "('ab' =~ /(a)(b)/)[0][2]", "[].first()", "'abc'[5]", "[:].each { a, b, c -> 1 }", "'x'.center(5, 'ab')",
	"[1].get(3)", "[1].subList(0, 5)", "5.round(2)", "'a'.split('(')", "'x'.tokenize('')", "[a:1].remove()", "5.mod()", "def f(a, b = 1, Object... c) { \"$a${-> b}\" }\nf(1, 2, 3)", "2147483647 + 1L << 70 >>> 3",
	"def m = 'a1' =~ /(?<x>\\d)/; while (m.find()) { m.group('x') + m.start() }", "String.format('%05d|%-5s|%.2f', 1, 'x', 2.5)", "new Date(0).format(\"yyyy-MM-dd'T'HH:mm\")", "new groovy.json.JsonSlurper().parseText('[1e5, {}]')",
	"groovy.json.JsonOutput.prettyPrint('{\"a\":[]}')", "[1, [2]].flatten().collate(2).transpose().combinations()", "def c = { a, b -> a } << { it }; c.curry(1).rcurry(2)(3)", "[b: 1, a: 2].sort().withDefault { 1 }.x++",
	"def b = new StringBuilder(); b << 1; b.insert(0, 'é').reverse().setLength(1); b", "for (int i = 0; i < 3; i++) { if (i) continue; else break }", "assert [1] as Set == [1] : 'x'", "int i = 5.7; (i as String).padLeft(3)[0..<-1]",
	"def c = { a = 1; b << 2; delegate }; c.delegate = [b: []]; c.resolveStrategy = Closure.DELEGATE_FIRST; c()", "def c = { c() }; c.delegate = c; c.resolveStrategy = 3; c.with { x }",
	"o: for (x in [1, 2]) { while (true) { if (x) continue o; break o } }", "def l = [1]; def s = \"a${l}${-> l}\"; l << s; s + l", "[a: 1].each { it.value = it; it.setValue(it) }.toString()",
	"import java.text.*; new SimpleDateFormat('yyMMdd HH:mm Z').parse('240102 03:04 +0100').format('dd')", "'a'.bytes.encodeBase64() + new String('a'.bytes) + [1].iterator().next() + [1, 'a'].grep(Number)",
	"\"$x.y[0]\"; ~'a' == ~/a/; !1 ?: 2 <=> 3 in [1] instanceof List", "x = y = 1; x -= y *= 2", "this.\"a$x\" = 1; a1?.b*.c", "@groovy.transform.Field int n = 1\ndef g() { n++ }\n\"g\"()", "import java.util.regex.Pattern\nPattern.compile('a')",
}

// FuzzEval runs scripts with small limits: none may end the process or take long.
func FuzzEval(f *testing.F) {
	for _, s := range fuzzSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		s, err := jenkinsfile.ParseScript(src)
		if err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		limits := Limits{Steps: 20000, StringBytes: 1 << 16, Items: 1000, Bytes: 1 << 22}
		first, err1 := New(&clockHost{}, limits).main.run(ctx, s.Stmts)
		text := ToString(first)
		// A build that goes on after a restart runs its script again: the same has to come out.
		second, err2 := New(&clockHost{}, limits).main.run(ctx, s.Stmts)
		if (err1 == nil) != (err2 == nil) || err1 != nil && err1.Error() != err2.Error() || text != ToString(second) {
			t.Errorf("two runs differ: %s, %v and %s, %v", text, err1, ToString(second), err2)
		}
		if ctx.Err() != nil {
			t.Error("it takes too long")
		}
	})
}
