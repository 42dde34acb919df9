// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import (
	"bytes"
	"encoding/json"
	"errors"
)

// The types of this file are the document of Jenkins' pipeline-model-converter. Their fields stand in
// the order in which Jenkins writes them.

// place is where a part stands in the source: the statement and the block that ends it, with its
// braces. It is zero for what comes from JSON and block is zero without one.
type place struct{ stmt, block Span }

func (p place) known() bool { return p.stmt.To.Offset > 0 }

type document struct {
	Pipeline *docPipeline `json:"pipeline"`
}

type docPipeline struct {
	Stages      []*docStage    `json:"stages,omitempty"`
	Post        *docPost       `json:"post,omitempty"`
	Environment []*docEntry    `json:"environment,omitempty"`
	Agent       *docAgent      `json:"agent,omitempty"`
	Tools       []*docEntry    `json:"tools,omitempty"`
	Options     *docOptions    `json:"options,omitempty"`
	Parameters  *docParameters `json:"parameters,omitempty"`
	Triggers    *docTriggers   `json:"triggers,omitempty"`
	Libraries   *docLibraries  `json:"libraries,omitempty"`

	at     place
	places places
}

// places are where sections stand, by their names.
type places map[string]place

// docBase is what a stage and a matrix have in common.
type docBase struct {
	Agent       *docAgent   `json:"agent,omitempty"`
	When        *docWhen    `json:"when,omitempty"`
	Post        *docPost    `json:"post,omitempty"`
	Tools       []*docEntry `json:"tools,omitempty"`
	Environment []*docEntry `json:"environment,omitempty"`
	Options     *docOptions `json:"options,omitempty"`
	Input       *docInput   `json:"input,omitempty"`

	at     place
	places places
}

type docStage struct {
	docBase
	Name     string       `json:"name"`
	Stages   []*docStage  `json:"stages,omitempty"`
	Parallel []*docStage  `json:"parallel,omitempty"`
	Matrix   *docMatrix   `json:"matrix,omitempty"`
	Branches []*docBranch `json:"branches,omitempty"`
	FailFast *bool        `json:"failFast,omitempty"`
}

type docMatrix struct {
	docBase
	Axes     []*docAxis   `json:"axes,omitempty"`
	Excludes []docExclude `json:"excludes,omitempty"`
	Stages   []*docStage  `json:"stages,omitempty"`
}

// docExclude is a list of axes.
type docExclude struct {
	axes []*docAxis
	at   place
}

func (e docExclude) MarshalJSON() ([]byte, error) { return marshal(e.axes) }

func (e *docExclude) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &e.axes) }

type docAxis struct {
	Name    string      `json:"name"`
	Values  []*docValue `json:"values"`
	Inverse *bool       `json:"inverse,omitempty"`

	at     place
	places places
}

// docBranch is a list of steps. Its name is default but for the branches of a parallel step.
type docBranch struct {
	Name  string     `json:"name"`
	Steps []*docStep `json:"steps"`

	at place
}

type docPost struct {
	Conditions []*docPostCondition `json:"conditions"`
}

type docPostCondition struct {
	Condition string     `json:"condition"`
	Branch    *docBranch `json:"branch"`

	at place
}

// docStep is a step or a condition of when.
type docStep struct {
	Name     string     `json:"name"`
	Args     *docArgs   `json:"arguments,omitempty"`
	Children []*docStep `json:"children,omitempty"`

	// tree: it has a block with steps, which may be empty.
	tree bool
	at   place
	// code is where the text of a script or an expression stands.
	code Span
}

// MarshalJSON writes the children of a step with a block even if there are none.
func (s *docStep) MarshalJSON() ([]byte, error) {
	type plain docStep
	if !s.tree {
		return marshal((*plain)(s))
	}
	children := s.Children
	if children == nil {
		children = []*docStep{}
	}
	return marshal(struct {
		Name     string     `json:"name"`
		Args     *docArgs   `json:"arguments,omitempty"`
		Children []*docStep `json:"children"`
	}{s.Name, s.Args, children})
}

// UnmarshalJSON notes if there are children.
func (s *docStep) UnmarshalJSON(data []byte) error {
	type plain docStep
	if err := json.Unmarshal(data, (*plain)(s)); err != nil {
		return err
	}
	s.tree = s.Children != nil
	return nil
}

// docArgs are the arguments of a step: a single value, or a list of named or positional ones.
type docArgs struct {
	Single     *docValue
	Named      []*docEntry
	Positional []*docValue
}

// MarshalJSON writes one value as an object and everything else as a list.
func (a *docArgs) MarshalJSON() ([]byte, error) {
	switch {
	case a.Single != nil:
		return marshal(a.Single)
	case a.Positional != nil:
		return marshal(a.Positional)
	case a.Named == nil:
		return []byte("[]"), nil
	}
	return marshal(a.Named)
}

// UnmarshalJSON reads all three forms.
func (a *docArgs) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		return json.Unmarshal(data, &a.Single)
	}
	var list []map[string]json.RawMessage
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	if len(list) == 0 {
		return nil
	}
	if _, named := list[0]["key"]; named {
		return json.Unmarshal(data, &a.Named)
	}
	return json.Unmarshal(data, &a.Positional)
}

// named returns the value if it is the only argument and has that name.
func (a *docArgs) named(name string) *docValue {
	if a != nil && len(a.Named) == 1 && a.Named[0].Key == name {
		return a.Named[0].Value
	}
	return nil
}

// docValue is a literal, or the source of an expression: of a string with its quotes, of everything
// else within ${ and }.
type docValue struct {
	IsLiteral bool `json:"isLiteral"`
	// Value is nil, a bool, a string, an int64, a float64 or a json.Number.
	Value any `json:"value"`
}

// UnmarshalJSON keeps numbers as they are written.
func (v *docValue) UnmarshalJSON(data []byte) error {
	type plain docValue
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return d.Decode((*plain)(v))
}

// text is the value as a text.
func (v *docValue) text() string {
	if s, ok := v.Value.(string); ok {
		return s
	}
	return literal(v.Value)
}

// docEntry is a key with a value, a method call, or, in an agent, a list of entries.
type docEntry struct {
	Key   string
	Value *docValue
	Call  *docCall
	List  []*docEntry

	at place
}

// MarshalJSON writes {"key":…,"value":…}.
func (e *docEntry) MarshalJSON() ([]byte, error) {
	var value any
	switch {
	case e.Value != nil:
		value = e.Value
	case e.Call != nil:
		value = e.Call
	case e.List != nil:
		value = e.List
	}
	return marshal(struct {
		Key   string `json:"key"`
		Value any    `json:"value"`
	}{e.Key, value})
}

var errNoValue = errors.New("Invalid value type") //nolint:staticcheck // as Jenkins says it

// UnmarshalJSON tells the kinds of values apart by what they have.
func (e *docEntry) UnmarshalJSON(data []byte) error {
	var raw struct {
		Key   string          `json:"key"`
		Value json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	e.Key = raw.Key
	value := bytes.TrimSpace(raw.Value)
	if bytes.HasPrefix(value, []byte("[")) {
		e.List = []*docEntry{}
		return json.Unmarshal(value, &e.List)
	}
	arg := &docArg{}
	if err := json.Unmarshal(value, arg); err != nil || arg.Entry != nil {
		return errors.Join(errNoValue, err)
	}
	e.Value, e.Call = arg.Value, arg.Call
	return nil
}

// docCall is a method call outside of steps: an option, a parameter, a trigger, or an argument of one.
type docCall struct {
	Name string   `json:"name"`
	Args []docArg `json:"arguments"`

	at place
}

// docArg is an argument of a method call; exactly one field is set.
type docArg struct {
	Entry *docEntry
	Value *docValue
	Call  *docCall
}

// MarshalJSON writes the one that is set.
func (a docArg) MarshalJSON() ([]byte, error) {
	switch {
	case a.Entry != nil:
		return marshal(a.Entry)
	case a.Call != nil:
		return marshal(a.Call)
	}
	return marshal(a.Value)
}

// UnmarshalJSON tells the kinds apart by their keys.
func (a *docArg) UnmarshalJSON(data []byte) error {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(data, &keys); err != nil {
		return err
	}
	has := func(a, b string) bool { return keys[a] != nil && keys[b] != nil }
	switch {
	case has("key", "value"):
		return json.Unmarshal(data, &a.Entry)
	case has("name", "arguments"):
		return json.Unmarshal(data, &a.Call)
	case has("isLiteral", "value"):
		return json.Unmarshal(data, &a.Value)
	}
	return errNoValue
}

type docAgent struct {
	Type     string      `json:"type"`
	Argument *docValue   `json:"argument,omitempty"`
	Args     []*docEntry `json:"arguments,omitempty"`

	// inner is the statement of the type within the agent's block.
	inner place
}

type docOptions struct {
	Options []*docCall `json:"options"`
}

type docTriggers struct {
	Triggers []*docCall `json:"triggers"`
}

type docParameters struct {
	Parameters []*docCall `json:"parameters"`
}

type docLibraries struct {
	Libraries []*docLibrary `json:"libraries"`
}

type docLibrary struct {
	docValue
	at place
}

// MarshalJSON writes the value alone.
func (l *docLibrary) MarshalJSON() ([]byte, error) { return marshal(&l.docValue) }

type docWhen struct {
	Conditions    []*docStep `json:"conditions"`
	BeforeAgent   *bool      `json:"beforeAgent,omitempty"`
	BeforeInput   *bool      `json:"beforeInput,omitempty"`
	BeforeOptions *bool      `json:"beforeOptions,omitempty"`

	places places
}

type docInput struct {
	Message            *docValue      `json:"message"`
	ID                 *docValue      `json:"id,omitempty"`
	OK                 *docValue      `json:"ok,omitempty"`
	Submitter          *docValue      `json:"submitter,omitempty"`
	SubmitterParameter *docValue      `json:"submitterParameter,omitempty"`
	Parameters         docInputParams `json:"parameters,omitempty"`

	places places
}

// inputField is one of the values of an input.
type inputField struct {
	name  string
	value **docValue
}

// fields gives the values of an input in Jenkins' order.
func (i *docInput) fields() []inputField {
	return []inputField{
		{"message", &i.Message}, {"id", &i.ID}, {"ok", &i.OK}, {"submitter", &i.Submitter}, {"submitterParameter", &i.SubmitterParameter},
	}
}

// docInputParams are the parameters of an input. Jenkins writes them as a list, while it wants an
// object with a list; both are read.
type docInputParams []*docCall

// UnmarshalJSON reads both forms.
func (p *docInputParams) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) {
		return json.Unmarshal(data, (*[]*docCall)(p))
	}
	var object docParameters
	if err := json.Unmarshal(data, &object); err != nil {
		return err
	}
	*p = object.Parameters
	return nil
}

// marshal writes JSON without the escapes that are for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
