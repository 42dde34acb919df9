// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFormat(t *testing.T) {
	inStage := func(lines ...string) string {
		return "pipeline {\n    agent any\n    stages {\n        stage('a') {\n            " + strings.Join(lines, "\n            ") + "\n        }\n    }\n}\n"
	}
	stage := func(s string) string { return "pipeline {\nagent any\nstages { stage('a') {\n" + s + "\n} } }" }
	cases := map[string]struct{ reason, src, want string }{
		"one line": {"each directive gets its own", "pipeline { agent { label   'x' }; stages { stage('a') { steps { echo 'x'; echo 'y' } } } }",
			"pipeline {\n    agent {\n        label 'x'\n    }\n    stages {\n        stage('a') {\n            steps {\n                echo 'x'\n                echo 'y'\n            }\n        }\n    }\n}\n"},
		"braces":      {"stand behind the name", stage("steps\n\n{\n\n\necho 'x'\n\n}"), inStage("steps {", "    echo 'x'", "}")},
		"empty lines": {"one at most", stage("steps {\necho 'x'\n\n\n\necho 'y'\n}"), inStage("steps {", "    echo 'x'\n", "    echo 'y'", "}")},
		"stages": {"an empty line between them, above the comments of the second",
			"pipeline {\nagent any\nstages {\n\nstage('a') { steps { sh 'a' } } // a\n// b\nstage('b') { steps { sh 'b' } }\n\n}\n}\n",
			"pipeline {\n    agent any\n    stages {\n        stage('a') {\n            steps {\n                sh 'a'\n            }\n        } // a\n\n        // b\n        stage('b') {\n            steps {\n                sh 'b'\n            }\n        }\n    }\n}\n"},
		"comments":  {"keep their side of the line end", stage("steps { // s\n/* 1 */ echo 'x'// x\n/* 2\n* 3\n*/ echo 'y' /* y */ ; /* z */ }"), inStage("steps { // s", "    /* 1 */ echo 'x' // x", "    /* 2", "     * 3", "     */ echo 'y' /* y */ /* z */", "}")},
		"string":    {"no byte of it changes", stage("steps { sh '''\n  a \n\n\n\tb'''\n}"), inStage("steps {", "    sh '''\n  a \n\n\n\tb'''", "}")},
		"arguments": {"are indented by their brackets", stage("steps { checkout([\n$class: 'X',\n  a: [\n b: 1\n],\n]) }"), inStage("steps {", "    checkout([", "        $class: 'X',", "        a: [", "            b: 1", "        ],", "    ])", "}")},
		"head":      {"a block belongs to its statement", stage("steps { timeout(time: 1,\nunit: 'HOURS') {\necho 'x' } }"), inStage("steps {", "    timeout(time: 1,", "        unit: 'HOURS') {", "        echo 'x'", "    }", "}")},
		"command":   {"goes on below", stage("steps { echo 'x' +\n'y'\nsh script: 'x',\nlabel: 'y' }"), inStage("steps {", "    echo 'x' +", "        'y'", "    sh script: 'x',", "        label: 'y'", "}")},
		"script": {"only the ends of its lines change", stage("steps { script {\ndef   x=1 ;  foo( x )  \n\n\n   if (x) {\ny()\n   } else\nz()\n} }"),
			inStage("steps {", "    script {", "        def   x=1 ;  foo( x )\n\n", "        if (x) {", "            y()", "        } else", "            z()", "    }", "}")},
		"script on one line": {"stays there", stage("steps { script { x  = 1 } }"), inStage("steps {", "    script { x  = 1 }", "}")},
		"switch":             {"cases are indented", "switch (x) {\ncase 1:\na()\nbreak\n// b\ndefault:\nb()\n}", "switch (x) {\n    case 1:\n        a()\n        break\n    // b\n    default:\n        b()\n}\n"},
		"chain":              {"goes on", "def x = [1,\n2]\n.collect { it }\n\n\n.join()", "def x = [1,\n    2]\n    .collect { it }\n\n\n    .join()\n"},
		"no braces":          {"what a condition governs is indented", "if (a)\nif (b)\nfoo()\nfor (x in y)\nbar(x)\nbaz()", "if (a)\n    if (b)\n        foo()\nfor (x in y)\n    bar(x)\nbaz()\n"},
		"code in a string":   {"is left alone", "def x = 1\nif (a)\nb()\ndef y = \"${ [1].each { if (it)\nc() } }\"", "def x = 1\nif (a)\n    b()\ndef y = \"${ [1].each { if (it)\nc() } }\"\n"},
		"scripted":           {"is code", "node('x')   {\n  stage('a') {\nsh 'x'\n   }\n}", "node('x')   {\n    stage('a') {\n        sh 'x'\n    }\n}\n"},
		"tabs":               {"become blanks", "node {\n\tsh 'a\tb'\n}", "node {\n    sh 'a\tb'\n}\n"},
		"CRLF":               {"stays", "node {\r\nsh 'x' // y \r\n}", "node {\r\n    sh 'x' // y\r\n}\r\n"},
		"backslash":          {"what a line end is escaped with stays", "def x = 1 + \\\n  2", "def x = 1 + \\\n  2\n"},
		"shebang":            {"stays", "#!/usr/bin/env groovy\n  node { }", "#!/usr/bin/env groovy\nnode { }\n"},
		"annotation":         {"begins a line", "@Library('x') _\n@NonCPS\n  def f() {\n}", "@Library('x') _\n@NonCPS\ndef f() {\n}\n"},
		"class":              {"is not parsed, but indented", "class A {\nint x\n  def f() {\nx\n}\n}", "class A {\n    int x\n    def f() {\n        x\n    }\n}\n"},
		"closure as value":   {"its code is code", stage("steps { parallel(a: {\nsh 'x' ; sh 'y'\n}) }"), inStage("steps {", "    parallel(a: {", "        sh 'x' ; sh 'y'", "    })", "}")},
		"nothing":            {"", "", ""},
		"only comments":      {"", "\n\n// x\n\n\n/* y */", "// x\n\n\n/* y */\n"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Format(tc.src)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(strings.Split(tc.want, "\n"), strings.Split(got, "\n")); d != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, d)
			}
			checkFormatted(t, tc.src, got)
		})
	}
}

// checkFormatted fails unless a text is the other one, formatted.
func checkFormatted(t *testing.T, src, got string) {
	t.Helper()
	again, err := Format(got)
	if err != nil || again != got {
		t.Errorf("not stable: %v\n%s", err, cmp.Diff(strings.Split(got, "\n"), strings.Split(again, "\n")))
	}
	a, errA := ParseScript(src)
	b, errB := ParseScript(got)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if shapeOf(a) != shapeOf(b) {
		t.Errorf("means something else:\n%s", got)
	}
	if d := cmp.Diff(commentsOf(src), commentsOf(got)); d != "" {
		t.Errorf("comments (-source +formatted):\n%s", d)
	}
	if d := cmp.Diff(stringsOf(src), stringsOf(got)); d != "" {
		t.Errorf("strings (-source +formatted):\n%s", d)
	}
}

// commentsOf gives the comments of a source, but for the blanks in them.
func commentsOf(src string) []string {
	var out []string
	end := 0
	for _, tok := range lex(src) {
		if tok.kind == tokNewline {
			continue
		}
		pieces, _ := piecesOf(src[end:tok.pos.Offset])
		for _, p := range pieces {
			if p.comment != "" {
				out = append(out, strings.Join(strings.Fields(p.comment), " "))
			}
		}
		end = tok.end.Offset
	}
	return out
}

func stringsOf(src string) []string {
	var out []string
	for _, tok := range lex(src) {
		if tok.kind == tokString || tok.kind == tokGString {
			out = append(out, src[tok.pos.Offset:tok.end.Offset])
		}
	}
	return out
}

// formatCorpus is every Jenkinsfile that there is: what Jenkins was asked to convert, the examples of the
// documentation and those of the tests.
func formatCorpus(tb testing.TB) map[string]string {
	tb.Helper()
	out := mergeCorpus(tb)
	for _, c := range converterCases(tb) {
		out["converter: "+c.Name] = c.Jenkinsfile
	}
	for _, pattern := range []string{"../../test/jenkinsfiles/*/*", "../../docs/examples/*", "../../docs/examples/*/*", "../demo/Jenkinsfile"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			tb.Fatal(err)
		}
		for _, file := range files {
			if base := filepath.Base(file); !strings.Contains(base, "Jenkinsfile") && filepath.Ext(base) != ".groovy" {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				tb.Fatal(err)
			}
			out[file] = string(text)
		}
	}
	return out
}

// TestFormatKeepsTheMeaning formats the corpus, and what the formatter itself makes of it.
func TestFormatKeepsTheMeaning(t *testing.T) {
	n := 0
	for name, src := range formatCorpus(t) {
		t.Run(name, func(t *testing.T) {
			got, err := Format(src)
			if _, wrong := ParseScript(src); wrong != nil {
				var list *ErrorList
				if !errors.As(err, &list) {
					t.Errorf("%v for a source that is wrong: %v", err, wrong)
				}
				return
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, src)
			}
			n++
			checkFormatted(t, src, got)
			a, errA := ToJSON(src)
			b, errB := ToJSON(got)
			if (errA == nil) != (errB == nil) {
				t.Errorf("as JSON: %v, %v", errA, errB)
			}
			if errA == nil && !strings.Contains(src, "script") && !strings.Contains(src, "expression") && !strings.Contains(string(a), "${") && string(a) != string(b) {
				t.Error(diffJSON(a, b))
			}
		})
	}
	t.Logf("%d sources", n)
}

func TestFormatBounds(t *testing.T) {
	inputs := hostile()
	inputs["Deep"] = strings.Repeat("a {\n", maxDepth-1) + strings.Repeat("b\n", MaxSize/4) + strings.Repeat("}", maxDepth-1)
	for name, src := range inputs {
		begin := time.Now()
		if out, err := Format(src); err == nil && len(out) > maxFormatted+MaxSize {
			t.Errorf("%s: %d bytes", name, len(out))
		}
		if d := time.Since(begin); d > slow {
			t.Errorf("%s: took %v", name, d)
		}
	}
}

// FuzzFormat: what is formatted means the same, has the same comments and strings, and stays as it is.
func FuzzFormat(f *testing.F) {
	corpus := formatCorpus(f)
	names := make([]string, 0, len(corpus))
	for name := range corpus {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		f.Add(corpus[name])
	}
	f.Fuzz(func(t *testing.T, src string) {
		got, err := Format(src)
		if errors.Is(err, errFormat) {
			t.Fatal(err)
		}
		if err == nil {
			checkFormatted(t, src, got)
		}
	})
}
