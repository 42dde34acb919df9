// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package templates

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

func raw(text string) *apiextensionsv1.JSON { return &apiextensionsv1.JSON{Raw: []byte(text)} }

func TestJenkinsfile(t *testing.T) {
	declared := []devopsv1alpha3.TemplateParameter{
		{Name: "name", Required: true, Type: "string", Validation: &devopsv1alpha3.ParameterValidation{Expression: "^[a-z']+$", Message: "use small letters"}},
		{Name: "count", Type: "int", Default: raw("3")},
		{Name: "on", Type: "bool"},
		{Name: "list", Type: "string-array", Default: raw(`["a","b c"]`)},
		{Name: "any", Default: raw(`{"k":[1,2.5]}`)},
	}
	cases := map[string]struct {
		reason   string
		template string
		values   []Value
		want     string
		problem  string
	}{
		"Plain":      {reason: "a value is written as it is", template: "x $(.params.name) y", values: []Value{{"name", "ab"}}, want: "x ab y"},
		"Quote":      {reason: "quote makes a Groovy string", template: "sh $(.params.name | quote)", values: []Value{{"name", "a'b"}}, want: `sh 'a\'b'`},
		"Default":    {reason: "defaults have the types of JSON", template: "$(if eq .params.count 3)three$(end) $(.params.list | quote) $(range .params.list)[$(.)]$(end)", values: []Value{{"name", "a"}}, want: "three ['a', 'b c'] [a][b c]"},
		"Switch":     {reason: "a switch that is not given is off; a form sends texts", template: "$(.params.on)$(if .params.on)!$(end)", values: []Value{{"name", "a"}, {"on", "true"}}, want: "true!"},
		"Number":     {reason: "forms send numbers as texts", template: "$(.params.count)", values: []Value{{"name", "a"}, {"count", " 12 "}}, want: "12"},
		"Object":     {reason: "what has no type is taken as it is", template: "$(index .params.any.k 1) $(json .params.any)", values: []Value{{"name", "a"}}, want: `2.5 {"k":[1,2.5]}`},
		"Undeclared": {reason: "values that are not declared can be used, as KubeSphere has it", template: "$(.params.other)", values: []Value{{"name", "a"}, {"other", "x"}}, want: "x"},
		"Format":     {reason: "printf knows simple verbs", template: `$(printf "%s-%03d" .params.name .params.count | upper)`, values: []Value{{"name", "a"}}, want: "A-003"},
		"Dollar":     {reason: "a dollar sign without a parenthesis is text", template: `$HOME ${x} $("$(")date)`, values: []Value{{"name", "a"}}, want: "$HOME ${x} $(date)"},
		"Fallback":   {reason: "default gives another value for nothing", template: `$("" | default "x") $("y" | default "x")`, values: []Value{{"name", "a"}}, want: "x y"},
		"Empty":      {reason: "a template without text gives none", template: "", values: []Value{{"name", "a"}}, want: ""},

		"Required":      {reason: "what is required is named", template: "x", problem: `parameter "name" is required`},
		"RequiredEmpty": {reason: "an empty text is nothing", template: "x", values: []Value{{"name", ""}}, problem: `parameter "name" is required`},
		"Invalid":       {reason: "the template's own message is shown", template: "x", values: []Value{{"name", "A"}}, problem: `parameter "name" is not valid: use small letters`},
		"TypeInt":       {reason: "a type is checked", template: "x", values: []Value{{"name", "a"}, {"count", "1.5"}}, problem: `parameter "count" must be a whole number`},
		"TypeText":      {reason: "an object is no text", template: "x", values: []Value{{"name", map[string]any{"a": 1}}}, problem: `parameter "name" must be a text`},
		"TypeBool":      {reason: "a switch is true or false", template: "x", values: []Value{{"name", "a"}, {"on", "maybe"}}, problem: `parameter "on" must be true or false`},
		"TypeList":      {reason: "a list is a list", template: "x", values: []Value{{"name", "a"}, {"list", []any{[]any{}}}}, problem: `parameter "list" must be a list of texts`},
		"AllAtOnce":     {reason: "all problems are told at once", template: "x", values: []Value{{"on", 3.5}}, problem: `parameter "name" is required; parameter "on" must be true or false`},
		"MissingKey":    {reason: "a parameter that is nowhere is named", template: "$(.params.nope)", values: []Value{{"name", "a"}}, problem: `the template needs the parameter "nope", which it does not declare and you did not give`},
		"Syntax":        {reason: "a template that is none says where", template: "a\n$(if)", values: []Value{{"name", "a"}}, problem: "the template is not valid: 2: missing value for if"},
		"Function":      {reason: "only listed functions are served", template: "$(html .params.name)", values: []Value{{"name", "a"}}, problem: `the template is not valid: the function "html" is not served here`},
		"Call":          {reason: "call is not served", template: "$(call .params.name)", values: []Value{{"name", "a"}}, problem: `the function "call" is not served here`},
		"Hidden":        {reason: "what writes values cannot be called", template: "$(_emit .params.name)", values: []Value{{"name", "a"}}, problem: `the function "_emit" is not served here`},
		"Define":        {reason: "there are no templates in templates", template: `$(define "x")$(template "x")$(end)$(template "x")`, values: []Value{{"name", "a"}}, problem: "define and block are not served here"},
		"Itself":        {reason: "a template cannot call itself", template: `$(template "template")`, values: []Value{{"name", "a"}}, problem: "is not served here"},
		"BadExpression": {reason: "a validation that is none is the template's fault", template: "x", values: []Value{{"name", "a"}, {"bad", "x"}}, problem: `parameter "bad" has a validation that is no regular expression`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			spec := &devopsv1alpha3.TemplateSpec{Template: tc.template, Parameters: declared}
			if name == "BadExpression" {
				spec.Parameters = append(spec.Parameters, devopsv1alpha3.TemplateParameter{Name: "bad", Validation: &devopsv1alpha3.ParameterValidation{Expression: "("}})
			}
			got, err := Jenkinsfile(t.Context(), spec, tc.values)
			checkProblem(t, err, tc.problem)
			if got != tc.want {
				t.Errorf("%s: got %q, want %q", tc.reason, got, tc.want)
			}
		})
	}
}

func checkProblem(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Fatalf("unexpected: %v", err)
		}
		return
	}
	var failure *Error
	if !errors.As(err, &failure) {
		t.Fatalf("got %v, want an *Error with %q", err, want)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("got %q, want %q", err, want)
	}
}

// TestValidationLimits has expressions of templates that would be looked for until tomorrow.
func TestValidationLimits(t *testing.T) {
	large := strings.Repeat("(.{0,900})", 5) + "y"
	for name, tc := range map[string]struct {
		expression string
		times      int
		value      any
		problem    string
	}{
		"Expression": {expression: strings.Repeat("(.{0,1000})", 90), value: "a", problem: "regular expression is too large"},
		"Value":      {expression: large, value: strings.Repeat("a", 100_000), problem: "too long for the validation"},
		"List":       {expression: large, value: []any{strings.Repeat("a", 3000), strings.Repeat("a", 3000)}, problem: "too long for the validation"},
		"Parameters": {expression: large, times: 1000, value: strings.Repeat("a", 3000), problem: "to validate"},
	} {
		t.Run(name, func(t *testing.T) {
			spec, values := &devopsv1alpha3.TemplateSpec{Template: "x"}, []Value(nil)
			for i := range max(1, tc.times) {
				name := fmt.Sprint("p", i)
				spec.Parameters = append(spec.Parameters, devopsv1alpha3.TemplateParameter{Name: name, Validation: &devopsv1alpha3.ParameterValidation{Expression: tc.expression}})
				values = append(values, Value{name, tc.value})
			}
			_, err := Jenkinsfile(t.Context(), spec, values)
			checkProblem(t, err, tc.problem)
		})
	}
}

// TestLimits runs templates that try to use up the server. Each has to end soon, with a reason.
func TestLimits(t *testing.T) {
	cases := map[string]struct{ template, problem string }{
		"Loop":          {"$(range 2000000000)$(end)", "loops are passed through more than"},
		"LoopsInLoops":  {"$(range 10000)$(range 10000)$(range 10000)$(end)$(end)$(end)", "loops are passed through more than"},
		"LoopElse":      {"$(range 1000000)$(if false)x$(end)$(end)", "loops are passed through more than"},
		"Output":        {"$(range 100000)" + strings.Repeat("x", 100) + "$(end)", "longer than"},
		"Width":         {`$(printf "%1000000d" 1)`, "simple verbs"},
		"Star":          {`$(printf "%*d" 1000000 1)`, "simple verbs"},
		"Index":         {`$(printf "%[1]s%[1]s" "x")`, "simple verbs"},
		"DoublesPrint":  {`$($x := "0123456789")` + strings.Repeat("$($x = print $x $x)", 60) + "$(len $x)", "longer than"},
		"DoublesPrintf": {`$($x := "0123456789")` + strings.Repeat(`$($x = printf "%s%s" $x $x)`, 60) + "$(len $x)", "longer than"},
		"DoublesQuote":  {`$($x := "'''''''''")` + strings.Repeat(`$($x = quote $x)`, 60) + "$(len $x)", "too much text"},
		"DoublesJSON":   {`$($x := "\"\"")` + strings.Repeat(`$($x = json $x)`, 60) + "$(len $x)", "too much text"},
		"Copies":        {`$($x := printf "%0999d" 1)` + strings.Repeat(`$($y := print $x $x)`, 12000), "too much text"},
		"Wide":          {`$($x := printf "%0999d" 1)$(print` + strings.Repeat(" $x", 60000) + ")", "longer than"},
		"Source":        {strings.Repeat("x", MaxTemplate+1), "more than"},
		"Deep":          {strings.Repeat("$(if true)", 20000) + strings.Repeat("$(end)", 20000), ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := Jenkinsfile(t.Context(), &devopsv1alpha3.TemplateSpec{Template: tc.template}, nil)
			// The machine may have other work.
			if took := time.Since(start); took > 15*maxTime {
				t.Errorf("took %s", took)
			}
			slow := err != nil && strings.Contains(err.Error(), "the template takes longer than")
			if tc.problem != "" && !slow {
				checkProblem(t, err, tc.problem)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Jenkinsfile(ctx, &devopsv1alpha3.TemplateSpec{Template: "x"}, nil); err == nil {
		t.Error("a request that has ended is rendered")
	}
}

func TestGroovyQuote(t *testing.T) {
	for _, text := range []string{"", "a", "'", `\`, `\'`, `\\`, "\n", "\r\n", "\t", "${x}", "$x", `\u0027`, "\x00\x01\x7f", "\u2028", "ä世🚀", `'''"""`, strings.Repeat("'", 300)} {
		got := GroovyQuote(text)
		script, err := jenkinsfile.ParseScript("x = " + got)
		if err != nil {
			t.Errorf("%q: %s: %v", text, got, err)
			continue
		}
		var values []string
		for _, statement := range script.Stmts {
			jenkinsfile.Walk(statement, func(n jenkinsfile.Node) {
				if constant, ok := n.(*jenkinsfile.Constant); ok {
					if value, ok := constant.Value.(string); ok {
						values = append(values, value)
					}
				}
			})
		}
		if diff := cmp.Diff([]string{text}, values); diff != "" {
			t.Errorf("%s: -want +got:\n%s", got, diff)
		}
	}
}

func stepSpec(runtime devopsv1alpha3.StepRuntime, template string, parameters ...devopsv1alpha3.StepParameter) *devopsv1alpha3.StepTemplateSpec {
	return &devopsv1alpha3.StepTemplateSpec{Runtime: runtime, Template: template, Parameters: parameters}
}

func TestStep(t *testing.T) {
	const dsl, shell = devopsv1alpha3.StepRuntimeDSL, devopsv1alpha3.StepRuntimeShell
	message := devopsv1alpha3.StepParameter{Name: "m", Type: "string", Required: true}
	inJSON := `{"name":"echo","arguments":[{"key":"message","value":{"isLiteral":true,"value":"{{.param.m}}"}}]}`
	echo := func(m string) string {
		text, _ := json.Marshal(m)
		return `{"name":"echo","arguments":[{"key":"message","value":{"isLiteral":true,"value":` + string(text) + `}}]}`
	}
	credentials := func(value string) string {
		return `{"name":"withCredentials","arguments":{"isLiteral":false,"value":"` + value + `"},"children":[{"name":"sh","arguments":[{"key":"script","value":{"isLiteral":true,"value":"x"}}]}]}`
	}
	bad := `"},{"key":"x' ${y} \ ` + "\n"
	cases := map[string]struct {
		reason  string
		spec    *devopsv1alpha3.StepTemplateSpec
		values  map[string]any
		secret  *Secret
		want    string
		problem string
	}{
		"Shell":      {reason: "a script becomes the step sh", spec: stepSpec(shell, "echo 1"), want: `{"name":"sh","arguments":[{"key":"script","value":{"isLiteral":true,"value":"echo 1"}}]}`},
		"NoRuntime":  {reason: "shell is the default", spec: stepSpec("", `echo "1"`), want: `{"name":"sh","arguments":[{"key":"script","value":{"isLiteral":true,"value":"echo \"1\""}}]}`},
		"ShellWord":  {reason: "a value can be a word of the shell", spec: stepSpec(shell, "cat {{.param.m | shellquote}}", message), values: map[string]any{"m": "a'b"}, want: `{"name":"sh","arguments":[{"key":"script","value":{"isLiteral":true,"value":"cat 'a'\\''b'"}}]}`},
		"JSON":       {reason: "templates of KubeSphere are JSON", spec: stepSpec(dsl, inJSON, message), values: map[string]any{"m": "hi"}, want: echo("hi")},
		"JSONNasty":  {reason: "a value cannot leave its string in JSON", spec: stepSpec(dsl, inJSON, message), values: map[string]any{"m": bad}, want: echo(bad)},
		"Groovy":     {reason: "or Groovy", spec: stepSpec(dsl, "echo '{{.param.m}}'", message), values: map[string]any{"m": "hi"}, want: echo("hi")},
		"GroovyBad":  {reason: "a value cannot leave its string in Groovy", spec: stepSpec(dsl, "echo '{{.param.m}}'", message), values: map[string]any{"m": bad}, want: echo(bad)},
		"Quote":      {reason: "quote works in steps, too", spec: stepSpec(dsl, "echo {{quote .param.m}}", message), values: map[string]any{"m": bad}, want: echo(bad)},
		"GString":    {reason: "in code a value gets the escapes that it needs", spec: stepSpec(dsl, `echo "${env.X} {{.param.m}}"`, message), values: map[string]any{"m": `a"$b'\` + "\n"}, want: `{"name":"echo","arguments":[{"key":"message","value":{"isLiteral":false,"value":"\"${env.X} a\\\"\\$b\\'\\\\\\n\""}}]}`},
		"CodeInJSON": {reason: "so does a value in code in JSON", spec: stepSpec(dsl, `{"name":"withCredentials","arguments":{"isLiteral":false,"value":"${[string(credentialsId: '{{.param.m}}', variable: 'V')]}"},"children":[]}`, message), values: map[string]any{"m": "it's"}, want: `{"name":"withCredentials","arguments":{"isLiteral":false,"value":"${[string(credentialsId: 'it\\'s', variable: 'V')]}"},"children":[]}`},
		"Numbers": {reason: "numbers and switches stay what they are", spec: stepSpec(dsl, `{"name":"sleep","arguments":[{"key":"time","value":{"isLiteral":true,"value":{{.param.n}}}},{"key":"b","value":{"isLiteral":true,"value":{{.param.b}}}}]}`,
			devopsv1alpha3.StepParameter{Name: "n", Type: "number", DefaultValue: "7"}, devopsv1alpha3.StepParameter{Name: "b", Type: "bool"}), want: `{"name":"sleep","arguments":[{"key":"time","value":{"isLiteral":true,"value":7}},{"key":"b","value":{"isLiteral":true,"value":false}}]}`},
		"Script":     {reason: "code is code", spec: stepSpec(dsl, `script { {{.param.c}} }`, devopsv1alpha3.StepParameter{Name: "c", Type: "code"}), values: map[string]any{"c": "def x = 1; echo \"${x}\""}, want: `{"name":"script","arguments":[{"key":"scriptBlock","value":{"isLiteral":true,"value":"def x = 1; echo \"${x}\""}}]}`},
		"ScriptJSON": {reason: "also in JSON", spec: stepSpec(dsl, `{"name":"script","arguments":[{"key":"scriptBlock","value":{"isLiteral":true,"value":"{{.param.c}}"}}]}`, devopsv1alpha3.StepParameter{Name: "c", Type: "code"}), values: map[string]any{"c": "echo 'a'\necho \"b\""}, want: `{"name":"script","arguments":[{"key":"scriptBlock","value":{"isLiteral":true,"value":"echo 'a'\necho \"b\""}}]}`},
		"Secret":     {reason: "a credential is an object or a name", spec: stepSpec(dsl, `echo '{{.param.s.name}} {{.param.s}} {{.param.s.type}}'`, devopsv1alpha3.StepParameter{Name: "s", Type: "secret"}), values: map[string]any{"s": map[string]any{"name": "n", "type": "t"}}, want: echo("n n t")},
		"NoSecret":   {reason: "one that is not given is empty", spec: stepSpec(dsl, `echo '[{{.param.s.name}}]'`, devopsv1alpha3.StepParameter{Name: "s", Type: "secret"}), want: echo("[]")},
		"Several":    {reason: "several steps are a list", spec: stepSpec(dsl, "echo 'a'\necho 'b'"), want: "[" + echo("a") + "," + echo("b") + "]"},
		"Container": {reason: "a container is put around", spec: &devopsv1alpha3.StepTemplateSpec{Template: "x", Container: "base"},
			want: `{"name":"container","arguments":{"isLiteral":true,"value":"base"},"children":[{"name":"sh","arguments":[{"key":"script","value":{"isLiteral":true,"value":"x"}}]}]}`},
		"Basic": {reason: "the parts of a credential are in variables", spec: &devopsv1alpha3.StepTemplateSpec{Template: "x", Secret: devopsv1alpha3.StepSecret{Wrap: true, Type: "kubernetes.io/basic-auth"}},
			secret: &Secret{Name: "docker", Type: devopsv1alpha3.SecretTypeBasicAuth}, want: credentials("${[usernamePassword(credentialsId: 'docker', passwordVariable: 'PASSWORDVARIABLE', usernameVariable: 'USERNAMEVARIABLE')]}")},
		"Mapping": {reason: "whose names can be chosen", spec: &devopsv1alpha3.StepTemplateSpec{Template: "x", Secret: devopsv1alpha3.StepSecret{Wrap: true, Mapping: map[string]string{"variable": "TOKEN"}}},
			secret: &Secret{Name: "t", Type: devopsv1alpha3.SecretTypeSecretText}, want: credentials("${[string(credentialsId: 't', variable: 'TOKEN')]}")},
		"Kubeconfig": {reason: "kubeconfigs", spec: &devopsv1alpha3.StepTemplateSpec{Template: "x", Secret: devopsv1alpha3.StepSecret{Wrap: true}},
			secret: &Secret{Name: "k", Type: devopsv1alpha3.SecretTypeKubeconfig}, want: credentials("${[kubeconfigContent(credentialsId: 'k', variable: 'VARIABLE')]}")},
		"SSH": {reason: "keys", spec: &devopsv1alpha3.StepTemplateSpec{Template: "x", Secret: devopsv1alpha3.StepSecret{Wrap: true}},
			secret: &Secret{Name: "k", Type: corev1.SecretTypeSSHAuth}, want: credentials("${[sshUserPrivateKey(credentialsId: 'k', keyFileVariable: 'KEYFILEVARIABLE', passphraseVariable: 'PASSPHRASEVARIABLE', usernameVariable: 'SSHUSERPRIVATEKEY')]}")},
		"NoWrap": {reason: "wrap decides", spec: &devopsv1alpha3.StepTemplateSpec{Template: "{{.secret.Name}}"}, secret: &Secret{Name: "k", Type: "x"}, want: `{"name":"sh","arguments":[{"key":"script","value":{"isLiteral":true,"value":"k"}}]}`},

		"Required":    {reason: "what is required is named", spec: stepSpec(dsl, inJSON, message), problem: `parameter "m" is required`},
		"Condition":   {reason: "except behind a condition", spec: stepSpec(shell, "x{{.param.c}}", devopsv1alpha3.StepParameter{Name: "c", Required: true, Condition: ".param.x==y"}), want: `{"name":"sh","arguments":[{"key":"script","value":{"isLiteral":true,"value":"x"}}]}`},
		"Enum":        {reason: "an enum is one of its options", spec: stepSpec(shell, "x", devopsv1alpha3.StepParameter{Name: "e", Type: "enum", Options: `[{"label":"A","value":"a"},"b"]`}), values: map[string]any{"e": "c"}, problem: `parameter "e" must be one of a, b`},
		"Number":      {reason: "a number is a number", spec: stepSpec(shell, "x", devopsv1alpha3.StepParameter{Name: "n", Type: "number"}), values: map[string]any{"n": "1; rm"}, problem: `parameter "n" must be a number`},
		"Missing":     {reason: "what is nowhere is named", spec: stepSpec(shell, "{{.param.zz}}"), problem: `needs the parameter "zz"`},
		"MissingPart": {reason: "so is a part of nothing", spec: stepSpec(shell, "{{.secret.Name}}"), problem: `needs .secret.Name, which is not given`},
		"NotJSON":     {reason: "JSON that is none is told", spec: stepSpec(dsl, `{"name":"x",}`), problem: "the step is not valid: it is not JSON"},
		"NoStep":      {reason: "another object is no step", spec: stepSpec(dsl, `{"a":1}`), problem: "does not give a step"},
		"NotGroovy":   {reason: "Groovy that is none is told", spec: stepSpec(dsl, "echo 'a"), problem: "the step is not valid: "},
		"Nothing":     {reason: "no step is told", spec: stepSpec(dsl, "{{if false}}x{{end}}"), problem: "gives no step"},
		"Code":        {reason: "a value that would be code is refused", spec: stepSpec(dsl, "echo {{.param.m}}", message), values: map[string]any{"m": "sh('rm')"}, problem: "part of Groovy code"},
		"StepName":    {reason: "the name of a step is code", spec: stepSpec(dsl, `{"name":"{{.param.m}}","arguments":[]}`, message), values: map[string]any{"m": "x y"}, problem: "part of Groovy code"},
		"Key":         {reason: "a value is no field", spec: stepSpec(dsl, `{"name":"x","{{.param.m}}":[]}`, message), values: map[string]any{"m": "x"}, problem: "the name of a field"},
		"WrongType":   {reason: "the credential has to fit", spec: &devopsv1alpha3.StepTemplateSpec{Template: "x", Secret: devopsv1alpha3.StepSecret{Wrap: true, Type: string(devopsv1alpha3.SecretTypeBasicAuth)}}, secret: &Secret{Name: "k", Type: devopsv1alpha3.SecretTypeKubeconfig}, problem: `"k" is of type`},
		"NoType":      {reason: "it has to be one", spec: &devopsv1alpha3.StepTemplateSpec{Template: "x", Secret: devopsv1alpha3.StepSecret{Wrap: true}}, secret: &Secret{Name: "k", Type: "Opaque"}, problem: "is no credential"},
		"BadEnv":      {reason: "a mapping cannot break out", spec: &devopsv1alpha3.StepTemplateSpec{Template: "x", Secret: devopsv1alpha3.StepSecret{Wrap: true, Mapping: map[string]string{"variable": "a', x: '"}}}, secret: &Secret{Name: "k", Type: devopsv1alpha3.SecretTypeSecretText}, problem: "no name of an environment variable"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Step(t.Context(), tc.spec, tc.values, tc.secret)
			checkProblem(t, err, tc.problem)
			if tc.problem != "" {
				return
			}
			var gotDoc, wantDoc any
			if err := json.Unmarshal(got, &gotDoc); err != nil {
				t.Fatalf("%v: %s", err, got)
			}
			if err := json.Unmarshal([]byte(tc.want), &wantDoc); err != nil {
				t.Fatalf("%v: %s", err, tc.want)
			}
			if diff := cmp.Diff(wantDoc, gotDoc); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}
