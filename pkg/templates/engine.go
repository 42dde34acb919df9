// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package templates fills the gaps of templates: of whole Jenkinsfiles, and of single steps that the
// graphical editor offers.
//
// The language is Go's text/template. A template is written by whoever may write templates and is
// filled with values of whoever asks, on the server; so what it can do is narrowed: no templates within
// templates, and so no recursion, only functions that are listed here, and limits for the length of the
// result, for the work of functions and for time. No limit depends on the template keeping to rules.
package templates

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"text/template"
	"text/template/parse"
	"time"
)

// The limits of a rendering.
const (
	// MaxTemplate is the greatest length of a template in bytes.
	MaxTemplate = 256 << 10
	// MaxOutput is the greatest length of a result in bytes.
	MaxOutput = 1 << 20
	// maxWork bounds the bytes that functions handle in one rendering.
	maxWork = 16 << 20
	// maxTime bounds the time of one rendering.
	maxTime = 2 * time.Second
	// maxLoops bounds the passes through loops.
	maxLoops = 100_000
)

// Error says why a template cannot be rendered with the values that were given.
type Error struct {
	// Problems are sentences for the user; each names the parameter that it is about.
	Problems []string
}

// Error gives the problems in one line.
func (e *Error) Error() string { return strings.Join(e.Problems, "; ") }

func problem(format string, args ...any) error {
	return &Error{Problems: []string{fmt.Sprintf(format, args...)}}
}

// emitFunction is the name of the function through which every value goes into the result. Templates
// cannot call it.
const emitFunction = "_emit"

var errLoops = fmt.Errorf("its loops are passed through more than %d times", maxLoops)

// engine renders templates of one kind.
type engine struct {
	// left and right are the delimiters of actions.
	left, right string
	// root is the name under which templates find the parameters.
	root string
	// hold gives what stands for a value until the result was parsed. Nil: values are written as they are.
	hold func(held) string
}

// render fills the gaps of a template. The error is an *Error.
func (e engine) render(ctx context.Context, text string, data map[string]any) (string, error) {
	if len(text) > MaxTemplate {
		return "", problem("the template has %d bytes, more than %d", len(text), MaxTemplate)
	}
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	budget := &budget{ctx: ctx, work: maxWork}
	functions := budget.functions()
	functions[emitFunction] = func(v any) (string, error) { return e.emit(budget, v) }
	parsed, err := template.New("template").Delims(e.left, e.right).Option("missingkey=error").Funcs(functions).Parse(text)
	if err != nil {
		return "", problem("the template is not valid: %s", strip(err))
	}
	for _, defined := range parsed.Templates() {
		if defined.Name() != parsed.Name() {
			return "", problem("the template is not valid: define and block are not served here")
		}
	}
	if parsed.Tree == nil {
		return "", nil
	}
	if err := (&rewriter{tree: parsed.Tree, functions: functions}).list(parsed.Root); err != nil {
		return "", problem("the template is not valid: %s", err)
	}
	out := &output{budget: budget}
	if err := parsed.Execute(out, data); err != nil {
		return "", e.explain(err)
	}
	return out.text.String(), nil
}

var (
	missingKey = regexp.MustCompile(`map has no entry for key "(.*)"`)
	nilPart    = regexp.MustCompile(`<([^>]*)>: nil (?:pointer evaluating|data)`)
)

// explain says in the user's terms what text/template says in its own.
func (e engine) explain(err error) error {
	if found := missingKey.FindStringSubmatch(err.Error()); found != nil {
		return problem("the template needs the parameter %q, which it does not declare and you did not give", found[1])
	}
	if found := nilPart.FindStringSubmatch(err.Error()); found != nil {
		return problem("the template needs %s, which is not given", strings.TrimPrefix(found[1], "."+e.root+"."))
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return problem("the template takes longer than %s", maxTime)
	}
	return problem("the template cannot be rendered: %s", strip(err))
}

// strip removes what the user did not write: the names that text/template needs.
func strip(err error) string {
	text := strings.TrimPrefix(err.Error(), "template: template:")
	return strings.ReplaceAll(text, ` executing "template"`, "")
}

// output takes the result and ends a rendering that is over its limits. Every pass through a loop writes
// to it, too.
type output struct {
	budget *budget
	text   strings.Builder
	loops  int
}

func (o *output) Write(p []byte) (int, error) {
	if err := o.budget.ctx.Err(); err != nil {
		return 0, fmt.Errorf("stopped: %w", err)
	}
	if len(p) == 0 {
		if o.loops++; o.loops > maxLoops {
			return 0, errLoops
		}
	}
	if o.text.Len()+len(p) > MaxOutput {
		return 0, fmt.Errorf("the result is longer than %d bytes", MaxOutput)
	}
	return o.text.Write(p)
}

// rewriter checks a template and puts in what bounds it.
type rewriter struct {
	tree      *parse.Tree
	functions template.FuncMap
}

func (r *rewriter) list(list *parse.ListNode) error {
	if list == nil {
		return nil
	}
	for _, node := range list.Nodes {
		if err := r.node(node); err != nil {
			return err
		}
	}
	return nil
}

func (r *rewriter) node(node parse.Node) error {
	switch n := node.(type) {
	case *parse.TextNode, *parse.CommentNode, *parse.BreakNode, *parse.ContinueNode:
		return nil
	case *parse.ActionNode:
		if err := r.pipe(n.Pipe); err != nil {
			return err
		}
		if len(n.Pipe.Decl) == 0 {
			emit := parse.NewIdentifier(emitFunction).SetTree(r.tree).SetPos(n.Pos)
			n.Pipe.Cmds = append(n.Pipe.Cmds, &parse.CommandNode{NodeType: parse.NodeCommand, Pos: n.Pos, Args: []parse.Node{emit}})
		}
		return nil
	case *parse.IfNode:
		return r.branch(&n.BranchNode)
	case *parse.WithNode:
		return r.branch(&n.BranchNode)
	case *parse.RangeNode:
		if err := r.branch(&n.BranchNode); err != nil {
			return err
		}
		// An empty text is written in every pass, so that the writer can end a loop that writes nothing.
		pass := &parse.TextNode{NodeType: parse.NodeText, Pos: n.Pos}
		n.List.Nodes = append([]parse.Node{pass}, n.List.Nodes...)
		return nil
	}
	return fmt.Errorf("%s is not served here", node)
}

func (r *rewriter) branch(n *parse.BranchNode) error {
	if err := r.pipe(n.Pipe); err != nil {
		return err
	}
	if err := r.list(n.List); err != nil {
		return err
	}
	return r.list(n.ElseList)
}

func (r *rewriter) pipe(pipe *parse.PipeNode) error {
	if pipe == nil {
		return nil
	}
	for _, command := range pipe.Cmds {
		for _, arg := range command.Args {
			if err := r.arg(arg); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *rewriter) arg(arg parse.Node) error {
	switch n := arg.(type) {
	case *parse.IdentifierNode:
		if _, ok := r.functions[n.Ident]; n.Ident == emitFunction || !ok && !plainBuiltins[n.Ident] {
			return fmt.Errorf("the function %q is not served here", n.Ident)
		}
	case *parse.PipeNode:
		return r.pipe(n)
	case *parse.ChainNode:
		return r.arg(n.Node)
	}
	return nil
}
