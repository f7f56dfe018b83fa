package predicate

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stemma"
)

const (
	commitA = "3f1c2b3a4d5e6f708192a3b4c5d6e7f801234567"
	commitB = "9f6d9dc1f6d9dc1f6d9dc1f6d9dc1f6d9dc1f6d9"
	ownSAN  = "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v2.0.0"
	farSAN  = "https://github.com/trusted/builders/.github/workflows/build.yml@refs/tags/v1.2.3"
	runURL  = "https://github.com/acme/app/actions/runs/42/attempts/1"
)

// githubSigner is the identity of a job of acme/app that signs with the workflow san.
func githubSigner(san string) *stemma.Identity {
	return &stemma.Identity{
		Trust: "public-good", Issuer: "https://token.actions.githubusercontent.com", Subject: san,
		Claims: map[string]string{
			stemma.ClaimBuildSignerURI: san, stemma.ClaimRunnerEnvironment: "github-hosted",
			stemma.ClaimSourceRepositoryURI: "https://github.com/acme/app", stemma.ClaimSourceRepositoryHash: commitA,
			stemma.ClaimSourceRepositoryRef: "refs/tags/v2.0.0", stemma.ClaimBuildConfigURI: ownSAN,
			stemma.ClaimBuildTrigger: "push", stemma.ClaimRunInvocationURI: runURL,
		},
	}
}

func keySigner() *stemma.Identity {
	return &stemma.Identity{Trust: "acme-kms", KeyID: "image-2026", Key: "sha256:00"}
}

// readAs reads a predicate as signed by signer, or by nobody when it is nil.
func readAs(signer *stemma.Identity, predicateType, predicate string) (*stemma.Provenance, error) {
	s := stemma.Statement{Type: stemma.StatementV1, PredicateType: predicateType, Predicate: json.RawMessage(predicate)}
	if signer == nil {
		d, err := ReadUnsigned("sha256:00", s)
		return d.Provenance, err
	}
	d, err := Read(stemma.Attestation{Bundle: "sha256:00", Statement: s, Signer: *signer})
	return d.Provenance, err
}

func mustRead(t *testing.T, signer *stemma.Identity, predicateType, predicate string) *stemma.Provenance {
	t.Helper()
	p, err := readAs(signer, predicateType, predicate)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// lines writes claims as "field value grade where", strongest first.
func lines(p *stemma.Provenance) []string {
	out := []string{}
	for _, f := range slices.Sorted(maps.Keys(p.Claims)) {
		c := p.Claims[f]
		for _, s := range append([]stemma.Said{c.Said}, c.Others...) {
			out = append(out, fmt.Sprintf("%s %s %s %s", f, s.Value, s.By, s.Where))
		}
	}
	return out
}

// contradictions lists the fields whose sayings differ.
func contradictions(p *stemma.Provenance) []string {
	out := []string{}
	for _, f := range slices.Sorted(maps.Keys(p.Claims)) {
		if p.Claims[f].Contradicted() != nil {
			out = append(out, string(f))
		}
	}
	return out
}

const actionsV1 = `{
  "buildDefinition": {
    "buildType": "https://actions.github.io/buildtypes/workflow/v1",
    "externalParameters": {"workflow": {"ref": "refs/tags/v2.0.0", "repository": "https://github.com/acme/app", "path": ".github/workflows/release.yml"}},
    "internalParameters": {"github": {"event_name": "push", "repository_id": "7", "repository_owner_id": "8", "runner_environment": "github-hosted"}},
    "resolvedDependencies": [{"uri": "git+https://github.com/acme/app@refs/tags/v2.0.0", "digest": {"gitCommit": "` + commitA + `"}}]
  },
  "runDetails": {
    "builder": {"id": "` + farSAN + `"},
    "metadata": {"invocationId": "` + runURL + `"}
  }
}`

const generatorV02 = `{
  "builder": {"id": "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/generator_container_slsa3.yml@refs/tags/v2.0.0"},
  "buildType": "https://github.com/slsa-framework/slsa-github-generator/container@v1",
  "invocation": {
    "configSource": {"uri": "git+https://github.com/acme/app@refs/tags/v2.0.0", "digest": {"sha1": "` + commitA + `"}, "entryPoint": ".github/workflows/release.yml"},
    "parameters": {},
    "environment": {
      "github_event_name": "push", "github_event_payload": {"pusher": {"email": "octocat@acme.example"}}, "github_ref": "refs/tags/v2.0.0",
      "github_run_attempt": "1", "github_run_id": "42", "github_sha1": "` + commitA + `"
    }
  },
  "metadata": {"buildInvocationID": "42-1", "completeness": {"parameters": true, "environment": false, "materials": false}},
  "materials": [{"uri": "git+https://github.com/acme/app@refs/tags/v2.0.0", "digest": {"sha1": "` + commitA + `"}}]
}`

const generatorSAN = "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/generator_container_slsa3.yml@refs/tags/v2.0.0"

const containerBasedV1 = `{
  "buildDefinition": {
    "buildType": "https://slsa.dev/container-based-build/v0.1?draft",
    "externalParameters": {"source": {"uri": "git+https://github.com/acme/app@refs/tags/v2.0.0", "digest": {"sha1": "` + commitA + `"}}, "configPath": "build.toml"},
    "internalParameters": {
      "GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/tags/v2.0.0", "GITHUB_REPOSITORY": "acme/app", "GITHUB_RUN_ATTEMPT": "1",
      "GITHUB_RUN_ID": 42, "GITHUB_SHA": "` + commitA + `", "GITHUB_WORKFLOW_REF": "acme/app/.github/workflows/release.yml@refs/tags/v2.0.0",
      "GITHUB_EVENT_PAYLOAD": {}
    },
    "resolvedDependencies": [
      {"uri": "git+https://github.com/acme/app@refs/tags/v2.0.0", "digest": {"sha1": "` + commitA + `"}},
      {"uri": "git+https://github.com/slsa-framework/slsa-github-generator@refs/tags/v2.0.0", "digest": {"sha256": "583349b655bff898935bdadba375734d31d0bdf05c454d8c602fadf809844fac"}}
    ]
  },
  "runDetails": {
    "builder": {"id": "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/builder_container-based_slsa3.yml@refs/tags/v2.0.0"},
    "metadata": {"invocationId": "` + runURL + `"}
  }
}`

const delegatorV1 = `{
  "buildDefinition": {
    "buildType": "https://github.com/slsa-framework/slsa-github-generator/delegator-generic@v0",
    "externalParameters": {"inputs": {"artifact": "x"}, "vars": {}},
    "internalParameters": {"GITHUB_EVENT_NAME": "push", "GITHUB_REPOSITORY": "acme/app", "GITHUB_SHA": "` + commitA + `"},
    "resolvedDependencies": [{"uri": "git+https://github.com/acme/app@refs/tags/v2.0.0", "digest": {"gitCommit": "` + commitA + `"}}]
  },
  "runDetails": {
    "builder": {"id": "https://github.com/trusted/trw/.github/workflows/builder.yml@refs/tags/v1"},
    "metadata": {"invocationId": "` + runURL + `"}
  }
}`

const buildkitV02 = `{
  "builder": {"id": ""}, "buildType": "https://mobyproject.org/buildkit@v1",
  "materials": [
    {"uri": "pkg:docker/golang@1.20?digest=sha256:aa&platform=linux%2Famd64", "digest": {"sha256": "c5b1261d6d3e43071626931fc004f70149baeba2c8ec672bd4f27761f8e1ad6b"}},
    {"uri": "https://github.com/acme/app.git#` + commitA + `", "digest": {"sha1": "` + commitA + `"}}
  ],
  "invocation": {
    "configSource": {"uri": "https://github.com/acme/app.git#` + commitA + `", "digest": {"sha1": "` + commitA + `"}, "entryPoint": "Dockerfile"},
    "parameters": {"frontend": "dockerfile.v0"}, "environment": {"platform": "linux/amd64"}
  },
  "metadata": {"buildInvocationID": "abc", "completeness": {"parameters": false, "environment": true, "materials": false}}
}`

const buildkitLocalV1 = `{
  "buildDefinition": {
    "buildType": "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md",
    "externalParameters": {"request": {"frontend": "dockerfile.v0", "args": {"build-arg:X": "1"}, "locals": [{"name": "context"}]}},
    "internalParameters": {"builderPlatform": "linux/amd64", "buildConfig": {"llbDefinition": []}},
    "resolvedDependencies": [{"uri": "pkg:docker/alpine@latest?platform=linux%2Famd64", "digest": {"sha256": "c5b1261d6d3e43071626931fc004f70149baeba2c8ec672bd4f27761f8e1ad6b"}}]
  },
  "runDetails": {
    "builder": {"id": "` + runURL + `"},
    "metadata": {
      "invocationId": "i4l72", "buildkit_completeness": {"request": true},
      "buildkit_metadata": {"vcs": {"source": "git@github.com:acme/app.git", "revision": "` + commitA + `"}}
    }
  }
}`

const genericV1 = `{
  "buildDefinition": {
    "buildType": "https://ci.acme.example/build/v1",
    "externalParameters": {"source": {"repository": "https://git.acme.example/acme/app", "ref": "refs/tags/v2"}},
    "resolvedDependencies": [
      {"uri": "git+https://git.acme.example/acme/app@refs/tags/v2", "digest": {"gitCommit": "` + commitA + `"}},
      {"uri": "git+https://git.acme.example/acme/library", "digest": {"gitCommit": "` + commitB + `"}}
    ]
  },
  "runDetails": {"builder": {"id": "https://ci.acme.example/builder"}, "metadata": {"invocationId": "https://ci.acme.example/run/7"}}
}`

// TestFamilies states for each builder family everything that is read, by whom it is said and where.
func TestFamilies(t *testing.T) {
	bd := "/buildDefinition"
	for _, c := range []struct {
		name, kind, predicate string
		signer                *stemma.Identity
		known                 string
		claims, notes         []string
		dependencies          int
	}{
		{
			"actions, reusable workflow", stemma.PredicateSLSAv1, actionsV1, githubSigner(farSAN), "GitHub Actions",
			[]string{
				"builder " + farSAN + " certificate certificate SAN", "builder " + farSAN + " certificate certificate .9", "builder " + farSAN + " builder /runDetails/builder/id",
				"commit " + commitA + " certificate certificate .13", "commit " + commitA + " builder " + bd + "/resolvedDependencies/0/digest/gitCommit",
				"entryPoint .github/workflows/release.yml certificate certificate .18", "entryPoint .github/workflows/release.yml builder " + bd + "/externalParameters/workflow/path",
				"ownerID 8 builder " + bd + "/internalParameters/github/repository_owner_id",
				"ref refs/tags/v2.0.0 certificate certificate .14", "ref refs/tags/v2.0.0 builder " + bd + "/externalParameters/workflow/ref", "ref refs/tags/v2.0.0 builder " + bd + "/resolvedDependencies/0/uri",
				"repository github.com/acme/app certificate certificate .12", "repository github.com/acme/app builder " + bd + "/externalParameters/workflow/repository", "repository github.com/acme/app builder " + bd + "/resolvedDependencies/0/uri",
				"repositoryID 7 builder " + bd + "/internalParameters/github/repository_id",
				"run " + runURL + " certificate certificate .21", "run " + runURL + " builder /runDetails/metadata/invocationId",
				"runner github-hosted certificate certificate .11", "runner github-hosted builder " + bd + "/internalParameters/github/runner_environment",
				"trigger push certificate certificate .20", "trigger push builder " + bd + "/internalParameters/github/event_name",
			},
			nil, 1,
		},
		{
			"slsa-github-generator container, unsigned", stemma.PredicateSLSAv02, generatorV02, nil, "slsa-github-generator",
			[]string{
				"builder " + generatorSAN + " unsigned /builder/id",
				"commit " + commitA + " unsigned /invocation/configSource/digest/sha1", "commit " + commitA + " unsigned /materials/0/digest/sha1", "commit " + commitA + " unsigned /invocation/environment/github_sha1",
				"entryPoint .github/workflows/release.yml unsigned /invocation/configSource/entryPoint",
				"ref refs/tags/v2.0.0 unsigned /invocation/configSource/uri", "ref refs/tags/v2.0.0 unsigned /materials/0/uri", "ref refs/tags/v2.0.0 unsigned /invocation/environment/github_ref",
				"repository github.com/acme/app unsigned /invocation/configSource/uri", "repository github.com/acme/app unsigned /materials/0/uri",
				"run 42-1 unsigned /metadata/buildInvocationID", "run 42-1 unsigned /invocation/environment/github_run_id",
				"trigger push unsigned /invocation/environment/github_event_name",
			},
			nil, 1,
		},
		{
			"container-based, unsigned", stemma.PredicateSLSAv1, containerBasedV1, nil, "slsa-github-generator",
			[]string{
				"builder https://github.com/slsa-framework/slsa-github-generator/.github/workflows/builder_container-based_slsa3.yml@refs/tags/v2.0.0 unsigned /runDetails/builder/id",
				"commit " + commitA + " unsigned " + bd + "/externalParameters/source/digest/sha1", "commit " + commitA + " unsigned " + bd + "/resolvedDependencies/0/digest/sha1", "commit " + commitA + " unsigned " + bd + "/internalParameters/GITHUB_SHA",
				"entryPoint .github/workflows/release.yml unsigned " + bd + "/internalParameters/GITHUB_WORKFLOW_REF",
				"ref refs/tags/v2.0.0 unsigned " + bd + "/externalParameters/source/uri", "ref refs/tags/v2.0.0 unsigned " + bd + "/resolvedDependencies/0/uri", "ref refs/tags/v2.0.0 unsigned " + bd + "/internalParameters/GITHUB_REF",
				"repository github.com/acme/app unsigned " + bd + "/externalParameters/source/uri", "repository github.com/acme/app unsigned " + bd + "/resolvedDependencies/0/uri",
				"repository github.com/acme/app unsigned " + bd + "/internalParameters/GITHUB_REPOSITORY", "repository github.com/acme/app unsigned " + bd + "/internalParameters/GITHUB_WORKFLOW_REF",
				"run " + runURL + " unsigned /runDetails/metadata/invocationId", "run " + runURL + " unsigned " + bd + "/internalParameters/GITHUB_RUN_ID",
				"trigger push unsigned " + bd + "/internalParameters/GITHUB_EVENT_NAME",
			},
			nil, 2,
		},
		{
			"BuildKit v0.2, remote context, unsigned", stemma.PredicateSLSAv02, buildkitV02, nil, "BuildKit",
			[]string{
				"commit " + commitA + " unsigned /invocation/configSource/uri", "commit " + commitA + " unsigned /invocation/configSource/digest/sha1",
				"entryPoint Dockerfile unsigned /invocation/configSource/entryPoint",
				"repository github.com/acme/app unsigned /invocation/configSource/uri",
				"run abc unsigned /metadata/buildInvocationID",
			},
			[]string{"mode=min", "by its own word the dependencies are not complete"},
			2,
		},
		{
			"unknown, managed key", stemma.PredicateSLSAv1, genericV1, keySigner(), "",
			[]string{
				"builder https://ci.acme.example/builder builder /runDetails/builder/id",
				"commit " + commitA + " tenant " + bd + "/resolvedDependencies/0/digest/gitCommit",
				"ref refs/tags/v2 tenant " + bd + "/externalParameters/source/ref", "ref refs/tags/v2 tenant " + bd + "/resolvedDependencies/0/uri",
				"repository git.acme.example/acme/app tenant " + bd + "/externalParameters/source/repository", "repository git.acme.example/acme/app tenant " + bd + "/resolvedDependencies/0/uri",
				"run https://ci.acme.example/run/7 builder /runDetails/metadata/invocationId",
			},
			[]string{`buildType "https://ci.acme.example/build/v1" is not known; read by the common fields`},
			2,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := mustRead(t, c.signer, c.kind, c.predicate)
			if diff := cmp.Diff(c.claims, lines(p)); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.notes, p.Notes); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
			if p.Known != c.known || len(p.Inputs) != c.dependencies || p.Bundle != "sha256:00" {
				t.Errorf("known %q, %d dependencies, bundle %s", p.Known, len(p.Inputs), p.Bundle)
			}
			if got := contradictions(p); len(got) > 0 {
				t.Errorf("contradictions: %q", got)
			}
		})
	}
}

// TestGrades: by whom a predicate is said follows from the signer, never from the text.
func TestGrades(t *testing.T) {
	person := &stemma.Identity{Issuer: "https://github.com/login/oauth", Subject: "someone@acme.example"}
	inGenerator := githubSigner(generatorSAN)
	inGenerator.Claims[stemma.ClaimSourceRepositoryURI] = "https://github.com/slsa-framework/slsa-github-generator"
	beside := githubSigner(strings.Replace(generatorSAN, "generator_container_slsa3", "pre-submit", 1))
	beside.Claims[stemma.ClaimSourceRepositoryURI] = "https://github.com/slsa-framework/slsa-github-generator"
	fork := githubSigner("https://github.com/ACME/App/.github/workflows/generator_container_slsa3.yml@refs/heads/x")
	old := githubSigner(ownSAN)
	old.Claims = map[string]string{stemma.ClaimGitHubRepository: "acme/app"}
	nameless := githubSigner(farSAN)
	nameless.Claims = nil
	lookalike := githubSigner(farSAN)
	lookalike.Issuer = "https://token.actions.githubusercontent.com.evil.com"
	gitlab := &stemma.Identity{Issuer: "https://gitlab.com", Subject: "https://gitlab.com/acme/app//.gitlab-ci.yml@refs/heads/main"}
	ghe := githubSigner("https://acme.ghe.com/trusted/builders/.github/workflows/build.yml@refs/tags/v1")
	ghe.Issuer = "https://token.actions.acme.ghe.com"
	for _, c := range []struct {
		name   string
		signer *stemma.Identity
		want   stemma.Grade
	}{
		{"nobody", nil, stemma.SaidByNobody},
		{"managed key", keySigner(), stemma.SaidByBuilder},
		{"reusable workflow of another repository", githubSigner(farSAN), stemma.SaidByBuilder},
		{"reusable workflow of an enterprise", ghe, stemma.SaidByBuilder},
		{"the source's own workflow", githubSigner(ownSAN), stemma.SaidByTenant},
		{"the source's own workflow, old certificate", old, stemma.SaidByTenant},
		{"own workflow in another case, with the name of a generator", fork, stemma.SaidByTenant},
		{"slsa-github-generator", githubSigner(generatorSAN), stemma.SaidByBuilder},
		{"slsa-github-generator for itself", inGenerator, stemma.SaidByBuilder},
		{"another workflow of slsa-github-generator for itself", beside, stemma.SaidByTenant},
		{"certificate without source", nameless, stemma.SaidByTenant},
		{"issuer that looks like GitHub", lookalike, stemma.SaidByTenant},
		{"GitLab", gitlab, stemma.SaidByTenant},
		{"a person", person, stemma.SaidByTenant},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := mustRead(t, c.signer, stemma.PredicateSLSAv1, actionsV1)
			found := false
			for f, claim := range p.Claims {
				for _, s := range append([]stemma.Said{claim.Said}, claim.Others...) {
					certificate := strings.HasPrefix(s.Where, "certificate ")
					if !certificate {
						found = true
					}
					if !certificate && s.By != c.want || certificate != (s.By == stemma.SaidByCertificate) {
						t.Errorf("%s at %s is said by %s, want %s", f, s.Where, s.By, c.want)
					}
				}
			}
			if !found {
				t.Error("nothing of the predicate was read")
			}
		})
	}
}

// TestOldCertificate: the certificates of before 2023 carry the extensions .1 to .6 only.
func TestOldCertificate(t *testing.T) {
	signer := githubSigner(generatorSAN)
	signer.Claims = map[string]string{
		stemma.ClaimGitHubTrigger: "push", stemma.ClaimGitHubSHA: commitA, stemma.ClaimGitHubName: "Release",
		stemma.ClaimGitHubRepository: "Acme/app", stemma.ClaimGitHubRef: "refs/tags/v2.0.0",
	}
	p := mustRead(t, signer, stemma.PredicateSLSAv02, generatorV02)
	for f, want := range map[stemma.Field]stemma.Said{
		stemma.FieldBuilder:    {Value: generatorSAN, By: stemma.SaidByCertificate, Where: "certificate SAN"},
		stemma.FieldRepository: {Value: "github.com/acme/app", By: stemma.SaidByCertificate, Where: "certificate .5"},
		stemma.FieldCommit:     {Value: commitA, By: stemma.SaidByCertificate, Where: "certificate .3"},
		stemma.FieldRef:        {Value: "refs/tags/v2.0.0", By: stemma.SaidByCertificate, Where: "certificate .6"},
		stemma.FieldTrigger:    {Value: "push", By: stemma.SaidByCertificate, Where: "certificate .2"},
		stemma.FieldRun:        {Value: "42-1", By: stemma.SaidByBuilder, Where: "/metadata/buildInvocationID"},
	} {
		if got := p.Claims[f].Said; got != want {
			t.Errorf("%s: %v, want %v", f, got, want)
		}
	}
	if got := contradictions(p); len(got) > 0 {
		t.Errorf("contradictions: %q", got)
	}
}

// change replaces text that stands once in a predicate.
func change(t *testing.T, predicate string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(predicate, pairs[i]) {
			t.Fatalf("%q is not in the predicate", pairs[i])
		}
		predicate = strings.Replace(predicate, pairs[i], pairs[i+1], 1)
	}
	return predicate
}

// A hint of the client is the word of the tenant, even under the key of the builder. Source: BuildKit, SLSA definitions.
func TestReg_D12_buildkit_vcs_hint(t *testing.T) {
	for _, c := range []struct {
		name   string
		signer *stemma.Identity
		want   stemma.Grade
	}{{"nobody", nil, stemma.SaidByNobody}, {"managed key", keySigner(), stemma.SaidByTenant}} {
		p := mustRead(t, c.signer, stemma.PredicateSLSAv1, buildkitLocalV1)
		for _, f := range []stemma.Field{stemma.FieldRepository, stemma.FieldCommit} {
			if got := p.Claims[f].By; got != c.want || p.Value(f) == "" {
				t.Errorf("%s: %s %q is said by %q, want %q", c.name, f, p.Value(f), got, c.want)
			}
		}
		for _, note := range []string{"mode=max", "the build context was local: no source is stated by the builder", "the vcs hint was sent by the client and checked by nobody"} {
			if !slices.Contains(p.Notes, note) {
				t.Errorf("%s: notes %q, want %q", c.name, p.Notes, note)
			}
		}
	}
	// A remote context is fetched by BuildKit itself.
	p := mustRead(t, keySigner(), stemma.PredicateSLSAv02, buildkitV02)
	if got := p.Claims[stemma.FieldRepository].By; got != stemma.SaidByBuilder {
		t.Errorf("remote context: said by %s", got)
	}
	// A dirty checkout is no commit.
	p = mustRead(t, nil, stemma.PredicateSLSAv1, change(t, buildkitLocalV1, commitA, commitA+"-dirty"))
	if got := p.Value(stemma.FieldCommit); got != "" {
		t.Errorf("commit %q of a dirty checkout", got)
	}
}

// An abbreviated commit, or one in another case, is no commit. Source: SLSA threats, build from modified source.
func TestReg_D05_commit_forms(t *testing.T) {
	for _, c := range []struct {
		digest, want, note string
	}{
		{`"gitCommit": "` + commitB + `"`, commitB, ""},
		{`"sha1": "` + commitB + `"`, commitB, ""},
		{`"sha256": "` + commitB + `"`, commitB, ""},
		{`"gitCommit": "` + strings.Repeat("ab", 32) + `"`, strings.Repeat("ab", 32), ""},
		{`"gitCommit": "` + commitB[:12] + `"`, "", `not 40 or 64 lower-case hex digits`},
		{`"gitCommit": "` + strings.ToUpper(commitB) + `"`, "", `not 40 or 64 lower-case hex digits`},
		{`"sha1": "'` + commitB + `'"`, "", `not 40 or 64 lower-case hex digits`},
		{`"gitTree": "` + commitB + `"`, "", ""},
		{`"sha256": "` + strings.Repeat("ab", 32) + `"`, "", ""},
		{`"gitCommit": ""`, "", ""},
	} {
		predicate := change(t, actionsV1, `"gitCommit": "`+commitA+`"`, c.digest)
		p := mustRead(t, nil, stemma.PredicateSLSAv1, predicate)
		if got := p.Value(stemma.FieldCommit); got != c.want {
			t.Errorf("%s: commit %q, want %q", c.digest, got, c.want)
		}
		if c.note != "" && (len(p.Notes) != 1 || !strings.HasSuffix(p.Notes[0], c.note)) {
			t.Errorf("%s: notes %q, want %q", c.digest, p.Notes, c.note)
		}
	}
	for fragment, want := range map[string]string{commitB: commitB, commitB[:10]: "", "main": ""} {
		predicate := `{"builder":{"id":"b"},"buildType":"t","invocation":{"configSource":{"uri":"https://github.com/acme/app.git#` + fragment + `"}}}`
		if got := mustRead(t, nil, stemma.PredicateSLSAv02, predicate).Value(stemma.FieldCommit); got != want {
			t.Errorf("#%s: commit %q, want %q", fragment, got, want)
		}
	}
}

// TestUnknownSource: of several candidates none is taken, and a guess never outranks a saying.
func TestUnknownSource(t *testing.T) {
	v02 := func(source, materials string) string {
		return `{"builder":{"id":"b"},"buildType":"tekton.dev/v1/PipelineRun","invocation":{"configSource":` + source + `},"materials":[` + materials + `]}`
	}
	git := func(repository, commit string) string {
		return `{"uri":"git+https://git.acme.example/` + repository + `.git","digest":{"sha1":"` + commit + `"}}`
	}
	for _, c := range []struct {
		name, predicate, repository, commit, note string
	}{
		{"one", v02("{}", git("acme/app", commitA)), "git.acme.example/acme/app", commitA, "the source is the only repository among the dependencies"},
		{"two", v02("{}", git("acme/app", commitA)+","+git("acme/lib", commitB)), "", "", "several candidates for the source: git.acme.example/acme/app, git.acme.example/acme/lib"},
		{"one at two commits", v02("{}", git("acme/app", commitA)+","+git("acme/app", commitB)), "git.acme.example/acme/app", "", "several versions of git.acme.example/acme/app among the dependencies; no commit is taken"},
		{"definition of a pipeline", v02(git("acme/pipelines", commitB), ""), "", "", ""},
		{"definition and source", v02(git("acme/pipelines", commitB), git("acme/app", commitA)), "git.acme.example/acme/app", commitA, "the source is the only repository among the dependencies"},
		{"named twice", strings.Replace(genericV1, `"externalParameters": {`, `"externalParameters": {"repository": "https://git.acme.example/acme/other", `, 1), "", "", "several candidates for the source: git.acme.example/acme/app, git.acme.example/acme/other"},
		{"none", v02("{}", `{"uri":"https://acme.example/x.tar","digest":{"sha256":"`+strings.Repeat("a", 64)+`"}}`), "", "", ""},
	} {
		kind := stemma.PredicateSLSAv02
		if strings.Contains(c.predicate, "buildDefinition") {
			kind = stemma.PredicateSLSAv1
		}
		p := mustRead(t, keySigner(), kind, c.predicate)
		if p.Value(stemma.FieldRepository) != c.repository || p.Value(stemma.FieldCommit) != c.commit {
			t.Errorf("%s: %q at %q, want %q at %q", c.name, p.Value(stemma.FieldRepository), p.Value(stemma.FieldCommit), c.repository, c.commit)
		}
		if c.note != "" && !slices.Contains(p.Notes, c.note) {
			t.Errorf("%s: notes %q, want %q", c.name, p.Notes, c.note)
		}
	}
	// With a certificate that names the source, two sources in the predicate hide nothing.
	named := change(t, genericV1, `"externalParameters": {`, `"externalParameters": {"repository": "https://github.com/acme/app", `)
	p := mustRead(t, githubSigner(farSAN), stemma.PredicateSLSAv1, named)
	if other := p.Claims[stemma.FieldRepository].Contradicted(); other == nil || other.Value != "git.acme.example/acme/app" {
		t.Errorf("a second source hides the first: %q", lines(p))
	}
}

// A predicate that is not what its type prescribes is an error, never an empty provenance. Source: CVE-2026-39395.
func TestReg_E04_swallowed_predicate(t *testing.T) {
	for _, c := range []struct{ name, kind, predicate, want string }{
		{"nothing", "v1", ``, "reading predicate: reading JSON at byte 0: empty document"},
		{"null", "v1", `null`, "reading predicate: the predicate: want an object"},
		{"array", "v0.2", `[]`, "reading predicate: the predicate: want an object"},
		{"empty v1", "v1", `{}`, "reading predicate: the predicate: want a member buildDefinition"},
		{"empty v0.2", "v0.2", `{}`, "reading predicate: the predicate: want a member builder"},
		{"builder is an array", "v0.2", change(t, generatorV02, `"builder": {`, `"builder": [], "other": {`), "reading predicate: /builder: want an object"},
		{"builder is an array, v1", "v1", change(t, actionsV1, `"builder": {`, `"builder": [], "other": {`), "reading predicate: /runDetails/builder: want an object"},
		{"no builder", "v1", change(t, actionsV1, `"builder"`, `"Builder"`), "reading predicate: /runDetails: want a member builder"},
		{"no builder id", "v1", change(t, actionsV1, `"builder": {"id"`, `"builder": {"ID"`), "reading predicate: /runDetails/builder: want a member id"},
		{"no build type", "v1", change(t, actionsV1, `"buildType"`, `"buildtype"`), "reading predicate: /buildDefinition: want a member buildType"},
		{"dependencies are an object", "v1", change(t, actionsV1, `"resolvedDependencies": [`, `"resolvedDependencies": {}, "x": [`), "reading predicate: /buildDefinition/resolvedDependencies: want an array"},
		{"digest is a number", "v1", change(t, actionsV1, `"gitCommit": "`+commitA+`"`, `"gitCommit": 1`), "reading predicate: /buildDefinition/resolvedDependencies/0/digest/gitCommit: want a string"},
		{"duplicate", "v1", change(t, actionsV1, `"ref": "refs/tags/v2.0.0"`, `"ref": "refs/tags/v2.0.0", "ref": "x"`), `reading predicate: reading JSON at byte 166 (/buildDefinition/externalParameters/workflow): duplicate name "ref"`},
		{"unknown type in v0.2", "v0.2", change(t, generatorV02, `"buildType": "https://github.com/slsa-framework/slsa-github-generator/container@v1"`, `"buildType": 7`), "reading predicate: /buildType: want a string"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := readAs(githubSigner(farSAN), map[string]string{"v1": stemma.PredicateSLSAv1, "v0.2": stemma.PredicateSLSAv02}[c.kind], c.predicate)
			if err == nil {
				t.Fatalf("read as %q", lines(p))
			}
			if err.Error() != c.want {
				t.Errorf("got  %s\nwant %s", err, c.want)
			}
		})
	}
	// The nearest that is read: Azure leaves the build type out of v0.2.
	p := mustRead(t, nil, stemma.PredicateSLSAv02, change(t, generatorV02, `"buildType"`, `"buildtype"`))
	if p.Known != "" || p.BuildType != "" || p.Notes[0] != "buildType is missing" {
		t.Errorf("known %q, build type %q, notes %q", p.Known, p.BuildType, p.Notes)
	}
}

// A predicate over the limits says so.
func TestReg_J05_limits(t *testing.T) {
	for name, inner := range map[string]string{
		"too many values": "[" + strings.Repeat("0,", 1<<19) + "0]",
		"too deep":        strings.Repeat("[", 100000) + strings.Repeat("]", 100000),
	} {
		_, err := readAs(nil, stemma.PredicateSLSAv02, change(t, buildkitV02, `"buildType"`, `"buildConfig": `+inner+`, "buildType"`))
		var limit *stemma.JSONError
		if !errors.As(err, &limit) || !limit.Limit {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestParameters: the external parameters stand as they stood, without the payload of the event.
func TestParameters(t *testing.T) {
	p := mustRead(t, nil, stemma.PredicateSLSAv1, actionsV1)
	want := `{"workflow": {"ref": "refs/tags/v2.0.0", "repository": "https://github.com/acme/app", "path": ".github/workflows/release.yml"}}`
	if string(p.External) != want {
		t.Errorf("got  %s\nwant %s", p.External, want)
	}
	predicate := change(t, genericV1, `"externalParameters": {`,
		`"externalParameters": {"n": 9007199254740993, "env": [{"GitHub_Event_Payload": {"email": "x@acme.example"}, "a\u0022b": 1e400}, "github_event_payload"], `)
	p = mustRead(t, nil, stemma.PredicateSLSAv1, predicate)
	want = `{"n":9007199254740993,"env":[{"a\"b":1e400},"github_event_payload"],"source":{"repository": "https://git.acme.example/acme/app", "ref": "refs/tags/v2"}}`
	if string(p.External) != want {
		t.Errorf("got  %s\nwant %s", p.External, want)
	}
	p = mustRead(t, nil, stemma.PredicateSLSAv02, generatorV02)
	if got, err := json.Marshal(p); err != nil || strings.Contains(string(got), "octocat") {
		t.Errorf("the payload is in the provenance: %s, %v", got, err)
	}
}

// Numbers are identifiers, and never rounded. Source: protobuf Struct.
func TestReg_J06_numbers_as_ids(t *testing.T) {
	for literal, want := range map[string]string{
		"9007199254740993": "9007199254740993", "9223372036854775808": "9223372036854775808", `"9007199254740993"`: "9007199254740993",
	} {
		p := mustRead(t, nil, stemma.PredicateSLSAv1, change(t, actionsV1, `"`+runURL+`"`, literal))
		if got := p.Value(stemma.FieldRun); got != want {
			t.Errorf("%s: run %q", literal, got)
		}
	}
	for _, literal := range []string{"1e400", "-0", "4.2", "1E3", "true"} {
		if p, err := readAs(nil, stemma.PredicateSLSAv1, change(t, actionsV1, `"`+runURL+`"`, literal)); err == nil {
			t.Errorf("%s: run %q", literal, p.Value(stemma.FieldRun))
		}
	}
}

func TestUnread(t *testing.T) {
	for _, kind := range []string{
		"https://slsa.dev/provenance/v0.3", "https://slsa.dev/provenance/v1.1", "https://apko.dev/image-configuration", "https://scout.docker.com/provenance/v0.1", "https://witness.dev/attestation-collection/v0.2", "chainloop.dev/attestation/v0.1", "https://slsa.dev/provenance/v2", "https://SLSA.dev/provenance/v1",
		"https://slsa.dev/verification_summary/v0.1", "https://openvex.dev/nsx", "https://in-toto.io/attestation/vulns/v0.3", stemma.PredicateCosignSign, "https://spdx.dev/Documents", "https://cyclonedx.org/bom/vx", "",
	} {
		d, err := ReadUnsigned("", stemma.Statement{PredicateType: kind, Predicate: json.RawMessage(`{`)})
		if d != (Document{}) || err != nil {
			t.Errorf("%q: %v, %v", kind, d, err)
		}
	}
	d, err := Read(stemma.Attestation{Signature: true, Statement: stemma.Statement{PredicateType: stemma.PredicateSLSAv1, Predicate: json.RawMessage(actionsV1)}})
	if d != (Document{}) || err != nil {
		t.Errorf("the signature of an image states %v, %v", d, err)
	}
}
