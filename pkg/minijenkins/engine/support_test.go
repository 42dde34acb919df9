// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

func TestSupportedIsWhatCheckDoes(t *testing.T) {
	s := Supported()
	refused := func(t *testing.T, p *jenkinsfile.Pipeline, name string) string {
		t.Helper()
		var ce *CheckError
		if !errors.As(Check(p, nil), &ce) {
			return ""
		}
		for _, problem := range ce.Problems {
			if problem.Name == name {
				return problem.Message
			}
		}
		return ""
	}
	base := func() *jenkinsfile.Pipeline { return mustParse(t, stages("echo 'x'")) }
	for list, features := range map[string][]Feature{"steps": s.Steps, "options": s.Options, "triggers": s.Triggers, "agents": s.Agents, "parameters": s.Parameters} {
		if len(features) < 5 {
			t.Errorf("%s: only %d", list, len(features))
		}
		for i, f := range features {
			if i > 0 && features[i-1].Name >= f.Name {
				t.Errorf("%s: %s is not in order", list, f.Name)
			}
			p := base()
			d := &jenkinsfile.Directive{Name: f.Name}
			switch list {
			case "steps":
				p.Stages[0].Steps.List = []*jenkinsfile.Step{{Name: f.Name, Call: &jenkinsfile.Call{Name: f.Name}}}
			case "options":
				p.Options = []*jenkinsfile.Directive{d}
			case "triggers":
				text := "* * * * *"
				d.Args = []jenkinsfile.Arg{{Value: &jenkinsfile.Constant{Value: text}}}
				p.Triggers = []*jenkinsfile.Directive{d}
			case "agents":
				p.Agent = &jenkinsfile.Agent{Type: f.Name}
			case "parameters":
				p.ParameterDefs = []*jenkinsfile.Directive{d}
			}
			message := refused(t, p, f.Name)
			switch {
			case f.Supported && message != "":
				t.Errorf("%s: %s is listed as supported, Check says %s", list, f.Name, message)
			case !f.Supported && (!strings.Contains(message, advice) || !strings.Contains(message, f.Note)):
				t.Errorf("%s: %s is listed as refused, Check says %q", list, f.Name, message)
			}
		}
	}
	if len(s.Conditions) != 14 || len(s.PostConditions) != len(jenkinsfile.PostConditions) {
		t.Errorf("%d conditions, %d post conditions", len(s.Conditions), len(s.PostConditions))
	}
}

func TestOptionArguments(t *testing.T) {
	for name, tc := range map[string]struct{ option, want string }{
		"Fine":            {"buildDiscarder(logRotator(numToKeepStr: '3'))", ""},
		"Subdirectory":    {"checkoutToSubdirectory('src')", ""},
		"Index":           {"overrideIndexTriggers(false)", ""},
		"UnknownArgument": {"disableConcurrentBuilds(nosuch: true)", `parameter "nosuch" of option "disableConcurrentBuilds"`},
		"Wrapper":         {"timeout(time: 1, nosuch: 2)", `parameter "nosuch" of step "timeout"`},
		"Refused":         {"rateLimitBuilds(throttle: [count: 1, durationName: 'hour', userBoost: false])", `option "rateLimitBuilds"`},
	} {
		t.Run(name, func(t *testing.T) {
			err := Check(mustParse(t, "pipeline { agent any\n options { "+tc.option+" }\n stages { stage('s') { steps { echo 'x' } } } }"), nil)
			if err != nil {
				got := err.Error()
				if tc.want == "" || !strings.Contains(got, tc.want) || !strings.Contains(got, "line 2, column") {
					t.Errorf("got %s", got)
				}
			} else if tc.want != "" {
				t.Errorf("no error, want %s", tc.want)
			}
		})
	}
}

func TestPostConditions(t *testing.T) {
	all := func(indent string) string {
		var b strings.Builder
		b.WriteString("post {\n")
		for i := len(jenkinsfile.PostConditions) - 1; i >= 0; i-- {
			b.WriteString(indent + jenkinsfile.PostConditions[i] + " { echo 'is-" + jenkinsfile.PostConditions[i] + "' }\n")
		}
		return b.String() + "}"
	}
	got := func(log string) string {
		var out []string
		for _, line := range strings.Split(log, "\n") {
			if name, ok := strings.CutPrefix(line, "is-"); ok {
				out = append(out, name)
			}
		}
		return strings.Join(out, " ")
	}
	for name, tc := range map[string]struct {
		steps    string
		previous Result
		want     string
	}{
		"FirstSuccess":      {"echo 'x'", "", "always changed success cleanup"},
		"SuccessAgain":      {"echo 'x'", ResultSuccess, "always success cleanup"},
		"Fixed":             {"echo 'x'", ResultUnstable, "always changed fixed success cleanup"},
		"NotFixed":          {"echo 'x'", ResultAborted, "always changed success cleanup"},
		"Regression":        {"error 'x'", ResultUnstable, "always changed regression failure unsuccessful cleanup"},
		"NoRegression":      {"error 'x'", ResultFailure, "always failure unsuccessful cleanup"},
		"FirstFailure":      {"error 'x'", "", "always changed failure unsuccessful cleanup"},
		"Unstable":          {"unstable 'x'", ResultSuccess, "always changed regression unstable unsuccessful cleanup"},
		"Better":            {"unstable 'x'", ResultFailure, "always changed unstable unsuccessful cleanup"},
		"NotBuilt":          {"script { currentBuild.result = 'NOT_BUILT' }", ResultNotBuilt, "always unsuccessful notBuilt cleanup"},
		"AbortedByTimeout":  {"timeout(time: 1, unit: 'MILLISECONDS') { sleep 20 }", ResultAborted, "always aborted unsuccessful cleanup"},
		"ErrorInCatchError": {"catchError { error 'x' }", ResultSuccess, "always changed regression failure unsuccessful cleanup"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRun(t, "pipeline { agent any\n stages { stage('s') { steps { "+tc.steps+" } } }\n"+all(" ")+" }")
			r.spec.Build.PreviousResult = tc.previous
			_, _ = r.run(t.Context())
			if g := got(r.mem.text()); g != tc.want {
				t.Errorf("got  %s\nwant %s", g, tc.want)
			}
		})
	}
	t.Run("StageBesideOneThatFails", func(t *testing.T) {
		r := newRun(t, `pipeline { agent any; stages { stage('p') { parallel {
 stage('a') { steps { error 'x' } 
  post { failure { echo 'is-a-failure' }
 success { echo 'is-a-success' } } }
 stage('b') { steps { sleep time: 200, unit: 'MILLISECONDS' }
  post { failure { echo 'is-b-failure' }
 success { echo 'is-b-success' } } } } } } }`)
		_, _ = r.run(t.Context())
		if g := got(r.mem.text()); g != "a-failure b-success" {
			t.Errorf("got %s\n%s", g, r.mem.text())
		}
	})
	t.Run("ErrorInACondition", func(t *testing.T) {
		r := newRun(t, `pipeline { agent any; stages { stage('s') { steps { echo 'x' } } }
 post { always { error 'boom' }
 success { echo 'is-success' }
 failure { echo 'is-failure' }
 cleanup { echo 'is-cleanup' } } }`)
		result, _ := r.run(t.Context())
		if g := got(r.mem.text()); g != "failure cleanup" || result != ResultFailure {
			t.Errorf("got %s, %s", g, result)
		}
	})
}

func TestWhenPlaces(t *testing.T) {
	runCases(t, map[string]stepCase{
		"OptionsFirst": {
			reason: "The options of a stage begin before its agent and its when directive",
			src: `pipeline { agent none
 stages { stage('s') { agent any
 options { timeout(time: 5) }
 when { expression { echo 'asked'; return true } }
 steps { echo 'ran' } } } }`,
			result: ResultSuccess, want: []string{"Timeout set to expire in 5 min 0 sec\n", "Running on agent-1"},
		},
		"BeforeOptions": {
			reason: "beforeOptions goes before all that",
			src: `pipeline { agent none
 stages { stage('s') { agent any
 options { timeout(time: 5) }
 when { beforeOptions true; expression { return false } }
 steps { echo 'ran' } } } }`,
			result: ResultSuccess, want: []string{`Stage "s" skipped due to when conditional`}, absent: []string{"Timeout set", "Running on", "ran\n"},
		},
		"BeforeAgent": {
			reason: "beforeAgent comes behind the options and spares the agent",
			src: `pipeline { agent none
 stages { stage('s') { agent any
 options { timeout(time: 5) }
 when { beforeAgent true; not { anyOf { equals expected: 1, actual: 1; branch 'x' } } }
 steps { echo 'ran' } } } }`,
			result: ResultSuccess, want: []string{"Timeout set", `Stage "s" skipped due to when conditional`}, absent: []string{"Running on", "ran\n"},
		},
		"Restarted": {
			reason: "isRestartedRun is about a build that begins at a stage",
			src: `pipeline { agent any
 stages { stage('a') { steps { echo 'first' } }
 stage('b') { when { isRestartedRun() }
 steps { echo 'second' } } } }`,
			change: func(r *testRun) { r.spec.FirstStage = "b" },
			result: ResultSuccess, want: []string{"second\n"}, absent: []string{"first\n"},
		},
		"NotRestarted": {
			reason: "and not about another one",
			src:    `pipeline { agent any; stages { stage('b') { when { isRestartedRun() }` + "\n" + ` steps { echo 'second' } } } }`,
			result: ResultSuccess, absent: []string{"second\n"},
		},
	})
}
