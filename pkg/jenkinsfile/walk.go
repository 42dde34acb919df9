// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

// Walk calls f for a node and all nodes in it, outer ones first. The new of "throw new X(…)" is not
// visited itself, only its arguments.
func Walk(n Node, f func(Node)) {
	if n == nil {
		return
	}
	var visit func(Node)
	visit = func(n Node) {
		f(n)
		children(n, visit)
	}
	visit(n)
}

// children calls f for the nodes right below a node.
func children(n Node, f func(Node)) {
	switch n := n.(type) {
	case Expr:
		walkExpr(n, f)
	case Stmt:
		walkStmt(n, f)
	}
}

// checkDepth refuses a tree that is deeper than maxTree: whoever walks one does so by recursion. A chain such as a + b + c is as deep
// as it is long, and chains in brackets add up, which no count of brackets shows. This walk itself keeps no stack of calls.
func checkDepth(roots []Node) {
	type place struct {
		node  Node
		depth int
	}
	stack := make([]place, 0, len(roots))
	for _, n := range roots {
		stack = append(stack, place{n, 1})
	}
	for len(stack) > 0 {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if at.depth > maxTree {
			p := at.node.Start()
			failAt(p, "Nested deeper than %d levels", maxTree)
		}
		children(at.node, func(n Node) { stack = append(stack, place{n, at.depth + 1}) })
	}
}

// exprs visits expressions that may be nil.
func exprs(f func(Node), list ...Expr) {
	for _, x := range list {
		if x != nil {
			f(x)
		}
	}
}

func walkArgs(args []Arg, f func(Node)) {
	for _, a := range args {
		exprs(f, a.NameExpr, a.Value)
	}
}

func walkParams(params []Param, f func(Node)) {
	for _, p := range params {
		exprs(f, p.Default)
	}
}

func walkStmts(list []Stmt, f func(Node)) {
	for _, s := range list {
		if s != nil {
			f(s)
		}
	}
}

func walkExpr(x Expr, f func(Node)) {
	switch x := x.(type) {
	case *GString:
		exprs(f, x.Parts...)
	case *Property:
		exprs(f, x.Object, x.NameExpr)
	case *Index:
		exprs(f, x.Object)
		exprs(f, x.Args...)
	case *Call:
		exprs(f, x.Object, x.Callee)
		walkArgs(x.Args, f)
	case *MethodPointer:
		exprs(f, x.Object)
	case *New:
		walkArgs(x.Args, f)
	case *List:
		walkArgs(x.Items, f)
	case *Map:
		for _, e := range x.Entries {
			exprs(f, e.Key, e.Value)
		}
	case *Closure:
		walkParams(x.Params, f)
		walkStmts(x.Body, f)
	default:
		walkOperator(x, f)
	}
}

func walkOperator(x Expr, f func(Node)) {
	switch x := x.(type) {
	case *Unary:
		exprs(f, x.X)
	case *Binary:
		exprs(f, x.X, x.Y)
	case *TypeOp:
		exprs(f, x.X)
	case *Ternary:
		exprs(f, x.Cond, x.Then, x.Else)
	case *Range:
		exprs(f, x.From, x.To)
	case *Assign:
		exprs(f, x.Target, x.Value)
	case *MultiAssign:
		exprs(f, x.Targets...)
		exprs(f, x.Value)
	}
}

func walkStmt(s Stmt, f func(Node)) {
	switch s := s.(type) {
	case *ExprStmt:
		exprs(f, s.X)
	case *VarDecl:
		for _, v := range s.Vars {
			exprs(f, v.Value)
		}
	case *If:
		exprs(f, s.Cond)
		walkStmts([]Stmt{s.Then, s.Else}, f)
	case *Return:
		exprs(f, s.X)
	case *Throw:
		if n, ok := s.X.(*New); ok {
			walkArgs(n.Args, f)
			return
		}
		exprs(f, s.X)
	case *Assert:
		exprs(f, s.Cond, s.Message)
	case *Block:
		walkStmts(s.Stmts, f)
	case *FuncDecl:
		walkParams(s.Params, f)
		walkStmts(s.Body.Stmts, f)
	case *Annotation:
		walkArgs(s.Args, f)
	default:
		walkCompound(s, f)
	}
}

func walkCompound(s Stmt, f func(Node)) {
	switch s := s.(type) {
	case *ForIn:
		exprs(f, s.X)
		walkStmts([]Stmt{s.Body}, f)
	case *For:
		walkStmts([]Stmt{s.Init}, f)
		exprs(f, s.Cond)
		exprs(f, s.Post...)
		walkStmts([]Stmt{s.Body}, f)
	case *While:
		exprs(f, s.Cond)
		walkStmts([]Stmt{s.Body}, f)
	case *Switch:
		exprs(f, s.X)
		for _, c := range s.Cases {
			exprs(f, c.X)
			walkStmts(c.Body, f)
		}
	case *Try:
		walkStmts(s.Body.Stmts, f)
		for _, c := range s.Catches {
			walkStmts(c.Body.Stmts, f)
		}
		if s.Finally != nil {
			walkStmts(s.Finally.Stmts, f)
		}
	}
}
