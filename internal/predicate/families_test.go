package predicate

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stemma"
)

// numbered is githubSigner with the numbers of repository 7 and owner 8.
func numbered(san string) *stemma.Identity {
	return changed(githubSigner(san), stemma.ClaimSourceRepositoryID, "7", stemma.ClaimSourceOwnerID, "8")
}

// Numbers in the predicate are held to those of the certificate. Source: slsa-verifier, provenance_forgeable.
func TestReg_D06_numbers(t *testing.T) {
	containerBased := strings.Replace(generatorSAN, "generator_container", "builder_container-based", 1)
	v02 := change(t, generatorV02, `"github_run_id"`, `"github_repository_id": "7", "github_repository_owner_id": "8", "github_run_id"`)
	v1 := change(t, containerBasedV1, `"GITHUB_RUN_ID"`, `"GITHUB_REPOSITORY_ID": "7", "GITHUB_REPOSITORY_OWNER_ID": 8, "GITHUB_RUN_ID"`)
	for _, c := range []struct {
		name, kind, predicate, san, from, to string
		field                                stemma.Field
		want                                 string
	}{
		{"actions", stemma.PredicateSLSAv1, actionsV1, farSAN, "", "", stemma.FieldRepositoryID, ""},
		{"actions repository", stemma.PredicateSLSAv1, actionsV1, farSAN, `"repository_id": "7"`, `"repository_id": "9"`, stemma.FieldRepositoryID, "9"},
		{"actions repository, a number", stemma.PredicateSLSAv1, actionsV1, farSAN, `"repository_id": "7"`, `"repository_id": 7`, stemma.FieldRepositoryID, ""},
		{"actions owner", stemma.PredicateSLSAv1, actionsV1, farSAN, `"repository_owner_id": "8"`, `"repository_owner_id": "7"`, stemma.FieldOwnerID, "7"},
		{"generator", stemma.PredicateSLSAv02, v02, generatorSAN, "", "", stemma.FieldOwnerID, ""},
		{"generator repository", stemma.PredicateSLSAv02, v02, generatorSAN, `"github_repository_id": "7"`, `"github_repository_id": "70"`, stemma.FieldRepositoryID, "70"},
		{"generator owner", stemma.PredicateSLSAv02, v02, generatorSAN, `"github_repository_owner_id": "8"`, `"github_repository_owner_id": "08"`, stemma.FieldOwnerID, "08"},
		{"container-based", stemma.PredicateSLSAv1, v1, containerBased, "", "", stemma.FieldOwnerID, ""},
		{"container-based repository", stemma.PredicateSLSAv1, v1, containerBased, `"GITHUB_REPOSITORY_ID": "7"`, `"GITHUB_REPOSITORY_ID": "8"`, stemma.FieldRepositoryID, "8"},
		{"container-based owner", stemma.PredicateSLSAv1, v1, containerBased, `"GITHUB_REPOSITORY_OWNER_ID": 8`, `"GITHUB_REPOSITORY_OWNER_ID": 80`, stemma.FieldOwnerID, "80"},
	} {
		p := mustRead(t, numbered(c.san), c.kind, change(t, c.predicate, c.from, c.to))
		got := ""
		if other := p.Claims[c.field].Contradicted(); other != nil {
			got = other.Value
		}
		if got != c.want || p.Claims[c.field].By != stemma.SaidByCertificate || len(p.Claims[c.field].Others) == 0 {
			t.Errorf("%s: %+v, contradicted by %q, want %q", c.name, p.Claims[c.field], got, c.want)
		}
		if all := contradictions(p); c.want != "" && !slices.Equal(all, []string{string(c.field)}) || c.want == "" && len(all) > 0 {
			t.Errorf("%s: contradictions %q", c.name, all)
		}
	}
	for _, bad := range []string{`{"id": 7}`, `[7]`, `true`, `7.5`, `-7`} {
		if p, err := readAs(numbered(farSAN), stemma.PredicateSLSAv1, change(t, actionsV1, `"repository_id": "7"`, `"repository_id": `+bad)); err == nil {
			t.Errorf("%s is read as %q", bad, lines(p))
		}
	}
}

// What a workflow was given stands among the parameters, one by one. What the build type does not define is unknown.
// Source: SLSA, verification step 2.
func TestReg_D07_parameters(t *testing.T) {
	const external = "/buildDefinition/externalParameters/"
	for _, c := range []struct {
		name, kind, predicate string
		edit                  []string
		want                  []string
	}{
		{"actions, none", stemma.PredicateSLSAv1, actionsV1, nil, nil},
		{
			"actions", stemma.PredicateSLSAv1, actionsV1,
			[]string{`"externalParameters": {`, `"externalParameters": {"inputs": {"tag": "v1", "debug": true, "n": {"a": 1}}, "vars": {"REGION": "eu"}, "Inputs": {"x": "y"}, "secrets": "z", `},
			[]string{
				"input tag v1 " + external + "inputs/tag", "input debug true " + external + "inputs/debug", `input n {"a": 1} ` + external + "inputs/n", "param REGION eu " + external + "vars/REGION",
				`unknown Inputs {"x": "y"} ` + external + "Inputs", "unknown secrets z " + external + "secrets",
			},
		},
		{"generator, none", stemma.PredicateSLSAv02, generatorV02, nil, nil},
		{
			"generator", stemma.PredicateSLSAv02, generatorV02,
			[]string{`"parameters": {}`, `"parameters": {"version": 1, "event_inputs": {"tag": "v1"}, "inputs": {"image": "x"}, "other": 1}`},
			[]string{"input tag v1 /invocation/parameters/event_inputs/tag", "input image x /invocation/parameters/inputs/image", "unknown other 1 /invocation/parameters/other"},
		},
		{"container-based", stemma.PredicateSLSAv1, containerBasedV1, nil, []string{"param configPath build.toml " + external + "configPath"}},
		{
			"container-based, more", stemma.PredicateSLSAv1, containerBasedV1,
			[]string{`"configPath": "build.toml"`, `"configPath": "build.toml", "buildConfig": {"Command": ["make"]}, "Source": {}`},
			[]string{"param configPath build.toml " + external + "configPath", `param buildConfig {"Command": ["make"]} ` + external + "buildConfig", "unknown Source {} " + external + "Source"},
		},
		{"delegated", stemma.PredicateSLSAv1, delegatorV1, nil, []string{"input artifact x " + external + "inputs/artifact"}},
		{
			"delegated, more", stemma.PredicateSLSAv1, delegatorV1,
			[]string{`"vars": {}`, `"vars": {"A": "1"}, "env": {"B": "2"}`},
			[]string{"input artifact x " + external + "inputs/artifact", "param A 1 " + external + "vars/A", `unknown env {"B": "2"} ` + external + "env"},
		},
	} {
		p := mustRead(t, nil, c.kind, change(t, c.predicate, c.edit...))
		if diff := cmp.Diff(c.want, parameterLines(p)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	// Of a build type that is not known nothing is left out, whatever it is called, and no payload of an event is shown.
	for _, c := range []struct {
		kind, predicate string
		want            []string
	}{
		{stemma.PredicateSLSAv1, change(t, genericV1, `"externalParameters": {`, `"externalParameters": {"debug": true, "env": [{"github_event_payload": {"email": "x@acme.example"}}], `), []string{
			"param debug true " + external + "debug", "param env " + external + "env", `param source {"repository": "https://git.acme.example/acme/app", "ref": "refs/tags/v2"} ` + external + "source",
		}},
		{stemma.PredicateSLSAv02, `{"builder":{"id":"b"},"buildType":"t","invocation":{"parameters":{"A":"1"}}}`, []string{"param A 1 /invocation/parameters/A"}},
		{stemma.PredicateSLSAv02, `{"builder":{"id":"b"},"buildType":"t","invocation":{"parameters":["--evil"]}}`, []string{`param parameters ["--evil"] /invocation/parameters`}},
		{stemma.PredicateSLSAv02, `{"builder":{"id":"b"},"buildType":"t","invocation":{"parameters":null}}`, nil},
	} {
		p := mustRead(t, nil, c.kind, c.predicate)
		if diff := cmp.Diff(c.want, parameterLines(p)); diff != "" {
			t.Errorf("unknown (-want +got):\n%s", diff)
		}
	}
	// Long values are cut, and what a terminal would obey is replaced.
	p := mustRead(t, nil, stemma.PredicateSLSAv1, change(t, delegatorV1, `"artifact": "x"`, `"artifact": "\u001b[1m`+strings.Repeat("z", 5000)+`"`))
	if v := p.Parameters[0].Value; len(v) > 1100 || strings.Contains(v, "\x1b") {
		t.Errorf("value %q", v)
	}
	for _, bad := range []string{`"inputs": []`, `"inputs": "x"`, `"vars": [1]`} {
		if p, err := readAs(nil, stemma.PredicateSLSAv1, change(t, actionsV1, `"externalParameters": {`, `"externalParameters": {`+bad+`, `)); err == nil {
			t.Errorf("%s is read as %q", bad, parameterLines(p))
		}
	}
}

// GitHub's builders name the source, and say nothing of what else went in.
func TestInputsOfGitHubBuilders(t *testing.T) {
	git := map[stemma.InputKind]stemma.Reported{stemma.InputGit: stemma.ReportedSome}
	both := map[stemma.InputKind]stemma.Reported{stemma.InputGit: stemma.ReportedSome, stemma.InputImage: stemma.ReportedSome}
	image := change(t, containerBasedV1, `"configPath"`, `"builderImage": {"uri": "bash@sha256:`+contentA+`", "digest": {"sha256": "`+contentA+`"}}, "configPath"`)
	runner := `"materials": [{"uri": "https://github.com/actions/virtual-environments/releases/tag/ubuntu22/20230821.1.0"}, `
	for _, c := range []struct {
		name, kind, predicate string
		want                  []string
		reported              map[stemma.InputKind]stemma.Reported
	}{
		{"actions", stemma.PredicateSLSAv1, actionsV1, []string{"git github.com/acme/app source"}, git},
		{"actions, no dependencies", stemma.PredicateSLSAv1, change(t, actionsV1, `"resolvedDependencies"`, `"ResolvedDependencies"`), nil, git},
		{"actions, a second dependency", stemma.PredicateSLSAv1, change(t, actionsV1, `"gitCommit": "`+commitA+`"}}]`, `"gitCommit": "`+commitA+`"}}, {"uri": "git+https://github.com/evil/lib"}]`), []string{"git github.com/acme/app source", "git github.com/evil/lib"}, git},
		{"generator", stemma.PredicateSLSAv02, generatorV02, []string{"git github.com/acme/app source"}, git},
		{"go", stemma.PredicateSLSAv02, change(t, generatorV02, "container@v1", "go@v1", `"materials": [`, runner), []string{"http github.com/actions/virtual-environments/releases/tag/ubuntu22/20230821.1.0", "git github.com/acme/app source"}, git},
		{"container-based", stemma.PredicateSLSAv1, containerBasedV1, []string{"git github.com/acme/app source", "git github.com/slsa-framework/slsa-github-generator builder"}, both},
		{
			"container-based, image", stemma.PredicateSLSAv1, image,
			[]string{"git github.com/acme/app source", "git github.com/slsa-framework/slsa-github-generator builder", "image docker.io/library/bash builder undeclared"},
			both,
		},
		{
			"container-based, two digests", stemma.PredicateSLSAv1, change(t, image, `"digest": {"sha256": "`+contentA, `"digest": {"sha256": "`+contentB),
			[]string{"git github.com/acme/app source", "git github.com/slsa-framework/slsa-github-generator builder", `image "bash@sha256:` + contentA + `" builder undeclared`},
			both,
		},
		{"delegated", stemma.PredicateSLSAv1, delegatorV1, []string{"git github.com/acme/app source"}, git},
	} {
		p := mustRead(t, nil, c.kind, c.predicate)
		if diff := cmp.Diff(c.want, inputLines(p)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if diff := cmp.Diff(c.reported, p.Reported); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// The first delegator, of Node.js packages, wrote v0.2 with the names of v1.
func TestDelegatorV02(t *testing.T) {
	predicate := change(t, generatorV02, "container@v1", "delegator-generic@v0", "github_sha1", "GITHUB_SHA", "github_ref", "GITHUB_REF", "github_run_id", "GITHUB_RUN_ID", "github_run_attempt", "GITHUB_RUN_ATTEMPT", "github_event_name", "GITHUB_EVENT_NAME",
		generatorSAN, "https://github.com/trusted/trw/.github/workflows/builder.yml@refs/tags/v1", `"parameters": {}`, `"parameters": {"inputs": {"node-version": "20"}}`)
	delegator := strings.Replace(generatorSAN, "generator_container_slsa3", "delegator_lowperms-generic_slsa3", 1)
	p := mustRead(t, githubSigner(delegator), stemma.PredicateSLSAv02, predicate)
	if p.Known != "slsa-github-generator" || p.Delegate != "https://github.com/trusted/trw/.github/workflows/builder.yml@refs/tags/v1" || len(contradictions(p)) > 0 || p.Value(stemma.FieldTrigger) != "push" || len(p.Parameters) != 1 {
		t.Errorf("%s for %q, contradictions %q, parameters %q; %q", p.Known, p.Delegate, contradictions(p), parameterLines(p), lines(p))
	}
	// Nobody else signs for others.
	for _, san := range []string{generatorSAN, farSAN, ownSAN, strings.Replace(delegator, "slsa-framework", "evil", 1)} {
		p := mustRead(t, githubSigner(san), stemma.PredicateSLSAv02, predicate)
		if p.Delegate != "" || !slices.Equal(contradictions(p), []string{"builder"}) {
			t.Errorf("%s signs for %q, contradictions %q", san, p.Delegate, contradictions(p))
		}
	}
}

// The names of an enterprise's repositories are those of its own host.
func TestEnterpriseHost(t *testing.T) {
	own := func(s string) string { return strings.ReplaceAll(s, "https://github.com/", "https://acme.ghe.com/") }
	signer := changed(githubSigner(own(farSAN)), "issuer", "https://token.actions.acme.ghe.com", stemma.ClaimSourceRepositoryURI, "https://acme.ghe.com/acme/app",
		stemma.ClaimBuildConfigURI, own(ownSAN), stemma.ClaimRunInvocationURI, own(runURL))
	p := mustRead(t, signer, stemma.PredicateSLSAv1, own(actionsV1))
	if got := contradictions(p); len(got) > 0 || p.Value(stemma.FieldRepository) != "acme.ghe.com/acme/app" || p.Claims[stemma.FieldRepository].Others[0].By != stemma.SaidByBuilder {
		t.Errorf("contradictions %q; %q", got, lines(p))
	}
	// The repository of that name on github.com is another one.
	p = mustRead(t, signer, stemma.PredicateSLSAv1, change(t, own(actionsV1), `"repository": "https://acme.ghe.com/`, `"repository": "https://github.com/`))
	if other := p.Claims[stemma.FieldRepository].Contradicted(); other == nil || other.Value != "github.com/acme/app" {
		t.Errorf("%q", lines(p))
	}
	// GITHUB_REPOSITORY has no host of its own.
	delegator := changed(signer, "subject", own(generatorSAN), stemma.ClaimBuildSignerURI, own(generatorSAN))
	p = mustRead(t, delegator, stemma.PredicateSLSAv1, change(t, own(containerBasedV1), "https://acme.ghe.com/slsa-framework/slsa-github-generator/.github/workflows/builder_container-based", "https://acme.ghe.com/slsa-framework/slsa-github-generator/.github/workflows/generator_container"))
	if got := contradictions(p); len(got) > 0 {
		t.Errorf("contradictions %q; %q", got, lines(p))
	}
	if p.Claims[stemma.FieldRepository].By != stemma.SaidByCertificate || grade(delegator) != stemma.SaidByBuilder {
		t.Errorf("%q, graded %s", lines(p), grade(delegator))
	}
}
