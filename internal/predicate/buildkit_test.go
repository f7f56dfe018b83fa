package predicate

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stemma"
)

// buildkitMaxV1 is what mode=max tells of a build from a repository: a frontend of its own, a scanner, a stage, a base, a
// file, and steps with and without network.
const buildkitMaxV1 = `{
  "buildDefinition": {
    "buildType": "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md",
    "externalParameters": {
      "configSource": {"uri": "https://github.com/acme/app.git#refs/tags/v2", "digest": {"sha1": "` + commitA + `"}, "path": "Dockerfile"},
      "request": {
        "frontend": "gateway.v0",
        "args": {"build-arg:VERSION": "2", "label:org.opencontainers.image.title": "app", "source": "docker/dockerfile:1", "target": "release"},
        "secrets": [{"id": "NPM_TOKEN", "optional": true}], "ssh": [{"id": "default"}]
      }
    },
    "internalParameters": {"builderPlatform": "linux/amd64", "buildConfig": {"llbDefinition": [
      {"id": "step0", "op": {"Op": {"source": {"identifier": "docker-image://docker.io/library/golang:1.20@sha256:` + contentA + `"}}}},
      {"id": "step1", "op": {"Op": {"source": {"identifier": "git://github.com/acme/app.git#refs/tags/v2", "attrs": {"git.fullurl": "https://github.com/acme/app.git"}}}}},
      {"id": "step2", "op": {"Op": {"source": {"identifier": "https://dl.acme.example/tool.tgz?v=1"}}}},
      {"id": "step3", "op": {"Op": {"exec": {"meta": {"args": ["/bin/sh", "-c", "go build ./..."]}, "network": 2}}}},
      {"id": "step4", "op": {"Op": {"file": {"actions": []}}}},
      {"id": "step5", "op": {"Op": null}}
    ]}},
    "resolvedDependencies": [
      {"uri": "pkg:docker/docker/dockerfile@1", "digest": {"sha256": "` + contentB + `"}},
      {"uri": "pkg:docker/docker/buildkit-syft-scanner@stable-1", "digest": {"sha256": "` + contentB + `"}},
      {"uri": "pkg:docker/golang@1.20?platform=linux%2Famd64", "digest": {"sha256": "` + contentA + `"}},
      {"uri": "https://github.com/acme/app.git#refs/tags/v2", "digest": {"sha1": "` + commitA + `"}},
      {"uri": "https://dl.acme.example/tool.tgz?v=1", "digest": {"sha256": "` + contentB + `"}}
    ]
  },
  "runDetails": {
    "builder": {"id": ""},
    "metadata": {"invocationID": "i4l72", "buildkit_hermetic": true, "buildkit_completeness": {"request": true, "resolvedDependencies": true}}
  }
}`

// inputLines writes inputs as "kind name role", with what is undeclared marked.
func inputLines(p *stemma.Provenance) []string {
	var out []string
	for _, in := range p.Inputs {
		line := fmt.Sprintf("%s %s %s", in.Kind, in.Canonical, in.Role)
		if in.Canonical == "" {
			line = fmt.Sprintf("%s %q %s", in.Kind, in.URI, in.Role)
		}
		if in.Undeclared {
			line = strings.TrimSpace(line) + " undeclared"
		}
		out = append(out, strings.TrimSpace(line))
	}
	return out
}

func parameterLines(p *stemma.Provenance) []string {
	var out []string
	for _, x := range p.Parameters {
		out = append(out, strings.TrimSpace(x.Kind+" "+x.Name+" "+x.Value)+" "+x.Where)
	}
	return out
}

func taskLines(p *stemma.Provenance) []string {
	var out []string
	for _, x := range p.Tasks {
		out = append(out, strings.TrimSpace(x.Name+" "+x.Network))
	}
	return out
}

func TestBuildKitMax(t *testing.T) {
	p := mustRead(t, keySigner(), stemma.PredicateSLSAv1, buildkitMaxV1)
	eq := func(what string, want, got any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	const request = "/buildDefinition/externalParameters/request"
	eq("inputs", []string{
		"image docker.io/docker/dockerfile builder", "image docker.io/docker/buildkit-syft-scanner builder", "image docker.io/library/golang",
		"git github.com/acme/app source", "http dl.acme.example/tool.tgz",
	}, inputLines(p))
	eq("parameters", []string{
		"build-arg VERSION 2 " + request + "/args/build-arg:VERSION", "label org.opencontainers.image.title app " + request + "/args/label:org.opencontainers.image.title",
		"param source docker/dockerfile:1 " + request + "/args/source", "param target release " + request + "/args/target",
		"secret NPM_TOKEN " + request + "/secrets/0/id", "secret default " + request + "/ssh/0/id",
	}, parameterLines(p))
	eq("tasks", []string{
		"step0 (docker-image://docker.io/library/golang:1.20@sha256:" + contentA + ")", "step1 (git://github.com/acme/app.git#refs/tags/v2)",
		"step2 (https://dl.acme.example/tool.tgz?v=1)", "step3 (go build ./...) none", "step4 none",
	}, taskLines(p))
	eq("reported", map[stemma.InputKind]stemma.Reported{stemma.InputImage: stemma.ReportedAll, stemma.InputGit: stemma.ReportedAll, stemma.InputHTTP: stemma.ReportedAll}, p.Reported)
	eq("notes", []string{"mode=max"}, p.Notes)
	eq("claims", []string{
		"commit " + commitA + " builder /buildDefinition/externalParameters/configSource/digest/sha1",
		"entryPoint Dockerfile tenant /buildDefinition/externalParameters/configSource/path",
		"hermetic true builder /runDetails/metadata/buildkit_hermetic",
		"ref refs/tags/v2 builder /buildDefinition/externalParameters/configSource/uri",
		"repository github.com/acme/app builder /buildDefinition/externalParameters/configSource/uri",
		"run i4l72 builder /runDetails/metadata/invocationID",
	}, lines(p))
}

// What a step fetches is an input, declared or not: by name, and where it is pinned by digest. Source: SLSA, dependency
// threats.
func TestReg_D08_undeclared_sources(t *testing.T) {
	const golang = "docker-image://docker.io/library/golang:1.20@sha256:" + contentA
	for _, c := range []struct {
		name, from, to string
		want           []string
	}{
		{"as it was", "", "", nil},
		{"without digest", golang, "docker-image://docker.io/library/golang:1.20", nil},
		{"short name", golang, "docker-image://golang@sha256:" + contentA, nil},
		{"another digest", golang, "docker-image://docker.io/library/golang:1.20@sha256:" + contentB, []string{"image docker.io/library/golang undeclared"}},
		{"another registry", golang, "docker-image://evil.example/library/golang:1.20@sha256:" + contentA, []string{"image evil.example/library/golang undeclared"}},
		{"another image", golang, "docker-image://evil/golang", []string{"image docker.io/evil/golang undeclared"}},
		{"blob of an image", golang, "docker-image+blob://evil.example/x@sha256:" + contentA, []string{"image evil.example/x undeclared"}},
		{"another repository", `"https://github.com/acme/app.git"}`, `"https://github.com/evil/app.git"}`, []string{"git github.com/evil/app undeclared"}},
		{"another repository, short", `#refs/tags/v2", "attrs": {"git.fullurl": "https://github.com/acme/app.git"}`, `#` + commitB + `"`, []string{"git github.com/acme/app undeclared"}},
		{"another file", `{"identifier": "https://dl.acme.example/tool.tgz?v=1"`, `{"identifier": "https://dl.acme.example/evil.tgz"`, []string{"http dl.acme.example/evil.tgz undeclared"}},
		{"another query", `{"identifier": "https://dl.acme.example/tool.tgz?v=1"`, `{"identifier": "https://dl.acme.example/tool.tgz?v=2"`, []string{"http dl.acme.example/tool.tgz undeclared"}},
		{"directory of the client", `{"identifier": "https://dl.acme.example/tool.tgz?v=1"`, `{"identifier": "local://context"`, []string{`other "local://context" undeclared`}},
		{"layout", golang, "oci-layout://x@sha256:" + contentA, []string{`other "oci-layout://x@sha256:` + contentA + `" undeclared`}},
		{"name without a meaning", golang, "docker-image://docker.io/library/../golang", []string{`image "docker-image://docker.io/library/../golang" undeclared`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := mustRead(t, keySigner(), stemma.PredicateSLSAv1, change(t, buildkitMaxV1, c.from, c.to))
			if got := inputLines(p)[5:]; !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	// The same source in a thousand steps is one input.
	step := `{"id": "s", "op": {"Op": {"source": {"identifier": "docker-image://evil/golang"}}}},`
	p := mustRead(t, nil, stemma.PredicateSLSAv1, change(t, buildkitMaxV1, `"llbDefinition": [`, `"llbDefinition": [`+strings.Repeat(step, 1000)))
	if len(p.Inputs) != 6 || len(p.Tasks) != 1005 {
		t.Errorf("%d inputs, %d tasks", len(p.Inputs), len(p.Tasks))
	}
}

// A part of the builder is what no step has as a source: what a step uses may be in the image.
func TestBuildKitTools(t *testing.T) {
	role := func(p *stemma.Provenance, name string) stemma.InputRole {
		i := slices.IndexFunc(p.Inputs, func(in stemma.Input) bool { return in.Canonical == name })
		return p.Inputs[i].Role
	}
	const golang = "docker-image://docker.io/library/golang:1.20@sha256:" + contentA
	for _, c := range []struct {
		name  string
		edit  []string
		image string
		want  stemma.InputRole
	}{
		{"frontend", nil, "docker.io/docker/dockerfile", stemma.RoleBuilder},
		{"frontend that is a base, too", []string{golang, "docker-image://docker/dockerfile@sha256:" + contentB}, "docker.io/docker/dockerfile", ""},
		{"another frontend than is asked for", []string{`"source": "docker/dockerfile:1"`, `"source": "docker/dockerfile-upstream"`}, "docker.io/docker/dockerfile", ""},
		{"a base that is asked for as frontend", []string{`"source": "docker/dockerfile:1"`, `"source": "golang:1.20"`}, "docker.io/library/golang", ""},
		{"scanner", nil, "docker.io/docker/buildkit-syft-scanner", stemma.RoleBuilder},
		{"scanner that is a base, too", []string{golang, "docker-image://docker/buildkit-syft-scanner"}, "docker.io/docker/buildkit-syft-scanner", ""},
		{"image that is called like the scanner", []string{"pkg:docker/docker/buildkit-syft-scanner", "pkg:docker/evil.example/docker/buildkit-syft-scanner"}, "evil.example/docker/buildkit-syft-scanner", ""},
	} {
		if got := role(mustRead(t, nil, stemma.PredicateSLSAv1, change(t, buildkitMaxV1, c.edit...)), c.image); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// Only a step that says so is without network, and only the builder's word makes a build hermetic.
func TestBuildKitNetwork(t *testing.T) {
	const none = `"network": 2`
	for to, want := range map[string]string{
		none: "none", `"network": 0`: "used", `"network": 1`: "used", `"network": 3`: "used", `"network": "NONE"`: "used", `"network": null`: "used",
		`"network": [2]`: "used", `"network": 2.0`: "used", `"Network": 2`: "used",
	} {
		p := mustRead(t, keySigner(), stemma.PredicateSLSAv1, change(t, buildkitMaxV1, none, to))
		if got := p.Tasks[3].Network; got != want {
			t.Errorf("%s: %q, want %q", to, got, want)
		}
	}
	const hermetic = `"buildkit_hermetic": true, `
	for _, c := range []struct {
		signer *stemma.Identity
		to     string
		want   stemma.Said
		git    stemma.Reported
	}{
		{keySigner(), hermetic, stemma.Said{Value: "true", By: stemma.SaidByBuilder, Where: "/runDetails/metadata/buildkit_hermetic"}, stemma.ReportedAll},
		{keySigner(), `"buildkit_hermetic": false, `, stemma.Said{Value: "false", By: stemma.SaidByBuilder, Where: "/runDetails/metadata/buildkit_hermetic"}, stemma.ReportedSome},
		{keySigner(), "", stemma.Said{}, stemma.ReportedSome},
		{githubSigner(ownSAN), hermetic, stemma.Said{Value: "true", By: stemma.SaidByTenant, Where: "/runDetails/metadata/buildkit_hermetic"}, stemma.ReportedAll},
		{nil, hermetic, stemma.Said{Value: "true", By: stemma.SaidByNobody, Where: "/runDetails/metadata/buildkit_hermetic"}, stemma.ReportedAll},
	} {
		p := mustRead(t, c.signer, stemma.PredicateSLSAv1, change(t, buildkitMaxV1, hermetic, c.to))
		if got := p.Claims[stemma.FieldHermetic].Said; got != c.want || p.Reported[stemma.InputGit] != c.git {
			t.Errorf("%q by %v: %v, git %q; want %v, %q", c.to, c.signer, got, p.Reported[stemma.InputGit], c.want, c.git)
		}
	}
	for _, where := range []string{`"https://mobyproject.org/buildkit@v1#hermetic": true, "completeness": {`, `"completeness": {"https://mobyproject.org/buildkit@v1#hermetic": true, `} {
		if got := mustRead(t, nil, stemma.PredicateSLSAv02, change(t, buildkitV02, `"completeness": {`, where)).Value(stemma.FieldHermetic); got != "true" {
			t.Errorf("v0.2, %s: %q", where, got)
		}
	}
	for _, bad := range []string{`"buildkit_hermetic": "true", `, `"buildkit_hermetic": 1, `, `"buildkit_hermetic": {}, `} {
		if p, err := readAs(nil, stemma.PredicateSLSAv1, change(t, buildkitMaxV1, hermetic, bad)); err == nil {
			t.Errorf("%s is read as %q", bad, p.Value(stemma.FieldHermetic))
		}
	}
}

// What BuildKit does not name it says, and nobody else may say it for it.
func TestBuildKitReported(t *testing.T) {
	some := map[stemma.InputKind]stemma.Reported{stemma.InputImage: stemma.ReportedSome, stemma.InputGit: stemma.ReportedSome, stemma.InputHTTP: stemma.ReportedSome}
	for _, c := range []struct {
		name, kind, predicate string
		want                  map[stemma.InputKind]stemma.Reported
		note                  string
	}{
		{"min, incomplete", stemma.PredicateSLSAv02, buildkitV02, some, "by its own word the dependencies are not complete"},
		{
			"min, complete", stemma.PredicateSLSAv02, change(t, buildkitV02, `"materials": false}`, `"materials": true}`),
			map[stemma.InputKind]stemma.Reported{stemma.InputImage: stemma.ReportedAll, stemma.InputGit: stemma.ReportedSome, stemma.InputHTTP: stemma.ReportedSome},
			"mode=min",
		},
		{"not said", stemma.PredicateSLSAv1, change(t, buildkitMaxV1, `"resolvedDependencies": true`, `"ResolvedDependencies": true`), some, "by its own word the dependencies are not complete"},
		{"local", stemma.PredicateSLSAv1, buildkitLocalV1, some, "read from directories of the client: context"},
		{
			"local and complete", stemma.PredicateSLSAv1, change(t, buildkitLocalV1, `"request": true}`, `"request": true, "resolvedDependencies": true}`), some,
			"the dependencies are said to be complete, and directories of the client are not among them",
		},
	} {
		p := mustRead(t, nil, c.kind, c.predicate)
		if diff := cmp.Diff(c.want, p.Reported); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if !slices.Contains(p.Notes, c.note) {
			t.Errorf("%s: notes %q, want %q", c.name, p.Notes, c.note)
		}
	}
}

// Keys that the build type does not define are told from those that it does. Source: SLSA, verification step 2.
func TestReg_D07_buildkit_parameters(t *testing.T) {
	for _, c := range []struct{ name, from, to, want string }{
		{"beside the request", `"configSource": {`, `"entitlements": ["security.insecure"], "configSource": {`, `unknown entitlements ["security.insecure"] /buildDefinition/externalParameters/entitlements`},
		{"in the request", `"frontend": "gateway.v0"`, `"Frontend": "x", "frontend": "gateway.v0"`, "unknown Frontend x /buildDefinition/externalParameters/request/Frontend"},
		{"another frontend", `"frontend": "gateway.v0"`, `"frontend": "evil.v0"`, "param frontend evil.v0 /buildDefinition/externalParameters/request/frontend"},
		{"another context", `"target": "release"`, `"context:base": "docker-image://evil/base"`, "param context:base docker-image://evil/base /buildDefinition/externalParameters/request/args/context:base"},
		{"label as build argument", `"label:org`, `"build-arg:label:org`, "build-arg label:org.opencontainers.image.title app /buildDefinition/externalParameters/request/args/build-arg:label:org.opencontainers.image.title"},
	} {
		p := mustRead(t, nil, stemma.PredicateSLSAv1, change(t, buildkitMaxV1, c.from, c.to))
		before := parameterLines(mustRead(t, nil, stemma.PredicateSLSAv1, buildkitMaxV1))
		if got := parameterLines(p); !slices.Contains(got, c.want) || slices.Contains(before, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	for _, bad := range []string{`"args": []`, `"args": {"a": 1}`, `"secrets": {}`, `"secrets": ["x"]`, `"secrets": [{"id": 1}]`, `"locals": "x"`, `"frontend": 1`} {
		predicate := change(t, buildkitMaxV1, `"request": {`, `"request": {`+bad+`}, "old": {`)
		if p, err := readAs(nil, stemma.PredicateSLSAv1, predicate); err == nil {
			t.Errorf("%s is read as %q", bad, parameterLines(p))
		}
	}
	for _, bad := range []string{`"llbDefinition": {}, "x": [`, `"llbDefinition": ["x"], "x": [`, `"llbDefinition": [{"op": []}], "x": [`, `"llbDefinition": [{"op": {"Op": {"source": {}}}}], "x": [`, `"llbDefinition": [{"id": 1}], "x": [`} {
		if _, err := readAs(nil, stemma.PredicateSLSAv1, change(t, buildkitMaxV1, `"llbDefinition": [`, bad)); err == nil {
			t.Errorf("%s is read", bad)
		}
	}
}

// docker/github-builder signs BuildKit's provenance by way of its attestation manifest: its certificate names the workflow,
// the provenance the run and, if at all, what the client called the builder.
func TestBuildKitUnderACertificate(t *testing.T) {
	const san = "https://github.com/docker/github-builder/.github/workflows/build.yml@refs/tags/v1"
	for _, c := range []struct {
		name, builder string
		want          []string
	}{
		{"the run", runURL, []string{}},
		{"the run without attempt", "https://github.com/acme/app/actions/runs/42", []string{}},
		{"nothing", "", []string{}},
		{"the workflow", san, []string{}},
		{"another run", "https://github.com/acme/app/actions/runs/43/attempts/1", []string{"run"}},
		{"a run of another repository", "https://github.com/evil/app/actions/runs/42/attempts/1", []string{"run"}},
		{"a builder", "https://ci.acme.example/builder", []string{"builder"}},
		{"another workflow", farSAN, []string{"builder"}},
	} {
		p := mustRead(t, githubSigner(san), stemma.PredicateSLSAv1, change(t, buildkitMaxV1, `"builder": {"id": ""}`, `"builder": {"id": "`+c.builder+`"}`, "#refs/tags/v2\", \"digest", "#refs/tags/v2.0.0\", \"digest"))
		if got := contradictions(p); !slices.Equal(got, c.want) {
			t.Errorf("%s: contradictions %q, want %q; %q", c.name, got, c.want, lines(p))
		}
		if got := p.Claims[stemma.FieldBuilder]; got.Value != san || got.By != stemma.SaidByCertificate {
			t.Errorf("%s: builder %v", c.name, got)
		}
		for _, s := range p.Claims[stemma.FieldBuilder].Others {
			if s.By == stemma.SaidByBuilder {
				t.Errorf("%s: what the client chose is said by the builder: %v", c.name, s)
			}
		}
	}
}

// Before 0.22, v1 of BuildKit had the names of v0.2 in it.
func TestBuildKitFirstV1(t *testing.T) {
	p := mustRead(t, keySigner(), stemma.PredicateSLSAv1, change(t, buildkitMaxV1,
		"https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md", "https://mobyproject.org/buildkit@v1",
		`"request": {`, `"parameters": {`, `"internalParameters": {"builderPlatform": "linux/amd64", "buildConfig": {`, `"internalParameters": {"x": {`,
		`"buildkit_hermetic"`, `"https://mobyproject.org/buildkit@v1#hermetic"`, `"buildkit_completeness": {"request": true, "resolvedDependencies": true}`, `"https://mobyproject.org/buildkit@v1#completeness": {"parameters": true, "materials": true}`))
	if p.Known != "BuildKit" || len(p.Parameters) != 6 || p.Value(stemma.FieldHermetic) != "true" || p.Reported[stemma.InputGit] != stemma.ReportedAll || p.Value(stemma.FieldCommit) != commitA {
		t.Errorf("%s, %d parameters, hermetic %q, reported %v", p.Known, len(p.Parameters), p.Value(stemma.FieldHermetic), p.Reported)
	}
}
