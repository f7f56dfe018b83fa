package verify_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stemma"
	"stemma/policy"
	"stemma/verify"
)

// corpus is the directory of real third-party evidence: STEMMA_CORPUS, or ../shared/corpus beside the checkout.
func corpus(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("STEMMA_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "corpus")
	}
	if _, err := os.Stat(filepath.Join(dir, "index.jsonl")); err != nil {
		if os.Getenv("STEMMA_REQUIRE_CORPUS") == "1" {
			t.Fatalf("the corpus is required and not there: %v", err)
		}
		t.Skip("corpus not found; set STEMMA_CORPUS")
	}
	return dir
}

func read(t testing.TB, path ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// containerName is how the images of slsa-github-generator's own end-to-end tests are called.
const containerName = "ghcr.io/slsa-framework/example-package.verifier-e2e.all.tag.main.default.slsa3"

// container is one of the five images of the corpus that slsa-github-generator attested, as its index states the facts.
type container struct {
	version string
	digest  string // subject of the provenance, and the image
	commit  string
	ref     string
	entry   string // kind of its log entry
	signed  string // integrated time
}

func containers() []container {
	return []container{
		{"v1.4.0", "a74d89d8dd863ca5dae4a29e0feede81ddf59197849a80784af5a02ab7786925", "904e2c3e02725e314cf6cf141c4700081298dcbd", "refs/heads/main", "intoto 0.0.1", "2023-01-11T16:52:57Z"},
		{"v1.6.0", "0159a9079cf264809b03fef298492057b31d221c4d22211730942877caa658a1", "c14c546e54940a410195ede9aa0e7ee2ef1e16d0", "refs/heads/main", "intoto 0.0.1", "2023-05-24T01:34:07Z"},
		{"v1.7.0", "ca6221e2d0def24e302530f727689a2ab8539a690c740527db33a520284cf141", "62cb1f1e485829bafe8bbec8b9900c0cb7624fe7", "refs/heads/main", "intoto 0.0.1", "2023-06-07T14:43:06Z"},
		{"v1.9.0", "5b146084201148bf151871fa779767f013c47706d031106af0d727fb5b88f5ac", "2bcaa7495e1cbd11fbd4f598d857b3a6f18df933", "refs/tags/v13.0.30", "intoto 0.0.1", "2023-08-23T05:22:08Z"},
		{"v2.0.0", "55aee984fd6b1d0e0a19a55265d10d40063a2212bdbabd75b202b1728236548d", "693130cb6cb840a7bc9cb18c6510d536a95dc7e6", "refs/tags/v13.0.30", "dsse 0.0.1", "2024-04-22T21:35:15Z"},
	}
}

func (c container) layout(dir string) string {
	return filepath.Join(dir, "data/slsa-verifier/cli/slsa-verifier/testdata/gha_generic_container", c.version, "container_workflow_dispatch")
}

// wanted is what a policy asks for; each field is varied alone.
type wanted struct {
	workflow, workflowRef, issuer, repository, ref string
}

func (c container) wanted() wanted {
	return wanted{
		workflow:    "slsa-framework/slsa-github-generator/.github/workflows/generator_container_slsa3.yml",
		workflowRef: "refs/tags/" + c.version, issuer: policy.GitHubIssuer,
		repository: "github.com/slsa-framework/example-package", ref: c.ref,
	}
}

func (w wanted) policy(t testing.TB) *policy.Set {
	t.Helper()
	set, err := policy.Load(policy.File{Name: "policy.yaml", Data: []byte(fmt.Sprintf(`
apiVersion: policy.stemma.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: corpus}
spec:
  match: {images: ["ghcr.io/slsa-framework/*"]}
  builders:
    generator:
      github: {workflow: %q, workflowRefs: [%q], issuer: %q}
      level: 3
  provenance: {by: [generator], formats: [slsa/v0.2], level: 3}
  source: {repository: %q, refs: [%q]}
`, w.workflow, w.workflowRef, w.issuer, w.repository, w.ref))})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

const publicGoodRoot = "data/sigstore_root-signing/targets/trusted_root.json"

func judge(t testing.TB, set *policy.Set, root []byte, image string) (*verify.Result, error) {
	t.Helper()
	v, err := verify.New(context.Background(), verify.Config{
		Policies: set, Roots: map[string][]byte{policy.PublicGood: root},
		Clock: func() time.Time { return time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return v.Verify(context.Background(), verify.Request{Image: image, Name: containerName})
}

// TestContainers: all five layouts verify offline, each with the right subject, builder, repository, commit and binding.
func TestContainers(t *testing.T) {
	dir := corpus(t)
	root := read(t, dir, publicGoodRoot)
	for _, c := range containers() {
		t.Run(c.version, func(t *testing.T) {
			result, err := judge(t, c.wanted().policy(t), root, "oci:"+c.layout(dir))
			if err != nil {
				t.Fatal(err)
			}
			d, e := result.Decision, result.Evidence
			if d.Verdict != stemma.Allow || d.Effect != stemma.Admit || d.Level != 3 {
				t.Errorf("verdict %s, effect %s, level %d; findings:\n%s", d.Verdict, d.Effect, d.Level, findings(d))
			}
			if got := string(e.Image.Digest); got != "sha256:"+c.digest {
				t.Errorf("image %s, want sha256:%s", got, c.digest)
			}
			if len(e.Attestations) != 1 || len(e.Provenance) != 1 || len(e.Rejected) != 0 || len(e.Unavailable) != 0 {
				t.Fatalf("%d attestations, %d provenances, rejected %v, unavailable %v", len(e.Attestations), len(e.Provenance), e.Rejected, e.Unavailable)
			}
			a, p := e.Attestations[0], e.Provenance[0]
			san := "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/generator_container_slsa3.yml@refs/tags/" + c.version
			for what, pair := range map[string][2]string{
				"issuer":       {a.Signer.Issuer, policy.GitHubIssuer},
				"SAN":          {a.Signer.Subject, san},
				"trust":        {a.Signer.Trust, policy.PublicGood},
				"binding":      {string(a.Binding.Kind), string(stemma.BindingExact)},
				"member":       {string(a.Binding.Member), "sha256:" + c.digest},
				"subject":      {a.Binding.Subject.Digest["sha256"], c.digest},
				"subject name": {a.Binding.Subject.Name, containerName},
				"log entry":    {a.Log[0].Kind, c.entry},
				"time":         {a.Time().UTC().Format(time.RFC3339), c.signed},
				"builder":      {p.Value(stemma.FieldBuilder), san},
				"repository":   {p.Value(stemma.FieldRepository), "github.com/slsa-framework/example-package"},
				"commit":       {p.Value(stemma.FieldCommit), c.commit},
				"ref":          {p.Value(stemma.FieldRef), c.ref},
				"format":       {p.Format, "slsa/v0.2"},
			} {
				if pair[0] != pair[1] {
					t.Errorf("%s: got %q, want %q", what, pair[0], pair[1])
				}
			}
			for _, f := range []stemma.Field{stemma.FieldRepository, stemma.FieldCommit, stemma.FieldRef} {
				if by := p.Claims[f].By; by != stemma.SaidByCertificate {
					t.Errorf("%s is said by %s, want certificate", f, by)
				}
			}
		})
	}
}

// TestContainersRefused: each image is denied for the stated reason when one thing is not as the policy wants it.
func TestContainersRefused(t *testing.T) {
	dir := corpus(t)
	root := read(t, dir, publicGoodRoot)
	staging := read(t, dir, "data/sigstore_sigstore-python/sigstore/_store/https%3A%2F%2Ftuf-repo-cdn.sigstage.dev/trusted_root.json")
	cases := []struct {
		name   string
		vary   func(*wanted)
		rule   string
		reason stemma.Reason
	}{
		{"repository", func(w *wanted) { w.repository = "github.com/slsa-framework/example" }, "source.repository", stemma.ReasonRepository},
		{"ref", func(w *wanted) { w.ref = "refs/heads/mai" }, "source.ref", stemma.ReasonRef},
		{"builder", func(w *wanted) { w.workflow = strings.Replace(w.workflow, "container_slsa3", "generic_slsa3", 1) }, "builder.approved", stemma.ReasonBuilder},
		{"builder ref", func(w *wanted) { w.workflowRef = "refs/tags/v1.0.0" }, "builder.approved", stemma.ReasonBuilderRef},
		{"issuer", func(w *wanted) { w.issuer = "https://token.actions.githubusercontent.com/acme" }, "builder.approved", stemma.ReasonIssuer},
	}
	for _, c := range containers() {
		for _, tc := range cases {
			t.Run(c.version+"/"+tc.name, func(t *testing.T) {
				w := c.wanted()
				tc.vary(&w)
				result, err := judge(t, w.policy(t), root, "oci:"+c.layout(dir))
				if err != nil {
					t.Fatal(err)
				}
				denied(t, result.Decision, tc.rule, tc.reason)
			})
		}
		t.Run(c.version+"/trust root", func(t *testing.T) {
			result, err := judge(t, c.wanted().policy(t), staging, "oci:"+c.layout(dir))
			if err != nil {
				t.Fatal(err)
			}
			denied(t, result.Decision, "provenance.present", stemma.ReasonSignerUnknown)
		})
		t.Run(c.version+"/digest", func(t *testing.T) {
			// The evidence of this image, given for another one.
			other := containers()[0]
			if other == c {
				other = containers()[1]
			}
			v, err := verify.New(context.Background(), verify.Config{Policies: c.wanted().policy(t), Roots: map[string][]byte{policy.PublicGood: root}})
			if err != nil {
				t.Fatal(err)
			}
			bundle := derived(t, dir, c)
			result, err := v.Verify(context.Background(), verify.Request{
				Image: "oci:" + withoutEvidence(t, other.layout(dir)), Name: containerName,
				Evidence: []policy.File{{Name: "bundle.json", Data: bundle}},
			})
			if err != nil {
				t.Fatal(err)
			}
			denied(t, result.Decision, "provenance.present", stemma.ReasonSubjectMismatch)
		})
	}
}

// TestContainersByFile: the same evidence as a bundle file, for the image without its own.
func TestContainersByFile(t *testing.T) {
	dir := corpus(t)
	root := read(t, dir, publicGoodRoot)
	for _, c := range containers() {
		v, err := verify.New(context.Background(), verify.Config{Policies: c.wanted().policy(t), Roots: map[string][]byte{policy.PublicGood: root}})
		if err != nil {
			t.Fatal(err)
		}
		bare := withoutEvidence(t, c.layout(dir))
		r := verify.Request{Image: "oci:" + bare, Name: containerName}
		result, err := v.Verify(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		denied(t, result.Decision, "provenance.present", stemma.ReasonNoProvenance)
		r.Evidence = []policy.File{{Name: "bundle.json", Data: derived(t, dir, c)}}
		if result, err = v.Verify(context.Background(), r); err != nil {
			t.Fatal(err)
		}
		if result.Decision.Verdict != stemma.Allow {
			t.Errorf("%s with its bundle as a file: %s\n%s", c.version, result.Decision.Verdict, findings(result.Decision))
		}
	}
}

// withoutEvidence copies a layout and leaves the attestation manifests out of its index.
func withoutEvidence(t testing.TB, layout string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(layout)); err != nil {
		t.Fatal(err)
	}
	var index struct {
		SchemaVersion int              `json:"schemaVersion"`
		Manifests     []map[string]any `json:"manifests"`
	}
	if err := json.Unmarshal(read(t, dir, "index.json"), &index); err != nil {
		t.Fatal(err)
	}
	index.Manifests = index.Manifests[:1]
	data, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "index.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func derived(t testing.TB, dir string, c container) []byte {
	t.Helper()
	matches, err := filepath.Glob(filepath.Join(dir, "derived", "slsa-verifier-*-container-"+c.version+"-*.sigstore.json"))
	if err != nil || len(matches) != 1 {
		t.Fatalf("derived bundle of %s: %v %v", c.version, matches, err)
	}
	return read(t, matches[0])
}

// denied checks that the decision is Deny, and that the rule fails for the reason.
func denied(t testing.TB, d *stemma.Decision, rule string, reason stemma.Reason) {
	t.Helper()
	if d.Verdict != stemma.Deny || d.Effect != stemma.Refuse {
		t.Errorf("verdict %s, effect %s, want deny and refuse", d.Verdict, d.Effect)
	}
	for _, f := range d.Findings {
		if f.Rule == rule {
			if f.Outcome != stemma.Fail || f.Reason != reason {
				t.Errorf("%s: %s %s, want fail %s\n%s", rule, f.Outcome, f.Reason, reason, findings(d))
			}
			return
		}
	}
	t.Errorf("no finding of %s:\n%s", rule, findings(d))
}

func findings(d *stemma.Decision) string {
	var b strings.Builder
	for _, f := range d.Findings {
		fmt.Fprintf(&b, "  %-8s %-22s %-18s got %q want %q detail %q\n", f.Outcome, f.Rule, f.Reason, f.Got, f.Want, f.Detail)
	}
	return b.String()
}
