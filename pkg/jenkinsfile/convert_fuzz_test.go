// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// checkConvertError fails unless the error is one that a caller can show.
func checkConvertError(t *testing.T, err error) {
	t.Helper()
	var failure *ConvertError
	if !errors.As(err, &failure) || len(failure.Problems) == 0 {
		t.Fatalf("%T: %v", err, err)
	}
	if text, err := json.Marshal(failure); err != nil || !json.Valid(text) {
		t.Fatalf("%v: %s", err, text)
	}
}

// FuzzToJSON: what is converted merges into itself, and what Jenkins' form loses comes back.
func FuzzToJSON(f *testing.F) {
	for _, e := range exchanges(f) {
		if e.Call == "toJson" {
			f.Add(e.Input)
		}
	}
	f.Add(commented)
	f.Fuzz(func(t *testing.T, src string) {
		doc, err := ToJSON(src)
		if err != nil {
			checkConvertError(t, err)
			return
		}
		if !json.Valid(doc) {
			t.Fatalf("not JSON: %s", doc)
		}
		if len(doc) > MaxJSONSize {
			return
		}
		got, err := MergeJSON(src, doc)
		if err != nil {
			checkConvertError(t, err)
			if deeperThan(doc, maxJSONDepth) {
				return
			}
			t.Fatalf("%v\n%s\n%s", err, src, doc)
		}
		if got != src {
			t.Fatalf("changed:\n%q\n%q", src, got)
		}
	})
}

// slow is longer than any input may take, on a machine that does other things as well.
const slow = 20 * time.Second

// FuzzConvert: what was converted there and back says the same from then on. The first way loses what
// Jenkins loses.
func FuzzConvert(f *testing.F) {
	for _, src := range mergeCorpus(f) {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		begin := time.Now()
		defer func() {
			if d := time.Since(begin); d > slow {
				t.Errorf("took %v", d)
			}
		}()
		doc, err := ToJSON(src)
		if err != nil {
			checkConvertError(t, err)
			return
		}
		printed, err := FromJSON(doc)
		if err != nil {
			checkConvertError(t, err)
			return
		}
		doc, err = ToJSON(printed)
		if err != nil {
			t.Fatalf("%v\n%s", err, printed)
		}
		again, err := FromJSON(doc)
		if err != nil || again != printed {
			t.Fatalf("%v\n%s\n%s\n%s", err, src, doc, cmp.Diff(printed, again))
		}
	})
}

// FuzzFromJSON: what is written is a pipeline.
func FuzzFromJSON(f *testing.F) {
	for _, e := range exchanges(f) {
		if e.Call == "toJenkinsfile" {
			f.Add([]byte(e.Input))
		}
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		src, err := FromJSON(doc)
		if err != nil {
			checkConvertError(t, err)
			return
		}
		if _, err := Parse(src); err != nil {
			t.Fatalf("%v\n%s", err, src)
		}
	})
}

// FuzzMergeJSON: what is merged means the document, and merging it again changes nothing.
func FuzzMergeJSON(f *testing.F) {
	var docs []string
	for _, e := range exchanges(f) {
		if e.Call == "toJenkinsfile" {
			docs = append(docs, e.Input)
		}
	}
	for i, doc := range docs {
		f.Add(commented, []byte(doc))
		f.Add("", []byte(doc))
		if src, err := FromJSON([]byte(docs[(i+1)%len(docs)])); err == nil {
			f.Add(src, []byte(doc))
		}
	}
	f.Fuzz(func(t *testing.T, stored string, doc []byte) {
		got, err := MergeJSON(stored, doc)
		if err != nil {
			checkConvertError(t, err)
			return
		}
		d, err := parseDoc(doc, storedSchema)
		if err != nil {
			t.Fatal(err)
		}
		if err := means(got, (elementBuilder{}).pipeline(d.Pipeline)); err != nil && got != stored {
			t.Fatalf("%v\n%s\n%s", err, doc, got)
		}
		if again, err := MergeJSON(got, doc); err != nil || again != got {
			t.Fatalf("again: %v\n%q\n%q", err, got, again)
		}
	})
}

// FuzzMergeEdits: random edits of any pipeline are merged without the help of the printer.
func FuzzMergeEdits(f *testing.F) {
	i := uint64(0)
	for _, src := range mergeCorpus(f) {
		i++
		f.Add(src, i)
	}
	f.Fuzz(func(t *testing.T, src string, seed uint64) {
		old, err := readDoc(src)
		if err != nil {
			return
		}
		random := rand.New(rand.NewPCG(seed, 0))
		doc := editDoc(t, src, func(p *docPipeline) {
			for range 1 + random.IntN(4) {
				editRandomly(random, p)
			}
		})
		d, err := parseDoc(doc, storedSchema)
		if err != nil {
			return
		}
		b := elementBuilder{}
		root, fresh := b.pipeline(old.Pipeline), b.pipeline(d.Pipeline)
		text := newMerger(src, root, fresh).pipeline(root, fresh)
		if err := means(text, fresh); err != nil {
			if _, printed := replace("", fresh, Span{}); printed == nil {
				t.Fatalf("%v\n%s\n%s\n%s", err, src, doc, text)
			}
		}
	})
}
