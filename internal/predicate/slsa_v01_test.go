package predicate

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stemma"
)

const makeV01 = `{
  "builder": {"id": "https://ci.acme.example/workers"},
  "recipe": {
    "type": "https://example.com/Makefile", "definedInMaterial": 1, "entryPoint": "src:foo",
    "arguments": {"CFLAGS": "-O3"}, "environment": {"arch": "amd64"}
  },
  "metadata": {"buildInvocationId": "42"},
  "materials": [
    {"uri": "https://dl.acme.example/toolchain.tgz", "digest": {"sha256": "` + sum + `"}},
    {"uri": "git+https://github.com/acme/app@refs/tags/v2.0.0", "digest": {"sha1": "` + commitA + `"}},
    {"uri": "git+https://github.com/acme/lib", "digest": {"sha1": "` + commitB + `"}}
  ]
}`

const sum = "2f9a00da367d58b021622b5510f8bfc8472f42f91c174d25ff001b84c4adcd32"

func TestV01(t *testing.T) {
	p := mustRead(t, keySigner(), stemma.PredicateSLSAv01, makeV01)
	want := []string{
		"builder https://ci.acme.example/workers builder /builder/id",
		"commit " + commitA + " builder /materials/1/digest/sha1",
		"entryPoint src:foo builder /recipe/entryPoint",
		"ref refs/tags/v2.0.0 builder /materials/1/uri",
		"repository github.com/acme/app builder /materials/1/uri",
		"run 42 builder /metadata/buildInvocationId",
	}
	got := lines(p)
	// The recipe's material is named twice, as such and as the only one of its repository.
	if got = slices.Compact(got); !slices.Equal(got, want) {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if p.Format != "slsa/v0.1" || p.BuildType != "https://example.com/Makefile" || p.Known != "" || len(p.Inputs) != 3 || string(p.External) != `{"CFLAGS": "-O3"}` {
		t.Errorf("%+v", p)
	}
}

// What the specification of v0.1 does not allow is not read.
func TestReg_J03_v01_types(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"no builder", `"builder": {"id": "https://ci.acme.example/workers"},`, ``, "want a member builder"},
		{"builder is text", `{"id": "https://ci.acme.example/workers"}`, `"x"`, "/builder: want an object"},
		{"builder without id", `{"id": "https://ci.acme.example/workers"}`, `{}`, "want a member id"},
		{"recipe is a list", `"recipe": {`, `"recipe": [], "rest": {`, "/recipe: want an object"},
		{"type is a number", `"https://example.com/Makefile"`, `7`, "/recipe/type: want a string"},
		{"no such material", `"definedInMaterial": 1`, `"definedInMaterial": 3`, "/recipe/definedInMaterial: want the number of a material"},
		{"negative", `"definedInMaterial": 1`, `"definedInMaterial": -1`, "want the number of a material"},
		{"by name", `"definedInMaterial": 1`, `"definedInMaterial": "1"`, "want the number of a material"},
		{"arguments are text", `{"CFLAGS": "-O3"}`, `"-O3"`, "/recipe/arguments: want an object"},
		{"materials are an object", `"materials": [`, `"materials": {}, "rest": [`, "want the number of a material"},
		{"run is a list", `"buildInvocationId": "42"`, `"buildInvocationId": [42]`, "want a string or a whole number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := readAs(keySigner(), stemma.PredicateSLSAv01, change(t, makeV01, c.old, c.new))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, %v; want %q", p, err, c.want)
			}
		})
	}
}

// statements finds the statements that a document of the corpus holds, in envelopes or bare. What it holds twice, as
// text for people beside the envelope, is left out.
func statements(t *testing.T, dir, path string) []stemma.Statement {
	t.Helper()
	path, _, _ = strings.Cut(path, "#")
	data, err := os.ReadFile(filepath.Join(dir, path))
	if err != nil {
		t.Fatal(err)
	}
	var out []stemma.Statement
	add := func(data []byte) bool {
		var s stemma.Statement
		if json.Unmarshal(data, &s) != nil || s.PredicateType == "" || len(s.Predicate) == 0 {
			return false
		}
		out = append(out, s)
		return true
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			if payload, ok := v["payload"].(string); ok {
				data, err := base64.StdEncoding.DecodeString(strings.NewReplacer("-", "+", "_", "/").Replace(payload))
				if err == nil && add(data) {
					return
				}
			}
			if _, ok := v["predicateType"]; ok {
				if data, err := json.Marshal(v); err == nil && add(data) {
					return
				}
			}
			for _, e := range v {
				walk(e)
			}
		}
	}
	var doc any
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&doc); err == nil {
		walk(doc)
	}
	return out
}

// corpusFacts are the facts of a record that names its materials.
type corpusFacts struct {
	BuildType string `json:"buildType"`
	Builder   string `json:"builder_id"`
	Subjects  []struct {
		Algorithm string `json:"alg"`
		Digest    string `json:"digest"`
	} `json:"subjects"`
	Materials []struct {
		URI    string            `json:"uri"`
		Digest map[string]string `json:"digest"`
	} `json:"materials"`
	Count      int           `json:"n_materials"`
	Statements []corpusFacts `json:"statements"`
}

// checkFacts compares what is read of a statement with what independent scripts found in it.
func checkFacts(t *testing.T, id string, s stemma.Statement, want corpusFacts) *stemma.Provenance {
	t.Helper()
	d, err := ReadUnsigned("sha256:00", s)
	if err != nil {
		t.Errorf("%s: %v", id, err)
		return nil
	}
	p := d.Provenance
	if p == nil || p.BuildType != want.BuildType || p.Value(stemma.FieldBuilder) != want.Builder {
		t.Errorf("%s: %+v, want build type %q and builder %q", id, p, want.BuildType, want.Builder)
		return p
	}
	var declared []stemma.Input
	for _, in := range p.Inputs {
		if !in.Undeclared {
			declared = append(declared, in)
		}
	}
	if len(declared) != want.Count {
		t.Errorf("%s: %d materials, want %d", id, len(declared), want.Count)
		return p
	}
	for i, m := range want.Materials {
		if declared[i].URI != m.URI || !equalDigests(declared[i].Digest, m.Digest) {
			t.Errorf("%s: material %d is %s %v, want %s %v", id, i, declared[i].URI, declared[i].Digest, m.URI, m.Digest)
		}
	}
	for i, want := range want.Subjects {
		if len(s.Subject) == len(want.Digest) && s.Subject[i].Digest[want.Algorithm] != want.Digest {
			t.Errorf("%s: subject %d is %v, want %s", id, i, s.Subject[i].Digest, want.Digest)
		}
	}
	return p
}

func equalDigests(a, b map[string]string) bool {
	for k, v := range b {
		if a[k] != v {
			return false
		}
	}
	return len(a) == len(b)
}

// factsOf lists the records of the corpus whose path or build type holds one of the words.
func factsOf(t *testing.T, dir string, words ...string) map[string]struct {
	record
	want corpusFacts
} {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "index.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]struct {
		record
		want corpusFacts
	}{}
	for line := range bytes.Lines(data) {
		var r record
		var f corpusFacts
		if json.Unmarshal(line, &r) != nil || json.Unmarshal(r.Facts, &f) != nil {
			continue
		}
		if len(f.Statements) == 1 {
			f = f.Statements[0]
		}
		for _, w := range words {
			if strings.Contains(f.BuildType, w) {
				out[r.ID] = struct {
					record
					want corpusFacts
				}{r, f}
			}
		}
	}
	return out
}
