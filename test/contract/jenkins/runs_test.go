// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// startCases are the facts that a run is started exactly once by.
var startCases = []testCase{
	{name: "start/cause in queue and build", run: func(e *env) {
		t := e.t
		ctx := t.Context()
		j := e.job(t, "one", steps("sleep 3"), oneAtATime)
		_, err := e.FindByCause(ctx, e.dir, j.name, j.cause("a"))
		is(t, "FindByCause before", err, jenkins.ErrNotFound)
		first := j.start(t, "a")
		found, err := e.FindByCause(ctx, e.dir, j.name, j.cause("a"))
		if err != nil || found.BuildNumber != first {
			t.Errorf("the build: %+v, %v; want build %d", found, err, first)
		}
		item := j.queue(t, "b") // it waits for the first to end
		found, err = e.FindByCause(ctx, e.dir, j.name, j.cause("b"))
		if err != nil || found.QueueID != item {
			t.Errorf("in the queue: %+v, %v; want item %d", found, err, item)
		}
		_, err = e.FindByCause(ctx, e.dir, j.name, j.cause(""))
		is(t, "a part of a cause", err, jenkins.ErrNotFound)
		second := j.number(t, item)
		if found, err = e.FindByCause(ctx, e.dir, j.name, j.cause("b")); err != nil || found.BuildNumber != second || found.QueueID != item {
			t.Errorf("after the queue: %+v, %v; want build %d of item %d", found, err, second, item)
		}
		j.ends(t, second, jenkins.ResultSuccess)
	}},
	{name: "start/equal starts become one, with both causes", run: func(e *env) {
		t := e.t
		ctx := t.Context()
		j := e.job(t, "one", steps("sleep 120"), oneAtATime)
		first := j.start(t, "0")
		a, b := j.queue(t, "a"), j.queue(t, "b")
		if a != b {
			t.Fatalf("two items: %d and %d", a, b)
		}
		must(t, e.StopBuild(ctx, e.dir, j.name, first)) // however long the two took, it was there for both
		number := j.number(t, a)
		for _, cause := range []string{"a", "b"} {
			if found, err := e.FindByCause(ctx, e.dir, j.name, j.cause(cause)); err != nil || found.BuildNumber != number {
				t.Errorf("%s: %+v, %v; want build %d", cause, found, err, number)
			}
		}
	}},
	{name: "start/other parameters become another", run: func(e *env) {
		t := e.t
		j := e.job(t, "one", steps("sleep 3"), oneAtATime, params(devopsv1alpha3.ParameterDefinition{Name: "N", Type: "string"}))
		j.start(t, "0", jenkins.Parameter{Name: "N", Value: "0"})
		a := j.queue(t, "a", jenkins.Parameter{Name: "N", Value: "1"})
		b := j.queue(t, "b", jenkins.Parameter{Name: "N", Value: "2"})
		if a == b {
			t.Errorf("both are item %d", a)
		}
		if x, y := j.number(t, a), j.number(t, b); x == y {
			t.Errorf("both are build %d", x)
		}
	}},
	{name: "start/many at once", run: func(e *env) {
		t := e.t
		const many = 20
		j := e.job(t, "many", steps("echo 'x'"), params(devopsv1alpha3.ParameterDefinition{Name: "N", Type: "string"}))
		var mu sync.Mutex
		var wg sync.WaitGroup
		numbers := map[int64]bool{}
		for i := range many {
			wg.Go(func() {
				cause := j.cause(strconv.Itoa(i))
				_, err := e.StartBuild(t.Context(), e.dir, j.name, jenkins.StartRequest{Token: jobToken, Cause: cause, HasParameters: true,
					Parameters: []jenkins.Parameter{{Name: "N", Value: cause}}})
				if err != nil {
					t.Error(err)
					return
				}
				var found *jenkins.Found
				for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
					if found, err = e.FindByCause(t.Context(), e.dir, j.name, cause); err != nil || found.BuildNumber > 0 {
						break
					}
					time.Sleep(20 * time.Millisecond)
				}
				if err != nil || found.BuildNumber == 0 {
					t.Errorf("%s: %+v, %v", cause, found, err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				numbers[found.BuildNumber] = true
			})
		}
		wg.Wait()
		if len(numbers) != many {
			t.Errorf("%d starts became %d builds", many, len(numbers))
		}
	}},
	{name: "start/the wrong endpoint is refused", run: func(e *env) {
		t := e.t
		plain := e.job(t, "plain", steps("echo 'x'"))
		with := e.job(t, "with", steps("echo 'x'"), params(devopsv1alpha3.ParameterDefinition{Name: "N", Type: "string"}))
		for name, parameters := range map[string]bool{plain.name: true, with.name: false} {
			_, err := e.StartBuild(t.Context(), e.dir, name, jenkins.StartRequest{Token: jobToken, Cause: "c", HasParameters: parameters})
			is(t, name, err, jenkins.ErrInvalid)
		}
		_, err := e.StartBuild(t.Context(), e.dir, "nosuch", jenkins.StartRequest{Token: jobToken, Cause: "c"})
		is(t, "no such job", err, jenkins.ErrNotFound)
	}},
	{name: "start/parameters come through", run: func(e *env) {
		t := e.t
		values := awkward()
		var defs []devopsv1alpha3.ParameterDefinition
		var given []jenkins.Parameter
		script, want := "", ""
		for _, name := range slices.Sorted(maps.Keys(values)) {
			defs = append(defs, devopsv1alpha3.ParameterDefinition{Name: name, Type: "text", DefaultValue: "default"})
			given = append(given, jenkins.Parameter{Name: name, Value: values[name]})
			script += "[${params." + name + "}]"
			want += "[" + values[name] + "]"
		}
		j := e.job(t, "params", steps(`echo "`+script+`"`), params(defs...))
		given = append(given, jenkins.Parameter{Name: "NOT_DEFINED", Value: "x"})
		n := j.start(t, "c", given...)
		j.ends(t, n, jenkins.ResultSuccess)
		if log := j.log(t, n); !strings.Contains(log, want) {
			t.Errorf("the log has no %q:\n%s", want, log)
		}
	}},
	{name: "queue/cancel", run: func(e *env) {
		t := e.t
		ctx := t.Context()
		j := e.job(t, "one", steps("sleep 30"), oneAtATime)
		first := j.start(t, "a")
		item := j.queue(t, "b")
		until(t, "the item says why it waits", func() (bool, error) {
			q, err := e.GetQueueItem(ctx, item)
			return err == nil && q.Why != "" && q.BuildNumber == 0 && !q.Since.IsZero(), err
		})
		for range 2 {
			must(t, e.CancelQueueItem(ctx, item))
		}
		q, err := e.GetQueueItem(ctx, item)
		if err != nil || !q.Cancelled || q.BuildNumber != 0 {
			t.Errorf("%+v, %v", q, err)
		}
		is(t, "an item that never was", e.CancelQueueItem(ctx, 1<<40), jenkins.ErrNotFound)
		must(t, e.StopBuild(ctx, e.dir, j.name, first))
		j.ends(t, first, jenkins.ResultAborted)
	}},
}

var runCases = []testCase{
	{name: "run/results", run: func(e *env) {
		t := e.t
		for result, body := range map[string]string{
			jenkins.ResultSuccess: "echo 'x'", jenkins.ResultFailure: "error 'no'", jenkins.ResultUnstable: "unstable 'hm'",
			jenkins.ResultNotBuilt: "script { currentBuild.result = 'NOT_BUILT' }",
		} {
			j := e.job(t, strings.ToLower(result), steps(body))
			n := j.start(t, "c")
			j.ends(t, n, result)
			statuses, err := e.BuildStatuses(t.Context(), e.dir)
			must(t, err)
			list := statuses[j.name]
			if len(list) != 1 || list[0].Number != n || list[0].Building || list[0].Result != result || list[0].Start.IsZero() || list[0].QueueID == 0 {
				t.Errorf("bulk status of %s: %+v", j.name, list)
			}
		}
	}},
	{name: "run/bulk status of a folder", run: func(e *env) {
		t := e.t
		a := e.job(t, "a", steps("echo 'x'"))
		b := e.job(t, "b", steps("sleep 30"))
		e.job(t, "never", steps("echo 'x'"))
		for range 3 {
			a.ends(t, a.start(t, "c"), jenkins.ResultSuccess)
		}
		running := b.start(t, "c")
		statuses, err := e.BuildStatuses(t.Context(), e.dir)
		must(t, err)
		if len(statuses["a"]) != 3 || statuses["a"][0].Number != 3 || len(statuses["b"]) != 1 || !statuses["b"][0].Building || len(statuses["never"]) != 0 {
			t.Errorf("%+v", statuses)
		}
		must(t, e.StopBuild(t.Context(), e.dir, b.name, running))
	}},
	{name: "run/a broken Jenkinsfile", run: func(e *env) {
		t := e.t
		j := e.job(t, "broken", "pipeline { nonsense")
		n := j.start(t, "c")
		j.ends(t, n, jenkins.ResultFailure)
		if log := j.log(t, n); !strings.Contains(log, "WorkflowScript") {
			t.Errorf("the log does not say where:\n%s", log)
		}
	}},
	{name: "run/stages", run: func(e *env) {
		t := e.t
		j := e.job(t, "stages", stages("stage('build ü') { steps { echo 'b' } }\n"+
			"stage('both') { parallel {\nstage('left') { steps { echo 'l' } }\nstage('right') { steps { echo 'r' } }\n} }\n"+
			"stage('never') { when { expression { false } }\nsteps { echo 'n' } }"))
		n := j.start(t, "c")
		j.ends(t, n, jenkins.ResultSuccess)
		list, err := e.Stages(t.Context(), e.dir, j.name, n)
		must(t, err)
		got := map[string]string{}
		stepsOf := map[string]int{}
		for _, s := range list {
			got[s.DisplayName] = s.Type + " " + s.State
			stepsOf[s.DisplayName] = len(s.Steps)
		}
		for name, want := range map[string]string{"build ü": "STAGE FINISHED", "left": "PARALLEL FINISHED", "right": "PARALLEL FINISHED", "never": "STAGE SKIPPED"} {
			if got[name] != want {
				t.Errorf("%s is %q, want %q (all: %v)", name, got[name], want, got)
			}
		}
		if stepsOf["build ü"] == 0 || stepsOf["left"] == 0 || stepsOf["never"] != 0 {
			t.Errorf("steps: %v", stepsOf)
		}
	}},
	{name: "run/stop", run: func(e *env) {
		t := e.t
		j := e.job(t, "long", steps("sleep 120"))
		n := j.start(t, "c")
		j.state(t, n, jenkins.StateRunning)
		for range 2 { // it may take a moment to end
			must(t, e.StopBuild(t.Context(), e.dir, j.name, n))
		}
		j.ends(t, n, jenkins.ResultAborted)
		must(t, e.StopBuild(t.Context(), e.dir, j.name, n))
		if got := j.result(t, n); got != jenkins.ResultAborted {
			t.Errorf("a stop after the end makes it %s", got)
		}
		is(t, "a build that never was", e.StopBuild(t.Context(), e.dir, j.name, 99), jenkins.ErrNotFound)
	}},
	{name: "run/delete", run: func(e *env) {
		t := e.t
		j := e.job(t, "gone", steps("echo 'x'"))
		j.ends(t, j.start(t, "1"), jenkins.ResultSuccess)
		j.ends(t, j.start(t, "2"), jenkins.ResultSuccess)
		for range 2 {
			must(t, e.DeleteBuild(t.Context(), e.dir, j.name, 1))
		}
		_, err := e.GetRun(t.Context(), e.dir, j.name, 1)
		is(t, "the run", err, jenkins.ErrNotFound)
		_, err = e.FindByCause(t.Context(), e.dir, j.name, j.cause("1"))
		is(t, "its cause", err, jenkins.ErrNotFound)
		if n := j.start(t, "3"); n != 3 {
			t.Errorf("the next build is %d, want 3", n)
		}
	}},
	{name: "run/replay", run: func(e *env) {
		t := e.t
		j := e.job(t, "again", steps("echo \"value is ${params.N}\""), params(devopsv1alpha3.ParameterDefinition{Name: "N", Type: "string", DefaultValue: "default"}))
		first := j.start(t, "c", jenkins.Parameter{Name: "N", Value: "given"})
		j.ends(t, first, jenkins.ResultSuccess)
		item, err := e.ReplayRun(t.Context(), e.dir, j.name, first)
		must(t, err)
		second := j.number(t, item)
		j.ends(t, second, jenkins.ResultSuccess)
		if log := j.log(t, second); second == first || !strings.Contains(log, "value is given") {
			t.Errorf("build %d of %d:\n%s", second, first, log)
		}
		_, err = e.ReplayRun(t.Context(), e.dir, j.name, 99)
		is(t, "a build that never was", err, jenkins.ErrNotFound)
	}},
	{name: "input/proceed", needs: []capability{inputs}, run: func(e *env) {
		t := e.t
		j := e.job(t, "asks", steps("input id: 'gate', message: 'Go ü?', ok: 'Yes'; echo 'went on'"))
		n := j.start(t, "c")
		answer, in := j.waiting(t, n)
		if in.ID != "Gate" || in.Message != "Go ü?" || in.OK != "Yes" {
			t.Errorf("%+v", in)
		}
		wrong := answer
		wrong.InputID = "gate"
		is(t, "with the id as it was written", e.SubmitInput(t.Context(), e.dir, j.name, n, wrong), jenkins.ErrInvalid)
		must(t, e.SubmitInput(t.Context(), e.dir, j.name, n, answer))
		j.ends(t, n, jenkins.ResultSuccess)
		is(t, "after the end", e.SubmitInput(t.Context(), e.dir, j.name, n, answer), jenkins.ErrInvalid)
		if log := j.log(t, n); !strings.Contains(log, "went on") {
			t.Errorf("log:\n%s", log)
		}
	}},
	{name: "input/abort", needs: []capability{inputs}, run: func(e *env) {
		t := e.t
		j := e.job(t, "asks", steps("input id: 'gate', message: 'Go?'; echo 'went on'"))
		n := j.start(t, "c")
		answer, _ := j.waiting(t, n)
		answer.Abort = true
		must(t, e.SubmitInput(t.Context(), e.dir, j.name, n, answer))
		j.ends(t, n, jenkins.ResultAborted)
	}},
}

// waiting waits until a build asks, and gives what is needed for an answer.
func (j *job) waiting(t *testing.T, number int64) (answer jenkins.Answer, in *jenkins.Input) {
	t.Helper()
	j.state(t, number, jenkins.StatePaused, jenkins.StateFinished)
	until(t, "a step waits for an answer", func() (bool, error) {
		list, err := j.e.Stages(t.Context(), j.e.dir, j.name, number)
		for _, stage := range list {
			for _, step := range stage.Steps {
				if step.Input != nil {
					answer, in = jenkins.Answer{Node: stage.ID, Step: step.ID, InputID: step.Input.ID}, step.Input
				}
			}
		}
		return in != nil, err
	})
	return answer, in
}

var logCases = []testCase{
	{name: "log/parts make the whole", run: func(e *env) {
		t := e.t
		j := e.job(t, "talks", steps("echo 'begin ü'; sleep 1; echo 'middle 日本語'; sleep 1; echo 'end'"))
		n := j.start(t, "c")
		var parts strings.Builder
		var from int64
		until(t, "the log ends", func() (bool, error) {
			text, next, more, err := e.Log(t.Context(), e.dir, j.name, n, from)
			if err != nil {
				return false, err
			}
			defer func() { _ = text.Close() }()
			if next < from {
				t.Errorf("the offset went back from %d to %d", from, next)
			}
			from = next
			_, err = io.Copy(&parts, text)
			return !more, err
		})
		whole := j.log(t, n)
		if parts.String() != whole || !strings.Contains(whole, "begin ü") || !strings.Contains(whole, "middle 日本語") || strings.Contains(whole, "\r") {
			t.Errorf("parts:\n%q\nwhole:\n%q", parts.String(), whole)
		}
		text, next, more, err := e.Log(t.Context(), e.dir, j.name, n, from+1000)
		must(t, err)
		defer func() { _ = text.Close() }()
		if rest, err := io.ReadAll(text); len(rest) != 0 || err != nil || next != from || more {
			t.Errorf("beyond the end: %q, next %d of %d, more %t, %v", rest, next, from, more, err)
		}
		var streamed strings.Builder
		if _, err := e.StreamLog(t.Context(), jenkins.BuildRef{Folder: e.dir, Job: j.name, Number: n}, 0, &streamed); err != nil || streamed.String() != whole {
			t.Errorf("streamed %q, %v", streamed.String(), err)
		}
		_, _, _, err = e.Log(t.Context(), e.dir, j.name, 99, 0)
		is(t, "the log of no build", err, jenkins.ErrNotFound)
	}},
	{name: "log/of a step", run: func(e *env) {
		t := e.t
		j := e.job(t, "talks", steps("echo 'first'; echo 'second ü'"))
		n := j.start(t, "c")
		j.ends(t, n, jenkins.ResultSuccess)
		list, err := e.Stages(t.Context(), e.dir, j.name, n)
		must(t, err)
		got := ""
		for _, stage := range list {
			for _, step := range stage.Steps {
				text, _, _, err := e.StepLog(t.Context(), jenkins.BuildRef{Folder: e.dir, Job: j.name, Number: n}, stage.ID, step.ID, 0)
				must(t, err)
				part, err := io.ReadAll(text)
				_ = text.Close()
				must(t, err)
				got += string(part)
			}
		}
		if got != "first\nsecond ü\n" {
			t.Errorf("%q", got)
		}
	}},
	{name: "artifacts", needs: []capability{anAgent}, run: func(e *env) {
		t := e.t
		ctx := t.Context()
		files := map[string]string{"plain.txt": "plain\n", "a b/x %2F+#.txt": "ü\n", "deep/er/x.bin": "x\n"}
		script := "sh 'mkdir -p \"a b\" deep/er; echo plain > plain.txt; echo ü > \"a b/x %2F+#.txt\"; echo x > deep/er/x.bin'; archiveArtifacts artifacts: '**/*.txt, deep/**'"
		j := e.job(t, "keeps", "pipeline {\n"+e.onAgent()+"\nstages { stage('one') { steps { "+script+" } } } }")
		n := j.start(t, "c")
		j.ends(t, n, jenkins.ResultSuccess)
		list, err := e.ListArtifacts(ctx, e.dir, j.name, n)
		must(t, err)
		got := map[string]int64{}
		for _, a := range list {
			got[a.Path] = a.Size
		}
		for path, want := range files {
			if got[path] != int64(len(want)) {
				t.Errorf("%q has %d bytes, want %d (all: %v)", path, got[path], len(want), got)
			}
			content, err := e.OpenArtifact(ctx, e.dir, j.name, n, path)
			if err != nil {
				t.Errorf("%q: %v", path, err)
				continue
			}
			text, err := io.ReadAll(content)
			_ = content.Close()
			if string(text) != want || err != nil {
				t.Errorf("%q holds %q, %v", path, text, err)
			}
		}
		for path, kind := range map[string]error{"nosuch.txt": jenkins.ErrNotFound, "deep": jenkins.ErrNotFound, "../build.xml": jenkins.ErrInvalid, "*zip*/all.zip": jenkins.ErrInvalid} {
			content, err := e.OpenArtifact(ctx, e.dir, j.name, n, path)
			is(t, path, err, kind)
			if err == nil {
				_ = content.Close()
			}
		}
	}},
}
