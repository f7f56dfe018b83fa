package policy

import (
	"strings"
	"testing"

	"stemma"
)

// B-class: an SBOM of another image, one that nobody signed, and one by somebody who may not.
func TestReg_D10_sbom(t *testing.T) {
	onlySBOM := change(t, f0Policy, "  source:\n", "  sbom: {by: [release], consistentWith: [image]}\n  source:\n")
	mine := func(e *stemma.Evidence) { addSBOM(e, "sbom", githubSigner(trustedSAN)) }
	elsewhere := func(kind stemma.BindingKind, member stemma.Digest) func(*stemma.Evidence) {
		return piece("sbom", func(a *stemma.Attestation) { a.Binding = stemma.Binding{Kind: kind, Member: member} })
	}
	allowed(t, evaluate(t, onlySBOM, mine))
	unsigned := func(e *stemma.Evidence) {
		s := materials("unsigned")
		e.Unsigned = []stemma.Unsigned{{Bundle: s.Bundle, Place: "index children", Sealed: true, Bound: true, SBOM: &s}}
		e.SBOMs = []stemma.SBOM{s}
	}
	attached := func(e *stemma.Evidence) {
		x := none()
		x.Image.Digest = digest("attached")
		x.SBOMs = []stemma.SBOM{materials("file")}
		x.Attestations = []stemma.Attestation{signature("of the file", githubSigner(trustedSAN))}
		x.Attestations[0].Binding.Member = x.Image.Digest
		e.Attached = []*stemma.Evidence{x}
	}
	for name, c := range map[string]struct {
		changes []func(*stemma.Evidence)
		reason  stemma.Reason
		got     string
	}{
		"none":              {nil, stemma.ReasonNoSBOM, "1 attestation of other types"},
		"of another digest": {[]func(*stemma.Evidence){mine, elsewhere(stemma.BindingExact, digest("other"))}, stemma.ReasonNoSBOM, "2 attestations of other types"},
		"of another digest, refused": {[]func(*stemma.Evidence){func(e *stemma.Evidence) {
			e.Rejected = []stemma.Rejection{rejected("sbom", stemma.ReasonSubjectMismatch)}
		}}, stemma.ReasonSubjectMismatch, "detail of sbom"},
		"of no digest":  {[]func(*stemma.Evidence){mine, elsewhere("", "")}, stemma.ReasonNoSBOM, "2 attestations of other types"},
		"of the source": {[]func(*stemma.Evidence){mine, elsewhere(stemma.BindingSource, imageDigest())}, stemma.ReasonNoSBOM, "2 attestations of other types"},
		"of an index that does not list it": {
			[]func(*stemma.Evidence){mine, elsewhere(stemma.BindingViaIndex, digest("index"))}, stemma.ReasonSubjectMismatch, "an SBOM of " + digest("index").Short() + ", which was not seen to list it",
		},
		"of the config": {
			[]func(*stemma.Evidence){mine, elsewhere(stemma.BindingViaConfig, digest("config")), func(e *stemma.Evidence) { e.Config = digest("config") }}, stemma.ReasonBinding, "an SBOM of the config " + digest("config").Short(),
		},
		"unsigned":  {[]func(*stemma.Evidence){unsigned}, stemma.ReasonNoSBOM, "an SBOM in SPDX 2.3 that nobody signed (index children)"},
		"as a file": {[]func(*stemma.Evidence){attached}, stemma.ReasonNoSBOM, "an SBOM as a file (attached " + digest("attached").Short() + "), which nobody attests of the image"},
		"by another workflow": {[]func(*stemma.Evidence){mine, piece("sbom", func(a *stemma.Attestation) {
			a.Signer = githubSigner("https://github.com/evil/x/.github/workflows/build.yml@refs/tags/v1.2.3")
		})}, stemma.ReasonSigner, "an SBOM by evil/x/.github/workflows/build.yml @ refs/tags/v1.2.3"},
		"by another issuer":    {[]func(*stemma.Evidence){mine, piece("sbom", func(a *stemma.Attestation) { a.Signer.Issuer = "https://issuer.example" })}, stemma.ReasonSigner, "an SBOM by trusted/builders/.github/workflows/build.yml @ refs/tags/v1.2.3"},
		"in another domain":    {[]func(*stemma.Evidence){mine, piece("sbom", func(a *stemma.Attestation) { a.Signer.Trust = "acme" })}, stemma.ReasonSigner, "an SBOM by trusted/builders/.github/workflows/build.yml @ refs/tags/v1.2.3"},
		"a signature, no SBOM": {[]func(*stemma.Evidence){mine, piece("sbom", func(a *stemma.Attestation) { a.Signature = true })}, stemma.ReasonNoSBOM, "2 attestations of other types"},
	} {
		t.Run(name, func(t *testing.T) {
			d := evaluate(t, onlySBOM, c.changes...)
			f := finding(t, d, "sbom.present")
			if d.Verdict != stemma.Deny || f.Outcome != stemma.Fail || f.Reason != c.reason || f.Got != c.got {
				t.Errorf("%s", render(d))
			}
			if f := finding(t, d, "sbom.subject"); f.Outcome != stemma.Fail || f.Needs != "sbom.present" {
				t.Errorf("what it says is judged without it:\n%s", render(d))
			}
		})
	}
	// What is authentic and of another digest by its own words, though its statement names this one.
	only(t, evaluate(t, onlySBOM, mine, sbom(func(s *stemma.SBOM) { s.Subjects[0].Digests[0] = digest("other") })), "sbom.subject", stemma.ReasonInconsistent)
	// One bundle that is authentic under two trust domains is accepted under the one that the policy names.
	allowed(t, evaluate(t, onlySBOM, mine, func(e *stemma.Evidence) {
		a := e.Attestations[1]
		a.Signer.Trust = "acme"
		e.Attestations = append(e.Attestations, a)
	}))
	// While a place is silent its absence is not known, and an SBOM by a stranger is no proof of it.
	for _, changes := range [][]func(*stemma.Evidence){{silent}, {unsigned, silent}, {mine, piece("sbom", func(a *stemma.Attestation) { a.Signer.Trust = "acme" }), silent}} {
		if d := evaluate(t, onlySBOM, changes...); d.Verdict != stemma.Undetermined || finding(t, d, "sbom.present").Reason != stemma.ReasonRateLimited {
			t.Errorf("%s", render(d))
		}
	}
}

// Mission case 4: the base image of the SBOM is another one than that of the provenance.
func TestReg_D11_base(t *testing.T) {
	policy := change(t, f0Policy, "  source:\n", "  sbom: {by: [release], consistentWith: [base]}\n  source:\n")
	mine := func(e *stemma.Evidence) {
		dependencies(e)
		addSBOM(e, "sbom", githubSigner(trustedSAN))
	}
	base := func(c ...stemma.Component) func(*stemma.Evidence) {
		return sbom(func(s *stemma.SBOM) { s.Bases = c })
	}
	right, wrong := digest("base"), digest("other")
	allowed(t, evaluate(t, policy, mine))
	allowed(t, evaluate(t, policy, mine, base(stemma.Component{Digests: []stemma.Digest{wrong}}, stemma.Component{Digests: []stemma.Digest{right}})))
	for name, c := range map[string]stemma.Component{
		"another digest":              {Name: "debian", Digests: []stemma.Digest{wrong}},
		"another digest, package URL": {PURL: "pkg:oci/debian@" + string(wrong)},
		"the image of a stage":        {Digests: []stemma.Digest{digest("stage")}},
		"the digest in capitals":      {Digests: []stemma.Digest{wrong, stemma.Digest(strings.ToUpper(string(right)))}},
	} {
		t.Run(name, func(t *testing.T) {
			d := evaluate(t, policy, mine, base(c))
			only(t, d, "sbom.base", stemma.ReasonInconsistent)
			if f := finding(t, d, "sbom.base"); !strings.Contains(f.Want, string(right)) {
				t.Errorf("both values are to be told: %+v", f)
			}
		})
	}
	for name, changes := range map[string][]func(*stemma.Evidence){
		"no digest in the SBOM":       {base(stemma.Component{Name: "debian", Version: "12", PURL: "pkg:oci/debian@12"})},
		"no base in the SBOM":         {base()},
		"no base in the provenance":   {func(e *stemma.Evidence) { e.Provenance[0].Inputs = nil }},
		"no digest in the provenance": {func(e *stemma.Evidence) { e.Provenance[0].Inputs[0].Digest = nil }},
		"nobody states one":           {base(), func(e *stemma.Evidence) { e.Provenance[0].Inputs = nil }},
	} {
		t.Run(name, func(t *testing.T) {
			only(t, evaluate(t, policy, append([]func(*stemma.Evidence){mine}, changes...)...), "sbom.base", stemma.ReasonNotStated)
		})
	}
}

// CVE-2022-35929, CVE-2022-35930: what is required is an attestation of its type, whatever else is valid.
func TestReg_E03_required_type(t *testing.T) {
	allowed(t, bomed(t, bomPolicy))
	only(t, bomed(t, bomPolicy, minus("review")), "attestations.present", stemma.ReasonNoAttestation)
	for name, kind := range map[string]string{
		"an SBOM's": spdxType, "a provenance's": stemma.PredicateSLSAv1, "none": "", "another version": "https://acme.example/image-review/v2",
		"in capitals": strings.ToUpper(reviewType), "with a slash": reviewType + "/", "longer": reviewType + ".1", "shorter": reviewType[:len(reviewType)-1],
	} {
		t.Run(name, func(t *testing.T) {
			only(t, bomed(t, bomPolicy, piece("review", func(a *stemma.Attestation) { a.Statement.PredicateType = kind })), "attestations.present", stemma.ReasonNoAttestation)
		})
	}
	only(t, bomed(t, bomPolicy, piece("review", func(a *stemma.Attestation) { a.Signature = true })), "attestations.present", stemma.ReasonNoAttestation)
	// Nor does one block's evidence meet another's.
	d := bomed(t, bomPolicy, minus("sbom"), minus("scan"))
	if finding(t, d, "sbom.present").Reason != stemma.ReasonNoSBOM || finding(t, d, "vulnerabilities.scanned").Reason != stemma.ReasonNoAttestation || finding(t, d, "attestations.present").Outcome != stemma.Pass {
		t.Errorf("%s", render(d))
	}
}

// CVE-2026-39395: a predicate that could not be parsed passed.
func TestReg_E04_unparsable(t *testing.T) {
	noValues := change(t, bomPolicy, ", values: {/result: [accepted], /by/0/score: [5, 6]}", "")
	allowed(t, bomed(t, noValues))
	for _, predicate := range []string{
		`{`, `{"result":"accepted"`, `{"result":"accepted","by":[{"score":5}]}x`, `{"a":1,"a":2}`, `{"result":"accepted",}`, `{'result':'accepted'}`, "\xff", `{"x":NaN}`, `{"\ud800":1}`,
	} {
		for _, text := range []string{bomPolicy, noValues} {
			only(t, bomed(t, text, piece("review", func(a *stemma.Attestation) { a.Statement.Predicate = []byte(predicate) })), "attestations.present", stemma.ReasonMalformed)
		}
	}
	for _, predicate := range []string{`null`, `[]`, `{}`, `"accepted"`, `{"result":{}}`, `{"result":[]}`, `{"result":"accepted","by":[]}`, `{"result":"accepted","by":{"score":5}}`} {
		only(t, bomed(t, bomPolicy, piece("review", func(a *stemma.Attestation) { a.Statement.Predicate = []byte(predicate) })), "attestations.present", stemma.ReasonNotStated)
	}
}

// GHSA-r4fv: of two attestations of one type, which came first decided. Here any good one is enough, wherever it stands,
// and of scans every one must be good, wherever it stands.
func TestReg_E05_duplicate_types(t *testing.T) {
	for _, name := range []string{"a", "zz"} {
		for _, first := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				turned := func(e *stemma.Evidence) {
					if first {
						e.Attestations[0], e.Attestations[len(e.Attestations)-1] = e.Attestations[len(e.Attestations)-1], e.Attestations[0]
					}
				}
				review := func(signer stemma.Identity) func(*stemma.Evidence) {
					return func(e *stemma.Evidence) { addReview(e, name, signer, `{"result":"rejected"}`) }
				}
				allowed(t, bomed(t, bomPolicy, review(vendor()), turned))
				allowed(t, bomed(t, bomPolicy, review(keySigner("acme-kms", "intern")), turned))
				only(t, bomed(t, bomPolicy, review(vendor()), turned, minus("review")), "attestations.present", stemma.ReasonNotStated)
				other := func(_ *stemma.Attestation, s *stemma.SBOM) { s.Subjects[0].Digests[0] = digest("other") }
				allowed(t, bomed(t, bomPolicy, func(e *stemma.Evidence) { addSBOM(e, name, vendor(), other) }, turned))
				dirty := func(_ *stemma.Attestation, s *stemma.Scan) { s.Found = append(s.Found, critical("CVE-2026-2")) }
				only(t, bomed(t, bomPolicy, func(e *stemma.Evidence) { addScan(e, name, scanner(), dirty) }, turned), "vulnerabilities.none", stemma.ReasonVulnerable)
			})
		}
	}
}

// GHSA-c346: one attestation found in three places, one signer who says it thrice and one key under two names are one.
func TestReg_E06_attestations(t *testing.T) {
	two := change(t, bomPolicy, "by: [vendor, scanner], maxAge: 30d", "by: {atLeast: 2, of: [vendor, scanner, again]}, maxAge: 30d", "  signers:\n", "  signers:\n    again: {trust: acme-kms, keys: [review-again]}\n",
		"sbom: {by: [release, vendor]", "sbom: {by: {atLeast: 2, of: [release, vendor]}", "vulnerabilities: {by: [scanner, vendor]", "vulnerabilities: {by: {atLeast: 2, of: [scanner, vendor]}")
	full := func(e *stemma.Evidence) {
		addReview(e, "review 2", scanner(), accepted)
		addSBOM(e, "sbom 2", vendor())
		addScan(e, "scan 2", vendor())
	}
	allowed(t, bomed(t, two, full))
	again := scanner()
	again.KeyID = "review-again"
	for name, c := range map[string]struct {
		rule    string
		changes []func(*stemma.Evidence)
	}{
		"one review":           {"attestations.present", []func(*stemma.Evidence){minus("review 2")}},
		"found in three":       {"attestations.present", []func(*stemma.Evidence){minus("review 2"), thrice("review")}},
		"said thrice":          {"attestations.present", []func(*stemma.Evidence){minus("review 2"), func(e *stemma.Evidence) { addReview(e, "x", vendor(), accepted); addReview(e, "y", vendor(), accepted) }}},
		"one key, two names":   {"attestations.present", []func(*stemma.Evidence){minus("review"), func(e *stemma.Evidence) { addReview(e, "x", again, accepted) }}},
		"SBOM found in three":  {"sbom.present", []func(*stemma.Evidence){minus("sbom 2"), thrice("sbom")}},
		"scan found in three":  {"vulnerabilities.scanned", []func(*stemma.Evidence){minus("scan 2"), thrice("scan")}},
		"one and a stranger's": {"attestations.present", []func(*stemma.Evidence){piece("review 2", func(a *stemma.Attestation) { a.Signer = keySigner("acme-kms", "intern") })}},
	} {
		t.Run(name, func(t *testing.T) {
			d := bomed(t, two, append([]func(*stemma.Evidence){full}, c.changes...)...)
			if f := finding(t, d, c.rule); d.Verdict != stemma.Deny || f.Outcome != stemma.Fail || f.Reason != stemma.ReasonThreshold {
				t.Errorf("%s", render(d))
			}
		})
	}
	// With atLeast each requirement on what SBOMs say must be met by as many.
	half := func(e *stemma.Evidence) { e.SBOMs[1].Tools = nil }
	only(t, bomed(t, two, full, half), "sbom.generator", stemma.ReasonNotStated)
}

func thrice(name string) func(*stemma.Evidence) {
	return func(e *stemma.Evidence) {
		for _, a := range e.Attestations {
			if a.Bundle == digest(name) {
				other := a
				other.Place = "tag"
				e.Attestations = append(e.Attestations, a, other)
				return
			}
		}
	}
}
