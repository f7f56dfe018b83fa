package expression

import (
	"fmt"
	"maps"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/parser"
)

// check finds what compiles and means something else than its author believes: a pattern that is none, and an expression
// that holds for an empty list. "All bills of materials are by syft" is true of an image that has none.
func (e *Environment) check(a *cel.Ast) *Issue {
	rep := a.NativeRep()
	c := &guardian{info: rep.SourceInfo(), text: a.Source().Content(), types: rep.TypeMap()}
	ast.PostOrderVisit(rep.Expr(), ast.NewExprVisitor(func(x ast.Expr) {
		if x.Kind() == ast.StructKind && c.issue == nil {
			c.issue = c.at(x, "an expression cannot make evidence", "compare what was found")
		}
		if x.Kind() != ast.CallKind || x.AsCall().FunctionName() != "glob" || len(x.AsCall().Args()) != 1 || c.issue != nil {
			return
		}
		if p := x.AsCall().Args()[0]; p.Kind() == ast.LiteralKind {
			if s, ok := p.AsLiteral().(types.String); ok {
				if problem, hint := e.own.Pattern(string(s)); problem != "" {
					c.issue = c.at(p, problem, hint)
				}
			}
		}
	}))
	if c.issue == nil {
		scope := map[string]bool{"it": true}
		for _, name := range e.known("") {
			scope[name] = true
		}
		c.shadows(rep.Expr(), scope)
	}
	if c.issue == nil {
		c.walk(rep.Expr(), asserted, nil)
	}
	return c.issue
}

// loops reports whether an expression goes through a list.
func loops(a *cel.Ast) bool {
	found := false
	ast.PostOrderVisit(a.NativeRep().Expr(), ast.NewExprVisitor(func(x ast.Expr) { found = found || x.Kind() == ast.ComprehensionKind }))
	return found
}

// polarity is how the value of a part bears on the whole.
type polarity int

const (
	asserted polarity = iota // it must be true
	denied                   // it must be false
	either                   // both happen
)

func (p polarity) not() polarity {
	return [...]polarity{denied, asserted, either}[p]
}

// guardian looks for quantifiers that hold for nothing. Lists are compared by their text.
type guardian struct {
	info  *ast.SourceInfo
	text  string
	types map[int64]*types.Type
	issue *Issue
}

// shadows finds a variable of a quantifier that hides another of the same name: lists are compared by their text, and one
// that is called as another would be taken for it.
func (c *guardian) shadows(x ast.Expr, scope map[string]bool) {
	if c.issue != nil {
		return
	}
	var parts []ast.Expr
	switch x.Kind() {
	case ast.CallKind:
		if x.AsCall().IsMemberFunction() {
			parts = append(parts, x.AsCall().Target())
		}
		parts = append(parts, x.AsCall().Args()...)
	case ast.SelectKind:
		parts = append(parts, x.AsSelect().Operand())
	case ast.ListKind:
		parts = x.AsList().Elements()
	case ast.MapKind:
		for _, e := range x.AsMap().Entries() {
			parts = append(parts, e.AsMapEntry().Key(), e.AsMapEntry().Value())
		}
	case ast.ComprehensionKind:
		k := x.AsComprehension()
		c.shadows(k.IterRange(), scope)
		inner := maps.Clone(scope)
		for _, name := range []string{k.IterVar(), k.IterVar2()} {
			if name != "" && scope[name] && c.issue == nil {
				c.issue = c.at(x, fmt.Sprintf("%s is the name of something else here", name), "call each element something else, such as one")
			}
			inner[name] = true
		}
		scope, parts = inner, []ast.Expr{k.AccuInit(), k.LoopCondition(), k.LoopStep(), k.Result()}
	}
	for _, part := range parts {
		c.shadows(part, scope)
	}
}

func (c *guardian) at(x ast.Expr, problem, hint string) *Issue {
	l := c.info.GetStartLocation(x.ID())
	return &Issue{Line: max(l.Line(), 1), Column: max(l.Column()+1, 1), Problem: problem, Hint: hint}
}

func (c *guardian) show(x ast.Expr) string {
	text, err := parser.Unparse(x, c.info)
	if err != nil {
		return "the list"
	}
	return text
}

// walk visits a part that is known to be judged only where the lists in filled have elements.
func (c *guardian) walk(x ast.Expr, p polarity, filled map[string]bool) {
	if c.issue != nil {
		return
	}
	switch x.Kind() {
	case ast.CallKind:
		c.call(x, p, filled)
	case ast.ComprehensionKind:
		c.quantifier(x, p, filled)
	case ast.SelectKind:
		c.walk(x.AsSelect().Operand(), either, filled)
	case ast.ListKind:
		for _, e := range x.AsList().Elements() {
			c.walk(e, either, filled)
		}
	case ast.MapKind:
		for _, e := range x.AsMap().Entries() {
			c.walk(e.AsMapEntry().Key(), either, filled)
			c.walk(e.AsMapEntry().Value(), either, filled)
		}
	}
}

func (c *guardian) call(x ast.Expr, p polarity, filled map[string]bool) {
	call := x.AsCall()
	args := call.Args()
	switch call.FunctionName() {
	case operators.LogicalNot:
		c.walk(args[0], p.not(), filled)
		return
	case operators.LogicalAnd, operators.LogicalOr:
		// Under "and" each part may rely on what the others ensure, under "or" on what they exclude.
		and := call.FunctionName() == operators.LogicalAnd
		known := maps.Clone(filled)
		parts := c.parts(x, call.FunctionName())
		if p == asserted && and || p == denied && !and {
			for _, part := range parts {
				known = c.learn(part, p, known)
			}
			for _, part := range parts {
				c.walk(part, p, known)
			}
			return
		}
		for _, part := range parts {
			c.walk(part, p, known)
			if p == asserted {
				known = c.learn(part, denied, known) // an author who writes "none, or all of them are good" has thought of none
			}
		}
		return
	case operators.Conditional:
		c.walk(args[0], either, filled)
		c.walk(args[1], p, c.learn(args[0], asserted, maps.Clone(filled)))
		c.walk(args[2], p, c.learn(args[0], denied, maps.Clone(filled)))
		return
	}
	if list, ok := c.nonEmpty(x); ok && p == asserted {
		// It demands elements, and so does whatever was filtered to get at them.
		for list.Kind() == ast.ComprehensionKind {
			_, body, made := quantifierOf(list)
			c.walk(body, asserted, filled)
			if made != nil {
				c.walk(made, either, filled)
			}
			list = list.AsComprehension().IterRange()
		}
		c.walk(list, either, filled)
		return
	}
	if call.IsMemberFunction() {
		c.walk(call.Target(), either, filled)
	}
	for _, arg := range args {
		c.walk(arg, either, filled)
	}
}

// parts flattens a chain of "and" or "or".
func (c *guardian) parts(x ast.Expr, operator string) []ast.Expr {
	if x.Kind() != ast.CallKind || x.AsCall().FunctionName() != operator {
		return []ast.Expr{x}
	}
	var out []ast.Expr
	for _, arg := range x.AsCall().Args() {
		out = append(out, c.parts(arg, operator)...)
	}
	return out
}

// learn adds the list that has elements when x is what p says.
func (c *guardian) learn(x ast.Expr, p polarity, filled map[string]bool) map[string]bool {
	for x.Kind() == ast.CallKind && x.AsCall().FunctionName() == operators.LogicalNot {
		x, p = x.AsCall().Args()[0], p.not()
	}
	list := ""
	switch x.Kind() {
	case ast.CallKind:
		if r, ok := c.nonEmpty(x); ok && p == asserted {
			list = c.show(r)
		}
		if r, ok := c.empty(x); ok && p == denied {
			list = c.show(r)
		}
	case ast.ComprehensionKind:
		if kind, _, _ := quantifierOf(x); p == asserted && (kind == "exists" || kind == "exists_one") || p == denied && kind == "all" {
			list = c.show(x.AsComprehension().IterRange())
		}
	}
	if list == "" {
		return filled
	}
	if filled == nil {
		filled = map[string]bool{}
	}
	filled[list] = true
	return filled
}

// nonEmpty recognises size(list) > 0 and its other spellings.
func (c *guardian) nonEmpty(x ast.Expr) (list ast.Expr, ok bool) {
	call := x.AsCall()
	args := call.Args()
	if len(args) != 2 {
		return nil, false
	}
	switch call.FunctionName() {
	case operators.Greater, operators.GreaterEquals:
		least := int64(0)
		if call.FunctionName() == operators.GreaterEquals {
			least = 1
		}
		if r, sized := c.sized(args[0]); sized && whole(args[1], least, true) {
			return r, true
		}
	case operators.Less, operators.LessEquals:
		least := int64(0)
		if call.FunctionName() == operators.LessEquals {
			least = 1
		}
		if r, sized := c.sized(args[1]); sized && whole(args[0], least, true) {
			return r, true
		}
	case operators.Equals:
		if r, sized := c.sized(args[0]); sized && whole(args[1], 1, true) {
			return r, true
		}
	case operators.NotEquals:
		if r, sized := c.sized(args[0]); sized && whole(args[1], 0, false) {
			return r, true
		}
		if c.noElements(args[0], args[1]) {
			return args[0], true
		}
	}
	return nil, false
}

// empty recognises size(list) == 0 and list == [].
func (c *guardian) empty(x ast.Expr) (list ast.Expr, ok bool) {
	call := x.AsCall()
	if args := call.Args(); call.FunctionName() == operators.Equals && len(args) == 2 {
		if r, sized := c.sized(args[0]); sized && whole(args[1], 0, false) {
			return r, true
		}
		if c.noElements(args[0], args[1]) {
			return args[0], true
		}
	}
	return nil, false
}

// sized recognises size(list) and list.size().
func (c *guardian) sized(x ast.Expr) (list ast.Expr, ok bool) {
	if x.Kind() != ast.CallKind || x.AsCall().FunctionName() != "size" {
		return nil, false
	}
	if call := x.AsCall(); call.IsMemberFunction() {
		return call.Target(), true
	} else if len(call.Args()) == 1 {
		return call.Args()[0], true
	}
	return nil, false
}

// whole reports whether x is the number n, or, if more is enough, at least n.
func whole(x ast.Expr, n int64, orMore bool) bool {
	if x.Kind() != ast.LiteralKind {
		return false
	}
	i, ok := x.AsLiteral().(types.Int)
	return ok && (int64(i) == n || orMore && int64(i) > n)
}

// noElements reports whether x is the empty value of the kind that the list is known to be of: a list of a predicate, whose
// type is not known, may be a map, which no list is equal to.
func (c *guardian) noElements(list, x ast.Expr) bool {
	kind := types.DynKind
	if t := c.types[list.ID()]; t != nil {
		kind = t.Kind()
	}
	return kind == types.ListKind && x.Kind() == ast.ListKind && x.AsList().Size() == 0 ||
		kind == types.MapKind && x.Kind() == ast.MapKind && x.AsMap().Size() == 0
}

// quantifierOf names the macro that an expanded comprehension came from, and finds what it says of each element and, where
// it chooses elements and makes something of them, what it makes.
func quantifierOf(x ast.Expr) (kind string, body, made ast.Expr) {
	c := x.AsComprehension()
	step := c.LoopStep()
	if step.Kind() != ast.CallKind {
		return "other", step, nil
	}
	args := step.AsCall().Args()
	switch init := c.AccuInit(); step.AsCall().FunctionName() {
	case operators.LogicalAnd:
		return "all", args[1], nil
	case operators.LogicalOr:
		return "exists", args[1], nil
	case operators.Conditional:
		if init.Kind() == ast.LiteralKind {
			return "exists_one", args[0], nil
		}
		return "filter", args[0], args[1]
	default:
		return "map", args[len(args)-1], nil
	}
}

// quantifier judges all, exists, exists_one, filter and map over a list that may have no elements.
func (c *guardian) quantifier(x ast.Expr, p polarity, filled map[string]bool) {
	comprehension := x.AsComprehension()
	list := comprehension.IterRange()
	kind, body, made := quantifierOf(x)
	holds, inner := false, p // for nothing; and how what it says of each element bears on the whole
	switch kind {
	case "all":
		holds = p != denied
	case "exists":
		holds = p != asserted
	case "exists_one":
		holds, inner = p != asserted, either
	default:
		holds, inner = true, either
	}
	name := c.show(list)
	literal := list.Kind() == ast.ListKind && list.AsList().Size() > 0
	if holds && !literal && !filled[name] {
		whole := strings.TrimSpace(c.text)
		c.issue = c.at(x, fmt.Sprintf("it holds when %s has no elements", name), fmt.Sprintf("write %s.size() > 0 && %s", name, parenthesised(whole)))
		return
	}
	c.walk(list, either, filled)
	inside := maps.Clone(filled)
	if inside == nil {
		inside = map[string]bool{}
	}
	inside[name] = true
	c.walk(body, inner, inside)
	if made != nil {
		c.walk(made, either, inside)
	}
}

// parenthesised keeps the meaning of a text after an "and".
func parenthesised(text string) string {
	if strings.Contains(text, "||") || strings.Contains(text, "?") {
		return "(" + text + ")"
	}
	return text
}
