// Package expression compiles and evaluates expressions of policies in the Common Expression Language (CEL), over
// stemma.Facts. An expression is typed, bounded in cost, and reaches nothing but the facts: no network, no file, no clock
// and no environment. Whatever goes wrong in one is an error, never true.
package expression

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
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
	Glob    func(pattern, name string) bool                    // whether a pattern of the language matches
	Pattern func(pattern string) (problem, hint string)        // what is wrong with a pattern, or ""
	PURL    func(string) (kind, name, version string, ok bool) // reads a package URL
}

// Environment is what expressions can be about. It is safe for concurrent use.
type Environment struct {
	world *world
	envs  map[string]*cel.Env // by the kind of evidence that it is; "" for the image as a whole
	own   Functions
}

// Each lists the kinds of evidence that an expression can go through, each with the type of it.
func Each() []string {
	return []string{"attestations", "platforms", "provenance", "sboms", "scans", "signers"}
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

// excluded are functions that expressions go without: regular expressions, which are unanchored, and time zones, which
// are read from the disk of whoever evaluates.
func excluded() []*env.Function {
	out := []*env.Function{{Name: "matches"}}
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
		options = append(options, cel.CostLimit(maxCost)) // what has no loop ends when its text does
	}
	program, err := environment.Program(ast, options...)
	if err != nil {
		return nil, &Issue{Line: 1, Column: 1, Problem: err.Error()}
	}
	return &Program{e.world, program}, nil
}

// explain turns the first error of the compiler into an Issue.
func (e *Environment) explain(issues *cel.Issues, kind string) *Issue {
	first := issues.Errors()[0]
	i := &Issue{Line: first.Location.Line(), Column: first.Location.Column() + 1, Problem: strings.TrimSpace(first.Message)}
	i.Line, i.Column = max(i.Line, 1), max(i.Column, 1)
	quoted := func() string {
		_, rest, _ := strings.Cut(i.Problem, "'")
		name, _, _ := strings.Cut(rest, "'")
		return name
	}
	switch {
	case strings.HasPrefix(i.Problem, "undeclared reference to 'matches'"):
		i.Problem, i.Hint = "there are no regular expressions", `write glob: it.ref.glob("refs/tags/v*")`
	case strings.HasPrefix(i.Problem, "undeclared reference to 'it'"):
		i.Problem, i.Hint = "there is no it", "say what the rule goes through: for: provenance"
	case strings.HasPrefix(i.Problem, "undeclared reference to"):
		i.Problem = fmt.Sprintf("nothing is called %q", quoted())
		i.Hint = "an expression knows " + strings.Join(e.known(kind), ", ")
	case strings.HasPrefix(i.Problem, "undefined field"):
		i.Problem = fmt.Sprintf("there is no field %q", quoted())
		i.Hint = "docs/expressions.md lists the fields of each kind of evidence"
	case strings.HasPrefix(i.Problem, "Syntax error"):
		i.Problem = strings.TrimSpace(strings.TrimPrefix(i.Problem, "Syntax error:"))
	}
	return i
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
}

// Scope makes facts ready to be read by many expressions.
func (e *Environment) Scope(facts *stemma.Facts) *Scope {
	return &Scope{e.world, facts, e.world.structs["stemma.Facts"], map[string]any{}}
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
		s.values["it"] = p.world.NativeToValue(it)
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
func number(raw string) any {
	if n, err := strconv.ParseInt(raw, 10, 64); err == nil {
		return n
	}
	f, err := strconv.ParseFloat(raw, 64)
	if err != nil {
		return types.NewErr("%.20q is no number that can be compared", raw)
	}
	return f
}

// errorOf is the value of a failed function.
func errorOf(format string, args ...any) ref.Val { return types.NewErr(format, args...) }
