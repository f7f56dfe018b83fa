package predicate

import (
	"slices"
	"strings"
	"testing"

	"stemma"
)

// Predicate and certificate that disagree stay visible with both values. Source: slsa-verifier, provenance_forgeable.
func TestReg_D06_certificate_against_predicate(t *testing.T) {
	type edit = []string
	for _, c := range []struct {
		name, kind, predicate, san string
		edit                       edit
		field                      stemma.Field
		got, where                 string
	}{
		{"actions repository", "v1", actionsV1, farSAN, edit{`"repository": "https://github.com/acme/app"`, `"repository": "https://github.com/evil/app"`}, stemma.FieldRepository, "github.com/evil/app", "/buildDefinition/externalParameters/workflow/repository"},
		{"actions dependency", "v1", actionsV1, farSAN, edit{"git+https://github.com/acme/app@", "git+https://github.com/evil/app@"}, stemma.FieldRepository, "github.com/evil/app", "/buildDefinition/resolvedDependencies/0/uri"},
		{"actions commit", "v1", actionsV1, farSAN, edit{commitA, commitB}, stemma.FieldCommit, commitB, "/buildDefinition/resolvedDependencies/0/digest/gitCommit"},
		{"actions ref", "v1", actionsV1, farSAN, edit{`"ref": "refs/tags/v2.0.0"`, `"ref": "refs/heads/main"`}, stemma.FieldRef, "refs/heads/main", "/buildDefinition/externalParameters/workflow/ref"},
		{"actions short ref", "v1", actionsV1, farSAN, edit{`"ref": "refs/tags/v2.0.0"`, `"ref": "v2.0.1"`}, stemma.FieldRef, "v2.0.1", "/buildDefinition/externalParameters/workflow/ref"},
		{"actions path", "v1", actionsV1, farSAN, edit{`workflows/release.yml"}`, `workflows/debug.yml"}`}, stemma.FieldEntryPoint, ".github/workflows/debug.yml", "/buildDefinition/externalParameters/workflow/path"},
		{"actions trigger", "v1", actionsV1, farSAN, edit{`"event_name": "push"`, `"event_name": "pull_request_target"`}, stemma.FieldTrigger, "pull_request_target", "/buildDefinition/internalParameters/github/event_name"},
		{"actions runner", "v1", actionsV1, farSAN, edit{`"github-hosted"`, `"self-hosted"`}, stemma.FieldRunner, "self-hosted", "/buildDefinition/internalParameters/github/runner_environment"},
		{"actions run", "v1", actionsV1, farSAN, edit{"/actions/runs/42/", "/actions/runs/43/"}, stemma.FieldRun, "https://github.com/acme/app/actions/runs/43/attempts/1", "/runDetails/metadata/invocationId"},
		{"actions attempt", "v1", actionsV1, farSAN, edit{"/attempts/1", "/attempts/2"}, stemma.FieldRun, "https://github.com/acme/app/actions/runs/42/attempts/2", "/runDetails/metadata/invocationId"},
		{"actions builder", "v1", actionsV1, ownSAN, nil, stemma.FieldBuilder, farSAN, "/runDetails/builder/id"},
		{"actions machine of another name", "v1", actionsV1, farSAN, edit{farSAN, "https://github.com/actions/runner/vip"}, stemma.FieldBuilder, "https://github.com/actions/runner/vip", "/runDetails/builder/id"},
		{"generator source", "v0.2", generatorV02, generatorSAN, edit{"git+https://github.com/acme/app@", "git+https://github.com/evil/app@"}, stemma.FieldRepository, "github.com/evil/app", "/invocation/configSource/uri"},
		{"generator material", "v0.2", generatorV02, generatorSAN, edit{`"materials": [{"uri": "git+https://github.com/acme/app@`, `"materials": [{"uri": "git+https://github.com/evil/app@`}, stemma.FieldRepository, "github.com/evil/app", "/materials/0/uri"},
		{"generator commit", "v0.2", generatorV02, generatorSAN, edit{`"github_sha1": "` + commitA, `"github_sha1": "` + commitB}, stemma.FieldCommit, commitB, "/invocation/environment/github_sha1"},
		{"generator run", "v0.2", generatorV02, generatorSAN, edit{`"42-1"`, `"43-1"`}, stemma.FieldRun, "43-1", "/metadata/buildInvocationID"},
		{"generator builder", "v0.2", generatorV02, farSAN, nil, stemma.FieldBuilder, generatorSAN, "/builder/id"},
		{"container-based workflow", "v1", containerBasedV1, strings.Replace(generatorSAN, "generator_container", "builder_container-based", 1), edit{`"acme/app/.github/workflows/release.yml`, `"evil/app/.github/workflows/release.yml`}, stemma.FieldRepository, "github.com/evil/app", "/buildDefinition/internalParameters/GITHUB_WORKFLOW_REF"},
		{"delegated, but not by a delegator", "v1", delegatorV1, generatorSAN, nil, stemma.FieldBuilder, "https://github.com/trusted/trw/.github/workflows/builder.yml@refs/tags/v1", "/runDetails/builder/id"},
		{"BuildKit source", "v0.2", buildkitV02, farSAN, edit{`"configSource": {"uri": "https://github.com/acme/`, `"configSource": {"uri": "https://github.com/evil/`}, stemma.FieldRepository, "github.com/evil/app", "/invocation/configSource/uri"},
		{"BuildKit hint", "v1", buildkitLocalV1, farSAN, edit{"git@github.com:acme/", "git@github.com:evil/"}, stemma.FieldRepository, "github.com/evil/app", "/runDetails/metadata/buildkit_metadata/vcs/source"},
		{"unknown source", "v1", change(t, genericV1, "https://ci.acme.example/builder", farSAN, "https://ci.acme.example/run/7", runURL), farSAN, edit{"acme/app\",", "acme/app2\","}, stemma.FieldRepository, "git.acme.example/acme/app2", "/buildDefinition/externalParameters/source/repository"},
	} {
		t.Run(c.name, func(t *testing.T) {
			kind := map[string]string{"v1": stemma.PredicateSLSAv1, "v0.2": stemma.PredicateSLSAv02}[c.kind]
			p := mustRead(t, githubSigner(c.san), kind, change(t, c.predicate, c.edit...))
			if p.Claims[c.field].By != stemma.SaidByCertificate {
				t.Errorf("%s is said by %s", c.field, p.Claims[c.field].By)
			}
			other := p.Claims[c.field].Contradicted()
			if other == nil {
				t.Fatalf("%s: no contradiction; %q", c.field, lines(p))
			}
			if other.Value != c.got || other.Where != c.where {
				t.Errorf("%s: got %q at %s, want %q at %s", c.field, other.Value, other.Where, c.got, c.where)
			}
			if got := contradictions(p); c.name != "unknown source" && !slices.Equal(got, []string{string(c.field)}) {
				t.Errorf("contradictions: %q", got)
			}
		})
	}
}

// TestLegitimateDifferences: what builders are documented to write differently contradicts nothing.
func TestLegitimateDifferences(t *testing.T) {
	const oldType = `"buildType": "https://slsa-framework.github.io/github-actions-buildtypes/workflow/v1"`
	delegator := strings.Replace(generatorSAN, "generator_container_slsa3", "delegator_lowperms-generic_slsa3", 1)
	for _, c := range []struct {
		name, kind, predicate, san string
		builder, note              string
	}{
		{
			"the first build type's constant builder", stemma.PredicateSLSAv1,
			change(t, actionsV1, `"buildType": "https://actions.github.io/buildtypes/workflow/v1"`, oldType, farSAN, "https://github.com/actions/runner/github-hosted"), farSAN,
			farSAN, "builder.id https://github.com/actions/runner/github-hosted is the same for all jobs and names no workflow; the certificate does",
		},
		{"delegated", stemma.PredicateSLSAv1, delegatorV1, delegator, delegator, "delegated: builder.id https://github.com/trusted/trw/.github/workflows/builder.yml@refs/tags/v1"},
		{"short ref", stemma.PredicateSLSAv1, change(t, actionsV1, `"ref": "refs/tags/v2.0.0"`, `"ref": "v2.0.0"`), farSAN, farSAN, ""},
		{"other spelling of the repository", stemma.PredicateSLSAv1, change(t, actionsV1, `"https://github.com/acme/app"`, `"git@GitHub.com:ACME/app.git"`), farSAN, farSAN, ""},
		{"number of the run", stemma.PredicateSLSAv1, change(t, actionsV1, `"`+runURL+`"`, `42`), farSAN, farSAN, ""},
		{"run without attempt", stemma.PredicateSLSAv1, change(t, actionsV1, "/runs/42/attempts/1", "/runs/42"), farSAN, farSAN, ""},
		{"generator", stemma.PredicateSLSAv02, generatorV02, generatorSAN, generatorSAN, ""},
		{"generator with the name of the workflow", stemma.PredicateSLSAv02, change(t, generatorV02, `".github/workflows/release.yml"`, `"Release"`), generatorSAN, generatorSAN, ""},
		{"BuildKit with the run as builder", stemma.PredicateSLSAv1, buildkitLocalV1, farSAN, farSAN, "the vcs hint was sent by the client and checked by nobody"},
		{"BuildKit with Dockerfile", stemma.PredicateSLSAv02, buildkitV02, farSAN, farSAN, "mode=min"},
		{
			"no source but in the certificate", stemma.PredicateSLSAv1,
			`{"buildDefinition": {"buildType": "https://apko.dev/slsa-build-type@v1", "internalParameters": {"apk": "1"}}, "runDetails": {"builder": {"id": "https://github.com/chainguard-dev/terraform-provider-apko"}}}`, ownSAN,
			ownSAN, "builder.id https://github.com/chainguard-dev/terraform-provider-apko is the tool that wrote it; the certificate names the builder",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := mustRead(t, githubSigner(c.san), c.kind, c.predicate)
			if got := contradictions(p); len(got) > 0 {
				t.Errorf("contradictions: %q in %q", got, lines(p))
			}
			if got := p.Value(stemma.FieldBuilder); got != c.builder {
				t.Errorf("builder %q, want %q", got, c.builder)
			}
			if got := p.Value(stemma.FieldRun); got != runURL {
				t.Errorf("run %q, want %q", got, runURL)
			}
			if c.note != "" && !slices.Contains(p.Notes, c.note) {
				t.Errorf("notes %q, want %q", p.Notes, c.note)
			}
		})
	}
}

// TestShortRefOfCertificate: Codefresh's certificates say "main" of a branch and of a tag. What says more agrees, and
// lends nothing; what says something else contradicts.
func TestShortRefOfCertificate(t *testing.T) {
	signer := &stemma.Identity{Issuer: "https://oidc.codefresh.io", Subject: "https://g.codefresh.io/acme/app/build:1/2", Claims: map[string]string{stemma.ClaimSourceRepositoryRef: "main"}}
	const predicate = `{"buildDefinition": {"buildType": "https://ci.acme.example/v1",
		"externalParameters": {"source": {"repository": "https://github.com/acme/app", "ref": "REF"}},
		"resolvedDependencies": [{"uri": "git+https://github.com/acme/app@OTHER", "digest": {"gitCommit": "` + commitA + `"}}]
	}, "runDetails": {"builder": {"id": "https://ci.acme.example"}}}`
	for _, c := range []struct {
		ref, other string
		agrees     bool
	}{
		{"refs/heads/main", "refs/heads/main", true},
		{"refs/tags/main", "refs/tags/main", true},
		{"main", "refs/heads/main", true},
		{"refs/heads/main", "refs/tags/main", false},
		{"refs/heads/main2", "refs/heads/main2", false},
		{"refs/heads/x/main", "refs/heads/x/main", false},
		{"refs/heads/main", "refs/heads/dev", false},
		{"refs/pull/main", "refs/pull/main", false},
		{"refs/heads/Main", "refs/heads/Main", false},
	} {
		p := mustRead(t, signer, stemma.PredicateSLSAv1, strings.NewReplacer("REF", c.ref, "OTHER", c.other).Replace(predicate))
		claim := p.Claims[stemma.FieldRef]
		if claim.Value != "main" || claim.By != stemma.SaidByCertificate || len(claim.Others) == 0 || (claim.Contradicted() == nil) != c.agrees {
			t.Errorf("%s, %s: %+v", c.ref, c.other, claim)
		}
	}
}
