// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package jenkinsfile reads Jenkinsfiles: Declarative Pipelines and the subset of Groovy inside of
// them. It gives a syntax tree with positions and errors in Jenkins' words, and converts pipelines
// from and to the JSON form that graphical editors use, as Jenkins' pipeline-model-converter does.
//
// The whole file is parsed as a Groovy script first; the pipeline block is then read from that
// tree, as Jenkins does it. So a syntax error is reported alone, while all violations of the rules
// of Declarative Pipeline are collected.
package jenkinsfile

import (
	"errors"
	"fmt"
	"sort"
	"strings"
)

// MaxSize is the greatest size of a Jenkinsfile in bytes that Parse takes.
const MaxSize = 1 << 20

// maxDepth bounds how deep brackets may nest, maxParseDepth the parser's own recursion, which takes
// some levels for each bracket.
const (
	maxDepth      = 200
	maxParseDepth = 1500
)

// maxChain bounds how many operators or selectors may follow each other in one expression, as the
// tree of such a chain is as deep as the chain is long.
const maxChain = 2000

// maxTree bounds how deep the tree of a file may be: a little deeper than the longest chain, as chains in brackets add up.
const maxTree = maxChain + 500

// ErrScripted is wrapped by Parse's error if the source holds no pipeline {} block at its top
// level. Such a file is a Scripted Pipeline, which Load reads.
var ErrScripted = errors.New("scripted pipeline")

// Error is one problem at a position.
type Error struct {
	// Line and Column count from 1, columns in characters. Both are 0 for a problem of the whole file.
	Line, Column int
	Message      string
	// late: Jenkins finds it only after the whole file has been read, when it checks what was read.
	late bool
}

// Error gives the message with its position in the form that Jenkins prints.
func (e *Error) Error() string {
	if e.Line == 0 {
		return "WorkflowScript: " + e.Message
	}
	return fmt.Sprintf("WorkflowScript: %d: %s @ line %d, column %d.", e.Line, e.Message, e.Line, e.Column)
}

// ErrorList is what Parse and Validate return: every problem that was found, in order of position.
type ErrorList struct {
	Errors []*Error
	// cause is ErrScripted or nil.
	cause error
}

// Error gives one line for each problem.
func (l *ErrorList) Error() string {
	lines := make([]string, len(l.Errors))
	for i, e := range l.Errors {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap makes errors.Is(err, ErrScripted) work.
func (l *ErrorList) Unwrap() error { return l.cause }

func (l *ErrorList) add(p Pos, format string, args ...any) {
	l.Errors = append(l.Errors, &Error{Line: p.Line, Column: p.Column, Message: fmt.Sprintf(format, args...)})
}

// addLate adds a problem that Jenkins finds when it checks what it has read.
func (l *ErrorList) addLate(p Pos, format string, args ...any) {
	l.add(p, format, args...)
	l.Errors[len(l.Errors)-1].late = true
}

// orNil sorts the list and returns it as an error, nil if it is empty.
func (l *ErrorList) orNil() error {
	if len(l.Errors) == 0 {
		return nil
	}
	sort.SliceStable(l.Errors, func(i, j int) bool {
		a, b := l.Errors[i], l.Errors[j]
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Column < b.Column
	})
	return l
}

// syntaxError carries an *Error out of the lexer and the parser, which stop at the first one.
type syntaxError struct{ err *Error }

func failAt(p Pos, format string, args ...any) {
	panic(syntaxError{&Error{Line: p.Line, Column: p.Column, Message: fmt.Sprintf(format, args...)}})
}

// catchSyntax turns the panic of failAt into an error; other panics pass.
func catchSyntax(err **Error) {
	switch r := recover().(type) {
	case nil:
	case syntaxError:
		*err = r.err
	default:
		panic(r)
	}
}
