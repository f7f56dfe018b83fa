package sigstore

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stemma"
)

const generator = "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/generator_container_slsa3.yml@refs/tags/"

type container struct {
	version string
	subject stemma.Digest
	kind    string            // of the log entry
	at      string            // integrated time
	claims  map[string]string // a part of them
}

// containers are the images of slsa-github-generator in the corpus.
func containers() []container {
	old := func(sha, ref, trigger string) map[string]string {
		return map[string]string{
			stemma.ClaimGitHubSHA: sha, stemma.ClaimGitHubRef: ref, stemma.ClaimGitHubTrigger: trigger,
			stemma.ClaimGitHubRepository: "slsa-framework/example-package",
		}
	}
	with := func(m map[string]string) map[string]string {
		m[stemma.ClaimSourceRepositoryURI] = "https://github.com/slsa-framework/example-package"
		m[stemma.ClaimSourceRepositoryHash] = m[stemma.ClaimGitHubSHA]
		m[stemma.ClaimSourceRepositoryRef] = m[stemma.ClaimGitHubRef]
		m[stemma.ClaimRunnerEnvironment] = "github-hosted"
		return m
	}
	return []container{
		{
			"v1.4.0", "sha256:a74d89d8dd863ca5dae4a29e0feede81ddf59197849a80784af5a02ab7786925", "intoto 0.0.1", "2023-01-11T16:52:57Z",
			old("904e2c3e02725e314cf6cf141c4700081298dcbd", "refs/heads/main", "workflow_dispatch"),
		},
		{
			"v1.6.0", "sha256:0159a9079cf264809b03fef298492057b31d221c4d22211730942877caa658a1", "intoto 0.0.1", "2023-05-24T01:34:07Z",
			with(old("c14c546e54940a410195ede9aa0e7ee2ef1e16d0", "refs/heads/main", "workflow_dispatch")),
		},
		{
			"v1.7.0", "sha256:ca6221e2d0def24e302530f727689a2ab8539a690c740527db33a520284cf141", "intoto 0.0.1", "2023-06-07T14:43:06Z",
			with(old("62cb1f1e485829bafe8bbec8b9900c0cb7624fe7", "refs/heads/main", "workflow_dispatch")),
		},
		{
			"v1.9.0", "sha256:5b146084201148bf151871fa779767f013c47706d031106af0d727fb5b88f5ac", "intoto 0.0.1", "2023-08-23T05:22:08Z",
			with(old("2bcaa7495e1cbd11fbd4f598d857b3a6f18df933", "refs/tags/v13.0.30", "push")),
		},
		{
			"v2.0.0", "sha256:55aee984fd6b1d0e0a19a55265d10d40063a2212bdbabd75b202b1728236548d", "dsse 0.0.1", "2024-04-22T21:35:15Z",
			with(old("693130cb6cb840a7bc9cb18c6510d536a95dc7e6", "refs/tags/v13.0.30", "push")),
		},
	}
}

// raws are the two forms in which the corpus holds the attestation of an image.
func (c container) raws(t testing.TB) map[string]stemma.Raw {
	t.Helper()
	found := layers(t, filepath.Join(corpus(t), "data/slsa-verifier/cli/slsa-verifier/testdata/gha_generic_container", c.version, "container_workflow_dispatch"))
	if len(found) != 1 {
		t.Fatalf("%d attestation layers", len(found))
	}
	bundle := one(t, "derived/slsa-verifier-*-container-"+c.version+"-*.sigstore.json")
	return map[string]stemma.Raw{"cosign dsse": found[0], "sigstore-bundle v0.1": {Format: stemma.FormatBundle, Data: bundle, Place: "file"}}
}

func TestContainers(t *testing.T) {
	good := authenticator(t, publicGood(t), gitHub(t))
	wrong := map[string]*Authenticator{"staging": authenticator(t, stagingDomain(t)), "github": authenticator(t, gitHub(t))}
	for _, c := range containers() {
		for form, raw := range c.raws(t) {
			t.Run(c.version+" "+form, func(t *testing.T) {
				a := wantAccepted(t, good, raw, Artifact{Digest: c.subject})
				if a.Format != form || a.Signature || a.Statement.PredicateType != stemma.PredicateSLSAv02 {
					t.Errorf("form %q, signature %v, predicate %s", a.Format, a.Signature, a.Statement.PredicateType)
				}
				if a.Signer.Subject != generator+c.version || a.Signer.Issuer != "https://token.actions.githubusercontent.com" || a.Signer.Trust != "public-good" {
					t.Errorf("signer %+v", a.Signer)
				}
				for name, want := range c.claims {
					if got := a.Signer.Claims[name]; got != want {
						t.Errorf("claim %s is %q, want %q", name, got, want)
					}
				}
				if c.version == "v1.4.0" && len(a.Signer.Claims) != 5 {
					t.Errorf("claims %v, want .2 to .6 only", a.Signer.Claims)
				}
				if b := a.Binding; b.Kind != stemma.BindingExact || b.Member != c.subject || b.Subject.Digest["sha256"] != c.subject.Hex() {
					t.Errorf("binding %+v", b)
				}
				if len(a.Log) != 1 || a.Log[0].Kind != c.kind || a.Log[0].Log != "https://rekor.sigstore.dev" {
					t.Errorf("log %+v", a.Log)
				}
				at, err := time.Parse(time.RFC3339, c.at)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff([]stemma.SignedTime{{Time: at, By: "log", From: "https://rekor.sigstore.dev"}}, a.SignedAt); diff != "" {
					t.Errorf("signed at (-want +got):\n%s", diff)
				}

				other := stemma.SHA256([]byte("another image"))
				wantRejected(t, good, raw, Artifact{Digest: other}, stemma.ReasonSubjectMismatch)
				for name, a := range wrong {
					t.Run("root of "+name, func(t *testing.T) {
						wantRejected(t, a, raw, Artifact{Digest: c.subject}, stemma.ReasonSignerUnknown)
					})
				}
			})
		}
	}
}
