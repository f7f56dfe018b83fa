package policy

import (
	"testing"

	"stemma"
)

// twoKeys wants one provenance by two builders, each with a key.
const twoKeys = keySet + `apiVersion: policy.stemma.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: two}
spec:
  match: {images: ["ghcr.io/acme/{service}"]}
  builders:
    build: {trust: chains, keys: [chains-2026], id: "https://ci.acme.example/builder"}
    audit: {trust: acme-kms, keys: [release, review], id: "https://ci.acme.example/builder"}
  provenance: {by: {atLeast: 2, of: [build, audit]}}
  source: {repository: "github.com/acme/{service}", saidBy: builder}
`

// keyedBy is evidence of one provenance in one envelope, signed by several.
func keyedBy(signer stemma.Identity, cosigners ...stemma.Identity) func(*stemma.Evidence) {
	return func(e *stemma.Evidence) {
		nothing(e)
		add(e, "bundle", signer, func(a *stemma.Attestation, p *stemma.Provenance) {
			a.Cosigners = cosigners
			p.Claims = map[stemma.Field]stemma.Claim{
				stemma.FieldBuilder:    said("https://ci.acme.example/builder", stemma.SaidByBuilder, "/runDetails/builder/id"),
				stemma.FieldRepository: said("github.com/acme/app", stemma.SaidByBuilder, "/x"),
			}
		})
	}
}

// An envelope that two managed keys signed is the word of both. GHSA-3633: of one key it is the word of one, under however
// many names.
func TestThresholdCosigners(t *testing.T) {
	build, audit, review := keySigner("chains", "chains-2026"), keySigner("acme-kms", "release"), keySigner("acme-kms", "review")
	stranger := keySigner("acme-kms", "intern")
	again := audit
	again.Key = build.Key
	allowed(t, evaluate(t, twoKeys, keyedBy(build, audit)))
	allowed(t, evaluate(t, twoKeys, keyedBy(audit, build)))
	allowed(t, evaluate(t, twoKeys, keyedBy(build, stranger, audit)))
	allowed(t, evaluate(t, twoKeys, keyedBy(stranger, build, audit)))
	for name, c := range map[string]struct {
		policy   string
		evidence func(*stemma.Evidence)
	}{
		"one signer":                      {twoKeys, keyedBy(build)},
		"one signer twice":                {twoKeys, keyedBy(build, build)},
		"one key under two names":         {twoKeys, keyedBy(build, again)},
		"two keys of one builder":         {twoKeys, keyedBy(audit, review)},
		"one and a stranger":              {twoKeys, keyedBy(build, stranger)},
		"one and the name of the other":   {twoKeys, keyedBy(build, keySigner("chains", "release"))},
		"one and a certificate":           {change(t, twoKeys, "audit: {trust: acme-kms, keys: [release, review], id: \"https://ci.acme.example/builder\"}", "audit: {github: {workflow: trusted/builders/.github/workflows/build.yml, workflowRefs: [\"refs/tags/**\"]}}"), keyedBy(build, githubSigner(trustedSAN))},
		"the other speaks for another id": {change(t, twoKeys, "keys: [release, review], id: \"https://ci.acme.example/builder\"", "keys: [release, review], id: \"https://audit.acme.example\""), keyedBy(build, audit)},
	} {
		t.Run(name, func(t *testing.T) {
			d := evaluate(t, c.policy, c.evidence)
			if f := finding(t, d, "builder.approved"); d.Verdict != stemma.Deny || f.Outcome != stemma.Fail || f.Reason != stemma.ReasonThreshold {
				t.Errorf("%s", render(d))
			}
		})
	}
	// Both say what the one predicate says.
	only(t, evaluate(t, twoKeys, keyedBy(build, audit), claim(stemma.FieldRepository, said("github.com/evil/app", stemma.SaidByBuilder, "/x"))), "source.repository", stemma.ReasonRepository)
	// The time is proven of the first signature alone.
	aged := change(t, twoKeys, "of: [build, audit]}}", "of: [build, audit]}, maxAge: 90d}")
	d := evaluate(t, aged, keyedBy(build, audit))
	if f := finding(t, d, "provenance.age"); d.Verdict != stemma.Undetermined || f.Reason != stemma.ReasonNoTime {
		t.Errorf("%s", render(d))
	}
	allowed(t, evaluate(t, change(t, aged, "{atLeast: 2, of: [build, audit]}", "[build, audit]"), keyedBy(build, audit)))
	// Who signs besides takes nothing away where one is enough.
	allowed(t, evaluate(t, change(t, twoKeys, "{atLeast: 2, of: [build, audit]}", "[build]"), keyedBy(build, stranger)))
	only(t, evaluate(t, change(t, twoKeys, "{atLeast: 2, of: [build, audit]}", "[build]"), keyedBy(stranger, stranger)), "builder.approved", stemma.ReasonTrustDomain)
	// A certificate's provenance is no word of a key that signs besides.
	d = evaluate(t, change(t, twoKeys, "{atLeast: 2, of: [build, audit]}", "[build]"), keyedBy(githubSigner(trustedSAN), build))
	if f := finding(t, d, "builder.approved"); d.Verdict != stemma.Deny || f.Reason != stemma.ReasonTrustDomain {
		t.Errorf("%s", render(d))
	}
}
