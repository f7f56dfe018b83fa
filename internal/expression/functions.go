package expression

import (
	"cmp"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// Version is a semantic version (semver.org 2.0.0), with or without the v before it.
type Version struct {
	Major      int    `json:"major"`
	Minor      int    `json:"minor"`
	Patch      int    `json:"patch"`
	Prerelease string `json:"prerelease,omitempty"`
}

// PackageURL is a package URL in parts. Name has type, namespace and name in canonical form: pkg:npm/%40acme/lib.
type PackageURL struct {
	Type    string `json:"type"`
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

// functions are those of the language besides the standard ones.
func functions(own Functions, w *world) []cel.EnvOption {
	version, purl := w.add(reflect.TypeFor[Version]()), w.add(reflect.TypeFor[PackageURL]())
	text := []*cel.Type{cel.StringType}
	return []cel.EnvOption{
		cel.Function("glob", cel.MemberOverload("string_glob_string", []*cel.Type{cel.StringType, cel.StringType}, cel.BoolType,
			cel.BinaryBinding(func(name, pattern ref.Val) ref.Val {
				p := string(pattern.(types.String))
				if problem, _ := own.Pattern(p); problem != "" {
					return errorOf("glob: %s", problem)
				}
				ok, problem := own.Glob(p, string(name.(types.String)))
				if problem != "" {
					return errorOf("glob: %s", problem) // that it does not match would be true of anything
				}
				return types.Bool(ok)
			}))),
		cel.Function("replace", cel.MemberOverload("string_replace_string_string", []*cel.Type{cel.StringType, cel.StringType, cel.StringType}, cel.StringType,
			cel.FunctionBinding(func(args ...ref.Val) ref.Val {
				text, before, after := string(args[0].(types.String)), string(args[1].(types.String)), string(args[2].(types.String))
				if before == "" || len(text)+strings.Count(text, before)*len(after) > maxReplaced {
					return errorOf("replace: of nothing, or too much")
				}
				return types.String(strings.ReplaceAll(text, before, after))
			}))),
		cel.Function("semver", cel.Overload("semver_string", text, version, cel.UnaryBinding(func(v ref.Val) ref.Val {
			parsed, ok := parseVersion(string(v.(types.String)))
			if !ok {
				return errorOf("semver: %.40q is no semantic version", v)
			}
			return w.NativeToValue(&parsed)
		}))),
		cel.Function("isSemver", cel.Overload("is_semver_string", text, cel.BoolType, cel.UnaryBinding(func(v ref.Val) ref.Val {
			_, ok := parseVersion(string(v.(types.String)))
			return types.Bool(ok)
		}))),
		cel.Function("compare", cel.MemberOverload("version_compare_version", []*cel.Type{version, version}, cel.IntType,
			cel.BinaryBinding(func(a, b ref.Val) ref.Val {
				x, y := a.(*object).value.(*Version), b.(*object).value.(*Version)
				return types.Int(x.compare(y))
			}))),
		cel.Function("purl", cel.Overload("purl_string", text, purl, cel.UnaryBinding(func(v ref.Val) ref.Val {
			kind, name, ver, ok := own.PURL(string(v.(types.String)))
			if !ok {
				return errorOf("purl: %.80q is no package URL", v)
			}
			return w.NativeToValue(&PackageURL{kind, name, ver})
		}))),
		cel.Function("days", cel.Overload("days_int", []*cel.Type{cel.IntType}, cel.DurationType, cel.UnaryBinding(func(v ref.Val) ref.Val {
			n := v.(types.Int)
			if n < 0 || n > 36500 {
				return errorOf("days: %d is not from 0 to 36500", n)
			}
			return types.Duration{Duration: time.Duration(n) * 24 * time.Hour}
		}))),
		// age(t) is a macro, because a function cannot see the time of the decision.
		cel.Macros(cel.GlobalMacro("age", 1, func(f cel.MacroExprFactory, _ ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
			return f.NewCall(ageOf, f.NewIdent("now"), args[0]), nil
		})),
		cel.Function(ageOf, cel.Overload("age_timestamp_timestamp", []*cel.Type{cel.TimestampType, cel.TimestampType}, cel.DurationType,
			cel.BinaryBinding(func(now, of ref.Val) ref.Val {
				age := now.(types.Timestamp).Sub(of.(types.Timestamp).Time)
				if age < -skew {
					// What was made in years to come would be younger than anything asked for.
					return errorOf("age: %s lies in the future", of.(types.Timestamp).UTC().Format(time.RFC3339))
				}
				return types.Duration{Duration: max(age, 0)}
			}))),
	}
}

// ageOf is what the macro age(t) stands for: a name that nobody can write.
const ageOf = "@age"

// skew is how far clocks may disagree.
const skew = 5 * time.Minute

// parseVersion reads a semantic version.
func parseVersion(s string) (Version, bool) {
	var v Version
	if len(s) > 256 {
		return v, false
	}
	s, build, built := strings.Cut(strings.TrimPrefix(s, "v"), "+")
	core, prerelease, has := strings.Cut(s, "-")
	for identifier := range strings.SplitSeq(prerelease, ".") {
		// "Numeric identifiers MUST NOT include leading zeroes."
		if has && (!isIdentifier(identifier) || isNumeric(identifier) && len(identifier) > 1 && identifier[0] == '0') {
			return v, false
		}
	}
	for identifier := range strings.SplitSeq(build, ".") {
		if built && !isIdentifier(identifier) {
			return v, false
		}
	}
	v.Prerelease = prerelease
	parts := strings.Split(core, ".")
	if len(parts) != 3 {
		return v, false
	}
	for i, to := range []*int{&v.Major, &v.Minor, &v.Patch} {
		n, err := strconv.ParseUint(parts[i], 10, 63)
		if err != nil || len(parts[i]) > 1 && parts[i][0] == '0' {
			return v, false
		}
		*to = int(n)
	}
	return v, true
}

// compare orders versions as the specification does: a version with a pre-release comes before the one without.
func (v *Version) compare(o *Version) int {
	if c := cmp.Or(cmp.Compare(v.Major, o.Major), cmp.Compare(v.Minor, o.Minor), cmp.Compare(v.Patch, o.Patch)); c != 0 {
		return c
	}
	switch {
	case v.Prerelease == o.Prerelease:
		return 0
	case v.Prerelease == "":
		return 1
	case o.Prerelease == "":
		return -1
	}
	return slices.CompareFunc(strings.Split(v.Prerelease, "."), strings.Split(o.Prerelease, "."), func(a, b string) int {
		switch x, y := isNumeric(a), isNumeric(b); {
		case x && y:
			return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) // without leading zeros the longer is the greater
		case x:
			return -1 // numbers come before words
		case y:
			return 1
		}
		return cmp.Compare(a, b)
	})
}

// isIdentifier reports whether a part of a version is made of what parts may be made of.
func isIdentifier(s string) bool {
	return s != "" && strings.Trim(s, "0123456789-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

func isNumeric(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// costs says what calls cost that were made, where the library takes them for one unit of work: by the length of texts, and
// by how much there is to compare.
type costs struct{}

// CallCost implements the library's interface. Its unit is some ten nanoseconds.
func (costs) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	text := func(v ref.Val) uint64 {
		s, _ := v.(types.String)
		return uint64(len(s))
	}
	cost := uint64(1)
	switch function {
	case "glob":
		cost += text(args[0]) / 16 * (1 + 3*uint64(strings.Count(string(args[1].(types.String)), "**")))
	case "replace", "purl", "semver", "isSemver":
		for _, a := range args {
			cost += text(a) / 16
		}
		cost += text(result) / 16
	case operators.Equals, operators.NotEquals, operators.In:
		deep := false
		for _, a := range args {
			switch v := a.(type) {
			case *object:
				deep, cost = true, cost+v.weight()
			case traits.Lister:
				if n, ok := v.Size().(types.Int); ok && n > 0 {
					if o, ok := v.Get(types.IntZero).(*object); ok {
						deep, cost = true, cost+uint64(n)*o.weight()
					}
				}
			}
		}
		if !deep {
			return nil
		}
	default:
		return nil
	}
	return &cost
}

// sizes says how large evidence is taken to be when the cost of an expression is told beforehand. What is larger is given
// up when it is evaluated.
type sizes struct{}

// EstimateCallCost leaves calls to the library.
func (sizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}

// EstimateSize is how many elements a list has, or how many characters a text.
func (sizes) EstimateSize(n cost.AstNode) *cost.SizeEstimate {
	path := n.Path()
	if len(path) == 0 || n.Type() == nil {
		return &cost.SizeEstimate{Min: 0, Max: 256}
	}
	switch n.Type().Kind() {
	case types.ListKind, types.MapKind:
		switch {
		case path[len(path)-1] == "packages":
			return &cost.SizeEstimate{Min: 0, Max: 2000}
		case len(path) == 1:
			return &cost.SizeEstimate{Min: 0, Max: 8} // pieces of evidence by accepted signers
		}
		return &cost.SizeEstimate{Min: 0, Max: 200}
	case types.DynKind:
		return &cost.SizeEstimate{Min: 0, Max: 200}
	}
	return &cost.SizeEstimate{Min: 0, Max: 128}
}
