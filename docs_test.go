package stemma_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"stemma/policy"
)

// TestPolicyPage: docs/policy.md lists every key of the language with the comment that stands beside its Go field.
func TestPolicyPage(t *testing.T) {
	const page = "docs/policy.md"
	want := policyPage(t)
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what the types say; run go test . -run TestPolicyPage -update (%v)", page, err)
	}
}

const policyHead = `# The policy language

Generated from the types of package policy. A policy file holds one or more YAML documents, separated by ` + "`---`" + `, each with
` + "`apiVersion: policy.stemma.dev/v1alpha1`" + `, a ` + "`kind`" + `, ` + "`metadata: {name: …}`" + ` and a ` + "`spec`" + `. A beginner writes only an ImageTrustPolicy.
A NamespaceImageTrustPolicy has the same content and ` + "`metadata: {name: …, namespace: …}`" + `: it counts in that namespace besides the
policies of the set, and can only tighten.

* A block that is written is required; one that is not written is not checked, and the decision says so. An empty block is an error.
* Blocks are all-of, lists are any-of. ` + "`by: [a, b]`" + ` asks for one of them, ` + "`by: {atLeast: 2, of: [a, b, c]}`" + ` for distinct identities.
* Every policy that matches must allow. An image that no policy matches is refused, unless the set says otherwise.
* Patterns match a canonical name component by component: ` + "`*`" + ` is a part of one component, ` + "`**`" + ` one or more components, ` + "`{x}`" + ` one
  component that may be used again, ` + "`{x**}`" + ` several. There are no regular expressions.
* A value that nobody states fails a requirement. What could not be looked at is unknown, never a pass.
* Dates are whole days in UTC, inclusive; durations are ` + "`90d`, `12h`, `30m`" + `. Ages run from the proven signing time.
`

func policyPage(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("policy/language_*.go")
	if err != nil {
		t.Fatal(err)
	}
	var decls []ast.Decl
	for _, name := range append(files, "policy/document.go") {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		decls = append(decls, file.Decls...)
	}
	structs := map[string]*ast.StructType{}
	docs := map[string]string{}
	for _, decl := range decls {
		d, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range d.Specs {
			if s, ok := spec.(*ast.TypeSpec); ok {
				docs[s.Name.Name] = oneLine(d.Doc.Text())
				if st, ok := s.Type.(*ast.StructType); ok {
					structs[s.Name.Name] = st
				}
			}
		}
	}
	var b strings.Builder
	b.WriteString(policyHead)
	seen := map[string]bool{}
	var section func(title, name string)
	section = func(title, name string) {
		if seen[name] || structs[name] == nil {
			return
		}
		seen[name] = true
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", title, docs[name])
		if !slices.ContainsFunc(structs[name].Fields.List, func(f *ast.Field) bool { return f.Tag != nil }) {
			return // written as a word
		}
		b.WriteString("\n| key | value | default | meaning |\n|---|---|---|---|\n")
		var next []string
		rows(structs, structs[name], func(key, typ, standard, comment string) {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", key, typ, standard, comment)
			if comment == "" {
				t.Errorf("policy/document.go: %s of %s has no comment", key, name)
			}
			if bare := strings.TrimSuffix(strings.TrimPrefix(typ, "list of "), " by name"); structs[bare] != nil {
				next = append(next, bare)
			}
		})
		for _, n := range next {
			section(n, n)
		}
	}
	section("ImageTrustPolicy", "Spec")
	section("PolicySet", "SetSpec")
	section("Waiver", "Waiver")
	section("Distrust", "Distrust")
	if len(seen) < 10 {
		t.Fatalf("only %d blocks were found", len(seen))
	}
	return b.String()
}

// rows visits the keys of a struct, those of embedded structs included.
func rows(structs map[string]*ast.StructType, s *ast.StructType, visit func(key, typ, standard, comment string)) {
	for _, f := range s.Fields.List {
		if f.Tag == nil {
			continue
		}
		tag := reflect.StructTag(strings.Trim(f.Tag.Value, "`"))
		key, option, _ := strings.Cut(tag.Get("yaml"), ",")
		if option == "inline" {
			if ident, ok := f.Type.(*ast.Ident); ok && structs[ident.Name] != nil {
				rows(structs, structs[ident.Name], visit)
			}
			continue
		}
		standard := tag.Get("default")
		if option == "required" {
			standard = "*required*"
		}
		visit(key, typeName(f.Type), standard, oneLine(f.Comment.Text()))
	}
}

func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.ArrayType:
		return "list of " + typeName(e.Elt)
	case *ast.MapType:
		return typeName(e.Value) + " by name"
	case *ast.Ident:
		switch e.Name {
		case "string":
			return "text"
		case "int":
			return "number"
		}
		return e.Name
	}
	return "?"
}

func oneLine(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "\n", " ") }

// yamlBlocks are the blocks of a page in YAML.
func yamlBlocks(t *testing.T, page string) []string {
	t.Helper()
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i, b := range strings.Split(string(data), "```yaml\n")[1:] {
		text, _, ok := strings.Cut(b, "```")
		if !ok {
			t.Fatalf("%s: block %d does not end", page, i)
		}
		out = append(out, text)
	}
	return out
}

// TestExamples: every policy of the pages loads as it stands. A document that only goes with others says so in its first
// line, and loads with one.
func TestExamples(t *testing.T) {
	const fragment, other = "# with the policies of the set\n", `---
apiVersion: policy.stemma.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: other}
spec:
  match: {images: ["ghcr.io/acme/{service}"]}
  signers: {reviewer: {oidc: {issuer: "https://accounts.google.com", subject: review@acme.example}}}
  signature: {by: [reviewer]}
`
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, page := range append(pages, "README.md") {
		for i, text := range yamlBlocks(t, page) {
			if !strings.Contains(text, "apiVersion: policy.stemma.dev/") {
				if page != "docs/registries.md" {
					t.Errorf("%s: block %d is no policy", page, i)
				}
				continue // package network reads it
			}
			count[page]++
			load := func(text string) error {
				_, err := policy.Load(policy.File{Name: fmt.Sprintf("%s, block %d", page, i), Data: []byte(text)})
				return err
			}
			err := load(text)
			if strings.HasPrefix(text, fragment) {
				if err == nil {
					t.Errorf("%s: block %d loads by itself, and says that it does not", page, i)
				}
				err = load(text + other)
			}
			if err != nil {
				t.Error(err)
			}
		}
	}
	if count["README.md"] < 2 || count["docs/builders.md"] < 9 || count["docs/distribution.md"] < 1 || count["docs/expressions.md"] < 1 {
		t.Errorf("policies in the pages: %v", count)
	}
}

// TestBuildersPage: every way to name a builder has a policy in docs/builders.md.
func TestBuildersPage(t *testing.T) {
	blocks := yamlBlocks(t, "docs/builders.md")
	for _, key := range []string{"github", "gitlab", "buildkite", "circleci", "oidc", "keys", "tekton", "gcb", "buildkit", "internal"} {
		if !slices.ContainsFunc(blocks, func(b string) bool { return strings.Contains(b, "  "+key+":") }) {
			t.Errorf("no policy has a builder by %s", key)
		}
	}
}
