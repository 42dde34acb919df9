// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// allStages gives every stage of a document with how deep it is nested.
func allStages(list []*docStage, depth int, f func(s *docStage, depth int)) {
	for _, s := range list {
		f(s, depth)
		allStages(s.Stages, depth+1, f)
		allStages(s.Parallel, depth+1, f)
		if s.Matrix != nil {
			allStages(s.Matrix.Stages, depth+1, f)
		}
	}
}

// stageLists gives the lists of stages of a document.
func stageLists(p *docPipeline) []*[]*docStage {
	out := []*[]*docStage{&p.Stages}
	allStages(p.Stages, 0, func(s *docStage, _ int) {
		for _, list := range []*[]*docStage{&s.Stages, &s.Parallel} {
			if len(*list) > 0 {
				out = append(out, list)
			}
		}
		if s.Matrix != nil {
			out = append(out, &s.Matrix.Stages)
		}
	})
	return out
}

// plainStage is a stage in the form in which ToJSON gives it.
func plainStage(name string) *docStage {
	s := newStage(name)
	s.Branches[0].Steps = []*docStep{{Name: "echo", Args: &docArgs{Named: []*docEntry{{Key: "message", Value: &docValue{IsLiteral: true, Value: "it's\nnew"}}}}}}
	return s
}

// editStage makes one edit of the kind that an editor of pipelines makes, of one stage.
func editStage(random *rand.Rand, p *docPipeline) {
	lists := stageLists(p)
	list := lists[random.IntN(len(lists))]
	i := random.IntN(len(*list))
	s := (*list)[i]
	name := "Stage " + string(rune('A'+random.IntN(26)))
	switch random.IntN(10) {
	case 0:
		*list = slices.Insert(slices.Clone(*list), i, plainStage(name))
	case 1:
		if len(*list) > 1 {
			*list = slices.Delete(slices.Clone(*list), i, i+1)
		}
	case 2:
		j := random.IntN(len(*list))
		(*list)[i], (*list)[j] = (*list)[j], (*list)[i]
	case 3:
		s.Name = name
	case 4:
		if s.Agent != nil || s.Matrix == nil {
			s.Agent = &docAgent{Type: "label", Argument: &docValue{IsLiteral: true, Value: "it's \"new\""}}
		}
	case 5:
		s.When = &docWhen{Conditions: []*docStep{{Name: "branch", Args: &docArgs{Single: &docValue{IsLiteral: true, Value: "main"}}}}}
	case 6:
		s.Post = &docPost{Conditions: []*docPostCondition{{Condition: "always", Branch: plainStage("").Branches[0]}}}
	case 7:
		s.Environment = append(slices.Clone(s.Environment), &docEntry{Key: "NEW_" + strings.ToUpper(name[6:]), Value: &docValue{IsLiteral: true, Value: "a\nb"}})
	default:
		if len(s.Branches) > 0 {
			b := s.Branches[random.IntN(len(s.Branches))]
			editList(random, &b.Steps, &docStep{Name: "unknownStep" + name[6:], Args: &docArgs{Named: []*docEntry{{Key: "x", Value: &docValue{IsLiteral: true, Value: true}}}}})
		}
	}
}

// texts gives what each stage and step of a source says in JSON, with its text.
func texts(tb testing.TB, src string) (stages, steps map[string]string) {
	tb.Helper()
	d, err := readDoc(src)
	if err != nil {
		tb.Fatal(err)
	}
	stages, steps = map[string]string{}, map[string]string{}
	text := func(p place) string { return src[p.stmt.From.Offset:p.stmt.To.Offset] }
	allStages(d.Pipeline.Stages, 0, func(s *docStage, depth int) {
		stages[asText(tb, s)+strings.Repeat(">", depth)] = text(s.at)
		for _, b := range s.Branches {
			for _, step := range b.Steps {
				steps[asText(tb, step)+strings.Repeat(">", depth)] = text(step.at)
			}
		}
	})
	return stages, steps
}

func asText(tb testing.TB, v any) string {
	tb.Helper()
	text, err := marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

var falseFlag = regexp.MustCompile(`"(failFast|before(Agent|Input|Options))":false,?`)

// withoutFalse takes the flags away that say no more than their absence.
func withoutFalse(doc []byte) []byte {
	return bytes.ReplaceAll(falseFlag.ReplaceAll(doc, nil), []byte(",}"), []byte("}"))
}

// TestMergeKeepsTheRest makes random edits of stages as an editor does: the stages and the steps that an
// edit did not touch are in the result byte for byte, those that Jenkins does not know too, and the result
// as JSON is the document.
func TestMergeKeepsTheRest(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	corpus := formatCorpus(t)
	names := make([]string, 0, len(corpus))
	for name := range corpus {
		names = append(names, name)
	}
	slices.Sort(names)
	const edits = 12
	made, kept, keptSteps := 0, 0, 0
	for _, name := range names {
		src := corpus[name]
		if _, err := ToJSON(src); err != nil {
			continue
		}
		stages, steps := texts(t, src)
		for range edits {
			doc := editDoc(t, src, func(p *docPipeline) {
				for range 1 + random.IntN(3) {
					editStage(random, p)
				}
			})
			got, err := MergeJSON(src, doc)
			if err != nil {
				var failure *ConvertError
				if !errors.As(err, &failure) {
					t.Fatal(err)
				}
				if _, err := MergeJSON("", doc); err == nil {
					t.Errorf("%s: %v\n%s", name, err, doc)
				}
				continue // the document is wrong, as with two stages of one name
			}
			made++
			var d document
			if err := json.Unmarshal(doc, &d); err != nil {
				t.Fatal(err)
			}
			allStages(d.Pipeline.Stages, 0, func(s *docStage, depth int) {
				if text, ok := stages[asText(t, s)+strings.Repeat(">", depth)]; ok {
					kept++
					if !strings.Contains(got, text) {
						t.Errorf("%s: not found:\n%s\nin\n%s", name, text, got)
					}
				}
				for _, b := range s.Branches {
					for _, step := range b.Steps {
						if text, ok := steps[asText(t, step)+strings.Repeat(">", depth)]; ok {
							keptSteps++
							if !strings.Contains(got, text) {
								t.Errorf("%s: not found: %s\nin\n%s", name, text, got)
							}
						}
					}
				}
			})
			back, err := ToJSON(got)
			if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, got)
			}
			if diff := diffJSON(withoutFalse(doc), withoutFalse(back)); diff != "" {
				t.Errorf("%s: %s\n%s", name, diff, got)
			}
			if t.Failed() {
				t.FailNow()
			}
		}
	}
	t.Logf("%d edits; %d stages and %d steps were kept byte for byte", made, kept, keptSteps)
}
