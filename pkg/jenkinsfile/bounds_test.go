// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestConvertBounds: what is as big or as deep as it may be takes neither long nor much memory, in every
// direction.
func TestConvertBounds(t *testing.T) {
	var many, long strings.Builder
	for i := range 1500 {
		fmt.Fprintf(&many, "stage('s%d') { agent { label 'x' }\n when { branch 'a' }\n steps { sh 'a'\n echo 'b' } }\n", i)
		fmt.Fprintf(&long, "sh 'make %d' // why\n", i)
	}
	wrap := func(stages string) string { return "pipeline {\nagent any\nstages {\n" + stages + "\n}\n}\n" }
	inputs := hostile()
	inputs["many stages"] = wrap(many.String())
	inputs["many steps"] = wrap("stage('a') { steps {\n" + strings.Repeat(long.String(), 8) + "\n} }")
	inputs["equal steps"] = wrap("stage('a') { steps {\n" + strings.Repeat("echo 'x'\n", 20000) + "\n} }")
	inputs["deep steps"] = wrap("stage('a') { steps {\n" + strings.Repeat("timeout(5) {\n", 150) + "echo 'x'\n" + strings.Repeat("}\n", 150) + "\n} }")
	inputs["deep stages"] = wrap(strings.Repeat("stage('a') { stages {\n", 90) + "stage('a') { steps { echo 'x' } }" + strings.Repeat("} }\n", 90))
	inputs["deep conditions"] = wrap("stage('a') { when { " + strings.Repeat("not { ", 150) + "branch 'x'" + strings.Repeat("} ", 150) + "}\nsteps { echo 'x' } }")
	inputs["long string"] = wrap("stage('a') { steps { sh '''" + strings.Repeat("make\n", 100_000) + "''' } }")
	for name, src := range inputs {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		begin := time.Now()
		doc, err := ToJSON(src)
		if err == nil {
			_, _ = FromJSON(doc)
			_, _ = MergeJSON("", doc)
			_, _ = MergeJSON(src, []byte(strings.Replace(strings.Replace(string(doc), `"x"`, `"y"`, 1), `"make 5"`, `"made"`, 1)))
		}
		took := time.Since(begin)
		runtime.ReadMemStats(&after)
		allocated := (after.TotalAlloc - before.TotalAlloc) >> 20
		t.Logf("%-16s %8v %5d MiB allocated, JSON %d KiB, %v", name, took.Round(time.Millisecond), allocated, len(doc)>>10, err == nil)
		if took > slow || allocated > 3000 {
			t.Errorf("%s: took %v and %d MiB", name, took, allocated)
		}
	}
}
