// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"unicode"

	"sigs.k8s.io/yaml"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

// podFields are the options of agent { kubernetes } by name; podTemplate has the same arguments. Those with a note are taken
// without effect.
var podFields = map[string]featureDef{
	"yaml": {}, "inheritFrom": {}, "yamlMergeStrategy": {}, "label": {}, "cloud": {}, "defaultContainer": {}, "agentContainer": {}, "retries": {}, "customWorkspace": {},
	"name":                {note: "pods are named after their label"},
	"showRawYaml":         {note: "the log does not show the YAML"},
	"idleMinutes":         {note: "each build has pods of its own"},
	"nodeUsageMode":       {note: "each build has pods of its own"},
	"slaveConnectTimeout": {note: "the server's own limit holds"},
	"agentInjection":      {note: "agentContainer is enough"},

	"yamlFile":                 refusedFor(insteadYAML),
	"containerTemplate":        refusedFor(insteadYAML),
	"containerTemplates":       refusedFor(insteadYAML),
	"containers":               refusedFor(insteadYAML),
	"volumes":                  refusedFor(insteadYAML),
	"workspaceVolume":          refusedFor("declare an emptyDir named workspace-volume in the YAML"),
	"envVars":                  refusedFor(insteadYAML),
	"workingDir":               refusedFor(insteadYAML),
	"nodeSelector":             refusedFor(insteadYAML),
	"annotations":              refusedFor(insteadYAML),
	"supplementalGroups":       refusedFor(insteadYAML),
	"runAsUser":                refusedFor(insteadYAML),
	"runAsGroup":               refusedFor(insteadYAML),
	"activeDeadlineSeconds":    refusedFor(insteadYAML),
	"instanceCap":              refusedFor("use disableConcurrentBuilds or lock"),
	"podRetention":             refusedFor(""),
	"namespace":                refusedFor(""),
	"serviceAccount":           refusedFor("inherit from a template that has it"),
	"imagePullSecrets":         refusedFor("inherit from a template that has them"),
	"hostNetwork":              refusedFor(""),
	"inheritYamlMergeStrategy": refusedFor("use yamlMergeStrategy"),
}

const insteadYAML = "write it in the pod's yaml"

// podTemplateParams are the arguments of podTemplate.
var podTemplateParams = []string{"yaml", "inheritFrom", "yamlMergeStrategy", "label", "cloud", "agentContainer", "containers", "name", "showRawYaml",
	"idleMinutes", "nodeUsageMode", "slaveConnectTimeout", "agentInjection"}

// podSteps are the steps about pods.
func podSteps() map[string]stepDef {
	return map[string]stepDef{
		"podTemplate": {block: true, params: podTemplateParams, run: stepPodTemplate},
		"container":   {block: true, only: "name", agent: true, run: stepContainer},

		"merge": {symbol: true}, "override": {symbol: true},
		"containerTemplate": {symbol: true, params: []string{"name", "image", "command", "args", "ttyEnabled", "alwaysPullImage", "workingDir", "envVars",
			"resourceRequestCpu", "resourceRequestMemory", "resourceLimitCpu", "resourceLimitMemory"}},
		"containerEnvVar": {symbol: true, params: []string{"key", "value"}},
		"envVar":          {symbol: true, params: []string{"key", "value"}},
	}
}

// podScope is a pod template that holds in a block.
type podScope struct {
	label string
	pod   *PodRequest
}

// podLabel is a label that no other pod template has.
func (b *build) podLabel(ctx context.Context) string {
	sum := sha256.Sum256([]byte(b.effectID(flowOf(ctx).branch.next())))
	name := strings.Map(func(r rune) rune {
		if r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-') {
			return r
		}
		return '_'
	}, b.spec.Build.JobName)
	if len(name) > 40 {
		name = name[len(name)-40:]
	}
	return strings.TrimLeft(name, "_-") + "_" + itoa(b.spec.Build.Number) + "-" + hex.EncodeToString(sum[:])[:5]
}

// inPodTemplate runs body where a pod template holds.
func (b *build) inPodTemplate(ctx context.Context, s podScope, body func(ctx context.Context) error) error {
	if s.label == "" {
		s.label = b.podLabel(ctx)
	}
	return b.runBlock(ctx, blockStep{name: "podTemplate",
		before: func(ctx context.Context) (context.Context, error) {
			ctx = b.overlay(ctx, [][2]string{{"POD_LABEL", s.label}})
			return withFlow(ctx, func(f *flow) { f.pods = append(slices.Clone(f.pods), s) }), nil
		},
		body: func(ctx context.Context, _ string) error { return body(ctx) },
	})
}

// podFor is the pod of a label that a pod template around has, nil for other labels.
func (f *flow) podFor(label string) *PodRequest {
	for _, s := range slices.Backward(f.pods) {
		if s.label == label {
			return s.pod
		}
	}
	return nil
}

// inPod runs body in a pod that the directive describes.
func (b *build) inPod(ctx context.Context, a *jenkinsfile.Agent, stage string, body func(context.Context) error) error {
	fields := map[string]any{}
	for _, f := range a.Fields {
		if f.Name == "yamlMergeStrategy" {
			continue
		}
		v, err := b.m.Eval(ctx, f.Value)
		if err != nil {
			return err
		}
		fields[f.Name] = v
	}
	text := func(name string) string { return strings.TrimSpace(raw(fields[name])) }
	layer := PodLayer{InheritFrom: text("inheritFrom"), YAML: raw(fields["yaml"]), Merge: merges(a.Field("yamlMergeStrategy"))}
	pod := &PodRequest{Layers: []PodLayer{layer}, AgentContainer: text("agentContainer"), DefaultContainer: text("defaultContainer"), Cloud: text("cloud")}
	inside := func(ctx context.Context) error {
		if pod.DefaultContainer == "" {
			return body(ctx)
		}
		return b.inContainer(ctx, pod.DefaultContainer, func(ctx context.Context, _ string) error { return body(ctx) })
	}
	run := func(ctx context.Context) error {
		return b.inPodTemplate(ctx, podScope{label: text("label"), pod: pod}, func(ctx context.Context) error {
			req := AgentRequest{Label: flowOf(ctx).pods[len(flowOf(ctx).pods)-1].label, Node: stage, Pod: pod}
			return b.inNode(ctx, a, req, inside)
		})
	}
	n, given := fields["retries"].(int64)
	if !given || n < 1 {
		return run(ctx)
	}
	lost := groovy.NewMap()
	lost.Put(symbolKey, "kubernetesAgent")
	c := &stepCall{b: b, name: "retry", args: map[string]any{"count": n, "conditions": &groovy.List{Items: []any{lost}}}, body: run, pos: a.From}
	_, err := stepRetry(ctx, c)
	return err
}

// raw is the text of a value; that of null is empty.
func raw(v any) string {
	if v == nil {
		return ""
	}
	return groovy.ToString(v)
}

// merges tells if the value of yamlMergeStrategy is merge().
func merges(x jenkinsfile.Expr) bool {
	c, ok := x.(*jenkinsfile.Call)
	return ok && c.Name == "merge"
}

// stepPodTemplate is podTemplate(yaml: '…') { … }.
func stepPodTemplate(ctx context.Context, c *stepCall) (any, error) {
	layer := PodLayer{InheritFrom: strings.TrimSpace(c.text("inheritFrom")), YAML: c.text("yaml")}
	if m := propsOf(c.args["yamlMergeStrategy"]); m != nil {
		layer.Merge = mapText(m, symbolKey) == "merge"
	}
	var err error
	if layer.Containers, err = containersYAML(c.args["containers"]); err != nil {
		return nil, err
	}
	pod := &PodRequest{}
	if around := flowOf(ctx).pods; len(around) > 0 {
		*pod = *around[len(around)-1].pod
	}
	pod.Layers = append(slices.Clone(pod.Layers), layer)
	if v := c.text("cloud"); v != "" {
		pod.Cloud = v
	}
	if v := c.text("agentContainer"); v != "" {
		pod.AgentContainer = v
	}
	err = c.b.inPodTemplate(ctx, podScope{label: strings.TrimSpace(c.text("label")), pod: pod}, c.body)
	return c.value, err
}

// containersYAML writes a list of containerTemplate as a pod document.
func containersYAML(v any) (string, error) {
	if v == nil {
		return "", nil
	}
	list, ok := v.(*groovy.List)
	if !ok {
		return "", failed("podTemplate: containers must be a list of containerTemplate(…)")
	}
	containers := make([]map[string]any, 0, len(list.Items))
	for _, item := range list.Items {
		m := propsOf(item)
		if m == nil || mapText(m, symbolKey) != "containerTemplate" {
			return "", failed("podTemplate: containers must be a list of containerTemplate(…)")
		}
		c, err := containerOf(m)
		if err != nil {
			return "", err
		}
		containers = append(containers, c)
	}
	doc, err := yaml.Marshal(map[string]any{"spec": map[string]any{"containers": containers}})
	if err != nil {
		return "", failed("podTemplate: %v", err)
	}
	return string(doc), nil
}

func containerOf(m *groovy.Map) (map[string]any, error) {
	c := map[string]any{}
	for _, name := range []string{"name", "image", "workingDir"} {
		if text := mapText(m, name); text != "" {
			c[name] = text
		}
	}
	for _, name := range []string{"command", "args"} {
		if words := shellWords(mapText(m, name)); len(words) > 0 {
			c[name] = words
		}
	}
	for name, field := range map[string]string{"ttyEnabled": "tty", "alwaysPullImage": ""} {
		v, _ := m.Get(name)
		switch {
		case v == nil || !groovy.Truth(v):
		case field == "":
			c["imagePullPolicy"] = "Always"
		default:
			c[field] = true
		}
	}
	resources := map[string]map[string]string{}
	for _, r := range [][3]string{{"resourceRequestCpu", "requests", "cpu"}, {"resourceRequestMemory", "requests", "memory"},
		{"resourceLimitCpu", "limits", "cpu"}, {"resourceLimitMemory", "limits", "memory"}} {
		if text := mapText(m, r[0]); text != "" {
			if resources[r[1]] == nil {
				resources[r[1]] = map[string]string{}
			}
			resources[r[1]][r[2]] = text
		}
	}
	if len(resources) > 0 {
		c["resources"] = resources
	}
	vars, _ := m.Get("envVars")
	list, ok := vars.(*groovy.List)
	if vars != nil && !ok {
		return nil, failed("containerTemplate: envVars must be a list of envVar(key: '…', value: '…')")
	}
	if ok {
		env := []map[string]string{}
		for _, item := range list.Items {
			v := propsOf(item)
			if v == nil || mapText(v, "key") == "" {
				return nil, failed("containerTemplate: envVars must be a list of envVar(key: '…', value: '…')")
			}
			env = append(env, map[string]string{"name": mapText(v, "key"), "value": mapText(v, "value")})
		}
		c["env"] = env
	}
	return c, nil
}

// shellWords splits a command at spaces outside of quotes, as the Kubernetes plugin does.
func shellWords(s string) []string {
	var out []string
	var word strings.Builder
	quote, begun := rune(0), false
	for _, r := range s {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, begun = r, true
		case quote == 0 && unicode.IsSpace(r):
			if begun {
				out = append(out, word.String())
				word.Reset()
			}
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if begun {
		out = append(out, word.String())
	}
	return out
}

// kindContainer is the effect that looks for a container.
const kindContainer = "container"

// stepContainer is container('name') { … }.
func stepContainer(ctx context.Context, c *stepCall) (any, error) {
	name := strings.TrimSpace(c.text("name"))
	if name == "" {
		return nil, failed("container: the name of a container is needed")
	}
	err := c.b.inContainer(ctx, name, func(ctx context.Context, _ string) error { return c.body(ctx) })
	return c.value, err
}

// inContainer runs body with its steps in another container of the agent.
func (b *build) inContainer(ctx context.Context, name string, body func(ctx context.Context, id string) error) error {
	return b.runBlock(ctx, blockStep{name: "container", body: body, before: func(ctx context.Context) (context.Context, error) {
		around := flowOf(ctx).agent
		outer := around.lease
		if outer.outer != nil {
			outer = outer.outer
		}
		inner := &agentHandle{lease: &lease{b: b, req: outer.req, name: outer.name, place: outer.place, outer: outer, container: name},
			workspace: around.workspace, scm: around.scm}
		_, err := perform(ctx, b, effectOptions{kind: kindContainer}, func(ctx context.Context, _ *execution) (string, error) {
			return name, stepFailure(inner.resume(ctx))
		})
		if err != nil {
			if ctx.Err() != nil && b.stopped() == nil {
				err = interrupted(ctx)
			}
			return ctx, err
		}
		ctx = b.overlay(ctx, [][2]string{{"POD_CONTAINER", name}})
		return withFlow(ctx, func(f *flow) { f.agent = inner }), nil
	}})
}

// enter finds the container of a lease that is of one.
func (h *lease) enter(ctx context.Context) error {
	if err := h.outer.resume(ctx); err != nil {
		return err
	}
	c, ok := h.outer.Agent.(Containers)
	if !ok {
		return &StepError{"container: the agent " + h.name + " has no containers; use agent { kubernetes { … } }"}
	}
	agent, err := c.InContainer(ctx, h.container)
	if err != nil {
		return err
	}
	h.Agent = agent
	return nil
}
