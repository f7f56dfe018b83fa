package stemma_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stemma/policy"
)

var update = flag.Bool("update", false, "rewrite generated files")

// arrows is the architecture: which packages there are and what of this module each may import. An unlisted package or
// arrow fails; a new one needs a reason in docs/decisions.
func arrows() map[string][]string {
	return map[string][]string{
		"stemma":                     {},
		"stemma/policy":              {"stemma", "stemma/internal/expression"},
		"stemma/internal/network":    {"stemma"},
		"stemma/internal/oci":        {"stemma"},
		"stemma/internal/sigstore":   {"stemma"},
		"stemma/internal/predicate":  {"stemma"},
		"stemma/internal/expression": {"stemma"},
		"stemma/internal/foreign":    {"stemma"},
		"stemma/internal/lineage":    {"stemma"},
		"stemma/internal/store":      {"stemma"},
		"stemma/verify":              {"stemma", "stemma/policy", "stemma/internal/network", "stemma/internal/oci", "stemma/internal/sigstore", "stemma/internal/predicate", "stemma/internal/lineage"},
		"stemma/stemmatest":          {"stemma"},
		"stemma/cmd/stemma":          {"stemma", "stemma/policy", "stemma/verify", "stemma/stemmatest", "stemma/internal/foreign", "stemma/internal/store"},
	}
}

// heavy says which packages may import a heavy module themselves, by the prefix of its packages.
func heavy() map[string][]string {
	return map[string][]string{
		"github.com/sigstore/":                       {"stemma/internal/sigstore"},
		"github.com/google/certificate-transparency": {"stemma/internal/sigstore"},
		"github.com/digitorus/":                      {"stemma/internal/sigstore"},
		"github.com/theupdateframework/":             {"stemma/internal/sigstore"},
		"oras.land/":                                 {"stemma/internal/oci"},
		"sigs.k8s.io/yaml":                           {"stemma/internal/network"},
		"golang.org/x/time":                          {"stemma/internal/network"},
		"go.yaml.in/":                                {"stemma/policy", "stemma/internal/foreign"},
		"cel.dev/":                                   {"stemma/internal/expression"},
		"github.com/spf13/":                          {"stemma/cmd/stemma"},
		"github.com/google/go-containerregistry":     {}, // tests only
		"cuelabs.dev/":                               {}, // tests only
		"k8s.io/":                                    {},
		"database/sql":                               {"stemma/internal/store"},
		"modernc.org/":                               {"stemma/internal/store"},
		"net/http":                                   {"stemma/internal/network", "stemma/internal/oci", "stemma/internal/sigstore", "stemma/stemmatest", "stemma/verify", "stemma/cmd/stemma"},
		"os/exec":                                    {"stemma/internal/network"}, // credential providers
		"regexp":                                     {"stemma/internal/foreign"}, // regexp/syntax, to read the expressions of others as they do
		"unsafe":                                     {},
	}
}

// reach says which packages may reach a heavy module at all, through others.
func reach() map[string][]string {
	return map[string][]string{
		"github.com/sigstore/": {"stemma/internal/sigstore", "stemma/verify", "stemma/cmd/stemma"},
		"oras.land/":           {"stemma/internal/oci", "stemma/verify", "stemma/cmd/stemma"},
		"google.golang.org/":   {"stemma/internal/sigstore", "stemma/internal/expression", "stemma/policy", "stemma/verify", "stemma/cmd/stemma"},
		"net/http":             {"stemma/internal/network", "stemma/internal/oci", "stemma/internal/sigstore", "stemma/stemmatest", "stemma/verify", "stemma/cmd/stemma"},
	}
}

// outside caps how many packages from outside the standard library a package may reach, directly or not.
func outside() map[string]int {
	return map[string]int{"stemma": 0, "stemma/internal/predicate": 0}
}

type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Deps       []string
}

func list(t *testing.T, args ...string) []listed {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-json=ImportPath,Standard,Imports,Deps"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var p listed
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func TestArrows(t *testing.T) {
	standard := map[string]bool{}
	for _, p := range list(t, "-deps", "./...") {
		standard[p.ImportPath] = p.Standard
	}
	seen := 0
	for _, p := range list(t, "./...") {
		allowed, ok := arrows()[p.ImportPath]
		if !ok {
			t.Errorf("package %s is not in the table of arrows; a new package needs a reason in docs/decisions", p.ImportPath)
			continue
		}
		seen++
		for _, imported := range p.Imports {
			if (imported == "stemma" || strings.HasPrefix(imported, "stemma/")) && !slices.Contains(allowed, imported) {
				t.Errorf("%s imports %s: no such arrow", p.ImportPath, imported)
			}
			for prefix, who := range heavy() {
				if (imported == prefix || strings.HasPrefix(imported, prefix) && strings.HasSuffix(prefix, "/") || strings.HasPrefix(imported, prefix+"/")) && !slices.Contains(who, p.ImportPath) {
					t.Errorf("%s imports %s: only %v may", p.ImportPath, imported, who)
				}
			}
		}
		for prefix, who := range reach() {
			if slices.Contains(who, p.ImportPath) {
				continue
			}
			if i := slices.IndexFunc(p.Deps, func(dep string) bool {
				return dep == prefix || strings.HasSuffix(prefix, "/") && strings.HasPrefix(dep, prefix)
			}); i >= 0 {
				t.Errorf("%s reaches %s: only %v may", p.ImportPath, p.Deps[i], who)
			}
		}
		if most, ok := outside()[p.ImportPath]; ok {
			var reached []string
			for _, dep := range p.Deps {
				if !standard[dep] && dep != "stemma" && !strings.HasPrefix(dep, "stemma/") {
					reached = append(reached, dep)
				}
			}
			if len(reached) > most {
				t.Errorf("%s reaches %d packages outside the standard library, at most %d: %v", p.ImportPath, len(reached), most, reached)
			}
		}
	}
	if seen != len(arrows()) {
		t.Errorf("%d of the %d packages in the table of arrows exist", seen, len(arrows()))
	}
}

// TestPureJudgement: what judges reaches no clock, disk, network or log, directly or through anything of this module.
func TestPureJudgement(t *testing.T) {
	for _, p := range list(t, "stemma", "stemma/policy") {
		for _, imported := range p.Imports {
			for _, banned := range []string{"os", "net", "net/http", "log", "log/slog", "io/fs", "context", "math/rand", "math/rand/v2", "crypto/rand"} {
				if imported == banned {
					t.Errorf("%s imports %s", p.ImportPath, imported)
				}
			}
		}
	}
}

// TestForbidden holds every file to the constructs that the house style forbids.
func TestForbidden(t *testing.T) {
	clock := []string{"verify", "cmd/stemma"}
	eachFile(t, func(dir, name string, set *token.FileSet, file *ast.File) {
		at := func(n ast.Node) string { return fmt.Sprintf("%s:%d", name, set.Position(n.Pos()).Line) }
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.Name == "init" {
					t.Errorf("%s: init functions are not allowed", at(d))
				}
			case *ast.GenDecl:
				if d.Tok == token.VAR {
					checkVariables(t, at, d)
				}
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				pkg, ok := n.X.(*ast.Ident)
				if !ok {
					break
				}
				switch what := pkg.Name + "." + n.Sel.Name; what {
				case "time.Now", "time.Since", "time.Until":
					if !slices.Contains(clock, dir) {
						t.Errorf("%s: %s: the time comes from the situation", at(n), what)
					}
				case "context.WithValue", "http.DefaultClient", "http.DefaultTransport", "http.Get", "http.Post", "json.Unmarshal", "json.NewDecoder":
					t.Errorf("%s: %s is not allowed", at(n), what)
				}
			case *ast.CallExpr:
				if isCall(n, "io", "ReadAll") && !bounded(n.Args[0]) {
					t.Errorf("%s: io.ReadAll of something that is not bounded in the same expression", at(n))
				}
			}
			return true
		})
	})
}

// checkVariables: a package variable may hold a sentinel error or an embedded file, and nothing that can change.
func checkVariables(t *testing.T, at func(ast.Node) string, d *ast.GenDecl) {
	if d.Doc != nil && strings.HasPrefix(d.Doc.List[len(d.Doc.List)-1].Text, "//go:embed ") {
		return
	}
	for _, spec := range d.Specs {
		v := spec.(*ast.ValueSpec)
		for i, name := range v.Names {
			if name.Name == "_" {
				continue
			}
			if i < len(v.Values) {
				if call, ok := v.Values[i].(*ast.CallExpr); ok && isCall(call, "errors", "New") {
					continue
				}
			}
			t.Errorf("%s: package variable %s: use a constant, a function or a field", at(v), name.Name)
		}
	}
}

func isCall(c *ast.CallExpr, pkg, name string) bool {
	sel, ok := c.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name == pkg && sel.Sel.Name == name
}

func bounded(arg ast.Expr) bool {
	call, ok := arg.(*ast.CallExpr)
	return ok && (isCall(call, "io", "LimitReader") || isCall(call, "http", "MaxBytesReader"))
}

// TestSizes keeps files and functions small enough to be read at once.
func TestSizes(t *testing.T) {
	eachFile(t, func(_, name string, set *token.FileSet, file *ast.File) {
		if n := set.Position(file.FileEnd).Line; n > 600 {
			t.Errorf("%s has %d lines, more than 600: split it by what it is about", name, n)
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				if n := set.Position(f.End()).Line - set.Position(f.Pos()).Line; n > 100 {
					t.Errorf("%s: %s has %d lines, more than 100", name, f.Name.Name, n)
				}
			}
		}
	})
}

// TestDocumented: every package says what it is, every exported name of the public packages what it means.
func TestDocumented(t *testing.T) {
	packages := map[string]bool{}
	eachFile(t, func(dir, name string, set *token.FileSet, file *ast.File) {
		if file.Doc != nil {
			packages[dir] = true
		} else if _, ok := packages[dir]; !ok {
			packages[dir] = false
		}
		for _, decl := range file.Decls {
			at := fmt.Sprintf("%s:%d", name, set.Position(decl.Pos()).Line)
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc == nil && d.Name.Name != "Error" && d.Name.Name != "String" && exportedReceiver(d) {
					t.Errorf("%s: %s is not documented", at, d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if s, ok := spec.(*ast.TypeSpec); ok && s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
						t.Errorf("%s: %s is not documented", at, s.Name.Name)
					}
					if s, ok := spec.(*ast.ValueSpec); ok && s.Names[0].IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
						t.Errorf("%s: %s is not documented", at, s.Names[0].Name)
					}
				}
			}
		}
	})
	for dir, ok := range packages {
		if !ok {
			t.Errorf("package in %q has no package comment", dir)
		}
	}
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	ident, ok := typ.(*ast.Ident)
	return !ok || ident.IsExported()
}

// eachFile visits the Go files that are not tests.
func eachFile(t *testing.T, visit func(dir, name string, set *token.FileSet, file *ast.File)) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != "." || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		files++
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		visit(filepath.ToSlash(filepath.Dir(path)), path, set, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 20 {
		t.Fatalf("only %d files were seen", files)
	}
}

// TestRules: every rule is a documented value, and the reference page is what the values say.
func TestRules(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range append(policy.Rules(), policy.UnmatchedRule()) {
		if seen[r.ID] {
			t.Errorf("two rules are called %s", r.ID)
		}
		seen[r.ID] = true
		for name, text := range map[string]string{"title": r.Title, "why": r.Why, "fix": r.Fix, "since": r.Since} {
			if text == "" {
				t.Errorf("rule %s has no %s", r.ID, name)
			}
		}
	}
	const page = "docs/rules.md"
	want := policy.Reference()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what the rules say; run go test . -run TestRules -update (%v)", page, err)
	}
}

// TestCommands: the module is tidy and passes vet.
func TestCommands(t *testing.T) {
	for _, args := range [][]string{{"vet", "./..."}, {"mod", "tidy", "-diff"}, {"mod", "verify"}} {
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			t.Errorf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestPlain: the repository speaks of the project alone.
func TestPlain(t *testing.T) {
	out, err := exec.Command("git", "ls-files", "-z").Output()
	if err != nil {
		t.Skipf("not a git checkout: %v", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		data, err := os.ReadFile(name)
		if err != nil || name == "all_test.go" {
			continue
		}
		for _, word := range []string{"TODO", "FIXME", "XXX", "/root/", "/work/"} {
			if bytes.Contains(data, []byte(word)) {
				t.Errorf("%s contains %q", name, word)
			}
		}
	}
}
