// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

// Node is a part of the Groovy syntax tree.
type Node interface {
	// Start is where the first character stands, End is just behind the last one.
	Start() Pos
	End() Pos
}

// Span is where a node stands in the source; every node embeds it.
type Span struct{ From, To Pos }

// Start returns the place of the first character.
func (s Span) Start() Pos { return s.From }

// End returns the place behind the last character.
func (s Span) End() Pos { return s.To }

// Expr is an expression.
type Expr interface {
	Node
	expr()
}

// Stmt is a statement.
type Stmt interface {
	Node
	stmt()
}

// Expressions.
type (
	// Constant is a literal without parts to evaluate. Value is nil, a bool, a string, an int64 or a
	// float64. Literal is the source of a number.
	Constant struct {
		Span
		Value   any
		Literal string
	}
	// GString is a string with parts to evaluate; constant parts are *Constant.
	GString struct {
		Span
		Parts []Expr
	}
	// Ident is a name, this or super.
	Ident struct {
		Span
		Name string
	}
	// Property is Object.Name. With Safe it is ?., with Spread it is *. . If NameExpr is not nil the
	// name is a GString.
	Property struct {
		Span
		Object       Expr
		Name         string
		NameExpr     Expr
		Safe, Spread bool
	}
	// Index is Object[Args].
	Index struct {
		Span
		Object Expr
		Args   []Expr
	}
	// Call is a method call: Object.Name(Args), Name(Args), or, if Callee is not nil, the call of a
	// value. Trailing closures are the last Args.
	Call struct {
		Span
		Object       Expr
		Name         string
		NamePos      Pos
		Callee       Expr
		Args         []Arg
		Safe, Spread bool
		// Command is set if the arguments stand without parentheses.
		Command bool
		// Trailing counts the closures behind the parentheses.
		Trailing int
	}
	// MethodPointer is Object.&Name.
	MethodPointer struct {
		Span
		Object Expr
		Name   string
	}
	// New is new Type(Args). The engine refuses it; it is in the tree so that it can say where.
	New struct {
		Span
		Type string
		Args []Arg
	}
	// Unary is Op X: ! - + ~ ++ --; Postfix is set for X++ and X--.
	Unary struct {
		Span
		Op      string
		X       Expr
		Postfix bool
	}
	// Binary is X Op Y: arithmetic, comparison, logic, =~, ==~, in, <<, >>, >>>, &, |, ^.
	Binary struct {
		Span
		Op    string
		OpPos Pos
		X, Y  Expr
	}
	// TypeOp is X instanceof Type (Op "instanceof"), X as Type or (Type) X (Op "as").
	TypeOp struct {
		Span
		Op   string
		X    Expr
		Type string
	}
	// Ternary is Cond ? Then : Else; Then is nil for Cond ?: Else.
	Ternary struct {
		Span
		Cond, Then, Else Expr
	}
	// Range is From..To, without To if Exclusive.
	Range struct {
		Span
		From, To  Expr
		Exclusive bool
	}
	// List is [a, b].
	List struct {
		Span
		Items []Arg
	}
	// Map is [k: v]; a Spread entry has no key.
	Map struct {
		Span
		Entries []MapEntry
	}
	// Closure is { params -> body }. HasParams is false if there is no arrow, so that it exists.
	Closure struct {
		Span
		Params    []Param
		HasParams bool
		Body      []Stmt
	}
	// Assign is Target Op Value with Op "=", "+=" and so on.
	Assign struct {
		Span
		Op     string
		Target Expr
		Value  Expr
	}
	// MultiAssign is (a, b) = Value.
	MultiAssign struct {
		Span
		Targets []Expr
		Value   Expr
	}
)

// Arg is an argument of a call or an item of a list. Name is set for a named argument whose key is
// a plain name or string; NameExpr if it is an expression.
type Arg struct {
	Name     string
	Named    bool
	NamePos  Pos
	NameExpr Expr
	Value    Expr
	Spread   bool
}

// MapEntry is one entry of a map literal.
type MapEntry struct {
	Key    Expr
	Value  Expr
	Spread bool
}

// Param is a parameter of a closure or function.
type Param struct {
	Name    string
	Type    string
	Default Expr
	// Variadic is set for Type... name, which takes the rest of the arguments.
	Variadic bool
}

// Statements.
type (
	// ExprStmt is an expression as a statement.
	ExprStmt struct {
		Span
		X Expr
	}
	// VarDecl is def a = 1, b or Type a = 1; with Tuple it is def (a, b) = value and only the first
	// Vars' value is set.
	VarDecl struct {
		Span
		Type        string
		Vars        []Var
		Tuple       bool
		Annotations []string
	}
	// If is if (Cond) Then else Else.
	If struct {
		Span
		Cond Expr
		Then Stmt
		Else Stmt
	}
	// ForIn is for (Var in X).
	ForIn struct {
		Span
		// Label is what break and continue may name it by, empty without one.
		Label string
		Var   string
		X     Expr
		Body  Stmt
	}
	// For is for (Init; Cond; Post).
	For struct {
		Span
		// Label is what break and continue may name it by, empty without one.
		Label string
		Init  Stmt
		Cond  Expr
		Post  []Expr
		Body  Stmt
	}
	// While is while (Cond) Body.
	While struct {
		Span
		// Label is what break and continue may name it by, empty without one.
		Label string
		Cond  Expr
		Body  Stmt
	}
	// Switch is switch (X) { case … }.
	Switch struct {
		Span
		X     Expr
		Cases []Case
	}
	// Try is try Body catch … finally Finally.
	Try struct {
		Span
		Body    *Block
		Catches []Catch
		Finally *Block
	}
	// Return ends a function or closure; X may be nil.
	Return struct {
		Span
		X Expr
	}
	// Throw throws X.
	Throw struct {
		Span
		X Expr
	}
	// Assert is assert Cond : Message.
	Assert struct {
		Span
		Cond, Message Expr
		// Text is the condition as it is written.
		Text string
	}
	// Break leaves the innermost loop or switch, or the loop with the label.
	Break struct {
		Span
		Label string
	}
	// Continue goes on with the innermost loop, or the one with the label.
	Continue struct {
		Span
		Label string
	}
	// Block is { … } as a statement.
	Block struct {
		Span
		Stmts []Stmt
	}
	// FuncDecl is Type name(params) { … } at the top of a script.
	FuncDecl struct {
		Span
		Name        string
		Type        string
		Params      []Param
		Body        *Block
		Annotations []string
	}
	// Import is an import statement; ClassDecl a class, whose body is not parsed.
	Import struct {
		Span
		Path string
	}
	// ClassDecl is a class, interface, trait or enum.
	ClassDecl struct {
		Span
		Name string
	}
	// Annotation is an annotation that stands alone or before _, as in @Library('x') _.
	Annotation struct {
		Span
		Name string
		Args []Arg
	}
)

// Var is one variable of a declaration.
type Var struct {
	Name  string
	Pos   Pos
	Value Expr
}

// Case is one case of a switch; X is nil for default.
type Case struct {
	X    Expr
	Body []Stmt
}

// Catch is one catch clause; no types means every exception.
type Catch struct {
	Types []string
	Name  string
	Body  *Block
}

func (*Constant) expr()      {}
func (*GString) expr()       {}
func (*Ident) expr()         {}
func (*Property) expr()      {}
func (*Index) expr()         {}
func (*Call) expr()          {}
func (*MethodPointer) expr() {}
func (*New) expr()           {}
func (*Unary) expr()         {}
func (*Binary) expr()        {}
func (*TypeOp) expr()        {}
func (*Ternary) expr()       {}
func (*Range) expr()         {}
func (*List) expr()          {}
func (*Map) expr()           {}
func (*Closure) expr()       {}
func (*Assign) expr()        {}
func (*MultiAssign) expr()   {}

func (*ExprStmt) stmt()   {}
func (*VarDecl) stmt()    {}
func (*If) stmt()         {}
func (*ForIn) stmt()      {}
func (*For) stmt()        {}
func (*While) stmt()      {}
func (*Switch) stmt()     {}
func (*Try) stmt()        {}
func (*Return) stmt()     {}
func (*Throw) stmt()      {}
func (*Assert) stmt()     {}
func (*Break) stmt()      {}
func (*Continue) stmt()   {}
func (*Block) stmt()      {}
func (*FuncDecl) stmt()   {}
func (*Import) stmt()     {}
func (*ClassDecl) stmt()  {}
func (*Annotation) stmt() {}
