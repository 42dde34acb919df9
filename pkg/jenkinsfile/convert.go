// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"
)

// MaxJSONSize is the greatest size of a JSON document in bytes that FromJSON and MergeJSON take. The
// JSON form of a Jenkinsfile is some four times as long as its source.
const MaxJSONSize = 2 << 20

// maxJSONDepth bounds how deep objects and arrays of a document may nest.
const maxJSONDepth = 100

// Problem is one entry in the errors of Jenkins' pipeline-model-converter.
type Problem struct {
	// Location is the path of the element in the JSON document, with indexes as text; nil if the
	// problem has none, empty for the document itself.
	Location []string
	// Messages are what is wrong.
	Messages []string
	// Jenkinsfile is what is wrong with the Jenkinsfile that was made from the document. Location and
	// Messages are empty then.
	Jenkinsfile *ConvertError
}

// MarshalJSON writes the entry as Jenkins does: one message is a text, several are a list.
func (p Problem) MarshalJSON() ([]byte, error) {
	if p.Jenkinsfile != nil {
		return marshal(struct {
			Errors *ConvertError `json:"jenkinsfileErrors"`
		}{p.Jenkinsfile})
	}
	var message any = p.Messages
	if len(p.Messages) == 1 {
		message = p.Messages[0]
	}
	if p.Location == nil {
		return marshal(struct {
			Error any `json:"error"`
		}{message})
	}
	return marshal(struct {
		Location []string `json:"location"`
		Error    any      `json:"error"`
	}{p.Location, message})
}

// ConvertError is what ToJSON, FromJSON and MergeJSON return. In JSON it is the data of the answer of
// Jenkins' pipeline-model-converter: {"result":"failure","errors":[…]}.
type ConvertError struct {
	Problems []Problem
	cause    error
}

// MarshalJSON gives the answer of Jenkins.
func (e *ConvertError) MarshalJSON() ([]byte, error) {
	return marshal(struct {
		Result string    `json:"result"`
		Errors []Problem `json:"errors"`
	}{"failure", e.Problems})
}

// Error gives one line for each message.
func (e *ConvertError) Error() string {
	var lines []string
	for _, p := range e.Problems {
		switch {
		case p.Jenkinsfile != nil:
			lines = append(lines, p.Jenkinsfile.Error())
		case len(p.Location) > 0:
			lines = append(lines, strings.Join(p.Location, "/")+": "+strings.Join(p.Messages, "; "))
		default:
			lines = append(lines, p.Messages...)
		}
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the *ErrorList of a Jenkinsfile, so that errors.Is(err, ErrScripted) works.
func (e *ConvertError) Unwrap() error { return e.cause }

func convertError(message string, location []string) *ConvertError {
	return &ConvertError{Problems: []Problem{{Location: location, Messages: []string{message}}}}
}

// sourceError gives the errors of Parse in Jenkins' shape and order: what it finds while it reads
// stands before what it finds when it checks.
func sourceError(err error) *ConvertError {
	var list *ErrorList
	if !errors.As(err, &list) {
		return &ConvertError{Problems: []Problem{{Messages: []string{err.Error()}}}, cause: err}
	}
	found := append([]*Error(nil), list.Errors...)
	sort.SliceStable(found, func(i, j int) bool { return !found[i].late && found[j].late })
	messages := make([]string, len(found))
	for i, e := range found {
		messages[i] = e.located()
	}
	return &ConvertError{Problems: []Problem{{Messages: messages}}, cause: list}
}

// located is the message with its position as the converter prints it.
func (e *Error) located() string {
	if e.Line == 0 {
		return e.Message
	}
	return fmt.Sprintf("%s @ line %d, column %d.", e.Message, e.Line, e.Column)
}

const (
	noJenkinsfile = "No content found for 'jenkinsfile' parameter"
	noJSON        = "No content found for 'json' parameter"
)

// ToJSON gives a Declarative Pipeline in the JSON form of Jenkins' pipeline-model-converter
// ({"pipeline":{…}}), equal to the answer of its toJson. Comments and everything outside of the
// pipeline block are not in it. The error is a *ConvertError with Jenkins' messages; for a scripted
// pipeline errors.Is(err, ErrScripted) holds.
func ToJSON(source string) ([]byte, error) {
	doc, err := readDoc(source)
	if err != nil {
		return nil, err
	}
	out, err := marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("write pipeline as JSON: %w", err)
	}
	return out, nil
}

// readDoc reads the document of a Jenkinsfile, with the places of its parts in the source.
func readDoc(source string) (*document, error) {
	if source == "" {
		return nil, convertError(noJenkinsfile, nil)
	}
	if !utf8.ValidString(source) {
		return nil, convertError("Invalid UTF-8 in the Jenkinsfile", nil)
	}
	p, err := Parse(source)
	if err != nil {
		return nil, sourceError(err)
	}
	r := docReader{src: source}
	return &document{Pipeline: r.pipeline(p.root)}, nil
}

// ValidateJenkinsfile says what is wrong with a Jenkinsfile as Jenkins' validateJenkinsfile does: nil
// or a *ConvertError.
func ValidateJenkinsfile(source string) error {
	_, err := readDoc(source)
	return err
}

// FromJSON writes the Jenkinsfile of a document, equal to the answer of Jenkins' toJenkinsfile. It
// fails where Jenkins fails and loses what Jenkins loses, the names of libraries; MergeJSON does
// neither. The error is a *ConvertError with Jenkins' messages.
func FromJSON(doc []byte) (string, error) {
	source, _, err := printDoc(doc)
	return source, err
}

// printDoc writes the Jenkinsfile of a document with the printer, which knows where its parts are.
func printDoc(doc []byte) (string, *printer, error) {
	d, err := parseDoc(doc, documentSchema)
	if err != nil {
		return "", nil, err
	}
	if problems := d.check(false); len(problems) > 0 {
		return "", nil, &ConvertError{Problems: problems}
	}
	b := elementBuilder{jenkins: true}
	p := newPrinter("  ")
	p.element(b.pipeline(d.Pipeline), "")
	source := strings.TrimSuffix(p.out.String(), "\n")
	if _, err := Parse(source); err != nil {
		return "", nil, printedError(err, p)
	}
	return source, p, nil
}

// ValidateJSON says what is wrong with a document as Jenkins' validateJson does: nil or a
// *ConvertError.
func ValidateJSON(doc []byte) error {
	_, err := FromJSON(doc)
	return err
}

// printedError tells the errors of a Jenkinsfile that was made from a document. What Jenkins finds
// when it checks it finds in the document already.
func printedError(err error, p *printer) error {
	var list *ErrorList
	if !errors.As(err, &list) {
		return sourceError(err)
	}
	out := &ConvertError{cause: list}
	for _, e := range list.Errors {
		if !e.late {
			return &ConvertError{Problems: []Problem{{Jenkinsfile: sourceError(err)}}, cause: list}
		}
		out.Problems = append(out.Problems, Problem{Location: p.locate(e), Messages: []string{e.Message}})
	}
	return out
}

// StepsToJSON gives the steps of a source that holds nothing else as JSON, equal to the answer of
// Jenkins' stepsToJson.
func StepsToJSON(source string) ([]byte, error) {
	if source == "" {
		return nil, convertError(noJenkinsfile, nil)
	}
	script, err := ParseScript(source)
	if err != nil {
		return nil, sourceError(err)
	}
	b := &builder{src: source}
	b.stepList(script.Stmts)
	if err := b.errs.orNil(); err != nil {
		return nil, sourceError(err)
	}
	r := docReader{src: source}
	out, err := marshal(r.steps(script.Stmts))
	if err != nil {
		return nil, fmt.Errorf("write steps as JSON: %w", err)
	}
	return out, nil
}

// StepsFromJSON writes the steps of a list in JSON, equal to the answer of Jenkins'
// stepsToJenkinsfile.
func StepsFromJSON(doc []byte) (string, error) {
	value, err := parseJSON(doc)
	if err != nil {
		return "", err
	}
	if _, one := value.(map[string]any); one {
		value = []any{value}
		doc = []byte("[" + string(doc) + "]")
	}
	if problems := stepsSchema.check(value, []string{}); len(problems) > 0 {
		return "", &ConvertError{Problems: problems}
	}
	var steps []*docStep
	if err := json.Unmarshal(doc, &steps); err != nil {
		return "", convertError(err.Error(), []string{})
	}
	c := checker{}
	c.steps(steps, []string{})
	if len(c.problems) > 0 {
		return "", &ConvertError{Problems: c.problems}
	}
	b := elementBuilder{jenkins: true}
	p := newPrinter("  ")
	for _, e := range b.steps(steps, nil) {
		p.element(e, "")
	}
	return strings.TrimSuffix(p.out.String(), "\n"), nil
}
