package policy

import (
	"encoding/json"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"stemma"
)

var update = flag.Bool("update", false, "rewrite the want.txt of testdata")

// now is the time of every decision in these tests.
func now() stemma.Situation {
	return stemma.Situation{At: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}
}

const (
	trustedWorkflow = "https://github.com/trusted/builders/.github/workflows/build.yml"
	trustedSAN      = trustedWorkflow + "@refs/tags/v1.2.3"
	commitOfSource  = "c0ffee0000000000000000000000000000000001"
	commitOfBuilder = "b01d000000000000000000000000000000000002"
)

// f0Policy asks for everything that F0 has.
const f0Policy = `apiVersion: policy.stemma.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: app}
spec:
  match: {images: ["ghcr.io/acme/{service}"]}
  builders:
    release:
      github:
        workflow: trusted/builders/.github/workflows/build.yml
        workflowRefs: ["refs/tags/v1.*"]
        caller: {ownerID: 48120341}
        events: [push, release]
        runner: github-hosted
      level: 3
  provenance: {by: [release], formats: [slsa/v1], level: 3, maxAge: 90d}
  source:
    repository: github.com/acme/{service}
    refs: [refs/heads/main, "refs/tags/v*"]
`

func digest(text string) stemma.Digest { return stemma.SHA256([]byte(text)) }

func imageDigest() stemma.Digest { return digest("image") }

// githubSigner is an identity of GitHub Actions: a workflow at a ref, called by acme/app.
func githubSigner(san string) stemma.Identity {
	return stemma.Identity{
		Trust: PublicGood, Issuer: GitHubIssuer, Subject: san, Key: digest("key of " + san),
		Claims: map[string]string{
			stemma.ClaimBuildSignerURI:      san,
			stemma.ClaimBuildSignerDigest:   commitOfBuilder,
			stemma.ClaimSourceRepositoryURI: "https://github.com/acme/app",
			stemma.ClaimSourceOwnerID:       "48120341",
			stemma.ClaimBuildTrigger:        "push",
			stemma.ClaimRunnerEnvironment:   "github-hosted",
		},
	}
}

func keySigner(trust, name string) stemma.Identity {
	return stemma.Identity{Trust: trust, KeyID: name, Key: digest("key " + name)}
}

// attest makes an attestation about the image; its bundle is the digest of name.
func attest(name string, signer stemma.Identity) stemma.Attestation {
	return stemma.Attestation{
		Bundle: digest(name), Format: "sigstore-bundle v0.3", Place: "referrers", Signer: signer,
		Statement: stemma.Statement{Type: stemma.StatementV1, PredicateType: stemma.PredicateSLSAv1},
		Log:       []stemma.LogEntry{{Log: "rekor.sigstore.dev", Index: 98231177, Kind: "dsse 0.0.1", Proof: "inclusion"}},
		SignedAt:  []stemma.SignedTime{{Time: time.Date(2026, 5, 31, 12, 0, 0, 0, time.UTC), By: "log"}},
		Binding:   stemma.Binding{Kind: stemma.BindingExact, Member: imageDigest()},
	}
}

func signature(name string, signer stemma.Identity) stemma.Attestation {
	a := attest(name, signer)
	a.Signature, a.Statement = true, stemma.Statement{}
	return a
}

func said(value string, by stemma.Grade, where string, others ...stemma.Said) stemma.Claim {
	return stemma.Claim{Said: stemma.Said{Value: value, By: by, Where: where}, Others: others}
}

func bySelf(value, where string) stemma.Said {
	return stemma.Said{Value: value, By: stemma.SaidByBuilder, Where: where}
}

// provenance is what a reader makes of an attestation of GitHub Actions.
func provenance(name string, signer stemma.Identity) stemma.Provenance {
	cert := stemma.SaidByCertificate
	return stemma.Provenance{
		Bundle: digest(name), Format: "slsa/v1", BuildType: "https://actions.github.io/buildtypes/workflow/v1", Known: "GitHub Actions", Author: author(signer),
		Claims: map[stemma.Field]stemma.Claim{
			stemma.FieldBuilder:    said(signer.Subject, cert, "certificate SAN", bySelf(signer.Subject, "/runDetails/builder/id")),
			stemma.FieldRepository: said("github.com/acme/app", cert, "certificate .12", bySelf("github.com/acme/app", "/buildDefinition/externalParameters/workflow/repository")),
			stemma.FieldRef:        said("refs/tags/v2.0.0", cert, "certificate .14"),
			stemma.FieldCommit:     said(commitOfSource, cert, "certificate .13", bySelf(commitOfSource, "/buildDefinition/resolvedDependencies/0/digest/gitCommit")),
			stemma.FieldTrigger:    said("push", cert, "certificate .20"),
			stemma.FieldRunner:     said("github-hosted", cert, "certificate .11"),
		},
	}
}

// author is by whom the words of a predicate are said, as the reader of predicates tells it.
func author(signer stemma.Identity) stemma.Grade {
	w, _ := stemma.ParseWorkflow(signer.Subject)
	switch {
	case signer.KeyID != "":
		return stemma.SaidByBuilder
	case strings.EqualFold("https://"+w.Repository, signer.Claims[stemma.ClaimSourceRepositoryURI]):
		return stemma.SaidByTenant
	case w.Repository != "" && signer.Claims[stemma.ClaimSourceRepositoryURI] != "":
		return stemma.SaidByBuilder
	}
	return stemma.SaidByTenant
}

// add puts a provenance and its attestation into evidence.
func add(e *stemma.Evidence, name string, signer stemma.Identity, change ...func(*stemma.Attestation, *stemma.Provenance)) {
	a, p := attest(name, signer), provenance(name, signer)
	for _, c := range change {
		c(&a, &p)
	}
	e.Attestations, e.Provenance = append(e.Attestations, a), append(e.Provenance, p)
}

func none() *stemma.Evidence {
	return &stemma.Evidence{
		Image: stemma.Image{Repository: "ghcr.io/acme/app", Digest: imageDigest()},
		Trust: []stemma.TrustRef{{Name: PublicGood, Digest: digest("root")}}, CollectedAt: now().At,
	}
}

// f0 is the evidence that everything in the tests is a variation of.
func f0() *stemma.Evidence {
	e := none()
	add(e, "bundle", githubSigner(trustedSAN))
	return e
}

// claim changes what is said about one field of the first provenance.
func claim(f stemma.Field, c stemma.Claim) func(*stemma.Evidence) {
	return func(e *stemma.Evidence) { e.Provenance[0].Claims[f] = c }
}

func byCertificate(f stemma.Field, value string) func(*stemma.Evidence) {
	return claim(f, said(value, stemma.SaidByCertificate, "certificate"))
}

func signerIs(change func(*stemma.Identity)) func(*stemma.Evidence) {
	return func(e *stemma.Evidence) {
		change(&e.Attestations[0].Signer)
		e.Provenance[0].Author = author(e.Attestations[0].Signer)
	}
}

func san(s string) func(*stemma.Evidence) {
	return signerIs(func(id *stemma.Identity) { id.Subject = s })
}

func rejected(name string, r stemma.Reason) stemma.Rejection {
	return stemma.Rejection{Bundle: digest(name), Format: "dsse", Place: "referrers", Reason: r, Detail: "detail of " + name}
}

func away() stemma.Unavailable {
	return stemma.Unavailable{Place: "referrers", Reason: stemma.ReasonRateLimited, Detail: "429 Too Many Requests"}
}

func load(t testing.TB, texts ...string) *Set {
	t.Helper()
	set, err := Load(files(texts...)...)
	if err != nil {
		t.Fatalf("loading: %v", err)
	}
	return set
}

func files(texts ...string) []File {
	var out []File
	for i, text := range texts {
		name := "policy.yaml"
		if i > 0 {
			name = fmt.Sprintf("policy%d.yaml", i+1)
		}
		out = append(out, File{Name: name, Data: []byte(text)})
	}
	return out
}

// change replaces text of a policy and fails when it does not occur.
func change(t testing.TB, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("%q is not in the policy", pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text
}

func evaluate(t testing.TB, policy string, changes ...func(*stemma.Evidence)) *stemma.Decision {
	t.Helper()
	e := f0()
	for _, c := range changes {
		c(e)
	}
	return Evaluate(load(t, policy), e, now())
}

// finding is the finding of a rule, or fails.
func finding(t testing.TB, d *stemma.Decision, rule string) stemma.Finding {
	t.Helper()
	for _, f := range d.Findings {
		if f.Rule == rule {
			return f
		}
	}
	t.Fatalf("no finding of %s in\n%s", rule, render(d))
	return stemma.Finding{}
}

// only checks that a decision refuses by exactly one cell: the rule, with the reason.
func only(t testing.TB, d *stemma.Decision, rule string, reason stemma.Reason) {
	t.Helper()
	var unmet []string
	for _, f := range d.Findings {
		if f.Outcome != stemma.Pass {
			unmet = append(unmet, fmt.Sprintf("%s %s %s", f.Outcome, f.Rule, f.Reason))
		}
	}
	want := fmt.Sprintf("fail %s %s", rule, reason)
	if d.Verdict != stemma.Deny || d.Effect != stemma.Refuse || strings.Join(unmet, "; ") != want {
		t.Errorf("%s, %s by %q, want deny by %q", d.Verdict, d.Effect, strings.Join(unmet, "; "), want)
	}
}

func allowed(t testing.TB, d *stemma.Decision) {
	t.Helper()
	if d.Verdict != stemma.Allow || d.Effect != stemma.Admit {
		t.Errorf("not allowed:\n%s", render(d))
	}
}

// render is the compact text of a decision in want.txt.
func render(d *stemma.Decision) string { return Outline(d) }

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// platformsSet is a PolicySet that says which platforms are judged.
func platformsSet(platforms string) string {
	return "apiVersion: policy.stemma.dev/v1alpha1\nkind: PolicySet\nmetadata: {name: acme}\nspec: {platforms: " + platforms + "}\n---\n"
}

// child is what f0 is, about a platform.
func child(platform string) *stemma.Evidence {
	e := f0()
	e.Image.Digest = digest(platform)
	e.Attestations[0].Binding.Member = e.Image.Digest
	name, version, _ := strings.Cut(platform, ":")
	parts := append(strings.Split(name, "/"), "", "")
	e.Platform = stemma.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2], OSVersion: version}
	return e
}

// index makes of evidence an index about which there is none, and which lists platforms that have f0's each.
func index(platforms ...string) func(*stemma.Evidence) {
	return func(e *stemma.Evidence) {
		nothing(e)
		e.MediaType = "application/vnd.oci.image.index.v1+json"
		for _, p := range platforms {
			e.Platforms = append(e.Platforms, child(p))
		}
	}
}

// unread is an index of which one child could not be read.
func unread(e *stemma.Evidence) {
	e.Unavailable = append(e.Unavailable, stemma.Unavailable{Place: "index children", Reason: stemma.ReasonUnreachable, Detail: "child sha256:0123456789ab…: 503"})
}
