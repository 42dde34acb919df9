// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// commented has a comment wherever one can be, a preamble, and unusual formatting.
const commented = `// head
@Library('shared') _
def helper() { 'h' } // helper

pipeline {
    agent any // where
    // env
    environment {
        A = 'a' // first
        B = "${A}" + 'b' // second
    }
    stages { // all
        // build it
        stage('Build') { // b
            steps {
                // compile
                sh 'make' // now
                echo "x" ; echo 'y'
                someLibraryCall(a: 1, b: [c: 'd'])
                /* tail */
            }
        }

        /* test */
        stage('Test') {
            when { beforeAgent false; branch 'main' /* main */ }
            steps { sh '''
  keep
    this
'''
            }
        }
        stage('Deploy') { steps { script {
            // why
            def x = 1
            foo(x) // call
        } } }
        stage('Fan') {
            failFast true // at once
            parallel {
                // left
                stage('L') { steps { timeout(5) { // wait
                    sh 'l' // l
                } } }
                stage('R') { stages { stage('R1') { steps { echo 'r1' /* r */ } } } } // right
            }
        }
        stage('Grid') {
            matrix {
                axes { axis { name 'OS'; values 'linux', 'mac' } } // os
                stages { stage('Cell') { steps { echo "${OS}" } } } // cells
            }
            post { // p
                success { echo 's' } // ok
                cleanup { echo 'c' }
            }
        }
        // last
    }
    // after
    options { timestamps() } // o
} // end
// tail
`

// TestMergeUnchanged: a document that says what the source says leaves it as it is.
func TestMergeUnchanged(t *testing.T) {
	n := 0
	for name, src := range mergeCorpus(t) {
		doc, err := ToJSON(src)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		n++
		if got, err := MergeJSON(src, doc); err != nil || got != src {
			t.Errorf("%s: %v\n%s", name, err, cmp.Diff(src, got))
		}
	}
	t.Logf("%d sources are kept byte for byte", n)
}

// mergeCorpus is every source that Jenkins converted, and some in other forms.
func mergeCorpus(tb testing.TB) map[string]string {
	tb.Helper()
	out := map[string]string{
		"commented": commented, "tabs": strings.ReplaceAll(commented, "    ", "\t"), "CRLF": strings.ReplaceAll(commented, "\n", "\r\n"),
		"seed": seed,
	}
	for _, e := range exchanges(tb) {
		if e.Call == "toJson" && strings.Contains(string(e.Answer), `"success"`) {
			out[e.Name] = e.Input
		}
	}
	return out
}

// editDoc changes the document of a source.
func editDoc(tb testing.TB, src string, edit func(p *docPipeline)) []byte {
	tb.Helper()
	doc, err := ToJSON(src)
	if err != nil {
		tb.Fatal(err)
	}
	var d document
	if err := json.Unmarshal(doc, &d); err != nil {
		tb.Fatal(err)
	}
	edit(d.Pipeline)
	if doc, err = marshal(&d); err != nil {
		tb.Fatal(err)
	}
	return doc
}

func echoStep(text string) *docStep {
	return &docStep{Name: "echo", Args: &docArgs{Single: &docValue{IsLiteral: true, Value: text}}}
}

func newStage(name string) *docStage {
	return &docStage{Name: name, Branches: []*docBranch{{Name: "default", Steps: []*docStep{echoStep("new")}}}}
}

func indented(text, by string) string {
	return by + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n"+by) + "\n"
}

// change is what an edit takes from the source and puts in its place.
type change struct{ from, to string }

func TestMergeEdits(t *testing.T) {
	build := commented[strings.Index(commented, "        // build it"):strings.Index(commented, "\n        /* test */")]
	test := commented[strings.Index(commented, "\n        /* test */"):strings.Index(commented, "        stage('Deploy')")]
	cases := map[string]struct {
		reason  string
		edit    func(p *docPipeline)
		changes []change
	}{
		"argument": {"only the step is written", func(p *docPipeline) { p.Stages[0].Branches[0].Steps[0] = echoStep("n") },
			[]change{{"sh 'make' // now", "echo 'n' // now"}}},
		"rename": {"the stage keeps all of its text", func(p *docPipeline) { p.Stages[0].Name = "It's" },
			[]change{{"stage('Build') {", `stage('It\'s') {`}}},
		"rename nested": {"in parallel and in matrix", func(p *docPipeline) {
			p.Stages[3].Parallel[1].Stages[0].Name, p.Stages[4].Matrix.Stages[0].Name = "R2", "C2"
		}, []change{{"stage('R1')", "stage('R2')"}, {"stage('Cell')", "stage('C2')"}}},
		"step in parallel": {"merged by path", func(p *docPipeline) { p.Stages[3].Parallel[0].Branches[0].Steps[0].Children[0] = echoStep("l") },
			[]change{{"sh 'l' // l", "echo 'l' // l"}}},
		"delete": {"its comments go with it", func(p *docPipeline) { p.Stages = p.Stages[1:] }, []change{{build, ""}}},
		"move": {"its comments come with it", func(p *docPipeline) { p.Stages[0], p.Stages[1] = p.Stages[1], p.Stages[0] },
			[]change{{build + test, test + build}}},
		"insert": {"in the style of the file", func(p *docPipeline) { p.Stages = append([]*docStage{newStage("New")}, p.Stages...) },
			[]change{{"stages { // all\n", "stages { // all\n        stage('New') {\n            steps {\n                echo 'new'\n            }\n        }\n\n"}}},
		"append": {"the comment at the end stays there", func(p *docPipeline) { p.Stages = append(p.Stages, newStage("New")) },
			[]change{{"\n        // last", "\n\n        stage('New') {\n            steps {\n                echo 'new'\n            }\n        }\n        // last"}}},
		"wrap": {"stages that move into another keep their text", func(p *docPipeline) {
			p.Stages[0] = &docStage{Name: "Both", Parallel: []*docStage{p.Stages[0]}}
		}, []change{{build, "        stage('Both') {\n            parallel {\n" + indented(build, "        ") + "            }\n        }\n"}}},
		"variable": {"the other one is kept as it was written", func(p *docPipeline) { p.Environment[0].Value.Value = "c" },
			[]change{{"A = 'a' // first", "A = 'c' // first"}}},
		"variables": {"a concatenation that moves is not written anew", func(p *docPipeline) {
			p.Environment = append(p.Environment[1:], &docEntry{Key: "N", Value: &docValue{Value: `"${A}"`}})
		}, []change{{"        A = 'a' // first\n", ""}, {"// second\n", "// second\n        N = \"${A}\"\n"}}},
		"section": {"new sections stand where people put them", func(p *docPipeline) {
			p.Triggers = &docTriggers{[]*docCall{{Name: "cron", Args: []docArg{{Value: &docValue{IsLiteral: true, Value: "@daily"}}}}}}
			p.Stages[0].Agent = &docAgent{Type: "label", Argument: &docValue{IsLiteral: true, Value: "go"}}
		}, []change{{"    stages { // all", "    triggers {\n        cron('@daily')\n    }\n    stages { // all"},
			{"{ // b\n", "{ // b\n            agent {\n                label 'go'\n            }\n"}}},
		"no section": {"a section that goes takes its comments", func(p *docPipeline) { p.Environment, p.Options = nil, nil },
			[]change{{commented[strings.Index(commented, "    // env\n"):strings.Index(commented, "    stages { // all")], ""},
				{"    // after\n    options { timestamps() } // o\n", ""}}},
		"flag": {"the statement that says false is the place for true", func(p *docPipeline) { on := true; p.Stages[1].When.BeforeAgent = &on },
			[]change{{"beforeAgent false;", "beforeAgent true;"}}},
		"condition": {"beside a flag", func(p *docPipeline) { p.Stages[1].When.Conditions[0].Args.Single.Value = "dev" },
			[]change{{"branch 'main'", "branch 'dev'"}}},
		"condition without arguments": {"Jenkins writes it so that it cannot read it", func(p *docPipeline) {
			p.Stages[1].When.Conditions = []*docStep{{Name: "buildingTag", Args: &docArgs{}}}
		}, []change{{"branch 'main'", "buildingTag()"}}},
		"script": {"the comments around the code stay", func(p *docPipeline) {
			p.Stages[2].Branches[0].Steps[0].Args.Named[0].Value.Value = "def x = 2\n            foo(x) // more"
		}, []change{{"def x = 1", "def x = 2"}, {"foo(x) // call", "foo(x) // more // call"}}},
		"fail fast off": {"the statement goes", func(p *docPipeline) { p.Stages[3].FailFast = nil }, []change{{"            failFast true // at once\n", ""}}},
		"post in one line": {"a line end where there was none", func(p *docPipeline) {
			c := p.Stages[4].Post.Conditions
			p.Stages[4].Post.Conditions = []*docPostCondition{c[1], c[0]}
		}, []change{{"                success { echo 's' } // ok\n                cleanup { echo 'c' }\n", "                cleanup { echo 'c' }\n                success { echo 's' } // ok\n"}}},
		"axis": {"one value more", func(p *docPipeline) {
			a := p.Stages[4].Matrix.Axes[0]
			a.Values = append(a.Values, &docValue{IsLiteral: true, Value: "bsd"})
		}, []change{{"values 'linux', 'mac'", "values 'linux', 'mac', 'bsd'"}}},
		"order of steps": {"on one line", func(p *docPipeline) {
			s := p.Stages[0].Branches[0].Steps
			s[1], s[2] = s[2], s[1]
		}, []change{{"                echo \"x\" ; echo 'y'\n", "                echo 'y'\n                echo \"x\" ;\n"}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			doc := editDoc(t, commented, tc.edit)
			want := commented
			for _, c := range tc.changes {
				if strings.Count(want, c.from) != 1 {
					t.Fatalf("%q is %d times in the source", c.from, strings.Count(want, c.from))
				}
				want = strings.Replace(want, c.from, c.to, 1)
			}
			got, err := MergeJSON(commented, doc)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); d != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, d)
			}
		})
	}
}

// TestMergeMeansTheDocument makes random edits of everything and checks that the merged text means
// the document, without the help of the printer that MergeJSON falls back on.
func TestMergeMeansTheDocument(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	tried, failed := 0, 0
	for name, src := range mergeCorpus(t) {
		old, err := readDoc(src)
		if err != nil {
			t.Fatal(err)
		}
		for range 40 {
			doc := editDoc(t, src, func(p *docPipeline) {
				for range 1 + random.IntN(3) {
					editRandomly(random, p)
				}
			})
			d, err := parseDoc(doc, storedSchema)
			if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, doc)
			}
			b := elementBuilder{}
			root, fresh := b.pipeline(old.Pipeline), b.pipeline(d.Pipeline)
			text := newMerger(src, root, fresh).pipeline(root, fresh)
			tried++
			if err := means(text, fresh); err != nil {
				if _, printed := replace("", fresh, Span{}); printed != nil {
					continue // the document itself is wrong, as with two stages of one name
				}
				failed++
				t.Errorf("%s: %v\n%s\n%s", name, err, cmp.Diff(strings.Split(src, "\n"), strings.Split(text, "\n")), doc)
			}
			if failed > 3 {
				t.FailNow()
			}
		}
	}
	t.Logf("%d edits", tried)
}

// editRandomly makes one edit.
func editRandomly(random *rand.Rand, p *docPipeline) {
	lists := []*[]*docStage{&p.Stages}
	var steps []*[]*docStep
	var posts []*docPost
	collect := func(s *docStage) {
		for _, list := range []*[]*docStage{&s.Stages, &s.Parallel} {
			if len(*list) > 0 {
				lists = append(lists, list)
			}
		}
		if s.Matrix != nil {
			lists = append(lists, &s.Matrix.Stages)
		}
		for _, b := range s.Branches {
			steps = append(steps, &b.Steps)
			for _, step := range b.Steps {
				if len(step.Children) > 0 {
					steps = append(steps, &step.Children)
				}
			}
		}
		if s.Post != nil {
			posts = append(posts, s.Post)
		}
	}
	for i := 0; i < len(lists); i++ {
		for _, s := range *lists[i] {
			collect(s)
		}
	}
	list := lists[random.IntN(len(lists))]
	switch random.IntN(8) {
	case 0:
		editList(random, list, newStage("Stage "+string(rune('A'+random.IntN(26)))))
	case 1:
		(*list)[random.IntN(len(*list))].Name += "!"
	case 2:
		i := random.IntN(len(*list))
		(*list)[i] = &docStage{Name: "Wrap " + (*list)[i].Name, Stages: []*docStage{(*list)[i]}}
	case 3, 4:
		if len(steps) > 0 {
			editList(random, steps[random.IntN(len(steps))], echoStep("it's\nnew"))
		}
	case 5:
		if len(posts) > 0 {
			editList(random, &posts[random.IntN(len(posts))].Conditions, &docPostCondition{Condition: "notBuilt", Branch: newStage("").Branches[0]})
		}
	case 6:
		entry := &docEntry{Key: "NEW", Value: &docValue{Value: `"${A}"`}}
		if len(p.Environment) == 0 {
			p.Environment = []*docEntry{entry}
		} else {
			editList(random, &p.Environment, entry)
		}
	case 7:
		p.Agent = &docAgent{Type: "node", Args: []*docEntry{{Key: "label", Value: &docValue{IsLiteral: true, Value: "x"}}}}
		p.Options, p.Triggers = nil, nil
	}
}

// editList deletes, moves or inserts an item.
func editList[T any](random *rand.Rand, list *[]T, item T) {
	l := append([]T(nil), *list...)
	i, j := random.IntN(len(l)), random.IntN(len(l))
	switch random.IntN(3) {
	case 0:
		if len(l) > 1 {
			l = append(l[:i], l[i+1:]...)
		}
	case 1:
		l[i], l[j] = l[j], l[i]
	case 2:
		l = append(l[:i], append([]T{item}, l[i:]...)...)
	}
	*list = l
}

func TestMergeReplaces(t *testing.T) {
	doc := editDoc(t, seed, func(*docPipeline) {})
	for name, stored := range map[string]string{"empty": "", "scripted": "node { sh 'x' }", "broken": "pipeline {\n"} {
		got, err := MergeJSON(stored, doc)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		back, err := ToJSON(got)
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, got)
		}
		if d := diffJSON(doc, back); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestLibrariesAreKept: Jenkins loses their names.
func TestLibrariesAreKept(t *testing.T) {
	src := "pipeline {\n  agent any\n  libraries { lib('a@b') }\n  stages { stage('a') { steps { echo 'x' } } }\n}"
	doc, err := ToJSON(src)
	if err != nil {
		t.Fatal(err)
	}
	jenkins, err := FromJSON(doc)
	if err != nil || !strings.Contains(jenkins, "lib('')") {
		t.Errorf("FromJSON is not what Jenkins does: %v\n%s", err, jenkins)
	}
	got, err := MergeJSON("", doc)
	if err != nil || !strings.Contains(got, "lib('a@b')") {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestConvertErrors(t *testing.T) {
	stage := func(s string) string {
		return `{"pipeline":{"agent":{"type":"any"},"stages":[{"name":"a",` + s + `}]}}`
	}
	step := func(s string) string { return stage(`"branches":[{"name":"default","steps":[` + s + `]}]`) }
	cases := map[string]struct{ reason, doc, want string }{
		"blank":     {"as without content", "  \n", `{"result":"failure","errors":[{"error":"No content found for 'json' parameter"}]}`},
		"cut array": {"the innermost bracket is told", `{"pipeline": {"stages": [`, "within/between Array entries"},
		"character": {"with its place", "{\n \"pipeline\": ü}", "Unexpected character ('ü' (code 252))\\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 2, column: 14]"},
		"two":       {"one document only", "{} {}", "Unexpected content behind the document"},
		"deep":      {"bounded", strings.Repeat(`{"pipeline":`, 200) + strings.Repeat("}", 200), "Nested deeper than"},
		"big":       {"bounded", `{"pipeline":"` + strings.Repeat("x", MaxJSONSize) + `"}`, "more than the"},
		"UTF-8":     {"refused", "{\"pipeline\": \"\xff\"}", "Invalid UTF-8"},
		"step name": {"a name is no code", step(`{"name":"sh 'x'; echo","arguments":[]}`), `"location":["pipeline","stages","0","branches","0","steps","0","name"]`},
		"no type":   {"an expression is a text", step(`{"name":"echo","arguments":{"isLiteral":false,"value":5}}`), "Invalid value type"},
		"code":      {"an expression must be one", step(`{"name":"echo","arguments":{"isLiteral":false,"value":"${a b; c(}"}}`), `"jenkinsfileErrors"`},
		"empty stage": {"what is found in the check has a location", stage(`"branches":[]`),
			`{"location":["pipeline","stages","0"],"error":"Expected one of`},
		"same names": {"of the list", `{"pipeline":{"agent":{"type":"any"},"stages":[{"name":"a","branches":[{"name":"default","steps":[{"name":"deleteDir","arguments":[]}]}]},{"name":"a","branches":[{"name":"default","steps":[{"name":"deleteDir","arguments":[]}]}]}]}}`,
			`{"location":["pipeline","stages"],"error":"Duplicate stage name: \"a\""}`},
		"variable": {"the name of an environment variable", `{"pipeline":{"agent":{"type":"any"},"environment":[{"key":"a-b","value":{"isLiteral":true,"value":"x"}}],"stages":[{"name":"a"}]}}`,
			`"location":["pipeline","environment","0","key"]`},
		"any of":   {"no alternative fits", step(`{"name":"echo","arguments":"x"}`), "instance failed to match at least one required schema among 2"},
		"children": {"of a step", step(`{"name":"dir","arguments":[],"children":[{"name":"echo"}]}`), "instance failed to match at least one required schema among 2"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := FromJSON([]byte(tc.doc))
			var failure *ConvertError
			if !errors.As(err, &failure) {
				t.Fatalf("%T %v", err, err)
			}
			text, err := json.Marshal(failure)
			if err != nil {
				t.Fatal(err)
			}
			var plain strings.Builder
			e := json.NewEncoder(&plain)
			e.SetEscapeHTML(false)
			if err := e.Encode(failure); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(plain.String(), tc.want) {
				t.Errorf("%s: got %s", tc.reason, text)
			}
			if failure.Error() == "" {
				t.Error("no text")
			}
			if _, err := MergeJSON(commented, []byte(tc.doc)); !errors.As(err, &failure) {
				t.Errorf("MergeJSON: %T %v", err, err)
			}
		})
	}
}

func TestScriptedToJSON(t *testing.T) {
	_, err := ToJSON("node { stage('a') { echo 'x' } }")
	if !errors.Is(err, ErrScripted) {
		t.Errorf("got %v", err)
	}
}
