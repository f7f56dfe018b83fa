package policy

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"stemma"
)

func imageAuthentic() Rule {
	return Rule{
		ID:       "image.authentic",
		Title:    "nothing authentic is about this image",
		Why:      "Without a signature or a provenance whose subject is this very digest, the image could come from anywhere; evidence about another artifact of the same repository or build says nothing about it.",
		Fix:      "deploy the image that the release job built and attested, by digest; if it should be attested, check that the job ran its attestation step",
		Since:    "0.1",
		Controls: []string{"CM-14", "SI-7(15)", "SR-11"},
		// What else is attested about an image says something of it and releases nothing (CVE-2022-35929): a policy that asks
		// for no more than that has rules of its own for it.
		inForce: func(p *loaded) bool {
			return p.spec.Signature != nil || p.spec.Provenance != nil || p.spec.SBOM == nil && p.spec.Vulnerabilities == nil && len(p.spec.Attestations) == 0
		},
		image: func(j *judgement) result {
			var signature *stemma.Attestation
			for i := range j.evidence.Attestations {
				a := &j.evidence.Attestations[i]
				if a.Signature && j.bound(a) && (signature == nil || compareAttestations(a, signature) < 0) {
					signature = a
				}
			}
			if signature != nil {
				return j.authentic(signature, "a signature")
			}
			if len(j.candidates) > 0 {
				return j.authentic(j.candidates[0].attestation, "a provenance")
			}
			return j.missing(stemma.ReasonNoEvidence, "a signature or a provenance about "+j.evidence.Image.Digest.Short(), "match")
		},
	}
}

// authentic passes by a, and says by which tie to the image and from where.
func (j *judgement) authentic(a *stemma.Attestation, what string) result {
	text := what
	switch a.Binding.Kind {
	case stemma.BindingViaIndex:
		text += " of the index " + a.Binding.Member.Short() + " that lists it"
	case stemma.BindingViaConfig:
		text += " of its config " + a.Binding.Member.Short()
	case stemma.BindingViaManifest:
		text += " in the signed attestation manifest " + a.Binding.Via.Short()
	default:
		if !a.Signature {
			text += " whose subject is this digest"
		}
	}
	if a.Signature {
		text += " by "
	} else {
		text += ", signed by "
	}
	r := pass(text+describe(a.Signer), a.Bundle)
	r.proof = proof(a)
	beside := slices.ContainsFunc(j.evidence.Attestations, func(a stemma.Attestation) bool {
		return a.Signature && j.bound(&a) && !alternate(a.Place)
	}) || slices.ContainsFunc(j.candidates, func(c *candidate) bool { return !alternate(c.attestation.Place) })
	if !beside {
		r.reason, r.detail = stemma.ReasonFoundInAlternate, "not beside the image; found in "+a.Place
	}
	return r
}

// alternate reports whether evidence was found only in places that the set or the request declares besides the image's
// own repository: in another repository ("referrers in registry.corp.example/evidence"), or at a service.
func alternate(place string) bool {
	for entry := range strings.SplitSeq(place, ", ") {
		elsewhere := strings.Contains(entry, " in ") || !slices.ContainsFunc([]string{"referrers", "fallback tag", ".", "index children", "attached "}, func(own string) bool {
			return strings.HasPrefix(entry, own)
		})
		if entry == "" || strings.HasPrefix(entry, "file ") || !elsewhere {
			return false
		}
	}
	return true
}

// compareAttestations orders by content, so that the order in which evidence was found never matters.
func compareAttestations(a, b *stemma.Attestation) int {
	return cmp.Or(cmp.Compare(a.Bundle, b.Bundle), cmp.Compare(a.Signer.Trust, b.Signer.Trust), bytes.Compare(encode(a), encode(b)))
}

func imageDerived() Rule {
	return Rule{
		ID:       "image.derived",
		Title:    "the image is not what it is said to be made of",
		Why:      "Compressing layers anew, or putting them onto another base, makes a digest that nobody attested. Whether it is the attested image all the same can be recomputed, and must be.",
		Fix:      "deploy the image that was attested, or attest this one",
		Since:    "0.1",
		Controls: []string{"SI-7", "SR-4(3)"},
		inForce:  func(p *loaded) bool { return p.derived },
		image: func(j *judgement) result {
			if j.target.derived == "" {
				return result{outcome: stemma.NotApplicable}
			}
			r := pass(j.target.derived, j.target.of)
			r.path = "derived"
			return r
		},
	}
}

// derived is a target with the evidence about the image that it is made of, where the set takes that for its own. The image is
// the same to the byte, or is the same on another base, which a block base judges; what it stands on stays its own.
func (s *Set) derived(t target, p *loaded) target {
	e := t.evidence
	if e == nil || e.Base == nil || isIndex(e) {
		return t
	}
	l := e.Base
	if slices.Contains(s.spec.Derived, Recompressed) && l.Equivalent && l.Grade.Based() && l.Evidence != nil {
		of := *l.Evidence
		t.evidence, t.above = &of, nil
		t.of, t.derived = e.Image.Digest, "compressed anew, the content of "+brief(l.Base)
		return t
	}
	if r := l.Rebased; slices.Contains(s.spec.Derived, Rebased) && p.spec.Base != nil && r != nil && r.Why == "" && r.Evidence != nil {
		of := *r.Evidence
		of.Base, of.Stack = l, e.Stack
		t.evidence, t.above = &of, nil
		t.of, t.derived = e.Image.Digest, "the layers of "+brief(r.Original)+" on "+brief(l.Base)
	}
	return t
}
