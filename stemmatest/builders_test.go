package stemmatest_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stemma"
	"stemma/stemmatest"
)

func TestStatements(t *testing.T) {
	g := job()
	gen := stemmatest.SLSAGenerator(g, "v2.0.0")
	subject := stemmatest.Subject("ghcr.io/acme/app", imageDigest())
	amd := stemma.Platform{OS: "linux", Architecture: "amd64"}
	kit := stemmatest.BuildKit{Repository: "ghcr.io/acme/app", Tag: "v2.0.0", Platform: amd, Source: "https://github.com/acme/app.git", Commit: stemmatest.Commit("x"), Base: "pkg:docker/alpine@3.22", BaseDigest: imageDigest(), Max: true}
	local := kit
	local.Source, local.VCS, local.Max, local.Repository = "", "https://github.com/acme/app", false, ""
	internal := stemmatest.Generic{BuilderID: "https://ci.acme.example/builder", Repository: "https://git.acme.example/acme/app", Ref: "refs/heads/main", Commit: stemmatest.Commit("y"), Run: "https://ci.acme.example/run/1"}
	type facts map[string]string // pointer into the predicate → value, "-" for nothing there
	for _, c := range []struct {
		name string
		s    *stemmatest.Statement
		typ  string
		want facts
	}{
		{"actions/attest", stemmatest.ActionsAttest(g, subject), "https://slsa.dev/provenance/v1", facts{
			"/buildDefinition/buildType":                                    "https://actions.github.io/buildtypes/workflow/v1",
			"/runDetails/builder/id":                                        "https://github.com/trusted/builders/.github/workflows/build.yml@refs/tags/v1.2.3",
			"/runDetails/metadata/invocationId":                             "https://github.com/acme/app/actions/runs/15920000001/attempts/1",
			"/buildDefinition/internalParameters/github/runner_environment": "github-hosted",
		}},
		{"actions/attest, old", stemmatest.ActionsAttestOld(g, subject), "https://slsa.dev/provenance/v1", facts{
			"/buildDefinition/buildType":                                    "https://slsa-framework.github.io/github-actions-buildtypes/workflow/v1",
			"/runDetails/builder/id":                                        "https://github.com/actions/runner/github-hosted",
			"/buildDefinition/internalParameters/github/runner_environment": "-",
		}},
		{"slsa-github-generator", stemmatest.SLSAGeneratorContainer(gen, subject), "https://slsa.dev/provenance/v0.2", facts{
			"/builder/id":                             gen.Certificate().URIs[0],
			"/invocation/configSource/uri":            "git+https://github.com/acme/app@refs/tags/v2.0.0",
			"/invocation/configSource/digest/sha1":    gen.Certificate().Extensions[13],
			"/invocation/configSource/entryPoint":     ".github/workflows/release.yml",
			"/invocation/environment/github_ref_type": "tag",
			"/materials/0/digest/sha1":                gen.Certificate().Extensions[13],
		}},
		{"BuildKit v1", kit.V1(imageDigest()), "https://slsa.dev/provenance/v1", facts{
			"/buildDefinition/externalParameters/configSource/digest/sha1":       kit.Commit,
			"/buildDefinition/externalParameters/request/args/build-arg:VERSION": "v2.0.0",
			"/buildDefinition/resolvedDependencies/0/digest/sha256":              imageDigest().Hex(),
			"/runDetails/builder/id":                     "",
			"/runDetails/metadata/buildkit_metadata/vcs": "-",
		}},
		{"BuildKit v1, local, min", local.V1(imageDigest()), "https://slsa.dev/provenance/v1", facts{
			"/buildDefinition/externalParameters/configSource":          "-",
			"/buildDefinition/externalParameters/request/args":          "-",
			"/buildDefinition/externalParameters/request/locals/0/name": "context",
			"/runDetails/metadata/buildkit_metadata/vcs/source":         "https://github.com/acme/app",
		}},
		{"BuildKit v0.2", kit.V02(imageDigest()), "https://slsa.dev/provenance/v0.2", facts{
			"/buildType": "https://mobyproject.org/buildkit@v1", "/invocation/configSource/entryPoint": "Dockerfile",
			"/invocation/environment/platform": "linux/amd64", "/materials/1/digest/sha1": kit.Commit,
		}},
		{"BuildKit v0.2, local", local.V02(imageDigest()), "https://slsa.dev/provenance/v0.2", facts{
			"/invocation/configSource/uri": "-", "/invocation/parameters/locals/1/name": "dockerfile",
			"/metadata/https:~1~1mobyproject.org~1buildkit@v1#metadata/vcs/source": "https://github.com/acme/app",
		}},
		{"internal builder", internal.Statement(subject), "https://slsa.dev/provenance/v1", facts{
			"/runDetails/builder/id": "https://ci.acme.example/builder", "/buildDefinition/resolvedDependencies/0/digest/gitCommit": internal.Commit,
		}},
		{"SPDX", stemmatest.SPDX(subject), "https://spdx.dev/Document", facts{"/spdxVersion": "SPDX-2.3"}},
		{"CycloneDX", stemmatest.CycloneDX(subject), "https://cyclonedx.org/bom", facts{"/bomFormat": "CycloneDX", "/specVersion": "1.6"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := stemma.ParseStatement(c.s.JSON())
			check(t, err)
			if _, reason, detail := s.Bind(imageDigest(), nil); reason != "" {
				t.Errorf("not about the image: %s %s", reason, detail)
			}
			if s.PredicateType != c.typ {
				t.Errorf("predicate type %s", s.PredicateType)
			}
			j, err := stemma.ParseJSON(s.Predicate)
			check(t, err)
			got := facts{}
			for p := range c.want {
				steps := strings.Split(p[1:], "/")
				for i := range steps {
					steps[i] = strings.ReplaceAll(steps[i], "~1", "/")
				}
				got[p] = "-"
				if v := j.At(steps...); v != nil {
					got[p] = v.Scalar()
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func corpus(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("STEMMA_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "corpus")
	}
	if _, err := os.Stat(filepath.Join(dir, "index.jsonl")); err != nil {
		if os.Getenv("STEMMA_REQUIRE_CORPUS") == "1" {
			t.Fatal("corpus not found; set STEMMA_CORPUS")
		}
		t.Skip("corpus not found; set STEMMA_CORPUS")
	}
	return dir
}

// paths lists the pointers of all members, with * for the elements of arrays, and leaves out what is below skip.
func paths(j *stemma.JSON, prefix string, skip []string) []string {
	var out []string
	for _, k := range j.Elems() {
		name := k.Name()
		if j.IsArray() {
			name = "*"
		}
		p := prefix + "/" + name
		out = append(out, p)
		if !slices.Contains(skip, p) {
			out = append(out, paths(k, p, skip)...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// The statements have the members that real ones have, no more and no fewer.
func TestStatementsLookReal(t *testing.T) {
	dir := corpus(t)
	const images = "data/slsa-verifier/cli/slsa-verifier/testdata/gha_generic_container/v2.0.0/container_workflow_dispatch/blobs/sha256/"
	g := job()
	subject := stemmatest.Subject("x", imageDigest())
	const data = "data/slsa-verifier/cli/slsa-verifier/testdata/"
	cloud := stemmatest.CloudBuild{Repository: "https://github.com/acme/app", Tag: "v1", Commit: stemmatest.Commit("x"), ID: "1"}
	chains := stemmatest.Chains{Repository: "https://github.com/acme/app", Commit: stemmatest.Commit("x"), Pipelines: "https://github.com/acme/pipelines", Tasks: "quay.io/acme"}
	kit := stemmatest.BuildKit{Repository: "r", Tag: "t", Source: "https://github.com/acme/app.git", Commit: stemmatest.Commit("x"), Base: "pkg:docker/alpine@3.22", BaseDigest: imageDigest()}
	const task = "/predicate/buildConfig/tasks/*/"
	differ := map[string][]string{
		"npm today":                {"/subject/*/digest/sha512", "/subject/*/digest/sha256"}, // a package, and an image
		"Google Cloud Build, v0.1": {"/slsaProvenance"},                                      // the predicate once more, beside it
		"Tekton Chains, v0.2": { // of 2022: before results had types, runs had labels, and tasks were resolved and named their account
			task + "after", task + "after/*", task + "results/*/type", task + "serviceAccountName", task + "steps/*/arguments/*",
			"/predicate/invocation/environment", "/predicate/materials/*/digest/sha256",
		},
	}
	for _, c := range []struct {
		name, file string
		ours       *stemmatest.Statement
		skip       []string
	}{
		{"actions/attest, old", "data/cli_cli/pkg/cmd/attestation/test/data/reusable-workflow-attestation.sigstore.json", stemmatest.ActionsAttestOld(g, subject), nil},
		{"slsa-github-generator", images + "1a16dff13cea8be5dd3e4d31640da5f9b6c8a3ff879f728ec8be5d9e2b17499f", stemmatest.SLSAGeneratorContainer(g, subject), []string{"/predicate/invocation/environment/github_event_payload"}},
		{"slsa-github-generator, generic", data + "gha_generic/v2.0.0/binary-linux-amd64-push-v14.intoto.jsonl", stemmatest.SLSAGeneratorGeneric(g, subject), []string{"/predicate/invocation/environment/github_event_payload"}},
		{"slsa-github-generator, go", data + "gha_go/v2.0.0/binary-linux-amd64-push-v14.intoto.jsonl", stemmatest.SLSAGeneratorGo(g, subject), []string{"/predicate/invocation/environment/github_event_payload"}},
		{"slsa-github-generator, container-based", data + "gha_container-based/v2.0.0/binary-linux-amd64-push-v14.intoto.build.slsa", stemmatest.SLSAContainerBased(g, subject), []string{"/predicate/buildDefinition/internalParameters/GITHUB_EVENT_PAYLOAD"}},
		{"slsa-github-generator, delegated", data + "gha_delegator/v2.0.0/binary-linux-amd64-push-v14.build.slsa", stemmatest.SLSADelegated(g, "https://github.com/acme/build/.github/workflows/x.yml@refs/tags/v1", subject), []string{
			"/predicate/buildDefinition/internalParameters/GITHUB_EVENT_PAYLOAD", "/predicate/buildDefinition/externalParameters/inputs",
		}},
		{"npm today", data + "npm/gha/gundam-visor-cli-v1-tag.tgz.json", stemmatest.ActionsAttestOld(g, subject), nil},
		{"Google Cloud Build, v0.1", data + "gcb_container/v0.3/gcloud-container-github.json", cloud.V01(subject), []string{"/slsaProvenance"}},
		{"Tekton Chains, v0.2", "data/conforma/pkg/schema/examples/hacbs2_valid.json", chains.V02(subject), []string{
			"/predicate/invocation/configSource", "/predicate/invocation/parameters", "/predicate/invocation/environment", "/predicate/buildConfig/tasks/*/ref",
			"/predicate/buildConfig/tasks/*/invocation/configSource", "/predicate/buildConfig/tasks/*/invocation/parameters",
		}},
		{"Azure Pipelines", "data/guacsec_guac/internal/testing/testdata/exampledata/oci-kubectl-linux-amd64-in-toto.json", stemmatest.AzurePipelines("acme", "services", "app", stemmatest.Commit("x"), "1", subject), nil},
		{"BuildKit v0.2", images + "4efc1daf5276de13d358c242c9ce21f161c00234ab9bbac05e792b30f3f31350", kit.V02(imageDigest()), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := must[[]byte](t)(os.ReadFile(filepath.Join(dir, c.file)))
			data, _, _ = bytes.Cut(data, []byte("}\n{"))
			theirs := must[*stemma.JSON](t)(stemma.ParseJSON(data))
			if list := theirs.At("provenance_summary", "provenance"); list != nil { // gcloud
				theirs = list.At("0", "envelope")
			}
			for _, a := range theirs.At("attestations").Elems() { // npm
				if a.At("predicateType").Text() == stemma.PredicateSLSAv1 {
					theirs = a.At("bundle")
				}
			}
			if e := theirs.At("dsseEnvelope"); e != nil {
				theirs = e
			}
			if p := theirs.At("payload"); p != nil {
				theirs = must[*stemma.JSON](t)(stemma.ParseJSON(must[[]byte](t)(base64.StdEncoding.DecodeString(strings.NewReplacer("-", "+", "_", "/").Replace(p.Text())))))
			}
			ours := must[*stemma.JSON](t)(stemma.ParseJSON(c.ours.JSON()))
			// A sample is of one version of its builder and of one build. What only one of both has is listed, with the reason.
			rest := func(j *stemma.JSON) []string {
				return slices.DeleteFunc(paths(j, "", c.skip), func(p string) bool { return slices.Contains(differ[c.name], p) })
			}
			if diff := cmp.Diff(rest(theirs), rest(ours)); diff != "" {
				t.Errorf("members (-theirs +ours):\n%s", diff)
			}
		})
	}
}

// Every builder of the list writes one statement about the image that it is asked about, always the same, and leaves the
// subject alone that it was given.
func TestBuilders(t *testing.T) {
	names := map[string]bool{}
	for _, b := range stemmatest.Builders() {
		if b.Name == "" || names[b.Name] {
			t.Errorf("two builders are called %q", b.Name)
		}
		names[b.Name] = true
		if b.As != nil && b.Key || (b.Statement == nil) == (b.Labels == nil) || b.Key && b.ID == "" || b.As == nil && len(b.Certified) > 0 {
			t.Errorf("%s is not one kind of builder", b.Name)
		}
		for f := range b.Differs {
			if !slices.Contains(b.Certified, f) || !slices.Contains(b.Body, f) {
				t.Errorf("%s: %s cannot differ", b.Name, f)
			}
		}
		for _, f := range b.Body {
			if !slices.Contains(b.Certified, f) {
				t.Errorf("%s: %s is not said by the certificate", b.Name, f)
			}
		}
		if b.Statement == nil {
			continue
		}
		subject := []stemma.ResourceDescriptor{stemmatest.Subject("ghcr.io/acme/app", imageDigest())}
		s, err := stemma.ParseStatement(b.Statement(subject...).JSON())
		check(t, err)
		if _, reason, detail := s.Bind(imageDigest(), nil); reason != "" {
			t.Errorf("%s is not about the image: %s %s", b.Name, reason, detail)
		}
		if subject[0].Name != "ghcr.io/acme/app" {
			t.Errorf("%s renames what it is given to %s", b.Name, subject[0].Name)
		}
		if again := b.Statement(subject...).JSON(); !bytes.Equal(again, b.Statement(subject...).JSON()) {
			t.Errorf("%s writes two statements", b.Name)
		}
	}
	if len(names) < 40 {
		t.Errorf("%d builders", len(names))
	}
}

func BenchmarkNewWorld(b *testing.B) {
	for b.Loop() {
		if _, err := stemmatest.NewWorld(stemmatest.Config{}); err != nil {
			b.Fatal(err)
		}
	}
}
