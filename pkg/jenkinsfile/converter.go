// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

// Converter converts as one particular Jenkins does. The zero value stands for any Jenkins, as ToJSON,
// FromJSON and the other functions of this package do.
type Converter struct {
	// Tools are the names of the installed tools by their types, as "maven": {"maven-3"}. Tools that are
	// not among them are refused. Nil means that it is not known which there are, and all are taken.
	Tools map[string][]string
}

// ToJSON is the function ToJSON for this Jenkins.
func (c Converter) ToJSON(source string) ([]byte, error) {
	if err := c.checkSource(source); err != nil {
		return nil, err
	}
	return ToJSON(source)
}

// ValidateJenkinsfile is the function ValidateJenkinsfile for this Jenkins.
func (c Converter) ValidateJenkinsfile(source string) error {
	if err := c.checkSource(source); err != nil {
		return err
	}
	return ValidateJenkinsfile(source)
}

// FromJSON is the function FromJSON for this Jenkins.
func (c Converter) FromJSON(doc []byte) (string, error) {
	source, p, err := printDoc(doc)
	if err != nil {
		return "", err
	}
	if err := c.checkTools(source); err != nil {
		out := &ConvertError{cause: err}
		for _, e := range err.Errors {
			out.Problems = append(out.Problems, Problem{Location: at(p.locate(e), "value"), Messages: []string{e.Message}})
		}
		return "", out
	}
	return source, nil
}

// ValidateJSON is the function ValidateJSON for this Jenkins.
func (c Converter) ValidateJSON(doc []byte) error {
	_, err := c.FromJSON(doc)
	return err
}

func (c Converter) checkSource(source string) error {
	if err := c.checkTools(source); err != nil {
		return sourceError(err)
	}
	return nil
}

// checkTools finds the tools that are not installed; what is wrong otherwise is not its matter. Jenkins
// checks the stages before the tools of the pipeline.
func (c Converter) checkTools(source string) *ErrorList {
	if c.Tools == nil {
		return nil
	}
	p, err := Parse(source)
	if err != nil {
		return nil //nolint:nilerr // who calls finds it himself
	}
	list := &ErrorList{}
	p.WalkStages(func(s *Stage) { c.tools(s.Tools, list) })
	c.tools(p.Tools, list)
	if len(list.Errors) == 0 {
		return nil
	}
	return list
}

func (c Converter) tools(tools []*Directive, list *ErrorList) {
	for _, d := range tools {
		if len(d.Args) != 1 {
			continue
		}
		value, ok := d.Args[0].Value.(*Constant)
		name, isText := "", false
		if ok {
			name, isText = value.Value.(string)
		}
		installed := c.Tools[d.Name]
		if !isText || contains(installed, name) {
			continue
		}
		nearest := closest(name, installed)
		if nearest == "" {
			nearest = "null"
		}
		list.addLate(value.From, "Tool type \"%s\" does not have an install of \"%s\" configured - did you mean \"%s\"?", d.Name, name, nearest)
	}
}
