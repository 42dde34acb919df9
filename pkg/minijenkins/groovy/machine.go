// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// Host gives a script its names and steps.
type Host interface {
	// Global returns a global variable (params, env, currentBuild, a variable of the environment).
	Global(ctx context.Context, name string) (value any, ok bool, err error)
	// HasStep tells if there is a step of that name.
	HasStep(name string) bool
	// Step runs a step.
	Step(ctx context.Context, inv Invocation) (any, error)
	// StepNames and GlobalNames are listed in the message about an unknown method.
	StepNames() []string
	GlobalNames() []string
}

// Invocation is a call of a step.
type Invocation struct {
	Name string
	// Args are the arguments without names, a trailing closure excluded.
	Args []any
	// Named are the named arguments, nil without any.
	Named *Map
	// Body is the trailing closure, nil without one.
	Body *Closure
	Pos  jenkinsfile.Pos
}

// Limits bound what a script may use; zero fields take the defaults.
type Limits struct {
	// Steps is the number of evaluated expressions and statements between two steps of the host; default 10 million.
	Steps int
	// TotalSteps is that of the whole build; default 300 million.
	TotalSteps int
	// StringBytes is the size of one string; default 4 MiB.
	StringBytes int
	// Items is the number of items of one list or map; default 200000.
	Items int
	// Bytes is what all values together may take that the scripts hold at one time, about; default 64 MiB.
	Bytes int
	// Depth is how deep calls may nest; default 200.
	Depth int
}

func (l *Limits) setDefaults() {
	for _, f := range []struct {
		field *int
		value int
	}{{&l.Steps, 10_000_000}, {&l.TotalSteps, 300_000_000}, {&l.StringBytes, 4 << 20}, {&l.Items, 200_000}, {&l.Bytes, 64 << 20}, {&l.Depth, 200}} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
}

// Machine runs the code of one build. It is not safe for concurrent use: a host with parallel
// branches lets one run at a time and switches inside of Host.Step.
type Machine struct {
	host   Host
	limits Limits
	steps  int
	// since is the count of steps at the last step of the host.
	since  int
	memory memory
	// texts is how many lazy strings are being evaluated, one in the other.
	texts int
	// textsLeft and textBytesLeft are how many more may be evaluated for the outermost one, and their bytes.
	textsLeft, textBytesLeft int
	// nextCheck is the step count at which the context is looked at again.
	nextCheck int
	// globals are the variables of all scripts; main is the Jenkinsfile.
	globals *scope
	main    *Script
	// imports are the classes that were imported under a name, packages those of "import x.*", statics the
	// methods of "import static x.y".
	imports  map[string]string
	packages []string
	statics  map[string]classRef
	// delegates says that a closure has had a delegate.
	delegates bool
	// patterns are the regular expressions that were compiled last.
	patterns map[string]*expression
	// Cleanup makes the context that catch and finally blocks run with once the build is aborted; nil leaves
	// them the ended context.
	Cleanup func(ctx context.Context) (context.Context, context.CancelFunc)
	// Interject, if not nil, is called each time before the script looks whether its context has ended, at
	// the same counts of Steps in each run of a script that gets the same answers.
	Interject func()
}

// Steps is how much the scripts have done so far.
func (m *Machine) Steps() int { return m.steps }

// New makes a machine.
func New(host Host, limits Limits) *Machine {
	limits.setDefaults()
	m := &Machine{host: host, limits: limits, globals: &scope{shared: true}}
	m.memory.measureAt = limits.Bytes
	m.main = newScript(m, "WorkflowScript")
	return m
}

// scope holds variables.
type scope struct {
	vars   map[string]any
	parent *scope
	// delegation is that of the closure whose scope it is, nil without one.
	delegation *delegation
	// shared says that it has the functions and fields of a script, or the variables of all scripts.
	shared bool
	// mark is the number of the measure that saw it.
	mark uint32
}

func newScope(parent *scope) *scope {
	return &scope{parent: parent}
}

func (s *scope) lookup(name string) (*scope, bool) {
	for x := s; x != nil; x = x.parent {
		if _, ok := x.vars[name]; ok {
			return x, true
		}
	}
	return nil, false
}

func (s *scope) declare(name string, v any) {
	if s.vars == nil {
		s.vars = map[string]any{}
	}
	s.vars[name] = v
}

// control is how break, continue and return leave statements.
type control int

const (
	flowNone control = iota
	flowBreak
	flowContinue
	flowReturn
)

// frame is the state of one running function, closure or script.
type frame struct {
	m   *Machine
	ctx context.Context //nolint:containedctx // a frame lives for one call
	// depth counts nested calls.
	depth int
	// nested counts expressions that are being evaluated, one in the other.
	nested int
	// value is what return gives, or the value of the last expression statement.
	value any
	// label is that of the loop which a break or continue under way is for, empty for the innermost.
	label string
	// scope is where it is, held are values that no variable has; both count as memory.
	scope *scope
	held  []any
	// next and before are other frames that are open.
	next, before *frame
}

type depthKey struct{}

// inner is the frame of a call in this one. What the host calls in turn finds it in the context.
func (f *frame) inner(s *scope) *frame {
	in := &frame{m: f.m, depth: f.depth + 1, nested: f.nested, scope: s}
	in.ctx = context.WithValue(f.ctx, depthKey{}, in)
	return in
}

func (m *Machine) frame(ctx context.Context) *frame {
	at, _ := ctx.Value(depthKey{}).(*frame)
	if at == nil {
		return &frame{m: m, ctx: ctx}
	}
	return &frame{m: m, ctx: ctx, depth: at.depth, nested: at.nested}
}

// Define sets a variable that all scripts see.
func (m *Machine) Define(name string, v any) { m.globals.declare(name, v) }

// Lookup returns a variable of the Jenkinsfile's top level, or one that all scripts see.
func (m *Machine) Lookup(name string) (any, bool) {
	owner, ok := m.main.local.lookup(name)
	if !ok {
		return nil, false
	}
	return owner.vars[name], true
}

// Eval evaluates an expression at the Jenkinsfile's top level.
func (m *Machine) Eval(ctx context.Context, x jenkinsfile.Expr) (any, error) {
	f := m.begin(ctx, newScope(m.base(ctx)))
	defer f.close()
	return f.eval(f.scope, x)
}

// Exec runs statements in a new scope and returns the value of the last one or of return.
func (m *Machine) Exec(ctx context.Context, body []jenkinsfile.Stmt) (any, error) {
	f := m.begin(ctx, newScope(m.base(ctx)))
	defer f.close()
	_, err := f.stmts(f.scope, body)
	return f.value, err
}

// ExecTop runs the statements at the top level of the Jenkinsfile. Functions and fields are declared for
// the whole script; variables are seen by what stands below them and by closures, but not by functions.
func (m *Machine) ExecTop(ctx context.Context, body []jenkinsfile.Stmt) error {
	_, err := m.main.run(ctx, body)
	return err
}

// Closure makes a closure value from the tree at the Jenkinsfile's top level.
func (m *Machine) Closure(c *jenkinsfile.Closure) *Closure {
	return &Closure{params: c.Params, hasParams: c.HasParams, body: c.Body, scope: m.main.local, pos: c.From}
}

// Call calls a closure.
func (m *Machine) Call(ctx context.Context, c *Closure, args ...any) (any, error) {
	f := m.begin(ctx, c.scope)
	defer f.close()
	for _, v := range args {
		f.hold(v)
	}
	f.hold(c)
	return f.call(c, args)
}

// begin makes the frame for something that the host wants to have done, which may take as long as what
// stands behind a step.
func (m *Machine) begin(ctx context.Context, s *scope) *frame {
	f := m.frame(ctx)
	f.scope = s
	f.open()
	m.since = m.steps
	return f
}

func (f *frame) call(c *Closure, args []any) (any, error) {
	if c.inner != nil {
		return f.callAdapted(c, args)
	}
	if c.method != "" {
		return f.invoke(c.object, c.method, args, c.pos)
	}
	if f.depth >= f.m.limits.Depth {
		return nil, &LimitError{Message: fmt.Sprintf("Calls nested deeper than %d", f.m.limits.Depth), Pos: c.pos}
	}
	f.m.steps += callSteps
	if err := f.tick(c.pos); err != nil {
		return nil, err
	}
	s := newScope(c.scope)
	s.delegation = c.delegation
	inner := f.inner(s)
	inner.open()
	defer inner.close()
	if err := inner.bind(s, c, args); err != nil {
		return nil, err
	}
	flow, err := inner.stmts(s, c.body)
	if err != nil {
		return nil, inFile(traced(err, c), c.scope)
	}
	if flow == flowBreak || flow == flowContinue {
		return nil, nil
	}
	if c.returns != "" && inner.value != nil {
		return inner.coerce(inner.value, c.returns, c.pos)
	}
	return inner.value, nil
}

// traced notes the function that an exception leaves.
func traced(err error, c *Closure) error {
	const most = 32
	if c.function == "" {
		return err
	}
	if e := asException(err); e != nil && len(e.Trace) < most {
		e.Trace = append(e.Trace, c.function)
	}
	return err
}

// callAdapted calls a closure that was made of another one by curry, rcurry, ncurry, << or >>.
func (f *frame) callAdapted(c *Closure, args []any) (any, error) {
	if f.depth >= f.m.limits.Depth {
		return nil, &LimitError{Message: fmt.Sprintf("Calls nested deeper than %d", f.m.limits.Depth), Pos: c.pos}
	}
	f.m.steps += callSteps
	if err := f.tick(c.pos); err != nil {
		return nil, err
	}
	deeper := f.inner(f.scope)
	deeper.open()
	defer deeper.close()
	if c.then != nil {
		v, err := deeper.call(c.inner, args)
		if err != nil {
			return nil, err
		}
		return deeper.call(c.then, []any{v})
	}
	all := make([]any, 0, len(args)+len(c.bound))
	at := min(c.boundAt, len(args))
	if at < 0 {
		at = len(args)
	}
	all = append(append(append(all, args[:at]...), c.bound...), args[at:]...)
	return deeper.call(c.inner, all)
}

// bind sets the parameters of a call.
func (f *frame) bind(s *scope, c *Closure, args []any) error {
	if !c.hasParams {
		var it any
		if len(args) > 0 {
			it = args[0]
		}
		s.declare("it", it)
		return nil
	}
	if c.function == "" {
		args = spreadArgs(c, args)
	}
	missing := len(c.params) - len(args)
	for i, p := range c.params {
		var v any
		var err error
		switch {
		case p.Variadic && i == len(c.params)-1:
			v = variadic(args, i)
		case p.Default != nil && missing > 0 && optionalAfter(c.params, i) < missing:
			// The last parameters with a default take it first.
			if v, err = f.eval(s, p.Default); err != nil {
				return err
			}
			args = slices.Insert(slices.Clone(args), min(i, len(args)), v)
			missing--
		case i < len(args):
			v = args[i]
		case p.Default != nil:
			if v, err = f.eval(s, p.Default); err != nil {
				return err
			}
		}
		if p.Type != "" && v != nil && !p.Variadic {
			if v, err = f.coerceParam(v, p.Type, c.pos); err != nil {
				return err
			}
		}
		s.declare(p.Name, v)
	}
	return nil
}

// optionalAfter counts the parameters with a default behind one.
func optionalAfter(params []jenkinsfile.Param, i int) int {
	n := 0
	for _, p := range params[i+1:] {
		if p.Default != nil {
			n++
		}
	}
	return n
}

// variadic are the arguments of the parameter Type... name.
func variadic(args []any, i int) any {
	if i >= len(args) {
		return &List{}
	}
	if l, ok := args[i].(*List); ok && i == len(args)-1 {
		return l
	}
	return &List{Items: slices.Clone(args[i:])}
}

// spreadArgs gives a closure of several parameters the items of a list or the parts of an entry.
func spreadArgs(c *Closure, args []any) []any {
	if len(c.params) > 1 && len(args) == 1 {
		if l, ok := args[0].(*List); ok {
			return l.Items
		}
		if e, ok := args[0].(entry); ok {
			return []any{e.key, e.value}
		}
	}
	if len(args) > 0 && len(c.params) == len(args)+1 {
		if e, ok := args[0].(entry); ok {
			return append([]any{e.key, e.value}, args[1:]...)
		}
	}
	return args
}

// checkEvery is how many ticks pass between two looks at the context.
const checkEvery = 512

// tick counts one unit of work.
func (f *frame) tick(pos jenkinsfile.Pos) error {
	f.m.steps++
	if f.m.steps-f.m.since > f.m.limits.Steps {
		return &LimitError{Message: fmt.Sprintf("The script did more than %d steps of evaluation; is a loop endless?", f.m.limits.Steps), Pos: pos}
	}
	if f.m.steps > f.m.limits.TotalSteps {
		return &LimitError{Message: fmt.Sprintf("The scripts of the build did more than %d steps of evaluation", f.m.limits.TotalSteps), Pos: pos}
	}
	if f.m.steps < f.m.nextCheck {
		return nil
	}
	f.m.nextCheck = f.m.steps + checkEvery
	if f.m.Interject != nil {
		f.m.Interject()
	}
	if f.ctx.Err() != nil {
		return fmt.Errorf("stopped at line %d: %w", pos.Line, context.Cause(f.ctx))
	}
	return nil
}

// itemsPerStep and bytesPerStep are how much a method goes over for the price of one step.
const (
	itemsPerStep = 16
	bytesPerStep = 256
	// callSteps is what a call costs beside its body.
	callSteps = 8
	// globalSteps is what asking the host for a name costs.
	globalSteps = 64
)

// weigh counts the work of a method that goes over its whole value.
func (f *frame) weigh(v any) {
	switch v := v.(type) {
	case *big.Int:
		f.m.steps += v.BitLen() / 16
	case Decimal:
		f.m.steps += v.unscaled.BitLen()/16 + max(v.scale, -v.scale)/16
	case *textBuilder:
		f.m.steps += len(v.text) / bytesPerStep
	case string:
		f.m.steps += len(v) / bytesPerStep
	case GString:
		f.m.steps += len(v) / bytesPerStep
	case *List:
		f.m.steps += len(v.Items) / itemsPerStep
	case *Map:
		f.m.steps += v.Len() / itemsPerStep
	}
}

// maxKeyWork bounds what is counted of one key.
const maxKeyWork = 4096

// weighKey counts the work of comparing a list or a map with others.
func (f *frame) weighKey(v any) {
	switch v.(type) {
	case *List, *Map:
		left := maxKeyWork
		count(v, &left, 0)
		f.m.steps += maxKeyWork - max(left, 0)
	}
}

// maxArgumentWork bounds what is counted of one argument of a step, which may go over all that is in it.
const maxArgumentWork = 1 << 16

func (f *frame) weighArgument(v any) {
	left := maxArgumentWork
	count(v, &left, 0)
	f.m.steps += maxArgumentWork - max(left, 0)
}

// count takes the values in a value away from what is left.
func count(v any, left *int, depth int) {
	if *left--; *left < 0 || depth > maxTextDepth {
		return
	}
	switch v := v.(type) {
	case *List:
		for _, x := range v.Items {
			if *left < 0 {
				return
			}
			count(x, left, depth+1)
		}
	case *Map:
		for _, k := range v.keys {
			if *left < 0 {
				return
			}
			count(v.value(k), left, depth+1)
		}
	}
}

// checked charges a value and refuses one that is too big.
func (f *frame) checked(v any, pos jenkinsfile.Pos) (any, error) {
	var size int
	switch x := v.(type) {
	case string:
		size = len(x)
	case GString:
		size = len(x)
	case *List:
		return v, f.settle(x, pos)
	case *Map:
		return v, f.settleMap(x, pos)
	case *Closure:
		return v, f.charge(closureBytes, pos)
	case *big.Int:
		return v, f.charge(numberSize(x), pos)
	case Decimal:
		return v, f.charge(numberSize(x.unscaled), pos)
	case *Exception:
		return v, f.charge(objectBytes+len(x.Message), pos)
	case nil, bool, int64, Long, float64:
		return v, nil
	default:
		return v, f.charge(objectBytes, pos)
	}
	if size > f.m.limits.StringBytes {
		return nil, &LimitError{Message: fmt.Sprintf("String of more than %d bytes", f.m.limits.StringBytes), Pos: pos}
	}
	return v, f.charge(size, pos)
}

func throw(pos jenkinsfile.Pos, class, format string, args ...any) error {
	return &Exception{Class: class, Message: fmt.Sprintf(format, args...), Pos: pos}
}

func missingProperty(pos jenkinsfile.Pos, name, class string) error {
	return throw(pos, "groovy.lang.MissingPropertyException", "No such property: %s for class: %s", name, class)
}

func rejected(pos jenkinsfile.Pos, what string) error {
	return throw(pos, "org.jenkinsci.plugins.scriptsecurity.sandbox.RejectedAccessException", "Scripts not permitted to use %s", what)
}

// asException gives the exception that catch binds; nil if the error can not be caught.
func asException(err error) *Exception {
	var limit *LimitError
	if errors.As(err, &limit) {
		return nil
	}
	var e *Exception
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// superclasses are the classes above those of exceptions; java.lang.RuntimeException and those above it
// if nothing else is said.
var superclasses = map[string]string{
	"hudson.AbortException":          "java.io.IOException",
	"java.io.IOException":            "java.lang.Exception",
	"java.lang.Exception":            "java.lang.Throwable",
	"java.lang.Error":                "java.lang.Throwable",
	"java.lang.Throwable":            "java.lang.Object",
	"java.lang.InterruptedException": "java.lang.Exception",
	"org.jenkinsci.plugins.workflow.steps.FlowInterruptedException":        "java.lang.InterruptedException",
	"java.nio.file.NoSuchFileException":                                    "java.nio.file.FileSystemException",
	"java.nio.file.FileSystemException":                                    "java.io.IOException",
	"java.io.FileNotFoundException":                                        "java.io.IOException",
	"java.util.concurrent.TimeoutException":                                "java.lang.Exception",
	"java.lang.NoSuchMethodError":                                          "java.lang.IncompatibleClassChangeError",
	"java.lang.IncompatibleClassChangeError":                               "java.lang.LinkageError",
	"java.lang.LinkageError":                                               "java.lang.Error",
	"java.lang.AssertionError":                                             "java.lang.Error",
	"org.codehaus.groovy.runtime.powerassert.PowerAssertionError":          "java.lang.AssertionError",
	"java.lang.StackOverflowError":                                         "java.lang.Error",
	"java.lang.RuntimeException":                                           "java.lang.Exception",
	"java.lang.NumberFormatException":                                      "java.lang.IllegalArgumentException",
	"java.util.regex.PatternSyntaxException":                               "java.lang.IllegalArgumentException",
	"java.lang.ArrayIndexOutOfBoundsException":                             "java.lang.IndexOutOfBoundsException",
	"java.lang.StringIndexOutOfBoundsException":                            "java.lang.IndexOutOfBoundsException",
	"org.codehaus.groovy.runtime.typehandling.GroovyCastException":         "java.lang.ClassCastException",
	"groovy.lang.MissingPropertyException":                                 "groovy.lang.GroovyRuntimeException",
	"groovy.lang.MissingMethodException":                                   "groovy.lang.GroovyRuntimeException",
	"org.jenkinsci.plugins.scriptsecurity.sandbox.RejectedAccessException": "java.lang.SecurityException",
}

// catches tells if a catch clause with these types takes the exception; none means Exception.
func catches(e *Exception, types []string) bool {
	if len(types) == 0 {
		types = []string{"java.lang.Exception"}
	}
	for class := e.Class; class != "java.lang.Object"; {
		for _, t := range types {
			if t == class || t == class[strings.LastIndexByte(class, '.')+1:] {
				return true
			}
		}
		super, known := superclasses[class]
		if !known {
			super = "java.lang.RuntimeException"
		}
		class = super
	}
	return false
}

// checkSize refuses collections that grow too big while a method builds them.
func (f *frame) checkSize(n int, pos jenkinsfile.Pos) error {
	if n > f.m.limits.Items {
		return &LimitError{Message: fmt.Sprintf("Collection with more than %d items", f.m.limits.Items), Pos: pos}
	}
	return nil
}
