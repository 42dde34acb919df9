// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// schema is what is needed of JSON Schema to describe the documents. Jenkins checks them with a
// schema, too, and its messages are those of the validator that it uses.
type schema struct {
	// types are the allowed types of JSON values; none allows all.
	types []string
	// properties are what an object may have. With open it may have more.
	properties map[string]*schema
	required   []string
	// items is of the elements of an array, minItems their least number.
	items    *schema
	minItems int
	// anyOf are the alternatives of which one must fit.
	anyOf []*schema
}

// jsonType is the type of a value in the words of JSON Schema.
func jsonType(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return "number"
		}
		return "integer"
	case []any:
		return "array"
	}
	return "object"
}

func (s *schema) allows(typ string) bool {
	return len(s.types) == 0 || slices.Contains(s.types, typ) || typ == "integer" && slices.Contains(s.types, "number")
}

// check returns what is wrong with a value. What is in an object or array is looked at only if that
// is right itself.
func (s *schema) check(value any, path []string) []Problem {
	var messages []string
	add := func(format string, args ...any) { messages = append(messages, fmt.Sprintf(format, args...)) }
	if len(s.anyOf) > 0 && !slices.ContainsFunc(s.anyOf, func(o *schema) bool { return len(o.check(value, path)) == 0 }) {
		add("instance failed to match at least one required schema among %d", len(s.anyOf))
	}
	object, isObject := value.(map[string]any)
	if isObject && s.properties != nil {
		if unknown := s.unknown(object); len(unknown) > 0 {
			add("object instance has properties which are not allowed by the schema: [%s]", strings.Join(unknown, ","))
		}
	}
	array, isArray := value.([]any)
	if isArray && len(array) < s.minItems {
		add("Array has %d entries, requires minimum of %d", len(array), s.minItems)
	}
	if isObject {
		if missing := s.missing(object); len(missing) > 0 {
			add("Missing one or more required properties: %s", strings.Join(missing, ", "))
		}
	}
	if typ := jsonType(value); !s.allows(typ) {
		add(`instance type (%s) does not match any allowed primitive type (allowed: ["%s"])`, typ, strings.Join(s.types, `","`))
	}
	if len(messages) > 0 {
		problems := make([]Problem, len(messages))
		for i, m := range messages {
			problems[i] = Problem{Location: path, Messages: []string{m}}
		}
		return problems
	}
	return s.checkInner(object, array, path)
}

func (s *schema) unknown(object map[string]any) []string {
	var unknown []string
	for _, name := range sortedKeys(object) {
		if s.properties[name] == nil {
			unknown = append(unknown, strconv.Quote(name))
		}
	}
	return unknown
}

func (s *schema) missing(object map[string]any) []string {
	var missing []string
	for _, name := range s.required {
		if _, ok := object[name]; !ok {
			missing = append(missing, "'"+name+"'")
		}
	}
	return missing
}

func (s *schema) checkInner(object map[string]any, array []any, path []string) []Problem {
	var problems []Problem
	for _, name := range sortedKeys(object) {
		if p := s.properties[name]; p != nil {
			problems = append(problems, p.check(object[name], at(path, name))...)
		}
	}
	if s.items != nil {
		for i, item := range array {
			problems = append(problems, s.items.check(item, at(path, strconv.Itoa(i)))...)
		}
	}
	return problems
}

// at is the path of an element; paths share nothing.
func at(path []string, names ...string) []string { return append(slices.Clone(path), names...) }

func objectOf(required []string, properties map[string]*schema) *schema {
	return &schema{types: []string{"object"}, required: required, properties: properties}
}

func arrayOf(minItems int, items *schema) *schema {
	return &schema{types: []string{"array"}, items: items, minItems: minItems}
}

func oneOf(alternatives ...*schema) *schema { return &schema{anyOf: alternatives} }

// documentSchema is that of Jenkins. storedSchema takes what ToJSON can give, too: blocks without
// steps, which Jenkins writes but does not read.
var (
	documentSchema = newDocumentSchema(1)
	storedSchema   = newDocumentSchema(0)
	stepsSchema    = arrayOf(1, newStepSchema(1))
)

var (
	stringSchema  = &schema{types: []string{"string"}}
	booleanSchema = &schema{types: []string{"boolean"}}
	valueSchema   = objectOf([]string{"isLiteral", "value"}, map[string]*schema{
		"isLiteral": booleanSchema, "value": {types: []string{"boolean", "null", "number", "string"}},
	})
	pairSchema      = objectOf([]string{"key", "value"}, map[string]*schema{"key": stringSchema, "value": valueSchema})
	argumentsSchema = oneOf(arrayOf(0, pairSchema), valueSchema, arrayOf(0, valueSchema))
)

// newStepSchema describes steps; a step with a block has at least so many steps in it.
func newStepSchema(minChildren int) *schema {
	step := objectOf([]string{"name", "arguments"}, map[string]*schema{"name": stringSchema, "arguments": argumentsSchema})
	tree := objectOf([]string{"name", "arguments", "children"}, map[string]*schema{"name": stringSchema, "arguments": argumentsSchema})
	both := oneOf(step, tree)
	tree.properties["children"] = arrayOf(minChildren, both)
	return both
}

func newConditionSchema() *schema {
	condition := objectOf([]string{"name", "arguments"}, map[string]*schema{"name": stringSchema, "arguments": argumentsSchema})
	nested := objectOf([]string{"name", "children"}, map[string]*schema{"name": stringSchema})
	both := oneOf(condition, nested)
	nested.properties["children"] = arrayOf(1, both)
	return both
}

// newCallSchema describes method calls outside of steps.
func newCallSchema() *schema {
	call := objectOf([]string{"name", "arguments"}, map[string]*schema{"name": stringSchema})
	valueOrCall := oneOf(valueSchema, call)
	entry := objectOf([]string{"key", "value"}, map[string]*schema{"key": stringSchema, "value": valueOrCall})
	call.properties["arguments"] = arrayOf(0, oneOf(valueOrCall, entry))
	return call
}

func newAgentSchema() *schema {
	entry := objectOf([]string{"key", "value"}, map[string]*schema{"key": stringSchema})
	entries := arrayOf(0, entry)
	entry.properties["value"] = oneOf(valueSchema, entries)
	return objectOf([]string{"type"}, map[string]*schema{"type": stringSchema, "arguments": entries, "argument": valueSchema})
}

func newEnvironmentSchema() *schema {
	function := objectOf([]string{"name", "arguments"}, map[string]*schema{"name": stringSchema, "arguments": arrayOf(0, valueSchema)})
	return arrayOf(1, objectOf([]string{"key", "value"}, map[string]*schema{"key": stringSchema, "value": oneOf(valueSchema, function)}))
}

// listOf is an object that has nothing but a list of the same name.
func listOf(name string, items *schema) *schema {
	return objectOf([]string{name}, map[string]*schema{name: arrayOf(1, items)})
}

func newDocumentSchema(minChildren int) *schema {
	call := newCallSchema()
	branch := objectOf([]string{"name", "steps"}, map[string]*schema{
		"name": stringSchema, "steps": arrayOf(1, newStepSchema(minChildren)),
	})
	base := map[string]*schema{
		"agent": newAgentSchema(), "tools": arrayOf(1, pairSchema), "environment": newEnvironmentSchema(),
		"options": listOf("options", call),
		"post": listOf("conditions", objectOf([]string{"condition", "branch"}, map[string]*schema{
			"condition": stringSchema, "branch": branch,
		})),
		"when": objectOf([]string{"conditions"}, map[string]*schema{
			"conditions":  arrayOf(1, newConditionSchema()),
			"beforeAgent": booleanSchema, "beforeInput": booleanSchema, "beforeOptions": booleanSchema,
		}),
		"input": objectOf([]string{"message"}, map[string]*schema{
			"message": valueSchema, "id": valueSchema, "ok": valueSchema, "submitter": valueSchema, "submitterParameter": valueSchema,
			"parameters": oneOf(listOf("parameters", call), arrayOf(1, call)),
		}),
	}
	stage := objectOf([]string{"name"}, with(base, map[string]*schema{
		"name": stringSchema, "failFast": booleanSchema, "branches": arrayOf(0, branch),
	}))
	stages := arrayOf(1, stage)
	axis := objectOf([]string{"name", "values"}, map[string]*schema{
		"name": stringSchema, "values": arrayOf(1, valueSchema), "inverse": booleanSchema,
	})
	stage.properties["stages"], stage.properties["parallel"] = stages, stages
	stage.properties["matrix"] = objectOf([]string{"axes", "stages"}, with(base, map[string]*schema{
		"axes": arrayOf(1, axis), "excludes": arrayOf(1, arrayOf(1, axis)), "stages": stages,
	}))
	pipeline := objectOf([]string{"stages", "agent"}, map[string]*schema{
		"stages": stages, "triggers": listOf("triggers", call), "parameters": listOf("parameters", call),
		"libraries": listOf("libraries", valueSchema),
	})
	for _, name := range []string{"agent", "tools", "environment", "options", "post"} {
		pipeline.properties[name] = base[name]
	}
	return objectOf([]string{"pipeline"}, map[string]*schema{"pipeline": pipeline})
}

func with(base, more map[string]*schema) map[string]*schema {
	for name, s := range base {
		more[name] = s
	}
	return more
}

// parseDoc reads a document that fits the schema.
func parseDoc(doc []byte, s *schema) (*document, error) {
	value, err := parseJSON(doc)
	if err != nil {
		return nil, err
	}
	if problems := s.check(value, []string{}); len(problems) > 0 {
		return nil, &ConvertError{Problems: problems}
	}
	d := &document{}
	if err := json.Unmarshal(doc, d); err != nil {
		return nil, convertError(err.Error(), []string{})
	}
	return d, nil
}

// parseJSON reads one JSON value within the bounds of size and depth.
func parseJSON(doc []byte) (any, error) {
	if len(bytes.TrimSpace(doc)) == 0 {
		return nil, convertError(noJSON, nil)
	}
	if len(doc) > MaxJSONSize {
		return nil, convertError(fmt.Sprintf("The document has %d bytes, more than the %d that are allowed", len(doc), MaxJSONSize), []string{})
	}
	if !utf8.Valid(doc) {
		return nil, convertError("Invalid UTF-8 in the document", nil)
	}
	if deeperThan(doc, maxJSONDepth) {
		return nil, convertError(fmt.Sprintf("Nested deeper than %d levels", maxJSONDepth), []string{})
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, syntaxProblem(doc, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, convertError("Unexpected content behind the document", nil)
	}
	return value, nil
}

// deeperThan tells if brackets nest deeper, so that no parser recurses that far.
func deeperThan(doc []byte, limit int) bool {
	depth, inString := 0, false
	for i := 0; i < len(doc); i++ {
		switch c := doc[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > limit {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// syntaxProblem tells in the words of Jenkins' JSON parser where a document ends too early.
func syntaxProblem(doc []byte, err error) error {
	offset := len(doc)
	message := err.Error()
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &syntax) && strings.HasPrefix(message, "unexpected end"):
		message = "Unexpected end-of-input"
		if within := innermost(doc); within != "" {
			message += " within/between " + within + " entries"
		}
	case syntax != nil:
		offset = min(max(int(syntax.Offset)-1, 0), len(doc))
		r, _ := utf8.DecodeRune(doc[offset:])
		message = fmt.Sprintf("Unexpected character ('%c' (code %d))", r, r)
	}
	line := 1 + bytes.Count(doc[:offset], []byte("\n"))
	column := 1 + utf8.RuneCount(doc[bytes.LastIndexByte(doc[:offset], '\n')+1:offset])
	return convertError(fmt.Sprintf("%s\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: %d, column: %d]",
		message, line, column), nil)
}

// innermost is what the end of a document that was cut off stands in.
func innermost(doc []byte) string {
	var open []byte
	inString := false
	for i := 0; i < len(doc); i++ {
		switch c := doc[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			open = append(open, c)
		case (c == '}' || c == ']') && len(open) > 0:
			open = open[:len(open)-1]
		}
	}
	if len(open) == 0 || inString {
		return ""
	}
	return map[byte]string{'{': "Object", '[': "Array"}[open[len(open)-1]]
}

// checker looks for what a schema does not see: expressions that mean something else in a
// Jenkinsfile, names that are none, and agents that do not exist.
type checker struct {
	problems []Problem
	// merge: values of variables need no quotes. ToJSON writes those that are made of several parts
	// without, and MergeJSON knows what is meant.
	merge bool
}

func (d *document) check(merge bool) []Problem {
	c := &checker{merge: merge}
	path := []string{"pipeline"}
	p := d.Pipeline
	c.agent(p.Agent, at(path, "agent"))
	c.stages(p.Stages, at(path, "stages"))
	c.post(p.Post, at(path, "post"))
	c.entries(p.Tools, at(path, "tools"))
	c.environment(p.Environment, at(path, "environment"))
	if p.Options != nil {
		c.calls(p.Options.Options, at(path, "options", "options"))
	}
	if p.Parameters != nil {
		c.calls(p.Parameters.Parameters, at(path, "parameters", "parameters"))
	}
	if p.Triggers != nil {
		c.calls(p.Triggers.Triggers, at(path, "triggers", "triggers"))
	}
	if p.Libraries != nil {
		for i, l := range p.Libraries.Libraries {
			c.value(&l.docValue, at(path, "libraries", "libraries", strconv.Itoa(i)))
		}
	}
	return c.problems
}

func (c *checker) add(path []string, format string, args ...any) {
	c.problems = append(c.problems, Problem{Location: path, Messages: []string{fmt.Sprintf(format, args...)}})
}

// name refuses what is no name: it would stand in the Jenkinsfile as code.
func (c *checker) name(name string, path []string) {
	if !isName(name) {
		c.add(path, "%s is not a valid name", strconv.Quote(shorten(name)))
	}
}

func isName(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return s != "" && isIdentStart(r) && identLen(s, isIdentPart) == len(s) && !isKeyword(s)
}

func (c *checker) value(v *docValue, path []string) {
	if v == nil || v.IsLiteral {
		return
	}
	text, ok := v.Value.(string)
	if !ok {
		c.add(path, "Invalid value type")
		return
	}
	if bare := unwrap(text); strings.HasPrefix(bare, "${") {
		c.add(path, "%s cannot be used as a value directly. Did you mean \"%s\"? (add quotes)", bare, bare)
	}
}

// unwrap takes ${ and } from around an expression.
func unwrap(text string) string {
	if strings.HasPrefix(text, "${") && strings.HasSuffix(text, "}") {
		return text[2 : len(text)-1]
	}
	return text
}

func (c *checker) entries(list []*docEntry, path []string) {
	for i, e := range list {
		here := at(path, strconv.Itoa(i))
		c.name(e.Key, at(here, "key"))
		c.entryValue(e, here)
	}
}

func (c *checker) environment(list []*docEntry, path []string) {
	for i, e := range list {
		here := at(path, strconv.Itoa(i))
		if !validEnvName(e.Key) {
			c.add(at(here, "key"), "%s is not a valid identifier and cannot be used for an environment variable. "+
				"Identifiers must start with a letter or underscore and can contain only letters, numbers or underscores.", strconv.Quote(shorten(e.Key)))
		}
		if !c.merge || e.Value == nil || e.Value.IsLiteral {
			c.entryValue(e, here)
		}
	}
}

func (c *checker) entryValue(e *docEntry, path []string) {
	c.value(e.Value, at(path, "value"))
	if e.Call != nil {
		c.call(e.Call, at(path, "value"))
	}
	c.entries(e.List, at(path, "value"))
}

func (c *checker) calls(list []*docCall, path []string) {
	for i, call := range list {
		c.call(call, at(path, strconv.Itoa(i)))
	}
}

func (c *checker) call(call *docCall, path []string) {
	c.name(call.Name, at(path, "name"))
	for i, a := range call.Args {
		here := at(path, "arguments", strconv.Itoa(i))
		c.value(a.Value, here)
		if a.Call != nil {
			c.call(a.Call, here)
		}
		if a.Entry != nil {
			c.entryValue(a.Entry, here)
		}
	}
}

func (c *checker) args(a *docArgs, path []string) {
	if a == nil {
		return
	}
	c.value(a.Single, path)
	for i, e := range a.Named {
		c.entryValue(e, at(path, strconv.Itoa(i)))
	}
	for i, v := range a.Positional {
		c.value(v, at(path, strconv.Itoa(i)))
	}
}

// agent knows the types of agents, as their fields differ.
func (c *checker) agent(a *docAgent, path []string) {
	if a == nil {
		return
	}
	if _, known := agentFields[a.Type]; !known && a.Type != AgentAny && a.Type != AgentNone {
		c.add(at(path, "type"), "Invalid agent type \"%s\" specified. Must be one of %s", shorten(a.Type), agentTypeList)
	}
	c.value(a.Argument, at(path, "argument"))
	c.entries(a.Args, at(path, "arguments"))
}

func (c *checker) steps(list []*docStep, path []string) {
	for i, s := range list {
		here := at(path, strconv.Itoa(i))
		c.name(s.Name, at(here, "name"))
		c.args(s.Args, at(here, "arguments"))
		c.steps(s.Children, at(here, "children"))
	}
}

func (c *checker) stages(list []*docStage, path []string) {
	for i, s := range list {
		here := at(path, strconv.Itoa(i))
		c.base(&s.docBase, here)
		c.stages(s.Stages, at(here, "stages"))
		c.stages(s.Parallel, at(here, "parallel"))
		for k, b := range s.Branches {
			c.steps(b.Steps, at(here, "branches", strconv.Itoa(k), "steps"))
		}
		if s.Matrix != nil {
			here = at(here, "matrix")
			c.base(&s.Matrix.docBase, here)
			c.stages(s.Matrix.Stages, at(here, "stages"))
		}
	}
}

func (c *checker) base(b *docBase, path []string) {
	c.agent(b.Agent, at(path, "agent"))
	if b.When != nil {
		c.steps(b.When.Conditions, at(path, "when", "conditions"))
	}
	c.entries(b.Tools, at(path, "tools"))
	c.environment(b.Environment, at(path, "environment"))
	if b.Options != nil {
		c.calls(b.Options.Options, at(path, "options", "options"))
	}
	if in := b.Input; in != nil {
		for _, f := range in.fields() {
			c.value(*f.value, at(path, "input", f.name))
		}
		c.calls(in.Parameters, at(path, "input", "parameters"))
	}
	c.post(b.Post, at(path, "post"))
}

func (c *checker) post(p *docPost, path []string) {
	if p == nil {
		return
	}
	for i, condition := range p.Conditions {
		here := at(path, "conditions", strconv.Itoa(i))
		c.name(condition.Condition, at(here, "condition"))
		c.steps(condition.Branch.Steps, at(here, "branch", "steps"))
	}
}
