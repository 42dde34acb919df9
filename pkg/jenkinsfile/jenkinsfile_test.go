// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const seed = `pipeline {
  agent any
  parameters {
    string defaultValue: 'rick', description: 'just for testing', name: 'name', trim: true
    booleanParam defaultValue: false, description: 'a flag', name: 'debug'
    choice choices: ['v1.18.8', 'v1.18.9'], description: 'a version', name: 'kubernetesVersion'
    text(name: 'T', defaultValue: 'one\ntwo')
    password(name: 'P', defaultValue: 's')
    file(name: 'F')
    choice(name: 'lines', choices: "a\nb\n")
    run(name: 'R', projectName: 'x')
  }
  stages {
    stage('one') { agent { label 'linux' }
      steps { echo 'x' } }
    stage('two') { agent { node { label "go${''}" } }
      stages { stage('three') { agent { docker { image 'x'; label 'linux' } }
        steps { echo 'x' } } } }
    stage('computed') { agent { label "${params.name}" }
      steps { echo 'x' } }
  }
}`

func TestParameters(t *testing.T) {
	p, err := Parse(seed)
	if err != nil {
		t.Fatal(err)
	}
	want := []Parameter{
		{Name: "name", Type: ParameterString, Default: "rick", Description: "just for testing", Trim: true},
		{Name: "debug", Type: ParameterBoolean, Default: "false", Description: "a flag"},
		{Name: "kubernetesVersion", Type: ParameterChoice, Default: "v1.18.8", Description: "a version", Choices: []string{"v1.18.8", "v1.18.9"}},
		{Name: "T", Type: ParameterText, Default: "one\ntwo"},
		{Name: "P", Type: ParameterPassword, Default: "s"},
		{Name: "F", Type: ParameterFile},
		{Name: "lines", Type: ParameterChoice, Default: "a", Choices: []string{"a", "b"}},
	}
	if d := cmp.Diff(want, p.Parameters()); d != "" {
		t.Error(d)
	}
}

func TestAgentLabels(t *testing.T) {
	p, err := Parse(strings.Replace(seed, "agent any", "agent { label 'base && x86' }", 1))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"base && x86", "go", "linux"}, p.AgentLabels()); d != "" {
		t.Error(d)
	}
}

func TestModel(t *testing.T) {
	p, err := Parse(`def f(x) { x }
pipeline {
  agent none
  environment { A = 'x'; C = credentials('id') }
  options { timeout(time: 1, unit: 'HOURS')
    timestamps() }
  triggers { cron('H * * * *') }
  tools { maven 'm3' }
  libraries { lib('a@b') }
  stages
  {
    stage('fan')
    {
      failFast true
      when { beforeAgent true; anyOf { branch 'a'; not { expression { return env.X } } } }
      parallel {
        stage('l') { steps { timeout(5) { retry(2) { sh 'x' } } } }
        stage('r') { input { message 'go?'; parameters { string(name: 'W') } }
          steps { script { def y = 1; echo "$y" } } }
      }
      post { always { echo 'a' }
        cleanup { deleteDir() } }
    }
  }
}`)
	if err != nil {
		t.Fatal(err)
	}
	fan := p.Stages[0]
	retry := fan.Parallel[0].Steps.List[0].Body[0]
	got := map[string]any{
		"preamble": len(p.Preamble), "env": p.Environment[0].Name, "options": len(p.Options), "failFast": fan.FailFast, "beforeAgent": fan.When.BeforeAgent,
		"not": fan.When.Conditions[0].Children[1].Children[0].Name, "retry": retry.Name, "sh": retry.Body[0].Name, "script": fan.Parallel[1].Steps.List[0].Script != nil,
		"input": fan.Parallel[1].Input.Parameters[0].Name, "post": fan.Post[1].Name, "text": p.Text(p.Environment[1].Value), "trigger": p.Triggers[0].Name,
		"pos": fmt.Sprint(fan.From.Line, fan.From.Column), "shPos": fmt.Sprint(retry.Body[0].From.Line, retry.Body[0].From.Column),
	}
	want := map[string]any{
		"preamble": 1, "env": "A", "options": 2, "failFast": true, "beforeAgent": true, "not": "expression", "retry": "retry", "sh": "sh", "script": true,
		"input": "string", "post": "cleanup", "text": "credentials('id')", "trigger": "cron", "pos": "12 5", "shPos": "17 54",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if _, ok := p.Environment[1].CredentialsCall(); !ok {
		t.Error("credentials() is not seen")
	}
}

func TestErrors(t *testing.T) {
	wrap := func(s string) string { return "pipeline {\n agent any\n stages { stage('a') {\n" + s + "\n} } }" }
	cases := map[string]struct {
		src  string
		want []string
	}{
		// As Jenkins' checkScriptCompile answered.
		"NoEnd":        {"node { echo 'x' ", []string{"expecting '}', found '' @ line 1, column 17."}},
		"EmptyEnd":     {"pipeline {\n agent any\n stages {\n", []string{"unexpected token:  @ line 4, column 1."}},
		"OpenString":   {"echo 'x", []string{"expecting ''', found '<EOF>' @ line 1, column 8."}},
		"NewlineInStr": {"echo 'x\n'", []string{"expecting ''', found '\\n' @ line 1, column 8."}},
		"Dollar":       {wrap(`steps { echo "costs $5" }`), []string{"illegal string body character after dollar sign"}},
		"BadEscape":    {`x = 'a\q'`, []string{"unexpected char: '\\' @ line 1, column 7."}},
		"Collected": {"pipeline {\n bogus 'x'\n options { nosuch() }\n stages { stage('a') { steps { } } }\n agent any\n agent any\n}",
			[]string{`Undefined section "bogus" @ line 2, column 2.`, `Invalid option type "nosuch"`, "No steps specified for branch @ line 4, column 30.", "Multiple occurrences of the agent section @ line 6, column 2."}},
		"Agent":          {"pipeline { agent foo\n stages { stage('a') { steps { echo 'x' } } } }", []string{"Invalid argument for agent - 'foo' - must be map of config options or bare [any, none]. @ line 1, column 18."}},
		"AgentType":      {"pipeline { agent { vm 'x' }\n stages { stage('a') { steps { echo 'x' } } } }", []string{`Invalid agent type "vm" specified.`}},
		"AgentField":     {"pipeline { agent { docker { image 'x'; foo 'y' } }\n stages { stage('a') { steps { echo 'x' } } } }", []string{`Invalid config option "foo" for agent type "docker"`}},
		"StageName":      {wrap("steps { echo 'x' } }\n stage(x) { steps { echo 'y' }"), []string{"Expected string literal @ line 5, column 8."}},
		"NothingInStage": {wrap("agent any"), []string{`Expected one of "matrix", "parallel", "stages", or "steps" for stage "a" @ line 3, column 11.`}},
		"UnknownInStage": {wrap("echo 'x'"), []string{`Unknown stage section "echo". Starting with version 0.5, steps in a stage must be in a ‘steps’ block. @ line 4, column 1.`}},
		"ParallelDeep":   {wrap("parallel { stage('b') { parallel { stage('c') { steps { echo 'x' } } } } }"), []string{"Parallel stages or branches can only be included in a top-level stage."}},
		"FailFast":       {wrap("failFast true\n steps { echo 'x' }"), []string{"failFast can only be used"}},
		"Object":         {wrap("steps { docker.image('x').pull() }"), []string{`Method calls on objects not allowed outside "script" blocks. @ line 4, column 9.`}},
		"Post":           {wrap("steps { echo 'x' }\n post { sometimes { echo 'y' } }"), []string{`Invalid condition "sometimes" - valid conditions are [always`}},
		"MissingArg":     {wrap("steps { sh returnStdout: true }"), []string{`Missing required parameter: "script"`}},
		"WrongArg":       {wrap("steps { sh scrip: 'x' }"), []string{`Invalid parameter "scrip", did you mean "script"?`}},
		"WrongKind":      {wrap("steps { sleep 'x' }"), []string{`Expecting "int" but got "x" of type class java.lang.String instead`}},
		"EmptyWhen":      {wrap("when { }\n steps { echo 'x' }"), []string{"Empty when closure, remove the property or add some content."}},
		"WhenArgs":       {wrap("when { environment name: 'X' }\n steps { echo 'x' }"), []string{`Missing required parameter: "value"`}},
		"EnvTwice":       {wrap("environment { A = 'x'; A = 'y' }\n steps { echo 'x' }"), []string{`Duplicate environment variable name: "A"`}},
		"EnvName":        {wrap("environment { a.b = 'x' }\n steps { echo 'x' }"), []string{"Invalid environment variable name"}},
		"ParamTwice":     {"pipeline { agent any\n parameters { string(name: 'a')\n text(name: 'a') }\n stages { stage('a') { steps { echo 'x' } } } }", []string{`Duplicate parameter name: "a"`}},
		"ParamType":      {"pipeline { agent any\n parameters { strng(name: 'a') }\n stages { stage('a') { steps { echo 'x' } } } }", []string{`Invalid parameter type "strng"`}},
		"ParamName":      {"pipeline { agent any\n parameters { string(defaultValue: 'a') }\n stages { stage('a') { steps { echo 'x' } } } }", []string{`Missing required parameter: "name"`}},
		"Import":         {wrap("steps { import foo }"), []string{"Expected a step"}},
		"OneLine":        {"pipeline { agent any stages { } }", []string{`Not a valid section definition: "agent any stages { }"`}},
		"Char":           {"pipeline { agent any\n § }", []string{"unexpected char: '§' @ line 2, column 2."}},
		"LockKind":       {wrap("steps { lock(resource: 'x', quantity: 'two') { echo 'x' } }"), []string{`Expecting "int" but got "two" of type class java.lang.String instead`}},
		"BuildArgs":      {wrap("steps { build wait: false }"), []string{`Missing required parameter: "job"`}},
		"AxisTwice":      {wrap("matrix { axes { axis { name 'A'; values 'x' }\n axis { name 'A'; notValues 'y' } }\n stages { stage('s') { steps { echo 'x' } } } }"), []string{`Duplicate axis name: "A"`, "notValues can only be used in excludes"}},
		"ExcludeAxis":    {wrap("matrix { axes { axis { name 'A'; values 'x' } }\n excludes { exclude { axis { name 'B'; values 'x' } } }\n stages { stage('s') { steps { echo 'x' } } } }"), []string{`The axis "B" of the exclude is not among those of the matrix @ line 5`}},
		"Unicode":        {"pipeline { agent any\n stages { stage('größe €') { steps { nosuch( } } } }", []string{"@ line 2, column 46."}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(tc.src)
			if err == nil {
				t.Fatal("accepted")
			}
			var list *ErrorList
			if !errors.As(err, &list) {
				t.Fatalf("%T", err)
			}
			rest := err.Error()
			for _, w := range tc.want {
				i := strings.Index(rest, w)
				if i < 0 {
					t.Fatalf("%q is missing or out of order in\n%s", w, err)
				}
				rest = rest[i:]
			}
		})
	}
}

func TestScripted(t *testing.T) {
	for _, src := range []string{"", "node { echo 'x' }", "def x = 1", "// pipeline { }", "foo.pipeline { agent any }"} {
		if _, err := Parse(src); !errors.Is(err, ErrScripted) {
			t.Errorf("%q: got %v", src, err)
		}
	}
	if _, err := Parse("pipeline {"); errors.Is(err, ErrScripted) {
		t.Error("a syntax error counts as scripted")
	}
}

// hostile are inputs that could take much time or memory.
func hostile() map[string]string {
	n := 100_000
	return map[string]string{
		"Braces":      strings.Repeat("{", n),
		"Brackets":    strings.Repeat("[", n),
		"Parens":      "x = " + strings.Repeat("(", n) + "1" + strings.Repeat(")", n),
		"Closures":    strings.Repeat("a {\n", n),
		"Not":         "x = " + strings.Repeat("!", n) + "1",
		"Minus":       "x = " + strings.Repeat("- ", n) + "1",
		"Plus":        "x = 1" + strings.Repeat("+1", n),
		"Dots":        "x" + strings.Repeat(".a", n),
		"Calls":       "x" + strings.Repeat("()", n),
		"Index":       "x" + strings.Repeat("[0]", n),
		"Assign":      strings.Repeat("a=", n) + "1",
		"Ternary":     "x = " + strings.Repeat("a?", n) + "1",
		"Elvis":       "x = " + strings.Repeat("a?:", n) + "1",
		"GStrings":    strings.Repeat(`"${`, n),
		"If":          strings.Repeat("if (a) ", n) + "b",
		"Else":        strings.Repeat("if (a) b else ", n) + "c",
		"Casts":       "x = " + strings.Repeat("(int)", n) + "1",
		"Chain":       strings.Repeat("a b ", n),
		"Stages":      strings.Repeat("stages { stage('a') {", n),
		"Annotations": strings.Repeat("@A ", n),
		"Labels":      strings.Repeat("a: ", n),
		"Generics":    "List" + strings.Repeat("<List", n),
		"Chains":      chains("x = ", "+1"),
		"Path":        chains("x = ", ".a"),
		"Script":      "pipeline {\nagent any\nstages { stage('a') { steps { script { " + chains("x = ", "+1") + " } } } } }",
		"Comment":     "/* " + strings.Repeat("*", n),
		"Long":        strings.Repeat("echo 'x'\n", MaxSize/9),
		"TooBig":      strings.Repeat(" ", MaxSize+1),
		"NUL":         "pipeline {\x00}",
		"BadUTF8":     "echo '\xff\xfe' \xff",
	}
}

// chains is an expression of a hundred chains, each as long as one may be and around the one before: brackets are few, but the
// tree is deep.
func chains(before, link string) string {
	return before + strings.Repeat("(", 100) + "1" + strings.Repeat(strings.Repeat(link, maxChain-1)+")", 100)
}

// TestDeepTree: the error says where, and reading the file takes no stack worth speaking of. What is deep and no deeper than the
// bound is walked, converted and formatted.
func TestDeepTree(t *testing.T) {
	// Go ends a process whose stack grows beyond this.
	defer debug.SetMaxStack(debug.SetMaxStack(8 << 20))
	for name, link := range map[string]string{"operators": "+1", "selectors": ".a", "indexes": "[0]", "safe selectors": "?.a"} {
		_, err := ParseScript("def y = 1\n" + chains("x = ", link))
		var list *ErrorList
		if !errors.As(err, &list) || len(list.Errors) != 1 || list.Errors[0].Line != 2 || list.Errors[0].Column == 0 || !strings.Contains(list.Errors[0].Message, "Nested deeper than") {
			t.Errorf("%s: %.300v", name, err)
		}
	}
	for name, src := range map[string]string{
		"chain":   "x = 1" + strings.Repeat("+1", maxChain-1),
		"strings": "x = 'a'" + strings.Repeat(" +\n 'b'", maxChain-1),
		"closure": strings.Repeat("a {\n", 150) + "b" + strings.Repeat("\n}", 150),
	} {
		script, err := ParseScript(src)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		n := 0
		for _, s := range script.Stmts {
			Walk(s, func(Node) { n++ })
		}
		if n < 150 {
			t.Errorf("%s: %d nodes", name, n)
		}
	}
}

func TestHostileInput(t *testing.T) {
	for name, src := range hostile() {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			if _, err := Parse(src); err == nil {
				t.Error("accepted")
			} else if len(err.Error()) > 5000 {
				t.Errorf("message of %d bytes", len(err.Error()))
			}
			if d := time.Since(begin); d > 10*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range converterCases(f) {
		f.Add(c.Jenkinsfile)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, src string) {
		begin := time.Now()
		defer func() {
			if d := time.Since(begin); d > slow {
				t.Errorf("took %v", d)
			}
		}()
		if _, err := Load(src); err != nil {
			var list *ErrorList
			if !errors.As(err, &list) || len(list.Errors) == 0 {
				t.Fatalf("%T", err)
			}
		}
		p, err := Parse(src)
		if err != nil {
			var list *ErrorList
			if !errors.As(err, &list) || len(list.Errors) == 0 {
				t.Fatalf("%T", err)
			}
			return
		}
		p.Parameters()
		p.AgentLabels()
		p.WalkStages(func(s *Stage) {
			_ = p.Text(s)
			if s.Steps != nil {
				for _, st := range s.Steps.List {
					Walk(st.Call, func(n Node) {
						if n.Start().Offset > n.End().Offset {
							t.Fatalf("%T ends before it begins: %v %v", n, n.Start(), n.End())
						}
					})
				}
			}
		})
	})
}
