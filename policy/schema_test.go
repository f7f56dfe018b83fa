package policy

import (
	"bytes"
	"encoding/json"
	"flag"
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

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// TestSchemaFile: schema.json is what the types say, and their comments.
func TestSchemaFile(t *testing.T) {
	g := &schemaMaker{t: t, defs: map[string]any{}, docs: fieldComments(t)}
	kinds := []any{}
	for kind, doc := range map[string]reflect.Type{
		KindSet: reflect.TypeFor[setDocument](), KindPolicy: reflect.TypeFor[policyDocument](), KindNamespacePolicy: reflect.TypeFor[namespacePolicyDocument](),
		KindWaiver: reflect.TypeFor[waiverDocument](), KindDistrust: reflect.TypeFor[distrustDocument](),
	} {
		frame := g.object(doc)
		properties := frame["properties"].(map[string]any)
		properties["apiVersion"], properties["kind"] = map[string]any{"const": APIVersion}, map[string]any{"const": kind}
		g.defs["kind"+kind] = frame
		kinds = append(kinds, map[string]any{
			"if":   map[string]any{"properties": map[string]any{"kind": map[string]any{"const": kind}}},
			"then": map[string]any{"$ref": "#/$defs/kind" + kind},
		})
	}
	slices.SortFunc(kinds, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	root := map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://policy.stemma.dev/v1alpha1/schema.json", "title": "Stemma policy document",
		"type": "object", "required": []string{"apiVersion", "kind", "metadata", "spec"},
		"properties": map[string]any{"kind": map[string]any{"enum": []string{KindPolicy, KindSet, KindNamespacePolicy, KindWaiver, KindDistrust}}},
		"allOf":      kinds, "$defs": g.defs,
	}
	var want bytes.Buffer
	enc := json.NewEncoder(&want)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(root); err != nil {
		t.Fatal(err)
	}
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile("schema.json", want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile("schema.json"); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("schema.json is not what the types say; run go test ./policy -run TestSchemaFile -update (%v)", err)
	}
}

// fieldComments maps Type.key to the comment beside the field.
func fieldComments(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("language_*.go")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, name := range append(files, "document.go") {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if s, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range s.Fields.List {
					if f.Tag != nil {
						key, _, _ := strings.Cut(reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("yaml"), ",")
						out[spec.Name.Name+"."+key] = strings.TrimSpace(f.Comment.Text())
					}
				}
			}
			return true
		})
	}
	return out
}

type schemaMaker struct {
	t    *testing.T
	defs map[string]any
	docs map[string]string
}

func (g *schemaMaker) object(t reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	names, fields, must := keysOf(t)
	for _, name := range names {
		f := t.FieldByIndex(fields[name])
		owner := t
		for _, i := range fields[name][:len(fields[name])-1] {
			owner = owner.Field(i).Type
		}
		of := g.of(f.Type)
		entry := map[string]any{}
		for k, v := range of {
			entry[k] = v
		}
		if text := g.docs[owner.Name()+"."+name]; text != "" {
			entry["description"] = text
		}
		if standard, ok := f.Tag.Lookup("default"); ok {
			entry["default"] = standard
		}
		properties[name] = entry
	}
	required = append(required, must...)
	out := map[string]any{"type": "object", "additionalProperties": false, "properties": properties, "minProperties": 1}
	if len(required) > 0 {
		slices.Sort(required)
		out["required"] = required
	}
	return out
}

// of is the schema of a type. Text may be written as a number, as in ownerID: 48120341.
func (g *schemaMaker) of(t reflect.Type) map[string]any {
	text := map[string]any{"type": []string{"string", "number", "boolean"}, "minLength": 1}
	list := func(of map[string]any) map[string]any {
		return map[string]any{"type": "array", "minItems": 1, "items": of}
	}
	const duration = "[1-9][0-9]*[dhms]"
	switch t {
	case reflect.TypeFor[Duration]():
		return map[string]any{"type": "string", "pattern": "^" + duration + "$"}
	case reflect.TypeFor[Running]():
		return map[string]any{"type": "string", "pattern": "^(rejudge|keep(:" + duration + ")?)$"}
	case reflect.TypeFor[Date]():
		return map[string]any{"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
	case reflect.TypeFor[Root]():
		return map[string]any{"type": []string{"object", "string"}}
	case reflect.TypeFor[Expression]():
		return map[string]any{"type": []string{"string", "boolean"}, "minLength": 1}
	case reflect.TypeFor[Values]():
		return map[string]any{"oneOf": []any{text, list(text)}}
	case reflect.TypeFor[Pointers]():
		return map[string]any{"type": "object", "minProperties": 1, "additionalProperties": g.of(reflect.TypeFor[Values]())}
	case reflect.TypeFor[Platforms]():
		return map[string]any{"oneOf": []any{map[string]any{"enum": []string{"index", "all", "nodes"}}, list(text)}}
	case reflect.TypeFor[By]():
		names := list(text)
		return map[string]any{"oneOf": []any{names, map[string]any{
			"type": "object", "additionalProperties": false, "required": []string{"atLeast", "of"},
			"properties": map[string]any{"atLeast": map[string]any{"type": "integer", "minimum": 1}, "of": names},
		}}}
	}
	if c, ok := reflect.Zero(t).Interface().(chosen); ok {
		return map[string]any{"enum": c.choices()}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return g.of(t.Elem())
	case reflect.Slice:
		return list(g.of(t.Elem()))
	case reflect.Map:
		return map[string]any{"type": "object", "minProperties": 1, "additionalProperties": g.of(t.Elem())}
	case reflect.Int:
		return map[string]any{"type": "integer", "minimum": 1}
	case reflect.String:
		return text
	case reflect.Struct:
		if _, ok := g.defs[t.Name()]; !ok {
			g.defs[t.Name()] = nil
			g.defs[t.Name()] = g.object(t)
		}
		return map[string]any{"$ref": "#/$defs/" + t.Name()}
	}
	g.t.Fatalf("no schema of %s", t)
	return nil
}

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asJSON is what an editor makes of a document: days are text, whatever YAML takes them for.
func asJSON(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			out[n.Content[i].Value] = asJSON(n.Content[i+1])
		}
		return out
	case yaml.SequenceNode:
		out := []any{}
		for _, c := range n.Content {
			out = append(out, asJSON(c))
		}
		return out
	}
	var v any
	if n.Tag == "!!timestamp" || n.Decode(&v) != nil {
		return n.Value
	}
	return v
}

// TestSchema: the schema accepts every example that Load accepts, and refuses what is misspelt, missing or empty.
func TestSchema(t *testing.T) {
	schema := compiledSchema(t)
	documents := 0
	examples := map[string]string{"everything": everything(), "waiver": waiverOf("w"), "namespace": namespacePolicy, "set": strings.Replace(waiverSet, "PEM", `"`+pem1+`"`, 1)}
	names, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		examples[name] = string(archive.Files[0].Data)
	}
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil || len(pages) < 5 {
		t.Fatal(pages, err)
	}
	for _, page := range append(pages, "../README.md") {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for i, block := range strings.Split(string(data), "```yaml")[1:] {
			_, block, _ = strings.Cut(block, "\n") // the name of the file, on pages that are run
			text, _, _ := strings.Cut(block, "```")
			examples[fmt.Sprint(page, " ", i)] = text
		}
	}
	for name, text := range examples {
		dec := yaml.NewDecoder(strings.NewReader(text))
		for {
			var n yaml.Node
			if dec.Decode(&n) != nil {
				break
			}
			if len(n.Content) == 0 || n.Content[0].Kind != yaml.MappingNode || !strings.Contains(text, APIVersion) {
				continue
			}
			documents++
			if err := schema.Validate(asJSON(n.Content[0])); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if documents < 100 {
		t.Errorf("only %d documents were tried", documents)
	}
	good := func() map[string]any {
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(f0Policy), &n); err != nil {
			t.Fatal(err)
		}
		return asJSON(n.Content[0]).(map[string]any)
	}
	for name, change := range map[string]func(doc, spec map[string]any){
		"unknown key":    func(_, spec map[string]any) { spec["provenence"] = spec["provenance"] },
		"missing match":  func(_, spec map[string]any) { delete(spec, "match") },
		"unknown kind":   func(doc, _ map[string]any) { doc["kind"] = "Policy" },
		"api version":    func(doc, _ map[string]any) { doc["apiVersion"] = "v1" },
		"no kind":        func(doc, _ map[string]any) { delete(doc, "kind") },
		"mode":           func(_, spec map[string]any) { spec["mode"] = "enforced" },
		"empty block":    func(_, spec map[string]any) { spec["source"] = map[string]any{} },
		"empty list":     func(_, spec map[string]any) { spec["provenance"].(map[string]any)["by"] = []any{} },
		"duration":       func(_, spec map[string]any) { spec["provenance"].(map[string]any)["maxAge"] = "90 days" },
		"level":          func(_, spec map[string]any) { spec["provenance"].(map[string]any)["level"] = 0 },
		"date":           func(_, spec map[string]any) { spec["enforceFrom"] = "tomorrow" },
		"rule":           func(_, spec map[string]any) { spec["rules"] = []any{map[string]any{"id": "a.b", "why": "x"}} },
		"another's spec": func(doc, _ map[string]any) { doc["kind"] = KindSet },
	} {
		doc := good()
		if err := schema.Validate(doc); err != nil {
			t.Fatal(err)
		}
		change(doc, doc["spec"].(map[string]any))
		if schema.Validate(doc) == nil {
			t.Errorf("%s: the schema accepts it", name)
		}
	}
}
