package predicate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"stemma"
)

// grounds is provenance of BuildKit with the steps, whose dependencies are a base and an image of a stage.
func grounds(t *testing.T, steps ...string) *stemma.Provenance {
	t.Helper()
	return mustRead(t, nil, stemma.PredicateSLSAv02, `{
  "builder": {"id": ""}, "buildType": "https://mobyproject.org/buildkit@v1",
  "materials": [
    {"uri": "pkg:docker/alpine@3?platform=linux%2Famd64", "digest": {"sha256": "`+contentA+`"}},
    {"uri": "pkg:docker/golang@1.20?platform=linux%2Famd64", "digest": {"sha256": "`+contentB+`"}}
  ],
  "invocation": {"parameters": {"frontend": "dockerfile.v0"}},
  "buildConfig": {"llbDefinition": [`+strings.Join(steps, ",")+`]},
  "metadata": {"completeness": {"parameters": true, "materials": true}, "https://mobyproject.org/buildkit@v1#metadata": {"layers": {
    "base:0": [[{"digest": "sha256:`+contentA+`"}], [{"digest": "sha256:`+contentB+`"}], [{"digest": "x"}], []],
    "copy:0": [[{"digest": "sha256:`+contentA+`"}, {"digest": "sha256:`+contentB+`"}]]
  }}}
}`)
}

func describeGround(p *stemma.Provenance) string {
	base := ""
	for _, in := range p.Inputs {
		if in.Role == stemma.RoleBase {
			base = " " + in.Canonical
		}
	}
	return strings.TrimSpace(string(p.Ground.Kind) + base + " " + p.Ground.Why)
}

// What an image stands on follows from the steps, never from the order of the dependencies; what the steps do not tell is
// unknown.
func TestGround(t *testing.T) {
	const (
		base  = `{"id": "base", "op": {"Op": {"source": {"identifier": "docker-image://docker.io/library/alpine:3@sha256:` + contentA + `"}}}}`
		stage = `{"id": "stage", "op": {"Op": {"source": {"identifier": "docker-image://docker.io/library/golang:1.20@sha256:` + contentB + `"}}}}`
		build = `{"id": "build", "op": {"Op": {"exec": {"mounts": [{"dest": "/src", "input": 0, "output": -1}, {"input": 0, "dest": "/", "output": 0}]}}}, "inputs": ["stage:0"]}`
	)
	copied := func(input string) string {
		return `{"id": "copy", "op": {"Op": {"file": {"actions": [{"input": ` + input + `, "secondaryInput": 1, "output": 0}]}}}, "inputs": ["base:0", "build:0"]}`
	}
	end := func(edge string) string { return `{"id": "end", "op": {"Op": null}, "inputs": ["` + edge + `"]}` }
	step := func(id, op string, inputs ...string) string {
		return fmt.Sprintf(`{"id": %q, "op": {"Op": {%s}}, "inputs": ["%s"]}`, id, op, strings.Join(inputs, `","`))
	}
	for _, c := range []struct {
		name  string
		steps []string
		want  string
	}{
		{"a copy onto a base", []string{base, stage, build, copied("0"), end("copy:0")}, "image docker.io/library/alpine"},
		{"in another order", []string{end("copy:0"), copied("0"), build, stage, base}, "image docker.io/library/alpine"},
		{"a copy from scratch", []string{base, stage, build, copied("-1"), end("copy:0")}, "scratch"},
		{"the stage itself", []string{base, stage, build, end("build:0")}, "image docker.io/library/golang"},
		{"a command without a root that it writes", []string{base, step("run", `"exec": {"mounts": [{"input": 0, "dest": "/", "output": -1}]}`, "base:0"), end("run:0")}, "image docker.io/library/alpine"},
		{"a second output of a command", []string{base, stage, step("run", `"exec": {"mounts": [{"input": 0, "dest": "/"}, {"input": 1, "dest": "/out", "output": 1}]}`, "base:0", "stage:0"), end("run:1")}, "image docker.io/library/golang"},
		{"a command on nothing", []string{step("run", `"exec": {"mounts": [{"input": -1, "dest": "/", "output": 0}]}`), end("run:0")}, "scratch"},
		{"actions one after another", []string{base, step("copy", `"file": {"actions": [{"input": 0, "output": -1}, {"input": 1, "output": 0}]}`, "base:0"), end("copy:0")}, "image docker.io/library/alpine"},
		{"actions on scratch", []string{base, step("copy", `"file": {"actions": [{"input": -1, "output": -1}, {"input": 1, "output": 0}]}`, "base:0"), end("copy:0")}, "scratch"},
		{"actions in a circle", []string{base, step("copy", `"file": {"actions": [{"input": 1, "output": 0}]}`, "base:0"), end("copy:0")}, "unknown step copy does not say what it works on"},
		{"a merge", []string{base, stage, step("all", `"merge": {"inputs": [{}, {"input": 1}]}`, "base:0", "stage:0"), end("all:0")}, "image docker.io/library/alpine"},
		{"a merge the other way round", []string{base, stage, step("all", `"merge": {"inputs": [{"input": 1}, {"input": 0}]}`, "base:0", "stage:0"), end("all:0")}, "image docker.io/library/golang"},
		{"a difference", []string{base, stage, step("all", `"diff": {"lower": {}, "upper": {"input": 1}}`, "base:0", "stage:0"), end("all:0")}, "unknown step all is of kind diff, from which no base follows"},
		{"a build in the build", []string{base, step("all", `"build": {}`, "base:0"), end("all:0")}, "unknown step all is of kind build, from which no base follows"},
		{"two kinds at once", []string{base, stage, step("all", `"merge": {"inputs": [{}]}, "exec": {}`, "base:0"), end("all:0")}, "unknown step all is not among the steps"},
		{"steps in a circle", []string{base, step("a", `"merge": {"inputs": [{}]}`, "b:0"), step("b", `"merge": {"inputs": [{}]}`, "a:0"), end("a:0")}, "unknown the steps go round in a circle"},
		{"a step twice", []string{base, stage, strings.Replace(stage, "stage", "base", 1), end("base:0")}, "unknown the steps name no single result"},
		{"no result", []string{base, stage}, "unknown the steps name no single result"},
		{"two results", []string{base, stage, end("base:0"), strings.Replace(end("stage:0"), "end", "end2", 1)}, "unknown the steps name no single result"},
		{"a result of two", []string{base, stage, strings.Replace(end("base:0"), `"base:0"`, `"base:0", "stage:0"`, 1)}, "unknown the steps name no single result"},
		{"a result that is no edge", []string{base, end("base")}, "unknown the steps name no single result"},
		{"a step that there is not", []string{base, end("other:0")}, "unknown step other is not among the steps"},
		{"an input that there is not", []string{base, step("all", `"merge": {"inputs": [{"input": 7}]}`, "base:0"), end("all:0")}, "unknown step all does not say what it works on"},
		{"an input that is no number", []string{base, step("all", `"merge": {"inputs": [{"input": "0x"}]}`, "base:0"), end("all:0")}, "unknown step all does not say what it works on"},
		{"an edge that is none", []string{base, step("all", `"merge": {"inputs": [{}]}`, "base:00"), end("all:0")}, `unknown step all takes "base:00"`},
		{"a base that is no dependency", []string{strings.Replace(base, contentA, contentB, 1), end("base:0")}, "image docker.io/library/alpine"}, // it is added to the inputs, as undeclared
		{"a repository", []string{step("src", `"source": {"identifier": "git://github.com/acme/app.git#main"}`), end("src:0")}, "unknown it begins with git://github.com/acme/app.git#main, which is no image that the dependencies name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := describeGround(grounds(t, c.steps...)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
	p := grounds(t, base, stage, build, copied("0"), end("copy:0"))
	want := `{image [[sha256:` + contentA + `] [sha256:` + contentB + `]] [[sha256:` + contentA + ` sha256:` + contentB + `]]  /buildConfig/llbDefinition/0/op/Op/source/identifier}`
	if got := fmt.Sprint(*p.Ground); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := inputLines(p); !slices.Contains(got, "image docker.io/library/golang stage") {
		t.Errorf("inputs %q: the image of the stage is not told from the base", got)
	}
	if min := mustRead(t, nil, stemma.PredicateSLSAv02, `{"builder": {"id": ""}, "buildType": "https://mobyproject.org/buildkit@v1", "materials": [{"uri": "pkg:docker/alpine@3", "digest": {"sha256": "`+contentA+`"}}]}`); min.Ground != nil || min.Inputs[0].Role != "" {
		t.Errorf("mode=min tells %+v, %+v", min.Ground, min.Inputs)
	}
}

// Real builds: three images on one base of nine layers, and nine of Docker's whose result begins with nothing although an
// image is among the materials.
func TestCorpusGround(t *testing.T) {
	dir := corpusDir(t)
	count := map[string]int{}
	for id, r := range provenanceRecords(t, dir) {
		s, _ := r.open(t, dir)
		d, err := ReadUnsigned("", s)
		if err != nil || d.Provenance == nil || d.Provenance.Ground == nil {
			if err == nil && d.Provenance != nil && d.Provenance.Mode == "max" {
				t.Errorf("%s: mode=max without a ground", id)
			}
			continue
		}
		p := d.Provenance
		if p.Ground.Kind == stemma.GroundImage && (len(p.Ground.Layers) == 0 || len(p.Ground.Result) == 0 || !slices.Equal(p.Ground.Layers[0], p.Ground.Result[0][:len(p.Ground.Layers[0])])) {
			t.Errorf("%s: the layers of the base, %v, do not begin those of the result, %v", id, p.Ground.Layers, p.Ground.Result)
		}
		layers := 0
		if len(p.Ground.Layers) > 0 {
			layers = len(p.Ground.Layers[0])
		}
		count[fmt.Sprintf("%s: %s, %d layers", cmp.Or(r.Family, "?"), describeGround(p), layers)]++
	}
	want := map[string]int{"docker: scratch, 0 layers": 9, "gha-slsa-generator-container: image gcr.io/distroless/static, 9 layers": 3}
	if !maps.Equal(count, want) {
		t.Errorf("got %v, want %v", count, want)
	}
}
