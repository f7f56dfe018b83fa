// Package expression compiles and evaluates expressions of policies in the Common Expression Language (CEL), over
// stemma.Facts. An expression is typed, bounded in cost, and reaches nothing but the facts: no network, no file, no clock
// and no environment. Whatever goes wrong in one is an error, never true.
package expression

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"stemma"
)

// Bounds of an expression.
const (
	maxText     = 4096      // characters
	maxDepth    = 24        // of nesting
	maxNested   = 3         // comprehensions inside one another
	maxReplaced = 64 << 10  // bytes of a text in which something is replaced
	maxCost     = 1_000_000 // units of work of one evaluation, each a few nanoseconds
	maxGuess    = 2_000_000 // units that an expression may need for large evidence, as far as it can be told beforehand
)

// Issue is one thing wrong with an expression. Line and Column count from 1, in characters.
type Issue struct {
	Line, Column int
	Problem      string
	Hint         string
}

// Functions are what expressions share with the rest of the language.
type Functions struct {
	Glob    func(pattern, name string) (ok bool, problem string) // whether a pattern of the language matches, or why that cannot be said
	Pattern func(pattern string) (problem, hint string)          // what is wrong with a pattern, or ""
	PURL    func(string) (kind, name, version string, ok bool)   // reads a package URL
	Nearest func(name string, known []string) string             // a proposal for a name that is not known
}

// Environment is what expressions can be about. It is safe for concurrent use.
type Environment struct {
	world *world
	envs  map[string]*cel.Env // by the kind of evidence that it is; "" for the image as a whole
	own   Functions
}

// Each lists the kinds of evidence that an expression can go through, each with the type of it.
func Each() []string {
	return []string{"attestations", "base", "platforms", "provenance", "sboms", "scans", "signers"}
}

// New makes an environment.
func New(own Functions) (*Environment, error) {
	w, err := newWorld()
	if err != nil {
		return nil, err
	}
	facts := w.structs["stemma.Facts"]
	options := []cel.EnvOption{
		cel.CustomTypeAdapter(w), cel.CustomTypeProvider(w),
		cel.StdLib(cel.StdLibSubset(env.NewLibrarySubset().AddExcludedFunctions(excluded()...))),
		cel.EnableMacroCallTracking(), cel.CrossTypeNumericComparisons(true), cel.DefaultUTCTimeZone(true),
		cel.ParserExpressionSizeLimit(maxText), cel.ParserRecursionLimit(maxDepth),
		cel.ASTValidators(cel.ValidateComprehensionNestingLimit(maxNested), cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals()),
	}
	for _, name := range facts.names {
		options = append(options, cel.Variable(name, facts.fields[name].Type))
	}
	base, err := cel.NewCustomEnv(append(options, functions(own, w)...)...)
	if err != nil {
		return nil, err
	}
	e := &Environment{world: w, envs: map[string]*cel.Env{"": base}, own: own}
	for _, kind := range Each() {
		if e.envs[kind], err = base.Extend(cel.Variable("it", facts.fields[kind].Type.Parameters()[0])); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// excluded are functions that expressions go without: regular expressions, which are unanchored; time zones, which are read
// from the disk of whoever evaluates; and conversion to a type that is not known.
func excluded() []*env.Function {
	// What is taken for a value of any type loses the knowledge that nobody states a field of it.
	out := []*env.Function{{Name: "matches"}, {Name: "dyn"}}
	for name, id := range map[string]string{
		"getFullYear": "year", "getMonth": "month", "getDayOfYear": "day_of_year", "getDayOfMonth": "day_of_month", "getDate": "day_of_month_1_based",
		"getDayOfWeek": "day_of_week", "getHours": "hours", "getMinutes": "minutes", "getSeconds": "seconds", "getMilliseconds": "milliseconds",
	} {
		out = append(out, &env.Function{Name: name, Overloads: []*env.Overload{{ID: "timestamp_to_" + id + "_with_tz"}}})
	}
	return out
}

// Program is a compiled expression. It is safe for concurrent use.
type Program struct {
	world   *world
	program cel.Program

	// Grows says that an expression about the image as a whole that holds still holds when more evidence is found. Of one
	// about each piece of evidence it is never so.
	Grows bool
	// Base says that it is about what the image stands on.
	Base bool
}

// Compile reads an expression about one kind of evidence, or about the image as a whole.
func (e *Environment) Compile(text, kind string) (*Program, *Issue) {
	environment := e.envs[kind]
	if environment == nil {
		return nil, &Issue{Line: 1, Column: 1, Problem: fmt.Sprintf("there is no kind of evidence %q", kind)}
	}
	ast, issues := environment.Compile(text)
	if issues.Err() != nil {
		return nil, e.explain(issues, kind)
	}
	if kind == "" && constant(ast) {
		return nil, &Issue{Line: 1, Column: 1, Problem: "the expression says nothing about the image", Hint: "an expression knows " + strings.Join(e.known(kind), ", ")}
	}
	if t := ast.OutputType(); !t.IsExactType(cel.BoolType) {
		return nil, &Issue{Line: 1, Column: 1, Problem: "the expression is a " + t.String() + " and must be true or false", Hint: "compare it with what is accepted"}
	}
	if issue := e.check(ast); issue != nil {
		return nil, issue
	}
	estimate, err := environment.EstimateCost(ast, sizes{})
	if err != nil || estimate.Max > maxGuess {
		return nil, &Issue{Line: 1, Column: 1, Problem: "the expression could take too long for large evidence", Hint: "go through one list, and not through several inside one another"}
	}
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if loops(ast) {
		options = append(options, cel.CostLimit(maxCost), cel.CostTracking(costs{})) // what has no loop ends when its text does
	}
	program, err := environment.Program(ast, options...)
	if err != nil {
		return nil, &Issue{Line: 1, Column: 1, Problem: err.Error()}
	}
	return &Program{e.world, program, kind == "" && grows(ast), reads(ast, "base")}, nil
}

// constant reports whether an expression reads nothing.
func constant(ast *cel.Ast) bool {
	return len(celast.MatchDescendants(celast.NavigateAST(ast.NativeRep()), celast.KindMatcher(celast.IdentKind))) == 0
}

// explain turns the first error of the compiler into an Issue.
func (e *Environment) explain(issues *cel.Issues, kind string) *Issue {
	first := issues.Errors()[0]
	i := &Issue{Line: first.Location.Line(), Column: first.Location.Column() + 1, Problem: strings.TrimSpace(first.Message)}
	i.Line, i.Column = max(i.Line, 1), max(i.Column, 1)
	_, rest, _ := strings.Cut(i.Problem, "'")
	quoted, _, _ := strings.Cut(rest, "'")
	switch {
	case strings.HasPrefix(i.Problem, "undeclared reference to 'matches'"):
		i.Problem, i.Hint = "there are no regular expressions", `write glob: it.ref.glob("refs/tags/v*")`
	case strings.HasPrefix(i.Problem, "undeclared reference to 'it'"):
		i.Problem, i.Hint = "there is no it", "say what the rule goes through: for: provenance"
	case strings.HasPrefix(i.Problem, "undeclared reference to"):
		i.Problem = fmt.Sprintf("nothing is called %q", quoted)
		i.Hint = e.nearest(quoted, append(e.known(kind), e.callable(kind)...), "an expression knows "+strings.Join(e.known(kind), ", "))
	case strings.HasPrefix(i.Problem, "undefined field"):
		i.Problem = fmt.Sprintf("there is no field %q", quoted)
		var names []string
		for _, name := range slices.Sorted(maps.Keys(e.world.structs)) {
			names = append(names, e.world.structs[name].names...)
		}
		i.Hint = e.nearest(quoted, names, "docs/expressions.md lists the fields of each kind of evidence")
	case strings.HasPrefix(i.Problem, "found no matching overload for"):
		_, applied, _ := strings.Cut(i.Problem, "applied to '")
		i.Problem = fmt.Sprintf("%s does not take %s", strings.Trim(quoted, "_"), strings.TrimSuffix(applied, "'"))
		i.Hint = "docs/expressions.md lists what functions take; both sides of a comparison have one type"
	case strings.HasPrefix(i.Problem, "comprehension exceeds nesting limit"):
		i.Problem, i.Hint = fmt.Sprintf("more than %d quantifiers inside one another", maxNested), "go through one list, and not through several inside one another"
	case strings.HasPrefix(i.Problem, "expression recursion limit exceeded"):
		i.Problem, i.Hint = fmt.Sprintf("nested more than %d deep", maxDepth), "write several rules"
	case strings.HasPrefix(i.Problem, "expression code point size exceeds limit"):
		i.Problem, i.Hint = fmt.Sprintf("longer than %d characters", maxText), "write several rules"
	case strings.HasPrefix(i.Problem, "Syntax error"):
		i.Problem = strings.TrimSpace(strings.TrimPrefix(i.Problem, "Syntax error:"))
		_, here, found := strings.Cut(i.Problem, "input '")
		if here, _, _ = strings.Cut(here, "' expecting"); found {
			here = strings.TrimSuffix(here, "'")
			i.Problem = fmt.Sprintf("nothing can be made of %q", here)
			if strings.HasSuffix(here, "<EOF>") {
				i.Problem = "the expression ends too early"
			}
		}
		i.Hint = "it is an expression of the Common Expression Language (CEL), such as has(it.commit) && it.ref.glob(\"refs/tags/*\")"
	}
	return i
}

// nearest is a proposal for a name that is nearly right, or else what is said of all others.
func (e *Environment) nearest(name string, known []string, otherwise string) string {
	if hint := e.own.Nearest(name, known); strings.HasPrefix(hint, "did you mean") {
		return hint
	}
	return otherwise
}

// callable lists the functions and macros that have names.
func (e *Environment) callable(kind string) []string {
	names := []string{"has", "all", "exists", "exists_one", "map", "filter"}
	for name := range e.envs[kind].Functions() {
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (e *Environment) known(kind string) []string {
	names := slices.Clone(e.world.structs["stemma.Facts"].names)
	if kind != "" {
		names = append([]string{"it"}, names...)
	}
	return names
}

// Scope is what expressions are evaluated over. It is not safe for concurrent use.
type Scope struct {
	world  *world
	facts  *stemma.Facts
	of     *structure
	values map[string]any
	pieces map[any]ref.Val // by pointers to elements of the facts
}

// Scope makes facts ready to be read by many expressions.
func (e *Environment) Scope(facts *stemma.Facts) *Scope {
	return &Scope{e.world, facts, e.world.structs["stemma.Facts"], map[string]any{}, map[any]ref.Val{}}
}

// ResolveName finds a variable. What nobody states has no name here, so that reading it is an error.
func (s *Scope) ResolveName(name string) (any, bool) {
	if v, ok := s.values[name]; ok {
		return v, v != nil
	}
	f, ok := s.of.fields[name]
	if !ok {
		return nil, false
	}
	v, err := f.GetFrom(s.facts)
	if err != nil {
		v = types.WrapErr(err)
	}
	s.values[name] = v
	return v, true
}

// Parent is nil: there is nothing around the facts.
func (s *Scope) Parent() cel.Activation { return nil }

// Holds evaluates an expression about the image as a whole, or, where it is not nil, about one piece of evidence: a
// pointer to an element of the facts. An error wraps ErrNotStated when a field was read that nobody states.
func (p *Program) Holds(s *Scope, it any) (bool, error) {
	delete(s.values, "it")
	if it != nil {
		if s.pieces[it] == nil {
			s.pieces[it] = p.world.NativeToValue(it)
		}
		s.values["it"] = s.pieces[it]
	}
	out, _, err := p.program.Eval(s)
	if err != nil {
		return false, clarify(err)
	}
	if b, ok := out.(types.Bool); ok {
		return bool(b), nil
	}
	return false, fmt.Errorf("the expression is a %s", out.Type().TypeName())
}

// clarify shortens an error of the evaluation.
func clarify(err error) error {
	if errors.Is(err, ErrNotStated) {
		return err
	}
	text := err.Error()
	switch {
	case strings.Contains(text, "cost limit"):
		return errors.New("the evidence is so large that the expression was given up")
	case strings.HasPrefix(text, "no such key: "):
		return fmt.Errorf("%s is %w", strings.TrimPrefix(text, "no such key: "), ErrNotStated)
	}
	return err
}

// number is a number of JSON: whole where it is written so and fits.
func number(raw string) (any, error) {
	if n, err := strconv.ParseInt(raw, 10, 64); err == nil {
		return n, nil
	}
	f, err := strconv.ParseFloat(raw, 64)
	if err != nil {
		return nil, fmt.Errorf("%.20q is no number that can be compared", raw)
	}
	return f, nil
}

// errorOf is the value of a failed function.
func errorOf(format string, args ...any) ref.Val { return types.NewErr(format, args...) }
