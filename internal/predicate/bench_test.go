package predicate

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"stemma"
)

// largest finds the provenance of the corpus with the largest predicate, and the one with the most dependencies.
func largest(t testing.TB) map[string]stemma.Statement {
	dir := corpusDir(t)
	out := map[string]stemma.Statement{}
	bytes, materials := 0, 0
	all := provenanceRecords(t, dir)
	for _, id := range slices.Sorted(maps.Keys(all)) {
		s, _ := all[id].open(t, dir)
		if len(s.Predicate) > bytes {
			out["bytes"], bytes = s, len(s.Predicate)
		}
		if n := all[id].want.Materials; n > materials {
			out["materials"], materials = s, n
		}
	}
	return out
}

// BenchmarkLargestStatement reads and normalises the largest provenance of the corpus, and one of three hundred dependencies
// and steps, as none there has. The limits are 5 ms and 8 MiB.
func BenchmarkLargestStatement(b *testing.B) {
	all := largest(b)
	all["three hundred"] = manyDependencies(300)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s := all[name]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(s.Predicate)))
			for b.Loop() {
				if _, err := ReadUnsigned("sha256:00", s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The memory does not depend on what else the machine does, and is held to its limit in every run.
func TestLargestStatement(t *testing.T) {
	all := largest(t)
	all["three hundred"] = manyDependencies(300)
	for name, s := range all {
		r := testing.Benchmark(func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ReadUnsigned("sha256:00", s); err != nil {
					b.Fatal(err)
				}
			}
		})
		t.Logf("%s: %d bytes read in %d µs, %d KiB allocated", name, len(s.Predicate), r.NsPerOp()/1000, r.AllocedBytesPerOp()>>10)
		if r.N == 0 || r.AllocedBytesPerOp() > 8<<20 {
			t.Errorf("%s: %d bytes allocated in %d runs", name, r.AllocedBytesPerOp(), r.N)
		}
	}
}

// manyDependencies is BuildKit's provenance of a build with n dependencies of all kinds, each fetched by a step.
func manyDependencies(n int) stemma.Statement {
	kinds := []struct{ uri, digest, source string }{
		{"pkg:docker/golang@1.20?platform=linux%2Famd64", `"sha256": "` + contentA + `"`, "docker-image://docker.io/library/golang:1.20@sha256:" + contentA},
		{"https://github.com/acme/app.git#refs/tags/v2", `"sha1": "` + commitA + `"`, "https://github.com/acme/app.git#refs/tags/v2"},
		{"https://dl.acme.example/tool.tgz", `"sha256": "` + contentB + `"`, "https://dl.acme.example/tool.tgz"},
		{"pkg:npm/%40acme/lib@1.0.0", `"sha512": "` + contentA + contentA + `"`, "https://evil.example/x"},
	}
	var materials, steps strings.Builder
	for i := range n {
		k := kinds[i%len(kinds)]
		if i > 0 {
			materials.WriteString(",")
			steps.WriteString(",")
		}
		materials.WriteString(`{"uri": "` + k.uri + `", "digest": {` + k.digest + `}}`)
		steps.WriteString(`{"id": "s", "op": {"Op": {"source": {"identifier": "` + k.source + `"}}}}`)
	}
	return stemma.Statement{PredicateType: stemma.PredicateSLSAv02, Predicate: []byte(
		`{"builder": {"id": ""}, "buildType": "https://mobyproject.org/buildkit@v1", "materials": [` + materials.String() + `], "buildConfig": {"llbDefinition": [` + steps.String() + `]}}`)}
}

// What an attacker writes a hundred thousand times costs a hundred thousand times what it costs once, and no more.
func TestManyDependencies(t *testing.T) {
	read := func(n int) float64 {
		s := manyDependencies(n)
		return testing.AllocsPerRun(2, func() {
			d, err := ReadUnsigned("sha256:00", s)
			if err != nil || len(d.Provenance.Inputs) != n+1 || len(d.Provenance.Tasks) != n {
				t.Errorf("%v; %d inputs", err, len(d.Provenance.Inputs))
			}
		})
	}
	few, many := read(500), read(5000)
	if many > 12*few {
		t.Errorf("%.0f allocations for 500, %.0f for 5000", few, many)
	}
}
