// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"net/http"

	"github.com/antchfx/xmlquery"
	"github.com/antchfx/xpath"
)

const (
	// maxXPath bounds an expression in bytes.
	maxXPath = 4096
	// xpathSteps bounds the moves over a document, and the bytes of texts that are compared, of all expressions of a request: an
	// expression in an expression takes a power of the size of the document.
	xpathSteps = 20_000_000
	// maxXPathDoc bounds a document that expressions are applied to, in bytes: as a tree it takes many times of that.
	maxXPathDoc = 16 << 20
)

// xpaths evaluates the expressions of a request within a budget.
type xpaths struct {
	root *xmlquery.Node
	left int
}

// errXPathCost is thrown where the budget is used up: the library has no other way out.
var errXPathCost = &errXPath{http.StatusBadRequest, "The XPath takes too long. Use the parameter tree or a simpler XPath"}

func compileXPath(expr string) (*xpath.Expr, error) {
	if len(expr) > maxXPath {
		return nil, &errXPath{http.StatusBadRequest, "The XPath is too long"}
	}
	e, err := xpath.Compile(expr)
	if err != nil {
		return nil, fmt.Errorf("xpath: %w", err)
	}
	return e, nil
}

func (x *xpaths) guard(err *error) {
	if v := recover(); v != nil {
		if v != any(errXPathCost) {
			panic(v)
		}
		*err = errXPathCost
	}
}

// nodes are the nodes that an expression picks.
func (x *xpaths) nodes(e *xpath.Expr) (found []*xmlquery.Node, err error) {
	defer x.guard(&err)
	for it := e.Select(x.navigator()); it.MoveNext(); {
		nav, ok := it.Current().(*xpathNavigator)
		if !ok {
			continue
		}
		found = append(found, nodeAt(nav.NodeNavigator))
	}
	return found, nil
}

// value is what an expression gives: a text, a number, a truth value or nodes.
func (x *xpaths) value(e *xpath.Expr) (v any, err error) {
	defer x.guard(&err)
	return e.Evaluate(x.navigator()), nil
}

func (x *xpaths) navigator() *xpathNavigator {
	return &xpathNavigator{xmlquery.CreateXPathNavigator(x.root), x}
}

// nodeAt is the node of a navigator; for an attribute one with its text.
func nodeAt(nav *xmlquery.NodeNavigator) *xmlquery.Node {
	if nav.NodeType() != xpath.AttributeNode {
		return nav.Current()
	}
	text := &xmlquery.Node{Type: xmlquery.TextNode, Data: nav.Value()}
	return &xmlquery.Node{Parent: nav.Current(), Type: xmlquery.AttributeNode, Data: nav.LocalName(), FirstChild: text, LastChild: text}
}

// xpathNavigator moves over a document and pays for it.
type xpathNavigator struct {
	*xmlquery.NodeNavigator
	x *xpaths
}

func (n *xpathNavigator) pay(steps int) {
	if n.x.left -= steps; n.x.left < 0 {
		panic(errXPathCost)
	}
}

// Copy implements xpath.NodeNavigator.
func (n *xpathNavigator) Copy() xpath.NodeNavigator {
	n.pay(1)
	inner, _ := n.NodeNavigator.Copy().(*xmlquery.NodeNavigator)
	return &xpathNavigator{inner, n.x}
}

// Value implements xpath.NodeNavigator.
func (n *xpathNavigator) Value() string {
	v := n.NodeNavigator.Value()
	n.pay(1 + len(v))
	return v
}

// MoveTo implements xpath.NodeNavigator.
func (n *xpathNavigator) MoveTo(other xpath.NodeNavigator) bool {
	n.pay(1)
	o, ok := other.(*xpathNavigator)
	return ok && n.NodeNavigator.MoveTo(o.NodeNavigator)
}

// MoveToParent implements xpath.NodeNavigator.
func (n *xpathNavigator) MoveToParent() bool { n.pay(1); return n.NodeNavigator.MoveToParent() }

// MoveToNextAttribute implements xpath.NodeNavigator.
func (n *xpathNavigator) MoveToNextAttribute() bool {
	n.pay(1)
	return n.NodeNavigator.MoveToNextAttribute()
}

// MoveToChild implements xpath.NodeNavigator.
func (n *xpathNavigator) MoveToChild() bool { n.pay(1); return n.NodeNavigator.MoveToChild() }

// MoveToFirst implements xpath.NodeNavigator.
func (n *xpathNavigator) MoveToFirst() bool {
	moved := false
	for n.MoveToPrevious() { // each step is paid
		moved = true
	}
	return moved
}

// MoveToNext implements xpath.NodeNavigator.
func (n *xpathNavigator) MoveToNext() bool { n.pay(1); return n.NodeNavigator.MoveToNext() }

// MoveToPrevious implements xpath.NodeNavigator.
func (n *xpathNavigator) MoveToPrevious() bool { n.pay(1); return n.NodeNavigator.MoveToPrevious() }
