package stemma_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"

	"stemma/policy"
)

// TestExpressionsPage: the tables of docs/expressions.md are what the types of the facts say, and its policies load.
func TestExpressionsPage(t *testing.T) {
	const page, mark = "docs/expressions.md", "<!-- generated from the types: go test . -run ExpressionsPage -update -->\n"
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	prose, _, ok := strings.Cut(string(data), mark)
	if !ok {
		t.Fatalf("%s has no line %s", page, mark)
	}
	want := prose + mark + factsTables(t)
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		data = []byte(want)
	}
	if string(data) != want {
		t.Errorf("%s is not what the types say; run go test . -run ExpressionsPage -update", page)
	}
	blocks := strings.Split(prose, "```yaml\n")
	for i, b := range blocks[1:] {
		text, _, _ := strings.Cut(b, "```")
		if _, err := policy.Load(policy.File{Name: fmt.Sprintf("block %d", i), Data: []byte(text)}); err != nil {
			t.Error(err)
		}
	}
	if len(blocks) < 2 {
		t.Error("it has no example")
	}
}

// factsTables has a table for each struct that expressions reach.
func factsTables(t *testing.T) string {
	t.Helper()
	structs, docs := map[string]*ast.StructType{}, map[string]string{}
	for _, name := range []string{"facts.go", "provenance.go", "bom.go", "statement.go", "internal/expression/functions.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			d, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range d.Specs {
				if s, ok := spec.(*ast.TypeSpec); ok {
					if st, ok := s.Type.(*ast.StructType); ok {
						structs[s.Name.Name], docs[s.Name.Name] = st, oneLine(d.Doc.Text())
					}
				}
			}
		}
	}
	var b strings.Builder
	seen := map[string]bool{}
	var section func(name string)
	section = func(name string) {
		if seen[name] || structs[name] == nil {
			return
		}
		seen[name] = true
		title := name
		if name == "Facts" {
			title = "Variables"
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| name | type | | meaning |\n|---|---|---|---|\n", title, docs[name])
		var next []string
		var fields func(s *ast.StructType)
		fields = func(s *ast.StructType) {
			for _, f := range s.Fields.List {
				if len(f.Names) == 0 {
					if ident, ok := f.Type.(*ast.Ident); ok && structs[ident.Name] != nil {
						fields(structs[ident.Name])
					}
					continue
				}
				tag := reflect.StructTag(strings.Trim(f.Tag.Value, "`"))
				key, option, _ := strings.Cut(tag.Get("json"), ",")
				typ := celType(f.Type, &next)
				absent := ""
				if strings.HasPrefix(option, "omit") && typ != "true or false" {
					absent = "may be absent"
				}
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", key, typ, absent, strings.ReplaceAll(oneLine(f.Comment.Text()), "|", "\\|"))
			}
		}
		fields(structs[name])
		for _, n := range next {
			section(n)
		}
	}
	section("Facts")
	section("Version")
	section("PackageURL")
	if len(seen) < 10 {
		t.Fatalf("only %d structs were found", len(seen))
	}
	return b.String()
}

// celType names a type as expressions see it, and adds the structs that it leads to.
func celType(e ast.Expr, next *[]string) string {
	switch e := e.(type) {
	case *ast.ArrayType:
		return "list of " + celType(e.Elt, next)
	case *ast.MapType:
		return "map of text to " + celType(e.Value, next)
	case *ast.SelectorExpr:
		if e.Sel.Name == "Time" {
			return "time"
		}
		return "anything of JSON"
	case *ast.Ident:
		switch {
		case e.Name == "bool":
			return "true or false"
		case e.Name == "int":
			return "whole number"
		case strings.HasSuffix(e.Name, "Facts") || e.Name == "Input" || e.Name == "Task" || e.Name == "Component" || e.Name == "Vulnerability":
			*next = append(*next, e.Name)
			return e.Name
		}
	}
	return "text"
}
