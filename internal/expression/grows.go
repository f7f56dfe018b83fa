package expression

import (
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// grows reports whether an expression that holds still holds when more evidence is found: it asks that there be some, and
// never that there be none, or of all that they be good. Where some evidence could not be looked at, only that is certain.
func grows(a *cel.Ast) bool {
	rep := a.NativeRep()
	c := &guardian{info: rep.SourceInfo(), types: rep.TypeMap()}
	return c.grows(rep.Expr(), asserted)
}

func (c *guardian) grows(x ast.Expr, p polarity) bool {
	switch x.Kind() {
	case ast.IdentKind:
		return !slices.Contains(Each(), x.AsIdent())
	case ast.CallKind:
		return c.callGrows(x, p)
	case ast.ComprehensionKind:
		k := x.AsComprehension()
		kind, body, made := quantifierOf(x)
		if kind == "exists" && p == asserted || kind == "all" && p == denied {
			return c.more(k.IterRange()) && c.grows(body, p)
		}
		inner := either
		if kind == "all" || kind == "exists" {
			inner = p
		}
		return c.grows(k.IterRange(), either) && c.grows(body, inner) && (made == nil || c.grows(made, either))
	case ast.SelectKind:
		return c.grows(x.AsSelect().Operand(), either)
	case ast.ListKind:
		return c.allGrow(x.AsList().Elements(), either)
	case ast.MapKind:
		for _, e := range x.AsMap().Entries() {
			if !c.grows(e.AsMapEntry().Key(), either) || !c.grows(e.AsMapEntry().Value(), either) {
				return false
			}
		}
	}
	return true
}

func (c *guardian) callGrows(x ast.Expr, p polarity) bool {
	call := x.AsCall()
	switch call.FunctionName() {
	case operators.LogicalNot:
		return c.grows(call.Args()[0], p.not())
	case operators.LogicalAnd, operators.LogicalOr:
		return c.allGrow(call.Args(), p)
	case operators.Conditional:
		return c.grows(call.Args()[0], either) && c.allGrow(call.Args()[1:], p)
	}
	if list, ok := c.nonEmpty(x); ok && p == asserted && call.FunctionName() != operators.Equals { // "just one" may be two
		return c.more(list)
	}
	if list, ok := c.empty(x); ok && p == denied {
		return c.more(list)
	}
	if call.IsMemberFunction() && !c.grows(call.Target(), either) {
		return false
	}
	return c.allGrow(call.Args(), either)
}

func (c *guardian) allGrow(list []ast.Expr, p polarity) bool {
	return !slices.ContainsFunc(list, func(x ast.Expr) bool { return !c.grows(x, p) })
}

// more reports whether a list gets no shorter when more evidence is found.
func (c *guardian) more(list ast.Expr) bool {
	if list.Kind() == ast.IdentKind && slices.Contains(Each(), list.AsIdent()) {
		return true
	}
	if list.Kind() == ast.ComprehensionKind {
		kind, body, made := quantifierOf(list)
		if kind == "filter" {
			return c.more(list.AsComprehension().IterRange()) && c.grows(body, asserted) && c.grows(made, either)
		}
	}
	return c.grows(list, either)
}

// reads reports whether an expression reads a variable.
func reads(a *cel.Ast, name string) bool {
	found := false
	ast.PostOrderVisit(a.NativeRep().Expr(), ast.NewExprVisitor(func(x ast.Expr) {
		found = found || x.Kind() == ast.IdentKind && x.AsIdent() == name
	}))
	return found
}
